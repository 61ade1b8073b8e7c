/* Names of hosts, with a resolver of our own in the place of the C library's: what it is asked, by
 * how many at a time, and what becomes of its answers. */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/resources.h"
#include "support/sockets.h"
#include "support/talk.h"
#include "support/trial.h"

#include <nanomsg/nn.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/tcp.h>

#include <arpa/inet.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the resolver ---- */

enum { ANSWERS_MAX = 4 };

static struct {
    const char *answers[ANSWERS_MAX]; /* for every name, those of the family asked for */
    int is_silent;                    /* who asks waits */
    int calls;
    int family; /* of the last call */
    int type;
} names;

/* An entry with its address behind it, in one piece as those of the C library are. */
static struct addrinfo *new_entry(const char *text)
{
    struct sockaddr_in6 *six;
    struct addrinfo *entry = calloc(1, sizeof *entry + sizeof *six);
    struct sockaddr_in *four = (struct sockaddr_in *)(entry + 1);
    six = (struct sockaddr_in6 *)(entry + 1);
    entry->ai_addr = (struct sockaddr *)(entry + 1);
    entry->ai_socktype = SOCK_STREAM;
    if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
        entry->ai_family = four->sin_family = AF_INET;
        entry->ai_addrlen = sizeof *four;
    } else {
        REQUIRE(inet_pton(AF_INET6, text, &six->sin6_addr) == 1);
        entry->ai_family = six->sin6_family = AF_INET6;
        entry->ai_addrlen = sizeof *six;
    }
    return entry;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **result)
{
    struct addrinfo **end = result;
    int family = hints ? hints->ai_family : AF_UNSPEC;
    (void)node, (void)service;
    *result = NULL;
    __atomic_store_n(&names.family, family, __ATOMIC_SEQ_CST);
    __atomic_store_n(&names.type, hints ? hints->ai_socktype : 0, __ATOMIC_SEQ_CST);
    __atomic_add_fetch(&names.calls, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&names.is_silent, __ATOMIC_SEQ_CST))
        nap_ms(1);
    for (int i = 0; i < ANSWERS_MAX && names.answers[i]; i++) {
        struct addrinfo *entry = new_entry(names.answers[i]);
        if (family != AF_UNSPEC && entry->ai_family != family) {
            free(entry);
            continue;
        }
        *end = entry;
        end = &entry->ai_next;
    }
    return *result ? 0 : EAI_NONAME;
}

static int calls(void)
{
    return __atomic_load_n(&names.calls, __ATOMIC_SEQ_CST);
}

/* From now on every name has these addresses. */
static void answer(const char *first, const char *second, const char *third)
{
    const char *answers[ANSWERS_MAX] = {first, second, third, NULL};
    memcpy(names.answers, answers, sizeof answers);
    __atomic_store_n(&names.calls, 0, __ATOMIC_SEQ_CST);
}

static void be_silent(int is_silent)
{
    __atomic_store_n(&names.is_silent, is_silent, __ATOMIC_SEQ_CST);
}

static struct url named(const struct url *bound, const char *host)
{
    struct url url;
    snprintf(url.text, sizeof url.text, "tcp://%s%s", host, strrchr(bound->text, ':'));
    return url;
}

/* ---- what is asked ---- */

/* The other kind of question may be one that a name server never answers. */
static void only_the_wanted_family_is_asked_for(void)
{
    for (int only = 0; only < 2; only++) {
        struct url url = unique_url("tcp"), name = named(&url, "host.test");
        int s = bound_pair(url.text), peer = open_quick();
        answer("127.0.0.1", NULL, NULL);
        set_int(peer, NN_IPV4ONLY, only);
        CHECK_OK(nn_connect(peer, name.text));
        CHECK_TALK(s, peer);
        CHECK_EQ(names.family, only ? AF_INET : AF_UNSPEC);
        CHECK_EQ(names.type, SOCK_STREAM);
        CHECK_CLOSE(peer, s);
    }
}

/* ---- by how many ---- */

/* The thread of the background, and those that ask. */
enum { PENDING = 200, THREADS_MAX = 1 + 8, CLOSE_MS_MAX = 1000 };

static void connect_names(int s, const struct url *bound, int count)
{
    for (int i = 0; i < count; i++) {
        char host[32];
        snprintf(host, sizeof host, "host%d.test", i);
        CHECK_OK(nn_connect(s, named(bound, host).text));
    }
}

static void a_few_threads_ask_for_all_names(void)
{
    struct url url = unique_url("tcp");
    struct threads threads = threads_now();
    int s = open_bound(AF_SP, NN_PULL, url.text), peer = open_socket(AF_SP, NN_PUSH);
    answer("127.0.0.1", NULL, NULL);
    be_silent(1);
    connect_names(peer, &url, PENDING);
    CHECK(wait_until(calls() >= THREADS_MAX - 1, PATIENCE_MS));
    nap_ms(20);
    CHECK_AT_MOST(count_more_threads(&threads), THREADS_MAX);
    be_silent(0);
    CHECK(wait_stat(peer, NN_STAT_CURRENT_CONNECTIONS, PENDING, PATIENCE_MS));
    CHECK_EQ(calls(), PENDING);
    CHECK(wait_until(count_more_threads(&threads) == 1, PATIENCE_MS));
    CHECK_CLOSE(peer, s);
}

