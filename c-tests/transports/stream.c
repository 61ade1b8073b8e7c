/* What tcp, ipc and ws have in common, for two PAIR sockets or one and a raw socket: starting in
 * either order, coming back after a loss, back-off, limits, and what is delivered at the end.
 *
 * The transport is the argument: stream tcp, stream ipc, stream ws. */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/process.h"
#include "support/raw-peer.h"
#include "support/raw-stream.h"
#include "support/sockets.h"
#include "support/talk.h"
#include "support/thread.h"

#include <nanomsg/nn.h>
#include <nanomsg/tcp.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *scheme;

static int over_ws(void)
{
    return strcmp(scheme, "ws") == 0;
}

/* An upper bound for what should take no time, generous enough for a busy machine. */
enum { LATE_MS = 2000 };

/* Sends a message of that size, and receives it into memory of its own. */
static void check_size(int from, int to, size_t size)
{
    unsigned char *sent = malloc(size + 1), *got = calloc(1, size + 1);
    for (size_t i = 0; i < size; i++)
        sent[i] = (unsigned char)(i * 7 + (i >> 8) + size);
    CHECK_EQ(nn_send(from, sent, size, 0), size);
    CHECK_EQ(nn_recv(to, got, size + 1, 0), size);
    CHECK_MEM(got, sent, size);
    free(sent);
    free(got);
}

/* core 3.2, transports 3.4 */
static void either_side_may_start_first(void)
{
    for (int dialer_first = 0; dialer_first < 2; dialer_first++) {
        struct url url = unique_url(scheme);
        int a = open_pair(), b = open_pair();
        if (dialer_first) {
            set_int(b, NN_RECONNECT_IVL, 20);
            CHECK_EQ(nn_connect(b, url.text), 1);
            CHECK(wait_stat_at_least(b, NN_STAT_CONNECT_ERRORS, 2, PATIENCE_MS));
            CHECK_ERRNO(nn_send(b, "x", 1, NN_DONTWAIT), -1, EAGAIN);
        }
        CHECK_EQ(nn_bind(a, url.text), 1);
        if (!dialer_first)
            CHECK_EQ(nn_connect(b, url.text), 1);
        CHECK_SEND(a, "from the listener");
        CHECK_SEND(b, "from the dialer");
        CHECK_RECV(a, "from the dialer");
        CHECK_RECV(b, "from the listener");
        CHECK_CLOSE(a, b);
    }
}

/* transports 3.4 */
static void a_dialer_finds_a_listener_that_comes_back(void)
{
    struct url url = unique_url(scheme);
    int a, b;
    open_pairs(&a, &b, url.text);
    for (int round = 0; round < 5; round++) {
        CHECK_CLOSE(a);
        a = open_pair();
        CHECK_EQ(nn_bind(a, url.text), 1);
        CHECK_TALK(a, b);
    }
    CHECK_CLOSE(a, b);
}

/* protocols 3 */
static void a_listener_takes_the_next_dialer(void)
{
    struct url url = unique_url(scheme);
    int a, b;
    open_pairs(&a, &b, url.text);
    for (int round = 0; round < 5; round++) {
        CHECK_CLOSE(b);
        b = open_pair();
        CHECK_EQ(nn_connect(b, url.text), 1);
        CHECK_TALK(a, b);
    }
    CHECK_CLOSE(a, b);
}

/* transports 3.5: shutting a listener down ends the connections it accepted. */
static void a_listener_that_is_shut_down_ends_its_connections(void)
{
    struct url url = unique_url(scheme);
    int a, b;
    open_pairs(&a, &b, url.text);
    CHECK_EQ(nn_shutdown(a, 1), 0);
    CHECK(wait_until(nn_send(a, "x", 1, NN_DONTWAIT) == -1 && errno == EAGAIN, PATIENCE_MS));
    CHECK(wait_until(nn_send(b, "x", 1, NN_DONTWAIT) == -1 && errno == EAGAIN, PATIENCE_MS));
    CHECK(wait_until(nn_bind(a, url.text) == 2, PATIENCE_MS));
    CHECK_TALK(a, b);
    CHECK_CLOSE(a, b);
}

