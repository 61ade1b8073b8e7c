//! Who is bound to which name in this process, and who wants to connect to it.
//!
//! All joining happens under one lock, so that binding, connecting and closing in many threads
//! happen one after another. Sockets' locks are taken under it, one at a time, never the other
//! way round; and nothing is closed under it, because closing calls the endpoints back.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use super::Link;
use crate::error::Error;
use crate::memory::Map;
use crate::sync::{
    Mutex, Rank,
    atomic::{AtomicBool, AtomicU64, Ordering},
};
use crate::sys::{Inherited, PerProcess};
use crate::transports::{Connection, Fault, Host, Maker, Parting, Report};

/// An endpoint that listens to a name.
pub struct Binder {
    number: u64,
    name: Vec<u8>,
    host: Arc<dyn Host>,
}

/// An endpoint that wants to be connected to whoever listens to a name.
pub struct Connector {
    me: Weak<Connector>,
    number: u64,
    name: Vec<u8>,
    host: Arc<dyn Host>,
    /// Changes under the lock of the names.
    is_closed: AtomicBool,
    /// The binder that it does not fit, of which both have been told. So does this.
    unfit_for: AtomicU64,
}

#[derive(Default)]
struct Names {
    bound: Map<Vec<u8>, Arc<Binder>>,
    /// Those without a connection, by name and in the order in which they came. However many have
    /// theirs, nobody looks through them.
    waiting: Map<Vec<u8>, BTreeMap<u64, Arc<Connector>>>,
    /// Connectors that have their connection.
    joined: Map<u64, ()>,
}

/// What became of an attempt to join two.
enum Joining {
    Joined(Arc<Link>),
    /// These two never come together, and are to be told.
    Unfit([Arc<dyn Host>; 2]),
    /// These two do not come together now.
    Apart,
    /// Nor does anybody else with whoever is bound to the name, if somebody is.
    Refused,
}

/// What is to be done when the names are unlocked.
#[derive(Default)]
struct Outcome {
    opened: Vec<Arc<Link>>,
    unfit: Vec<[Arc<dyn Host>; 2]>,
}

impl Outcome {
    fn tell(&self) {
        self.opened.iter().for_each(|link| link.show_open());
        for [one, other] in &self.unfit {
            for (host, peer) in [(one, other), (other, one)] {
                let (found, wanted) = (Some(peer.own_type().number), host.peer_type().number);
                let fault = Some(Fault::WrongType { found, wanted });
                host.report(Report::HandshakeFailed { peer: None, fault });
            }
        }
    }
}

impl Binder {
    pub fn register(name: &[u8], host: Arc<dyn Host>) -> Result<Arc<Binder>, Error> {
        let number = NEXT.get().fetch_add(1, Ordering::Relaxed);
        let bound = Arc::new(Binder { number, name: name.to_owned(), host });
        let mut names = NAMES.get().lock();
        if names.bound.contains_key(name) {
            return Err(Error::AddressInUse);
        }
        names.bound.insert(name.to_owned(), Arc::clone(&bound));
        Ok(bound)
    }
}

impl Maker for Binder {
    fn start(&self) {
        self.retry();
    }

    fn close(&self) {
        let removed = NAMES.get().lock().bound.remove(&self.name);
        drop(removed);
    }

    fn connection_lost(&self, _parting: Parting) {}

    fn retry(&self) {
        let outcome = NAMES.get().lock().join_all(&self.name);
        outcome.tell();
    }
}

impl Connector {
    pub fn new(name: &[u8], host: Arc<dyn Host>) -> Arc<Connector> {
        let number = NEXT.get().fetch_add(1, Ordering::Relaxed);
        Arc::new_cyclic(|me| Connector {
            me: me.clone(),
            number,
            name: name.to_owned(),
            host,
            is_closed: AtomicBool::new(false),
            unfit_for: AtomicU64::new(NOBODY),
        })
    }
}

