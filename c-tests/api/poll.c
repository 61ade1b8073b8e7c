/* nn_poll: what it refuses, what it reports, what it touches, and what wakes it. */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/raw-peer.h"
#include "support/raw-stream.h"
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
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { IN = NN_POLLIN, OUT = NN_POLLOUT, UNTOUCHED = 0x55 };

static struct nn_pollfd ask(int s, int events)
{
    return (struct nn_pollfd){s, (short)events, UNTOUCHED};
}

static int poll_one(int s, int events, int timeout)
{
    struct nn_pollfd entry = ask(s, events);
    int result = nn_poll(&entry, 1, timeout);
    CHECK_AT_MOST(result, 1);
    if (result == 1)
        return entry.revents;
    CHECK_EQ(entry.revents, UNTOUCHED);
    return result;
}

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

struct taker {
    int s;
    int count;
};

static void *take_numbers(void *argument)
{
    struct taker *taker = argument;
    for (int i = 0; i < taker->count; i++) {
        int number = -1;
        if (nn_recv(taker->s, &number, sizeof number, 0) != sizeof number || number != i) {
            FAIL("message %d did not come, but %d, errno %d", i, number, errno);
            break;
        }
    }
    return NULL;
}

struct watcher {
    struct nn_pollfd entries[2];
    int stop;
    int wakes;
};

static void *watch_until_told(void *argument)
{
    struct watcher *watcher = argument;
    while (!__atomic_load_n(&watcher->stop, __ATOMIC_ACQUIRE)) {
        int result = nn_poll(watcher->entries, 2, watcher->wakes % 2 ? -1 : 5);
        if (result < 0) {
            FAIL("nn_poll says %d, errno %d", result, errno);
            break;
        }
        watcher->wakes++;
    }
    return NULL;
}

/* core 1.5: a thread in nn_recv beside threads in nn_poll, on one socket; whoever reads the stream,
 * the message reaches the one that receives. One at a time, so that a missed wake-up is a hang. */
static void receiving_goes_on_beside_polling(void)
{
    EACH_SCHEME(scheme) {
        enum { COUNT = 2000 };
        int both[2], idle = open_pair(), back = -1;
        open_both(NN_PAIR, NN_PAIR, *scheme, both);
        struct taker taker = {both[0], COUNT};
        struct watcher watchers[2] = {{{ask(both[0], IN), ask(idle, IN)}, 0, 0},
                                      {{ask(idle, IN), ask(both[0], IN)}, 0, 0}};
        struct thread receiver, pollers[2];
        for (int i = 0; i < 2; i++)
            thread_start(&pollers[i], watch_until_told, &watchers[i]);
        thread_start(&receiver, take_numbers, &taker);
        for (int i = 0; i < COUNT; i++) {
            CHECK_EQ(nn_send(both[1], &i, sizeof i, 0), sizeof i);
            if (i % 2)
                CHECK(wait_stat(both[0], NN_STAT_MESSAGES_RECEIVED, (uint64_t)i + 1, PATIENCE_MS));
        }
        thread_join(&receiver);
        /* And one that wakes the pollers for good. */
        for (int i = 0; i < 2; i++)
            __atomic_store_n(&watchers[i].stop, 1, __ATOMIC_RELEASE);
        CHECK_EQ(nn_send(both[1], &back, sizeof back, 0), sizeof back);
        for (int i = 0; i < 2; i++)
            thread_join(&pollers[i]);
        CHECK_CLOSE(both[1], both[0], idle);
    }
}

struct crosser {
    int first, second;
    int *received;
    int wanted;
};

static void *take_from_either(void *argument)
{
    struct crosser *crosser = argument;
    struct nn_pollfd entries[] = {ask(crosser->first, IN), ask(crosser->second, IN)};
    while (__atomic_load_n(crosser->received, __ATOMIC_ACQUIRE) < crosser->wanted) {
        if (nn_poll(entries, 2, 20) < 1)
            continue;
        for (int i = 0; i < 2; i++) {
            char byte;
            if (entries[i].revents && nn_recv(entries[i].fd, &byte, 1, NN_DONTWAIT) == 1)
                __atomic_fetch_add(crosser->received, 1, __ATOMIC_ACQ_REL);
        }
    }
    return NULL;
}

