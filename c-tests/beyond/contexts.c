/* Contexts: further handles on one socket, each with an exchange of its own (spmsg_context). */

#include "beyond.h"

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/process.h"
#include "support/readiness.h"
#include "support/resources.h"
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
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { FEW = 8, MANY = 64 };

static int open_context(int s)
{
    int context = spmsg_context(s);
    CHECK_AT_LEAST(context, 0);
    return context;
}

static void open_contexts(int s, int *contexts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        contexts[i] = open_context(s);
}

static const char *numbered(const char *word, size_t number)
{
    static char text[64];
    snprintf(text, sizeof text, "%s %zu", word, number);
    return text;
}

/* Requests and answers cross, and each answer reaches whoever asked, and only him. */
static void each_answer_reaches_whoever_asked(void)
{
    for (size_t i = 0; i < 4; i++) {
        int both[2], asking[MANY], serving[MANY];
        open_both(NN_REP, NN_REQ, BEYOND_SCHEMES[i], both);
        open_contexts(both[1], asking, MANY);
        open_contexts(both[0], serving, MANY);
        for (size_t k = 0; k < MANY; k++)
            CHECK_SEND(asking[k], numbered("q", k));
        for (size_t k = 0; k < MANY; k++)
            CHECK_RECV(serving[k], numbered("q", k));
        for (size_t k = MANY; k-- > 0;)
            CHECK_SEND(serving[k], numbered("a", k));
        for (size_t k = 0; k < MANY; k++)
            CHECK_RECV(asking[k], numbered("a", k));
        for (size_t k = 0; k < MANY; k++)
            CHECK_ERRNO(nn_recv(asking[k], NULL, 0, NN_DONTWAIT), -1, EFSM);
        /* The sockets themselves go on as if there were no contexts. */
        CHECK_SEND(both[1], "own");
        CHECK_RECV(both[0], "own");
        CHECK_SEND(both[0], "re own");
        CHECK_RECV(both[1], "re own");
        CHECK_EQ(nn_get_statistic(both[1], NN_STAT_MESSAGES_SENT), MANY + 1);
        CHECK_EQ(nn_get_statistic(asking[3], NN_STAT_MESSAGES_SENT), 1);
        CHECK_EQ(nn_get_statistic(asking[3], NN_STAT_BYTES_RECEIVED), 3);
        CHECK_CLOSE(both[0], both[1]);
    }
}

/* A context that asks again, or is closed, has no use for the answer; others have. */
static void a_late_answer_reaches_nobody(void)
{
    for (size_t i = 0; i < 4; i++) {
        int both[2], asking[3], serving[4];
        open_both(NN_REP, NN_REQ, BEYOND_SCHEMES[i], both);
        open_contexts(both[1], asking, 3);
        open_contexts(both[0], serving, 4);
        CHECK_SEND(asking[0], "old");
        CHECK_RECV(serving[0], "old");
        CHECK_SEND(asking[1], "closed");
        CHECK_RECV(serving[1], "closed");
        CHECK_SEND(asking[2], "stays");
        CHECK_RECV(serving[2], "stays");
        CHECK_SEND(asking[0], "new");
        CHECK_RECV(serving[3], "new");
        CHECK_CLOSE(asking[1]);
        CHECK_ERRNO(nn_recv(asking[1], NULL, 0, 0), -1, EBADF);
        for (size_t k = 0; k < 4; k++)
            CHECK_SEND(serving[k], numbered("a", k));
        CHECK_RECV(asking[0], "a 3");
        CHECK_RECV(asking[2], "a 2");
        CHECK_ERRNO(nn_recv(asking[0], NULL, 0, NN_DONTWAIT), -1, EFSM);
        CHECK_CLOSE(both[0], both[1]);
    }
}

/* What a context of a REP has under way goes with it, and the socket serves on. */
static void a_worker_that_is_closed_gives_its_request_up(void)
{
    for (size_t i = 0; i < 4; i++) {
        int both[2], serving[2], interval = 100;
        open_both(NN_REP, NN_REQ, BEYOND_SCHEMES[i], both);
        CHECK_EQ(nn_setsockopt(both[1], NN_REQ, NN_REQ_RESEND_IVL, &interval, sizeof interval), 0);
        open_contexts(both[0], serving, 2);
        CHECK_SEND(both[1], "q");
        CHECK_RECV(serving[0], "q");
        CHECK_CLOSE(serving[0]);
        /* Only the resent request brings it to the other one. */
        CHECK_RECV(serving[1], "q");
        CHECK_SEND(serving[1], "a");
        CHECK_RECV(both[1], "a");
        CHECK_CLOSE(both[0], both[1]);
    }
}

