//! What transports over streams differ in, beside their addresses. Pure: no I/O, no clock.

use std::time::Duration;

use crate::transports::Host;
use crate::transports::sp::frame::Framing;

/// How the connections of one endpoint begin.
pub trait Wire: Send + Sync {
    /// Begins the conversation on a fresh stream.
    fn greeter(&self, host: &dyn Host) -> Box<dyn Greeter>;
}

/// Our side of the first conversation on a stream.
pub trait Greeter: Send {
    /// How long the peer may take.
    fn limit(&self) -> Duration;

    /// What to write at once. Whether the socket would take the connection in is known by then.
    fn open(&mut self, welcome: Welcome) -> Vec<u8>;

    /// How many bytes to read next, at most. What comes behind the greeting may be left.
    fn wanted(&self) -> usize;

    /// Takes bytes that have arrived.
    fn absorb(&mut self, bytes: &[u8]) -> Heard;

    /// Whether the peer takes itself for connected, by what it has been told.
    fn is_committed(&self) -> bool;

    /// What to write before the first message, now that the peer's greeting is complete.
    fn accept(&mut self) -> Vec<u8>;

    /// How messages lie on the stream from then on.
    fn format(&self) -> Format;
}

/// Whether the socket would take a connection in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Welcome {
    Wanted,
    Unwanted,
}

/// What the peer has said so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Not enough yet.
    More,
    /// The whole greeting of a peer that we talk to.
    Complete,
    /// Something else.
    Refused,
}

/// How messages lie on a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Sp(Framing),
}
