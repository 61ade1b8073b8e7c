/* All figures of a socket, its endpoints and its peers: spmsg_statistics and its text. */

#include "beyond.h"

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/message.h"
#include "support/process.h"
#include "support/raw-peer.h"
#include "support/raw-stream.h"
#include "support/sockets.h"
#include "support/talk.h"
#include "support/thread.h"

#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/pubsub.h>
#include <nanomsg/reqrep.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { ENTRIES = 8, SCHEME_COUNT = 4 };

static struct spmsg_statistics all[ENTRIES];
static int count;

static void look(int s)
{
    memset(all, 0x55, sizeof all);
    count = spmsg_statistics(s, all, ENTRIES);
    CHECK_AT_LEAST(count, 1);
    CHECK_AT_MOST(count, ENTRIES);
    CHECK_EQ(all[0].of, SPMSG_OF_SOCKET);
    for (int i = 0; i < count; i++) {
        CHECK_EQ(all[i].reserved, 0);
        for (int value = SPMSG_READ_BY + 1; value < SPMSG_VALUES; value++)
            CHECK_EQ(all[i].values[value], 0);
    }
}

static uint64_t value_of(int s, int at, int value)
{
    look(s);
    CHECK(at < count);
    return all[at].values[value];
}

/* Waits until a value of the socket has grown. */
static int grows_to(int s, int value, uint64_t least)
{
    for (int i = 0; i < PATIENCE_MS / 5; i++) {
        if (value_of(s, 0, value) >= least)
            return 1;
        poll(NULL, 0, 5);
    }
    return 0;
}

/* The socket, its only endpoint and its only peer agree. */
#define CHECK_ALL_LEVELS(s, value, expected) do { \
    look(s); \
    CHECK_EQ(count, 3); \
    for (int at_ = 0; at_ < 3; at_++) \
        CHECK_EQ(all[at_].values[value], (expected)); \
} while (0)

/* Two sockets that are joined: the first one is bound. */
static void join_as(int types[2], int domains[2], const char *scheme, int joined[2])
{
    struct url url = unique_url(scheme);
    for (int i = 0; i < 2; i++)
        joined[i] = open_socket(domains[i], types[i]);
    CHECK_OK(nn_bind(joined[0], url.text));
    CHECK_OK(nn_connect(joined[1], url.text));
    CHECK_PIPES(joined[0], 1);
    CHECK_PIPES(joined[1], 1);
}

static void join_cooked(int first, int second, const char *scheme, int joined[2])
{
    join_as((int[]){first, second}, (int[]){AF_SP, AF_SP}, scheme, joined);
}

static void traffic_is_counted_at_every_level(void)
{
    for (size_t i = 0; i < SCHEME_COUNT; i++) {
        int both[2];
        join_cooked(NN_PAIR, NN_PAIR, BEYOND_SCHEMES[i], both);
        for (int n = 0; n < 10; n++)
            CHECK_SEND(both[0], "hello");
        for (int n = 0; n < 10; n++)
            CHECK_RECV(both[1], "hello");
        CHECK_SEND(both[1], "hi");
        CHECK_RECV(both[0], "hi");
        look(both[0]);
        CHECK_EQ(count, 3);
        for (int at = 0; at < 3; at++) {
            CHECK_EQ(all[at].of, at + SPMSG_OF_SOCKET);
            CHECK_EQ(all[at].endpoint, at > 0);
            CHECK_EQ(all[at].peer > 0, at == 2);
            CHECK_EQ(all[at].values[SPMSG_MESSAGES_SENT], 10);
            CHECK_EQ(all[at].values[SPMSG_MESSAGES_RECEIVED], 1);
            CHECK_EQ(all[at].values[SPMSG_BYTES_SENT], 50);
            CHECK_EQ(all[at].values[SPMSG_BYTES_RECEIVED], 2);
            CHECK_EQ(all[at].values[SPMSG_CONNECTIONS], at < 2);
            CHECK_EQ(all[at].values[SPMSG_CONNECTED], at < 2);
        }
        CHECK_STR(all[0].address, "");
        CHECK_STR(all[1].address, address_of(both[0], 1));
        CHECK(strncmp(all[2].address, BEYOND_SCHEMES[i], strlen(BEYOND_SCHEMES[i])) == 0);

        /* What a peer has carried stays with its endpoint when it leaves. */
        CHECK_CLOSE(both[1]);
        CHECK_PIPES(both[0], 0);
        look(both[0]);
        CHECK_EQ(count, 2);
        CHECK_EQ(all[1].values[SPMSG_MESSAGES_SENT], 10);
        CHECK_EQ(all[1].values[SPMSG_BYTES_RECEIVED], 2);
        CHECK_EQ(all[1].values[SPMSG_CONNECTIONS], 0);
        CHECK_CLOSE(both[0]);
    }
}

