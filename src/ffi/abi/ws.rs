//! Ws: WebSocket. Addresses are "ws://HOST:PORT/PATH".

use std::ffi::c_int;

/// Names the transport, and is the level of its options and of its control data.
pub const NN_WS: c_int = -4;

/// An int, one of the two below: the kind of WebSocket messages that are sent.
pub const NN_WS_MSG_TYPE: c_int = 1;

pub const NN_WS_MSG_TYPE_TEXT: c_int = 1;
pub const NN_WS_MSG_TYPE_BINARY: c_int = 2;
