//! Connections become pipes of a socket, have news for its protocol, and go.

use std::sync::Arc;

use super::endpoint::Owner;
use super::events::EventKind;
use super::figures::Figure;
use super::linger::{self, Shown};
use super::news::{Audience, PipeNews};
use super::pipe::{Aftermath, Pipe};
use super::socket::Socket;
use super::state::State;
use super::view::View;
use crate::memory::Attempt;
use crate::message::Message;
use crate::protocols::{Loss, PipeId, Pipes, Protocol};
use crate::sync::atomic::Ordering;
use crate::transports::{Connection, Fault, Parting, Rejected, Stream};

impl Owner for Socket {
    fn attach(&self, endpoint: i32, connection: Arc<dyn Connection>) -> Result<(), Rejected> {
        let attempt = Attempt::begin()?;
        let attached = self.change(|state, aftermath| {
            let entry = state.endpoints.get(endpoint).ok_or(Rejected)?;
            let endpoint = Arc::clone(&entry.endpoint);
            let id = state.add_pipe(endpoint.priorities)?;
            connection.adopt(Box::new(PipeNews { socket: self.me.clone(), pipe: id }));
            state.pipes.insert(endpoint, Arc::clone(&connection));
            // A stream will come again. Nobody tries again inside the process: those who bind and
            // connect look for themselves, and what is made at other times is kept.
            if connection.stream().is_some() && attempt.check().is_err() {
                drop(state.remove_pipe(id));
                return Err(Rejected);
            }
            if let Some(pipe) = state.pipes.get(id) {
                self.events().record(|| pipe.event(EventKind::Connected, None));
                pipe.trace_attached();
            }
            // Whoever sees the connection counted may send to it.
            if self.follows_pipes() && connection.can_send() {
                let (protocol, mut view) = state.parts(&self.context, aftermath);
                protocol.pipe_writable(id, &mut view);
            }
            state.traffic.connections += 1;
            self.waiting.add_stream(id, &*connection);
            Ok(())
        });
        attached.unwrap_or(Err(Rejected))?;
        if self.reads_in_background.load(Ordering::Relaxed)
            && let Some(stream) = connection.stream()
        {
            stream.read_in_background();
        }
        self.waiting.ring_for_pipe(&*connection);
        Ok(())
    }

    fn wants_pipe(&self) -> bool {
        self.contain(|| self.lock().wants_pipe()).unwrap_or(false)
    }

    fn is_behind(&self) -> bool {
        self.contain(|| self.lock().is_behind()).unwrap_or(false)
    }

    fn is_waiting(&self) -> bool {
        self.waiting.is_polled()
    }

    fn broken(&self) {
        self.take_out_of_service();
    }
}

impl Audience for Socket {
    fn pipe_readable(&self, id: PipeId) {
        if self.follows_pipes() {
            self.tell(|protocol, view| protocol.pipe_readable(id, view));
        } else if self.shown.has_descriptors() {
            self.contain(|| self.show(&mut self.lock()));
        }
        self.waiting.ring_to_recv();
        self.shown.settle();
    }

    fn pipe_writable(&self, id: PipeId) {
        if self.follows_pipes() {
            self.tell(|protocol, view| protocol.pipe_writable(id, view));
        } else if self.shown.has_descriptors() {
            self.contain(|| self.show(&mut self.lock()));
        }
        self.waiting.send.ring();
        self.shown.settle();
    }

    fn pipe_withdrawn(&self, id: PipeId) {
        let removed = self.change(|state, aftermath| {
            state.pipes.get(id)?;
            self.end_pipes(state, &[id]);
            let (protocol, mut view) = state.parts(&self.context, aftermath);
            protocol.pipe_ended(id, &mut view);
            state.remove_pipe(id)
        });
        // The last owner closes, and that not under the lock.
        drop(removed);
        // Who waits for everybody waits for one less.
        self.waiting.ring_all();
    }

    fn pipe_displaced(&self, id: PipeId, count: usize) {
        self.tell(|_, view| (0..count).for_each(|_| view.count_dropped_of(id, Loss::Busy)));
    }

