/* What a function hears that spmsg_log was given, and what SPMSG_LOG writes (doc/trace.md).
 *
 * The environment is read once, when the first socket is opened: this process opens sockets only
 * when those who look at the environment, in children, have done so. */

#include "beyond.h"

#include "support/address.h"
#include "support/cases.h"
#include "support/directory.h"
#include "support/process.h"
#include "support/resources.h"
#include "support/sockets.h"
#include "support/thread.h"

#include <nanomsg/nn.h>
#include <nanomsg/pair.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct line {
    int level, s, endpoint;
    char text[512];
};

/* What one function has heard. */
struct heard {
    pthread_mutex_t lock;
    struct line lines[4096];
    int count;
    int is_wanted; /* else it must not be called */
    int stray;
    int gate; /* a descriptor to read a byte from in each call, or -1 */
    pthread_t on;
};

static void hear(void *argument, int level, int s, int endpoint, const char *text)
{
    struct heard *heard = argument;
    char byte;
    pthread_mutex_lock(&heard->lock);
    int gate = heard->gate;
    heard->stray += !heard->is_wanted;
    heard->on = pthread_self();
    if (heard->count < (int)COUNT_OF(heard->lines)) {
        struct line *line = &heard->lines[heard->count++];
        line->level = level;
        line->s = s;
        line->endpoint = endpoint;
        snprintf(line->text, sizeof line->text, "%s", text);
    }
    pthread_mutex_unlock(&heard->lock);
    if (gate >= 0)
        (void)!read(gate, &byte, 1);
}

static struct heard *listener(void)
{
    struct heard *heard = calloc(1, sizeof *heard);
    REQUIRE(heard);
    pthread_mutex_init(&heard->lock, NULL);
    heard->is_wanted = 1;
    heard->gate = -1;
    return heard;
}

/* The place of the first line from `from` on that begins so, or -1; behind none there is none. */
static int find(struct heard *heard, int from, const char *words)
{
    int at = -1;
    pthread_mutex_lock(&heard->lock);
    for (int i = from; 0 <= i && i < heard->count && at < 0; i++)
        if (strncmp(heard->lines[i].text, words, strlen(words)) == 0)
            at = i;
    pthread_mutex_unlock(&heard->lock);
    return at;
}

static void end_listening(struct heard *heard)
{
    CHECK_EQ(spmsg_log(NULL, NULL), 0);
    heard->is_wanted = 0;
}

static void a_function_hears_what_happens_in_its_order(void)
{
    struct heard *heard = listener();
    char nowhere[128];
    CHECK_EQ(spmsg_log(hear, heard), 0);
    int one = open_pair(), other = open_pair();
    int bound = nn_bind(one, "inproc://heard");
    int dialing = nn_connect(other, "inproc://heard");
    snprintf(nowhere, sizeof nowhere, "ipc://%s/nobody", test_directory());
    CHECK_EQ(spmsg_bind(one, "ipc:///nowhere/at/all"), -1);
    int alone = open_pair();
    CHECK_OK(nn_connect(alone, nowhere));
    CHECK(wait_stat_at_least(alone, NN_STAT_CONNECT_ERRORS, 1, PATIENCE_MS));
    CHECK_CLOSE(one, other, alone);
    end_listening(heard);

    static const struct {
        const char *words;
        int level, is_of_endpoint;
    } EXPECTED[] = {
        {"opened socket=%d type=pair kind=cooked", SPMSG_LOG_INFO, 0},
        {"bound socket=%d endpoint=%d(inproc://heard) at=inproc://heard", SPMSG_LOG_INFO, 1},
        {"attached socket=%d endpoint=%d(inproc://heard) pipe=", SPMSG_LOG_INFO, 1},
        {"accepted socket=%d endpoint=%d(inproc://heard)", SPMSG_LOG_DEBUG, 1},
        {"not-bound socket=%d address=ipc:///nowhere/at/all error=", SPMSG_LOG_ERROR, 0},
        {"closing socket=%d endpoints=1", SPMSG_LOG_DEBUG, 0},
        {"closed socket=%d", SPMSG_LOG_INFO, 0},
    };
    int at = 0;
    for (size_t i = 0; i < COUNT_OF(EXPECTED); i++) {
        char words[256];
        snprintf(words, sizeof words, EXPECTED[i].words, one, bound);
        at = find(heard, at, words);
        if (at < 0) {
            FAIL("%s was not heard, or in another order", words);
            break;
        }
        CHECK_EQ(heard->lines[at].level, EXPECTED[i].level);
        CHECK_EQ(heard->lines[at].s, one);
        CHECK_EQ(heard->lines[at].endpoint, EXPECTED[i].is_of_endpoint ? bound : 0);
    }
    at = find(heard, 0, "connect-failed ");
    CHECK(at >= 0 && heard->lines[at].level == SPMSG_LOG_WARNING);
    CHECK(at >= 0 && strstr(heard->lines[at].text, "error=\"No such file or directory"));
    CHECK_OK(dialing);
    CHECK_EQ(heard->stray, 0);
    CHECK(!pthread_equal(heard->on, pthread_self()));
    free(heard);
}

