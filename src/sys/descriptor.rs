//! Descriptors that are ours alone.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, RawFd};

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
    copy_above_standard(fresh.as_raw_fd())
}

/// Another descriptor for the same, which lies above those.
pub(super) fn copy_above_standard<T: FromRawFd>(descriptor: RawFd) -> io::Result<T> {
    // SAFETY: no pointer is passed.
    let raw = check(unsafe { kernel::fcntl(descriptor, libc::F_DUPFD_CLOEXEC, FIRST) })?;
    // SAFETY: the kernel gave us this descriptor just now; nobody else owns it.
    Ok(unsafe { T::from_raw_fd(raw) })
}

/// Keeps descriptors that others open meanwhile from lying among the standard ones.
#[cfg(portable)]
pub(super) struct StandardTaken {
    /// In the places that were free.
    _held: [Option<Owned<std::fs::File>>; FIRST as usize],
}

#[cfg(portable)]
impl StandardTaken {
    pub(super) fn new() -> io::Result<StandardTaken> {
        let mut held = [const { None }; FIRST as usize];
        for place in &mut held {
            // SAFETY: no pointer is passed.
            let is_free = |at| unsafe { kernel::fcntl(at, libc::F_GETFD) } < 0;
            if (0..FIRST).any(is_free) {
                *place = Some(Owned::new(std::fs::File::open("/dev/null")?));
            }
        }
        Ok(StandardTaken { _held: held })
    }
}

const FIRST: libc::c_int = 3;

// Which descriptors a test process has left is not for one test to decide: c-tests/robustness
// starts without any of the three.
