/* Calls about sockets and their endpoints. */

#include "differential.h"

#include <errno.h>
#include <string.h>

static const int PROTOCOLS[] = {NN_PAIR, NN_PUB, NN_SUB, NN_REQ, NN_REP, NN_PUSH, NN_PULL,
                                NN_SURVEYOR, NN_RESPONDENT, NN_BUS};

static void set(struct slot *slot, int option, const char *name, int value)
{
    note("  nn_setsockopt(%d, 0, %s, %d)", slot->handle, name, value);
    errno = 0;
    int result = nn_setsockopt(slot->handle, NN_SOL_SOCKET, option, &value, sizeof value);
    note_result(result, result < 0);
    note_end();
}

/* A peer of a socket that is there, or else anything. */
static int useful_protocol(void)
{
    struct slot *other = any_open();
    int protocol = PICK(PROTOCOLS);
    return other && !one_in(3) ? peer_of(other->protocol) : protocol;
}

void call_socket(void)
{
    static const int domains[] = {0, 3, -1, 16, AF_SP, AF_SP_RAW};
    static const int protocols[] = {0, 1, 15, 17, 31, 34, 50, 64, 82, 96, 97, 100, 113, -16, 4242};
    struct slot *slot = NULL;
    for (int i = 0; i < SLOTS && !slot; i++)
        if (!sequence.slots[i].is_open)
            slot = &sequence.slots[i];
    int is_bad = one_in(12);
    int domain = is_bad ? PICK(domains) : one_in(3) ? AF_SP_RAW : AF_SP;
    int protocol = is_bad ? PICK(protocols) : useful_protocol();
    if (!slot)
        return;
    note("nn_socket(%d, %d)", domain, protocol);
    errno = 0;
    int handle = nn_socket(domain, protocol);
    note_result(handle, handle < 0);
    note_end();
    if (handle < 0)
        return;
    memset(slot, 0, sizeof *slot);
    slot->is_open = 1;
    slot->handle = handle;
    slot->domain = domain;
    slot->protocol = protocol;
    /* Nothing may happen by itself later on. */
    set(slot, NN_SNDTIMEO, "NN_SNDTIMEO", 0);
    set(slot, NN_RCVTIMEO, "NN_RCVTIMEO", 0);
    if (sequence.has_tcp)
        set(slot, NN_RECONNECT_IVL, "NN_RECONNECT_IVL", 3600000);
    if (is_of(slot, NN_SURVEYOR)) {
        int deadline = 3600000;
        nn_setsockopt(handle, NN_SURVEYOR, NN_SURVEYOR_DEADLINE, &deadline, sizeof deadline);
    }
}

void close_slot(struct slot *slot)
{
    /* What the reference loses when a sender leaves (core-quirks C-5) must have been received. */
    drain();
    int is_alone = is_connected_to_itself(slot), others = connections_beside(slot);
    others -= (int)nn_get_statistic(slot->handle, NN_STAT_CURRENT_CONNECTIONS);
    note("nn_close(%d)", slot->handle);
    errno = 0;
    int result = nn_close(slot->handle);
    note_result(result, result < 0);
    note_end();
    if (!is_alone && slot->has_tcp)
        await_connections(slot, others);
    while (slot->endpoint_count > 0)
        remove_endpoint(slot, 0);
    slot->is_open = 0;
    settle();
}

/* The reference ends the pipes one after the other, and asks again through those that are left. */
static int would_ask_again(const struct slot *slot)
{
    return is_of(slot, NN_REQ) && sequence.has_asked
           && nn_get_statistic(slot->handle, NN_STAT_CURRENT_CONNECTIONS) > 1;
}

void call_close(void)
{
    struct slot *slot;
    int handle = any_handle(&slot);
    if (slot && would_ask_again(slot))
        return;
    if (slot) {
        close_slot(slot);
        return;
    }
    note("nn_close(%d)", handle);
    errno = 0;
    int result = nn_close(handle);
    note_result(result, result < 0);
    note_end();
}

/* An address where a peer is, and what to do there, or else any. */
static int useful_address(const struct slot *slot, int *is_bound)
{
    int choice = below(sequence.has_tcp ? ADDRESSES : INPROC_NAMES);
    int start = below(SLOTS), is_random = one_in(5);
    if (sequence.has_tcp && one_in(2))
        choice = INPROC_NAMES + below(TCP_PORTS);
    for (int i = 0; i < SLOTS && !is_random; i++) {
        const struct slot *other = &sequence.slots[(start + i) % SLOTS];
        if (!other->is_open || other->endpoint_count == 0
            || other->protocol != peer_of(slot->protocol) || other == slot)
            continue;
        *is_bound = !other->endpoints[0].is_bound;
        return other->endpoints[0].address;
    }
    return choice;
}

void call_endpoint(void)
{
    struct slot *slot;
    int handle = any_handle(&slot);
    int is_bound = below(2);
    int address = slot ? useful_address(slot, &is_bound) : 0;
    if (slot && is_bound && !may_bind(slot, address))
        is_bound = 0;
    if (slot && !is_bound && !may_connect(slot, address))
        return;
    int is_tcp = slot && address >= INPROC_NAMES;
    /* A question that waits for a peer would come over another stream than what is there. */
    if (is_tcp && sequence.has_asked)
        drain();
    int connections = is_tcp ? connections_beside(NULL) : 0;
    note("%s(%d, %s)", is_bound ? "nn_bind" : "nn_connect", handle, address_name(address));
    errno = 0;
    int id = is_bound ? nn_bind(handle, address_text(address))
                      : nn_connect(handle, address_text(address));
    note_result(id, id < 0);
    note_end();
    if (slot && id >= 0)
        add_endpoint(slot, id, address, is_bound);
    if (is_tcp && !is_bound && id >= 0)
        await_connections(NULL, connections + 2);
    settle();
}

