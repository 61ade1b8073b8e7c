/* How much a sender can be ahead of a receiver that does not receive: over inproc to the message,
 * over streams within bounds; and that all of it arrives (protocols 2.8, core 6.4). */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/message.h"
#include "support/random.h"
#include "support/readiness.h"
#include "support/sockets.h"
#include "support/talk.h"
#include "support/thread.h"

#include <nanomsg/bus.h>
#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/pubsub.h>

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* More than any buffer here holds: whoever gets this far has no back-pressure. */
enum { FLOOD_MAX = 64 << 20 };

static const int WAITING[2][2] = {{NN_PAIR, NN_PAIR}, {NN_PUSH, NN_PULL}};
static const int DROPPING[2][2] = {{NN_PUB, NN_SUB}, {NN_BUS, NN_BUS}};

/* A sender and a receiver with the receive buffer, if it is not 0, and the send buffer likewise. */
static void open_buffered(const char *scheme, int domain, const int types[2], int sndbuf,
                          int rcvbuf, int *from, int *to)
{
    struct url url = unique_url(scheme);
    *from = open_socket(domain, types[0]);
    *to = open_socket(domain, types[1]);
    if (sndbuf)
        set_int(*from, NN_SNDBUF, sndbuf);
    if (rcvbuf)
        set_int(*to, NN_RCVBUF, rcvbuf);
    if (types[1] == NN_SUB)
        subscribe(*to, "");
    CHECK_OK(nn_bind(*from, url.text));
    join(*to, 0, *from, 0, url.text);
}

/* ---- inproc ---- */

/* protocols 2.8, the table */
static const struct row {
    int limit;
    int size;
    int accepted;
} ROWS[] = {
    {131072, 1, 131072}, {131072, 16, 8192}, {131072, 100, 1311}, {131072, 1000, 132},
    {131072, 1024, 128}, {131072, 4096, 32}, {131072, 65535, 3}, {131072, 65536, 2},
    {131072, 100000, 2}, {131072, 131072, 2}, {131072, 1000000, 2},
    {1000, 1, 1000}, {1000, 9, 112}, {1000, 10, 100}, {1000, 11, 91}, {1000, 50, 20},
    {200, 10, 20},
    {100, 9, 12}, {100, 10, 10}, {100, 11, 10}, {100, 50, 2},
    {10, 1, 10}, {10, 9, 2}, {10, 10, 2}, {10, 11, 2},
    {1, 1, 2}, {1, 2, 2}, {1, 1000, 2},
};

static int count_accepted(int from, const void *body, size_t size)
{
    int count = 0;
    while ((size_t)count * (size + 1) < FLOOD_MAX
           && nn_send(from, body, size, NN_DONTWAIT) == (int)size)
        count++;
    CHECK_EQ(errno, EAGAIN);
    return count;
}

static int count_delivered(int to, size_t size)
{
    int count = 0, got;
    while ((got = nn_recv(to, NULL, 0, NN_DONTWAIT)) >= 0) {
        CHECK_EQ(got, size);
        count++;
    }
    CHECK_EQ(errno, EAGAIN);
    return count;
}

/* protocols 2.8, core-quirks A-48; the default limit is 131072 (core 6.1). */
static void inproc_accepts_exactly_what_the_rule_says(void)
{
    char *body = calloc(1, 1000000);
    for (size_t i = 0; i < COUNT_OF(ROWS); i++)
        for (unsigned way = 0; way < 4; way++) {
            int from, to, limit = ROWS[i].limit == 131072 ? 0 : ROWS[i].limit;
            open_buffered("inproc", DOMAINS[way % 2], WAITING[way / 2], 0, limit, &from, &to);
            int accepted = count_accepted(from, body, (size_t)ROWS[i].size);
            if (accepted != ROWS[i].accepted)
                FAIL("limit %d, size %d: accepted %d, not %d", ROWS[i].limit, ROWS[i].size,
                     accepted, ROWS[i].accepted);
            CHECK_EQ(count_delivered(to, (size_t)ROWS[i].size), accepted);
            /* Again, with buffers that have been used. */
            if (accepted < 2000)
                CHECK_EQ(count_accepted(from, body, (size_t)ROWS[i].size), accepted);
            CHECK_CLOSE(from, to);
        }
    free(body);
}

