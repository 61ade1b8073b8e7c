/* nn_poll: what it refuses, what it reports, what it touches, and what wakes it. */

#include "poll.h"

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/sockets.h"
#include "support/talk.h"
#include "support/thread.h"

#include <nanomsg/bus.h>
#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/pubsub.h>
#include <nanomsg/reqrep.h>
#include <nanomsg/survey.h>

#include <errno.h>
#include <signal.h>
#include <stdint.h>

/* ---- what it refuses ---- */

/* core 8.2 rule 1, core-quirks A-55 */
static void entries_that_ask_for_nothing_are_not_looked_at(void)
{
    int s = open_pair();
    struct nn_pollfd entries[] = {ask(-1, 0), ask(512, 0), ask(s + 1, 4), ask(2147483647, 0x70)};
    CHECK_EQ(nn_poll(entries, 4, 0), 0);
    CHECK_EQ(nn_poll(entries, 4, 20), 0);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(entries[i].revents, UNTOUCHED);
    CHECK_CLOSE(s);
    CHECK_EQ(nn_poll(entries, 4, 0), 0);
}

/* core 8.2 rule 1, abi 7: it ends at once, whatever else is ready, and touches nothing. */
static void a_bad_handle_ends_the_call(void)
{
    static const int bad[] = {-1, -5, 511, 512, 2147483647};
    int ready = open_socket(AF_SP, NN_PUB), closed = open_pair();
    CHECK_CLOSE(closed);
    for (int i = 0; i < 6; i++) {
        int s = i < 5 ? bad[i] : closed;
        struct nn_pollfd entries[] = {ask(ready, OUT), ask(s, i % 2 ? IN : OUT), ask(ready, OUT)};
        CHECK_ERRNO(nn_poll(entries, 3, -1), -1, EBADF);
        for (int j = 0; j < 3; j++)
            CHECK_EQ(entries[j].revents, UNTOUCHED);
    }
    CHECK_CLOSE(ready);
}

/* core 8.2 rule 1, core-quirks A-22 */
static void a_missing_direction_ends_the_call(void)
{
    static const struct { int type, events; } wrong[] = {
        {NN_PUB, IN}, {NN_PUSH, IN}, {NN_SUB, OUT}, {NN_PULL, OUT}, {NN_PUB, IN | OUT},
        {NN_PULL, IN | OUT},
    };
    int ready = open_socket(AF_SP, NN_BUS);
    for (int domain = AF_SP; domain <= AF_SP_RAW; domain++)
        for (int i = 0; i < 6; i++) {
            int s = nn_socket(domain, wrong[i].type);
            struct nn_pollfd entries[] = {ask(ready, OUT), ask(s, wrong[i].events)};
            CHECK_ERRNO(nn_poll(entries, 2, -1), -1, ENOPROTOOPT);
            CHECK_EQ(entries[0].revents, UNTOUCHED);
            CHECK_EQ(entries[1].revents, UNTOUCHED);
            CHECK_CLOSE(s);
        }
    CHECK_CLOSE(ready);
}

/* core 8.2 rule 1 */
static void the_first_failure_counts(void)
{
    int pub = open_socket(AF_SP, NN_PUB);
    struct nn_pollfd bad_first[] = {ask(-1, IN), ask(pub, IN)};
    struct nn_pollfd bad_last[] = {ask(pub, IN), ask(-1, IN)};
    CHECK_ERRNO(nn_poll(bad_first, 2, 0), -1, EBADF);
    CHECK_ERRNO(nn_poll(bad_last, 2, 0), -1, ENOPROTOOPT);
    CHECK_CLOSE(pub);
}

/* core 8.2, core-quirks B-23 and B-24 */
static void no_array_and_no_count_are_refused(void)
{
    int s = open_socket(AF_SP, NN_PUB);
    struct nn_pollfd entry = ask(s, OUT);
    CHECK_ERRNO(nn_poll(&entry, -1, 0), -1, EINVAL);
    CHECK_ERRNO(nn_poll(&entry, -2147483647 - 1, -1), -1, EINVAL);
    CHECK_ERRNO(nn_poll(NULL, -1, 0), -1, EINVAL);
    CHECK_ERRNO(nn_poll(NULL, 1, 0), -1, EFAULT);
    CHECK_ERRNO(nn_poll(NULL, 2147483647, -1), -1, EFAULT);
    CHECK_EQ(entry.revents, UNTOUCHED);
    CHECK_CLOSE(s);
}

