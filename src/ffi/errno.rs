//! Errors as C knows them: the only place that turns a reason into a number or a text.

use super::abi::nn::{EFSM, ETERM};
use super::abi::spmsg::*;
use crate::core::{Fault, Printer, TlsFault, type_name};
use crate::error::{Error, Part, SystemCode};
use crate::sys::tls_numbers::{
    FLAW_DAMAGED, FLAW_EMPTY, FLAW_ENCRYPTED, FLAW_MISSING, FLAW_NO_FILE, FLAW_OF_ANOTHER,
    FLAW_SYSTEM, FLAW_TOO_LARGE, FLAW_UNKNOWN_KIND, SETTING_CERTIFICATE, SETTING_KEY, SETTING_NAME,
    SETTING_REVOKED, SETTING_TRUST,
};
use std::ffi::{CStr, c_char, c_int};

/// Gives the error number that the last failing call left behind in the calling thread.
///
/// It is the errno of the C library, for those who have no other way to read it.
#[unsafe(no_mangle)]
pub extern "C" fn nn_errno() -> c_int {
    get()
}

/// Gives the text that describes an error number.
///
/// The numbers of the system have the texts of strerror. The text is never NULL and must not be
/// freed; it may change with the next call in the same thread.
#[unsafe(no_mangle)]
pub extern "C" fn nn_strerror(errnum: c_int) -> *const c_char {
    match errnum {
        ETERM => c"Nanomsg library was terminated".as_ptr(),
        EFSM => c"Operation cannot be performed in this state".as_ptr(),
        // SAFETY: strerror takes any number.
        _ => unsafe { libc::strerror(errnum) },
    }
}

pub(super) fn get() -> c_int {
    // SAFETY: valid in this thread.
    unsafe { *place() }
}

pub(super) fn set(number: c_int) {
    // SAFETY: valid in this thread, and nothing borrows it.
    unsafe { *place() = number };
}

fn place() -> *mut c_int {
    // SAFETY: every thread has an errno.
    unsafe { here() }
}

// Each C library has its own name for it.
#[cfg(any(target_os = "illumos", target_os = "solaris"))]
use libc::___errno as here;
#[cfg(any(target_os = "netbsd", target_os = "openbsd"))]
use libc::__errno as here;
#[cfg(target_os = "linux")]
use libc::__errno_location as here;
#[cfg(any(target_vendor = "apple", target_os = "freebsd", target_os = "dragonfly"))]
use libc::__error as here;

pub(super) fn number(error: Error) -> c_int {
    match error {
        Error::NotOpen => libc::EBADF,
        Error::Terminated => ETERM,
        Error::UnknownDomain => libc::EAFNOSUPPORT,
        Error::Invalid | Error::Malformed(_) => libc::EINVAL,
        Error::BadPointer => libc::EFAULT,
        Error::TooManySockets => libc::EMFILE,
        Error::OutOfMemory => libc::ENOMEM,
        Error::UnknownOption => libc::ENOPROTOOPT,
        Error::NameTooLong => libc::ENAMETOOLONG,
        Error::UnknownTransport | Error::NoEncryption => libc::EPROTONOSUPPORT,
        Error::NoDevice => libc::ENODEV,
        Error::AddressInUse => libc::EADDRINUSE,
        Error::NotSupported => libc::ENOTSUP,
        Error::WrongState => EFSM,
        Error::WouldBlock => libc::EAGAIN,
        Error::TimedOut => libc::ETIMEDOUT,
        Error::PeerLost => libc::ECONNRESET,
        Error::Interrupted => libc::EINTR,
        Error::NoPeer => libc::ENOTCONN,
        Error::TooLong => libc::EMSGSIZE,
        Error::Unusable { code: SystemCode(0), .. } => libc::EINVAL,
        Error::Unusable { code: SystemCode(code), .. } => code,
        Error::System(SystemCode(code)) => code,
    }
}

