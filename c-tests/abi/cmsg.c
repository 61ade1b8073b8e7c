/* Control data: the macros, the walk along a block, and what sending and receiving make of it
 * (abi 3 and 6.15, core 5.5 and 5.6). */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/sockets.h"
#include "support/talk.h"

#include <nanomsg/nn.h>
#include <nanomsg/reqrep.h>

#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <string.h>

#define WORD sizeof(size_t)
#define HEAD sizeof(struct nn_cmsghdr)

/* As much as that takes with what fills up its last word. */
static size_t padded(size_t size)
{
    return (size + WORD - 1) / WORD * WORD;
}

static void sizes(void)
{
    for (size_t n = 0; n < 100; n++) {
        CHECK_EQ(NN_CMSG_ALIGN_(n), padded(n));
        CHECK_EQ(NN_CMSG_SPACE(n), padded(n) + HEAD);
        CHECK_EQ(NN_CMSG_LEN(n), n + HEAD);
    }
    CHECK_EQ(NN_CMSG_SPACE(1 + WORD), HEAD + 2 * WORD);
    CHECK_EQ(NN_CMSG_LEN(1 + WORD), HEAD + WORD + 1);
    CHECK(_Generic(NN_CMSG_ALIGN_(1), size_t: 1, default: 0));
    CHECK(_Generic(NN_CMSG_SPACE(1), size_t: 1, default: 0));
    CHECK(_Generic(NN_CMSG_LEN(1), size_t: 1, default: 0));
    char room[NN_CMSG_SPACE(sizeof(int)) == HEAD + WORD ? 1 : -1];
    CHECK_EQ(sizeof room, 1);
}

static void data(void)
{
    struct nn_cmsghdr entry;
    CHECK(NN_CMSG_DATA(&entry) == (unsigned char *)&entry + HEAD);
    CHECK(_Generic(NN_CMSG_DATA(&entry), unsigned char *: 1, default: 0));
}

/* A block of control data in memory that is aligned as C programs align it. */
static union block {
    struct nn_cmsghdr entry;
    size_t words[64];
    unsigned char bytes[512];
} block;

/* A message without a body, with the first bytes of the block as its control data. */
static struct nn_msghdr with_control(size_t size)
{
    struct nn_msghdr message = {NULL, 0, &block, size};
    return message;
}

static struct nn_cmsghdr *entry_at(size_t offset)
{
    return (struct nn_cmsghdr *)(void *)(block.bytes + offset);
}

static void put_entry(size_t offset, size_t len, int level, int type)
{
    struct nn_cmsghdr head = {len, level, type};
    memcpy(block.bytes + offset, &head, sizeof head);
}

static void clear_block(void)
{
    memset(&block, 0, sizeof block);
}

/* core-quirks A-43: whoever fills a block in place starts with one of zero bytes. */
static void empty_blocks(void)
{
    clear_block();
    errno = EDOM;
    for (size_t size = 0; size < 64; size++) {
        struct nn_msghdr message = with_control(size);
        CHECK(NN_CMSG_FIRSTHDR(&message) == (size < HEAD ? NULL : &block.entry));
    }
    CHECK(nn_cmsg_nxthdr_(NULL, NULL) == NULL);
    CHECK(nn_cmsg_nxthdr_(NULL, &block.entry) == NULL);
    CHECK_EQ(errno, EDOM);
}

static void the_first_entry_must_fit_with_its_padding(void)
{
    errno = EDOM;
    for (size_t len = HEAD; len <= 48; len++)
        for (size_t size = 0; size <= 64; size++) {
            clear_block();
            put_entry(0, len, 1, 1);
            struct nn_msghdr message = with_control(size);
            CHECK(NN_CMSG_FIRSTHDR(&message) == (size < padded(len) ? NULL : &block.entry));
        }
    CHECK_EQ(errno, EDOM);
}

static void the_next_entry_needs_a_head(void)
{
    errno = EDOM;
    for (size_t len = HEAD; len <= 40; len++)
        for (size_t size = 48; size <= 96; size++) {
            clear_block();
            put_entry(0, len, 1, 1);
            struct nn_msghdr message = with_control(size);
            size_t next = padded(len);
            CHECK(NN_CMSG_NXTHDR(&message, &block.entry)
                  == (size < next + HEAD ? NULL : entry_at(next)));
        }
    CHECK_EQ(errno, EDOM);
}

