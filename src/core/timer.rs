//! A protocol's deadlines, which the reactor keeps when nobody waits for them in a call.
//!
//! What the reactor knows may be too early, never too late: a request every millisecond moves the
//! deadline of the last one away, and telling the reactor each time would cost more than the
//! request. When the time has come, the protocol is asked again.

use std::sync::{Arc, OnceLock, Weak};
use std::time::Instant;

use super::socket::{Socket, State};
use crate::io::{Handler, Key};
use crate::sys::Event;

/// How the reactor knows a socket, once the protocol has had a deadline.
#[derive(Debug, Default)]
pub struct Timer(OnceLock<Key>);

struct Passing {
    socket: Weak<Socket>,
}

impl Handler for Passing {
    fn ready(&self, _event: Event) {}

    fn broken(&self) {
        if let Some(socket) = self.socket.upgrade() {
            socket.poison();
        }
    }

    fn timeout(&self, _now: Instant) {
        if let Some(socket) = self.socket.upgrade() {
            // What is waited for may have arrived, with nobody to fetch it.
            socket.pump_ready_streams(socket.waiting.recv.epoch());
            socket.lock().armed = None;
            socket.pass_timeout();
        }
    }
}

impl State {
    /// Notes what the reactor should know. True when it has to be told.
    #[inline]
    pub fn note_timeout(&mut self) -> bool {
        let Some(next) = self.protocol.next_timeout() else { return false };
        let is_known = self.is_closing || self.armed.is_some_and(|armed| armed <= next);
        if !is_known {
            self.armed = Some(next);
        }
        !is_known
    }
}

impl Socket {
    /// Tells the reactor what was noted.
    #[cold]
    pub(super) fn arm_timer(&self) {
        let Ok(reactor) = self.reactor().get() else {
            // Whoever waits in a call looks at the time himself; the next call tries again.
            self.lock().armed = None;
            return;
        };
        let handler = || Arc::new(Passing { socket: self.me() }) as Arc<dyn Handler>;
        let key = *self.timer.0.get_or_init(|| reactor.add(|_| handler()));
        // Under the lock, so that the last one to note is the last one to tell.
        let state = self.lock();
        if let Some(at) = state.armed.filter(|_| !state.is_closing) {
            reactor.set_timer(key, Some(at));
        }
    }

    /// Time has passed for the protocol.
    pub(super) fn pass_timeout(&self) {
        self.tell(|protocol, view| protocol.timeout(view));
        self.waiting.ring_all();
    }

    /// The socket is closing.
    pub(super) fn forget_timer(&self) {
        if let (Some(key), Ok(reactor)) = (self.timer.0.get(), self.reactor().get()) {
            reactor.forget(*key);
        }
    }
}
