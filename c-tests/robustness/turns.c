/* Two threads that take turns on one processor. Who waits there gives way before he sleeps: what
 * befalls him meanwhile is noticed as it is in a sleep.
 *
 * sched_yield and pthread_sigmask are functions of this program, which the library calls: so things
 * happen while the library gives way, and at no other moment. So does its background thread where
 * descriptors are polled, which nothing befalls.
 *
 *   turns inproc|ipc|tcp|ws|tls+tcp|wss [EFFORT [SEED]] */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/process.h"
#include "support/sockets.h"
#include "support/thread.h"
#include "support/trial.h"

#include <nanomsg/nn.h>

#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS = 200, STRIKES = 5, LEFT = 7 };

enum strike { NOTHING, SIGNAL, CANCEL };

/* What befalls the calling thread when it gives way next. */
static __thread enum strike strike;
/* It is where a handler may jump away. */
static __thread volatile sig_atomic_t may_leave;
static enum { RETURNS, JUMPS, EXITS } handler_does;
static sigjmp_buf out;
static int struck;
static int background_turns;

int pthread_sigmask(int how, const sigset_t *set, sigset_t *before)
{
    static int (*original)(int, const sigset_t *, sigset_t *);
    if (original == NULL)
        *(void **)&original = dlsym(RTLD_NEXT, "pthread_sigmask");
    may_leave = how == SIG_SETMASK;
    int result = original(how, set, before);
    may_leave = 0;
    return result;
}

int sched_yield(void)
{
    static int (*original)(void);
    sigset_t blocked;
    if (original == NULL)
        *(void **)&original = dlsym(RTLD_NEXT, "sched_yield");
    /* Whoever else calls this has no signals held off. */
    REQUIRE(pthread_sigmask(SIG_BLOCK, NULL, &blocked) == 0);
    /* Callers hold off no signal that a thread gets for what it does itself. */
    if (sigismember(&blocked, SIGSEGV) == 1)
        __atomic_fetch_add(&background_turns, 1, __ATOMIC_RELAXED);
    if (strike != NOTHING && sigismember(&blocked, SIGUSR1) == 1) {
        REQUIRE((strike == SIGNAL ? pthread_kill(pthread_self(), SIGUSR1)
                                  : pthread_cancel(pthread_self())) == 0);
        strike = NOTHING;
        __atomic_store_n(&struck, 1, __ATOMIC_RELEASE);
    }
    return original();
}

static void on_signal(int number)
{
    (void)number;
    if (handler_does == JUMPS && may_leave)
        siglongjmp(out, 1);
    if (handler_does == EXITS && may_leave)
        exit(LEFT);
}

struct table {
    int own;
    int other;
    struct thread *waits;
    struct thread peer;
};

/* Whoever sleeps is struck before or not at all. */
static int nobody_is_struck(struct thread *waits)
{
    while (!__atomic_load_n(&struck, __ATOMIC_ACQUIRE)) {
        if (thread_asleep(waits))
            return !__atomic_load_n(&struck, __ATOMIC_ACQUIRE);
        nap_ms(1);
    }
    return 0;
}

/* Answers everything at once, but for what is to strike: that, when it has not. */
static void *answer(void *argument)
{
    struct table *table = argument;
    char letter;
    while (nn_recv(table->other, &letter, 1, 0) == 1 && letter != 'e') {
        if (letter == 'a' || nobody_is_struck(table->waits))
            REQUIRE(nn_send(table->other, &letter, 1, 0) == 1);
    }
    return NULL;
}

static void ask(struct table *table, char letter)
{
    REQUIRE(nn_send(table->own, &letter, 1, 0) == 1);
}

static int await_by_recv(struct table *table)
{
    char letter;
    return nn_recv(table->own, &letter, 1, 0);
}

static int await_by_poll(struct table *table)
{
    struct nn_pollfd entry = {table->own, NN_POLLIN, 0};
    int result = nn_poll(&entry, 1, PATIENCE_MS);
    return result == 1 ? await_by_recv(table) : result;
}

