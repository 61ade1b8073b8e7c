/*
 * What the names of cases mean. The table `families` has the form of each name; `@0` may follow
 * every one of them.
 */

#include "bench.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <nanomsg/bus.h>
#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/pubsub.h>
#include <nanomsg/reqrep.h>
#include <nanomsg/survey.h>

#define FIELDS_MAX 5
#define THREADS_SENDING 4u
#define TOPICS_LIMIT 1000000u
#define PEERS_LIMIT 10000u
#define NAME_MAX_BYTES 128
#define SIZE_LIMIT (1ull << 30)
#define LENGTH_LIMIT 1000000u
/* The reference has 512 sockets at most. */
#define SOCKETS_LIMIT 400u
#define CONTEXTS_LIMIT 10000u
#define THREADS_LIMIT 64u
#define SMALL_SIZE 64u

static const struct pattern patterns[] = {
    {"pair", NN_PAIR, NN_PAIR, 1},
    {"req", NN_REQ, NN_REP, 1},
    {"push", NN_PUSH, NN_PULL, 0},
};

/* What the families use that leave no choice. */
static const struct pattern pairs = {"pair", NN_PAIR, NN_PAIR, 1};
static const struct pattern requests = {"req", NN_REQ, NN_REP, 1};
static const struct pattern pushes = {"push", NN_PUSH, NN_PULL, 0};
static const struct pattern topics = {"sub", NN_SUB, NN_PUB, 0};
static const struct pattern surveys = {"survey", NN_SURVEYOR, NN_RESPONDENT, 1};
static const struct pattern buses = {"bus", NN_BUS, NN_BUS, 1};

static const char *const transports[] = {"inproc", "ipc", "tcp", "ws", "tls+tcp", "wss"};

enum way_back { NO_NEED, NEEDED };

/*
 * A family's name has a second word in some, then come its fields: P a pattern, T a transport,
 * S a size, N a number.
 */
static const struct family {
    const char *name;
    const char *second;
    enum activity activity;
    const char *fields;
    const struct pattern *pattern; /* Unless the name tells. */
    unsigned number_limit;
    size_t size_min;
    enum way_back way_back;
} families[] = {
    {"lat", NULL, ROUND_TRIP, "PTS", NULL, 0, 1, NEEDED},
    {"thr", NULL, STREAM, "PTS", NULL, 0, 1, NO_NEED},
    {"zc", NULL, HAND_OVER, "TS", &pairs, 0, 1, NO_NEED},
    {"alone", NULL, ALONE, "PTS", NULL, 0, 1, NO_NEED},
    {"burst", NULL, BURST, "TSN", &pairs, LENGTH_LIMIT, 1, NO_NEED},
    {"tail", NULL, TAIL, "TSN", &pairs, LENGTH_LIMIT, STAMPED_SIZE_MIN, NO_NEED},
    {"poll", NULL, POLL_ONE, "PTS", NULL, 0, 1, NEEDED},
    {"pollv", NULL, POLL_MANY, "NTS", &pairs, SOCKETS_LIMIT, 1, NO_NEED},
    {"fanin", NULL, FAN_IN, "PTSN", NULL, SOCKETS_LIMIT, STAMPED_SIZE_MIN, NO_NEED},
    {"many", NULL, MANY, "TSN", &pairs, SOCKETS_LIMIT, STAMPED_SIZE_MIN, NO_NEED},
    {"ctx", NULL, CONTEXTS, "TSN", &requests, CONTEXTS_LIMIT, STAMPED_SIZE_MIN, NO_NEED},
    {"fanout", NULL, FAN_OUT, "TSN", &topics, SOCKETS_LIMIT, 1, NO_NEED},
    {"oldest", NULL, OLDEST, "TSN", &topics, SOCKETS_LIMIT, 1, NO_NEED},
    {"counted", NULL, COUNTED, "TSN", &topics, SOCKETS_LIMIT, 1, NO_NEED},
    {"last", NULL, LAST, "TSN", &topics, SOCKETS_LIMIT, STAMPED_SIZE_MIN, NO_NEED},
    {"threads4", NULL, THREADS, "TS", &pushes, 0, STAMPED_SIZE_MIN, NO_NEED},
    {"askers", NULL, ASKING, "TSN", &requests, THREADS_LIMIT, STAMPED_SIZE_MIN, NO_NEED},
    {"survey", NULL, SURVEY, "TSN", &surveys, SOCKETS_LIMIT, STAMPED_SIZE_MIN, NO_NEED},
    {"bus", NULL, BUS, "TSN", &buses, SOCKETS_LIMIT, STAMPED_SIZE_MIN, NO_NEED},
    {"dev", NULL, DEVICE, "PTS", NULL, 0, 1, NEEDED},
    {"subs", NULL, TOPICS, "N", &topics, TOPICS_LIMIT, 0, NO_NEED},
    {"subadd", NULL, SUBSCRIBING, "", &topics, 0, 0, NO_NEED},
    {"opened", NULL, OPENING, "", &pairs, 0, 0, NO_NEED},
    {"churn", "sock", OPEN_CLOSE, "", &pairs, 0, 0, NO_NEED},
    {"churn", "cold", COLD_START, "", &pairs, 0, 0, NO_NEED},
    {"churn", "conn", CONNECTING, "T", &requests, 0, 0, NO_NEED},
    {"churn", "bind", BINDING, "T", &pairs, 0, 0, NO_NEED},
    {"mem", "idle", IDLE_MEMORY, "", &pairs, 0, 0, NO_NEED},
    {"mem", "conn", CONNECTION_MEMORY, "T", &requests, 0, 0, NO_NEED},
    {"mem", "used", USED_MEMORY, "T", &requests, 0, 0, NO_NEED},
    {"mem", "raw", RAW_MEMORY, "N", &pushes, PEERS_LIMIT, 0, NO_NEED},
};

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

