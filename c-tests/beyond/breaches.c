/* Peers whose every message is more than NN_RCVMAXSIZE allows: they are left alone for longer each
 * time, what they are asked is not asked again in a loop, and a program can learn of it. */

#include "beyond.h"

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/sockets.h"
#include "support/talk.h"

#include <nanomsg/nn.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/reqrep.h>

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>

enum { LIMIT = 100, WATCHED_MS = 1500 };
/* The sockets try again every 10 ms, which would be 150; doubling the delay leads to 5 where they
 * ask, and to 7 where they only connect. */
enum { OFTEN = 8 };

static char big[LIMIT + 1];

static int64_t after_ms(int ms)
{
    return now_us() + (int64_t)ms * 1000;
}

/* Answers every request with more than may be, until that time is over. Returns how many came. */
static int answer_too_much(int rep, int ms)
{
    int64_t end = after_ms(ms);
    char request[8];
    int count = 0;
    set_int(rep, NN_RCVTIMEO, 50);
    while (now_us() < end)
        if (nn_recv(rep, request, sizeof request, 0) >= 0) {
            CHECK_EQ(nn_send(rep, big, sizeof big, 0), sizeof big);
            count++;
        }
    return count;
}

/* Every end is an event with its reason, and is counted. */
static void check_told(int s, int least)
{
    struct spmsg_event event;
    int violations = 0;
    while (spmsg_next_event(s, &event) == 0)
        if (event.type == SPMSG_EVENT_DISCONNECTED && event.error == EMSGSIZE)
            violations++;
    CHECK_AT_LEAST(violations, least);
    CHECK_EQ(nn_get_statistic(s, SPMSG_STAT_VIOLATIONS), violations);
}

static void check_asking(const char *scheme, int asker_binds)
{
    struct url url = unique_url(scheme);
    int req = open_socket(AF_SP, NN_REQ), rep = open_socket(AF_SP, NN_REP);
    int limit = LIMIT;
    set_int(req, NN_RCVMAXSIZE, limit);
    CHECK_OK(spmsg_events(req));
    CHECK_OK(nn_bind(asker_binds ? req : rep, url.text));
    CHECK_OK(nn_connect(asker_binds ? rep : req, url.text));
    CHECK_SEND(req, "ask");
    int count = answer_too_much(rep, WATCHED_MS);
    CHECK_AT_LEAST(count, 2);
    CHECK_AT_MOST(count, OFTEN);
    /* The last answer may be on its way. */
    check_told(req, count - 1);
    /* One that may be is taken whenever it is asked for again. */
    char request[8];
    set_int(rep, NN_RCVTIMEO, 2 * PATIENCE_MS);
    set_int(req, NN_RCVTIMEO, 2 * PATIENCE_MS);
    CHECK_EQ(nn_recv(rep, request, sizeof request, 0), 3);
    CHECK_SEND(rep, "little");
    CHECK_RECV(req, "little");
    CHECK_CLOSE(req, rep);
}

static void a_reply_that_is_too_large_is_asked_for_less_and_less_often(void)
{
    for (size_t i = 1; i < 4; i++)
        for (int asker_binds = 0; asker_binds < 2; asker_binds++)
            check_asking(BEYOND_SCHEMES[i], asker_binds);
}

/* The one who is connected to has nothing that may be received; then he has. */
static void who_sends_too_much_only_is_left_alone_for_longer_each_time(void)
{
    for (size_t i = 1; i < 4; i++) {
        struct url url = unique_url(BEYOND_SCHEMES[i]);
        int pull = open_socket(AF_SP, NN_PULL), push = open_socket(AF_SP, NN_PUSH), limit = LIMIT;
        set_int(pull, NN_RCVMAXSIZE, limit);
        CHECK_OK(spmsg_events(pull));
        CHECK_OK(nn_bind(push, url.text));
        CHECK_OK(nn_connect(pull, url.text));
        set_int(push, NN_SNDTIMEO, 50);
        int64_t end = after_ms(WATCHED_MS);
        while (now_us() < end)
            nn_send(push, big, sizeof big, 0);
        CHECK_AT_LEAST(nn_get_statistic(pull, NN_STAT_ESTABLISHED_CONNECTIONS), 2);
        CHECK_AT_MOST(nn_get_statistic(pull, NN_STAT_ESTABLISHED_CONNECTIONS), OFTEN);
        check_told(pull, 2);
        set_int(push, NN_SNDTIMEO, 2 * PATIENCE_MS);
        set_int(pull, NN_RCVTIMEO, 2 * PATIENCE_MS);
        CHECK_SEND(push, "little");
        CHECK_RECV(pull, "little");
        CHECK_CLOSE(pull, push);
    }
}

/* core 6.5: whoever sends something of use, too, is connected to as ever. */
static void traffic_goes_on_behind_a_message_that_is_too_large(void)
{
    for (size_t i = 1; i < 4; i++) {
        struct url url = unique_url(BEYOND_SCHEMES[i]);
        int pull = open_socket(AF_SP, NN_PULL), push = open_socket(AF_SP, NN_PUSH), limit = LIMIT;
        set_int(pull, NN_RCVMAXSIZE, limit);
        set_int(pull, NN_RECONNECT_IVL, 1);
        CHECK_OK(nn_bind(push, url.text));
        CHECK_OK(nn_connect(pull, url.text));
        int64_t since = now_us();
        for (int round = 0; round < 14; round++) {
            CHECK_SEND(push, "little");
            CHECK_RECV(pull, "little");
            CHECK_EQ(nn_send(push, big, sizeof big, 0), sizeof big);
            CHECK(wait_stat(pull, SPMSG_STAT_VIOLATIONS, (uint64_t)round + 1, PATIENCE_MS));
            /* A new one, and the end of the last one has been noticed. */
            CHECK(wait_stat(push, NN_STAT_ACCEPTED_CONNECTIONS, (uint64_t)round + 2, PATIENCE_MS));
            CHECK_PIPES(push, 1);
        }
        /* If the delay doubled, it would be 16 seconds by now. */
        CHECK_AT_MOST(now_us() - since, 8000000);
        CHECK_CLOSE(pull, push);
    }
}

int main(void)
{
    test_begin("beyond/breaches", 120);
    RUN(a_reply_that_is_too_large_is_asked_for_less_and_less_often);
    RUN(who_sends_too_much_only_is_left_alone_for_longer_each_time);
    RUN(traffic_goes_on_behind_a_message_that_is_too_large);
    return test_end();
}
