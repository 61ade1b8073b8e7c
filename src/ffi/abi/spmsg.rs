//! Beyond the reference: what this library offers and libnanomsg does not. A program that includes
//! this header runs on this library only. The functions of nn.h behave as they do without it.

use std::ffi::c_int;

/// The version of the library that this header comes with.
pub const SPMSG_VERSION_MAJOR: c_int = 0;
pub const SPMSG_VERSION_MINOR: c_int = 1;
pub const SPMSG_VERSION_PATCH: c_int = 0;

/// The same as one number that grows with each version, for comparing.
pub const SPMSG_VERSION: c_int =
    SPMSG_VERSION_MAJOR * 1000000 + SPMSG_VERSION_MINOR * 1000 + SPMSG_VERSION_PATCH;

/// Where our own numbers begin, far from those of libnanomsg.
pub const SPMSG_BASE: c_int = 1397751808;

/// The size of the longest address that a function of this header stores, with its zero byte.
pub const SPMSG_ADDRESS_MAX: c_int = 160;

/// An int at level NN_IPC, up to 0777 or -1: the permissions of the files that sockets bound from
/// now on have, whatever the umask. With -1, the default, they are what the umask leaves.
pub const SPMSG_IPC_MODE: c_int = SPMSG_BASE + 1;

/// An int at level NN_TCP, seconds up to 32767, 0 for never: for connections of tcp and ws made
/// from now on, after how much silence the peer's machine is asked whether it is there. It is asked
/// three times at that distance, and the connection ends when there is no answer.
pub const SPMSG_TCP_KEEPALIVE: c_int = SPMSG_BASE + 1;

/// A statistic that only grows: messages that were accepted and then had nowhere to go, because
/// the peer that they were meant for could not take any more, or was gone.
pub const SPMSG_STAT_MESSAGES_DROPPED: c_int = SPMSG_BASE + 1;
