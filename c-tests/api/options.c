/* nn_setsockopt and nn_getsockopt: every option that a PAIR has, what it accepts, what it refuses
 * and in which order, and what a short or missing buffer does. */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/sockets.h"
#include "support/talk.h"

#include <nanomsg/inproc.h>
#include <nanomsg/ipc.h>
#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/tcp.h>
#include <nanomsg/ws.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* The lists of values end with END. */
#define END (-123456789)

struct int_option {
    int level;
    int option;
    int initial;
    int accepted[8];
    int refused[8];
};

/* core 6.1 and 6.2, core-quirks A-70 */
static const struct int_option int_options[] = {
    {0, NN_SNDBUF, 131072, {1, 4096, INT_MAX, END}, {0, -1, INT_MIN, END}},
    {0, NN_RCVBUF, 131072, {1, 4096, INT_MAX, END}, {0, -1, INT_MIN, END}},
    {0, NN_SNDTIMEO, -1, {0, 1, INT_MAX, -1, -7, INT_MIN, END}, {END}},
    {0, NN_RCVTIMEO, -1, {0, 1, INT_MAX, -1, -7, INT_MIN, END}, {END}},
    {0, NN_RECONNECT_IVL, 100, {0, 1, INT_MAX, END}, {-1, INT_MIN, END}},
    {0, NN_RECONNECT_IVL_MAX, 0, {0, 1, INT_MAX, END}, {-1, INT_MIN, END}},
    {0, NN_SNDPRIO, 8, {1, 8, 16, END}, {0, 17, -1, INT_MAX, INT_MIN, END}},
    {0, NN_RCVPRIO, 8, {1, 8, 16, END}, {0, 17, -1, INT_MAX, INT_MIN, END}},
    {0, NN_IPV4ONLY, 1, {0, 1, END}, {2, -1, INT_MAX, INT_MIN, END}},
    {0, NN_RCVMAXSIZE, 1048576, {-1, 0, 1, INT_MAX, END}, {-2, INT_MIN, END}},
    {0, NN_MAXTTL, 8, {1, 8, 255, END}, {0, 256, -1, INT_MAX, INT_MIN, END}},
    {NN_TCP, NN_TCP_NODELAY, 0, {1, 0, END}, {2, -1, INT_MAX, INT_MIN, END}},
    {NN_WS, NN_WS_MSG_TYPE, 2, {1, 2, END}, {0, 3, -1, INT_MAX, INT_MIN, END}},
    {NN_IPC, NN_IPC_OUTBUFSZ, 4096, {1, 0, -1, INT_MAX, INT_MIN, END}, {END}},
    {NN_IPC, NN_IPC_INBUFSZ, 4096, {1, 0, -1, INT_MAX, INT_MIN, END}, {END}},
};

static const int read_only_options[] = {NN_SNDFD, NN_RCVFD, NN_DOMAIN, NN_PROTOCOL};

static int set_at(int s, int level, int option, int value)
{
    return nn_setsockopt(s, level, option, &value, sizeof value);
}

/* core 6.1 and 6.2 */
static void defaults(void)
{
    for (int domain = AF_SP; domain <= AF_SP_RAW; domain++) {
        int s = nn_socket(domain, NN_PAIR);
        for (size_t i = 0; i < COUNT(int_options); i++)
            CHECK_EQ(get_int(s, int_options[i].level, int_options[i].option),
                     int_options[i].initial);
        CHECK_EQ(get_int(s, NN_SOL_SOCKET, NN_DOMAIN), domain);
        CHECK_EQ(get_int(s, NN_SOL_SOCKET, NN_PROTOCOL), NN_PAIR);
        CHECK_CLOSE(s);
    }
}

