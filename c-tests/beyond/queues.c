/* Queues counted in messages (SPMSG_SNDBUF_MESSAGES, SPMSG_RCVBUF_MESSAGES), and what becomes of a
 * message for which there is no room (SPMSG_DROP). */

#include "beyond.h"

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/readiness.h"
#include "support/sockets.h"

#include <nanomsg/bus.h>
#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/pubsub.h>
#include <nanomsg/reqrep.h>
#include <nanomsg/survey.h>

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* More than the smallest buffers of the kernel take, on either side. */
enum { BIG = 512 * 1024, SHORT_MS = 300 };

/* A numbered message of that size. */
static int send_number(int s, uint32_t number, size_t size, int flags)
{
    char *message = nn_allocmsg(size, 0);
    REQUIRE(message);
    memset(message, 0, size);
    memcpy(message, &number, sizeof number);
    int sent = nn_send(s, &message, NN_MSG, flags);
    if (sent < 0) {
        int error = errno;
        nn_freemsg(message);
        errno = error;
    }
    return sent;
}

#define CHECK_SENT(s, number, size) CHECK_EQ(send_number((s), (number), (size), 0), (size))

/* The number of the next message, or -1. */
static long long recv_number(int s, int flags)
{
    char *message = NULL;
    uint32_t number;
    int size = nn_recv(s, &message, NN_MSG, flags);
    if (size < 0)
        return -1;
    CHECK_AT_LEAST(size, sizeof number);
    memcpy(&number, message, sizeof number);
    nn_freemsg(message);
    return number;
}

/* A bound socket and a connected one, for which so many messages may wait, besides so many bytes
 * in buffers of the kernel. */
static void open_beside(int kernel, const int types[2], const char *scheme, const int messages[2],
                        int drop, int both[2])
{
    struct url url = unique_url(scheme);
    for (int i = 0; i < 2; i++) {
        both[i] = open_socket(AF_SP, types[i]);
        set_int(both[i], NN_SNDBUF, kernel);
        set_int(both[i], NN_RCVBUF, kernel);
    }
    set_int(both[0], SPMSG_SNDBUF_MESSAGES, messages[0]);
    set_int(both[1], SPMSG_RCVBUF_MESSAGES, messages[1]);
    if (drop != SPMSG_DROP_NEWEST)
        set_int(both[0], SPMSG_DROP, drop);
    if (types[1] == NN_SUB)
        subscribe(both[1], "");
    REQUIRE(nn_bind(both[0], url.text) > 0);
    REQUIRE(nn_connect(both[1], url.text) > 0);
    CHECK_PIPES(both[0], 1);
    CHECK_PIPES(both[1], 1);
}

/* The same where no big message has room in these. */
static void open_counted(const int types[2], const char *scheme, const int messages[2], int drop,
                         int both[2])
{
    open_beside(1, types, scheme, messages, drop, both);
}

static int has_kernel(const char *scheme)
{
    return strcmp(scheme, "inproc") != 0;
}

static void they_are_0_unless_set(void)
{
    int s = open_socket(AF_SP, NN_PUB), wrong[] = {-1, 3};
    const int options[] = {SPMSG_SNDBUF_MESSAGES, SPMSG_RCVBUF_MESSAGES, SPMSG_DROP};
    for (size_t i = 0; i < COUNT_OF(options); i++) {
        CHECK_EQ(get_int(s, NN_SOL_SOCKET, options[i]), 0);
        CHECK_ERRNO(nn_setsockopt(s, NN_SOL_SOCKET, options[i], &wrong[0], sizeof(int)), -1,
                    EINVAL);
        CHECK_ERRNO(nn_setsockopt(s, NN_SOL_SOCKET, options[i], &wrong[1], 3), -1, EINVAL);
        set_int(s, options[i], 2);
        CHECK_EQ(get_int(s, NN_SOL_SOCKET, options[i]), 2);
    }
    CHECK_ERRNO(nn_setsockopt(s, NN_SOL_SOCKET, SPMSG_DROP, &wrong[1], sizeof(int)), -1, EINVAL);
    CHECK_EQ(get_int(s, NN_SOL_SOCKET, SPMSG_DROP), 2);
    CHECK_CLOSE(s);
}

