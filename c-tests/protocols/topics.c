/* SUB hears what it subscribed to at the moment when it receives (protocols 6.2). */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/readiness.h"
#include "support/sockets.h"
#include "support/talk.h"

#include <nanomsg/nn.h>
#include <nanomsg/pubsub.h>

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static int subscribe_bytes(int s, const void *topic, size_t size)
{
    return nn_setsockopt(s, NN_SUB, NN_SUB_SUBSCRIBE, topic, size);
}

static int unsubscribe_bytes(int s, const void *topic, size_t size)
{
    return nn_setsockopt(s, NN_SUB, NN_SUB_UNSUBSCRIBE, topic, size);
}

static int unsubscribe(int s, const char *topic)
{
    return unsubscribe_bytes(s, topic, strlen(topic));
}

/* A publisher and a subscriber over inproc, cooked or raw. */
static void open_pub_sub(int domain, int *pub, int *sub)
{
    struct url url = unique_url("inproc");
    *pub = open_socket(domain, NN_PUB);
    *sub = open_socket(domain, NN_SUB);
    CHECK_OK(nn_bind(*pub, url.text));
    CHECK_OK(nn_connect(*sub, url.text));
}

/* Publishes that text and tells what the subscriber hears. */
static const char *heard(int pub, int sub, const char *text)
{
    CHECK_EQ(send_now(pub, text), strlen(text));
    return recv_now(sub);
}

#define CHECK_HEARS(text) CHECK_STR(heard(pub, sub, (text)), (text))
#define CHECK_MISSES(text) CHECK_STR(heard(pub, sub, (text)), "EAGAIN")

/* protocols 6.2: a message that ends inside of a topic does not match it. The reference may read
 * past its end, and match what it finds there. */
#define CHECK_TOO_SHORT(text) do { if (!reference()) CHECK_MISSES(text); } while (0)

/* protocols 6.2, core-quirks A-72 */
static void a_new_subscriber_hears_nothing(void)
{
    for (int d = 0; d < 2; d++) {
        int pub, sub;
        open_pub_sub(DOMAINS[d], &pub, &sub);
        CHECK_MISSES("hello");
        CHECK_MISSES("");
        CHECK_EQ(nn_get_statistic(sub, NN_STAT_MESSAGES_RECEIVED), 0);
        CHECK_CLOSE(pub, sub);
    }
}

/* protocols 6.2: a topic is a prefix, byte by byte. */
static void a_topic_is_a_prefix(void)
{
    for (int d = 0; d < 2; d++) {
        int pub, sub;
        open_pub_sub(DOMAINS[d], &pub, &sub);
        subscribe(sub, "abc");
        CHECK_HEARS("abc");
        CHECK_HEARS("abcd");
        CHECK_HEARS("abcabc");
        CHECK_TOO_SHORT("ab");
        CHECK_TOO_SHORT("");
        CHECK_MISSES("abd");
        CHECK_MISSES("ABC");
        CHECK_MISSES(" abc");
        CHECK_MISSES("xabc");
        CHECK_EQ(nn_get_statistic(sub, NN_STAT_MESSAGES_RECEIVED), 3);
        CHECK_EQ(nn_get_statistic(sub, NN_STAT_BYTES_RECEIVED), 3 + 4 + 6);
        CHECK_CLOSE(pub, sub);
    }
}

/* protocols 6.2: NULL with length 0 is the empty topic, too (core-quirks A-17). */
static void the_empty_topic_is_everything(void)
{
    for (int i = 0; i < 4; i++) {
        int pub, sub;
        open_pub_sub(DOMAINS[i % 2], &pub, &sub);
        CHECK_EQ(subscribe_bytes(sub, i / 2 ? NULL : "", 0), 0);
        CHECK_HEARS("anything");
        CHECK_HEARS("");
        CHECK_EQ(unsubscribe_bytes(sub, i / 2 ? "" : NULL, 0), 0);
        CHECK_MISSES("anything");
        CHECK_MISSES("");
        CHECK_CLOSE(pub, sub);
    }
}

