/* The messages on tcp and ipc, byte for byte: what a PAIR says and how it takes what it hears, from
 * peers that follow the rules and from peers that do not. After each bad peer a good one must still
 * be served.
 *
 * The transport is the argument: wire tcp, wire ipc. */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/raw-peer.h"
#include "support/raw-stream.h"
#include "support/sockets.h"
#include "support/talk.h"

#include <nanomsg/nn.h>

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *scheme;

/* A raw connection that has exchanged greetings and is the peer: a listener that has not yet
 * noticed the end of the one before refuses it, and it tries again as a dialer would. */
static int raw_peer(int s, struct url url)
{
    int64_t deadline = now_ms() + PATIENCE_MS;
    while (now_ms() < deadline) {
        int fd = raw_connect(url.text);
        uint32_t mark = 0;
        if (raw_greet(fd)) {
            raw_message(fd, url.text, "mark", 4);
            set_int(s, NN_RCVTIMEO, 50);
            int size = nn_recv(s, &mark, 4, 0);
            set_int(s, NN_RCVTIMEO, PATIENCE_MS);
            if (size == 4)
                return fd;
        }
        close(fd);
    }
    FAIL("a raw peer is not served");
    test_abandon();
    return -1;
}

/* How the library ends a connection while nothing can be received: it may look at what has come
 * only when somebody wants it. */
static enum raw_end end_while_receiving(int s, int fd)
{
    enum raw_end end = RAW_OPEN;
    int64_t deadline = now_ms() + PATIENCE_MS;
    while (end == RAW_OPEN && now_ms() < deadline) {
        CHECK_ERRNO(nn_recv(s, NULL, 0, NN_DONTWAIT), -1, EAGAIN);
        end = raw_end(fd, 5);
    }
    return end;
}

/* The exact bytes for the message "hello". */
static size_t hello(unsigned char frame[16])
{
    if (strcmp(scheme, "ipc") == 0) {
        memcpy(frame, "\1\0\0\0\0\0\0\0\5hello", 14);
        return 14;
    }
    memcpy(frame, "\0\0\0\0\0\0\0\5hello", 13);
    return 13;
}

/* Exchanges messages of many sizes with a raw peer that has greeted. */
static void check_frames(int s, int fd, const char *url)
{
    static const size_t sizes[] = {0, 1, 5, 127, 128, 255, 256, 300, 65535, 65536, 70000};
    unsigned char frame[16], bytes[16], prefix[9];
    unsigned char *body = malloc(70000), *got = malloc(70000);
    size_t size = hello(frame);
    CHECK_SEND(s, "hello");
    CHECK_EQ(raw_recv(fd, bytes, size, PATIENCE_MS), size);
    CHECK_MEM(bytes, frame, size);
    raw_send(fd, frame, size);
    CHECK_RECV(s, "hello");
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        size_t used = raw_prefix(url, sizes[i], prefix);
        memset(body, (int)i + 'a', sizes[i]);
        CHECK_EQ(nn_send(s, body, sizes[i], 0), sizes[i]);
        CHECK_EQ(raw_recv(fd, bytes, used, PATIENCE_MS), used);
        CHECK_MEM(bytes, prefix, used);
        CHECK_EQ(raw_recv(fd, got, sizes[i], PATIENCE_MS), sizes[i]);
        CHECK_MEM(got, body, sizes[i]);
        raw_message(fd, url, body, sizes[i]);
        memset(got, 0, 70000);
        CHECK_EQ(nn_recv(s, got, 70000, 0), sizes[i]);
        CHECK_MEM(got, body, sizes[i]);
    }
    CHECK_EQ(raw_recv(fd, bytes, 1, 20), 0);
    free(body);
    free(got);
}

/* transports 3.2 */
static void messages_are_framed_exactly(void)
{
    struct raw_sides sides;
    raw_open_sides(&sides, scheme);
    raw_greet_sides(&sides);
    for (int i = 0; i < 2; i++)
        check_frames(sides.sockets[i], sides.fds[i], sides.url.text);
    raw_close_sides(&sides);
}

