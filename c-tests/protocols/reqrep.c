/* REQ: what becomes of a request in every state, whatever its services do. The services are raw
 * REP sockets, which see the id of each copy and may answer as they like. */

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
#include <nanomsg/reqrep.h>

#include <errno.h>
#include <stdint.h>
#include <stdio.h>

/* protocols 4.1, core-quirks C-10 */
static void ids_count_up_with_the_top_bit_set(void)
{
    struct url url = unique_url("inproc");
    struct message request;
    uint32_t firsts[4];
    int service = open_service(url.text);
    for (int i = 0; i < 4; i++) {
        int req = open_req(url.text);
        for (uint32_t j = 0; j < 5; j++) {
            CHECK_SEND(req, "q");
            CHECK_TAKES(service, &request, "q");
            firsts[i] = j ? firsts[i] : id_of(&request);
            CHECK_EQ(id_of(&request), (firsts[i] + j) | TOP_BIT);
            answer(service, &request, "a");
            CHECK_RECV(req, "a");
        }
        CHECK_CLOSE(req);
    }
    CHECK(firsts[0] != firsts[1] || firsts[1] != firsts[2] || firsts[2] != firsts[3]);
    CHECK_CLOSE(service);
}

/* protocols 4.2, IDLE; core-quirks A-33 */
static void nothing_can_be_received_before_a_request(int service, int req)
{
    struct message request;
    CHECK_ERRNO(nn_recv(req, NULL, 0, NN_DONTWAIT), -1, EFSM);
    CHECK_ERRNO(nn_recv(req, NULL, 0, 0), -1, EFSM);
    CHECK_SEND(req, "q");
    CHECK_AGAIN(req);
    CHECK_TAKES(service, &request, "q");
    answer(service, &request, "a");
    CHECK_RECV(req, "a");
    CHECK_ERRNO(nn_recv(req, NULL, 0, NN_DONTWAIT), -1, EFSM);
    CHECK_ERRNO(nn_recv(req, NULL, 0, 0), -1, EFSM);
}

/* protocols 4.2, IDLE: a matching reply is dropped, and does not spoil the next exchange. */
static void a_reply_to_nothing_is_dropped(int service, int req)
{
    struct message first, second;
    CHECK_SEND(req, "one");
    CHECK_TAKES(service, &first, "one");
    answer(service, &first, "right");
    CHECK_RECV(req, "right");
    answer(service, &first, "late");
    CHECK_ERRNO(nn_recv(req, NULL, 0, NN_DONTWAIT), -1, EFSM);
    CHECK(!CAN_RECV(req));
    CHECK_SEND(req, "two");
    CHECK_TAKES(service, &second, "two");
    answer(service, &first, "later");
    answer(service, &second, "right again");
    CHECK_RECV(req, "right again");
}

/* protocols 4.2, WAITPEER; the time to send is irrelevant */
static void a_request_waits_for_a_service(void)
{
    struct url url = unique_url("inproc");
    struct message request;
    int req = open_req(url.text);
    set_int(req, NN_SNDTIMEO, 0);
    set_int(req, NN_RCVTIMEO, 20);
    CHECK_SEND(req, "q");
    CHECK_AGAIN(req);
    CHECK_ERRNO(nn_recv(req, NULL, 0, 0), -1, ETIMEDOUT);
    int service = open_service(url.text);
    CHECK_TAKES(service, &request, "q");
    CHECK_AGAIN(service);
    answer(service, &request, "a");
    set_int(req, NN_RCVTIMEO, PATIENCE_MS);
    CHECK_RECV(req, "a");
    CHECK_CLOSE(req, service);
}

/* protocols 4.2: "A, B, C sent, then the service binds: it gets C only" */
static void only_the_last_of_several_unsent_requests_goes_out(void)
{
    struct url url = unique_url("inproc");
    struct message request;
    int req = open_req(url.text);
    CHECK_SEND(req, "A");
    CHECK_SEND(req, "B");
    CHECK_EQ(nn_send(req, "C", 1, NN_DONTWAIT), 1);
    int service = open_service(url.text);
    CHECK_TAKES(service, &request, "C");
    CHECK_AGAIN(service);
    answer(service, &request, "c");
    CHECK_RECV(req, "c");
    CHECK_EQ(nn_get_statistic(req, NN_STAT_MESSAGES_SENT), 3);
    CHECK_CLOSE(req, service);
}

