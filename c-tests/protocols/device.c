/* nn_device: which sockets it takes, and what becomes of a message on its way through it. */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/device.h"
#include "support/message.h"
#include "support/raw-peer.h"
#include "support/raw-stream.h"
#include "support/sockets.h"
#include "support/talk.h"
#include "support/thread.h"

#include <nanomsg/bus.h>
#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/pubsub.h>
#include <nanomsg/reqrep.h>
#include <nanomsg/survey.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const int types[] = {NN_PAIR, NN_PUB, NN_SUB, NN_REQ, NN_REP, NN_PUSH, NN_PULL,
                            NN_SURVEYOR, NN_RESPONDENT, NN_BUS};

enum { TYPES = COUNT_OF(types) };

static int can_recv(int type)
{
    return type != NN_PUB && type != NN_PUSH;
}

static int can_send(int type)
{
    return type != NN_SUB && type != NN_PULL;
}

static int open_raw(int type)
{
    int s = open_socket(AF_SP_RAW, type);
    if (can_recv(type))
        set_int(s, NN_RCVTIMEO, 5);
    return s;
}

/* protocols 11, core 10.1, core-quirks A-25: in this order. */
static void arguments_are_checked_in_order(void)
{
    int raw = open_raw(NN_PAIR), cooked = open_socket(AF_SP, NN_PAIR), other = open_raw(NN_BUS);
    int closed = open_raw(NN_PAIR);
    CHECK_CLOSE(closed);
    static const int never[] = {-1, -2, -2147483647 - 1};
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 3; j++)
            CHECK_ERRNO(nn_device(never[i], never[j]), -1, EBADF);
        CHECK_ERRNO(nn_device(closed, never[i]), -1, EBADF);
        CHECK_ERRNO(nn_device(never[i], closed), -1, EBADF);
        CHECK_ERRNO(nn_device(cooked, never[i]), -1, EINVAL);
        CHECK_ERRNO(nn_device(never[i], cooked), -1, EINVAL);
        CHECK_ERRNO(nn_device(raw, never[i]), -1, ETIMEDOUT);
        CHECK_ERRNO(nn_device(never[i], raw), -1, ETIMEDOUT);
    }
    CHECK_ERRNO(nn_device(closed, closed), -1, EBADF);
    CHECK_ERRNO(nn_device(closed, raw), -1, EBADF);
    CHECK_ERRNO(nn_device(raw, closed), -1, EBADF);
    CHECK_ERRNO(nn_device(closed, cooked), -1, EBADF);
    CHECK_ERRNO(nn_device(cooked, closed), -1, EBADF);
    CHECK_ERRNO(nn_device(100000, raw), -1, EBADF);
    CHECK_ERRNO(nn_device(raw, 2147483647), -1, EBADF);
    CHECK_ERRNO(nn_device(raw, cooked), -1, EINVAL);
    CHECK_ERRNO(nn_device(cooked, raw), -1, EINVAL);
    CHECK_ERRNO(nn_device(cooked, cooked), -1, EINVAL);
    CHECK_ERRNO(nn_device(raw, other), -1, EINVAL);
    CHECK_ERRNO(nn_device(other, raw), -1, EINVAL);
    CHECK_CLOSE(raw, cooked, other);
}

/* core 10.1: the pairs that a device takes. */
static int is_pair(int one, int two)
{
    return one / 16 == two / 16 && can_recv(one) <= can_send(two) && can_send(one) <= can_recv(two)
           && can_recv(two) <= can_send(one) && can_send(two) <= can_recv(one);
}

/* core 10.1: all 100 pairs of raw sockets, of which 14 are taken; these end when nothing comes. */
static void every_pair_is_taken_or_refused(void)
{
    int taken = 0;
    for (int i = 0; i < TYPES; i++)
        for (int j = 0; j < TYPES; j++) {
            int s1 = open_raw(types[i]), s2 = open_raw(types[j]);
            int pair = is_pair(types[i], types[j]);
            taken += pair;
            CHECK_ERRNO(nn_device(s1, s2), -1, pair ? ETIMEDOUT : EINVAL);
            CHECK_CLOSE(s1, s2);
        }
    CHECK_EQ(taken, 14);
}

