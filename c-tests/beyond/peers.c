/* Whom a message comes from, told by its control data (SPMSG_PEER_INFO). */

#include "beyond.h"

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/process.h"
#include "support/raw-peer.h"
#include "support/raw-stream.h"
#include "support/sockets.h"
#include "support/talk.h"

#include <nanomsg/bus.h>
#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/pubsub.h>
#include <nanomsg/reqrep.h>
#include <nanomsg/survey.h>
#include <nanomsg/ws.h>

#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

/* What the control data of one message says. */
struct told {
    int headers, kinds, numbers, addresses, credentials;
    unsigned number;
    char address[SPMSG_ADDRESS_MAX];
    struct spmsg_credentials who;
};

/* Receives a message, and gives the size of its body. */
static int receive(int s, struct told *told)
{
    void *body = NULL, *control = NULL;
    struct nn_iovec piece = {&body, NN_MSG};
    struct nn_msghdr message = {&piece, 1, &control, NN_MSG};
    memset(told, 0, sizeof *told);
    int size = nn_recvmsg(s, &message, 0);
    CHECK_AT_LEAST(size, 0);
    if (size < 0)
        return size;
    nn_freemsg(body);
    /* With NN_MSG the macros want the block itself. */
    struct nn_msghdr view = {NULL, 0, &control, NN_MSG};
    struct nn_cmsghdr *entry = NN_CMSG_FIRSTHDR(&view);
    for (int place = 0; entry; entry = NN_CMSG_NXTHDR(&view, entry), place++) {
        const char *data = (const char *)NN_CMSG_DATA(entry);
        size_t room = entry->cmsg_len - sizeof *entry;
        if (entry->cmsg_level == PROTO_SP && entry->cmsg_type == SP_HDR) {
            CHECK_EQ(place, 0);
            told->headers++;
        } else if (entry->cmsg_level == NN_WS && entry->cmsg_type == NN_WS_MSG_TYPE) {
            CHECK_EQ(place, 1);
            told->kinds++;
        } else if (entry->cmsg_level == SPMSG_CONTROL && entry->cmsg_type == SPMSG_PEER) {
            CHECK_AT_LEAST(room, sizeof told->number);
            memcpy(&told->number, data, sizeof told->number);
            told->numbers++;
        } else if (entry->cmsg_level == SPMSG_CONTROL && entry->cmsg_type == SPMSG_PEER_ADDRESS) {
            CHECK(memchr(data, 0, room) != NULL);
            CHECK_AT_MOST(room, SPMSG_ADDRESS_MAX + 8);
            snprintf(told->address, sizeof told->address, "%s", data);
            told->addresses++;
        } else if (entry->cmsg_level == SPMSG_CONTROL
                   && entry->cmsg_type == SPMSG_PEER_CREDENTIALS) {
            CHECK_AT_LEAST(room, sizeof told->who);
            memcpy(&told->who, data, sizeof told->who);
            told->credentials++;
        } else {
            FAIL("unexpected entry %d of level %d", entry->cmsg_type, entry->cmsg_level);
        }
    }
    nn_freemsg(control);
    return size;
}

static void check_told(const struct told *told, const char *scheme, const char *url)
{
    int is_net = strcmp(scheme, "tcp") == 0 || strcmp(scheme, "ws") == 0;
    CHECK_EQ(told->headers, 1);
    CHECK_EQ(told->kinds, strcmp(scheme, "ws") == 0);
    CHECK_EQ(told->numbers, 1);
    CHECK(told->number != 0);
    CHECK_EQ(told->addresses, 1);
    if (is_net) {
        char start[32];
        snprintf(start, sizeof start, "%s://127.0.0.1:", scheme);
        CHECK(strncmp(told->address, start, strlen(start)) == 0);
        CHECK_AT_LEAST(port_of(told->address), 1);
    } else {
        CHECK_STR(told->address, url);
    }
    CHECK_EQ(told->credentials, strcmp(scheme, "ipc") == 0);
    if (told->credentials) {
        CHECK_EQ(told->who.pid, getpid());
        CHECK_EQ(told->who.uid, getuid());
        CHECK_EQ(told->who.gid, getgid());
    }
}

static int open_told(int protocol)
{
    int s = nn_socket(AF_SP, protocol);
    REQUIRE(s >= 0);
    set_int(s, SPMSG_PEER_INFO, 1);
    CHECK_EQ(get_int(s, NN_SOL_SOCKET, SPMSG_PEER_INFO), 1);
    if (protocol != NN_PUSH && protocol != NN_PUB)
        set_int(s, NN_RCVTIMEO, PATIENCE_MS);
    if (protocol == NN_SUB)
        CHECK_EQ(nn_setsockopt(s, NN_SUB, NN_SUB_SUBSCRIBE, "", 0), 0);
    return s;
}

