/* Opening and closing sockets: handle numbers, the order of errors, and what a close does to the
 * other threads of the process and to the process itself. */

#include "support/address.h"
#include "support/blocked.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/process.h"
#include "support/resources.h"
#include "support/sockets.h"
#include "support/talk.h"
#include "support/thread.h"

#include <nanomsg/nn.h>
#include <nanomsg/pair.h>

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int open_plain(void)
{
    return nn_socket(AF_SP, NN_PAIR);
}

/* core 1.1, core-quirks A-1 */
static void numbers_are_reused_last_closed_first(void)
{
    for (int s = 0; s < 4; s++)
        CHECK_EQ(open_plain(), s);
    CHECK_CLOSE(1, 3);
    CHECK_EQ(open_plain(), 3);
    CHECK_EQ(open_plain(), 1);
    CHECK_EQ(open_plain(), 4);
    CHECK_CLOSE(0, 4, 2);
    CHECK_EQ(open_plain(), 2);
    CHECK_EQ(open_plain(), 4);
    CHECK_EQ(open_plain(), 0);
    CHECK_EQ(open_plain(), 5);
    for (int s = 0; s < 6; s++)
        CHECK_CLOSE(s);
}

/* core 1.1, core-quirks A-1 */
static void numbering_restarts_at_zero_when_no_socket_is_left(void)
{
    static const int order[6] = {3, 0, 5, 1, 4, 2};
    for (int s = 0; s < 6; s++)
        CHECK_EQ(open_plain(), s);
    for (int i = 0; i < 6; i++)
        CHECK_CLOSE(order[i]);
    for (int s = 0; s < 3; s++)
        CHECK_EQ(open_plain(), s);
    for (int s = 2; s >= 0; s--)
        CHECK_CLOSE(s);
}

/*
 * abi 6.1, core-quirks A-3. The reference has room for 512 sockets, which take two descriptors
 * each. spmsg has no such limit: it opens as many as those two descriptors would allow.
 */
static void sockets_are_limited(void)
{
    if (!limit_descriptors(reference() ? 1100 : 1024)) {
        test_skip("too few descriptors are allowed for 512 sockets");
        return;
    }
    for (int s = 0; s < 512; s++)
        CHECK_EQ(open_plain(), s);
    CHECK_ERRNO(open_plain(), -1, EMFILE);
    CHECK_ERRNO(nn_socket(AF_SP, 4242), -1, EMFILE);
    CHECK_ERRNO(nn_socket(4242, NN_PAIR), -1, EAFNOSUPPORT);
    CHECK_CLOSE(300);
    CHECK_EQ(open_plain(), 300);
    for (int s = 511; s >= 0; s--)
        CHECK_CLOSE(s);
}

/* abi 6.1: the domain is looked at before the protocol, and a failure leaves no trace. */
static void bad_domains_and_protocols_are_refused(void)
{
    static const int domains[] = {0, 3, 16, -1, INT_MAX, INT_MIN};
    static const int protocols[] = {0, 1, 2, 15, 17, 34, 50, 64, 65, 82, 96, 97, 100, 113, 4242,
                                    -1, -16, INT_MAX, INT_MIN};
    for (size_t i = 0; i < COUNT_OF(domains); i++) {
        CHECK_ERRNO(nn_socket(domains[i], NN_PAIR), -1, EAFNOSUPPORT);
        CHECK_ERRNO(nn_socket(domains[i], -1), -1, EAFNOSUPPORT);
    }
    for (size_t i = 0; i < COUNT_OF(protocols); i++) {
        CHECK_ERRNO(nn_socket(AF_SP, protocols[i]), -1, EINVAL);
        CHECK_ERRNO(nn_socket(AF_SP_RAW, protocols[i]), -1, EINVAL);
    }
    CHECK_EQ(open_plain(), 0);
    CHECK_ERRNO(nn_socket(0, NN_PAIR), -1, EAFNOSUPPORT);
    CHECK_ERRNO(nn_socket(AF_SP, 17), -1, EINVAL);
    CHECK_EQ(open_plain(), 1);
    CHECK_CLOSE(0, 1);
}

