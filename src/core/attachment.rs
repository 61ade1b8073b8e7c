//! Connections become pipes of a socket, have news for its protocol, and go.

use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::endpoint::Owner;
use super::events::EventKind;
use super::pipe::{Aftermath, Audience, Pipe, PipeNews, View};
use super::socket::Socket;
use super::state::State;
use crate::protocols::{PipeId, Protocol};
use crate::transports::{Connection, Parting, Rejected, Stream};

impl Owner for Socket {
    fn attach(&self, endpoint: i32, connection: Arc<dyn Connection>) -> Result<(), Rejected> {
        let attached = self.change(|state, _| {
            let entry = state.endpoints.get(endpoint).ok_or(Rejected)?;
            let endpoint = Arc::clone(&entry.endpoint);
            let id = state.pipes.next_id();
            state.protocol.add_pipe(id, endpoint.priorities)?;
            connection.adopt(Box::new(PipeNews { socket: self.me.clone(), pipe: id }));
            state.pipes.insert(endpoint, Arc::clone(&connection));
            if let Some(pipe) = state.pipes.get(id) {
                self.events().record(|| pipe.event(EventKind::Connected, None));
            }
            state.traffic.connections += 1;
            self.waiting.add_stream(id, &*connection);
            Ok(id)
        });
        let id = attached.unwrap_or(Err(Rejected))?;
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

    fn wants_pipe(&self) -> bool {
        self.lock().protocol.wants_pipe()
    }

    fn broken(&self) {
        self.take_out_of_service();
    }
}

impl Audience for Socket {
    fn pipe_readable(&self, id: PipeId) {
        if self.follows_pipes {
            self.tell(|protocol, view| protocol.pipe_readable(id, view));
        } else if self.shown.is_watched() {
            self.show(&mut self.lock());
        }
        self.waiting.recv.ring();
    }

    fn pipe_writable(&self, id: PipeId) {
        if self.follows_pipes {
            self.tell(|protocol, view| protocol.pipe_writable(id, view));
        } else if self.shown.is_watched() {
            self.show(&mut self.lock());
        }
        self.waiting.send.ring();
    }

    fn pipe_withdrawn(&self, id: PipeId) {
        let removed = self.change(|state, aftermath| {
            if self.end_pipes(state, |pipe| pipe.id == id).is_empty() {
                return None;
            }
            let (protocol, mut view) = state.parts(self.options(), aftermath);
            protocol.pipe_ended(id, &mut view);
            state.remove_pipe(id)
        });
        // The last owner closes, and that not under the lock.
        drop(removed);
    }

    fn pipe_ended(&self, id: PipeId) {
        let ended = self.change(|state, aftermath| {
            let pipe = state.pipes.get_mut(id).filter(|pipe| !pipe.is_ended)?;
            pipe.is_ended = true;
            let disconnected =
                || pipe.event(EventKind::Disconnected, pipe.stream().and_then(Stream::fault));
            self.events().record(disconnected);
            let endpoint = pipe.endpoint.id;
            let parting = pipe.stream().map_or(Parting::Passing, Stream::parting);
            self.waiting.remove_stream(&*pipe.connection);
            state.traffic.connections -= 1;
            let (protocol, mut view) = state.parts(self.options(), aftermath);
            protocol.pipe_ended(id, &mut view);
            let is_drained = !self.socket_type().can_recv
                || state.pipes.get(id).is_some_and(|pipe| !pipe.connection.is_readable());
            aftermath.drained.extend(is_drained.then_some(id));
            let entry = state.endpoints.get(endpoint);
            Some((entry.and_then(|entry| entry.maker.clone()), parting))
        });
        let Some((maker, parting)) = ended.flatten() else { return };
        self.waiting.ring_all();
        if let Some(maker) = maker {
            maker.connection_lost(parting);
        }
        self.retry_endpoints();
    }

    fn is_waiting(&self) -> bool {
        self.waiting.recv.is_led()
    }
}

impl Socket {
    /// Tells the protocol something.
    pub(super) fn tell(&self, news: impl FnOnce(&mut dyn Protocol, &mut View<'_>)) {
        self.change(|state, aftermath| {
            if self.is_usable() {
                let (protocol, mut view) = state.parts(self.options(), aftermath);
                news(protocol, &mut view);
            }
        });
    }

    /// Changes the state under the lock, and does outside it what that leaves to be done.
    ///
    /// It may be called by whoever has news, such as another socket's sender. Should it panic, this
    /// socket is the one that is out of service from then on, and `None` is returned.
    fn change<T>(&self, change: impl FnOnce(&mut State, &mut Aftermath) -> T) -> Option<T> {
        let mut aftermath = Aftermath::default();
        let changed = catch_unwind(AssertUnwindSafe(|| {
            let mut guard = self.lock();
            let state = &mut *guard;
            let result = change(state, &mut aftermath);
            let removed = state.remove_drained(&mut aftermath);
            self.show(state);
            (result, removed, state.note_timeout())
        }));
        aftermath.settle();
        let Ok((result, removed, must_arm)) = changed else {
            self.report_bug();
            self.take_out_of_service();
            return None;
        };
        // The last owner closes, and that not under the lock.
        drop(removed);
        if must_arm {
            self.arm_timer();
        }
        Some(result)
    }

    #[cold]
    fn report_bug(&self) {
        let name = self.context.name();
        let line = format!("spmsg: internal error in socket {}\n", name.escape_ascii());
        // The panic itself was reported by the panic hook. Nobody may be listening.
        let _ = io::stderr().write_all(line.as_bytes());
    }

    pub(super) fn read_in_background(&self) {
        if self.reads_in_background.swap(true, Ordering::Relaxed) {
            return;
        }
        let connections = self.lock().pipes.connections();
        let streams = connections.iter().filter_map(|connection| connection.stream());
        streams.for_each(|stream| stream.read_in_background());
    }

    pub(super) fn detach_all(&self, is_meant: impl Fn(&Pipe) -> bool) -> Vec<Arc<dyn Connection>> {
        let detach = |state: &mut State, aftermath: &mut Aftermath| {
            let ids = self.end_pipes(state, &is_meant);
            if !self.life.is_closing() {
                // All of them have ended before the first one's messages may go elsewhere.
                let (protocol, mut view) = state.parts(self.options(), aftermath);
                ids.iter().for_each(|id| protocol.pipe_ended(*id, &mut view));
            }
            let removed = ids.iter().filter_map(|id| state.remove_pipe(*id));
            removed.map(|pipe| pipe.connection).collect()
        };
        // The second time, no machine is asked that could panic.
        let connections = self.change(detach).or_else(|| self.change(detach));
        self.waiting.ring_all();
        connections.unwrap_or_default()
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
    use crate::transports::{Adopter, AfterRecv, Dialect, Pace, Received, Sent};

    /// A connection that never came to life: one side of a link that the other did not want.
    #[derive(Default)]
    struct Stillborn(Mutex<Option<Box<dyn Adopter>>>);

    impl Connection for Stillborn {
        fn adopt(&self, pipe: Box<dyn Adopter>) {
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
            assert_eq!(socket.lock().traffic.messages_dropped, 0);
        }
        registry::close(handle).unwrap();
    }
}
