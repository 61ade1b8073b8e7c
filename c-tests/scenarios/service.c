/* 64 REQs ask through a device, in a process of its own, and eight REPs in processes of their own
 * answer, which are killed and started again all the time: every question gets its answer, which is
 * the right one (protocols 4.2, 11).
 *
 *   service ipc|tcp [EFFORT [SEED]] */

#include "scenarios.h"

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/process.h"
#include "support/random.h"
#include "support/sockets.h"
#include "support/thread.h"
#include "support/trial.h"

#include <nanomsg/nn.h>
#include <nanomsg/reqrep.h>

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    CLIENTS = 64,
    WORKERS = 8,
    KILLS = 120,
    RESEND_MS = 100,
    BODY_MAX = 2000,
    /* Each client goes on for at least as many, and until nobody is killed any more. */
    QUESTIONS = 50
};

struct question {
    uint32_t client;
    uint32_t number;
    uint64_t seed;
};

struct client {
    struct thread thread;
    uint32_t number;
    const char *url;
};

struct workers {
    struct child children[WORKERS];
    const char *url;
};

static long answered;
static int nobody_is_killed;

/* ---- what a worker makes of a question ---- */

static void make_answer(unsigned char *bytes, int size)
{
    for (int i = 0, j = size - 1; i <= j; i++, j--) {
        unsigned char first = bytes[i];
        bytes[i] = (unsigned char)~bytes[j];
        bytes[j] = (unsigned char)~first;
    }
}

/* Nobody ends a worker but the signal, or the end of its parent. */
static int work(const char *url)
{
    unsigned char bytes[sizeof(struct question) + BODY_MAX];
    int s = nn_socket(AF_SP, NN_REP), ivl = 5;
    alarm(0);
    if (s < 0 || nn_setsockopt(s, NN_SOL_SOCKET, NN_RECONNECT_IVL, &ivl, sizeof ivl) < 0
        || nn_connect(s, url) < 0) {
        fprintf(stderr, "worker: %s\n", nn_strerror(nn_errno()));
        return 1;
    }
    for (;;) {
        int size = nn_recv(s, bytes, sizeof bytes, 0);
        if (size < 0 || size > (int)sizeof bytes)
            break;
        make_answer(bytes, size);
        if (nn_send(s, bytes, (size_t)size, 0) != size)
            break;
    }
    fprintf(stderr, "worker: %s\n", nn_strerror(nn_errno()));
    return 1;
}

static int forward(const char *front_url, const char *back_url)
{
    int front = nn_socket(AF_SP_RAW, NN_REP), back = nn_socket(AF_SP_RAW, NN_REQ);
    alarm(0);
    if (front >= 0 && back >= 0 && nn_bind(front, front_url) >= 0 && nn_bind(back, back_url) >= 0) {
        printf("ready\n");
        fflush(stdout);
        nn_device(front, back);
    }
    fprintf(stderr, "device: %s\n", nn_strerror(nn_errno()));
    return 1;
}

/* ---- processes ---- */

static void start_worker(struct workers *workers, int i)
{
    char *words[] = {"/proc/self/exe", "worker", (char *)workers->url, NULL};
    child_exec(&workers->children[i], words, NULL);
}

static void start_device(struct child *device, const char *front_url, const char *back_url)
{
    char line[32];
    char *words[] = {"/proc/self/exe", "device", (char *)front_url, (char *)back_url, NULL};
    child_exec(device, words, NULL);
    REQUIRE(child_line(device, line, sizeof line, PATIENCE_MS));
    CHECK_STR(line, "ready");
}

/* Still there, that is: nothing but a signal of ours has ended it. */
static void check_runs(const struct child *child, const char *what)
{
    int status = 0;
    if (waitpid(child->pid, &status, WNOHANG) != 0)
        FAIL("a %s ended by itself, with status 0x%x", what, status);
}

