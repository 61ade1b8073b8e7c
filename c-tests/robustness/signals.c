/* Threads that are interrupted by a signal every millisecond while they send and receive. A call
 * fails with EINTR, and has then done nothing, or succeeds; no message is lost or comes twice.
 *
 *   signals inproc|ipc|tcp|ws|tls+tcp|wss [EFFORT [SEED]] */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/random.h"
#include "support/sockets.h"
#include "support/thread.h"
#include "support/trial.h"

#include <nanomsg/nn.h>

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

enum { PERIOD_US = 1000, RUN_MS = 1000, END = -1 };

static long signals_seen;

static void on_signal(int number)
{
    (void)number;
    __atomic_fetch_add(&signals_seen, 1, __ATOMIC_RELAXED);
}

static void install(int flags)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = flags;
    REQUIRE(sigaction(SIGUSR1, &action, NULL) == 0);
}

/* Interrupts the calling thread, and no other, until storm_end. */
static timer_t storm_begin(void)
{
    struct sigevent event;
    struct itimerspec period = {{0, PERIOD_US * 1000}, {0, PERIOD_US * 1000}};
    timer_t timer;
    memset(&event, 0, sizeof event);
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = SIGUSR1;
    event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
    REQUIRE(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    REQUIRE(timer_settime(timer, 0, &period, NULL) == 0);
    return timer;
}

static void storm_end(timer_t timer)
{
    REQUIRE(timer_delete(timer) == 0);
}

/* Calls what fails with EINTR again, as an application would. */
#define AGAIN(call, interrupts) __extension__ ({ \
    int result_; \
    while ((result_ = (call)) < 0 && errno == EINTR) \
        (interrupts)++; \
    result_; \
})

struct lane {
    int from;
    int to;
    uint64_t seed;
    int64_t stop_ms;
    int sent;
    int received;
    long send_interrupts;
    long recv_interrupts;
};

/* Now and then one side rests, so that the other has to wait in its call. */
static void rest_sometimes(uint64_t *state)
{
    if (random_below(state, 200) == 0) {
        struct timespec rest = {0, random_below(state, 8) * 1000000};
        while (nanosleep(&rest, &rest) != 0)
            continue;
    }
}

static size_t size_of(int number)
{
    return number % 10 == 9 ? 60000 : number % 3 == 0 ? 2000 : sizeof number;
}

static void *send_lane(void *argument)
{
    struct lane *lane = argument;
    static __thread unsigned char body[60000];
    uint64_t state = lane->seed;
    timer_t timer = storm_begin();
    while (now_ms() < lane->stop_ms) {
        size_t size = size_of(lane->sent);
        memcpy(body, &lane->sent, sizeof lane->sent);
        memcpy(body + size - sizeof lane->sent, &lane->sent, sizeof lane->sent);
        REQUIRE(AGAIN(nn_send(lane->from, body, size, 0), lane->send_interrupts) == (int)size);
        lane->sent++;
        rest_sometimes(&state);
    }
    int end = END;
    REQUIRE(AGAIN(nn_send(lane->from, &end, sizeof end, 0), lane->send_interrupts) == sizeof end);
    storm_end(timer);
    return NULL;
}

static void *recv_lane(void *argument)
{
    struct lane *lane = argument;
    uint64_t state = lane->seed + 1;
    timer_t timer = storm_begin();
    for (;;) {
        char *chunk = NULL;
        int number, last, size = AGAIN(nn_recv(lane->to, &chunk, NN_MSG, 0),
                                       lane->recv_interrupts);
        REQUIRE(size >= (int)sizeof number);
        memcpy(&number, chunk, sizeof number);
        memcpy(&last, chunk + size - sizeof last, sizeof last);
        nn_freemsg(chunk);
        if (number == END)
            break;
        REQUIRE(number == lane->received && last == number && size == (int)size_of(number));
        lane->received++;
        rest_sometimes(&state);
    }
    storm_end(timer);
    return NULL;
}