/* core 1.5: threads that poll the same sockets, in either order, and take what they find. */
static void pollers_of_the_same_sockets_find_everything(void)
{
    EACH_SCHEME(scheme) {
        enum { COUNT = 2000, THREADS = 4 };
        int a[2], b[2], received = 0;
        struct thread threads[THREADS];
        struct crosser crossers[THREADS];
        open_both(NN_PULL, NN_PUSH, *scheme, a);
        open_both(NN_PULL, NN_PUSH, *scheme, b);
        for (int i = 0; i < THREADS; i++) {
            crossers[i] = (struct crosser){i % 2 ? a[0] : b[0], i % 2 ? b[0] : a[0], &received,
                                           COUNT};
            thread_start(&threads[i], take_from_either, &crossers[i]);
        }
        for (int i = 0; i < COUNT; i++)
            CHECK_SEND(i % 3 ? a[1] : b[1], "x");
        for (int i = 0; i < THREADS; i++)
            thread_join(&threads[i]);
        CHECK_EQ(received, COUNT);
        CHECK_CLOSE(a[1], a[0], b[1], b[0]);
    }
}

/* core 8.2 rule 4: of two hundred exactly those that have something, also beside one that always
 * has. */
static void two_hundred_sockets_can_be_polled(void)
{
    enum { COUNT = 200 };
    EACH_SCHEME(scheme) {
        static int pulls[COUNT];
        static struct nn_pollfd entries[COUNT + 1];
        struct url url = unique_url(*scheme);
        int bus = open_socket(AF_SP, NN_BUS), push = open_socket(AF_SP, NN_PUSH);
        CHECK_OK(nn_bind(push, url.text));
        for (int i = 0; i < COUNT; i++) {
            pulls[i] = open_socket(AF_SP, NN_PULL);
            CHECK_OK(nn_connect(pulls[i], url.text));
            entries[i] = ask(pulls[i], IN);
        }
        entries[COUNT] = ask(bus, OUT);
        CHECK(wait_stat(push, NN_STAT_CURRENT_CONNECTIONS, COUNT, PATIENCE_MS));
        CHECK_EQ(nn_poll(entries, COUNT, 0), 0);
        for (int round = 0; round < COUNT / 2; round++) {
            int found = -1;
            CHECK_SEND(push, "x");
            CHECK_EQ(nn_poll(entries, COUNT, PATIENCE_MS), 1);
            for (int i = 0; i < COUNT; i++)
                if (entries[i].revents == IN)
                    found = i;
            REQUIRE(found >= 0);
            CHECK_RECV(pulls[found], "x");
        }
        for (int i = 0; i < COUNT; i++)
            CHECK_SEND(push, "x");
        CHECK(wait_until(nn_poll(entries, COUNT + 1, PATIENCE_MS) == COUNT + 1, PATIENCE_MS));
        for (int i = 0; i < COUNT; i++) {
            CHECK_RECV(pulls[i], "x");
            CHECK_CLOSE(pulls[i]);
        }
        CHECK_CLOSE(push, bus);
    }
}

/* core 8.2: who asks again and again without waiting learns of everything in the end. */
static void looking_without_waiting_sees_what_arrives(void)
{
    EACH_SCHEME(scheme) {
        int both[2], bus = open_socket(AF_SP, NN_BUS);
        open_both(NN_PAIR, NN_PAIR, *scheme, both);
        for (int round = 0; round < 50; round++) {
            struct nn_pollfd entries[] = {ask(bus, OUT), ask(both[0], IN)};
            CHECK_SEND(both[1], "x");
            CHECK(wait_until(nn_poll(entries, 2, 0) == 2, PATIENCE_MS));
            CHECK_RECV(both[0], "x");
            CHECK_EQ(nn_poll(entries, 2, 0), 1);
        }
        CHECK_CLOSE(both[1], both[0], bus);
    }
}

/* core 8.2 rule 4: a socket that can send is no reason to overlook what it can receive. What has
 * reached the kernel is seen at the first look; the reference's thread needs a moment. */
static void room_does_not_hide_what_has_arrived(void)
{
    EACH_SCHEME(scheme) {
        if (strcmp(*scheme, "inproc") == 0)
            continue;
        struct url url = unique_url(*scheme);
        int s = open_pair(), unsent;
        CHECK_OK(nn_bind(s, url.text));
        int fd = raw_connect(url.text);
        CHECK(raw_greet(fd));
        CHECK_EQ(poll_one(s, OUT, PATIENCE_MS), OUT);
        for (int round = 0; round < 20; round++) {
            CHECK_ERRNO(nn_recv(s, NULL, 0, NN_DONTWAIT), -1, EAGAIN);
            raw_message(fd, url.text, "x", 1);
            CHECK(wait_until(ioctl(fd, TIOCOUTQ, &unsent) == 0 && (unsent == 0 || is_ipc(url.text)),
                             PATIENCE_MS));
            if (reference())
                CHECK(wait_until(poll_one(s, IN | OUT, 0) == (IN | OUT), PATIENCE_MS));
            else
                CHECK_EQ(poll_one(s, IN | OUT, 0), IN | OUT);
            CHECK_RECV(s, "x");
        }
        close(fd);
        CHECK_CLOSE(s);
    }
}

