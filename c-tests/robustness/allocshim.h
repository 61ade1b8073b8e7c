/* Memory that cannot be had on demand: what a program that is linked with allocshim.so says to it.
 * It knows the library under test by the file that a call comes from. */

#ifndef SPMSG_ALLOCSHIM_H
#define SPMSG_ALLOCSHIM_H

enum alloc_caller {
    BY_LIBRARY,  /* by the library itself */
    BY_ANYBODY   /* and by the C library on its behalf; never by the test program */
};

/* From the nth allocation on, so many in a row find no memory. */
void alloc_fail(enum alloc_caller caller, long nth, long count);

/* How many allocations there were since the beginning of the plan. */
long alloc_calls(void);

/* There is memory again. Says how many allocations have failed since the beginning of the plan. */
long alloc_end(void);

/* How many pieces of memory the library has had and nobody has freed. */
long alloc_live(void);

#endif