/* protocols 2.8, 6 and 9: those that drop deliver as much as the others accept. */
static void inproc_delivers_as_much_where_the_rest_is_dropped(void)
{
    char *body = calloc(1, 1000000);
    for (size_t i = 0; i < COUNT_OF(ROWS); i++)
        for (unsigned way = 0; way < 4; way++) {
            int from, to, limit = ROWS[i].limit == 131072 ? 0 : ROWS[i].limit;
            int sent = ROWS[i].accepted + 50;
            open_buffered("inproc", DOMAINS[way % 2], DROPPING[way / 2], 0, limit, &from, &to);
            for (int k = 0; k < sent; k++)
                if (nn_send(from, body, (size_t)ROWS[i].size, NN_DONTWAIT) != ROWS[i].size)
                    FAIL("a send failed: %s", nn_strerror(errno));
            CHECK_EQ(count_delivered(to, (size_t)ROWS[i].size), ROWS[i].accepted);
            /* core-quirks: what was dropped counts. */
            CHECK_EQ(nn_get_statistic(from, NN_STAT_MESSAGES_SENT), sent);
            CHECK_EQ(nn_get_statistic(from, NN_STAT_BYTES_SENT), (uint64_t)sent * ROWS[i].size);
            CHECK_EQ(nn_get_statistic(to, NN_STAT_MESSAGES_RECEIVED), ROWS[i].accepted);
            CHECK_CLOSE(from, to);
        }
    free(body);
}

/* protocols 2.8: after one receive exactly one more send succeeds. */
static void each_receive_makes_room_for_one(void)
{
    for (unsigned way = 0; way < 4; way++) {
        int from, to;
        open_buffered("inproc", DOMAINS[way % 2], WAITING[way / 2], 0, 200, &from, &to);
        CHECK_EQ(count_accepted(from, "0123456789", 10), 20);
        for (int i = 0; i < 100; i++) {
            CHECK_STR(recv_now(to), "0123456789");
            CHECK_EQ(count_accepted(from, "0123456789", 10), 1);
        }
        for (int i = 0; i < 20; i++)
            CHECK_STR(recv_now(to), "0123456789");
        CHECK_STR(recv_now(to), "EAGAIN");
        CHECK_CLOSE(from, to);
    }
}

/* The rule of protocols 2.8 as a model: a queue, and one message that waits before it. */
struct model {
    int limit;
    int sizes[4096];
    uint32_t first, next; /* numbers of the messages in the queue */
    int queued;
    int waiting; /* its size, 0 for none */
};

static int model_fits(const struct model *model, int size)
{
    return model->first == model->next || model->queued + size < model->limit;
}

static void model_queue(struct model *model, int size)
{
    model->sizes[model->next++ % COUNT_OF(model->sizes)] = size;
    model->queued += size;
}

static int model_send(struct model *model, int size)
{
    if (model->waiting)
        return 0;
    if (model_fits(model, size))
        model_queue(model, size);
    else
        model->waiting = size;
    return 1;
}

/* The size of the message that is received, 0 for none. */
static int model_recv(struct model *model)
{
    if (model->first == model->next)
        return 0;
    int size = model->sizes[model->first++ % COUNT_OF(model->sizes)];
    model->queued -= size;
    if (model->waiting && model_fits(model, model->waiting)) {
        model_queue(model, model->waiting);
        model->waiting = 0;
    }
    return size;
}

