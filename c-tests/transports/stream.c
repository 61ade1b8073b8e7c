/* What tcp, ipc and ws have in common, for two PAIR sockets or one and a raw socket: starting in
 * either order, a peer too many, names and options.
 *
 * The transport is the argument: stream tcp, stream ipc, stream ws. */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/ports.h"
#include "support/raw-stream.h"
#include "support/sockets.h"
#include "support/talk.h"

#include <nanomsg/nn.h>
#include <nanomsg/tcp.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *scheme;

static int over_ws(void)
{
    return strcmp(scheme, "ws") == 0 || strcmp(scheme, "wss") == 0;
}

/* An upper bound for what should take no time, generous enough for a busy machine. */
enum { LATE_MS = 2000 };

/* core 3.2, transports 3.4 */
static void either_side_may_start_first(void)
{
    for (int dialer_first = 0; dialer_first < 2; dialer_first++) {
        struct url url = unique_url(scheme);
        int a = open_pair(), b = open_pair();
        if (dialer_first) {
            set_int(b, NN_RECONNECT_IVL, 20);
            CHECK_EQ(nn_connect(b, url.text), 1);
            CHECK(wait_stat_at_least(b, NN_STAT_CONNECT_ERRORS, 2, PATIENCE_MS));
            CHECK_ERRNO(nn_send(b, "x", 1, NN_DONTWAIT), -1, EAGAIN);
        }
        CHECK_EQ(nn_bind(a, url.text), 1);
        if (!dialer_first)
            CHECK_EQ(nn_connect(b, url.text), 1);
        CHECK_SEND(a, "from the listener");
        CHECK_SEND(b, "from the dialer");
        CHECK_RECV(a, "from the dialer");
        CHECK_RECV(b, "from the listener");
        CHECK_CLOSE(a, b);
    }
}

/* core 13, protocols 3 */
static void a_second_peer_is_refused_and_takes_over_later(void)
{
    struct url url = unique_url(scheme);
    int a, first, second = open_pair();
    open_pairs(&a, &first, url.text);
    CHECK_EQ(nn_connect(second, url.text), 1);
    /* Over ws we let it wait, the reference accepts and drops it. */
    if (!over_ws() || reference())
        CHECK(wait_stat_at_least(second, NN_STAT_BROKEN_CONNECTIONS, 2, PATIENCE_MS));
    else
        CHECK(wait_stat(second, NN_STAT_ESTABLISHED_CONNECTIONS, 1, PATIENCE_MS));
    for (int i = 0; i < 50; i++) {
        CHECK_SEND(a, "for the first");
        CHECK_RECV(first, "for the first");
        CHECK_SEND(first, "from the first");
        CHECK_RECV(a, "from the first");
    }
    CHECK_ERRNO(nn_recv(second, NULL, 0, NN_DONTWAIT), -1, EAGAIN);
    CHECK_CLOSE(first);
    CHECK_TALK(second, a);
    CHECK_CLOSE(a, second);
}

/*
 * protocols 3: where the dialing socket has a peer already, it is the one that refuses. The
 * reference connects before it does so, spmsg does not even try (reliability P2).
 */
static void a_dialing_pair_uses_one_of_two_listeners(void)
{
    struct url one = unique_url(scheme), two = unique_url(scheme);
    int a, b = open_pair(), c;
    open_pairs(&a, &c, one.text);
    CHECK_EQ(nn_bind(b, two.text), 1);
    CHECK_EQ(nn_connect(c, two.text), 2);
    if (reference())
        CHECK(wait_stat_at_least(b, NN_STAT_BROKEN_CONNECTIONS, 2, PATIENCE_MS));
    CHECK_SEND(c, "for a");
    CHECK_RECV(a, "for a");
    CHECK_SEND(a, "from a");
    CHECK_RECV(c, "from a");
    CHECK_CLOSE(a);
    CHECK_TALK(b, c);
    CHECK_CLOSE(b, c);
}

/* What the library opened since the list `before` was made. */
static int new_descriptors(const char before[1024], int *list, int size)
{
    struct dirent *entry;
    int count = 0;
    DIR *directory = opendir("/proc/self/fd");
    while ((entry = readdir(directory)) != NULL) {
        int fd = atoi(entry->d_name);
        if (entry->d_name[0] != '.' && fd < 1024 && !before[fd] && fd != dirfd(directory)
            && count < size)
            list[count++] = fd;
    }
    closedir(directory);
    return count;
}

