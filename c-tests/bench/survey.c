/*
 * One surveyor, and respondents that all live in one thread. An operation is a survey with every
 * response to it; each response carries the number of its respondent.
 */

#include "bench.h"

#include <stdlib.h>
#include <string.h>

#include <nanomsg/nn.h>
#include <nanomsg/survey.h>

/* A machine that stops for a moment must not end a survey. */
#define DEADLINE_MS 60000

static void survey(struct party *party, enum kind kind, uint64_t sequence, unsigned char *seen) {
    const struct plan *plan = party->plan;

    message_mark(party->outbox, plan->size, kind, sequence);
    must(nn_send(party->socket, party->outbox, plan->size, 0), "nn_send");
    memset(seen, 0, plan->length);
    for (unsigned i = 0; i < plan->length; i++) {
        int got = must(nn_recv(party->socket, party->inbox, plan->size, 0), "nn_recv");
        uint64_t respondent =
            (size_t)got == plan->size ? message_stamped(party->inbox) : plan->length;

        party_check(party, party->inbox, (size_t)got, sequence);
        if (respondent >= plan->length || seen[respondent]++ != 0) {
            party->errors++;
        }
    }
}

static void near_surveyor(struct party *party, struct outcome *outcome) {
    const struct plan *plan = party->plan;
    struct histogram *histogram = histogram_new();
    unsigned char *seen = buffer_new(plan->length);
    int deadline = DEADLINE_MS;
    uint64_t first = now_ns();
    uint64_t last;
    uint64_t now;
    uint64_t sequence = 0;
    uint64_t done = 0;

    must(nn_setsockopt(party->socket, NN_SURVEYOR, NN_SURVEYOR_DEADLINE, &deadline,
                       sizeof deadline),
         "NN_SURVEYOR_DEADLINE");
    while (!phase_is_over(plan, done, now_ns() - first, plan->warm, plan->warm_count)) {
        survey(party, WARM, sequence++, seen);
        done++;
    }
    meter_start(&party->meter);
    first = last = party->meter.started_ns;
    for (done = 0; !phase_is_over(plan, done, last - first, plan->seconds, plan->count); done++) {
        survey(party, DATA, sequence++, seen);
        now = now_ns();
        histogram_add(histogram, now - last);
        last = now;
    }
    survey(party, STOP, sequence, seen);

    outcome->count = done;
    outcome->rate = (double)done * 1e9 / (double)(last - first);
    outcome->p50_us = histogram_quantile_us(histogram, 0.50);
    outcome->p99_us = histogram_quantile_us(histogram, 0.99);
    buffer_free(seen);
    free(histogram);
}

static void far_respondents(struct party *party, struct report *report) {
    size_t size = party->plan->size;
    enum kind kind = WARM;

    for (uint64_t sequence = 0; kind != STOP; sequence++) {
        for (unsigned i = 0; i < party->socket_count; i++) {
            int got = must(nn_recv(party->sockets[i], party->inbox, size, 0), "nn_recv");

            kind = message_kind(party->inbox);
            if (kind == DATA && report->received++ == 0) {
                meter_start(&party->meter);
            }
            party_check(party, party->inbox, (size_t)got, sequence);
            message_stamp(party->inbox, i);
            must(nn_send(party->sockets[i], party->inbox, size, 0), "nn_send");
        }
    }
    meter_stop(&party->meter);
}

void run_survey(const struct plan *plan, struct outcome *outcome) {
    struct report report;

    run_two_parties(plan, near_surveyor, far_respondents, &report, outcome);
    if (report.received != outcome->count * plan->far_sockets) {
        outcome->errors++;
    }
}
