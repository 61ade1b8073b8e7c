/* PAIR: two sockets talk to each other, and to nobody else.
 *
 * Generated from src/ffi; changes belong there. */

#ifndef PAIR_H_INCLUDED
#define PAIR_H_INCLUDED

#ifdef __cplusplus
extern "C" {
#endif

#define NN_PROTO_PAIR 1

/** Sends to and receives from its one peer. */
#define NN_PAIR (NN_PROTO_PAIR * 16)

#ifdef __cplusplus
}
#endif

#endif
