/* The frames of WebSocket messages, byte for byte: sent whole, in fragments, and put together. */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/raw-peer.h"
#include "support/raw-stream.h"
#include "support/sockets.h"
#include "support/websocket.h"
#include "support/ws-peer.h"

#include <nanomsg/nn.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* transports 7.6 */
static void frames_are_sent_exactly_like_this(void)
{
    static const size_t sizes[] = {0, 1, 2, 125, 126, 127, 65535, 65536, 70000, 1048576};
    struct raw_sides sides;
    unsigned char *body = malloc(1048576), *got = malloc(1048576), keys[2][4];
    raw_open_sides(&sides, "ws");
    raw_greet_sides(&sides);
    for (size_t i = 0; i < 1048576; i++)
        body[i] = (unsigned char)(i * 7 + (i >> 8));
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        unsigned char expected[14], head[14];
        size_t size = sizes[i], used;
        CHECK_EQ(nn_send(sides.sockets[0], body, size, 0), size);
        used = ws_frame(expected, WS_BINARY, 0, NULL, 0);
        if (size >= 126) {
            int bytes = size < 65536 ? 2 : 8;
            expected[1] = (unsigned char)(bytes == 2 ? 126 : 127);
            for (int k = 0; k < bytes; k++)
                expected[used++] = (unsigned char)((uint64_t)size >> (8 * (bytes - 1 - k)));
        } else {
            expected[1] = (unsigned char)size;
        }
        CHECK_EQ(raw_recv(sides.fds[0], head, used, PATIENCE_MS), used);
        CHECK_MEM(head, expected, used);
        CHECK_EQ(raw_recv(sides.fds[0], got, size, PATIENCE_MS), size);
        CHECK_MEM(got, body, size);
        CHECK_EQ(nn_send(sides.sockets[1], body, size, 0), size);
        expected[1] |= 0x80;
        CHECK_EQ(raw_recv(sides.fds[1], head, used, PATIENCE_MS), used);
        CHECK_MEM(head, expected, used);
        CHECK_EQ(raw_recv(sides.fds[1], keys[i % 2], 4, PATIENCE_MS), 4);
        CHECK_EQ(raw_recv(sides.fds[1], got, size, PATIENCE_MS), size);
        for (size_t k = 0; k < size; k++)
            got[k] ^= keys[i % 2][k % 4];
        CHECK_MEM(got, body, size);
        if (i > 0)
            CHECK(memcmp(keys[0], keys[1], 4) != 0);
    }
    free(body);
    free(got);
    raw_close_sides(&sides);
}

/* transports 7.6, interop 4: no frame of more than 1 MiB. */
static void large_messages_are_sent_in_fragments(void)
{
    enum { SIZE = 2 * 1048576 + 77 };
    struct raw_sides sides;
    unsigned char *body = malloc(SIZE), *got = malloc(SIZE);
    raw_open_sides(&sides, "ws");
    raw_greet_sides(&sides);
    for (size_t i = 0; i < SIZE; i++)
        body[i] = (unsigned char)(i * 11 + (i >> 9));
    for (int i = 0; i < 2; i++) {
        static const int firsts[3] = {0x02, 0x00, 0x80};
        unsigned char head[2];
        CHECK_EQ(nn_send(sides.sockets[i], body, SIZE, 0), SIZE);
        for (size_t part = 0, at = 0; part < 3; part++) {
            long size = ws_recv(sides.fds[i], head, got + at, SIZE - at, PATIENCE_MS);
            CHECK_EQ(size, part < 2 ? 1048576 : 77);
            CHECK_EQ(head[0], firsts[part]);
            CHECK_EQ(head[1], i ? 0x80 : 0);
            at += size > 0 ? (size_t)size : 0;
        }
        CHECK_MEM(got, body, SIZE);
    }
    free(body);
    free(got);
    raw_close_sides(&sides);
}

/* transports 7.7, interop 4: in fragments of any size, with empty ones among them. */
static void fragments_are_put_together(void)
{
    static const size_t steps[] = {1, 125, 4096, 65536, 100000};
    enum { SIZE = 300000 };
    struct url url = unique_url("ws");
    unsigned char *body = malloc(SIZE), *got = malloc(SIZE);
    int s = bound_pair(url.text), fd = ws_client(url.text);
    for (size_t i = 0; i < SIZE; i++)
        body[i] = (unsigned char)(i * 13 + (i >> 10));
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        size_t size = steps[i] == 1 ? 2000 : SIZE;
        for (size_t at = 0; at < size; at += steps[i]) {
            size_t part = size - at < steps[i] ? size - at : steps[i];
            ws_send(fd, (at == 0 ? 2 : 0) | (at + part == size ? 0x80 : 0), body + at, part);
            if (at + part < size && at / steps[i] % 7 == 0)
                ws_send(fd, 0, "", 0);
        }
        CHECK_EQ(nn_recv(s, got, SIZE, 0), size);
        CHECK_MEM(got, body, size);
    }
    free(body);
    free(got);
    close(fd);
    CHECK_CLOSE(s);
}

int main(void)
{
    test_begin("transports/ws-frames", 58);
    RUN(frames_are_sent_exactly_like_this);
    RUN(large_messages_are_sent_in_fragments);
    RUN(fragments_are_put_together);
    return test_end();
}
