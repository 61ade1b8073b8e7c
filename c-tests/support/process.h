/* Child processes. None outlives the program. */

#ifndef SPMSG_SUPPORT_PROCESS_H
#define SPMSG_SUPPORT_PROCESS_H

#include <stddef.h>
#include <sys/types.h>

struct child {
    pid_t pid;
    int out; /* the read end of its standard output, -1 when it was not redirected */
};

/* fork(), for a child that may be left behind: it ends with its parent, and after a minute. */
pid_t child_fork(void);

/* Runs a function in a child, which leaves by exit() with its result, or 1 if a check failed. */
void child_start(struct child *child, int (*function)(void *), void *argument);

/* Runs a program with its standard output in `child->out`; `environment` ends with NULL. */
void child_exec(struct child *child, char *const words[], char *const environment[]);

/* One line of the child's output without its end; 0 at the end of file or at the deadline. */
int child_line(struct child *child, char *line, size_t size, int ms);

void child_kill(struct child *child);

/* The exit status; 128 + signal if one ended it; -1 if it had to be killed at the deadline. */
int child_wait(struct child *child, int ms);

/* Runs a function in a child, whose output it is to send to the descriptor that it is given the
 * address of: it leaves with 7 and without a word. */
void check_silent_exit(int (*function)(void *));

/* Ends all children that are left. May be called in a signal handler. */
void children_kill(void);

#endif
