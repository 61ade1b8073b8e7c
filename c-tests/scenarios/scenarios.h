/* What the scenarios share: sockets and threads that wait while many others want the processor. */

#ifndef SPMSG_SCENARIOS_H
#define SPMSG_SCENARIOS_H

#include "support/check.h"
#include "support/clock.h"
#include "support/sockets.h"
#include "support/thread.h"

#include <nanomsg/nn.h>

#include <errno.h>
#include <pthread.h>
#include <stdint.h>

/* How long a socket waits for what must come while many others want the processor as well. */
enum { SCENARIO_PATIENCE_MS = 2 * PATIENCE_MS };

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
static inline void check_hears_nothing(int s, int ms)
{
    char bytes[64];
    set_int(s, NN_RCVTIMEO, ms);
    CHECK_ERRNO(nn_recv(s, bytes, sizeof bytes, 0), -1, ETIMEDOUT);
    set_int(s, NN_RCVTIMEO, SCENARIO_PATIENCE_MS);
}

/* Waits for as long as the whole program may take: the watchdog ends it. */
static inline void scenario_join(struct thread *thread)
{
    REQUIRE(pthread_join(thread->id, NULL) == 0);
}

#endif
