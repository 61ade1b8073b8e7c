/* What each function says to handles and arguments that are wrong, and which of several wrong ones
 * it says it about (abi 6 and 7). Sending and receiving have a program of their own. */

#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/process.h"
#include "support/resources.h"
#include "support/sockets.h"

#include <nanomsg/inproc.h>
#include <nanomsg/ipc.h>
#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/pubsub.h>
#include <nanomsg/reqrep.h>
#include <nanomsg/tcp.h>
#include <nanomsg/ws.h>

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Asks every function that takes a handle, with everything else wrong as well: the handle is what
 * it has to complain about (core-quirks A-15). */
static void nothing_works_with(int s)
{
    struct nn_pollfd in = {s, NN_POLLIN, 77}, out = {s, NN_POLLOUT, 77};
    size_t size = 4;
    CHECK_ERRNO(nn_close(s), -1, EBADF);
    CHECK_ERRNO(nn_setsockopt(s, NN_SOL_SOCKET, NN_LINGER, NULL, 4), -1, EBADF);
    CHECK_ERRNO(nn_setsockopt(s, 99, 99, NULL, 0), -1, EBADF);
    CHECK_ERRNO(nn_getsockopt(s, NN_SOL_SOCKET, NN_LINGER, NULL, NULL), -1, EBADF);
    CHECK_ERRNO(nn_getsockopt(s, 99, 99, NULL, &size), -1, EBADF);
    CHECK_ERRNO(nn_bind(s, NULL), -1, EBADF);
    CHECK_ERRNO(nn_bind(s, "nonsense"), -1, EBADF);
    CHECK_ERRNO(nn_connect(s, NULL), -1, EBADF);
    CHECK_ERRNO(nn_connect(s, "nonsense"), -1, EBADF);
    CHECK_ERRNO(nn_shutdown(s, 0), -1, EBADF);
    CHECK_ERRNO(nn_shutdown(s, -1), -1, EBADF);
    CHECK_ERRNO(nn_send(s, NULL, 1, 0), -1, EBADF);
    CHECK_ERRNO(nn_send(s, NULL, NN_MSG, 0), -1, EBADF);
    CHECK_ERRNO(nn_recv(s, NULL, 1, 0), -1, EBADF);
    CHECK_ERRNO(nn_recv(s, NULL, NN_MSG, 0), -1, EBADF);
    CHECK_ERRNO(nn_sendmsg(s, NULL, 0), -1, EBADF);
    CHECK_ERRNO(nn_recvmsg(s, NULL, 0), -1, EBADF);
    CHECK_ERRNO(nn_get_statistic(s, NN_STAT_MESSAGES_SENT), -1, EBADF);
    CHECK_ERRNO(nn_get_statistic(s, -1), -1, EBADF);
    CHECK_ERRNO(nn_poll(&in, 1, 0), -1, EBADF);
    CHECK_ERRNO(nn_poll(&out, 1, 0), -1, EBADF);
    CHECK_EQ(in.revents + out.revents, 154);
    CHECK_ERRNO(nn_device(s, s), -1, EBADF);
    CHECK_ERRNO(nn_device(s, -1), -1, EBADF);
    CHECK_ERRNO(nn_device(-1, s), -1, EBADF);
}

static const int never_open[] = {-1, -5, INT32_MIN, 511, 512, 513, 100000, INT32_MAX};

/* Must come first: nothing has been opened in this process. */
static void handles_before_any_socket(void)
{
    nothing_works_with(0);
    for (size_t i = 0; i < COUNT_OF(never_open); i++)
        nothing_works_with(never_open[i]);
}

static void handles_beside_an_open_socket(void)
{
    int s = open_pair();
    nothing_works_with(s + 1);
    for (size_t i = 0; i < COUNT_OF(never_open); i++)
        nothing_works_with(never_open[i]);
    CHECK_CLOSE(s);
    nothing_works_with(s);
}

static void a_stale_handle_beside_open_sockets(void)
{
    int first = open_pair(), second = open_pair();
    CHECK_CLOSE(first);
    nothing_works_with(first);
    CHECK_ERRNO(nn_device(second, first), -1, EBADF);
    CHECK_ERRNO(nn_device(first, second), -1, EBADF);
    CHECK_CLOSE(second);
}

