/*
 * Fan-in: many sockets in one thread send to one. Pushed messages are a stream; requests go in
 * rounds, one from every socket and then every reply. Contexts of one socket do the same, and a
 * PAIR that keeps many peers answers whoever has asked.
 *
 * The messages of several senders mix, so each carries the number of its sender, and is checked
 * against the sequence of that one.
 */

#include "bench.h"

#include <stdlib.h>

#include <nanomsg/nn.h>
#include <spmsg/spmsg.h>

/* Not every library has them. */
#pragma weak spmsg_context
#pragma weak nn_recvmsg
#pragma weak nn_sendmsg

#define LOOK_EVERY 64u

struct crowd {
    unsigned count;
    uint64_t *sequences; /* Of each sender, the next one. */
};

static void crowd_start(struct crowd *crowd, unsigned count) {
    crowd->count = count;
    crowd->sequences = calloc(count, sizeof *crowd->sequences);
    if (crowd->sequences == NULL) {
        fail_errno("calloc");
    }
}

static void send_as(struct party *party, struct crowd *crowd, unsigned sender, enum kind kind) {
    size_t size = party->plan->size;

    message_mark(party->outbox, size, kind, crowd->sequences[sender]++);
    message_stamp(party->outbox, sender);
    must(nn_send(party->sockets[sender], party->outbox, size, 0), "nn_send");
}

/* The sender of what the inbox holds, whose sequence goes on; the count of all when unknown. */
static unsigned check_sender(struct party *party, struct crowd *crowd, size_t got) {
    uint64_t sender = got == party->plan->size ? message_stamped(party->inbox) : crowd->count;

    if (sender >= crowd->count) {
        party->errors++;
        return crowd->count;
    }
    party_check(party, party->inbox, got, crowd->sequences[sender]++);
    return (unsigned)sender;
}

/* Everybody in turn, for a time or a number of messages; returns how many it were. */
static uint64_t push_many(struct party *party, struct crowd *crowd, enum kind kind, double seconds,
                          uint64_t count) {
    uint64_t started = now_ns();
    uint64_t elapsed = 0;
    uint64_t sent = 0;

    while (!phase_is_over(party->plan, sent, elapsed, seconds, count)) {
        send_as(party, crowd, (unsigned)(sent % crowd->count), kind);
        sent++;
        if (sent % LOOK_EVERY == 0) {
            elapsed = now_ns() - started;
        }
    }
    return sent;
}

static void recv_reply(struct party *party, const struct crowd *crowd, unsigned sender) {
    size_t size = party->plan->size;
    int got = must(nn_recv(party->sockets[sender], party->inbox, size, 0), "nn_recv");

    if ((size_t)got == size && message_stamped(party->inbox) != sender) {
        party->errors++;
    }
    party_check(party, party->inbox, (size_t)got, crowd->sequences[sender] - 1);
}

static uint64_t ask_many(struct party *party, struct crowd *crowd, enum kind kind, double seconds,
                         uint64_t count) {
    uint64_t started = now_ns();
    uint64_t asked = 0;

    while (!phase_is_over(party->plan, asked, now_ns() - started, seconds, count)) {
        unsigned round = crowd->count;

        if (party->plan->count != 0 && count - asked < round) {
            round = (unsigned)(count - asked);
        }
        for (unsigned sender = 0; sender < round; sender++) {
            send_as(party, crowd, sender, kind);
        }
        for (unsigned sender = 0; sender < round; sender++) {
            recv_reply(party, crowd, sender);
        }
        asked += round;
    }
    return asked;
}

static void near_crowd(struct party *party, struct outcome *outcome) {
    const struct plan *plan = party->plan;
    struct crowd crowd;
    uint64_t (*send_many)(struct party *, struct crowd *, enum kind, double, uint64_t) =
        plan->pattern->replies ? ask_many : push_many;

    crowd_start(&crowd, party->socket_count);
    send_many(party, &crowd, WARM, plan->warm, plan->warm_count);
    meter_start(&party->meter);
    outcome->count = send_many(party, &crowd, DATA, plan->seconds, plan->count);
    for (unsigned sender = 0; sender < crowd.count; sender++) {
        send_as(party, &crowd, sender, STOP);
    }
    free(crowd.sequences);
}

/* The crowd is not made of sockets but of contexts of the one there is. */
static void near_contexts(struct party *party, struct outcome *outcome) {
    unsigned count = party->plan->senders;
    int *contexts = calloc(count, sizeof *contexts);
    int *sockets = party->sockets;

    if (contexts == NULL) {
        fail_errno("calloc");
    }
    if (spmsg_context == NULL) {
        fail("this library has no contexts");
    }
    for (unsigned i = 0; i < count; i++) {
        contexts[i] = must(spmsg_context(party->socket), "spmsg_context");
    }
    party->sockets = contexts;
    party->socket_count = count;
    near_crowd(party, outcome);
    /* They end with their socket. */
    party->sockets = sockets;
    party->socket_count = 1;
    free(contexts);
}

/* As in every stream, the rate ends at the last look at the clock. */
void far_crowd(struct party *party, struct report *report) {
    const struct plan *plan = party->plan;
    /* What names the peer that a message has come from names the one that a reply is for. */
    char control[256] = {0};
    struct nn_iovec piece = {party->inbox, plan->size};
    struct nn_msghdr message = {&piece, 1, control, sizeof control};
    int names_peers = plan->activity == MANY;
    struct crowd crowd;
    uint64_t timed = 0;
    uint64_t looked_ns = 0;
    unsigned ended = 0;

    crowd_start(&crowd, plan->senders);
    while (ended < crowd.count) {
        int got = must(names_peers ? nn_recvmsg(party->socket, &message, 0)
                                   : nn_recv(party->socket, party->inbox, plan->size, 0),
                       "nn_recv");
        enum kind kind = got >= 1 ? message_kind(party->inbox) : STOP;

        check_sender(party, &crowd, (size_t)got);
        /* The last ones, too: some libraries receive nothing before a request is answered. */
        if (plan->pattern->replies) {
            must(names_peers ? nn_sendmsg(party->socket, &message, 0)
                             : nn_send(party->socket, party->inbox, plan->size, 0),
                 "nn_send");
        }
        if (kind == STOP) {
            ended++;
            continue;
        }
        if (kind == DATA && report->received == 0) {
            meter_start(&party->meter);
        } else if (kind == DATA && report->received % LOOK_EVERY == 0) {
            timed = report->received;
            looked_ns = now_ns();
        }
        report->received += kind == DATA;
    }
    meter_stop(&party->meter);
    if (timed == 0) {
        timed = report->received;
        looked_ns = party->meter.stopped_ns;
    }
    report->rate = (double)timed * 1e9 / (double)(looked_ns - party->meter.started_ns);
    free(crowd.sequences);
}

static void run_crowd(const struct plan *plan, near_part *near, struct outcome *outcome) {
    struct report report;

    run_two_parties(plan, near, far_crowd, &report, outcome);
    if (report.received != outcome->count) {
        outcome->errors++;
    }
    outcome->rate = report.rate;
}

void run_fan_in(const struct plan *plan, struct outcome *outcome) {
    run_crowd(plan, near_crowd, outcome);
}

void run_contexts(const struct plan *plan, struct outcome *outcome) {
    run_crowd(plan, near_contexts, outcome);
}
