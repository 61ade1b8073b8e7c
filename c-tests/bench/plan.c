/*
 * Case names: what they mean, and which of them make up the standard list.
 *
 *     lat:PATTERN:TRANSPORT:SIZE[@0]      zc:inproc:SIZE[@0]
 *     thr:PATTERN:TRANSPORT:SIZE[@0]      burst:TRANSPORT:SIZE:N[@0]
 *     churn:sock[@0], churn:cold[@0]      tail:TRANSPORT:SIZE:N[@0]
 */

#include "bench.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/reqrep.h>

#define FIELDS_MAX 4
#define NAME_MAX_BYTES 128
#define SIZE_LIMIT (1ull << 30)
#define BURST_LIMIT 1000000ull

static const struct pattern patterns[] = {
    {"pair", NN_PAIR, NN_PAIR, 1},
    {"req", NN_REQ, NN_REP, 1},
    {"push", NN_PUSH, NN_PULL, 0},
};

static const char *const transports[] = {"inproc", "ipc", "tcp", "ws"};

static const char *const cases[] = {
    "lat:pair:inproc:64@0",
    "lat:pair:ipc:64@0",
    "lat:pair:tcp:64@0",
    "lat:pair:inproc:64",
    "lat:pair:ipc:64",
    "lat:pair:tcp:64",
    "lat:req:inproc:64@0",
    "lat:req:ipc:64@0",
    "lat:req:tcp:64@0",
    "lat:req:inproc:64",
    "lat:req:ipc:64",
    "lat:req:tcp:64",
    "lat:pair:ws:64@0",
    "lat:pair:ws:64",
    "lat:pair:inproc:65536@0",
    "lat:pair:ipc:65536@0",
    "lat:pair:tcp:65536@0",
    "lat:pair:inproc:65536",
    "lat:pair:ipc:65536",
    "lat:pair:tcp:65536",
    "lat:pair:inproc:1048576",
    "lat:pair:ipc:1048576",
    "lat:pair:tcp:1048576",
    "thr:pair:inproc:64@0",
    "thr:pair:ipc:64@0",
    "thr:pair:tcp:64@0",
    "thr:pair:inproc:64",
    "thr:pair:ipc:64",
    "thr:pair:tcp:64",
    "thr:push:inproc:64",
    "thr:push:ipc:64",
    "thr:push:tcp:64",
    "thr:pair:ws:64",
    "thr:pair:ws:65536",
    "thr:pair:inproc:1024",
    "thr:pair:ipc:1024",
    "thr:pair:tcp:1024",
    "thr:pair:inproc:8192",
    "thr:pair:ipc:8192",
    "thr:pair:tcp:8192",
    "thr:pair:inproc:65536",
    "thr:pair:ipc:65536",
    "thr:pair:tcp:65536",
    "thr:pair:inproc:1048576",
    "thr:pair:ipc:1048576",
    "thr:pair:tcp:1048576",
    "zc:inproc:65536",
    "zc:inproc:1048576",
    "zc:inproc:67108864",
    "burst:inproc:64:8",
    "burst:ipc:64:8",
    "burst:tcp:64:2",
    "burst:tcp:64:8",
    "tail:inproc:64:20",
    "tail:ipc:64:20",
    "tail:tcp:64:20",
    "churn:sock",
    "churn:cold",
    NULL,
};

const char *const *standard_cases(void) {
    return cases;
}

static const struct pattern *find_pattern(const char *name) {
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        if (strcmp(patterns[i].name, name) == 0) {
            return &patterns[i];
        }
    }
    return NULL;
}

static int parse_transport(const char *name, enum transport *transport) {
    for (size_t i = 0; i < sizeof transports / sizeof *transports; i++) {
        if (strcmp(transports[i], name) == 0) {
            *transport = (enum transport)i;
            return 1;
        }
    }
    return 0;
}

static int parse_number(const char *text, unsigned long long limit, unsigned long long *number) {
    char *end;

    if (*text < '0' || *text > '9') {
        return 0;
    }
    errno = 0;
    *number = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0' && *number >= 1 && *number <= limit;
}