static int after_termination(void *unused)
{
    (void)unused;
    int s = open_pair();
    nn_term();
    nothing_works_with(s);
    nothing_works_with(-1);
    /* core-quirks A-8: before anything that could be wrong with the arguments. */
    CHECK_ERRNO(nn_socket(AF_SP, NN_PAIR), -1, ETERM);
    CHECK_ERRNO(nn_socket(-1, -1), -1, ETERM);
    /* abi 6.23: what takes no handle goes on working. */
    void *message = nn_reallocmsg(nn_allocmsg(10, 0), 100);
    CHECK(message != NULL);
    CHECK_EQ(nn_freemsg(message), 0);
    CHECK_STR(nn_symbol(34, NULL), "NN_PAIR");
    CHECK_STR(nn_strerror(ETERM), "Nanomsg library was terminated");
    nn_term();
    CHECK_ERRNO(nn_socket(AF_SP, NN_PAIR), -1, ETERM);
    return 0;
}

static void handles_after_termination(void)
{
    struct child child;
    child_start(&child, after_termination, NULL);
    CHECK_EQ(child_wait(&child, PATIENCE_MS), 0);
}

static int after_an_early_termination(void *unused)
{
    (void)unused;
    /* core-quirks A-9 */
    nn_term();
    int s = open_pair();
    CHECK_EQ(s, 0);
    return nn_close(s);
}

static void termination_before_the_first_socket(void)
{
    struct child child;
    child_start(&child, after_an_early_termination, NULL);
    CHECK_EQ(child_wait(&child, PATIENCE_MS), 0);
}

/* abi 6.1 */
static void domains_and_protocols(void)
{
    static const int domains[] = {0, -1, 3, 17, INT32_MAX, INT32_MIN};
    static const int protocols[] = {0, -1, 1, 15, 17, 31, 34, 47, 50, 64, 79, 82, 96, 97, 100, 111,
                                    113, 4242, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < COUNT_OF(domains); i++) {
        CHECK_ERRNO(nn_socket(domains[i], NN_PAIR), -1, EAFNOSUPPORT);
        CHECK_ERRNO(nn_socket(domains[i], 0), -1, EAFNOSUPPORT);
    }
    for (size_t i = 0; i < COUNT_OF(protocols); i++) {
        CHECK_ERRNO(nn_socket(AF_SP, protocols[i]), -1, EINVAL);
        CHECK_ERRNO(nn_socket(AF_SP_RAW, protocols[i]), -1, EINVAL);
    }
    /* No failure has taken a number. */
    int s = open_pair();
    CHECK_EQ(s, 0);
    CHECK_CLOSE(s);
}

/* core-quirks, in a process that may have few descriptors. */
static int one_socket_too_many_here(void *unused)
{
    int open = 0;
    (void)unused;
    REQUIRE(limit_descriptors(64));
    for (int round = 0; round < 2; round++) {
        errno = 0;
        for (open = 0; open < 1000 && nn_socket(AF_SP, NN_PAIR) == open; open++)
            errno = 0;
        CHECK_EQ(errno, EMFILE);
        CHECK_AT_LEAST(open, 10);
        CHECK_AT_MOST(open, 64);
        CHECK_ERRNO(nn_socket(AF_SP, NN_PAIR), -1, EMFILE);
        CHECK_ERRNO(nn_socket(7, NN_PAIR), -1, EAFNOSUPPORT);
        CHECK_CLOSE(5);
        CHECK_EQ(nn_socket(AF_SP, NN_PAIR), 5);
        for (int s = 0; s < open; s++)
            CHECK_CLOSE(s);
    }
    return 0;
}

static void one_socket_too_many(void)
{
    struct child child;
    child_start(&child, one_socket_too_many_here, NULL);
    CHECK_EQ(child_wait(&child, PATIENCE_MS), 0);
}

static int set(int s, int level, int option, const void *value, size_t size)
{
    return nn_setsockopt(s, level, option, value, size);
}

