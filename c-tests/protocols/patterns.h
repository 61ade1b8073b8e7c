/* What the tests of the patterns share: sockets of any type that cannot make a test hang, messages
 * with an SP header, bodies of which every byte is known, and raw peers of any type. */

#ifndef SPMSG_PATTERNS_H
#define SPMSG_PATTERNS_H

#include "support/check.h"
#include "support/clock.h"
#include "support/raw-peer.h"
#include "support/raw-stream.h"
#include "support/sockets.h"

#include <nanomsg/nn.h>
#include <nanomsg/pubsub.h>

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

enum { HEADER_MAX = 64 };

static const char *const SCHEMES[] __attribute__((unused)) = {"inproc", "ipc", "tcp"};
static const int DOMAINS[] __attribute__((unused)) = {AF_SP, AF_SP_RAW};

/* ---- sockets ---- */

static inline int open_type(int domain, int protocol)
{
    int s = nn_socket(domain, protocol);
    REQUIRE(s >= 0);
    set_int(s, NN_SNDTIMEO, PATIENCE_MS);
    set_int(s, NN_RCVTIMEO, PATIENCE_MS);
    /* A dialer that comes before its listener shall not make the test slow. */
    set_int(s, NN_RECONNECT_IVL, 10);
    return s;
}

static inline int bind_type(int protocol, const char *url)
{
    int s = open_type(AF_SP, protocol);
    REQUIRE(nn_bind(s, url) > 0);
    return s;
}

static inline int connect_type(int protocol, const char *url)
{
    int s = open_type(AF_SP, protocol);
    REQUIRE(nn_connect(s, url) > 0);
    return s;
}

static inline void close_sockets(const int *sockets, size_t count)
{
    for (size_t i = 0; i < count; i++)
        CHECK_EQ(nn_close(sockets[i]), 0);
}

/* Waits for that many pipes; over inproc they are there already (core 7.3). */
static inline void await_peers(int s, uint64_t count)
{
    REQUIRE(wait_stat(s, NN_STAT_CURRENT_CONNECTIONS, count, PATIENCE_MS));
}

/* Connects `s`, which has `before` pipes, to the only endpoint of `to`, which has as many as told
 * too. Both have one more when this returns, so that the order of the pipes is known. */
static inline void join(int s, uint64_t before, int to, uint64_t before_there, const char *url)
{
    REQUIRE(nn_connect(s, url) > 0);
    await_peers(s, before + 1);
    await_peers(to, before_there + 1);
}

static inline void subscribe(int s, const char *topic)
{
    CHECK_EQ(nn_setsockopt(s, NN_SUB, NN_SUB_SUBSCRIBE, topic, strlen(topic)), 0);
}

/* Whether NN_SNDFD or NN_RCVFD signals within that time (core 8.1). */
static inline int signals(int s, int option, int ms)
{
    struct pollfd ready = {get_int(s, NN_SOL_SOCKET, option), POLLIN, 0};
    return poll(&ready, 1, ms) == 1;
}

static inline int send_now(int s, const char *text)
{
    return nn_send(s, text, strlen(text), NN_DONTWAIT);
}

/* What a receive that does not wait yields, as text. A receiver that discards something may say
 * EAGAIN although more has come, and then is readable (protocols 2.1, consequence 2). */
static inline const char *recv_now(int s)
{
    static char text[64];
    int size;
    do {
        errno = 0;
        size = nn_recv(s, text, sizeof text - 1, NN_DONTWAIT);
    } while (size < 0 && errno == EAGAIN && signals(s, NN_RCVFD, 0));
    if (size < 0)
        return errno == EAGAIN ? "EAGAIN" : "another error";
    text[size < (int)sizeof text ? size : (int)sizeof text - 1] = 0;
    return text;
}

/* ---- headers ---- */

union control {
    struct nn_cmsghdr entry;
    unsigned char bytes[NN_CMSG_SPACE(sizeof(size_t) + HEADER_MAX)];
};

