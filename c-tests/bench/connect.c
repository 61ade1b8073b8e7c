/*
 * What a short life costs: a client opens a socket, connects, asks one question and leaves. Another
 * connection stays all the time, so that neither side starts or stops its library.
 */

#include "bench.h"

#include <stdlib.h>

#include <nanomsg/nn.h>

static void ask(struct party *party, int socket, enum kind kind, uint64_t sequence) {
    size_t size = party->plan->size;
    int got;

    message_mark(party->outbox, size, kind, sequence);
    must(nn_send(socket, party->outbox, size, 0), "nn_send");
    if (kind == STOP) {
        return;
    }
    got = must(nn_recv(socket, party->inbox, size, 0), "nn_recv");
    party_check(party, party->inbox, (size_t)got, sequence);
}

static void live(struct party *party, enum kind kind, uint64_t sequence) {
    int socket = must(nn_socket(AF_SP, party->plan->pattern->near_protocol), "nn_socket");

    protect(socket, party->plan->transport);
    must(nn_connect(socket, party->address), "nn_connect");
    ask(party, socket, kind, sequence);
    must(nn_close(socket), "nn_close");
}

static void near_clients(struct party *party, struct outcome *outcome) {
    const struct plan *plan = party->plan;
    struct histogram *histogram = histogram_new();
    uint64_t first = now_ns();
    uint64_t last;
    uint64_t now;
    uint64_t sequence = 0;
    uint64_t done = 0;

    while (!phase_is_over(plan, done, now_ns() - first, plan->warm, plan->warm_count)) {
        live(party, WARM, sequence++);
        done++;
    }
    meter_start(&party->meter);
    first = last = party->meter.started_ns;
    for (done = 0; !phase_is_over(plan, done, last - first, plan->seconds, plan->count); done++) {
        live(party, DATA, sequence++);
        now = now_ns();
        histogram_add(histogram, now - last);
        last = now;
    }
    ask(party, party->socket, STOP, sequence);

    outcome->count = done;
    outcome->rate = (double)done * 1e9 / (double)(last - first);
    outcome->p50_us = histogram_quantile_us(histogram, 0.50);
    outcome->p99_us = histogram_quantile_us(histogram, 0.99);
    free(histogram);
}

static void far_server(struct party *party, struct report *report) {
    size_t size = party->plan->size;

    for (uint64_t sequence = 0;; sequence++) {
        int got = must(nn_recv(party->socket, party->inbox, size, 0), "nn_recv");
        enum kind kind = got >= 1 ? message_kind(party->inbox) : STOP;

        party_check(party, party->inbox, (size_t)got, sequence);
        if (kind == STOP) {
            break;
        }
        if (kind == DATA && report->received++ == 0) {
            meter_start(&party->meter);
        }
        must(nn_send(party->socket, party->inbox, size, 0), "nn_send");
    }
    meter_stop(&party->meter);
}

void run_connecting(const struct plan *plan, struct outcome *outcome) {
    struct report report;

    run_two_parties(plan, near_clients, far_server, &report, outcome);
    if (report.received != outcome->count) {
        outcome->errors++;
    }
}