void call_shutdown(void)
{
    static const int bad[] = {0, -1, 77, 2147483647};
    struct slot *slot;
    int handle = any_handle(&slot);
    int place = slot && slot->endpoint_count > 0 && !one_in(4) ? below(slot->endpoint_count) : -1;
    int id = place >= 0 ? slot->endpoints[place].id : PICK(bad);
    if (place >= 0 && would_ask_again(slot))
        return;
    int connections = 0, is_tcp = place >= 0 && slot->endpoints[place].address >= INPROC_NAMES;
    if (place >= 0)
        drain();
    if (is_tcp)
        connections = connections_beside(NULL) - 2 * tcp_connections(slot, place);
    note("nn_shutdown(%d, %d)", handle, id);
    errno = 0;
    int result = nn_shutdown(handle, id);
    note_result(result, result < 0);
    note_end();
    if (is_tcp)
        await_connections(NULL, connections);
    if (place >= 0)
        remove_endpoint(slot, place);
    settle();
}

void call_bad_address(void)
{
    static const char *const addresses[] = {
        "", ":", "/", "inproc", "inproc:", "inproc:/x", "a:b://c", "://x", "INPROC://a", "udp://a",
        "tcp://", "tcp://127.0.0.1", "tcp://127.0.0.1:", "tcp://127.0.0.1:x", "tcp://127.0.0.1:-1",
        "tcp://127.0.0.1:65536", "tcp://127.0.0.1:99999999999", "tcp://:5555x", "tcp:// :5555",
        "tcp", "tcp:", "tcp:127.0.0.1:5555", "Tcp://127.0.0.1:5555", " tcp://127.0.0.1:5555",
        "tcp://nosuchif0;127.0.0.1:5555", "ws://127.0.0.1:x", "ws://", "ipc",
        "ipc:/x", "ws:", "tcpmux://x:1", "inproc//:a",
    };
    char address[200];
    const int count = (int)(sizeof addresses / sizeof addresses[0]);
    struct slot *slot;
    int handle = any_handle(&slot), choice = below(count + 3), is_bound = below(2);
    if (slot && slot->is_ipv6)
        return;
    if (choice < count) {
        strcpy(address, addresses[choice]);
    } else {
        /* From 128 on it is too long, whatever it says. */
        size_t length = choice == count + 2 ? 199 : 128;
        memset(address, 'x', sizeof address);
        memcpy(address, choice == count ? "inproc://" : "nothing//", 9);
        address[length] = 0;
    }
    const char *given = one_in(16) ? NULL : address;
    note("%s(%d, %s)", is_bound ? "nn_bind" : "nn_connect", handle, given ? given : "NULL");
    errno = 0;
    int result = is_bound ? nn_bind(handle, given) : nn_connect(handle, given);
    note_result(result, result < 0);
    note_end();
}

void call_statistic(void)
{
    static const int names[] = {101, 102, 103, 104, 105, 106, 107, 201, 201, 202, 203, 301, 302,
                                303, 304, 401, 401, 0, 100, 108, 204, 305, 402, -1};
    struct slot *slot;
    int handle = any_handle(&slot), name = PICK(names);
    note("nn_get_statistic(%d, %d)", handle, name);
    errno = 0;
    uint64_t value = nn_get_statistic(handle, name);
    note_result((long long)value, value == UINT64_MAX && errno != 0);
    /* What allowed.txt has to know. */
    if (slot)
        note("%s%s%s", slot->has_tcp ? " on tcp" : "", slot->has_inproc ? " on inproc" : "",
             slot->has_lost ? " without a listener" : "");
    note_end();
}

void call_symbol(void)
{
    struct nn_symbol_properties properties;
    unsigned char bytes[sizeof properties + 8];
    static const int lengths[] = {0, 1, 4, 8, 20, 28, 32, 40};
    int index = below(125) - 2, value = -77, length = PICK(lengths);
    errno = 0;
    const char *name = nn_symbol(index, one_in(4) ? NULL : &value);
    note("nn_symbol(%d) = %s %d", index, name ? name : "NULL", value);
    note_result(0, !name);
    memset(bytes, 0xee, sizeof bytes);
    memset(&properties, 0xee, sizeof properties);
    int size = nn_symbol_info(index, (struct nn_symbol_properties *)bytes, length);
    memcpy(&properties, bytes, size < 0 ? 0 : (size_t)size);
    note(" nn_symbol_info(%d) = %d %s %d", length, size, size >= 16 ? properties.name : "-",
         properties.value);
    note(" %d %d %d %02x", properties.ns, properties.type, properties.unit,
         bytes[size < 0 ? 0 : size]);
    note_end();
}

/* Whether the device would start and go on. */
static int would_run(const struct slot *first, const struct slot *second)
{
    if (first && second)
        return first->domain == AF_SP_RAW && second->domain == AF_SP_RAW
               && (first == second || first->protocol / 16 == second->protocol / 16);
    const struct slot *only = first ? first : second;
    return only && only->domain == AF_SP_RAW && can_recv(only->protocol);
}

void call_device(void)
{
    struct slot *first, *second;
    int s1 = any_handle(&first), s2 = any_handle(&second);
    if (one_in(4)) {
        s2 = -1 - below(2);
        second = NULL;
    }
    /* A bad number that is not negative fails, a negative one means a loopback. */
    if (would_run(first, second)
        && !((s1 >= 0 && !first) || (s2 >= 0 && !second)))
        return;
    note("nn_device(%d, %d)", s1, s2);
    errno = 0;
    int result = nn_device(s1, s2);
    note_result(result, result < 0);
    note_end();
}
