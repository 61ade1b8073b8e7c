//! Polling several sockets at once.

use super::abi::nn::{NN_POLLIN, NN_POLLOUT, nn_pollfd};
use super::{enter, raw};
use crate::core;
use crate::error::Error;
use std::ffi::c_int;

/// Waits until one of the sockets can do what is asked for, at most timeout milliseconds, or
/// without limit when the timeout is negative.
///
/// Returns how many of the sockets can do something, after storing what in revents, or 0 when the
/// time is over, or -1 with errno EBADF, EINVAL for a negative nfds, EFAULT when fds is NULL,
/// ENOPROTOOPT when a socket can never do what is asked for, EINTR when a signal arrived. Without
/// a socket to report revents is left alone.
///
/// This version checks its arguments and then fails with ENOTSUP.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nn_poll(fds: *mut nn_pollfd, nfds: c_int, timeout: c_int) -> c_int {
    let _ = timeout;
    enter(|| {
        let count = usize::try_from(nfds).map_err(|_| Error::Invalid)?;
        // SAFETY: forwarded from our own contract.
        let entries = unsafe { raw::array(fds.cast_const(), count) }?;
        entries.iter().try_for_each(check)?;
        Err(Error::NotSupported)
    })
}

/// An entry that asks for nothing is not looked at any further.
fn check(entry: &nn_pollfd) -> Result<(), Error> {
    let events = c_int::from(entry.events);
    if events & NN_POLLIN != 0 {
        has_direction(core::find(entry.fd)?.check_can_recv())?;
    }
    if events & NN_POLLOUT != 0 {
        has_direction(core::find(entry.fd)?.check_can_send())?;
    }
    Ok(())
}

/// A state that forbids the operation now may change while we wait; a missing direction cannot.
fn has_direction(can: Result<(), Error>) -> Result<(), Error> {
    if can == Err(Error::NotSupported) { Err(Error::UnknownOption) } else { Ok(()) }
}
