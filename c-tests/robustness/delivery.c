/* What nn_send accepted is delivered, however the sender leaves: by nn_close, nn_shutdown, nn_term,
 * exit() or the end of main, with a reader that comes late, with traffic in both directions, with
 * input that the sender never reads.
 *
 *   delivery inproc|ipc|tcp|ws|tls+tcp|wss [EFFORT [SEED]] */

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
#include "support/trial.h"

#include <nanomsg/nn.h>
#include <nanomsg/pipeline.h>

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { COUNT = 3, CHUNK = 50000 };

static const size_t sizes[] = {1, 1000, 65536, 1 << 20, 4 << 20};
enum { SIZES = COUNT_OF(sizes) };

/* ---- messages that tell whether they are whole ---- */

static void fill(unsigned char *body, size_t size, unsigned number)
{
    for (size_t i = 0; i < size; i++)
        body[i] = (unsigned char)(i * 7 + (i >> 8) + number);
}

static int send_number(int s, size_t size, unsigned number, int flags)
{
    unsigned char *chunk = nn_allocmsg(size, 0);
    REQUIRE(chunk != NULL);
    fill(chunk, size, number);
    int result = nn_send(s, &chunk, NN_MSG, flags);
    if (result < 0) {
        int error = errno;
        nn_freemsg(chunk);
        errno = error;
    }
    return result;
}

/* The next message is that one. */
static int recv_number(int s, size_t size, unsigned number)
{
    unsigned char *chunk = NULL, *expected = malloc(size);
    int result = nn_recv(s, &chunk, NN_MSG, 0), right;
    fill(expected, size, number);
    right = result == (int)size && memcmp(chunk, expected, size) == 0;
    if (!right)
        FAIL("message %u of %zu bytes: result %d, errno %d (%s)", number, size, result, errno,
             nn_strerror(errno));
    if (result >= 0)
        nn_freemsg(chunk);
    free(expected);
    return right;
}

static int open_large(void)
{
    int s = open_quick();
    set_int(s, NN_RCVMAXSIZE, -1);
    set_int(s, NN_LINGER, PATIENCE_MS);
    return s;
}

/* ---- leaving within the process ---- */

struct leaver {
    int s;
    int id;
    size_t size;
    int by_shutdown;
    int sent;
};

static void *send_and_leave(void *argument)
{
    struct leaver *leaver = argument;
    for (unsigned i = 0; i < COUNT; i++) {
        CHECK_EQ(send_number(leaver->s, leaver->size, i, 0), leaver->size);
        __atomic_store_n(&leaver->sent, (int)i + 1, __ATOMIC_RELEASE);
    }
    if (leaver->by_shutdown)
        CHECK_EQ(nn_shutdown(leaver->s, leaver->id), 0);
    CHECK_CLOSE(leaver->s);
    return NULL;
}

static void check_leave(size_t size, int by_shutdown, int connector_leaves)
{
    struct url url = unique_url(trial.scheme);
    struct thread thread;
    int bound = open_large(), connected = open_large(), reader = bound;
    int bound_id = nn_bind(bound, url.text), connected_id = nn_connect(connected, url.text);
    struct leaver leaver = {connected, connected_id, size, by_shutdown, 0};
    if (!connector_leaves) {
        leaver.s = bound;
        leaver.id = bound_id;
        reader = connected;
    }
    CHECK_TALK(bound, connected);
    thread_start(&thread, send_and_leave, &leaver);
    /* Late: it is waited for, not hoped for, that there is something to be read. */
    wait_until(__atomic_load_n(&leaver.sent, __ATOMIC_ACQUIRE) == COUNT, 30);
    for (unsigned i = 0; i < COUNT && recv_number(reader, size, i); i++)
        continue;
    thread_join(&thread);
    CHECK_CLOSE(reader);
}

static void what_was_sent_arrives_after_close(void)
{
    for (int i = 0; i < SIZES; i++)
        for (int side = 0; side < 2; side++)
            check_leave(sizes[i], 0, side);
}

