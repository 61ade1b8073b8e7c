/* inproc: everything has happened when a call returns, the queue holds exactly what the receive
 * buffer allows, and a PAIR has one peer whatever else is bound or connected. */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/sockets.h"
#include "support/talk.h"
#include "support/thread.h"

#include <nanomsg/nn.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* core 7.3, transports 4, core-quirks */
static void a_connection_exists_when_the_second_call_returns(void)
{
    for (int order = 0; order < 2; order++)
        for (int round = 0; round < 50; round++) {
            struct url url = unique_url("inproc");
            int a = order ? connected_pair(url.text) : bound_pair(url.text);
            CHECK_ERRNO(send_now(a, "early"), -1, EAGAIN);
            CHECK_STR(recv_now(a), "EAGAIN");
            int b = order ? bound_pair(url.text) : connected_pair(url.text);
            CHECK_EQ(send_now(a, "one"), 3);
            CHECK_EQ(send_now(b, "two"), 3);
            CHECK_STR(recv_now(a), "two");
            CHECK_STR(recv_now(b), "one");
            CHECK_STR(recv_now(a), "EAGAIN");
            CHECK_STR(recv_now(b), "EAGAIN");
            CHECK_CLOSE(a, b);
        }
}

/* core 7.3, core-quirks A-46 */
static void a_message_can_be_received_when_send_returns(void)
{
    struct url url = unique_url("inproc");
    int a = bound_pair(url.text), b = connected_pair(url.text);
    for (int i = 0; i < 200; i++) {
        CHECK_EQ(send_now(a, "first"), 5);
        CHECK_EQ(send_now(a, "second"), 6);
        CHECK_STR(recv_now(b), "first");
        CHECK_STR(recv_now(b), "second");
        CHECK_STR(recv_now(b), "EAGAIN");
    }
    CHECK_CLOSE(a, b);
}

/* core 7.3, transports 4 */
static void a_peer_is_gone_when_its_close_or_shutdown_returns(void)
{
    for (int way = 0; way < 4; way++) {
        struct url url = unique_url("inproc");
        int a = bound_pair(url.text), b = connected_pair(url.text);
        int leaving = way & 1 ? a : b, staying = way & 1 ? b : a;
        CHECK_EQ(send_now(staying, "x"), 1);
        if (way & 2)
            CHECK_CLOSE(leaving);
        else
            CHECK_EQ(nn_shutdown(leaving, 1), 0);
        CHECK_ERRNO(send_now(staying, "y"), -1, EAGAIN);
        CHECK_STR(recv_now(staying), "EAGAIN");
        if (!(way & 2)) {
            CHECK_ERRNO(send_now(leaving, "z"), -1, EAGAIN);
            CHECK_CLOSE(leaving);
        }
        CHECK_CLOSE(staying);
    }
}

/* core-quirks C-5, reliability P2 */
static void what_was_sent_before_the_close_is_delivered(void)
{
    for (int way = 0; way < 2; way++) {
        struct url url = unique_url("inproc");
        int a = bound_pair(url.text), b = connected_pair(url.text);
        for (int i = 0; i < 10; i++)
            CHECK_EQ(send_now(b, "kept"), 4);
        if (way)
            CHECK_CLOSE(b);
        else
            CHECK_EQ(nn_shutdown(b, 1), 0);
        for (int i = 0; i < 10; i++)
            CHECK_STR(recv_now(a), "kept");
        CHECK_STR(recv_now(a), "EAGAIN");
        CHECK_CLOSE(a);
        if (!way)
            CHECK_CLOSE(b);
    }
}

/* transports 4, core-quirks A-47: the connector stays and takes whoever binds next. */
static void a_connector_is_served_by_whoever_binds_the_name(void)
{
    struct url url = unique_url("inproc");
    int b = connected_pair(url.text);
    for (int round = 0; round < 5; round++) {
        int a = bound_pair(url.text);
        CHECK_EQ(send_now(b, "up"), 2);
        CHECK_STR(recv_now(a), "up");
        CHECK_EQ(send_now(a, "down"), 4);
        CHECK_STR(recv_now(b), "down");
        if (round % 2)
            CHECK_EQ(nn_shutdown(a, 1), 0);
        else
            CHECK_CLOSE(a);
        CHECK_ERRNO(send_now(b, "none"), -1, EAGAIN);
        int next = bound_pair(url.text);
        CHECK_EQ(send_now(b, "next"), 4);
        CHECK_STR(recv_now(next), "next");
        CHECK_CLOSE(next);
        if (round % 2)
            CHECK_CLOSE(a);
    }
    CHECK_CLOSE(b);
}

