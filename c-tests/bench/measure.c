/* Clocks, processor time, and quantiles of many durations in bounded memory. */

#include "bench.h"

#include <math.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

/* Each power of two is split into 128 buckets, so a quantile is right within 0.8 %. */
#define SPLIT_BITS 7
#define SPLIT (1u << SPLIT_BITS)
#define BUCKETS ((64 - SPLIT_BITS + 1) * SPLIT)

/* Quantiles of fewer operations would mean nothing, however slow the library is. */
#define OPERATIONS_MIN 10u

struct histogram {
    uint64_t total;
    uint64_t buckets[BUCKETS];
};

uint64_t now_ns(void) {
    struct timespec now;

    /* Processes of one machine share this clock, which tail cases rely on. */
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int phase_is_over(const struct plan *plan, uint64_t done, uint64_t elapsed_ns, double seconds,
                  uint64_t count) {
    if (plan->count != 0) {
        return done >= count;
    }
    return done >= OPERATIONS_MIN && (double)elapsed_ns >= seconds * 1e9;
}

static double microseconds(struct timeval time) {
    return (double)time.tv_sec * 1e6 + (double)time.tv_usec;
}

static double cpu_us(void) {
    struct rusage usage;

    /* All threads count: work that a library moves to a thread of its own is not free. */
    getrusage(RUSAGE_SELF, &usage);
    return microseconds(usage.ru_utime) + microseconds(usage.ru_stime);
}

void meter_start(struct meter *meter) {
    meter->started_cpu_us = cpu_us();
    meter->started_ns = now_ns();
}

void meter_stop(struct meter *meter) {
    meter->stopped_ns = now_ns();
    meter->cpu_us = cpu_us() - meter->started_cpu_us;
}

double meter_seconds(const struct meter *meter) {
    return (double)(meter->stopped_ns - meter->started_ns) / 1e9;
}

struct histogram *histogram_new(void) {
    struct histogram *histogram = calloc(1, sizeof *histogram);

    if (histogram == NULL) {
        fail_errno("calloc");
    }
    return histogram;
}

void histogram_add(struct histogram *histogram, uint64_t ns) {
    size_t bucket = (size_t)ns;

    if (ns >= SPLIT) {
        unsigned exponent = 63u - (unsigned)__builtin_clzll(ns) - SPLIT_BITS;

        bucket = ((size_t)(exponent + 1) << SPLIT_BITS) + ((ns >> exponent) & (SPLIT - 1));
    }
    histogram->buckets[bucket]++;
    histogram->total++;
}

static double bucket_middle_ns(size_t bucket) {
    unsigned exponent;

    if (bucket < SPLIT) {
        return (double)bucket;
    }
    exponent = (unsigned)(bucket >> SPLIT_BITS) - 1;
    return ldexp((double)(SPLIT + (bucket & (SPLIT - 1))) + 0.5, (int)exponent);
}

double histogram_quantile_us(const struct histogram *histogram, double quantile) {
    double rank = ceil(quantile * (double)histogram->total);
    uint64_t seen = 0;

    for (size_t bucket = 0; bucket < BUCKETS; bucket++) {
        seen += histogram->buckets[bucket];
        if (seen > 0 && (double)seen >= rank) {
            return bucket_middle_ns(bucket) / 1000;
        }
    }
    return NAN;
}
