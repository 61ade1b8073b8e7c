//! What the reactor's kernel is asked to report of one stream, beside its end.

use std::io;
use std::os::fd::RawFd;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::io::{Handler, Key, Reactor};
use crate::sync::{Mutex, Rank};
use crate::sys::Interest;

/// One stream at the reactor.
pub struct Watch {
    reactor: Arc<Reactor>,
    descriptor: RawFd,
    key: OnceLock<Key>,
    /// Held while the kernel is told, so that it is told in the order in which things were decided.
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Not yet, or no more.
    Off,
    On,
    /// The kernel could not be told: nothing would be heard of the stream until it can.
    Deaf,
}

/// What is asked for beside the end of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub readable: bool,
    pub writable: bool,
}

impl Watch {
    #[must_use]
    pub fn new(reactor: Arc<Reactor>, descriptor: RawFd) -> Watch {
        Watch {
            reactor,
            descriptor,
            key: OnceLock::new(),
            state: Mutex::new(Rank::Watch, State::Off),
        }
    }

    /// Has `handler` hear of the end of the stream from now on, and of what is `wanted`.
    ///
    /// # Errors
    /// When the kernel cannot watch it.
    pub fn start(
        &self,
        handler: Arc<dyn Handler>,
        wanted: impl FnOnce() -> Wanted,
    ) -> io::Result<()> {
        let key = *self.key.get_or_init(|| self.reactor.add(|_| handler));
        let mut state = self.state.lock();
        *state = State::On;
        self.reactor.watch(key, self.descriptor, wanted().into())
    }

    /// Asks for what is `wanted` now: the kernel has reported something, or needs change.
    pub fn renew(&self, wanted: impl FnOnce() -> Wanted) {
        let mut state = self.state.lock();
        let Some(key) = self.key.get().filter(|_| *state != State::Off) else { return };
        let told = self.reactor.rewatch(*key, self.descriptor, wanted().into());
        *state = if told.is_ok() { State::On } else { State::Deaf };
        if told.is_err() {
            drop(state);
            self.look_after(TRY_AGAIN);
        }
    }

    /// Whether another try is due.
    pub fn is_deaf(&self) -> bool {
        *self.state.lock() == State::Deaf
    }

    /// Has the handler called when so much time has passed.
    pub fn look_after(&self, delay: Duration) {
        if let Some(key) = self.key.get() {
            self.reactor.set_timer(*key, Some(Instant::now() + delay));
        }
    }

    /// The handler hears no more.
    pub fn stop(&self) {
        let was = std::mem::replace(&mut *self.state.lock(), State::Off);
        if was != State::Off {
            self.reactor.unwatch(self.descriptor);
        }
        if let Some(key) = self.key.get() {
            self.reactor.forget(*key);
        }
    }
}

impl From<Wanted> for Interest {
    fn from(Wanted { readable, writable }: Wanted) -> Interest {
        Interest { readable, writable, ended: true, once: true }
    }
}

/// Before trying again to tell a kernel that is short of something.
const TRY_AGAIN: Duration = Duration::from_millis(20);
