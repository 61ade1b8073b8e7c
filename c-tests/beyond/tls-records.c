/* How messages lie in the records of TLS, counted between the two sides. The certificate is made on
 * the spot, with openssl(1). */

#include "beyond.h"

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/directory.h"
#include "support/raw-stream.h"
#include "support/sockets.h"
#include "support/talk.h"

#include <nanomsg/nn.h>
#include <nanomsg/pipeline.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    HEAD = 5,             /* Of a record. */
    DATA = 23,            /* The type of those that are of use to somebody. */
    PLAIN_MAX = 16255,    /* What a record has of that at most: less than it may have. */
    BIG = 1 << 20,
    SMALL = 64,
    AROUND = 22           /* A head, the true type and a tag. */
};

/* Stands between who connects and who listens, and reads what the first says record by record. */
struct relay {
    int listener;
    struct url behind;
    pthread_t thread;
    pthread_mutex_t lock;
    int is_halted;        /* Nothing more is read of who connects. */
    size_t records;
    size_t full;          /* Those that have all a record can. */
    size_t longest;
};

static void pass(int to, const unsigned char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(to, bytes, size, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        bytes += sent;
        size -= (size_t)sent;
    }
}

static int is_halted(struct relay *relay)
{
    pthread_mutex_lock(&relay->lock);
    int is_halted = relay->is_halted;
    pthread_mutex_unlock(&relay->lock);
    return is_halted;
}

static void note(struct relay *relay, const unsigned char *head, size_t size)
{
    pthread_mutex_lock(&relay->lock);
    if (head[0] == DATA) {
        relay->records++;
        relay->full += size == PLAIN_MAX + AROUND - HEAD;
        if (size > relay->longest)
            relay->longest = size;
    }
    pthread_mutex_unlock(&relay->lock);
}

static void *relay_run(void *argument)
{
    struct relay *relay = argument;
    static unsigned char record[HEAD + 65536];
    int near = raw_accept(relay->listener, PATIENCE_MS);
    int far = raw_connect(relay->behind.text);
    struct pollfd ends[] = {{near, POLLIN, 0}, {far, POLLIN, 0}};
    for (;;) {
        ends[0].events = is_halted(relay) ? 0 : POLLIN;
        if (poll(ends, 2, 10) < 0 && errno != EINTR)
            break;
        if (ends[1].revents) {
            ssize_t got = recv(far, record, sizeof record, 0);
            if (got <= 0)
                break;
            pass(near, record, (size_t)got);
        }
        if (ends[0].revents && ends[0].events) {
            if (recv(near, record, HEAD, MSG_WAITALL) != HEAD)
                break;
            size_t size = (size_t)record[3] << 8 | record[4];
            if (recv(near, record + HEAD, size, MSG_WAITALL) != (ssize_t)size)
                break;
            note(relay, record, size);
            pass(far, record, HEAD + size);
        }
    }
    close(near);
    close(far);
    return NULL;
}

/* The address to connect to instead of `url`. */
static struct url relay_start(struct relay *relay, const struct url *url)
{
    struct url plain = unique_url("tcp"), covered;
    memset(relay, 0, sizeof *relay);
    pthread_mutex_init(&relay->lock, NULL);
    snprintf(relay->behind.text, sizeof relay->behind.text, "tcp://127.0.0.1:%d",
             port_of(url->text));
    relay->listener = raw_listen(plain.text);
    REQUIRE(pthread_create(&relay->thread, NULL, relay_run, relay) == 0);
    snprintf(covered.text, sizeof covered.text, "tls+tcp://127.0.0.1:%d", port_of(plain.text));
    return covered;
}

static void relay_end(struct relay *relay)
{
    pthread_join(relay->thread, NULL);
    close(relay->listener);
}

static void halt(struct relay *relay, int is_halted)
{
    pthread_mutex_lock(&relay->lock);
    relay->is_halted = is_halted;
    relay->records = relay->full = relay->longest = 0;
    pthread_mutex_unlock(&relay->lock);
}

#define KEY "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "

