/* How nn_device ends: when its sockets are closed, when the library is, at timeouts, by signals. */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/device.h"
#include "support/process.h"
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
#include <signal.h>
#include <stdint.h>
#include <string.h>

/* Every pair that a device takes (core 10.1). */
static const int pairs[][2] = {
    {NN_PAIR, NN_PAIR}, {NN_BUS, NN_BUS}, {NN_REQ, NN_REP}, {NN_REP, NN_REQ}, {NN_REQ, NN_REQ},
    {NN_REP, NN_REP}, {NN_SURVEYOR, NN_RESPONDENT}, {NN_RESPONDENT, NN_SURVEYOR},
    {NN_SURVEYOR, NN_SURVEYOR}, {NN_RESPONDENT, NN_RESPONDENT}, {NN_SUB, NN_PUB},
    {NN_PUB, NN_SUB}, {NN_PULL, NN_PUSH}, {NN_PUSH, NN_PULL},
};

static const int loopbacks[] = {NN_PAIR, NN_BUS, NN_REQ, NN_REP, NN_SURVEYOR, NN_RESPONDENT,
                                NN_SUB, NN_PULL};

enum {
    PAIRS = COUNT_OF(pairs),
    LOOPBACKS = COUNT_OF(loopbacks),
    PROMPT_MS = 100,
    TRIES = 5
};

static int can_recv(int type)
{
    return type != NN_PUB && type != NN_PUSH;
}

static int is_one_way(int i)
{
    return !can_recv(pairs[i][0]) || !can_recv(pairs[i][1]);
}

/* A raw socket that waits for ever. */
static int open_patient(int type)
{
    int s = nn_socket(AF_SP_RAW, type);
    REQUIRE(s >= 0);
    return s;
}

static void start_patient(struct device *device, int s1, int s2)
{
    device_start(device, s1, s2);
    /* By then its threads are on their way into the receives. */
    CHECK(thread_asleep(&device->thread));
}

/* A device that has just lost a socket ends: within the promised time, unless this machine is too
 * busy to tell, which the best of several tries decides. */
static int ends_promptly(struct device *device)
{
    int64_t since = now_ms();
    if (!wait_until(thread_done(&device->thread), PATIENCE_MS)) {
        FAIL("the device goes on without one of its sockets");
        return 0;
    }
    return now_ms() - since <= PROMPT_MS;
}

/* core-quirks A-56 */
static void it_ends_when_both_sockets_are_closed(void)
{
    for (int i = 0; i < 2 * PAIRS; i++) {
        const int *types = pairs[i / 2];
        struct device device;
        int s1 = open_patient(types[0]), s2 = open_patient(types[1]);
        start_patient(&device, s1, s2);
        CHECK_CLOSE(i % 2 ? s2 : s1, i % 2 ? s1 : s2);
        CHECK_ENDS(&device, EBADF);
    }
}

/* protocols 11: "A one-way device ends at once if its receiving socket is closed." */
static void one_way_it_ends_when_its_receiving_socket_is_closed(void)
{
    for (int i = 0; i < PAIRS; i++) {
        struct device device;
        if (!is_one_way(i))
            continue;
        int s[2] = {open_patient(pairs[i][0]), open_patient(pairs[i][1])};
        int receiving = can_recv(pairs[i][0]) ? 0 : 1;
        start_patient(&device, s[0], s[1]);
        CHECK_CLOSE(s[receiving]);
        CHECK_ENDS(&device, EBADF);
        CHECK_CLOSE(s[1 - receiving]);
    }
}

/* core 10.2: a loopback runs in the calling thread. */
static void a_loopback_ends_when_its_socket_is_closed(void)
{
    for (int i = 0; i < LOOPBACKS; i++) {
        struct device device;
        int s = open_patient(loopbacks[i]);
        start_patient(&device, s, -1);
        CHECK_CLOSE(s);
        CHECK_ENDS(&device, EBADF);
    }
}

/* reliability P3: "nn_device returns -1/EBADF promptly when either of its sockets is closed, every
 * protocol pair." The other socket is as good as before. */
static void it_ends_when_either_socket_is_closed(void)
{
    for (int i = 0; i < 2 * PAIRS; i++) {
        int prompt = 0;
        for (int try = 0; try < TRIES && !prompt; try++) {
            struct device device;
            int s[2] = {open_patient(pairs[i / 2][0]), open_patient(pairs[i / 2][1])};
            start_patient(&device, s[0], s[1]);
            CHECK_CLOSE(s[i % 2]);
            prompt = ends_promptly(&device);
            CHECK_ENDS(&device, EBADF);
            CHECK_EQ(get_int(s[1 - i % 2], NN_SOL_SOCKET, NN_PROTOCOL), pairs[i / 2][1 - i % 2]);
            CHECK_CLOSE(s[1 - i % 2]);
        }
        if (!prompt)
            FAIL("pair %d, socket %d: it ends, but not within %d ms", i / 2, i % 2, PROMPT_MS);
    }
}

