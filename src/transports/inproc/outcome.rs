//! What pushing a message into a queue has come to, and popping one.

use crate::transports::AfterSend;

/// What became of a message that was taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pushed {
    pub can_push_more: bool,
    /// If the consumer found nothing before, it has to be told.
    pub then: AfterSend,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Popped {
    pub has_message: bool,
    /// There is another one. Else there may be, if somebody looks.
    pub has_more: bool,
    /// The producer could not push before; it has to be told.
    pub tell_producer: bool,
}

pub const DISPLACED: Pushed = Pushed { can_push_more: true, then: AfterSend::Displaced };
pub const NOTHING: Popped = Popped { has_message: false, has_more: false, tell_producer: false };
