/* What is delivered when a socket or a process ends, over tcp, ipc and ws, and how long a close
 * takes.
 *
 * The transport is the argument: ending tcp, ending ipc, ending ws. */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/credentials.h"
#include "support/process.h"
#include "support/raw-peer.h"
#include "support/raw-stream.h"
#include "support/sockets.h"
#include "support/talk.h"
#include "support/thread.h"

#include <nanomsg/nn.h>

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *scheme;

/* An upper bound for what should take no time, generous enough for a busy machine. */
enum { LATE_MS = 2000 };

/* core 3.5, protocols 2.1 and 2.10, reliability P2 */
static void what_came_before_the_end_is_delivered(void)
{
    for (int half = 0; half < 2; half++) {
        struct url url = unique_url(scheme);
        int s = open_pair();
        CHECK_EQ(nn_bind(s, url.text), 1);
        int fd = raw_connect(url.text);
        CHECK(raw_greet(fd));
        for (uint32_t i = 0; i < 200; i++)
            raw_message(fd, url.text, &i, sizeof i);
        if (half)
            shutdown(fd, SHUT_WR);
        else
            close(fd);
        for (uint32_t i = 0; i < 200; i++) {
            uint32_t got = 4242;
            CHECK_EQ(nn_recv(s, &got, sizeof got, 0), sizeof got);
            CHECK_EQ(got, i);
            /* One that is missing means that the others will not come either. */
            if (got != i)
                break;
        }
        CHECK_ERRNO(nn_recv(s, NULL, 0, NN_DONTWAIT), -1, EAGAIN);
        if (half) {
            CHECK_EQ(raw_end(fd, PATIENCE_MS), RAW_EOF);
            close(fd);
        }
        CHECK_CLOSE(s);
    }
}

struct receiver {
    int s;
    int count;
    size_t size;
    int received;
};

static void *receive_all(void *argument)
{
    struct receiver *receiver = argument;
    unsigned char *body = malloc(receiver->size);
    for (int i = 0; i < receiver->count; i++) {
        if (nn_recv(receiver->s, body, receiver->size, 0) != (int)receiver->size)
            break;
        if (body[0] == i && body[receiver->size - 1] == i)
            receiver->received++;
    }
    free(body);
    return NULL;
}

/* One side sends and leaves at once; the other receives, meanwhile or only afterwards. */
static void check_send_then_leave(size_t size, int count, int by_shutdown, int dialer_leaves,
                                  int meanwhile)
{
    struct url url = unique_url(scheme);
    struct thread thread;
    unsigned char *body = malloc(size);
    int a, b;
    open_pairs(&a, &b, url.text);
    int from = dialer_leaves ? b : a, to = dialer_leaves ? a : b;
    struct receiver receiver = {to, count, size, 0};
    set_int(from, NN_LINGER, PATIENCE_MS);
    if (meanwhile)
        thread_start(&thread, receive_all, &receiver);
    for (int i = 0; i < count; i++) {
        memset(body, i, size);
        CHECK_EQ(nn_send(from, body, size, 0), size);
    }
    if (by_shutdown)
        CHECK_EQ(nn_shutdown(from, 1), 0);
    else
        CHECK_CLOSE(from);
    set_int(to, NN_RCVTIMEO, 3000);
    if (meanwhile)
        thread_join(&thread);
    else
        receive_all(&receiver);
    CHECK_EQ(receiver.received, count);
    if (by_shutdown)
        CHECK_CLOSE(from);
    CHECK_CLOSE(to);
    free(body);
}

/* core 3.5, core-quirks A-14, reliability P2 */
static void small_messages_are_delivered_after_close(void)
{
    for (int round = 0; round < 12; round++) {
        check_send_then_leave(3, 1, round & 1, round & 2, 0);
        check_send_then_leave(60000, 1, round & 1, round & 2, 0);
        check_send_then_leave(100, 20, round & 1, round & 2, 0);
    }
}

/* reliability P2: more than the kernel takes at once is what the linger is for. */
static void large_messages_are_delivered_after_close(void)
{
    for (int round = 0; round < 8; round++) {
        check_send_then_leave(500000, 1, round & 1, round & 2, 1);
        check_send_then_leave(1048576, 3, round & 1, round & 2, 1);
        check_send_then_leave(1000, 2000 / 10, round & 1, round & 2, 1);
    }
}

struct last_words {
    struct url url;
    size_t size;
    int closes;
};

static int send_and_exit(void *argument)
{
    struct last_words *words = argument;
    char *body = calloc(1, words->size);
    int s = open_pair();
    set_int(s, NN_RECONNECT_IVL, 10);
    set_int(s, NN_LINGER, PATIENCE_MS);
    CHECK_EQ(nn_connect(s, words->url.text), 1);
    CHECK_EQ(nn_send(s, body, words->size, 0), words->size);
    if (words->closes)
        CHECK_CLOSE(s);
    free(body);
    return 0;
}

