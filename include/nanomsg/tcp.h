/* Tcp: between machines. Addresses are "tcp://HOST:PORT" or "tcp://INTERFACE;HOST:PORT".
 *
 * Generated from src/ffi; changes belong there. */

#ifndef TCP_H_INCLUDED
#define TCP_H_INCLUDED

#ifdef __cplusplus
extern "C" {
#endif

/** Names the transport, and is the level of its options. */
#define NN_TCP (-3)

/** An int, 0 or 1: whether small messages may never wait for others to travel with; 0 unless set. */
#define NN_TCP_NODELAY 1

#ifdef __cplusplus
}
#endif

#endif
