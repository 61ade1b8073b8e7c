/* What the tests of spmsg.h have in common. */

#ifndef SPMSG_BEYOND_H
#define SPMSG_BEYOND_H

#include "support/address.h"
#include "support/check.h"
#include "support/clock.h"

#include <spmsg/spmsg.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const BEYOND_SCHEMES[] = {"inproc", "ipc", "tcp", "ws"};

/* Waits for an event as a program does, and takes it. */
static inline struct spmsg_event next_event(int s)
{
    struct spmsg_event event = {.type = -1};
    struct pollfd ready = {spmsg_events(s), POLLIN, 0};
    CHECK_EQ(poll(&ready, 1, PATIENCE_MS), 1);
    CHECK_EQ(spmsg_next_event(s, &event), 0);
    return event;
}

/* The next event of that type. */
static inline struct spmsg_event await_event(int s, int type)
{
    struct spmsg_event event = next_event(s);
    while (event.type != type && event.type != -1)
        event = next_event(s);
    CHECK_EQ(event.type, type);
    return event;
}

/* The address of an endpoint. */
static inline const char *address_of(int s, int endpoint)
{
    static char address[SPMSG_ADDRESS_MAX];
    int length = spmsg_address(s, endpoint, address, sizeof address);
    CHECK_EQ(length, (int)strlen(address));
    return address;
}

/* The address at which `s` listens from now on. */
static inline struct url listen_at(int s, const char *scheme)
{
    struct url url;
    char address[64];
    snprintf(address, sizeof address, "%s://127.0.0.1:0", scheme);
    int endpoint = spmsg_bind(s, address);
    CHECK_OK(endpoint);
    snprintf(url.text, sizeof url.text, "%s", address_of(s, endpoint));
    return url;
}

/* The port in an address. */
static inline int port_of(const char *address)
{
    const char *colon = strrchr(address, ':');
    return colon ? atoi(colon + 1) : -1;
}

#endif