/* Those that are being asked for end by themselves; for the others nobody asks any more. */
static void closing_waits_for_no_name(void)
{
    struct url url = unique_url("tcp");
    struct threads threads = threads_now();
    int s = open_socket(AF_SP, NN_PUSH), other;
    answer("127.0.0.1", NULL, NULL);
    be_silent(1);
    connect_names(s, &url, PENDING);
    CHECK(wait_until(calls() >= 1, PATIENCE_MS));
    nap_ms(20);
    int64_t start = now_ms();
    CHECK_CLOSE(s);
    CHECK_AT_MOST(now_ms() - start, CLOSE_MS_MAX);
    other = open_bound(AF_SP, NN_PULL, url.text);
    s = open_connected(AF_SP, NN_PUSH, named(&url, "last.test").text);
    be_silent(0);
    CHECK(wait_stat(s, NN_STAT_CURRENT_CONNECTIONS, 1, PATIENCE_MS));
    CHECK_AT_MOST(calls(), THREADS_MAX);
    CHECK_CLOSE(s, other);
    CHECK(wait_until(count_more_threads(&threads) == 0, PATIENCE_MS));
}

/* ---- what becomes of the answers ---- */

/* Nobody is at the first ones. A second attempt would come too late. */
static void check_reaches(const struct url *name, int s, int ipv4_only)
{
    int peer = open_pair();
    set_int(peer, NN_IPV4ONLY, ipv4_only);
    set_int(peer, NN_RECONNECT_IVL, 100 * PATIENCE_MS);
    CHECK_OK(nn_connect(peer, name->text));
    CHECK_TALK(s, peer);
    CHECK_EQ(calls(), 1);
    CHECK_EQ(nn_get_statistic(peer, NN_STAT_ESTABLISHED_CONNECTIONS), 1);
    CHECK_EQ(nn_get_statistic(peer, NN_STAT_CONNECT_ERRORS), 0);
    CHECK_EQ(nn_get_statistic(peer, NN_STAT_INPROGRESS_CONNECTIONS), 0);
    CHECK_CLOSE(peer);
    CHECK_PIPES(s, 0);
}

static void every_address_is_tried_before_the_next_attempt(void)
{
    struct url url = unique_url("tcp"), name = named(&url, "host.test");
    int s = bound_pair(url.text);
    answer("127.0.0.3", "127.0.0.2", "127.0.0.1");
    check_reaches(&name, s, 1);
    answer("::1", "127.0.0.1", NULL);
    check_reaches(&name, s, 1);
    answer("::1", "127.0.0.2", "127.0.0.1");
    check_reaches(&name, s, 0);
    CHECK_CLOSE(s);
}

/* A listener that has no place for another connection leaves it without an answer. Returns how many
 * descriptors that took. */
static int crowd(const char *host, int port, int fds[], int room)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    int count = 0, yes = 1;
    address.sin_port = htons((uint16_t)port);
    CHECK_EQ(inet_pton(AF_INET, host, &address.sin_addr), 1);
    fds[count] = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_EQ(setsockopt(fds[count], SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes), 0);
    CHECK_EQ(bind(fds[count], (struct sockaddr *)&address, size), 0);
    CHECK_EQ(listen(fds[count++], 0), 0);
    for (int silent = 0; !silent && count < room; count++) {
        fds[count] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        struct pollfd there = {fds[count], POLLOUT, 0};
        silent = connect(fds[count], (struct sockaddr *)&address, size) < 0
                 && poll(&there, 1, 100) == 0;
    }
    return count;
}

/* The kernel would wait for it for two minutes, which is longer than this program may take. */
static void a_silent_address_costs_little(void)
{
    enum { ROOM = 32 };
    int fds[ROOM], count;
    struct url url = unique_url("tcp"), name = named(&url, "host.test");
    int s = bound_pair(url.text);
    count = crowd("127.0.0.2", atoi(strrchr(url.text, ':') + 1), fds, ROOM);
    answer("127.0.0.2", "127.0.0.1", NULL);
    check_reaches(&name, s, 1);
    while (count > 0)
        close(fds[--count]);
    CHECK_CLOSE(s);
}

/* transports 6.3: whatever a file of hosts says, which mostly knows one of them. */
static void this_machine_has_both_addresses(void)
{
    for (int only = 0; only < 2; only++) {
        struct url url = unique_url("tcp"), six = named(&url, "[::1]");
        struct url name = named(&url, "localhost");
        int s = open_pair();
        set_int(s, NN_IPV4ONLY, 0);
        if (nn_bind(s, six.text) < 0) {
            CHECK_CLOSE(s);
            test_skip("there is no IPv6 here");
            return;
        }
        answer("127.0.0.1", only ? "::1" : NULL, NULL);
        check_reaches(&name, s, 0);
        CHECK_CLOSE(s);
    }
}

/* The host may have moved meanwhile. */
static void each_attempt_asks_again(void)
{
    struct url url = unique_url("tcp"), name = named(&url, "host.test");
    int s = bound_pair(url.text), peer = open_quick();
    answer("127.0.0.2", "127.0.0.3", NULL);
    CHECK_OK(nn_connect(peer, name.text));
    CHECK(wait_until(calls() >= 3, PATIENCE_MS));
    CHECK(nn_get_statistic(peer, NN_STAT_CONNECT_ERRORS) <= (uint64_t)calls());
    be_silent(1);
    int now = calls();
    CHECK(wait_until(calls() > now, PATIENCE_MS));
    answer("127.0.0.3", "127.0.0.1", NULL);
    be_silent(0);
    CHECK_TALK(s, peer);
    CHECK_CLOSE(peer, s);
}

int main(int count, char **words)
{
    trial_begin("robustness/names", NULL, 60, count, words);
    RUN(only_the_wanted_family_is_asked_for);
    RUN(a_few_threads_ask_for_all_names);
    RUN(closing_waits_for_no_name);
    RUN(every_address_is_tried_before_the_next_attempt);
    RUN(a_silent_address_costs_little);
    RUN(this_machine_has_both_addresses);
    RUN(each_attempt_asks_again);
    RUN(nothing_is_left);
    return test_end();
}
