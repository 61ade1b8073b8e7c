#include "support/sockets.h"

#include "support/check.h"
#include "support/clock.h"

#include <nanomsg/nn.h>
#include <nanomsg/pair.h>

#include <stdint.h>

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
    int s = nn_socket(AF_SP, NN_PAIR);
    REQUIRE(s >= 0);
    set_int(s, NN_SNDTIMEO, PATIENCE_MS);
    set_int(s, NN_RCVTIMEO, PATIENCE_MS);
    return s;
}

void open_pairs(int *bound, int *connected, const char *address)
{
    *bound = open_pair();
    *connected = open_pair();
    REQUIRE(nn_bind(*bound, address) > 0);
    REQUIRE(nn_connect(*connected, address) > 0);
    CHECK_TALK(*bound, *connected);
}

int talk_one_way(int from, int to, int ms)
{
    static uint32_t number;
    uint32_t first = number + 1, sent = 0, got = 0;
    int64_t deadline = now_ms() + ms;
    while (now_ms() < deadline) {
        number++;
        if (nn_send(from, &number, sizeof number, NN_DONTWAIT) == sizeof number)
            sent = number;
        int64_t turn = now_ms() + 50;
        while (now_ms() < turn) {
            if (nn_recv(to, &got, sizeof got, NN_DONTWAIT) == sizeof got && got >= first
                && got <= number)
                goto arrived;
            nap_ms(1);
        }
    }
    return 0;
arrived:
    /* What was sent before it has arrived before it; what was sent after it is taken here. */
    while (got < sent && nn_recv(to, &got, sizeof got, 0) == sizeof got)
        continue;
    return 1;
}

int wait_stat(int s, int id, uint64_t value, int ms)
{
    return wait_until(nn_get_statistic(s, id) == value, ms);
}

int wait_stat_at_least(int s, int id, uint64_t value, int ms)
{
    return wait_until(nn_get_statistic(s, id) >= value, ms);
}