static void check_exit_delivers(size_t size)
{
    for (int round = 0; round < 6; round++) {
        struct last_words words = {unique_url(scheme), size, round % 2};
        struct child child;
        char *body = malloc(size);
        /* The child is made first: a library that is in use does not survive a fork. */
        child_start(&child, send_and_exit, &words);
        int s = open_pair();
        CHECK_EQ(nn_bind(s, words.url.text), 1);
        CHECK_EQ(nn_recv(s, body, size, 0), size);
        CHECK_EQ(child_wait(&child, PATIENCE_MS), 0);
        CHECK_CLOSE(s);
        free(body);
    }
}

/* core-quirks A-14, reliability P2 */
static void a_small_message_is_delivered_after_exit(void)
{
    check_exit_delivers(100);
}

/* reliability P2 */
static void a_large_message_is_delivered_after_exit(void)
{
    check_exit_delivers(1000000);
}

/* Connects to a raw peer that reads nothing and sends until nothing more is accepted. The time that
 * nn_close then takes, in milliseconds. */
static int close_against_a_silent_peer(int linger)
{
    struct url url = unique_url(scheme);
    int listener = raw_listen(url.text), s = open_pair();
    char *body = calloc(1, 65536);
    set_int(s, NN_LINGER, linger);
    CHECK_EQ(nn_connect(s, url.text), 1);
    int fd = raw_accept(listener, PATIENCE_MS);
    CHECK(raw_greet(fd));
    CHECK_EQ(nn_send(s, body, 65536, 0), 65536);
    set_int(s, NN_SNDTIMEO, 100);
    while (nn_send(s, body, 65536, 0) == 65536)
        continue;
    int64_t start = now_us();
    CHECK_CLOSE(s);
    int took = (int)((now_us() - start) / 1000);
    close(fd);
    close(listener);
    free(body);
    return took;
}

/* reliability P2 and P3; the reference never waits. */
static void a_silent_peer_costs_at_most_the_linger(void)
{
    int took = close_against_a_silent_peer(300), least = 1000000;
    if (!reference())
        CHECK_AT_LEAST(took, 300);
    CHECK_AT_MOST(took, 300 + LATE_MS);
    /* Without a linger no time is spent, which the quickest of three tries shows. */
    for (int i = 0; i < 3; i++) {
        took = close_against_a_silent_peer(0);
        least = took < least ? took : least;
    }
    CHECK_AT_MOST(least, 250);
}

/* reliability P2: there is nothing to wait for, even for who would wait for ever. */
static void close_returns_at_once_when_all_is_written(void)
{
    for (int leaving = 0; leaving < 2; leaving++) {
        struct url url = unique_url(scheme);
        int a, b;
        open_pairs(&a, &b, url.text);
        set_int(a, NN_LINGER, -1);
        set_int(b, NN_LINGER, -1);
        CHECK_SEND(a, "hello");
        CHECK_RECV(b, "hello");
        int64_t start = now_ms();
        CHECK_CLOSE(leaving ? a : b, leaving ? b : a);
        CHECK_AT_MOST(now_ms() - start, LATE_MS);
    }
}

/* How long nn_close takes, in milliseconds, while one dialer waits for a greeting and another one
 * for a listener. */
static int close_while_connecting(void)
{
    struct url url = unique_url(scheme), nobody = unique_url(scheme);
    int listener = raw_listen(url.text), s = open_pair();
    CHECK_EQ(nn_connect(s, url.text), 1);
    CHECK_EQ(nn_connect(s, nobody.text), 2);
    int fd = raw_accept(listener, PATIENCE_MS);
    CHECK(fd >= 0);
    int64_t start = now_ms();
    CHECK_CLOSE(s);
    int took = (int)(now_ms() - start);
    CHECK_NE(raw_end(fd, PATIENCE_MS), RAW_OPEN);
    close(fd);
    close(listener);
    return took;
}

/* reliability P3: a handshake may last a second, and the quickest of three tries shows that a close
 * does not wait for it. */
static void close_does_not_wait_for_a_handshake(void)
{
    int least = 1000000;
    for (int i = 0; i < 3; i++) {
        int took = close_while_connecting();
        least = took < least ? took : least;
    }
    CHECK_AT_MOST(least, 500);
}

int main(int count, char **words)
{
    scheme = test_begin_with("transports/ending", "tcp|ipc|ws|tls+tcp|wss", 58, count, words);
    /* A peer made by hand speaks no TLS. */
    if (!is_encrypted(scheme))
        RUN(what_came_before_the_end_is_delivered);
    RUN(small_messages_are_delivered_after_close);
    RUN(large_messages_are_delivered_after_close);
    RUN(a_small_message_is_delivered_after_exit);
    RUN(a_large_message_is_delivered_after_exit);
    /* A peer made by hand speaks no TLS. */
    if (!is_encrypted(scheme))
        RUN(a_silent_peer_costs_at_most_the_linger);
    RUN(close_returns_at_once_when_all_is_written);
    RUN(close_does_not_wait_for_a_handshake);
    return test_end();
}
