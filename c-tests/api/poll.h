/* Entries of nn_poll whose result shows whether it was written. */

#ifndef SPMSG_API_POLL_H
#define SPMSG_API_POLL_H

#include "support/check.h"

#include <nanomsg/nn.h>

enum { IN = NN_POLLIN, OUT = NN_POLLOUT, UNTOUCHED = 0x55 };

static inline struct nn_pollfd ask(int s, int events)
{
    return (struct nn_pollfd){s, (short)events, UNTOUCHED};
}

static inline int poll_one(int s, int events, int timeout)
{
    struct nn_pollfd entry = ask(s, events);
    int result = nn_poll(&entry, 1, timeout);
    CHECK_AT_MOST(result, 1);
    if (result == 1)
        return entry.revents;
    CHECK_EQ(entry.revents, UNTOUCHED);
    return result;
}

#endif
