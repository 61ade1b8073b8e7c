#include "failing.h"

#include "allocshim.h"

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/credentials.h"
#include "support/directory.h"
#include "support/resources.h"
#include "support/sockets.h"
#include "support/talk.h"
#include "support/trial.h"

#include <nanomsg/nn.h>
#include <nanomsg/pipeline.h>
#include <nanomsg/pubsub.h>
#include <nanomsg/reqrep.h>
#include <nanomsg/survey.h>

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LARGE = 20000, SHORT_MS = 40, CHILD_SECONDS = 20, BUFFERS = 4 };

/* What a child tells its parent. */
struct finding {
    long failed;
    int said_so;     /* calls that said what was wrong */
    int late;        /* calls that failed as they do while there is no connection */
    int ended;       /* connections that ended */
    int live;        /* what is left when all is closed */
    int descriptors;
    int is_done;
    char fault[200];
};

static struct finding *finding;
/* What calls of this child may report. */
static int may_be;
static char body[LARGE];

const char *const outcome_names[OUTCOMES] =
    {"worked", "said so", "ended or late", "aborted", "hung", "leaked", "wrong"};

void failing_init(void)
{
    memset(body, 'b', sizeof body);
    finding = mmap(NULL, sizeof *finding, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                   0);
    REQUIRE(finding != MAP_FAILED);
}

__attribute__((format(printf, 1, 2)))
static void blame(const char *format, ...)
{
    va_list arguments;
    if (finding->fault[0])
        return;
    va_start(arguments, format);
    vsnprintf(finding->fault, sizeof finding->fault, format, arguments);
    va_end(arguments);
}

/* ---- a conversation that may fail anywhere, in a child ---- */

struct talk {
    struct reserved address; /* nobody else takes its port meanwhile */
    struct url url;
    struct url target; /* the same, by another name */
    int left, right, bound, connected;
};

/* Whether the call worked; if not, for a reason that may be. */
static int judge(const char *call, int result)
{
    int error = errno;
    if (result >= 0)
        return 1;
    if (error == ETIMEDOUT || error == EAGAIN || error == EFSM)
        finding->late++;
    else if (error == ENOMEM || error == EMFILE || error == may_be)
        finding->said_so++;
    else
        blame("%s: errno %d (%s)", call, error, nn_strerror(error));
    return 0;
}

static void settle(int s, int type)
{
    int ms = SHORT_MS, interval = 3, survey = 60;
    if (s < 0)
        return;
    nn_setsockopt(s, NN_SOL_SOCKET, NN_SNDTIMEO, &ms, sizeof ms);
    nn_setsockopt(s, NN_SOL_SOCKET, NN_RCVTIMEO, &ms, sizeof ms);
    nn_setsockopt(s, NN_SOL_SOCKET, NN_RECONNECT_IVL, &interval, sizeof interval);
    if (type == NN_SURVEYOR)
        nn_setsockopt(s, NN_SURVEYOR, NN_SURVEYOR_DEADLINE, &survey, sizeof survey);
    if (type == NN_REQ)
        nn_setsockopt(s, NN_REQ, NN_REQ_RESEND_IVL, &survey, sizeof survey);
    if (type == NN_SUB)
        judge("nn_setsockopt", nn_setsockopt(s, NN_SUB, NN_SUB_SUBSCRIBE, "", 0));
}

static int is_connected(const struct talk *talk)
{
    return nn_get_statistic(talk->left, NN_STAT_CURRENT_CONNECTIONS) == 1
        && nn_get_statistic(talk->right, NN_STAT_CURRENT_CONNECTIONS) == 1;
}

static void begin(struct talk *talk, const struct failing *plan)
{
    judge("nn_socket", talk->left = dressed(nn_socket(AF_SP, plan->left)));
    judge("nn_socket", talk->right = dressed(nn_socket(AF_SP, plan->right)));
    settle(talk->left, plan->left);
    settle(talk->right, plan->right);
    if (talk->left >= 0)
        judge("nn_bind", talk->bound = nn_bind(talk->left, talk->url.text));
    if (talk->right >= 0)
        judge("nn_connect", talk->connected = nn_connect(talk->right, talk->target.text));
}

/* One message, if it gets through; it must be whole. */
static int pass(int from, int to, size_t size, int as_chunk)
{
    char *chunk = NULL;
    static char buffer[LARGE];
    if (from < 0 || to < 0)
        return 0;
    if (as_chunk) {
        void *message = nn_allocmsg(size, 0);
        if (!judge("nn_allocmsg", message ? 0 : -1))
            return 0;
        memcpy(message, body, size);
        if (!judge("nn_send", nn_send(from, &message, NN_MSG, 0))) {
            nn_freemsg(message);
            return 0;
        }
    } else if (!judge("nn_send", nn_send(from, body, size, 0))) {
        return 0;
    }
    int got = as_chunk ? nn_recv(to, &chunk, NN_MSG, 0) : nn_recv(to, buffer, sizeof buffer, 0);
    if (!judge("nn_recv", got))
        return 0;
    if (((size_t)got != size && got != LARGE && got != 10)
        || memcmp(as_chunk ? chunk : buffer, body, (size_t)got) != 0)
        blame("a message of %d bytes is not what was sent", got);
    if (chunk)
        nn_freemsg(chunk);
    return 1;
}