static const char *parse_field(char form, const char *text, const struct family *family,
                               struct plan *plan) {
    unsigned long long number;

    switch (form) {
    case 'P':
        plan->pattern = find_pattern(text);
        return plan->pattern == NULL ? "unknown pattern" : NULL;
    case 'T':
        return parse_transport(text, &plan->transport) ? NULL : "unknown transport";
    case 'S':
        if (!parse_number(text, SIZE_LIMIT, &number)) {
            return "bad size";
        }
        plan->size = (size_t)number;
        return NULL;
    default:
        if (!parse_number(text, family->number_limit, &number)) {
            return "bad number";
        }
        plan->length = (unsigned)number;
        return NULL;
    }
}

/* How many sockets each party opens, which follows from the family and its number. */
static void plan_sockets(struct plan *plan) {
    plan->near_sockets = 1;
    plan->far_sockets = 1;
    plan->senders = 1;
    switch (plan->activity) {
    case POLL_MANY:
        plan->near_sockets = plan->far_sockets = plan->length;
        plan->length = 1;
        break;
    case FAN_IN:
    case MANY:
    case FAN_OUT:
    case OLDEST:
    case COUNTED:
    case LAST:
        plan->senders = plan->near_sockets = plan->length;
        plan->length = 1;
        break;
    case CONTEXTS:
    case ASKING:
        plan->senders = plan->length;
        plan->length = 1;
        break;
    case THREADS:
        plan->senders = THREADS_SENDING;
        break;
    case SURVEY:
        plan->far_sockets = plan->length;
        break;
    case BUS:
        plan->near_sockets = plan->length;
        break;
    default:
        break;
    }
}

static const char *check_plan(const struct family *family, struct plan *plan) {
    if (family->way_back == NEEDED && !plan->pattern->replies) {
        return "this pattern has no way back";
    }
    if (plan->activity == HAND_OVER && plan->transport != INPROC) {
        return "only inproc hands messages over";
    }
    /* Sequence numbers of one stream say nothing about several that are mixed. */
    if (plan->activity == FAN_IN && plan->pattern->near_protocol == NN_PAIR) {
        return "a pair has one peer";
    }
    if (plan->activity == BUS && plan->length < 2) {
        return "a bus has two sockets or more";
    }
    /* Threads share their memory, so it has no sides. */
    if ((plan->activity == CONNECTION_MEMORY || plan->activity == USED_MEMORY)
        && plan->transport == INPROC) {
        return "the sides must be processes";
    }
    if (plan->activity == RAW_MEMORY) {
        plan->transport = TCP;
    }
    if (plan->size == 0) {
        plan->size = SMALL_SIZE;
    }
    if (plan->size < family->size_min) {
        return "the messages are too small for what they must carry";
    }
    plan_sockets(plan);
    return NULL;
}

static const char *parse_fields(char **fields, int count, struct plan *plan) {
    int known = 0;

    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        const struct family *family = &families[i];
        int words = family->second == NULL ? 1 : 2;

        if (strcmp(family->name, fields[0]) != 0) {
            continue;
        }
        known = 1;
        if (count < words || (words == 2 && strcmp(family->second, fields[1]) != 0)) {
            continue;
        }
        if (count - words != (int)strlen(family->fields)) {
            return "wrong number of fields";
        }
        plan->activity = family->activity;
        plan->pattern = family->pattern;
        for (int at = 0; at < count - words; at++) {
            const char *wrong = parse_field(family->fields[at], fields[words + at], family, plan);

            if (wrong != NULL) {
                return wrong;
            }
        }
        return check_plan(family, plan);
    }
    return known ? "unknown member of the family" : "unknown family";
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
