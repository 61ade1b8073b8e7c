/* tls+tcp and wss among strangers: who is cut off at every byte, who says nothing for long, who
 * says what is no handshake or never ends one. After each of them whoever is as he should be is
 * served, the listener has said what was wrong, and nothing is left of them. */

#include "beyond.h"

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/credentials.h"
#include "support/process.h"
#include "support/raw-stream.h"
#include "support/resources.h"
#include "support/sockets.h"
#include "support/talk.h"

#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/pipeline.h>

#include <errno.h>
#include <linux/sockios.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *scheme;

/* Bytes that one of them may take; SECURITY.md tells how many it is. */
enum { STRANGER_MAX = 6000, RECORD_MAX = 30000, HANDSHAKE_MAX = 140000, CONNECTION_MAX = 10000,
       USED_MAX = 60000 };

/* What a socket needs to sleep in front of its streams, it has from then on: descriptors can be
 * counted. What has arrived is not wanted. */
static void sleep_once(int s)
{
    CHECK_PIPES(s, 1);
    set_int(s, NN_RCVTIMEO, 10);
    while (nn_recv(s, NULL, 0, 0) >= 0)
        ;
    CHECK_EQ(errno, ETIMEDOUT);
    set_int(s, NN_RCVTIMEO, PATIENCE_MS);
}

/* A socket that listens at `url` and tells what happens. */
static int open_listener(int type, const struct url *url)
{
    int s = open_socket(AF_SP, type);
    CHECK_OK(spmsg_events(s));
    CHECK_OK(nn_bind(s, url->text));
    return s;
}

static void check_next_is_fine(int s, const struct url *url)
{
    int next = open_connected(AF_SP, NN_PAIR, url->text);
    sleep_once(s);
    CHECK_TALK(s, next);
    CHECK_CLOSE(next);
    CHECK_PIPES(s, 0);
}

static void check_next_is_heard(int s, const struct url *url)
{
    char word[8];
    int next = open_connected(AF_SP, NN_PUSH, url->text);
    sleep_once(s);
    CHECK_SEND(next, "good");
    while (nn_recv(s, word, sizeof word, 0) != 4 && !case_failed())
        ;
    CHECK_CLOSE(next);
    CHECK_EQ(await_event(s, SPMSG_EVENT_DISCONNECTED).reason, SPMSG_REASON_LEFT);
}

/* ---- cut at every byte ---- */

/* Somebody between a client and a listener, who cuts each of their connections a byte later than
 * the one before, until some messages have come through. */
struct cutter {
    struct url url;
    int listener, target_port;
    int from_listener; /* whose bytes are counted */
    int by_reset;
    size_t cuts;
    int heard;
    int is_done;
    pthread_t thread;
};

static void cut(struct cutter *cutter, int fds[2])
{
    for (int i = 0; i < 2; i++)
        if (cutter->by_reset)
            raw_reset(fds[i]);
        else
            close(fds[i]);
}

enum { ENOUGH = 40 };

static int is_enough(struct cutter *cutter)
{
    return __atomic_load_n(&cutter->heard, __ATOMIC_SEQ_CST) >= ENOUGH;
}

static void relay(struct cutter *cutter, int fds[2], size_t left)
{
    char bytes[4096];
    struct pollfd both[2] = {{fds[0], POLLIN, 0}, {fds[1], POLLIN, 0}};
    while (left > 0 && !is_enough(cutter)) {
        poll(both, 2, 10);
        for (int i = 0; i < 2; i++) {
            int is_counted = i == cutter->from_listener;
            if (!both[i].revents)
                continue;
            size_t most = is_counted && left < sizeof bytes ? left : sizeof bytes;
            ssize_t size = recv(fds[i], bytes, most, MSG_DONTWAIT);
            if (size <= 0)
                return;
            left -= is_counted ? (size_t)size : 0;
            raw_send(fds[!i], bytes, (size_t)size);
        }
    }
}

