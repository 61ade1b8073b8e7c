/* How a subscriber that looks seldom finds what is true now, and nothing else. For spmsg only. */

#include <nanomsg/nn.h>
#include <nanomsg/pubsub.h>
#include <spmsg/spmsg.h>

#include <stdio.h>
#include <string.h>

static const char *const readings[] = {
    "temperature 21", "pressure 1013",  "temperature 22",
    "humidity 40",    "temperature 24", "pressure 1009",
};

static int fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, nn_strerror(nn_errno()));
    return 1;
}

static int publish(int pub)
{
    for (size_t i = 0; i < sizeof readings / sizeof readings[0]; i++)
        if (nn_send(pub, readings[i], strlen(readings[i]), 0) < 0)
            return fail("nn_send");
    return 0;
}

/* Each topic is the name of what is measured, so that there is one newest reading of it. */
static int keep_last(int sub)
{
    int yes = 1;
    if (nn_setsockopt(sub, NN_SUB, NN_SUB_SUBSCRIBE, "temperature ", 12) < 0
        || nn_setsockopt(sub, NN_SUB, NN_SUB_SUBSCRIBE, "pressure ", 9) < 0)
        return -1;
    return nn_setsockopt(sub, NN_SUB, SPMSG_SUB_LAST, &yes, sizeof yes);
}

static void look(int sub)
{
    char text[64];
    int size;
    while ((size = nn_recv(sub, text, sizeof text, NN_DONTWAIT)) >= 0)
        printf("%.*s\n", size, text);
}

int main(void)
{
    int pub = nn_socket(AF_SP, NN_PUB), sub = nn_socket(AF_SP, NN_SUB);
    if (pub < 0 || sub < 0)
        return fail("nn_socket");
    if (keep_last(sub) < 0)
        return fail("nn_setsockopt");
    if (nn_bind(pub, "inproc://last") < 0)
        return fail("nn_bind");
    if (nn_connect(sub, "inproc://last") < 0)
        return fail("nn_connect");
    if (publish(pub) != 0)
        return 1;
    look(sub);
    printf("outdated: %llu\n",
           (unsigned long long)nn_get_statistic(sub, SPMSG_STAT_MESSAGES_DROPPED));
    nn_close(sub);
    nn_close(pub);
    return 0;
}
