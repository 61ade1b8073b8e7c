/* The addresses that nn_bind and nn_connect accept, and the errno of each that they do not. What ws
 * accepts is in transports/ws-addresses.c. */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/ports.h"
#include "support/sockets.h"
#include "support/talk.h"

#include <nanomsg/nn.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* abi 6.5, transports 1, core-quirks A-24 */
static void addresses_without_a_known_scheme(void)
{
    static const struct address list[] = {
        {"", EINVAL}, {":", EINVAL}, {":/", EINVAL}, {"/", EINVAL}, {"inproc", EINVAL},
        {"inproc:", EINVAL}, {"inproc:/", EINVAL}, {"inproc:/x", EINVAL},
        {"inproc/://x", EPROTONOSUPPORT}, {"a:b://c", EINVAL}, {"tcp", EINVAL}, {"tcp:", EINVAL},
        {"tcp:/", EINVAL},
        {"tcp:127.0.0.1:%d", EINVAL}, {"ipc:x", EINVAL}, {"127.0.0.1:%d", EINVAL},
        {"x//:y", EINVAL},
        {"://", EPROTONOSUPPORT}, {"://x", EPROTONOSUPPORT}, {"INPROC://a", EPROTONOSUPPORT},
        {"TCP://127.0.0.1:%d", EPROTONOSUPPORT}, {" tcp://127.0.0.1:%d", EPROTONOSUPPORT},
        {"tcp ://127.0.0.1:%d", EPROTONOSUPPORT}, {"udp://a", EPROTONOSUPPORT},
        {"foo://x", EPROTONOSUPPORT}, {"tc://127.0.0.1:%d", EPROTONOSUPPORT},
        {"tcp4://127.0.0.1:%d", EPROTONOSUPPORT}, {"tls+udp://127.0.0.1:%d", EPROTONOSUPPORT},
        {"tcpmux://127.0.0.1:%d", EPROTONOSUPPORT}, {"wsss://127.0.0.1:%d", EPROTONOSUPPORT},
        {"http://127.0.0.1:%d", EPROTONOSUPPORT},
    };
    int s = open_pair();
    CHECK_ERRNO(nn_bind(s, NULL), -1, EINVAL);
    CHECK_ERRNO(nn_connect(s, NULL), -1, EINVAL);
    check_addresses(nn_bind, s, list, COUNT_OF(list));
    check_addresses(nn_connect, s, list, COUNT_OF(list));
    check_next_id(s, 1);
    CHECK_CLOSE(s);
}

/* abi 6.5, transports 1, core-quirks A-23: the length comes before everything but NULL. */
static void addresses_of_128_characters_are_too_long(void)
{
    static const char *const starts[] = {"inproc://", "ipc://", "tcp://", "foo://", "://", "x"};
    int s = open_pair();
    for (size_t i = 0; i < COUNT_OF(starts); i++)
        for (size_t length = 128; length < 4000; length = length * 2 + 1) {
            char *text = malloc(length + 1);
            memset(text, 'a', length);
            text[length] = 0;
            memcpy(text, starts[i], strlen(starts[i]));
            CHECK_ERRNO(nn_bind(s, text), -1, ENAMETOOLONG);
            CHECK_ERRNO(nn_connect(s, text), -1, ENAMETOOLONG);
            free(text);
        }
    char longest[128] = "inproc://";
    memset(longest + 9, 'b', 118);
    CHECK_EQ(strlen(longest), 127);
    CHECK_EQ(nn_bind(s, longest), 1);
    CHECK_EQ(nn_connect(s, "inproc://c"), 2);
    int other = open_pair();
    CHECK_OK(nn_connect(other, longest));
    CHECK_TALK(s, other);
    CHECK_CLOSE(other, s);
}

