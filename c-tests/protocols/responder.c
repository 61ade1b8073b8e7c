/* REP and RESPONDENT, which are one machine with different peers (protocols 8.4): who may answer
 * when, what a request looks like, how many hops it may have made. Those who ask are raw sockets.
 *
 * The type is the argument: responder rep, responder respondent. */

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
#include <nanomsg/survey.h>

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static int type, peer;

static int open_responder(const char *url)
{
    return open_bound(AF_SP, type, url);
}

static int open_asker(const char *url)
{
    return open_connected(AF_SP_RAW, peer, url);
}

static void with_asker(void (*function)(int s, int asker))
{
    struct url url = unique_url("inproc");
    int s = open_responder(url.text), asker = open_asker(url.text);
    function(s, asker);
    CHECK_CLOSE(asker, s);
}

/* protocols 5.3, IDLE; core-quirks A-33 */
static void nothing_can_be_sent_before_a_request(int s, int asker)
{
    CHECK_ERRNO(nn_send(s, "a", 1, NN_DONTWAIT), -1, EFSM);
    CHECK_ERRNO(nn_send(s, "a", 1, 0), -1, EFSM);
    send_numbered(asker, 1 | TOP_BIT, "q");
    CHECK_ERRNO(nn_send(s, "a", 1, 0), -1, EFSM);
    CHECK_RECV(s, "q");
    CHECK_SEND(s, "a");
    CHECK_ERRNO(nn_send(s, "a", 1, NN_DONTWAIT), -1, EFSM);
    CHECK_ERRNO(nn_send(s, "a", 1, 0), -1, EFSM);
    CHECK_RECV(asker, "a");
    CHECK_AGAIN(asker);
}

/* abi 8: with nothing to deliver a receive waits, and a chunk stays with who could not send it. */
static void a_responder_waits_for_requests(void)
{
    struct url url = unique_url("inproc");
    int s = open_responder(url.text);
    char *chunk = nn_allocmsg(1, 0);
    *chunk = 'a';
    CHECK_AGAIN(s);
    set_int(s, NN_RCVTIMEO, 20);
    int64_t since = now_us();
    CHECK_ERRNO(nn_recv(s, NULL, 0, 0), -1, ETIMEDOUT);
    CHECK_NOT_EARLY(since, 20);
    CHECK_ERRNO(nn_send(s, &chunk, NN_MSG, 0), -1, EFSM);
    CHECK_EQ(*chunk, 'a');
    CHECK_EQ(nn_freemsg(chunk), 0);
    CHECK_CLOSE(s);
}

/* protocols 5.3: "a failed nn_recv loses the right to reply" */
static void receiving_forgets_the_pending_request(int s, int asker)
{
    for (int way = 0; way < 2; way++) {
        send_numbered(asker, 1 | TOP_BIT, "q");
        CHECK_RECV(s, "q");
        CHECK(CAN_SEND(s));
        set_int(s, NN_RCVTIMEO, way ? 20 : PATIENCE_MS);
        CHECK_ERRNO(nn_recv(s, NULL, 0, way ? 0 : NN_DONTWAIT), -1, way ? ETIMEDOUT : EAGAIN);
        CHECK(!CAN_SEND(s));
        CHECK_ERRNO(nn_send(s, "a", 1, 0), -1, EFSM);
        CHECK_AGAIN(asker);
    }
}

/* protocols 5.3: "Only the most recently received request can be answered" */
static void only_the_latest_request_is_answered(int s, int asker)
{
    struct message reply;
    send_numbered(asker, 1 | TOP_BIT, "one");
    send_numbered(asker, 2 | TOP_BIT, "two");
    CHECK_RECV(s, "one");
    CHECK_RECV(s, "two");
    CHECK_SEND(s, "a");
    CHECK_ERRNO(nn_send(s, "b", 1, 0), -1, EFSM);
    CHECK_TAKES(asker, &reply, "a");
    CHECK_EQ(reply.header_size, 4);
    CHECK_EQ(word_at(reply.header), 2 | TOP_BIT);
    CHECK_AGAIN(asker);
}

