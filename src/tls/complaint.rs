//! Failures, by the numbers and words in which libspmsg tells them on.

use std::io;

use rustls::{CertificateError, Error, InvalidMessage};

use super::table::*;

/// Why something failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trouble {
    /// Its number in the table.
    pub fault: u32,
    pub setting: u32,
    pub flaw: u32,
    /// The system's number for it, or 0.
    pub code: i32,
    pub words: String,
}

/// What of a configuration something is about: its number in the table, and the word for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting(u32, &'static str);

impl Trouble {
    #[must_use]
    pub fn new(fault: u32, words: &str) -> Trouble {
        Trouble { fault, words: words.to_owned(), ..Trouble::default() }
    }

    /// The same, as that of one of several files.
    #[must_use]
    pub fn of(mut self, setting: Setting, name: &str) -> Trouble {
        // The word for the setting stands in front of all.
        let at = setting.1.len() + ": ".len();
        self.words.insert_str(at.min(self.words.len()), name);
        self
    }
}

impl Setting {
    pub const CERTIFICATE: Setting = Setting(SETTING_CERTIFICATE, "certificate");
    pub const KEY: Setting = Setting(SETTING_KEY, "key");
    pub const TRUST: Setting = Setting(SETTING_TRUST, "trust");
    pub const REVOKED: Setting = Setting(SETTING_REVOKED, "revocations");
    pub const NAME: Setting = Setting(SETTING_NAME, "name");

    /// `flaw` is one of the table's.
    #[must_use]
    pub fn trouble(self, flaw: u32, words: &str) -> Trouble {
        let words = format!("{}: {words}", self.1);
        Trouble { fault: FAULT_SETTINGS, setting: self.0, flaw, code: 0, words }
    }

    #[must_use]
    pub fn unreadable(self, name: &str, error: &io::Error) -> Trouble {
        let trouble = self.trouble(FLAW_SYSTEM, &format!("{name}{error}"));
        Trouble { code: error.raw_os_error().unwrap_or(0), ..trouble }
    }
}

impl From<&Error> for Trouble {
    fn from(error: &Error) -> Trouble {
        Trouble::new(fault(error), &error.to_string())
    }
}

impl Complaint {
    pub(super) const NONE: Complaint =
        Complaint { fault: FAULT_NONE, setting: 0, flaw: 0, code: 0, len: 0, text: [0; TEXT_MAX] };
}

/// Cut to the room that there is, and plain: a peer may have chosen the words.
impl From<&Trouble> for Complaint {
    fn from(trouble: &Trouble) -> Complaint {
        let Trouble { fault, setting, flaw, code, ref words } = *trouble;
        let mut complaint = Complaint { fault, setting, flaw, code, ..Complaint::NONE };
        for (place, byte) in complaint.text.iter_mut().zip(words.bytes()) {
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
        Error::PeerIncompatible(_) | Error::NoApplicationProtocol => FAULT_INCOMPATIBLE,
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
        CertificateError::UnknownRevocationStatus => FAULT_NO_REVOCATIONS,
        CertificateError::ExpiredRevocationList
        | CertificateError::ExpiredRevocationListContext { .. } => FAULT_OLD_REVOCATIONS,
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
