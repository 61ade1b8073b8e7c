/* A process forks while its other threads contend for everything that the library guards, and each
 * child does the same with sockets of its own: what the threads of the parent were waiting for is
 * nothing that a thread of a child could ever meet.
 *
 *   forks inproc|tcp [EFFORT [SEED]] */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/credentials.h"
#include "support/message.h"
#include "support/process.h"
#include "support/random.h"
#include "support/sockets.h"
#include "support/thread.h"
#include "support/trial.h"

#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/reqrep.h>

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CHILDREN = 300, THREADS = 24, CHILD_MS = 4, HUNG_MAX = 8 };

/* ---- threads that contend ---- */

/* What the threads of one process fight for. */
struct arena {
    int pair[2];
    int pipeline[2];
    int stop;
    long received;
};

struct fighter {
    struct thread thread;
    struct arena *arena;
    int number;
};

/* The name is the same in all processes: each has names of its own. */
static void open_and_close(struct fighter *fighter)
{
    char url[32], body[8];
    int a = dressed(nn_socket(AF_SP, NN_PAIR)), b = dressed(nn_socket(AF_SP, NN_PAIR));
    snprintf(url, sizeof url, "inproc://fighter-%d", fighter->number);
    CHECK(a >= 0 && b >= 0);
    CHECK_OK(nn_bind(a, url));
    CHECK_OK(nn_connect(b, url));
    CHECK_EQ(nn_send(a, "x", 1, NN_DONTWAIT), 1);
    CHECK_EQ(nn_recv(b, body, sizeof body, NN_DONTWAIT), 1);
    CHECK_EQ(nn_close(a), 0);
    CHECK_EQ(nn_close(b), 0);
}

static void transfer(struct arena *arena, int from, int to)
{
    char body[64] = "";
    nn_send(from, body, sizeof body, NN_DONTWAIT);
    if (nn_recv(to, body, sizeof body, NN_DONTWAIT) > 0)
        __atomic_add_fetch(&arena->received, 1, __ATOMIC_RELAXED);
}

static void *fight(void *argument)
{
    struct fighter *fighter = argument;
    struct arena *arena = fighter->arena;
    while (!__atomic_load_n(&arena->stop, __ATOMIC_ACQUIRE)) {
        for (int i = 0; i < 50; i++) {
            int to = (fighter->number + i) % 2;
            transfer(arena, arena->pair[to], arena->pair[1 - to]);
            transfer(arena, arena->pipeline[0], arena->pipeline[1]);
        }
        open_and_close(fighter);
    }
    return NULL;
}

static void arena_open(struct arena *arena, struct fighter *fighters, const char *scheme)
{
    memset(fighters, 0, THREADS * sizeof *fighters);
    memset(arena, 0, sizeof *arena);
    struct url url = unique_url(scheme);
    open_pairs(&arena->pair[0], &arena->pair[1], url.text);
    open_both(NN_PUSH, NN_PULL, scheme, arena->pipeline);
    for (int i = 0; i < THREADS; i++) {
        fighters[i].arena = arena;
        fighters[i].number = i;
        thread_start(&fighters[i].thread, fight, &fighters[i]);
    }
}

static void arena_close(struct arena *arena, struct fighter *fighters)
{
    CHECK(wait_until(__atomic_load_n(&arena->received, __ATOMIC_RELAXED) > 0, PATIENCE_MS));
    __atomic_store_n(&arena->stop, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < THREADS; i++)
        thread_join(&fighters[i].thread);
    /* What is on its way is of no interest. */
    for (int i = 0; i < 2; i++) {
        set_int(arena->pair[i], NN_LINGER, 0);
        set_int(arena->pipeline[i], NN_LINGER, 0);
    }
    CHECK_CLOSE(arena->pair[0], arena->pair[1], arena->pipeline[0], arena->pipeline[1]);
}

static int live_on(void *argument)
{
    struct arena arena;
    struct fighter fighters[THREADS];
    (void)argument;
    arena_open(&arena, fighters, trial.scheme);
    nap_ms(CHILD_MS);
    arena_close(&arena, fighters);
    return 23;
}

static void no_child_waits_for_a_thread_of_its_parent(void)
{
    struct arena arena;
    struct fighter fighters[THREADS];
    int hung = 0, children = 0;
#if defined __SANITIZE_ADDRESS__
    /* The sanitizer's own allocator has locks that no child of a threaded process can take. */
    test_skip("a child forked beside running threads may hang in the sanitizer");
    return;
#endif
    arena_open(&arena, fighters, trial.scheme);
    for (; children < CHILDREN * trial.effort && hung < HUNG_MAX; children++) {
        struct child child;
        child_start(&child, live_on, NULL);
        int status = child_wait(&child, PATIENCE_MS);
        hung += status == -1;
        if (status != -1)
            CHECK_EQ(status, 23);
        /* At another moment of what the threads do. */
        int64_t moment = now_us() + random_below(&trial.seed, 500);
        while (now_us() < moment)
            continue;
    }
    printf("%d of %d children hung\n", hung, children);
    CHECK_EQ(hung, 0);
    arena_close(&arena, fighters);
}

