//! What the lock of one socket guards.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::backlog::{Allowance, Occupied};
use super::context::Context;
use super::endpoint::Endpoint;
use super::pipe::{Aftermath, Pipe, PipeTable};
use super::statistics::Traffic;
use super::view::View;
use crate::protocols::{PipeId, Pipes, Priorities, Protocol, Readiness, Rejected};
use crate::sys;
use crate::transports::Maker;

pub struct State {
    pub protocol: Box<dyn Protocol>,
    pub pipes: PipeTable,
    pub endpoints: EndpointTable,
    pub traffic: Traffic,
    /// What the descriptors show.
    pub shown: Readiness,
    /// When the reactor will say that time has passed.
    pub armed: Option<Instant>,
    /// Somebody was told that no connection is wanted, and would hear of it when one is.
    has_refused: bool,
}

/// All endpoints of one socket, by the numbers that the user knows.
pub struct EndpointTable {
    entries: BTreeMap<i32, EndpointEntry>,
    next: i32,
}

pub struct EndpointEntry {
    pub endpoint: Arc<Endpoint>,
    /// What listens or connects. Absent for the moment in which the transport makes it.
    pub maker: Option<Arc<dyn Maker>>,
}

impl State {
    pub fn new(protocol: Box<dyn Protocol>) -> State {
        State {
            protocol,
            pipes: PipeTable::default(),
            endpoints: EndpointTable { entries: BTreeMap::new(), next: 1 },
            traffic: Traffic::default(),
            shown: Readiness::default(),
            armed: None,
            has_refused: false,
        }
    }

    /// The protocol, and what it may do with the rest.
    #[inline]
    pub fn parts<'a>(
        &'a mut self,
        context: &'a Context,
        aftermath: &'a mut Aftermath,
    ) -> (&'a mut dyn Protocol, View<'a>) {
        let dropped = &mut self.traffic.messages_dropped;
        let view = View { table: &mut self.pipes, aftermath, context, dropped };
        (&mut *self.protocol, view)
    }

    /// Ended pipes go when their last message has been taken.
    #[inline]
    pub fn remove_drained(&mut self, aftermath: &mut Aftermath) {
        aftermath.remove_drained(|id| self.remove_pipe(id));
    }

    pub fn remove_pipe(&mut self, id: PipeId) -> Option<Pipe> {
        // The machine goes first: should it panic, the pipe is still there to be closed.
        self.pipes.get(id)?;
        self.protocol.remove_pipe(id);
        self.pipes.remove(id)
    }

    /// The same where the socket goes with it: figures are told of no socket that is closed.
    pub fn discard_pipe(&mut self, id: PipeId) -> Option<Pipe> {
        self.pipes.get(id)?;
        self.protocol.remove_pipe(id);
        self.pipes.discard(id)
    }

    /// Whether another connection would be taken in.
    pub fn wants_pipe(&mut self) -> bool {
        let is_wanted = !self.pipes.backlog.is_full() && self.protocol.wants_pipe();
        self.has_refused |= !is_wanted;
        is_wanted
    }

    /// # Errors
    /// When the connection that was to become the next pipe is not wanted.
    pub fn add_pipe(&mut self, priorities: Priorities) -> Result<PipeId, Rejected> {
        let id = self.pipes.next_id();
        let added = self.protocol.add_pipe(id, priorities);
        self.has_refused |= added.is_err();
        added.map(|()| id)
    }

    /// Whether so much of peers that have gone is to be received yet that others wait outside.
    pub fn is_behind(&mut self) -> bool {
        let is_behind = self.pipes.backlog.is_full();
        self.has_refused |= is_behind;
        is_behind
    }

    /// The peer of a pipe has gone, and what it has sent is still to be received. Returns what is
    /// given up for it.
    pub fn leave_behind(&mut self, id: PipeId, context: &Context) -> Vec<Pipe> {
        let Some(pipe) = self.pipes.get(id) else { return Vec::new() };
        let what = if pipe.stream().is_some() { Occupied::Descriptor } else { Occupied::Memory };
        let held = pipe.connection.held();
        let allowance = Allowance {
            recv_buffer: context.options.recv_buffer(),
            descriptors: sys::descriptor_limit() / 2,
        };
        self.pipes.backlog.add(id, held, what, allowance);
        if !context.socket_type.when_busy.drops() {
            self.pipes.backlog.bound(allowance);
            return Vec::new();
        }
        // Who only talks would never let anybody in again; and what is said to who does not listen
        // may be lost.
        let excess = || self.pipes.backlog.excess(allowance).and_then(|id| self.remove_pipe(id));
        std::iter::from_fn(excess).collect()
    }

    /// Whether those who were refused are to be told that a connection is wanted now. Mostly there
    /// is nobody, and no endpoint has to be looked at whenever a peer leaves.
    pub fn must_retry(&mut self) -> bool {
        let must_retry = self.has_refused && self.wants_pipe();
        self.has_refused &= !must_retry;
        must_retry
    }

    /// Puts a machine that does nothing in the place of one that has shown a bug, and must not be
    /// called again.
    pub fn retire_protocol(&mut self) -> Box<dyn Protocol> {
        std::mem::replace(&mut self.protocol, Box::new(Retired))
    }

    /// Notes what the reactor should know. True when it has to be told.
    #[inline]
    pub fn note_timeout(&mut self) -> bool {
        let Some(next) = self.protocol.next_timeout() else { return false };
        let is_known = self.armed.is_some_and(|armed| armed <= next);
        if !is_known {
            self.armed = Some(next);
        }
        !is_known
    }
}

