/* A chat for browsers: what any page sends is published to all of them, text as text and binary as
 * binary. A line that is typed here goes to every page as well.
 *
 *   ws-chat [ADDRESS_TO_PUBLISH [ADDRESS_TO_PULL]]
 *
 * The page is ws-chat.html, to be opened from disk. It talks to this program with the browser's own
 * WebSocket: all that it has to know of the scalability protocols is the name of a sub-protocol,
 * pub.sp.nanomsg.org to receive and pull.sp.nanomsg.org to send. */

#include <nanomsg/nn.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/pubsub.h>
#include <nanomsg/ws.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, nn_strerror(nn_errno()));
    exit(1);
}

static int bound(int protocol, const char *address)
{
    int s = nn_socket(AF_SP, protocol);
    if (s < 0)
        die("nn_socket");
    if (nn_bind(s, address) < 0)
        die(address);
    return s;
}

/* The kind of a received message, out of its control data. */
static int kind_of(struct nn_msghdr *message)
{
    struct nn_cmsghdr *entry = NN_CMSG_FIRSTHDR(message);
    for (; entry; entry = NN_CMSG_NXTHDR(message, entry))
        if (entry->cmsg_level == NN_WS && entry->cmsg_type == NN_WS_MSG_TYPE)
            return *(unsigned char *)NN_CMSG_DATA(entry);
    return NN_WS_MSG_TYPE_BINARY;
}

static void *publish_lines(void *argument)
{
    char line[512];
    int pub = *(int *)argument;
    sigset_t reading;

    /* In the background of a terminal nobody types here, and trying to read would stop the whole
     * program: with this signal held back, it only fails. */
    sigemptyset(&reading);
    sigaddset(&reading, SIGTTIN);
    pthread_sigmask(SIG_BLOCK, &reading, NULL);
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        if (nn_send(pub, line, strlen(line), 0) < 0)
            break;
    }
    return NULL;
}

int main(int count, char **words)
{
    const char *to_publish = count > 1 ? words[1] : "ws://127.0.0.1:8001";
    const char *to_pull = count > 2 ? words[2] : "ws://127.0.0.1:8002";
    int pub = nn_socket(AF_SP, NN_PUB), text = NN_WS_MSG_TYPE_TEXT;
    int pull = bound(NN_PULL, to_pull);
    pthread_t typist;

    /* What is typed here says nothing about its kind; this is what it is. */
    if (pub < 0 || nn_setsockopt(pub, NN_WS, NN_WS_MSG_TYPE, &text, sizeof text) < 0)
        die("nn_socket");
    if (nn_bind(pub, to_publish) < 0)
        die(to_publish);
    printf("publishing on %s, pulling on %s\n", to_publish, to_pull);
    fflush(stdout);
    if (pthread_create(&typist, NULL, publish_lines, &pub) != 0)
        return 1;

    for (;;) {
        void *body = NULL, *control = NULL;
        struct nn_iovec part = {&body, NN_MSG};
        struct nn_msghdr message = {&part, 1, &control, NN_MSG};
        int size = nn_recvmsg(pull, &message, 0);
        if (size < 0)
            die("nn_recvmsg");
        if (kind_of(&message) == NN_WS_MSG_TYPE_TEXT)
            printf("text: %.*s\n", size, (char *)body);
        else
            printf("binary: %d bytes\n", size);
        fflush(stdout);
        /* The control data goes along, and with it the kind. */
        if (nn_sendmsg(pub, &message, 0) < 0)
            die("nn_sendmsg");
    }
}
