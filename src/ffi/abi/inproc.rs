//! Inproc: between the threads of one process. Addresses are "inproc://NAME".

use std::ffi::c_int;

/// Names the transport. There are no options at this level.
pub const NN_INPROC: c_int = -1;
