#include "chat.h"

#include <nanomsg/nn.h>
#include <nanomsg/pair.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, nn_strerror(nn_errno()));
    return -1;
}

int chat_open(struct chat *chat, int count, char **words)
{
    size_t size = sizeof chat->messages;
    int binds = count == 3 && strcmp(words[1], "bind") == 0;
    if (!binds && (count != 3 || strcmp(words[1], "connect") != 0)) {
        fprintf(stderr, "usage: %s bind|connect URL\n", words[0]);
        return -1;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    chat->input = STDIN_FILENO;
    chat->length = 0;
    chat->socket = nn_socket(AF_SP, NN_PAIR);
    if (chat->socket < 0)
        return fail("nn_socket");
    if ((binds ? nn_bind(chat->socket, words[2]) : nn_connect(chat->socket, words[2])) < 0)
        return fail(words[2]);
    if (nn_getsockopt(chat->socket, NN_SOL_SOCKET, NN_RCVFD, &chat->messages, &size) < 0)
        return fail("nn_getsockopt");
    printf("ready\n");
    return 0;
}

/* All that are there: asking the loop again for each would cost more. The error that ends it is the
 * usual one. */
int chat_messages(struct chat *chat)
{
    char *text = NULL;
    int size;
    while ((size = nn_recv(chat->socket, &text, NN_MSG, NN_DONTWAIT)) >= 0) {
        printf("%.*s\n", size, text);
        nn_freemsg(text);
    }
    return nn_errno() == EAGAIN ? 0 : fail("nn_recv");
}

/* What cannot be sent now is told, and not kept. */
static int send_line(int socket, const char *line)
{
    if (nn_send(socket, line, strlen(line), NN_DONTWAIT) >= 0)
        return 0;
    if (nn_errno() != EAGAIN)
        return fail("nn_send");
    printf("nobody hears \"%s\"\n", line);
    return 0;
}

/* One read brings any part of a line, or several lines. One that is too long is cut. */
int chat_input(struct chat *chat)
{
    const size_t room = sizeof chat->line - 1;
    ssize_t size = read(chat->input, chat->line + chat->length, room - chat->length);
    if (size <= 0)
        return 1;
    chat->length += (size_t)size;
    for (;;) {
        char *end = memchr(chat->line, '\n', chat->length);
        size_t used = end ? (size_t)(end - chat->line) + 1 : chat->length;
        if (!end && chat->length < room)
            return 0;
        chat->line[end ? used - 1 : used] = 0;
        if (send_line(chat->socket, chat->line) < 0)
            return -1;
        chat->length -= used;
        memmove(chat->line, chat->line + used, chat->length);
    }
}

void chat_close(struct chat *chat)
{
    nn_close(chat->socket);
}
