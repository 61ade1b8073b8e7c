/* What the functions that send, receive and hold messages say to arguments that are wrong, and
 * which of several wrong ones they say it about (abi 6.8 to 6.14). */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/sockets.h"
#include "support/talk.h"

#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/pubsub.h>
#include <nanomsg/reqrep.h>
#include <nanomsg/survey.h>

#include <errno.h>
#include <stdint.h>
#include <string.h>

/* What nn_sendmsg says to these pieces, without waiting. */
static int send_pieces(int s, struct nn_iovec *pieces, int count)
{
    struct nn_msghdr message = {pieces, count, NULL, 0};
    return nn_sendmsg(s, &message, NN_DONTWAIT);
}

/* A message size that differs from NN_MSG and yet leaves no room for eight bytes more. */
#define NEARLY_ALL (NN_MSG - 1)
/* The same with less ado: more than any process can hold. */
#define VAST (SIZE_MAX > UINT32_MAX ? SIZE_MAX / 16 + 1 : SIZE_MAX - 100)

/* The rows of abi 6.10 that come before the socket is looked at, on a socket that would then say
 * `otherwise`. */
static void sending_to(int s, int otherwise)
{
    char bytes[8] = "12345678";
    void *nothing = NULL;
    struct nn_iovec good = {bytes, 8}, empty = {NULL, 0}, null = {NULL, 1};
    struct nn_iovec whole = {&nothing, NN_MSG}, vast = {bytes, NEARLY_ALL};
    CHECK_ERRNO(nn_send(s, NULL, 1, NN_DONTWAIT), -1, EFAULT);
    CHECK_ERRNO(nn_send(s, &nothing, NN_MSG, NN_DONTWAIT), -1, EFAULT);
    CHECK_ERRNO(nn_sendmsg(s, NULL, NN_DONTWAIT), -1, EINVAL);
    CHECK_ERRNO(send_pieces(s, NULL, -1), -1, EMSGSIZE);
    CHECK_ERRNO(send_pieces(s, &null, -1), -1, EMSGSIZE);
    CHECK_ERRNO(send_pieces(s, &good, INT32_MIN), -1, EMSGSIZE);
    CHECK_ERRNO(send_pieces(s, &whole, 1), -1, EFAULT);
    CHECK_ERRNO(send_pieces(s, &null, 1), -1, EFAULT);
    CHECK_ERRNO(send_pieces(s, (struct nn_iovec[]){good, whole, null}, 3), -1, EINVAL);
    CHECK_ERRNO(send_pieces(s, (struct nn_iovec[]){whole, good}, 2), -1, EINVAL);
    CHECK_ERRNO(send_pieces(s, (struct nn_iovec[]){good, null, whole}, 3), -1, EFAULT);
    CHECK_ERRNO(send_pieces(s, (struct nn_iovec[]){good, vast, null}, 3), -1, EINVAL);
    CHECK_ERRNO(send_pieces(s, (struct nn_iovec[]){good, null, vast}, 3), -1, EFAULT);
    CHECK_ERRNO(send_pieces(s, (struct nn_iovec[]){good, empty, good}, 3), -1, otherwise);
    CHECK_ERRNO(send_pieces(s, NULL, 0), -1, otherwise);
    CHECK_ERRNO(nn_send(s, NULL, 0, NN_DONTWAIT), -1, otherwise);
    CHECK_ERRNO(nn_send(s, bytes, 8, NN_DONTWAIT), -1, otherwise);
    /* core-quirks A-26: of the flags, only one means anything. */
    CHECK_ERRNO(nn_send(s, bytes, 8, -1), -1, otherwise);
    CHECK_ERRNO(nn_send(s, bytes, 8, 0x7ffffff0 | NN_DONTWAIT), -1, otherwise);
}

static void sending_without_a_peer(void)
{
    for (int domain = AF_SP; domain <= AF_SP_RAW; domain++) {
        int s = open_socket(domain, NN_PAIR);
        sending_to(s, EAGAIN);
        CHECK_EQ(nn_get_statistic(s, NN_STAT_MESSAGES_SENT), 0);
        CHECK_CLOSE(s);
    }
}

/* core-quirks A-20 */
static void sending_where_nothing_can_be_sent(void)
{
    static const int types[] = {NN_PULL, NN_SUB};
    for (size_t i = 0; i < COUNT_OF(types); i++)
        for (int domain = AF_SP; domain <= AF_SP_RAW; domain++) {
            int s = open_socket(domain, types[i]);
            if (s < 0)
                return;
            sending_to(s, ENOTSUP);
            CHECK_ERRNO(nn_send(s, "x", 1, 0), -1, ENOTSUP);
            CHECK_CLOSE(s);
        }
}

