/* Priorities: a better peer first as long as it is ready, turns among equals, frozen when the
 * endpoint is made (protocols 2.4, core 7). */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/sockets.h"
#include "support/talk.h"

#include <nanomsg/bus.h>
#include <nanomsg/nn.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/pubsub.h>

#include <errno.h>
#include <stdint.h>
#include <stdio.h>

/* An endpoint of `s`, bound or connected, that has the priority; the peer has the other end. */
static void link_to(int s, int peer, int option, int priority, int binds)
{
    struct url url = unique_url("inproc");
    set_int(s, option, priority);
    CHECK_OK(nn_bind(binds ? s : peer, url.text));
    CHECK_OK(nn_connect(binds ? peer : s, url.text));
}

/* A PUSH with a PULL for each priority, which are made so that each accepts five messages of ten
 * bytes (protocols 2.8: 50 / 10). */
static int open_push(int domain, const int *priorities, int *pulls, int count)
{
    int push = open_socket(domain, NN_PUSH);
    for (int i = 0; i < count; i++) {
        pulls[i] = open_socket(domain, NN_PULL);
        set_int(pulls[i], NN_RCVBUF, 50);
        link_to(push, pulls[i], NN_SNDPRIO, priorities[i], i % 2);
    }
    return push;
}

static int send_ten(int push, int number)
{
    char body[11];
    snprintf(body, sizeof body, "message %02d", number);
    return nn_send(push, body, 10, NN_DONTWAIT);
}

static void check_ten(int pull, int number)
{
    char body[11];
    snprintf(body, sizeof body, "message %02d", number);
    CHECK_STR(recv_now(pull), body);
}

/* ---- sending ---- */

/* protocols 2.4, the second sample */
static void worse_peers_are_used_when_the_better_are_full(void)
{
    static const int priorities[] = {5, 5, 9};
    for (int d = 0; d < 2; d++) {
        int pulls[3], push = open_push(DOMAINS[d], priorities, pulls, 3);
        for (int i = 0; i < 15; i++)
            CHECK_EQ(send_ten(push, i), 10);
        CHECK_ERRNO(send_ten(push, 15), -1, EAGAIN);
        for (int i = 0; i < 10; i++)
            check_ten(pulls[i % 2], i);
        for (int i = 10; i < 15; i++)
            check_ten(pulls[2], i);
        for (int i = 0; i < 3; i++)
            CHECK_STR(recv_now(pulls[i]), "EAGAIN");
        close_sockets(pulls, 3);
        CHECK_CLOSE(push);
    }
}

/* protocols 2.4: a better one takes over at once, when it comes and when it can take more. */
static void a_better_peer_takes_over_at_once(void)
{
    static const int priorities[] = {9, 5};
    int pulls[3], push = open_push(AF_SP, priorities, pulls, 2);
    for (int i = 0; i < 5; i++)
        CHECK_EQ(send_ten(push, i), 10);
    CHECK_EQ(send_ten(push, 5), 10);
    check_ten(pulls[0], 5);
    for (int i = 0; i < 5; i++)
        check_ten(pulls[1], i);
    CHECK_EQ(send_ten(push, 6), 10);
    check_ten(pulls[1], 6);
    pulls[2] = open_socket(AF_SP, NN_PULL);
    link_to(push, pulls[2], NN_SNDPRIO, 1, 1);
    CHECK_EQ(send_ten(push, 7), 10);
    CHECK_EQ(send_ten(push, 8), 10);
    check_ten(pulls[2], 7);
    check_ten(pulls[2], 8);
    /* And when it leaves, the next best. */
    CHECK_CLOSE(pulls[2]);
    CHECK_EQ(send_ten(push, 9), 10);
    check_ten(pulls[1], 9);
    CHECK_CLOSE(pulls[1]);
    CHECK_EQ(send_ten(push, 10), 10);
    check_ten(pulls[0], 10);
    CHECK_CLOSE(pulls[0]);
    CHECK_ERRNO(send_ten(push, 11), -1, EAGAIN);
    CHECK_CLOSE(push);
}

/* protocols 2.4: all sixteen, made in a mixed order. */
static void all_sixteen_priorities_count(void)
{
    int pulls[17], priorities[16];
    for (int i = 0; i < 16; i++)
        priorities[i] = i * 5 % 16 + 1;
    int push = open_push(AF_SP, priorities, pulls, 16);
    for (int i = 0; i < 16 * 5; i++)
        CHECK_EQ(send_ten(push, i), 10);
    CHECK_ERRNO(send_ten(push, 80), -1, EAGAIN);
    for (int i = 0; i < 16; i++)
        for (int k = 0; k < 5; k++)
            check_ten(pulls[i], (priorities[i] - 1) * 5 + k);
    close_sockets(pulls, 16);
    CHECK_CLOSE(push);
}

