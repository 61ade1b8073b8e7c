//! What the library has beyond the reference: the functions of `spmsg/spmsg.h`.

use super::abi::spmsg::*;
use super::raw::{self, OutPlace};
use super::{enter, enter_socket, errno, last_failure, reason};
use crate::core::{self, Dialect, EventKind, JournalEntry, JournalLevel, Role, SocketEvent};
use crate::error::Error;
use crate::message::control::peer;
use crate::protocols::PipeId;
use libc::size_t;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::mem::offset_of;

/// Gives the version of the library that is loaded, for example "0.1.0", which may be another one
/// than that of the header. The text must not be freed.
#[unsafe(no_mangle)]
pub extern "C" fn spmsg_version() -> *const c_char {
    VERSION.as_ptr()
}

/// Makes the socket listen as nn_bind does, and understands two more kinds of addresses:
/// "tcp://127.0.0.1:0" and "ws://127.0.0.1:0/path" listen at any port that is free, as they do with
/// tls+tcp and wss, and "ipc://@NAME" at a name that is no file, can be left behind by nobody, and
/// that every process of the machine, or of the container, can connect to. spmsg_address tells the
/// port.
///
/// Returns what nn_bind returns, and fails as it does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spmsg_bind(s: c_int, addr: *const c_char) -> c_int {
    enter_socket(s, |socket| {
        // SAFETY: forwarded from our own contract.
        socket.bind(unsafe { raw::text(addr) }?, Dialect::Extended)
    })
}

/// Makes the socket connect as nn_connect does, also to "ipc://@NAME".
///
/// Returns what nn_connect returns, and fails as it does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spmsg_connect(s: c_int, addr: *const c_char) -> c_int {
    enter_socket(s, |socket| {
        // SAFETY: forwarded from our own contract.
        socket.connect(unsafe { raw::text(addr) }?, Dialect::Extended)
    })
}

/// Makes the socket accept connections from a descriptor that somebody else has made listen, as a
/// manager of services does: over tcp, or over ipc where it is a Unix domain socket. It is
/// recognised by itself.
///
/// The descriptor belongs to the library when this succeeds, and must not be used any more; when it
/// fails it is the caller's, as it was. The file of a Unix domain socket is left to who made it.
///
/// Returns the number of the endpoint, or -1 with errno EBADF when either is not open, ENOTSOCK,
/// EPROTOTYPE when it carries no streams, EAFNOSUPPORT or EPROTONOSUPPORT when it carries others,
/// EISCONN when it is connected, EINVAL when it does not listen, EMFILE, ENOMEM.
#[unsafe(no_mangle)]
pub extern "C" fn spmsg_listen_fd(s: c_int, fd: c_int) -> c_int {
    enter_socket(s, |socket| socket.adopt(fd, Role::Listener))
}

/// Makes the socket talk over a descriptor that somebody else has connected, as one end of a
/// socketpair: over tcp, or over ipc where it is a Unix domain socket. Nothing may have been sent
/// or received on it. The other end does the same, or listens.
///
/// The descriptor belongs to the library as that of spmsg_listen_fd does. There is one connection:
/// when it ends, an event tells so, and the endpoint stays without one until it is shut down.
///
/// Returns what spmsg_listen_fd returns, and fails as it does; with errno ENOTCONN when it is not
/// connected, and not with EISCONN or EINVAL.
#[unsafe(no_mangle)]
pub extern "C" fn spmsg_connect_fd(s: c_int, fd: c_int) -> c_int {
    enter_socket(s, |socket| socket.adopt(fd, Role::Stream))
}

/// Opens a context of the socket: a further handle, with a request, a reply, a survey or
/// subscriptions of its own.
///
/// The socket is a cooked REQ, REP, SURVEYOR, RESPONDENT or SUB. Its contexts share its endpoints
/// and peers, and each asks, answers, waits and fails for itself, in a thread of its own or not:
/// nn_send, nn_recv, nn_sendmsg, nn_recvmsg, nn_poll, nn_get_statistic and nn_close take one as
/// they take a socket. A context begins with the options that the socket has then; NN_SNDTIMEO,
/// NN_RCVTIMEO, NN_SOCKET_NAME and those of the socket type are its own from then on, all others
/// are the socket's and cannot be set on it. nn_close gives up what the context has under way and
/// nothing else; closing the socket closes its contexts.
///
/// Returns a handle, or -1 with errno EBADF, ENOTSUP for another type of socket, a raw one or a
/// context, EMFILE when there are 196608 contexts, ENOMEM.
#[unsafe(no_mangle)]
pub extern "C" fn spmsg_context(s: c_int) -> c_int {
    enter(|| core::open_branch(s))
}

