/* Peers that come, say one thing and go, faster than a receiver listens: they are made to wait,
 * what they have said is heard, and nothing takes longer the more of them there were.
 *
 *   leavers inproc|ipc|tcp|ws|tls+tcp|wss [EFFORT [SEED]] */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/credentials.h"
#include "support/resources.h"
#include "support/sockets.h"
#include "support/thread.h"
#include "support/trial.h"

#include <nanomsg/nn.h>
#include <nanomsg/bus.h>
#include <nanomsg/pipeline.h>

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A peer waits so long before it takes itself for one that is not let in. */
enum { GIVE_UP_MS = 2000 };
enum { GROWTH_KB = 32 * 1024 };

/* How much each peer says, after how many the next ones are made to wait at the earliest, and what
 * number is more than can be left there, with buffers of the default size. Over streams, where each
 * takes its time, fewer say more. */
static struct {
    int size, few, enough, crowd;
} measure = {4, 400, 6000, 5000};

/* ---- coming, saying a number, going ---- */

static int say(int s, int number)
{
    char body[1 << 14] = {0};
    memcpy(body, &number, sizeof number);
    return nn_send(s, body, (size_t)measure.size, 0);
}

/* False when it could not be said. What was said is said, however soon the socket is closed. */
static int say_and_leave(const char *url, int number, int wait_ms)
{
    int s = dressed(nn_socket(AF_SP, NN_PUSH));
    CHECK_OK(s);
    set_int(s, NN_SNDTIMEO, wait_ms);
    set_int(s, NN_LINGER, PATIENCE_MS);
    CHECK_OK(nn_connect(s, url));
    int said = say(s, number) == measure.size;
    if (!said)
        CHECK_EQ(errno, ETIMEDOUT);
    CHECK_CLOSE(s);
    return said;
}

struct crowd {
    struct thread thread;
    const char *url;
    int first, count;
};

static void *pass_by(void *argument)
{
    struct crowd *crowd = argument;
    for (int i = 0; i < crowd->count && !case_failed(); i++)
        CHECK(say_and_leave(crowd->url, crowd->first + i, 3 * PATIENCE_MS));
    return NULL;
}

/* Receives that many numbers, each once, of those below a bound. */
static void hear(int s, int count, int bound)
{
    char *heard = calloc((size_t)bound, 1);
    for (int i = 0; i < count && !case_failed(); i++) {
        int number = -1;
        CHECK_EQ(nn_recv(s, &number, sizeof number, 0), measure.size);
        CHECK(number >= 0 && number < bound && !heard[number]++);
    }
    free(heard);
}

static int open_listener(int type, const char *url, int buffer)
{
    int s = open_socket(AF_SP, type);
    if (buffer)
        set_int(s, NN_RCVBUF, buffer);
    CHECK_OK(nn_bind(s, url));
    return s;
}

/* ---- cases ---- */

/* reliability P5 */
static void those_who_come_wait_while_much_is_unheard(void)
{
    struct url url = unique_url(trial.scheme);
    int s = open_listener(NN_PULL, url.text, 0), said = 0;
    long before = resident_kb();
    while (said < measure.enough && say_and_leave(url.text, said, GIVE_UP_MS))
        said++;
    printf("%d left their word, %ld KB more\n", said, resident_kb() - before);
    /* Enough for a program that listens when all have spoken, and not without end. */
    CHECK_AT_LEAST(said, measure.few);
    CHECK(said < measure.enough);
    if (memory_can_be_measured())
        CHECK_AT_MOST(resident_kb() - before, GROWTH_KB);
    /* One who waits is let in when the listener has caught up. */
    struct crowd late = {.url = url.text, .first = said, .count = 1};
    thread_start(&late.thread, pass_by, &late);
    hear(s, said + 1, said + 1);
    thread_join(&late.thread);
    errno = 0;
    CHECK_ERRNO(nn_recv(s, NULL, 0, NN_DONTWAIT), -1, EAGAIN);
    CHECK_CLOSE(s);
}

