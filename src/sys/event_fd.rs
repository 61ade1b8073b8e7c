//! eventfd(2): a descriptor that is readable while somebody says so.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, RawFd};

use super::cancellation::Owned;
use super::descriptor::above_standard;
use super::{check, kernel};

#[derive(Debug)]
pub struct EventFd {
    descriptor: Owned<kernel::OwnedFd>,
}

impl EventFd {
    pub fn new() -> io::Result<EventFd> {
        // SAFETY: no pointer is passed.
        let raw = check(unsafe { kernel::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        // SAFETY: the kernel gave us this descriptor just now; nobody else owns it.
        let fresh = unsafe { kernel::OwnedFd::from_raw_fd(raw) };
        Ok(EventFd { descriptor: Owned::new(above_standard(fresh)?) })
    }

    /// Any descriptor in the place of one, to see what happens when the kernel fails.
    #[cfg(test)]
    pub fn of(descriptor: kernel::OwnedFd) -> EventFd {
        EventFd { descriptor: Owned::new(descriptor) }
    }

    /// How often it has been signalled since it was drained.
    #[cfg(test)]
    pub fn level(&self) -> u64 {
        let state = format!("/proc/self/fdinfo/{}", self.as_raw_fd());
        let state = std::fs::read_to_string(state).unwrap();
        let count = state.lines().find_map(|line| line.strip_prefix("eventfd-count:")).unwrap();
        count.trim().parse().unwrap()
    }

    /// Whether the descriptor is still one of these, as far as can be told.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        let Some(own) = identity(self.as_raw_fd()) else { return false };
        // All of them are one and the same file.
        match EventFd::new() {
            Ok(fresh) => identity(fresh.as_raw_fd()) == Some(own),
            Err(_) => true,
        }
    }

    /// What makes the descriptor readable when it is written to.
    pub fn signalled_through(&self) -> RawFd {
        self.as_raw_fd()
    }

    /// Makes the descriptor readable. False when the kernel will not have it.
    pub fn signal(&self) -> bool {
        let one = 1_u64.to_ne_bytes();
        (0..ATTEMPTS).any(|_| {
            // SAFETY: eight bytes are read from a live array.
            let result = unsafe { kernel::write(self.as_raw_fd(), one.as_ptr(), one.len()) };
            // A full counter is readable already.
            result > 0 || io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock
        })
    }

    /// Makes the descriptor unreadable. False when it was that: somebody else may have done so.
    pub fn drain(&self) -> bool {
        let mut count = [0_u8; 8];
        // SAFETY: eight bytes are written to a live array.
        let result = unsafe { kernel::read(self.as_raw_fd(), count.as_mut_ptr(), count.len()) };
        result > 0
    }
}

impl AsRawFd for EventFd {
    fn as_raw_fd(&self) -> RawFd {
        self.descriptor.as_raw_fd()
    }
}

/// What file a descriptor stands for, if it does.
pub(super) fn identity(descriptor: RawFd) -> Option<(libc::dev_t, libc::ino_t)> {
    // SAFETY: all zeros are a valid value of this plain type.
    let mut found: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes one such value, which is there.
    let result = unsafe { kernel::fstat(descriptor, &raw mut found) };
    (result == 0).then_some((found.st_dev, found.st_ino))
}

/// A wake-up that is lost may cost somebody for ever.
const ATTEMPTS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{WaitFor, poll};
    use std::time::Duration;

    fn is_readable(event_fd: &EventFd) -> bool {
        let wait = std::iter::once((event_fd.as_raw_fd(), WaitFor::Readable));
        !poll(wait, Some(Duration::ZERO)).unwrap().is_empty()
    }

    #[test]
    fn a_full_counter_is_signalled() {
        let event_fd = EventFd::new().unwrap();
        let most = (u64::MAX - 1).to_ne_bytes();
        // SAFETY: eight bytes are read from a live array.
        let written = unsafe { libc::write(event_fd.as_raw_fd(), most.as_ptr().cast(), 8) };
        assert_eq!(written, 8);
        assert!(event_fd.signal());
        assert!(is_readable(&event_fd));
    }
}
