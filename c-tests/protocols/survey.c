/* SURVEYOR: one question to all, answers until the deadline, and what a receive says before, while
 * and after it is open. The respondents are raw sockets, which see the id of a survey and may
 * answer as they like. */

#include "service.h"

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/message.h"
#include "support/readiness.h"
#include "support/sockets.h"
#include "support/talk.h"
#include "support/thread.h"

#include <nanomsg/nn.h>
#include <nanomsg/survey.h>

#include <errno.h>
#include <stdint.h>
#include <stdio.h>

/* Deadlines that no test waits for, and short ones that it does. */
enum { LONG_MS = 60000, SHORT_MS = 50 };

static void set_deadline(int s, int ms)
{
    CHECK_EQ(nn_setsockopt(s, NN_SURVEYOR, NN_SURVEYOR_DEADLINE, &ms, sizeof ms), 0);
}

static int open_surveyor(const char *url, int deadline_ms)
{
    int s = open_bound(AF_SP, NN_SURVEYOR, url);
    set_deadline(s, deadline_ms);
    return s;
}

static int open_respondent(const char *url)
{
    return open_connected(AF_SP_RAW, NN_RESPONDENT, url);
}

static void with_respondent(void (*function)(int s, int respondent))
{
    struct url url = unique_url("inproc");
    int s = open_surveyor(url.text, LONG_MS), respondent = open_respondent(url.text);
    function(s, respondent);
    CHECK_CLOSE(respondent, s);
}

/* The same with a deadline that the case sees. */
static void in_a_hurry(void (*function)(int s, int respondent))
{
    struct url url = unique_url("inproc");
    int s = open_surveyor(url.text, SHORT_MS), respondent = open_respondent(url.text);
    function(s, respondent);
    CHECK_CLOSE(respondent, s);
}

/* Waits until the survey is over without touching the result: the socket becomes readable when no
 * survey is open (protocols 2.7). */
static void wait_for_the_end(int s)
{
    CHECK(wait_until(CAN_RECV(s), PATIENCE_MS));
}

/* protocols 8.1 */
static void ids_count_up_with_the_top_bit_set(int s, int respondent)
{
    struct message survey;
    uint32_t first = 0;
    for (uint32_t i = 0; i < 5; i++) {
        CHECK_SEND(s, "q");
        CHECK_TAKES(respondent, &survey, "q");
        first = i ? first : id_of(&survey);
        CHECK_EQ(id_of(&survey), (first + i) | TOP_BIT);
    }
}

/* protocols 8.2, IDLE; core-quirks A-33 */
static void nothing_can_be_received_before_a_survey(int s, int respondent)
{
    (void)respondent;
    CHECK_ERRNO(nn_recv(s, NULL, 0, NN_DONTWAIT), -1, EFSM);
    CHECK_ERRNO(nn_recv(s, NULL, 0, 0), -1, EFSM);
    CHECK(CAN_RECV(s));
}

/* protocols 8.2: "nn_send never fails and never blocks, with or without peers" */
static void a_survey_of_nobody_is_a_survey(void)
{
    struct url url = unique_url("inproc");
    int s = open_surveyor(url.text, SHORT_MS);
    set_int(s, NN_SNDTIMEO, 0);
    for (int i = 0; i < 3; i++)
        CHECK_SEND(s, "q");
    int64_t since = now_us();
    CHECK_EQ(nn_send(s, "q", 1, NN_DONTWAIT), 1);
    CHECK_ERRNO(nn_recv(s, NULL, 0, 0), -1, ETIMEDOUT);
    CHECK_NOT_EARLY(since, SHORT_MS);
    CHECK_EQ(nn_get_statistic(s, NN_STAT_MESSAGES_SENT), 4);
    CHECK_CLOSE(s);
}

