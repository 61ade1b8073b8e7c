/* News for whoever wants them. Start the subscribers and the publisher in any order:
 *
 *   pubsub subscribe tcp://127.0.0.1:5555 sport.
 *   pubsub subscribe tcp://127.0.0.1:5555 weather. sport.tennis
 *   pubsub publish tcp://127.0.0.1:5555 2
 *
 * A publisher does not know who listens, and what nobody hears is gone. This one waits until as
 * many subscribers have come as it was told. All programs end with the news. */

#include <nanomsg/nn.h>
#include <nanomsg/pubsub.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DEADLINE_MS = 10000 };

static const char *const news[] = {
    "sport.tennis: the match was won by both",
    "weather.today: wind from all directions",
    "sport.chess: white to move, for an hour now",
    "weather.tomorrow: as today, but later",
};

/* What every subscriber wants to hear. */
static const char end[] = "end";

static int fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, nn_strerror(nn_errno()));
    return 1;
}

/* Looks every hundredth of a second. No event tells of a new peer in the interface of nanomsg. */
static void wait_for_peers(int socket, unsigned long count)
{
    const struct timespec moment = {0, 10000000};
    while (nn_get_statistic(socket, NN_STAT_CURRENT_CONNECTIONS) < count)
        nanosleep(&moment, NULL);
}

static int publish(const char *url, const char *subscribers)
{
    int socket = nn_socket(AF_SP, NN_PUB);
    if (socket < 0)
        return fail("nn_socket");
    if (nn_bind(socket, url) < 0)
        return fail(url);
    wait_for_peers(socket, strtoul(subscribers, NULL, 10));
    for (size_t i = 0; i < sizeof news / sizeof news[0]; i++)
        if (nn_send(socket, news[i], strlen(news[i]), 0) < 0)
            return fail("nn_send");
    if (nn_send(socket, end, strlen(end), 0) < 0)
        return fail("nn_send");
    nn_close(socket);
    return 0;
}

/* A topic is how a message begins; nothing divides it from the rest. */
static int subscribe(int socket, const char *topic)
{
    return nn_setsockopt(socket, NN_SUB, NN_SUB_SUBSCRIBE, topic, strlen(topic));
}

static int print_news(const char *url, char **topics)
{
    int deadline = DEADLINE_MS;
    int socket = nn_socket(AF_SP, NN_SUB);
    if (socket < 0)
        return fail("nn_socket");
    nn_setsockopt(socket, NN_SOL_SOCKET, NN_RCVTIMEO, &deadline, sizeof deadline);
    if (subscribe(socket, end) < 0)
        return fail("nn_setsockopt");
    for (; *topics; topics++)
        if (subscribe(socket, *topics) < 0)
            return fail("nn_setsockopt");
    if (nn_connect(socket, url) < 0)
        return fail(url);
    for (;;) {
        char text[128];
        int size = nn_recv(socket, text, sizeof text, 0);
        if (size < 0)
            return fail("nn_recv");
        if (size > (int)sizeof text)
            size = sizeof text;
        if (size == (int)strlen(end) && memcmp(text, end, strlen(end)) == 0)
            break;
        printf("%.*s\n", size, text);
    }
    nn_close(socket);
    return 0;
}

int main(int count, char **words)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (count == 4 && strcmp(words[1], "publish") == 0)
        return publish(words[2], words[3]);
    if (count >= 4 && strcmp(words[1], "subscribe") == 0)
        return print_news(words[2], words + 3);
    fprintf(stderr, "usage: %s publish URL SUBSCRIBERS | subscribe URL TOPIC...\n", words[0]);
    return 2;
}