static void entries_are_walked_in_turn(void)
{
    static const size_t lengths[] = {NN_CMSG_LEN(1), NN_CMSG_LEN(0), NN_CMSG_SPACE(9),
                                     NN_CMSG_LEN(8)};
    size_t offset = 0, count = 0;
    clear_block();
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        put_entry(offset, lengths[i], (int)i, 42);
        offset += NN_CMSG_ALIGN_(lengths[i]);
    }
    struct nn_msghdr message = with_control(offset);
    struct nn_cmsghdr *entry = NN_CMSG_FIRSTHDR(&message);
    for (; entry && count < 100; entry = NN_CMSG_NXTHDR(&message, entry)) {
        CHECK_EQ(entry->cmsg_level, count);
        count++;
    }
    CHECK_EQ(count, COUNT_OF(lengths));
}

static void a_chunk_is_walked_as_a_block(void)
{
    void *chunk = nn_allocmsg(2 * HEAD + WORD, 0);
    clear_block();
    put_entry(0, HEAD + 1, 1, 1);
    memcpy(chunk, &block, 2 * HEAD + WORD);
    struct nn_msghdr message = {NULL, 0, &chunk, NN_MSG};
    struct nn_cmsghdr *first = NN_CMSG_FIRSTHDR(&message);
    CHECK(first == chunk);
    struct nn_cmsghdr *second = NN_CMSG_NXTHDR(&message, first);
    CHECK((char *)second == (char *)chunk + HEAD + WORD);
    CHECK_EQ(nn_freemsg(chunk), 0);
    chunk = nn_allocmsg(HEAD - 1, 0);
    CHECK(NN_CMSG_FIRSTHDR(&message) == NULL);
    CHECK_EQ(nn_freemsg(chunk), 0);
}

/* core-quirks B-15 and B-16 */
static void lengths_that_lead_nowhere(void)
{
    static const size_t lengths[] = {SIZE_MAX, SIZE_MAX - 7, SIZE_MAX - 8, SIZE_MAX - 15,
                                     SIZE_MAX - 16, SIZE_MAX - 63, SIZE_MAX / 2, SIZE_MAX / 2 + 1};
    struct nn_msghdr message = with_control(64);
    errno = EDOM;
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        clear_block();
        put_entry(0, lengths[i], 1, 1);
        CHECK(NN_CMSG_FIRSTHDR(&message) == NULL);
        CHECK(NN_CMSG_NXTHDR(&message, &block.entry) == NULL);
        put_entry(0, HEAD, 1, 1);
        put_entry(HEAD, lengths[i], 1, 1);
        CHECK(NN_CMSG_NXTHDR(&message, &block.entry) == NULL);
        CHECK(NN_CMSG_NXTHDR(&message, entry_at(HEAD)) == NULL);
    }
    for (size_t len = 0; len < HEAD; len++) {
        clear_block();
        put_entry(0, len, 1, 1);
        CHECK(NN_CMSG_NXTHDR(&message, &block.entry) == NULL);
    }
    CHECK_EQ(errno, EDOM);
}

/* core-quirks B-17, and entries that are not in the block */
static void blocks_that_are_not_there(void)
{
    void *nothing = NULL;
    long long foreign[8] = {0, 0, 0, 0, 0, 0, 0, 0};
    void *no_chunk = foreign + 4;
    struct nn_msghdr message = {NULL, 0, NULL, 64};
    errno = EDOM;
    clear_block();
    CHECK(NN_CMSG_FIRSTHDR(&message) == NULL);
    message.msg_controllen = NN_MSG;
    CHECK(NN_CMSG_FIRSTHDR(&message) == NULL);
    message.msg_control = &nothing;
    CHECK(NN_CMSG_FIRSTHDR(&message) == NULL);
    message.msg_control = &no_chunk;
    CHECK(NN_CMSG_FIRSTHDR(&message) == NULL);
    put_entry(0, HEAD, 1, 1);
    message.msg_control = block.bytes + 64;
    message.msg_controllen = 64;
    CHECK(NN_CMSG_NXTHDR(&message, &block.entry) == NULL);
    CHECK(NN_CMSG_NXTHDR(&message, entry_at(128)) == NULL);
    CHECK_EQ(errno, EDOM);
}

/* Sends a body of "body" with the first bytes of the block, and looks at what a PAIR makes of the
 * header that is in there: it puts it in front of the body (core-quirks A-44). */
static void check_sent(int from, int to, size_t size, const char *arrives)
{
    struct nn_iovec piece = {(void *)(uintptr_t)"body", 4};
    struct nn_msghdr message = {&piece, 1, &block, size};
    CHECK_EQ(nn_sendmsg(from, &message, 0), 4);
    CHECK_RECV(to, arrives);
}