/* transports 6.1 */
static void tcp_addresses_to_bind(void)
{
    static const struct address list[] = {
        {"tcp://", EINVAL}, {"tcp://127.0.0.1", EINVAL}, {"tcp://127.0.0.1:", EINVAL},
        {"tcp://127.0.0.1:0", EINVAL}, {"tcp://127.0.0.1:00", EINVAL},
        {"tcp://127.0.0.1:65536", EINVAL}, {"tcp://127.0.0.1:4294967297", EINVAL},
        {"tcp://127.0.0.1:99999999999999999999", EINVAL}, {"tcp://127.0.0.1:abc", EINVAL},
        {"tcp://127.0.0.1:80x", EINVAL}, {"tcp://127.0.0.1:-1", EINVAL},
        {"tcp://127.0.0.1:+80", EINVAL}, {"tcp://127.0.0.1: %d", EINVAL},
        {"tcp://127.0.0.1:%d ", EINVAL}, {"tcp://127.0.0.1:%d/path", EINVAL}, {"tcp://*:*", EINVAL},
        {"tcp://nosuch:0", EINVAL}, {"tcp://:", EINVAL},
        {"tcp://[::1]:%d", ENODEV}, {"tcp://::1:%d", ENODEV}, {"tcp://[::]:%d", ENODEV},
        {"tcp://[::1%%lo]:%d", ENODEV}, {"tcp://eth0:%d", ENODEV}, {"tcp://lo:%d", ENODEV},
        {"tcp://localhost:%d", ENODEV}, {"tcp://nosuch:%d", ENODEV}, {"tcp://:%d", ENODEV},
        {"tcp://[*]:%d", ENODEV}, {"tcp://127.1:%d", ENODEV}, {"tcp://256.0.0.1:%d", ENODEV},
        {"tcp://a;b:%d", ENODEV}, {"tcp://[::1:%d", ENODEV}, {"tcp:// 127.0.0.1:%d", ENODEV},
        {"tcp://127.0.0.1 :%d", ENODEV}, {"tcp://127.0.0.1:1:%d", ENODEV},
        {"tcp://*:%d", 0}, {"tcp://127.0.0.1:%d", 0}, {"tcp://[127.0.0.1]:%d", 0},
        {"tcp://0.0.0.0:%d", 0}, {"tcp://127.0.0.1:0%d", 0}, {"tcp://127.0.0.1:00000%d", 0},
    };
    int s = open_pair();
    check_addresses(nn_bind, s, list, COUNT_OF(list));
    check_next_id(s, 7);
    CHECK_CLOSE(s);
}

#define LABEL_63 "abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz-012345678"

/* transports 6.2; whether a name resolves is not looked at. */
static void tcp_addresses_to_connect(void)
{
    static const struct address list[] = {
        {"tcp://", EINVAL}, {"tcp://127.0.0.1", EINVAL}, {"tcp://127.0.0.1:", EINVAL},
        {"tcp://127.0.0.1:0", EINVAL}, {"tcp://127.0.0.1:65536", EINVAL},
        {"tcp://127.0.0.1:abc", EINVAL}, {"tcp://127.0.0.1:80x", EINVAL},
        {"tcp://127.0.0.1:-1", EINVAL}, {"tcp://127.0.0.1:+80", EINVAL},
        {"tcp://127.0.0.1: %d", EINVAL}, {"tcp://127.0.0.1:%d/path", EINVAL},
        {"tcp://*:%d", EINVAL}, {"tcp://:%d", EINVAL}, {"tcp://-abc:%d", EINVAL},
        {"tcp://a_b:%d", EINVAL}, {"tcp://a..b:%d", EINVAL}, {"tcp://.a:%d", EINVAL},
        {"tcp://" LABEL_63 "x:%d", EINVAL}, {"tcp://foo bar:%d", EINVAL},
        {"tcp://f\xc3\xbc:%d", EINVAL}, {"tcp://127.0.0.1;:%d", EINVAL}, {"tcp://x;y;z:%d", EINVAL},
        {"tcp://[::1]:%d", EINVAL}, {"tcp://::1:%d", EINVAL}, {"tcp://[localhost]:%d", EINVAL},
        /* The port is looked at first, then the host, and the local address last. */
        {"tcp://nosuch;a_b:0", EINVAL}, {"tcp://nosuch;a_b:%d", EINVAL},
        {"tcp://lo;127.0.0.1:%d", ENODEV}, {"tcp://eth0;127.0.0.1:%d", ENODEV},
        {"tcp://nosuch;localhost:%d", ENODEV}, {"tcp://;127.0.0.1:%d", ENODEV},
        {"tcp://[::1];127.0.0.1:%d", ENODEV}, {"tcp://localhost;127.0.0.1:%d", ENODEV},
        {"tcp://127.0.0.1:%d", 0}, {"tcp://[127.0.0.1]:%d", 0}, {"tcp://localhost:%d", 0},
        {"tcp://localhost.:%d", 0}, {"tcp://eth0:%d", 0}, {"tcp://127.1:%d", 0},
        {"tcp://256.0.0.1:%d", 0}, {"tcp://abc-:%d", 0}, {"tcp://a.:%d", 0},
        {"tcp://" LABEL_63 ".invalid:%d", 0}, {"tcp://127.0.0.1;127.0.0.1:%d", 0},
        {"tcp://*;127.0.0.1:%d", 0}, {"tcp://127.0.0.1;localhost:%d", 0},
    };
    int s = open_pair();
    CHECK_EQ(strlen(LABEL_63), 63);
    check_addresses(nn_connect, s, list, COUNT_OF(list));
    check_next_id(s, 14);
    CHECK_CLOSE(s);
}

static int has_ipv6(void)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int bound = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0;
    if (fd >= 0)
        close(fd);
    return bound;
}

