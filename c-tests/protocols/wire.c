/* The bytes of requests, replies, surveys and responses on tcp and ipc, exchanged with raw streams
 * (protocols 14), and what becomes of bytes that are wrong.
 *
 * The transport is the argument: wire tcp, wire ipc. */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/message.h"
#include "support/raw-peer.h"
#include "support/raw-stream.h"
#include "support/sockets.h"
#include "support/talk.h"

#include <nanomsg/nn.h>
#include <nanomsg/reqrep.h>
#include <nanomsg/survey.h>

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *scheme;

static const struct {
    int type;
    int peer;
} types[] = {{NN_REQ, NN_REP}, {NN_REP, NN_REQ}, {NN_SURVEYOR, NN_RESPONDENT},
             {NN_RESPONDENT, NN_SURVEYOR}};

enum { TYPES = COUNT_OF(types) };

/* protocols 1: exactly one type is accepted, by cooked and raw sockets alike. */
static void only_the_right_type_is_accepted(void)
{
    static const int others[] = {0x00, 0x01, 0x0f, 0x10, 0x11, 0x20, 0x21, 0x22, 0x23, 0x30, 0x31,
                                 0x32, 0x3f, 0x40, 0x41, 0x50, 0x51, 0x60, 0x61, 0x62, 0x63, 0x64,
                                 0x70, 0x71};
    for (int i = 0; i < 2 * TYPES; i++) {
        struct url url = unique_url(scheme);
        int type = types[i / 2].type, peer = types[i / 2].peer;
        int s = open_bound(i % 2 ? AF_SP_RAW : AF_SP, type, url.text);
        for (size_t j = 0; j < COUNT_OF(others); j++) {
            int fd = raw_connect(url.text);
            if (others[j] == peer) {
                CHECK(raw_greet_as(fd, peer, type));
                CHECK_PIPES(s, 1);
            } else {
                raw_greet_as(fd, others[j], type);
                CHECK_NE(raw_end(fd, PATIENCE_MS), RAW_OPEN);
            }
            close(fd);
            CHECK_PIPES(s, 0);
        }
        CHECK_CLOSE(s);
    }
}

/* A request or survey of that text arrives; its id is left behind. */
#define CHECK_ASKED(fd, url, text, id) do { \
    unsigned char a_[64]; \
    long s_ = raw_take((fd), (url), a_, sizeof a_, PATIENCE_MS); \
    CHECK_EQ(s_, 4 + strlen(text)); \
    CHECK_MEM(a_ + 4, (text), strlen(text)); \
    (id) = word_at(a_); \
    CHECK((id) & TOP_BIT); \
} while (0)

/* Sends a word and a text in one message. */
static void raw_answer(int fd, const char *url, uint32_t word, const char *text)
{
    unsigned char bytes[64] = {WORD(word)};
    memcpy(bytes + 4, text, strlen(text));
    raw_message(fd, url, bytes, 4 + strlen(text));
}

/* protocols 4.1, 8.1 and 14: an id and the body, nothing else. */
static void a_question_is_an_id_and_a_body(void)
{
    for (int i = 0; i < 2; i++) {
        struct url url = unique_url(scheme);
        int type = i ? NN_SURVEYOR : NN_REQ, peer = i ? NN_RESPONDENT : NN_REP;
        int s = open_bound(AF_SP, type, url.text);
        int fd = raw_join(s, url.text, peer, type);
        unsigned char frame[9 + 9], prefix[9];
        size_t used = raw_prefix(url.text, 9, prefix);
        CHECK_SEND(s, "hello");
        CHECK_EQ(raw_recv(fd, frame, used + 9, PATIENCE_MS), used + 9);
        CHECK_MEM(frame, prefix, used);
        uint32_t id = word_at(frame + used);
        CHECK(id & TOP_BIT);
        CHECK_MEM(frame + used + 4, "hello", 5);
        raw_answer(fd, url.text, id, "reply");
        CHECK_RECV(s, "reply");
        for (uint32_t j = 1; j <= 3; j++) {
            uint32_t next;
            CHECK_SEND(s, "q");
            CHECK_ASKED(fd, url.text, "q", next);
            CHECK_EQ(next, (id + j) | TOP_BIT);
            raw_answer(fd, url.text, next, "");
            CHECK_RECV(s, "");
        }
        CHECK_SEND(s, "");
        CHECK_ASKED(fd, url.text, "", id);
        CHECK_EQ(raw_recv(fd, frame, 1, 20), 0);
        close(fd);
        CHECK_CLOSE(s);
    }
}