static void *cut_each(void *argument)
{
    struct cutter *cutter = argument;
    struct url target;
    snprintf(target.text, sizeof target.text, "tcp://127.0.0.1:%d", cutter->target_port);
    for (; !is_enough(cutter); cutter->cuts++) {
        int client = raw_accept(cutter->listener, PATIENCE_MS);
        if (client < 0)
            return "the client does not come again";
        int fds[2] = {client, raw_connect(target.text)};
        relay(cutter, fds, cutter->cuts);
        cut(cutter, fds);
    }
    __atomic_store_n(&cutter->is_done, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

/* Takes all events, of which none may say that a peer has ended what it had to say. */
static int count_breaks(int s)
{
    struct spmsg_event event;
    int count = 0;
    while (spmsg_next_event(s, &event) == 0) {
        if (event.type != SPMSG_EVENT_DISCONNECTED && event.type != SPMSG_EVENT_HANDSHAKE_FAILED)
            continue;
        count++;
        if (event.reason != SPMSG_REASON_SYSTEM) {
            CHECK_EQ(event.reason, SPMSG_REASON_TLS);
            CHECK_EQ(event.found, SPMSG_TLS_FAULT_TRUNCATED);
        }
    }
    return count;
}

static void check_cuts(int from_listener, int by_reset)
{
    struct url url = unique_url(scheme), next;
    struct cutter cutter = {.url = unique_url("tcp"), .target_port = port_of(url.text),
                            .from_listener = from_listener, .by_reset = by_reset};
    void *complaint = "";
    int s = open_listener(NN_PULL, &url), client = open_socket(AF_SP, NN_PUSH);
    check_next_is_heard(s, &url);
    struct belongings before = belongings();
    set_int(client, NN_RECONNECT_IVL, 1);
    cutter.listener = raw_listen(cutter.url.text);
    REQUIRE(pthread_create(&cutter.thread, NULL, cut_each, &cutter) == 0);
    snprintf(next.text, sizeof next.text, "%s://127.0.0.1:%d", scheme, port_of(cutter.url.text));
    CHECK_OK(nn_connect(client, next.text));
    int breaks = 0;
    while (!__atomic_load_n(&cutter.is_done, __ATOMIC_SEQ_CST) && !case_failed()) {
        nn_send(client, "first", 5, NN_DONTWAIT);
        while (nn_recv(s, NULL, 0, NN_DONTWAIT) >= 0)
            __atomic_add_fetch(&cutter.heard, 1, __ATOMIC_SEQ_CST);
        breaks += count_breaks(s);
        nap_ms(1);
    }
    REQUIRE(pthread_join(cutter.thread, &complaint) == 0);
    CHECK_STR(complaint ? (const char *)complaint : "", "");
    CHECK_CLOSE(client);
    close(cutter.listener);
    CHECK_PIPES(s, 0);
    /* Each was noticed. */
    CHECK(wait_until((breaks += count_breaks(s)) >= (int)cutter.cuts, PATIENCE_MS));
    /* A handshake alone has that many. */
    CHECK_AT_LEAST(cutter.cuts, from_listener ? 600 : 300);
    printf("%s: cut after up to %zu bytes\n", scheme, cutter.cuts);
    check_next_is_heard(s, &url);
    CHECK(wait_until(count_descriptors() <= before.descriptors, PATIENCE_MS));
    CHECK_CLOSE(s);
}

static void a_client_is_cut_off_at_every_byte(void)
{
    check_cuts(0, 0);
}

static void a_listener_is_cut_off_at_every_byte(void)
{
    check_cuts(1, 0);
}

static void a_client_is_reset_at_every_byte(void)
{
    check_cuts(0, 1);
}

/* ---- crowds ---- */

enum { CROWD = 40, AT_ONCE = 8 };

static void set_handshakes(int s, int most)
{
    CHECK_EQ(nn_setsockopt(s, SPMSG_TLS, SPMSG_TLS_HANDSHAKES_MAX, &most, sizeof most), 0);
}

/* Each of a crowd that says nothing has its second, and no more than a few have it at once. */
static void a_silent_crowd_is_in_nobodys_way(void)
{
    struct url url = unique_url(scheme);
    int s = open_socket(AF_SP, NN_PAIR), crowd[CROWD], bad[] = {0, -1};
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        CHECK_ERRNO(nn_setsockopt(s, SPMSG_TLS, SPMSG_TLS_HANDSHAKES_MAX, &bad[i], sizeof bad[i]),
                    -1, EINVAL);
    CHECK_EQ(get_int(s, SPMSG_TLS, SPMSG_TLS_HANDSHAKES_MAX), 128);
    set_handshakes(s, AT_ONCE);
    CHECK_OK(spmsg_events(s));
    CHECK_OK(nn_bind(s, url.text));
    check_next_is_fine(s, &url);
    int before = count_descriptors();
    for (int i = 0; i < CROWD; i++) {
        crowd[i] = raw_connect(url.text);
        raw_send(crowd[i], "\x16\x03\x01\x01\x00\x01", (size_t)(i % 7));
    }
    CHECK(wait_until(count_descriptors() == before + CROWD + AT_ONCE, PATIENCE_MS));
    int next = open_connected(AF_SP, NN_PAIR, url.text);
    CHECK_TALK(s, next);
    /* All before it have had their turn. Who came first has left first. */
    for (int i = 0; i <= CROWD - AT_ONCE; i++) {
        struct spmsg_event event = await_event(s, SPMSG_EVENT_HANDSHAKE_FAILED);
        CHECK_EQ(event.reason, SPMSG_REASON_TIMEOUT);
        CHECK_NE(raw_end(crowd[i], PATIENCE_MS), RAW_OPEN);
    }
    for (int i = 0; i < CROWD; i++)
        close(crowd[i]);
    CHECK_CLOSE(next);
    CHECK_PIPES(s, 0);
    CHECK(wait_until(count_descriptors() <= before, 2 * PATIENCE_MS));
    check_next_is_fine(s, &url);
    CHECK_CLOSE(s);
}

/* One place is enough for all who use it as they should. */
static void who_is_quick_is_waited_for(void)
{
    enum { CLIENTS = 20 };
    struct url url = unique_url(scheme);
    struct spmsg_event event;
    int s = open_socket(AF_SP, NN_PULL), clients[CLIENTS];
    set_handshakes(s, 1);
    CHECK_OK(spmsg_events(s));
    CHECK_OK(nn_bind(s, url.text));
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = open_connected(AF_SP, NN_PUSH, url.text);
    CHECK_PIPES(s, CLIENTS);
    while (spmsg_next_event(s, &event) == 0)
        CHECK_NE(event.type, SPMSG_EVENT_HANDSHAKE_FAILED);
    CHECK_EQ(nn_get_statistic(s, NN_STAT_ACCEPTED_CONNECTIONS), CLIENTS);
    for (int i = 0; i < CLIENTS; i++)
        CHECK_CLOSE(clients[i]);
    CHECK_CLOSE(s);
}

/* ---- who says something else ---- */

#define RECORD_OF_ONE "\x16\x03\x01\x00\x01\x01"
#define WARNING "\x15\x03\x03\x00\x02\x01\x5a"

static void fill(char *bytes, size_t size, const char *with, size_t length)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = with[i % length];
}

static void check_stranger(int s, const struct url *url, const void *bytes, size_t size,
                           unsigned fault)
{
    int fd = raw_connect(url->text);
    raw_send(fd, bytes, size);
    CHECK_NE(raw_end(fd, PATIENCE_MS), RAW_OPEN);
    close(fd);
    struct spmsg_event event = await_event(s, SPMSG_EVENT_HANDSHAKE_FAILED);
    CHECK_EQ(event.reason, SPMSG_REASON_TLS);
    CHECK_EQ(event.found, fault);
    check_next_is_fine(s, url);
}

static void strangers_are_told_what_they_are(void)
{
    enum { LONG = 200000, RECORD = 5 + 16384 };
    static char bytes[LONG];
    struct url url = unique_url(scheme);
    int s = open_listener(NN_PAIR, &url);
    check_next_is_fine(s, &url);
    struct belongings before = belongings();
    /* A message of a handshake that announces 16 MiB, and one that comes in bytes. */
    for (size_t at = 0; at < LONG; at += RECORD)
        memcpy(bytes + at, "\x16\x03\x01\x40\x00", 5);
    memcpy(bytes + 5, "\x01\xff\xff\xff", 4);
    check_stranger(s, &url, bytes, LONG, SPMSG_TLS_FAULT_PROTOCOL);
    memcpy(bytes + 5, "\x01\x00\xff\xfe", 4);
    check_stranger(s, &url, bytes, LONG, SPMSG_TLS_FAULT_PROTOCOL);
    fill(bytes, LONG, RECORD_OF_ONE, 6);
    check_stranger(s, &url, bytes, LONG, SPMSG_TLS_FAULT_PROTOCOL);
    /* A record that is longer than any, empty ones, and alerts: one that ends it, and others. */
    check_stranger(s, &url, "\x16\x03\x01\xff\xff\x01", 6, SPMSG_TLS_FAULT_NOT_TLS);
    fill(bytes, LONG, "\x16\x03\x01\x00\x00", 5);
    check_stranger(s, &url, bytes, LONG, SPMSG_TLS_FAULT_NOT_TLS);
    check_stranger(s, &url, "\x15\x03\x01\x00\x02\x02\x28", 7, SPMSG_TLS_FAULT_ALERT + 40);
    fill(bytes, LONG, WARNING, 7);
    check_stranger(s, &url, bytes, LONG, SPMSG_TLS_FAULT_PROTOCOL);
    /* What is only half closed says nothing more. */
    int fd = raw_connect(url.text);
    CHECK_EQ(shutdown(fd, SHUT_WR), 0);
    CHECK_NE(raw_end(fd, PATIENCE_MS), RAW_OPEN);
    close(fd);
    struct spmsg_event event = await_event(s, SPMSG_EVENT_HANDSHAKE_FAILED);
    CHECK_EQ(event.found, SPMSG_TLS_FAULT_TRUNCATED);
    CHECK(wait_until(count_descriptors() <= before.descriptors, PATIENCE_MS));
    CHECK_CLOSE(s);
}

/* What speaks TLS 1.0 and nothing newer begins so, and so does what answers in it. */
#define RANDOM "0123456789abcdefghijklmnopqrstuv"
#define OLD_CLIENT \
    "\x16\x03\x01\x00\x2d\x01\x00\x00\x29\x03\x01" RANDOM "\x00\x00\x02\x00\x2f\x01\x00"
#define OLD_SERVER "\x16\x03\x01\x00\x2a\x02\x00\x00\x26\x03\x01" RANDOM "\x00\x00\x2f\x00"

static void old_versions_are_not_spoken(void)
{
    static const char minor[] = {0, 1, 2};
    char hello[sizeof OLD_CLIENT - 1], answer[sizeof OLD_SERVER - 1];
    struct url url = unique_url(scheme), next;
    int s = open_listener(NN_PAIR, &url);
    check_next_is_fine(s, &url);
    for (size_t i = 0; i < COUNT_OF(minor); i++) {
        memcpy(hello, OLD_CLIENT, sizeof hello);
        memcpy(answer, OLD_SERVER, sizeof answer);
        hello[10] = answer[10] = minor[i];
        check_stranger(s, &url, hello, sizeof hello, SPMSG_TLS_FAULT_INCOMPATIBLE);
        struct url raw = unique_url("tcp");
        int client = open_socket(AF_SP, NN_PAIR), listener = raw_listen(raw.text);
        CHECK_OK(spmsg_events(client));
        snprintf(next.text, sizeof next.text, "%s://127.0.0.1:%d", scheme, port_of(raw.text));
        CHECK_OK(nn_connect(client, next.text));
        int fd = raw_accept(listener, PATIENCE_MS);
        raw_send(fd, answer, sizeof answer);
        struct spmsg_event event = await_event(client, SPMSG_EVENT_HANDSHAKE_FAILED);
        CHECK_EQ(event.reason, SPMSG_REASON_TLS);
        CHECK_EQ(event.found, SPMSG_TLS_FAULT_INCOMPATIBLE);
        close(fd);
        close(listener);
        CHECK_CLOSE(client);
    }
    CHECK_CLOSE(s);
}

/* ---- who comes again and again ---- */

static long heap(void)
{
    struct mallinfo2 info = mallinfo2();
    return (long)(info.uordblks + info.hblkhd);
}

enum { STORMERS = 30, FAILURES = 400, GROWTH_MAX = 300000 };

struct storm {
    struct url url;
    int told[2];
};

/* Expects somebody else each time, and comes again at once. */
static int be_a_storm(void *argument)
{
    struct storm *storm = argument;
    int clients[STORMERS];
    char byte;
    for (int i = 0; i < STORMERS; i++) {
        clients[i] = open_socket(AF_SP, NN_PAIR);
        set_int(clients[i], NN_RECONNECT_IVL, 1);
        CHECK_EQ(nn_setsockopt(clients[i], SPMSG_TLS, SPMSG_TLS_NAME, "elsewhere.test", 14), 0);
        CHECK_OK(nn_connect(clients[i], storm->url.text));
    }
    close(storm->told[1]);
    CHECK_EQ(read(storm->told[0], &byte, 1), 0);
    for (int i = 0; i < STORMERS; i++) {
        CHECK_EQ(nn_get_statistic(clients[i], NN_STAT_CURRENT_CONNECTIONS), 0);
        CHECK_CLOSE(clients[i]);
    }
    return 0;
}

/* Takes events for as long as there are any, and says how many handshakes have failed. */
static int count_failures(int s)
{
    struct spmsg_event event;
    int count = 0;
    while (spmsg_next_event(s, &event) == 0) {
        if (event.type != SPMSG_EVENT_HANDSHAKE_FAILED)
            continue;
        count += 1 + (int)event.missed;
        /* Either the alert has come, or the reset behind it was faster. */
        if (event.reason != SPMSG_REASON_SYSTEM) {
            CHECK_EQ(event.reason, SPMSG_REASON_TLS);
            CHECK_EQ(event.found, SPMSG_TLS_FAULT_ALERT + 42);
        }
    }
    return count;
}

static void a_storm_is_in_nobodys_way(void)
{
    struct storm storm = {.url = unique_url(scheme)};
    struct child child;
    int s = open_socket(AF_SP, NN_PAIR), failures = 0;
    REQUIRE(pipe(storm.told) == 0);
    child_start(&child, be_a_storm, &storm);
    close(storm.told[0]);
    set_handshakes(s, AT_ONCE);
    CHECK_OK(spmsg_events(s));
    CHECK_OK(nn_bind(s, storm.url.text));
    check_next_is_fine(s, &storm.url);
    int before = count_descriptors();
    long memory = heap();
    while (failures < FAILURES && !case_failed()) {
        int more = 0;
        CHECK(wait_until((more = count_failures(s)) > 0, PATIENCE_MS));
        failures += more;
        /* One may have just been accepted, and one just be closed. */
        CHECK_AT_MOST(count_descriptors(), before + AT_ONCE + 2);
    }
    /* In the midst of it, and behind it. */
    check_next_is_fine(s, &storm.url);
    close(storm.told[1]);
    CHECK_EQ(child_wait(&child, PATIENCE_MS), 0);
    CHECK_PIPES(s, 0);
    CHECK(wait_until(count_descriptors() <= before, PATIENCE_MS));
    printf("%s: %d handshakes have failed, %ld bytes are left of them\n", scheme, failures,
           heap() - memory);
    CHECK_AT_MOST(heap() - memory, GROWTH_MAX);
    check_next_is_fine(s, &storm.url);
    CHECK_CLOSE(s);
}

/* A byte in a while is no sign of life: the handshake has an end all the same. */
static void who_is_slow_is_given_up(void)
{
    static const char hello[64] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    struct url url = unique_url(scheme);
    int s = open_listener(NN_PAIR, &url), fd = raw_connect(url.text);
    size_t said = 0;
    for (; said < sizeof hello && raw_end(fd, 500) == RAW_OPEN; said++)
        raw_send(fd, hello + said, 1);
    CHECK_AT_LEAST(said, 5);
    CHECK_NE(raw_end(fd, 0), RAW_OPEN);
    close(fd);
    CHECK_EQ(await_event(s, SPMSG_EVENT_HANDSHAKE_FAILED).reason, SPMSG_REASON_TIMEOUT);
    check_next_is_fine(s, &url);
    CHECK_CLOSE(s);
}

/* ---- memory ---- */

enum { STRANGERS = 50, CLIENTS = 50 };

static void check_memory_of_strangers(const char *what, const void *bytes, size_t size, long most)
{
    struct url url = unique_url(scheme);
    int s = open_listener(NN_PAIR, &url), fds[STRANGERS];
    check_next_is_fine(s, &url);
    int descriptors = count_descriptors();
    long before = heap();
    for (int i = 0; i < STRANGERS; i++) {
        fds[i] = raw_connect(url.text);
        raw_send(fds[i], bytes, size);
    }
    CHECK(wait_until(count_descriptors() == descriptors + 2 * STRANGERS, PATIENCE_MS));
    /* All of it has been read. */
    for (int i = 0, unread = 1; i < STRANGERS; i++)
        CHECK(wait_until(ioctl(fds[i], SIOCOUTQ, &unread) == 0 && unread == 0, PATIENCE_MS));
    nap_ms(50);
    long each = (heap() - before) / STRANGERS;
    printf("%s: %ld bytes for each who %s\n", scheme, each, what);
    CHECK_AT_MOST(each, most);
    for (int i = 0; i < STRANGERS; i++)
        close(fds[i]);
    CHECK_CLOSE(s);
}

static void a_stranger_has_bounded_memory(void)
{
    static char bytes[5 + 60000];
    check_memory_of_strangers("says nothing", "", 0, STRANGER_MAX);
    for (int at = 0; at + 5 < (int)sizeof bytes; at += 5 + 16384)
        memcpy(bytes + at, "\x16\x03\x01\x40\x00", 5);
    memcpy(bytes + 5, "\x01\x00\xff\x00", 4);
    check_memory_of_strangers("never ends a record", bytes, 16000, RECORD_MAX);
    check_memory_of_strangers("never ends a handshake", bytes, sizeof bytes, HANDSHAKE_MAX);
}

struct neighbours {
    struct url url;
    int told[2];
};

static int be_many(void *argument)
{
    struct neighbours *neighbours = argument;
    static char body[100000];
    int clients[CLIENTS];
    char byte = 0;
    CHECK_EQ(read(neighbours->told[0], &byte, 1), 1);
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = open_connected(AF_SP, NN_PUSH, neighbours->url.text);
    while (read(neighbours->told[0], &byte, 1) == 1 && byte == 's')
        for (int i = 0; i < CLIENTS; i++)
            CHECK_EQ(nn_send(clients[i], body, sizeof body, 0), sizeof body);
    for (int i = 0; i < CLIENTS; i++)
        CHECK_CLOSE(clients[i]);
    return 0;
}

static void a_connection_has_bounded_memory(void)
{
    static char body[100000];
    struct neighbours neighbours = {.url = unique_url(scheme)};
    struct child child;
    REQUIRE(pipe(neighbours.told) == 0);
    child_start(&child, be_many, &neighbours);
    int s = open_listener(NN_PULL, &neighbours.url);
    check_next_is_heard(s, &neighbours.url);
    long before = heap();
    CHECK_EQ(write(neighbours.told[1], "c", 1), 1);
    CHECK_PIPES(s, CLIENTS);
    nap_ms(50);
    long idle = (heap() - before) / CLIENTS;
    for (int round = 0; round < 3; round++) {
        CHECK_EQ(write(neighbours.told[1], "s", 1), 1);
        for (int i = 0; i < CLIENTS; i++)
            CHECK_EQ(nn_recv(s, body, sizeof body, 0), sizeof body);
    }
    /* Big blocks are kept for a moment. */
    long used = 0;
    CHECK(wait_until((used = (heap() - before) / CLIENTS) <= USED_MAX, PATIENCE_MS));
    printf("%s: %ld bytes for each connection, %ld when it has been used\n", scheme, idle, used);
    CHECK_AT_MOST(idle, CONNECTION_MAX);
    CHECK_EQ(write(neighbours.told[1], "e", 1), 1);
    CHECK_EQ(child_wait(&child, PATIENCE_MS), 0);
    CHECK_PIPES(s, 0);
    close(neighbours.told[0]);
    close(neighbours.told[1]);
    CHECK_CLOSE(s);
}

int main(int count, char **words)
{
    scheme = test_begin_with("beyond/tls-hostile", "tls+tcp|wss", 110, count, words);
    RUN(a_client_is_cut_off_at_every_byte);
    RUN(a_listener_is_cut_off_at_every_byte);
    RUN(a_client_is_reset_at_every_byte);
    RUN(a_silent_crowd_is_in_nobodys_way);
    RUN(who_is_quick_is_waited_for);
    RUN(strangers_are_told_what_they_are);
    RUN(old_versions_are_not_spoken);
    RUN(who_is_slow_is_given_up);
    RUN(a_storm_is_in_nobodys_way);
#if defined __SANITIZE_ADDRESS__
    return test_end();
#endif
    RUN(a_stranger_has_bounded_memory);
    RUN(a_connection_has_bounded_memory);
    return test_end();
}
