/* Handles by the thousand: which numbers they get, what limits them, and what an idle socket costs.
 * What depends on the limit of descriptors happens in children. */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/process.h"
#include "support/resources.h"
#include "support/sockets.h"

#include <nanomsg/bus.h>
#include <nanomsg/nn.h>
#include <nanomsg/pair.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

enum { MANY = 4000 };

static int in_a_child(int (*function)(void *), void *argument)
{
    struct child child;
    child_start(&child, function, argument);
    return child_wait(&child, 5 * PATIENCE_MS);
}

/* core 1.1, core-quirks A-1: the table of that section */
static void closed_numbers_come_back_in_reverse(void)
{
    static const struct { int open, closed[4], next[5]; } histories[] = {
        {4, {1, 3, -1, -1}, {3, 1, 4, -1, -1}},
        {5, {0, 4, 2, -1}, {2, 4, 0, 5, -1}},
        {6, {-1, -1, -1, -1}, {6, 7, 8, 9, 10}},
    };
    for (int i = 0; i < 3; i++) {
        for (int s = 0; s < histories[i].open; s++)
            CHECK_EQ(nn_socket(AF_SP, NN_PAIR), s);
        for (int j = 0; j < 4 && histories[i].closed[j] >= 0; j++)
            CHECK_CLOSE(histories[i].closed[j]);
        for (int j = 0; j < 5 && histories[i].next[j] >= 0; j++)
            CHECK_EQ(nn_socket(AF_SP, NN_PAIR), histories[i].next[j]);
        for (int s = 10; s >= 0; s--)
            nn_close(s);
    }
}

/* core 1.1: a stack, for any history; failed calls do not disturb it, and with the last socket it
 * starts anew. */
static void numbers_are_a_stack(void)
{
    enum { LIMIT = 100 };
    int open[LIMIT], closed[LIMIT], open_count = 0, closed_count = 0, highest = 0;
    unsigned random = 20;
    for (int step = 0; step < 5000; step++) {
        random = random * 1103515245 + 12345;
        int opens = (int)(random >> 16) % 100 < (step / 500 % 2 ? 35 : 62);
        if (random >> 28 == 3)
            CHECK_ERRNO(nn_socket(random >> 20 & 1 ? AF_SP : 77, 4242), -1,
                        random >> 20 & 1 ? EINVAL : EAFNOSUPPORT);
        if (opens && open_count < LIMIT) {
            int expected = closed_count > 0 ? closed[--closed_count] : highest++;
            int s = nn_socket(AF_SP, NN_BUS);
            CHECK_EQ(s, expected);
            open[open_count++] = s;
        } else if (!opens && open_count > 0) {
            int place = (int)(random >> 8) % open_count;
            CHECK_CLOSE(open[place]);
            CHECK_ERRNO(nn_close(open[place]), -1, EBADF);
            closed[closed_count++] = open[place];
            open[place] = open[--open_count];
            if (open_count == 0)
                closed_count = highest = 0;
        }
    }
    while (open_count > 0)
        CHECK_CLOSE(open[--open_count]);
    CHECK_EQ(nn_socket(AF_SP, NN_PAIR), 0);
    CHECK_CLOSE(0);
}

static int use_many(void *unused)
{
    char address[64];
    (void)unused;
    if (!limit_descriptors(2 * MANY + 100))
        return 77;
    for (int s = 0; s < MANY; s++)
        REQUIRE(nn_socket(AF_SP, NN_PAIR) == s);
    for (int s = 0; s < MANY; s += 2) {
        snprintf(address, sizeof address, "inproc://many-%d", s);
        CHECK_EQ(nn_bind(s, address), 1);
        CHECK_EQ(nn_connect(s + 1, address), 1);
    }
    for (int s = 0; s < MANY; s++)
        CHECK_EQ(nn_send(s, &s, sizeof s, NN_DONTWAIT), sizeof s);
    for (int s = 0; s < MANY; s++) {
        int from = -1;
        CHECK_EQ(nn_recv(s, &from, sizeof from, NN_DONTWAIT), sizeof from);
        CHECK_EQ(from, s ^ 1);
    }
    CHECK_CLOSE(3000, 700);
    CHECK_EQ(nn_socket(AF_SP, NN_PAIR), 700);
    CHECK_EQ(nn_socket(AF_SP, NN_PAIR), 3000);
    CHECK_EQ(nn_socket(AF_SP, NN_PAIR), MANY);
    for (int s = MANY; s >= 0; s--)
        CHECK_CLOSE(s);
    CHECK_EQ(nn_socket(AF_SP, NN_PAIR), 0);
    CHECK_CLOSE(0);
    return 0;
}

/* The limit of the reference is 512 (core 1.1); half the limit of descriptors is ours. */
static void thousands_of_sockets_work(void)
{
    int status = in_a_child(use_many, NULL);
    if (status == 77)
        test_skip("too few descriptors are allowed");
    else
        CHECK_EQ(status, 0);
}