/* Headers of protocols are a peer's bytes, and not the program's. */
static void headers_are_counted_where_they_are_carried(void)
{
    for (size_t i = 0; i < SCHEME_COUNT; i++) {
        int both[2];
        join_cooked(NN_REP, NN_REQ, BEYOND_SCHEMES[i], both);
        CHECK_SEND(both[1], "question");
        CHECK_RECV(both[0], "question");
        for (int side = 0; side < 2; side++) {
            int value = side == 0 ? SPMSG_BYTES_RECEIVED : SPMSG_BYTES_SENT;
            look(both[side]);
            CHECK_EQ(all[0].values[value], 8);
            CHECK_EQ(all[1].values[value], 12);
            CHECK_EQ(all[2].values[value], 12);
        }
        CHECK_CLOSE(both[0], both[1]);
    }
}

static void who_comes_back_is_counted(void)
{
    for (size_t i = 1; i < SCHEME_COUNT; i++) {
        struct url url = unique_url(BEYOND_SCHEMES[i]);
        int here = open_pair(), there = open_pair();
        set_int(there, NN_RECONNECT_IVL, 5);
        CHECK_OK(nn_bind(here, url.text));
        CHECK_OK(nn_connect(there, url.text));
        CHECK_TALK(here, there);
        CHECK_EQ(value_of(there, 1, SPMSG_RECONNECTED), 0);
        CHECK_CLOSE(here);
        here = open_pair();
        CHECK(grows_to(there, SPMSG_CONNECT_ERRORS, 1));
        CHECK_OK(nn_bind(here, url.text));
        CHECK_TALK(here, there);
        look(there);
        CHECK_EQ(all[0].values[SPMSG_RECONNECTED], 1);
        CHECK_EQ(all[1].values[SPMSG_RECONNECTED], 1);
        CHECK_EQ(all[1].values[SPMSG_CONNECTED], 2);
        CHECK_AT_LEAST(all[1].values[SPMSG_CONNECT_ERRORS], 1);
        CHECK_CLOSE(here, there);
    }
}

static void what_nobody_wants_is_counted(void)
{
    for (size_t i = 0; i < SCHEME_COUNT; i++) {
        int both[2];
        join_cooked(NN_PUB, NN_SUB, BEYOND_SCHEMES[i], both);
        subscribe(both[1], "a");
        CHECK_SEND(both[0], "b1");
        CHECK_SEND(both[0], "b2");
        CHECK_SEND(both[0], "a1");
        CHECK_RECV(both[1], "a1");
        CHECK_ALL_LEVELS(both[1], SPMSG_DROPPED_UNSUBSCRIBED, 2);
        CHECK_CLOSE(both[0], both[1]);
    }
}

/* Answers with the control data of the question until two answers have had no room. */
static void answer_until_there_is_no_room(int s, void *block, size_t size)
{
    char control[256], question[8];
    struct nn_iovec in = {question, sizeof question}, out = {block, size};
    struct nn_msghdr asked = {&in, 1, control, sizeof control};
    CHECK_EQ(nn_recvmsg(s, &asked, 0), 1);
    asked.msg_iov = &out;
    while (nn_get_statistic(s, SPMSG_STAT_MESSAGES_DROPPED) < 2)
        CHECK_EQ(nn_sendmsg(s, &asked, 0), (int)size);
}

static void what_has_no_room_is_counted(void)
{
    static char block[10000];
    for (size_t i = 0; i < SCHEME_COUNT; i++) {
        int both[2];
        join_cooked(NN_PUB, NN_SUB, BEYOND_SCHEMES[i], both);
        while (nn_get_statistic(both[0], SPMSG_STAT_MESSAGES_DROPPED) < 3)
            CHECK_EQ(nn_send(both[0], block, sizeof block, 0), sizeof block);
        CHECK_ALL_LEVELS(both[0], SPMSG_DROPPED_NO_ROOM, 3);
        CHECK_CLOSE(both[0], both[1]);

        /* An answer that its asker has no room for: that peer's. */
        join_as((int[]){NN_REP, NN_REQ}, (int[]){AF_SP_RAW, AF_SP_RAW}, BEYOND_SCHEMES[i], both);
        const unsigned char id[4] = {0x80, 0, 0, 1};
        CHECK_EQ(send_message(both[1], id, sizeof id, "q", 1, 0), 1);
        answer_until_there_is_no_room(both[0], block, sizeof block);
        CHECK_ALL_LEVELS(both[0], SPMSG_DROPPED_NO_ROOM, 2);
        CHECK_EQ(value_of(both[0], 0, SPMSG_DROPPED_ASTRAY), 0);
        /* It has a header that names nobody. */
        CHECK_EQ(send_message(both[0], id, sizeof id, "a", 1, 0), 1);
        CHECK_EQ(value_of(both[0], 0, SPMSG_DROPPED_ASTRAY), 1);
        CHECK_CLOSE(both[0], both[1]);
    }
}