/* transports 4: any bytes, compared as they are. */
static void names_are_compared_byte_for_byte(void)
{
    static const char *const names[] = {"inproc://", "inproc://a", "inproc://A", "inproc://a/b c",
                                        "inproc://:;[]", "inproc://a/", "inproc:///a",
                                        "inproc://\xff\xfe", "inproc://a%20",
                                        "inproc://inproc://a"};
    enum { NAMES = COUNT_OF(names) };
    int bound[NAMES], connected[NAMES];
    for (int i = 0; i < NAMES; i++)
        bound[i] = bound_pair(names[i]);
    for (int i = 0; i < NAMES; i++)
        CHECK_ERRNO(nn_bind(bound[(i + 1) % NAMES], names[i]), -1, EADDRINUSE);
    for (int i = 0; i < NAMES; i++)
        connected[i] = connected_pair(names[i]);
    for (int i = 0; i < NAMES; i++)
        CHECK_EQ(send_now(connected[i], names[i]), strlen(names[i]));
    for (int i = 0; i < NAMES; i++)
        CHECK_STR(recv_now(bound[i]), names[i]);
    for (int i = 0; i < NAMES; i++)
        CHECK_CLOSE(bound[i], connected[i]);
}

/* How many messages of that size are taken, at most `most`, before the sender would wait. */
static int count_accepted(int s, size_t size, int most)
{
    static char body[1000000];
    int count = 0;
    while (count < most && nn_send(s, body, size, NN_DONTWAIT) == (int)size)
        count++;
    if (count < most)
        CHECK_EQ(errno, EAGAIN);
    return count;
}

