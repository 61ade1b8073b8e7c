//! Can-send and can-receive, shown on descriptors once somebody asked for them.

use std::os::fd::{AsRawFd, RawFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use super::pipe::Aftermath;
use super::socket::{Socket, State};
use crate::error::Error;
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

impl Socket {
    /// A descriptor that is readable while the socket can send, or receive.
    ///
    /// # Errors
    /// `UnknownOption` when the type lacks that direction, `TooManySockets` without descriptors.
    pub(super) fn readiness_descriptor(&self, side: Side) -> Result<RawFd, Error> {
        let is_possible = match side {
            Side::Send => self.socket_type().can_send,
            Side::Recv => self.socket_type().can_recv,
        };
        if !is_possible {
            return Err(Error::UnknownOption);
        }
        let slot = self.shown().side(side);
        if slot.get().is_none() {
            let fresh = EventFd::new().map_err(|_| Error::TooManySockets)?;
            let mut state = self.lock();
            if slot.set(fresh).is_ok() {
                self.shown().is_watched.store(true, Ordering::Relaxed);
                state.shown = Readiness::default();
                self.show(&mut state);
            }
        }
        if side == Side::Recv {
            self.read_in_background();
            // What the kernel has by now is shown by now.
            self.pump_ready_streams(self.waiting.recv.epoch());
        }
        slot.get().map(AsRawFd::as_raw_fd).ok_or(Error::TooManySockets)
    }

    /// Brings the descriptors up to date. Eventfds hold no bytes of anybody and never block, so
    /// this may happen under the lock; it must, to show states in their order.
    #[inline]
    pub(super) fn show(&self, state: &mut State) {
        if self.shown().is_watched() {
            self.show_changes(state);
        }
    }

    fn show_changes(&self, state: &mut State) {
        if state.is_closing {
            return;
        }
        let readiness = {
            let mut aftermath = Aftermath::default();
            let (protocol, view) = state.parts(self.options(), &mut aftermath);
            protocol.readiness(&view)
        };
        let sides = [
            (Side::Send, readiness.can_send, state.shown.can_send),
            (Side::Recv, readiness.can_recv, state.shown.can_recv),
        ];
        for (side, is_ready, was_ready) in sides {
            let Some(descriptor) = self.shown().side(side).get() else { continue };
            match (was_ready, is_ready) {
                (false, true) => {
                    descriptor.signal();
                }
                (true, false) => descriptor.drain(),
                (false, false) | (true, true) => {}
            }
        }
        state.shown = readiness;
    }
}
