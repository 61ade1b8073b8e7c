//! Beyond the reference: what this library offers and libnanomsg does not. A program that includes
//! this header runs on this library only. The functions of nn.h behave as they do without it.

use std::ffi::{c_char, c_int, c_uint, c_void};

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

/// An int at level NN_SOL_SOCKET, 0 unless set: whether the control data that nn_recvmsg stores
/// tells whom the message comes from, in further entries behind the others. With 1 it does, with 2
/// also what the peer has said besides when it connected over ws since then.
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

/// The type of the entry with the headers of HTTP that the peer has sent, on ws only and where
/// SPMSG_PEER_INFO is 2: a string of lines such as "X-Forwarded-For: 192.0.2.7\r\n", without the
/// headers of the handshake itself, up to 16 KiB. It is the last of all entries. Whoever can talk
/// to the socket can send any header; only what a proxy sets says more.
pub const SPMSG_PEER_HEADERS: c_int = SPMSG_BASE + 4;

/// The type of the entry with what the peer's certificate says, on tls+tcp and wss only and where
/// it has shown one: a string of lines, "sha256=" with the fingerprint in 64 hexadecimal digits,
/// lower case; "subject=" with the subject as RFC 4514 writes it; and for each of its other names
/// (subjectAltName) "name=" with "DNS:", "IP:", "email:" or "URI:" and the name. It stands in front
/// of the headers, and behind the other entries. spmsg_certificate_field reads it.
///
/// A line is whole or not there, where the certificate has more than there is room for. In names
/// and subjects a backslash stands in front of what could be mistaken. Whether somebody who is
/// trusted vouches for all of that SPMSG_TLS_VERIFY tells.
pub const SPMSG_PEER_CERTIFICATE: c_int = SPMSG_BASE + 5;

/// The size of the longest such string, with its zero byte.
pub const SPMSG_CERTIFICATE_MAX: usize = 4096;

/// What spmsg_certificate_field looks for.
pub const SPMSG_CERTIFICATE_SHA256: c_int = 1;
pub const SPMSG_CERTIFICATE_SUBJECT: c_int = 2;
pub const SPMSG_CERTIFICATE_NAME: c_int = 3;

/// Ints at level NN_SOL_SOCKET, 0 unless set: how many messages may wait on each connection made
/// from now on, however large they are, instead of so many bytes as NN_SNDBUF and NN_RCVBUF say; 0
/// for bytes.
///
/// Of what is sent, so many wait for the kernel to take them, besides one of which it has a part.
/// Of what arrives, so many are read before they are received, and no other, but for up to 20 KiB
/// of them on tls+tcp and wss, where a record is read as a whole. What the kernel holds between the
/// two is not counted; NN_SNDBUF and NN_RCVBUF still say how much that is. On inproc there is one
/// queue in each direction, for as many messages as the one may send and the other may receive
/// together.
pub const SPMSG_SNDBUF_MESSAGES: c_int = SPMSG_BASE + 6;
pub const SPMSG_RCVBUF_MESSAGES: c_int = SPMSG_BASE + 7;

/// An int at level NN_SOL_SOCKET, one of SPMSG_DROP_*, SPMSG_DROP_NEWEST unless set: what becomes
/// of a message for a peer for which no more may wait, where sockets of that type drop it. Others
/// wait, and setting another value fails with ENOTSUP.
pub const SPMSG_DROP: c_int = SPMSG_BASE + 8;

/// The peer misses the message that is sent.
pub const SPMSG_DROP_NEWEST: c_int = 0;

/// The message waits, and the oldest that wait for that peer are thrown away for it; one of which
/// the kernel has a part is not. That is so on connections made from now on.
pub const SPMSG_DROP_OLDEST: c_int = 1;

/// On NN_PUB and NN_BUS: nothing is dropped. nn_send waits until every peer can take the message,
/// and sends it to all of them; when NN_SNDTIMEO passes before, or with NN_DONTWAIT, it fails as on
/// other sockets, and is sent to none of them. So it is where memory for one of them cannot be had,
/// which is ENOMEM, or waited for like room where something is being written meanwhile.
pub const SPMSG_DROP_NOTHING: c_int = 2;

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

