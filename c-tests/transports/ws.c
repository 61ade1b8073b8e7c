/* WebSocket: what is said on the wire, byte for byte, and how everything else that may be said is
 * taken, by a listener and by a dialer. What ws has in common with tcp is in stream.c. */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/raw-stream.h"
#include "support/sockets.h"
#include "support/talk.h"
#include "support/websocket.h"

#include <nanomsg/bus.h>
#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/pubsub.h>
#include <nanomsg/reqrep.h>
#include <nanomsg/survey.h>
#include <nanomsg/ws.h>

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HANDSHAKE_MS = 5000, LATE_MS = 4000 };
enum { TEXT = 0x81, BINARY = 0x82, CLOSE = 0x88, PING = 0x89, PONG = 0x8a };

/* A raw client that the listener has taken in: where one that has gone is not noticed yet, it
 * waits or tries again. */
static int raw_client(struct url url)
{
    int64_t deadline = now_ms() + PATIENCE_MS;
    while (now_ms() < deadline) {
        int fd = raw_connect(url.text);
        if (ws_ask(fd))
            return fd;
        close(fd);
    }
    FAIL("a raw client is not served");
    test_abandon();
    return -1;
}

static int raw_server(int listener)
{
    int fd = raw_accept(listener, PATIENCE_MS);
    REQUIRE(fd >= 0);
    CHECK(ws_answer(fd));
    return fd;
}

/* The close frame comes, and then the end. */
static void check_closed(int fd, int code, const char *what)
{
    unsigned char head[2], payload[125] = {0};
    test_at(__FILE__, __LINE__);
    long size = ws_recv(fd, head, payload, sizeof payload, PATIENCE_MS);
    int got = size >= 2 ? payload[0] << 8 | payload[1] : -1;
    int masked = raw_role(fd) == RAW_WS_SERVER ? 0x80 : 0;
    if (size < 2 || head[0] != CLOSE || head[1] != masked || got != code)
        FAIL("%s: frame %02x of %ld bytes, code %d; should be a close with %d", what, head[0],
             size, got, code);
    CHECK_NE(raw_end(fd, PATIENCE_MS), RAW_OPEN);
}

#define CHECK_FRAME(fd, first, body, length) do { \
    unsigned char h_[2] = {0}, p_[256] = {0}; \
    CHECK_EQ(ws_recv((fd), h_, p_, sizeof p_, PATIENCE_MS), (length)); \
    CHECK_EQ(h_[0], (first)); \
    CHECK_EQ(h_[1], raw_role(fd) == RAW_WS_SERVER ? 0x80 : 0); \
    CHECK_MEM(p_, (body), (length)); \
} while (0)

/* ---- addresses ---- */

struct address {
    const char *text; /* %d is a free port */
    int error;        /* 0 if it is good */
};

static void check_addresses(const struct address *list, size_t count,
                            int (*call)(int, const char *), const char *name)
{
    for (size_t i = 0; i < count; i++) {
        char text[128];
        int s = open_pair();
        snprintf(text, sizeof text, list[i].text, free_port());
        test_at(__FILE__, __LINE__);
        errno = 0;
        int result = call(s, text);
        if (list[i].error ? result != -1 || errno != list[i].error : result != 1)
            FAIL("%s %s: %d, %s", name, text, result, nn_strerror(errno));
        CHECK_CLOSE(s);
    }
}

/* transports 7.1 */
static void addresses_are_checked(void)
{
    static const struct address to_bind[] = {
        {"ws://127.0.0.1:%d", 0}, {"ws://*:%d", 0}, {"ws://[127.0.0.1]:%d", 0},
        {"ws://127.0.0.1", EINVAL}, {"ws://*", EINVAL}, {"ws://", EINVAL}, {"ws://*:0", EINVAL},
        {"ws://*:65536", EINVAL}, {"ws://localhost:%d", ENODEV}, {"ws://:%d", ENODEV},
        {"ws://[::1]:%d", ENODEV}, {"ws://127.0.0.1:", EINVAL},
    };
    static const struct address to_connect[] = {
        {"ws://127.0.0.1", 0}, {"ws://127.0.0.1/", 0}, {"ws://127.0.0.1/a", 0},
        {"ws://127.0.0.1:%d", 0}, {"ws://127.0.0.1:%d/", 0}, {"ws://127.0.0.1:%d/a/b?c=d&e", 0},
        {"ws://localhost:%d/x", 0}, {"ws://127.0.0.1;127.0.0.1:%d/x", 0}, {"ws://", EINVAL},
        {"ws:///", EINVAL}, {"ws://127.0.0.1:", EINVAL}, {"ws://127.0.0.1:/", EINVAL},
        {"ws://127.0.0.1:0", EINVAL}, {"ws://127.0.0.1:65536/x", EINVAL}, {"ws://*:%d", EINVAL},
        {"ws://a_b:%d/x", EINVAL}, {"ws://127.0.0.1:%d?q", EINVAL},
        {"ws://127.0.0.1:%d#f", EINVAL}, {"ws://user@127.0.0.1:%d/", EINVAL},
        {"ws://[::1]:%d", EINVAL}, {"ws://eth0;127.0.0.1:%d/x", ENODEV},
    };
    check_addresses(to_bind, COUNT_OF(to_bind), nn_bind, "bind");
    check_addresses(to_connect, COUNT_OF(to_connect), nn_connect, "connect");
}

/* transports 7.1: the authority ends at the first slash. */
static void a_path_may_contain_colons(void)
{
    static const struct address list[] = {
        {"ws://127.0.0.1:%d/a:b", 0}, {"ws://127.0.0.1/a:b", 0}, {"ws://127.0.0.1:%d/?x=1:2", 0},
        {"ws://127.0.0.1:%d/a b", EINVAL}, {"ws://127.0.0.1:%d/a\r\nX: y", EINVAL},
    };
    check_addresses(list, COUNT_OF(list), nn_connect, "connect");
}

