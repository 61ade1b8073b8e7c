#include "support/readiness.h"

#include "support/sockets.h"

#include <nanomsg/nn.h>

#include <poll.h>

int signals(int s, int option, int ms)
{
    struct pollfd ready = {get_int(s, NN_SOL_SOCKET, option), POLLIN, 0};
    return poll(&ready, 1, ms) == 1 && (ready.revents & POLLIN) != 0;
}