/* protocols 2.8, core 6.5, core-quirks A-48 */
static void the_queue_holds_what_the_receive_buffer_allows(void)
{
    static const struct { int buffer, size, accepted; } rows[] = {
        {0, 1, 131072}, {0, 16, 8192}, {0, 100, 1311}, {0, 1000, 132}, {0, 1024, 128},
        {0, 4096, 32}, {0, 65535, 3}, {0, 65536, 2}, {0, 100000, 2}, {0, 131072, 2},
        {0, 1000000, 2}, {1000, 1, 1000}, {1000, 9, 112}, {1000, 10, 100}, {1000, 11, 91},
        {1000, 50, 20}, {200, 10, 20}, {100, 9, 12}, {100, 10, 10}, {100, 11, 10}, {100, 50, 2},
        {100, 1, 100}, {100, 100, 2}, {10, 1, 10}, {10, 9, 2}, {10, 10, 2}, {10, 11, 2}, {1, 1, 2},
        {1, 2, 2}, {1, 1000000, 2},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        for (int receiver_binds = 0; receiver_binds < 2; receiver_binds++) {
            struct url url = unique_url("inproc");
            int from = open_pair(), to = open_pair(), received = 0;
            if (rows[i].buffer)
                set_int(to, NN_RCVBUF, rows[i].buffer);
            set_int(from, NN_SNDBUF, 1);
            set_int(from, NN_RCVBUF, 7);
            CHECK_OK(nn_bind(receiver_binds ? to : from, url.text));
            CHECK_OK(nn_connect(receiver_binds ? from : to, url.text));
            int accepted = count_accepted(from, (size_t)rows[i].size, 200000);
            CHECK_EQ(accepted, rows[i].accepted);
            while (nn_recv(to, NULL, 0, NN_DONTWAIT) == rows[i].size)
                received++;
            CHECK_EQ(received, accepted);
            CHECK_CLOSE(from, to);
        }
}

/* protocols 2.8: empty messages are not counted, or for very little. */
static void empty_messages_hardly_fill_the_queue(void)
{
    struct url url = unique_url("inproc");
    int from = bound_pair(url.text), to = connected_pair(url.text);
    CHECK_EQ(count_accepted(from, 0, 1000), 1000);
    for (int i = 0; i < 1000; i++)
        CHECK_STR(recv_now(to), "");
    CHECK_CLOSE(from, to);
}

/* protocols 2.8: with 200 and ten bytes, one receive makes room for exactly one message. */
static void a_receive_makes_room_for_as_much(void)
{
    struct url url = unique_url("inproc");
    int from = open_pair(), to = open_pair();
    set_int(to, NN_RCVBUF, 200);
    CHECK_OK(nn_bind(to, url.text));
    CHECK_OK(nn_connect(from, url.text));
    for (int i = 0; i < 20; i++)
        CHECK_EQ(nn_send(from, "0123456789", 10, NN_DONTWAIT), 10);
    for (int i = 0; i < 50; i++) {
        CHECK_ERRNO(nn_send(from, "0123456789", 10, NN_DONTWAIT), -1, EAGAIN);
        CHECK_STR(recv_now(to), "0123456789");
        CHECK_EQ(nn_send(from, "0123456789", 10, NN_DONTWAIT), 10);
    }
    CHECK_CLOSE(from, to);
}

/* protocols 2.8, transports 2: the buffer size is read when the connection is made. */
static void the_queue_limit_is_fixed_with_the_connection(void)
{
    struct url url = unique_url("inproc");
    int from = open_pair(), to = open_pair();
    set_int(to, NN_RCVBUF, 200);
    /* The last message waits at the sender, which need not wait for it when it closes. */
    set_int(from, NN_LINGER, 0);
    CHECK_OK(nn_bind(to, url.text));
    CHECK_OK(nn_connect(from, url.text));
    set_int(to, NN_RCVBUF, 100);
    CHECK_EQ(count_accepted(from, 10, 1000), 20);
    CHECK_CLOSE(from);
    while (nn_recv(to, NULL, 0, NN_DONTWAIT) >= 0)
        continue;
    from = connected_pair(url.text);
    CHECK_EQ(count_accepted(from, 10, 1000), 10);
    CHECK_CLOSE(from, to);
}

/* core 6.5, core-quirks A-45, transports 4 */
static void the_message_size_limit_does_not_apply(void)
{
    struct url url = unique_url("inproc");
    int from = open_pair(), to = open_pair();
    char *body = calloc(1, 2000000);
    set_int(to, NN_RCVMAXSIZE, 0);
    CHECK_OK(nn_bind(to, url.text));
    CHECK_OK(nn_connect(from, url.text));
    CHECK_EQ(nn_send(from, "x", 1, NN_DONTWAIT), 1);
    CHECK_EQ(nn_recv(to, body, 1, NN_DONTWAIT), 1);
    CHECK_EQ(nn_send(from, body, 2000000, NN_DONTWAIT), 2000000);
    CHECK_EQ(nn_recv(to, body, 2000000, NN_DONTWAIT), 2000000);
    free(body);
    CHECK_CLOSE(from, to);
}

struct sender {
    int s;
    int result;
    int error;
};

static void *send_one(void *argument)
{
    struct sender *sender = argument;
    errno = 0;
    sender->result = nn_send(sender->s, "waiting", 7, 0);
    sender->error = errno;
    return NULL;
}

/* protocols 2.8: a receive that makes room wakes the sender that waits for it. */
static void a_receive_wakes_a_waiting_sender(void)
{
    struct url url = unique_url("inproc");
    int from = open_pair(), to = open_pair();
    struct thread thread;
    struct sender sender = {from, 0, 0};
    set_int(to, NN_RCVBUF, 1);
    CHECK_OK(nn_bind(to, url.text));
    CHECK_OK(nn_connect(from, url.text));
    CHECK_EQ(send_now(from, "one"), 3);
    CHECK_EQ(send_now(from, "two"), 3);
    thread_start(&thread, send_one, &sender);
    CHECK(thread_asleep(&thread));
    CHECK_RECV(to, "one");
    thread_join(&thread);
    CHECK_EQ(sender.result, 7);
    CHECK_RECV(to, "two");
    CHECK_RECV(to, "waiting");
    CHECK_CLOSE(from, to);
}

/* protocols 3: a blocked sender keeps waiting when its peer goes and serves the next one. */
static void a_waiting_sender_survives_its_peer(void)
{
    struct url url = unique_url("inproc");
    int from = bound_pair(url.text), to = open_pair();
    struct thread thread;
    struct sender sender = {from, 0, 0};
    set_int(to, NN_RCVBUF, 1);
    CHECK_OK(nn_connect(to, url.text));
    CHECK_EQ(send_now(from, "one"), 3);
    CHECK_EQ(send_now(from, "two"), 3);
    thread_start(&thread, send_one, &sender);
    CHECK(thread_asleep(&thread));
    CHECK_CLOSE(to);
    CHECK(!thread_done(&thread));
    to = connected_pair(url.text);
    thread_join(&thread);
    CHECK_EQ(sender.result, 7);
    CHECK_RECV(to, "waiting");
    CHECK_CLOSE(from, to);
}

/* core-quirks B-29, core 13, protocols 3 */
static void a_second_peer_waits_for_its_turn(void)
{
    struct url url = unique_url("inproc");
    int bound = bound_pair(url.text);
    int first = connected_pair(url.text), second = connected_pair(url.text);
    CHECK_EQ(nn_get_statistic(second, NN_STAT_CURRENT_CONNECTIONS), 0);
    CHECK_ERRNO(send_now(second, "no"), -1, EAGAIN);
    CHECK_STR(recv_now(second), "EAGAIN");
    CHECK_EQ(send_now(first, "one"), 3);
    CHECK_STR(recv_now(bound), "one");
    CHECK_EQ(send_now(bound, "two"), 3);
    CHECK_STR(recv_now(first), "two");
    CHECK_STR(recv_now(second), "EAGAIN");
    CHECK_CLOSE(first);
    CHECK_EQ(nn_get_statistic(second, NN_STAT_CURRENT_CONNECTIONS), 1);
    CHECK_EQ(send_now(second, "mine"), 4);
    CHECK_STR(recv_now(bound), "mine");
    CHECK_EQ(send_now(bound, "yours"), 5);
    CHECK_STR(recv_now(second), "yours");
    CHECK_CLOSE(bound, second);
}

/* core-quirks B-29: closed in any order, with the second peer in the way. */
static void three_pairs_on_one_name_close_in_any_order(void)
{
    static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0},
                                     {2, 0, 1}, {2, 1, 0}};
    for (int i = 0; i < 6; i++) {
        struct url url = unique_url("inproc");
        int s[3] = {bound_pair(url.text), connected_pair(url.text), connected_pair(url.text)};
        CHECK_EQ(send_now(s[1], "x"), 1);
        CHECK_CLOSE(s[orders[i][0]], s[orders[i][1]], s[orders[i][2]]);
    }
}