/* protocols 5.3: "Pipe loss does not change the state"; the answer is dropped silently. */
static void an_answer_to_one_who_has_gone_is_dropped(void)
{
    for (int i = 0; i < 3; i++) {
        struct url url = unique_url(SCHEMES[i]);
        int s = open_responder(url.text), asker = open_asker(url.text);
        CHECK_PIPES(asker, 1);
        send_numbered(asker, 1 | TOP_BIT, "q");
        CHECK_RECV(s, "q");
        CHECK_CLOSE(asker);
        CHECK_PIPES(s, 0);
        CHECK(CAN_SEND(s));
        CHECK_EQ(nn_send(s, "answer", 6, 0), 6);
        CHECK_ERRNO(nn_send(s, "answer", 6, 0), -1, EFSM);
        CHECK_EQ(nn_get_statistic(s, NN_STAT_MESSAGES_SENT), 1);
        /* Whoever comes next does not get it. */
        asker = open_asker(url.text);
        CHECK_PIPES(asker, 1);
        send_numbered(asker, 1 | TOP_BIT, "again");
        CHECK_RECV(s, "again");
        CHECK_SEND(s, "right");
        CHECK_RECV(asker, "right");
        CHECK_CLOSE(asker, s);
    }
}

/* protocols 5.3, 2.8: an answer that the requester's pipe cannot take is dropped. With a receive
 * buffer of one byte inproc takes two. */
static void an_answer_to_one_who_does_not_read_is_dropped(void)
{
    struct url url = unique_url("inproc");
    int s = open_responder(url.text), asker = open_socket(AF_SP_RAW, peer);
    set_int(asker, NN_RCVBUF, 1);
    CHECK_OK(nn_connect(asker, url.text));
    for (int i = 0; i < 5; i++) {
        const char text[2] = {(char)('a' + i), 0};
        send_numbered(asker, (uint32_t)i | TOP_BIT, "q");
        CHECK_RECV(s, "q");
        CHECK_SEND(s, text);
        CHECK_ERRNO(nn_send(s, text, 1, 0), -1, EFSM);
    }
    CHECK_EQ(nn_get_statistic(s, NN_STAT_MESSAGES_SENT), 5);
    CHECK_RECV(asker, "a");
    CHECK_RECV(asker, "b");
    CHECK_AGAIN(asker);
    send_numbered(asker, 9 | TOP_BIT, "q");
    CHECK_RECV(s, "q");
    CHECK_SEND(s, "z");
    CHECK_RECV(asker, "z");
    CHECK_CLOSE(asker, s);
}

/* protocols 5.2 and 14: what is dropped, and the pipe stays up. */
static void a_malformed_request_is_dropped(int s, int asker)
{
    static const struct {
        size_t size;
        unsigned char bytes[12];
    } requests[] = {{0, {0}}, {1, {0}}, {2, {0x80, 0}}, {3, {0x80, 0, 0}}, {4, {WORD(1)}},
                    {11, {WORD(1), WORD(2), 'x', 'y', 'z'}}, {8, {WORD(1), WORD(0x7fffffff)}}};
    enum { COUNT = COUNT_OF(requests) };
    for (int i = 0; i < COUNT; i++) {
        CHECK_EQ(nn_send(asker, requests[i].bytes, requests[i].size, 0), requests[i].size);
        CHECK_AGAIN(s);
        CHECK_ERRNO(nn_send(s, "a", 1, 0), -1, EFSM);
    }
    for (int i = 0; i < COUNT; i++)
        CHECK_EQ(nn_send(asker, requests[i].bytes, requests[i].size, 0), requests[i].size);
    send_numbered(asker, 7 | TOP_BIT, "good");
    CHECK_RECV(s, "good");
    CHECK_SEND(s, "a");
    CHECK_RECV(asker, "a");
    CHECK_EQ(nn_get_statistic(s, NN_STAT_CURRENT_CONNECTIONS), 1);
    CHECK_EQ(nn_get_statistic(s, NN_STAT_MESSAGES_RECEIVED), 1);
    CHECK_EQ(nn_get_statistic(s, NN_STAT_BYTES_RECEIVED), 4);
}

/* A backtrace of that many words, the id among them. */
static size_t put_backtrace(unsigned char *bytes, int words, uint32_t id)
{
    for (int i = 0; i + 1 < words; i++)
        put_word(bytes + 4 * i, 0x01020300u + (uint32_t)i);
    put_word(bytes + 4 * (words - 1), id | TOP_BIT);
    return (size_t)words * 4;
}

/* protocols 5.1, 5.3: the words of the request precede the answer; a raw asker shows the first as
 * its header and the others in the body. */
static void the_whole_backtrace_is_echoed(int s, int asker)
{
    struct message reply;
    unsigned char words[8 * 4];
    for (int count = 1; count <= 8; count++) {
        size_t size = put_backtrace(words, count, 77);
        CHECK_EQ(send_message(asker, words, size, "q", 1, 0), 1);
        CHECK_RECV(s, "q");
        CHECK_SEND(s, "a");
        CHECK_EQ(recv_message(asker, &reply, 0), size - 4 + 1);
        CHECK_EQ(reply.header_size, 4);
        CHECK_MEM(reply.header, words, 4);
        CHECK_MEM(reply.body, words + 4, size - 4);
        CHECK_EQ(reply.body[size - 4], 'a');
    }
}

