#include "support/check.h"

#include "support/cases.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct test test;

int reference(void)
{
    const char *library = getenv("SPMSG_TEST_LIBRARY");
    return library && strcmp(library, "reference") == 0;
}

void test_abandon(void)
{
    test_cleanup();
    fflush(stdout);
    _exit(1);
}

void test_fail(const char *file, int line, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    __atomic_fetch_add(&test.failures, 1, __ATOMIC_RELAXED);
    fflush(stdout);
    fprintf(stderr, "%s:%d: [%s] %s\n", file, line, test.current ? test.current : "-", text);
}

void test_at(const char *file, int line)
{
    __atomic_store_n(&test.file, file, __ATOMIC_RELAXED);
    __atomic_store_n(&test.line, line, __ATOMIC_RELAXED);
    __atomic_fetch_add(&test.assertions, 1, __ATOMIC_RELAXED);
}
