//! All figures of a socket, its endpoints and its peers at one moment.

use std::sync::Arc;

use super::endpoint::Endpoint;
use super::figures::{Figure, Figures, Lost, Union, of_load, unite};
use super::pipe::Pipe;
use super::socket::Socket;
use super::state::State;
use super::statistics::{Traffic, number};
use crate::error::Error;
use crate::protocols::PipeId;
use crate::transports::{Connection, Stream};

/// What the figures are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Socket,
    Endpoint,
    Peer,
}

/// The figures of one of them.
#[derive(Clone, Debug)]
pub struct Entry {
    pub level: Level,
    /// The socket's handle.
    pub socket: i32,
    /// What wires call the socket's type, and what the program calls it.
    pub type_name: &'static str,
    pub name: Vec<u8>,
    /// 0 where it is of the socket.
    pub endpoint: i32,
    /// 0 where it is not of a peer.
    pub peer: u32,
    /// Empty where it is of the socket.
    pub address: Vec<u8>,
    pub values: Figures,
}

/// What is taken down under the socket's lock, which is not held for longer than that: connections
/// are asked for their figures behind it.
struct Draft {
    traffic: Traffic,
    /// With what their peers did that have gone.
    endpoints: Vec<Entry>,
    pipes: Vec<Member>,
}

struct Member {
    id: PipeId,
    endpoint: Arc<Endpoint>,
    connection: Arc<dyn Connection>,
    lost: Lost,
    is_ended: bool,
}

impl Entry {
    #[must_use]
    pub fn get(&self, figure: Figure) -> u64 {
        self.values[figure as usize]
    }

    fn set(&mut self, figure: Figure, count: u64) {
        self.values[figure as usize] = count;
    }

    fn add(&mut self, figure: Figure, count: u64) {
        self.values[figure as usize] += count;
    }

    /// One of what belongs to this socket, with nothing counted.
    fn part(&self, level: Level, endpoint: i32, address: Vec<u8>) -> Entry {
        let (name, values) = (self.name.clone(), [0; Figure::COUNT]);
        Entry { level, endpoint, address, name, values, ..*self }
    }

    fn unite(&mut self, other: &Entry) {
        let figures = Figure::ALL.into_iter().zip(other.values);
        unite(&mut self.values, figures);
    }
}

impl Socket {
    /// The socket's figures, then those of its endpoints, then those of its peers.
    ///
    /// # Errors
    /// `NotOpen` when the socket is of no use any more.
    pub fn report(&self) -> Result<Vec<Entry>, Error> {
        if !self.is_usable() {
            return Err(Error::NotOpen);
        }
        let mut own = Entry {
            level: Level::Socket,
            socket: self.context.handle,
            type_name: self.socket_type().name,
            name: self.context.name(),
            endpoint: 0,
            peer: 0,
            address: Vec::new(),
            values: [0; Figure::COUNT],
        };
        self.tell(|protocol, view| protocol.account(view));
        let mut draft = Draft::new(&self.lock(), &own);
        let mut peers = Vec::with_capacity(draft.pipes.len());
        for member in &draft.pipes {
            let peer = member.entry(&own);
            let endpoints = &mut draft.endpoints;
            // They stand in the order of their numbers.
            if let Ok(at) = endpoints.binary_search_by_key(&peer.endpoint, |it| it.endpoint) {
                endpoints[at].unite(&peer);
                endpoints[at].add(Figure::Connections, u64::from(!member.is_ended));
            } else {
                own.unite(&peer);
            }
            // Who has gone is no peer any more, though what came from him still waits.
            if !member.is_ended {
                peers.push(peer);
            }
        }
        draft.endpoints.iter().for_each(|endpoint| own.unite(endpoint));
        self.complete(&mut own, &draft.traffic)?;
        Ok([vec![own], draft.endpoints, peers].concat())
    }

    /// What the socket knows better than its endpoints do, of which some may have been closed.
    fn complete(&self, own: &mut Entry, traffic: &Traffic) -> Result<(), Error> {
        let connections = traffic.connections;
        let traffic = self.traffic_of_all(*traffic);
        own.set(Figure::MessagesSent, traffic.messages_sent);
        own.set(Figure::MessagesReceived, traffic.messages_received);
        own.set(Figure::BytesSent, traffic.bytes_sent);
        own.set(Figure::BytesReceived, traffic.bytes_received);
        own.set(Figure::Connections, connections);
        let tally = self.context.statistics.tally();
        for (figure, count) in Figure::ALL.into_iter().zip(tally) {
            if figure.is_counted_by_sockets() {
                own.set(figure, count);
            } else if figure.union() == Union::Largest {
                own.set(figure, count.max(own.get(figure)));
            }
        }
        let counted = |id| self.statistic(id);
        own.set(Figure::Connected, counted(number::ESTABLISHED)? + counted(number::ACCEPTED)?);
        own.set(Figure::ConnectErrors, counted(number::CONNECT_ERRORS)?);
        own.set(Figure::AcceptErrors, counted(number::ACCEPT_ERRORS)?);
        own.set(Figure::Violations, counted(number::VIOLATIONS)?);
        Ok(())
    }
}

