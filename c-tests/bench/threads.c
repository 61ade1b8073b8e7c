/*
 * Four threads send on one socket, as fast as it takes their messages. Or some ask through one,
 * each through a context of its own, one request after another. Each has a sequence of its own,
 * and the far party is that of a fan-in.
 */

#include "bench.h"

#include <pthread.h>
#include <stdlib.h>

#include <nanomsg/nn.h>
#include <spmsg/spmsg.h>

/* Not every library has it. */
#pragma weak spmsg_context

#define LOOK_EVERY 64u

struct sender {
    struct party *party;
    pthread_barrier_t *warmed;
    pthread_t thread;
    unsigned number;
    int socket; /* Or a context. */
    unsigned char *outbox;
    unsigned char *inbox;
    uint64_t errors;
    uint64_t sequence;
    uint64_t sent; /* After the warm-up. */
};

static void recv_reply(struct sender *sender, uint64_t sequence) {
    const struct party *party = sender->party;
    size_t size = party->plan->size;
    int got = must(nn_recv(sender->socket, sender->inbox, size, 0), "nn_recv");

    if ((size_t)got == size && message_stamped(sender->inbox) != sender->number) {
        sender->errors++;
    }
    sender->errors +=
        (uint64_t)message_is_wrong(sender->inbox, (size_t)got, size, sequence, party->pattern);
}

static void send_next(struct sender *sender, enum kind kind) {
    const struct plan *plan = sender->party->plan;
    uint64_t sequence = sender->sequence++;

    message_mark(sender->outbox, plan->size, kind, sequence);
    message_stamp(sender->outbox, sender->number);
    must(nn_send(sender->socket, sender->outbox, plan->size, 0), "nn_send");
    if (plan->pattern->replies) {
        recv_reply(sender, sequence);
    }
}

/* This sender's part of a number that all share. */
static uint64_t share_of(const struct sender *sender, uint64_t count) {
    unsigned senders = sender->party->plan->senders;

    return count / senders + (sender->number < count % senders);
}

static uint64_t send_share(struct sender *sender, enum kind kind, double seconds, uint64_t count) {
    uint64_t started = now_ns();
    uint64_t elapsed = 0;
    uint64_t share = share_of(sender, count);
    uint64_t sent = 0;

    while (!phase_is_over(sender->party->plan, sent, elapsed, seconds, share)) {
        send_next(sender, kind);
        sent++;
        if (sent % LOOK_EVERY == 0) {
            elapsed = now_ns() - started;
        }
    }
    return sent;
}

static void *send_all(void *argument) {
    struct sender *sender = argument;
    const struct plan *plan = sender->party->plan;

    send_share(sender, WARM, plan->warm, plan->warm_count);
    pthread_barrier_wait(sender->warmed);
    sender->sent = send_share(sender, DATA, plan->seconds, plan->count);
    send_next(sender, STOP);
    return NULL;
}

/* What it sends on: the socket, or a context of it. */
static int place_of(const struct party *party) {
    if (party->plan->activity == THREADS) {
        return party->socket;
    }
    if (spmsg_context == NULL) {
        fail("this library has no contexts");
    }
    return must(spmsg_context(party->socket), "spmsg_context");
}

static void near_threads(struct party *party, struct outcome *outcome) {
    unsigned count = party->plan->senders;
    struct sender *senders = calloc(count, sizeof *senders);
    pthread_barrier_t warmed;

    if (senders == NULL || pthread_barrier_init(&warmed, NULL, count + 1) != 0) {
        fail("out of memory");
    }
    for (unsigned i = 0; i < count; i++) {
        senders[i].party = party;
        senders[i].warmed = &warmed;
        senders[i].number = i;
        senders[i].socket = place_of(party);
        senders[i].inbox = buffer_new(party->plan->size);
        senders[i].outbox = pattern_new(party->plan->size);
        if (pthread_create(&senders[i].thread, NULL, send_all, &senders[i]) != 0) {
            fail("pthread_create");
        }
    }
    pthread_barrier_wait(&warmed);
    meter_start(&party->meter);
    for (unsigned i = 0; i < count; i++) {
        pthread_join(senders[i].thread, NULL);
        outcome->count += senders[i].sent;
        party->errors += senders[i].errors;
        buffer_free(senders[i].outbox);
        buffer_free(senders[i].inbox);
    }
    pthread_barrier_destroy(&warmed);
    free(senders);
}

void run_threads(const struct plan *plan, struct outcome *outcome) {
    struct report report;

    run_two_parties(plan, near_threads, far_crowd, &report, outcome);
    if (report.received != outcome->count) {
        outcome->errors++;
    }
    outcome->rate = report.rate;
}
