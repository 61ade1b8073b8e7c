#include "support/random.h"

#include <stdint.h>
#include <string.h>

uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

int random_below(uint64_t *state, int limit)
{
    return (int)(next_random(state) % (uint64_t)limit);
}

void random_bytes(uint64_t *state, unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)next_random(state);
}

void fill_body(void *body, size_t size, uint64_t number)
{
    unsigned char *bytes = body;
    uint64_t state = number;
    for (size_t i = 0; i < size; i += 8) {
        uint64_t word = next_random(&state);
        memcpy(bytes + i, &word, size - i < 8 ? size - i : 8);
    }
}

int is_body(const void *body, size_t size, uint64_t number)
{
    const unsigned char *bytes = body;
    uint64_t state = number;
    for (size_t i = 0; i < size; i += 8) {
        uint64_t word = next_random(&state);
        if (memcmp(bytes + i, &word, size - i < 8 ? size - i : 8) != 0)
            return 0;
    }
    return 1;
}
