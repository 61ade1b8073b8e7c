/*
 * Opening and closing a socket: beside another one that stays open, or as the only one, where the
 * library starts and stops whatever it needs; or bound in between.
 */

#include "bench.h"

#include <stdlib.h>

#include <nanomsg/nn.h>

static char address[ADDRESS_BYTES];

/* Looking for a free address is not part of what is timed, so all use one that was free before. */
static void choose_address(const struct plan *plan) {
    int socket = must(nn_socket(AF_SP, plan->pattern->near_protocol), "nn_socket");
    char ipc_path[ADDRESS_BYTES];

    if (plan->transport == IPC) {
        choose_ipc_path(ipc_path, 1);
    }
    bind_somewhere(socket, plan->transport, ipc_path, 0, address);
    must(nn_close(socket), "nn_close");
}

static void open_and_close(const struct plan *plan) {
    int socket = must(nn_socket(AF_SP, plan->pattern->near_protocol), "nn_socket");

    if (plan->activity == BINDING) {
        must(nn_bind(socket, address), "nn_bind");
    }
    must(nn_close(socket), "nn_close");
}

static void warm_up(const struct plan *plan) {
    uint64_t end = now_ns() + (uint64_t)(plan->warm * 1e9);
    uint64_t done = 0;

    do {
        open_and_close(plan);
        done++;
    } while (plan->count != 0 ? done < plan->warm_count : now_ns() < end);
}

void run_churn(const struct plan *plan, struct outcome *outcome) {
    struct histogram *histogram = histogram_new();
    struct meter meter;
    uint64_t last, end, now;
    int other = -1;

    if (plan->activity != COLD_START) {
        other = must(nn_socket(AF_SP, plan->pattern->near_protocol), "nn_socket");
    }
    if (plan->activity == BINDING) {
        choose_address(plan);
    }
    warm_up(plan);
    meter_start(&meter);
    last = meter.started_ns;
    end = last + (uint64_t)(plan->seconds * 1e9);
    do {
        open_and_close(plan);
        now = now_ns();
        histogram_add(histogram, now - last);
        last = now;
        outcome->count++;
    } while (plan->count != 0 ? outcome->count < plan->count : now < end);
    meter_stop(&meter);
    if (other >= 0) {
        must(nn_close(other), "nn_close");
    }
    outcome->rate = (double)outcome->count / meter_seconds(&meter);
    outcome->cpu_us = meter.cpu_us;
    outcome->p50_us = histogram_quantile_us(histogram, 0.50);
    outcome->p99_us = histogram_quantile_us(histogram, 0.99);
    free(histogram);
}