/// Stores the address of the endpoint that a binding or connecting function returned, as a string
/// with its scheme: where it is bound, with the port that it got and numbers for names such as
/// "*", or where it connects to, as it was given.
///
/// Like snprintf, stores at most size bytes, the last of them 0, and returns the length that the
/// whole address has, which is below SPMSG_ADDRESS_MAX. Returns -1 with errno EBADF, EINVAL when
/// the socket has no such endpoint, EFAULT when buf is NULL and size is not 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spmsg_address(
    s: c_int,
    endpoint: c_int,
    buf: *mut c_char,
    size: size_t,
) -> c_int {
    enter_socket(s, |socket| {
        let mut address = socket.address(endpoint)?;
        let len = raw::count(address.len())?;
        address.truncate(size.saturating_sub(1));
        address.push(0);
        // SAFETY: forwarded from our own contract.
        unsafe { raw::copy_out(&address, buf.cast(), size) }?;
        Ok(len)
    })
}

/// Ends the connection to one peer, whose number SPMSG_PEER tells. What was sent to it is written
/// first, for as long as NN_LINGER allows; what it has sent and nobody has received is lost.
///
/// The peer may come again, as another peer: one that connects tries to, and so does an endpoint
/// of this socket that had connected to it. nn_shutdown ends such an endpoint.
///
/// Returns 0, or -1 with errno EBADF, ENOTCONN when the socket has no such peer.
#[unsafe(no_mangle)]
pub extern "C" fn spmsg_disconnect(s: c_int, peer: c_uint) -> c_int {
    enter_socket(s, |socket| socket.disconnect(peer).map(|()| 0))
}

/// Has a function of the program told what happens to its sockets, endpoints, connections and
/// messages, a line each, those of SPMSG_TRACE; NULL tells nobody any more, and another function
/// takes the place of the one before.
///
/// The function is called on a thread that the library has for that, with all signals blocked, in
/// the order in which things happened: by one thread at a time, and with no lock, so that it may
/// call every other function of the library. While it does not return, up to 256 lines wait; how
/// many others were lost the next line tells. It has to return, and must not end its thread, jump
/// or throw. Once this has returned, the function before is not called any more, and has been told
/// of all that waited for it: so it is at the end of a program. A forked child begins without one.
///
/// Returns 0, or -1 with errno EFSM when it is called by such a function itself, ENOMEM, or EAGAIN
/// when no thread can be had; then nobody is told.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spmsg_log(function: spmsg_log_function, argument: *mut c_void) -> c_int {
    enter(|| {
        let argument = Argument(argument);
        let listener = function.map(|function| {
            let listener = move |entry: &JournalEntry| {
                let Argument(argument) = argument.get();
                let (level, text) = (log_level(entry.level), entry.text().as_ptr());
                let (s, endpoint) = (entry.socket.unwrap_or(-1), entry.endpoint.unwrap_or(0));
                // SAFETY: the caller vouches for the function with that argument, until it is
                // replaced; the text ends with a zero, and lives longer than the call.
                unsafe { function(argument, level, s, endpoint, text) };
            };
            Box::new(listener) as Box<dyn FnMut(&JournalEntry) + Send>
        });
        core::listen(listener)?;
        Ok(0)
    })
}

/// What somebody wants to have back.
#[derive(Clone, Copy)]
struct Argument(*mut c_void);

impl Argument {
    /// Takes the whole, not the pointer in it, into a closure.
    fn get(self) -> Argument {
        self
    }
}

// SAFETY: the library does nothing with it but give it back; who passes it to `spmsg_log` is told
// that this happens on another thread.
unsafe impl Send for Argument {}

fn log_level(level: JournalLevel) -> c_int {
    match level {
        JournalLevel::Error => SPMSG_LOG_ERROR,
        JournalLevel::Warning => SPMSG_LOG_WARNING,
        JournalLevel::Info => SPMSG_LOG_INFO,
        JournalLevel::Debug => SPMSG_LOG_DEBUG,
    }
}

/// Reads the files that the options of level SPMSG_TLS name again, and what those options are set
/// to now, but for SPMSG_TLS_NAME and SPMSG_TLS_HANDSHAKES_MAX, for all connections that the
/// endpoints of the socket make from now on. Connections that are there are not touched.
///
/// Returns 0, or -1 with errno EBADF, ENOTSUP for a context, EINVAL when something does not fit,
/// ENOMEM, or that of the system when a file cannot be read, as ENOENT; then everything stays as it
/// was, and spmsg_error_text tells which option it is.
#[unsafe(no_mangle)]
pub extern "C" fn spmsg_tls_reload(s: c_int) -> c_int {
    enter_socket(s, |socket| socket.renew().map(|()| 0))
}