/* Kills one worker after the other, whenever a random number of questions have been answered. */
static void kill_and_restart(struct workers *workers, const struct child *device)
{
    uint64_t state = trial.seed;
    for (int kills = 0; kills < KILLS * trial.effort && !case_failed(); kills++) {
        long next = __atomic_load_n(&answered, __ATOMIC_RELAXED) + random_below(&state, 200);
        int i = random_below(&state, WORKERS);
        CHECK(wait_until(__atomic_load_n(&answered, __ATOMIC_RELAXED) >= next || case_failed(),
                         SCENARIO_PATIENCE_MS));
        check_runs(device, "device");
        check_runs(&workers->children[i], "worker");
        child_kill(&workers->children[i]);
        start_worker(workers, i);
    }
}

/* ---- clients ---- */

static void ask(const struct client *client, int s, uint32_t number)
{
    unsigned char sent[sizeof(struct question) + BODY_MAX], got[sizeof sent];
    uint64_t state = trial.seed + ((uint64_t)client->number << 32) + number;
    struct question question = {client->number, number, next_random(&state)};
    int size = (int)sizeof question + random_below(&state, BODY_MAX);
    memcpy(sent, &question, sizeof question);
    fill_body(sent + sizeof question, (size_t)size - sizeof question, question.seed);
    CHECK_EQ(nn_send(s, sent, (size_t)size, 0), size);
    int result = nn_recv(s, got, sizeof got, 0);
    make_answer(sent, size);
    if (result != size || memcmp(got, sent, (size_t)size) != 0)
        FAIL("client %u, question %u of %d bytes: result %d, errno %d (%s)", client->number, number,
             size, result, errno, nn_strerror(errno));
    __atomic_add_fetch(&answered, 1, __ATOMIC_RELAXED);
}

static void *ask_all(void *argument)
{
    struct client *client = argument;
    int s = open_patient(AF_SP, NN_REQ), resend = RESEND_MS;
    CHECK_OK(nn_setsockopt(s, NN_REQ, NN_REQ_RESEND_IVL, &resend, sizeof resend));
    CHECK_OK(nn_connect(s, client->url));
    for (uint32_t i = 0; !case_failed(); i++) {
        if (i >= QUESTIONS && __atomic_load_n(&nobody_is_killed, __ATOMIC_ACQUIRE))
            break;
        ask(client, s, i);
    }
    CHECK_CLOSE(s);
    return NULL;
}

static void every_question_is_answered(void)
{
    static struct client clients[CLIENTS];
    struct reserved front = reserve_url(trial.scheme), back = reserve_url(trial.scheme);
    struct workers workers = {.url = back.url.text};
    struct child device;
    start_device(&device, front.url.text, back.url.text);
    release_url(&front);
    release_url(&back);
    for (int i = 0; i < WORKERS; i++)
        start_worker(&workers, i);
    for (uint32_t i = 0; i < CLIENTS; i++) {
        clients[i].number = i;
        clients[i].url = front.url.text;
        thread_start(&clients[i].thread, ask_all, &clients[i]);
    }
    kill_and_restart(&workers, &device);
    __atomic_store_n(&nobody_is_killed, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < CLIENTS; i++)
        scenario_join(&clients[i].thread);
    for (int i = 0; i < WORKERS; i++) {
        check_runs(&workers.children[i], "worker");
        child_kill(&workers.children[i]);
    }
    check_runs(&device, "device");
    child_kill(&device);
    if (strcmp(trial.scheme, "ipc") == 0) {
        /* Whom a signal ends leaves his files behind. */
        unlink(front.url.text + strlen("ipc://"));
        unlink(back.url.text + strlen("ipc://"));
    }
    printf("%ld questions were answered\n", answered);
}

int main(int count, char **words)
{
    if (count == 3 && strcmp(words[1], "worker") == 0)
        return work(words[2]);
    if (count == 4 && strcmp(words[1], "device") == 0)
        return forward(words[2], words[3]);
    trial_begin("scenarios/service", "inproc|ipc|tcp", 85, count, words);
    RUN(every_question_is_answered);
    RUN(nothing_is_left);
    return test_end();
}
