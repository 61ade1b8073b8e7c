//! Pipes: connections adopted by a socket.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::mem::{self, ManuallyDrop};
use std::sync::{Arc, Weak};

use super::backlog::Backlog;
use super::deferred;
use super::endpoint::{Cause, Endpoint};
use super::events::{EventKind, SocketEvent};
use super::figures::{Bequest, Lost};
use super::handover::Heirs;
use super::life::Change;
use super::peer;
use super::statistics::Traffic;
use crate::error::Error;
use crate::memory::{self, OutOfMemory};
use crate::message::{Chunk, Message};
use crate::protocols::{BranchId, Branches, PipeId, PipeMap, Pipes};
use crate::trace::{self, Happening};
use crate::transports::{AfterRecv, AfterSend, Connection, Fault, Host, Stream};

/// All pipes of one socket, in the order of their numbers.
#[derive(Default)]
pub struct PipeTable {
    pipes: PipeMap<Pipe>,
    next: u32,
    /// The same by the endpoints that made them.
    by_endpoint: BTreeSet<(i32, PipeId)>,
    live: Live,
    pub backlog: Backlog,
    /// `None` for most.
    pub kin: Option<Box<Kin>>,
}

/// With whom a socket has its pipes in common.
pub enum Kin {
    /// A branch has none but those of its trunk.
    Trunk(Arc<dyn Trunk>),
    Branches(Box<BranchTable>),
}

/// The branches of one socket.
#[derive(Default)]
pub struct BranchTable {
    pub all: BTreeMap<BranchId, Weak<dyn Offshoot>>,
    pub next: u32,
    /// Where threads sleep who would lead next.
    pub heirs: Heirs<BranchId>,
}

/// The socket of which another one is a branch.
pub trait Trunk: Send + Sync {
    /// Has its machine asked, under its lock, unless it is of no use any more.
    fn enter(
        &self,
        aftermath: &mut Aftermath,
        ask: &mut dyn FnMut(&mut dyn Branches, &mut dyn Pipes),
    );
}

/// A socket that is a branch, for its trunk.
pub trait Offshoot: Send + Sync {
    /// Something has happened to it. No lock may be held.
    fn hear(&self);

    /// What it has counted.
    fn traffic(&self) -> Traffic;

    fn handle(&self) -> i32;

    /// Begins to end it; there is nothing that could linger.
    fn close(&self) -> Change;

    fn take_out_of_service(&self);

    /// Wakes who sleeps there.
    fn wake(&self);
}

/// Pipes that have not ended: how many, and the exclusive or of their numbers, which is the number
/// of the only one when there is one.
#[derive(Clone, Copy, Default)]
struct Live {
    count: u32,
    mix: u32,
}

pub struct Pipe {
    pub id: PipeId,
    /// The endpoint that made it.
    pub endpoint: Arc<Endpoint>,
    pub connection: Arc<dyn Connection>,
    /// The peer is gone; what it sent before can still be received.
    pub is_ended: bool,
    /// What is told about the peer, from the first message on with which it is to be told.
    description: OnceCell<Chunk>,
}

/// What a locked operation leaves to be done when the lock is released. Most leave nothing, or
/// something for one connection: that is found out at a glance.
#[derive(Default)]
pub struct Aftermath {
    first: Option<(Arc<dyn Connection>, Duty)>,
    rest: Rest,
    /// Something of an ended pipe has been taken.
    pub is_backlog_less: bool,
    /// Why a message has not been sent that a connection had taken.
    pub failure: Option<Error>,
}

/// What is seldom anything: then dropping it is one look.
#[derive(Default)]
struct Rest(ManuallyDrop<Vec<Leftover>>);