/* protocols 6.2: each message once, however many topics match. */
static void overlapping_topics_deliver_once(void)
{
    static const char *const topics[] = {"", "a", "ab", "abc", "abc", "abcd", "b"};
    for (int d = 0; d < 2; d++) {
        int pub, sub;
        open_pub_sub(DOMAINS[d], &pub, &sub);
        for (size_t i = 0; i < COUNT_OF(topics); i++)
            subscribe(sub, topics[i]);
        for (int i = 0; i < 3; i++) {
            CHECK_EQ(send_now(pub, "abcd"), 4);
            CHECK_EQ(send_now(pub, "z"), 1);
            CHECK_STR(recv_now(sub), "abcd");
            CHECK_STR(recv_now(sub), "z");
            CHECK_STR(recv_now(sub), "EAGAIN");
        }
        /* The others still count when some have gone. */
        CHECK_EQ(unsubscribe(sub, ""), 0);
        CHECK_EQ(unsubscribe(sub, "abc"), 0);
        CHECK_EQ(unsubscribe(sub, "ab"), 0);
        CHECK_HEARS("abcd");
        CHECK_HEARS("ax");
        CHECK_MISSES("z");
        CHECK_EQ(unsubscribe(sub, "a"), 0);
        CHECK_MISSES("abx");
        CHECK_HEARS("abc");
        CHECK_EQ(unsubscribe(sub, "abc"), 0);
        CHECK_TOO_SHORT("abc");
        CHECK_HEARS("abcde");
        CHECK_CLOSE(pub, sub);
    }
}

/* protocols 6.2: as many unsubscribes as subscribes, on any topic, the empty one included. */
static void subscriptions_are_counted(void)
{
    static const char *const topics[] = {"", "t", "topic", "top"};
    for (int d = 0; d < 2; d++)
        for (size_t i = 0; i < COUNT_OF(topics); i++) {
            int pub, sub;
            open_pub_sub(DOMAINS[d], &pub, &sub);
            for (int k = 0; k < 5; k++)
                subscribe(sub, topics[i]);
            for (int k = 0; k < 5; k++) {
                CHECK_HEARS("topical");
                CHECK_EQ(unsubscribe(sub, topics[i]), 0);
            }
            CHECK_MISSES("topical");
            subscribe(sub, topics[i]);
            CHECK_HEARS("topical");
            CHECK_EQ(unsubscribe(sub, topics[i]), 0);
            CHECK_MISSES("topical");
            CHECK_CLOSE(pub, sub);
        }
}

/* protocols 6.2, the rows in which the reference answers as we do. */
static void a_place_without_a_topic_cannot_be_unsubscribed(void)
{
    for (int d = 0; d < 2; d++) {
        int pub, sub;
        open_pub_sub(DOMAINS[d], &pub, &sub);
        CHECK_ERRNO(unsubscribe(sub, ""), -1, EINVAL);
        CHECK_ERRNO(unsubscribe_bytes(sub, NULL, 0), -1, EINVAL);
        subscribe(sub, "ab");
        subscribe(sub, "ac");
        CHECK_ERRNO(unsubscribe(sub, "a"), -1, EINVAL);
        CHECK_HEARS("ab");
        CHECK_HEARS("ac");
        CHECK_MISSES("ad");
        CHECK_CLOSE(pub, sub);
    }
}

/* protocols 6.2, core-quirks B-26: the rows where spmsg has an answer of its own. */
static void an_unknown_topic_cannot_be_unsubscribed(void)
{
    for (int d = 0; d < 2; d++) {
        int pub, sub;
        open_pub_sub(DOMAINS[d], &pub, &sub);
        CHECK_ERRNO(unsubscribe(sub, "none"), -1, EINVAL);
        subscribe(sub, "abc");
        CHECK_EQ(unsubscribe(sub, "abc"), 0);
        CHECK_ERRNO(unsubscribe(sub, "abc"), -1, EINVAL);
        CHECK_ERRNO(unsubscribe(sub, "a"), -1, EINVAL);
        CHECK_ERRNO(unsubscribe(sub, ""), -1, EINVAL);
        subscribe(sub, "abc");
        static const char *const others[] = {"", "a", "ab", "abcd", "abd", "b", "abca", "ABC"};
        for (size_t i = 0; i < COUNT_OF(others); i++) {
            CHECK_ERRNO(unsubscribe(sub, others[i]), -1, EINVAL);
            CHECK_HEARS("abc");
            CHECK_MISSES("abd");
        }
        CHECK_EQ(unsubscribe(sub, "abc"), 0);
        CHECK_MISSES("abc");
        CHECK_CLOSE(pub, sub);
    }
}

