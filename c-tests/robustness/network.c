/* A kernel and a host that are within their rights, and seldom meant to be met: accepting that fails
 * for good, and writing that takes a few bytes at a time.
 *
 *   network ipc|tcp|ws|tls+tcp|wss [EFFORT [SEED]] */

#include "faultshim.h"

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/raw-stream.h"
#include "support/resources.h"
#include "support/sockets.h"
#include "support/talk.h"
#include "support/trial.h"
#include "support/websocket.h"

#include <nanomsg/nn.h>

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- accepting that fails for good ---- */

/* Tries in a second, of which the first few may come at once. */
enum { TRIES_MAX = 60 };

static void check_failing_accept(int error)
{
    struct url url = unique_url(trial.scheme);
    struct sockaddr_storage address;
    socklen_t size = raw_address(url.text, &address);
    int s = bound_pair(url.text);
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    fault_often("accept4", error, 1000, trial.seed);
    CHECK_EQ(connect(fd, (struct sockaddr *)&address, size), 0);
    CHECK(wait_until(fault_calls() > 0, PATIENCE_MS));
    int64_t cpu = cpu_us(), start = now_us();
    nap_ms(1000);
    int64_t lasted = now_us() - start;
    CHECK_AT_MOST((cpu_us() - cpu) * 5, lasted);
    CHECK_AT_MOST(fault_end(), TRIES_MAX * (lasted / 1000000 + 1));
    close(fd);
    check_serves(s, url.text);
    CHECK_CLOSE(s);
}

static void accepting_that_fails_for_good_costs_no_processor(void)
{
    const int errors[] = {ENETDOWN, EPROTO, ECONNABORTED, EINTR};
    for (size_t i = 0; i < COUNT_OF(errors); i++)
        check_failing_accept(errors[i]);
}

/* ---- writing that takes a few bytes at a time ---- */

/* Greetings and messages are taken in parts, and no connection is lost. */
static void a_greeting_in_parts_is_one(void)
{
    for (long bytes = 1; bytes < 9; bytes++) {
        struct url url = unique_url(trial.scheme);
        int a, b;
        fault_short(bytes);
        open_pairs(&a, &b, url.text);
        /* Right behind the greeting. */
        CHECK_SEND(a, "the first of a listener");
        CHECK_SEND(b, "the first of a dialer");
        CHECK_RECV(a, "the first of a dialer");
        CHECK_RECV(b, "the first of a listener");
        fault_end();
        CHECK_TALK(a, b);
        CHECK_EQ(nn_get_statistic(b, NN_STAT_ESTABLISHED_CONNECTIONS), 1);
        CHECK_EQ(nn_get_statistic(b, NN_STAT_BROKEN_CONNECTIONS), 0);
        CHECK_CLOSE(b, a);
    }
}

/* What is said before the socket has a peer must wait, and must not be thrown away. */
static void a_message_waits_for_the_greeting(void)
{
    struct url url = unique_url(trial.scheme);
    int a = open_quick(), b = open_quick();
    fault_short(3);
    CHECK_OK(nn_connect(b, url.text));
    CHECK_OK(nn_bind(a, url.text));
    for (int i = 0; i < 20; i++) {
        CHECK_SEND(b, "behind the greeting");
        CHECK_RECV(a, "behind the greeting");
    }
    fault_end();
    CHECK_EQ(nn_get_statistic(b, NN_STAT_ESTABLISHED_CONNECTIONS), 1);
    CHECK_CLOSE(b, a);
}

/* A refusal is heard to its end, too. */
static void an_answer_in_parts_is_whole(void)
{
    struct url url = unique_url(trial.scheme);
    const char request[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    char answer[1024] = "";
    int s = bound_pair(url.text), fd = raw_connect(url.text);
    fault_short(3);
    raw_send(fd, request, sizeof request - 1);
    CHECK(ws_head(fd, answer, sizeof answer, PATIENCE_MS) > 0);
    CHECK_EQ(raw_end(fd, PATIENCE_MS), RAW_EOF);
    fault_end();
    CHECK_MEM(answer, "HTTP/1.1 400 ", 13);
    close(fd);
    check_serves(s, url.text);
    CHECK_CLOSE(s);
}

int main(int count, char **words)
{
    trial_begin("robustness/network", "ipc|tcp|ws|tls+tcp|wss", 60, count, words);
    RUN(accepting_that_fails_for_good_costs_no_processor);
    RUN(a_greeting_in_parts_is_one);
    RUN(a_message_waits_for_the_greeting);
    if (strcmp(trial.scheme, "ws") == 0)
        RUN(an_answer_in_parts_is_whole);
    RUN(nothing_is_left);
    return test_end();
}
