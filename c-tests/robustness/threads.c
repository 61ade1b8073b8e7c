/* Many threads that do everything at once to the same few sockets, names and handles, most of which
 * are closed under their hands. Calls may fail; none hangs or crashes, and nothing is left over.
 *
 *   threads inproc|ipc|tcp|ws|tls+tcp|wss [EFFORT [SEED]] */

#include "support/address.h"
#include "support/blocked.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/credentials.h"
#include "support/random.h"
#include "support/sockets.h"
#include "support/talk.h"
#include "support/thread.h"
#include "support/trial.h"

#include <nanomsg/nn.h>
#include <nanomsg/pair.h>

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum { THREADS = 8, HANDLES = 10, NAMES = 3, SECONDS = 2 };

static struct url names[NAMES];

struct worker {
    struct thread thread;
    uint64_t state;
    int stop;
    /* What it does now and since when, for the report of a hang. */
    const char *call;
    int64_t since_ms;
    long calls;
    long sent;
    long received;
};

static struct worker workers[THREADS];

static void note(struct worker *worker, const char *call)
{
    worker->calls++;
    __atomic_store_n(&worker->call, call, __ATOMIC_RELAXED);
    __atomic_store_n(&worker->since_ms, now_ms(), __ATOMIC_RELAXED);
}

static void open_one(void)
{
    int s = dressed(nn_socket(AF_SP, NN_PAIR));
    int ms = 5, interval = 2, linger = 5;
    if (s < 0)
        return;
    /* Others may have closed it by now, so nothing is checked. */
    nn_setsockopt(s, NN_SOL_SOCKET, NN_RCVTIMEO, &ms, sizeof ms);
    nn_setsockopt(s, NN_SOL_SOCKET, NN_SNDTIMEO, &ms, sizeof ms);
    nn_setsockopt(s, NN_SOL_SOCKET, NN_RECONNECT_IVL, &interval, sizeof interval);
    nn_setsockopt(s, NN_SOL_SOCKET, NN_LINGER, &linger, sizeof linger);
    /* Few enough sockets that threads meet on them. */
    if (s >= HANDLES)
        nn_close(s);
}

static void send_one(struct worker *worker, int s)
{
    static const size_t sizes[] = {0, 1, 40, 4000, 300000};
    size_t size = sizes[random_below(&worker->state, 5)];
    int flags = random_below(&worker->state, 8) ? NN_DONTWAIT : 0;
    void *chunk = nn_allocmsg(size, 0);
    REQUIRE(chunk != NULL);
    memset(chunk, (int)(size % 251), size);
    if (random_below(&worker->state, 2)) {
        worker->sent += nn_send(s, chunk, size, flags) == (int)size;
        nn_freemsg(chunk);
    } else if (nn_send(s, &chunk, NN_MSG, flags) == (int)size) {
        worker->sent++;
    } else {
        nn_freemsg(chunk);
    }
}

/* Whatever arrives is whole: every byte of a message is a function of its size. */
static void receive_one(struct worker *worker, int s)
{
    unsigned char *chunk = NULL;
    int flags = random_below(&worker->state, 8) ? NN_DONTWAIT : 0;
    int size = nn_recv(s, &chunk, NN_MSG, flags);
    if (size < 0)
        return;
    __atomic_add_fetch(&worker->received, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < size; i++)
        if (chunk[i] != size % 251) {
            FAIL("byte %d of %d is %d", i, size, chunk[i]);
            break;
        }
    nn_freemsg(chunk);
}

static void look_at_options(int s)
{
    int value;
    size_t size = sizeof value;
    nn_getsockopt(s, NN_SOL_SOCKET, NN_RCVFD, &value, &size);
    size = sizeof value;
    nn_getsockopt(s, NN_SOL_SOCKET, NN_SNDFD, &value, &size);
    size = sizeof value;
    nn_getsockopt(s, NN_SOL_SOCKET, NN_LINGER, &value, &size);
    value = 1 << 20;
    nn_setsockopt(s, NN_SOL_SOCKET, NN_RCVMAXSIZE, &value, sizeof value);
    nn_get_statistic(s, NN_STAT_CURRENT_CONNECTIONS);
}

static void do_something(struct worker *worker)
{
    int what = random_below(&worker->state, 100), s = random_below(&worker->state, HANDLES);
    const char *name = names[random_below(&worker->state, NAMES)].text;
    if (what < 12) {
        note(worker, "nn_socket");
        open_one();
    } else if (what < 18) {
        note(worker, "nn_close");
        nn_close(s);
    } else if (what < 28) {
        note(worker, "nn_bind");
        nn_bind(s, name);
    } else if (what < 40) {
        note(worker, "nn_connect");
        nn_connect(s, name);
    } else if (what < 48) {
        note(worker, "nn_shutdown");
        nn_shutdown(s, random_below(&worker->state, 6) + 1);
    } else if (what < 70) {
        note(worker, "nn_send");
        send_one(worker, s);
    } else if (what < 92) {
        note(worker, "nn_recv");
        receive_one(worker, s);
    } else {
        note(worker, "nn_getsockopt");
        look_at_options(s);
    }
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    while (!__atomic_load_n(&worker->stop, __ATOMIC_ACQUIRE))
        do_something(worker);
    note(worker, "nothing");
    return NULL;
}

