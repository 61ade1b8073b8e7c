/*
 * Publishing: one socket to many, which all live in one thread, or to one with many topics. A
 * publisher drops what a subscriber cannot take, so messages go in windows: the next one starts
 * when everybody has the last message of this one.
 *
 * With topics, each message that is subscribed to follows one that is not.
 */

#include "bench.h"

#include <stdlib.h>
#include <string.h>

#include <nanomsg/nn.h>
#include <nanomsg/pubsub.h>

/* Small enough for every buffer, so that nothing is dropped. */
#define WINDOW 32u
/* The way through a queue is short, and a filter alone is what shall be seen. */
#define TOPICS_WINDOW 256u

#define TOPIC_BYTES 14u
#define TOPIC_DIGITS_AT 6u
#define TOPIC_DIGITS 7u

static unsigned window_of(const struct plan *plan) {
    return plan->activity == TOPICS ? TOPICS_WINDOW : WINDOW;
}

/* Before the marks, which are then those of a message of the plan's size. */
static size_t topic_bytes(const struct plan *plan) {
    return plan->activity == TOPICS ? TOPIC_BYTES : 0;
}

/* Topics come in an order without a pattern that a cache could learn. */
static unsigned topic_of(const struct plan *plan, uint64_t sequence) {
    return (unsigned)((sequence * 2654435761u >> 7) % plan->length);
}

static void write_topic(unsigned char *message, const char *name, unsigned number) {
    memcpy(message, name, TOPIC_DIGITS_AT);
    for (unsigned i = TOPIC_DIGITS; i > 0; i--) {
        message[TOPIC_DIGITS_AT + i - 1] = (unsigned char)('0' + number % 10);
        number /= 10;
    }
    message[TOPIC_DIGITS_AT + TOPIC_DIGITS] = '/';
}

static unsigned char *message_new(const struct plan *plan) {
    unsigned char *message = buffer_new(topic_bytes(plan) + plan->size);
    unsigned char *pattern = pattern_new(plan->size);

    memcpy(message + topic_bytes(plan), pattern, plan->size);
    buffer_free(pattern);
    return message;
}

static void subscribe(struct party *party) {
    unsigned char topic[TOPIC_BYTES];

    for (unsigned number = 0; number < party->plan->length; number++) {
        write_topic(topic, "topic/", number);
        must(nn_setsockopt(party->socket, NN_SUB, NN_SUB_SUBSCRIBE, topic, sizeof topic),
             "NN_SUB_SUBSCRIBE");
    }
}

/* The start of a window, told to the publisher. */
static void order_window(struct party *party, enum kind kind) {
    control_send(party->control, &kind, sizeof kind);
}

static void take_one(struct party *party, int socket, unsigned char *message, uint64_t sequence) {
    const struct plan *plan = party->plan;
    size_t before = topic_bytes(plan);
    int got = must(nn_recv(socket, message, before + plan->size, 0), "nn_recv");
    unsigned char topic[TOPIC_BYTES];

    if ((size_t)got < before) {
        party->errors++;
        return;
    }
    write_topic(topic, "topic/", topic_of(plan, sequence));
    if (memcmp(message, topic, before) != 0) {
        party->errors++;
    }
    party_check(party, message + before, (size_t)got - before, sequence);
}

/* Those before the last of the window may have been replaced by newer ones. */
static void take_newest(struct party *party, int socket, unsigned char *message, uint64_t sequence,
                        unsigned window) {
    const struct plan *plan = party->plan;
    uint64_t found = sequence;

    for (uint64_t next = sequence; next < sequence + window; next = found + 1) {
        int got = must(nn_recv(socket, message, plan->size, 0), "nn_recv");

        found = (size_t)got == plan->size ? message_sequence(message) : sequence + window;
        if (found < next || found >= sequence + window) {
            party->errors++;
            return;
        }
        party_check(party, message, (size_t)got, found);
    }
}

static uint64_t take_window(struct party *party, enum kind kind, unsigned char *message,
                            uint64_t sequence) {
    unsigned window = window_of(party->plan);

    order_window(party, kind);
    for (unsigned i = 0; i < party->socket_count; i++) {
        if (party->plan->activity == LAST) {
            take_newest(party, party->sockets[i], message, sequence, window);
            continue;
        }
        for (unsigned at = 0; at < window; at++) {
            take_one(party, party->sockets[i], message, sequence + at);
        }
    }
    return sequence + window;
}

/* A number of deliveries is rounded up to whole windows. */
static void near_subscribers(struct party *party, struct outcome *outcome) {
    const struct plan *plan = party->plan;
    unsigned char *message = message_new(plan);
    uint64_t deliveries = (uint64_t)window_of(plan) * party->socket_count;
    uint64_t sequence = 0;
    uint64_t done = 0;
    uint64_t started;
    uint64_t elapsed = 0;

    if (plan->activity == TOPICS) {
        subscribe(party);
    }
    started = now_ns();
    while (!phase_is_over(plan, done, now_ns() - started, plan->warm, plan->warm_count)) {
        sequence = take_window(party, WARM, message, sequence);
        done += deliveries;
    }
    meter_start(&party->meter);
    for (done = 0; !phase_is_over(plan, done, elapsed, plan->seconds, plan->count);
         done += deliveries) {
        sequence = take_window(party, DATA, message, sequence);
        elapsed = now_ns() - party->meter.started_ns;
    }
    order_window(party, STOP);
    outcome->count = done;
    outcome->rate = (double)done * 1e9 / (double)elapsed;
    buffer_free(message);
}

static void publish(struct party *party, enum kind kind, unsigned char *message,
                    uint64_t sequence) {
    const struct plan *plan = party->plan;
    size_t before = topic_bytes(plan);

    message_mark(message + before, plan->size, kind, sequence);
    if (before > 0) {
        write_topic(message, "other/", topic_of(plan, sequence));
        must(nn_send(party->socket, message, before + plan->size, 0), "nn_send");
        write_topic(message, "topic/", topic_of(plan, sequence));
    }
    must(nn_send(party->socket, message, before + plan->size, 0), "nn_send");
}

static void far_publisher(struct party *party, struct report *report) {
    unsigned window = window_of(party->plan);
    unsigned char *message = message_new(party->plan);
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
        for (unsigned i = 0; i < window; i++) {
            publish(party, kind, message, sequence++);
        }
        report->received += kind == DATA ? window : 0;
    }
    meter_stop(&party->meter);
    buffer_free(message);
}

void run_fan_out(const struct plan *plan, struct outcome *outcome) {
    struct report report;

    run_two_parties(plan, near_subscribers, far_publisher, &report, outcome);
    if (report.received * plan->near_sockets != outcome->count) {
        outcome->errors++;
    }
}
