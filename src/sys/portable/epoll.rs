//! What epoll(7) is on Linux, by the `polling` crate: kqueue(2) on the BSDs and on macOS, ports on
//! illumos, and epoll below it where this is tried on Linux.
//!
//! It cannot watch for the end of a stream alone, so that reports are looked through here; it hides
//! interrupted waits, which the one thread that waits long has none of, because its signals are
//! blocked. Callers of the library sleep by poll(2) in front of the poller's own descriptor, where
//! signals interrupt them and they can be cancelled.

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

use polling::{Events, Poller};

use super::kernel;
use super::watched::Watched;
use crate::sync::atomic::{AtomicI32, Ordering};
use crate::sync::before_io;
use crate::sys::cancellation::{Owned, held};
use crate::sys::descriptor::StandardTaken;
use crate::sys::{Event, Interest, check, now};

/// A set of descriptors that one thread can wait for.
#[derive(Debug)]
pub struct Epoll {
    inner: Owned<Poller>,
    watched: Watched,
    /// The descriptor in whose name the waiting thread is to be woken, or [`NONE`].
    roused: AtomicI32,
}

impl Epoll {
    pub fn new() -> io::Result<Epoll> {
        // The crate opens descriptors of its own, which cannot be moved afterwards.
        let taken = StandardTaken::new()?;
        let inner = Owned::new(held(Poller::new)?);
        drop(taken);
        Ok(Epoll { inner, watched: Watched::new(), roused: AtomicI32::new(NONE) })
    }

    pub fn add(&self, descriptor: RawFd, interest: Interest, key: u64) -> io::Result<()> {
        held(|| self.watched.add(&self.inner, descriptor, interest, key))
    }

    pub fn modify(&self, descriptor: RawFd, interest: Interest, key: u64) -> io::Result<()> {
        held(|| self.watched.modify(&self.inner, descriptor, interest, key))
    }

    /// Behind this the descriptor may be closed, and not before.
    pub fn remove(&self, descriptor: RawFd) -> io::Result<()> {
        held(|| self.watched.remove(&self.inner, descriptor))
    }

    /// Ends the wait of another thread, or the next one, with the report that `descriptor`, which
    /// is watched under `key`, can be written to. False when that cannot be had.
    pub fn rouse(&self, descriptor: RawFd, key: u64) -> bool {
        if self.watched.key_of(descriptor) != Some(key) {
            return false;
        }
        // Pairs with the swap in `wait`.
        self.roused.store(descriptor, Ordering::SeqCst);
        held(|| self.inner.notify()).is_ok()
    }

    /// Waits until something happens or the timeout passes; `None` waits for ever. The reports are
    /// in `events` then, which may be none. Signals do not interrupt it.
    pub fn wait(&self, events: &mut EventBuffer, timeout: Option<Duration>) -> io::Result<()> {
        before_io();
        events.clear();
        held(|| self.inner.wait(&mut events.raw, timeout))?;
        // Pairs with the store in `rouse`.
        let roused = self.roused.swap(NONE, Ordering::SeqCst);
        if let Some(key) = self.watched.key_of(roused) {
            events.push(Event { key, readable: false, writable: true, ended: false });
        }
        held(|| events.translate(&self.watched, &self.inner));
        Ok(())
    }

    /// Waits for a delay far below a millisecond, as precisely as the system sleeps. Says whether
    /// something is there for [`Epoll::wait`].
    pub fn wait_briefly(&self, timeout: Duration) -> io::Result<bool> {
        let until = now() + timeout;
        loop {
            let left = until.saturating_duration_since(now());
            // poll(2) counts in milliseconds, so that it looks before and behind the rest.
            let whole = left.as_millis().try_into().unwrap_or(libc::c_int::MAX);
            let mut entry = libc::pollfd { fd: self.as_raw_fd(), events: libc::POLLIN, revents: 0 };
            // SAFETY: one entry, which lives during the call.
            let count = check(held(|| unsafe { kernel::poll(&raw mut entry, 1, whole) }))?;
            let left = until.saturating_duration_since(now());
            if count > 0 || left.is_zero() {
                return Ok(count > 0);
            }
            if left < MILLISECOND {
                sleep_until(until);
            }
        }
    }
}

impl AsRawFd for Epoll {
    fn as_raw_fd(&self) -> RawFd {
        self.inner.as_raw_fd()
    }
}

/// Room for the reports of one wait.
pub struct EventBuffer {
    raw: Events,
    found: [Event; EVENTS_MAX + 1],
    /// How many there are.
    count: usize,
}

impl EventBuffer {
    /// The reports.
    pub fn iter(&self) -> impl Iterator<Item = Event> + use<'_> {
        self.found[..self.count].iter().copied()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn clear(&mut self) {
        self.raw.clear();
        self.count = 0;
    }

    fn push(&mut self, event: Event) {
        if let Some(place) = self.found.get_mut(self.count) {
            *place = event;
            self.count += 1;
        }
    }

    fn translate(&mut self, watched: &Watched, poller: &Poller) {
        let EventBuffer { raw, found, count } = self;
        for event in raw.iter().filter_map(|event| watched.translate(poller, &event)) {
            if let Some(place) = found.get_mut(*count) {
                *place = event;
                *count += 1;
            }
        }
    }
}

impl Default for EventBuffer {
    fn default() -> EventBuffer {
        let nothing = Event { key: 0, readable: false, writable: false, ended: false };
        let room = NonZeroUsize::new(EVENTS_MAX).expect("it is more than none");
        let raw = Events::with_capacity(room);
        EventBuffer { raw, found: [nothing; EVENTS_MAX + 1], count: 0 }
    }
}

const EVENTS_MAX: usize = 64;
const MILLISECOND: Duration = Duration::from_millis(1);
const NONE: RawFd = -1;

fn sleep_until(until: Instant) {
    let left = until.saturating_duration_since(now());
    let limit = kernel::timespec(left);
    // SAFETY: the time is there; who is woken early looks again.
    held(|| unsafe { libc::nanosleep(&raw const limit, std::ptr::null_mut()) });
}
