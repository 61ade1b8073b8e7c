/* Says hello through whichever library it was linked with. C and C++. */

#include <nanomsg/nn.h>
#include <nanomsg/pair.h>

#include <stdio.h>

int main(void)
{
    char text[16];
    int here = nn_socket(AF_SP, NN_PAIR), there = nn_socket(AF_SP, NN_PAIR);

    if (nn_bind(here, "inproc://hello") < 0 || nn_connect(there, "inproc://hello") < 0 ||
        nn_send(here, "hello", 6, 0) < 0 || nn_recv(there, text, sizeof text, 0) < 0)
        return 1;
    puts(text);
    nn_close(there);
    nn_close(here);
    return 0;
}