/* protocols 8.2: all respondents, "any number of responses per respondent" */
static void everybody_may_answer_and_more_than_once(void)
{
    enum { RESPONDENTS = 3, ANSWERS = 4 };
    struct url url = unique_url("inproc");
    struct message survey;
    int s = open_surveyor(url.text, LONG_MS), respondents[RESPONDENTS];
    for (int i = 0; i < RESPONDENTS; i++)
        respondents[i] = open_respondent(url.text);
    CHECK_SEND(s, "q");
    CHECK_AGAIN(s);
    CHECK(!CAN_RECV(s));
    for (int i = 0; i < RESPONDENTS; i++) {
        CHECK_TAKES(respondents[i], &survey, "q");
        for (int j = 0; j < ANSWERS; j++)
            answer(respondents[i], &survey,
                   (const char[]){(char)('a' + i), (char)('0' + j), 0});
    }
    CHECK(CAN_RECV(s));
    /* protocols 2.4: they take turns. */
    for (int j = 0; j < ANSWERS; j++)
        for (int i = 0; i < RESPONDENTS; i++) {
            const char text[] = {(char)('a' + i), (char)('0' + j), 0};
            CHECK_RECV(s, text);
        }
    CHECK_AGAIN(s);
    CHECK(!CAN_RECV(s));
    for (int i = 0; i < RESPONDENTS; i++)
        CHECK_CLOSE(respondents[i]);
    CHECK_CLOSE(s);
}

/* protocols 8.2: "Exactly one ETIMEDOUT per expiry, then EFSM", waiting or not. */
static void the_end_is_told_once(int s, int respondent)
{
    (void)respondent;
    for (int way = 0; way < 4; way++) {
        int64_t since = now_us();
        CHECK_SEND(s, "q");
        if (way & 1)
            wait_for_the_end(s);
        if (way == 1)
            CHECK_ERRNO(nn_recv(s, NULL, 0, NN_DONTWAIT), -1, ETIMEDOUT);
        else
            CHECK_ERRNO(nn_recv(s, NULL, 0, 0), -1, ETIMEDOUT);
        CHECK_NOT_EARLY(since, SHORT_MS);
        CHECK_ERRNO(nn_recv(s, NULL, 0, NN_DONTWAIT), -1, EFSM);
        CHECK_ERRNO(nn_recv(s, NULL, 0, 0), -1, EFSM);
        CHECK(CAN_RECV(s));
    }
}

/* protocols 8.2: a new survey forgets that the one before has expired. */
static void a_new_survey_clears_the_end_of_the_last(int s, int respondent)
{
    struct message survey;
    CHECK_SEND(s, "one");
    CHECK_TAKES(respondent, &survey, "one");
    wait_for_the_end(s);
    set_deadline(s, LONG_MS);
    CHECK_SEND(s, "two");
    CHECK(!CAN_RECV(s));
    CHECK_AGAIN(s);
    CHECK_TAKES(respondent, &survey, "two");
    answer(respondent, &survey, "a");
    CHECK_RECV(s, "a");
}

/* protocols 8.2: "a response that arrived in time but was not read before expiry is lost"; a later
 * survey discards it. There are more responses than can be read before the deadline, however late
 * it is noticed. */
static void the_deadline_cuts_off_reading(void)
{
    enum { RESPONSES = 2 * PATIENCE_MS };
    struct url url = unique_url("inproc");
    struct message one, two;
    int s = open_surveyor(url.text, SHORT_MS), respondent = open_socket(AF_SP_RAW, NN_RESPONDENT);
    int in_time = 0;
    CHECK_OK(nn_connect(respondent, url.text));
    CHECK_SEND(s, "one");
    CHECK_TAKES(respondent, &one, "one");
    for (int i = 0; i < RESPONSES; i++)
        answer(respondent, &one, "1");
    while (in_time < RESPONSES && nn_recv(s, NULL, 0, 0) == 1) {
        in_time++;
        nap_ms(1);
    }
    CHECK_EQ(errno, ETIMEDOUT);
    CHECK_AT_MOST(in_time, RESPONSES - 1);
    CHECK_ERRNO(nn_recv(s, NULL, 0, 0), -1, EFSM);
    answer(respondent, &one, "late");
    CHECK_ERRNO(nn_recv(s, NULL, 0, 0), -1, EFSM);
    set_deadline(s, LONG_MS);
    CHECK_SEND(s, "two");
    CHECK_TAKES(respondent, &two, "two");
    answer(respondent, &one, "later");
    answer(respondent, &two, "right");
    CHECK_RECV(s, "right");
    CHECK_AGAIN(s);
    CHECK_EQ(nn_get_statistic(s, NN_STAT_MESSAGES_RECEIVED), in_time + 1);
    CHECK_CLOSE(respondent, s);
}

