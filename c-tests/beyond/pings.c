/* SPMSG_WS_PING: peers that say nothing are asked, and given up when they do not answer. Those here
 * are made by hand. */

#include "beyond.h"

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/raw-stream.h"
#include "support/sockets.h"
#include "support/talk.h"
#include "support/websocket.h"
#include "support/ws-peer.h"

#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/ws.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The shortest that there is. */
enum { SECOND_MS = 1000, SECOND_US = 1000 * 1000 };

static int set(int s, int level, int option, int value)
{
    return nn_setsockopt(s, level, option, &value, sizeof value);
}

/* A PAIR that asks after a second, and whose events are kept. */
static int asking_pair(void)
{
    int s = open_quick();
    CHECK_EQ(set(s, NN_WS, SPMSG_WS_PING, 1), 0);
    CHECK_OK(spmsg_events(s));
    return s;
}

static void await(int s, int type, int reason)
{
    struct spmsg_event event = next_event(s);
    while (event.type != type && event.type != -1)
        event = next_event(s);
    CHECK_EQ(event.type, type);
    CHECK_EQ(event.reason, reason);
    if (reason == SPMSG_REASON_SILENT) {
        char text[100];
        CHECK_EQ(event.error, ETIMEDOUT);
        spmsg_event_text(&event, text, sizeof text);
        CHECK_STR(text, "the peer has given no sign of life");
    }
}

/* Whether nothing has happened to a connection. */
static void check_untouched(int s)
{
    struct spmsg_event event;
    CHECK_ERRNO(spmsg_next_event(s, &event), -1, EAGAIN);
    CHECK_EQ(nn_get_statistic(s, NN_STAT_CURRENT_CONNECTIONS), 1);
}

static void who_is_silent_is_asked_and_given_up(void)
{
    struct url url = unique_url("ws");
    int s = asking_pair();
    CHECK_OK(nn_bind(s, url.text));
    for (int round = 0; round < 2; round++) {
        int64_t began = now_us();
        int fd = ws_client(url.text);
        await(s, SPMSG_EVENT_CONNECTED, SPMSG_REASON_NONE);
        CHECK_WS_FRAME(fd, WS_PING, "", 0);
        CHECK_NOT_EARLY(began, SECOND_MS);
        CHECK_EQ(raw_end(fd, PATIENCE_MS), RAW_EOF);
        CHECK_NOT_EARLY(began, 2 * SECOND_MS);
        CHECK_AT_MOST(now_us() - began, 4 * SECOND_US);
        await(s, SPMSG_EVENT_DISCONNECTED, SPMSG_REASON_SILENT);
        CHECK_PIPES(s, 0);
        close(fd);
    }
    CHECK_EQ(nn_get_statistic(s, NN_STAT_BROKEN_CONNECTIONS), 2);
    check_serves(s, url.text);
    CHECK_CLOSE(s);
}

static void a_dialer_comes_again(void)
{
    struct url url = unique_url("ws");
    int listener = raw_listen(url.text), s = asking_pair();
    CHECK_OK(nn_connect(s, url.text));
    int fd = ws_server(listener);
    CHECK_WS_FRAME(fd, WS_PING, "", 0);
    int next = ws_server(listener);
    await(s, SPMSG_EVENT_CONNECTED, SPMSG_REASON_NONE);
    await(s, SPMSG_EVENT_DISCONNECTED, SPMSG_REASON_SILENT);
    await(s, SPMSG_EVENT_CONNECTED, SPMSG_REASON_NONE);
    CHECK_SEND(s, "to the next");
    CHECK_WS_FRAME(next, WS_BINARY, "to the next", 11);
    CHECK_CLOSE(s);
    close(fd);
    close(next);
    close(listener);
}

/* A pong, one that nobody has asked for with a payload that nobody has sent, half a frame, a
 * message: each is a sign of life, also one that comes late. */
