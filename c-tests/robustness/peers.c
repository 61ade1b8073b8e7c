/* Peers that do not speak our language, or speak half of it and leave. Whatever they send, the
 * process lives, they are dropped, and a good peer is served next.
 *
 *   peers tcp|ipc [EFFORT [SEED]] */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/random.h"
#include "support/raw-peer.h"
#include "support/raw-stream.h"
#include "support/resources.h"
#include "support/sockets.h"
#include "support/talk.h"
#include "support/thread.h"
#include "support/trial.h"

#include <nanomsg/nn.h>

#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { HELLO_SIZE = 5, PREFIX_MAX = 9 };

static const char hello[] = "hello";

/* It serves a PAIR, and notices that it has gone. */
static void check_serves_once(int s, const char *url)
{
    check_serves(s, url);
    CHECK(wait_stat(s, NN_STAT_CURRENT_CONNECTIONS, 0, PATIENCE_MS));
}

/* A raw connection that has become the peer of the socket. */
static int raw_peer(int s, const char *url)
{
    int fd = raw_connect(url);
    CHECK(raw_greet(fd));
    CHECK(wait_stat(s, NN_STAT_CURRENT_CONNECTIONS, 1, PATIENCE_MS));
    return fd;
}

/* Garbage, now and then good for so many bytes before it turns bad. */
static size_t make_garbage(uint64_t *state, unsigned char bytes[64])
{
    size_t size = (size_t)random_below(state, 64) + 1;
    size_t good = (size_t)random_below(state, 6);
    random_bytes(state, bytes, 64);
    memcpy(bytes, PAIR_GREETING, good);
    if (memcmp(bytes, PAIR_GREETING, 6) == 0)
        bytes[5] ^= 1;
    return size;
}

static void garbage_is_refused(void)
{
    struct url url = unique_url(trial.scheme);
    int s = bound_pair(url.text);
    uint64_t state = trial.seed;
    unsigned char bytes[64];
    int descriptors = count_descriptors();
    for (int i = 0; i < 200 * trial.effort; i++) {
        size_t size = make_garbage(&state, bytes);
        int fd = raw_connect(url.text);
        raw_send(fd, bytes, size);
        /* With less than a greeting we would have a second to wait. */
        if (size >= 8 && random_below(&state, 2))
            CHECK_NE(raw_end(fd, PATIENCE_MS), RAW_OPEN);
        if (random_below(&state, 2))
            raw_reset(fd);
        else
            close(fd);
    }
    CHECK(wait_until(count_descriptors() == descriptors, PATIENCE_MS));
    check_serves_once(s, url.text);
    CHECK_CLOSE(s);
}

static void half_greetings_are_dropped_after_a_second(void)
{
    struct url url = unique_url(trial.scheme);
    int s = bound_pair(url.text), fds[8];
    int64_t start = now_us();
    for (size_t i = 0; i < 8; i++) {
        fds[i] = raw_connect(url.text);
        raw_send(fds[i], PAIR_GREETING, i);
    }
    for (int i = 0; i < 8; i++) {
        CHECK_NE(raw_end(fds[i], PATIENCE_MS), RAW_OPEN);
        CHECK_NOT_EARLY(start, 1000);
        close(fds[i]);
    }
    check_serves_once(s, url.text);
    CHECK_CLOSE(s);
}

/* A greeting and two messages, as a good peer would send them. */
static size_t make_session(const char *url, unsigned char session[64])
{
    size_t size = sizeof PAIR_GREETING;
    memcpy(session, PAIR_GREETING, size);
    for (int i = 0; i < 2; i++) {
        size += raw_prefix(url, HELLO_SIZE, session + size);
        memcpy(session + size, hello, HELLO_SIZE);
        size += HELLO_SIZE;
    }
    return size;
}

/* What a peer sent that has left may be delivered or not, but only whole. */
static void take_what_arrived(int s)
{
    char body[64];
    int size;
    while ((size = nn_recv(s, body, sizeof body, NN_DONTWAIT)) >= 0)
        if (size != HELLO_SIZE || memcmp(body, hello, HELLO_SIZE) != 0)
            FAIL("%d bytes arrived that nobody sent as a message", size);
    CHECK_EQ(errno, EAGAIN);
}

