/*
 * One thread that sends itself messages through a connection and takes each before the next.
 * Nobody waits for another thread, so that what the library does for a message can be counted.
 */

#include "bench.h"

#include <nanomsg/nn.h>

static void join(struct party *sender, struct party *receiver) {
    char ipc_path[ADDRESS_BYTES];

    if (receiver->plan->transport == IPC) {
        choose_ipc_path(ipc_path, 1);
    }
    bind_somewhere(receiver->socket, receiver->plan->transport, ipc_path, 0, receiver->address);
    must(nn_connect(sender->socket, receiver->address), "nn_connect");
    await_connections(sender->socket, 1);
    await_connections(receiver->socket, 1);
}

/* Returns the number of messages, which the sequence goes on to count. */
static uint64_t pass_messages(struct party *sender, struct party *receiver, enum kind kind,
                              uint64_t *sequence, double seconds, uint64_t count) {
    const struct plan *plan = sender->plan;
    uint64_t started = now_ns();
    uint64_t done = 0;

    while (!phase_is_over(plan, done, now_ns() - started, seconds, count)) {
        int got;

        message_mark(sender->outbox, plan->size, kind, *sequence);
        must(nn_send(sender->socket, sender->outbox, plan->size, 0), "nn_send");
        got = must(nn_recv(receiver->socket, receiver->inbox, plan->size, 0), "nn_recv");
        party_check(receiver, receiver->inbox, (size_t)got, *sequence);
        ++*sequence;
        done++;
    }
    return done;
}

void run_alone(const struct plan *plan, struct outcome *outcome) {
    struct party sender, receiver;
    uint64_t sequence = 0;

    party_open(&sender, plan, -1, plan->pattern->near_protocol, 1);
    party_open(&receiver, plan, -1, plan->pattern->far_protocol, 1);
    join(&sender, &receiver);
    pass_messages(&sender, &receiver, WARM, &sequence, plan->warm, plan->warm_count);
    meter_start(&sender.meter);
    outcome->count = pass_messages(&sender, &receiver, DATA, &sequence, plan->seconds,
                                   plan->count);
    meter_stop(&sender.meter);
    outcome->rate = (double)outcome->count / meter_seconds(&sender.meter);
    outcome->cpu_us = sender.meter.cpu_us;
    outcome->errors = receiver.errors;
    party_close(&sender);
    party_close(&receiver);
}
