/* A program of nng's compatibility layer, which is compiled a second time as one of spmsg: only the
 * names of its headers differ.
 *
 *   compat ADDRESS      says "hello" as a PAIR that connects, and leaves when it is told "enough" */

#ifdef FOR_NNG
#include <nng/compat/nanomsg/nn.h>
#include <nng/compat/nanomsg/pair.h>
#else
#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#endif

#include <errno.h>
#include <string.h>

int main(int count, char **words)
{
    char *body = NULL;
    int patience = 10000, s = nn_socket(AF_SP, NN_PAIR);
    if (count != 2 || s < 0)
        return 2;
    if (nn_setsockopt(s, NN_SOL_SOCKET, NN_RCVTIMEO, &patience, sizeof patience) != 0)
        return 3;
    if (nn_connect(s, words[1]) < 0)
        return 4;
    if (nn_send(s, "hello", 5, 0) != 5)
        return 5;
    if (nn_recv(s, &body, NN_MSG, 0) != 6 || memcmp(body, "enough", 6) != 0)
        return 6;
    if (nn_freemsg(body) != 0 || nn_close(s) != 0)
        return 7;
    if (nn_close(s) != -1 || nn_errno() != EBADF)
        return 8;
    return 0;
}
