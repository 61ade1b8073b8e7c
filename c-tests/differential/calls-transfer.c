/* Calls that move messages. */

#include "differential.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const size_t BODY_SIZES[] = {0, 1, 2, 5, 10, 10, 20, 50, 200, 300, BODY_MAX};

/* Starts like a topic, and no two are the same. */
static size_t make_body(const struct slot *slot, unsigned char *body)
{
    size_t size = BODY_SIZES[below(sequence.has_tcp ? 10 : 11)];
    /* The reference compares what lies behind a message that is shorter than a topic. */
    if (slot && slot->protocol == NN_PUB && size < 3)
        size = 3;
    uint64_t start = random_word();
    for (size_t i = 0; i < size; i++)
        body[i] = i < 3 ? (start >> i & 1 ? 'a' : 'b') : (unsigned char)(i + sequence.operation);
    if (size > 3)
        body[3] = (unsigned char)sequence.operation;
    return size;
}

static size_t put_entry(unsigned char *at, int level, int type, const void *data, size_t size)
{
    struct nn_cmsghdr entry = {NN_CMSG_SPACE(size), level, type};
    memcpy(at, &entry, sizeof entry);
    memset(at + sizeof entry, 0, entry.cmsg_len - sizeof entry);
    memcpy(at + sizeof entry, data, size);
    return entry.cmsg_len;
}

static size_t put_header(unsigned char *at, const void *words, uint64_t size)
{
    unsigned char data[64];
    memcpy(data, &size, sizeof size);
    memcpy(data + sizeof size, words, size);
    return put_entry(at, PROTO_SP, SP_HDR, data, sizeof size + size);
}

static int is_one_of(int protocol, int a, int b)
{
    return protocol == a || protocol == b;
}

/* A header that a socket of this type can be given. */
static size_t make_header(const struct slot *slot, unsigned char *control)
{
    static const unsigned char hops[12] = {0, 0, 0, 7, 0, 0, 0, 9, 0x80, 0, 0, 5};
    int choice = below(4);
    int is_asking = is_one_of(slot->protocol, NN_REQ, NN_SURVEYOR);
    int is_answering = is_one_of(slot->protocol, NN_REP, NN_RESPONDENT);
    if (slot->domain == AF_SP && (is_asking || is_answering))
        return put_header(control, "", 0); /* core-quirks B-19 */
    if (is_asking)
        return put_header(control, hops + 8 - 4 * (choice % 3), 4 + 4 * (uint64_t)(choice % 3));
    if (is_answering)
        return put_header(control, "\x7f\xff\xff\xf1\x80\0\0\1", choice == 0 ? 8 : choice);
    if (slot->protocol == NN_BUS)
        return put_header(control, hops, choice == 0 ? 0 : choice == 1 ? 4 : 8);
    return put_header(control, hops, 4 * (uint64_t)choice);
}

static size_t make_control(struct slot *slot, unsigned char *control)
{
    static const unsigned char kind = NN_WS_MSG_TYPE_BINARY;
    size_t size = 0;
    if (slot && slot->control_size > 0 && !one_in(4)) {
        size = slot->control_size;
        memcpy(control, slot->control, size);
        /* A second answer to one question is another matter (protocols 4.4). */
        slot->control_size = 0;
        return size;
    }
    if (one_in(3))
        size += put_entry(control, NN_WS, NN_WS_MSG_TYPE, &kind, 1);
    if (one_in(4))
        size += put_entry(control + size, 77, 1, "abcde", 5);
    if (slot && one_in(2))
        size += make_header(slot, control + size);
    /* Too short for an entry. */
    return size == 0 ? (size_t)below(16) : size;
}

static int pipes_of(const struct slot *slot)
{
    return (int)nn_get_statistic(slot->handle, NN_STAT_CURRENT_CONNECTIONS);
}

/* The reference frees memory twice when a question that was replaced is answered. */
static void before_asking(struct slot *slot)
{
    if (!slot || !is_of(slot, NN_REQ))
        return;
    if (slot->has_asked) {
        sequence.unreceived++;
        drain();
        for (int i = 0; i < SLOTS; i++) {
            struct slot *other = &sequence.slots[i];
            other->is_stale = 1;
            if (other->protocol == NN_REP)
                other->control_size = 0;
        }
    }
    slot->has_asked = 1;
}

