/* Assertions. A failed CHECK is counted and the case goes on; a failed REQUIRE ends the program. */

#ifndef SPMSG_SUPPORT_CHECK_H
#define SPMSG_SUPPORT_CHECK_H

#include <nanomsg/nn.h>

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

/* The number of elements of an array. */
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* The program, the case that it runs, and what was counted. */
struct test {
    const char *name;
    const char *current;
    const char *file;
    int line;
    long assertions, failures, cases, skipped;
    long failures_before;
    pid_t pid;
};

extern struct test test;

/* Whether the program runs on the reference. */
int reference(void);

/* Ends the program, and what it leaves, as failed. */
__attribute__((noreturn))
void test_abandon(void);

__attribute__((format(printf, 3, 4)))
void test_fail(const char *file, int line, const char *format, ...);

/* Notes where the test is, before the expression runs: the watchdog reports it. */
void test_at(const char *file, int line);

#define FAIL(...) test_fail(__FILE__, __LINE__, __VA_ARGS__)

#define CHECK(condition) do { \
    test_at(__FILE__, __LINE__); \
    if (!(condition)) \
        FAIL("%s is false, errno %d (%s)", #condition, errno, strerror(errno)); \
} while (0)

#define TEST_COMPARE(actual, operator, expected) do { \
    test_at(__FILE__, __LINE__); \
    long long a_ = (long long)(actual), e_ = (long long)(expected); \
    if (!(a_ operator e_)) \
        FAIL("%s is %lld, should be %s %lld (%s), errno %d (%s)", #actual, a_, #operator, e_, \
             #expected, errno, strerror(errno)); \
} while (0)

#define CHECK_EQ(actual, expected) TEST_COMPARE(actual, ==, expected)
#define CHECK_NE(actual, expected) TEST_COMPARE(actual, !=, expected)
#define CHECK_AT_LEAST(actual, expected) TEST_COMPARE(actual, >=, expected)
#define CHECK_AT_MOST(actual, expected) TEST_COMPARE(actual, <=, expected)

/* The call returns that value and leaves that errno. */
#define CHECK_ERRNO(expression, result, error) do { \
    test_at(__FILE__, __LINE__); \
    errno = 0; \
    long long r_ = (long long)(intptr_t)(expression); \
    int n_ = errno; \
    if (r_ != (long long)(result) || n_ != (error)) \
        FAIL("%s: result %lld, errno %d (%s); should be %lld, %s (%s)", #expression, r_, n_, \
             nn_strerror(n_), (long long)(result), #error, nn_strerror(error)); \
} while (0)

/* The call succeeds, as far as a result that is not negative tells. */
#define CHECK_OK(expression) do { \
    test_at(__FILE__, __LINE__); \
    errno = 0; \
    long long r_ = (long long)(expression); \
    if (r_ < 0) \
        FAIL("%s: result %lld, errno %d (%s)", #expression, r_, errno, nn_strerror(errno)); \
} while (0)

#define CHECK_MEM(actual, expected, size) do { \
    test_at(__FILE__, __LINE__); \
    if (memcmp((actual), (expected), (size)) != 0) \
        FAIL("%s differs from %s", #actual, #expected); \
} while (0)

#define CHECK_STR(actual, expected) do { \
    test_at(__FILE__, __LINE__); \
    const char *a_ = (actual), *e_ = (expected); \
    if (!a_ || strcmp(a_, e_) != 0) \
        FAIL("%s is \"%s\", should be \"%s\"", #actual, a_ ? a_ : "(null)", e_); \
} while (0)

#define REQUIRE(condition) do { \
    test_at(__FILE__, __LINE__); \
    if (!(condition)) { \
        FAIL("%s is false, errno %d (%s): giving up", #condition, errno, strerror(errno)); \
        test_abandon(); \
    } \
} while (0)

#endif
