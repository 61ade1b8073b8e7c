/* A conversation of two sockets in which anything may fail, in a process of its own. Calls may say
 * why, connections may end; but the process lives, nothing hangs, nothing is left when all is
 * closed, and the same sockets serve when nothing fails any more. */

#ifndef SPMSG_ROBUSTNESS_FAILING_H
#define SPMSG_ROBUSTNESS_FAILING_H

struct failing {
    int left, right;     /* the socket types; the left one is bound */
    const char *host;    /* that tcp connects to, or NULL */
    int connected_first; /* nothing fails before they are connected and have talked */
    int to_the_end;      /* the sockets are closed while calls fail */
    int error;           /* that calls may report, beside those of want and of waiting */
    void (*begin)(void *plan);
    long (*end)(void); /* says how often something has failed */
    void *plan;
};

enum outcome { WORKED, SAID_SO, ENDED, ABORTED, HUNG, LEAKED, WRONG, OUTCOMES };

extern const char *const outcome_names[OUTCOMES];

struct tally {
    long tries;
    long of[OUTCOMES];
};

/* To be called first. */
void failing_init(void);

/* How many pieces of memory may be left: a run without failures is counted. */
long failing_live(const struct failing *failing);

/* Runs it; says in `failed` how often something has. What must not be is a failure of the test,
 * of which it prints some; `what` says what failed. */
enum outcome failing_run(const struct failing *failing, long live, long *failed,
                         const char *what, struct tally *tally);

/* Runs so many in one process, each after `change` has prepared it, and checks what is left. */
void failing_run_many(struct failing *failing, int count,
                      void (*change)(struct failing *failing, int number));

/* Whether so much has gone wrong that the rest is left out. */
int failing_is_enough(void);

void print_tally(const char *what, const struct tally *tally);

#endif
