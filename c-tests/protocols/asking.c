/* What REQ, REP, SURVEYOR and RESPONDENT say before anything has happened: results without a peer,
 * readiness, options, and the headers that cooked sockets refuse. */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/message.h"
#include "support/readiness.h"
#include "support/sockets.h"
#include "support/talk.h"

#include <nanomsg/bus.h>
#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/pubsub.h>
#include <nanomsg/reqrep.h>
#include <nanomsg/survey.h>

#include <errno.h>
#include <string.h>

/* protocols 2.6, 2.7, abi 8: 0 stands for success, AGAIN for a call that would wait. */
enum { AGAIN = -1 };

static const struct {
    const char *name;
    int domain, type, peer;
    int recv, send, recv_after_send;
    int readable, writable; /* core 8.1, on a fresh socket */
} sockets[] = {
    {"REQ", AF_SP, NN_REQ, NN_REP, EFSM, 0, AGAIN, 0, 1},
    {"raw REQ", AF_SP_RAW, NN_REQ, NN_REP, AGAIN, AGAIN, AGAIN, 0, 0},
    {"REP", AF_SP, NN_REP, NN_REQ, AGAIN, EFSM, AGAIN, 0, 0},
    {"raw REP", AF_SP_RAW, NN_REP, NN_REQ, AGAIN, 0, AGAIN, 0, 1},
    {"SURVEYOR", AF_SP, NN_SURVEYOR, NN_RESPONDENT, EFSM, 0, AGAIN, 1, 1},
    {"raw SURVEYOR", AF_SP_RAW, NN_SURVEYOR, NN_RESPONDENT, AGAIN, 0, AGAIN, 0, 1},
    {"RESPONDENT", AF_SP, NN_RESPONDENT, NN_SURVEYOR, AGAIN, EFSM, AGAIN, 0, 0},
    {"raw RESPONDENT", AF_SP_RAW, NN_RESPONDENT, NN_SURVEYOR, AGAIN, 0, AGAIN, 0, 1},
};

enum { SOCKETS = COUNT_OF(sockets) };

/* The result of a call is the expected one, with waiting and without. */
static void check_result(const char *name, int result, int error, int expected, int flags)
{
    int wanted = expected == AGAIN ? (flags & NN_DONTWAIT ? EAGAIN : ETIMEDOUT) : expected;
    test_at(__FILE__, __LINE__);
    if (wanted == 0 ? result != 3 : result != -1 || error != wanted)
        FAIL("%s: result %d, errno %d (%s), flags %d; should be %s", name, result, error,
             nn_strerror(error), flags, wanted ? nn_strerror(wanted) : "success");
}

static void check_send(int i, int s, int expected, int flags)
{
    errno = 0;
    int result = nn_send(s, "abc", 3, flags);
    check_result(sockets[i].name, result, errno, expected, flags);
}

static void check_recv(int i, int s, int expected, int flags)
{
    errno = 0;
    int result = nn_recv(s, NULL, 0, flags);
    check_result(sockets[i].name, result, errno, expected, flags);
}

/* The calls of abi 8 on a socket with nobody to talk to, in its order. */
static void check_grid(int i, int s)
{
    set_int(s, NN_SNDTIMEO, 20);
    set_int(s, NN_RCVTIMEO, 20);
    check_recv(i, s, sockets[i].recv, NN_DONTWAIT);
    check_recv(i, s, sockets[i].recv, 0);
    check_send(i, s, sockets[i].send, NN_DONTWAIT);
    check_send(i, s, sockets[i].send, 0);
    check_recv(i, s, sockets[i].recv_after_send, NN_DONTWAIT);
    /* core-quirks A-32: what was dropped or kept counts as sent. */
    int sent = sockets[i].send == 0 ? 2 : 0;
    CHECK_EQ(nn_get_statistic(s, NN_STAT_MESSAGES_SENT), sent);
    CHECK_EQ(nn_get_statistic(s, NN_STAT_BYTES_SENT), 3 * sent);
    CHECK_EQ(nn_get_statistic(s, NN_STAT_MESSAGES_RECEIVED), 0);
}

