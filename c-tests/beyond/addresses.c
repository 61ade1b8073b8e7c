/* Addresses that only spmsg_bind and spmsg_connect understand, and where an endpoint is. */

#include "beyond.h"

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/directory.h"
#include "support/process.h"
#include "support/sockets.h"
#include "support/talk.h"

#include <nanomsg/nn.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The same version in the header, in the number and in the library. */
static void the_version_is_the_headers(void)
{
    char expected[64];
    snprintf(expected, sizeof expected, "%d.%d.%d", SPMSG_VERSION_MAJOR, SPMSG_VERSION_MINOR,
             SPMSG_VERSION_PATCH);
    CHECK_STR(spmsg_version(), expected);
    CHECK_EQ(SPMSG_VERSION, SPMSG_VERSION_MAJOR * 1000000 + SPMSG_VERSION_MINOR * 1000
                                + SPMSG_VERSION_PATCH);
}

static void port_0_is_a_free_port(const char *scheme, const char *path)
{
    char wanted[64], expected[64];
    int first = open_pair(), second = open_pair(), there = open_pair();
    snprintf(wanted, sizeof wanted, "%s://127.0.0.1:0%s", scheme, path);

    int endpoint = spmsg_bind(first, wanted);
    CHECK_OK(endpoint);
    CHECK_OK(spmsg_bind(second, wanted));
    int port = port_of(address_of(first, endpoint));
    CHECK_AT_LEAST(port, 1);
    CHECK_AT_MOST(port, 65535);
    snprintf(expected, sizeof expected, "%s://127.0.0.1:%d%s", scheme, port, path);
    CHECK_STR(address_of(first, endpoint), expected);
    CHECK_NE(port_of(address_of(second, 1)), port);

    /* Every connecting function takes what is told. */
    CHECK_OK(nn_connect(there, address_of(first, endpoint)));
    CHECK_TALK(first, there);
    nn_close(first);
    nn_close(second);
    nn_close(there);
}

static void port_0_of_tcp_is_a_free_port(void)
{
    port_0_is_a_free_port("tcp", "");
}

static void port_0_of_ws_is_a_free_port(void)
{
    port_0_is_a_free_port("ws", "");
    port_0_is_a_free_port("ws", "/some/path");
}

static void a_wildcard_is_told_as_a_number(void)
{
    int yes = 0, here = open_pair(), there = open_pair();
    CHECK_OK(spmsg_bind(here, "tcp://*:0"));
    CHECK(strncmp(address_of(here, 1), "tcp://0.0.0.0:", 14) == 0);
    CHECK_OK(nn_connect(there, address_of(here, 1)));
    CHECK_TALK(here, there);
    nn_close(here);
    nn_close(there);

    here = open_pair();
    set_int(here, NN_IPV4ONLY, yes);
    if (spmsg_bind(here, "tcp://*:0") > 0)
        CHECK(strncmp(address_of(here, 1), "tcp://[::]:", 11) == 0);
    else
        CHECK_EQ(errno, EAFNOSUPPORT);
    nn_close(here);
}

/* The functions of nn.h go on refusing it, and nobody connects to port 0. */
static void port_0_is_refused_elsewhere(void)
{
    int s = open_pair();
    CHECK_ERRNO(nn_bind(s, "tcp://127.0.0.1:0"), -1, EINVAL);
    CHECK_ERRNO(nn_bind(s, "ws://127.0.0.1:0"), -1, EINVAL);
    CHECK_ERRNO(nn_connect(s, "tcp://127.0.0.1:0"), -1, EINVAL);
    CHECK_ERRNO(spmsg_connect(s, "tcp://127.0.0.1:0"), -1, EINVAL);
    CHECK_ERRNO(spmsg_connect(s, "ws://127.0.0.1:0"), -1, EINVAL);
    CHECK_ERRNO(spmsg_bind(s, "tcp://127.0.0.1:00x"), -1, EINVAL);
    CHECK_ERRNO(spmsg_bind(s, "tcp://127.0.0.1:65536"), -1, EINVAL);
    nn_close(s);
}

/* Unique in the machine. */
static const char *abstract_url(void)
{
    static char url[64];
    static int count;
    snprintf(url, sizeof url, "ipc://@spmsg-test-%d-%d", (int)getpid(), ++count);
    return url;
}

