/* Winpipe: named pipes of Windows, which libnanomsg knows since 1.2. Other systems have none, and
 * answer EPROTONOSUPPORT to "winpipe://NAME".
 *
 * Generated from src/ffi; changes belong there. */

#ifndef WINPIPE_H_INCLUDED
#define WINPIPE_H_INCLUDED

#ifdef __cplusplus
extern "C" {
#endif

/** Names the transport, and is the level of its options. */
#define NN_WINPIPE (-2)

/** A pointer to a security descriptor. */
#define NN_WINPIPE_SEC_ATTR 1

/** An int, bytes. */
#define NN_WINPIPE_OUTBUFSZ 2

/** An int, bytes. */
#define NN_WINPIPE_INBUFSZ 3

#ifdef __cplusplus
}
#endif

#endif