/* One that keeps up and one that does not, at an endpoint each: what is dropped is the second's. */
static void who_has_no_room_is_told_apart(void)
{
    enum { SENT = 8 };
    /* More than the smallest buffers of the kernel take. */
    static char block[512 * 1024];
    for (size_t i = 0; i < SCHEME_COUNT; i++)
        for (int drop = SPMSG_DROP_NEWEST; drop <= SPMSG_DROP_OLDEST; drop++) {
            int pub = open_socket(AF_SP, NN_PUB), subs[2];
            set_int(pub, SPMSG_SNDBUF_MESSAGES, 3);
            set_int(pub, SPMSG_DROP, drop);
            for (int at = 0; at < 2; at++) {
                struct url url = unique_url(BEYOND_SCHEMES[i]);
                subs[at] = open_socket(AF_SP, NN_SUB);
                set_int(subs[at], SPMSG_RCVBUF_MESSAGES, 1);
                if (at == 1) {
                    set_int(pub, NN_SNDBUF, 1);
                    set_int(subs[at], NN_RCVBUF, 1);
                }
                subscribe(subs[at], "");
                CHECK_OK(nn_bind(pub, url.text));
                CHECK_OK(nn_connect(subs[at], url.text));
                CHECK_PIPES(pub, at + 1);
                CHECK_PIPES(subs[at], 1);
            }
            for (int n = 0; n < SENT; n++) {
                CHECK_EQ(nn_send(pub, block, sizeof block, 0), sizeof block);
                CHECK_EQ(nn_recv(subs[0], block, sizeof block, 0), sizeof block);
            }
            look(pub);
            CHECK_EQ(count, 5);
            uint64_t dropped = all[0].values[SPMSG_DROPPED_NO_ROOM];
            /* All but those that wait, one that is received, and one that may be on its way. */
            CHECK_AT_LEAST(dropped, SENT - 4 - (i > 0));
            CHECK_AT_MOST(dropped, SENT - 4);
            CHECK_EQ(nn_get_statistic(pub, SPMSG_STAT_MESSAGES_DROPPED), dropped);
            for (int at = 1; at < 5; at++) {
                int is_second = all[at].endpoint == 2;
                CHECK_EQ(all[at].values[SPMSG_DROPPED_NO_ROOM], is_second ? dropped : 0);
                if (!is_second)
                    CHECK_EQ(all[at].values[SPMSG_MESSAGES_SENT], SENT);
            }
            CHECK_CLOSE(subs[0], subs[1], pub);
        }
}

/* What a newer one has taken the place of, and what a context that does not read had no room for. */
static void what_a_subscriber_loses_is_counted(void)
{
    static char block[400];
    for (size_t i = 0; i < SCHEME_COUNT; i++) {
        int both[2], last = 1;
        join_cooked(NN_PUB, NN_SUB, BEYOND_SCHEMES[i], both);
        CHECK_EQ(nn_setsockopt(both[1], NN_SUB, SPMSG_SUB_LAST, &last, sizeof last), 0);
        subscribe(both[1], "");
        for (int n = 0; n < 10; n++)
            CHECK_SEND(both[0], "news");
        CHECK(grows_to(both[1], SPMSG_DROPPED_STALE, 9));
        CHECK_ALL_LEVELS(both[1], SPMSG_DROPPED_STALE, 9);
        CHECK_CLOSE(both[0], both[1]);

        join_cooked(NN_PUB, NN_SUB, BEYOND_SCHEMES[i], both);
        set_int(both[1], NN_RCVBUF, 1000);
        int deaf = spmsg_context(both[1]), awake = spmsg_context(both[1]);
        subscribe(deaf, "");
        subscribe(awake, "");
        for (int n = 0; n < 10; n++) {
            CHECK_EQ(nn_send(both[0], block, sizeof block, 0), sizeof block);
            CHECK_EQ(nn_recv(awake, block, sizeof block, 0), sizeof block);
        }
        uint64_t dropped = value_of(both[1], 0, SPMSG_DROPPED_NO_ROOM);
        CHECK_AT_LEAST(dropped, 7);
        CHECK_AT_MOST(dropped, 9);
        CHECK_ALL_LEVELS(both[1], SPMSG_DROPPED_NO_ROOM, dropped);
        CHECK_CLOSE(both[0], both[1]);
    }
}