/* abi 6.3, core-quirks */
static void setting_generic_options(void)
{
    static const int options[] = {NN_LINGER, NN_SNDBUF, NN_RCVTIMEO, NN_MAXTTL, NN_SNDFD, NN_DOMAIN,
                                  NN_PROTOCOL, 0, -1, 18, 4711};
    int s = open_pair();
    int zero[4] = {0, 0, 0, 0};
    for (size_t i = 0; i < COUNT_OF(options); i++) {
        CHECK_ERRNO(set(s, NN_SOL_SOCKET, options[i], NULL, 1), -1, EFAULT);
        CHECK_ERRNO(set(s, NN_SOL_SOCKET, options[i], NULL, 4), -1, EFAULT);
        CHECK_ERRNO(set(s, NN_SOL_SOCKET, options[i], NULL, 0), -1, EINVAL);
        CHECK_ERRNO(set(s, NN_SOL_SOCKET, options[i], zero, 0), -1, EINVAL);
        CHECK_ERRNO(set(s, NN_SOL_SOCKET, options[i], zero, 3), -1, EINVAL);
        CHECK_ERRNO(set(s, NN_SOL_SOCKET, options[i], zero, 5), -1, EINVAL);
        CHECK_ERRNO(set(s, NN_SOL_SOCKET, options[i], zero, 16), -1, EINVAL);
    }
    static const int fixed[] = {NN_SNDFD, NN_RCVFD, NN_DOMAIN, NN_PROTOCOL, 0, -1, 18, 4711};
    for (size_t i = 0; i < COUNT_OF(fixed); i++)
        CHECK_ERRNO(set(s, NN_SOL_SOCKET, fixed[i], zero, 4), -1, ENOPROTOOPT);
    CHECK_ERRNO(set(s, NN_SOL_SOCKET, NN_SNDBUF, zero, 4), -1, EINVAL);
    CHECK_EQ(get_int(s, NN_SOL_SOCKET, NN_SNDBUF), 131072);
    CHECK_CLOSE(s);
}

/* core 6.1 */
static void setting_the_name(void)
{
    char name[64];
    int s = open_pair();
    memset(name, 'n', sizeof name);
    CHECK_ERRNO(set(s, NN_SOL_SOCKET, NN_SOCKET_NAME, NULL, 64), -1, EFAULT);
    CHECK_ERRNO(set(s, NN_SOL_SOCKET, NN_SOCKET_NAME, name, 64), -1, EINVAL);
    CHECK_EQ(set(s, NN_SOL_SOCKET, NN_SOCKET_NAME, name, 63), 0);
    CHECK_EQ(set(s, NN_SOL_SOCKET, NN_SOCKET_NAME, NULL, 0), 0);
    CHECK_EQ(set(s, NN_SOL_SOCKET, NN_SOCKET_NAME, name, 0), 0);
    CHECK_CLOSE(s);
}

/* abi 6.3: nobody looks at the length where there is no such option. */
static void setting_options_of_other_levels(void)
{
    static const int levels[] = {NN_INPROC, -5, -99, INT32_MIN, NN_PAIR, NN_SUB, NN_REQ, 1,
                                 INT32_MAX};
    int s = open_pair();
    int one = 1;
    for (size_t i = 0; i < COUNT_OF(levels); i++) {
        CHECK_ERRNO(set(s, levels[i], 1, NULL, 4), -1, EFAULT);
        CHECK_ERRNO(set(s, levels[i], 1, NULL, 0), -1, ENOPROTOOPT);
        CHECK_ERRNO(set(s, levels[i], 1, &one, 3), -1, ENOPROTOOPT);
        CHECK_ERRNO(set(s, levels[i], 1, &one, 4), -1, ENOPROTOOPT);
    }
    /* core 6.2: tcp and ws look at the length before they look at the option. */
    CHECK_ERRNO(set(s, NN_TCP, 4711, &one, 3), -1, EINVAL);
    CHECK_ERRNO(set(s, NN_TCP, 4711, &one, 4), -1, ENOPROTOOPT);
    CHECK_ERRNO(set(s, NN_TCP, NN_TCP_NODELAY, NULL, 0), -1, EINVAL);
    CHECK_ERRNO(set(s, NN_WS, 4711, &one, 3), -1, EINVAL);
    CHECK_ERRNO(set(s, NN_WS, 4711, &one, 4), -1, ENOPROTOOPT);
    CHECK_ERRNO(set(s, NN_IPC, NN_IPC_INBUFSZ, &one, 3), -1, EINVAL);
    CHECK_ERRNO(set(s, NN_IPC, 4711, &one, 4), -1, ENOPROTOOPT);
    CHECK_CLOSE(s);
}

