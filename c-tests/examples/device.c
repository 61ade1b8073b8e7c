/* Requests of any number of clients, spread over any number of workers by a device. Start a broker,
 * then workers and clients, in any order and number:
 *
 *   device broker tcp://127.0.0.1:5555 tcp://127.0.0.1:5556
 *   device worker tcp://127.0.0.1:5556 anna
 *   device worker tcp://127.0.0.1:5556 bert
 *   device client tcp://127.0.0.1:5555 6
 *
 * The broker owns both addresses, so that clients and workers need to know only one and may come
 * and go. It keeps nothing: who asks remembers the request until it is answered, and asks again
 * when its worker is lost. Broker and workers run until they are interrupted; the client ends when
 * all its requests are answered, with the exit code 0. */

#include <nanomsg/nn.h>
#include <nanomsg/reqrep.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEADLINE_MS = 10000, ASK_AGAIN_MS = 1000 };

static int fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, nn_strerror(nn_errno()));
    return -1;
}

/* Passes requests from the front to the back, and replies the way they came. The sockets are raw:
 * they leave it to the device which request a reply belongs to, and the backtrace in each message
 * tells it. Of the workers at the back each gets a request in its turn. */
static int broker(const char *front_url, const char *back_url)
{
    int front = nn_socket(AF_SP_RAW, NN_REP);
    int back = nn_socket(AF_SP_RAW, NN_REQ);
    if (front < 0 || back < 0)
        return fail("nn_socket");
    if (nn_bind(front, front_url) < 0 || nn_bind(back, back_url) < 0)
        return fail("nn_bind");
    printf("broker: from %s to %s\n", front_url, back_url);
    nn_device(front, back);
    return fail("nn_device");
}

/* Answers one request after the other with the same text and its name. */
static int worker(const char *url, const char *name)
{
    int socket = nn_socket(AF_SP, NN_REP);
    if (socket < 0)
        return fail("nn_socket");
    if (nn_connect(socket, url) < 0)
        return fail("nn_connect");
    printf("worker %s: waiting at %s\n", name, url);
    for (;;) {
        char *request = NULL;
        char reply[128];
        int size = nn_recv(socket, &request, NN_MSG, 0);
        if (size < 0)
            return fail("nn_recv");
        printf("worker %s: received \"%.*s\"\n", name, size, request);
        snprintf(reply, sizeof reply, "%.*s, done by %s", size, request, name);
        nn_freemsg(request);
        if (nn_send(socket, reply, strlen(reply), 0) < 0)
            return fail("nn_send");
    }
}

static int request(int socket, int number)
{
    char text[32];
    char *reply = NULL;
    snprintf(text, sizeof text, "request %d", number);
    if (nn_send(socket, text, strlen(text), 0) < 0)
        return fail("nn_send");
    int size = nn_recv(socket, &reply, NN_MSG, 0);
    if (size < 0)
        return fail("nn_recv");
    printf("client: received \"%.*s\"\n", size, reply);
    nn_freemsg(reply);
    return 0;
}

/* A worker that dies with a request is noticed by the broker, not by the client, whose connection
 * to the broker lives on. The client asks again after a while, and the request finds another
 * worker. */
static int client(const char *url, int count)
{
    int deadline = DEADLINE_MS, again = ASK_AGAIN_MS;
    int socket = nn_socket(AF_SP, NN_REQ);
    if (socket < 0)
        return fail("nn_socket");
    nn_setsockopt(socket, NN_SOL_SOCKET, NN_RCVTIMEO, &deadline, sizeof deadline);
    nn_setsockopt(socket, NN_REQ, NN_REQ_RESEND_IVL, &again, sizeof again);
    if (nn_connect(socket, url) < 0)
        return fail("nn_connect");
    for (int number = 1; number <= count; number++)
        if (request(socket, number) < 0)
            return -1;
    nn_close(socket);
    return 0;
}

static int usage(const char *program)
{
    fprintf(stderr, "usage: %s broker FRONT BACK | worker BACK NAME | client FRONT COUNT\n",
            program);
    return 2;
}

int main(int count, char **words)
{
    if (count != 4)
        return usage(words[0]);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (strcmp(words[1], "broker") == 0)
        return broker(words[2], words[3]) != 0;
    if (strcmp(words[1], "worker") == 0)
        return worker(words[2], words[3]) != 0;
    if (strcmp(words[1], "client") == 0)
        return client(words[2], atoi(words[3])) != 0;
    return usage(words[0]);
}
