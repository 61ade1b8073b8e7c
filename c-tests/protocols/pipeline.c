/* PUSH gives each message to one peer, in turn, and waits while nobody can take it; PULL takes from
 * its peers in turn (protocols 7, 2.4). */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/random.h"
#include "support/raw-peer.h"
#include "support/raw-stream.h"
#include "support/sockets.h"
#include "support/talk.h"
#include "support/thread.h"

#include <nanomsg/nn.h>
#include <nanomsg/pipeline.h>

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void open_one(const char *scheme, int domain, int *push, int *pull)
{
    struct url url = unique_url(scheme);
    *push = open_socket(domain, NN_PUSH);
    *pull = open_socket(domain, NN_PULL);
    CHECK_OK(nn_bind(*push, url.text));
    join(*pull, 0, *push, 0, url.text);
}

/* ---- turns ---- */

/* A PUSH and its PULLs, attached in this order: they connect to it, or it connects to each. */
static int open_many(const char *scheme, int domain, int binds, int *pulls, int count)
{
    int push = open_socket(domain, NN_PUSH);
    struct url url = unique_url(scheme);
    if (binds)
        CHECK_OK(nn_bind(push, url.text));
    for (int i = 0; i < count; i++) {
        pulls[i] = open_socket(domain, NN_PULL);
        if (binds) {
            join(pulls[i], 0, push, (uint64_t)i, url.text);
        } else {
            url = unique_url(scheme);
            CHECK_OK(nn_bind(pulls[i], url.text));
            join(push, (uint64_t)i, pulls[i], 0, url.text);
        }
    }
    return push;
}

/* protocols 2.4, the first sample: a gets 0, 3, 6, b gets 1, 4 and c gets 2, 5. */
static void messages_go_round(void)
{
    for (size_t scheme = 0; scheme < COUNT_OF(SCHEMES); scheme++)
        for (int way = 0; way < 4; way++) {
            int pulls[3], push = open_many(SCHEMES[scheme], DOMAINS[way % 2], way / 2, pulls, 3);
            char text[2] = "0";
            for (int i = 0; i < 7; i++, text[0]++)
                CHECK_SEND(push, text);
            text[0] = '0';
            for (int i = 0; i < 7; i++, text[0]++)
                CHECK_RECV(pulls[i % 3], text);
            for (int i = 0; i < 3; i++)
                CHECK_STR(recv_now(pulls[i]), "EAGAIN");
            close_sockets(pulls, 3);
            CHECK_CLOSE(push);
        }
}

/* core 7.2: paced or not, each of three gets a third. */
static void everybody_gets_an_equal_share(void)
{
    for (int paced = 0; paced < 2; paced++) {
        int pulls[3], push = open_many("inproc", AF_SP, 1, pulls, 3);
        for (int i = 0; i < 300; i++) {
            CHECK_EQ(send_now(push, "x"), 1);
            if (paced)
                CHECK_STR(recv_now(pulls[i % 3]), "x");
        }
        for (int i = 0; i < 300 && !paced; i++)
            CHECK_STR(recv_now(pulls[i % 3]), "x");
        for (int i = 0; i < 3; i++) {
            CHECK_STR(recv_now(pulls[i]), "EAGAIN");
            CHECK_EQ(nn_get_statistic(pulls[i], NN_STAT_MESSAGES_RECEIVED), 100);
        }
        close_sockets(pulls, 3);
        CHECK_CLOSE(push);
    }
}

