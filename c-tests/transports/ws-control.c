/* The control frames of WebSocket: pings, how a connection ends, and who comes back after it. */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/raw-peer.h"
#include "support/raw-stream.h"
#include "support/sockets.h"
#include "support/talk.h"
#include "support/websocket.h"
#include "support/ws-peer.h"

#include <nanomsg/nn.h>

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

/* transports 7.7, reliability P1: answered with the same payload, masked as it must be, while
 * nobody receives; and not delivered. */
static void pings_are_answered(void)
{
    struct raw_sides sides;
    char longest[125];
    raw_open_sides(&sides, "ws");
    raw_greet_sides(&sides);
    memset(longest, 'p', sizeof longest);
    for (int i = 0; i < 2; i++) {
        int own = sides.sockets[i];
        ws_send(sides.fds[i], WS_PING, "", 0);
        CHECK_WS_FRAME(sides.fds[i], WS_PONG, "", 0);
        ws_send(sides.fds[i], WS_PING, longest, sizeof longest);
        CHECK_WS_FRAME(sides.fds[i], WS_PONG, longest, 125);
        ws_send(sides.fds[i], WS_PONG, "unasked", 7);
        /* Between fragments, and behind messages that nobody has received. */
        ws_send(sides.fds[i], WS_BINARY, "unread", 6);
        ws_send(sides.fds[i], 0x01, "\xe2", 1);
        ws_send(sides.fds[i], WS_PING, "amid", 4);
        CHECK_WS_FRAME(sides.fds[i], WS_PONG, "amid", 4);
        ws_send(sides.fds[i], 0x00, "\x82", 1);
        ws_send(sides.fds[i], WS_PONG, "", 0);
        ws_send(sides.fds[i], 0x80, "\xac", 1);
        ws_send(sides.fds[i], WS_PING, "behind", 6);
        CHECK_WS_FRAME(sides.fds[i], WS_PONG, "behind", 6);
        CHECK_RECV(own, "unread");
        CHECK_RECV(own, "\xe2\x82\xac");
        CHECK_ERRNO(nn_recv(own, NULL, 0, NN_DONTWAIT), -1, EAGAIN);
    }
    raw_close_sides(&sides);
}

/* reliability P1: the last of many is answered, messages among them arrive, nothing piles up. */
static void thousands_of_pings_are_survived(void)
{
    struct url url = unique_url("ws");
    unsigned char head[2], payload[125], frame[32];
    int s = bound_pair(url.text), fd = ws_client(url.text), pongs = 0;
    uint32_t number = 0, last = 0;
    for (number = 1; number <= 20000; number++) {
        raw_send(fd, frame, ws_frame(frame, WS_PING, 1, &number, sizeof number));
        if (number % 100 == 0) {
            ws_send(fd, WS_BINARY, &number, sizeof number);
            uint32_t got = 0;
            CHECK_EQ(nn_recv(s, &got, sizeof got, 0), sizeof got);
            CHECK_EQ(got, number);
        }
    }
    while (last < 20000 && ws_recv(fd, head, payload, sizeof payload, PATIENCE_MS) == 4) {
        CHECK_EQ(head[0], WS_PONG);
        CHECK(memcmp(&last, payload, 4) != 0);
        memcpy(&last, payload, 4);
        pongs++;
    }
    CHECK_EQ(last, 20000);
    CHECK_AT_LEAST(pongs, 1);
    CHECK_ERRNO(nn_recv(s, NULL, 0, NN_DONTWAIT), -1, EAGAIN);
    close(fd);
    CHECK_CLOSE(s);
}

