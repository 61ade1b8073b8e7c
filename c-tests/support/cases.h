/* A test program and its cases.
 *
 *   int main(void)
 *   {
 *       test_begin("api/socket", 25);
 *       RUN(a_closed_handle_is_refused);
 *       return test_end();
 *   }
 *
 * A case whose name stands in differences.txt is skipped on the reference. SPMSG_TEST_CASE=name
 * runs one case, SPMSG_TEST_EXCEPT="name|name" all but some. */

#ifndef SPMSG_SUPPORT_CASES_H
#define SPMSG_SUPPORT_CASES_H

/* The program is ended when it takes longer than that many seconds, or SPMSG_TEST_SLOWNESS times as
 * many. */
void test_begin(const char *name, int seconds);

/* Begins a program that is told one word of a list like "tcp|ipc", with which its name ends.
 * Returns the word, or ends a program that was told another one. */
const char *test_begin_with(const char *name, const char *list, int seconds, int count,
                            char **words);

/* Whether the case of that name is to be run, which RUN does with a function. */
int CASE(const char *name);

#define RUN(function) do { if (CASE(#function)) function(); } while (0)

/* For a case that is given its sockets by another function, which calls it and closes them. */
#define RUN_WITH(fixture, function) do { if (CASE(#function)) fixture(function); } while (0)

/* The rest of the current case cannot run here, for a reason that is no failure. */
void test_skip(const char *reason);

/* Removes the files and ends the children that are left, in the process that made them. */
void test_cleanup(void);

/* Whether a check of the current case has failed. */
int case_failed(void);

/* The exit status of the program. */
int test_end(void);

#endif
