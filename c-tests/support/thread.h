/* Threads, and what the kernel says about them. */

#ifndef SPMSG_SUPPORT_THREAD_H
#define SPMSG_SUPPORT_THREAD_H

#include <pthread.h>
#include <sys/types.h>

struct thread {
    pthread_t id;
    pid_t tid;
    int done;
    void *(*function)(void *);
    void *argument;
};

/* The thread writes into `thread`, which must stay where it is until thread_join. */
void thread_start(struct thread *thread, void *(*function)(void *), void *argument);

int thread_done(struct thread *thread);

void *thread_join(struct thread *thread);

/* One letter: S sleeping, R running, ... */
char thread_state(struct thread *thread);

/* True once the kernel has seen the thread asleep several times in a row: it waits in a call. Its
 * use is to make the interesting case likely; no result may depend on it. False if it has ended. */
int thread_asleep(struct thread *thread);

#endif
