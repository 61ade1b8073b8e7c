#include "support/sockets.h"

#include "support/address.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/credentials.h"
#include "support/resources.h"
#include "support/talk.h"

#include <nanomsg/nn.h>
#include <nanomsg/pair.h>
#include <nanomsg/pubsub.h>
#include <nanomsg/survey.h>

#include <stdint.h>
#include <string.h>

const int DOMAINS[2] = {AF_SP, AF_SP_RAW};

void set_int(int s, int option, int value)
{
    CHECK_EQ(nn_setsockopt(s, NN_SOL_SOCKET, option, &value, sizeof value), 0);
}

int get_int(int s, int level, int option)
{
    int value = -12345;
    size_t size = sizeof value;
    CHECK_EQ(nn_getsockopt(s, level, option, &value, &size), 0);
    CHECK_EQ(size, sizeof value);
    return value;
}

int open_pair(void)
{
    int s = dressed(nn_socket(AF_SP, NN_PAIR));
    REQUIRE(s >= 0);
    set_int(s, NN_SNDTIMEO, PATIENCE_MS);
    set_int(s, NN_RCVTIMEO, PATIENCE_MS);
    return s;
}

int open_quick(void)
{
    int s = open_pair();
    set_int(s, NN_RECONNECT_IVL, 10);
    return s;
}

int bound_pair(const char *url)
{
    int s = open_pair();
    REQUIRE(nn_bind(s, url) > 0);
    return s;
}

int connected_pair(const char *url)
{
    int s = open_pair();
    REQUIRE(nn_connect(s, url) > 0);
    return s;
}

void open_pairs(int *bound, int *connected, const char *url)
{
    *bound = bound_pair(url);
    *connected = connected_pair(url);
    CHECK_TALK(*bound, *connected);
}

int open_socket(int domain, int type)
{
    int s = dressed(nn_socket(domain, type)), deadline = 2 * PATIENCE_MS;
    REQUIRE(s >= 0);
    if (domain == AF_SP && type == NN_SURVEYOR)
        CHECK_EQ(nn_setsockopt(s, type, NN_SURVEYOR_DEADLINE, &deadline, sizeof deadline), 0);
    set_int(s, NN_SNDTIMEO, PATIENCE_MS);
    set_int(s, NN_RCVTIMEO, PATIENCE_MS);
    set_int(s, NN_RECONNECT_IVL, 10);
    return s;
}

int shows_by_pipes(void)
{
    int s = open_socket(AF_SP, NN_PAIR), fd = get_int(s, NN_SOL_SOCKET, NN_RCVFD);
    int answer = is_pipe(fd);
    CHECK_CLOSE(s);
    return answer;
}

int open_bound(int domain, int type, const char *url)
{
    int s = open_socket(domain, type);
    REQUIRE(nn_bind(s, url) > 0);
    return s;
}

int open_connected(int domain, int type, const char *url)
{
    int s = open_socket(domain, type);
    REQUIRE(nn_connect(s, url) > 0);
    return s;
}

void open_both(int bound_type, int connected_type, const char *scheme, int both[2])
{
    struct url url = unique_url(scheme);
    both[0] = open_bound(AF_SP, bound_type, url.text);
    both[1] = open_connected(AF_SP, connected_type, url.text);
    CHECK_PIPES(both[0], 1);
    CHECK_PIPES(both[1], 1);
}

void subscribe(int s, const char *topic)
{
    CHECK_EQ(nn_setsockopt(s, NN_SUB, NN_SUB_SUBSCRIBE, topic, strlen(topic)), 0);
}

void join(int s, uint64_t before, int to, uint64_t before_there, const char *url)
{
    REQUIRE(nn_connect(s, url) > 0);
    CHECK_PIPES(s, before + 1);
    CHECK_PIPES(to, before_there + 1);
}

void close_sockets(const int *sockets, size_t count)
{
    for (size_t i = 0; i < count; i++)
        CHECK_EQ(nn_close(sockets[i]), 0);
}

int wait_stat(int s, int id, uint64_t value, int ms)
{
    return wait_until(nn_get_statistic(s, id) == value, ms);
}

int wait_stat_at_least(int s, int id, uint64_t value, int ms)
{
    return wait_until(nn_get_statistic(s, id) >= value, ms);
}