static void what_is_no_request_is_counted(void)
{
    const unsigned char hops[12] = {0, 0, 0, 1, 0, 0, 0, 2, 0x80, 0, 0, 1}, none[4] = {0, 0, 0, 1};
    const unsigned char good[4] = {0x80, 0, 0, 1};
    for (size_t i = 0; i < SCHEME_COUNT; i++) {
        int both[2];
        join_as((int[]){NN_REP, NN_REQ}, (int[]){AF_SP, AF_SP_RAW}, BEYOND_SCHEMES[i], both);
        set_int(both[0], NN_MAXTTL, 2);
        CHECK_EQ(send_message(both[1], hops, sizeof hops, "x", 1, 0), 1);
        CHECK_EQ(send_message(both[1], none, sizeof none, "", 0, 0), 0);
        CHECK_EQ(send_message(both[1], good, sizeof good, "good", 4, 0), 4);
        CHECK_RECV(both[0], "good");
        CHECK_ALL_LEVELS(both[0], SPMSG_DROPPED_HOPS, 1);
        CHECK_ALL_LEVELS(both[0], SPMSG_DROPPED_MALFORMED, 1);
        CHECK_CLOSE(both[0], both[1]);
    }
}

/* An answer to a question that has been given up. */
static void what_comes_too_late_is_counted(void)
{
    for (size_t i = 0; i < SCHEME_COUNT; i++) {
        int both[2];
        join_cooked(NN_REP, NN_REQ, BEYOND_SCHEMES[i], both);
        CHECK_SEND(both[1], "one");
        CHECK_RECV(both[0], "one");
        CHECK_SEND(both[1], "two");
        CHECK_SEND(both[0], "1");
        CHECK_RECV(both[0], "two");
        CHECK_SEND(both[0], "2");
        CHECK_RECV(both[1], "2");
        CHECK_ALL_LEVELS(both[1], SPMSG_DROPPED_STALE, 1);
        CHECK_CLOSE(both[0], both[1]);
    }
}

static void a_message_that_is_too_large_is_counted(void)
{
    static char big[101];
    for (size_t i = 1; i < SCHEME_COUNT; i++) {
        struct url url = unique_url(BEYOND_SCHEMES[i]);
        int pull = open_socket(AF_SP, NN_PULL), push = open_socket(AF_SP, NN_PUSH);
        set_int(pull, NN_RCVMAXSIZE, 100);
        CHECK_OK(nn_bind(pull, url.text));
        CHECK_OK(nn_connect(push, url.text));
        CHECK_EQ(nn_send(push, big, sizeof big, 0), sizeof big);
        CHECK(grows_to(pull, SPMSG_DROPPED_TOO_LARGE, 1));
        CHECK_AT_LEAST(value_of(pull, 1, SPMSG_DROPPED_TOO_LARGE), 1);
        CHECK_AT_LEAST(value_of(pull, 1, SPMSG_VIOLATIONS), 1);
        CHECK_AT_LEAST(value_of(pull, 0, SPMSG_VIOLATIONS), 1);
        CHECK_CLOSE(pull, push);
    }
}

static void refusals_are_counted_by_their_reason(void)
{
    for (size_t i = 0; i < SCHEME_COUNT; i++) {
        struct url url = unique_url(BEYOND_SCHEMES[i]);
        int pull = open_socket(AF_SP, NN_PULL), pub = open_socket(AF_SP, NN_PUB);
        CHECK_OK(nn_bind(pull, url.text));
        CHECK_OK(nn_connect(pub, url.text));
        CHECK(grows_to(pull, SPMSG_REFUSED_TYPE, 1));
        CHECK(grows_to(pub, SPMSG_REFUSED_TYPE, 1));
        CHECK_AT_LEAST(value_of(pull, 1, SPMSG_REFUSED_TYPE), 1);
        CHECK_CLOSE(pub);
        if (i > 0) {
            int fd = raw_connect(url.text);
            raw_send(fd, "not a greeting\r\n\r\n", 18);
            CHECK(grows_to(pull, SPMSG_REFUSED_VIOLATION, 1));
            close(fd);
            close(raw_connect(url.text));
            CHECK(grows_to(pull, SPMSG_REFUSED_LEFT, 1));
            CHECK_EQ(value_of(pull, 1, SPMSG_REFUSED_LEFT), 1);
        }
        CHECK_CLOSE(pull);
    }
}

