//! Counters of one socket. Messages and bytes are counted under the socket's lock, the rest here.

use std::sync::atomic::{AtomicI64, Ordering};

use super::socket::Socket;
use crate::error::Error;
use crate::transports::Report;

/// What endpoints have seen. Levels go up and down, the others only up.
#[derive(Debug, Default)]
pub struct Statistics {
    established: AtomicI64,
    accepted: AtomicI64,
    dropped: AtomicI64,
    broken: AtomicI64,
    connect_errors: AtomicI64,
    accept_errors: AtomicI64,
    in_progress: AtomicI64,
    endpoint_errors: AtomicI64,
}

/// What a socket counts under its lock.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traffic {
    pub messages_sent: u64,
    pub messages_received: u64,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    pub connections: u64,
}

impl Statistics {
    pub fn count(&self, report: Report) {
        let add = |counter: &AtomicI64, change| {
            counter.fetch_add(change, Ordering::Relaxed);
        };
        match report {
            Report::Connecting => add(&self.in_progress, 1),
            Report::Established => {
                add(&self.in_progress, -1);
                add(&self.established, 1);
            }
            Report::ConnectFailed(why) => {
                add(&self.in_progress, -1);
                if why.is_some() {
                    add(&self.connect_errors, 1);
                }
            }
            Report::ConnectAbandoned => add(&self.in_progress, -1),
            Report::Accepted => add(&self.accepted, 1),
            Report::AcceptFailed(_) => add(&self.accept_errors, 1),
            Report::Broken => add(&self.broken, 1),
            Report::Dropped => add(&self.dropped, 1),
        }
    }

    /// The number of endpoints whose last attempt failed has changed.
    pub fn endpoint_error(&self, change: i64) {
        self.endpoint_errors.fetch_add(change, Ordering::Relaxed);
    }
}

impl Socket {
    /// # Errors
    /// `Invalid` when there is no such statistic.
    pub fn statistic(&self, id: i32) -> Result<u64, Error> {
        let level = |counter: &AtomicI64| counter.load(Ordering::Relaxed) as u64;
        let seen = self.statistics();
        let traffic = self.traffic();
        Ok(match id {
            101 => level(&seen.established),
            102 => level(&seen.accepted),
            103 => level(&seen.dropped),
            104 => level(&seen.broken),
            105 => level(&seen.connect_errors),
            // A bind that fails is the caller's to count: it is told.
            106 => 0,
            107 => level(&seen.accept_errors),
            201 => traffic.connections,
            202 => level(&seen.in_progress),
            203 => level(&seen.endpoint_errors),
            301 => traffic.messages_sent,
            302 => traffic.messages_received,
            303 => traffic.bytes_sent,
            304 => traffic.bytes_received,
            // Priorities belong to socket types that balance load.
            401 => 0,
            _ => return Err(Error::Invalid),
        })
    }
}