/* Every type that receives tells it, on every transport, at both ends. */
static void every_type_tells_it(void)
{
    static const int types[][2] = {{NN_PAIR, NN_PAIR}, {NN_REQ, NN_REP}, {NN_PUB, NN_SUB},
                                   {NN_PUSH, NN_PULL}, {NN_SURVEYOR, NN_RESPONDENT},
                                   {NN_BUS, NN_BUS}};
    for (size_t i = 0; i < 4; i++)
        for (size_t j = 0; j < 6; j++) {
            const char *scheme = BEYOND_SCHEMES[i];
            struct url url = unique_url(scheme);
            struct told told;
            int asks = open_told(types[j][0]), answers = open_told(types[j][1]);
            CHECK_OK(nn_bind(asks, url.text));
            CHECK_OK(nn_connect(answers, url.text));
            CHECK(wait_stat(asks, NN_STAT_CURRENT_CONNECTIONS, 1, PATIENCE_MS));
            CHECK(wait_stat(answers, NN_STAT_CURRENT_CONNECTIONS, 1, PATIENCE_MS));
            for (int round = 0; round < 3; round++) {
                CHECK_SEND(asks, "ask");
                CHECK_EQ(receive(answers, &told), 3);
                check_told(&told, scheme, url.text);
                if (strcmp(scheme, "tcp") == 0 || strcmp(scheme, "ws") == 0)
                    CHECK_STR(told.address, url.text);
                if (types[j][0] == NN_PUB || types[j][0] == NN_PUSH)
                    continue;
                CHECK_SEND(answers, "answer");
                CHECK_EQ(receive(asks, &told), 6);
                check_told(&told, scheme, url.text);
                if (strcmp(scheme, "tcp") == 0 || strcmp(scheme, "ws") == 0)
                    CHECK(strcmp(told.address, url.text) != 0);
            }
            nn_close(asks);
            nn_close(answers);
        }
}

static void nothing_is_told_unless_asked_for(void)
{
    for (size_t i = 0; i < 4; i++) {
        struct url url = unique_url(BEYOND_SCHEMES[i]);
        struct told told;
        int here, there;
        open_pairs(&here, &there, url.text);
        CHECK_EQ(get_int(here, NN_SOL_SOCKET, SPMSG_PEER_INFO), 0);
        CHECK_SEND(there, "a");
        CHECK_EQ(receive(here, &told), 1);
        CHECK_EQ(told.numbers + told.addresses + told.credentials, 0);

        /* It may be asked for, and given up, when the peer is there already. */
        set_int(here, SPMSG_PEER_INFO, 1);
        CHECK_SEND(there, "b");
        CHECK_EQ(receive(here, &told), 1);
        check_told(&told, BEYOND_SCHEMES[i], url.text);
        set_int(here, SPMSG_PEER_INFO, 0);
        CHECK_SEND(there, "c");
        CHECK_EQ(receive(here, &told), 1);
        CHECK_EQ(told.numbers + told.addresses + told.credentials, 0);
        nn_close(here);
        nn_close(there);
    }
    int s = open_pair(), bad = 3;
    CHECK_ERRNO(nn_setsockopt(s, NN_SOL_SOCKET, SPMSG_PEER_INFO, &bad, sizeof bad), -1, EINVAL);
    nn_close(s);
}

/* What is sent with a message is not what is told of its sender. */
static void nobody_can_pretend(void)
{
    char control[64] = {0}, body[] = "x";
    for (size_t i = 0; i < 4; i++) {
        struct url url = unique_url(BEYOND_SCHEMES[i]);
        struct told told;
        struct nn_iovec piece = {body, 1};
        struct nn_msghdr message = {&piece, 1, control, NN_CMSG_SPACE(16)};
        struct nn_cmsghdr *entry = (struct nn_cmsghdr *)control;
        int here, there;
        entry->cmsg_len = NN_CMSG_LEN(16);
        entry->cmsg_level = SPMSG_CONTROL;
        entry->cmsg_type = SPMSG_PEER_ADDRESS;
        strcpy((char *)NN_CMSG_DATA(entry), "tcp://liar:1");
        open_pairs(&here, &there, url.text);
        set_int(here, SPMSG_PEER_INFO, 1);
        CHECK_EQ(nn_sendmsg(there, &message, 0), 1);
        CHECK_EQ(receive(here, &told), 1);
        check_told(&told, BEYOND_SCHEMES[i], url.text);
        nn_close(here);
        nn_close(there);
    }
}

