//! The sockets, their options and messages, and everything that is common to all protocols and
//! transports.

use libc::size_t;
use std::ffi::{c_char, c_int, c_short, c_void};

/// The version of this interface, as libtool counts: the newest interface that is offered, its
/// revision, and how many interfaces before it are offered as well.
pub const NN_VERSION_CURRENT: c_int = 5;
pub const NN_VERSION_REVISION: c_int = 1;
pub const NN_VERSION_AGE: c_int = 0;

/// The error numbers that no system has begin here.
pub const NN_HAUSNUMERO: c_int = 156384712;

/// The library was terminated by nn_term.
pub const ETERM: c_int = NN_HAUSNUMERO + 53;

/// The protocol does not allow the operation in the state in which the socket is.
pub const EFSM: c_int = NN_HAUSNUMERO + 54;

/// Namespaces of what nn_symbol lists. The first is that of the namespaces themselves.
pub const NN_NS_NAMESPACE: c_int = 0;
pub const NN_NS_VERSION: c_int = 1;
pub const NN_NS_DOMAIN: c_int = 2;
pub const NN_NS_TRANSPORT: c_int = 3;
pub const NN_NS_PROTOCOL: c_int = 4;
pub const NN_NS_OPTION_LEVEL: c_int = 5;
pub const NN_NS_SOCKET_OPTION: c_int = 6;
pub const NN_NS_TRANSPORT_OPTION: c_int = 7;
pub const NN_NS_OPTION_TYPE: c_int = 8;
pub const NN_NS_OPTION_UNIT: c_int = 9;
pub const NN_NS_FLAG: c_int = 10;
pub const NN_NS_ERROR: c_int = 11;
pub const NN_NS_LIMIT: c_int = 12;
pub const NN_NS_EVENT: c_int = 13;
pub const NN_NS_STATISTIC: c_int = 14;

/// Types of what nn_symbol lists.
pub const NN_TYPE_NONE: c_int = 0;
pub const NN_TYPE_INT: c_int = 1;
pub const NN_TYPE_STR: c_int = 2;

/// Units of what nn_symbol lists.
pub const NN_UNIT_NONE: c_int = 0;
pub const NN_UNIT_BYTES: c_int = 1;
pub const NN_UNIT_MILLISECONDS: c_int = 2;
pub const NN_UNIT_PRIORITY: c_int = 3;
pub const NN_UNIT_BOOLEAN: c_int = 4;
pub const NN_UNIT_MESSAGES: c_int = 5;
pub const NN_UNIT_COUNTER: c_int = 6;

/// The size that stands for "whatever size the message has". The buffer argument is then the
/// address of a pointer to a message of nn_allocmsg instead of the address of bytes.
pub const NN_MSG: size_t = -1_isize as size_t;

/// The domain of ordinary sockets.
pub const AF_SP: c_int = 1;

/// The domain of raw sockets, which pass protocol headers to the program and keep no state.
pub const AF_SP_RAW: c_int = 2;

/// The size of the longest address with the zero byte at its end.
pub const NN_SOCKADDR_MAX: c_int = 128;

/// The level of the options that every socket has.
pub const NN_SOL_SOCKET: c_int = 0;

/// An int, milliseconds: how long nn_close may take to deliver what was sent; 1000 unless set.
pub const NN_LINGER: c_int = 1;

/// An int, bytes: how much may wait to be sent; 131072 unless set.
pub const NN_SNDBUF: c_int = 2;

/// An int, bytes: how much may wait to be received; 131072 unless set.
pub const NN_RCVBUF: c_int = 3;

/// An int, milliseconds, negative for no limit: how long sending waits until it fails; -1 unless
/// set.
pub const NN_SNDTIMEO: c_int = 4;

/// An int, milliseconds, negative for no limit: how long receiving waits until it fails; -1 unless
/// set.
pub const NN_RCVTIMEO: c_int = 5;

/// An int, milliseconds: the time between two attempts to connect; 100 unless set.
pub const NN_RECONNECT_IVL: c_int = 6;

/// An int, milliseconds: the time between attempts to connect grows up to this, or does not grow
/// when it is 0; 0 unless set.
pub const NN_RECONNECT_IVL_MAX: c_int = 7;

/// An int, 1 (best) to 16: the priority, when sending, of peers of endpoints made from now on;
/// 8 unless set.
pub const NN_SNDPRIO: c_int = 8;

/// An int, 1 (best) to 16: the priority, when receiving, of peers of endpoints made from now on;
/// 8 unless set.
pub const NN_RCVPRIO: c_int = 9;

