//! One socket: a protocol, its pipes and its endpoints under one short lock.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

use parking_lot::Mutex;

use super::endpoint::{Endpoint, Printer, transport_of};
use super::events::Events;
use super::linger::{self, Lingering};
use super::options::Options;
use super::order::{SocketGuard, SocketLock};
use super::pipe::{Aftermath, Pipe, PipeTable, View};
use super::readiness::Shown;
use super::statistics::{Statistics, Traffic};
use super::timer::Timer;
use super::wait::Waiting;
use crate::error::Error;
use crate::io::LazyReactor;
use crate::protocols::{PipeId, Protocol, Readiness, SendPriority, SocketType};
use crate::transports::{self, Connection, Dialect, Pace, Pacer};

pub struct Socket {
    me: Weak<Socket>,
    handle: i32,
    domain: i32,
    socket_type: &'static SocketType,
    reactor: Arc<LazyReactor>,
    printer: Option<Printer>,
    options: Arc<Options>,
    statistics: Arc<Statistics>,
    events: Arc<Events>,
    state: SocketLock<State>,
    pub(super) waiting: Waiting,
    shown: Shown,
    pub(super) timer: Timer,
    /// How closely the sends follow each other, if there are several pipes. One pipe follows them
    /// by itself, which needs fewer looks at the clock.
    pub(super) pacer: Pacer,
    /// The protocol wants to hear what its pipes can do.
    pub(super) follows_pipes: bool,
    is_closing: AtomicBool,
    /// A bug was found while it was used; it is of no use any more.
    is_poisoned: AtomicBool,
    /// Sockets on which somebody waits who wants to hear of the end of this one.
    companions: Mutex<Vec<Weak<Socket>>>,
    /// Nobody waits for the descriptors of pipes: the reactor reads.
    pub(super) reads_in_background: AtomicBool,
}

/// What all sockets of one library state have in common.
#[derive(Clone)]
pub struct Shared {
    pub reactor: Arc<LazyReactor>,
    pub printer: Option<Printer>,
}

pub struct State {
    pub protocol: Box<dyn Protocol>,
    pub pipes: PipeTable,
    pub endpoints: BTreeMap<i32, Entry>,
    next_endpoint: i32,
    pub traffic: Traffic,
    /// What the descriptors show.
    pub shown: Readiness,
    /// When the reactor will say that time has passed.
    pub armed: Option<Instant>,
    pub is_closing: bool,
}

/// One endpoint, by the number that the user knows.
pub struct Entry {
    pub host: Arc<Endpoint>,
    /// What listens or connects. Absent for the moment in which the transport makes it.
    pub worker: Option<Arc<dyn transports::Endpoint>>,
}

#[derive(Clone, Copy)]
enum Way {
    Bind,
    Connect,
}

impl Socket {
    pub(super) fn new(
        handle: i32,
        domain: i32,
        socket_type: &'static SocketType,
        protocol: Box<dyn Protocol>,
        shared: &Shared,
    ) -> Arc<Socket> {
        let state = State {
            protocol,
            pipes: PipeTable::default(),
            endpoints: BTreeMap::new(),
            next_endpoint: 1,
            traffic: Traffic::default(),
            shown: Readiness::default(),
            armed: None,
            is_closing: false,
        };
        let follows_pipes = state.protocol.follows_pipes();
        Arc::new_cyclic(|me| Socket {
            me: me.clone(),
            handle,
            domain,
            socket_type,
            reactor: Arc::clone(&shared.reactor),
            printer: shared.printer,
            options: Arc::default(),
            statistics: Arc::default(),
            events: Arc::default(),
            state: SocketLock::new(state),
            waiting: Waiting::default(),
            shown: Shown::default(),
            timer: Timer::default(),
            pacer: Pacer::default(),
            follows_pipes,
            is_closing: AtomicBool::new(false),
            is_poisoned: AtomicBool::new(false),
            companions: Mutex::default(),
            reads_in_background: AtomicBool::new(false),
        })
    }

    /// Starts listening at `address`. Returns the number of the endpoint.
    ///
    /// # Errors
    /// When the address is malformed or cannot be had.
    pub fn bind(&self, address: &[u8], dialect: Dialect) -> Result<i32, Error> {
        self.add_endpoint(address, dialect, Way::Bind)
    }