struct worker {
    struct thread thread;
    int s;
    int count;
};

static void *serve(void *argument)
{
    struct worker *worker = argument;
    char text[64];
    int size;
    while ((size = nn_recv(worker->s, text, sizeof text, 0)) >= 0) {
        CHECK_EQ(nn_send(worker->s, text, (size_t)size, 0), size);
        worker->count++;
    }
    CHECK_EQ(nn_errno(), EBADF);
    return NULL;
}

static void *ask(void *argument)
{
    struct worker *worker = argument;
    for (int i = 0; i < 200; i++) {
        char text[64], reply[64];
        snprintf(text, sizeof text, "%d of %d", i, worker->s);
        CHECK_EQ(nn_send(worker->s, text, strlen(text) + 1, 0), (int)strlen(text) + 1);
        CHECK_EQ(nn_recv(worker->s, reply, sizeof reply, 0), (int)strlen(text) + 1);
        CHECK_STR(reply, text);
    }
    return NULL;
}

static void threads_ask_and_serve_at_once(void)
{
    for (size_t i = 0; i < 4; i++) {
        struct worker asking[FEW], serving[FEW];
        int both[2], total = 0;
        open_both(NN_REP, NN_REQ, BEYOND_SCHEMES[i], both);
        for (size_t k = 0; k < FEW; k++) {
            serving[k] = (struct worker){.s = open_context(both[0])};
            asking[k] = (struct worker){.s = open_context(both[1])};
            set_int(serving[k].s, NN_RCVTIMEO, -1);
            thread_start(&serving[k].thread, serve, &serving[k]);
            thread_start(&asking[k].thread, ask, &asking[k]);
        }
        for (size_t k = 0; k < FEW; k++)
            thread_join(&asking[k].thread);
        /* The end of the socket is the end of its contexts. */
        CHECK_CLOSE(both[0]);
        for (size_t k = 0; k < FEW; k++) {
            thread_join(&serving[k].thread);
            total += serving[k].count;
            CHECK_ERRNO(nn_close(serving[k].s), -1, EBADF);
        }
        CHECK_EQ(total, 200 * FEW);
        CHECK_CLOSE(both[1]);
    }
}

static void *receive(void *argument)
{
    struct worker *worker = argument;
    CHECK_ERRNO(nn_recv(worker->s, NULL, 0, 0), -1, EBADF);
    return NULL;
}

/* Whether the socket is closed or the context, who waits on it learns of it at once. */
static void closing_wakes_who_waits(void)
{
    for (size_t i = 0; i < 8; i++) {
        struct worker waiting[FEW];
        int both[2], linger = PATIENCE_MS;
        open_both(NN_REP, NN_REQ, BEYOND_SCHEMES[i / 2], both);
        set_int(both[0], NN_LINGER, linger);
        for (size_t k = 0; k < FEW; k++) {
            waiting[k] = (struct worker){.s = open_context(both[0])};
            set_int(waiting[k].s, NN_RCVTIMEO, -1);
            thread_start(&waiting[k].thread, receive, &waiting[k]);
        }
        for (size_t k = 0; k < FEW; k++)
            CHECK(thread_asleep(&waiting[k].thread));
        if (i % 2 == 0) {
            CHECK_CLOSE(both[0]);
        } else {
            for (size_t k = 0; k < FEW; k++)
                CHECK_CLOSE(waiting[k].s);
        }
        for (size_t k = 0; k < FEW; k++)
            thread_join(&waiting[k].thread);
        if (i % 2 == 1)
            CHECK_CLOSE(both[0]);
        CHECK_CLOSE(both[1]);
    }
}

static void *take_one(void *argument)
{
    struct worker *worker = argument;
    char text[64];
    worker->count = nn_recv(worker->s, text, sizeof text, 0);
    return NULL;
}