/* core-quirks A-33 */
static void sending_in_the_wrong_state(void)
{
    static const int types[] = {NN_REP, NN_RESPONDENT};
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        int s = open_socket(AF_SP, types[i]);
        if (s < 0)
            return;
        sending_to(s, EFSM);
        CHECK_ERRNO(nn_send(s, "x", 1, 0), -1, EFSM);
        CHECK_CLOSE(s);
    }
}

/* core-quirks A-35: whatever goes wrong, the chunk is still the caller's and unchanged. */
static void a_chunk_that_was_not_sent(void)
{
    int s = open_pair(), closed = open_pair();
    CHECK_CLOSE(closed);
    for (size_t size = 0; size < 70000; size = size * 7 + 1) {
        void *chunk = nn_allocmsg(size, 0), *same = chunk;
        memset(chunk, 0x5a, size);
        struct nn_iovec whole = {&chunk, NN_MSG};
        CHECK_ERRNO(nn_send(s, &chunk, NN_MSG, NN_DONTWAIT), -1, EAGAIN);
        CHECK_ERRNO(nn_send(closed, &chunk, NN_MSG, NN_DONTWAIT), -1, EBADF);
        CHECK_ERRNO(send_pieces(s, &whole, 1), -1, EAGAIN);
        CHECK_ERRNO(send_pieces(s, (struct nn_iovec[]){whole, whole}, 2), -1, EINVAL);
        set_int(s, NN_SNDTIMEO, 0);
        CHECK_ERRNO(nn_send(s, &chunk, NN_MSG, 0), -1, ETIMEDOUT);
        CHECK(chunk == same);
        for (size_t i = 0; i < size; i++)
            if (((unsigned char *)chunk)[i] != 0x5a) {
                FAIL("byte %zu of %zu has changed", i, size);
                break;
            }
        CHECK_EQ(nn_freemsg(chunk), 0);
    }
    CHECK_CLOSE(s);
}

/* What nn_recvmsg says to these pieces, without waiting. */
static int recv_pieces(int s, struct nn_iovec *pieces, int count)
{
    struct nn_msghdr message = {pieces, count, NULL, 0};
    return nn_recvmsg(s, &message, NN_DONTWAIT);
}

/* abi 6.11: before there is a message, nobody looks at where to put it. */
static void receiving_from(int s, int otherwise)
{
    char bytes[8];
    void *untouched = bytes;
    struct nn_iovec good = {bytes, 8}, null = {NULL, 8}, whole = {&untouched, NN_MSG};
    CHECK_ERRNO(nn_recvmsg(s, NULL, NN_DONTWAIT), -1, EINVAL);
    CHECK_ERRNO(recv_pieces(s, NULL, -1), -1, EMSGSIZE);
    CHECK_ERRNO(recv_pieces(s, &good, INT32_MIN), -1, EMSGSIZE);
    CHECK_ERRNO(nn_recv(s, NULL, 4, NN_DONTWAIT), -1, otherwise);
    CHECK_ERRNO(nn_recv(s, NULL, 0, NN_DONTWAIT), -1, otherwise);
    CHECK_ERRNO(nn_recv(s, bytes, 8, NN_DONTWAIT), -1, otherwise);
    CHECK_ERRNO(nn_recv(s, bytes, 8, -1), -1, otherwise);
    CHECK_ERRNO(nn_recv(s, &untouched, NN_MSG, NN_DONTWAIT), -1, otherwise);
    CHECK_ERRNO(recv_pieces(s, NULL, 0), -1, otherwise);
    CHECK_ERRNO(recv_pieces(s, &null, 1), -1, otherwise);
    CHECK_ERRNO(recv_pieces(s, (struct nn_iovec[]){good, whole}, 2), -1, otherwise);
    CHECK(untouched == bytes);
}

static void receiving_without_a_peer(void)
{
    for (int domain = AF_SP; domain <= AF_SP_RAW; domain++) {
        int s = open_socket(domain, NN_PAIR);
        receiving_from(s, EAGAIN);
        CHECK_CLOSE(s);
    }
}

