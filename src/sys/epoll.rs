//! epoll(7), bare. The `polling` crate wraps it too, but cannot watch for a peer's end of stream
//! alone (EPOLLRDHUP without EPOLLIN), hides interrupted waits, and re-arms a timer descriptor
//! with two more system calls whenever a wait has a timeout.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::time::Duration;

use super::cancellation::{Owned, held};
use super::clock::{Span, milliseconds};
use super::descriptor::above_standard;
use super::{Event, Interest, check, kernel};
use crate::sync::before_io;

/// A set of descriptors that one thread can wait for.
#[derive(Debug)]
pub struct Epoll {
    descriptor: Owned<kernel::OwnedFd>,
}

impl Epoll {
    pub fn new() -> io::Result<Epoll> {
        // SAFETY: no pointer is passed.
        let raw = check(unsafe { kernel::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the kernel gave us this descriptor just now; nobody else owns it.
        let fresh = unsafe { kernel::OwnedFd::from_raw_fd(raw) };
        Ok(Epoll { descriptor: Owned::new(above_standard(fresh)?) })
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

    /// Ends the wait of another thread, or the next one, with the report that `descriptor`, which
    /// is watched under `key`, can be written to. False when that cannot be had.
    pub fn rouse(&self, descriptor: RawFd, key: u64) -> bool {
        // It can always be written to, so that waiting for that wakes as well.
        self.modify(descriptor, Interest::ANYTHING, key).is_ok()
    }

    /// Waits until something happens or the timeout passes; `None` waits for ever. The reports are
    /// in `events` then. An interrupting signal is an error of kind `Interrupted`.
    pub fn wait(&self, events: &mut EventBuffer, timeout: Option<Duration>) -> io::Result<()> {
        before_io();
        events.count = 0;
        let (buffer, room) = events.room();
        let (descriptor, limit) = (self.descriptor.as_raw_fd(), milliseconds(timeout));
        // SAFETY: the buffer has `room` entries and outlives the call.
        let count = check(held(|| unsafe { kernel::epoll_wait(descriptor, buffer, room, limit) }))?;
        events.set_count(count as usize);
        Ok(())
    }

    /// Waits with the precision of the kernel's high-resolution timers, for delays far below a
    /// millisecond. Says whether something is there for [`Epoll::wait`].
    pub fn wait_briefly(&self, timeout: Duration) -> io::Result<bool> {
        let mut entry =
            libc::pollfd { fd: self.descriptor.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let limit = Span::from(timeout);
        // SAFETY: one entry, one limit, both alive during the call; no signal mask.
        let wait =
            || unsafe { kernel::ppoll(&raw mut entry, 1, &raw const limit, std::ptr::null()) };
        let count = check(held(wait))?;
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
            kernel::epoll_ctl(self.descriptor.as_raw_fd(), operation, descriptor, &mut event)
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
pub struct EventBuffer {
    room: [libc::epoll_event; EVENTS_MAX],
    /// How many there are.
    count: usize,
}

impl EventBuffer {
    /// The reports.
    pub fn iter(&self) -> impl Iterator<Item = Event> + use<'_> {
        self.room[..self.count].iter().map(Event::from_kernel)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn room(&mut self) -> (*mut libc::epoll_event, libc::c_int) {
        (self.room.as_mut_ptr(), self.room.len() as libc::c_int)
    }

    pub(super) fn set_count(&mut self, count: usize) {
        self.count = count.min(self.room.len());
    }
}

impl Default for EventBuffer {
    fn default() -> EventBuffer {
        let nothing = libc::epoll_event { events: 0, u64: 0 };
        EventBuffer { room: [nothing; EVENTS_MAX], count: 0 }
    }
}

impl Interest {
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

const EVENTS_MAX: usize = 64;
