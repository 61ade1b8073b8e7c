//! Failures, by the numbers and words in which libspmsg tells them on.

use rustls::{CertificateError, Error, InvalidMessage, PeerIncompatible};

use super::table::*;

/// Why something failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Its number in the table.
    pub fault: u32,
    pub words: String,
}

impl Trouble {
    #[must_use]
    pub fn new(fault: u32, words: &str) -> Trouble {
        Trouble { fault, words: words.to_owned() }
    }
}

impl From<&Error> for Trouble {
    fn from(error: &Error) -> Trouble {
        Trouble::new(fault(error), &error.to_string())
    }
}

impl Complaint {
    pub(super) const NONE: Complaint = Complaint { fault: FAULT_NONE, len: 0, text: [0; TEXT_MAX] };
}

/// Cut to the room that there is, and plain: a peer may have chosen the words.
impl From<&Trouble> for Complaint {
    fn from(trouble: &Trouble) -> Complaint {
        let mut complaint = Complaint { fault: trouble.fault, ..Complaint::NONE };
        for (place, byte) in complaint.text.iter_mut().zip(trouble.words.bytes()) {
            *place = if byte.is_ascii_graphic() { byte } else { b' ' };
            complaint.len += 1;
        }
        complaint
    }
}

fn fault(error: &Error) -> u32 {
    match error {
        Error::InvalidCertificate(error) => certificate_fault(error),
        Error::NoCertificatesPresented => FAULT_NO_CERTIFICATE,
        Error::AlertReceived(alert) => FAULT_ALERT + u32::from(u8::from(*alert)),
        Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered) => FAULT_INCOMPATIBLE,
        Error::PeerIncompatible(_) => FAULT_INCOMPATIBLE,
        // What does not even look like the beginning of a record.
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType
            | InvalidMessage::UnknownProtocolVersion
            | InvalidMessage::MessageTooLarge
            | InvalidMessage::InvalidEmptyPayload,
        ) => FAULT_NOT_TLS,
        Error::InvalidMessage(_)
        | Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. }
        | Error::PeerMisbehaved(_)
        | Error::DecryptError
        | Error::PeerSentOversizedRecord => FAULT_PROTOCOL,
        Error::InvalidCertRevocationList(_) | Error::InconsistentKeys(_) => FAULT_SETTINGS,
        _ => FAULT_OTHER,
    }
}

fn certificate_fault(error: &CertificateError) -> u32 {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => FAULT_EXPIRED,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            FAULT_NOT_YET_VALID
        }
        CertificateError::Revoked => FAULT_REVOKED,
        CertificateError::UnknownIssuer => FAULT_UNTRUSTED,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            FAULT_WRONG_NAME
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            FAULT_WRONG_PURPOSE
        }
        // An authority that shows its own certificate as that of an end.
        CertificateError::Other(_) => FAULT_UNTRUSTED,
        _ => FAULT_BAD_CERTIFICATE,
    }
}
