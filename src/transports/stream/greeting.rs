//! The first moment of a connection: it lends its stream to a greeter, and makes a connection of
//! it when the greeter is content.
//!
//! A peer has a limited time for that. Nobody is told that he is connected to a socket that would
//! reject him now, such as a PAIR that has its peer: he would report messages as sent that nobody
//! will ever receive.

use std::io::IoSlice;
use std::os::fd::AsRawFd;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use parking_lot::Mutex;

use super::connection::StreamConnection;
use super::wire::{Greeter, Heard, Welcome};
use crate::io::{Handler, Key, Reactor};
use crate::sys::{Event, Interest, Read, Socket};
use crate::transports::{Connection, Host, Report};

pub struct Greeting {
    reactor: Arc<Reactor>,
    host: Arc<dyn Host>,
    key: OnceLock<Key>,
    state: Mutex<Option<State>>,
}

struct State {
    socket: Socket,
    greeter: Box<dyn Greeter>,
    done: Done,
}

/// Called once, on the reactor's thread, unless the greeting is cancelled.
pub type Done = Box<dyn FnOnce(Outcome) + Send>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The connection is a pipe of the socket now.
    Attached,
    Failed,
}

impl Greeting {
    /// Greets the peer behind `socket` and waits for its greeting.
    pub fn start(
        socket: Socket,
        mut greeter: Box<dyn Greeter>,
        host: Arc<dyn Host>,
        reactor: &Arc<Reactor>,
        done: Done,
    ) -> Arc<Greeting> {
        let descriptor = socket.as_raw_fd();
        let limit = greeter.limit();
        say(&socket, &greeter.open(welcome(&*host)));
        let state = State { socket, greeter, done };
        let greeting = Arc::new(Greeting {
            reactor: Arc::clone(reactor),
            host,
            key: OnceLock::new(),
            state: Mutex::new(Some(state)),
        });
        let handler: Arc<dyn Handler> = Arc::clone(&greeting) as _;
        let key = *greeting.key.get_or_init(|| reactor.add(|_| handler));
        reactor.set_timer(key, Some(Instant::now() + limit));
        let interest = Interest { readable: true, ..Interest::default() };
        if reactor.watch(key, descriptor, interest).is_err() {
            // No memory in the kernel for it: the timer ends it at once.
            reactor.set_timer(key, Some(Instant::now()));
        }
        greeting
    }

    /// Gives it up without a word to anybody. True when it was still going on.
    pub fn cancel(&self) -> bool {
        let state = self.take();
        state.iter().for_each(|state| state.socket.discard_input());
        state.is_some()
    }

    /// Takes the state out; from then on nothing more happens.
    fn take(&self) -> Option<State> {
        let state = self.state.lock().take()?;
        self.reactor.unwatch(state.socket.as_raw_fd());
        if let Some(key) = self.key.get() {
            self.reactor.forget(*key);
        }
        Some(state)
    }

    fn read(&self) -> Heard {
        let mut state = self.state.lock();
        let Some(state) = state.as_mut() else { return Heard::More };
        let mut buffer = [0; READ_MAX];
        let wanted = state.greeter.wanted().min(READ_MAX);
        match state.socket.read(None, &mut buffer[..wanted]) {
            Read::Nothing => Heard::More,
            Read::End => Heard::Refused,
            Read::Bytes(count) => state.greeter.absorb(&buffer[..count]),
        }
    }

    /// Says what is left to say. False when the connection is unwelcome, and was before.
    fn accept(&self) -> bool {
        let welcome = welcome(&*self.host);
        let mut state = self.state.lock();
        let Some(state) = state.as_mut() else { return true };
        if welcome == Welcome::Unwanted && !state.greeter.is_committed() {
            return false;
        }
        say(&state.socket, &state.greeter.accept());
        true
    }

    fn fail(&self) {
        if let Some(state) = self.take() {
            state.socket.discard_input();
            drop(state.socket);
            self.host.report(Report::Broken);
            (state.done)(Outcome::Failed);
        }
    }

    fn complete(&self) {
        if !self.accept() {
            return self.fail();
        }
        let Some(state) = self.take() else { return };
        let settings = self.host.settings();
        let connection = StreamConnection::new(
            state.socket,
            state.greeter.format(),
            Arc::clone(&self.host),
            Arc::clone(&self.reactor),
            &settings,
        );
        // Watching starts first: a socket that adopts the connection may rely on it.
        let is_wanted = connection.start().is_ok()
            && self.host.attach(Arc::clone(&connection) as Arc<dyn Connection>).is_ok();
        if is_wanted {
            (state.done)(Outcome::Attached);
        } else {
            connection.reject();
            (state.done)(Outcome::Failed);
        }
    }
}

impl Handler for Greeting {
    fn ready(&self, _event: Event) {
        match self.read() {
            Heard::More => {}
            Heard::Complete => self.complete(),
            Heard::Refused => self.fail(),
        }
    }

    fn timeout(&self, _now: Instant) {
        self.fail();
    }
}

fn welcome(host: &dyn Host) -> Welcome {
    if host.is_wanting() { Welcome::Wanted } else { Welcome::Unwanted }
}

fn say(socket: &Socket, words: &[u8]) {
    if !words.is_empty() {
        // A fresh connection takes a few bytes; else it is broken, and reading will tell.
        let _ = socket.write(&[IoSlice::new(words)]);
    }
}

/// Greetings are short.
const READ_MAX: usize = 4096;
