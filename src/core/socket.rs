//! One socket: a protocol, its pipes and its endpoints under one short lock.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::endpoint::{Endpoint, transport_of};
use super::linger::{self, Lingering};
use super::options::Options;
use super::order::{SocketGuard, SocketLock};
use super::pipe::{News, Pipe, PipeTable};
use super::readiness::Shown;
use super::statistics::{Statistics, Traffic};
use super::wait::Waiting;
use crate::error::Error;
use crate::io::LazyReactor;
use crate::protocols::{PipeId, Protocol, Readiness, SocketType};
use crate::transports::{self, Connection, Rejected};

pub struct Socket {
    me: Weak<Socket>,
    handle: i32,
    domain: i32,
    socket_type: &'static SocketType,
    reactor: Arc<LazyReactor>,
    options: Arc<Options>,
    statistics: Arc<Statistics>,
    state: SocketLock<State>,
    pub(super) waiting: Waiting,
    shown: Shown,
    is_closing: AtomicBool,
    /// A bug was found while it was used; it is of no use any more.
    is_poisoned: AtomicBool,
    /// Nobody waits for the descriptors of pipes: the reactor reads.
    reads_in_background: AtomicBool,
}

pub struct State {
    pub protocol: Box<dyn Protocol>,
    pub pipes: PipeTable,
    endpoints: BTreeMap<i32, Entry>,
    next_endpoint: i32,
    pub traffic: Traffic,
    /// What the descriptors show.
    pub shown: Readiness,
    pub is_closing: bool,
}

