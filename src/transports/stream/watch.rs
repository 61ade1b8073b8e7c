//! What the reactor's kernel is asked to report of one stream, beside its end.

use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use crate::io::{Handler, Key, Reactor};
use crate::sync::{Mutex, OnceLock, Rank};
use crate::sys::{self, Interest};

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
    /// What is reported has to be asked for anew.
    Once,
    /// What is reported is reported again, for as long as it is so.
    Lasting,
    /// The kernel could not be told: nothing would be heard of the stream until it can.
    Deaf,
}

/// Whether the reactor watches a descriptor already, on behalf of whoever had the stream before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Fresh,
    Watched,
}

impl Standing {
    /// Has the reactor watch on behalf of `key`, and of nobody else.
    ///
    /// # Errors
    /// Those of epoll_ctl(2).
    pub fn watch(
        self,
        reactor: &Reactor,
        key: Key,
        descriptor: RawFd,
        interest: Interest,
    ) -> io::Result<()> {
        match self {
            Standing::Fresh => reactor.watch(key, descriptor, interest),
            Standing::Watched => reactor.rewatch(key, descriptor, interest),
        }
    }
}

/// What is asked for beside the end of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub readable: bool,
    pub writable: bool,
    /// Whoever is told that there is something reads it, so that he need not be asked each time.
    pub lasts: bool,
}

impl Watch {
    pub fn reactor(&self) -> &Reactor {
        &self.reactor
    }

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
    /// When there is no memory for that, here or in the kernel.
    pub fn start(
        &self,
        handler: Arc<dyn Handler>,
        standing: Standing,
        wanted: impl FnOnce() -> Wanted,
    ) -> io::Result<()> {
        let Ok(fresh) = self.reactor.add(|_| handler) else {
            if standing == Standing::Watched {
                self.reactor.unwatch(self.descriptor);
            }
            return Err(io::ErrorKind::OutOfMemory.into());
        };
        let key = *self.key.get_or_init(|| fresh);
        let mut state = self.state.lock();
        let wanted = wanted();
        *state = wanted.state();
        standing.watch(&self.reactor, key, self.descriptor, wanted.into())
    }

    /// Asks for what is `wanted` now: the kernel has reported something, or needs change.
    pub fn renew(&self, wanted: impl FnOnce() -> Wanted) {
        let mut state = self.state.lock();
        let Some(key) = self.key.get().filter(|_| *state != State::Off) else { return };
        let wanted = wanted();
        let told = self.reactor.rewatch(*key, self.descriptor, wanted.into());
        *state = if told.is_ok() { wanted.state() } else { State::Deaf };
        if told.is_err() {
            drop(state);
            self.look_after(TRY_AGAIN);
        }
    }

    /// Whether what the kernel has reported need not be asked for anew.
    pub fn lasts(&self) -> bool {
        *self.state.lock() == State::Lasting
    }

    /// Whether another try is due.
    pub fn is_deaf(&self) -> bool {
        *self.state.lock() == State::Deaf
    }