/* ---- what it reports ---- */

/* core 8.2 rule 2, core-quirks A-55; also while no socket exists */
static void without_entries_it_sleeps(void)
{
    struct nn_pollfd entry = ask(-1, IN);
    for (int round = 0; round < 2; round++) {
        int s = round == 0 ? -1 : open_pair();
        int64_t start = now_us();
        CHECK_EQ(nn_poll(NULL, 0, 30), 0);
        CHECK_NOT_EARLY(start, 30);
        start = now_us();
        CHECK_EQ(nn_poll(&entry, 0, 30), 0);
        CHECK_NOT_EARLY(start, 30);
        CHECK_EQ(nn_poll(NULL, 0, 0), 0);
        if (s >= 0)
            CHECK_CLOSE(s);
    }
    CHECK_EQ(entry.revents, UNTOUCHED);
}

/* core 8.2 rules 2 and 3, core-quirks A-54 and C-12 */
static void a_timeout_is_not_early_and_touches_nothing(void)
{
    EACH_SCHEME(scheme) {
        int both[2];
        open_both(NN_PAIR, NN_PAIR, *scheme, both);
        struct nn_pollfd entries[] = {ask(both[0], IN), ask(both[1], IN), ask(-1, 0)};
        int64_t start = now_us();
        CHECK_EQ(nn_poll(entries, 3, 40), 0);
        CHECK_NOT_EARLY(start, 40);
        CHECK_EQ(nn_poll(entries, 3, 0), 0);
        for (int i = 0; i < 3; i++)
            CHECK_EQ(entries[i].revents, UNTOUCHED);
        CHECK_CLOSE(both[1], both[0]);
    }
}

/* core 8.2 rule 4, core-quirks A-26 */
static void all_entries_are_overwritten_when_one_is_ready(void)
{
    EACH_SCHEME(scheme) {
        int both[2], idle = open_pair();
        open_both(NN_PAIR, NN_PAIR, *scheme, both);
        CHECK_SEND(both[1], "x");
        CHECK_EQ(poll_one(both[0], IN, PATIENCE_MS), IN);
        struct nn_pollfd entries[] = {
            ask(idle, IN | OUT), ask(both[0], IN), ask(-1, 0), ask(both[0], IN | OUT),
            ask(both[0], OUT), ask(both[1], IN), ask(both[1], IN | OUT | 0x70), ask(both[0], 0x74),
        };
        const short expected[] = {0, IN, 0, IN | OUT, OUT, 0, OUT, 0};
        CHECK_EQ(nn_poll(entries, 8, PATIENCE_MS), 4);
        for (int i = 0; i < 8; i++)
            CHECK_EQ(entries[i].revents, expected[i]);
        CHECK_RECV(both[0], "x");
        CHECK_EQ(poll_one(both[0], IN, 0), 0);
        CHECK_CLOSE(both[1], both[0], idle);
    }
}

/* core 8.2 rule 4: each entry counts. */
static void the_same_socket_may_be_asked_often(void)
{
    EACH_SCHEME(scheme) {
        struct nn_pollfd entries[50];
        int both[2];
        open_both(NN_PAIR, NN_PAIR, *scheme, both);
        for (int i = 0; i < 50; i++)
            entries[i] = ask(both[0], IN);
        CHECK_EQ(nn_poll(entries, 50, 10), 0);
        CHECK_EQ(entries[49].revents, UNTOUCHED);
        CHECK_SEND(both[1], "x");
        /* Else it may arrive when half of them have been looked at. */
        CHECK_EQ(poll_one(both[0], IN, PATIENCE_MS), IN);
        CHECK_EQ(nn_poll(entries, 50, PATIENCE_MS), 50);
        for (int i = 0; i < 50; i++)
            CHECK_EQ(entries[i].revents, IN);
        CHECK_CLOSE(both[1], both[0]);
    }
}

