//! Unix: another name of ipc, which libnanomsg knows since 1.2. Addresses are "unix://PATH".

use std::ffi::c_int;

/// Names the transport, and is the level of its options, those of ipc.h.
pub const NN_UNIX: c_int = -2;