static int all_done(void)
{
    int done = 1;
    for (int i = 0; i < THREADS; i++)
        done &= thread_done(&workers[i].thread);
    return done;
}

static void close_everything(void)
{
    for (int s = 0; s < 512; s++)
        nn_close(s);
}

/* A receive that began before its timeout was set ends because its socket is closed. */
static void stop_workers(void)
{
    for (int i = 0; i < THREADS; i++)
        __atomic_store_n(&workers[i].stop, 1, __ATOMIC_RELEASE);
    if (!wait_until((close_everything(), all_done()), PATIENCE_MS)) {
        for (int i = 0; i < THREADS; i++)
            if (!thread_done(&workers[i].thread))
                FAIL("thread %d has been in %s for %lld ms", i, workers[i].call,
                     (long long)(now_ms() - workers[i].since_ms));
        test_abandon();
    }
    for (int i = 0; i < THREADS; i++)
        thread_join(&workers[i].thread);
    close_everything();
}

static long count_received(void)
{
    long received = 0;
    for (int i = 0; i < THREADS; i++)
        received += __atomic_load_n(&workers[i].received, __ATOMIC_RELAXED);
    return received;
}

static void churn(uint64_t seed, int ms)
{
    long calls = 0, sent = 0;
    memset(workers, 0, sizeof workers);
    for (int i = 0; i < THREADS; i++) {
        workers[i].state = seed + (uint64_t)i * 1000003;
        thread_start(&workers[i].thread, work, &workers[i]);
    }
    int64_t stop = now_ms() + ms, last = stop + PATIENCE_MS;
    /* Where greetings take long, as those of TLS on a busy machine, a first message may, too. */
    while (now_ms() < stop || (now_ms() < last && count_received() == 0)) {
        nap_ms(10);
        for (int i = 0; i < THREADS; i++)
            if (now_ms() - __atomic_load_n(&workers[i].since_ms, __ATOMIC_RELAXED) > PATIENCE_MS
                && __atomic_load_n(&workers[i].since_ms, __ATOMIC_RELAXED) > 0)
                stop = last = 0;
    }
    stop_workers();
    for (int i = 0; i < THREADS; i++) {
        calls += workers[i].calls;
        sent += workers[i].sent;
    }
    long received = count_received();
    printf("%ld calls, %ld messages sent, %ld received\n", calls, sent, received);
    CHECK_AT_LEAST(sent, 1);
    CHECK_AT_LEAST(received, 1);
    CHECK_AT_MOST(received, sent);
}

static void everything_at_once_is_survived(void)
{
    for (int i = 0; i < NAMES; i++)
        names[i] = unique_url(trial.scheme);
    churn(trial.seed, SECONDS * 1000 * trial.effort);
    for (int i = 0; i < NAMES; i++)
        check_fresh_conversation(names[i].text);
}

/* ---- closing under a thread that is blocked ---- */

static void check_blocked(int sends, int with_peer)
{
    struct url url = unique_url(trial.scheme);
    int s = open_pair(), peer = open_quick();
    set_int(s, NN_LINGER, 0);
    set_int(s, NN_SNDTIMEO, -1);
    set_int(s, NN_RCVTIMEO, -1);
    CHECK_OK(nn_bind(s, url.text));
    if (with_peer) {
        CHECK_OK(nn_connect(peer, url.text));
        CHECK_TALK(s, peer);
    }
    /* Promised are 100 ms; a busy machine gets some more. */
    check_close_wakes(s, sends ? 0 : 4, sends ? 4 : 0, 500);
    CHECK_CLOSE(peer);
}

static void closing_wakes_every_blocked_thread(void)
{
    for (int i = 0; i < 4; i++)
        check_blocked(i & 1, i & 2);
}

/* ---- the same handle closed by all at once ---- */

struct closer {
    int s;
    int *go;
    int result;
};

static void *close_it(void *argument)
{
    struct closer *closer = argument;
    while (!__atomic_load_n(closer->go, __ATOMIC_ACQUIRE))
        continue;
    closer->result = nn_close(closer->s);
    return NULL;
}

static void only_one_of_many_closes_succeeds(void)
{
    for (int round = 0; round < 50 * trial.effort; round++) {
        struct thread threads[3];
        struct closer closers[3];
        struct url url = unique_url(trial.scheme);
        int go = 0, succeeded = 0, s = open_pair();
        CHECK_OK(nn_bind(s, url.text));
        for (int i = 0; i < 3; i++) {
            struct closer one = {s, &go, 1};
            closers[i] = one;
            thread_start(&threads[i], close_it, &closers[i]);
        }
        __atomic_store_n(&go, 1, __ATOMIC_RELEASE);
        for (int i = 0; i < 3; i++) {
            thread_join(&threads[i]);
            succeeded += closers[i].result == 0;
        }
        CHECK_EQ(succeeded, 1);
    }
}

int main(int count, char **words)
{
    trial_begin("robustness/threads", "inproc|ipc|tcp|ws|tls+tcp|wss", 50, count, words);
    RUN(everything_at_once_is_survived);
    RUN(closing_wakes_every_blocked_thread);
    RUN(only_one_of_many_closes_succeeds);
    RUN(nothing_is_left);
    return test_end();
}