/* transports 7.1, interop 4: an extension. */
static void a_listener_may_have_a_path(void)
{
    struct url url = unique_url("ws"), path, other;
    char head[512];
    int s = open_pair(), b = open_pair();
    snprintf(path.text, sizeof path.text, "%.100s/a", url.text);
    snprintf(other.text, sizeof other.text, "%.100s/a/?b", url.text);
    CHECK_EQ(nn_bind(s, path.text), 1);
    int fd = raw_connect(url.text);
    raw_send(fd, WS_REQUEST, sizeof WS_REQUEST - 1);
    CHECK(ws_head(fd, head, sizeof head, PATIENCE_MS) > 0);
    CHECK(strncmp(head, "HTTP/1.1 404 ", 13) == 0);
    CHECK_EQ(raw_end(fd, PATIENCE_MS), RAW_EOF);
    close(fd);
    CHECK_EQ(nn_connect(b, other.text), 1);
    CHECK_TALK(b, s);
    CHECK_CLOSE(b, s);
}

/* ---- the handshake ---- */

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
    size_t size = sizeof WS_REQUEST - 1, used = ws_frame(frames, BINARY, 1, "early", 5);
    used += ws_frame(frames + used, BINARY, 1, "bird", 4);
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
        ws_send(fd, CLOSE, "\3\xe8", 2);
        check_closed(fd, 1000, "a farewell");
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

/* A request with a line in place of the one of the same name, or one more. */
static void request_with(char *request, size_t size, const char *line)
{
    static const char *const lines[] = {
        "Host: 127.0.0.1", "Upgrade: websocket", "Connection: Upgrade",
        "Sec-WebSocket-Key: " WS_KEY, "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Protocol: " WS_TOKEN,
    };
    size_t name = strcspn(line, ":"), used;
    used = (size_t)snprintf(request, size, "GET / HTTP/1.1\r\n");
    for (int i = 0; i < 6; i++)
        if (strcspn(lines[i], ":") != name || strncmp(lines[i], line, name) != 0)
            used += (size_t)snprintf(request + used, size - used, "%s\r\n", lines[i]);
    snprintf(request + used, size - used, *line == '-' ? "\r\n" : "%s\r\n\r\n", line);
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
        request_with(request, sizeof request, *lines);
        raw_send(fd, request, strlen(request));
        test_at(__FILE__, __LINE__);
        if (ws_head(fd, head, sizeof head, PATIENCE_MS) == 0
            || strncmp(head, "HTTP/1.1 101 ", 13) != 0)
            FAIL("not accepted: %.100s", *lines);
        ws_send(fd, BINARY, "x", 1);
        CHECK_RECV(s, "x");
        ws_send(fd, CLOSE, "\3\xe8", 2);
        check_closed(fd, 1000, *lines);
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
    ws_send(fd, BINARY, "hello", 5);
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

/* What a request is answered with before the connection is closed; no answer for status 0. */
static void check_refused(struct url url, const void *bytes, size_t size, int status,
                          const char *what)
{
    char head[1024], start[16];
    int fd = raw_connect(url.text);
    raw_send(fd, bytes, size);
    if (status == 0)
        shutdown(fd, SHUT_WR);
    size_t got = ws_head(fd, head, sizeof head, PATIENCE_MS);
    snprintf(start, sizeof start, "HTTP/1.1 %d ", status);
    test_at(__FILE__, __LINE__);
    if (status == 0 ? got != 0 : got == 0 || strncmp(head, start, strlen(start)) != 0
        || !strstr(head, "\r\nContent-Length: 0\r\n") || !strstr(head, "close\r\n"))
        FAIL("%.60s: answered with %.60s, should be %d", what, got ? head : "nothing", status);
    if (status == 426)
        CHECK(strstr(head, "\r\nSec-WebSocket-Version: 13\r\n") != NULL);
    CHECK_EQ(raw_end(fd, PATIENCE_MS), RAW_EOF);
    close(fd);
}

/* transports 7.4, reliability P1: each gets a whole answer and a clean end, and is no peer. */
static void hostile_requests_are_refused(void)
{
    static const struct {
        const char *line;
        int status;
    } lines[] = {
        {"Host", 400}, {"Upgrade: h2c", 400}, {"Connection: keep-alive", 400},
        {"Connection: noupgrade", 400}, {"Sec-WebSocket-Version: 8", 426},
        {"Sec-WebSocket-Version: 13, 8", 426}, {"Sec-WebSocket-Key:", 400},
        {"Sec-WebSocket-Key: short", 400}, {"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j!Q==", 400},
        {"Sec-WebSocket-Protocol:", 400}, {"Sec-WebSocket-Protocol: rep.sp.nanomsg.org", 400},
        {"Sec-WebSocket-Protocol: pair.sp.nanomsg.organ", 400},
        {"Sec-WebSocket-Protocol: a, b,, ,", 400},
    };
    static const struct {
        const char *from, *to;
    } edits[] = {
        {"GET /", "get /"}, {"GET /", "GET  /"}, {"GET /", "POST /"}, {"GET /", "\r\nGET /"},
        {"HTTP/1.1", "HTTP/1.0"}, {"HTTP/1.1", "HTTP/2.0"}, {"HTTP/1.1", "HTTP/1.1 x"},
        {" HTTP/1.1", ""}, {"Host", "\r\n\r\nHost"}, {"Host", "X: a\n\nHost"},
    };
    static const struct {
        const char *bytes;
        size_t size;
        int status;
    } others[] = {
        {"", 0, 0}, {"G", 1, 0}, {"GET / HTTP/1.1\r\n", 16, 0}, {"GET / HTTP/1.1\n\n", 16, 0},
        {"\r\n\r\n", 4, 400}, {"\x16\3\1\2\0\1\0\1\xfc\3\3", 11, 400}, {"\0SP\0\0\x10\0\0", 8, 400},
        {"\x82\x80\0\0\0\0", 6, 400}, {"PRI * HTTP/2.0\r\n\r\n", 18, 400},
        {"GET / HTTP/1.1\r\nX: \0\r\n\r\n", 24, 400}, {"GET\r\n\r\n", 7, 400},
    };
    struct url url = unique_url("ws");
    static char request[65536];
    int s = bound_pair(url.text);
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        request_with(request, sizeof request, lines[i].line);
        check_refused(url, request, strlen(request), lines[i].status, lines[i].line);
    }
    for (size_t i = 0; i < COUNT_OF(edits); i++) {
        const char *at = strstr(WS_REQUEST, edits[i].from);
        snprintf(request, sizeof request, "%.*s%s%s", (int)(at - WS_REQUEST), WS_REQUEST,
                 edits[i].to, at + strlen(edits[i].from));
        check_refused(url, request, strlen(request), 400, edits[i].to);
    }
    for (size_t i = 0; i < COUNT_OF(others); i++)
        check_refused(url, others[i].bytes, others[i].size, others[i].status, others[i].bytes);
    /* Endless headers, many or long. */
    size_t used = (size_t)snprintf(request, sizeof request, "GET / HTTP/1.1\r\n");
    for (int i = 0; i < 200; i++)
        used += (size_t)snprintf(request + used, sizeof request - used, "H%d: x\r\n", i);
    snprintf(request + used, sizeof request - used, "\r\n");
    check_refused(url, request, strlen(request), 431, "200 headers");
    memset(request, 'a', sizeof request);
    memcpy(request, "GET / HTTP/1.1\r\nA: ", 19);
    check_refused(url, request, sizeof request, 431, "an endless header");
    CHECK_ERRNO(nn_recv(s, NULL, 0, NN_DONTWAIT), -1, EAGAIN);
    CHECK_EQ(nn_get_statistic(s, NN_STAT_CURRENT_CONNECTIONS), 0);
    CHECK_EQ(nn_get_statistic(s, NN_STAT_BROKEN_CONNECTIONS), 0);
    check_serves(s, url.text);
    CHECK_CLOSE(s);
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
    int fd = raw_server(listener);
    ws_send(fd, BINARY, "hello", 5);
    CHECK_RECV(dialer, "hello");
    close(fd);
    close(listener);
    CHECK_CLOSE(dialer, s, a, b);
}