static void what_was_sent_arrives_after_shutdown(void)
{
    for (int i = 0; i < SIZES; i++)
        for (int side = 0; side < 2; side++)
            check_leave(sizes[i], 1, side);
}

static void a_slow_reader_gets_everything(void)
{
    struct url url = unique_url(trial.scheme);
    struct thread thread;
    int a = open_large(), b = open_large();
    set_int(a, NN_LINGER, -1);
    int id = nn_bind(a, url.text);
    CHECK_OK(nn_connect(b, url.text));
    CHECK_TALK(a, b);
    struct leaver leaver = {a, id, 1 << 20, 0, 0};
    thread_start(&thread, send_and_leave, &leaver);
    /* Longer than the default linger. */
    nap_ms(1300);
    for (unsigned i = 0; i < COUNT && recv_number(b, 1 << 20, i); i++)
        nap_ms(50);
    thread_join(&thread);
    CHECK_CLOSE(b);
}

/* ---- leaving the process ---- */

enum leave { LEAVE_BY_EXIT, LEAVE_BY_CLOSE, LEAVE_BY_TERM, LEAVE_BY_RETURN };

/* The end of main needs a main: this is what the program does when it is called for that. */
static int leave_by_return(const char *url, size_t size)
{
    credentials_load(url);
    int s = open_large();
    CHECK_OK(nn_connect(s, url));
    CHECK_SEND(s, "here");
    for (unsigned i = 0; i < COUNT; i++)
        CHECK_EQ(send_number(s, size, i, 0), size);
    return test.failures > 0;
}

struct departure {
    struct url url;
    size_t size;
    enum leave leave;
    /* How many messages come in that the leaver never reads. */
    int unread;
    int told[2];
};

static int depart(void *argument)
{
    struct departure *departure = argument;
    char byte;
    int s = open_large();
    CHECK_OK(nn_connect(s, departure->url.text));
    CHECK_SEND(s, "here");
    if (departure->unread)
        CHECK_EQ(read(departure->told[0], &byte, 1), 1);
    for (unsigned i = 0; i < COUNT; i++)
        CHECK_EQ(send_number(s, departure->size, i, 0), departure->size);
    if (departure->leave == LEAVE_BY_CLOSE)
        CHECK_CLOSE(s);
    if (departure->leave == LEAVE_BY_TERM)
        nn_term();
    return 0;
}

static void start_departure(struct child *child, struct departure *departure)
{
    char size[32];
    char *words[] = {"/proc/self/exe", "return", departure->url.text, size, NULL};
    char *environment[] = {NULL};
    snprintf(size, sizeof size, "%zu", departure->size);
    if (departure->leave == LEAVE_BY_RETURN)
        child_exec(child, words, environment);
    else
        child_start(child, depart, departure);
}

static void check_departure(size_t size, enum leave leave, int unread)
{
    struct departure departure = {unique_url(trial.scheme), size, leave, unread, {-1, -1}};
    struct child child;
    REQUIRE(pipe2(departure.told, O_CLOEXEC) == 0);
    /* The child is made first: a library that is in use need not survive a fork. */
    start_departure(&child, &departure);
    int s = open_large();
    CHECK_OK(nn_bind(s, departure.url.text));
    CHECK_RECV(s, "here");
    for (int i = 0; i < unread; i++)
        CHECK_EQ(send_number(s, 1000, 0, 0), 1000);
    CHECK_EQ(write(departure.told[1], "x", 1), 1);
    /* Late: the child is gone by then, if all its messages fit into the buffers of the kernel. */
    siginfo_t information;
    wait_until((information.si_pid = 0, waitid(P_PID, (id_t)child.pid, &information,
                                               WEXITED | WNOHANG | WNOWAIT) == 0
                && information.si_pid == child.pid), 100);
    for (unsigned i = 0; i < COUNT && recv_number(s, size, i); i++)
        continue;
    CHECK_EQ(child_wait(&child, PATIENCE_MS), 0);
    CHECK_CLOSE(s);
    close(departure.told[0]);
    close(departure.told[1]);
}

