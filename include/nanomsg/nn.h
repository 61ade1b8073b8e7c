/* The sockets, their options and messages, and everything that is common to all protocols and
 * transports.
 *
 * Generated from src/ffi; changes belong there. */

#ifndef NN_H_INCLUDED
#define NN_H_INCLUDED

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#ifndef NN_EXPORT
#if !defined(_WIN32) || defined(NN_STATIC_LIB)
#define NN_EXPORT extern
#elif defined(NN_SHARED_LIB)
#define NN_EXPORT __declspec(dllexport)
#else
#define NN_EXPORT __declspec(dllimport)
#endif
#endif

/** The numbers of errors that the system does not know. */
#ifndef ENOTSUP
#define ENOTSUP (NN_HAUSNUMERO + 1)
#endif
#ifndef EPROTONOSUPPORT
#define EPROTONOSUPPORT (NN_HAUSNUMERO + 2)
#endif
#ifndef ENOBUFS
#define ENOBUFS (NN_HAUSNUMERO + 3)
#endif
#ifndef ENETDOWN
#define ENETDOWN (NN_HAUSNUMERO + 4)
#endif
#ifndef EADDRINUSE
#define EADDRINUSE (NN_HAUSNUMERO + 5)
#endif
#ifndef EADDRNOTAVAIL
#define EADDRNOTAVAIL (NN_HAUSNUMERO + 6)
#endif
#ifndef ECONNREFUSED
#define ECONNREFUSED (NN_HAUSNUMERO + 7)
#endif
#ifndef EINPROGRESS
#define EINPROGRESS (NN_HAUSNUMERO + 8)
#endif
#ifndef ENOTSOCK
#define ENOTSOCK (NN_HAUSNUMERO + 9)
#endif
#ifndef EAFNOSUPPORT
#define EAFNOSUPPORT (NN_HAUSNUMERO + 10)
#endif
#ifndef EPROTO
#define EPROTO (NN_HAUSNUMERO + 11)
#endif
#ifndef EAGAIN
#define EAGAIN (NN_HAUSNUMERO + 12)
#endif
#ifndef EBADF
#define EBADF (NN_HAUSNUMERO + 13)
#endif
#ifndef EINVAL
#define EINVAL (NN_HAUSNUMERO + 14)
#endif
#ifndef EMFILE
#define EMFILE (NN_HAUSNUMERO + 15)
#endif
#ifndef EFAULT
#define EFAULT (NN_HAUSNUMERO + 16)
#endif
#ifndef EACCES
#define EACCES (NN_HAUSNUMERO + 17)
#endif
#ifndef ENETRESET
#define ENETRESET (NN_HAUSNUMERO + 18)
#endif
#ifndef ENETUNREACH
#define ENETUNREACH (NN_HAUSNUMERO + 19)
#endif
#ifndef EHOSTUNREACH
#define EHOSTUNREACH (NN_HAUSNUMERO + 20)
#endif
#ifndef ENOTCONN
#define ENOTCONN (NN_HAUSNUMERO + 21)
#endif
#ifndef EMSGSIZE
#define EMSGSIZE (NN_HAUSNUMERO + 22)
#endif
#ifndef ETIMEDOUT
#define ETIMEDOUT (NN_HAUSNUMERO + 23)
#endif
#ifndef ECONNABORTED
#define ECONNABORTED (NN_HAUSNUMERO + 24)
#endif
#ifndef ECONNRESET
#define ECONNRESET (NN_HAUSNUMERO + 25)
#endif
#ifndef ENOPROTOOPT
#define ENOPROTOOPT (NN_HAUSNUMERO + 26)
#endif
#ifndef EISCONN
#define NN_EISCONN_DEFINED
#endif
#ifndef EISCONN
#define EISCONN (NN_HAUSNUMERO + 27)
#endif
#ifndef ESOCKTNOSUPPORT
#define ESOCKTNOSUPPORT (NN_HAUSNUMERO + 28)
#endif
#ifndef EACCESS
#define EACCESS EACCES
#endif

