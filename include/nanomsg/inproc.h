/* Inproc: between the threads of one process. Addresses are "inproc://NAME".
 *
 * Generated from src/ffi; changes belong there. */

#ifndef INPROC_H_INCLUDED
#define INPROC_H_INCLUDED

#ifdef __cplusplus
extern "C" {
#endif

/** Names the transport. There are no options at this level. */
#define NN_INPROC (-1)

#ifdef __cplusplus
}
#endif

#endif
