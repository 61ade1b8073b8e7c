/* A short life with something for each probe of doc/probes.md, for who looks from outside. It says
 * in a line which numbers its sockets have, and how many messages were dropped. */

#include "beyond.h"

#include "support/check.h"
#include "support/sockets.h"

#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/pubsub.h>

#include <errno.h>
#include <stdio.h>

static char body[20000];

static int converse(void)
{
    int one = open_socket(AF_SP, NN_PAIR);
    int other = open_socket(AF_SP, NN_PAIR);
    set_int(other, NN_RCVTIMEO, 20);
    CHECK_OK(nn_bind(one, "inproc://probed"));
    CHECK_OK(nn_connect(other, "inproc://probed"));
    CHECK_EQ(nn_send(one, body, 3, 0), 3);
    CHECK_EQ(nn_recv(other, body, sizeof(body), 0), 3);
    CHECK_EQ(nn_send(other, body, sizeof(body), 0), (int)sizeof(body));
    CHECK_EQ(nn_recv(one, body, sizeof(body), 0), (int)sizeof(body));
    CHECK_EQ(nn_recv(other, body, sizeof(body), 0), -1);
    CHECK_EQ(nn_errno(), ETIMEDOUT);
    return other;
}

static int refuse(void)
{
    int push = open_socket(AF_SP, NN_PUSH);
    CHECK_EQ(nn_send(push, body, 5, NN_DONTWAIT), -1);
    CHECK_EQ(nn_errno(), EAGAIN);
    CHECK_OK(nn_connect(push, "ipc:///nowhere/probed"));
    CHECK(wait_stat_at_least(push, NN_STAT_CONNECT_ERRORS, 1, PATIENCE_MS));
    return push;
}

/* Returns the number of the socket, and in `dropped` how many messages went nowhere. */
static int drop(unsigned long long *dropped)
{
    int publisher = open_socket(AF_SP, NN_PUB);
    int subscriber = open_socket(AF_SP, NN_SUB);
    subscribe(subscriber, "");
    CHECK_OK(nn_bind(publisher, "inproc://dropped"));
    CHECK_OK(nn_connect(subscriber, "inproc://dropped"));
    for (int i = 0; i < 100; i++)
        CHECK_EQ(nn_send(publisher, body, sizeof(body), 0), (int)sizeof(body));
    *dropped = nn_get_statistic(publisher, SPMSG_STAT_MESSAGES_DROPPED);
    CHECK_AT_LEAST(*dropped, 1);
    return publisher;
}

int main(void)
{
    unsigned long long dropped;
    int pair = converse();
    int push = refuse();
    int publisher = drop(&dropped);
    printf("pair=%d push=%d pub=%d dropped=%llu\n", pair, push, publisher, dropped);
    /* Each has had a number of its own. */
    nn_term();
    return test.failures > 0;
}
