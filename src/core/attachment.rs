//! Connections become pipes of a socket, have news for its protocol, and go.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::events::EventKind;
use super::pipe::{Aftermath, News, Pipe, View};
use super::socket::{Socket, State};
use crate::protocols::{PipeId, Protocol};
use crate::transports::{Connection, Parting, Rejected, Stream};

impl Socket {
    /// Takes a connection in as a pipe of the protocol.
    pub(super) fn attach(
        &self,
        endpoint: i32,
        connection: Arc<dyn Connection>,
    ) -> Result<(), Rejected> {
        let id = {
            let mut guard = self.lock();
            let state = &mut *guard;
            let host = Arc::clone(&state.endpoints.get(&endpoint).ok_or(Rejected)?.host);
            let id = state.pipes.next_id();
            state.protocol.add_pipe(id, host.priorities).map_err(|_| Rejected)?;
            connection.adopt(Box::new(News { socket: self.me(), pipe: id }));
            state.pipes.insert(host, Arc::clone(&connection));
            if let Some(pipe) = state.pipes.get(id) {
                self.events().record(|| pipe.event(EventKind::Connected, None));
            }
            state.traffic.connections += 1;
            self.waiting.add_stream(id, &*connection);
            self.show(state);
            id
        };
        if connection.can_send() {
            self.pipe_writable(id);
        }
        if self.reads_in_background.load(Ordering::Relaxed)
            && let Some(stream) = connection.stream()
        {
            stream.read_in_background();
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
        let mut aftermath = Aftermath::default();
        let removed = {
            let mut guard = self.lock();
            let state = &mut *guard;
            if self.end_pipes(state, |pipe| pipe.id == id).is_empty() {
                return;
            }
            let (protocol, mut view) = state.parts(self.options(), &mut aftermath);
            protocol.pipe_ended(id, &mut view);
            let removed = state.remove_pipe(id);
            self.show(state);
            removed
        };
        aftermath.settle();
        // The last owner closes, and that not under the lock.
        drop(removed);
    }

    pub(super) fn pipe_readable(&self, id: PipeId) {
        if self.follows_pipes {
            self.tell(|protocol, view| protocol.pipe_readable(id, view));
        } else if self.shown().is_watched() {
            self.show(&mut self.lock());
        }
        self.waiting.recv.ring();
    }

    pub(super) fn pipe_writable(&self, id: PipeId) {
        if self.follows_pipes {
            self.tell(|protocol, view| protocol.pipe_writable(id, view));
        } else if self.shown().is_watched() {
            self.show(&mut self.lock());
        }
        self.waiting.send.ring();
    }

    /// Tells the protocol something, and does what it leaves to be done.
    pub(super) fn tell(&self, news: impl FnOnce(&mut dyn Protocol, &mut View<'_>)) {
        let mut aftermath = Aftermath::default();
        let (removed, must_arm) = {
            let mut guard = self.lock();
            let state = &mut *guard;
            if state.is_closing {
                return;
            }
            let (protocol, mut view) = state.parts(self.options(), &mut aftermath);
            news(protocol, &mut view);
            let removed = state.remove_drained(&mut aftermath);
            self.show(state);
            (removed, state.note_timeout())
        };
        aftermath.settle();
        // The last owner closes, and that not under the lock.
        drop(removed);
        if must_arm {
            self.arm_timer();
        }
    }

    /// The peer of a pipe is gone. The pipe stays until its last message is received.
    pub(super) fn pipe_ended(&self, id: PipeId) {
        let mut aftermath = Aftermath::default();
        let (endpoint, parting, removed, must_arm) = {
            let mut guard = self.lock();
            let state = &mut *guard;
            let Some(pipe) = state.pipes.get_mut(id).filter(|pipe| !pipe.is_ended) else {
                return;
            };
            pipe.is_ended = true;
            let disconnected =
                || pipe.event(EventKind::Disconnected, pipe.stream().and_then(Stream::fault));
            self.events().record(disconnected);
            let number = pipe.host.id;
            let parting = pipe.stream().map_or(Parting::Passing, Stream::parting);
            self.waiting.remove_stream(&*pipe.connection);
            state.traffic.connections -= 1;
            let (protocol, mut view) = state.parts(self.options(), &mut aftermath);
            protocol.pipe_ended(id, &mut view);
            let is_drained = !self.socket_type().can_recv
                || state.pipes.get(id).is_some_and(|pipe| !pipe.connection.is_readable());
            aftermath.drained.extend(is_drained.then_some(id));
            let removed = state.remove_drained(&mut aftermath);
            self.show(state);
            let worker = state.endpoints.get(&number).and_then(|entry| entry.worker.clone());
            (worker, parting, removed, state.note_timeout())
        };
        aftermath.settle();
        // The last owner closes, and that not under the lock.
        drop(removed);
        if must_arm {
            self.arm_timer();
        }
        self.waiting.ring_all();
        if let Some(endpoint) = endpoint {
            endpoint.connection_lost(parting);
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
        let streams = connections.iter().filter_map(|connection| connection.stream());
        streams.for_each(|stream| stream.read_in_background());
    }

    pub(super) fn detach_all(&self, is_meant: impl Fn(&Pipe) -> bool) -> Vec<Arc<dyn Connection>> {
        let mut aftermath = Aftermath::default();
        let (connections, must_arm) = {
            let mut guard = self.lock();
            let state = &mut *guard;
            let ids = self.end_pipes(state, is_meant);
            if !state.is_closing {
                // All of them have ended before the first one's messages may go elsewhere.
                let (protocol, mut view) = state.parts(self.options(), &mut aftermath);
                ids.iter().for_each(|id| protocol.pipe_ended(*id, &mut view));
            }
            let removed = ids.iter().filter_map(|id| state.remove_pipe(*id));
            let connections = removed.map(|pipe| pipe.connection).collect();
            self.show(state);
            (connections, state.note_timeout())
        };
        aftermath.settle();
        if must_arm {
            self.arm_timer();
        }
        self.waiting.ring_all();
        connections
    }

    /// Marks pipes as ended whose endpoint is closed.
    fn end_pipes(&self, state: &mut State, is_meant: impl Fn(&Pipe) -> bool) -> Vec<PipeId> {
        let mut ids = Vec::new();
        for pipe in state.pipes.iter_mut().filter(|pipe| is_meant(pipe)) {
            ids.push(pipe.id);
            if !std::mem::replace(&mut pipe.is_ended, true) {
                self.events().record(|| pipe.event(EventKind::Disconnected, None));
                state.traffic.connections -= 1;
                self.waiting.remove_stream(&*pipe.connection);
            }
        }
        ids
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use parking_lot::Mutex;

    use super::*;
    use crate::core::registry;
    use crate::core::transfer::Blocking;
    use crate::error::Refusal;
    use crate::message::{Body, Message};
    use crate::transports::{AfterRecv, Dialect, Pace, Pipe, Received, Sent};

    /// A connection that never came to life: one side of a link that the other did not want.
    #[derive(Default)]
    struct Stillborn(Mutex<Option<Box<dyn Pipe>>>);

    impl Connection for Stillborn {
        fn adopt(&self, pipe: Box<dyn Pipe>) {
            *self.0.lock() = Some(pipe);
        }

        fn send(&self, _message: &mut Message, _pace: Pace) -> Result<Sent, Refusal> {
            Err(Refusal::Busy)
        }

        fn recv(&self, _message: &mut Message) -> Received {
            Received { has_message: false, then: AfterRecv::Nothing }
        }

        fn is_readable(&self) -> bool {
            false
        }

        fn can_send(&self) -> bool {
            false
        }

        fn deliver(&self) {}
        fn resume(&self) {}
        fn close(&self, _deadline: Instant) {}
    }

    /// A machine that still counts it as a member says that each message to everybody missed it.
    #[test]
    fn a_pipe_that_never_came_to_life_is_forgotten() {
        const PUB: i32 = 0x20;
        let handle = registry::open(1, PUB, || None).unwrap();
        {
            let socket = registry::find(handle).unwrap();
            let address = b"inproc://a pipe that never came to life";
            let endpoint = socket.bind(address, Dialect::Reference).unwrap();
            let connection = Arc::new(Stillborn::default());
            socket.attach(endpoint, Arc::clone(&connection) as Arc<dyn Connection>).unwrap();
            let pipe = connection.0.lock().take().unwrap();
            pipe.withdrawn();
            let mut message = Message::from_body(Body::copy_from(b"to nobody").unwrap());
            socket.send(&mut message, Blocking::DontWait).unwrap();
            assert_eq!(socket.traffic().messages_dropped, 0);
        }
        registry::close(handle).unwrap();
    }
}