static void make_certificate(void)
{
    char line[1024];
    snprintf(line, sizeof line,
             "cd '%s' && { openssl req -x509 " KEY "-keyout ca.key -out ca.pem -subj /CN=ca &&"
             " echo subjectAltName=IP:127.0.0.1 >names &&"
             " openssl req " KEY "-keyout own.key -out own.csr -subj /CN=own &&"
             " openssl x509 -req -in own.csr -CA ca.pem -CAkey ca.key -CAcreateserial"
             " -out own.pem -extfile names; } >log 2>&1", test_directory());
    REQUIRE(system(line) == 0);
}

static void set_file(int s, int option, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", test_directory(), name);
    CHECK_OK(nn_setsockopt(s, SPMSG_TLS, option, path, strlen(path)));
}

static void pair_up(int *pull, int *push, struct relay *relay)
{
    char address[64];
    struct url url;
    *pull = open_socket(AF_SP, NN_PULL);
    *push = open_socket(AF_SP, NN_PUSH);
    set_file(*pull, SPMSG_TLS_CERTIFICATE, "own.pem");
    set_file(*pull, SPMSG_TLS_KEY, "own.key");
    set_file(*push, SPMSG_TLS_TRUST, "ca.pem");
    int endpoint = spmsg_bind(*pull, "tls+tcp://127.0.0.1:0");
    CHECK_OK(endpoint);
    snprintf(address, sizeof address, "%s", address_of(*pull, endpoint));
    snprintf(url.text, sizeof url.text, "%s", address);
    url = relay_start(relay, &url);
    CHECK_OK(nn_connect(*push, url.text));
    CHECK_SEND(*push, "first");
    CHECK_RECV(*pull, "first");
}

/* A big message takes as many records as it must, and one more for what is in front of it. */
static void a_big_message_fills_its_records(void)
{
    static char sent[BIG], received[BIG + 1];
    struct relay relay;
    int pull, push;
    pair_up(&pull, &push, &relay);
    halt(&relay, 0);
    for (size_t i = 0; i < BIG; i++)
        sent[i] = (char)(i * 7 % 251);
    CHECK_EQ(nn_send(push, sent, BIG, 0), BIG);
    CHECK_EQ(nn_recv(pull, received, sizeof received, 0), BIG);
    CHECK(memcmp(sent, received, BIG) == 0);
    pthread_mutex_lock(&relay.lock);
    CHECK_EQ(relay.full, BIG / PLAIN_MAX);
    CHECK_EQ(relay.records, BIG / PLAIN_MAX + 1);
    pthread_mutex_unlock(&relay.lock);
    CHECK_CLOSE(push, pull);
    relay_end(&relay);
}

/* What waits while the kernel is full goes in records that are full, and not one by one. */
static void small_messages_share_records(void)
{
    static char message[SMALL], received[SMALL];
    struct relay relay;
    int pull, push, patience = 300;
    size_t count = 0;
    pair_up(&pull, &push, &relay);
    halt(&relay, 1);
    CHECK_OK(nn_setsockopt(push, NN_SOL_SOCKET, NN_SNDTIMEO, &patience, sizeof patience));
    while (nn_send(push, message, SMALL, 0) == SMALL) {
        count++;
        memcpy(message, &count, sizeof count);
    }
    CHECK_EQ(nn_errno(), ETIMEDOUT);
    halt(&relay, 0);
    for (size_t i = 0; i < count; i++) {
        size_t found;
        CHECK_EQ(nn_recv(pull, received, SMALL, 0), SMALL);
        memcpy(&found, received, sizeof found);
        CHECK_EQ(found, i);
    }
    pthread_mutex_lock(&relay.lock);
    printf("%zu messages in %zu records, %zu of which were full\n", count, relay.records,
           relay.full);
    /* More than half of what a socket keeps. */
    CHECK(relay.full >= 4);
    CHECK_EQ(relay.longest, PLAIN_MAX + AROUND - HEAD);
    pthread_mutex_unlock(&relay.lock);
    CHECK_CLOSE(push, pull);
    relay_end(&relay);
}

int main(void)
{
    test_begin("beyond/tls-records", 60);
    make_certificate();
    RUN(a_big_message_fills_its_records);
    RUN(small_messages_share_records);
    return test_end();
}
