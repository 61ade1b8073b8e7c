/* WebSocket peers that break the rules: requests that are none, frames that must not be, and
 * lengths that nobody has the memory for. */

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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

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
        ws_request_with(request, sizeof request, lines[i].line);
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
    {"no UTF-8", {WS_TEXT}, {"\xff\xfe"}, 1007},
    {"a surrogate", {WS_TEXT}, {"\xed\xa0\x80"}, 1007},
    {"an overlong form", {WS_TEXT}, {"\xc0\xaf"}, 1007},
    {"above U+10FFFF", {WS_TEXT}, {"\xf4\x90\x80\x80"}, 1007},
    {"a character cut off", {WS_TEXT}, {"abc\xe2\x82"}, 1007},
    {"a character cut off in fragments", {0x01, 0x80}, {"\xe2", "\x82"}, 1007},
    {"a wrong character in fragments", {0x01, 0x00, 0x80}, {"\xe2", "\x28", "\xa1"}, 1007},
};

/* transports 7.7, reliability P1: both as listener and as dialer. */
static void faulty_frames_are_answered_with_a_close(void)
{
    for (size_t i = 0; i < COUNT_OF(faults); i++) {
        struct raw_sides sides;
        raw_open_sides(&sides, "ws");
        raw_greet_sides(&sides);
        for (int side = 0; side < 2; side++) {
            ws_send(sides.fds[side], WS_BINARY, "before", 6);
            for (int part = 0; part < 3 && faults[i].payloads[part]; part++)
                ws_send(sides.fds[side], faults[i].firsts[part], faults[i].payloads[part],
                        strlen(faults[i].payloads[part]));
            ws_send(sides.fds[side], WS_BINARY, "behind", 6);
            CHECK_RECV(sides.sockets[side], "before");
            /* The reference looks at what comes next when somebody wants it. */
            CHECK_ERRNO(nn_recv(sides.sockets[side], NULL, 0, NN_DONTWAIT), -1, EAGAIN);
            ws_check_close(sides.fds[side], faults[i].code, faults[i].name);
            CHECK_ERRNO(nn_recv(sides.sockets[side], NULL, 0, NN_DONTWAIT), -1, EAGAIN);
        }
        check_serves(sides.sockets[0], sides.url.text);
        raw_close_sides(&sides);
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
        int fd = ws_client(url.text);
        raw_send(fd, heads[i].bytes, heads[i].size);
        CHECK_ERRNO(nn_recv(s, NULL, 0, NN_DONTWAIT), -1, EAGAIN);
        ws_check_close(fd, heads[i].code, "a head");
        close(fd);
    }
    /* A length in a longer form than needed is fine, and exactly the limit is. */
    unsigned char *largest = malloc(1048576);
    int fd = ws_client(url.text);
    raw_send(fd, "\x82\xfe\0\1\0\0\0\0a", 9);
    raw_send(fd, "\x82\xff\0\0\0\0\0\0\0\1\0\0\0\0b", 15);
    CHECK_RECV(s, "a");
    CHECK_RECV(s, "b");
    memset(largest, 'x', 1048576);
    ws_send(fd, WS_BINARY, largest, 1048576);
    CHECK_EQ(nn_recv(s, largest, 1048576, 0), 1048576);
    /* The sum of the fragments counts. */
    ws_send(fd, 0x02, largest, 1048576);
    raw_send(fd, "\x80\x81\0\0\0\0", 6);
    CHECK_ERRNO(nn_recv(s, NULL, 0, NN_DONTWAIT), -1, EAGAIN);
    ws_check_close(fd, 1009, "a sum of fragments");
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
        int fd = ws_client(url.text);
        raw_send(fd, heads[i], 14);
        ws_check_close(fd, 1009, "an absurd length");
        close(fd);
    }
    int fd = ws_client(url.text);
    raw_send(fd, "\x82\xff\0\0\0\0\x7f\xff\xff\xff\0\0\0\0" "beginning", 23);
    close(fd);
    check_serves(s, url.text);
    CHECK_CLOSE(s);
}

int main(void)
{
    test_begin("transports/ws-hostile", 58);
    RUN(hostile_requests_are_refused);
    RUN(faulty_frames_are_answered_with_a_close);
    RUN(faulty_heads_are_answered_with_a_close);
    RUN(an_absurd_length_without_a_limit_is_survived);
    return test_end();
}
