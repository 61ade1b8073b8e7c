//! Socket options: bytes in, bytes out. What they mean is core's business.

use super::enter_socket;
use super::raw::{self, OutPlace};
use crate::core::OptionValue;
use crate::error::Error;
use libc::size_t;
use std::ffi::{c_int, c_void};
use std::ptr;

/// Sets an option. The level is NN_SOL_SOCKET, a transport such as NN_TCP or a socket type such as
/// NN_SUB.
///
/// Returns 0, or -1 with errno EBADF, EFAULT when optval is NULL and optvallen is not 0,
/// ENOPROTOOPT when the socket has no such option or it cannot be set, EINVAL for a size or a
/// value that the option cannot have. An option that cannot be set keeps its value.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nn_setsockopt(
    s: c_int,
    level: c_int,
    option: c_int,
    optval: *const c_void,
    optvallen: size_t,
) -> c_int {
    enter_socket(s, |socket| {
        // SAFETY: forwarded from our own contract.
        let bytes = unsafe { raw::bytes(optval, optvallen) }?;
        socket.set_option(level, option, (!optval.is_null()).then_some(bytes)).map(|()| 0)
    })
}

/// Gets an option. optvallen holds the room at optval, and then the size of the option.
///
/// A value that does not fit is cut off, except that the options of REQ and SURVEYOR need their
/// room. A string gets no zero byte at its end unless there is room for one.
///
/// Returns 0, or -1 with errno EBADF, EFAULT when optval or optvallen is NULL, ENOPROTOOPT when
/// the socket has no such option or it cannot be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nn_getsockopt(
    s: c_int,
    level: c_int,
    option: c_int,
    optval: *mut c_void,
    optvallen: *mut size_t,
) -> c_int {
    enter_socket(s, |socket| {
        if optval.is_null() && !optvallen.is_null() {
            return Err(Error::BadPointer);
        }
        // An unknown option is told even to those who have no room for a known one.
        let found = socket.option(level, option)?;
        let len = OutPlace::new(optvallen)?;
        if optval.is_null() {
            return Err(Error::BadPointer);
        }
        // SAFETY: forwarded from our own contract.
        let room = unsafe { len.read() };
        // SAFETY: forwarded from our own contract.
        let size = unsafe { store(&found, optval, room) }?;
        // SAFETY: forwarded from our own contract.
        unsafe { len.write(size) };
        Ok(0)
    })
}

/// Stores what fits into `room` bytes; returns the size that is reported.
///
/// # Safety
/// `target` is not null and has `room` bytes.
unsafe fn store(found: &OptionValue, target: *mut c_void, room: usize) -> Result<usize, Error> {
    let copy = |bytes: &[u8]| {
        // SAFETY: forwarded from our own contract.
        unsafe { raw::copy_out(bytes, target, room) }?;
        Ok(bytes.len())
    };
    match found {
        OptionValue::Int(value) => copy(&value.to_ne_bytes()),
        OptionValue::ExactInt(_) if room < size_of::<c_int>() => Err(Error::Invalid),
        OptionValue::ExactInt(value) => copy(&value.to_ne_bytes()),
        OptionValue::Pointer(address) => copy(&address.to_ne_bytes()),
        OptionValue::Text(text) => {
            if let Some(rest) = room.checked_sub(text.len()) {
                // SAFETY: the rest lies inside the room, behind what the text will take.
                let end = unsafe { target.byte_add(text.len()) };
                // SAFETY: as above.
                unsafe { ptr::write_bytes(end.cast::<u8>(), 0, rest) };
            }
            copy(text)
        }
    }
}

