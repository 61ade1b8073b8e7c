/* BUS: what one says all its direct neighbours hear, and nobody else; a raw one sees whom it came
 * from and can leave that one out (protocols 9, core 9). */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/message.h"
#include "support/random.h"
#include "support/raw-peer.h"
#include "support/raw-stream.h"
#include "support/sockets.h"
#include "support/talk.h"

#include <nanomsg/bus.h>
#include <nanomsg/nn.h>

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ID_SIZE = 8 };

/* ---- neighbours ---- */

/* protocols 9: each hears each other one once, and nobody himself. */
static void everybody_hears_everybody_else(void)
{
    for (size_t scheme = 0; scheme < COUNT_OF(SCHEMES); scheme++)
        for (int d = 0; d < 2; d++) {
            enum { NODES = 4 };
            int nodes[NODES];
            for (int i = 0; i < NODES; i++)
                nodes[i] = open_socket(DOMAINS[d], NN_BUS);
            for (int i = 0; i < NODES; i++) {
                struct url url = unique_url(SCHEMES[scheme]);
                CHECK_OK(nn_bind(nodes[i], url.text));
                for (int k = i + 1; k < NODES; k++)
                    join(nodes[k], (uint64_t)i, nodes[i], (uint64_t)(k - 1), url.text);
            }
            for (int i = 0; i < NODES; i++) {
                char text[2] = {(char)('a' + i), 0};
                CHECK_SEND(nodes[i], text);
                for (int k = 0; k < NODES; k++)
                    if (k != i)
                        CHECK_RECV(nodes[k], text);
            }
            for (int i = 0; i < NODES; i++) {
                CHECK_STR(recv_now(nodes[i]), "EAGAIN");
                CHECK_EQ(nn_get_statistic(nodes[i], NN_STAT_MESSAGES_RECEIVED), NODES - 1);
                CHECK_EQ(nn_get_statistic(nodes[i], NN_STAT_MESSAGES_SENT), 1);
            }
            close_sockets(nodes, NODES);
        }
}

/* protocols 9: the one in the middle passes nothing on. */
static void only_direct_neighbours_hear(void)
{
    for (size_t scheme = 0; scheme < COUNT_OF(SCHEMES); scheme++)
        for (int d = 0; d < 2; d++) {
            struct url url = unique_url(SCHEMES[scheme]);
            int left = open_socket(DOMAINS[d], NN_BUS), middle = open_socket(DOMAINS[d], NN_BUS);
            int right = open_socket(DOMAINS[d], NN_BUS);
            CHECK_OK(nn_bind(middle, url.text));
            join(left, 0, middle, 0, url.text);
            join(right, 0, middle, 1, url.text);
            for (int i = 0; i < 5; i++) {
                CHECK_SEND(left, "from the left");
                CHECK_RECV(middle, "from the left");
                /* Had it been passed on, it would have come before this. */
                CHECK_SEND(middle, "from the middle");
                CHECK_RECV(right, "from the middle");
                CHECK_RECV(left, "from the middle");
            }
            CHECK_STR(recv_now(left), "EAGAIN");
            CHECK_STR(recv_now(right), "EAGAIN");
            CHECK_CLOSE(left, middle, right);
        }
}

/* protocols 9: once for each side of the loop. */
static void one_that_is_connected_to_itself_hears_itself_twice(void)
{
    for (size_t scheme = 0; scheme < COUNT_OF(SCHEMES); scheme++) {
        struct url url = unique_url(SCHEMES[scheme]);
        int s = open_bound(AF_SP, NN_BUS, url.text);
        CHECK_OK(nn_connect(s, url.text));
        CHECK_PIPES(s, 2);
        for (int i = 0; i < 5; i++) {
            char text[2] = {(char)('0' + i), 0};
            CHECK_SEND(s, text);
            CHECK_RECV(s, text);
            CHECK_RECV(s, text);
        }
        CHECK_STR(recv_now(s), "EAGAIN");
        CHECK_CLOSE(s);
    }
}