static void a_name_of_ipc_needs_no_file(void)
{
    char url[64];
    struct stat status;
    int here = open_pair(), there = open_pair(), late = open_pair();
    snprintf(url, sizeof url, "%s", abstract_url());
    CHECK_OK(spmsg_bind(here, url));
    CHECK_STR(address_of(here, 1), url);
    CHECK(stat(url + 6, &status) < 0 && errno == ENOENT);
    CHECK_ERRNO(spmsg_bind(late, url), -1, EADDRINUSE);
    CHECK_OK(spmsg_connect(there, url));
    CHECK_STR(address_of(there, 1), url);
    CHECK_TALK(here, there);

    /* It is free as soon as its owner is gone. */
    nn_close(here);
    CHECK_OK(spmsg_bind(late, url));
    CHECK_TALK(late, there);
    nn_close(late);
    nn_close(there);
}

/* The owner dies without a word, and leaves nothing behind that would be in the way. */
static int binds_and_waits(void *url)
{
    int s = open_pair();
    CHECK_OK(spmsg_bind(s, url));
    CHECK_SEND(s, "ready");
    pause();
    return 0;
}

static void a_name_of_ipc_dies_with_its_process(void)
{
    char url[64];
    struct child child;
    snprintf(url, sizeof url, "%s", abstract_url());
    child_start(&child, binds_and_waits, url);
    int s = open_pair();
    CHECK_OK(spmsg_connect(s, url));
    CHECK_RECV(s, "ready");
    child_kill(&child);

    int heir = open_pair();
    CHECK_OK(spmsg_bind(heir, url));
    CHECK_TALK(heir, s);
    nn_close(s);
    nn_close(heir);
}

/* For nn_bind "@name" is a file like any other. */
static void a_file_may_be_called_so(void)
{
    char before[4096], url[64];
    struct stat status;
    REQUIRE(getcwd(before, sizeof before) != NULL);
    REQUIRE(chdir(test_directory()) == 0);
    snprintf(url, sizeof url, "ipc://@file-%d", (int)getpid());
    int here = open_pair(), there = open_pair();
    CHECK_OK(nn_bind(here, url));
    CHECK_EQ(lstat(url + 6, &status), 0);
    CHECK(S_ISSOCK(status.st_mode));
    CHECK_OK(nn_connect(there, url));
    CHECK_TALK(here, there);

    /* Both can be bound, because they are not the same. */
    int other = open_pair();
    CHECK_OK(spmsg_bind(other, url));
    nn_close(other);
    nn_close(here);
    nn_close(there);
    CHECK(lstat(url + 6, &status) < 0 && errno == ENOENT);
    REQUIRE(chdir(before) == 0);
}

static void names_of_ipc_have_limits(void)
{
    char url[160] = "ipc://@";
    int s = open_pair();
    CHECK_ERRNO(spmsg_bind(s, "ipc://@"), -1, EINVAL);
    CHECK_ERRNO(spmsg_connect(s, "ipc://@"), -1, EINVAL);
    CHECK_ERRNO(spmsg_bind(s, "ipc://"), -1, EINVAL);
    int used = snprintf(url, sizeof url, "%s-", abstract_url());
    memset(url + used, 'x', sizeof url - (size_t)used);
    url[6 + 108] = 0;
    CHECK_ERRNO(spmsg_bind(s, url), -1, ENAMETOOLONG);
    url[6 + 107] = 0;
    CHECK_OK(spmsg_bind(s, url));
    CHECK_STR(address_of(s, 1), url);
    nn_close(s);
}

/* Everything else is as with nn_bind and nn_connect. */
static void other_addresses_mean_the_same(void)
{
    for (size_t i = 0; i < 4; i++) {
        struct url url = unique_url(BEYOND_SCHEMES[i]);
        int here = open_pair(), there = open_pair();
        int bound = spmsg_bind(here, url.text), connected = spmsg_connect(there, url.text);
        CHECK_EQ(bound, 1);
        CHECK_EQ(connected, 1);
        CHECK_STR(address_of(here, bound), url.text);
        CHECK_STR(address_of(there, connected), url.text);
        CHECK_TALK(here, there);
        nn_close(here);
        nn_close(there);
    }
    int s = open_pair();
    CHECK_ERRNO(spmsg_bind(s, NULL), -1, EINVAL);
    CHECK_ERRNO(spmsg_connect(s, NULL), -1, EINVAL);
    CHECK_ERRNO(spmsg_bind(s, "nothing"), -1, EINVAL);
    CHECK_ERRNO(spmsg_bind(s, "none://x"), -1, EPROTONOSUPPORT);
    CHECK_ERRNO(spmsg_bind(s, "tcp://nosuch:1"), -1, ENODEV);
    nn_close(s);
    CHECK_ERRNO(spmsg_bind(s, "inproc://x"), -1, EBADF);
    CHECK_ERRNO(spmsg_connect(s, "inproc://x"), -1, EBADF);
}

