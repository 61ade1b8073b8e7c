//! What eventfd(2) is on Linux, by a pipe: a descriptor that is readable while somebody says so.
//!
//! It takes two descriptors instead of one. What counts is whether there is something in it, and
//! never how much: a full pipe is as readable as one that was signalled once, and draining empties
//! it.

use std::io;
#[cfg(not(target_vendor = "apple"))]
use std::os::fd::FromRawFd;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use crate::sys::cancellation::{Owned, held};
use crate::sys::descriptor::above_standard;
use crate::sys::{check, kernel};

#[derive(Debug)]
pub struct EventFd {
    reader: Owned<OwnedFd>,
    writer: Owned<OwnedFd>,
    /// What files they are, if anybody may ask.
    identities: [Option<Identity>; 2],
}

type Identity = (libc::dev_t, libc::ino_t);

impl EventFd {
    pub fn new() -> io::Result<EventFd> {
        let mut fresh = EventFd::bell()?;
        fresh.identities = [&fresh.reader, &fresh.writer].map(|end| identity(end.as_raw_fd()));
        Ok(fresh)
    }

    /// One for a moment, of which nobody will ask whether it is intact.
    pub(super) fn bell() -> io::Result<EventFd> {
        held(|| {
            let [reader, writer] = pipe()?;
            EventFd::between(reader, writer)
        })
    }

    fn between(reader: OwnedFd, writer: OwnedFd) -> io::Result<EventFd> {
        let reader = Owned::new(above_standard(reader)?);
        let writer = Owned::new(above_standard(writer)?);
        Ok(EventFd { reader, writer, identities: [None; 2] })
    }

    /// Any descriptor in the place of one, to see what happens when the kernel fails.
    #[cfg(test)]
    pub fn of(descriptor: OwnedFd) -> EventFd {
        EventFd::between(descriptor.try_clone().unwrap(), descriptor).unwrap()
    }

    /// How often it has been signalled since it was drained.
    #[cfg(test)]
    pub fn level(&self) -> u64 {
        let mut count: libc::c_int = 0;
        // SAFETY: the kernel writes one int.
        unsafe { libc::ioctl(self.as_raw_fd(), libc::FIONREAD, &raw mut count) };
        u64::try_from(count).unwrap() / 8
    }

    /// Whether the descriptors are still what they were.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        let now = [&self.reader, &self.writer].map(|end| identity(end.as_raw_fd()));
        now == self.identities && !now.contains(&None)
    }

    /// What makes the descriptor readable when it is written to.
    pub fn signalled_through(&self) -> RawFd {
        self.writer.as_raw_fd()
    }

    /// Makes the descriptor readable. False when the kernel will not have it.
    pub fn signal(&self) -> bool {
        // As many bytes as an eventfd gives to who reads it by mistake.
        let one = 1_u64.to_ne_bytes();
        (0..ATTEMPTS).any(|_| {
            // SAFETY: eight bytes are read from a live array.
            let result = unsafe { kernel::write(self.writer.as_raw_fd(), one.as_ptr(), one.len()) };
            // A full pipe is readable already.
            result > 0 || io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock
        })
    }

    /// Makes the descriptor unreadable. Somebody else may have done so before: false then.
    pub fn drain(&self) -> bool {
        let mut bytes = [0_u8; 64];
        let mut had_any = false;
        loop {
            // SAFETY: as many bytes are written as there are in the live array.
            let count = unsafe { kernel::read(self.as_raw_fd(), bytes.as_mut_ptr(), bytes.len()) };
            had_any |= count > 0;
            let is_interrupted =
                count < 0 && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted;
            if count < bytes.len() as libc::ssize_t && !is_interrupted {
                return had_any;
            }
        }
    }
}

impl AsRawFd for EventFd {
    fn as_raw_fd(&self) -> RawFd {
        self.reader.as_raw_fd()
    }
}

/// What file a descriptor stands for, if it does.
pub(in crate::sys) fn identity(descriptor: RawFd) -> Option<Identity> {
    // SAFETY: all zeros are a valid value of this plain type.
    let mut found: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes one such value, which is there.
    let result = unsafe { kernel::fstat(descriptor, &raw mut found) };
    (result == 0).then_some((found.st_dev, found.st_ino))
}

/// Both ends close-on-exec and non-blocking from birth.
#[cfg(not(target_vendor = "apple"))]
fn pipe() -> io::Result<[OwnedFd; 2]> {
    let mut ends = [-1; 2];
    // SAFETY: there is room for two descriptors.
    check(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) })?;
    // SAFETY: the kernel gave us these descriptors just now; nobody else owns them.
    Ok(ends.map(|end| unsafe { OwnedFd::from_raw_fd(end) }))
}

/// Where the kernel has no such call, a little later.
#[cfg(target_vendor = "apple")]
fn pipe() -> io::Result<[OwnedFd; 2]> {
    let (reader, writer) = std::io::pipe()?;
    let ends = [OwnedFd::from(reader), OwnedFd::from(writer)];
    for end in &ends {
        // SAFETY: no pointer is passed. A fresh pipe has no flags that this would take away.
        check(unsafe { kernel::fcntl(end.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) })?;
    }
    Ok(ends)
}

/// A wake-up that is lost may cost somebody for ever.
const ATTEMPTS: usize = 8;