static void check_storm(int flags)
{
    struct url url = unique_url(trial.scheme);
    struct thread threads[4];
    int a, b;
    install(flags);
    open_pairs(&a, &b, url.text);
    int64_t stop = now_ms() + RUN_MS * trial.effort;
    struct lane forth = {a, b, trial.seed, stop, 0, 0, 0, 0};
    struct lane back = {b, a, trial.seed + 10, stop, 0, 0, 0, 0};
    thread_start(&threads[0], recv_lane, &forth);
    thread_start(&threads[1], recv_lane, &back);
    thread_start(&threads[2], send_lane, &forth);
    thread_start(&threads[3], send_lane, &back);
    CHECK(wait_until(thread_done(&threads[0]) && thread_done(&threads[1])
                     && thread_done(&threads[2]) && thread_done(&threads[3]),
                     RUN_MS * trial.effort + 2 * PATIENCE_MS));
    for (int i = 0; i < 4; i++)
        thread_join(&threads[i]);
    CHECK_EQ(forth.received, forth.sent);
    CHECK_EQ(back.received, back.sent);
    printf("%d and %d messages, %ld sends and %ld receives interrupted by %ld signals\n",
           forth.sent, back.sent, forth.send_interrupts + back.send_interrupts,
           forth.recv_interrupts + back.recv_interrupts, signals_seen);
    CHECK_AT_LEAST(forth.recv_interrupts + back.recv_interrupts, 1);
    CHECK_CLOSE(a, b);
}

static void an_interrupted_call_has_done_nothing(void)
{
    check_storm(0);
}

/* The flag that restarts system calls does not restart ours. */
static void restarting_handlers_interrupt_as_well(void)
{
    check_storm(SA_RESTART);
}

/* Only sending and receiving tell of signals. */
static void other_calls_do_not_mind_signals(void)
{
    struct url url = unique_url(trial.scheme);
    long interrupts = 0;
    install(0);
    timer_t timer = storm_begin();
    for (int i = 0; i < 100 * trial.effort; i++) {
        char body[8];
        int a = open_quick(), b = open_quick();
        CHECK_EQ(nn_bind(a, url.text), 1);
        CHECK_EQ(nn_connect(b, url.text), 1);
        CHECK_EQ(AGAIN(nn_send(b, "through", 7, 0), interrupts), 7);
        CHECK_EQ(AGAIN(nn_recv(a, body, sizeof body, 0), interrupts), 7);
        CHECK_EQ(AGAIN(nn_shutdown(b, 1), interrupts), 0);
        CHECK_EQ(AGAIN(nn_close(a), interrupts), 0);
        CHECK_EQ(AGAIN(nn_close(b), interrupts), 0);
    }
    storm_end(timer);
    CHECK_AT_LEAST(signals_seen, 1);
}

struct reader {
    int s;
    int count;
};

static void *read_slowly(void *argument)
{
    struct reader *reader = argument;
    void *chunk = NULL;
    while (nn_recv(reader->s, &chunk, NN_MSG, 0) == 1000000) {
        nn_freemsg(chunk);
        reader->count++;
        nap_ms(20);
    }
    return NULL;
}

/* A signal does not cut the linger short: what was accepted is written nevertheless. */
static void closing_under_signals_loses_nothing(void)
{
    static char body[1000000];
    struct url url = unique_url(trial.scheme);
    struct thread thread;
    long interrupts = 0;
    int a, b;
    install(0);
    open_pairs(&a, &b, url.text);
    set_int(a, NN_LINGER, PATIENCE_MS);
    set_int(b, NN_RCVTIMEO, 1000);
    struct reader reader = {b, 0};
    timer_t timer = storm_begin();
    thread_start(&thread, read_slowly, &reader);
    for (int i = 0; i < 5; i++)
        REQUIRE(AGAIN(nn_send(a, body, sizeof body, 0), interrupts) == sizeof body);
    CHECK_EQ(AGAIN(nn_close(a), interrupts), 0);
    storm_end(timer);
    thread_join(&thread);
    CHECK_EQ(reader.count, 5);
    CHECK_CLOSE(b);
}

int main(int count, char **words)
{
    trial_begin("robustness/signals", "inproc|ipc|tcp|ws|tls+tcp|wss", 30, count, words);
    RUN(an_interrupted_call_has_done_nothing);
    RUN(restarting_handlers_interrupt_as_well);
    RUN(other_calls_do_not_mind_signals);
    RUN(closing_under_signals_loses_nothing);
    RUN(nothing_is_left);
    return test_end();
}