/* core 8.1: on a fresh socket without endpoints */
static void fresh_sockets_are_ready_as_their_type_says(void)
{
    static const struct { int domain, type, events, ready; } fresh[] = {
        {AF_SP, NN_PAIR, IN | OUT, 0}, {AF_SP, NN_PUB, OUT, OUT}, {AF_SP, NN_SUB, IN, 0},
        {AF_SP, NN_PUSH, OUT, 0}, {AF_SP, NN_PULL, IN, 0}, {AF_SP, NN_REQ, IN | OUT, OUT},
        {AF_SP, NN_REP, IN | OUT, 0}, {AF_SP, NN_SURVEYOR, IN | OUT, IN | OUT},
        {AF_SP, NN_RESPONDENT, IN | OUT, 0}, {AF_SP, NN_BUS, IN | OUT, OUT},
        {AF_SP_RAW, NN_PAIR, IN | OUT, 0}, {AF_SP_RAW, NN_PUB, OUT, OUT},
        {AF_SP_RAW, NN_SUB, IN, 0}, {AF_SP_RAW, NN_PUSH, OUT, 0}, {AF_SP_RAW, NN_PULL, IN, 0},
        {AF_SP_RAW, NN_REQ, IN | OUT, 0}, {AF_SP_RAW, NN_REP, IN | OUT, OUT},
        {AF_SP_RAW, NN_SURVEYOR, IN | OUT, OUT}, {AF_SP_RAW, NN_RESPONDENT, IN | OUT, OUT},
        {AF_SP_RAW, NN_BUS, IN | OUT, OUT},
    };
    for (size_t i = 0; i < COUNT_OF(fresh); i++) {
        int s = nn_socket(fresh[i].domain, fresh[i].type);
        CHECK_EQ(poll_one(s, fresh[i].events, 0), fresh[i].ready);
        CHECK_CLOSE(s);
    }
}

/* core 8.1, core-quirks A-53 */
static void a_service_can_send_between_a_question_and_its_answer(void)
{
    static const int types[][2] = {{NN_REP, NN_REQ}, {NN_RESPONDENT, NN_SURVEYOR}};
    EACH_SCHEME(scheme)
        for (int i = 0; i < 2; i++) {
            int both[2];
            open_both(types[i][0], types[i][1], *scheme, both);
            CHECK_EQ(poll_one(both[0], IN | OUT, 0), 0);
            CHECK_SEND(both[1], "question");
            CHECK_EQ(poll_one(both[0], IN | OUT, PATIENCE_MS), IN);
            CHECK_RECV(both[0], "question");
            CHECK_EQ(poll_one(both[0], IN | OUT, 0), OUT);
            CHECK_SEND(both[0], "answer");
            CHECK_EQ(poll_one(both[0], IN | OUT, 0), 0);
            CHECK_EQ(poll_one(both[1], IN, PATIENCE_MS), IN);
            CHECK_RECV(both[1], "answer");
            CHECK_EQ(poll_one(both[1], IN | OUT, 0), OUT);
            CHECK_CLOSE(both[1], both[0]);
        }
}

/* core 8.1, core-quirks A-51: pollers wake when a survey expires. */
static void the_end_of_a_survey_wakes(void)
{
    int s = open_socket(AF_SP, NN_SURVEYOR), deadline = 50, other = open_pair();
    CHECK_EQ(nn_setsockopt(s, NN_SURVEYOR, NN_SURVEYOR_DEADLINE, &deadline, sizeof deadline), 0);
    int64_t start = now_us();
    CHECK_SEND(s, "question");
    CHECK_EQ(poll_one(s, IN, 0), 0);
    struct nn_pollfd entries[] = {ask(other, IN), ask(s, IN)};
    CHECK_EQ(nn_poll(entries, 2, -1), 1);
    CHECK_NOT_EARLY(start, 50);
    CHECK_EQ(entries[0].revents, 0);
    CHECK_EQ(entries[1].revents, IN);
    CHECK_ERRNO(nn_recv(s, NULL, 0, 0), -1, ETIMEDOUT);
    CHECK_ERRNO(nn_recv(s, NULL, 0, 0), -1, EFSM);
    CHECK_EQ(poll_one(s, IN, 0), IN);
    CHECK_CLOSE(s, other);
}

/* ---- what wakes it ---- */

struct poller {
    struct nn_pollfd entries[3];
    int count;
    int timeout;
    int result;
    int error;
};