/// What is said about a connection that went wrong, as a number; 0 when nothing did.
pub(super) fn number_of(fault: Option<Fault>) -> c_int {
    match fault {
        None => 0,
        Some(Fault::System(error)) => number(error),
        Some(Fault::Violation | Fault::WrongType { .. } | Fault::Denied(_) | Fault::Tls(_)) => {
            libc::EPROTO
        }
        Some(Fault::TooLarge { .. } | Fault::TooLargeForPeer) => libc::EMSGSIZE,
        Some(Fault::TimedOut | Fault::Silent) => libc::ETIMEDOUT,
        Some(Fault::Stranger { .. }) => libc::EACCES,
        // Sockets have no other use for it, and its text is not wrong.
        Some(Fault::NoAddress) => libc::ENXIO,
    }
}

/// What is said about it in words.
pub(super) fn fault_text(fault: Fault) -> String {
    match fault {
        Fault::System(error) => text(error),
        Fault::Violation => "the peer does not keep to the rules of the protocol".into(),
        Fault::WrongType { found, wanted } => {
            let name = |number: u16| type_name(number.into()).to_ascii_uppercase();
            match found.map(name) {
                Some(found) => format!("the peer is of type {found}, not {}", name(wanted)),
                None => format!("the peer is not of type {}", name(wanted)),
            }
        }
        Fault::TooLarge { size: 0, limit: None } => "no memory for the peer's message".into(),
        Fault::TooLarge { size, limit: None } => {
            format!("the peer's message of {size} bytes is more than there is memory for")
        }
        Fault::TooLarge { size, limit: Some(limit) } => {
            format!("the peer's message has {size} bytes, more than the {limit} of NN_RCVMAXSIZE")
        }
        Fault::TooLargeForPeer => "a message is larger than the peer's NN_RCVMAXSIZE".into(),
        Fault::Denied(status) => format!("the server has answered with status {status}"),
        Fault::TimedOut => "the peer took too long to say what it is".into(),
        Fault::Stranger { users: Some((found, wanted)) } => {
            format!("the peer runs as user {found}, not {wanted}")
        }
        Fault::Stranger { users: None } => {
            "the peer's address is in none of the networks of SPMSG_ACCEPT_NETWORKS".into()
        }
        Fault::Silent => "the peer has given no sign of life".into(),
        Fault::NoAddress => "the name has no address".into(),
        Fault::Tls(TlsFault(number)) => tls_text(number),
    }
}

/// What is said about what encrypts.
fn tls_text(number: u32) -> String {
    let number = c_int::try_from(number).unwrap_or_default();
    let words = match number {
        SPMSG_TLS_FAULT_TRUNCATED => {
            "the stream ended although the peer had not said that it would"
        }
        SPMSG_TLS_FAULT_NOT_TLS => "the peer does not speak TLS",
        SPMSG_TLS_FAULT_PROTOCOL => "the peer breaks the rules of TLS",
        SPMSG_TLS_FAULT_INCOMPATIBLE => {
            "the peer speaks no version, cipher or protocol of TLS that would do"
        }
        SPMSG_TLS_FAULT_NO_CERTIFICATE => "the peer has shown no certificate",
        SPMSG_TLS_FAULT_UNTRUSTED => "nobody who is trusted vouches for the peer's certificate",
        SPMSG_TLS_FAULT_EXPIRED => "the peer's certificate has expired",
        SPMSG_TLS_FAULT_NOT_YET_VALID => "the peer's certificate is not valid yet",
        SPMSG_TLS_FAULT_WRONG_NAME => "the peer's certificate is for another name",
        SPMSG_TLS_FAULT_REVOKED => "the peer's certificate has been revoked",
        SPMSG_TLS_FAULT_WRONG_PURPOSE => "the peer's certificate is for another purpose",
        SPMSG_TLS_FAULT_BAD_CERTIFICATE => "the peer's certificate is damaged, or too weak",
        SPMSG_TLS_FAULT_TOO_LONG => "the peer's greeting in TLS is too long",
        SPMSG_TLS_FAULT_SETTINGS => "the certificate, the key or the trust cannot be used",
        SPMSG_TLS_FAULT_NO_REVOCATIONS => {
            "SPMSG_TLS_REVOKED has no list of the authority of the peer's certificate"
        }
        SPMSG_TLS_FAULT_OLD_REVOCATIONS => {
            "the list of the authority of the peer's certificate is out of date (SPMSG_TLS_REVOKED)"
        }
        alert if alert >= SPMSG_TLS_FAULT_ALERT => {
            let number = alert - SPMSG_TLS_FAULT_ALERT;
            let mut alerts = ALERTS.lines().filter_map(|line| line.split_once(' '));
            return match alerts.find(|(known, _)| known.parse() == Ok(number)) {
                Some((_, words)) => {
                    format!("the peer refuses with alert {number} of TLS: {words}")
                }
                None => format!("the peer refuses with alert {number} of TLS"),
            };
        }
        _ => "encrypting has failed",
    };
    words.into()
}

