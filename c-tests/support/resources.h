/* What a process holds of the system: descriptors, threads, memory, processor time. */

#ifndef SPMSG_SUPPORT_RESOURCES_H
#define SPMSG_SUPPORT_RESOURCES_H

#include <stdint.h>
#include <sys/types.h>

/* The entries of a directory. */
int count_entries(const char *path);

/* One more than are open, because looking takes one: only differences mean something. */
int count_descriptors(void);

/* Whether a descriptor is an end of a pipe, as those are that show readiness where the system has
 * nothing smaller. */
int is_pipe(int fd);

/* The threads of the process, and perhaps some that have been joined: the kernel lists those for a
 * moment longer, and an emulator for longer still. Only who is new says something. */
struct threads {
    int count;
    pid_t ids[64];
};

struct threads threads_now(void);

/* How many there are besides those. */
int count_more_threads(const struct threads *before);

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
    struct threads threads;
    int files;
};

struct belongings belongings(void);

/* Has patience with threads that have been joined. */
void check_nothing_left(struct belongings before);

#endif
