//! Machines of whole sockets, joined by simulated pipes under a virtual clock.
//!
//! The network is seeded: it delays, fills up, stalls, breaks and mends, but while a pipe lives it
//! loses nothing and keeps its order. News reach a machine late, so that they may be stale, but
//! always in their order. Nothing sleeps, and no thread is started.

mod answer;
mod branches;
mod bus;
mod contexts;
mod device;
mod fault;
mod full;
mod last;
mod many;
mod pair;
mod pipeline;
mod pubsub;
mod random;
mod reqrep;
mod ring;
mod survey;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::message::control::peer;
use crate::message::{Body, Header, Limit, Message};
use crate::protocols::{
    BranchId, Branches, Flow, Loss, Nothing, PipeId, Pipes, Priorities, Protocol, Readiness,
    Refusal, Seed, SendPriority, socket_type,
};
use fault::Faults;
use full::Dropped;
pub use random::Random;

/// A socket of the mesh, by its place.
type NodeId = usize;
/// A way between two sockets, on which one link after the other may live.
type RouteId = usize;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Domain {
    Cooked,
    Raw,
}

pub struct Mesh {
    now: Instant,
    faults: Faults,
    random: Random,
    nodes: Vec<Node>,
    routes: Vec<Route>,
    links: Vec<Link>,
    /// What will happen, in the order of time and then of cause.
    news: BTreeMap<(Instant, u64), (usize, usize, News)>,
    serial: u64,
    /// What happened since it was last looked at.
    log: Vec<Entry>,
    /// Who runs inside whom: a branch calls its trunk.
    depth: usize,
    /// The branches that have to hear of something when nobody runs.
    told: VecDeque<NodeId>,
    /// No pipe has memory for another message.
    is_starved: bool,
}

struct Node {
    number: i32,
    /// Absent while it runs.
    machine: Option<Box<dyn Protocol>>,
    next_pipe: u32,
    /// The link and the end of it that each pipe is.
    pipes: BTreeMap<PipeId, (usize, usize)>,
    hop_limit: usize,
    /// What becomes of a message that a pipe has no room for.
    dropped: Dropped,
    branches: BTreeMap<BranchId, NodeId>,
    /// What a branch is a branch of, by which number.
    trunk: Option<(NodeId, BranchId)>,
}

struct Route {
    nodes: [NodeId; 2],
    priorities: [Priorities; 2],
    link: Option<usize>,
}

struct Link {
    ends: [End; 2],
    /// What goes from this end to the other one.
    wires: [Wire; 2],
    is_broken: bool,
    /// Whether a broken link seems to take what is sent before its end is known.
    swallows: bool,
    /// Whether a header travels apart from the body, as inside one process.
    keeps_headers: bool,
}

struct End {
    node: NodeId,
    pipe: PipeId,
    has_ended: bool,
    is_removed: bool,
    last_news: Instant,
}

struct Wire {
    in_transit: VecDeque<Message>,
    arrived: VecDeque<Message>,
    /// How many messages fit. A wire that had room keeps it until it is used, whatever the limit.
    room: usize,
    limit: usize,
    last_arrival: Instant,
}

/// What happens at an end of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    /// The first message that is on its way from this end has arrived at the other.
    Arrival,
    Readable,
    Writable,
    Ended,
}

/// What happened to one machine, for the models that say whether it was right.
#[derive(Clone, Debug)]
struct Entry {
    at: Instant,
    node: NodeId,
    event: Event,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Event {
    /// The caller sends this, and the rest of the call follows up to [`Event::Asked`].
    Asks(Parts),
    Asked(Result<(), Refusal>),
    /// The caller receives, and the rest of the call follows up to [`Event::Gave`].
    Wants,
    Gave(Result<Parts, Nothing>),
    Added(PipeId, Priorities),
    /// The machine is told so, and whether it is still true.
    Readable(PipeId, bool),
    Writable(PipeId, bool),
    /// Whether the pipe still holds a message.
    Ended(PipeId, bool),
    Removed(PipeId),
    TimedOut,
    /// The machine gave this to a pipe, which can take more or not.
    Sent {
        pipe: PipeId,
        wire: Vec<u8>,
        has_room: bool,
    },
    /// A pipe did not take it.
    Refused(PipeId),
    /// The machine took this from a pipe, which holds more or not.
    Took {
        pipe: PipeId,
        wire: Vec<u8>,
        has_more: bool,
    },
    /// A pipe held nothing.
    Missed(PipeId),
    Dropped(usize),
    /// A branch is told that something has happened to it.
    Told,
}

/// A message as a caller has it: an SP header, if it is a raw socket's, and the body.
type Parts = (Vec<u8>, Vec<u8>);

impl Mesh {
    fn new(seed: u64, faults: Faults) -> Mesh {
        Mesh {
            now: Instant::now(),
            faults,
            random: Random::new(seed),
            nodes: Vec::new(),
            routes: Vec::new(),
            links: Vec::new(),
            news: BTreeMap::new(),
            serial: 0,
            log: Vec::new(),
            depth: 0,
            told: VecDeque::new(),
            is_starved: false,
        }
    }