/* core 10.1: "every combination with a cooked socket gives EINVAL" */
static void a_cooked_socket_is_refused(void)
{
    for (int i = 0; i < TYPES; i++) {
        int cooked1 = open_socket(AF_SP, types[i]);
        CHECK_ERRNO(nn_device(cooked1, -1), -1, EINVAL);
        CHECK_ERRNO(nn_device(-1, cooked1), -1, EINVAL);
        for (int j = 0; j < TYPES; j++) {
            int raw = open_raw(types[j]), cooked2 = open_socket(AF_SP, types[j]);
            CHECK_ERRNO(nn_device(cooked1, raw), -1, EINVAL);
            CHECK_ERRNO(nn_device(raw, cooked1), -1, EINVAL);
            CHECK_ERRNO(nn_device(cooked1, cooked2), -1, EINVAL);
            CHECK_CLOSE(raw, cooked2);
        }
        CHECK_CLOSE(cooked1);
    }
}

/* core 10.1: "Loopback accepts every raw type, but PUB and PUSH end at once with ENOTSUP" */
static void every_raw_socket_may_loop_back(void)
{
    for (int i = 0; i < TYPES; i++) {
        int s = open_raw(types[i]), expected = can_recv(types[i]) ? ETIMEDOUT : ENOTSUP;
        CHECK_ERRNO(nn_device(s, -1), -1, expected);
        CHECK_ERRNO(nn_device(-1, s), -1, expected);
        CHECK_CLOSE(s);
    }
}

/* core 10.1: "SUB and PULL start and fail with ENOTSUP when the first message is to be sent" */
static void a_loopback_that_cannot_send_ends_at_a_message(void)
{
    for (int i = 0; i < 2; i++) {
        struct url url = unique_url("inproc");
        struct device device;
        int s = open_bound(AF_SP_RAW, i ? NN_PULL : NN_SUB, url.text);
        int peer = open_connected(AF_SP, i ? NN_PUSH : NN_PUB, url.text);
        if (i == 0)
            CHECK_EQ(nn_setsockopt(s, NN_SUB, NN_SUB_SUBSCRIBE, "", 0), 0);
        device_start(&device, s, -1);
        CHECK(thread_asleep(&device.thread));
        CHECK_SEND(peer, "x");
        CHECK_ENDS(&device, ENOTSUP);
        CHECK_CLOSE(s, peer);
    }
}

/* A device between two addresses of that scheme. */
struct bridge {
    struct device device;
    struct url front, back;
};

static void bridge_open(struct bridge *bridge, const char *scheme, int front, int back, int swap)
{
    bridge->front = unique_url(scheme);
    bridge->back = unique_url(scheme);
    int s1 = open_bound(AF_SP_RAW, front, bridge->front.text);
    int s2 = open_bound(AF_SP_RAW, back, bridge->back.text);
    set_int(s1, NN_RCVMAXSIZE, -1);
    set_int(s2, NN_RCVMAXSIZE, -1);
    set_int(s1, NN_RCVTIMEO, -1);
    set_int(s2, NN_RCVTIMEO, -1);
    if (front == NN_SUB)
        CHECK_EQ(nn_setsockopt(s1, NN_SUB, NN_SUB_SUBSCRIBE, "", 0), 0);
    device_start(&bridge->device, swap ? s2 : s1, swap ? s1 : s2);
}

/* Over inproc the reference now and then dies when a socket is closed beside the thread of a device
 * (reliability P1), so that it is spared inproc where a test can do without. */
static int first_scheme(void)
{
    return reference() ? 1 : 0;
}

