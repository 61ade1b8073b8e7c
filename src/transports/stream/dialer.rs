//! Connects, and connects again: every failure and every loss leads to another attempt, with the
//! delays of `io::Backoff` between them, until the endpoint is closed.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::greeter::Wire;
use super::greeting::{Beginning, Greeting, Outcome};
use super::watch::Standing;
use crate::error::Error;
use crate::io::{Asker, Backoff, Handler, Key, Lookup, Reactor, resolve};
use crate::memory::{Attempt, OutOfMemory};
use crate::sync::{Mutex, OnceLock, Rank};
use crate::sys::{self, Address, Event, Interest, NameFamily, OsStream};
use crate::trace;
use crate::transports::{Fault, Host, Maker, Parting, Renewal, Report};

/// Whom to connect to.
#[derive(Clone, Debug)]
pub enum Target {
    /// In the same machine.
    Local(Address),
    Internet {
        /// From where; its port is 0.
        local: Option<SocketAddr>,
        host: HostName,
    },
}

#[derive(Clone, Debug)]
pub enum HostName {
    Literal(SocketAddr),
    Name(String, u16),
}

pub struct Dialer {
    me: Weak<Dialer>,
    host: Arc<dyn Host>,
    reactor: Arc<Reactor>,
    key: OnceLock<Key>,
    target: Target,
    wire: Box<dyn Wire>,
    state: Mutex<State>,
}

struct State {
    phase: Phase,
    backoff: Backoff,
    /// How long an address may leave an attempt without an answer, while there are others.
    patience: Duration,
    /// How many there have been.
    greetings: u64,
}

enum Phase {
    /// The timer runs until the next attempt.
    Waiting,
    Resolving,
    /// To one address, and these come next, at the latest at that time.
    Connecting(OsStream, Candidates, Option<Instant>),
    /// Established; the greeting decides.
    Greeting(Option<Arc<Greeting>>),
    /// The connection is a pipe now.
    Connected,
    /// The peer is not one to connect to again.
    Retired,
    Closed,
}

/// Addresses of the target that have not been tried in this attempt, in their order.
struct Candidates {
    addresses: VecDeque<Address>,
    local: Option<SocketAddr>,
}

impl Candidates {
    fn one(address: Address, local: Option<SocketAddr>) -> Candidates {
        Candidates { addresses: VecDeque::from([address]), local }
    }
}

impl Dialer {
    /// # Errors
    /// When the reactor cannot be had.
    pub fn new(
        target: Target,
        wire: Box<dyn Wire>,
        host: Arc<dyn Host>,
    ) -> Result<Arc<Dialer>, Error> {
        let reactor = host.reactor()?;
        let settings = host.settings();
        let backoff = Backoff::new(settings.reconnect_interval, settings.reconnect_interval_max);
        let state = State { phase: Phase::Waiting, backoff, patience: PATIENCE, greetings: 0 };
        let dialer = Arc::new_cyclic(|me| Dialer {
            me: me.clone(),
            host,
            reactor,
            key: OnceLock::new(),
            target,
            wire,
            state: Mutex::new(Rank::Endpoint, state),
        });
        let handler: Arc<dyn Handler> = Arc::clone(&dialer) as _;
        let key = dialer.reactor.add(|_| handler)?;
        dialer.key.get_or_init(|| key);
        Ok(dialer)
    }

    fn attempt(&self) {
        if !self.host.is_wanting() {
            // The peer would believe for a moment that it has a partner, and send to nobody.
            self.host.trace(trace::Happening::Unwanted, None, format_args!(""));
            return self.wait();
        }
        self.host.report(Report::Connecting);
        if Attempt::begin().is_err() {
            return self.fail(Fault::System(Error::OutOfMemory));
        }
        match &self.target {
            Target::Local(address) => self.connect(Candidates::one(address.clone(), None)),
            Target::Internet { local, host: HostName::Literal(address) } => {
                self.connect(Candidates::one(Address::Internet(*address), *local));
            }
            Target::Internet { local, host: HostName::Name(name, port) } => {
                self.look_up(name.clone(), *port, *local);
            }
        }
    }