/* protocols 4.2, SENT: a new request cancels the old one, whose reply is dropped by its id. */
static void a_new_request_cancels_the_one_under_way(int service, int req)
{
    struct message first, second;
    CHECK_SEND(req, "one");
    CHECK_SEND(req, "two");
    CHECK_TAKES(service, &first, "one");
    CHECK_TAKES(service, &second, "two");
    CHECK_EQ(id_of(&second), (id_of(&first) + 1) | TOP_BIT);
    answer(service, &first, "first");
    CHECK_AGAIN(req);
    CHECK(!CAN_RECV(req));
    answer(service, &second, "second");
    CHECK_RECV(req, "second");
    CHECK_ERRNO(nn_recv(req, NULL, 0, NN_DONTWAIT), -1, EFSM);
}

/* protocols 4.2, SENT: each is handed over, although nobody waits for its reply any more. */
static void requests_in_quick_succession_all_go_out(int service, int req)
{
    check_quick_succession(req, service);
}

/* protocols 4.2, REPLY: a new request discards the reply. */
static void a_new_request_discards_the_reply(int service, int req)
{
    struct message request;
    CHECK_SEND(req, "one");
    CHECK_TAKES(service, &request, "one");
    answer(service, &request, "first");
    CHECK(wait_until(CAN_RECV(req), PATIENCE_MS));
    CHECK_SEND(req, "two");
    CHECK(!CAN_RECV(req));
    CHECK_AGAIN(req);
    CHECK_TAKES(service, &request, "two");
    answer(service, &request, "second");
    CHECK_RECV(req, "second");
}

/* protocols 4.2, REPLY: "the stored reply survives" the loss of its pipe, and nothing is asked
 * again. */
static void a_stored_reply_survives_its_service(void)
{
    struct url url = unique_url("inproc");
    struct message request;
    int service = open_service(url.text), req = open_req(url.text);
    CHECK_SEND(req, "q");
    CHECK_TAKES(service, &request, "q");
    answer(service, &request, "a");
    CHECK(wait_until(CAN_RECV(req), PATIENCE_MS));
    CHECK_CLOSE(service);
    service = open_service(url.text);
    CHECK_RECV(req, "a");
    CHECK_ERRNO(nn_recv(req, NULL, 0, NN_DONTWAIT), -1, EFSM);
    CHECK_SEND(req, "next");
    CHECK_TAKES(service, &request, "next");
    CHECK_CLOSE(req, service);
}

/* protocols 4.3: dropped silently, and the pipe stays up. */
static void what_is_no_reply_is_dropped(int service, int req)
{
    struct message request;
    CHECK_SEND(req, "q");
    CHECK_TAKES(service, &request, "q");
    uint32_t id = id_of(&request);
    const unsigned char other[] = {WORD(id ^ 1), 'x'}, clear[] = {WORD(id & ~TOP_BIT), 'x'};
    const unsigned char hop[] = {WORD(5), WORD(id), 'x'}, right[] = {WORD(id), 'a'};
    for (size_t size = 0; size < 4; size++)
        answer_bytes(service, &request, right, size);
    answer_bytes(service, &request, other, sizeof other);
    answer_bytes(service, &request, clear, sizeof clear);
    answer_bytes(service, &request, hop, sizeof hop);
    CHECK_AGAIN(req);
    CHECK(!CAN_RECV(req));
    answer_bytes(service, &request, right, sizeof right);
    CHECK_RECV(req, "a");
    CHECK_EQ(nn_get_statistic(req, NN_STAT_CURRENT_CONNECTIONS), 1);
    CHECK_EQ(nn_get_statistic(req, NN_STAT_MESSAGES_RECEIVED), 1);
}

