/* Threads that never come back from a call: cancelled, or gone by siglongjmp. Everything else goes
 * on: the socket serves others, and can be closed.
 *
 *   cancel inproc|ipc|tcp|ws|tls+tcp|wss [EFFORT [SEED]] */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/process.h"
#include "support/random.h"
#include "support/sockets.h"
#include "support/talk.h"
#include "support/thread.h"
#include "support/trial.h"

#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/pipeline.h>

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char big[100000];

/* A thread that blocks in a call on `s`. */
struct victim {
    struct thread thread;
    int s;
    int (*call)(int s);
    int result;
    int cleaned;
    char *lent;
};

static int in_recv(int s)
{
    char byte;
    return nn_recv(s, &byte, 1, 0);
}

static int in_recv_msg(int s)
{
    char *chunk = NULL;
    int size = nn_recv(s, &chunk, NN_MSG, 0);
    if (size >= 0)
        nn_freemsg(chunk);
    return size;
}

static int in_recvmsg(int s)
{
    char bytes[2];
    struct nn_iovec pieces[2] = {{bytes, 1}, {bytes + 1, 1}};
    struct nn_msghdr header = {pieces, 2, NULL, 0};
    return nn_recvmsg(s, &header, 0);
}

static int in_poll(int s)
{
    struct nn_pollfd entry = {s, NN_POLLIN, 0};
    return nn_poll(&entry, 1, -1);
}

static int in_poll_out(int s)
{
    struct nn_pollfd entry = {s, NN_POLLOUT, 0};
    int result;
    while ((result = nn_poll(&entry, 1, -1)) > 0 && nn_send(s, big, sizeof big, 0) > 0)
        continue;
    return result;
}

static int in_send(int s)
{
    while (nn_send(s, big, sizeof big, 0) >= 0)
        continue;
    return -1;
}

static int in_sendmsg(int s)
{
    struct nn_iovec pieces[2] = {{big, 10}, {big + 10, sizeof big - 10}};
    struct nn_msghdr header = {pieces, 2, NULL, 0};
    while (nn_sendmsg(s, &header, 0) >= 0)
        continue;
    return -1;
}

static int (*const CALLS[])(int) = {in_recv, in_recv_msg, in_recvmsg, in_poll, in_send, in_sendmsg,
                                    in_poll_out};

static void note_cleaned(void *argument)
{
    ((struct victim *)argument)->cleaned++;
}

static void *make_call(void *argument)
{
    struct victim *victim = argument;
    pthread_cleanup_push(note_cleaned, victim);
    victim->result = victim->call(victim->s);
    pthread_cleanup_pop(0);
    return NULL;
}

static void victim_start(struct victim *victim, int s, int (*call)(int))
{
    *victim = (struct victim){.s = s, .call = call};
    thread_start(&victim->thread, make_call, victim);
    CHECK(thread_asleep(&victim->thread));
}

static void victim_cancel(struct victim *victim)
{
    REQUIRE(pthread_cancel(victim->thread.id) == 0);
    CHECK(thread_join(&victim->thread) == PTHREAD_CANCELED);
    CHECK_EQ(victim->cleaned, 1);
}

static void pair_over(const char *scheme, int both[2])
{
    open_both(NN_PAIR, NN_PAIR, scheme, both);
    for (int i = 0; i < 2; i++) {
        set_int(both[i], NN_RCVTIMEO, -1);
        set_int(both[i], NN_SNDTIMEO, -1);
        set_int(both[i], NN_LINGER, 0);
    }
}

static void pair_of(int both[2])
{
    pair_over(trial.scheme, both);
}

/* For who exits with it open: one that leaves no file. */
static void pair_to_leave(int both[2])
{
    pair_over(strcmp(trial.scheme, "ipc") == 0 ? "tcp" : trial.scheme, both);
}

