/* Messages: who owns their memory when, short buffers, scatter lists, empty messages, and the order
 * in which bad arguments are refused. */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/random.h"
#include "support/sockets.h"
#include "support/talk.h"

#include <nanomsg/nn.h>

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* No machine has that much in one piece, although no sum of it with little more wraps. */
#define TOO_LARGE (SIZE_MAX > UINT32_MAX ? SIZE_MAX / 4 : SIZE_MAX / 2 - 8)

/* Memory that did not come from nn_allocmsg, with enough around it for a look at what precedes. */
static char foreign[16384] __attribute__((aligned(4096)));

/* Two connected sockets over inproc, where what is sent can be received at once. */
static void open_inproc(int *a, int *b)
{
    struct url url = unique_url("inproc");
    *a = open_pair();
    *b = open_pair();
    CHECK_OK(nn_bind(*a, url.text));
    CHECK_OK(nn_connect(*b, url.text));
}

static void check_chunk_transfer(int a, int b, size_t size)
{
    char *sent = nn_allocmsg(size, 0), *kept = sent;
    char *received = (char *)&received;
    fill_body(sent, size, 6);
    CHECK_EQ(nn_send(a, &sent, NN_MSG, 0), size);
    CHECK(sent == kept);
    CHECK_EQ(nn_recv(b, &received, NN_MSG, 0), size);
    CHECK(received != NULL);
    CHECK(received != (char *)&received);
    CHECK(is_body(received, size, 6));
    /* What was received is an ordinary message: it can be written to, sent on and grown. */
    fill_body(received, size, 7);
    CHECK_EQ(nn_send(b, &received, NN_MSG, 0), size);
    CHECK_EQ(nn_recv(a, &received, NN_MSG, 0), size);
    CHECK(is_body(received, size, 7));
    char *grown = nn_reallocmsg(received, size + 1);
    CHECK(grown != NULL);
    CHECK(grown != received);
    CHECK(is_body(grown, size, 7));
    CHECK_EQ(nn_freemsg(grown), 0);
}

/* core 5.3, core-quirks */
static void a_chunk_changes_hands(void)
{
    static const size_t sizes[] = {0, 1, 31, 32, 33, 1000, 2048, 65536, 1000000};
    for (int i = 0; i < 3; i++) {
        struct url url = unique_url(SCHEMES[i]);
        int a, b;
        open_pairs(&a, &b, url.text);
        for (size_t k = 0; k < COUNT_OF(sizes); k++)
            check_chunk_transfer(a, b, sizes[k]);
        CHECK_CLOSE(a, b);
    }
}

/* core 5.3: also after the last socket is closed. */
static void a_received_chunk_outlives_the_sockets(void)
{
    int a, b;
    char *received = NULL;
    open_inproc(&a, &b);
    CHECK_SEND(a, "survivor");
    CHECK_EQ(nn_recv(b, &received, NN_MSG, 0), 8);
    CHECK_CLOSE(a, b);
    CHECK_MEM(received, "survivor", 8);
    CHECK_EQ(nn_freemsg(received), 0);
}

/* abi 6.13: what a shrunken message gave up is not sent. */
static void a_shrunken_chunk_is_sent_short(void)
{
    int a, b;
    char buffer[100], *message = nn_allocmsg(100, 0);
    open_inproc(&a, &b);
    fill_body(message, 100, 8);
    CHECK(nn_reallocmsg(message, 10) == message);
    CHECK_EQ(nn_send(a, &message, NN_MSG, 0), 10);
    CHECK_EQ(nn_recv(b, buffer, sizeof buffer, 0), 10);
    CHECK(is_body(buffer, 10, 8));
    CHECK_CLOSE(a, b);
}