/* transports 3.4 */
static void a_dialer_that_is_shut_down_stays_away(void)
{
    struct url url = unique_url(scheme);
    int listener = raw_listen(url.text), s = open_pair();
    set_int(s, NN_RECONNECT_IVL, 10);
    CHECK_EQ(nn_connect(s, url.text), 1);
    for (int i = 0; i < 3; i++) {
        int fd = raw_accept(listener, PATIENCE_MS);
        CHECK(fd >= 0);
        close(fd);
    }
    int fd = raw_accept(listener, PATIENCE_MS);
    CHECK(fd >= 0);
    CHECK(raw_greet(fd));
    CHECK_EQ(nn_shutdown(s, 1), 0);
    CHECK_NE(raw_end(fd, PATIENCE_MS), RAW_OPEN);
    close(fd);
    CHECK_EQ(raw_accept(listener, 300), -1);
    close(listener);
    CHECK_CLOSE(s);
}

/* Lets a dialer connect and be dropped time and again; gaps[i] is the time in milliseconds between
 * the end of connection i and the beginning of the next one. It is measured from before the end to
 * after the beginning, so that a gap may look longer than it was but never shorter. */
static void measure_gaps(int interval, int maximum, int *gaps, int count)
{
    struct url url = unique_url(scheme);
    int listener = raw_listen(url.text), s = open_pair();
    int64_t dropped = 0;
    set_int(s, NN_RECONNECT_IVL, interval);
    set_int(s, NN_RECONNECT_IVL_MAX, maximum);
    CHECK_EQ(nn_connect(s, url.text), 1);
    for (int i = -1; i < count; i++) {
        int fd = raw_accept(listener, PATIENCE_MS);
        REQUIRE(fd >= 0);
        if (i >= 0)
            gaps[i] = (int)((now_us() - dropped) / 1000);
        dropped = now_us();
        close(fd);
    }
    close(listener);
    CHECK_CLOSE(s);
}

/* Not early but for the granularity of timers; late by no more than a busy machine explains. */
static void check_gap(int gap, int expected)
{
    CHECK_AT_LEAST(gap, expected - (reference() ? 10 : 1));
    CHECK_AT_MOST(gap, expected + LATE_MS);
}

/* transports 3.4, core-quirks A-71 */
static void retries_back_off_to_the_maximum(void)
{
    static const int expected[] = {0, 100, 300, 500, 500};
    int gaps[5];
    measure_gaps(100, 500, gaps, 5);
    for (int i = 0; i < 5; i++)
        check_gap(gaps[i], expected[i]);
}

/* transports 3.4: without a maximum every retry but the first waits for the interval. */
static void retries_keep_the_interval_without_a_maximum(void)
{
    static const int expected[] = {0, 100, 100, 100, 100, 100};
    int gaps[6];
    measure_gaps(100, 0, gaps, 6);
    for (int i = 0; i < 6; i++)
        check_gap(gaps[i], expected[i]);
}

/* transports 3.4, core-quirks A-71 */
static void the_first_retry_is_immediate(void)
{
    int gaps[2];
    measure_gaps(1500, 0, gaps, 2);
    CHECK_AT_MOST(gaps[0], 1200);
    check_gap(gaps[1], 1500);
}

/* transports 3.4: a maximum below the interval wins. */
static void a_maximum_below_the_interval_wins(void)
{
    int gaps[4];
    measure_gaps(60000, 50, gaps, 4);
    for (int i = 1; i < 4; i++)
        check_gap(gaps[i], 50);
}

/* core-quirks C-13: an interval of 0 retries again and again, with or without a small delay. */
static void an_interval_of_zero_retries_quickly(void)
{
    int gaps[10];
    measure_gaps(0, 0, gaps, 10);
    for (int i = 0; i < 10; i++)
        CHECK_AT_MOST(gaps[i], LATE_MS);
}

