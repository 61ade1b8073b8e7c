#include "support/cases.h"

#include "support/check.h"
#include "support/credentials.h"
#include "support/directory.h"
#include "support/ports.h"
#include "support/process.h"

#include <nanomsg/nn.h>

#include <dlfcn.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The lines of differences.txt that are about this program. */
static char differences[8192];

static void test_put(const char *text)
{
    if (write(2, text, strlen(text)) < 0)
        return;
}

/* Runs at the deadline of the process and therefore uses nothing that could be locked. */
static void test_watchdog(int number)
{
    char line[12];
    char *digit = line + sizeof line - 1;
    int rest = test.line;
    (void)number;
    *digit = 0;
    do {
        *--digit = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    test_put("watchdog: out of time in case ");
    test_put(test.current ? test.current : "-");
    test_put(", last assertion begun at ");
    test_put(test.file ? test.file : "-");
    test_put(":");
    test_put(digit);
    test_put("\n");
    children_kill();
    _exit(3);
}

/* Keeps of differences.txt the lines of this test: "case<TAB>reason". */
static void test_read_differences(void)
{
    char line[1024];
    size_t used = 0, length = strlen(test.name);
    FILE *file = fopen(SPMSG_DIFFERENCES, "r");
    if (!file) {
        fprintf(stderr, "cannot read %s\n", SPMSG_DIFFERENCES);
        exit(2);
    }
    while (fgets(line, sizeof line, file)) {
        if (strncmp(line, test.name, length) != 0 || line[length] != '\t')
            continue;
        size_t size = strlen(line + length + 1);
        if (used + size >= sizeof differences) {
            fprintf(stderr, "too many differences for %s\n", test.name);
            exit(2);
        }
        memcpy(differences + used, line + length + 1, size + 1);
        used += size;
    }
    fclose(file);
}

void test_begin(const char *name, int seconds)
{
    Dl_info library;
    char resolved[4096];
    test.name = name;
    test.pid = getpid();
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGALRM, test_watchdog);
    const char *slowness = getenv("SPMSG_TEST_SLOWNESS");
    alarm((unsigned)seconds * (slowness ? (unsigned)atoi(slowness) : 1));
    test_read_differences();
    ports_reserve();
    if (dladdr((void *)(uintptr_t)&nn_socket, &library) && realpath(library.dli_fname, resolved))
        printf("%s on %s\n", name, resolved);
}

/* Whether a word stands in a list like "tcp|ipc". */
static int stands_in(const char *list, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = list; at; at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL)
        if (strcspn(at, "|") == length && memcmp(at, word, length) == 0)
            return 1;
    return 0;
}

const char *test_begin_with(const char *name, const char *list, int seconds, int count,
                            char **words)
{
    static char whole[64];
    if (count < 2 || !stands_in(list, words[1])) {
        fprintf(stderr, "usage: %s %s\n", words[0], list);
        exit(2);
    }
    snprintf(whole, sizeof whole, "%s-%s", name, words[1]);
    test_begin(whole, seconds);
    credentials_load(words[1]);
    return words[1];
}

/* The reason why a case is a listed difference, or NULL. Marks the line as used. */
static const char *test_difference(const char *name)
{
    static char reason[1024];
    size_t length = strlen(name);
    for (char *line = differences; *line; line = strchr(line, '\n') + 1) {
        if (strncmp(line, name, length) == 0 && line[length] == '\t') {
            snprintf(reason, sizeof reason, "%.*s", (int)strcspn(line + length + 1, "\n"),
                     line + length + 1);
            line[length] = '!';
            return reason;
        }
        if (!strchr(line, '\n'))
            break;
    }
    return NULL;
}

int case_failed(void)
{
    return __atomic_load_n(&test.failures, __ATOMIC_RELAXED) != test.failures_before;
}

/* Closes what a case left open, which is a failure unless the case failed already. */
static void test_sweep(void)
{
    int open = 0;
    /* A few numbers more than there may be, for a library that gives them out. */
    for (int s = 0; s < 520; s++)
        if (nn_close(s) == 0)
            open++;
    if (open > 0 && test.failures == test.failures_before)
        FAIL("the case left %d sockets open", open);
}

void test_skip(const char *reason)
{
    printf("SKIP %s: %s\n", test.current, reason);
    test.skipped++;
}

int CASE(const char *name)
{
    const char *only = getenv("SPMSG_TEST_CASE");
    const char *reason = test_difference(name);
    if (test.current)
        test_sweep();
    test.current = NULL;
    if (only && strcmp(only, name) != 0)
        return 0;
    test.current = name;
    test.failures_before = test.failures;
    test.cases++;
    if (reason && reference()) {
        test_skip(reason);
        return 0;
    }
    if (getenv("SPMSG_TEST_EXCEPT") && stands_in(getenv("SPMSG_TEST_EXCEPT"), name)) {
        test_skip("left out by SPMSG_TEST_EXCEPT");
        return 0;
    }
    printf("case %s\n", name);
    return 1;
}

void test_cleanup(void)
{
    if (getpid() != test.pid)
        return;
    children_kill();
    directory_remove();
}

int test_end(void)
{
    if (test.current)
        test_sweep();
    test.current = NULL;
    if (test.cases == 0)
        FAIL("no case was run");
    for (char *line = differences; *line && !getenv("SPMSG_TEST_CASE");) {
        size_t length = strcspn(line, "\n");
        if (memchr(line, '!', strcspn(line, "\t\n")) == NULL)
            FAIL("differences.txt names a case that does not exist: %.*s", (int)length, line);
        line += length + (line[length] == '\n');
    }
    test_cleanup();
    printf("%ld assertions, %ld cases, %ld skipped\n", test.assertions, test.cases, test.skipped);
    if (test.failures > 0)
        printf("%ld FAILED\n", test.failures);
    return test.failures > 0;
}
