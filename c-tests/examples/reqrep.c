/* A service that says everything louder, and clients that ask it. Start them in any order:
 *
 *   reqrep serve tcp://127.0.0.1:5555
 *   reqrep ask tcp://127.0.0.1:5555 hello "is anybody there?"
 *
 * The service runs until it is interrupted. A client ends when all its requests are answered, with
 * the exit code 0, or with 1 when an answer takes too long. */

#include <nanomsg/nn.h>
#include <nanomsg/reqrep.h>

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { DEADLINE_MS = 10000 };

static int fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, nn_strerror(nn_errno()));
    return 1;
}

/* With NN_MSG a message comes in memory of the library's. It is changed where it lies, and goes
 * back as the reply: nothing is copied, and nothing is left to be freed. */
static int serve(int socket)
{
    for (;;) {
        char *text = NULL;
        int size = nn_recv(socket, &text, NN_MSG, 0);
        if (size < 0)
            return fail("nn_recv");
        for (int i = 0; i < size; i++)
            text[i] = (char)toupper((unsigned char)text[i]);
        if (nn_send(socket, &text, NN_MSG, 0) < 0) {
            nn_freemsg(text);
            return fail("nn_send");
        }
    }
}

static int ask(int socket, const char *question)
{
    char *reply = NULL;
    if (nn_send(socket, question, strlen(question), 0) < 0)
        return fail("nn_send");
    int size = nn_recv(socket, &reply, NN_MSG, 0);
    if (size < 0)
        return fail("nn_recv");
    printf("%.*s\n", size, reply);
    nn_freemsg(reply);
    return 0;
}

static int ask_all(int socket, char **questions)
{
    int deadline = DEADLINE_MS;
    nn_setsockopt(socket, NN_SOL_SOCKET, NN_RCVTIMEO, &deadline, sizeof deadline);
    for (; *questions; questions++)
        if (ask(socket, *questions) != 0)
            return 1;
    return 0;
}

int main(int count, char **words)
{
    int serves = count == 3 && strcmp(words[1], "serve") == 0;
    if (!serves && (count < 4 || strcmp(words[1], "ask") != 0)) {
        fprintf(stderr, "usage: %s serve URL | ask URL QUESTION...\n", words[0]);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    int socket = nn_socket(AF_SP, serves ? NN_REP : NN_REQ);
    if (socket < 0)
        return fail("nn_socket");
    if ((serves ? nn_bind(socket, words[2]) : nn_connect(socket, words[2])) < 0)
        return fail(words[2]);
    int result = serves ? serve(socket) : ask_all(socket, words + 3);
    nn_close(socket);
    return result;
}