/* core 6.1 and 6.2, abi 6.3: an accepted value reads back, a rejected one changes nothing. */
static void accepted_and_refused_values(void)
{
    int s = open_pair();
    for (size_t i = 0; i < COUNT(int_options); i++) {
        const struct int_option *o = &int_options[i];
        int last = o->initial;
        set_at(s, o->level, o->option, last);
        for (const int *value = o->accepted; *value != END; value++) {
            CHECK_EQ(set_at(s, o->level, o->option, *value), 0);
            CHECK_EQ(get_int(s, o->level, o->option), *value);
            last = *value;
        }
        for (const int *value = o->refused; *value != END; value++) {
            CHECK_ERRNO(set_at(s, o->level, o->option, *value), -1, EINVAL);
            CHECK_EQ(get_int(s, o->level, o->option), last);
        }
    }
    CHECK_CLOSE(s);
}

/* Values live per socket (core 6.2). */
static void one_socket_does_not_change_another(void)
{
    int a = nn_socket(AF_SP, NN_PAIR), b = nn_socket(AF_SP, NN_PAIR);
    for (size_t i = 0; i < COUNT(int_options); i++) {
        const struct int_option *o = &int_options[i];
        CHECK_EQ(set_at(a, o->level, o->option, o->accepted[0]), 0);
        CHECK_EQ(get_int(b, o->level, o->option), o->initial);
    }
    CHECK_CLOSE(a, b);
}

/* reliability P2: the linger works, so it has a value of its own and reads back. */
static void linger_is_one_second_and_reads_back(void)
{
    static const int values[] = {0, -1, 1, 5000, INT_MAX};
    int s = nn_socket(AF_SP, NN_PAIR);
    CHECK_EQ(get_int(s, NN_SOL_SOCKET, NN_LINGER), 1000);
    for (size_t i = 0; i < COUNT(values); i++) {
        CHECK_EQ(set_at(s, NN_SOL_SOCKET, NN_LINGER, values[i]), 0);
        CHECK_EQ(get_int(s, NN_SOL_SOCKET, NN_LINGER), values[i]);
    }
    CHECK_CLOSE(s);
}

/* abi 6.3, core-quirks A-13: setting it has always succeeded, whatever the value. */
static void linger_accepts_every_value(void)
{
    static const int values[] = {0, -1, 1, 5000, INT_MAX, -2, INT_MIN};
    int s = nn_socket(AF_SP, NN_PAIR);
    for (size_t i = 0; i < COUNT(values); i++)
        CHECK_EQ(set_at(s, NN_SOL_SOCKET, NN_LINGER, values[i]), 0);
    CHECK_CLOSE(s);
}

/* core-quirks, core 6.1 and 6.2 */
static void wrong_lengths_are_refused(void)
{
    static const size_t lengths[] = {0, 1, 2, 3, 5, 8, 1000};
    char value[1000] = {1};
    int s = open_pair();
    for (size_t i = 0; i < COUNT(int_options); i++) {
        const struct int_option *o = &int_options[i];
        int before = get_int(s, o->level, o->option);
        for (size_t k = 0; k < COUNT(lengths); k++) {
            /* The options of ipc take what is longer than they need. */
            if (o->level == NN_IPC && lengths[k] > 4)
                CHECK_EQ(nn_setsockopt(s, o->level, o->option, value, lengths[k]), 0);
            else
                CHECK_ERRNO(nn_setsockopt(s, o->level, o->option, value, lengths[k]), -1, EINVAL);
        }
        if (o->level != NN_IPC)
            CHECK_EQ(get_int(s, o->level, o->option), before);
        CHECK_ERRNO(nn_setsockopt(s, o->level, o->option, NULL, 0), -1, EINVAL);
        CHECK_ERRNO(nn_setsockopt(s, o->level, o->option, NULL, 3), -1, EFAULT);
        CHECK_ERRNO(nn_setsockopt(s, o->level, o->option, NULL, 4), -1, EFAULT);
    }
    CHECK_ERRNO(nn_setsockopt(s, 0, NN_LINGER, value, 3), -1, EINVAL);
    CHECK_ERRNO(nn_setsockopt(s, 0, NN_LINGER, NULL, 0), -1, EINVAL);
    CHECK_ERRNO(nn_setsockopt(s, 0, NN_LINGER, NULL, 4), -1, EFAULT);
    CHECK_CLOSE(s);
}

