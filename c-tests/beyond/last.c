/* The newest message of each topic, and no other (SPMSG_SUB_LAST). */

#include "beyond.h"

#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/readiness.h"
#include "support/sockets.h"
#include "support/talk.h"

#include <nanomsg/nn.h>
#include <nanomsg/pubsub.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void keep_last(int s, int yes)
{
    CHECK_EQ(nn_setsockopt(s, NN_SUB, SPMSG_SUB_LAST, &yes, sizeof yes), 0);
}

/* The socket has taken so many, all but the newest of which are dropped. */
static int has_dropped(int s, uint64_t count)
{
    return wait_stat(s, SPMSG_STAT_MESSAGES_DROPPED, count, PATIENCE_MS);
}

static void it_is_off_unless_set(void)
{
    int s = open_socket(AF_SP, NN_SUB), pub = open_socket(AF_SP, NN_PUB), wrong = 2, yes = 1;
    CHECK_EQ(get_int(s, NN_SUB, SPMSG_SUB_LAST), 0);
    CHECK_ERRNO(nn_setsockopt(s, NN_SUB, SPMSG_SUB_LAST, &wrong, sizeof wrong), -1, EINVAL);
    CHECK_ERRNO(nn_setsockopt(s, NN_SUB, SPMSG_SUB_LAST, &yes, 3), -1, EINVAL);
    keep_last(s, 1);
    CHECK_EQ(get_int(s, NN_SUB, SPMSG_SUB_LAST), 1);
    CHECK_ERRNO(nn_setsockopt(pub, NN_SUB, SPMSG_SUB_LAST, &yes, sizeof yes), -1, ENOPROTOOPT);
    int context = spmsg_context(s);
    CHECK_EQ(get_int(context, NN_SUB, SPMSG_SUB_LAST), 0);
    CHECK_CLOSE(s, pub);
}

/* A topic has one message, which is its newest; topics come in the order of these. */
static void the_newest_of_each_topic_is_received(void)
{
    for (size_t i = 0; i < 4; i++) {
        int both[2];
        open_both(NN_PUB, NN_SUB, BEYOND_SCHEMES[i], both);
        subscribe(both[1], "temperature ");
        subscribe(both[1], "pressure ");
        subscribe(both[1], "pressure 9");
        keep_last(both[1], 1);
        CHECK_SEND(both[0], "temperature 1");
        CHECK_SEND(both[0], "pressure 1");
        CHECK_SEND(both[0], "pressure 90");
        CHECK_SEND(both[0], "noise");
        CHECK_SEND(both[0], "temperature 2");
        CHECK_SEND(both[0], "pressure 2");
        CHECK_SEND(both[0], "temperature 3");
        CHECK(has_dropped(both[1], 3));
        struct nn_pollfd polled = {both[1], NN_POLLIN, 0};
        CHECK_EQ(nn_poll(&polled, 1, 0), 1);
        CHECK(CAN_RECV(both[1]));
        CHECK_RECV(both[1], "pressure 90");
        CHECK_RECV(both[1], "pressure 2");
        CHECK_RECV(both[1], "temperature 3");
        CHECK_EQ(nn_poll(&polled, 1, 0), 0);
        CHECK(!CAN_RECV(both[1]));
        CHECK_AGAIN(both[1]);
        /* One who waits gets the next. */
        CHECK_SEND(both[0], "pressure 3");
        CHECK_RECV(both[1], "pressure 3");
        CHECK_CLOSE(both[0], both[1]);
    }
}

/* Nobody is held back, however long nothing is received, and no room is needed for it. */
static void who_does_not_receive_is_up_to_date_and_holds_nobody_back(void)
{
    enum { COUNT = 3000, SIZE = 8000 };
    for (size_t i = 0; i < 4; i++) {
        int both[2], nothing = SPMSG_DROP_NOTHING;
        char *text = calloc(1, SIZE), got[SIZE];
        open_both(NN_PUB, NN_SUB, BEYOND_SCHEMES[i], both);
        CHECK_EQ(nn_setsockopt(both[0], NN_SOL_SOCKET, SPMSG_DROP, &nothing, sizeof nothing), 0);
        subscribe(both[1], "");
        keep_last(both[1], 1);
        for (int n = 0; n < COUNT; n++) {
            snprintf(text, SIZE, "%d", n);
            CHECK_EQ(nn_send(both[0], text, SIZE, 0), SIZE);
        }
        CHECK(has_dropped(both[1], COUNT - 1));
        CHECK_EQ(nn_recv(both[1], got, SIZE, 0), SIZE);
        CHECK_EQ(atoi(got), COUNT - 1);
        CHECK_AGAIN(both[1]);
        CHECK_EQ(nn_get_statistic(both[0], SPMSG_STAT_MESSAGES_DROPPED), 0);
        free(text);
        CHECK_CLOSE(both[0], both[1]);
    }
}

