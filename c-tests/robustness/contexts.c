/* Memory that cannot be had while contexts are opened, used and closed: the first, second, third ...
 * allocation fails, alone or with those behind it. Calls say so, or one connection ends; the
 * socket, its other contexts and what waits on them go on, and nothing is left.
 *
 *   contexts inproc|ipc|tcp|ws|tls+tcp|wss [EFFORT [SEED]] */

#include "allocshim.h"

#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/resources.h"
#include "support/sockets.h"
#include "support/talk.h"
#include "support/thread.h"
#include "support/trial.h"

#include <nanomsg/nn.h>
#include <nanomsg/pubsub.h>
#include <nanomsg/reqrep.h>
#include <nanomsg/survey.h>
#include <spmsg/spmsg.h>

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Buffers that are kept for the next time. */
enum { BUFFERS = 16, SHORT_MS = 20 };

/* A call under which memory may be missing: it works, says so, or finds no peer. */
static int call(int result)
{
    int error = result < 0 ? errno : 0;
    if (result < 0 && error != ENOMEM && error != ETIMEDOUT && error != EFSM)
        FAIL("a call fails with %d (%s)", error, nn_strerror(error));
    else
        CHECK(1);
    return result;
}

static int open_context(int s)
{
    int context = spmsg_context(s);
    if (call(context) >= 0) {
        int ms = SHORT_MS;
        call(nn_setsockopt(context, NN_SOL_SOCKET, NN_RCVTIMEO, &ms, sizeof ms));
    }
    return context;
}

/* All that contexts do, once, whatever comes of it. Others wait for the same streams meanwhile. */
static void use(int s, int peer)
{
    char text[64], *chunk = NULL;
    int asking = open_context(s), serving = open_context(peer);
    if (asking >= 0 && serving >= 0) {
        /* Nothing has been sent: it sleeps. */
        call(nn_recv(serving, text, sizeof text, 0));
        int size = call(nn_send(asking, "q", 1, 0));
        if (size == 1)
            size = call(nn_recv(serving, &chunk, NN_MSG, 0));
        if (chunk != NULL)
            nn_freemsg(chunk);
        /* Who waits for nothing may have asked again, over another connection. */
        if (size == 1 && call(nn_send(serving, "a", 1, 0)) == 1)
            call(nn_recv(asking, text, sizeof text, 0));
        struct nn_pollfd entry = {asking, NN_POLLIN, 0};
        call(nn_poll(&entry, 1, 1));
    }
    if (serving >= 0)
        CHECK_CLOSE(serving);
    if (asking >= 0)
        CHECK_CLOSE(asking);
}

static void check_works(int s, int peer)
{
    int asking = spmsg_context(s), serving = spmsg_context(peer);
    REQUIRE(asking >= 0 && serving >= 0);
    set_int(asking, NN_RCVTIMEO, PATIENCE_MS);
    set_int(serving, NN_RCVTIMEO, PATIENCE_MS);
    CHECK_SEND(asking, "works");
    /* Other requests may be on their way, if their connection has ended and come again. */
    char text[64];
    int size;
    do
        size = nn_recv(serving, text, sizeof text, 0);
    while (size > 0 && size != 5);
    CHECK_EQ(size, 5);
    CHECK_SEND(serving, "works");
    CHECK_RECV(asking, "works");
    CHECK_CLOSE(asking, serving);
}

struct waiter {
    struct thread thread;
    int s;
};

static void *wait_for_nothing(void *argument)
{
    struct waiter *waiter = argument;
    CHECK_ERRNO(nn_recv(waiter->s, NULL, 0, 0), -1, EBADF);
    return NULL;
}

struct plan {
    long count;
    long step;
};

