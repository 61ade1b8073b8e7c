/* System calls that fail on demand: what a program that is linked with faultshim.so, or started
 * with it in LD_PRELOAD, says to it. Every call of the process is counted, whoever makes it; but of
 * functions that not only the library uses, its calls alone. */

#ifndef SPMSG_FAULTSHIM_H
#define SPMSG_FAULTSHIM_H

#include <stdint.h>

/* The nth call of that function from now on fails with that error, once. What the function does
 * with errors is its own: pthread_create and getaddrinfo return theirs, close closes first. */
void fault_nth(const char *function, int error, long nth);

/* So many of a thousand calls of that function fail from now on, chosen by the seed. */
void fault_often(const char *function, int error, int permille, uint64_t seed);

/* Every call of sendmsg takes so many bytes at most from now on. */
void fault_short(long bytes);

/* How many calls of that function there were since the beginning of the plan. */
long fault_calls(void);

/* Nothing fails any more. Says how many calls have failed since the beginning of the plan. */
long fault_end(void);

#endif
