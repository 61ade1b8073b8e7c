/* Beyond the reference: what this library offers and libnanomsg does not. A program that includes
 * this header runs on this library only. The functions of nn.h behave as they do without it.
 *
 * Generated from src/ffi; changes belong there. */

#ifndef SPMSG_H_INCLUDED
#define SPMSG_H_INCLUDED

#include <nanomsg/nn.h>

#ifndef SPMSG_EXPORT
#define SPMSG_EXPORT extern
#endif

#ifdef __cplusplus
extern "C" {
#endif

/** The version of the library that this header comes with. */
#define SPMSG_VERSION_MAJOR 0
#define SPMSG_VERSION_MINOR 1
#define SPMSG_VERSION_PATCH 0

/** The same as one number that grows with each version, for comparing. */
#define SPMSG_VERSION (((SPMSG_VERSION_MAJOR * 1000000) + (SPMSG_VERSION_MINOR * 1000)) + SPMSG_VERSION_PATCH)

/** Where our own numbers begin, far from those of libnanomsg. */
#define SPMSG_BASE 1397751808

/** The size of the longest address that a function of this header stores, with its zero byte. */
#define SPMSG_ADDRESS_MAX 160

/** An int at level NN_SOL_SOCKET, 0 unless set: whether the control data that nn_recvmsg stores
 * tells whom the message comes from, in further entries behind the others. With 1 it does, with 2
 * also what the peer has said besides when it connected over ws since then. */
#define SPMSG_PEER_INFO (SPMSG_BASE + 1)

/** The level of these entries. */
#define SPMSG_CONTROL SPMSG_BASE

/** The type of the entry with the peer's number, an unsigned int that is never 0: the same from its
 * coming to its going, and no other peer of the socket ever has it. Sent with a message, the entry
 * says whom it is for, where SPMSG_PAIR_MANY asks for that. */
#define SPMSG_PEER (SPMSG_BASE + 3)

/** The type of the entry with the peer's address, a string: where it sends from on tcp and ws, the
 * address at which both have met on ipc and inproc. */
#define SPMSG_PEER_ADDRESS (SPMSG_BASE + 1)

/** The type of the entry with a struct spmsg_credentials, which only ipc has. */
#define SPMSG_PEER_CREDENTIALS (SPMSG_BASE + 2)

/** An int at level NN_PAIR, 0 or 1, 0 unless set: whether a PAIR keeps every peer that comes, and
 * not only the first. It is set before the first one comes; while there are peers, or messages
 * that they have left, setting another value fails with EFSM.
 *
 * Messages are received from all peers in turn, with an SPMSG_PEER entry in their control data.
 * One that is sent is for the peer that such an entry names. Without one it is for the only peer;
 * it fails with EINVAL when there are more, and waits when there is none. When the peer that it is
 * for can take no more it waits for that one, while others can be sent to; when that peer is not
 * there, or goes meanwhile, it fails with ENOTCONN. NN_SNDFD and NN_POLLOUT say that some peer
 * can take a message. */
#define SPMSG_PAIR_MANY (SPMSG_BASE + 16)

/** The type of the entry with the headers of HTTP that the peer has sent, on ws only and where
 * SPMSG_PEER_INFO is 2: a string of lines such as "X-Forwarded-For: 192.0.2.7\r\n", without the
 * headers of the handshake itself, up to 16 KiB. It is the last of all entries. Whoever can talk
 * to the socket can send any header; only what a proxy sets says more. */
#define SPMSG_PEER_HEADERS (SPMSG_BASE + 4)

/** The type of the entry with what the peer's certificate says, on tls+tcp and wss only and where
 * it has shown one: a string of lines, "sha256=" with the fingerprint in 64 hexadecimal digits,
 * lower case; "subject=" with the subject as RFC 4514 writes it; and for each of its other names
 * (subjectAltName) "name=" with "DNS:", "IP:", "email:" or "URI:" and the name. It stands in front
 * of the headers, and behind the other entries. spmsg_certificate_field reads it.
 *
 * A line is whole or not there, where the certificate has more than there is room for. In names
 * and subjects a backslash stands in front of what could be mistaken. Whether somebody who is
 * trusted vouches for all of that SPMSG_TLS_VERIFY tells. */
#define SPMSG_PEER_CERTIFICATE (SPMSG_BASE + 5)

/** The size of the longest such string, with its zero byte. */
#define SPMSG_CERTIFICATE_MAX 4096

/** What spmsg_certificate_field looks for. */
#define SPMSG_CERTIFICATE_SHA256 1
#define SPMSG_CERTIFICATE_SUBJECT 2
#define SPMSG_CERTIFICATE_NAME 3

/** Ints at level NN_SOL_SOCKET, 0 unless set: how many messages may wait on each connection made
 * from now on, however large they are, instead of so many bytes as NN_SNDBUF and NN_RCVBUF say; 0
 * for bytes.
 *
 * Of what is sent, so many wait for the kernel to take them, besides one of which it has a part.
 * Of what arrives, so many are read before they are received, and no other, but for up to 20 KiB
 * of them on tls+tcp and wss, where a record is read as a whole. What the kernel holds between the
 * two is not counted; NN_SNDBUF and NN_RCVBUF still say how much that is. On inproc there is one
 * queue in each direction, for as many messages as the one may send and the other may receive
 * together. */
#define SPMSG_SNDBUF_MESSAGES (SPMSG_BASE + 6)
#define SPMSG_RCVBUF_MESSAGES (SPMSG_BASE + 7)

/** An int at level NN_SOL_SOCKET, one of SPMSG_DROP_*, SPMSG_DROP_NEWEST unless set: what becomes
 * of a message for a peer for which no more may wait, where sockets of that type drop it. Others
 * wait, and setting another value fails with ENOTSUP. */
#define SPMSG_DROP (SPMSG_BASE + 8)

/** The peer misses the message that is sent. */
#define SPMSG_DROP_NEWEST 0

/** The message waits, and the oldest that wait for that peer are thrown away for it; one of which
 * the kernel has a part is not. That is so on connections made from now on. */
#define SPMSG_DROP_OLDEST 1

/** On NN_PUB and NN_BUS: nothing is dropped. nn_send waits until every peer can take the message,
 * and sends it to all of them; when NN_SNDTIMEO passes before, or with NN_DONTWAIT, it fails as on
 * other sockets, and is sent to none of them. So it is where memory for one of them cannot be had,
 * which is ENOMEM, or waited for like room where something is being written meanwhile. */
#define SPMSG_DROP_NOTHING 2

/** Types of events: a peer is connected and can be sent to or received from; it is connected no
 * longer; an attempt to connect, or to accept, has failed; somebody did not speak as a peer
 * should; a peer did and is not wanted, as a second one by a PAIR. */
#define SPMSG_EVENT_CONNECTED 1
#define SPMSG_EVENT_DISCONNECTED 2
#define SPMSG_EVENT_CONNECT_FAILED 3
#define SPMSG_EVENT_ACCEPT_FAILED 4
#define SPMSG_EVENT_HANDSHAKE_FAILED 5
#define SPMSG_EVENT_REJECTED 6

/** Reasons of events: there is none; the peer left; this side ended it; the system said so, as
 * error tells; a name has no address; the peer took too long to say what it is; it does not keep
 * to the rules of the protocol; its socket is of a type that does not fit; its message is larger
 * than NN_RCVMAXSIZE, or than memory; it says that of a message of ours, which it can on ws only;
 * the socket wants no more peers; a server has refused a WebSocket with a status of HTTP; the peer
 * was silent and has not answered, see SPMSG_WS_PING; it may not come, see SPMSG_ACCEPT_UID and
 * SPMSG_ACCEPT_NETWORKS. There may be more in later versions. */
#define SPMSG_REASON_NONE 0
#define SPMSG_REASON_LEFT 1
#define SPMSG_REASON_ENDED 2
#define SPMSG_REASON_SYSTEM 3
#define SPMSG_REASON_NO_ADDRESS 4
#define SPMSG_REASON_TIMEOUT 5
#define SPMSG_REASON_VIOLATION 6
#define SPMSG_REASON_TYPE 7
#define SPMSG_REASON_SIZE 8
#define SPMSG_REASON_PEER_SIZE 9
#define SPMSG_REASON_UNWANTED 10
#define SPMSG_REASON_DENIED 11
#define SPMSG_REASON_SILENT 12
#define SPMSG_REASON_STRANGER 13

/** The reason that what encrypts has failed, and what it has failed of, as found tells: the stream
 * ended and nobody had said that it would; the peer does not speak TLS; it breaks the rules of it;
 * both speak no version or no cipher in common; the peer has shown no certificate; nobody who is
 * trusted vouches for it; it has expired; it is not valid yet; it is for another name; it has been
 * revoked; it is for another purpose; it is damaged or too weak; the peer's greeting is too long;
 * what this side is to show or to trust cannot be used; something else; SPMSG_TLS_REVOKED has no
 * list of the authority of a certificate, or one that is out of date. From SPMSG_TLS_FAULT_ALERT
 * on, the peer has refused this side, with the alert of that number. */
#define SPMSG_REASON_TLS 32
#define SPMSG_TLS_FAULT_TRUNCATED 1
#define SPMSG_TLS_FAULT_NOT_TLS 2
#define SPMSG_TLS_FAULT_PROTOCOL 3
#define SPMSG_TLS_FAULT_INCOMPATIBLE 4
#define SPMSG_TLS_FAULT_NO_CERTIFICATE 5
#define SPMSG_TLS_FAULT_UNTRUSTED 6
#define SPMSG_TLS_FAULT_EXPIRED 7
#define SPMSG_TLS_FAULT_NOT_YET_VALID 8
#define SPMSG_TLS_FAULT_WRONG_NAME 9
#define SPMSG_TLS_FAULT_REVOKED 10
#define SPMSG_TLS_FAULT_WRONG_PURPOSE 11
#define SPMSG_TLS_FAULT_BAD_CERTIFICATE 12
#define SPMSG_TLS_FAULT_TOO_LONG 13
#define SPMSG_TLS_FAULT_SETTINGS 14
#define SPMSG_TLS_FAULT_OTHER 15
#define SPMSG_TLS_FAULT_NO_REVOCATIONS 16
#define SPMSG_TLS_FAULT_OLD_REVOCATIONS 17
#define SPMSG_TLS_FAULT_ALERT 256

/** The level of the options of tls+tcp and wss. They are heeded when an endpoint is made. */
#define SPMSG_TLS (SPMSG_BASE + 64)

/** A string at level SPMSG_TLS, empty unless set: the certificate that this side shows, with those
 * between it and the authority behind it, in PEM, or the path of a file of that. Who listens needs
 * one. */
#define SPMSG_TLS_CERTIFICATE (SPMSG_BASE + 65)

/** A string at level SPMSG_TLS, which cannot be read again: the private key of that certificate, in
 * PEM, or the path of a file of it. Where it is not set, it is in the same file. */
#define SPMSG_TLS_KEY (SPMSG_BASE + 66)

/** A string at level SPMSG_TLS, empty unless set: the certificates of the authorities that are
 * trusted, in PEM, or the path of a file of them, or of a directory of such files. While it is
 * empty, they are those of the system. */
#define SPMSG_TLS_TRUST (SPMSG_BASE + 67)

/** An int at level SPMSG_TLS: what is asked of the certificates of peers. That they are good, or
 * that they are if there are any, or nothing; -1, the default, is SPMSG_TLS_VERIFY_REQUIRED for
 * who connects and SPMSG_TLS_VERIFY_NONE for who listens. */
#define SPMSG_TLS_VERIFY (SPMSG_BASE + 68)
#define SPMSG_TLS_VERIFY_NONE 0
#define SPMSG_TLS_VERIFY_OPTIONAL 1
#define SPMSG_TLS_VERIFY_REQUIRED 2

/** A string at level SPMSG_TLS, empty unless set: the name, or the numeric address, that the
 * certificate of whom one connects to has to be for, instead of that in the address. */
#define SPMSG_TLS_NAME (SPMSG_BASE + 69)

/** An int at level SPMSG_TLS, 12 unless set: the oldest version that is spoken, 12 for TLS 1.2 or
 * 13 for TLS 1.3. */
#define SPMSG_TLS_VERSION_MIN (SPMSG_BASE + 70)

/** A string at level SPMSG_TLS, empty unless set: lists of certificates that their authorities have
 * revoked (CRL), in PEM, or the path of a file of them, or of a directory of such files. Once it
 * is set, there has to be a list of every authority; one that is out of date does not count. */
#define SPMSG_TLS_REVOKED (SPMSG_BASE + 71)

/** An int at level SPMSG_TLS, 128 unless set, at least 1: how many who have come to one endpoint
 * are greeted at once. When so many have not finished their handshakes, the next one waits in
 * the backlog until one of them has, or until the oldest has had a second: that one is given up,
 * with an event of SPMSG_REASON_TIMEOUT, and the next takes its place. What it is when nn_bind
 * is called counts. */
#define SPMSG_TLS_HANDSHAKES_MAX (SPMSG_BASE + 76)

/** The size of the longest address of a peer in an event, with its zero byte. */
#define SPMSG_EVENT_PEER_MAX 128

/** An int at level NN_IPC, up to 0777 or -1: the permissions of the files that sockets bound from
 * now on have, whatever the umask. With -1, the default, they are what the umask leaves. */
#define SPMSG_IPC_MODE (SPMSG_BASE + 2)

/** An int at level NN_TCP, seconds up to 32767, 0 for never: for connections of tcp and ws made
 * from now on, after how much silence the peer's machine is asked whether it is there. It is asked
 * three times at that distance, and the connection ends when there is no answer. */
#define SPMSG_TCP_KEEPALIVE (SPMSG_BASE + 3)

/** An int at level NN_SOL_SOCKET, a user or -1, the default, for all: whose processes may connect
 * to what is bound from now on over ipc, by what the kernel knows of them. Others are let go
 * before they are greeted, and an event tells SPMSG_REASON_STRANGER. */
#define SPMSG_ACCEPT_UID (SPMSG_BASE + 9)

/** A string at level NN_SOL_SOCKET, up to 64 networks with commas between them, such as
 * "127.0.0.0/8, ::1, fe80::/10"; empty, the default, for all: where peers may be that connect to
 * what is bound from now on over tcp and ws. Others are treated as with SPMSG_ACCEPT_UID.
 * Addresses of IPv4 are the same when they come as such of IPv6. What cannot be understood fails
 * with EINVAL, and spmsg_error_text tells which network it is. */
#define SPMSG_ACCEPT_NETWORKS (SPMSG_BASE + 10)

/** An int at level NN_WS, seconds up to 32767, 0 for never, the default: for connections made from
 * now on, after how much silence a peer is asked whether it is there, by a ping of WebSocket.
 * Every WebSocket answers that by itself but libnanomsg's, which delivers it as a message. The
 * connection ends when nothing at all comes for as long again; an event tells SPMSG_REASON_SILENT,
 * and an endpoint that had connected tries again.
 *
 * Nobody has to call nn_recv for that. Silence is what could be heard: while so much waits to be
 * received that no more is read, and while the peer does not read what is sent to it, nothing is
 * asked and nobody is given up. */
#define SPMSG_WS_PING (SPMSG_BASE + 11)

/** A string at level NN_WS, empty unless set: headers that what connects from now on sends with its
 * request, as "Authorization: Bearer xyz", up to 32 lines and 4096 bytes. Headers of the handshake
 * itself, such as Host, and those about a body cannot be set. What cannot be sent fails with
 * EINVAL, and spmsg_error_text tells which line it is. */
#define SPMSG_WS_HEADERS (SPMSG_BASE + 12)

/** A statistic that only grows: messages that were accepted and then had nowhere to go, because
 * the peer that they were meant for could not take any more, or was gone. */
#define SPMSG_STAT_MESSAGES_DROPPED (SPMSG_BASE + 4)

/** A statistic that only grows: connections that ended because the peer broke the rules, or sent a
 * message that is larger than NN_RCVMAXSIZE allows. An event tells of each, with EPROTO or
 * EMSGSIZE. */
#define SPMSG_STAT_VIOLATIONS (SPMSG_BASE + 5)

/** A statistic that only grows: those who came and were let go because of SPMSG_ACCEPT_UID or
 * SPMSG_ACCEPT_NETWORKS. No other statistic counts them. */
#define SPMSG_STAT_TURNED_AWAY (SPMSG_BASE + 13)

/** An int at level NN_REQ, 0 or 1, 1 unless set: whether a request is asked again when the peer
 * that has it is gone. With 0 it fails instead: nn_recv gives ECONNRESET, once. */
#define SPMSG_REQ_RESEND_ON_LOSS (SPMSG_BASE + 32)

/** What the figures of spmsg_statistics are of: a socket, an endpoint, a peer that is connected. */
#define SPMSG_OF_SOCKET 1
#define SPMSG_OF_ENDPOINT 2
#define SPMSG_OF_PEER 3

/** How many values struct spmsg_statistics has room for; what has no name yet is 0. */
#define SPMSG_VALUES 48

/** Where the values stand that count messages and their bytes. Of endpoints and peers, the bytes
 * are those on the wire but for the framing, so that the headers of protocols count, and a message
 * has been received when its socket has looked at it. */
#define SPMSG_MESSAGES_SENT 0
#define SPMSG_MESSAGES_RECEIVED 1
#define SPMSG_BYTES_SENT 2
#define SPMSG_BYTES_RECEIVED 3

/** Connections, not of peers: those there are now; those that were made so far; of these those that
 * were not the first of an endpoint that connects; attempts to connect and to accept that failed;
 * connections that were cut because of what the peer sent. */
#define SPMSG_CONNECTIONS 4
#define SPMSG_CONNECTED 5
#define SPMSG_RECONNECTED 6
#define SPMSG_CONNECT_ERRORS 7
#define SPMSG_ACCEPT_ERRORS 8
#define SPMSG_VIOLATIONS 9

/** Messages that went nowhere: there was no room for them, or no memory; their header names nobody;
 * no topic is subscribed to that they begin with; they came over more hops than NN_MAXTTL allows;
 * they lack what their type has in front; they answer what nobody asks any more; they are larger
 * than NN_RCVMAXSIZE allows, which is not counted of peers: such a one is one no longer. Of an
 * endpoint and a peer those are counted of which it is known whose they are. */
#define SPMSG_DROPPED_NO_ROOM 10
#define SPMSG_DROPPED_NO_MEMORY 11
#define SPMSG_DROPPED_ASTRAY 12
#define SPMSG_DROPPED_UNSUBSCRIBED 13
#define SPMSG_DROPPED_HOPS 14
#define SPMSG_DROPPED_MALFORMED 15
#define SPMSG_DROPPED_STALE 16
#define SPMSG_DROPPED_TOO_LARGE 17

/** Peers that did not become connections, not of peers: of a type that does not fit, against the
 * rules, too slow, gone before they said what they are, denied by a server, not wanted, nobody who
 * may come by SPMSG_ACCEPT_UID or SPMSG_ACCEPT_NETWORKS. */
#define SPMSG_REFUSED_TYPE 18
#define SPMSG_REFUSED_VIOLATION 19
#define SPMSG_REFUSED_TIMEOUT 20
#define SPMSG_REFUSED_LEFT 21
#define SPMSG_REFUSED_DENIED 22
#define SPMSG_REFUSED_UNWANTED 23
#define SPMSG_REFUSED_STRANGER 24

/** What was sent and the kernel has not taken: messages and bytes, the most that there was of both
 * since somebody first looked, or the kernel first took no more, and for how many milliseconds the
 * kernel has not taken all. Nothing on inproc, where it is the receiver's. */
#define SPMSG_SEND_QUEUE_MESSAGES 25
#define SPMSG_SEND_QUEUE_BYTES 26
#define SPMSG_SEND_QUEUE_MESSAGES_MOST 27
#define SPMSG_SEND_QUEUE_BYTES_MOST 28
#define SPMSG_SEND_QUEUE_OLDEST_MS 29

/** What has arrived and nobody has received: the same, but messages are counted on inproc only,
 * and the oldest may be older: that is seen when somebody looks, and when the background thread
 * takes over from who has not received for 50 ms. On inproc the most is what was seen when
 * somebody looked, or when the queue was full. */
#define SPMSG_RECEIVE_QUEUE_MESSAGES 30
#define SPMSG_RECEIVE_QUEUE_BYTES 31
#define SPMSG_RECEIVE_QUEUE_MESSAGES_MOST 32
#define SPMSG_RECEIVE_QUEUE_BYTES_MOST 33
#define SPMSG_RECEIVE_QUEUE_OLDEST_MS 34

/** Of peers: who reads what arrives, one of SPMSG_READ_BY_*. */
#define SPMSG_READ_BY 35

/** Who reads what arrives: whoever receives, the background thread while nobody does, or both since
 * somebody polls a descriptor of the socket. */
#define SPMSG_READ_BY_CALLERS 1
#define SPMSG_READ_BY_REACTOR 2
#define SPMSG_READ_BY_EVERYBODY 3

/** How much a line of the log matters: it does not work, and will not by itself; something went
 * wrong, and is tried again or lost; sockets, endpoints and peers come and go; all the rest. */
#define SPMSG_LOG_ERROR 1
#define SPMSG_LOG_WARNING 2
#define SPMSG_LOG_INFO 3
#define SPMSG_LOG_DEBUG 4

/** An int at level NN_SUB, 0 or 1, 0 unless set: whether only the newest message of each topic is
 * kept, so that who receives seldom finds what is true now. Messages are taken as they come, and
 * one that is not received before the next of its topic comes is thrown away for that. It belongs
 * to the longest subscribed topic that it begins with; those that wait are received in the order
 * in which they came, and unsubscribing throws the one that waits away. Each context has its own
 * setting. */
#define SPMSG_SUB_LAST (SPMSG_BASE + 33)

/** A function that is told what happens, see spmsg_log: how much it matters, to which socket and
 * endpoint it has happened, and in words. The text is there during the call. Without a socket s is
 * -1, without an endpoint that is 0. */
typedef void (*spmsg_log_function)(void *argument, int level, int s, int endpoint, const char *text);

/** One thing that has happened to a connection. Its size never changes: what is told besides in
 * later versions takes the place of reserved. */
struct spmsg_event {
  /** One of SPMSG_EVENT_*. */
  int type;
  /** The endpoint to which it has happened, as the binding or connecting function returned it. */
  int endpoint;
  /** Why, as an error number: EPROTO when the peer broke the rules or is of another type,
   * EMSGSIZE when a message was too large, EACCES when the peer may not come, ETIMEDOUT when the
   * peer says nothing, ENXIO when a name has no address, and else that of the system. 0 when
   * nothing went wrong. */
  int error;
  /** How many events directly before this one were lost, because too many waited. */
  unsigned int missed;
  /** The address of the peer as SPMSG_PEER_ADDRESS tells it; that which was tried when connecting
   * has failed; empty when accepting has failed. */
  char peer[SPMSG_EVENT_PEER_MAX];
  /** Why, as one of SPMSG_REASON_*; spmsg_event_text has the words for it. */
  int reason;
  /** What the peer has sent, 0 if it is not known: with SPMSG_REASON_TYPE the type of its socket,
   * such as NN_PUB, with SPMSG_REASON_SIZE the size of its message, or UINT_MAX if that is more,
   * with SPMSG_REASON_DENIED the status, with SPMSG_REASON_STRANGER on ipc the user, or
   * UINT_MAX; with SPMSG_REASON_TLS one of SPMSG_TLS_FAULT_*. */
  unsigned int found;
  /** What would have done: the only type that fits, the largest size, the only user; 0 where that
   * is unlimited. */
  unsigned int allowed;
  /** The number of the peer that has come or gone, as SPMSG_PEER tells it, else 0. */
  unsigned int number;
  /** 0. */
  int reserved[4];
};

/** Figures of a socket, of one of its endpoints, or of one of its peers. Its size never changes. */
struct spmsg_statistics {
  /** One of SPMSG_OF_*. */
  int of;
  /** The endpoint, also that of a peer; 0 for a socket. */
  int endpoint;
  /** The number of a peer, as SPMSG_PEER_INFO tells it; 0 for the others. */
  unsigned int peer;
  /** 0. */
  int reserved;
  /** The figures, each in its place. Those that do not apply are 0. Those of an endpoint are of
   * its peers, also of those that have gone, and those of a socket are of its endpoints: their
   * sum, or where the most and the oldest are told the largest of one. */
  uint64_t values[SPMSG_VALUES];
  /** The address of an endpoint as spmsg_address tells it, of a peer as in an event. */
  char address[SPMSG_ADDRESS_MAX];
};

/** Who has connected, or who listens, as the kernel knew him when he began to. */
struct spmsg_credentials {
  /** The process. */
  int pid;
  /** The user and the group that it ran as. */
  unsigned int uid;
  unsigned int gid;
};

/** Gives the version of the library that is loaded, for example "0.1.0", which may be another one
 * than that of the header. The text must not be freed. */
SPMSG_EXPORT const char *spmsg_version(void);

/** Makes the socket listen as nn_bind does, and understands two more kinds of addresses:
 * "tcp://127.0.0.1:0" and "ws://127.0.0.1:0/path" listen at any port that is free, as they do with
 * tls+tcp and wss, and "ipc://@NAME" at a name that is no file, can be left behind by nobody, and
 * that every process of the machine, or of the container, can connect to. spmsg_address tells the
 * port.
 *
 * Returns what nn_bind returns, and fails as it does. */
SPMSG_EXPORT int spmsg_bind(int s, const char *addr);

/** Makes the socket connect as nn_connect does, also to "ipc://@NAME".
 *
 * Returns what nn_connect returns, and fails as it does. */
SPMSG_EXPORT int spmsg_connect(int s, const char *addr);

/** Makes the socket accept connections from a descriptor that somebody else has made listen, as a
 * manager of services does: over tcp, or over ipc where it is a Unix domain socket. It is
 * recognised by itself.
 *
 * The descriptor belongs to the library when this succeeds, and must not be used any more; when it
 * fails it is the caller's, as it was. The file of a Unix domain socket is left to who made it.
 *
 * Returns the number of the endpoint, or -1 with errno EBADF when either is not open, ENOTSOCK,
 * EPROTOTYPE when it carries no streams, EAFNOSUPPORT or EPROTONOSUPPORT when it carries others,
 * EISCONN when it is connected, EINVAL when it does not listen, EMFILE, ENOMEM. */
SPMSG_EXPORT int spmsg_listen_fd(int s, int fd);

/** Makes the socket talk over a descriptor that somebody else has connected, as one end of a
 * socketpair: over tcp, or over ipc where it is a Unix domain socket. Nothing may have been sent
 * or received on it. The other end does the same, or listens.
 *
 * The descriptor belongs to the library as that of spmsg_listen_fd does. There is one connection:
 * when it ends, an event tells so, and the endpoint stays without one until it is shut down.
 *
 * Returns what spmsg_listen_fd returns, and fails as it does; with errno ENOTCONN when it is not
 * connected, and not with EISCONN or EINVAL. */
SPMSG_EXPORT int spmsg_connect_fd(int s, int fd);

/** Opens a context of the socket: a further handle, with a request, a reply, a survey or
 * subscriptions of its own.
 *
 * The socket is a cooked REQ, REP, SURVEYOR, RESPONDENT or SUB. Its contexts share its endpoints
 * and peers, and each asks, answers, waits and fails for itself, in a thread of its own or not:
 * nn_send, nn_recv, nn_sendmsg, nn_recvmsg, nn_poll, nn_get_statistic and nn_close take one as
 * they take a socket. A context begins with the options that the socket has then; NN_SNDTIMEO,
 * NN_RCVTIMEO, NN_SOCKET_NAME and those of the socket type are its own from then on, all others
 * are the socket's and cannot be set on it. nn_close gives up what the context has under way and
 * nothing else; closing the socket closes its contexts.
 *
 * Returns a handle, or -1 with errno EBADF, ENOTSUP for another type of socket, a raw one or a
 * context, EMFILE when there are 196608 contexts, ENOMEM. */
SPMSG_EXPORT int spmsg_context(int s);

/** Stores the address of the endpoint that a binding or connecting function returned, as a string
 * with its scheme: where it is bound, with the port that it got and numbers for names such as
 * "*", or where it connects to, as it was given.
 *
 * Like snprintf, stores at most size bytes, the last of them 0, and returns the length that the
 * whole address has, which is below SPMSG_ADDRESS_MAX. Returns -1 with errno EBADF, EINVAL when
 * the socket has no such endpoint, EFAULT when buf is NULL and size is not 0. */
SPMSG_EXPORT int spmsg_address(int s, int endpoint, char *buf, size_t size);

/** Ends the connection to one peer, whose number SPMSG_PEER tells. What was sent to it is written
 * first, for as long as NN_LINGER allows; what it has sent and nobody has received is lost.
 *
 * The peer may come again, as another peer: one that connects tries to, and so does an endpoint
 * of this socket that had connected to it. nn_shutdown ends such an endpoint.
 *
 * Returns 0, or -1 with errno EBADF, ENOTCONN when the socket has no such peer. */
SPMSG_EXPORT int spmsg_disconnect(int s, unsigned int peer);

/** Has a function of the program told what happens to its sockets, endpoints, connections and
 * messages, a line each, those of SPMSG_TRACE; NULL tells nobody any more, and another function
 * takes the place of the one before.
 *
 * The function is called on a thread that the library has for that, with all signals blocked, in
 * the order in which things happened: by one thread at a time, and with no lock, so that it may
 * call every other function of the library. While it does not return, up to 256 lines wait; how
 * many others were lost the next line tells. It has to return, and must not end its thread, jump
 * or throw. Once this has returned, the function before is not called any more, and has been told
 * of all that waited for it: so it is at the end of a program. A forked child begins without one.
 *
 * Returns 0, or -1 with errno EFSM when it is called by such a function itself, ENOMEM, or EAGAIN
 * when no thread can be had; then nobody is told. */
SPMSG_EXPORT int spmsg_log(spmsg_log_function function, void *argument);

/** Reads the files that the options of level SPMSG_TLS name again, and what those options are set
 * to now, but for SPMSG_TLS_NAME and SPMSG_TLS_HANDSHAKES_MAX, for all connections that the
 * endpoints of the socket make from now on. Connections that are there are not touched.
 *
 * Returns 0, or -1 with errno EBADF, ENOTSUP for a context, EINVAL when something does not fit,
 * ENOMEM, or that of the system when a file cannot be read, as ENOENT; then everything stays as it
 * was, and spmsg_error_text tells which option it is. */
SPMSG_EXPORT int spmsg_tls_reload(int s);

/** Gives a descriptor that is readable while events of the socket wait: poll it for POLLIN, and
 * never read or close it. Events are kept from the first call on, at most 1024 of them.
 *
 * Each call gives the same descriptor. It belongs to the socket, and is readable, too, once that
 * is being closed.
 *
 * Returns -1 with errno EBADF, or EMFILE when no descriptor can be had. */
SPMSG_EXPORT int spmsg_events(int s);

/** Stores the oldest event that waits, and removes it. Never waits.
 *
 * Returns 0, or -1 with errno EBADF, EFAULT when event is NULL, EAGAIN when there is none. */
SPMSG_EXPORT int spmsg_next_event(int s, struct spmsg_event *event);

/** Does what spmsg_next_event does, and stores what the certificate says that the peer has shown on
 * tls+tcp or wss, as SPMSG_PEER_CERTIFICATE has it. Only events of peers with a number have that:
 * that they have come or gone. Else the string is empty.
 *
 * Like snprintf, stores at most size bytes, the last of them 0, and returns the length that the
 * whole string has, which is below SPMSG_CERTIFICATE_MAX; what does not fit is lost. Returns -1
 * with errno EBADF, EFAULT when event is NULL, or buf is and size is not 0, EAGAIN when there is
 * no event. */
SPMSG_EXPORT
int spmsg_next_event_certificate(int s,
                                 struct spmsg_event *event,
                                 char *buf,
                                 size_t size);

/** Stores one thing that a certificate says, out of a string as SPMSG_PEER_CERTIFICATE has it: the
 * one at the place index, from 0 on, of those that field names. There is one
 * SPMSG_CERTIFICATE_SHA256, at most one SPMSG_CERTIFICATE_SUBJECT, and any number of
 * SPMSG_CERTIFICATE_NAME.
 *
 * Like snprintf, stores at most size bytes, the last of them 0, and returns the length that the
 * whole value has. Returns -1 with errno EINVAL when there is none at that place, EFAULT when
 * certificate is NULL, or buf is and size is not 0. */
SPMSG_EXPORT
int spmsg_certificate_field(const char *certificate,
                            int field,
                            int index,
                            char *buf,
                            size_t size);

/** Stores in words why an event has happened, as "the peer is of type PUSH, not PUB". The words are
 * for humans, and may become others.
 *
 * Like snprintf, stores at most size bytes, the last of them 0, and returns the length that the
 * whole text has. Returns -1 with errno EFAULT when event is NULL, or buf is and size is not 0. */
SPMSG_EXPORT int spmsg_event_text(const struct spmsg_event *event, char *buf, size_t size);

/** Stores in words why the last call of the calling thread that failed did: which part of an
 * address is wrong, as "the address does not end with a colon and a port, from 1 to 65535", or
 * what nn_strerror has to say. Empty when none has failed. The words are for humans, and may
 * become others; the numbers in errno stay as they are.
 *
 * Like snprintf, stores at most size bytes, the last of them 0, and returns the length that the
 * whole text has. Returns -1 with errno EFAULT when buf is NULL and size is not 0. */
SPMSG_EXPORT int spmsg_error_text(char *buf, size_t size);

/** Stores the figures of a socket: an entry for itself, then one for each endpoint, then one for
 * each peer that is connected. Of more than count entries, only the first count are stored.
 *
 * Returns how many there are, or -1 with errno EBADF, ENOMEM, or EFAULT when entries is NULL and
 * count is not 0. */
SPMSG_EXPORT int spmsg_statistics(int s, struct spmsg_statistics *entries, size_t count);

/** Stores the figures of a socket as text, in the format that Prometheus reads; with -1 for s,
 * those of all sockets of the process. Nothing is served: that is the program's to do.
 *
 * Like snprintf, stores at most size bytes, the last of them 0, and returns the length that the
 * whole text has, which may be another one the next time. Returns -1 with errno EBADF, ENOMEM, or
 * EFAULT when buf is NULL and size is not 0. */
SPMSG_EXPORT int spmsg_statistics_text(int s, char *buf, size_t size);

#ifdef __cplusplus
}
#endif

#endif
