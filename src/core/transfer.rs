//! Sending and receiving: try, wait, try again, on the caller's thread.

use super::deferred;
use super::pipe::{Aftermath, View};
use super::socket::{Socket, State};
use crate::error::Error;
use crate::message::Message;
use crate::protocols::{Nothing, Refusal, Refused};

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

    /// Sends a message, waiting for as long as the send timeout allows.
    ///
    /// # Errors
    /// When it is not sent; the message comes back.
    pub fn send(&self, mut message: Message, blocking: Blocking) -> Result<(), (Error, Message)> {
        let mut deadline = None;
        loop {
            let seen = self.waiting.send.epoch();
            message = match self.try_send(message) {
                Ok(()) => return Ok(()),
                Err((Error::WouldBlock, message)) => message,
                Err(other) => return Err(other),
            };
            if blocking == Blocking::DontWait {
                deferred::write_out();
                return Err((Error::WouldBlock, message));
            }
            let deadline = *deadline.get_or_insert_with(|| self.options().send_deadline());
            if let Err(error) = self.wait_to_send(seen, deadline) {
                return Err((error, message));
            }
        }
    }

    /// Receives a message, waiting for as long as the receive timeout allows. `check` says
    /// whether the caller can take a body of that size; if not, the message is lost and not
    /// counted.
    ///
    /// # Errors
    /// When there is none, or that of `check`.
    pub fn recv(
        &self,
        blocking: Blocking,
        check: impl Fn(usize) -> Result<(), Error>,
    ) -> Result<Message, Error> {
        let mut deadline = None;
        loop {
            let seen = self.waiting.recv.epoch();
            match self.try_recv(&check) {
                Err(Error::WouldBlock) => {}
                result => return result,
            }
            if blocking == Blocking::DontWait {
                return self.recv_from_kernel(seen, &check);
            }
            let deadline = *deadline.get_or_insert_with(|| self.options().recv_deadline());
            self.wait_to_recv(seen, deadline)?;
        }
    }

    /// A caller who does not wait still gets what the kernel has for him.
    fn recv_from_kernel(
        &self,
        seen: u32,
        check: &impl Fn(usize) -> Result<(), Error>,
    ) -> Result<Message, Error> {
        deferred::write_out();
        if self.pump_ready_streams(seen) { self.try_recv(check) } else { Err(Error::WouldBlock) }
    }

    fn try_send(&self, message: Message) -> Result<(), (Error, Message)> {
        let size = message.body.len() as u64;
        let mut aftermath = Aftermath::default();
        let result = {
            let mut guard = self.lock();
            let state = &mut *guard;
            if !self.is_usable() {
                return Err((Error::NotOpen, message));
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
        result.map_err(|Refused { message, why: Refusal::Busy }| (Error::WouldBlock, message))
    }

    fn try_recv(&self, check: &impl Fn(usize) -> Result<(), Error>) -> Result<Message, Error> {
        let mut aftermath = Aftermath::default();
        let (result, has_removed) = {
            let mut guard = self.lock();
            let state = &mut *guard;
            if !self.is_usable() {
                return Err(Error::NotOpen);
            }
            let mut view = View { table: &mut state.pipes, aftermath: &mut aftermath };
            let received = state.protocol.recv(&mut view).map_err(|Nothing::Yet| Error::WouldBlock);
            let result = received.and_then(|message| check(message.body.len()).map(|()| message));
            if let Ok(message) = &result {
                state.traffic.messages_received += 1;
                state.traffic.bytes_received += message.body.len() as u64;
            }
            let has_removed = remove_drained(state, &mut aftermath);
            self.show(state);
            (result, has_removed)
        };
        aftermath.settle();
        if has_removed {
            self.retry_endpoints();
        }
        result
    }
}

/// Ended pipes go when their last message has been taken.
fn remove_drained(state: &mut State, aftermath: &mut Aftermath) -> bool {
    let drained = std::mem::take(&mut aftermath.drained);
    for id in &drained {
        state.remove_pipe(*id);
    }
    !drained.is_empty()
}
