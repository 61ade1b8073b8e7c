//! What a call sleeps on that has to wait.

use std::sync::Arc;
use std::time::Instant;

use super::lookout::Lookout;
use super::readiness::Side;
use crate::sys::PollEntry;

/// What to sleep on.
pub(super) enum Bed {
    Epoch {
        side: Side,
        seen: u32,
    },
    /// What happens is reported in the turn's buffer.
    Poller {
        seen: u32,
    },
    Descriptors {
        entries: Vec<PollEntry>,
        seen: u32,
    },
    /// As with a poller.
    Lookout {
        from: Arc<Lookout>,
    },
    /// Nothing, for as long as others have their turn.
    Aside(Aside),
}

impl Bed {
    /// The epoch that was read before, if one was.
    pub fn seen(&self) -> Option<u32> {
        match self {
            Bed::Epoch { seen, .. } | Bed::Poller { seen } | Bed::Descriptors { seen, .. } => {
                Some(*seen)
            }
            Bed::Lookout { .. } | Bed::Aside(_) => None,
        }
    }
}

/// One who gives way.
#[derive(Clone, Copy)]
pub(super) struct Aside {
    pub since: Instant,
    /// He does so again so often, if there is no news.
    pub more: u32,
    /// The epoch before, where that is all that he looks at.
    pub seen: Option<u32>,
}
