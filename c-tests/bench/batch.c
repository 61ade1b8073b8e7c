/*
 * What is done many times before it is undone: sockets opened while all stay open, topics added to
 * a subscriber. Only the doing is timed.
 */

#include "bench.h"

#include <stdio.h>

#include <nanomsg/nn.h>
#include <nanomsg/pubsub.h>

#define OPENED_TOGETHER 256u
#define TOPICS_TOGETHER 10000u
#define TOPIC_BYTES 16

struct batch {
    const struct plan *plan;
    int sockets[OPENED_TOGETHER];
    unsigned open;
};

static unsigned length_of(const struct plan *plan) {
    return plan->activity == OPENING ? OPENED_TOGETHER : TOPICS_TOGETHER;
}

static void open_one(struct batch *batch) {
    int protocol = batch->plan->pattern->near_protocol;

    batch->sockets[batch->open] = must(nn_socket(AF_SP, protocol), "nn_socket");
    batch->open++;
}

static void prepare(struct batch *batch) {
    if (batch->plan->activity == SUBSCRIBING) {
        open_one(batch);
    }
}

static void step(struct batch *batch, unsigned number) {
    char topic[TOPIC_BYTES];
    int length;

    if (batch->plan->activity == OPENING) {
        open_one(batch);
        return;
    }
    length = snprintf(topic, sizeof topic, "topic/%u/", number);
    must(nn_setsockopt(batch->sockets[0], NN_SUB, NN_SUB_SUBSCRIBE, topic, (size_t)length),
         "NN_SUB_SUBSCRIBE");
}

static void undo(struct batch *batch) {
    while (batch->open > 0) {
        batch->open--;
        must(nn_close(batch->sockets[batch->open]), "nn_close");
    }
}

/* Whole batches, unless a number of operations is given. */
static void do_batches(struct batch *batch, double seconds, uint64_t count,
                       struct outcome *outcome) {
    const struct plan *plan = batch->plan;
    uint64_t elapsed = 0;

    while (!phase_is_over(plan, outcome->count, elapsed, seconds, count)) {
        unsigned length = length_of(plan);
        struct meter meter;

        if (plan->count != 0 && count - outcome->count < length) {
            length = (unsigned)(count - outcome->count);
        }
        prepare(batch);
        meter_start(&meter);
        for (unsigned i = 0; i < length; i++) {
            step(batch, i);
        }
        meter_stop(&meter);
        undo(batch);
        elapsed += meter.stopped_ns - meter.started_ns;
        outcome->cpu_us += meter.cpu_us;
        outcome->count += length;
    }
    outcome->rate = (double)outcome->count * 1e9 / (double)elapsed;
}

void run_batches(const struct plan *plan, struct outcome *outcome) {
    struct batch batch = {.plan = plan};
    struct outcome warm = {0};
    /* Closing a batch is not the end of the library. */
    int other = must(nn_socket(AF_SP, plan->pattern->near_protocol), "nn_socket");

    do_batches(&batch, plan->warm, plan->warm_count, &warm);
    do_batches(&batch, plan->seconds, plan->count, outcome);
    must(nn_close(other), "nn_close");
}
