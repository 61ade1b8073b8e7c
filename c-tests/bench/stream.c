/*
 * Streams: one party sends as fast as the library takes messages, the other counts them.
 *
 * The receiver's clock decides. A sentinel ends the stream, and the sender then waits until the
 * receiver has reported, so a message that was accepted but not delivered can neither count nor go
 * unnoticed.
 */

#include "bench.h"

#include <string.h>

#include <nanomsg/nn.h>

/* Looking at the clock costs about as much as a small message may. */
#define LOOK_EVERY 64u
#define LARGE_SIZE 8192u
/* Of the largest, fewer than that would be a matter of luck. */
#define MESSAGES_MIN 8u

static uint64_t look_interval(const struct plan *plan) {
    return plan->size >= LARGE_SIZE ? 1 : LOOK_EVERY;
}

static void send_chunk(struct party *party, enum kind kind, uint64_t sequence) {
    const struct plan *plan = party->plan;
    void *chunk = nn_allocmsg(plan->size, 0);

    if (chunk == NULL) {
        must(-1, "nn_allocmsg");
    }
    /* Untouched memory between the two ends is the point: nobody has a reason to read it. */
    if (plan->verify) {
        memcpy(chunk, party->pattern, plan->size);
    }
    message_mark(chunk, plan->size, kind, sequence);
    must(nn_send(party->socket, &chunk, NN_MSG, 0), "nn_send NN_MSG");
}

static void send_one(struct party *party, enum kind kind, uint64_t sequence) {
    const struct plan *plan = party->plan;

    if (plan->activity == HAND_OVER) {
        send_chunk(party, kind, sequence);
        return;
    }
    message_mark(party->outbox, plan->size, kind, sequence);
    must(nn_send(party->socket, party->outbox, plan->size, 0), "nn_send");
}

static enum kind recv_chunk(struct party *party, uint64_t sequence) {
    void *chunk = NULL;
    int got = must(nn_recv(party->socket, &chunk, NN_MSG, 0), "nn_recv NN_MSG");
    enum kind kind = STOP;

    if (got >= 1) {
        kind = message_kind(chunk);
        party_check(party, chunk, (size_t)got, sequence);
    } else {
        party->errors++;
    }
    must(nn_freemsg(chunk), "nn_freemsg");
    return kind;
}

static enum kind recv_one(struct party *party, uint64_t sequence) {
    const struct plan *plan = party->plan;
    int got;

    if (plan->activity == HAND_OVER) {
        return recv_chunk(party, sequence);
    }
    got = must(nn_recv(party->socket, party->inbox, plan->size, 0), "nn_recv");
    party_check(party, party->inbox, (size_t)got, sequence);
    return message_kind(party->inbox);
}

/* Sends for a time, or a number of messages, and returns how many it were. */
static uint64_t send_many(struct party *party, enum kind kind, uint64_t sequence, double seconds,
                          uint64_t count) {
    const struct plan *plan = party->plan;
    uint64_t look_every = look_interval(plan);
    uint64_t end = now_ns() + (uint64_t)(seconds * 1e9);
    uint64_t sent = 0;

    for (;;) {
        if (plan->count != 0) {
            if (sent == count) {
                return sent;
            }
        } else if (sent % look_every == 0 && sent >= MESSAGES_MIN && now_ns() >= end) {
            return sent;
        }
        send_one(party, kind, sequence + sent);
        sent++;
    }
}

static void near_stream(struct party *party, struct outcome *outcome) {
    const struct plan *plan = party->plan;
    uint64_t warmed = send_many(party, WARM, 0, plan->warm, plan->warm_count);

    meter_start(&party->meter);
    outcome->count = send_many(party, DATA, warmed, plan->seconds, plan->count);
    send_one(party, STOP, warmed + outcome->count);
}

/*
 * The end of a stream may rest in a buffer for 40 ms, be it the kernel's, because nothing follows
 * it. That is a matter of latency (tail and burst measure it), so the rate ends at the last look
 * at the clock before; only a stream shorter than that is timed up to its sentinel.
 */
static void far_stream(struct party *party, struct report *report) {
    uint64_t look_every = look_interval(party->plan);
    uint64_t sequence = 0;
    uint64_t timed = 0;
    uint64_t looked_ns = 0;
    enum kind kind;

    while ((kind = recv_one(party, sequence++)) != STOP) {
        if (kind != DATA) {
            continue;
        }
        if (report->received == 0) {
            meter_start(&party->meter);
        } else if (report->received % look_every == 0) {
            timed = report->received;
            looked_ns = now_ns();
        }
        report->received++;
    }
    meter_stop(&party->meter);
    if (timed == 0) {
        timed = report->received;
        looked_ns = party->meter.stopped_ns;
    }
    report->rate = (double)timed * 1e9 / (double)(looked_ns - party->meter.started_ns);
}

void run_stream(const struct plan *plan, struct outcome *outcome) {
    struct report report;

    run_two_parties(plan, near_stream, far_stream, &report, outcome);
    if (report.received != outcome->count) {
        outcome->errors++;
    }
    outcome->count = report.received;
    outcome->rate = report.rate;
}
