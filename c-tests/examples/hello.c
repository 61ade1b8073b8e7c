/* The smallest conversation: two sockets of one program, one message. */

#include <nanomsg/nn.h>
#include <nanomsg/pair.h>

#include <stdio.h>

static int fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, nn_strerror(nn_errno()));
    return 1;
}

int main(void)
{
    char text[64];
    int here = nn_socket(AF_SP, NN_PAIR);
    int there = nn_socket(AF_SP, NN_PAIR);
    if (here < 0 || there < 0)
        return fail("nn_socket");
    if (nn_bind(here, "inproc://hello") < 0)
        return fail("nn_bind");
    if (nn_connect(there, "inproc://hello") < 0)
        return fail("nn_connect");

    if (nn_send(here, "hello", 5, 0) < 0)
        return fail("nn_send");
    int size = nn_recv(there, text, sizeof text, 0);
    if (size < 0)
        return fail("nn_recv");
    printf("received %d bytes: %.*s\n", size, size, text);

    nn_close(there);
    nn_close(here);
    return 0;
}