/* protocols 4.1, 4.3: bodies may be empty. */
static void an_empty_request_may_have_an_empty_reply(int service, int req)
{
    struct message request;
    char body[4];
    CHECK_EQ(nn_send(req, NULL, 0, 0), 0);
    CHECK_TAKES(service, &request, "");
    answer(service, &request, "");
    CHECK_EQ(nn_recv(req, body, sizeof body, 0), 0);
    CHECK_ERRNO(nn_recv(req, NULL, 0, NN_DONTWAIT), -1, EFSM);
}

/* protocols 4.4: "keep the first, drop the second" */
static void a_second_reply_does_not_replace_the_first(int service, int req)
{
    struct message request;
    CHECK_SEND(req, "q");
    CHECK_TAKES(service, &request, "q");
    answer(service, &request, "first");
    answer(service, &request, "second");
    CHECK_RECV(req, "first");
    CHECK_ERRNO(nn_recv(req, NULL, 0, NN_DONTWAIT), -1, EFSM);
}

/* protocols 4.4: "drop the bad one, keep the stored one" */
static void a_bad_reply_does_not_spoil_the_stored_one(int service, int req)
{
    struct message request;
    CHECK_SEND(req, "q");
    CHECK_TAKES(service, &request, "q");
    uint32_t id = id_of(&request);
    const unsigned char other[] = {WORD(id ^ 1), 'x'}, clear[] = {WORD(id & ~TOP_BIT), 'x'};
    answer(service, &request, "good");
    answer_bytes(service, &request, other, sizeof other);
    answer_bytes(service, &request, clear, sizeof clear);
    answer_bytes(service, &request, other, 3);
    answer_bytes(service, &request, NULL, 0);
    CHECK_RECV(req, "good");
    CHECK_SEND(req, "next");
    CHECK_TAKES(service, &request, "next");
    answer(service, &request, "good again");
    CHECK_RECV(req, "good again");
}

/* protocols 4.2: a receive that times out leaves the request under way. */
static void a_reply_may_come_after_a_timeout(int service, int req)
{
    struct message request;
    CHECK_SEND(req, "q");
    CHECK_TAKES(service, &request, "q");
    set_int(req, NN_RCVTIMEO, 20);
    int64_t since = now_us();
    CHECK_ERRNO(nn_recv(req, NULL, 0, 0), -1, ETIMEDOUT);
    CHECK_NOT_EARLY(since, 20);
    set_int(req, NN_RCVTIMEO, PATIENCE_MS);
    answer(service, &request, "a");
    CHECK_RECV(req, "a");
}

struct call {
    int s;
    int result;
    int error;
    char body[32];
};

static void *receive_one(void *argument)
{
    struct call *call = argument;
    errno = 0;
    call->result = nn_recv(call->s, call->body, sizeof call->body - 1, 0);
    call->error = errno;
    return NULL;
}

/* protocols 4.2, SENT: who waits gets the reply to the request that is under way by then. */
static void a_waiting_receive_gets_the_reply_to_the_last_request(int service, int req)
{
    struct message first, second;
    struct thread thread;
    struct call call = {req, 0, 0, ""};
    CHECK_SEND(req, "one");
    CHECK_TAKES(service, &first, "one");
    thread_start(&thread, receive_one, &call);
    CHECK(thread_asleep(&thread));
    CHECK_SEND(req, "two");
    CHECK_TAKES(service, &second, "two");
    answer(service, &first, "first");
    answer(service, &second, "second");
    thread_join(&thread);
    CHECK_EQ(call.result, 6);
    CHECK_STR(call.body, "second");
}

/* core-quirks A-7: EBADF, as for every type. */
static void closing_wakes_a_waiting_receive(void)
{
    struct url url = unique_url("inproc");
    struct thread thread;
    int service = open_service(url.text), req = open_req(url.text);
    struct call call = {req, 0, 0, ""};
    CHECK_SEND(req, "q");
    thread_start(&thread, receive_one, &call);
    CHECK(thread_asleep(&thread));
    CHECK_CLOSE(req);
    thread_join(&thread);
    CHECK_EQ(call.result, -1);
    CHECK_EQ(call.error, EBADF);
    CHECK_CLOSE(service);
}

