/* The ends of lanes: what a thread does with its socket, and what it finds wrong. */

#include "soak.h"

#include "support/check.h"
#include "support/clock.h"
#include "support/device.h"
#include "support/random.h"
#include "support/sockets.h"

#include <nanomsg/bus.h>
#include <nanomsg/pair.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/pubsub.h>
#include <nanomsg/reqrep.h>
#include <nanomsg/survey.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* No call waits longer, so that a thread soon sees that the soak is over. */
enum { TURN_MS = 100, LINGER_MS = 200, ANSWER_MS = 5000, RESEND_MS = 500, AT_ONCE_MAX = 32 };

/* The types at place 0 and at the others, by pattern. */
static const int TYPES[PATTERNS][2] = {
    {NN_PAIR, NN_PAIR},         {NN_REP, NN_REQ}, {NN_PUB, NN_SUB},     {NN_PUSH, NN_PULL},
    {NN_SURVEYOR, NN_RESPONDENT}, {NN_BUS, NN_BUS}, {NN_REP, NN_REQ},
};

static const char *name_of(const struct end *end)
{
    return PATTERN_NAMES[soak->lanes[end->lane].pattern];
}

static int is_over(void)
{
    return SHARED(soak->stop);
}

static void went_on(struct end *end)
{
    __atomic_fetch_add(&soak->processes[end->process].progress[end->lane][end->place], 1,
                       __ATOMIC_RELAXED);
}

/* A call on an open socket may wait in vain, and lack something; it is never told that there is no
 * such socket, or that it was called wrongly. */
static void check_bearable(struct end *end, const char *call)
{
    static const int bearable[] = {EAGAIN, ETIMEDOUT, EINTR, EFSM, ENOMEM, EMFILE, ENFILE};
    int error = errno;
    for (size_t i = 0; i < COUNT_OF(bearable); i++)
        if (error == bearable[i])
            return;
    FAIL("%s, place %d: %s fails with %d (%s)", name_of(end), end->place, call, error,
         nn_strerror(error));
}

/* ---- opening ---- */

/* Some types do the same, raw or not, as long as nobody looks at headers. */
static int domain_of(struct end *end, int type)
{
    int may_be_raw = type == NN_PAIR || type == NN_PUSH || type == NN_PULL || type == NN_PUB;
    return may_be_raw && random_below(&end->random, 4) == 0 ? AF_SP_RAW : AF_SP;
}

static int set_options(int s, int domain, int type)
{
    int turn = TURN_MS, linger = LINGER_MS, soon = 10, later = 200, resend = RESEND_MS;
    int failed = nn_setsockopt(s, NN_SOL_SOCKET, NN_SNDTIMEO, &turn, sizeof turn)
                 | nn_setsockopt(s, NN_SOL_SOCKET, NN_RCVTIMEO, &turn, sizeof turn)
                 | nn_setsockopt(s, NN_SOL_SOCKET, NN_LINGER, &linger, sizeof linger)
                 | nn_setsockopt(s, NN_SOL_SOCKET, NN_RECONNECT_IVL, &soon, sizeof soon)
                 | nn_setsockopt(s, NN_SOL_SOCKET, NN_RECONNECT_IVL_MAX, &later, sizeof later);
    if (type == NN_SUB)
        failed |= nn_setsockopt(s, NN_SUB, NN_SUB_SUBSCRIBE, "", 0);
    if (type == NN_REQ && domain == AF_SP)
        failed |= nn_setsockopt(s, NN_REQ, NN_REQ_RESEND_IVL, &resend, sizeof resend);
    if (type == NN_SURVEYOR)
        failed |= nn_setsockopt(s, NN_SURVEYOR, NN_SURVEYOR_DEADLINE, &later, sizeof later);
    return failed;
}

/* A socket with its endpoint, or -1 when that cannot be had now. */
static int open_at(int domain, int type, const char *address, int is_bound)
{
    int s = nn_socket(domain, type);
    if (s < 0)
        return -1;
    if (set_options(s, domain, type) == 0
        && (is_bound ? nn_bind(s, address) : nn_connect(s, address)) >= 0)
        return s;
    CHECK_CLOSE(s);
    return -1;
}

static int open_end(struct end *end)
{
    const struct lane *lane = &soak->lanes[end->lane];
    /* Behind a device, place 1 is the worker and the others ask. */
    int is_worker = lane->pattern == DEVICE && end->place == 1;
    int type = TYPES[lane->pattern][end->place > 0 && !is_worker];
    end->serial++;
    return open_at(domain_of(end, type), type, is_worker ? lane->back : lane->front,
                   end->place == 0);
}

/* ---- what is done again and again ---- */

/* Sends the next message, which is left in `body` to be freed, or nothing. */
static int send_next(struct end *end, int s, unsigned char **body, size_t *size)
{
    *body = message_make(end, s, size);
    if (nn_send(s, *body, *size, 0) == (int)*size)
        return 1;
    check_bearable(end, "nn_send");
    free(*body);
    return 0;
}

static int speak(struct end *end, int s)
{
    unsigned char *body;
    size_t size;
    if (!send_next(end, s, &body, &size))
        return 0;
    free(body);
    return 1;
}