    fn pipe_ended(&self, id: PipeId) {
        let ended = self.change(|state, aftermath| {
            let pipe = state.pipes.end(id)?;
            let fault = pipe.stream().and_then(Stream::fault);
            self.events().record(|| pipe.event(EventKind::Disconnected, fault));
            pipe.trace_detached(|| fault);
            let endpoint = Arc::clone(&pipe.endpoint);
            let parting = pipe.stream().map_or(Parting::Passing, Stream::parting);
            self.waiting.remove_stream(&*pipe.connection);
            state.traffic.connections -= 1;
            let (protocol, mut view) = state.parts(&self.context, aftermath);
            if let Some(Fault::TooLarge { .. }) = fault {
                endpoint.count(Figure::DroppedTooLarge);
            }
            if fault.is_some_and(Fault::is_breach) {
                endpoint.tally.add(Figure::Violations, 1);
                self.context.statistics.note_violation();
                protocol.pipe_violated(id);
            }
            protocol.pipe_ended(id, &mut view);
            let is_drained = !self.socket_type().can_recv
                || state.pipes.get(id).is_some_and(|pipe| !pipe.connection.is_readable());
            if is_drained {
                aftermath.note_drained(id);
            }
            let excess =
                if is_drained { Vec::new() } else { state.leave_behind(id, &self.context) };
            let entry = state.endpoints.get(endpoint.id);
            let maker = entry.and_then(|entry| entry.maker.clone());
            Some((maker, parting, excess, fault.map(|fault| (endpoint, fault))))
        });
        let Some((maker, parting, excess, fault)) = ended.flatten() else { return };
        self.give_up(excess);
        if let Some((endpoint, fault)) = fault {
            endpoint.complain(fault);
        }
        self.waiting.ring_all();
        if let Some(maker) = maker {
            maker.connection_lost(parting);
        }
        self.retry_endpoints();
    }

    fn is_waiting(&self) -> bool {
        Owner::is_waiting(self)
    }
}

impl Socket {
    /// Changes only while there is no pipe.
    fn follows_pipes(&self) -> bool {
        self.follows_pipes.load(Ordering::Relaxed)
    }

    /// Tells the protocol something.
    pub(super) fn tell(&self, news: impl FnOnce(&mut dyn Protocol, &mut View<'_>)) {
        self.change(|state, aftermath| {
            if self.is_usable() {
                let (protocol, mut view) = state.parts(&self.context, aftermath);
                news(protocol, &mut view);
            }
        });
    }

    /// Counts the messages of pipes that are taken out with some.
    fn give_up(&self, pipes: Vec<Pipe>) {
        let left = |pipe: &Pipe| {
            let mut message = Message::default();
            std::iter::repeat_with(|| pipe.connection.recv(&mut message))
                .take_while(|received| received.has_message)
                .count()
        };
        let count = pipes.iter().map(left).sum();
        drop(pipes);
        if count > 0 {
            self.change(|state, aftermath| {
                state.parts(&self.context, aftermath).1.count_dropped(count, Loss::Busy);
            });
        }
    }

    /// Changes the state under the lock, and does outside it what that leaves to be done.
    ///
    /// `None` when that has shown a bug.
    fn change<T>(&self, change: impl FnOnce(&mut State, &mut Aftermath) -> T) -> Option<T> {
        let mut aftermath = Aftermath::default();
        let changed = self.contain(|| {
            let mut guard = self.lock();
            let state = &mut *guard;
            let result = change(state, &mut aftermath);
            state.remove_drained(&mut aftermath);
            self.show(state);
            (result, state.note_timeout())
        });
        self.shown.settle();
        aftermath.settle();
        let (result, must_arm) = changed?;
        if must_arm {
            self.arm_timer();
        }
        Some(result)
    }

    pub(super) fn read_in_background(&self) {
        let trunk = self.trunk();
        if trunk.reads_in_background.swap(true, Ordering::Relaxed) {
            return;
        }
        let connections = trunk.lock().pipes.connections();
        let streams = connections.iter().filter_map(|connection| connection.stream());
        streams.for_each(|stream| stream.read_in_background());
    }

    /// Takes pipes out whose endpoint is closed. Their connections are shown before that.
    pub(super) fn detach(&self, whose: Whose) -> Vec<Shown> {
        let detach = |state: &mut State, aftermath: &mut Aftermath| {
            let ids = match whose {
                Whose::Everybody => state.pipes.ids(),
                Whose::Endpoint(id) => state.pipes.ids_of(id),
                Whose::Peer(id) => state.pipes.live(id).map(|pipe| pipe.id).into_iter().collect(),
            };
            if ids.is_empty() {
                return Vec::new();
            }
            self.end_pipes(state, &ids);
            let is_closing = self.life.is_closing();
            if !is_closing {
                // All of them have ended before the first one's messages may go elsewhere.
                let (protocol, mut view) = state.parts(&self.context, aftermath);
                ids.iter().for_each(|id| protocol.pipe_ended(*id, &mut view));
            }
            let shown =
                linger::show(self.lingering(ids.iter().filter_map(|id| state.pipes.get(*id))));
            let remove = if is_closing { State::discard_pipe } else { State::remove_pipe };
            ids.iter().for_each(|id| drop(remove(state, *id)));
            shown
        };
        // The second time, no machine is asked that could panic.
        let shown = self.change(detach).or_else(|| self.change(detach));
        self.waiting.ring_all();
        shown.unwrap_or_default()
    }

    /// Marks pipes as ended whose endpoint is closed.
    fn end_pipes(&self, state: &mut State, ids: &[PipeId]) {
        for id in ids {
            if let Some(pipe) = state.pipes.end(*id) {
                self.events().record(|| pipe.event(EventKind::Ended, None));
                pipe.trace_detached(|| None);
                state.traffic.connections -= 1;
                self.waiting.remove_stream(&*pipe.connection);
            }
        }
    }
}

/// Whose pipes are meant.
#[derive(Clone, Copy)]
pub(super) enum Whose {
    Everybody,
    Endpoint(i32),
    Peer(PipeId),
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;
    use std::thread;