/* core 5.3, core-quirks */
static void a_failure_leaves_the_chunk_with_the_caller(void)
{
    int s = open_pair();
    char *message = nn_allocmsg(100, 0), *kept = message;
    char *untouched = (char *)&untouched;
    fill_body(message, 100, 9);
    set_int(s, NN_SNDTIMEO, 10);
    set_int(s, NN_RCVTIMEO, 10);
    CHECK_ERRNO(nn_send(s, &message, NN_MSG, NN_DONTWAIT), -1, EAGAIN);
    CHECK_ERRNO(nn_send(s, &message, NN_MSG, 0), -1, ETIMEDOUT);
    CHECK_ERRNO(nn_recv(s, &untouched, NN_MSG, NN_DONTWAIT), -1, EAGAIN);
    CHECK_ERRNO(nn_recv(s, &untouched, NN_MSG, 0), -1, ETIMEDOUT);
    CHECK_CLOSE(s);
    CHECK_ERRNO(nn_send(s, &message, NN_MSG, 0), -1, EBADF);
    CHECK_ERRNO(nn_recv(s, &untouched, NN_MSG, 0), -1, EBADF);
    CHECK(message == kept);
    CHECK(untouched == (char *)&untouched);
    CHECK(is_body(message, 100, 9));
    CHECK_EQ(nn_freemsg(message), 0);
}

/* core 5.3: user memory is never shared. */
static void what_was_sent_may_be_overwritten(void)
{
    int a, b;
    char buffer[1000];
    open_inproc(&a, &b);
    fill_body(buffer, sizeof buffer, 10);
    CHECK_EQ(nn_send(a, buffer, 100, 0), 100);
    CHECK_EQ(nn_send(a, buffer, sizeof buffer, 0), sizeof buffer);
    memset(buffer, 0, sizeof buffer);
    CHECK_EQ(nn_recv(b, buffer, sizeof buffer, 0), 100);
    CHECK(is_body(buffer, 100, 10));
    CHECK_EQ(nn_recv(b, buffer, sizeof buffer, 0), sizeof buffer);
    CHECK(is_body(buffer, sizeof buffer, 10));
    CHECK_CLOSE(a, b);
}

static void check_short_buffers(const char *scheme)
{
    static const size_t rooms[] = {0, 1, 5, 9, 10, 11, 64};
    struct url url = unique_url(scheme);
    char buffer[64];
    int a, b;
    open_pairs(&a, &b, url.text);
    for (size_t i = 0; i < COUNT_OF(rooms); i++) {
        size_t copied = rooms[i] < 10 ? rooms[i] : 10;
        memset(buffer, '#', sizeof buffer);
        CHECK_SEND(a, "0123456789");
        CHECK_EQ(nn_recv(b, buffer, rooms[i], 0), 10);
        CHECK_MEM(buffer, "0123456789", copied);
        for (size_t k = copied; k < sizeof buffer; k++)
            CHECK_EQ(buffer[k], '#');
    }
    CHECK_SEND(a, "gone");
    CHECK_SEND(a, "here");
    CHECK_EQ(nn_recv(b, NULL, 0, 0), 4);
    CHECK_RECV(b, "here");
    CHECK_CLOSE(a, b);
}

/* core 5.4, core-quirks A-29 */
static void a_short_buffer_gets_the_start_and_the_full_size(void)
{
    check_short_buffers("inproc");
    check_short_buffers("ipc");
    check_short_buffers("tcp");
}

/* core 5.2, core-quirks A-34: empty messages are messages. */
static void empty_messages_are_delivered(void)
{
    for (int i = 0; i < 3; i++) {
        struct url url = unique_url(SCHEMES[i]);
        struct nn_msghdr none;
        char byte = 'b', *chunk = NULL;
        int a, b;
        memset(&none, 0, sizeof none);
        open_pairs(&a, &b, url.text);
        CHECK_EQ(nn_send(a, NULL, 0, 0), 0);
        CHECK_EQ(nn_send(a, "", 0, 0), 0);
        CHECK_EQ(nn_sendmsg(a, &none, 0), 0);
        CHECK_SEND(a, "end");
        CHECK_EQ(nn_recv(b, &byte, 1, 0), 0);
        CHECK_EQ(byte, 'b');
        CHECK_EQ(nn_recv(b, &chunk, NN_MSG, 0), 0);
        CHECK(chunk != NULL);
        CHECK_EQ(nn_freemsg(chunk), 0);
        CHECK_EQ(nn_recvmsg(b, &none, 0), 0);
        CHECK_RECV(b, "end");
        CHECK_CLOSE(a, b);
    }
}

