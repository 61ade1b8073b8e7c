//! The wire format that tcp and ipc share: eight bytes of greeting, then messages with their
//! length in front. Pure.

pub mod frame;
mod greeter;
mod handshake;

/// A peer broke the rules of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// What it sent is not the greeting of a peer that we talk to.
    Greeting,
    /// A message of a kind that does not exist.
    Kind,
    /// A message larger than allowed, or than memory.
    TooLarge,
}