static void check_cut(int s, const char *url, const unsigned char *session, size_t cut, int resets)
{
    int fd = raw_connect(url);
    raw_send(fd, session, cut);
    if (resets)
        raw_reset(fd);
    else
        close(fd);
    take_what_arrived(s);
}

static void a_reset_at_every_position_is_survived(void)
{
    struct url url = unique_url(trial.scheme);
    int s = bound_pair(url.text);
    unsigned char session[64];
    size_t size = make_session(url.text, session);
    for (int round = 0; round < 2 * trial.effort; round++)
        for (size_t cut = 0; cut <= size; cut++)
            check_cut(s, url.text, session, cut, round % 2);
    CHECK(wait_until((take_what_arrived(s),
                      nn_get_statistic(s, NN_STAT_CURRENT_CONNECTIONS) == 0), PATIENCE_MS));
    check_serves_once(s, url.text);
    CHECK_CLOSE(s);
}

/* The same, with a peer that is attached before it breaks off. */
static void a_reset_of_a_peer_at_every_position_is_survived(void)
{
    struct url url = unique_url(trial.scheme);
    int s = bound_pair(url.text);
    unsigned char session[64];
    size_t size = make_session(url.text, session);
    for (size_t cut = sizeof PAIR_GREETING; cut <= size; cut++) {
        int fd = raw_peer(s, url.text);
        raw_send(fd, session + sizeof PAIR_GREETING, cut - sizeof PAIR_GREETING);
        CHECK_SEND(s, "unread");
        raw_reset(fd);
        CHECK(wait_until((take_what_arrived(s),
                          nn_get_statistic(s, NN_STAT_CURRENT_CONNECTIONS) == 0), PATIENCE_MS));
    }
    check_serves_once(s, url.text);
    CHECK_CLOSE(s);
}

/* A peer announces a message of that length, sends at most 64 bytes of it and resets. */
static void announce(int s, const char *url, uint64_t length, int64_t limit)
{
    static const unsigned char body[64];
    unsigned char prefix[PREFIX_MAX];
    char got[64];
    int fd = raw_peer(s, url);
    raw_send(fd, prefix, raw_prefix(url, length, prefix));
    if (limit >= 0 && length > (uint64_t)limit) {
        /* Nothing of the body is needed for the refusal. */
        CHECK_NE(raw_end(fd, PATIENCE_MS), RAW_OPEN);
    } else {
        raw_send(fd, body, length < sizeof body ? (size_t)length : sizeof body);
        if (length <= sizeof body)
            CHECK_EQ(nn_recv(s, got, sizeof got, 0), length);
    }
    raw_reset(fd);
    if (!wait_stat(s, NN_STAT_CURRENT_CONNECTIONS, 0, PATIENCE_MS))
        FAIL("the peer that announced %llu bytes is still there", (unsigned long long)length);
}

static void check_lengths(int limit)
{
    struct url url = unique_url(trial.scheme);
    int s = bound_pair(url.text);
    set_int(s, NN_RCVMAXSIZE, limit);
    announce(s, url.text, 0, limit);
    long before = resident_kb();
    for (int bit = 0; bit < 64; bit++) {
        uint64_t length = UINT64_C(1) << bit;
        announce(s, url.text, length - 1, limit);
        announce(s, url.text, length, limit);
        announce(s, url.text, length + 1, limit);
    }
    announce(s, url.text, UINT64_MAX - 1, limit);
    announce(s, url.text, UINT64_MAX, limit);
    /* Nothing is allocated because a peer announced it. */
    check_memory_flat(before, 16 * 1024);
    set_int(s, NN_RCVMAXSIZE, 1 << 20);
    check_serves_once(s, url.text);
    CHECK_CLOSE(s);
}

static void every_length_is_survived_with_the_default_limit(void)
{
    check_lengths(1 << 20);
}

static void every_length_is_survived_with_a_small_limit(void)
{
    check_lengths(64);
    check_lengths(0);
}

static void every_length_is_survived_without_a_limit(void)
{
    check_lengths(-1);
}