/* ---- a parent that is kept from saying what is wrong ---- */

/* One of the threads of this process is about to write to standard error, and cannot. */
static int somebody_writes(void)
{
    char start[32], path[64], text[64];
    int found = 0;
    DIR *tasks = opendir("/proc/self/task");
    REQUIRE(tasks != NULL);
    snprintf(start, sizeof start, "%d 0x2 ", SYS_write);
    for (struct dirent *task; (task = readdir(tasks)) != NULL;) {
        snprintf(path, sizeof path, "/proc/self/task/%.20s/syscall", task->d_name);
        FILE *file = fopen(path, "r");
        found += file && fgets(text, sizeof text, file) && strncmp(text, start, strlen(start)) == 0;
        if (file)
            fclose(file);
    }
    closedir(tasks);
    return found > 0;
}

/* What is wrong is that nobody listens there. */
static int open_with_errors(void)
{
    struct url url = unique_url("tcp");
    int s = open_quick();
    CHECK_OK(nn_connect(s, url.text));
    return s;
}

static int say_what_is_wrong(void *argument)
{
    int ends[2];
    (void)argument;
    REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
    REQUIRE(dup2(ends[1], 2) == 2);
    int s = open_with_errors();
    struct pollfd line = {ends[0], POLLIN, 0};
    if (poll(&line, 1, PATIENCE_MS / 2) != 1)
        _exit(3);
    CHECK_EQ(nn_close(s), 0);
    return 0;
}

static int fork_beside_a_writer(void *argument)
{
    struct child child;
    int ends[2], own = dup(2);
    char bytes[4096] = "";
    (void)argument;
    setenv("NN_PRINT_ERRORS", "1", 1);
    REQUIRE(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
    while (write(ends[1], bytes, sizeof bytes) > 0)
        continue;
    fcntl(ends[1], F_SETFL, 0);
    REQUIRE(dup2(ends[1], 2) == 2);
    int s = open_with_errors();
    int is_stuck = wait_until(somebody_writes(), PATIENCE_MS);
    child_start(&child, say_what_is_wrong, NULL);
    int status = child_wait(&child, PATIENCE_MS);
    while (read(ends[0], bytes, sizeof bytes) > 0)
        continue;
    nn_close(s);
    dup2(own, 2);
    CHECK(is_stuck);
    CHECK_EQ(status, 0);
    return 0;
}

static void a_child_says_what_is_wrong_although_its_parent_cannot(void)
{
    struct child child;
    child_start(&child, fork_beside_a_writer, NULL);
    CHECK_EQ(child_wait(&child, 4 * PATIENCE_MS), 0);
}

/* ---- numbers that nobody foresees ---- */

/* The id of the first request of a fresh socket. */
static uint32_t first_id(void)
{
    struct url url = unique_url(trial.scheme);
    struct message request;
    int rep = open_bound(AF_SP_RAW, NN_REP, url.text);
    int req = open_connected(AF_SP, NN_REQ, url.text);
    CHECK_EQ(nn_send(req, "question", 8, 0), 8);
    CHECK_TAKES(rep, &request, "question");
    CHECK_CLOSE(req, rep);
    return id_of(&request);
}

static int write_first_id(void *descriptor)
{
    uint32_t id = first_id();
    REQUIRE(write(*(int *)descriptor, &id, sizeof id) == sizeof id);
    return 0;
}

/* protocols 4.1: a random start for each socket, so that a late reply to one is none to another;
 * also for the children of one parent, who do not go on with what it would have drawn next. */
static void all_processes_number_their_requests_differently(void)
{
    enum { CHILDREN = 5, OWN = 5 };
    uint32_t ids[CHILDREN + OWN];
    int ends[2];
    REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
    for (int i = 0; i < OWN; i++)
        ids[i] = first_id();
    for (int i = OWN; i < CHILDREN + OWN; i++) {
        struct child child;
        child_start(&child, write_first_id, &ends[1]);
        CHECK_EQ(child_wait(&child, PATIENCE_MS), 0);
        REQUIRE(read(ends[0], &ids[i], sizeof ids[i]) == sizeof ids[i]);
    }
    close(ends[0]);
    close(ends[1]);
    for (int i = 0; i < CHILDREN + OWN; i++) {
        CHECK_EQ(ids[i] & TOP_BIT, TOP_BIT);
        for (int j = 0; j < i; j++)
            CHECK((ids[i] - ids[j]) % TOP_BIT > 8 && (ids[j] - ids[i]) % TOP_BIT > 8);
    }
}

int main(int count, char **words)
{
    trial_begin("robustness/forks", "inproc|tcp|tls+tcp", 100, count, words);
    RUN(no_child_waits_for_a_thread_of_its_parent);
    RUN(a_child_says_what_is_wrong_although_its_parent_cannot);
    RUN(all_processes_number_their_requests_differently);
    RUN(nothing_is_left);
    return test_end();
}