    fn open(&mut self, number: i32, domain: Domain) -> NodeId {
        let socket_type = socket_type(number).unwrap();
        let serial = self.nodes.len() as u32 + 1;
        let seed = Seed { serial, random: self.random.next() as u32 };
        let make = match domain {
            Domain::Cooked => socket_type.cooked,
            Domain::Raw => socket_type.raw,
        };
        self.add_node(number, make(seed), None)
    }

    fn add_node(
        &mut self,
        number: i32,
        machine: Box<dyn Protocol>,
        trunk: Option<(NodeId, BranchId)>,
    ) -> NodeId {
        self.nodes.push(Node {
            number,
            machine: Some(machine),
            next_pipe: 0,
            pipes: BTreeMap::new(),
            hop_limit: 8,
            dropped: Dropped::Newest,
            branches: BTreeMap::new(),
            trunk,
        });
        self.nodes.len() - 1
    }

    fn open_all(&mut self, number: i32, count: usize) -> Vec<NodeId> {
        (0..count).map(|_| self.open(number, Domain::Cooked)).collect()
    }

    fn try_option(&mut self, node: NodeId, option: i32, value: &[u8]) -> Result<(), Error> {
        self.nodes[node].machine.as_mut().unwrap().set_option(option, Some(value))
    }

    fn set_millis(&mut self, node: NodeId, option: i32, millis: i32) {
        self.try_option(node, option, &millis.to_ne_bytes()).unwrap();
    }

    fn join(&mut self, a: NodeId, b: NodeId) -> RouteId {
        self.join_with(a, b, [Priorities::default(); 2])
    }

    fn join_with(&mut self, a: NodeId, b: NodeId, priorities: [Priorities; 2]) -> RouteId {
        let (own, peer) = (self.nodes[a].number, self.nodes[b].number);
        assert_eq!(i32::from(socket_type(own).unwrap().peer.number), peer);
        self.routes.push(Route { nodes: [a, b], priorities, link: None });
        self.mend(self.routes.len() - 1);
        self.routes.len() - 1
    }

    /// Makes a link where there is none, or the old one has ended at both sides. Says whether
    /// both sockets wanted it.
    fn mend(&mut self, route: RouteId) -> bool {
        let Route { nodes, priorities, link } = self.routes[route];
        if link.is_some_and(|link| !self.links[link].ends.iter().all(|end| end.has_ended)) {
            return false;
        }
        self.routes[route].link = None;
        let new = self.links.len();
        let mut pipes = [PipeId(0); 2];
        for side in 0..2 {
            let node = &mut self.nodes[nodes[side]];
            let machine = node.machine.as_mut().unwrap();
            let (wants, pipe) = (machine.wants_pipe(), PipeId(node.next_pipe));
            let added = machine.add_pipe(pipe, priorities[side]).is_ok();
            assert_eq!(wants, added, "a machine takes the pipes that it wants");
            if !added {
                if side == 1 {
                    self.withdraw(nodes[0], pipes[0]);
                }
                return false;
            }
            node.next_pipe += 1;
            pipes[side] = pipe;
            self.note(nodes[side], Event::Added(pipe, priorities[side]));
        }
        let now = self.now;
        let end = |side: usize| End {
            node: nodes[side],
            pipe: pipes[side],
            has_ended: false,
            is_removed: false,
            last_news: now,
        };
        let wire = |limit| Wire {
            in_transit: VecDeque::new(),
            arrived: VecDeque::new(),
            room: limit,
            limit,
            last_arrival: now,
        };
        let limits = [0; 2].map(|_| 1 + self.random.below(self.faults.room_max));
        self.links.push(Link {
            ends: [end(0), end(1)],
            wires: limits.map(wire),
            is_broken: false,
            swallows: self.random.below(2) == 0,
            keeps_headers: self.random.below(2) == 0,
        });
        self.routes[route].link = Some(new);
        for side in 0..2 {
            self.nodes[nodes[side]].pipes.insert(pipes[side], (new, side));
            self.post(new, side, News::Writable);
        }
        true
    }

