/*
 * No run may hang: a deadline ends it, a failing party ends the other, and whatever was created in
 * the file system goes away in every case.
 */

#include "bench.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <nanomsg/nn.h>

#define PATH_MAX_BYTES 128
#define PATHS_MAX 512
#define DEADLINE_BASE_S 60

static const char *case_name = "?";
static volatile sig_atomic_t exit_is_expected;
/* Kept as they are, because nothing may be formatted once a signal ends the run. */
static char paths_to_remove[PATHS_MAX][PATH_MAX_BYTES];
static unsigned path_count;
static unsigned deadline_s;

/* Only async-signal-safe calls may follow, and none that runs the library's exit handlers. */
static __attribute__((noreturn)) void die(const char *why) {
    const char *parts[] = {"bench: ", case_name, ": ", why, "\n"};

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (write(STDERR_FILENO, parts[i], strlen(parts[i])) < 0) {
            break;
        }
    }
    guard_end();
    _exit(1);
}

static void on_deadline(int signal_number) {
    (void)signal_number;
    die("still running at its deadline");
}

static void on_child_exit(int signal_number) {
    (void)signal_number;
    if (!exit_is_expected) {
        die("the far process ended early");
    }
}

static void handle(int signal_number, void (*handler)(int)) {
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART | SA_NOCLDSTOP;
    if (sigaction(signal_number, &action, NULL) != 0) {
        fail_errno("sigaction");
    }
}

void guard_start(const struct plan *plan) {
    case_name = plan->name;
    deadline_s = DEADLINE_BASE_S + (unsigned)ceil(10 * (plan->seconds + plan->warm));
    /* The time that a given number of operations takes is not known. */
    if (plan->count != 0) {
        deadline_s *= 10;
    }
    handle(SIGALRM, on_deadline);
    handle(SIGCHLD, on_child_exit);
    alarm(deadline_s);
}

/* An alarm is not inherited; and a child must not outlive a parent that was killed. */
void guard_child(void) {
    path_count = 0;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) {
        fail_errno("prctl");
    }
    alarm(deadline_s);
}

void guard_expect_exit(void) {
    exit_is_expected = 1;
}

void guard_remove_at_exit(const char *path) {
    if (strlen(path) >= PATH_MAX_BYTES || path_count == PATHS_MAX) {
        fail("too long a path, or too many");
    }
    strcpy(paths_to_remove[path_count], path);
    path_count++;
}

void guard_end(void) {
    for (unsigned i = 0; i < path_count; i++) {
        unlink(paths_to_remove[i]);
    }
}

void fail(const char *what) {
    die(what);
}

void fail_errno(const char *what) {
    int error = errno;

    fprintf(stderr, "bench: %s: %s\n", what, strerror(error));
    die("failed");
}

int must(int result, const char *what) {
    if (result < 0) {
        fprintf(stderr, "bench: %s: %s\n", what, nn_strerror(nn_errno()));
        die("failed");
    }
    return result;
}
