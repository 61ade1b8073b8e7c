//! What a call that blocks sleeps on, and how that ends.

use super::{Epoll, EventBuffer, PollEntry};
use crate::sync::atomic::AtomicU32;

/// What to sleep on.
pub enum Nap<'a> {
    /// Until somebody wakes those who sleep on the number, while it is this one.
    Word(&'a AtomicU32, u32),
    /// Until the set has something to report.
    Events(&'a Epoll, &'a mut EventBuffer),
    /// Until one of the descriptors is ready.
    Ready(&'a mut [PollEntry]),
}

/// How a sleep has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slept {
    /// By news, or for no reason at all.
    Woken,
    TimedOut,
    Interrupted,
    /// The kernel would not have it.
    Failed,
}
