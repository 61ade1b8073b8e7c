//! Accepts connections, and survives having no descriptor for them.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::greeter::Wire;
use super::greeting::{Beginning, Greeting};
use super::watch::Standing;
use crate::error::Error;
use crate::io::{Handler, Key, Reactor};
use crate::memory::{self, Attempt, OutOfMemory};
use crate::sync::{Mutex, OnceLock, Rank};
use crate::sys::{self, Accepted, Event, Interest, OsListener, OsStream};
use crate::transports::{Guard, Host, Maker, Parting, Renewal, Report, Visitor};

pub struct Listener {
    me: Weak<Listener>,
    host: Arc<dyn Host>,
    reactor: Arc<Reactor>,
    key: OnceLock<Key>,
    wire: Box<dyn Wire>,
    address: Vec<u8>,
    /// As it was asked for when the listener was made.
    guard: Guard,
    site: Site,
    /// How many greetings go on at once.
    beginnings_max: usize,
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

/// Where those come from who connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Site {
    Network,
    Machine,
}

#[derive(Default)]
struct State {
    is_closed: bool,
    /// Nobody is accepted before.
    is_started: bool,
    /// Nobody is accepted until the socket has received more.
    is_holding: bool,
    /// Nobody is accepted until a greeting is over, or the oldest has had its time.
    is_crowded: bool,
    greetings: BTreeMap<u64, Arc<Greeting>>,
    next_greeting: u64,
}

/// Whether there is room for one more greeting.
enum Place {
    Free,
    /// That of the oldest, which has had its time.
    Outstayed(Arc<Greeting>),
    /// Not before that moment.
    Taken(Instant),
}