static void note_sent(const struct slot *slot, int result)
{
    note_result(result, result < 0);
    note_end();
    if (result >= 0)
        sequence.unreceived++;
    if (slot && is_of(slot, NN_REQ))
        sequence.has_asked = 1;
    if (slot && result >= 0 && is_one_of(slot->protocol, NN_PUSH, NN_REQ) && pipes_of(slot) > 1)
        sequence.is_ring_moved[slot->protocol / 16] = 1;
    settle();
}

/* Whether the receiver may discard this message. The reference then says EAGAIN although more has
 * arrived (core 8.1), so that it must be the only one. */
static int may_be_discarded(const struct slot *slot, size_t header_words)
{
    if (!slot)
        return 0;
    return is_one_of(slot->protocol, NN_REQ, NN_SURVEYOR)
           ? slot->domain == AF_SP_RAW && header_words != 1
           : slot->protocol == NN_PUB && slot->has_tcp;
}

/* Of what a socket discards each call takes only one: there is one for each pipe. */
static void drain_around(int may_be_discarded)
{
    /* Of what comes to one socket over several streams, anything may be the first. */
    int is_alone = may_be_discarded || (sequence.tcp_dialers > 0 && sequence.dialers > 1);
    for (int i = 0; i < (may_be_discarded ? 8 : is_alone); i++) {
        sequence.unreceived += i > 0;
        drain();
    }
}

static size_t header_words(const unsigned char *control, size_t size)
{
    uint64_t count = 0;
    struct nn_cmsghdr entry;
    for (size_t at = 0; at + sizeof entry <= size; at += NN_CMSG_ALIGN_(entry.cmsg_len)) {
        memcpy(&entry, control + at, sizeof entry);
        if (entry.cmsg_level == PROTO_SP && entry.cmsg_type == SP_HDR) {
            memcpy(&count, control + at + sizeof entry, sizeof count);
            break;
        }
    }
    return (size_t)count / 4;
}

static int flags_for(int waits)
{
    static const int odd[] = {NN_DONTWAIT, 3, -1};
    static const int none[] = {0, 0, 2, 4};
    int is_odd = one_in(8), has_none = one_in(2);
    int first = PICK(odd), second = PICK(none);
    return !waits && has_none ? second : is_odd ? first : NN_DONTWAIT;
}

static void send_parts(struct slot *slot, int handle, int flags)
{
    static unsigned char body[BODY_MAX];
    unsigned char control[CONTROL_MAX + 64] = {0};
    struct nn_iovec parts[5];
    size_t size = make_body(slot, body), used = 0;
    int count = below(5);
    for (int i = 0; i < count; i++) {
        size_t left = size - used;
        size_t length = i == count - 1 ? left : left == 0 ? 0 : (size_t)below((int)left + 1);
        parts[i] = (struct nn_iovec){length == 0 && one_in(2) ? NULL : body + used, length};
        used += length;
    }
    struct nn_msghdr header = {parts, count, NULL, (size_t)below(100)};
    if (!one_in(3)) {
        header.msg_controllen = make_control(slot, control);
        header.msg_control = control;
    }
    size_t words = header.msg_control ? header_words(control, header.msg_controllen) : 0;
    drain_around(may_be_discarded(slot, words));
    void *chunk = NULL;
    if (header.msg_control && one_in(4)) {
        chunk = nn_allocmsg(header.msg_controllen, 0);
        memcpy(chunk, control, header.msg_controllen);
        header.msg_control = &chunk;
        header.msg_controllen = NN_MSG;
    }
    note("nn_sendmsg(%d, %d parts, flags %d,", handle, count, flags);
    note_bytes("", body, used);
    note(" control %s %zd)", !header.msg_control ? "no" : chunk ? "chunk" : "yes",
         header.msg_controllen);
    errno = 0;
    note_sent(slot, nn_sendmsg(handle, &header, flags));
    drain_around(may_be_discarded(slot, words));
}

/* What is refused before anything is sent. */
static void send_nonsense(int handle, int flags)
{
    unsigned char body[8] = "nonsense";
    struct nn_iovec parts[3] = {{body, 4}, {body, 4}, {body, 4}};
    struct nn_msghdr header = {parts, 3, NULL, 0};
    const struct nn_msghdr *given = &header;
    int choice = below(6);
    switch (choice) {
    case 0: given = NULL; break;
    case 1: header.msg_iovlen = -1 - below(3); break;
    case 2: parts[below(3)].iov_len = NN_MSG; break;
    case 3: parts[1].iov_base = NULL; break;
    case 4: parts[2].iov_len = (size_t)-3; break;
    default:
        parts[0].iov_base = NULL;
        header.msg_iovlen = 1;
        break;
    }
    note("nn_sendmsg(%d, nonsense %d, flags %d)", handle, choice, flags);
    errno = 0;
    int result = nn_sendmsg(handle, given, flags);
    note_result(result, result < 0);
    note_end();
}

