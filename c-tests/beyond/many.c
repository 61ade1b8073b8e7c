/* A PAIR that keeps every peer (SPMSG_PAIR_MANY), peers by their numbers, and how one is sent away. */

#include "beyond.h"

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/sockets.h"
#include "support/talk.h"

#include <nanomsg/bus.h>
#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/reqrep.h>

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { CLIENTS = 20 };

static int many_at(const char *url)
{
    int s = nn_socket(AF_SP, NN_PAIR), on = 1;
    REQUIRE(s >= 0);
    CHECK_EQ(nn_setsockopt(s, NN_PAIR, SPMSG_PAIR_MANY, &on, sizeof on), 0);
    CHECK_EQ(get_int(s, NN_PAIR, SPMSG_PAIR_MANY), 1);
    set_int(s, NN_RCVTIMEO, PATIENCE_MS);
    set_int(s, NN_SNDTIMEO, PATIENCE_MS);
    CHECK_OK(nn_bind(s, url));
    return s;
}

/* Receives a text, and says whose it is. 0 when nothing came, or nobody is named. */
static unsigned receive(int s, char text[64])
{
    void *control = NULL;
    struct nn_iovec piece = {text, 63};
    struct nn_msghdr message = {&piece, 1, &control, NN_MSG};
    int size = nn_recvmsg(s, &message, 0);
    text[size < 0 ? 0 : size] = 0;
    if (size < 0)
        return 0;
    unsigned peer = 0;
    int entries = 0;
    struct nn_msghdr view = {NULL, 0, &control, NN_MSG};
    struct nn_cmsghdr *entry = NN_CMSG_FIRSTHDR(&view);
    for (; entry; entry = NN_CMSG_NXTHDR(&view, entry))
        if (entry->cmsg_level == SPMSG_CONTROL && entry->cmsg_type == SPMSG_PEER) {
            memcpy(&peer, NN_CMSG_DATA(entry), sizeof peer);
            entries++;
        }
    nn_freemsg(control);
    CHECK_EQ(entries, 1);
    CHECK(peer != 0);
    return peer;
}

static int send_to(int s, unsigned peer, const char *text, int flags)
{
    char control[NN_CMSG_SPACE(sizeof peer)] = {0};
    struct nn_iovec piece = {(void *)text, strlen(text)};
    struct nn_msghdr message = {&piece, 1, control, sizeof control};
    struct nn_cmsghdr *entry = (struct nn_cmsghdr *)control;
    entry->cmsg_len = NN_CMSG_LEN(sizeof peer);
    entry->cmsg_level = SPMSG_CONTROL;
    entry->cmsg_type = SPMSG_PEER;
    memcpy(NN_CMSG_DATA(entry), &peer, sizeof peer);
    return nn_sendmsg(s, &message, flags);
}

/* What a server with many clients does: everybody gets the answer to what he has asked. */
static void everybody_is_answered(void)
{
    for (size_t i = 0; i < COUNT_OF(BEYOND_SCHEMES); i++) {
        struct url url = unique_url(BEYOND_SCHEMES[i]);
        int server = many_at(url.text), clients[CLIENTS];
        char text[64], answer[80];
        for (int at = 0; at < CLIENTS; at++)
            clients[at] = connected_pair(url.text);
        CHECK_PIPES(server, CLIENTS);
        for (int round = 0; round < 5; round++) {
            for (int at = 0; at < CLIENTS; at++) {
                snprintf(text, sizeof text, "%d in round %d", at, round);
                CHECK_SEND(clients[at], text);
            }
            for (int at = 0; at < CLIENTS; at++) {
                unsigned peer = receive(server, text);
                snprintf(answer, sizeof answer, "re %s", text);
                CHECK_EQ(send_to(server, peer, answer, 0), (int)strlen(answer));
            }
            for (int at = 0; at < CLIENTS; at++) {
                snprintf(text, sizeof text, "re %d in round %d", at, round);
                CHECK_RECV(clients[at], text);
            }
        }
        close_sockets(clients, CLIENTS);
        nn_close(server);
    }
}

