/*
 * Plain system calls under the calls that the benchmark makes: what is left when there is no
 * library. One connection over ipc or tcp, messages behind their length.
 *
 * A message is written with one call and read with one, in the thread that asks. A stream is
 * gathered, behind as many messages without an answer as the libraries wait for; a thread writes
 * every millisecond what nobody follows.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <nanomsg/nn.h>

#define LENGTH_BYTES 8u
#define GATHERED_MAX 65536u
#define STREAM_AFTER 64u
#define READ_MAX 262144u
#define FLUSH_INTERVAL_NS 1000000

static int stream = -1;
static int listener = -1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char gathered[GATHERED_MAX];
static size_t gathered_size;
static unsigned sent_in_a_row;
static int flusher_runs;
static char inbox[READ_MAX];
static size_t inbox_start;
static size_t inbox_end;

int nn_errno(void) {
    return errno;
}

const char *nn_strerror(int error) {
    return strerror(error);
}

static int unsupported(void) {
    errno = ENOTSUP;
    return -1;
}

int nn_socket(int domain, int protocol) {
    (void)domain, (void)protocol;
    return stream >= 0 || listener >= 0 ? unsupported() : 0;
}

int nn_setsockopt(int s, int level, int option, const void *value, size_t size) {
    (void)s, (void)level, (void)option, (void)value, (void)size;
    return 0;
}

int nn_getsockopt(int s, int level, int option, void *value, size_t *size) {
    (void)s, (void)level, (void)option, (void)value, (void)size;
    return unsupported();
}

struct target {
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_un un;
    } address;
    socklen_t size;
};

static int parse(const char *text, struct target *target) {
    memset(target, 0, sizeof *target);
    if (strncmp(text, "ipc://", 6) == 0) {
        target->address.un.sun_family = AF_UNIX;
        strncpy(target->address.un.sun_path, text + 6, sizeof target->address.un.sun_path - 1);
        target->size = sizeof target->address.un;
        return 0;
    }
    if (strncmp(text, "tcp://", 6) == 0) {
        target->address.in.sin_family = AF_INET;
        target->address.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        target->address.in.sin_port = htons((uint16_t)atoi(strrchr(text, ':') + 1));
        target->size = sizeof target->address.in;
        return 0;
    }
    return unsupported();
}

static void answer_at_once(void) {
    int yes = 1;

    /* A unix socket refuses, and needs none. */
    setsockopt(stream, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

int nn_bind(int s, const char *address) {
    struct target target;

    (void)s;
    if (parse(address, &target) != 0) {
        return -1;
    }
    listener = socket(target.address.any.sa_family, SOCK_STREAM, 0);
    return bind(listener, &target.address.any, target.size) != 0 ? -1 : listen(listener, 1);
}

int nn_connect(int s, const char *address) {
    struct target target;

    (void)s;
    if (parse(address, &target) != 0) {
        return -1;
    }
    stream = socket(target.address.any.sa_family, SOCK_STREAM, 0);
    answer_at_once();
    return connect(stream, &target.address.any, target.size);
}

/* The accepting side has its connection when it first asks. */
uint64_t nn_get_statistic(int s, int statistic) {
    (void)s, (void)statistic;
    if (stream < 0) {
        stream = accept(listener, NULL, NULL);
        answer_at_once();
    }
    return 1;
}

static int write_all(struct iovec *parts, int count) {
    while (count > 0) {
        ssize_t written = writev(stream, parts, count);

        if (written < 0) {
            return -1;
        }
        while (count > 0 && (size_t)written >= parts->iov_len) {
            written -= (ssize_t)parts->iov_len;
            parts++;
            count--;
        }
        if (count > 0) {
            parts->iov_base = (char *)parts->iov_base + written;
            parts->iov_len -= (size_t)written;
        }
    }
    return 0;
}

static int flush(void) {
    struct iovec all = {gathered, gathered_size};

    gathered_size = 0;
    return all.iov_len == 0 ? 0 : write_all(&all, 1);
}

static void *flush_for_ever(void *nothing) {
    const struct timespec interval = {.tv_nsec = FLUSH_INTERVAL_NS};

    for (;;) {
        nanosleep(&interval, NULL);
        pthread_mutex_lock(&lock);
        flush();
        pthread_mutex_unlock(&lock);
    }
    return nothing;
}

static int gather(const void *body, uint64_t size) {
    pthread_t thread;

    if (!flusher_runs) {
        flusher_runs = pthread_create(&thread, NULL, flush_for_ever, NULL) == 0;
    }
    if (gathered_size + LENGTH_BYTES + size > sizeof gathered && flush() != 0) {
        return -1;
    }
    memcpy(gathered + gathered_size, &size, LENGTH_BYTES);
    memcpy(gathered + gathered_size + LENGTH_BYTES, body, size);
    gathered_size += LENGTH_BYTES + size;
    return 0;
}

int nn_send(int s, const void *body, size_t size, int flags) {
    uint64_t length = size;
    int status;

    (void)s, (void)flags;
    if (size == NN_MSG) {
        return unsupported();
    }
    pthread_mutex_lock(&lock);
    sent_in_a_row++;
    if (sent_in_a_row > STREAM_AFTER && size + LENGTH_BYTES <= GATHERED_MAX / 4) {
        status = gather(body, length);
    } else {
        struct iovec parts[] = {{&length, LENGTH_BYTES}, {(void *)(uintptr_t)body, size}};

        status = flush() != 0 ? -1 : write_all(parts, 2);
    }
    pthread_mutex_unlock(&lock);
    return status != 0 ? -1 : (int)size;
}

/* Has at least so many bytes in the inbox, which they must fit. */
static int fill(size_t wanted) {
    if (inbox_start == inbox_end) {
        inbox_start = inbox_end = 0;
    } else if (inbox_start + wanted > sizeof inbox) {
        memmove(inbox, inbox + inbox_start, inbox_end - inbox_start);
        inbox_end -= inbox_start;
        inbox_start = 0;
    }
    while (inbox_end - inbox_start < wanted) {
        ssize_t got = read(stream, inbox + inbox_end, sizeof inbox - inbox_end);

        if (got <= 0) {
            return -1;
        }
        inbox_end += (size_t)got;
    }
    return 0;
}

int nn_recv(int s, void *buffer, size_t size, int flags) {
    uint64_t length;
    size_t have;

    (void)s;
    if (size == NN_MSG || flags != 0) {
        return unsupported();
    }
    if (sent_in_a_row > STREAM_AFTER) {
        pthread_mutex_lock(&lock);
        flush();
        pthread_mutex_unlock(&lock);
    }
    sent_in_a_row = 0;
    if (fill(LENGTH_BYTES) != 0) {
        return -1;
    }
    memcpy(&length, inbox + inbox_start, LENGTH_BYTES);
    inbox_start += LENGTH_BYTES;
    if (length > size) {
        return unsupported();
    }
    have = inbox_end - inbox_start < length ? inbox_end - inbox_start : length;
    memcpy(buffer, inbox + inbox_start, have);
    inbox_start += have;
    while (have < length) {
        ssize_t got = read(stream, (char *)buffer + have, length - have);

        if (got <= 0) {
            return -1;
        }
        have += (size_t)got;
    }
    return (int)length;
}

int nn_close(int s) {
    (void)s;
    close(stream);
    close(listener);
    stream = listener = -1;
    return 0;
}

void *nn_allocmsg(size_t size, int type) {
    (void)size, (void)type;
    errno = ENOTSUP;
    return NULL;
}

int nn_freemsg(void *body) {
    (void)body;
    return unsupported();
}

int nn_poll(struct nn_pollfd *watched, int count, int timeout) {
    (void)watched, (void)count, (void)timeout;
    return unsupported();
}

int nn_device(int one, int other) {
    (void)one, (void)other;
    return unsupported();
}
