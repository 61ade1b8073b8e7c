/* Sockets of the library under test, which cannot make a test hang. */

#ifndef SPMSG_SUPPORT_SOCKETS_H
#define SPMSG_SUPPORT_SOCKETS_H

#include "support/check.h"
#include "support/clock.h"

#include <nanomsg/nn.h>

#include <errno.h>
#include <stdint.h>
#include <string.h>

void set_int(int s, int option, int value);

int get_int(int s, int level, int option);

/* A PAIR that cannot make the test hang. */
int open_pair(void);

/* Two PAIR sockets that are connected to each other. */
void open_pairs(int *bound, int *connected, const char *address);

#define CHECK_SEND(s, text) CHECK_EQ(nn_send((s), (text), strlen(text), 0), strlen(text))

#define CHECK_RECV(s, text) do { \
    char b_[256]; \
    test_at(__FILE__, __LINE__); \
    errno = 0; \
    int n_ = nn_recv((s), b_, sizeof b_, 0); \
    if (n_ != (int)strlen(text) || memcmp(b_, (text), strlen(text)) != 0) \
        FAIL("received %d bytes \"%.*s\", should be \"%s\", errno %d (%s)", n_, \
             n_ < 0 ? 0 : n_ < 256 ? n_ : 256, b_, (text), errno, nn_strerror(errno)); \
} while (0)

/* Sends numbered messages until one of them arrives, which takes several where a connection is
 * being replaced by another. True when it did. */
int talk_one_way(int from, int to, int ms);

#define CHECK_TALK(a, b) \
    CHECK(talk_one_way((a), (b), PATIENCE_MS) && talk_one_way((b), (a), PATIENCE_MS))

/* Whether a statistic comes to that value in time. */
int wait_stat(int s, int id, uint64_t value, int ms);

int wait_stat_at_least(int s, int id, uint64_t value, int ms);

#endif