/* protocols 2.4 and 9 */
static void a_node_takes_from_its_neighbours_by_turns(void)
{
    for (int d = 0; d < 2; d++) {
        struct url url = unique_url("inproc");
        int s = open_socket(DOMAINS[d], NN_BUS), others[3];
        char text[3] = "";
        CHECK_OK(nn_bind(s, url.text));
        for (int i = 0; i < 3; i++)
            others[i] = open_connected(AF_SP, NN_BUS, url.text);
        for (int i = 0; i < 3; i++)
            for (int k = 0; k < 3; k++) {
                snprintf(text, sizeof text, "%c%d", 'A' + i, k);
                CHECK_EQ(send_now(others[i], text), 2);
            }
        for (int k = 0; k < 3; k++)
            for (int i = 0; i < 3; i++) {
                snprintf(text, sizeof text, "%c%d", 'A' + i, k);
                CHECK_STR(recv_now(s), text);
            }
        CHECK_STR(recv_now(s), "EAGAIN");
        close_sockets(others, 3);
        CHECK_CLOSE(s);
    }
}

/* protocols 9 and 2.5: a neighbour that does not listen misses the newest, and only it. */
static void only_the_full_neighbour_misses_the_newest(void)
{
    for (int d = 0; d < 2; d++) {
        struct url url = unique_url("inproc");
        int s = open_socket(DOMAINS[d], NN_BUS), slow = open_socket(DOMAINS[d], NN_BUS);
        int quick = open_socket(DOMAINS[d], NN_BUS);
        uint32_t body[250] = {0}, got;
        CHECK_OK(nn_bind(s, url.text));
        CHECK_OK(nn_connect(slow, url.text));
        CHECK_OK(nn_connect(quick, url.text));
        for (uint32_t i = 0; i < 1000; i++) {
            body[0] = i;
            CHECK_EQ(nn_send(s, body, sizeof body, 0), sizeof body);
            CHECK_EQ(nn_recv(quick, &got, sizeof got, NN_DONTWAIT), sizeof body);
            CHECK_EQ(got, i);
        }
        CHECK_EQ(nn_get_statistic(s, NN_STAT_MESSAGES_SENT), 1000);
        CHECK_EQ(nn_get_statistic(s, NN_STAT_BYTES_SENT), 1000 * sizeof body);
        for (uint32_t i = 0; i < 132; i++) {
            CHECK_EQ(nn_recv(slow, &got, sizeof got, NN_DONTWAIT), sizeof body);
            CHECK_EQ(got, i);
        }
        CHECK_STR(recv_now(slow), "EAGAIN");
        CHECK_EQ(send_now(s, "again"), 5);
        CHECK_STR(recv_now(slow), "again");
        CHECK_CLOSE(s, slow, quick);
    }
}

/* ---- headers ---- */

/* A raw BUS and its cooked neighbours over that transport. */
static int open_star(const char *scheme, int *leaves, int count)
{
    struct url url = unique_url(scheme);
    int hub = open_socket(AF_SP_RAW, NN_BUS);
    CHECK_OK(nn_bind(hub, url.text));
    for (int i = 0; i < count; i++) {
        leaves[i] = open_socket(AF_SP, NN_BUS);
        join(leaves[i], 0, hub, (uint64_t)i, url.text);
    }
    return hub;
}

/* Has the leaf speak, and stores what the hub sees as its id. */
static void learn_id(int hub, int leaf, unsigned char id[ID_SIZE])
{
    struct message message;
    CHECK_SEND(leaf, "who");
    CHECK_TAKES(hub, &message, "who");
    REQUIRE(message.header_size == ID_SIZE);
    memcpy(id, message.header, ID_SIZE);
}

/* protocols 9, core-quirks B-43: never zero, the same each time, different for each pipe, between
 * the sockets of the process, too. */
