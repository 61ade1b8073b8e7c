//! What becomes of a message for everybody that some pipe has no room for.

use proptest::prelude::*;

use super::ring::Broadcast;
use super::{Entry, Event, Mesh, NodeId, Wire};
use crate::protocols::{PipeId, Refusal};

/// What a socket has chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// That pipe misses it.
    Newest,
    /// The oldest that have not arrived make room for it.
    Oldest,
    /// Everybody waits until all have room.
    Nothing,
}

pub fn dropped() -> impl Strategy<Value = Dropped> {
    prop_oneof![Just(Dropped::Newest), Just(Dropped::Oldest), Just(Dropped::Nothing)]
}

impl Wire {
    /// What has arrived is beyond the sender's reach.
    pub(super) fn make_room(&mut self) {
        let kept = self.limit.max(1) - 1;
        self.in_transit.drain(..self.in_transit.len().saturating_sub(kept));
    }
}

/// One who sends to everybody, and whether it was right.
#[derive(Default)]
pub struct Speaker {
    broadcast: Broadcast,
    dropped: usize,
    was_held_up: bool,
}

impl Speaker {
    pub fn heed(&mut self, entry: &Entry, mesh: &Mesh) {
        let chosen = mesh.nodes[entry.node].dropped;
        match &entry.event {
            Event::Asks((_, body)) => {
                self.dropped = 0;
                self.was_held_up = self.broadcast.is_held_up();
                self.broadcast.begin(body.clone(), None);
            }
            Event::Dropped(count) => self.dropped += count,
            Event::Refused(pipe) if chosen != Dropped::Newest => {
                assert!(mesh.is_lost(entry.node, *pipe), "only who is gone misses it");
            }
            Event::Asked(asked) if chosen == Dropped::Nothing && self.was_held_up => {
                assert_eq!(*asked, Err(Refusal::Busy));
                assert_eq!(self.dropped, 0, "what is refused is not dropped");
                self.broadcast.refuse();
            }
            Event::Asked(asked) => {
                assert_eq!(*asked, Ok(()));
                self.broadcast.end(self.dropped);
            }
            _ => {}
        }
        self.broadcast.heed(&entry.event);
    }

    /// Whether it says that it can send when it can, and only then.
    pub fn check_readiness(&self, mesh: &mut Mesh, node: NodeId) {
        let must_wait = mesh.nodes[node].dropped == Dropped::Nothing && self.broadcast.is_held_up();
        assert_eq!(mesh.readiness(node).can_send, !must_wait);
    }
}

impl Mesh {
    pub(super) fn choose(&mut self, nodes: std::ops::Range<NodeId>, dropped: Dropped) {
        nodes.for_each(|node| self.nodes[node].dropped = dropped);
    }

    /// Whoever drops the newest waits from now on, and the other way round.
    pub(super) fn choose_again(&mut self, node: NodeId) {
        let chosen = &mut self.nodes[node].dropped;
        *chosen = match *chosen {
            Dropped::Newest => Dropped::Nothing,
            Dropped::Oldest => Dropped::Oldest,
            Dropped::Nothing => Dropped::Newest,
        };
    }

    fn is_lost(&self, node: NodeId, pipe: PipeId) -> bool {
        let link = self.nodes[node].pipes.get(&pipe);
        link.is_none_or(|(link, _)| self.links[*link].is_broken)
    }
}