/* protocols 2.4: a peer that can take no more is passed over and comes back at the end. */
static void a_full_peer_is_passed_over(void)
{
    for (int d = 0; d < 2; d++) {
        int push = open_socket(DOMAINS[d], NN_PUSH), pulls[3];
        char text[4];
        for (int i = 0; i < 3; i++) {
            struct url url = unique_url("inproc");
            pulls[i] = open_socket(DOMAINS[d], NN_PULL);
            /* protocols 2.8: the second takes two, the others more than enough. */
            if (i == 1)
                set_int(pulls[i], NN_RCVBUF, 1);
            CHECK_OK(nn_bind(pulls[i], url.text));
            CHECK_OK(nn_connect(push, url.text));
        }
        for (int i = 0; i < 12; i++) {
            snprintf(text, sizeof text, "%d", i);
            CHECK_EQ(send_now(push, text), strlen(text));
        }
        static const char *const got[3][7] = {
            {"0", "3", "6", "8", "10", "EAGAIN"},
            {"1", "4", "EAGAIN"},
            {"2", "5", "7", "9", "11", "EAGAIN"},
        };
        for (int i = 0; i < 3; i++)
            for (int k = 0; k < 7 && got[i][k]; k++)
                CHECK_STR(recv_now(pulls[i]), got[i][k]);
        /* All three take part again. */
        for (int i = 0; i < 3; i++)
            CHECK_EQ(send_now(push, "x"), 1);
        for (int i = 0; i < 3; i++)
            CHECK_STR(recv_now(pulls[i]), "x");
        close_sockets(pulls, 3);
        CHECK_CLOSE(push);
    }
}

/* protocols 2.4: the turn goes to whoever followed the one that left. */
static void the_turn_survives_a_peer_that_leaves(void)
{
    for (int leaving = 0; leaving < 3; leaving++) {
        int pulls[3], push = open_many("inproc", AF_SP, 1, pulls, 3);
        CHECK_EQ(send_now(push, "0"), 1);
        CHECK_STR(recv_now(pulls[0]), "0");
        CHECK_CLOSE(pulls[leaving]);
        /* The turn was at 1: now it is at 1 or, if that left, at 2; then the other one. */
        int next = leaving == 1 ? 2 : 1, other = 3 - next - leaving;
        for (int i = 0; i < 4; i++) {
            CHECK_EQ(send_now(push, "x"), 1);
            CHECK_STR(recv_now(pulls[i % 2 ? other : next]), "x");
        }
        CHECK_CLOSE(pulls[next], pulls[other]);
        CHECK_ERRNO(send_now(push, "x"), -1, EAGAIN);
        CHECK_CLOSE(push);
    }
}

/* protocols 2.4 and 7, core 7.2: a PULL takes from its peers by turns. */
static void a_receiver_takes_by_turns(void)
{
    for (int d = 0; d < 2; d++) {
        struct url url = unique_url("inproc");
        int pull = open_socket(DOMAINS[d], NN_PULL), pushes[2];
        CHECK_OK(nn_bind(pull, url.text));
        for (int i = 0; i < 2; i++) {
            pushes[i] = open_socket(DOMAINS[d], NN_PUSH);
            CHECK_OK(nn_connect(pushes[i], url.text));
        }
        for (int i = 0; i < 2; i++)
            for (int k = 0; k < 4; k++) {
                char text[3] = {(char)('A' + i), (char)('0' + k), 0};
                CHECK_EQ(send_now(pushes[i], text), 2);
            }
        static const char *const order[] = {"A0", "B0", "A1", "B1", "A2", "B2", "A3", "B3"};
        for (size_t i = 0; i < COUNT_OF(order); i++)
            CHECK_STR(recv_now(pull), order[i]);
        CHECK_STR(recv_now(pull), "EAGAIN");
        close_sockets(pushes, 2);
        CHECK_CLOSE(pull);
    }
}