/* protocols 8.2, OPEN: "old survey is abandoned: new id, broadcast, timer restarted" */
static void a_new_survey_abandons_the_old_one(int s, int respondent)
{
    struct message one, two;
    CHECK_SEND(s, "one");
    CHECK_TAKES(respondent, &one, "one");
    answer(respondent, &one, "unread");
    set_deadline(s, 30 * SHORT_MS);
    int64_t since = now_us();
    CHECK_SEND(s, "two");
    CHECK_TAKES(respondent, &two, "two");
    CHECK_EQ(id_of(&two), (id_of(&one) + 1) | TOP_BIT);
    answer(respondent, &one, "stale");
    answer(respondent, &two, "right");
    CHECK_RECV(s, "right");
    CHECK_ERRNO(nn_recv(s, NULL, 0, 0), -1, ETIMEDOUT);
    CHECK_NOT_EARLY(since, 30 * SHORT_MS);
    CHECK_ERRNO(nn_recv(s, NULL, 0, 0), -1, EFSM);
}

/* protocols 8.2, OPEN: each is broadcast, although nobody waits for its answers any more. */
static void surveys_in_quick_succession_are_all_asked(int s, int respondent)
{
    check_quick_succession(s, respondent);
}

/* protocols 8.2: stale ids, a clear top bit, extra hop words and short ones are discarded. */
static void what_is_no_response_is_discarded(int s, int respondent)
{
    struct message survey;
    CHECK_SEND(s, "q");
    CHECK_TAKES(respondent, &survey, "q");
    uint32_t id = id_of(&survey);
    const unsigned char other[] = {WORD(id ^ 1), 'x'}, clear[] = {WORD(id & ~TOP_BIT), 'x'};
    const unsigned char hop[] = {WORD(5), WORD(id), 'x'}, right[] = {WORD(id), 'a'};
    for (int waiting = 0; waiting < 2; waiting++) {
        for (size_t size = 0; size < 4; size++)
            answer_bytes(respondent, &survey, right, size);
        answer_bytes(respondent, &survey, other, sizeof other);
        answer_bytes(respondent, &survey, clear, sizeof clear);
        answer_bytes(respondent, &survey, hop, sizeof hop);
        for (int i = 0; i < 20 && !waiting; i++)
            CHECK_AGAIN(s);
        answer_bytes(respondent, &survey, right, sizeof right);
        CHECK_RECV(s, "a");
    }
    answer_bytes(respondent, &survey, right, 4);
    CHECK_RECV(s, "");
    CHECK_EQ(nn_get_statistic(s, NN_STAT_CURRENT_CONNECTIONS), 1);
    CHECK_EQ(nn_get_statistic(s, NN_STAT_MESSAGES_RECEIVED), 3);
}

/* protocols 8.2: who attaches "does not get the running survey", but the next. */
static void who_comes_late_is_not_asked(void)
{
    struct url url = unique_url("inproc");
    struct message survey;
    int s = open_surveyor(url.text, LONG_MS);
    CHECK_SEND(s, "early");
    int respondent = open_respondent(url.text);
    CHECK_PIPES(respondent, 1);
    CHECK_AGAIN(respondent);
    CHECK_SEND(s, "next");
    CHECK_TAKES(respondent, &survey, "next");
    answer(respondent, &survey, "a");
    CHECK_RECV(s, "a");
    CHECK_CLOSE(respondent, s);
}

/* protocols 8.2: answers that came stay when their respondent has gone only as far as the
 * transport keeps them; the survey goes on for the others. */
static void the_loss_of_a_respondent_does_not_end_the_survey(void)
{
    struct url url = unique_url("inproc");
    struct message survey;
    int s = open_surveyor(url.text, LONG_MS);
    int gone = open_respondent(url.text), stays = open_respondent(url.text);
    CHECK_SEND(s, "q");
    CHECK_TAKES(stays, &survey, "q");
    CHECK_CLOSE(gone);
    CHECK_PIPES(s, 1);
    CHECK_AGAIN(s);
    answer(stays, &survey, "a");
    CHECK_RECV(s, "a");
    CHECK_AGAIN(s);
    CHECK_CLOSE(stays, s);
}

/* protocols 8.2: "NN_RCVTIMEO shorter than the deadline also gives ETIMEDOUT, but the survey stays
 * open and later calls deliver" */
