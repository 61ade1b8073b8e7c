/* The functions of the C library that the library calls and that may fail, with the errors of their
 * manual pages. */

#ifndef SPMSG_ROBUSTNESS_FAILURES_H
#define SPMSG_ROBUSTNESS_FAILURES_H

#include <stddef.h>

enum { ERRORS_MAX = 16 };

struct failure {
    const char *function;
    const char *name;
    int errors[ERRORS_MAX]; /* as many as are not 0 */
};

extern const struct failure failures[];
extern const size_t failures_count;

#endif
