/*
 * A device between the two parties: a third process, or a third thread over inproc. Its main thread
 * runs nn_device, and another one serves the control channel.
 */

#include "bench.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <nanomsg/nn.h>

struct device {
    const struct plan *plan;
    int near_control;
    int control;
    pid_t child; /* 0 when it is a thread. */
    pthread_t thread;
    char ipc_path[ADDRESS_BYTES];
    int front; /* Faces the near party... */
    int back;  /* ...and the far one. */
};

/* Serves the near party's calls in the order in which they come. */
static void *serve(void *argument) {
    struct device *device = argument;
    struct meter meter;
    char call;

    control_recv(device->control, &call, sizeof call);
    meter_start(&meter);
    control_recv(device->control, &call, sizeof call);
    meter_stop(&meter);
    control_send(device->control, &meter.cpu_us, sizeof meter.cpu_us);
    control_recv(device->control, &call, sizeof call);
    if (device->child == 0) {
        must(nn_close(device->front), "nn_close");
        must(nn_close(device->back), "nn_close");
        return NULL;
    }
    _exit(0);
}

static void *play_device(void *argument) {
    struct device *device = argument;
    const struct plan *plan = device->plan;
    char address[ADDRESS_BYTES];
    pthread_t server;

    control_recv(device->control, address, sizeof address);
    device->back = must(nn_socket(AF_SP_RAW, plan->pattern->near_protocol), "nn_socket");
    must(nn_connect(device->back, address), "nn_connect");
    await_connections(device->back, 1);
    device->front = must(nn_socket(AF_SP_RAW, plan->pattern->far_protocol), "nn_socket");
    /* The far party has number 0. */
    bind_somewhere(device->front, plan->transport, device->ipc_path, 1, address);
    if (pthread_create(&server, NULL, serve, device) != 0) {
        fail("pthread_create");
    }
    control_send(device->control, address, sizeof address);
    nn_device(device->front, device->back);
    if (nn_errno() != EBADF) {
        fail("nn_device ended by itself");
    }
    pthread_join(server, NULL);
    return NULL;
}

struct device *device_start(const struct plan *plan) {
    struct device *device = calloc(1, sizeof *device);
    int ends[2];

    if (device == NULL || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        fail_errno("a device");
    }
    device->plan = plan;
    device->near_control = ends[0];
    device->control = ends[1];
    if (plan->transport == INPROC) {
        if (pthread_create(&device->thread, NULL, play_device, device) != 0) {
            fail("pthread_create");
        }
        return device;
    }
    if (plan->transport == IPC) {
        choose_ipc_path(device->ipc_path, 2);
    }
    device->child = fork();
    if (device->child < 0) {
        fail_errno("fork");
    }
    if (device->child == 0) {
        close(ends[0]);
        guard_child();
        device->child = getpid();
        play_device(device);
        _exit(1);
    }
    close(ends[1]);
    return device;
}

void device_insert(struct device *device, char *address) {
    control_send(device->near_control, address, ADDRESS_BYTES);
    control_recv(device->near_control, address, ADDRESS_BYTES);
}

static void call(struct device *device) {
    char call = 0;

    control_send(device->near_control, &call, sizeof call);
}

void device_meter_start(struct device *device) {
    call(device);
}

double device_meter_stop(struct device *device) {
    double cpu_us;

    call(device);
    control_recv(device->near_control, &cpu_us, sizeof cpu_us);
    /* The time of a thread has been counted with that of its process. */
    return device->child == 0 ? 0 : cpu_us;
}

void device_end(struct device *device) {
    int status = 0;

    call(device);
    if (device->child == 0) {
        pthread_join(device->thread, NULL);
    } else {
        while (waitpid(device->child, &status, 0) < 0) {
            if (errno != EINTR) {
                fail_errno("waitpid");
            }
        }
    }
    if (status != 0) {
        fail("the device failed");
    }
    free(device);
}
