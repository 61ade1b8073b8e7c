//! Ipc: between the processes of one machine. Addresses are "ipc://PATH".

use std::ffi::c_int;

/// Names the transport, and is the level of its options.
pub const NN_IPC: c_int = -2;

/// A pointer to a security descriptor. Kept and reported, of no effect on POSIX systems.
pub const NN_IPC_SEC_ATTR: c_int = 1;

/// An int, bytes. Kept and reported, of no effect on POSIX systems.
pub const NN_IPC_OUTBUFSZ: c_int = 2;

/// An int, bytes. Kept and reported, of no effect on POSIX systems.
pub const NN_IPC_INBUFSZ: c_int = 3;
