/* PUB says everything to everybody and waits for nobody (protocols 2.5, 6.1). */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/random.h"
#include "support/raw-peer.h"
#include "support/raw-stream.h"
#include "support/sockets.h"
#include "support/talk.h"

#include <nanomsg/nn.h>
#include <nanomsg/pubsub.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* protocols 2.5 and 6.1: everybody gets everything, whoever bound and whoever connected. */
static void everybody_hears_everything(void)
{
    for (size_t scheme = 0; scheme < COUNT_OF(SCHEMES); scheme++)
        for (int way = 0; way < 4; way++) {
            enum { SUBSCRIBERS = 3 };
            int pub = open_socket(DOMAINS[way % 2], NN_PUB), subs[SUBSCRIBERS];
            struct url url = unique_url(SCHEMES[scheme]);
            if (way < 2)
                CHECK_OK(nn_bind(pub, url.text));
            for (int i = 0; i < SUBSCRIBERS; i++) {
                subs[i] = open_socket(DOMAINS[(way + i) % 2], NN_SUB);
                subscribe(subs[i], i == 0 ? "" : i == 1 ? "news" : "weather");
                if (way < 2) {
                    join(subs[i], 0, pub, (uint64_t)i, url.text);
                } else {
                    url = unique_url(SCHEMES[scheme]);
                    CHECK_OK(nn_bind(subs[i], url.text));
                    join(pub, (uint64_t)i, subs[i], 0, url.text);
                }
            }
            CHECK_SEND(pub, "news: one");
            CHECK_SEND(pub, "weather: wet");
            CHECK_SEND(pub, "sports: none");
            CHECK_RECV(subs[0], "news: one");
            CHECK_RECV(subs[0], "weather: wet");
            CHECK_RECV(subs[0], "sports: none");
            CHECK_RECV(subs[1], "news: one");
            CHECK_RECV(subs[2], "weather: wet");
            for (int i = 0; i < SUBSCRIBERS; i++)
                CHECK_STR(recv_now(subs[i]), "EAGAIN");
            CHECK_EQ(nn_get_statistic(pub, NN_STAT_MESSAGES_SENT), 3);
            CHECK_EQ(nn_get_statistic(pub, NN_STAT_BYTES_SENT), 9 + 12 + 12);
            close_sockets(subs, SUBSCRIBERS);
            CHECK_CLOSE(pub);
        }
}

/* protocols 6.2: one subscriber of several publishers takes from each in turn (2.4). */
static void a_subscriber_hears_several_publishers_by_turns(void)
{
    for (int d = 0; d < 2; d++) {
        struct url url = unique_url("inproc");
        int sub = open_socket(DOMAINS[d], NN_SUB), pubs[3];
        char text[4] = "";
        subscribe(sub, "");
        CHECK_OK(nn_bind(sub, url.text));
        for (int i = 0; i < 3; i++)
            pubs[i] = open_connected(AF_SP, NN_PUB, url.text);
        for (int i = 0; i < 3; i++)
            for (int k = 0; k < 4; k++) {
                snprintf(text, sizeof text, "%c%d", 'A' + i, k);
                CHECK_EQ(send_now(pubs[i], text), 2);
            }
        for (int k = 0; k < 4; k++)
            for (int i = 0; i < 3; i++) {
                snprintf(text, sizeof text, "%c%d", 'A' + i, k);
                CHECK_STR(recv_now(sub), text);
            }
        CHECK_STR(recv_now(sub), "EAGAIN");
        close_sockets(pubs, 3);
        CHECK_CLOSE(sub);
    }
}

/* protocols 2.5 and 2.8: the newest is dropped, only where there is no room, without a word; the
 * others miss nothing. */
static void only_the_full_subscriber_misses_the_newest(void)
{
    for (int d = 0; d < 2; d++) {
        struct url url = unique_url("inproc");
        int pub = open_socket(DOMAINS[d], NN_PUB);
        CHECK_OK(nn_bind(pub, url.text));
        int slow = open_socket(DOMAINS[d], NN_SUB), quick = open_socket(DOMAINS[d], NN_SUB);
        uint32_t number, got, body[250] = {0};
        subscribe(slow, "");
        subscribe(quick, "");
        CHECK_OK(nn_connect(slow, url.text));
        CHECK_OK(nn_connect(quick, url.text));
        for (number = 0; number < 500; number++) {
            body[0] = number;
            CHECK_EQ(nn_send(pub, body, sizeof body, 0), sizeof body);
            CHECK_EQ(nn_recv(quick, &got, sizeof got, NN_DONTWAIT), sizeof body);
            CHECK_EQ(got, number);
        }
        /* core-quirks */
        CHECK_EQ(nn_get_statistic(pub, NN_STAT_MESSAGES_SENT), 500);
        CHECK_EQ(nn_get_statistic(pub, NN_STAT_BYTES_SENT), 500 * sizeof body);
        for (uint32_t i = 0; i < 132; i++) {
            CHECK_EQ(nn_recv(slow, &got, sizeof got, NN_DONTWAIT), sizeof body);
            CHECK_EQ(got, i);
        }
        CHECK_STR(recv_now(slow), "EAGAIN");
        /* It is served again when it has drained. */
        CHECK_EQ(send_now(pub, "again"), 5);
        CHECK_STR(recv_now(slow), "again");
        CHECK_STR(recv_now(quick), "again");
        CHECK_CLOSE(pub, slow, quick);
    }
}

