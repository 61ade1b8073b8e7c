//! Devices: two raw sockets whose messages are passed on to each other.

use super::{BreakOnPanic, enter};
use crate::core::{self, Device};
use crate::error::Error;
use std::ffi::c_int;
use std::mem;

/// Passes the messages of each of two raw sockets on to the other, until one of them is closed.
///
/// The sockets are of one family, as REQ and REP are, or of one type. Where messages go in one
/// direction only, as from SUB to PUB, the order of the handles does not matter. With one handle
/// that is negative, passes the messages of the other socket back to it.
///
/// Returns -1 always, with errno EBADF when a socket was closed or there is none, EINVAL when the
/// sockets are not raw or do not fit together, ENOTSUP when a single socket can only send or only
/// receive, ETIMEDOUT after NN_RCVTIMEO or NN_SNDTIMEO, and EINTR when a signal arrived, unless
/// messages go both ways.
#[unsafe(no_mangle)]
pub extern "C" fn nn_device(s1: c_int, s2: c_int) -> c_int {
    enter(|| {
        if s1 < 0 || s2 < 0 {
            let socket = core::find(s1.max(s2))?;
            return Err(run(&[&socket], Device::looping(&socket)?));
        }
        let first = core::find(s1)?;
        let second = core::find_beside(s2)?;
        Err(run(&[&first, &second], Device::between(&first, &second)?))
    })
}

fn run(sockets: &[&core::Socket], device: Device<'_>) -> Error {
    let guards: Vec<_> = sockets.iter().map(|socket| BreakOnPanic(socket)).collect();
    let error = device.run();
    guards.into_iter().for_each(mem::forget);
    error
}