/// Each layer numbers its options for itself; the headers are the law.
const _: () = {
    use super::abi::{ipc::*, nn::*, pubsub::*, reqrep::*, spmsg::*, survey::*, tcp::*, ws::*};
    use crate::core::option as socket;
    use crate::protocols::option;
    use crate::transports::{MessageKind, NETWORKS, ipc_option as ipc, message_label};
    use crate::transports::{tcp_option as tcp, tls_option as tls, ws_option as ws};
    assert!(socket::LEVEL == NN_SOL_SOCKET && ipc::LEVEL == NN_IPC);
    assert!(tcp::LEVEL == NN_TCP && ws::LEVEL == NN_WS);
    assert!(socket::LINGER.number == NN_LINGER && socket::NAME == NN_SOCKET_NAME);
    assert!(socket::SEND_BUFFER.number == NN_SNDBUF);
    assert!(socket::RECV_BUFFER.number == NN_RCVBUF);
    assert!(socket::SEND_TIMEOUT.number == NN_SNDTIMEO);
    assert!(socket::RECV_TIMEOUT.number == NN_RCVTIMEO);
    assert!(socket::RECONNECT_INTERVAL.number == NN_RECONNECT_IVL);
    assert!(socket::RECONNECT_INTERVAL_MAX.number == NN_RECONNECT_IVL_MAX);
    assert!(socket::SEND_PRIORITY.number == NN_SNDPRIO);
    assert!(socket::RECV_PRIORITY.number == NN_RCVPRIO);
    assert!(socket::SEND_DESCRIPTOR == NN_SNDFD && socket::RECV_DESCRIPTOR == NN_RCVFD);
    assert!(socket::DOMAIN == NN_DOMAIN && socket::PROTOCOL == NN_PROTOCOL);
    assert!(socket::IPV4_ONLY.number == NN_IPV4ONLY && socket::MAX_TTL.number == NN_MAXTTL);
    assert!(socket::RECV_MAX_SIZE.number == NN_RCVMAXSIZE);
    assert!(socket::PEER_INFO.number == SPMSG_PEER_INFO);
    assert!(socket::ACCEPT_USER.number == SPMSG_ACCEPT_UID);
    assert!(NETWORKS.level == NN_SOL_SOCKET && NETWORKS.number == SPMSG_ACCEPT_NETWORKS);
    assert!(socket::SEND_BUFFER_MESSAGES.number == SPMSG_SNDBUF_MESSAGES);
    assert!(socket::RECV_BUFFER_MESSAGES.number == SPMSG_RCVBUF_MESSAGES);
    assert!(socket::DROP.number == SPMSG_DROP && socket::DROP_NEWEST == SPMSG_DROP_NEWEST);
    assert!(socket::DROP_OLDEST == SPMSG_DROP_OLDEST);
    assert!(socket::DROP_NOTHING == SPMSG_DROP_NOTHING);
    assert!(tcp::NO_DELAY.number == NN_TCP_NODELAY);
    assert!(tcp::KEEPALIVE.number == SPMSG_TCP_KEEPALIVE);
    assert!(ws::MESSAGE_TYPE.number == NN_WS_MSG_TYPE && ws::PING.number == SPMSG_WS_PING);
    assert!(tls::LEVEL == SPMSG_TLS && tls::VERIFY.number == SPMSG_TLS_VERIFY);
    assert!(tls::VERSION_MIN.number == SPMSG_TLS_VERSION_MIN);
    assert!(tls::HANDSHAKES_MAX.number == SPMSG_TLS_HANDSHAKES_MAX);
    assert!(tls::CERTIFICATE.number == SPMSG_TLS_CERTIFICATE && tls::KEY.number == SPMSG_TLS_KEY);
    assert!(tls::TRUST.number == SPMSG_TLS_TRUST && tls::NAME.number == SPMSG_TLS_NAME);
    assert!(tls::REVOKED.number == SPMSG_TLS_REVOKED);
    assert!(tls::NONE == SPMSG_TLS_VERIFY_NONE && tls::OPTIONAL == SPMSG_TLS_VERIFY_OPTIONAL);
    assert!(tls::REQUIRED == SPMSG_TLS_VERIFY_REQUIRED);
    assert!(message_label::LEVEL == NN_WS && message_label::MESSAGE_TYPE == NN_WS_MSG_TYPE);
    assert!(ws::HEADERS.level == NN_WS && ws::HEADERS.number == SPMSG_WS_HEADERS);
    assert!(MessageKind::Text as i32 == NN_WS_MSG_TYPE_TEXT);
    assert!(MessageKind::Binary as i32 == NN_WS_MSG_TYPE_BINARY);
    assert!(ipc::SECURITY.number == NN_IPC_SEC_ATTR && ipc::MODE.number == SPMSG_IPC_MODE);
    assert!(ipc::OUTPUT_BUFFER.number == NN_IPC_OUTBUFSZ);
    assert!(ipc::INPUT_BUFFER.number == NN_IPC_INBUFSZ);
    assert!(option::PAIR_MANY == SPMSG_PAIR_MANY);
    assert!(option::SUB_SUBSCRIBE == NN_SUB_SUBSCRIBE);
    assert!(option::SUB_UNSUBSCRIBE == NN_SUB_UNSUBSCRIBE && option::SUB_LAST == SPMSG_SUB_LAST);
    assert!(option::REQ_RESEND_INTERVAL == NN_REQ_RESEND_IVL);
    assert!(option::REQ_RESEND_ON_LOSS == SPMSG_REQ_RESEND_ON_LOSS);
    assert!(option::SURVEYOR_DEADLINE == NN_SURVEYOR_DEADLINE);
};

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(found: &OptionValue, room: usize) -> (Result<usize, Error>, [u8; 10]) {
        let mut buffer = [0xee; 10];
        // SAFETY: no test claims more room than there is.
        let result = unsafe { store(found, buffer.as_mut_ptr().cast(), room) };
        (result, buffer)
    }

    #[test]
    fn integers_are_cut_off_or_refused() {
        let value = c_int::from_ne_bytes([1, 2, 3, 4]);
        assert_eq!(stored(&OptionValue::Int(value), 2).1[..3], [1, 2, 0xee]);
        assert_eq!(stored(&OptionValue::Int(value), 0).0, Ok(4));
        assert_eq!(stored(&OptionValue::Int(value), 10).1[3..5], [4, 0xee]);
        assert_eq!(stored(&OptionValue::ExactInt(value), 3), (Err(Error::Invalid), [0xee; 10]));
        assert_eq!(stored(&OptionValue::ExactInt(value), 4).0, Ok(4));
    }

    #[test]
    fn pointers_never_exceed_the_room() {
        let (result, buffer) = stored(&OptionValue::Pointer(usize::MAX - 0xff), 4);
        assert_eq!((result, buffer[3], buffer[4]), (Ok(size_of::<usize>()), 0xff, 0xee));
    }

    #[test]
    fn a_text_fills_its_room_with_zeros() {
        let name = OptionValue::Text(b"abcd".to_vec());
        assert_eq!(stored(&name, 8), (Ok(4), *b"abcd\0\0\0\0\xee\xee"));
        assert_eq!(stored(&name, 2), (Ok(4), *b"ab\xee\xee\xee\xee\xee\xee\xee\xee"));
        assert_eq!(stored(&name, 4), (Ok(4), *b"abcd\xee\xee\xee\xee\xee\xee"));
    }
}