static void start_taking(struct worker *workers, size_t count, int s)
{
    for (size_t k = 0; k < count; k++) {
        workers[k] = (struct worker){.s = open_context(s)};
        set_int(workers[k].s, NN_RCVTIMEO, -1);
        thread_start(&workers[k].thread, take_one, &workers[k]);
        CHECK(thread_asleep(&workers[k].thread));
    }
}

/* The one that reads for all of them goes first, then one that slept behind it. */
static void who_is_cancelled_leaves_the_others_to_it(void)
{
#ifdef __SANITIZE_ADDRESS__
    /* As in robustness/cancel. */
    test_skip("the sanitizer cannot follow who leaves frames by force");
    return;
#endif
    for (size_t i = 0; i < 4; i++) {
        struct worker workers[FEW];
        int both[2], asking[FEW];
        open_both(NN_REP, NN_REQ, BEYOND_SCHEMES[i], both);
        open_contexts(both[1], asking, FEW);
        start_taking(workers, FEW, both[0]);
        for (size_t k = 0; k < FEW; k += 4) {
            REQUIRE(pthread_cancel(workers[k].thread.id) == 0);
            CHECK(thread_join(&workers[k].thread) == PTHREAD_CANCELED);
        }
        for (size_t k = 0; k < FEW - 2; k++)
            CHECK_SEND(asking[k], "q");
        for (size_t k = 0; k < FEW; k++) {
            if (k % 4 == 0)
                continue;
            CHECK(thread_join(&workers[k].thread) == NULL);
            CHECK_EQ(workers[k].count, 1);
            CHECK_SEND(workers[k].s, "a");
        }
        for (size_t k = 0; k < FEW - 2; k++)
            CHECK_RECV(asking[k], "a");
        /* A context outlives the thread that waited on it, and is closed without waiting for it. */
        CHECK_SEND(asking[0], "q");
        CHECK_RECV(workers[0].s, "q");
        int64_t start = now_ms();
        for (size_t k = 0; k < FEW; k++)
            CHECK_CLOSE(workers[k].s);
        CHECK_AT_MOST(now_ms() - start, 900);
        CHECK_CLOSE(both[0], both[1]);
    }
}

static void *send_when_cancelled(void *argument)
{
    struct worker *worker = argument;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    while (!__atomic_load_n(&worker->count, __ATOMIC_ACQUIRE))
        nap_ms(1);
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
    nn_send(worker->s, "late", 4, 0);
    return NULL;
}

/* Sending is where a thread may be cancelled, too: no request is then under way. */
static void who_was_cancelled_before_sends_nothing(void)
{
#ifdef __SANITIZE_ADDRESS__
    test_skip("the sanitizer cannot follow who leaves frames by force");
    return;
#endif
    for (size_t i = 0; i < 4; i++) {
        int both[2];
        open_both(NN_REP, NN_REQ, BEYOND_SCHEMES[i], both);
        struct worker worker = {.s = open_context(both[1])};
        thread_start(&worker.thread, send_when_cancelled, &worker);
        REQUIRE(pthread_cancel(worker.thread.id) == 0);
        __atomic_store_n(&worker.count, 1, __ATOMIC_RELEASE);
        CHECK(thread_join(&worker.thread) == PTHREAD_CANCELED);
        CHECK_ERRNO(nn_recv(worker.s, NULL, 0, NN_DONTWAIT), -1, EFSM);
        CHECK_SEND(worker.s, "q");
        CHECK_RECV(both[0], "q");
        CHECK_CLOSE(both[0], both[1]);
    }
}

static int exit_beside_waiters(void *argument)
{
    const char *scheme = argument;
    static struct worker serving[FEW], asking[FEW];
    int both[2];
    open_both(NN_REP, NN_REQ, scheme, both);
    start_taking(serving, FEW, both[0]);
    /* They wait for replies that never come. */
    for (size_t k = 0; k < FEW; k++) {
        asking[k] = (struct worker){.s = open_context(both[1])};
        set_int(asking[k].s, NN_RCVTIMEO, -1);
        CHECK_SEND(asking[k].s, "q");
        thread_start(&asking[k].thread, take_one, &asking[k]);
        CHECK(thread_asleep(&asking[k].thread));
    }
    for (size_t k = 0; k < FEW; k++)
        thread_join(&serving[k].thread);
    start_taking(serving, FEW, both[0]);
    return 0;
}