/* protocols 2.4: nobody starves, whoever floods. */
static void a_flood_starves_nobody(void)
{
    for (size_t scheme = 0; scheme < COUNT_OF(SCHEMES); scheme++) {
        struct url url = unique_url(SCHEMES[scheme]);
        int pull = open_bound(AF_SP, NN_PULL, url.text);
        int loud = open_socket(AF_SP, NN_PUSH), quiet = open_socket(AF_SP, NN_PUSH);
        join(loud, 0, pull, 0, url.text);
        join(quiet, 0, pull, 1, url.text);
        int flood = 0, heard = 0;
        while (flood < 400 && nn_send(loud, "loud", 4, NN_DONTWAIT) == 4)
            flood++;
        CHECK_AT_LEAST(flood, 100);
        CHECK_SEND(quiet, "quiet");
        char got[8];
        for (int i = 0; i < flood + 1; i++) {
            CHECK_OK(nn_recv(pull, got, sizeof got, 0));
            if (got[0] == 'q' && scheme == 0)
                CHECK_AT_MOST(i, 1);
            heard += got[0] == 'q';
        }
        CHECK_EQ(heard, 1);
        CHECK_STR(recv_now(pull), "EAGAIN");
        CHECK_CLOSE(pull, loud, quiet);
    }
}

/* ---- waiting ---- */

struct call {
    int s;
    int result;
    int error;
    char text[16];
};

static void *send_in_thread(void *argument)
{
    struct call *call = argument;
    call->result = nn_send(call->s, call->text, strlen(call->text), 0);
    call->error = errno;
    return NULL;
}

static void *recv_in_thread(void *argument)
{
    struct call *call = argument;
    call->result = nn_recv(call->s, call->text, sizeof call->text - 1, 0);
    call->error = errno;
    return NULL;
}

/* protocols 7: a send that waits goes on when a peer attaches. */
static void a_peer_that_comes_wakes_the_sender(void)
{
    for (size_t scheme = 0; scheme < COUNT_OF(SCHEMES); scheme++)
        for (int binds = 0; binds < 2; binds++) {
            struct url url = unique_url(SCHEMES[scheme]);
            struct thread thread;
            int push = open_socket(AF_SP, NN_PUSH), pull = open_socket(AF_SP, NN_PULL);
            struct call call = {push, 0, 0, "waited"};
            CHECK_OK(binds ? nn_bind(push, url.text) : nn_connect(push, url.text));
            CHECK_ERRNO(send_now(push, "no"), -1, EAGAIN);
            thread_start(&thread, send_in_thread, &call);
            CHECK(thread_asleep(&thread));
            CHECK(!thread_done(&thread));
            CHECK_OK(binds ? nn_connect(pull, url.text) : nn_bind(pull, url.text));
            thread_join(&thread);
            CHECK_EQ(call.result, 6);
            CHECK_RECV(pull, "waited");
            CHECK_CLOSE(push, pull);
        }
}

enum { FLOOD = 200, FLOOD_SIZE = 100000 };

/* Far more than all buffers hold, so that it must wait. */
static void *flood_in_thread(void *argument)
{
    struct call *call = argument;
    unsigned char *body = malloc(FLOOD_SIZE);
    for (uint32_t i = 0; i < FLOOD; i++) {
        fill_body(body, FLOOD_SIZE, i);
        if (nn_send(call->s, body, FLOOD_SIZE, 0) == FLOOD_SIZE)
            call->result++;
    }
    free(body);
    return NULL;
}

/* protocols 7: and when a pipe can take something again. */
static void a_receive_wakes_the_sender(void)
{
    unsigned char *got = malloc(FLOOD_SIZE);
    for (size_t scheme = 0; scheme < COUNT_OF(SCHEMES); scheme++) {
        struct thread thread;
        int push, pull;
        open_one(SCHEMES[scheme], AF_SP, &push, &pull);
        struct call call = {push, 0, 0, ""};
        thread_start(&thread, flood_in_thread, &call);
        CHECK(thread_asleep(&thread));
        CHECK(!thread_done(&thread));
        for (uint32_t i = 0; i < FLOOD; i++) {
            CHECK_EQ(nn_recv(pull, got, FLOOD_SIZE, 0), FLOOD_SIZE);
            CHECK(is_body(got, FLOOD_SIZE, i));
        }
        thread_join(&thread);
        CHECK_EQ(call.result, FLOOD);
        CHECK_STR(recv_now(pull), "EAGAIN");
        CHECK_CLOSE(push, pull);
    }
    free(got);
}

