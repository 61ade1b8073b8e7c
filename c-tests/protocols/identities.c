/* Which types of socket find each other, in which direction each can speak, what the first calls on
 * it yield and when it is ready (protocols 1, 2.3, 2.6, 2.7; abi 8). */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/raw-peer.h"
#include "support/raw-stream.h"
#include "support/readiness.h"
#include "support/sockets.h"
#include "support/talk.h"

#include <nanomsg/bus.h>
#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/pubsub.h>
#include <nanomsg/reqrep.h>
#include <nanomsg/survey.h>

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

static const struct kind {
    const char *name;
    int protocol;
    int peer;
} KINDS[] = {
    {"PAIR", NN_PAIR, NN_PAIR},
    {"PUB", NN_PUB, NN_SUB},
    {"SUB", NN_SUB, NN_PUB},
    {"REQ", NN_REQ, NN_REP},
    {"REP", NN_REP, NN_REQ},
    {"PUSH", NN_PUSH, NN_PULL},
    {"PULL", NN_PULL, NN_PUSH},
    {"SURVEYOR", NN_SURVEYOR, NN_RESPONDENT},
    {"RESPONDENT", NN_RESPONDENT, NN_SURVEYOR},
    {"BUS", NN_BUS, NN_BUS},
};

enum { KINDS_AND_DOMAINS = 2 * COUNT_OF(KINDS) };

static const struct kind *kind_of(unsigned index)
{
    return &KINDS[index / 2];
}

static int open_kind(unsigned index)
{
    return open_socket(DOMAINS[index % 2], kind_of(index)->protocol);
}

/* The peer of a type is the other role of the same protocol: one type and no other. */
static int are_peers(unsigned a, unsigned b)
{
    return kind_of(a)->peer == kind_of(b)->protocol;
}

/* protocols 1: the numbers, which are also those of the greeting. */
static void the_numbers_are_those_of_the_wire(void)
{
    CHECK_EQ(NN_PAIR, 0x10);
    CHECK_EQ(NN_PUB, 0x20);
    CHECK_EQ(NN_SUB, 0x21);
    CHECK_EQ(NN_REQ, 0x30);
    CHECK_EQ(NN_REP, 0x31);
    CHECK_EQ(NN_PUSH, 0x50);
    CHECK_EQ(NN_PULL, 0x51);
    CHECK_EQ(NN_SURVEYOR, 0x62);
    CHECK_EQ(NN_RESPONDENT, 0x63);
    CHECK_EQ(NN_BUS, 0x70);
}

/* abi, core 2: the socket tells what it was made of. */
static void a_socket_knows_its_domain_and_protocol(void)
{
    for (unsigned i = 0; i < KINDS_AND_DOMAINS; i++) {
        int s = open_kind(i);
        CHECK_EQ(get_int(s, NN_SOL_SOCKET, NN_DOMAIN), DOMAINS[i % 2]);
        CHECK_EQ(get_int(s, NN_SOL_SOCKET, NN_PROTOCOL), kind_of(i)->protocol);
        CHECK_CLOSE(s);
    }
}

/* protocols 1 and 2.3, core-quirks A-47: raw and cooked interconnect freely. */
static void the_right_types_meet_over_inproc(void)
{
    /* Keeps the library alive between the pairs. */
    int idle = open_socket(AF_SP, NN_PAIR);
    for (unsigned i = 0; i < KINDS_AND_DOMAINS; i++)
        for (unsigned k = 0; k < KINDS_AND_DOMAINS; k++) {
            struct url url = unique_url("inproc");
            int a = open_kind(i), b = open_kind(k), expected = are_peers(i, k);
            CHECK_EQ(nn_bind(a, url.text), 1);
            CHECK_EQ(nn_connect(b, url.text), 1);
            if ((int)nn_get_statistic(a, NN_STAT_CURRENT_CONNECTIONS) != expected
                || (int)nn_get_statistic(b, NN_STAT_CURRENT_CONNECTIONS) != expected)
                FAIL("%s (domain %d) and %s (domain %d) %s", kind_of(i)->name, DOMAINS[i % 2],
                     kind_of(k)->name, DOMAINS[k % 2], expected ? "do not meet" : "meet");
            CHECK_CLOSE(b, a);
        }
    CHECK_CLOSE(idle);
}

