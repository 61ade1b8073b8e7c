//! Sockets and their endpoints: open, close, bind, connect, shut down; the library as a whole.

use super::{enter, enter_socket, errno, raw};
use crate::core::{self, Dialect};
use std::ffi::{c_char, c_int};

/// Opens a socket and returns its handle.
///
/// The domain is AF_SP, or AF_SP_RAW for a socket that passes the protocol's headers to the
/// program. The protocol is one of the socket types, for example NN_PAIR.
///
/// Returns -1 with errno ETERM after nn_term, EAFNOSUPPORT for an unknown domain, EMFILE when no
/// further socket or descriptor can be had, EINVAL for an unknown protocol, ENOMEM.
#[unsafe(no_mangle)]
pub extern "C" fn nn_socket(domain: c_int, protocol: c_int) -> c_int {
    enter(|| core::open(domain, protocol, errno::printer).map_err(errno::when_opening))
}

/// Closes a socket. Its addresses are free and its resources gone when the call returns.
///
/// What was sent before still reaches the peers, within the time that NN_LINGER says. Calls that
/// wait on the socket in other threads fail with EBADF.
///
/// Returns 0, or -1 with errno EBADF.
#[unsafe(no_mangle)]
pub extern "C" fn nn_close(s: c_int) -> c_int {
    enter(|| core::close(s).map(|()| 0))
}

/// Makes the socket listen at an address, for example "tcp://127.0.0.1:5555".
///
/// Returns the number of the endpoint, at least 1, or -1 with errno EBADF, EINVAL for an address
/// that is NULL or malformed, ENAMETOOLONG for one of NN_SOCKADDR_MAX characters or more,
/// EPROTONOSUPPORT for an unknown transport, ENODEV for an unknown interface, EADDRINUSE,
/// EADDRNOTAVAIL, ENOMEM, or what else the system has against it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nn_bind(s: c_int, addr: *const c_char) -> c_int {
    enter_socket(s, |socket| {
        // SAFETY: forwarded from our own contract.
        socket.bind(unsafe { raw::text(addr) }?, Dialect::Reference)
    })
}

/// Makes the socket connect to an address, now and again whenever the connection is lost.
///
/// Returns at once, whether a peer is there or not. The result is that of nn_bind.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nn_connect(s: c_int, addr: *const c_char) -> c_int {
    enter_socket(s, |socket| {
        // SAFETY: forwarded from our own contract.
        socket.connect(unsafe { raw::text(addr) }?, Dialect::Reference)
    })
}

/// Removes the endpoint that nn_bind or nn_connect returned, with its connections.
///
/// Returns 0, or -1 with errno EBADF, or EINVAL when the socket has no such endpoint.
#[unsafe(no_mangle)]
pub extern "C" fn nn_shutdown(s: c_int, how: c_int) -> c_int {
    enter_socket(s, |socket| socket.shutdown(how).map(|()| 0))
}

/// Closes all sockets, and lets no new ones be opened.
///
/// Meant for the end of a program with threads that wait in calls. Does nothing when the program
/// has never opened a socket.
#[unsafe(no_mangle)]
pub extern "C" fn nn_term() {
    enter(|| {
        core::terminate();
        Ok(())
    });
}

/// Undoes nn_term: waits until it has finished, and lets sockets be opened again.
#[unsafe(no_mangle)]
pub extern "C" fn nn_init() {
    enter(|| {
        core::restart();
        Ok(())
    });
}

/// Core has its own names for the domains; the headers are the law.
const _: () = {
    use super::abi::nn::{AF_SP, AF_SP_RAW};
    assert!(core::COOKED == AF_SP && core::RAW == AF_SP_RAW);
};
