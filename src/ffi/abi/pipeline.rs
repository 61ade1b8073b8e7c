//! PIPELINE: work flows from the sockets that push to the sockets that pull.

use std::ffi::c_int;

pub const NN_PROTO_PIPELINE: c_int = 5;

/// Sends each message to one of its peers, whichever can take it. Cannot receive.
pub const NN_PUSH: c_int = NN_PROTO_PIPELINE * 16;

/// Receives from all its peers in turn. Cannot send.
pub const NN_PULL: c_int = NN_PROTO_PIPELINE * 16 + 1;