impl Draft {
    fn new(state: &State, own: &Entry) -> Draft {
        let of_endpoint = |endpoint: &Endpoint, known| {
            let mut entry = own.part(Level::Endpoint, endpoint.id, endpoint.address(known));
            entry.values = endpoint.tally.figures();
            entry.set(Figure::Connected, endpoint.made());
            entry
        };
        let endpoints = state.endpoints.iter().map(|entry| {
            of_endpoint(&entry.endpoint, entry.maker.as_ref().and_then(|maker| maker.address()))
        });
        Draft {
            traffic: state.traffic,
            endpoints: endpoints.collect(),
            pipes: state.pipes.iter().map(Member::from).collect(),
        }
    }
}

impl Member {
    fn entry(&self, own: &Entry) -> Entry {
        let peer = self.connection.stream().and_then(Stream::peer_address);
        let address = self.endpoint.peer_address(peer);
        let mut entry = own.part(Level::Peer, self.endpoint.id, address);
        entry.peer = self.id.peer_number();
        let load = self.connection.load();
        for (figure, count) in of_load(&load).chain(self.lost.figures()) {
            entry.set(figure, count);
        }
        entry
    }
}

impl From<&Pipe> for Member {
    fn from(pipe: &Pipe) -> Member {
        Member {
            id: pipe.id,
            endpoint: Arc::clone(&pipe.endpoint),
            connection: Arc::clone(&pipe.connection),
            lost: pipe.endpoint.context.statistics.lost(pipe.id),
            is_ended: pipe.is_ended,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::fixtures::{FakeConnection, Opened, PAIR, fresh_name};

    #[test]
    fn what_peers_have_carried_stays_with_their_endpoint() {
        let socket = Opened::cooked(PAIR);
        let endpoint = socket.bind(&fresh_name());
        let of = |level, figure: Figure| {
            let entries = socket.get().report().unwrap();
            let of_level = entries.iter().filter(|entry| entry.level == level);
            of_level.map(|entry| entry.get(figure)).collect::<Vec<_>>()
        };
        for turn in 1..=2 {
            let connection = FakeConnection::with_room(10);
            socket.attach(endpoint, &connection).unwrap();
            socket.send("hello").unwrap();
            connection.arrive("hi");
            socket.recv().unwrap();
            connection.arrive("wait");
            assert_eq!(of(Level::Peer, Figure::BytesSent), [5]);
            assert_eq!(of(Level::Peer, Figure::MessagesReceived), [1]);
            for level in [Level::Socket, Level::Endpoint] {
                assert_eq!(of(level, Figure::Connections), [1]);
                assert_eq!(of(level, Figure::ReceiveQueueBytes), [4]);
            }
            connection.end();
            // What came from him is still to be received.
            assert_eq!(of(Level::Peer, Figure::BytesSent), []);
            assert_eq!(of(Level::Endpoint, Figure::Connections), [0]);
            assert_eq!(of(Level::Endpoint, Figure::ReceiveQueueBytes), [4]);
            socket.recv().unwrap();
            for level in [Level::Socket, Level::Endpoint] {
                assert_eq!(of(level, Figure::MessagesSent), [turn]);
                assert_eq!(of(level, Figure::BytesSent), [5 * turn]);
                assert_eq!(of(level, Figure::BytesReceived), [6 * turn]);
                assert_eq!(of(level, Figure::ReceiveQueueBytes), [0]);
                assert_eq!(of(level, Figure::ReceiveQueueBytesMost), [4]);
            }
        }
    }

    #[test]
    fn who_is_gone_takes_no_room_for_what_is_lost_later() {
        let socket = Opened::cooked(PAIR);
        let endpoint = socket.bind(&fresh_name());
        let connection = FakeConnection::with_room(10);
        socket.attach(endpoint, &connection).unwrap();
        let id = socket.get().lock().pipes.iter().next().unwrap().id;
        let lost = || {
            let of_peer = socket.get().context.statistics.lost(id).figures();
            of_peer.map(|(_, count)| count).sum::<u64>()
        };
        connection.displace(2);
        assert_eq!(lost(), 2);
        connection.end();
        connection.displace(1);
        assert_eq!(lost(), 0);
        let entries = socket.get().report().unwrap();
        assert_eq!(entries[0].get(Figure::DroppedNoRoom), 3);
    }

    #[test]
    fn a_socket_remembers_endpoints_that_are_gone() {
        let socket = Opened::cooked(PAIR);
        let endpoint = socket.bind(&fresh_name());
        let connection = FakeConnection::with_room(10);
        socket.attach(endpoint, &connection).unwrap();
        socket.send("hello").unwrap();
        connection.arrive("wait");
        socket.get().shutdown(endpoint).unwrap();
        let entries = socket.get().report().unwrap();
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].get(Figure::MessagesSent), 1);
        assert_eq!(entries[0].get(Figure::ReceiveQueueBytesMost), 4);
        assert_eq!(entries[0].get(Figure::ReceiveQueueBytes), 0);
    }
}
