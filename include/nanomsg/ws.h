/* Ws: WebSocket. Addresses are "ws://HOST:PORT/PATH".
 *
 * Generated from src/ffi; changes belong there. */

#ifndef WS_H_INCLUDED
#define WS_H_INCLUDED

#include "nn.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Names the transport, and is the level of its options and of its control data. */
#define NN_WS (-4)

/** An int, one of the two below: the kind of WebSocket messages that are sent. */
#define NN_WS_MSG_TYPE 1
#define NN_WS_MSG_TYPE_TEXT 1
#define NN_WS_MSG_TYPE_BINARY 2

#ifdef __cplusplus
}
#endif

#endif