static void a_process_may_exit_while_contexts_wait(void)
{
    /* The file of ipc would be left behind. */
    static char *const schemes[] = {"inproc", "tcp", "ws"};
    for (size_t i = 0; i < COUNT_OF(schemes); i++) {
        struct child child;
        child_start(&child, exit_beside_waiters, schemes[i]);
        CHECK_EQ(child_wait(&child, PATIENCE_MS), 0);
    }
}

/* What calls do with chunks, pieces and control data they do on contexts. */
static void messages_have_every_form(void)
{
    for (size_t i = 0; i < 4; i++) {
        int both[2];
        open_both(NN_REP, NN_REQ, BEYOND_SCHEMES[i], both);
        int asking = open_context(both[1]), serving = open_context(both[0]);
        char *chunk = nn_allocmsg(100000, 0), front[4], rest[200000];
        void *control = NULL;
        REQUIRE(chunk != NULL);
        memset(chunk, 'q', 100000);
        CHECK_EQ(nn_send(asking, &chunk, NN_MSG, 0), 100000);
        struct nn_iovec pieces[2] = {{front, sizeof front}, {rest, sizeof rest}};
        struct nn_msghdr header = {pieces, 2, &control, NN_MSG};
        CHECK_EQ(nn_recvmsg(serving, &header, 0), 100000);
        CHECK(memcmp(front, "qqqq", 4) == 0 && rest[99995] == 'q');
        CHECK(control != NULL);
        CHECK_EQ(nn_freemsg(control), 0);
        pieces[1].iov_len = 50000;
        header = (struct nn_msghdr){pieces, 2, NULL, 0};
        CHECK_EQ(nn_sendmsg(serving, &header, 0), 50004);
        CHECK_EQ(nn_recv(asking, &chunk, NN_MSG, 0), 50004);
        CHECK(chunk[0] == 'q' && chunk[50003] == 'q');
        CHECK_EQ(nn_freemsg(chunk), 0);
        /* Devices join raw sockets, which have no contexts. */
        int raw = open_socket(AF_SP_RAW, NN_REP);
        CHECK_ERRNO(nn_device(asking, raw), -1, EINVAL);
        CHECK_ERRNO(nn_device(serving, -1), -1, EINVAL);
        CHECK_CLOSE(raw, both[0], both[1]);
    }
}

static void descriptors_and_polls_tell_them_apart(void)
{
    for (size_t i = 0; i < 4; i++) {
        int both[2], asking[2], serving[2];
        open_both(NN_REP, NN_REQ, BEYOND_SCHEMES[i], both);
        open_contexts(both[1], asking, 2);
        open_contexts(both[0], serving, 2);
        CHECK(!CAN_RECV(serving[0]) && !CAN_RECV(serving[1]) && !CAN_RECV(both[0]));
        CHECK(!CAN_SEND(serving[0]) && CAN_SEND(asking[0]));
        CHECK_SEND(asking[0], "q");
        /* Any of them may take it, until one has. */
        CHECK(signals(serving[0], NN_RCVFD, PATIENCE_MS));
        CHECK(signals(serving[1], NN_RCVFD, PATIENCE_MS));
        CHECK(signals(both[0], NN_RCVFD, PATIENCE_MS));
        CHECK_RECV(serving[1], "q");
        CHECK(!CAN_RECV(serving[0]) && !CAN_RECV(serving[1]) && !CAN_RECV(both[0]));
        CHECK(CAN_SEND(serving[1]) && !CAN_SEND(serving[0]));
        CHECK(!CAN_RECV(asking[0]) && !CAN_RECV(asking[1]));
        CHECK_SEND(serving[1], "a");
        struct nn_pollfd fds[] = {
            {asking[1], NN_POLLIN, 0}, {asking[0], NN_POLLIN, 0}, {both[1], NN_POLLIN, 0}};
        for (int round = 0; round < 6; round++) {
            CHECK_EQ(nn_poll(fds, 3, PATIENCE_MS), 1);
            CHECK(fds[0].revents == 0 && fds[1].revents == NN_POLLIN && fds[2].revents == 0);
        }
        CHECK(signals(asking[0], NN_RCVFD, PATIENCE_MS));
        CHECK_RECV(asking[0], "a");
        CHECK(!CAN_RECV(asking[0]));
        CHECK_EQ(nn_poll(fds, 3, 0), 0);
        CHECK_CLOSE(both[0], both[1]);
    }
}