    /// Has the handler called when so much time has passed.
    pub fn look_after(&self, delay: Duration) {
        if let Some(key) = self.key.get() {
            self.reactor.set_timer(*key, Some(sys::now() + delay));
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

impl Wanted {
    /// There is always room, mostly, so that this is reported once in any case.
    fn state(self) -> State {
        if self.lasts && self.readable && !self.writable { State::Lasting } else { State::Once }
    }
}

impl From<Wanted> for Interest {
    fn from(wanted: Wanted) -> Interest {
        let Wanted { readable, writable, .. } = wanted;
        Interest { readable, writable, ended: true, once: wanted.state() == State::Once }
    }
}

/// Before trying again to tell a kernel that is short of something.
const TRY_AGAIN: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::memory;
    use crate::sys::{Event, OsStream};
    use crate::testing::{FakeSocket, Traits, Watched};
    use std::io::IoSlice;
    use std::os::fd::AsRawFd;

    /// Notes what it hears.
    #[derive(Default)]
    struct Ear(Watched<Heard>);

    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    struct Heard {
        readable: usize,
        writable: usize,
        ended: usize,
        timeouts: usize,
    }

    impl Handler for Ear {
        fn ready(&self, event: Event) {
            self.0.change(|heard| {
                heard.readable += usize::from(event.readable && !event.ended);
                heard.writable += usize::from(event.writable && !event.ended);
                heard.ended += usize::from(event.ended);
            });
        }

        fn timeout(&self, _now: Instant) {
            self.0.change(|heard| heard.timeouts += 1);
        }

        fn broken(&self) {}
    }

    struct Setup {
        watch: Watch,
        ear: Arc<Ear>,
        own: OsStream,
        peer: OsStream,
        socket: FakeSocket,
    }

    impl Setup {
        fn new() -> Setup {
            let (socket, (own, peer)) = (FakeSocket::new(Traits::pair()), OsStream::pair());
            let watch = Watch::new(socket.reactor(), own.as_raw_fd());
            Setup { watch, ear: Arc::default(), own, peer, socket }
        }

        fn start(&self, wanted: Wanted) {
            self.watch.start(Arc::clone(&self.ear) as _, Standing::Fresh, || wanted).unwrap();
        }

        fn heard(&self) -> Heard {
            self.socket.settle();
            self.ear.0.change(|heard| *heard)
        }

        fn say(&self) {
            self.peer.write(&[IoSlice::new(b"x")]).unwrap();
        }
    }

    #[test]
    fn what_is_wanted_is_heard_once_for_each_renewal() {
        let setup = Setup::new();
        setup.start(READABLE);
        assert_eq!(setup.heard(), Heard::default());
        setup.say();
        setup.ear.0.wait_until("input", |heard| heard.readable == 1);
        // It is still there, and nobody has asked again.
        assert_eq!(setup.heard(), Heard { readable: 1, ..Heard::default() });
        setup.watch.renew(|| READABLE);
        setup.ear.0.wait_until("input", |heard| heard.readable == 2);
        setup.watch.renew(|| NOTHING);
        setup.say();
        assert_eq!(setup.heard(), Heard { readable: 2, ..Heard::default() });
        setup.watch.renew(|| Wanted { writable: true, ..NOTHING });
        setup.ear.0.wait_until("room", |heard| heard.writable == 1);
    }

    #[test]
    fn what_lasts_is_heard_as_long_as_it_is_so() {
        let setup = Setup::new();
        let lasting = Wanted { lasts: true, ..READABLE };
        setup.start(lasting);
        assert!(setup.watch.lasts());
        setup.say();
        setup.ear.0.wait_until("input, again and again", |heard| heard.readable > 2);
        // Together with what is mostly so, or without anything to read, nothing lasts.
        for other in [Wanted { writable: true, ..lasting }, Wanted { lasts: true, ..NOTHING }] {
            setup.watch.renew(|| other);
            assert!(!setup.watch.lasts());
            let calm = setup.heard();
            assert_eq!(setup.heard(), calm);
        }
    }

    #[test]
    fn the_end_is_heard_whatever_is_wanted() {
        let setup = Setup::new();
        setup.start(NOTHING);
        setup.peer.end();
        setup.ear.0.wait_until("the end", |heard| heard.ended == 1);
    }

    #[test]
    fn before_the_start_and_after_the_stop_nothing_is_asked_for() {
        let setup = Setup::new();
        let unasked = || -> Wanted { panic!("nobody is to ask") };
        setup.watch.renew(unasked);
        setup.watch.look_after(Duration::ZERO);
        setup.watch.stop();
        setup.start(READABLE);
        setup.watch.stop();
        setup.watch.renew(unasked);
        setup.watch.look_after(Duration::ZERO);
        setup.say();
        setup.peer.end();
        assert_eq!(setup.heard(), Heard::default());
        assert!(!setup.watch.is_deaf());
        // The reactor has let go of whoever listened.
        assert_eq!(Arc::strong_count(&setup.ear), 1);
    }

    #[test]
    fn a_look_comes_after_its_delay() {
        let setup = Setup::new();
        setup.start(READABLE);
        setup.watch.look_after(Duration::from_millis(1));
        setup.ear.0.wait_until("a look", |heard| heard.timeouts == 1);
        assert!(!setup.watch.is_deaf());
    }

    #[test]
    fn who_could_not_renew_it_is_called_until_he_can() {
        let setup = Setup::new();
        setup.start(NOTHING);
        setup.socket.reactor().unwatch(setup.own.as_raw_fd());
        for times in 1..3 {
            setup.watch.renew(|| READABLE);
            assert!(setup.watch.is_deaf());
            setup.ear.0.wait_until("another try", |heard| heard.timeouts == times);
        }
        let key = *setup.watch.key.get().unwrap();
        setup.socket.reactor().watch(key, setup.own.as_raw_fd(), Interest::default()).unwrap();
        setup.watch.renew(|| READABLE);
        assert!(!setup.watch.is_deaf());
        setup.say();
        setup.ear.0.wait_until("input", |heard| heard.readable == 1);
    }

    #[test]
    fn a_descriptor_that_is_none_cannot_be_watched() {
        let socket = FakeSocket::new(Traits::pair());
        let watch = Watch::new(socket.reactor(), -1);
        assert!(watch.start(Arc::new(Ear::default()), Standing::Fresh, || READABLE).is_err());
        watch.stop();
    }

    #[test]
    fn who_takes_a_watched_stream_over_hears_of_it_alone() {
        let (setup, before) = (Setup::new(), Arc::new(Ear::default()));
        let (reactor, descriptor) = (setup.socket.reactor(), setup.own.as_raw_fd());
        let key = reactor.add(|_| Arc::clone(&before) as _).unwrap();
        Standing::Fresh.watch(&reactor, key, descriptor, Interest::READABLE).unwrap();
        setup.watch.start(Arc::clone(&setup.ear) as _, Standing::Watched, || READABLE).unwrap();
        setup.say();
        setup.ear.0.wait_until("input", |heard| heard.readable == 1);
        assert_eq!(before.0.change(|heard| *heard), Heard::default());
        setup.watch.stop();
        assert!(reactor.rewatch(key, descriptor, Interest::READABLE).is_err());
    }

    #[test]
    fn without_memory_nobody_watches_what_was_to_be_taken_over() {
        let setup = Setup::new();
        let (reactor, descriptor) = (setup.socket.reactor(), setup.own.as_raw_fd());
        reactor.watch(Key(7), descriptor, Interest::READABLE).unwrap();
        let ear = Arc::clone(&setup.ear) as Arc<dyn Handler>;
        let started = memory::without_memory(|| {
            // Until the table of handlers is full.
            (0..10_000).find_map(|_| {
                reactor
                    .add(|_| Arc::clone(&ear))
                    .err()
                    .map(|_| setup.watch.start(Arc::clone(&ear), Standing::Watched, || READABLE))
            })
        });
        assert!(started.is_some_and(|result| result.is_err()));
        assert!(reactor.rewatch(Key(7), descriptor, Interest::READABLE).is_err());
    }

    const NOTHING: Wanted = Wanted { readable: false, writable: false, lasts: false };
    const READABLE: Wanted = Wanted { readable: true, ..NOTHING };
}