static void a_timeout_does_not_end_the_survey(int s, int respondent)
{
    struct message survey;
    CHECK_SEND(s, "q");
    CHECK_TAKES(respondent, &survey, "q");
    set_int(s, NN_RCVTIMEO, 20);
    for (int i = 0; i < 3; i++) {
        int64_t since = now_us();
        CHECK_ERRNO(nn_recv(s, NULL, 0, 0), -1, ETIMEDOUT);
        CHECK_NOT_EARLY(since, 20);
        CHECK_AGAIN(s);
        CHECK(!CAN_RECV(s));
    }
    set_int(s, NN_RCVTIMEO, PATIENCE_MS);
    answer(respondent, &survey, "a");
    CHECK_RECV(s, "a");
}

/* protocols 8.2: "Changing the option affects the next survey only." */
static void a_new_deadline_serves_the_next_survey(void)
{
    struct url url = unique_url("inproc");
    int s = open_surveyor(url.text, SHORT_MS);
    int64_t since = now_us();
    CHECK_SEND(s, "short");
    set_deadline(s, LONG_MS);
    CHECK_ERRNO(nn_recv(s, NULL, 0, 0), -1, ETIMEDOUT);
    CHECK_NOT_EARLY(since, SHORT_MS);
    CHECK_ERRNO(nn_recv(s, NULL, 0, 0), -1, EFSM);
    CHECK_SEND(s, "long");
    set_deadline(s, SHORT_MS);
    nap_ms(2 * SHORT_MS);
    CHECK_AGAIN(s);
    CHECK(!CAN_RECV(s));
    CHECK_CLOSE(s);
}

/* protocols 8.2: "Deadline 0: broadcast, then expires within milliseconds" */
static void a_deadline_of_zero_still_asks(void)
{
    struct url url = unique_url("inproc");
    struct message survey;
    int s = open_surveyor(url.text, 0), respondent = open_respondent(url.text);
    for (int i = 0; i < 3; i++) {
        CHECK_SEND(s, "q");
        CHECK_TAKES(respondent, &survey, "q");
        CHECK_ERRNO(nn_recv(s, NULL, 0, 0), -1, ETIMEDOUT);
        CHECK_ERRNO(nn_recv(s, NULL, 0, 0), -1, EFSM);
    }
    CHECK_CLOSE(respondent, s);
}

/* protocols 8.2 [D]: "negative = no deadline" */
static void a_negative_deadline_is_none(void)
{
    struct url url = unique_url("inproc");
    struct message survey;
    int s = open_surveyor(url.text, -1), respondent = open_respondent(url.text);
    CHECK_EQ(get_int(s, NN_SURVEYOR, NN_SURVEYOR_DEADLINE), -1);
    CHECK_SEND(s, "q");
    CHECK_TAKES(respondent, &survey, "q");
    nap_ms(50);
    CHECK_AGAIN(s);
    CHECK(!CAN_RECV(s));
    answer(respondent, &survey, "a");
    CHECK_RECV(s, "a");
    set_int(s, NN_RCVTIMEO, 20);
    CHECK_ERRNO(nn_recv(s, NULL, 0, 0), -1, ETIMEDOUT);
    CHECK_AGAIN(s);
    CHECK_CLOSE(respondent, s);
}

/* protocols 2.5: a respondent that cannot take the survey misses it, silently; with a receive
 * buffer of one byte inproc takes two. */
static void a_busy_respondent_misses_surveys(void)
{
    struct url url = unique_url("inproc");
    struct message survey;
    int s = open_surveyor(url.text, LONG_MS);
    int busy = open_socket(AF_SP_RAW, NN_RESPONDENT), other = open_respondent(url.text);
    set_int(busy, NN_RCVBUF, 1);
    CHECK_OK(nn_connect(busy, url.text));
    for (int i = 0; i < 5; i++) {
        const char text[] = {(char)('a' + i), 0};
        CHECK_SEND(s, text);
        CHECK_TAKES(other, &survey, text);
    }
    CHECK_TAKES(busy, &survey, "a");
    CHECK_TAKES(busy, &survey, "b");
    CHECK_AGAIN(busy);
    CHECK_SEND(s, "z");
    CHECK_TAKES(busy, &survey, "z");
    answer(busy, &survey, "a");
    CHECK_RECV(s, "a");
    CHECK_CLOSE(busy, other, s);
}

struct call {
    int s;
    int result;
    int error;
    int64_t at_us;
};

static void *receive_one(void *argument)
{
    struct call *call = argument;
    errno = 0;
    call->result = nn_recv(call->s, NULL, 0, 0);
    call->error = errno;
    call->at_us = now_us();
    return NULL;
}