/// The reason that what encrypts has failed, and what it has failed of, as found tells: the stream
/// ended and nobody had said that it would; the peer does not speak TLS; it breaks the rules of it;
/// both speak no version or no cipher in common; the peer has shown no certificate; nobody who is
/// trusted vouches for it; it has expired; it is not valid yet; it is for another name; it has been
/// revoked; it is for another purpose; it is damaged or too weak; the peer's greeting is too long;
/// what this side is to show or to trust cannot be used; something else; SPMSG_TLS_REVOKED has no
/// list of the authority of a certificate, or one that is out of date. From SPMSG_TLS_FAULT_ALERT
/// on, the peer has refused this side, with the alert of that number.
pub const SPMSG_REASON_TLS: c_int = 32;
pub const SPMSG_TLS_FAULT_TRUNCATED: c_int = 1;
pub const SPMSG_TLS_FAULT_NOT_TLS: c_int = 2;
pub const SPMSG_TLS_FAULT_PROTOCOL: c_int = 3;
pub const SPMSG_TLS_FAULT_INCOMPATIBLE: c_int = 4;
pub const SPMSG_TLS_FAULT_NO_CERTIFICATE: c_int = 5;
pub const SPMSG_TLS_FAULT_UNTRUSTED: c_int = 6;
pub const SPMSG_TLS_FAULT_EXPIRED: c_int = 7;
pub const SPMSG_TLS_FAULT_NOT_YET_VALID: c_int = 8;
pub const SPMSG_TLS_FAULT_WRONG_NAME: c_int = 9;
pub const SPMSG_TLS_FAULT_REVOKED: c_int = 10;
pub const SPMSG_TLS_FAULT_WRONG_PURPOSE: c_int = 11;
pub const SPMSG_TLS_FAULT_BAD_CERTIFICATE: c_int = 12;
pub const SPMSG_TLS_FAULT_TOO_LONG: c_int = 13;
pub const SPMSG_TLS_FAULT_SETTINGS: c_int = 14;
pub const SPMSG_TLS_FAULT_OTHER: c_int = 15;
pub const SPMSG_TLS_FAULT_NO_REVOCATIONS: c_int = 16;
pub const SPMSG_TLS_FAULT_OLD_REVOCATIONS: c_int = 17;
pub const SPMSG_TLS_FAULT_ALERT: c_int = 256;

/// The level of the options of tls+tcp and wss. They are heeded when an endpoint is made.
pub const SPMSG_TLS: c_int = SPMSG_BASE + 64;

/// A string at level SPMSG_TLS, empty unless set: the certificate that this side shows, with those
/// between it and the authority behind it, in PEM, or the path of a file of that. Who listens needs
/// one.
pub const SPMSG_TLS_CERTIFICATE: c_int = SPMSG_BASE + 65;

/// A string at level SPMSG_TLS, which cannot be read again: the private key of that certificate, in
/// PEM, or the path of a file of it. Where it is not set, it is in the same file.
pub const SPMSG_TLS_KEY: c_int = SPMSG_BASE + 66;

/// A string at level SPMSG_TLS, empty unless set: the certificates of the authorities that are
/// trusted, in PEM, or the path of a file of them, or of a directory of such files. While it is
/// empty, they are those of the system.
pub const SPMSG_TLS_TRUST: c_int = SPMSG_BASE + 67;

/// An int at level SPMSG_TLS: what is asked of the certificates of peers. That they are good, or
/// that they are if there are any, or nothing; -1, the default, is SPMSG_TLS_VERIFY_REQUIRED for
/// who connects and SPMSG_TLS_VERIFY_NONE for who listens.
pub const SPMSG_TLS_VERIFY: c_int = SPMSG_BASE + 68;
pub const SPMSG_TLS_VERIFY_NONE: c_int = 0;
pub const SPMSG_TLS_VERIFY_OPTIONAL: c_int = 1;
pub const SPMSG_TLS_VERIFY_REQUIRED: c_int = 2;

/// A string at level SPMSG_TLS, empty unless set: the name, or the numeric address, that the
/// certificate of whom one connects to has to be for, instead of that in the address.
pub const SPMSG_TLS_NAME: c_int = SPMSG_BASE + 69;

/// An int at level SPMSG_TLS, 12 unless set: the oldest version that is spoken, 12 for TLS 1.2 or
/// 13 for TLS 1.3.
pub const SPMSG_TLS_VERSION_MIN: c_int = SPMSG_BASE + 70;

