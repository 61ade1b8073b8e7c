/* Runs the example programs against each other, as their users would, over tcp and ipc.
 *
 * SPMSG_EXAMPLE_PAIR and SPMSG_EXAMPLE_PAIR_THREADS are the programs; ctest sets both. */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/process.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Reads the node's lines until one begins with that text. */
static void check_says(struct child *child, const char *expected)
{
    char line[256] = "";
    int64_t deadline = now_ms() + PATIENCE_MS;
    while (now_ms() < deadline && child_line(child, line, sizeof line, PATIENCE_MS))
        if (strncmp(line, expected, strlen(expected)) == 0)
            break;
    test_at(__FILE__, __LINE__);
    if (strncmp(line, expected, strlen(expected)) != 0)
        FAIL("the node does not say \"%s\"; its last line is \"%s\"", expected, line);
}

static void check_receives_all(struct child *child, const char *node, const char *peer)
{
    for (int number = 1; number <= 3; number++) {
        char expected[128];
        snprintf(expected, sizeof expected, "node %s: received \"node %s, message %d\"", node, peer,
                 number);
        check_says(child, expected);
    }
}

/* The first node is listening before the second one starts, so the roles are known. */
static void check_conversation(const char *program, const char *other, const char *scheme)
{
    struct url url = unique_url(scheme);
    struct child zero, one;
    char *zero_words[] = {getenv(program), "0", url.text, NULL};
    char *one_words[] = {getenv(other), "1", url.text, NULL};
    REQUIRE(zero_words[0] != NULL && one_words[0] != NULL);
    child_exec(&zero, zero_words, NULL);
    check_says(&zero, "node 0: listening at");
    child_exec(&one, one_words, NULL);
    char taken[200];
    snprintf(taken, sizeof taken, "node 1: %s is taken", url.text);
    check_says(&one, taken);
    check_receives_all(&zero, "0", "1");
    check_receives_all(&one, "1", "0");
    CHECK_EQ(child_wait(&zero, PATIENCE_MS), 0);
    CHECK_EQ(child_wait(&one, PATIENCE_MS), 0);
}

static void pair_over_tcp(void)
{
    check_conversation("SPMSG_EXAMPLE_PAIR", "SPMSG_EXAMPLE_PAIR", "tcp");
}

static void pair_over_ipc(void)
{
    check_conversation("SPMSG_EXAMPLE_PAIR", "SPMSG_EXAMPLE_PAIR", "ipc");
}

static void pair_threads_over_tcp(void)
{
    check_conversation("SPMSG_EXAMPLE_PAIR_THREADS", "SPMSG_EXAMPLE_PAIR_THREADS", "tcp");
}

static void pair_threads_over_ipc(void)
{
    check_conversation("SPMSG_EXAMPLE_PAIR_THREADS", "SPMSG_EXAMPLE_PAIR_THREADS", "ipc");
}

static void pair_with_pair_threads_over_tcp(void)
{
    check_conversation("SPMSG_EXAMPLE_PAIR", "SPMSG_EXAMPLE_PAIR_THREADS", "tcp");
}

/* Started at the same moment, the address decides who listens. */
static void check_both_at_once(const char *scheme)
{
    struct url url = unique_url(scheme);
    struct child zero, one;
    char *zero_words[] = {getenv("SPMSG_EXAMPLE_PAIR"), "0", url.text, NULL};
    char *one_words[] = {getenv("SPMSG_EXAMPLE_PAIR"), "1", url.text, NULL};
    child_exec(&zero, zero_words, NULL);
    child_exec(&one, one_words, NULL);
    check_receives_all(&zero, "0", "1");
    check_receives_all(&one, "1", "0");
    CHECK_EQ(child_wait(&zero, PATIENCE_MS), 0);
    CHECK_EQ(child_wait(&one, PATIENCE_MS), 0);
}

static void both_start_at_once_over_tcp(void)
{
    check_both_at_once("tcp");
}

static void both_start_at_once_over_ipc(void)
{
    if (reference()) {
        test_skip("it may delete the other's fresh socket, and tell both that they have it");
        return;
    }
    check_both_at_once("ipc");
}

static void a_bad_url_is_an_error(void)
{
    struct child child;
    char *words[] = {getenv("SPMSG_EXAMPLE_PAIR"), "0", "tcp://127.0.0.1:0", NULL};
    child_exec(&child, words, NULL);
    CHECK_EQ(child_wait(&child, PATIENCE_MS), 1);
}

int main(void)
{
    test_begin("examples/conversation", 58);
    RUN(pair_over_tcp);
    RUN(pair_over_ipc);
    RUN(pair_threads_over_tcp);
    RUN(pair_threads_over_ipc);
    RUN(pair_with_pair_threads_over_tcp);
    RUN(both_start_at_once_over_tcp);
    RUN(both_start_at_once_over_ipc);
    RUN(a_bad_url_is_an_error);
    return test_end();
}
