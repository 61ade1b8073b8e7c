//! Devices: two raw sockets whose messages are passed on to each other.

use super::abi::nn::{AF_SP_RAW, NN_DOMAIN, NN_PROTOCOL, NN_SOL_SOCKET};
use super::enter;
use crate::core::{self, OptionValue, Socket};
use crate::error::Error;
use std::ffi::c_int;

/// Passes the messages of each of two raw sockets on to the other, until one of them is closed.
///
/// With one handle that is negative, passes the messages of the other socket back to it. Returns
/// -1 always, with errno EBADF, EINVAL when the sockets are not raw or do not fit together,
/// ETIMEDOUT, EINTR.
///
/// This version checks its arguments and then fails with ENOTSUP.
#[unsafe(no_mangle)]
pub extern "C" fn nn_device(s1: c_int, s2: c_int) -> c_int {
    enter(|| {
        if s1 >= 0 && s2 >= 0 {
            let (first, second) = (Side::of(s1)?, Side::of(s2)?);
            require(first.is_raw && second.is_raw)?;
            require(first.family == second.family)?;
            require(first.can_recv == second.can_send && first.can_send == second.can_recv)?;
        } else {
            require(Side::of(s1.max(s2))?.is_raw)?;
        }
        Err(Error::NotSupported)
    })
}

fn require(condition: bool) -> Result<(), Error> {
    if condition { Ok(()) } else { Err(Error::Invalid) }
}

/// What matters of one of the sockets. Never are two sockets held at the same time: they may be
/// one, which somebody else is about to close.
struct Side {
    is_raw: bool,
    /// Socket types come in families of sixteen.
    family: c_int,
    can_recv: bool,
    can_send: bool,
}

impl Side {
    fn of(handle: c_int) -> Result<Side, Error> {
        let socket = core::find(handle)?;
        Ok(Side {
            is_raw: number(&socket, NN_DOMAIN)? == AF_SP_RAW,
            family: number(&socket, NN_PROTOCOL)? / 16,
            can_recv: socket.check_can_recv() != Err(Error::NotSupported),
            can_send: socket.check_can_send() != Err(Error::NotSupported),
        })
    }
}

fn number(socket: &Socket, option: c_int) -> Result<c_int, Error> {
    match socket.option(NN_SOL_SOCKET, option)? {
        OptionValue::Int(value) | OptionValue::ExactInt(value) => Ok(value),
        OptionValue::Pointer(_) | OptionValue::Text(_) => Err(Error::UnknownOption),
    }
}
