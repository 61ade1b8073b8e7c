//! Why events have happened, as C sees it.

use super::abi::spmsg::*;
use super::errno;
use crate::core::{EventKind, Fault, SocketEvent, TlsFault};
use crate::error::{Error, SystemCode};
use std::ffi::{c_int, c_uint};

/// The reason of an event, with what was found and what would have done.
pub(super) fn of(event: &SocketEvent) -> (c_int, c_uint, c_uint) {
    let Some(fault) = event.fault else {
        let reason = match event.kind {
            EventKind::Connected => SPMSG_REASON_NONE,
            EventKind::Ended => SPMSG_REASON_ENDED,
            EventKind::Rejected => SPMSG_REASON_UNWANTED,
            EventKind::Disconnected
            | EventKind::ConnectFailed
            | EventKind::AcceptFailed
            | EventKind::HandshakeFailed => SPMSG_REASON_LEFT,
        };
        return (reason, 0, 0);
    };
    let at_most = |size: u64| c_uint::try_from(size).unwrap_or(c_uint::MAX);
    match fault {
        Fault::System(_) => (SPMSG_REASON_SYSTEM, 0, 0),
        Fault::NoAddress => (SPMSG_REASON_NO_ADDRESS, 0, 0),
        Fault::TimedOut => (SPMSG_REASON_TIMEOUT, 0, 0),
        Fault::Violation => (SPMSG_REASON_VIOLATION, 0, 0),
        Fault::WrongType { found, wanted } => {
            (SPMSG_REASON_TYPE, found.unwrap_or_default().into(), wanted.into())
        }
        Fault::TooLarge { size, limit } => {
            (SPMSG_REASON_SIZE, at_most(size), limit.map_or(0, at_most))
        }
        Fault::TooLargeForPeer => (SPMSG_REASON_PEER_SIZE, 0, 0),
        Fault::Denied(status) => (SPMSG_REASON_DENIED, status.into(), 0),
        Fault::Silent => (SPMSG_REASON_SILENT, 0, 0),
        Fault::Stranger { users } => {
            let (found, wanted) = users.unwrap_or_default();
            (SPMSG_REASON_STRANGER, found, wanted)
        }
        Fault::Tls(TlsFault(number)) => (SPMSG_REASON_TLS, number, 0),
    }
}

/// The same in words, from what C has of it.
pub(super) fn text(event: &spmsg_event) -> String {
    let (found, allowed) = (u64::from(event.found), u64::from(event.allowed));
    let number = |value: u64| u16::try_from(value).unwrap_or_default();
    let known = |value: u64| Some(value).filter(|value| *value != 0);
    let fault = match event.reason {
        SPMSG_REASON_NONE => return "nothing went wrong".into(),
        SPMSG_REASON_LEFT => return "the peer left".into(),
        SPMSG_REASON_ENDED => return "this side has ended it".into(),
        SPMSG_REASON_UNWANTED => return "the socket wants no more peers".into(),
        SPMSG_REASON_NO_ADDRESS => Fault::NoAddress,
        SPMSG_REASON_TIMEOUT => Fault::TimedOut,
        SPMSG_REASON_VIOLATION => Fault::Violation,
        SPMSG_REASON_TYPE => {
            Fault::WrongType { found: known(found).map(number), wanted: number(allowed) }
        }
        SPMSG_REASON_SIZE => Fault::TooLarge { size: found, limit: known(allowed) },
        SPMSG_REASON_PEER_SIZE => Fault::TooLargeForPeer,
        SPMSG_REASON_DENIED => Fault::Denied(number(found)),
        SPMSG_REASON_SILENT => Fault::Silent,
        SPMSG_REASON_STRANGER => {
            let users = (event.found, event.allowed);
            Fault::Stranger { users: (users.0 != users.1).then_some(users) }
        }
        SPMSG_REASON_TLS => Fault::Tls(TlsFault(event.found)),
        // What a later version has made up has its error.
        _ => Fault::System(Error::System(SystemCode(event.error))),
    };
    errno::fault_text(fault)
}

/// What encrypts numbers its failures for itself; the header is the law.
const _: () = {
    use crate::sys::tls_numbers::*;
    let pairs = [
        (SPMSG_TLS_FAULT_TRUNCATED, FAULT_TRUNCATED),
        (SPMSG_TLS_FAULT_NOT_TLS, FAULT_NOT_TLS),
        (SPMSG_TLS_FAULT_PROTOCOL, FAULT_PROTOCOL),
        (SPMSG_TLS_FAULT_INCOMPATIBLE, FAULT_INCOMPATIBLE),
        (SPMSG_TLS_FAULT_NO_CERTIFICATE, FAULT_NO_CERTIFICATE),
        (SPMSG_TLS_FAULT_UNTRUSTED, FAULT_UNTRUSTED),
        (SPMSG_TLS_FAULT_EXPIRED, FAULT_EXPIRED),
        (SPMSG_TLS_FAULT_NOT_YET_VALID, FAULT_NOT_YET_VALID),
        (SPMSG_TLS_FAULT_WRONG_NAME, FAULT_WRONG_NAME),
        (SPMSG_TLS_FAULT_REVOKED, FAULT_REVOKED),
        (SPMSG_TLS_FAULT_WRONG_PURPOSE, FAULT_WRONG_PURPOSE),
        (SPMSG_TLS_FAULT_BAD_CERTIFICATE, FAULT_BAD_CERTIFICATE),
        (SPMSG_TLS_FAULT_TOO_LONG, FAULT_TOO_LONG),
        (SPMSG_TLS_FAULT_SETTINGS, FAULT_SETTINGS),
        (SPMSG_TLS_FAULT_OTHER, FAULT_OTHER),
        (SPMSG_TLS_FAULT_NO_REVOCATIONS, FAULT_NO_REVOCATIONS),
        (SPMSG_TLS_FAULT_OLD_REVOCATIONS, FAULT_OLD_REVOCATIONS),
        (SPMSG_TLS_FAULT_ALERT, FAULT_ALERT),
        (SPMSG_TLS_VERIFY_NONE, VERIFY_NONE),
        (SPMSG_TLS_VERIFY_OPTIONAL, VERIFY_OPTIONAL),
        (SPMSG_TLS_VERIFY_REQUIRED, VERIFY_REQUIRED),
    ];
    assert!(SPMSG_CERTIFICATE_MAX == IDENTITY_MAX);
    let mut at = 0;
    while at < pairs.len() {
        assert!(pairs[at].0.unsigned_abs() == pairs[at].1);
        at += 1;
    }
};