/* In both directions, whatever lies in the way. */
static void check_works(const int both[2])
{
    char byte;
    for (int i = 0; i < 2; i++)
        set_int(both[i], NN_SNDTIMEO, PATIENCE_MS);
    while (nn_send(both[0], "", 0, NN_DONTWAIT) < 0 && errno == EAGAIN)
        (void)nn_recv(both[1], &byte, 1, NN_DONTWAIT);
    CHECK_TALK(both[0], both[1]);
}

static void a_cancelled_thread_goes_and_the_socket_stays(void)
{
    for (size_t i = 0; i < COUNT_OF(CALLS); i++) {
        struct victim victim;
        int both[2];
        pair_of(both);
        for (int round = 0; round < 3; round++) {
            victim_start(&victim, both[0], CALLS[i]);
            victim_cancel(&victim);
        }
        check_works(both);
        CHECK_CLOSE(both[0], both[1]);
    }
}

/* The one that drives the I/O for the others goes first, then one that slept behind it. */
static void others_who_wait_are_served(void)
{
    struct victim victims[4];
    int both[2];
    pair_of(both);
    for (int i = 0; i < 4; i++)
        victim_start(&victims[i], both[0], in_recv);
    victim_cancel(&victims[0]);
    victim_cancel(&victims[2]);
    CHECK_EQ(nn_send(both[1], "1", 1, 0), 1);
    CHECK_EQ(nn_send(both[1], "2", 1, 0), 1);
    thread_join(&victims[1].thread);
    thread_join(&victims[3].thread);
    CHECK_EQ(victims[1].result, 1);
    CHECK_EQ(victims[3].result, 1);
    CHECK_CLOSE(both[0], both[1]);
}

static void closing_does_not_wait_for_who_was_cancelled(void)
{
    struct victim victims[3];
    int both[2];
    pair_of(both);
    victim_start(&victims[0], both[0], in_recv);
    victim_start(&victims[1], both[0], in_poll);
    victim_start(&victims[2], both[0], in_send);
    for (int i = 0; i < 3; i++)
        victim_cancel(&victims[i]);
    int64_t start = now_ms();
    CHECK_CLOSE(both[0], both[1]);
    CHECK_AT_MOST(now_ms() - start, 900);
}

static void *call_when_cancelled(void *argument)
{
    struct victim *victim = argument;
    pthread_cleanup_push(note_cleaned, victim);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    while (!__atomic_load_n(&victim->result, __ATOMIC_ACQUIRE))
        nap_ms(1);
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
    victim->call(victim->s);
    pthread_cleanup_pop(0);
    return NULL;
}

/* Also where the call would not have to wait. */
static void who_was_cancelled_before_goes_at_the_next_call(void)
{
    for (size_t i = 0; i < COUNT_OF(CALLS); i++) {
        int both[2];
        pair_of(both);
        struct victim victim = {.s = both[0], .call = CALLS[i]};
        CHECK_EQ(nn_send(both[1], "1", 1, 0), 1);
        thread_start(&victim.thread, call_when_cancelled, &victim);
        REQUIRE(pthread_cancel(victim.thread.id) == 0);
        __atomic_store_n(&victim.result, 1, __ATOMIC_RELEASE);
        CHECK(thread_join(&victim.thread) == PTHREAD_CANCELED);
        CHECK_EQ(victim.cleaned, 1);
        CHECK_EQ(in_recv(both[0]), 1);
        CHECK_CLOSE(both[0], both[1]);
    }
}

static void *call_and_forbid(void *argument)
{
    struct victim *victim = argument;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    victim->result = victim->call(victim->s);
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
    pthread_cleanup_push(note_cleaned, victim);
    pthread_testcancel();
    pthread_cleanup_pop(0);
    return NULL;
}

static void who_forbids_it_is_not_disturbed(void)
{
    int both[2];
    pair_of(both);
    struct victim victim = {.s = both[0], .call = in_recv};
    thread_start(&victim.thread, call_and_forbid, &victim);
    CHECK(thread_asleep(&victim.thread));
    REQUIRE(pthread_cancel(victim.thread.id) == 0);
    CHECK_EQ(nn_send(both[1], "1", 1, 0), 1);
    CHECK(thread_join(&victim.thread) == PTHREAD_CANCELED);
    CHECK_EQ(victim.result, 1);
    CHECK_EQ(victim.cleaned, 1);
    CHECK_CLOSE(both[0], both[1]);
}

