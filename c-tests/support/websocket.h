/* WebSocket by hand, over raw streams: both sides of the handshake, and frames (RFC 6455). */

#ifndef SPMSG_SUPPORT_WEBSOCKET_H
#define SPMSG_SUPPORT_WEBSOCKET_H

#include <stddef.h>

#define WS_KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define WS_TOKEN "pair.sp.nanomsg.org"
#define WS_REQUEST_WITHOUT_TOKEN \
    "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" \
    "Sec-WebSocket-Key: " WS_KEY "\r\nSec-WebSocket-Version: 13\r\n"
#define WS_REQUEST WS_REQUEST_WITHOUT_TOKEN "Sec-WebSocket-Protocol: " WS_TOKEN "\r\n\r\n"
/* The answer to that; transports 7.4. */
#define WS_RESPONSE \
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" \
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" \
    "Sec-WebSocket-Protocol: " WS_TOKEN "\r\n\r\n"

/* The first byte of a whole frame. */
enum { WS_TEXT = 0x81, WS_BINARY = 0x82, WS_CLOSE = 0x88, WS_PING = 0x89, WS_PONG = 0x8a };

/* The answer to a request, as the server of that token gives it; false if the request has no key
 * (RFC 6455, 4.2.2). */
int ws_response(const char *request, const char *token, char *response, size_t size);

/* Reads a head up to its empty line; returns its size, 0 at the end of file or the deadline. */
size_t ws_head(int fd, char *head, size_t size, int ms);

/* Asks as a PAIR would; true when the answer is exactly what it should be. */
int ws_ask(int fd);

/* Answers whoever asks for a PAIR, or for another token; true when somebody did. */
int ws_answer(int fd);

int ws_answer_as(int fd, const char *token);

/* A frame, masked as a client's if `masked`; returns its size. There must be 14 bytes of room more
 * than the payload has. */
size_t ws_frame(unsigned char *frame, int first, int masked, const void *payload, size_t size);

/* Sends a frame as the role of the descriptor demands. */
void ws_send(int fd, int first, const void *payload, size_t size);

/* Reads a frame and unmasks it. Returns the size of its payload, of which at most `size` bytes are
 * stored, or -1. The first byte, and the second one's mask bit, are left in `head`. */
long ws_recv(int fd, unsigned char head[2], void *payload, size_t size, int ms);

#endif
