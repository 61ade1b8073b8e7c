/* Devices in a row between a question and its answer: with the default NN_MAXTTL seven are passed
 * and eight are not (protocols 10), for REQ and REP as for SURVEYOR and RESPONDENT.
 *
 *   chain inproc|ipc|tcp [EFFORT [SEED]] */

#include "scenarios.h"

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/sockets.h"
#include "support/talk.h"
#include "support/thread.h"
#include "support/trial.h"

#include <nanomsg/nn.h>
#include <nanomsg/reqrep.h>
#include <nanomsg/survey.h>

#include <errno.h>
#include <stdio.h>

enum { DEVICES_MAX = 8, QUESTIONS = 100, ROUNDS = 8 };

static const struct pattern {
    int asks;
    int answers;
} patterns[] = {{NN_REQ, NN_REP}, {NN_SURVEYOR, NN_RESPONDENT}};

struct device {
    struct thread thread;
    int front; /* takes the questions */
    int back;
    int result, error;
};

/* urls[i] leads to device i, urls[count] to the service. */
struct chain {
    const struct pattern *pattern;
    int count;
    struct device devices[DEVICES_MAX];
    struct url urls[DEVICES_MAX + 1];
    int service;
};

static void *run_device(void *argument)
{
    struct device *device = argument;
    device->result = nn_device(device->front, device->back);
    device->error = nn_errno();
    return NULL;
}

/* A device may be started before its neighbours are there. */
static void open_chain(struct chain *chain, const struct pattern *pattern, int count)
{
    chain->pattern = pattern;
    chain->count = count;
    for (int i = 0; i <= count; i++)
        chain->urls[i] = unique_url(trial.scheme);
    chain->service = open_patient(AF_SP, pattern->answers);
    CHECK_OK(nn_bind(chain->service, chain->urls[count].text));
    for (int i = 0; i < count; i++) {
        struct device *device = &chain->devices[i];
        device->front = nn_socket(AF_SP_RAW, pattern->answers);
        device->back = nn_socket(AF_SP_RAW, pattern->asks);
        REQUIRE(device->front >= 0 && device->back >= 0);
        set_int(device->back, NN_RECONNECT_IVL, 10);
        CHECK_OK(nn_bind(device->front, chain->urls[i].text));
        CHECK_OK(nn_connect(device->back, chain->urls[i + 1].text));
    }
    /* A survey does not wait for anybody. */
    wait_connections(chain->service, 1);
    for (int i = 0; i < count; i++) {
        wait_connections(chain->devices[i].back, 1);
        thread_start(&chain->devices[i].thread, run_device, &chain->devices[i]);
    }
}

/* Protocols 11: each direction notices when what it touches has gone. */
static void close_chain(struct chain *chain)
{
    for (int i = 0; i < chain->count; i++) {
        struct device *device = &chain->devices[i];
        CHECK_CLOSE(device->front, device->back);
        scenario_join(&device->thread);
        CHECK_EQ(device->result, -1);
        CHECK_EQ(device->error, EBADF);
    }
    CHECK_CLOSE(chain->service);
}

/* Somebody who asks, as many devices away from the service as are left from that one on. */
static int open_asker(const struct chain *chain, int first)
{
    int patience = SCENARIO_PATIENCE_MS, s = open_patient(AF_SP, chain->pattern->asks);
    /* A question that is dropped must stay dropped. */
    if (chain->pattern->asks == NN_REQ)
        CHECK_OK(nn_setsockopt(s, NN_REQ, NN_REQ_RESEND_IVL, &patience, sizeof patience));
    else
        CHECK_OK(nn_setsockopt(s, NN_SURVEYOR, NN_SURVEYOR_DEADLINE, &patience, sizeof patience));
    CHECK_OK(nn_connect(s, chain->urls[first].text));
    wait_connections(s, 1);
    return s;
}

/* The next question at the service is that one, and its answer comes back. */
static void check_answer(const struct chain *chain, int asker, const char *question,
                         const char *answer)
{
    CHECK_RECV(chain->service, question);
    CHECK_SEND(chain->service, answer);
    CHECK_RECV(asker, answer);
}

static void check_passes(const struct pattern *pattern, int count)
{
    static struct chain chain;
    open_chain(&chain, pattern, count);
    int asker = open_asker(&chain, 0);
    for (int i = 0; i < QUESTIONS && !case_failed(); i++) {
        char question[32], answer[32];
        snprintf(question, sizeof question, "question %d", i);
        snprintf(answer, sizeof answer, "answer %d", i);
        CHECK_SEND(asker, question);
        check_answer(&chain, asker, question, answer);
    }
    CHECK_CLOSE(asker);
    close_chain(&chain);
}

static void seven_devices_are_passed(void)
{
    for (int round = 0; round < ROUNDS * trial.effort && !case_failed(); round++)
        for (int i = 0; i < 2 && !case_failed(); i++)
            check_passes(&patterns[i], 7);
}

/* Nobody hears of what the service drops. But all that comes through the last device comes in
 * order: once the question from too far away has left that device, it is in front of the one that
 * is asked then, from one device nearer. */
static void check_does_not_pass(const struct pattern *pattern)
{
    static struct chain chain;
    open_chain(&chain, pattern, DEVICES_MAX);
    int far = open_asker(&chain, 0), near = open_asker(&chain, 1), ttl = DEVICES_MAX + 1;
    int last = chain.devices[DEVICES_MAX - 1].back;
    CHECK_EQ(get_int(chain.service, NN_SOL_SOCKET, NN_MAXTTL), 8);
    CHECK_SEND(far, "from too far away");
    CHECK(wait_stat(last, NN_STAT_MESSAGES_SENT, 1, SCENARIO_PATIENCE_MS));
    CHECK_SEND(near, "from near enough");
    check_answer(&chain, near, "from near enough", "you are near");
    /* The service alone was in the way: the other devices see one word less each. */
    set_int(chain.service, NN_MAXTTL, ttl);
    CHECK_SEND(far, "from far away");
    check_answer(&chain, far, "from far away", "you are far");
    CHECK_CLOSE(far, near);
    close_chain(&chain);
}

static void eight_devices_are_not_passed(void)
{
    for (int round = 0; round < ROUNDS * trial.effort && !case_failed(); round++)
        for (int i = 0; i < 2 && !case_failed(); i++)
            check_does_not_pass(&patterns[i]);
}

int main(int count, char **words)
{
    trial_begin("scenarios/chain", "inproc|ipc|tcp", 85, count, words);
    RUN(seven_devices_are_passed);
    RUN(eight_devices_are_not_passed);
    RUN(nothing_is_left);
    return test_end();
}
