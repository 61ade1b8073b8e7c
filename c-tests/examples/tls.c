/* A service that says everything louder, and whom nobody on the way understands. doc/guide/tls.md
 * makes the files that it takes:
 *
 *   tls serve tls+tcp://127.0.0.1:5555 here.pem here.key
 *   tls ask tls+tcp://localhost:5555 ca.pem - - hello "is anybody there?"
 *
 * Where the service names an authority, too, it answers only those for whom that vouches:
 *
 *   tls serve wss://127.0.0.1:5555/ here.pem here.key ca.pem
 *   tls ask wss://localhost:5555/ ca.pem client.pem client.key hello
 *
 * The service runs until it is interrupted. On SIGHUP it reads its files again: whoever connects
 * from then on is shown what they have now, and whoever is there stays. A client ends when all its
 * requests are answered, or with 1 and the reason when that takes too long. */

#include <nanomsg/reqrep.h>
#include <spmsg/spmsg.h>

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { DEADLINE_MS = 5000, STEP_MS = 100 };

/* Says what has failed, and why: which part of an address is wrong, or that the library which
 * encrypts is not installed. */
static int fail(const char *what)
{
    char why[256];
    spmsg_error_text(why, sizeof why);
    fprintf(stderr, "%s: %s\n", what, why);
    return 1;
}

/* All certificates are files of PEM. They are read when an endpoint is made. */
static int set_file(int socket, int option, const char *path)
{
    if (path == NULL || strcmp(path, "-") == 0)
        return 0;
    return nn_setsockopt(socket, SPMSG_TLS, option, path, strlen(path));
}

static void *reload_on_hangup(void *socket)
{
    sigset_t signals;
    int number;
    sigemptyset(&signals);
    sigaddset(&signals, SIGHUP);
    while (sigwait(&signals, &number) == 0)
        if (spmsg_tls_reload(*(int *)socket) < 0) {
            printf("the certificates stay as they were\n");
            fail("spmsg_tls_reload");
        } else {
            printf("the certificates were read again\n");
        }
    return NULL;
}

static int serve(int socket, char **words)
{
    int required = SPMSG_TLS_VERIFY_REQUIRED;
    pthread_t reloader;
    if (set_file(socket, SPMSG_TLS_CERTIFICATE, words[1]) < 0 ||
        set_file(socket, SPMSG_TLS_KEY, words[2]) < 0)
        return fail("nn_setsockopt");
    /* Otherwise everybody may come, as to most servers of the web. */
    if (words[3] != NULL &&
        (set_file(socket, SPMSG_TLS_TRUST, words[3]) < 0 ||
         nn_setsockopt(socket, SPMSG_TLS, SPMSG_TLS_VERIFY, &required, sizeof required) < 0))
        return fail("nn_setsockopt");
    if (nn_bind(socket, words[0]) < 0)
        return fail(words[0]);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (pthread_create(&reloader, NULL, reload_on_hangup, &socket) != 0)
        return 1;
    for (;;) {
        char *text = NULL;
        int size = nn_recv(socket, &text, NN_MSG, 0);
        if (size < 0)
            return fail("nn_recv");
        for (int i = 0; i < size; i++)
            text[i] = (char)toupper((unsigned char)text[i]);
        if (nn_send(socket, &text, NN_MSG, 0) < 0) {
            nn_freemsg(text);
            return fail("nn_send");
        }
    }
}

/* A service that is not believed is no service: the request would wait for another one. The events
 * tell that somebody was there, and what was wrong with him. */
static int was_refused(int socket)
{
    struct spmsg_event event;
    char why[256];
    while (spmsg_next_event(socket, &event) == 0) {
        if (event.reason != SPMSG_REASON_TLS)
            continue;
        spmsg_event_text(&event, why, sizeof why);
        fprintf(stderr, "no answer: %s\n", why);
        return 1;
    }
    return 0;
}

static int answer(int socket)
{
    for (int waited = 0; waited < DEADLINE_MS; waited += STEP_MS) {
        char *reply = NULL;
        int size = nn_recv(socket, &reply, NN_MSG, 0);
        if (size >= 0) {
            printf("%.*s\n", size, reply);
            nn_freemsg(reply);
            return 0;
        }
        if (nn_errno() != ETIMEDOUT)
            return fail("nn_recv");
        if (was_refused(socket))
            return 1;
    }
    fprintf(stderr, "no answer: nobody is there\n");
    return 1;
}

static int ask(int socket, char **words)
{
    int step = STEP_MS;
    if (set_file(socket, SPMSG_TLS_TRUST, words[1]) < 0 ||
        set_file(socket, SPMSG_TLS_CERTIFICATE, words[2]) < 0 ||
        set_file(socket, SPMSG_TLS_KEY, words[3]) < 0 || spmsg_events(socket) < 0 ||
        nn_setsockopt(socket, NN_SOL_SOCKET, NN_RCVTIMEO, &step, sizeof step) < 0)
        return fail("nn_setsockopt");
    if (nn_connect(socket, words[0]) < 0)
        return fail(words[0]);
    for (char **question = words + 4; *question; question++)
        if (nn_send(socket, *question, strlen(*question), 0) < 0)
            return fail("nn_send");
        else if (answer(socket) != 0)
            return 1;
    return 0;
}

int main(int count, char **words)
{
    int serves = (count == 5 || count == 6) && strcmp(words[1], "serve") == 0;
    int asks = count > 6 && strcmp(words[1], "ask") == 0;
    sigset_t hangup;
    if (!serves && !asks) {
        fprintf(stderr, "usage: tls serve ADDRESS CERTIFICATE KEY [TRUST]\n"
                        "       tls ask ADDRESS TRUST CERTIFICATE KEY QUESTION...\n");
        return 2;
    }
    /* Of all threads, those of the library as well, only the one that waits for it gets it. */
    sigemptyset(&hangup);
    sigaddset(&hangup, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &hangup, NULL);
    int socket = nn_socket(AF_SP, serves ? NN_REP : NN_REQ);
    if (socket < 0)
        return fail("nn_socket");
    int code = serves ? serve(socket, words + 2) : ask(socket, words + 2);
    nn_close(socket);
    return code;
}
