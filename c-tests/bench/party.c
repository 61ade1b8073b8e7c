/*
 * Sets up two connected parties, lets them play their parts, and collects what they measured.
 *
 * The far process is forked before any socket exists, because sockets do not survive a fork. It
 * binds and says where over the control channel; so the near party never dials too early, and no
 * reconnect interval gets into a measurement.
 */

#include "bench.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/pubsub.h>
#include <nanomsg/tcp.h>
#include <spmsg/spmsg.h>

#define UNLIMITED (-1)
#define SETTLING_STEP_US 100

struct far_task {
    struct party party;
    far_part *part;
    char ipc_path[ADDRESS_BYTES];
};

void control_send(int control, const void *bytes, size_t size) {
    ssize_t sent;

    do {
        sent = send(control, bytes, size, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent != (ssize_t)size) {
        fail("the control channel broke while sending");
    }
}

void control_recv(int control, void *bytes, size_t size) {
    ssize_t got;

    do {
        got = recv(control, bytes, size, 0);
    } while (got < 0 && errno == EINTR);
    if (got != (ssize_t)size) {
        fail("the control channel broke while receiving");
    }
}

void party_check(struct party *party, const unsigned char *message, size_t got,
                 uint64_t sequence) {
    const struct plan *plan = party->plan;
    int whole = plan->verify || (got >= 1 && message_kind(message) == WARM);

    party->errors += (uint64_t)message_is_wrong(message, got, plan->size, sequence,
                                                whole ? party->pattern : NULL);
}

/* More than a window of those who publish, and less than as many bytes would hold. */
#define QUEUE_MESSAGES 100

static int is_publishing(const struct plan *plan) {
    switch (plan->activity) {
    case FAN_OUT:
    case OLDEST:
    case COUNTED:
    case LAST:
        return 1;
    default:
        return 0;
    }
}

static int open_socket(const struct plan *plan, int protocol) {
    int socket = must(nn_socket(AF_SP, protocol), "nn_socket");
    int unlimited = UNLIMITED;
    int yes = 1;
    int oldest = SPMSG_DROP_OLDEST;
    int messages = QUEUE_MESSAGES;

    must(nn_setsockopt(socket, NN_SOL_SOCKET, NN_RCVMAXSIZE, &unlimited, sizeof unlimited),
         "NN_RCVMAXSIZE");
    if (plan->nodelay) {
        must(nn_setsockopt(socket, NN_TCP, NN_TCP_NODELAY, &yes, sizeof yes), "NN_TCP_NODELAY");
    }
    protect(socket, plan->transport);
    if (protocol == NN_SUB && is_publishing(plan)) {
        must(nn_setsockopt(socket, NN_SUB, NN_SUB_SUBSCRIBE, "", 0), "NN_SUB_SUBSCRIBE");
    }
    if (protocol == NN_SUB && plan->activity == LAST) {
        must(nn_setsockopt(socket, NN_SUB, SPMSG_SUB_LAST, &yes, sizeof yes), "SPMSG_SUB_LAST");
    }
    if (protocol == NN_PUB && plan->activity == OLDEST) {
        must(nn_setsockopt(socket, NN_SOL_SOCKET, SPMSG_DROP, &oldest, sizeof oldest),
             "SPMSG_DROP");
    }
    if (plan->activity == MANY) {
        must(nn_setsockopt(socket, NN_PAIR, SPMSG_PAIR_MANY, &yes, sizeof yes), "SPMSG_PAIR_MANY");
    }
    if (plan->activity == COUNTED) {
        must(nn_setsockopt(socket, NN_SOL_SOCKET, SPMSG_SNDBUF_MESSAGES, &messages,
                           sizeof messages),
             "SPMSG_SNDBUF_MESSAGES");
        must(nn_setsockopt(socket, NN_SOL_SOCKET, SPMSG_RCVBUF_MESSAGES, &messages,
                           sizeof messages),
             "SPMSG_RCVBUF_MESSAGES");
    }
    return socket;
}

void party_open(struct party *party, const struct plan *plan, int control, int protocol,
                unsigned sockets) {
    memset(party, 0, sizeof *party);
    party->plan = plan;
    party->control = control;
    /* Chunks that are handed over are not filled, so there is nothing to compare. */
    if (plan->activity != HAND_OVER || plan->verify) {
        party->pattern = pattern_new(plan->size);
    }
    if (plan->activity != HAND_OVER) {
        party->outbox = pattern_new(plan->size);
        party->inbox = buffer_new(plan->size);
    }
    party->sockets = calloc(sockets, sizeof *party->sockets);
    if (party->sockets == NULL) {
        fail_errno("calloc");
    }
    party->socket_count = sockets;
    for (unsigned i = 0; i < sockets; i++) {
        party->sockets[i] = open_socket(plan, protocol);
    }
    party->socket = party->sockets[0];
    party->waiter = waiter_new(plan, party->sockets, sockets);
}

void party_close(struct party *party) {
    for (unsigned i = 0; i < party->socket_count; i++) {
        must(nn_close(party->sockets[i]), "nn_close");
    }
    waiter_free(party->waiter);
    free(party->sockets);
    buffer_free(party->pattern);
    buffer_free(party->outbox);
    buffer_free(party->inbox);
}

static unsigned connections_of(const struct plan *plan) {
    return plan->near_sockets > plan->far_sockets ? plan->near_sockets : plan->far_sockets;
}

/* Who publishes or sends round robin before all are there would measure something else. */
void await_connections(int socket, uint64_t count) {
    while (nn_get_statistic(socket, NN_STAT_CURRENT_CONNECTIONS) < count) {
        usleep(SETTLING_STEP_US);
    }
}

static void play_far(struct far_task *task) {
    struct party *party = &task->party;
    const struct plan *plan = party->plan;
    struct report report;
    char leave;

    party_open(party, plan, party->control, plan->pattern->far_protocol, plan->far_sockets);
    for (unsigned i = 0; i < plan->far_sockets; i++) {
        char address[ADDRESS_BYTES];

        bind_somewhere(party->sockets[i], plan->transport, task->ipc_path, i, address);
        control_send(party->control, address, sizeof address);
    }
    for (unsigned i = 0; i < plan->far_sockets; i++) {
        await_connections(party->sockets[i], connections_of(plan) / plan->far_sockets);
    }

    memset(&report, 0, sizeof report);
    task->part(party, &report);
    report.errors = party->errors;
    report.cpu_us = party->meter.cpu_us;
    control_send(party->control, &report, sizeof report);

    control_recv(party->control, &leave, sizeof leave);
    party_close(party);
}

/* One connection after the other: no queue of a listener overflows, which would cost a retry. */
static void near_connect(struct party *party) {
    const struct plan *plan = party->plan;

    for (unsigned i = 0; i < connections_of(plan); i++) {
        int socket = party->sockets[i % plan->near_sockets];

        if (i < plan->far_sockets) {
            control_recv(party->control, party->address, sizeof party->address);
            go_round(party->address);
            if (party->device != NULL) {
                device_insert(party->device, party->address);
            }
        }
        must(nn_connect(socket, party->address), "nn_connect");
        await_connections(socket, i / plan->near_sockets + 1);
    }
}

static void play_near(const struct plan *plan, int control, struct device *device,
                      near_part *near, struct report *report, struct outcome *outcome) {
    struct party party;
    char leave = 0;

    party_open(&party, plan, control, plan->pattern->near_protocol, plan->near_sockets);
    party.device = device;
    near_connect(&party);

    near(&party, outcome);
    control_recv(control, report, sizeof *report);
    meter_stop(&party.meter);

    /* Threads of one process share their processor time, which the near party has then counted. */
    outcome->cpu_us = party.meter.cpu_us + (plan->transport == INPROC ? 0 : report->cpu_us);
    if (device != NULL) {
        outcome->cpu_us += device_meter_stop(device);
    }
    outcome->errors = party.errors + report->errors;

    /* Only now may a side close: that would discard what is still under way over inproc. */
    guard_expect_exit();
    control_send(control, &leave, sizeof leave);
    if (device != NULL) {
        device_end(device);
    }
    party_close(&party);
}

static void *far_thread(void *argument) {
    play_far(argument);
    return NULL;
}

void run_two_parties(const struct plan *plan, near_part *near, far_part *far,
                     struct report *report, struct outcome *outcome) {
    struct far_task task;
    struct device *device = plan->activity == DEVICE ? device_start(plan) : NULL;
    int ends[2];
    pthread_t thread;
    pid_t child;
    int status;

    memset(&task, 0, sizeof task);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        fail_errno("socketpair");
    }
    task.party.plan = plan;
    task.party.control = ends[1];
    task.part = far;
    if (plan->transport == INPROC) {
        if (pthread_create(&thread, NULL, far_thread, &task) != 0) {
            fail("pthread_create");
        }
        play_near(plan, ends[0], device, near, report, outcome);
        pthread_join(thread, NULL);
        return;
    }
    if (plan->transport == IPC) {
        choose_ipc_path(task.ipc_path, plan->far_sockets);
    }
    child = fork();
    if (child < 0) {
        fail_errno("fork");
    }
    if (child == 0) {
        close(ends[0]);
        guard_child();
        play_far(&task);
        _exit(0);
    }
    close(ends[1]);
    play_near(plan, ends[0], device, near, report, outcome);
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) {
            fail_errno("waitpid");
        }
    }
    if (status != 0) {
        fail("the far process failed");
    }
}
