#include "support/resources.h"

#include "support/check.h"
#include "support/clock.h"
#include "support/directory.h"

#include <dirent.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

int count_entries(const char *path)
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

int count_descriptors(void)
{
    return count_entries("/proc/self/fd");
}

int limit_descriptors(unsigned count)
{
    struct rlimit limit;
    REQUIRE(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < count)
        return 0;
    limit.rlim_cur = count;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

long resident_kb(void)
{
    long pages = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    REQUIRE(file != NULL);
    REQUIRE(fscanf(file, "%ld %ld", &pages, &resident) == 2);
    fclose(file);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

int is_pipe(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode);
}

int memory_can_be_measured(void)
{
    return dlsym(RTLD_DEFAULT, "__asan_init") == NULL && getenv("SPMSG_SLOW") == NULL;
}

void check_memory_flat(long before_kb, long allowed_kb)
{
    if (memory_can_be_measured())
        CHECK_AT_MOST(resident_kb() - before_kb, allowed_kb);
}

int64_t cpu_us(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * INT64_C(1000000)
           + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

#ifdef __SANITIZE_THREAD__
static void *nothing(void *argument)
{
    return argument;
}

/* A thread of the sanitizer's own begins with the first one of the program. */
static void begin_sanitizer(void)
{
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, nothing, NULL) == 0 && pthread_join(thread, NULL) == 0);
}
#else
static void begin_sanitizer(void)
{
}
#endif

static int is_among(const struct threads *threads, pid_t id)
{
    for (int i = 0; i < threads->count; i++)
        if (threads->ids[i] == id)
            return 1;
    return 0;
}

/* Those that are not among `others`, as far as there is room for them. */
static struct threads threads_besides(const struct threads *others)
{
    struct threads more = {0, {0}};
    struct dirent *entry;
    DIR *tasks = opendir("/proc/self/task");
    REQUIRE(tasks != NULL);
    while ((entry = readdir(tasks)) != NULL) {
        pid_t id = atoi(entry->d_name);
        if (id == 0 || is_among(others, id))
            continue;
        if (more.count < (int)COUNT_OF(more.ids))
            more.ids[more.count] = id;
        more.count++;
    }
    closedir(tasks);
    return more;
}

struct threads threads_now(void)
{
    static const struct threads none;
    begin_sanitizer();
    struct threads now = threads_besides(&none);
    REQUIRE(now.count <= (int)COUNT_OF(now.ids));
    return now;
}

int count_more_threads(const struct threads *before)
{
    return threads_besides(before).count;
}

struct belongings belongings(void)
{
    struct belongings now = {0, {0, {0}}, 0};
    now.threads = threads_now();
    now.files = count_entries(test_directory());
    now.descriptors = count_descriptors();
    return now;
}

void check_nothing_left(struct belongings before)
{
    wait_until(count_more_threads(&before.threads) == 0
               && count_descriptors() <= before.descriptors, PATIENCE_MS / 2);
    CHECK_EQ(count_more_threads(&before.threads), 0);
    CHECK_EQ(count_descriptors(), before.descriptors);
    CHECK_EQ(count_entries(test_directory()), before.files);
}
