/* One PAIR that everybody may talk to, and what it knows of its visitors. For spmsg only.
 *
 *   many serve URL COUNT   answers so many messages, each to its sender, and prints figures
 *   many say URL NAME      says a name, and prints the answer
 */

#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <spmsg/spmsg.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, nn_strerror(nn_errno()));
    return 1;
}

/* The control data of a message say who has sent it. With the same control data the answer goes
 * to him, and to nobody else. */
static int answer(int socket)
{
    char text[100], control[256];
    struct nn_iovec piece = {text, sizeof text};
    struct nn_msghdr message = {&piece, 1, control, sizeof control};
    int size = nn_recvmsg(socket, &message, 0);
    if (size < 0)
        return fail("nn_recvmsg");
    char reply[200];
    piece.iov_base = reply;
    piece.iov_len = (size_t)snprintf(reply, sizeof reply, "good day, %.*s", size, text);
    if (nn_sendmsg(socket, &message, 0) < 0)
        return fail("nn_sendmsg");
    return 0;
}

/* What Prometheus would be told: here, the lines of one figure. */
static void print_figures(int socket, const char *name)
{
    char figures[65536];
    int size = spmsg_statistics_text(socket, figures, sizeof figures);
    if (size <= 0 || (size_t)size >= sizeof figures)
        return;
    for (char *line = strtok(figures, "\n"); line != NULL; line = strtok(NULL, "\n"))
        if (strncmp(line, name, strlen(name)) == 0)
            puts(line);
}

static int serve(int socket, const char *url, int count)
{
    int yes = 1, waiting = 100;
    nn_setsockopt(socket, NN_PAIR, SPMSG_PAIR_MANY, &yes, sizeof yes);
    /* So many messages may wait for each visitor, and from each, whatever their size. */
    nn_setsockopt(socket, NN_SOL_SOCKET, SPMSG_SNDBUF_MESSAGES, &waiting, sizeof waiting);
    nn_setsockopt(socket, NN_SOL_SOCKET, SPMSG_RCVBUF_MESSAGES, &waiting, sizeof waiting);
    nn_setsockopt(socket, NN_SOL_SOCKET, NN_SOCKET_NAME, "desk", 4);
    if (nn_bind(socket, url) < 0)
        return fail("nn_bind");
    for (int i = 0; i < count; i++)
        if (answer(socket) != 0)
            return 1;
    print_figures(socket, "spmsg_messages_received_total");
    return 0;
}

static int say(int socket, const char *url, const char *name)
{
    char text[200];
    if (nn_connect(socket, url) < 0)
        return fail("nn_connect");
    if (nn_send(socket, name, strlen(name), 0) < 0)
        return fail("nn_send");
    int size = nn_recv(socket, text, sizeof text, 0);
    if (size < 0)
        return fail("nn_recv");
    printf("%.*s\n", size, text);
    return 0;
}

int main(int count, char **words)
{
    int socket = nn_socket(AF_SP, NN_PAIR), result;
    if (socket < 0)
        return fail("nn_socket");
    if (count == 4 && strcmp(words[1], "serve") == 0)
        result = serve(socket, words[2], atoi(words[3]));
    else if (count == 4 && strcmp(words[1], "say") == 0)
        result = say(socket, words[2], words[3]);
    else
        return fprintf(stderr, "usage: many serve URL COUNT | many say URL NAME\n"), 2;
    nn_close(socket);
    return result;
}
