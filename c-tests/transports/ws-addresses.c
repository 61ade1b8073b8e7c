/* The addresses of WebSocket: which are taken, and what a path is for. */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/raw-stream.h"
#include "support/sockets.h"
#include "support/talk.h"
#include "support/websocket.h"

#include <nanomsg/nn.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Each on a socket of its own, which no other address has touched. */
static void check_each(int (*call)(int s, const char *address), const struct address *list,
                       size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int s = open_pair();
        check_addresses(call, s, &list[i], 1);
        CHECK_CLOSE(s);
    }
}

/* transports 7.1 */
static void addresses_are_checked(void)
{
    static const struct address to_bind[] = {
        {"ws://127.0.0.1:%d", 0}, {"ws://*:%d", 0}, {"ws://[127.0.0.1]:%d", 0},
        {"ws://127.0.0.1", EINVAL}, {"ws://*", EINVAL}, {"ws://", EINVAL}, {"ws://*:0", EINVAL},
        {"ws://*:65536", EINVAL}, {"ws://localhost:%d", ENODEV}, {"ws://:%d", ENODEV},
        {"ws://[::1]:%d", ENODEV}, {"ws://127.0.0.1:", EINVAL},
    };
    static const struct address to_connect[] = {
        {"ws://127.0.0.1", 0}, {"ws://127.0.0.1/", 0}, {"ws://127.0.0.1/a", 0},
        {"ws://127.0.0.1:%d", 0}, {"ws://127.0.0.1:%d/", 0}, {"ws://127.0.0.1:%d/a/b?c=d&e", 0},
        {"ws://localhost:%d/x", 0}, {"ws://127.0.0.1;127.0.0.1:%d/x", 0}, {"ws://", EINVAL},
        {"ws:///", EINVAL}, {"ws://127.0.0.1:", EINVAL}, {"ws://127.0.0.1:/", EINVAL},
        {"ws://127.0.0.1:0", EINVAL}, {"ws://127.0.0.1:65536/x", EINVAL}, {"ws://*:%d", EINVAL},
        {"ws://a_b:%d/x", EINVAL}, {"ws://127.0.0.1:%d?q", EINVAL},
        {"ws://127.0.0.1:%d#f", EINVAL}, {"ws://user@127.0.0.1:%d/", EINVAL},
        {"ws://[::1]:%d", EINVAL}, {"ws://eth0;127.0.0.1:%d/x", ENODEV},
    };
    check_each(nn_bind, to_bind, COUNT_OF(to_bind));
    check_each(nn_connect, to_connect, COUNT_OF(to_connect));
}

/* transports 7.1: the authority ends at the first slash. */
static void a_path_may_contain_colons(void)
{
    static const struct address list[] = {
        {"ws://127.0.0.1:%d/a:b", 0}, {"ws://127.0.0.1/a:b", 0}, {"ws://127.0.0.1:%d/?x=1:2", 0},
        {"ws://127.0.0.1:%d/a b", EINVAL}, {"ws://127.0.0.1:%d/a\r\nX: y", EINVAL},
    };
    check_each(nn_connect, list, COUNT_OF(list));
}

/* transports 7.1, interop 4: an extension. */
static void a_listener_may_have_a_path(void)
{
    struct url url = unique_url("ws"), path, other;
    char head[512];
    int s = open_pair(), b = open_pair();
    snprintf(path.text, sizeof path.text, "%.100s/a", url.text);
    snprintf(other.text, sizeof other.text, "%.100s/a/?b", url.text);
    CHECK_EQ(nn_bind(s, path.text), 1);
    int fd = raw_connect(url.text);
    raw_send(fd, WS_REQUEST, sizeof WS_REQUEST - 1);
    CHECK(ws_head(fd, head, sizeof head, PATIENCE_MS) > 0);
    CHECK(strncmp(head, "HTTP/1.1 404 ", 13) == 0);
    CHECK_EQ(raw_end(fd, PATIENCE_MS), RAW_EOF);
    close(fd);
    CHECK_EQ(nn_connect(b, other.text), 1);
    CHECK_TALK(b, s);
    CHECK_CLOSE(b, s);
}

int main(void)
{
    test_begin("transports/ws-addresses", 58);
    RUN(addresses_are_checked);
    RUN(a_path_may_contain_colons);
    RUN(a_listener_may_have_a_path);
    return test_end();
}
