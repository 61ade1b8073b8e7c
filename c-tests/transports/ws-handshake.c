/* The handshake of WebSocket: what is said on the wire, byte for byte, what else is taken for a
 * request, and what comes of a handshake that fails or is late. */

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

#include <nanomsg/bus.h>
#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/pubsub.h>
#include <nanomsg/reqrep.h>
#include <nanomsg/survey.h>

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { HANDSHAKE_MS = 5000, LATE_MS = 4000 };

/* transports 7.3 */
static void a_dialer_asks_exactly_like_this(void)
{
    static const char *const paths[][2] = {{"", "/"}, {"/", "/"}, {"/a/b?c=d", "/a/b?c=d"}};
    char keys[3][25] = {{0}};
    for (int i = 0; i < 3; i++) {
        struct url url = unique_url("ws"), address;
        int listener = raw_listen(url.text), s = open_pair();
        char head[1024], expected[1024];
        snprintf(address.text, sizeof address.text, "%.90s%s", url.text, paths[i][0]);
        CHECK_EQ(nn_connect(s, address.text), 1);
        int fd = raw_accept(listener, PATIENCE_MS);
        CHECK(ws_head(fd, head, sizeof head, PATIENCE_MS) > 0);
        const char *key = strstr(head, "Key: ");
        REQUIRE(key != NULL);
        memcpy(keys[i], key + 5, 24);
        snprintf(expected, sizeof expected,
                 "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n"
                 "Sec-WebSocket-Protocol: " WS_TOKEN "\r\n\r\n", paths[i][1], url.text + 5,
                 keys[i]);
        CHECK_STR(head, expected);
        CHECK_STR(keys[i] + 22, "==");
        close(fd);
        close(listener);
        CHECK_CLOSE(s);
    }
    /* The reference draws them from so little that two in a row are the same now and then. */
    if (!reference())
        CHECK(strcmp(keys[0], keys[1]) != 0 && strcmp(keys[1], keys[2]) != 0);
}

/* transports 7.2: the token names the server's type. */
static void every_socket_type_has_its_token(void)
{
    static const struct {
        int type;
        const char *name;
    } types[] = {
        {NN_PAIR, "pair"}, {NN_REQ, "rep"}, {NN_REP, "req"}, {NN_PUB, "sub"}, {NN_SUB, "pub"},
        {NN_SURVEYOR, "respondent"}, {NN_RESPONDENT, "surveyor"}, {NN_PUSH, "pull"},
        {NN_PULL, "push"}, {NN_BUS, "bus"},
    };
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        struct url url = unique_url("ws");
        char head[1024], line[80];
        int listener = raw_listen(url.text), s = nn_socket(AF_SP, types[i].type);
        REQUIRE(s >= 0);
        CHECK_EQ(nn_connect(s, url.text), 1);
        int fd = raw_accept(listener, PATIENCE_MS);
        CHECK(ws_head(fd, head, sizeof head, PATIENCE_MS) > 0);
        snprintf(line, sizeof line, "Sec-WebSocket-Protocol: %s.sp.nanomsg.org\r\n", types[i].name);
        CHECK(strstr(head, line) != NULL);
        close(fd);
        close(listener);
        CHECK_CLOSE(s);
    }
}

/* transports 7.4: in one piece, cut anywhere, byte by byte, and with frames behind it. */
static void a_listener_answers_exactly_like_this(void)
{
    struct url url = unique_url("ws");
    unsigned char frames[64];
    int s = bound_pair(url.text);
    size_t size = sizeof WS_REQUEST - 1, used = ws_frame(frames, WS_BINARY, 1, "early", 5);
    used += ws_frame(frames + used, WS_BINARY, 1, "bird", 4);
    for (size_t cut = 1; cut < size; cut += 13) {
        char head[1024];
        int fd = raw_connect(url.text);
        raw_send(fd, WS_REQUEST, cut);
        nap_ms(1);
        raw_send(fd, WS_REQUEST + cut, size - cut);
        raw_send(fd, frames, used);
        CHECK(ws_head(fd, head, sizeof head, PATIENCE_MS) > 0);
        CHECK_STR(head, WS_RESPONSE);
        CHECK_RECV(s, "early");
        CHECK_RECV(s, "bird");
        ws_send(fd, WS_CLOSE, "\3\xe8", 2);
        ws_check_close(fd, 1000, "a farewell");
        close(fd);
    }
    int fd = raw_connect(url.text);
    for (size_t i = 0; i < size; i++) {
        raw_send(fd, WS_REQUEST + i, 1);
        if (i % 16 == 0)
            nap_ms(1);
    }
    raw_send(fd, frames, used);
    CHECK_RECV(s, "early");
    close(fd);
    CHECK_CLOSE(s);
}

