/* Memory of big messages: it is used again and again, bounded, and given back after a rest. */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/process.h"
#include "support/raw-peer.h"
#include "support/raw-stream.h"
#include "support/resources.h"
#include "support/sockets.h"
#include "support/thread.h"

#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/pipeline.h>

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define MEGABYTE ((size_t)1 << 20)

enum { GROWTH_KB = 4096, KEPT_MAX_KB = 64 * 1024, HELD_MAX = 32 };
enum { SMALL_ONES = 200, ENDED_THREADS = 300 };

static char small[200];

static void open_inproc(int *a, int *b)
{
    struct url url = unique_url("inproc");
    *a = open_pair();
    *b = open_pair();
    CHECK_OK(nn_bind(*a, url.text));
    CHECK_OK(nn_connect(*b, url.text));
}

static void exchange(int a, int b, size_t size, int byte)
{
    char *sent = nn_allocmsg(size, 0), *received = NULL;
    REQUIRE(sent != NULL);
    memset(sent, byte, size);
    CHECK_EQ(nn_send(a, &sent, NN_MSG, 0), size);
    CHECK_EQ(nn_recv(b, &received, NN_MSG, 0), size);
    CHECK(received != NULL && received[0] == byte && received[size - 1] == byte);
    CHECK_EQ(nn_freemsg(received), 0);
}

static long faults(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt;
}

/* As many messages at once, with something in each of their pages, and then none. */
static void hold_and_free(int count, size_t size)
{
    char *held[HELD_MAX];
    for (int i = 0; i < count; i++) {
        held[i] = nn_allocmsg(size, 0);
        REQUIRE(held[i] != NULL);
        memset(held[i], i, size);
    }
    for (int i = 0; i < count; i++)
        CHECK_EQ(nn_freemsg(held[i]), 0);
}

static void big_messages_use_the_same_memory_again(void)
{
    static const size_t sizes[] = {20000, 65536, 200000, MEGABYTE, 5 * MEGABYTE};
    int a, b;
    if (!memory_can_be_measured()) {
        test_skip("whoever else has the allocator decides");
        return;
    }
    open_inproc(&a, &b);
    for (int i = 0; i < 5; i++) {
        exchange(a, b, sizes[i], 'a' + i);
        exchange(a, b, sizes[i], 'a' + i);
        hold_and_free(6, sizes[i]);
        long before = faults();
        for (int round = 0; round < 20; round++) {
            hold_and_free(6, sizes[i]);
            exchange(a, b, sizes[i], 'a' + i);
        }
        CHECK_AT_MOST(faults() - before, 50);
    }
    CHECK_CLOSE(a, b);
}

static void no_more_is_kept_than_the_bound(void)
{
    int a, b;
    open_inproc(&a, &b);
    exchange(a, b, MEGABYTE, 'x');
    exchange(a, b, MEGABYTE, 'x');
    long before = resident_kb();
    hold_and_free(HELD_MAX, 6 * MEGABYTE);
    check_memory_flat(before, KEPT_MAX_KB + GROWTH_KB);
    hold_and_free(HELD_MAX, MEGABYTE);
    hold_and_free(HELD_MAX, 100000);
    check_memory_flat(before, KEPT_MAX_KB + GROWTH_KB);
    CHECK_CLOSE(a, b);
}

static void what_has_rested_is_given_back(void)
{
    int a, b;
    open_inproc(&a, &b);
    exchange(a, b, 100, 'x');
    long before = resident_kb();
    exchange(a, b, MEGABYTE, 'x');
    exchange(a, b, MEGABYTE, 'x');
    hold_and_free(HELD_MAX, MEGABYTE);
    if (memory_can_be_measured())
        CHECK(wait_until(resident_kb() - before < GROWTH_KB, PATIENCE_MS));
    /* And from then on it is as in the beginning. */
    exchange(a, b, MEGABYTE, 'y');
    exchange(a, b, MEGABYTE, 'z');
    CHECK_CLOSE(a, b);
}

struct trickle {
    int socket;
    volatile int is_over;
};

/* Small ones whose memory goes from thread to thread, by the tray. */
static void *trickle(void *argument)
{
    struct trickle *trickle = argument;
    while (!trickle->is_over) {
        for (int i = 0; i < SMALL_ONES; i++)
            CHECK_EQ(nn_send(trickle->socket, small, sizeof small, 0), sizeof small);
        nap_ms(20);
    }
    CHECK_EQ(nn_send(trickle->socket, "", 0, 0), 0);
    return NULL;
}

static int take_small_ones(int s)
{
    char body[sizeof small];
    for (int i = 0; i < SMALL_ONES; i++)
        CHECK_EQ(nn_recv(s, body, sizeof body, 0), sizeof small);
    return 1;
}

static void what_has_rested_is_given_back_beside_small_messages(void)
{
    struct thread thread;
    struct trickle sender = {0};
    char body[sizeof small];
    int b;
    open_inproc(&sender.socket, &b);
    thread_start(&thread, trickle, &sender);
    take_small_ones(b);
    long before = resident_kb();
    hold_and_free(1, MEGABYTE);
    hold_and_free(HELD_MAX, MEGABYTE);
    if (memory_can_be_measured())
        CHECK(wait_until(take_small_ones(b) && resident_kb() - before < GROWTH_KB, PATIENCE_MS));
    sender.is_over = 1;
    while (nn_recv(b, body, sizeof body, 0) > 0)
        ;
    thread_join(&thread);
    CHECK_CLOSE(sender.socket, b);
}

