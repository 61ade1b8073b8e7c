/* Descriptors that somebody else has opened: spmsg_listen_fd and spmsg_connect_fd. */

#include "beyond.h"

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

#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/reqrep.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static const char *const STREAMS[] = {"tcp", "ipc"};

#define EACH_STREAM(scheme) \
    for (const char *const *scheme = STREAMS; scheme < STREAMS + 2; scheme++)

static int is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

/* The only descriptor of this process behind which that object is; -1 for none, -2 for several. */
static int find(ino_t inode)
{
    int found = -1;
    for (int fd = 0; fd < 1024; fd++) {
        struct stat status;
        if (fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode) && status.st_ino == inode)
            found = found == -1 ? fd : -2;
    }
    return found;
}

static ino_t inode_of(int fd)
{
    struct stat status;
    CHECK_EQ(fstat(fd, &status), 0);
    return status.st_ino;
}

/* ---- listening ---- */

static void peers_connect_to_an_adopted_listener(void)
{
    EACH_STREAM(scheme) {
        struct url url = unique_url(*scheme);
        int there = raw_listen(url.text);
        int here = open_pair(), peer = open_pair(), id = spmsg_listen_fd(here, there);
        CHECK_EQ(id, 1);
        CHECK(!is_open(there));
        CHECK_STR(address_of(here, id), url.text);
        CHECK_OK(nn_connect(peer, url.text));
        CHECK_TALK(here, peer);
        CHECK_CLOSE(here, peer);
    }
}

static void so_they_do_over_ipv6_and_by_a_name_without_a_file(void)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    for (int way = 0; way < 2; way++) {
        char address[SPMSG_ADDRESS_MAX];
        int length = snprintf(name.sun_path + 1, 60, "spmsg-adopted-%d", (int)getpid());
        socklen_t size = (socklen_t)offsetof(struct sockaddr_un, sun_path) + 1 + (socklen_t)length;
        if (way == 0 && (fd < 0 || bind(fd, (struct sockaddr *)&six, sizeof six) != 0)) {
            close(fd);
            continue; /* There is no IPv6 here. */
        }
        if (way == 1) {
            fd = socket(AF_UNIX, SOCK_STREAM, 0);
            CHECK_EQ(bind(fd, (struct sockaddr *)&name, size), 0);
        }
        CHECK_EQ(listen(fd, 8), 0);
        int here = open_pair(), peer = open_pair(), no = 0, id = spmsg_listen_fd(here, fd);
        CHECK_OK(id);
        strcpy(address, address_of(here, id));
        if (way == 0)
            CHECK(strncmp(address, "tcp://[::1]:", 12) == 0);
        else
            CHECK(strncmp(address, "ipc://@spmsg-adopted-", 21) == 0);
        CHECK_EQ(nn_setsockopt(peer, NN_SOL_SOCKET, NN_IPV4ONLY, &no, sizeof no), 0);
        CHECK_OK(spmsg_connect(peer, address));
        CHECK_TALK(here, peer);
        CHECK_CLOSE(here, peer);
    }
}

