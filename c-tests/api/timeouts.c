/* How long sending and receiving wait: timeouts, NN_DONTWAIT, signals, and what must not lengthen
 * or shorten a wait that has begun. */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/sockets.h"
#include "support/talk.h"
#include "support/thread.h"

#include <nanomsg/nn.h>

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>

/* An upper bound for what should take no time, generous enough for a busy machine. */
enum { LATE_MS = 2000 };

static int send_one(int s, int flags)
{
    return nn_send(s, "x", 1, flags);
}

static int recv_one(int s, int flags)
{
    char byte;
    return nn_recv(s, &byte, 1, flags);
}

/* abi 6.10, 6.11 and 8, core 5.1, core-quirks A-30 and C-12 */
static void a_timeout_is_etimedout_and_not_early(void)
{
    static const int timeouts[] = {1, 20, 100, 250};
    int s = open_pair();
    for (size_t i = 0; i < COUNT_OF(timeouts); i++) {
        set_int(s, NN_RCVTIMEO, timeouts[i]);
        set_int(s, NN_SNDTIMEO, timeouts[i]);
        int64_t start = now_us();
        CHECK_ERRNO(recv_one(s, 0), -1, ETIMEDOUT);
        CHECK_NOT_EARLY(start, timeouts[i]);
        CHECK_AT_MOST(now_us() - start, (timeouts[i] + LATE_MS) * INT64_C(1000));
        start = now_us();
        CHECK_ERRNO(send_one(s, 0), -1, ETIMEDOUT);
        CHECK_NOT_EARLY(start, timeouts[i]);
        CHECK_AT_MOST(now_us() - start, (timeouts[i] + LATE_MS) * INT64_C(1000));
    }
    CHECK_CLOSE(s);
}

/* The same with endpoints and with a peer that has nothing to say (core 5.1). */
static void a_timeout_is_the_same_on_every_transport(void)
{
    for (int i = 0; i < 3; i++) {
        struct url url = unique_url(SCHEMES[i]);
        int a, b;
        open_pairs(&a, &b, url.text);
        set_int(a, NN_RCVTIMEO, 100);
        set_int(b, NN_RCVTIMEO, 100);
        int64_t start = now_us();
        CHECK_ERRNO(recv_one(a, 0), -1, ETIMEDOUT);
        CHECK_NOT_EARLY(start, 100);
        start = now_us();
        CHECK_ERRNO(recv_one(b, 0), -1, ETIMEDOUT);
        CHECK_NOT_EARLY(start, 100);
        CHECK_ERRNO(recv_one(a, NN_DONTWAIT), -1, EAGAIN);
        CHECK_CLOSE(a, b);
    }
}

/* core 5.1, core-quirks: only bit 0 of the flags is looked at. */
static void dontwait_is_eagain_whatever_the_timeout(void)
{
    static const int timeouts[] = {-1, 0, 10, 100000};
    static const int flags[] = {NN_DONTWAIT, NN_DONTWAIT | 2, 0x7f01, -1};
    int s = open_pair();
    for (size_t i = 0; i < COUNT_OF(timeouts); i++)
        for (size_t k = 0; k < COUNT_OF(flags); k++) {
            set_int(s, NN_RCVTIMEO, timeouts[i]);
            set_int(s, NN_SNDTIMEO, timeouts[i]);
            CHECK_ERRNO(recv_one(s, flags[k]), -1, EAGAIN);
            CHECK_ERRNO(send_one(s, flags[k]), -1, EAGAIN);
        }
    CHECK_CLOSE(s);
}

/* core 5.1, core-quirks A-26 */
static void other_flag_bits_do_not_prevent_waiting(void)
{
    int s = open_pair();
    set_int(s, NN_RCVTIMEO, 20);
    set_int(s, NN_SNDTIMEO, 20);
    CHECK_ERRNO(recv_one(s, 2), -1, ETIMEDOUT);
    CHECK_ERRNO(send_one(s, 0x7ffffffe), -1, ETIMEDOUT);
    CHECK_CLOSE(s);
}

/* core 5.1: one attempt is always made, so with timeout 0 what can be done is done. */
static void timeout_zero_tries_once(void)
{
    struct url url = unique_url("inproc");
    int a, b;
    open_pairs(&a, &b, url.text);
    set_int(a, NN_SNDTIMEO, 0);
    set_int(b, NN_RCVTIMEO, 0);
    int64_t start = now_ms();
    CHECK_ERRNO(recv_one(b, 0), -1, ETIMEDOUT);
    CHECK_EQ(send_one(a, 0), 1);
    CHECK_EQ(recv_one(b, 0), 1);
    CHECK_ERRNO(recv_one(b, 0), -1, ETIMEDOUT);
    CHECK_CLOSE(b);
    CHECK_ERRNO(send_one(a, 0), -1, ETIMEDOUT);
    CHECK_AT_MOST(now_ms() - start, LATE_MS);
    CHECK_CLOSE(a);
}

