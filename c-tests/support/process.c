#include "support/process.h"

#include "support/check.h"
#include "support/clock.h"
#include "support/directory.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHILDREN = 64 };

/* Those that run; 0 is a free place. */
static pid_t children[CHILDREN];

static void child_register(struct child *child)
{
    for (size_t i = 0; i < CHILDREN; i++)
        if (children[i] == 0) {
            children[i] = child->pid;
            return;
        }
    FAIL("too many children");
    test_abandon();
}

/* The leak checker of a child that was forked beside other threads counts what those had in their
 * hands, on stacks that are not the child's: it cannot tell. */
static int forked_beside_threads;

/* LeakSanitizer, where it is linked, asks this at the end. */
int __lsan_is_turned_off(void);

int __lsan_is_turned_off(void)
{
    return forked_beside_threads;
}

/* The directory has a link for each thread besides its own two. */
static int has_threads(void)
{
    struct stat tasks;
    return stat("/proc/self/task", &tasks) == 0 && tasks.st_nlink > 3;
}

pid_t child_fork(void)
{
    pid_t parent = getpid();
    int beside_threads = has_threads();
    /* Made here, or else each child would make one that nobody removes. */
    test_directory();
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        forked_beside_threads |= beside_threads;
        /* The child must not outlive a parent that was killed, not even by this little. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        alarm(60);
    }
    return pid;
}

void child_start(struct child *child, int (*function)(void *), void *argument)
{
    child->out = -1;
    child->pid = child_fork();
    REQUIRE(child->pid >= 0);
    if (child->pid == 0) {
        test.failures = 0;
        int result = function(argument);
        exit(test.failures > 0 ? 1 : result);
    }
    child_register(child);
}

void child_exec(struct child *child, char *const words[], char *const environment[])
{
    int ends[2];
    REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
    child->pid = child_fork();
    REQUIRE(child->pid >= 0);
    if (child->pid == 0) {
        for (size_t i = 0; environment && environment[i]; i++)
            putenv(environment[i]);
        dup2(ends[1], 1);
        execv(words[0], words);
        fprintf(stderr, "cannot run %s: %s\n", words[0], strerror(errno));
        _exit(127);
    }
    close(ends[1]);
    child->out = ends[0];
    child_register(child);
}

int child_line(struct child *child, char *line, size_t size, int ms)
{
    int64_t deadline = now_ms() + ms;
    size_t length = 0;
    struct pollfd ready = {child->out, POLLIN, 0};
    while (length + 1 < size) {
        int64_t left = deadline - now_ms();
        if (left < 0 || poll(&ready, 1, (int)left) != 1 || read(child->out, line + length, 1) != 1)
            break;
        if (line[length] == '\n') {
            line[length] = 0;
            return 1;
        }
        length++;
    }
    line[length] = 0;
    return 0;
}

static void child_forget(struct child *child)
{
    for (size_t i = 0; i < CHILDREN; i++)
        if (children[i] == child->pid)
            children[i] = 0;
    if (child->out >= 0)
        close(child->out);
    child->out = -1;
}

void child_kill(struct child *child)
{
    kill(child->pid, SIGKILL);
    waitpid(child->pid, NULL, 0);
    child_forget(child);
}

int child_wait(struct child *child, int ms)
{
    int status = 0;
    if (!wait_until(waitpid(child->pid, &status, WNOHANG) == child->pid, ms)) {
        child_kill(child);
        return -1;
    }
    child_forget(child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void check_silent_exit(int (*function)(void *))
{
    struct child child;
    char byte;
    int ends[2];
    REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
    child_start(&child, function, &ends[1]);
    close(ends[1]);
    CHECK_EQ(child_wait(&child, PATIENCE_MS), 7);
    CHECK_EQ(read(ends[0], &byte, 1), 0);
    close(ends[0]);
}

void children_kill(void)
{
    for (size_t i = 0; i < CHILDREN; i++)
        if (children[i] > 0)
            kill(children[i], SIGKILL);
}