static void put_header(size_t offset, size_t len, size_t count, const char *header)
{
    put_entry(offset, len, PROTO_SP, SP_HDR);
    memcpy(block.bytes + offset + HEAD, &count, sizeof count);
    memcpy(block.bytes + offset + HEAD + WORD, header, strlen(header));
}

static void a_header_is_sent(void)
{
    int a, b;
    open_pairs(&a, &b, unique_url("inproc").text);
    /* The length with and without its padding, and with room to spare behind it. */
    clear_block();
    put_header(0, NN_CMSG_LEN(WORD + 3), 3, "abc");
    check_sent(a, b, HEAD + 2 * WORD, "abcbody");
    put_header(0, NN_CMSG_SPACE(WORD + 3), 3, "abc");
    check_sent(a, b, HEAD + 2 * WORD, "abcbody");
    check_sent(a, b, 200, "abcbody");
    put_header(0, NN_CMSG_SPACE(WORD + 8), 8, "abcdefgh");
    check_sent(a, b, HEAD + WORD + 8, "abcdefghbody");
    put_header(0, NN_CMSG_SPACE(WORD + 20), 20, "abcdefghijklmnopqrst");
    check_sent(a, b, HEAD + padded(WORD + 20), "abcdefghijklmnopqrstbody");
    /* Behind entries that are none of ours, of which nothing is sent. */
    clear_block();
    put_entry(0, NN_CMSG_LEN(5), -4711, 1);
    memset(block.bytes + HEAD, 'x', 5);
    const size_t second = HEAD + padded(5), third = second + HEAD;
    const size_t end = third + HEAD + padded(WORD + 2);
    put_entry(second, NN_CMSG_LEN(0), PROTO_SP, 2);
    put_header(third, NN_CMSG_LEN(WORD + 2), 2, "ab");
    check_sent(a, b, end, "abbody");
    /* The first of two. */
    put_header(end, NN_CMSG_LEN(WORD + 2), 2, "yz");
    check_sent(a, b, 200, "abbody");
    CHECK_CLOSE(a, b);
}

static void no_header_is_sent(void)
{
    int a, b;
    struct nn_iovec piece = {(void *)(uintptr_t)"body", 4};
    struct nn_msghdr message = {&piece, 1, NULL, 4711};
    open_pairs(&a, &b, unique_url("inproc").text);
    CHECK_EQ(nn_sendmsg(a, &message, 0), 4);
    CHECK_RECV(b, "body");
    clear_block();
    put_header(0, NN_CMSG_SPACE(WORD + 3), 3, "abc");
    /* Blocks that end too early. */
    for (size_t size = 0; size < HEAD + 2 * WORD; size++)
        check_sent(a, b, size, "body");
    /* Sizes that the entry has no room for. */
    put_header(0, NN_CMSG_LEN(WORD + 3), 4, "abcd");
    check_sent(a, b, 64, "body");
    put_header(0, NN_CMSG_LEN(WORD + 3), SIZE_MAX, "abc");
    check_sent(a, b, 64, "body");
    put_header(0, NN_CMSG_LEN(WORD), 0, "");
    check_sent(a, b, 64, "body");
    put_header(0, NN_CMSG_LEN(WORD), 3, "abc");
    check_sent(a, b, 64, "body");
    /* Entries of another level or type. */
    put_header(0, NN_CMSG_SPACE(WORD + 3), 3, "abc");
    put_entry(0, NN_CMSG_SPACE(WORD + 3), PROTO_SP + 1, SP_HDR);
    check_sent(a, b, HEAD + 2 * WORD, "body");
    put_entry(0, NN_CMSG_SPACE(WORD + 3), PROTO_SP, SP_HDR + 1);
    check_sent(a, b, HEAD + 2 * WORD, "body");
    /* The first one counts although it makes no sense. */
    clear_block();
    put_header(0, NN_CMSG_LEN(WORD), 3, "");
    put_header(HEAD + WORD, NN_CMSG_LEN(WORD + 3), 3, "abc");
    check_sent(a, b, 2 * HEAD + 3 * WORD, "body");
    CHECK_CLOSE(a, b);
}

