/* Calls that set and get options. */

#include "differential.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>

static const int INTS[] = {-2147483647 - 1, -5, -1, 0, 1, 2, 3, 8, 15, 16, 17, 100, 200, 254, 255,
                           256, 4096, 65536, 200000, 1048576, 2147483647};

static void set_bytes(int handle, int level, int option, const void *value, size_t size)
{
    note("nn_setsockopt(%d, %d, %d,", handle, level, option);
    if (value && size <= 200)
        note_bytes("", value, size);
    else
        note(" NULL, %zu", size);
    note(")");
    errno = 0;
    int result = nn_setsockopt(handle, level, option, value, size);
    note_result(result, result < 0);
    note_end();
}

/* Whether a sequence may set that value, which the library would accept, without depending on time
 * or on what the kernel makes of it. */
static int is_harmless(const struct slot *slot, int option, int value)
{
    switch (option) {
    case NN_SNDBUF:
    case NN_RCVBUF:
        /* Two pipes want that much; over tcp it should be a multiple of all that is ever sent. */
        return value <= 0 || (value >= (sequence.has_tcp ? 65536 : 1) && value <= 200000);
    case NN_RECONNECT_IVL:
        return value < 0 || value == 2147483647;
    case NN_RECONNECT_IVL_MAX:
        return value <= 0 || value == 2147483647;
    case NN_RCVMAXSIZE:
        return !sequence.has_tcp || value < -1 || value >= 4096 || value == -1;
    case NN_LINGER:
        return value >= 0 && value < 100;
    case NN_IPV4ONLY:
        return !slot || !slot->has_tcp;
    default:
        return 1;
    }
}

static void remember(struct slot *slot, int option, int value)
{
    if (option == NN_SNDTIMEO)
        slot->send_waits = value < 0 || value > 2;
    if (option == NN_RCVTIMEO)
        slot->recv_waits = value < 0 || value > 2;
    if (option == NN_IPV4ONLY && value == 0)
        slot->is_ipv6 = 1;
}

static void set_generic(struct slot *slot, int handle)
{
    char name[80] = "a name that is longer than sixty-three bytes, which is too much for it.";
    static const size_t lengths[] = {0, 1, 3, 5, 8, 63, 64};
    int option = below(20), value = PICK(INTS);
    size_t length = lengths[below(7)];
    if (option == NN_SOCKET_NAME) {
        set_bytes(handle, NN_SOL_SOCKET, option, one_in(8) ? NULL : name, length);
        return;
    }
    if (one_in(5)) {
        char bytes[64] = {1};
        set_bytes(handle, NN_SOL_SOCKET, option, one_in(4) ? NULL : bytes, length);
        return;
    }
    if (!is_harmless(slot, option, value))
        return;
    set_bytes(handle, NN_SOL_SOCKET, option, &value, sizeof value);
    if (slot)
        remember(slot, option, value);
}

static void set_of_transport(int handle)
{
    static const int levels[] = {NN_TCP, NN_TCP, NN_WS, NN_WS, NN_IPC, NN_INPROC, -5, -100};
    static const int values[] = {-1, 0, 1, 2, 3, 4096};
    static const size_t lengths[] = {0, 1, 3, 4, 4, 4, 4, 5, 8};
    int64_t value = PICK(values);
    int level = PICK(levels), option = below(5);
    size_t length = lengths[below(9)];
    /* It keeps the address that it was given. */
    if (level == NN_IPC && option == NN_IPC_SEC_ATTR)
        return;
    set_bytes(handle, level, option, one_in(10) ? NULL : &value, length);
}

static void set_of_protocol(int handle)
{
    static const int levels[] = {NN_REQ, NN_REQ, NN_SURVEYOR, NN_SURVEYOR, NN_PAIR, NN_PUB, NN_REP,
                                 NN_PUSH, NN_PULL, NN_RESPONDENT, NN_BUS, 1, 500};
    /* Not below one, and not soon (the reference floods or aborts). */
    static const int values[] = {3600000, 7200000, 2147483647};
    static const size_t lengths[] = {0, 1, 3, 4, 4, 4, 8};
    int64_t value = PICK(values);
    int level = PICK(levels), option = one_in(4) ? below(4) : 1;
    size_t length = lengths[below(7)];
    set_bytes(handle, level, option, one_in(10) ? NULL : &value, length);
}