/* protocols 3, reliability P2: a second peer is not answered before the first has gone. */
static void a_second_peer_waits_for_its_answer(void)
{
    struct url url = unique_url("ws");
    char head[512];
    int s = bound_pair(url.text), first = raw_client(url), second = raw_connect(url.text);
    raw_send(second, WS_REQUEST, sizeof WS_REQUEST - 1);
    ws_send(second, BINARY, "second", 6);
    CHECK_EQ(ws_head(second, head, sizeof head, 100), 0);
    ws_send(first, BINARY, "first", 5);
    CHECK_RECV(s, "first");
    close(first);
    CHECK(ws_head(second, head, sizeof head, PATIENCE_MS) > 0);
    CHECK_STR(head, WS_RESPONSE);
    CHECK_RECV(s, "second");
    CHECK_SEND(s, "welcome");
    CHECK_FRAME(second, BINARY, "welcome", 7);
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
    int fd = raw_server(listener);
    ws_send(fd, BINARY, "hello", 5);
    CHECK_RECV(s, "hello");
    CHECK_EQ(nn_get_statistic(s, NN_STAT_BROKEN_CONNECTIONS), 0);
    close(fd);
    close(listener);
    CHECK_CLOSE(s);
}

/* ---- frames ---- */

/* transports 7.6 */
static void frames_are_sent_exactly_like_this(void)
{
    static const size_t sizes[] = {0, 1, 2, 125, 126, 127, 65535, 65536, 70000, 1048576};
    struct url url = unique_url("ws"), other = unique_url("ws");
    unsigned char *body = malloc(1048576), *got = malloc(1048576), keys[2][4];
    int s = bound_pair(url.text), dialer = open_pair(), listener = raw_listen(other.text);
    CHECK_EQ(nn_connect(dialer, other.text), 1);
    int client = raw_client(url), server = raw_server(listener);
    for (size_t i = 0; i < 1048576; i++)
        body[i] = (unsigned char)(i * 7 + (i >> 8));
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        unsigned char expected[14], head[14];
        size_t size = sizes[i], used;
        CHECK_EQ(nn_send(s, body, size, 0), size);
        used = ws_frame(expected, BINARY, 0, NULL, 0);
        if (size >= 126) {
            int bytes = size < 65536 ? 2 : 8;
            expected[1] = (unsigned char)(bytes == 2 ? 126 : 127);
            for (int k = 0; k < bytes; k++)
                expected[used++] = (unsigned char)((uint64_t)size >> (8 * (bytes - 1 - k)));
        } else {
            expected[1] = (unsigned char)size;
        }
        CHECK_EQ(raw_recv(client, head, used, PATIENCE_MS), used);
        CHECK_MEM(head, expected, used);
        CHECK_EQ(raw_recv(client, got, size, PATIENCE_MS), size);
        CHECK_MEM(got, body, size);
        CHECK_EQ(nn_send(dialer, body, size, 0), size);
        expected[1] |= 0x80;
        CHECK_EQ(raw_recv(server, head, used, PATIENCE_MS), used);
        CHECK_MEM(head, expected, used);
        CHECK_EQ(raw_recv(server, keys[i % 2], 4, PATIENCE_MS), 4);
        CHECK_EQ(raw_recv(server, got, size, PATIENCE_MS), size);
        for (size_t k = 0; k < size; k++)
            got[k] ^= keys[i % 2][k % 4];
        CHECK_MEM(got, body, size);
        if (i > 0)
            CHECK(memcmp(keys[0], keys[1], 4) != 0);
    }
    free(body);
    free(got);
    close(client);
    close(server);
    close(listener);
    CHECK_CLOSE(s, dialer);
}

