/* SPMSG_WS_HEADERS and SPMSG_PEER_HEADERS: what a WebSocket says besides when it asks, and what its
 * peer learns of that. */

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
#include <nanomsg/ws.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int set_headers(int s, const char *lines)
{
    return nn_setsockopt(s, NN_WS, SPMSG_WS_HEADERS, lines, strlen(lines));
}

/* Receives a message, and the headers that its sender is known by; none are an empty text. */
static const char *headers_behind(int s, const char *expected)
{
    static char found[20000];
    void *body = NULL, *control = NULL;
    struct nn_iovec piece = {&body, NN_MSG};
    struct nn_msghdr message = {&piece, 1, &control, NN_MSG};
    int size = nn_recvmsg(s, &message, 0);
    CHECK_EQ(size, (int)strlen(expected));
    found[0] = 0;
    if (size < 0)
        return found;
    CHECK_MEM(body, expected, strlen(expected));
    nn_freemsg(body);
    struct nn_cmsghdr *entry = NN_CMSG_FIRSTHDR(&message);
    for (; entry; entry = NN_CMSG_NXTHDR(&message, entry)) {
        size_t length = entry->cmsg_len - NN_CMSG_LEN(0);
        if (entry->cmsg_level != SPMSG_CONTROL || entry->cmsg_type != SPMSG_PEER_HEADERS)
            continue;
        REQUIRE(length < sizeof found && found[0] == 0);
        memcpy(found, NN_CMSG_DATA(entry), length);
        /* Entries are rounded up. */
        CHECK(memchr(found, 0, length) == found + strlen(found));
        CHECK_AT_MOST(length, strlen(found) + 8);
        CHECK(NN_CMSG_NXTHDR(&message, entry) == NULL);
    }
    nn_freemsg(control);
    return found;
}

/* The request of the next dialer at a raw listener, who is let in. */
static void take_request(int listener, char *request, size_t size, int *fd)
{
    char response[512];
    *fd = raw_accept(listener, PATIENCE_MS);
    REQUIRE(*fd >= 0);
    CHECK_AT_LEAST(ws_head(*fd, request, size, PATIENCE_MS), 1);
    CHECK(ws_response(request, WS_TOKEN, response, sizeof response));
    raw_send(*fd, response, strlen(response));
}

static void they_are_sent_with_the_request(void)
{
    char request[8192];
    struct url url = unique_url("ws");
    int listener = raw_listen(url.text), s = open_quick(), fd, plain;
    CHECK_EQ(set_headers(s, "Authorization: Bearer abc\nX-Empty:\r\nx_2:  a: b  \n"), 0);
    CHECK_OK(nn_connect(s, url.text));
    take_request(listener, request, sizeof request, &fd);
    CHECK(strstr(request, "\r\nAuthorization: Bearer abc\r\nX-Empty: \r\nx_2: a: b\r\n\r\n"));
    CHECK(strstr(request, "\r\nSec-WebSocket-Key: "));
    /* Also with each further attempt, whatever is set by then. */
    CHECK_EQ(set_headers(s, ""), 0);
    close(fd);
    take_request(listener, request, sizeof request, &fd);
    CHECK(strstr(request, "\r\nAuthorization: Bearer abc\r\n"));
    /* Another endpoint, and one that has never heard of it. */
    int other = open_quick();
    CHECK_OK(nn_connect(other, url.text));
    take_request(listener, request, sizeof request, &plain);
    CHECK(!strstr(request, "Authorization"));
    CHECK(!strstr(request, "X-Empty"));
    CHECK_CLOSE(s, other);
    close(fd);
    close(plain);
    close(listener);
}

/* What a client has said is not said to those who connect to the same socket. */
static void who_listens_says_none_of_them(void)
{
    struct url url = unique_url("ws");
    int s = open_quick();
    CHECK_EQ(set_headers(s, "Authorization: secret"), 0);
    CHECK_OK(nn_bind(s, url.text));
    /* The answer is exactly what it is without. */
    int fd = ws_client(url.text);
    CHECK_CLOSE(s);
    close(fd);
}

static void they_come_with_messages_where_that_is_wanted(void)
{
    struct url url = unique_url("ws");
    int s = open_quick(), peer = open_quick();
    set_int(s, SPMSG_PEER_INFO, 2);
    CHECK_OK(nn_bind(s, url.text));
    CHECK_EQ(set_headers(peer, "X-User: me\nCookie: a=b"), 0);
    CHECK_OK(nn_connect(peer, url.text));
    char expected[256];
    snprintf(expected, sizeof expected, "Host: %s\r\nX-User: me\r\nCookie: a=b\r\n",
             strstr(url.text, "://") + 3);
    for (int i = 0; i < 3; i++) {
        CHECK_SEND(peer, "hello");
        CHECK_STR(headers_behind(s, "hello"), expected);
    }
    CHECK_CLOSE(s, peer);
}

/* A client learns what the server, or a proxy in front of it, has said. */
static void those_of_an_answer_come_too(void)
{
    char request[8192], response[1024];
    struct url url = unique_url("ws");
    int listener = raw_listen(url.text), s = open_quick();
    set_int(s, SPMSG_PEER_INFO, 2);
    CHECK_OK(nn_connect(s, url.text));
    int fd = raw_accept(listener, PATIENCE_MS);
    REQUIRE(fd >= 0);
    CHECK_AT_LEAST(ws_head(fd, request, sizeof request, PATIENCE_MS), 1);
    CHECK(ws_response(request, WS_TOKEN, response, sizeof response));
    char *end = strstr(response, "\r\n\r\n");
    strcpy(end, "\r\nServer: some/1.0\r\nVia: one\r\nVia: two\r\n\r\n");
    raw_send(fd, response, strlen(response));
    raw_send(fd, "\x82\2hi", 4);
    CHECK_STR(headers_behind(s, "hi"), "Server: some/1.0\r\nVia: one\r\nVia: two\r\n");
    CHECK_CLOSE(s);
    close(fd);
    close(listener);
}