static void check_against_model(int limit, uint32_t seed)
{
    static struct model model;
    static unsigned char body[3000];
    uint32_t state = seed, sent = 0, received = 0;
    int from, to;
    memset(&model, 0, sizeof model);
    model.limit = limit;
    open_buffered("inproc", AF_SP, WAITING[seed % 2], 0, limit, &from, &to);
    for (int step = 0; step < 4000; step++) {
        state = state * 1664525u + 1013904223u;
        /* Tides: mostly sends, then mostly receives. */
        int rising = step / 200 % 2 == 0, size, expected;
        if ((int)(state >> 24) % 4 < (rising ? 3 : 1)) {
            size = 1 + (int)((state >> 8) % (uint32_t)(2 * limit));
            size = (state >> 4) % 8 ? size / 10 + 1 : size;
            fill_body(body, (size_t)size, sent);
            expected = model_send(&model, size) ? size : -1;
            int result = nn_send(from, body, (size_t)size, NN_DONTWAIT);
            if (result != expected)
                FAIL("limit %d, seed %u, step %d: sent %d, not %d", limit, seed, step, result,
                     expected);
            sent += result >= 0;
        } else {
            expected = model_recv(&model);
            size = nn_recv(to, body, sizeof body, NN_DONTWAIT);
            if (size != (expected ? expected : -1)
                || (size > 0 && !is_body(body, (size_t)size, received)))
                FAIL("limit %d, seed %u, step %d: received %d, not %d", limit, seed, step, size,
                     expected);
            received += size > 0;
        }
    }
    CHECK_CLOSE(from, to);
}

/* protocols 2.8, with messages of many sizes */
static void mixed_sizes_follow_the_rule(void)
{
    static const int limits[] = {1, 2, 10, 100, 1000, 1499};
    for (size_t i = 0; i < COUNT_OF(limits); i++)
        for (uint32_t seed = 1; seed <= 4; seed++)
            check_against_model(limits[i], seed);
}

/* protocols 2.8: the bytes of the header are counted with the body. */
static void a_header_takes_room(void)
{
    int from, to, count = 0;
    char header[40] = {0};
    open_buffered("inproc", AF_SP, WAITING[1], 0, 1000, &from, &to);
    while (count < 1000
           && send_message(from, header, sizeof header, "0123456789", 10, NN_DONTWAIT) == 10)
        count++;
    CHECK_EQ(count, 20);
    CHECK_EQ(count_delivered(to, 50), 20);
    CHECK_CLOSE(from, to);
}

/* protocols 2.8: empty messages are bounded, too. */
static void empty_messages_are_bounded(void)
{
    for (unsigned way = 0; way < 2; way++) {
        int from, to;
        open_buffered("inproc", AF_SP, WAITING[way], 0, 0, &from, &to);
        int accepted = count_accepted(from, "", 0);
        CHECK_AT_LEAST(accepted, 1000);
        CHECK_AT_MOST(accepted, 131072 + 1);
        CHECK_EQ(count_delivered(to, 0), accepted);
        CHECK_CLOSE(from, to);
    }
}

/* protocols 2.8: each pipe has a queue of its own. */
static void each_pipe_has_its_own_room(void)
{
    struct url url = unique_url("inproc");
    int pull = open_socket(AF_SP, NN_PULL), pushes[3];
    set_int(pull, NN_RCVBUF, 200);
    CHECK_OK(nn_bind(pull, url.text));
    for (int i = 0; i < 3; i++) {
        pushes[i] = open_connected(AF_SP, NN_PUSH, url.text);
        CHECK_EQ(count_accepted(pushes[i], "0123456789", 10), 20);
    }
    CHECK_EQ(count_delivered(pull, 10), 60);
    close_sockets(pushes, 3);
    CHECK_CLOSE(pull);
}

/* protocols 2.8, core 6.4: NN_SNDBUF and the sender's NN_RCVBUF have no part in it. */
static void only_the_receivers_buffer_counts(void)
{
    struct url url = unique_url("inproc");
    int push = open_socket(AF_SP, NN_PUSH), pull = open_socket(AF_SP, NN_PULL);
    set_int(push, NN_SNDBUF, 1000000);
    set_int(push, NN_RCVBUF, 1000000);
    set_int(pull, NN_SNDBUF, 1000000);
    set_int(pull, NN_RCVBUF, 100);
    CHECK_OK(nn_bind(push, url.text));
    CHECK_OK(nn_connect(pull, url.text));
    CHECK_EQ(count_accepted(push, "0123456789", 10), 10);
    CHECK_CLOSE(push, pull);
}