/* protocols 10, core-quirks: at most NN_MAXTTL words, at once on live connections. */
static void a_request_with_too_many_hops_is_dropped(int s, int asker)
{
    static const int limits[] = {8, 1, 2, 3, 15, 255, 8};
    unsigned char words[257 * 4];
    CHECK_EQ(get_int(s, NN_SOL_SOCKET, NN_MAXTTL), 8);
    for (size_t i = 0; i < COUNT_OF(limits); i++) {
        set_int(s, NN_MAXTTL, limits[i]);
        for (int count = 1; count <= limits[i] + 2; count++) {
            if (count > 4 && count < limits[i] - 1)
                continue;
            size_t size = put_backtrace(words, count, (uint32_t)count);
            CHECK_EQ(send_message(asker, words, size, "q", 1, 0), 1);
            if (count > limits[i]) {
                CHECK_AGAIN(s);
                continue;
            }
            CHECK_RECV(s, "q");
            CHECK_SEND(s, "a");
            CHECK_EQ(nn_recv(asker, NULL, 0, 0), size - 4 + 1);
        }
    }
    CHECK_EQ(nn_get_statistic(s, NN_STAT_CURRENT_CONNECTIONS), 1);
}

/* protocols 5.2: "a request consisting of just the id is valid and has an empty body" */
static void a_request_may_be_empty(int s, int asker)
{
    struct message reply;
    send_numbered(asker, TOP_BIT, "");
    CHECK_EQ(nn_recv(s, NULL, 0, 0), 0);
    CHECK_EQ(nn_send(s, NULL, 0, 0), 0);
    CHECK_TAKES(asker, &reply, "");
    CHECK_EQ(word_at(reply.header), TOP_BIT);
}

/* protocols 2.4: "REP with two clients that queued c0..c3 and d0..d3: received c0 d0 c1 d1 ..." */
static void askers_take_turns(void)
{
    struct url url = unique_url("inproc");
    int s = open_responder(url.text), askers[3];
    char text[3] = "";
    for (int i = 0; i < 3; i++)
        askers[i] = open_asker(url.text);
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 4; j++) {
            text[0] = (char)('c' + i);
            text[1] = (char)('0' + j);
            send_numbered(askers[i], (uint32_t)j | TOP_BIT, text);
        }
    for (int j = 0; j < 4; j++)
        for (int i = 0; i < 3; i++) {
            text[0] = (char)('c' + i);
            text[1] = (char)('0' + j);
            CHECK_RECV(s, text);
            CHECK_SEND(s, text);
            CHECK_RECV(askers[i], text);
        }
    for (int i = 0; i < 3; i++)
        CHECK_CLOSE(askers[i]);
    CHECK_CLOSE(s);
}

/* protocols 2.4: everything of the better endpoint first. */
static void the_better_endpoint_is_read_first(void)
{
    struct url better = unique_url("inproc"), worse = unique_url("inproc");
    int s = open_socket(AF_SP, type);
    set_int(s, NN_RCVPRIO, 12);
    CHECK_OK(nn_bind(s, worse.text));
    set_int(s, NN_RCVPRIO, 3);
    CHECK_OK(nn_bind(s, better.text));
    int low = open_asker(worse.text), high = open_asker(better.text);
    for (int i = 0; i < 3; i++) {
        send_numbered(low, TOP_BIT, "low");
        send_numbered(high, TOP_BIT, "high");
    }
    for (int i = 0; i < 6; i++)
        CHECK_RECV(s, i < 3 ? "high" : "low");
    CHECK_CLOSE(low, high, s);
}

/* protocols 8.4: "It may be connected to several surveyors at once; responses go to the one whose
 * survey was last received." */
static void the_answer_goes_to_the_one_heard_last(void)
{
    struct url one = unique_url("inproc"), two = unique_url("inproc");
    int a = open_bound(AF_SP_RAW, peer, one.text), b = open_bound(AF_SP_RAW, peer, two.text);
    int s = open_connected(AF_SP, type, one.text);
    CHECK_OK(nn_connect(s, two.text));
    send_numbered(a, 1 | TOP_BIT, "from a");
    CHECK_RECV(s, "from a");
    send_numbered(b, 2 | TOP_BIT, "from b");
    CHECK_RECV(s, "from b");
    CHECK_SEND(s, "to b");
    CHECK_RECV(b, "to b");
    CHECK_AGAIN(a);
    send_numbered(a, 3 | TOP_BIT, "from a");
    CHECK_RECV(s, "from a");
    CHECK_SEND(s, "to a");
    CHECK_RECV(a, "to a");
    CHECK_AGAIN(b);
    CHECK_CLOSE(a, b, s);
}

