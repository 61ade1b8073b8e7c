#include "support/address.h"

#include "support/check.h"
#include "support/clock.h"
#include "support/credentials.h"
#include "support/directory.h"
#include "support/ports.h"

#include <nanomsg/nn.h>

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

const char *const SCHEMES[3] = {"inproc", "ipc", "tcp"};

static int has_port(const char *scheme)
{
    return strcmp(scheme, "tcp") == 0 || strcmp(scheme, "ws") == 0 || is_encrypted(scheme);
}

struct url unique_url(const char *scheme)
{
    static int count;
    struct url url;
    count++;
    if (has_port(scheme))
        snprintf(url.text, sizeof url.text, "%s://127.0.0.1:%d", scheme, free_port());
    else if (strcmp(scheme, "ipc") == 0)
        snprintf(url.text, sizeof url.text, "ipc://%s/%d.ipc", test_directory(), count);
    else
        snprintf(url.text, sizeof url.text, "inproc://test-%d", count);
    return url;
}

int has_address(const char *name)
{
    struct addrinfo wanted = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found;
    if (getaddrinfo(name, NULL, &wanted, &found) != 0)
        return 0;
    freeaddrinfo(found);
    return 1;
}

int is_ipc(const char *url)
{
    return strncmp(url, "ipc://", 6) == 0;
}

int is_ws(const char *url)
{
    return strncmp(url, "ws://", 5) == 0 || strncmp(url, "wss://", 6) == 0;
}

socklen_t raw_address(const char *url, struct sockaddr_storage *address)
{
    memset(address, 0, sizeof *address);
    if (is_ipc(url)) {
        struct sockaddr_un *un = (struct sockaddr_un *)address;
        un->sun_family = AF_UNIX;
        snprintf(un->sun_path, sizeof un->sun_path, "%.*s", (int)sizeof un->sun_path - 1, url + 6);
        return sizeof *un;
    }
    struct sockaddr_in *in = (struct sockaddr_in *)address;
    in->sin_family = AF_INET;
    in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    in->sin_port = htons((uint16_t)atoi(strrchr(url, ':') + 1));
    return sizeof *in;
}

struct reserved reserve_url(const char *scheme)
{
    struct reserved reserved = {unique_url(scheme), -1};
    int one = 1;
    for (int tries = 0; has_port(scheme); tries++) {
        struct sockaddr_storage address;
        socklen_t size = raw_address(reserved.url.text, &address);
        reserved.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        REQUIRE(reserved.fd >= 0 && tries < 1000);
        setsockopt(reserved.fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        if (bind(reserved.fd, (struct sockaddr *)&address, size) == 0)
            break;
        close(reserved.fd);
        reserved.url = unique_url(scheme);
    }
    return reserved;
}

void release_url(struct reserved *reserved)
{
    if (reserved->fd >= 0)
        close(reserved->fd);
    reserved->fd = -1;
}

void check_addresses(int (*call)(int s, const char *address), int s, const struct address *list,
                     size_t count)
{
    int next = 0;
    for (size_t i = 0; i < count; i++) {
        char text[256];
        snprintf(text, sizeof text, list[i].text, free_port());
        test_at(__FILE__, __LINE__);
        errno = 0;
        int id = call(s, text);
        if (list[i].error ? id != -1 || errno != list[i].error : id < 1 || (next && id != next))
            FAIL("%s \"%s\": %d, errno %s, should be %s",
                 call == nn_bind ? "nn_bind" : "nn_connect", text, id, nn_strerror(errno),
                 list[i].error ? nn_strerror(list[i].error) : "accepted");
        /* A bound address must not stay in the way of the next one. */
        if (id > 0) {
            CHECK_EQ(nn_shutdown(s, id), 0);
            next = id + 1;
        }
    }
}

void check_next_id(int s, int id)
{
    CHECK_EQ(nn_connect(s, "inproc://nobody-binds-this"), id);
}
