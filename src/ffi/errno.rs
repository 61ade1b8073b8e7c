//! Errors as C knows them: the only place that turns a reason into a number or a text.

use super::abi::nn::{EFSM, ETERM};
use crate::core::{Fault, Printer};
use crate::error::{Error, SystemCode};
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
        Error::Invalid => libc::EINVAL,
        Error::BadPointer => libc::EFAULT,
        Error::TooManySockets => libc::EMFILE,
        Error::OutOfMemory => libc::ENOMEM,
        Error::UnknownOption => libc::ENOPROTOOPT,
        Error::NameTooLong => libc::ENAMETOOLONG,
        Error::UnknownTransport => libc::EPROTONOSUPPORT,
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
        Error::System(SystemCode(code)) => code,
    }
}

/// What is said about a connection that went wrong, as a number; 0 when nothing did.
pub(super) fn number_of(fault: Option<Fault>) -> c_int {
    match fault {
        None => 0,
        Some(Fault::System(error)) => number(error),
        Some(Fault::Violation) => libc::EPROTO,
        Some(Fault::TimedOut) => libc::ETIMEDOUT,
    }
}

/// Prints the errors of endpoints if the environment wants it.
pub(super) fn printer() -> Option<Printer> {
    let is_wanted = std::env::var_os("NN_PRINT_ERRORS").is_some_and(|value| !value.is_empty());
    is_wanted.then_some(Printer { describe: text })
}

/// What `nn_strerror` says of it.
fn text(error: Error) -> String {
    // SAFETY: the text is never null, ends with a zero byte, and is copied before the next call.
    unsafe { CStr::from_ptr(nn_strerror(number(error))) }.to_string_lossy().into_owned()
}

/// A socket that cannot be had is one too many, whether this process or the whole system has no
/// descriptor left.
pub(super) fn when_opening(error: Error) -> Error {
    match error {
        Error::System(SystemCode(libc::EMFILE | libc::ENFILE)) => Error::TooManySockets,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
