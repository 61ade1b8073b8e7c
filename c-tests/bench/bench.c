/* The command line: runs one case and prints its result as one line of JSON. */

#include "bench.h"

#include <dlfcn.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECONDS_DEFAULT 1.0
#define SECONDS_MAX 3600.0
#define WARM_SHARE 0.2
#define WARM_COUNT_DEFAULT 50

#define EXIT_USAGE 2

static const char usage[] =
    "usage: bench [options] CASE\n"
    "       bench --list | --list-all\n"
    "  --seconds S      measure for S seconds (default 1)\n"
    "  --warm S         warm up for S seconds (default a fifth of the above)\n"
    "  --count N        measure exactly N operations instead\n"
    "  --warm-count N   after exactly N (default 50)\n"
    "  --verify         compare every byte of every message\n"
    "  --list           print the names of the standard cases\n"
    "  --list-all       print those, and every size on every transport\n"
    "BENCH_NODELAY=1 in the environment sets NN_TCP_NODELAY on both sockets.\n";

static int usage_error(const char *why, const char *about) {
    fprintf(stderr, "bench: %s: %s\n%s", about, why, usage);
    return EXIT_USAGE;
}

static void list_cases(const char *const *names) {
    for (; *names != NULL; names++) {
        puts(*names);
    }
}

static int parse_seconds(const char *text, double *seconds) {
    char *end;

    *seconds = strtod(text, &end);
    return end != text && *end == '\0' && *seconds >= 0 && *seconds <= SECONDS_MAX;
}

static int parse_count(const char *text, uint64_t *count) {
    char *end;

    errno = 0;
    *count = strtoull(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && *count > 0;
}

/* Must precede every library call: threads inherit the mask of whoever starts them. */
static void pin_to_first_cpu(void) {
    cpu_set_t cpus;

    CPU_ZERO(&cpus);
    CPU_SET(0, &cpus);
    if (sched_setaffinity(0, sizeof cpus, &cpus) != 0) {
        fail_errno("sched_setaffinity");
    }
}

static void run(const struct plan *plan, struct outcome *outcome) {
    switch (plan->activity) {
    case ROUND_TRIP:
    case BURST:
    case TAIL:
    case POLL_ONE:
    case POLL_MANY:
    case DEVICE:
        run_exchange(plan, outcome);
        break;
    case STREAM:
    case HAND_OVER:
        run_stream(plan, outcome);
        break;
    case ALONE:
        run_alone(plan, outcome);
        break;
    case FAN_IN:
    case MANY:
        run_fan_in(plan, outcome);
        break;
    case CONTEXTS:
        run_contexts(plan, outcome);
        break;
    case THREADS:
    case ASKING:
        run_threads(plan, outcome);
        break;
    case FAN_OUT:
    case OLDEST:
    case COUNTED:
    case LAST:
    case TOPICS:
        run_fan_out(plan, outcome);
        break;
    case SURVEY:
        run_survey(plan, outcome);
        break;
    case BUS:
        run_bus(plan, outcome);
        break;
    case OPENING:
    case SUBSCRIBING:
        run_batches(plan, outcome);
        break;
    case IDLE_MEMORY:
    case CONNECTION_MEMORY:
    case USED_MEMORY:
    case RAW_MEMORY:
        run_memory(plan, outcome);
        break;
    case OPEN_CLOSE:
    case COLD_START:
    case BINDING:
        run_churn(plan, outcome);
        break;
    case CONNECTING:
        run_connecting(plan, outcome);
        break;
    }
}

static void print_string(const char *name, const char *value) {
    printf("\"%s\": \"", name);
    for (; *value != '\0'; value++) {
        if (*value == '"' || *value == '\\') {
            putchar('\\');
        }
        putchar(*value);
    }
    printf("\", ");
}

static void print_number(const char *name, double value) {
    if (isnan(value)) {
        printf("\"%s\": null, ", name);
    } else {
        printf("\"%s\": %.3f, ", name, value);
    }
}

/* A search path that misses its target would otherwise compare a library with itself. */
static const char *library_path(void) {
    void *function = dlsym(RTLD_DEFAULT, "nn_socket");
    Dl_info info;

    if (function == NULL || dladdr(function, &info) == 0) {
        return "?";
    }
    return info.dli_fname;
}

static void print_outcome(const struct plan *plan, const struct outcome *outcome) {
    printf("{");
    print_string("case", plan->name);
    print_number("rate", outcome->rate);
    print_number("p50_us", outcome->p50_us);
    print_number("p99_us", outcome->p99_us);
    print_number("cpu_us", outcome->cpu_us / (double)outcome->count);
    print_number("bytes", outcome->bytes);
    print_number("fds", outcome->fds);
    print_string("library", library_path());
    printf("\"count\": %llu, \"errors\": %llu}\n", (unsigned long long)outcome->count,
           (unsigned long long)outcome->errors);
}

static int parse_options(int argc, char **argv, struct plan *plan) {
    static const struct option options[] = {
        {"seconds", required_argument, NULL, 's'}, {"warm", required_argument, NULL, 'w'},
        {"count", required_argument, NULL, 'n'},   {"warm-count", required_argument, NULL, 'm'},
        {"verify", no_argument, NULL, 'v'},        {"list", no_argument, NULL, 'l'},
        {"list-all", no_argument, NULL, 'a'},      {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int option;
    int good = 1;

    while (good && (option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 's': good = parse_seconds(optarg, &plan->seconds); break;
        case 'w': good = parse_seconds(optarg, &plan->warm); break;
        case 'n': good = parse_count(optarg, &plan->count); break;
        case 'm': good = parse_count(optarg, &plan->warm_count); break;
        case 'v': plan->verify = 1; break;
        case 'l': list_cases(standard_cases()); exit(EXIT_SUCCESS);
        case 'a':
            list_cases(standard_cases());
            list_cases(further_cases());
            exit(EXIT_SUCCESS);
        case 'h': fputs(usage, stdout); exit(EXIT_SUCCESS);
        default: exit(EXIT_USAGE);
        }
    }
    if (!good) {
        return usage_error("not a valid value", optarg);
    }
    if (optind + 1 != argc) {
        return usage_error("one is needed", "case");
    }
    return 0;
}

int main(int argc, char **argv) {
    struct plan plan = {.seconds = SECONDS_DEFAULT, .warm = -1, .warm_count = WARM_COUNT_DEFAULT};
    struct outcome outcome = {.p50_us = NAN, .p99_us = NAN, .bytes = NAN, .fds = NAN};
    const char *nodelay = getenv("BENCH_NODELAY");
    const char *wrong;
    int status = parse_options(argc, argv, &plan);

    if (status != 0) {
        return status;
    }
    wrong = parse_case(argv[optind], &plan);
    if (wrong != NULL) {
        return usage_error(wrong, argv[optind]);
    }
    if (plan.warm < 0) {
        plan.warm = plan.seconds * WARM_SHARE;
    }
    plan.nodelay = plan.transport == TCP && nodelay != NULL && strcmp(nodelay, "1") == 0;

    guard_start(&plan);
    if (plan.pinned) {
        pin_to_first_cpu();
    }
    run(&plan, &outcome);
    guard_end();
    print_outcome(&plan, &outcome);
    return outcome.errors == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
