/* A process that has no descriptor left, or one, at the worst moments. Calls may fail with EMFILE,
 * connections may wait; nothing spins, nothing hangs, and all is well when descriptors return.
 *
 *   descriptors inproc|ipc|tcp|ws|tls+tcp|wss [EFFORT [SEED]] */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/credentials.h"
#include "support/process.h"
#include "support/raw-stream.h"
#include "support/resources.h"
#include "support/sockets.h"
#include "support/talk.h"
#include "support/thread.h"
#include "support/trial.h"

#include <nanomsg/nn.h>
#include <nanomsg/pair.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LIMIT = 128, FREE_MOST = 7 };

static struct {
    struct rlimit before;
    int fds[LIMIT];
    int count;
} filled;

/* From now on the process can have only so many descriptors more. */
static void leave_free(int count)
{
    struct rlimit limit;
    int fd;
    REQUIRE(getrlimit(RLIMIT_NOFILE, &filled.before) == 0);
    limit = filled.before;
    limit.rlim_cur = LIMIT;
    REQUIRE(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    while ((fd = fcntl(2, F_DUPFD_CLOEXEC, 0)) >= 0)
        filled.fds[filled.count++] = fd;
    REQUIRE(errno == EMFILE && filled.count > count);
    while (count-- > 0)
        close(filled.fds[--filled.count]);
}

static void give_back(void)
{
    while (filled.count > 0)
        close(filled.fds[--filled.count]);
    REQUIRE(setrlimit(RLIMIT_NOFILE, &filled.before) == 0);
}

/* The result of a call that may only fail for want of a descriptor. */
static int or_emfile(int result, int error, const char *call, int count)
{
    if (result < 0 && error != EMFILE)
        FAIL("%s with %d free descriptors: errno %d (%s)", call, count, error, strerror(error));
    return result;
}

#define OR_EMFILE(call, count) __extension__ ({ \
    errno = 0; \
    int result_ = (call); \
    or_emfile(result_, errno, #call, (count)); \
})

static void a_socket_opens_or_says_why_not(void)
{
    for (int count = 0; count <= FREE_MOST; count++) {
        leave_free(count);
        int s = OR_EMFILE(dressed(nn_socket(AF_SP, NN_PAIR)), count);
        if (s >= 0)
            CHECK_CLOSE(s);
        give_back();
        struct url url = unique_url(trial.scheme);
        check_fresh_conversation(url.text);
    }
}

/* What failed under want must succeed now. */
static void bind_at_last(int s, const char *url, int id)
{
    if (id < 0)
        CHECK_OK(nn_bind(s, url));
}

static void connect_at_last(int s, const char *url, int id)
{
    if (id < 0)
        CHECK_OK(nn_connect(s, url));
}

/* A socket whose library is awake already has the descriptors of that; one that is not needs them
 * in the call. */
static void check_bind(int count, int awake)
{
    struct url url = unique_url(trial.scheme), other = unique_url(trial.scheme);
    int s = open_quick(), peer = open_quick();
    if (awake)
        CHECK_OK(nn_bind(peer, other.text));
    leave_free(count);
    int id = OR_EMFILE(nn_bind(s, url.text), count);
    give_back();
    bind_at_last(s, url.text, id);
    CHECK_OK(nn_connect(peer, url.text));
    CHECK_TALK(s, peer);
    CHECK_CLOSE(peer, s);
}

static void a_bind_succeeds_or_can_be_repeated(void)
{
    int descriptors = count_descriptors();
    for (int count = 0; count <= FREE_MOST; count++) {
        check_bind(count, 0);
        check_bind(count, 1);
    }
    CHECK_EQ(count_descriptors(), descriptors);
}

static void check_connect(int count, int awake)
{
    struct url url = unique_url(trial.scheme);
    int s = open_quick(), peer = open_quick();
    if (awake)
        CHECK_OK(nn_bind(peer, url.text));
    leave_free(count);
    int id = OR_EMFILE(nn_connect(s, url.text), count);
    /* An attempt or two are made in want. */
    nap_ms(15);
    give_back();
    if (!awake)
        CHECK_OK(nn_bind(peer, url.text));
    connect_at_last(s, url.text, id);
    CHECK_TALK(s, peer);
    CHECK_CLOSE(s, peer);
}

static void a_connect_succeeds_or_can_be_repeated(void)
{
    int descriptors = count_descriptors();
    for (int count = 0; count <= FREE_MOST; count++) {
        check_connect(count, 0);
        check_connect(count, 1);
    }
    CHECK_EQ(count_descriptors(), descriptors);
}

/* A whole conversation that starts with too little. */
static void check_all_in_want(int count)
{
    struct url url = unique_url(trial.scheme);
    char byte;
    leave_free(count);
    int a = OR_EMFILE(dressed(nn_socket(AF_SP, NN_PAIR)), count);
    int b = OR_EMFILE(dressed(nn_socket(AF_SP, NN_PAIR)), count);
    int bound = a < 0 ? -1 : OR_EMFILE(nn_bind(a, url.text), count);
    int connected = b < 0 ? -1 : OR_EMFILE(nn_connect(b, url.text), count);
    for (int i = 0; i < 10 && a >= 0 && b >= 0; i++) {
        nn_send(a, "x", 1, NN_DONTWAIT);
        nn_recv(b, &byte, 1, NN_DONTWAIT);
        nap_ms(1);
    }
    give_back();
    a = a < 0 ? open_quick() : a;
    b = b < 0 ? open_quick() : b;
    bind_at_last(a, url.text, bound);
    connect_at_last(b, url.text, connected);
    CHECK_TALK(a, b);
    CHECK_CLOSE(a, b);
}

