/*
 * nng under the calls that the benchmark makes, through nng's own interface, so that the same
 * program measures it. What no case needs is missing, and everything keeps nng's defaults unless a
 * case could lose messages by them.
 */

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <nng/nng.h>
#include <nng/protocol/bus0/bus.h>
#include <nng/protocol/pair0/pair.h>
#include <nng/protocol/pipeline0/pull.h>
#include <nng/protocol/pipeline0/push.h>
#include <nng/protocol/pubsub0/pub.h>
#include <nng/protocol/pubsub0/sub.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>
#include <nng/protocol/survey0/respond.h>
#include <nng/protocol/survey0/survey.h>
#include <nng/supplemental/util/platform.h>
#include <nng/transport/tls/tls.h>

#include <nanomsg/bus.h>
#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/pubsub.h>
#include <nanomsg/reqrep.h>
#include <nanomsg/survey.h>
#include <nanomsg/tcp.h>
#include <spmsg/spmsg.h>

#define COUNTED_SOCKETS 65536u
#define POLLED_MAX 400
/* A window of the benchmark fits, as it does with the defaults of the others. */
#define PUBLISHED_MAX 8192

static _Atomic uint64_t connections[COUNTED_SOCKETS];
static __thread nng_msg *allocated;
static __thread nng_msg *received;
/* Files of a certificate with its key, and of who is trusted; all sockets have the same. */
static char own[PATH_MAX];
static char trusted[PATH_MAX];

static int failed(int error) {
    switch (error) {
    case 0: return 0;
    case NNG_EAGAIN: errno = EAGAIN; break;
    case NNG_ETIMEDOUT: errno = ETIMEDOUT; break;
    case NNG_ECLOSED: errno = EBADF; break;
    case NNG_EADDRINUSE: errno = EADDRINUSE; break;
    case NNG_ENOTSUP: errno = ENOTSUP; break;
    default: errno = EIO; break;
    }
    return -1;
}

static nng_socket socket_of(int number) {
    nng_socket socket = {.id = (uint32_t)number};

    return socket;
}

int nn_errno(void) {
    return errno;
}

const char *nn_strerror(int error) {
    return strerror(error);
}

static void on_pipe(nng_pipe pipe, nng_pipe_ev event, void *counter) {
    (void)pipe;
    atomic_fetch_add((_Atomic uint64_t *)counter, event == NNG_PIPE_EV_ADD_POST ? 1 : -1);
}

static const struct {
    int protocol;
    int (*open)(nng_socket *socket);
    int (*open_raw)(nng_socket *socket);
} protocols[] = {
    {NN_PAIR, nng_pair0_open, nng_pair0_open_raw},
    {NN_REQ, nng_req0_open, nng_req0_open_raw},
    {NN_REP, nng_rep0_open, nng_rep0_open_raw},
    {NN_PUSH, nng_push0_open, nng_push0_open_raw},
    {NN_PULL, nng_pull0_open, nng_pull0_open_raw},
    {NN_PUB, nng_pub0_open, nng_pub0_open_raw},
    {NN_SUB, nng_sub0_open, nng_sub0_open_raw},
    {NN_SURVEYOR, nng_surveyor0_open, nng_surveyor0_open_raw},
    {NN_RESPONDENT, nng_respondent0_open, nng_respondent0_open_raw},
    {NN_BUS, nng_bus0_open, nng_bus0_open_raw},
};

int nn_socket(int domain, int protocol) {
    for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++) {
        nng_socket socket;
        _Atomic uint64_t *counter;
        int error;

        if (protocols[i].protocol != protocol) {
            continue;
        }
        error = (domain == AF_SP_RAW ? protocols[i].open_raw : protocols[i].open)(&socket);
        if (error != 0) {
            return failed(error);
        }
        counter = &connections[socket.id % COUNTED_SOCKETS];
        atomic_store(counter, 0);
        nng_pipe_notify(socket, NNG_PIPE_EV_ADD_POST, on_pipe, counter);
        nng_pipe_notify(socket, NNG_PIPE_EV_REM_POST, on_pipe, counter);
        if (protocol == NN_PUB) {
            nng_socket_set_int(socket, NNG_OPT_SENDBUF, PUBLISHED_MAX);
        } else if (protocol == NN_SUB) {
            nng_socket_set_int(socket, NNG_OPT_RECVBUF, PUBLISHED_MAX);
        }
        return nng_socket_id(socket);
    }
    errno = ENOTSUP;
    return -1;
}

int nn_close(int s) {
    return failed(nng_close(socket_of(s)));
}

static int set_path(char *path, const void *value, size_t size) {
    if (size >= PATH_MAX) {
        errno = EINVAL;
        return -1;
    }
    memcpy(path, value, size);
    path[size] = '\0';
    return 0;
}

