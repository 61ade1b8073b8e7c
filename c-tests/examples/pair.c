/* Two nodes that exchange their names. Start it twice, in any order:
 *
 *   pair 0 ipc:///tmp/pair.ipc
 *   pair 1 ipc:///tmp/pair.ipc
 *
 * Whoever comes first listens at the URL; the other finds it taken and dials. Each then sends and
 * receives three messages, one second apart. The exit code is 0 when all three were received. */

#include <nanomsg/nn.h>
#include <nanomsg/pair.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MESSAGES = 3, DEADLINE_MS = 10000, GOODBYE_MS = 1000 };

static const char goodbye[] = "goodbye";

static int fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, nn_strerror(nn_errno()));
    return -1;
}

/* Listens at the URL or, when somebody does so already, dials it. */
static int join(int socket, const char *node, const char *url)
{
    if (nn_bind(socket, url) >= 0) {
        printf("node %s: listening at %s\n", node, url);
        return 0;
    }
    if (nn_errno() != EADDRINUSE)
        return fail("nn_bind");
    if (nn_connect(socket, url) < 0)
        return fail("nn_connect");
    printf("node %s: %s is taken, dialing it\n", node, url);
    return 0;
}

static int send_name(int socket, const char *node, int number)
{
    char text[64];
    int size = snprintf(text, sizeof text, "node %s, message %d", node, number);
    printf("node %s: sending \"%s\"\n", node, text);
    return nn_send(socket, text, (size_t)size, 0) == size ? 0 : fail("nn_send");
}

static int receive_name(int socket, const char *node)
{
    char *text = NULL;
    int size = nn_recv(socket, &text, NN_MSG, 0);
    if (size < 0)
        return fail("nn_recv");
    printf("node %s: received \"%.*s\"\n", node, size, text);
    nn_freemsg(text);
    return 0;
}

/* Closing a socket may cost the peer what it has not received yet. Who says goodbye has received
 * everything, so this node leaves when its peer has said so. Should the peer be faster and be gone
 * already, then it has everything as well, and the wait ends after a second. */
static void part(int socket)
{
    char text[sizeof goodbye];
    int patience = GOODBYE_MS;
    nn_setsockopt(socket, NN_SOL_SOCKET, NN_RCVTIMEO, &patience, sizeof patience);
    nn_setsockopt(socket, NN_SOL_SOCKET, NN_SNDTIMEO, &patience, sizeof patience);
    if (nn_send(socket, goodbye, strlen(goodbye), 0) >= 0)
        nn_recv(socket, text, sizeof text, 0);
}

static int converse(int socket, const char *node, const char *url)
{
    int deadline = DEADLINE_MS;
    nn_setsockopt(socket, NN_SOL_SOCKET, NN_RCVTIMEO, &deadline, sizeof deadline);
    nn_setsockopt(socket, NN_SOL_SOCKET, NN_SNDTIMEO, &deadline, sizeof deadline);
    if (join(socket, node, url) < 0)
        return -1;
    for (int number = 1; number <= MESSAGES; number++) {
        if (number > 1)
            sleep(1);
        if (send_name(socket, node, number) < 0 || receive_name(socket, node) < 0)
            return -1;
    }
    part(socket);
    return 0;
}

int main(int count, char **words)
{
    if (count != 3 || (strcmp(words[1], "0") != 0 && strcmp(words[1], "1") != 0)) {
        fprintf(stderr, "usage: %s 0|1 URL\n", words[0]);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    int socket = nn_socket(AF_SP, NN_PAIR);
    if (socket < 0)
        return fail("nn_socket") != 0;
    int result = converse(socket, words[1], words[2]);
    nn_close(socket);
    return result != 0;
}