/* core-quirks A-16: the length is looked at before the option is. */
static void read_only_and_unknown_options_cannot_be_set(void)
{
    static const int unknown[] = {0, 18, 100, -1, INT_MAX, INT_MIN};
    int value = 1, s = open_pair();
    for (size_t i = 0; i < COUNT(read_only_options) + COUNT(unknown); i++) {
        int option = i < COUNT(read_only_options) ? read_only_options[i]
                                                  : unknown[i - COUNT(read_only_options)];
        CHECK_ERRNO(nn_setsockopt(s, 0, option, &value, 4), -1, ENOPROTOOPT);
        CHECK_ERRNO(nn_setsockopt(s, 0, option, &value, 3), -1, EINVAL);
        CHECK_ERRNO(nn_setsockopt(s, 0, option, &value, 0), -1, EINVAL);
        CHECK_ERRNO(nn_setsockopt(s, 0, option, NULL, 0), -1, EINVAL);
        CHECK_ERRNO(nn_setsockopt(s, 0, option, NULL, 4), -1, EFAULT);
    }
    for (int level = NN_WS; level <= NN_IPC; level++) {
        CHECK_ERRNO(nn_setsockopt(s, level, 9, &value, 4), -1, ENOPROTOOPT);
        CHECK_ERRNO(nn_setsockopt(s, level, 0, &value, 4), -1, ENOPROTOOPT);
        CHECK_ERRNO(nn_setsockopt(s, level, 9, &value, 3), -1, EINVAL);
        CHECK_ERRNO(nn_setsockopt(s, level, 9, NULL, 4), -1, EFAULT);
    }
    CHECK_CLOSE(s);
}

/* abi 6.3 and 6.4, core 6.2 and 6.3, core-quirks A-70 */
static void levels_without_options_say_so(void)
{
    /* A PAIR has no options of its own, and inproc has no level. */
    static const int levels[] = {NN_PAIR, 1, 2, 33, 48, 98, 4242, INT_MAX, NN_INPROC, -5, -100,
                                 INT_MIN};
    int value = 1, s = open_pair();
    size_t size = 77;
    for (size_t i = 0; i < COUNT(levels); i++)
        for (int option = 0; option < 4; option++) {
            CHECK_ERRNO(nn_setsockopt(s, levels[i], option, &value, 4), -1, ENOPROTOOPT);
            CHECK_ERRNO(nn_setsockopt(s, levels[i], option, &value, 1), -1, ENOPROTOOPT);
            CHECK_ERRNO(nn_setsockopt(s, levels[i], option, NULL, 0), -1, ENOPROTOOPT);
            CHECK_ERRNO(nn_setsockopt(s, levels[i], option, NULL, 4), -1, EFAULT);
            CHECK_ERRNO(nn_getsockopt(s, levels[i], option, &value, &size), -1, ENOPROTOOPT);
            CHECK_ERRNO(nn_getsockopt(s, levels[i], option, &value, NULL), -1, ENOPROTOOPT);
            CHECK_ERRNO(nn_getsockopt(s, levels[i], option, NULL, &size), -1, EFAULT);
        }
    CHECK_EQ(size, 77);
    CHECK_EQ(value, 1);
    CHECK_CLOSE(s);
}

static void check_short_get(int s, int level, int option)
{
    int whole = get_int(s, level, option);
    for (size_t room = 0; room <= 8; room++) {
        unsigned char bytes[16];
        size_t size = room, copied = room < 4 ? room : 4;
        memset(bytes, 0xa5, sizeof bytes);
        CHECK_EQ(nn_getsockopt(s, level, option, bytes, &size), 0);
        CHECK_EQ(size, 4);
        CHECK_MEM(bytes, &whole, copied);
        for (size_t i = copied; i < sizeof bytes; i++)
            CHECK_EQ(bytes[i], 0xa5);
    }
}