/* protocols 6.2 and 12, core 6.3, core-quirks */
static void the_options_are_write_only_and_checked(void)
{
    for (int d = 0; d < 2; d++) {
        int pub, sub;
        char value[8] = "kept";
        size_t size = sizeof value;
        open_pub_sub(DOMAINS[d], &pub, &sub);
        subscribe(sub, "topic");
        for (int option = 0; option < 4; option++) {
            size = sizeof value;
            CHECK_ERRNO(nn_getsockopt(sub, NN_SUB, option, value, &size), -1, ENOPROTOOPT);
            CHECK_STR(value, "kept");
        }
        CHECK_ERRNO(subscribe_bytes(sub, NULL, 1), -1, EFAULT);
        CHECK_ERRNO(unsubscribe_bytes(sub, NULL, 1), -1, EFAULT);
        CHECK_ERRNO(nn_setsockopt(sub, NN_SUB, 0, "t", 1), -1, ENOPROTOOPT);
        CHECK_ERRNO(nn_setsockopt(sub, NN_SUB, 3, "t", 1), -1, ENOPROTOOPT);
        CHECK_ERRNO(nn_setsockopt(sub, NN_PUB, NN_SUB_SUBSCRIBE, "t", 1), -1, ENOPROTOOPT);
        CHECK_ERRNO(nn_setsockopt(pub, NN_SUB, NN_SUB_SUBSCRIBE, "t", 1), -1, ENOPROTOOPT);
        CHECK_ERRNO(nn_setsockopt(pub, NN_PUB, NN_SUB_SUBSCRIBE, "t", 1), -1, ENOPROTOOPT);
        CHECK_TOO_SHORT("t");
        CHECK_MISSES("tt");
        CHECK_HEARS("topic");
        CHECK_CLOSE(sub);
        CHECK_ERRNO(subscribe_bytes(sub, "t", 1), -1, EBADF);
        CHECK_CLOSE(pub);
    }
}

/* protocols 6.2: topics are bytes; an int is four of them. */
static void topics_are_any_bytes(void)
{
    static const struct {
        const char *bytes;
        int size;
    } topics[] = {{"\0", 1}, {"\0\0\0", 3}, {"a\0b", 3}, {"\xff\xfe", 2}, {"\x80", 1}, {"\n", 1}};
    for (int d = 0; d < 2; d++) {
        int pub, sub, number = 0x01020304;
        char got[16];
        open_pub_sub(DOMAINS[d], &pub, &sub);
        for (size_t i = 0; i < COUNT_OF(topics); i++) {
            CHECK_EQ(subscribe_bytes(sub, topics[i].bytes, (size_t)topics[i].size), 0);
            CHECK_TOO_SHORT("a");
            CHECK_EQ(nn_send(pub, topics[i].bytes, (size_t)topics[i].size, 0), topics[i].size);
            CHECK_EQ(nn_recv(sub, got, sizeof got, 0), topics[i].size);
            CHECK_MEM(got, topics[i].bytes, (size_t)topics[i].size);
            CHECK_EQ(unsubscribe_bytes(sub, topics[i].bytes, (size_t)topics[i].size), 0);
        }
        CHECK_EQ(subscribe_bytes(sub, &number, sizeof number), 0);
        CHECK_EQ(nn_send(pub, &number, sizeof number, 0), sizeof number);
        CHECK_EQ(nn_recv(sub, got, sizeof got, NN_DONTWAIT), sizeof number);
        /* What comes behind a NUL decides, too. */
        CHECK_EQ(subscribe_bytes(sub, "n\0x", 3), 0);
        CHECK_EQ(nn_send(pub, "n\0y", 3, 0), 3);
        CHECK_STR(recv_now(sub), "EAGAIN");
        CHECK_EQ(nn_send(pub, "n\0xy", 4, 0), 4);
        CHECK_EQ(nn_recv(sub, got, sizeof got, NN_DONTWAIT), 4);
        CHECK_CLOSE(pub, sub);
    }
}

