//! Devices: what one raw socket receives, another one sends.
//!
//! A message moves from socket to socket as it is, header, body and control data; nothing is
//! copied. The second direction of a two-way device needs a thread of its own, beside the caller's.

use std::thread;

use super::registry::RAW;
use super::socket::Socket;
use super::transfer::Blocking;
use crate::error::Error;
use crate::message::Message;
use crate::sys;

/// Two sockets that fit together, or one whose messages go back to where they came from.
pub struct Device<'a> {
    first: &'a Socket,
    second: &'a Socket,
    way: Way,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// From the first to the second.
    One,
    Both,
}

impl<'a> Device<'a> {
    /// A device that sends what `socket` receives on the same socket.
    ///
    /// # Errors
    /// `Invalid` when it is not raw.
    pub fn looping(socket: &'a Socket) -> Result<Device<'a>, Error> {
        require(is_raw(socket))?;
        Ok(Device::new(socket, socket, Way::One))
    }

    /// # Errors
    /// `Invalid` when they are not raw, not of one family, or when one of them can receive what the
    /// other one cannot send.
    pub fn between(first: &'a Socket, second: &'a Socket) -> Result<Device<'a>, Error> {
        let (one, other) = (first.socket_type(), second.socket_type());
        require(is_raw(first) && is_raw(second))?;
        // Socket types come in families of sixteen.
        require(one.number >> 4 == other.number >> 4)?;
        require(one.can_recv == other.can_send && one.can_send == other.can_recv)?;
        Ok(match (one.can_recv, other.can_recv) {
            (true, true) => Device::new(first, second, Way::Both),
            (true, false) => Device::new(first, second, Way::One),
            (false, _) => Device::new(second, first, Way::One),
        })
    }

    fn new(first: &'a Socket, second: &'a Socket, way: Way) -> Device<'a> {
        // Each direction touches one socket at a time, and has to hear of the end of the other.
        first.add_companion(second);
        second.add_companion(first);
        Device { first, second, way }
    }

    /// Passes messages on until that is no longer possible. Says why.
    pub fn run(&self) -> Error {
        match self.way {
            Way::One => self.forward(self.first, self.second),
            Way::Both => self.run_both_ways(),
        }
    }

    fn run_both_ways(&self) -> Error {
        thread::scope(|scope| {
            let back = || self.forward_undisturbed(self.second, self.first);
            let builder = thread::Builder::new().name("spmsg-device".into());
            let started = sys::with_signals_blocked(|| builder.spawn_scoped(scope, back));
            match started {
                Ok(_) => self.forward_undisturbed(self.first, self.second),
                Err(error) => error.into(),
            }
        })
    }

    /// Signals concern neither direction.
    fn forward_undisturbed(&self, from: &Socket, to: &Socket) -> Error {
        loop {
            match self.forward(from, to) {
                Error::Interrupted => {}
                error => return error,
            }
        }
    }

    fn forward(&self, from: &Socket, to: &Socket) -> Error {
        let mut message = Message::default();
        loop {
            if let Err(error) = self.step(from, to, &mut message) {
                return error;
            }
        }
    }

    fn step(&self, from: &Socket, to: &Socket, message: &mut Message) -> Result<(), Error> {
        from.check_can_recv()?;
        from.recv(message, Blocking::Beside(to), |_| Ok(()))?;
        to.check_can_send()?;
        loop {
            match to.send(message, Blocking::Beside(from)) {
                // The message must not be lost to a signal that concerns nobody here.
                Err(Error::Interrupted) if self.way == Way::Both => {}
                result => return result,
            }
        }
    }
}

impl Drop for Device<'_> {
    fn drop(&mut self) {
        self.first.remove_companion(self.second);
        self.second.remove_companion(self.first);
    }
}

fn is_raw(socket: &Socket) -> bool {
    socket.context.domain == RAW
}

fn require(condition: bool) -> Result<(), Error> {
    if condition { Ok(()) } else { Err(Error::Invalid) }
}