/* abi 6.4, core-quirks A-19 */
static void a_short_buffer_gets_what_fits(void)
{
    int s = open_pair();
    for (size_t i = 0; i < COUNT(int_options); i++)
        if (int_options[i].level != NN_IPC)
            check_short_get(s, int_options[i].level, int_options[i].option);
    for (size_t i = 0; i < COUNT(read_only_options); i++)
        check_short_get(s, NN_SOL_SOCKET, read_only_options[i]);
    check_short_get(s, NN_SOL_SOCKET, NN_LINGER);
    CHECK_CLOSE(s);
}

/* core-quirks B-21 */
static void a_short_buffer_for_an_ipc_option_is_not_overrun(void)
{
    int s = open_pair();
    check_short_get(s, NN_IPC, NN_IPC_OUTBUFSZ);
    check_short_get(s, NN_IPC, NN_IPC_INBUFSZ);
    for (size_t room = 0; room < sizeof(void *); room++) {
        unsigned char bytes[16];
        size_t size = room;
        memset(bytes, 0xa5, sizeof bytes);
        CHECK_EQ(nn_getsockopt(s, NN_IPC, NN_IPC_SEC_ATTR, bytes, &size), 0);
        CHECK_EQ(size, sizeof(void *));
        for (size_t i = room; i < sizeof bytes; i++)
            CHECK_EQ(bytes[i], 0xa5);
    }
    CHECK_CLOSE(s);
}

/* abi 6.4, core-quirks A-18 */
static void a_get_without_a_buffer_is_a_fault(void)
{
    static const int options[] = {NN_LINGER, NN_SNDBUF, NN_RCVFD, NN_SOCKET_NAME, 0, 4242, -1};
    static const size_t sizes[] = {0, 4, 100};
    int value = 9, s = open_pair();
    for (size_t i = 0; i < COUNT(options); i++)
        for (size_t k = 0; k < COUNT(sizes); k++) {
            size_t size = sizes[k];
            CHECK_ERRNO(nn_getsockopt(s, 0, options[i], NULL, &size), -1, EFAULT);
            CHECK_EQ(size, sizes[k]);
        }
    for (size_t i = 4; i < COUNT(options); i++) {
        size_t size = 3;
        CHECK_ERRNO(nn_getsockopt(s, 0, options[i], &value, &size), -1, ENOPROTOOPT);
        CHECK_EQ(size, 3);
        CHECK_ERRNO(nn_getsockopt(s, 0, options[i], &value, NULL), -1, ENOPROTOOPT);
        CHECK_ERRNO(nn_getsockopt(s, 0, options[i], NULL, NULL), -1, ENOPROTOOPT);
    }
    for (int level = NN_WS; level <= NN_IPC; level++) {
        size_t size = 5;
        CHECK_ERRNO(nn_getsockopt(s, level, 1, NULL, &size), -1, EFAULT);
        CHECK_ERRNO(nn_getsockopt(s, level, 9, NULL, &size), -1, EFAULT);
        CHECK_ERRNO(nn_getsockopt(s, level, 9, &value, &size), -1, ENOPROTOOPT);
        CHECK_EQ(size, 5);
    }
    CHECK_EQ(value, 9);
    CHECK_CLOSE(s);
}

/* core-quirks B-20 */
static void a_get_without_a_length_is_a_fault(void)
{
    char value[64];
    int s = open_pair();
    for (int option = NN_LINGER; option <= NN_MAXTTL; option++) {
        CHECK_ERRNO(nn_getsockopt(s, 0, option, value, NULL), -1, EFAULT);
        CHECK_ERRNO(nn_getsockopt(s, 0, option, NULL, NULL), -1, EFAULT);
    }
    for (int level = NN_WS; level <= NN_IPC; level++) {
        CHECK_ERRNO(nn_getsockopt(s, level, 1, value, NULL), -1, EFAULT);
        CHECK_ERRNO(nn_getsockopt(s, level, 1, NULL, NULL), -1, EFAULT);
    }
    CHECK_CLOSE(s);
}