/* Opens another socket whenever something happens to one of a certain name. */
static void hear_and_call(void *argument, int level, int s, int endpoint, const char *text)
{
    hear(argument, level, s, endpoint, text);
    if (strncmp(text, "opened ", 7) == 0 && s >= 0) {
        CHECK(nn_get_statistic(s, NN_STAT_MESSAGES_SENT) == 0 || nn_errno() == EBADF);
        CHECK_ERRNO(spmsg_log(NULL, NULL), -1, EFSM);
        CHECK_ERRNO(spmsg_log(hear, argument), -1, EFSM);
    }
    if (strstr(text, "open-another")) {
        int another = nn_socket(AF_SP, NN_PAIR);
        CHECK_OK(another);
        CHECK_EQ(nn_close(another), 0);
    }
}

static void it_may_call_the_library(void)
{
    struct heard *heard = listener();
    CHECK_EQ(spmsg_log(hear_and_call, heard), 0);
    int s = open_pair();
    CHECK_EQ(nn_setsockopt(s, NN_SOL_SOCKET, NN_SOCKET_NAME, "open-another", 12), 0);
    CHECK_ERRNO(nn_bind(s, "inproc:/wrong"), -1, EINVAL);
    CHECK(wait_until(find(heard, find(heard, 0, "not-bound"), "closed ") >= 0, PATIENCE_MS));
    CHECK_CLOSE(s);
    end_listening(heard);
    CHECK_EQ(heard->stray, 0);
    free(heard);
}

static void one_that_does_not_return_keeps_nobody_waiting(void)
{
    struct heard *heard = listener();
    int gate[2];
    REQUIRE(pipe(gate) == 0);
    heard->gate = gate[0];
    CHECK_EQ(spmsg_log(hear, heard), 0);
    int64_t began = now_ms();
    for (int i = 0; i < 500; i++) {
        int s = open_pair();
        CHECK_CLOSE(s);
    }
    CHECK_AT_MOST(now_ms() - began, PATIENCE_MS);
    CHECK_AT_MOST(heard->count, 1);
    close(gate[1]);
    end_listening(heard);
    int at = find(heard, 0, "lines-lost count=");
    CHECK_AT_LEAST(at, 256);
    if (at >= 0) {
        CHECK_EQ(heard->lines[at].level, SPMSG_LOG_WARNING);
        CHECK_EQ(heard->lines[at].s, -1);
        /* Opened, closing, closed: each was heard or counted. */
        CHECK_EQ(at + atoi(strchr(heard->lines[at].text, '=') + 1), 1500);
    }
    close(gate[0]);
    free(heard);
}

static void *open_and_close(void *argument)
{
    int *is_over = argument;
    while (!__atomic_load_n(is_over, __ATOMIC_SEQ_CST)) {
        int s = nn_socket(AF_SP, NN_PAIR);
        nn_bind(s, "inproc://busy");
        nn_close(s);
    }
    return NULL;
}

static void nobody_is_called_who_was_replaced(void)
{
    struct belongings before = belongings();
    struct thread threads[3];
    int is_over = 0, heard_something = 0;
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        thread_start(&threads[i], open_and_close, &is_over);
    for (int round = 0; round < 40; round++) {
        struct heard *first = listener(), *second = listener();
        CHECK_EQ(spmsg_log(hear, first), 0);
        nap_ms(2);
        CHECK_EQ(spmsg_log(hear, second), 0);
        first->is_wanted = 0;
        nap_ms(2);
        end_listening(second);
        nap_ms(1);
        CHECK_EQ(first->stray + second->stray, 0);
        heard_something += first->count > 0 && second->count > 0;
        /* Who is called now finds nothing. */
        free(first);
        free(second);
    }
    CHECK_AT_LEAST(heard_something, 1);
    __atomic_store_n(&is_over, 1, __ATOMIC_SEQ_CST);
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        thread_join(&threads[i]);
    check_nothing_left(before);
}

static int begin_anew(void *argument)
{
    struct heard *heard = argument;
    int count = heard->count;
    int s = open_pair();
    CHECK_CLOSE(s);
    CHECK_EQ(heard->count, count);
    CHECK_EQ(spmsg_log(hear, heard), 0);
    s = open_pair();
    CHECK_CLOSE(s);
    CHECK_EQ(spmsg_log(NULL, NULL), 0);
    CHECK(find(heard, count, "opened ") >= 0);
    return 0;
}