/* protocols 6.2 */
static void topics_are_of_any_length(void)
{
    enum { LONG = 5000 };
    char topic[LONG + 1], body[LONG + 1], got[LONG + 1];
    for (int d = 0; d < 2; d++) {
        int pub, sub;
        open_pub_sub(DOMAINS[d], &pub, &sub);
        for (int i = 0; i <= LONG; i++)
            topic[i] = (char)(i * 7);
        CHECK_EQ(subscribe_bytes(sub, topic, LONG), 0);
        /* Topics that go another way in the middle and at the end. */
        memcpy(body, topic, sizeof body);
        body[LONG / 2]++;
        CHECK_EQ(subscribe_bytes(sub, body, LONG), 0);
        CHECK_EQ(unsubscribe_bytes(sub, body, LONG), 0);
        CHECK_EQ(nn_send(pub, body, LONG + 1, 0), LONG + 1);
        if (!reference())
            CHECK_EQ(nn_send(pub, topic, LONG - 1, 0), LONG - 1);
        CHECK_STR(recv_now(sub), "EAGAIN");
        memcpy(body, topic, sizeof body);
        body[LONG - 1]++;
        CHECK_EQ(nn_send(pub, body, LONG + 1, 0), LONG + 1);
        CHECK_STR(recv_now(sub), "EAGAIN");
        for (int size = LONG; size <= LONG + 1; size++) {
            CHECK_EQ(nn_send(pub, topic, (size_t)size, 0), size);
            CHECK_EQ(nn_recv(sub, got, sizeof got, 0), size);
            CHECK_MEM(got, topic, (size_t)size);
        }
        CHECK_EQ(unsubscribe_bytes(sub, topic, LONG), 0);
        CHECK_EQ(nn_send(pub, topic, LONG, 0), LONG);
        CHECK_STR(recv_now(sub), "EAGAIN");
        CHECK_CLOSE(pub, sub);
    }
}

/* protocols 6.2: any number. */
static void topics_are_of_any_number(void)
{
    enum { MANY = 100000 };
    char topic[32], body[40];
    int pub, sub;
    open_pub_sub(AF_SP, &pub, &sub);
    for (int i = 0; i < MANY; i++) {
        snprintf(topic, sizeof topic, "topic.%d.", i * 3);
        subscribe(sub, topic);
    }
    for (int i = 0; i < MANY; i += 997) {
        snprintf(body, sizeof body, "topic.%d.news", i * 3);
        CHECK_HEARS(body);
        snprintf(body, sizeof body, "topic.%d.news", i * 3 + 1);
        CHECK_MISSES(body);
        snprintf(body, sizeof body, "topic.%d", i * 3);
        CHECK_TOO_SHORT(body);
    }
    for (int i = 0; i < MANY; i += 2) {
        snprintf(topic, sizeof topic, "topic.%d.", i * 3);
        CHECK_EQ(unsubscribe(sub, topic), 0);
    }
    for (int i = 0; i < MANY; i += 991) {
        snprintf(body, sizeof body, "topic.%d.news", i * 3);
        CHECK_STR(heard(pub, sub, body), i % 2 ? body : "EAGAIN");
    }
    CHECK_CLOSE(pub, sub);
}

/* ---- topics against a model ---- */

enum { MODEL_TOPICS = 64 };

/* Topics over an alphabet of two letters, so that they share prefixes in every way. */
struct model {
    char topics[MODEL_TOPICS][8];
    int counts[MODEL_TOPICS];
};