static void peers_that_are_not_wanted_or_too_slow_are_counted(void)
{
    for (size_t i = 1; i < 3; i++) {
        struct url url = unique_url(BEYOND_SCHEMES[i]);
        int s = bound_pair(url.text);
        int slow = raw_connect(url.text), fd = raw_join(s, url.text, NN_PAIR, NN_PAIR);
        const unsigned char pair[8] = {0, 'S', 'P', 0, 0, 0x10, 0, 0};
        int second = raw_connect(url.text);
        raw_send(second, pair, sizeof pair);
        CHECK(grows_to(s, SPMSG_REFUSED_UNWANTED, 1));
        CHECK_EQ(value_of(s, 1, SPMSG_REFUSED_UNWANTED), 1);
        CHECK(grows_to(s, SPMSG_REFUSED_TIMEOUT, 1));
        close(slow);
        close(second);
        close(fd);
        CHECK_CLOSE(s);
    }
    struct url url = unique_url("ws");
    char there[sizeof url.text + 16], elsewhere[sizeof url.text + 16];
    snprintf(there, sizeof there, "%s/there", url.text);
    snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", url.text);
    int here = bound_pair(there), s = connected_pair(elsewhere);
    CHECK(grows_to(s, SPMSG_REFUSED_DENIED, 1));
    CHECK_CLOSE(here, s);
}

static void strangers_are_counted(void)
{
    for (size_t i = 1; i < SCHEME_COUNT; i++) {
        struct url url = unique_url(BEYOND_SCHEMES[i]);
        int s = open_pair(), nobody = (int)getuid() + 1;
        if (i == 1)
            CHECK_OK(nn_setsockopt(s, NN_SOL_SOCKET, SPMSG_ACCEPT_UID, &nobody, sizeof nobody));
        else
            CHECK_OK(nn_setsockopt(s, NN_SOL_SOCKET, SPMSG_ACCEPT_NETWORKS, "192.0.2.0/24", 12));
        CHECK_OK(nn_bind(s, url.text));
        int fd = raw_connect(url.text);
        CHECK(grows_to(s, SPMSG_REFUSED_STRANGER, 1));
        CHECK_EQ(value_of(s, 1, SPMSG_REFUSED_STRANGER), 1);
        close(fd);
        CHECK_CLOSE(s);
    }
}

static void queues_are_seen(void)
{
    static char block[100000];
    for (size_t i = 0; i < SCHEME_COUNT; i++) {
        int both[2], sent = 0;
        join_cooked(NN_PULL, NN_PUSH, BEYOND_SCHEMES[i], both);
        int pull = both[0], push = both[1];
        set_int(push, NN_SNDTIMEO, 100);
        while (nn_send(push, block, sizeof block, 0) >= 0)
            sent++;
        value_of(pull, 2, SPMSG_RECEIVE_QUEUE_OLDEST_MS);
        poll(NULL, 0, 30);
        look(push);
        CHECK_EQ(count, 3);
        if (i > 0) {
            CHECK_AT_LEAST(all[2].values[SPMSG_SEND_QUEUE_MESSAGES], 1);
            CHECK_AT_LEAST(all[2].values[SPMSG_SEND_QUEUE_BYTES], 1);
            CHECK_AT_LEAST(all[2].values[SPMSG_SEND_QUEUE_BYTES_MOST],
                           all[2].values[SPMSG_SEND_QUEUE_BYTES]);
            CHECK_AT_LEAST(all[2].values[SPMSG_SEND_QUEUE_MESSAGES_MOST],
                           all[2].values[SPMSG_SEND_QUEUE_MESSAGES]);
            CHECK_AT_LEAST(all[2].values[SPMSG_SEND_QUEUE_OLDEST_MS], 30);
            for (int at = 0; at < 2; at++)
                for (int n = SPMSG_SEND_QUEUE_MESSAGES; n <= SPMSG_SEND_QUEUE_OLDEST_MS; n++)
                    CHECK_EQ(all[at].values[n], all[2].values[n]);
        } else {
            CHECK_EQ(value_of(pull, 2, SPMSG_RECEIVE_QUEUE_MESSAGES), (uint64_t)sent);
            CHECK_EQ(all[2].values[SPMSG_RECEIVE_QUEUE_BYTES], sent * sizeof block);
        }
        look(pull);
        CHECK_AT_LEAST(all[2].values[SPMSG_RECEIVE_QUEUE_BYTES], sizeof block);
        CHECK_AT_LEAST(all[2].values[SPMSG_RECEIVE_QUEUE_OLDEST_MS], 30);
        CHECK_EQ(all[0].values[SPMSG_RECEIVE_QUEUE_OLDEST_MS],
                 all[2].values[SPMSG_RECEIVE_QUEUE_OLDEST_MS]);
        uint64_t most = all[2].values[SPMSG_RECEIVE_QUEUE_BYTES_MOST];
        CHECK_AT_LEAST(most, sizeof block);
        for (; sent > 0; sent--)
            CHECK_EQ(nn_recv(pull, block, sizeof block, 0), sizeof block);
        look(pull);
        CHECK_EQ(all[2].values[SPMSG_RECEIVE_QUEUE_BYTES], 0);
        CHECK_EQ(all[2].values[SPMSG_RECEIVE_QUEUE_OLDEST_MS], 0);
        CHECK_AT_LEAST(all[2].values[SPMSG_RECEIVE_QUEUE_BYTES_MOST], most);
        for (int n = 0; n < PATIENCE_MS / 5 && value_of(push, 2, SPMSG_SEND_QUEUE_BYTES) > 0; n++)
            poll(NULL, 0, 5);
        CHECK_EQ(value_of(push, 2, SPMSG_SEND_QUEUE_BYTES), 0);
        CHECK_EQ(value_of(push, 2, SPMSG_SEND_QUEUE_OLDEST_MS), 0);
        /* Who has gone is remembered. */
        CHECK_CLOSE(push);
        CHECK_PIPES(pull, 0);
        CHECK_AT_LEAST(value_of(pull, 0, SPMSG_RECEIVE_QUEUE_BYTES_MOST), most);
        CHECK_CLOSE(pull);
    }
}

