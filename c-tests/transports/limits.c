/* How much is taken, over tcp, ipc and ws: the size of a message, and how many of them while the
 * peer does not read.
 *
 * The transport is the argument: limits tcp, limits ipc, limits ws. */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/sockets.h"
#include "support/talk.h"

#include <nanomsg/nn.h>

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const char *scheme;

/* Sends a message of that size, and receives it into memory of its own. */
static void check_size(int from, int to, size_t size)
{
    unsigned char *sent = malloc(size + 1), *got = calloc(1, size + 1);
    for (size_t i = 0; i < size; i++)
        sent[i] = (unsigned char)(i * 7 + (i >> 8) + size);
    CHECK_EQ(nn_send(from, sent, size, 0), size);
    CHECK_EQ(nn_recv(to, got, size + 1, 0), size);
    CHECK_MEM(got, sent, size);
    free(sent);
    free(got);
}

static int over_ws(void)
{
    return strcmp(scheme, "ws") == 0 || strcmp(scheme, "wss") == 0;
}

/* core 6.5, transports 3.2, core-quirks A-45 */
static void messages_up_to_the_limit_pass(void)
{
    static const size_t sizes[] = {0, 1, 2, 7, 8, 9, 100, 2039, 2040, 2047, 2048, 2049, 4096, 65535,
                                   65536, 65537, 131072, 500000, 1048575, 1048576};
    struct url url = unique_url(scheme);
    int a, b;
    open_pairs(&a, &b, url.text);
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        check_size(a, b, sizes[i]);
        check_size(b, a, sizes[i]);
    }
    CHECK_CLOSE(a, b);
}

/* Connections that have come to an end: over ws one that ends by a close frame is not counted as
 * broken (transports 7.9), but then another one follows. */
static uint64_t count_ended(int s)
{
    if (!over_ws())
        return nn_get_statistic(s, NN_STAT_BROKEN_CONNECTIONS);
    return nn_get_statistic(s, NN_STAT_ESTABLISHED_CONNECTIONS)
           + nn_get_statistic(s, NN_STAT_ACCEPTED_CONNECTIONS) - 1;
}

/* Waits until that many connections have ended, and receives meanwhile: a library may look at what
 * has come only when somebody wants it. */
static int wait_ended(int s, uint64_t count)
{
    return wait_until(nn_recv(s, NULL, 0, NN_DONTWAIT) < 0 && count_ended(s) >= count,
                      PATIENCE_MS);
}

/* The send succeeds, the connection goes, and traffic goes on over the next one. */
static void check_over_the_limit(int listener_receives)
{
    struct url url = unique_url(scheme);
    char *body = calloc(1, 1048577);
    int a, b;
    open_pairs(&a, &b, url.text);
    int from = listener_receives ? b : a, to = listener_receives ? a : b;
    CHECK_EQ(nn_send(from, body, 1048577, 0), 1048577);
    CHECK(wait_ended(to, 1));
    CHECK_TALK(from, to);
    /* The numbers of CHECK_TALK were all that arrived. */
    CHECK_EQ(nn_get_statistic(to, NN_STAT_BYTES_RECEIVED),
             4 * nn_get_statistic(to, NN_STAT_MESSAGES_RECEIVED));
    free(body);
    CHECK_CLOSE(a, b);
}

/* core 6.5, transports 3.2, core-quirks A-45 */
static void a_listener_drops_what_is_over_the_limit(void)
{
    check_over_the_limit(1);
}

/* core 6.5, transports 3.2, core-quirks A-45 */
static void a_dialer_drops_what_is_over_the_limit(void)
{
    check_over_the_limit(0);
}

/* core 6.4 and 6.5, core-quirks A-73: the limit is looked at for every message. */
static void changing_the_limit_affects_a_live_connection(void)
{
    struct url url = unique_url(scheme);
    int a, b;
    open_pairs(&a, &b, url.text);
    set_int(a, NN_RCVMAXSIZE, -1);
    check_size(b, a, 3000000);
    set_int(a, NN_RCVMAXSIZE, 10);
    check_size(b, a, 10);
    check_size(b, a, 0);
    uint64_t ended = count_ended(a);
    CHECK_EQ(nn_send(b, "eleven char", 11, 0), 11);
    CHECK(wait_ended(a, ended + 1));
    CHECK_TALK(a, b);
    set_int(a, NN_RCVMAXSIZE, 0);
    check_size(b, a, 0);
    ended = count_ended(a);
    CHECK_EQ(nn_send(b, "1", 1, 0), 1);
    CHECK(wait_ended(a, ended + 1));
    set_int(a, NN_RCVMAXSIZE, 1048576);
    CHECK_TALK(a, b);
    CHECK_CLOSE(a, b);
}