/* Sends with an SP_HDR property of that many bytes (protocols 2.2). */
static inline int send_headed(int s, const void *header, size_t count, const void *body, size_t size,
                         int flags)
{
    union control control;
    struct nn_iovec part = {(void *)(uintptr_t)body, size};
    struct nn_msghdr message = {&part, 1, &control, NN_CMSG_SPACE(sizeof(size_t) + count)};
    memset(&control, 0, sizeof control);
    control.entry.cmsg_len = NN_CMSG_SPACE(sizeof(size_t) + count);
    control.entry.cmsg_level = PROTO_SP;
    control.entry.cmsg_type = SP_HDR;
    memcpy(NN_CMSG_DATA(&control.entry), &count, sizeof count);
    memcpy(NN_CMSG_DATA(&control.entry) + sizeof count, header, count);
    return nn_sendmsg(s, &message, flags);
}

/* Receives with the SP_HDR property, whose bytes and their number are stored. */
static inline int recv_headed(int s, unsigned char header[HEADER_MAX], size_t *count, void *body,
                         size_t size, int flags)
{
    union control control;
    struct nn_iovec part = {body, size};
    struct nn_msghdr message = {&part, 1, &control, sizeof control};
    memset(&control, 0xee, sizeof control);
    *count = (size_t)-1;
    int received = nn_recvmsg(s, &message, flags);
    if (received < 0)
        return received;
    CHECK_EQ(control.entry.cmsg_level, PROTO_SP);
    CHECK_EQ(control.entry.cmsg_type, SP_HDR);
    memcpy(count, NN_CMSG_DATA(&control.entry), sizeof *count);
    REQUIRE(*count <= HEADER_MAX);
    CHECK_EQ(control.entry.cmsg_len, NN_CMSG_SPACE(sizeof(size_t) + *count));
    memcpy(header, NN_CMSG_DATA(&control.entry) + sizeof *count, *count);
    return received;
}

/* ---- bodies ---- */

/* Bytes that depend on the number, so that a byte of another message or place is noticed. */
static inline void fill_body(unsigned char *body, size_t size, uint32_t number)
{
    uint32_t state = number * 2654435761u + 1;
    for (size_t i = 0; i < size; i++) {
        state = state * 1664525u + 1013904223u;
        body[i] = (unsigned char)(state >> 24);
    }
}

static inline int is_body(const unsigned char *body, size_t size, uint32_t number)
{
    uint32_t state = number * 2654435761u + 1;
    for (size_t i = 0; i < size; i++) {
        state = state * 1664525u + 1013904223u;
        if (body[i] != (unsigned char)(state >> 24))
            return 0;
    }
    return 1;
}

/* ---- raw peers ---- */

/* A raw connection to `s`, which has `before` pipes and then one more. */
static inline int raw_join(int s, uint64_t before, const char *url, int type, int other)
{
    int fd = raw_connect(url);
    CHECK(raw_greet_as(fd, type, other));
    await_peers(s, before + 1);
    return fd;
}

/* The next bytes are exactly this frame: prefix and body. */
static inline void check_frame(int fd, const char *url, const void *body, size_t size)
{
    unsigned char prefix[9], got[9];
    unsigned char *rest = malloc(size + 1);
    size_t used = raw_prefix(url, size, prefix);
    CHECK_EQ(raw_recv(fd, got, used, PATIENCE_MS), used);
    CHECK_MEM(got, prefix, used);
    CHECK_EQ(raw_recv(fd, rest, size, PATIENCE_MS), size);
    CHECK_MEM(rest, body, size);
    free(rest);
}

/* Nothing has come on the raw connection, and nothing comes in a short time. */
static inline void check_silence(int fd)
{
    unsigned char byte;
    CHECK_EQ(raw_recv(fd, &byte, 1, 20), 0);
}

#endif