static int socket_option(int fd, int level, int option)
{
    int value = -1;
    socklen_t size = sizeof value;
    getsockopt(fd, level, option, &value, &size);
    return value;
}

/* transports 2, core 6.4, reliability P4: the kernel doubles the buffer sizes. */
static void options_reach_the_operating_system(void)
{
    struct url url = unique_url(scheme);
    char before[1024] = {0};
    int list[64], a = open_pair(), b = open_pair(), one = 1, connections = 0;
    for (int fd = 0; fd < 1024; fd++)
        before[fd] = fcntl(fd, F_GETFD) >= 0;
    for (int i = 0; i < 2; i++) {
        set_int(i ? a : b, NN_SNDBUF, 20000);
        set_int(i ? a : b, NN_RCVBUF, 30000);
        CHECK_EQ(nn_setsockopt(i ? a : b, NN_TCP, NN_TCP_NODELAY, &one, sizeof one), 0);
    }
    CHECK_EQ(nn_bind(a, url.text), 1);
    CHECK_EQ(nn_connect(b, url.text), 1);
    CHECK_TALK(a, b);
    int count = new_descriptors(before, list, 64);
    for (int i = 0; i < count; i++) {
        struct sockaddr_storage peer;
        socklen_t size = sizeof peer;
        CHECK(fcntl(list[i], F_GETFD) & FD_CLOEXEC);
        if (getpeername(list[i], (struct sockaddr *)&peer, &size) != 0)
            continue;
        connections++;
        CHECK(fcntl(list[i], F_GETFL) & O_NONBLOCK);
        CHECK_EQ(socket_option(list[i], SOL_SOCKET, SO_SNDBUF), 40000);
        CHECK_EQ(socket_option(list[i], SOL_SOCKET, SO_RCVBUF), 60000);
        CHECK_EQ(socket_option(list[i], SOL_SOCKET, SO_KEEPALIVE), 0);
        /* transports 2: over ws the reference never sets it. */
        if (!is_ipc(url.text) && !(over_ws() && reference()))
            CHECK_EQ(socket_option(list[i], IPPROTO_TCP, TCP_NODELAY), 1);
    }
    CHECK_EQ(connections, 2);
    CHECK_CLOSE(a, b);
}

/* transports 2: both ends of a connection have as large a buffer as this, doubled by the kernel. */
static void check_buffers(const char before[1024], int sent, int received)
{
    int list[64], count = new_descriptors(before, list, 64);
    for (int i = 0; i < count; i++) {
        struct sockaddr_storage peer;
        socklen_t size = sizeof peer;
        if (getpeername(list[i], (struct sockaddr *)&peer, &size) != 0)
            continue;
        CHECK_EQ(socket_option(list[i], SOL_SOCKET, SO_SNDBUF), sent * 2);
        CHECK_EQ(socket_option(list[i], SOL_SOCKET, SO_RCVBUF), received * 2);
    }
}

/* The kernel's bound on the size of a buffer. */
static int at_most(const char *path, int size)
{
    int bound = size;
    FILE *file = fopen(path, "r");
    if (file != NULL) {
        if (fscanf(file, "%d", &bound) != 1)
            bound = size;
        fclose(file);
    }
    return bound < size ? bound : size;
}

static void pass_big(int from, int to, size_t size)
{
    char *message = nn_allocmsg(size, 0);
    memset(message, 'b', size);
    CHECK_EQ(nn_send(from, &message, NN_MSG, 0), size);
    CHECK_EQ(nn_recv(to, &message, NN_MSG, 0), size);
    CHECK_EQ(nn_freemsg(message), 0);
}

