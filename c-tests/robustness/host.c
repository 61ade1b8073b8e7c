/* What a host does to its own threads and processes: it exits from a signal handler, forks and forks
 * again, calls with little stack, closes every descriptor there is.
 *
 *   host inproc|ipc|tcp|ws|tls+tcp|wss [EFFORT [SEED]] */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/credentials.h"
#include "support/process.h"
#include "support/random.h"
#include "support/resources.h"
#include "support/sockets.h"
#include "support/talk.h"
#include "support/thread.h"
#include "support/trial.h"

#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/pubsub.h>
#include <nanomsg/reqrep.h>

#include <pthread.h>
#include <stdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- exit() in a signal handler ---- */

enum { INTERRUPTIONS = 25, PLAIN_STACK = 16 * 1024 };
/* Certificates are understood, and handshakes made, on the stack of whoever calls. */
enum { ENCRYPTED_STACK = 64 * 1024, STACK_MAX = 128 * 1024 };

struct server {
    struct url url;
    int type;      /* of the child's socket, which is bound and used in a loop */
    int peer_type; /* of a socket in the same child that keeps it busy, or 0 */
    int told[2];   /* the child says here that it is at it */
};

static void leave(int number)
{
    (void)number;
    exit(7);
}

static void *keep_busy(void *argument)
{
    int s = *(int *)argument;
    char body[64] = "";
    for (;;) {
        nn_send(s, body, sizeof body, NN_DONTWAIT);
        nn_recv(s, body, sizeof body, NN_DONTWAIT);
    }
    return NULL;
}

/* What an ordinary server does until it is told to end: the signal comes to the one thread that
 * uses the socket, in the middle of whatever it does. */
static int serve(void *argument)
{
    struct server *server = argument;
    char body[64] = "";
    pthread_t thread;
    sigset_t term;
    int s = dressed(nn_socket(AF_SP, server->type)), peer = -1;
    REQUIRE(s >= 0 && nn_bind(s, server->url.text) >= 0);
    /* Nobody reads what is left, and each exit may wait as long for that. */
    set_int(s, NN_LINGER, 50);
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    if (server->peer_type != 0) {
        peer = dressed(nn_socket(AF_SP, server->peer_type));
        REQUIRE(peer >= 0 && nn_connect(peer, server->url.text) >= 0);
        set_int(peer, NN_LINGER, 50);
        if (server->peer_type == NN_SUB)
            subscribe(peer, "");
        /* The handler runs on the other thread. */
        pthread_sigmask(SIG_BLOCK, &term, NULL);
        REQUIRE(pthread_create(&thread, NULL, keep_busy, &peer) == 0);
        pthread_sigmask(SIG_UNBLOCK, &term, NULL);
    }
    signal(SIGTERM, leave);
    REQUIRE(write(server->told[1], "x", 1) == 1);
    for (;;) {
        if (server->type == NN_PULL || server->type == NN_REP)
            nn_recv(s, body, sizeof body, 0);
        if (server->type != NN_PULL)
            nn_send(s, body, sizeof body, 0);
    }
}

static void check_exits(int type, int peer_type)
{
    struct server server = {{""}, type, peer_type, {-1, -1}};
    for (int i = 0; i < INTERRUPTIONS * trial.effort && !case_failed(); i++) {
        struct child child;
        char byte;
        server.url = unique_url(trial.scheme);
        REQUIRE(pipe(server.told) == 0);
        child_start(&child, serve, &server);
        CHECK_EQ(read(server.told[0], &byte, 1), 1);
        struct timespec moment = {0, random_below(&trial.seed, 3000000)};
        nanosleep(&moment, NULL);
        CHECK_EQ(kill(child.pid, SIGTERM), 0);
        CHECK_EQ(child_wait(&child, PATIENCE_MS), 7);
        /* Who exits without closing leaves the file of an address behind. */
        if (is_ipc(server.url.text))
            CHECK_EQ(unlink(server.url.text + strlen("ipc://")), 0);
        close(server.told[0]);
        close(server.told[1]);
    }
}

static void a_publisher_exits_in_a_signal_handler(void)
{
    check_exits(NN_PUB, NN_SUB);
}

static void a_lonely_publisher_exits_in_a_signal_handler(void)
{
    check_exits(NN_PUB, 0);
}

static void a_puller_exits_in_a_signal_handler(void)
{
    check_exits(NN_PULL, NN_PUSH);
}

static void a_replier_exits_in_a_signal_handler(void)
{
    check_exits(NN_REP, NN_REQ);
}

static void a_pair_exits_in_a_signal_handler(void)
{
    check_exits(NN_PAIR, NN_PAIR);
}

/* ---- forks ---- */

struct generation {
    int left;
    int a, b;
};