/* protocols 11: a request and a survey through a device, in either order of the arguments. */
static void questions_and_answers_pass(void)
{
    for (int i = 4 * first_scheme(); i < 12; i++) {
        int survey = i % 2, swap = i / 2 % 2;
        struct bridge bridge;
        bridge_open(&bridge, SCHEMES[i / 4], survey ? NN_RESPONDENT : NN_REP,
                    survey ? NN_SURVEYOR : NN_REQ, swap);
        int s = open_connected(AF_SP, survey ? NN_RESPONDENT : NN_REP, bridge.back.text);
        int asker = open_connected(AF_SP, survey ? NN_SURVEYOR : NN_REQ, bridge.front.text);
        /* A survey that comes before its respondent is lost. */
        CHECK_PIPES(asker, 1);
        CHECK_PIPES(swap ? bridge.device.s1 : bridge.device.s2, 1);
        CHECK_PIPES(swap ? bridge.device.s2 : bridge.device.s1, 1);
        for (int j = 0; j < 20; j++) {
            char text[32];
            snprintf(text, sizeof text, "question %d", j);
            CHECK_SEND(asker, text);
            CHECK_RECV(s, text);
            snprintf(text, sizeof text, "answer %d", j);
            CHECK_SEND(s, text);
            CHECK_RECV(asker, text);
        }
        /* core 10.2, protocols 11: both sockets count what was forwarded. */
        for (int j = 0; j < 2; j++) {
            int side = j ? bridge.device.s2 : bridge.device.s1;
            CHECK(wait_stat(side, NN_STAT_MESSAGES_SENT, 20, PATIENCE_MS));
            CHECK_EQ(nn_get_statistic(side, NN_STAT_MESSAGES_RECEIVED), 20);
        }
        CHECK_CLOSE(asker, s);
        device_stop(&bridge.device);
    }
}

/* protocols 11: both directions, independently of each other. */
static void pairs_talk_through_a_device(void)
{
    for (int i = 2 * first_scheme(); i < 6; i++) {
        struct bridge bridge;
        bridge_open(&bridge, SCHEMES[i / 2], NN_PAIR, NN_PAIR, i % 2);
        int a = open_connected(AF_SP, NN_PAIR, bridge.front.text);
        int b = open_connected(AF_SP, NN_PAIR, bridge.back.text);
        for (int j = 0; j < 100; j++) {
            char text[32];
            snprintf(text, sizeof text, "message %d", j);
            CHECK_SEND(a, text);
            CHECK_SEND(b, text);
            CHECK_RECV(a, text);
            CHECK_RECV(b, text);
        }
        /* One direction does not need the other. */
        for (int j = 0; j < 100; j++)
            CHECK_SEND(a, "one way");
        for (int j = 0; j < 100; j++)
            CHECK_RECV(b, "one way");
        CHECK_CLOSE(a, b);
        device_stop(&bridge.device);
    }
}

/* core 10.1: "one-way, from the receiving to the sending socket, whatever the argument order" */
static void one_way_devices_run_in_their_direction(void)
{
    for (int i = 4 * first_scheme(); i < 12; i++) {
        int push = i % 2;
        struct bridge bridge;
        bridge_open(&bridge, SCHEMES[i / 4], push ? NN_PULL : NN_SUB, push ? NN_PUSH : NN_PUB,
                    i / 2 % 2);
        int from = open_connected(AF_SP, push ? NN_PUSH : NN_PUB, bridge.front.text);
        int to = open_connected(AF_SP, push ? NN_PULL : NN_SUB, bridge.back.text);
        if (!push)
            CHECK_EQ(nn_setsockopt(to, NN_SUB, NN_SUB_SUBSCRIBE, "", 0), 0);
        CHECK_PIPES(from, 1);
        CHECK_PIPES(to, 1);
        CHECK_PIPES(bridge.device.s1, 1);
        CHECK_PIPES(bridge.device.s2, 1);
        for (int j = 0; j < 50; j++) {
            char text[32];
            snprintf(text, sizeof text, "message %d", j);
            CHECK_SEND(from, text);
            CHECK_RECV(to, text);
        }
        CHECK_CLOSE(from, to);
        device_stop(&bridge.device);
    }
}

