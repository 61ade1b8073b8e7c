/* The peer that speaks nng's own API. */

#include "peer.h"

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
#include <nng/supplemental/tls/tls.h>
#include <nng/transport/tls/tls.h>
#include <nng/transport/ws/websocket.h>

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* nng drops broadcasts that find its queues full; this many is more than a burst. */
enum { QUEUE_MESSAGES = 64 };

static int (*const opens[KINDS][2])(nng_socket *) = {
    [KIND_PAIR] = {nng_pair0_open, nng_pair0_open_raw},
    [KIND_PUB] = {nng_pub0_open, nng_pub0_open_raw},
    [KIND_SUB] = {nng_sub0_open, nng_sub0_open_raw},
    [KIND_REQ] = {nng_req0_open, nng_req0_open_raw},
    [KIND_REP] = {nng_rep0_open, nng_rep0_open_raw},
    [KIND_PUSH] = {nng_push0_open, nng_push0_open_raw},
    [KIND_PULL] = {nng_pull0_open, nng_pull0_open_raw},
    [KIND_SURVEYOR] = {nng_surveyor0_open, nng_surveyor0_open_raw},
    [KIND_RESPONDENT] = {nng_respondent0_open, nng_respondent0_open_raw},
    [KIND_BUS] = {nng_bus0_open, nng_bus0_open_raw},
};

static nng_socket s;
static int attached, is_covered;

#define MUST(call) must(#call, (call))

static void must(const char *call, int error)
{
    if (error)
        give_up("%s: %s", call, nng_strerror(error));
}

const char *peer_library(void)
{
    static char resolved[4096];
    Dl_info library;
    if (!dladdr((void *)(uintptr_t)&nng_close, &library) || !realpath(library.dli_fname, resolved))
        return "an unknown library";
    return resolved;
}

static void note_attached(nng_pipe pipe, nng_pipe_ev event, void *argument)
{
    (void)pipe, (void)event, (void)argument;
    __atomic_store_n(&attached, 1, __ATOMIC_RELEASE);
}

/* Not every type has the queue. */
static void set_queue(const char *option)
{
    int error = nng_socket_set_int(s, option, QUEUE_MESSAGES);
    if (error && error != NNG_ENOTSUP)
        give_up("%s: %s", option, nng_strerror(error));
}

void peer_open(enum kind kind, int raw)
{
    MUST(opens[kind][raw](&s));
    MUST(nng_socket_set_ms(s, NNG_OPT_SENDTIMEO, PEER_PATIENCE_MS));
    MUST(nng_socket_set_ms(s, NNG_OPT_RECVTIMEO, PEER_PATIENCE_MS));
    if (kind == KIND_SURVEYOR && !raw)
        MUST(nng_socket_set_ms(s, NNG_OPT_SURVEYOR_SURVEYTIME, PEER_PATIENCE_MS));
    set_queue(NNG_OPT_SENDBUF);
    set_queue(NNG_OPT_RECVBUF);
    MUST(nng_pipe_notify(s, NNG_PIPE_EV_ADD_POST, note_attached, NULL));
}

void peer_keep_many(void)
{
    give_up("nng's PAIR of this version keeps one peer");
}

void peer_speak_through_context(void)
{
    give_up("contexts are not asked of nng");
}

static int is_encrypted(const char *url)
{
    return strncmp(url, "tls+tcp:", 8) == 0 || strncmp(url, "wss:", 4) == 0;
}

static const char *file(char path[4200], const char *name)
{
    snprintf(path, 4200, "%s/%s", peer_certificates(), name);
    return path;
}

static nng_tls_config *make_config(nng_tls_mode mode, int shows, int asks)
{
    char path[4200];
    nng_tls_config *config;
    is_covered = 1;
    MUST(nng_tls_config_alloc(&config, mode));
    if (shows)
        MUST(nng_tls_config_cert_key_file(config, file(path, "here.both"), NULL));
    MUST(nng_tls_config_ca_file(config, file(path, "ca.pem")));
    MUST(nng_tls_config_auth_mode(config, asks ? NNG_TLS_AUTH_MODE_REQUIRED
                                               : NNG_TLS_AUTH_MODE_NONE));
    return config;
}

void peer_listen(const char *url)
{
    nng_listener listener;
    /* A transport that the library was not asked for is one that it does not have. */
    MUST(nng_tls_register());
    MUST(nng_wss_register());
    MUST(nng_listener_create(&listener, s, url));
    if (is_encrypted(url)) {
        nng_tls_config *config = make_config(NNG_TLS_MODE_SERVER, 1, peer_is_mutual());
        MUST(nng_listener_set_ptr(listener, NNG_OPT_TLS_CONFIG, config));
    }
    MUST(nng_listener_start(listener, 0));
}

void peer_dial(const char *url)
{
    nng_dialer dialer;
    MUST(nng_tls_register());
    MUST(nng_wss_register());
    MUST(nng_dialer_create(&dialer, s, url));
    if (is_encrypted(url)) {
        nng_tls_config *config = make_config(NNG_TLS_MODE_CLIENT, peer_is_mutual(), 1);
        MUST(nng_tls_config_server_name(config, "localhost"));
        MUST(nng_dialer_set_ptr(dialer, NNG_OPT_TLS_CONFIG, config));
    }
    /* It gives a handshake over ws two seconds, and then tries again if it may. */
    MUST(nng_dialer_start(dialer, NNG_FLAG_NONBLOCK));
}

void peer_wait_attached(void)
{
    struct timespec moment = {0, 1000000};
    for (int ms = 0; !__atomic_load_n(&attached, __ATOMIC_ACQUIRE); ms++) {
        if (ms >= PEER_PATIENCE_MS)
            give_up("no connection");
        nanosleep(&moment, NULL);
    }
}

void peer_subscribe(const char *topic)
{
    MUST(nng_socket_set(s, NNG_OPT_SUB_SUBSCRIBE, topic, strlen(topic)));
}

void peer_unsubscribe(const char *topic)
{
    MUST(nng_socket_set(s, NNG_OPT_SUB_UNSUBSCRIBE, topic, strlen(topic)));
}

void peer_send(const struct message *message)
{
    nng_msg *msg;
    MUST(nng_msg_alloc(&msg, 0));
    MUST(nng_msg_append(msg, message->body, message->size));
    MUST(nng_msg_header_append(msg, message->header, message->header_size));
    MUST(nng_sendmsg(s, msg, 0));
}

struct message peer_recv(void)
{
    struct message message = {0};
    nng_msg *msg;
    MUST(nng_recvmsg(s, &msg, 0));
    message.size = nng_msg_len(msg);
    message.body = malloc(message.size + 1);
    message.header_size = nng_msg_header_len(msg);
    if (!message.body || message.header_size > HEADER_MAX)
        give_up("a message came with a header of %zu bytes", message.header_size);
    memcpy(message.body, nng_msg_body(msg), message.size);
    memcpy(message.header, nng_msg_header(msg), message.header_size);
    nng_msg_free(msg);
    return message;
}

void peer_close(void)
{
    /* Now and then nng 1.5.2 waits in there for ever when both ends of an encrypted connection are
     * closed at once, whoever has the other one. By now everything was said. */
    if (is_covered)
        _exit(0);
    MUST(nng_close(s));
}