/* Whether a socket of that type can be told so. */
static void who_waits_anyway_drops_nothing(void)
{
    static const struct { int type, oldest, nothing; } known[] = {
        {NN_PUB, 1, 1}, {NN_BUS, 1, 1}, {NN_SURVEYOR, 1, 0}, {NN_RESPONDENT, 1, 0}, {NN_REP, 1, 0},
        {NN_REQ, 0, 0}, {NN_PUSH, 0, 0}, {NN_PULL, 0, 0}, {NN_PAIR, 0, 0}, {NN_SUB, 0, 0},
    };
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        int s = open_socket(AF_SP, known[i].type);
        int values[] = {SPMSG_DROP_OLDEST, SPMSG_DROP_NOTHING};
        int can[] = {known[i].oldest, known[i].nothing};
        set_int(s, SPMSG_DROP, SPMSG_DROP_NEWEST);
        for (int k = 0; k < 2; k++) {
            int result = nn_setsockopt(s, NN_SOL_SOCKET, SPMSG_DROP, &values[k], sizeof(int));
            CHECK_EQ(result, can[k] ? 0 : -1);
            if (!can[k])
                CHECK_EQ(errno, ENOTSUP);
        }
        CHECK_CLOSE(s);
    }
}

/* Sends so many, for which there is room, and no more. */
static void fill(int s, int count, size_t size)
{
    for (int n = 0; n < count; n++)
        CHECK_SENT(s, (uint32_t)n, size);
    set_int(s, NN_SNDTIMEO, SHORT_MS);
    CHECK_ERRNO(send_number(s, 0, size, 0), -1, ETIMEDOUT);
    CHECK_ERRNO(send_number(s, 0, size, NN_DONTWAIT), -1, EAGAIN);
    set_int(s, NN_SNDTIMEO, PATIENCE_MS);
}

/* As many as both say, besides one that is on its way where there is a way. */
static void so_many_wait_and_no_more(void)
{
    static const int types[2] = {NN_PUSH, NN_PULL};
    static const int counts[][2] = {{1, 1}, {5, 1}, {7, 4}};
    for (size_t i = 0; i < 4; i++) {
        for (size_t k = 0; k < COUNT_OF(counts); k++) {
            int both[2], count = counts[k][0] + counts[k][1] + has_kernel(BEYOND_SCHEMES[i]);
            open_counted(types, BEYOND_SCHEMES[i], counts[k], SPMSG_DROP_NEWEST, both);
            fill(both[0], count, BIG);
            CHECK(!CAN_SEND(both[0]));
            /* Each that is received makes room for one. */
            for (int n = 0; n < 10; n++) {
                CHECK_EQ(recv_number(both[1], 0), n);
                CHECK(wait_until(CAN_SEND(both[0]), PATIENCE_MS));
                CHECK_SENT(both[0], (uint32_t)(count + n), BIG);
            }
            fill(both[0], 0, BIG);
            for (int n = 10; n < 10 + count; n++)
                CHECK_EQ(recv_number(both[1], 0), n);
            CHECK_CLOSE(both[0], both[1]);
        }
    }
}

/* What is small is counted like what is big: the receiver leaves the rest with the kernel. */
static void so_many_are_read_ahead(void)
{
    static const int types[2] = {NN_PUSH, NN_PULL};
    for (size_t i = 0; i < 4; i++) {
        const int counts[2] = {100, 2};
        int both[2];
        open_beside(128 * 1024, types, BEYOND_SCHEMES[i], counts, SPMSG_DROP_NEWEST, both);
        for (uint32_t n = 0; n < 60; n++)
            CHECK_SENT(both[0], n, 4 + n * 3);
        for (int n = 0; n < 60; n++)
            CHECK_EQ(recv_number(both[1], n % 2 ? NN_DONTWAIT : 0), n);
        CHECK_ERRNO(recv_number(both[1], NN_DONTWAIT), -1, EAGAIN);
        CHECK_CLOSE(both[0], both[1]);
    }
}

static void check_burst(int from, int to, int count, size_t size)
{
    for (int n = 0; n < count; n++)
        CHECK_SENT(from, (uint32_t)n, size);
    for (int n = 0; n < count; n++)
        CHECK_EQ(recv_number(to, 0), n);
    CHECK_EQ(nn_get_statistic(from, SPMSG_STAT_MESSAGES_DROPPED), 0);
}

/* Who has room for so many messages misses none of them, whatever their size. */
static void a_burst_that_fits_is_not_missed(void)
{
    static const int types[][2] = {
        {NN_PUB, NN_SUB}, {NN_BUS, NN_BUS}, {NN_SURVEYOR, NN_RESPONDENT}};
    static const struct { int count; size_t size; } bursts[] = {{5000, 4}, {500, 3000}, {20, BIG}};
    for (size_t i = 0; i < 4; i++) {
        for (size_t k = 0; k < COUNT_OF(types); k++) {
            for (size_t b = 0; b < COUNT_OF(bursts); b++) {
                const int counts[2] = {bursts[b].count, 0};
                int both[2];
                open_counted(types[k], BEYOND_SCHEMES[i], counts, SPMSG_DROP_NEWEST, both);
                check_burst(both[0], both[1], bursts[b].count, bursts[b].size);
                CHECK_CLOSE(both[0], both[1]);
            }
        }
    }
}