static void check_departures(enum leave leave)
{
    for (int i = 0; i < SIZES; i++)
        check_departure(sizes[i], leave, 0);
}

static void what_was_sent_arrives_after_exit(void)
{
    check_departures(LEAVE_BY_EXIT);
}

static void what_was_sent_arrives_after_close_and_exit(void)
{
    check_departures(LEAVE_BY_CLOSE);
}

static void what_was_sent_arrives_after_term(void)
{
    check_departures(LEAVE_BY_TERM);
}

static void what_was_sent_arrives_after_the_end_of_main(void)
{
    check_departures(LEAVE_BY_RETURN);
}

/* A tcp that closes with unread input resets the stream, which destroys what the kernel still has
 * to transmit: the sizes around its buffers are the interesting ones. */
static void check_unread(enum leave leave)
{
    for (size_t size = 10000; size <= 220000 && !case_failed();
         size += 30000)
        check_departure(size, leave, 100);
}

static void unread_input_spoils_nothing_at_close(void)
{
    check_unread(LEAVE_BY_CLOSE);
}

static void unread_input_spoils_nothing_at_exit(void)
{
    check_unread(LEAVE_BY_EXIT);
}

/* ---- both directions full ---- */

static unsigned fill_up(int s)
{
    unsigned count = 0;
    /* Until nothing is taken for a while: the other side may move bytes in the background. */
    for (int quiet = 0; quiet < 20 && count < 10000;) {
        if (send_number(s, CHUNK, count, NN_DONTWAIT) == CHUNK) {
            count++;
            quiet = 0;
        } else {
            quiet++;
            nap_ms(1);
        }
    }
    return count;
}

static void *close_slowly(void *argument)
{
    CHECK_CLOSE(*(int *)argument);
    return NULL;
}

/* Goes on sending until the other side is gone. */
static void *send_on(void *argument)
{
    int s = *(int *)argument;
    for (unsigned i = 0; send_number(s, CHUNK, i, 0) == CHUNK; i++)
        continue;
    return NULL;
}

static void check_duplex(int with_sender)
{
    struct url url = unique_url(trial.scheme);
    struct thread closer, sender;
    int a = open_large(), b = open_large();
    CHECK_OK(nn_bind(a, url.text));
    CHECK_OK(nn_connect(b, url.text));
    CHECK_TALK(a, b);
    unsigned forth = fill_up(a), back = fill_up(b);
    CHECK_AT_LEAST(forth, 1);
    CHECK_AT_LEAST(back, 1);
    set_int(b, NN_SNDTIMEO, 300);
    if (with_sender)
        thread_start(&sender, send_on, &b);
    thread_start(&closer, close_slowly, &a);
    for (unsigned i = 0; i < forth && recv_number(b, CHUNK, i); i++)
        continue;
    thread_join(&closer);
    if (with_sender)
        thread_join(&sender);
    CHECK_CLOSE(b);
}

static void closing_while_both_streams_are_full_loses_nothing(void)
{
    for (int i = 0; i < 5 * trial.effort; i++)
        check_duplex(i % 2);
}

/* ---- peers that do not read ---- */

static int64_t close_against_a_deaf_peer(int linger)
{
    struct url url = unique_url(trial.scheme);
    int s = open_quick();
    set_int(s, NN_LINGER, linger);
    CHECK_OK(nn_bind(s, url.text));
    int fd = raw_connect(url.text);
    CHECK(raw_greet(fd));
    CHECK(wait_stat(s, NN_STAT_CURRENT_CONNECTIONS, 1, PATIENCE_MS));
    fill_up(s);
    int64_t start = now_us();
    CHECK_CLOSE(s);
    int64_t took = now_us() - start;
    close(fd);
    return took;
}

