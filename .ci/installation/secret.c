/* An encrypted conversation of one program with itself. Its words are the files of a certificate,
 * which vouches for itself, and of its key. */

#include <nanomsg/pair.h>
#include <spmsg/spmsg.h>

#include <stdio.h>
#include <string.h>

static int set(int s, int option, const char *file)
{
    return nn_setsockopt(s, SPMSG_TLS, option, file, strlen(file));
}

int main(int count, char **words)
{
    char text[256], address[SPMSG_ADDRESS_MAX];
    int patience = 10000, way;
    int here = nn_socket(AF_SP, NN_PAIR), there = nn_socket(AF_SP, NN_PAIR);
    if (count != 3 || set(here, SPMSG_TLS_CERTIFICATE, words[1]) < 0 ||
        set(here, SPMSG_TLS_KEY, words[2]) < 0 || set(there, SPMSG_TLS_TRUST, words[1]) < 0)
        return 2;
    nn_setsockopt(there, NN_SOL_SOCKET, NN_RCVTIMEO, &patience, sizeof patience);
    way = spmsg_bind(here, "tls+tcp://127.0.0.1:0");
    if (way < 0 || spmsg_address(here, way, address, sizeof address) < 0 ||
        nn_connect(there, address) < 0 || nn_send(here, "hello", 6, 0) < 0 ||
        nn_recv(there, text, sizeof text, 0) < 0) {
        spmsg_error_text(text, sizeof text);
        printf("%s\n", text);
        return 1;
    }
    printf("%s\n", text);
    nn_close(there);
    nn_close(here);
    return 0;
}
