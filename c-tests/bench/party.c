/*
 * Sets up two connected parties, lets them play their parts, and collects what they measured.
 *
 * The far process is forked before any socket exists, because sockets do not survive a fork. It
 * binds and says where over the control channel; so the near party never dials too early, and no
 * reconnect interval gets into a measurement.
 */

#include "bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <nanomsg/nn.h>
#include <nanomsg/tcp.h>

#define ADDRESS_BYTES 128
#define PORT_ATTEMPTS 64
#define UNLIMITED (-1)

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

static void party_open(struct party *party, const struct plan *plan, int control, int protocol) {
    int unlimited = UNLIMITED;
    int yes = 1;

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
    party->socket = must(nn_socket(AF_SP, protocol), "nn_socket");
    must(nn_setsockopt(party->socket, NN_SOL_SOCKET, NN_RCVMAXSIZE, &unlimited, sizeof unlimited),
         "NN_RCVMAXSIZE");
    if (plan->nodelay) {
        must(nn_setsockopt(party->socket, NN_TCP, NN_TCP_NODELAY, &yes, sizeof yes),
             "NN_TCP_NODELAY");
    }
}

static void party_close(struct party *party) {
    must(nn_close(party->socket), "nn_close");
    buffer_free(party->pattern);
    buffer_free(party->outbox);
    buffer_free(party->inbox);
}

static int free_port(void) {
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    int plain = socket(AF_INET, SOCK_STREAM, 0);

    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (plain < 0 || bind(plain, (struct sockaddr *)&address, sizeof address) != 0
        || getsockname(plain, (struct sockaddr *)&address, &length) != 0) {
        fail_errno("looking for a free port");
    }
    close(plain);
    return ntohs(address.sin_port);
}

/* Somebody else may take the port between the look and the bind, hence the attempts. */
static void bind_port(int socket, const char *scheme, char *address) {
    for (int attempt = 0; attempt < PORT_ATTEMPTS; attempt++) {
        snprintf(address, ADDRESS_BYTES, "%s://127.0.0.1:%d", scheme, free_port());
        if (nn_bind(socket, address) >= 0) {
            return;
        }
        if (nn_errno() != EADDRINUSE) {
            break;
        }
    }
    must(-1, "nn_bind");
}

static void party_bind(struct party *party, const char *ipc_path, char *address) {
    memset(address, 0, ADDRESS_BYTES);
    switch (party->plan->transport) {
    case INPROC:
        strcpy(address, "inproc://bench");
        must(nn_bind(party->socket, address), "nn_bind");
        break;
    case IPC:
        snprintf(address, ADDRESS_BYTES, "ipc://%.*s", ADDRESS_BYTES - 8, ipc_path);
        must(nn_bind(party->socket, address), "nn_bind");
        break;
    case TCP:
        bind_port(party->socket, "tcp", address);
        break;
    case WS:
        bind_port(party->socket, "ws", address);
        break;
    }
}

static void play_far(struct far_task *task) {
    struct party *party = &task->party;
    const struct plan *plan = party->plan;
    char address[ADDRESS_BYTES];
    struct report report;
    char leave;

    party_open(party, plan, party->control, plan->pattern->far_protocol);
    party_bind(party, task->ipc_path, address);
    control_send(party->control, address, sizeof address);

    memset(&report, 0, sizeof report);
    task->part(party, &report);
    report.errors = party->errors;
    report.cpu_us = party->meter.cpu_us;
    control_send(party->control, &report, sizeof report);

    control_recv(party->control, &leave, sizeof leave);
    party_close(party);
}

static void play_near(const struct plan *plan, int control, near_part *near,
                      struct report *report, struct outcome *outcome) {
    struct party party;
    char address[ADDRESS_BYTES];
    char leave = 0;

    party_open(&party, plan, control, plan->pattern->near_protocol);
    control_recv(control, address, sizeof address);
    must(nn_connect(party.socket, address), "nn_connect");

    near(&party, outcome);
    control_recv(control, report, sizeof *report);
    meter_stop(&party.meter);

    /* Threads of one process share their processor time, which the near party has then counted. */
    outcome->cpu_us = party.meter.cpu_us + (plan->transport == INPROC ? 0 : report->cpu_us);
    outcome->errors = party.errors + report->errors;

    /* Only now may a side close: that would discard what is still under way over inproc. */
    guard_expect_exit();
    control_send(control, &leave, sizeof leave);
    party_close(&party);
}

static void *far_thread(void *argument) {
    play_far(argument);
    return NULL;
}

static void choose_ipc_path(char *path) {
    const char *directory = getenv("TMPDIR");

    if (directory == NULL || directory[0] == '\0' || strlen(directory) > 60) {
        directory = "/tmp";
    }
    snprintf(path, ADDRESS_BYTES, "%s/spmsg-bench-%ld.ipc", directory, (long)getpid());
    guard_remove_at_exit(path);
}

void run_two_parties(const struct plan *plan, near_part *near, far_part *far,
                     struct report *report, struct outcome *outcome) {
    struct far_task task;
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
        play_near(plan, ends[0], near, report, outcome);
        pthread_join(thread, NULL);
        return;
    }
    if (plan->transport == IPC) {
        choose_ipc_path(task.ipc_path);
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
    play_near(plan, ends[0], near, report, outcome);
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) {
            fail_errno("waitpid");
        }
    }
    if (status != 0) {
        fail("the far process failed");
    }
}
