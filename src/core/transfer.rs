//! Sending and receiving: try, wait, try again, on the caller's thread.

use std::time::Instant;

use super::deferred;
use super::pipe::Aftermath;
use super::socket::Socket;
use crate::error::Error;
use crate::message::Message;
use crate::protocols::Nothing;
use crate::sys;
use crate::transports::Moment;

/// Whether a call may wait.
#[derive(Clone, Copy)]
pub enum Blocking<'a> {
    Wait,
    DontWait,
    /// For as long as the other socket is of any use, whose companion this one is.
    Beside(&'a Socket),
}

impl Blocking<'_> {
    /// What keeps the call from waiting now.
    fn hindrance(self) -> Option<Error> {
        match self {
            Blocking::Wait => None,
            Blocking::DontWait => Some(Error::WouldBlock),
            // Who closes it wakes its companions afterwards: what is not seen here ends the wait.
            Blocking::Beside(other) => (!other.is_usable()).then_some(Error::NotOpen),
        }
    }
}

impl Socket {
    /// # Errors
    /// `NotSupported` when the type never sends.
    #[inline]
    pub fn check_can_send(&self) -> Result<(), Error> {
        if self.socket_type().can_send { Ok(()) } else { Err(Error::NotSupported) }
    }

    /// # Errors
    /// `NotSupported` when the type never receives.
    #[inline]
    pub fn check_can_recv(&self) -> Result<(), Error> {
        if self.socket_type().can_recv { Ok(()) } else { Err(Error::NotSupported) }
    }

    /// Takes `message` and sends it, waiting for as long as the send timeout allows.
    ///
    /// # Errors
    /// When it is not sent; the message is not touched.
    pub fn send(&self, message: &mut Message, blocking: Blocking<'_>) -> Result<(), Error> {
        let mut deadline = None;
        loop {
            let seen = self.waiting.send.epoch();
            match self.try_send(message) {
                Err(Error::WouldBlock) => {}
                result => return result,
            }
            if let Some(error) = blocking.hindrance() {
                deferred::write_out();
                return Err(error);
            }
            if deadline.flatten().is_some_and(|at| Instant::now() >= at) {
                return Err(Error::TimedOut);
            }
            let deadline = *deadline.get_or_insert_with(|| self.options().send_deadline());
            self.wait_to_send(seen, deadline)?;
        }
    }

    /// Receives into `message`, waiting for as long as the receive timeout allows. `check` says
    /// whether the caller can take a body of that size; if not, the message is lost and not
    /// counted.
    ///
    /// # Errors
    /// When there is none, or that of `check`.
    pub fn recv(
        &self,
        message: &mut Message,
        blocking: Blocking<'_>,
        check: impl Fn(usize) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut deadline = None;
        loop {
            let seen = self.waiting.recv.epoch();
            let until = match self.try_recv(message, &check) {
                Err(Missed::Nothing { until }) => until,
                Err(Missed::Failed(error)) => return Err(error),
                Ok(()) => return Ok(()),
            };
            if let Some(error) = blocking.hindrance() {
                deferred::write_out();
                if error != Error::WouldBlock {
                    return Err(error);
                }
                // A caller who does not wait still gets what the kernel has for him.
                let has_news = self.pump_ready_streams(seen);
                let again = if has_news { self.try_recv(message, &check) } else { NOTHING };
                return again.map_err(Error::from);
            }
            if deadline.flatten().is_some_and(|at| Instant::now() >= at) {
                return Err(Error::TimedOut);
            }
            let deadline = *deadline.get_or_insert_with(|| self.options().recv_deadline());
            let earliest = [deadline, until].into_iter().flatten().min();
            match self.wait_to_recv(seen, earliest) {
                // The reactor says so, too, but there may be no reactor to be had.
                Err(Error::TimedOut) if earliest != deadline => self.pass_timeout(),
                result => result?,
            }
        }
    }

    fn try_send(&self, message: &mut Message) -> Result<(), Error> {
        let size = message.body.len() as u64;
        let mut aftermath = Aftermath::default();
        let (result, is_one_of_many, must_arm) = {
            let mut guard = self.lock();
            let state = &mut *guard;
            if !self.is_usable() {
                return Err(Error::NotOpen);
            }
            let is_one_of_many = state.pipes.has_several();
            let (protocol, mut view) = state.parts(self.options(), &mut aftermath);
            if is_one_of_many {
                view.pace = self.pacer.begin(now());
            }
            let result = protocol.send(message, &mut view);
            if result.is_ok() {
                state.traffic.messages_sent += 1;
                state.traffic.bytes_sent += size;
            }
            self.show(state);
            (result, is_one_of_many, state.note_timeout())
        };
        aftermath.settle();
        if is_one_of_many {
            self.pacer.end(now());
        }
        if must_arm {
            self.arm_timer();
        }
        Ok(result?)
    }

    /// Receives if there is something. If not, says until when waiting makes sense without news.
    fn try_recv(
        &self,
        message: &mut Message,
        check: &impl Fn(usize) -> Result<(), Error>,
    ) -> Result<(), Missed> {
        loop {
            if let Some(result) = self.try_recv_once(message, check) {
                return result;
            }
        }
    }

    /// `None` when trying again at once may help.
    fn try_recv_once(
        &self,
        message: &mut Message,
        check: &impl Fn(usize) -> Result<(), Error>,
    ) -> Option<Result<(), Missed>> {
        let mut aftermath = Aftermath::default();
        let (result, removed) = {
            let mut guard = self.lock();
            let state = &mut *guard;
            if !self.is_usable() {
                return Some(Err(Missed::Failed(Error::NotOpen)));
            }
            let (protocol, mut view) = state.parts(self.options(), &mut aftermath);
            let received = protocol.recv(message, &mut view);
            let result = match received {
                Ok(()) => Some(check(message.body.len()).map_err(Missed::Failed)),
                Err(nothing) => Missed::from(nothing, protocol.next_timeout()).map(Err),
            };
            if matches!(result, Some(Ok(()))) {
                state.traffic.messages_received += 1;
                state.traffic.bytes_received += message.body.len() as u64;
            }
            if state.pipes.has_several() {
                self.pacer.interrupt();
            }
            let removed = state.remove_drained(&mut aftermath);
            self.show(state);
            (result, removed)
        };
        aftermath.settle();
        if !removed.is_empty() {
            // The last owner closes, and that not under the lock.
            drop(removed);
            self.retry_endpoints();
        }
        result
    }
}

fn now() -> Moment {
    Moment(sys::nanoseconds())
}

const NOTHING: Result<(), Missed> = Err(Missed::Nothing { until: None });

/// Why nothing was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missed {
    /// Nothing is there. Even if nothing comes, the protocol has something to say then.
    Nothing {
        until: Option<Instant>,
    },
    Failed(Error),
}

impl Missed {
    /// `None` when trying again at once may help.
    fn from(nothing: Nothing, until: Option<Instant>) -> Option<Missed> {
        match nothing {
            Nothing::Yet => Some(Missed::Nothing { until }),
            Nothing::Again => None,
            Nothing::WrongState => Some(Missed::Failed(Error::WrongState)),
            Nothing::Expired => Some(Missed::Failed(Error::TimedOut)),
        }
    }
}

impl From<Missed> for Error {
    fn from(missed: Missed) -> Error {
        match missed {
            Missed::Nothing { .. } => Error::WouldBlock,
            Missed::Failed(error) => error,
        }
    }
}