static void random_word(char *word, uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    int size = (int)(*state >> 24) % 6;
    for (int i = 0; i < size; i++)
        word[i] = *state >> (8 + i) & 1 ? 'b' : 'a';
    word[size] = 0;
}

/* The place of that topic, which it gets if it has none. */
static int *model_count(struct model *model, const char *topic)
{
    int i = 0;
    while (model->counts[i] != 0 && strcmp(model->topics[i], topic) != 0)
        i++;
    for (int k = i; k < MODEL_TOPICS; k++)
        if (model->counts[k] != 0 && strcmp(model->topics[k], topic) == 0)
            return &model->counts[k];
    snprintf(model->topics[i], sizeof model->topics[i], "%s", topic);
    return &model->counts[i];
}

static int model_matches(const struct model *model, const char *body)
{
    for (int i = 0; i < MODEL_TOPICS; i++)
        if (model->counts[i] > 0
            && strncmp(body, model->topics[i], strlen(model->topics[i])) == 0)
            return 1;
    return 0;
}

/* Subscribes, unsubscribes and publishes at random. With mistakes: unsubscribes also what is not
 * subscribed, and publishes also what is shorter than the topics. */
static void check_against_model(int domain, int mistakes, uint32_t seed)
{
    struct model model = {0};
    uint32_t state = seed;
    int pub, sub;
    open_pub_sub(domain, &pub, &sub);
    for (int step = 0; step < 3000; step++) {
        char word[16];
        random_word(word, &state);
        int *count = model_count(&model, word), turn = (int)(state >> 16) % 4;
        if (turn == 0) {
            subscribe(sub, word);
            ++*count;
        } else if (turn == 1 && *count > 0) {
            CHECK_EQ(unsubscribe(sub, word), 0);
            --*count;
        } else if (turn == 1 && mistakes) {
            CHECK_ERRNO(unsubscribe(sub, word), -1, EINVAL);
        } else {
            random_word(word, &state);
            if (!mistakes)
                strcat(word, "-------");
            if (strcmp(heard(pub, sub, word), model_matches(&model, word) ? word : "EAGAIN") != 0)
                FAIL("seed %u, step %d: \"%s\" is %s", seed, step, word,
                     model_matches(&model, word) ? "missed" : "heard");
        }
    }
    CHECK_CLOSE(pub, sub);
}

/* protocols 6.2 */
static void random_topics_follow_the_rules(void)
{
    for (uint32_t seed = 1; seed <= 6; seed++)
        check_against_model(DOMAINS[seed % 2], 0, seed);
}

/* protocols 6.2 */
static void random_topics_follow_the_rules_despite_mistakes(void)
{
    for (uint32_t seed = 1; seed <= 6; seed++)
        check_against_model(DOMAINS[seed % 2], 1, seed);
}

/* ---- when the filter works ---- */

/* protocols 6.2: what counts are the topics at the moment of the receive. */
static void the_filter_works_when_receiving(void)
{
    for (int d = 0; d < 2; d++) {
        int pub, sub;
        open_pub_sub(DOMAINS[d], &pub, &sub);
        CHECK_EQ(send_now(pub, "a1"), 2);
        CHECK_EQ(send_now(pub, "b1"), 2);
        CHECK_EQ(send_now(pub, "a2"), 2);
        subscribe(sub, "a");
        CHECK_STR(recv_now(sub), "a1");
        CHECK_STR(recv_now(sub), "a2");
        CHECK_STR(recv_now(sub), "EAGAIN");
        CHECK_EQ(send_now(pub, "a3"), 2);
        CHECK_EQ(send_now(pub, "b2"), 2);
        subscribe(sub, "b");
        CHECK_EQ(unsubscribe(sub, "a"), 0);
        CHECK_STR(recv_now(sub), "b2");
        CHECK_STR(recv_now(sub), "EAGAIN");
        CHECK_CLOSE(pub, sub);
    }
}