#ifdef __cplusplus
extern "C" {
#endif

/** The version of this interface, as libtool counts: the newest interface that is offered, its
 * revision, and how many interfaces before it are offered as well. */
#define NN_VERSION_CURRENT 5
#define NN_VERSION_REVISION 1
#define NN_VERSION_AGE 0

/** The error numbers that no system has begin here. */
#define NN_HAUSNUMERO 156384712

/** The library was terminated by nn_term. */
#ifndef ETERM
#define ETERM (NN_HAUSNUMERO + 53)
#endif

/** The protocol does not allow the operation in the state in which the socket is. */
#ifndef EFSM
#define EFSM (NN_HAUSNUMERO + 54)
#endif

/** Namespaces of what nn_symbol lists. The first is that of the namespaces themselves. */
#define NN_NS_NAMESPACE 0
#define NN_NS_VERSION 1
#define NN_NS_DOMAIN 2
#define NN_NS_TRANSPORT 3
#define NN_NS_PROTOCOL 4
#define NN_NS_OPTION_LEVEL 5
#define NN_NS_SOCKET_OPTION 6
#define NN_NS_TRANSPORT_OPTION 7
#define NN_NS_OPTION_TYPE 8
#define NN_NS_OPTION_UNIT 9
#define NN_NS_FLAG 10
#define NN_NS_ERROR 11
#define NN_NS_LIMIT 12
#define NN_NS_EVENT 13
#define NN_NS_STATISTIC 14

/** Types of what nn_symbol lists. */
#define NN_TYPE_NONE 0
#define NN_TYPE_INT 1
#define NN_TYPE_STR 2

/** Units of what nn_symbol lists. */
#define NN_UNIT_NONE 0
#define NN_UNIT_BYTES 1
#define NN_UNIT_MILLISECONDS 2
#define NN_UNIT_PRIORITY 3
#define NN_UNIT_BOOLEAN 4
#define NN_UNIT_MESSAGES 5
#define NN_UNIT_COUNTER 6

/** The size that stands for "whatever size the message has". The buffer argument is then the
 * address of a pointer to a message of nn_allocmsg instead of the address of bytes. */
#define NN_MSG ((size_t)-1)

/** The domain of ordinary sockets. */
#define AF_SP 1

/** The domain of raw sockets, which pass protocol headers to the program and keep no state. */
#define AF_SP_RAW 2

/** The size of the longest address with the zero byte at its end. */
#define NN_SOCKADDR_MAX 128

/** The level of the options that every socket has. */
#define NN_SOL_SOCKET 0

/** An int, milliseconds: how long nn_close may take to deliver what was sent; 1000 unless set. */
#define NN_LINGER 1

/** An int, bytes: how much may wait to be sent; 131072 unless set. */
#define NN_SNDBUF 2

/** An int, bytes: how much may wait to be received; 131072 unless set. */
#define NN_RCVBUF 3

/** An int, milliseconds, negative for no limit: how long sending waits until it fails; -1 unless
 * set. */
#define NN_SNDTIMEO 4

/** An int, milliseconds, negative for no limit: how long receiving waits until it fails; -1 unless
 * set. */
#define NN_RCVTIMEO 5

/** An int, milliseconds: the time between two attempts to connect; 100 unless set. */
#define NN_RECONNECT_IVL 6

/** An int, milliseconds: the time between attempts to connect grows up to this, or does not grow
 * when it is 0; 0 unless set. */
#define NN_RECONNECT_IVL_MAX 7

/** An int, 1 (best) to 16: the priority, when sending, of peers of endpoints made from now on;
 * 8 unless set. */
#define NN_SNDPRIO 8

/** An int, 1 (best) to 16: the priority, when receiving, of peers of endpoints made from now on;
 * 8 unless set. */
#define NN_RCVPRIO 9

/** A descriptor, read-only: poll it for POLLIN to learn that the socket can send. */
#define NN_SNDFD 10

/** A descriptor, read-only: poll it for POLLIN to learn that the socket can receive. */
#define NN_RCVFD 11

/** An int, read-only: the domain with which the socket was made. */
#define NN_DOMAIN 12

/** An int, read-only: the protocol with which the socket was made. */
#define NN_PROTOCOL 13

/** An int, 0 or 1: whether IPv6 addresses are left aside; 1 unless set. */
#define NN_IPV4ONLY 14

/** A string of at most 63 bytes: what the socket is called in messages for humans. */
#define NN_SOCKET_NAME 15

/** An int, bytes, -1 for no limit: a peer that sends a larger message is disconnected; 1048576
 * unless set. */
#define NN_RCVMAXSIZE 16

/** An int, 1 to 255: how many hops a message may have made to be received; 8 unless
 * set. */
#define NN_MAXTTL 17

/** A flag for sending and receiving: fail with EAGAIN rather than wait. */
#define NN_DONTWAIT 1

/** The level of the control data of the scalability protocols. */
#define PROTO_SP 1

/** The type of the control data that holds the protocol's header: its size as a size_t, then its
 * bytes. */
#define SP_HDR 1

/** An event for nn_poll: the socket can receive. */
#define NN_POLLIN 1

/** An event for nn_poll: the socket can send. */
#define NN_POLLOUT 2

/** Statistics that only grow: connections that the socket made, that it accepted, that it ended,
 * that others ended; failed attempts to connect, to bind, to accept. */
#define NN_STAT_ESTABLISHED_CONNECTIONS 101
#define NN_STAT_ACCEPTED_CONNECTIONS 102
#define NN_STAT_DROPPED_CONNECTIONS 103
#define NN_STAT_BROKEN_CONNECTIONS 104
#define NN_STAT_CONNECT_ERRORS 105
#define NN_STAT_BIND_ERRORS 106
#define NN_STAT_ACCEPT_ERRORS 107

/** Statistics that rise and fall: connections, attempts to connect, endpoints in error. */
#define NN_STAT_CURRENT_CONNECTIONS 201
#define NN_STAT_INPROGRESS_CONNECTIONS 202
#define NN_STAT_CURRENT_EP_ERRORS 203

/** Statistics of the traffic. Bytes are those of the bodies. */
#define NN_STAT_MESSAGES_SENT 301
#define NN_STAT_MESSAGES_RECEIVED 302
#define NN_STAT_BYTES_SENT 303
#define NN_STAT_BYTES_RECEIVED 304

/** The priority of the peers that are sent to at present. */
#define NN_STAT_CURRENT_SND_PRIORITY 401

/** What nn_symbol_info tells about a name. */
struct nn_symbol_properties {
  /** The value of the name. */
  int value;
  /** The name itself. */
  const char *name;
  /** Its namespace, one of NN_NS_*. */
  int ns;
  /** The type of an option's value, one of NN_TYPE_*. */
  int type;
  /** The unit of an option's value or of a statistic, one of NN_UNIT_*. */
  int unit;
};

/** One of the pieces that make up a body. */
struct nn_iovec {
  void *iov_base;
  size_t iov_len;
};

/** A message for nn_sendmsg and nn_recvmsg: a body in pieces, and control data. */
struct nn_msghdr {
  struct nn_iovec *msg_iov;
  int msg_iovlen;
  void *msg_control;
  size_t msg_controllen;
};

/** The head of one entry of control data. Its data follows it. */
struct nn_cmsghdr {
  /** The size of the entry with this head. */
  size_t cmsg_len;
  int cmsg_level;
  int cmsg_type;
};

/** One of the sockets that nn_poll looks at. */
struct nn_pollfd {
  /** The socket. */
  int fd;
  /** What is asked for: NN_POLLIN, NN_POLLOUT. */
  short events;
  /** What was found to hold of it. */
  short revents;
};

/** Gives the error number that the last failing call left behind in the calling thread.
 *
 * It is the errno of the C library, for those who have no other way to read it. */
NN_EXPORT int nn_errno(void);

/** Gives the text that describes an error number.
 *
 * The numbers of the system have the texts of strerror. The text is never NULL and must not be
 * freed; it may change with the next call in the same thread. */
NN_EXPORT const char *nn_strerror(int errnum);

/** Lists the names of this interface: gives the name with the index i, counted from 0, and stores
 * what it stands for in value, unless value is NULL.
 *
 * The name must not be freed. Returns NULL with errno EINVAL behind the last name. */
NN_EXPORT const char *nn_symbol(int i, int *value);

/** Tells all about the name with the index i, counted from 0, as far as buflen bytes hold it.
 *
 * Returns how many bytes were stored: 0 behind the last name, and when buf is NULL. */
NN_EXPORT int nn_symbol_info(int i, struct nn_symbol_properties *buf, int buflen);

/** Opens a socket and returns its handle.
 *
 * The domain is AF_SP, or AF_SP_RAW for a socket that passes the protocol's headers to the
 * program. The protocol is one of the socket types, for example NN_PAIR.
 *
 * Returns -1 with errno ETERM after nn_term, EAFNOSUPPORT for an unknown domain, EMFILE when no
 * further socket or descriptor can be had, EINVAL for an unknown protocol, ENOMEM. */
NN_EXPORT int nn_socket(int domain, int protocol);

/** Closes a socket. Its addresses are free and its resources gone when the call returns.
 *
 * What was sent before still reaches the peers, within the time that NN_LINGER says. Calls that
 * wait on the socket in other threads fail with EBADF.
 *
 * Returns 0, or -1 with errno EBADF. */
NN_EXPORT int nn_close(int s);

/** Makes the socket listen at an address, for example "tcp://127.0.0.1:5555".
 *
 * Returns the number of the endpoint, at least 1, or -1 with errno EBADF, EINVAL for an address
 * that is NULL or malformed, ENAMETOOLONG for one of NN_SOCKADDR_MAX characters or more,
 * EPROTONOSUPPORT for an unknown transport, ENODEV for an unknown interface, EADDRINUSE,
 * EADDRNOTAVAIL, ENOMEM, or what else the system has against it. */
NN_EXPORT int nn_bind(int s, const char *addr);

/** Makes the socket connect to an address, now and again whenever the connection is lost.
 *
 * Returns at once, whether a peer is there or not. The result is that of nn_bind. */
NN_EXPORT int nn_connect(int s, const char *addr);

/** Removes the endpoint that nn_bind or nn_connect returned, with its connections.
 *
 * Returns 0, or -1 with errno EBADF, or EINVAL when the socket has no such endpoint. */
NN_EXPORT int nn_shutdown(int s, int how);

/** Closes all sockets, and lets no new ones be opened.
 *
 * Meant for the end of a program with threads that wait in calls. Does nothing when the program
 * has never opened a socket. */
NN_EXPORT void nn_term(void);

/** Sets an option. The level is NN_SOL_SOCKET, a transport such as NN_TCP or a socket type such as
 * NN_SUB.
 *
 * Returns 0, or -1 with errno EBADF, EFAULT when optval is NULL and optvallen is not 0,
 * ENOPROTOOPT when the socket has no such option or it cannot be set, EINVAL for a size or a
 * value that the option cannot have. An option that cannot be set keeps its value. */
NN_EXPORT int nn_setsockopt(int s, int level, int option, const void *optval, size_t optvallen);

/** Gets an option. optvallen holds the room at optval, and then the size of the option.
 *
 * A value that does not fit is cut off, except that the options of REQ and SURVEYOR need their
 * room. A string gets no zero byte at its end unless there is room for one.
 *
 * Returns 0, or -1 with errno EBADF, EFAULT when optval or optvallen is NULL, ENOPROTOOPT when
 * the socket has no such option or it cannot be read. */
NN_EXPORT int nn_getsockopt(int s, int level, int option, void *optval, size_t *optvallen);

/** Allocates a message of that size, to be filled and sent with the size NN_MSG.
 *
 * The type must be 0. The bytes are not initialised; a message of size 0 is a message, too.
 *
 * Returns NULL with errno ENOMEM without memory, EINVAL for another type. */
NN_EXPORT void *nn_allocmsg(size_t size, int type);

/** Changes the size of a message, which moves when it grows. What it held is kept as far as it
 * fits.
 *
 * A msg of NULL makes a new message. Returns NULL with errno ENOMEM without memory, EFAULT when
 * msg is found not to be a message; the message is then as before. */
NN_EXPORT void *nn_reallocmsg(void *msg, size_t size);

/** Frees a message that was allocated, or received with the size NN_MSG.
 *
 * Returns 0, also for NULL, or -1 with errno EFAULT when msg is found not to be a message. */
NN_EXPORT int nn_freemsg(void *msg);

/** Sends a message whose body is the len bytes at buf.
 *
 * With a len of NN_MSG, buf is the address of a pointer to a message of nn_allocmsg, which is
 * sent and then belongs to the library; when the call fails it still belongs to the caller. With
 * the flag NN_DONTWAIT the call does not wait for a peer that can take the message.
 *
 * Returns the size of the body, or -1 with errno EBADF, EFAULT for a buf that is NULL or no
 * message, EMSGSIZE for a body whose size is no int, ENOTSUP on a socket that cannot send, EFSM
 * when the protocol does not allow it now, EAGAIN with NN_DONTWAIT, ETIMEDOUT after NN_SNDTIMEO,
 * EINTR when a signal arrived, ENOMEM. */
NN_EXPORT int nn_send(int s, const void *buf, size_t len, int flags);

/** Receives a message and copies its body to the len bytes at buf. What does not fit is lost.
 *
 * With a len of NN_MSG, buf is the address of a pointer that is set to the message; nn_freemsg
 * frees it. With the flag NN_DONTWAIT the call does not wait for a message.
 *
 * Returns the size of the body, also when it did not fit, or -1 with errno EBADF, ENOTSUP on a
 * socket that cannot receive, EFSM when the protocol does not allow it now, EFAULT for a buf of
 * NULL that something has to be stored in, EAGAIN with NN_DONTWAIT, ETIMEDOUT after NN_RCVTIMEO
 * or at the end of a survey, ECONNRESET when a request is lost that is not to be asked again
 * (SPMSG_REQ_RESEND_ON_LOSS), EINTR when a signal arrived, ENOMEM. */
NN_EXPORT int nn_recv(int s, void *buf, size_t len, int flags);

/** Sends a message whose body lies in pieces, with control data.
 *
 * A single piece of size NN_MSG is a message of nn_allocmsg as in nn_send. A msg_control that is
 * not NULL holds control data, with a msg_controllen of NN_MSG as the address of a pointer to a
 * message of nn_allocmsg: this one belongs to the library as soon as the arguments are found to
 * be right, whether the message can be sent or not.
 *
 * Returns what nn_send returns, and fails as it does. It also fails with EINVAL when msghdr is
 * NULL, when NN_MSG is the size of one piece among others, when the sizes have no sum, or when
 * the control data holds a header that the protocol cannot send, EFAULT when a piece or control
 * data is NULL or no message, EMSGSIZE when the number of pieces is negative. */
NN_EXPORT int nn_sendmsg(int s, const struct nn_msghdr *msghdr, int flags);

/** Receives a message, spreads its body over the pieces in turn, and stores the control data.
 *
 * A single piece of size NN_MSG is set to a message as in nn_recv. A msg_control that is not NULL
 * receives the control data, or with a msg_controllen of NN_MSG the address of a message with it,
 * which nn_freemsg frees. Control data whose first entry does not fit is left out. The sizes are
 * not changed.
 *
 * Returns what nn_recv returns, and fails as it does. It also fails with EINVAL when msghdr is
 * NULL or when a piece of size NN_MSG among others was to be filled, which loses the message,
 * and with EMSGSIZE when the number of pieces is negative. */
NN_EXPORT int nn_recvmsg(int s, struct nn_msghdr *msghdr, int flags);

/** Finds the entry of control data behind cmsg, or the first one when cmsg is NULL.
 *
 * The macros NN_CMSG_FIRSTHDR and NN_CMSG_NXTHDR call it. Returns NULL when there is no room for
 * a further entry. An area of zero bytes counts as an entry, so that one can be filled in. */
NN_EXPORT
struct nn_cmsghdr *nn_cmsg_nxthdr_(const struct nn_msghdr *mhdr,
                                   const struct nn_cmsghdr *cmsg);

/** Waits until one of the sockets can do what is asked for, at most timeout milliseconds, or
 * without limit when the timeout is negative.
 *
 * Returns how many of the sockets can do something, after storing what in revents, or 0 when the
 * time is over, or -1 with errno EBADF, also when a socket is closed meanwhile, EINVAL for a
 * negative nfds, EFAULT when fds is NULL, ENOPROTOOPT when a socket can never do what is asked
 * for, EINTR when a signal arrived, ENOMEM. Without a socket to report revents is left alone. */
NN_EXPORT int nn_poll(struct nn_pollfd *fds, int nfds, int timeout);

/** Passes the messages of each of two raw sockets on to the other, until one of them is closed.
 *
 * The sockets are of one family, as REQ and REP are, or of one type. Where messages go in one
 * direction only, as from SUB to PUB, the order of the handles does not matter. With one handle
 * that is negative, passes the messages of the other socket back to it.
 *
 * Returns -1 always, with errno EBADF when a socket was closed or there is none, EINVAL when the
 * sockets are not raw or do not fit together, ENOTSUP when a single socket can only send or only
 * receive, ETIMEDOUT after NN_RCVTIMEO or NN_SNDTIMEO, and EINTR when a signal arrived, unless
 * messages go both ways. */
NN_EXPORT int nn_device(int s1, int s2);

/** Gives the value of a statistic of the socket, one of NN_STAT_*.
 *
 * Returns the largest number that there is with errno EBADF, or EINVAL for an unknown statistic.
 * NN_STAT_CURRENT_SND_PRIORITY has that value, too, while there is no peer to send to. */
NN_EXPORT uint64_t nn_get_statistic(int s, int stat);

/** A length with the padding behind it. */
#define NN_CMSG_ALIGN_(len) \
  (((size_t)(len) + sizeof(size_t) - 1) / sizeof(size_t) * sizeof(size_t))

/** What an entry with that much data takes in a block of control data. */
#define NN_CMSG_SPACE(len) (NN_CMSG_ALIGN_(len) + sizeof(struct nn_cmsghdr))

/** What such an entry has as its cmsg_len. */
#define NN_CMSG_LEN(len) ((size_t)(len) + sizeof(struct nn_cmsghdr))

/** The data of an entry. */
#define NN_CMSG_DATA(cmsg) ((unsigned char *)((struct nn_cmsghdr *)(cmsg) + 1))

/** The first entry of a message's control data, or NULL. */
#define NN_CMSG_FIRSTHDR(mhdr) \
  nn_cmsg_nxthdr_((const struct nn_msghdr *)(mhdr), (const struct nn_cmsghdr *)0)

/** The entry behind another one, or NULL. */
#define NN_CMSG_NXTHDR(mhdr, cmsg) \
  nn_cmsg_nxthdr_((const struct nn_msghdr *)(mhdr), (const struct nn_cmsghdr *)(cmsg))

#ifdef __cplusplus
}
#endif

#endif
