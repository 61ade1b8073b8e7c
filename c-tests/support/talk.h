/* What is said between sockets: texts, and proofs that a conversation goes on. */

#ifndef SPMSG_SUPPORT_TALK_H
#define SPMSG_SUPPORT_TALK_H

#include "support/check.h"
#include "support/clock.h"

#include <nanomsg/nn.h>

#include <errno.h>
#include <string.h>

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

#define CHECK_AGAIN(s) CHECK_ERRNO(nn_recv((s), NULL, 0, NN_DONTWAIT), -1, EAGAIN)

int send_now(int s, const char *text);

/* What a receive that does not wait yields, as text. A receiver that discards something may say
 * EAGAIN although more has come, and then is readable (protocols 2.1, consequence 2). */
const char *recv_now(int s);

/* Sends numbered messages until one of them arrives, which takes several where a connection is
 * being replaced by another. True when it did. */
int talk_one_way(int from, int to, int ms);

#define CHECK_TALK(a, b) \
    CHECK(talk_one_way((a), (b), PATIENCE_MS) && talk_one_way((b), (a), PATIENCE_MS))

/* A PAIR of the library connects to the bound socket and both can talk. */
void check_serves(int s, const char *url);

/* Two new sockets on that address can talk to each other. */
void check_fresh_conversation(const char *url);

#endif