static void each_pipe_has_an_id_of_its_own(void)
{
    enum { HUBS = 4, LEAVES = 4, ALL = HUBS * LEAVES };
    static const unsigned char zero[ID_SIZE];
    for (size_t scheme = 0; scheme < COUNT_OF(SCHEMES); scheme++) {
        int hubs[HUBS], leaves[ALL];
        unsigned char ids[ALL][ID_SIZE], again[ID_SIZE];
        for (int h = 0; h < HUBS; h++)
            hubs[h] = open_star(SCHEMES[scheme], leaves + h * LEAVES, LEAVES);
        for (int i = 0; i < ALL; i++) {
            learn_id(hubs[i / LEAVES], leaves[i], ids[i]);
            CHECK(memcmp(ids[i], zero, ID_SIZE) != 0);
            for (int k = 0; k < i; k++)
                CHECK(memcmp(ids[i], ids[k], ID_SIZE) != 0);
        }
        for (int i = 0; i < ALL; i++) {
            learn_id(hubs[i / LEAVES], leaves[i], again);
            CHECK_MEM(again, ids[i], ID_SIZE);
        }
        close_sockets(leaves, ALL);
        close_sockets(hubs, HUBS);
    }
}

/* protocols 1 and 2.2: a cooked BUS shows an empty header. */
static void a_cooked_node_sees_no_id(void)
{
    for (size_t scheme = 0; scheme < COUNT_OF(SCHEMES); scheme++) {
        int leaf, hub = open_star(SCHEMES[scheme], &leaf, 1);
        struct message message;
        CHECK_SEND(hub, "hello");
        CHECK_TAKES(leaf, &message, "hello");
        CHECK_EQ(message.header_size, 0);
        CHECK_CLOSE(leaf, hub);
    }
}

/* protocols 2.2 and 9, core 9: to all but the one that is named; nobody sees the header. */
static void a_header_leaves_one_out(void)
{
    enum { LEAVES = 3 };
    for (size_t scheme = 0; scheme < COUNT_OF(SCHEMES); scheme++) {
        int leaves[LEAVES], hub = open_star(SCHEMES[scheme], leaves, LEAVES);
        for (int i = 0; i < LEAVES; i++) {
            unsigned char id[ID_SIZE];
            learn_id(hub, leaves[i], id);
            CHECK_EQ(send_message(hub, id, ID_SIZE, "others", 6, 0), 6);
            CHECK_SEND(hub, "all");
            for (int k = 0; k < LEAVES; k++) {
                if (k != i)
                    CHECK_RECV(leaves[k], "others");
                CHECK_RECV(leaves[k], "all");
            }
        }
        for (int i = 0; i < LEAVES; i++)
            CHECK_STR(recv_now(leaves[i]), "EAGAIN");
        CHECK_EQ(nn_get_statistic(hub, NN_STAT_BYTES_SENT), LEAVES * 9);
        close_sockets(leaves, LEAVES);
        CHECK_CLOSE(hub);
    }
}

/* protocols 9: who names nobody speaks to all: an id of nobody, of one that left, of another
 * socket's pipe; an absent header and an empty one. */
static void an_unknown_id_leaves_nobody_out(void)
{
    for (size_t scheme = 0; scheme < COUNT_OF(SCHEMES); scheme++) {
        int leaves[3], others[2];
        int hub = open_star(SCHEMES[scheme], leaves, 3);
        int other = open_star(SCHEMES[scheme], others, 2);
        unsigned char ids[4][ID_SIZE];
        learn_id(hub, leaves[2], ids[0]);
        CHECK_CLOSE(leaves[2]);
        CHECK_PIPES(hub, 2);
        learn_id(other, others[0], ids[1]);
        memset(ids[2], 0, ID_SIZE);
        memset(ids[3], 0xff, ID_SIZE);
        for (int i = 0; i < 4; i++) {
            CHECK_EQ(send_message(hub, ids[i], ID_SIZE, "all", 3, 0), 3);
            CHECK_RECV(leaves[0], "all");
            CHECK_RECV(leaves[1], "all");
        }
        CHECK_EQ(send_message(hub, "", 0, "empty", 5, 0), 5);
        CHECK_RECV(leaves[0], "empty");
        CHECK_RECV(leaves[1], "empty");
        close_sockets(leaves, 2);
        close_sockets(others, 2);
        CHECK_CLOSE(hub, other);
    }
}

