//! What transports over streams differ in, beside their addresses. Pure: no I/O, no clock.

use std::sync::Arc;
use std::time::Duration;

use super::attended::Wishes;
use super::byte_stream::ByteStream;
use super::codec::Codec;
use crate::error::Error;
use crate::sys::OsStream;
use crate::transports::{Host, Renewal, Report};

/// How the connections of one endpoint begin.
pub trait Wire: Send + Sync {
    /// Begins the conversation on a fresh stream.
    fn greeter(&self, host: &dyn Host) -> Box<dyn Greeter>;

    /// Puts on the stream what lies between it and the conversation.
    ///
    /// # Errors
    /// When memory for that cannot be had: then the stream comes back, which may be watched, and
    /// whose descriptor must not be another's before that ends.
    fn cover(&self, stream: OsStream) -> Result<Arc<dyn ByteStream>, OsStream> {
        Ok(Arc::new(stream))
    }

    /// How many conversations may be in their beginnings at once where somebody listens.
    fn beginnings_max(&self, _host: &dyn Host) -> usize {
        usize::MAX
    }

    /// Makes anew what the next streams are covered with, once the result is called.
    ///
    /// # Errors
    /// When it cannot be had.
    fn renew(&self, _host: &dyn Host) -> Result<Renewal<'_>, Error> {
        Ok(Box::new(|| ()))
    }
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

    /// What a peer that was refused has said to be.
    fn claim(&self) -> Claim {
        Claim::Nothing
    }

    /// Whether the peer takes itself for connected, by what it has been told.
    fn is_committed(&self) -> bool;

    /// What to write before the first message, now that the peer's greeting is complete.
    fn accept(&mut self) -> Vec<u8>;

    /// What to do about a peer that has greeted well and is not wanted now.
    fn decline(&mut self) -> Decline;

    /// What has arrived behind the greeting.
    fn take_rest(&mut self) -> Vec<u8>;

    /// How messages lie on the stream from then on.
    fn codec(&self) -> Codec;

    /// What is wanted of the stream besides, from then on.
    fn wishes(&mut self) -> Wishes {
        Wishes::default()
    }

    /// What a greeting that leads to nothing counts as.
    fn failure(&self) -> Option<Report>;
}

/// Whether the socket would take a connection in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Welcome {
    Wanted,
    Unwanted,
}

/// What the peer has said so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Not enough yet.
    More,
    /// The whole greeting of a peer that we talk to.
    Complete,
    /// Something else. This is the answer, where one is given.
    Refused(Vec<u8>),
}

/// What can be told of who does not speak as a peer should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// That it speaks otherwise.
    Nothing,
    /// That it does speak so, for a socket of another type: by its number on the wire, or its name.
    TypeNumber(u16),
    TypeName(String),
    /// The same, by the name of the type that fits its own.
    Seeks(String),
    /// The status with which a server has refused us.
    Status(u16),
}

/// How to treat a peer that is not wanted now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decline {
    AtOnce,
    /// Once the time limit is reached, with this answer; until then the socket may change its mind.
    AtLimit(Vec<u8>),
}