/* core 6.4, transports 2: copied when the endpoint is made. */
static void the_interval_is_fixed_at_connect(void)
{
    struct url url = unique_url(scheme);
    int listener = raw_listen(url.text), s = open_pair();
    set_int(s, NN_RECONNECT_IVL, 20);
    CHECK_EQ(nn_connect(s, url.text), 1);
    set_int(s, NN_RECONNECT_IVL, 3600000);
    for (int i = 0; i < 4; i++) {
        int fd = raw_accept(listener, PATIENCE_MS);
        CHECK(fd >= 0);
        close(fd);
    }
    close(listener);
    CHECK_CLOSE(s);
}

/* core 13, protocols 3 */
static void a_second_peer_is_refused_and_takes_over_later(void)
{
    struct url url = unique_url(scheme);
    int a, first, second = open_pair();
    open_pairs(&a, &first, url.text);
    CHECK_EQ(nn_connect(second, url.text), 1);
    /* Over ws we let it wait, the reference accepts and drops it. */
    if (!over_ws() || reference())
        CHECK(wait_stat_at_least(second, NN_STAT_BROKEN_CONNECTIONS, 2, PATIENCE_MS));
    else
        CHECK(wait_stat(second, NN_STAT_ESTABLISHED_CONNECTIONS, 1, PATIENCE_MS));
    for (int i = 0; i < 50; i++) {
        CHECK_SEND(a, "for the first");
        CHECK_RECV(first, "for the first");
        CHECK_SEND(first, "from the first");
        CHECK_RECV(a, "from the first");
    }
    CHECK_ERRNO(nn_recv(second, NULL, 0, NN_DONTWAIT), -1, EAGAIN);
    CHECK_CLOSE(first);
    CHECK_TALK(second, a);
    CHECK_CLOSE(a, second);
}

/*
 * protocols 3: where the dialing socket has a peer already, it is the one that refuses. The
 * reference connects before it does so, spmsg does not even try (reliability P2).
 */
static void a_dialing_pair_uses_one_of_two_listeners(void)
{
    struct url one = unique_url(scheme), two = unique_url(scheme);
    int a, b = open_pair(), c;
    open_pairs(&a, &c, one.text);
    CHECK_EQ(nn_bind(b, two.text), 1);
    CHECK_EQ(nn_connect(c, two.text), 2);
    if (reference())
        CHECK(wait_stat_at_least(b, NN_STAT_BROKEN_CONNECTIONS, 2, PATIENCE_MS));
    CHECK_SEND(c, "for a");
    CHECK_RECV(a, "for a");
    CHECK_SEND(a, "from a");
    CHECK_RECV(c, "from a");
    CHECK_CLOSE(a);
    CHECK_TALK(b, c);
    CHECK_CLOSE(b, c);
}

/* core 6.5, transports 3.2, core-quirks A-45 */
static void messages_up_to_the_limit_pass(void)
{
    static const size_t sizes[] = {0, 1, 2, 7, 8, 9, 100, 2039, 2040, 2047, 2048, 2049, 4096, 65535,
                                   65536, 65537, 131072, 500000, 1048575, 1048576};
    struct url url = unique_url(scheme);
    int a, b;
    open_pairs(&a, &b, url.text);
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        check_size(a, b, sizes[i]);
        check_size(b, a, sizes[i]);
    }
    CHECK_CLOSE(a, b);
}

/* Connections that have come to an end: over ws one that ends by a close frame is not counted as
 * broken (transports 7.9), but then another one follows. */
static uint64_t count_ended(int s)
{
    if (!over_ws())
        return nn_get_statistic(s, NN_STAT_BROKEN_CONNECTIONS);
    return nn_get_statistic(s, NN_STAT_ESTABLISHED_CONNECTIONS)
           + nn_get_statistic(s, NN_STAT_ACCEPTED_CONNECTIONS) - 1;
}