/* One type that listens and one that connects. */
static void check_meeting_over_tcp(int a, unsigned listening, unsigned connecting, const char *url)
{
    int expected = are_peers(listening, connecting), met;
    uint64_t broken = nn_get_statistic(a, NN_STAT_BROKEN_CONNECTIONS);
    int b = open_kind(connecting);
    /* The first retry is immediate; no other shall disturb (transports 3.4). */
    set_int(b, NN_RECONNECT_IVL, 60000);
    CHECK_EQ(nn_connect(b, url), 1);
    if (expected) {
        met = wait_stat(a, NN_STAT_CURRENT_CONNECTIONS, 1, PATIENCE_MS)
              && wait_stat(b, NN_STAT_CURRENT_CONNECTIONS, 1, PATIENCE_MS);
    } else {
        /* core 11: a rejected greeting is a broken connection, on both sides. */
        met = !wait_stat_at_least(a, NN_STAT_BROKEN_CONNECTIONS, broken + 1, PATIENCE_MS)
              || !wait_stat_at_least(b, NN_STAT_BROKEN_CONNECTIONS, 1, PATIENCE_MS)
              || nn_get_statistic(a, NN_STAT_CURRENT_CONNECTIONS) != 0
              || nn_get_statistic(b, NN_STAT_CURRENT_CONNECTIONS) != 0;
    }
    if (met != expected)
        FAIL("%s (domain %d) and %s (domain %d) %s", kind_of(listening)->name,
             DOMAINS[listening % 2], kind_of(connecting)->name, DOMAINS[connecting % 2],
             expected ? "do not meet" : "meet");
    CHECK_CLOSE(b);
    CHECK(wait_stat(a, NN_STAT_CURRENT_CONNECTIONS, 0, PATIENCE_MS));
}

/* protocols 1 and 2.3 */
static void the_right_types_meet_over_tcp(void)
{
    for (unsigned i = 0; i < KINDS_AND_DOMAINS; i++) {
        struct url url = unique_url("tcp");
        int a = open_kind(i);
        CHECK_EQ(nn_bind(a, url.text), 1);
        for (unsigned k = 0; k < KINDS_AND_DOMAINS; k++)
            check_meeting_over_tcp(a, i, k, url.text);
        CHECK_CLOSE(a);
    }
}

/* protocols 1: among them PAIRv1 (0x11) and the old survey types (0x60, 0x61). */
static const int TYPES[24] = {
    0x00, 0x01, 0x0f, 0x10, 0x11, 0x20, 0x21, 0x22, 0x23, 0x30, 0x31, 0x40,
    0x50, 0x51, 0x60, 0x61, 0x62, 0x63, 0x64, 0x70, 0x71, 0x80, 0x1010, 0x6370,
};

/* protocols 1, transports 3.1 */
static void a_listener_accepts_one_type_only(void)
{
    for (unsigned i = 0; i < KINDS_AND_DOMAINS; i++) {
        struct url url = unique_url("tcp");
        int s = open_kind(i);
        CHECK_EQ(nn_bind(s, url.text), 1);
        for (unsigned k = 0; k < COUNT_OF(TYPES); k++) {
            int fd = raw_connect(url.text);
            if (!raw_greet_as(fd, TYPES[k], kind_of(i)->protocol))
                FAIL("%s does not greet type %#x as itself", kind_of(i)->name, TYPES[k]);
            if (TYPES[k] == kind_of(i)->peer) {
                CHECK(wait_stat(s, NN_STAT_CURRENT_CONNECTIONS, 1, PATIENCE_MS));
                CHECK_EQ(raw_end(fd, 5), RAW_OPEN);
            } else if (raw_end(fd, PATIENCE_MS) != RAW_EOF
                       || nn_get_statistic(s, NN_STAT_CURRENT_CONNECTIONS) != 0) {
                FAIL("%s does not close on type %#x", kind_of(i)->name, TYPES[k]);
            }
            close(fd);
            CHECK(wait_stat(s, NN_STAT_CURRENT_CONNECTIONS, 0, PATIENCE_MS));
        }
        CHECK_CLOSE(s);
    }
}

