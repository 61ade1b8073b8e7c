/* What becomes of connections, told by spmsg_events and spmsg_next_event. */

#include "beyond.h"

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/raw-peer.h"
#include "support/raw-stream.h"
#include "support/sockets.h"
#include "support/talk.h"
#include "support/thread.h"

#include <nanomsg/nn.h>
#include <nanomsg/pubsub.h>

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static int is_readable(int fd)
{
    struct pollfd ready = {fd, POLLIN, 0};
    return poll(&ready, 1, 0) == 1 && (ready.revents & POLLIN);
}

#define CHECK_EVENT(s, expected_type, expected_endpoint, expected_error) do { \
    struct spmsg_event event_ = next_event(s); \
    CHECK_EQ(event_.type, expected_type); \
    CHECK_EQ(event_.endpoint, expected_endpoint); \
    CHECK_EQ(event_.error, expected_error); \
    CHECK_EQ(event_.missed, 0); \
} while (0)

static void check_none(int s)
{
    struct spmsg_event event;
    CHECK_ERRNO(spmsg_next_event(s, &event), -1, EAGAIN);
    CHECK(!is_readable(spmsg_events(s)));
}

static void nothing_is_kept_before_the_first_call(void)
{
    struct spmsg_event event;
    int here, there;
    open_pairs(&here, &there, "inproc://before");
    CHECK_ERRNO(spmsg_next_event(here, &event), -1, EAGAIN);
    int fd = spmsg_events(here);
    CHECK_OK(fd);
    CHECK_EQ(spmsg_events(here), fd);
    check_none(here);
    nn_close(there);
    CHECK_EVENT(here, SPMSG_EVENT_DISCONNECTED, 1, 0);
    check_none(here);
    nn_close(here);
}

/* On every transport, at both ends, with what is known of the peer. */
static void peers_come_and_go(void)
{
    for (size_t i = 0; i < 4; i++) {
        struct url url = unique_url(BEYOND_SCHEMES[i]);
        int is_net = i >= 2;
        int here = open_pair(), there = open_pair();
        CHECK_OK(spmsg_events(here));
        CHECK_OK(spmsg_events(there));
        CHECK_OK(nn_bind(here, "inproc://beside"));
        CHECK_OK(nn_bind(here, url.text));
        CHECK_OK(nn_connect(there, url.text));

        struct spmsg_event event = next_event(here);
        CHECK_EQ(event.type, SPMSG_EVENT_CONNECTED);
        CHECK_EQ(event.endpoint, 2);
        CHECK_EQ(event.error, 0);
        char peer[SPMSG_ADDRESS_MAX];
        strcpy(peer, event.peer);
        if (is_net)
            CHECK(strncmp(peer, url.text, (size_t)(strrchr(url.text, ':') - url.text)) == 0
                  && port_of(peer) > 0 && port_of(peer) != port_of(url.text));
        else
            CHECK_STR(peer, url.text);
        event = next_event(there);
        CHECK_EQ(event.type, SPMSG_EVENT_CONNECTED);
        CHECK_EQ(event.endpoint, 1);
        CHECK_STR(event.peer, url.text);
        /* Connected means that both can talk. */
        CHECK_TALK(here, there);
        check_none(here);
        check_none(there);

        /* One side goes: for the other it is a peer that went. */
        CHECK_EQ(nn_shutdown(there, 1), 0);
        CHECK_EVENT(there, SPMSG_EVENT_DISCONNECTED, 1, 0);
        event = next_event(here);
        CHECK_EQ(event.type, SPMSG_EVENT_DISCONNECTED);
        CHECK_EQ(event.endpoint, 2);
        CHECK_EQ(event.error, 0);
        CHECK_STR(event.peer, peer);
        check_none(here);
        check_none(there);
        nn_close(here);
        nn_close(there);
    }
}

static void a_dialer_tells_of_every_attempt(void)
{
    for (size_t i = 1; i < 4; i++) {
        struct url url = unique_url(BEYOND_SCHEMES[i]);
        int refused = i == 1 ? ENOENT : ECONNREFUSED;
        int s = open_pair(), there = open_pair(), tries = 0;
        set_int(s, NN_RECONNECT_IVL, 10);
        CHECK_OK(spmsg_events(s));
        CHECK_OK(nn_connect(s, url.text));
        for (; tries < 3; tries++) {
            struct spmsg_event event = next_event(s);
            CHECK_EQ(event.type, SPMSG_EVENT_CONNECT_FAILED);
            CHECK_EQ(event.endpoint, 1);
            CHECK_EQ(event.error, refused);
            CHECK_STR(event.peer, url.text);
        }
        CHECK_OK(nn_bind(there, url.text));
        struct spmsg_event event = next_event(s);
        while (event.type == SPMSG_EVENT_CONNECT_FAILED && ++tries < 1000)
            event = next_event(s);
        CHECK_EQ(event.type, SPMSG_EVENT_CONNECTED);
        CHECK_EQ(event.error, 0);

        /* Its peer goes, and comes back. */
        nn_close(there);
        CHECK_EVENT(s, SPMSG_EVENT_DISCONNECTED, 1, 0);
        there = open_pair();
        CHECK_OK(nn_bind(there, url.text));
        event = next_event(s);
        while (event.type == SPMSG_EVENT_CONNECT_FAILED && ++tries < 1000)
            event = next_event(s);
        CHECK_EQ(event.type, SPMSG_EVENT_CONNECTED);
        nn_close(s);
        nn_close(there);
    }
}