/* core 2, core-quirks A-69 */
static void raw_and_cooked_pairs_are_peers(void)
{
    struct url url = unique_url("inproc");
    int raw = nn_socket(AF_SP_RAW, NN_PAIR), cooked = open_pair();
    CHECK_EQ(get_int(raw, NN_SOL_SOCKET, NN_DOMAIN), AF_SP_RAW);
    CHECK_EQ(get_int(raw, NN_SOL_SOCKET, NN_PROTOCOL), NN_PAIR);
    CHECK_EQ(get_int(cooked, NN_SOL_SOCKET, NN_DOMAIN), AF_SP);
    CHECK_EQ(get_int(cooked, NN_SOL_SOCKET, NN_PROTOCOL), NN_PAIR);
    CHECK_OK(nn_bind(raw, url.text));
    CHECK_OK(nn_connect(cooked, url.text));
    CHECK_SEND(raw, "from raw");
    CHECK_RECV(cooked, "from raw");
    CHECK_SEND(cooked, "from cooked");
    CHECK_RECV(raw, "from cooked");
    CHECK_CLOSE(raw, cooked);
}

/* Every call that takes a handle, with arguments that would be errors of their own. */
static void check_every_call_refuses(int s)
{
    int value = 0;
    size_t size = sizeof value;
    struct nn_msghdr header;
    memset(&header, 0, sizeof header);
    CHECK_ERRNO(nn_close(s), -1, EBADF);
    CHECK_ERRNO(nn_setsockopt(s, NN_SOL_SOCKET, NN_SNDBUF, &value, sizeof value), -1, EBADF);
    CHECK_ERRNO(nn_setsockopt(s, 4242, 4242, NULL, 4), -1, EBADF);
    CHECK_ERRNO(nn_getsockopt(s, NN_SOL_SOCKET, NN_SNDBUF, &value, &size), -1, EBADF);
    CHECK_ERRNO(nn_getsockopt(s, 4242, 4242, NULL, NULL), -1, EBADF);
    CHECK_ERRNO(nn_bind(s, "inproc://a"), -1, EBADF);
    CHECK_ERRNO(nn_bind(s, NULL), -1, EBADF);
    CHECK_ERRNO(nn_connect(s, "inproc://a"), -1, EBADF);
    CHECK_ERRNO(nn_connect(s, NULL), -1, EBADF);
    CHECK_ERRNO(nn_shutdown(s, 1), -1, EBADF);
    CHECK_ERRNO(nn_shutdown(s, -1), -1, EBADF);
    CHECK_ERRNO(nn_send(s, "x", 1, 0), -1, EBADF);
    CHECK_ERRNO(nn_send(s, NULL, 1, NN_DONTWAIT), -1, EBADF);
    CHECK_ERRNO(nn_send(s, NULL, NN_MSG, 0), -1, EBADF);
    CHECK_ERRNO(nn_recv(s, &value, sizeof value, 0), -1, EBADF);
    CHECK_ERRNO(nn_recv(s, NULL, NN_MSG, NN_DONTWAIT), -1, EBADF);
    CHECK_ERRNO(nn_sendmsg(s, &header, 0), -1, EBADF);
    CHECK_ERRNO(nn_sendmsg(s, NULL, 0), -1, EBADF);
    CHECK_ERRNO(nn_recvmsg(s, &header, 0), -1, EBADF);
    CHECK_ERRNO(nn_recvmsg(s, NULL, 0), -1, EBADF);
    CHECK_ERRNO(nn_get_statistic(s, NN_STAT_MESSAGES_SENT), -1, EBADF);
    CHECK_ERRNO(nn_get_statistic(s, 4242), -1, EBADF);
}

/* abi 6 and 7, core-quirks A-15 */
static void bad_handles_are_refused_before_anything_else(void)
{
    static const int handles[] = {-1, -5, 0, 1, 511, 512, 513, 100000, INT_MAX, INT_MIN};
    for (size_t i = 0; i < COUNT_OF(handles); i++)
        check_every_call_refuses(handles[i]);
    CHECK_EQ(open_plain(), 0);
    for (size_t i = 0; i < COUNT_OF(handles); i++)
        if (handles[i] != 0)
            check_every_call_refuses(handles[i]);
    CHECK_CLOSE(0);
    check_every_call_refuses(0);
}

