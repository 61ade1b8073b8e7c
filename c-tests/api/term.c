/* nn_term, after which a process can use no socket any more: everything happens in children, and
 * this process itself never opens one. */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/process.h"
#include "support/raw-peer.h"
#include "support/raw-stream.h"
#include "support/resources.h"
#include "support/sockets.h"
#include "support/talk.h"
#include "support/thread.h"

#include <nanomsg/bus.h>
#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/reqrep.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define EACH_SCHEME(scheme) \
    for (const char *const *scheme = SCHEMES; scheme < SCHEMES + 3; scheme++)

static void in_a_child(int (*function)(void *))
{
    struct child child;
    child_start(&child, function, NULL);
    CHECK_EQ(child_wait(&child, 3 * PATIENCE_MS), 0);
}

static int term_first(void *unused)
{
    struct url url = unique_url("inproc");
    int bound, connected;
    (void)unused;
    nn_term();
    nn_term();
    open_pairs(&bound, &connected, url.text);
    CHECK_CLOSE(bound, connected);
    nn_term();
    CHECK_ERRNO(nn_socket(AF_SP, NN_PAIR), -1, ETERM);
    return 0;
}

/* core 1.3 rule 1, core-quirks A-9: and once there has been a socket it works, open or not. */
static void before_the_first_socket_it_does_nothing(void)
{
    in_a_child(term_first);
}

static int open_afterwards(void *unused)
{
    (void)unused;
    open_pair();
    nn_term();
    for (int round = 0; round < 2; round++) {
        CHECK_ERRNO(nn_socket(AF_SP, NN_PAIR), -1, ETERM);
        CHECK_ERRNO(nn_socket(AF_SP_RAW, NN_BUS), -1, ETERM);
        CHECK_ERRNO(nn_socket(-1, NN_PAIR), -1, ETERM);
        CHECK_ERRNO(nn_socket(AF_SP, 4242), -1, ETERM);
        CHECK_ERRNO(nn_socket(77, -3), -1, ETERM);
        nn_term();
    }
    CHECK_STR(nn_strerror(ETERM), "Nanomsg library was terminated");
    return 0;
}

/* core 1.3 rule 2, abi 6.1, core-quirks A-8 */
static void no_socket_is_opened_afterwards(void)
{
    in_a_child(open_afterwards);
}

static int use_afterwards(void *unused)
{
    int sockets[4], value = 1;
    size_t size = sizeof value;
    struct nn_iovec part = {&value, sizeof value};
    struct nn_msghdr header = {&part, 1, NULL, 0};
    (void)unused;
    for (int i = 0; i < 4; i++)
        sockets[i] = open_pair();
    nn_term();
    for (int i = 0; i < 4; i++) {
        int s = sockets[i];
        struct nn_pollfd entry = {s, NN_POLLIN, 0};
        CHECK_ERRNO(nn_close(s), -1, EBADF);
        CHECK_ERRNO(nn_setsockopt(s, NN_SOL_SOCKET, NN_SNDTIMEO, &value, sizeof value), -1, EBADF);
        CHECK_ERRNO(nn_getsockopt(s, NN_SOL_SOCKET, NN_SNDTIMEO, &value, &size), -1, EBADF);
        CHECK_ERRNO(nn_bind(s, "inproc://a"), -1, EBADF);
        CHECK_ERRNO(nn_connect(s, NULL), -1, EBADF);
        CHECK_ERRNO(nn_shutdown(s, 1), -1, EBADF);
        CHECK_ERRNO(nn_send(s, "x", 1, 0), -1, EBADF);
        CHECK_ERRNO(nn_recv(s, &value, sizeof value, 0), -1, EBADF);
        CHECK_ERRNO(nn_sendmsg(s, &header, 0), -1, EBADF);
        CHECK_ERRNO(nn_recvmsg(s, NULL, 0), -1, EBADF);
        CHECK_ERRNO(nn_poll(&entry, 1, -1), -1, EBADF);
        CHECK_ERRNO(nn_device(s, sockets[0]), -1, EBADF);
        CHECK_ERRNO(nn_get_statistic(s, NN_STAT_MESSAGES_SENT), -1, EBADF);
    }
    return 0;
}

/* core 1.3 rule 3, abi 6 and 7, core-quirks A-10 */
static void every_handle_is_bad_afterwards(void)
{
    in_a_child(use_afterwards);
}