void call_send(void)
{
    static unsigned char body[BODY_MAX];
    struct slot *slot;
    int handle = handle_that(can_send, &slot), kind = below(8);
    int flags = flags_for(slot && slot->send_waits);
    if (slot && is_of(slot, NN_REP) && slot->is_stale)
        return;
    if (sequence.unreceived >= UNRECEIVED_MAX)
        drain();
    if (kind == 0) {
        send_nonsense(handle, flags);
        return;
    }
    before_asking(slot);
    if (kind < 4) {
        send_parts(slot, handle, flags);
        return;
    }
    size_t size = make_body(slot, body);
    drain_around(may_be_discarded(slot, 0));
    void *chunk = kind == 4 ? nn_allocmsg(size, 0) : NULL;
    if (chunk)
        memcpy(chunk, body, size);
    note("nn_send(%d,", handle);
    note_bytes(chunk ? "chunk" : "", body, size);
    note(", %d)", flags);
    errno = 0;
    int result = chunk ? nn_send(handle, &chunk, NN_MSG, flags)
                       : nn_send(handle, body, size, flags);
    int error = errno;
    if (chunk && result < 0) {
        note(memcmp(chunk, body, size) == 0 ? " kept" : " spoilt");
        nn_freemsg(chunk);
    }
    errno = error;
    note_sent(slot, result);
    drain_around(may_be_discarded(slot, 0));
}

/* Keeps what raw sockets need in order to answer. */
static void note_received_control(struct slot *slot, const unsigned char *control, size_t size)
{
    note_control(control, size, slot && slot->protocol == NN_BUS);
    if (slot && size <= CONTROL_MAX) {
        memcpy(slot->control, control, size);
        slot->control_size = size;
    }
}

/* The size of what a received control block holds. */
static size_t used_control(const unsigned char *control, size_t size)
{
    size_t length = 0;
    if (size >= sizeof(struct nn_cmsghdr))
        memcpy(&length, control, sizeof length);
    return length >= sizeof(struct nn_cmsghdr) && length <= size ? length : 0;
}

static int recv_parts(struct slot *slot, int handle, int flags)
{
    static const size_t sizes[] = {0, 1, 4, 16, 300, 4000};
    static const size_t control_sizes[] = {0, 8, 16, 23, 24, 31, 32, 64, CONTROL_MAX};
    static unsigned char body[5 * 4000];
    unsigned char control[CONTROL_MAX + 8];
    struct nn_iovec parts[4];
    size_t used = 0, room = control_sizes[below(9)];
    int count = below(5);
    void *chunk = NULL;
    for (int i = 0; i < count; i++) {
        size_t size = sizes[below(6)];
        parts[i] = (struct nn_iovec){body + used, size};
        used += size;
    }
    if (count > 1 && one_in(10))
        parts[below(count)].iov_len = NN_MSG;
    struct nn_msghdr header = {parts, count, one_in(4) ? NULL : control, room};
    int takes_chunk = header.msg_control && one_in(3);
    if (takes_chunk) {
        header.msg_control = &chunk;
        header.msg_controllen = NN_MSG;
    }
    memset(body, 0xee, sizeof body);
    memset(control, 0xee, sizeof control);
    note("nn_recvmsg(%d, %d parts of %zu, flags %d, control %s %zu)", handle, count, used, flags,
         header.msg_control ? takes_chunk ? "chunk" : "yes" : "no", room);
    errno = 0;
    int result = nn_recvmsg(handle, &header, flags), error = errno;
    note_result(result, result < 0);
    /* The reference fills what comes before a misplaced NN_MSG. */
    if (result >= 0 || error != EINVAL)
        note_bytes("", body, sizeof body);
    if (result >= 0 && chunk) {
        note_received_control(slot, chunk, used_control(chunk, 24 + 64));
        nn_freemsg(chunk);
    } else if (result >= 0 && header.msg_control == control) {
        note_received_control(slot, control, used_control(control, room));
        note(" %02x", control[room]);
    }
    note_end();
    return result;
}

