/* Random sequences of calls, made from a seed, each call noted as one line of a transcript. Two
 * libraries that behave alike write the same transcript.
 *
 * What a sequence does never depends on what the library answers, except for which calls succeeded
 * (then the transcripts differ already), and one operation can be left out without changing how
 * the others are drawn: that is how compare.py makes a sequence shorter. */

#ifndef SPMSG_DIFFERENTIAL_H
#define SPMSG_DIFFERENTIAL_H

#include <nanomsg/nn.h>
#include <nanomsg/bus.h>
#include <nanomsg/inproc.h>
#include <nanomsg/ipc.h>
#include <nanomsg/pair.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/pubsub.h>
#include <nanomsg/reqrep.h>
#include <nanomsg/survey.h>
#include <nanomsg/tcp.h>
#include <nanomsg/ws.h>

#include <stddef.h>
#include <stdint.h>

enum {
    SLOTS = 6,
    OPERATIONS = 28,
    ENDPOINTS_MAX = 8,
    INPROC_NAMES = 4,
    TCP_PORTS = 3,
    ADDRESSES = INPROC_NAMES + TCP_PORTS,
    TOPICS_MAX = 8,
    BODY_MAX = 3000,
    HEADER_MAX = 64,
    CONTROL_MAX = 128,
    /* Sent and perhaps not received: more would reach the limits of the kernel's buffers. */
    UNRECEIVED_MAX = 10
};

struct endpoint {
    int id;
    int address;
    int is_bound;
};

/* What a sequence knows of one of its sockets. */
struct slot {
    int is_open;
    int handle;
    int domain;
    int protocol;
    int is_ipv6;   /* NN_IPV4ONLY was cleared: the reference aborts on tcp addresses */
    int send_waits, recv_waits; /* the timeout is too long to try */
    int has_tcp, has_inproc, has_lost; /* a listener that it may have dialled is gone */
    int endpoint_count;
    struct endpoint endpoints[ENDPOINTS_MAX];
    int has_asked; /* a REQ */
    int is_stale;  /* a REP, the question of which may have been replaced by another one */
    int topic_count;
    int topics[TOPICS_MAX];
    /* The control block of the last message, to be sent back once. */
    size_t control_size;
    unsigned char control[CONTROL_MAX];
};

struct sequence {
    uint64_t seed;
    int has_tcp;      /* tcp is drawn, too, so that buffers must stay large */
    int operation;
    uint64_t random;  /* the state for the current operation */
    int unreceived;
    int has_asked; /* a question may be asked again whenever peers come or go */
    int dialers, tcp_dialers;
    /* By family: where a newcomer would stand in the ring of peers (core 7.2) is not defined. */
    int is_ring_moved[8];
    int is_tainted[TCP_PORTS];
    struct slot slots[SLOTS];
};

extern struct sequence sequence;
extern int first_port;

/* ---- random numbers ---- */

uint64_t random_word(void);
int below(int limit);
int one_in(int count);
int pick(const int *values, int count);
#define PICK(array) pick((array), (int)(sizeof(array) / sizeof(array)[0]))

/* ---- transcript ---- */

void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Ends the line of a call with its result, and with errno when `failed`. */
void note_result(long long result, int failed);
void note_bytes(const char *title, const unsigned char *bytes, size_t size);
void note_control(const unsigned char *control, size_t size, int is_bus);
void note_end(void);
void forget_words(void);

/* ---- model ---- */

struct slot *any_open(void);
/* The number of an open socket (or, rarely, one that is none), with its slot or NULL. */
int any_handle(struct slot **slot);
/* The same, but most often of a socket that has endpoints and that direction. */
int handle_that(int (*can)(int protocol), struct slot **slot);
int bad_handle(void);
int is_live(int handle);
int slot_number(const struct slot *slot);
int can_send(int protocol);
int can_recv(int protocol);
int peer_of(int protocol);
int is_of(const struct slot *slot, int protocol); /* cooked */
int may_bind(const struct slot *slot, int address);
int may_connect(const struct slot *slot, int address);
void add_endpoint(struct slot *slot, int id, int address, int is_bound);
void remove_endpoint(struct slot *slot, int place);
/* How many connections over tcp an endpoint has. */
int tcp_connections(const struct slot *slot, int place);
int is_connected_to_itself(const struct slot *slot);
const char *address_text(int address);
const char *address_name(int address);

/* ---- calls ---- */

/* Waits until no other thread of the process has anything to do, and no byte is on its way. */
void settle(void);
int connections_beside(const struct slot *except);
void await_connections(const struct slot *except, int expected);
/* Receives all that has arrived, at every socket. */
void drain(void);

void call_socket(void);
void call_close(void);
void close_slot(struct slot *slot);
void call_endpoint(void);
void call_shutdown(void);
void call_bad_address(void);
void call_set_option(void);
void call_get_option(void);
void call_subscribe(void);
void call_send(void);
void call_recv(void);
void call_poll(void);
void call_statistic(void);
void call_symbol(void);
void call_message(void);
void call_device(void);

#endif
