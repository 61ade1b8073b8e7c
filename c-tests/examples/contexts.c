/* Many questions at a time on one REQ, and many threads that answer on one REP. For spmsg only. */

#include <nanomsg/nn.h>
#include <nanomsg/reqrep.h>
#include <spmsg/spmsg.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { WORKERS = 4, QUESTIONS = 16, SIZE = 32 };

static int fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, nn_strerror(nn_errno()));
    return 1;
}

static void *work(void *argument)
{
    int context = spmsg_context(*(int *)argument);
    char text[SIZE];
    /* The socket's end is the end of this. */
    while (nn_recv(context, text, sizeof text, 0) >= 0) {
        char answer[2 * SIZE];
        snprintf(answer, sizeof answer, "%s is answered", text);
        nn_send(context, answer, strlen(answer) + 1, 0);
    }
    return NULL;
}

/* All questions are under way before the first reply is waited for. */
static int ask_all(int socket)
{
    int contexts[QUESTIONS];
    char text[2 * SIZE];
    for (int i = 0; i < QUESTIONS; i++) {
        contexts[i] = spmsg_context(socket);
        snprintf(text, sizeof text, "question %d", i);
        if (nn_send(contexts[i], text, strlen(text) + 1, 0) < 0)
            return fail("nn_send");
    }
    for (int i = 0; i < QUESTIONS; i++) {
        if (nn_recv(contexts[i], text, sizeof text, 0) < 0)
            return fail("nn_recv");
        printf("%s\n", text);
        nn_close(contexts[i]);
    }
    return 0;
}

int main(void)
{
    pthread_t workers[WORKERS];
    int started = 0;
    int service = nn_socket(AF_SP, NN_REP), client = nn_socket(AF_SP, NN_REQ);
    if (nn_bind(service, "inproc://questions") < 0 || nn_connect(client, "inproc://questions") < 0)
        return fail("the service");
    while (started < WORKERS && pthread_create(&workers[started], NULL, work, &service) == 0)
        started++;
    int result = ask_all(client);
    nn_close(client);
    nn_close(service);
    for (int i = 0; i < started; i++)
        pthread_join(workers[i], NULL);
    return result;
}