/* core-quirks A-46: the second of two finds the better peer ready again. */
static void two_in_a_row_go_to_the_better_peer(void)
{
    static const int priorities[] = {2, 1};
    for (int round = 0; round < 100; round++) {
        int pulls[2], push = open_push(AF_SP, priorities, pulls, 2);
        CHECK_EQ(send_ten(push, 1), 10);
        CHECK_EQ(send_ten(push, 2), 10);
        check_ten(pulls[1], 1);
        check_ten(pulls[1], 2);
        CHECK_STR(recv_now(pulls[0]), "EAGAIN");
        close_sockets(pulls, 2);
        CHECK_ERRNO(send_ten(push, 3), -1, EAGAIN);
        CHECK_CLOSE(push);
    }
}

/* protocols 2.4 over streams: what the kernel takes at once leaves the better peer ready (2.1). */
static void the_better_peer_is_used_over_streams(void)
{
    for (size_t scheme = 1; scheme < COUNT_OF(SCHEMES); scheme++) {
        static const int priorities[] = {3, 1, 2};
        int push = open_socket(AF_SP, NN_PUSH), pulls[3];
        for (int i = 0; i < 3; i++) {
            struct url url = unique_url(SCHEMES[scheme]);
            pulls[i] = open_bound(AF_SP, NN_PULL, url.text);
            set_int(push, NN_SNDPRIO, priorities[i]);
            join(push, (uint64_t)i, pulls[i], 0, url.text);
        }
        static const int order[] = {1, 2, 0};
        for (int turn = 0; turn < 3; turn++) {
            int best = pulls[order[turn]];
            for (int i = 0; i < 10; i++) {
                CHECK_SEND(push, "to the best");
                CHECK_RECV(best, "to the best");
            }
            for (int i = turn + 1; i < 3; i++)
                CHECK_STR(recv_now(pulls[order[i]]), "EAGAIN");
            CHECK_CLOSE(best);
            CHECK_PIPES(push, (uint64_t)(2 - turn));
        }
        CHECK_CLOSE(push);
    }
}

/* protocols 2.4, core 6.4, core-quirks A-59: the endpoint keeps what it was made with. */
static void a_priority_is_frozen_when_the_endpoint_is_made(void)
{
    for (int binds = 0; binds < 2; binds++) {
        struct url urls[2];
        int push = open_socket(AF_SP, NN_PUSH), pulls[2];
        CHECK_EQ(get_int(push, NN_SOL_SOCKET, NN_SNDPRIO), 8);
        for (int i = 0; i < 2; i++) {
            urls[i] = unique_url("inproc");
            set_int(push, NN_SNDPRIO, i ? 4 : 6);
            CHECK_OK(binds ? nn_bind(push, urls[i].text) : nn_connect(push, urls[i].text));
            CHECK_EQ(get_int(push, NN_SOL_SOCKET, NN_SNDPRIO), i ? 4 : 6);
        }
        /* Neither a change afterwards nor the order in which the peers come counts. */
        set_int(push, NN_SNDPRIO, 1);
        for (int i = 0; i < 2; i++) {
            pulls[i] = open_socket(AF_SP, NN_PULL);
            CHECK_OK(binds ? nn_connect(pulls[i], urls[i].text) : nn_bind(pulls[i], urls[i].text));
        }
        CHECK_EQ(get_int(push, NN_SOL_SOCKET, NN_SNDPRIO), 1);
        for (int i = 0; i < 5; i++)
            CHECK_EQ(send_ten(push, i), 10);
        for (int i = 0; i < 5; i++)
            check_ten(pulls[1], i);
        CHECK_STR(recv_now(pulls[0]), "EAGAIN");
        /* A peer that comes back to the endpoint has the endpoint's priority again. */
        CHECK_CLOSE(pulls[1]);
        CHECK_EQ(send_ten(push, 5), 10);
        check_ten(pulls[0], 5);
        pulls[1] = open_socket(AF_SP, NN_PULL);
        CHECK_OK(binds ? nn_connect(pulls[1], urls[1].text) : nn_bind(pulls[1], urls[1].text));
        CHECK_EQ(send_ten(push, 6), 10);
        check_ten(pulls[1], 6);
        close_sockets(pulls, 2);
        CHECK_CLOSE(push);
    }
}

/* ---- receiving ---- */

static const int RECEIVERS[3][2] = {{NN_PUSH, NN_PULL}, {NN_PUB, NN_SUB}, {NN_BUS, NN_BUS}};

