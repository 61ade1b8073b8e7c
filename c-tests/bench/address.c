/* Addresses that nobody else uses, whatever runs on this machine at the same time. */

#include "bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <nanomsg/nn.h>
#include <spmsg/spmsg.h>

#define PORT_ATTEMPTS 64
#define DIRECTORY_BYTES_MAX 60

static int free_port(void) {
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    int plain = socket(AF_INET, SOCK_STREAM, 0);

    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (plain < 0 || bind(plain, (struct sockaddr *)&address, sizeof address) != 0
        || getsockname(plain, (struct sockaddr *)&address, &length) != 0) {
        fail_errno("looking for a free port");
    }
    close(plain);
    return ntohs(address.sin_port);
}

/* Somebody else may take the port between the look and the bind, hence the attempts. */
static void bind_port(int socket, const char *scheme, char *address) {
    for (int attempt = 0; attempt < PORT_ATTEMPTS; attempt++) {
        snprintf(address, ADDRESS_BYTES, "%s://127.0.0.1:%d", scheme, free_port());
        if (nn_bind(socket, address) >= 0) {
            return;
        }
        if (nn_errno() != EADDRINUSE) {
            break;
        }
    }
    must(-1, "nn_bind");
}

void protect(int socket, enum transport transport) {
    const char *directory = getenv("BENCH_TLS");
    char path[256];

    if (transport != TLS && transport != WSS) {
        return;
    }
    if (directory == NULL) {
        fail("BENCH_TLS is to name a directory with own.pem and ca.pem in it");
    }
    snprintf(path, sizeof path, "%s/own.pem", directory);
    must(nn_setsockopt(socket, SPMSG_TLS, SPMSG_TLS_CERTIFICATE, path, strlen(path)),
         "SPMSG_TLS_CERTIFICATE");
    snprintf(path, sizeof path, "%s/ca.pem", directory);
    must(nn_setsockopt(socket, SPMSG_TLS, SPMSG_TLS_TRUST, path, strlen(path)),
         "SPMSG_TLS_TRUST");
}

void go_round(char *address) {
    const char *other = getenv("BENCH_CONNECT");

    if (other != NULL) {
        snprintf(address, ADDRESS_BYTES, "%s", other);
    }
}

static void ipc_file(char *file, const char *path, unsigned number) {
    if (snprintf(file, ADDRESS_BYTES, "%s.%u", path, number) >= ADDRESS_BYTES - 8) {
        fail("the path for ipc is too long");
    }
}

void bind_somewhere(int socket, enum transport transport, const char *ipc_path, unsigned number,
                    char *address) {
    const char *given = getenv("BENCH_BIND");
    char file[ADDRESS_BYTES];

    memset(address, 0, ADDRESS_BYTES);
    if (given != NULL) {
        snprintf(address, ADDRESS_BYTES, "%s", given);
        must(nn_bind(socket, address), "nn_bind");
        return;
    }
    switch (transport) {
    case INPROC:
        snprintf(address, ADDRESS_BYTES, "inproc://bench-%u", number);
        must(nn_bind(socket, address), "nn_bind");
        break;
    case IPC:
        ipc_file(file, ipc_path, number);
        snprintf(address, ADDRESS_BYTES, "ipc://%.*s", ADDRESS_BYTES - 8, file);
        must(nn_bind(socket, address), "nn_bind");
        break;
    case TCP:
        bind_port(socket, "tcp", address);
        break;
    case WS:
        bind_port(socket, "ws", address);
        break;
    case TLS:
        bind_port(socket, "tls+tcp", address);
        break;
    case WSS:
        bind_port(socket, "wss", address);
        break;
    }
}

void choose_ipc_path(char *path, unsigned numbers) {
    const char *directory = getenv("TMPDIR");
    char file[ADDRESS_BYTES];

    if (directory == NULL || directory[0] == '\0' || strlen(directory) > DIRECTORY_BYTES_MAX) {
        directory = "/tmp";
    }
    snprintf(path, ADDRESS_BYTES, "%s/spmsg-bench-%ld.ipc", directory, (long)getpid());
    for (unsigned number = 0; number < numbers; number++) {
        ipc_file(file, path, number);
        guard_remove_at_exit(file);
    }
}