/* protocols 2.8: what a subscriber over a stream that does not read gets later is in order; what
 * was sent before anything was dropped is whole; and publishing to it resumes. */
static void a_subscriber_that_slept_is_served_again(void)
{
    for (size_t scheme = 1; scheme < COUNT_OF(SCHEMES); scheme++) {
        struct url url = unique_url(SCHEMES[scheme]);
        int pub = open_bound(AF_SP, NN_PUB, url.text), sub = open_socket(AF_SP, NN_SUB);
        uint32_t body[250] = {0}, next = 0, count = 0, got;
        subscribe(sub, "");
        join(sub, 0, pub, 0, url.text);
        for (uint32_t i = 0; i < 5000; i++) {
            body[0] = i;
            CHECK_EQ(nn_send(pub, body, sizeof body, 0), sizeof body);
        }
        CHECK_EQ(nn_get_statistic(pub, NN_STAT_MESSAGES_SENT), 5000);
        set_int(sub, NN_RCVTIMEO, 200);
        while (nn_recv(sub, body, sizeof body, 0) == sizeof body) {
            CHECK_AT_LEAST(body[0], next);
            /* Both budgets are 128 KiB: what fits one of them never is dropped. */
            if (count < 100)
                CHECK_EQ(body[0], count);
            next = body[0] + 1;
            count++;
        }
        CHECK_AT_LEAST(count, 100);
        CHECK_AT_MOST(count, 4999);
        body[0] = 5000;
        CHECK_EQ(nn_send(pub, body, sizeof body, 0), sizeof body);
        set_int(sub, NN_RCVTIMEO, PATIENCE_MS);
        CHECK_EQ(nn_recv(sub, &got, sizeof got, 0), sizeof body);
        CHECK_EQ(got, 5000);
        CHECK_CLOSE(pub, sub);
    }
}

/* Publishes bursts of `count` messages of that size and receives each burst before the next. */
static void check_bursts(const char *scheme, size_t size, uint32_t count, int bursts)
{
    struct url url = unique_url(scheme);
    int pub = open_bound(AF_SP, NN_PUB, url.text), sub = open_socket(AF_SP, NN_SUB);
    unsigned char *body = malloc(size), *got = malloc(size);
    uint32_t number = 0;
    subscribe(sub, "");
    join(sub, 0, pub, 0, url.text);
    for (int burst = 0; burst < bursts; burst++) {
        uint32_t first = number, missed = 0;
        for (; number < first + count; number++) {
            fill_body(body, size, number);
            CHECK_EQ(nn_send(pub, body, size, 0), size);
        }
        for (uint32_t i = first; i < number && !missed; i++)
            if (nn_recv(sub, got, size, 0) != (int)size || !is_body(got, size, i))
                missed = i - first + 1;
        if (missed) {
            FAIL("%s: message %u of %u of %zu bytes in burst %d is missing", scheme, missed, count,
                 size, burst);
            break;
        }
    }
    free(body);
    free(got);
    CHECK_CLOSE(pub, sub);
}

/* protocols 2.8: over inproc the receive buffer alone decides, to the byte. */
static void a_burst_that_fits_is_heard_over_inproc(void)
{
    check_bursts("inproc", 1, 131072, 2);
    check_bursts("inproc", 16, 8192, 10);
    check_bursts("inproc", 100, 1311, 20);
    check_bursts("inproc", 1000, 132, 50);
    check_bursts("inproc", 65535, 3, 50);
    check_bursts("inproc", 131072, 2, 50);
}

/* reliability P2: a subscriber that keeps up never misses a burst that fits NN_SNDBUF + NN_RCVBUF,
 * 128 KiB each, with the bytes in front of each message counted. */
static void check_bursts_that_fit(const char *scheme)
{
    static const size_t sizes[] = {1, 20, 100, 1000, 5000, 65536};
    for (size_t i = 0; i < COUNT_OF(sizes); i++)
        check_bursts(scheme, sizes[i], (uint32_t)(2 * 131072 / (sizes[i] + 9)), 20);
}

