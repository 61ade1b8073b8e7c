/* nn_errno and nn_strerror. */

#include "support/cases.h"
#include "support/check.h"
#include "support/clock.h"
#include "support/thread.h"

#include <nanomsg/nn.h>
#include <nanomsg/pair.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The C library may reuse the buffer of one text for the next. */
static void check_text(int error)
{
    char expected[256];
    snprintf(expected, sizeof expected, "%s", strerror(error));
    CHECK_STR(nn_strerror(error), expected);
}

/* abi 6.20, core-quirks A-67, strerror.tsv */
static void texts_are_those_of_the_c_library(void)
{
    for (int error = -20; error <= 200; error++)
        check_text(error);
    check_text(INT_MIN);
    check_text(INT_MAX);
    check_text(123456789);
    CHECK_STR(nn_strerror(0), "Success");
    CHECK_STR(nn_strerror(EADDRINUSE), "Address already in use");
    CHECK_STR(nn_strerror(-1), "Unknown error -1");
    CHECK_STR(nn_strerror(134), "Unknown error 134");
}

/* abi 4 and 6.20 */
static void native_errors_have_texts_of_their_own(void)
{
    CHECK_EQ(ETERM, 156384765);
    CHECK_EQ(EFSM, 156384766);
    CHECK_STR(nn_strerror(ETERM), "Nanomsg library was terminated");
    CHECK_STR(nn_strerror(EFSM), "Operation cannot be performed in this state");
}

/* abi 4 and 6.20: the numbers for systems without POSIX names are unknown ones here. */
static void fallback_numbers_are_unknown(void)
{
    for (int error = NN_HAUSNUMERO; error < ETERM; error++)
        check_text(error);
    for (int error = EFSM + 1; error < EFSM + 10; error++)
        check_text(error);
    CHECK_STR(nn_strerror(NN_HAUSNUMERO + 1), "Unknown error 156384713");
    CHECK_STR(nn_strerror(NN_HAUSNUMERO + 28), "Unknown error 156384740");
}

/* abi 6.19 */
static void nn_errno_is_errno_whoever_set_it(void)
{
    errno = 0;
    CHECK_EQ(nn_errno(), 0);
    errno = ENOTTY;
    CHECK_EQ(nn_errno(), ENOTTY);
    CHECK_EQ(nn_errno(), ENOTTY);
    CHECK_EQ(close(-1), -1);
    CHECK_EQ(nn_errno(), EBADF);
    CHECK_EQ(nn_socket(AF_SP, -1), -1);
    CHECK_EQ(nn_errno(), EINVAL);
    CHECK_EQ(nn_socket(-1, NN_PAIR), -1);
    CHECK_EQ(nn_errno(), EAFNOSUPPORT);
}

static void *fail_otherwise(void *argument)
{
    CHECK_EQ(nn_errno(), 0);
    CHECK_EQ(nn_close(-1), -1);
    CHECK_EQ(nn_errno(), EBADF);
    return argument;
}

/* abi 6.19 */
static void nn_errno_belongs_to_the_thread(void)
{
    struct thread thread;
    CHECK_EQ(nn_socket(AF_SP, -1), -1);
    CHECK_EQ(nn_errno(), EINVAL);
    int before = errno;
    thread_start(&thread, fail_otherwise, NULL);
    thread_join(&thread);
    errno = before;
    CHECK_EQ(nn_errno(), EINVAL);
}

static void *leave_errno_alone(void *argument)
{
    errno = ENOTTY;
    nap_ms(1);
    CHECK_EQ(nn_errno(), ENOTTY);
    return argument;
}

/* abi 6.19: a failure in one thread is not seen by another that was there before. */
static void a_failure_elsewhere_is_not_seen(void)
{
    struct thread threads[4];
    for (int i = 0; i < 4; i++)
        thread_start(&threads[i], i % 2 ? leave_errno_alone : fail_otherwise, NULL);
    for (int i = 0; i < 4; i++)
        thread_join(&threads[i]);
}

int main(void)
{
    test_begin("api/strerror", 25);
    RUN(texts_are_those_of_the_c_library);
    RUN(native_errors_have_texts_of_their_own);
    RUN(fallback_numbers_are_unknown);
    RUN(nn_errno_is_errno_whoever_set_it);
    RUN(nn_errno_belongs_to_the_thread);
    RUN(a_failure_elsewhere_is_not_seen);
    return test_end();
}