struct poller {
    struct thread thread;
    int s;
    int result;
};

static void *poll_one(void *argument)
{
    struct poller *poller = argument;
    struct nn_pollfd fd = {poller->s, NN_POLLIN, 0};
    poller->result = nn_poll(&fd, 1, PATIENCE_MS);
    if (poller->result < 0)
        poller->result = -nn_errno();
    return NULL;
}

static void a_poll_is_woken(void)
{
    for (size_t i = 0; i < 4; i++) {
        int both[2], asking, serving;
        struct poller poller;
        open_both(NN_REP, NN_REQ, BEYOND_SCHEMES[i], both);
        asking = open_context(both[1]);
        serving = open_context(both[0]);
        poller = (struct poller){.s = serving};
        thread_start(&poller.thread, poll_one, &poller);
        CHECK(thread_asleep(&poller.thread));
        CHECK_SEND(asking, "q");
        thread_join(&poller.thread);
        CHECK_EQ(poller.result, 1);
        poller = (struct poller){.s = asking};
        thread_start(&poller.thread, poll_one, &poller);
        CHECK(thread_asleep(&poller.thread));
        CHECK_RECV(serving, "q");
        CHECK_SEND(serving, "a");
        thread_join(&poller.thread);
        CHECK_EQ(poller.result, 1);
        CHECK_RECV(asking, "a");
        poller = (struct poller){.s = asking};
        thread_start(&poller.thread, poll_one, &poller);
        CHECK(thread_asleep(&poller.thread));
        CHECK_CLOSE(both[1]);
        thread_join(&poller.thread);
        CHECK_EQ(poller.result, -EBADF);
        CHECK_CLOSE(both[0]);
    }
}

/* Nobody calls: the request goes out when a service comes, and again when that is gone. */
static void requests_wait_for_a_service_and_go_to_the_next(void)
{
    for (size_t i = 0; i < 4; i++) {
        struct url url = unique_url(BEYOND_SCHEMES[i]);
        int req = open_socket(AF_SP, NN_REQ), asking[FEW], rep;
        open_contexts(req, asking, FEW);
        for (size_t k = 0; k < FEW; k++)
            CHECK_SEND(asking[k], numbered("q", k));
        CHECK_OK(nn_connect(req, url.text));
        rep = open_bound(AF_SP, NN_REP, url.text);
        for (size_t k = 0; k < FEW; k++)
            CHECK_RECV(rep, numbered("q", k));
        CHECK_CLOSE(rep);
        rep = open_bound(AF_SP, NN_REP, url.text);
        for (size_t k = 0; k < FEW; k++) {
            char text[64];
            int size = nn_recv(rep, text, sizeof text, 0);
            CHECK_AT_LEAST(size, 1);
            CHECK_EQ(nn_send(rep, text, (size_t)size, 0), size);
        }
        for (size_t k = 0; k < FEW; k++)
            CHECK_RECV(asking[k], numbered("q", k));
        CHECK_CLOSE(rep, req);
    }
}

