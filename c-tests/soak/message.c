/* Messages of the soak, and in which order they may come. */

#include "soak.h"

#include "support/check.h"
#include "support/random.h"

#include <stdlib.h>
#include <string.h>

enum { MAGIC = 0x736f616b, SMALL = 200, MIDDLE = 9000, LARGE = 300000 };

/* Mostly small; some are larger than a buffer of a message, few than one of a connection. */
static size_t random_size(uint64_t *state)
{
    int choice = random_below(state, 400);
    int most = choice == 0 ? LARGE : choice < 20 ? MIDDLE : SMALL;
    return sizeof(struct head) + (size_t)random_below(state, most);
}

static uint64_t number_of(const struct head *head)
{
    return head->number * 31 + head->incarnation * 7 + head->lane * 5 + head->process * 3
           + head->place;
}

/* What a socket's connections have been through. */
static uint64_t connections_of(int s)
{
    return nn_get_statistic(s, NN_STAT_ESTABLISHED_CONNECTIONS)
           + nn_get_statistic(s, NN_STAT_ACCEPTED_CONNECTIONS)
           + nn_get_statistic(s, NN_STAT_DROPPED_CONNECTIONS)
           + nn_get_statistic(s, NN_STAT_BROKEN_CONNECTIONS);
}

unsigned char *message_make(struct end *end, int s, size_t *size)
{
    *size = random_size(&end->random);
    unsigned char *body = malloc(*size);
    REQUIRE(body != NULL);
    struct head head = {
        .magic = MAGIC,
        .lane = (uint8_t)end->lane,
        .process = (uint8_t)end->process,
        .place = (uint8_t)end->place,
        .incarnation = SHARED(soak->processes[end->process].incarnation),
        .epoch = (uint64_t)end->serial << 32 | (connections_of(s) & 0xffffffff),
        .number = ++end->number,
    };
    memcpy(body, &head, sizeof head);
    fill_body(body + sizeof head, *size - sizeof head, number_of(&head));
    return body;
}

int message_is_whole(const unsigned char *body, size_t size, int lane)
{
    struct head head;
    if (size < sizeof head)
        return 0;
    memcpy(&head, body, sizeof head);
    return head.magic == MAGIC && head.lane == lane && head.place < PLACES
           && is_body(body + sizeof head, size - sizeof head, number_of(&head));
}

/* An epoch is looked at before a message is sent, so the last message of an epoch may already have
 * taken another connection, and only that one. All before it are known to have been on one, where
 * nobody overtakes. */
void message_in_order(struct end *end, const unsigned char *body)
{
    struct head head;
    memcpy(&head, body, sizeof head);
    struct heard *heard = &end->book->heard[head.place];
    const char *pattern = PATTERN_NAMES[soak->lanes[end->lane].pattern];
    const char *transport = TRANSPORT_NAMES[soak->lanes[end->lane].transport];
    if (head.incarnation < heard->incarnation)
        return;
    if (head.incarnation > heard->incarnation || head.epoch != heard->epoch) {
        *heard = (struct heard){head.incarnation, head.epoch, head.number, 0};
        return;
    }
    if (head.number == heard->last || head.number == heard->before)
        FAIL("%s on %s: number %llu of process %d came twice", pattern, transport,
             (unsigned long long)head.number, head.process);
    if (head.number < heard->before)
        FAIL("%s on %s: number %llu of process %d came behind %llu", pattern, transport,
             (unsigned long long)head.number, head.process, (unsigned long long)heard->before);
    if (head.number > heard->last) {
        heard->before = heard->last;
        heard->last = head.number;
    } else if (head.number > heard->before) {
        heard->before = head.number;
    }
}