/* protocols 4.3, 8.2: dropped, and the pipe stays up. */
static void a_wrong_answer_is_dropped(void)
{
    for (int i = 0; i < 2; i++) {
        struct url url = unique_url(scheme);
        int type = i ? NN_SURVEYOR : NN_REQ, peer = i ? NN_RESPONDENT : NN_REP;
        int s = open_bound(AF_SP, type, url.text);
        int fd = raw_join(s, url.text, peer, type);
        uint32_t id;
        CHECK_SEND(s, "q");
        CHECK_ASKED(fd, url.text, "q", id);
        const unsigned char hop[] = {WORD(5), WORD(id), 'x'}, start[] = {WORD(id)};
        for (size_t size = 0; size < 4; size++)
            raw_message(fd, url.text, start, size);
        raw_answer(fd, url.text, id + 1, "x");
        raw_answer(fd, url.text, id - 1, "x");
        raw_answer(fd, url.text, id & ~TOP_BIT, "x");
        raw_answer(fd, url.text, 0, "x");
        raw_message(fd, url.text, hop, sizeof hop);
        raw_answer(fd, url.text, id, "right");
        CHECK_RECV(s, "right");
        CHECK_EQ(nn_get_statistic(s, NN_STAT_CURRENT_CONNECTIONS), 1);
        close(fd);
        CHECK_CLOSE(s);
    }
}

/* protocols 5.1, 5.2 and 14: the words come back in the same order. */
static void an_answer_repeats_the_backtrace(void)
{
    for (int i = 0; i < 4; i++) {
        struct url url = unique_url(scheme);
        int type = i % 2 ? NN_RESPONDENT : NN_REP, peer = i % 2 ? NN_SURVEYOR : NN_REQ;
        int raw = i / 2;
        int s = open_bound(raw ? AF_SP_RAW : AF_SP, type, url.text);
        int fd = raw_join(s, url.text, peer, type);
        const unsigned char bytes[] = {WORD(0x7fd0f333), WORD(0), WORD(0x7fffffff),
                                       WORD(0x80000007), 'q'};
        for (size_t skip = 0; skip <= 12; skip += 4) {
            struct message message;
            raw_message(fd, url.text, bytes + skip, sizeof bytes - skip);
            if (raw) {
                CHECK_TAKES(s, &message, "q");
                CHECK_EQ(message.header_size, 4 + 16 - skip);
                CHECK_EQ(word_at(message.header) & TOP_BIT, 0);
                CHECK_MEM(message.header + 4, bytes + skip, 16 - skip);
                answer(s, &message, "q");
            } else {
                CHECK_RECV(s, "q");
                CHECK_SEND(s, "q");
            }
            CHECK_WIRE(fd, url.text, bytes + skip, sizeof bytes - skip);
        }
        raw_message(fd, url.text, "\x80\0\0\1", 4);
        CHECK_RECV(s, "");
        close(fd);
        CHECK_CLOSE(s);
    }
}

