//! Can-send and can-receive, shown on descriptors once somebody asked for them.

use std::os::fd::{AsRawFd, RawFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::protocols::Readiness;
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

    /// The descriptor of that side, if it has been made.
    pub fn descriptor(&self, side: Side) -> Option<RawFd> {
        self.side(side).get().map(AsRawFd::as_raw_fd)
    }

    /// Makes the descriptor of that side, which shows nothing yet. False when somebody else has
    /// made one meanwhile.
    pub fn install(&self, side: Side, descriptor: EventFd) -> bool {
        let is_first = self.side(side).set(descriptor).is_ok();
        if is_first {
            self.is_watched.store(true, Ordering::Relaxed);
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