static int answers(const struct failing *plan)
{
    return plan->left != NN_PUB && plan->left != NN_PUSH && plan->left != NN_PULL;
}

/* Who asks, or is the only one who sends, is at the right; but for PUB, which is left. */
static void exchange(const struct talk *talk, const struct failing *plan, int rounds)
{
    int from = plan->left == NN_PUB ? talk->left : talk->right;
    int to = plan->left == NN_PUB ? talk->right : talk->left;
    for (int i = 0; i < rounds; i++) {
        size_t size = i % 2 ? LARGE : 10;
        if (pass(from, to, size, i & 2) && answers(plan))
            pass(to, from, size, i & 2);
    }
}

/* What a type can do, to be polled for. */
static short direction(int type)
{
    return type == NN_PUB || type == NN_PUSH ? NN_POLLOUT : NN_POLLIN;
}

static void look(const struct talk *talk, const struct failing *plan)
{
    struct nn_pollfd both[2] = {{talk->left, direction(plan->left), 0},
                                {talk->right, direction(plan->right), 0}};
    if (talk->left < 0 || talk->right < 0)
        return;
    judge("nn_poll", nn_poll(both, 2, 1));
    for (int option = NN_SNDFD; option <= NN_RCVFD; option++) {
        int value;
        size_t size = sizeof value;
        if (nn_getsockopt(talk->left, NN_SOL_SOCKET, option, &value, &size) < 0
            && errno != ENOPROTOOPT)
            judge("nn_getsockopt", -1);
    }
}

static void end(struct talk *talk)
{
    if (talk->right >= 0 && nn_close(talk->right) != 0)
        blame("nn_close: errno %d (%s)", errno, nn_strerror(errno));
    if (talk->left >= 0 && nn_close(talk->left) != 0)
        blame("nn_close: errno %d (%s)", errno, nn_strerror(errno));
    talk->left = talk->right = talk->bound = talk->connected = -1;
}

/* The number, or -1 with what went wrong noted. */
static int again(const char *what, int result)
{
    if (result < 0)
        blame("setting up again, %s: errno %d (%s)", what, errno, nn_strerror(errno));
    return result;
}

/* There is memory: what failed is repeated, and what did not must work by itself. */
static void recover(struct talk *talk, const struct failing *plan)
{
    int count = 0;
    if (talk->left < 0)
        talk->left = again("left nn_socket", dressed(nn_socket(AF_SP, plan->left)));
    if (talk->right < 0)
        talk->right = again("right nn_socket", dressed(nn_socket(AF_SP, plan->right)));
    settle(talk->left, plan->left);
    settle(talk->right, plan->right);
    if (talk->bound < 0)
        talk->bound = again("nn_bind", nn_bind(talk->left, talk->url.text));
    if (talk->connected < 0)
        talk->connected = again("nn_connect", nn_connect(talk->right, talk->target.text));
    if (talk->left < 0 || talk->right < 0 || talk->bound < 0 || talk->connected < 0)
        return;
    if (!wait_until(is_connected(talk), PATIENCE_MS))
        return blame("they do not find each other again");
    int from = plan->left == NN_PUB ? talk->left : talk->right;
    int to = plan->left == NN_PUB ? talk->right : talk->left;
    /* The first may still be lost, and what was asked before is answered in vain. */
    int64_t deadline = now_ms() + PATIENCE_MS;
    while (count < 2 && now_ms() < deadline) {
        while (nn_recv(to, NULL, 0, NN_DONTWAIT) >= 0) {}
        count = pass(from, to, 10, 0) && (!answers(plan) || pass(to, from, 10, 0)) ? count + 1 : 0;
    }
    if (count < 2)
        blame("they do not talk again");
}

static struct talk new_talk(const struct failing *plan)
{
    struct talk talk = {reserve_url(trial.scheme), {""}, {""}, -1, -1, -1, -1};
    talk.url = talk.target = talk.address.url;
    if (plan->host)
        snprintf(talk.target.text, sizeof talk.target.text, "tcp://%s:%s", plan->host,
                 strrchr(talk.url.text, ':') + 1);
    return talk;
}