/* abi 6.2: a closed handle stays refused while other sockets live, until it is given out again. */
static void a_closed_handle_is_refused_until_it_is_given_out_again(void)
{
    int first = open_plain(), second = open_plain();
    CHECK_CLOSE(first);
    CHECK_ERRNO(nn_close(first), -1, EBADF);
    check_every_call_refuses(first);
    CHECK_EQ(open_plain(), first);
    CHECK_EQ(get_int(first, NN_SOL_SOCKET, NN_PROTOCOL), NN_PAIR);
    CHECK_CLOSE(first, second);
}

/* On a socket of that transport that is bound and has no peer. */
static void check_close_wakes_over(const char *scheme, int receivers, int senders)
{
    struct url url = unique_url(scheme);
    int s = open_plain();
    CHECK_OK(nn_bind(s, url.text));
    check_close_wakes(s, receivers, senders, 2000);
}

/* core 3.4, core-quirks A-7, reliability P3 */
static void close_wakes_a_blocked_receiver(void)
{
    check_close_wakes_over("inproc", 1, 0);
    check_close_wakes_over("ipc", 1, 0);
    check_close_wakes_over("tcp", 1, 0);
}

/* core 3.4, core-quirks A-7, reliability P3 */
static void close_wakes_a_blocked_sender(void)
{
    check_close_wakes_over("inproc", 0, 1);
    check_close_wakes_over("ipc", 0, 1);
    check_close_wakes_over("tcp", 0, 1);
}

/* core 1.5 and 3.4 */
static void close_wakes_every_blocked_thread(void)
{
    check_close_wakes_over("inproc", 4, 4);
    check_close_wakes_over("ipc", 4, 4);
    check_close_wakes_over("tcp", 4, 4);
}

/* core-quirks D, asynchronous shutdown: ten times on one port, with a live connection. */
static void close_wakes_a_receiver_that_has_a_peer(void)
{
    struct url url = unique_url("tcp");
    for (int round = 0; round < 10; round++) {
        int bound, connected;
        open_pairs(&bound, &connected, url.text);
        check_close_wakes(bound, 1, 0, 2000);
        CHECK_CLOSE(connected);
    }
}

struct closing {
    int s;
    int closed;
    int refused;
    pthread_barrier_t start;
};

static void *close_it(void *argument)
{
    struct closing *closing = argument;
    pthread_barrier_wait(&closing->start);
    if (nn_close(closing->s) == 0)
        __atomic_fetch_add(&closing->closed, 1, __ATOMIC_RELAXED);
    else if (errno == EBADF)
        __atomic_fetch_add(&closing->refused, 1, __ATOMIC_RELAXED);
    return NULL;
}

/* abi 6.2, core 3.4 */
static void of_concurrent_closes_exactly_one_succeeds(void)
{
    struct url url = unique_url("tcp");
    for (int round = 0; round < 50; round++) {
        struct thread threads[4];
        struct closing closing = {.s = open_pair()};
        /* Another socket keeps the library running, so that the number cannot be given out anew. */
        int other = open_plain();
        CHECK_OK(nn_bind(closing.s, url.text));
        pthread_barrier_init(&closing.start, NULL, 4);
        for (int i = 0; i < 4; i++)
            thread_start(&threads[i], close_it, &closing);
        for (int i = 0; i < 4; i++)
            thread_join(&threads[i]);
        pthread_barrier_destroy(&closing.start);
        CHECK_EQ(closing.closed, 1);
        CHECK_EQ(closing.refused, 3);
        CHECK_CLOSE(other);
    }
}