/* Three senders that queue four messages each, A0..A3, B0..B3, C0..C3, and the expected order. */
static void check_order(unsigned way, const int priorities[3], const char *const order[12])
{
    int to = open_socket(DOMAINS[way % 2], RECEIVERS[way / 2][1]), from[3];
    if (RECEIVERS[way / 2][1] == NN_SUB)
        subscribe(to, "");
    for (int i = 0; i < 3; i++) {
        from[i] = open_socket(AF_SP, RECEIVERS[way / 2][0]);
        link_to(to, from[i], NN_RCVPRIO, priorities[i], i % 2);
    }
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 4; k++) {
            char text[3] = {(char)('A' + i), (char)('0' + k), 0};
            CHECK_EQ(send_now(from[i], text), 2);
        }
    for (int i = 0; i < 12; i++)
        CHECK_STR(recv_now(to), order[i]);
    CHECK_STR(recv_now(to), "EAGAIN");
    close_sockets(from, 3);
    CHECK_CLOSE(to);
}

/* core 7.2 and protocols 2.4, the third sample */
static void the_better_sender_is_heard_first(void)
{
    static const int eight_eight_three[] = {8, 8, 3}, eight_three_eight[] = {8, 3, 8};
    static const int equal[] = {8, 8, 8}, rising[] = {1, 2, 16};
    for (unsigned way = 0; way < 6; way++) {
        check_order(way, eight_eight_three, (const char *const[]){
            "C0", "C1", "C2", "C3", "A0", "B0", "A1", "B1", "A2", "B2", "A3", "B3"});
        check_order(way, eight_three_eight, (const char *const[]){
            "B0", "B1", "B2", "B3", "A0", "C0", "A1", "C1", "A2", "C2", "A3", "C3"});
        check_order(way, equal, (const char *const[]){
            "A0", "B0", "C0", "A1", "B1", "C1", "A2", "B2", "C2", "A3", "B3", "C3"});
        check_order(way, rising, (const char *const[]){
            "A0", "A1", "A2", "A3", "B0", "B1", "B2", "B3", "C0", "C1", "C2", "C3"});
    }
}

/* protocols 2.4: also one that comes while worse ones wait. */
static void a_better_sender_is_heard_at_once(void)
{
    int pull = open_socket(AF_SP, NN_PULL);
    int worse = open_socket(AF_SP, NN_PUSH), better = open_socket(AF_SP, NN_PUSH);
    link_to(pull, worse, NN_RCVPRIO, 8, 0);
    link_to(pull, better, NN_RCVPRIO, 2, 0);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(send_now(worse, "worse"), 5);
    CHECK_STR(recv_now(pull), "worse");
    CHECK_EQ(send_now(better, "better"), 6);
    CHECK_EQ(send_now(better, "better"), 6);
    CHECK_STR(recv_now(pull), "better");
    CHECK_STR(recv_now(pull), "better");
    CHECK_STR(recv_now(pull), "worse");
    CHECK_EQ(send_now(better, "better"), 6);
    CHECK_STR(recv_now(pull), "better");
    CHECK_STR(recv_now(pull), "worse");
    CHECK_STR(recv_now(pull), "worse");
    CHECK_STR(recv_now(pull), "EAGAIN");
    CHECK_CLOSE(pull, worse, better);
}

/* core 6.4, core-quirks A-59, as for sending. */
static void a_receive_priority_is_frozen_too(void)
{
    struct url urls[2];
    int pull = open_socket(AF_SP, NN_PULL), pushes[2];
    CHECK_EQ(get_int(pull, NN_SOL_SOCKET, NN_RCVPRIO), 8);
    for (int i = 0; i < 2; i++) {
        urls[i] = unique_url("inproc");
        set_int(pull, NN_RCVPRIO, i ? 4 : 6);
        CHECK_OK(nn_bind(pull, urls[i].text));
    }
    set_int(pull, NN_RCVPRIO, 1);
    for (int i = 0; i < 2; i++)
        pushes[i] = open_connected(AF_SP, NN_PUSH, urls[i].text);
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < 2; i++)
            CHECK_EQ(send_now(pushes[i], i ? "better" : "worse"), i ? 6 : 5);
    CHECK_STR(recv_now(pull), "better");
    CHECK_STR(recv_now(pull), "better");
    CHECK_STR(recv_now(pull), "worse");
    CHECK_STR(recv_now(pull), "worse");
    close_sockets(pushes, 2);
    CHECK_CLOSE(pull);
}