static int keep_messages(void *unused)
{
    struct url url = unique_url("inproc");
    int bound, connected, value = 0;
    char *received = NULL;
    (void)unused;
    char *own = nn_allocmsg(10, 0);
    open_pairs(&bound, &connected, url.text);
    CHECK_SEND(connected, "kept");
    CHECK_EQ(nn_recv(bound, &received, NN_MSG, 0), 4);
    nn_term();
    CHECK_MEM(received, "kept", 4);
    own = nn_reallocmsg(own, 1000);
    REQUIRE(own != NULL);
    memset(own, 'x', 1000);
    CHECK_EQ(nn_freemsg(own), 0);
    CHECK_EQ(nn_freemsg(received), 0);
    received = nn_allocmsg(0, 0);
    CHECK(received != NULL);
    CHECK_EQ(nn_freemsg(received), 0);
    CHECK_STR(nn_symbol(0, &value), "NN_NS_NAMESPACE");
    errno = EPROTO;
    CHECK_EQ(nn_errno(), EPROTO);
    CHECK_EQ(nn_poll(NULL, 0, 1), 0);
    return 0;
}

/* abi 6.23, core 5.3 */
static void messages_outlive_it(void)
{
    in_a_child(keep_messages);
}

struct blocked {
    int kind, s, other;
    int result, error;
};

static void *block(void *argument)
{
    struct blocked *blocked = argument;
    struct nn_pollfd entry = {blocked->s, NN_POLLIN, 0};
    char byte;
    errno = 0;
    switch (blocked->kind) {
    case 0: blocked->result = nn_recv(blocked->s, &byte, 1, 0); break;
    case 1: blocked->result = nn_send(blocked->s, "x", 1, 0); break;
    case 2: blocked->result = nn_device(blocked->s, blocked->other); break;
    default: blocked->result = nn_poll(&entry, 1, -1); break;
    }
    blocked->error = errno;
    return NULL;
}

static int block_everywhere(void *unused)
{
    enum { COUNT = 12 };
    struct thread threads[COUNT];
    struct blocked blocked[COUNT];
    (void)unused;
    for (int i = 0; i < COUNT; i++) {
        struct url url = unique_url(SCHEMES[i / 4]);
        int kind = i % 4, is_device = kind == 2;
        blocked[i] = (struct blocked){.kind = kind};
        blocked[i].s = nn_socket(is_device ? AF_SP_RAW : AF_SP, is_device ? NN_REQ : NN_PAIR);
        blocked[i].other = is_device ? nn_socket(AF_SP_RAW, NN_REP) : -1;
        CHECK_OK(nn_bind(blocked[i].s, url.text));
        thread_start(&threads[i], block, &blocked[i]);
        CHECK(thread_asleep(&threads[i]));
    }
    int64_t start = now_ms();
    nn_term();
    for (int i = 0; i < COUNT; i++) {
        thread_join(&threads[i]);
        /* A poller of the reference may see nothing instead (core-quirks C-6). */
        if (blocked[i].kind == 3 && reference())
            continue;
        CHECK_EQ(blocked[i].result, -1);
        CHECK_EQ(blocked[i].error, EBADF);
    }
    CHECK_AT_MOST(now_ms() - start, 2000);
    return 0;
}

/* core 1.3 rule 2, core-quirks, reliability P3 */
static void it_wakes_who_is_blocked(void)
{
    in_a_child(block_everywhere);
}

static int leave_nothing(void *unused)
{
    int descriptors = count_descriptors();
    struct threads threads = threads_now();
    struct url urls[3];
    (void)unused;
    for (int i = 0; i < 3; i++) {
        int bound, connected;
        urls[i] = unique_url(SCHEMES[i]);
        open_pairs(&bound, &connected, urls[i].text);
        CHECK_OK(get_int(bound, NN_SOL_SOCKET, NN_RCVFD));
    }
    nn_term();
    CHECK_EQ(count_descriptors(), descriptors);
    CHECK(wait_until(count_more_threads(&threads) == 0, PATIENCE_MS));
    /* The addresses are free. */
    CHECK_ERRNO(access(urls[1].text + strlen("ipc://"), F_OK), -1, ENOENT);
    int fd = raw_listen(urls[2].text);
    close(fd);
    return 0;
}

/* core 1.3 rule 2 and 3.4: with the full meaning of nn_close */
static void nothing_is_left_behind(void)
{
    in_a_child(leave_nothing);
}

