//! Beyond the reference: what this library offers and libnanomsg does not. A program that includes
//! this header runs on this library only. The functions of nn.h behave as they do without it.

use std::ffi::{c_char, c_int, c_uint};

/// The version of the library that this header comes with.
pub const SPMSG_VERSION_MAJOR: c_int = 0;
pub const SPMSG_VERSION_MINOR: c_int = 1;
pub const SPMSG_VERSION_PATCH: c_int = 0;

/// The same as one number that grows with each version, for comparing.
pub const SPMSG_VERSION: c_int =
    SPMSG_VERSION_MAJOR * 1000000 + SPMSG_VERSION_MINOR * 1000 + SPMSG_VERSION_PATCH;

/// Where our own numbers begin, far from those of libnanomsg.
pub const SPMSG_BASE: c_int = 1397751808;

/// The size of the longest address that a function of this header stores, with its zero byte.
pub const SPMSG_ADDRESS_MAX: usize = 160;

/// An int at level NN_SOL_SOCKET, 0 or 1, 0 unless set: whether the control data that nn_recvmsg
/// stores tells whom the message comes from, in further entries behind the others.
pub const SPMSG_PEER_INFO: c_int = SPMSG_BASE + 1;

/// The level of these entries.
pub const SPMSG_CONTROL: c_int = SPMSG_BASE;

/// The type of the entry with the peer's number, an unsigned int that is never 0: the same from its
/// coming to its going, and no other peer of the socket ever has it. Sent with a message, the entry
/// says whom it is for, where SPMSG_PAIR_MANY asks for that.
pub const SPMSG_PEER: c_int = SPMSG_BASE + 3;

/// The type of the entry with the peer's address, a string: where it sends from on tcp and ws, the
/// address at which both have met on ipc and inproc.
pub const SPMSG_PEER_ADDRESS: c_int = SPMSG_BASE + 1;

/// The type of the entry with a struct spmsg_credentials, which only ipc has.
pub const SPMSG_PEER_CREDENTIALS: c_int = SPMSG_BASE + 2;

/// An int at level NN_PAIR, 0 or 1, 0 unless set: whether a PAIR keeps every peer that comes, and
/// not only the first. It is set before the first one comes; while there are peers, or messages
/// that they have left, setting another value fails with EFSM.
///
/// Messages are received from all peers in turn, with an SPMSG_PEER entry in their control data.
/// One that is sent is for the peer that such an entry names. Without one it is for the only peer;
/// it fails with EINVAL when there are more, and waits when there is none. When the peer that it is
/// for can take no more it waits for that one, while others can be sent to; when that peer is not
/// there, or goes meanwhile, it fails with ENOTCONN. NN_SNDFD and NN_POLLOUT say that some peer
/// can take a message.
pub const SPMSG_PAIR_MANY: c_int = SPMSG_BASE + 16;

/// Who has connected, or who listens, as the kernel knew him when he began to.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct spmsg_credentials {
    /// The process.
    pub pid: c_int,
    /// The user and the group that it ran as.
    pub uid: c_uint,
    pub gid: c_uint,
}

/// Types of events: a peer is connected and can be sent to or received from; it is connected no
/// longer; an attempt to connect, or to accept, has failed; somebody did not speak as a peer
/// should; a peer did and is not wanted, as a second one by a PAIR.
pub const SPMSG_EVENT_CONNECTED: c_int = 1;
pub const SPMSG_EVENT_DISCONNECTED: c_int = 2;
pub const SPMSG_EVENT_CONNECT_FAILED: c_int = 3;
pub const SPMSG_EVENT_ACCEPT_FAILED: c_int = 4;
pub const SPMSG_EVENT_HANDSHAKE_FAILED: c_int = 5;
pub const SPMSG_EVENT_REJECTED: c_int = 6;

/// Reasons of events: there is none; the peer left; this side ended it; the system said so, as
/// error tells; a name has no address; the peer took too long to say what it is; it does not keep
/// to the rules of the protocol; its socket is of a type that does not fit; its message is larger
/// than NN_RCVMAXSIZE, or than memory; it says that of a message of ours, which it can on ws only;
/// the socket wants no more peers; a server has refused a WebSocket with a status of HTTP; the peer
/// was silent and has not answered, see SPMSG_WS_PING; it may not come, see SPMSG_ACCEPT_UID and
/// SPMSG_ACCEPT_NETWORKS. There may be more in later versions.
pub const SPMSG_REASON_NONE: c_int = 0;
pub const SPMSG_REASON_LEFT: c_int = 1;
pub const SPMSG_REASON_ENDED: c_int = 2;
pub const SPMSG_REASON_SYSTEM: c_int = 3;
pub const SPMSG_REASON_NO_ADDRESS: c_int = 4;
pub const SPMSG_REASON_TIMEOUT: c_int = 5;
pub const SPMSG_REASON_VIOLATION: c_int = 6;
pub const SPMSG_REASON_TYPE: c_int = 7;
pub const SPMSG_REASON_SIZE: c_int = 8;
pub const SPMSG_REASON_PEER_SIZE: c_int = 9;
pub const SPMSG_REASON_UNWANTED: c_int = 10;
pub const SPMSG_REASON_DENIED: c_int = 11;
pub const SPMSG_REASON_SILENT: c_int = 12;
pub const SPMSG_REASON_STRANGER: c_int = 13;

