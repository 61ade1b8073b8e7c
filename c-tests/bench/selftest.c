/*
 * Tests of the measuring itself: a benchmark that overlooks a lost message, or miscounts a
 * quantile, proves nothing. Needs no library.
 */

#include "bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SIZE_TESTED_MAX 40u
#define SEQUENCE 70000u
#define SPIN_US 50000.0

static int failures;

static void expect(int condition, const char *what, unsigned long detail) {
    if (!condition) {
        fprintf(stderr, "failed: %s (%lu)\n", what, detail);
        failures++;
    }
}

/* What the tested files call when they cannot go on; the real ones need the library. */
void fail(const char *what) {
    fprintf(stderr, "%s\n", what);
    exit(EXIT_FAILURE);
}

void fail_errno(const char *what) {
    fail(what);
}

static void notices_every_altered_byte(void) {
    for (size_t size = 1; size <= SIZE_TESTED_MAX; size++) {
        unsigned char *pattern = pattern_new(size);
        unsigned char *message = pattern_new(size);

        message_mark(message, size, DATA, SEQUENCE);
        expect(message_kind(message) == DATA, "the kind survives", size);
        expect(!message_is_wrong(message, size, size, SEQUENCE, pattern), "it is right", size);
        for (size_t at = 0; at < size; at++) {
            /* Bytes 9 to 16 are room for a time, which nobody can foretell. */
            if (size >= STAMPED_SIZE_MIN && at >= 9 && at <= 16) {
                continue;
            }
            /* A size that is too small for the pattern has bytes that belong to nothing. */
            if (at > 0 && at < size - 1 && size < 10) {
                continue;
            }
            if (size >= 10 && size < STAMPED_SIZE_MIN && at > 8 && at < size - 1) {
                continue;
            }
            message[at] ^= 1;
            expect(message_is_wrong(message, size, size, SEQUENCE, pattern), "a flipped bit",
                   size * 1000 + at);
            message[at] ^= 1;
        }
        buffer_free(pattern);
        buffer_free(message);
    }
}

static void notices_lost_repeated_and_cut_messages(void) {
    for (size_t size = 1; size <= SIZE_TESTED_MAX; size++) {
        unsigned char *message = pattern_new(size);

        message_mark(message, size, WARM, SEQUENCE);
        expect(message_is_wrong(message, size, size, SEQUENCE + 1, NULL), "repeated", size);
        expect(message_is_wrong(message, size, size, SEQUENCE - 1, NULL), "lost before", size);
        expect(message_is_wrong(message, size - 1, size, SEQUENCE, NULL), "cut", size);
        expect(message_is_wrong(message, size + 1, size, SEQUENCE, NULL), "longer", size);
        if (size >= 10) {
            expect(message_is_wrong(message, size, size, SEQUENCE + 64, NULL), "64 later", size);
        }
        buffer_free(message);
    }
}

static void keeps_the_time_of_sending(void) {
    unsigned char *message = pattern_new(STAMPED_SIZE_MIN);
    uint64_t ns = 0x0123456789abcdefu;

    message_mark(message, STAMPED_SIZE_MIN, DATA, SEQUENCE);
    message_stamp(message, ns);
    expect(message_stamped(message) == ns, "the time survives", 0);
    expect(!message_is_wrong(message, STAMPED_SIZE_MIN, STAMPED_SIZE_MIN, SEQUENCE, NULL),
           "the time disturbs no mark", 0);
    buffer_free(message);
}

static void expect_near(double found, double expected, const char *what) {
    expect(fabs(found - expected) <= expected * 0.01, what, (unsigned long)found);
}

static void quantiles_are_right_within_a_hundredth(void) {
    struct histogram *histogram = histogram_new();
    struct histogram *lone = histogram_new();

    expect(isnan(histogram_quantile_us(histogram, 0.5)), "nothing has no median", 0);
    for (uint64_t us = 1; us <= 1000; us++) {
        histogram_add(histogram, us * 1000);
    }
    expect_near(histogram_quantile_us(histogram, 0.50), 500, "median of 1 to 1000");
    expect_near(histogram_quantile_us(histogram, 0.99), 990, "99th centile of 1 to 1000");
    expect_near(histogram_quantile_us(histogram, 1.00), 1000, "largest of 1 to 1000");
    for (unsigned bit = 0; bit < 64; bit++) {
        histogram_add(lone, 1ull << bit);
    }
    expect_near(histogram_quantile_us(lone, 1.0), ldexp(1, 63) / 1000, "largest duration");
    free(histogram);
    free(lone);
}

static double used_us(void) {
    struct timespec used;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec * 1e6 + (double)used.tv_nsec / 1e3;
}

/* Spins for processor time, not for wall time: a busy machine may leave this program little. */
static void the_meter_sees_processor_time(void) {
    double until = used_us() + SPIN_US;
    struct meter meter;

    meter_start(&meter);
    while (used_us() < until) {
    }
    meter_stop(&meter);
    expect(meter.cpu_us >= SPIN_US * 0.9, "processor time", (unsigned long)meter.cpu_us);
    expect(meter.cpu_us <= meter_seconds(&meter) * 1e6 * 1.1, "not more than one thread has",
           (unsigned long)meter.cpu_us);
}

static void cases_are_understood(const char *const *names) {
    for (const char *const *name = names; *name != NULL; name++) {
        struct plan plan;

        memset(&plan, 0, sizeof plan);
        if (parse_case(*name, &plan) != NULL) {
            fprintf(stderr, "%s: ", *name);
            expect(0, "is understood", 0);
            continue;
        }
        expect(plan.pinned == (strchr(*name, '@') != NULL), *name, 0);
        expect(plan.pattern != NULL && plan.length >= 1, *name, 1);
        expect(plan.near_sockets >= 1 && plan.far_sockets >= 1, *name, 2);
    }
}

