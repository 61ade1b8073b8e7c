//! What sending and receiving on a connection come to, and what they leave to be done.

/// What became of an accepted message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    pub can_send_more: bool,
    pub then: AfterSend,
}

/// What the sender owes the connection when it has left the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterSend {
    Nothing,
    /// Call [`Connection::deliver`](super::Connection::deliver) at once.
    Deliver,
    /// The same, and call [`Stream::write_out`](super::Stream::write_out) before blocking: it may
    /// wait in the kernel for what seems to follow.
    DeliverAhead,
    /// As for `Deliver`, and write at once whatever else this thread has left to be written later.
    DeliverAll,
    /// Call [`Connection::deliver_lent`](super::Connection::deliver_lent) at once: the body is its
    /// sender's.
    DeliverLent,
    /// Call [`Stream::write_later`](super::Stream::write_later) at once, and
    /// [`Stream::write_out`](super::Stream::write_out) before blocking.
    WriteLater,
    /// Nothing; others have been thrown away for it, and
    /// [`Connection::take_displaced`](super::Connection::take_displaced) tells how many.
    Displaced,
}

impl AfterSend {
    /// Whether [`Connection::deliver`](super::Connection::deliver) is to be called.
    #[must_use]
    pub fn is_delivery(self) -> bool {
        matches!(self, AfterSend::Deliver | AfterSend::DeliverAhead | AfterSend::DeliverAll)
    }
}

/// What [`Connection::recv`](super::Connection::recv) gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    pub has_message: bool,
    pub next: Next,
    pub then: AfterRecv,
}

/// What is known of the message behind the one that was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    There,
    Missing,
    /// Who has to know asks [`Connection::is_readable`](super::Connection::is_readable).
    Unknown,
}

/// What the receiver owes the connection when it has left the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterRecv {
    Nothing,
    /// Call [`Connection::resume`](super::Connection::resume) at once.
    Resume,
}
