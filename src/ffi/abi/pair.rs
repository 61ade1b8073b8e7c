//! PAIR: two sockets talk to each other, and to nobody else.

use std::ffi::c_int;

pub const NN_PROTO_PAIR: c_int = 1;

/// Sends to and receives from its one peer.
pub const NN_PAIR: c_int = NN_PROTO_PAIR * 16;