/* protocols 5.2, 10 and 14, "Dropped by REP/RESPONDENT (pipe stays up)" */
static void a_wrong_question_is_dropped(void)
{
    for (int i = 0; i < 4; i++) {
        struct url url = unique_url(scheme);
        int type = i % 2 ? NN_RESPONDENT : NN_REP, peer = i % 2 ? NN_SURVEYOR : NN_REQ;
        int s = open_bound(i / 2 ? AF_SP_RAW : AF_SP, type, url.text);
        int fd = raw_join(s, url.text, peer, type);
        const unsigned char deep[] = {WORD(1), WORD(2), WORD(3), WORD(4), WORD(5), WORD(6),
                                      WORD(7), WORD(8), WORD(0x80000009), 'x'};
        for (size_t size = 0; size < 4; size++)
            raw_message(fd, url.text, "\0\0\0", size);
        raw_message(fd, url.text, "\0\0\0\1", 4);
        raw_message(fd, url.text, "\0\0\0\1\0\0\0\2xyz", 11);
        raw_message(fd, url.text, "\x80\0\0", 3);
        raw_message(fd, url.text, deep, sizeof deep);
        raw_message(fd, url.text, deep + 4, sizeof deep - 4);
        CHECK_RECV(s, "x");
        raw_message(fd, url.text, deep, sizeof deep);
        raw_message(fd, url.text, "\x80\0\0\1y", 5);
        CHECK_RECV(s, "y");
        CHECK_EQ(nn_get_statistic(s, NN_STAT_CURRENT_CONNECTIONS), 1);
        CHECK_EQ(nn_get_statistic(s, NN_STAT_MESSAGES_RECEIVED), 2);
        close(fd);
        CHECK_CLOSE(s);
    }
}

/* protocols 4.5, 8.3 */
static void a_raw_asker_says_what_it_is_told(void)
{
    for (int i = 0; i < 2; i++) {
        struct url url = unique_url(scheme);
        int type = i ? NN_SURVEYOR : NN_REQ, peer = i ? NN_RESPONDENT : NN_REP;
        int s = open_bound(AF_SP_RAW, type, url.text);
        int fd = raw_join(s, url.text, peer, type);
        struct message message;
        CHECK_EQ(send_message(s, "\x01\x02\x03\x04", 4, "body", 4, 0), 4);
        CHECK_WIRE(fd, url.text, "\x01\x02\x03\x04" "body", 8);
        CHECK_EQ(send_message(s, "\x80\0", 2, "b", 1, 0), 1);
        CHECK_WIRE(fd, url.text, "\x80\0b", 3);
        CHECK_SEND(s, "nothing else");
        CHECK_WIRE(fd, url.text, "nothing else", 12);
        raw_message(fd, url.text, "abc", 3);
        raw_message(fd, url.text, "\0\0\0\5\x80\0\0\1rep", 11);
        CHECK_EQ(recv_message(s, &message, 0), 7);
        CHECK_EQ(message.header_size, 4);
        CHECK_MEM(message.header, "\0\0\0\5", 4);
        CHECK_MEM(message.body, "\x80\0\0\1rep", 7);
        close(fd);
        CHECK_CLOSE(s);
    }
}

/* protocols 8.2, 2.5: one survey, the same bytes to all; all may answer. */
static void a_survey_goes_to_all(void)
{
    struct url url = unique_url(scheme);
    int s = open_bound(AF_SP, NN_SURVEYOR, url.text), fds[3];
    uint32_t ids[3];
    for (int i = 0; i < 3; i++)
        fds[i] = raw_join(s, url.text, NN_RESPONDENT, NN_SURVEYOR);
    CHECK_SEND(s, "q");
    for (int i = 0; i < 3; i++) {
        CHECK_ASKED(fds[i], url.text, "q", ids[i]);
        CHECK_EQ(ids[i], ids[0]);
        raw_answer(fds[i], url.text, ids[i], "a");
    }
    for (int i = 0; i < 3; i++) {
        CHECK_RECV(s, "a");
        close(fds[i]);
    }
    CHECK_CLOSE(s);
}

/* protocols 4.2: "After a transport reconnect the pending request is resent as soon as the new
 * pipe attaches", with its id. */
static void a_request_is_resent_over_the_next_connection(void)
{
    struct url url = unique_url(scheme);
    int listener = raw_listen(url.text);
    int s = open_connected(AF_SP, NN_REQ, url.text);
    uint32_t first = 0, id;
    CHECK_SEND(s, "q");
    for (int i = 0; i < 4; i++) {
        int fd = raw_accept(listener, PATIENCE_MS);
        CHECK(raw_greet_as(fd, NN_REP, NN_REQ));
        CHECK_ASKED(fd, url.text, "q", id);
        first = i ? first : id;
        CHECK_EQ(id, first);
        if (i == 3) {
            raw_answer(fd, url.text, id, "a");
            CHECK_RECV(s, "a");
        } else if (i == 1) {
            raw_reset(fd);
            continue;
        }
        close(fd);
    }
    close(listener);
    CHECK_CLOSE(s);
}

