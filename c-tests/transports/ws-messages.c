/* Messages over WebSocket: text and binary, and what types of socket other than PAIR send. */

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
#include <nanomsg/pubsub.h>
#include <nanomsg/reqrep.h>
#include <nanomsg/ws.h>

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void set_kind(int s, int kind)
{
    CHECK_EQ(nn_setsockopt(s, NN_WS, NN_WS_MSG_TYPE, &kind, sizeof kind), 0);
}

/* transports 7.7, core-quirks B-42: the whole control data of a received message. */
static void check_received_kind(int s, const char *body, int kind)
{
    static const struct {
        struct nn_cmsghdr head;
        size_t size;
    } header = {{sizeof header, 1, 1}, 0};
    struct {
        struct nn_cmsghdr head;
        unsigned char kind[sizeof(size_t)];
    } expected = {{sizeof expected, -4, 1}, {(unsigned char)kind}};
    unsigned char control[64];
    char bytes[64];
    struct nn_iovec part = {bytes, sizeof bytes};
    struct nn_msghdr message = {&part, 1, control, sizeof control};
    memset(control, 0xee, sizeof control);
    CHECK_EQ(nn_recvmsg(s, &message, 0), strlen(body));
    CHECK_MEM(bytes, body, strlen(body));
    CHECK_MEM(control, &header, sizeof header);
    /* The reference leaves the padding as it found it in memory. */
    CHECK_MEM(control + sizeof header, &expected,
              reference() ? sizeof expected.head + 1 : sizeof expected);
    CHECK_EQ(control[sizeof header + sizeof expected], 0xee);
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
        unsigned char bytes[NN_CMSG_SPACE(1)];
    } control;
    struct nn_iovec part = {(void *)(uintptr_t)body, strlen(body)};
    struct nn_msghdr message = {&part, 1, &control, sizeof control};
    memset(&control, 0, sizeof control);
    control.head.cmsg_len = NN_CMSG_LEN(1);
    control.head.cmsg_level = NN_WS;
    control.head.cmsg_type = NN_WS_MSG_TYPE;
    control.bytes[sizeof control.head] = (unsigned char)kind;
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
    int s = bound_pair(url.text), fd = ws_client(url.text);
    send_as(s, "\xff\xfe", 1, 0);
    CHECK_WS_FRAME(fd, WS_TEXT, "\xff\xfe", 2);
    close(fd);
    CHECK_CLOSE(s);
}

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
    REQUIRE(fd >= 0);
    CHECK(ws_answer_as(fd, "rep.sp.nanomsg.org"));
    CHECK_EQ(nn_send(req, body, sizeof body, 0), sizeof body);
    CHECK_EQ(ws_recv(fd, head, first, sizeof first, PATIENCE_MS), 204);
    CHECK_EQ(ws_recv(fd, head, again, sizeof again, PATIENCE_MS), 204);
    CHECK_MEM(first, again, 204);
    CHECK_MEM(first + 4, body, sizeof body);
    ws_send(fd, WS_BINARY, first, 4);
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

int main(void)
{
    test_begin("transports/ws-messages", 58);
    RUN(the_option_chooses_text_or_binary);
    RUN(control_data_chooses_text_or_binary);
    RUN(strange_control_data_changes_nothing);
    RUN(what_is_sent_as_text_need_not_be_any);
    RUN(a_connecting_publisher_masks_copies);
    RUN(a_question_is_asked_again_in_the_same_words);
    RUN(large_questions_and_answers_pass);
    return test_end();
}
