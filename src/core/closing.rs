//! The end of a socket.

use std::sync::Arc;

use super::life::Change;
use super::linger::Lingering;
use super::socket::Socket;
use super::state::EndpointEntry;
use crate::transports::Connection;

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

    /// All connections, for the end of the process.
    pub(super) fn connections(&self) -> Vec<Lingering> {
        let connections = self.lock().pipes.connections();
        self.lingering(connections)
    }

    pub(super) fn lingering(&self, connections: Vec<Arc<dyn Connection>>) -> Vec<Lingering> {
        let deadline = self.options().linger_deadline();
        let lingering = |connection| Lingering { connection, deadline };
        connections.into_iter().map(lingering).collect()
    }
}