/* protocols 1: cooked and raw, connecting and binding, on each transport. */
static void requests_are_answered_on_every_transport(void)
{
    for (int i = 0; i < 6; i++) {
        struct url url = unique_url(SCHEMES[i / 2]);
        int req = i % 2 ? open_bound(AF_SP, NN_REQ, url.text) : -1;
        int rep = i % 2 ? open_connected(AF_SP, NN_REP, url.text)
                        : open_bound(AF_SP, NN_REP, url.text);
        req = i % 2 ? req : open_req(url.text);
        for (int j = 0; j < 50; j++) {
            char text[32];
            snprintf(text, sizeof text, "request %d", j);
            CHECK_SEND(req, text);
            CHECK_RECV(rep, text);
            snprintf(text, sizeof text, "reply %d", j);
            CHECK_SEND(rep, text);
            CHECK_RECV(req, text);
        }
        CHECK_CLOSE(req, rep);
    }
}

/* core 11, core-quirks A-61: bodies only, the full size of what was cut. */
static void statistics_count_the_bodies(void)
{
    struct url url = unique_url("inproc");
    int rep = open_bound(AF_SP, NN_REP, url.text), req = open_req(url.text);
    char two[2];
    CHECK_SEND(req, "request");
    CHECK_EQ(nn_recv(rep, two, sizeof two, 0), 7);
    CHECK_SEND(rep, "reply");
    CHECK_EQ(nn_recv(req, two, sizeof two, 0), 5);
    CHECK_ERRNO(nn_recv(req, two, sizeof two, 0), -1, EFSM);
    CHECK_ERRNO(nn_send(rep, two, sizeof two, 0), -1, EFSM);
    CHECK_EQ(nn_get_statistic(req, NN_STAT_MESSAGES_SENT), 1);
    CHECK_EQ(nn_get_statistic(req, NN_STAT_BYTES_SENT), 7);
    CHECK_EQ(nn_get_statistic(req, NN_STAT_MESSAGES_RECEIVED), 1);
    CHECK_EQ(nn_get_statistic(req, NN_STAT_BYTES_RECEIVED), 5);
    CHECK_EQ(nn_get_statistic(rep, NN_STAT_MESSAGES_SENT), 1);
    CHECK_EQ(nn_get_statistic(rep, NN_STAT_BYTES_SENT), 5);
    CHECK_EQ(nn_get_statistic(rep, NN_STAT_MESSAGES_RECEIVED), 1);
    CHECK_EQ(nn_get_statistic(rep, NN_STAT_BYTES_RECEIVED), 7);
    CHECK_CLOSE(req, rep);
}

int main(void)
{
    test_begin("protocols/reqrep", 58);
    RUN(ids_count_up_with_the_top_bit_set);
    RUN_WITH(with_service, nothing_can_be_received_before_a_request);
    RUN_WITH(with_service, a_reply_to_nothing_is_dropped);
    RUN(a_request_waits_for_a_service);
    RUN(only_the_last_of_several_unsent_requests_goes_out);
    RUN_WITH(with_service, a_new_request_cancels_the_one_under_way);
    RUN_WITH(with_service, requests_in_quick_succession_all_go_out);
    RUN_WITH(with_service, a_new_request_discards_the_reply);
    RUN(a_stored_reply_survives_its_service);
    RUN_WITH(with_service, what_is_no_reply_is_dropped);
    RUN_WITH(with_service, an_empty_request_may_have_an_empty_reply);
    RUN_WITH(with_service, a_second_reply_does_not_replace_the_first);
    RUN_WITH(with_service, a_bad_reply_does_not_spoil_the_stored_one);
    RUN_WITH(with_service, a_reply_may_come_after_a_timeout);
    RUN_WITH(with_service, a_waiting_receive_gets_the_reply_to_the_last_request);
    RUN(closing_wakes_a_waiting_receive);
    RUN(requests_are_answered_on_every_transport);
    RUN(statistics_count_the_bodies);
    return test_end();
}
