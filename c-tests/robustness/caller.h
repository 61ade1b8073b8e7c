/* Who calls: told by where the code lies that a call returns to. */

#ifndef SPMSG_ROBUSTNESS_CALLER_H
#define SPMSG_ROBUSTNESS_CALLER_H

#define CALLER __builtin_return_address(0)

/* To be called when the files are loaded that are asked for below. */
void find_callers(void);

/* The library under test. */
int is_library(const void *caller);

/* The test program. */
int is_program(const void *caller);

#endif
