//! BUS: every member of the group hears every other member that it is connected to.

use std::ffi::c_int;

pub const NN_PROTO_BUS: c_int = 7;

/// Sends to all direct peers, receives from all direct peers.
pub const NN_BUS: c_int = NN_PROTO_BUS * 16;