static void an_address_is_told_as_it_was_given(void)
{
    int s = open_pair();
    CHECK_OK(nn_connect(s, "tcp://127.0.0.1;localhost:5"));
    CHECK_STR(address_of(s, 1), "tcp://127.0.0.1;localhost:5");
    CHECK_OK(nn_connect(s, "ws://localhost/a?b"));
    CHECK_STR(address_of(s, 2), "ws://localhost/a?b");
    CHECK_OK(nn_bind(s, "inproc://"));
    CHECK_STR(address_of(s, 3), "inproc://");
    nn_close(s);
}

static void an_address_is_cut_off_at_its_room(void)
{
    char room[24];
    int s = open_pair();
    CHECK_OK(nn_bind(s, "inproc://twenty-chars"));
    for (size_t size = 0; size < sizeof room; size++) {
        memset(room, '#', sizeof room);
        CHECK_EQ(spmsg_address(s, 1, room, size), 21);
        size_t told = size == 0 ? 0 : size - 1 < 21 ? size - 1 : 21;
        CHECK_MEM(room, "inproc://twenty-chars", told);
        CHECK(size == 0 || room[told] == 0);
        size_t used = size == 0 ? 0 : told + 1;
        for (size_t i = used; i < sizeof room; i++)
            CHECK_EQ(room[i], '#');
    }
    CHECK_EQ(spmsg_address(s, 1, NULL, 0), 21);
    CHECK_ERRNO(spmsg_address(s, 1, NULL, 1), -1, EFAULT);
    nn_close(s);
}

static void endpoints_that_are_not_there_have_no_address(void)
{
    char room[16];
    int s = open_pair();
    CHECK_OK(nn_bind(s, "inproc://x"));
    for (int endpoint = -1; endpoint < 4; endpoint++)
        if (endpoint != 1)
            CHECK_ERRNO(spmsg_address(s, endpoint, room, sizeof room), -1, EINVAL);
    CHECK_EQ(nn_shutdown(s, 1), 0);
    CHECK_ERRNO(spmsg_address(s, 1, room, sizeof room), -1, EINVAL);
    nn_close(s);
    CHECK_ERRNO(spmsg_address(s, 1, room, sizeof room), -1, EBADF);
}

/* The longest that may be asked for grows when names become numbers. */
static void the_longest_address_fits(void)
{
    char url[NN_SOCKADDR_MAX] = "ws://*:0/", room[SPMSG_ADDRESS_MAX];
    int s = open_pair();
    memset(url + 9, 'p', sizeof url - 10);
    CHECK_OK(spmsg_bind(s, url));
    int length = spmsg_address(s, 1, room, sizeof room);
    CHECK_EQ(length, (int)strlen(room));
    CHECK_AT_LEAST(length, (int)strlen(url) + 6);
    CHECK_STR(strchr(room + 5, '/'), url + 8);
    nn_close(s);
}

int main(void)
{
    test_begin("beyond/addresses", 50);
    RUN(the_version_is_the_headers);
    RUN(port_0_of_tcp_is_a_free_port);
    RUN(port_0_of_ws_is_a_free_port);
    RUN(a_wildcard_is_told_as_a_number);
    RUN(port_0_is_refused_elsewhere);
    RUN(a_name_of_ipc_needs_no_file);
    RUN(a_name_of_ipc_dies_with_its_process);
    RUN(a_file_may_be_called_so);
    RUN(names_of_ipc_have_limits);
    RUN(other_addresses_mean_the_same);
    RUN(an_address_is_told_as_it_was_given);
    RUN(an_address_is_cut_off_at_its_room);
    RUN(endpoints_that_are_not_there_have_no_address);
    RUN(the_longest_address_fits);
    return test_end();
}