/* protocols 2.4: accepted and without effect where nothing is chosen by it. */
static void broadcasts_go_to_all_whatever_the_priority(void)
{
    static const int types[2][2] = {{NN_PUB, NN_SUB}, {NN_BUS, NN_BUS}};
    for (int way = 0; way < 2; way++) {
        int from = open_socket(AF_SP, types[way][0]), to[3];
        for (int i = 0; i < 3; i++) {
            to[i] = open_socket(AF_SP, types[way][1]);
            if (types[way][1] == NN_SUB)
                subscribe(to[i], "");
            link_to(from, to[i], NN_SNDPRIO, 1 + i * 7, i % 2);
        }
        CHECK_EQ(send_now(from, "all"), 3);
        for (int i = 0; i < 3; i++)
            CHECK_STR(recv_now(to[i]), "all");
        CHECK_EQ(nn_get_statistic(from, NN_STAT_CURRENT_SND_PRIORITY), 0);
        close_sockets(to, 3);
        CHECK_CLOSE(from);
    }
}

/* ---- the statistic ---- */

static uint64_t priority_of(int s)
{
    return nn_get_statistic(s, NN_STAT_CURRENT_SND_PRIORITY);
}

/* protocols 2.4, core 11, core-quirks A-60 */
static void the_statistic_tells_the_best_ready_peer(void)
{
    for (int d = 0; d < 2; d++) {
        int push = open_socket(DOMAINS[d], NN_PUSH), pulls[3];
        static const int priorities[] = {9, 16, 5};
        CHECK_EQ(priority_of(push), 0);
        for (int i = 0; i < 3; i++) {
            pulls[i] = open_socket(AF_SP, NN_PULL);
            set_int(pulls[i], NN_RCVBUF, 1);
            link_to(push, pulls[i], NN_SNDPRIO, priorities[i], i % 2);
            CHECK_EQ(priority_of(push), i == 2 ? 5 : 9);
            CHECK_EQ(priority_of(pulls[i]), 0);
        }
        /* Two messages fill the best one. That it became busy is not told; what becomes ready
         * afterwards is. */
        CHECK_EQ(send_now(push, "1"), 1);
        CHECK_EQ(send_now(push, "2"), 1);
        CHECK_EQ(priority_of(push), 5);
        CHECK_STR(recv_now(pulls[2]), "1");
        CHECK_EQ(priority_of(push), 5);
        CHECK_CLOSE(pulls[2]);
        CHECK_EQ(priority_of(push), 9);
        CHECK_CLOSE(pulls[0]);
        CHECK_EQ(priority_of(push), 16);
        CHECK_CLOSE(pulls[1]);
        CHECK_EQ(priority_of(push), UINT64_MAX);
        int again = open_socket(AF_SP, NN_PULL);
        link_to(push, again, NN_SNDPRIO, 3, 0);
        CHECK_EQ(priority_of(push), 3);
        CHECK_CLOSE(again);
        CHECK_EQ(priority_of(push), UINT64_MAX);
        CHECK_CLOSE(push);
    }
}

/* As above over streams, where it takes its time. */
static void the_statistic_follows_streams(void)
{
    for (size_t scheme = 1; scheme < COUNT_OF(SCHEMES); scheme++) {
        struct url url = unique_url(SCHEMES[scheme]);
        int push = open_connected(AF_SP, NN_PUSH, url.text);
        for (int round = 0; round < 3; round++) {
            CHECK_EQ(priority_of(push), round ? UINT64_MAX : 0);
            int pull = open_bound(AF_SP, NN_PULL, url.text);
            CHECK(wait_stat(push, NN_STAT_CURRENT_SND_PRIORITY, 8, PATIENCE_MS));
            CHECK_SEND(push, "hello");
            CHECK_RECV(pull, "hello");
            CHECK_EQ(priority_of(push), 8);
            CHECK_CLOSE(pull);
            CHECK(wait_stat(push, NN_STAT_CURRENT_SND_PRIORITY, UINT64_MAX, PATIENCE_MS));
        }
        CHECK_CLOSE(push);
    }
}

int main(void)
{
    test_begin("protocols/priorities", 25);
    RUN(worse_peers_are_used_when_the_better_are_full);
    RUN(a_better_peer_takes_over_at_once);
    RUN(all_sixteen_priorities_count);
    RUN(two_in_a_row_go_to_the_better_peer);
    RUN(the_better_peer_is_used_over_streams);
    RUN(a_priority_is_frozen_when_the_endpoint_is_made);
    RUN(the_better_sender_is_heard_first);
    RUN(a_better_sender_is_heard_at_once);
    RUN(a_receive_priority_is_frozen_too);
    RUN(broadcasts_go_to_all_whatever_the_priority);
    RUN(the_statistic_tells_the_best_ready_peer);
    RUN(the_statistic_follows_streams);
    return test_end();
}
