//! How much may wait in one direction of a connection, and what becomes of more.

use crate::message::Limit;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub limit: Limit,
    pub when_full: WhenFull,
}

/// What becomes of a message for which there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// It is left with its sender.
    Refuse,
    /// It is taken, and the oldest that wait are thrown away for it.
    DropOldest,
}

impl Bounds {
    /// Any number of them where messages are counted.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self.limit {
            Limit::Bytes(most) => most,
            Limit::Messages(_) => usize::MAX,
        }
    }
}

impl From<usize> for Bounds {
    fn from(bytes: usize) -> Bounds {
        Bounds { limit: bytes.into(), when_full: WhenFull::Refuse }
    }
}

/// How much is to be free before one that sleeps until it can send is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoomWanted {
    /// He fills it while the other one takes what is left.
    Half,
    /// Where both run by turns on one processor, the less often they change the better.
    All,
}