/* abi 6.4, core-quirks */
static void getting_options(void)
{
    int s = open_pair();
    int value = -1, untouched = -1;
    for (size_t room = 0; room <= 8; room += 4) {
        size_t size = room;
        CHECK_ERRNO(nn_getsockopt(s, NN_SOL_SOCKET, NN_SNDBUF, NULL, &size), -1, EFAULT);
        CHECK_ERRNO(nn_getsockopt(s, NN_SOL_SOCKET, 4711, NULL, &size), -1, EFAULT);
        CHECK_ERRNO(nn_getsockopt(s, 4711, 4711, NULL, &size), -1, EFAULT);
        CHECK_ERRNO(nn_getsockopt(s, NN_SOL_SOCKET, 4711, &value, &size), -1, ENOPROTOOPT);
        CHECK_ERRNO(nn_getsockopt(s, NN_PAIR, 1, &value, &size), -1, ENOPROTOOPT);
        CHECK_ERRNO(nn_getsockopt(s, NN_INPROC, 1, &value, &size), -1, ENOPROTOOPT);
        CHECK_ERRNO(nn_getsockopt(s, NN_TCP, 4711, &value, &size), -1, ENOPROTOOPT);
        CHECK_EQ(size, room);
        CHECK_EQ(value, -1);
    }
    for (size_t room = 0; room <= 4; room++) {
        size_t size = room;
        unsigned char bytes[4], expected[4] = {0xee, 0xee, 0xee, 0xee};
        int buffer = 131072;
        memcpy(expected, &buffer, room);
        memset(bytes, 0xee, sizeof bytes);
        CHECK_EQ(nn_getsockopt(s, NN_SOL_SOCKET, NN_SNDBUF, bytes, &size), 0);
        CHECK_EQ(size, 4);
        CHECK_MEM(bytes, expected, sizeof bytes);
    }
    /* An option that does not exist is told without a place for its size. */
    CHECK_ERRNO(nn_getsockopt(s, NN_SOL_SOCKET, 4711, &value, NULL), -1, ENOPROTOOPT);
    CHECK_ERRNO(nn_getsockopt(s, NN_SOL_SOCKET, 4711, NULL, NULL), -1, ENOPROTOOPT);
    CHECK_EQ(value, untouched);
    CHECK_CLOSE(s);
}

/* core-quirks B-20 */
static void getting_options_without_a_size(void)
{
    int s = open_pair(), value = -1;
    CHECK_ERRNO(nn_getsockopt(s, NN_SOL_SOCKET, NN_SNDBUF, &value, NULL), -1, EFAULT);
    CHECK_ERRNO(nn_getsockopt(s, NN_SOL_SOCKET, NN_SNDBUF, NULL, NULL), -1, EFAULT);
    CHECK_ERRNO(nn_getsockopt(s, NN_TCP, NN_TCP_NODELAY, &value, NULL), -1, EFAULT);
    CHECK_EQ(value, -1);
    CHECK_CLOSE(s);
}

/* core-quirks A-19: unlike all others, protocol options want all of their room. */
static void getting_protocol_options(void)
{
    int s = open_socket(AF_SP, NN_REQ);
    if (s < 0)
        return;
    int value = -1;
    size_t size = 3;
    CHECK_ERRNO(nn_getsockopt(s, NN_REQ, NN_REQ_RESEND_IVL, &value, &size), -1, EINVAL);
    CHECK_EQ(size, 3);
    CHECK_EQ(value, -1);
    size = 8;
    CHECK_EQ(nn_getsockopt(s, NN_REQ, NN_REQ_RESEND_IVL, &value, &size), 0);
    CHECK_EQ(size, 4);
    CHECK_EQ(value, 60000);
    CHECK_CLOSE(s);
}

