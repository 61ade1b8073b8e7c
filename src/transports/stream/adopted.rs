//! One stream that somebody else has connected. It is greeted once, and there is no other behind
//! it: nobody here knows how it came about.

use std::sync::{Arc, Weak};

use super::greeter::Wire;
use super::greeting::{Beginning, Greeting, Outcome};
use super::watch::Standing;
use crate::error::Error;
use crate::io::Reactor;
use crate::memory::{Attempt, OutOfMemory};
use crate::sync::{Mutex, Rank};
use crate::sys::OsStream;
use crate::trace;
use crate::transports::{Host, Maker, Parting, Report};

pub struct Adopted {
    me: Weak<Adopted>,
    host: Arc<dyn Host>,
    reactor: Arc<Reactor>,
    wire: Box<dyn Wire>,
    phase: Mutex<Phase>,
}

enum Phase {
    Fresh(OsStream),
    /// The greeting decides; it may be over before it is known here.
    Greeting(Option<Arc<Greeting>>),
    /// It is a pipe now, or has come to its end.
    Over,
    Closed,
}

impl Adopted {
    /// # Errors
    /// When the reactor cannot be had.
    pub fn new(
        stream: OsStream,
        wire: Box<dyn Wire>,
        host: Arc<dyn Host>,
    ) -> Result<Arc<Adopted>, Error> {
        let reactor = host.reactor()?;
        let phase = Mutex::new(Rank::Endpoint, Phase::Fresh(stream));
        Ok(Arc::new_cyclic(|me| Adopted { me: me.clone(), host, reactor, wire, phase }))
    }

    /// Leaves the phase for another one, unless it is closed, and stays so.
    fn enter(&self, next: Phase) -> Option<Phase> {
        let mut phase = self.phase.lock();
        let is_closed = matches!(*phase, Phase::Closed);
        (!is_closed).then(|| std::mem::replace(&mut *phase, next))
    }

    fn greet(&self, stream: OsStream) {
        let me = self.me.clone();
        let done = move |outcome| {
            if let Some(adopted) = me.upgrade() {
                adopted.greeted(outcome);
            }
        };
        let attempt = Attempt::watch();
        let greeter = self.wire.greeter(&*self.host);
        stream.tune((&self.host.settings()).into());
        let beginning = Beginning { stream: Arc::new(stream), standing: Standing::Fresh, greeter };
        let host = Arc::clone(&self.host);
        let greeting = match Greeting::start(beginning, host, &self.reactor, Box::new(done)) {
            Ok(greeting) if attempt.check().is_ok() || !greeting.cancel() => greeting,
            Ok(_) | Err(OutOfMemory) => {
                self.host.report(Report::Dropped);
                return self.retire();
            }
        };
        match &mut *self.phase.lock() {
            Phase::Greeting(slot) => return *slot = Some(greeting),
            // It was faster than we.
            Phase::Over | Phase::Fresh(_) => return,
            Phase::Closed => {}
        }
        if greeting.cancel() {
            self.host.report(Report::Dropped);
        }
    }

    fn greeted(&self, outcome: Outcome) {
        match outcome {
            Outcome::Attached => drop(self.enter(Phase::Over)),
            Outcome::Failed => self.retire(),
        }
    }

    fn retire(&self) {
        if self.enter(Phase::Over).is_some() {
            self.host.trace(trace::Happening::Retired, None, format_args!(""));
        }
    }
}

impl Maker for Adopted {
    fn start(&self) {
        let Some(Phase::Fresh(stream)) = self.enter(Phase::Greeting(None)) else { return };
        self.host.report(Report::Connecting);
        self.host.report(Report::Established);
        self.greet(stream);
    }

    fn close(&self) {
        let phase = std::mem::replace(&mut *self.phase.lock(), Phase::Closed);
        if let Phase::Greeting(Some(greeting)) = phase
            && greeting.cancel()
        {
            self.host.report(Report::Dropped);
        }
    }

    fn connection_lost(&self, _parting: Parting) {
        self.retire();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeSocket, Traits};
    use crate::transports::stream::fixtures::{HELLO, Peer, Script};

    fn adopted(socket: &FakeSocket) -> (Arc<Adopted>, Peer) {
        let (own, peer) = OsStream::pair();
        let wire = Box::new(Script::default());
        (Adopted::new(own, wire, socket.host()).unwrap(), Peer(peer))
    }

    fn is_over(adopted: &Adopted) -> bool {
        matches!(*adopted.phase.lock(), Phase::Over)
    }

    #[test]
    fn it_is_greeted_when_it_starts_and_its_end_is_the_last() {
        let socket = FakeSocket::new(Traits::pair());
        let (adopted, peer) = adopted(&socket);
        socket.start(Arc::clone(&adopted) as _);
        assert_eq!(peer.read(2), b"hi");
        peer.write(HELLO);
        let pipe = socket.pipe(0);
        drop(peer);
        pipe.await_end();
        socket.settle();
        assert!(is_over(&adopted));
        adopted.start();
        socket.settle();
        let all = [Report::Connecting, Report::Established, Report::Broken];
        assert_eq!(socket.reports(), all);
        assert_eq!(socket.pipes(), 1);
    }

    #[test]
    fn a_greeting_that_fails_is_the_end() {
        let socket = FakeSocket::new(Traits::pair());
        let (adopted, peer) = adopted(&socket);
        socket.start(Arc::clone(&adopted) as _);
        peer.write(b"hullo");
        socket.await_reports(1, Report::Broken);
        socket.settle();
        assert!(is_over(&adopted));
        adopted.close();
        adopted.start();
        assert_eq!(socket.count(Report::Connecting), 1);
    }

    #[test]
    fn a_close_drops_the_greeting_once() {
        let socket = FakeSocket::new(Traits::pair());
        let (adopted, peer) = adopted(&socket);
        socket.start(Arc::clone(&adopted) as _);
        assert_eq!(peer.read(2), b"hi");
        adopted.close();
        adopted.close();
        socket.settle();
        assert_eq!(socket.reports()[2..], [Report::Dropped]);
        assert_eq!(socket.pipes(), 0);
    }
}
