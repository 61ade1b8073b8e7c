//! What a socket can do now, shown on descriptors once somebody asked for them.

use std::os::fd::RawFd;

use super::beacon::Lighter;
use super::pipe::Aftermath;
use super::readiness::Side;
use super::socket::Socket;
use super::state::State;
use crate::error::Error;
use crate::sync::yield_now;
use crate::sys::EventFd;

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
        if self.shown.descriptor(side).is_none() {
            let fresh = EventFd::new().map_err(|_| Error::TooManySockets)?;
            let mut state = self.lock();
            if self.shown.install(side, fresh) {
                // It shows nothing yet; the other one, if there is one, what it has shown.
                match side {
                    Side::Send => state.shown.can_send = false,
                    Side::Recv => state.shown.can_recv = false,
                }
                self.show(&mut state);
                if !self.is_usable() {
                    // Whoever has ended it could not show that on a descriptor that was not there.
                    self.shown.show_closed();
                }
            }
        }
        // Whoever has just made it may not have come to that.
        self.shown.settle();
        if side == Side::Recv {
            self.read_in_background();
            // What the kernel has by now is shown by now.
            self.pump_ready_streams(self.waiting.recv.epoch());
        }
        self.shown.descriptor(side).ok_or(Error::TooManySockets)
    }

    /// Says what the descriptors are to show. It happens under the lock, to show states in their
    /// order; behind that, they are brought up to date by settling.
    #[inline]
    pub(super) fn show(&self, state: &mut State) -> Lighter {
        if self.shown.is_watched() { self.show_changes(state) } else { Lighter::Elsewhere }
    }

    #[cold]
    fn show_changes(&self, state: &mut State) -> Lighter {
        self.waiting.lookouts.note();
        if !self.is_usable() || !self.shown.has_descriptors() {
            return Lighter::Elsewhere;
        }
        let readiness = {
            let mut aftermath = Aftermath::default();
            let (protocol, view) = state.parts(&self.context, &mut aftermath);
            protocol.readiness(&view)
        };
        let lighter = self.shown.change(state.shown, readiness);
        state.shown = readiness;
        lighter
    }

    /// Brings the descriptors up to date behind the lock, under which a message was received.
    #[allow(clippy::inline_always, reason = "most often there is nothing, and nothing is done")]
    #[inline(always)]
    pub(super) fn settle_after_recv(&self, lighter: Lighter) {
        self.shown.settle();
        if lighter == Lighter::AtIt {
            self.let_reactor_sleep();
        }
    }

    #[inline(never)]
    fn let_reactor_sleep(&self) {
        if self.waiting.has_streams() {
            // It is mostly the reactor, which this thread has thrown off its processor when it
            // was woken. It sleeps next, unless it gives way: to let it do so now costs less than
            // to have it come back for that when this thread would like to run.
            let reactor = self.context.reactor.started();
            if !reactor.is_some_and(|reactor| reactor.will_give_way()) {
                yield_now();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::core::fixtures::{Opened, PULL, PUSH, pairs};
    use crate::sys::{self, WaitFor};

    fn is_readable(descriptor: RawFd) -> bool {
        let wait = [(descriptor, WaitFor::Readable)].into_iter();
        !sys::poll(wait, Some(Duration::ZERO)).unwrap().is_empty()
    }

    #[test]
    fn a_descriptor_shows_what_was_there_before_and_follows_what_comes() {
        let [one, other] = pairs();
        one.send("early").unwrap();
        let can_recv = other.get().readiness_descriptor(Side::Recv).unwrap();
        assert!(is_readable(can_recv));
        other.recv().unwrap();
        assert!(!is_readable(can_recv));
        one.send("late").unwrap();
        assert!(is_readable(can_recv));
        assert_eq!(other.get().readiness_descriptor(Side::Recv), Ok(can_recv));
        let can_send = one.get().readiness_descriptor(Side::Send).unwrap();
        assert!(is_readable(can_send));
        other.close().unwrap();
        assert!(!is_readable(can_send), "its peer has gone");
    }

    #[test]
    fn the_second_descriptor_leaves_the_first_as_it_is() {
        let [one, other] = pairs();
        one.send("early").unwrap();
        let sides = [Side::Recv, Side::Send];
        let [can_recv, can_send] =
            sides.map(|side| other.get().readiness_descriptor(side).unwrap());
        assert!(is_readable(can_recv) && is_readable(can_send));
        other.recv().unwrap();
        assert!(!is_readable(can_recv) && is_readable(can_send));
    }

    #[test]
    fn a_direction_that_the_type_lacks_has_none() {
        let (push, pull) = (Opened::cooked(PUSH), Opened::cooked(PULL));
        let side = |socket: &Opened, side| socket.get().readiness_descriptor(side).err();
        assert_eq!(side(&push, Side::Recv), Some(Error::UnknownOption));
        assert_eq!(side(&pull, Side::Send), Some(Error::UnknownOption));
        assert_eq!(side(&push, Side::Send), None);
    }
}
