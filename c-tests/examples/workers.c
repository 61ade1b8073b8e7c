/* Runs the example of a device as its users would, over tcp and ipc: a broker, workers and clients,
 * each a process of its own.
 *
 * SPMSG_EXAMPLE_DEVICE is the program; ctest sets it. */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/process.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void start(struct child *child, const char *role, const char *one, const char *two)
{
    char *words[] = {getenv("SPMSG_EXAMPLE_DEVICE"), (char *)(uintptr_t)role,
                     (char *)(uintptr_t)one, (char *)(uintptr_t)two, NULL};
    REQUIRE(words[0] != NULL);
    child_exec(child, words, NULL);
}

/* The next line of the child begins with that text. */
static void check_says(struct child *child, const char *expected)
{
    char line[256] = "";
    test_at(__FILE__, __LINE__);
    if (!child_line(child, line, sizeof line, PATIENCE_MS)
        || strncmp(line, expected, strlen(expected)) != 0)
        FAIL("it says \"%s\" instead of \"%s\"", line, expected);
}

/* Runs a client with that many requests; how many each of the two workers has done. */
static void run_client(const char *front, int count, int done[2])
{
    struct child client;
    char line[256], expected[64];
    snprintf(line, sizeof line, "%d", count);
    start(&client, "client", front, line);
    done[0] = done[1] = 0;
    for (int i = 1; i <= count; i++) {
        int size = snprintf(expected, sizeof expected, "client: received \"request %d, done by ",
                            i);
        REQUIRE(child_line(&client, line, sizeof line, PATIENCE_MS));
        CHECK_EQ(strncmp(line, expected, (size_t)size), 0);
        if (strcmp(line + size, "anna\"") == 0)
            done[0]++;
        else if (strcmp(line + size, "bert\"") == 0)
            done[1]++;
        else
            FAIL("a stranger replies: %s", line);
    }
    CHECK_EQ(child_wait(&client, PATIENCE_MS), 0);
}

static void check_workers(const char *scheme)
{
    struct url front = unique_url(scheme), back = unique_url(scheme);
    struct child broker, anna, bert;
    int done[2];
    start(&broker, "broker", front.text, back.text);
    check_says(&broker, "broker: from ");
    start(&anna, "worker", back.text, "anna");
    check_says(&anna, "worker anna: waiting at ");
    run_client(front.text, 3, done);
    CHECK_EQ(done[0], 3);
    start(&bert, "worker", back.text, "bert");
    check_says(&bert, "worker bert: waiting at ");
    /* When the second has been seen at work, the two take turns. */
    CHECK(wait_until((run_client(front.text, 1, done), done[1]), PATIENCE_MS));
    run_client(front.text, 6, done);
    CHECK_EQ(done[0], 3);
    CHECK_EQ(done[1], 3);
    /* Without the first all work falls to the second. */
    child_kill(&anna);
    run_client(front.text, 4, done);
    CHECK_AT_LEAST(done[1], 3);
    child_kill(&bert);
    child_kill(&broker);
}

static void workers_share_the_load_over_tcp(void)
{
    check_workers("tcp");
}

static void workers_share_the_load_over_ipc(void)
{
    check_workers("ipc");
}

static void wrong_words_are_an_error(void)
{
    struct child child;
    start(&child, "broker", "tcp://127.0.0.1:0", "tcp://127.0.0.1:0");
    CHECK_EQ(child_wait(&child, PATIENCE_MS), 1);
    start(&child, "baker", "a", "b");
    CHECK_EQ(child_wait(&child, PATIENCE_MS), 2);
}

int main(void)
{
    test_begin("examples/workers", 58);
    RUN(workers_share_the_load_over_tcp);
    RUN(workers_share_the_load_over_ipc);
    RUN(wrong_words_are_an_error);
    return test_end();
}
