/* System calls that fail: each of those that the library makes, with the errors of its manual page,
 * at its first, second, third ... call of a conversation, then often, then always for a while. The
 * conversation may fail and be repeated. The process lives, nothing hangs, and the same sockets
 * serve when calls succeed again.
 *
 *   faults inproc|ipc|tcp|ws|tls+tcp|wss [EFFORT [SEED]] */

#include "failures.h"
#include "faultshim.h"

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/credentials.h"
#include "support/resources.h"
#include "support/sockets.h"
#include "support/talk.h"
#include "support/trial.h"

#include <nanomsg/nn.h>
#include <nanomsg/pair.h>

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { NTH_MAX = 6, LARGE = 200000 };

/* ---- a conversation that may fail anywhere ---- */

struct conversation {
    struct url bound_url;
    struct url connected_url;
    int a;
    int b;
    int bound;
    int connected;
};

static void settle_timeouts(int s)
{
    int ms = 3, interval = 3;
    if (s < 0)
        return;
    nn_setsockopt(s, NN_SOL_SOCKET, NN_SNDTIMEO, &ms, sizeof ms);
    nn_setsockopt(s, NN_SOL_SOCKET, NN_RCVTIMEO, &ms, sizeof ms);
    nn_setsockopt(s, NN_SOL_SOCKET, NN_RECONNECT_IVL, &interval, sizeof interval);
}

static void begin(struct conversation *talk)
{
    talk->a = dressed(nn_socket(AF_SP, NN_PAIR));
    talk->b = dressed(nn_socket(AF_SP, NN_PAIR));
    settle_timeouts(talk->a);
    settle_timeouts(talk->b);
    talk->bound = talk->a < 0 ? -1 : nn_bind(talk->a, talk->bound_url.text);
    talk->connected = talk->b < 0 ? -1 : nn_connect(talk->b, talk->connected_url.text);
}

static char body[LARGE];

/* Sends small and large messages both ways. Whatever arrives is whole. */
static void exchange(struct conversation *talk, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        int from = i % 2 ? talk->a : talk->b, to = i % 2 ? talk->b : talk->a;
        size_t size = i % 4 == 3 ? LARGE : 10;
        char *chunk = NULL;
        nn_send(from, body, size, 0);
        int got = nn_recv(to, &chunk, NN_MSG, 0);
        if (got >= 0) {
            CHECK(got == LARGE || got == 10);
            CHECK_MEM(chunk, body, (size_t)got);
            nn_freemsg(chunk);
        }
    }
}

static void look(int s)
{
    int value;
    size_t size = sizeof value;
    nn_getsockopt(s, NN_SOL_SOCKET, NN_RCVFD, &value, &size);
    size = sizeof value;
    nn_getsockopt(s, NN_SOL_SOCKET, NN_SNDFD, &value, &size);
}

static void end(struct conversation *talk)
{
    if (talk->b >= 0)
        CHECK_CLOSE(talk->b);
    if (talk->a >= 0)
        CHECK_CLOSE(talk->a);
}

/* Only saves time: to talk before there is a connection takes long to be repeated. */
static void await_connection(const struct conversation *talk)
{
    wait_until(nn_get_statistic(talk->a, NN_STAT_CURRENT_CONNECTIONS) == 1
               && nn_get_statistic(talk->b, NN_STAT_CURRENT_CONNECTIONS) == 1, 100);
}

/* Calls succeed again: what failed is repeated, and what did not must work by itself. */
static void recover(struct conversation *talk)
{
    int sockets[2], patience = PATIENCE_MS;
    if (talk->a < 0)
        CHECK_OK(talk->a = dressed(nn_socket(AF_SP, NN_PAIR)));
    if (talk->b < 0)
        CHECK_OK(talk->b = dressed(nn_socket(AF_SP, NN_PAIR)));
    if (talk->bound < 0)
        CHECK_OK(nn_bind(talk->a, talk->bound_url.text));
    if (talk->connected < 0)
        CHECK_OK(nn_connect(talk->b, talk->connected_url.text));
    sockets[0] = talk->a;
    sockets[1] = talk->b;
    for (int i = 0; i < 2; i++) {
        set_int(sockets[i], NN_SNDTIMEO, patience);
        set_int(sockets[i], NN_RCVTIMEO, patience);
    }
    await_connection(talk);
    CHECK_TALK(talk->a, talk->b);
}

static struct conversation new_conversation(void)
{
    struct conversation talk = {unique_url(trial.scheme), {""}, -1, -1, -1, -1};
    talk.connected_url = talk.bound_url;
    return talk;
}

/* A file that could not be removed is no wonder, but it must not stay for good. */
static void tidy(const struct conversation *talk)
{
    if (is_ipc(talk->bound_url.text))
        unlink(talk->bound_url.text + 6);
}