static void play(struct table *table, int (*await)(struct table *))
{
    for (int i = 0; i < ROUNDS; i++) {
        ask(table, 'a');
        REQUIRE(await(table) == 1);
    }
}

static void sit_down(struct table *table, struct thread *waits)
{
    struct url url = unique_url(trial.scheme);
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    REQUIRE(sigaction(SIGUSR1, &action, NULL) == 0);
    open_pairs(&table->own, &table->other, url.text);
    set_int(table->own, NN_RCVTIMEO, PATIENCE_MS);
    set_int(table->other, NN_RCVTIMEO, -1);
    table->waits = waits;
    thread_start(&table->peer, answer, table);
}

static void get_up(struct table *table)
{
    ask(table, 'e');
    thread_join(&table->peer);
    CHECK_CLOSE(table->own, table->other);
}

struct game {
    struct table table;
    struct thread thread;
    int (*await)(struct table *);
    int strikes;
};

/* The next wait is struck by a signal, if it gives way. */
static void provoke(struct table *table)
{
    __atomic_store_n(&struck, 0, __ATOMIC_RELEASE);
    strike = SIGNAL;
    ask(table, 's');
}

static void *play_and_be_interrupted(void *argument)
{
    struct game *game = argument;
    for (int i = 0; i < STRIKES * trial.effort; i++) {
        play(&game->table, game->await);
        provoke(&game->table);
        int result = game->await(&game->table), error = errno;
        strike = NOTHING;
        if (__atomic_load_n(&struck, __ATOMIC_ACQUIRE)) {
            game->strikes++;
            CHECK_EQ(result, -1);
            CHECK_EQ(error, EINTR);
        } else {
            CHECK_EQ(result, 1);
        }
    }
    return NULL;
}

static void *play_and_jump(void *argument)
{
    struct game *game = argument;
    for (volatile int i = 0; i < STRIKES * trial.effort; i++) {
        play(&game->table, game->await);
        if (sigsetjmp(out, 1) == 0) {
            provoke(&game->table);
            CHECK_EQ(game->await(&game->table), 1);
        } else {
            may_leave = 0;
            game->strikes++;
        }
        strike = NOTHING;
    }
    return NULL;
}

static void *play_and_be_cancelled(void *argument)
{
    struct game *game = argument;
    play(&game->table, game->await);
    __atomic_store_n(&struck, 0, __ATOMIC_RELEASE);
    strike = CANCEL;
    ask(&game->table, 's');
    CHECK_EQ(game->await(&game->table), 1);
    strike = NOTHING;
    return NULL;
}

static int run(void *(*player)(void *), int (*await)(struct table *))
{
    struct game game = {.await = await, .strikes = 0};
    sit_down(&game.table, &game.thread);
    thread_start(&game.thread, player, &game);
    void *result = thread_join(&game.thread);
    get_up(&game.table);
    return game.strikes + (result == PTHREAD_CANCELED);
}

static void report(int strikes)
{
    printf("  %d times while it gave way\n", strikes);
}

static void a_handler_that_runs_meanwhile_is_noticed(void)
{
    handler_does = RETURNS;
    report(run(play_and_be_interrupted, await_by_recv));
}

static void a_poll_notices_it_as_well(void)
{
    handler_does = RETURNS;
    report(run(play_and_be_interrupted, await_by_poll));
}

static void a_handler_may_jump_out_of_it(void)
{
    handler_does = JUMPS;
    report(run(play_and_jump, await_by_recv) + run(play_and_jump, await_by_poll));
}

static void a_thread_that_is_cancelled_meanwhile_ends(void)
{
    int count = 0;
    for (int i = 0; i < STRIKES; i++)
        count += run(play_and_be_cancelled, i % 2 ? await_by_poll : await_by_recv);
    report(count);
}

/* A socket and the descriptor for which it is polled: who asks for it anew has the library look. */
struct polled {
    int s;
    int descriptor;
};