/* abi 8 */
static void results_without_endpoints(void)
{
    for (int i = 0; i < SOCKETS; i++) {
        int s = open_socket(sockets[i].domain, sockets[i].type);
        check_grid(i, s);
        CHECK_CLOSE(s);
    }
}

/* protocols 2.6, 2.7: an endpoint without a peer changes nothing, nor one that has lost it. */
static void results_without_peers(void)
{
    for (int i = 0; i < 3 * SOCKETS; i++) {
        struct url url = unique_url("inproc");
        int row = i / 3, s = open_socket(sockets[row].domain, sockets[row].type);
        CHECK_OK(i % 3 == 0 ? nn_connect(s, url.text) : nn_bind(s, url.text));
        if (i % 3 == 2)
            CHECK_CLOSE(open_connected(AF_SP, sockets[row].peer, url.text));
        check_grid(row, s);
        CHECK_CLOSE(s);
    }
}

/* protocols 2.6 "peers attached, none writable", 2.8: with a receive buffer of one byte the peer
 * over inproc takes two. */
static void results_with_a_busy_peer(void)
{
    for (int i = 0; i < SOCKETS; i++) {
        struct url url = unique_url("inproc");
        int s = open_bound(sockets[i].domain, sockets[i].type, url.text);
        int peer = open_socket(AF_SP_RAW, sockets[i].peer);
        set_int(s, NN_SNDTIMEO, 20);
        set_int(peer, NN_RCVBUF, 1);
        CHECK_OK(nn_connect(peer, url.text));
        if (sockets[i].send == EFSM) {
            check_send(i, s, EFSM, 0);
        } else {
            check_send(i, s, 0, NN_DONTWAIT);
            check_send(i, s, 0, NN_DONTWAIT);
            check_send(i, s, sockets[i].send, NN_DONTWAIT);
            check_send(i, s, sockets[i].send, 0);
        }
        CHECK_CLOSE(peer, s);
    }
}

/* core 8.1: "On a fresh socket without endpoints"; the descriptors stay the same. */
static void readiness_of_fresh_sockets(void)
{
    for (int i = 0; i < SOCKETS; i++) {
        int s = open_socket(sockets[i].domain, sockets[i].type);
        test_at(__FILE__, __LINE__);
        if (CAN_RECV(s) != sockets[i].readable || CAN_SEND(s) != sockets[i].writable)
            FAIL("%s: readable %d, writable %d", sockets[i].name, CAN_RECV(s), CAN_SEND(s));
        CHECK_EQ(get_int(s, NN_SOL_SOCKET, NN_RCVFD), get_int(s, NN_SOL_SOCKET, NN_RCVFD));
        CHECK_NE(get_int(s, NN_SOL_SOCKET, NN_RCVFD), get_int(s, NN_SOL_SOCKET, NN_SNDFD));
        CHECK_CLOSE(s);
    }
}

/* protocols 2.7, core 8.1: from the request to the reply, cooked at both ends. */
static void readiness_of_req_and_rep(void)
{
    struct url url = unique_url("inproc");
    int req = open_bound(AF_SP, NN_REQ, url.text), rep = open_connected(AF_SP, NN_REP, url.text);
    CHECK(CAN_SEND(req) && !CAN_RECV(req) && !CAN_SEND(rep) && !CAN_RECV(rep));
    CHECK_SEND(req, "q");
    CHECK(wait_until(CAN_RECV(rep), PATIENCE_MS));
    CHECK(CAN_SEND(req) && !CAN_RECV(req) && !CAN_SEND(rep));
    CHECK_RECV(rep, "q");
    CHECK(CAN_SEND(req) && !CAN_RECV(req) && CAN_SEND(rep) && !CAN_RECV(rep));
    CHECK_SEND(rep, "a");
    CHECK(wait_until(CAN_RECV(req), PATIENCE_MS));
    CHECK(CAN_SEND(req) && !CAN_SEND(rep) && !CAN_RECV(rep));
    CHECK_RECV(req, "a");
    CHECK(CAN_SEND(req) && !CAN_RECV(req) && !CAN_SEND(rep) && !CAN_RECV(rep));
    CHECK_CLOSE(req, rep);
    /* A request under way leaves REQ writable even with nobody there. */
    req = open_socket(AF_SP, NN_REQ);
    CHECK_SEND(req, "q");
    CHECK(CAN_SEND(req) && !CAN_RECV(req));
    CHECK_CLOSE(req);
}