/* Who has received for himself stops, and nobody has looked before: the background thread, which
 * takes over from him, has seen how old it is. */
static void who_stops_receiving_is_seen_at_the_first_look(void)
{
    for (size_t i = 1; i < SCHEME_COUNT; i++) {
        int both[2];
        join_cooked(NN_PULL, NN_PUSH, BEYOND_SCHEMES[i], both);
        uint64_t age = 0;
        for (int n = 0; n < 20 && age < 50; n++) {
            char nothing[1];
            set_int(both[0], NN_RCVTIMEO, 20);
            CHECK_ERRNO(nn_recv(both[0], nothing, 1, 0), -1, ETIMEDOUT);
            set_int(both[0], NN_RCVTIMEO, PATIENCE_MS);
            CHECK_SEND(both[1], "one");
            CHECK_SEND(both[1], "two");
            CHECK_RECV(both[0], "one");
            poll(NULL, 0, 250);
            age = value_of(both[0], 2, SPMSG_RECEIVE_QUEUE_OLDEST_MS);
            CHECK_RECV(both[0], "two");
        }
        CHECK_AT_LEAST(age, 50);
        CHECK_CLOSE(both[0], both[1]);
    }
}

static void who_reads_is_told(void)
{
    for (size_t i = 0; i < SCHEME_COUNT; i++) {
        int both[2];
        join_cooked(NN_PAIR, NN_PAIR, BEYOND_SCHEMES[i], both);
        CHECK_EQ(value_of(both[0], 2, SPMSG_READ_BY),
                 i > 0 ? SPMSG_READ_BY_REACTOR : SPMSG_READ_BY_CALLERS);
        CHECK_EQ(all[0].values[SPMSG_READ_BY], 0);
        CHECK_EQ(all[1].values[SPMSG_READ_BY], 0);
        set_int(both[0], NN_RCVTIMEO, 20);
        uint64_t reader = 0;
        for (int n = 0; n < PATIENCE_MS / 20 && reader != SPMSG_READ_BY_CALLERS; n++) {
            char nothing[1];
            CHECK_ERRNO(nn_recv(both[0], nothing, 1, 0), -1, ETIMEDOUT);
            reader = value_of(both[0], 2, SPMSG_READ_BY);
        }
        CHECK_EQ(reader, SPMSG_READ_BY_CALLERS);
        CHECK_OK(get_int(both[0], NN_SOL_SOCKET, NN_RCVFD));
        CHECK_EQ(value_of(both[0], 2, SPMSG_READ_BY),
                 i > 0 ? SPMSG_READ_BY_EVERYBODY : SPMSG_READ_BY_CALLERS);
        CHECK_CLOSE(both[0], both[1]);
    }
}

/* A context has its own traffic, and its socket has that, too. */
static void contexts_are_counted(void)
{
    int both[2];
    join_cooked(NN_REP, NN_REQ, "tcp", both);
    int context = spmsg_context(both[1]);
    CHECK_OK(context);
    CHECK_SEND(context, "question");
    CHECK_RECV(both[0], "question");
    look(context);
    CHECK_EQ(count, 1);
    CHECK_EQ(all[0].values[SPMSG_MESSAGES_SENT], 1);
    CHECK_EQ(all[0].values[SPMSG_BYTES_SENT], 8);
    CHECK_EQ(value_of(both[1], 0, SPMSG_MESSAGES_SENT), 1);
    CHECK_EQ(all[2].values[SPMSG_MESSAGES_SENT], 1);
    CHECK_CLOSE(context);
    CHECK_EQ(value_of(both[1], 0, SPMSG_MESSAGES_SENT), 1);
    CHECK_CLOSE(both[0], both[1]);
}

static int is_over;

