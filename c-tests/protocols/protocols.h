/* What the tests of several protocols share: sockets of every type, messages with their header,
 * words of a backtrace, and what poll(2) says about the descriptors of a socket. */

#ifndef SPMSG_PROTOCOLS_H
#define SPMSG_PROTOCOLS_H

#include "support/check.h"
#include "support/clock.h"
#include "support/raw-peer.h"
#include "support/raw-stream.h"
#include "support/sockets.h"
#include "support/thread.h"

#include <nanomsg/nn.h>
#include <nanomsg/survey.h>

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>

/* ---- sockets ---- */

/* A socket that cannot make the test hang, and whose surveys wait for a slow machine. */
static inline int open_socket(int domain, int type)
{
    int s = nn_socket(domain, type), deadline = 2 * PATIENCE_MS;
    REQUIRE(s >= 0);
    if (domain == AF_SP && type == NN_SURVEYOR)
        CHECK_EQ(nn_setsockopt(s, type, NN_SURVEYOR_DEADLINE, &deadline, sizeof deadline), 0);
    set_int(s, NN_SNDTIMEO, PATIENCE_MS);
    set_int(s, NN_RCVTIMEO, PATIENCE_MS);
    return s;
}

static inline int open_bound(int domain, int type, const char *url)
{
    int s = open_socket(domain, type);
    REQUIRE(nn_bind(s, url) > 0);
    return s;
}

static inline int open_connected(int domain, int type, const char *url)
{
    int s = open_socket(domain, type);
    /* Who dials again soon makes no test slow. */
    set_int(s, NN_RECONNECT_IVL, 10);
    REQUIRE(nn_connect(s, url) > 0);
    return s;
}

static inline void check_close(int s)
{
    CHECK_EQ(nn_close(s), 0);
}

/* The socket has that many pipes, at the latest in a while. */
#define CHECK_PIPES(s, count) \
    CHECK(wait_stat((s), NN_STAT_CURRENT_CONNECTIONS, (count), PATIENCE_MS))

#define CHECK_AGAIN(s) CHECK_ERRNO(nn_recv((s), NULL, 0, NN_DONTWAIT), -1, EAGAIN)

/* ---- readiness ---- */

/* Whether the descriptor of that option, NN_RCVFD or NN_SNDFD, is readable (core 8.1). */
static inline int is_ready(int s, int option)
{
    struct pollfd ready = {get_int(s, NN_SOL_SOCKET, option), POLLIN, 0};
    return poll(&ready, 1, 0) == 1 && (ready.revents & POLLIN) != 0;
}

#define CAN_RECV(s) is_ready((s), NN_RCVFD)
#define CAN_SEND(s) is_ready((s), NN_SNDFD)

/* ---- messages with a header ---- */

/* The four bytes of a word of a backtrace, for the list of an array. */
#define WORD(w) (unsigned char)((uint32_t)(w) >> 24), (unsigned char)((uint32_t)(w) >> 16), \
                (unsigned char)((uint32_t)(w) >> 8), (unsigned char)(uint32_t)(w)

#define TOP_BIT 0x80000000u