/// Gives a descriptor that is readable while events of the socket wait: poll it for POLLIN, and
/// never read or close it. Events are kept from the first call on, at most 1024 of them.
///
/// Each call gives the same descriptor. It belongs to the socket, and is readable, too, once that
/// is being closed.
///
/// Returns -1 with errno EBADF, or EMFILE when no descriptor can be had.
#[unsafe(no_mangle)]
pub extern "C" fn spmsg_events(s: c_int) -> c_int {
    enter_socket(s, |socket| socket.events().descriptor())
}

/// Stores the oldest event that waits, and removes it. Never waits.
///
/// Returns 0, or -1 with errno EBADF, EFAULT when event is NULL, EAGAIN when there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spmsg_next_event(s: c_int, event: *mut spmsg_event) -> c_int {
    enter_socket(s, |socket| {
        let place = OutPlace::new(event)?;
        let found = socket.events().next()?;
        // SAFETY: forwarded from our own contract.
        unsafe { place.write(converted(&found)) };
        Ok(0)
    })
}

/// Does what spmsg_next_event does, and stores what the certificate says that the peer has shown on
/// tls+tcp or wss, as SPMSG_PEER_CERTIFICATE has it. Only events of peers with a number have that:
/// that they have come or gone. Else the string is empty.
///
/// Like snprintf, stores at most size bytes, the last of them 0, and returns the length that the
/// whole string has, which is below SPMSG_CERTIFICATE_MAX; what does not fit is lost. Returns -1
/// with errno EBADF, EFAULT when event is NULL, or buf is and size is not 0, EAGAIN when there is
/// no event.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spmsg_next_event_certificate(
    s: c_int,
    event: *mut spmsg_event,
    buf: *mut c_char,
    size: size_t,
) -> c_int {
    enter_socket(s, |socket| {
        let place = OutPlace::new(event)?;
        if buf.is_null() && size != 0 {
            return Err(Error::BadPointer);
        }
        let mut found = socket.events().next()?;
        // SAFETY: forwarded from our own contract.
        unsafe { place.write(converted(&found)) };
        // SAFETY: as above.
        unsafe { store_text(std::mem::take(&mut found.certificate), buf, size) }
    })
}

/// Stores one thing that a certificate says, out of a string as SPMSG_PEER_CERTIFICATE has it: the
/// one at the place index, from 0 on, of those that field names. There is one
/// SPMSG_CERTIFICATE_SHA256, at most one SPMSG_CERTIFICATE_SUBJECT, and any number of
/// SPMSG_CERTIFICATE_NAME.
///
/// Like snprintf, stores at most size bytes, the last of them 0, and returns the length that the
/// whole value has. Returns -1 with errno EINVAL when there is none at that place, EFAULT when
/// certificate is NULL, or buf is and size is not 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spmsg_certificate_field(
    certificate: *const c_char,
    field: c_int,
    index: c_int,
    buf: *mut c_char,
    size: size_t,
) -> c_int {
    enter(|| {
        if certificate.is_null() {
            return Err(Error::BadPointer);
        }
        // SAFETY: forwarded from our own contract.
        let text = unsafe { raw::text(certificate) }?;
        let key: &[u8] = match field {
            SPMSG_CERTIFICATE_SHA256 => b"sha256=",
            SPMSG_CERTIFICATE_SUBJECT => b"subject=",
            SPMSG_CERTIFICATE_NAME => b"name=",
            _ => return Err(Error::Invalid),
        };
        let index = usize::try_from(index).map_err(|_| Error::Invalid)?;
        let mut values =
            text.split(|byte| *byte == b'\n').filter_map(|line| line.strip_prefix(key));
        let value = values.nth(index).ok_or(Error::Invalid)?;
        // SAFETY: forwarded from our own contract.
        unsafe { store_text(value.to_vec(), buf, size) }
    })
}

/// Stores in words why an event has happened, as "the peer is of type PUSH, not PUB". The words are
/// for humans, and may become others.
///
/// Like snprintf, stores at most size bytes, the last of them 0, and returns the length that the
/// whole text has. Returns -1 with errno EFAULT when event is NULL, or buf is and size is not 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spmsg_event_text(
    event: *const spmsg_event,
    buf: *mut c_char,
    size: size_t,
) -> c_int {
    enter(|| {
        // SAFETY: forwarded from our own contract.
        let event = unsafe { raw::value(event) }.ok_or(Error::BadPointer)?;
        // SAFETY: as above.
        unsafe { store_text(reason::text(&event), buf, size) }
    })
}

