//! Can-send and can-receive, shown on descriptors once somebody asked for them.

use std::os::fd::{AsRawFd, RawFd};

use super::beacon::{Beacon, Lighter};
use crate::protocols::Readiness;
use crate::sync::{
    OnceLock,
    atomic::{AtomicBool, Ordering},
};
use crate::sys::{self, EventFd};

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
    send: OnceLock<Light>,
    recv: OnceLock<Light>,
}

/// A descriptor that is readable while something can be done.
#[derive(Debug)]
struct Light {
    beacon: Beacon,
    descriptor: EventFd,
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
        self.side(side).get().map(|light| light.descriptor.as_raw_fd())
    }

    /// Makes the descriptor of that side, which shows nothing yet. False when somebody else has
    /// made one meanwhile.
    pub fn install(&self, side: Side, descriptor: EventFd) -> bool {
        let light = Light { beacon: Beacon::default(), descriptor };
        let is_first = self.side(side).set(light).is_ok();
        if is_first {
            self.begin_watching();
        }
        is_first
    }

    /// Says what is so from now on, where `before` was so until now. Under the lock that guards it;
    /// behind that, [`Shown::settle`] brings the descriptors up to date. Says what the one does who
    /// has shown what is not so any more.
    pub fn change(&self, before: Readiness, now: Readiness) -> Lighter {
        let mut lighter = Lighter::Elsewhere;
        let sides = [
            (&self.send, before.can_send, now.can_send),
            (&self.recv, before.can_recv, now.can_recv),
        ];
        for (light, was_ready, is_ready) in sides {
            let Some(light) = light.get() else { continue };
            match (was_ready, is_ready) {
                (false, true) => light.beacon.raise(),
                // Eventfds hold no bytes of anybody and never block, so that this may be done under
                // a lock; and nobody is woken by it.
                (true, false) => lighter = light.beacon.lower(|| light.descriptor.drain()),
                (false, false) | (true, true) => {}
            }
        }
        lighter
    }

    /// Has the descriptors show what was said under the lock, which is not held any more.
    #[inline]
    pub fn settle(&self) {
        if self.is_watched() {
            [&self.send, &self.recv].into_iter().filter_map(OnceLock::get).for_each(Light::settle);
        }
    }

    fn side(&self, side: Side) -> &OnceLock<Light> {
        match side {
            Side::Send => &self.send,
            Side::Recv => &self.recv,
        }
    }

    /// Makes both readable for good, so that whoever polls them finds out that the socket is gone.
    pub fn show_closed(&self) {
        for light in [&self.send, &self.recv].into_iter().filter_map(OnceLock::get) {
            light.descriptor.signal();
        }
    }
}

impl Light {
    fn settle(&self) {
        self.beacon.settle(|| _ = self.descriptor.signal(), || self.is_lit());
    }

    fn is_lit(&self) -> bool {
        // A kernel that cannot say is not to be asked for ever.
        sys::is_readable(self.descriptor.as_raw_fd()).unwrap_or(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let is_readable = |side| sys::is_readable(shown.descriptor(side).unwrap()).unwrap();
        Readiness { can_send: is_readable(Side::Send), can_recv: is_readable(Side::Recv) }
    }

    #[test]
    fn nobody_watches_before_a_descriptor_is_made() {
        let shown = Shown::default();
        shown.change(NEITHER, BOTH);
        shown.settle();
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
            shown.settle();
            assert_eq!(seen(&shown), now);
            before = now;
        }
    }

    #[test]
    fn under_the_lock_a_descriptor_is_put_out_and_not_lit() {
        let shown = shown();
        shown.change(NEITHER, BOTH);
        assert_eq!(seen(&shown), NEITHER);
        shown.change(BOTH, RECV);
        shown.settle();
        assert_eq!(seen(&shown), RECV);
        shown.change(RECV, NEITHER);
        assert_eq!(seen(&shown), NEITHER);
    }

    #[test]
    fn what_is_closed_is_readable() {
        let shown = shown();
        shown.show_closed();
        assert_eq!(seen(&shown), BOTH);
    }
}
