/* System calls that fail once: each function of the list, with each of its errors, at its first,
 * second, third ... call of a conversation, until the conversation runs through. What came of it is
 * printed as a table.
 *
 *   calls inproc|ipc|tcp|ws|tls+tcp|wss [EFFORT [SEED]]
 *
 * With an effort of 1 each function has one of its errors, and fewer calls fail the later they
 * come; more than that leaves nothing out. */

#include "failing.h"
#include "failures.h"
#include "faultshim.h"

#include "support/cases.h"
#include "support/check.h"
#include "support/trial.h"

#include <nanomsg/pair.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct plan {
    const char *function;
    int error;
    long nth;
} plan;

static void begin(void *unused)
{
    (void)unused;
    fault_nth(plan.function, plan.error, plan.nth);
}

/* What getaddrinfo returns is no errno. */
static int is_look_up(const struct failure *failure)
{
    return strcmp(failure->function, "getaddrinfo") == 0;
}

static long next(long nth)
{
    return trial.effort > 1 ? nth + 1 : nth + 1 + nth / 2;
}

static void try_calls(const struct failing *failing, long live, struct tally *tally)
{
    char what[128];
    long failed = 1;
    for (plan.nth = 1; !failing_is_enough(); plan.nth = next(plan.nth)) {
        snprintf(what, sizeof what, "call %ld of %s fails with %d", plan.nth, plan.function,
                 plan.error);
        failing_run(failing, live, &failed, what, tally);
        if (failed == 0)
            break;
    }
}

static void try_errors(const struct failure *failure)
{
    struct failing failing = {NN_PAIR, NN_PAIR, NULL, 0, 0, 0, begin, fault_end, NULL};
    int errors = trial.effort > 1 ? ERRORS_MAX : 1;
    int first = trial.effort > 1 ? 0 : (int)(trial.seed - 1) % ERRORS_MAX;
    if (failure->errors[first] == 0)
        first = 0;
    if (is_look_up(failure))
        failing.host = "localhost";
    plan.function = failure->function;
    long live = failing_live(&failing);
    for (int i = first; i < first + errors && i < ERRORS_MAX && failure->errors[i]; i++) {
        struct tally tally = {0, {0}};
        char what[64];
        plan.error = failure->errors[i];
        failing.error = is_look_up(failure) ? 0 : plan.error;
        for (int mode = 0; mode < 4 && !failing_is_enough(); mode++) {
            if (trial.effort == 1 && (mode == 1 || mode == 2))
                continue;
            failing.connected_first = mode & 1;
            failing.to_the_end = mode >> 1;
            try_calls(&failing, live, &tally);
        }
        snprintf(what, sizeof what, "%s, %s", plan.function,
                 is_look_up(failure) ? "EAI" : strerrorname_np(plan.error));
        print_tally(what, &tally);
    }
}

int main(int count, char **words)
{
    trial_begin("robustness/calls", "inproc|ipc|tcp|ws|tls+tcp|wss", 80, count, words);
    failing_init();
    for (size_t i = 0; i < failures_count; i++) {
        int needs_tcp = is_look_up(&failures[i]);
        if ((!needs_tcp || strcmp(trial.scheme, "tcp") == 0) && CASE(failures[i].name))
            try_errors(&failures[i]);
    }
    RUN(nothing_is_left);
    return test_end();
}
