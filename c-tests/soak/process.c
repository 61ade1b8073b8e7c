/* One process of the soak: its ends, and what it is ordered to suffer. */

#include "soak.h"

#include "robustness/faultshim.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/random.h"
#include "support/resources.h"
#include "support/thread.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum { PERMILLE_MAX = 300, LOOK_MS = 10, REPORT_MS = 200 };

/* Calls that fail on a machine that is in trouble, and how. */
static const struct fault {
    const char *function;
    int error;
} FAULTS[] = {
    {"accept4", EMFILE},      {"accept4", ECONNABORTED}, {"connect", ECONNREFUSED},
    {"connect", ENETUNREACH}, {"socket", EMFILE},        {"socket", ENOBUFS},
    {"bind", EADDRINUSE},     {"listen", EADDRINUSE},    {"epoll_ctl", ENOMEM},
    {"epoll_ctl", ENOSPC},    {"epoll_wait", EINTR},     {"eventfd", EMFILE},
    {"poll", EINTR},          {"ppoll", EINTR},          {"recv", ECONNRESET},
    {"recvmsg", ECONNRESET},  {"recvmsg", EINTR},        {"send", EPIPE},
    {"sendmsg", ECONNRESET},  {"sendmsg", ENOBUFS},      {"sendmsg", EINTR},
    {"setsockopt", ENOMEM},   {"getsockopt", ENOBUFS},   {"close", EIO},
};

/* What it suffers now, until when. */
struct suffering {
    uint32_t order_number;
    enum order order;
    int64_t until;
    struct rlimit descriptors;
};

static void recover(struct suffering *now)
{
    if (now->order == ORDER_FAULT)
        fault_end();
    if (now->order == ORDER_LIMIT)
        REQUIRE(setrlimit(RLIMIT_NOFILE, &now->descriptors) == 0);
    now->order = ORDER_NONE;
}

static void suffer(struct suffering *now, struct process *self)
{
    uint64_t seed = self->order_seed;
    recover(now);
    now->order_number = SHARED(self->order_number);
    now->order = self->order;
    now->until = now_ms() + self->order_ms;
    if (now->order == ORDER_LIMIT) {
        REQUIRE(getrlimit(RLIMIT_NOFILE, &now->descriptors) == 0);
        struct rlimit few = now->descriptors;
        few.rlim_cur = (rlim_t)(count_descriptors() - 1 + random_below(&seed, 3));
        REQUIRE(setrlimit(RLIMIT_NOFILE, &few) == 0);
    } else if (now->order == ORDER_FAULT) {
        const struct fault *fault = &FAULTS[random_below(&seed, COUNT_OF(FAULTS))];
        int permille = 1 + random_below(&seed, PERMILLE_MAX);
        fault_often(fault->function, fault->error, permille, seed);
    }
}

/* What fails is told before somebody kills the process. */
static void tell_failures(void)
{
    static long told;
    long failures = __atomic_load_n(&test.failures, __ATOMIC_RELAXED);
    __atomic_fetch_add(&soak->failures, failures - told, __ATOMIC_RELAXED);
    told = failures;
}

/* Until the soak is over. */
static void obey(struct process *self)
{
    struct suffering now = {.order_number = SHARED(self->order_number)};
    int64_t report = 0;
    while (!SHARED(soak->stop)) {
        uint32_t quiet = SHARED(soak->quiet);
        tell_failures();
        if (now.order != ORDER_NONE && (quiet & 1 || now_ms() >= now.until))
            recover(&now);
        if (!(quiet & 1) && SHARED(self->order_number) != now.order_number)
            suffer(&now, self);
        if (quiet & 1) {
            now.order_number = SHARED(self->order_number);
            SHARE(self->calm, quiet);
            if (now_ms() >= report) {
                SHARE(self->descriptors, count_descriptors());
                /* What is free is given back, or else what threads keep of it is counted. */
                malloc_trim(0);
                SHARE(self->resident_kb, resident_kb());
                report = now_ms() + REPORT_MS;
            }
        }
        nap_ms(LOOK_MS);
    }
    recover(&now);
}

/* All places that are this process's. */
static int make_ends(int process, struct end *ends)
{
    int count = 0;
    for (int lane = 0; lane < LANES; lane++)
        for (int place = 0; place < soak->lanes[lane].places; place++) {
            if (soak->lanes[lane].transport != INPROC && process_of(lane, place) != process)
                continue;
            uint32_t incarnation = SHARED(soak->processes[process].incarnation);
            ends[count] = (struct end){.process = process, .lane = lane, .place = place};
            ends[count].random = soak->seed * 1000003 + incarnation * 10007u
                                 + (unsigned)(process * 1009 + lane * 31 + place);
            ends[count].book = calloc(1, sizeof *ends[count].book);
            REQUIRE(ends[count].book != NULL);
            count++;
        }
    return count;
}

int process_main(int process)
{
    static struct end ends[LANES * PLACES];
    static struct thread threads[LANES * PLACES];
    struct process *self = &soak->processes[process];
    struct belongings before = belongings();
    int count = make_ends(process, ends);
    for (int i = 0; i < count; i++)
        thread_start(&threads[i], end_main, &ends[i]);
    obey(self);
    for (int i = 0; i < count; i++)
        thread_join(&threads[i]);
    /* The files are those of other processes as well. */
    CHECK(wait_until(count_more_threads(&before.threads) == 0, PATIENCE_MS));
    CHECK_EQ(count_descriptors(), before.descriptors);
    for (int i = 0; i < count; i++)
        free(ends[i].book);
    return test.failures > 0;
}