/* protocols 2.2 and 9, core 5.6: raw, other lengths than 8 and 0; cooked, any header. */
static void a_header_that_cannot_be_is_refused(void)
{
    for (int d = 0; d < 2; d++) {
        struct url url = unique_url("inproc");
        int s = open_socket(DOMAINS[d], NN_BUS), peer = open_socket(AF_SP, NN_BUS);
        unsigned char header[32] = {0};
        CHECK_OK(nn_bind(s, url.text));
        CHECK_OK(nn_connect(peer, url.text));
        for (size_t count = 1; count <= 32; count++) {
            if (DOMAINS[d] == AF_SP_RAW && count == ID_SIZE)
                continue;
            CHECK_ERRNO(send_message(s, header, count, "no", 2, 0), -1, EINVAL);
            CHECK_ERRNO(send_message(s, header, count, "no", 2, NN_DONTWAIT), -1, EINVAL);
        }
        CHECK_EQ(nn_get_statistic(s, NN_STAT_MESSAGES_SENT), 0);
        CHECK_EQ(nn_get_statistic(s, NN_STAT_BYTES_SENT), 0);
        CHECK_STR(recv_now(peer), "EAGAIN");
        CHECK_EQ(send_message(s, header, 0, "yes", 3, 0), 3);
        CHECK_STR(recv_now(peer), "yes");
        CHECK_CLOSE(s, peer);
    }
}

/* core 5.3: the body that was refused stays with the caller, and can be sent without a header. */
static void a_refused_body_stays_with_the_caller(void)
{
    for (int d = 0; d < 2; d++) {
        struct url url = unique_url("inproc");
        int s = open_socket(DOMAINS[d], NN_BUS), peer = open_socket(AF_SP, NN_BUS);
        CHECK_OK(nn_bind(s, url.text));
        CHECK_OK(nn_connect(peer, url.text));
        char *chunk = nn_allocmsg(4, 0);
        size_t count = 3, size = NN_CMSG_SPACE(sizeof(size_t) + 3);
        struct nn_cmsghdr *control = nn_allocmsg(size, 0);
        memset(control, 0, size);
        *control = (struct nn_cmsghdr){size, PROTO_SP, SP_HDR};
        memcpy(NN_CMSG_DATA(control), &count, sizeof count);
        struct nn_iovec part = {&chunk, NN_MSG};
        struct nn_msghdr message = {&part, 1, &control, NN_MSG};
        memcpy(chunk, "mine", 4);
        /* The control chunk is consumed (core-quirks A-37), the body is not. */
        CHECK_ERRNO(nn_sendmsg(s, &message, 0), -1, EINVAL);
        CHECK_MEM(chunk, "mine", 4);
        CHECK_EQ(nn_send(s, &chunk, NN_MSG, 0), 4);
        CHECK_STR(recv_now(peer), "mine");
        CHECK_STR(recv_now(peer), "EAGAIN");
        CHECK_CLOSE(s, peer);
    }
}

/* core 5.6 and 9: a raw hub that returns the control data it received passes on to all others. */
static void a_hub_that_passes_on_leaves_out_the_sender(void)
{
    enum { LEAVES = 4 };
    for (size_t scheme = 0; scheme < COUNT_OF(SCHEMES); scheme++) {
        int leaves[LEAVES], hub = open_star(SCHEMES[scheme], leaves, LEAVES);
        for (int i = 0; i < 2 * LEAVES; i++) {
            void *body = NULL, *control = NULL;
            struct nn_iovec part = {&body, NN_MSG};
            struct nn_msghdr message = {&part, 1, &control, NN_MSG};
            char text[2] = {(char)('0' + i), 0};
            CHECK_SEND(leaves[i % LEAVES], text);
            CHECK_EQ(nn_recvmsg(hub, &message, 0), 1);
            CHECK_EQ(nn_sendmsg(hub, &message, 0), 1);
            CHECK_SEND(hub, "end");
            for (int k = 0; k < LEAVES; k++) {
                if (k != i % LEAVES)
                    CHECK_RECV(leaves[k], text);
                CHECK_RECV(leaves[k], "end");
            }
        }
        close_sockets(leaves, LEAVES);
        CHECK_CLOSE(hub);
    }
}

