/* A table at which everybody hears everybody. Each guest has an address, and is told those of the
 * guests before him. Start them in any order:
 *
 *   bus anna 3 tcp://127.0.0.1:5551
 *   bus bert 3 tcp://127.0.0.1:5552 tcp://127.0.0.1:5551
 *   bus cleo 3 tcp://127.0.0.1:5553 tcp://127.0.0.1:5551 tcp://127.0.0.1:5552
 *
 * A bus reaches direct neighbours only, so every two guests have a connection. When all of
 * them are there, each says his name and hears those of the others. */

#include <nanomsg/bus.h>
#include <nanomsg/nn.h>

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

/* What is said before somebody has come is not heard by him. */
static void wait_for_peers(int socket, unsigned long count)
{
    const struct timespec moment = {0, 10000000};
    while (nn_get_statistic(socket, NN_STAT_CURRENT_CONNECTIONS) < count)
        nanosleep(&moment, NULL);
}

static int talk(int socket, const char *name, unsigned long others)
{
    wait_for_peers(socket, others);
    if (nn_send(socket, name, strlen(name), 0) < 0)
        return fail("nn_send");
    for (unsigned long i = 0; i < others; i++) {
        char other[64];
        int size = nn_recv(socket, other, sizeof other, 0);
        if (size < 0)
            return fail("nn_recv");
        printf("%s hears %.*s\n", name, size < (int)sizeof other ? size : (int)sizeof other,
               other);
    }
    return 0;
}

int main(int count, char **words)
{
    int deadline = DEADLINE_MS, socket;
    if (count < 4) {
        fprintf(stderr, "usage: %s NAME GUESTS ADDRESS [OTHER...]\n", words[0]);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    socket = nn_socket(AF_SP, NN_BUS);
    if (socket < 0)
        return fail("nn_socket");
    nn_setsockopt(socket, NN_SOL_SOCKET, NN_RCVTIMEO, &deadline, sizeof deadline);
    if (nn_bind(socket, words[3]) < 0)
        return fail(words[3]);
    for (int i = 4; i < count; i++)
        if (nn_connect(socket, words[i]) < 0)
            return fail(words[i]);
    printf("%s sits down\n", words[1]);
    int result = talk(socket, words[1], strtoul(words[2], NULL, 10) - 1);
    nn_close(socket);
    return result;
}