/* protocols 1, transports 3.1: refused by everybody, it comes again and takes the right one. */
static void a_dialer_accepts_one_type_only(void)
{
    for (unsigned i = 0; i < KINDS_AND_DOMAINS; i++) {
        struct url url = unique_url("tcp");
        int s = open_kind(i), listener = raw_listen(url.text), fd;
        set_int(s, NN_RECONNECT_IVL, 1);
        CHECK_EQ(nn_connect(s, url.text), 1);
        for (unsigned k = 0; k < COUNT_OF(TYPES); k++) {
            if (TYPES[k] == kind_of(i)->peer)
                continue;
            fd = raw_accept(listener, PATIENCE_MS);
            REQUIRE(fd >= 0);
            CHECK(raw_greet_as(fd, TYPES[k], kind_of(i)->protocol));
            if (raw_end(fd, PATIENCE_MS) != RAW_EOF)
                FAIL("%s does not close on type %#x", kind_of(i)->name, TYPES[k]);
            close(fd);
        }
        CHECK_EQ(nn_get_statistic(s, NN_STAT_CURRENT_CONNECTIONS), 0);
        fd = raw_accept(listener, PATIENCE_MS);
        REQUIRE(fd >= 0);
        CHECK(raw_greet_as(fd, kind_of(i)->peer, kind_of(i)->protocol));
        CHECK(wait_stat(s, NN_STAT_CURRENT_CONNECTIONS, 1, PATIENCE_MS));
        close(fd);
        close(listener);
        CHECK_CLOSE(s);
    }
}

/* protocols 1: at once, in both domains, whatever the flags; with a peer and without. */
static void check_missing_direction(int s, int can_send)
{
    static const int flags[] = {0, NN_DONTWAIT, -1, 2};
    char byte = 7;
    for (size_t i = 0; i < COUNT_OF(flags); i++) {
        struct nn_iovec part = {&byte, 1};
        struct nn_msghdr message = {&part, 1, NULL, 0};
        if (can_send) {
            CHECK_ERRNO(nn_recv(s, &byte, 1, flags[i]), -1, ENOTSUP);
            CHECK_ERRNO(nn_recvmsg(s, &message, flags[i]), -1, ENOTSUP);
        } else {
            CHECK_ERRNO(nn_send(s, &byte, 1, flags[i]), -1, ENOTSUP);
            CHECK_ERRNO(nn_sendmsg(s, &message, flags[i]), -1, ENOTSUP);
        }
    }
    CHECK_EQ(byte, 7);
    CHECK_EQ(nn_get_statistic(s, NN_STAT_MESSAGES_SENT), 0);
    CHECK_EQ(nn_get_statistic(s, NN_STAT_MESSAGES_RECEIVED), 0);
}

static void the_missing_direction_is_not_supported(void)
{
    static const int ways[2][2] = {{NN_PUB, NN_SUB}, {NN_PUSH, NN_PULL}};
    for (unsigned i = 0; i < 4; i++) {
        struct url url = unique_url("inproc");
        int from = open_socket(DOMAINS[i % 2], ways[i / 2][0]);
        int to = open_socket(DOMAINS[i % 2], ways[i / 2][1]);
        for (int connected = 0; connected < 2; connected++) {
            check_missing_direction(from, 1);
            check_missing_direction(to, 0);
            if (!connected) {
                CHECK_OK(nn_bind(from, url.text));
                CHECK_OK(nn_connect(to, url.text));
            }
        }
        CHECK_CLOSE(from, to);
    }
}

/* core-quirks A-20: what is wrong with the arguments of a send comes first. */
static void wrong_arguments_come_before_the_missing_direction(void)
{
    static const int types[] = {NN_SUB, NN_PULL};
    for (unsigned i = 0; i < 4; i++) {
        int s = open_socket(DOMAINS[i % 2], types[i / 2]);
        struct nn_iovec part = {NULL, 1};
        struct nn_msghdr message = {&part, 1, NULL, 0};
        CHECK_ERRNO(nn_send(s, NULL, 1, 0), -1, EFAULT);
        CHECK_ERRNO(nn_send(s, NULL, 0, 0), -1, ENOTSUP);
        CHECK_ERRNO(nn_sendmsg(s, NULL, 0), -1, EINVAL);
        CHECK_ERRNO(nn_sendmsg(s, &message, 0), -1, EFAULT);
        message.msg_iovlen = -1;
        CHECK_ERRNO(nn_sendmsg(s, &message, 0), -1, EMSGSIZE);
        message.msg_iovlen = 0;
        CHECK_ERRNO(nn_sendmsg(s, &message, 0), -1, ENOTSUP);
        CHECK_CLOSE(s);
        CHECK_ERRNO(nn_send(s, NULL, 1, 0), -1, EBADF);
    }
}