/* core-quirks: what is cut off does not harm the right to answer. */
static void a_cut_request_can_be_answered(int s, int asker)
{
    char two[2];
    send_numbered(asker, 1 | TOP_BIT, "a long request");
    CHECK_EQ(nn_recv(s, two, sizeof two, 0), 14);
    CHECK_MEM(two, "a ", 2);
    CHECK_SEND(s, "a");
    CHECK_RECV(asker, "a");
    CHECK_EQ(nn_get_statistic(s, NN_STAT_BYTES_RECEIVED), 14);
}

/* core-quirks B-4, B-5: a received chunk has lost the header in front, and grows all the same. */
static void a_received_chunk_can_grow_and_be_sent_back(void)
{
    static const size_t growths[] = {1, 3, 4, 5, 100000};
    for (int i = 0; i < 15; i++) {
        struct url url = unique_url(SCHEMES[i / 5]);
        size_t growth = growths[i % 5];
        int s = open_responder(url.text), asker = open_asker(url.text);
        char *chunk = NULL, *reply = NULL, text[101];
        snprintf(text, sizeof text, "%0100d", 12345);
        CHECK_PIPES(asker, 1);
        send_numbered(asker, 1 | TOP_BIT, text);
        REQUIRE(nn_recv(s, &chunk, NN_MSG, 0) == 100);
        chunk = nn_reallocmsg(chunk, 100 + growth);
        REQUIRE(chunk != NULL);
        CHECK_MEM(chunk, text, 100);
        memset(chunk + 100, 'g', growth);
        CHECK_EQ(nn_send(s, &chunk, NN_MSG, 0), 100 + growth);
        REQUIRE(nn_recv(asker, &reply, NN_MSG, 0) == (int)(100 + growth));
        CHECK_MEM(reply, text, 100);
        CHECK_EQ(reply[99 + growth], 'g');
        CHECK_EQ(nn_freemsg(reply), 0);
        CHECK_CLOSE(asker, s);
    }
}

struct call {
    int s;
    int result;
    int error;
};

static void *receive_one(void *argument)
{
    struct call *call = argument;
    errno = 0;
    call->result = nn_recv(call->s, NULL, 0, 0);
    call->error = errno;
    return NULL;
}

/* protocols 5.3: a receive that is still waiting has forgotten the request, too. Malformed
 * requests do not end it; the next good one does. */
static void a_waiting_receive_has_forgotten_already(int s, int asker)
{
    struct thread thread;
    struct call call = {s, 0, 0};
    send_numbered(asker, 1 | TOP_BIT, "q");
    CHECK_RECV(s, "q");
    thread_start(&thread, receive_one, &call);
    CHECK(wait_until(!CAN_SEND(s), PATIENCE_MS));
    CHECK_ERRNO(nn_send(s, "a", 1, 0), -1, EFSM);
    CHECK_EQ(nn_send(asker, "bad", 3, 0), 3);
    CHECK_EQ(nn_send(asker, "\0\0\0\1bad", 7, 0), 7);
    send_numbered(asker, 2 | TOP_BIT, "good");
    thread_join(&thread);
    CHECK_EQ(call.result, 4);
    CHECK_SEND(s, "a");
    CHECK_RECV(asker, "a");
}

int main(int count, char **words)
{
    const char *name = test_begin_with("protocols/responder", "rep|respondent", 58, count, words);
    int rep = strcmp(name, "rep") == 0;
    type = rep ? NN_REP : NN_RESPONDENT;
    peer = rep ? NN_REQ : NN_SURVEYOR;
    RUN_WITH(with_asker, nothing_can_be_sent_before_a_request);
    RUN(a_responder_waits_for_requests);
    RUN_WITH(with_asker, receiving_forgets_the_pending_request);
    RUN_WITH(with_asker, only_the_latest_request_is_answered);
    RUN(an_answer_to_one_who_has_gone_is_dropped);
    RUN(an_answer_to_one_who_does_not_read_is_dropped);
    RUN_WITH(with_asker, a_malformed_request_is_dropped);
    RUN_WITH(with_asker, the_whole_backtrace_is_echoed);
    RUN_WITH(with_asker, a_request_with_too_many_hops_is_dropped);
    RUN_WITH(with_asker, a_request_may_be_empty);
    RUN(askers_take_turns);
    RUN(the_better_endpoint_is_read_first);
    RUN(the_answer_goes_to_the_one_heard_last);
    RUN_WITH(with_asker, a_cut_request_can_be_answered);
    RUN(a_received_chunk_can_grow_and_be_sent_back);
    RUN_WITH(with_asker, a_waiting_receive_has_forgotten_already);
    return test_end();
}
