/* One side of a cell of the matrix. What is said stands once, in conversation.c; who says it is a
 * library behind these functions: peer.c speaks nanomsg's API and runs on our library and on the
 * reference, peer-nng.c speaks nng's own.
 *
 * Who is at an encrypted address is "here", and is called localhost by whoever dials.
 *
 * No function returns when the library fails or takes longer than its patience: each gives up. */

#ifndef SPMSG_PEER_H
#define SPMSG_PEER_H

#include <stddef.h>

/* How long one step may take, on however slow a machine. */
enum { PEER_PATIENCE_MS = 10000 };

enum { HEADER_MAX = 64 };

enum kind {
    KIND_PAIR, KIND_PUB, KIND_SUB, KIND_REQ, KIND_REP, KIND_PUSH, KIND_PULL, KIND_SURVEYOR,
    KIND_RESPONDENT, KIND_BUS, KINDS
};

struct message {
    unsigned char *body; /* of malloc */
    size_t size;
    unsigned char header[HEADER_MAX]; /* the SP header as a raw socket shows it */
    size_t header_size;
};

/* Where the certificates are that authority.sh has made, for an address that is encrypted. */
const char *peer_certificates(void);
/* Whether who listens asks for a certificate as well. */
int peer_is_mutual(void);

/* The file of the library, as the loader found it. */
const char *peer_library(void);

/* Opens the one socket of this process. */
void peer_open(enum kind kind, int raw);
/* It shall keep every peer that comes. Not every library can. */
void peer_keep_many(void);
/* What follows is said, heard and subscribed by a context of the socket. Not every library can. */
void peer_speak_through_context(void);
void peer_listen(const char *url);
void peer_dial(const char *url);
/* Waits until the peer is attached: from then on a broadcast reaches it. */
void peer_wait_attached(void);
void peer_subscribe(const char *topic);
void peer_unsubscribe(const char *topic);
/* The header is left to a cooked socket. */
void peer_send(const struct message *message);
/* The next message, whose body the caller frees. */
struct message peer_recv(void);
void peer_close(void);

/* Says what failed, and ends the process with a status that is not 0. */
__attribute__((format(printf, 1, 2), noreturn))
void give_up(const char *format, ...);

#endif
