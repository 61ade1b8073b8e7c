/* Scopes of IPv6 addresses, and files of ipc whose process has gone elsewhere. */

#include "beyond.h"

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/ports.h"
#include "support/sockets.h"
#include "support/talk.h"

#include <nanomsg/nn.h>

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const NETS[] = {"tcp", "ws"};

/* An address with the name, and one with the number, of its interface: one that needs that if this
 * machine has one, else that of the loopback interface. False without IPv6. */
static int find_scope(char by_name[80], char by_number[80])
{
    struct ifaddrs *all = NULL;
    int found = 0;
    if (getifaddrs(&all) != 0)
        return 0;
    for (struct ifaddrs *entry = all; entry && found < 2; entry = entry->ifa_next) {
        struct sockaddr_in6 *six = (struct sockaddr_in6 *)entry->ifa_addr;
        char text[INET6_ADDRSTRLEN];
        if (!six || six->sin6_family != AF_INET6)
            continue;
        int is_local = IN6_IS_ADDR_LINKLOCAL(&six->sin6_addr);
        if (!is_local && !IN6_IS_ADDR_LOOPBACK(&six->sin6_addr))
            continue;
        inet_ntop(AF_INET6, &six->sin6_addr, text, sizeof text);
        snprintf(by_name, 80, "[%s%%%s]", text, entry->ifa_name);
        snprintf(by_number, 80, "[%s%%%u]", text, if_nametoindex(entry->ifa_name));
        found = 1 + is_local;
    }
    freeifaddrs(all);
    return found;
}

static int open_six(void)
{
    int s = open_quick();
    set_int(s, NN_IPV4ONLY, 0);
    return s;
}

/* To bind, to connect, and as the place to connect from. */
static void an_address_may_say_its_interface(void)
{
    char by_name[80], by_number[80], text[200];
    if (!find_scope(by_name, by_number)) {
        test_skip("there is no IPv6 here");
        return;
    }
    for (int i = 0; i < 8; i++) {
        const char *scheme = NETS[i % 2], *there = i & 2 ? by_name : by_number;
        int port = free_port(), s = open_six(), peer = open_six();
        snprintf(text, sizeof text, "%s://%s:%d", scheme, by_name, port);
        int id = nn_bind(s, text);
        CHECK_OK(id);
        snprintf(text, sizeof text, "%s://%s:%d", scheme, by_number, port);
        CHECK_STR(address_of(s, id), strstr(by_name, "[::1") ? address_of(s, id) : text);
        if (i & 4)
            snprintf(text, sizeof text, "%s://%s;%s:%d", scheme, by_name, there, port);
        else
            snprintf(text, sizeof text, "%s://%s:%d", scheme, there, port);
        CHECK_OK(nn_connect(peer, text));
        CHECK_TALK(s, peer);
        CHECK_CLOSE(peer, s);
    }
}

static void an_interface_that_is_not_there_is_no_device(void)
{
    static const char *const WRONG[] = {
        "[fe80::1%nosuch0]:5555", "[fe80::1%]:5555", "[fe80::1%0]:5555", "fe80::1%nosuch0:5555",
        "[fe80::1%nosuch0];[::1]:5555",
    };
    int s = open_six(), four = open_pair();
    for (size_t i = 0; i < COUNT_OF(WRONG); i++)
        for (int net = 0; net < 2; net++) {
            char text[80];
            snprintf(text, sizeof text, "%s://%s", NETS[net], WRONG[i]);
            CHECK_ERRNO(nn_connect(s, text), -1, ENODEV);
            if (!strchr(text, ';'))
                CHECK_ERRNO(nn_bind(s, text), -1, ENODEV);
        }
    /* Without IPv6 they are no addresses at all. */
    CHECK_ERRNO(nn_bind(four, "tcp://[::1%lo]:5555"), -1, ENODEV);
    CHECK_ERRNO(nn_connect(four, "tcp://[::1%lo]:5555"), -1, EINVAL);
    CHECK_CLOSE(s, four);
}

/* Also when the process is in another directory by then, where there may be a file of that name. */
static void a_relative_file_goes_with_its_endpoint(void)
{
    char before[512], here[600], there[620];
    struct url url = unique_url("ipc");
    const char *name = strrchr(url.text, '/') + 1;
    char relative[NN_SOCKADDR_MAX];
    REQUIRE(getcwd(before, sizeof before) != NULL);
    snprintf(here, sizeof here, "%.*s", (int)(name - 1 - (url.text + 6)), url.text + 6);
    snprintf(there, sizeof there, "%s/elsewhere", here);
    snprintf(relative, sizeof relative, "ipc://%s", name);
    CHECK_EQ(mkdir(there, 0700), 0);
    for (int way = 0; way < 2; way++) {
        int s = open_pair(), other = open_pair();
        CHECK_EQ(chdir(here), 0);
        int id = nn_bind(s, relative);
        CHECK_OK(id);
        CHECK_EQ(chdir(there), 0);
        CHECK_OK(nn_bind(other, relative));
        if (way == 0)
            CHECK_EQ(nn_shutdown(s, id), 0);
        CHECK_CLOSE(s);
        CHECK_ERRNO(access(url.text + 6, F_OK), -1, ENOENT);
        CHECK_EQ(access(name, F_OK), 0);
        CHECK_CLOSE(other);
        CHECK_ERRNO(access(name, F_OK), -1, ENOENT);
    }
    CHECK_EQ(chdir(before), 0);
    CHECK_EQ(rmdir(there), 0);
}

int main(void)
{
    test_begin("beyond/names", 50);
    RUN(an_address_may_say_its_interface);
    RUN(an_interface_that_is_not_there_is_no_device);
    RUN(a_relative_file_goes_with_its_endpoint);
    return test_end();
}