static void anything_is_an_answer(void)
{
    static const unsigned char half[] = {WS_BINARY, 0x80 | 4, 0, 0, 0, 0, 'h', 'a'};
    struct url url = unique_url("ws");
    int s = asking_pair();
    CHECK_OK(nn_bind(s, url.text));
    int fd = ws_client(url.text);
    await(s, SPMSG_EVENT_CONNECTED, SPMSG_REASON_NONE);
    for (int i = 0; i < 5; i++) {
        CHECK_WS_FRAME(fd, WS_PING, "", 0);
        int64_t asked = now_us();
        if (i == 0)
            ws_send(fd, WS_PONG, "", 0);
        else if (i == 1)
            ws_send(fd, WS_PONG, "garbage", 7);
        else if (i == 2) {
            nap_ms(SECOND_MS * 6 / 10);
            ws_send(fd, WS_PING, "and you?", 8);
            CHECK_WS_FRAME(fd, WS_PONG, "and you?", 8);
            CHECK_AT_LEAST(now_us() - asked, SECOND_US * 6 / 10);
        } else if (i == 3)
            raw_send(fd, half, sizeof half);
        else
            raw_send(fd, "lf", 2);
    }
    CHECK_RECV(s, "half");
    check_untouched(s);
    CHECK_CLOSE(s);
    close(fd);
}

/* Silence is between messages, too, and not where there is none. */
static void who_talks_is_not_asked(void)
{
    struct url url = unique_url("ws");
    int s = asking_pair();
    CHECK_OK(nn_bind(s, url.text));
    int fd = ws_client(url.text);
    for (int i = 0; i < 12; i++) {
        nap_ms(SECOND_MS / 5);
        ws_send(fd, WS_BINARY, "x", 1);
        CHECK_RECV(s, "x");
    }
    CHECK_SEND(s, "nothing but this");
    CHECK_WS_FRAME(fd, WS_BINARY, "nothing but this", 16);
    CHECK_CLOSE(s);
    close(fd);
}

/* What nobody receives is no reason to be silent about, nor to be given up for. */
static void nobody_has_to_receive(void)
{
    static char body[1000];
    struct url url = unique_url("ws");
    int s = asking_pair();
    CHECK_OK(nn_bind(s, url.text));
    int fd = ws_client(url.text);
    await(s, SPMSG_EVENT_CONNECTED, SPMSG_REASON_NONE);
    /* A little: more is read. */
    ws_send(fd, WS_BINARY, "unread", 6);
    CHECK_WS_FRAME(fd, WS_PING, "", 0);
    ws_send(fd, WS_PONG, "", 0);
    CHECK_WS_FRAME(fd, WS_PING, "", 0);
    /* So much that no more is read: an answer would not be seen, and none is asked for. */
    for (int i = 0; i < 100; i++)
        ws_send(fd, WS_BINARY, body, sizeof body);
    for (int i = 0; i < 4; i++) {
        nap_ms(SECOND_MS);
        check_untouched(s);
    }
    CHECK_RECV(s, "unread");
    for (int i = 0; i < 100; i++)
        CHECK_EQ(nn_recv(s, body, sizeof body, 0), sizeof body);
    CHECK_WS_FRAME(fd, WS_PING, "", 0);
    ws_send(fd, WS_BINARY, "here", 4);
    CHECK_RECV(s, "here");
    check_untouched(s);
    CHECK_CLOSE(s);
    close(fd);
}

/* One that does not read cannot answer, and would lose what it has not read. It costs nobody time,
 * and finds whole frames when it does read. */
