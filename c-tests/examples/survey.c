/* One question to everybody, and as many answers as come in time. Start them in any order:
 *
 *   survey answer tcp://127.0.0.1:5555 anna
 *   survey answer tcp://127.0.0.1:5555 bert
 *   survey answer tcp://127.0.0.1:5555 -
 *   survey ask tcp://127.0.0.1:5555 3 500
 *
 * The one without a name hears the question and does not answer. Who asks waits until as many are
 * there as it was told, and then for answers, for that many milliseconds. Who answers runs until it
 * is interrupted. */

#include <nanomsg/nn.h>
#include <nanomsg/survey.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char question[] = "who is there?";

static int fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, nn_strerror(nn_errno()));
    return 1;
}

/* Who connects after the question was asked does not hear it. */
static void wait_for_peers(int socket, unsigned long count)
{
    const struct timespec moment = {0, 10000000};
    while (nn_get_statistic(socket, NN_STAT_CURRENT_CONNECTIONS) < count)
        nanosleep(&moment, NULL);
}

static int ask(const char *url, const char *peers, const char *deadline_ms)
{
    char text[64];
    int answers = 0, size, deadline = atoi(deadline_ms);
    int socket = nn_socket(AF_SP, NN_SURVEYOR);
    if (socket < 0)
        return fail("nn_socket");
    nn_setsockopt(socket, NN_SURVEYOR, NN_SURVEYOR_DEADLINE, &deadline, sizeof deadline);
    if (nn_bind(socket, url) < 0)
        return fail(url);
    wait_for_peers(socket, strtoul(peers, NULL, 10));
    if (nn_send(socket, question, strlen(question), 0) < 0)
        return fail("nn_send");
    while ((size = nn_recv(socket, text, sizeof text, 0)) >= 0) {
        printf("%.*s\n", size < (int)sizeof text ? size : (int)sizeof text, text);
        answers++;
    }
    /* The end of the survey is no failure. */
    if (nn_errno() != ETIMEDOUT)
        return fail("nn_recv");
    printf("%d of %s answered\n", answers, peers);
    nn_close(socket);
    return 0;
}

static int answer(const char *url, const char *name)
{
    int socket = nn_socket(AF_SP, NN_RESPONDENT);
    if (socket < 0)
        return fail("nn_socket");
    if (nn_connect(socket, url) < 0)
        return fail(url);
    for (;;) {
        char text[64];
        int size = nn_recv(socket, text, sizeof text, 0);
        if (size < 0)
            return fail("nn_recv");
        if (strcmp(name, "-") != 0 && nn_send(socket, name, strlen(name), 0) < 0)
            return fail("nn_send");
    }
}

int main(int count, char **words)
{
    if (count == 5 && strcmp(words[1], "ask") == 0)
        return ask(words[2], words[3], words[4]);
    if (count == 4 && strcmp(words[1], "answer") == 0)
        return answer(words[2], words[3]);
    fprintf(stderr, "usage: %s ask URL PEERS MILLISECONDS | answer URL NAME\n", words[0]);
    return 2;
}
