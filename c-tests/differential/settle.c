/* Waiting until the library has nothing more to do, without asking it.
 *
 * A thread that something has been handed to, or whose descriptor has become ready, no longer
 * counts as asleep from that moment on. So when all threads of the library are asleep and all
 * bytes have reached the other end of their stream, nothing happens any more until the next call
 * or until a timer ends; and no sequence sets one that does. */

#include "differential.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <sched.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { DESCRIPTORS_MAX = 96, LOOKS_MAX = 200000 };

static int is_asleep(const char *tid)
{
    char path[300], text[256];
    snprintf(path, sizeof path, "/proc/self/task/%s/stat", tid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    if (size <= 0)
        return 1;
    text[size] = 0;
    char *end = strrchr(text, ')');
    /* A joined thread is listed for a moment longer. */
    return !end || strchr("SXZ", end[2]) != NULL;
}

static int all_asleep(void)
{
    static DIR *tasks;
    struct dirent *entry;
    int own = getpid(), asleep = 1;
    if (!tasks && !(tasks = opendir("/proc/self/task")))
        exit(2);
    rewinddir(tasks);
    while (asleep && (entry = readdir(tasks)) != NULL)
        if (entry->d_name[0] != '.' && atoi(entry->d_name) != own)
            asleep = is_asleep(entry->d_name);
    return asleep;
}

/* Nothing lies in a stream that its other end has not got. */
static int all_arrived(void)
{
    for (int fd = 3; fd < DESCRIPTORS_MAX; fd++) {
        int unsent = 0;
        if (ioctl(fd, SIOCOUTQ, &unsent) == 0 && unsent > 0)
            return 0;
    }
    return 1;
}

int connections_beside(const struct slot *except)
{
    int count = 0;
    for (int i = 0; i < SLOTS; i++) {
        struct slot *slot = &sequence.slots[i];
        if (slot->is_open && slot != except)
            count += (int)nn_get_statistic(slot->handle, NN_STAT_CURRENT_CONNECTIONS);
    }
    return count;
}

/* A busy kernel may hold back what belongs to opening and closing streams, and nothing shows it:
 * those are waited for by their number. */
void await_connections(const struct slot *except, int expected)
{
    const struct timespec pause = {0, 100000};
    int count = connections_beside(except);
    for (int looks = 0; count != expected && looks < 30000; looks++) {
        nanosleep(&pause, NULL);
        count = connections_beside(except);
    }
    if (count != expected)
        note("  %d connections, and not %d\n", count, expected);
    settle();
}

void settle(void)
{
    int quiet = 0;
    /* Also an occasion to write for a library that gathers small messages. */
    nn_poll(NULL, 0, 0);
    for (int looks = 0; quiet < 2; looks++) {
        if (looks == LOOKS_MAX) {
            note("the library does not come to rest\n");
            return;
        }
        if (all_asleep() && (!sequence.has_tcp || all_arrived())) {
            quiet++;
        } else {
            quiet = 0;
            sched_yield();
        }
    }
}