/* protocols 2.1, consequence 2: a call that waits goes on behind what it discards. */
static void a_blocking_receive_passes_over_what_it_does_not_want(void)
{
    for (size_t scheme = 0; scheme < COUNT_OF(SCHEMES); scheme++) {
        struct url url = unique_url(SCHEMES[scheme]);
        int pub = open_bound(AF_SP, NN_PUB, url.text);
        int sub = open_connected(AF_SP, NN_SUB, url.text);
        char got[16];
        subscribe(sub, "yes");
        CHECK_PIPES(pub, 1);
        for (int i = 0; i < 50; i++)
            CHECK_SEND(pub, i % 10 == 9 ? "yes" : "no");
        for (int i = 0; i < 5; i++)
            CHECK_RECV(sub, "yes");
        /* core 5.1: messages that are discarded do not extend the deadline. */
        set_int(sub, NN_RCVTIMEO, 50);
        CHECK_SEND(pub, "no");
        CHECK_ERRNO(nn_recv(sub, got, sizeof got, 0), -1, ETIMEDOUT);
        CHECK_CLOSE(pub, sub);
    }
}

/* core-quirks A-52: it may be readable for a message that it does not want, but not for ever. */
static void what_is_not_wanted_does_not_stay_readable(void)
{
    for (int d = 0; d < 2; d++) {
        int pub, sub;
        open_pub_sub(DOMAINS[d], &pub, &sub);
        subscribe(sub, "yes");
        for (int i = 0; i < 20; i++)
            CHECK_EQ(send_now(pub, "no"), 2);
        int calls = 0;
        while (signals(sub, NN_RCVFD, 0) && calls++ < 20)
            CHECK_ERRNO(nn_recv(sub, NULL, 0, NN_DONTWAIT), -1, EAGAIN);
        CHECK(!signals(sub, NN_RCVFD, 0));
        CHECK_EQ(send_now(pub, "yes!"), 4);
        CHECK(signals(sub, NN_RCVFD, 0));
        CHECK_STR(recv_now(sub), "yes!");
        CHECK(!signals(sub, NN_RCVFD, 0));
        CHECK_CLOSE(pub, sub);
    }
}

/* What nobody wants takes room as everything does, and is out of the way afterwards. */
static void what_is_not_wanted_stops_nothing(void)
{
    for (size_t scheme = 0; scheme < COUNT_OF(SCHEMES); scheme++) {
        struct url url = unique_url(SCHEMES[scheme]);
        int pub = open_bound(AF_SP, NN_PUB, url.text);
        int sub = open_connected(AF_SP, NN_SUB, url.text);
        char body[1000] = "no";
        subscribe(sub, "yes");
        CHECK_PIPES(pub, 1);
        for (int i = 0; i < 2000; i++)
            CHECK_EQ(nn_send(pub, body, sizeof body, 0), sizeof body);
        set_int(sub, NN_RCVTIMEO, 20);
        int heard_it = 0;
        for (int64_t stop = now_ms() + PATIENCE_MS; !heard_it && now_ms() < stop;) {
            CHECK_SEND(pub, "yes");
            heard_it = nn_recv(sub, body, sizeof body, 0) == 3;
        }
        CHECK(heard_it);
        CHECK_CLOSE(pub, sub);
    }
}

int main(void)
{
    test_begin("protocols/topics", 25);
    RUN(a_new_subscriber_hears_nothing);
    RUN(a_topic_is_a_prefix);
    RUN(the_empty_topic_is_everything);
    RUN(overlapping_topics_deliver_once);
    RUN(subscriptions_are_counted);
    RUN(a_place_without_a_topic_cannot_be_unsubscribed);
    RUN(an_unknown_topic_cannot_be_unsubscribed);
    RUN(the_options_are_write_only_and_checked);
    RUN(topics_are_any_bytes);
    RUN(topics_are_of_any_length);
    RUN(topics_are_of_any_number);
    RUN(random_topics_follow_the_rules);
    RUN(random_topics_follow_the_rules_despite_mistakes);
    RUN(the_filter_works_when_receiving);
    RUN(a_blocking_receive_passes_over_what_it_does_not_want);
    RUN(what_is_not_wanted_does_not_stay_readable);
    RUN(what_is_not_wanted_stops_nothing);
    return test_end();
}