/* core-quirks A-58: "forwards only what the raw SUB is subscribed to" */
static void a_subscription_decides_what_is_forwarded(void)
{
    struct bridge bridge;
    bridge_open(&bridge, "inproc", NN_SUB, NN_PUB, 0);
    int from = open_connected(AF_SP, NN_PUB, bridge.front.text);
    int to = open_connected(AF_SP, NN_SUB, bridge.back.text);
    CHECK_EQ(nn_setsockopt(to, NN_SUB, NN_SUB_SUBSCRIBE, "", 0), 0);
    CHECK_EQ(nn_setsockopt(bridge.device.s1, NN_SUB, NN_SUB_SUBSCRIBE, "a", 1), 0);
    CHECK_EQ(nn_setsockopt(bridge.device.s1, NN_SUB, NN_SUB_UNSUBSCRIBE, "", 0), 0);
    CHECK_SEND(from, "b1");
    CHECK_SEND(from, "a1");
    CHECK_SEND(from, "");
    CHECK_SEND(from, "a2");
    CHECK_RECV(to, "a1");
    CHECK_RECV(to, "a2");
    CHECK_AGAIN(to);
    CHECK_CLOSE(from, to);
    device_stop(&bridge.device);
}

/* core-quirks A-58, protocols 11: to all of the other side, to nobody of its own. */
static void a_bus_device_does_not_echo(void)
{
    struct bridge bridge;
    bridge_open(&bridge, "inproc", NN_BUS, NN_BUS, 0);
    int s[4];
    for (int i = 0; i < 4; i++)
        s[i] = open_connected(AF_SP, NN_BUS, i < 2 ? bridge.front.text : bridge.back.text);
    for (int i = 0; i < 4; i++) {
        const char text[] = {'f', 'r', 'o', 'm', (char)('0' + i), 0};
        CHECK_SEND(s[i], text);
        int beyond = i < 2 ? 2 : 0;
        CHECK_RECV(s[beyond], text);
        CHECK_RECV(s[beyond + 1], text);
    }
    for (int i = 0; i < 4; i++) {
        CHECK_AGAIN(s[i]);
        CHECK_CLOSE(s[i]);
    }
    device_stop(&bridge.device);
}

/* core-quirks A-58: a loopback, given as one handle or as two, reaches all but the sender. */
static void a_bus_loopback_reaches_the_others(void)
{
    for (int twice = 0; twice < 2; twice++) {
        struct url url = unique_url("inproc");
        struct device device;
        int s[3], bus = open_bound(AF_SP_RAW, NN_BUS, url.text);
        for (int i = 0; i < 3; i++)
            s[i] = open_connected(AF_SP, NN_BUS, url.text);
        set_int(bus, NN_RCVTIMEO, -1);
        device_start(&device, bus, twice ? bus : -1);
        for (int i = 0; i < 3; i++) {
            const char text[] = {'f', 'r', 'o', 'm', (char)('0' + i), 0};
            CHECK_SEND(s[i], text);
            CHECK_RECV(s[(i + 1) % 3], text);
            CHECK_RECV(s[(i + 2) % 3], text);
        }
        for (int i = 0; i < 3; i++) {
            CHECK_AGAIN(s[i]);
            CHECK_CLOSE(s[i]);
        }
        device_stop(&device);
    }
}