static struct polled polled(int s)
{
    return (struct polled){s, get_int(s, NN_SOL_SOCKET, NN_RCVFD)};
}

static int is_readable(struct polled of, int ms)
{
    struct pollfd entry = {of.descriptor, POLLIN, 0};
    return poll(&entry, 1, ms) == 1;
}

/* One message, of which the descriptor says that it is there, and that it is there no longer. */
static char received(struct polled by)
{
    char letter = 0;
    REQUIRE(is_readable(by, PATIENCE_MS));
    CHECK_EQ(nn_recv(by.s, &letter, 1, NN_DONTWAIT), 1);
    CHECK(!is_readable(by, 0));
    return letter;
}

static int answer_a_descriptor(void *url)
{
    int s = connected_pair(url);
    struct polled own = polled(s);
    for (char letter = 0; letter != 'e';) {
        letter = received(own);
        REQUIRE(nn_send(s, &letter, 1, 0) == 1);
    }
    /* The last one has arrived when the other side has gone. */
    CHECK_PIPES(s, 0);
    CHECK_CLOSE(s);
    return 0;
}

static void exchange(struct polled own, char letter)
{
    REQUIRE(nn_send(own.s, &letter, 1, 0) == 1);
    CHECK_EQ(received(own), letter);
}

/* The other side has a background thread of its own. */
static void who_polls_a_descriptor_takes_turns_with_the_one_that_lights_it(void)
{
    struct url url = unique_url(trial.scheme), beside = unique_url(trial.scheme);
    struct child child;
    int near, far, before = __atomic_load_n(&background_turns, __ATOMIC_RELAXED), exchanges = 0;
    child_start(&child, answer_a_descriptor, url.text);
    int s = bound_pair(url.text);
    CHECK_PIPES(s, 1);
    open_pairs(&near, &far, beside.text);
    struct polled own = polled(s), others = polled(far);
    for (int i = 0; i < STRIKES * trial.effort; i++) {
        for (int round = 0; round < ROUNDS; round++)
            exchange(own, 'a');
        /* However busy the two are, others are heard. */
        REQUIRE(nn_send(near, "b", 1, 0) == 1);
        for (; !is_readable(others, 0); exchanges++)
            exchange(own, 'a');
        CHECK_EQ(received(others), 'b');
    }
    int turns = __atomic_load_n(&background_turns, __ATOMIC_RELAXED) - before;
    printf("  %d turns, %d exchanges until others were heard\n", turns, exchanges);
    CHECK(turns > 0);
    exchange(own, 'e');
    CHECK_CLOSE(near, far, s);
    CHECK_EQ(child_wait(&child, 6 * PATIENCE_MS), 0);
}

/* With a child of its own, which has no sockets of its parent. */
static void a_handler_may_exit(void)
{
    int status = 0;
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        handler_does = EXITS;
        run(play_and_be_interrupted, await_by_recv);
        _exit(LEFT);
    }
    CHECK(wait_until(waitpid(child, &status, WNOHANG) == child, 6 * PATIENCE_MS));
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == LEFT);
}

int main(int count, char **words)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    REQUIRE(sched_getaffinity(0, sizeof one, &one) == 0);
    for (int cpu = 0, left = 1; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &one) && left-- <= 0)
            CPU_CLR(cpu, &one);
    }
    REQUIRE(sched_setaffinity(0, sizeof one, &one) == 0);
    trial_begin("robustness/turns", "inproc|ipc|tcp|ws|tls+tcp|wss", 90, count, words);
    RUN(a_handler_may_exit);
    if (strcmp(trial.scheme, "inproc") != 0)
        RUN(who_polls_a_descriptor_takes_turns_with_the_one_that_lights_it);
    RUN(a_handler_that_runs_meanwhile_is_noticed);
    RUN(a_poll_notices_it_as_well);
    RUN(a_handler_may_jump_out_of_it);
    RUN(a_thread_that_is_cancelled_meanwhile_ends);
    RUN(nothing_is_left);
    return test_end();
}