/* protocols 8.2: "a blocked nn_recv returns ETIMEDOUT at once" when the timer fires. */
static void the_deadline_ends_a_waiting_receive(void)
{
    struct url url = unique_url("inproc");
    struct thread thread;
    int s = open_surveyor(url.text, 4 * SHORT_MS), respondent = open_respondent(url.text);
    struct call call = {s, 0, 0, 0};
    set_int(s, NN_RCVTIMEO, -1);
    int64_t since = now_us();
    CHECK_SEND(s, "q");
    thread_start(&thread, receive_one, &call);
    thread_join(&thread);
    CHECK_EQ(call.result, -1);
    CHECK_EQ(call.error, ETIMEDOUT);
    CHECK_AT_LEAST(call.at_us - since, (4 * SHORT_MS - (reference() ? 10 : 0)) * 1000);
    CHECK_ERRNO(nn_recv(s, NULL, 0, 0), -1, EFSM);
    CHECK_CLOSE(respondent, s);
}

/* protocols 8.2: who waits goes on waiting, for the answers to the new survey. */
static void a_waiting_receive_serves_the_new_survey(int s, int respondent)
{
    struct message one, two;
    struct thread thread;
    struct call call = {s, 0, 0, 0};
    CHECK_SEND(s, "one");
    CHECK_TAKES(respondent, &one, "one");
    thread_start(&thread, receive_one, &call);
    CHECK(thread_asleep(&thread));
    CHECK_SEND(s, "two");
    CHECK_TAKES(respondent, &two, "two");
    answer(respondent, &one, "stale");
    answer(respondent, &two, "right answer");
    thread_join(&thread);
    CHECK_EQ(call.result, 12);
}

/* protocols 1: cooked respondents on each transport, in either direction of connecting. */
static void surveys_are_answered_on_every_transport(void)
{
    for (int i = 0; i < 6; i++) {
        struct url url = unique_url(SCHEMES[i / 2]);
        int s = i % 2 ? -1 : open_bound(AF_SP, NN_SURVEYOR, url.text);
        int respondent = i % 2 ? open_bound(AF_SP, NN_RESPONDENT, url.text)
                               : open_connected(AF_SP, NN_RESPONDENT, url.text);
        s = i % 2 ? open_connected(AF_SP, NN_SURVEYOR, url.text) : s;
        CHECK_PIPES(s, 1);
        for (int j = 0; j < 50; j++) {
            char text[32];
            snprintf(text, sizeof text, "survey %d", j);
            CHECK_SEND(s, text);
            CHECK_RECV(respondent, text);
            snprintf(text, sizeof text, "response %d", j);
            CHECK_SEND(respondent, text);
            CHECK_RECV(s, text);
        }
        CHECK_AGAIN(s);
        CHECK_CLOSE(s, respondent);
    }
}

int main(void)
{
    test_begin("protocols/survey", 58);
    RUN_WITH(with_respondent, ids_count_up_with_the_top_bit_set);
    RUN_WITH(with_respondent, nothing_can_be_received_before_a_survey);
    RUN(a_survey_of_nobody_is_a_survey);
    RUN(everybody_may_answer_and_more_than_once);
    RUN_WITH(in_a_hurry, the_end_is_told_once);
    RUN_WITH(in_a_hurry, a_new_survey_clears_the_end_of_the_last);
    RUN(the_deadline_cuts_off_reading);
    RUN_WITH(in_a_hurry, a_new_survey_abandons_the_old_one);
    RUN_WITH(with_respondent, surveys_in_quick_succession_are_all_asked);
    RUN_WITH(with_respondent, what_is_no_response_is_discarded);
    RUN(who_comes_late_is_not_asked);
    RUN(the_loss_of_a_respondent_does_not_end_the_survey);
    RUN_WITH(with_respondent, a_timeout_does_not_end_the_survey);
    RUN(a_new_deadline_serves_the_next_survey);
    RUN(a_deadline_of_zero_still_asks);
    RUN(a_negative_deadline_is_none);
    RUN(a_busy_respondent_misses_surveys);
    RUN(the_deadline_ends_a_waiting_receive);
    RUN_WITH(with_respondent, a_waiting_receive_serves_the_new_survey);
    RUN(surveys_are_answered_on_every_transport);
    return test_end();
}