struct waiter {
    int s;
    int sends;
    int result;
    int error;
    int64_t took_us;
};

static void *wait_in_call(void *argument)
{
    struct waiter *waiter = argument;
    int64_t start = now_us();
    errno = 0;
    waiter->result = waiter->sends ? send_one(waiter->s, 0) : recv_one(waiter->s, 0);
    waiter->error = errno;
    waiter->took_us = now_us() - start;
    return NULL;
}

/* core 5.1 and 6.1, core-quirks A-30 */
static void every_negative_timeout_waits_for_ever(void)
{
    static const int timeouts[] = {-1, -7, INT_MIN};
    for (size_t i = 0; i < COUNT_OF(timeouts); i++) {
        struct url url = unique_url("inproc");
        struct thread threads[2];
        int a = open_pair(), b = open_pair();
        struct waiter receiver = {.s = a}, sender = {.s = a, .sends = 1};
        set_int(a, NN_RCVTIMEO, timeouts[i]);
        set_int(a, NN_SNDTIMEO, timeouts[i]);
        thread_start(&threads[0], wait_in_call, &receiver);
        thread_start(&threads[1], wait_in_call, &sender);
        CHECK(thread_asleep(&threads[0]));
        CHECK(thread_asleep(&threads[1]));
        CHECK_OK(nn_bind(a, url.text));
        CHECK_OK(nn_connect(b, url.text));
        CHECK_EQ(send_one(b, 0), 1);
        CHECK_EQ(recv_one(b, 0), 1);
        thread_join(&threads[0]);
        thread_join(&threads[1]);
        CHECK_EQ(receiver.result, 1);
        CHECK_EQ(sender.result, 1);
        CHECK_CLOSE(a, b);
    }
}

static void check_change_while_blocked(int sends)
{
    struct thread thread;
    int s = open_pair(), option = sends ? NN_SNDTIMEO : NN_RCVTIMEO;
    struct waiter waiter = {.s = s, .sends = sends};
    set_int(s, option, 400);
    thread_start(&thread, wait_in_call, &waiter);
    CHECK(thread_asleep(&thread));
    set_int(s, option, 1);
    CHECK_EQ(get_int(s, NN_SOL_SOCKET, option), 1);
    thread_join(&thread);
    CHECK_EQ(waiter.result, -1);
    CHECK_EQ(waiter.error, ETIMEDOUT);
    CHECK_AT_LEAST(waiter.took_us, (reference() ? 390 : 400) * 1000);

    set_int(s, option, 100);
    thread_start(&thread, wait_in_call, &waiter);
    CHECK(thread_asleep(&thread));
    set_int(s, option, -1);
    thread_join(&thread);
    CHECK_EQ(waiter.error, ETIMEDOUT);
    CHECK_CLOSE(s);
}

/* core 5.1 and 6.4, core-quirks A-73: the option is read when the call begins. */
static void changing_the_timeout_does_not_affect_a_waiting_call(void)
{
    check_change_while_blocked(0);
    check_change_while_blocked(1);
}

/* core 5.1: wake-ups that do not lead to success do not move the deadline. */
static void peers_that_come_and_go_do_not_extend_a_wait(void)
{
    struct url url = unique_url("inproc");
    struct thread thread;
    int a = open_pair();
    struct waiter waiter = {.s = a};
    set_int(a, NN_RCVTIMEO, 300);
    CHECK_OK(nn_bind(a, url.text));
    thread_start(&thread, wait_in_call, &waiter);
    int64_t give_up = now_ms() + PATIENCE_MS;
    while (!thread_done(&thread) && now_ms() < give_up) {
        int b = open_pair();
        CHECK_OK(nn_connect(b, url.text));
        CHECK_CLOSE(b);
        nap_ms(1);
    }
    CHECK(thread_done(&thread));
    thread_join(&thread);
    CHECK_EQ(waiter.error, ETIMEDOUT);
    CHECK_AT_LEAST(waiter.took_us, (reference() ? 290 : 300) * 1000);
    CHECK_CLOSE(a);
}

/* core 1.5: several waiters, one message: one gets it and the others keep waiting. */
static void a_message_wakes_one_waiter_and_the_others_keep_waiting(void)
{
    for (int i = 0; i < 3; i++) {
        struct url url = unique_url(SCHEMES[i]);
        struct thread threads[3];
        struct waiter waiters[3];
        int a, b, received = 0;
        open_pairs(&a, &b, url.text);
        set_int(b, NN_RCVTIMEO, 500);
        for (int k = 0; k < 3; k++) {
            waiters[k] = (struct waiter){.s = b};
            thread_start(&threads[k], wait_in_call, &waiters[k]);
        }
        for (int k = 0; k < 3; k++)
            CHECK(thread_asleep(&threads[k]));
        CHECK_EQ(send_one(a, 0), 1);
        for (int k = 0; k < 3; k++) {
            thread_join(&threads[k]);
            if (waiters[k].result == 1)
                received++;
            else
                CHECK_EQ(waiters[k].error, ETIMEDOUT);
        }
        CHECK_EQ(received, 1);
        CHECK_CLOSE(a, b);
    }
}

