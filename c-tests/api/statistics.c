/* nn_get_statistic, as far as a PAIR changes the numbers. */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/raw-stream.h"
#include "support/sockets.h"
#include "support/talk.h"

#include <nanomsg/nn.h>
#include <nanomsg/pubsub.h>

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

static const int ids[] = {
    NN_STAT_ESTABLISHED_CONNECTIONS, NN_STAT_ACCEPTED_CONNECTIONS, NN_STAT_DROPPED_CONNECTIONS,
    NN_STAT_BROKEN_CONNECTIONS, NN_STAT_CONNECT_ERRORS, NN_STAT_BIND_ERRORS,
    NN_STAT_ACCEPT_ERRORS, NN_STAT_CURRENT_CONNECTIONS, NN_STAT_INPROGRESS_CONNECTIONS,
    NN_STAT_CURRENT_EP_ERRORS, NN_STAT_MESSAGES_SENT, NN_STAT_MESSAGES_RECEIVED,
    NN_STAT_BYTES_SENT, NN_STAT_BYTES_RECEIVED, NN_STAT_CURRENT_SND_PRIORITY,
};

static const char *const streams[] = {"ipc", "tcp"};

static long long stat_of(int s, int id)
{
    return (long long)nn_get_statistic(s, id);
}

/* core 11, abi 6.18 */
static void everything_starts_at_zero(void)
{
    int s = open_pair();
    for (size_t i = 0; i < COUNT_OF(ids); i++)
        CHECK_EQ(stat_of(s, ids[i]), 0);
    CHECK_CLOSE(s);
}

/* abi 6.18 */
static void unknown_statistics_are_invalid(void)
{
    static const int unknown[] = {0, 1, 100, 108, 200, 204, 300, 305, 400, 402, -1, INT_MAX,
                                  INT_MIN};
    int s = open_pair();
    for (size_t i = 0; i < COUNT_OF(unknown); i++)
        CHECK_ERRNO(nn_get_statistic(s, unknown[i]), -1, EINVAL);
    CHECK_CLOSE(s);
}

static void check_traffic(int s, int sent, int received, int bytes_sent, int bytes_received)
{
    CHECK_EQ(stat_of(s, NN_STAT_MESSAGES_SENT), sent);
    CHECK_EQ(stat_of(s, NN_STAT_MESSAGES_RECEIVED), received);
    CHECK_EQ(stat_of(s, NN_STAT_BYTES_SENT), bytes_sent);
    CHECK_EQ(stat_of(s, NN_STAT_BYTES_RECEIVED), bytes_received);
}

/* core 11, core-quirks A-61 */
static void messages_and_bytes_are_counted_by_call(void)
{
    struct url url = unique_url("inproc");
    int a = open_pair(), b = open_pair();
    char buffer[100];
    struct nn_iovec parts[] = {{buffer, 30}, {buffer, 12}};
    struct nn_msghdr header = {.msg_iov = parts, .msg_iovlen = 2};
    CHECK_ERRNO(nn_send(a, "lost", 4, NN_DONTWAIT), -1, EAGAIN);
    CHECK_ERRNO(nn_recv(a, buffer, sizeof buffer, NN_DONTWAIT), -1, EAGAIN);
    check_traffic(a, 0, 0, 0, 0);
    CHECK_OK(nn_bind(a, url.text));
    CHECK_OK(nn_connect(b, url.text));
    memset(buffer, 'x', sizeof buffer);
    CHECK_EQ(nn_send(a, buffer, 100, 0), 100);
    CHECK_EQ(nn_send(a, buffer, 0, 0), 0);
    CHECK_EQ(nn_sendmsg(a, &header, 0), 42);
    check_traffic(a, 3, 0, 142, 0);
    check_traffic(b, 0, 0, 0, 0);
    /* Truncated or not, the full size counts. */
    CHECK_EQ(nn_recv(b, buffer, 7, 0), 100);
    check_traffic(b, 0, 1, 0, 100);
    CHECK_EQ(nn_recv(b, NULL, 0, 0), 0);
    CHECK_EQ(nn_recv(b, buffer, sizeof buffer, 0), 42);
    check_traffic(b, 0, 3, 0, 142);
    check_traffic(a, 3, 0, 142, 0);
    CHECK_CLOSE(a);
    check_traffic(b, 0, 3, 0, 142);
    CHECK_CLOSE(b);
}