static int send_before(void *unused)
{
    struct url url = unique_url("tcp");
    char body[5];
    (void)unused;
    int s = open_pair();
    CHECK_OK(nn_bind(s, url.text));
    int fd = raw_connect(url.text);
    CHECK(raw_greet(fd));
    CHECK_SEND(s, "hello");
    nn_term();
    CHECK_EQ(raw_take(fd, url.text, body, sizeof body, PATIENCE_MS), 5);
    CHECK_MEM(body, "hello", 5);
    CHECK_NE(raw_end(fd, PATIENCE_MS), RAW_OPEN);
    close(fd);
    return 0;
}

/* core 3.4, core-quirks A-14 */
static void what_was_sent_before_is_delivered(void)
{
    in_a_child(send_before);
}

static int begin_again(void *unused)
{
    void (*init)(void) = (void (*)(void))(intptr_t)dlsym(RTLD_DEFAULT, "nn_init");
    (void)unused;
    REQUIRE(init != NULL);
    init();
    for (int round = 0; round < 3; round++) {
        int other = open_pair(), s = open_pair();
        CHECK_EQ(other, 0);
        CHECK_EQ(s, 1);
        nn_term();
        CHECK_ERRNO(nn_socket(AF_SP, NN_PAIR), -1, ETERM);
        CHECK_ERRNO(nn_close(s), -1, EBADF);
        init();
    }
    EACH_SCHEME(scheme) {
        struct url url = unique_url(*scheme);
        int bound, connected;
        open_pairs(&bound, &connected, url.text);
        CHECK_CLOSE(bound, connected);
    }
    return 0;
}

/* abi 5 and 6.23 */
static void nn_init_undoes_it(void)
{
    in_a_child(begin_again);
}

static void *terminate(void *argument)
{
    pthread_barrier_wait(argument);
    nn_term();
    return NULL;
}

static void *open_and_close(void *argument)
{
    struct nn_pollfd entry = {0, NN_POLLIN, 0};
    pthread_barrier_wait(argument);
    for (;;) {
        struct url url;
        int s = nn_socket(AF_SP, NN_BUS);
        if (s < 0) {
            CHECK_EQ(errno, ETERM);
            return NULL;
        }
        snprintf(url.text, sizeof url.text, "inproc://term-%d", s);
        entry.fd = s;
        /* Each of them may find the socket closed. */
        if (nn_bind(s, url.text) < 0)
            CHECK(errno == EBADF || errno == EADDRINUSE);
        if (nn_send(s, "x", 1, NN_DONTWAIT) < 0)
            CHECK_EQ(errno, EBADF);
        if (nn_poll(&entry, 1, 0) < 0)
            CHECK_EQ(errno, EBADF);
        if (nn_close(s) < 0)
            CHECK_EQ(errno, EBADF);
    }
}

static int terminate_together(void *unused)
{
    enum { COUNT = 6 };
    struct thread threads[COUNT];
    pthread_barrier_t barrier;
    (void)unused;
    pthread_barrier_init(&barrier, NULL, COUNT);
    CHECK_OK(nn_socket(AF_SP, NN_PAIR));
    for (int i = 0; i < COUNT; i++)
        thread_start(&threads[i], i % 2 ? terminate : open_and_close, &barrier);
    for (int i = 0; i < COUNT; i++)
        thread_join(&threads[i]);
    CHECK_ERRNO(nn_socket(AF_SP, NN_PAIR), -1, ETERM);
    for (int s = 0; s < 520; s++)
        CHECK_ERRNO(nn_close(s), -1, EBADF);
    return 0;
}

/* core 1.3 and 1.5, reliability P1: from several threads at once, while others open and close */
static void several_threads_may_terminate_at_once(void)
{
    for (int round = 0; round < 20; round++)
        in_a_child(terminate_together);
}

static int exit_quietly(void *argument)
{
    int *quiet = argument;
    struct url url = unique_url("tcp");
    int bound, connected;
    dup2(*quiet, 1);
    dup2(*quiet, 2);
    open_pairs(&bound, &connected, url.text);
    nn_term();
    return 7;
}

/* core-quirks A-12 */
static void leaving_afterwards_is_silent(void)
{
    check_silent_exit(exit_quietly);
}

int main(void)
{
    test_begin("api/term", 80);
    RUN(before_the_first_socket_it_does_nothing);
    RUN(no_socket_is_opened_afterwards);
    RUN(every_handle_is_bad_afterwards);
    RUN(messages_outlive_it);
    RUN(it_wakes_who_is_blocked);
    RUN(nothing_is_left_behind);
    RUN(what_was_sent_before_is_delivered);
    RUN(nn_init_undoes_it);
    RUN(several_threads_may_terminate_at_once);
    RUN(leaving_afterwards_is_silent);
    return test_end();
}
