/* Sockets that have nothing to do, after they had much: nobody runs for them, and what they needed
 * when they were busy is given back.
 *
 *   rest inproc|ipc|tcp|ws|tls+tcp|wss [EFFORT [SEED]] */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/resources.h"
#include "support/sockets.h"
#include "support/thread.h"
#include "support/trial.h"

#include <nanomsg/nn.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/reqrep.h>

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

/* ---- nobody runs ---- */

enum { SLEEPERS_MAX = 32, STREAM = 1000, BIG = 1 << 20, QUIET_MS = 200 };

struct sleeper {
    pid_t id;
    /* How often the kernel has taken the processor from it. */
    long switches;
};

struct sleepers {
    int count;
    struct sleeper all[SLEEPERS_MAX];
};

/* Adds a thread; false if it runs, or is gone. */
static int add_sleeper(struct sleepers *sleepers, pid_t id)
{
    char path[64], line[128], state = 0;
    long count, sum = 0;
    snprintf(path, sizeof path, "/proc/self/task/%d/status", (int)id);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return 0;
    while (fgets(line, sizeof line, file)) {
        sscanf(line, "State: %c", &state);
        if (sscanf(line, "voluntary_ctxt_switches: %ld", &count) == 1
            || sscanf(line, "nonvoluntary_ctxt_switches: %ld", &count) == 1)
            sum += count;
    }
    fclose(file);
    REQUIRE(sleepers->count < SLEEPERS_MAX);
    sleepers->all[sleepers->count++] = (struct sleeper){id, sum};
    return state == 'S';
}

static int is_of_the_library(pid_t id)
{
    char path[64], name[32] = "";
    snprintf(path, sizeof path, "/proc/self/task/%d/comm", (int)id);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return 0;
    int found = fgets(name, sizeof name, file) && strncmp(name, "spmsg", 5) == 0;
    fclose(file);
    return found;
}

/* The threads of the library and those; false if one of them runs. */
static int find_sleepers(struct sleepers *sleepers, struct thread *threads, int count)
{
    int asleep = 1;
    struct dirent *entry;
    DIR *tasks = opendir("/proc/self/task");
    REQUIRE(tasks != NULL);
    sleepers->count = 0;
    while ((entry = readdir(tasks)) != NULL) {
        pid_t id = atoi(entry->d_name);
        if (id != 0 && is_of_the_library(id))
            asleep &= add_sleeper(sleepers, id);
    }
    closedir(tasks);
    /* Over streams ours has a thread by then: one that is not found would not be looked at. */
    CHECK(reference() || strcmp(trial.scheme, "inproc") == 0 || sleepers->count > 0);
    for (int i = 0; i < count; i++)
        asleep &= add_sleeper(sleepers, threads[i].tid);
    return asleep;
}

/* Whether none of them runs for a while. */
static int nobody_runs(struct thread *threads, int count)
{
    struct sleepers before, after;
    if (!find_sleepers(&before, threads, count))
        return 0;
    nap_ms(QUIET_MS);
    if (!find_sleepers(&after, threads, count) || after.count != before.count)
        return 0;
    for (int i = 0; i < after.count; i++)
        if (after.all[i].id != before.all[i].id || after.all[i].switches != before.all[i].switches)
            return 0;
    return 1;
}

struct waiter {
    int sockets[2];
    int heard;
};

static void *wait_in_receive(void *argument)
{
    struct waiter *waiter = argument;
    while (nn_recv(waiter->sockets[0], NULL, 0, 0) >= 0)
        waiter->heard++;
    return NULL;
}

static void *wait_in_poll(void *argument)
{
    struct waiter *waiter = argument;
    for (;;) {
        struct nn_pollfd entries[2];
        for (int i = 0; i < 2; i++)
            entries[i] = (struct nn_pollfd){waiter->sockets[i], NN_POLLIN, 0};
        if (nn_poll(entries, 2, -1) < 0)
            return NULL;
        for (int i = 0; i < 2; i++)
            if (entries[i].revents & NN_POLLIN) {
                if (nn_recv(waiter->sockets[i], NULL, 0, NN_DONTWAIT) < 0)
                    return NULL;
                waiter->heard++;
            }
    }
}

/* Until something is there to be received; 0 when the socket has been closed. Then another file may
 * have the number before poll looks again, so that nothing wakes it: hence the socket is asked. */
static int await_descriptor(struct pollfd *entry, int s)
{
    int ready;
    do
        ready = poll(entry, 1, 10 * QUIET_MS);
    while (ready == 0 && nn_get_statistic(s, NN_STAT_CURRENT_CONNECTIONS) != (uint64_t)-1);
    return ready;
}

static void *wait_for_descriptor(void *argument)
{
    struct waiter *waiter = argument;
    int s = waiter->sockets[0], ready;
    struct pollfd entry = {get_int(s, NN_SOL_SOCKET, NN_RCVFD), POLLIN, 0};
    while ((ready = await_descriptor(&entry, s)) != 0) {
        CHECK_EQ(ready, 1);
        if (nn_recv(s, NULL, 0, NN_DONTWAIT) < 0)
            return NULL;
        waiter->heard++;
    }
    return NULL;
}

static void send_much(int s)
{
    char *big = calloc(BIG, 1);
    for (int i = 0; i < STREAM; i++)
        CHECK_EQ(nn_send(s, "x", 1, 0), 1);
    CHECK_EQ(nn_send(s, big, BIG, 0), BIG);
    free(big);
}