enum Leftover {
    Owed(Arc<dyn Connection>, Duty),
    /// An ended pipe whose last message has been taken.
    Drained(PipeId),
    /// A branch to which something has happened.
    News(Arc<dyn Offshoot>),
    /// One that has been removed. The last owner of a connection closes it. In memory of its own,
    /// so that the others take no more than they need.
    Removed(#[expect(dead_code, reason = "it is to be dropped")] Box<Pipe>),
}

/// What a connection is owed.
#[derive(Clone, Copy)]
enum Duty {
    Deliver,
    DeliverAhead,
    DeliverAll,
    DeliverLent,
    WriteLater,
    Resume,
}

impl PipeTable {
    pub fn insert(&mut self, endpoint: Arc<Endpoint>, connection: Arc<dyn Connection>) -> PipeId {
        let id = self.next_id();
        self.next += 1;
        self.by_endpoint.insert((endpoint.id, id));
        self.live.come(id);
        let description = OnceCell::new();
        self.pipes.insert(id, Pipe { id, endpoint, connection, is_ended: false, description });
        id
    }

    /// The number that the next pipe will have.
    pub fn next_id(&self) -> PipeId {
        PipeId(self.next)
    }

    /// Notes that its peer is gone. `None` when that is known, or when there is no such pipe.
    pub fn end(&mut self, id: PipeId) -> Option<&Pipe> {
        let pipe = self.pipes.get_mut(id).filter(|pipe| !pipe.is_ended)?;
        pipe.is_ended = true;
        self.live.go(id);
        Some(pipe)
    }

    pub fn remove(&mut self, id: PipeId) -> Option<Pipe> {
        let pipe = self.discard(id)?;
        pipe.leave_figures();
        Some(pipe)
    }

    /// The same where nobody will ask what it has carried.
    pub fn discard(&mut self, id: PipeId) -> Option<Pipe> {
        let pipe = self.pipes.remove(id)?;
        self.by_endpoint.remove(&(pipe.endpoint.id, id));
        self.backlog.remove(id);
        if !pipe.is_ended {
            self.live.go(id);
        }
        Some(pipe)
    }

    pub fn get(&self, id: PipeId) -> Option<&Pipe> {
        self.pipes.get(id)
    }

    /// The same, unless its peer is gone.
    pub fn live(&self, id: PipeId) -> Option<&Pipe> {
        self.get(id).filter(|pipe| !pipe.is_ended)
    }

    pub fn len(&self) -> usize {
        self.pipes.len()
    }

    /// The one that has not ended, if it is one.
    pub fn only_live(&self) -> Option<&Pipe> {
        if self.live.count == 1 { self.get(PipeId(self.live.mix)) } else { None }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Pipe> {
        self.pipes.iter()
    }

    pub fn ids(&self) -> Vec<PipeId> {
        self.iter().map(|pipe| pipe.id).collect()
    }

    /// Those that an endpoint has made.
    pub fn ids_of(&self, endpoint: i32) -> Vec<PipeId> {
        let range = (endpoint, PipeId(0))..=(endpoint, PipeId(u32::MAX));
        self.by_endpoint.range(range).map(|(_, id)| *id).collect()
    }

    pub fn connections(&self) -> Vec<Arc<dyn Connection>> {
        self.iter().map(|pipe| Arc::clone(&pipe.connection)).collect()
    }
}

impl Live {
    fn come(&mut self, id: PipeId) {
        self.count += 1;
        self.mix ^= id.0;
    }

    fn go(&mut self, id: PipeId) {
        self.count -= 1;
        self.mix ^= id.0;
    }
}

impl Pipe {
    pub fn stream(&self) -> Option<&dyn Stream> {
        self.connection.stream()
    }

    /// Its endpoint and its socket remember what it has carried.
    fn leave_figures(&self) {
        let bequest = Bequest::of(&self.connection.load());
        let tally = &self.endpoint.tally;
        tally.inherit(&bequest);
        let lost = self.endpoint.context.statistics.leave(self.id, &bequest);
        let lost = lost.into_iter().flat_map(Lost::figures).filter(|(_, count)| *count > 0);
        lost.for_each(|(figure, count)| tally.add(figure, count));
    }

    /// What has happened to its connection, for whoever wants to know.
    pub fn event(&self, kind: EventKind, fault: Option<Fault>) -> SocketEvent {
        let stream = self.stream();
        let peer = self.endpoint.peer_address(stream.and_then(Stream::peer_address));
        let certificate = stream.and_then(Stream::peer_certificate).unwrap_or_default().to_vec();
        SocketEvent {
            kind,
            endpoint: self.endpoint.id,
            pipe: Some(self.id),
            fault,
            peer,
            certificate,
            missed: 0,
        }
    }