/* transports 6.1 */
static void an_ipv6_address_names_an_interface_for_its_scope(void)
{
    static const struct address list[] = {
        {"tcp://[::1%%lo]:%d", 0}, {"tcp://::1%%lo:%d", 0}, {"tcp://[::1%%nosuch0]:%d", ENODEV},
    };
    int s = open_pair();
    if (has_ipv6()) {
        set_int(s, NN_IPV4ONLY, 0);
        check_addresses(nn_bind, s, list, COUNT_OF(list));
    } else {
        test_skip("there is no IPv6 here");
    }
    CHECK_CLOSE(s);
}

/* transports 6.1 and 6.2 with NN_IPV4ONLY off */
static void tcp_addresses_with_ipv6(void)
{
    static const struct address to_bind[] = {
        {"tcp://[::1]:%d", 0}, {"tcp://::1:%d", 0}, {"tcp://[::]:%d", 0}, {"tcp://*:%d", 0},
        {"tcp://127.0.0.1:%d", 0}, {"tcp://[127.0.0.1]:%d", 0},
        {"tcp://[::1:%d", ENODEV}, {"tcp://::1]:%d", ENODEV}, {"tcp://lo:%d", ENODEV},
        {"tcp://[*]:%d", ENODEV}, {"tcp://localhost:%d", ENODEV}, {"tcp://[::1]:0", EINVAL},
        {"tcp://[::1]", EINVAL},
    };
    static const struct address to_connect[] = {
        {"tcp://[::1]:%d", 0}, {"tcp://::1:%d", 0}, {"tcp://[::1];[::1]:%d", 0},
        {"tcp://*;[::1]:%d", 0}, {"tcp://[::1:%d", EINVAL}, {"tcp://[::1]x:%d", EINVAL},
        {"tcp://lo;[::1]:%d", ENODEV},
    };
    int s = open_pair();
    if (!has_ipv6()) {
        test_skip("there is no IPv6 here");
        CHECK_CLOSE(s);
        return;
    }
    set_int(s, NN_IPV4ONLY, 0);
    check_addresses(nn_bind, s, to_bind, COUNT_OF(to_bind));
    check_addresses(nn_connect, s, to_connect, COUNT_OF(to_connect));
    check_next_id(s, 11);
    CHECK_CLOSE(s);
}

/* Whether a plain connection to that port of that address succeeds. */
static int reachable(const char *host, int port)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int six = inet_pton(AF_INET6, host, &in6.sin6_addr) == 1;
    if (!six)
        inet_pton(AF_INET, host, &in.sin_addr);
    int fd = socket(six ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int connected = six ? connect(fd, (struct sockaddr *)&in6, sizeof in6)
                        : connect(fd, (struct sockaddr *)&in, sizeof in);
    close(fd);
    return connected == 0;
}

/* transports 6.1: the wildcard is 0.0.0.0 or both families. */
static void the_tcp_wildcard_follows_ipv4only(void)
{
    struct url url;
    int s = open_pair(), port = free_port();
    snprintf(url.text, sizeof url.text, "tcp://*:%d", port);
    CHECK_OK(nn_bind(s, url.text));
    CHECK(reachable("127.0.0.1", port));
    CHECK(reachable("127.0.0.2", port));
    if (has_ipv6())
        CHECK(!reachable("::1", port));
    CHECK_CLOSE(s);
    if (!has_ipv6())
        return;
    s = open_pair();
    set_int(s, NN_IPV4ONLY, 0);
    CHECK_OK(nn_bind(s, url.text));
    CHECK(reachable("127.0.0.1", port));
    CHECK(reachable("::1", port));
    CHECK_CLOSE(s);
}

/* transports 6.3: an IPv4 address needs an IPv4 socket, whatever the option allows besides. */
static void ipv4_addresses_connect_without_ipv4only(void)
{
    struct url url = unique_url("tcp");
    int a = open_pair(), b = open_pair();
    set_int(b, NN_IPV4ONLY, 0);
    CHECK_OK(nn_bind(a, url.text));
    CHECK_OK(nn_connect(b, url.text));
    CHECK_TALK(a, b);
    CHECK_CLOSE(b, a);
}

int main(void)
{
    test_begin("api/addresses", 28);
    RUN(addresses_without_a_known_scheme);
    RUN(addresses_of_128_characters_are_too_long);
    RUN(tcp_addresses_to_bind);
    RUN(tcp_addresses_to_connect);
    RUN(tcp_addresses_with_ipv6);
    RUN(an_ipv6_address_names_an_interface_for_its_scope);
    RUN(the_tcp_wildcard_follows_ipv4only);
    RUN(ipv4_addresses_connect_without_ipv4only);
    return test_end();
}