/* Every event of a peer has the number that its messages have. */
static void coming_and_going_is_told_with_the_number(void)
{
    for (size_t i = 0; i < COUNT_OF(BEYOND_SCHEMES); i++) {
        struct url url = unique_url(BEYOND_SCHEMES[i]);
        int server = many_at(url.text), clients[3];
        unsigned numbers[3];
        char text[64];
        CHECK_OK(spmsg_events(server));
        for (int at = 0; at < 3; at++) {
            clients[at] = connected_pair(url.text);
            CHECK_SEND(clients[at], "here");
            struct spmsg_event event = next_event(server);
            numbers[at] = receive(server, text);
            CHECK_EQ(event.type, SPMSG_EVENT_CONNECTED);
            CHECK_EQ(event.number, numbers[at]);
        }
        for (int at = 2; at >= 0; at--) {
            nn_close(clients[at]);
            struct spmsg_event event = next_event(server);
            CHECK_EQ(event.type, SPMSG_EVENT_DISCONNECTED);
            CHECK_EQ(event.number, numbers[at]);
        }
        nn_close(server);
    }
}

static void who_is_meant_must_be_clear(void)
{
    for (size_t i = 0; i < COUNT_OF(BEYOND_SCHEMES); i++) {
        struct url url = unique_url(BEYOND_SCHEMES[i]);
        int server = many_at(url.text);
        char text[64];
        CHECK_ERRNO(nn_send(server, "x", 1, NN_DONTWAIT), -1, EAGAIN);
        CHECK_ERRNO(send_to(server, 1, "x", 0), -1, ENOTCONN);
        int one = connected_pair(url.text);
        CHECK_PIPES(server, 1);
        CHECK_SEND(server, "for the only one");
        CHECK_RECV(one, "for the only one");
        int other = connected_pair(url.text);
        CHECK_PIPES(server, 2);
        CHECK_ERRNO(nn_send(server, "x", 1, 0), -1, EINVAL);
        CHECK_ERRNO(send_to(server, 0, "x", 0), -1, ENOTCONN);
        CHECK_ERRNO(send_to(server, 4711, "x", 0), -1, ENOTCONN);

        /* Who has gone can still be heard, not spoken to. */
        CHECK_SEND(other, "farewell");
        nn_close(other);
        CHECK_PIPES(server, 1);
        unsigned gone = receive(server, text);
        CHECK_STR(text, "farewell");
        CHECK_ERRNO(send_to(server, gone, "x", 0), -1, ENOTCONN);
        CHECK_SEND(server, "alone again");
        CHECK_RECV(one, "alone again");
        nn_close(one);
        nn_close(server);
    }
}

/* A client that does not read fills its own buffers, and nobody else's. */
static void who_does_not_read_costs_only_himself(void)
{
    static char big[20000];
    memset(big, 'x', sizeof big - 1);
    for (size_t i = 0; i < COUNT_OF(BEYOND_SCHEMES); i++) {
        struct url url = unique_url(BEYOND_SCHEMES[i]);
        int server = many_at(url.text), deaf = open_pair(), awake = open_pair(), sent = 0;
        char text[64];
        CHECK_OK(nn_connect(deaf, url.text));
        CHECK_SEND(deaf, "deaf");
        unsigned deaf_one = receive(server, text);
        CHECK_STR(text, "deaf");
        CHECK_OK(nn_connect(awake, url.text));
        CHECK_SEND(awake, "awake");
        unsigned awake_one = receive(server, text);
        CHECK_STR(text, "awake");
        while (send_to(server, deaf_one, big, NN_DONTWAIT) > 0)
            REQUIRE(++sent < 10000);
        CHECK_ERRNO(send_to(server, deaf_one, big, NN_DONTWAIT), -1, EAGAIN);
        struct nn_pollfd polled = {server, NN_POLLOUT, 0};
        CHECK_EQ(nn_poll(&polled, 1, 0), 1);
        for (int round = 0; round < 100; round++) {
            CHECK_EQ(send_to(server, awake_one, "still there?", 0), 12);
            CHECK_RECV(awake, "still there?");
            CHECK_SEND(awake, "yes");
            CHECK_EQ(receive(server, text), awake_one);
        }
        /* All that was taken is still his. */
        for (int at = 0; at < sent; at++)
            CHECK_EQ(nn_recv(deaf, big, sizeof big, 0), (int)sizeof big - 1);
        CHECK_EQ(send_to(server, deaf_one, "and?", 0), 4);
        CHECK_RECV(deaf, "and?");
        nn_close(deaf);
        nn_close(awake);
        nn_close(server);
    }
}