/* transports 7.4, interop 5 */
static void check_accepted(const char *const *lines)
{
    struct url url = unique_url("ws");
    static char request[32768];
    char head[1024];
    int s = bound_pair(url.text);
    for (; *lines; lines++) {
        int fd = raw_connect(url.text);
        ws_request_with(request, sizeof request, *lines);
        raw_send(fd, request, strlen(request));
        test_at(__FILE__, __LINE__);
        if (ws_head(fd, head, sizeof head, PATIENCE_MS) == 0
            || strncmp(head, "HTTP/1.1 101 ", 13) != 0)
            FAIL("not accepted: %.100s", *lines);
        ws_send(fd, WS_BINARY, "x", 1);
        CHECK_RECV(s, "x");
        ws_send(fd, WS_CLOSE, "\3\xe8", 2);
        ws_check_close(fd, 1000, *lines);
        close(fd);
    }
    CHECK_CLOSE(s);
}

static void requests_may_be_spelled_differently(void)
{
    static const char *const lines[] = {
        "Origin: http://example.org", "A-Line-Without-Colon", "Upgrade: WebSocket",
        "Connection: keep-alive, Upgrade", "Sec-WebSocket-Protocol: PAIR.SP.nanomsg.org",
        "Sec-WebSocket-Extensions: permessage-deflate", NULL,
    };
    check_accepted(lines);
}

/* transports 7.4, where it differs from the reference */
static void requests_may_have_lists_and_be_long(void)
{
    static char cookie[8100] = "Cookie: ";
    static const char *const lines[] = {
        "Sec-WebSocket-Protocol: chat, " WS_TOKEN, "Connection:\tUpgrade\t", cookie, NULL,
    };
    memset(cookie + 8, 'c', sizeof cookie - 9);
    check_accepted(lines);
}

/* transports 7.4: only PAIR may be asked without a token, and says none then. */
static void a_pair_needs_no_token(void)
{
    struct url url = unique_url("ws"), other = unique_url("ws");
    static const char request[] = WS_REQUEST_WITHOUT_TOKEN "\r\n";
    char head[1024];
    int s = bound_pair(url.text), rep = nn_socket(AF_SP, NN_REP);
    CHECK_EQ(nn_bind(rep, other.text), 1);
    int fd = raw_connect(url.text);
    raw_send(fd, request, sizeof request - 1);
    CHECK(ws_head(fd, head, sizeof head, PATIENCE_MS) > 0);
    CHECK(strncmp(head, "HTTP/1.1 101 ", 13) == 0);
    CHECK(strstr(head, "Sec-WebSocket-Protocol") == NULL);
    ws_send(fd, WS_BINARY, "hello", 5);
    CHECK_RECV(s, "hello");
    close(fd);
    fd = raw_connect(other.text);
    raw_send(fd, request, sizeof request - 1);
    CHECK(ws_head(fd, head, sizeof head, PATIENCE_MS) > 0);
    CHECK(strncmp(head, "HTTP/1.1 400 ", 13) == 0);
    CHECK_EQ(raw_end(fd, PATIENCE_MS), RAW_EOF);
    close(fd);
    CHECK_CLOSE(rep, s);
}