/* core-quirks B-13, B-14, B-15 */
static void nonsense_is_sent_without_a_header(void)
{
    static const size_t lengths[] = {0, 1, 8, HEAD - 1, SIZE_MAX, SIZE_MAX - 7, SIZE_MAX - 15};
    int a, b;
    open_pairs(&a, &b, unique_url("inproc").text);
    clear_block();
    check_sent(a, b, 64, "body");
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        clear_block();
        put_header(0, lengths[i], 3, "abc");
        check_sent(a, b, 64, "body");
        put_entry(0, NN_CMSG_LEN(0), -4711, 1);
        put_header(HEAD, lengths[i], 3, "abc");
        check_sent(a, b, 64, "body");
    }
    CHECK_CLOSE(a, b);
}

/* A chunk goes with the message; its content counts as that of a block does. */
static void a_header_in_a_chunk_is_sent(void)
{
    int a, b;
    void *chunk = nn_allocmsg(HEAD + 2 * WORD, 0);
    struct nn_iovec piece = {(void *)(uintptr_t)"body", 4};
    struct nn_msghdr message = {&piece, 1, &chunk, NN_MSG};
    open_pairs(&a, &b, unique_url("inproc").text);
    clear_block();
    put_header(0, NN_CMSG_LEN(WORD + 3), 3, "abc");
    memcpy(chunk, &block, HEAD + 2 * WORD);
    CHECK_EQ(nn_sendmsg(a, &message, 0), 4);
    CHECK_RECV(b, "abcbody");
    CHECK_CLOSE(a, b);
}

/* The entry that every message comes with (core 5.5). */
static const struct {
    size_t len;
    int level, type;
    size_t header_size;
} no_header = {HEAD + WORD, 1, 1, 0};

/* core-quirks */
static void received_control_data(void)
{
    int a, b;
    char body[8];
    unsigned char untouched[sizeof block];
    open_pairs(&a, &b, unique_url("inproc").text);
    memset(untouched, 0xee, sizeof untouched);
    for (size_t room = 0; room <= 64; room++) {
        struct nn_iovec piece = {body, sizeof body};
        struct nn_msghdr message = {&piece, 1, &block, room};
        size_t count = room < HEAD + WORD ? 0 : HEAD + WORD;
        memset(&block, 0xee, sizeof block);
        /* What a sender adds never reaches its peer. */
        struct nn_msghdr sent = {&piece, 1, &block, 64};
        put_entry(0, NN_CMSG_LEN(5), -4711, 1);
        put_entry(HEAD + padded(5), 40, -4711, 1);
        CHECK_EQ(nn_sendmsg(a, &sent, 0), 8);
        memset(&block, 0xee, sizeof block);
        CHECK_EQ(nn_recvmsg(b, &message, 0), 8);
        CHECK_MEM(&block, &no_header, count);
        CHECK_MEM(block.bytes + count, untouched, sizeof block - count);
        CHECK_EQ(message.msg_controllen, room);
        CHECK(message.msg_control == &block);
    }
    CHECK_CLOSE(a, b);
}

static void received_chunks(void)
{
    int a, b;
    void *body = NULL, *control = NULL;
    struct nn_iovec piece = {&body, NN_MSG};
    struct nn_msghdr message = {&piece, 1, &control, NN_MSG};
    open_pairs(&a, &b, unique_url("inproc").text);
    CHECK_SEND(a, "12345678");
    CHECK_EQ(nn_recvmsg(b, &message, 0), 8);
    CHECK_MEM(body, "12345678", 8);
    CHECK_EQ(sizeof no_header, HEAD + WORD);
    CHECK_MEM(control, &no_header, sizeof no_header);
    CHECK_EQ(message.msg_controllen, NN_MSG);
    CHECK_EQ(piece.iov_len, NN_MSG);
    struct nn_cmsghdr *first = NN_CMSG_FIRSTHDR(&message);
    CHECK(first == control);
    CHECK(NN_CMSG_NXTHDR(&message, first) == NULL);
    CHECK_EQ(nn_freemsg(body), 0);
    CHECK_EQ(nn_freemsg(control), 0);
    /* core-quirks: a call that fails stores nothing, whatever it has already got. */
    body = control = &block;
    char text[2];
    struct nn_iovec pieces[] = {{text, 2}, {&body, NN_MSG}};
    struct nn_msghdr wrong = {pieces, 2, &control, NN_MSG};
    CHECK_SEND(a, "12345678");
    CHECK_ERRNO(nn_recvmsg(b, &wrong, 0), -1, EINVAL);
    CHECK_ERRNO(nn_recvmsg(b, &message, NN_DONTWAIT), -1, EAGAIN);
    CHECK(body == &block);
    CHECK(control == &block);
    CHECK_CLOSE(a, b);
}

