#include "support/thread.h"

#include "support/check.h"
#include "support/clock.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static void *thread_main(void *argument)
{
    struct thread *thread = argument;
    __atomic_store_n(&thread->tid, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
    void *result = thread->function(thread->argument);
    __atomic_store_n(&thread->done, 1, __ATOMIC_RELEASE);
    return result;
}

void thread_start(struct thread *thread, void *(*function)(void *), void *argument)
{
    memset(thread, 0, sizeof *thread);
    thread->function = function;
    thread->argument = argument;
    REQUIRE(pthread_create(&thread->id, NULL, thread_main, thread) == 0);
}

int thread_done(struct thread *thread)
{
    return __atomic_load_n(&thread->done, __ATOMIC_ACQUIRE);
}

void *thread_join(struct thread *thread)
{
    void *result = NULL;
    struct timespec deadline;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += 2 * PATIENCE_MS / 1000;
    REQUIRE(pthread_timedjoin_np(thread->id, &result, &deadline) == 0);
    return result;
}

char thread_state(struct thread *thread)
{
    char path[64], text[256];
    pid_t tid = __atomic_load_n(&thread->tid, __ATOMIC_ACQUIRE);
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)tid);
    FILE *file = tid ? fopen(path, "r") : NULL;
    if (!file)
        return '?';
    size_t size = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[size] = 0;
    char *end = strrchr(text, ')');
    return end && end[1] ? end[2] : '?';
}

int thread_asleep(struct thread *thread)
{
    int seen = 0;
    return wait_until(thread_done(thread)
                      || (seen = thread_state(thread) == 'S' ? seen + 1 : 0) == 5, PATIENCE_MS)
           && seen == 5;
}