/* Each of many peers is told apart, and known by the address that it has itself. */
static void each_peer_is_told_apart(void)
{
    enum { PEERS = 5 };
    struct url url = unique_url("tcp");
    struct told told;
    int pull = open_told(NN_PULL), fds[PEERS];
    CHECK_OK(nn_bind(pull, url.text));
    for (int i = 0; i < PEERS; i++) {
        fds[i] = raw_connect(url.text);
        CHECK(raw_greet_as(fds[i], NN_PUSH, NN_PULL));
        CHECK(wait_stat(pull, NN_STAT_CURRENT_CONNECTIONS, (uint64_t)i + 1, PATIENCE_MS));
    }
    for (int i = 0; i < PEERS; i++) {
        char expected[64];
        struct sockaddr_in own;
        socklen_t size = sizeof own;
        CHECK_EQ(getsockname(fds[i], (struct sockaddr *)&own, &size), 0);
        snprintf(expected, sizeof expected, "tcp://127.0.0.1:%d", ntohs(own.sin_port));
        raw_message(fds[i], url.text, "hello", 5);
        CHECK_EQ(receive(pull, &told), 5);
        CHECK_STR(told.address, expected);
    }

    /* Also when the peer is gone before its message is received. */
    raw_message(fds[0], url.text, "bye", 3);
    raw_reset(fds[1]);
    close(fds[0]);
    CHECK_EQ(receive(pull, &told), 3);
    CHECK(strncmp(told.address, "tcp://127.0.0.1:", 16) == 0);
    for (int i = 2; i < PEERS; i++)
        close(fds[i]);
    nn_close(pull);
}

static int says_hello(void *url)
{
    int s = open_pair();
    CHECK_OK(nn_connect(s, url));
    CHECK_SEND(s, "hello");
    CHECK_RECV(s, "bye");
    nn_close(s);
    return 0;
}

/* The credentials are those of the other process, and outlive it. */
static void credentials_are_the_peers(void)
{
    struct url url = unique_url("ipc");
    struct told told;
    struct child child;
    int s = open_told(NN_PAIR);
    CHECK_OK(nn_bind(s, url.text));
    child_start(&child, says_hello, url.text);
    pid_t pid = child.pid;
    CHECK_EQ(receive(s, &told), 5);
    CHECK_EQ(told.who.pid, pid);
    CHECK_EQ(told.who.uid, getuid());
    CHECK_SEND(s, "bye");
    CHECK_EQ(child_wait(&child, PATIENCE_MS), 0);
    nn_close(s);
}

/* An area of the caller's own takes what fits, beginning with the header. */
static void an_area_is_filled_as_far_as_it_goes(void)
{
    struct url url = unique_url("ipc");
    char area[512], whole[512], body[4];
    int here, there;
    open_pairs(&here, &there, url.text);
    set_int(here, SPMSG_PEER_INFO, 1);
    struct nn_iovec piece = {body, sizeof body};
    struct nn_msghdr message = {&piece, 1, whole, sizeof whole};
    memset(whole, '#', sizeof whole);
    CHECK_SEND(there, "x");
    CHECK_EQ(nn_recvmsg(here, &message, 0), 1);
    int entries = 0;
    size_t end = 0;
    struct nn_cmsghdr *entry = (struct nn_cmsghdr *)whole;
    for (; entries < 4; entries++) {
        end += NN_CMSG_SPACE(entry->cmsg_len - sizeof *entry);
        entry = (struct nn_cmsghdr *)(whole + end);
    }
    CHECK_EQ(whole[end], '#');
    const size_t least = NN_CMSG_SPACE(sizeof(size_t));
    for (size_t size = 0; size <= end; size += sizeof(size_t)) {
        memset(area, '#', sizeof area);
        message.msg_control = area;
        message.msg_controllen = size;
        CHECK_SEND(there, "x");
        CHECK_EQ(nn_recvmsg(here, &message, 0), 1);
        CHECK_MEM(area, size < least ? "########################" : whole,
                  size < least ? least : size);
        CHECK_EQ(area[size < least ? 0 : size], '#');
    }
    nn_close(here);
    nn_close(there);
}

int main(void)
{
    test_begin("beyond/peers", 50);
    RUN(every_type_tells_it);
    RUN(nothing_is_told_unless_asked_for);
    RUN(nobody_can_pretend);
    RUN(each_peer_is_told_apart);
    RUN(credentials_are_the_peers);
    RUN(an_area_is_filled_as_far_as_it_goes);
    return test_end();
}