/* reliability P3: also while the device waits to send, for a peer that takes nothing more. */
static void it_ends_when_either_socket_is_closed_while_it_sends(void)
{
    for (int i = 0; i < 4; i++) {
        int prompt = 0;
        for (int try = 0; try < TRIES && !prompt; try++) {
            struct url url = unique_url("inproc"), other = unique_url("inproc");
            struct device device;
            int s[2] = {open_patient(i / 2 ? NN_PULL : NN_PAIR),
                        open_patient(i / 2 ? NN_PUSH : NN_PAIR)};
            CHECK_OK(nn_bind(s[0], url.text));
            CHECK_OK(nn_bind(s[1], other.text));
            int from = open_connected(AF_SP, i / 2 ? NN_PUSH : NN_PAIR, url.text);
            int to = open_socket(AF_SP, i / 2 ? NN_PULL : NN_PAIR);
            set_int(to, NN_RCVBUF, 1);
            CHECK_OK(nn_connect(to, other.text));
            device_start(&device, s[0], s[1]);
            /* Two lie with the peer, the device has the third. */
            for (int j = 0; j < 3; j++)
                CHECK_SEND(from, "x");
            CHECK(wait_stat(s[0], NN_STAT_MESSAGES_RECEIVED, 3, PATIENCE_MS));
            CHECK(wait_stat(s[1], NN_STAT_MESSAGES_SENT, 2, PATIENCE_MS));
            CHECK_CLOSE(s[i % 2]);
            prompt = ends_promptly(&device);
            CHECK_ENDS(&device, EBADF);
            CHECK_CLOSE(s[1 - i % 2], from, to);
        }
        if (!prompt)
            FAIL("way %d: it ends, but not within %d ms", i, PROMPT_MS);
    }
}

/* reliability P3: the sockets are closed while messages run through in both directions. */
static void it_ends_in_the_middle_of_traffic(void)
{
    for (int i = 0; i < 40; i++) {
        struct url front = unique_url("inproc"), back = unique_url("inproc");
        struct device device;
        int s[2] = {open_patient(NN_PAIR), open_patient(NN_PAIR)};
        CHECK_OK(nn_bind(s[0], front.text));
        CHECK_OK(nn_bind(s[1], back.text));
        int a = open_connected(AF_SP, NN_PAIR, front.text);
        int b = open_connected(AF_SP, NN_PAIR, back.text);
        device_start(&device, s[0], s[1]);
        for (int j = 0; j < 10 * (i % 5); j++) {
            CHECK_SEND(a, "x");
            CHECK_SEND(b, "y");
        }
        CHECK_CLOSE(s[i % 2]);
        CHECK(wait_until(thread_done(&device.thread), PATIENCE_MS));
        CHECK_ENDS(&device, EBADF);
        CHECK_CLOSE(s[1 - i % 2], a, b);
    }
}

/* In a child, because a library that is terminated stays so. */
static int terminate(void *argument)
{
    struct device devices[PAIRS + LOOPBACKS];
    (void)argument;
    for (int i = 0; i < PAIRS; i++)
        start_patient(&devices[i], open_patient(pairs[i][0]), open_patient(pairs[i][1]));
    for (int i = 0; i < LOOPBACKS; i++)
        start_patient(&devices[PAIRS + i], open_patient(loopbacks[i]), -1);
    nn_term();
    for (int i = 0; i < PAIRS + LOOPBACKS; i++)
        CHECK_ENDS(&devices[i], EBADF);
    CHECK_ERRNO(nn_device(0, 1), -1, EBADF);
    CHECK_ERRNO(nn_device(0, -1), -1, EBADF);
    return 0;
}

/* core 10.2, core-quirks A-56 */
static void nn_term_ends_every_device(void)
{
    struct child child;
    child_start(&child, terminate, NULL);
    CHECK_EQ(child_wait(&child, 3 * PATIENCE_MS), 0);
}

/* core 10.2: "NN_RCVTIMEO/NN_SNDTIMEO of the sockets -> ETIMEDOUT (two-way: when both have
 * expired)"; the sockets are as good as before, and serve the next device. */
