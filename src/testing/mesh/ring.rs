//! Models of the rules by which machines choose pipes, as protocols 2.4 and 2.5 write them.
//!
//! They read the log of a node and say what has to come next in it.

use std::collections::BTreeMap;

use super::Event;
use crate::protocols::{Flow, PipeId, Priority, SendPriority};

/// The sixteen rings of ready pipes of protocols 2.4.
#[derive(Default)]
pub struct Ring {
    priorities: BTreeMap<PipeId, u8>,
    levels: BTreeMap<u8, Level>,
}

#[derive(Default)]
struct Level {
    ready: Vec<PipeId>,
    cursor: Option<PipeId>,
}

impl Level {
    fn after(&self, pipe: PipeId) -> Option<PipeId> {
        let at = self.ready.iter().position(|other| *other == pipe)?;
        Some(self.ready[(at + 1) % self.ready.len()])
    }

    fn remove(&mut self, pipe: PipeId) {
        if self.cursor == Some(pipe) {
            self.cursor = self.after(pipe).filter(|next| *next != pipe);
        }
        self.ready.retain(|other| *other != pipe);
    }
}

impl Ring {
    pub fn add(&mut self, pipe: PipeId, priority: u8) {
        self.priorities.insert(pipe, priority);
    }

    pub fn ready(&mut self, pipe: PipeId) {
        let Some(priority) = self.priorities.get(&pipe) else { return };
        let level = self.levels.entry(*priority).or_default();
        if !level.ready.contains(&pipe) {
            level.ready.push(pipe);
            level.cursor.get_or_insert(pipe);
        }
    }

    pub fn current(&self) -> Option<PipeId> {
        self.levels.values().find_map(|level| level.cursor)
    }

    /// The level that is served.
    fn priority(&self) -> SendPriority {
        let active = self.levels.iter().find(|(_, level)| level.cursor.is_some());
        active.map_or(SendPriority::Gone, |(number, _)| SendPriority::Some(Priority(*number)))
    }

    /// The current pipe had its turn, and can have another or not.
    pub fn used(&mut self, pipe: PipeId, flow: Flow) {
        assert_eq!(self.current(), Some(pipe), "out of turn");
        let level = self.levels.get_mut(&self.priorities[&pipe]).unwrap();
        if flow == Flow::Ready {
            level.cursor = level.after(pipe);
        } else {
            level.remove(pipe);
        }
    }

    pub fn gone(&mut self, pipe: PipeId) {
        self.priorities.remove(&pipe);
        self.levels.values_mut().for_each(|level| level.remove(pipe));
    }
}

/// Which pipe gets the next message: PUSH, REQ.
#[derive(Default)]
pub struct Balance {
    pub ring: Ring,
    /// A message looks for a pipe.
    is_pending: bool,
    /// What the statistic says: it is written when a pipe becomes writable, or goes.
    pub shown: SendPriority,
}

impl Balance {
    pub fn begin(&mut self) {
        self.end();
        self.is_pending = true;
    }

    /// Whether there was a pipe for the message, which had its chance.
    pub fn end(&mut self) {
        let missed = std::mem::take(&mut self.is_pending) && self.ring.current().is_some();
        assert!(!missed, "a pipe could have taken it");
    }

    /// The message is not to be sent after all.
    pub fn cancel(&mut self) {
        self.is_pending = false;
    }

    pub fn is_pending(&self) -> bool {
        self.is_pending
    }

    pub fn heed(&mut self, event: &Event) {
        match event {
            Event::Added(pipe, priorities) => self.ring.add(*pipe, priorities.send.0),
            Event::Writable(pipe, true) => {
                self.ring.ready(*pipe);
                self.shown = self.ring.priority();
            }
            Event::Ended(pipe, _) => {
                self.ring.gone(*pipe);
                self.shown = self.ring.priority();
            }
            Event::Refused(pipe) => self.ring.used(*pipe, Flow::Busy),
            Event::Sent { pipe, has_room, .. } => {
                assert!(std::mem::take(&mut self.is_pending), "nothing was to be sent");
                let flow = if *has_room { Flow::Ready } else { Flow::Busy };
                self.ring.used(*pipe, flow);
            }
            _ => {}
        }
    }
}