static void a_burst_that_fits_is_heard_over_ipc(void)
{
    check_bursts_that_fit("ipc");
}

static void a_burst_that_fits_is_heard_over_tcp(void)
{
    check_bursts_that_fit("tcp");
}

/* protocols 2.10 and 2.5: the others do not notice that one leaves. */
static void a_subscriber_that_leaves_disturbs_nobody(void)
{
    for (size_t scheme = 0; scheme < COUNT_OF(SCHEMES); scheme++) {
        struct url url = unique_url(SCHEMES[scheme]);
        int pub = open_bound(AF_SP, NN_PUB, url.text), stays = open_socket(AF_SP, NN_SUB);
        char text[16];
        subscribe(stays, "");
        join(stays, 0, pub, 0, url.text);
        for (int i = 0; i < 30; i++) {
            int leaves = open_socket(AF_SP, NN_SUB);
            subscribe(leaves, "");
            join(leaves, 0, pub, 1, url.text);
            snprintf(text, sizeof text, "both %d", i);
            CHECK_SEND(pub, text);
            if (i % 2)
                CHECK_RECV(leaves, text);
            CHECK_CLOSE(leaves);
            CHECK_RECV(stays, text);
            snprintf(text, sizeof text, "one %d", i);
            CHECK_SEND(pub, text);
            CHECK_RECV(stays, text);
            CHECK_PIPES(pub, 1);
        }
        CHECK_CLOSE(pub, stays);
    }
}

/* ---- the wire ---- */

/* protocols 6.1, 6.2 and 14: a publisher sends to whoever greets as SUB; nobody tells it topics. */
static void the_bytes_on_the_wire(void)
{
    for (size_t scheme = 1; scheme < COUNT_OF(SCHEMES); scheme++)
        for (int d = 0; d < 2; d++) {
            check_says_bodies(DOMAINS[d], NN_PUB, NN_SUB, SCHEMES[scheme]);
            struct url url = unique_url(SCHEMES[scheme]);
            int sub = open_socket(DOMAINS[d], NN_SUB);
            CHECK_OK(nn_bind(sub, url.text));
            int fd = raw_join(sub, url.text, NN_PUB, NN_SUB);
            subscribe(sub, "h");
            raw_message(fd, url.text, "lo", 2);
            raw_message(fd, url.text, "hi", 2);
            raw_message(fd, url.text, "", 0);
            CHECK_RECV(sub, "hi");
            CHECK_EQ(nn_setsockopt(sub, NN_SUB, NN_SUB_UNSUBSCRIBE, "h", 1), 0);
            check_silence(fd);
            close(fd);
            CHECK_CLOSE(sub);
        }
}

/* A subscriber of the library hears the publisher. */
static void check_published(int pub, int sub, const char *text)
{
    CHECK_SEND(pub, text);
    CHECK_RECV(sub, text);
}

/* protocols 6.1 and 13, core-quirks B-37, reliability P1: it is read and discarded, or the pipe is
 * closed; the publisher lives and goes on for everybody else. */
static void a_subscriber_that_talks_is_survived(void)
{
    for (size_t scheme = 1; scheme < COUNT_OF(SCHEMES); scheme++)
        for (int d = 0; d < 2; d++) {
            struct url url = unique_url(SCHEMES[scheme]);
            int pub = open_socket(DOMAINS[d], NN_PUB), sub = open_socket(AF_SP, NN_SUB);
            unsigned char big[70000] = {0}, prefix[9];
            CHECK_OK(nn_bind(pub, url.text));
            subscribe(sub, "");
            join(sub, 0, pub, 0, url.text);
            for (int way = 0; way < 5; way++) {
                int fd = raw_connect(url.text);
                CHECK(raw_greet_as(fd, NN_SUB, NN_PUB));
                check_published(pub, sub, "before");
                if (way < 3) {
                    for (int i = 0; i < (way == 1 ? 1000 : 1); i++)
                        raw_message(fd, url.text, "talk", 4);
                    if (way == 2)
                        raw_message(fd, url.text, big, sizeof big);
                } else {
                    size_t used = raw_prefix(url.text, way == 3 ? UINT64_MAX : 1000, prefix);
                    raw_send(fd, prefix, used);
                }
                for (int i = 0; i < 20; i++)
                    check_published(pub, sub, "after");
                close(fd);
                check_published(pub, sub, "later");
            }
            CHECK(wait_stat(pub, NN_STAT_CURRENT_CONNECTIONS, 1, PATIENCE_MS));
            CHECK_CLOSE(pub, sub);
        }
}

/* ---- large messages to many ---- */

enum { CROWD = 8, LARGE = 1 << 20 };