static void a_conversation_that_starts_in_want_goes_on_in_plenty(void)
{
    for (int count = 0; count <= FREE_MOST; count++)
        check_all_in_want(count);
}

/* ---- calls on connected sockets ---- */

struct receiver {
    int s;
    int go;
    int result;
    int error;
};

static void *receive_when_told(void *argument)
{
    struct receiver *receiver = argument;
    char byte;
    wait_until(__atomic_load_n(&receiver->go, __ATOMIC_ACQUIRE), PATIENCE_MS);
    errno = 0;
    receiver->result = nn_recv(receiver->s, &byte, 1, 0);
    receiver->error = errno;
    return NULL;
}

static void the_first_blocking_receive_needs_no_descriptor(void)
{
    for (int count = 0; count < 2; count++) {
        struct url url = unique_url(trial.scheme);
        struct thread thread;
        int a = open_quick(), b = open_quick();
        CHECK_OK(nn_bind(a, url.text));
        CHECK_OK(nn_connect(b, url.text));
        CHECK(wait_stat(a, NN_STAT_CURRENT_CONNECTIONS, 1, PATIENCE_MS));
        CHECK(wait_stat(b, NN_STAT_CURRENT_CONNECTIONS, 1, PATIENCE_MS));
        struct receiver receiver = {a, 0, 0, 0};
        thread_start(&thread, receive_when_told, &receiver);
        leave_free(count);
        __atomic_store_n(&receiver.go, 1, __ATOMIC_RELEASE);
        /* Looking at the thread takes a descriptor; a short nap makes a blocked call as likely. */
        nap_ms(20);
        CHECK_EQ(nn_send(b, "x", 1, 0), 1);
        thread_join(&thread);
        CHECK_EQ(receiver.result, 1);
        give_back();
        CHECK_TALK(a, b);
        CHECK_CLOSE(a, b);
    }
}

static void blocking_calls_end_in_time_without_a_descriptor(void)
{
    char byte;
    int s = open_pair();
    set_int(s, NN_RCVTIMEO, 50);
    set_int(s, NN_SNDTIMEO, 50);
    leave_free(0);
    int64_t start = now_us();
    CHECK_ERRNO(nn_recv(s, &byte, 1, 0), -1, ETIMEDOUT);
    CHECK_NOT_EARLY(start, 50);
    start = now_us();
    CHECK_ERRNO(nn_send(s, "x", 1, 0), -1, ETIMEDOUT);
    CHECK_NOT_EARLY(start, 50);
    give_back();
    CHECK_CLOSE(s);
}

static void check_pollable(int s, int option, int peer)
{
    int fd = -1;
    size_t size = sizeof fd;
    leave_free(0);
    CHECK(OR_EMFILE(nn_getsockopt(s, NN_SOL_SOCKET, option, &fd, &size), 0) <= 0);
    give_back();
    size = sizeof fd;
    CHECK_EQ(nn_getsockopt(s, NN_SOL_SOCKET, option, &fd, &size), 0);
    if (option == NN_RCVFD)
        CHECK_SEND(peer, "now");
    struct pollfd ready = {fd, POLLIN, 0};
    CHECK_EQ(poll(&ready, 1, PATIENCE_MS), 1);
    if (option == NN_RCVFD)
        CHECK_RECV(s, "now");
}

static void descriptors_to_poll_come_later(void)
{
    struct url url = unique_url(trial.scheme);
    int a, b;
    open_pairs(&a, &b, url.text);
    check_pollable(a, NN_RCVFD, b);
    check_pollable(b, NN_SNDFD, a);
    CHECK_TALK(a, b);
    CHECK_CLOSE(a, b);
}

/* ---- the background ---- */

/* Less than a fifth of a processor over a second. */
static void check_idle(void)
{
    int64_t cpu = cpu_us(), start = now_us();
    nap_ms(1000);
    CHECK_AT_MOST((cpu_us() - cpu) * 5, now_us() - start);
}

enum { WAITING = 5 };

