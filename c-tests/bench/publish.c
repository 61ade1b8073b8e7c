/*
 * Fan-out: one socket publishes to many, which all live in one thread. A publisher drops what a
 * subscriber cannot take, so messages go in windows: the next one starts when everybody has the
 * last message of this one.
 */

#include "bench.h"

#include <math.h>

#include <nanomsg/nn.h>

/* Small enough for every buffer, so that nothing is dropped. */
#define WINDOW 32u

/* The start of a window, told to the publisher. */
static void order_window(struct party *party, enum kind kind) {
    control_send(party->control, &kind, sizeof kind);
}

static uint64_t take_window(struct party *party, enum kind kind, uint64_t sequence) {
    size_t size = party->plan->size;

    order_window(party, kind);
    for (unsigned i = 0; i < party->socket_count; i++) {
        for (unsigned at = 0; at < WINDOW; at++) {
            int got = must(nn_recv(party->sockets[i], party->inbox, size, 0), "nn_recv");

            party_check(party, party->inbox, (size_t)got, sequence + at);
        }
    }
    return sequence + WINDOW;
}

/* A number of deliveries is rounded up to whole windows. */
static void near_subscribers(struct party *party, struct outcome *outcome) {
    const struct plan *plan = party->plan;
    uint64_t deliveries = (uint64_t)WINDOW * party->socket_count;
    uint64_t sequence = 0;
    uint64_t done = 0;
    uint64_t started = now_ns();
    uint64_t elapsed = 0;

    while (!phase_is_over(plan, done, now_ns() - started, plan->warm, plan->warm_count)) {
        sequence = take_window(party, WARM, sequence);
        done += deliveries;
    }
    meter_start(&party->meter);
    for (done = 0; !phase_is_over(plan, done, elapsed, plan->seconds, plan->count);
         done += deliveries) {
        sequence = take_window(party, DATA, sequence);
        elapsed = now_ns() - party->meter.started_ns;
    }
    order_window(party, STOP);
    outcome->count = done;
    outcome->rate = (double)done * 1e9 / (double)elapsed;
    outcome->p50_us = NAN;
    outcome->p99_us = NAN;
}

static void far_publisher(struct party *party, struct report *report) {
    const struct plan *plan = party->plan;
    uint64_t sequence = 0;

    for (;;) {
        enum kind kind;

        control_recv(party->control, &kind, sizeof kind);
        if (kind == STOP) {
            break;
        }
        if (kind == DATA && report->received == 0) {
            meter_start(&party->meter);
        }
        for (unsigned i = 0; i < WINDOW; i++) {
            message_mark(party->outbox, plan->size, kind, sequence++);
            must(nn_send(party->socket, party->outbox, plan->size, 0), "nn_send");
        }
        report->received += kind == DATA ? WINDOW : 0;
    }
    meter_stop(&party->meter);
}

void run_fan_out(const struct plan *plan, struct outcome *outcome) {
    struct report report;

    run_two_parties(plan, near_subscribers, far_publisher, &report, outcome);
    if (report.received * plan->near_sockets != outcome->count) {
        outcome->errors++;
    }
}