/* core-quirks: readable while no survey is open. */
static void readiness_of_surveyor_and_respondent(void)
{
    struct url url = unique_url("inproc");
    int s = open_bound(AF_SP, NN_SURVEYOR, url.text), deadline = 50;
    int respondent = open_connected(AF_SP, NN_RESPONDENT, url.text);
    CHECK(CAN_SEND(s) && CAN_RECV(s) && !CAN_SEND(respondent) && !CAN_RECV(respondent));
    CHECK_SEND(s, "q");
    CHECK(wait_until(CAN_RECV(respondent), PATIENCE_MS));
    CHECK(CAN_SEND(s) && !CAN_SEND(respondent));
    CHECK(!CAN_RECV(s));
    CHECK_RECV(respondent, "q");
    CHECK(CAN_SEND(respondent) && !CAN_RECV(respondent));
    CHECK_SEND(respondent, "a");
    CHECK(CAN_RECV(s) && CAN_SEND(s) && !CAN_SEND(respondent));
    CHECK_RECV(s, "a");
    CHECK(!CAN_RECV(s) && CAN_SEND(s));
    CHECK_EQ(nn_setsockopt(s, NN_SURVEYOR, NN_SURVEYOR_DEADLINE, &deadline, sizeof deadline), 0);
    CHECK_SEND(s, "r");
    CHECK(wait_until(CAN_RECV(s), PATIENCE_MS));
    CHECK_ERRNO(nn_recv(s, NULL, 0, NN_DONTWAIT), -1, ETIMEDOUT);
    CHECK(CAN_RECV(s) && CAN_SEND(s));
    CHECK_ERRNO(nn_recv(s, NULL, 0, NN_DONTWAIT), -1, EFSM);
    CHECK(CAN_RECV(s) && CAN_SEND(s));
    CHECK_CLOSE(s, respondent);
}

/* protocols 2.7: raw sockets are readable with a message, raw REQ writable with a free peer. */
static void readiness_of_raw_sockets(void)
{
    for (int i = 0; i < 2; i++) {
        struct url url = unique_url("inproc");
        struct message message;
        int asker = open_bound(AF_SP_RAW, i ? NN_SURVEYOR : NN_REQ, url.text);
        CHECK_EQ(CAN_SEND(asker), i);
        int s = open_connected(AF_SP_RAW, i ? NN_RESPONDENT : NN_REP, url.text);
        CHECK(CAN_SEND(asker) && !CAN_RECV(asker) && CAN_SEND(s) && !CAN_RECV(s));
        send_numbered(asker, TOP_BIT, "q");
        CHECK(CAN_SEND(asker) && !CAN_RECV(asker) && CAN_SEND(s) && CAN_RECV(s));
        CHECK_TAKES(s, &message, "q");
        CHECK(CAN_SEND(s) && !CAN_RECV(s));
        answer(s, &message, "a");
        CHECK(CAN_RECV(asker) && CAN_SEND(s));
        CHECK_RECV(asker, "a");
        CHECK(!CAN_RECV(asker));
        CHECK_CLOSE(s);
        CHECK_EQ(CAN_SEND(asker), i);
        CHECK_CLOSE(asker);
    }
}