static void *follow(void *argument)
{
    const long count = ((struct plan *)argument)->count, step = ((struct plan *)argument)->step;
    int both[2];
    struct waiter waiters[2];
    open_both(NN_REP, NN_REQ, trial.scheme, both);
    set_int(both[1], NN_LINGER, 0);
    int again = 200;
    CHECK_EQ(nn_setsockopt(both[1], NN_REQ, NN_REQ_RESEND_IVL, &again, sizeof again), 0);
    /* They wait for replies: one reads for all contexts, and one would be next. */
    for (int k = 0; k < 2; k++) {
        int gone = spmsg_context(both[0]);
        waiters[k].s = spmsg_context(both[1]);
        set_int(waiters[k].s, NN_RCVTIMEO, -1);
        set_int(gone, NN_RCVTIMEO, PATIENCE_MS);
        int never = 0;
        CHECK_EQ(nn_setsockopt(waiters[k].s, NN_REQ, NN_REQ_RESEND_IVL, &never, sizeof never), 0);
        CHECK_SEND(waiters[k].s, "silence");
        CHECK_RECV(gone, "silence");
        CHECK_CLOSE(gone);
        thread_start(&waiters[k].thread, wait_for_nothing, &waiters[k]);
        CHECK(thread_asleep(&waiters[k].thread));
    }
    long failed = 1, tries = 0;
    for (long nth = 1; failed > 0 && count > 0; nth += step, tries++) {
        alloc_fail(BY_ANYBODY, nth, count);
        use(both[1], both[0]);
        failed = alloc_end();
        check_works(both[1], both[0]);
    }
    if (count > 0)
        CHECK_AT_LEAST(tries, 2);
    else
        check_works(both[1], both[0]);
    CHECK_CLOSE(both[1], both[0]);
    for (int k = 0; k < 2; k++)
        CHECK(thread_join(&waiters[k].thread) == NULL);
    return NULL;
}

/* Returns how many pieces of memory are left when the thread has ended that keeps some while it
 * lives. */
static long go_through(long count, long step)
{
    struct plan plan = {count, step};
    struct thread thread;
    thread_start(&thread, follow, &plan);
    CHECK(thread_join(&thread) == NULL);
    return alloc_live();
}

static void each_allocation_may_fail(void)
{
    long live = go_through(0, 1), most = go_through(0, 1);
    live = most > live ? most : live;
    int descriptors = count_descriptors();
    CHECK_AT_MOST(go_through(1, 1), live + BUFFERS);
    CHECK_AT_MOST(go_through(10, 3), live + BUFFERS);
    CHECK_AT_MOST(go_through(LONG_MAX, 5), live + BUFFERS);
    CHECK_EQ(count_descriptors(), descriptors);
}

/* Surveys, subscriptions and what their peers hold lie elsewhere. */
static void each_type_can_be_without_memory(void)
{
    static const int types[][2] = {{NN_RESPONDENT, NN_SURVEYOR}, {NN_PUB, NN_SUB}};
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        int both[2];
        open_both(types[i][0], types[i][1], trial.scheme, both);
        set_int(both[0], NN_LINGER, 0);
        long failed = 1;
        for (long nth = 1; failed > 0; nth++) {
            alloc_fail(BY_ANYBODY, nth, 1);
            int context = open_context(both[1]);
            if (context >= 0) {
                char text[16];
                if (types[i][1] == NN_SUB)
                    call(nn_setsockopt(context, NN_SUB, NN_SUB_SUBSCRIBE, "topic", 5));
                else
                    call(nn_send(context, "survey", 6, 0));
                if (types[i][0] == NN_PUB)
                    call(nn_send(both[0], "topic", 5, 0));
                call(nn_recv(context, text, sizeof text, 0));
                CHECK_CLOSE(context);
            }
            failed = alloc_end();
        }
        CHECK_CLOSE(both[0], both[1]);
    }
}

int main(int count, char **words)
{
    trial_begin("robustness/contexts", "inproc|ipc|tcp|ws|tls+tcp|wss", 80, count, words);
    RUN(each_allocation_may_fail);
    RUN(each_type_can_be_without_memory);
    RUN(nothing_is_left);
    return test_end();
}
