//! The first moment of a connection: each side sends its eight bytes and checks the other's.
//!
//! A peer has a second for it. What it sends behind its greeting is left for the connection.
//!
//! Both sides greet at once, but for a socket that would reject the connection now, such as a
//! PAIR that has its peer: a peer that is greeted takes itself for connected, and would report
//! messages as sent that nobody will ever receive.

use std::io::IoSlice;
use std::os::fd::AsRawFd;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::connection::StreamConnection;
use crate::io::{Handler, Key, Reactor};
use crate::sys::{Event, Interest, Read, Socket};
use crate::transports::sp::frame::Framing;
use crate::transports::sp::handshake;
use crate::transports::{Connection, Host, Report};

pub struct Greeting {
    reactor: Arc<Reactor>,
    host: Arc<dyn Host>,
    framing: Framing,
    key: OnceLock<Key>,
    state: Mutex<Option<State>>,
}

struct State {
    socket: Socket,
    received: [u8; handshake::LEN],
    count: usize,
    /// Our own greeting is sent.
    has_greeted: bool,
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

enum Progress {
    More,
    Complete,
    Failed,
}

impl Greeting {
    /// Greets the peer behind `socket` and waits for its greeting.
    pub fn start(
        socket: Socket,
        framing: Framing,
        host: Arc<dyn Host>,
        reactor: &Arc<Reactor>,
        done: Done,
    ) -> Arc<Greeting> {
        let descriptor = socket.as_raw_fd();
        let has_greeted = host.is_wanting();
        if has_greeted {
            greet(&socket, &*host);
        }
        let state = State { socket, received: [0; handshake::LEN], count: 0, has_greeted, done };
        let greeting = Arc::new(Greeting {
            reactor: Arc::clone(reactor),
            host,
            framing,
            key: OnceLock::new(),
            state: Mutex::new(Some(state)),
        });
        let handler: Arc<dyn Handler> = Arc::clone(&greeting) as _;
        let key = *greeting.key.get_or_init(|| reactor.add(|_| handler));
        reactor.set_timer(key, Some(Instant::now() + LIMIT));
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

    fn read(&self) -> Progress {
        let mut state = self.state.lock();
        let Some(state) = state.as_mut() else { return Progress::More };
        match state.socket.read(None, &mut state.received[state.count..]) {
            Read::Nothing => Progress::More,
            Read::End => Progress::Failed,
            Read::Bytes(count) => {
                state.count += count;
                self.judge(&state.received, state.count)
            }
        }
    }

    fn judge(&self, received: &[u8; handshake::LEN], count: usize) -> Progress {
        if count < handshake::LEN {
            return Progress::More;
        }
        match handshake::check(*received, self.host.peer_type()) {
            Ok(()) => Progress::Complete,
            Err(_) => Progress::Failed,
        }
    }

    /// Sends what was not sent at once. False when the connection is still unwelcome.
    fn greet_late(&self) -> bool {
        let is_wanting = self.host.is_wanting();
        let mut state = self.state.lock();
        match state.as_mut().filter(|state| !state.has_greeted) {
            None => true,
            Some(state) if is_wanting => {
                state.has_greeted = true;
                greet(&state.socket, &*self.host);
                true
            }
            Some(_) => false,
        }
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
        if !self.greet_late() {
            return self.fail();
        }
        let Some(state) = self.take() else { return };
        let settings = self.host.settings();
        let connection = StreamConnection::new(
            state.socket,
            self.framing,
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
            Progress::More => {}
            Progress::Complete => self.complete(),
            Progress::Failed => self.fail(),
        }
    }

    fn timeout(&self, _now: Instant) {
        self.fail();
    }
}

fn greet(socket: &Socket, host: &dyn Host) {
    let own = handshake::encode(host.own_type());
    // A fresh connection takes eight bytes; else it is broken, and reading will tell.
    let _ = socket.write(&[IoSlice::new(&own)]);
}

/// How long a peer may take.
const LIMIT: Duration = Duration::from_millis(1000);