/* Five in turn, as an event loop would: it must not stand still meanwhile. */
static void who_does_not_want_to_wait_loses_nothing(void)
{
    enum { SOCKETS = 5, MESSAGES = 8, SIZE = 1 << 20 };
    int senders[SOCKETS], readers[SOCKETS];
    for (int i = 0; i < SOCKETS; i++) {
        struct url url = unique_url(trial.scheme);
        readers[i] = open_large();
        senders[i] = open_large();
        set_int(senders[i], NN_LINGER, 0);
        set_int(senders[i], NN_SNDBUF, 2 * MESSAGES * SIZE);
        CHECK_OK(nn_bind(senders[i], url.text));
        CHECK_OK(nn_connect(readers[i], url.text));
        CHECK_PIPES(senders[i], 1);
        for (unsigned n = 0; n < MESSAGES; n++)
            CHECK_EQ(send_number(senders[i], SIZE, n, 0), SIZE);
    }
    int64_t start = now_us();
    close_sockets(senders, SOCKETS);
    CHECK_AT_MOST(now_us() - start, 900000);
    for (int i = 0; i < SOCKETS; i++)
        for (unsigned n = 0; n < MESSAGES && recv_number(readers[i], SIZE, n); n++)
            continue;
    close_sockets(readers, SOCKETS);
}

static int close_in_the_background_and_leave(void *argument)
{
    struct url *urls = argument;
    int s[2];
    for (int i = 0; i < 2; i++) {
        s[i] = open_quick();
        set_int(s[i], NN_LINGER, 0);
        set_int(s[i], NN_SNDBUF, 1 << 25);
        CHECK_OK(nn_connect(s[i], urls[i].text));
        for (unsigned n = 0; n < 8; n++)
            CHECK_EQ(send_number(s[i], 1 << 20, n, 0), 1 << 20);
    }
    close_sockets(s, 2);
    exit(case_failed() ? 1 : 7);
}

/* The last socket is closed, and all that is left is written by a thread. */
static void exit_waits_for_what_is_written_in_the_background(void)
{
    struct url urls[2];
    struct child child;
    int s[2];
    if (strcmp(trial.scheme, "inproc") == 0) {
        test_skip("both sides exit");
        return;
    }
    for (int i = 0; i < 2; i++)
        urls[i] = unique_url(trial.scheme);
    child_start(&child, close_in_the_background_and_leave, urls);
    for (int i = 0; i < 2; i++) {
        s[i] = open_large();
        CHECK_OK(nn_bind(s[i], urls[i].text));
    }
    for (int i = 0; i < 2; i++)
        for (unsigned n = 0; n < 8 && recv_number(s[i], 1 << 20, n); n++)
            continue;
    CHECK_EQ(child_wait(&child, PATIENCE_MS), 7);
    close_sockets(s, 2);
}

/* More than kernels keep. */
enum { PILE = 12 };

struct hasty {
    struct url url;
    int told[2];
};

static int exit_tells;

static void tell_of_exit(void)
{
    CHECK_EQ(write(exit_tells, "x", 1), 1);
}

static int close_and_exit_at_once(void *argument)
{
    struct hasty *hasty = argument;
    int s = open_quick();
    exit_tells = hasty->told[1];
    CHECK_EQ(atexit(tell_of_exit), 0);
    set_int(s, NN_LINGER, 0);
    set_int(s, NN_SNDBUF, 2 * PILE << 20);
    CHECK_OK(nn_connect(s, hasty->url.text));
    for (unsigned n = 0; n < PILE; n++)
        CHECK_EQ(send_number(s, 1 << 20, n, 0), 1 << 20);
    CHECK_CLOSE(s);
    exit(case_failed() ? 1 : 7);
}

static void check_hasty_exit(void)
{
    struct hasty hasty = {unique_url(trial.scheme), {-1, -1}};
    struct child child;
    char byte;
    REQUIRE(pipe2(hasty.told, O_CLOEXEC) == 0);
    child_start(&child, close_and_exit_at_once, &hasty);
    int s = open_large();
    CHECK_OK(nn_bind(s, hasty.url.text));
    CHECK_EQ(read(hasty.told[0], &byte, 1), 1);
    for (unsigned n = 0; n < PILE && recv_number(s, 1 << 20, n); n++)
        continue;
    CHECK_EQ(child_wait(&child, PATIENCE_MS), 7);
    CHECK_CLOSE(s);
    close(hasty.told[0]);
    close(hasty.told[1]);
}