/* ---- the wire ---- */

/* protocols 9 and 14: the body alone, whether raw or cooked, with a header or without. */
static void the_bytes_on_the_wire(void)
{
    for (size_t scheme = 1; scheme < COUNT_OF(SCHEMES); scheme++)
        for (int d = 0; d < 2; d++) {
            struct url url = unique_url(SCHEMES[scheme]);
            int s = open_socket(DOMAINS[d], NN_BUS);
            struct message message;
            CHECK_OK(nn_bind(s, url.text));
            int one = raw_join(s, url.text, NN_BUS, NN_BUS);
            int two = raw_join(s, url.text, NN_BUS, NN_BUS);
            CHECK_SEND(s, "hi");
            CHECK_WIRE(one, url.text, "hi", 2);
            CHECK_WIRE(two, url.text, "hi", 2);
            raw_message(one, url.text, "hello", 5);
            CHECK_TAKES(s, &message, "hello");
            CHECK_EQ(message.header_size, DOMAINS[d] == AF_SP_RAW ? ID_SIZE : 0);
            if (DOMAINS[d] == AF_SP_RAW) {
                CHECK_EQ(send_message(s, message.header, ID_SIZE, "not one", 7, 0), 7);
                CHECK_WIRE(two, url.text, "not one", 7);
            }
            check_silence(one);
            check_silence(two);
            close(one);
            close(two);
            CHECK_CLOSE(s);
        }
}

/* ---- large messages to many ---- */

/* protocols 2.5, core 5.3: each neighbour has the whole body in memory of its own. */
static void a_large_body_reaches_every_neighbour_whole(void)
{
    enum { LEAVES = 8, LARGE = 1 << 20 };
    unsigned char *body = malloc(LARGE);
    for (size_t scheme = 0; scheme < COUNT_OF(SCHEMES); scheme++) {
        int leaves[LEAVES], hub = open_star(SCHEMES[scheme], leaves, LEAVES);
        for (uint32_t number = 0; number < 4; number++) {
            fill_body(body, LARGE, number);
            if (number % 2) {
                CHECK_EQ(nn_send(hub, body, LARGE, 0), LARGE);
            } else {
                unsigned char *chunk = nn_allocmsg(LARGE, 0);
                memcpy(chunk, body, LARGE);
                CHECK_EQ(nn_send(hub, &chunk, NN_MSG, 0), LARGE);
            }
            memset(body, 0xee, LARGE);
            for (int i = 0; i < LEAVES; i++) {
                unsigned char *got = NULL;
                CHECK_EQ(nn_recv(leaves[i], &got, NN_MSG, 0), LARGE);
                REQUIRE(got != NULL);
                CHECK(is_body(got, LARGE, number));
                memset(got, 0xdd, LARGE);
                CHECK_EQ(nn_freemsg(got), 0);
            }
        }
        close_sockets(leaves, LEAVES);
        CHECK_CLOSE(hub);
    }
    free(body);
}

int main(void)
{
    test_begin("protocols/bus", 55);
    RUN(everybody_hears_everybody_else);
    RUN(only_direct_neighbours_hear);
    RUN(one_that_is_connected_to_itself_hears_itself_twice);
    RUN(a_node_takes_from_its_neighbours_by_turns);
    RUN(only_the_full_neighbour_misses_the_newest);
    RUN(each_pipe_has_an_id_of_its_own);
    RUN(a_cooked_node_sees_no_id);
    RUN(a_header_leaves_one_out);
    RUN(an_unknown_id_leaves_nobody_out);
    RUN(a_header_that_cannot_be_is_refused);
    RUN(a_refused_body_stays_with_the_caller);
    RUN(a_hub_that_passes_on_leaves_out_the_sender);
    RUN(the_bytes_on_the_wire);
    RUN(a_large_body_reaches_every_neighbour_whole);
    return test_end();
}
