/* One public header by itself, as the first thing that a program includes, or all of them. Never
 * linked: it has to compile without a warning in every standard of C and C++ that programs use.
 * headers.cmake says which.
 *
 * HEADER     pair, for example, or all
 * INCLUDE    the file of that name
 * GUARD      its include guard
 * CONSTANTS  the list of its constants
 */

#ifdef INCLUDE
#include INCLUDE
#include INCLUDE
#else
#ifdef WITH_SPMSG
#include <spmsg/spmsg.h>
#endif
#ifdef WITH_WINPIPE
#include <nanomsg/winpipe.h>
#endif
#ifdef WITH_UNIX
#include <nanomsg/unix.h>
#endif
#include <nanomsg/ws.h>
#include <nanomsg/tcp.h>
#include <nanomsg/ipc.h>
#include <nanomsg/inproc.h>
#include <nanomsg/bus.h>
#include <nanomsg/survey.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/reqrep.h>
#include <nanomsg/pubsub.h>
#include <nanomsg/pair.h>
#include <nanomsg/nn.h>
#endif

#include "constants.inc"
#ifdef SPMSG_H_INCLUDED
#include "../beyond/constants.inc"
#endif

#ifdef INCLUDE
/* A guard has no value: otherwise this would be the size 1 of something else. */
typedef char the_guard_is_empty[1 GUARD];

#if defined(INCLUDES_NN) != defined(NN_H_INCLUDED)
#error "nn.h is included by reqrep.h, ws.h and spmsg.h, and by no other header"
#endif
#endif

/* Also as the value of an enumeration, where only constants may stand. */
#define SAME(name, value) \
    typedef char constant_##name[(name) == (value) ? 1 : -1]; \
    enum { enumerator_##name = (name) };
CONSTANTS(SAME)

#ifdef NN_H_INCLUDED
typedef char the_size_is_unsigned[NN_MSG > 0 && NN_MSG + 1 == 0 ? 1 : -1];
typedef char the_size_is_a_size[sizeof(NN_MSG) == sizeof(size_t) ? 1 : -1];

/* The preprocessor must be able to compare, and a sign must not stick to what stands in front. */
#if NN_VERSION_CURRENT < 5 || NN_SOL_SOCKET != 0 || ETERM - NN_HAUSNUMERO != 53
#error "a constant of nn.h has another value for the preprocessor"
#endif

/* Everything is declared for C, also in C++. */
int sample(struct nn_msghdr *message, struct nn_pollfd *sockets);

int sample(struct nn_msghdr *message, struct nn_pollfd *sockets)
{
    struct nn_symbol_properties properties;
    struct nn_iovec piece;
    struct nn_cmsghdr *entry = NN_CMSG_FIRSTHDR(message);
    char room[NN_CMSG_SPACE(sizeof(int))];
    unsigned char *data = NN_CMSG_DATA(entry);
    int (*symbol)(int, struct nn_symbol_properties *, int) = nn_symbol_info;
    uint64_t (*statistic)(int, int) = nn_get_statistic;
    void *(*grow)(void *, size_t) = nn_reallocmsg;
    const char *(*text)(int) = nn_strerror;
    piece.iov_base = room;
    piece.iov_len = NN_CMSG_LEN(sizeof(int));
    entry = NN_CMSG_NXTHDR(message, entry);
    properties.value = nn_poll(sockets, 1, 0) + nn_device(-1, -1) + nn_errno() + *data;
    return symbol(0, &properties, (int)sizeof properties) + (int)statistic(0, 0) + *text(0)
           + (grow(piece.iov_base, 1) == 0) + entry->cmsg_level;
}
#endif

#ifdef SPMSG_H_INCLUDED
CONSTANTS_spmsg_alone(SAME)

#if SPMSG_VERSION < 1000 || SPMSG_BASE != 0x53500000
#error "a constant of spmsg.h has another value for the preprocessor"
#endif

int sample_of_ours(char *room);

int sample_of_ours(char *room)
{
    struct spmsg_event event;
    struct spmsg_credentials who;
    struct spmsg_statistics figures[1];
    int (*start[2])(int, const char *);
    int (*adopt[2])(int, int);
    start[0] = spmsg_bind;
    start[1] = spmsg_connect;
    adopt[0] = spmsg_listen_fd;
    adopt[1] = spmsg_connect_fd;
    event.type = spmsg_next_event(spmsg_events(0), &event);
    who.pid = event.error + (int)sizeof(char[sizeof event == 176 && sizeof who == 12 ? 1 : -1]);
    start[0](spmsg_context(0), room);
    spmsg_log((spmsg_log_function)0, room);
    who.pid += spmsg_error_text(room, 1) + spmsg_event_text(&event, room, 1)
        + (int)spmsg_statistics(0, figures, 1) + (int)spmsg_statistics_text(0, room, 1);
    return who.pid + start[0](0, room) + start[1](0, room) + adopt[0](0, 1) + adopt[1](0, 1)
        + spmsg_address(0, 1, room, 1) + *spmsg_version() + spmsg_disconnect(0, 1)
        + spmsg_tls_reload(0) + spmsg_next_event_certificate(0, &event, room, 1)
        + spmsg_certificate_field(room, SPMSG_CERTIFICATE_NAME, 0, room, 1);
}
#endif

/* Also when everything is included at once. */
#if defined(UNIX_H_INCLUDED) && !defined(INCLUDE)
CONSTANTS_unix(SAME)
#endif
#if defined(WINPIPE_H_INCLUDED) && !defined(INCLUDE)
CONSTANTS_winpipe(SAME)
#endif

#ifdef WS_H_INCLUDED
typedef char a_sign_stands_alone[2 - NN_WS == 6 && sizeof(char[1 -NN_WS]) == 5 ? 1 : -1];
#endif

#ifdef REQREP_H_INCLUDED
typedef char the_handle_is_a_type[sizeof(nn_req_handle) == sizeof(void *) ? 1 : -1];
#endif