    fn look_up(&self, name: String, port: u16, local: Option<SocketAddr>) {
        let left = self.state.lock().enter(Phase::Resolving);
        if left.is_none() {
            return self.host.report(Report::ConnectAbandoned);
        }
        let plain = trace::Plain(name.as_bytes());
        self.host.trace(trace::Happening::Resolving, None, format_args!("name={plain}"));
        let is_restricted = self.host.settings().ipv4_only;
        let family = if is_restricted { NameFamily::Ipv4Only } else { NameFamily::Any };
        let (me, host) = (self.me.clone(), Arc::clone(&self.host));
        let asking = Asking { me, host, local };
        if let Err(error) = resolve(Lookup { host: name, port, family }, Box::new(asking)) {
            self.fail(Fault::System(error.into()));
        }
    }

    /// Tries one after the other, as long as they fail at once.
    fn connect(&self, candidates: Candidates) {
        self.connect_behind(Fault::NoAddress, candidates);
    }

    /// The same when one has failed already.
    fn connect_behind(&self, mut failure: Fault, mut candidates: Candidates) {
        while let Some(address) = candidates.addresses.pop_front() {
            match self.open(&address, candidates.local) {
                Ok((stream, true)) => return self.established(stream, Standing::Fresh),
                Ok((stream, false)) => return self.await_connection(stream, candidates),
                Err(error) => failure = Fault::System(error.into()),
            }
        }
        self.fail(failure);
    }

    /// The first attempt, by the thread that wants the connection, which may have it sooner than
    /// the reactor could begin. False when the reactor has to make the attempt: to look a name up,
    /// or to report why it fails, which may take as long as writing to standard error does.
    fn attempt_at_once(&self) -> bool {
        let (address, local) = match &self.target {
            Target::Local(address) => (address.clone(), None),
            Target::Internet { local, host: HostName::Literal(address) } => {
                (Address::Internet(*address), *local)
            }
            Target::Internet { host: HostName::Name(..), .. } => return false,
        };
        if !self.host.is_wanting() || Attempt::begin().is_err() {
            return false;
        }
        let Ok((stream, is_connected)) = self.open(&address, local) else { return false };
        self.host.report(Report::Connecting);
        if is_connected {
            self.established(stream, Standing::Fresh);
        } else {
            self.await_connection(stream, Candidates { addresses: VecDeque::new(), local });
        }
        true
    }

    /// True when the connection is there at once.
    fn open(&self, address: &Address, local: Option<SocketAddr>) -> io::Result<(OsStream, bool)> {
        let mut stream = OsStream::new(address)?;
        stream.tune((&self.host.settings()).into());
        if let Some(local) = local {
            stream.bind(&Address::Internet(local))?;
        }
        let is_connected = stream.connect(address)?;
        Ok((stream, is_connected))
    }

    fn await_connection(&self, stream: OsStream, others: Candidates) {
        let Some(key) = self.key.get() else { return };
        let interest = Interest { writable: true, once: true, ..Interest::default() };
        let mut state = self.state.lock();
        if matches!(state.phase, Phase::Closed) {
            return self.host.report(Report::ConnectAbandoned);
        }
        let watched = self.reactor.watch(*key, stream.as_raw_fd(), interest);
        if let Err(error) = watched {
            drop(state);
            return self.fail(Fault::System(error.into()));
        }
        // The last one has as long as the kernel gives it.
        let until = (!others.addresses.is_empty()).then(|| sys::now() + state.patience);
        self.reactor.set_timer(*key, until);
        state.phase = Phase::Connecting(stream, others, until);
    }

    /// Goes on to the next address where one has given no answer. So that the first one still has a
    /// chance if it is only slow, it has twice as long the next time.
    fn pass_over_the_silent(&self, now: Instant) {
        let (stream, others) = {
            let mut state = self.state.lock();
            match std::mem::replace(&mut state.phase, Phase::Waiting) {
                Phase::Connecting(stream, others, Some(until)) if until <= now => {
                    state.patience = state.patience.saturating_mul(2).min(PATIENCE_MAX);
                    (stream, others)
                }
                other => {
                    state.phase = other;
                    return;
                }
            }
        };
        self.reactor.unwatch(stream.as_raw_fd());
        drop(stream);
        self.connect_behind(Fault::System(Error::TimedOut), others);
    }