/* protocols 2.8, core 6.4: a change is for the pipes that come later. */
static void a_new_limit_is_for_later_pipes(void)
{
    for (int binds = 0; binds < 2; binds++) {
        struct url url = unique_url("inproc");
        int pull = open_socket(AF_SP, NN_PULL), pushes[3];
        static const int limits[] = {100, 1000, 10}, accepted[] = {10, 100, 2};
        if (binds)
            CHECK_OK(nn_bind(pull, url.text));
        for (int i = 0; i < 3; i++) {
            set_int(pull, NN_RCVBUF, limits[i]);
            pushes[i] = open_socket(AF_SP, NN_PUSH);
            if (binds) {
                CHECK_OK(nn_connect(pushes[i], url.text));
            } else {
                url = unique_url("inproc");
                CHECK_OK(nn_bind(pushes[i], url.text));
                CHECK_OK(nn_connect(pull, url.text));
            }
        }
        for (int i = 0; i < 3; i++)
            CHECK_EQ(count_accepted(pushes[i], "0123456789", 10), accepted[i]);
        /* Nor does a change make room in a queue that is full. */
        set_int(pull, NN_RCVBUF, 1000000);
        for (int i = 0; i < 3; i++)
            CHECK_EQ(count_accepted(pushes[i], "0123456789", 10), 0);
        close_sockets(pushes, 3);
        CHECK_CLOSE(pull);
    }
}

/* ---- all transports ---- */

/* protocols 2.8, core-quirks A-48: an idle pipe takes a message of any size at once; over inproc
 * NN_RCVMAXSIZE does not apply either (core-quirks A-45). */
static void an_idle_pipe_takes_a_message_of_any_size(void)
{
    enum { HUGE_SIZE = 20000000 };
    unsigned char *body = malloc(HUGE_SIZE);
    fill_body(body, HUGE_SIZE, 7);
    for (size_t scheme = 0; scheme < COUNT_OF(SCHEMES); scheme++)
        for (int way = 0; way < 2; way++) {
            int from, to, unlimited = -1;
            open_buffered(SCHEMES[scheme], AF_SP, WAITING[way], 4096, 4096, &from, &to);
            if (scheme > 0)
                CHECK_EQ(nn_setsockopt(to, NN_SOL_SOCKET, NN_RCVMAXSIZE, &unlimited,
                                       sizeof unlimited), 0);
            for (int round = 0; round < 2; round++) {
                unsigned char *got = NULL;
                CHECK(wait_until(signals(from, NN_SNDFD, 0), PATIENCE_MS));
                CHECK_EQ(nn_send(from, body, HUGE_SIZE, NN_DONTWAIT), HUGE_SIZE);
                CHECK_EQ(nn_recv(to, &got, NN_MSG, 0), HUGE_SIZE);
                REQUIRE(got != NULL);
                CHECK_MEM(got, body, HUGE_SIZE);
                CHECK_EQ(nn_freemsg(got), 0);
            }
            CHECK_CLOSE(from, to);
        }
    free(body);
}

/* ---- streams ---- */

/* Sends numbered messages until one had to wait for that long; the number that were accepted. */
static uint32_t flood(int from, size_t size, int ms)
{
    unsigned char *body = malloc(size);
    uint32_t number = 0;
    int result = (int)size;
    set_int(from, NN_SNDTIMEO, ms);
    while (result == (int)size && (uint64_t)number * size < FLOOD_MAX && number < 2000000) {
        fill_body(body, size, number);
        result = nn_send(from, body, size, 0);
        number += result == (int)size;
    }
    CHECK_EQ(result, -1);
    CHECK_EQ(errno, ETIMEDOUT);
    set_int(from, NN_SNDTIMEO, PATIENCE_MS);
    free(body);
    return number;
}

/* Receives the messages of those numbers, byte by byte. */
static void check_all(int to, size_t size, uint32_t first, uint32_t count)
{
    unsigned char *body = malloc(size + 1);
    for (uint32_t i = first; i < first + count; i++) {
        int got = nn_recv(to, body, size + 1, 0);
        if (got != (int)size || !is_body(body, size, i)) {
            FAIL("message %u of %u of size %zu: received %d", i, count, size, got);
            break;
        }
    }
    free(body);
}