/* transports 3.1 and 3.2: one segment or many makes no difference. */
static void the_stream_may_be_cut_anywhere(void)
{
    struct url url = unique_url(scheme);
    unsigned char bytes[8 + 3 * 16];
    size_t size = 8;
    int s = bound_pair(url.text);
    memcpy(bytes, PAIR_GREETING, 8);
    for (int i = 0; i < 3; i++)
        size += hello(bytes + size);
    for (size_t cut = 0; cut <= size; cut++) {
        int fd = raw_connect(url.text);
        unsigned char greeting[8];
        raw_send(fd, bytes, cut);
        CHECK_EQ(raw_recv(fd, greeting, 8, PATIENCE_MS), 8);
        raw_send(fd, bytes + cut, size - cut);
        for (int i = 0; i < 3; i++)
            CHECK_RECV(s, "hello");
        CHECK_ERRNO(nn_recv(s, NULL, 0, NN_DONTWAIT), -1, EAGAIN);
        close(fd);
        /* The end must be noticed before the next peer comes, or that one is refused. */
        CHECK(wait_until(nn_send(s, "", 0, NN_DONTWAIT) == -1, PATIENCE_MS));
    }
    int fd = raw_connect(url.text);
    for (size_t i = 0; i < size; i++) {
        raw_send(fd, bytes + i, 1);
        nap_ms(1);
    }
    for (int i = 0; i < 3; i++)
        CHECK_RECV(s, "hello");
    close(fd);
    CHECK_CLOSE(s);
}

/* transports 3.2, protocols 2.1 */
static void many_messages_may_come_in_one_piece(void)
{
    enum { MESSAGES = 2000 };
    struct url url = unique_url(scheme);
    unsigned char *bytes = malloc(MESSAGES * 16), prefix[9];
    size_t size = 0;
    int s = bound_pair(url.text);
    int fd = raw_peer(s, url);
    for (uint32_t i = 0; i < MESSAGES; i++) {
        size_t used = raw_prefix(url.text, i % 5, prefix);
        memcpy(bytes + size, prefix, used);
        memcpy(bytes + size + used, &i, i % 5);
        size += used + i % 5;
    }
    raw_send(fd, bytes, size);
    for (uint32_t i = 0; i < MESSAGES; i++) {
        uint32_t got = 0;
        CHECK_EQ(nn_recv(s, &got, sizeof got, 0), i % 5);
        CHECK_MEM(&got, &i, i % 5);
    }
    CHECK_ERRNO(nn_recv(s, NULL, 0, NN_DONTWAIT), -1, EAGAIN);
    free(bytes);
    close(fd);
    CHECK_CLOSE(s);
}

/* core-quirks B-41, reliability P1 */
static void garbage_is_dropped(void)
{
    struct url url = unique_url(scheme);
    unsigned char *garbage = malloc(65536);
    int s = bound_pair(url.text);
    for (int round = 0; round < 8; round++) {
        uint32_t seed = (uint32_t)round;
        for (int i = 0; i < 65536; i++) {
            seed = seed * 1664525 + 1013904223;
            garbage[i] = round ? (unsigned char)(seed >> 24) : 0xff;
        }
        /* In every other round it comes behind a good greeting, as messages of absurd lengths. */
        int fd = round % 2 ? raw_peer(s, url) : raw_connect(url.text);
        garbage[0] = 1;
        garbage[1] |= 0x40;
        raw_send(fd, garbage, 65536);
        CHECK_NE(end_while_receiving(s, fd), RAW_OPEN);
        close(fd);
        check_serves(s, url.text);
    }
    CHECK_ERRNO(nn_recv(s, NULL, 0, NN_DONTWAIT), -1, EAGAIN);
    free(garbage);
    CHECK_CLOSE(s);
}

static void check_length_dropped(int s, struct url url, uint64_t length)
{
    unsigned char prefix[9];
    size_t used = raw_prefix(url.text, length, prefix);
    int fd = raw_peer(s, url);
    raw_send(fd, prefix, used);
    test_at(__FILE__, __LINE__);
    if (end_while_receiving(s, fd) != RAW_EOF)
        FAIL("a message of %llu bytes is not refused", (unsigned long long)length);
    close(fd);
    check_serves(s, url.text);
    CHECK_ERRNO(nn_recv(s, NULL, 0, NN_DONTWAIT), -1, EAGAIN);
}

/* transports 3.2, core-quirks B-40: as soon as the length is read, before anything follows it. */
static void a_length_over_the_limit_is_dropped(void)
{
    struct url url = unique_url(scheme);
    int s = bound_pair(url.text);
    check_length_dropped(s, url, 1048577);
    check_length_dropped(s, url, 1 << 30);
    for (int shift = 31; shift < 64; shift += 4)
        check_length_dropped(s, url, UINT64_C(1) << shift);
    check_length_dropped(s, url, INT64_MAX);
    check_length_dropped(s, url, UINT64_MAX - 1);
    check_length_dropped(s, url, UINT64_MAX);
    CHECK_CLOSE(s);
}

