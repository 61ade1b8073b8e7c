/* SPMSG_ACCEPT_UID and SPMSG_ACCEPT_NETWORKS: who may not come is let go before he is greeted. */

#include "beyond.h"

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/raw-stream.h"
#include "support/sockets.h"
#include "support/talk.h"

#include <nanomsg/ipc.h>
#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/ws.h>

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static int accept_uid(int s, int user)
{
    return nn_setsockopt(s, NN_SOL_SOCKET, SPMSG_ACCEPT_UID, &user, sizeof user);
}

static int accept_networks(int s, const char *list)
{
    return nn_setsockopt(s, NN_SOL_SOCKET, SPMSG_ACCEPT_NETWORKS, list, strlen(list));
}

static int watched_pair(void)
{
    int s = open_quick();
    CHECK_OK(spmsg_events(s));
    return s;
}

/* The next event is that somebody was let go. */
static void check_stranger(int s, const char *words)
{
    char text[200];
    struct spmsg_event event = next_event(s);
    CHECK_EQ(event.type, SPMSG_EVENT_REJECTED);
    CHECK_EQ(event.reason, SPMSG_REASON_STRANGER);
    CHECK_EQ(event.error, EACCES);
    CHECK_EQ(event.number, 0);
    spmsg_event_text(&event, text, sizeof text);
    CHECK_STR(text, words);
}

/* Nothing was said to whoever came, and nobody was counted but as a stranger. */
static void check_nobody(int s, int fd, uint64_t strangers)
{
    CHECK_NE(raw_end(fd, PATIENCE_MS), RAW_OPEN);
    CHECK(wait_stat(s, SPMSG_STAT_TURNED_AWAY, strangers, PATIENCE_MS));
    CHECK_EQ(nn_get_statistic(s, NN_STAT_ACCEPTED_CONNECTIONS), 0);
    CHECK_EQ(nn_get_statistic(s, NN_STAT_CURRENT_CONNECTIONS), 0);
    CHECK_EQ(nn_get_statistic(s, NN_STAT_DROPPED_CONNECTIONS), 0);
    CHECK_EQ(nn_get_statistic(s, NN_STAT_BROKEN_CONNECTIONS), 0);
    close(fd);
}

static void other_users_may_not_come(void)
{
    struct url url = unique_url("ipc"), open = unique_url("ipc");
    char words[100];
    int s = watched_pair(), peer = open_quick(), own = (int)getuid();
    CHECK_EQ(get_int(s, NN_SOL_SOCKET, SPMSG_ACCEPT_UID), -1);
    CHECK_EQ(accept_uid(s, own + 1), 0);
    CHECK_OK(nn_bind(s, url.text));
    /* For what is bound from now on. */
    CHECK_EQ(accept_uid(s, own), 0);
    CHECK_OK(nn_bind(s, open.text));
    snprintf(words, sizeof words, "the peer runs as user %d, not %d", own, own + 1);
    for (uint64_t i = 1; i <= 3; i++) {
        check_nobody(s, raw_connect(url.text), i);
        check_stranger(s, words);
    }
    /* A PAIR is free for whoever may come. */
    CHECK_OK(nn_connect(peer, open.text));
    CHECK_TALK(s, peer);
    CHECK_CLOSE(s, peer);
}

/* A user for whom there is no other way in is one of another process. */
static void another_user_may_come_where_it_is_his(void)
{
    struct url url = unique_url("ipc");
    if (getuid() != 0) {
        test_skip("only root can be somebody else");
        return;
    }
    int s = watched_pair(), mode = 0777;
    CHECK_EQ(nn_setsockopt(s, NN_IPC, SPMSG_IPC_MODE, &mode, sizeof mode), 0);
    CHECK_EQ(accept_uid(s, 65534), 0);
    CHECK_OK(nn_bind(s, url.text));
    check_nobody(s, raw_connect(url.text), 1);
    check_stranger(s, "the peer runs as user 0, not 65534");
    char directory[sizeof url.text];
    snprintf(directory, sizeof directory, "%s", url.text + 6);
    *strrchr(directory, '/') = 0;
    CHECK_EQ(chmod(directory, 0711), 0);
    CHECK_EQ(seteuid(65534), 0);
    int fd = raw_connect(url.text);
    char greeting[8];
    CHECK_EQ(raw_recv(fd, greeting, 8, PATIENCE_MS), 8);
    CHECK_EQ(seteuid(0), 0);
    CHECK_MEM(greeting, "\0SP\0\0\x10\0\0", 8);
    CHECK_CLOSE(s);
    close(fd);
}