/// Stores in words why the last call of the calling thread that failed did: which part of an
/// address is wrong, as "the address does not end with a colon and a port, from 1 to 65535", or
/// what nn_strerror has to say. Empty when none has failed. The words are for humans, and may
/// become others; the numbers in errno stay as they are.
///
/// Like snprintf, stores at most size bytes, the last of them 0, and returns the length that the
/// whole text has. Returns -1 with errno EFAULT when buf is NULL and size is not 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spmsg_error_text(buf: *mut c_char, size: size_t) -> c_int {
    enter(|| {
        let words = last_failure().map(errno::text).unwrap_or_default();
        // SAFETY: forwarded from our own contract.
        unsafe { store_text(words, buf, size) }
    })
}

/// Stores as much of a text as there is room for, and says how long it is.
///
/// # Safety
/// As for [`raw::copy_out`].
pub(super) unsafe fn store_text(
    text: impl Into<Vec<u8>>,
    buf: *mut c_char,
    size: size_t,
) -> Result<c_int, Error> {
    let mut text = text.into();
    let len = raw::count(text.len())?;
    text.truncate(size.saturating_sub(1));
    text.push(0);
    // SAFETY: forwarded from our own contract.
    unsafe { raw::copy_out(&text, buf.cast(), size) }?;
    Ok(len)
}

fn converted(event: &SocketEvent) -> spmsg_event {
    let mut peer = [0; SPMSG_EVENT_PEER_MAX];
    // The last place keeps its zero.
    for (place, byte) in peer[..SPMSG_EVENT_PEER_MAX - 1].iter_mut().zip(&event.peer) {
        *place = *byte as c_char;
    }
    let (reason, found, allowed) = reason::of(event);
    spmsg_event {
        r#type: match event.kind {
            EventKind::Connected => SPMSG_EVENT_CONNECTED,
            EventKind::Disconnected | EventKind::Ended => SPMSG_EVENT_DISCONNECTED,
            EventKind::ConnectFailed => SPMSG_EVENT_CONNECT_FAILED,
            EventKind::AcceptFailed => SPMSG_EVENT_ACCEPT_FAILED,
            EventKind::HandshakeFailed => SPMSG_EVENT_HANDSHAKE_FAILED,
            EventKind::Rejected => SPMSG_EVENT_REJECTED,
        },
        endpoint: event.endpoint,
        error: errno::number_of(event.fault),
        missed: event.missed,
        peer,
        reason,
        found,
        allowed,
        number: event.pipe.map_or(0, PipeId::peer_number),
        reserved: [0; 4],
    }
}

const VERSION: &CStr =
    match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => panic!("a version contains a zero byte"),
    };

/// The package has its version for itself; the header must tell the same.
const _: () = {
    assert!(number(env!("CARGO_PKG_VERSION_MAJOR")) == SPMSG_VERSION_MAJOR);
    assert!(number(env!("CARGO_PKG_VERSION_MINOR")) == SPMSG_VERSION_MINOR);
    assert!(number(env!("CARGO_PKG_VERSION_PATCH")) == SPMSG_VERSION_PATCH);
};

/// Entries are numbered where they are made, and credentials put together; the header is the law.
const _: () = {
    assert!(peer::LEVEL == SPMSG_CONTROL && peer::NUMBER == SPMSG_PEER);
    assert!(peer::ADDRESS == SPMSG_PEER_ADDRESS);
    assert!(peer::CREDENTIALS == SPMSG_PEER_CREDENTIALS);
    assert!(peer::HEADERS == SPMSG_PEER_HEADERS);
    assert!(peer::CERTIFICATE == SPMSG_PEER_CERTIFICATE);
    assert!(offset_of!(spmsg_credentials, pid) == 0 && size_of::<spmsg_credentials>() == 12);
    // Programs of all versions share them.
    assert!(size_of::<spmsg_event>() == 176 && align_of::<spmsg_event>() == 4);
    assert!(offset_of!(spmsg_credentials, uid) == 4 && offset_of!(spmsg_credentials, gid) == 8);
};

const fn number(digits: &str) -> c_int {
    let (digits, mut at, mut number) = (digits.as_bytes(), 0, 0);
    while at < digits.len() {
        number = number * 10 + (digits[at] - b'0') as c_int;
        at += 1;
    }
    number
}
