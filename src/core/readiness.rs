//! Can-send and can-receive, shown on descriptors once somebody asked for them.

use std::os::fd::{AsRawFd, RawFd};

use crate::protocols::Readiness;
use crate::sync::{
    OnceLock,
    atomic::{AtomicBool, Ordering},
};
use crate::sys::EventFd;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Send,
    Recv,
}

/// The descriptors of one socket, made when they are first asked for.
#[derive(Debug, Default)]
pub struct Shown {
    /// Somebody wants to know of every change.
    is_watched: AtomicBool,
    send: OnceLock<EventFd>,
    recv: OnceLock<EventFd>,
}

impl Shown {
    /// Whether anybody has asked.
    #[inline]
    pub fn is_watched(&self) -> bool {
        self.is_watched.load(Ordering::Relaxed)
    }

    /// From now on every change is to be told, whoever it is that wants to know.
    pub fn begin_watching(&self) {
        self.is_watched.store(true, Ordering::Relaxed);
    }

    /// Whether a descriptor shows something.
    #[inline]
    pub fn has_descriptors(&self) -> bool {
        self.is_watched() && (self.send.get().is_some() || self.recv.get().is_some())
    }

    /// The descriptor of that side, if it has been made.
    pub fn descriptor(&self, side: Side) -> Option<RawFd> {
        self.side(side).get().map(AsRawFd::as_raw_fd)
    }

    /// Makes the descriptor of that side, which shows nothing yet. False when somebody else has
    /// made one meanwhile.
    pub fn install(&self, side: Side, descriptor: EventFd) -> bool {
        let is_first = self.side(side).set(descriptor).is_ok();
        if is_first {
            self.begin_watching();
        }
        is_first
    }

    /// Brings the descriptors up to date, which have shown `before` until now. Eventfds hold no
    /// bytes of anybody and never block, so this may happen under a lock.
    pub fn change(&self, before: Readiness, now: Readiness) {
        let sides = [
            (&self.send, before.can_send, now.can_send),
            (&self.recv, before.can_recv, now.can_recv),
        ];
        for (descriptor, was_ready, is_ready) in sides {
            let Some(descriptor) = descriptor.get() else { continue };
            match (was_ready, is_ready) {
                (false, true) => {
                    descriptor.signal();
                }
                (true, false) => descriptor.drain(),
                (false, false) | (true, true) => {}
            }
        }
    }

    fn side(&self, side: Side) -> &OnceLock<EventFd> {
        match side {
            Side::Send => &self.send,
            Side::Recv => &self.recv,
        }
    }

    /// Makes both readable for good, so that whoever polls them finds out that the socket is gone.
    pub fn show_closed(&self) {
        for descriptor in [&self.send, &self.recv].into_iter().filter_map(OnceLock::get) {
            descriptor.signal();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{self, WaitFor};
    use std::time::Duration;

    const NEITHER: Readiness = Readiness { can_send: false, can_recv: false };
    const BOTH: Readiness = Readiness { can_send: true, can_recv: true };
    const RECV: Readiness = Readiness { can_send: false, can_recv: true };

    fn shown() -> Shown {
        let shown = Shown::default();
        for side in [Side::Send, Side::Recv] {
            assert!(shown.install(side, EventFd::new().unwrap()));
        }
        shown
    }

    fn seen(shown: &Shown) -> Readiness {
        let is_readable = |side| {
            let wait = (shown.descriptor(side).unwrap(), WaitFor::Readable);
            !sys::poll([wait].into_iter(), Some(Duration::ZERO)).unwrap().is_empty()
        };
        Readiness { can_send: is_readable(Side::Send), can_recv: is_readable(Side::Recv) }
    }

    #[test]
    fn nobody_watches_before_a_descriptor_is_made() {
        let shown = Shown::default();
        shown.change(NEITHER, BOTH);
        shown.show_closed();
        assert!(!shown.is_watched());
        assert_eq!(shown.descriptor(Side::Send), None);
        assert!(shown.install(Side::Send, EventFd::new().unwrap()));
        let first = shown.descriptor(Side::Send);
        assert!(!shown.install(Side::Send, EventFd::new().unwrap()), "it has one");
        assert_eq!(shown.descriptor(Side::Send), first);
        assert!(shown.is_watched());
        assert_eq!(shown.descriptor(Side::Recv), None);
    }

    #[test]
    fn the_descriptors_follow_each_change() {
        let shown = shown();
        let mut before = NEITHER;
        for now in [RECV, BOTH, BOTH, NEITHER, NEITHER, BOTH, RECV] {
            shown.change(before, now);
            assert_eq!(seen(&shown), now);
            before = now;
        }
    }

    #[test]
    fn what_is_closed_is_readable() {
        let shown = shown();
        shown.show_closed();
        assert_eq!(seen(&shown), BOTH);
    }
}