static int send_parts(int s, struct nn_iovec *parts, int count, int flags)
{
    struct nn_msghdr header = {.msg_iov = parts, .msg_iovlen = count};
    return nn_sendmsg(s, &header, flags);
}

/* Receives into a list and checks that the list itself is not changed (abi 6.11). */
static int recv_parts(int s, struct nn_iovec *parts, int count)
{
    struct nn_iovec before[8];
    struct nn_msghdr header = {.msg_iov = parts, .msg_iovlen = count, .msg_controllen = 77};
    for (int i = 0; i < count; i++)
        before[i] = parts[i];
    int result = nn_recvmsg(s, &header, 0);
    int error = errno;
    CHECK_EQ(header.msg_iovlen, count);
    CHECK_EQ(header.msg_controllen, 77);
    for (int i = 0; i < count; i++) {
        CHECK(parts[i].iov_base == before[i].iov_base);
        CHECK_EQ(parts[i].iov_len, before[i].iov_len);
    }
    errno = error;
    return result;
}

/* core 5.2 */
static void a_scatter_list_is_sent_as_one_message(void)
{
    int a, b;
    struct nn_iovec parts[] = {{"Hel", 3}, {NULL, 0}, {"lo, ", 4}, {"", 0}, {"world", 5}};
    struct nn_iovec *many = calloc(1000, sizeof *many);
    char *expected = malloc(1000), *buffer = malloc(1000);
    open_inproc(&a, &b);
    CHECK_EQ(send_parts(a, parts, 5, 0), 12);
    CHECK_RECV(b, "Hello, world");
    CHECK_EQ(send_parts(a, parts, 1, 0), 3);
    CHECK_RECV(b, "Hel");
    CHECK_EQ(send_parts(a, NULL, 0, 0), 0);
    CHECK_EQ(nn_recv(b, buffer, 10, 0), 0);
    fill_body(expected, 1000, 11);
    for (int i = 0; i < 1000; i++)
        many[i] = (struct nn_iovec){expected + i, 1};
    CHECK_EQ(send_parts(a, many, 1000, 0), 1000);
    CHECK_EQ(nn_recv(b, buffer, 1000, 0), 1000);
    CHECK_MEM(buffer, expected, 1000);
    CHECK_CLOSE(a, b);
    free(many);
    free(expected);
    free(buffer);
}

/* core 5.2, on the transports that gather in the kernel. */
static void a_scatter_list_of_large_parts_is_sent_as_one_message(void)
{
    char *bytes = malloc(600000), *got = malloc(600000);
    fill_body(bytes, 600000, 12);
    for (int i = 0; i < 3; i++) {
        struct url url = unique_url(SCHEMES[i]);
        int a, b;
        struct nn_iovec parts[] = {{bytes, 1}, {bytes + 1, 299999}, {bytes + 300000, 300000}};
        open_pairs(&a, &b, url.text);
        CHECK_EQ(send_parts(a, parts, 3, 0), 600000);
        CHECK_EQ(nn_recv(b, got, 600000, 0), 600000);
        CHECK_MEM(got, bytes, 600000);
        CHECK_CLOSE(a, b);
    }
    free(bytes);
    free(got);
}

