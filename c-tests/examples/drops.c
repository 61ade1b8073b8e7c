/* How a subscriber misses messages, and how a publisher finds out. For spmsg only. */

#include <nanomsg/nn.h>
#include <nanomsg/pubsub.h>
#include <spmsg/spmsg.h>

#include <stdio.h>
#include <string.h>

static int fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, nn_strerror(nn_errno()));
    return 1;
}

static int publish(int pub, int count)
{
    char text[1000];
    memset(text, 'x', sizeof text);
    for (int i = 0; i < count; i++)
        if (nn_send(pub, text, sizeof text, 0) < 0)
            return fail("nn_send");
    return 0;
}

static int receive_all(int sub)
{
    char text[1000];
    int count = 0;
    while (nn_recv(sub, text, sizeof text, NN_DONTWAIT) >= 0)
        count++;
    return count;
}

int main(void)
{
    int buffer = 10000;
    int pub = nn_socket(AF_SP, NN_PUB), sub = nn_socket(AF_SP, NN_SUB);
    if (pub < 0 || sub < 0)
        return fail("nn_socket");
    /* Over inproc, the buffer of who receives is all there is. */
    nn_setsockopt(sub, NN_SOL_SOCKET, NN_RCVBUF, &buffer, sizeof buffer);
    nn_setsockopt(sub, NN_SUB, NN_SUB_SUBSCRIBE, "", 0);
    if (nn_bind(pub, "inproc://drops") < 0)
        return fail("nn_bind");

    if (publish(pub, 5) != 0)
        return 1;
    printf("nobody was there:  %llu dropped\n",
           (unsigned long long)nn_get_statistic(pub, SPMSG_STAT_MESSAGES_DROPPED));
    if (nn_connect(sub, "inproc://drops") < 0)
        return fail("nn_connect");
    printf("he came too late:  %d received\n", receive_all(sub));

    if (publish(pub, 100) != 0)
        return 1;
    printf("he did not listen: %llu dropped\n",
           (unsigned long long)nn_get_statistic(pub, SPMSG_STAT_MESSAGES_DROPPED));
    printf("then he did:       %d received\n", receive_all(sub));
    nn_close(sub);
    nn_close(pub);
    return 0;
}
