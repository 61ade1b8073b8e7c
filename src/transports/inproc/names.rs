//! Who is bound to which name in this process, and who wants to connect to it.
//!
//! All joining happens under one lock, so that binding, connecting and closing in many threads
//! happen one after another. Sockets' locks are taken under it, one at a time, never the other
//! way round; and nothing is closed under it, because closing calls the endpoints back.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use super::Link;
use crate::error::Error;
use crate::sync::{Mutex, Rank};
use crate::sys::PerProcess;
use crate::trace::Event;
use crate::transports::{Connection, Host, Maker, Parting, Report};

/// An endpoint that listens to a name.
pub struct Binder {
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
}

#[derive(Default)]
struct Names {
    bound: HashMap<Vec<u8>, Arc<Binder>>,
    connectors: HashMap<Vec<u8>, Vec<Arc<Connector>>>,
    /// Connectors that have their connection.
    joined: HashSet<u64>,
}

impl Binder {
    pub fn register(name: &[u8], host: Arc<dyn Host>) -> Result<Arc<Binder>, Error> {
        let bound = Arc::new(Binder { name: name.to_owned(), host });
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
        let opened = NAMES.get().lock().join_all(&self.name);
        opened.iter().for_each(|link| link.show_open());
    }
}

impl Connector {
    pub fn new(name: &[u8], host: Arc<dyn Host>) -> Arc<Connector> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Arc::new_cyclic(|me| Connector {
            me: me.clone(),
            number,
            name: name.to_owned(),
            host,
            is_closed: AtomicBool::new(false),
        })
    }
}

impl Maker for Connector {
    fn start(&self) {
        let Some(me) = self.me.upgrade() else { return };
        let opened = {
            let mut names = NAMES.get().lock();
            if self.is_closed.load(Ordering::Relaxed) {
                return;
            }
            self.host.report(Report::Connecting);
            names.connectors.entry(self.name.clone()).or_default().push(me);
            names.join(self)
        };
        opened.iter().for_each(|link| link.show_open());
    }

    fn close(&self) {
        let (removed, was_joined) = {
            let mut names = NAMES.get().lock();
            self.is_closed.store(true, Ordering::Relaxed);
            let was_joined = names.joined.remove(&self.number);
            (names.remove(self), was_joined)
        };
        let was_waiting = removed.is_some() && !was_joined;
        drop(removed);
        if was_waiting {
            self.host.report(Report::ConnectAbandoned);
        }
    }

    fn connection_lost(&self, _parting: Parting) {
        let was_joined = NAMES.get().lock().joined.remove(&self.number);
        if was_joined {
            self.host.report(Report::Connecting);
        }
        self.retry();
    }

    fn retry(&self) {
        let opened = NAMES.get().lock().join_number(&self.name, self.number);
        opened.iter().for_each(|link| link.show_open());
    }
}

impl Names {
    fn join_all(&mut self, name: &[u8]) -> Vec<Arc<Link>> {
        let all = self.connectors.get(name).cloned().unwrap_or_default();
        all.iter().filter_map(|connector| self.join(connector)).collect()
    }

    fn join_number(&mut self, name: &[u8], number: u64) -> Option<Arc<Link>> {
        let mut all = self.connectors.get(name).into_iter().flatten();
        let connector = all.find(|connector| connector.number == number).cloned()?;
        self.join(&connector)
    }

    /// Connects `connector` to whoever is bound to its name, if both sockets want that. They have
    /// to be told when the names are unlocked.
    fn join(&mut self, connector: &Connector) -> Option<Arc<Link>> {
        let bound = self.bound.get(&connector.name)?;
        if self.joined.contains(&connector.number) {
            return None;
        }
        if !are_compatible(connector, bound) {
            for host in [&connector.host, &bound.host] {
                host.trace(Event::HandshakeFailed, None, format_args!("error=Violation"));
            }
            return None;
        }
        let hosts = [&connector.host, &bound.host];
        if !hosts.iter().all(|host| host.is_wanting()) {
            return None;
        }
        let [own, peer] = Link::sides(hosts.map(|host| host.settings().recv_buffer));
        if bound.host.attach(Arc::clone(&peer) as Arc<dyn Connection>).is_err() {
            return None;
        }
        if connector.host.attach(Arc::clone(&own) as Arc<dyn Connection>).is_err() {
            peer.withdraw();
            return None;
        }
        if peer.is_closed() {
            // The bound socket was closed in between, when there was nobody to tell.
            own.withdraw();
            return None;
        }
        self.joined.insert(connector.number);
        connector.host.report(Report::Established);
        bound.host.report(Report::Accepted);
        own.link.open();
        Some(Arc::clone(&own.link))
    }

    fn remove(&mut self, connector: &Connector) -> Option<Arc<Connector>> {
        let all = self.connectors.get_mut(&connector.name)?;
        let position = all.iter().position(|other| other.number == connector.number)?;
        let removed = all.remove(position);
        if all.is_empty() {
            self.connectors.remove(&connector.name);
        }
        Some(removed)
    }
}

fn are_compatible(connector: &Connector, bound: &Binder) -> bool {
    connector.host.peer_type() == bound.host.own_type()
        && bound.host.peer_type() == connector.host.own_type()
}

static NAMES: PerProcess<Mutex<Names>> =
    PerProcess::new(|| Mutex::new(Rank::Names, Names::default()));
static NEXT: AtomicU64 = AtomicU64::new(0);