static int use_up(void *argument)
{
    int limit = *(int *)argument, count = 0, s;
    if (!limit_descriptors((rlim_t)limit))
        return 77;
    for (int round = 0; round < 3; round++) {
        count = 0;
        while ((s = nn_socket(AF_SP, NN_PAIR)) >= 0)
            CHECK_EQ(s, count++);
        CHECK_EQ(errno, EMFILE);
        CHECK_AT_LEAST(count, limit / 2 - 20);
        CHECK_AT_MOST(count, limit < 32 ? 16 : limit / 2);
        if (!reference())
            CHECK_AT_LEAST(count, limit < 32 ? 16 : limit / 2);
        /* The domain comes before the limit. */
        CHECK_ERRNO(nn_socket(77, NN_PAIR), -1, EAFNOSUPPORT);
        CHECK_ERRNO(nn_socket(AF_SP, NN_PAIR), -1, EMFILE);
        CHECK_ERRNO(nn_socket(AF_SP_RAW, NN_BUS), -1, EMFILE);
        /* It goes on as soon as there is room, and a failure has cost nothing. */
        CHECK_CLOSE(2);
        CHECK_EQ(nn_socket(AF_SP, NN_PAIR), 2);
        CHECK_ERRNO(nn_socket(AF_SP, NN_PAIR), -1, EMFILE);
        while (count > 0)
            CHECK_CLOSE(--count);
    }
    CHECK_EQ(nn_socket(AF_SP, NN_PAIR), 0);
    CHECK_CLOSE(0);
    return 0;
}

/* core 1.1, core-quirks and D (emfile), abi 6.1 */
static void the_limit_of_descriptors_is_reported(void)
{
    static int limits[] = {64, 65, 100, 256, 8, 31};
    /* Only ours opens a few sockets in any case. */
    for (int i = 0; i < (reference() ? 4 : 6); i++)
        CHECK_EQ(in_a_child(use_up, &limits[i]), 0);
}

/* ---- what an idle socket costs ---- */

struct shape {
    const char *name;
    const char *scheme; /* or NULL for sockets without endpoints */
    int shows;          /* whether their descriptors are asked for */
};

static int measure(void *argument)
{
    enum { COUNT = 400 };
    const struct shape *shape = argument;
    struct threads threads = threads_now();
    int sockets[COUNT], to_show = 2;
    if (!limit_descriptors(4096))
        return 77;
    /* The library itself is not counted, only its thread. */
    int first = nn_socket(AF_SP, NN_BUS), descriptors = count_descriptors();
    long memory = resident_kb();
    REQUIRE(first == 0);
    for (int i = 0; i < COUNT; i += 2) {
        struct url url = unique_url(shape->scheme ? shape->scheme : "inproc");
        sockets[i] = nn_socket(AF_SP, NN_PAIR);
        sockets[i + 1] = nn_socket(AF_SP, NN_PAIR);
        REQUIRE(sockets[i] > 0 && sockets[i + 1] > 0);
        if (shape->scheme) {
            CHECK_OK(nn_bind(sockets[i], url.text));
            CHECK_OK(nn_connect(sockets[i + 1], url.text));
        }
        for (int j = i; shape->shows && j < i + 2; j++) {
            int shown = get_int(sockets[j], NN_SOL_SOCKET, NN_RCVFD);
            CHECK_OK(shown);
            CHECK_OK(get_int(sockets[j], NN_SOL_SOCKET, NN_SNDFD));
            to_show = is_pipe(shown) ? 4 : 2;
        }
    }
    for (int i = 0; shape->scheme && i < COUNT; i++)
        CHECK(wait_stat(sockets[i], NN_STAT_CURRENT_CONNECTIONS, 1, PATIENCE_MS));
    descriptors = count_descriptors() - descriptors;
    printf("%s: per socket %.2f KiB and %.2f descriptors; %d more threads\n", shape->name,
           (double)(resident_kb() - memory) / COUNT, (double)descriptors / COUNT,
           count_more_threads(&threads));
    /* core 1.2: one thread however many sockets, and two descriptors to show the readiness, or two
     * pipes; a tcp or ipc pair has a listener and two ends. */
    CHECK_AT_MOST(count_more_threads(&threads), 1);
    CHECK_AT_MOST(descriptors, COUNT * to_show +
                  (shape->scheme && strcmp(shape->scheme, "inproc") != 0 ? COUNT * 3 / 2 : 0));
    for (int i = 0; i < COUNT; i++)
        CHECK_CLOSE(sockets[i]);
    CHECK_CLOSE(first);
    return 0;
}

/* core 1.2; the figures are a report, to be read beside those of the other library. */
static void an_idle_socket_costs_little(void)
{
    static struct shape shapes[] = {
        {"alone", NULL, 0}, {"alone, with NN_SNDFD and NN_RCVFD", NULL, 1},
        {"in pairs over inproc", "inproc", 0}, {"in pairs over ipc", "ipc", 0},
        {"in pairs over tcp", "tcp", 0},
    };
    for (size_t i = 0; i < COUNT_OF(shapes); i++)
        CHECK_EQ(in_a_child(measure, &shapes[i]), 0);
}

int main(void)
{
    test_begin("api/handles", 100);
    RUN(closed_numbers_come_back_in_reverse);
    RUN(numbers_are_a_stack);
    RUN(thousands_of_sockets_work);
    RUN(the_limit_of_descriptors_is_reported);
    RUN(an_idle_socket_costs_little);
    return test_end();
}
