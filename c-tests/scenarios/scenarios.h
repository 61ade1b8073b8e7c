/* What the scenarios share: how long to go on, sockets that cannot make a test hang, many threads
 * of one kind, and messages that tell whether they are whole.
 *
 *   mesh tcp 20 7        twenty times the default effort, generator seeded with 7
 *
 * SPMSG_EFFORT and SPMSG_SEED say the same to all of them, for example under ctest. */

#ifndef SPMSG_SCENARIOS_H
#define SPMSG_SCENARIOS_H

#include "robustness/robustness.h"

#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/sockets.h"
#include "support/thread.h"

#include <nanomsg/nn.h>

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How long a socket waits for what must come while many others want the processor as well. */
enum { SCENARIO_PATIENCE_MS = 2 * PATIENCE_MS };

/* ---- program ---- */

/* Reads "SCHEME [EFFORT [SEED]]". The seconds are those that the default effort may take. */
static inline void scenario_begin(const char *name, int seconds, int count, char **words)
{
    const char *effort = getenv("SPMSG_EFFORT"), *seed = getenv("SPMSG_SEED");
    if (count < 2 || !is_scheme(words[1])) {
        fprintf(stderr, "usage: %s inproc|ipc|tcp [EFFORT [SEED]]\n", words[0]);
        exit(2);
    }
    if (count > 2)
        effort = words[2];
    if (count > 3)
        seed = words[3];
    robust.scheme = words[1];
    robust.effort = effort && atoi(effort) > 1 ? atoi(effort) : 1;
    robust.seed = seed ? strtoull(seed, NULL, 10) : 1;
    snprintf(robust.name, sizeof robust.name, "scenarios/%s-%s", name, robust.scheme);
    test_begin(robust.name, seconds * robust.effort);
    robust.before = belongings();
    printf("effort %d, seed %llu\n", robust.effort, (unsigned long long)robust.seed);
}

/* Whether a check of the current case has failed: nothing more can be learned from going on. */
static inline int case_failed(void)
{
    return __atomic_load_n(&test.failures, __ATOMIC_RELAXED) != test.failures_before;
}

/* ---- sockets ---- */

static inline int open_patient(int domain, int protocol)
{
    int s = nn_socket(domain, protocol);
    REQUIRE(s >= 0);
    set_int(s, NN_SNDTIMEO, SCENARIO_PATIENCE_MS);
    set_int(s, NN_RCVTIMEO, SCENARIO_PATIENCE_MS);
    set_int(s, NN_RECONNECT_IVL, 10);
    return s;
}

static inline void wait_connections(int s, int count)
{
    REQUIRE(wait_stat(s, NN_STAT_CURRENT_CONNECTIONS, (uint64_t)count, SCENARIO_PATIENCE_MS));
}

/* Nothing that must not come comes, neither now nor within a moment. */
static inline void check_silence(int s, int ms)
{
    char bytes[64];
    set_int(s, NN_RCVTIMEO, ms);
    CHECK_ERRNO(nn_recv(s, bytes, sizeof bytes, 0), -1, ETIMEDOUT);
    set_int(s, NN_RCVTIMEO, SCENARIO_PATIENCE_MS);
}

/* ---- threads ---- */

/* Waits for as long as the whole program may take: the watchdog ends it. */
static inline void scenario_join(struct thread *thread)
{
    REQUIRE(pthread_join(thread->id, NULL) == 0);
}

/* ---- messages ---- */

/* The bytes of a message follow from one number, which tells who sent it and as which. */
static inline void fill_from(unsigned char *bytes, size_t size, uint64_t number)
{
    uint64_t state = number;
    for (size_t i = 0; i < size; i += 8) {
        uint64_t word = next_random(&state);
        memcpy(bytes + i, &word, size - i < 8 ? size - i : 8);
    }
}

static inline int is_filled_from(const unsigned char *bytes, size_t size, uint64_t number)
{
    uint64_t state = number;
    for (size_t i = 0; i < size; i += 8) {
        uint64_t word = next_random(&state);
        if (memcmp(bytes + i, &word, size - i < 8 ? size - i : 8) != 0)
            return 0;
    }
    return 1;
}

#endif