/* protocols 2.8 and 2.9: bounded, and then everything in order. */
static void a_receiver_that_sleeps_bounds_the_sender_and_loses_nothing(void)
{
    static const size_t sizes[] = {1, 100, 1024, 65536, 131072, 1000000};
    for (size_t scheme = 1; scheme < COUNT_OF(SCHEMES); scheme++)
        for (size_t i = 0; i < COUNT_OF(sizes); i++) {
            int push, pull;
            open_buffered(SCHEMES[scheme], AF_SP, WAITING[1], 0, 0, &push, &pull);
            uint32_t accepted = flood(push, sizes[i], 100);
            CHECK_AT_LEAST(accepted, 2);
            /* Two buffers of 128 KiB, which the kernel may double and charge as it likes, and a
             * message at either end: within 4 MiB whatever it does. */
            CHECK_AT_MOST(accepted * sizes[i], (4 << 20) + 2 * sizes[i]);
            CHECK_EQ(nn_get_statistic(push, NN_STAT_MESSAGES_SENT), accepted);
            check_all(pull, sizes[i], 0, accepted);
            CHECK_STR(recv_now(pull), "EAGAIN");
            /* The stream is as good as before. */
            CHECK_SEND(push, "more");
            CHECK_RECV(pull, "more");
            CHECK_CLOSE(push, pull);
        }
}

struct producer {
    int s;
    uint32_t count;
    int failures;
};

static size_t size_of(uint32_t number)
{
    static const size_t sizes[] = {0, 1, 10, 100, 1000, 10000, 50000, 200000};
    return sizes[number * 2654435761u >> 29];
}

static void *produce(void *argument)
{
    struct producer *producer = argument;
    unsigned char *body = malloc(200000);
    for (uint32_t i = 0; i < producer->count; i++) {
        fill_body(body, size_of(i), i);
        if (nn_send(producer->s, body, size_of(i), 0) != (int)size_of(i))
            producer->failures++;
    }
    free(body);
    return NULL;
}

/* protocols 2.1: back-pressure comes and goes many times, and the order stays. */
static void a_receiver_that_naps_gets_everything(void)
{
    for (size_t scheme = 0; scheme < COUNT_OF(SCHEMES); scheme++) {
        int push, pull;
        struct thread thread;
        open_buffered(SCHEMES[scheme], AF_SP, WAITING[1], 20000, 20000, &push, &pull);
        struct producer producer = {push, 1500, 0};
        thread_start(&thread, produce, &producer);
        unsigned char *body = malloc(200001);
        for (uint32_t i = 0; i < producer.count; i++) {
            if (i % 100 == 0)
                nap_ms(5);
            int got = nn_recv(pull, body, 200001, 0);
            if (got != (int)size_of(i) || !is_body(body, size_of(i), i)) {
                FAIL("%s: message %u: received %d", SCHEMES[scheme], i, got);
                break;
            }
        }
        thread_join(&thread);
        CHECK_EQ(producer.failures, 0);
        free(body);
        CHECK_CLOSE(push, pull);
    }
}

/* How many messages of 1024 bytes are accepted with those buffers. */
static uint32_t accepted_with(const char *scheme, int sndbuf, int rcvbuf)
{
    int push, pull;
    open_buffered(scheme, AF_SP, WAITING[1], sndbuf, rcvbuf, &push, &pull);
    uint32_t accepted = flood(push, 1024, 100);
    check_all(pull, 1024, 0, accepted);
    CHECK_CLOSE(push, pull);
    return accepted;
}

enum { SMALL = 8192, BIG = 200000 };

/* protocols 2.8, core 6.4: a larger send buffer accepts more, a smaller less. */
static void the_send_buffer_is_a_budget(void)
{
    for (size_t scheme = 1; scheme < COUNT_OF(SCHEMES); scheme++) {
        uint32_t small = accepted_with(SCHEMES[scheme], SMALL, SMALL);
        uint32_t big = accepted_with(SCHEMES[scheme], BIG, SMALL);
        uint32_t both = accepted_with(SCHEMES[scheme], BIG, BIG);
        uint32_t standard = accepted_with(SCHEMES[scheme], 0, 0);
        CHECK_AT_LEAST(big, 2 * small);
        /* Where the receive buffer has no part in it, the kernel may count a little differently. */
        CHECK_AT_LEAST(both, big - big / 8);
        CHECK_AT_LEAST(standard, 2 * small);
        /* The default of 131072 bytes at either end holds half of it at least. */
        CHECK_AT_LEAST(standard, 64);
    }
}