static void *poll_them(void *argument)
{
    struct poller *poller = argument;
    errno = 0;
    poller->result = nn_poll(poller->entries, poller->count, poller->timeout);
    poller->error = errno;
    return NULL;
}

/* core 8.2 rules 2 and 4: beside a socket that stays quiet */
static void a_message_wakes(void)
{
    EACH_SCHEME(scheme) {
        int both[2], idle = open_pair();
        open_both(NN_PAIR, NN_PAIR, *scheme, both);
        for (int round = 0; round < 20; round++) {
            struct poller poller = {{ask(idle, IN | OUT), ask(both[0], IN)}, 2, -1, 0, 0};
            struct thread thread;
            thread_start(&thread, poll_them, &poller);
            if (round < 10)
                CHECK(thread_asleep(&thread));
            CHECK_SEND(both[1], "x");
            thread_join(&thread);
            CHECK_EQ(poller.result, 1);
            CHECK_EQ(poller.entries[0].revents, 0);
            CHECK_EQ(poller.entries[1].revents, IN);
            CHECK_RECV(both[0], "x");
        }
        CHECK_CLOSE(both[1], both[0], idle);
    }
}

/* core 8.1: sendable as soon as the peer can take a message */
static void room_wakes(void)
{
    EACH_SCHEME(scheme) {
        static char body[100000];
        int both[2], sent = 0, received = 0;
        open_both(NN_PULL, NN_PUSH, *scheme, both);
        CHECK_EQ(poll_one(both[1], OUT, PATIENCE_MS), OUT);
        /* Full is what stays full for a while: over streams the bytes move on by themselves. */
        for (;;) {
            if (wait_until(nn_send(both[1], body, sizeof body, NN_DONTWAIT) >= 0, 100))
                sent++;
            else if (poll_one(both[1], OUT, 0) == 0)
                break;
        }
        struct poller poller = {{ask(both[1], OUT)}, 1, -1, 0, 0};
        struct thread thread;
        thread_start(&thread, poll_them, &poller);
        thread_asleep(&thread);
        while (!thread_done(&thread) && received < sent) {
            CHECK_EQ(nn_recv(both[0], NULL, 0, 0), sizeof body);
            received++;
            wait_until(thread_done(&thread), 20);
        }
        thread_join(&thread);
        CHECK_EQ(poller.result, 1);
        CHECK_EQ(poller.entries[0].revents, OUT);
        CHECK_EQ(nn_send(both[1], body, sizeof body, NN_DONTWAIT), sizeof body);
        for (sent++; received < sent; received++)
            CHECK_EQ(nn_recv(both[0], NULL, 0, 0), sizeof body);
        CHECK_CLOSE(both[1], both[0]);
    }
}

/* core 8.1: a PUSH and a PAIR become sendable when a peer comes. */
static void a_peer_wakes(void)
{
    EACH_SCHEME(scheme)
        for (int dials = 0; dials < 2; dials++) {
            struct url url = unique_url(*scheme);
            int s = open_socket(AF_SP, NN_PUSH), peer = open_socket(AF_SP, NN_PULL);
            struct poller poller = {{ask(s, OUT)}, 1, -1, 0, 0};
            struct thread thread;
            thread_start(&thread, poll_them, &poller);
            CHECK(thread_asleep(&thread));
            CHECK_OK(nn_bind(dials ? peer : s, url.text));
            CHECK_OK(nn_connect(dials ? s : peer, url.text));
            thread_join(&thread);
            CHECK_EQ(poller.result, 1);
            CHECK_EQ(poller.entries[0].revents, OUT);
            CHECK_CLOSE(peer, s);
        }
}

/* core 7.3 and 8.1: what has left is no longer ready, and its leaving is no news. */
static void a_peer_that_leaves_takes_the_room_along(void)
{
    EACH_SCHEME(scheme) {
        int both[2];
        open_both(NN_PAIR, NN_PAIR, *scheme, both);
        CHECK_EQ(poll_one(both[0], IN | OUT, PATIENCE_MS), OUT);
        struct poller poller = {{ask(both[0], IN)}, 1, 150, 0, 0};
        struct thread thread;
        thread_start(&thread, poll_them, &poller);
        CHECK(thread_asleep(&thread));
        CHECK_CLOSE(both[1]);
        thread_join(&thread);
        CHECK_EQ(poller.result, 0);
        CHECK_EQ(poller.entries[0].revents, UNTOUCHED);
        CHECK(wait_until(poll_one(both[0], OUT, 0) == 0, PATIENCE_MS));
        CHECK_CLOSE(both[0]);
    }
}