/* One that is received, and one of which the kernel has a part, so that all others wait. */
static int occupy(const int both[2], const char *scheme, size_t size)
{
    if (!has_kernel(scheme))
        return 0;
    CHECK_SENT(both[0], 0, size);
    CHECK(wait_until(CAN_RECV(both[1]), PATIENCE_MS));
    CHECK_SENT(both[0], 1, size);
    return 2;
}

enum { SENT = 40, WAITING = 5 };

/* What is received, and what is counted, when more is sent than may wait. */
static void check_dropped(const int types[2], const char *scheme, int drop)
{
    const int messages[2] = {WAITING, has_kernel(scheme)};
    int both[2];
    open_counted(types, scheme, messages, drop, both);
    int first = occupy(both, scheme, BIG);
    for (int n = first; n < SENT; n++) {
        CHECK_SENT(both[0], (uint32_t)n, BIG);
        int dropped = n + 1 - first > WAITING ? n + 1 - first - WAITING : 0;
        CHECK_EQ(nn_get_statistic(both[0], SPMSG_STAT_MESSAGES_DROPPED), dropped);
    }
    CHECK(CAN_SEND(both[0]));
    for (int n = 0; n < first; n++)
        CHECK_EQ(recv_number(both[1], 0), n);
    int oldest = drop == SPMSG_DROP_OLDEST ? SENT - WAITING : first;
    for (int n = 0; n < WAITING; n++)
        CHECK_EQ(recv_number(both[1], 0), oldest + n);
    CHECK_ERRNO(recv_number(both[1], NN_DONTWAIT), -1, EAGAIN);
    CHECK_CLOSE(both[0], both[1]);
}

static void the_newest_is_dropped_or_the_oldest(void)
{
    static const int types[][2] = {
        {NN_PUB, NN_SUB}, {NN_BUS, NN_BUS}, {NN_SURVEYOR, NN_RESPONDENT}};
    for (size_t i = 0; i < 4; i++) {
        for (size_t k = 0; k < COUNT_OF(types); k++) {
            check_dropped(types[k], BEYOND_SCHEMES[i], SPMSG_DROP_NEWEST);
            check_dropped(types[k], BEYOND_SCHEMES[i], SPMSG_DROP_OLDEST);
        }
    }
}

/* Of small messages many lie in one buffer: those that are thrown away are cut out of it. */
static void the_oldest_of_small_ones_goes_and_bytes_are_counted_likewise(void)
{
    static const int types[2] = {NN_PUB, NN_SUB};
    static const int sizes[] = {4, 90, 5000, 20000};
    for (size_t i = 0; i < 4; i++) {
        for (size_t k = 0; k < 2 * COUNT_OF(sizes); k++) {
            size_t size = (size_t)sizes[k / 2];
            int is_counted = k % 2, both[2];
            const int messages[2] = {is_counted ? WAITING : 0, has_kernel(BEYOND_SCHEMES[i])};
            open_counted(types, BEYOND_SCHEMES[i], messages, SPMSG_DROP_OLDEST, both);
            int first = occupy(both, BEYOND_SCHEMES[i], BIG);
            for (uint32_t n = (uint32_t)first; n < 3000; n++)
                CHECK_SENT(both[0], n, size);
            int got = 0;
            long long last = -1, next;
            while (last < 2999 && (next = recv_number(both[1], 0)) >= 0) {
                CHECK_AT_LEAST(next, last + 1);
                if (got > first)
                    CHECK_EQ(next, last + 1);
                last = next;
                got++;
            }
            CHECK_EQ(last, 2999);
            CHECK_ERRNO(recv_number(both[1], NN_DONTWAIT), -1, EAGAIN);
            if (is_counted)
                CHECK_EQ(got, first + WAITING);
            uint64_t dropped = nn_get_statistic(both[0], SPMSG_STAT_MESSAGES_DROPPED);
            CHECK_EQ(dropped, 3000 - got);
            CHECK_CLOSE(both[0], both[1]);
        }
    }
}

/* The bytes of a message that the kernel has a part of stay together with its rest. */
static void messages_stay_whole_while_others_are_thrown_away(void)
{
    static const int types[2] = {NN_PUB, NN_SUB};
    for (size_t i = 0; i < 4; i++) {
        const int messages[2] = {3, 1};
        int both[2];
        open_counted(types, BEYOND_SCHEMES[i], messages, SPMSG_DROP_OLDEST, both);
        long long last = -1;
        for (uint32_t n = 0; n < 8000; n++) {
            CHECK_SENT(both[0], n, 4 + n * 37 % 23000);
            if (n % 7 == 0) {
                long long next = recv_number(both[1], NN_DONTWAIT);
                if (next >= 0) {
                    CHECK_AT_LEAST(next, last + 1);
                    last = next;
                }
            }
        }
        while (last < 7999) {
            long long next = recv_number(both[1], 0);
            CHECK_AT_LEAST(next, last + 1);
            if (next <= last)
                break;
            last = next;
        }
        CHECK_EQ(last, 7999);
        CHECK_CLOSE(both[0], both[1]);
    }
}

