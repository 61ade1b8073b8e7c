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
            let (first, second) = (core::find(s1)?, core::find(s2)?);
            require(is_raw(&first)? && is_raw(&second)?)?;
            require(family(&first)? == family(&second)?)?;
            require(can_recv(&first) == can_send(&second))?;
            require(can_send(&first) == can_recv(&second))?;
        } else {
            require(is_raw(&*core::find(s1.max(s2))?)?)?;
        }
        Err(Error::NotSupported)
    })
}

fn require(condition: bool) -> Result<(), Error> {
    if condition { Ok(()) } else { Err(Error::Invalid) }
}

fn is_raw(socket: &Socket) -> Result<bool, Error> {
    Ok(number(socket, NN_DOMAIN)? == AF_SP_RAW)
}

/// Socket types come in families of sixteen.
fn family(socket: &Socket) -> Result<c_int, Error> {
    Ok(number(socket, NN_PROTOCOL)? / 16)
}

fn number(socket: &Socket, option: c_int) -> Result<c_int, Error> {
    match socket.option(NN_SOL_SOCKET, option)? {
        OptionValue::Int(value) | OptionValue::ExactInt(value) => Ok(value),
        OptionValue::Pointer(_) | OptionValue::Text(_) => Err(Error::UnknownOption),
    }
}

fn can_recv(socket: &Socket) -> bool {
    socket.check_can_recv() != Err(Error::NotSupported)
}

fn can_send(socket: &Socket) -> bool {
    socket.check_can_send() != Err(Error::NotSupported)
}