/* protocols 11: "PAIR loopback echoes"; so do the two that answer, by the header they are given. */
static void a_loopback_echoes(void)
{
    static const int loops[] = {NN_PAIR, NN_REP, NN_RESPONDENT};
    static const int askers[] = {NN_PAIR, NN_REQ, NN_SURVEYOR};
    for (int i = 3 * first_scheme(); i < 9; i++) {
        struct url url = unique_url(SCHEMES[i / 3]);
        struct device device;
        int s = open_bound(AF_SP_RAW, loops[i % 3], url.text);
        int asker = open_connected(AF_SP, askers[i % 3], url.text);
        CHECK_PIPES(s, 1);
        CHECK_PIPES(asker, 1);
        set_int(s, NN_RCVTIMEO, -1);
        device_start(&device, i % 2 ? s : -1, i % 2 ? -1 : s);
        for (int j = 0; j < 20; j++) {
            CHECK_SEND(asker, "echo");
            CHECK_RECV(asker, "echo");
        }
        CHECK(wait_stat(s, NN_STAT_MESSAGES_SENT, 20, PATIENCE_MS));
        CHECK_EQ(nn_get_statistic(s, NN_STAT_MESSAGES_RECEIVED), 20);
        CHECK_EQ(nn_get_statistic(s, NN_STAT_BYTES_SENT), 80);
        CHECK_CLOSE(asker, s);
        CHECK_ENDS(&device, EBADF);
    }
}

/* protocols 11: the exact bytes at both sides of a device, and what it swallows. */
static void the_bytes_on_both_sides_of_a_device(void)
{
    for (int i = 0; i < 4; i++) {
        int survey = i % 2;
        struct bridge bridge;
        unsigned char asked[4 * 9 + 1], answer[4 * 9 + 1];
        bridge_open(&bridge, SCHEMES[1 + i / 2], survey ? NN_RESPONDENT : NN_REP,
                    survey ? NN_SURVEYOR : NN_REQ, 0);
        const char *front = bridge.front.text, *back = bridge.back.text;
        int service = raw_join(bridge.device.s2, back, survey ? NN_RESPONDENT : NN_REP,
                                  survey ? NN_SURVEYOR : NN_REQ);
        int client = raw_join(bridge.device.s1, front, survey ? NN_SURVEYOR : NN_REQ,
                                 survey ? NN_RESPONDENT : NN_REP);
        const unsigned char question[] = {WORD(1), WORD(2), WORD(3), WORD(4), WORD(5), WORD(6),
                                          WORD(7), WORD(8), WORD(0x80000007), 'q'};
        /* Nine words are too many for it (protocols 10), and these are no questions (5.2). */
        raw_message(client, front, question, sizeof question);
        raw_message(client, front, question, 8);
        raw_message(client, front, "", 0);
        raw_message(client, front, question + 32, 3);
        for (size_t skip = 4; skip <= 32; skip += 4) {
            size_t size = sizeof question - skip;
            raw_message(client, front, question + skip, size);
            CHECK_EQ(raw_take(service, back, asked, sizeof asked, PATIENCE_MS), size + 4);
            CHECK_EQ(asked[0] & 0x80, 0);
            CHECK_MEM(asked + 4, question + skip, size);
            /* An answer to nobody, ones that are too short, and the right one. */
            memcpy(answer, asked, size + 4);
            answer[0] ^= 0x40;
            raw_message(service, back, answer, size + 4);
            raw_message(service, back, answer, 3);
            raw_message(service, back, asked, size + 4);
            CHECK_WIRE(client, front, question + skip, size);
        }
        CHECK_EQ(nn_get_statistic(bridge.device.s1, NN_STAT_MESSAGES_RECEIVED), 8);
        CHECK_EQ(raw_recv(service, asked, 1, 20), 0);
        close(client);
        close(service);
        device_stop(&bridge.device);
    }
}