static void *look_at_all(void *looks)
{
    static struct spmsg_statistics entries[ENTRIES];
    static char text[300000];
    while (!__atomic_load_n(&is_over, __ATOMIC_RELAXED)) {
        CHECK_AT_LEAST(spmsg_statistics_text(-1, text, sizeof text), 1);
        for (int s = 0; s < 4; s++)
            if (spmsg_statistics(s, entries, ENTRIES) < 0)
                CHECK_EQ(nn_errno(), EBADF);
        ++*(long *)looks;
    }
    return NULL;
}

/* While another thread looks, sockets work, come and go. */
static void a_look_disturbs_nobody(void)
{
    pthread_t looker;
    long looks = 0;
    CHECK_EQ(pthread_create(&looker, NULL, look_at_all, &looks), 0);
    for (int round = 0; round < 5; round++)
        for (size_t i = 0; i < SCHEME_COUNT; i++) {
            int both[2];
            join_cooked(NN_PAIR, NN_PAIR, BEYOND_SCHEMES[i], both);
            for (int n = 0; n < 200; n++) {
                CHECK_SEND(both[0], "there");
                CHECK_RECV(both[1], "there");
                CHECK_SEND(both[1], "back");
                CHECK_RECV(both[0], "back");
            }
            CHECK_ALL_LEVELS(both[0], SPMSG_MESSAGES_SENT, 200);
            CHECK_ALL_LEVELS(both[1], SPMSG_MESSAGES_RECEIVED, 200);
            CHECK_CLOSE(both[0], both[1]);
        }
    __atomic_store_n(&is_over, 1, __ATOMIC_RELAXED);
    CHECK_EQ(pthread_join(looker, NULL), 0);
    CHECK_AT_LEAST(looks, 1);
}

static void only_what_fits_is_stored(void)
{
    int both[2];
    join_cooked(NN_PAIR, NN_PAIR, "inproc", both);
    memset(all, 0x55, sizeof all);
    CHECK_EQ(spmsg_statistics(both[0], all, 1), 3);
    CHECK_EQ(all[0].of, SPMSG_OF_SOCKET);
    CHECK_EQ(all[1].of, 0x55555555);
    CHECK_EQ(spmsg_statistics(both[0], NULL, 0), 3);
    CHECK_ERRNO(spmsg_statistics(both[0], NULL, 1), -1, EFAULT);
    CHECK_CLOSE(both[0], both[1]);
    CHECK_ERRNO(spmsg_statistics(both[0], all, 1), -1, EBADF);
    CHECK_ERRNO(spmsg_statistics_text(both[0], NULL, 0), -1, EBADF);
    CHECK_ERRNO(spmsg_statistics_text(-2, NULL, 0), -1, EBADF);
}

static void the_text_has_every_socket(void)
{
    static char text[300000];
    char line[600], cut[8];
    int both[2];
    join_cooked(NN_PAIR, NN_PAIR, "tcp", both);
    int here = both[0], there = both[1];
    CHECK_OK(nn_setsockopt(here, NN_SOL_SOCKET, NN_SOCKET_NAME, "my \"own\"", 8));
    CHECK_SEND(here, "hello");
    CHECK_RECV(there, "hello");
    int size = spmsg_statistics_text(-1, text, sizeof text);
    CHECK_EQ(size, (int)strlen(text));
    snprintf(line, sizeof line,
             "\nspmsg_messages_sent_total{socket=\"%d\",name=\"my \\\"own\\\"\",type=\"pair\"} 1\n",
             here);
    CHECK(strstr(text, line) != NULL);
    snprintf(line, sizeof line,
             "\nspmsg_endpoint_messages_received_total{socket=\"%d\",name=\"%d\",type=\"pair\","
             "endpoint=\"1\",address=\"%s\"} 1\n", there, there, address_of(there, 1));
    CHECK(strstr(text, line) != NULL);
    CHECK(strstr(text, "\n# TYPE spmsg_connections gauge\n") != NULL);
    CHECK(strstr(text, ",cause=\"too_large\"} 0\n") != NULL);
    /* For whoever checks the format. */
    const char *file = getenv("SPMSG_EXPOSITION");
    FILE *to = file ? fopen(file, "w") : NULL;
    if (to) {
        fputs(text, to);
        fclose(to);
    }
    int own = spmsg_statistics_text(here, text, sizeof text);
    CHECK_AT_MOST(own, size - 1);
    snprintf(line, sizeof line, "socket=\"%d\"", there);
    CHECK(strstr(text, line) == NULL);
    CHECK_EQ(spmsg_statistics_text(here, cut, sizeof cut), own);
    CHECK_STR(cut, "# HELP ");
    CHECK_ERRNO(spmsg_statistics_text(here, NULL, 1), -1, EFAULT);
    CHECK_CLOSE(here, there);
}

