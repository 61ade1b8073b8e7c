/* Tells who comes to a socket, who goes, and who is turned away. For spmsg only.
 *
 *   watch tcp://127.0.0.1:5555 3
 *
 * The socket is a PULL. It ends after that many events. */

#include <nanomsg/nn.h>
#include <nanomsg/pipeline.h>
#include <spmsg/spmsg.h>

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

static int fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, nn_strerror(nn_errno()));
    return 1;
}

static const char *name_of(int type)
{
    switch (type) {
    case SPMSG_EVENT_CONNECTED:
        return "came";
    case SPMSG_EVENT_DISCONNECTED:
        return "went";
    case SPMSG_EVENT_HANDSHAKE_FAILED:
        return "did not speak as a PUSH does";
    default:
        return "something else";
    }
}

int main(int count, char **words)
{
    struct spmsg_event event;
    int left = count == 3 ? atoi(words[2]) : 0;
    if (left <= 0) {
        fprintf(stderr, "usage: %s URL EVENTS\n", words[0]);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    int socket = nn_socket(AF_SP, NN_PULL);
    if (socket < 0)
        return fail("nn_socket");
    /* Before it is bound, so that none is missed. */
    struct pollfd events = {spmsg_events(socket), POLLIN, 0};
    if (events.fd < 0)
        return fail("spmsg_events");
    if (spmsg_bind(socket, words[1]) < 0)
        return fail(words[1]);
    while (left > 0) {
        if (poll(&events, 1, -1) < 0)
            return 1;
        while (left > 0 && spmsg_next_event(socket, &event) == 0) {
            printf("%s\n", name_of(event.type));
            left--;
        }
    }
    nn_close(socket);
    return 0;
}