int nn_setsockopt(int s, int level, int option, const void *value, size_t size) {
    nng_socket socket = socket_of(s);
    int number = 0;

    if (size == sizeof number) {
        memcpy(&number, value, sizeof number);
    }
    if (level == NN_SUB) {
        return failed(nng_socket_set(socket, NNG_OPT_SUB_SUBSCRIBE, value, size));
    }
    if (level == NN_SURVEYOR) {
        return failed(nng_socket_set_ms(socket, NNG_OPT_SURVEYOR_SURVEYTIME, number));
    }
    if (level == SPMSG_TLS && option == SPMSG_TLS_CERTIFICATE) {
        return set_path(own, value, size);
    }
    if (level == SPMSG_TLS && option == SPMSG_TLS_TRUST) {
        return set_path(trusted, value, size);
    }
    if (level == NN_TCP && option == NN_TCP_NODELAY) {
        return failed(nng_socket_set_bool(socket, NNG_OPT_TCP_NODELAY, number != 0));
    }
    if (level == NN_SOL_SOCKET && option == NN_RCVMAXSIZE) {
        return failed(nng_socket_set_size(socket, NNG_OPT_RECVMAXSZ, 0));
    }
    errno = ENOTSUP;
    return -1;
}

int nn_getsockopt(int s, int level, int option, void *value, size_t *size) {
    if (level != NN_SOL_SOCKET || option != NN_RCVFD || *size != sizeof(int)) {
        errno = ENOTSUP;
        return -1;
    }
    return failed(nng_socket_get_int(socket_of(s), NNG_OPT_RECVFD, value));
}

uint64_t nn_get_statistic(int s, int statistic) {
    (void)statistic;
    return atomic_load(&connections[(uint32_t)s % COUNTED_SOCKETS]);
}

static int is_encrypted(const char *address) {
    return strncmp(address, "tls+", 4) == 0 || strncmp(address, "wss:", 4) == 0;
}

int nn_bind(int s, const char *address) {
    nng_listener listener;
    int error = nng_listener_create(&listener, socket_of(s), address);

    if (error == 0 && is_encrypted(address)) {
        error = nng_listener_set_string(listener, NNG_OPT_TLS_CERT_KEY_FILE, own);
    }
    return failed(error != 0 ? error : nng_listener_start(listener, 0));
}

int nn_connect(int s, const char *address) {
    nng_dialer dialer;
    int error = nng_dialer_create(&dialer, socket_of(s), address);

    if (error == 0 && is_encrypted(address)) {
        error = nng_dialer_set_string(dialer, NNG_OPT_TLS_CA_FILE, trusted);
    }
    /* Numeric names of a certificate are none for what it encrypts with. */
    if (error == 0 && is_encrypted(address)) {
        error = nng_dialer_set_string(dialer, NNG_OPT_TLS_SERVER_NAME, "localhost");
    }
    return failed(error != 0 ? error : nng_dialer_start(dialer, 0));
}

void *nn_allocmsg(size_t size, int type) {
    (void)type;
    if (failed(nng_msg_alloc(&allocated, size)) != 0) {
        return NULL;
    }
    return nng_msg_body(allocated);
}

/* The only message that a caller can free is the one received last. */
int nn_freemsg(void *body) {
    if (received == NULL || nng_msg_body(received) != body) {
        errno = EFAULT;
        return -1;
    }
    nng_msg_free(received);
    received = NULL;
    return 0;
}

int nn_send(int s, const void *body, size_t size, int flags) {
    int error;

    (void)flags;
    if (size != NN_MSG) {
        error = nng_send(socket_of(s), (void *)(uintptr_t)body, size, 0);
        return error != 0 ? failed(error) : (int)size;
    }
    size = nng_msg_len(allocated);
    error = nng_sendmsg(socket_of(s), allocated, 0);
    return error != 0 ? failed(error) : (int)size;
}

int nn_recv(int s, void *buffer, size_t size, int flags) {
    int nng_flags = flags & NN_DONTWAIT ? NNG_FLAG_NONBLOCK : 0;
    int error;

    if (size != NN_MSG) {
        error = nng_recv(socket_of(s), buffer, &size, nng_flags);
        return error != 0 ? failed(error) : (int)size;
    }
    error = nng_recvmsg(socket_of(s), &received, nng_flags);
    if (error != 0) {
        return failed(error);
    }
    *(void **)buffer = nng_msg_body(received);
    return (int)nng_msg_len(received);
}

int nn_poll(struct nn_pollfd *watched, int count, int timeout) {
    struct pollfd descriptors[POLLED_MAX];
    int ready;

    if (count > POLLED_MAX) {
        errno = EINVAL;
        return -1;
    }
    for (int i = 0; i < count; i++) {
        descriptors[i].events = POLLIN;
        if (failed(nng_socket_get_int(socket_of(watched[i].fd), NNG_OPT_RECVFD,
                                      &descriptors[i].fd)) != 0) {
            return -1;
        }
    }
    ready = poll(descriptors, (nfds_t)count, timeout);
    for (int i = 0; i < count; i++) {
        watched[i].revents = descriptors[i].revents & POLLIN ? NN_POLLIN : 0;
    }
    return ready;
}

int nn_device(int one, int other) {
    return failed(nng_device(socket_of(one), socket_of(other)));
}
