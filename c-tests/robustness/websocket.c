/* Hostile input on ws, out of a seeded generator: requests, answers and frames that are nearly
 * right, or not at all. Whatever comes, the process lives, its memory stays as it is, and a good
 * peer is served next.
 *
 *   websocket [EFFORT [SEED]]       effort 250 makes a million inputs to a listener */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/random.h"
#include "support/raw-stream.h"
#include "support/resources.h"
#include "support/sockets.h"
#include "support/trial.h"
#include "support/websocket.h"

#include <nanomsg/bus.h>
#include <nanomsg/nn.h>

#include <sched.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

/* Descriptors of a socket that listens: of the listener, the reactor, and a caller that waited.
 * Those that wait for many have some more where they are made of pipes. */
enum { OWN = 5, OWN_WITH_PIPES = 11 };

enum { INPUTS = 4000, ANSWERS = 150, ROUND = 1000, INPUT_MAX = 4096 };

#define BUS_REQUEST WS_REQUEST_WITHOUT_TOKEN \
    "Sec-WebSocket-Protocol: bus.sp.nanomsg.org\r\n\r\n"

static int open_bus(void)
{
    int s = nn_socket(AF_SP, NN_BUS);
    REQUIRE(s >= 0);
    set_int(s, NN_RECONNECT_IVL, 10);
    set_int(s, NN_RCVMAXSIZE, 100000);
    set_int(s, NN_LINGER, 0);
    return s;
}

/* Takes what hostile peers have brought through. */
static void drain(int s)
{
    void *body = NULL;
    int size;
    while ((size = nn_recv(s, &body, NN_MSG, NN_DONTWAIT)) >= 0) {
        CHECK_AT_MOST(size, 100000);
        nn_freemsg(body);
    }
}

/* ---- the generator ---- */

struct input {
    unsigned char bytes[INPUT_MAX];
    size_t size;
};

static void add(struct input *input, const void *bytes, size_t size)
{
    if (size > INPUT_MAX - input->size)
        size = INPUT_MAX - input->size;
    memcpy(input->bytes + input->size, bytes, size);
    input->size += size;
}

static void add_noise(struct input *input, uint64_t *state, int most)
{
    unsigned char bytes[512];
    size_t size = (size_t)random_below(state, most);
    random_bytes(state, bytes, size);
    add(input, bytes, size);
}

/* A frame, mostly one that is right: opcode, length form and payload of any kind. */
static void add_frame(struct input *input, uint64_t *state)
{
    static const unsigned char firsts[] = {0x82, 0x81, 0x02, 0x01, 0x00, 0x80, 0x89, 0x8a, 0x88};
    static const size_t sizes[] = {0, 1, 2, 125, 126, 127, 300, 65535, 65536, 100001};
    unsigned char frame[14 + 512], payload[512];
    size_t size = random_below(state, 4) ? (size_t)random_below(state, 130)
                                         : sizes[random_below(state, 10)];
    size_t real = size < sizeof payload ? size : sizeof payload;
    int first = random_below(state, 10) ? firsts[random_below(state, 9)] : random_below(state, 256);
    if (random_below(state, 2))
        memset(payload, 'a', sizeof payload);
    else
        random_bytes(state, payload, sizeof payload);
    if (first == 0x88 && real >= 2) {
        payload[0] = (unsigned char)(random_below(state, 4) ? 3 : random_below(state, 256));
        payload[1] = (unsigned char)random_below(state, 256);
    }
    size_t used = ws_frame(frame, first, random_below(state, 20) != 0, payload, real);
    /* Now and then the length is another one. */
    if (random_below(state, 8) == 0 || real != size) {
        frame[1] = (unsigned char)((frame[1] & 0x80) | (random_below(state, 2) ? 126 : 127));
        for (int i = 2; i < 10; i++)
            if (random_below(state, 2))
                frame[i] = (unsigned char)next_random(state);
    }
    add(input, frame, used);
}

/* Changes some bytes, leaves some out, doubles some. */
static void mutate(struct input *input, uint64_t *state, int times)
{
    for (; times > 0 && input->size > 1; times--) {
        size_t at = next_random(state) % input->size;
        size_t count = next_random(state) % 8 + 1;
        if (count > input->size - at)
            count = input->size - at;
        switch (random_below(state, 4)) {
        case 0:
            input->bytes[at] = (unsigned char)next_random(state);
            break;
        case 1:
            input->bytes[at] ^= (unsigned char)(1 << random_below(state, 8));
            break;
        case 2:
            memmove(input->bytes + at, input->bytes + at + count, input->size - at - count);
            input->size -= count;
            break;
        default:
            if (input->size + count > INPUT_MAX)
                break;
            memmove(input->bytes + at + count, input->bytes + at, input->size - at);
            input->size += count;
        }
    }
}

static void make_input(struct input *input, uint64_t *state)
{
    input->size = 0;
    switch (random_below(state, 8)) {
    case 0:
        add_noise(input, state, 300);
        return;
    case 1: case 2:
        add(input, BUS_REQUEST, sizeof BUS_REQUEST - 1);
        mutate(input, state, random_below(state, 4) + 1);
        add_frame(input, state);
        return;
    case 3:
        add(input, BUS_REQUEST, sizeof BUS_REQUEST - 1);
        add_noise(input, state, 200);
        return;
    default:
        add(input, BUS_REQUEST, sizeof BUS_REQUEST - 1);
        for (int i = random_below(state, 12) + 1; i > 0; i--)
            add_frame(input, state);
        if (random_below(state, 3) == 0)
            mutate(input, state, 1);
    }
}

