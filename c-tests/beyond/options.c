/* Options and statistics that libnanomsg does not have. */

#include "beyond.h"

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/raw-stream.h"
#include "support/sockets.h"
#include "support/talk.h"
#include "support/thread.h"

#include <nanomsg/ipc.h>
#include <nanomsg/nn.h>
#include <nanomsg/pubsub.h>
#include <nanomsg/reqrep.h>
#include <nanomsg/tcp.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static int set(int s, int level, int option, int value)
{
    return nn_setsockopt(s, level, option, &value, sizeof value);
}

/* ---- SPMSG_IPC_MODE ---- */

static mode_t mode_of(const char *url)
{
    struct stat status;
    CHECK_EQ(lstat(url + 6, &status), 0);
    CHECK(S_ISSOCK(status.st_mode));
    return status.st_mode & 07777;
}

static void the_mode_is_the_umasks_unless_set(void)
{
    static const mode_t masks[] = {0, 022, 077};
    for (size_t i = 0; i < 3; i++) {
        struct url url = unique_url("ipc");
        mode_t before = umask(masks[i]);
        int s = open_pair();
        CHECK_EQ(get_int(s, NN_IPC, SPMSG_IPC_MODE), -1);
        CHECK_OK(nn_bind(s, url.text));
        CHECK_EQ(mode_of(url.text), 0777 & ~masks[i]);
        nn_close(s);
        umask(before);
    }
}

static void the_mode_is_what_was_set(void)
{
    static const int modes[] = {0, 0600, 0660, 0666, 0700, 0777};
    static const mode_t masks[] = {0, 022, 077, 0777};
    for (size_t i = 0; i < 6; i++)
        for (size_t j = 0; j < 4; j++) {
            struct url url = unique_url("ipc");
            int s = open_pair();
            mode_t before = umask(masks[j]);
            CHECK_EQ(set(s, NN_IPC, SPMSG_IPC_MODE, modes[i]), 0);
            CHECK_EQ(get_int(s, NN_IPC, SPMSG_IPC_MODE), modes[i]);
            CHECK_OK(nn_bind(s, url.text));
            CHECK_EQ(umask(before), masks[j]);
            CHECK_EQ(mode_of(url.text), modes[i]);
            nn_close(s);
            CHECK(access(url.text + 6, F_OK) < 0 && errno == ENOENT);
        }
}

static void the_mode_is_for_later_binds(void)
{
    struct url first = unique_url("ipc"), second = unique_url("ipc"), third = unique_url("ipc");
    int s = open_pair(), there = open_pair();
    mode_t before = umask(027);
    CHECK_OK(nn_bind(s, first.text));
    CHECK_EQ(set(s, NN_IPC, SPMSG_IPC_MODE, 0604), 0);
    CHECK_OK(spmsg_bind(s, second.text));
    CHECK_EQ(set(s, NN_IPC, SPMSG_IPC_MODE, -1), 0);
    CHECK_OK(nn_bind(s, third.text));
    umask(before);
    CHECK_EQ(mode_of(first.text), 0750);
    CHECK_EQ(mode_of(second.text), 0604);
    CHECK_EQ(mode_of(third.text), 0750);
    CHECK_OK(nn_connect(there, second.text));
    CHECK_TALK(s, there);
    nn_close(s);
    nn_close(there);
}

/* A file left behind by a process that died is replaced by one with the mode that was asked for. */
static void a_stale_file_keeps_no_mode(void)
{
    struct url url = unique_url("ipc");
    close(raw_listen(url.text));
    CHECK_EQ(chmod(url.text + 6, 0777), 0);
    int s = open_pair();
    CHECK_EQ(set(s, NN_IPC, SPMSG_IPC_MODE, 0600), 0);
    CHECK_OK(nn_bind(s, url.text));
    CHECK_EQ(mode_of(url.text), 0600);
    nn_close(s);
}

struct watch {
    const char *path;
    int stop;
    mode_t seen; /* every bit that was ever there */
    long looks;
};

static void *watch_mode(void *argument)
{
    struct watch *watch = argument;
    struct stat status;
    while (!__atomic_load_n(&watch->stop, __ATOMIC_ACQUIRE))
        if (lstat(watch->path, &status) == 0) {
            watch->seen |= status.st_mode & 07777;
            __atomic_fetch_add(&watch->looks, 1, __ATOMIC_RELEASE);
        }
    return NULL;
}