/* core 8.2, core-quirks C-6; reliability P3 asks for EBADF, the reference mostly says 0. */
static void a_close_wakes(void)
{
    EACH_SCHEME(scheme)
        for (int round = 0; round < 12; round++) {
            int both[2], idle = open_pair();
            open_both(NN_PAIR, NN_PAIR, *scheme, both);
            int events = round % 3 == 0 ? IN : round % 3 == 1 ? OUT : IN | OUT;
            int closed = round % 2 ? both[0] : idle;
            /* Nothing of it is ready: the one with a peer is asked for messages only. */
            events = closed == idle ? events : IN;
            struct poller poller = {{ask(both[0], IN), ask(closed, events), ask(idle, IN)},
                                    3, -1, 0, 0};
            struct thread thread;
            thread_start(&thread, poll_them, &poller);
            CHECK(thread_asleep(&thread));
            int64_t start = now_ms();
            CHECK_CLOSE(closed);
            thread_join(&thread);
            CHECK_AT_MOST(now_ms() - start, 2000);
            if (!reference()) {
                CHECK_EQ(poller.result, -1);
                CHECK_EQ(poller.error, EBADF);
                CHECK_EQ(poller.entries[1].revents, UNTOUCHED);
            }
            if (closed == idle)
                CHECK_CLOSE(both[0]);
            else
                CHECK_CLOSE(idle);
            CHECK_CLOSE(both[1]);
        }
}

static int signals_seen;

static void on_signal(int number)
{
    (void)number;
    signals_seen++;
}

/* core 4 and 8.2 rule 3, core-quirks: even with SA_RESTART */
static void a_signal_interrupts(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
    EACH_SCHEME(scheme)
        for (int count = 0; count <= 2; count++)
            for (int timeout = -1; timeout <= PATIENCE_MS; timeout += PATIENCE_MS + 1) {
                int both[2];
                open_both(NN_PAIR, NN_PAIR, *scheme, both);
                struct poller poller = {{ask(both[0], IN), ask(both[1], IN)}, count, timeout, 0, 0};
                struct thread thread;
                thread_start(&thread, poll_them, &poller);
                CHECK(thread_asleep(&thread));
                pthread_kill(thread.id, SIGUSR1);
                thread_join(&thread);
                CHECK_EQ(poller.result, -1);
                CHECK_EQ(poller.error, EINTR);
                CHECK_EQ(poller.entries[0].revents, UNTOUCHED);
                CHECK_EQ(poller.entries[1].revents, UNTOUCHED);
                /* The socket is as good as before. */
                CHECK_SEND(both[1], "x");
                CHECK_EQ(poll_one(both[0], IN, PATIENCE_MS), IN);
                CHECK_RECV(both[0], "x");
                CHECK_CLOSE(both[1], both[0]);
            }
    signal(SIGUSR1, SIG_DFL);
    CHECK_EQ(signals_seen, 18);
}

/* ---- several threads, many sockets ---- */

/* ---- polling while everything comes and goes ---- */

int main(void)
{
    test_begin("api/poll", 110);
    RUN(entries_that_ask_for_nothing_are_not_looked_at);
    RUN(a_bad_handle_ends_the_call);
    RUN(a_missing_direction_ends_the_call);
    RUN(the_first_failure_counts);
    RUN(no_array_and_no_count_are_refused);
    RUN(without_entries_it_sleeps);
    RUN(a_timeout_is_not_early_and_touches_nothing);
    RUN(all_entries_are_overwritten_when_one_is_ready);
    RUN(the_same_socket_may_be_asked_often);
    RUN(fresh_sockets_are_ready_as_their_type_says);
    RUN(a_service_can_send_between_a_question_and_its_answer);
    RUN(the_end_of_a_survey_wakes);
    RUN(a_message_wakes);
    RUN(room_wakes);
    RUN(a_peer_wakes);
    RUN(a_peer_that_leaves_takes_the_room_along);
    RUN(a_close_wakes);
    RUN(a_signal_interrupts);
    return test_end();
}