    fn established(&self, stream: OsStream, standing: Standing) {
        let (left, number) = {
            let mut state = self.state.lock();
            state.greetings += 1;
            (state.enter(Phase::Greeting(None)), state.greetings)
        };
        if left.is_none() {
            if standing == Standing::Watched {
                self.reactor.unwatch(stream.as_raw_fd());
            }
            return self.host.report(Report::ConnectAbandoned);
        }
        self.host.report(Report::Established);
        let me = self.me.clone();
        let done = move |outcome| {
            if let Some(dialer) = me.upgrade() {
                dialer.greeted(outcome);
            }
        };
        let attempt = Attempt::watch();
        let (host, greeter) = (Arc::clone(&self.host), self.wire.greeter(&*self.host));
        let greeting = match self.wire.cover(stream) {
            Ok(stream) => {
                let beginning = Beginning { stream, standing, greeter };
                Greeting::start(beginning, host, &self.reactor, Box::new(done))
            }
            Err(stream) => {
                if standing == Standing::Watched {
                    self.reactor.unwatch(stream.as_raw_fd());
                }
                Err(OutOfMemory)
            }
        };
        let greeting = match greeting {
            Ok(greeting) if attempt.check().is_ok() || !greeting.cancel() => greeting,
            Ok(_) | Err(OutOfMemory) => {
                self.host.report(Report::Dropped);
                return self.wait();
            }
        };
        {
            let mut state = self.state.lock();
            let is_ours = state.greetings == number;
            match &mut state.phase {
                Phase::Greeting(slot @ None) if is_ours => return *slot = Some(greeting),
                // It was faster than we: on the reactor's thread while we are on another. The next
                // one may have begun since, and will be in the slot.
                Phase::Greeting(_) | Phase::Waiting | Phase::Connected | Phase::Retired => return,
                Phase::Closed | Phase::Resolving | Phase::Connecting(..) => {}
            }
        }
        if greeting.cancel() {
            self.host.report(Report::Dropped);
        }
    }

    fn greeted(&self, outcome: Outcome) {
        match outcome {
            Outcome::Attached => {
                let mut state = self.state.lock();
                // It may have been lost again already.
                if matches!(state.phase, Phase::Greeting(_)) {
                    state.phase = Phase::Connected;
                }
                state.backoff.succeeded();
                state.patience = PATIENCE;
            }
            Outcome::Failed => self.wait(),
        }
    }

    fn fail(&self, fault: Fault) {
        // Before the next attempt can begin, so that reports come in their order.
        let is_closed = matches!(self.state.lock().phase, Phase::Closed);
        self.host.report(match is_closed {
            true => Report::ConnectAbandoned,
            false => Report::ConnectFailed(fault),
        });
        self.wait();
    }

    /// Waits for the next attempt, if there will be one.
    fn wait(&self) {
        let left = {
            let mut state = self.state.lock();
            let left = state.enter(Phase::Waiting);
            if let (Some(_), Some(key)) = (&left, self.key.get()) {
                let delay = state.backoff.next_delay();
                let ms = delay.as_millis();
                self.host.trace(trace::Happening::Waiting, None, format_args!("ms={ms}"));
                self.reactor.set_timer(*key, Some(sys::now() + delay));
            }
            left
        };
        drop(left);
    }
}

/// A dialer that waits for the addresses of a name.
struct Asking {
    me: Weak<Dialer>,
    host: Arc<dyn Host>,
    local: Option<SocketAddr>,
}

impl Asker for Asking {
    fn is_waiting(&self) -> bool {
        let is_resolving = |it: Arc<Dialer>| matches!(it.state.lock().phase, Phase::Resolving);
        self.me.upgrade().is_some_and(is_resolving)
    }

    fn told(self: Box<Self>, addresses: Vec<SocketAddr>) {
        let Some(dialer) = self.me.upgrade() else {
            return self.host.report(Report::ConnectAbandoned);
        };
        let tell =
            |event, details: std::fmt::Arguments<'_>| dialer.host.trace(event, None, details);
        if addresses.is_empty() {
            tell(trace::Happening::Unresolved, format_args!(""));
        }
        for address in &addresses {
            tell(trace::Happening::Resolved, format_args!("address={address}"));
        }
        let addresses = addresses.into_iter().map(Address::Internet).collect();
        dialer.connect(Candidates { addresses, local: self.local });
    }
}

