/*
 * A bus: each socket is connected with every other one, and all live in one thread. In a round
 * everybody sends, then everybody receives from all others; an operation is one such delivery.
 */

#include "bench.h"

#include <string.h>

#include <nanomsg/nn.h>

static void connect_all(struct party *party) {
    char ipc_path[ADDRESS_BYTES];

    if (party->plan->transport == IPC) {
        choose_ipc_path(ipc_path, party->socket_count);
    }
    for (unsigned i = 0; i < party->socket_count; i++) {
        bind_somewhere(party->sockets[i], party->plan->transport, ipc_path, i, party->address);
        for (unsigned later = i + 1; later < party->socket_count; later++) {
            must(nn_connect(party->sockets[later], party->address), "nn_connect");
        }
    }
    for (unsigned i = 0; i < party->socket_count; i++) {
        await_connections(party->sockets[i], party->socket_count - 1);
    }
}

static void receive_from_others(struct party *party, unsigned receiver, uint64_t sequence,
                                unsigned char *seen) {
    size_t size = party->plan->size;

    memset(seen, 0, party->socket_count);
    seen[receiver] = 1;
    for (unsigned i = 1; i < party->socket_count; i++) {
        int got = must(nn_recv(party->sockets[receiver], party->inbox, size, 0), "nn_recv");
        uint64_t sender = (size_t)got == size ? message_stamped(party->inbox) : receiver;

        party_check(party, party->inbox, (size_t)got, sequence);
        if (sender >= party->socket_count || seen[sender]++ != 0) {
            party->errors++;
        }
    }
}

/* Returns the number of deliveries. A number of operations is rounded up to whole rounds. */
static uint64_t hold_rounds(struct party *party, enum kind kind, uint64_t *sequence,
                            double seconds, uint64_t count) {
    const struct plan *plan = party->plan;
    unsigned char *seen = buffer_new(party->socket_count);
    uint64_t started = now_ns();
    uint64_t done = 0;

    while (!phase_is_over(plan, done, now_ns() - started, seconds, count)) {
        for (unsigned i = 0; i < party->socket_count; i++) {
            message_mark(party->outbox, plan->size, kind, *sequence);
            message_stamp(party->outbox, i);
            must(nn_send(party->sockets[i], party->outbox, plan->size, 0), "nn_send");
        }
        for (unsigned i = 0; i < party->socket_count; i++) {
            receive_from_others(party, i, *sequence, seen);
        }
        done += (uint64_t)party->socket_count * (party->socket_count - 1);
        ++*sequence;
    }
    buffer_free(seen);
    return done;
}

void run_bus(const struct plan *plan, struct outcome *outcome) {
    struct party party;
    uint64_t sequence = 0;

    party_open(&party, plan, -1, plan->pattern->near_protocol, plan->near_sockets);
    connect_all(&party);
    hold_rounds(&party, WARM, &sequence, plan->warm, plan->warm_count);
    meter_start(&party.meter);
    outcome->count = hold_rounds(&party, DATA, &sequence, plan->seconds, plan->count);
    meter_stop(&party.meter);
    outcome->rate = (double)outcome->count / meter_seconds(&party.meter);
    outcome->cpu_us = party.meter.cpu_us;
    outcome->errors = party.errors;
    party_close(&party);
}