/* core 5.4 */
static void a_message_is_received_into_a_scatter_list(void)
{
    int a, b;
    char x[8], y[8], z[8];
    open_inproc(&a, &b);
    for (size_t size = 0; size <= 12; size++) {
        struct nn_iovec parts[] = {{x, 3}, {NULL, 0}, {y, 4}, {z, 2}};
        char expected[24], got[24];
        memset(x, '#', 8);
        memset(y, '#', 8);
        memset(z, '#', 8);
        memset(expected, '#', sizeof expected);
        CHECK_EQ(nn_send(a, "abcdefghijkl", size, 0), size);
        CHECK_EQ(recv_parts(b, parts, 4), size);
        memcpy(expected, "abcdefghijkl", size < 3 ? size : 3);
        memcpy(expected + 8, "defghijkl", size < 3 ? 0 : size < 7 ? size - 3 : 4);
        memcpy(expected + 16, "hijkl", size < 7 ? 0 : size < 9 ? size - 7 : 2);
        memcpy(got, x, 8);
        memcpy(got + 8, y, 8);
        memcpy(got + 16, z, 8);
        CHECK_MEM(got, expected, 24);
    }
    CHECK_SEND(a, "gone");
    CHECK_EQ(recv_parts(b, NULL, 0), 4);
    CHECK_SEND(a, "next");
    CHECK_RECV(b, "next");
    CHECK_CLOSE(a, b);
}

/* core 5.4, core-quirks A-39: the message is lost where NN_MSG is met with something to place. */
static void a_chunk_among_several_parts_is_invalid(void)
{
    int a, b;
    char x[8];
    char *chunk = nn_allocmsg(4, 0), *target = NULL;
    struct nn_iovec outgoing[][2] = {
        {{"ab", 2}, {&chunk, NN_MSG}}, {{&chunk, NN_MSG}, {"ab", 2}}, {{NULL, 0}, {&chunk, NN_MSG}},
        {{&chunk, NN_MSG}, {NULL, 5}}};
    open_inproc(&a, &b);
    for (int i = 0; i < 4; i++)
        CHECK_ERRNO(send_parts(a, outgoing[i], 2, 0), -1, EINVAL);
    CHECK_EQ(nn_freemsg(chunk), 0);
    struct nn_iovec incoming[] = {{x, 4}, {&target, NN_MSG}};
    CHECK_SEND(a, "12345");
    CHECK_ERRNO(recv_parts(b, incoming, 2), -1, EINVAL);
    CHECK_SEND(a, "1234");
    CHECK_ERRNO(recv_parts(b, incoming, 2), -1, EINVAL);
    CHECK_SEND(a, "123");
    CHECK_EQ(recv_parts(b, incoming, 2), 3);
    CHECK_MEM(x, "123", 3);
    CHECK(target == NULL);
    CHECK_ERRNO(nn_recv(b, x, sizeof x, NN_DONTWAIT), -1, EAGAIN);
    CHECK_CLOSE(a, b);
}

/* abi 6.10, core-quirks A-20: in this order, before the state of the socket is looked at. */
static void bad_arguments_of_a_send_are_refused_in_order(void)
{
    int s = open_pair();
    char *none = NULL, *chunk = nn_allocmsg(4, 0);
    struct nn_iovec null_first[] = {{NULL, 4}, {&chunk, NN_MSG}};
    struct nn_iovec chunk_first[] = {{"ab", 2}, {&chunk, NN_MSG}, {NULL, 4}};
    struct nn_iovec wraps[] = {{"0123456789", 10}, {"x", SIZE_MAX - 5}};
    struct nn_iovec null_then_wraps[] = {{"0123456789", 10}, {NULL, SIZE_MAX - 5}};
    struct nn_iovec wraps_then_chunk[] = {{"01", 10}, {"x", SIZE_MAX - 5}, {&chunk, NN_MSG}};
    struct nn_iovec fine[] = {{NULL, 0}, {"ab", 2}};
    CHECK_ERRNO(nn_sendmsg(s, NULL, NN_DONTWAIT), -1, EINVAL);
    CHECK_ERRNO(send_parts(s, fine, -1, NN_DONTWAIT), -1, EMSGSIZE);
    CHECK_ERRNO(send_parts(s, NULL, INT_MIN, NN_DONTWAIT), -1, EMSGSIZE);
    CHECK_ERRNO(nn_send(s, &none, NN_MSG, NN_DONTWAIT), -1, EFAULT);
    CHECK_ERRNO(nn_send(s, NULL, 1, NN_DONTWAIT), -1, EFAULT);
    CHECK_ERRNO(send_parts(s, null_first, 1, NN_DONTWAIT), -1, EFAULT);
    CHECK_ERRNO(send_parts(s, null_first, 2, NN_DONTWAIT), -1, EFAULT);
    CHECK_ERRNO(send_parts(s, chunk_first, 3, NN_DONTWAIT), -1, EINVAL);
    CHECK_ERRNO(send_parts(s, wraps, 2, NN_DONTWAIT), -1, EINVAL);
    CHECK_ERRNO(send_parts(s, null_then_wraps, 2, NN_DONTWAIT), -1, EFAULT);
    CHECK_ERRNO(send_parts(s, wraps_then_chunk, 3, NN_DONTWAIT), -1, EINVAL);
    CHECK_ERRNO(send_parts(s, fine, 2, NN_DONTWAIT), -1, EAGAIN);
    CHECK_ERRNO(send_parts(s, NULL, 0, NN_DONTWAIT), -1, EAGAIN);
    CHECK_ERRNO(nn_send(s, NULL, 0, NN_DONTWAIT), -1, EAGAIN);
    CHECK_EQ(nn_freemsg(chunk), 0);
    CHECK_CLOSE(s);
}

