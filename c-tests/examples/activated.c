/* A service that says everything louder, and listens at what its manager has opened. For spmsg
 * only.
 *
 *   systemd-socket-activate -l 5555 activated
 *   reqrep ask tcp://127.0.0.1:5555 hello
 *
 * It ends when nobody has asked for some milliseconds, 10000 unless told otherwise: its manager
 * keeps the address, and starts it again for the next one who comes. */

#include <nanomsg/nn.h>
#include <nanomsg/reqrep.h>
#include <spmsg/spmsg.h>

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { FIRST = 3 };

static int fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, nn_strerror(nn_errno()));
    return 1;
}

/* How many descriptors there are, from FIRST on: sd_listen_fds(3) says the same. */
static int given(void)
{
    const char *owner = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    return owner && count && atol(owner) == getpid() ? atoi(count) : 0;
}

/* What listens is listened at; what is connected, as with Accept=yes, is talked over. */
static int adopt(int socket, int fd)
{
    int endpoint = spmsg_listen_fd(socket, fd);
    if (endpoint < 0 && nn_errno() == EISCONN)
        endpoint = spmsg_connect_fd(socket, fd);
    return endpoint;
}

int main(int count, char **words)
{
    int patience = count > 1 ? atoi(words[1]) : 10000, fds = given();
    if (fds == 0) {
        fprintf(stderr, "%s: there is nothing to listen at\n", words[0]);
        return 2;
    }
    int socket = nn_socket(AF_SP, NN_REP);
    if (socket < 0)
        return fail("nn_socket");
    nn_setsockopt(socket, NN_SOL_SOCKET, NN_RCVTIMEO, &patience, sizeof patience);
    for (int fd = FIRST; fd < FIRST + fds; fd++)
        if (adopt(socket, fd) < 0)
            return fail("adopt");
    for (;;) {
        char *text = NULL;
        int size = nn_recv(socket, &text, NN_MSG, 0);
        if (size < 0 && nn_errno() == ETIMEDOUT)
            break;
        if (size < 0)
            return fail("nn_recv");
        for (int i = 0; i < size; i++)
            text[i] = (char)toupper((unsigned char)text[i]);
        if (nn_send(socket, &text, NN_MSG, 0) < 0)
            nn_freemsg(text);
    }
    return nn_close(socket) < 0;
}