/* core-quirks, protocols 12: the one option of each of the two. */
static void each_asker_has_one_option(void)
{
    for (int i = 0; i < 2; i++) {
        int type = i ? NN_SURVEYOR : NN_REQ, standard = i ? 1000 : 60000;
        int s = nn_socket(AF_SP, type);
        static const int values[] = {0, 1, -1, 2147483647, -2147483647 - 1, 250};
        char large[16] = {0};
        size_t size;
        CHECK_EQ(get_int(s, type, 1), standard);
        for (size_t j = 0; j < COUNT_OF(values); j++) {
            CHECK_EQ(nn_setsockopt(s, type, 1, &values[j], sizeof values[j]), 0);
            CHECK_EQ(get_int(s, type, 1), values[j]);
        }
        for (size = 0; size <= sizeof large; size++)
            if (size != sizeof(int))
                CHECK_ERRNO(nn_setsockopt(s, type, 1, large, size), -1, EINVAL);
        CHECK_EQ(get_int(s, type, 1), 250);
        for (size_t room = 0; room <= sizeof large; room++) {
            size = room;
            if (room < sizeof(int)) {
                CHECK_ERRNO(nn_getsockopt(s, type, 1, large, &size), -1, EINVAL);
                continue;
            }
            CHECK_EQ(nn_getsockopt(s, type, 1, large, &size), 0);
            CHECK_EQ(size, sizeof(int));
        }
        CHECK_CLOSE(s);
    }
}

/* protocols 12: "Any other level above SOL_SOCKET, wrong option number, or a socket type without
 * options (also raw REQ and raw SURVEYOR): ENOPROTOOPT for set and get" */
static void other_options_do_not_exist(void)
{
    static const int levels[] = {NN_PAIR, NN_PUB, NN_SUB, NN_REQ, NN_REP, NN_PUSH, NN_PULL, 0x60,
                                 0x61, NN_SURVEYOR, NN_RESPONDENT, NN_BUS, 3, 6, 1000};
    for (int i = 0; i < SOCKETS; i++) {
        int s = open_socket(sockets[i].domain, sockets[i].type);
        for (size_t j = 0; j < COUNT_OF(levels); j++)
            for (int option = -1; option <= 3; option++) {
                int value = 100, own = levels[j] == sockets[i].type && sockets[i].domain == AF_SP
                                       && (levels[j] == NN_REQ || levels[j] == NN_SURVEYOR);
                size_t size = sizeof value;
                if (own && option == 1)
                    continue;
                CHECK_ERRNO(nn_setsockopt(s, levels[j], option, &value, sizeof value), -1,
                            ENOPROTOOPT);
                /* core 6.3: "no length check first" */
                CHECK_ERRNO(nn_setsockopt(s, levels[j], option, &value, 1), -1, ENOPROTOOPT);
                CHECK_ERRNO(nn_getsockopt(s, levels[j], option, &value, &size), -1, ENOPROTOOPT);
            }
        CHECK_CLOSE(s);
    }
}

/* protocols 10: an int from 1 to 255, on every type. */
static void the_hop_limit_is_one_to_255(void)
{
    for (int i = 0; i < SOCKETS; i++) {
        static const int wrong[] = {0, -1, 256, 1000, -2147483647 - 1};
        int s = open_socket(sockets[i].domain, sockets[i].type);
        CHECK_EQ(get_int(s, NN_SOL_SOCKET, NN_MAXTTL), 8);
        for (int ttl = 1; ttl <= 255; ttl++) {
            set_int(s, NN_MAXTTL, ttl);
            CHECK_EQ(get_int(s, NN_SOL_SOCKET, NN_MAXTTL), ttl);
        }
        for (size_t j = 0; j < COUNT_OF(wrong); j++)
            CHECK_ERRNO(nn_setsockopt(s, NN_SOL_SOCKET, NN_MAXTTL, &wrong[j], sizeof wrong[j]), -1,
                        EINVAL);
        CHECK_EQ(get_int(s, NN_SOL_SOCKET, NN_MAXTTL), 255);
        CHECK_CLOSE(s);
    }
}