/* transports 7.7 */
static void a_close_is_answered_once(void)
{
    static const struct {
        const char *payload;
        size_t size;
        int code;
    } closes[] = {
        {"", 0, 1000}, {"\3\xe8", 2, 1000}, {"\3\xe9 going", 8, 1001}, {"\3\xea", 2, 1002},
        {"\3\xeb", 2, 1003}, {"\3\xef", 2, 1007}, {"\3\xf0", 2, 1008}, {"\3\xf1", 2, 1009},
        {"\3\xf2", 2, 1010}, {"\3\xf3", 2, 1011}, {"\x0b\xb8", 2, 3000}, {"\x13\x87", 2, 4999},
        {"\3\xe7", 2, 1002}, {"\3\xec", 2, 1002}, {"\3\xed", 2, 1002}, {"\3\xee", 2, 1002},
        {"\3\xf4", 2, 1002}, {"\3\xf7", 2, 1002}, {"\x0b\xb7", 2, 1002}, {"\x13\x88", 2, 1002},
        {"\0\0", 2, 1002}, {"\3", 1, 1002}, {"\3\xe8\xff\xfe", 4, 1002},
    };
    struct url url = unique_url("ws");
    int s = bound_pair(url.text);
    for (size_t i = 0; i < COUNT_OF(closes); i++) {
        int fd = ws_client(url.text);
        ws_send(fd, WS_CLOSE, closes[i].payload, closes[i].size);
        ws_send(fd, WS_CLOSE, closes[i].payload, closes[i].size);
        ws_check_close(fd, closes[i].code, "a close");
        close(fd);
    }
    CHECK_EQ(nn_get_statistic(s, NN_STAT_BROKEN_CONNECTIONS), 0);
    check_serves(s, url.text);
    CHECK_CLOSE(s);
}

/* transports 7.7: 50 messages, then a close: 50 are delivered. */
static void what_came_before_a_close_is_delivered(void)
{
    struct url url = unique_url("ws");
    int s = bound_pair(url.text), fd = ws_client(url.text);
    for (uint32_t i = 0; i < 50; i++)
        ws_send(fd, WS_BINARY, &i, sizeof i);
    ws_send(fd, 0x02, "begun and not ended", 19);
    ws_send(fd, WS_CLOSE, "\3\xe8", 2);
    for (uint32_t i = 0; i < 50; i++) {
        uint32_t got = 4242;
        CHECK_EQ(nn_recv(s, &got, sizeof got, 0), sizeof got);
        CHECK_EQ(got, i);
    }
    CHECK_ERRNO(nn_recv(s, NULL, 0, NN_DONTWAIT), -1, EAGAIN);
    ws_check_close(fd, 1000, "a close behind messages");
    close(fd);
    check_serves(s, url.text);
    CHECK_CLOSE(s);
}

/* transports 7.8: no goodbye is said, or dialers of the reference would never come back. */
static void closing_sends_no_close_frame(void)
{
    for (int by_shutdown = 0; by_shutdown < 2; by_shutdown++) {
        struct raw_sides sides;
        char bytes[16];
        raw_open_sides(&sides, "ws");
        raw_greet_sides(&sides);
        ws_send(sides.fds[1], WS_BINARY, "x", 1);
        CHECK_RECV(sides.sockets[1], "x");
        for (int i = 0; i < 2; i++) {
            int s = sides.sockets[i];
            CHECK_EQ(by_shutdown ? nn_shutdown(s, 1) : nn_close(s), 0);
            CHECK_EQ(raw_recv(sides.fds[i], bytes, sizeof bytes, PATIENCE_MS), 0);
            CHECK_EQ(raw_end(sides.fds[i], PATIENCE_MS), RAW_EOF);
            close(sides.fds[i]);
            if (by_shutdown)
                CHECK_CLOSE(s);
        }
        close(sides.listener);
    }
}

