/* Ipc: between the processes of one machine. Addresses are "ipc://PATH".
 *
 * Generated from src/ffi; changes belong there. */

#ifndef IPC_H_INCLUDED
#define IPC_H_INCLUDED

#ifdef __cplusplus
extern "C" {
#endif

/** Names the transport, and is the level of its options. */
#define NN_IPC (-2)

/** A pointer to a security descriptor. Kept and reported, of no effect on POSIX systems. */
#define NN_IPC_SEC_ATTR 1

/** An int, bytes. Kept and reported, of no effect on POSIX systems. */
#define NN_IPC_OUTBUFSZ 2

/** An int, bytes. Kept and reported, of no effect on POSIX systems. */
#define NN_IPC_INBUFSZ 3

#ifdef __cplusplus
}
#endif

#endif