/* protocols 4.4: the resend finds the only pipe still busy with the first copy, whose reply comes
 * all the same. The service may answer when it has seen the id. */
static void a_reply_may_come_before_the_request_is_written(void)
{
    enum { SIZE = 16 << 20 };
    struct url url = unique_url(scheme);
    int interval = 10;
    unsigned char start[9 + 4];
    size_t used = is_ipc(url.text) ? 9 : 8;
    char *body = calloc(1, SIZE);
    int s = open_bound(AF_SP, NN_REQ, url.text);
    int fd = raw_join(s, url.text, NN_REP, NN_REQ);
    CHECK_EQ(nn_setsockopt(s, NN_REQ, NN_REQ_RESEND_IVL, &interval, sizeof interval), 0);
    CHECK_EQ(nn_send(s, body, SIZE, 0), SIZE);
    CHECK_EQ(raw_recv(fd, start, used + 4, PATIENCE_MS), used + 4);
    nap_ms(10 * interval);
    raw_answer(fd, url.text, word_at(start + used), "early");
    CHECK_RECV(s, "early");
    close(fd);
    CHECK_CLOSE(s);
    free(body);
}

/* protocols 4.2, WAITPEER: the service is there, but takes nothing while it is busy with the first
 * request; of those made in the meantime the last one goes out. The transport may have taken a few
 * ahead (2.8), but not all of that size. */
static void only_the_last_request_waits_for_a_busy_service(void)
{
    enum { SIZE = 8 << 20, COUNT = 10 };
    struct url url = unique_url(scheme);
    unsigned char *body = calloc(1, SIZE + 4);
    int s = open_bound(AF_SP, NN_REQ, url.text), taken = 0;
    int fd = raw_join(s, url.text, NN_REP, NN_REQ);
    uint32_t first = 0, id = 0;
    long size;
    for (int i = 0; i < COUNT; i++)
        CHECK_EQ(nn_send(s, body, SIZE, 0), SIZE);
    CHECK_SEND(s, "last");
    while ((size = raw_take(fd, url.text, body, SIZE + 4, PATIENCE_MS)) == SIZE + 4) {
        first = taken++ ? first : word_at(body);
        CHECK(taken == 1 || word_at(body) > id || word_at(body) == TOP_BIT);
        id = word_at(body);
    }
    CHECK_AT_LEAST(taken, 1);
    CHECK_AT_MOST(taken, reference() ? 1 : COUNT / 2);
    CHECK_EQ(size, 8);
    CHECK_MEM(body + 4, "last", 4);
    CHECK_EQ(word_at(body), (first + COUNT) | TOP_BIT);
    raw_answer(fd, url.text, first, "old");
    raw_answer(fd, url.text, word_at(body), "new");
    CHECK_RECV(s, "new");
    CHECK_EQ(raw_recv(fd, body, 1, 20), 0);
    close(fd);
    CHECK_CLOSE(s);
    free(body);
}

/* protocols 5.3: replies to a client that does not read are accepted and dropped, each of them as a
 * whole, and the pipe works when the client reads again. */