static void a_child_begins_without_one(void)
{
    struct heard *heard = listener();
    struct child child;
    CHECK_EQ(spmsg_log(hear, heard), 0);
    int s = open_pair();
    CHECK(wait_until(find(heard, 0, "opened ") >= 0, PATIENCE_MS));
    child_start(&child, begin_anew, heard);
    CHECK_EQ(child_wait(&child, PATIENCE_MS), 0);
    CHECK_CLOSE(s);
    end_listening(heard);
    CHECK(find(heard, 0, "closed ") >= 0);
    free(heard);
}

struct forker {
    struct heard heard;
    int result; /* what the child of the function came to, or -2 */
};

static int begin_anew_there(void *argument)
{
    struct forker *forker = argument;
    return begin_anew(&forker->heard);
}

/* Forks in the middle of the first call. */
static void hear_and_fork(void *argument, int level, int s, int endpoint, const char *text)
{
    struct forker *forker = argument;
    struct child child;
    hear(&forker->heard, level, s, endpoint, text);
    if (forker->result == -2) {
        child_start(&child, begin_anew_there, forker);
        forker->result = child_wait(&child, PATIENCE_MS);
    }
}

static void a_child_of_the_function_begins_without_one(void)
{
    struct forker *forker = calloc(1, sizeof *forker);
    REQUIRE(forker);
    pthread_mutex_init(&forker->heard.lock, NULL);
    forker->heard.is_wanted = 1;
    forker->heard.gate = -1;
    forker->result = -2;
    CHECK_EQ(spmsg_log(hear_and_fork, forker), 0);
    int s = open_pair();
    CHECK_CLOSE(s);
    end_listening(&forker->heard);
    CHECK_EQ(forker->result, 0);
    free(forker);
}

/* A life with something of every level, but for errors that are bugs. */
static int live(void *argument)
{
    const char *value = argument;
    unsetenv("SPMSG_TRACE");
    setenv("SPMSG_LOG", value, 1);
    int s = open_pair();
    CHECK_ERRNO(nn_bind(s, "tcp://nothing"), -1, EINVAL);
    CHECK_OK(nn_connect(s, "ipc:///nowhere/at/all"));
    CHECK(wait_stat_at_least(s, NN_STAT_CONNECT_ERRORS, 1, PATIENCE_MS));
    CHECK_ERRNO(nn_send(s, "x", 1, NN_DONTWAIT), -1, EAGAIN);
    CHECK_CLOSE(s);
    return 0;
}

static void the_environment_asks_for_a_level_and_names_a_file(void)
{
    static const char *const LEVELS[] = {"error", "warning", "info", "debug"};
    static const char *const LINES[] = {
        " error not-bound socket=0 address=tcp://nothing error=Invalid part=Port",
        " warning connect-failed socket=0 endpoint=1(ipc:///nowhere/at/all) error=",
        " info opened socket=0 type=pair kind=cooked",
        " debug send-refused socket=0 size=1 error=WouldBlock",
    };
    for (size_t i = 0; i < COUNT_OF(LEVELS); i++) {
        char value[160], text[65536];
        struct child child;
        snprintf(value, sizeof value, "%s:%s/log-%zu", LEVELS[i], test_directory(), i);
        child_start(&child, live, value);
        CHECK_EQ(child_wait(&child, PATIENCE_MS), 0);
        FILE *file = fopen(strchr(value, ':') + 1, "r");
        REQUIRE(file);
        text[fread(text, 1, sizeof text - 1, file)] = 0;
        fclose(file);
        for (size_t j = 0; j < COUNT_OF(LINES); j++)
            CHECK_EQ(strstr(text, LINES[j]) != NULL, j <= i);
        int process, seconds, micros;
        CHECK_EQ(sscanf(text, "spmsg %d %d.%6d ", &process, &seconds, &micros), 3);
    }
    struct child child;
    child_start(&child, live, "loud");
    CHECK_EQ(child_wait(&child, PATIENCE_MS), 0);
}

int main(void)
{
    test_begin("beyond/log", 100);
    RUN(the_environment_asks_for_a_level_and_names_a_file);
    RUN(a_function_hears_what_happens_in_its_order);
    RUN(it_may_call_the_library);
    RUN(one_that_does_not_return_keeps_nobody_waiting);
    RUN(nobody_is_called_who_was_replaced);
    RUN(a_child_begins_without_one);
    RUN(a_child_of_the_function_begins_without_one);
    return test_end();
}