    use super::*;
    use crate::core::fixtures::{BUS, FakeConnection, Opened, PAIR, PUB, PULL, PUSH, fresh_name};

    use crate::core::option::{DROP, DROP_NOTHING, SEND_TIMEOUT};
    use crate::core::statistics::number::{CONNECTIONS, MESSAGES_DROPPED};
    use crate::error::Error;
    use crate::transports::Fault;

    /// A socket with an endpoint to which the test attaches connections.
    fn bound(protocol: i32) -> (Opened, i32) {
        let socket = Opened::cooked(protocol);
        let endpoint = socket.bind(&fresh_name());
        (socket, endpoint)
    }

    #[test]
    fn a_connection_is_a_pipe_while_it_lives() {
        let (socket, endpoint) = bound(PAIR);
        let connection = FakeConnection::with_room(10);
        assert_eq!(socket.attach(endpoint + 1, &connection), Err(Rejected));
        socket.attach(endpoint, &connection).unwrap();
        assert_eq!(socket.statistic(CONNECTIONS), 1);
        socket.send("hello").unwrap();
        assert_eq!(connection.sent(), ["hello"]);
        assert_eq!(connection.delivered.load(Ordering::Relaxed), 1);
        connection.arrive("hello yourself");
        assert_eq!(socket.recv(), Ok("hello yourself".into()));
        assert_eq!(connection.resumed.load(Ordering::Relaxed), 1);
        connection.end();
        assert_eq!(socket.statistic(CONNECTIONS), 0);
        assert_eq!(socket.try_send("too late"), Err(Error::WouldBlock));
        // Saying it twice changes nothing.
        connection.end();
        assert_eq!(socket.statistic(CONNECTIONS), 0);
    }

    #[test]
    fn who_leads_sleeps_on_when_another_stream_comes_and_without_a_leader_somebody_becomes_one() {
        let (opened, endpoint) = bound(PULL);
        let socket = opened.get();
        let bell = &socket.waiting.recv;
        let attach = |connection: &Arc<FakeConnection>| {
            let (seen, seen_to_send) = (bell.epoch(), socket.waiting.send.epoch());
            opened.attach(endpoint, connection).unwrap();
            assert_ne!(socket.waiting.send.epoch(), seen_to_send);
            bell.epoch() != seen
        };
        assert!(attach(&FakeConnection::over_stream(0)));
        assert!(bell.handover.try_lead());
        assert!(!attach(&FakeConnection::over_stream(0)));
        // Nobody reads what is handed over inside the process.
        assert!(attach(&FakeConnection::with_room(1)));
        socket.resign();
        assert!(attach(&FakeConnection::over_stream(0)));
    }