    /// Starts connecting to `address`. Returns the number of the endpoint.
    ///
    /// # Errors
    /// When the address is malformed.
    pub fn connect(&self, address: &[u8], dialect: Dialect) -> Result<i32, Error> {
        self.add_endpoint(address, dialect, Way::Connect)
    }

    fn add_endpoint(&self, address: &[u8], dialect: Dialect, way: Way) -> Result<i32, Error> {
        let (transport, rest) = transport_of(address)?;
        // It is known before the transport starts, which may attach connections at once.
        let endpoint = self.reserve_endpoint(transport.scheme(), rest)?;
        let (id, host) = (endpoint.id, endpoint as _);
        let started = match way {
            Way::Bind => transport.bind(rest, dialect, host),
            Way::Connect => transport.connect(rest, dialect, host),
        };
        let mut state = self.lock();
        let worker = match started {
            Ok(worker) => worker,
            Err(error) => {
                state.endpoints.remove(&id);
                // A call that fails uses no number up.
                if state.next_endpoint == id + 1 {
                    state.next_endpoint = id;
                }
                return Err(error);
            }
        };
        let entry = state.endpoints.get_mut(&id);
        let is_wanted = entry.is_some();
        if let Some(entry) = entry {
            entry.worker = Some(Arc::clone(&worker));
        }
        let is_closing = state.is_closing;
        drop(state);
        if is_wanted {
            worker.start();
        } else {
            // Another thread has shut the endpoint down already, or closed the socket.
            worker.close();
        }
        if is_closing { Err(Error::NotOpen) } else { Ok(id) }
    }

    fn reserve_endpoint(&self, scheme: &'static str, rest: &[u8]) -> Result<Arc<Endpoint>, Error> {
        let mut state = self.lock();
        if state.is_closing {
            return Err(Error::NotOpen);
        }
        let endpoint = Arc::new(Endpoint {
            id: state.next_endpoint,
            socket: self.me.clone(),
            socket_type: self.socket_type,
            reactor: Arc::clone(&self.reactor),
            options: Arc::clone(&self.options),
            statistics: Arc::clone(&self.statistics),
            events: Arc::clone(&self.events),
            priorities: self.options.priorities(),
            scheme,
            address: rest.to_vec(),
            error: Mutex::default(),
            printer: self.printer,
            is_closed: AtomicBool::new(false),
        });
        state.next_endpoint += 1;
        let entry = Entry { host: Arc::clone(&endpoint), worker: None };
        state.endpoints.insert(endpoint.id, entry);
        Ok(endpoint)
    }

    /// Where an endpoint is bound or connects to, with the scheme.
    ///
    /// # Errors
    /// `Invalid` when there is no such endpoint.
    pub fn address(&self, id: i32) -> Result<Vec<u8>, Error> {
        let state = self.lock();
        let Entry { host, worker } = state.endpoints.get(&id).ok_or(Error::Invalid)?;
        let known = worker.as_ref().and_then(|worker| worker.address());
        Ok(host.locate(known.unwrap_or(&host.address)))
    }

    /// Ends one endpoint and its connections, when what was sent on them is written.
    ///
    /// # Errors
    /// `Invalid` when there is no such endpoint.
    pub fn shutdown(&self, id: i32) -> Result<(), Error> {
        let entry = self.lock().endpoints.remove(&id).ok_or(Error::Invalid)?;
        entry.close();
        let connections = self.detach_all(|pipe| pipe.host.id == id);
        linger::end(&self.lingering(connections));
        self.retry_endpoints();
        Ok(())
    }

    /// Begins to end everything. Threads that are blocked in calls leave them. Later calls find a
    /// socket that is closing. The one caller whose close it is gets what has to be ended yet.
    pub(super) fn close(&self) -> Option<Vec<Lingering>> {
        if self.is_closing.swap(true, Ordering::SeqCst) {
            return None;
        }
        let endpoints = {
            let mut state = self.lock();
            state.is_closing = true;
            std::mem::take(&mut state.endpoints)
        };
        self.shown.show_closed();
        self.events.show_closed();
        self.wake_everybody();
        self.forget_timer();
        endpoints.values().for_each(Entry::close);
        let connections = self.detach_all(|_| true);
        Some(self.lingering(connections))
    }