static void free_lent(void *argument)
{
    struct victim *victim = argument;
    victim->cleaned++;
    /* What was not sent is the caller's. */
    CHECK_EQ(nn_freemsg(victim->lent), 0);
}

static void *lend(void *argument)
{
    struct victim *victim = argument;
    pthread_cleanup_push(free_lent, victim);
    do {
        victim->lent = nn_allocmsg(sizeof big, 0);
        memset(victim->lent, 7, sizeof big);
    } while (nn_send(victim->s, &victim->lent, NN_MSG, 0) >= 0);
    pthread_cleanup_pop(0);
    return NULL;
}

static void a_message_that_was_not_sent_is_still_the_callers(void)
{
    int both[2];
    pair_of(both);
    struct victim victim = {.s = both[0]};
    thread_start(&victim.thread, lend, &victim);
    CHECK(thread_asleep(&victim.thread));
    victim_cancel(&victim);
    CHECK_CLOSE(both[0], both[1]);
}

static int run_device(int s)
{
    return nn_device(s, s + 1);
}

static int run_loop(int s)
{
    return nn_device(s, -1);
}

static void a_device_can_be_cancelled(void)
{
    for (int way = 0; way < 2; way++) {
        struct url urls[2] = {unique_url(trial.scheme), unique_url(trial.scheme)};
        struct victim victim;
        int raw[2], peers[2], count = way ? 1 : 2;
        for (int i = 0; i < count; i++)
            raw[i] = open_bound(AF_SP_RAW, NN_PAIR, urls[i].text);
        REQUIRE(count == 1 || raw[1] == raw[0] + 1);
        for (int i = 0; i < count; i++) {
            peers[i] = open_connected(AF_SP, NN_PAIR, urls[i].text);
            set_int(raw[i], NN_RCVTIMEO, -1);
        }
        victim_start(&victim, raw[0], way ? run_loop : run_device);
        CHECK_EQ(nn_send(peers[0], "1", 1, 0), 1);
        CHECK_EQ(in_recv(peers[count - 1]), 1);
        victim_cancel(&victim);
        /* Nobody passes anything on any more. */
        CHECK_EQ(nn_send(peers[0], "2", 1, 0), 1);
        char byte = 0;
        CHECK_EQ(nn_recv(raw[0], &byte, 1, 0), 1);
        CHECK_EQ(byte, '2');
        close_sockets(peers, (size_t)count);
        close_sockets(raw, (size_t)count);
    }
}

/* Nothing is lost and nothing comes twice, whenever it is that a receiver goes. */
struct tally {
    int s;
    unsigned char *seen;
    int count;
};

static void *receive(void *argument)
{
    struct tally *tally = argument;
    for (;;) {
        int number = -1;
        int size = nn_recv(tally->s, &number, sizeof number, 0);
        if (size != sizeof number)
            return NULL;
        if (number < 0)
            return tally;
        __atomic_fetch_add(&tally->seen[number], 1, __ATOMIC_RELAXED);
    }
}

static void *send_all(void *argument)
{
    struct tally *tally = argument;
    for (int i = 0; i < tally->count; i++) {
        if (nn_send(tally->s, &i, sizeof i, 0) != sizeof i)
            return NULL;
        if (i % 16 == 0)
            nap_ms(1);
    }
    return tally;
}