    #[test]
    fn what_arrived_before_the_end_is_received_and_then_the_pipe_goes() {
        let (socket, endpoint) = bound(PAIR);
        let connection = FakeConnection::with_room(1);
        socket.attach(endpoint, &connection).unwrap();
        connection.arrive("one");
        connection.arrive("two");
        connection.end();
        let owners = || Arc::strong_count(&connection);
        assert_eq!((socket.recv(), owners()), (Ok("one".into()), 2));
        assert_eq!((socket.recv(), owners()), (Ok("two".into()), 1));
        assert_eq!(socket.try_recv(), Err(Error::WouldBlock));
    }

    #[test]
    fn a_type_that_never_receives_lets_a_pipe_go_at_its_end() {
        let (socket, endpoint) = bound(PUSH);
        let connection = FakeConnection::with_room(1);
        socket.attach(endpoint, &connection).unwrap();
        connection.arrive("for nobody");
        connection.end();
        assert_eq!(Arc::strong_count(&connection), 1);
    }

    #[test]
    fn a_second_peer_is_wanted_when_the_first_has_left() {
        let (socket, endpoint) = bound(PAIR);
        let [first, second] = [(); 2].map(|()| FakeConnection::with_room(1));
        socket.attach(endpoint, &first).unwrap();
        assert!(!socket.get().wants_pipe());
        assert_eq!(socket.attach(endpoint, &second), Err(Rejected));
        assert_eq!(Arc::strong_count(&second), 1);
        first.end();
        assert!(socket.get().wants_pipe());
        socket.attach(endpoint, &second).unwrap();
        socket.send("to the second").unwrap();
        assert_eq!((first.sent().len(), second.sent().len()), (0, 1));
    }

    #[test]
    fn room_that_comes_later_is_heard_of() {
        let (socket, endpoint) = bound(PUSH);
        let connection = FakeConnection::with_room(0);
        socket.attach(endpoint, &connection).unwrap();
        assert_eq!(socket.try_send("no room"), Err(Error::WouldBlock));
        connection.set_room(2);
        socket.send("one").unwrap();
        socket.send("two").unwrap();
        assert_eq!(socket.try_send("three"), Err(Error::WouldBlock));
        assert_eq!(connection.sent(), ["one", "two"]);
    }

    #[test]
    fn streams_are_left_to_the_reactor_once_somebody_shows_readiness() {
        let (socket, endpoint) = bound(PULL);
        let [early, late] = [(); 2].map(|()| FakeConnection::over_stream(0));
        socket.attach(endpoint, &early).unwrap();
        assert_eq!(early.read_by_reactor(), 0);
        socket.get().read_in_background();
        socket.get().read_in_background();
        socket.attach(endpoint, &late).unwrap();
        assert_eq!((early.read_by_reactor(), late.read_by_reactor()), (1, 1));
    }

    #[test]
    fn coming_and_going_are_events() {
        let (socket, endpoint) = bound(PAIR);
        socket.get().events().descriptor().unwrap();
        let connection = FakeConnection::over_stream(0);
        socket.attach(endpoint, &connection).unwrap();
        connection.end();
        let next = || socket.get().events().next().map(|event| (event.kind, event.fault));
        assert_eq!(next(), Ok((EventKind::Connected, None)));
        assert_eq!(next(), Ok((EventKind::Disconnected, Some(Fault::Violation))));
        assert_eq!(next(), Err(Error::WouldBlock));
    }

    /// Has a peer come, say something and go. False when it is not let in.
    fn pass_by(socket: &Opened, endpoint: i32, text: &str) -> bool {
        if !socket.get().wants_pipe() {
            return false;
        }
        let connection = FakeConnection::with_room(1);
        socket.attach(endpoint, &connection).unwrap();
        connection.arrive(text);
        connection.end();
        true
    }

    #[test]
    fn who_is_behind_with_what_others_have_left_lets_nobody_in() {
        let (socket, endpoint) = bound(PULL);
        let text = "x".repeat(10_000);
        let count = (0..).take_while(|_| pass_by(&socket, endpoint, &text)).count();
        assert!((100..300).contains(&count), "{count} have left their words");
        assert!(socket.get().is_behind());
        for left in (1..=count).rev() {
            // Half of it makes room.
            assert_eq!(socket.get().is_behind(), left > count / 2, "{left} of {count}");
            assert_eq!(socket.recv().unwrap().len(), text.len());
        }
        assert_eq!(socket.try_recv(), Err(Error::WouldBlock));
    }

