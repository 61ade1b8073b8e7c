/* One message after the other between two sockets, each sent when the one before has been received:
 * then there is room for it, and a type that drops what it has no room for has no reason to. Large
 * messages are written in several pieces, the last of them in the background.
 *
 *   lockstep inproc|ipc|tcp [EFFORT [SEED]] */

#include "scenarios.h"

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/random.h"
#include "support/sockets.h"
#include "support/trial.h"

#include <nanomsg/bus.h>
#include <nanomsg/nn.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/pubsub.h>
#include <nanomsg/reqrep.h>
#include <nanomsg/survey.h>

#include <errno.h>
#include <stdint.h>

enum { TURNS = 400, SIZE_MAX_SENT = 400000 };

static unsigned char bytes[SIZE_MAX_SENT];

/* Every second message is small. */
static size_t next_size(uint64_t *state, int turn)
{
    int limit = turn % 2 == 0 ? SIZE_MAX_SENT : 100;
    return (size_t)random_below(state, limit);
}

static void send_turn(int s, size_t size, uint64_t number)
{
    unsigned char *chunk = nn_allocmsg(size, 0);
    REQUIRE(chunk != NULL);
    fill_body(chunk, size, number);
    CHECK_EQ(nn_send(s, &chunk, NN_MSG, 0), size);
}

static void recv_turn(int s, size_t size, uint64_t number, int turn)
{
    int got = nn_recv(s, bytes, sizeof bytes, 0);
    if (got != (int)size || !is_body(bytes, size, number))
        FAIL("message %d of %zu bytes: result %d, errno %d (%s)", turn, size, got, errno,
             nn_strerror(errno));
}

static void open_two(int *bound, int bound_protocol, int *connected, int connected_protocol)
{
    struct url url = unique_url(trial.scheme);
    int deadline = SCENARIO_PATIENCE_MS;
    *bound = open_patient(AF_SP, bound_protocol);
    *connected = open_patient(AF_SP, connected_protocol);
    if (bound_protocol == NN_SURVEYOR)
        CHECK_OK(nn_setsockopt(*bound, NN_SURVEYOR, NN_SURVEYOR_DEADLINE, &deadline,
                               sizeof deadline));
    if (connected_protocol == NN_SUB)
        CHECK_OK(nn_setsockopt(*connected, NN_SUB, NN_SUB_SUBSCRIBE, "", 0));
    CHECK_OK(nn_bind(*bound, url.text));
    CHECK_OK(nn_connect(*connected, url.text));
    wait_connections(*bound, 1);
    wait_connections(*connected, 1);
}

static void check_one_way(int from_protocol, int to_protocol)
{
    uint64_t state = trial.seed;
    int from, to;
    open_two(&from, from_protocol, &to, to_protocol);
    for (int turn = 0; turn < TURNS * trial.effort && !case_failed(); turn++) {
        size_t size = next_size(&state, turn);
        send_turn(from, size, (uint64_t)turn);
        recv_turn(to, size, (uint64_t)turn, turn);
    }
    CHECK_CLOSE(to, from);
}

static void check_there_and_back(int asks, int answers)
{
    uint64_t state = trial.seed;
    int asker, answerer;
    open_two(&asker, asks, &answerer, answers);
    for (int turn = 0; turn < TURNS * trial.effort && !case_failed(); turn++) {
        size_t question = next_size(&state, turn + 1), answer = next_size(&state, turn / 2);
        send_turn(asker, question, (uint64_t)turn);
        recv_turn(answerer, question, (uint64_t)turn, turn);
        if (case_failed())
            break;
        send_turn(answerer, answer, (uint64_t)turn + 1);
        recv_turn(asker, answer, (uint64_t)turn + 1, turn);
    }
    CHECK_CLOSE(asker, answerer);
}

static void a_bus_drops_nothing_that_there_is_room_for(void)
{
    check_one_way(NN_BUS, NN_BUS);
}

static void a_publisher_drops_nothing_that_there_is_room_for(void)
{
    check_one_way(NN_PUB, NN_SUB);
}

static void a_pipeline_drops_nothing_at_all(void)
{
    check_one_way(NN_PUSH, NN_PULL);
}

static void no_question_and_no_reply_is_dropped(void)
{
    check_there_and_back(NN_REQ, NN_REP);
}

static void no_survey_and_no_response_is_dropped(void)
{
    check_there_and_back(NN_SURVEYOR, NN_RESPONDENT);
}

int main(int count, char **words)
{
    trial_begin("scenarios/lockstep", "inproc|ipc|tcp", 85, count, words);
    RUN(a_bus_drops_nothing_that_there_is_room_for);
    RUN(a_publisher_drops_nothing_that_there_is_room_for);
    RUN(a_pipeline_drops_nothing_at_all);
    RUN(no_question_and_no_reply_is_dropped);
    RUN(no_survey_and_no_response_is_dropped);
    RUN(nothing_is_left);
    return test_end();
}