/* abi 6.11, core-quirks A-21: the buffer is not looked at before there is a message. */
static void bad_arguments_of_a_receive_are_refused_in_order(void)
{
    int s = open_pair();
    struct nn_msghdr header;
    memset(&header, 0, sizeof header);
    header.msg_iovlen = -1;
    CHECK_ERRNO(nn_recvmsg(s, NULL, NN_DONTWAIT), -1, EINVAL);
    CHECK_ERRNO(nn_recvmsg(s, &header, NN_DONTWAIT), -1, EMSGSIZE);
    header.msg_iovlen = INT_MIN;
    CHECK_ERRNO(nn_recvmsg(s, &header, NN_DONTWAIT), -1, EMSGSIZE);
    header.msg_iovlen = 0;
    CHECK_ERRNO(nn_recvmsg(s, &header, NN_DONTWAIT), -1, EAGAIN);
    CHECK_ERRNO(nn_recv(s, NULL, 4, NN_DONTWAIT), -1, EAGAIN);
    CHECK_ERRNO(nn_recv(s, NULL, 0, NN_DONTWAIT), -1, EAGAIN);
    CHECK_CLOSE(s);
}

/* core-quirks B-10: with nothing to copy the missing buffer does not matter. */
static void an_empty_message_fits_a_missing_buffer(void)
{
    int a, b;
    open_inproc(&a, &b);
    CHECK_EQ(nn_send(a, "", 0, 0), 0);
    CHECK_EQ(nn_recv(b, NULL, 4, 0), 0);
    CHECK_CLOSE(a, b);
}

/* core-quirks B-10 and B-11; the message may be dropped, so the next one may come first. */
static void a_missing_buffer_is_a_fault(void)
{
    int a, b;
    char buffer[8];
    struct nn_msghdr header = {.msg_iov = NULL, .msg_iovlen = 2};
    open_inproc(&a, &b);
    CHECK_SEND(a, "lost");
    CHECK_ERRNO(nn_recv(b, NULL, 4, 0), -1, EFAULT);
    while (nn_recv(b, buffer, sizeof buffer, NN_DONTWAIT) >= 0)
        continue;
    CHECK_SEND(a, "lost");
    CHECK_ERRNO(nn_recvmsg(b, &header, 0), -1, EFAULT);
    while (nn_recv(b, buffer, sizeof buffer, NN_DONTWAIT) >= 0)
        continue;
    CHECK_ERRNO(nn_sendmsg(a, &header, 0), -1, EFAULT);
    CHECK_SEND(a, "kept");
    CHECK_RECV(b, "kept");
    CHECK_CLOSE(a, b);
}