/* core 11: a receive that fails after it took the message counts nothing. */
static void a_lost_message_is_not_received(void)
{
    struct url url = unique_url("inproc");
    int a = open_pair(), b = open_pair();
    char buffer[4], *chunk = NULL;
    struct nn_iovec parts[] = {{buffer, 4}, {&chunk, NN_MSG}};
    struct nn_msghdr header = {.msg_iov = parts, .msg_iovlen = 2};
    CHECK_OK(nn_bind(a, url.text));
    CHECK_OK(nn_connect(b, url.text));
    CHECK_SEND(a, "12345");
    CHECK_ERRNO(nn_recvmsg(b, &header, 0), -1, EINVAL);
    check_traffic(b, 0, 0, 0, 0);
    check_traffic(a, 1, 0, 5, 0);
    CHECK_CLOSE(a, b);
}

/* core 11, transports 8: the header of a frame is no byte of a message. */
static void bytes_of_frames_are_not_counted(void)
{
    for (int i = 0; i < 2; i++) {
        struct url url = unique_url(streams[i]);
        int a = open_pair(), b = open_pair();
        CHECK_OK(nn_bind(a, url.text));
        CHECK_OK(nn_connect(b, url.text));
        CHECK_SEND(a, "hello");
        CHECK_RECV(b, "hello");
        check_traffic(a, 1, 0, 5, 0);
        check_traffic(b, 0, 1, 0, 5);
        CHECK_CLOSE(a, b);
    }
}

/* core 11: inproc has no connection errors; whether a later connector counts as accepted is open
 * (core-quirks C-3). */
static void inproc_connections(void)
{
    for (int connect_first = 0; connect_first < 2; connect_first++) {
        struct url url = unique_url("inproc");
        int a = open_pair(), b = open_pair();
        if (connect_first) {
            CHECK_OK(nn_connect(b, url.text));
            CHECK_EQ(stat_of(b, NN_STAT_INPROGRESS_CONNECTIONS), 1);
            CHECK_EQ(stat_of(b, NN_STAT_CURRENT_CONNECTIONS), 0);
        }
        CHECK_OK(nn_bind(a, url.text));
        if (!connect_first)
            CHECK_OK(nn_connect(b, url.text));
        CHECK_EQ(stat_of(a, NN_STAT_CURRENT_CONNECTIONS), 1);
        CHECK_EQ(stat_of(b, NN_STAT_CURRENT_CONNECTIONS), 1);
        CHECK_EQ(stat_of(a, NN_STAT_ESTABLISHED_CONNECTIONS), 0);
        CHECK_EQ(stat_of(b, NN_STAT_ESTABLISHED_CONNECTIONS), 1);
        CHECK_AT_LEAST(stat_of(a, NN_STAT_ACCEPTED_CONNECTIONS), connect_first);
        CHECK_AT_MOST(stat_of(a, NN_STAT_ACCEPTED_CONNECTIONS), 1);
        CHECK_EQ(stat_of(b, NN_STAT_ACCEPTED_CONNECTIONS), 0);
        CHECK_EQ(stat_of(b, NN_STAT_INPROGRESS_CONNECTIONS), 0);
        CHECK_EQ(nn_shutdown(a, 1), 0);
        CHECK_EQ(stat_of(a, NN_STAT_CURRENT_CONNECTIONS), 0);
        CHECK_EQ(stat_of(b, NN_STAT_CURRENT_CONNECTIONS), 0);
        CHECK_EQ(stat_of(b, NN_STAT_INPROGRESS_CONNECTIONS), 1);
        CHECK_OK(nn_bind(a, url.text));
        CHECK_EQ(stat_of(b, NN_STAT_ESTABLISHED_CONNECTIONS), 2);
        for (int k = 0; k < 2; k++) {
            CHECK_EQ(stat_of(k ? a : b, NN_STAT_DROPPED_CONNECTIONS), 0);
            CHECK_EQ(stat_of(k ? a : b, NN_STAT_BROKEN_CONNECTIONS), 0);
            CHECK_EQ(stat_of(k ? a : b, NN_STAT_CONNECT_ERRORS), 0);
        }
        CHECK_CLOSE(a);
        CHECK_EQ(stat_of(b, NN_STAT_CURRENT_CONNECTIONS), 0);
        CHECK_CLOSE(b);
    }
}

/* core 11, core-quirks A-63 */
static void stream_connections_are_counted_on_both_sides(void)
{
    for (int i = 0; i < 2; i++) {
        struct url url = unique_url(streams[i]);
        int a = open_pair(), b = open_pair();
        CHECK_OK(nn_bind(a, url.text));
        CHECK_OK(nn_connect(b, url.text));
        CHECK(wait_stat(a, NN_STAT_CURRENT_CONNECTIONS, 1, PATIENCE_MS));
        CHECK(wait_stat(b, NN_STAT_CURRENT_CONNECTIONS, 1, PATIENCE_MS));
        CHECK_EQ(stat_of(a, NN_STAT_ACCEPTED_CONNECTIONS), 1);
        CHECK_EQ(stat_of(a, NN_STAT_ESTABLISHED_CONNECTIONS), 0);
        CHECK_EQ(stat_of(b, NN_STAT_ACCEPTED_CONNECTIONS), 0);
        CHECK_EQ(stat_of(b, NN_STAT_ESTABLISHED_CONNECTIONS), 1);
        CHECK_CLOSE(b);
        CHECK(wait_stat(a, NN_STAT_CURRENT_CONNECTIONS, 0, PATIENCE_MS));
        CHECK(wait_stat(a, NN_STAT_BROKEN_CONNECTIONS, 1, PATIENCE_MS));
        CHECK_EQ(stat_of(a, NN_STAT_DROPPED_CONNECTIONS), 0);
        CHECK_EQ(stat_of(a, NN_STAT_ACCEPTED_CONNECTIONS), 1);
        CHECK_CLOSE(a);
    }
}