/* The thread that is to write what is left has hardly begun, and nobody reads before. */
static void exit_right_after_a_close_that_does_not_wait_loses_nothing(void)
{
    for (int i = 0; i < 4 * trial.effort && !case_failed(); i++)
        check_hasty_exit();
}

static void a_deaf_peer_costs_the_linger(void)
{
    int64_t took = close_against_a_deaf_peer(300);
    CHECK_AT_LEAST(took, 300000);
    CHECK_AT_MOST(took, 1300000);
    CHECK_AT_MOST(close_against_a_deaf_peer(0), 1000000);
}

/* ---- ends of a stream ---- */

static void check_end(int half, unsigned count)
{
    struct url url = unique_url(trial.scheme);
    unsigned char body[1000];
    int s = open_large();
    CHECK_OK(nn_bind(s, url.text));
    int fd = raw_connect(url.text);
    CHECK(raw_greet(fd));
    for (unsigned i = 0; i < count; i++) {
        fill(body, sizeof body, i);
        raw_message(fd, url.text, body, sizeof body);
    }
    /* And half of another. */
    unsigned char prefix[9];
    raw_send(fd, prefix, raw_prefix(url.text, sizeof body, prefix));
    raw_send(fd, body, sizeof body / 2);
    if (half)
        shutdown(fd, SHUT_WR);
    else
        close(fd);
    nap_ms(30);
    for (unsigned i = 0; i < count && recv_number(s, sizeof body, i); i++)
        continue;
    CHECK(wait_stat(s, NN_STAT_CURRENT_CONNECTIONS, 0, PATIENCE_MS));
    CHECK_ERRNO(nn_recv(s, body, sizeof body, NN_DONTWAIT), -1, EAGAIN);
    CHECK_CLOSE(s);
    if (half)
        close(fd);
}

static void what_came_before_the_end_is_delivered(void)
{
    check_end(0, 1);
    check_end(0, 50);
    check_end(1, 1);
    check_end(1, 50);
}

static void run_across_processes(void)
{
    RUN(what_was_sent_arrives_after_exit);
    RUN(what_was_sent_arrives_after_close_and_exit);
    RUN(what_was_sent_arrives_after_term);
    RUN(what_was_sent_arrives_after_the_end_of_main);
    RUN(unread_input_spoils_nothing_at_close);
    RUN(unread_input_spoils_nothing_at_exit);
    /* A peer made by hand speaks no TLS. */
    if (!is_encrypted(trial.scheme))
        RUN(a_deaf_peer_costs_the_linger);
    RUN(who_does_not_want_to_wait_loses_nothing);
    RUN(exit_waits_for_what_is_written_in_the_background);
    RUN(exit_right_after_a_close_that_does_not_wait_loses_nothing);
    /* A peer made by hand speaks no TLS. */
    if (!is_encrypted(trial.scheme))
        RUN(what_came_before_the_end_is_delivered);
}

/* ---- a sudden death ---- */

enum death { DEATH_BY_ABORT, DEATH_BY_KILL, DEATH_BY_EXIT_AT_ONCE, DEATH_BY_QUICK_EXIT };

struct doomed {
    struct url url;
    enum death death;
    /* How many messages come back to back before the first burst. */
    int stream;
    int bursts, messages;
};

static void send_in_words(int s, int number)
{
    char body[16];
    snprintf(body, sizeof body, "%d", number);
    CHECK_SEND(s, body);
}

static int die(void *argument)
{
    struct doomed *doomed = argument;
    struct rlimit none = {0, 0};
    int s = open_quick(), sent = 0;
    setrlimit(RLIMIT_CORE, &none);
    CHECK_OK(nn_connect(s, doomed->url.text));
    while (sent < doomed->stream)
        send_in_words(s, sent++);
    for (int burst = 0; burst < doomed->bursts; burst++) {
        nap_ms(1);
        for (int i = 0; i < doomed->messages; i++)
            send_in_words(s, sent++);
    }
    switch (doomed->death) {
    case DEATH_BY_ABORT:
        signal(SIGABRT, SIG_DFL);
        abort();
    case DEATH_BY_KILL:
        raise(SIGKILL);
        break;
    case DEATH_BY_EXIT_AT_ONCE:
        _exit(3);
    case DEATH_BY_QUICK_EXIT:
        quick_exit(3);
    }
    return 0;
}