void call_set_option(void)
{
    struct slot *slot;
    int handle = any_handle(&slot);
    switch (below(5)) {
    case 0: set_of_transport(handle); break;
    case 1: set_of_protocol(handle); break;
    default: set_generic(slot, handle); break;
    }
}

static const char *const TOPICS[] = {"", "a", "b", "ab", "ba", "abb", "aa"};

void call_subscribe(void)
{
    struct slot *slot = any_open();
    /* A second look makes it likely that there is one. */
    for (int i = 0; i < SLOTS && !one_in(4); i++)
        if (sequence.slots[i].is_open && sequence.slots[i].protocol == NN_SUB)
            slot = &sequence.slots[i];
    int topic = below(7), place = below(TOPICS_MAX), leaves = one_in(3);
    if (!slot)
        return;
    if (slot->protocol != NN_SUB) {
        set_bytes(slot->handle, NN_SUB, 1 + leaves, TOPICS[topic], strlen(TOPICS[topic]));
        return;
    }
    if (leaves && slot->topic_count > 0) {
        /* Only what is there: of the rest the reference dies (core-quirks B-26). */
        place %= slot->topic_count;
        topic = slot->topics[place];
        slot->topics[place] = slot->topics[--slot->topic_count];
        set_bytes(slot->handle, NN_SUB, NN_SUB_UNSUBSCRIBE, TOPICS[topic], strlen(TOPICS[topic]));
    } else if (slot->topic_count < TOPICS_MAX) {
        slot->topics[slot->topic_count++] = topic;
        set_bytes(slot->handle, NN_SUB, NN_SUB_SUBSCRIBE, TOPICS[topic], strlen(TOPICS[topic]));
    }
}

static void note_descriptor(const struct slot *slot, int option, int descriptor)
{
    struct pollfd look = {descriptor, POLLIN, 0};
    /* Whoever was not asked before may need a moment to see what has arrived. */
    settle();
    note(" %s", fcntl(descriptor, F_GETFD) == FD_CLOEXEC ? "descriptor" : "something else");
    /* A SUB may or may not show what it is going to discard (core-quirks A-52). */
    if (option == NN_SNDFD || slot->protocol != NN_SUB)
        note(" %d", poll(&look, 1, 0));
}

void call_get_option(void)
{
    static const int levels[] = {0, 0, 0, 0, 0, 0, 0, NN_TCP, NN_WS, NN_IPC, NN_INPROC, -9, NN_SUB,
                                 NN_REQ, NN_SURVEYOR, NN_PAIR, NN_BUS, 1};
    static const size_t sizes[] = {4, 4, 4, 0, 1, 2, 3, 5, 8, 64};
    unsigned char bytes[80];
    struct slot *slot;
    int handle = any_handle(&slot), level = PICK(levels), option = below(level == 0 ? 20 : 5);
    size_t size = sizes[below(10)], given;
    if (level == NN_IPC && size < 8)
        size = 8; /* core-quirks B-21 */
    given = size;
    memset(bytes, 0xee, sizeof bytes);
    int is_null = one_in(16);
    note("nn_getsockopt(%d, %d, %d, %s%zu)", handle, level, option, is_null ? "NULL, " : "", size);
    errno = 0;
    int result = nn_getsockopt(handle, level, option, is_null ? NULL : bytes, &size);
    note_result(result, result < 0);
    note(" size %zu", size);
    if (result == 0 && level == 0 && (option == NN_SNDFD || option == NN_RCVFD)) {
        int descriptor;
        memcpy(&descriptor, bytes, sizeof descriptor);
        if (given >= sizeof descriptor)
            note_descriptor(slot, option, descriptor);
        memset(bytes, 0, given < sizeof descriptor ? given : sizeof descriptor);
    }
    note_bytes("", bytes, 66);
    note_end();
}