static void a_peer_may_send_byte_by_byte(void)
{
    struct url url = unique_url(trial.scheme);
    int s = bound_pair(url.text), one = 1;
    unsigned char session[64];
    size_t size = make_session(url.text, session);
    for (int round = 0; round < 5 * trial.effort; round++) {
        int fd = raw_connect(url.text);
        setsockopt(fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &one, sizeof one);
        for (size_t i = 0; i < size; i++) {
            raw_send(fd, session + i, 1);
            nap_ms(round == 0);
        }
        CHECK_RECV(s, hello);
        CHECK_RECV(s, hello);
        close(fd);
        CHECK(wait_stat(s, NN_STAT_CURRENT_CONNECTIONS, 0, PATIENCE_MS));
    }
    check_serves_once(s, url.text);
    CHECK_CLOSE(s);
}

/* ---- many at once ---- */

enum { SILENT = 300 };

static void silent_connections_delay_nobody(void)
{
    struct url url = unique_url(trial.scheme);
    struct rlimit limit;
    int s = bound_pair(url.text), fds[SILENT];
    REQUIRE(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    if (limit.rlim_cur < 1000) {
        limit.rlim_cur = limit.rlim_max < 1000 ? limit.rlim_max : 1000;
        REQUIRE(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    }
    int descriptors = count_descriptors();
    int64_t start = now_us();
    for (int i = 0; i < SILENT; i++)
        fds[i] = raw_connect(url.text);
    int64_t connected = now_us();
    check_serves_once(s, url.text);
    /* The good peer came last, and the limit of the silent ones is a second. */
    CHECK_AT_MOST(now_us() - connected, 900000);
    for (int i = 0; i < SILENT; i++) {
        CHECK_NE(raw_end(fds[i], PATIENCE_MS), RAW_OPEN);
        if (i == 0)
            CHECK_NOT_EARLY(start, 1000);
        close(fds[i]);
    }
    CHECK_AT_MOST(now_us() - connected, 5000000);
    CHECK(wait_until(count_descriptors() == descriptors, PATIENCE_MS));
    check_serves_once(s, url.text);
    CHECK_CLOSE(s);
}

struct storm {
    const char *url;
    uint64_t seed;
    int64_t stop_ms;
    long connections;
};

/* A refused connection is no failure here: the backlog may be full. */
static int storm_connect(const char *url)
{
    struct sockaddr_storage address;
    socklen_t size = raw_address(url, &address);
    struct timeval patience = {2, 0};
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(fd, (struct sockaddr *)&address, size) == 0)
        return fd;
    close(fd);
    return -1;
}

static void *rage(void *argument)
{
    struct storm *storm = argument;
    unsigned char bytes[64], session[64];
    uint64_t state = storm->seed;
    size_t size = make_session(storm->url, session);
    while (now_ms() < storm->stop_ms) {
        int fd = storm_connect(storm->url);
        if (fd < 0)
            continue;
        storm->connections++;
        if (random_below(&state, 2))
            raw_send(fd, session, (size_t)random_below(&state, (int)size + 1));
        else
            raw_send(fd, bytes, make_garbage(&state, bytes));
        if (random_below(&state, 4) == 0)
            raw_recv(fd, bytes, 8, 1);
        if (random_below(&state, 2))
            raw_reset(fd);
        else
            close(fd);
        /* Leaves some of the machine to the others. */
        nap_ms(random_below(&state, 3));
    }
    return NULL;
}

static long storm_for(const char *url, int ms)
{
    struct thread threads[4];
    struct storm storms[4];
    long connections = 0;
    for (int i = 0; i < 4; i++) {
        struct storm storm = {url, trial.seed + (uint64_t)i * 1000, now_ms() + ms, 0};
        storms[i] = storm;
        thread_start(&threads[i], rage, &storms[i]);
    }
    CHECK(wait_until(thread_done(&threads[0]) && thread_done(&threads[1])
                     && thread_done(&threads[2]) && thread_done(&threads[3]), ms + PATIENCE_MS));
    for (int i = 0; i < 4; i++) {
        thread_join(&threads[i]);
        connections += storms[i].connections;
    }
    return connections;
}

static void check_calm(int s, int descriptors)
{
    CHECK(wait_until((take_what_arrived(s),
                      nn_get_statistic(s, NN_STAT_CURRENT_CONNECTIONS) == 0), PATIENCE_MS));
    CHECK(wait_until(count_descriptors() <= descriptors, PATIENCE_MS));
    CHECK_EQ(count_descriptors(), descriptors);
}

static void storms_of_connections_pass(void)
{
    struct url url = unique_url(trial.scheme);
    int s = bound_pair(url.text);
    check_serves_once(s, url.text);
    int descriptors = count_descriptors();
    storm_for(url.text, 500);
    check_calm(s, descriptors);
    check_serves_once(s, url.text);
    long before = resident_kb();
    long connections = storm_for(url.text, 1500 * trial.effort);
    check_calm(s, descriptors);
    check_serves_once(s, url.text);
    printf("%ld connections\n", connections);
    CHECK_AT_LEAST(connections, 10);
    check_memory_flat(before, 2048);
    CHECK_CLOSE(s);
}

/* ---- the other way round: our dialer meets a bad listener ---- */

static void treat_badly(int fd, const char *url, uint64_t *state)
{
    unsigned char bytes[64];
    size_t size = make_session(url, bytes);
    switch (random_below(state, 4)) {
    case 0:
        raw_send(fd, bytes, (size_t)random_below(state, (int)size));
        break;
    case 1:
        raw_send(fd, bytes, make_garbage(state, bytes));
        break;
    case 2:
        size = 8 + raw_prefix(url, UINT64_MAX, bytes + 8);
        raw_send(fd, bytes, size);
        CHECK_NE(raw_end(fd, PATIENCE_MS), RAW_OPEN);
        break;
    default:
        break;
    }
    if (random_below(state, 2))
        raw_reset(fd);
    else
        close(fd);
}

static void a_dialer_survives_bad_listeners(void)
{
    struct url url = unique_url(trial.scheme);
    uint64_t state = trial.seed;
    int listener = raw_listen(url.text), s = open_quick();
    CHECK_OK(nn_connect(s, url.text));
    for (int i = 0; i < 60 * trial.effort; i++) {
        int fd = raw_accept(listener, PATIENCE_MS);
        REQUIRE(fd >= 0);
        treat_badly(fd, url.text, &state);
        take_what_arrived(s);
    }
    close(listener);
    if (is_ipc(url.text))
        unlink(url.text + 6);
    CHECK(wait_until((take_what_arrived(s),
                      nn_get_statistic(s, NN_STAT_CURRENT_CONNECTIONS) == 0), PATIENCE_MS));
    int good = bound_pair(url.text);
    CHECK_TALK(s, good);
    CHECK_CLOSE(good, s);
}

static void a_dialer_does_not_hurry_to_a_bad_listener(void)
{
    struct url url = unique_url(trial.scheme);
    int listener = raw_listen(url.text), s = open_pair(), attempts = 0, fd;
    set_int(s, NN_RECONNECT_IVL, 100);
    CHECK_OK(nn_connect(s, url.text));
    int64_t stop = now_ms() + 1000;
    while (now_ms() < stop) {
        if ((fd = raw_accept(listener, (int)(stop - now_ms()))) < 0)
            continue;
        attempts++;
        raw_greet(fd);
        raw_reset(fd);
    }
    /* One, one at once, and then one in a tenth of a second. */
    CHECK_AT_LEAST(attempts, 2);
    CHECK_AT_MOST(attempts, 13);
    close(listener);
    if (is_ipc(url.text))
        unlink(url.text + 6);
    CHECK_CLOSE(s);
}

int main(int count, char **words)
{
    trial_begin("robustness/peers", "tcp|ipc", 60, count, words);
    RUN(garbage_is_refused);
    RUN(half_greetings_are_dropped_after_a_second);
    RUN(a_reset_at_every_position_is_survived);
    RUN(a_reset_of_a_peer_at_every_position_is_survived);
    RUN(every_length_is_survived_with_the_default_limit);
    RUN(every_length_is_survived_with_a_small_limit);
    RUN(every_length_is_survived_without_a_limit);
    RUN(a_peer_may_send_byte_by_byte);
    RUN(silent_connections_delay_nobody);
    RUN(storms_of_connections_pass);
    RUN(a_dialer_survives_bad_listeners);
    RUN(a_dialer_does_not_hurry_to_a_bad_listener);
    RUN(nothing_is_left);
    return test_end();
}