impl EndpointTable {
    /// Makes an endpoint with the next number, which nothing works for yet.
    pub fn reserve(&mut self, make: impl FnOnce(i32) -> Endpoint) -> Arc<Endpoint> {
        let endpoint = Arc::new(make(self.next));
        let entry = EndpointEntry { endpoint: Arc::clone(&endpoint), maker: None };
        self.entries.insert(self.next, entry);
        self.next += 1;
        endpoint
    }

    /// Undoes [`EndpointTable::reserve`]: a call that fails uses no number up.
    pub fn release(&mut self, id: i32) {
        self.entries.remove(&id);
        if self.next == id + 1 {
            self.next = id;
        }
    }

    pub fn get(&self, id: i32) -> Option<&EndpointEntry> {
        self.entries.get(&id)
    }

    pub fn get_mut(&mut self, id: i32) -> Option<&mut EndpointEntry> {
        self.entries.get_mut(&id)
    }

    pub fn remove(&mut self, id: i32) -> Option<EndpointEntry> {
        self.entries.remove(&id)
    }

    pub fn take_all(&mut self) -> Vec<EndpointEntry> {
        std::mem::take(&mut self.entries).into_values().collect()
    }

    pub fn iter(&self) -> impl Iterator<Item = &EndpointEntry> {
        self.entries.values()
    }

    /// Everything that listens or connects.
    pub fn makers(&self) -> Vec<Arc<dyn Maker>> {
        self.entries.values().filter_map(|entry| entry.maker.clone()).collect()
    }
}

impl EndpointEntry {
    pub fn close(&self) {
        if let Some(maker) = &self.maker {
            maker.close();
        }
        self.endpoint.close();
    }
}

/// The protocol of a socket that is out of service.
struct Retired;

impl Protocol for Retired {
    fn wants_pipe(&self) -> bool {
        false
    }

    fn add_pipe(&mut self, _pipe: PipeId, _priorities: Priorities) -> Result<(), Rejected> {
        Err(Rejected)
    }

    fn pipe_ended(&mut self, _pipe: PipeId, _pipes: &mut dyn Pipes) {}

    fn remove_pipe(&mut self, _pipe: PipeId) {}

    /// Calls would tell at once that the socket is of no use.
    fn readiness(&self, _pipes: &dyn Pipes) -> Readiness {
        Readiness { can_send: true, can_recv: true }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::protocols::Rejected;

    /// A machine that knows nothing but its deadline.
    struct Clock(Option<Instant>);

    impl Protocol for Clock {
        fn add_pipe(&mut self, _pipe: PipeId, _priorities: Priorities) -> Result<(), Rejected> {
            Ok(())
        }

        fn pipe_ended(&mut self, _pipe: PipeId, _pipes: &mut dyn Pipes) {}
        fn remove_pipe(&mut self, _pipe: PipeId) {}

        fn readiness(&self, _pipes: &dyn Pipes) -> Readiness {
            Readiness::default()
        }

        fn next_timeout(&self) -> Option<Instant> {
            self.0
        }
    }

    #[test]
    fn the_reactor_is_told_of_earlier_deadlines_only() {
        let now = Instant::now();
        let mut state = State::new(Box::new(Clock(None)));
        let mut note = |after: Option<u64>| {
            let next = after.map(|after| now + Duration::from_secs(after));
            state.protocol = Box::new(Clock(next));
            state.note_timeout()
        };
        assert!(!note(None));
        assert!(note(Some(9)));
        assert!(!note(Some(9)));
        assert!(!note(Some(12)), "what it knows is too early, not too late");
        assert!(!note(None));
        assert!(note(Some(3)));
        assert_eq!(state.armed, Some(now + Duration::from_secs(3)));
    }

    #[test]
    fn a_retired_machine_is_not_asked_again() {
        let mut state = State::new(Box::new(Clock(Some(Instant::now()))));
        assert!(state.retire_protocol().next_timeout().is_some());
        assert!(!state.note_timeout());
        assert!(!state.protocol.wants_pipe());
        assert_eq!(state.protocol.add_pipe(PipeId(0), Priorities::default()), Err(Rejected));
    }
}
