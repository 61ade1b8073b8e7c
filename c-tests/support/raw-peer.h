/* Raw streams that speak SP: greetings, and whole messages over tcp, ipc or ws. */

#ifndef SPMSG_SUPPORT_RAW_PEER_H
#define SPMSG_SUPPORT_RAW_PEER_H

#include "support/address.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/raw-stream.h"

#include <stddef.h>
#include <stdint.h>

/* What a PAIR says first on tcp and ipc (transports 3.1). */
extern const unsigned char PAIR_GREETING[8];

/* Exchanges greetings as a PAIR would; true when the peer greeted as a PAIR. */
int raw_greet(int fd);

/* Exchanges greetings as a socket of the type `mine`; true when the peer greeted as `theirs`. */
int raw_greet_as(int fd, int mine, int theirs);

/* A stream to the listener `s` that greets as a socket of the type `mine`, and is its peer. */
int raw_join(int s, const char *url, int mine, int theirs);

/* A PAIR that listens and one that dials, in this order, and the raw streams at their other ends,
 * which have said nothing yet. */
struct raw_sides {
    struct url url; /* of the one that listens */
    int sockets[2];
    int fds[2];
    int listener;
};

void raw_open_sides(struct raw_sides *sides, const char *scheme);

/* Both exchange greetings. */
void raw_greet_sides(const struct raw_sides *sides);

void raw_close_sides(const struct raw_sides *sides);

/* The dialer of the PAIR `s` comes to the raw listener, and what it hears there arrives. */
void check_next_is_served(int listener, int s, const char *url);

/* The bytes in front of a message of that size (transports 3.2); returns their number. */
size_t raw_prefix(const char *url, uint64_t size, unsigned char prefix[9]);

/* One whole message, in one piece. */
void raw_message(int fd, const char *url, const void *body, size_t size);

/* One whole message of at most `size` bytes: its size, or -1 when none comes in time. */
long raw_take(int fd, const char *url, void *body, size_t size, int ms);

/* The next bytes are exactly this message: prefix and body. */
#define CHECK_WIRE(fd, url, body, size) do { \
    unsigned char w_[1024], e_[1024]; \
    size_t n_ = raw_prefix((url), (size), e_); \
    CHECK_EQ(raw_recv((fd), w_, n_, PATIENCE_MS), n_); \
    CHECK_MEM(w_, e_, n_); \
    CHECK_EQ(raw_recv((fd), w_, (size), PATIENCE_MS), (size)); \
    CHECK_MEM(w_, (body), (size)); \
} while (0)

/* A socket of the type `mine` that is bound says its bodies, an empty one, too, and nothing else to
 * a raw peer that greets as `theirs`. */
void check_says_bodies(int domain, int mine, int theirs, const char *scheme);

#endif
