/*
 * Round trips, bursts and tails: N messages there, one answer back.
 *
 * The answer of a tail goes over the control channel. A connection that carries traffic one way
 * only behaves differently (the kernel delays acknowledgements of an answering peer), and the
 * delay of a one-way message is what a tail asks for.
 */

#include "bench.h"

#include <math.h>
#include <stdlib.h>

#include <nanomsg/nn.h>

/* Where there are several connections, the messages take them by turns. */
static unsigned turn_of(const struct party *party, uint64_t sequence) {
    return (unsigned)(sequence % party->socket_count);
}

static void send_on_turn(struct party *party, const unsigned char *message, uint64_t sequence) {
    must(nn_send(party->sockets[turn_of(party, sequence)], message, party->plan->size, 0),
         "nn_send");
}

static int recv_on_turn(struct party *party, uint64_t sequence) {
    return recv_on(party->waiter, party->sockets, turn_of(party, sequence), party->inbox,
                   party->plan->size);
}

static void send_burst(struct party *party, enum kind kind, uint64_t *sequence) {
    const struct plan *plan = party->plan;

    for (unsigned i = 0; i < plan->length; i++) {
        message_mark(party->outbox, plan->size, kind, *sequence);
        if (plan->activity == TAIL) {
            message_stamp(party->outbox, now_ns());
        }
        send_on_turn(party, party->outbox, *sequence);
        ++*sequence;
    }
}

static void operate(struct party *party, enum kind kind, uint64_t *sequence) {
    const struct plan *plan = party->plan;
    char received;
    int got;

    send_burst(party, kind, sequence);
    if (plan->activity == TAIL) {
        control_recv(party->control, &received, sizeof received);
        return;
    }
    got = recv_on_turn(party, *sequence - 1);
    party_check(party, party->inbox, (size_t)got, *sequence - 1);
}

static void near_exchange(struct party *party, struct outcome *outcome) {
    const struct plan *plan = party->plan;
    struct histogram *histogram = histogram_new();
    uint64_t sequence = 0;
    uint64_t done = 0;
    uint64_t first = now_ns();
    uint64_t last = first;
    uint64_t now;

    while (!phase_is_over(plan, done, now_ns() - first, plan->warm, plan->warm_count)) {
        operate(party, WARM, &sequence);
        done++;
    }
    if (party->device != NULL) {
        device_meter_start(party->device);
    }
    meter_start(&party->meter);
    first = last = party->meter.started_ns;
    for (done = 0; !phase_is_over(plan, done, last - first, plan->seconds, plan->count); done++) {
        operate(party, DATA, &sequence);
        now = now_ns();
        histogram_add(histogram, now - last);
        last = now;
    }
    message_mark(party->outbox, plan->size, STOP, sequence);
    send_on_turn(party, party->outbox, sequence);

    outcome->count = done;
    outcome->rate = (double)done * 1e9 / (double)(last - first);
    outcome->p50_us = histogram_quantile_us(histogram, 0.50);
    outcome->p99_us = histogram_quantile_us(histogram, 0.99);
    free(histogram);
}

static void answer(struct party *party, enum kind kind, uint64_t sequence, uint64_t arrived_ns,
                   struct histogram *histogram) {
    char received = 0;

    if (party->plan->activity == TAIL) {
        if (kind == DATA) {
            histogram_add(histogram, arrived_ns - message_stamped(party->inbox));
        }
        control_send(party->control, &received, sizeof received);
        return;
    }
    send_on_turn(party, party->inbox, sequence);
}

static void far_exchange(struct party *party, struct report *report) {
    const struct plan *plan = party->plan;
    struct histogram *histogram = histogram_new();
    uint64_t arrived_ns = 0;
    unsigned position = 0;

    for (uint64_t sequence = 0;; sequence++) {
        int got = recv_on_turn(party, sequence);
        enum kind kind = message_kind(party->inbox);

        if (plan->activity == TAIL) {
            arrived_ns = now_ns();
        }
        party_check(party, party->inbox, (size_t)got, sequence);
        if (kind == STOP) {
            break;
        }
        if (kind == DATA && report->received++ == 0) {
            meter_start(&party->meter);
        }
        if (++position == plan->length) {
            position = 0;
            answer(party, kind, sequence, arrived_ns, histogram);
        }
    }
    meter_stop(&party->meter);
    report->p50_us = histogram_quantile_us(histogram, 0.50);
    report->p99_us = histogram_quantile_us(histogram, 0.99);
    free(histogram);
}

void run_exchange(const struct plan *plan, struct outcome *outcome) {
    struct report report;

    run_two_parties(plan, near_exchange, far_exchange, &report, outcome);
    if (report.received != outcome->count * plan->length) {
        outcome->errors++;
    }
    if (plan->activity == TAIL) {
        outcome->p50_us = report.p50_us;
        outcome->p99_us = report.p99_us;
    }
}