/* ---- against a listener ---- */

/* Sends the input in one piece or several, sometimes waits for what is said to it, and leaves. */
static void strike(const char *url, const struct input *input, uint64_t *state)
{
    int fd = raw_connect(url);
    size_t cut = random_below(state, 3) ? input->size : next_random(state) % (input->size + 1);
    raw_send(fd, input->bytes, cut);
    if (cut < input->size) {
        sched_yield();
        raw_send(fd, input->bytes + cut, input->size - cut);
    }
    if (random_below(state, 8) == 0)
        raw_end(fd, random_below(state, 3));
    /* A reset leaves no port in waiting, so that there is always one for the next input. */
    raw_reset(fd);
}

static void check_serves(int s, const char *url)
{
    char body[16];
    uint32_t number = 4711, got = 0;
    int peer = open_bus();
    CHECK_OK(nn_connect(peer, url));
    CHECK(wait_until((drain(s), nn_send(peer, &number, 4, NN_DONTWAIT),
                      nn_recv(s, &got, 4, NN_DONTWAIT) == 4 && got == number), PATIENCE_MS));
    CHECK(wait_until((nn_send(s, "still here", 10, NN_DONTWAIT),
                      nn_recv(peer, body, sizeof body, NN_DONTWAIT) == 10), PATIENCE_MS));
    CHECK_CLOSE(peer);
    CHECK(wait_until((drain(s), nn_get_statistic(s, NN_STAT_CURRENT_CONNECTIONS) == 0),
                     PATIENCE_MS));
}

static void a_listener_survives_everything(void)
{
    struct url url = unique_url("ws");
    static struct input input;
    uint64_t state = trial.seed;
    long before_kb = 0;
    int s = open_bus(), inputs = INPUTS * trial.effort, descriptors = count_descriptors();
    int own = shows_by_pipes() ? OWN_WITH_PIPES : OWN;
    CHECK_OK(nn_bind(s, url.text));
    for (int i = 0; i < inputs; i++) {
        make_input(&input, &state);
        strike(url.text, &input, &state);
        if (i % 16 == 0)
            drain(s);
        if (i % ROUND == ROUND - 1) {
            /* Refused requests are gone a second later at the latest. */
            CHECK(wait_until((drain(s), count_descriptors() <= descriptors + own), PATIENCE_MS));
            check_serves(s, url.text);
        }
        /* The first inputs fill the buffers that are kept. */
        if (i == INPUTS / 2)
            before_kb = resident_kb();
    }
    CHECK_AT_LEAST(nn_get_statistic(s, NN_STAT_ACCEPTED_CONNECTIONS), (uint64_t)inputs / 2);
    check_memory_flat(before_kb, 1024);
    CHECK_CLOSE(s);
}

/* ---- against a dialer ---- */

static void answer_badly(int fd, uint64_t *state)
{
    static struct input answer;
    char head[1024], good[512];
    REQUIRE(ws_head(fd, head, sizeof head, PATIENCE_MS) > 0
            && ws_response(head, "bus.sp.nanomsg.org", good, sizeof good));
    answer.size = 0;
    int kind = random_below(state, 4);
    if (kind == 0) {
        add_noise(&answer, state, 300);
    } else {
        add(&answer, good, strlen(good));
        if (kind == 1)
            mutate(&answer, state, random_below(state, 4) + 1);
        add_noise(&answer, state, 20);
    }
    raw_send(fd, answer.bytes, answer.size);
    if (random_below(state, 4) == 0)
        raw_end(fd, random_below(state, 3));
    raw_reset(fd);
}

/* One that stays away for good is told to connect again: transports 7.8. */
static void a_dialer_survives_everything(void)
{
    struct url url = unique_url("ws");
    uint64_t state = trial.seed + 1;
    int s = open_bus(), listener = raw_listen(url.text), endpoint;
    set_int(s, NN_RECONNECT_IVL, 1);
    CHECK_OK(endpoint = nn_connect(s, url.text));
    for (int i = 0; i < ANSWERS * trial.effort; i++) {
        int fd = raw_accept(listener, 200);
        if (fd < 0) {
            CHECK_EQ(nn_shutdown(s, endpoint), 0);
            CHECK_OK(endpoint = nn_connect(s, url.text));
            fd = raw_accept(listener, PATIENCE_MS);
        }
        REQUIRE(fd >= 0);
        answer_badly(fd, &state);
        drain(s);
    }
    CHECK_EQ(nn_shutdown(s, endpoint), 0);
    close(listener);
    int good = open_bus();
    CHECK_OK(nn_bind(good, url.text));
    CHECK_OK(nn_connect(s, url.text));
    CHECK(wait_until(nn_send(good, "hello", 5, NN_DONTWAIT) == 5
                     && nn_recv(s, NULL, 0, NN_DONTWAIT) == 5, PATIENCE_MS));
    CHECK_CLOSE(good, s);
}

int main(int count, char **words)
{
    trial_begin("robustness/websocket", NULL, 60, count, words);
    RUN(a_listener_survives_everything);
    RUN(a_dialer_survives_everything);
    RUN(nothing_is_left);
    return test_end();
}
