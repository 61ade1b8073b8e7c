/* What the robustness tests share: how hard to try, a seeded generator, and a count of everything
 * that must not be left over.
 *
 *   peers tcp 10 7        ten times the default effort, generator seeded with 7
 *
 * SPMSG_EFFORT and SPMSG_SEED say the same to all of them, for example under ctest. */

#ifndef SPMSG_ROBUSTNESS_H
#define SPMSG_ROBUSTNESS_H

#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/directory.h"
#include "support/sockets.h"

#include <nanomsg/nn.h>

#include <dirent.h>
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* What a process holds of the system while no socket is open. */
struct belongings {
    int descriptors;
    int threads;
    int files;
};

static struct {
    const char *scheme;
    int effort;
    uint64_t seed;
    char name[64];
    struct belongings before;
} robust __attribute__((unused));

/* ---- generator ---- */

/* splitmix64: any state is a good one, so that a thread may take seed + number. */
static inline uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* From 0 to limit - 1. */
static inline int random_below(uint64_t *state, int limit)
{
    return (int)(next_random(state) % (uint64_t)limit);
}

static inline void random_bytes(uint64_t *state, unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)next_random(state);
}

/* ---- what must not be left over ---- */

static inline int count_entries(const char *path)
{
    int count = 0;
    struct dirent *entry;
    DIR *directory = opendir(path);
    REQUIRE(directory != NULL);
    while ((entry = readdir(directory)) != NULL)
        count += entry->d_name[0] != '.';
    closedir(directory);
    return count;
}

/* One more than are open, because looking takes one: only differences mean something. */
static inline int count_descriptors(void)
{
    return count_entries("/proc/self/fd");
}

static inline int count_threads(void)
{
    return count_entries("/proc/self/task");
}

static inline long resident_kb(void)
{
    long pages = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    REQUIRE(file != NULL);
    REQUIRE(fscanf(file, "%ld %ld", &pages, &resident) == 2);
    fclose(file);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static inline struct belongings belongings(void)
{
    struct belongings now = {0, 0, 0};
    now.files = count_entries(test_directory());
    now.threads = count_threads();
    now.descriptors = count_descriptors();
    return now;
}

/* The kernel lists a joined thread for a moment longer, hence the patience. */
static inline void check_nothing_left(struct belongings before)
{
    wait_until(count_threads() <= before.threads && count_descriptors() <= before.descriptors,
               PATIENCE_MS / 2);
    CHECK_EQ(count_threads(), before.threads);
    CHECK_EQ(count_descriptors(), before.descriptors);
    CHECK_EQ(count_entries(test_directory()), before.files);
}

/* A sanitizer keeps freed memory back, so that there is nothing to see in how much is used. */
static inline int memory_can_be_measured(void)
{
    return dlsym(RTLD_DEFAULT, "__asan_init") == NULL && getenv("SPMSG_SLOW") == NULL;
}

static inline void check_memory_flat(long before_kb, long allowed_kb)
{
    if (memory_can_be_measured())
        CHECK_AT_MOST(resident_kb() - before_kb, allowed_kb);
}

/* ---- program ---- */

static inline int is_scheme(const char *word)
{
    return strcmp(word, "tcp") == 0 || strcmp(word, "ipc") == 0 || strcmp(word, "inproc") == 0
           || strcmp(word, "ws") == 0;
}

/* Reads "[SCHEME] [EFFORT] [SEED]". The seconds are those that the default effort may take. */
static inline void robust_begin(const char *name, int seconds, int count, char **words)
{
    const char *effort = getenv("SPMSG_EFFORT"), *seed = getenv("SPMSG_SEED");
    int next = 1;
    if (next < count && is_scheme(words[next])) {
        robust.scheme = words[next++];
        snprintf(robust.name, sizeof robust.name, "robustness/%s-%s", name, robust.scheme);
    } else {
        snprintf(robust.name, sizeof robust.name, "robustness/%s", name);
    }
    if (next < count)
        effort = words[next++];
    if (next < count)
        seed = words[next++];
    robust.effort = effort && atoi(effort) > 1 ? atoi(effort) : 1;
    robust.seed = seed ? strtoull(seed, NULL, 10) : 1;
    test_begin(robust.name, seconds * robust.effort + (robust.effort > 1 ? 30 : 0));
    robust.before = belongings();
    printf("effort %d, seed %llu\n", robust.effort, (unsigned long long)robust.seed);
}

/* The last case of every program. */
static inline void nothing_is_left(void)
{
    check_nothing_left(robust.before);
}

/* ---- conversations ---- */

/* A PAIR that tries again quickly and gives up soon. */
static inline int open_quick(void)
{
    int s = open_pair();
    set_int(s, NN_RECONNECT_IVL, 10);
    return s;
}

/* Two new sockets on that address can talk to each other. */
static inline void check_fresh_conversation(const char *address)
{
    int bound = open_quick(), connected = open_quick();
    CHECK_OK(nn_bind(bound, address));
    CHECK_OK(nn_connect(connected, address));
    CHECK_TALK(bound, connected);
    CHECK_EQ(nn_close(connected), 0);
    CHECK_EQ(nn_close(bound), 0);
}

/* Processor time of this process. */
static inline int64_t cpu_us(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * INT64_C(1000000)
           + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

#endif