/* Checks what a get with that much room stores and reports. */
static void check_name(int s, const char *name, size_t room)
{
    char bytes[128], expected[128];
    size_t size = room;
    memset(bytes, 0x5a, sizeof bytes);
    memset(expected, 0x5a, sizeof expected);
    strncpy(expected, name, room);
    CHECK_EQ(nn_getsockopt(s, NN_SOL_SOCKET, NN_SOCKET_NAME, bytes, &size), 0);
    CHECK_EQ(size, strlen(name));
    CHECK_MEM(bytes, expected, sizeof bytes);
}

/* core 6.1, core-quirks */
static void socket_name(void)
{
    char name[65];
    int zero = nn_socket(AF_SP, NN_PAIR), one = nn_socket(AF_SP, NN_PAIR);
    memset(name, 'n', 64);
    name[64] = 0;
    check_name(zero, "0", 64);
    check_name(one, "1", 64);
    check_name(one, "1", 0);
    CHECK_EQ(nn_setsockopt(one, 0, NN_SOCKET_NAME, "bob", 3), 0);
    for (size_t room = 0; room <= 65; room++)
        check_name(one, "bob", room);
    check_name(zero, "0", 64);
    CHECK_ERRNO(nn_setsockopt(one, 0, NN_SOCKET_NAME, name, 64), -1, EINVAL);
    CHECK_ERRNO(nn_setsockopt(one, 0, NN_SOCKET_NAME, name, 1000000), -1, EINVAL);
    CHECK_ERRNO(nn_setsockopt(one, 0, NN_SOCKET_NAME, NULL, 1), -1, EFAULT);
    check_name(one, "bob", 64);
    CHECK_EQ(nn_setsockopt(one, 0, NN_SOCKET_NAME, name, 63), 0);
    name[63] = 0;
    check_name(one, name, 62);
    check_name(one, name, 63);
    check_name(one, name, 64);
    CHECK_EQ(nn_setsockopt(one, 0, NN_SOCKET_NAME, "ab\0cd", 5), 0);
    check_name(one, "ab", 64);
    CHECK_EQ(nn_setsockopt(one, 0, NN_SOCKET_NAME, "four", 4), 0);
    check_name(one, "four", 64);
    CHECK_EQ(nn_setsockopt(one, 0, NN_SOCKET_NAME, "", 0), 0);
    check_name(one, "", 64);
    CHECK_EQ(nn_setsockopt(one, 0, NN_SOCKET_NAME, "x", 1), 0);
    CHECK_EQ(nn_setsockopt(one, 0, NN_SOCKET_NAME, NULL, 0), 0);
    check_name(one, "", 64);
    CHECK_CLOSE(zero, one);
}

/* core 6.2: the option of ipc for other systems keeps the address it was given, unread. */
static void ipc_security_attributes_keep_the_address(void)
{
    int s = open_pair();
    long attributes = 0;
    void *value = &attributes;
    size_t size = sizeof value;
    CHECK_EQ(nn_getsockopt(s, NN_IPC, NN_IPC_SEC_ATTR, &value, &size), 0);
    CHECK_EQ(size, sizeof value);
    CHECK(value == NULL);
    CHECK_ERRNO(nn_setsockopt(s, NN_IPC, NN_IPC_SEC_ATTR, &attributes, 3), -1, EINVAL);
    CHECK_EQ(nn_setsockopt(s, NN_IPC, NN_IPC_SEC_ATTR, &attributes, sizeof attributes), 0);
    size = sizeof value;
    CHECK_EQ(nn_getsockopt(s, NN_IPC, NN_IPC_SEC_ATTR, &value, &size), 0);
    CHECK_EQ(size, sizeof value);
    CHECK(value == &attributes);
    CHECK_CLOSE(s);
}

