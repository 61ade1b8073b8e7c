/* nn_bind, nn_connect and nn_shutdown: which addresses are accepted, the errno of each that is not,
 * endpoint ids, when an address is free again, and what ipc does in the file system. */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/directory.h"
#include "support/process.h"
#include "support/raw-stream.h"
#include "support/sockets.h"
#include "support/talk.h"

#include <nanomsg/nn.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* An endpoint id of the given value shows that the failures before consumed none. */
static void check_next_id(int s, int id)
{
    CHECK_EQ(nn_connect(s, "inproc://nobody-binds-this"), id);
}

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
        {"tcp4://127.0.0.1:%d", EPROTONOSUPPORT}, {"tls+tcp://127.0.0.1:%d", EPROTONOSUPPORT},
        {"tcpmux://127.0.0.1:%d", EPROTONOSUPPORT}, {"wss://127.0.0.1:%d", EPROTONOSUPPORT},
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

/* transports 6.1 and 6.2 with NN_IPV4ONLY off */
static void tcp_addresses_with_ipv6(void)
{
    static const struct address to_bind[] = {
        {"tcp://[::1]:%d", 0}, {"tcp://::1:%d", 0}, {"tcp://[::]:%d", 0}, {"tcp://*:%d", 0},
        {"tcp://127.0.0.1:%d", 0}, {"tcp://[127.0.0.1]:%d", 0}, {"tcp://[::1%%lo]:%d", ENODEV},
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

/* core 3.1, core-quirks A-2 */
static void ids_start_at_one_and_are_never_reused(void)
{
    int a = open_pair(), b = open_pair(), port = free_port();
    struct url tcp;
    snprintf(tcp.text, sizeof tcp.text, "tcp://127.0.0.1:%d", port);
    CHECK_EQ(nn_bind(a, "inproc://ids-1"), 1);
    CHECK_EQ(nn_connect(a, "inproc://ids-2"), 2);
    CHECK_ERRNO(nn_bind(a, "inproc://ids-1"), -1, EADDRINUSE);
    CHECK_ERRNO(nn_bind(a, "tcp://127.0.0.1:0"), -1, EINVAL);
    CHECK_EQ(nn_connect(a, "inproc://ids-2"), 3);
    CHECK_EQ(nn_shutdown(a, 2), 0);
    CHECK_EQ(nn_bind(a, tcp.text), 4);
    CHECK_EQ(nn_shutdown(a, 4), 0);
    CHECK_EQ(nn_shutdown(a, 3), 0);
    CHECK_EQ(nn_connect(a, "inproc://ids-2"), 5);
    CHECK_EQ(nn_connect(b, "inproc://ids-3"), 1);
    CHECK_CLOSE(a, b);
    a = open_pair();
    CHECK_EQ(nn_bind(a, "inproc://ids-1"), 1);
    CHECK_CLOSE(a);
}

/* core 3.1 */
static void a_socket_may_have_thousands_of_endpoints(void)
{
    int s = open_pair();
    for (int id = 1; id <= 3000; id++) {
        char name[64];
        snprintf(name, sizeof name, "inproc://many-%d", id);
        REQUIRE(nn_connect(s, name) == id);
    }
    for (int id = 3000; id > 0; id -= 3)
        REQUIRE(nn_shutdown(s, id) == 0);
    CHECK_EQ(nn_connect(s, "inproc://one-more"), 3001);
    CHECK_CLOSE(s);
}

/* abi 6.7, core-quirks A-2 */
static void shutdown_refuses_what_is_no_endpoint(void)
{
    int a = open_pair(), b = open_pair();
    CHECK_ERRNO(nn_shutdown(a, 1), -1, EINVAL);
    CHECK_EQ(nn_bind(a, "inproc://shut"), 1);
    CHECK_EQ(nn_connect(a, "inproc://shut-2"), 2);
    static const int wrong[] = {0, -1, 3, 4242, INT_MAX, INT_MIN};
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        CHECK_ERRNO(nn_shutdown(a, wrong[i]), -1, EINVAL);
    CHECK_ERRNO(nn_shutdown(b, 1), -1, EINVAL);
    CHECK_EQ(nn_shutdown(a, 1), 0);
    CHECK_ERRNO(nn_shutdown(a, 1), -1, EINVAL);
    CHECK_EQ(nn_shutdown(a, 2), 0);
    CHECK_ERRNO(nn_shutdown(a, 2), -1, EINVAL);
    CHECK_CLOSE(a, b);
}

/* core 3.3: for streams the id is gone at once even if the rest takes a moment. */
static void a_shut_down_id_is_gone_at_once_on_streams(void)
{
    static const char *const schemes[] = {"ipc", "tcp"};
    for (int i = 0; i < 2; i++) {
        struct url url = unique_url(schemes[i]);
        int a, b;
        open_pairs(&a, &b, url.text);
        CHECK_EQ(nn_shutdown(a, 1), 0);
        CHECK_ERRNO(nn_shutdown(a, 1), -1, EINVAL);
        CHECK_EQ(nn_shutdown(b, 1), 0);
        CHECK_ERRNO(nn_shutdown(b, 1), -1, EINVAL);
        CHECK_CLOSE(a, b);
    }
}

/* core 3.4, core-quirks A-5, with a live connection each time */
static void an_address_is_free_when_close_returns(void)
{
    for (int i = 0; i < 3; i++) {
        struct url url = unique_url(SCHEMES[i]);
        for (int round = 0; round < 20; round++) {
            int a, b;
            open_pairs(&a, &b, url.text);
            CHECK_CLOSE(round % 2 ? a : b, round % 2 ? b : a);
        }
    }
}

/* core-quirks A-6 for inproc, reliability P3 for the others */
static void check_rebind_after_shutdown(const char *scheme)
{
    struct url url = unique_url(scheme);
    for (int round = 0; round < 20; round++) {
        int a, b, other = open_pair();
        open_pairs(&a, &b, url.text);
        CHECK_EQ(nn_shutdown(a, 1), 0);
        CHECK_EQ(nn_bind(a, url.text), 2);
        CHECK_EQ(nn_shutdown(a, 2), 0);
        CHECK_EQ(nn_bind(other, url.text), 1);
        CHECK_CLOSE(a, b, other);
    }
}

static void an_inproc_name_is_free_when_shutdown_returns(void)
{
    check_rebind_after_shutdown("inproc");
}

static void a_tcp_port_is_free_when_shutdown_returns(void)
{
    check_rebind_after_shutdown("tcp");
}

static void an_ipc_path_is_free_when_shutdown_returns(void)
{
    check_rebind_after_shutdown("ipc");
}

/* abi 6.5, transports 4 to 6, core-quirks A-47 */
static void an_address_in_use_is_refused(void)
{
    for (int i = 0; i < 3; i++) {
        struct url url = unique_url(SCHEMES[i]);
        int a = open_pair(), b = open_pair(), c = open_pair();
        CHECK_EQ(nn_bind(a, url.text), 1);
        CHECK_ERRNO(nn_bind(a, url.text), -1, EADDRINUSE);
        CHECK_ERRNO(nn_bind(b, url.text), -1, EADDRINUSE);
        CHECK_OK(nn_connect(c, url.text));
        CHECK_TALK(a, c);
        CHECK_ERRNO(nn_bind(b, url.text), -1, EADDRINUSE);
        CHECK_TALK(c, a);
        CHECK_CLOSE(a);
        CHECK_EQ(nn_bind(b, url.text), 1);
        CHECK_TALK(b, c);
        CHECK_CLOSE(b, c);
    }
}

/* transports 6.1 */
static void a_tcp_port_in_use_is_refused_across_addresses(void)
{
    char wildcard[64], specific[64];
    int a = open_pair(), b = open_pair(), port = free_port();
    snprintf(wildcard, sizeof wildcard, "tcp://*:%d", port);
    snprintf(specific, sizeof specific, "tcp://127.0.0.1:%d", port);
    CHECK_EQ(nn_bind(a, wildcard), 1);
    CHECK_ERRNO(nn_bind(b, specific), -1, EADDRINUSE);
    CHECK_CLOSE(a);
    CHECK_EQ(nn_bind(b, specific), 1);
    CHECK_ERRNO(nn_bind(b, wildcard), -1, EADDRINUSE);
    CHECK_CLOSE(b);
    int fd = raw_listen(specific);
    b = open_pair();
    CHECK_ERRNO(nn_bind(b, specific), -1, EADDRINUSE);
    close(fd);
    CHECK_CLOSE(b);
}

/* transports 6.1; 192.0.2.1 is reserved for documentation, so no machine has it. */
static void a_tcp_address_of_another_machine_is_not_available(void)
{
    char text[64];
    int s = open_pair();
    snprintf(text, sizeof text, "tcp://192.0.2.1:%d", free_port());
    CHECK_ERRNO(nn_bind(s, text), -1, EADDRNOTAVAIL);
    CHECK_CLOSE(s);
}

/* Gives up the rights of root, if the test has them. */
static void become_nobody(void)
{
    if (geteuid() == 0)
        REQUIRE(setgid(65534) == 0 && setuid(65534) == 0);
}

static int bind_without_rights(void *argument)
{
    become_nobody();
    int s = open_pair();
    CHECK_ERRNO(nn_bind(s, argument), -1, EACCES);
    CHECK_CLOSE(s);
    return 0;
}

/* abi 6.5, transports 5 and 6.1: what the system says is passed on. */
static void an_address_that_is_not_permitted_is_refused(void)
{
    struct child child;
    char path[128];
    int first = 1024;
    FILE *file = fopen("/proc/sys/net/ipv4/ip_unprivileged_port_start", "r");
    if (file && fscanf(file, "%d", &first) != 1)
        first = 1024;
    if (file)
        fclose(file);
    snprintf(path, sizeof path, "%s/closed", test_directory());
    REQUIRE(mkdir(path, 0500) == 0);
    snprintf(path, sizeof path, "ipc://%s/closed/x.ipc", test_directory());
    child_start(&child, bind_without_rights, path);
    CHECK_EQ(child_wait(&child, PATIENCE_MS), 0);
    if (first < 10) {
        test_skip("every user may bind every port here");
        return;
    }
    child_start(&child, bind_without_rights, "tcp://127.0.0.1:9");
    CHECK_EQ(child_wait(&child, PATIENCE_MS), 0);
}

static const char *path_of(const struct url *url)
{
    return url->text + 6;
}

static int file_type(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0 ? (int)(status.st_mode & S_IFMT) : 0;
}

/* transports 5: the longest path is what fits a socket address. */
static struct url ipc_url_of_length(size_t length)
{
    struct url url;
    int used = snprintf(url.text, sizeof url.text, "ipc://%s/", test_directory());
    memset(url.text + used, 'p', 6 + length - (size_t)used);
    url.text[6 + length] = 0;
    return url;
}

static void an_ipc_path_may_have_107_bytes(void)
{
    struct url url = ipc_url_of_length(107);
    int a, b;
    open_pairs(&a, &b, url.text);
    CHECK_EQ(file_type(path_of(&url)), S_IFSOCK);
    CHECK_CLOSE(a, b);
    CHECK_EQ(file_type(path_of(&url)), 0);
}

/* core-quirks B-27 */
static void an_ipc_path_of_108_bytes_is_too_long(void)
{
    int s = open_pair();
    for (size_t length = 108; length <= 121; length++) {
        struct url url = ipc_url_of_length(length);
        CHECK_ERRNO(nn_bind(s, url.text), -1, ENAMETOOLONG);
        CHECK_ERRNO(nn_connect(s, url.text), -1, ENAMETOOLONG);
    }
    check_next_id(s, 1);
    CHECK_CLOSE(s);
}

/* transports 5 */
static void an_empty_ipc_path_is_invalid(void)
{
    int s = open_pair();
    CHECK_ERRNO(nn_bind(s, "ipc://"), -1, EINVAL);
    CHECK_ERRNO(nn_connect(s, "ipc://"), -1, EINVAL);
    check_next_id(s, 1);
    CHECK_CLOSE(s);
}

/* transports 5: a name is used as it is, from the current directory, and @ means nothing. */
static void ipc_paths_are_file_names(void)
{
    static const char *const names[] = {"ipc://relative.ipc", "ipc://@name", "ipc://a b;c",
                                        "ipc://./x:y"};
    int start = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    REQUIRE(start >= 0 && chdir(test_directory()) == 0);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        int a, b;
        open_pairs(&a, &b, names[i]);
        CHECK_EQ(file_type(names[i] + 6), S_IFSOCK);
        CHECK_CLOSE(a, b);
        CHECK_EQ(file_type(names[i] + 6), 0);
    }
    REQUIRE(fchdir(start) == 0);
    close(start);
}

/* transports 5: 0777 minus umask. */
static void the_mode_of_an_ipc_file_follows_the_umask(void)
{
    static const mode_t masks[] = {0, 022, 077, 0133};
    mode_t before = umask(0);
    for (size_t i = 0; i < COUNT_OF(masks); i++) {
        struct url url = unique_url("ipc");
        struct stat status;
        int s = open_pair();
        umask(masks[i]);
        CHECK_OK(nn_bind(s, url.text));
        CHECK_EQ(stat(path_of(&url), &status), 0);
        CHECK_EQ(status.st_mode & 0777, 0777 & ~masks[i]);
        CHECK_CLOSE(s);
    }
    umask(before);
}

/* transports 5 */
static void an_ipc_path_in_a_missing_directory_is_not_found(void)
{
    struct url url;
    int s = open_pair();
    snprintf(url.text, sizeof url.text, "ipc://%s/missing/x.ipc", test_directory());
    CHECK_ERRNO(nn_bind(s, url.text), -1, ENOENT);
    CHECK_EQ(nn_connect(s, url.text), 1);
    CHECK_CLOSE(s);
}

/* transports 5, reliability P4 */
static void a_stale_ipc_socket_is_replaced(void)
{
    struct url url = unique_url("ipc");
    int a, b;
    close(raw_listen(url.text));
    CHECK_EQ(file_type(path_of(&url)), S_IFSOCK);
    open_pairs(&a, &b, url.text);
    CHECK_CLOSE(a, b);
}

/* transports 5: even when the one who listens is too busy to accept. */
static void a_live_ipc_socket_is_left_alone(void)
{
    struct url url = unique_url("ipc");
    struct sockaddr_storage address;
    socklen_t size = raw_address(url.text, &address);
    int listener = raw_listen(url.text), s = open_pair(), full[64], count = 0, connected = 0;
    CHECK_ERRNO(nn_bind(s, url.text), -1, EADDRINUSE);
    CHECK_EQ(file_type(path_of(&url)), S_IFSOCK);
    CHECK_EQ(listen(listener, 0), 0);
    while (connected == 0 && count < 64) {
        full[count] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        connected = connect(full[count++], (struct sockaddr *)&address, size);
    }
    CHECK_EQ(connected, -1);
    CHECK_EQ(errno, EAGAIN);
    CHECK_ERRNO(nn_bind(s, url.text), -1, EADDRINUSE);
    CHECK_EQ(file_type(path_of(&url)), S_IFSOCK);
    while (count > 0)
        close(full[--count]);
    close(listener);
    CHECK_CLOSE(s);
}

/* core-quirks B-28a, reliability P4 */
static void a_regular_file_is_left_alone(void)
{
    struct url url = unique_url("ipc");
    char text[8] = "";
    int s = open_pair();
    FILE *file = fopen(path_of(&url), "w");
    REQUIRE(file != NULL);
    fputs("data", file);
    fclose(file);
    CHECK_ERRNO(nn_bind(s, url.text), -1, EADDRINUSE);
    CHECK_CLOSE(s);
    file = fopen(path_of(&url), "r");
    REQUIRE(file != NULL);
    CHECK_EQ(fread(text, 1, sizeof text, file), 4);
    fclose(file);
    CHECK_STR(text, "data");
}

/* core-quirks B-28 */
static void a_directory_is_left_alone(void)
{
    struct url url = unique_url("ipc");
    int s = open_pair();
    REQUIRE(mkdir(path_of(&url), 0700) == 0);
    CHECK_ERRNO(nn_bind(s, url.text), -1, EADDRINUSE);
    CHECK_EQ(file_type(path_of(&url)), S_IFDIR);
    CHECK_CLOSE(s);
}

/* reliability P4 */
static void a_fifo_and_a_symbolic_link_are_left_alone(void)
{
    struct url fifo = unique_url("ipc"), dangling = unique_url("ipc"), stale = unique_url("ipc"),
               to_stale = unique_url("ipc");
    int s = open_pair();
    REQUIRE(mkfifo(path_of(&fifo), 0600) == 0);
    REQUIRE(symlink("no-such-file", path_of(&dangling)) == 0);
    close(raw_listen(stale.text));
    REQUIRE(symlink(path_of(&stale), path_of(&to_stale)) == 0);
    CHECK_ERRNO(nn_bind(s, fifo.text), -1, EADDRINUSE);
    CHECK_EQ(file_type(path_of(&fifo)), S_IFIFO);
    CHECK_ERRNO(nn_bind(s, dangling.text), -1, EADDRINUSE);
    CHECK_EQ(file_type(path_of(&dangling)), S_IFLNK);
    CHECK_ERRNO(nn_bind(s, to_stale.text), -1, EADDRINUSE);
    CHECK_EQ(file_type(path_of(&to_stale)), S_IFLNK);
    CHECK_EQ(file_type(path_of(&stale)), S_IFSOCK);
    CHECK_CLOSE(s);
}

/* transports 5 */
static void the_ipc_file_is_removed_at_the_end(void)
{
    struct url url = unique_url("ipc");
    int s = open_pair();
    CHECK_OK(nn_bind(s, url.text));
    CHECK_EQ(file_type(path_of(&url)), S_IFSOCK);
    CHECK_EQ(nn_shutdown(s, 1), 0);
    CHECK(wait_until(file_type(path_of(&url)) == 0, PATIENCE_MS));
    CHECK_OK(nn_bind(s, url.text));
    CHECK_EQ(file_type(path_of(&url)), S_IFSOCK);
    CHECK_CLOSE(s);
    CHECK_EQ(file_type(path_of(&url)), 0);
    s = open_pair();
    CHECK_OK(nn_bind(s, url.text));
    CHECK_EQ(unlink(path_of(&url)), 0);
    CHECK_CLOSE(s);
}

/* transports 5, reliability P4: only what is ours is removed. */
static void a_file_that_took_the_place_is_not_removed(void)
{
    struct url url = unique_url("ipc");
    int s = open_pair();
    CHECK_OK(nn_bind(s, url.text));
    CHECK_EQ(unlink(path_of(&url)), 0);
    int other = raw_listen(url.text);
    CHECK_CLOSE(s);
    CHECK_EQ(file_type(path_of(&url)), S_IFSOCK);
    close(raw_connect(url.text));
    close(other);
}

/* ---- two processes that bind at the same moment ---- */

enum { RACES = 200 };

struct race {
    const char *scheme;
    struct url url;
    int here;     /* how many have come to the meeting points, all in all */
    int winners;  /* of this race */
};

static void meet(struct race *race, int *meetings)
{
    int all = 2 * ++*meetings;
    __atomic_fetch_add(&race->here, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&race->here, __ATOMIC_SEQ_CST) < all)
        sched_yield();
}