/* core-quirks A-37: found wrong before anything is sent, the call leaves the chunk alone. */
static void a_chunk_stays_with_wrong_arguments(void)
{
    int s = open_pair(), closed = open_pair();
    void *chunk = nn_allocmsg(64, 0), *same = chunk, *nothing = NULL;
    struct nn_iovec null = {NULL, 4}, whole = {&nothing, NN_MSG};
    struct nn_iovec pieces[] = {whole, whole};
    struct nn_msghdr message = {&null, 1, &chunk, NN_MSG};
    memset(chunk, 0x5a, 64);
    CHECK_CLOSE(closed);
    CHECK_ERRNO(nn_sendmsg(closed, &message, NN_DONTWAIT), -1, EBADF);
    CHECK_ERRNO(nn_sendmsg(s, &message, NN_DONTWAIT), -1, EFAULT);
    message.msg_iov = &whole;
    CHECK_ERRNO(nn_sendmsg(s, &message, NN_DONTWAIT), -1, EFAULT);
    message.msg_iov = pieces;
    message.msg_iovlen = 2;
    CHECK_ERRNO(nn_sendmsg(s, &message, NN_DONTWAIT), -1, EINVAL);
    message.msg_iovlen = -1;
    CHECK_ERRNO(nn_sendmsg(s, &message, NN_DONTWAIT), -1, EMSGSIZE);
    CHECK(chunk == same);
    for (size_t i = 0; i < 64; i++)
        CHECK_EQ(((unsigned char *)chunk)[i], 0x5a);
    CHECK_EQ(nn_freemsg(chunk), 0);
    CHECK_CLOSE(s);
}

/* Bytes in allocations so large that each has its own mapping. */
static size_t mapped(void)
{
    return mallinfo2().hblkhd;
}

/* So large that it is mapped, and filled with one entry that is nobody's. */
static void *large_control_chunk(size_t size)
{
    struct nn_cmsghdr head = {size, -4711, 1};
    void *chunk = nn_allocmsg(size, 0);
    REQUIRE(chunk != NULL);
    memcpy(chunk, &head, sizeof head);
    return chunk;
}

/* core-quirks A-37: consumed although nothing was sent, which nobody may have to free. */
static void a_chunk_is_consumed_by_a_failed_send(void)
{
    enum { SIZE = 64 << 20 };
    int s = open_pair(), rep = -1;
    size_t before = mapped();
    void *body = nn_allocmsg(3, 0), *chunk = large_control_chunk(SIZE);
    struct nn_iovec piece = {&body, NN_MSG};
    struct nn_msghdr message = {&piece, 1, &chunk, NN_MSG};
    if (mapped() < before + SIZE) {
        CHECK_EQ(nn_freemsg(body), 0);
        CHECK_EQ(nn_freemsg(chunk), 0);
        CHECK_CLOSE(s);
        test_skip("this allocator does not tell what it gives back");
        return;
    }
    CHECK_ERRNO(nn_sendmsg(s, &message, NN_DONTWAIT), -1, EAGAIN);
    CHECK_EQ(mapped(), before);
    chunk = large_control_chunk(SIZE);
    set_int(s, NN_SNDTIMEO, 10);
    CHECK_ERRNO(nn_sendmsg(s, &message, 0), -1, ETIMEDOUT);
    CHECK_EQ(mapped(), before);
    CHECK_CLOSE(s);
    rep = open_socket(AF_SP, NN_REP);
    if (rep >= 0) {
        chunk = large_control_chunk(SIZE);
        CHECK_ERRNO(nn_sendmsg(rep, &message, 0), -1, EFSM);
        CHECK_EQ(mapped(), before);
        CHECK_CLOSE(rep);
    }
    CHECK_EQ(nn_freemsg(body), 0);
}

int main(void)
{
    test_begin("abi/cmsg", 60);
    RUN(sizes);
    RUN(data);
    RUN(empty_blocks);
    RUN(the_first_entry_must_fit_with_its_padding);
    RUN(the_next_entry_needs_a_head);
    RUN(entries_are_walked_in_turn);
    RUN(a_chunk_is_walked_as_a_block);
    RUN(lengths_that_lead_nowhere);
    RUN(blocks_that_are_not_there);
    RUN(a_header_is_sent);
    RUN(no_header_is_sent);
    RUN(nonsense_is_sent_without_a_header);
    RUN(a_header_in_a_chunk_is_sent);
    RUN(received_control_data);
    RUN(received_chunks);
    RUN(a_chunk_stays_with_wrong_arguments);
    RUN(a_chunk_is_consumed_by_a_failed_send);
    return test_end();
}