static void receivers_that_come_and_go_lose_nothing(void)
{
    enum { RECEIVERS = 3 };
    int count = 4000 * trial.effort, both[2];
    pair_of(both);
    struct tally from = {both[1], NULL, count}, to = {both[0], calloc((size_t)count, 1), count};
    REQUIRE(to.seen != NULL);
    struct thread sender, receivers[RECEIVERS];
    thread_start(&sender, send_all, &from);
    for (int i = 0; i < RECEIVERS; i++)
        thread_start(&receivers[i], receive, &to);
    long cancelled = 0;
    while (!thread_done(&sender)) {
        int i = (int)random_below(&trial.seed, RECEIVERS);
        (void)pthread_cancel(receivers[i].id);
        CHECK(thread_join(&receivers[i]) == PTHREAD_CANCELED);
        thread_start(&receivers[i], receive, &to);
        cancelled++;
        if (random_below(&trial.seed, 3) == 0)
            nap_ms(1);
    }
    CHECK(thread_join(&sender) == &from);
    for (int i = 0; i < RECEIVERS; i++) {
        int end = -1;
        CHECK_EQ(nn_send(both[1], &end, sizeof end, 0), sizeof end);
    }
    for (int i = 0; i < RECEIVERS; i++)
        CHECK(thread_join(&receivers[i]) == &to);
    int wrong = 0;
    for (int i = 0; i < count; i++)
        wrong += to.seen[i] != 1;
    CHECK_EQ(wrong, 0);
    CHECK_AT_LEAST(cancelled, 10);
    free(to.seen);
    CHECK_CLOSE(both[0], both[1]);
}

static __thread sigjmp_buf out;

static void jump(int number)
{
    (void)number;
    siglongjmp(out, 1);
}

enum then { RETURN, TRY_BOTH };

/* Where the stack of the handler lies: thread-local memory is above that of the thread. */
enum from { BELOW, ABOVE };

enum { STACK_SIZE = 1 << 16 };

struct jumper {
    struct thread thread;
    int both[2];
    int (*call)(int s);
    enum then then; /* what is done on the thread that has jumped */
    enum from from;
};

static void *jump_out(void *argument)
{
    struct jumper *jumper = argument;
    static __thread char above[STACK_SIZE];
    static char below[STACK_SIZE];
    stack_t other = {.ss_sp = jumper->from == ABOVE ? above : below, .ss_size = STACK_SIZE};
    REQUIRE(sigaltstack(&other, NULL) == 0);
    if (sigsetjmp(out, 1) == 0) {
        jumper->call(jumper->both[0]);
        FAIL("the call has returned");
    } else if (jumper->then == TRY_BOTH) {
        check_works(jumper->both);
        CHECK_CLOSE(jumper->both[0], jumper->both[1]);
    }
    return jumper;
}

static void jump_from(int (*call)(int), enum then then, enum from from)
{
    struct jumper jumper = {.call = call, .then = then, .from = from};
    pair_of(jumper.both);
    thread_start(&jumper.thread, jump_out, &jumper);
    CHECK(thread_asleep(&jumper.thread));
    REQUIRE(pthread_kill(jumper.thread.id, SIGUSR1) == 0);
    thread_join(&jumper.thread);
    if (then == TRY_BOTH)
        return;
    check_works(jumper.both);
    CHECK_CLOSE(jumper.both[0], jumper.both[1]);
}

static void install_jump(int flags)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = jump;
    action.sa_flags = flags;
    REQUIRE(sigaction(SIGUSR1, &action, NULL) == 0);
}

static void who_jumps_out_of_a_call_can_make_others(void)
{
    for (size_t i = 0; i < COUNT_OF(CALLS); i++) {
        install_jump(i % 2 ? SA_ONSTACK : 0);
        jump_from(CALLS[i], TRY_BOTH, BELOW);
    }
}

static void who_jumps_out_of_a_call_leaves_the_socket_to_others(void)
{
    for (size_t i = 0; i < COUNT_OF(CALLS); i++) {
        install_jump(i % 2 ? 0 : SA_ONSTACK);
        jump_from(CALLS[i], RETURN, BELOW);
    }
}

/* The C library cannot see then that frames are left, and some memory is. */
static int jump_from_above(void *argument)
{
    (void)argument;
    for (size_t i = 0; i < COUNT_OF(CALLS); i++) {
        install_jump(SA_ONSTACK);
        jump_from(CALLS[i], TRY_BOTH, ABOVE);
        jump_from(CALLS[i], RETURN, ABOVE);
    }
    return 7;
}