/* core 1.2, core-quirks A-11, reliability P5 */
static void no_thread_and_no_descriptor_is_left_after_the_last_close(void)
{
    int descriptors = count_descriptors();
    struct threads threads = threads_now();
    for (int round = 0; round < 6; round++) {
        struct url url = unique_url(SCHEMES[round % 3]);
        int bound, connected, fd;
        size_t size = sizeof fd;
        open_pairs(&bound, &connected, url.text);
        CHECK_EQ(nn_getsockopt(bound, NN_SOL_SOCKET, NN_RCVFD, &fd, &size), 0);
        CHECK_EQ(nn_getsockopt(bound, NN_SOL_SOCKET, NN_SNDFD, &fd, &size), 0);
        CHECK_CLOSE(bound, connected);
        CHECK_EQ(count_descriptors(), descriptors);
        CHECK(wait_until(count_more_threads(&threads) == 0, PATIENCE_MS));
    }
}

/* The mask of blocked signals of one thread, from /proc. */
static unsigned long long blocked_signals(const char *tid)
{
    char path[300], line[256];
    unsigned long long mask = 0;
    snprintf(path, sizeof path, "/proc/self/task/%s/status", tid);
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "SigBlk: %llx", &mask) == 1)
            break;
    if (file)
        fclose(file);
    return mask;
}

/* core 1.2, reliability P4 */
static void library_threads_block_all_signals(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGALRM, SIGCHLD, SIGUSR1, SIGHUP, SIGPIPE};
    struct url url = unique_url("tcp");
    struct dirent *entry;
    int bound, connected, own = getpid();
    open_pairs(&bound, &connected, url.text);
    DIR *tasks = opendir("/proc/self/task");
    while ((entry = readdir(tasks)) != NULL) {
        if (entry->d_name[0] == '.' || atoi(entry->d_name) == own)
            continue;
        unsigned long long mask = blocked_signals(entry->d_name);
        for (size_t i = 0; i < COUNT_OF(signals); i++)
            CHECK(mask >> (signals[i] - 1) & 1);
    }
    closedir(tasks);
    CHECK_CLOSE(bound, connected);
}

static int use_the_library(void *argument)
{
    (void)argument;
    for (int i = 0; i < 3; i++) {
        struct url url = unique_url(SCHEMES[i]);
        int bound, connected;
        open_pairs(&bound, &connected, url.text);
        CHECK_CLOSE(bound, connected);
    }
    return 0;
}

/* core 1.4, core-quirks A-11 */
static void a_child_forked_after_the_last_close_can_use_the_library(void)
{
    struct child child;
    use_the_library(NULL);
    child_start(&child, use_the_library, NULL);
    CHECK_EQ(child_wait(&child, 2 * PATIENCE_MS), 0);
    use_the_library(NULL);
}

static int exit_with_open_sockets(void *argument)
{
    int *quiet = argument;
    dup2(*quiet, 1);
    dup2(*quiet, 2);
    for (int i = 0; i < 3; i++) {
        struct url url = unique_url(SCHEMES[i]);
        int bound, connected;
        open_pairs(&bound, &connected, url.text);
    }
    return 7;
}

/* abi 1, core-quirks A-12 */
static void exit_with_open_sockets_is_silent_and_does_not_block(void)
{
    check_silent_exit(exit_with_open_sockets);
}

int main(void)
{
    test_begin("api/socket", 28);
    RUN(numbers_are_reused_last_closed_first);
    RUN(numbering_restarts_at_zero_when_no_socket_is_left);
    RUN(sockets_are_limited);
    RUN(bad_domains_and_protocols_are_refused);
    RUN(raw_and_cooked_pairs_are_peers);
    RUN(bad_handles_are_refused_before_anything_else);
    RUN(a_closed_handle_is_refused_until_it_is_given_out_again);
    RUN(close_wakes_a_blocked_receiver);
    RUN(close_wakes_a_blocked_sender);
    RUN(close_wakes_every_blocked_thread);
    RUN(close_wakes_a_receiver_that_has_a_peer);
    RUN(of_concurrent_closes_exactly_one_succeeds);
    RUN(no_thread_and_no_descriptor_is_left_after_the_last_close);
    RUN(library_threads_block_all_signals);
    RUN(a_child_forked_after_the_last_close_can_use_the_library);
    RUN(exit_with_open_sockets_is_silent_and_does_not_block);
    return test_end();
}