static void receive_much(int s)
{
    for (int i = 0; i <= STREAM; i++)
        CHECK_AT_LEAST(nn_recv(s, NULL, 0, 0), 1);
}

/* A hundred requests and their answers. */
static void ask(int service, int client)
{
    for (int i = 0; i < 100; i++) {
        CHECK_EQ(nn_send(client, "q", 1, 0), 1);
        CHECK_EQ(nn_recv(service, NULL, 0, 0), 1);
        CHECK_EQ(nn_send(service, "a", 1, 0), 1);
        CHECK_EQ(nn_recv(client, NULL, 0, 0), 1);
    }
}

/* What makes the library look now and then has been there: streams, big messages, callers that
 * read, requests. Looks that are a second apart, at a stream that somebody waits for, are as good as
 * none. */
static void check_quiet(void *(*wait)(void *))
{
    enum { COUNT = 2 };
    struct thread thread;
    struct waiter waiter = {{-1, -1}, 0};
    int from[COUNT], service[2];
    open_both(NN_REP, NN_REQ, trial.scheme, service);
    ask(service[0], service[1]);
    for (int i = 0; i < COUNT; i++) {
        int both[2];
        open_both(NN_PULL, NN_PUSH, trial.scheme, both);
        waiter.sockets[i] = both[0];
        from[i] = both[1];
        set_int(both[0], NN_RCVTIMEO, -1);
    }
    if (wait)
        thread_start(&thread, wait, &waiter);
    for (int i = 0; i < COUNT; i++) {
        send_much(from[i]);
        if (!wait || (i == 1 && wait != wait_in_poll))
            receive_much(waiter.sockets[i]);
    }
    CHECK(wait_until(nobody_runs(&thread, wait != NULL), 3 * PATIENCE_MS));
    CHECK_CLOSE(from[0], from[1], waiter.sockets[0], waiter.sockets[1]);
    CHECK_CLOSE(service[0], service[1]);
    if (wait) {
        thread_join(&thread);
        CHECK_EQ(waiter.heard, (STREAM + 1) * (wait == wait_in_poll ? 2 : 1));
    }
}

static void nobody_runs_where_nobody_waits(void)
{
    check_quiet(NULL);
}

static void nobody_runs_while_one_waits_in_a_call(void)
{
    check_quiet(wait_in_receive);
}

static void nobody_runs_while_one_polls(void)
{
    check_quiet(wait_in_poll);
}

static void nobody_runs_while_one_waits_for_a_descriptor(void)
{
    check_quiet(wait_for_descriptor);
}

/* ---- memory ---- */

/* What may stay with a connection; and what stays of it, where bodies are masked in a copy. */
enum { CONNECTIONS = 100, KEPT_KB = 32, MASKED = 16384, MASKED_KB = 160 };

static long resident_at_least_kb(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
#endif
    return resident_kb();
}

/* As much as is taken without a receiver, and then all of it is received. */
static void burst(int from, int to, size_t size)
{
    static char body[BIG];
    int sent = 0;
    while (nn_send(from, body, size, NN_DONTWAIT) >= 0)
        sent++;
    CHECK_EQ(errno, EAGAIN);
    CHECK_AT_LEAST(sent, 1);
    for (int i = 0; i < sent; i++)
        CHECK_EQ(nn_recv(to, NULL, 0, 0), size);
}

static long kept_max_kb(size_t size)
{
    int is_masked = strncmp(trial.scheme, "ws", 2) == 0 && size > MASKED;
    return CONNECTIONS * (KEPT_KB + (is_masked ? MASKED_KB : 0));
}

static void what_a_burst_has_taken_is_given_back(void)
{
    static const size_t sizes[] = {1, 100, 5000, 200000};
    int both[CONNECTIONS][2];
    if (!memory_can_be_measured()) {
        test_skip("whoever else has the allocator decides");
        return;
    }
    for (int i = 0; i < CONNECTIONS; i++) {
        open_both(NN_PULL, NN_PUSH, trial.scheme, both[i]);
        CHECK_EQ(nn_send(both[i][1], "x", 1, 0), 1);
        CHECK_EQ(nn_recv(both[i][0], NULL, 0, 0), 1);
    }
    for (size_t size = 0; size < COUNT_OF(sizes); size++) {
        long before = resident_at_least_kb();
        for (int i = 0; i < CONNECTIONS && !case_failed(); i++)
            burst(both[i][1], both[i][0], sizes[size]);
        long most = kept_max_kb(sizes[size]);
        wait_until(resident_at_least_kb() - before <= most, PATIENCE_MS / 2);
        printf("%zu: %ld KB more\n", sizes[size], resident_at_least_kb() - before);
        CHECK_AT_MOST(resident_at_least_kb() - before, most);
    }
    for (int i = 0; i < CONNECTIONS; i++)
        CHECK_CLOSE(both[i][1], both[i][0]);
}

int main(int count, char **words)
{
    trial_begin("robustness/rest", "inproc|ipc|tcp|ws|tls+tcp|wss", 60, count, words);
    RUN(nobody_runs_where_nobody_waits);
    RUN(nobody_runs_while_one_waits_in_a_call);
    RUN(nobody_runs_while_one_polls);
    RUN(nobody_runs_while_one_waits_for_a_descriptor);
    /* Over inproc the memory of the longest queue stays with it, for the next one. */
    if (strcmp(trial.scheme, "inproc") != 0)
        RUN(what_a_burst_has_taken_is_given_back);
    RUN(nothing_is_left);
    return test_end();
}