/* The next message, whole and of this lane, or NULL. */
static unsigned char *hear(struct end *end, int s, int flags, int *size)
{
    unsigned char *body = NULL;
    *size = nn_recv(s, &body, NN_MSG, flags);
    if (*size < 0) {
        check_bearable(end, "nn_recv");
        return NULL;
    }
    if (message_is_whole(body, (size_t)*size, end->lane))
        return body;
    FAIL("%s, place %d: %d bytes are no message", name_of(end), end->place, *size);
    nn_freemsg(body);
    return NULL;
}

static void listen_on(struct end *end, int s, int flags)
{
    int size;
    unsigned char *body;
    for (int i = 0; i < AT_ONCE_MAX && (body = hear(end, s, flags, &size)) != NULL; i++) {
        message_in_order(end, body);
        nn_freemsg(body);
        went_on(end);
        flags = NN_DONTWAIT;
    }
}

/* Says back what it hears. */
static void answer(struct end *end, int s)
{
    int size;
    unsigned char *body = hear(end, s, 0, &size);
    if (!body)
        return;
    if (nn_send(s, &body, NN_MSG, 0) == size) {
        went_on(end);
        return;
    }
    check_bearable(end, "nn_send");
    nn_freemsg(body);
}

/* Whether what was heard is what was asked; it is freed. */
static int is_echo(struct end *end, unsigned char *heard, int size, const unsigned char *asked,
                   size_t asked_size)
{
    int is_it = size == (int)asked_size && memcmp(heard, asked, asked_size) == 0;
    if (!is_it)
        FAIL("%s, place %d: the answer to another question", name_of(end), end->place);
    nn_freemsg(heard);
    return is_it;
}

static void ask(struct end *end, int s)
{
    unsigned char *asked, *heard = NULL;
    size_t asked_size;
    int size = 0;
    if (!send_next(end, s, &asked, &asked_size))
        return;
    for (int64_t deadline = now_ms() + ANSWER_MS; !is_over() && now_ms() < deadline && !heard;)
        heard = hear(end, s, 0, &size);
    if (heard && is_echo(end, heard, size, asked, asked_size))
        went_on(end);
    free(asked);
}

static void survey(struct end *end, int s)
{
    unsigned char *asked, *heard;
    size_t asked_size;
    int size, answers = 0;
    if (!send_next(end, s, &asked, &asked_size))
        return;
    while (!is_over() && (heard = hear(end, s, 0, &size)) != NULL)
        answers += is_echo(end, heard, size, asked, asked_size);
    /* Whoever connects again may be asked once by each of its connections. */
    if (answers > 0)
        went_on(end);
    free(asked);
}

static void turn(struct end *end, int s)
{
    int is_first = end->place == 0;
    switch (soak->lanes[end->lane].pattern) {
    case PAIR:
    case BUS:
        speak(end, s);
        listen_on(end, s, NN_DONTWAIT);
        break;
    case PUBSUB:
    case PIPELINE:
        if (!is_first)
            listen_on(end, s, 0);
        else if (speak(end, s))
            went_on(end);
        break;
    case SURVEY:
        if (is_first)
            survey(end, s);
        else
            answer(end, s);
        break;
    case REQREP:
        if (is_first)
            answer(end, s);
        else
            ask(end, s);
        break;
    case DEVICE:
        if (end->place == 1)
            answer(end, s);
        else
            ask(end, s);
        break;
    }
    nap_ms(2 + random_below(&end->random, 12));
}

/* ---- lives ---- */

/* A device tells nothing of itself: whoever asks through it does. */
static void be_device(struct end *end, int turns)
{
    const struct lane *lane = &soak->lanes[end->lane];
    struct device device;
    int front = open_at(AF_SP_RAW, NN_REP, lane->front, 1);
    int back = front < 0 ? -1 : open_at(AF_SP_RAW, NN_REQ, lane->back, 1);
    if (back < 0) {
        if (front >= 0)
            CHECK_CLOSE(front);
        nap_ms(20);
        return;
    }
    /* A device ends with the first call that waits in vain. */
    int forever = -1;
    for (int i = 0; i < 2; i++) {
        int s = i ? back : front;
        CHECK_OK(nn_setsockopt(s, NN_SOL_SOCKET, NN_RCVTIMEO, &forever, sizeof forever));
        CHECK_OK(nn_setsockopt(s, NN_SOL_SOCKET, NN_SNDTIMEO, &forever, sizeof forever));
    }
    device_start(&device, front, back);
    for (; turns > 0 && !is_over() && !thread_done(&device.thread); turns--)
        nap_ms(10);
    int ended_early = thread_done(&device.thread);
    CHECK_CLOSE(front, back);
    thread_join(&device.thread);
    /* A call of the system that fails may end it before its sockets do. */
    errno = device.error;
    if (!ended_early)
        CHECK_EQ(device.error, EBADF);
    else
        check_bearable(end, "nn_device");
}

void *end_main(void *argument)
{
    struct end *end = argument;
    while (!is_over()) {
        int turns = 100 + random_below(&end->random, 1500), s;
        if (soak->lanes[end->lane].pattern == DEVICE && end->place == 0) {
            be_device(end, turns);
            continue;
        }
        s = open_end(end);
        for (; s >= 0 && turns > 0 && !is_over(); turns--)
            turn(end, s);
        if (s < 0)
            nap_ms(20);
        else
            CHECK_CLOSE(s);
    }
    return NULL;
}
