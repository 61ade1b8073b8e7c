//! What a call that blocks sleeps on, and how that ends.

use super::signals::Silence;
use super::{Epoll, EventBuffer, PollEntry};
use crate::sync::{
    atomic::{AtomicU32, Ordering},
    yield_now,
};

/// What to sleep on.
pub enum Nap<'a> {
    /// Until somebody wakes those who sleep on the number, while it is this one.
    Word(&'a AtomicU32, u32),
    /// Until the set has something to report.
    Events(&'a Epoll, &'a mut EventBuffer),
    /// Until one of the descriptors is ready.
    Ready(&'a mut [PollEntry]),
    /// Nothing: others run on this processor who would like to. With a number they do so several
    /// times, while it is this one.
    GiveWay(Option<(&'a AtomicU32, u32)>),
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

/// Lets others run who would like to. Signals are held off meanwhile: their handlers run at the
/// end, of which the caller learns unless there is news, and need not come back: there is nothing
/// to drop.
pub(super) fn give_way(look: impl Fn() -> Look) -> Slept {
    let silence = Silence::begin();
    let has_news = (0..TURNS).find_map(|_| {
        yield_now();
        match look() {
            Look::News => Some(true),
            Look::Nothing => None,
            Look::Unknown => Some(false),
        }
    });
    let is_interrupted = has_news != Some(true) && silence.is_disturbed();
    silence.end();
    if is_interrupted { Slept::Interrupted } else { Slept::Woken }
}

/// What one sees who gives way.
pub(super) enum Look {
    News,
    Nothing,
    /// He has to go and look elsewhere.
    Unknown,
}

impl Look {
    pub fn at(number: Option<(&AtomicU32, u32)>) -> Look {
        match number {
            None => Look::Unknown,
            Some((word, expected)) if word.load(Ordering::Relaxed) == expected => Look::Nothing,
            Some(_) => Look::News,
        }
    }
}

/// How often the others have their turn.
const TURNS: u32 = 2;