static void nobody_learns_of_them_unasked(void)
{
    for (int info = 0; info < 2; info++) {
        struct url url = unique_url("ws");
        int s = open_quick(), peer = open_quick();
        set_int(s, SPMSG_PEER_INFO, info);
        CHECK_OK(nn_bind(s, url.text));
        CHECK_EQ(set_headers(peer, "X-User: me"), 0);
        CHECK_OK(nn_connect(peer, url.text));
        CHECK_SEND(peer, "hello");
        CHECK_STR(headers_behind(s, "hello"), "");
        /* Who has come before is not known by them afterwards. */
        set_int(s, SPMSG_PEER_INFO, 2);
        CHECK_SEND(peer, "again");
        CHECK_STR(headers_behind(s, "again"), "");
        CHECK_CLOSE(s, peer);
    }
}

/* A peer may send as many as its request may have. */
static void a_hostile_peer_says_no_more_than_a_head_holds(void)
{
    static char request[16384], long_one[15000];
    struct url url = unique_url("ws");
    int s = open_quick();
    set_int(s, SPMSG_PEER_INFO, 2);
    CHECK_OK(nn_bind(s, url.text));
    memset(long_one, 'a', sizeof long_one - 1);
    memcpy(long_one, "X-Long: ", 8);
    ws_request_with(request, sizeof request, long_one);
    int fd = raw_connect(url.text);
    raw_send(fd, request, strlen(request));
    char head[512];
    CHECK_AT_LEAST(ws_head(fd, head, sizeof head, PATIENCE_MS), 1);
    CHECK(strstr(head, " 101 "));
    unsigned char frame[32];
    raw_send(fd, frame, ws_frame(frame, WS_BINARY, 1, "x", 1));
    const char *found = headers_behind(s, "x");
    CHECK_EQ(strlen(found), strlen("Host: 127.0.0.1\r\n") + strlen(long_one) + 2);
    CHECK(strstr(found, long_one));
    CHECK_CLOSE(s);
    close(fd);
}

static void what_cannot_be_sent_is_refused(void)
{
    static const struct {
        const char *lines, *words;
    } wrong[] = {
        {"no colon", "line 1 of the headers is no name, colon and value"},
        {"A: b\r\n\r\nGET / HTTP/1.1", "line 2 of the headers is no name, colon and value"},
        {"A: b\n\n", "line 2 of the headers is no name, colon and value"},
        {"A: b\rC: d", "line 1 of the headers is no name, colon and value"},
        {"A: b\n C: d", "line 2 of the headers is no name, colon and value"},
        {"A: b\nHost: other", "line 2 of the headers is one that the handshake has itself"},
        {"sec-websocket-KEY: x", "line 1 of the headers is one that the handshake has itself"},
        {"Content-Length: 5", "line 1 of the headers is one that the handshake has itself"},
        {"Transfer-Encoding: chunked",
         "line 1 of the headers is one that the handshake has itself"},
    };
    char text[200], many[5000] = "";
    size_t size = sizeof text;
    int s = open_pair();
    CHECK_EQ(set_headers(s, "A: b\n"), 0);
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        CHECK_ERRNO(set_headers(s, wrong[i].lines), -1, EINVAL);
        spmsg_error_text(text, sizeof text);
        CHECK_STR(text, wrong[i].words);
    }
    for (int i = 0; i < 33; i++)
        strcat(many, "A: b\n");
    CHECK_ERRNO(set_headers(s, many), -1, EINVAL);
    spmsg_error_text(text, sizeof text);
    CHECK_STR(text, "there are more than 32 headers");
    memset(many, 'a', sizeof many - 1);
    memcpy(many, "A: ", 3);
    many[4096] = 0;
    CHECK_EQ(set_headers(s, many), 0);
    many[4096] = 'a';
    CHECK_ERRNO(set_headers(s, many), -1, EINVAL);
    CHECK_EQ(set_headers(s, "A: b\n"), 0);
    CHECK_EQ(nn_getsockopt(s, NN_WS, SPMSG_WS_HEADERS, text, &size), 0);
    CHECK_EQ(size, 5);
    CHECK_STR(text, "A: b\n");
    CHECK_EQ(nn_setsockopt(s, NN_WS, SPMSG_WS_HEADERS, NULL, 0), 0);
    size = sizeof text;
    CHECK_EQ(nn_getsockopt(s, NN_WS, SPMSG_WS_HEADERS, text, &size), 0);
    CHECK_EQ(size, 0);
    CHECK_CLOSE(s);
}

int main(void)
{
    test_begin("beyond/headers", 50);
    RUN(they_are_sent_with_the_request);
    RUN(who_listens_says_none_of_them);
    RUN(they_come_with_messages_where_that_is_wanted);
    RUN(those_of_an_answer_come_too);
    RUN(nobody_learns_of_them_unasked);
    RUN(a_hostile_peer_says_no_more_than_a_head_holds);
    RUN(what_cannot_be_sent_is_refused);
    return test_end();
}
