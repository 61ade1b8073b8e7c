#include "support/talk.h"

#include "support/check.h"
#include "support/clock.h"
#include "support/readiness.h"
#include "support/sockets.h"

#include <nanomsg/nn.h>

#include <errno.h>
#include <stdint.h>
#include <string.h>

int send_now(int s, const char *text)
{
    return nn_send(s, text, strlen(text), NN_DONTWAIT);
}

const char *recv_now(int s)
{
    static char text[64];
    int size;
    do {
        errno = 0;
        size = nn_recv(s, text, sizeof text - 1, NN_DONTWAIT);
    } while (size < 0 && errno == EAGAIN && signals(s, NN_RCVFD, 0));
    if (size < 0)
        return errno == EAGAIN ? "EAGAIN" : "another error";
    text[size < (int)sizeof text ? size : (int)sizeof text - 1] = 0;
    return text;
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

void check_serves(int s, const char *url)
{
    int peer = open_quick();
    CHECK_OK(nn_connect(peer, url));
    CHECK_TALK(peer, s);
    CHECK_CLOSE(peer);
}

void check_fresh_conversation(const char *url)
{
    int bound = open_quick(), connected = open_quick();
    CHECK_OK(nn_bind(bound, url));
    CHECK_OK(nn_connect(connected, url));
    CHECK_TALK(bound, connected);
    CHECK_CLOSE(connected, bound);
}
