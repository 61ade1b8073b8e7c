/* Two nodes that exchange their names, like pair.c, but sending and receiving go on independently:
 * one thread sends a message every second while the other receives what comes. Start it twice:
 *
 *   pair-threads 0 tcp://127.0.0.1:5555
 *   pair-threads 1 tcp://127.0.0.1:5555
 *
 * It gets along with pair.c as well. The exit code is 0 when three messages were received. */

#include <nanomsg/nn.h>
#include <nanomsg/pair.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MESSAGES = 3, DEADLINE_MS = 10000, GOODBYE_MS = 1000 };

static const char goodbye[] = "goodbye";

struct node {
    const char *name;
    int socket;
    int sent;
    int received;
};

static int fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, nn_strerror(nn_errno()));
    return -1;
}

static void *send_names(void *argument)
{
    struct node *node = argument;
    for (int number = 1; number <= MESSAGES; number++) {
        char text[64];
        int size = snprintf(text, sizeof text, "node %s, message %d", node->name, number);
        if (number > 1)
            sleep(1);
        printf("node %s: sending \"%s\"\n", node->name, text);
        if (nn_send(node->socket, text, (size_t)size, 0) != size) {
            fail("nn_send");
            break;
        }
        node->sent++;
    }
    return NULL;
}

static void *receive_names(void *argument)
{
    struct node *node = argument;
    while (node->received < MESSAGES) {
        char *text = NULL;
        int size = nn_recv(node->socket, &text, NN_MSG, 0);
        if (size < 0) {
            fail("nn_recv");
            break;
        }
        printf("node %s: received \"%.*s\"\n", node->name, size, text);
        nn_freemsg(text);
        node->received++;
    }
    return NULL;
}

/* Listens at the URL or, when somebody does so already, dials it. */
static int join(const struct node *node, const char *url)
{
    if (nn_bind(node->socket, url) >= 0) {
        printf("node %s: listening at %s\n", node->name, url);
        return 0;
    }
    if (nn_errno() != EADDRINUSE)
        return fail("nn_bind");
    if (nn_connect(node->socket, url) < 0)
        return fail("nn_connect");
    printf("node %s: %s is taken, dialing it\n", node->name, url);
    return 0;
}

/* Who says goodbye has received everything; pair.c tells why each waits for the other's. */
static void part(int socket)
{
    char text[sizeof goodbye];
    int patience = GOODBYE_MS;
    nn_setsockopt(socket, NN_SOL_SOCKET, NN_RCVTIMEO, &patience, sizeof patience);
    nn_setsockopt(socket, NN_SOL_SOCKET, NN_SNDTIMEO, &patience, sizeof patience);
    if (nn_send(socket, goodbye, strlen(goodbye), 0) >= 0)
        nn_recv(socket, text, sizeof text, 0);
}

static int converse(struct node *node, const char *url)
{
    pthread_t sender, receiver;
    int deadline = DEADLINE_MS;
    nn_setsockopt(node->socket, NN_SOL_SOCKET, NN_RCVTIMEO, &deadline, sizeof deadline);
    nn_setsockopt(node->socket, NN_SOL_SOCKET, NN_SNDTIMEO, &deadline, sizeof deadline);
    if (join(node, url) < 0)
        return -1;
    if (pthread_create(&sender, NULL, send_names, node) != 0)
        return -1;
    if (pthread_create(&receiver, NULL, receive_names, node) != 0) {
        pthread_join(sender, NULL);
        return -1;
    }
    pthread_join(sender, NULL);
    pthread_join(receiver, NULL);
    if (node->sent < MESSAGES || node->received < MESSAGES)
        return -1;
    part(node->socket);
    return 0;
}

int main(int count, char **words)
{
    struct node node = {NULL, 0, 0, 0};
    if (count != 3 || (strcmp(words[1], "0") != 0 && strcmp(words[1], "1") != 0)) {
        fprintf(stderr, "usage: %s 0|1 URL\n", words[0]);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    node.name = words[1];
    node.socket = nn_socket(AF_SP, NN_PAIR);
    if (node.socket < 0)
        return fail("nn_socket") != 0;
    int result = converse(&node, words[2]);
    nn_close(node.socket);
    return result != 0;
}
