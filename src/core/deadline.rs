//! A protocol's deadlines, which the reactor keeps when nobody waits for them in a call.
//!
//! What the reactor knows may be too early, never too late: a request every millisecond moves the
//! deadline of the last one away, and telling the reactor each time would cost more than the
//! request. When the time has come, the protocol is asked again.

use std::sync::{Arc, Weak};
use std::time::Instant;

use super::socket::Socket;
use crate::io::Handler;
use crate::sys::Event;

struct Passing {
    socket: Weak<Socket>,
}

impl Handler for Passing {
    fn ready(&self, _event: Event) {}

    fn broken(&self) {
        if let Some(socket) = self.socket.upgrade() {
            socket.take_out_of_service();
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

impl Socket {
    /// Tells the reactor what was noted.
    #[cold]
    pub(super) fn arm_timer(&self) {
        if self.life.is_closing() {
            return;
        }
        let Ok(reactor) = self.context.reactor.get() else {
            // Whoever waits in a call looks at the time himself; the next call tries again.
            self.lock().armed = None;
            return;
        };
        // Under the lock, so that the last one to note is the last one to tell, and that none
        // tells when the timer has been forgotten.
        let mut state = self.lock();
        if let Some(at) = state.armed.filter(|_| !self.life.is_closing()) {
            let handler = || Arc::new(Passing { socket: self.me.clone() }) as Arc<dyn Handler>;
            if self.timer.set(reactor, at, handler).is_err() {
                // As above.
                state.armed = None;
            }
        }
    }

    /// Time has passed for the protocol.
    pub(super) fn pass_timeout(&self) {
        self.tell(|protocol, view| protocol.timeout(view));
        self.waiting.ring_all();
    }
}
