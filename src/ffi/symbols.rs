//! The names of this interface for programs that cannot read its headers.

use super::abi::bus::*;
use super::abi::inproc::*;
use super::abi::ipc::*;
use super::abi::nn::*;
use super::abi::pair::*;
use super::abi::pipeline::*;
use super::abi::pubsub::*;
use super::abi::reqrep::*;
use super::abi::survey::*;
use super::abi::tcp::*;
#[cfg(feature = "interface-1-2")]
use super::abi::unix::*;
use super::abi::ws::*;
use super::enter_lightly;
use super::raw::{self, OutPlace};
use crate::error::Error;
use libc::*;
use std::ffi::{CStr, c_char, c_int};
use std::mem::MaybeUninit;

/// Lists the names of this interface: gives the name with the index i, counted from 0, and stores
/// what it stands for in value, unless value is NULL.
///
/// The name must not be freed. Returns NULL with errno EINVAL behind the last name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nn_symbol(i: c_int, value: *mut c_int) -> *const c_char {
    enter_lightly(|| {
        let symbol = symbol(i).ok_or(Error::Invalid)?;
        if let Ok(place) = OutPlace::new(value) {
            // SAFETY: forwarded from our own contract.
            unsafe { place.write(symbol.value) };
        }
        Ok(symbol.name.as_ptr())
    })
}

/// Tells all about the name with the index i, counted from 0, as far as buflen bytes hold it.
///
/// Returns how many bytes were stored: 0 behind the last name, and when buf is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nn_symbol_info(
    i: c_int,
    buf: *mut nn_symbol_properties,
    buflen: c_int,
) -> c_int {
    enter_lightly(|| {
        let Some(symbol) = symbol(i) else { return Ok(0) };
        let room = usize::try_from(buflen).unwrap_or(0);
        // SAFETY: forwarded from our own contract.
        let stored = unsafe { raw::copy_out(&symbol.properties(), buf.cast(), room) };
        Ok(stored.map_or(0, |count| count as c_int))
    })
}

struct Symbol {
    name: &'static CStr,
    value: c_int,
    ns: c_int,
    r#type: c_int,
    unit: c_int,
}

impl Symbol {
    /// The bytes of the structure that C knows, with zeros for what lies between the members.
    fn properties(&self) -> [u8; size_of::<nn_symbol_properties>()] {
        let mut properties = MaybeUninit::<nn_symbol_properties>::zeroed();
        let place = properties.as_mut_ptr();
        // SAFETY: member by member, so that the padding stays zero.
        #[expect(clippy::multiple_unsafe_ops_per_block, reason = "one reason for five members")]
        unsafe {
            (&raw mut (*place).value).write(self.value);
            (&raw mut (*place).name).write(self.name.as_ptr());
            (&raw mut (*place).ns).write(self.ns);
            (&raw mut (*place).r#type).write(self.r#type);
            (&raw mut (*place).unit).write(self.unit);
        }
        // SAFETY: every byte is initialised, the padding as well.
        unsafe { place.cast::<[u8; size_of::<nn_symbol_properties>()]>().read() }
    }
}

fn symbol(index: c_int) -> Option<&'static Symbol> {
    SYMBOLS.get(usize::try_from(index).ok()?)
}