static void converse(const struct failing *plan)
{
    struct talk talk = new_talk(plan);
    may_be = plan->error;
    if (plan->connected_first) {
        begin(&talk, plan);
        if (!wait_until(is_connected(&talk), PATIENCE_MS))
            blame("they do not find each other");
        exchange(&talk, plan, 4);
        look(&talk, plan);
    }
    finding->said_so = finding->late = 0;
    plan->begin(plan->plan);
    if (!plan->connected_first) {
        begin(&talk, plan);
        wait_until(is_connected(&talk), SHORT_MS);
    }
    exchange(&talk, plan, 4);
    look(&talk, plan);
    exchange(&talk, plan, 2);
    if (plan->to_the_end)
        end(&talk);
    finding->failed = plan->end();
    int said_so = finding->said_so, late = finding->late;
    if (talk.left >= 0)
        finding->ended = (int)(nn_get_statistic(talk.left, NN_STAT_BROKEN_CONNECTIONS)
                               + nn_get_statistic(talk.left, NN_STAT_ACCEPT_ERRORS));
    /* A file that could not be removed is no wonder. */
    if (is_ipc(talk.url.text) && plan->to_the_end)
        unlink(talk.url.text + 6);
    recover(&talk, plan);
    end(&talk);
    if (is_ipc(talk.url.text))
        unlink(talk.url.text + 6);
    release_url(&talk.address);
    finding->said_so = said_so, finding->late = late;
}

/* ---- the parent ---- */

static enum outcome outcome_of(int status, long live)
{
    if (WIFSIGNALED(status))
        return WTERMSIG(status) == SIGALRM ? HUNG : ABORTED;
    if (!finding->is_done)
        return ABORTED;
    if (finding->fault[0])
        return WRONG;
    if (finding->live > live || finding->descriptors > 0)
        return LEAKED;
    if (finding->said_so > 0)
        return SAID_SO;
    return finding->late > 0 || finding->ended > 0 ? ENDED : WORKED;
}

/* Runs so many conversations in a child; returns its status. */
static int run_child(struct failing failing, int count, int seconds,
                     void (*change)(struct failing *failing, int number))
{
    int status = 0;
    memset(finding, 0, sizeof *finding);
    fflush(NULL);
    pid_t pid = fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
        int descriptors = count_descriptors();
        alarm((unsigned)seconds);
        for (int number = 0; number < count; number++) {
            if (change)
                change(&failing, number);
            converse(&failing);
        }
        finding->live = (int)alloc_live();
        finding->descriptors = count_descriptors() - descriptors;
        finding->is_done = 1;
        _exit(0);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
    return status;
}

static void begin_nothing(void *plan)
{
    (void)plan;
}

static long end_nothing(void)
{
    return 0;
}

/* The library keeps some memory until the process ends, and a few buffers more when threads read
 * at the same moment. */
long failing_live(const struct failing *failing)
{
    struct failing plan = *failing;
    long most = 0;
    plan.begin = begin_nothing;
    plan.end = end_nothing;
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(run_child(plan, 1, CHILD_SECONDS, NULL), 0);
        CHECK_STR(finding->fault, "");
        most = finding->live > most ? finding->live : most;
    }
    return most + BUFFERS;
}

enum outcome failing_run(const struct failing *failing, long live, long *failed,
                         const char *what, struct tally *tally)
{
    int status = run_child(*failing, 1, CHILD_SECONDS, NULL);
    enum outcome outcome = outcome_of(status, live);
    *failed = finding->is_done ? finding->failed : 1;
    if (*failed == 0)
        return outcome;
    tally->tries++;
    tally->of[outcome]++;
    if (outcome < ABORTED) {
        CHECK(1);
    } else if (reference()) {
        test.failures++;
    } else {
        FAIL("types %d and %d, %s%s%s: %s (status %#x) %s, left %d pieces and %d descriptors",
             failing->left, failing->right, what,
             failing->connected_first ? ", connected before" : "",
             failing->to_the_end ? ", until all is closed" : "", outcome_names[outcome],
             (unsigned)status, finding->fault, finding->live, finding->descriptors);
    }
    return outcome;
}

void failing_run_many(struct failing *failing, int count,
                      void (*change)(struct failing *failing, int number))
{
    long live = failing_live(failing);
    int status = run_child(*failing, count, 60 * trial.effort, change);
    CHECK_EQ(status, 0);
    CHECK_EQ(finding->is_done, 1);
    CHECK_STR(finding->fault, "");
    CHECK_AT_MOST(finding->live, live);
    CHECK_AT_MOST(finding->descriptors, 0);
}

int failing_is_enough(void)
{
    return test.failures - test.failures_before > (trial.effort > 1 ? 20 : 5) && !reference();
}

void print_tally(const char *what, const struct tally *tally)
{
    printf("%s: %ld tries", what, tally->tries);
    for (int i = 0; i < OUTCOMES; i++)
        printf(", %ld %s", tally->of[i], outcome_names[i]);
    printf("\n");
    fflush(stdout);
}