/* Waits until that many connections have ended, and receives meanwhile: a library may look at what
 * has come only when somebody wants it. */
static int wait_ended(int s, uint64_t count)
{
    return wait_until(nn_recv(s, NULL, 0, NN_DONTWAIT) < 0 && count_ended(s) >= count,
                      PATIENCE_MS);
}

/* The send succeeds, the connection goes, and traffic goes on over the next one. */
static void check_over_the_limit(int listener_receives)
{
    struct url url = unique_url(scheme);
    char *body = calloc(1, 1048577);
    int a, b;
    open_pairs(&a, &b, url.text);
    int from = listener_receives ? b : a, to = listener_receives ? a : b;
    CHECK_EQ(nn_send(from, body, 1048577, 0), 1048577);
    CHECK(wait_ended(to, 1));
    CHECK_TALK(from, to);
    /* The numbers of CHECK_TALK were all that arrived. */
    CHECK_EQ(nn_get_statistic(to, NN_STAT_BYTES_RECEIVED),
             4 * nn_get_statistic(to, NN_STAT_MESSAGES_RECEIVED));
    free(body);
    CHECK_CLOSE(a, b);
}

/* core 6.5, transports 3.2, core-quirks A-45 */
static void a_listener_drops_what_is_over_the_limit(void)
{
    check_over_the_limit(1);
}

/* core 6.5, transports 3.2, core-quirks A-45 */
static void a_dialer_drops_what_is_over_the_limit(void)
{
    check_over_the_limit(0);
}

/* core 6.4 and 6.5, core-quirks A-73: the limit is looked at for every message. */
static void changing_the_limit_affects_a_live_connection(void)
{
    struct url url = unique_url(scheme);
    int a, b;
    open_pairs(&a, &b, url.text);
    set_int(a, NN_RCVMAXSIZE, -1);
    check_size(b, a, 3000000);
    set_int(a, NN_RCVMAXSIZE, 10);
    check_size(b, a, 10);
    check_size(b, a, 0);
    uint64_t ended = count_ended(a);
    CHECK_EQ(nn_send(b, "eleven char", 11, 0), 11);
    CHECK(wait_ended(a, ended + 1));
    CHECK_TALK(a, b);
    set_int(a, NN_RCVMAXSIZE, 0);
    check_size(b, a, 0);
    ended = count_ended(a);
    CHECK_EQ(nn_send(b, "1", 1, 0), 1);
    CHECK(wait_ended(a, ended + 1));
    set_int(a, NN_RCVMAXSIZE, 1048576);
    CHECK_TALK(a, b);
    CHECK_CLOSE(a, b);
}

/* core-quirks D: the reference's own tests rely on this much room. */
static void a_hundred_small_messages_need_no_reader(void)
{
    struct url url = unique_url(scheme);
    char body[40] = "forty bytes";
    int a, b;
    open_pairs(&a, &b, url.text);
    for (int i = 0; i < 100; i++)
        CHECK_EQ(nn_send(a, body, sizeof body, 0), sizeof body);
    for (int i = 0; i < 100; i++)
        CHECK_EQ(nn_recv(b, body, sizeof body, 0), sizeof body);
    CHECK_CLOSE(a, b);
}

/* protocols 2.8 and 2.9: a sender is stopped before it fills the memory, and nothing is lost. */
static void a_peer_that_does_not_read_stops_the_sender(void)
{
    struct url url = unique_url(scheme);
    uint32_t sent = 0, got[250];
    int a, b;
    open_pairs(&a, &b, url.text);
    /* The peer is waited for, so that what it reads ahead does not look like room. */
    set_int(a, NN_SNDTIMEO, 200);
    while (sent < 64000) {
        got[0] = sent;
        if (nn_send(a, got, sizeof got, 0) != sizeof got)
            break;
        sent++;
    }
    CHECK_EQ(errno, ETIMEDOUT);
    CHECK_AT_MOST(sent, 63999);
    for (uint32_t i = 0; i < sent; i++) {
        REQUIRE(nn_recv(b, got, sizeof got, 0) == sizeof got);
        CHECK_EQ(got[0], i);
    }
    CHECK_ERRNO(nn_recv(b, got, sizeof got, NN_DONTWAIT), -1, EAGAIN);
    CHECK_TALK(a, b);
    CHECK_CLOSE(a, b);
}