static void check_death(enum death death, int stream, int bursts, int messages)
{
    struct doomed doomed = {unique_url(trial.scheme), death, stream, bursts, messages};
    struct child child;
    char body[16];
    child_start(&child, die, &doomed);
    int s = open_quick();
    CHECK_OK(nn_bind(s, doomed.url.text));
    for (int i = 0; i < stream + bursts * messages && !case_failed(); i++) {
        snprintf(body, sizeof body, "%d", i);
        CHECK_RECV(s, body);
    }
    CHECK_NE(child_wait(&child, PATIENCE_MS), 0);
    CHECK_CLOSE(s);
}

/* What nn_send has taken is with the kernel when it returns, unless many more come back to back, or
 * the kernel is full: a Unix stream holds some 340 messages while the receiver has no processor. */
static void short_bursts_outlive_a_sudden_death(void)
{
    if (strcmp(trial.scheme, "inproc") == 0) {
        test_skip("both sides die");
        return;
    }
    for (int i = 0; i < 5 * trial.effort; i++) {
        check_death(DEATH_BY_ABORT, 0, 40, 2);
        check_death(DEATH_BY_KILL, 0, 30, 10);
        check_death(DEATH_BY_EXIT_AT_ONCE, 0, 5, 60);
        /* No other one has told how long it will be. */
        check_death(DEATH_BY_KILL, 0, 1, 15);
        check_death(DEATH_BY_EXIT_AT_ONCE, 0, 1, 60);
    }
}

enum { MANY = 200 };

static int send_one_each_and_die(void *argument)
{
    struct url *url = argument;
    int s[MANY];
    for (int i = 0; i < MANY; i++) {
        s[i] = open_socket(AF_SP, NN_PUSH);
        CHECK_OK(nn_connect(s[i], url->text));
        CHECK_PIPES(s[i], 1);
    }
    nap_ms(1);
    for (int i = 0; i < MANY; i++)
        send_in_words(s[i], i);
    raise(SIGKILL);
    return 9;
}

/* However many connections one thread sends on: to gather would bring nothing together where each
 * gets one message. */
static void one_message_on_each_of_many_outlives_a_sudden_death(void)
{
    if (strcmp(trial.scheme, "inproc") == 0) {
        test_skip("both sides die");
        return;
    }
    for (int round = 0; round < 2 * trial.effort && !case_failed(); round++) {
        struct url url = unique_url(trial.scheme);
        struct child child;
        char heard[MANY] = {0};
        child_start(&child, send_one_each_and_die, &url);
        int s = open_socket(AF_SP, NN_PULL);
        /* All of them are connected before the first one is sent. */
        set_int(s, NN_RCVTIMEO, 6 * PATIENCE_MS);
        CHECK_OK(nn_bind(s, url.text));
        for (int i = 0; i < MANY && !case_failed(); i++) {
            char body[16] = "";
            CHECK_AT_LEAST(nn_recv(s, body, sizeof body - 1, 0), 1);
            int number = atoi(body);
            CHECK(number >= 0 && number < MANY && !heard[number]++);
        }
        CHECK_NE(child_wait(&child, PATIENCE_MS), 0);
        CHECK_CLOSE(s);
    }
}

/* A child goes on where the thread was that has forked: this one streams to two. */
static void stream_to_two(void)
{
    int from[2], to[2];
    for (int i = 0; i < 2; i++) {
        struct url url = unique_url(trial.scheme);
        from[i] = open_quick();
        to[i] = open_quick();
        CHECK_OK(nn_bind(to[i], url.text));
        CHECK_OK(nn_connect(from[i], url.text));
        CHECK_PIPES(from[i], 1);
    }
    for (int i = 0; i < 300; i++)
        send_in_words(from[i % 2], i);
    for (int i = 0; i < 300; i++) {
        char body[16];
        CHECK_AT_LEAST(nn_recv(to[i % 2], body, sizeof body, 0), 1);
    }
    nap_ms(10);
    close_sockets(to, 2);
    close_sockets(from, 2);
}