/* Each context has its own topics, of which it keeps the newest or all. */
static void a_context_keeps_its_own(void)
{
    for (size_t i = 0; i < 4; i++) {
        int both[2];
        open_both(NN_PUB, NN_SUB, BEYOND_SCHEMES[i], both);
        int last = spmsg_context(both[1]), whole = spmsg_context(both[1]);
        subscribe(last, "");
        subscribe(whole, "");
        keep_last(last, 1);
        CHECK(!CAN_RECV(last));
        CHECK_SEND(both[0], "1");
        CHECK_SEND(both[0], "2");
        CHECK_SEND(both[0], "3");
        CHECK(has_dropped(both[1], 2));
        CHECK(CAN_RECV(last));
        CHECK_RECV(last, "3");
        CHECK(!CAN_RECV(last));
        CHECK_AGAIN(last);
        CHECK_RECV(whole, "1");
        CHECK_RECV(whole, "2");
        CHECK_RECV(whole, "3");
        CHECK_AGAIN(both[1]);
        CHECK_CLOSE(both[0], both[1]);
    }
}

/* What waits for a topic goes with its subscription; everything is kept when it is off again. */
static void it_ends_with_the_subscription_or_when_it_is_off(void)
{
    for (size_t i = 0; i < 4; i++) {
        int both[2];
        open_both(NN_PUB, NN_SUB, BEYOND_SCHEMES[i], both);
        subscribe(both[1], "a");
        subscribe(both[1], "b");
        keep_last(both[1], 1);
        CHECK_SEND(both[0], "a1");
        CHECK_SEND(both[0], "b1");
        CHECK_SEND(both[0], "b2");
        CHECK(has_dropped(both[1], 1));
        CHECK_EQ(nn_setsockopt(both[1], NN_SUB, NN_SUB_UNSUBSCRIBE, "a", 1), 0);
        CHECK_RECV(both[1], "b2");
        CHECK_AGAIN(both[1]);
        keep_last(both[1], 0);
        CHECK_SEND(both[0], "b3");
        CHECK_SEND(both[0], "b4");
        CHECK_RECV(both[1], "b3");
        CHECK_RECV(both[1], "b4");
        CHECK_CLOSE(both[0], both[1]);
    }
}

/* What waits and is outdated when it is set, or goes with a subscription, is counted at once. */
static void what_goes_with_an_option_is_counted(void)
{
    for (size_t i = 0; i < 4; i++) {
        int both[2];
        open_both(NN_PUB, NN_SUB, BEYOND_SCHEMES[i], both);
        int context = spmsg_context(both[1]), other = spmsg_context(both[1]);
        subscribe(context, "a");
        subscribe(context, "b");
        subscribe(other, "");
        CHECK_SEND(both[0], "a1");
        CHECK_SEND(both[0], "b1");
        CHECK_SEND(both[0], "a2");
        CHECK_SEND(both[0], "a3");
        /* Both have got what one has. */
        CHECK_RECV(other, "a1");
        CHECK_RECV(other, "b1");
        CHECK_RECV(other, "a2");
        CHECK_RECV(other, "a3");
        keep_last(context, 1);
        CHECK_EQ(nn_get_statistic(both[1], SPMSG_STAT_MESSAGES_DROPPED), 2);
        CHECK_EQ(nn_setsockopt(context, NN_SUB, NN_SUB_UNSUBSCRIBE, "b", 1), 0);
        CHECK_EQ(nn_get_statistic(both[1], SPMSG_STAT_MESSAGES_DROPPED), 3);
        CHECK_RECV(context, "a3");
        CHECK_AGAIN(context);
        CHECK_CLOSE(both[0], both[1]);
    }
}

int main(void)
{
    test_begin("beyond/last", 60);
    RUN(it_is_off_unless_set);
    RUN(the_newest_of_each_topic_is_received);
    RUN(who_does_not_receive_is_up_to_date_and_holds_nobody_back);
    RUN(a_context_keeps_its_own);
    RUN(it_ends_with_the_subscription_or_when_it_is_off);
    RUN(what_goes_with_an_option_is_counted);
    return test_end();
}
