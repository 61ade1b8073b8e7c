//! Accepts connections, and survives having no descriptor for them.

use std::collections::HashMap;
use std::os::fd::AsRawFd;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use super::greeter::Wire;
use super::greeting::{Beginning, Greeting};
use crate::error::Error;
use crate::io::{Handler, Key, Reactor};
use crate::sync::{Mutex, Rank};
use crate::sys::{Accepted, Event, Interest, OsListener, OsStream};
use crate::transports::{Host, Maker, Parting, Report};

pub struct Listener {
    me: Weak<Listener>,
    host: Arc<dyn Host>,
    reactor: Arc<Reactor>,
    key: OnceLock<Key>,
    wire: Box<dyn Wire>,
    address: Vec<u8>,
    /// None once the listener is closed. Locked while it accepts, so that one that is closed has no
    /// descriptor left.
    open: Mutex<Option<Open>>,
    state: Mutex<State>,
}

/// An address that is listened at already.
pub struct Bound {
    pub listener: OsListener,
    /// Where that is, behind the scheme.
    pub address: Vec<u8>,
    /// Gives up what the address occupies beside the listener.
    pub release: Box<dyn FnOnce() + Send>,
}

#[derive(Default)]
struct State {
    is_closed: bool,
    greetings: HashMap<u64, Arc<Greeting>>,
    next_greeting: u64,
}

struct Open {
    listener: OsListener,
    /// Gives up what the address occupies beside the listener.
    release: Box<dyn FnOnce() + Send>,
}

impl Bound {
    /// An address that occupies nothing else.
    pub fn plain(listener: OsListener, address: impl Into<Vec<u8>>) -> Bound {
        Bound { listener, address: address.into(), release: Box::new(|| ()) }
    }
}

impl Listener {
    /// Accepts until the listener is closed, and then has the rest released.
    ///
    /// # Errors
    /// When the reactor cannot be had.
    pub fn new(
        bound: Bound,
        wire: Box<dyn Wire>,
        host: Arc<dyn Host>,
    ) -> Result<Arc<Listener>, Error> {
        let Bound { listener: os_listener, address, release } = bound;
        let reactor = host.reactor()?;
        let descriptor = os_listener.as_raw_fd();
        let listener = Arc::new_cyclic(|me| Listener {
            me: me.clone(),
            host,
            reactor,
            key: OnceLock::new(),
            wire,
            address,
            open: Mutex::new(Rank::Accepting, Some(Open { listener: os_listener, release })),
            state: Mutex::new(Rank::Endpoint, State::default()),
        });
        let handler: Arc<dyn Handler> = Arc::clone(&listener) as _;
        let key = *listener.key.get_or_init(|| listener.reactor.add(|_| handler));
        // Nobody is accepted before the start, and yet this can still fail the call.
        let watched = listener.reactor.watch(key, descriptor, Interest::default());
        if let Err(error) = watched {
            listener.close();
            return Err(error.into());
        }
        Ok(listener)
    }

    /// Accepts what waits, a bounded number at a time so that nobody else starves.
    fn accept(&self) {
        for _ in 0..ACCEPTS_MAX {
            let accepted = {
                let open = self.open.lock();
                let Some(open) = &*open else { return };
                open.listener.accept()
            };
            match accepted {
                Ok(Accepted::Connection(stream)) => self.greet(stream),
                Ok(Accepted::Gone) => {}
                Ok(Accepted::Nobody) => return,
                Err(error) => {
                    self.host.report(Report::AcceptFailed(error.into()));
                    return self.pause();
                }
            }
        }
    }

    fn greet(&self, stream: OsStream) {
        self.host.report(Report::Accepted);
        stream.tune((&self.host.settings()).into());
        let number = {
            let mut state = self.state.lock();
            state.next_greeting += 1;
            state.next_greeting
        };
        let me = self.me.clone();
        let done = move |_| {
            if let Some(listener) = me.upgrade() {
                listener.state.lock().greetings.remove(&number);
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
            if !state.is_closed {
                state.greetings.insert(number, greeting);
                return;
            }
        }
        if greeting.cancel() {
            self.host.report(Report::Dropped);
        }
    }

    /// There is no descriptor for a connection: leave them in the backlog for a while.
    fn pause(&self) {
        self.rewatch(Interest::default());
        if let Some(key) = self.key.get() {
            self.reactor.set_timer(*key, Some(Instant::now() + PAUSE));
        }
    }

    fn rewatch(&self, interest: Interest) {
        let open = self.open.lock();
        if let (Some(open), Some(key)) = (&*open, self.key.get()) {
            let rewatched = self.reactor.rewatch(*key, open.listener.as_raw_fd(), interest);
            if rewatched.is_err() {
                // The kernel is short of something; without another try nobody is accepted again.
                self.reactor.set_timer(*key, Some(Instant::now() + PAUSE));
            }
        }
    }
}

impl Handler for Listener {
    fn ready(&self, _event: Event) {
        self.accept();
    }

    fn broken(&self) {
        self.host.broken();
    }

    fn timeout(&self, _now: Instant) {
        self.rewatch(ACCEPTING);
    }
}

impl Maker for Listener {
    fn start(&self) {
        self.rewatch(ACCEPTING);
    }

    fn close(&self) {
        let greetings = {
            let mut state = self.state.lock();
            state.is_closed = true;
            std::mem::take(&mut state.greetings)
        };
        let open = self.open.lock().take();
        if let Some(key) = self.key.get() {
            self.reactor.forget(*key);
        }
        if let Some(open) = open {
            self.reactor.unwatch(open.listener.as_raw_fd());
            (open.release)();
        }
        for greeting in greetings.into_values() {
            if greeting.cancel() {
                self.host.report(Report::Dropped);
            }
        }
    }

    fn connection_lost(&self, _parting: Parting) {}

    fn retry(&self) {
        let greetings: Vec<_> = self.state.lock().greetings.values().cloned().collect();
        greetings.iter().for_each(|greeting| greeting.retry());
    }

    fn address(&self) -> Option<&[u8]> {
        Some(&self.address)
    }
}

const ACCEPTING: Interest = Interest { readable: true, writable: false, ended: false, once: false };
const ACCEPTS_MAX: usize = 64;
const PAUSE: Duration = Duration::from_millis(100);
