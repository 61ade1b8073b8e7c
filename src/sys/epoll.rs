//! epoll(7), bare. The `polling` crate wraps it too, but cannot watch for a peer's end of stream
//! alone (EPOLLRDHUP without EPOLLIN), hides interrupted waits, and re-arms a timer descriptor
//! with two more system calls whenever a wait has a timeout.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use super::check;
use crate::sync::before_io;

/// A set of descriptors that one thread can wait for.
#[derive(Debug)]
pub struct Epoll {
    descriptor: OwnedFd,
}

/// What to wait for. Errors and hang-ups are always reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    pub readable: bool,
    pub writable: bool,
    /// The peer has ended its direction of the stream.
    pub ended: bool,
    /// Report once, then keep silent until the interest is set again.
    pub once: bool,
}

/// One report of the kernel.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    pub key: u64,
    pub readable: bool,
    pub writable: bool,
    /// End of stream, error or hang-up.
    pub ended: bool,
}

impl Epoll {
    pub fn new() -> io::Result<Epoll> {
        // SAFETY: no pointer is passed.
        let raw = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the kernel gave us this descriptor just now; nobody else owns it.
        Ok(Epoll { descriptor: unsafe { OwnedFd::from_raw_fd(raw) } })
    }

    pub fn add(&self, descriptor: RawFd, interest: Interest, key: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, descriptor, interest, key)
    }

    pub fn modify(&self, descriptor: RawFd, interest: Interest, key: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, descriptor, interest, key)
    }

    pub fn remove(&self, descriptor: RawFd) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, descriptor, Interest::default(), 0)
    }

    /// Waits until something happens or the timeout passes; `None` waits for ever. The result is
    /// a part of `events`. An interrupting signal is an error of kind `Interrupted`.
    pub fn wait<'a>(
        &self,
        events: &'a mut EventBuffer,
        timeout: Option<Duration>,
    ) -> io::Result<impl Iterator<Item = Event> + Clone + use<'a>> {
        before_io();
        let descriptor = self.descriptor.as_raw_fd();
        let room = events.0.len() as libc::c_int;
        let buffer = events.0.as_mut_ptr();
        // SAFETY: the buffer has `room` entries and outlives the call.
        let count =
            check(unsafe { libc::epoll_wait(descriptor, buffer, room, milliseconds(timeout)) })?;
        Ok(events.0[..count as usize].iter().map(Event::from_kernel))
    }

    /// Waits with the precision of the kernel's high-resolution timers, for delays far below a
    /// millisecond. Says whether something is there for [`Epoll::wait`].
    pub fn wait_briefly(&self, timeout: Duration) -> io::Result<bool> {
        let mut entry =
            libc::pollfd { fd: self.descriptor.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let limit = libc::timespec {
            tv_sec: timeout.as_secs() as libc::time_t,
            tv_nsec: timeout.subsec_nanos().into(),
        };
        // SAFETY: one entry, one timespec, both alive during the call; no signal mask.
        let count = check(unsafe { libc::ppoll(&mut entry, 1, &limit, std::ptr::null()) })?;
        Ok(count > 0)
    }

    fn control(
        &self,
        operation: libc::c_int,
        descriptor: RawFd,
        interest: Interest,
        key: u64,
    ) -> io::Result<()> {
        let mut event = libc::epoll_event { events: interest.to_kernel(), u64: key };
        // SAFETY: the event lives during the call, which only reads it.
        check(unsafe {
            libc::epoll_ctl(self.descriptor.as_raw_fd(), operation, descriptor, &mut event)
        })?;
        Ok(())
    }
}

impl AsRawFd for Epoll {
    fn as_raw_fd(&self) -> RawFd {
        self.descriptor.as_raw_fd()
    }
}

/// Room for the reports of one wait.
pub struct EventBuffer([libc::epoll_event; EVENTS_MAX]);

impl Default for EventBuffer {
    fn default() -> EventBuffer {
        EventBuffer([libc::epoll_event { events: 0, u64: 0 }; EVENTS_MAX])
    }
}

impl Interest {
    pub const READABLE: Interest =
        Interest { readable: true, writable: false, ended: false, once: false };
    pub const ANYTHING: Interest =
        Interest { readable: true, writable: true, ended: false, once: false };

    fn to_kernel(self) -> u32 {
        let flag = |wanted: bool, bit: libc::c_int| if wanted { bit as u32 } else { 0 };
        flag(self.readable, libc::EPOLLIN)
            | flag(self.writable, libc::EPOLLOUT)
            | flag(self.ended, libc::EPOLLRDHUP)
            | flag(self.once, libc::EPOLLONESHOT)
    }
}

impl Event {
    fn from_kernel(event: &libc::epoll_event) -> Event {
        let bits = event.events;
        let has = |mask: libc::c_int| bits & mask as u32 != 0;
        Event {
            key: event.u64,
            readable: has(libc::EPOLLIN),
            writable: has(libc::EPOLLOUT),
            ended: has(libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR),
        }
    }
}

/// Rounded up: a timeout is never early. Longer ones than the kernel takes wake up and wait again.
fn milliseconds(timeout: Option<Duration>) -> libc::c_int {
    match timeout {
        None => -1,
        Some(timeout) => {
            timeout.as_nanos().div_ceil(1_000_000).try_into().unwrap_or(libc::c_int::MAX)
        }
    }
}

const EVENTS_MAX: usize = 64;