/* core-quirks B-39, reliability P1: what is announced is not believed. */
static void an_absurd_length_without_a_limit_is_survived(void)
{
    struct url url = unique_url(scheme);
    unsigned char prefix[9];
    int s = bound_pair(url.text);
    set_int(s, NN_RCVMAXSIZE, -1);
    check_length_dropped(s, url, UINT64_C(1) << 60);
    check_length_dropped(s, url, UINT64_C(1) << 62);
    check_length_dropped(s, url, INT64_MAX);
    check_length_dropped(s, url, UINT64_C(1) << 63);
    check_length_dropped(s, url, UINT64_MAX);
    /* A length that could be is taken for what it is: a message that never comes. */
    for (int shift = 31; shift < 48; shift += 4) {
        int fd = raw_peer(s, url);
        raw_send(fd, prefix, raw_prefix(url.text, UINT64_C(1) << shift, prefix));
        raw_send(fd, "beginning", 9);
        close(fd);
        check_serves(s, url.text);
    }
    CHECK_CLOSE(s);
}

/* transports 3.2, core-quirks B-38 */
static void another_type_byte_is_dropped(void)
{
    static const unsigned char types[] = {0, 2, 3, 0x7f, 0x80, 0xff};
    struct url url = unique_url(scheme);
    int s = bound_pair(url.text);
    for (size_t i = 0; i < sizeof types; i++) {
        unsigned char frame[16];
        int fd = raw_peer(s, url);
        size_t size = hello(frame);
        frame[0] = types[i];
        raw_send(fd, frame, size);
        CHECK_NE(end_while_receiving(s, fd), RAW_OPEN);
        close(fd);
        check_serves(s, url.text);
        CHECK_ERRNO(nn_recv(s, NULL, 0, NN_DONTWAIT), -1, EAGAIN);
    }
    CHECK_CLOSE(s);
}

/* transports 3.2, reliability P1: cut short at every byte, by an end or by a reset. */
static void a_message_may_end_anywhere(void)
{
    struct url url = unique_url(scheme);
    unsigned char frame[16];
    size_t size = hello(frame);
    int s = bound_pair(url.text);
    for (size_t cut = 1; cut < size; cut++)
        for (int reset = 0; reset < 2; reset++) {
            int fd = raw_peer(s, url);
            raw_send(fd, frame, size);
            raw_send(fd, frame, cut);
            CHECK_RECV(s, "hello");
            if (reset)
                raw_reset(fd);
            else
                close(fd);
            CHECK(wait_until(nn_send(s, "", 0, NN_DONTWAIT) == -1, PATIENCE_MS));
            CHECK_ERRNO(nn_recv(s, NULL, 0, NN_DONTWAIT), -1, EAGAIN);
        }
    check_serves(s, url.text);
    CHECK_CLOSE(s);
}

/*
 * protocols 3: a second peer is let go; the first one notices nothing. The reference greets it
 * first. spmsg does not: a peer that is greeted would report messages as sent (reliability P2).
 */
static void a_second_peer_is_let_go(void)
{
    struct url url = unique_url(scheme);
    int s = bound_pair(url.text);
    int first = raw_peer(s, url);
    for (int i = 0; i < 3; i++) {
        int second = raw_connect(url.text);
        CHECK_EQ(raw_greet(second), reference());
        CHECK_EQ(raw_end(second, PATIENCE_MS), RAW_EOF);
        close(second);
        raw_message(first, url.text, "hello", 5);
        CHECK_RECV(s, "hello");
    }
    close(first);
    check_serves(s, url.text);
    CHECK_CLOSE(s);
}

/* Connections that end at once, by an end or a reset; every third one says something before. */
static void check_storm(size_t bytes)
{
    struct url url = unique_url(scheme);
    int s = bound_pair(url.text);
    for (int i = 0; i < 300; i++) {
        int fd = raw_connect(url.text);
        if (i % 3 == 1)
            raw_send(fd, PAIR_GREETING, bytes);
        if (i % 2)
            raw_reset(fd);
        else
            close(fd);
    }
    check_serves(s, url.text);
    CHECK_CLOSE(s);
}

/* reliability P1 */
static void a_storm_of_connections_is_survived(void)
{
    check_storm(7);
}

/* reliability P1: each that greets is a peer for a moment, and none may stay for one. */
static void a_storm_of_peers_is_survived(void)
{
    check_storm(8);
}

int main(int count, char **words)
{
    scheme = test_begin_with("transports/wire", "tcp|ipc", 58, count, words);
    RUN(messages_are_framed_exactly);
    RUN(the_stream_may_be_cut_anywhere);
    RUN(many_messages_may_come_in_one_piece);
    RUN(garbage_is_dropped);
    RUN(a_length_over_the_limit_is_dropped);
    RUN(an_absurd_length_without_a_limit_is_survived);
    RUN(a_message_may_end_anywhere);
    RUN(a_second_peer_is_let_go);
    RUN(a_storm_of_connections_is_survived);
    RUN(a_storm_of_peers_is_survived);
    if (strcmp(scheme, "ipc") == 0)
        RUN(another_type_byte_is_dropped);
    return test_end();
}
