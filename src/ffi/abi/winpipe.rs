//! Winpipe: named pipes of Windows, which libnanomsg knows since 1.2. Other systems have none, and
//! answer EPROTONOSUPPORT to "winpipe://NAME".

use std::ffi::c_int;

/// Names the transport, and is the level of its options.
pub const NN_WINPIPE: c_int = -2;

/// A pointer to a security descriptor.
pub const NN_WINPIPE_SEC_ATTR: c_int = 1;

/// An int, bytes.
pub const NN_WINPIPE_OUTBUFSZ: c_int = 2;

/// An int, bytes.
pub const NN_WINPIPE_INBUFSZ: c_int = 3;
