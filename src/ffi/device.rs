//! Devices: two raw sockets whose messages are passed on to each other.

use super::BreakOnPanic;
use super::blocking::{Begun, Job, block};
use crate::core::{self, Device, Step, Turn};
use crate::error::Error;
use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

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
pub extern "C-unwind" fn nn_device(s1: c_int, s2: c_int) -> c_int {
    // SAFETY: this frame has nothing to drop.
    unsafe { block(|| Running::begin(s1, s2)) }
}

struct Running(Device);

impl Running {
    fn begin(s1: c_int, s2: c_int) -> Result<Begun<Running>, Error> {
        let device = if s1 < 0 || s2 < 0 {
            Device::looping(core::find(s1.max(s2))?.to_visit())?
        } else {
            let first = core::find(s1)?;
            let second = core::find_beside(s2)?;
            Device::between(first.to_visit(), second.to_visit())?
        };
        Ok(Begun::GoesOn(Running(device), None))
    }
}

impl Job for Running {
    type Value = c_int;

    fn step(&mut self, turn: &mut Turn) -> Result<Step<c_int>, Error> {
        let Running(device) = self;
        match catch_unwind(AssertUnwindSafe(|| device.step(turn))) {
            Ok(Ok(_)) => Ok(Step::Sleep),
            Ok(Err(error)) => Err(error),
            Err(panic) => {
                device.sockets().into_iter().for_each(|socket| drop(BreakOnPanic(socket)));
                resume_unwind(panic)
            }
        }
    }
}