/// A function cannot turn a name into a string and a value.
macro_rules! symbols {
    ($($ns:ident, $type:ident, $unit:ident: $($(#[$level:meta])? $name:ident)+;)+) => {
        [$($($(#[$level])? Symbol {
            name: match CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                Ok(name) => name,
                Err(_) => panic!("a name contains a zero byte"),
            },
            value: $name,
            ns: $ns,
            r#type: $type,
            unit: $unit,
        },)+)+]
    };
}

/// Programs find names by their index, so the order is part of the interface: new ones go to the
/// end. The one exception is not ours: the interface of 1.2 has a name more, and moves those behind
/// it.
static SYMBOLS: [Symbol; COUNT] = symbols! {
    NN_NS_NAMESPACE, NN_TYPE_NONE, NN_UNIT_NONE:
        NN_NS_NAMESPACE NN_NS_VERSION NN_NS_DOMAIN NN_NS_TRANSPORT NN_NS_PROTOCOL
        NN_NS_OPTION_LEVEL NN_NS_SOCKET_OPTION NN_NS_TRANSPORT_OPTION NN_NS_OPTION_TYPE
        NN_NS_OPTION_UNIT NN_NS_FLAG NN_NS_ERROR NN_NS_LIMIT NN_NS_EVENT NN_NS_STATISTIC;
    NN_NS_OPTION_TYPE, NN_TYPE_NONE, NN_UNIT_NONE: NN_TYPE_NONE NN_TYPE_INT NN_TYPE_STR;
    NN_NS_OPTION_UNIT, NN_TYPE_NONE, NN_UNIT_NONE:
        NN_UNIT_NONE NN_UNIT_BYTES NN_UNIT_MILLISECONDS NN_UNIT_PRIORITY NN_UNIT_BOOLEAN
        NN_UNIT_COUNTER NN_UNIT_MESSAGES;
    NN_NS_VERSION, NN_TYPE_NONE, NN_UNIT_NONE:
        NN_VERSION_CURRENT NN_VERSION_REVISION NN_VERSION_AGE;
    NN_NS_DOMAIN, NN_TYPE_NONE, NN_UNIT_NONE: AF_SP AF_SP_RAW;
    NN_NS_TRANSPORT, NN_TYPE_NONE, NN_UNIT_NONE:
        NN_INPROC NN_IPC #[cfg(feature = "interface-1-2")] NN_UNIX NN_TCP NN_WS;
    NN_NS_PROTOCOL, NN_TYPE_NONE, NN_UNIT_NONE:
        NN_PAIR NN_PUB NN_SUB NN_REP NN_REQ NN_PUSH NN_PULL NN_SURVEYOR NN_RESPONDENT NN_BUS;
    NN_NS_LIMIT, NN_TYPE_NONE, NN_UNIT_NONE: NN_SOCKADDR_MAX;
    NN_NS_OPTION_LEVEL, NN_TYPE_NONE, NN_UNIT_NONE: NN_SOL_SOCKET;
    NN_NS_SOCKET_OPTION, NN_TYPE_INT, NN_UNIT_MILLISECONDS: NN_LINGER;
    NN_NS_SOCKET_OPTION, NN_TYPE_INT, NN_UNIT_BYTES: NN_SNDBUF NN_RCVBUF NN_RCVMAXSIZE;
    NN_NS_SOCKET_OPTION, NN_TYPE_INT, NN_UNIT_MILLISECONDS:
        NN_SNDTIMEO NN_RCVTIMEO NN_RECONNECT_IVL NN_RECONNECT_IVL_MAX;
    NN_NS_SOCKET_OPTION, NN_TYPE_INT, NN_UNIT_PRIORITY: NN_SNDPRIO NN_RCVPRIO;
    NN_NS_SOCKET_OPTION, NN_TYPE_INT, NN_UNIT_NONE: NN_SNDFD NN_RCVFD NN_DOMAIN NN_PROTOCOL;
    NN_NS_SOCKET_OPTION, NN_TYPE_INT, NN_UNIT_BOOLEAN: NN_IPV4ONLY;
    NN_NS_SOCKET_OPTION, NN_TYPE_STR, NN_UNIT_NONE: NN_SOCKET_NAME;
    NN_NS_SOCKET_OPTION, NN_TYPE_INT, NN_UNIT_NONE: NN_MAXTTL;
    NN_NS_TRANSPORT_OPTION, NN_TYPE_STR, NN_UNIT_NONE: NN_SUB_SUBSCRIBE NN_SUB_UNSUBSCRIBE;
    NN_NS_TRANSPORT_OPTION, NN_TYPE_INT, NN_UNIT_MILLISECONDS:
        NN_REQ_RESEND_IVL NN_SURVEYOR_DEADLINE;
    NN_NS_TRANSPORT_OPTION, NN_TYPE_INT, NN_UNIT_BOOLEAN: NN_TCP_NODELAY;
    NN_NS_TRANSPORT_OPTION, NN_TYPE_INT, NN_UNIT_NONE: NN_WS_MSG_TYPE;
    NN_NS_FLAG, NN_TYPE_NONE, NN_UNIT_NONE:
        NN_DONTWAIT NN_WS_MSG_TYPE_TEXT NN_WS_MSG_TYPE_BINARY;
    NN_NS_EVENT, NN_TYPE_NONE, NN_UNIT_NONE: NN_POLLIN NN_POLLOUT;
    NN_NS_ERROR, NN_TYPE_NONE, NN_UNIT_NONE:
        EADDRINUSE EADDRNOTAVAIL EAFNOSUPPORT EAGAIN EBADF ECONNREFUSED EFAULT EFSM EINPROGRESS
        EINTR EINVAL EMFILE ENAMETOOLONG ENETDOWN ENOBUFS ENODEV ENOMEM ENOPROTOOPT ENOTSOCK
        ENOTSUP EPROTO EPROTONOSUPPORT ETERM ETIMEDOUT EACCES ECONNABORTED ECONNRESET EHOSTUNREACH
        EMSGSIZE ENETRESET ENETUNREACH ENOTCONN;
    NN_NS_STATISTIC, NN_TYPE_INT, NN_UNIT_COUNTER:
        NN_STAT_ESTABLISHED_CONNECTIONS NN_STAT_ACCEPTED_CONNECTIONS NN_STAT_DROPPED_CONNECTIONS
        NN_STAT_BROKEN_CONNECTIONS NN_STAT_CONNECT_ERRORS NN_STAT_BIND_ERRORS
        NN_STAT_ACCEPT_ERRORS;
    NN_NS_STATISTIC, NN_TYPE_INT, NN_UNIT_MESSAGES:
        NN_STAT_MESSAGES_SENT NN_STAT_MESSAGES_RECEIVED;
    NN_NS_STATISTIC, NN_TYPE_INT, NN_UNIT_BYTES: NN_STAT_BYTES_SENT NN_STAT_BYTES_RECEIVED;
    NN_NS_STATISTIC, NN_TYPE_INT, NN_UNIT_NONE:
        NN_STAT_CURRENT_CONNECTIONS NN_STAT_INPROGRESS_CONNECTIONS;
    NN_NS_STATISTIC, NN_TYPE_INT, NN_UNIT_PRIORITY: NN_STAT_CURRENT_SND_PRIORITY;
    NN_NS_STATISTIC, NN_TYPE_INT, NN_UNIT_NONE: NN_STAT_CURRENT_EP_ERRORS;
};

const COUNT: usize = 121 + cfg!(feature = "interface-1-2") as usize;

#[cfg(test)]
mod tests {
    use super::*;

    /// Those in front of what 1.2 has put in between keep their places, the others move on.
    const MOVED: c_int = COUNT as c_int - 121;

    #[test]
    fn names_go_with_their_values() {
        let found = |index: c_int| {
            let symbol = symbol(index).unwrap();
            (symbol.name.to_str().unwrap(), symbol.value, symbol.ns, symbol.r#type, symbol.unit)
        };
        assert_eq!(found(0), ("NN_NS_NAMESPACE", 0, 0, 0, 0));
        assert_eq!(found(37 + MOVED), ("NN_REP", 49, 4, 0, 0));
        assert_eq!(found(81 + MOVED), ("EFSM", 156_384_766, 11, 0, 0));
        assert_eq!(found(120 + MOVED), ("NN_STAT_CURRENT_EP_ERRORS", 203, 14, 1, 0));
        assert!(symbol(121 + MOVED).is_none());
        assert!(symbol(-1).is_none());
    }

    /// The table of the layer below and the names for programs say the same.
    #[test]
    fn units_are_those_of_the_options() {
        use crate::transports::Unit;
        let mut compared = 0;
        for row in crate::core::option::TABLE.rows {
            let is_it =
                |symbol: &&Symbol| symbol.ns == NN_NS_SOCKET_OPTION && symbol.value == row.number;
            // Options that the reference does not have are not in its list either.
            let Some(symbol) = SYMBOLS.iter().find(is_it) else { continue };
            let expected = match row.unit {
                Unit::Bytes => NN_UNIT_BYTES,
                Unit::Milliseconds => NN_UNIT_MILLISECONDS,
                Unit::Priority => NN_UNIT_PRIORITY,
                Unit::Flag => NN_UNIT_BOOLEAN,
                Unit::Messages
                | Unit::Seconds
                | Unit::Hops
                | Unit::Peers
                | Unit::Choice
                | Unit::Permissions
                | Unit::Address => NN_UNIT_NONE,
            };
            assert_eq!(symbol.unit, expected, "{row:?}");
            compared += 1;
        }
        assert_eq!(compared, 12);
    }

    #[test]
    fn properties_are_cut_off_at_the_room() {
        let mut buffer = [0xee_u8; 40];
        let mut info = |index, room| {
            // SAFETY: the buffer has more room than any structure.
            let stored = unsafe { nn_symbol_info(index, buffer.as_mut_ptr().cast(), room) };
            (stored, buffer[4])
        };
        assert_eq!(info(16, 4), (4, 0xee));
        let whole = size_of::<nn_symbol_properties>() as c_int;
        assert_eq!(info(16, 40).0, whole);
        assert_eq!(info(16, -1).0, 0);
        assert_eq!(info(121 + MOVED, 40).0, 0);
        assert_eq!(buffer[..4], 1_i32.to_ne_bytes());
        // SAFETY: null is recognised.
        assert_eq!(unsafe { nn_symbol_info(16, std::ptr::null_mut(), 32) }, 0);
    }
}
