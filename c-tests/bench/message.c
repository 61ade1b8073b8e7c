/*
 * What travels in a message, so that a lost, repeated, reordered, cut or altered one is noticed.
 *
 *     byte 0       kind in the upper two bits, the sequence number's lowest six below
 *     bytes 1-8    sequence number, when the message has 10 bytes or more
 *     bytes 9-16   time of sending, or number of the sender, when it has 18 or more and the case
 *                  asks for that
 *     last byte    a mark made of the sequence number, when it has 2 or more
 *     the rest     a fixed pattern, compared when everything is verified and while warming up
 */

#include "bench.h"

#include <stdlib.h>
#include <string.h>

#define KIND_SHIFT 6
#define SEQUENCE_MASK 0x3fu
#define SEQUENCE_AT 1
#define SEQUENCED_SIZE_MIN 10u
#define STAMP_AT 9
#define PATTERN_AT 17u

#define PAGE 4096u
#define PAYLOAD_OFFSET 64u

static unsigned char mark_of(uint64_t sequence) {
    return (unsigned char)(sequence * 31 + 7);
}

/*
 * Copies between buffers whose distance is a little over a multiple of a page are many times slower
 * on some processors. A fixed place inside the page keeps malloc from deciding a result.
 */
unsigned char *buffer_new(size_t size) {
    void *memory;

    if (posix_memalign(&memory, PAGE, size + PAYLOAD_OFFSET) != 0) {
        fail("out of memory");
    }
    memset(memory, 0, size + PAYLOAD_OFFSET);
    return (unsigned char *)memory + PAYLOAD_OFFSET;
}

void buffer_free(unsigned char *buffer) {
    if (buffer != NULL) {
        free(buffer - PAYLOAD_OFFSET);
    }
}

unsigned char *pattern_new(size_t size) {
    unsigned char *bytes = buffer_new(size);

    for (size_t i = 0; i < size; i++) {
        bytes[i] = (unsigned char)(i * 167 + (i >> 8) * 13 + 41);
    }
    return bytes;
}

void message_mark(unsigned char *message, size_t size, enum kind kind, uint64_t sequence) {
    if (size >= SEQUENCED_SIZE_MIN) {
        memcpy(message + SEQUENCE_AT, &sequence, sizeof sequence);
    }
    message[size - 1] = mark_of(sequence);
    message[0] = (unsigned char)((unsigned)kind << KIND_SHIFT | (sequence & SEQUENCE_MASK));
}

void message_stamp(unsigned char *message, uint64_t ns) {
    memcpy(message + STAMP_AT, &ns, sizeof ns);
}

uint64_t message_stamped(const unsigned char *message) {
    uint64_t ns;

    memcpy(&ns, message + STAMP_AT, sizeof ns);
    return ns;
}

uint64_t message_sequence(const unsigned char *message) {
    uint64_t sequence;

    memcpy(&sequence, message + SEQUENCE_AT, sizeof sequence);
    return sequence;
}

enum kind message_kind(const unsigned char *message) {
    return (enum kind)(message[0] >> KIND_SHIFT);
}

int message_is_wrong(const unsigned char *message, size_t got, size_t size, uint64_t sequence,
                     const unsigned char *pattern) {
    if (got != size || (message[0] & SEQUENCE_MASK) != (sequence & SEQUENCE_MASK)) {
        return 1;
    }
    if (size >= 2 && message[size - 1] != mark_of(sequence)) {
        return 1;
    }
    if (size >= SEQUENCED_SIZE_MIN && message_sequence(message) != sequence) {
        return 1;
    }
    if (pattern != NULL && size > PATTERN_AT + 1) {
        return memcmp(message + PATTERN_AT, pattern + PATTERN_AT, size - PATTERN_AT - 1) != 0;
    }
    return 0;
}
