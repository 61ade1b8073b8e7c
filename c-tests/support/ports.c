#include "support/ports.h"

#include "support/check.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Below what the kernel gives to whoever connects. The numbers and the name are those of ports.py,
 * too. */
enum { FIRST = 10000, BLOCK = 200, BLOCKS = 100 };

/* The first port of the block; 0 before there is one. */
static int first;
static int next;
/* What says that it is taken, or -1. */
static int sign = -1;

static int is_free(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int bound = bind(fd, (struct sockaddr *)&address, sizeof address);
    close(fd);
    return bound == 0;
}

/* Whether the block that begins there was to be had. It is taken for as long as somebody has the
 * socket of that name. Its descriptor stays the same from one block to the next. */
static int take(int block)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    char *text = name.sun_path + 1;
    int length = snprintf(text, sizeof name.sun_path - 1, "spmsg-test-ports-%d", block);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
    int bound = bind(fd, (struct sockaddr *)&name, size);
    if (bound == 0 && sign < 0)
        sign = fd;
    else if (bound == 0)
        dup3(fd, sign, O_CLOEXEC);
    if (fd != sign)
        close(fd);
    return bound == 0;
}

static void take_another(void)
{
    int begin = first ? (first - FIRST) / BLOCK + 1 : getpid();
    for (int i = 0; i < BLOCKS; i++) {
        first = FIRST + (begin + i) % BLOCKS * BLOCK;
        if (take(first))
            return;
    }
    /* More programs than blocks: two have to get along with one. */
    first = FIRST + begin % BLOCKS * BLOCK;
}

void ports_reserve(void)
{
    if (!first)
        take_another();
}

int free_port(void)
{
    ports_reserve();
    /* A port that was used lately is not free for a minute, and so all of a block may not be. */
    for (int blocks = 0; blocks < BLOCKS; blocks++) {
        for (int tries = 0; tries < BLOCK; tries++) {
            int port = first + next;
            next = (next + 1) % BLOCK;
            if (is_free(port))
                return port;
        }
        take_another();
    }
    FAIL("no free port");
    test_abandon();
    return -1;
}