static void jumps_that_the_c_library_does_not_see_are_survived(void)
{
    struct child child;
    child_start(&child, jump_from_above, NULL);
    CHECK_EQ(child_wait(&child, 3 * PATIENCE_MS), 7);
}

/* Whoever sleeps behind a leader that has gone is served by the next one. */
static void others_who_wait_behind_a_jumper_are_served(void)
{
    install_jump(0);
    struct jumper jumper = {.call = in_recv};
    struct victim other;
    pair_of(jumper.both);
    thread_start(&jumper.thread, jump_out, &jumper);
    CHECK(thread_asleep(&jumper.thread));
    victim_start(&other, jumper.both[0], in_recv);
    REQUIRE(pthread_kill(jumper.thread.id, SIGUSR1) == 0);
    thread_join(&jumper.thread);
    CHECK_EQ(nn_send(jumper.both[1], "1", 1, 0), 1);
    thread_join(&other.thread);
    CHECK_EQ(other.result, 1);
    CHECK_CLOSE(jumper.both[0], jumper.both[1]);
}

static void *block_for_ever(void *argument)
{
    in_recv(*(int *)argument);
    return NULL;
}

static int exit_beside(void *argument)
{
    (void)argument;
    struct thread blocked[2];
    int both[2];
    pair_to_leave(both);
    for (int i = 0; i < 2; i++) {
        thread_start(&blocked[i], block_for_ever, &both[i]);
        CHECK(thread_asleep(&blocked[i]));
    }
    exit(case_failed() ? 1 : 7);
}

static void *receive_and_exit(void *argument)
{
    exit(in_recv(*(int *)argument) == 1 ? 7 : 1);
}

static int leave_main_thread(void *argument)
{
    (void)argument;
    struct thread *blocked = malloc(sizeof *blocked);
    int *both = malloc(2 * sizeof *both);
    REQUIRE(blocked != NULL && both != NULL);
    pair_to_leave(both);
    thread_start(blocked, receive_and_exit, &both[0]);
    CHECK(thread_asleep(blocked));
    CHECK_EQ(nn_send(both[1], "1", 1, 0), 1);
    pthread_exit(NULL);
}

static void exits_and_the_main_threads_end_are_nobodys_trouble(void)
{
    int (*const ways[])(void *) = {exit_beside, leave_main_thread};
    for (size_t i = 0; i < COUNT_OF(ways); i++) {
        struct child child;
        child_start(&child, ways[i], NULL);
        CHECK_EQ(child_wait(&child, PATIENCE_MS), 7);
    }
}

int main(int count, char **words)
{
    trial_begin("robustness/cancel", "inproc|ipc|tcp|ws|tls+tcp|wss", 30, count, words);
#ifdef __SANITIZE_ADDRESS__
    /* What a frame has poisoned that is unwound by force stays so, and the sanitizer trips over it
     * when the thread ends. */
    if (CASE("threads_that_never_come_back"))
        test_skip("the sanitizer cannot follow who leaves frames by force");
    return test_end();
#endif
    RUN(a_cancelled_thread_goes_and_the_socket_stays);
    RUN(others_who_wait_are_served);
    RUN(closing_does_not_wait_for_who_was_cancelled);
    RUN(who_was_cancelled_before_goes_at_the_next_call);
    RUN(who_forbids_it_is_not_disturbed);
    RUN(a_message_that_was_not_sent_is_still_the_callers);
    RUN(a_device_can_be_cancelled);
    RUN(receivers_that_come_and_go_lose_nothing);
    RUN(who_jumps_out_of_a_call_can_make_others);
    RUN(who_jumps_out_of_a_call_leaves_the_socket_to_others);
    RUN(jumps_that_the_c_library_does_not_see_are_survived);
    RUN(others_who_wait_behind_a_jumper_are_served);
    RUN(exits_and_the_main_threads_end_are_nobodys_trouble);
    RUN(nothing_is_left);
    return test_end();
}