/* core-quirks D: the reference's own tests rely on this much room. */
static void a_hundred_small_messages_need_no_reader(void)
{
    struct url url = unique_url(scheme);
    char body[40] = "forty bytes";
    int a, b;
    open_pairs(&a, &b, url.text);
    for (int i = 0; i < 100; i++)
        CHECK_EQ(nn_send(a, body, sizeof body, 0), sizeof body);
    for (int i = 0; i < 100; i++)
        CHECK_EQ(nn_recv(b, body, sizeof body, 0), sizeof body);
    CHECK_CLOSE(a, b);
}

/* protocols 2.8 and 2.9: a sender is stopped before it fills the memory, and nothing is lost. */
static void a_peer_that_does_not_read_stops_the_sender(void)
{
    struct url url = unique_url(scheme);
    uint32_t sent = 0, got[250];
    int a, b;
    open_pairs(&a, &b, url.text);
    /* The peer is waited for, so that what it reads ahead does not look like room. */
    set_int(a, NN_SNDTIMEO, 200);
    while (sent < 64000) {
        got[0] = sent;
        if (nn_send(a, got, sizeof got, 0) != sizeof got)
            break;
        sent++;
    }
    CHECK_EQ(errno, ETIMEDOUT);
    CHECK_AT_MOST(sent, 63999);
    for (uint32_t i = 0; i < sent; i++) {
        REQUIRE(nn_recv(b, got, sizeof got, 0) == sizeof got);
        CHECK_EQ(got[0], i);
    }
    CHECK_ERRNO(nn_recv(b, got, sizeof got, NN_DONTWAIT), -1, EAGAIN);
    CHECK_TALK(a, b);
    CHECK_CLOSE(a, b);
}

/* Two each: one that the peer reads ahead, and one behind it. */
static void send_large(int s, char *body, int size, int first)
{
    for (int i = 0; i < 2; i++) {
        memset(body, first + i, (size_t)size);
        CHECK_EQ(nn_send(s, body, (size_t)size, 0), size);
    }
}

static void recv_large(int s, char *body, int size, int first)
{
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(nn_recv(s, body, (size_t)size, 0), size);
        CHECK(body[0] == first + i && body[size - 1] == first + i);
    }
}

/* Some that the buffers of the kernel hold, and some that they do not, however they grow. */
static void both_sides_may_send_large_before_they_receive(void)
{
    enum { SMALLEST = 1048576, BIGGEST = 16 * SMALLEST };
    struct url url = unique_url(scheme);
    char *body = malloc(BIGGEST);
    int both[2];
    open_pairs(&both[0], &both[1], url.text);
    for (int i = 0; i < 2; i++) {
        set_int(both[i], NN_RCVMAXSIZE, -1);
        /* Whoever waits without a limit may stay with what he sends. */
        set_int(both[i], NN_SNDTIMEO, -1);
    }
    for (int round = 0; round < 4; round++) {
        int size = round % 2 ? BIGGEST : SMALLEST;
        send_large(both[0], body, size, 'a' + round);
        send_large(both[1], body, size, 'A' + round);
        recv_large(both[1], body, size, 'a' + round);
        recv_large(both[0], body, size, 'A' + round);
    }
    free(body);
    CHECK_CLOSE(both[0], both[1]);
}

int main(int count, char **words)
{
    scheme = test_begin_with("transports/limits", "tcp|ipc|ws|tls+tcp|wss", 58, count, words);
    RUN(messages_up_to_the_limit_pass);
    RUN(a_listener_drops_what_is_over_the_limit);
    RUN(a_dialer_drops_what_is_over_the_limit);
    RUN(changing_the_limit_affects_a_live_connection);
    RUN(a_hundred_small_messages_need_no_reader);
    RUN(a_peer_that_does_not_read_stops_the_sender);
    RUN(both_sides_may_send_large_before_they_receive);
    return test_end();
}
