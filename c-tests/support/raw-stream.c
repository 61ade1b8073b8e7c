#include "support/raw-stream.h"

#include "support/address.h"
#include "support/check.h"
#include "support/clock.h"

#include <poll.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

/* What each descriptor is used for. */
static unsigned char raw_roles[1024];

static void raw_set_role(int fd, enum raw_role role)
{
    if (fd >= 0 && fd < (int)sizeof raw_roles)
        raw_roles[fd] = (unsigned char)role;
}

enum raw_role raw_role(int fd)
{
    return fd >= 0 && fd < (int)sizeof raw_roles ? (enum raw_role)raw_roles[fd] : RAW_PLAIN;
}

int raw_listen(const char *url)
{
    struct sockaddr_storage address;
    socklen_t size = raw_address(url, &address);
    int one = 1;
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    REQUIRE(bind(fd, (struct sockaddr *)&address, size) == 0);
    REQUIRE(listen(fd, 16) == 0);
    raw_set_role(fd, is_ws(url) ? RAW_WS_LISTENER : RAW_PLAIN);
    return fd;
}

int raw_accept(int listener, int ms)
{
    struct pollfd ready = {listener, POLLIN, 0};
    int fd = poll(&ready, 1, ms) == 1 ? accept4(listener, NULL, NULL, SOCK_CLOEXEC) : -1;
    raw_set_role(fd, raw_role(listener) == RAW_WS_LISTENER ? RAW_WS_SERVER : RAW_PLAIN);
    return fd;
}

int raw_connect(const char *url)
{
    struct sockaddr_storage address;
    socklen_t size = raw_address(url, &address);
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(connect(fd, (struct sockaddr *)&address, size) == 0);
    raw_set_role(fd, is_ws(url) ? RAW_WS_CLIENT : RAW_PLAIN);
    return fd;
}

void raw_send(int fd, const void *bytes, size_t size)
{
    const char *rest = bytes;
    while (size > 0) {
        ssize_t sent = send(fd, rest, size, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        rest += sent;
        size -= (size_t)sent;
    }
}

size_t raw_recv(int fd, void *bytes, size_t size, int ms)
{
    size_t got = 0;
    int64_t deadline = now_ms() + ms;
    struct pollfd ready = {fd, POLLIN, 0};
    while (got < size) {
        int64_t left = deadline - now_ms();
        if (left < 0 || poll(&ready, 1, (int)left) != 1)
            break;
        ssize_t count = recv(fd, (char *)bytes + got, size - got, 0);
        if (count <= 0)
            break;
        got += (size_t)count;
    }
    return got;
}

enum raw_end raw_end(int fd, int ms)
{
    char bytes[4096];
    int64_t deadline = now_ms() + ms;
    struct pollfd ready = {fd, POLLIN, 0};
    for (;;) {
        int64_t left = deadline - now_ms();
        if (left < 0 || poll(&ready, 1, (int)left) != 1)
            return RAW_OPEN;
        ssize_t count = recv(fd, bytes, sizeof bytes, 0);
        if (count <= 0)
            return count == 0 ? RAW_EOF : RAW_RESET;
    }
}

void raw_reset(int fd)
{
    struct linger now = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
}

void check_silence(int fd)
{
    unsigned char byte;
    CHECK_EQ(raw_recv(fd, &byte, 1, 20), 0);
}
