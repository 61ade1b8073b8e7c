/* The greetings on tcp and ipc, byte for byte, and what becomes of those who do not greet, or not
 * as they should.
 *
 * The transport is the argument: greeting tcp, greeting ipc. */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/raw-peer.h"
#include "support/raw-stream.h"
#include "support/sockets.h"
#include "support/talk.h"

#include <nanomsg/nn.h>

#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *scheme;

enum { HANDSHAKE_MS = 1000, LATE_MS = 4000 };

/* transports 3.1: neither side waits for the other's greeting. */
static void both_sides_greet_at_once(void)
{
    struct raw_sides sides;
    unsigned char bytes[8];
    raw_open_sides(&sides, scheme);
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(raw_recv(sides.fds[i], bytes, 8, PATIENCE_MS), 8);
        CHECK_MEM(bytes, "\0SP\0\0\x10\0\0", 8);
        CHECK_EQ(raw_recv(sides.fds[i], bytes, 1, 20), 0);
    }
    raw_close_sides(&sides);
}

/* transports 3.1: the reserved bytes are not looked at. */
static void reserved_bytes_are_ignored(void)
{
    struct url url = unique_url(scheme);
    unsigned char greeting[8];
    int s = bound_pair(url.text);
    int fd = raw_connect(url.text);
    raw_send(fd, "\0SP\0\0\x10\xff\x01", 8);
    CHECK_EQ(raw_recv(fd, greeting, 8, PATIENCE_MS), 8);
    raw_message(fd, url.text, "hello", 5);
    CHECK_RECV(s, "hello");
    close(fd);
    CHECK_CLOSE(s);
}

static const char bad_greetings[][9] = {
    "\1SP\0\0\x10\0\0", "\xffSP\0\0\x10\0\0", "\0sP\0\0\x10\0\0", "\0Sp\0\0\x10\0\0",
    "\0SP\1\0\x10\0\0", "\0SP\xff\0\x10\0\0", "\0SP\0\0\0\0\0", "\0SP\0\0\x11\0\0",
    "\0SP\0\0\x20\0\0", "\0SP\0\0\x21\0\0", "\0SP\0\0\x30\0\0", "\0SP\0\0\x31\0\0",
    "\0SP\0\0\x50\0\0", "\0SP\0\0\x51\0\0", "\0SP\0\0\x62\0\0", "\0SP\0\0\x63\0\0",
    "\0SP\0\0\x70\0\0", "\0SP\0\x10\0\0\0", "\0SP\0\x10\x10\0\0", "\0SP\0\1\x10\0\0",
    "\0\0\0\0\0\0\0\0", "\xff\xff\xff\xff\xff\xff\xff\xff", "GET / HT", "\x16\3\1\2\0\1\0\1",
};

enum { BAD_GREETINGS = COUNT_OF(bad_greetings) };

/* transports 3.1, core-quirks B-41: greeted all the same, then closed at once and with no reset. */
static void a_listener_closes_after_a_bad_greeting(void)
{
    struct url url = unique_url(scheme);
    int s = bound_pair(url.text), slow = 0;
    for (int i = 0; i < BAD_GREETINGS; i++) {
        unsigned char greeting[8];
        int64_t start = now_ms();
        int fd = raw_connect(url.text);
        CHECK_EQ(raw_recv(fd, greeting, 8, PATIENCE_MS), 8);
        CHECK_MEM(greeting, PAIR_GREETING, 8);
        raw_send(fd, bad_greetings[i], 8);
        CHECK_EQ(raw_end(fd, PATIENCE_MS), RAW_EOF);
        if (now_ms() - start >= HANDSHAKE_MS - 100)
            slow++;
        close(fd);
        if (i % 8 == 0)
            check_serves(s, url.text);
    }
    /* A busy machine may delay one or the other, the time limit would delay them all. */
    CHECK_AT_MOST(slow, BAD_GREETINGS / 2);
    check_serves(s, url.text);
    CHECK_CLOSE(s);
}

