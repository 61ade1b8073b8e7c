//! Sending and receiving: try, wait, try again, on the caller's thread.

use std::time::Instant;

use super::deferred;
use super::pipe::{Aftermath, Pipe, View};
use super::socket::{Socket, State};
use crate::error::Error;
use crate::message::Message;
use crate::protocols::{Nothing, Refusal};

/// Whether a call may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocking {
    Wait,
    DontWait,
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
    pub fn send(&self, message: &mut Message, blocking: Blocking) -> Result<(), Error> {
        let mut deadline = None;
        loop {
            let seen = self.waiting.send.epoch();
            match self.try_send(message) {
                Err(Error::WouldBlock) => {}
                result => return result,
            }
            if blocking == Blocking::DontWait {
                deferred::write_out();
                return Err(Error::WouldBlock);
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
        blocking: Blocking,
        check: impl Fn(usize) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut deadline = None;
        loop {
            let seen = self.waiting.recv.epoch();
            match self.try_recv(message, &check) {
                Err(Error::WouldBlock) => {}
                result => return result,
            }
            if blocking == Blocking::DontWait {
                deferred::write_out();
                // A caller who does not wait still gets what the kernel has for him.
                return match self.pump_ready_streams(seen) {
                    true => self.try_recv(message, &check),
                    false => Err(Error::WouldBlock),
                };
            }
            if deadline.flatten().is_some_and(|at| Instant::now() >= at) {
                return Err(Error::TimedOut);
            }
            let deadline = *deadline.get_or_insert_with(|| self.options().recv_deadline());
            self.wait_to_recv(seen, deadline)?;
        }
    }

    fn try_send(&self, message: &mut Message) -> Result<(), Error> {
        let size = message.body.len() as u64;
        let mut aftermath = Aftermath::default();
        let result = {
            let mut guard = self.lock();
            let state = &mut *guard;
            if !self.is_usable() {
                return Err(Error::NotOpen);
            }
            let mut view = View { table: &mut state.pipes, aftermath: &mut aftermath };
            let result = state.protocol.send(message, &mut view);
            if result.is_ok() {
                state.traffic.messages_sent += 1;
                state.traffic.bytes_sent += size;
            }
            self.show(state);
            result
        };
        aftermath.settle();
        result.map_err(|Refusal::Busy| Error::WouldBlock)
    }

    fn try_recv(
        &self,
        message: &mut Message,
        check: &impl Fn(usize) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut aftermath = Aftermath::default();
        let (result, removed) = {
            let mut guard = self.lock();
            let state = &mut *guard;
            if !self.is_usable() {
                return Err(Error::NotOpen);
            }
            let mut view = View { table: &mut state.pipes, aftermath: &mut aftermath };
            let received = state.protocol.recv(message, &mut view);
            let result = received
                .map_err(|Nothing::Yet| Error::WouldBlock)
                .and_then(|()| check(message.body.len()));
            if result.is_ok() {
                state.traffic.messages_received += 1;
                state.traffic.bytes_received += message.body.len() as u64;
            }
            let removed = remove_drained(state, &mut aftermath);
            self.show(state);
            (result, removed)
        };
        aftermath.settle();
        if !removed.is_empty() {
            self.retry_endpoints();
        }
        result
    }
}

/// Ended pipes go when their last message has been taken. They are to be dropped outside the lock,
/// because the last owner of a connection closes it.
fn remove_drained(state: &mut State, aftermath: &mut Aftermath) -> Vec<Pipe> {
    if aftermath.drained.is_empty() {
        return Vec::new();
    }
    let drained = std::mem::take(&mut aftermath.drained);
    drained.into_iter().filter_map(|id| state.remove_pipe(id)).collect()
}
