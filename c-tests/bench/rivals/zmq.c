/*
 * libzmq under the calls that the benchmark makes, so that the same program measures it. A socket
 * of libzmq belongs to one thread, and it has neither surveys nor a bus; rivals.py knows which
 * cases that leaves out.
 */

#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <zmq.h>

#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/pubsub.h>
#include <nanomsg/reqrep.h>
#include <nanomsg/tcp.h>

#define SOCKETS_MAX 1024
/* At its default the publisher loses messages that the benchmark counts on. */
#define PUBLISHED_MAX 100000
/* What lies before a chunk: its size, and room that keeps the chunk aligned. */
#define CHUNK_HEAD 16

static struct entry {
    void *socket;
    int protocol;
    uint64_t subscriptions;
} entries[SOCKETS_MAX];
static void *context;
static unsigned open_count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static __thread zmq_msg_t received;

int nn_errno(void) {
    return zmq_errno();
}

const char *nn_strerror(int error) {
    return zmq_strerror(error);
}

static int type_of(int domain, int protocol) {
    int raw = domain == AF_SP_RAW;

    switch (protocol) {
    case NN_PAIR: return ZMQ_PAIR;
    case NN_REQ: return raw ? ZMQ_DEALER : ZMQ_REQ;
    case NN_REP: return raw ? ZMQ_ROUTER : ZMQ_REP;
    case NN_PUSH: return ZMQ_PUSH;
    case NN_PULL: return ZMQ_PULL;
    /* The kind of publisher that tells when a subscription has arrived. */
    case NN_PUB: return ZMQ_XPUB;
    case NN_SUB: return ZMQ_SUB;
    default: return -1;
    }
}

static void set(void *socket, int option, int value) {
    if (zmq_setsockopt(socket, option, &value, sizeof value) != 0) {
        abort();
    }
}

/* The first socket starts a context, and the last one ends it, as with the libraries measured. */
static void *open_in_context(int type) {
    void *socket;

    if (open_count == 0) {
        context = zmq_ctx_new();
    }
    socket = zmq_socket(context, type);
    if (socket != NULL) {
        open_count++;
    } else if (open_count == 0) {
        zmq_ctx_term(context);
    }
    return socket;
}

static int place_of(void *socket, int protocol) {
    for (int i = 0; i < SOCKETS_MAX; i++) {
        if (entries[i].socket == NULL) {
            entries[i] = (struct entry){.socket = socket, .protocol = protocol};
            return i;
        }
    }
    abort();
}

int nn_socket(int domain, int protocol) {
    int type = type_of(domain, protocol);
    void *socket;
    int number = -1;

    if (type < 0) {
        errno = ENOTSUP;
        return -1;
    }
    pthread_mutex_lock(&lock);
    socket = open_in_context(type);
    if (socket != NULL) {
        number = place_of(socket, protocol);
    }
    pthread_mutex_unlock(&lock);
    if (socket == NULL) {
        return -1;
    }
    set(socket, ZMQ_LINGER, 0);
    if (type == ZMQ_XPUB) {
        set(socket, ZMQ_SNDHWM, PUBLISHED_MAX);
        set(socket, ZMQ_XPUB_VERBOSE, 1);
    } else if (type == ZMQ_SUB) {
        set(socket, ZMQ_RCVHWM, PUBLISHED_MAX);
    }
    return number;
}

int nn_close(int s) {
    int status;

    pthread_mutex_lock(&lock);
    status = zmq_close(entries[s].socket);
    entries[s].socket = NULL;
    open_count--;
    if (open_count == 0) {
        zmq_ctx_term(context);
    }
    pthread_mutex_unlock(&lock);
    return status;
}

int nn_setsockopt(int s, int level, int option, const void *value, size_t size) {
    if (level == NN_SUB) {
        return zmq_setsockopt(entries[s].socket, ZMQ_SUBSCRIBE, value, size);
    }
    /* It has no limit for messages, and always sets TCP_NODELAY. */
    if ((level == NN_SOL_SOCKET && option == NN_RCVMAXSIZE) || level == NN_TCP) {
        return 0;
    }
    errno = ENOTSUP;
    return -1;
}

int nn_getsockopt(int s, int level, int option, void *value, size_t *size) {
    (void)s, (void)level, (void)option, (void)value, (void)size;
    errno = ENOTSUP;
    return -1;
}

/* Only a publisher has to wait: everything else is kept until the peer is there. */
uint64_t nn_get_statistic(int s, int statistic) {
    struct entry *entry = &entries[s];
    char subscription[256];
    int got;

    (void)statistic;
    if (entry->protocol != NN_PUB) {
        return UINT64_MAX;
    }
    while ((got = zmq_recv(entry->socket, subscription, sizeof subscription, ZMQ_DONTWAIT)) > 0) {
        entry->subscriptions += subscription[0] == 1;
    }
    return entry->subscriptions;
}

int nn_bind(int s, const char *address) {
    return zmq_bind(entries[s].socket, address);
}

int nn_connect(int s, const char *address) {
    return zmq_connect(entries[s].socket, address);
}

static void free_chunk(void *chunk, void *hint) {
    (void)hint;
    free((char *)chunk - CHUNK_HEAD);
}

void *nn_allocmsg(size_t size, int type) {
    char *memory = malloc(size + CHUNK_HEAD);

    (void)type;
    if (memory == NULL) {
        return NULL;
    }
    memcpy(memory, &size, sizeof size);
    return memory + CHUNK_HEAD;
}

/* The only message that a caller can free is the one received last. */
int nn_freemsg(void *body) {
    (void)body;
    return zmq_msg_close(&received);
}

int nn_send(int s, const void *body, size_t size, int flags) {
    zmq_msg_t message;
    void *chunk;

    (void)flags;
    if (size != NN_MSG) {
        return zmq_send(entries[s].socket, body, size, 0);
    }
    chunk = *(void *const *)body;
    memcpy(&size, (char *)chunk - CHUNK_HEAD, sizeof size);
    zmq_msg_init_data(&message, chunk, size, free_chunk, NULL);
    return zmq_msg_send(&message, entries[s].socket, 0);
}

int nn_recv(int s, void *buffer, size_t size, int flags) {
    int zmq_flags = flags & NN_DONTWAIT ? ZMQ_DONTWAIT : 0;
    int got;

    if (size != NN_MSG) {
        return zmq_recv(entries[s].socket, buffer, size, zmq_flags);
    }
    zmq_msg_init(&received);
    got = zmq_msg_recv(&received, entries[s].socket, zmq_flags);
    if (got >= 0) {
        *(void **)buffer = zmq_msg_data(&received);
    }
    return got;
}

int nn_poll(struct nn_pollfd *watched, int count, int timeout) {
    zmq_pollitem_t items[SOCKETS_MAX];
    int ready;

    for (int i = 0; i < count; i++) {
        items[i] = (zmq_pollitem_t){.socket = entries[watched[i].fd].socket, .events = ZMQ_POLLIN};
    }
    ready = zmq_poll(items, count, timeout);
    for (int i = 0; i < count; i++) {
        watched[i].revents = items[i].revents & ZMQ_POLLIN ? NN_POLLIN : 0;
    }
    return ready;
}

int nn_device(int one, int other) {
    return zmq_proxy(entries[one].socket, entries[other].socket, NULL);
}
