//! What peers that have gone have left to be received. Pure.
//!
//! A pipe stays behind its end until the last message has been taken, so that nothing that was sent
//! is lost. Peers that come, send and go faster than the socket receives would pile up in that way:
//! from a bound on others have to wait outside, which is where they can be made to send no more.

use std::collections::BTreeMap;

use crate::protocols::PipeId;

/// It has memory while there is anything in it.
#[derive(Debug, Default)]
pub struct Backlog(Option<Box<Pile>>);

#[derive(Debug, Default)]
struct Pile {
    pipes: BTreeMap<PipeId, Left>,
    /// All of it.
    bytes: usize,
    /// Down to which it has to fall before others are let in, while they are not.
    resume_at: Option<usize>,
}

/// What one pipe holds that has ended.
#[derive(Clone, Copy, Debug)]
struct Left {
    /// Of messages that are to be received yet.
    bytes: usize,
    /// What it is counted as beside them.
    cost: usize,
}

/// What a socket may let peers leave to it.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    /// Bytes that the application grants to each peer.
    pub recv_buffer: usize,
    /// Descriptors of streams that have ended.
    pub descriptors: usize,
}

/// What a pipe occupies that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occupied {
    Memory,
    Descriptor,
}

impl Backlog {
    /// The pipe has ended, and so many bytes of it are to be received yet.
    pub fn add(&mut self, pipe: PipeId, bytes: usize, what: Occupied, allowance: Allowance) {
        let cost = match what {
            Occupied::Memory => PIPE_COST,
            Occupied::Descriptor => PIPE_COST.max(allowance.bound() / allowance.descriptors.max(1)),
        };
        let pile = self.0.get_or_insert_default();
        pile.bytes += bytes + cost;
        pile.pipes.insert(pipe, Left { bytes, cost });
    }

    /// So many of them have been.
    pub fn take(&mut self, pipe: PipeId, bytes: usize) {
        let Some(pile) = &mut self.0 else { return };
        if let Some(left) = pile.pipes.get_mut(&pipe) {
            let taken = bytes.min(left.bytes);
            left.bytes -= taken;
            pile.sink(taken);
        }
    }

    /// Nothing of the pipe will be received any more.
    pub fn remove(&mut self, pipe: PipeId) {
        let Some(pile) = &mut self.0 else { return };
        if let Some(left) = pile.pipes.remove(&pipe) {
            pile.sink(left.bytes + left.cost);
        }
        if pile.pipes.is_empty() {
            self.0 = None;
        }
    }

    /// Lets nobody in from now on if it holds more than it may.
    pub fn bound(&mut self, allowance: Allowance) {
        let Some(pile) = &mut self.0 else { return };
        let bound = allowance.bound();
        if pile.bytes >= bound {
            pile.resume_at = Some(bound / 2);
        }
    }

    /// Whether others have to wait.
    pub fn is_full(&self) -> bool {
        self.0.as_ref().is_some_and(|pile| pile.resume_at.is_some())
    }

    /// The oldest pipe, if there is more than there may be: where nobody can be made to wait, its
    /// messages are given up.
    pub fn excess(&self, allowance: Allowance) -> Option<PipeId> {
        let pile = self.0.as_ref().filter(|pile| pile.bytes >= allowance.bound())?;
        pile.pipes.first_key_value().map(|(pipe, _)| *pipe)
    }

    #[cfg(test)]
    fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |pile| pile.bytes)
    }
}

impl Pile {
    fn sink(&mut self, bytes: usize) {
        self.bytes -= bytes;
        // Not with the first byte: it would be full again at once, and each time somebody is told.
        self.resume_at = self.resume_at.filter(|resume_at| self.bytes > *resume_at);
    }
}

impl Allowance {
    fn bound(self) -> usize {
        self.recv_buffer.max(BOUND_MIN)
    }
}

/// What a pipe occupies beside its messages, about.
const PIPE_COST: usize = 2 * 1024;
/// A thousand peers that have sent little and gone are no reason to let another one wait, however
/// small the buffer: one thread may have opened and closed all of them before it receives.
const BOUND_MIN: usize = 1024 * PIPE_COST;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{MANY, in_disorder};

    const A: PipeId = PipeId(1);
    const B: PipeId = PipeId(2);

    fn granting(recv_buffer: usize) -> Allowance {
        Allowance { recv_buffer, descriptors: 200 }
    }

    fn add(backlog: &mut Backlog, pipe: PipeId, bytes: usize) {
        backlog.add(pipe, bytes, Occupied::Memory, granting(0));
    }

    #[test]
    fn is_full_from_the_bound_on_until_half_of_it_is_received() {
        let mut backlog = Backlog::default();
        let big = 10 * BOUND_MIN;
        add(&mut backlog, A, big - PIPE_COST - 1);
        backlog.bound(granting(big));
        assert!(!backlog.is_full());
        add(&mut backlog, B, 0);
        backlog.bound(granting(big));
        assert!(backlog.is_full());
        backlog.take(A, big / 2 - 1);
        assert!(backlog.is_full(), "it holds {} of {big}", backlog.bytes());
        backlog.take(A, 2 * PIPE_COST);
        assert!(!backlog.is_full());
        backlog.bound(granting(big));
        assert!(!backlog.is_full());
        // A smaller buffer holds for what ends from now on.
        backlog.bound(granting(0));
        assert!(backlog.is_full());
        backlog.remove(A);
        assert!(!backlog.is_full());
    }

    #[test]
    fn what_is_received_of_others_is_no_matter() {
        let mut backlog = Backlog::default();
        add(&mut backlog, A, 10);
        backlog.take(B, 10);
        backlog.remove(B);
        assert_eq!(backlog.bytes(), 10 + PIPE_COST);
        // A peer's bytes may be more when they are received than when they lay there.
        backlog.take(A, 11);
        assert_eq!(backlog.bytes(), PIPE_COST);
        backlog.remove(A);
        backlog.remove(A);
        assert_eq!(backlog.bytes(), 0);
    }

    #[test]
    fn a_thousand_small_ones_are_welcome() {
        let mut backlog = Backlog::default();
        for pipe in (0..1000).map(PipeId) {
            add(&mut backlog, pipe, 1);
            backlog.bound(granting(1));
            assert!(!backlog.is_full());
        }
        assert_eq!(backlog.excess(granting(1)), None);
        (1000..1024).for_each(|pipe| add(&mut backlog, PipeId(pipe), 1));
        assert_eq!(backlog.excess(granting(1)), Some(PipeId(0)));
        backlog.bound(granting(1));
        assert!(backlog.is_full());
    }

    #[test]
    fn descriptors_are_spent_on_who_has_gone_up_to_a_share() {
        for recv_buffer in [0, 100 * BOUND_MIN] {
            let (mut backlog, allowance) = (Backlog::default(), granting(recv_buffer));
            let count = (0..).take_while(|pipe| {
                backlog.add(PipeId(*pipe), 1, Occupied::Descriptor, allowance);
                backlog.bound(allowance);
                !backlog.is_full()
            });
            assert!((190..=200).contains(&count.count()));
        }
    }

    #[test]
    fn one_of_many_goes_at_once() {
        let mut backlog = Backlog::default();
        (0..MANY).for_each(|pipe| add(&mut backlog, PipeId(pipe), 3));
        for pipe in in_disorder().map(PipeId) {
            backlog.take(pipe, 1);
            backlog.remove(pipe);
        }
        assert_eq!((backlog.bytes(), backlog.0.is_none()), (0, true));
    }
}