impl Maker for Connector {
    fn start(&self) {
        let outcome = {
            let mut names = NAMES.get().lock();
            if self.is_closed.load(Ordering::Relaxed) {
                return;
            }
            self.host.report(Report::Connecting);
            names.wait(self);
            names.join_number(&self.name, self.number)
        };
        outcome.tell();
    }

    fn close(&self) {
        let removed = {
            let mut names = NAMES.get().lock();
            self.is_closed.store(true, Ordering::Relaxed);
            names.joined.remove(&self.number);
            names.stop_waiting(self)
        };
        let was_waiting = removed.is_some();
        drop(removed);
        if was_waiting {
            self.host.report(Report::ConnectAbandoned);
        }
    }

    fn connection_lost(&self, _parting: Parting) {
        let outcome = {
            let mut names = NAMES.get().lock();
            if names.joined.remove(&self.number).is_some() {
                self.host.report(Report::Connecting);
                names.wait(self);
            }
            names.join_number(&self.name, self.number)
        };
        outcome.tell();
    }

    fn retry(&self) {
        let outcome = NAMES.get().lock().join_number(&self.name, self.number);
        outcome.tell();
    }
}

impl Names {
    fn wait(&mut self, connector: &Connector) {
        if let Some(me) = connector.me.upgrade() {
            self.waiting.entry(connector.name.clone()).or_default().insert(connector.number, me);
        }
    }

    fn stop_waiting(&mut self, connector: &Connector) -> Option<Arc<Connector>> {
        let all = self.waiting.get_mut(&connector.name)?;
        let removed = all.remove(&connector.number);
        if all.is_empty() {
            self.waiting.remove(&connector.name);
        }
        removed
    }

    /// Joins those who wait, one after the other, for as long as another is taken.
    fn join_all(&mut self, name: &[u8]) -> Outcome {
        let (mut outcome, mut next) = (Outcome::default(), 0);
        while let Some(connector) = self.waiting_from(name, next) {
            next = connector.number + 1;
            match self.join(&connector) {
                Joining::Joined(link) => outcome.opened.push(link),
                Joining::Unfit(hosts) => outcome.unfit.push(hosts),
                Joining::Apart => {}
                Joining::Refused => break,
            }
        }
        outcome
    }

    fn join_number(&mut self, name: &[u8], number: u64) -> Outcome {
        let mut outcome = Outcome::default();
        let found = self.waiting_from(name, number).filter(|it| it.number == number);
        match found.map(|connector| self.join(&connector)) {
            Some(Joining::Joined(link)) => outcome.opened.push(link),
            Some(Joining::Unfit(hosts)) => outcome.unfit.push(hosts),
            Some(Joining::Apart | Joining::Refused) | None => {}
        }
        outcome
    }

    /// The first that waits and came no earlier than the one with that number.
    fn waiting_from(&self, name: &[u8], number: u64) -> Option<Arc<Connector>> {
        let (_, connector) = self.waiting.get(name)?.range(number..).next()?;
        Some(Arc::clone(connector))
    }

    /// Connects `connector`, which waits, to whoever is bound to its name, if both sockets want
    /// that. They have to be told when the names are unlocked.
    fn join(&mut self, connector: &Connector) -> Joining {
        let Some(bound) = self.bound.get(&connector.name).map(Arc::clone) else {
            return Joining::Refused;
        };
        if !are_compatible(connector, &bound) {
            let before = connector.unfit_for.swap(bound.number, Ordering::Relaxed);
            let hosts = [&connector.host, &bound.host].map(Arc::clone);
            return if before == bound.number { Joining::Apart } else { Joining::Unfit(hosts) };
        }
        let hosts = [&connector.host, &bound.host];
        if !connector.host.is_wanting() {
            return Joining::Apart;
        }
        if !bound.host.is_wanting() {
            return Joining::Refused;
        }
        let [own, peer] = hosts.map(|host| host.settings());
        let [own, peer] = Link::sides([own.bounds_to(&peer), peer.bounds_to(&own)]);
        if bound.host.attach(Arc::clone(&peer) as Arc<dyn Connection>).is_err() {
            return Joining::Refused;
        }
        if connector.host.attach(Arc::clone(&own) as Arc<dyn Connection>).is_err() {
            peer.withdraw();
            return Joining::Apart;
        }
        if peer.is_closed() {
            // The bound socket was closed in between, when there was nobody to tell.
            own.withdraw();
            return Joining::Apart;
        }
        self.stop_waiting(connector);
        self.joined.insert(connector.number, ());
        connector.host.report(Report::Established);
        bound.host.report(Report::Accepted);
        own.link.open();
        Joining::Joined(Arc::clone(&own.link))
    }
}