/// A string at level SPMSG_TLS, empty unless set: lists of certificates that their authorities have
/// revoked (CRL), in PEM, or the path of a file of them, or of a directory of such files. Once it
/// is set, there has to be a list of every authority; one that is out of date does not count.
pub const SPMSG_TLS_REVOKED: c_int = SPMSG_BASE + 71;

/// An int at level SPMSG_TLS, 128 unless set, at least 1: how many who have come to one endpoint
/// are greeted at once. When so many have not finished their handshakes, the next one waits in
/// the backlog until one of them has, or until the oldest has had a second: that one is given up,
/// with an event of SPMSG_REASON_TIMEOUT, and the next takes its place. What it is when nn_bind
/// is called counts.
pub const SPMSG_TLS_HANDSHAKES_MAX: c_int = SPMSG_BASE + 76;

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
    /// UINT_MAX; with SPMSG_REASON_TLS one of SPMSG_TLS_FAULT_*.
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

/// A string at level NN_WS, empty unless set: headers that what connects from now on sends with its
/// request, as "Authorization: Bearer xyz", up to 32 lines and 4096 bytes. Headers of the handshake
/// itself, such as Host, and those about a body cannot be set. What cannot be sent fails with
/// EINVAL, and spmsg_error_text tells which line it is.
pub const SPMSG_WS_HEADERS: c_int = SPMSG_BASE + 12;

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

/// What the figures of spmsg_statistics are of: a socket, an endpoint, a peer that is connected.
pub const SPMSG_OF_SOCKET: c_int = 1;
pub const SPMSG_OF_ENDPOINT: c_int = 2;
pub const SPMSG_OF_PEER: c_int = 3;

/// How many values struct spmsg_statistics has room for; what has no name yet is 0.
pub const SPMSG_VALUES: usize = 48;

/// Where the values stand that count messages and their bytes. Of endpoints and peers, the bytes
/// are those on the wire but for the framing, so that the headers of protocols count, and a message
/// has been received when its socket has looked at it.
pub const SPMSG_MESSAGES_SENT: c_int = 0;
pub const SPMSG_MESSAGES_RECEIVED: c_int = 1;
pub const SPMSG_BYTES_SENT: c_int = 2;
pub const SPMSG_BYTES_RECEIVED: c_int = 3;

/// Connections, not of peers: those there are now; those that were made so far; of these those that
/// were not the first of an endpoint that connects; attempts to connect and to accept that failed;
/// connections that were cut because of what the peer sent.
pub const SPMSG_CONNECTIONS: c_int = 4;
pub const SPMSG_CONNECTED: c_int = 5;
pub const SPMSG_RECONNECTED: c_int = 6;
pub const SPMSG_CONNECT_ERRORS: c_int = 7;
pub const SPMSG_ACCEPT_ERRORS: c_int = 8;
pub const SPMSG_VIOLATIONS: c_int = 9;

/// Messages that went nowhere: there was no room for them, or no memory; their header names nobody;
/// no topic is subscribed to that they begin with; they came over more hops than NN_MAXTTL allows;
/// they lack what their type has in front; they answer what nobody asks any more; they are larger
/// than NN_RCVMAXSIZE allows, which is not counted of peers: such a one is one no longer. Of an
/// endpoint and a peer those are counted of which it is known whose they are.
pub const SPMSG_DROPPED_NO_ROOM: c_int = 10;
pub const SPMSG_DROPPED_NO_MEMORY: c_int = 11;
pub const SPMSG_DROPPED_ASTRAY: c_int = 12;
pub const SPMSG_DROPPED_UNSUBSCRIBED: c_int = 13;
pub const SPMSG_DROPPED_HOPS: c_int = 14;
pub const SPMSG_DROPPED_MALFORMED: c_int = 15;
pub const SPMSG_DROPPED_STALE: c_int = 16;
pub const SPMSG_DROPPED_TOO_LARGE: c_int = 17;

/// Peers that did not become connections, not of peers: of a type that does not fit, against the
/// rules, too slow, gone before they said what they are, denied by a server, not wanted, nobody who
/// may come by SPMSG_ACCEPT_UID or SPMSG_ACCEPT_NETWORKS.
pub const SPMSG_REFUSED_TYPE: c_int = 18;
pub const SPMSG_REFUSED_VIOLATION: c_int = 19;
pub const SPMSG_REFUSED_TIMEOUT: c_int = 20;
pub const SPMSG_REFUSED_LEFT: c_int = 21;
pub const SPMSG_REFUSED_DENIED: c_int = 22;
pub const SPMSG_REFUSED_UNWANTED: c_int = 23;
pub const SPMSG_REFUSED_STRANGER: c_int = 24;

