/* One PUB and 64 SUBs that want different things: each gets exactly what it subscribed to, once, in
 * order, however many of its topics match (protocols 6).
 *
 *   publish inproc|ipc|tcp [EFFORT [SEED]] */

#include "scenarios.h"

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/random.h"
#include "support/sockets.h"
#include "support/thread.h"
#include "support/trial.h"

#include <nanomsg/nn.h>
#include <nanomsg/pubsub.h>

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* A burst fits into the buffers of every subscriber: a publisher drops what does not. */
enum { SUBSCRIBERS = 64, BURST = 40, ROUNDS = 25, QUIET_MS = 100 };

/* The rest of the topic is NULs, which no subscription contains. */
struct news {
    char topic[24];
    uint32_t number;
};

struct subscriber {
    struct thread thread;
    int number;
    int s;
    /* What it has received, and the round that it has seen the end of. */
    uint64_t count, digest;
    uint32_t rounds_done;
    /* What it should have received, as the publisher counts. */
    uint64_t count_expected, digest_expected;
};

static struct subscriber subscribers[SUBSCRIBERS];
static int rounds;

/* One of its own, one of its group of eight, and one within that of its group. */
static void subscribe_to_its_topics(const struct subscriber *subscriber)
{
    char topic[24];
    snprintf(topic, sizeof topic, "own/%02d", subscriber->number);
    subscribe(subscriber->s, topic);
    snprintf(topic, sizeof topic, "group/%d", subscriber->number % 8);
    subscribe(subscriber->s, topic);
    snprintf(topic, sizeof topic, "group/%d/sport", subscriber->number % 8);
    subscribe(subscriber->s, topic);
    subscribe(subscriber->s, "end of round");
}

static uint64_t digest_after(uint64_t digest, const struct news *news)
{
    uint64_t state = digest + news->number;
    for (size_t i = 0; i < sizeof news->topic; i++)
        state = state * 31 + (unsigned char)news->topic[i];
    return next_random(&state);
}

static void *read_news(void *argument)
{
    struct subscriber *subscriber = argument;
    struct news news;
    while (subscriber->rounds_done < (uint32_t)rounds) {
        int size = nn_recv(subscriber->s, &news, sizeof news, 0);
        if (size != sizeof news) {
            FAIL("subscriber %d: size %d, errno %d (%s)", subscriber->number, size, errno,
                 nn_strerror(errno));
            return NULL;
        }
        if (strcmp(news.topic, "end of round") == 0) {
            __atomic_store_n(&subscriber->rounds_done, news.number + 1, __ATOMIC_RELEASE);
        } else {
            subscriber->count++;
            subscriber->digest = digest_after(subscriber->digest, &news);
        }
    }
    return NULL;
}

/* Some for one, some for a group, some for nobody. */
static void publish(int s, uint64_t *state, uint32_t number)
{
    struct news news = {"", number};
    int one = -1, group = -1;
    switch (random_below(state, 5)) {
    case 0:
        group = random_below(state, 8);
        snprintf(news.topic, sizeof news.topic, "group/%d/sport/%d", group,
                 random_below(state, 100));
        break;
    case 1:
        group = random_below(state, 8);
        snprintf(news.topic, sizeof news.topic, "group/%d/weather", group);
        break;
    case 2:
        snprintf(news.topic, sizeof news.topic, "own/%d", random_below(state, 10));
        break;
    default:
        one = random_below(state, SUBSCRIBERS);
        snprintf(news.topic, sizeof news.topic, "own/%02d/%d", one, random_below(state, 100));
    }
    for (int i = 0; i < SUBSCRIBERS; i++)
        if (i == one || i % 8 == group) {
            subscribers[i].count_expected++;
            subscribers[i].digest_expected = digest_after(subscribers[i].digest_expected, &news);
        }
    CHECK_EQ(nn_send(s, &news, sizeof news, 0), sizeof news);
}

static void check_round(int round)
{
    for (int i = 0; i < SUBSCRIBERS && !case_failed(); i++) {
        struct subscriber *subscriber = &subscribers[i];
        CHECK(wait_until(__atomic_load_n(&subscriber->rounds_done, __ATOMIC_ACQUIRE)
                         == (uint32_t)round + 1, SCENARIO_PATIENCE_MS));
        CHECK_EQ(subscriber->count, subscriber->count_expected);
        CHECK(subscriber->digest == subscriber->digest_expected);
    }
}

static void each_gets_what_it_subscribed_to(void)
{
    struct url url = unique_url(trial.scheme);
    uint64_t state = trial.seed;
    int s = open_patient(AF_SP, NN_PUB);
    rounds = ROUNDS * trial.effort;
    CHECK_OK(nn_bind(s, url.text));
    for (int i = 0; i < SUBSCRIBERS; i++) {
        subscribers[i].number = i;
        subscribers[i].s = open_patient(AF_SP, NN_SUB);
        subscribe_to_its_topics(&subscribers[i]);
        CHECK_OK(nn_connect(subscribers[i].s, url.text));
        thread_start(&subscribers[i].thread, read_news, &subscribers[i]);
    }
    wait_connections(s, SUBSCRIBERS);
    for (int round = 0; round < rounds && !case_failed(); round++) {
        struct news end = {"end of round", (uint32_t)round};
        for (int i = 0; i < BURST; i++)
            publish(s, &state, (uint32_t)(round * BURST + i));
        CHECK_EQ(nn_send(s, &end, sizeof end, 0), sizeof end);
        check_round(round);
    }
    for (int i = 0; i < SUBSCRIBERS; i++)
        scenario_join(&subscribers[i].thread);
    check_hears_nothing(subscribers[0].s, QUIET_MS);
    for (int i = 0; i < SUBSCRIBERS; i++)
        CHECK_CLOSE(subscribers[i].s);
    CHECK_CLOSE(s);
}

int main(int count, char **words)
{
    trial_begin("scenarios/publish", "inproc|ipc|tcp", 85, count, words);
    RUN(each_gets_what_it_subscribed_to);
    RUN(nothing_is_left);
    return test_end();
}