/// From which pipe the next message is taken: everybody who receives from several.
#[derive(Default)]
pub struct Fairness {
    ring: Ring,
    /// What the current call has taken.
    pub taken: Vec<(PipeId, Vec<u8>)>,
}

impl Fairness {
    pub fn heed(&mut self, event: &Event) {
        match event {
            Event::Added(pipe, priorities) => self.ring.add(*pipe, priorities.recv.0),
            Event::Readable(pipe, true) | Event::Ended(pipe, true) => self.ring.ready(*pipe),
            Event::Removed(pipe) => self.ring.gone(*pipe),
            Event::Wants => self.taken.clear(),
            Event::Took { pipe, wire, has_more } => {
                let flow = if *has_more { Flow::Ready } else { Flow::Busy };
                self.ring.used(*pipe, flow);
                self.taken.push((*pipe, wire.clone()));
            }
            Event::Missed(pipe) => self.ring.used(*pipe, Flow::Busy),
            _ => {}
        }
    }

    pub fn is_empty(&self) -> bool {
        self.ring.current().is_none()
    }
}

/// Who gets a message for everybody: PUB, SURVEYOR, BUS (protocols 2.5).
#[derive(Default)]
pub struct Broadcast {
    members: Vec<PipeId>,
    /// In the order in which they last became writable.
    writable: Vec<PipeId>,
    /// Who has to get the message next, and who got it.
    expected: Vec<PipeId>,
    wire: Vec<u8>,
    missing: usize,
}

impl Broadcast {
    /// From here on the message is given to everybody who can take it but `except`.
    pub fn begin(&mut self, wire: Vec<u8>, except: Option<PipeId>) {
        let is_meant = |pipe: &&PipeId| Some(**pipe) != except;
        self.expected = self.writable.iter().filter(is_meant).copied().collect();
        self.missing = self.members.iter().filter(is_meant).count();
        self.wire = wire;
    }

    /// Whether somebody cannot take a message now.
    pub fn is_held_up(&self) -> bool {
        self.writable.len() < self.members.len()
    }

    /// The call has failed, so that nobody got the message.
    pub fn refuse(&mut self) {
        assert!(self.is_held_up(), "refuses what everybody could take");
        assert_eq!(self.expected, self.writable, "has sent to some what it refuses");
        self.expected.clear();
    }

    /// The call is over.
    pub fn end(&mut self, dropped: usize) {
        assert_eq!(self.expected, [], "missed a message although there was room");
        assert_eq!(dropped, std::mem::take(&mut self.missing), "counts what was dropped");
    }

    pub fn heed(&mut self, event: &Event) {
        match event {
            Event::Added(pipe, _) => self.members.push(*pipe),
            Event::Writable(pipe, true)
                if self.members.contains(pipe) && !self.writable.contains(pipe) =>
            {
                self.writable.push(*pipe);
            }
            Event::Ended(pipe, _) => {
                self.members.retain(|other| other != pipe);
                self.writable.retain(|other| other != pipe);
            }
            Event::Sent { pipe, wire, has_room } => {
                assert!(!self.expected.is_empty(), "sends to somebody who is not writable");
                assert_eq!(self.expected.remove(0), *pipe, "sends in another order");
                assert_eq!(*wire, self.wire);
                self.missing -= 1;
                if !has_room {
                    self.writable.retain(|other| other != pipe);
                }
            }
            Event::Refused(pipe) => {
                assert_eq!(self.expected.remove(0), *pipe, "sends in another order");
                self.writable.retain(|other| other != pipe);
            }
            _ => {}
        }
    }
}