    /// All connections, for the end of the process.
    pub(super) fn connections(&self) -> Vec<Lingering> {
        let connections =
            self.lock().pipes.iter().map(|pipe| Arc::clone(&pipe.connection)).collect();
        self.lingering(connections)
    }

    fn lingering(&self, connections: Vec<Arc<dyn Connection>>) -> Vec<Lingering> {
        let deadline = self.options.linger_deadline();
        let lingering = |connection| Lingering { connection, deadline };
        connections.into_iter().map(lingering).collect()
    }

    /// Takes the socket out of service.
    pub fn poison(&self) {
        self.is_poisoned.store(true, Ordering::Relaxed);
        self.wake_everybody();
    }

    /// From now on who waits on `other` hears of the end of this socket.
    pub(super) fn add_companion(&self, other: &Socket) {
        self.companions.lock().push(other.me());
    }

    pub(super) fn remove_companion(&self, other: &Socket) {
        let mut companions = self.companions.lock();
        let is_it = |companion: &Weak<Socket>| companion.ptr_eq(&other.me);
        if let Some(at) = companions.iter().position(is_it) {
            companions.swap_remove(at);
        }
    }

    /// The socket is of no use any more, and everybody who waits should find out.
    fn wake_everybody(&self) {
        self.waiting.ring_all();
        let companions: Vec<_> = self.companions.lock().iter().filter_map(Weak::upgrade).collect();
        companions.iter().for_each(|companion| companion.waiting.ring_all());
    }

    #[inline]
    pub(super) fn is_usable(&self) -> bool {
        !self.is_closing.load(Ordering::Relaxed) && !self.is_poisoned.load(Ordering::Relaxed)
    }

    #[inline]
    pub(super) fn lock(&self) -> SocketGuard<'_, State> {
        self.state.lock()
    }

    pub(super) fn handle(&self) -> i32 {
        self.handle
    }

    pub(super) fn domain(&self) -> i32 {
        self.domain
    }

    pub(super) fn socket_type(&self) -> &'static SocketType {
        self.socket_type
    }

    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    pub(super) fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    pub(super) fn events(&self) -> &Events {
        &self.events
    }

    pub(super) fn traffic(&self) -> Traffic {
        self.lock().traffic
    }

    pub(super) fn send_priority(&self) -> SendPriority {
        self.lock().protocol.send_priority()
    }

    pub(super) fn me(&self) -> Weak<Socket> {
        self.me.clone()
    }

    pub(super) fn reactor(&self) -> &LazyReactor {
        &self.reactor
    }

    pub(super) fn shown(&self) -> &Shown {
        &self.shown
    }
}

impl Entry {
    fn close(&self) {
        if let Some(worker) = &self.worker {
            worker.close();
        }
        self.host.close();
    }
}

impl State {
    /// The protocol, and what it may do with the rest.
    #[inline]
    pub fn parts<'a>(
        &'a mut self,
        options: &'a Options,
        aftermath: &'a mut Aftermath,
    ) -> (&'a mut dyn Protocol, View<'a>) {
        let dropped = &mut self.traffic.messages_dropped;
        let pace = Pace::Unhurried;
        let view = View { table: &mut self.pipes, aftermath, options, pace, dropped };
        (&mut *self.protocol, view)
    }

    /// Ended pipes go when their last message has been taken. They are to be dropped outside the
    /// lock, because the last owner of a connection closes it.
    pub fn remove_drained(&mut self, aftermath: &mut Aftermath) -> Vec<Pipe> {
        if aftermath.drained.is_empty() {
            return Vec::new();
        }
        let drained = std::mem::take(&mut aftermath.drained);
        drained.into_iter().filter_map(|id| self.remove_pipe(id)).collect()
    }

    pub fn remove_pipe(&mut self, id: PipeId) -> Option<Pipe> {
        let pipe = self.pipes.remove(id)?;
        self.protocol.remove_pipe(id);
        Some(pipe)
    }
}
