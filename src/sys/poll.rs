//! ppoll(2): waiting for a handful of descriptors that change from wait to wait.

use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

use super::cancellation::held;
use super::clock::Span;
use super::{check, kernel};
use crate::memory::{self, OutOfMemory};
use crate::sync::before_io;

/// What is awaited of a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitFor {
    Readable,
    Writable,
}

/// Waits until one of the descriptors is ready, or the timeout passes; `None` waits for ever.
/// Says which are ready, by their places. An interrupting signal is an error of kind
/// `Interrupted`.
pub fn poll(
    descriptors: impl Iterator<Item = (RawFd, WaitFor)>,
    timeout: Option<Duration>,
) -> io::Result<Vec<usize>> {
    before_io();
    let no_memory = |OutOfMemory| io::ErrorKind::OutOfMemory;
    let mut entries = memory::collect(descriptors.map(entry)).map_err(no_memory)?;
    let limit = timeout.map(Span::from);
    let limit = limit.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    let count = entries.len() as libc::nfds_t;
    // SAFETY: `count` entries and the limit live during the call; no signal mask is given.
    let wait = || unsafe { kernel::ppoll(entries.as_mut_ptr(), count, limit, std::ptr::null()) };
    check(held(wait))?;
    let is_ready = |(place, entry): (usize, &libc::pollfd)| (entry.revents != 0).then_some(place);
    Ok(memory::collect(entries.iter().enumerate().filter_map(is_ready)).map_err(no_memory)?)
}

/// Whether the descriptor is readable now. Neither sleeps nor allocates: an eventfd may be asked
/// under any lock.
///
/// # Errors
/// When the kernel cannot say.
pub fn is_readable(descriptor: RawFd) -> io::Result<bool> {
    let mut entry = PollEntry::new(descriptor, WaitFor::Readable);
    let at_once = Span::from(Duration::ZERO);
    // SAFETY: one entry and the limit live during the call; no signal mask is given.
    let look =
        || unsafe { kernel::ppoll(&raw mut entry.0, 1, &raw const at_once, std::ptr::null()) };
    check(held(look))?;
    Ok(entry.is_ready())
}

/// Waits until the descriptor takes more, for so long at most. False when it does not by then, or
/// when a signal has interrupted.
#[must_use]
pub fn is_writable_within(descriptor: RawFd, limit: Duration) -> bool {
    before_io();
    let mut entry = PollEntry::new(descriptor, WaitFor::Writable);
    let limit = Span::from(limit);
    // SAFETY: one entry and the limit live during the call; no signal mask is given.
    let wait = || unsafe { kernel::ppoll(&raw mut entry.0, 1, &raw const limit, std::ptr::null()) };
    check(held(wait)).is_ok() && entry.is_ready()
}

fn entry((fd, wait_for): (RawFd, WaitFor)) -> libc::pollfd {
    PollEntry::new(fd, wait_for).0
}

/// A descriptor to wait for, and what has become of it.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct PollEntry(libc::pollfd);

impl PollEntry {
    pub fn new(descriptor: RawFd, wait_for: WaitFor) -> PollEntry {
        let events = match wait_for {
            WaitFor::Readable => libc::POLLIN,
            WaitFor::Writable => libc::POLLOUT,
        };
        PollEntry(libc::pollfd { fd: descriptor, events, revents: 0 })
    }

    /// Whether it is what was waited for, or has ended, or is none.
    pub fn is_ready(&self) -> bool {
        self.0.revents != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::OsStream;
    use crate::sys::interrupted;
    use std::io::IoSlice;
    use std::os::fd::AsRawFd;
    use std::time::Instant;

    #[test]
    fn says_which_are_ready_by_their_places() {
        let (own, peer) = OsStream::pair();
        let (quiet, _its_peer) = OsStream::pair();
        peer.write(&[IoSlice::new(b"x")]).unwrap();
        let waits = [
            (quiet.as_raw_fd(), WaitFor::Readable),
            (own.as_raw_fd(), WaitFor::Readable),
            (quiet.as_raw_fd(), WaitFor::Writable),
        ];
        assert_eq!(poll(waits.into_iter(), None).unwrap(), [1, 2]);
        assert_eq!(poll(waits.into_iter().take(1), Some(Duration::ZERO)).unwrap(), [0; 0]);
    }

    #[test]
    fn an_end_and_a_descriptor_that_is_none_are_news() {
        let (own, peer) = OsStream::pair();
        drop(peer);
        let waits = [(own.as_raw_fd(), WaitFor::Readable), (i32::MAX, WaitFor::Writable)];
        assert_eq!(poll(waits.into_iter(), None).unwrap(), [0, 1]);
    }

    #[test]
    fn room_is_waited_for_only_so_long() {
        let (own, peer) = OsStream::pair();
        assert!(is_writable_within(own.as_raw_fd(), Duration::from_secs(60)));
        while own.write(&[IoSlice::new(&[0; 4096])]).unwrap() > 0 {}
        assert!(!is_writable_within(own.as_raw_fd(), Duration::ZERO));
        assert!(!is_writable_within(own.as_raw_fd(), Duration::from_micros(100)));
        std::thread::scope(|scope| {
            scope.spawn(|| peer.discard_input());
            assert!(is_writable_within(own.as_raw_fd(), Duration::from_secs(60)));
        });
    }

    #[test]
    fn no_timeout_is_early() {
        let (began, timeout) = (Instant::now(), Duration::from_micros(700));
        assert_eq!(poll(std::iter::empty(), Some(timeout)).unwrap(), [0; 0]);
        assert!(began.elapsed() >= timeout);
    }

    #[test]
    fn a_signal_interrupts() {
        let result = interrupted(|| poll(std::iter::empty(), None));
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::Interrupted);
    }
}