struct Open {
    listener: OsListener,
    /// Connections in a row that went away before they were accepted.
    gone: u32,
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
        let site = if os_listener.is_on_network() { Site::Network } else { Site::Machine };
        let guard = host.guard();
        let beginnings_max = wire.beginnings_max(&*host);
        let open = Open { listener: os_listener, gone: 0, release };
        let listener = Arc::new_cyclic(|me| Listener {
            me: me.clone(),
            host,
            reactor,
            key: OnceLock::new(),
            wire,
            address,
            guard,
            site,
            beginnings_max,
            open: Mutex::new(Rank::Accepting, Some(open)),
            state: Mutex::new(Rank::Endpoint, State::default()),
        });
        let handler: Arc<dyn Handler> = Arc::clone(&listener) as _;
        let key = listener.reactor.add(|_| handler).map(|key| *listener.key.get_or_init(|| key));
        // Nobody is accepted before the start, and yet this can still fail the call. Who comes that
        // early is held, and so the start mostly needs not tell the kernel anything.
        let watched = key
            .map_err(Error::from)
            .and_then(|key| Ok(listener.reactor.watch(key, descriptor, ACCEPTING)?));
        if let Err(error) = watched {
            listener.close();
            return Err(error);
        }
        Ok(listener)
    }

    /// Accepts what waits, a bounded number at a time so that nobody else starves.
    fn accept(&self) {
        for _ in 0..ACCEPTS_MAX {
            if self.must_hold() {
                return self.hold();
            }
            let outstayed = match self.place() {
                Place::Free => None,
                Place::Outstayed(greeting) => Some(greeting),
                Place::Taken(until) => return self.wait_for_place(until),
            };
            let Ok(attempt) = Attempt::begin() else { return self.wait_for_memory() };
            let accepted = {
                let mut open = self.open.lock();
                let Some(open) = &mut *open else { return };
                open.accept()
            };
            match accepted {
                Ok(Accepted::Connection(stream)) => {
                    if let Err(fault) = self.guard.judge(self.visitor(&stream)) {
                        let peer = stream.peer_address();
                        drop(stream);
                        self.host.report(Report::TurnedAway { peer, fault });
                        continue;
                    }
                    outstayed.into_iter().for_each(|greeting| greeting.give_up());
                    if self.greet(stream, attempt).is_err() {
                        return self.wait_for_memory();
                    }
                }
                Ok(Accepted::Gone(_)) => {}
                Ok(Accepted::Nobody) => return,
                Err(error) => {
                    self.host.report(Report::AcceptFailed(error.into()));
                    return self.pause();
                }
            }
        }
    }

    /// Where many say nothing, each of them has a moment nevertheless, because who is only slow
    /// looks the same; and who comes behind them waits no longer than they do. Who has said
    /// everything, and waits for the socket to want him, is in nobody's way.
    fn place(&self) -> Place {
        let mut state = self.state.lock();
        state.is_crowded = false;
        if state.greetings.len() < self.beginnings_max {
            return Place::Free;
        }
        let mut beginning = state.greetings.values().filter(|greeting| !greeting.is_held());
        let Some(oldest) = beginning.next() else { return Place::Free };
        if beginning.count() + 1 < self.beginnings_max {
            return Place::Free;
        }
        let left = PATIENCE.saturating_sub(oldest.age());
        if !left.is_zero() {
            state.is_crowded = true;
            return Place::Taken(sys::now() + left);
        }
        Place::Outstayed(Arc::clone(oldest))
    }

    /// Who comes meanwhile waits in the backlog.
    fn wait_for_place(&self, until: Instant) {
        self.rewatch(Interest::default());
        if let Some(key) = self.key.get() {
            self.reactor.set_timer(*key, Some(until));
        }
    }

    fn greeting_is_over(&self, number: u64) {
        let was_crowded = {
            let mut state = self.state.lock();
            state.greetings.remove(&number);
            std::mem::take(&mut state.is_crowded)
        };
        if was_crowded {
            self.rewatch(ACCEPTING);
        }
    }

    /// What the guard has to know of somebody.
    fn visitor(&self, stream: &OsStream) -> Visitor {
        match self.site {
            Site::Network => Visitor::FromNetwork(stream.peer_address()),
            Site::Machine if self.guard.user.is_none() => Visitor::FromMachine { user: None },
            Site::Machine => {
                let user = stream.peer_credentials().map(|credentials| credentials.user);
                Visitor::FromMachine { user }
            }
        }
    }

    /// Who comes meanwhile waits in the backlog.
    fn wait_for_memory(&self) {
        self.host.report(Report::AcceptFailed(Error::OutOfMemory));
        self.pause();
    }

    fn greet(&self, stream: OsStream, attempt: Attempt) -> Result<(), OutOfMemory> {
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
                listener.greeting_is_over(number);
            }
        };
        let (host, greeter) = (Arc::clone(&self.host), self.wire.greeter(&*self.host));
        let greeting = self.wire.cover(stream).map_err(|_| OutOfMemory).and_then(|stream| {
            let beginning = Beginning { stream, standing: Standing::Fresh, greeter };
            Greeting::start(beginning, host, &self.reactor, Box::new(done))
        });
        let greeting = greeting.inspect_err(|OutOfMemory| self.host.report(Report::Dropped))?;
        let kept = {
            let mut state = self.state.lock();
            if !state.is_closed {
                state.greetings.insert(number, Arc::clone(&greeting));
            }
            match attempt.check() {
                Ok(()) if !state.is_closed => return Ok(()),
                Ok(()) => Ok(()),
                Err(error) => {
                    state.greetings.remove(&number);
                    Err(error)
                }
            }
        };
        if greeting.cancel() {
            self.host.report(Report::Dropped);
        }
        kept
    }

    /// Nobody can be accepted, mostly for want of a descriptor: leave them in the backlog for a
    /// while.
    fn pause(&self) {
        self.rewatch(Interest::default());
        if let Some(key) = self.key.get() {
            self.reactor.set_timer(*key, Some(sys::now() + PAUSE));
        }
    }

    fn must_hold(&self) -> bool {
        !self.state.lock().is_started || self.host.is_behind()
    }

    /// Leaves those who come in the kernel's backlog, where they send nothing, until the socket has
    /// received more of what others have left, or has this started.
    fn hold(&self) {
        self.rewatch(Interest::default());
        self.state.lock().is_holding = true;
        // It may have done so before it could see that we hold.
        if !self.must_hold() {
            self.resume();
        }
    }

    fn resume(&self) {
        let was_holding = std::mem::take(&mut self.state.lock().is_holding);
        if was_holding {
            self.rewatch(ACCEPTING);
        }
    }

    fn rewatch(&self, interest: Interest) {
        let open = self.open.lock();
        if let (Some(open), Some(key)) = (&*open, self.key.get()) {
            let rewatched = self.reactor.rewatch(*key, open.listener.as_raw_fd(), interest);
            if rewatched.is_err() {
                // The kernel is short of something; without another try nobody is accepted again.
                self.reactor.set_timer(*key, Some(sys::now() + PAUSE));
            }
        }
    }
}

