/* The peer that speaks nanomsg's API: on our library or on the reference, as the loader decides. */

#include "peer.h"

#include <nanomsg/bus.h>
#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/pubsub.h>
#include <nanomsg/reqrep.h>
#include <nanomsg/survey.h>
#include <spmsg/spmsg.h>

#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const int protocols[KINDS] = {
    [KIND_PAIR] = NN_PAIR, [KIND_PUB] = NN_PUB, [KIND_SUB] = NN_SUB, [KIND_REQ] = NN_REQ,
    [KIND_REP] = NN_REP, [KIND_PUSH] = NN_PUSH, [KIND_PULL] = NN_PULL,
    [KIND_SURVEYOR] = NN_SURVEYOR, [KIND_RESPONDENT] = NN_RESPONDENT, [KIND_BUS] = NN_BUS,
};

/* The socket, and what speaks for it: the socket itself or a context of it. */
static int s, speaker;
static int is_raw;

/* Who runs on the reference does without. */
#pragma weak spmsg_context

#define MUST(call) must(#call, (call))

static int must(const char *call, int result)
{
    if (result < 0)
        give_up("%s: %s", call, nn_strerror(nn_errno()));
    return result;
}

const char *peer_library(void)
{
    static char resolved[4096];
    Dl_info library;
    if (!dladdr((void *)(uintptr_t)&nn_socket, &library) || !realpath(library.dli_fname, resolved))
        return "an unknown library";
    return resolved;
}

void peer_open(enum kind kind, int raw)
{
    int patience = PEER_PATIENCE_MS;
    is_raw = raw;
    s = speaker = MUST(nn_socket(raw ? AF_SP_RAW : AF_SP, protocols[kind]));
    MUST(nn_setsockopt(s, NN_SOL_SOCKET, NN_SNDTIMEO, &patience, sizeof patience));
    MUST(nn_setsockopt(s, NN_SOL_SOCKET, NN_RCVTIMEO, &patience, sizeof patience));
    if (kind == KIND_SURVEYOR && !raw)
        MUST(nn_setsockopt(s, NN_SURVEYOR, NN_SURVEYOR_DEADLINE, &patience, sizeof patience));
}

void peer_keep_many(void)
{
    int yes = 1;
    MUST(nn_setsockopt(s, NN_PAIR, SPMSG_PAIR_MANY, &yes, sizeof yes));
}

void peer_speak_through_context(void)
{
    if (!spmsg_context)
        give_up("this library has no contexts");
    speaker = MUST(spmsg_context(s));
}

static void set_file(int option, const char *name)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/%s", peer_certificates(), name);
    MUST(nn_setsockopt(s, SPMSG_TLS, option, path, strlen(path)));
}

static void set_encryption(const char *url, int shows, int verify)
{
    if (strncmp(url, "tls+tcp:", 8) != 0 && strncmp(url, "wss:", 4) != 0)
        return;
    if (shows)
        set_file(SPMSG_TLS_CERTIFICATE, "here.both");
    set_file(SPMSG_TLS_TRUST, "ca.pem");
    MUST(nn_setsockopt(s, SPMSG_TLS, SPMSG_TLS_VERIFY, &verify, sizeof verify));
}

void peer_listen(const char *url)
{
    set_encryption(url, 1, peer_is_mutual() ? SPMSG_TLS_VERIFY_REQUIRED : SPMSG_TLS_VERIFY_NONE);
    MUST(nn_bind(s, url));
}

void peer_dial(const char *url)
{
    const char *name = "localhost";
    set_encryption(url, peer_is_mutual(), SPMSG_TLS_VERIFY_REQUIRED);
    if (strncmp(url, "tls+tcp:", 8) == 0)
        MUST(nn_setsockopt(s, SPMSG_TLS, SPMSG_TLS_NAME, name, strlen(name)));
    MUST(nn_connect(s, url));
}

void peer_wait_attached(void)
{
    struct timespec moment = {0, 1000000};
    for (int ms = 0; nn_get_statistic(s, NN_STAT_CURRENT_CONNECTIONS) == 0; ms++) {
        if (ms >= PEER_PATIENCE_MS)
            give_up("no connection");
        nanosleep(&moment, NULL);
    }
}

void peer_subscribe(const char *topic)
{
    MUST(nn_setsockopt(speaker, NN_SUB, NN_SUB_SUBSCRIBE, topic, strlen(topic)));
}

void peer_unsubscribe(const char *topic)
{
    MUST(nn_setsockopt(speaker, NN_SUB, NN_SUB_UNSUBSCRIBE, topic, strlen(topic)));
}

/* Without a header, as most programs do it. */
static void send_plain(const struct message *message)
{
    int sent = MUST(nn_send(speaker, message->body, message->size, 0));
    if ((size_t)sent != message->size)
        give_up("%d of %zu bytes were sent", sent, message->size);
}

/* SP_HDR holds the length of the header and then the header (protocols 2.2). */
static void send_with_header(const struct message *message)
{
    size_t length = message->header_size;
    unsigned char control[NN_CMSG_SPACE(sizeof(size_t) + HEADER_MAX)] = {0};
    struct nn_iovec body = {message->body, message->size};
    struct nn_msghdr header = {&body, 1, control, NN_CMSG_SPACE(sizeof length + length)};
    struct nn_cmsghdr *property = NN_CMSG_FIRSTHDR(&header);
    property->cmsg_level = PROTO_SP;
    property->cmsg_type = SP_HDR;
    property->cmsg_len = NN_CMSG_LEN(sizeof length + length);
    memcpy(NN_CMSG_DATA(property), &length, sizeof length);
    memcpy(NN_CMSG_DATA(property) + sizeof length, message->header, length);
    int sent = MUST(nn_sendmsg(speaker, &header, 0));
    if ((size_t)sent != message->size)
        give_up("%d of %zu bytes were sent", sent, message->size);
}

void peer_send(const struct message *message)
{
    if (is_raw && message->header_size > 0)
        send_with_header(message);
    else
        send_plain(message);
}

static void take_header(struct message *message, struct nn_msghdr *header)
{
    struct nn_cmsghdr *property = NN_CMSG_FIRSTHDR(header);
    while (property && (property->cmsg_level != PROTO_SP || property->cmsg_type != SP_HDR))
        property = NN_CMSG_NXTHDR(header, property);
    if (!property)
        give_up("a message came without SP_HDR");
    memcpy(&message->header_size, NN_CMSG_DATA(property), sizeof message->header_size);
    if (message->header_size > HEADER_MAX)
        give_up("a message came with a header of %zu bytes", message->header_size);
    memcpy(message->header, NN_CMSG_DATA(property) + sizeof message->header_size,
           message->header_size);
}

static void take_body(struct message *message, const void *chunk, int size)
{
    message->size = (size_t)size;
    message->body = malloc(message->size + 1);
    if (!message->body)
        give_up("no memory");
    memcpy(message->body, chunk, message->size);
}

struct message peer_recv(void)
{
    struct message message = {0};
    void *body = NULL, *control = NULL;
    if (is_raw) {
        struct nn_iovec part = {&body, NN_MSG};
        struct nn_msghdr header = {&part, 1, &control, NN_MSG};
        int size = MUST(nn_recvmsg(speaker, &header, 0));
        take_body(&message, body, size);
        take_header(&message, &header);
        nn_freemsg(control);
    } else {
        int size = MUST(nn_recv(speaker, &body, NN_MSG, 0));
        take_body(&message, body, size);
    }
    nn_freemsg(body);
    return message;
}

void peer_close(void)
{
    MUST(nn_close(s));
}