/* core 11, transports 3.5: who shuts down has dropped, the other has a broken connection. */
static void a_shutdown_drops_here_and_breaks_there(void)
{
    for (int i = 0; i < 4; i++) {
        struct url url = unique_url(streams[i % 2]);
        int bound = open_pair(), connected = open_pair();
        CHECK_OK(nn_bind(bound, url.text));
        CHECK_OK(nn_connect(connected, url.text));
        int here = i < 2 ? bound : connected, there = i < 2 ? connected : bound;
        CHECK(wait_stat(here, NN_STAT_CURRENT_CONNECTIONS, 1, PATIENCE_MS));
        CHECK(wait_stat(there, NN_STAT_CURRENT_CONNECTIONS, 1, PATIENCE_MS));
        CHECK_EQ(nn_shutdown(here, 1), 0);
        CHECK(wait_stat(here, NN_STAT_DROPPED_CONNECTIONS, 1, PATIENCE_MS));
        CHECK(wait_stat(here, NN_STAT_CURRENT_CONNECTIONS, 0, PATIENCE_MS));
        CHECK(wait_stat(there, NN_STAT_BROKEN_CONNECTIONS, 1, PATIENCE_MS));
        CHECK(wait_stat(there, NN_STAT_CURRENT_CONNECTIONS, 0, PATIENCE_MS));
        CHECK_EQ(stat_of(here, NN_STAT_BROKEN_CONNECTIONS), 0);
        CHECK_EQ(stat_of(there, NN_STAT_DROPPED_CONNECTIONS), 0);
        CHECK_CLOSE(bound, connected);
    }
}

/* core 11: the worked example, without its times */
static void refused_connects_are_errors_until_one_succeeds(void)
{
    for (int i = 0; i < 2; i++) {
        struct url url = unique_url(streams[i]);
        int a = open_pair(), b = open_pair();
        set_int(b, NN_RECONNECT_IVL, 20);
        CHECK_OK(nn_connect(b, url.text));
        CHECK(wait_stat_at_least(b, NN_STAT_CONNECT_ERRORS, 3, PATIENCE_MS));
        CHECK(wait_stat(b, NN_STAT_CURRENT_EP_ERRORS, 1, PATIENCE_MS));
        CHECK_EQ(stat_of(b, NN_STAT_ESTABLISHED_CONNECTIONS), 0);
        CHECK_EQ(stat_of(b, NN_STAT_CURRENT_CONNECTIONS), 0);
        CHECK_OK(nn_bind(a, url.text));
        CHECK(wait_stat(b, NN_STAT_CURRENT_CONNECTIONS, 1, PATIENCE_MS));
        CHECK(wait_stat(a, NN_STAT_CURRENT_CONNECTIONS, 1, PATIENCE_MS));
        CHECK(wait_stat(b, NN_STAT_CURRENT_EP_ERRORS, 0, PATIENCE_MS));
        CHECK_EQ(stat_of(b, NN_STAT_ESTABLISHED_CONNECTIONS), 1);
        CHECK_CLOSE(a);
        CHECK(wait_stat(b, NN_STAT_CURRENT_EP_ERRORS, 1, PATIENCE_MS));
        a = open_pair();
        CHECK_OK(nn_bind(a, url.text));
        CHECK(wait_stat_at_least(b, NN_STAT_ESTABLISHED_CONNECTIONS, 2, PATIENCE_MS));
        CHECK(wait_stat(b, NN_STAT_CURRENT_CONNECTIONS, 1, PATIENCE_MS));
        CHECK(wait_stat(b, NN_STAT_CURRENT_EP_ERRORS, 0, PATIENCE_MS));
        CHECK_EQ(stat_of(b, NN_STAT_BROKEN_CONNECTIONS), 1);
        CHECK_CLOSE(b, a);
    }
}