/* abi 6.5 and 6.6, core-quirks */
static void addresses(void)
{
    static const struct {
        const char *address;
        int error;
    } refused[] = {
        {NULL, EINVAL}, {"", EINVAL}, {"inproc", EINVAL}, {"inproc:", EINVAL},
        {"inproc:/x", EINVAL}, {"a:b://c", EINVAL}, {"tcp", EINVAL}, {"tcp:", EINVAL},
        {"tcp:/", EINVAL}, {"://x", EPROTONOSUPPORT}, {"INPROC://a", EPROTONOSUPPORT},
        {"udp://a", EPROTONOSUPPORT}, {" tcp://127.0.0.1:1", EPROTONOSUPPORT},
        {"tcpx://127.0.0.1:1", EPROTONOSUPPORT}, {"tc://127.0.0.1:1", EPROTONOSUPPORT},
        {"tls+udp://127.0.0.1:1", EPROTONOSUPPORT}, {"tcp://", EINVAL}, {"tcp://*", EINVAL},
        {"tcp://127.0.0.1:65536", EINVAL}, {"tcp://127.0.0.1:x", EINVAL},
    };
    int s = open_pair();
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        CHECK_ERRNO(nn_bind(s, refused[i].address), -1, refused[i].error);
        CHECK_ERRNO(nn_connect(s, refused[i].address), -1, refused[i].error);
    }
    /* A failed call takes no number (core-quirks A-2), and nothing may follow "://". */
    CHECK_EQ(nn_connect(s, "inproc://"), 1);
    CHECK_CLOSE(s);
}

static void long_addresses(void)
{
    static const char *const beginnings[] = {"inproc://", "nonsense", "udp://", ""};
    char address[300];
    int s = open_pair();
    for (size_t i = 0; i < COUNT_OF(beginnings); i++)
        for (size_t length = 128; length < sizeof address; length += 57) {
            snprintf(address, sizeof address, "%s", beginnings[i]);
            memset(address + strlen(beginnings[i]), 'x', length - strlen(beginnings[i]));
            address[length] = 0;
            CHECK_ERRNO(nn_bind(s, address), -1, ENAMETOOLONG);
            CHECK_ERRNO(nn_connect(s, address), -1, ENAMETOOLONG);
        }
    snprintf(address, sizeof address, "inproc://%d-", (int)getpid());
    memset(address + strlen(address), 'x', 127 - strlen(address));
    address[127] = 0;
    CHECK_EQ(nn_bind(s, address), 1);
    CHECK_ERRNO(nn_bind(s, address), -1, EADDRINUSE);
    CHECK_EQ(nn_connect(s, "inproc://elsewhere"), 2);
    CHECK_CLOSE(s);
}