    /// The pipe never came to life, because the other side did not want it.
    fn withdraw(&mut self, node: NodeId, pipe: PipeId) {
        self.note(node, Event::Ended(pipe, false));
        self.with(node, |machine, view| machine.pipe_ended(pipe, view));
        self.note(node, Event::Removed(pipe));
        self.nodes[node].machine.as_mut().unwrap().remove_pipe(pipe);
    }

    /// Cuts the link of a route. A part of what is on its way still arrives, in order.
    fn cut(&mut self, route: RouteId) {
        let Some(index) = self.routes[route].link else { return };
        if std::mem::replace(&mut self.links[index].is_broken, true) {
            return;
        }
        for side in 0..2 {
            let wire = &mut self.links[index].wires[side];
            let survivors = self.random.below(wire.in_transit.len() + 1);
            let was_empty = wire.arrived.is_empty();
            wire.arrived.extend(wire.in_transit.drain(..survivors));
            wire.in_transit.clear();
            // What comes with the end may be found with the end.
            if was_empty && survivors > 0 && self.random.below(2) == 0 {
                self.post(index, 1 - side, News::Readable);
            }
        }
        for side in 0..2 {
            self.post(index, side, News::Ended);
        }
    }

    /// Limits how many messages fit the wire from `from` of a route.
    fn set_limit(&mut self, route: RouteId, from: NodeId, limit: usize) {
        let side = usize::from(self.routes[route].nodes[0] != from);
        let Some(index) = self.routes[route].link else { return };
        let wire = &mut self.links[index].wires[side];
        let was_full = wire.is_full();
        wire.limit = limit;
        wire.room = if was_full { limit } else { limit.max(wire.used() + 1) };
        if was_full && !wire.is_full() {
            self.post(index, side, News::Writable);
        }
    }

    fn post(&mut self, link: usize, side: usize, news: News) {
        let delay = match news {
            News::Arrival => self.faults.delay(&mut self.random),
            _ => self.faults.lateness(&mut self.random),
        };
        let link_ = &mut self.links[link];
        let last = match news {
            News::Arrival => &mut link_.wires[side].last_arrival,
            _ => &mut link_.ends[side].last_news,
        };
        *last = (*last).max(self.now + delay);
        let at = *last;
        // A machine may be told what it knows already, and what is not true any more.
        let is_doubled = news != News::Arrival && news != News::Ended && self.random.below(4) == 0;
        self.serial += 1;
        self.news.insert((at, self.serial), (link, side, news));
        if is_doubled {
            self.serial += 1;
            let later = at + self.faults.lateness(&mut self.random);
            self.news.insert((later, self.serial), (link, side, news));
        }
    }

    /// Lets time pass, with all that happens meanwhile.
    fn advance(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            let news = self.news.first_key_value().map(|(key, _)| key.0);
            let timeout = self.next_timeout();
            let next = news.into_iter().chain(timeout.map(|(at, _)| at)).min();
            let Some(next) = next.filter(|next| *next <= until) else { break };
            self.now = self.now.max(next);
            match timeout {
                Some((at, node)) if at == next && news != Some(next) => self.time_out(node),
                _ => self.hear(),
            }
        }
        self.now = until;
    }

    fn next_timeout(&self) -> Option<(Instant, NodeId)> {
        let timeouts = self.nodes.iter().enumerate().filter_map(|(id, node)| {
            node.machine.as_ref().unwrap().next_timeout().map(|at| (at, id))
        });
        timeouts.min()
    }

    fn time_out(&mut self, node: NodeId) {
        self.note(node, Event::TimedOut);
        self.with(node, |machine, view| machine.timeout(view));
        let next = self.nodes[node].machine.as_ref().unwrap().next_timeout();
        assert!(next.is_none_or(|next| next > self.now), "a timeout that was heeded is over");
    }