    #[test]
    fn who_waits_outside_comes_in_when_enough_is_received() {
        let (socket, address) = (Opened::cooked(PULL), fresh_name());
        let endpoint = socket.bind(&address);
        let text = "x".repeat(100_000);
        while pass_by(&socket, endpoint, &text) {}
        let pusher = Opened::cooked(PUSH);
        pusher.connect(&address);
        assert_eq!(pusher.try_send("wait"), Err(Error::WouldBlock));
        let mut received = 0;
        while pusher.try_send("at last").is_err() {
            assert_eq!(socket.recv().unwrap().len(), text.len());
            received += 1;
        }
        assert!(received > 5 && socket.statistic(CONNECTIONS) == 1);
        pusher.close().unwrap();
        while socket.recv().unwrap() != "at last" {}
        assert_eq!(socket.try_recv(), Err(Error::WouldBlock));
    }

    /// It would not be heard by anybody any more.
    #[test]
    fn who_talks_and_does_not_listen_forgets_the_oldest_and_lets_everybody_in() {
        let (socket, endpoint) = bound(BUS);
        for number in 0..3000 {
            assert!(pass_by(&socket, endpoint, &number.to_string()));
        }
        let dropped = socket.statistic(MESSAGES_DROPPED);
        assert!((1500..2500).contains(&dropped), "{dropped} were dropped");
        for number in dropped..3000 {
            assert_eq!(socket.recv(), Ok(number.to_string()));
        }
        assert_eq!(socket.try_recv(), Err(Error::WouldBlock));
    }

    /// A machine that still counts it as a member says that each message to everybody missed it.
    #[test]
    fn a_pipe_that_never_came_to_life_is_forgotten() {
        let (socket, endpoint) = bound(PUB);
        let connection = FakeConnection::with_room(0);
        socket.attach(endpoint, &connection).unwrap();
        connection.withdraw();
        socket.try_send("to nobody").unwrap();
        assert_eq!(socket.statistic(MESSAGES_DROPPED), 0);
        assert_eq!((socket.statistic(CONNECTIONS), Arc::strong_count(&connection)), (0, 1));
    }

    #[test]
    fn who_waits_for_everybody_does_not_wait_for_one_that_never_came_to_life() {
        let (socket, endpoint) = bound(PUB);
        socket.set_int(&DROP, DROP_NOTHING).unwrap();
        socket.set_int(&SEND_TIMEOUT, 10_000).unwrap();
        let connection = FakeConnection::with_room(0);
        socket.attach(endpoint, &connection).unwrap();
        let sent = thread::scope(|scope| {
            let sending = scope.spawn(|| socket.send("to nobody"));
            while socket.get().waiting.send.handover.sleepers() == 0 {
                thread::yield_now();
            }
            connection.withdraw();
            sending.join().unwrap()
        });
        assert_eq!(sent, Ok(()));
    }

    #[test]
    fn shutting_an_endpoint_down_ends_its_connections_and_no_others() {
        let (socket, endpoint) = bound(PULL);
        let other = socket.bind(&fresh_name());
        let [mine, stays] = [(); 2].map(|()| FakeConnection::with_room(0));
        socket.attach(endpoint, &mine).unwrap();
        socket.attach(other, &stays).unwrap();
        mine.arrive("lost with the endpoint");
        stays.arrive("kept");
        socket.get().shutdown(endpoint).unwrap();
        let closed = |connection: &FakeConnection| connection.closed.load(Ordering::Relaxed);
        assert_eq!((closed(&mine), closed(&stays)), (1, 0));
        assert_eq!(socket.recv(), Ok("kept".into()));
        assert_eq!(socket.try_recv(), Err(Error::WouldBlock));
        assert_eq!(socket.attach(endpoint, &FakeConnection::with_room(0)), Err(Rejected));
        socket.close().unwrap();
        assert_eq!((closed(&mine), closed(&stays)), (1, 1));
    }
}
