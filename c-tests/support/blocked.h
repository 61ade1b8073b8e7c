/* Threads that are blocked on a socket, and what wakes them. */

#ifndef SPMSG_SUPPORT_BLOCKED_H
#define SPMSG_SUPPORT_BLOCKED_H

/* Closes a socket on which that many threads receive, and others send, as soon as they wait: all of
 * them get EBADF, within that time. There are at most eight, and nothing comes for them. */
void check_close_wakes(int s, int receivers, int senders, int ms);

#endif