/* protocols 7: a receive that waits goes on when something comes, from any peer. */
static void a_message_wakes_the_receiver(void)
{
    for (size_t scheme = 0; scheme < COUNT_OF(SCHEMES); scheme++) {
        struct url url = unique_url(SCHEMES[scheme]);
        int pull = open_bound(AF_SP, NN_PULL, url.text), pushes[3];
        for (int i = 0; i < 3; i++) {
            pushes[i] = open_socket(AF_SP, NN_PUSH);
            join(pushes[i], 0, pull, (uint64_t)i, url.text);
        }
        for (int i = 0; i < 6; i++) {
            struct thread thread;
            struct call call = {pull, 0, 0, ""};
            thread_start(&thread, recv_in_thread, &call);
            CHECK(thread_asleep(&thread));
            CHECK(!thread_done(&thread));
            CHECK_SEND(pushes[i % 3], "wake up");
            thread_join(&thread);
            CHECK_EQ(call.result, 7);
            CHECK_MEM(call.text, "wake up", 7);
        }
        close_sockets(pushes, 3);
        CHECK_CLOSE(pull);
    }
}

/* protocols 2.6, core 5.1: with a peer that takes nothing the send waits for its time. */
static void a_full_peer_makes_the_sender_wait(void)
{
    for (int d = 0; d < 2; d++) {
        struct url url = unique_url("inproc");
        int push = open_socket(DOMAINS[d], NN_PUSH), pull = open_socket(DOMAINS[d], NN_PULL);
        set_int(pull, NN_RCVBUF, 1);
        set_int(push, NN_SNDTIMEO, 50);
        CHECK_OK(nn_bind(pull, url.text));
        CHECK_OK(nn_connect(push, url.text));
        CHECK_SEND(push, "one");
        CHECK_SEND(push, "two");
        int64_t start = now_us();
        CHECK_ERRNO(nn_send(push, "three", 5, 0), -1, ETIMEDOUT);
        CHECK_NOT_EARLY(start, 50);
        CHECK_ERRNO(nn_send(push, "three", 5, NN_DONTWAIT), -1, EAGAIN);
        /* What was refused was not sent, and does not count. */
        CHECK_EQ(nn_get_statistic(push, NN_STAT_MESSAGES_SENT), 2);
        CHECK_STR(recv_now(pull), "one");
        CHECK_STR(recv_now(pull), "two");
        CHECK_STR(recv_now(pull), "EAGAIN");
        CHECK_CLOSE(push, pull);
    }
}

/* ---- peers that leave ---- */

/* protocols 7: what a peer was given is not given to another when that peer dies. */
static void what_was_handed_over_is_not_moved(void)
{
    for (size_t scheme = 0; scheme < COUNT_OF(SCHEMES); scheme++) {
        int pulls[2], push = open_many(SCHEMES[scheme], AF_SP, 1, pulls, 2);
        char text[2] = "0";
        for (int i = 0; i < 6; i++, text[0]++)
            CHECK_SEND(push, text);
        CHECK_CLOSE(pulls[0]);
        CHECK_PIPES(push, 1);
        CHECK_SEND(push, "6");
        CHECK_RECV(pulls[1], "1");
        CHECK_RECV(pulls[1], "3");
        CHECK_RECV(pulls[1], "5");
        CHECK_RECV(pulls[1], "6");
        CHECK_STR(recv_now(pulls[1]), "EAGAIN");
        CHECK_CLOSE(pulls[1]);
        CHECK_PIPES(push, 0);
        CHECK_ERRNO(send_now(push, "7"), -1, EAGAIN);
        CHECK_CLOSE(push);
    }
}

