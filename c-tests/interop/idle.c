/* A client that says nothing for a while, and a service that tells it what its requests said:
 *
 *   idle serve URL
 *   idle ask URL PING SECONDS TIMES
 *
 * The client asks, is silent for so many seconds, asks again, so many times, and tells how many
 * connections it took and what the service has seen of the first request's headers. */

#include <nanomsg/nn.h>
#include <nanomsg/reqrep.h>
#include <nanomsg/ws.h>
#include <spmsg/spmsg.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, nn_strerror(nn_errno()));
    return 1;
}

static void nap(int seconds)
{
    struct timespec left = {seconds, 0};
    while (nanosleep(&left, &left) < 0 && errno == EINTR)
        ;
}

static const char *headers_of(struct nn_msghdr *message)
{
    struct nn_cmsghdr *entry = NN_CMSG_FIRSTHDR(message);
    for (; entry; entry = NN_CMSG_NXTHDR(message, entry))
        if (entry->cmsg_level == SPMSG_CONTROL && entry->cmsg_type == SPMSG_PEER_HEADERS)
            return (const char *)NN_CMSG_DATA(entry);
    return "";
}

static int serve(const char *url)
{
    int s = nn_socket(AF_SP, NN_REP), all = 2;
    if (nn_setsockopt(s, NN_SOL_SOCKET, SPMSG_PEER_INFO, &all, sizeof all) < 0
        || nn_bind(s, url) < 0)
        return fail(url);
    for (;;) {
        void *body = NULL, *control = NULL;
        struct nn_iovec piece = {&body, NN_MSG};
        struct nn_msghdr message = {&piece, 1, &control, NN_MSG};
        if (nn_recvmsg(s, &message, 0) < 0)
            return fail("nn_recvmsg");
        const char *headers = headers_of(&message);
        if (nn_send(s, headers, strlen(headers) + 1, 0) < 0)
            return fail("nn_send");
        nn_freemsg(body);
        nn_freemsg(control);
    }
}

static int ask(const char *url, int ping, int seconds, int times)
{
    const char *lines = "X-Client: idle";
    int s = nn_socket(AF_SP, NN_REQ), quick = 10, patience = 20000;
    if (nn_setsockopt(s, NN_WS, SPMSG_WS_PING, &ping, sizeof ping) < 0
        || nn_setsockopt(s, NN_WS, SPMSG_WS_HEADERS, lines, strlen(lines)) < 0
        || nn_setsockopt(s, NN_SOL_SOCKET, NN_RECONNECT_IVL, &quick, sizeof quick) < 0
        || nn_setsockopt(s, NN_SOL_SOCKET, NN_RCVTIMEO, &patience, sizeof patience) < 0
        || nn_connect(s, url) < 0)
        return fail(url);
    for (int i = 0; i <= times; i++) {
        char *headers = NULL;
        if (i > 0)
            nap(seconds);
        if (nn_send(s, "?", 1, 0) < 0 || nn_recv(s, &headers, NN_MSG, 0) < 0)
            return fail("asking");
        if (i == 0)
            printf("%s", headers);
        nn_freemsg(headers);
        printf("connections: %llu\n",
               (unsigned long long)nn_get_statistic(s, NN_STAT_ESTABLISHED_CONNECTIONS));
        fflush(stdout);
    }
    nn_close(s);
    return 0;
}

int main(int count, char **words)
{
    if (count == 3 && strcmp(words[1], "serve") == 0)
        return serve(words[2]);
    if (count == 6 && strcmp(words[1], "ask") == 0)
        return ask(words[2], atoi(words[3]), atoi(words[4]), atoi(words[5]));
    fprintf(stderr, "usage: %s serve URL | ask URL PING SECONDS TIMES\n", words[0]);
    return 2;
}
