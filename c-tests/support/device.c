#include "support/device.h"

#include "support/sockets.h"
#include "support/thread.h"

#include <nanomsg/nn.h>

#include <errno.h>

static void *device_main(void *argument)
{
    struct device *device = argument;
    errno = 0;
    device->result = nn_device(device->s1, device->s2);
    device->error = errno;
    return NULL;
}

void device_start(struct device *device, int s1, int s2)
{
    *device = (struct device){.s1 = s1, .s2 = s2};
    thread_start(&device->thread, device_main, device);
}

void device_stop(struct device *device)
{
    CHECK_CLOSE(device->s1);
    if (device->s2 >= 0 && device->s2 != device->s1)
        CHECK_CLOSE(device->s2);
    CHECK_ENDS(device, EBADF);
}