static void names_tell_how_many_sockets(void) {
    static const struct {
        const char *name;
        unsigned near, far, length;
    } expected[] = {
        {"lat:pair:tcp:64", 1, 1, 1},        {"burst:tcp:64:8", 1, 1, 8},
        {"pollv:10:tcp:64", 10, 10, 1},      {"poll:pair:tcp:64@0", 1, 1, 1},
        {"fanin:push:tcp:64:200", 200, 1, 1}, {"fanout:ipc:64:8", 8, 1, 1},
        {"churn:conn:tcp", 1, 1, 1},         {"survey:tcp:64:64", 1, 64, 64},
        {"bus:tcp:64:8", 8, 1, 8},           {"subs:1000", 1, 1, 1000},
        {"mem:raw:1000", 1, 1, 1000},        {"threads4:tcp:64", 1, 1, 1},
        {"ctx:tcp:64:64", 1, 1, 1},          {"oldest:ipc:64:8", 8, 1, 1},
        {"askers:tcp:64:8", 1, 1, 1},        {"counted:tcp:64:8", 8, 1, 1},
        {"many:tcp:64:8", 8, 1, 1},          {"last:tcp:64:8", 8, 1, 1},
        {"lat:pair:tls+tcp:64@0", 1, 1, 1},  {"churn:conn:wss", 1, 1, 1},
    };

    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        struct plan plan;

        memset(&plan, 0, sizeof plan);
        expect(parse_case(expected[i].name, &plan) == NULL, expected[i].name, i);
        expect(plan.near_sockets == expected[i].near, expected[i].name, plan.near_sockets);
        expect(plan.far_sockets == expected[i].far, expected[i].name, plan.far_sockets);
        expect(plan.length == expected[i].length, expected[i].name, plan.length);
    }
}

static void phases_end_by_number_or_by_time(void) {
    struct plan timed = {.count = 0};
    struct plan counted = {.count = 5};

    expect(!phase_is_over(&timed, 9, 2000000000u, 1, 5), "nine operations are too few", 0);
    expect(!phase_is_over(&timed, 100, 999999999u, 1, 5), "a second has not passed", 0);
    expect(phase_is_over(&timed, 10, 1000000000u, 1, 5), "a second has passed", 0);
    expect(!phase_is_over(&counted, 4, 2000000000u, 1, 5), "one is missing", 0);
    expect(phase_is_over(&counted, 5, 0, 1, 5), "all are done", 0);
}

static void bad_names_are_refused(void) {
    static const char *const names[] = {
        "", ":", "lat", "lat:", "lat:pair", "lat:pair:tcp", "lat:pair:tcp:", "lat:pair:tcp:0",
        "lat:pair:tcp:-1", "lat:pair:tcp:+1", "lat:pair:tcp: 1", "lat:pair:tcp:1x",
        "lat:pair:tcp:99999999999999999999999", "lat:pair:udp:1", "lat:pear:tcp:1",
        "lat:pair:tcp:1@", "lat:pair:tcp:1@1", "lat:pair:tcp:1@0@0", "lat:pair:tcp:1:1",
        "lat:pair:tcp:1:1:1", "thr:pair", "zc:tcp:1", "zc:inproc", "burst:tcp:64",
        "burst:tcp:64:0", "tail:tcp:17:2", "churn", "churn:", "churn:warm", "churn:sock:1",
        "unknown:pair:tcp:1", "poll:push:tcp:1", "pollv:0:tcp:1", "pollv:401:tcp:1", "pollv:tcp:1",
        "fanin:pair:tcp:64:8", "fanin:push:tcp:17:8", "fanin:push:tcp:64", "fanin:push:tcp:64:401",
        "fanout:tcp:64:0", "fanout:64:1", "churn:conn", "churn:conn:udp", "churn:conn:tcp:64",
        "survey:tcp:17:64", "survey:tcp:64", "bus:tcp:64:1", "dev:push:tcp:64", "dev:tcp:64",
        "subs", "subs:0", "subs:tcp:10", "subadd:1", "opened:1", "threads4:tcp", "threads4:tcp:17",
        "mem", "mem:idle:1", "mem:conn", "mem:conn:inproc", "mem:used:inproc", "mem:raw",
        "mem:raw:0", "churn:bind", "ctx:tcp:64", "ctx:tcp:17:64", "ctx:tcp:64:10001",
        "oldest:tcp:64", "oldest:tcp:64:401", "askers:tcp:64", "askers:tcp:17:8",
        "askers:tcp:64:65", "counted:tcp:64", "counted:tcp:64:401",
        "many:tcp:64", "many:tcp:17:8", "many:tcp:64:401",
        "last:tcp:64", "last:tcp:17:8", "last:tcp:64:401",
    };
    char longest[300];
    struct plan plan;

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        memset(&plan, 0, sizeof plan);
        expect(parse_case(names[i], &plan) != NULL, names[i], i);
    }
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    expect(parse_case(longest, &plan) != NULL, "a name too long", 0);
}

int main(void) {
    notices_every_altered_byte();
    notices_lost_repeated_and_cut_messages();
    keeps_the_time_of_sending();
    quantiles_are_right_within_a_hundredth();
    the_meter_sees_processor_time();
    cases_are_understood(standard_cases());
    cases_are_understood(further_cases());
    names_tell_how_many_sockets();
    phases_end_by_number_or_by_time();
    bad_names_are_refused();
    return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