/* core-quirks B-30 */
static void one_pair_connected_to_two_uses_one_at_a_time(void)
{
    struct url one = unique_url("inproc"), two = unique_url("inproc");
    int a = bound_pair(one.text), b = bound_pair(two.text), c = connected_pair(one.text);
    CHECK_EQ(nn_connect(c, two.text), 2);
    CHECK_EQ(nn_get_statistic(c, NN_STAT_CURRENT_CONNECTIONS), 1);
    CHECK_ERRNO(send_now(b, "no"), -1, EAGAIN);
    CHECK_EQ(send_now(c, "to a"), 4);
    CHECK_STR(recv_now(a), "to a");
    CHECK_CLOSE(a);
    CHECK_EQ(send_now(c, "to b"), 4);
    CHECK_STR(recv_now(b), "to b");
    CHECK_CLOSE(b, c);
}

/* core-quirks B-31: it may refuse itself or stay alone, but must live, and serve others later. */
static void a_pair_that_connects_to_itself_lives(void)
{
    struct url url = unique_url("inproc");
    int a = bound_pair(url.text);
    int id = nn_connect(a, url.text);
    CHECK(id == 2 || id == -1);
    nn_send(a, "x", 1, NN_DONTWAIT);
    nn_recv(a, NULL, 0, NN_DONTWAIT);
    if (id == 2)
        CHECK_EQ(nn_shutdown(a, id), 0);
    nn_recv(a, NULL, 0, NN_DONTWAIT);
    int b = connected_pair(url.text);
    CHECK_TALK(a, b);
    CHECK_CLOSE(a, b);
}

int main(void)
{
    test_begin("transports/inproc", 28);
    RUN(a_connection_exists_when_the_second_call_returns);
    RUN(a_message_can_be_received_when_send_returns);
    RUN(a_peer_is_gone_when_its_close_or_shutdown_returns);
    RUN(what_was_sent_before_the_close_is_delivered);
    RUN(a_connector_is_served_by_whoever_binds_the_name);
    RUN(names_are_compared_byte_for_byte);
    RUN(the_queue_holds_what_the_receive_buffer_allows);
    RUN(empty_messages_hardly_fill_the_queue);
    RUN(a_receive_makes_room_for_as_much);
    RUN(the_queue_limit_is_fixed_with_the_connection);
    RUN(the_message_size_limit_does_not_apply);
    RUN(a_receive_wakes_a_waiting_sender);
    RUN(a_waiting_sender_survives_its_peer);
    RUN(a_second_peer_waits_for_its_turn);
    RUN(three_pairs_on_one_name_close_in_any_order);
    RUN(one_pair_connected_to_two_uses_one_at_a_time);
    RUN(a_pair_that_connects_to_itself_lives);
    return test_end();
}
