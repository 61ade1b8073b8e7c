/* The reference's command-line tool, unchanged, on our library by LD_PRELOAD: two of them talk over
 * each transport, with our library on both sides, on one, and on the other.
 *
 * NANOCAT is the tool and SPMSG_PRELOAD our library; ctest sets both. */

#include "support/address.h"
#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/process.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pairing {
    const char *name;
    const char *scheme;
    int ours_binds;
    int ours_connects;
};

static const struct pairing pairings[] = {
    {"ours_and_ours_over_tcp", "tcp", 1, 1},
    {"ours_and_ours_over_ipc", "ipc", 1, 1},
    {"ours_binds_and_the_reference_connects_over_tcp", "tcp", 1, 0},
    {"ours_binds_and_the_reference_connects_over_ipc", "ipc", 1, 0},
    {"the_reference_binds_and_ours_connects_over_tcp", "tcp", 0, 1},
    {"the_reference_binds_and_ours_connects_over_ipc", "ipc", 0, 1},
};

static char *nanocat;
static char *library;

static void start(struct child *child, int ours, char *const words[])
{
    static char preload[4200];
    char *environment[] = {preload, NULL};
    snprintf(preload, sizeof preload, "LD_PRELOAD=%s", ours ? library : "");
    child_exec(child, words, environment);
}

/* Whether the program has really loaded our library. */
static int has_loaded(struct child *child)
{
    char path[64], line[5000], resolved[4200];
    int found = 0;
    REQUIRE(realpath(library, resolved) != NULL);
    snprintf(path, sizeof path, "/proc/%d/maps", (int)child->pid);
    FILE *maps = fopen(path, "r");
    REQUIRE(maps != NULL);
    while (fgets(line, sizeof line, maps))
        if (strstr(line, resolved))
            found = 1;
    fclose(maps);
    return found;
}

static void check_line(struct child *child, const char *expected)
{
    char line[256];
    CHECK(child_line(child, line, sizeof line, PATIENCE_MS));
    CHECK_STR(line, expected);
}

/* Each sends one message and prints what it receives; then they are told to go. */
static void check_pairing(const struct pairing *pairing)
{
    struct url url = unique_url(pairing->scheme);
    struct child binder, connector;
    char *bind_words[] = {nanocat, "--pair", "--bind", url.text, "--data", "from the binder",
                          "--ascii", "--recv-timeout", "20", NULL};
    char *connect_words[] = {nanocat, "--pair", "--connect", url.text, "--data",
                             "from the connector", "--ascii", "--recv-timeout", "20", NULL};
    start(&binder, pairing->ours_binds, bind_words);
    start(&connector, pairing->ours_connects, connect_words);
    check_line(&binder, "from the connector");
    check_line(&connector, "from the binder");
    CHECK_EQ(has_loaded(&binder), pairing->ours_binds);
    CHECK_EQ(has_loaded(&connector), pairing->ours_connects);
    child_kill(&binder);
    child_kill(&connector);
}

/* abi 6.10 and 6.11 as the tool sees them: its exit codes tell which error it met. */
static void timeouts_end_the_tool_as_always(void)
{
    struct url url = unique_url("tcp");
    struct child child;
    char *receive[] = {nanocat, "--pair", "--bind", url.text, "--recv-timeout", "1", NULL};
    char *send[] = {nanocat, "--pair", "--connect", url.text, "--send-timeout", "1", "--data", "x",
                    NULL};
    int64_t begin = now_us();
    start(&child, 1, receive);
    CHECK_EQ(child_wait(&child, PATIENCE_MS), 0);
    CHECK_NOT_EARLY(begin, 1000);
    begin = now_us();
    start(&child, 1, send);
    CHECK_EQ(child_wait(&child, PATIENCE_MS), 3);
    CHECK_NOT_EARLY(begin, 1000);
}

int main(void)
{
    nanocat = getenv("NANOCAT");
    library = getenv("SPMSG_PRELOAD");
    if (!nanocat || !library) {
        fprintf(stderr, "NANOCAT and SPMSG_PRELOAD must be set\n");
        return 2;
    }
    test_begin("interop/nanocat", 58);
    for (size_t i = 0; i < sizeof pairings / sizeof pairings[0]; i++)
        if (CASE(pairings[i].name))
            check_pairing(&pairings[i]);
    RUN(timeouts_end_the_tool_as_always);
    return test_end();
}