/* core-quirks A-21 and B-8: where nothing can come, nobody looks at the buffer. */
static void the_missing_direction_comes_before_the_buffer(void)
{
    static const int types[] = {NN_PUB, NN_PUSH};
    for (unsigned i = 0; i < 4; i++) {
        int s = open_socket(DOMAINS[i % 2], types[i / 2]);
        void *chunk = &chunk;
        CHECK_ERRNO(nn_recv(s, NULL, 4, 0), -1, ENOTSUP);
        CHECK_ERRNO(nn_recv(s, NULL, NN_MSG, 0), -1, ENOTSUP);
        CHECK_ERRNO(nn_recv(s, &chunk, NN_MSG, 0), -1, ENOTSUP);
        CHECK(chunk == &chunk);
        CHECK_ERRNO(nn_recvmsg(s, NULL, 0), -1, EINVAL);
        CHECK_CLOSE(s);
    }
}

/* core 5.3: a message that was not supported still belongs to the caller. */
static void a_message_that_is_not_supported_stays_with_the_caller(void)
{
    static const int types[] = {NN_SUB, NN_PULL};
    for (unsigned i = 0; i < 4; i++) {
        int s = open_socket(DOMAINS[i % 2], types[i / 2]);
        char *chunk = nn_allocmsg(100, 0);
        memset(chunk, 'k', 100);
        CHECK_ERRNO(nn_send(s, &chunk, NN_MSG, 0), -1, ENOTSUP);
        CHECK_EQ(chunk[0], 'k');
        CHECK_EQ(chunk[99], 'k');
        CHECK_EQ(nn_freemsg(chunk), 0);
        CHECK_CLOSE(s);
    }
}

/* core-quirks A-22 */
static void there_is_no_descriptor_for_a_missing_direction(void)
{
    static const int types[] = {NN_PUB, NN_PUSH, NN_SUB, NN_PULL};
    for (unsigned i = 0; i < 8; i++) {
        int s = open_socket(DOMAINS[i % 2], types[i / 2]), fd = -7;
        size_t size = sizeof fd;
        int missing = i / 2 < 2 ? NN_RCVFD : NN_SNDFD, present = i / 2 < 2 ? NN_SNDFD : NN_RCVFD;
        CHECK_ERRNO(nn_getsockopt(s, NN_SOL_SOCKET, missing, &fd, &size), -1, ENOPROTOOPT);
        CHECK_EQ(fd, -7);
        CHECK_AT_LEAST(get_int(s, NN_SOL_SOCKET, present), 0);
        CHECK_EQ(get_int(s, NN_SOL_SOCKET, present), get_int(s, NN_SOL_SOCKET, present));
        CHECK_CLOSE(s);
    }
}

/* abi 8: what the first calls yield; 0 stands for success. */
struct row {
    int protocol;
    int recv_now, recv, send_now, send;
};

static const struct row ROWS[] = {
    {NN_PAIR, EAGAIN, ETIMEDOUT, EAGAIN, ETIMEDOUT},
    {NN_PUB, ENOTSUP, ENOTSUP, 0, 0},
    {NN_SUB, EAGAIN, ETIMEDOUT, ENOTSUP, ENOTSUP},
    {NN_PUSH, ENOTSUP, ENOTSUP, EAGAIN, ETIMEDOUT},
    {NN_PULL, EAGAIN, ETIMEDOUT, ENOTSUP, ENOTSUP},
    {NN_BUS, EAGAIN, ETIMEDOUT, 0, 0},
};

static int result_of(int returned)
{
    return returned >= 0 ? 0 : errno;
}

