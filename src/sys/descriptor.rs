//! Descriptors that are ours alone.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd};

use super::cancellation::Owned;
use super::{check, kernel};

/// A fresh descriptor, or another in its place that lies above those of standard input, output and
/// error. A program may start with these closed, and put its own over them later.
pub(super) fn above_standard<T: AsRawFd + FromRawFd>(fresh: T) -> io::Result<T> {
    if fresh.as_raw_fd() >= FIRST {
        return Ok(fresh);
    }
    // Where the thread is cancelled, closing it would be the place.
    let fresh = Owned::new(fresh);
    // SAFETY: no pointer is passed.
    let raw = check(unsafe { kernel::fcntl(fresh.as_raw_fd(), libc::F_DUPFD_CLOEXEC, FIRST) })?;
    // SAFETY: the kernel gave us this descriptor just now; nobody else owns it.
    Ok(unsafe { T::from_raw_fd(raw) })
}

const FIRST: libc::c_int = 3;

// Which descriptors a test process has left is not for one test to decide: c-tests/robustness
// starts without any of the three.