/* transports 7.6, interop 4: no frame of more than 1 MiB. */
static void large_messages_are_sent_in_fragments(void)
{
    enum { SIZE = 2 * 1048576 + 77 };
    struct url url = unique_url("ws"), other = unique_url("ws");
    unsigned char *body = malloc(SIZE), *got = malloc(SIZE);
    int s = bound_pair(url.text), dialer = open_pair(), listener = raw_listen(other.text);
    CHECK_EQ(nn_connect(dialer, other.text), 1);
    int fds[2] = {raw_client(url), raw_server(listener)};
    for (size_t i = 0; i < SIZE; i++)
        body[i] = (unsigned char)(i * 11 + (i >> 9));
    for (int i = 0; i < 2; i++) {
        static const int firsts[3] = {0x02, 0x00, 0x80};
        unsigned char head[2];
        CHECK_EQ(nn_send(i ? dialer : s, body, SIZE, 0), SIZE);
        for (size_t part = 0, at = 0; part < 3; part++) {
            long size = ws_recv(fds[i], head, got + at, SIZE - at, PATIENCE_MS);
            CHECK_EQ(size, part < 2 ? 1048576 : 77);
            CHECK_EQ(head[0], firsts[part]);
            CHECK_EQ(head[1], i ? 0x80 : 0);
            at += size > 0 ? (size_t)size : 0;
        }
        CHECK_MEM(got, body, SIZE);
        close(fds[i]);
    }
    free(body);
    free(got);
    close(listener);
    CHECK_CLOSE(s, dialer);
}

/* transports 7.7, interop 4: in fragments of any size, with empty ones among them. */
static void fragments_are_put_together(void)
{
    static const size_t steps[] = {1, 125, 4096, 65536, 100000};
    enum { SIZE = 300000 };
    struct url url = unique_url("ws");
    unsigned char *body = malloc(SIZE), *got = malloc(SIZE);
    int s = bound_pair(url.text), fd = raw_client(url);
    for (size_t i = 0; i < SIZE; i++)
        body[i] = (unsigned char)(i * 13 + (i >> 10));
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        size_t size = steps[i] == 1 ? 2000 : SIZE;
        for (size_t at = 0; at < size; at += steps[i]) {
            size_t part = size - at < steps[i] ? size - at : steps[i];
            ws_send(fd, (at == 0 ? 2 : 0) | (at + part == size ? 0x80 : 0), body + at, part);
            if (at + part < size && at / steps[i] % 7 == 0)
                ws_send(fd, 0, "", 0);
        }
        CHECK_EQ(nn_recv(s, got, SIZE, 0), size);
        CHECK_MEM(got, body, size);
    }
    free(body);
    free(got);
    close(fd);
    CHECK_CLOSE(s);
}

/* The cases of transports 7.7, as what a client sends: first byte, payload. */
struct fault {
    const char *name;
    int firsts[3];
    const char *payloads[3];
    int code;
};

static const struct fault faults[] = {
    {"a continuation without a start", {0x80}, {"x"}, 1002},
    {"an empty continuation without a start", {0x00}, {""}, 1002},
    {"a start inside a message", {0x02, 0x82}, {"a", "b"}, 1002},
    {"a text inside a message", {0x02, 0x81}, {"a", "b"}, 1002},
    {"opcode 3", {0x83}, {""}, 1002},
    {"opcode 7", {0x87}, {""}, 1002},
    {"opcode b", {0x8b}, {""}, 1002},
    {"opcode f", {0x8f}, {""}, 1002},
    {"RSV1", {0xc2}, {"x"}, 1002},
    {"RSV2", {0xa2}, {"x"}, 1002},
    {"RSV3", {0x92}, {"x"}, 1002},
    {"a ping in fragments", {0x09}, {"x"}, 1002},
    {"a close in fragments", {0x08}, {"\3\xe8"}, 1002},
    {"no UTF-8", {TEXT}, {"\xff\xfe"}, 1007},
    {"a surrogate", {TEXT}, {"\xed\xa0\x80"}, 1007},
    {"an overlong form", {TEXT}, {"\xc0\xaf"}, 1007},
    {"above U+10FFFF", {TEXT}, {"\xf4\x90\x80\x80"}, 1007},
    {"a character cut off", {TEXT}, {"abc\xe2\x82"}, 1007},
    {"a character cut off in fragments", {0x01, 0x80}, {"\xe2", "\x82"}, 1007},
    {"a wrong character in fragments", {0x01, 0x00, 0x80}, {"\xe2", "\x28", "\xa1"}, 1007},
};

/* transports 7.7, reliability P1: both as listener and as dialer. */
static void faulty_frames_are_answered_with_a_close(void)
{
    for (size_t i = 0; i < COUNT_OF(faults); i++) {
        struct url url = unique_url("ws"), other = unique_url("ws");
        int s = bound_pair(url.text), dialer = open_pair(), listener = raw_listen(other.text);
        CHECK_EQ(nn_connect(dialer, other.text), 1);
        int fds[2] = {raw_client(url), raw_server(listener)};
        for (int side = 0; side < 2; side++) {
            ws_send(fds[side], BINARY, "before", 6);
            for (int part = 0; part < 3 && faults[i].payloads[part]; part++)
                ws_send(fds[side], faults[i].firsts[part], faults[i].payloads[part],
                        strlen(faults[i].payloads[part]));
            ws_send(fds[side], BINARY, "behind", 6);
            CHECK_RECV(side ? dialer : s, "before");
            /* The reference looks at what comes next when somebody wants it. */
            CHECK_ERRNO(nn_recv(side ? dialer : s, NULL, 0, NN_DONTWAIT), -1, EAGAIN);
            check_closed(fds[side], faults[i].code, faults[i].name);
            CHECK_ERRNO(nn_recv(side ? dialer : s, NULL, 0, NN_DONTWAIT), -1, EAGAIN);
            close(fds[side]);
        }
        check_serves(s, url.text);
        close(listener);
        CHECK_CLOSE(s, dialer);
    }
}