/* protocols 2.8: a message larger than all buffers is accepted when the pipe is idle. */
static void both_sides_may_send_large_before_they_receive(void)
{
    enum { SIZE = 1048576 };
    struct url url = unique_url(scheme);
    char *body = malloc(SIZE);
    int a, b;
    open_pairs(&a, &b, url.text);
    for (int round = 0; round < 5; round++) {
        memset(body, 'a' + round, SIZE);
        CHECK_EQ(nn_send(a, body, SIZE, 0), SIZE);
        CHECK_EQ(nn_send(b, body, SIZE, 0), SIZE);
        CHECK_EQ(nn_recv(a, body, SIZE, 0), SIZE);
        CHECK(body[0] == 'a' + round && body[SIZE - 1] == 'a' + round);
        CHECK_EQ(nn_recv(b, body, SIZE, 0), SIZE);
        CHECK(body[0] == 'a' + round && body[SIZE - 1] == 'a' + round);
    }
    free(body);
    CHECK_CLOSE(a, b);
}

struct worker {
    int s;
    int index;
    int count;
};

static void *send_numbers(void *argument)
{
    struct worker *worker = argument;
    for (int i = 0; i < worker->count; i++) {
        int message[2] = {worker->index, i};
        CHECK_EQ(nn_send(worker->s, message, sizeof message, 0), sizeof message);
    }
    return NULL;
}

static void *count_messages(void *argument)
{
    struct worker *worker = argument;
    int message[2];
    while (nn_recv(worker->s, message, sizeof message, 0) == sizeof message && message[1] >= 0)
        worker->count++;
    return NULL;
}

/* core 1.5: sends of several threads are whole messages, in order for each thread. */
static void several_threads_send_on_one_socket(void)
{
    enum { THREADS = 4, MESSAGES = 1000 };
    struct url url = unique_url(scheme);
    struct thread threads[THREADS];
    struct worker workers[THREADS];
    int a, b, next[THREADS] = {0};
    open_pairs(&a, &b, url.text);
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){a, i, MESSAGES};
        thread_start(&threads[i], send_numbers, &workers[i]);
    }
    for (int i = 0; i < THREADS * MESSAGES; i++) {
        int message[2] = {-1, -1};
        REQUIRE(nn_recv(b, message, sizeof message, 0) == sizeof message);
        REQUIRE(message[0] >= 0 && message[0] < THREADS);
        CHECK_EQ(message[1], next[message[0]]++);
    }
    for (int i = 0; i < THREADS; i++)
        thread_join(&threads[i]);
    CHECK_CLOSE(a, b);
}

/* core 1.5: each message goes to exactly one of the threads that wait for it. */
static void several_threads_receive_on_one_socket(void)
{
    enum { THREADS = 4, MESSAGES = 4000 };
    struct url url = unique_url(scheme);
    struct thread threads[THREADS];
    struct worker workers[THREADS];
    int a, b, total = 0;
    open_pairs(&a, &b, url.text);
    struct worker sender = {a, 0, MESSAGES};
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){b, i, 0};
        thread_start(&threads[i], count_messages, &workers[i]);
    }
    send_numbers(&sender);
    for (int i = 0; i < THREADS; i++) {
        int last[2] = {0, -1};
        CHECK_EQ(nn_send(a, last, sizeof last, 0), sizeof last);
    }
    for (int i = 0; i < THREADS; i++) {
        thread_join(&threads[i]);
        total += workers[i].count;
    }
    CHECK_EQ(total, MESSAGES);
    CHECK_CLOSE(a, b);
}

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