/* Each of the crowd gets the whole body, in memory that is its own (core 5.3). */
static void check_crowd(int pub, const int *subs, uint32_t number)
{
    for (int i = 0; i < CROWD; i++) {
        unsigned char *got = NULL;
        CHECK_EQ(nn_recv(subs[i], &got, NN_MSG, 0), LARGE);
        REQUIRE(got != NULL);
        if (!is_body(got, LARGE, number))
            FAIL("subscriber %d did not get the bytes that were sent", i);
        /* If others shared these bytes, they would not be whole. */
        memset(got, 0xdd, LARGE);
        CHECK_EQ(nn_freemsg(got), 0);
    }
    CHECK_EQ(nn_get_statistic(pub, NN_STAT_BYTES_SENT), (uint64_t)LARGE * number);
}

static void open_crowd(const char *scheme, int domain, int *pub, int *subs)
{
    struct url url = unique_url(scheme);
    *pub = open_socket(domain, NN_PUB);
    CHECK_OK(nn_bind(*pub, url.text));
    for (int i = 0; i < CROWD; i++) {
        subs[i] = open_socket(domain, NN_SUB);
        subscribe(subs[i], "");
        join(subs[i], 0, *pub, (uint64_t)i, url.text);
    }
}

/* protocols 2.5, core 5.3 */
static void a_large_body_reaches_everybody_whole(void)
{
    unsigned char *body = malloc(LARGE);
    for (size_t scheme = 0; scheme < COUNT_OF(SCHEMES); scheme++)
        for (int d = 0; d < 2; d++) {
            int pub, subs[CROWD];
            open_crowd(SCHEMES[scheme], DOMAINS[d], &pub, subs);
            for (uint32_t number = 1; number <= 6; number++) {
                fill_body(body, LARGE, number);
                if (number % 2) {
                    unsigned char *chunk = nn_allocmsg(LARGE, 0);
                    memcpy(chunk, body, LARGE);
                    CHECK_EQ(nn_send(pub, &chunk, NN_MSG, 0), LARGE);
                } else {
                    struct nn_iovec parts[2] = {{body, 1000}, {body + 1000, LARGE - 1000}};
                    struct nn_msghdr message = {parts, 2, NULL, 0};
                    CHECK_EQ(nn_sendmsg(pub, &message, 0), LARGE);
                    /* The caller's memory is its own again at once. */
                    memset(body, 0xee, LARGE);
                }
                check_crowd(pub, subs, number);
            }
            close_sockets(subs, CROWD);
            CHECK_CLOSE(pub);
        }
    free(body);
}

/* core 5.3: what one of them received can be sent on, grown and freed while others still read. */
static void a_received_body_belongs_to_its_receiver(void)
{
    for (size_t scheme = 0; scheme < COUNT_OF(SCHEMES); scheme++) {
        int pub, subs[CROWD];
        unsigned char *body = malloc(LARGE), *got[CROWD];
        open_crowd(SCHEMES[scheme], AF_SP, &pub, subs);
        fill_body(body, LARGE, 1);
        CHECK_EQ(nn_send(pub, body, LARGE, 0), LARGE);
        for (int i = 0; i < CROWD; i++)
            CHECK_EQ(nn_recv(subs[i], &got[i], NN_MSG, 0), LARGE);
        CHECK_EQ(nn_freemsg(got[0]), 0);
        got[1] = nn_reallocmsg(got[1], 2 * LARGE);
        REQUIRE(got[1] != NULL);
        CHECK(is_body(got[1], LARGE, 1));
        memset(got[1], 1, 2 * LARGE);
        CHECK(nn_reallocmsg(got[2], 10) == got[2]);
        memset(got[2], 2, 10);
        close_sockets(subs, CROWD);
        for (int i = 3; i < CROWD; i++)
            CHECK(is_body(got[i], LARGE, 1));
        for (int i = 1; i < CROWD; i++)
            CHECK_EQ(nn_freemsg(got[i]), 0);
        CHECK_CLOSE(pub);
        free(body);
    }
}

int main(void)
{
    test_begin("protocols/pubsub", 85);
    RUN(everybody_hears_everything);
    RUN(a_subscriber_hears_several_publishers_by_turns);
    RUN(only_the_full_subscriber_misses_the_newest);
    RUN(a_subscriber_that_slept_is_served_again);
    RUN(a_burst_that_fits_is_heard_over_inproc);
    RUN(a_burst_that_fits_is_heard_over_ipc);
    RUN(a_burst_that_fits_is_heard_over_tcp);
    RUN(a_subscriber_that_leaves_disturbs_nobody);
    RUN(the_bytes_on_the_wire);
    RUN(a_subscriber_that_talks_is_survived);
    RUN(a_large_body_reaches_everybody_whole);
    RUN(a_received_body_belongs_to_its_receiver);
    return test_end();
}