/* core-quirks B-8 and B-9: a receive is refused before it takes a message. */
static void a_missing_or_foreign_chunk_is_a_fault(void)
{
    int a, b;
    char *stranger = foreign + 4096;
    open_inproc(&a, &b);
    CHECK_ERRNO(nn_send(a, NULL, NN_MSG, 0), -1, EFAULT);
    CHECK_ERRNO(nn_send(a, &stranger, NN_MSG, 0), -1, EFAULT);
    CHECK_SEND(a, "kept");
    CHECK_ERRNO(nn_recv(b, NULL, NN_MSG, 0), -1, EFAULT);
    CHECK_RECV(b, "kept");
    CHECK_ERRNO(nn_recv(b, NULL, NN_MSG, NN_DONTWAIT), -1, EFAULT);
    CHECK_CLOSE(a, b);
}

/* core-quirks B-6 and B-7: the two rules meet above INT_MAX, so either errno will do there. With
 * addresses of 32 bits such a length also leads beyond the last of them, and is a fault. */
static void a_length_that_cannot_be_is_refused(void)
{
    static const size_t lengths[] = {~(SIZE_MAX / 16), SIZE_MAX - 1, SIZE_MAX - 40, TOO_LARGE};
    int a, b;
    open_inproc(&a, &b);
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        errno = 0;
        CHECK_EQ(nn_send(a, "small", lengths[i], 0), -1);
        CHECK(errno == ENOMEM || errno == EMSGSIZE || (sizeof(void *) == 4 && errno == EFAULT));
    }
    CHECK_SEND(a, "fine");
    CHECK_RECV(b, "fine");
    CHECK_CLOSE(a, b);
}

/* core-quirks B-7: what the int result could not tell is not sent. */
static void a_body_of_2_gib_is_refused(void)
{
    enum { PART = 1 << 20, COUNT = 2048 };
    int a, b;
    struct nn_iovec *parts = calloc(COUNT, sizeof *parts);
    char *memory = calloc(1, PART);
    open_inproc(&a, &b);
    for (int i = 0; i < COUNT; i++)
        parts[i] = (struct nn_iovec){memory, PART};
    CHECK_ERRNO(send_parts(a, parts, COUNT, 0), -1, EMSGSIZE);
    CHECK_SEND(a, "fine");
    CHECK_RECV(b, "fine");
    CHECK_CLOSE(a, b);
    free(parts);
    free(memory);
}

/* core 5.5, core-quirks */
static void a_receive_yields_one_empty_header_entry(void)
{
    struct entry { struct nn_cmsghdr header; size_t count; } expected
        = {{NN_CMSG_SPACE(sizeof(size_t)), PROTO_SP, SP_HDR}, 0};
    int a, b;
    char body[8], control[64];
    struct nn_iovec part = {body, sizeof body};
    struct nn_msghdr header = {&part, 1, control, 0};
    open_inproc(&a, &b);
    CHECK_EQ(expected.header.cmsg_len, sizeof expected);
    for (size_t room = 0; room <= sizeof control; room += sizeof(size_t)) {
        size_t written = room < sizeof expected ? 0 : sizeof expected;
        memset(control, '#', sizeof control);
        header.msg_controllen = room;
        CHECK_SEND(a, "body");
        CHECK_EQ(nn_recvmsg(b, &header, 0), 4);
        CHECK_EQ(header.msg_controllen, room);
        CHECK_MEM(control, &expected, written);
        for (size_t i = written; i < sizeof control; i++)
            CHECK_EQ(control[i], '#');
    }
    void *chunk = NULL;
    header.msg_control = &chunk;
    header.msg_controllen = NN_MSG;
    CHECK_SEND(a, "body");
    CHECK_EQ(nn_recvmsg(b, &header, 0), 4);
    CHECK(chunk != NULL);
    CHECK_EQ(header.msg_controllen, NN_MSG);
    CHECK_MEM(chunk, &expected, sizeof expected);
    CHECK_EQ(nn_freemsg(chunk), 0);
    CHECK_CLOSE(a, b);
}