/* transports 7.7: what cannot be said with well-formed frames. */
static void faulty_heads_are_answered_with_a_close(void)
{
    static const struct {
        const char *bytes;
        size_t size;
        int code;
    } heads[] = {
        {"\x82\x01x", 3, 1002}, {"\x82\x00", 2, 1002}, {"\x89\xfe\0\x7e\0\0\0\0", 8, 1002},
        {"\x88\xff\0\0\0\0\0\0\0\1\0\0\0\0", 14, 1002},
        {"\x82\xff\0\0\0\0\0\x10\0\1\0\0\0\0", 14, 1009},
        {"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 14, 1009},
        {"\x82\xff\x80\0\0\0\0\0\0\0\0\0\0\0", 14, 1009},
        {"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 14, 1009},
    };
    struct url url = unique_url("ws");
    int s = bound_pair(url.text);
    for (size_t i = 0; i < COUNT_OF(heads); i++) {
        int fd = raw_client(url);
        raw_send(fd, heads[i].bytes, heads[i].size);
        CHECK_ERRNO(nn_recv(s, NULL, 0, NN_DONTWAIT), -1, EAGAIN);
        check_closed(fd, heads[i].code, "a head");
        close(fd);
    }
    /* A length in a longer form than needed is fine, and exactly the limit is. */
    unsigned char *largest = malloc(1048576);
    int fd = raw_client(url);
    raw_send(fd, "\x82\xfe\0\1\0\0\0\0a", 9);
    raw_send(fd, "\x82\xff\0\0\0\0\0\0\0\1\0\0\0\0b", 15);
    CHECK_RECV(s, "a");
    CHECK_RECV(s, "b");
    memset(largest, 'x', 1048576);
    ws_send(fd, BINARY, largest, 1048576);
    CHECK_EQ(nn_recv(s, largest, 1048576, 0), 1048576);
    /* The sum of the fragments counts. */
    ws_send(fd, 0x02, largest, 1048576);
    raw_send(fd, "\x80\x81\0\0\0\0", 6);
    CHECK_ERRNO(nn_recv(s, NULL, 0, NN_DONTWAIT), -1, EAGAIN);
    check_closed(fd, 1009, "a sum of fragments");
    close(fd);
    free(largest);
    check_serves(s, url.text);
    CHECK_CLOSE(s);
}

/* core-quirks B-39: without a limit nothing is allocated for what is only announced. */
static void an_absurd_length_without_a_limit_is_survived(void)
{
    static const char *const heads[] = {
        "\x82\xff\0\0\0\0\x80\0\0\0\0\0\0\0", "\x82\xff\x10\0\0\0\0\0\0\0\0\0\0\0",
        "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0",
        "\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0",
    };
    struct url url = unique_url("ws");
    int s = bound_pair(url.text);
    set_int(s, NN_RCVMAXSIZE, -1);
    for (size_t i = 0; i < COUNT_OF(heads); i++) {
        int fd = raw_client(url);
        raw_send(fd, heads[i], 14);
        check_closed(fd, 1009, "an absurd length");
        close(fd);
    }
    int fd = raw_client(url);
    raw_send(fd, "\x82\xff\0\0\0\0\x7f\xff\xff\xff\0\0\0\0" "beginning", 23);
    close(fd);
    check_serves(s, url.text);
    CHECK_CLOSE(s);
}

/* ---- control frames ---- */

/* transports 7.7, reliability P1: answered with the same payload, masked as it must be, while
 * nobody receives; and not delivered. */
static void pings_are_answered(void)
{
    struct url url = unique_url("ws"), other = unique_url("ws");
    char longest[125];
    int s = bound_pair(url.text), dialer = open_pair(), listener = raw_listen(other.text);
    CHECK_EQ(nn_connect(dialer, other.text), 1);
    int fds[2] = {raw_client(url), raw_server(listener)};
    memset(longest, 'p', sizeof longest);
    for (int i = 0; i < 2; i++) {
        int own = i ? dialer : s;
        ws_send(fds[i], PING, "", 0);
        CHECK_FRAME(fds[i], PONG, "", 0);
        ws_send(fds[i], PING, longest, sizeof longest);
        CHECK_FRAME(fds[i], PONG, longest, 125);
        ws_send(fds[i], PONG, "unasked", 7);
        /* Between fragments, and behind messages that nobody has received. */
        ws_send(fds[i], BINARY, "unread", 6);
        ws_send(fds[i], 0x01, "\xe2", 1);
        ws_send(fds[i], PING, "amid", 4);
        CHECK_FRAME(fds[i], PONG, "amid", 4);
        ws_send(fds[i], 0x00, "\x82", 1);
        ws_send(fds[i], PONG, "", 0);
        ws_send(fds[i], 0x80, "\xac", 1);
        ws_send(fds[i], PING, "behind", 6);
        CHECK_FRAME(fds[i], PONG, "behind", 6);
        CHECK_RECV(own, "unread");
        CHECK_RECV(own, "\xe2\x82\xac");
        CHECK_ERRNO(nn_recv(own, NULL, 0, NN_DONTWAIT), -1, EAGAIN);
        close(fds[i]);
    }
    close(listener);
    CHECK_CLOSE(s, dialer);
}

/* reliability P1: the last of many is answered, messages among them arrive, nothing piles up. */
static void thousands_of_pings_are_survived(void)
{
    struct url url = unique_url("ws");
    unsigned char head[2], payload[125], frame[32];
    int s = bound_pair(url.text), fd = raw_client(url), pongs = 0;
    uint32_t number = 0, last = 0;
    for (number = 1; number <= 20000; number++) {
        raw_send(fd, frame, ws_frame(frame, PING, 1, &number, sizeof number));
        if (number % 100 == 0) {
            ws_send(fd, BINARY, &number, sizeof number);
            uint32_t got = 0;
            CHECK_EQ(nn_recv(s, &got, sizeof got, 0), sizeof got);
            CHECK_EQ(got, number);
        }
    }
    while (last < 20000 && ws_recv(fd, head, payload, sizeof payload, PATIENCE_MS) == 4) {
        CHECK_EQ(head[0], PONG);
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
        int fd = raw_client(url);
        ws_send(fd, CLOSE, closes[i].payload, closes[i].size);
        ws_send(fd, CLOSE, closes[i].payload, closes[i].size);
        check_closed(fd, closes[i].code, "a close");
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
    int s = bound_pair(url.text), fd = raw_client(url);
    for (uint32_t i = 0; i < 50; i++)
        ws_send(fd, BINARY, &i, sizeof i);
    ws_send(fd, 0x02, "begun and not ended", 19);
    ws_send(fd, CLOSE, "\3\xe8", 2);
    for (uint32_t i = 0; i < 50; i++) {
        uint32_t got = 4242;
        CHECK_EQ(nn_recv(s, &got, sizeof got, 0), sizeof got);
        CHECK_EQ(got, i);
    }
    CHECK_ERRNO(nn_recv(s, NULL, 0, NN_DONTWAIT), -1, EAGAIN);
    check_closed(fd, 1000, "a close behind messages");
    close(fd);
    check_serves(s, url.text);
    CHECK_CLOSE(s);
}

/* transports 7.8: no goodbye is said, or dialers of the reference would never come back. */
static void closing_sends_no_close_frame(void)
{
    for (int by_shutdown = 0; by_shutdown < 2; by_shutdown++) {
        struct url url = unique_url("ws"), other = unique_url("ws");
        char bytes[16];
        int s = bound_pair(url.text), dialer = open_pair(), listener = raw_listen(other.text);
        CHECK_EQ(nn_connect(dialer, other.text), 1);
        int fds[2] = {raw_client(url), raw_server(listener)};
        ws_send(fds[1], BINARY, "x", 1);
        CHECK_RECV(dialer, "x");
        for (int i = 0; i < 2; i++) {
            CHECK_EQ(by_shutdown ? nn_shutdown(i ? dialer : s, 1) : nn_close(i ? dialer : s), 0);
            CHECK_EQ(raw_recv(fds[i], bytes, sizeof bytes, PATIENCE_MS), 0);
            CHECK_EQ(raw_end(fds[i], PATIENCE_MS), RAW_EOF);
            close(fds[i]);
            if (by_shutdown)
                CHECK_CLOSE(i ? dialer : s);
        }
        close(listener);
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
        int fd = raw_server(listener);
        ws_send(fd, CLOSE, payloads[i], strlen(payloads[i]));
        check_closed(fd, i < 3 ? 1000 + (i == 1) + 9 * (i == 2) : 1000, "a farewell");
        close(fd);
    }
    int fd = raw_server(listener);
    raw_send(fd, "\x82\x7f\0\0\0\0\0\x10\0\1", 10);
    check_closed(fd, 1009, "an oversize message");
    close(fd);
    fd = raw_server(listener);
    ws_send(fd, BINARY, "hello", 5);
    CHECK_RECV(s, "hello");
    close(fd);
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
        int fd = raw_server(listener);
        if (violation)
            raw_send(fd, "\xc2\0", 2);
        else
            ws_send(fd, CLOSE, "\3\xf0", 2);
        check_closed(fd, violation ? 1002 : 1008, "no peer for us");
        close(fd);
        CHECK_EQ(raw_accept(listener, 300), -1);
        CHECK_EQ(nn_connect(s, url.text), 2);
        fd = raw_server(listener);
        ws_send(fd, BINARY, "hello", 5);
        CHECK_RECV(s, "hello");
        close(fd);
        close(listener);
        CHECK_CLOSE(s);
    }
}

/* ---- text and binary ---- */

static void set_kind(int s, int kind)
{
    CHECK_EQ(nn_setsockopt(s, NN_WS, NN_WS_MSG_TYPE, &kind, sizeof kind), 0);
}

/* transports 7.7, core-quirks B-42: the whole control data of a received message. */
static void check_received_kind(int s, const char *body, int kind)
{
    static const unsigned char header[24] = {24, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1};
    unsigned char control[64], expected[24] = {24, 0, 0, 0, 0, 0, 0, 0, 0xfc, 0xff, 0xff, 0xff, 1};
    char bytes[64];
    struct nn_iovec part = {bytes, sizeof bytes};
    struct nn_msghdr message = {&part, 1, control, sizeof control};
    memset(control, 0xee, sizeof control);
    expected[16] = (unsigned char)kind;
    CHECK_EQ(nn_recvmsg(s, &message, 0), strlen(body));
    CHECK_MEM(bytes, body, strlen(body));
    CHECK_MEM(control, header, 24);
    /* The reference leaves the padding as it found it in memory. */
    CHECK_MEM(control + 24, expected, reference() ? 17 : 24);
    CHECK_EQ(control[48], 0xee);
}

/* transports 2 and 7.7: the option is an int, 1 or 2; a dialer copies it at nn_connect, a listener
 * looks at each accept. */
static void the_option_chooses_text_or_binary(void)
{
    struct url url = unique_url("ws");
    int a = open_pair(), b = open_pair(), wrong[] = {-1, 0, 3, 8};
    size_t size = sizeof(int);
    for (int i = 0; i < 4; i++)
        CHECK_ERRNO(nn_setsockopt(a, NN_WS, NN_WS_MSG_TYPE, &wrong[i], sizeof(int)), -1, EINVAL);
    CHECK_ERRNO(nn_setsockopt(a, NN_WS, NN_WS_MSG_TYPE, &wrong[2], 3), -1, EINVAL);
    CHECK_ERRNO(nn_setsockopt(a, NN_WS, 2, &wrong[2], sizeof(int)), -1, ENOPROTOOPT);
    CHECK_ERRNO(nn_getsockopt(a, NN_WS, 2, &wrong[0], &size), -1, ENOPROTOOPT);
    CHECK_EQ(get_int(a, NN_WS, NN_WS_MSG_TYPE), NN_WS_MSG_TYPE_BINARY);
    set_kind(b, NN_WS_MSG_TYPE_TEXT);
    CHECK_EQ(nn_connect(b, url.text), 1);
    set_kind(b, NN_WS_MSG_TYPE_BINARY);
    CHECK_EQ(nn_bind(a, url.text), 1);
    set_kind(a, NN_WS_MSG_TYPE_TEXT);
    CHECK_TALK(a, b);
    set_kind(a, NN_WS_MSG_TYPE_BINARY);
    CHECK_SEND(a, "text");
    check_received_kind(b, "text", 1);
    CHECK_SEND(b, "text");
    check_received_kind(a, "text", 1);
    CHECK_CLOSE(b);
    b = open_pair();
    CHECK_EQ(nn_connect(b, url.text), 1);
    CHECK_TALK(a, b);
    CHECK_SEND(a, "binary");
    check_received_kind(b, "binary", 2);
    CHECK_SEND(b, "binary");
    check_received_kind(a, "binary", 2);
    CHECK_CLOSE(a, b);
}

static void send_as(int s, const char *body, int kind, int as_message)
{
    union {
        struct nn_cmsghdr head;
        unsigned char bytes[24];
    } control;
    struct nn_iovec part = {(void *)(uintptr_t)body, strlen(body)};
    struct nn_msghdr message = {&part, 1, &control, sizeof control};
    memset(&control, 0, sizeof control);
    control.head.cmsg_len = NN_CMSG_LEN(1);
    control.head.cmsg_level = NN_WS;
    control.head.cmsg_type = NN_WS_MSG_TYPE;
    control.bytes[16] = (unsigned char)kind;
    void *chunk = nn_allocmsg(sizeof control, 0);
    memcpy(chunk, &control, sizeof control);
    if (as_message) {
        message.msg_control = &chunk;
        message.msg_controllen = NN_MSG;
    } else {
        nn_freemsg(chunk);
    }
    CHECK_EQ(nn_sendmsg(s, &message, 0), strlen(body));
}

/* transports 7.6 and 7.7 */
static void control_data_chooses_text_or_binary(void)
{
    struct url url = unique_url("ws");
    int a, b;
    open_pairs(&a, &b, url.text);
    for (int as_message = 0; as_message < 2; as_message++) {
        send_as(a, "text", 1, as_message);
        check_received_kind(b, "text", 1);
        send_as(b, "binary", 2, as_message);
        check_received_kind(a, "binary", 2);
    }
    CHECK_CLOSE(a, b);
}

/* transports 7.6: anything else is as good as nothing. */
static void strange_control_data_changes_nothing(void)
{
    static const int kinds[] = {0, 3, 8, 9, 10, 0x41, 0x88, 0xff};
    struct url url = unique_url("ws");
    int a, b;
    open_pairs(&a, &b, url.text);
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        send_as(a, "as before", kinds[i], 0);
        check_received_kind(b, "as before", 2);
    }
    CHECK_CLOSE(a, b);
}

/* transports 7.6: text is not looked at when it is sent. */
static void what_is_sent_as_text_need_not_be_any(void)
{
    struct url url = unique_url("ws");
    int s = bound_pair(url.text), fd = raw_client(url);
    send_as(s, "\xff\xfe", 1, 0);
    CHECK_FRAME(fd, TEXT, "\xff\xfe", 2);
    close(fd);
    CHECK_CLOSE(s);
}

/* ---- other socket types ---- */

/* transports 7.6: a body that several peers share is masked for each of them alone. */
static void a_connecting_publisher_masks_copies(void)
{
    enum { PEERS = 3, SIZE = 200000 };
    unsigned char *body = malloc(SIZE), *got = malloc(SIZE);
    int pub = open_socket(AF_SP, NN_PUB), subs[PEERS];
    for (int i = 0; i < PEERS; i++) {
        struct url url = unique_url("ws");
        subs[i] = open_socket(AF_SP, NN_SUB);
        CHECK_EQ(nn_setsockopt(subs[i], NN_SUB, NN_SUB_SUBSCRIBE, "", 0), 0);
        CHECK_EQ(nn_bind(subs[i], url.text), 1);
        CHECK_EQ(nn_connect(pub, url.text), i + 1);
    }
    CHECK(wait_stat(pub, NN_STAT_CURRENT_CONNECTIONS, PEERS, PATIENCE_MS));
    for (int i = 0; i < PEERS; i++)
        CHECK(wait_stat(subs[i], NN_STAT_CURRENT_CONNECTIONS, 1, PATIENCE_MS));
    for (size_t size = 1; size <= SIZE; size = size < 1000 ? size * 7 : size * 3) {
        for (size_t i = 0; i < size; i++)
            body[i] = (unsigned char)(i * 7 + size);
        CHECK_EQ(nn_send(pub, body, size, 0), size);
        for (int i = 0; i < PEERS; i++) {
            CHECK_EQ(nn_recv(subs[i], got, SIZE, 0), size);
            CHECK_MEM(got, body, size);
        }
    }
    for (int i = 0; i < PEERS; i++)
        CHECK_CLOSE(subs[i]);
    CHECK_CLOSE(pub);
    free(body);
    free(got);
}

/* transports 7.6: a question that is asked again is the same question. */
static void a_question_is_asked_again_in_the_same_words(void)
{
    struct url url = unique_url("ws");
    int req = open_socket(AF_SP, NN_REQ), listener = raw_listen(url.text), interval = 100;
    unsigned char first[300], again[300], head[2];
    char body[200];
    memset(body, 'q', sizeof body);
    CHECK_EQ(nn_setsockopt(req, NN_REQ, NN_REQ_RESEND_IVL, &interval, sizeof interval), 0);
    CHECK_EQ(nn_connect(req, url.text), 1);
    int fd = raw_accept(listener, PATIENCE_MS);
    char request[1024], value[29], response[512];
    CHECK(ws_head(fd, request, sizeof request, PATIENCE_MS) > 0);
    const char *key = strstr(request, "Sec-WebSocket-Key: ");
    REQUIRE(key != NULL);
    ws_accept_value(key + 19, value);
    snprintf(response, sizeof response,
             "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: rep.sp.nanomsg.org\r\n\r\n",
             value);
    raw_send(fd, response, strlen(response));
    CHECK_EQ(nn_send(req, body, sizeof body, 0), sizeof body);
    CHECK_EQ(ws_recv(fd, head, first, sizeof first, PATIENCE_MS), 204);
    CHECK_EQ(ws_recv(fd, head, again, sizeof again, PATIENCE_MS), 204);
    CHECK_MEM(first, again, 204);
    CHECK_MEM(first + 4, body, sizeof body);
    ws_send(fd, BINARY, first, 4);
    CHECK_EQ(nn_recv(req, body, sizeof body, 0), 0);
    close(fd);
    close(listener);
    CHECK_CLOSE(req);
}

/* transports 7.6, interop 4 */
static void large_questions_and_answers_pass(void)
{
    enum { SIZE = 5000000 };
    struct url url = unique_url("ws");
    char *body = malloc(SIZE);
    int rep = open_socket(AF_SP, NN_REP), req = open_socket(AF_SP, NN_REQ);
    set_int(rep, NN_RCVMAXSIZE, -1);
    set_int(req, NN_RCVMAXSIZE, -1);
    CHECK_EQ(nn_bind(rep, url.text), 1);
    CHECK_EQ(nn_connect(req, url.text), 1);
    for (int round = 0; round < 3; round++) {
        unsigned char *got = NULL;
        memset(body, 'a' + round, SIZE);
        CHECK_EQ(nn_send(req, body, SIZE, 0), SIZE);
        CHECK_EQ(nn_recv(rep, &got, NN_MSG, 0), SIZE);
        CHECK_MEM(got, body, SIZE);
        CHECK_EQ(nn_send(rep, &got, NN_MSG, 0), SIZE);
        CHECK_EQ(nn_recv(req, &got, NN_MSG, 0), SIZE);
        CHECK_MEM(got, body, SIZE);
        CHECK_EQ(nn_freemsg(got), 0);
    }
    free(body);
    CHECK_CLOSE(req, rep);
}

/* transports 7.9 and 8 */
static void statistics_count_what_happened(void)
{
    struct url url = unique_url("ws");
    int s = bound_pair(url.text), fd = raw_client(url);
    CHECK_EQ(nn_get_statistic(s, NN_STAT_ACCEPTED_CONNECTIONS), 1);
    CHECK(wait_stat(s, NN_STAT_CURRENT_CONNECTIONS, 1, PATIENCE_MS));
    ws_send(fd, BINARY, "abc", 3);
    CHECK_RECV(s, "abc");
    CHECK_SEND(s, "abcd");
    CHECK_EQ(nn_get_statistic(s, NN_STAT_BYTES_RECEIVED), 3);
    CHECK_EQ(nn_get_statistic(s, NN_STAT_BYTES_SENT), 4);
    close(fd);
    CHECK(wait_stat(s, NN_STAT_BROKEN_CONNECTIONS, 1, PATIENCE_MS));
    CHECK(wait_stat(s, NN_STAT_CURRENT_CONNECTIONS, 0, PATIENCE_MS));
    fd = raw_client(url);
    ws_send(fd, CLOSE, "", 0);
    check_closed(fd, 1000, "a farewell");
    close(fd);
    CHECK(wait_stat(s, NN_STAT_CURRENT_CONNECTIONS, 0, PATIENCE_MS));
    CHECK_EQ(nn_get_statistic(s, NN_STAT_BROKEN_CONNECTIONS), 1);
    fd = raw_client(url);
    CHECK_EQ(nn_shutdown(s, 1), 0);
    CHECK(wait_stat(s, NN_STAT_DROPPED_CONNECTIONS, 1, PATIENCE_MS));
    close(fd);
    CHECK_CLOSE(s);
}

int main(void)
{
    test_begin("transports/ws", 58);
    RUN(addresses_are_checked);
    RUN(a_path_may_contain_colons);
    RUN(a_listener_may_have_a_path);
    RUN(a_dialer_asks_exactly_like_this);
    RUN(every_socket_type_has_its_token);
    RUN(a_listener_answers_exactly_like_this);
    RUN(requests_may_be_spelled_differently);
    RUN(requests_may_have_lists_and_be_long);
    RUN(a_pair_needs_no_token);
    RUN(hostile_requests_are_refused);
    RUN(a_handshake_has_five_seconds);
    RUN(a_second_peer_waits_for_its_answer);
    RUN(a_dialer_tries_again_after_a_bad_answer);
    RUN(frames_are_sent_exactly_like_this);
    RUN(large_messages_are_sent_in_fragments);
    RUN(fragments_are_put_together);
    RUN(faulty_frames_are_answered_with_a_close);
    RUN(faulty_heads_are_answered_with_a_close);
    RUN(an_absurd_length_without_a_limit_is_survived);
    RUN(pings_are_answered);
    RUN(thousands_of_pings_are_survived);
    RUN(a_close_is_answered_once);
    RUN(what_came_before_a_close_is_delivered);
    RUN(closing_sends_no_close_frame);
    RUN(a_dialer_comes_back_after_a_farewell);
    RUN(a_dialer_stays_away_from_whom_it_cannot_talk_to);
    RUN(the_option_chooses_text_or_binary);
    RUN(control_data_chooses_text_or_binary);
    RUN(strange_control_data_changes_nothing);
    RUN(what_is_sent_as_text_need_not_be_any);
    RUN(a_connecting_publisher_masks_copies);
    RUN(a_question_is_asked_again_in_the_same_words);
    RUN(large_questions_and_answers_pass);
    RUN(statistics_count_what_happened);
    return test_end();
}