/* core-quirks A-21 */
static void receiving_where_nothing_can_be_received(void)
{
    static const int types[] = {NN_PUSH, NN_PUB};
    for (size_t i = 0; i < COUNT_OF(types); i++)
        for (int domain = AF_SP; domain <= AF_SP_RAW; domain++) {
            int s = open_socket(domain, types[i]);
            if (s < 0)
                return;
            receiving_from(s, ENOTSUP);
            CHECK_ERRNO(nn_recv(s, NULL, 4, 0), -1, ENOTSUP);
            CHECK_CLOSE(s);
        }
}

/* core-quirks A-33 */
static void receiving_in_the_wrong_state(void)
{
    static const int types[] = {NN_REQ, NN_SURVEYOR};
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        int s = open_socket(AF_SP, types[i]);
        if (s < 0)
            return;
        receiving_from(s, EFSM);
        CHECK_ERRNO(nn_recv(s, NULL, 4, 0), -1, EFSM);
        CHECK_CLOSE(s);
    }
}

/* core-quirks B-8: no message may be lost for want of a place to put it. */
static void receiving_a_chunk_to_nowhere(void)
{
    int bound, connected;
    struct nn_iovec nowhere = {NULL, NN_MSG};
    struct url url = unique_url("inproc");
    CHECK_ERRNO(nn_recv(bound = open_pair(), NULL, NN_MSG, NN_DONTWAIT), -1, EFAULT);
    CHECK_ERRNO(recv_pieces(bound, &nowhere, 1), -1, EFAULT);
    CHECK_ERRNO(recv_pieces(bound, NULL, 1), -1, EFAULT);
    CHECK_CLOSE(bound);
    open_pairs(&bound, &connected, url.text);
    CHECK_SEND(connected, "kept");
    CHECK_ERRNO(nn_recv(bound, NULL, NN_MSG, 0), -1, EFAULT);
    CHECK_ERRNO(recv_pieces(bound, &nowhere, 1), -1, EFAULT);
    CHECK_ERRNO(recv_pieces(bound, NULL, 1), -1, EFAULT);
    CHECK_RECV(bound, "kept");
    CHECK_CLOSE(bound, connected);
    int push = open_socket(AF_SP, NN_PUSH);
    if (push >= 0) {
        CHECK_ERRNO(nn_recv(push, NULL, NN_MSG, 0), -1, ENOTSUP);
        CHECK_CLOSE(push);
    }
}