/* core 10.2: one chunk in, one chunk out, of any size. */
static void large_bodies_pass(void)
{
    enum { SIZE = 5 << 20 };
    for (int i = 2 * first_scheme(); i < 6; i++) {
        struct bridge bridge;
        bridge_open(&bridge, SCHEMES[i / 2], i % 2 ? NN_PAIR : NN_REP, i % 2 ? NN_PAIR : NN_REQ, 0);
        int asker = open_connected(AF_SP, i % 2 ? NN_PAIR : NN_REQ, bridge.front.text);
        int s = open_connected(AF_SP, i % 2 ? NN_PAIR : NN_REP, bridge.back.text);
        set_int(asker, NN_RCVMAXSIZE, -1);
        set_int(s, NN_RCVMAXSIZE, -1);
        for (int round = 0; round < 3; round++) {
            char *body = nn_allocmsg(SIZE, 0), *other = NULL;
            for (int at = 0; at < SIZE; at += 4)
                memcpy(body + at, &(int){at ^ round}, 4);
            CHECK_EQ(nn_send(asker, &body, NN_MSG, 0), SIZE);
            REQUIRE(nn_recv(s, &other, NN_MSG, 0) == SIZE);
            CHECK_EQ(nn_send(s, &other, NN_MSG, 0), SIZE);
            REQUIRE(nn_recv(asker, &body, NN_MSG, 0) == SIZE);
            int wrong = 0;
            for (int at = 0; at < SIZE; at += 4)
                wrong += memcmp(body + at, &(int){at ^ round}, 4) != 0;
            CHECK_EQ(wrong, 0);
            CHECK_EQ(nn_freemsg(body), 0);
        }
        CHECK_CLOSE(asker, s);
        device_stop(&bridge.device);
    }
}

/* protocols 10: "MAXTTL = N lets a message cross at most N - 1 devices". Seven devices make eight
 * words, which the default lets pass; the eighth is made by hand, to know what it has passed on. */
static void seven_devices_pass_and_eight_do_not(void)
{
    enum { DEVICES = 7 };
    for (int survey = 0; survey < 2; survey++) {
        int answering = survey ? NN_RESPONDENT : NN_REP, asking = survey ? NN_SURVEYOR : NN_REQ;
        struct url urls[DEVICES + 1], last = unique_url("inproc");
        struct device devices[DEVICES];
        struct message message;
        for (int i = 0; i <= DEVICES; i++)
            urls[i] = unique_url("inproc");
        for (int i = 0; i < DEVICES; i++) {
            int s1 = open_bound(AF_SP_RAW, answering, urls[i].text);
            int s2 = open_connected(AF_SP_RAW, asking, urls[i + 1].text);
            set_int(s1, NN_RCVTIMEO, -1);
            set_int(s2, NN_RCVTIMEO, -1);
            device_start(&devices[i], s1, s2);
        }
        int asker = open_connected(AF_SP, asking, urls[0].text);
        int end = open_bound(AF_SP, answering, urls[DEVICES].text);
        for (int i = 0; i < 10; i++) {
            CHECK_SEND(asker, "seven");
            CHECK_RECV(end, "seven");
            CHECK_SEND(end, "back");
            CHECK_RECV(asker, "back");
        }
        CHECK_CLOSE(end);

        int in = open_bound(AF_SP_RAW, answering, urls[DEVICES].text);
        int out = open_connected(AF_SP_RAW, asking, last.text);
        end = open_bound(AF_SP, answering, last.text);
        CHECK_SEND(asker, "eight");
        CHECK_TAKES(in, &message, "eight");
        /* The key of `in` and of the seven devices, and the id. */
        CHECK_EQ(message.header_size, 4 * 9);
        answer(out, &message, "eight");
        CHECK_AGAIN(end);
        set_int(end, NN_MAXTTL, 9);
        answer(out, &message, "nine");
        CHECK_RECV(end, "nine");
        CHECK_SEND(end, "back");
        /* The raw socket shows the first word; the key of `in` is the next hop of the way back. */
        CHECK_OK(recv_message(out, &message, 0));
        CHECK_EQ(message.size, 4 * 8 + 4);
        CHECK_MEM(message.body + 4 * 8, "back", 4);
        CHECK_CLOSE(asker, in, out, end);
        for (int i = 0; i < DEVICES; i++)
            device_stop(&devices[i]);
    }
}