/* Several surveys at once: each has its own responses, its own deadline and its own end. */
static void surveys_are_apart(void)
{
    for (size_t i = 0; i < 4; i++) {
        int both[2], asking[FEW], answering[FEW], deadline = 50;
        open_both(NN_RESPONDENT, NN_SURVEYOR, BEYOND_SCHEMES[i], both);
        open_contexts(both[1], asking, FEW);
        open_contexts(both[0], answering, FEW);
        for (size_t k = 0; k < FEW; k++)
            CHECK_SEND(asking[k], numbered("q", k));
        for (size_t k = 0; k < FEW; k++)
            CHECK_RECV(answering[k], numbered("q", k));
        CHECK(!CAN_RECV(asking[3]));
        for (size_t k = FEW; k-- > 0;)
            CHECK_SEND(answering[k], numbered("a", k));
        CHECK(signals(asking[3], NN_RCVFD, PATIENCE_MS));
        for (size_t k = 0; k < FEW; k++)
            CHECK_RECV(asking[k], numbered("a", k));
        CHECK(!CAN_RECV(asking[3]));
        CHECK_EQ(nn_setsockopt(asking[0], NN_SURVEYOR, NN_SURVEYOR_DEADLINE, &deadline,
                               sizeof deadline), 0);
        CHECK_EQ(get_int(asking[0], NN_SURVEYOR, NN_SURVEYOR_DEADLINE), deadline);
        CHECK_NE(get_int(asking[1], NN_SURVEYOR, NN_SURVEYOR_DEADLINE), deadline);
        int64_t began = now_us();
        CHECK_SEND(asking[0], "short");
        CHECK_ERRNO(nn_recv(asking[0], NULL, 0, 0), -1, ETIMEDOUT);
        CHECK_NOT_EARLY(began, deadline);
        CHECK_ERRNO(nn_recv(asking[0], NULL, 0, 0), -1, EFSM);
        /* Nobody calls, and its end is told all the same. */
        CHECK_SEND(asking[0], "short");
        CHECK(!CAN_RECV(asking[0]));
        CHECK(signals(asking[0], NN_RCVFD, PATIENCE_MS));
        CHECK_AGAIN(asking[1]);
        CHECK_CLOSE(both[0], both[1]);
    }
}

/* Each hears what it subscribed to, whatever others do. */
static void subscriptions_are_apart(void)
{
    for (size_t i = 0; i < 4; i++) {
        int both[2], hearing[3];
        open_both(NN_SUB, NN_PUB, BEYOND_SCHEMES[i], both);
        open_contexts(both[0], hearing, 3);
        CHECK_EQ(nn_setsockopt(hearing[0], NN_SUB, NN_SUB_SUBSCRIBE, "a", 1), 0);
        CHECK_EQ(nn_setsockopt(hearing[1], NN_SUB, NN_SUB_SUBSCRIBE, "", 0), 0);
        subscribe(both[0], "b");
        CHECK(!CAN_RECV(hearing[0]) && !CAN_RECV(hearing[2]));
        CHECK_SEND(both[1], "a1");
        CHECK_SEND(both[1], "b1");
        CHECK_SEND(both[1], "a2");
        CHECK_RECV(hearing[1], "a1");
        CHECK_RECV(hearing[1], "b1");
        CHECK_RECV(hearing[1], "a2");
        CHECK(CAN_RECV(hearing[0]) && !CAN_RECV(hearing[1]) && !CAN_RECV(hearing[2]));
        CHECK_RECV(hearing[0], "a1");
        CHECK_RECV(hearing[0], "a2");
        CHECK_RECV(both[0], "b1");
        CHECK_AGAIN(hearing[0]);
        CHECK_AGAIN(hearing[2]);
        CHECK_AGAIN(both[0]);
        CHECK(!CAN_RECV(hearing[0]));
        CHECK_EQ(nn_setsockopt(hearing[0], NN_SUB, NN_SUB_UNSUBSCRIBE, "a", 1), 0);
        CHECK_ERRNO(nn_setsockopt(hearing[1], NN_SUB, NN_SUB_UNSUBSCRIBE, "a", 1), -1, EINVAL);
        CHECK_ERRNO(nn_send(hearing[0], "x", 1, 0), -1, ENOTSUP);
        CHECK_SEND(both[1], "a3");
        CHECK_RECV(hearing[1], "a3");
        CHECK_AGAIN(hearing[0]);
        CHECK_CLOSE(both[0], both[1]);
    }
}

/* One that does not read costs only itself: others go on, and its memory has a bound. */
static void who_does_not_read_costs_only_itself(void)
{
    int both[2], hearing[2];
    open_both(NN_SUB, NN_PUB, "inproc", both);
    set_int(both[0], NN_RCVBUF, 10000);
    open_contexts(both[0], hearing, 2);
    for (size_t k = 0; k < 2; k++)
        CHECK_EQ(nn_setsockopt(hearing[k], NN_SUB, NN_SUB_SUBSCRIBE, "", 0), 0);
    for (size_t k = 0; k < 1000; k++) {
        CHECK_SEND(both[1], numbered("m", k));
        CHECK_RECV(hearing[1], numbered("m", k));
    }
    CHECK_RECV(hearing[0], "m 0");
    CHECK_RECV(hearing[0], "m 1");
    CHECK_AT_LEAST(nn_get_statistic(both[0], SPMSG_STAT_MESSAGES_DROPPED), 800);
    CHECK_CLOSE(both[0], both[1]);
}

