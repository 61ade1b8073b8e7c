//! The end of a socket.

use std::sync::Arc;
use std::time::Duration;

use super::attachment::Whose;
use super::life::Change;
use super::linger::{Lingering, Manner, PATIENCE, Shown};
use super::pipe::Pipe;
use super::socket::Socket;
use super::state::EndpointEntry;
use crate::sys;
use crate::trace::Happening;

impl Socket {
    /// Begins to end everything. Threads that are blocked in calls leave them. Later calls find a
    /// socket that is closing. The one caller whose close it is gets what has to be ended yet.
    pub(super) fn close(&self) -> Option<Vec<Shown>> {
        let endpoints = {
            let mut state = self.lock();
            if self.life.begin_closing() == Change::Late {
                return None;
            }
            state.endpoints.take_all()
        };
        self.context.trace(Happening::Closing, format_args!("endpoints={}", endpoints.len()));
        self.shown.show_closed();
        self.context.events.show_closed();
        self.wake_everybody();
        self.timer.forget(&self.context.reactor);
        endpoints.iter().for_each(EndpointEntry::close);
        Some(self.detach(Whose::Everybody))
    }

    /// All connections, for the end of the process: but those that a thread may have locked that
    /// will never run again.
    pub(super) fn connections_within_reach(&self) -> Vec<Lingering> {
        let Some(state) = self.try_lock_for(PATIENCE) else { return Vec::new() };
        let mut all = self.lingering(state.pipes.iter());
        drop(state);
        all.retain(Lingering::is_within_reach);
        all
    }

    pub(super) fn lingering<'a>(&self, pipes: impl Iterator<Item = &'a Pipe>) -> Vec<Lingering> {
        let (deadline, manner) = match self.options().linger_deadline() {
            Some(deadline) => (deadline, Manner::InCall),
            None => (sys::now() + IN_BACKGROUND, Manner::InBackground),
        };
        let lingering = |pipe: &Pipe| Lingering {
            endpoint: Arc::clone(&pipe.endpoint),
            connection: Arc::clone(&pipe.connection),
            deadline,
            manner,
        };
        pipes.map(lingering).collect()
    }
}

/// How long peers have to read what a socket has left that did not wait for them: as long as they
/// have when nothing is set.
const IN_BACKGROUND: Duration = Duration::from_secs(1);