struct party {
    const char *url;
    int number;
    int count;
};

static void *work(void *argument)
{
    struct party *party = argument;
    int s = open_connected(AF_SP, NN_REP, party->url), numbers[2];
    while (nn_recv(s, numbers, sizeof numbers, 0) == sizeof numbers && numbers[0] >= 0) {
        party->count++;
        numbers[1] = ~numbers[1];
        CHECK_EQ(nn_send(s, numbers, sizeof numbers, 0), sizeof numbers);
    }
    CHECK_CLOSE(s);
    return NULL;
}

static void *ask(void *argument)
{
    struct party *party = argument;
    int s = open_connected(AF_SP, NN_REQ, party->url);
    for (int i = 0; i < party->count; i++) {
        int numbers[2] = {party->number, i};
        CHECK_EQ(nn_send(s, numbers, sizeof numbers, 0), sizeof numbers);
        CHECK_EQ(nn_recv(s, numbers, sizeof numbers, 0), sizeof numbers);
        CHECK_EQ(numbers[0], party->number);
        CHECK_EQ(numbers[1], ~i);
    }
    CHECK_CLOSE(s);
    return NULL;
}

/* protocols 11, reliability P2: many clients, several services, and each gets its own replies. */
static void everybody_gets_the_right_reply(void)
{
    enum { CLIENTS = 6, WORKERS = 3, REQUESTS = 200 };
    for (int i = first_scheme(); i < 3; i++) {
        struct bridge bridge;
        struct thread clients[CLIENTS], workers[WORKERS];
        struct party asks[CLIENTS], works[WORKERS];
        int total = 0;
        bridge_open(&bridge, SCHEMES[i], NN_REP, NN_REQ, 0);
        for (int j = 0; j < WORKERS; j++) {
            works[j] = (struct party){bridge.back.text, j, 0};
            thread_start(&workers[j], work, &works[j]);
        }
        CHECK_PIPES(bridge.device.s2, WORKERS);
        for (int j = 0; j < CLIENTS; j++) {
            asks[j] = (struct party){bridge.front.text, j, REQUESTS};
            thread_start(&clients[j], ask, &asks[j]);
        }
        for (int j = 0; j < CLIENTS; j++)
            thread_join(&clients[j]);
        /* One farewell for each worker: they take turns. */
        int farewell[2] = {-1, 0}, s = open_connected(AF_SP_RAW, NN_REQ, bridge.front.text);
        const unsigned char id[] = {WORD(TOP_BIT)};
        for (int j = 0; j < WORKERS; j++)
            CHECK_EQ(send_message(s, id, 4, farewell, sizeof farewell, 0), sizeof farewell);
        for (int j = 0; j < WORKERS; j++) {
            thread_join(&workers[j]);
            CHECK_AT_LEAST(works[j].count, 1);
            total += works[j].count;
        }
        CHECK_EQ(total, CLIENTS * REQUESTS);
        CHECK_CLOSE(s);
        device_stop(&bridge.device);
    }
}

int main(void)
{
    test_begin("protocols/device", 58);
    RUN(arguments_are_checked_in_order);
    RUN(every_pair_is_taken_or_refused);
    RUN(a_cooked_socket_is_refused);
    RUN(every_raw_socket_may_loop_back);
    RUN(a_loopback_that_cannot_send_ends_at_a_message);
    RUN(questions_and_answers_pass);
    RUN(pairs_talk_through_a_device);
    RUN(one_way_devices_run_in_their_direction);
    RUN(a_subscription_decides_what_is_forwarded);
    RUN(a_bus_device_does_not_echo);
    RUN(a_bus_loopback_reaches_the_others);
    RUN(a_loopback_echoes);
    RUN(the_bytes_on_both_sides_of_a_device);
    RUN(large_bodies_pass);
    RUN(seven_devices_pass_and_eight_do_not);
    RUN(everybody_gets_the_right_reply);
    return test_end();
}
