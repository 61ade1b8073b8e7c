//! eventfd(2): a descriptor that is readable while somebody says so.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use super::check;

#[derive(Debug)]
pub struct EventFd {
    descriptor: OwnedFd,
}

impl EventFd {
    pub fn new() -> io::Result<EventFd> {
        // SAFETY: no pointer is passed.
        let raw = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        // SAFETY: the kernel gave us this descriptor just now; nobody else owns it.
        Ok(EventFd { descriptor: unsafe { OwnedFd::from_raw_fd(raw) } })
    }

    /// Any descriptor in the place of one, to see what happens when the kernel fails.
    #[cfg(test)]
    pub fn of(descriptor: OwnedFd) -> EventFd {
        EventFd { descriptor }
    }

    /// Makes the descriptor readable. False when the kernel will not have it.
    pub fn signal(&self) -> bool {
        let one = 1_u64.to_ne_bytes();
        (0..ATTEMPTS).any(|_| {
            // SAFETY: eight bytes are read from a live array.
            let result = unsafe { libc::write(self.as_raw_fd(), one.as_ptr().cast(), one.len()) };
            // A full counter is readable already.
            result > 0 || io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock
        })
    }

    /// Makes the descriptor unreadable. Somebody else may have done so before.
    pub fn drain(&self) {
        let mut count = [0_u8; 8];
        // SAFETY: eight bytes are written to a live array.
        unsafe { libc::read(self.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
    }
}

impl AsRawFd for EventFd {
    fn as_raw_fd(&self) -> RawFd {
        self.descriptor.as_raw_fd()
    }
}

/// A wake-up that is lost may cost somebody for ever.
const ATTEMPTS: usize = 8;