static inline uint32_t word_at(const unsigned char *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static inline void put_word(unsigned char *bytes, uint32_t word)
{
    const unsigned char four[4] = {WORD(word)};
    memcpy(bytes, four, 4);
}

struct message {
    unsigned char header[2048];
    size_t header_size;
    unsigned char body[2048];
    int size;
};

/* Receives one message with its header; the result is that of nn_recvmsg. The layout of the
 * control data is checked each time (protocols 2.2, core 5.5, core-quirks A-40, B-42). */
static inline int recv_message(int s, struct message *message, int flags)
{
    unsigned char control[sizeof message->header + 64];
    struct nn_iovec part = {message->body, sizeof message->body};
    struct nn_msghdr header = {&part, 1, control, sizeof control};
    struct nn_cmsghdr entry;
    memset(control, 0xee, sizeof control);
    message->header_size = 0;
    message->size = nn_recvmsg(s, &header, flags);
    if (message->size < 0)
        return message->size;
    CHECK_EQ(header.msg_controllen, sizeof control);
    memcpy(&entry, control, sizeof entry);
    CHECK_EQ(entry.cmsg_level, PROTO_SP);
    CHECK_EQ(entry.cmsg_type, SP_HDR);
    memcpy(&message->header_size, control + sizeof entry, sizeof(size_t));
    CHECK_EQ(entry.cmsg_len, NN_CMSG_SPACE(sizeof(size_t) + message->header_size));
    REQUIRE(message->header_size <= sizeof message->header);
    memcpy(message->header, control + sizeof entry + sizeof(size_t), message->header_size);
    size_t used = sizeof entry + sizeof(size_t) + message->header_size;
    for (size_t i = used; i < entry.cmsg_len && !reference(); i++)
        CHECK_EQ(control[i], 0);
    CHECK_EQ(control[entry.cmsg_len], 0xee);
    return message->size;
}

/* Writes an SP_HDR entry with that header and its padded length; returns the length. */
static inline size_t put_header(unsigned char *control, const void *bytes, size_t size)
{
    struct nn_cmsghdr entry = {NN_CMSG_SPACE(sizeof size + size), PROTO_SP, SP_HDR};
    memset(control, 0, entry.cmsg_len);
    memcpy(control, &entry, sizeof entry);
    memcpy(control + sizeof entry, &size, sizeof size);
    if (size > 0)
        memcpy(control + sizeof entry + sizeof size, bytes, size);
    return entry.cmsg_len;
}

/* Sends a body behind a header; the result is that of nn_sendmsg. */
static inline int send_message(int s, const void *header_bytes, size_t header_size, const void *body,
                          size_t size, int flags)
{
    unsigned char control[2048];
    struct nn_iovec part = {(void *)(uintptr_t)body, size};
    struct nn_msghdr header = {&part, 1, control, 0};
    REQUIRE(NN_CMSG_SPACE(sizeof(size_t) + header_size) <= sizeof control);
    header.msg_controllen = put_header(control, header_bytes, header_size);
    return nn_sendmsg(s, &header, flags);
}

/* A body behind the one word that a request or a survey begins with. */
static inline void send_numbered(int s, uint32_t id, const char *text)
{
    const unsigned char header[4] = {WORD(id)};
    CHECK_EQ(send_message(s, header, 4, text, strlen(text), 0), strlen(text));
}

/* The id of a request or survey that came without a device between. */
static inline uint32_t id_of(const struct message *question)
{
    REQUIRE(question->header_size == 8);
    return word_at(question->header + 4);
}

/* Answers with any bytes, to the pipe that the question came from. */
static inline void answer_bytes(int s, const struct message *question, const void *bytes, size_t size)
{
    CHECK_EQ(send_message(s, question->header, 4, bytes, size, 0), size);
}

/* Answers a message as the raw socket that received it: with its own header. */
static inline void answer(int s, const struct message *message, const char *text)
{
    CHECK_EQ(send_message(s, message->header, message->header_size, text, strlen(text), 0),
             strlen(text));
}

#define CHECK_BODY(message, text) do { \
    test_at(__FILE__, __LINE__); \
    if ((message)->size != (int)strlen(text) \
        || memcmp((message)->body, (text), strlen(text)) != 0) \
        FAIL("the body is \"%.*s\", should be \"%s\"", (message)->size < 0 ? 0 : (message)->size, \
             (const char *)(message)->body, (text)); \
} while (0)

/* Receives a message with that body and leaves it, with its header, in `message`. */
#define CHECK_TAKES(s, message, text) do { \
    CHECK_OK(recv_message((s), (message), 0)); \
    CHECK_BODY((message), (text)); \
} while (0)

/* ---- devices ---- */

/* A device that runs in a thread of its own. */
struct device {
    int s1, s2;
    int result;
    int error;
    struct thread thread;
};

static inline void *device_main(void *argument)
{
    struct device *device = argument;
    errno = 0;
    device->result = nn_device(device->s1, device->s2);
    device->error = errno;
    return NULL;
}

/* `s2` is -1 for a loopback. The device must stay where it is until it has ended. */
static inline void device_start(struct device *device, int s1, int s2)
{
    *device = (struct device){.s1 = s1, .s2 = s2};
    thread_start(&device->thread, device_main, device);
}

/* Joins a device that ends with that error. */
#define CHECK_ENDS(device, with) do { \
    thread_join(&(device)->thread); \
    CHECK_EQ((device)->result, -1); \
    CHECK_EQ((device)->error, (with)); \
} while (0)

/* Closes the sockets of a device, which ends it (core 10.2). */
static inline void device_stop(struct device *device)
{
    check_close(device->s1);
    if (device->s2 >= 0 && device->s2 != device->s1)
        check_close(device->s2);
    CHECK_ENDS(device, EBADF);
}

/* ---- peers that are raw byte streams ---- */

/* The next message on a stream has exactly these bytes. */
#define CHECK_WIRE(fd, url, bytes, length) do { \
    unsigned char w_[1024]; \
    long n_ = raw_take((fd), (url), w_, sizeof w_, PATIENCE_MS); \
    CHECK_EQ(n_, (length)); \
    if (n_ == (long)(length)) \
        CHECK_MEM(w_, (bytes), (size_t)n_); \
} while (0)

/* A stream to the listener `s` that greets as a socket of the type `mine`. */
static inline int raw_peer_of(int s, const char *url, int mine, int theirs)
{
    uint64_t pipes = nn_get_statistic(s, NN_STAT_CURRENT_CONNECTIONS);
    int fd = raw_connect(url);
    REQUIRE(raw_greet_as(fd, mine, theirs));
    CHECK_PIPES(s, pipes + 1);
    return fd;
}

#endif