static void answers_to_a_deaf_client_are_dropped_whole(void)
{
    enum { COUNT = 60, SIZE = 200000 };
    struct url url = unique_url(scheme);
    int s = open_bound(AF_SP, NN_REP, url.text);
    int fd = raw_join(s, url.text, NN_REQ, NN_REP);
    unsigned char *body = malloc(SIZE + 4);
    uint32_t last = 0, number = 0;
    int got = 0;
    for (uint32_t i = 1; i <= COUNT; i++) {
        raw_answer(fd, url.text, i | TOP_BIT, "q");
        CHECK_RECV(s, "q");
        memset(body, (int)i, SIZE);
        CHECK_EQ(nn_send(s, body, SIZE, 0), SIZE);
    }
    CHECK_EQ(nn_get_statistic(s, NN_STAT_MESSAGES_SENT), COUNT);
    while (raw_take(fd, url.text, body, SIZE + 4, 200) == SIZE + 4) {
        number = word_at(body) & ~TOP_BIT;
        CHECK(number > last && number <= COUNT);
        for (size_t i = 4; i < SIZE + 4; i += 997)
            if (body[i] != (unsigned char)number)
                FAIL("reply %u has a foreign byte", (unsigned)number);
        last = number;
        got++;
    }
    CHECK_AT_LEAST(got, 1);
    CHECK_AT_MOST(got, COUNT - 1);
    raw_answer(fd, url.text, 99 | TOP_BIT, "again");
    CHECK_RECV(s, "again");
    CHECK_SEND(s, "heard");
    CHECK_WIRE(fd, url.text, "\x80\0\0\x63heard", 9);
    free(body);
    close(fd);
    CHECK_CLOSE(s);
}

/* core-quirks A-45: NN_RCVMAXSIZE counts the header, and the exact limit is accepted. */
static void the_size_limit_includes_the_header(void)
{
    for (int i = 0; i < 2; i++) {
        struct url url = unique_url(scheme);
        int type = i ? NN_RESPONDENT : NN_REP, peer = i ? NN_SURVEYOR : NN_REQ;
        int s = open_socket(AF_SP, type);
        set_int(s, NN_RCVMAXSIZE, 10);
        CHECK_OK(nn_bind(s, url.text));
        int fd = raw_join(s, url.text, peer, type);
        raw_answer(fd, url.text, 1 | TOP_BIT, "sixsix");
        CHECK_RECV(s, "sixsix");
        raw_answer(fd, url.text, 1 | TOP_BIT, "sevens7");
        set_int(s, NN_RCVTIMEO, 20);
        CHECK_ERRNO(nn_recv(s, NULL, 0, 0), -1, ETIMEDOUT);
        CHECK_NE(raw_end(fd, PATIENCE_MS), RAW_OPEN);
        close(fd);
        CHECK_CLOSE(s);
    }
}

/* transports 3.2: it makes no difference how a request is cut into pieces. */
static void a_request_may_come_byte_by_byte(void)
{
    struct url url = unique_url(scheme);
    int s = open_bound(AF_SP, NN_REP, url.text);
    int fd = raw_join(s, url.text, NN_REQ, NN_REP);
    unsigned char frame[9 + 13];
    size_t used = raw_prefix(url.text, 13, frame);
    memcpy(frame + used, "\1\2\3\4\x80\0\0\1hello", 13);
    for (size_t cut = 1; cut < used + 13; cut++) {
        raw_send(fd, frame, cut);
        nap_ms(1);
        raw_send(fd, frame + cut, used + 13 - cut);
        CHECK_RECV(s, "hello");
        CHECK_SEND(s, "a");
        CHECK_WIRE(fd, url.text, "\1\2\3\4\x80\0\0\1a", 9);
    }
    close(fd);
    CHECK_CLOSE(s);
}

int main(int count, char **words)
{
    scheme = test_begin_with("protocols/wire", "tcp|ipc", 58, count, words);
    RUN(only_the_right_type_is_accepted);
    RUN(a_question_is_an_id_and_a_body);
    RUN(a_wrong_answer_is_dropped);
    RUN(an_answer_repeats_the_backtrace);
    RUN(a_wrong_question_is_dropped);
    RUN(a_raw_asker_says_what_it_is_told);
    RUN(a_survey_goes_to_all);
    RUN(a_request_is_resent_over_the_next_connection);
    RUN(a_reply_may_come_before_the_request_is_written);
    RUN(only_the_last_request_waits_for_a_busy_service);
    RUN(answers_to_a_deaf_client_are_dropped_whole);
    RUN(the_size_limit_includes_the_header);
    RUN(a_request_may_come_byte_by_byte);
    return test_end();
}
