/* Requests that are asked once (SPMSG_REQ_RESEND_ON_LOSS). */

#include "beyond.h"

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/readiness.h"
#include "support/sockets.h"
#include "support/talk.h"
#include "support/thread.h"

#include <nanomsg/nn.h>
#include <nanomsg/reqrep.h>

#include <errno.h>
#include <stdint.h>

static int set(int s, int level, int option, int value)
{
    return nn_setsockopt(s, level, option, &value, sizeof value);
}

/* One that asks once, and tries to connect again at once. */
static int open_once(void)
{
    int req = open_socket(AF_SP, NN_REQ);
    CHECK_EQ(set(req, NN_REQ, SPMSG_REQ_RESEND_ON_LOSS, 0), 0);
    return req;
}

/* protocols 4.6 */
static void the_loss_of_the_service_is_told_once(void)
{
    for (size_t i = 0; i < 4; i++) {
        struct url one = unique_url(BEYOND_SCHEMES[i]), two = unique_url(BEYOND_SCHEMES[i]);
        int a = open_bound(AF_SP, NN_REP, one.text), b = open_bound(AF_SP, NN_REP, two.text);
        int req = open_once();
        CHECK_OK(nn_connect(req, one.text));
        CHECK_PIPES(req, 1);
        CHECK_OK(nn_connect(req, two.text));
        CHECK_PIPES(req, 2);
        CHECK_SEND(req, "q");
        CHECK_RECV(a, "q");
        CHECK(!CAN_RECV(req));
        CHECK_CLOSE(a);
        CHECK_ERRNO(nn_recv(req, NULL, 0, 0), -1, ECONNRESET);
        CHECK_ERRNO(nn_recv(req, NULL, 0, 0), -1, EFSM);
        CHECK(!CAN_RECV(req));
        CHECK_AGAIN(b);
        /* The next one goes to whoever is left. */
        CHECK_SEND(req, "r");
        CHECK_RECV(b, "r");
        CHECK_SEND(b, "re");
        CHECK_RECV(req, "re");
        CHECK_CLOSE(b, req);
    }
}

/* protocols 4.6: who comes back does not get what was lost with him. */
static void who_comes_back_is_not_asked_again(void)
{
    for (size_t i = 0; i < 4; i++) {
        struct url url = unique_url(BEYOND_SCHEMES[i]);
        int service = open_bound(AF_SP, NN_REP, url.text), req = open_once();
        CHECK_OK(nn_connect(req, url.text));
        CHECK_SEND(req, "q");
        CHECK_RECV(service, "q");
        CHECK_CLOSE(service);
        CHECK(wait_until(CAN_RECV(req), PATIENCE_MS));
        service = open_bound(AF_SP, NN_REP, url.text);
        CHECK_PIPES(req, 1);
        CHECK_ERRNO(nn_recv(req, NULL, 0, NN_DONTWAIT), -1, ECONNRESET);
        CHECK_AGAIN(service);
        /* What nobody had is not lost. */
        CHECK_CLOSE(service);
        CHECK_PIPES(req, 0);
        CHECK_SEND(req, "r");
        CHECK_AGAIN(req);
        service = open_bound(AF_SP, NN_REP, url.text);
        CHECK_RECV(service, "r");
        CHECK_SEND(service, "re");
        CHECK_RECV(req, "re");
        CHECK_CLOSE(service, req);
    }
}

static void *receive(void *socket)
{
    int number = nn_recv(*(int *)socket, NULL, 0, 0) < 0 ? nn_errno() : 0;
    return (void *)(intptr_t)number;
}

/* Who sleeps in nn_recv, in nn_poll or in front of the descriptor is woken. */
static void who_waits_is_woken(void)
{
    for (size_t i = 0; i < 4; i++)
        for (int way = 0; way < 3; way++) {
            struct url url = unique_url(BEYOND_SCHEMES[i]);
            struct thread waiting;
            int service = open_bound(AF_SP, NN_REP, url.text), req = open_once();
            CHECK_OK(nn_connect(req, url.text));
            CHECK_SEND(req, "q");
            CHECK_RECV(service, "q");
            if (way == 0)
                thread_start(&waiting, receive, &req);
            if (way == 2)
                CHECK(!CAN_RECV(req));
            CHECK_CLOSE(service);
            if (way == 0)
                CHECK_EQ((int)(intptr_t)thread_join(&waiting), ECONNRESET);
            if (way == 1) {
                struct nn_pollfd ready = {req, NN_POLLIN, 0};
                CHECK_EQ(nn_poll(&ready, 1, PATIENCE_MS), 1);
                CHECK_EQ(ready.revents, NN_POLLIN);
                CHECK_ERRNO(nn_recv(req, NULL, 0, 0), -1, ECONNRESET);
            }
            if (way == 2) {
                CHECK(wait_until(CAN_RECV(req), PATIENCE_MS));
                CHECK_ERRNO(nn_recv(req, NULL, 0, 0), -1, ECONNRESET);
                CHECK(!CAN_RECV(req));
            }
            CHECK_CLOSE(req);
        }
}