    fn hear(&mut self) {
        let Some((_, (index, side, news))) = self.news.pop_first() else { return };
        let link = &self.links[index];
        let (node, pipe) = (link.ends[side].node, link.ends[side].pipe);
        let has_message = !link.wires[1 - side].arrived.is_empty();
        let has_room = self.with(node, |_, view| view.flow(pipe)) == Flow::Ready;
        let link = &mut self.links[index];
        match news {
            News::Arrival => {
                let wire = &mut link.wires[side];
                // A message that was lost with its link has no arrival.
                let Some(message) = wire.in_transit.pop_front() else { return };
                wire.arrived.push_back(message);
                if wire.arrived.len() == 1 {
                    self.post(index, 1 - side, News::Readable);
                }
            }
            _ if link.ends[side].is_removed => {}
            News::Readable => {
                self.note(node, Event::Readable(pipe, has_message));
                self.with(node, |machine, view| {
                    if machine.follows_pipes() {
                        machine.pipe_readable(pipe, view);
                    }
                });
            }
            News::Writable => {
                self.note(node, Event::Writable(pipe, has_room));
                self.with(node, |machine, view| {
                    if machine.follows_pipes() {
                        machine.pipe_writable(pipe, view);
                    }
                });
            }
            News::Ended => {
                link.ends[side].has_ended = true;
                self.note(node, Event::Ended(pipe, has_message));
                self.with(node, |machine, view| machine.pipe_ended(pipe, view));
                self.remove_if_drained(index, side);
            }
        }
    }

    fn remove_if_drained(&mut self, index: usize, side: usize) {
        let link = &mut self.links[index];
        let can_recv = socket_type(self.nodes[link.ends[side].node].number).unwrap().can_recv;
        let is_drained = !can_recv || link.wires[1 - side].arrived.is_empty();
        let end = &mut link.ends[side];
        if end.has_ended && is_drained && !std::mem::replace(&mut end.is_removed, true) {
            let (node, pipe) = (end.node, end.pipe);
            self.nodes[node].pipes.remove(&pipe);
            self.note(node, Event::Removed(pipe));
            self.nodes[node].machine.as_mut().unwrap().remove_pipe(pipe);
        }
    }