    /// Traces that its connection has become a pipe.
    pub fn trace_attached(&self) {
        if trace::is_on() {
            let who = peer::Who(self.stream());
            self.trace(Happening::Attached, format_args!("pipe={}{who}", self.id.0));
        }
    }

    /// Traces that it is one no longer.
    pub fn trace_detached(&self, why: impl FnOnce() -> Option<Fault>) {
        if trace::is_on() {
            let cause = Cause(why());
            self.trace(Happening::Detached, format_args!("pipe={} {cause}", self.id.0));
        }
    }

    fn trace(&self, event: Happening, details: fmt::Arguments<'_>) {
        let peer = self.stream().and_then(Stream::peer_address);
        self.endpoint.trace(event, peer, details);
    }

    /// Has `message` say whom it comes from. Without memory for that it is received all the same.
    #[cold]
    pub fn describe_peer(&self, message: &mut Message) {
        let known = match self.description.get() {
            Some(known) => Some(known),
            None => peer::describe(self.id, &self.endpoint, &*self.connection)
                .ok()
                .map(|fresh| self.description.get_or_init(|| fresh)),
        };
        let _ = known.map(|known| message.say(known.as_slice()));
    }
}

impl Aftermath {
    /// Makes sure that another duty can be noted.
    #[inline]
    pub fn reserve(&mut self) -> Result<(), OutOfMemory> {
        if self.first.is_none() { Ok(()) } else { self.reserve_all(1) }
    }

    /// The same for so many of them.
    #[inline(never)]
    pub fn reserve_all(&mut self, count: usize) -> Result<(), OutOfMemory> {
        memory::reserve(&mut *self.rest.0, count)
    }

    #[inline]
    pub fn note_sent(&mut self, connection: &Arc<dyn Connection>, then: AfterSend) {
        match then {
            AfterSend::Nothing | AfterSend::Displaced => {}
            AfterSend::Deliver => self.note(connection, Duty::Deliver),
            AfterSend::DeliverAhead => self.note(connection, Duty::DeliverAhead),
            AfterSend::DeliverAll => self.note(connection, Duty::DeliverAll),
            AfterSend::DeliverLent => self.note(connection, Duty::DeliverLent),
            AfterSend::WriteLater => self.note(connection, Duty::WriteLater),
        }
    }

    #[inline]
    pub fn note_received(&mut self, connection: &Arc<dyn Connection>, then: AfterRecv) {
        match then {
            AfterRecv::Nothing => {}
            AfterRecv::Resume => self.note(connection, Duty::Resume),
        }
    }

    #[inline(never)]
    fn note(&mut self, connection: &Arc<dyn Connection>, duty: Duty) {
        let connection = Arc::clone(connection);
        match &self.first {
            None => self.first = Some((connection, duty)),
            Some(_) => self.rest.0.push(Leftover::Owed(connection, duty)),
        }
    }

    /// The last message of an ended pipe has been taken, or will never be.
    pub fn note_drained(&mut self, id: PipeId) {
        self.rest.0.push(Leftover::Drained(id));
    }

    /// Something has happened to a branch, which hears of it outside the lock.
    pub fn note_news(&mut self, branch: Arc<dyn Offshoot>) {
        self.rest.0.push(Leftover::News(branch));
    }

    /// Removes the pipes that are drained, as `remove` does it.
    #[inline]
    pub fn remove_drained(&mut self, remove: impl FnMut(PipeId) -> Option<Pipe>) {
        if !self.rest.0.is_empty() {
            self.remove_each_drained(remove);
        }
    }

    #[inline(never)]
    fn remove_each_drained(&mut self, mut remove: impl FnMut(PipeId) -> Option<Pipe>) {
        for leftover in &mut *self.rest.0 {
            if let Leftover::Drained(id) = leftover
                && let Some(pipe) = remove(*id)
            {
                *leftover = Leftover::Removed(Box::new(pipe));
            }
        }
    }