/// What is said about what is to be shown or trusted: which option it is, and what is wrong.
fn setting_text(setting: u8, flaw: u8, code: SystemCode) -> String {
    let option = match u32::from(setting) {
        SETTING_CERTIFICATE => "_CERTIFICATE",
        SETTING_KEY => "_KEY",
        SETTING_TRUST => "_TRUST",
        SETTING_REVOKED => "_REVOKED",
        SETTING_NAME => "_NAME",
        _ => "",
    };
    let words = match (u32::from(flaw), u32::from(setting)) {
        (FLAW_SYSTEM, _) if code.0 != 0 => &system_text(code.0),
        (FLAW_TOO_LARGE, _) => "it is larger than 4 MiB, or its directory than 16 MiB",
        (FLAW_NO_FILE, _) => "it is neither a file nor a pipe",
        (FLAW_EMPTY, SETTING_KEY) => "there is no private key in it",
        (FLAW_EMPTY, SETTING_REVOKED) => "there is no list in it",
        (FLAW_EMPTY, _) => "there is no certificate in it",
        (FLAW_MISSING, _) => "it is not set, and has to be",
        (FLAW_ENCRYPTED, _) => "it is encrypted, and there is no password for it",
        (FLAW_UNKNOWN_KIND, _) => "it is of a kind that cannot be used, or damaged",
        (FLAW_OF_ANOTHER, _) => "it does not belong to the certificate",
        (FLAW_DAMAGED, SETTING_NAME) => {
            "no certificate can be for that, or for what the address has"
        }
        (FLAW_DAMAGED, _) => "it is damaged, or not in PEM",
        _ => "it cannot be used",
    };
    format!("SPMSG_TLS{option}: {words}")
}

/// What is said about a call that failed: which part of an address is wrong, if one is, and else
/// what `nn_strerror` says of the number.
pub(super) fn text(error: Error) -> String {
    let words = match error {
        Error::Malformed(Part::Scheme) => "the address has no scheme, as tcp:// is one",
        Error::Malformed(Part::Port) => {
            "the address does not end with a colon and a port, from 1 to 65535"
        }
        Error::Malformed(Part::Host) => {
            "the host is neither a name nor a numeric address, or an address of IPv6 without []"
        }
        Error::Malformed(Part::Family) => "the host is an address of IPv6, and NN_IPV4ONLY is on",
        Error::Malformed(Part::Path) => "the path has a blank or a control character",
        Error::Malformed(Part::Network(place)) => {
            return format!("network {place} of the list has no numeric address in front");
        }
        Error::Malformed(Part::NetworkBits(place)) => {
            return format!(
                "network {place} of the list has not the number of its bits behind the /"
            );
        }
        Error::Malformed(Part::NetworkHost(place)) => {
            return format!("network {place} of the list has more bits than it says");
        }
        Error::Malformed(Part::Header(line)) => {
            return format!("line {line} of the headers is no name, colon and value");
        }
        Error::Malformed(Part::HeaderName(line)) => {
            return format!("line {line} of the headers is one that the handshake has itself");
        }
        Error::Malformed(Part::HeaderCount) => "there are more than 32 headers",
        Error::Malformed(Part::NetworkCount) => "the list has more than 64 networks",
        Error::Malformed(Part::Name) => "the address has no name behind its scheme",
        Error::UnknownTransport => {
            "the scheme is none of inproc, ipc, tcp, tls+tcp, unix, ws and wss"
        }
        Error::NoEncryption => {
            "libspmsg-tls, which encrypts, is not installed, or of another version"
        }
        Error::Unusable { setting, flaw, code } => return setting_text(setting, flaw, code),
        Error::NoDevice => {
            "the local address is neither * nor numeric, or of IPv6 while NN_IPV4ONLY is on"
        }
        other => return system_text(number(other)),
    };
    words.into()
}