static void options_are_its_own_or_the_sockets(void)
{
    int req = open_socket(AF_SP, NN_REQ), ms = 33, out, one, two;
    size_t size = sizeof out;
    set_int(req, NN_RCVTIMEO, 77);
    one = open_context(req);
    two = open_context(req);
    CHECK_EQ(get_int(one, NN_SOL_SOCKET, NN_RCVTIMEO), 77);
    set_int(one, NN_RCVTIMEO, 20);
    CHECK_EQ(nn_setsockopt(one, NN_REQ, NN_REQ_RESEND_IVL, &ms, sizeof ms), 0);
    CHECK_EQ(get_int(one, NN_REQ, NN_REQ_RESEND_IVL), 33);
    CHECK_EQ(get_int(two, NN_REQ, NN_REQ_RESEND_IVL), 60000);
    CHECK_EQ(get_int(req, NN_REQ, NN_REQ_RESEND_IVL), 60000);
    CHECK_EQ(get_int(req, NN_SOL_SOCKET, NN_RCVTIMEO), 77);
    CHECK_EQ(get_int(two, NN_SOL_SOCKET, NN_RCVTIMEO), 77);
    CHECK_EQ(get_int(one, NN_SOL_SOCKET, NN_PROTOCOL), NN_REQ);
    CHECK_EQ(get_int(one, NN_SOL_SOCKET, NN_DOMAIN), AF_SP);
    /* What is the socket's is read, and not set. */
    set_int(req, NN_MAXTTL, 3);
    CHECK_EQ(get_int(one, NN_SOL_SOCKET, NN_MAXTTL), 3);
    CHECK_ERRNO(nn_setsockopt(one, NN_SOL_SOCKET, NN_MAXTTL, &ms, sizeof ms), -1, ENOTSUP);
    CHECK_ERRNO(nn_setsockopt(one, NN_SOL_SOCKET, NN_LINGER, &ms, sizeof ms), -1, ENOTSUP);
    CHECK_ERRNO(nn_setsockopt(one, NN_SOL_SOCKET, 4711, &ms, sizeof ms), -1, ENOPROTOOPT);
    CHECK_ERRNO(nn_getsockopt(one, NN_SOL_SOCKET, 4711, &out, &size), -1, ENOPROTOOPT);
    CHECK_SEND(one, "q");
    int64_t began = now_us();
    CHECK_ERRNO(nn_recv(one, NULL, 0, 0), -1, ETIMEDOUT);
    CHECK_NOT_EARLY(began, 20);
    CHECK_CLOSE(req);
}

static void who_has_no_contexts_says_so(void)
{
    static const int types[] = {NN_PAIR, NN_BUS, NN_PUSH, NN_PULL, NN_PUB};
    static const int raw[] = {NN_REQ, NN_REP, NN_SURVEYOR, NN_RESPONDENT, NN_SUB};
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        int s = open_socket(AF_SP, types[i]);
        CHECK_ERRNO(spmsg_context(s), -1, ENOTSUP);
        CHECK_CLOSE(s);
        s = open_socket(AF_SP_RAW, raw[i]);
        CHECK_ERRNO(spmsg_context(s), -1, ENOTSUP);
        CHECK_CLOSE(s);
    }
    CHECK_ERRNO(spmsg_context(-1), -1, EBADF);
    CHECK_ERRNO(spmsg_context(1 << 20), -1, EBADF);
    int rep = open_socket(AF_SP, NN_REP), context = open_context(rep);
    char address[SPMSG_ADDRESS_MAX];
    CHECK_ERRNO(spmsg_context(context), -1, ENOTSUP);
    CHECK_ERRNO(nn_bind(context, unique_url("inproc").text), -1, ENOTSUP);
    CHECK_ERRNO(nn_connect(context, unique_url("inproc").text), -1, ENOTSUP);
    CHECK_ERRNO(nn_shutdown(context, 1), -1, ENOTSUP);
    CHECK_ERRNO(spmsg_address(context, 1, address, sizeof address), -1, ENOTSUP);
    CHECK_ERRNO(nn_device(context, context), -1, EINVAL);
    CHECK_ERRNO(nn_send(context, "", 0, 0), -1, EFSM);
    CHECK_CLOSE(context);
    CHECK_ERRNO(nn_close(context), -1, EBADF);
    CHECK_CLOSE(rep);
    CHECK_ERRNO(spmsg_context(rep), -1, EBADF);
}

