/* Several threads on one socket, over every transport: whole messages, in order for each thread.
 *
 * The transport is the argument: threads tcp, threads ipc, threads ws. */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/sockets.h"
#include "support/thread.h"

#include <nanomsg/nn.h>

static const char *scheme;

struct worker {
    int s;
    int index;
    int count;
};

static void *send_numbers(void *argument)
{
    struct worker *worker = argument;
    for (int i = 0; i < worker->count; i++) {
        int message[2] = {worker->index, i};
        CHECK_EQ(nn_send(worker->s, message, sizeof message, 0), sizeof message);
    }
    return NULL;
}

static void *count_messages(void *argument)
{
    struct worker *worker = argument;
    int message[2];
    while (nn_recv(worker->s, message, sizeof message, 0) == sizeof message && message[1] >= 0)
        worker->count++;
    return NULL;
}

/* core 1.5: sends of several threads are whole messages, in order for each thread. */
static void several_threads_send_on_one_socket(void)
{
    enum { THREADS = 4, MESSAGES = 2000 };
    struct url url = unique_url(scheme);
    struct thread threads[THREADS];
    struct worker workers[THREADS];
    int a, b, next[THREADS] = {0};
    open_pairs(&a, &b, url.text);
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){a, i, MESSAGES};
        thread_start(&threads[i], send_numbers, &workers[i]);
    }
    for (int i = 0; i < THREADS * MESSAGES; i++) {
        int message[2] = {-1, -1};
        REQUIRE(nn_recv(b, message, sizeof message, 0) == sizeof message);
        REQUIRE(message[0] >= 0 && message[0] < THREADS);
        CHECK_EQ(message[1], next[message[0]]++);
    }
    for (int i = 0; i < THREADS; i++)
        thread_join(&threads[i]);
    CHECK_CLOSE(a, b);
}

/* core 1.5: each message goes to exactly one of the threads that wait for it. */
static void several_threads_receive_on_one_socket(void)
{
    enum { THREADS = 4, MESSAGES = 8000 };
    struct url url = unique_url(scheme);
    struct thread threads[THREADS];
    struct worker workers[THREADS];
    int a, b, total = 0;
    open_pairs(&a, &b, url.text);
    struct worker sender = {a, 0, MESSAGES};
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){b, i, 0};
        thread_start(&threads[i], count_messages, &workers[i]);
    }
    send_numbers(&sender);
    for (int i = 0; i < THREADS; i++) {
        int last[2] = {0, -1};
        CHECK_EQ(nn_send(a, last, sizeof last, 0), sizeof last);
    }
    for (int i = 0; i < THREADS; i++) {
        thread_join(&threads[i]);
        total += workers[i].count;
    }
    CHECK_EQ(total, MESSAGES);
    CHECK_CLOSE(a, b);
}

int main(int count, char **words)
{
    scheme = test_begin_with("transports/threads", "inproc|tcp|ipc|ws|tls+tcp|wss", 58, count, words);
    RUN(several_threads_send_on_one_socket);
    RUN(several_threads_receive_on_one_socket);
    return test_end();
}