/* core 5.6, core-quirks A-44 */
static void a_header_given_to_a_pair_is_put_before_the_body(void)
{
    for (int i = 0; i < 3; i++) {
        struct url url = unique_url(SCHEMES[i]);
        unsigned char control[NN_CMSG_SPACE(sizeof(size_t) + 4)];
        struct nn_cmsghdr *entry = (struct nn_cmsghdr *)(void *)control;
        struct nn_iovec part = {"body", 4};
        struct nn_msghdr header = {&part, 1, control, sizeof control};
        size_t count = 4;
        int a, b;
        memset(control, 0, sizeof control);
        entry->cmsg_len = NN_CMSG_LEN(sizeof count + 4);
        entry->cmsg_level = PROTO_SP;
        entry->cmsg_type = SP_HDR;
        memcpy(control + sizeof *entry, &count, sizeof count);
        memcpy(control + sizeof *entry + sizeof count, "head", 4);
        open_pairs(&a, &b, url.text);
        CHECK_EQ(nn_sendmsg(a, &header, 0), 4);
        CHECK_RECV(b, "headbody");
        CHECK_CLOSE(a, b);
    }
}

/* core 5.3, core-quirks A-37: not so for what is refused before sending. */
static void a_refused_send_leaves_the_control_chunk(void)
{
    int s = open_pair();
    void *control = nn_allocmsg(24, 0), *body = NULL;
    struct nn_iovec part = {&body, NN_MSG};
    struct nn_msghdr header = {&part, 1, &control, NN_MSG};
    memset(control, 0, 24);
    CHECK_ERRNO(nn_sendmsg(s, &header, NN_DONTWAIT), -1, EFAULT);
    header.msg_iovlen = -1;
    CHECK_ERRNO(nn_sendmsg(s, &header, NN_DONTWAIT), -1, EMSGSIZE);
    CHECK_EQ(nn_freemsg(control), 0);
    CHECK_CLOSE(s);
}

/* core-quirks A-37: a caller that frees it nevertheless must not come to harm. */
static void a_failed_send_consumes_the_control_chunk(void)
{
    int s = open_pair();
    void *control = nn_allocmsg(24, 0), *body = nn_allocmsg(10, 0);
    struct nn_iovec part = {&body, NN_MSG};
    struct nn_msghdr header = {&part, 1, &control, NN_MSG};
    memset(control, 0, 24);
    CHECK_ERRNO(nn_sendmsg(s, &header, NN_DONTWAIT), -1, EAGAIN);
    CHECK_EQ(nn_freemsg(body), 0);
    CHECK_ERRNO(nn_freemsg(control), -1, EFAULT);
    CHECK_CLOSE(s);
}

int main(void)
{
    test_begin("api/messages", 28);
    RUN(a_chunk_changes_hands);
    RUN(a_received_chunk_outlives_the_sockets);
    RUN(a_shrunken_chunk_is_sent_short);
    RUN(a_failure_leaves_the_chunk_with_the_caller);
    RUN(what_was_sent_may_be_overwritten);
    RUN(a_short_buffer_gets_the_start_and_the_full_size);
    RUN(empty_messages_are_delivered);
    RUN(a_scatter_list_is_sent_as_one_message);
    RUN(a_scatter_list_of_large_parts_is_sent_as_one_message);
    RUN(a_message_is_received_into_a_scatter_list);
    RUN(a_chunk_among_several_parts_is_invalid);
    RUN(bad_arguments_of_a_send_are_refused_in_order);
    RUN(bad_arguments_of_a_receive_are_refused_in_order);
    RUN(an_empty_message_fits_a_missing_buffer);
    RUN(a_missing_buffer_is_a_fault);
    RUN(a_missing_or_foreign_chunk_is_a_fault);
    RUN(a_length_that_cannot_be_is_refused);
    RUN(a_body_of_2_gib_is_refused);
    RUN(a_receive_yields_one_empty_header_entry);
    RUN(a_header_given_to_a_pair_is_put_before_the_body);
    RUN(a_refused_send_leaves_the_control_chunk);
    RUN(a_failed_send_consumes_the_control_chunk);
    return test_end();
}