static void check_row(int s, const struct row *row, int send_now, int send)
{
    char bytes[8] = "1234567";
    uint64_t sent = nn_get_statistic(s, NN_STAT_MESSAGES_SENT);
    uint64_t size = nn_get_statistic(s, NN_STAT_BYTES_SENT);
    CHECK_EQ(result_of(nn_recv(s, bytes, sizeof bytes, NN_DONTWAIT)), row->recv_now);
    int64_t start = now_us();
    CHECK_EQ(result_of(nn_recv(s, bytes, sizeof bytes, 0)), row->recv);
    if (row->recv == ETIMEDOUT)
        CHECK_NOT_EARLY(start, 30);
    CHECK_EQ(result_of(nn_send(s, bytes, 7, NN_DONTWAIT)), send_now);
    start = now_us();
    CHECK_EQ(result_of(nn_send(s, bytes, 7, 0)), send);
    if (send == ETIMEDOUT)
        CHECK_NOT_EARLY(start, 30);
    CHECK_EQ(result_of(nn_recv(s, bytes, sizeof bytes, NN_DONTWAIT)), row->recv_now);
    /* abi 8, core-quirks: what was dropped counts as sent. */
    int successes = (send_now == 0) + (send == 0);
    CHECK_EQ(nn_get_statistic(s, NN_STAT_MESSAGES_SENT), sent + successes);
    CHECK_EQ(nn_get_statistic(s, NN_STAT_BYTES_SENT), size + 7 * successes);
    CHECK_EQ(nn_get_statistic(s, NN_STAT_MESSAGES_RECEIVED), 0);
}

static int open_row(const struct row *row, int domain)
{
    int s = open_socket(domain, row->protocol);
    set_int(s, NN_SNDTIMEO, 30);
    set_int(s, NN_RCVTIMEO, 30);
    return s;
}

/* protocols 2.6 and 2.7, abi 8 */
static void the_first_calls_without_a_peer(void)
{
    for (unsigned i = 0; i < 2 * COUNT_OF(ROWS); i++) {
        const struct row *row = &ROWS[i / 2];
        int s = open_row(row, DOMAINS[i % 2]);
        check_row(s, row, row->send_now, row->send);
        CHECK_CLOSE(s);
    }
}

/* protocols 2.6: no peer is attached to these either, wherever they wait for one. */
static void an_endpoint_is_no_peer(void)
{
    for (size_t scheme = 0; scheme < COUNT_OF(SCHEMES); scheme++)
        for (unsigned i = 0; i < 2 * COUNT_OF(ROWS); i++) {
            const struct row *row = &ROWS[i / 2];
            struct url url = unique_url(SCHEMES[scheme]);
            int s = open_row(row, DOMAINS[i % 2]);
            if (i % 2)
                CHECK_OK(nn_bind(s, url.text));
            else
                CHECK_OK(nn_connect(s, url.text));
            check_row(s, row, row->send_now, row->send);
            CHECK_CLOSE(s);
        }
}

static int peer_of(int protocol)
{
    const struct kind *kind = KINDS;
    while (kind->protocol != protocol)
        kind++;
    return kind->peer;
}

/* protocols 2.6, second column: the only peer can take no more (2.8: two at a limit of 1). */
static void the_calls_beside_a_full_peer(void)
{
    for (unsigned i = 0; i < 2 * COUNT_OF(ROWS); i++) {
        const struct row *row = &ROWS[i / 2];
        if (row->send == ENOTSUP)
            continue;
        struct url url = unique_url("inproc");
        int s = open_row(row, DOMAINS[i % 2]);
        int peer = open_socket(DOMAINS[i % 2], peer_of(row->protocol));
        set_int(peer, NN_RCVBUF, 1);
        if (row->protocol == NN_PUB)
            subscribe(peer, "");
        CHECK_OK(nn_bind(peer, url.text));
        CHECK_OK(nn_connect(s, url.text));
        CHECK_EQ(send_now(s, "one"), 3);
        CHECK_EQ(send_now(s, "two"), 3);
        check_row(s, row, row->send_now, row->send);
        CHECK_STR(recv_now(peer), "one");
        CHECK_STR(recv_now(peer), "two");
        CHECK_STR(recv_now(peer), "EAGAIN");
        /* Third column: it can be reached again. */
        CHECK_EQ(send_now(s, "more"), 4);
        CHECK_STR(recv_now(peer), "more");
        CHECK_CLOSE(s, peer);
    }
}

