/* An address that stays free until another process has bound it.
 *
 * Between the choice of a port and a child that binds it lies the start of a program: time enough
 * for somebody else, who looks for a port as well, to be in the way. A socket that is bound and
 * does not listen keeps the port from all who look for a free one, and from nobody who listens. */

#ifndef SPMSG_RESERVED_H
#define SPMSG_RESERVED_H

#include "testutil.h"

struct reserved {
    struct url url;
    int fd; /* -1 when there is nothing to hold */
};

TESTUTIL struct reserved reserve_url(const char *scheme)
{
    struct reserved reserved = {unique_url(scheme), -1};
    int one = 1;
    for (int tries = 0; strcmp(scheme, "ipc") != 0; tries++) {
        struct sockaddr_storage address;
        socklen_t size = raw_address(reserved.url.text, &address);
        reserved.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        REQUIRE(reserved.fd >= 0 && tries < 1000);
        setsockopt(reserved.fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        if (bind(reserved.fd, (struct sockaddr *)&address, size) == 0)
            break;
        close(reserved.fd);
        reserved.url = unique_url(scheme);
    }
    return reserved;
}

/* To be called when the other process has bound it. */
TESTUTIL void release_url(struct reserved *reserved)
{
    if (reserved->fd >= 0)
        close(reserved->fd);
    reserved->fd = -1;
}

#endif
