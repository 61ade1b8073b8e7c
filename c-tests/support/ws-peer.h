/* WebSocket peers of a PAIR under test: raw streams with the handshake behind them. */

#ifndef SPMSG_SUPPORT_WS_PEER_H
#define SPMSG_SUPPORT_WS_PEER_H

#include "support/check.h"
#include "support/clock.h"
#include "support/raw-stream.h"
#include "support/websocket.h"

#include <stddef.h>

/* A client that the listener has taken in: where one that has gone is not noticed yet, it waits or
 * tries again. */
int ws_client(const char *url);

/* The server of the next dialer that comes to a raw listener. */
int ws_server(int listener);

/* The request of a PAIR with a line in place of the one of the same name, or one more. A name alone
 * leaves its line out. */
void ws_request_with(char *request, size_t size, const char *line);

/* The next frame is exactly this one. */
#define CHECK_WS_FRAME(fd, first, body, length) do { \
    unsigned char h_[2] = {0}, p_[256] = {0}; \
    CHECK_EQ(ws_recv((fd), h_, p_, sizeof p_, PATIENCE_MS), (length)); \
    CHECK_EQ(h_[0], (first)); \
    CHECK_EQ(h_[1], raw_role(fd) == RAW_WS_SERVER ? 0x80 : 0); \
    CHECK_MEM(p_, (body), (length)); \
} while (0)

/* A close frame with that code comes, and then the end. */
void ws_check_close(int fd, int code, const char *what);

#endif
