/* What a sequence knows of its sockets, and what it therefore must not do: the reference crashes
 * on some of it (core-quirks B), and some of it depends on time. */

#include "differential.h"

#include <stdio.h>
#include <string.h>

struct sequence sequence;
int first_port;

/* splitmix64 */
uint64_t random_word(void)
{
    uint64_t z = sequence.random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

int below(int limit)
{
    return (int)(random_word() % (uint64_t)limit);
}

int one_in(int count)
{
    return below(count) == 0;
}

int pick(const int *values, int count)
{
    return values[below(count)];
}

int slot_number(const struct slot *slot)
{
    return (int)(slot - sequence.slots);
}

struct slot *any_open(void)
{
    struct slot *open[SLOTS];
    int count = 0;
    for (int i = 0; i < SLOTS; i++)
        if (sequence.slots[i].is_open)
            open[count++] = &sequence.slots[i];
    int choice = below(SLOTS * 60);
    return count > 0 ? open[choice % count] : NULL;
}

int is_live(int handle)
{
    for (int i = 0; i < SLOTS; i++)
        if (sequence.slots[i].is_open && sequence.slots[i].handle == handle)
            return 1;
    return 0;
}

int bad_handle(void)
{
    static const int bad[] = {-1, -5, 511, 512, 513, 2147483647, -2147483647 - 1, 0, 1, 2, 5};
    for (;;) {
        int handle = PICK(bad);
        if (!is_live(handle))
            return handle;
    }
}

int any_handle(struct slot **slot)
{
    int is_bad = one_in(20);
    *slot = any_open();
    if (!*slot || is_bad) {
        *slot = NULL;
        return bad_handle();
    }
    return (*slot)->handle;
}

int handle_that(int (*can)(int protocol), struct slot **slot)
{
    int handle = any_handle(slot), start = below(SLOTS), is_random = one_in(6);
    for (int i = 0; i < SLOTS && *slot && !is_random; i++) {
        struct slot *other = &sequence.slots[(start + i) % SLOTS];
        if (other->is_open && other->endpoint_count > 0 && can(other->protocol)) {
            *slot = other;
            return other->handle;
        }
    }
    return handle;
}

int can_send(int protocol)
{
    return protocol != NN_SUB && protocol != NN_PULL;
}

int can_recv(int protocol)
{
    return protocol != NN_PUB && protocol != NN_PUSH;
}

int peer_of(int protocol)
{
    switch (protocol) {
    case NN_PUB: return NN_SUB;
    case NN_SUB: return NN_PUB;
    case NN_REQ: return NN_REP;
    case NN_REP: return NN_REQ;
    case NN_PUSH: return NN_PULL;
    case NN_PULL: return NN_PUSH;
    case NN_SURVEYOR: return NN_RESPONDENT;
    case NN_RESPONDENT: return NN_SURVEYOR;
    default: return protocol;
    }
}

int is_of(const struct slot *slot, int protocol)
{
    return slot->domain == AF_SP && slot->protocol == protocol;
}

/* How many endpoints that PAIRs have at that address, or that anybody bound there. */
static int count_at(int address, int is_bound, int only_pairs, struct slot **owner)
{
    int count = 0;
    for (int i = 0; i < SLOTS; i++) {
        struct slot *slot = &sequence.slots[i];
        if (!slot->is_open || (only_pairs && slot->protocol != NN_PAIR))
            continue;
        for (int j = 0; j < slot->endpoint_count; j++)
            if (slot->endpoints[j].address == address && slot->endpoints[j].is_bound == is_bound) {
                count++;
                if (owner)
                    *owner = slot;
            }
    }
    return count;
}

static int has_room(const struct slot *slot)
{
    /* The reference dies of a PAIR with two pipes, even to itself: core-quirks B-29 to B-31. */
    return slot->endpoint_count < (slot->protocol == NN_PAIR ? 1 : ENDPOINTS_MAX)
           && !sequence.is_ring_moved[slot->protocol / 16];
}

int may_bind(const struct slot *slot, int address)
{
    if (!has_room(slot))
        return 0;
    if (address < INPROC_NAMES)
        return 1;
    return !slot->is_ipv6 && !sequence.is_tainted[address - INPROC_NAMES];
}

int may_connect(const struct slot *slot, int address)
{
    struct slot *owner = NULL;
    if (!has_room(slot))
        return 0;
    if (slot->protocol == NN_PAIR && count_at(address, 0, 1, NULL) > 0)
        return 0;
    if (address < INPROC_NAMES)
        return 1;
    /* Who finds nobody, or the wrong one, tries again and again: that takes time. */
    return !slot->is_ipv6 && !sequence.is_tainted[address - INPROC_NAMES]
           && count_at(address, 1, 0, &owner) == 1 && peer_of(owner->protocol) == slot->protocol;
}

void add_endpoint(struct slot *slot, int id, int address, int is_bound)
{
    slot->endpoints[slot->endpoint_count++] = (struct endpoint){id, address, is_bound};
    if (address >= INPROC_NAMES)
        slot->has_tcp = 1;
    else
        slot->has_inproc = 1;
    if (!is_bound) {
        sequence.dialers++;
        sequence.tcp_dialers += address >= INPROC_NAMES;
    }
    sequence.unreceived += sequence.has_asked;
}

/* A tcp port whose listener is gone is not used again: its dialers try it when they like, and in
 * the reference it is free only a little later (core-quirks A-6). */
void remove_endpoint(struct slot *slot, int place)
{
    struct endpoint gone = slot->endpoints[place];
    if (gone.address >= INPROC_NAMES && gone.is_bound) {
        sequence.is_tainted[gone.address - INPROC_NAMES] = 1;
        for (int i = 0; i < SLOTS; i++)
            sequence.slots[i].has_lost |= sequence.slots[i].has_tcp;
    }
    slot->endpoints[place] = slot->endpoints[--slot->endpoint_count];
    sequence.unreceived += sequence.has_asked;
}

int tcp_connections(const struct slot *slot, int place)
{
    struct endpoint endpoint = slot->endpoints[place];
    if (endpoint.address < INPROC_NAMES)
        return 0;
    return count_at(endpoint.address, !endpoint.is_bound, 0, NULL);
}

int is_connected_to_itself(const struct slot *slot)
{
    for (int i = 0; i < slot->endpoint_count; i++)
        for (int j = 0; j < i; j++)
            if (slot->endpoints[i].address == slot->endpoints[j].address
                && slot->endpoints[i].is_bound != slot->endpoints[j].is_bound)
                return 1;
    return 0;
}

const char *address_text(int address)
{
    static char text[64];
    if (address < INPROC_NAMES)
        snprintf(text, sizeof text, "inproc://%c", 'a' + address);
    else
        snprintf(text, sizeof text, "tcp://127.0.0.1:%d", first_port + address - INPROC_NAMES);
    return text;
}

const char *address_name(int address)
{
    static char text[64];
    if (address < INPROC_NAMES)
        return address_text(address);
    snprintf(text, sizeof text, "tcp://127.0.0.1:P%d", address - INPROC_NAMES);
    return text;
}