/* What is given away is closed behind exec and does not block, and there is one of it. */
static void what_is_adopted_is_close_on_exec_and_does_not_block(void)
{
    EACH_STREAM(scheme) {
        struct url url = unique_url(*scheme);
        int fd = raw_listen(url.text), here = open_pair(), there = open_pair();
        ino_t inode = inode_of(fd);
        CHECK_EQ(fcntl(fd, F_SETFD, 0), 0);
        CHECK_EQ(fcntl(fd, F_SETFL, 0), 0);
        CHECK_OK(spmsg_listen_fd(here, fd));
        int kept = find(inode);
        CHECK_AT_LEAST(kept, 3);
        CHECK_EQ(fcntl(kept, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
        CHECK_EQ(fcntl(kept, F_GETFL) & O_NONBLOCK, O_NONBLOCK);

        int ends[2];
        CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
        inode = inode_of(ends[0]);
        CHECK_OK(spmsg_connect_fd(there, ends[0]));
        kept = find(inode);
        CHECK_AT_LEAST(kept, 3);
        CHECK_EQ(fcntl(kept, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
        CHECK_EQ(fcntl(kept, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
        close(ends[1]);
        CHECK_CLOSE(here, there);
        CHECK_EQ(find(inode), -1);
    }
}

/* Nobody listens there. */
static void check_refuses(const char *url)
{
    struct sockaddr_storage address;
    socklen_t size = raw_address(url, &address);
    int fd = socket(address.ss_family, SOCK_STREAM, 0);
    CHECK_ERRNO(connect(fd, (struct sockaddr *)&address, size), -1, ECONNREFUSED);
    close(fd);
}

/* Who made the file removes it; and who kept a copy of the listener can go on with it. */
static void the_file_and_the_listener_are_left_to_others(void)
{
    EACH_STREAM(scheme) {
        struct url url = unique_url(*scheme);
        int fd = raw_listen(url.text), copy = dup(fd), here = open_pair();
        CHECK_OK(copy);
        int id = spmsg_listen_fd(here, fd);
        CHECK_OK(id);
        check_serves(here, url.text);
        CHECK_EQ(nn_shutdown(here, id), 0);
        if (is_ipc(url.text))
            CHECK_EQ(access(url.text + 6, F_OK), 0);
        /* Who comes meanwhile waits for the next one to take it over. */
        int there = connected_pair(url.text);
        CHECK_OK(spmsg_listen_fd(here, copy));
        CHECK_TALK(here, there);
        CHECK_CLOSE(here, there);
        check_refuses(url.text);
        if (is_ipc(url.text))
            CHECK_EQ(unlink(url.text + 6), 0);
    }
}

/* One listener, two sockets: each peer gets one of them. */
static void a_listener_may_be_shared(void)
{
    enum { PEERS = 20 };
    EACH_STREAM(scheme) {
        struct url url = unique_url(*scheme);
        int fd = raw_listen(url.text), copy = dup(fd), received = 0, peers[PEERS];
        int one = open_socket(AF_SP, NN_PULL), other = open_socket(AF_SP, NN_PULL);
        CHECK_OK(spmsg_listen_fd(one, fd));
        CHECK_OK(spmsg_listen_fd(other, copy));
        for (int i = 0; i < PEERS; i++) {
            peers[i] = open_connected(AF_SP, NN_PUSH, url.text);
            CHECK_SEND(peers[i], "here");
        }
        for (int64_t until = now_us() + PATIENCE_MS * 1000LL; received < PEERS; nap_ms(1)) {
            received += nn_recv(one, NULL, 0, NN_DONTWAIT) >= 0;
            received += nn_recv(other, NULL, 0, NN_DONTWAIT) >= 0;
            if (now_us() > until)
                break;
        }
        CHECK_EQ(received, PEERS);
        close_sockets(peers, PEERS);
        CHECK_CLOSE(one, other);
        if (is_ipc(url.text))
            unlink(url.text + 6);
    }
}

/* ---- connecting ---- */

static void two_ends_of_a_socketpair_talk(void)
{
    int ends[2], here = open_pair(), there = open_pair();
    struct spmsg_event event;
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    CHECK_OK(spmsg_events(here));
    CHECK_EQ(spmsg_connect_fd(here, ends[0]), 1);
    CHECK_EQ(spmsg_connect_fd(there, ends[1]), 1);
    CHECK_TALK(here, there);
    CHECK_STR(address_of(here, 1), "ipc://");
    event = next_event(here);
    CHECK_EQ(event.type, SPMSG_EVENT_CONNECTED);
    CHECK_EQ(event.endpoint, 1);
    CHECK_EQ(nn_get_statistic(here, NN_STAT_ESTABLISHED_CONNECTIONS), 1);
    CHECK_EQ(nn_get_statistic(here, NN_STAT_INPROGRESS_CONNECTIONS), 0);
    CHECK_CLOSE(here, there);
}

static void big_messages_pass_a_socketpair_both_ways(void)
{
    enum { SIZE = 900000 };
    static char body[SIZE], back[SIZE];
    int ends[2], here = open_pair(), there = open_pair();
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    CHECK_OK(spmsg_connect_fd(here, ends[0]));
    CHECK_OK(spmsg_connect_fd(there, ends[1]));
    for (int round = 0; round < 8; round++) {
        memset(body, 'a' + round, SIZE);
        CHECK_EQ(nn_send(here, body, SIZE, 0), SIZE);
        CHECK_EQ(nn_send(there, body, SIZE, 0), SIZE);
        CHECK_EQ(nn_recv(there, back, SIZE, 0), SIZE);
        CHECK(memcmp(body, back, SIZE) == 0);
        CHECK_EQ(nn_recv(here, back, SIZE, 0), SIZE);
    }
    CHECK_CLOSE(here, there);
}

/* A stream that was connected by hand, to a listener of the library, and one that was accepted by
 * hand, from a dialer of the library. */
static void the_other_end_need_not_know(void)
{
    EACH_STREAM(scheme) {
        struct url url = unique_url(*scheme), other = unique_url(*scheme);
        int bound = bound_pair(url.text), here = open_pair();
        int id = spmsg_connect_fd(here, raw_connect(url.text));
        CHECK_OK(id);
        CHECK_STR(address_of(here, id), url.text);
        CHECK_TALK(here, bound);
        CHECK_CLOSE(here, bound);

        int listener = raw_listen(other.text), dialing = connected_pair(other.text);
        here = open_pair();
        id = spmsg_connect_fd(here, raw_accept(listener, PATIENCE_MS));
        CHECK_OK(id);
        /* Where the peer comes from, or, where that is nowhere, where both have met. */
        if (is_ipc(other.text))
            CHECK_STR(address_of(here, id), other.text);
        else
            CHECK(strncmp(address_of(here, id), "tcp://127.0.0.1:", 16) == 0
                  && port_of(address_of(here, id)) != port_of(other.text));
        CHECK_TALK(here, dialing);
        close(listener);
        CHECK_CLOSE(here, dialing);
    }
}

/* An end is the end: an event tells, the endpoint stays without a connection until it is shut
 * down, and nobody connects again. */
static void there_is_no_second_connection(void)
{
    EACH_STREAM(scheme) {
        struct url url = unique_url(*scheme);
        int listener = raw_listen(url.text), here = open_quick();
        CHECK_OK(spmsg_events(here));
        int id = spmsg_connect_fd(here, raw_connect(url.text));
        CHECK_OK(id);
        int there = open_pair();
        CHECK_OK(spmsg_connect_fd(there, raw_accept(listener, PATIENCE_MS)));
        CHECK_TALK(here, there);
        CHECK_EQ(next_event(here).type, SPMSG_EVENT_CONNECTED);
        CHECK_CLOSE(there);
        struct spmsg_event event = next_event(here);
        CHECK_EQ(event.type, SPMSG_EVENT_DISCONNECTED);
        CHECK_EQ(event.endpoint, id);
        CHECK_EQ(event.error, 0);
        CHECK_AT_MOST(raw_accept(listener, 100), -1);
        CHECK_EQ(nn_get_statistic(here, NN_STAT_CURRENT_CONNECTIONS), 0);
        CHECK_EQ(nn_get_statistic(here, NN_STAT_ESTABLISHED_CONNECTIONS), 1);
        CHECK_EQ(nn_get_statistic(here, NN_STAT_CONNECT_ERRORS), 0);
        CHECK_STR(address_of(here, id), url.text);
        CHECK_EQ(nn_shutdown(here, id), 0);
        CHECK_ERRNO(nn_shutdown(here, id), -1, EINVAL);
        /* The socket is as good as new. */
        int ends[2];
        CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
        there = open_pair();
        CHECK_OK(spmsg_connect_fd(here, ends[0]));
        CHECK_OK(spmsg_connect_fd(there, ends[1]));
        CHECK_TALK(here, there);
        close(listener);
        CHECK_CLOSE(here, there);
    }
}

/* What was sent reaches the peer, also when the socket is closed at once. */
static void a_close_delivers(void)
{
    for (int round = 0; round < 20; round++) {
        int ends[2], here = open_socket(AF_SP, NN_PUSH), there = open_socket(AF_SP, NN_PULL);
        CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
        CHECK_OK(spmsg_connect_fd(here, ends[0]));
        CHECK_OK(spmsg_connect_fd(there, ends[1]));
        for (int i = 0; i < 100; i++)
            CHECK_SEND(here, "all of it");
        CHECK_CLOSE(here);
        for (int i = 0; i < 100; i++)
            CHECK_RECV(there, "all of it");
        CHECK_CLOSE(there);
    }
}

static void who_is_no_peer_is_told_by_an_event(void)
{
    int ends[2], here = open_pair(), other = open_pair();
    CHECK_OK(spmsg_events(here));
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    int id = spmsg_connect_fd(here, ends[0]);
    CHECK_OK(id);
    raw_send(ends[1], "nonsense", 8);
    struct spmsg_event event = next_event(here);
    CHECK_EQ(event.type, SPMSG_EVENT_HANDSHAKE_FAILED);
    CHECK_EQ(event.endpoint, id);
    CHECK_EQ(event.error, EPROTO);
    CHECK(raw_end(ends[1], PATIENCE_MS) != RAW_OPEN);
    close(ends[1]);
    CHECK_EQ(nn_shutdown(here, id), 0);

    /* A PAIR that has its peer wants no other. */
    CHECK_OK(nn_bind(here, "inproc://taken"));
    CHECK_OK(nn_connect(other, "inproc://taken"));
    CHECK_EQ(next_event(here).type, SPMSG_EVENT_CONNECTED);
    int stranger = open_pair();
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    CHECK_OK(spmsg_connect_fd(stranger, ends[1]));
    id = spmsg_connect_fd(here, ends[0]);
    CHECK_OK(id);
    event = next_event(here);
    CHECK_EQ(event.type, SPMSG_EVENT_REJECTED);
    CHECK_EQ(event.endpoint, id);
    CHECK_TALK(here, other);
    CHECK_CLOSE(here, other, stranger);
}

/* ---- what is refused ---- */

/* The descriptor is still the caller's, and blocks as it did. */
static void check_refused(int (*adopt)(int, int), int s, int fd, int error)
{
    int flags = fcntl(fd, F_GETFL);
    CHECK_ERRNO(adopt(s, fd), -1, error);
    CHECK_EQ(fcntl(fd, F_GETFL), flags);
}

static void each_wrong_descriptor_is_refused_for_its_reason(void)
{
    int s = open_pair(), pipes[2], datagrams[2], packets[2], ends[2];
    struct url url = unique_url("tcp"), path = unique_url("ipc");
    int listener = raw_listen(url.text), local = raw_listen(path.text);
    int stream = raw_connect(url.text), idle = socket(AF_INET, SOCK_STREAM, 0);
    int udp = socket(AF_INET, SOCK_DGRAM, 0), fresh = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK_EQ(pipe(pipes), 0);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_DGRAM, 0, datagrams), 0);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, packets), 0);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    int before = count_descriptors();
    int (*both[])(int, int) = {spmsg_listen_fd, spmsg_connect_fd};
    for (int i = 0; i < 2; i++) {
        CHECK_ERRNO(both[i](s, -1), -1, EBADF);
        CHECK_ERRNO(both[i](s, 1000000), -1, EBADF);
        CHECK_ERRNO(both[i](1000000, stream), -1, EBADF);
        check_refused(both[i], s, pipes[0], ENOTSOCK);
        check_refused(both[i], s, datagrams[0], EPROTOTYPE);
        check_refused(both[i], s, packets[0], EPROTOTYPE);
        check_refused(both[i], s, udp, EPROTOTYPE);
    }
    check_refused(spmsg_listen_fd, s, stream, EISCONN);
    check_refused(spmsg_listen_fd, s, ends[0], EISCONN);
    check_refused(spmsg_listen_fd, s, idle, EINVAL);
    check_refused(spmsg_listen_fd, s, fresh, EINVAL);
    check_refused(spmsg_connect_fd, s, listener, ENOTCONN);
    check_refused(spmsg_connect_fd, s, local, ENOTCONN);
    check_refused(spmsg_connect_fd, s, idle, ENOTCONN);
    check_refused(spmsg_connect_fd, s, fresh, ENOTCONN);
    CHECK_EQ(count_descriptors(), before);
    /* None of it has used a number up, and what was refused is as good as before. */
    CHECK_EQ(spmsg_connect_fd(s, ends[0]), 1);
    int rest[] = {pipes[0], pipes[1], datagrams[0], datagrams[1], packets[0], packets[1], ends[1],
                  listener, local, stream, idle, udp, fresh};
    for (size_t i = 0; i < COUNT_OF(rest); i++)
        CHECK_EQ(close(rest[i]), 0);
    CHECK_CLOSE(s);
}

static void without_a_descriptor_to_spare_it_stays_the_callers(void)
{
    struct url url = unique_url("tcp");
    int ends[2], listener = raw_listen(url.text), here = open_pair(), taken[256], count = 0;
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    if (!limit_descriptors(200)) {
        test_skip("descriptors cannot be limited here");
        return;
    }
    while (count < 256 && (taken[count] = dup(listener)) >= 0)
        count++;
    check_refused(spmsg_listen_fd, here, listener, EMFILE);
    check_refused(spmsg_connect_fd, here, ends[0], EMFILE);
    while (count > 0)
        close(taken[--count]);
    CHECK_OK(spmsg_connect_fd(here, ends[0]));
    int there = open_pair();
    CHECK_OK(spmsg_connect_fd(there, ends[1]));
    CHECK_TALK(here, there);
    close(listener);
    CHECK_CLOSE(here, there);
}

/* ---- who is who ---- */

static int answer(void *descriptor)
{
    int rep = open_socket(AF_SP, NN_REP);
    char text[16];
    CHECK_OK(spmsg_connect_fd(rep, *(int *)descriptor));
    CHECK_EQ(nn_recv(rep, text, sizeof text, 0), 3);
    CHECK_EQ(nn_send(rep, text, 3, 0), 3);
    nn_close(rep);
    return case_failed();
}

/* A parent and its child, over what the parent has made before. */
static void a_parent_talks_with_its_child(void)
{
    struct child child;
    int ends[2], req = open_socket(AF_SP, NN_REQ);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    child_start(&child, answer, &ends[1]);
    close(ends[1]);
    CHECK_OK(spmsg_connect_fd(req, ends[0]));
    CHECK_SEND(req, "ask");
    CHECK_RECV(req, "ask");
    CHECK_EQ(child_wait(&child, PATIENCE_MS), 0);
    CHECK_CLOSE(req);
}

int main(void)
{
    test_begin("beyond/adopted", 50);
    RUN(peers_connect_to_an_adopted_listener);
    RUN(so_they_do_over_ipv6_and_by_a_name_without_a_file);
    RUN(what_is_adopted_is_close_on_exec_and_does_not_block);
    RUN(the_file_and_the_listener_are_left_to_others);
    RUN(a_listener_may_be_shared);
    RUN(two_ends_of_a_socketpair_talk);
    RUN(big_messages_pass_a_socketpair_both_ways);
    RUN(the_other_end_need_not_know);
    RUN(there_is_no_second_connection);
    RUN(a_close_delivers);
    RUN(who_is_no_peer_is_told_by_an_event);
    RUN(each_wrong_descriptor_is_refused_for_its_reason);
    RUN(without_a_descriptor_to_spare_it_stays_the_callers);
    RUN(a_parent_talks_with_its_child);
    return test_end();
}
