//! Tcp: between machines. Addresses are "tcp://HOST:PORT" or "tcp://INTERFACE;HOST:PORT".

use std::ffi::c_int;

/// Names the transport, and is the level of its options.
pub const NN_TCP: c_int = -3;

/// An int, 0 or 1: whether small messages may never wait for others to travel with; 0 unless set.
pub const NN_TCP_NODELAY: c_int = 1;