    /// Does what connections asked for, and closes those that nobody has any more. No lock may be
    /// held.
    #[allow(clippy::inline_always, reason = "most often there is nothing, and nothing is done")]
    #[inline(always)]
    pub fn settle(&mut self) {
        if self.first.is_some() {
            self.settle_first();
        }
        if self.rest.0.capacity() > 0 {
            self.settle_rest();
        }
    }

    /// Settles it for the last time, where it is: it is written in small pieces just before, and to
    /// move it would be to wait for them. Nothing is left in it, and to drop it would be to find
    /// that out again. Says why a message has not been sent that a connection had taken.
    #[allow(clippy::inline_always, reason = "most often there is nothing, and nothing is done")]
    #[inline(always)]
    pub fn finish(&mut self) -> Option<Error> {
        self.settle();
        self.failure
    }

    #[inline(never)]
    fn settle_first(&mut self) {
        if let Some((connection, duty)) = self.first.take() {
            self.failure = duty.fulfil(&connection);
        }
    }

    #[inline(never)]
    fn settle_rest(&mut self) {
        let rest = mem::take(&mut *self.rest.0);
        for leftover in &rest {
            match leftover {
                Leftover::Owed(connection, duty) => {
                    let failure = duty.fulfil(connection);
                    self.failure = self.failure.or(failure);
                }
                Leftover::News(branch) => branch.hear(),
                Leftover::Drained(_) | Leftover::Removed(_) => {}
            }
        }
    }
}

/// As after a panic, which has kept it from being settled.
impl Drop for Aftermath {
    #[inline]
    fn drop(&mut self) {
        if let Some((connection, Duty::DeliverLent)) = &self.first {
            let _ = connection.deliver_lent();
        }
    }
}

impl Rest {
    #[inline(never)]
    fn give_up(&mut self) {
        drop(mem::take(&mut *self.0));
    }
}

impl Drop for Rest {
    #[inline]
    fn drop(&mut self) {
        if self.0.capacity() > 0 {
            self.give_up();
        }
    }
}

impl Duty {
    /// Says why a message has not been sent that the connection had taken.
    fn fulfil(self, connection: &Arc<dyn Connection>) -> Option<Error> {
        match (self, connection.stream()) {
            (Duty::Deliver, _) => connection.deliver(),
            (Duty::DeliverAhead, _) => {
                connection.deliver();
                deferred::note(connection);
            }
            (Duty::DeliverAll, _) => {
                connection.deliver();
                deferred::write_out();
            }
            (Duty::DeliverLent, _) => {
                let delivered = connection.deliver_lent();
                // What this thread has gathered elsewhere has waited for the big one.
                deferred::write_out();
                return delivered.err();
            }
            (Duty::Resume, _) => connection.resume(),
            (Duty::WriteLater, None) => {}
            (Duty::WriteLater, Some(stream)) => {
                stream.write_later();
                deferred::note(connection);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::context::Context;
    use crate::core::context::Shared;
    use crate::core::endpoint::Owner;
    use crate::core::fixtures::{FakeConnection, PULL};
    use crate::core::socket::Socket;
    use crate::protocols::socket_type;
    use crate::sync::atomic::Ordering::Relaxed;
    use crate::testing::{MANY, in_disorder};

    fn endpoint(id: i32) -> Arc<Endpoint> {
        let shared = Shared { reactor: Arc::default(), printer: None };
        let context = Arc::new(Context::new(0, 1, socket_type(PULL).unwrap(), &shared));
        let owner = Weak::<Socket>::new() as Weak<dyn Owner>;
        Arc::new(Endpoint::new(id, context, owner, "inproc", b"name"))
    }

    fn ids(numbers: impl IntoIterator<Item = u32>) -> Vec<PipeId> {
        numbers.into_iter().map(PipeId).collect()
    }

    #[test]
    fn one_of_many_pipes_ends_and_goes_at_once() {
        let mut table = PipeTable::default();
        let (endpoints, connection) = ([7, 8].map(endpoint), FakeConnection::with_room(0));
        for number in 0..MANY {
            let endpoint = Arc::clone(&endpoints[number as usize % 2]);
            let id = table.insert(endpoint, Arc::clone(&connection) as _);
            assert_eq!(id, PipeId(number));
        }
        for id in in_disorder().map(PipeId) {
            assert!(table.end(id).is_some() && table.end(id).is_none());
            // Whatever ends is as easily passed over as what has gone.
            assert!(table.only_live().is_none_or(|only| only.id != id));
            assert!(id.0 % 3 == 0 || table.remove(id).is_some());
        }
        assert_eq!(table.ids_of(7), ids((0..MANY).step_by(6)));
        for id in in_disorder().map(PipeId) {
            assert_eq!(table.remove(id).is_some(), id.0 % 3 == 0);
            assert!(table.end(id).is_none());
        }
        assert_eq!((table.len(), table.ids_of(7), table.ids_of(8)), (0, ids([]), ids([])));
        assert_eq!(Arc::strong_count(&connection), 1);
    }

    #[test]
    fn each_connection_gets_its_due_once_and_what_is_removed_goes_last() {
        let mut table = PipeTable::default();
        let connections = [(); 4].map(|()| FakeConnection::with_room(0));
        let all = connections.clone().map(|connection| connection as Arc<dyn Connection>);
        let mut aftermath = Aftermath::default();
        for connection in &all[..3] {
            aftermath.reserve().unwrap();
            aftermath.note_sent(connection, AfterSend::Deliver);
        }
        aftermath.note_received(&all[1], AfterRecv::Resume);
        aftermath.note_received(&all[2], AfterRecv::Nothing);
        let id = table.insert(endpoint(1), Arc::clone(&all[3]));
        aftermath.note_drained(id);
        aftermath.remove_drained(|id| table.remove(id));
        drop(all);
        let owners = || connections.each_ref().map(Arc::strong_count);
        assert_eq!((table.len(), owners()), (0, [2, 3, 2, 2]));
        for _ in 0..2 {
            aftermath.settle();
            let delivered = connections.each_ref().map(|one| one.delivered.load(Relaxed));
            let resumed = connections.each_ref().map(|one| one.resumed.load(Relaxed));
            assert_eq!((delivered, resumed, owners()), ([1, 1, 1, 0], [0, 1, 0, 0], [1; 4]));
        }
    }

    #[test]
    fn what_is_settled_for_the_last_time_keeps_nobody() {
        for count in [0, 1, 3] {
            let connection = FakeConnection::with_room(0);
            let owed = Arc::clone(&connection) as Arc<dyn Connection>;
            let mut aftermath = Aftermath::default();
            for _ in 0..count {
                aftermath.reserve().unwrap();
                aftermath.note_sent(&owed, AfterSend::Deliver);
            }
            drop(owed);
            assert_eq!(aftermath.finish(), None);
            let delivered = connection.delivered.load(Relaxed);
            assert_eq!((delivered, Arc::strong_count(&connection)), (count, 1));
        }
    }

    /// As after a panic.
    #[test]
    fn what_is_never_settled_is_given_up_all_the_same() {
        let connection = FakeConnection::with_room(0);
        let mut aftermath = Aftermath::default();
        for _ in 0..3 {
            aftermath
                .note_sent(&(Arc::clone(&connection) as Arc<dyn Connection>), AfterSend::Deliver);
        }
        drop(aftermath);
        assert_eq!((connection.delivered.load(Relaxed), Arc::strong_count(&connection)), (0, 1));
    }

    #[test]
    fn the_only_one_that_lives_is_known_among_those_that_have_ended() {
        let (mut table, endpoint) = (PipeTable::default(), endpoint(1));
        let only = |table: &PipeTable| table.only_live().map(|pipe| pipe.id.0);
        let come = |table: &mut PipeTable| {
            table.insert(Arc::clone(&endpoint), FakeConnection::with_room(0)).0
        };
        assert_eq!(only(&table), None);
        let [first, second, third] = [(); 3].map(|()| come(&mut table));
        assert_eq!(only(&table), None);
        table.end(PipeId(second));
        assert_eq!(only(&table), None);
        table.remove(PipeId(first));
        assert_eq!(only(&table), Some(third));
        table.end(PipeId(third));
        assert_eq!(only(&table), None);
        let fourth = come(&mut table);
        assert_eq!(only(&table), Some(fourth));
        table.remove(PipeId(second));
        assert_eq!(only(&table), Some(fourth));
    }
}
