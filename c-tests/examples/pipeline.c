/* Work that is dealt out, done by many, and gathered again. Start these in any order; the dealer
 * begins when as many workers have come as it was told:
 *
 *   pipeline gather tcp://127.0.0.1:5556 100
 *   pipeline work tcp://127.0.0.1:5555 tcp://127.0.0.1:5556
 *   pipeline work tcp://127.0.0.1:5555 tcp://127.0.0.1:5556
 *   pipeline deal tcp://127.0.0.1:5555 100 2
 *
 * Each piece of work is a number, and doing it is squaring it. The gatherer ends when it has as
 * many results as it was told, and prints their sum. A worker runs until it is interrupted. */

#include <nanomsg/nn.h>
#include <nanomsg/pipeline.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DEADLINE_MS = 10000 };

static int fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, nn_strerror(nn_errno()));
    return 1;
}

/* Numbers travel as text, which any machine reads alike. */
static int send_number(int socket, uint64_t number)
{
    char text[32];
    int size = snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    return nn_send(socket, text, (size_t)size, 0);
}

static int receive_number(int socket, uint64_t *number)
{
    char text[32];
    int size = nn_recv(socket, text, sizeof text - 1, 0);
    if (size < 0 || (size_t)size >= sizeof text)
        return -1;
    text[size] = 0;
    *number = strtoull(text, NULL, 10);
    return 0;
}

/* Who comes first would get all the work, if it did not wait for the others. */
static int deal(const char *to, uint64_t count, uint64_t workers)
{
    const struct timespec moment = {0, 10000000};
    int socket = nn_socket(AF_SP, NN_PUSH);
    if (socket < 0)
        return fail("nn_socket");
    if (nn_bind(socket, to) < 0)
        return fail(to);
    while (nn_get_statistic(socket, NN_STAT_CURRENT_CONNECTIONS) < workers)
        nanosleep(&moment, NULL);
    for (uint64_t number = 1; number <= count; number++)
        if (send_number(socket, number) < 0)
            return fail("nn_send");
    nn_close(socket);
    return 0;
}

static int work(const char *from, const char *to)
{
    int in = nn_socket(AF_SP, NN_PULL), out = nn_socket(AF_SP, NN_PUSH);
    if (in < 0 || out < 0)
        return fail("nn_socket");
    if (nn_connect(out, to) < 0 || nn_connect(in, from) < 0)
        return fail("nn_connect");
    for (;;) {
        uint64_t number;
        if (receive_number(in, &number) < 0)
            return fail("nn_recv");
        if (send_number(out, number * number) < 0)
            return fail("nn_send");
    }
}

static int gather(const char *at, uint64_t count)
{
    uint64_t sum = 0, result;
    int deadline = DEADLINE_MS;
    int socket = nn_socket(AF_SP, NN_PULL);
    if (socket < 0)
        return fail("nn_socket");
    nn_setsockopt(socket, NN_SOL_SOCKET, NN_RCVTIMEO, &deadline, sizeof deadline);
    if (nn_bind(socket, at) < 0)
        return fail(at);
    for (uint64_t i = 0; i < count; i++) {
        if (receive_number(socket, &result) < 0)
            return fail("nn_recv");
        sum += result;
    }
    printf("%llu results, their sum is %llu\n", (unsigned long long)count,
           (unsigned long long)sum);
    nn_close(socket);
    return 0;
}

int main(int count, char **words)
{
    if (count == 5 && strcmp(words[1], "deal") == 0)
        return deal(words[2], strtoull(words[3], NULL, 10), strtoull(words[4], NULL, 10));
    if (count == 4 && strcmp(words[1], "work") == 0)
        return work(words[2], words[3]);
    if (count == 4 && strcmp(words[1], "gather") == 0)
        return gather(words[2], strtoull(words[3], NULL, 10));
    fprintf(stderr, "usage: %s deal TO COUNT WORKERS | work FROM TO | gather AT COUNT\n",
            words[0]);
    return 2;
}