/* A PAIR that listens, its events, and a stream to it. */
static int listening_pair(const char *url)
{
    int s = open_pair();
    CHECK_OK(spmsg_events(s));
    CHECK_OK(nn_bind(s, url));
    return s;
}

static void a_stranger_fails_the_handshake(void)
{
    for (size_t i = 1; i < 4; i++) {
        struct url url = unique_url(BEYOND_SCHEMES[i]);
        int s = listening_pair(url.text);

        /* It says something else. */
        int fd = raw_connect(url.text);
        raw_send(fd, "not a greeting\r\n\r\n", 18);
        CHECK_EVENT(s, SPMSG_EVENT_HANDSHAKE_FAILED, 1, EPROTO);
        close(fd);

        /* It leaves. */
        fd = raw_connect(url.text);
        shutdown(fd, SHUT_WR);
        CHECK_EVENT(s, SPMSG_EVENT_HANDSHAKE_FAILED, 1, 0);
        close(fd);
        check_none(s);
        nn_close(s);
    }
}

static void a_silent_stranger_takes_too_long(void)
{
    struct url url = unique_url("tcp");
    int s = listening_pair(url.text), fd = raw_connect(url.text);
    struct sockaddr_in own;
    socklen_t size = sizeof own;
    char expected[64];
    CHECK_EQ(getsockname(fd, (struct sockaddr *)&own, &size), 0);
    snprintf(expected, sizeof expected, "tcp://127.0.0.1:%d", ntohs(own.sin_port));
    struct spmsg_event event = next_event(s);
    CHECK_EQ(event.type, SPMSG_EVENT_HANDSHAKE_FAILED);
    CHECK_EQ(event.error, ETIMEDOUT);
    CHECK_STR(event.peer, expected);
    close(fd);
    nn_close(s);
}

static void a_socket_of_another_type_fails_the_handshake(void)
{
    for (size_t i = 1; i < 4; i++) {
        struct url url = unique_url(BEYOND_SCHEMES[i]);
        int s = listening_pair(url.text), other = nn_socket(AF_SP, NN_PUB);
        CHECK_OK(spmsg_events(other));
        CHECK_OK(nn_connect(other, url.text));
        struct spmsg_event event = next_event(s);
        CHECK_EQ(event.type, SPMSG_EVENT_HANDSHAKE_FAILED);
        CHECK_EQ(event.error, EPROTO);
        event = next_event(other);
        CHECK_EQ(event.type, SPMSG_EVENT_HANDSHAKE_FAILED);
        CHECK_STR(event.peer, url.text);
        nn_close(s);
        nn_close(other);
    }
}

/* A PAIR has one peer; the next one is turned away when its time is over. */
static void a_second_peer_is_rejected(void)
{
    for (size_t i = 1; i < 3; i++) {
        struct url url = unique_url(BEYOND_SCHEMES[i]);
        int s = listening_pair(url.text), fd = raw_connect(url.text);
        CHECK(raw_greet(fd));
        CHECK_EVENT(s, SPMSG_EVENT_CONNECTED, 1, 0);
        int second = raw_connect(url.text);
        raw_send(second, PAIR_GREETING, sizeof PAIR_GREETING);
        CHECK_EVENT(s, SPMSG_EVENT_REJECTED, 1, 0);
        check_none(s);
        close(second);
        close(fd);
        CHECK_EVENT(s, SPMSG_EVENT_DISCONNECTED, 1, 0);
        nn_close(s);
    }
}