/* transports 2 [D] */
static void buffers_grow_with_big_messages_unless_they_were_chosen(void)
{
    enum { USUAL = 131072, GROWN = 1048576, BIG = 1000000 };
    int sent = at_most("/proc/sys/net/core/wmem_max", GROWN);
    int received = at_most("/proc/sys/net/core/rmem_max", GROWN);
    size_t most = strcmp(scheme, "ipc") == 0 ? 65536 : 32768;
    for (int is_chosen = 0; is_chosen < 2; is_chosen++) {
        struct url url = unique_url(scheme);
        char before[1024] = {0};
        int a = open_pair(), b = open_pair();
        for (int fd = 0; fd < 1024; fd++)
            before[fd] = fcntl(fd, F_GETFD) >= 0;
        for (int i = 0; i < 2 && is_chosen; i++) {
            set_int(i ? a : b, NN_SNDBUF, USUAL);
            set_int(i ? a : b, NN_RCVBUF, USUAL);
        }
        CHECK_EQ(nn_bind(a, url.text), 1);
        CHECK_EQ(nn_connect(b, url.text), 1);
        pass_big(a, b, most);
        pass_big(b, a, most);
        check_buffers(before, USUAL, USUAL);
        for (int i = 0; i < 3; i++) {
            pass_big(a, b, BIG);
            pass_big(b, a, BIG);
            check_buffers(before, is_chosen ? USUAL : sent, is_chosen ? USUAL : received);
        }
        CHECK_CLOSE(a, b);
    }
}

/* transports 6.3 */
static void a_host_name_is_resolved(void)
{
    if (!has_address("localhost")) {
        test_skip("localhost has no address here: /etc/hosts does not name it");
        return;
    }
    int a = open_pair(), b = open_pair(), port = free_port();
    char address[64];
    snprintf(address, sizeof address, "%s://127.0.0.1:%d", scheme, port);
    CHECK_EQ(nn_bind(a, address), 1);
    snprintf(address, sizeof address, "%s://localhost:%d", scheme, port);
    CHECK_EQ(nn_connect(b, address), 1);
    CHECK_TALK(a, b);
    CHECK_CLOSE(a, b);
}

/* transports 6.3, reliability P3: neither the caller nor the other endpoints wait for a name. */
static void a_name_that_does_not_resolve_disturbs_nobody(void)
{
    struct url url = unique_url(scheme);
    int a = open_pair(), b = open_pair();
    char nobody[64];
    snprintf(nobody, sizeof nobody, "%s://no-such-host.invalid:5555", scheme);
    int64_t start = now_ms();
    CHECK_EQ(nn_connect(b, nobody), 1);
    CHECK_AT_MOST(now_ms() - start, LATE_MS);
    CHECK_EQ(nn_bind(a, url.text), 1);
    CHECK_EQ(nn_connect(b, url.text), 2);
    CHECK_TALK(a, b);
    /* The reference does not count it. */
    if (reference())
        CHECK_EQ(nn_get_statistic(b, NN_STAT_CONNECT_ERRORS), 0);
    else
        CHECK(wait_stat_at_least(b, NN_STAT_CONNECT_ERRORS, 1, PATIENCE_MS));
    start = now_ms();
    CHECK_CLOSE(a, b);
    CHECK_AT_MOST(now_ms() - start, LATE_MS);
}

/* transports 6.2 and 6.3: the local address is where the connection comes from. */
static void a_local_address_is_used(void)
{
    struct url url = unique_url(scheme);
    struct sockaddr_in from;
    socklen_t size = sizeof from;
    char address[160];
    int listener = raw_listen(url.text), s = open_pair();
    snprintf(address, sizeof address, "%s://127.0.0.2;%s", scheme, strrchr(url.text, '/') + 1);
    CHECK_EQ(nn_connect(s, address), 1);
    int fd = raw_accept(listener, PATIENCE_MS);
    CHECK_EQ(getpeername(fd, (struct sockaddr *)&from, &size), 0);
    CHECK_EQ(ntohl(from.sin_addr.s_addr), 0x7f000002);
    close(fd);
    close(listener);
    CHECK_CLOSE(s);
}

int main(int count, char **words)
{
    setenv("RES_OPTIONS", "timeout:1 attempts:1", 1);
    scheme = test_begin_with("transports/stream", "tcp|ipc|ws|tls+tcp|wss", 58, count, words);
    RUN(either_side_may_start_first);
    RUN(a_second_peer_is_refused_and_takes_over_later);
    RUN(a_dialing_pair_uses_one_of_two_listeners);
    RUN(options_reach_the_operating_system);
    RUN(buffers_grow_with_big_messages_unless_they_were_chosen);
    if (strcmp(scheme, "ipc") != 0) {
        RUN(a_host_name_is_resolved);
        RUN(a_name_that_does_not_resolve_disturbs_nobody);
        RUN(a_local_address_is_used);
    }
    return test_end();
}