fn are_compatible(connector: &Connector, bound: &Binder) -> bool {
    connector.host.peer_type() == bound.host.own_type()
        && bound.host.peer_type() == connector.host.own_type()
}

static NAMES: PerProcess<Mutex<Names>> =
    PerProcess::new(|| Mutex::new(Rank::Names, Names::default()));
static NEXT: Inherited<AtomicU64> = Inherited::new(AtomicU64::new(0));
/// No number of a binder.
const NOBODY: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeSocket, Traits};
    use crate::transports::TypeTag;
    use crate::transports::inproc::Inproc;
    use std::time::Instant;

    const PUSH: TypeTag = TypeTag { number: 0x50, name: "push" };
    const PULL: TypeTag = TypeTag { number: 0x51, name: "pull" };

    fn fresh_name() -> Vec<u8> {
        format!("names {}", NEXT.get().fetch_add(1, Ordering::Relaxed)).into_bytes()
    }

    fn binding(name: &[u8], traits: Traits) -> FakeSocket {
        let socket = FakeSocket::new(traits);
        assert_eq!(socket.bind(&Inproc, name).as_deref(), Ok(name));
        socket
    }

    fn connecting(name: &[u8], traits: Traits) -> FakeSocket {
        let socket = FakeSocket::new(traits);
        socket.connect(&Inproc, name);
        socket
    }

    fn are_joined(one: &FakeSocket, other: &FakeSocket) {
        one.pipe(0).try_send(b"hi").unwrap();
        assert_eq!(other.pipe(0).try_recv().as_deref(), Some(&b"hi"[..]));
    }

    #[test]
    fn who_binds_and_who_connects_are_joined_in_either_order_before_the_call_returns() {
        let name = fresh_name();
        let bound = binding(&name, Traits::pair());
        let connected = connecting(&name, Traits::pair());
        are_joined(&connected, &bound);
        assert_eq!(bound.reports(), [Report::Accepted]);
        assert_eq!(connected.reports(), [Report::Connecting, Report::Established]);
        let name = fresh_name();
        let connected = connecting(&name, Traits::pair());
        assert_eq!((connected.reports(), connected.pipes()), (vec![Report::Connecting], 0));
        let bound = binding(&name, Traits::pair());
        are_joined(&bound, &connected);
        assert_eq!(bound.reports(), [Report::Accepted]);
        assert_eq!(connected.reports(), [Report::Connecting, Report::Established]);
        for socket in [&bound, &connected] {
            assert_eq!(socket.pipe(0).news.change(|news| news.writable), 1);
        }
    }

    #[test]
    fn a_name_is_one_binders_until_it_closes() {
        let name = fresh_name();
        let first = binding(&name, Traits::pair());
        let second = FakeSocket::new(Traits::pair());
        assert_eq!(second.bind(&Inproc, &name), Err(Error::AddressInUse));
        let early = connecting(&name, Traits::pair());
        assert_eq!((first.pipes(), second.pipes()), (1, 0));
        first.close();
        second.bind(&Inproc, &name).unwrap();
        // Who was connected to the first is connected to the next.
        assert_eq!((early.pipes(), second.pipes()), (2, 1));
        let joined = [Report::Connecting, Report::Established];
        assert_eq!(early.reports(), [joined, joined].concat());
        // The same bytes and nothing else are the same name.
        let longer = [&name[..], b"\0"].concat();
        binding(&longer, Traits::pair());
        assert_eq!((early.pipes(), second.pipes()), (2, 1));
    }

    #[test]
    fn a_name_that_is_given_up_keeps_its_connections() {
        let name = fresh_name();
        let (bound, connected) =
            (binding(&name, Traits::pair()), connecting(&name, Traits::pair()));
        Binder { number: NOBODY, name: name.clone(), host: bound.host() }.close();
        are_joined(&bound, &connected);
        let late = connecting(&name, Traits::pair());
        assert_eq!(late.pipes(), 0);
        assert!(!NAMES.get().lock().bound.contains_key(&name));
    }

    #[test]
    fn all_who_wait_for_a_name_are_joined_as_far_as_they_are_wanted() {
        let name = fresh_name();
        let all: Vec<_> = (0..5).map(|_| connecting(&name, Traits::pair())).collect();
        let bound = binding(&name, Traits::pair().wanting(2));
        let joined = |all: &[FakeSocket]| all.iter().filter(|one| one.pipes() == 1).count();
        assert_eq!((bound.pipes(), joined(&all)), (2, 2));
        // Those who came first.
        assert_eq!(joined(&all[..2]), 2);
        all[0].close();
        bound.want(2);
        assert_eq!((bound.pipes(), joined(&all[..3])), (3, 3));
        bound.want(100);
        assert_eq!((bound.pipes(), joined(&all)), (5, 5));
        assert_eq!(bound.count(Report::Accepted), 5);
    }

    #[test]
    fn nobody_looks_through_those_who_are_joined_or_cannot_be() {
        let name = fresh_name();
        let bound = binding(&name, Traits::pair().wanting(1));
        let joined = connecting(&name, Traits::pair());
        assert!(!NAMES.get().lock().waiting.contains_key(&name));
        let waiting: Vec<_> = (0..9).map(|_| connecting(&name, Traits::pair())).collect();
        let questions = bound.questions();
        bound.want(1);
        // One answer is enough for all of them.
        assert_eq!(bound.questions(), questions + 1);
        joined.close();
        joined.host.close_connections(Instant::now());
        bound.want(1);
        assert_eq!((bound.pipes(), waiting[0].pipes()), (2, 1));
        assert_eq!(NAMES.get().lock().waiting[&name].len(), waiting.len() - 1);
    }

    #[test]
    fn sockets_that_do_not_go_together_stay_apart_and_in_nobodys_way() {
        let name = fresh_name();
        let same = connecting(&name, Traits::new(PULL, PUSH));
        let bound = binding(&name, Traits::new(PULL, PUSH));
        let right = connecting(&name, Traits::new(PUSH, PULL));
        // One that would talk to it, to which it would not.
        let one_sided = connecting(&name, Traits::new(PULL, PULL));
        are_joined(&right, &bound);
        // All are told of it once, however often the names are looked through.
        bound.want(9);
        same.want(9);
        let unfit = |found: TypeTag, wanted: TypeTag| {
            let (found, wanted) = (Some(found.number), wanted.number);
            let fault = Some(Fault::WrongType { found, wanted });
            Report::HandshakeFailed { peer: None, fault }
        };
        for (socket, wanted) in [(&same, PUSH), (&one_sided, PULL)] {
            assert_eq!(socket.reports(), [Report::Connecting, unfit(PULL, wanted)]);
            assert_eq!(socket.pipes(), 0);
        }
        let of_bound = unfit(PULL, PUSH);
        assert_eq!(bound.reports(), [of_bound, Report::Accepted, of_bound]);
        // Another one at that name is something new.
        bound.close();
        let other = binding(&name, Traits::new(PULL, PUSH));
        assert_eq!((other.count(of_bound), same.count(of_bound)), (2, 2));
    }

    #[test]
    fn a_connector_whose_socket_wants_nobody_waits_until_it_does() {
        let name = fresh_name();
        let bound = binding(&name, Traits::pair());
        let connected = connecting(&name, Traits::pair().wanting(0));
        assert_eq!((bound.pipes(), connected.pipes()), (0, 0));
        connected.want(1);
        are_joined(&connected, &bound);
        // It has its connection, however often it is asked.
        connected.want(9);
        bound.want(9);
        assert_eq!((bound.pipes(), connected.pipes()), (1, 1));
    }

    #[test]
    fn a_connector_that_waits_is_abandoned_once_and_one_that_is_joined_is_not() {
        let name = fresh_name();
        let waiting = connecting(&name, Traits::pair());
        (0..2).for_each(|_| waiting.close());
        assert_eq!(waiting.reports(), [Report::Connecting, Report::ConnectAbandoned]);
        let bound = binding(&name, Traits::pair());
        assert_eq!((bound.pipes(), waiting.pipes()), (0, 0));
        let joined = connecting(&name, Traits::pair());
        joined.close();
        assert_eq!(joined.reports(), [Report::Connecting, Report::Established]);
        assert!(!NAMES.get().lock().waiting.contains_key(&name));
        let closed = Connector::new(&name, joined.host());
        closed.close();
        closed.start();
        closed.retry();
        assert_eq!((joined.reports().len(), bound.pipes()), (2, 1));
    }

    #[test]
    fn a_side_whose_peer_does_not_come_is_withdrawn() {
        let name = fresh_name();
        let bound = binding(&name, Traits::pair());
        let late = FakeSocket::new(Traits::pair());
        // It wants one when it is asked, and none when it gets it.
        let host = Arc::clone(&late.host);
        late.when_asked(move || host.want(0));
        late.connect(&Inproc, &name);
        let side = bound.pipe(0);
        let news = side.news.change(|news| *news);
        assert_eq!((news.withdrawn, news.ended, news.writable), (1, 0, 0));
        assert!(side.try_send(b"nobody").is_err());
        assert_eq!((late.pipes(), late.reports()), (0, vec![Report::Connecting]));
        assert_eq!(bound.reports(), []);
        late.want(1);
        late.pipe(0).try_send(b"hi").unwrap();
        assert_eq!(bound.pipe(1).try_recv().as_deref(), Some(&b"hi"[..]));
        // Closing what was withdrawn tells nobody anything.
        side.connection.close(Instant::now());
        assert_eq!(late.pipe(0).news.change(|news| news.ended), 0);
    }

    #[test]
    fn a_bound_socket_that_wants_nobody_after_all_takes_nobody() {
        let name = fresh_name();
        let bound = binding(&name, Traits::pair());
        let host = Arc::clone(&bound.host);
        bound.when_asked(move || host.want(0));
        let connected = connecting(&name, Traits::pair());
        assert_eq!((bound.pipes(), connected.pipes()), (0, 0));
        bound.want(1);
        are_joined(&connected, &bound);
    }

    #[test]
    fn a_side_that_is_closed_before_its_peer_is_there_takes_the_peer_with_it() {
        let name = fresh_name();
        let bound = binding(&name, Traits::pair());
        let connected = FakeSocket::new(Traits::pair());
        let host = Arc::clone(&bound.host);
        connected.when_taken_in(move || {
            host.want(0);
            host.close_connections(Instant::now());
        });
        connected.connect(&Inproc, &name);
        let news = connected.pipe(0).news.change(|news| *news);
        assert_eq!((news.withdrawn, news.ended, news.writable), (1, 0, 0));
        assert_eq!(connected.reports(), [Report::Connecting]);
        assert_eq!(bound.reports(), []);
    }

    #[test]
    fn whoever_binds_connects_and_closes_at_the_same_time_all_are_joined_in_the_end() {
        let name = fresh_name();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let passing = connecting(&name, Traits::pair());
                        passing.close();
                        passing.await_ends_of_attempts();
                    }
                });
            }
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let socket = FakeSocket::new(Traits::pair());
                        let bound = socket.bind(&Inproc, &name);
                        assert!(matches!(bound, Ok(_) | Err(Error::AddressInUse)));
                    }
                });
            }
        });
        let all: Vec<_> = (0..3).map(|_| connecting(&name, Traits::pair())).collect();
        let bound = binding(&name, Traits::pair());
        assert_eq!(bound.pipes(), 3);
        assert!(all.iter().all(|one| one.pipes() == 1));
    }
}