    /// Calls a machine, and then does what the call left to be done.
    fn with<R>(
        &mut self,
        node: NodeId,
        call: impl FnOnce(&mut dyn Protocol, &mut View<'_>) -> R,
    ) -> R {
        let mut machine = self.nodes[node].machine.take().unwrap();
        self.depth += 1;
        let mut view = View { mesh: self, node, taken_from: Vec::new() };
        let result = call(&mut *machine, &mut view);
        let taken_from = view.taken_from;
        self.nodes[node].machine = Some(machine);
        for (link, side) in taken_from {
            self.remove_if_drained(link, side);
        }
        self.depth -= 1;
        self.tell_branches();
        result
    }

    /// The next message that has arrived at an end.
    fn take(&mut self, index: usize, side: usize) -> Option<Message> {
        let link = &mut self.links[index];
        let wire = &mut link.wires[1 - side];
        let was_full = wire.is_full();
        let taken = wire.arrived.pop_front()?;
        if was_full && !wire.is_full() && !link.is_broken {
            self.post(index, 1 - side, News::Writable);
        }
        Some(taken)
    }

    fn readiness(&mut self, node: NodeId) -> Readiness {
        if let Some((trunk, branch)) = self.nodes[node].trunk {
            return self.ask_trunk(trunk, |branches, _| branches.readiness_of(branch));
        }
        self.with(node, |machine, view| machine.readiness(view))
    }

    fn send(&mut self, node: NodeId, text: &str) -> Result<(), Refusal> {
        self.send_parts(node, &(Vec::new(), text.as_bytes().to_vec()))
    }

    fn send_parts(&mut self, node: NodeId, parts: &Parts) -> Result<(), Refusal> {
        let mut message = Message::from_body(Body::copy_from(&parts.1).unwrap());
        message.header = Header::copy_from(&parts.0).unwrap();
        self.send_message(node, message)
    }

    fn send_message(&mut self, node: NodeId, mut message: Message) -> Result<(), Refusal> {
        let before = self.readiness(node);
        let of = |message: &Message| {
            (message.header.as_slice().to_vec(), message.body.as_slice().to_vec())
        };
        let parts = of(&message);
        self.note(node, Event::Asks(parts.clone()));
        let is_for_one = peer::named(message.control()).is_some();
        let sent = self.with(node, |machine, view| machine.send(&mut message, view));
        self.note(node, Event::Asked(sent));
        match sent {
            // One that is for a certain peer goes there as soon as there is room.
            Ok(()) => {
                assert!(before.can_send || is_for_one, "sends without having said that it can");
            }
            Err(
                Refusal::Busy | Refusal::BusyForMemory | Refusal::NoMemory | Refusal::WrongState,
            ) => {
                // A pipe that broke unseen may have seemed able to take it.
                let refused = |entry: &Entry| matches!(entry.event, Event::Refused(_));
                let call = self.log.iter().rev().take_while(|entry| !entry.is_start());
                let is_excused = call.into_iter().any(refused);
                let could_send = before.can_send && !is_for_one;
                assert!(!could_send || is_excused, "refuses what it said it could send");
                assert_eq!(of(&message), parts);
            }
            Err(Refusal::Header | Refusal::NoPeer) => assert_eq!(of(&message), parts),
        }
        sent
    }

    fn recv(&mut self, node: NodeId) -> Result<String, Nothing> {
        let (header, body) = self.recv_parts(node)?;
        assert_eq!(header, [0; 0], "what is cooked shows no header");
        Ok(String::from_utf8(body).unwrap())
    }

    fn recv_parts(&mut self, node: NodeId) -> Result<Parts, Nothing> {
        let message = self.recv_message(node)?;
        Ok((message.header.as_slice().to_vec(), message.body.as_slice().to_vec()))
    }

    fn recv_message(&mut self, node: NodeId) -> Result<Message, Nothing> {
        let before = self.readiness(node);
        self.note(node, Event::Wants);
        let mut message = Message::default();
        let given = loop {
            match self.with(node, |machine, view| machine.recv(&mut message, view)) {
                Err(Nothing::Again) => {}
                Err(nothing) => break Err(nothing),
                Ok(()) => {
                    let header = message.header.as_slice().to_vec();
                    break Ok((header, message.body.as_slice().to_vec()));
                }
            }
        };
        assert!(given.is_err() || before.can_recv, "gives what it did not say it has");
        self.note(node, Event::Gave(given.clone()));
        given.map(|_| message)
    }

    /// Lets all that is on its way arrive.
    fn settle(&mut self) {
        self.advance(self.faults.longest());
    }

    /// All pipes live, and the network is quick again.
    fn heal(&mut self) {
        self.settle();
        for route in 0..self.routes.len() {
            self.mend(route);
            for node in self.routes[route].nodes {
                self.set_limit(route, node, self.faults.room_max);
            }
        }
        self.settle();
    }

    /// Messages that arrived and were not taken.
    fn unread(&self) -> usize {
        (0..self.nodes.len()).map(|node| self.unread_by(node)).sum()
    }

    fn unread_by(&self, node: NodeId) -> usize {
        let unread = self.links.iter().map(|link| {
            let is_read_here = |side: &usize| link.ends[1 - side].node == node;
            (0..2).filter(is_read_here).map(|side| link.wires[side].arrived.len()).sum::<usize>()
        });
        unread.sum()
    }

    fn is_writable(&mut self, node: NodeId, pipe: PipeId) -> bool {
        self.with(node, |_, view| view.flow(pipe) == Flow::Ready)
    }

    /// A peer says something that its machine would not say.
    fn inject(&mut self, route: RouteId, from: NodeId, wire: &[u8]) {
        let side = usize::from(self.routes[route].nodes[0] != from);
        let Some(index) = self.routes[route].link else { return };
        if !self.links[index].is_broken {
            let message = Message::from_body(Body::copy_from(wire).unwrap());
            self.links[index].wires[side].in_transit.push_back(message);
            self.post(index, side, News::Arrival);
        }
    }

    fn send_priority(&self, node: NodeId) -> SendPriority {
        self.nodes[node].machine.as_ref().unwrap().send_priority()
    }

    fn note(&mut self, node: NodeId, event: Event) {
        self.log.push(Entry { at: self.now, node, event });
    }

    fn take_log(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.log)
    }
}

