/* What the tests of spmsg.h have in common. */

#ifndef SPMSG_BEYOND_H
#define SPMSG_BEYOND_H

#include "testutil.h"

#include <nanomsg/pipeline.h>
#include <nanomsg/pubsub.h>
#include <nanomsg/reqrep.h>
#include <spmsg/spmsg.h>

static const char *const BEYOND_SCHEMES[] = {"inproc", "ipc", "tcp", "ws"};

/* The address of an endpoint. */
TESTUTIL const char *address_of(int s, int endpoint)
{
    static char address[SPMSG_ADDRESS_MAX];
    int length = spmsg_address(s, endpoint, address, sizeof address);
    CHECK_EQ(length, (int)strlen(address));
    return address;
}

/* The port in an address. */
TESTUTIL int port_of(const char *address)
{
    const char *colon = strrchr(address, ':');
    return colon ? atoi(colon + 1) : -1;
}

#endif