/* A publisher with one that reads and one that does not, which sends as long as it can. */
static void check_waiting(int type, int peer, const char *scheme)
{
    struct url url = unique_url(scheme);
    int from = open_socket(AF_SP, type), to[2];
    set_int(from, NN_SNDBUF, 1);
    set_int(from, SPMSG_SNDBUF_MESSAGES, 3);
    set_int(from, SPMSG_DROP, SPMSG_DROP_NOTHING);
    CHECK_SENT(from, 77, 4);
    REQUIRE(nn_bind(from, url.text) > 0);
    for (int i = 0; i < 2; i++) {
        to[i] = open_socket(AF_SP, peer);
        set_int(to[i], NN_RCVBUF, 1);
        set_int(to[i], SPMSG_RCVBUF_MESSAGES, i ? 1000 : 1);
        if (peer == NN_SUB)
            subscribe(to[i], "");
        REQUIRE(nn_connect(to[i], url.text) > 0);
        CHECK_PIPES(from, i + 1);
    }
    int count = 3 + 1 + has_kernel(scheme), second = 0;
    fill(from, count, BIG);
    CHECK(!CAN_SEND(from));
    struct nn_pollfd polled = {from, NN_POLLOUT, 0};
    CHECK_EQ(nn_poll(&polled, 1, 0), 0);
    /* Nobody has got what was not sent. */
    for (; second < count; second++)
        CHECK_EQ(recv_number(to[1], 0), second);
    CHECK_ERRNO(recv_number(to[1], NN_DONTWAIT), -1, EAGAIN);
    CHECK_EQ(recv_number(to[0], 0), 0);
    CHECK_EQ(nn_poll(&polled, 1, PATIENCE_MS), 1);
    CHECK_SENT(from, (uint32_t)count, BIG);
    CHECK_EQ(recv_number(to[1], 0), count);
    CHECK_ERRNO(send_number(from, 0, BIG, NN_DONTWAIT), -1, EAGAIN);
    /* When it has gone, nobody waits for it. */
    CHECK_CLOSE(to[0]);
    CHECK_SENT(from, (uint32_t)count + 1, BIG);
    CHECK_EQ(recv_number(to[1], 0), count + 1);
    CHECK_EQ(nn_get_statistic(from, SPMSG_STAT_MESSAGES_DROPPED), 0);
    CHECK_CLOSE(from, to[1]);
}

static void nothing_is_dropped_if_the_sender_waits(void)
{
    for (size_t i = 0; i < 4; i++) {
        check_waiting(NN_PUB, NN_SUB, BEYOND_SCHEMES[i]);
        check_waiting(NN_BUS, NN_BUS, BEYOND_SCHEMES[i]);
    }
}

/* Who waits for all need not wait any more when he is told to drop again. */
static void the_rule_can_change_at_any_time(void)
{
    for (size_t i = 0; i < 4; i++) {
        static const int types[2] = {NN_PUB, NN_SUB}, messages[2] = {2, 1};
        int both[2];
        open_counted(types, BEYOND_SCHEMES[i], messages, SPMSG_DROP_NOTHING, both);
        fill(both[0], 3 + has_kernel(BEYOND_SCHEMES[i]), BIG);
        CHECK(!CAN_SEND(both[0]));
        set_int(both[0], SPMSG_DROP, SPMSG_DROP_NEWEST);
        CHECK(CAN_SEND(both[0]));
        CHECK_SENT(both[0], 99, BIG);
        CHECK_EQ(nn_get_statistic(both[0], SPMSG_STAT_MESSAGES_DROPPED), 1);
        set_int(both[0], SPMSG_DROP, SPMSG_DROP_NOTHING);
        CHECK(!CAN_SEND(both[0]));
        CHECK_CLOSE(both[0], both[1]);
    }
}

int main(void)
{
    test_begin("beyond/queues", 200);
    RUN(they_are_0_unless_set);
    RUN(who_waits_anyway_drops_nothing);
    RUN(so_many_wait_and_no_more);
    RUN(so_many_are_read_ahead);
    RUN(a_burst_that_fits_is_not_missed);
    RUN(the_newest_is_dropped_or_the_oldest);
    RUN(the_oldest_of_small_ones_goes_and_bytes_are_counted_likewise);
    RUN(messages_stay_whole_while_others_are_thrown_away);
    RUN(nothing_is_dropped_if_the_sender_waits);
    RUN(the_rule_can_change_at_any_time);
    return test_end();
}