static int use_in_child(void *argument)
{
    int *handles = argument, both[2];
    CHECK_ERRNO(nn_recv(handles[0], NULL, 0, NN_DONTWAIT), -1, EBADF);
    CHECK_ERRNO(nn_close(handles[1]), -1, EBADF);
    open_both(NN_REP, NN_REQ, "inproc", both);
    int context = open_context(both[1]);
    CHECK_SEND(context, "q");
    CHECK_RECV(both[0], "q");
    CHECK_CLOSE(both[0], both[1]);
    return 0;
}

static void a_child_has_none_of_its_parents(void)
{
    int both[2], contexts[2];
    struct child child;
    open_both(NN_REP, NN_REQ, "ipc", both);
    open_contexts(both[1], contexts, 2);
    CHECK_SEND(contexts[0], "q");
    child_start(&child, use_in_child, contexts);
    CHECK_EQ(child_wait(&child, PATIENCE_MS), 0);
    CHECK_RECV(both[0], "q");
    CHECK_SEND(both[0], "a");
    CHECK_RECV(contexts[0], "a");
    CHECK_CLOSE(both[0], both[1]);
}

/* In a process that has used no memory before, so that nothing is used again. */
static int open_ten_thousand(void *argument)
{
    enum { COUNT = 10000 };
    static int contexts[COUNT];
    /* Descriptors of pipes and of their poller take more room in each than one number. */
    const int allowed_kb = shows_by_pipes() ? COUNT * 3 / 2 : COUNT;
    int s = open_socket(AF_SP, *(const int *)argument), descriptors = count_descriptors();
    long before = resident_kb();
    open_contexts(s, contexts, COUNT);
    long after = resident_kb();
    CHECK_EQ(count_descriptors(), descriptors);
    if (memory_can_be_measured())
        CHECK_AT_MOST(after - before, allowed_kb);
    /* They come and go without leaving anything. */
    for (int again = 0; again < 5; again++) {
        for (size_t i = 0; i < COUNT; i += 2)
            CHECK_CLOSE(contexts[i]);
        for (size_t i = 0; i < COUNT; i += 2)
            contexts[i] = open_context(s);
    }
    check_memory_flat(before, allowed_kb + 2048);
    CHECK_CLOSE(s);
    CHECK_ERRNO(nn_close(contexts[COUNT - 1]), -1, EBADF);
    return 0;
}

static void ten_thousand_cost_less_than_a_kib_each(void)
{
    static int types[] = {NN_REQ, NN_REP, NN_SURVEYOR, NN_RESPONDENT, NN_SUB};
    for (size_t t = 0; t < COUNT_OF(types); t++) {
        struct child child;
        child_start(&child, open_ten_thousand, &types[t]);
        CHECK_EQ(child_wait(&child, PATIENCE_MS), 0);
    }
}

int main(void)
{
    test_begin("beyond/contexts", 110);
    RUN(each_answer_reaches_whoever_asked);
    RUN(a_late_answer_reaches_nobody);
    RUN(a_worker_that_is_closed_gives_its_request_up);
    RUN(threads_ask_and_serve_at_once);
    RUN(closing_wakes_who_waits);
    RUN(who_is_cancelled_leaves_the_others_to_it);
    RUN(who_was_cancelled_before_sends_nothing);
    RUN(a_process_may_exit_while_contexts_wait);
    RUN(messages_have_every_form);
    RUN(descriptors_and_polls_tell_them_apart);
    RUN(a_poll_is_woken);
    RUN(requests_wait_for_a_service_and_go_to_the_next);
    RUN(surveys_are_apart);
    RUN(subscriptions_are_apart);
    RUN(who_does_not_read_costs_only_itself);
    RUN(options_are_its_own_or_the_sockets);
    RUN(who_has_no_contexts_says_so);
    RUN(a_child_has_none_of_its_parents);
    RUN(ten_thousand_cost_less_than_a_kib_each);
    return test_end();
}
