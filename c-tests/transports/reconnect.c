/* Coming back after a loss, over tcp, ipc and ws: who does, when, and how soon it tries again.
 *
 * The transport is the argument: reconnect tcp, reconnect ipc, reconnect ws. */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/credentials.h"
#include "support/raw-peer.h"
#include "support/raw-stream.h"
#include "support/sockets.h"
#include "support/talk.h"

#include <nanomsg/nn.h>

#include <errno.h>
#include <stdint.h>
#include <unistd.h>

static const char *scheme;

/* An upper bound for what should take no time, generous enough for a busy machine. */
enum { LATE_MS = 2000 };

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

int main(int count, char **words)
{
    scheme = test_begin_with("transports/reconnect", "tcp|ipc|ws|tls+tcp|wss", 58, count, words);
    RUN(a_dialer_finds_a_listener_that_comes_back);
    RUN(a_listener_takes_the_next_dialer);
    RUN(a_listener_that_is_shut_down_ends_its_connections);
    /* A peer made by hand speaks no TLS. */
    if (!is_encrypted(scheme))
        RUN(a_dialer_that_is_shut_down_stays_away);
    RUN(retries_back_off_to_the_maximum);
    RUN(retries_keep_the_interval_without_a_maximum);
    RUN(the_first_retry_is_immediate);
    RUN(a_maximum_below_the_interval_wins);
    RUN(an_interval_of_zero_retries_quickly);
    RUN(the_interval_is_fixed_at_connect);
    return test_end();
}