/* The fields are PATTERN, TRANSPORT, SIZE. */
static const char *parse_single(char **fields, int count, struct plan *plan) {
    unsigned long long size;

    if (count != 3) {
        return "expected PATTERN:TRANSPORT:SIZE";
    }
    plan->pattern = find_pattern(fields[0]);
    if (plan->pattern == NULL) {
        return "unknown pattern";
    }
    if (plan->activity == ROUND_TRIP && !plan->pattern->replies) {
        return "this pattern has no way back";
    }
    if (!parse_transport(fields[1], &plan->transport)) {
        return "unknown transport";
    }
    if (!parse_number(fields[2], SIZE_LIMIT, &size)) {
        return "bad size";
    }
    plan->size = (size_t)size;
    return NULL;
}

/* The fields are TRANSPORT, SIZE, N. */
static const char *parse_burst(char **fields, int count, struct plan *plan) {
    unsigned long long size, length;

    if (count != 3) {
        return "expected TRANSPORT:SIZE:N";
    }
    if (!parse_transport(fields[0], &plan->transport)) {
        return "unknown transport";
    }
    if (!parse_number(fields[1], SIZE_LIMIT, &size)) {
        return "bad size";
    }
    if (!parse_number(fields[2], BURST_LIMIT, &length)) {
        return "bad number of messages";
    }
    if (plan->activity == TAIL && size < STAMPED_SIZE_MIN) {
        return "the messages are too small to carry a time";
    }
    plan->pattern = &patterns[0];
    plan->size = (size_t)size;
    plan->length = (unsigned)length;
    return NULL;
}

static const char *parse_hand_over(char **fields, int count, struct plan *plan) {
    unsigned long long size;

    if (count != 2 || strcmp(fields[0], "inproc") != 0) {
        return "expected inproc:SIZE";
    }
    if (!parse_number(fields[1], SIZE_LIMIT, &size)) {
        return "bad size";
    }
    plan->pattern = &patterns[0];
    plan->transport = INPROC;
    plan->size = (size_t)size;
    return NULL;
}

static const char *parse_churn(char **fields, int count, struct plan *plan) {
    plan->pattern = &patterns[0];
    if (count == 1 && strcmp(fields[0], "sock") == 0) {
        plan->activity = OPEN_CLOSE;
        return NULL;
    }
    if (count == 1 && strcmp(fields[0], "cold") == 0) {
        plan->activity = COLD_START;
        return NULL;
    }
    return "expected sock or cold";
}

static const char *parse_fields(char **fields, int count, struct plan *plan) {
    static const struct {
        const char *name;
        enum activity activity;
        const char *(*parse)(char **fields, int count, struct plan *plan);
    } families[] = {
        {"lat", ROUND_TRIP, parse_single}, {"thr", STREAM, parse_single},
        {"zc", HAND_OVER, parse_hand_over}, {"burst", BURST, parse_burst},
        {"tail", TAIL, parse_burst},        {"churn", OPEN_CLOSE, parse_churn},
    };

    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        if (strcmp(families[i].name, fields[0]) == 0) {
            plan->activity = families[i].activity;
            return families[i].parse(fields + 1, count - 1, plan);
        }
    }
    return "unknown family";
}

const char *parse_case(const char *name, struct plan *plan) {
    char text[NAME_MAX_BYTES];
    char *fields[FIELDS_MAX];
    int count = 0;
    char *at;

    if (strlen(name) >= sizeof text) {
        return "too long";
    }
    strcpy(text, name);
    plan->name = name;
    plan->length = 1;
    at = strchr(text, '@');
    if (at != NULL) {
        if (strcmp(at, "@0") != 0) {
            return "only @0 may follow";
        }
        *at = '\0';
        plan->pinned = 1;
    }
    for (char *field = text; field != NULL; count++) {
        char *colon = strchr(field, ':');

        if (count == FIELDS_MAX) {
            return "too many fields";
        }
        if (colon != NULL) {
            *colon++ = '\0';
        }
        fields[count] = field;
        field = colon;
    }
    return parse_fields(fields, count, plan);
}