static void only_listed_networks_may_come(void)
{
    static const char *const schemes[] = {"tcp", "ws"};
    for (size_t i = 0; i < 2; i++) {
        struct url url = unique_url(schemes[i]);
        char here[200];
        int s = watched_pair(), peer = open_quick();
        CHECK_EQ(accept_networks(s, "10.0.0.0/8, 127.0.0.2"), 0);
        CHECK_OK(nn_bind(s, url.text));
        CHECK_EQ(accept_networks(s, ""), 0);
        for (uint64_t j = 1; j <= 3; j++) {
            check_nobody(s, raw_connect(url.text), j);
            check_stranger(
                s, "the peer's address is in none of the networks of SPMSG_ACCEPT_NETWORKS");
        }
        /* The same machine, from another of its addresses. */
        const char *rest = strstr(url.text, "://") + 3;
        snprintf(here, sizeof here, "%s://127.0.0.2;%s", schemes[i], rest);
        CHECK_OK(nn_connect(peer, here));
        CHECK_TALK(s, peer);
        CHECK_EQ(nn_get_statistic(s, SPMSG_STAT_TURNED_AWAY), 3);
        CHECK_CLOSE(s, peer);
    }
}

/* Who is let go comes again and again, and is told nothing; the listener serves the others. */
static void a_dialer_that_is_a_stranger_hinders_nobody(void)
{
    struct url url = unique_url("tcp");
    char here[200];
    int s = watched_pair(), stranger = open_quick(), peer = open_quick();
    CHECK_EQ(accept_networks(s, "127.0.0.2/31"), 0);
    CHECK_OK(nn_bind(s, url.text));
    CHECK_OK(nn_connect(stranger, url.text));
    CHECK(wait_stat_at_least(s, SPMSG_STAT_TURNED_AWAY, 3, PATIENCE_MS));
    CHECK_ERRNO(nn_send(stranger, "x", 1, NN_DONTWAIT), -1, EAGAIN);
    snprintf(here, sizeof here, "tcp://127.0.0.3;%s", url.text + 6);
    CHECK_OK(nn_connect(peer, here));
    CHECK_TALK(s, peer);
    CHECK_EQ(nn_get_statistic(stranger, NN_STAT_CURRENT_CONNECTIONS), 0);
    CHECK_CLOSE(s, peer, stranger);
}

/* What is bound to addresses of IPv6 sees those of IPv4 in other clothes. */
static void an_address_counts_in_either_clothes(void)
{
    static const struct {
        const char *list;
        int is_in;
    } lists[] = {{"127.0.0.0/8", 1}, {"::ffff:127.0.0.0/104", 1}, {"::1", 0}, {"::/0", 0}};
    int probe = socket(AF_INET6, SOCK_STREAM, 0);
    struct sockaddr_in6 loopback = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int has = probe >= 0 && bind(probe, (struct sockaddr *)&loopback, sizeof loopback) == 0;
    if (probe >= 0)
        close(probe);
    if (!has) {
        test_skip("there is no IPv6 here");
        return;
    }
    for (size_t i = 0; i < COUNT_OF(lists); i++) {
        char url[64];
        int s = watched_pair(), peer = open_quick(), off = 0;
        CHECK_EQ(nn_setsockopt(s, NN_SOL_SOCKET, NN_IPV4ONLY, &off, sizeof off), 0);
        CHECK_EQ(accept_networks(s, lists[i].list), 0);
        int endpoint = spmsg_bind(s, "tcp://*:0");
        CHECK_OK(endpoint);
        snprintf(url, sizeof url, "tcp://127.0.0.1:%d", port_of(address_of(s, endpoint)));
        CHECK_OK(nn_connect(peer, url));
        if (lists[i].is_in)
            CHECK_TALK(s, peer);
        else
            check_stranger(
                s, "the peer's address is in none of the networks of SPMSG_ACCEPT_NETWORKS");
        CHECK_CLOSE(s, peer);
    }
}

