/* The directory of a test. */

#ifndef SPMSG_SUPPORT_DIRECTORY_H
#define SPMSG_SUPPORT_DIRECTORY_H

/* A directory of our own, removed at the end with the files in it. */
const char *test_directory(void);

/* Removes it with what is in it. */
void directory_remove(void);

#endif
