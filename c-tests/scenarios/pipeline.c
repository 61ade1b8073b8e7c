/* Sixteen PUSHes that are connected to four PULLs each, all of them busy all the time: every
 * message arrives once, whole, and in the order in which its sender sent it to that receiver
 * (protocols 2.9, 7).
 *
 *   pipeline inproc|ipc|tcp [EFFORT [SEED]] */

#include "scenarios.h"

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/random.h"
#include "support/sockets.h"
#include "support/thread.h"
#include "support/trial.h"

#include <nanomsg/nn.h>
#include <nanomsg/pipeline.h>

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { PUSHERS = 16, PULLERS = 4, MESSAGES = 10000, LARGE_MAX = 150000, QUIET_MS = 100 };

struct head {
    uint32_t pusher;
    uint32_t number;
};

struct pusher {
    struct thread thread;
    uint32_t number;
    int s;
};

struct puller {
    struct thread thread;
    int number;
    int s;
};

static uint32_t messages;
/* How often each message has come, for each pusher. */
static unsigned char *seen[PUSHERS];
static long arrived;
static int all_arrived;

static uint64_t body_seed(const struct head *head)
{
    return trial.seed + ((uint64_t)head->pusher << 32) + head->number;
}

/* Mostly small, now and then one that no buffer has room for. */
static size_t body_size(const struct head *head)
{
    uint64_t state = body_seed(head) + 1;
    int limit = random_below(&state, 100) == 0 ? LARGE_MAX : 300;
    return (size_t)random_below(&state, limit);
}

static void *push(void *argument)
{
    struct pusher *pusher = argument;
    for (uint32_t i = 0; i < messages && !case_failed(); i++) {
        struct head head = {pusher->number, i};
        size_t size = body_size(&head);
        unsigned char *chunk = nn_allocmsg(sizeof head + size, 0);
        REQUIRE(chunk != NULL);
        memcpy(chunk, &head, sizeof head);
        fill_body(chunk + sizeof head, size, body_seed(&head));
        int sent = nn_send(pusher->s, &chunk, NN_MSG, 0);
        if (sent != (int)(sizeof head + size)) {
            FAIL("pusher %u, message %u: result %d, errno %d (%s)", pusher->number, i, sent, errno,
                 nn_strerror(errno));
            nn_freemsg(chunk);
        }
    }
    return NULL;
}

static void take(const struct puller *puller, const unsigned char *bytes, int size,
                 int64_t last[PUSHERS])
{
    struct head head = {PUSHERS, 0};
    if (size >= (int)sizeof head)
        memcpy(&head, bytes, sizeof head);
    if (head.pusher >= PUSHERS || head.number >= messages
        || size != (int)(sizeof head + body_size(&head))
        || !is_body(bytes + sizeof head, body_size(&head), body_seed(&head)))
        FAIL("puller %d: a message of %d bytes that nobody sent", puller->number, size);
    else if (__atomic_fetch_add(&seen[head.pusher][head.number], 1, __ATOMIC_RELAXED) > 0)
        FAIL("puller %d: message %u of pusher %u comes again", puller->number, head.number,
             head.pusher);
    else if (head.number <= last[head.pusher])
        FAIL("puller %d: message %u of pusher %u comes after %lld", puller->number, head.number,
             head.pusher, (long long)last[head.pusher]);
    else
        last[head.pusher] = head.number;
}

/* Until all messages have come to somebody, and nothing comes after them. */
static void *pull(void *argument)
{
    struct puller *puller = argument;
    int64_t last[PUSHERS];
    for (int i = 0; i < PUSHERS; i++)
        last[i] = -1;
    set_int(puller->s, NN_RCVTIMEO, QUIET_MS);
    for (;;) {
        int done = __atomic_load_n(&all_arrived, __ATOMIC_ACQUIRE) || case_failed();
        unsigned char *chunk = NULL;
        int size = nn_recv(puller->s, &chunk, NN_MSG, 0);
        if (size >= 0) {
            take(puller, chunk, size, last);
            nn_freemsg(chunk);
            __atomic_add_fetch(&arrived, 1, __ATOMIC_RELAXED);
        } else {
            CHECK_EQ(errno, ETIMEDOUT);
            if (done)
                return NULL;
        }
    }
}

/* False when nothing comes any more for as long as anybody has patience. */
static int wait_for_all(long total)
{
    for (long before = -1, now; (now = __atomic_load_n(&arrived, __ATOMIC_RELAXED)) != before;
         before = now)
        if (wait_until(case_failed() || __atomic_load_n(&arrived, __ATOMIC_RELAXED) >= total,
                       SCENARIO_PATIENCE_MS))
            return 1;
    return 0;
}

static void count_lost(void)
{
    for (int i = 0; i < PUSHERS; i++) {
        uint32_t lost = 0, first = 0;
        for (uint32_t j = messages; j-- > 0;)
            if (seen[i][j] == 0) {
                lost++;
                first = j;
            }
        if (lost > 0 && test.failures < 20)
            FAIL("%u messages of pusher %d never came, the first is %u", lost, i, first);
    }
}

static void open_all(struct pusher *pushers, struct puller *pullers)
{
    struct url urls[PULLERS];
    for (int i = 0; i < PULLERS; i++) {
        urls[i] = unique_url(trial.scheme);
        pullers[i].number = i;
        pullers[i].s = open_patient(AF_SP, NN_PULL);
        CHECK_OK(nn_bind(pullers[i].s, urls[i].text));
    }
    for (uint32_t i = 0; i < PUSHERS; i++) {
        seen[i] = calloc(messages, 1);
        REQUIRE(seen[i] != NULL);
        pushers[i].number = i;
        pushers[i].s = open_patient(AF_SP, NN_PUSH);
        for (int j = 0; j < PULLERS; j++)
            CHECK_OK(nn_connect(pushers[i].s, urls[j].text));
        wait_connections(pushers[i].s, PULLERS);
    }
}

static void every_message_arrives_once(void)
{
    static struct pusher pushers[PUSHERS];
    static struct puller pullers[PULLERS];
    messages = (uint32_t)(MESSAGES * trial.effort);
    open_all(pushers, pullers);
    for (int i = 0; i < PULLERS; i++)
        thread_start(&pullers[i].thread, pull, &pullers[i]);
    for (int i = 0; i < PUSHERS; i++)
        thread_start(&pushers[i].thread, push, &pushers[i]);
    CHECK(wait_for_all((long)messages * PUSHERS));
    __atomic_store_n(&all_arrived, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < PUSHERS; i++)
        scenario_join(&pushers[i].thread);
    for (int i = 0; i < PULLERS; i++)
        scenario_join(&pullers[i].thread);
    CHECK_EQ(arrived, (long)messages * PUSHERS);
    count_lost();
    for (int i = 0; i < PUSHERS; i++) {
        CHECK_CLOSE(pushers[i].s);
        free(seen[i]);
    }
    for (int i = 0; i < PULLERS; i++)
        CHECK_CLOSE(pullers[i].s);
}

int main(int count, char **words)
{
    trial_begin("scenarios/pipeline", "inproc|ipc|tcp", 85, count, words);
    RUN(every_message_arrives_once);
    RUN(nothing_is_left);
    return test_end();
}