/* Whoever has streamed and then paused sends a burst like any other. */
static void a_short_burst_behind_a_stream_outlives_a_sudden_death(void)
{
    static const int bursts[] = {1, 2, 7, 30, 60};
    if (strcmp(trial.scheme, "inproc") == 0) {
        test_skip("both sides die");
        return;
    }
    for (int i = 0; i < 4 * (int)COUNT_OF(bursts) * trial.effort && !case_failed(); i++) {
        stream_to_two();
        check_death(i % 2 ? DEATH_BY_KILL : DEATH_BY_EXIT_AT_ONCE, 150, 1,
                    bursts[i % (int)COUNT_OF(bursts)]);
    }
}

static void long_bursts_outlive_quick_exit(void)
{
    if (strcmp(trial.scheme, "inproc") == 0) {
        test_skip("both sides die");
        return;
    }
    for (int i = 0; i < 3 * trial.effort; i++)
        check_death(DEATH_BY_QUICK_EXIT, 0, 2, 1000);
}

/* ---- a sender that never calls again ---- */

enum { WAYS = 3, TAIL = 100 };

static int send_and_compute(void *argument)
{
    struct url *urls = argument;
    volatile unsigned long work = 0;
    char body[16];
    int s[WAYS];
    for (int way = 0; way < WAYS; way++) {
        s[way] = open_quick();
        CHECK_OK(nn_connect(s[way], urls[way].text));
        CHECK_SEND(s[way], "begin");
    }
    for (int i = 0; i < TAIL; i++) {
        snprintf(body, sizeof body, "%d", i);
        for (int way = 0; way < WAYS; way++)
            CHECK_SEND(s[way], body);
    }
    while (work != ~0UL)
        work++;
    return 0;
}

/* What waits for more of a stream leaves also when no more comes, and the sender does not sleep. */
static void the_tail_of_a_stream_leaves_while_its_sender_computes(void)
{
    struct url urls[WAYS];
    struct child child;
    char body[16];
    int s[WAYS];
    for (int way = 0; way < WAYS; way++)
        urls[way] = unique_url(trial.scheme);
    child_start(&child, send_and_compute, urls);
    for (int way = 0; way < WAYS; way++) {
        s[way] = open_quick();
        CHECK_OK(nn_bind(s[way], urls[way].text));
    }
    for (int way = 0; way < WAYS; way++) {
        CHECK_RECV(s[way], "begin");
        for (int i = 0; i < TAIL && !case_failed(); i++) {
            snprintf(body, sizeof body, "%d", i);
            CHECK_RECV(s[way], body);
        }
    }
    child_kill(&child);
    for (int way = 0; way < WAYS; way++)
        CHECK_CLOSE(s[way]);
}

/* ---- runs of one length, and one that ends before its time ---- */

static const int runs[] = {30, 30, 30, 12};

static void send_runs(struct url *url)
{
    int s = open_quick(), number = 0;
    char body[16];
    CHECK_OK(nn_connect(s, url->text));
    CHECK_SEND(s, "begin");
    for (size_t run = 0; run < COUNT_OF(runs); run++) {
        nap_ms(2);
        for (int i = 0; i < runs[run]; i++) {
            snprintf(body, sizeof body, "%d", number++);
            CHECK_SEND(s, body);
        }
    }
}

static int send_runs_and_compute(void *argument)
{
    volatile unsigned long work = 0;
    send_runs(argument);
    while (work != ~0UL)
        work++;
    return 0;
}

static int send_runs_and_die(void *argument)
{
    send_runs(argument);
    raise(SIGKILL);
    return 9;
}

