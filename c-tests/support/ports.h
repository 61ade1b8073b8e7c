/* Ports that no other test has: each process takes a block of them, for as long as it and what it
 * forked live, and another when that is used up. Otherwise one process may listen where another
 * counts on nobody to listen. */

#ifndef SPMSG_SUPPORT_PORTS_H
#define SPMSG_SUPPORT_PORTS_H

/* Takes the block, with a descriptor that is kept. free_port does so if need be; a test does so at
 * its beginning, before it counts descriptors. */
void ports_reserve(void);

/* A tcp port that nobody uses now. It lies below the range from which the kernel takes the ports of
 * connecting sockets. The same one may come again after 200 others. */
int free_port(void);

#endif