impl Open {
    /// Many in a row that went away are no accident of theirs: it is the network or the kernel that
    /// is in trouble, and would be asked in a tight loop.
    fn accept(&mut self) -> io::Result<Accepted> {
        let accepted = self.listener.accept();
        match accepted {
            Ok(Accepted::Gone(error)) if self.gone >= GONE_MAX => return Err(error),
            Ok(Accepted::Gone(_)) => self.gone += 1,
            Ok(Accepted::Connection(_) | Accepted::Nobody) => self.gone = 0,
            Err(_) => {}
        }
        accepted
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
        self.state.lock().is_started = true;
        self.resume();
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

    fn renew(&self) -> Result<Renewal<'_>, Error> {
        self.wire.renew(&*self.host)
    }

    fn retry(&self) {
        self.resume();
        // Without memory they stay where they are, and come again when their time is over.
        let greetings = {
            let state = self.state.lock();
            memory::collect(state.greetings.values().map(Arc::clone))
        };
        greetings.iter().flatten().for_each(|greeting| greeting.retry());
    }

    fn address(&self) -> Option<&[u8]> {
        Some(&self.address)
    }
}

const ACCEPTING: Interest = Interest { readable: true, writable: false, ended: false, once: false };
const ACCEPTS_MAX: usize = 64;
const GONE_MAX: u32 = 8;
const PAUSE: Duration = Duration::from_millis(100);
/// How long everybody is greeted, however many others wait for that.
const PATIENCE: Duration = Duration::from_millis(1000);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{Address, random};
    use crate::testing::{FakeSocket, Traits, Watched};
    use crate::transports::stream::Decline;
    use crate::transports::stream::fixtures::{HELLO, Peer, Script};
    use crate::transports::{Fault, Networks};

    /// A name without a file that no other test uses.
    fn fresh_name() -> Address {
        Address::Name(format!("spmsg listens {:x}", random()).into_bytes())
    }

    fn listener_at(address: &Address, socket: &FakeSocket) -> Arc<Listener> {
        let bound = Bound::plain(OsListener::listening(address, 100).unwrap(), "here");
        Listener::new(bound, Box::new(Script::default()), socket.host()).unwrap()
    }

    fn dial(address: &Address) -> Peer {
        let mut stream = OsStream::new(address).unwrap();
        assert!(stream.connect(address).unwrap());
        Peer(stream)
    }

    fn setup() -> (FakeSocket, Arc<Listener>, Address) {
        let (socket, address) = (FakeSocket::new(Traits::pair()), fresh_name());
        let listener = listener_at(&address, &socket);
        (socket, listener, address)
    }

    #[test]
    fn all_who_come_are_greeted_however_many_at_once() {
        let (socket, listener, address) = setup();
        let peers: Vec<Peer> = (0..ACCEPTS_MAX + 10).map(|_| dial(&address)).collect();
        // They wait for the start.
        socket.settle();
        assert_eq!(socket.reports(), []);
        socket.start(listener);
        for peer in &peers {
            assert_eq!(peer.read(2), b"hi");
            peer.write(HELLO);
            assert_eq!(peer.read(2), b"ok");
        }
        assert_eq!(socket.pipes(), peers.len());
        assert_eq!(socket.count(Report::Accepted), peers.len());
    }

    fn crowded(script: Script, traits: Traits) -> (FakeSocket, Vec<Peer>) {
        let (socket, address) = (FakeSocket::new(traits), fresh_name());
        let bound = Bound::plain(OsListener::listening(&address, 100).unwrap(), "here");
        let listener = Listener::new(bound, Box::new(script), socket.host()).unwrap();
        socket.start(listener);
        (socket, (0..5).map(|_| dial(&address)).collect())
    }

    #[test]
    fn who_says_nothing_keeps_others_waiting_for_a_moment_only() {
        let script = Script { beginnings_max: 2, ..Script::default() };
        let (socket, peers) = crowded(script, Traits::pair());
        let timed_out = Report::HandshakeFailed { peer: None, fault: Some(Fault::TimedOut) };
        // The last two find the places of those in front of them.
        socket.await_reports(3, timed_out);
        assert_eq!(peers[4].read(2), b"hi");
        assert_eq!(socket.count(timed_out), 3);
        peers[3].write(HELLO);
        assert_eq!(peers[3].read(4), b"hiok");
    }

    #[test]
    fn who_waits_for_the_socket_to_want_him_takes_no_place() {
        let decline = Decline::AtLimit(b"later".to_vec());
        let script = Script { beginnings_max: 1, decline, ..Script::default() };
        let (socket, peers) = crowded(script, Traits::pair().wanting(0));
        for peer in &peers {
            assert_eq!(peer.read(2), b"hi");
            peer.write(HELLO);
        }
        assert_eq!(socket.count(Report::Accepted), peers.len());
        assert!(peers.iter().all(Peer::hears_nothing));
        let timed_out = Report::HandshakeFailed { peer: None, fault: Some(Fault::TimedOut) };
        assert_eq!(socket.count(timed_out), 0);
    }

    #[test]
    fn a_greeting_that_is_over_is_forgotten() {
        let (socket, listener, address) = setup();
        socket.start(Arc::clone(&listener) as _);
        let (well, badly) = (dial(&address), dial(&address));
        well.write(HELLO);
        badly.write(b"hullo");
        assert_eq!((well.read(4), badly.read_to_end()), (b"hiok".to_vec(), b"hi".to_vec()));
        socket.settle();
        assert!(listener.state.lock().greetings.is_empty());
    }

    #[test]
    fn a_close_releases_once_and_gives_the_name_up() {
        let (socket, address) = (FakeSocket::new(Traits::pair()), fresh_name());
        let released = Arc::new(Watched::new(0));
        let count = Arc::clone(&released);
        let bound = Bound {
            listener: OsListener::listening(&address, 100).unwrap(),
            address: b"here".to_vec(),
            release: Box::new(move || count.change(|count| *count += 1)),
        };
        let listener = Listener::new(bound, Box::new(Script::default()), socket.host()).unwrap();
        assert_eq!(listener.address(), Some(&b"here"[..]));
        socket.start(Arc::clone(&listener) as _);
        let peer = dial(&address);
        socket.await_reports(1, Report::Accepted);
        for _ in 0..2 {
            listener.close();
            assert_eq!(released.change(|count| *count), 1);
        }
        let next = listener_at(&address, &socket);
        assert_eq!(peer.read_to_end(), b"hi");
        // If it had come to the close while it began to greet, it is the reactor that reports.
        socket.settle();
        assert_eq!(socket.count(Report::Dropped), 1);
        // Whatever was under way.
        listener.ready(Event { key: 0, readable: true, writable: false, ended: false });
        listener.timeout(Instant::now());
        listener.start();
        next.close();
    }

    #[test]
    fn who_is_accepted_when_it_closes_is_dropped() {
        let (socket, listener, _address) = setup();
        listener.close();
        let (own, peer) = OsStream::pair();
        listener.greet(own, Attempt::watch()).unwrap();
        assert_eq!(socket.reports(), [Report::Accepted, Report::Dropped]);
        drop(listener);
        assert_eq!(Peer(peer).read_to_end(), b"hi");
    }

    #[test]
    fn nobody_is_accepted_while_the_socket_is_behind() {
        let (socket, listener, address) = setup();
        socket.start(Arc::clone(&listener) as _);
        let early = dial(&address);
        assert_eq!(early.read(2), b"hi");
        socket.fall_behind();
        let late = dial(&address);
        // The kernel has told of it by then.
        socket.settle();
        assert_eq!(socket.count(Report::Accepted), 1);
        socket.catch_up();
        assert_eq!(late.read(2), b"hi");
        // What was received while the kernel was told to be silent is not overlooked.
        listener.hold();
        assert_eq!(dial(&address).read(2), b"hi");
        listener.close();
        listener.hold();
        socket.catch_up();
    }

    #[test]
    fn strangers_are_let_go_before_a_word_and_hinder_nobody() {
        let (socket, address) = (FakeSocket::new(Traits::pair()), fresh_name());
        let own = OsStream::pair().0.peer_credentials().unwrap().user;
        let guard = |user| Guard { user: Some(user), networks: None };
        socket.let_in(guard(own + 1));
        let listener = listener_at(&address, &socket);
        // What is asked for later counts for those that are made later.
        socket.let_in(Guard::default());
        socket.start(Arc::clone(&listener) as _);
        let fault = Fault::Stranger { users: Some((own, own + 1)) };
        for _ in 0..3 {
            assert_eq!(dial(&address).read_to_end(), b"");
        }
        socket.await_reports(3, Report::TurnedAway { peer: None, fault });
        assert_eq!((socket.count(Report::Accepted), socket.pipes()), (0, 0));
        assert!(listener.state.lock().greetings.is_empty());
        let (socket, address) = (FakeSocket::new(Traits::pair()), fresh_name());
        socket.let_in(guard(own));
        socket.start(listener_at(&address, &socket));
        let peer = dial(&address);
        assert_eq!(peer.read(2), b"hi");
        peer.write(HELLO);
        assert_eq!(peer.read(2), b"ok");
        assert_eq!(socket.reports(), [Report::Accepted]);
    }

    #[test]
    fn on_a_network_it_is_the_address_that_counts() {
        let networks = |text: &[u8]| {
            let networks = Networks::parse(text).unwrap().map(Arc::new);
            Guard { user: Some(0), networks }
        };
        for (list, is_in) in [(&b"127.0.0.0/8, ::1"[..], true), (b"10.0.0.0/8", false)] {
            let socket = FakeSocket::new(Traits::pair());
            socket.let_in(networks(list));
            let anywhere = Address::Internet(([127, 0, 0, 1], 0).into());
            let os = OsListener::listening(&anywhere, 10).unwrap();
            let address = Address::Internet(os.own_address().unwrap());
            let bound = Bound::plain(os, "here");
            let wire = Box::new(Script::default());
            socket.start(Listener::new(bound, wire, socket.host()).unwrap());
            let mut stream = OsStream::new(&address).unwrap();
            let _ = stream.connect(&address).unwrap();
            let peer = Peer(stream);
            if is_in {
                assert_eq!(peer.read(2), b"hi");
            } else {
                socket.await_report(|report| {
                    matches!(
                        report,
                        Report::TurnedAway {
                            peer: Some(_),
                            fault: Fault::Stranger { users: None },
                        }
                    )
                });
            }
        }
    }

    #[test]
    fn a_pause_comes_to_its_end() {
        let (socket, listener, address) = setup();
        socket.start(Arc::clone(&listener) as _);
        listener.pause();
        // Nobody calls for him: it is the end of the pause that does.
        let peer = dial(&address);
        assert_eq!(peer.read(2), b"hi");
        assert_eq!(socket.reports(), [Report::Accepted]);
        listener.close();
    }

    #[test]
    fn after_a_failure_it_pauses_however_often_the_kernel_cannot_be_told() {
        let (socket, listener, address) = setup();
        socket.start(Arc::clone(&listener) as _);
        // One that does not listen cannot accept, as one cannot for which there is no descriptor.
        let deaf = OsListener::new(&address).unwrap();
        let swap = |other| {
            let mut open = listener.open.lock();
            std::mem::replace(&mut open.as_mut().unwrap().listener, other)
        };
        let good = swap(deaf);
        listener.accept();
        let failed = socket.reports();
        assert!(matches!(failed[..], [Report::AcceptFailed(Error::Invalid | Error::System(_))]));
        // Nobody watches this one, so that the end of the pause comes to nothing, too.
        listener.timeout(Instant::now());
        drop(swap(good));
        let peer = dial(&address);
        assert_eq!(peer.read(2), b"hi");
        socket.await_reports(1, Report::Accepted);
        listener.close();
    }

    #[test]
    fn what_cannot_be_watched_is_no_listener() {
        let (socket, address) = (FakeSocket::new(Traits::pair()), fresh_name());
        let (first, bad) = (socket.reactor(), OsListener::listening(&address, 1).unwrap());
        // The kernel watches it already, for somebody else.
        first.watch(Key(7), bad.as_raw_fd(), Interest::default()).unwrap();
        let bound = Bound::plain(bad, "here");
        assert!(Listener::new(bound, Box::new(Script::default()), socket.host()).is_err());
        // The name is free again.
        OsListener::listening(&address, 1).unwrap();
    }

    #[test]
    fn a_lost_connection_and_a_bug_are_the_sockets_business() {
        let (socket, listener, _address) = setup();
        listener.connection_lost(Parting::Passing);
        assert_eq!(socket.reports(), []);
        listener.broken();
        socket.await_breakdown();
        listener.close();
    }
}
