/* What sockets show each other over the encrypted transports. */

#ifndef SPMSG_SUPPORT_CREDENTIALS_H
#define SPMSG_SUPPORT_CREDENTIALS_H

#include <stddef.h>

/* Whether that is tls+tcp or wss, or an address of one of them. */
int is_encrypted(const char *scheme);

/* From now on `dressed` does something, if that is encrypted. The program ends here when there are
 * no certificates. */
void credentials_load(const char *scheme);

/* The same socket with all that it needs to listen and to connect, or -1 with errno set, and no
 * socket, when that cannot be had. What was not opened stays so. */
int dressed(int s);

/* The same by the nn_setsockopt of another library; whether it worked. */
int dress_by(int (*set)(int s, int level, int option, const void *value, size_t size), int s);

#endif