struct waiting {
    int s;
    unsigned peer;
};

static void *wait_for_room(void *argument)
{
    struct waiting *waiting = argument;
    static char big[20000];
    memset(big, 'x', sizeof big - 1);
    while (send_to(waiting->s, waiting->peer, big, 0) > 0)
        ;
    return (void *)(intptr_t)errno;
}

/* Whoever waits for a peer that goes is told so. */
static void who_goes_is_not_waited_for(void)
{
    for (size_t i = 0; i < COUNT_OF(BEYOND_SCHEMES); i++) {
        struct url url = unique_url(BEYOND_SCHEMES[i]);
        int server = many_at(url.text), deaf = connected_pair(url.text);
        int other = connected_pair(url.text);
        char text[64];
        CHECK_PIPES(server, 2);
        CHECK_SEND(deaf, "deaf");
        struct waiting waiting = {server, receive(server, text)};
        pthread_t thread;
        void *result = NULL;
        set_int(server, NN_SNDTIMEO, -1);
        REQUIRE(pthread_create(&thread, NULL, wait_for_room, &waiting) == 0);
        /* It has filled what there is once nothing more is counted. */
        uint64_t before = 0, now = nn_get_statistic(server, NN_STAT_MESSAGES_SENT);
        while (now != before || now == 0) {
            before = now;
            nap_ms(50);
            now = nn_get_statistic(server, NN_STAT_MESSAGES_SENT);
        }
        nn_close(deaf);
        REQUIRE(pthread_join(thread, &result) == 0);
        CHECK_EQ((intptr_t)result, ENOTCONN);
        CHECK_SEND(server, "who is left");
        CHECK_RECV(other, "who is left");
        nn_close(other);
        nn_close(server);
    }
}

static void it_is_said_before_the_first_comes(void)
{
    struct url url = unique_url("inproc");
    int one, other, on = 1, off = 0, bad = 2, req = nn_socket(AF_SP, NN_REQ);
    open_pairs(&one, &other, url.text);
    CHECK_EQ(get_int(one, NN_PAIR, SPMSG_PAIR_MANY), 0);
    CHECK_ERRNO(nn_setsockopt(one, NN_PAIR, SPMSG_PAIR_MANY, &on, sizeof on), -1, EFSM);
    CHECK_EQ(nn_setsockopt(one, NN_PAIR, SPMSG_PAIR_MANY, &off, sizeof off), 0);
    CHECK_ERRNO(nn_setsockopt(one, NN_PAIR, SPMSG_PAIR_MANY, &bad, sizeof bad), -1, EINVAL);
    CHECK_ERRNO(nn_setsockopt(one, NN_PAIR, SPMSG_PAIR_MANY, &on, 1), -1, EINVAL);
    CHECK_ERRNO(nn_setsockopt(req, NN_PAIR, SPMSG_PAIR_MANY, &on, sizeof on), -1, ENOPROTOOPT);
    CHECK_TALK(one, other);
    nn_close(one);
    nn_close(other);
    nn_close(req);
}

