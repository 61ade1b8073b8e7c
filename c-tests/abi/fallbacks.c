/* What nn.h gives a program on a system that has none of the errors that Linux has. Only compiled:
 * whoever undefines the system's own numbers must not call it. */

#include <errno.h>

#undef ENOTSUP
#undef EPROTONOSUPPORT
#undef ENOBUFS
#undef ENETDOWN
#undef EADDRINUSE
#undef EADDRNOTAVAIL
#undef ECONNREFUSED
#undef EINPROGRESS
#undef ENOTSOCK
#undef EAFNOSUPPORT
#undef EPROTO
#undef EAGAIN
#undef EBADF
#undef EINVAL
#undef EMFILE
#undef EFAULT
#undef EACCES
#undef ENETRESET
#undef ENETUNREACH
#undef EHOSTUNREACH
#undef ENOTCONN
#undef EMSGSIZE
#undef ETIMEDOUT
#undef ECONNABORTED
#undef ECONNRESET
#undef ENOPROTOOPT
#undef EISCONN
#undef ESOCKTNOSUPPORT

#include <nanomsg/nn.h>

#include "constants.inc"

#define ABOVE(name, offset) \
    typedef char fallback_##name[(name) == NN_HAUSNUMERO + (offset) ? 1 : -1];
FALLBACKS(ABOVE)

typedef char the_alias_follows[EACCESS == EACCES ? 1 : -1];

#ifndef NN_EISCONN_DEFINED
#error "NN_EISCONN_DEFINED says that EISCONN is not the system's"
#endif