/* transports 3.1 and 3.4, core-quirks B-41 */
static void a_dialer_tries_again_after_a_bad_greeting(void)
{
    struct url url = unique_url(scheme);
    int listener = raw_listen(url.text), s = open_pair();
    set_int(s, NN_RECONNECT_IVL, 10);
    CHECK_EQ(nn_connect(s, url.text), 1);
    for (int i = 0; i < BAD_GREETINGS; i++) {
        unsigned char greeting[8];
        int fd = raw_accept(listener, PATIENCE_MS);
        REQUIRE(fd >= 0);
        raw_send(fd, bad_greetings[i], 8);
        CHECK_EQ(raw_recv(fd, greeting, 8, PATIENCE_MS), 8);
        CHECK_EQ(raw_end(fd, PATIENCE_MS), RAW_EOF);
        close(fd);
    }
    check_next_is_served(listener, s, url.text);
    close(listener);
    CHECK_CLOSE(s);
}

/* transports 3.1, reliability P1: cut short at every byte, by an end or by a reset. */
static void a_greeting_may_end_anywhere(void)
{
    struct url url = unique_url(scheme);
    int s = bound_pair(url.text);
    for (size_t size = 0; size < 8; size++)
        for (int reset = 0; reset < 2; reset++) {
            int fd = raw_connect(url.text);
            raw_send(fd, PAIR_GREETING, size);
            if (reset)
                raw_reset(fd);
            else
                close(fd);
        }
    check_serves(s, url.text);
    int fd = raw_connect(url.text);
    raw_send(fd, PAIR_GREETING, 5);
    shutdown(fd, SHUT_WR);
    CHECK_EQ(raw_end(fd, PATIENCE_MS), RAW_EOF);
    close(fd);
    check_serves(s, url.text);
    CHECK_CLOSE(s);
}

/* transports 3.1, reliability P1: the limit is for the whole greeting, however slowly it comes, and
 * those who do not greet do not keep others out. */
static void a_listener_gives_a_greeting_one_second(void)
{
    struct url url = unique_url(scheme);
    int s = bound_pair(url.text), fds[5], ended = 0;
    int64_t start = now_us(), next = start;
    for (int i = 0; i < 5; i++) {
        fds[i] = raw_connect(url.text);
        raw_send(fds[i], PAIR_GREETING, (size_t)(i % 4 * 2));
    }
    check_serves(s, url.text);
    if (now_us() - start < (HANDSHAKE_MS - 100) * 1000)
        CHECK_EQ(raw_end(fds[0], 0), RAW_OPEN);
    /* The last one has begun with nothing and sends a byte now and then, which does not help. */
    for (int sent = 0; ended < 5 && now_us() - start < PATIENCE_MS * INT64_C(1000);) {
        if (now_us() >= next && sent < 7) {
            raw_send(fds[4], PAIR_GREETING + sent++, 1);
            next += 180000;
        }
        for (int i = 0; i < 5; i++) {
            if (fds[i] < 0 || raw_end(fds[i], 2) == RAW_OPEN)
                continue;
            CHECK_NOT_EARLY(start, HANDSHAKE_MS);
            CHECK_AT_MOST(now_us() - start, (HANDSHAKE_MS + LATE_MS) * INT64_C(1000));
            close(fds[i]);
            fds[i] = -1;
            ended++;
        }
    }
    CHECK_EQ(ended, 5);
    check_serves(s, url.text);
    CHECK_CLOSE(s);
}

/* transports 3.1: the dialer's side of the same */
static void a_dialer_gives_a_greeting_one_second(void)
{
    struct url url = unique_url(scheme);
    int listener = raw_listen(url.text), s = open_pair();
    int64_t start = now_us();
    CHECK_EQ(nn_connect(s, url.text), 1);
    int fd = raw_accept(listener, PATIENCE_MS);
    raw_send(fd, PAIR_GREETING, 7);
    CHECK_EQ(raw_end(fd, PATIENCE_MS), RAW_EOF);
    CHECK_NOT_EARLY(start, HANDSHAKE_MS);
    CHECK_AT_MOST(now_us() - start, (HANDSHAKE_MS + LATE_MS) * INT64_C(1000));
    close(fd);
    check_next_is_served(listener, s, url.text);
    close(listener);
    CHECK_CLOSE(s);
}

int main(int count, char **words)
{
    scheme = test_begin_with("transports/greeting", "tcp|ipc", 58, count, words);
    RUN(both_sides_greet_at_once);
    RUN(reserved_bytes_are_ignored);
    RUN(a_listener_closes_after_a_bad_greeting);
    RUN(a_dialer_tries_again_after_a_bad_greeting);
    RUN(a_greeting_may_end_anywhere);
    RUN(a_listener_gives_a_greeting_one_second);
    RUN(a_dialer_gives_a_greeting_one_second);
    return test_end();
}