/* protocols 2.10, core 3: after the peer came back, everything that is sent arrives. */
static void a_peer_that_comes_back_is_served_again(void)
{
    for (size_t scheme = 0; scheme < COUNT_OF(SCHEMES); scheme++) {
        struct url url = unique_url(SCHEMES[scheme]);
        int push = open_connected(AF_SP, NN_PUSH, url.text);
        for (int round = 0; round < 10; round++) {
            int pull = open_bound(AF_SP, NN_PULL, url.text);
            for (int i = 0; i < 5; i++)
                CHECK_SEND(push, "back");
            for (int i = 0; i < 5; i++)
                CHECK_RECV(pull, "back");
            CHECK_CLOSE(pull);
            CHECK_PIPES(push, 0);
            CHECK_ERRNO(send_now(push, "none"), -1, EAGAIN);
        }
        CHECK_CLOSE(push);
    }
}

/* ---- many at once ---- */

enum { PRODUCERS = 3, CONSUMERS = 2, ITEMS = 3000 };

struct item {
    uint32_t producer;
    uint32_t number;
};

struct consumer {
    int s;
    uint32_t next[PRODUCERS];
    int wrong;
    uint8_t seen[PRODUCERS][ITEMS];
};

static void *produce(void *argument)
{
    struct call *call = argument;
    for (uint32_t i = 0; i < ITEMS; i++) {
        /* The rest of the body depends on what it is, so that its bytes can be checked. */
        unsigned char body[sizeof(struct item) + 200];
        struct item item = {(uint32_t)call->result, i};
        size_t size = sizeof item + i % 200;
        memcpy(body, &item, sizeof item);
        fill_body(body + sizeof item, i % 200, i);
        if (nn_send(call->s, body, size, 0) != (int)size)
            call->error++;
    }
    return NULL;
}

static void *consume(void *argument)
{
    struct consumer *consumer = argument;
    unsigned char body[sizeof(struct item) + 200];
    int size;
    while ((size = nn_recv(consumer->s, body, sizeof body, 0)) > 0) {
        struct item item;
        memcpy(&item, body, sizeof item);
        if (item.producer >= PRODUCERS || item.number >= ITEMS
            || size != (int)(sizeof item + item.number % 200)
            || !is_body(body + sizeof item, item.number % 200, item.number)
            || item.number < consumer->next[item.producer]) {
            consumer->wrong++;
            continue;
        }
        consumer->next[item.producer] = item.number + 1;
        consumer->seen[item.producer][item.number]++;
    }
    /* An empty message is the end. */
    consumer->wrong += size != 0;
    return NULL;
}

static void check_all_seen(const struct consumer *consumers)
{
    int missing = 0, doubled = 0;
    for (int p = 0; p < PRODUCERS; p++)
        for (int i = 0; i < ITEMS; i++) {
            int seen = consumers[0].seen[p][i] + consumers[1].seen[p][i];
            missing += seen == 0;
            doubled += seen > 1;
        }
    CHECK_EQ(missing, 0);
    CHECK_EQ(doubled, 0);
}

