//! All figures of a socket at once, as numbers and as text.

use super::abi::spmsg::*;
use super::extension::store_text;
use super::{enter, enter_socket, raw, with_socket};
use crate::core::{self, Figure, Level, Report};
use crate::memory::Attempt;
use libc::size_t;
use std::ffi::{c_char, c_int};

/// Stores the figures of a socket: an entry for itself, then one for each endpoint, then one for
/// each peer that is connected. Of more than count entries, only the first count are stored.
///
/// Returns how many there are, or -1 with errno EBADF, ENOMEM, or EFAULT when entries is NULL and
/// count is not 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spmsg_statistics(
    s: c_int,
    entries: *mut spmsg_statistics,
    count: size_t,
) -> c_int {
    enter_socket(s, |socket| {
        let attempt = Attempt::begin()?;
        let all = socket.report()?;
        attempt.check()?;
        let len = raw::count(all.len())?;
        // SAFETY: forwarded from our own contract.
        let places = unsafe { raw::array_mut(entries, count) }?;
        for (place, figures) in places.iter_mut().zip(&all) {
            *place = converted(figures);
        }
        Ok(len)
    })
}

/// Stores the figures of a socket as text, in the format that Prometheus reads; with -1 for s,
/// those of all sockets of the process. Nothing is served: that is the program's to do.
///
/// Like snprintf, stores at most size bytes, the last of them 0, and returns the length that the
/// whole text has, which may be another one the next time. Returns -1 with errno EBADF, ENOMEM, or
/// EFAULT when buf is NULL and size is not 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn spmsg_statistics_text(s: c_int, buf: *mut c_char, size: size_t) -> c_int {
    enter(|| {
        let attempt = Attempt::begin()?;
        let figures = match s {
            ALL => core::report_all(),
            _ => with_socket(s, |socket| socket.report())?,
        };
        let text = core::exposition(&figures);
        attempt.check()?;
        // SAFETY: forwarded from our own contract.
        unsafe { store_text(text, buf, size) }
    })
}

fn converted(figures: &Report) -> spmsg_statistics {
    let mut address = [0; SPMSG_ADDRESS_MAX];
    // The last place keeps its zero.
    for (place, byte) in address[..SPMSG_ADDRESS_MAX - 1].iter_mut().zip(&figures.address) {
        *place = *byte as c_char;
    }
    let mut values = [0; SPMSG_VALUES];
    values[..Figure::COUNT].copy_from_slice(&figures.values);
    spmsg_statistics {
        of: match figures.level {
            Level::Socket => SPMSG_OF_SOCKET,
            Level::Endpoint => SPMSG_OF_ENDPOINT,
            Level::Peer => SPMSG_OF_PEER,
        },
        endpoint: figures.endpoint,
        peer: figures.peer,
        reserved: 0,
        values,
        address,
    }
}

/// In the place of a handle.
const ALL: c_int = -1;

/// Core numbers the figures for itself; the header is the law.
const _: () = {
    let all = [
        (Figure::MessagesSent, SPMSG_MESSAGES_SENT),
        (Figure::MessagesReceived, SPMSG_MESSAGES_RECEIVED),
        (Figure::BytesSent, SPMSG_BYTES_SENT),
        (Figure::BytesReceived, SPMSG_BYTES_RECEIVED),
        (Figure::Connections, SPMSG_CONNECTIONS),
        (Figure::Connected, SPMSG_CONNECTED),
        (Figure::Reconnected, SPMSG_RECONNECTED),
        (Figure::ConnectErrors, SPMSG_CONNECT_ERRORS),
        (Figure::AcceptErrors, SPMSG_ACCEPT_ERRORS),
        (Figure::Violations, SPMSG_VIOLATIONS),
        (Figure::DroppedNoRoom, SPMSG_DROPPED_NO_ROOM),
        (Figure::DroppedNoMemory, SPMSG_DROPPED_NO_MEMORY),
        (Figure::DroppedAstray, SPMSG_DROPPED_ASTRAY),
        (Figure::DroppedUnsubscribed, SPMSG_DROPPED_UNSUBSCRIBED),
        (Figure::DroppedHops, SPMSG_DROPPED_HOPS),
        (Figure::DroppedMalformed, SPMSG_DROPPED_MALFORMED),
        (Figure::DroppedStale, SPMSG_DROPPED_STALE),
        (Figure::DroppedTooLarge, SPMSG_DROPPED_TOO_LARGE),
        (Figure::RefusedType, SPMSG_REFUSED_TYPE),
        (Figure::RefusedViolation, SPMSG_REFUSED_VIOLATION),
        (Figure::RefusedTimeout, SPMSG_REFUSED_TIMEOUT),
        (Figure::RefusedLeft, SPMSG_REFUSED_LEFT),
        (Figure::RefusedDenied, SPMSG_REFUSED_DENIED),
        (Figure::RefusedUnwanted, SPMSG_REFUSED_UNWANTED),
        (Figure::RefusedStranger, SPMSG_REFUSED_STRANGER),
        (Figure::SendQueueMessages, SPMSG_SEND_QUEUE_MESSAGES),
        (Figure::SendQueueBytes, SPMSG_SEND_QUEUE_BYTES),
        (Figure::SendQueueMessagesMost, SPMSG_SEND_QUEUE_MESSAGES_MOST),
        (Figure::SendQueueBytesMost, SPMSG_SEND_QUEUE_BYTES_MOST),
        (Figure::SendQueueOldestMs, SPMSG_SEND_QUEUE_OLDEST_MS),
        (Figure::ReceiveQueueMessages, SPMSG_RECEIVE_QUEUE_MESSAGES),
        (Figure::ReceiveQueueBytes, SPMSG_RECEIVE_QUEUE_BYTES),
        (Figure::ReceiveQueueMessagesMost, SPMSG_RECEIVE_QUEUE_MESSAGES_MOST),
        (Figure::ReceiveQueueBytesMost, SPMSG_RECEIVE_QUEUE_BYTES_MOST),
        (Figure::ReceiveQueueOldestMs, SPMSG_RECEIVE_QUEUE_OLDEST_MS),
        (Figure::ReadBy, SPMSG_READ_BY),
    ];
    let mut at = 0;
    while at < all.len() {
        assert!(all[at].0 as c_int == all[at].1 && all[at].1 == at as c_int);
        at += 1;
    }
    assert!(all.len() == Figure::COUNT && Figure::COUNT <= SPMSG_VALUES);
};