/* ---- polling while everything comes and goes ---- */

enum { SEATS = 6 };

static struct {
    int handles[SEATS];
    int stop;
    long polls;
    struct url urls[SEATS];
} arena;

static long poll_count(void)
{
    return __atomic_load_n(&arena.polls, __ATOMIC_RELAXED);
}

static void *poll_anything(void *argument)
{
    unsigned random = (unsigned)(uintptr_t)argument * 7919 + 17;
    while (!__atomic_load_n(&arena.stop, __ATOMIC_ACQUIRE)) {
        struct nn_pollfd entries[SEATS];
        random = random * 1103515245 + 12345;
        int count = 1 + (int)(random >> 20) % SEATS;
        for (int i = 0; i < count; i++) {
            random = random * 1103515245 + 12345;
            int s = __atomic_load_n(&arena.handles[(random >> 18) % SEATS], __ATOMIC_ACQUIRE);
            entries[i] = ask(s, 1 + (int)(random >> 24) % 3);
        }
        int result = nn_poll(entries, count, (int)(random >> 26) % 4 ? 1 : -1);
        __atomic_fetch_add(&arena.polls, 1, __ATOMIC_RELAXED);
        if (result < 0 && errno != EBADF)
            FAIL("nn_poll says errno %d", errno);
        for (int i = 0; i < count && result > 0; i++)
            if (entries[i].revents & IN)
                nn_recv(entries[i].fd, NULL, 0, NN_DONTWAIT);
    }
    return NULL;
}

static void take_seat(int seat)
{
    int s = nn_socket(AF_SP, NN_BUS);
    REQUIRE(s >= 0);
    CHECK_OK(nn_bind(s, arena.urls[seat].text));
    for (int i = 0; i < SEATS; i++)
        if (i != seat && i % 2 == seat % 2)
            CHECK_OK(nn_connect(s, arena.urls[i].text));
    __atomic_store_n(&arena.handles[seat], s, __ATOMIC_RELEASE);
}

/* reliability P1 and P3: sockets are opened and closed under threads that poll them. */
static void polling_survives_what_comes_and_goes(void)
{
    enum { THREADS = 6, ROUNDS = 400, POLLS = 1000 };
    for (int transport = 0; transport < 3; transport++) {
        struct thread threads[THREADS];
        memset(&arena, 0, sizeof arena);
        for (int i = 0; i < SEATS; i++)
            arena.urls[i] = unique_url(SCHEMES[transport]);
        for (int i = 0; i < SEATS; i++)
            take_seat(i);
        for (int i = 0; i < THREADS; i++)
            thread_start(&threads[i], poll_anything, (void *)(uintptr_t)(i + 1));
        int64_t deadline = now_ms() + PATIENCE_MS;
        for (int round = 0; now_ms() < deadline && (round < ROUNDS || poll_count() < POLLS);
             round++) {
            int seat = round % SEATS, s = arena.handles[(round + 3) % SEATS];
            nn_send(s, "hello", 5, NN_DONTWAIT);
            CHECK_CLOSE(arena.handles[seat]);
            take_seat(seat);
        }
        __atomic_store_n(&arena.stop, 1, __ATOMIC_RELEASE);
        /* Those that wait for ever end with their sockets. */
        for (int i = 0; i < SEATS; i++)
            CHECK_CLOSE(arena.handles[i]);
        for (int i = 0; i < THREADS; i++)
            thread_join(&threads[i]);
        CHECK_AT_LEAST(arena.polls, POLLS);
    }
}

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
    RUN(receiving_goes_on_beside_polling);
    RUN(pollers_of_the_same_sockets_find_everything);
    RUN(two_hundred_sockets_can_be_polled);
    RUN(looking_without_waiting_sees_what_arrives);
    RUN(room_does_not_hide_what_has_arrived);
    RUN(polling_survives_what_comes_and_goes);
    return test_end();
}
