/* What the tests of wrong arguments share. */

#ifndef SPMSG_ABI_WRONG_H
#define SPMSG_ABI_WRONG_H

#include "support/check.h"
#include "support/clock.h"
#include "support/sockets.h"

#include <nanomsg/nn.h>

#include <errno.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* A socket of that type that waits for long, but not for ever. */
static inline int open_type(int domain, int protocol)
{
    errno = 0;
    int s = nn_socket(domain, protocol);
    if (s >= 0) {
        set_int(s, NN_SNDTIMEO, PATIENCE_MS);
        set_int(s, NN_RCVTIMEO, PATIENCE_MS);
    } else {
        FAIL("nn_socket(%d, %d): errno %d (%s)", domain, protocol, errno, nn_strerror(errno));
    }
    return s;
}

#endif