/// One endpoint, by the number that the user knows.
struct Entry {
    host: Arc<Endpoint>,
    /// What listens or connects. Absent for the moment in which the transport makes it.
    worker: Option<Arc<dyn transports::Endpoint>>,
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
        reactor: Arc<LazyReactor>,
    ) -> Arc<Socket> {
        let state = State {
            protocol,
            pipes: PipeTable::default(),
            endpoints: BTreeMap::new(),
            next_endpoint: 1,
            traffic: Traffic::default(),
            shown: Readiness::default(),
            is_closing: false,
        };
        Arc::new_cyclic(|me| Socket {
            me: me.clone(),
            handle,
            domain,
            socket_type,
            reactor,
            options: Arc::default(),
            statistics: Arc::default(),
            state: SocketLock::new(state),
            waiting: Waiting::default(),
            shown: Shown::default(),
            is_closing: AtomicBool::new(false),
            is_poisoned: AtomicBool::new(false),
            reads_in_background: AtomicBool::new(false),
        })
    }

    /// Starts listening at `address`. Returns the number of the endpoint.
    ///
    /// # Errors
    /// When the address is malformed or cannot be had.
    pub fn bind(&self, address: &[u8]) -> Result<i32, Error> {
        self.add_endpoint(address, Way::Bind)
    }

    /// Starts connecting to `address`. Returns the number of the endpoint.
    ///
    /// # Errors
    /// When the address is malformed.
    pub fn connect(&self, address: &[u8]) -> Result<i32, Error> {
        self.add_endpoint(address, Way::Connect)
    }

    fn add_endpoint(&self, address: &[u8], way: Way) -> Result<i32, Error> {
        let (transport, rest) = transport_of(address)?;
        // It is known before the transport starts, which may attach connections at once.
        let endpoint = self.reserve_endpoint()?;
        let (id, host) = (endpoint.id, endpoint as _);
        let started = match way {
            Way::Bind => transport.bind(rest, host),
            Way::Connect => transport.connect(rest, host),
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

    fn reserve_endpoint(&self) -> Result<Arc<Endpoint>, Error> {
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
            has_error: Mutex::new(false),
            is_closed: AtomicBool::new(false),
        });
        state.next_endpoint += 1;
        let entry = Entry { host: Arc::clone(&endpoint), worker: None };
        state.endpoints.insert(endpoint.id, entry);
        Ok(endpoint)
    }

    /// Ends one endpoint and its connections, when what was sent on them is written.
    ///
    /// # Errors
    /// `Invalid` when there is no such endpoint.
    pub fn shutdown(&self, id: i32) -> Result<(), Error> {
        let entry = self.lock().endpoints.remove(&id).ok_or(Error::Invalid)?;
        entry.close();
        let connections = self.detach_all(|pipe| pipe.endpoint == id);
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
        self.waiting.ring_all();
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

    /// Takes a connection in as a pipe of the protocol.
    pub(super) fn attach(
        &self,
        endpoint: i32,
        connection: Arc<dyn Connection>,
    ) -> Result<(), Rejected> {
        {
            let mut state = self.lock();
            if !state.endpoints.contains_key(&endpoint) {
                return Err(Rejected);
            }
            let id = state.pipes.next_id();
            state.protocol.add_pipe(id).map_err(|_| Rejected)?;
            connection.adopt(Box::new(News { socket: self.me.clone(), pipe: id }));
            state.pipes.insert(endpoint, Arc::clone(&connection));
            state.traffic.connections += 1;
            self.waiting.add_stream(id, &*connection);
            self.show(&mut state);
        }
        if self.reads_in_background.load(Ordering::Relaxed) {
            connection.read_in_background();
        }
        self.waiting.ring_all();
        Ok(())
    }

    /// Whether a connection would be taken in now.
    pub(super) fn wants_pipe(&self) -> bool {
        self.lock().protocol.wants_pipe()
    }

    /// A pipe that never came to life goes again.
    pub(super) fn pipe_withdrawn(&self, id: PipeId) {
        let mut state = self.lock();
        let removed = state.remove_pipe(id);
        if let Some(pipe) = removed.as_ref().filter(|pipe| !pipe.is_ended) {
            state.traffic.connections -= 1;
            self.waiting.remove_stream(&*pipe.connection);
            self.show(&mut state);
        }
        drop(state);
        // The last owner closes, and that not under the lock.
        drop(removed);
    }

    pub(super) fn pipe_readable(&self) {
        if self.shown.is_watched() {
            self.show(&mut self.lock());
        }
        self.waiting.recv.ring();
    }

    pub(super) fn pipe_writable(&self) {
        if self.shown.is_watched() {
            self.show(&mut self.lock());
        }
        self.waiting.send.ring();
    }

    /// The peer of a pipe is gone. The pipe stays until its last message is received.
    pub(super) fn pipe_ended(&self, id: PipeId) {
        let (endpoint, removed) = {
            let mut guard = self.lock();
            let state = &mut *guard;
            let Some(pipe) = state.pipes.get_mut(id).filter(|pipe| !pipe.is_ended) else {
                return;
            };
            pipe.is_ended = true;
            let (number, is_drained) = (pipe.endpoint, !pipe.connection.is_readable());
            self.waiting.remove_stream(&*pipe.connection);
            state.traffic.connections -= 1;
            state.protocol.pipe_ended(id);
            let removed = if is_drained { state.remove_pipe(id) } else { None };
            self.show(state);
            let worker = state.endpoints.get(&number).and_then(|entry| entry.worker.clone());
            (worker, removed)
        };
        // The last owner closes, and that not under the lock.
        drop(removed);
        self.waiting.ring_all();
        if let Some(endpoint) = endpoint {
            endpoint.connection_lost();
        }
        self.retry_endpoints();
    }

    /// A connection that was rejected for the sake of another may be welcome now.
    pub(super) fn retry_endpoints(&self) {
        let workers: Vec<_> = {
            let state = self.lock();
            state.endpoints.values().filter_map(|entry| entry.worker.clone()).collect()
        };
        workers.iter().for_each(|worker| worker.retry());
    }

    pub(super) fn read_in_background(&self) {
        if self.reads_in_background.swap(true, Ordering::Relaxed) {
            return;
        }
        let connections: Vec<_> =
            self.lock().pipes.iter().map(|pipe| Arc::clone(&pipe.connection)).collect();
        connections.iter().for_each(|connection| connection.read_in_background());
    }

    fn detach_all(&self, is_meant: impl Fn(&Pipe) -> bool) -> Vec<Arc<dyn Connection>> {
        let mut guard = self.lock();
        let state = &mut *guard;
        let ids: Vec<_> =
            state.pipes.iter().filter(|pipe| is_meant(pipe)).map(|pipe| pipe.id).collect();
        let mut connections = Vec::new();
        for id in ids {
            let Some(pipe) = state.remove_pipe(id) else { continue };
            if !pipe.is_ended {
                state.traffic.connections -= 1;
                self.waiting.remove_stream(&*pipe.connection);
            }
            connections.push(pipe.connection);
        }
        self.show(state);
        drop(guard);
        self.waiting.ring_all();
        connections
    }

    /// Takes the socket out of service.
    pub fn poison(&self) {
        self.is_poisoned.store(true, Ordering::Relaxed);
        self.waiting.ring_all();
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

    pub(super) fn traffic(&self) -> Traffic {
        self.lock().traffic
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
    pub fn remove_pipe(&mut self, id: PipeId) -> Option<Pipe> {
        let pipe = self.pipes.remove(id)?;
        self.protocol.remove_pipe(id);
        Some(pipe)
    }
}