/* Whether it is ready now, on which the descriptor and nn_poll agree (core 8.2). */
static int is_ready(int s, int option)
{
    int told = signals(s, option, 0);
    short events = option == NN_SNDFD ? NN_POLLOUT : NN_POLLIN;
    struct nn_pollfd item = {s, events, 0};
    CHECK_EQ(nn_poll(&item, 1, 0), told);
    CHECK_EQ(item.revents, told ? events : 0);
    return told;
}

/* protocols 2.7, core 8.1: PUSH is ready while a pipe can take something. */
static void a_push_is_writable_while_a_pipe_is(void)
{
    for (int d = 0; d < 2; d++) {
        struct url url = unique_url("inproc");
        int push = open_socket(DOMAINS[d], NN_PUSH), pull = open_socket(DOMAINS[d], NN_PULL);
        set_int(pull, NN_RCVBUF, 1);
        CHECK(!is_ready(push, NN_SNDFD));
        CHECK_OK(nn_bind(push, url.text));
        CHECK(!is_ready(push, NN_SNDFD));
        CHECK_OK(nn_connect(pull, url.text));
        CHECK(is_ready(push, NN_SNDFD));
        CHECK_EQ(send_now(push, "one"), 3);
        CHECK(is_ready(push, NN_SNDFD));
        CHECK_EQ(send_now(push, "two"), 3);
        CHECK(!is_ready(push, NN_SNDFD));
        CHECK_ERRNO(send_now(push, "no"), -1, EAGAIN);
        CHECK(!is_ready(push, NN_SNDFD));
        CHECK_STR(recv_now(pull), "one");
        CHECK(is_ready(push, NN_SNDFD));
        CHECK_CLOSE(pull);
        CHECK(!is_ready(push, NN_SNDFD));
        CHECK_CLOSE(push);
    }
}

/* protocols 2.7: always, also with peers that can take no more. */
static void a_broadcaster_is_always_writable(void)
{
    static const int types[2][2] = {{NN_PUB, NN_SUB}, {NN_BUS, NN_BUS}};
    for (unsigned i = 0; i < 4; i++) {
        struct url url = unique_url("inproc");
        int from = open_socket(DOMAINS[i % 2], types[i / 2][0]);
        int to = open_socket(DOMAINS[i % 2], types[i / 2][1]);
        set_int(to, NN_RCVBUF, 1);
        CHECK(is_ready(from, NN_SNDFD));
        CHECK_OK(nn_bind(from, url.text));
        CHECK_OK(nn_connect(to, url.text));
        for (int k = 0; k < 5; k++) {
            CHECK(is_ready(from, NN_SNDFD));
            CHECK_EQ(send_now(from, "x"), 1);
        }
        CHECK(is_ready(from, NN_SNDFD));
        CHECK_CLOSE(to);
        CHECK(is_ready(from, NN_SNDFD));
        CHECK_CLOSE(from);
    }
}

/* protocols 2.7, core 7.3 and 8.1: as long as a pipe holds a message, and not a moment longer. */
static void a_receiver_is_readable_while_a_message_waits(void)
{
    static const int types[3][2] = {{NN_PUSH, NN_PULL}, {NN_PUB, NN_SUB}, {NN_BUS, NN_BUS}};
    for (unsigned i = 0; i < 6; i++) {
        struct url url = unique_url("inproc");
        int from = open_socket(DOMAINS[i % 2], types[i / 2][0]);
        int to = open_socket(DOMAINS[i % 2], types[i / 2][1]);
        if (i / 2 == 1)
            subscribe(to, "");
        CHECK(!is_ready(to, NN_RCVFD));
        CHECK_OK(nn_bind(from, url.text));
        CHECK_OK(nn_connect(to, url.text));
        for (int round = 0; round < 3; round++) {
            CHECK(!is_ready(to, NN_RCVFD));
            CHECK_EQ(send_now(from, "one"), 3);
            CHECK(is_ready(to, NN_RCVFD));
            CHECK_EQ(send_now(from, "two"), 3);
            CHECK_STR(recv_now(to), "one");
            CHECK(is_ready(to, NN_RCVFD));
            CHECK_STR(recv_now(to), "two");
            CHECK(!is_ready(to, NN_RCVFD));
        }
        CHECK_CLOSE(from, to);
    }
}

