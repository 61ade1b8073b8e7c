/* BUS: every member of the group hears every other member that it is connected to.
 *
 * Generated from src/ffi; changes belong there. */

#ifndef BUS_H_INCLUDED
#define BUS_H_INCLUDED

#ifdef __cplusplus
extern "C" {
#endif

#define NN_PROTO_BUS 7

/** Sends to all direct peers, receives from all direct peers. */
#define NN_BUS (NN_PROTO_BUS * 16)

#ifdef __cplusplus
}
#endif

#endif
