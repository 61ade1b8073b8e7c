/* Unix: another name of ipc, which libnanomsg knows since 1.2. Addresses are "unix://PATH".
 *
 * Generated from src/ffi; changes belong there. */

#ifndef UNIX_H_INCLUDED
#define UNIX_H_INCLUDED

#ifdef __cplusplus
extern "C" {
#endif

/** Names the transport, and is the level of its options, those of ipc.h. */
#define NN_UNIX (-2)

#ifdef __cplusplus
}
#endif

#endif