/* transports 7.4 and 7.5: in one case, because each of them takes five seconds. */
static void a_handshake_has_five_seconds(void)
{
    struct url url = unique_url("ws"), busy = unique_url("ws"), silent = unique_url("ws");
    char head[512];
    int a, b, fds[3], s = bound_pair(url.text);
    int dialer = open_pair(), listener = raw_listen(silent.text);
    open_pairs(&a, &b, busy.text);
    int64_t start = now_us();
    CHECK_EQ(nn_connect(dialer, silent.text), 1);
    fds[0] = raw_connect(url.text);
    fds[1] = raw_connect(url.text);
    raw_send(fds[1], WS_REQUEST, sizeof WS_REQUEST - 3);
    fds[2] = raw_accept(listener, PATIENCE_MS);
    /* One that a PAIR has no use for is kept waiting, and then told so. */
    int unwanted = raw_connect(busy.text);
    raw_send(unwanted, WS_REQUEST, sizeof WS_REQUEST - 1);
    check_serves(s, url.text);
    CHECK_TALK(a, b);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(raw_end(fds[i], PATIENCE_MS), RAW_EOF);
        CHECK_NOT_EARLY(start, HANDSHAKE_MS);
        CHECK_AT_MOST(now_us() - start, (HANDSHAKE_MS + LATE_MS) * INT64_C(1000));
        close(fds[i]);
    }
    CHECK(ws_head(unwanted, head, sizeof head, PATIENCE_MS) > 0);
    CHECK_NOT_EARLY(start, HANDSHAKE_MS);
    CHECK(strncmp(head, "HTTP/1.1 503 ", 13) == 0);
    CHECK_EQ(raw_end(unwanted, PATIENCE_MS), RAW_EOF);
    close(unwanted);
    /* The dialer tries again. */
    check_next_is_served(listener, dialer, silent.text);
    close(listener);
    CHECK_CLOSE(dialer, s, a, b);
}

/* protocols 3, reliability P2: a second peer is not answered before the first has gone. */
static void a_second_peer_waits_for_its_answer(void)
{
    struct url url = unique_url("ws");
    char head[512];
    int s = bound_pair(url.text), first = ws_client(url.text), second = raw_connect(url.text);
    raw_send(second, WS_REQUEST, sizeof WS_REQUEST - 1);
    ws_send(second, WS_BINARY, "second", 6);
    CHECK_EQ(ws_head(second, head, sizeof head, 100), 0);
    ws_send(first, WS_BINARY, "first", 5);
    CHECK_RECV(s, "first");
    close(first);
    CHECK(ws_head(second, head, sizeof head, PATIENCE_MS) > 0);
    CHECK_STR(head, WS_RESPONSE);
    CHECK_RECV(s, "second");
    CHECK_SEND(s, "welcome");
    CHECK_WS_FRAME(second, WS_BINARY, "welcome", 7);
    close(second);
    CHECK_CLOSE(s);
}

/* transports 7.5 and 7.8: whatever a server says, the dialer tries again, and not in a hurry. */
static void a_dialer_tries_again_after_a_bad_answer(void)
{
    static const char *const answers[] = {
        "", "x", "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\n\r\n<html></html>",
        "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.0 101 Switching Protocols\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        "HTTP/1.1 101\r\n\r\n", "\r\n\r\n", "ICY 200 OK\r\n\r\n", "\0\0\0\0\0\0\0\0",
        "HTTP/1.1 400 \r\nSec-WebSocket-Version: 13\r\n",
    };
    struct url url = unique_url("ws");
    int listener = raw_listen(url.text), s = open_pair();
    set_int(s, NN_RECONNECT_IVL, 10);
    CHECK_EQ(nn_connect(s, url.text), 1);
    for (size_t i = 0; i < COUNT_OF(answers); i++) {
        char head[1024];
        int fd = raw_accept(listener, PATIENCE_MS);
        REQUIRE(fd >= 0);
        CHECK(ws_head(fd, head, sizeof head, PATIENCE_MS) > 0);
        raw_send(fd, answers[i], strlen(answers[i]));
        close(fd);
    }
    CHECK_ERRNO(nn_send(s, "x", 1, NN_DONTWAIT), -1, EAGAIN);
    int fd = ws_server(listener);
    ws_send(fd, WS_BINARY, "hello", 5);
    CHECK_RECV(s, "hello");
    CHECK_EQ(nn_get_statistic(s, NN_STAT_BROKEN_CONNECTIONS), 0);
    close(fd);
    close(listener);
    CHECK_CLOSE(s);
}

int main(void)
{
    test_begin("transports/ws-handshake", 58);
    RUN(a_dialer_asks_exactly_like_this);
    RUN(every_socket_type_has_its_token);
    RUN(a_listener_answers_exactly_like_this);
    RUN(requests_may_be_spelled_differently);
    RUN(requests_may_have_lists_and_be_long);
    RUN(a_pair_needs_no_token);
    RUN(a_handshake_has_five_seconds);
    RUN(a_second_peer_waits_for_its_answer);
    RUN(a_dialer_tries_again_after_a_bad_answer);
    return test_end();
}
