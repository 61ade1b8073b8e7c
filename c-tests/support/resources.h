/* What a process holds of the system: descriptors, threads, memory, processor time. */

#ifndef SPMSG_SUPPORT_RESOURCES_H
#define SPMSG_SUPPORT_RESOURCES_H

#include <stdint.h>

/* The entries of a directory. */
int count_entries(const char *path);

/* One more than are open, because looking takes one: only differences mean something. */
int count_descriptors(void);

/* Whether a descriptor is an end of a pipe, as those are that show readiness where the system has
 * nothing smaller. */
int is_pipe(int fd);

int count_threads(void);

/* Allows that many descriptors; false where the system does not. */
int limit_descriptors(unsigned count);

long resident_kb(void);

/* A sanitizer keeps freed memory back, so that there is nothing to see in how much is used. */
int memory_can_be_measured(void);

void check_memory_flat(long before_kb, long allowed_kb);

/* Processor time of this process. */
int64_t cpu_us(void);

/* What a process holds of the system while no socket is open. */
struct belongings {
    int descriptors;
    int threads;
    int files;
};

struct belongings belongings(void);

/* The kernel lists a joined thread for a moment longer, hence the patience. */
void check_nothing_left(struct belongings before);

#endif
