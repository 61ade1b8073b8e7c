//! How much may wait in one place.

use std::num::NonZeroUsize;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    Bytes(usize),
    /// However large they are.
    Messages(NonZeroUsize),
}

impl Limit {
    /// So many messages, or so many bytes where that number is 0.
    #[must_use]
    pub fn of(messages: usize, bytes: usize) -> Limit {
        NonZeroUsize::new(messages).map_or(Limit::Bytes(bytes), Limit::Messages)
    }
}

impl From<usize> for Limit {
    fn from(bytes: usize) -> Limit {
        Limit::Bytes(bytes)
    }
}
