/* One SURVEYOR and 64 RESPONDENTs: each survey has exactly 64 responses, one of each, all to this
 * survey and none to the one before (protocols 8.2).
 *
 *   survey inproc|ipc|tcp [EFFORT [SEED]] */

#include "scenarios.h"

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/sockets.h"
#include "support/thread.h"
#include "support/trial.h"

#include <nanomsg/nn.h>
#include <nanomsg/survey.h>

#include <errno.h>
#include <stdint.h>

enum { RESPONDENTS = 64, SURVEYS = 500, QUIET_MS = 100 };

/* A survey is its number; a number that no survey has ends the respondents. */
static const uint32_t THE_END = 0xffffffff;

struct response {
    uint32_t survey;
    uint32_t respondent;
};

struct respondent {
    struct thread thread;
    uint32_t number;
    int s;
};

static void *respond(void *argument)
{
    struct respondent *respondent = argument;
    struct response response = {0, respondent->number};
    uint32_t next = 0;
    while (nn_recv(respondent->s, &response.survey, 4, 0) == 4 && response.survey == next) {
        CHECK_EQ(nn_send(respondent->s, &response, sizeof response, 0), sizeof response);
        next++;
    }
    if (response.survey != THE_END)
        FAIL("respondent %u came to survey %u of %u, errno %d (%s)", respondent->number,
             response.survey, next, errno, nn_strerror(errno));
    return NULL;
}

static void check_responses(int s, uint32_t survey)
{
    char seen[RESPONDENTS] = {0};
    struct response response;
    for (int i = 0; i < RESPONDENTS && !case_failed(); i++) {
        int size = nn_recv(s, &response, sizeof response, 0);
        if (size != sizeof response || response.survey != survey
            || response.respondent >= RESPONDENTS || seen[response.respondent]++)
            FAIL("response %d to survey %u: size %d, of %u to %u, errno %d (%s)", i, survey, size,
                 response.respondent, response.survey, errno, nn_strerror(errno));
    }
    CHECK_ERRNO(nn_recv(s, &response, sizeof response, NN_DONTWAIT), -1, EAGAIN);
}

static void each_survey_has_64_responses(void)
{
    static struct respondent respondents[RESPONDENTS];
    struct url url = unique_url(trial.scheme);
    int s = open_patient(AF_SP, NN_SURVEYOR), deadline = SCENARIO_PATIENCE_MS;
    CHECK_OK(nn_setsockopt(s, NN_SURVEYOR, NN_SURVEYOR_DEADLINE, &deadline, sizeof deadline));
    CHECK_OK(nn_bind(s, url.text));
    for (uint32_t i = 0; i < RESPONDENTS; i++) {
        respondents[i].number = i;
        respondents[i].s = open_patient(AF_SP, NN_RESPONDENT);
        CHECK_OK(nn_connect(respondents[i].s, url.text));
        thread_start(&respondents[i].thread, respond, &respondents[i]);
    }
    wait_connections(s, RESPONDENTS);
    for (uint32_t survey = 0; survey < (uint32_t)(SURVEYS * trial.effort) && !case_failed();
         survey++) {
        CHECK_EQ(nn_send(s, &survey, sizeof survey, 0), sizeof survey);
        check_responses(s, survey);
    }
    check_hears_nothing(s, QUIET_MS);
    CHECK_EQ(nn_send(s, &THE_END, sizeof THE_END, 0), sizeof THE_END);
    for (int i = 0; i < RESPONDENTS; i++) {
        scenario_join(&respondents[i].thread);
        CHECK_CLOSE(respondents[i].s);
    }
    CHECK_CLOSE(s);
}

int main(int count, char **words)
{
    trial_begin("scenarios/survey", "inproc|ipc|tcp", 85, count, words);
    RUN(each_survey_has_64_responses);
    RUN(nothing_is_left);
    return test_end();
}