/* ---- plans ---- */

struct plan {
    const struct failure *failure;
    int error;
    long nth;
    int permille;
    const char *host;
    /* Calls begin to fail when the two are connected, not before. */
    int connected_first;
    /* The sockets are closed while calls still fail. */
    int to_the_end;
};

static void start_failing(const struct plan *plan)
{
    if (plan->permille > 0)
        fault_often(plan->failure->function, plan->error, plan->permille, trial.seed);
    else
        fault_nth(plan->failure->function, plan->error, plan->nth);
}

static void report(const struct plan *plan)
{
    const char *until = plan->to_the_end ? "until after" : "before";
    char when[64];
    snprintf(when, sizeof when, "call %ld", plan->nth);
    if (plan->permille > 0)
        snprintf(when, sizeof when, "%d of 1000 calls", plan->permille);
    fprintf(stderr, "  %s failed with %s: %s, %s connecting, %s closing\n",
            plan->failure->function, strerror(plan->error), when,
            plan->connected_first ? "after" : "before", until);
}

static long run_plan(const struct plan *plan)
{
    struct conversation talk = new_conversation();
    long before = test.failures;
    if (plan->host)
        snprintf(talk.connected_url.text, sizeof talk.connected_url.text, "tcp://%s:%s",
                 plan->host, strrchr(talk.bound_url.text, ':') + 1);
    if (!plan->connected_first)
        start_failing(plan);
    begin(&talk);
    if (plan->connected_first) {
        await_connection(&talk);
        CHECK_TALK(talk.a, talk.b);
        start_failing(plan);
    }
    exchange(&talk, plan->permille > 0 ? 12 : 4);
    look(talk.a);
    exchange(&talk, 2);
    if (plan->to_the_end)
        end(&talk);
    long failed = fault_end();
    if (plan->to_the_end) {
        talk.a = talk.b = talk.bound = talk.connected = -1;
        tidy(&talk);
        begin(&talk);
    }
    recover(&talk);
    end(&talk);
    tidy(&talk);
    if (test.failures > before)
        report(plan);
    return failed;
}

static int has_failed_enough(void)
{
    return test.failures - test.failures_before > 3;
}

/* At the first, second, ... call, as long as there is one. */
static long check_each_call(struct plan plan)
{
    long failed = 0;
    int most = trial.effort > 1 ? 4 * NTH_MAX : NTH_MAX;
    for (plan.nth = 1; plan.nth <= most && !has_failed_enough(); plan.nth++) {
        long now = run_plan(&plan);
        failed += now;
        if (now == 0)
            break;
    }
    return failed;
}

static long check_error(struct plan plan)
{
    /* Interrupting every single call for good is more than a signal can do. */
    int most = plan.error == EINTR ? 950 : 1000;
    long failed = check_each_call(plan);
    for (plan.permille = 300; plan.permille <= 1000 && !has_failed_enough();
         plan.permille += most - 300) {
        failed += run_plan(&plan);
        if (plan.permille == most)
            break;
    }
    return failed;
}

static void check_failure(const struct failure *failure)
{
    struct belongings before = belongings();
    struct plan plan = {failure, 0, 0, 0, NULL, 0, 0};
    int errors = trial.effort > 1 ? ERRORS_MAX : 2;
    long failed = 0;
    if (strcmp(failure->function, "getaddrinfo") == 0) {
        plan.host = "localhost";
        if (!has_address(plan.host)) {
            test_skip("localhost has no address here: /etc/hosts does not name it");
            return;
        }
    }
    for (int i = 0; i < errors && failure->errors[i]; i++) {
        plan.error = failure->errors[i];
        /* Without effort each error has two of the four ways, the next one the other two. */
        for (int mode = 0; mode < 4 && !has_failed_enough(); mode++) {
            if (trial.effort == 1 && (mode == 1 || mode == 2) == (i % 2 == 0))
                continue;
            plan.connected_first = mode & 1;
            plan.to_the_end = mode >> 1;
            failed += check_error(plan);
        }
    }
    printf("%s failed %ld times\n", failure->function, failed);
    check_nothing_left(before);
}

int main(int count, char **words)
{
    trial_begin("robustness/faults", "inproc|ipc|tcp|ws|tls+tcp|wss", 150, count, words);
    memset(body, 'b', sizeof body);
    for (size_t i = 0; i < failures_count; i++) {
        int needs_tcp = strcmp(failures[i].function, "getaddrinfo") == 0;
        if ((!needs_tcp || strcmp(trial.scheme, "tcp") == 0) && CASE(failures[i].name))
            check_failure(&failures[i]);
    }
    RUN(nothing_is_left);
    return test_end();
}
