/* Sockets of the library under test: opened so that they cannot make a test hang, bound, connected
 * and closed. */

#ifndef SPMSG_SUPPORT_SOCKETS_H
#define SPMSG_SUPPORT_SOCKETS_H

#include "support/check.h"
#include "support/clock.h"

#include <nanomsg/nn.h>

#include <stddef.h>
#include <stdint.h>

/* AF_SP and AF_SP_RAW. */
extern const int DOMAINS[2];

void set_int(int s, int option, int value);

int get_int(int s, int level, int option);

/* A PAIR that cannot make the test hang. */
int open_pair(void);

/* One that tries again quickly. */
int open_quick(void);

int bound_pair(const char *url);

int connected_pair(const char *url);

/* Two PAIR sockets that are connected to each other. */
void open_pairs(int *bound, int *connected, const char *url);

/* A socket of any type that cannot make the test hang, whose surveys wait for a slow machine, and
 * which makes no test slow where it comes before its listener. */
int open_socket(int domain, int type);

/* Whether the library is made of what every Unix has, and shows readiness by pipes. */
int shows_by_pipes(void);

int open_bound(int domain, int type, const char *url);

int open_connected(int domain, int type, const char *url);

/* A socket that is bound to a new address, and one that is connected to it and has been noticed. */
void open_both(int bound_type, int connected_type, const char *scheme, int both[2]);

void subscribe(int s, const char *topic);

/* Connects `s`, which has `before` pipes, to the only endpoint of `to`, which has as many as told
 * too. Both have one more when this returns, so that the order of the pipes is known. */
void join(int s, uint64_t before, int to, uint64_t before_there, const char *url);

/* Closes them in that order. */
#define CHECK_CLOSE(...) do { \
    const int c_[] = {__VA_ARGS__}; \
    for (size_t i_ = 0; i_ < COUNT_OF(c_); i_++) \
        CHECK_EQ(nn_close(c_[i_]), 0); \
} while (0)

void close_sockets(const int *sockets, size_t count);

/* Whether a statistic comes to that value in time. */
int wait_stat(int s, int id, uint64_t value, int ms);

int wait_stat_at_least(int s, int id, uint64_t value, int ms);

/* The socket has that many pipes, at the latest in a while. */
#define CHECK_PIPES(s, count) \
    CHECK(wait_stat((s), NN_STAT_CURRENT_CONNECTIONS, (count), PATIENCE_MS))

#endif