/* The reason of an end: the peer broke the rules, or the stream broke. */
static void an_end_has_its_reason(void)
{
    const unsigned char huge[9] = {0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    struct url url = unique_url("tcp");
    int s = listening_pair(url.text), fd = raw_connect(url.text);
    CHECK(raw_greet(fd));
    CHECK_EVENT(s, SPMSG_EVENT_CONNECTED, 1, 0);
    raw_send(fd, huge, 8);
    CHECK_EVENT(s, SPMSG_EVENT_DISCONNECTED, 1, EMSGSIZE);
    close(fd);

    fd = raw_connect(url.text);
    CHECK(raw_greet(fd));
    CHECK_EVENT(s, SPMSG_EVENT_CONNECTED, 1, 0);
    raw_reset(fd);
    CHECK_EVENT(s, SPMSG_EVENT_DISCONNECTED, 1, ECONNRESET);
    nn_close(s);
}

/* Without descriptors nobody can be accepted, and the program learns why. */
static void accepting_fails_without_descriptors(void)
{
    struct url url = unique_url("tcp");
    struct rlimit before, none;
    int s = listening_pair(url.text);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
    none = before;
    none.rlim_cur = (rlim_t)fd + 1;
    /* Whatever lies free below is taken. */
    int taken[256], count = 0;
    REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
    while (count < 256 && (taken[count] = dup(fd)) >= 0)
        count++;
    struct sockaddr_storage address;
    socklen_t size = raw_address(url.text, &address);
    CHECK_EQ(connect(fd, (struct sockaddr *)&address, size), 0);
    struct spmsg_event event = next_event(s);
    CHECK_EQ(event.type, SPMSG_EVENT_ACCEPT_FAILED);
    CHECK_EQ(event.endpoint, 1);
    CHECK_EQ(event.error, EMFILE);
    CHECK_STR(event.peer, "");
    setrlimit(RLIMIT_NOFILE, &before);
    while (count > 0)
        close(taken[--count]);
    raw_send(fd, PAIR_GREETING, sizeof PAIR_GREETING);
    do
        event = next_event(s);
    while (event.type == SPMSG_EVENT_ACCEPT_FAILED);
    CHECK_EQ(event.type, SPMSG_EVENT_CONNECTED);
    close(fd);
    nn_close(s);
}

/* The oldest go when too many wait; the next one says how many. */
static void what_is_lost_is_told(void)
{
    enum { ROUNDS = 600, WAITING = 1024 };
    struct spmsg_event event;
    int s = open_pair();
    CHECK_OK(spmsg_events(s));
    CHECK_OK(nn_bind(s, "inproc://many"));
    for (int i = 0; i < ROUNDS; i++) {
        int there = open_pair();
        CHECK_OK(nn_connect(there, "inproc://many"));
        nn_close(there);
    }
    CHECK(is_readable(spmsg_events(s)));
    for (int i = 0; i < WAITING; i++) {
        CHECK_EQ(spmsg_next_event(s, &event), 0);
        CHECK_EQ(event.missed, i == 0 ? 2 * ROUNDS - WAITING : 0);
        CHECK_EQ(event.type, i % 2 == 0 ? SPMSG_EVENT_CONNECTED : SPMSG_EVENT_DISCONNECTED);
    }
    check_none(s);
    int there = open_pair();
    CHECK_OK(nn_connect(there, "inproc://many"));
    CHECK_EVENT(s, SPMSG_EVENT_CONNECTED, 1, 0);
    nn_close(s);
    nn_close(there);
}

static void *wait_readable(void *argument)
{
    struct pollfd ready = {*(int *)argument, POLLIN, 0};
    return (void *)(intptr_t)poll(&ready, 1, PATIENCE_MS);
}

/* Whoever polls a socket that is closed wakes up; so that the number is not given to somebody else
 * meanwhile, it is a duplicate that is polled. */
static void a_closed_socket_wakes_who_polls(void)
{
    struct thread thread;
    int s = open_pair(), fd = dup(spmsg_events(s));
    thread_start(&thread, wait_readable, &fd);
    CHECK(thread_asleep(&thread));
    CHECK_CLOSE(s);
    CHECK_EQ((intptr_t)thread_join(&thread), 1);
    close(fd);
}

static void wrong_arguments_are_refused(void)
{
    struct spmsg_event event;
    int s = open_pair();
    CHECK_OK(spmsg_events(s));
    CHECK_ERRNO(spmsg_next_event(s, NULL), -1, EFAULT);
    nn_close(s);
    CHECK_ERRNO(spmsg_events(s), -1, EBADF);
    CHECK_ERRNO(spmsg_next_event(s, &event), -1, EBADF);
    CHECK_ERRNO(spmsg_events(-1), -1, EBADF);
}

int main(void)
{
    test_begin("beyond/events", 50);
    RUN(nothing_is_kept_before_the_first_call);
    RUN(peers_come_and_go);
    RUN(a_dialer_tells_of_every_attempt);
    RUN(a_stranger_fails_the_handshake);
    RUN(a_silent_stranger_takes_too_long);
    RUN(a_socket_of_another_type_fails_the_handshake);
    RUN(a_second_peer_is_rejected);
    RUN(an_end_has_its_reason);
    RUN(accepting_fails_without_descriptors);
    RUN(what_is_lost_is_told);
    RUN(a_closed_socket_wakes_who_polls);
    RUN(wrong_arguments_are_refused);
    return test_end();
}