static int readable(int fd)
{
    struct pollfd ready = {fd, POLLIN, 0};
    return poll(&ready, 1, 0) == 1 && (ready.revents & POLLIN);
}

/* core 6.1, 7.3 and 8.1, core-quirks A-50: inproc changes readiness before a call returns. */
static void descriptors_show_readiness(void)
{
    struct url url = unique_url("inproc");
    int a = open_pair(), b = open_pair();
    int sendable = get_int(a, NN_SOL_SOCKET, NN_SNDFD);
    int receivable = get_int(b, NN_SOL_SOCKET, NN_RCVFD);
    CHECK_EQ(get_int(a, NN_SOL_SOCKET, NN_SNDFD), sendable);
    CHECK_EQ(get_int(b, NN_SOL_SOCKET, NN_RCVFD), receivable);
    CHECK(fcntl(sendable, F_GETFD) & FD_CLOEXEC);
    CHECK(fcntl(receivable, F_GETFD) & FD_CLOEXEC);
    CHECK(!readable(sendable));
    CHECK(!readable(receivable));
    CHECK_OK(nn_bind(a, url.text));
    CHECK(!readable(sendable));
    CHECK_OK(nn_connect(b, url.text));
    CHECK(readable(sendable));
    CHECK(!readable(receivable));
    CHECK_SEND(a, "one");
    CHECK_SEND(a, "two");
    CHECK(readable(receivable));
    CHECK_RECV(b, "one");
    CHECK(readable(receivable));
    CHECK_RECV(b, "two");
    CHECK(!readable(receivable));
    CHECK_CLOSE(b);
    CHECK(!readable(sendable));
    CHECK_CLOSE(a);
}

/* core 8.1: on a stream the same, a little later. */
static void descriptors_show_readiness_of_streams(void)
{
    static const char *const schemes[] = {"tcp", "ipc"};
    for (int i = 0; i < 2; i++) {
        struct url url = unique_url(schemes[i]);
        int a = open_pair(), b = open_pair();
        int sendable = get_int(a, NN_SOL_SOCKET, NN_SNDFD);
        int receivable = get_int(b, NN_SOL_SOCKET, NN_RCVFD);
        CHECK_OK(nn_bind(a, url.text));
        CHECK_OK(nn_connect(b, url.text));
        CHECK(wait_until(readable(sendable), PATIENCE_MS));
        CHECK_SEND(a, "hello");
        CHECK(wait_until(readable(receivable), PATIENCE_MS));
        CHECK_RECV(b, "hello");
        CHECK(wait_until(!readable(receivable), PATIENCE_MS));
        CHECK_CLOSE(b);
        CHECK(wait_until(!readable(sendable), PATIENCE_MS));
        CHECK_CLOSE(a);
    }
}

int main(void)
{
    test_begin("api/options", 28);
    RUN(defaults);
    RUN(accepted_and_refused_values);
    RUN(one_socket_does_not_change_another);
    RUN(linger_is_one_second_and_reads_back);
    RUN(linger_accepts_every_value);
    RUN(wrong_lengths_are_refused);
    RUN(read_only_and_unknown_options_cannot_be_set);
    RUN(levels_without_options_say_so);
    RUN(a_short_buffer_gets_what_fits);
    RUN(a_short_buffer_for_an_ipc_option_is_not_overrun);
    RUN(a_get_without_a_buffer_is_a_fault);
    RUN(a_get_without_a_length_is_a_fault);
    RUN(socket_name);
    RUN(ipc_security_attributes_keep_the_address);
    RUN(descriptors_show_readiness);
    RUN(descriptors_show_readiness_of_streams);
    return test_end();
}