/* protocols 2.7 over streams, where things take their time. */
static void readiness_comes_and_goes_over_streams(void)
{
    static const int types[3][2] = {{NN_PUSH, NN_PULL}, {NN_PUB, NN_SUB}, {NN_BUS, NN_BUS}};
    for (size_t scheme = 1; scheme < COUNT_OF(SCHEMES); scheme++)
        for (unsigned i = 0; i < 3; i++) {
            struct url url = unique_url(SCHEMES[scheme]);
            int from = open_bound(AF_SP, types[i][0], url.text);
            int to = open_socket(AF_SP, types[i][1]);
            if (types[i][1] == NN_SUB)
                subscribe(to, "");
            CHECK_EQ(signals(from, NN_SNDFD, 0), types[i][0] != NN_PUSH);
            CHECK_OK(nn_connect(to, url.text));
            CHECK_PIPES(from, 1);
            CHECK(signals(from, NN_SNDFD, PATIENCE_MS));
            CHECK(!signals(to, NN_RCVFD, 0));
            CHECK_SEND(from, "hello");
            CHECK(signals(to, NN_RCVFD, PATIENCE_MS));
            CHECK_STR(recv_now(to), "hello");
            CHECK(!signals(to, NN_RCVFD, 10));
            CHECK_CLOSE(to);
            CHECK_PIPES(from, 0);
            CHECK_EQ(signals(from, NN_SNDFD, 0), types[i][0] != NN_PUSH);
            CHECK_CLOSE(from);
        }
}

/* core-quirks A-69, protocols 12: these types have no options of their own but for SUB. */
static void only_subscribers_have_options_of_their_own(void)
{
    static const int levels[] = {NN_PAIR, NN_PUB, NN_SUB, NN_REQ, NN_REP, NN_PUSH, NN_PULL,
                                 NN_SURVEYOR, NN_RESPONDENT, NN_BUS, 2 * 16 + 2, 4242};
    for (unsigned i = 0; i < 2 * COUNT_OF(ROWS); i++) {
        int protocol = ROWS[i / 2].protocol, s = open_socket(DOMAINS[i % 2], protocol);
        for (size_t k = 0; k < COUNT_OF(levels); k++)
            for (int option = 0; option < 5; option++) {
                int value = 1;
                size_t size = sizeof value;
                CHECK_ERRNO(nn_getsockopt(s, levels[k], option, &value, &size), -1, ENOPROTOOPT);
                if (protocol == NN_SUB && levels[k] == NN_SUB && (option == 1 || option == 2))
                    continue;
                CHECK_ERRNO(nn_setsockopt(s, levels[k], option, &value, size), -1, ENOPROTOOPT);
                CHECK_ERRNO(nn_setsockopt(s, levels[k], option, &value, 1), -1, ENOPROTOOPT);
            }
        CHECK_CLOSE(s);
    }
}

int main(void)
{
    test_begin("protocols/identities", 55);
    RUN(the_numbers_are_those_of_the_wire);
    RUN(a_socket_knows_its_domain_and_protocol);
    RUN(the_right_types_meet_over_inproc);
    RUN(the_right_types_meet_over_tcp);
    RUN(a_listener_accepts_one_type_only);
    RUN(a_dialer_accepts_one_type_only);
    RUN(the_missing_direction_is_not_supported);
    RUN(wrong_arguments_come_before_the_missing_direction);
    RUN(the_missing_direction_comes_before_the_buffer);
    RUN(a_message_that_is_not_supported_stays_with_the_caller);
    RUN(there_is_no_descriptor_for_a_missing_direction);
    RUN(the_first_calls_without_a_peer);
    RUN(an_endpoint_is_no_peer);
    RUN(the_calls_beside_a_full_peer);
    RUN(a_push_is_writable_while_a_pipe_is);
    RUN(a_broadcaster_is_always_writable);
    RUN(a_receiver_is_readable_while_a_message_waits);
    RUN(readiness_comes_and_goes_over_streams);
    RUN(only_subscribers_have_options_of_their_own);
    return test_end();
}
