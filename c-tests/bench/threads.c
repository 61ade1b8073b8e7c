/*
 * Four threads send on one socket, as fast as it takes their messages. Each has a sequence of its
 * own, and the far party is that of a fan-in.
 */

#include "bench.h"

#include <pthread.h>
#include <stdlib.h>

#include <nanomsg/nn.h>

#define LOOK_EVERY 64u

struct sender {
    struct party *party;
    pthread_barrier_t *warmed;
    pthread_t thread;
    unsigned number;
    unsigned char *outbox;
    uint64_t sequence;
    uint64_t sent; /* After the warm-up. */
};

static void send_next(struct sender *sender, enum kind kind) {
    size_t size = sender->party->plan->size;

    message_mark(sender->outbox, size, kind, sender->sequence++);
    message_stamp(sender->outbox, sender->number);
    must(nn_send(sender->party->socket, sender->outbox, size, 0), "nn_send");
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
        buffer_free(senders[i].outbox);
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