/* At no moment is the file open to anybody else. */
static void nobody_gets_in_between(void)
{
    struct url url = unique_url("ipc");
    struct watch watch = {.path = url.text + 6};
    struct thread watcher;
    mode_t before = umask(0);
    thread_start(&watcher, watch_mode, &watch);
    for (int round = 0; round < 300; round++) {
        int s = open_pair();
        CHECK_EQ(set(s, NN_IPC, SPMSG_IPC_MODE, 0600), 0);
        CHECK_OK(nn_bind(s, url.text));
        long looks = __atomic_load_n(&watch.looks, __ATOMIC_ACQUIRE);
        if (round % 100 == 0)
            CHECK(wait_until(__atomic_load_n(&watch.looks, __ATOMIC_ACQUIRE) > looks, PATIENCE_MS));
        nn_close(s);
    }
    __atomic_store_n(&watch.stop, 1, __ATOMIC_RELEASE);
    thread_join(&watcher);
    umask(before);
    CHECK_EQ(watch.seen, 0600);
}

static void other_modes_are_refused(void)
{
    int s = open_pair();
    char byte = 1;
    CHECK_EQ(set(s, NN_IPC, SPMSG_IPC_MODE, 0640), 0);
    CHECK_ERRNO(set(s, NN_IPC, SPMSG_IPC_MODE, -2), -1, EINVAL);
    CHECK_ERRNO(set(s, NN_IPC, SPMSG_IPC_MODE, 01000), -1, EINVAL);
    CHECK_ERRNO(set(s, NN_IPC, SPMSG_IPC_MODE, 04755), -1, EINVAL);
    CHECK_ERRNO(nn_setsockopt(s, NN_IPC, SPMSG_IPC_MODE, &byte, 1), -1, EINVAL);
    CHECK_EQ(get_int(s, NN_IPC, SPMSG_IPC_MODE), 0640);
    /* Nor is it an option of another level. */
    CHECK_ERRNO(set(s, NN_SOL_SOCKET, SPMSG_IPC_MODE, 0600), -1, ENOPROTOOPT);
    CHECK_ERRNO(set(s, NN_TCP, SPMSG_IPC_MODE, 0600), -1, ENOPROTOOPT);
    nn_close(s);
}

/* ---- SPMSG_TCP_KEEPALIVE ---- */

/* Looks at every connected tcp socket of this process that has the port at either end, and tells
 * how many there are, and how many of them have the option with these seconds. */
static int alive_with(int port, int seconds, int *connections)
{
    int count = 0;
    *connections = 0;
    for (int fd = 3; fd < 256; fd++) {
        struct sockaddr_in own = {.sin_family = 0}, peer = {.sin_family = 0};
        socklen_t size = sizeof own;
        if (getsockname(fd, (struct sockaddr *)&own, &size) != 0 || own.sin_family != AF_INET)
            continue;
        size = sizeof peer;
        if (getpeername(fd, (struct sockaddr *)&peer, &size) != 0)
            continue;
        if (ntohs(own.sin_port) != port && ntohs(peer.sin_port) != port)
            continue;
        ++*connections;
        int on = 0, idle = 0, interval = 0, probes = 0;
        size = sizeof on;
        CHECK_EQ(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, &size), 0);
        CHECK_EQ(getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, &size), 0);
        CHECK_EQ(getsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, &size), 0);
        CHECK_EQ(getsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, &size), 0);
        if (seconds == 0)
            count += on == 0;
        else
            count += on != 0 && idle == seconds && interval == seconds && probes == 3;
    }
    return count;
}

static void probes_are_sent_when_asked_for(const char *scheme)
{
    struct url url = unique_url(scheme);
    int port = port_of(url.text), connections = 0;
    int here = open_pair(), there = open_pair();
    CHECK_EQ(get_int(here, NN_TCP, SPMSG_TCP_KEEPALIVE), 0);
    CHECK_OK(nn_bind(here, url.text));
    CHECK_OK(nn_connect(there, url.text));
    CHECK_TALK(here, there);
    CHECK_EQ(alive_with(port, 0, &connections), 2);
    CHECK_EQ(connections, 2);
    nn_close(there);

    /* At the one end that accepts, and at the other one that connects. */
    CHECK_EQ(set(here, NN_TCP, SPMSG_TCP_KEEPALIVE, 77), 0);
    there = open_pair();
    CHECK_OK(nn_connect(there, url.text));
    CHECK_TALK(here, there);
    CHECK_EQ(alive_with(port, 77, &connections), 1);
    CHECK_EQ(connections, 2);
    nn_close(there);

    there = open_pair();
    CHECK_EQ(set(there, NN_TCP, SPMSG_TCP_KEEPALIVE, 32767), 0);
    CHECK_EQ(get_int(there, NN_TCP, SPMSG_TCP_KEEPALIVE), 32767);
    CHECK_OK(nn_connect(there, url.text));
    CHECK_TALK(here, there);
    CHECK_EQ(alive_with(port, 32767, &connections), 1);
    nn_close(there);
    nn_close(here);
}