static volatile sig_atomic_t handled;

static void handle(int number)
{
    (void)number;
    handled++;
}

static void install_handler(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handle;
    action.sa_flags = SA_RESTART;
    REQUIRE(sigaction(SIGUSR1, &action, NULL) == 0);
}

static void check_interrupted(const char *scheme, int sends, int timeout)
{
    struct url url = unique_url(scheme);
    struct thread thread;
    int s = open_pair();
    struct waiter waiter = {.s = s, .sends = sends};
    set_int(s, sends ? NN_SNDTIMEO : NN_RCVTIMEO, timeout);
    CHECK_OK(nn_bind(s, url.text));
    handled = 0;
    thread_start(&thread, wait_in_call, &waiter);
    CHECK(thread_asleep(&thread));
    /* One signal is enough for a thread that waits; it is repeated for one that does not yet. */
    CHECK(wait_until(thread_done(&thread) || pthread_kill(thread.id, SIGUSR1) != 0, PATIENCE_MS));
    thread_join(&thread);
    CHECK_AT_LEAST(handled, 1);
    CHECK_EQ(waiter.result, -1);
    CHECK_EQ(waiter.error, EINTR);
    CHECK_CLOSE(s);
}

/* core 4, core-quirks A-31, reliability P3 */
static void a_signal_interrupts_even_with_sa_restart(void)
{
    install_handler();
    for (int i = 0; i < 3; i++)
        for (int sends = 0; sends < 2; sends++) {
            check_interrupted(SCHEMES[i], sends, -1);
            check_interrupted(SCHEMES[i], sends, PATIENCE_MS);
        }
}

/* core 4: the same while the socket has a peer. */
static void a_signal_interrupts_a_receiver_that_has_a_peer(void)
{
    install_handler();
    for (int i = 0; i < 3; i++) {
        struct url url = unique_url(SCHEMES[i]);
        struct thread thread;
        int a, b;
        open_pairs(&a, &b, url.text);
        struct waiter waiter = {.s = b};
        thread_start(&thread, wait_in_call, &waiter);
        CHECK(thread_asleep(&thread));
        CHECK(wait_until(thread_done(&thread) || pthread_kill(thread.id, SIGUSR1) != 0,
                         PATIENCE_MS));
        thread_join(&thread);
        CHECK_EQ(waiter.result, -1);
        CHECK_EQ(waiter.error, EINTR);
        CHECK_SEND(a, "still there");
        CHECK_RECV(b, "still there");
        CHECK_CLOSE(a, b);
    }
}

static void *open_and_close(void *argument)
{
    (void)argument;
    for (int i = 0; i < 60; i++) {
        struct url url = unique_url(i % 2 ? "tcp" : "ipc");
        int a = open_pair(), b = open_pair();
        CHECK_OK(nn_bind(a, url.text));
        CHECK_OK(nn_connect(b, url.text));
        CHECK_CLOSE(a, b);
    }
    return NULL;
}

/* abi 6.2, core 4 */
static void a_signal_does_not_interrupt_close(void)
{
    struct thread thread;
    install_handler();
    handled = 0;
    thread_start(&thread, open_and_close, NULL);
    CHECK(wait_until(thread_done(&thread) || pthread_kill(thread.id, SIGUSR1) != 0, PATIENCE_MS));
    thread_join(&thread);
    CHECK_AT_LEAST(handled, 1);
}

int main(void)
{
    test_begin("api/timeouts", 28);
    RUN(a_timeout_is_etimedout_and_not_early);
    RUN(a_timeout_is_the_same_on_every_transport);
    RUN(dontwait_is_eagain_whatever_the_timeout);
    RUN(other_flag_bits_do_not_prevent_waiting);
    RUN(timeout_zero_tries_once);
    RUN(every_negative_timeout_waits_for_ever);
    RUN(changing_the_timeout_does_not_affect_a_waiting_call);
    RUN(peers_that_come_and_go_do_not_extend_a_wait);
    RUN(a_message_wakes_one_waiter_and_the_others_keep_waiting);
    RUN(a_signal_interrupts_even_with_sa_restart);
    RUN(a_signal_interrupts_a_receiver_that_has_a_peer);
    RUN(a_signal_does_not_interrupt_close);
    return test_end();
}