impl Wire {
    fn used(&self) -> usize {
        self.in_transit.len() + self.arrived.len()
    }

    fn is_full(&self) -> bool {
        self.used() >= self.room
    }
}

impl Entry {
    fn is_start(&self) -> bool {
        matches!(self.event, Event::Asks(_))
    }
}

/// The pipes of one node, while its machine runs.
struct View<'a> {
    mesh: &'a mut Mesh,
    node: NodeId,
    taken_from: Vec<(usize, usize)>,
}

impl View<'_> {
    fn end(&self, pipe: PipeId) -> Option<(usize, usize)> {
        self.mesh.nodes[self.node].pipes.get(&pipe).copied()
    }
}

impl Pipes for View<'_> {
    fn send(&mut self, pipe: PipeId, message: &mut Message) -> Result<Flow, Refusal> {
        if self.flow(pipe) == Flow::Busy || self.mesh.is_starved {
            self.mesh.note(self.node, Event::Refused(pipe));
            return Err(Refusal::Busy);
        }
        let (index, side) = self.end(pipe).unwrap();
        let mut message = std::mem::take(message);
        let wire = [message.header.as_slice(), message.body.as_slice()].concat();
        let link = &mut self.mesh.links[index];
        // Who sends to a link that is broken does not know it yet.
        if !link.is_broken {
            if !link.keeps_headers {
                message.join().unwrap();
            }
            if self.mesh.nodes[self.node].dropped == Dropped::Oldest {
                link.wires[side].make_room();
            }
            let wire = &mut link.wires[side];
            wire.in_transit.push_back(message);
            wire.room = wire.limit;
            self.mesh.post(index, side, News::Arrival);
        }
        let flow = self.flow(pipe);
        let has_room = flow == Flow::Ready;
        self.mesh.note(self.node, Event::Sent { pipe, wire, has_room });
        Ok(flow)
    }

    fn recv(&mut self, pipe: PipeId, message: &mut Message) -> bool {
        let taken = self.end(pipe).and_then(|(index, side)| self.mesh.take(index, side));
        let Some(taken) = taken else {
            self.mesh.note(self.node, Event::Missed(pipe));
            return false;
        };
        *message = taken;
        self.taken_from.extend(self.end(pipe));
        let wire = [message.header.as_slice(), message.body.as_slice()].concat();
        let has_more = self.is_readable(pipe);
        self.mesh.note(self.node, Event::Took { pipe, wire, has_more });
        true
    }

    fn flow(&self, pipe: PipeId) -> Flow {
        let Some((index, side)) = self.end(pipe) else { return Flow::Busy };
        let link = &self.mesh.links[index];
        let is_gone = link.ends[side].has_ended || link.is_broken && !link.swallows;
        let always_has_room = self.mesh.nodes[self.node].dropped == Dropped::Oldest;
        let is_busy = is_gone || link.wires[side].is_full() && !always_has_room;
        if is_busy { Flow::Busy } else { Flow::Ready }
    }

    fn is_readable(&self, pipe: PipeId) -> bool {
        let Some((index, side)) = self.end(pipe) else { return false };
        !self.mesh.links[index].wires[1 - side].arrived.is_empty()
    }

    fn now(&self) -> Instant {
        self.mesh.now
    }

    fn hop_limit(&self) -> usize {
        self.mesh.nodes[self.node].hop_limit
    }

    fn recv_limit(&self) -> Limit {
        131_072.into()
    }

    fn drops_nothing(&self) -> bool {
        self.mesh.nodes[self.node].dropped == Dropped::Nothing
    }

    fn count_dropped(&mut self, count: usize, _why: Loss) {
        self.mesh.note(self.node, Event::Dropped(count));
    }

    fn tell_branch(&mut self, branch: BranchId) {
        let node = self.mesh.nodes[self.node].branches.get(&branch);
        self.mesh.told.extend(node);
    }

    fn on_trunk(&mut self, ask: &mut dyn FnMut(&mut dyn Branches, &mut dyn Pipes)) {
        let (trunk, _) = self.mesh.nodes[self.node].trunk.unwrap();
        self.mesh.ask_trunk(trunk, |branches, pipes| ask(branches, pipes));
    }
}