/* What the library opened since the list `before` was made. */
static int new_descriptors(const char before[1024], int *list, int size)
{
    struct dirent *entry;
    int count = 0;
    DIR *directory = opendir("/proc/self/fd");
    while ((entry = readdir(directory)) != NULL) {
        int fd = atoi(entry->d_name);
        if (entry->d_name[0] != '.' && fd < 1024 && !before[fd] && fd != dirfd(directory)
            && count < size)
            list[count++] = fd;
    }
    closedir(directory);
    return count;
}

static int socket_option(int fd, int level, int option)
{
    int value = -1;
    socklen_t size = sizeof value;
    getsockopt(fd, level, option, &value, &size);
    return value;
}

/* transports 2, core 6.4, reliability P4: the kernel doubles the buffer sizes. */
static void options_reach_the_operating_system(void)
{
    struct url url = unique_url(scheme);
    char before[1024] = {0};
    int list[64], a = open_pair(), b = open_pair(), one = 1, connections = 0;
    for (int fd = 0; fd < 1024; fd++)
        before[fd] = fcntl(fd, F_GETFD) >= 0;
    for (int i = 0; i < 2; i++) {
        set_int(i ? a : b, NN_SNDBUF, 20000);
        set_int(i ? a : b, NN_RCVBUF, 30000);
        CHECK_EQ(nn_setsockopt(i ? a : b, NN_TCP, NN_TCP_NODELAY, &one, sizeof one), 0);
    }
    CHECK_EQ(nn_bind(a, url.text), 1);
    CHECK_EQ(nn_connect(b, url.text), 1);
    CHECK_TALK(a, b);
    int count = new_descriptors(before, list, 64);
    for (int i = 0; i < count; i++) {
        struct sockaddr_storage peer;
        socklen_t size = sizeof peer;
        CHECK(fcntl(list[i], F_GETFD) & FD_CLOEXEC);
        if (getpeername(list[i], (struct sockaddr *)&peer, &size) != 0)
            continue;
        connections++;
        CHECK(fcntl(list[i], F_GETFL) & O_NONBLOCK);
        CHECK_EQ(socket_option(list[i], SOL_SOCKET, SO_SNDBUF), 40000);
        CHECK_EQ(socket_option(list[i], SOL_SOCKET, SO_RCVBUF), 60000);
        CHECK_EQ(socket_option(list[i], SOL_SOCKET, SO_KEEPALIVE), 0);
        /* transports 2: over ws the reference never sets it. */
        if (!is_ipc(url.text) && !(over_ws() && reference()))
            CHECK_EQ(socket_option(list[i], IPPROTO_TCP, TCP_NODELAY), 1);
    }
    CHECK_EQ(connections, 2);
    CHECK_CLOSE(a, b);
}

/* transports 6.3 */
static void a_host_name_is_resolved(void)
{
    int a = open_pair(), b = open_pair(), port = free_port();
    char address[64];
    snprintf(address, sizeof address, "%s://127.0.0.1:%d", scheme, port);
    CHECK_EQ(nn_bind(a, address), 1);
    snprintf(address, sizeof address, "%s://localhost:%d", scheme, port);
    CHECK_EQ(nn_connect(b, address), 1);
    CHECK_TALK(a, b);
    CHECK_CLOSE(a, b);
}

/* transports 6.3, reliability P3: neither the caller nor the other endpoints wait for a name. */
static void a_name_that_does_not_resolve_disturbs_nobody(void)
{
    struct url url = unique_url(scheme);
    int a = open_pair(), b = open_pair();
    char nobody[64];
    snprintf(nobody, sizeof nobody, "%s://no-such-host.invalid:5555", scheme);
    int64_t start = now_ms();
    CHECK_EQ(nn_connect(b, nobody), 1);
    CHECK_AT_MOST(now_ms() - start, LATE_MS);
    CHECK_EQ(nn_bind(a, url.text), 1);
    CHECK_EQ(nn_connect(b, url.text), 2);
    CHECK_TALK(a, b);
    CHECK_EQ(nn_get_statistic(b, NN_STAT_CONNECT_ERRORS), 0);
    start = now_ms();
    CHECK_CLOSE(a, b);
    CHECK_AT_MOST(now_ms() - start, LATE_MS);
}