static void who_does_not_read_is_left_alone(void)
{
    enum { SIZE = 3000 };
    static unsigned char body[SIZE];
    struct url url = unique_url("ws");
    int s = nn_socket(AF_SP, NN_PUSH), sent = 0, got = 0, pings = 0;
    CHECK_EQ(set(s, NN_WS, SPMSG_WS_PING, 1), 0);
    CHECK_OK(spmsg_events(s));
    CHECK_OK(nn_bind(s, url.text));
    int fd = raw_connect(url.text);
    char request[512], head[512];
    ws_request_with(request, sizeof request, "Sec-WebSocket-Protocol: push.sp.nanomsg.org");
    raw_send(fd, request, strlen(request));
    CHECK_AT_LEAST(ws_head(fd, head, sizeof head, PATIENCE_MS), 1);
    await(s, SPMSG_EVENT_CONNECTED, SPMSG_REASON_NONE);
    int64_t last = now_ms();
    while (now_ms() < last + 200)
        if (nn_send(s, body, SIZE, NN_DONTWAIT) == SIZE) {
            sent++;
            last = now_ms();
        }
    for (int i = 0; i < 4; i++) {
        nap_ms(SECOND_MS);
        check_untouched(s);
    }
    while (got < sent || pings == 0) {
        unsigned char first[2];
        long size = ws_recv(fd, first, body, sizeof body, PATIENCE_MS);
        got += first[0] == WS_BINARY && size == SIZE;
        pings += first[0] == WS_PING && size == 0;
        if ((first[0] != WS_BINARY || size != SIZE) && (first[0] != WS_PING || size != 0)) {
            FAIL("frame %02x of %ld bytes behind %d messages", first[0], size, got);
            break;
        }
    }
    CHECK_EQ(got, sent);
    CHECK_CLOSE(s);
    close(fd);
}

/* Without the option an idle connection is left alone, and one that is there already stays as it
 * is. */
static void only_who_wants_it_asks(void)
{
    struct url url = unique_url("ws"), other = unique_url("tcp");
    int s = bound_pair(url.text), fd = ws_client(url.text);
    CHECK_EQ(get_int(s, NN_WS, SPMSG_WS_PING), 0);
    CHECK_EQ(set(s, NN_WS, SPMSG_WS_PING, 1), 0);
    CHECK_EQ(get_int(s, NN_WS, SPMSG_WS_PING), 1);
    CHECK_ERRNO(set(s, NN_WS, SPMSG_WS_PING, -1), -1, EINVAL);
    CHECK_ERRNO(set(s, NN_WS, SPMSG_WS_PING, 32768), -1, EINVAL);
    CHECK_EQ(get_int(s, NN_WS, SPMSG_WS_PING), 1);
    /* tcp has no such thing. */
    int here = asking_pair(), there = open_pair();
    CHECK_OK(nn_bind(here, other.text));
    CHECK_OK(nn_connect(there, other.text));
    await(here, SPMSG_EVENT_CONNECTED, SPMSG_REASON_NONE);
    nap_ms(SECOND_MS * 5 / 2);
    check_silence(fd);
    check_untouched(here);
    CHECK_CLOSE(s, here, there);
    close(fd);
}

/* Two that ask each other, and one that does not know of it, stay together however long they are
 * silent. */
static void sockets_answer_by_themselves(void)
{
    struct url url = unique_url("ws"), other = unique_url("ws");
    int a = asking_pair(), b = asking_pair(), c = asking_pair(), d = open_pair();
    CHECK_OK(nn_bind(a, url.text));
    CHECK_OK(nn_connect(b, url.text));
    CHECK_OK(nn_bind(d, other.text));
    CHECK_OK(nn_connect(c, other.text));
    int all[] = {a, b, c};
    for (int i = 0; i < 3; i++)
        await(all[i], SPMSG_EVENT_CONNECTED, SPMSG_REASON_NONE);
    nap_ms(SECOND_MS * 7 / 2);
    for (int i = 0; i < 3; i++)
        check_untouched(all[i]);
    CHECK_TALK(a, b);
    CHECK_TALK(c, d);
    CHECK_CLOSE(a, b, c, d);
}

int main(void)
{
    test_begin("beyond/pings", 100);
    RUN(who_is_silent_is_asked_and_given_up);
    RUN(a_dialer_comes_again);
    RUN(anything_is_an_answer);
    RUN(who_talks_is_not_asked);
    RUN(nobody_has_to_receive);
    RUN(who_does_not_read_is_left_alone);
    RUN(only_who_wants_it_asks);
    RUN(sockets_answer_by_themselves);
    return test_end();
}
