//! One peer at a time.

use std::collections::VecDeque;

use crate::message::{Message, OutOfMemory};
use crate::protocols::{
    Flow, Loss, Nothing, PipeId, Pipes, Priorities, Protocol, Readiness, Refusal, Rejected,
};

#[derive(Debug, Default)]
pub struct One {
    /// The one peer, while it lives.
    peer: Option<PipeId>,
    /// Former peers whose last messages have not been received, the oldest first.
    leaving: VecDeque<PipeId>,
}

impl One {
    /// Whether no peer is there, nor anything that one has left.
    pub fn is_alone(&self) -> bool {
        self.peer.is_none() && self.leaving.is_empty()
    }

    #[inline(never)]
    fn readable(&self, pipes: &dyn Pipes) -> Option<PipeId> {
        let pipes_in_order = self.leaving.iter().chain(&self.peer);
        pipes_in_order.copied().find(|pipe| pipes.is_readable(*pipe))
    }
}

impl Protocol for One {
    fn wants_pipe(&self) -> bool {
        self.peer.is_none() && self.leaving.len() < LEAVING_MAX
    }

    /// With one pipe at a time it knows where to look.
    fn follows_pipes(&self) -> bool {
        false
    }

    fn add_pipe(&mut self, pipe: PipeId, _priorities: Priorities) -> Result<(), Rejected> {
        if !self.wants_pipe() {
            return Err(Rejected);
        }
        self.peer = Some(pipe);
        Ok(())
    }

    fn pipe_ended(&mut self, pipe: PipeId, _pipes: &mut dyn Pipes) {
        if self.peer == Some(pipe) {
            self.peer = None;
            self.leaving.push_back(pipe);
        }
    }

    fn remove_pipe(&mut self, pipe: PipeId) {
        self.peer = self.peer.filter(|peer| *peer != pipe);
        self.leaving.retain(|former| *former != pipe);
    }

    fn send(&mut self, message: &mut Message, pipes: &mut dyn Pipes) -> Result<(), Refusal> {
        let peer = self.peer.ok_or(Refusal::Busy)?;
        pipes.send(peer, message).map(|_| ())
    }

    fn recv(&mut self, message: &mut Message, pipes: &mut dyn Pipes) -> Result<(), Nothing> {
        // The common case asks the pipe once.
        let pipe = if self.leaving.is_empty() { self.peer } else { self.readable(pipes) };
        match pipe {
            Some(pipe) if pipes.recv(pipe, message) => {
                // What the peer's caller put in front of the body is a part of it here.
                message.join().map_err(|OutOfMemory| lose(pipe, pipes))
            }
            _ => Err(Nothing::Yet),
        }
    }

    fn readiness(&self, pipes: &dyn Pipes) -> Readiness {
        Readiness {
            can_send: self.peer.is_some_and(|peer| pipes.flow(peer) == Flow::Ready),
            can_recv: self.readable(pipes).is_some(),
        }
    }
}

/// What has been received on `pipe` has no place in memory.
#[cold]
#[inline(never)]
fn lose(pipe: PipeId, pipes: &mut dyn Pipes) -> Nothing {
    pipes.count_dropped_of(pipe, Loss::NoMemory);
    Nothing::Again
}

/// How many peers may have gone before the first one's messages are received. Beyond that a new
/// peer has to wait, so that peers that come and go cannot fill our memory.
const LEAVING_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakePipes;

    const A: PipeId = PipeId(1);
    const B: PipeId = PipeId(2);

    fn send(pair: &mut One, pipes: &mut FakePipes, text: &str) -> Result<(), Refusal> {
        pair.send(&mut FakePipes::message(text), pipes)
    }

    fn recv(pair: &mut One, pipes: &mut FakePipes) -> Result<String, Nothing> {
        let mut message = Message::default();
        pair.recv(&mut message, pipes)?;
        Ok(String::from_utf8_lossy(message.body.as_slice()).into_owned())
    }

    #[test]
    fn without_a_peer_everything_waits() {
        let (mut pair, mut pipes) = (One::default(), FakePipes::default());
        let mut message = FakePipes::message("a");
        assert_eq!(pair.send(&mut message, &mut pipes), Err(Refusal::Busy));
        assert_eq!(message.body.as_slice(), b"a");
        assert_eq!(recv(&mut pair, &mut pipes), Err(Nothing::Yet));
        assert_eq!(pair.readiness(&pipes), Readiness::default());
    }

    #[test]
    fn rejects_a_second_peer_until_the_first_has_gone() {
        let mut pair = One::default();
        assert_eq!(pair.add_pipe(A, Priorities::default()), Ok(()));
        assert_eq!(pair.add_pipe(B, Priorities::default()), Err(Rejected));
        pair.remove_pipe(B);
        assert_eq!(pair.add_pipe(B, Priorities::default()), Err(Rejected));
        pair.remove_pipe(A);
        assert_eq!(pair.add_pipe(B, Priorities::default()), Ok(()));
    }

    #[test]
    fn sends_and_receives_through_its_peer() {
        let (mut pair, mut pipes) = (One::default(), FakePipes::default());
        pipes.connect(A);
        pair.add_pipe(A, Priorities::default()).unwrap();
        send(&mut pair, &mut pipes, "out").unwrap();
        assert_eq!(pipes.sent_to(A), ["out"]);
        pipes.arrive(A, "in");
        assert!(pair.readiness(&pipes).can_recv);
        assert_eq!(recv(&mut pair, &mut pipes).unwrap(), "in");
        pipes.set_room(A, 0);
        assert!(!pair.readiness(&pipes).can_send);
        assert!(send(&mut pair, &mut pipes, "late").is_err());
    }

    #[test]
    fn a_former_peers_messages_come_before_the_new_peers() {
        let (mut pair, mut pipes) = (One::default(), FakePipes::default());
        for pipe in [A, B] {
            pipes.connect(pipe);
        }
        pair.add_pipe(A, Priorities::default()).unwrap();
        pipes.arrive(A, "old");
        pair.pipe_ended(A, &mut pipes);
        assert!(!pair.readiness(&pipes).can_send);
        pair.add_pipe(B, Priorities::default()).unwrap();
        pipes.arrive(B, "new");
        assert_eq!(recv(&mut pair, &mut pipes).unwrap(), "old");
        pair.remove_pipe(A);
        assert_eq!(recv(&mut pair, &mut pipes).unwrap(), "new");
    }

    #[test]
    fn peers_that_come_and_go_cannot_pile_up() {
        let (mut pair, mut pipes) = (One::default(), FakePipes::default());
        for number in 0..LEAVING_MAX as u32 {
            assert_eq!(pair.add_pipe(PipeId(number), Priorities::default()), Ok(()));
            pair.pipe_ended(PipeId(number), &mut pipes);
        }
        assert_eq!(pair.add_pipe(PipeId(99), Priorities::default()), Err(Rejected));
        pair.remove_pipe(PipeId(0));
        assert_eq!(pair.add_pipe(PipeId(99), Priorities::default()), Ok(()));
    }
}
