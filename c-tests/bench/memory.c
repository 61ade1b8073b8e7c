/*
 * Memory and descriptors: of an idle socket, of a connection on the side that accepted it, and of a
 * peer that connects and never says a word. The unit is a difference between two moments, divided
 * by how many came in between; bytes are those of private pages, whoever allocated them.
 */

#include "bench.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <nanomsg/nn.h>

/* Not more, since the reference has 512 sockets. */
#define SOCKETS 400u
#define LINE_BYTES 256
#define GREETING_BYTES 8
#define GREETING_WAIT_S 10

struct usage {
    double bytes;
    double fds;
};

/* The counters in /proc/self/status lag behind by many pages; this file is exact. */
static double private_bytes(void) {
    FILE *file = fopen("/proc/self/smaps_rollup", "r");
    char line[LINE_BYTES];
    double kilobytes = -1;

    if (file == NULL) {
        fail_errno("/proc/self/smaps_rollup");
    }
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "Anonymous: %lf kB", &kilobytes) == 1) {
            break;
        }
    }
    fclose(file);
    if (kilobytes < 0) {
        fail("no anonymous memory in /proc/self/smaps_rollup");
    }
    return kilobytes * 1024;
}

static double descriptors(void) {
    DIR *directory = opendir("/proc/self/fd");
    double count = 0;

    if (directory == NULL) {
        fail_errno("/proc/self/fd");
    }
    while (readdir(directory) != NULL) {
        count++;
    }
    closedir(directory);
    return count;
}

static struct usage usage_now(void) {
    struct usage usage = {private_bytes(), descriptors()};

    return usage;
}

/* The first look allocates what later ones use again. */
static struct usage usage_at_first(void) {
    usage_now();
    return usage_now();
}

static void measure_idle(const struct plan *plan, struct outcome *outcome) {
    static int sockets[SOCKETS];
    int other = must(nn_socket(AF_SP, plan->pattern->near_protocol), "nn_socket");
    struct usage before = usage_at_first();
    struct usage after;
    struct meter meter;

    meter_start(&meter);
    for (unsigned i = 0; i < SOCKETS; i++) {
        sockets[i] = must(nn_socket(AF_SP, plan->pattern->near_protocol), "nn_socket");
    }
    meter_stop(&meter);
    after = usage_now();
    outcome->count = SOCKETS;
    outcome->rate = SOCKETS / meter_seconds(&meter);
    outcome->cpu_us = meter.cpu_us;
    outcome->bytes = (after.bytes - before.bytes) / SOCKETS;
    outcome->fds = (after.fds - before.fds) / SOCKETS;
    for (unsigned i = 0; i < SOCKETS; i++) {
        must(nn_close(sockets[i]), "nn_close");
    }
    must(nn_close(other), "nn_close");
}

/* Has the far party look at what it uses. */
static void order_look(struct party *party) {
    char done;

    control_send(party->control, "", 1);
    control_recv(party->control, &done, sizeof done);
}

static void await_order(struct party *party) {
    char order;

    control_recv(party->control, &order, sizeof order);
}

static void ask(struct party *party, int socket, uint64_t sequence) {
    size_t size = party->plan->size;
    int got;

    message_mark(party->outbox, size, DATA, sequence);
    must(nn_send(socket, party->outbox, size, 0), "nn_send");
    got = must(nn_recv(socket, party->inbox, size, 0), "nn_recv");
    party_check(party, party->inbox, (size_t)got, sequence);
}

static void near_clients(struct party *party, struct outcome *outcome) {
    static int sockets[SOCKETS - 1];
    unsigned count = sizeof sockets / sizeof *sockets;

    order_look(party);
    meter_start(&party->meter);
    for (unsigned i = 0; i < count; i++) {
        sockets[i] = must(nn_socket(AF_SP, party->plan->pattern->near_protocol), "nn_socket");
        must(nn_connect(sockets[i], party->address), "nn_connect");
        await_connections(sockets[i], 1);
        if (party->plan->activity == USED_MEMORY) {
            ask(party, sockets[i], i);
        }
    }
    meter_stop(&party->meter);
    order_look(party);
    outcome->count = count;
    outcome->rate = count / meter_seconds(&party->meter);
    for (unsigned i = 0; i < count; i++) {
        must(nn_close(sockets[i]), "nn_close");
    }
}

static void far_server(struct party *party, struct report *report) {
    size_t size = party->plan->size;
    struct usage before, after;

    await_order(party);
    meter_start(&party->meter);
    before = usage_at_first();
    control_send(party->control, "", 1);
    for (unsigned i = 0; party->plan->activity == USED_MEMORY && i < SOCKETS - 1; i++) {
        int got = must(nn_recv(party->socket, party->inbox, size, 0), "nn_recv");

        party_check(party, party->inbox, (size_t)got, i);
        must(nn_send(party->socket, party->inbox, size, 0), "nn_send");
    }
    await_order(party);
    if (party->plan->activity != RAW_MEMORY) {
        await_connections(party->socket, SOCKETS);
    }
    after = usage_now();
    meter_stop(&party->meter);
    control_send(party->control, "", 1);
    report->bytes = after.bytes - before.bytes;
    report->fds = after.fds - before.fds;
}

static int connect_raw(const char *address) {
    const struct timeval wait = {.tv_sec = GREETING_WAIT_S};
    struct sockaddr_in to;
    char greeting[GREETING_BYTES];
    int plain = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    memset(&to, 0, sizeof to);
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons((uint16_t)atoi(strrchr(address, ':') + 1));
    if (plain < 0 || connect(plain, (struct sockaddr *)&to, sizeof to) != 0
        || setsockopt(plain, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) != 0) {
        fail_errno("a silent peer");
    }
    /* Whoever was greeted has been accepted. */
    if (recv(plain, greeting, sizeof greeting, MSG_WAITALL) != GREETING_BYTES) {
        fail("a silent peer was not greeted");
    }
    return plain;
}

static void near_silent_peers(struct party *party, struct outcome *outcome) {
    unsigned count = party->plan->length;
    int *peers = calloc(count, sizeof *peers);
    char byte;

    if (peers == NULL) {
        fail_errno("calloc");
    }
    order_look(party);
    meter_start(&party->meter);
    for (unsigned i = 0; i < count; i++) {
        peers[i] = connect_raw(party->address);
    }
    meter_stop(&party->meter);
    order_look(party);
    for (unsigned i = 0; i < count; i++) {
        /* A library loses patience with them sooner or later, but this was to be before. */
        if (recv(peers[i], &byte, sizeof byte, MSG_DONTWAIT) >= 0 || errno != EAGAIN) {
            fail("a silent peer was dismissed before the look at the memory");
        }
        close(peers[i]);
    }
    outcome->count = count;
    outcome->rate = count / meter_seconds(&party->meter);
    free(peers);
}

/* The soft limit of most systems is too small for a thousand peers. */
static void allow_many_descriptors(void) {
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        fail_errno("getrlimit");
    }
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
        fail_errno("setrlimit");
    }
}

void run_memory(const struct plan *plan, struct outcome *outcome) {
    struct report report;

    allow_many_descriptors();
    if (plan->activity == IDLE_MEMORY) {
        measure_idle(plan, outcome);
        return;
    }
    run_two_parties(plan, plan->activity == RAW_MEMORY ? near_silent_peers : near_clients,
                    far_server, &report, outcome);
    outcome->bytes = report.bytes / (double)outcome->count;
    outcome->fds = report.fds / (double)outcome->count;
}