/* Both ends may keep many, and the one that connects too. */
static void it_is_the_same_at_both_ends(void)
{
    for (size_t i = 0; i < COUNT_OF(BEYOND_SCHEMES); i++) {
        struct url urls[] = {unique_url(BEYOND_SCHEMES[i]), unique_url(BEYOND_SCHEMES[i])};
        struct url other = unique_url("inproc");
        int here = many_at(urls[0].text), there = many_at(urls[1].text);
        int plain = bound_pair(other.text);
        char text[64];
        CHECK_OK(nn_connect(here, urls[1].text));
        CHECK_PIPES(there, 1);
        CHECK_SEND(there, "to who has connected");
        receive(here, text);
        CHECK_STR(text, "to who has connected");
        CHECK_OK(nn_connect(here, other.text));
        CHECK_PIPES(here, 2);
        CHECK_SEND(plain, "plain");
        unsigned peer = receive(here, text);
        CHECK_STR(text, "plain");
        CHECK_EQ(send_to(here, peer, "re plain", 0), 8);
        CHECK_RECV(plain, "re plain");
        CHECK_AGAIN(there);
        nn_close(plain);
        nn_close(here);
        nn_close(there);
    }
}

/* Every type tells the numbers, and whoever is sent away comes again as another. */
static void one_peer_is_sent_away(void)
{
    for (size_t i = 0; i < COUNT_OF(BEYOND_SCHEMES); i++) {
        struct url url = unique_url(BEYOND_SCHEMES[i]);
        int here = open_socket(AF_SP, NN_BUS), peers[2];
        char text[64], name[2] = {0};
        unsigned numbers[2];
        struct spmsg_event event;
        set_int(here, SPMSG_PEER_INFO, 1);
        CHECK_AT_LEAST(spmsg_events(here), 0);
        CHECK_OK(nn_bind(here, url.text));
        for (int at = 0; at < 2; at++) {
            peers[at] = open_socket(AF_SP, NN_BUS);
            CHECK_OK(nn_connect(peers[at], url.text));
            CHECK_PIPES(here, at + 1);
            CHECK_PIPES(peers[at], 1);
            name[0] = 'a' + at;
            CHECK_SEND(peers[at], name);
            numbers[at] = receive(here, text);
            CHECK_STR(text, name);
            CHECK_EQ(spmsg_next_event(here, &event), 0);
            CHECK_EQ(event.type, SPMSG_EVENT_CONNECTED);
            CHECK_EQ(event.number, numbers[at]);
        }
        CHECK(numbers[0] != numbers[1]);
        CHECK_ERRNO(spmsg_disconnect(here, 0), -1, ENOTCONN);
        CHECK_ERRNO(spmsg_disconnect(-1, numbers[0]), -1, EBADF);

        /* What was sent to it before arrives. */
        CHECK_SEND(here, "to all");
        CHECK_EQ(spmsg_disconnect(here, numbers[0]), 0);
        CHECK_EQ(spmsg_next_event(here, &event), 0);
        CHECK_EQ(event.type, SPMSG_EVENT_DISCONNECTED);
        CHECK_EQ(event.number, numbers[0]);
        CHECK_ERRNO(spmsg_disconnect(here, numbers[0]), -1, ENOTCONN);
        CHECK_RECV(peers[0], "to all");
        CHECK_RECV(peers[1], "to all");
        CHECK_SEND(peers[1], "still here");
        CHECK_EQ(receive(here, text), numbers[1]);

        /* Nothing can be lost any more once it is a peer again. */
        CHECK(wait_stat_at_least(here, NN_STAT_ACCEPTED_CONNECTIONS, 3, PATIENCE_MS)
              || strcmp(BEYOND_SCHEMES[i], "inproc") == 0);
        CHECK_PIPES(here, 2);
        CHECK_PIPES(peers[0], 1);
        CHECK_SEND(peers[0], "again");
        unsigned again = receive(here, text);
        CHECK_STR(text, "again");
        CHECK(again != numbers[0] && again != numbers[1]);
        close_sockets(peers, 2);
        nn_close(here);
    }
}

int main(void)
{
    test_begin("beyond/many", 100);
    RUN(everybody_is_answered);
    RUN(coming_and_going_is_told_with_the_number);
    RUN(who_is_meant_must_be_clear);
    RUN(who_does_not_read_costs_only_himself);
    RUN(who_goes_is_not_waited_for);
    RUN(it_is_said_before_the_first_comes);
    RUN(it_is_the_same_at_both_ends);
    RUN(one_peer_is_sent_away);
    return test_end();
}
