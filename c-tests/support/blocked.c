#include "support/blocked.h"

#include "support/check.h"
#include "support/clock.h"
#include "support/sockets.h"
#include "support/thread.h"

#include <nanomsg/nn.h>

#include <errno.h>
#include <stdint.h>

struct blocked {
    int s;
    int sends;
    int result;
    int error;
};

/* What is sent fills whatever room there is. */
static void *block(void *argument)
{
    struct blocked *blocked = argument;
    static const char body[100000];
    char byte;
    do {
        errno = 0;
        blocked->result = blocked->sends ? nn_send(blocked->s, body, sizeof body, 0)
                                         : nn_recv(blocked->s, &byte, 1, 0);
        blocked->error = errno;
    } while (blocked->result >= 0);
    return NULL;
}

void check_close_wakes(int s, int receivers, int senders, int ms)
{
    struct thread threads[8];
    struct blocked blocked[8];
    int count = receivers + senders;
    for (int i = 0; i < count; i++) {
        blocked[i] = (struct blocked){s, i >= receivers, 0, 0};
        thread_start(&threads[i], block, &blocked[i]);
    }
    for (int i = 0; i < count; i++)
        CHECK(thread_asleep(&threads[i]));
    int64_t start = now_ms();
    CHECK_CLOSE(s);
    for (int i = 0; i < count; i++) {
        thread_join(&threads[i]);
        CHECK_EQ(blocked[i].result, -1);
        CHECK_EQ(blocked[i].error, EBADF);
    }
    CHECK_AT_MOST(now_ms() - start, ms);
}
