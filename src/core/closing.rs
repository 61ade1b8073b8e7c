//! The end of a socket.

use std::sync::Arc;
use std::time::Duration;

use super::life::Change;
use super::linger::Lingering;
use super::socket::Socket;
use super::state::EndpointEntry;
use crate::transports::{Connection, Stream};

impl Socket {
    /// Begins to end everything. Threads that are blocked in calls leave them. Later calls find a
    /// socket that is closing. The one caller whose close it is gets what has to be ended yet.
    pub(super) fn close(&self) -> Option<Vec<Lingering>> {
        let endpoints = {
            let mut state = self.lock();
            if self.life.begin_closing() == Change::Late {
                return None;
            }
            state.endpoints.take_all()
        };
        self.shown.show_closed();
        self.context.events.show_closed();
        self.wake_everybody();
        self.timer.forget(&self.context.reactor);
        endpoints.iter().for_each(EndpointEntry::close);
        let connections = self.detach_all(|_| true);
        Some(self.lingering(connections))
    }

    /// All connections, for the end of the process: but those that a thread may have locked that
    /// will never run again.
    pub(super) fn connections_within_reach(&self) -> Vec<Lingering> {
        let Some(state) = self.try_lock_for(PATIENCE) else { return Vec::new() };
        let mut connections = state.pipes.connections();
        drop(state);
        let is_within_reach = |stream: &dyn Stream| stream.is_within_reach(PATIENCE);
        connections.retain(|connection| connection.stream().is_some_and(is_within_reach));
        self.lingering(connections)
    }

    pub(super) fn lingering(&self, connections: Vec<Arc<dyn Connection>>) -> Vec<Lingering> {
        let deadline = self.options().linger_deadline();
        let lingering = |connection| Lingering { connection, deadline };
        connections.into_iter().map(lingering).collect()
    }
}

/// How long a lock may be held by somebody who runs.
const PATIENCE: Duration = Duration::from_millis(20);
