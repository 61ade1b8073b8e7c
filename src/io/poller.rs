//! A set of descriptors that one thread waits for, and out of which any other thread wakes it.
//!
//! A wake-up is never lost: one that comes before the wait ends it at once. Those that come before
//! the waiter has noticed the first cost no system call.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sys::{Epoll, Event, EventBuffer, EventFd, Interest};

#[derive(Debug)]
pub struct Poller {
    epoll: Epoll,
    waker: Waker,
}

/// A descriptor that wakes whoever waits for it to be readable.
#[derive(Debug)]
pub struct Waker {
    event_fd: EventFd,
    /// Set from a wake-up until the woken one has noticed, so that a burst of them makes one.
    is_woken: AtomicBool,
}

/// Ends the wait of another thread.
pub trait Wake {
    fn wake(&self);
}

impl<W: Wake> Wake for Arc<W> {
    fn wake(&self) {
        W::wake(self);
    }
}

impl Poller {
    /// # Errors
    /// When no descriptors can be had.
    pub fn new() -> io::Result<Poller> {
        let epoll = Epoll::new()?;
        Poller::with(epoll, Waker::new()?)
    }

    fn with(epoll: Epoll, waker: Waker) -> io::Result<Poller> {
        epoll.add(waker.as_raw_fd(), Interest::READABLE, WAKER)?;
        Ok(Poller { epoll, waker })
    }

    /// Starts watching a descriptor, whose events carry `key`: any number but the highest.
    ///
    /// # Errors
    /// Those of epoll_ctl(2).
    pub fn add(&self, descriptor: RawFd, interest: Interest, key: u64) -> io::Result<()> {
        debug_assert_ne!(key, WAKER, "the poller's own key");
        self.epoll.add(descriptor, interest, key)
    }

    /// Watches for something else from now on.
    ///
    /// # Errors
    /// Those of epoll_ctl(2).
    pub fn modify(&self, descriptor: RawFd, interest: Interest, key: u64) -> io::Result<()> {
        debug_assert_ne!(key, WAKER, "the poller's own key");
        self.epoll.modify(descriptor, interest, key)
    }

    pub fn remove(&self, descriptor: RawFd) {
        // It can only fail because the descriptor is not watched.
        let _ = self.epoll.remove(descriptor);
    }

    /// Waits until something happens, until woken, or until the timeout passes; `None` waits for
    /// ever. Being woken is no event. One thread at a time waits.
    ///
    /// # Errors
    /// Those of epoll_wait(2). An interrupting signal is an error of kind `Interrupted`.
    pub fn wait<'a>(
        &self,
        events: &'a mut EventBuffer,
        timeout: Option<Duration>,
    ) -> io::Result<impl Iterator<Item = Event> + use<'a>> {
        self.epoll.wait(events, timeout)?;
        Ok(self.reported(events))
    }

    /// What somebody who has waited for the descriptor has been told: the same as by a wait.
    pub fn reported<'a>(&self, events: &'a EventBuffer) -> impl Iterator<Item = Event> + use<'a> {
        if let Some(woken) = events.iter().find(is_waker) {
            self.notice(woken);
        }
        events.iter().filter(|event| !is_waker(event))
    }

    /// Whether there is something for [`Poller::reported`] now, which is in `events` then.
    pub fn look(&self, events: &mut EventBuffer) -> bool {
        self.epoll.wait(events, Some(Duration::ZERO)).is_ok() && !events.is_empty()
    }

    /// Waits with the precision of the kernel's high-resolution timers, for delays far below a
    /// millisecond. Says whether [`Poller::wait`] has something to notice.
    ///
    /// # Errors
    /// Those of ppoll(2).
    pub fn wait_briefly(&self, timeout: Duration) -> io::Result<bool> {
        self.epoll.wait_briefly(timeout)
    }

    /// What to sleep on until [`Poller::reported`] has something to look at.
    pub fn set(&self) -> &Epoll {
        &self.epoll
    }

    /// Whether somebody has woken it, and it has not noticed.
    pub fn is_woken(&self) -> bool {
        self.waker.is_woken.load(Ordering::Relaxed)
    }

    /// What becomes readable when it is woken.
    pub fn waker(&self) -> &Waker {
        &self.waker
    }

    fn notice(&self, woken: Event) {
        if woken.writable {
            // What comes from now on is signalled in the ordinary way again, or asks for this anew.
            let _ = self.epoll.modify(self.waker.as_raw_fd(), Interest::READABLE, WAKER);
        }
        self.waker.notice();
    }
}

impl Wake for Poller {
    fn wake(&self) {
        self.waker.wake_or(|| self.epoll.rouse(self.waker.as_raw_fd(), WAKER));
    }
}

/// Readable while [`Poller::wait`] has something to notice.
impl AsRawFd for Poller {
    fn as_raw_fd(&self) -> RawFd {
        self.epoll.as_raw_fd()
    }
}

impl Waker {
    /// # Errors
    /// When no descriptor can be had.
    pub fn new() -> io::Result<Waker> {
        Ok(Waker { event_fd: EventFd::new()?, is_woken: AtomicBool::new(false) })
    }

    /// Whether nobody has closed the descriptor behind our back.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.event_fd.is_intact()
    }

    /// What wakes it, too, when it is written to.
    pub fn signalled_through(&self) -> RawFd {
        self.event_fd.signalled_through()
    }

    fn wake_or(&self, otherwise: impl FnOnce() -> bool) {
        // Pairs with the swap in `notice`.
        let is_first = !self.is_woken.swap(true, Ordering::SeqCst);
        if is_first && !self.event_fd.signal() && !otherwise() {
            // The next one tries again. Pairs with its swap above.
            self.is_woken.store(false, Ordering::SeqCst);
        }
    }

    /// Makes the descriptor unreadable. The woken one must look at what it was woken for behind
    /// this, because from now on another wake-up is signalled.
    pub fn notice(&self) {
        // In this order: a signal that came in between would be drained and yet count as pending.
        self.event_fd.drain();
        // Pairs with the swap in `wake_or`: whoever found it set has its news seen.
        self.is_woken.swap(false, Ordering::SeqCst);
    }
}