static int run_races(void *argument)
{
    struct race *race = argument;
    int meetings = 0, is_first = getpid() == test.pid;
    for (int i = 0; i < RACES; i++) {
        if (is_first) {
            race->url = unique_url(race->scheme);
            race->winners = 0;
        }
        int s = open_pair();
        meet(race, &meetings);
        int id = nn_bind(s, race->url.text);
        if (id > 0)
            __atomic_fetch_add(&race->winners, 1, __ATOMIC_SEQ_CST);
        else
            CHECK_EQ(errno, EADDRINUSE);
        meet(race, &meetings);
        CHECK_EQ(race->winners, 1);
        CHECK_CLOSE(s);
        meet(race, &meetings);
    }
    return 0;
}

static void check_races(const char *scheme)
{
    struct child other;
    struct race *race = mmap(NULL, sizeof *race, PROT_READ | PROT_WRITE,
                             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(race != MAP_FAILED);
    race->scheme = scheme;
    child_start(&other, run_races, race);
    run_races(race);
    CHECK_EQ(child_wait(&other, PATIENCE_MS), 0);
    munmap(race, sizeof *race);
}

/* The examples rely on it: whoever finds the address taken dials it, so that one of two programs
 * that start together must have it, and not both. */
static void one_of_two_processes_gets_a_tcp_port(void)
{
    check_races("tcp");
}

static void one_of_two_processes_gets_an_ipc_path(void)
{
    check_races("ipc");
}

int main(void)
{
    /* Names that do not resolve must not be asked for again and again. */
    setenv("RES_OPTIONS", "timeout:1 attempts:1", 1);
    test_begin("api/endpoints", 28);
    RUN(addresses_without_a_known_scheme);
    RUN(addresses_of_128_characters_are_too_long);
    RUN(tcp_addresses_to_bind);
    RUN(tcp_addresses_to_connect);
    RUN(tcp_addresses_with_ipv6);
    RUN(the_tcp_wildcard_follows_ipv4only);
    RUN(ipv4_addresses_connect_without_ipv4only);
    RUN(ids_start_at_one_and_are_never_reused);
    RUN(a_socket_may_have_thousands_of_endpoints);
    RUN(shutdown_refuses_what_is_no_endpoint);
    RUN(a_shut_down_id_is_gone_at_once_on_streams);
    RUN(an_address_is_free_when_close_returns);
    RUN(an_inproc_name_is_free_when_shutdown_returns);
    RUN(a_tcp_port_is_free_when_shutdown_returns);
    RUN(an_ipc_path_is_free_when_shutdown_returns);
    RUN(an_address_in_use_is_refused);
    RUN(a_tcp_port_in_use_is_refused_across_addresses);
    RUN(a_tcp_address_of_another_machine_is_not_available);
    RUN(an_address_that_is_not_permitted_is_refused);
    RUN(an_ipc_path_may_have_107_bytes);
    RUN(an_ipc_path_of_108_bytes_is_too_long);
    RUN(an_empty_ipc_path_is_invalid);
    RUN(ipc_paths_are_file_names);
    RUN(the_mode_of_an_ipc_file_follows_the_umask);
    RUN(an_ipc_path_in_a_missing_directory_is_not_found);
    RUN(a_stale_ipc_socket_is_replaced);
    RUN(a_live_ipc_socket_is_left_alone);
    RUN(a_regular_file_is_left_alone);
    RUN(a_directory_is_left_alone);
    RUN(a_fifo_and_a_symbolic_link_are_left_alone);
    RUN(the_ipc_file_is_removed_at_the_end);
    RUN(a_file_that_took_the_place_is_not_removed);
    RUN(one_of_two_processes_gets_a_tcp_port);
    RUN(one_of_two_processes_gets_an_ipc_path);
    return test_end();
}