/* As above for the receive buffer, of which the kernel knows nothing over ipc. */
static void check_receive_buffer(const char *scheme)
{
    uint32_t small = accepted_with(scheme, SMALL, SMALL);
    uint32_t big = accepted_with(scheme, SMALL, BIG);
    CHECK_AT_LEAST(big, 2 * small);
}

static void the_receive_buffer_is_a_budget_over_tcp(void)
{
    check_receive_buffer("tcp");
}

static void the_receive_buffer_is_a_budget_over_ipc(void)
{
    check_receive_buffer("ipc");
}

/* core 6.4: buffers are set when the stream is made. */
static void a_new_budget_is_for_later_streams(void)
{
    for (size_t scheme = 1; scheme < COUNT_OF(SCHEMES); scheme++) {
        int push, pull;
        uint32_t small = accepted_with(SCHEMES[scheme], SMALL, SMALL);
        uint32_t big = accepted_with(SCHEMES[scheme], BIG, BIG);
        open_buffered(SCHEMES[scheme], AF_SP, WAITING[1], SMALL, SMALL, &push, &pull);
        set_int(push, NN_SNDBUF, BIG);
        set_int(pull, NN_RCVBUF, BIG);
        uint32_t accepted = flood(push, 1024, 100);
        CHECK_AT_MOST(accepted, (small + big) / 2);
        check_all(pull, 1024, 0, accepted);
        CHECK_CLOSE(push, pull);
    }
}

/* protocols 2.5 and 2.8: where the rest is dropped, what arrives is in order and whole. */
static void what_is_not_dropped_is_whole(void)
{
    for (size_t scheme = 1; scheme < COUNT_OF(SCHEMES); scheme++)
        for (int way = 0; way < 2; way++) {
            int from, to, got, count = 0;
            enum { SIZE = 30000, SENT = 200 };
            unsigned char body[SIZE];
            uint32_t next = 0;
            open_buffered(SCHEMES[scheme], AF_SP, DROPPING[way], 0, 0, &from, &to);
            for (uint32_t i = 0; i < SENT; i++) {
                fill_body(body, SIZE, i);
                CHECK_EQ(nn_send(from, body, SIZE, 0), SIZE);
            }
            set_int(to, NN_RCVTIMEO, 100);
            while ((got = nn_recv(to, body, SIZE, 0)) == SIZE) {
                while (next < SENT && !is_body(body, SIZE, next))
                    next++;
                CHECK(next++ < SENT);
                count++;
            }
            CHECK_EQ(got, -1);
            /* Two are accepted whatever their size: one in flight, one at the other end. */
            CHECK_AT_LEAST(count, 2);
            CHECK_AT_MOST(count, SENT - 1);
            CHECK_CLOSE(from, to);
        }
}

int main(void)
{
    test_begin("protocols/buffering", 85);
    RUN(inproc_accepts_exactly_what_the_rule_says);
    RUN(inproc_delivers_as_much_where_the_rest_is_dropped);
    RUN(each_receive_makes_room_for_one);
    RUN(mixed_sizes_follow_the_rule);
    RUN(a_header_takes_room);
    RUN(empty_messages_are_bounded);
    RUN(each_pipe_has_its_own_room);
    RUN(only_the_receivers_buffer_counts);
    RUN(a_new_limit_is_for_later_pipes);
    RUN(an_idle_pipe_takes_a_message_of_any_size);
    RUN(a_receiver_that_sleeps_bounds_the_sender_and_loses_nothing);
    RUN(a_receiver_that_naps_gets_everything);
    RUN(the_send_buffer_is_a_budget);
    RUN(the_receive_buffer_is_a_budget_over_tcp);
    RUN(the_receive_buffer_is_a_budget_over_ipc);
    RUN(a_new_budget_is_for_later_streams);
    RUN(what_is_not_dropped_is_whole);
    return test_end();
}
