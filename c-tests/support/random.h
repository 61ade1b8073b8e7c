/* Numbers and bytes that look random and are the same each time. */

#ifndef SPMSG_SUPPORT_RANDOM_H
#define SPMSG_SUPPORT_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* splitmix64: any state is a good one, so that a thread may take seed + number. */
uint64_t next_random(uint64_t *state);

/* From 0 to limit - 1. */
int random_below(uint64_t *state, int limit);

void random_bytes(uint64_t *state, unsigned char *bytes, size_t size);

/* The bytes of a body follow from one number, so that a byte of another message or of another
 * place is noticed. */
void fill_body(void *body, size_t size, uint64_t number);

int is_body(const void *body, size_t size, uint64_t number);

#endif