/* inproc has neither; and what connects is asked by the other side. */
static void nobody_else_is_asked(void)
{
    struct url tcp = unique_url("tcp"), ipc = unique_url("ipc"), in = unique_url("inproc");
    int own = (int)getuid();
    int urls = 3;
    const char *all[] = {tcp.text, ipc.text, in.text};
    for (int i = 0; i < urls; i++) {
        int bound = bound_pair(all[i]), s = open_quick();
        CHECK_EQ(accept_networks(s, "10.0.0.0/8"), 0);
        CHECK_EQ(accept_uid(s, own + 1), 0);
        CHECK_OK(nn_connect(s, all[i]));
        CHECK_TALK(bound, s);
        CHECK_CLOSE(bound, s);
    }
    int a = open_quick(), b = open_quick();
    CHECK_EQ(accept_networks(a, "10.0.0.0/8"), 0);
    CHECK_EQ(accept_uid(a, own + 1), 0);
    CHECK_OK(nn_bind(a, in.text));
    CHECK_OK(nn_connect(b, in.text));
    CHECK_TALK(a, b);
    CHECK_CLOSE(a, b);
}

/* A descriptor that somebody else has opened is bound as well. */
static void what_is_adopted_is_guarded_too(void)
{
    struct url url = unique_url("ipc");
    int fd = raw_listen(url.text), s = watched_pair();
    CHECK_EQ(accept_uid(s, (int)getuid() + 1), 0);
    CHECK_OK(spmsg_listen_fd(s, fd));
    check_nobody(s, raw_connect(url.text), 1);
    CHECK_CLOSE(s);
}

static void lists_that_are_none_are_refused(void)
{
    static const struct {
        const char *list, *words;
    } wrong[] = {
        {"localhost", "network 1 of the list has no numeric address in front"},
        {"::1, ", "network 2 of the list has no numeric address in front"},
        {"127.0.0.1:5555", "network 1 of the list has no numeric address in front"},
        {"::1, 10.0.0.0/33", "network 2 of the list has not the number of its bits behind the /"},
        {"10.0.0.0/", "network 1 of the list has not the number of its bits behind the /"},
        {"::1,::2,10.1.0.0/8", "network 3 of the list has more bits than it says"},
    };
    char text[200], list[5000];
    int s = open_pair();
    CHECK_EQ(accept_networks(s, "127.0.0.0/8, ::1"), 0);
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        CHECK_ERRNO(accept_networks(s, wrong[i].list), -1, EINVAL);
        spmsg_error_text(text, sizeof text);
        CHECK_STR(text, wrong[i].words);
    }
    list[0] = 0;
    for (int i = 0; i < 65; i++)
        strcat(list, i ? ",::1" : "::1");
    CHECK_ERRNO(accept_networks(s, list), -1, EINVAL);
    spmsg_error_text(text, sizeof text);
    CHECK_STR(text, "the list has more than 64 networks");
    memset(list, ' ', sizeof list - 1);
    list[sizeof list - 1] = 0;
    CHECK_ERRNO(accept_networks(s, list), -1, EINVAL);
    CHECK_ERRNO(accept_uid(s, -2), -1, EINVAL);
    CHECK_EQ(get_int(s, NN_SOL_SOCKET, SPMSG_ACCEPT_UID), -1);
    size_t size = sizeof text;
    CHECK_EQ(nn_getsockopt(s, NN_SOL_SOCKET, SPMSG_ACCEPT_NETWORKS, text, &size), 0);
    CHECK_EQ(size, 16);
    CHECK_STR(text, "127.0.0.0/8, ::1");
    CHECK_EQ(nn_setsockopt(s, NN_SOL_SOCKET, SPMSG_ACCEPT_NETWORKS, NULL, 0), 0);
    size = sizeof text;
    CHECK_EQ(nn_getsockopt(s, NN_SOL_SOCKET, SPMSG_ACCEPT_NETWORKS, text, &size), 0);
    CHECK_EQ(size, 0);
    CHECK_CLOSE(s);
}

int main(void)
{
    test_begin("beyond/strangers", 50);
    RUN(other_users_may_not_come);
    RUN(another_user_may_come_where_it_is_his);
    RUN(only_listed_networks_may_come);
    RUN(a_dialer_that_is_a_stranger_hinders_nobody);
    RUN(an_address_counts_in_either_clothes);
    RUN(nobody_else_is_asked);
    RUN(what_is_adopted_is_guarded_too);
    RUN(lists_that_are_none_are_refused);
    return test_end();
}
