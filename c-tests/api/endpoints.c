/* nn_bind, nn_connect and nn_shutdown: the ids of endpoints, when an address is free again, and who
 * gets it. */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/directory.h"
#include "support/ports.h"
#include "support/process.h"
#include "support/raw-stream.h"
#include "support/sockets.h"
#include "support/talk.h"

#include <nanomsg/nn.h>

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

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

/* ---- two processes that bind at the same moment ---- */

enum { RACES = 200 };

struct race {
    const char *scheme;
    int is_stale; /* a file is left over from somebody who died */
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
            if (race->is_stale)
                close(raw_listen(race->url.text));
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

static void check_races(const char *scheme, int is_stale)
{
    struct child other;
    struct race *race = mmap(NULL, sizeof *race, PROT_READ | PROT_WRITE,
                             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(race != MAP_FAILED);
    race->scheme = scheme;
    race->is_stale = is_stale;
    child_start(&other, run_races, race);
    run_races(race);
    CHECK_EQ(child_wait(&other, PATIENCE_MS), 0);
    munmap(race, sizeof *race);
}

/* The examples rely on it: whoever finds the address taken dials it, so that one of two programs
 * that start together must have it, and not both. */
static void one_of_two_processes_gets_a_tcp_port(void)
{
    check_races("tcp", 0);
}

static void one_of_two_processes_gets_an_ipc_path(void)
{
    check_races("ipc", 0);
}

static void one_of_two_processes_replaces_a_stale_file(void)
{
    check_races("ipc", 1);
}

int main(void)
{
    test_begin("api/endpoints", 28);
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
    RUN(one_of_two_processes_gets_a_tcp_port);
    RUN(one_of_two_processes_gets_an_ipc_path);
    RUN(one_of_two_processes_replaces_a_stale_file);
    return test_end();
}