static void it_ends_when_nothing_comes_in_time(void)
{
    for (int i = 0; i < PAIRS; i++) {
        int s[2] = {open_patient(pairs[i][0]), open_patient(pairs[i][1])};
        for (int j = 0; j < 4; j++) {
            int longer = 0;
            for (int k = 0; k < 2; k++)
                if (can_recv(pairs[i][k])) {
                    int ms = j % 2 == k ? 10 : 40;
                    set_int(s[k], NN_RCVTIMEO, ms);
                    longer = ms > longer ? ms : longer;
                }
            int64_t since = now_us();
            CHECK_ERRNO(nn_device(s[0], s[1]), -1, ETIMEDOUT);
            CHECK_NOT_EARLY(since, longer);
        }
        CHECK_CLOSE(s[0], s[1]);
    }
    for (int i = 0; i < LOOPBACKS; i++) {
        int s = open_patient(loopbacks[i]);
        set_int(s, NN_RCVTIMEO, 20);
        int64_t since = now_us();
        CHECK_ERRNO(nn_device(s, -1), -1, ETIMEDOUT);
        CHECK_NOT_EARLY(since, 20);
        CHECK_CLOSE(s);
    }
}

/* core 10.2: a send that times out ends it; "A message received but not sendable is lost." */
static void it_ends_when_nothing_goes_in_time(void)
{
    struct url front = unique_url("inproc"), back = unique_url("inproc");
    struct device device;
    int pull = open_patient(NN_PULL), push = open_patient(NN_PUSH);
    CHECK_OK(nn_bind(pull, front.text));
    CHECK_OK(nn_bind(push, back.text));
    int from = open_connected(AF_SP, NN_PUSH, front.text);
    set_int(push, NN_SNDTIMEO, 20);
    start_patient(&device, pull, push);
    CHECK_SEND(from, "lost");
    CHECK_ENDS(&device, ETIMEDOUT);
    CHECK_SEND(from, "kept");
    int to = open_connected(AF_SP, NN_PULL, back.text);
    start_patient(&device, pull, push);
    CHECK_RECV(to, "kept");
    device_stop(&device);
    CHECK_CLOSE(from, to);
}

static void note_signal(int number)
{
    (void)number;
}

static void catch_signal(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = note_signal;
    /* core-quirks A-31: EINTR even so. */
    action.sa_flags = SA_RESTART;
    REQUIRE(sigaction(SIGUSR1, &action, NULL) == 0);
}

/* core 10.2: "a signal -> EINTR", where the device runs in the calling thread. */
static void a_signal_ends_what_runs_in_the_calling_thread(void)
{
    catch_signal();
    for (int i = 0; i < PAIRS + LOOPBACKS; i++) {
        struct device device;
        int loopback = i >= PAIRS;
        if (!loopback && !is_one_way(i))
            continue;
        int s1 = open_patient(loopback ? loopbacks[i - PAIRS] : pairs[i][0]);
        int s2 = loopback ? -1 : open_patient(pairs[i][1]);
        start_patient(&device, s1, s2);
        /* A signal that comes before the thread waits interrupts nothing. */
        CHECK(wait_until((pthread_kill(device.thread.id, SIGUSR1), thread_done(&device.thread)),
                         PATIENCE_MS));
        CHECK_ENDS(&device, EINTR);
        CHECK_CLOSE(s1);
        if (s2 >= 0)
            CHECK_CLOSE(s2);
    }
}

/* core 10.2: "(not for two-way)"; it goes on forwarding. */
static void a_signal_does_not_end_a_two_way_device(void)
{
    struct url front = unique_url("inproc"), back = unique_url("inproc");
    struct device device;
    int s1 = open_patient(NN_REP), s2 = open_patient(NN_REQ);
    catch_signal();
    CHECK_OK(nn_bind(s1, front.text));
    CHECK_OK(nn_bind(s2, back.text));
    int req = open_connected(AF_SP, NN_REQ, front.text);
    int rep = open_connected(AF_SP, NN_REP, back.text);
    start_patient(&device, s1, s2);
    for (int i = 0; i < 50; i++) {
        CHECK_EQ(pthread_kill(device.thread.id, SIGUSR1), 0);
        CHECK_SEND(req, "q");
        CHECK_RECV(rep, "q");
        CHECK_SEND(rep, "a");
        CHECK_RECV(req, "a");
    }
    CHECK(!thread_done(&device.thread));
    device_stop(&device);
    CHECK_CLOSE(req, rep);
}

int main(void)
{
    test_begin("protocols/device-end", 58);
    RUN(it_ends_when_both_sockets_are_closed);
    RUN(one_way_it_ends_when_its_receiving_socket_is_closed);
    RUN(a_loopback_ends_when_its_socket_is_closed);
    RUN(it_ends_when_either_socket_is_closed);
    RUN(it_ends_when_either_socket_is_closed_while_it_sends);
    RUN(it_ends_in_the_middle_of_traffic);
    RUN(nn_term_ends_every_device);
    RUN(it_ends_when_nothing_comes_in_time);
    RUN(it_ends_when_nothing_goes_in_time);
    RUN(a_signal_ends_what_runs_in_the_calling_thread);
    RUN(a_signal_does_not_end_a_two_way_device);
    return test_end();
}