static void check_accept_in_want(int count)
{
    struct url url = unique_url(trial.scheme);
    struct sockaddr_storage address;
    socklen_t size = raw_address(url.text, &address);
    int a, b, fds[WAITING];
    open_pairs(&a, &b, url.text);
    for (int i = 0; i < WAITING; i++)
        REQUIRE((fds[i] = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0)) >= 0);
    leave_free(count);
    /* The kernel completes the connections; we have no descriptors to take them out. */
    for (int i = 0; i < WAITING; i++)
        CHECK_EQ(connect(fds[i], (struct sockaddr *)&address, size), 0);
    CHECK(wait_stat(a, NN_STAT_CURRENT_EP_ERRORS, 1, PATIENCE_MS));
    CHECK_TALK(a, b);
    check_idle();
    CHECK_TALK(a, b);
    CHECK_EQ(nn_get_statistic(a, NN_STAT_CURRENT_EP_ERRORS), 1);
    /* Who encrypts hears them out first. */
    for (int i = 0; i < WAITING && is_encrypted(trial.scheme); i++)
        CHECK_EQ(shutdown(fds[i], SHUT_WR), 0);
    give_back();
    /* They are accepted now, and let go, because the socket has its peer. */
    for (int i = 0; i < WAITING; i++) {
        CHECK_NE(raw_end(fds[i], PATIENCE_MS), RAW_OPEN);
        close(fds[i]);
    }
    CHECK(wait_stat(a, NN_STAT_CURRENT_EP_ERRORS, 0, PATIENCE_MS));
    CHECK_TALK(a, b);
    CHECK_CLOSE(b, a);
    check_fresh_conversation(url.text);
}

static void a_listener_waits_for_descriptors(void)
{
    check_accept_in_want(0);
    check_accept_in_want(1);
}

static void a_listener_in_want_can_be_closed(void)
{
    struct url url = unique_url(trial.scheme);
    struct sockaddr_storage address;
    socklen_t size = raw_address(url.text, &address);
    int s = open_quick(), fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_OK(nn_bind(s, url.text));
    leave_free(0);
    CHECK_EQ(connect(fd, (struct sockaddr *)&address, size), 0);
    CHECK(wait_stat(s, NN_STAT_CURRENT_EP_ERRORS, 1, PATIENCE_MS));
    CHECK_CLOSE(s);
    give_back();
    close(fd);
    check_fresh_conversation(url.text);
}

static void a_dialer_waits_for_descriptors(void)
{
    struct url url = unique_url(trial.scheme);
    int s = open_quick(), peer = open_quick();
    CHECK_OK(nn_bind(peer, url.text));
    /* Awake, connected to somebody and then alone: the next attempts find no descriptor. */
    int first = nn_connect(s, url.text);
    CHECK_OK(first);
    CHECK_TALK(s, peer);
    CHECK_EQ(nn_shutdown(s, first), 0);
    leave_free(0);
    int id = OR_EMFILE(nn_connect(s, url.text), 0);
    check_idle();
    give_back();
    connect_at_last(s, url.text, id);
    CHECK_TALK(s, peer);
    CHECK_CLOSE(s, peer);
}

/* ---- the standard ones ---- */

/* Most is made while the three are free, and all is in use when they belong to somebody again. */
static int talk_without_standard_streams(void *argument)
{
    struct url url = unique_url(trial.scheme), other = unique_url(trial.scheme);
    int a, b, fd, said = fcntl(2, F_DUPFD_CLOEXEC, 100);
    size_t size = sizeof fd;
    (void)argument;
    for (int standard = 0; standard < 3; standard++)
        close(standard);
    open_pairs(&a, &b, url.text);
    CHECK_EQ(nn_getsockopt(a, NN_SOL_SOCKET, NN_RCVFD, &fd, &size), 0);
    int own = open("/dev/null", O_RDWR);
    CHECK_OK(own);
    CHECK_OK(dup2(own, 0));
    CHECK_OK(dup2(own, 1));
    CHECK_OK(dup2(said, 2));
    CHECK_AT_LEAST(fd, 3);
    CHECK_SEND(b, "now");
    struct pollfd ready = {fd, POLLIN, 0};
    CHECK_EQ(poll(&ready, 1, PATIENCE_MS), 1);
    CHECK_RECV(a, "now");
    CHECK_TALK(a, b);
    check_fresh_conversation(other.text);
    CHECK_CLOSE(b, a);
    for (int standard = 0; standard < 3; standard++)
        CHECK_OK(fcntl(standard, F_GETFD));
    return 0;
}

static void the_standard_descriptors_are_left_to_the_program(void)
{
    struct child child;
    child_start(&child, talk_without_standard_streams, NULL);
    CHECK_EQ(child_wait(&child, 2 * PATIENCE_MS), 0);
}

int main(int count, char **words)
{
    trial_begin("robustness/descriptors", "inproc|ipc|tcp|ws|tls+tcp|wss", 40, count, words);
    RUN(a_socket_opens_or_says_why_not);
    RUN(a_bind_succeeds_or_can_be_repeated);
    RUN(a_connect_succeeds_or_can_be_repeated);
    RUN(a_conversation_that_starts_in_want_goes_on_in_plenty);
    RUN(the_first_blocking_receive_needs_no_descriptor);
    RUN(blocking_calls_end_in_time_without_a_descriptor);
    RUN(descriptors_to_poll_come_later);
    if (strcmp(trial.scheme, "inproc") != 0) {
        RUN(a_listener_waits_for_descriptors);
        RUN(a_listener_in_want_can_be_closed);
        RUN(a_dialer_waits_for_descriptors);
    }
    RUN(the_standard_descriptors_are_left_to_the_program);
    RUN(nothing_is_left);
    return test_end();
}
