/* Devices that run in threads of their own. */

#ifndef SPMSG_SUPPORT_DEVICE_H
#define SPMSG_SUPPORT_DEVICE_H

#include "support/check.h"
#include "support/thread.h"

/* A device that runs in a thread of its own. */
struct device {
    int s1, s2;
    int result;
    int error;
    struct thread thread;
};

/* `s2` is -1 for a loopback. The device must stay where it is until it has ended. */
void device_start(struct device *device, int s1, int s2);

/* Joins a device that ends with that error. */
#define CHECK_ENDS(device, with) do { \
    thread_join(&(device)->thread); \
    CHECK_EQ((device)->result, -1); \
    CHECK_EQ((device)->error, (with)); \
} while (0)

/* Closes the sockets of a device, which ends it (core 10.2). */
void device_stop(struct device *device);

#endif
