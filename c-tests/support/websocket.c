#include "support/websocket.h"

#include "support/clock.h"
#include "support/raw-stream.h"

#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* SHA-1 of a text of at most 119 bytes (RFC 3174). */
static void ws_sha1(const char *text, unsigned char digest[20])
{
    uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    unsigned char blocks[128] = {0};
    size_t length = strlen(text), count = length < 56 ? 1 : 2;
    memcpy(blocks, text, length);
    blocks[length] = 0x80;
    blocks[count * 64 - 2] = (unsigned char)(length * 8 >> 8);
    blocks[count * 64 - 1] = (unsigned char)(length * 8);
    for (size_t block = 0; block < count; block++) {
        uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
        for (int i = 0; i < 80; i++) {
            const unsigned char *p = blocks + block * 64 + i * 4;
            uint32_t x = i < 16 ? 0 : w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16];
            w[i] = i < 16 ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]
                          : (x << 1 | x >> 31);
        }
        for (int i = 0; i < 80; i++) {
            uint32_t f = i < 20 ? (b & c) | (~b & d) : i < 40 ? b ^ c ^ d
                         : i < 60 ? (b & c) | (b & d) | (c & d) : b ^ c ^ d;
            uint32_t k = i < 20 ? 0x5a827999 : i < 40 ? 0x6ed9eba1
                         : i < 60 ? 0x8f1bbcdc : 0xca62c1d6;
            uint32_t next = (a << 5 | a >> 27) + f + e + k + w[i];
            e = d, d = c, c = b << 30 | b >> 2, b = a, a = next;
        }
        h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
    }
    for (int i = 0; i < 20; i++)
        digest[i] = (unsigned char)(h[i / 4] >> (24 - i % 4 * 8));
}

static void ws_base64(const unsigned char *bytes, size_t size, char *text)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < size; i += 3) {
        uint32_t word = (uint32_t)bytes[i] << 16;
        if (i + 1 < size)
            word |= (uint32_t)bytes[i + 1] << 8;
        if (i + 2 < size)
            word |= bytes[i + 2];
        *text++ = digits[word >> 18 & 63];
        *text++ = digits[word >> 12 & 63];
        *text++ = i + 1 < size ? digits[word >> 6 & 63] : '=';
        *text++ = i + 2 < size ? digits[word & 63] : '=';
    }
    *text = 0;
}

static void ws_accept_value(const char *key, char value[29])
{
    char text[80];
    unsigned char digest[20];
    snprintf(text, sizeof text, "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
    ws_sha1(text, digest);
    ws_base64(digest, 20, value);
}

size_t ws_head(int fd, char *head, size_t size, int ms)
{
    int64_t deadline = now_ms() + ms;
    size_t got = 0;
    while (got + 1 < size) {
        int64_t left = deadline - now_ms();
        struct pollfd ready = {fd, POLLIN, 0};
        if (left < 0 || poll(&ready, 1, (int)left) != 1 || recv(fd, head + got, 1, 0) != 1)
            break;
        head[++got] = 0;
        if (got >= 4 && strcmp(head + got - 4, "\r\n\r\n") == 0)
            return got;
    }
    return 0;
}

int ws_ask(int fd)
{
    char head[1024];
    raw_send(fd, WS_REQUEST, sizeof WS_REQUEST - 1);
    return ws_head(fd, head, sizeof head, PATIENCE_MS) > 0 && strcmp(head, WS_RESPONSE) == 0;
}

int ws_response(const char *request, const char *token, char *response, size_t size)
{
    char value[29];
    const char *key = strstr(request, "Sec-WebSocket-Key: ");
    if (!key)
        return 0;
    ws_accept_value(key + 19, value);
    snprintf(response, size,
             "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: %s\r\n\r\n", value, token);
    return 1;
}

int ws_answer(int fd)
{
    return ws_answer_as(fd, WS_TOKEN);
}

int ws_answer_as(int fd, const char *token)
{
    char head[1024], line[128], response[512];
    snprintf(line, sizeof line, "Sec-WebSocket-Protocol: %s\r\n", token);
    if (ws_head(fd, head, sizeof head, PATIENCE_MS) == 0 || !strstr(head, line)
        || !ws_response(head, token, response, sizeof response))
        return 0;
    raw_send(fd, response, strlen(response));
    return 1;
}

size_t ws_frame(unsigned char *frame, int first, int masked, const void *payload, size_t size)
{
    static const unsigned char key[4] = {0x37, 0xfa, 0x21, 0x3d};
    size_t used = 2;
    frame[0] = (unsigned char)first;
    frame[1] = masked ? 0x80 : 0;
    if (size < 126) {
        frame[1] |= (unsigned char)size;
    } else {
        int bytes = size < 65536 ? 2 : 8;
        frame[1] |= (unsigned char)(bytes == 2 ? 126 : 127);
        for (int i = bytes - 1; i >= 0; i--)
            frame[used++] = (unsigned char)((uint64_t)size >> (8 * i));
    }
    if (masked) {
        memcpy(frame + used, key, 4);
        used += 4;
    }
    for (size_t i = 0; i < size; i++)
        frame[used + i] = ((const unsigned char *)payload)[i] ^ (masked ? key[i % 4] : 0);
    return used + size;
}

void ws_send(int fd, int first, const void *payload, size_t size)
{
    unsigned char *frame = malloc(size + 14);
    raw_send(fd, frame, ws_frame(frame, first, raw_role(fd) == RAW_WS_CLIENT, payload, size));
    free(frame);
}

long ws_recv(int fd, unsigned char head[2], void *payload, size_t size, int ms)
{
    unsigned char more[8], key[4] = {0};
    uint64_t length;
    if (raw_recv(fd, head, 2, ms) != 2)
        return -1;
    length = head[1] & 0x7f;
    if (length >= 126) {
        size_t bytes = length == 126 ? 2 : 8;
        if (raw_recv(fd, more, bytes, ms) != bytes)
            return -1;
        length = 0;
        for (size_t i = 0; i < bytes; i++)
            length = length << 8 | more[i];
    }
    head[1] &= 0x80;
    if (head[1] && raw_recv(fd, key, 4, ms) != 4)
        return -1;
    for (uint64_t i = 0; i < length;) {
        unsigned char bytes[4096];
        size_t want = length - i < sizeof bytes ? (size_t)(length - i) : sizeof bytes;
        if (raw_recv(fd, bytes, want, ms) != want)
            return -1;
        for (size_t k = 0; k < want; k++, i++)
            if (i < size)
                ((unsigned char *)payload)[i] = bytes[k] ^ key[i % 4];
    }
    return (long)length;
}