/// What was sent and the kernel has not taken: messages and bytes, the most that there was of both
/// since somebody first looked, or the kernel first took no more, and for how many milliseconds the
/// kernel has not taken all. Nothing on inproc, where it is the receiver's.
pub const SPMSG_SEND_QUEUE_MESSAGES: c_int = 25;
pub const SPMSG_SEND_QUEUE_BYTES: c_int = 26;
pub const SPMSG_SEND_QUEUE_MESSAGES_MOST: c_int = 27;
pub const SPMSG_SEND_QUEUE_BYTES_MOST: c_int = 28;
pub const SPMSG_SEND_QUEUE_OLDEST_MS: c_int = 29;

/// What has arrived and nobody has received: the same, but messages are counted on inproc only,
/// and the oldest may be older: that is seen when somebody looks, and when the background thread
/// takes over from who has not received for 50 ms. On inproc the most is what was seen when
/// somebody looked, or when the queue was full.
pub const SPMSG_RECEIVE_QUEUE_MESSAGES: c_int = 30;
pub const SPMSG_RECEIVE_QUEUE_BYTES: c_int = 31;
pub const SPMSG_RECEIVE_QUEUE_MESSAGES_MOST: c_int = 32;
pub const SPMSG_RECEIVE_QUEUE_BYTES_MOST: c_int = 33;
pub const SPMSG_RECEIVE_QUEUE_OLDEST_MS: c_int = 34;

/// Of peers: who reads what arrives, one of SPMSG_READ_BY_*.
pub const SPMSG_READ_BY: c_int = 35;

/// Who reads what arrives: whoever receives, the background thread while nobody does, or both since
/// somebody polls a descriptor of the socket.
pub const SPMSG_READ_BY_CALLERS: c_int = 1;
pub const SPMSG_READ_BY_REACTOR: c_int = 2;
pub const SPMSG_READ_BY_EVERYBODY: c_int = 3;

/// Figures of a socket, of one of its endpoints, or of one of its peers. Its size never changes.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct spmsg_statistics {
    /// One of SPMSG_OF_*.
    pub of: c_int,
    /// The endpoint, also that of a peer; 0 for a socket.
    pub endpoint: c_int,
    /// The number of a peer, as SPMSG_PEER_INFO tells it; 0 for the others.
    pub peer: c_uint,
    /// 0.
    pub reserved: c_int,
    /// The figures, each in its place. Those that do not apply are 0. Those of an endpoint are of
    /// its peers, also of those that have gone, and those of a socket are of its endpoints: their
    /// sum, or where the most and the oldest are told the largest of one.
    pub values: [u64; SPMSG_VALUES],
    /// The address of an endpoint as spmsg_address tells it, of a peer as in an event.
    pub address: [c_char; SPMSG_ADDRESS_MAX],
}

/// How much a line of the log matters: it does not work, and will not by itself; something went
/// wrong, and is tried again or lost; sockets, endpoints and peers come and go; all the rest.
pub const SPMSG_LOG_ERROR: c_int = 1;
pub const SPMSG_LOG_WARNING: c_int = 2;
pub const SPMSG_LOG_INFO: c_int = 3;
pub const SPMSG_LOG_DEBUG: c_int = 4;

/// A function that is told what happens, see spmsg_log: how much it matters, to which socket and
/// endpoint it has happened, and in words. The text is there during the call. Without a socket s is
/// -1, without an endpoint that is 0.
pub type spmsg_log_function = Option<
    unsafe extern "C" fn(
        argument: *mut c_void,
        level: c_int,
        s: c_int,
        endpoint: c_int,
        text: *const c_char,
    ),
>;

/// An int at level NN_SUB, 0 or 1, 0 unless set: whether only the newest message of each topic is
/// kept, so that who receives seldom finds what is true now. Messages are taken as they come, and
/// one that is not received before the next of its topic comes is thrown away for that. It belongs
/// to the longest subscribed topic that it begins with; those that wait are received in the order
/// in which they came, and unsubscribing throws the one that waits away. Each context has its own
/// setting.
pub const SPMSG_SUB_LAST: c_int = SPMSG_BASE + 33;