#ifdef __linux__
static int connected_to(const struct sockaddr_un *name, socklen_t len)
{
    struct timeval patience = {.tv_sec = 2};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK_OK(fd);
    CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    if (connect(fd, (const struct sockaddr *)name, len) == 0)
        return fd;
    close(fd);
    return -1;
}

/* The descriptor at which this process answers, and the name that it has. */
static int observatory(struct sockaddr_un *name, socklen_t *len)
{
    char own[64];
    int own_len = snprintf(own, sizeof own, "%cspmsg/stats/%d.", 0, (int)getpid());
    for (int fd = 3; fd < 256; fd++) {
        *len = sizeof *name;
        memset(name, 0, sizeof *name);
        if (getsockname(fd, (struct sockaddr *)name, len) == 0 && name->sun_family == AF_UNIX
            && memcmp(name->sun_path, own, (size_t)own_len) == 0)
            return fd;
    }
    return -1;
}

/* Whether somebody who asks at one of the names that this process may have is answered. */
static int answers(void)
{
    char text[64] = {0};
    for (int i = 0; i < 8; i++) {
        struct sockaddr_un name = {.sun_family = AF_UNIX};
        int len = snprintf(name.sun_path, sizeof name.sun_path, "%cspmsg/stats/%d.%d", 0,
                           (int)getpid(), i);
        int fd = connected_to(&name, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
        if (fd >= 0) {
            ssize_t got = recv(fd, text, sizeof text - 1, MSG_WAITALL);
            close(fd);
            if (got > 0 && strncmp(text, "# spmsg-stats 1 ", 16) == 0)
                return 1;
        }
    }
    return 0;
}

static int close_it_and_listen_there(void *argument)
{
    struct sockaddr_un its, own = {.sun_family = AF_UNIX};
    socklen_t its_len, own_len = sizeof own;
    char byte;
    (void)argument;
    setenv("SPMSG_STATS", "1", 1);
    int s = open_pair();
    int fd = observatory(&its, &its_len);
    CHECK_OK(fd);
    CHECK(answers());
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK_EQ(bind(listener, (struct sockaddr *)&own, sizeof own.sun_family), 0);
    CHECK_EQ(getsockname(listener, (struct sockaddr *)&own, &own_len), 0);
    CHECK_EQ(listen(listener, 8), 0);
    CHECK_EQ(fcntl(listener, F_SETFL, O_NONBLOCK), 0);
    CHECK_EQ(dup2(listener, fd), fd);
    /* Where it sleeps at what it had, somebody who comes there makes it look again. */
    int visitor = connected_to(&its, its_len);
    if (visitor >= 0) {
        CHECK_AT_MOST(read(visitor, &byte, 1), 0);
        close(visitor);
    }
    for (int i = 0; i < 5; i++) {
        int client = connected_to(&own, own_len);
        CHECK_OK(client);
        /* Time for a thief. */
        nap_ms(20);
        int accepted = accept(listener, NULL, NULL);
        CHECK_OK(accepted);
        close(accepted);
        close(client);
    }
    CHECK(wait_until(answers(), PATIENCE_MS));
    CHECK_EQ(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    close(listener);
    close(fd);
    CHECK_CLOSE(s);
    return 0;
}

static void a_number_that_is_no_longer_its_own_is_left_alone(void)
{
    struct child child;
    child_start(&child, close_it_and_listen_there, NULL);
    CHECK_EQ(child_wait(&child, PATIENCE_MS), 0);
}
#endif

int main(void)
{
    test_begin("beyond/statistics", 100);
    RUN(traffic_is_counted_at_every_level);
    RUN(headers_are_counted_where_they_are_carried);
    RUN(who_comes_back_is_counted);
    RUN(what_nobody_wants_is_counted);
    RUN(what_has_no_room_is_counted);
    RUN(who_has_no_room_is_told_apart);
    RUN(what_a_subscriber_loses_is_counted);
    RUN(what_is_no_request_is_counted);
    RUN(what_comes_too_late_is_counted);
    RUN(a_message_that_is_too_large_is_counted);
    RUN(refusals_are_counted_by_their_reason);
    RUN(peers_that_are_not_wanted_or_too_slow_are_counted);
    RUN(strangers_are_counted);
    RUN(queues_are_seen);
    RUN(who_stops_receiving_is_seen_at_the_first_look);
    RUN(who_reads_is_told);
    RUN(contexts_are_counted);
    RUN(a_look_disturbs_nobody);
    RUN(only_what_fits_is_stored);
    RUN(the_text_has_every_socket);
#ifdef __linux__
    RUN(a_number_that_is_no_longer_its_own_is_left_alone);
#endif
    return test_end();
}
