/* Memory that cannot be had: the first, second, third ... allocation of a conversation fails, and a
 * few or many behind it, or all until further notice. Setting up says ENOMEM or is tried again, and
 * what goes on goes on or ends one connection.
 *
 *   memory inproc|ipc|tcp|ws|tls+tcp|wss [EFFORT [SEED]]
 *
 * With an effort of 1 some of the allocations are left out; more than that leaves none out. */

#include "allocshim.h"
#include "failing.h"

#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/credentials.h"
#include "support/process.h"
#include "support/sockets.h"
#include "support/trial.h"

#include <nanomsg/bus.h>
#include <nanomsg/pair.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/pubsub.h>
#include <nanomsg/reqrep.h>
#include <nanomsg/survey.h>

#include <limits.h>
#include <stdio.h>
#include <string.h>

static struct plan {
    enum alloc_caller caller;
    long nth;
    long count;
} plan;

static void begin(void *unused)
{
    (void)unused;
    alloc_fail(plan.caller, plan.nth, plan.count);
}

static struct failing between(int left, int right, int connected_first, int to_the_end)
{
    struct failing failing = {left, right, NULL, connected_first, to_the_end, 0, begin, alloc_end,
                              NULL};
    return failing;
}

/* From the first, second, ... allocation on, as long as there is one. */
static void try_each(const struct failing *failing, const char *name, long count, long step)
{
    struct tally tally = {0, {0}};
    long live = failing_live(failing), failed = 1;
    char what[128];
    plan.count = count;
    /* A handshake takes its time, and hundreds of allocations. */
    if (is_encrypted(trial.scheme))
        step *= 9;
    if (trial.effort > 1)
        step = 1;
    for (plan.nth = 1 + (long)(trial.seed % (uint64_t)step); !failing_is_enough();
         plan.nth += step) {
        snprintf(what, sizeof what, "%ld allocations from number %ld on fail", count, plan.nth);
        failing_run(failing, live, &failed, what, &tally);
        if (failed == 0)
            break;
    }
    if (count == LONG_MAX)
        snprintf(what, sizeof what, "%s, all from then on", name);
    else
        snprintf(what, sizeof what, "%s, %ld in a row", name, count);
    print_tally(what, &tally);
}

static void try_bursts(const char *name, struct failing failing)
{
    try_each(&failing, name, 1, 1);
    try_each(&failing, name, 10, 7);
    try_each(&failing, name, 1000, 13);
    try_each(&failing, name, LONG_MAX, 17);
}

static void setting_up(void)
{
    try_bursts("setting up", between(NN_PAIR, NN_PAIR, 0, 0));
}

static void setting_up_and_closing(void)
{
    try_bursts("setting up and closing", between(NN_PAIR, NN_PAIR, 0, 1));
}

static void talking(void)
{
    try_bursts("talking", between(NN_PAIR, NN_PAIR, 1, 0));
}

static void talking_and_closing(void)
{
    try_bursts("talking and closing", between(NN_PAIR, NN_PAIR, 1, 1));
}

static const int types[][2] = {
    {NN_REP, NN_REQ}, {NN_PUB, NN_SUB}, {NN_PULL, NN_PUSH}, {NN_RESPONDENT, NN_SURVEYOR},
    {NN_BUS, NN_BUS}};

static void every_type(void)
{
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        for (int connected_first = 0; connected_first < 2; connected_first++) {
            char name[64];
            struct failing failing = between(types[i][0], types[i][1], connected_first, 0);
            snprintf(name, sizeof name, "types %d and %d, %s", failing.left, failing.right,
                     connected_first ? "talking" : "setting up");
            try_each(&failing, name, 1, 3);
        }
    }
}

static void vary(struct failing *failing, int number)
{
    plan.caller = number % 4 ? BY_ANYBODY : BY_LIBRARY;
    plan.nth = 1 + number % 40;
    plan.count = number % 5 ? LONG_MAX : 1000;
    failing->connected_first = number % 3 == 0;
    failing->to_the_end = number % 2;
}

/* What failures take out of a reserve comes back to it. */
static void failures_wear_nothing_out(void)
{
    struct failing failing = between(NN_PAIR, NN_PAIR, 0, 0);
    failing_run_many(&failing, 60 * trial.effort, vary);
}

int main(int count, char **words)
{
    trial_begin("robustness/memory", "inproc|ipc|tcp|ws|tls+tcp|wss", 80, count, words);
    failing_init();
    RUN(setting_up);
    RUN(setting_up_and_closing);
    RUN(talking);
    RUN(talking_and_closing);
    if (strcmp(trial.scheme, "inproc") == 0)
        RUN(every_type);
    RUN(failures_wear_nothing_out);
    RUN(nothing_is_left);
    return test_end();
}
