/* Strangers: they connect to a lane, say something that is no message, and stay for a while. */

#include "soak.h"

#include "support/random.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { STRANGERS = 24, WORDS_MAX = 300 };

static int strangers[STRANGERS];
static int count;

static int reach(const struct lane *lane)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct sockaddr_in in = {.sin_family = AF_INET};
    int is_ipc = lane->transport == IPC;
    int fd = socket(is_ipc ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const char *address = strstr(lane->front, "://") + 3, *port = strrchr(address, ':');
    if (is_ipc) {
        snprintf(un.sun_path, sizeof un.sun_path, "%s", address);
    } else {
        char host[NN_SOCKADDR_MAX];
        snprintf(host, sizeof host, "%.*s", (int)(port - address), address);
        in.sin_port = htons((uint16_t)atoi(port + 1));
        inet_pton(AF_INET, host, &in.sin_addr);
    }
    /* Nobody may be there, and a connect on tcp goes on by itself. */
    if (connect(fd, is_ipc ? (struct sockaddr *)&un : (struct sockaddr *)&in,
                is_ipc ? sizeof un : sizeof in) < 0 && is_ipc) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Whatever it is, no message is complete: noise, a good beginning, a size beyond all bounds. */
static size_t words(uint64_t *state, const struct lane *lane, unsigned char *bytes)
{
    static const unsigned char peers[PATTERNS] = {0x10, 0x30, 0x21, 0x51, 0x63, 0x70, 0x30};
    static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n";
    size_t size = (size_t)random_below(state, WORDS_MAX);
    random_bytes(state, bytes, WORDS_MAX);
    if (random_below(state, 2))
        return size;
    if (lane->transport == WS) {
        memcpy(bytes, request, sizeof request - 1);
        return size;
    }
    const unsigned char greeting[8] = {0, 'S', 'P', 0, 0, peers[lane->pattern], 0, 0};
    memcpy(bytes, greeting, sizeof greeting);
    /* The type of a frame of ipc, and a size of at least 2^56. */
    bytes[8] = 1;
    bytes[9] |= 1;
    return size;
}

void garbage_come(uint64_t *state)
{
    unsigned char bytes[WORDS_MAX];
    const struct lane *lane = &soak->lanes[random_below(state, LANES)];
    if (lane->transport == INPROC || count == STRANGERS)
        return;
    int fd = reach(lane);
    if (fd < 0)
        return;
    size_t size = words(state, lane, bytes);
    if (send(fd, bytes, size, MSG_NOSIGNAL) < 0 || random_below(state, 3) == 0)
        close(fd);
    else
        strangers[count++] = fd;
}

void garbage_end(void)
{
    while (count > 0)
        close(strangers[--count]);
}
