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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

    use super::*;
    use crate::core::fixtures::{FakeConnection, Opened, PAIR, fresh_name};
    use crate::protocols::{PipeId, Pipes, Priorities, Protocol, Readiness, Rejected};

    static HAS_LOOKED: AtomicBool = AtomicBool::new(false);
    /// How often time has passed for the machine, and nobody had looked before.
    static OVERSIGHTS: AtomicUsize = AtomicUsize::new(0);
    static TIMES: AtomicUsize = AtomicUsize::new(0);

    /// A machine that would ask again if there were no answer.
    struct Asker;

    impl Protocol for Asker {
        fn add_pipe(&mut self, _pipe: PipeId, _priorities: Priorities) -> Result<(), Rejected> {
            Ok(())
        }

        fn pipe_ended(&mut self, _pipe: PipeId, _pipes: &mut dyn Pipes) {}
        fn remove_pipe(&mut self, _pipe: PipeId) {}

        fn readiness(&self, _pipes: &dyn Pipes) -> Readiness {
            Readiness::default()
        }

        fn timeout(&mut self, _pipes: &mut dyn Pipes) {
            OVERSIGHTS.fetch_add(usize::from(!HAS_LOOKED.swap(false, Relaxed)), Relaxed);
            TIMES.fetch_add(1, Relaxed);
        }
    }

    #[test]
    fn what_the_kernel_has_is_read_before_time_passes() {
        let socket = Opened::cooked(PAIR);
        let endpoint = socket.bind(&fresh_name());
        let connection = FakeConnection::read_by(|_| HAS_LOOKED.store(true, Relaxed));
        socket.attach(endpoint, &connection).unwrap();
        socket.get().lock().protocol = Box::new(Asker);
        let passing = Passing { socket: socket.get().me.clone() };
        for times in 1..4 {
            passing.timeout(Instant::now());
            assert_eq!((TIMES.load(Relaxed), OVERSIGHTS.load(Relaxed)), (times, 0));
        }
    }
}
