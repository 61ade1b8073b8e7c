/* What the tests of wrong arguments share. */

#ifndef SPMSG_ABI_WRONG_H
#define SPMSG_ABI_WRONG_H

#include "testutil.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* A socket of that type, or -1 after the rest of the case has been given up because the library
 * says that it does not have the type yet. Any other failure is one. */
TESTUTIL int open_type(int domain, int protocol)
{
    errno = 0;
    int s = nn_socket(domain, protocol);
    if (s >= 0) {
        set_int(s, NN_SNDTIMEO, PATIENCE_MS);
        set_int(s, NN_RCVTIMEO, PATIENCE_MS);
    } else if (errno == ENOTSUP && !reference()) {
        test_skip("the library says that it does not have this type of sockets");
    } else {
        FAIL("nn_socket(%d, %d): errno %d (%s)", domain, protocol, errno, nn_strerror(errno));
    }
    return s;
}

#endif