static void check_runs(int (*sender)(void *argument))
{
    struct url url = unique_url(trial.scheme);
    struct child child;
    int number = 0;
    char body[16];
    child_start(&child, sender, &url);
    int s = open_quick();
    CHECK_OK(nn_bind(s, url.text));
    CHECK_RECV(s, "begin");
    for (size_t run = 0; run < COUNT_OF(runs); run++) {
        for (int i = 0; i < runs[run] && !case_failed(); i++) {
            snprintf(body, sizeof body, "%d", number++);
            CHECK_RECV(s, body);
        }
    }
    child_kill(&child);
    CHECK_CLOSE(s);
}

/* Whoever waits for the rest of a run, as long as those before, has what there is all the same. That
 * it is the library that sees to it, and not the kernel 0.2 s later, its own models show. */
static void a_run_that_ends_early_leaves_while_its_sender_computes(void)
{
    check_runs(send_runs_and_compute);
}

static void a_run_that_ends_early_outlives_a_sudden_death(void)
{
    for (int i = 0; i < 3 * trial.effort && !case_failed(); i++)
        check_runs(send_runs_and_die);
}

/* ---- exit() while nn_close waits for a slow reader ---- */

enum { SLOW_MESSAGES = 20, SLOW_SIZE = 2 << 20 };

/* Where the one who leaves says so. */
static int leaving[2];

static void leave_now(int number)
{
    (void)number;
    REQUIRE(write(leaving[1], "x", 1) == 1);
    exit(0);
}

static int close_and_leave(void *argument)
{
    struct url *url = argument;
    int s = open_quick();
    set_int(s, NN_LINGER, 20000);
    set_int(s, NN_SNDBUF, 2 * SLOW_MESSAGES * SLOW_SIZE);
    CHECK_OK(nn_connect(s, url->text));
    for (unsigned i = 0; i < SLOW_MESSAGES; i++)
        CHECK_EQ(send_number(s, SLOW_SIZE, i, 0), SLOW_SIZE);
    signal(SIGALRM, leave_now);
    ualarm(50000, 0);
    nn_close(s);
    return 9;
}

static void what_a_close_still_waits_for_outlives_exit_in_a_handler(void)
{
    struct url url = unique_url(trial.scheme);
    struct child child;
    if (strcmp(trial.scheme, "inproc") == 0) {
        test_skip("both sides exit");
        return;
    }
    REQUIRE(pipe(leaving) == 0);
    child_start(&child, close_and_leave, &url);
    int s = open_large();
    char byte;
    CHECK_OK(nn_bind(s, url.text));
    CHECK_EQ(read(leaving[0], &byte, 1), 1);
    for (unsigned i = 0; i < SLOW_MESSAGES && recv_number(s, SLOW_SIZE, i); i++)
        continue;
    CHECK_EQ(child_wait(&child, PATIENCE_MS), 0);
    CHECK_CLOSE(s);
    close(leaving[0]);
    close(leaving[1]);
}

int main(int count, char **words)
{
    if (count == 4 && strcmp(words[1], "return") == 0)
        return leave_by_return(words[2], strtoul(words[3], NULL, 10));
    trial_begin("robustness/delivery", "inproc|ipc|tcp|ws|tls+tcp|wss", 60, count, words);
    RUN(what_was_sent_arrives_after_close);
    RUN(what_was_sent_arrives_after_shutdown);
    RUN(a_slow_reader_gets_everything);
    RUN(closing_while_both_streams_are_full_loses_nothing);
    if (strcmp(trial.scheme, "inproc") != 0) {
        run_across_processes();
        RUN(the_tail_of_a_stream_leaves_while_its_sender_computes);
        RUN(a_run_that_ends_early_leaves_while_its_sender_computes);
        RUN(a_run_that_ends_early_outlives_a_sudden_death);
    }
    RUN(what_a_close_still_waits_for_outlives_exit_in_a_handler);
    RUN(short_bursts_outlive_a_sudden_death);
    RUN(one_message_on_each_of_many_outlives_a_sudden_death);
    RUN(a_short_burst_behind_a_stream_outlives_a_sudden_death);
    RUN(long_bursts_outlive_quick_exit);
    RUN(nothing_is_left);
    return test_end();
}
