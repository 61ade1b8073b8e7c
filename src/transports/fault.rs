//! What goes wrong with connections.

use crate::error::Error;

/// What went wrong with a connection, or with an attempt to make one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// What the kernel said.
    System(Error),
    /// The peer broke the rules of the wire.
    Violation,
    /// The peer's socket is of that type, as far as it tells, and none but the other would do.
    WrongType { found: Option<u16>, wanted: u16 },
    /// The peer's message has that size, if it is known, and more than memory can be had for, or
    /// than the limit, if there is one.
    TooLarge { size: u64, limit: Option<u64> },
    /// The peer says that of a message of ours.
    TooLargeForPeer,
    /// The peer is a server that has answered with that status of HTTP.
    Denied(u16),
    /// The peer took too long to greet.
    TimedOut,
    /// The peer gave no sign of life when it was asked for one.
    Silent,
    /// The peer is nobody who may come: as that user, where only the other may, or from where it
    /// does.
    Stranger { users: Option<(u32, u32)> },
    /// A name has no address that may be used.
    NoAddress,
    /// What goes wrong with what encrypts.
    Tls(TlsFault),
}

/// That as it is numbered by the machine that encrypts; 0 is nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlsFault(pub u32);

impl Fault {
    /// Whether the peer did, behind its greeting, what it must not.
    #[must_use]
    pub fn is_breach(self) -> bool {
        matches!(self, Fault::Violation | Fault::TooLarge { .. })
    }
}