/* protocols 2.9: each message to exactly one; in order on the way between two sockets. */
static void every_message_goes_to_exactly_one(void)
{
    static struct consumer consumers[CONSUMERS];
    for (size_t scheme = 0; scheme < COUNT_OF(SCHEMES); scheme++) {
        struct thread threads[PRODUCERS + CONSUMERS];
        struct call calls[PRODUCERS];
        memset(consumers, 0, sizeof consumers);
        for (int p = 0; p < PRODUCERS; p++)
            calls[p] = (struct call){open_socket(AF_SP, NN_PUSH), p, 0, ""};
        for (int c = 0; c < CONSUMERS; c++) {
            struct url url = unique_url(SCHEMES[scheme]);
            consumers[c].s = open_bound(AF_SP, NN_PULL, url.text);
            for (int p = 0; p < PRODUCERS; p++)
                join(calls[p].s, (uint64_t)c, consumers[c].s, (uint64_t)p, url.text);
        }
        for (int c = 0; c < CONSUMERS; c++)
            thread_start(&threads[c], consume, &consumers[c]);
        for (int p = 0; p < PRODUCERS; p++)
            thread_start(&threads[CONSUMERS + p], produce, &calls[p]);
        for (int p = 0; p < PRODUCERS; p++) {
            thread_join(&threads[CONSUMERS + p]);
            CHECK_EQ(calls[p].error, 0);
        }
        /* The end comes by a way of its own, when all that was sent has been received. */
        CHECK(wait_until(nn_get_statistic(consumers[0].s, NN_STAT_MESSAGES_RECEIVED)
                             + nn_get_statistic(consumers[1].s, NN_STAT_MESSAGES_RECEIVED)
                             == PRODUCERS * ITEMS, PATIENCE_MS));
        for (int c = 0; c < CONSUMERS; c++) {
            struct url url = unique_url("inproc");
            int end = open_bound(AF_SP, NN_PUSH, url.text);
            CHECK_OK(nn_connect(consumers[c].s, url.text));
            CHECK_EQ(nn_send(end, NULL, 0, 0), 0);
            thread_join(&threads[c]);
            CHECK_EQ(consumers[c].wrong, 0);
            CHECK_CLOSE(consumers[c].s, end);
        }
        check_all_seen(consumers);
        for (int p = 0; p < PRODUCERS; p++)
            CHECK_CLOSE(calls[p].s);
    }
}

/* ---- the wire ---- */

/* protocols 14, transports 3.1 and 3.2 */
static void the_bytes_on_the_wire(void)
{
    for (size_t scheme = 1; scheme < COUNT_OF(SCHEMES); scheme++)
        for (int d = 0; d < 2; d++) {
            check_says_bodies(DOMAINS[d], NN_PUSH, NN_PULL, SCHEMES[scheme]);
            struct url url = unique_url(SCHEMES[scheme]);
            int pull = open_socket(DOMAINS[d], NN_PULL);
            CHECK_OK(nn_bind(pull, url.text));
            int fd = raw_join(pull, url.text, NN_PUSH, NN_PULL);
            raw_message(fd, url.text, "hi", 2);
            CHECK_RECV(pull, "hi");
            check_silence(fd);
            close(fd);
            CHECK_CLOSE(pull);
        }
}

/* protocols 7, reliability P1: what a PULL says is not looked at; the pipe stays usable. */
static void a_puller_that_talks_is_served(void)
{
    for (size_t scheme = 1; scheme < COUNT_OF(SCHEMES); scheme++) {
        struct url url = unique_url(SCHEMES[scheme]);
        int push = open_bound(AF_SP, NN_PUSH, url.text);
        int fd = raw_join(push, url.text, NN_PULL, NN_PUSH);
        for (int i = 0; i < 10; i++) {
            raw_message(fd, url.text, "talk", 4);
            CHECK_SEND(push, "work");
            CHECK_WIRE(fd, url.text, "work", 4);
        }
        close(fd);
        /* Who does not read notices the end only when a write fails (protocols 2.1), and until then
         * half of the messages go there. */
        int pull = open_connected(AF_SP, NN_PULL, url.text);
        CHECK(talk_one_way(push, pull, PATIENCE_MS));
        CHECK_CLOSE(push, pull);
    }
}

int main(void)
{
    test_begin("protocols/pipeline", 55);
    RUN(messages_go_round);
    RUN(everybody_gets_an_equal_share);
    RUN(a_full_peer_is_passed_over);
    RUN(the_turn_survives_a_peer_that_leaves);
    RUN(a_receiver_takes_by_turns);
    RUN(a_flood_starves_nobody);
    RUN(a_peer_that_comes_wakes_the_sender);
    RUN(a_receive_wakes_the_sender);
    RUN(a_message_wakes_the_receiver);
    RUN(a_full_peer_makes_the_sender_wait);
    RUN(what_was_handed_over_is_not_moved);
    RUN(a_peer_that_comes_back_is_served_again);
    RUN(every_message_goes_to_exactly_one);
    RUN(the_bytes_on_the_wire);
    RUN(a_puller_that_talks_is_served);
    return test_end();
}