/* transports 6.2 and 6.3: the local address is where the connection comes from. */
static void a_local_address_is_used(void)
{
    struct url url = unique_url(scheme);
    struct sockaddr_in from;
    socklen_t size = sizeof from;
    char address[160];
    int listener = raw_listen(url.text), s = open_pair();
    snprintf(address, sizeof address, "%s://127.0.0.2;%s", scheme, strrchr(url.text, '/') + 1);
    CHECK_EQ(nn_connect(s, address), 1);
    int fd = raw_accept(listener, PATIENCE_MS);
    CHECK_EQ(getpeername(fd, (struct sockaddr *)&from, &size), 0);
    CHECK_EQ(ntohl(from.sin_addr.s_addr), 0x7f000002);
    close(fd);
    close(listener);
    CHECK_CLOSE(s);
}

static void run_all(void)
{
    RUN(either_side_may_start_first);
    RUN(a_dialer_finds_a_listener_that_comes_back);
    RUN(a_listener_takes_the_next_dialer);
    RUN(a_listener_that_is_shut_down_ends_its_connections);
    RUN(a_dialer_that_is_shut_down_stays_away);
    RUN(retries_back_off_to_the_maximum);
    RUN(retries_keep_the_interval_without_a_maximum);
    RUN(the_first_retry_is_immediate);
    RUN(a_maximum_below_the_interval_wins);
    RUN(an_interval_of_zero_retries_quickly);
    RUN(the_interval_is_fixed_at_connect);
    RUN(a_second_peer_is_refused_and_takes_over_later);
    RUN(a_dialing_pair_uses_one_of_two_listeners);
    RUN(messages_up_to_the_limit_pass);
    RUN(a_listener_drops_what_is_over_the_limit);
    RUN(a_dialer_drops_what_is_over_the_limit);
    RUN(changing_the_limit_affects_a_live_connection);
    RUN(a_hundred_small_messages_need_no_reader);
    RUN(a_peer_that_does_not_read_stops_the_sender);
    RUN(both_sides_may_send_large_before_they_receive);
    RUN(several_threads_send_on_one_socket);
    RUN(several_threads_receive_on_one_socket);
    RUN(what_came_before_the_end_is_delivered);
    RUN(small_messages_are_delivered_after_close);
    RUN(large_messages_are_delivered_after_close);
    RUN(a_small_message_is_delivered_after_exit);
    RUN(a_large_message_is_delivered_after_exit);
    RUN(a_silent_peer_costs_at_most_the_linger);
    RUN(close_returns_at_once_when_all_is_written);
    RUN(close_does_not_wait_for_a_handshake);
    RUN(options_reach_the_operating_system);
}

int main(int count, char **words)
{
    static char name[32];
    scheme = count == 2 ? words[1] : "";
    if (strcmp(scheme, "tcp") != 0 && strcmp(scheme, "ipc") != 0 && strcmp(scheme, "ws") != 0) {
        fprintf(stderr, "usage: %s tcp|ipc|ws\n", words[0]);
        return 2;
    }
    setenv("RES_OPTIONS", "timeout:1 attempts:1", 1);
    snprintf(name, sizeof name, "transports/stream-%s", scheme);
    test_begin(name, 58);
    run_all();
    if (strcmp(scheme, "ipc") != 0) {
        RUN(a_host_name_is_resolved);
        RUN(a_name_that_does_not_resolve_disturbs_nobody);
        RUN(a_local_address_is_used);
    }
    return test_end();
}
