/* Programs that try as hard as they are told, with a seed for their generators.
 *
 *   peers tcp 10 7        ten times the default effort, generator seeded with 7
 *
 * SPMSG_EFFORT and SPMSG_SEED say the same to all of them, for example under ctest. */

#ifndef SPMSG_SUPPORT_TRIAL_H
#define SPMSG_SUPPORT_TRIAL_H

#include "support/resources.h"

#include <stdint.h>

struct trial {
    const char *scheme; /* NULL in a program that takes none */
    int effort;
    uint64_t seed;
    struct belongings before;
};

extern struct trial trial;

/* Reads "SCHEME [EFFORT [SEED]]". The scheme is one of a list like "ipc|tcp" and ends the name of
 * the test; it is left out where there is no list. The seconds are those that the default effort
 * may take. */
void trial_begin(const char *name, const char *schemes, int seconds, int count, char **words);

/* The last case of every program. */
void nothing_is_left(void);

#endif
