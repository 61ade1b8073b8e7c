/* A mesh of eight BUS sockets, each connected to each other: every message arrives at every other
 * node exactly once, in the order in which its node sent it, and never at that node (protocols 9).
 *
 *   mesh inproc|ipc|tcp [EFFORT [SEED]] */

#include "scenarios.h"

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/random.h"
#include "support/sockets.h"
#include "support/thread.h"
#include "support/trial.h"

#include <nanomsg/bus.h>
#include <nanomsg/nn.h>

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>

/* A burst of all others fits into the buffers of a node: a bus drops what does not. */
enum { NODES = 8, BURST = 16, ROUNDS = 200, BODY_MAX = 200, QUIET_MS = 100 };

struct head {
    uint32_t node;
    uint32_t number;
};

struct node {
    struct thread thread;
    uint32_t number;
    int s;
    int rounds;
};

static pthread_barrier_t barrier;

static uint64_t body_seed(const struct head *head)
{
    return trial.seed + ((uint64_t)head->node << 32) + head->number;
}

static size_t body_size(const struct head *head)
{
    uint64_t state = body_seed(head) + 1;
    return (size_t)random_below(&state, BODY_MAX);
}

static void send_burst(const struct node *node, int round)
{
    for (int i = 0; i < BURST; i++) {
        unsigned char bytes[sizeof(struct head) + BODY_MAX];
        struct head head = {node->number, (uint32_t)(round * BURST + i)};
        size_t size = body_size(&head);
        memcpy(bytes, &head, sizeof head);
        fill_body(bytes + sizeof head, size, body_seed(&head));
        CHECK_EQ(nn_send(node->s, bytes, sizeof head + size, 0), sizeof head + size);
    }
}

static void recv_bursts(const struct node *node, int round)
{
    uint32_t next[NODES];
    for (int i = 0; i < NODES; i++)
        next[i] = (uint32_t)(round * BURST);
    for (int i = 0; i < (NODES - 1) * BURST && !case_failed(); i++) {
        unsigned char bytes[sizeof(struct head) + BODY_MAX];
        struct head head = {0, 0};
        int size = nn_recv(node->s, bytes, sizeof bytes, 0);
        if (size >= (int)sizeof head)
            memcpy(&head, bytes, sizeof head);
        if (size < (int)sizeof head || head.node >= NODES || head.node == node->number
            || head.number != next[head.node]++ || size != (int)(sizeof head + body_size(&head))
            || !is_body(bytes + sizeof head, body_size(&head), body_seed(&head)))
            FAIL("node %u, round %d, message %d: size %d, number %u of node %u, errno %d (%s)",
                 node->number, round, i, size, head.number, head.node, errno, nn_strerror(errno));
    }
}

static void *live(void *argument)
{
    struct node *node = argument;
    int failed = 0;
    for (int round = 0; round < node->rounds && !failed; round++) {
        send_burst(node, round);
        recv_bursts(node, round);
        pthread_barrier_wait(&barrier);
        /* All must leave in the same round, so nobody may fail between the two. */
        failed = case_failed();
        pthread_barrier_wait(&barrier);
    }
    if (!failed)
        check_hears_nothing(node->s, QUIET_MS);
    return NULL;
}

static void every_message_arrives_at_every_other_node(void)
{
    static struct node nodes[NODES];
    struct url urls[NODES];
    REQUIRE(pthread_barrier_init(&barrier, NULL, NODES) == 0);
    for (uint32_t i = 0; i < NODES; i++) {
        nodes[i].number = i;
        nodes[i].rounds = ROUNDS * trial.effort;
        nodes[i].s = open_patient(AF_SP, NN_BUS);
        urls[i] = unique_url(trial.scheme);
        CHECK_OK(nn_bind(nodes[i].s, urls[i].text));
        for (uint32_t j = 0; j < i; j++)
            CHECK_OK(nn_connect(nodes[i].s, urls[j].text));
    }
    for (int i = 0; i < NODES; i++)
        wait_connections(nodes[i].s, NODES - 1);
    for (int i = 0; i < NODES; i++)
        thread_start(&nodes[i].thread, live, &nodes[i]);
    for (int i = 0; i < NODES; i++)
        scenario_join(&nodes[i].thread);
    for (int i = 0; i < NODES; i++)
        CHECK_CLOSE(nodes[i].s);
    pthread_barrier_destroy(&barrier);
}

int main(int count, char **words)
{
    trial_begin("scenarios/mesh", "inproc|ipc|tcp", 85, count, words);
    RUN(every_message_arrives_at_every_other_node);
    RUN(nothing_is_left);
    return test_end();
}
