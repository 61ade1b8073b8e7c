/* What the tests of spmsg.h have in common. */

#ifndef SPMSG_BEYOND_H
#define SPMSG_BEYOND_H

#include "support/check.h"

#include <spmsg/spmsg.h>

#include <stdlib.h>
#include <string.h>

static const char *const BEYOND_SCHEMES[] = {"inproc", "ipc", "tcp", "ws"};

/* The address of an endpoint. */
static inline const char *address_of(int s, int endpoint)
{
    static char address[SPMSG_ADDRESS_MAX];
    int length = spmsg_address(s, endpoint, address, sizeof address);
    CHECK_EQ(length, (int)strlen(address));
    return address;
}

/* The port in an address. */
static inline int port_of(const char *address)
{
    const char *colon = strrchr(address, ':');
    return colon ? atoi(colon + 1) : -1;
}

#endif