impl Wake for Waker {
    fn wake(&self) {
        self.wake_or(|| false);
    }
}

impl AsRawFd for Waker {
    fn as_raw_fd(&self) -> RawFd {
        self.event_fd.as_raw_fd()
    }
}

fn is_waker(event: &Event) -> bool {
    event.key == WAKER
}

const WAKER: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::Shutdown;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;
    use std::thread;

    use super::*;

    /// The keys of what happens, or nothing when the wait was ended by a wake-up alone.
    fn wait(poller: &Poller, timeout: Option<Duration>) -> Vec<u64> {
        let mut events = EventBuffer::default();
        poller.wait(&mut events, timeout).unwrap().map(|event| event.key).collect()
    }

    /// Whether a wait would end at once.
    fn is_pending(poller: &Poller) -> bool {
        poller.wait_briefly(Duration::ZERO).unwrap()
    }

    /// One whose waker the kernel does not let anybody signal: a stream that nobody may write to.
    fn poller_without_signals() -> (Poller, UnixStream) {
        let (own, peer) = UnixStream::pair().unwrap();
        own.set_nonblocking(true).unwrap();
        own.shutdown(Shutdown::Write).unwrap();
        let event_fd = EventFd::of(OwnedFd::from(own));
        assert!(!event_fd.signal());
        let waker = Waker { event_fd, is_woken: AtomicBool::new(false) };
        (Poller::with(Epoll::new().unwrap(), waker).unwrap(), peer)
    }

    #[test]
    fn a_wake_before_the_wait_ends_it_at_once_and_one_only() {
        let poller = Poller::new().unwrap();
        poller.wake();
        assert!(is_pending(&poller));
        assert_eq!(wait(&poller, None), [0; 0]);
        assert!(!is_pending(&poller));
    }

    #[test]
    fn a_wake_during_the_wait_ends_it() {
        let poller = Arc::new(Poller::new().unwrap());
        let waiter = {
            let poller = Arc::clone(&poller);
            thread::spawn(move || wait(&poller, None))
        };
        // Whether it waits already makes no difference.
        poller.wake();
        assert_eq!(waiter.join().unwrap(), [0; 0]);
    }

    #[test]
    fn many_wakes_are_one() {
        let poller = Poller::new().unwrap();
        (0..1000).for_each(|_| poller.wake());
        assert_eq!(poller.waker.event_fd.level(), 1);
        assert_eq!(wait(&poller, None), [0; 0]);
        poller.wake();
        assert_eq!(wait(&poller, None), [0; 0]);
    }

    #[test]
    fn no_wake_is_lost_between_two_waits() {
        const ROUNDS: usize = 10_000;
        let poller = Arc::new(Poller::new().unwrap());
        let news = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let waiter = {
            let (poller, news) = (Arc::clone(&poller), Arc::clone(&news));
            thread::spawn(move || {
                while news.load(Ordering::Relaxed) < ROUNDS {
                    wait(&poller, None);
                }
            })
        };
        for _ in 0..ROUNDS {
            news.fetch_add(1, Ordering::Relaxed);
            poller.wake();
        }
        waiter.join().unwrap();
    }

    #[test]
    fn a_descriptor_that_cannot_be_signalled_wakes_all_the_same() {
        let (poller, _peer) = poller_without_signals();
        for _ in 0..3 {
            assert!(!is_pending(&poller));
            poller.wake();
            poller.wake();
            assert_eq!(wait(&poller, None), [0; 0]);
        }
        assert!(!is_pending(&poller));
    }

    #[test]
    fn a_wake_that_failed_is_tried_again() {
        let (poller, _peer) = poller_without_signals();
        poller.remove(poller.waker.as_raw_fd());
        poller.wake();
        assert!(!is_pending(&poller));
        poller.epoll.add(poller.waker.as_raw_fd(), Interest::READABLE, WAKER).unwrap();
        poller.wake();
        assert_eq!(wait(&poller, None), [0; 0]);
    }

    #[test]
    fn events_beside_a_wake_are_reported() {
        let poller = Poller::new().unwrap();
        let pairs = [(); 3].map(|()| UnixStream::pair().unwrap());
        for (key, (own, peer)) in pairs.iter().enumerate() {
            poller.add(own.as_raw_fd(), Interest::READABLE, key as u64).unwrap();
            if key != 1 {
                (&*peer).write_all(b"x").unwrap();
            }
        }
        poller.wake();
        let mut keys = wait(&poller, None);
        keys.sort_unstable();
        assert_eq!(keys, [0, 2]);
        poller.remove(pairs[0].0.as_raw_fd());
        poller.modify(pairs[1].0.as_raw_fd(), Interest::ANYTHING, 7).unwrap();
        let mut keys = wait(&poller, None);
        keys.sort_unstable();
        assert_eq!(keys, [2, 7]);
    }

    #[test]
    fn a_wait_without_anything_ends_in_time() {
        let poller = Poller::new().unwrap();
        let began = std::time::Instant::now();
        assert_eq!(wait(&poller, Some(Duration::from_micros(1500))), [0; 0]);
        assert!(began.elapsed() >= Duration::from_micros(1500));
    }
}
