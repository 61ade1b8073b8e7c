/* Messages with their header: the words of a backtrace, and control data that holds them. */

#ifndef SPMSG_SUPPORT_MESSAGE_H
#define SPMSG_SUPPORT_MESSAGE_H

#include "support/check.h"

#include <stdint.h>
#include <string.h>

/* The four bytes of a word of a backtrace, for the list of an array. */
#define WORD(w) (unsigned char)((uint32_t)(w) >> 24), (unsigned char)((uint32_t)(w) >> 16), \
                (unsigned char)((uint32_t)(w) >> 8), (unsigned char)(uint32_t)(w)

/* What control data is padded to, and the length of a header is told in. */
#define WORD_SIZE sizeof(size_t)

#define TOP_BIT 0x80000000u

uint32_t word_at(const unsigned char *bytes);

void put_word(unsigned char *bytes, uint32_t word);

struct message {
    unsigned char header[2048];
    size_t header_size;
    unsigned char body[2048];
    int size;
};

/* Receives one message with its header; the result is that of nn_recvmsg. The layout of the
 * control data is checked each time (protocols 2.2, core 5.5, core-quirks A-40, B-42). */
int recv_message(int s, struct message *message, int flags);

/* Writes an SP_HDR entry with that header and its padded length; returns the length. */
size_t put_header(unsigned char *control, const void *bytes, size_t size);

/* Sends a body behind a header; the result is that of nn_sendmsg. */
int send_message(int s, const void *header_bytes, size_t header_size, const void *body,
                 size_t size, int flags);

/* A body behind the one word that a request or a survey begins with. */
void send_numbered(int s, uint32_t id, const char *text);

/* The id of a request or survey that came without a device between. */
uint32_t id_of(const struct message *question);

/* Answers with any bytes, to the pipe that the question came from. */
void answer_bytes(int s, const struct message *question, const void *bytes, size_t size);

/* Answers a message as the raw socket that received it: with its own header. */
void answer(int s, const struct message *message, const char *text);

#define CHECK_BODY(message, text) do { \
    test_at(__FILE__, __LINE__); \
    if ((message)->size != (int)strlen(text) \
        || memcmp((message)->body, (text), strlen(text)) != 0) \
        FAIL("the body is \"%.*s\", should be \"%s\"", (message)->size < 0 ? 0 : (message)->size, \
             (const char *)(message)->body, (text)); \
} while (0)

/* Receives a message with that body and leaves it, with its header, in `message`. */
#define CHECK_TAKES(s, message, text) do { \
    CHECK_OK(recv_message((s), (message), 0)); \
    CHECK_BODY((message), (text)); \
} while (0)

#endif