static void tcp_asks_whether_the_peer_is_there(void)
{
    probes_are_sent_when_asked_for("tcp");
}

static void ws_asks_whether_the_peer_is_there(void)
{
    probes_are_sent_when_asked_for("ws");
}

static void other_times_are_refused(void)
{
    int s = open_pair();
    CHECK_ERRNO(set(s, NN_TCP, SPMSG_TCP_KEEPALIVE, -1), -1, EINVAL);
    CHECK_ERRNO(set(s, NN_TCP, SPMSG_TCP_KEEPALIVE, 32768), -1, EINVAL);
    CHECK_EQ(get_int(s, NN_TCP, SPMSG_TCP_KEEPALIVE), 0);
    nn_close(s);
}

/* ---- SPMSG_STAT_MESSAGES_DROPPED ---- */

/* A publisher sends to a subscriber that does not read: some of it has nowhere to go, and every
 * message is either received or counted. */
static void what_a_busy_subscriber_misses_is_counted(void)
{
    enum { MESSAGES = 200 };
    static char body[8192];
    int received = 0, small = 1000;
    int publisher = nn_socket(AF_SP, NN_PUB), subscriber = nn_socket(AF_SP, NN_SUB);
    set_int(subscriber, NN_RCVBUF, small);
    CHECK_EQ(nn_setsockopt(subscriber, NN_SUB, NN_SUB_SUBSCRIBE, "", 0), 0);
    CHECK_OK(nn_bind(publisher, "inproc://busy"));
    CHECK_OK(nn_connect(subscriber, "inproc://busy"));
    CHECK_EQ(nn_get_statistic(publisher, SPMSG_STAT_MESSAGES_DROPPED), 0);
    for (int i = 0; i < MESSAGES; i++)
        CHECK_EQ(nn_send(publisher, body, sizeof body, 0), sizeof body);
    while (nn_recv(subscriber, body, sizeof body, NN_DONTWAIT) >= 0)
        received++;
    CHECK_AT_LEAST(received, 1);
    CHECK_AT_MOST(received, MESSAGES - 1);
    CHECK_EQ(nn_get_statistic(publisher, SPMSG_STAT_MESSAGES_DROPPED), MESSAGES - received);
    CHECK_EQ(nn_get_statistic(publisher, NN_STAT_MESSAGES_SENT), MESSAGES);
    nn_close(publisher);
    nn_close(subscriber);
}

/* A reply to a peer that is gone is dropped, as it always was, and counted. */
static void a_reply_to_nobody_is_counted(void)
{
    char request[8];
    int rep = nn_socket(AF_SP, NN_REP), req = nn_socket(AF_SP, NN_REQ);
    set_int(rep, NN_RCVTIMEO, PATIENCE_MS);
    CHECK_OK(nn_bind(rep, "inproc://gone"));
    CHECK_OK(nn_connect(req, "inproc://gone"));
    CHECK_SEND(req, "ask");
    CHECK_EQ(nn_recv(rep, request, sizeof request, 0), 3);
    CHECK_EQ(nn_get_statistic(rep, SPMSG_STAT_MESSAGES_DROPPED), 0);
    nn_close(req);
    CHECK_SEND(rep, "tell");
    CHECK_EQ(nn_get_statistic(rep, SPMSG_STAT_MESSAGES_DROPPED), 1);
    nn_close(rep);
}

static void nothing_else_is_counted(void)
{
    for (size_t i = 0; i < 4; i++) {
        struct url url = unique_url(BEYOND_SCHEMES[i]);
        int here, there;
        open_pairs(&here, &there, url.text);
        CHECK_EQ(nn_get_statistic(here, SPMSG_STAT_MESSAGES_DROPPED), 0);
        CHECK_EQ(nn_get_statistic(there, SPMSG_STAT_MESSAGES_DROPPED), 0);
        nn_close(here);
        nn_close(there);
    }
    int s = open_pair();
    CHECK_ERRNO(nn_get_statistic(s, SPMSG_BASE), -1, EINVAL);
    nn_close(s);
}

int main(void)
{
    test_begin("beyond/options", 50);
    RUN(the_mode_is_the_umasks_unless_set);
    RUN(the_mode_is_what_was_set);
    RUN(the_mode_is_for_later_binds);
    RUN(a_stale_file_keeps_no_mode);
    RUN(nobody_gets_in_between);
    RUN(other_modes_are_refused);
    RUN(tcp_asks_whether_the_peer_is_there);
    RUN(ws_asks_whether_the_peer_is_there);
    RUN(other_times_are_refused);
    RUN(what_a_busy_subscriber_misses_is_counted);
    RUN(a_reply_to_nobody_is_counted);
    RUN(nothing_else_is_counted);
    return test_end();
}