/* protocols 4.6: also when it is this side that ends it. */
static void an_endpoint_that_is_shut_down_loses_the_request(void)
{
    for (size_t i = 0; i < 4; i++) {
        struct url url = unique_url(BEYOND_SCHEMES[i]);
        int service = open_bound(AF_SP, NN_REP, url.text), req = open_once();
        int endpoint = nn_connect(req, url.text);
        CHECK_OK(endpoint);
        CHECK_SEND(req, "q");
        CHECK_RECV(service, "q");
        CHECK_EQ(nn_shutdown(req, endpoint), 0);
        CHECK_ERRNO(nn_recv(req, NULL, 0, 0), -1, ECONNRESET);
        CHECK_CLOSE(service, req);
    }
}

/* protocols 4.6: what has arrived before the end is the reply. */
static void a_reply_in_front_of_the_end_counts(void)
{
    for (size_t i = 0; i < 4; i++) {
        struct url url = unique_url(BEYOND_SCHEMES[i]);
        int service = open_bound(AF_SP, NN_REP, url.text), req = open_once();
        CHECK_OK(nn_connect(req, url.text));
        CHECK_SEND(req, "q");
        CHECK_RECV(service, "q");
        CHECK_SEND(service, "a");
        CHECK_CLOSE(service);
        CHECK_RECV(req, "a");
        CHECK_CLOSE(req);
    }
}

/* protocols 4.6: the interval is another matter. */
static void the_interval_goes_on(void)
{
    struct url url = unique_url("inproc");
    int service = open_bound(AF_SP, NN_REP, url.text), req = open_once();
    CHECK_EQ(set(req, NN_REQ, NN_REQ_RESEND_IVL, 30), 0);
    CHECK_OK(nn_connect(req, url.text));
    CHECK_SEND(req, "q");
    CHECK_RECV(service, "q");
    CHECK_RECV(service, "q");
    CHECK_CLOSE(service);
    CHECK_ERRNO(nn_recv(req, NULL, 0, 0), -1, ECONNRESET);
    CHECK_CLOSE(req);
}

static void the_option_is_0_or_1_and_of_a_cooked_req(void)
{
    int req = open_socket(AF_SP, NN_REQ), raw = open_socket(AF_SP_RAW, NN_REQ);
    int rep = open_socket(AF_SP, NN_REP);
    char byte = 0;
    CHECK_EQ(get_int(req, NN_REQ, SPMSG_REQ_RESEND_ON_LOSS), 1);
    CHECK_ERRNO(set(req, NN_REQ, SPMSG_REQ_RESEND_ON_LOSS, 2), -1, EINVAL);
    CHECK_ERRNO(set(req, NN_REQ, SPMSG_REQ_RESEND_ON_LOSS, -1), -1, EINVAL);
    CHECK_ERRNO(nn_setsockopt(req, NN_REQ, SPMSG_REQ_RESEND_ON_LOSS, &byte, 1), -1, EINVAL);
    CHECK_EQ(get_int(req, NN_REQ, SPMSG_REQ_RESEND_ON_LOSS), 1);
    CHECK_EQ(set(req, NN_REQ, SPMSG_REQ_RESEND_ON_LOSS, 0), 0);
    CHECK_EQ(get_int(req, NN_REQ, SPMSG_REQ_RESEND_ON_LOSS), 0);
    CHECK_ERRNO(set(raw, NN_REQ, SPMSG_REQ_RESEND_ON_LOSS, 0), -1, ENOPROTOOPT);
    CHECK_ERRNO(set(rep, NN_REQ, SPMSG_REQ_RESEND_ON_LOSS, 0), -1, ENOPROTOOPT);
    CHECK_ERRNO(set(req, NN_SOL_SOCKET, SPMSG_REQ_RESEND_ON_LOSS, 0), -1, ENOPROTOOPT);
    CHECK_CLOSE(req, raw, rep);
}

int main(void)
{
    test_begin("beyond/requests", 50);
    RUN(the_loss_of_the_service_is_told_once);
    RUN(who_comes_back_is_not_asked_again);
    RUN(who_waits_is_woken);
    RUN(an_endpoint_that_is_shut_down_loses_the_request);
    RUN(a_reply_in_front_of_the_end_counts);
    RUN(the_interval_goes_on);
    RUN(the_option_is_0_or_1_and_of_a_cooked_req);
    return test_end();
}
