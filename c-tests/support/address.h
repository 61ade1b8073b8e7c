/* Addresses that nobody else uses, and what the system calls them. */

#ifndef SPMSG_SUPPORT_ADDRESS_H
#define SPMSG_SUPPORT_ADDRESS_H

#include <nanomsg/nn.h>

#include <stddef.h>
#include <sys/socket.h>

/* The transports that every type of socket is tried on. */
extern const char *const SCHEMES[3];

#define EACH_SCHEME(scheme) \
    for (const char *const *scheme = SCHEMES; scheme < SCHEMES + 3; scheme++)

struct url {
    char text[NN_SOCKADDR_MAX];
};

/* An address of that scheme (inproc, ipc, tcp, ws, tls+tcp, wss) that nobody else uses. */
struct url unique_url(const char *scheme);

/* Whether a host name has an address of IPv4 here: not every machine knows even localhost. */
int has_address(const char *name);

int is_ipc(const char *url);

int is_ws(const char *url);

/* The address that a stream of that transport has; returns its size. */
socklen_t raw_address(const char *url, struct sockaddr_storage *address);

struct address {
    const char *text; /* a %d stands for a free port */
    int error;        /* 0 when the address is accepted */
};

/* What nn_bind or nn_connect says to each of a list, at which every endpoint gets the id that comes
 * after that of the one before. */
void check_addresses(int (*call)(int s, const char *address), int s, const struct address *list,
                     size_t count);

/* The next endpoint gets that id, which shows that the failures before consumed none. */
void check_next_id(int s, int id);

/* An address that stays free until another process has bound it.
 *
 * Between the choice of a port and a child that binds it lies the start of a program: time enough
 * for somebody else, who looks for a port as well, to be in the way. A socket that is bound and
 * does not listen keeps the port from all who look for a free one, and from nobody who listens. */
struct reserved {
    struct url url;
    int fd; /* -1 when there is nothing to hold */
};

struct reserved reserve_url(const char *scheme);

/* To be called when the other process has bound it. */
void release_url(struct reserved *reserved);

#endif
