/* Two PAIR sockets, each with a thread that sends and a thread that receives at full speed. The
 * sizes and bytes of all messages come from a seeded generator, which the receiver runs as well, so
 * that every byte is checked and nothing can be lost, doubled or out of order unnoticed.
 *
 *   stress SCHEME|URL SECONDS [SEED]
 *
 * With a scheme (inproc, ipc, tcp, ws) an address is made up. SECONDS may be long: try 60. */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/random.h"
#include "support/sockets.h"
#include "support/thread.h"

#include <nanomsg/nn.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIZE_MAX_BODY = 300000, END_SIZE = 24 };

static const char end_mark[16] = "no more messages";

/* Mostly small, sometimes larger than the buffers of the kernel. */
static size_t next_size(uint64_t *state)
{
    uint64_t random = next_random(state);
    unsigned percent = (unsigned)(random % 100);
    uint64_t limit = percent < 70   ? 129
                     : percent < 92 ? 4097
                     : percent < 98 ? 65537
                                    : SIZE_MAX_BODY;
    return (size_t)((random >> 16) % limit);
}

/* The next message of the sequence; `body` has room for SIZE_MAX_BODY and one word more. */
static size_t next_message(uint64_t *state, unsigned char *body)
{
    size_t size = next_size(state);
    for (size_t i = 0; i < size; i += 8) {
        uint64_t word = next_random(state);
        memcpy(body + i, &word, 8);
    }
    return size;
}

struct direction {
    int from;
    int to;
    uint64_t seed;
    int64_t stop_ms;
    uint64_t messages;
    uint64_t bytes;
};

/* In one of the three ways in which a program can send, by turns. */
static int send_somehow(int s, unsigned char *body, size_t size, uint64_t turn)
{
    if (turn % 3 == 0)
        return nn_send(s, body, size, 0);
    if (turn % 3 == 1) {
        struct nn_iovec parts[] = {{body, size / 3}, {body + size / 3, size - size / 3}};
        struct nn_msghdr header = {.msg_iov = parts, .msg_iovlen = 2};
        return nn_sendmsg(s, &header, 0);
    }
    void *chunk = nn_allocmsg(size, 0);
    memcpy(chunk, body, size);
    int result = nn_send(s, &chunk, NN_MSG, 0);
    if (result < 0)
        nn_freemsg(chunk);
    return result;
}

static void *send_all(void *argument)
{
    struct direction *direction = argument;
    unsigned char *body = malloc(SIZE_MAX_BODY + 8);
    unsigned char end[END_SIZE];
    uint64_t state = direction->seed, count = 0;
    while (now_ms() < direction->stop_ms) {
        size_t size = next_message(&state, body);
        REQUIRE(send_somehow(direction->from, body, size, count) == (int)size);
        count++;
    }
    memcpy(end, end_mark, sizeof end_mark);
    memcpy(end + sizeof end_mark, &count, sizeof count);
    REQUIRE(nn_send(direction->from, end, END_SIZE, 0) == END_SIZE);
    free(body);
    return NULL;
}

static void *receive_all(void *argument)
{
    struct direction *direction = argument;
    unsigned char *body = malloc(SIZE_MAX_BODY), *expected = malloc(SIZE_MAX_BODY + 8);
    uint64_t state = direction->seed, sent = 0;
    for (;;) {
        unsigned char *chunk = NULL, *got = body;
        int size;
        if (direction->messages % 2) {
            size = nn_recv(direction->to, &chunk, NN_MSG, 0);
            got = chunk;
        } else {
            size = nn_recv(direction->to, body, SIZE_MAX_BODY, 0);
        }
        REQUIRE(size >= 0);
        int last = size == END_SIZE && memcmp(got, end_mark, sizeof end_mark) == 0;
        if (last)
            memcpy(&sent, got + sizeof end_mark, sizeof sent);
        else
            REQUIRE(next_message(&state, expected) == (size_t)size
                    && memcmp(got, expected, (size_t)size) == 0);
        if (chunk)
            nn_freemsg(chunk);
        if (last)
            break;
        direction->messages++;
        direction->bytes += (uint64_t)size;
    }
    CHECK_EQ(direction->messages, sent);
    free(body);
    free(expected);
    return NULL;
}

static void every_byte_arrives_in_order(const char *address, int seconds, uint64_t seed)
{
    struct thread threads[4];
    int a, b;
    open_pairs(&a, &b, address);
    int64_t stop = now_ms() + seconds * INT64_C(1000);
    struct direction forth = {.from = a, .to = b, .seed = seed * 2 + 1, .stop_ms = stop};
    struct direction back = {.from = b, .to = a, .seed = seed * 2 + 2, .stop_ms = stop};
    thread_start(&threads[0], send_all, &forth);
    thread_start(&threads[1], receive_all, &forth);
    thread_start(&threads[2], send_all, &back);
    thread_start(&threads[3], receive_all, &back);
    /* The threads end by themselves; the timeouts of the sockets see to it. */
    CHECK(wait_until(thread_done(&threads[0]) && thread_done(&threads[1])
                     && thread_done(&threads[2]) && thread_done(&threads[3]),
                     seconds * 1000 + 2 * PATIENCE_MS));
    for (int i = 0; i < 4; i++)
        thread_join(&threads[i]);
    CHECK_AT_LEAST(forth.messages, 1);
    CHECK_AT_LEAST(back.messages, 1);
    printf("%llu and %llu messages, %llu MB, seed %llu\n", (unsigned long long)forth.messages,
           (unsigned long long)back.messages,
           (unsigned long long)((forth.bytes + back.bytes) / 1000000), (unsigned long long)seed);
    CHECK_CLOSE(a, b);
}

int main(int count, char **words)
{
    int seconds = count > 2 ? atoi(words[2]) : 0;
    uint64_t seed = count > 3 ? strtoull(words[3], NULL, 10) : 1;
    if (seconds < 1) {
        fprintf(stderr, "usage: %s inproc|ipc|tcp|ws|URL SECONDS [SEED]\n", words[0]);
        return 2;
    }
    test_begin("transports/stress", seconds + 25);
    struct url url;
    if (strchr(words[1], ':'))
        snprintf(url.text, sizeof url.text, "%s", words[1]);
    else
        url = unique_url(words[1]);
    if (CASE("every_byte_arrives_in_order"))
        every_byte_arrives_in_order(url.text, seconds, seed);
    return test_end();
}