/* core 11, core-quirks A-62: a connection counts before its handshake, and breaks in it. */
static void a_rejected_handshake_is_accepted_and_broken(void)
{
    for (int i = 0; i < 2; i++) {
        struct url url = unique_url(streams[i]);
        int a = open_pair();
        CHECK_OK(nn_bind(a, url.text));
        int fd = raw_connect(url.text);
        CHECK(wait_stat(a, NN_STAT_ACCEPTED_CONNECTIONS, 1, PATIENCE_MS));
        CHECK_EQ(stat_of(a, NN_STAT_CURRENT_CONNECTIONS), 0);
        CHECK_EQ(stat_of(a, NN_STAT_BROKEN_CONNECTIONS), 0);
        raw_send(fd, "GET / HT", 8);
        CHECK(wait_stat(a, NN_STAT_BROKEN_CONNECTIONS, 1, PATIENCE_MS));
        CHECK_EQ(stat_of(a, NN_STAT_CURRENT_CONNECTIONS), 0);
        close(fd);
        CHECK_CLOSE(a);
    }
}

/* core 13, core-quirks A-62: each refusal of a second peer breaks a connection on both sides. */
static void refusing_a_second_peer_breaks_on_both_sides(void)
{
    for (int i = 0; i < 2; i++) {
        struct url url = unique_url(streams[i]);
        int a, b, c = open_pair();
        open_pairs(&a, &b, url.text);
        CHECK_OK(nn_connect(c, url.text));
        CHECK(wait_stat_at_least(a, NN_STAT_BROKEN_CONNECTIONS, 2, PATIENCE_MS));
        CHECK(wait_stat_at_least(c, NN_STAT_BROKEN_CONNECTIONS, 2, PATIENCE_MS));
        CHECK_AT_LEAST(stat_of(a, NN_STAT_ACCEPTED_CONNECTIONS), 3);
        CHECK_AT_LEAST(stat_of(c, NN_STAT_ESTABLISHED_CONNECTIONS), 2);
        CHECK_EQ(stat_of(a, NN_STAT_CURRENT_CONNECTIONS), 1);
        CHECK_EQ(stat_of(b, NN_STAT_BROKEN_CONNECTIONS), 0);
        CHECK_TALK(a, b);
        CHECK_CLOSE(c, b, a);
    }
}

/* core 11: the priority belongs to the types that choose among peers. */
static void a_pair_has_no_send_priority(void)
{
    struct url url = unique_url("inproc");
    int a = open_pair(), b = open_pair();
    CHECK_OK(nn_bind(a, url.text));
    CHECK_OK(nn_connect(b, url.text));
    CHECK_SEND(a, "x");
    CHECK_EQ(stat_of(a, NN_STAT_CURRENT_SND_PRIORITY), 0);
    CHECK_CLOSE(b);
    CHECK_EQ(stat_of(a, NN_STAT_CURRENT_SND_PRIORITY), 0);
    CHECK_CLOSE(a);
}

/* core 11: who has seen a connection counted may publish, and the peer gets it. */
static void who_is_counted_is_sent_to(void)
{
    enum { ROUNDS = 1500, ENOUGH_MS = 4000 };
    struct url url = unique_url("ipc");
    int64_t end = now_ms() + ENOUGH_MS;
    for (int i = 0; i < ROUNDS && now_ms() < end; i++) {
        int pub = open_socket(AF_SP, NN_PUB), sub = open_socket(AF_SP, NN_SUB);
        CHECK_OK(nn_setsockopt(sub, NN_SUB, NN_SUB_SUBSCRIBE, "", 0));
        CHECK_OK(nn_bind(pub, url.text));
        CHECK_OK(nn_connect(sub, url.text));
        /* Looked at without a pause: what comes a moment too early is to be met. */
        while (stat_of(sub, NN_STAT_CURRENT_CONNECTIONS) == 0)
            sched_yield();
        while (stat_of(pub, NN_STAT_CURRENT_CONNECTIONS) == 0)
            sched_yield();
        CHECK_SEND(pub, "x");
        CHECK_RECV(sub, "x");
        CHECK_CLOSE(pub, sub);
    }
}

int main(void)
{
    test_begin("api/statistics", 28);
    RUN(who_is_counted_is_sent_to);
    RUN(everything_starts_at_zero);
    RUN(unknown_statistics_are_invalid);
    RUN(messages_and_bytes_are_counted_by_call);
    RUN(a_lost_message_is_not_received);
    RUN(bytes_of_frames_are_not_counted);
    RUN(inproc_connections);
    RUN(stream_connections_are_counted_on_both_sides);
    RUN(a_shutdown_drops_here_and_breaks_there);
    RUN(refused_connects_are_errors_until_one_succeeds);
    RUN(a_rejected_handshake_is_accepted_and_broken);
    RUN(refusing_a_second_peer_breaks_on_both_sides);
    RUN(a_pair_has_no_send_priority);
    return test_end();
}