/* transports 7.8, core-quirks B-35: after these a dialer comes back. */
static void a_dialer_comes_back_after_a_farewell(void)
{
    static const char *const payloads[] = {"\3\xe8", "\3\xe9", "\3\xf1", ""};
    struct url url = unique_url("ws");
    int listener = raw_listen(url.text), s = open_pair();
    set_int(s, NN_RECONNECT_IVL, 10);
    CHECK_EQ(nn_connect(s, url.text), 1);
    for (int i = 0; i < 4; i++) {
        int fd = ws_server(listener);
        ws_send(fd, WS_CLOSE, payloads[i], strlen(payloads[i]));
        ws_check_close(fd, i < 3 ? 1000 + (i == 1) + 9 * (i == 2) : 1000, "a farewell");
        close(fd);
    }
    int fd = ws_server(listener);
    raw_send(fd, "\x82\x7f\0\0\0\0\0\x10\0\1", 10);
    ws_check_close(fd, 1009, "an oversize message");
    close(fd);
    check_next_is_served(listener, s, url.text);
    close(listener);
    CHECK_CLOSE(s);
}

/* transports 7.8: after those it does not, until it is told to connect again. */
static void a_dialer_stays_away_from_whom_it_cannot_talk_to(void)
{
    for (int violation = 0; violation < 2; violation++) {
        struct url url = unique_url("ws");
        int listener = raw_listen(url.text), s = open_pair();
        set_int(s, NN_RECONNECT_IVL, 10);
        CHECK_EQ(nn_connect(s, url.text), 1);
        int fd = ws_server(listener);
        if (violation)
            raw_send(fd, "\xc2\0", 2);
        else
            ws_send(fd, WS_CLOSE, "\3\xf0", 2);
        ws_check_close(fd, violation ? 1002 : 1008, "no peer for us");
        close(fd);
        CHECK_EQ(raw_accept(listener, 300), -1);
        CHECK_EQ(nn_connect(s, url.text), 2);
        check_next_is_served(listener, s, url.text);
        close(listener);
        CHECK_CLOSE(s);
    }
}

/* transports 7.9 and 8 */
static void statistics_count_what_happened(void)
{
    struct url url = unique_url("ws");
    int s = bound_pair(url.text), fd = ws_client(url.text);
    CHECK_EQ(nn_get_statistic(s, NN_STAT_ACCEPTED_CONNECTIONS), 1);
    CHECK(wait_stat(s, NN_STAT_CURRENT_CONNECTIONS, 1, PATIENCE_MS));
    ws_send(fd, WS_BINARY, "abc", 3);
    CHECK_RECV(s, "abc");
    CHECK_SEND(s, "abcd");
    CHECK_EQ(nn_get_statistic(s, NN_STAT_BYTES_RECEIVED), 3);
    CHECK_EQ(nn_get_statistic(s, NN_STAT_BYTES_SENT), 4);
    close(fd);
    CHECK(wait_stat(s, NN_STAT_BROKEN_CONNECTIONS, 1, PATIENCE_MS));
    CHECK(wait_stat(s, NN_STAT_CURRENT_CONNECTIONS, 0, PATIENCE_MS));
    fd = ws_client(url.text);
    ws_send(fd, WS_CLOSE, "", 0);
    ws_check_close(fd, 1000, "a farewell");
    close(fd);
    CHECK(wait_stat(s, NN_STAT_CURRENT_CONNECTIONS, 0, PATIENCE_MS));
    CHECK_EQ(nn_get_statistic(s, NN_STAT_BROKEN_CONNECTIONS), 1);
    fd = ws_client(url.text);
    CHECK_EQ(nn_shutdown(s, 1), 0);
    CHECK(wait_stat(s, NN_STAT_DROPPED_CONNECTIONS, 1, PATIENCE_MS));
    close(fd);
    CHECK_CLOSE(s);
}

int main(void)
{
    test_begin("transports/ws-control", 58);
    RUN(pings_are_answered);
    RUN(thousands_of_pings_are_survived);
    RUN(a_close_is_answered_once);
    RUN(what_came_before_a_close_is_delivered);
    RUN(closing_sends_no_close_frame);
    RUN(a_dialer_comes_back_after_a_farewell);
    RUN(a_dialer_stays_away_from_whom_it_cannot_talk_to);
    RUN(statistics_count_what_happened);
    return test_end();
}