/* core-quirks B-6, B-7, B-8, B-9, B-11, and B-18 with them */
static void sending_what_is_not_there(void)
{
    int s = open_pair();
    long long foreign[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    char bytes[8] = "12345678";
    void *chunk = foreign + 4, *nothing = NULL, *low = (void *)(uintptr_t)16;
    struct nn_iovec nowhere = {NULL, NN_MSG}, good = {bytes, 8};
    CHECK_ERRNO(nn_send(s, NULL, NN_MSG, NN_DONTWAIT), -1, EFAULT);
    CHECK_ERRNO(send_pieces(s, &nowhere, 1), -1, EFAULT);
    CHECK_ERRNO(send_pieces(s, NULL, 1), -1, EFAULT);
    CHECK_ERRNO(nn_send(s, &chunk, NN_MSG, NN_DONTWAIT), -1, EFAULT);
    CHECK_ERRNO(nn_send(s, &low, NN_MSG, NN_DONTWAIT), -1, EFAULT);
    CHECK_ERRNO(nn_send(s, bytes, VAST, NN_DONTWAIT), -1, ENOMEM);
    CHECK_ERRNO(nn_send(s, bytes, NEARLY_ALL, NN_DONTWAIT), -1, ENOMEM);
    CHECK_ERRNO(nn_send(s, bytes, (size_t)1 << 31, NN_DONTWAIT), -1, EMSGSIZE);
    CHECK_ERRNO(nn_send(s, bytes, (size_t)3000000000u, NN_DONTWAIT), -1, EMSGSIZE);
    struct nn_msghdr message = {&good, 1, &nothing, NN_MSG};
    CHECK_ERRNO(nn_sendmsg(s, &message, NN_DONTWAIT), -1, EFAULT);
    nothing = chunk;
    CHECK_ERRNO(nn_sendmsg(s, &message, NN_DONTWAIT), -1, EFAULT);
    CHECK_EQ(foreign[0] + foreign[7], 0);
    CHECK_CLOSE(s);
}

/* One chunk cannot be the body and the control data of a message. */
static void sending_one_chunk_as_two(void)
{
    int s = open_pair();
    void *chunk = nn_allocmsg(16, 0);
    struct nn_iovec whole = {&chunk, NN_MSG};
    struct nn_msghdr message = {&whole, 1, &chunk, NN_MSG};
    memset(chunk, 0, 16);
    CHECK_ERRNO(nn_sendmsg(s, &message, NN_DONTWAIT), -1, EFAULT);
    CHECK_EQ(nn_freemsg(chunk), 0);
    CHECK_CLOSE(s);
}

/* abi 6.12 */
static void allocating(void)
{
    for (size_t less = 0; less < 32; less++) {
        CHECK_ERRNO(nn_allocmsg(SIZE_MAX - less, 0), 0, ENOMEM);
        CHECK_ERRNO(nn_allocmsg(SIZE_MAX - less, 1), 0, ENOMEM);
    }
    CHECK_ERRNO(nn_allocmsg(SIZE_MAX - 32, 1), 0, EINVAL);
    CHECK_ERRNO(nn_allocmsg(SIZE_MAX / 2, 0), 0, ENOMEM);
    CHECK_ERRNO(nn_allocmsg(SIZE_MAX / 2, -1), 0, EINVAL);
    CHECK_ERRNO(nn_allocmsg(0, 1), 0, EINVAL);
    CHECK_ERRNO(nn_allocmsg(10, INT32_MIN), 0, EINVAL);
    for (size_t size = 0; size < 100000; size = size * 3 + 1) {
        void *message = nn_allocmsg(size, 0);
        CHECK(message != NULL);
        CHECK_EQ((uintptr_t)message % (2 * sizeof(void *)), 0);
        memset(message, 0xee, size);
        CHECK_EQ(nn_freemsg(message), 0);
    }
}

/* abi 6.13 */
static void reallocating(void)
{
    char *message = nn_allocmsg(8, 0), *same = message;
    memcpy(message, "12345678", 8);
    CHECK_ERRNO(nn_reallocmsg(message, SIZE_MAX), 0, ENOMEM);
    CHECK_ERRNO(nn_reallocmsg(message, SIZE_MAX / 2), 0, ENOMEM);
    CHECK_MEM(message, "12345678", 8);
    CHECK(nn_reallocmsg(message, 8) == same);
    CHECK(nn_reallocmsg(message, 5) == same);
    message = nn_reallocmsg(message, 100);
    CHECK(message != NULL && message != same);
    CHECK_MEM(message, "12345", 5);
    same = message;
    CHECK(nn_reallocmsg(message, 0) == same);
    message = nn_reallocmsg(message, 1);
    CHECK(message != NULL && message != same);
    CHECK_EQ(nn_freemsg(message), 0);
}

/* core-quirks B-1, B-2, B-3 */
static void memory_that_is_no_message(void)
{
    long long foreign[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    CHECK_EQ(nn_freemsg(NULL), 0);
    CHECK_ERRNO(nn_freemsg(foreign + 4), -1, EFAULT);
    CHECK_ERRNO(nn_freemsg((char *)(foreign + 4) + 1), -1, EFAULT);
    CHECK_ERRNO(nn_freemsg((void *)(uintptr_t)1), -1, EFAULT);
    CHECK_ERRNO(nn_freemsg((void *)(uintptr_t)64), -1, EFAULT);
    CHECK_ERRNO(nn_reallocmsg(foreign + 4, 5), 0, EFAULT);
    void *message = nn_reallocmsg(NULL, 100);
    REQUIRE(message != NULL);
    memset(message, 0, 100);
    CHECK_ERRNO(nn_freemsg((char *)message + 16), -1, EFAULT);
    CHECK_EQ(nn_freemsg(message), 0);
    CHECK_ERRNO(nn_reallocmsg(NULL, SIZE_MAX), 0, ENOMEM);
}

int main(void)
{
    test_begin("abi/arguments-transfer", 60);
    RUN(sending_without_a_peer);
    RUN(sending_where_nothing_can_be_sent);
    RUN(sending_in_the_wrong_state);
    RUN(a_chunk_that_was_not_sent);
    RUN(receiving_without_a_peer);
    RUN(receiving_where_nothing_can_be_received);
    RUN(receiving_in_the_wrong_state);
    RUN(receiving_a_chunk_to_nowhere);
    RUN(sending_what_is_not_there);
    RUN(sending_one_chunk_as_two);
    RUN(allocating);
    RUN(reallocating);
    RUN(memory_that_is_no_message);
    return test_end();
}