/* Each process talks over sockets of its own, and its child is made while they live. */
static int live_and_fork(void *argument)
{
    struct generation *generation = argument;
    struct url url = unique_url(trial.scheme);
    struct generation next = {generation->left - 1, -1, -1};
    struct child child;
    char byte;
    if (generation->a >= 0)
        CHECK_ERRNO(nn_recv(generation->a, &byte, 1, NN_DONTWAIT), -1, EBADF);
    open_pairs(&next.a, &next.b, url.text);
    CHECK_TALK(next.a, next.b);
    if (next.left > 0) {
        child_start(&child, live_and_fork, &next);
        CHECK_EQ(child_wait(&child, 50000), 0);
    }
    CHECK_TALK(next.b, next.a);
    CHECK_CLOSE(next.a, next.b);
    return 0;
}

static void a_chain_of_forks_has_no_end(void)
{
    struct generation first = {40, -1, -1};
    live_and_fork(&first);
}

/* ---- little stack ---- */

static void *talk_on_little_stack(void *argument)
{
    const char *url = argument;
    char body[8];
    int a = dressed(nn_socket(AF_SP, NN_PAIR)), b = dressed(nn_socket(AF_SP, NN_PAIR));
    struct nn_pollfd poll = {b, NN_POLLIN, 0};
    if (a < 0 || b < 0 || nn_bind(a, url) < 0 || nn_connect(b, url) < 0)
        return "no sockets";
    if (nn_send(a, "hello", 5, 0) != 5 || nn_poll(&poll, 1, 10000) != 1 ||
        nn_recv(b, body, sizeof body, 0) != 5)
        return "no conversation";
    return nn_close(a) == 0 && nn_close(b) == 0 ? NULL : "no end";
}

/* The first call of a process makes what the library needs: in a child, nothing is there yet. */
static int call_on_little_stack(void *argument)
{
    static char stack[STACK_MAX] __attribute__((aligned(4096)));
    size_t size = is_encrypted(trial.scheme) ? ENCRYPTED_STACK : PLAIN_STACK;
    pthread_attr_t attributes;
    pthread_t thread;
    void *complaint = NULL;
    CHECK_EQ(pthread_attr_init(&attributes), 0);
    CHECK_EQ(pthread_attr_setstack(&attributes, stack + STACK_MAX - size, size), 0);
    CHECK_EQ(pthread_create(&thread, &attributes, talk_on_little_stack, argument), 0);
    CHECK_EQ(pthread_join(thread, &complaint), 0);
    if (complaint != NULL)
        FAIL("%s", (const char *)complaint);
    /* Nobody has been below it. */
    size_t used = STACK_MAX;
    while (used > 0 && stack[STACK_MAX - used] == 0)
        used--;
    printf("%zu bytes of stack were used\n", used);
    CHECK_AT_MOST(used, size);
    return 0;
}

static void a_little_stack_is_enough(void)
{
    struct url url = unique_url(trial.scheme);
    struct child child;
#if defined __SANITIZE_ADDRESS__
    test_skip("the sanitizer itself needs more stack");
    return;
#endif
    child_start(&child, call_on_little_stack, url.text);
    CHECK_EQ(child_wait(&child, PATIENCE_MS), 0);
}

/* ---- no descriptors ---- */

/* A daemon that closes everything it finds, as some do at their start. */
static int close_everything(void *argument)
{
    struct url *url = argument;
    int a, b;
    open_pairs(&a, &b, url->text);
    CHECK_TALK(a, b);
    /* Until nothing is due any more that would wake the library's thread by itself. */
    nap_ms(300);
    for (int fd = 3; fd < 256; fd++)
        close(fd);
    nn_send(a, "x", 1, NN_DONTWAIT);
    int64_t began = now_ms();
    nn_close(a);
    nn_close(b);
    /* Two lingers, and what a machine needs. */
    CHECK(now_ms() - began < 10000);
    /* Another library state, with descriptors of its own. */
    struct url next = unique_url(trial.scheme);
    open_pairs(&a, &b, next.text);
    CHECK_TALK(a, b);
    CHECK_CLOSE(a, b);
    return 0;
}

static void closing_ends_after_all_descriptors_were_closed(void)
{
    struct url url = unique_url(trial.scheme);
    struct child child;
#if defined __SANITIZE_ADDRESS__
    test_skip("a library that checks itself, as it does here, ends where its descriptors are gone");
    return;
#endif
    child_start(&child, close_everything, &url);
    CHECK_EQ(child_wait(&child, PATIENCE_MS), 0);
}

int main(int count, char **words)
{
    trial_begin("robustness/host", "inproc|ipc|tcp|ws|tls+tcp|wss", 80, count, words);
    RUN(a_publisher_exits_in_a_signal_handler);
    RUN(a_lonely_publisher_exits_in_a_signal_handler);
    RUN(a_puller_exits_in_a_signal_handler);
    RUN(a_replier_exits_in_a_signal_handler);
    RUN(a_pair_exits_in_a_signal_handler);
    RUN(a_chain_of_forks_has_no_end);
    RUN(a_little_stack_is_enough);
    RUN(closing_ends_after_all_descriptors_were_closed);
    RUN(nothing_is_left);
    return test_end();
}