/// The size of the longest address of a peer in an event, with its zero byte.
pub const SPMSG_EVENT_PEER_MAX: usize = 128;

/// One thing that has happened to a connection. Its size never changes: what is told besides in
/// later versions takes the place of reserved.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct spmsg_event {
    /// One of SPMSG_EVENT_*.
    pub r#type: c_int,
    /// The endpoint to which it has happened, as the binding or connecting function returned it.
    pub endpoint: c_int,
    /// Why, as an error number: EPROTO when the peer broke the rules or is of another type,
    /// EMSGSIZE when a message was too large, EACCES when the peer may not come, ETIMEDOUT when the
    /// peer says nothing, ENXIO when a name has no address, and else that of the system. 0 when
    /// nothing went wrong.
    pub error: c_int,
    /// How many events directly before this one were lost, because too many waited.
    pub missed: c_uint,
    /// The address of the peer as SPMSG_PEER_ADDRESS tells it; that which was tried when connecting
    /// has failed; empty when accepting has failed.
    pub peer: [c_char; SPMSG_EVENT_PEER_MAX],
    /// Why, as one of SPMSG_REASON_*; spmsg_event_text has the words for it.
    pub reason: c_int,
    /// What the peer has sent, 0 if it is not known: with SPMSG_REASON_TYPE the type of its socket,
    /// such as NN_PUB, with SPMSG_REASON_SIZE the size of its message, or UINT_MAX if that is more,
    /// with SPMSG_REASON_DENIED the status, with SPMSG_REASON_STRANGER on ipc the user, or
    /// UINT_MAX.
    pub found: c_uint,
    /// What would have done: the only type that fits, the largest size, the only user; 0 where that
    /// is unlimited.
    pub allowed: c_uint,
    /// The number of the peer that has come or gone, as SPMSG_PEER tells it, else 0.
    pub number: c_uint,
    /// 0.
    pub reserved: [c_int; 4],
}

/// An int at level NN_IPC, up to 0777 or -1: the permissions of the files that sockets bound from
/// now on have, whatever the umask. With -1, the default, they are what the umask leaves.
pub const SPMSG_IPC_MODE: c_int = SPMSG_BASE + 2;

/// An int at level NN_TCP, seconds up to 32767, 0 for never: for connections of tcp and ws made
/// from now on, after how much silence the peer's machine is asked whether it is there. It is asked
/// three times at that distance, and the connection ends when there is no answer.
pub const SPMSG_TCP_KEEPALIVE: c_int = SPMSG_BASE + 3;

/// An int at level NN_SOL_SOCKET, a user or -1, the default, for all: whose processes may connect
/// to what is bound from now on over ipc, by what the kernel knows of them. Others are let go
/// before they are greeted, and an event tells SPMSG_REASON_STRANGER.
pub const SPMSG_ACCEPT_UID: c_int = SPMSG_BASE + 9;

/// A string at level NN_SOL_SOCKET, up to 64 networks with commas between them, such as
/// "127.0.0.0/8, ::1, fe80::/10"; empty, the default, for all: where peers may be that connect to
/// what is bound from now on over tcp and ws. Others are treated as with SPMSG_ACCEPT_UID.
/// Addresses of IPv4 are the same when they come as such of IPv6. What cannot be understood fails
/// with EINVAL, and spmsg_error_text tells which network it is.
pub const SPMSG_ACCEPT_NETWORKS: c_int = SPMSG_BASE + 10;

/// An int at level NN_WS, seconds up to 32767, 0 for never, the default: for connections made from
/// now on, after how much silence a peer is asked whether it is there, by a ping of WebSocket.
/// Every WebSocket answers that by itself but libnanomsg's, which delivers it as a message. The
/// connection ends when nothing at all comes for as long again; an event tells SPMSG_REASON_SILENT,
/// and an endpoint that had connected tries again.
///
/// Nobody has to call nn_recv for that. Silence is what could be heard: while so much waits to be
/// received that no more is read, and while the peer does not read what is sent to it, nothing is
/// asked and nobody is given up.
pub const SPMSG_WS_PING: c_int = SPMSG_BASE + 11;

/// A statistic that only grows: messages that were accepted and then had nowhere to go, because
/// the peer that they were meant for could not take any more, or was gone.
pub const SPMSG_STAT_MESSAGES_DROPPED: c_int = SPMSG_BASE + 4;

/// A statistic that only grows: connections that ended because the peer broke the rules, or sent a
/// message that is larger than NN_RCVMAXSIZE allows. An event tells of each, with EPROTO or
/// EMSGSIZE.
pub const SPMSG_STAT_VIOLATIONS: c_int = SPMSG_BASE + 5;

/// A statistic that only grows: those who came and were let go because of SPMSG_ACCEPT_UID or
/// SPMSG_ACCEPT_NETWORKS. No other statistic counts them.
pub const SPMSG_STAT_TURNED_AWAY: c_int = SPMSG_BASE + 13;

/// An int at level NN_REQ, 0 or 1, 1 unless set: whether a request is asked again when the peer
/// that has it is gone. With 0 it fails instead: nn_recv gives ECONNRESET, once.
pub const SPMSG_REQ_RESEND_ON_LOSS: c_int = SPMSG_BASE + 32;