/// A descriptor, read-only: poll it for POLLIN to learn that the socket can send.
pub const NN_SNDFD: c_int = 10;

/// A descriptor, read-only: poll it for POLLIN to learn that the socket can receive.
pub const NN_RCVFD: c_int = 11;

/// An int, read-only: the domain with which the socket was made.
pub const NN_DOMAIN: c_int = 12;

/// An int, read-only: the protocol with which the socket was made.
pub const NN_PROTOCOL: c_int = 13;

/// An int, 0 or 1: whether IPv6 addresses are left aside; 1 unless set.
pub const NN_IPV4ONLY: c_int = 14;

/// A string of at most 63 bytes: what the socket is called in messages for humans.
pub const NN_SOCKET_NAME: c_int = 15;

/// An int, bytes, -1 for no limit: a peer that sends a larger message is disconnected; 1048576
/// unless set.
pub const NN_RCVMAXSIZE: c_int = 16;

/// An int, 1 to 255: how many hops a message may have made to be received; 8 unless
/// set.
pub const NN_MAXTTL: c_int = 17;

/// A flag for sending and receiving: fail with EAGAIN rather than wait.
pub const NN_DONTWAIT: c_int = 1;

/// The level of the control data of the scalability protocols.
pub const PROTO_SP: c_int = 1;

/// The type of the control data that holds the protocol's header: its size as a size_t, then its
/// bytes.
pub const SP_HDR: c_int = 1;

/// An event for nn_poll: the socket can receive.
pub const NN_POLLIN: c_int = 1;

/// An event for nn_poll: the socket can send.
pub const NN_POLLOUT: c_int = 2;

/// Statistics that only grow: connections that the socket made, that it accepted, that it ended,
/// that others ended; failed attempts to connect, to bind, to accept.
pub const NN_STAT_ESTABLISHED_CONNECTIONS: c_int = 101;
pub const NN_STAT_ACCEPTED_CONNECTIONS: c_int = 102;
pub const NN_STAT_DROPPED_CONNECTIONS: c_int = 103;
pub const NN_STAT_BROKEN_CONNECTIONS: c_int = 104;
pub const NN_STAT_CONNECT_ERRORS: c_int = 105;
pub const NN_STAT_BIND_ERRORS: c_int = 106;
pub const NN_STAT_ACCEPT_ERRORS: c_int = 107;

/// Statistics that rise and fall: connections, attempts to connect, endpoints in error.
pub const NN_STAT_CURRENT_CONNECTIONS: c_int = 201;
pub const NN_STAT_INPROGRESS_CONNECTIONS: c_int = 202;
pub const NN_STAT_CURRENT_EP_ERRORS: c_int = 203;

/// Statistics of the traffic. Bytes are those of the bodies.
pub const NN_STAT_MESSAGES_SENT: c_int = 301;
pub const NN_STAT_MESSAGES_RECEIVED: c_int = 302;
pub const NN_STAT_BYTES_SENT: c_int = 303;
pub const NN_STAT_BYTES_RECEIVED: c_int = 304;

/// The priority of the peers that are sent to at present.
pub const NN_STAT_CURRENT_SND_PRIORITY: c_int = 401;

/// What nn_symbol_info tells about a name.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct nn_symbol_properties {
    /// The value of the name.
    pub value: c_int,
    /// The name itself.
    pub name: *const c_char,
    /// Its namespace, one of NN_NS_*.
    pub ns: c_int,
    /// The type of an option's value, one of NN_TYPE_*.
    pub r#type: c_int,
    /// The unit of an option's value or of a statistic, one of NN_UNIT_*.
    pub unit: c_int,
}

/// One of the pieces that make up a body.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct nn_iovec {
    pub iov_base: *mut c_void,
    pub iov_len: size_t,
}

/// A message for nn_sendmsg and nn_recvmsg: a body in pieces, and control data.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct nn_msghdr {
    pub msg_iov: *mut nn_iovec,
    pub msg_iovlen: c_int,
    pub msg_control: *mut c_void,
    pub msg_controllen: size_t,
}

/// The head of one entry of control data. Its data follows it.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct nn_cmsghdr {
    /// The size of the entry with this head.
    pub cmsg_len: size_t,
    pub cmsg_level: c_int,
    pub cmsg_type: c_int,
}

/// One of the sockets that nn_poll looks at.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct nn_pollfd {
    /// The socket.
    pub fd: c_int,
    /// What is asked for: NN_POLLIN, NN_POLLOUT.
    pub events: c_short,
    /// What was found to hold of it.
    pub revents: c_short,
}
