//! What becomes of a socket's connections, kept for a program that wants to know.
//!
//! Nothing is kept until somebody asks. The lock here is taken under all others, and nothing is
//! done under it that could wait.

use std::collections::VecDeque;
use std::os::fd::{AsRawFd, RawFd};

use crate::error::Error;
use crate::memory::{self, Attempt};
use crate::protocols::PipeId;
use crate::sync::{
    Mutex, Rank,
    atomic::{AtomicBool, Ordering},
};
use crate::sys::EventFd;
use crate::transports::Fault;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// A connection has become a pipe.
    Connected,
    /// It is one no longer, because of the peer.
    Disconnected,
    /// It is one no longer, because we wanted that.
    Ended,
    ConnectFailed,
    AcceptFailed,
    /// A stream was there, but its peer did not speak as it should.
    HandshakeFailed,
    /// The peer did, but the socket does not want another.
    Rejected,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketEvent {
    pub kind: EventKind,
    pub endpoint: i32,
    /// What the peer is or was to the socket, where it was let in.
    pub pipe: Option<PipeId>,
    pub fault: Option<Fault>,
    /// The address of the peer; empty where there is no peer yet.
    pub peer: Vec<u8>,
    /// Whom its certificate is for, as lines of text; empty where it has shown none.
    pub certificate: Vec<u8>,
    /// How many events between the one before and this one were thrown away.
    pub missed: u32,
}

/// The events of one socket.
#[derive(Debug)]
pub struct Events {
    is_recording: AtomicBool,
    /// The descriptor stays readable. Changes under the lock.
    is_closed: AtomicBool,
    /// Made when somebody first asks.
    log: Mutex<Option<Box<Log>>>,
}

#[derive(Debug)]
struct Log {
    descriptor: EventFd,
    waiting: VecDeque<SocketEvent>,
    missed: u32,
}

impl Default for Events {
    fn default() -> Events {
        Events {
            is_recording: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            log: Mutex::new(Rank::Events, None),
        }
    }
}

impl Events {
    /// Keeps what `event` makes, if anybody wants to know.
    pub fn record(&self, event: impl FnOnce() -> SocketEvent) {
        if self.is_recording.load(Ordering::Relaxed) {
            // Not under the lock: it asks the connection what went wrong.
            let attempt = Attempt::watch();
            let event = event();
            let mut log = self.log.lock();
            let Some(log) = &mut *log else { return };
            if attempt.check().is_ok() && memory::reserve(&mut log.waiting, 1).is_ok() {
                log.push(event);
            } else {
                log.missed = log.missed.saturating_add(1);
            }
        }
    }

    /// A descriptor that is readable while events wait. They are kept from the first call on.
    ///
    /// # Errors
    /// `TooManySockets` when no descriptor can be had.
    pub fn descriptor(&self) -> Result<RawFd, Error> {
        let mut log = self.log.lock();
        if let Some(log) = &*log {
            return Ok(log.descriptor.as_raw_fd());
        }
        let attempt = Attempt::begin()?;
        let descriptor = EventFd::new().map_err(|_| Error::TooManySockets)?;
        let fresh = Box::new(Log { descriptor, waiting: VecDeque::new(), missed: 0 });
        attempt.check()?;
        let is_closed = self.is_closed.load(Ordering::Relaxed);
        if is_closed {
            fresh.descriptor.signal();
        }
        self.is_recording.store(!is_closed, Ordering::Relaxed);
        Ok(log.insert(fresh).descriptor.as_raw_fd())
    }

    /// The oldest event that was kept.
    ///
    /// # Errors
    /// `WouldBlock` when there is none.
    pub fn next(&self) -> Result<SocketEvent, Error> {
        let mut log = self.log.lock();
        let next = log.as_mut().and_then(|log| log.pop(self.is_closed.load(Ordering::Relaxed)));
        next.ok_or(Error::WouldBlock)
    }

    /// Makes the descriptor readable for good, so that whoever polls it finds out that the socket
    /// is gone.
    pub fn show_closed(&self) {
        let log = self.log.lock();
        self.is_recording.store(false, Ordering::Relaxed);
        self.is_closed.store(true, Ordering::Relaxed);
        if let Some(log) = &*log {
            log.descriptor.signal();
        }
    }
}

impl Log {
    fn push(&mut self, event: SocketEvent) {
        if self.waiting.len() == WAITING_MAX {
            self.waiting.pop_front();
            self.missed = self.missed.saturating_add(1);
        }
        if self.waiting.is_empty() {
            self.descriptor.signal();
        }
        self.waiting.push_back(event);
    }

    fn pop(&mut self, is_closed: bool) -> Option<SocketEvent> {
        let event = self.waiting.pop_front()?;
        if self.waiting.is_empty() && !is_closed {
            self.descriptor.drain();
        }
        Some(SocketEvent { missed: std::mem::take(&mut self.missed), ..event })
    }
}

/// Who does not look for so long learns that he missed something.
const WAITING_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{self, WaitFor};
    use std::time::Duration;

    fn event(endpoint: i32) -> SocketEvent {
        let peer = b"inproc://x".to_vec();
        SocketEvent {
            kind: EventKind::Connected,
            endpoint,
            pipe: None,
            fault: None,
            peer,
            certificate: Vec::new(),
            missed: 0,
        }
    }

    #[test]
    fn nothing_is_kept_before_somebody_asks() {
        let events = Events::default();
        events.record(|| panic!("nobody has asked"));
        events.descriptor().unwrap();
        events.record(|| event(1));
        assert_eq!(events.next(), Ok(event(1)));
        assert_eq!(events.next(), Err(Error::WouldBlock));
    }

    #[test]
    fn the_end_is_shown_also_to_who_asks_behind_it() {
        let is_readable = |descriptor| {
            let wait = std::iter::once((descriptor, WaitFor::Readable));
            !sys::poll(wait, Some(Duration::ZERO)).unwrap().is_empty()
        };
        for is_early in [true, false] {
            let events = Events::default();
            if is_early {
                assert!(!is_readable(events.descriptor().unwrap()));
                events.record(|| event(1));
            }
            events.show_closed();
            let descriptor = events.descriptor().unwrap();
            assert!(is_readable(descriptor));
            events.record(|| panic!("nobody will hear of it"));
            assert_eq!(events.next().is_ok(), is_early);
            assert!(is_readable(descriptor), "for good");
        }
    }

    #[test]
    fn without_memory_nothing_is_kept() {
        let events = Events::default();
        let descriptor = memory::without_memory(|| events.descriptor());
        assert_eq!(descriptor, Err(Error::OutOfMemory));
        events.record(|| panic!("nobody has asked"));
        assert!(events.descriptor().is_ok());
    }

    #[test]
    fn the_oldest_go_and_the_next_one_tells_how_many() {
        let descriptor = EventFd::new().unwrap();
        let mut log = Log { descriptor, waiting: VecDeque::new(), missed: 0 };
        let all = WAITING_MAX as i32 + 3;
        (0..all).for_each(|number| log.push(event(number)));
        assert_eq!(log.pop(false), Some(SocketEvent { missed: 3, ..event(3) }));
        assert_eq!(log.pop(false), Some(event(4)));
        log.push(event(all));
        log.push(event(all + 1));
        assert_eq!(log.pop(false), Some(event(5)));
        log.push(event(all + 2));
        log.push(event(all + 3));
        assert_eq!(log.pop(false), Some(SocketEvent { missed: 1, ..event(7) }));
        assert_eq!(log.waiting.len(), WAITING_MAX - 1);
    }
}