/* reliability P2, P5 */
static void a_crowd_that_is_faster_is_heard_to_the_last(void)
{
    enum { CROWDS = 4 };
    int each = measure.crowd * trial.effort;
    struct url url = unique_url(trial.scheme);
    struct crowd crowds[CROWDS];
    int s = open_listener(NN_PULL, url.text, 0);
    long before = resident_kb();
    for (int i = 0; i < CROWDS; i++) {
        crowds[i] = (struct crowd){.url = url.text, .first = i * each, .count = each};
        thread_start(&crowds[i].thread, pass_by, &crowds[i]);
    }
    hear(s, CROWDS * each, CROWDS * each);
    for (int i = 0; i < CROWDS; i++)
        thread_join(&crowds[i].thread);
    if (memory_can_be_measured())
        CHECK_AT_MOST(resident_kb() - before, GROWTH_KB);
    CHECK_CLOSE(s);
}

/* protocols 9: it may lose what it does not listen to, and must not lose those who listen to it. */
static void who_only_talks_is_heard_by_whoever_comes(void)
{
    struct url url = unique_url(trial.scheme);
    int s = open_listener(NN_BUS, url.text, 0);
    long before = resident_kb();
    /* The last one stays; by then much has been said that nobody has heard. */
    for (int i = 0; i < measure.few * 4 && !case_failed(); i++) {
        int peer = open_connected(AF_SP, NN_BUS, url.text);
        CHECK_PIPES(peer, 1);
        CHECK_PIPES(s, 1);
        CHECK_EQ(say(peer, i), measure.size);
        CHECK_CLOSE(peer);
        CHECK_PIPES(s, 0);
    }
    int peer = open_connected(AF_SP, NN_BUS, url.text), number = 4711, heard = 0;
    CHECK_PIPES(s, 1);
    CHECK_EQ(nn_send(s, &number, sizeof number, 0), sizeof number);
    CHECK_EQ(nn_recv(peer, &heard, sizeof heard, 0), sizeof heard);
    CHECK_EQ(heard, number);
    if (memory_can_be_measured())
        CHECK_AT_MOST(resident_kb() - before, GROWTH_KB);
    CHECK_CLOSE(peer, s);
}

/* Processor time of closing a listener to which so many have left their word. */
static int64_t cost_of_closing(int count)
{
    struct url url = unique_url("inproc");
    int s = open_listener(NN_PULL, url.text, 1 << 30);
    for (int i = 0; i < count && !case_failed(); i++)
        CHECK(say_and_leave(url.text, i, PATIENCE_MS));
    int64_t before = cpu_us();
    CHECK_CLOSE(s);
    return cpu_us() - before;
}

/* reliability P3: in a time that grows with their number, and not with its square. */
static void closing_on_many_who_have_left_is_quick(void)
{
    enum { FEW = 5000, TIMES = 16 };
    int64_t few = cost_of_closing(FEW), many = cost_of_closing(FEW * TIMES);
    printf("%lld us for %d, %lld us for %d\n", (long long)few, FEW, (long long)many, FEW * TIMES);
    /* Memory that is no longer in the cache costs something, too. */
    CHECK_AT_MOST(many, (few > 5000 ? few : 5000) * TIMES * 6);
}

int main(int count, char **words)
{
    trial_begin("robustness/leavers", "inproc|ipc|tcp|ws|tls+tcp|wss", 60, count, words);
    if (strcmp(trial.scheme, "inproc") != 0) {
        measure.size = 1 << 14;
        measure.few = 80;
        measure.enough = 1000;
        measure.crowd = 200;
    }
    RUN(those_who_come_wait_while_much_is_unheard);
    RUN(a_crowd_that_is_faster_is_heard_to_the_last);
    RUN(who_only_talks_is_heard_by_whoever_comes);
    if (strcmp(trial.scheme, "inproc") == 0)
        RUN(closing_on_many_who_have_left_is_quick);
    RUN(nothing_is_left);
    return test_end();
}
