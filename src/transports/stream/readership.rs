//! Who reads what arrives on a stream: those who wait for it, or the reactor. Pure.

use std::time::Duration;

use super::arrival::{Handback, Passage};
use crate::transports::ReadBy;

/// Who reads, and what the kernel has been asked to report for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readership {
    /// Callers do. The reactor looks from time to time whether any has.
    Callers { since_look: Seen },
    /// The reactor does, until a caller comes.
    Reactor { asked: Asked },
    /// The reactor does, even while callers read, too.
    Everybody { asked: Asked },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    Nobody,
    Somebody,
    /// None has read there yet, but one waited when it began.
    Never,
}

/// What a caller does who has read before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    Waits,
    IsElsewhere,
}

/// Whether the kernel will report bytes that arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    No,
    Yes,
}

impl Readership {
    /// A caller reads.
    pub fn note_caller(&mut self) -> Passage {
        let passage = match self {
            Readership::Everybody { .. } => return Passage::None,
            Readership::Reactor { .. } => Passage::ToCallers { look_after: CALLERS_READ },
            Readership::Callers { .. } => Passage::None,
        };
        *self = Readership::Callers { since_look: Seen::Somebody };
        passage
    }

    /// A caller waits for what comes on a stream that is new to him.
    pub fn note_waiting(&mut self) -> Passage {
        match self.note_caller() {
            Passage::None => Passage::None,
            Passage::ToCallers { .. } => {
                *self = Readership::Callers { since_look: Seen::Never };
                Passage::ToCallers { look_after: CALLER_WAITS }
            }
        }
    }

    pub fn look(&mut self, caller: Caller) -> Handback {
        match self {
            // Nobody knows whether anything will ever come: it is the reactor's, who costs nothing.
            Readership::Callers { since_look: Seen::Never } => {
                *self = Readership::Reactor { asked: Asked::No };
                Handback::Done
            }
            Readership::Callers { .. } if caller == Caller::Waits => Handback::NotYet(CALLER_WAITS),
            Readership::Callers { since_look: since_look @ Seen::Somebody } => {
                *since_look = Seen::Nobody;
                Handback::NotYet(CALLERS_READ)
            }
            Readership::Callers { since_look: Seen::Nobody } => {
                *self = Readership::Reactor { asked: Asked::No };
                Handback::Done
            }
            Readership::Reactor { .. } | Readership::Everybody { .. } => Handback::Done,
        }
    }

    /// The same for whoever wants to know.
    pub fn told(self) -> ReadBy {
        match self {
            Readership::Callers { .. } => ReadBy::Callers,
            Readership::Reactor { .. } => ReadBy::Reactor,
            Readership::Everybody { .. } => ReadBy::Everybody,
        }
    }

    pub fn is_reactor_reading(self) -> bool {
        !matches!(self, Readership::Callers { .. })
    }

    pub fn is_unasked(self) -> bool {
        let asked = Asked::No;
        self == Readership::Reactor { asked } || self == Readership::Everybody { asked }
    }

    pub fn note_asked(&mut self, now: Asked) {
        match self {
            Readership::Callers { .. } => {}
            Readership::Reactor { asked } | Readership::Everybody { asked } => *asked = now,
        }
    }
}

/// How long after a caller has read the reactor begins to do it.
pub const CALLERS_READ: Duration = Duration::from_millis(50);
/// When to look again at a stream that somebody waits for.
pub const CALLER_WAITS: Duration = Duration::from_secs(1);

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// One for which somebody waits, but on which nothing ever comes, costs no look a second.
    #[test]
    fn what_nobody_has_read_is_the_reactors_from_the_first_look_on() {
        let fresh = || {
            let mut readership = Readership::Reactor { asked: Asked::Yes };
            let look_after = CALLER_WAITS;
            assert_eq!(readership.note_waiting(), Passage::ToCallers { look_after });
            readership
        };
        let mut silent = fresh();
        assert_eq!(silent.look(Caller::Waits), Handback::Done);
        assert!(silent.is_reactor_reading());
        let mut busy = fresh();
        assert_eq!(busy.note_caller(), Passage::None);
        assert_eq!(busy.look(Caller::Waits), Handback::NotYet(CALLER_WAITS));
        assert!(!busy.is_reactor_reading());
    }
}