/* Two cooked sockets of one family; `s` may send now. */
static void open_speaker(int i, int *s, int *peer)
{
    struct url url = unique_url("inproc");
    *s = open_bound(AF_SP, sockets[i].type, url.text);
    *peer = open_connected(AF_SP, sockets[i].peer, url.text);
    if (sockets[i].send == EFSM) {
        CHECK_SEND(*peer, "q");
        CHECK_RECV(*s, "q");
    }
}

/* core-quirks B-19: -1/EINVAL, the body stays with the caller, and so does the right to send. */
static void a_cooked_socket_refuses_a_header(void)
{
    for (int i = 0; i < SOCKETS; i += 2)
        for (size_t size = 1; size <= 12; size++) {
            int s, peer;
            char *chunk = nn_allocmsg(4, 0);
            unsigned char control[64];
            struct nn_iovec part = {&chunk, NN_MSG};
            struct nn_msghdr header = {&part, 1, control, 0};
            open_speaker(i, &s, &peer);
            memcpy(chunk, "body", 4);
            header.msg_controllen = put_header(control, "\x80\0\0\1\x80\0\0\2\x80\0\0\3", size);
            CHECK_ERRNO(nn_sendmsg(s, &header, 0), -1, EINVAL);
            CHECK_MEM(chunk, "body", 4);
            CHECK_EQ(nn_get_statistic(s, NN_STAT_MESSAGES_SENT), 0);
            CHECK_EQ(nn_send(s, &chunk, NN_MSG, 0), 4);
            CHECK_RECV(peer, "body");
            CHECK_CLOSE(s, peer);
        }
}

/* core 5.6: an entry of no bytes, which is what a cooked socket shows, is fine. */
static void a_cooked_socket_takes_an_empty_header(void)
{
    for (int i = 0; i < SOCKETS; i += 2) {
        struct message message;
        int s, peer;
        open_speaker(i, &s, &peer);
        CHECK_EQ(send_message(s, NULL, 0, "body", 4, 0), 4);
        CHECK_TAKES(peer, &message, "body");
        CHECK_EQ(message.header_size, 0);
        CHECK_CLOSE(s, peer);
    }
}

/* core-quirks A-37: a control chunk is consumed although the state does not allow to send. */
static void a_control_chunk_goes_with_a_refusal(void)
{
    for (int i = 0; i < SOCKETS; i += 2) {
        int s = open_socket(AF_SP, sockets[i].type);
        char *body = nn_allocmsg(4, 0);
        void *control = nn_allocmsg(24, 0);
        struct nn_iovec part = {&body, NN_MSG};
        struct nn_msghdr header = {&part, 1, &control, NN_MSG};
        put_header(control, NULL, 0);
        memcpy(body, "body", 4);
        if (sockets[i].send == EFSM) {
            CHECK_ERRNO(nn_sendmsg(s, &header, 0), -1, EFSM);
            CHECK_MEM(body, "body", 4);
            CHECK_EQ(nn_freemsg(body), 0);
        } else {
            CHECK_EQ(nn_sendmsg(s, &header, 0), 4);
        }
        CHECK_CLOSE(s);
    }
}

int main(void)
{
    test_begin("protocols/asking", 58);
    RUN(results_without_endpoints);
    RUN(results_without_peers);
    RUN(results_with_a_busy_peer);
    RUN(readiness_of_fresh_sockets);
    RUN(readiness_of_req_and_rep);
    RUN(readiness_of_surveyor_and_respondent);
    RUN(readiness_of_raw_sockets);
    RUN(each_asker_has_one_option);
    RUN(other_options_do_not_exist);
    RUN(the_hop_limit_is_one_to_255);
    RUN(a_cooked_socket_refuses_a_header);
    RUN(a_cooked_socket_takes_an_empty_header);
    RUN(a_control_chunk_goes_with_a_refusal);
    return test_end();
}
