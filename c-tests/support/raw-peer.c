#include "support/raw-peer.h"

#include "support/address.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/raw-stream.h"
#include "support/sockets.h"
#include "support/talk.h"
#include "support/websocket.h"

#include <nanomsg/nn.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const unsigned char PAIR_GREETING[8] = {0, 'S', 'P', 0, 0, 0x10, 0, 0};

int raw_greet(int fd)
{
    unsigned char greeting[8];
    if (raw_role(fd) == RAW_WS_CLIENT)
        return ws_ask(fd);
    if (raw_role(fd) == RAW_WS_SERVER)
        return ws_answer(fd);
    raw_send(fd, PAIR_GREETING, sizeof PAIR_GREETING);
    return raw_recv(fd, greeting, sizeof greeting, PATIENCE_MS) == sizeof greeting
           && memcmp(greeting, PAIR_GREETING, sizeof greeting) == 0;
}

int raw_greet_as(int fd, int mine, int theirs)
{
    const unsigned char said[8] = {0, 'S', 'P', 0, (unsigned char)(mine >> 8), (unsigned char)mine};
    const unsigned char expected[8]
        = {0, 'S', 'P', 0, (unsigned char)(theirs >> 8), (unsigned char)theirs};
    unsigned char greeting[8];
    raw_send(fd, said, sizeof said);
    return raw_recv(fd, greeting, sizeof greeting, PATIENCE_MS) == sizeof greeting
           && memcmp(greeting, expected, sizeof greeting) == 0;
}

int raw_join(int s, const char *url, int mine, int theirs)
{
    uint64_t pipes = nn_get_statistic(s, NN_STAT_CURRENT_CONNECTIONS);
    int fd = raw_connect(url);
    REQUIRE(raw_greet_as(fd, mine, theirs));
    CHECK_PIPES(s, pipes + 1);
    return fd;
}

void raw_open_sides(struct raw_sides *sides, const char *scheme)
{
    struct url url = unique_url(scheme);
    sides->url = unique_url(scheme);
    sides->sockets[0] = bound_pair(sides->url.text);
    sides->fds[0] = raw_connect(sides->url.text);
    sides->listener = raw_listen(url.text);
    sides->sockets[1] = connected_pair(url.text);
    sides->fds[1] = raw_accept(sides->listener, PATIENCE_MS);
    REQUIRE(sides->fds[1] >= 0);
}

void raw_greet_sides(const struct raw_sides *sides)
{
    CHECK(raw_greet(sides->fds[0]));
    CHECK(raw_greet(sides->fds[1]));
}

void raw_close_sides(const struct raw_sides *sides)
{
    close(sides->fds[0]);
    close(sides->fds[1]);
    close(sides->listener);
    CHECK_CLOSE(sides->sockets[0], sides->sockets[1]);
}

size_t raw_prefix(const char *url, uint64_t size, unsigned char prefix[9])
{
    unsigned char *p = prefix;
    if (is_ipc(url))
        *p++ = 1;
    for (int shift = 56; shift >= 0; shift -= 8)
        *p++ = (unsigned char)(size >> shift);
    return (size_t)(p - prefix);
}

void raw_message(int fd, const char *url, const void *body, size_t size)
{
    if (is_ws(url)) {
        ws_send(fd, WS_BINARY, body, size);
        return;
    }
    unsigned char *frame = malloc(9 + size);
    size_t prefix = raw_prefix(url, size, frame);
    memcpy(frame + prefix, body, size);
    raw_send(fd, frame, prefix + size);
    free(frame);
}

long raw_take(int fd, const char *url, void *body, size_t size, int ms)
{
    unsigned char prefix[9];
    size_t used = is_ipc(url) ? 9 : 8;
    uint64_t length = 0;
    if (raw_recv(fd, prefix, used, ms) != used || (used == 9 && prefix[0] != 1))
        return -1;
    for (size_t i = used - 8; i < used; i++)
        length = length << 8 | prefix[i];
    if (length > size || raw_recv(fd, body, (size_t)length, PATIENCE_MS) != length)
        return -1;
    return (long)length;
}

void check_next_is_served(int listener, int s, const char *url)
{
    int fd = raw_accept(listener, PATIENCE_MS);
    REQUIRE(fd >= 0);
    CHECK(raw_greet(fd));
    raw_message(fd, url, "hello", 5);
    CHECK_RECV(s, "hello");
    close(fd);
}

void check_says_bodies(int domain, int mine, int theirs, const char *scheme)
{
    struct url url = unique_url(scheme);
    int s = open_bound(domain, mine, url.text), fd = raw_join(s, url.text, theirs, mine);
    CHECK_SEND(s, "hi");
    CHECK_WIRE(fd, url.text, "hi", 2);
    CHECK_EQ(nn_send(s, NULL, 0, 0), 0);
    CHECK_WIRE(fd, url.text, "", 0);
    check_silence(fd);
    close(fd);
    CHECK_CLOSE(s);
}
