//! Connects, and connects again: every failure and every loss leads to another attempt, with the
//! delays of `io::Backoff` between them, until the endpoint is closed.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Instant;

use super::greeter::Wire;
use super::greeting::{Beginning, Greeting, Outcome};
use crate::error::Error;
use crate::io::{Backoff, Family, Handler, Key, Reactor, resolve};
use crate::sync::{Mutex, Rank};
use crate::sys::{Address, Event, Interest, OsStream};
use crate::trace;
use crate::transports::{Host, Maker, Parting, Report};

/// Whom to connect to.
#[derive(Clone, Debug)]
pub enum Target {
    /// In the same machine.
    Local(Address),
    Internet {
        local: Option<IpAddr>,
        host: HostName,
        port: u16,
    },
}

#[derive(Clone, Debug)]
pub enum HostName {
    Literal(IpAddr),
    Name(String),
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
}

enum Phase {
    /// The timer runs until the next attempt.
    Waiting,
    Resolving,
    Connecting(OsStream),
    /// Established; the greeting decides.
    Greeting(Option<Arc<Greeting>>),
    /// The connection is a pipe now.
    Connected,
    /// The peer is not one to connect to again.
    Retired,
    Closed,
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
        let dialer = Arc::new_cyclic(|me| Dialer {
            me: me.clone(),
            host,
            reactor,
            key: OnceLock::new(),
            target,
            wire,
            state: Mutex::new(Rank::Endpoint, State { phase: Phase::Waiting, backoff }),
        });
        let handler: Arc<dyn Handler> = Arc::clone(&dialer) as _;
        dialer.key.get_or_init(|| dialer.reactor.add(|_| handler));
        Ok(dialer)
    }

    fn attempt(&self) {
        if !self.host.is_wanting() {
            // The peer would believe for a moment that it has a partner, and send to nobody.
            self.host.trace(trace::Event::Unwanted, None, format_args!(""));
            return self.wait();
        }
        self.host.report(Report::Connecting);
        match &self.target {
            Target::Local(address) => self.connect(address, None),
            Target::Internet { local, host: HostName::Literal(ip), port } => {
                self.connect(&Address::Internet(SocketAddr::new(*ip, *port)), *local);
            }
            Target::Internet { local, host: HostName::Name(name), port } => {
                self.look_up(name.clone(), *port, *local);
            }
        }
    }

    fn look_up(&self, name: String, port: u16, local: Option<IpAddr>) {
        let left = self.state.lock().enter(Phase::Resolving);
        if left.is_none() {
            return self.host.report(Report::ConnectAbandoned);
        }
        let plain = trace::Plain(name.as_bytes());
        self.host.trace(trace::Event::Resolving, None, format_args!("name={plain}"));
        let family = if self.host.settings().ipv4_only { Family::Ipv4Only } else { Family::Any };
        let (me, host) = (self.me.clone(), Arc::clone(&self.host));
        let started = resolve(name, port, family, move |found| {
            let Some(dialer) = me.upgrade() else {
                return host.report(Report::ConnectAbandoned);
            };
            match found {
                Some(address) => {
                    let details = format_args!("address={address}");
                    dialer.host.trace(trace::Event::Resolved, None, details);
                    dialer.connect(&Address::Internet(address), local);
                }
                None => {
                    dialer.host.trace(trace::Event::Unresolved, None, format_args!(""));
                    dialer.fail(None);
                }
            }
        });
        if started.is_err() {
            self.fail(None);
        }
    }

    fn connect(&self, address: &Address, local: Option<IpAddr>) {
        match self.open(address, local) {
            Ok((stream, true)) => self.established(stream),
            Ok((stream, false)) => self.await_connection(stream),
            Err(error) => self.fail(Some(error.into())),
        }
    }

    /// True when the connection is there at once.
    fn open(&self, address: &Address, local: Option<IpAddr>) -> io::Result<(OsStream, bool)> {
        let mut stream = OsStream::new(address)?;
        stream.tune((&self.host.settings()).into());
        if let Some(ip) = local {
            stream.bind(&Address::Internet(SocketAddr::new(ip, 0)))?;
        }
        let is_connected = stream.connect(address)?;
        Ok((stream, is_connected))
    }

    fn await_connection(&self, stream: OsStream) {
        let Some(key) = self.key.get() else { return };
        let interest = Interest { writable: true, once: true, ..Interest::default() };
        let mut state = self.state.lock();
        if matches!(state.phase, Phase::Closed) {
            return self.host.report(Report::ConnectAbandoned);
        }
        let watched = self.reactor.watch(*key, stream.as_raw_fd(), interest);
        if let Err(error) = watched {
            drop(state);
            return self.fail(Some(error.into()));
        }
        state.phase = Phase::Connecting(stream);
    }

    fn established(&self, stream: OsStream) {
        let left = self.state.lock().enter(Phase::Greeting(None));
        if left.is_none() {
            return self.host.report(Report::ConnectAbandoned);
        }
        self.host.report(Report::Established);
        let me = self.me.clone();
        let done = move |outcome| {
            if let Some(dialer) = me.upgrade() {
                dialer.greeted(outcome);
            }
        };
        let (host, greeter) = (Arc::clone(&self.host), self.wire.greeter(&*self.host));
        let greeting = Greeting::start(
            Beginning { stream: Arc::new(stream), greeter },
            host,
            &self.reactor,
            Box::new(done),
        );
        {
            let mut state = self.state.lock();
            match &mut state.phase {
                Phase::Greeting(slot) => return *slot = Some(greeting),
                // It was faster than we: on the reactor's thread while we are on a resolver's.
                Phase::Waiting | Phase::Connected | Phase::Retired => return,
                Phase::Closed | Phase::Resolving | Phase::Connecting(_) => {}
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
            }
            Outcome::Failed => self.wait(),
        }
    }

    fn fail(&self, error: Option<Error>) {
        // Before the next attempt can begin, so that reports come in their order.
        let is_closed = matches!(self.state.lock().phase, Phase::Closed);
        self.host.report(match is_closed {
            true => Report::ConnectAbandoned,
            false => Report::ConnectFailed(error),
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
                let details = format_args!("ms={}", delay.as_millis());
                self.host.trace(trace::Event::Waiting, None, details);
                self.reactor.set_timer(*key, Some(Instant::now() + delay));
            }
            left
        };
        drop(left);
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
    fn ready(&self, _event: Event) {
        let stream = {
            let mut state = self.state.lock();
            match std::mem::replace(&mut state.phase, Phase::Waiting) {
                Phase::Connecting(stream) => stream,
                other => {
                    state.phase = other;
                    return;
                }
            }
        };
        self.reactor.unwatch(stream.as_raw_fd());
        match stream.connected() {
            Ok(()) => self.established(stream),
            Err(error) => {
                drop(stream);
                self.fail(Some(error.into()));
            }
        }
    }

    fn broken(&self) {
        self.host.broken();
    }

    fn timeout(&self, _now: Instant) {
        if matches!(self.state.lock().phase, Phase::Waiting) {
            self.attempt();
        }
    }
}

impl Maker for Dialer {
    /// The first attempt is made at once, in the background.
    fn start(&self) {
        if let Some(key) = self.key.get() {
            self.reactor.set_timer(*key, Some(Instant::now()));
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
            Phase::Connecting(stream) => {
                self.reactor.unwatch(stream.as_raw_fd());
                self.host.report(Report::ConnectAbandoned);
            }
            // Whoever is at it reports when it finds the dialer closed.
            Phase::Resolving | Phase::Waiting | Phase::Greeting(None) => {}
            Phase::Connected | Phase::Retired | Phase::Closed => {}
        }
    }

    fn connection_lost(&self, parting: Parting) {
        if parting == Parting::Passing {
            return self.wait();
        }
        let left = self.state.lock().enter(Phase::Retired);
        if left.is_some() {
            self.host.trace(trace::Event::Retired, None, format_args!(""));
        }
        drop(left);
    }
}
