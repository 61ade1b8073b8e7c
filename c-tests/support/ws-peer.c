#include "support/ws-peer.h"

#include "support/check.h"
#include "support/clock.h"
#include "support/raw-stream.h"
#include "support/websocket.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int ws_client(const char *url)
{
    int64_t deadline = now_ms() + PATIENCE_MS;
    while (now_ms() < deadline) {
        int fd = raw_connect(url);
        if (ws_ask(fd))
            return fd;
        close(fd);
    }
    FAIL("a WebSocket client is not served");
    test_abandon();
    return -1;
}

int ws_server(int listener)
{
    int fd = raw_accept(listener, PATIENCE_MS);
    REQUIRE(fd >= 0);
    CHECK(ws_answer(fd));
    return fd;
}

void ws_request_with(char *request, size_t size, const char *line)
{
    static const char *const lines[] = {
        "Host: 127.0.0.1", "Upgrade: websocket", "Connection: Upgrade",
        "Sec-WebSocket-Key: " WS_KEY, "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Protocol: " WS_TOKEN,
    };
    size_t name = strcspn(line, ":"), used;
    used = (size_t)snprintf(request, size, "GET / HTTP/1.1\r\n");
    for (int i = 0; i < 6; i++)
        if (strcspn(lines[i], ":") != name || strncmp(lines[i], line, name) != 0)
            used += (size_t)snprintf(request + used, size - used, "%s\r\n", lines[i]);
    snprintf(request + used, size - used, *line == '-' ? "\r\n" : "%s\r\n\r\n", line);
}

void ws_check_close(int fd, int code, const char *what)
{
    unsigned char head[2], payload[125] = {0};
    test_at(__FILE__, __LINE__);
    long size = ws_recv(fd, head, payload, sizeof payload, PATIENCE_MS);
    int got = size >= 2 ? payload[0] << 8 | payload[1] : -1;
    int masked = raw_role(fd) == RAW_WS_SERVER ? 0x80 : 0;
    if (size < 2 || head[0] != WS_CLOSE || head[1] != masked || got != code)
        FAIL("%s: frame %02x of %ld bytes, code %d; should be a close with %d", what, head[0],
             size, got, code);
    CHECK_NE(raw_end(fd, PATIENCE_MS), RAW_OPEN);
}