impl State {
    /// Returns the phase that is left, which is to be dropped outside the lock, because it may own
    /// a stream. A closed dialer stays closed.
    fn enter(&mut self, phase: Phase) -> Option<Phase> {
        let is_closed = matches!(self.phase, Phase::Closed);
        (!is_closed).then(|| std::mem::replace(&mut self.phase, phase))
    }
}

impl Handler for Dialer {
    fn ready(&self, event: Event) {
        let (stream, others) = {
            let mut state = self.state.lock();
            match std::mem::replace(&mut state.phase, Phase::Waiting) {
                Phase::Connecting(stream, others, _) => (stream, others),
                other => {
                    state.phase = other;
                    return;
                }
            }
        };
        // A stream that has neither broken nor ended is connected.
        let connected = if event.ended { stream.connected() } else { Ok(()) };
        match connected {
            Ok(()) => self.established(stream, Standing::Watched),
            Err(error) => {
                self.reactor.unwatch(stream.as_raw_fd());
                drop(stream);
                self.connect_behind(Fault::System(error.into()), others);
            }
        }
    }

    fn broken(&self) {
        self.host.broken();
    }

    fn timeout(&self, now: Instant) {
        let is_waiting = matches!(self.state.lock().phase, Phase::Waiting);
        if is_waiting { self.attempt() } else { self.pass_over_the_silent(now) }
    }
}

impl Maker for Dialer {
    fn renew(&self) -> Result<Renewal<'_>, Error> {
        self.wire.renew(&*self.host)
    }

    /// The first attempt is made at once, and mostly here.
    fn start(&self) {
        if !self.attempt_at_once()
            && let Some(key) = self.key.get()
        {
            self.reactor.set_timer(*key, Some(sys::now()));
        }
    }

    fn close(&self) {
        let phase = std::mem::replace(&mut self.state.lock().phase, Phase::Closed);
        if let Some(key) = self.key.get() {
            self.reactor.forget(*key);
        }
        match phase {
            Phase::Greeting(Some(greeting)) => {
                if greeting.cancel() {
                    self.host.report(Report::Dropped);
                }
            }
            Phase::Connecting(stream, ..) => {
                self.reactor.unwatch(stream.as_raw_fd());
                self.host.report(Report::ConnectAbandoned);
            }
            // Whoever is at it reports when it finds the dialer closed.
            Phase::Resolving | Phase::Waiting | Phase::Greeting(None) => {}
            Phase::Connected | Phase::Retired | Phase::Closed => {}
        }
    }

    fn connection_lost(&self, parting: Parting) {
        match parting {
            Parting::Passing => {
                self.state.lock().backoff.was_of_use();
                return self.wait();
            }
            Parting::Futile => {
                self.state.lock().backoff.was_futile();
                return self.wait();
            }
            Parting::Final => {}
        }
        let left = self.state.lock().enter(Phase::Retired);
        if left.is_some() {
            self.host.trace(trace::Happening::Retired, None, format_args!(""));
        }
        drop(left);
    }
}