/* abi 6.7 */
static void endpoints_that_do_not_exist(void)
{
    int s = open_pair(), other = open_pair();
    CHECK_ERRNO(nn_shutdown(s, 0), -1, EINVAL);
    CHECK_ERRNO(nn_shutdown(s, 1), -1, EINVAL);
    CHECK_EQ(nn_connect(s, "inproc://nobody"), 1);
    CHECK_EQ(nn_connect(s, "inproc://nobody-else"), 2);
    static const int wrong[] = {0, -1, 3, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        CHECK_ERRNO(nn_shutdown(s, wrong[i]), -1, EINVAL);
    CHECK_ERRNO(nn_shutdown(other, 1), -1, EINVAL);
    CHECK_EQ(nn_shutdown(s, 1), 0);
    CHECK_ERRNO(nn_shutdown(s, 1), -1, EINVAL);
    CHECK_EQ(nn_shutdown(s, 2), 0);
    CHECK_EQ(nn_connect(s, "inproc://nobody"), 3);
    CHECK_CLOSE(s, other);
}

/* abi 6.18 */
static void statistics_that_do_not_exist(void)
{
    static const int wrong[] = {0, -1, 1, 100, 108, 200, 204, 300, 305, 400, 402, INT32_MAX,
                                INT32_MIN};
    int s = open_pair();
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        CHECK_ERRNO(nn_get_statistic(s, wrong[i]), -1, EINVAL);
    CHECK_EQ(nn_get_statistic(s, NN_STAT_MESSAGES_SENT), 0);
    CHECK_CLOSE(s);
}

/* core 8.2: the first entry that is wrong ends the call, and no result is stored. */
static void polling_wrong_sockets(void)
{
    int s = open_pair();
    struct nn_pollfd mixed[] = {{s, NN_POLLOUT, 77}, {-1, 0, 77}, {s + 1, NN_POLLIN, 77}};
    CHECK_ERRNO(nn_poll(mixed, 3, -1), -1, EBADF);
    CHECK_EQ(mixed[0].revents + mixed[1].revents + mixed[2].revents, 231);
    CHECK_CLOSE(s);
}

/* core-quirks A-22 */
static void polling_for_what_cannot_be(void)
{
    int s = open_socket(AF_SP, NN_PUB);
    if (s < 0)
        return;
    struct nn_pollfd in = {s, NN_POLLIN, 77}, both = {s, NN_POLLIN | NN_POLLOUT, 77};
    CHECK_ERRNO(nn_poll(&in, 1, 0), -1, ENOPROTOOPT);
    CHECK_ERRNO(nn_poll(&both, 1, 0), -1, ENOPROTOOPT);
    CHECK_EQ(in.revents + both.revents, 154);
    CHECK_CLOSE(s);
}

/* core-quirks B-23 and B-24 */
static void polling_no_array(void)
{
    struct nn_pollfd entry = {-1, 0, 77};
    CHECK_ERRNO(nn_poll(&entry, -1, 0), -1, EINVAL);
    CHECK_ERRNO(nn_poll(NULL, INT32_MIN, 0), -1, EINVAL);
    CHECK_ERRNO(nn_poll(NULL, 1, 0), -1, EFAULT);
    CHECK_EQ(entry.revents, 77);
}

/* core 10.1, core-quirks A-25 */
static void devices_of_wrong_sockets(void)
{
    int cooked = open_pair(), other = open_pair(), raw = open_socket(AF_SP_RAW, NN_PAIR);
    CHECK_ERRNO(nn_device(-1, -1), -1, EBADF);
    CHECK_ERRNO(nn_device(cooked, 4711), -1, EBADF);
    CHECK_ERRNO(nn_device(4711, cooked), -1, EBADF);
    CHECK_ERRNO(nn_device(cooked, -1), -1, EINVAL);
    CHECK_ERRNO(nn_device(-1, cooked), -1, EINVAL);
    CHECK_ERRNO(nn_device(cooked, other), -1, EINVAL);
    CHECK_ERRNO(nn_device(raw, cooked), -1, EINVAL);
    CHECK_ERRNO(nn_device(cooked, raw), -1, EINVAL);
    CHECK_CLOSE(cooked, other, raw);
}

static void devices_of_sockets_that_do_not_fit(void)
{
    static const int pairs[][2] = {{NN_PUB, NN_PUB}, {NN_SUB, NN_SUB}, {NN_PUB, NN_PAIR},
                                   {NN_REQ, NN_PAIR}, {NN_SUB, NN_REP}};
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        int a = open_socket(AF_SP_RAW, pairs[i][0]);
        if (a < 0)
            return;
        int b = open_socket(AF_SP_RAW, pairs[i][1]);
        CHECK_ERRNO(nn_device(a, b), -1, EINVAL);
        CHECK_ERRNO(nn_device(b, a), -1, EINVAL);
        CHECK_CLOSE(a, b);
    }
}

int main(void)
{
    test_begin("abi/arguments", 60);
    RUN(handles_before_any_socket);
    RUN(termination_before_the_first_socket);
    RUN(handles_beside_an_open_socket);
    RUN(a_stale_handle_beside_open_sockets);
    RUN(handles_after_termination);
    RUN(domains_and_protocols);
    RUN(one_socket_too_many);
    RUN(setting_generic_options);
    RUN(setting_the_name);
    RUN(setting_options_of_other_levels);
    RUN(getting_options);
    RUN(getting_options_without_a_size);
    RUN(getting_protocol_options);
    RUN(addresses);
    RUN(long_addresses);
    RUN(endpoints_that_do_not_exist);
    RUN(statistics_that_do_not_exist);
    RUN(polling_wrong_sockets);
    RUN(polling_for_what_cannot_be);
    RUN(polling_no_array);
    RUN(devices_of_wrong_sockets);
    RUN(devices_of_sockets_that_do_not_fit);
    return test_end();
}
