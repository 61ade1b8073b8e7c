/*
 * Receiving as programs with an event loop do: they wait for descriptors or in nn_poll, and only
 * then ask for the message.
 */

#include "bench.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include <nanomsg/nn.h>

#define FOREVER (-1)

struct waiter {
    struct pollfd descriptor; /* For one socket... */
    struct nn_pollfd *watched; /* ...or NULL. */
    unsigned count;
};

static int descriptor_of(int socket) {
    int descriptor;
    size_t size = sizeof descriptor;

    must(nn_getsockopt(socket, NN_SOL_SOCKET, NN_RCVFD, &descriptor, &size), "NN_RCVFD");
    return descriptor;
}

struct waiter *waiter_new(const struct plan *plan, const int *sockets, unsigned count) {
    struct waiter *waiter;

    if (plan->activity != POLL_ONE && plan->activity != POLL_MANY) {
        return NULL;
    }
    waiter = calloc(1, sizeof *waiter);
    if (waiter == NULL) {
        fail_errno("calloc");
    }
    if (plan->activity == POLL_ONE) {
        waiter->descriptor.fd = descriptor_of(sockets[0]);
        waiter->descriptor.events = POLLIN;
        return waiter;
    }
    waiter->count = count;
    waiter->watched = calloc(count, sizeof *waiter->watched);
    if (waiter->watched == NULL) {
        fail_errno("calloc");
    }
    for (unsigned i = 0; i < count; i++) {
        waiter->watched[i].fd = sockets[i];
        waiter->watched[i].events = NN_POLLIN;
    }
    return waiter;
}

void waiter_free(struct waiter *waiter) {
    if (waiter != NULL) {
        free(waiter->watched);
        free(waiter);
    }
}

static void wait_for(struct waiter *waiter, unsigned index) {
    if (waiter->watched == NULL) {
        while (poll(&waiter->descriptor, 1, FOREVER) < 0) {
            if (errno != EINTR) {
                fail_errno("poll");
            }
        }
        return;
    }
    must(nn_poll(waiter->watched, (int)waiter->count, FOREVER), "nn_poll");
    for (unsigned i = 0; i < waiter->count; i++) {
        if ((waiter->watched[i].revents != 0) != (i == index)) {
            fail("nn_poll reported another socket than the one with a message");
        }
    }
}

int recv_on(struct waiter *waiter, const int *sockets, unsigned index, void *buffer, size_t size) {
    int got;

    if (waiter == NULL) {
        return must(nn_recv(sockets[index], buffer, size, 0), "nn_recv");
    }
    /* A descriptor may be ready too early; what that costs belongs to the result. */
    do {
        wait_for(waiter, index);
        got = nn_recv(sockets[index], buffer, size, NN_DONTWAIT);
    } while (got < 0 && nn_errno() == EAGAIN);
    return must(got, "nn_recv");
}