/// RFC 8305, section 5, has as much between the attempts at two addresses.
const PATIENCE: Duration = Duration::from_millis(250);
const PATIENCE_MAX: Duration = Duration::from_secs(32);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{Accepted, OsListener, WaitFor, poll, random};
    use crate::testing::{FakeSocket, Traits};
    use crate::transports::stream::fixtures::{HELLO, Peer, Script};
    use std::net::{IpAddr, Ipv4Addr};

    /// A name without a file that no other test uses.
    fn fresh_name() -> Address {
        Address::Name(format!("spmsg dials {:x}", random()).into_bytes())
    }

    fn loopback(port: u16) -> Address {
        Address::Internet(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    }

    fn listening(address: &Address) -> OsListener {
        OsListener::listening(address, 10).unwrap()
    }

    /// Somebody listens at an Internet address, and this is his port.
    fn listening_somewhere() -> (OsListener, u16) {
        let listener = listening(&loopback(0));
        let port = listener.own_address().unwrap().port();
        (listener, port)
    }

    fn accept(listener: &OsListener) -> Peer {
        loop {
            match listener.accept().unwrap() {
                Accepted::Connection(stream) => return Peer(stream),
                Accepted::Gone(_) => {}
                Accepted::Nobody => {
                    let wait = std::iter::once((listener.as_raw_fd(), WaitFor::Readable));
                    poll(wait, None).unwrap();
                }
            }
        }
    }

    fn dialer(target: Target, socket: &FakeSocket) -> Arc<Dialer> {
        Dialer::new(target, Box::new(Script::default()), socket.host()).unwrap()
    }

    fn literal(port: u16) -> Target {
        let host = HostName::Literal((Ipv4Addr::LOCALHOST, port).into());
        Target::Internet { local: None, host }
    }

    fn named(name: &str, port: u16) -> Target {
        Target::Internet { local: None, host: HostName::Name(name.into(), port) }
    }

    fn phase(dialer: &Dialer) -> &'static str {
        match dialer.state.lock().phase {
            Phase::Waiting => "waiting",
            Phase::Resolving => "resolving",
            Phase::Connecting(..) => "connecting",
            Phase::Greeting(_) => "greeting",
            Phase::Connected => "connected",
            Phase::Retired => "retired",
            Phase::Closed => "closed",
        }
    }

    #[test]
    fn goes_from_phase_to_phase_until_it_is_connected_and_back_when_it_is_not() {
        let (socket, name) = (FakeSocket::new(Traits::pair()), fresh_name());
        let listener = listening(&name);
        let dialer = dialer(Target::Local(name), &socket);
        assert_eq!(phase(&dialer), "waiting");
        socket.start(Arc::clone(&dialer) as _);
        for turn in 0..3 {
            let peer = accept(&listener);
            assert_eq!(peer.read(2), b"hi");
            socket.settle();
            assert_eq!(phase(&dialer), "greeting");
            peer.write(HELLO);
            socket.pipe(turn);
            assert_eq!(peer.read(2), b"ok");
            socket.settle();
            assert_eq!(phase(&dialer), "connected");
        }
    }

    #[test]
    fn who_starts_it_makes_the_first_attempt_and_leaves_failures_to_the_reactor() {
        let (name, (over_tcp, port)) = (fresh_name(), listening_somewhere());
        let locally = listening(&name);
        let both = [(Target::Local(name), locally), (literal(port), over_tcp)];
        for (target, listener) in both {
            let socket = FakeSocket::new(Traits::pair());
            let dialer = dialer(target, &socket);
            socket.start(Arc::clone(&dialer) as _);
            assert_eq!(phase(&dialer), "greeting");
            assert_eq!(accept(&listener).read(2), b"hi");
        }
        let socket = FakeSocket::new(Traits::pair());
        let dialer = dialer(Target::Local(fresh_name()), &socket);
        assert!(!dialer.attempt_at_once());
        assert_eq!((socket.reports(), phase(&dialer)), (vec![], "waiting"));
        socket.start(dialer);
        socket.await_report(|report| matches!(report, Report::ConnectFailed(Fault::System(_))));
    }

    #[test]
    fn a_refused_greeting_leads_to_another_attempt() {
        let (socket, name) = (FakeSocket::new(Traits::pair()), fresh_name());
        let listener = listening(&name);
        socket.start(dialer(Target::Local(name), &socket));
        for _ in 0..3 {
            accept(&listener).write(b"hullo");
        }
        let peer = accept(&listener);
        peer.write(HELLO);
        socket.pipe(0);
        assert_eq!(socket.count(Report::Broken), 3);
    }

    #[test]
    fn whom_the_peer_sends_away_for_good_does_not_come_back() {
        let (socket, name) = (FakeSocket::new(Traits::pair()), fresh_name());
        let listener = listening(&name);
        let dialer = dialer(Target::Local(name), &socket);
        socket.start(Arc::clone(&dialer) as _);
        let peer = accept(&listener);
        peer.write(HELLO);
        socket.pipe(0);
        peer.write(&[crate::transports::stream::reader::short::FAREWELL]);
        socket.pipe(0).await_end();
        socket.settle();
        assert_eq!(phase(&dialer), "retired");
        dialer.timeout(Instant::now());
        dialer.ready(NO_EVENT);
        assert_eq!(socket.reports(), [Report::Connecting, Report::Established]);
        dialer.close();
        assert_eq!(phase(&dialer), "closed");
        dialer.connection_lost(Parting::Final);
        dialer.connection_lost(Parting::Passing);
        assert_eq!(phase(&dialer), "closed");
    }

    #[test]
    fn names_are_looked_up() {
        let (socket, (listener, port)) = (FakeSocket::new(Traits::pair()), listening_somewhere());
        socket.start(dialer(named("localhost", port), &socket));
        let peer = accept(&listener);
        peer.write(HELLO);
        let pipe = socket.pipe(0);
        assert_eq!(pipe.stream().peer_address(), listener.own_address());
        assert_eq!(socket.reports(), [Report::Connecting, Report::Established]);
    }

    #[test]
    fn what_is_no_name_fails_without_an_error_and_again() {
        let socket = FakeSocket::new(Traits::pair());
        socket.start(dialer(named("no\0name", 1), &socket));
        socket.await_reports(2, Report::ConnectFailed(Fault::NoAddress));
        assert_eq!(
            socket.reports()[..2],
            [Report::Connecting, Report::ConnectFailed(Fault::NoAddress)]
        );
    }

    #[test]
    fn a_closed_dialer_abandons_what_its_resolver_finds_once() {
        let ((_remote, port), name) = (listening_somewhere(), fresh_name());
        let _near = listening(&name);
        for found in [Some(loopback(port)), Some(name), None] {
            let socket = FakeSocket::new(Traits::pair());
            let dialer = dialer(named("somewhere", port), &socket);
            drop(dialer.state.lock().enter(Phase::Resolving));
            dialer.close();
            assert_eq!(socket.reports(), []);
            match found {
                Some(address) => dialer.connect(Candidates::one(address, None)),
                None => dialer.fail(Fault::NoAddress),
            }
            socket.settle();
            dialer.close();
            assert_eq!(socket.reports(), [Report::ConnectAbandoned]);
        }
    }

    #[test]
    fn every_attempt_comes_to_one_end_whenever_it_is_closed() {
        let (_listener, port) = listening_somewhere();
        for _ in 0..50 {
            let socket = FakeSocket::new(Traits::pair());
            let dialer = dialer(named("localhost", port), &socket);
            socket.start(Arc::clone(&dialer) as _);
            socket.await_reports(1, Report::Connecting);
            dialer.close();
            socket.await_such_reports(|reports| match reports {
                [Report::Connecting, Report::ConnectAbandoned]
                | [Report::Connecting, Report::Established, Report::Dropped] => true,
                [Report::Connecting] | [Report::Connecting, Report::Established] => false,
                other => panic!("too much: {other:?}"),
            });
            socket.settle();
            assert!(socket.reports().len() <= 3);
        }
    }

    #[test]
    fn one_that_is_closed_while_it_is_asked_for_a_connection_makes_none() {
        let (socket, name) = (FakeSocket::new(Traits::pair()), fresh_name());
        let _listener = listening(&name);
        let dialer = dialer(Target::Local(name), &socket);
        let closing = Arc::clone(&dialer);
        socket.when_asked(move || closing.close());
        socket.start(dialer);
        socket.await_reports(1, Report::ConnectAbandoned);
        socket.settle();
        assert_eq!(socket.reports(), [Report::Connecting, Report::ConnectAbandoned]);
    }

    /// A kernel that has no place for another connection at a listener leaves it without an answer.
    fn crowded() -> (OsListener, u16, Vec<OsStream>) {
        let listener = OsListener::listening(&loopback(0), 0).unwrap();
        let port = listener.own_address().unwrap().port();
        let mut crowd = Vec::new();
        loop {
            let mut stream = OsStream::new(&loopback(port)).unwrap();
            let is_there = stream.connect(&loopback(port)).unwrap();
            let wait = std::iter::once((stream.as_raw_fd(), WaitFor::Writable));
            let answer = poll(wait, Some(std::time::Duration::from_millis(50))).unwrap();
            crowd.push(stream);
            if !is_there && answer.is_empty() {
                return (listener, port, crowd);
            }
        }
    }

    #[test]
    fn a_close_abandons_what_the_kernel_is_still_connecting_once() {
        let (socket, (listener, port, _crowd)) = (FakeSocket::new(Traits::pair()), crowded());
        let dialer = dialer(literal(port), &socket);
        socket.start(Arc::clone(&dialer) as _);
        socket.await_reports(1, Report::Connecting);
        socket.settle();
        assert_eq!(phase(&dialer), "connecting");
        dialer.close();
        dialer.close();
        drop(listener);
        socket.settle();
        assert_eq!(socket.reports(), [Report::Connecting, Report::ConnectAbandoned]);
    }

    /// transports 6.3
    #[test]
    fn a_silent_address_gives_way_to_the_next_and_has_twice_as_long_then() {
        let (socket, (_listener, silent, _crowd)) = (FakeSocket::new(Traits::pair()), crowded());
        let (other, port) = listening_somewhere();
        let first = dialer(named("somewhere", 1), &socket);
        drop(first.state.lock().enter(Phase::Resolving));
        let addresses = VecDeque::from([loopback(silent), loopback(port)]);
        let began = Instant::now();
        first.connect(Candidates { addresses, local: None });
        assert_eq!((phase(&first), first.state.lock().patience), ("connecting", PATIENCE));
        let _peer = accept(&other);
        assert!(began.elapsed() >= PATIENCE);
        socket.settle();
        assert_eq!((phase(&first), first.state.lock().patience), ("greeting", 2 * PATIENCE));
        first.close();
        // The last one has as long as it takes.
        let second = dialer(named("somewhere", 1), &socket);
        drop(second.state.lock().enter(Phase::Resolving));
        second.connect(Candidates::one(loopback(silent), None));
        second.timeout(Instant::now() + PATIENCE_MAX);
        assert_eq!((phase(&second), second.state.lock().patience), ("connecting", PATIENCE));
        second.close();
    }

    /// transports 6.3
    #[test]
    fn when_nobody_answers_that_is_what_is_told() {
        let (socket, (_listener, silent, _crowd)) = (FakeSocket::new(Traits::pair()), crowded());
        let dialer = dialer(named("somewhere", 1), &socket);
        drop(dialer.state.lock().enter(Phase::Resolving));
        // The second one is nobody's.
        let addresses = VecDeque::from([loopback(silent), Address::Name(b"a zero\0 in it".into())]);
        dialer.connect(Candidates { addresses, local: None });
        let failed = |report: &Report| matches!(report, Report::ConnectFailed(Fault::System(_)));
        socket.await_report(failed);
        dialer.close();
    }

    #[test]
    fn it_connects_from_where_it_is_told_or_says_why_not() {
        let (listener, port) = listening_somewhere();
        let from = |ip: [u8; 4]| {
            let host = HostName::Literal((Ipv4Addr::LOCALHOST, port).into());
            Target::Internet { local: Some((ip, 0).into()), host }
        };
        let socket = FakeSocket::new(Traits::pair());
        socket.start(dialer(from([127, 0, 0, 2]), &socket));
        let peer = accept(&listener).0.peer_address().unwrap();
        assert_eq!(peer.ip(), IpAddr::from([127, 0, 0, 2]));
        // An address for examples is nobody's.
        let socket = FakeSocket::new(Traits::pair());
        socket.start(dialer(from([192, 0, 2, 1]), &socket));
        let failed = |report: &Report| matches!(report, Report::ConnectFailed(Fault::System(_)));
        socket.await_report(failed);
        assert_eq!(socket.reports()[0], Report::Connecting);
    }

    #[test]
    fn who_cannot_be_watched_has_failed() {
        let socket = FakeSocket::new(Traits::pair());
        let dialer = dialer(literal(1), &socket);
        // Watched already, for somebody else.
        let stream = OsStream::new(&loopback(1)).unwrap();
        socket.reactor().watch(Key(7), stream.as_raw_fd(), Interest::default()).unwrap();
        dialer.await_connection(stream, Candidates::one(loopback(1), None));
        let failed = |report: &Report| matches!(report, Report::ConnectFailed(Fault::System(_)));
        socket.await_report(failed);
        dialer.close();
    }

    #[test]
    fn a_bug_is_the_sockets_business() {
        let socket = FakeSocket::new(Traits::pair());
        let dialer = dialer(literal(1), &socket);
        dialer.broken();
        socket.await_breakdown();
        dialer.close();
    }

    const NO_EVENT: Event = Event { key: 0, readable: false, writable: false, ended: false };
}