/* One that ends, with something on every tray that it has. */
static void *use_trays(void *unused)
{
    (void)unused;
    for (size_t size = 100; size < 16000; size += 1500)
        hold_and_free(HELD_MAX, size);
    return NULL;
}

static void what_threads_keep_goes_with_them(void)
{
    struct thread thread;
    long before = 0;
    for (int i = 0; i < ENDED_THREADS; i++) {
        thread_start(&thread, use_trays, NULL);
        thread_join(&thread);
        if (i == 10)
            before = resident_kb();
    }
    /* Each of them has kept some hundred KiB. */
    check_memory_flat(before, GROWTH_KB);
}

static void the_last_close_leaves_nothing(void)
{
    struct belongings before = belongings();
    int a, b;
    long memory = resident_kb();
    open_inproc(&a, &b);
    exchange(a, b, MEGABYTE, 'x');
    exchange(a, b, MEGABYTE, 'x');
    hold_and_free(HELD_MAX, MEGABYTE);
    CHECK_CLOSE(a, b);
    check_memory_flat(memory, GROWTH_KB);
    check_nothing_left(before);
    hold_and_free(HELD_MAX, MEGABYTE);
    check_memory_flat(memory, GROWTH_KB);
}

/* reliability P1: a peer that announces a message gets memory for what comes of it. */
static void what_is_announced_takes_no_memory_before_it_comes(const char *scheme)
{
    enum { PEERS = 60, ROUNDS = 4 };
    struct url url = unique_url(scheme);
    int fds[ROUNDS][PEERS], a, b, pull = open_socket(AF_SP, NN_PULL);
    unsigned char prefix[9];
    char begun[5000];
    memset(begun, 'b', sizeof begun);
    CHECK_OK(nn_bind(pull, url.text));
    open_inproc(&a, &b);
    exchange(a, b, MEGABYTE, 'x');
    exchange(a, b, MEGABYTE, 'x');
    long before = 0;
    for (int round = 0; round < ROUNDS; round++) {
        /* There is much memory at hand, which nobody is to hold for an announcement. */
        hold_and_free(HELD_MAX, MEGABYTE);
        if (round == 0)
            before = resident_kb();
        for (int i = 0; i < PEERS; i++) {
            int fd = fds[round][i] = raw_join(pull, url.text, NN_PUSH, NN_PULL);
            raw_send(fd, prefix, raw_prefix(url.text, MEGABYTE, prefix));
            raw_send(fd, begun, sizeof begun);
        }
        CHECK(wait_until(nn_get_statistic(pull, NN_STAT_CURRENT_CONNECTIONS)
                             == (uint64_t)(round + 1) * PEERS, PATIENCE_MS));
    }
    hold_and_free(HELD_MAX, MEGABYTE);
    /* Each of them would have a megabyte. */
    check_memory_flat(before, ROUNDS * PEERS * 128);
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < PEERS; i++)
            close(fds[round][i]);
    CHECK_CLOSE(pull);
    CHECK_CLOSE(a, b);
}

static void what_is_announced_over_tcp_takes_no_memory_before_it_comes(void)
{
    what_is_announced_takes_no_memory_before_it_comes("tcp");
}

static void what_is_announced_over_ipc_takes_no_memory_before_it_comes(void)
{
    what_is_announced_takes_no_memory_before_it_comes("ipc");
}

/* What its parent has kept is its own. */
static int use_it_all(void *argument)
{
    int a, b;
    (void)argument;
    hold_and_free(HELD_MAX, MEGABYTE);
    open_inproc(&a, &b);
    for (int i = 0; i < 10; i++)
        exchange(a, b, MEGABYTE, 'a' + i);
    hold_and_free(HELD_MAX, MEGABYTE);
    CHECK_CLOSE(a, b);
    return 0;
}

static void a_child_has_memory_of_its_own(void)
{
    int a, b;
    open_inproc(&a, &b);
    exchange(a, b, MEGABYTE, 'x');
    exchange(a, b, MEGABYTE, 'x');
    hold_and_free(HELD_MAX, MEGABYTE);
    char *ours = nn_allocmsg(MEGABYTE, 0);
    memset(ours, 'o', MEGABYTE);
    for (int i = 0; i < 5; i++) {
        struct child child;
        child_start(&child, use_it_all, NULL);
        exchange(a, b, MEGABYTE, 'p');
        CHECK_EQ(child_wait(&child, PATIENCE_MS), 0);
    }
    CHECK(ours[0] == 'o' && ours[MEGABYTE - 1] == 'o');
    CHECK_EQ(nn_freemsg(ours), 0);
    CHECK_CLOSE(a, b);
}

int main(void)
{
    test_begin("robustness/chunks", 60);
    RUN(big_messages_use_the_same_memory_again);
    RUN(no_more_is_kept_than_the_bound);
    RUN(what_has_rested_is_given_back);
    RUN(what_has_rested_is_given_back_beside_small_messages);
    RUN(what_threads_keep_goes_with_them);
    RUN(the_last_close_leaves_nothing);
    RUN(what_is_announced_over_tcp_takes_no_memory_before_it_comes);
    RUN(what_is_announced_over_ipc_takes_no_memory_before_it_comes);
    RUN(a_child_has_memory_of_its_own);
    return test_end();
}