/// Prints the errors of endpoints if the environment wants it.
pub(super) fn printer() -> Option<Printer> {
    let is_wanted = std::env::var_os("NN_PRINT_ERRORS").is_some_and(|value| !value.is_empty());
    is_wanted.then_some(Printer { describe: fault_text })
}

/// What `nn_strerror` says of it.
fn system_text(number: c_int) -> String {
    // SAFETY: the text is never null, ends with a zero byte, and is copied before the next call.
    unsafe { CStr::from_ptr(nn_strerror(number)) }.to_string_lossy().into_owned()
}

/// A socket that cannot be had is one too many, whether this process or the whole system has no
/// descriptor left.
pub(super) fn when_opening(error: Error) -> Error {
    match error {
        Error::System(SystemCode(libc::EMFILE | libc::ENFILE)) => Error::TooManySockets,
        other => other,
    }
}

/// The alerts of TLS (RFC 8446, section 6, and those of TLS 1.2), in the words that it has.
const ALERTS: &str = "\
10 unexpected message
20 bad record MAC
22 record overflow
40 handshake failure
42 bad certificate
43 unsupported certificate
44 certificate revoked
45 certificate expired
46 certificate unknown
47 illegal parameter
48 unknown CA
49 access denied
50 decode error
51 decrypt error
70 protocol version
71 insufficient security
80 internal error
86 inappropriate fallback
90 user canceled
100 no renegotiation
109 missing extension
110 unsupported extension
112 unrecognized name
113 bad certificate status response
115 unknown PSK identity
116 certificate required
120 no application protocol
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_is_told_by_its_number_and_in_words() {
        let told = |number: u32| fault_text(Fault::Tls(TlsFault(0x100 + number)));
        assert_eq!(told(48), "the peer refuses with alert 48 of TLS: unknown CA");
        assert_eq!(told(120), "the peer refuses with alert 120 of TLS: no application protocol");
        assert_eq!(told(4), "the peer refuses with alert 4 of TLS");
    }

    #[test]
    fn what_cannot_be_used_is_told_by_its_option() {
        let told = |setting: u32, flaw: u32, code| {
            let [setting, flaw] = [setting, flaw].map(|number| number as u8);
            let error = Error::Unusable { setting, flaw, code: SystemCode(code) };
            (number(error), text(error))
        };
        for (error, (number, words)) in [
            (
                told(SETTING_KEY, FLAW_SYSTEM, libc::ENOENT),
                (libc::ENOENT, "SPMSG_TLS_KEY: No such file or directory"),
            ),
            (
                told(SETTING_TRUST, FLAW_EMPTY, 0),
                (libc::EINVAL, "SPMSG_TLS_TRUST: there is no certificate in it"),
            ),
            (told(0, 0, 0), (libc::EINVAL, "SPMSG_TLS: it cannot be used")),
        ] {
            assert_eq!(error, (number, words.to_owned()));
        }
    }

    #[test]
    fn texts_are_our_own_or_the_systems() {
        // SAFETY: the texts are never null and end with a zero byte.
        let text = |number| unsafe { CStr::from_ptr(nn_strerror(number)) }.to_str().unwrap();
        assert_eq!(text(ETERM), "Nanomsg library was terminated");
        assert_eq!(text(EFSM), "Operation cannot be performed in this state");
        assert_eq!(text(libc::EBADF), "Bad file descriptor");
        assert_eq!(text(-1), "Unknown error -1");
    }

    #[test]
    fn no_descriptor_means_no_socket() {
        for code in [libc::EMFILE, libc::ENFILE] {
            let error = when_opening(Error::System(SystemCode(code)));
            assert_eq!(number(error), libc::EMFILE);
        }
        assert_eq!(number(when_opening(Error::Terminated)), ETERM);
    }
}