static int recv_plain(int handle, int flags)
{
    static const size_t sizes[] = {0, 1, 4, 300, BODY_MAX + HEADER_MAX};
    unsigned char body[BODY_MAX + HEADER_MAX + 1];
    size_t size = sizes[below(5)];
    void *chunk = body;
    int takes_chunk = one_in(4);
    memset(body, 0xee, sizeof body);
    note("nn_recv(%d, %s%zu, %d)", handle, takes_chunk ? "chunk " : "", size, flags);
    errno = 0;
    int result = takes_chunk ? nn_recv(handle, &chunk, NN_MSG, flags)
                             : nn_recv(handle, size == 0 ? NULL : body, size, flags);
    note_result(result, result < 0);
    if (takes_chunk && result >= 0) {
        note_bytes("", chunk, (size_t)result);
        nn_freemsg(chunk);
    } else if (!takes_chunk) {
        note_bytes("", body, sizeof body);
    }
    note_end();
    return result;
}

void call_recv(void)
{
    struct slot *slot;
    int handle = handle_that(can_recv, &slot);
    int flags = flags_for(slot && slot->recv_waits);
    if (slot)
        slot->control_size = 0;
    if (one_in(16)) {
        struct nn_msghdr header = {NULL, -1, NULL, 0};
        int is_null = one_in(2);
        note("nn_recvmsg(%d, %s, flags %d)", handle, is_null ? "NULL" : "-1 parts", flags);
        errno = 0;
        int result = nn_recvmsg(handle, is_null ? NULL : &header, flags);
        note_result(result, result < 0);
        note_end();
    } else {
        int result = one_in(2) ? recv_parts(slot, handle, flags) : recv_plain(handle, flags);
        if (slot && result >= 0)
            slot->is_stale = 0;
    }
    settle();
}

void drain(void)
{
    for (int round = 0; sequence.unreceived > 0 && round < 64; round++) {
        int received = 0;
        for (int i = 0; i < SLOTS; i++) {
            struct slot *slot = &sequence.slots[i];
            unsigned char body[BODY_MAX + HEADER_MAX];
            int result;
            if (!slot->is_open || !can_recv(slot->protocol))
                continue;
            do {
                errno = 0;
                result = nn_recv(slot->handle, body, sizeof body, NN_DONTWAIT);
                note("  nn_recv(%d)", slot->handle);
                note_result(result, result < 0);
                if (result >= 0)
                    note_bytes("", body, (size_t)result);
                note_end();
                received += result >= 0;
                slot->is_stale &= result < 0;
                slot->control_size = 0;
                settle();
            } while (result >= 0);
        }
        /* Taking one may have let another one go. */
        if (received == 0)
            sequence.unreceived = 0;
    }
}

void call_poll(void)
{
    static const int wanted[] = {NN_POLLIN, NN_POLLOUT, NN_POLLIN | NN_POLLOUT, 0, 4, 0x70};
    struct nn_pollfd entries[4];
    int count = below(5);
    for (int i = 0; i < count; i++) {
        struct slot *slot;
        int events = PICK(wanted), handle = any_handle(&slot);
        if (!slot && one_in(2))
            events = 0;
        /* A SUB may or may not show what it is going to discard (core-quirks A-52). */
        if (slot && slot->protocol == NN_SUB && slot->endpoint_count > 0)
            events &= ~NN_POLLIN;
        entries[i] = (struct nn_pollfd){handle, (short)events, 0x55};
    }
    note("nn_poll(");
    for (int i = 0; i < count; i++)
        note("{%d %d} ", entries[i].fd, entries[i].events);
    note("0)");
    errno = 0;
    int result = nn_poll(entries, count, 0);
    note_result(result, result < 0);
    for (int i = 0; i < count; i++)
        note(" %x", entries[i].revents);
    note_end();
}

/* nn_allocmsg, nn_reallocmsg, nn_freemsg. */
void call_message(void)
{
    static const size_t sizes[] = {0, 1, 16, 100, 5000, (size_t)-1, (size_t)-20, (size_t)-33};
    size_t size = sizes[below(8)], next = sizes[below(5)];
    int type = one_in(4) ? below(5) - 2 : 0;
    errno = 0;
    unsigned char *chunk = nn_allocmsg(size, type);
    note("nn_allocmsg(%zd, %d)", (ssize_t)size, type);
    note_result(chunk != NULL, !chunk);
    if (chunk) {
        memset(chunk, 'm', size);
        errno = 0;
        unsigned char *moved = nn_reallocmsg(chunk, next);
        note(" nn_reallocmsg(%zu)", next);
        note_result(!moved ? -1 : moved == chunk, !moved);
        note_bytes("", moved, size < next ? size : next);
        note(" nn_freemsg = %d", nn_freemsg(moved));
    }
    note_end();
}
