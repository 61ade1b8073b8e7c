//! Many peers at a time: each has a number, which received messages tell, and which the one who
//! sends may have to give.

use crate::message::control::{Entry, peer};
use crate::message::{Message, OutOfMemory};
use crate::protocols::routing::{FairQueue, Rings};
use crate::protocols::{
    Flow, Loss, Nothing, PipeId, PipeMap, Pipes, Priorities, Protocol, Readiness, Refusal, Rejected,
};

#[derive(Debug, Default)]
pub struct Many {
    /// Those who can be sent to.
    peers: PipeMap<PipeId>,
    /// Those who have gone, and have left something that can be received.
    leaving: PipeMap<PipeId>,
    /// The peers that can take a message.
    writable: Rings,
    incoming: FairQueue,
}

impl Many {
    /// Whether no peer is there, nor anything that one has left.
    pub fn is_alone(&self) -> bool {
        self.peers.len() + self.leaving.len() == 0
    }

    /// Whom `message` is for.
    fn addressee(&self, message: &Message) -> Result<PipeId, Refusal> {
        if let Some(number) = peer::named(message.control()) {
            let named = self.peers.get(PipeId::from_peer_number(number));
            return named.copied().ok_or(Refusal::NoPeer);
        }
        let mut all = self.peers.iter();
        match (all.next(), all.next()) {
            (None, _) => Err(Refusal::Busy),
            (Some(only), None) => Ok(*only),
            _ => Err(Refusal::Header),
        }
    }

    fn note_flow(&mut self, pipe: PipeId, pipes: &dyn Pipes) {
        match pipes.flow(pipe) {
            Flow::Ready => self.writable.make_ready(pipe),
            Flow::Busy => self.writable.retire(pipe),
        }
    }
}

impl Protocol for Many {
    fn add_pipe(&mut self, pipe: PipeId, priorities: Priorities) -> Result<(), Rejected> {
        self.peers.insert(pipe, pipe);
        self.writable.add(pipe, priorities.send);
        self.incoming.add(pipe, priorities.recv);
        Ok(())
    }

    fn pipe_readable(&mut self, pipe: PipeId, pipes: &mut dyn Pipes) {
        self.incoming.note_readable(pipe, pipes);
    }

    fn pipe_writable(&mut self, pipe: PipeId, pipes: &mut dyn Pipes) {
        self.note_flow(pipe, pipes);
    }

    fn pipe_ended(&mut self, pipe: PipeId, pipes: &mut dyn Pipes) {
        self.incoming.note_readable(pipe, pipes);
        if self.peers.remove(pipe).is_some() {
            self.leaving.insert(pipe, pipe);
        }
        self.writable.remove(pipe);
    }

    fn remove_pipe(&mut self, pipe: PipeId) {
        self.peers.remove(pipe);
        self.leaving.remove(pipe);
        self.writable.remove(pipe);
        self.incoming.remove(pipe);
    }

    /// A peer that can take nothing keeps nobody from sending to another.
    fn send(&mut self, message: &mut Message, pipes: &mut dyn Pipes) -> Result<(), Refusal> {
        let pipe = self.addressee(message)?;
        let sent = pipes.send(pipe, message);
        self.note_flow(pipe, pipes);
        sent.map(|_| ())
    }

    fn recv(&mut self, message: &mut Message, pipes: &mut dyn Pipes) -> Result<(), Nothing> {
        let pipe = self.incoming.recv_whole(message, pipes).ok_or(Nothing::Yet)?;
        name(message, pipe).map_err(|OutOfMemory| {
            // Without its sender's number it could not be answered.
            pipes.count_dropped_of(pipe, Loss::NoMemory);
            Nothing::Again
        })
    }

    fn readiness(&self, _pipes: &dyn Pipes) -> Readiness {
        Readiness {
            can_send: self.writable.current().is_some(),
            can_recv: self.incoming.is_readable(),
        }
    }
}

/// Lets `message` say whom it comes from, unless it does already.
fn name(message: &mut Message, pipe: PipeId) -> Result<(), OutOfMemory> {
    if peer::named(message.control()).is_some() {
        return Ok(());
    }
    let data = pipe.peer_number().to_ne_bytes();
    let entry = Entry { level: peer::LEVEL, kind: peer::NUMBER, data: &data };
    message.say(entry.to_chunk()?.as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::control::entries;
    use crate::testing::FakePipes;

    const A: PipeId = PipeId(0);
    const B: PipeId = PipeId(7);

    /// A machine with two peers.
    fn pair() -> (Many, FakePipes) {
        let (mut many, mut pipes) = (Many::default(), FakePipes::default());
        for pipe in [A, B] {
            come(&mut many, &mut pipes, pipe);
        }
        (many, pipes)
    }

    fn come(many: &mut Many, pipes: &mut FakePipes, pipe: PipeId) {
        pipes.connect(pipe);
        many.add_pipe(pipe, Priorities::default()).unwrap();
        many.pipe_writable(pipe, pipes);
    }

    fn arrive(many: &mut Many, pipes: &mut FakePipes, pipe: PipeId, text: &str) {
        pipes.arrive(pipe, text);
        many.pipe_readable(pipe, pipes);
    }

    fn message_for(pipe: PipeId, text: &str) -> Message {
        let mut message = FakePipes::message(text);
        name(&mut message, pipe).unwrap();
        message
    }

    fn recv(many: &mut Many, pipes: &mut FakePipes) -> Option<(PipeId, String)> {
        let mut message = Message::default();
        many.recv(&mut message, pipes).ok()?;
        assert_eq!(entries(message.control()).count(), 1);
        let from = peer::named(message.control()).map(PipeId::from_peer_number)?;
        Some((from, String::from_utf8_lossy(message.body.as_slice()).into_owned()))
    }

    #[test]
    fn a_message_says_whom_it_comes_from_and_its_answer_goes_there() {
        let (mut many, mut pipes) = pair();
        for (pipe, text) in [(A, "a"), (B, "b"), (A, "aa"), (B, "bb")] {
            arrive(&mut many, &mut pipes, pipe, text);
        }
        for (pipe, text) in [(A, "a"), (B, "b"), (A, "aa"), (B, "bb")] {
            assert_eq!(recv(&mut many, &mut pipes), Some((pipe, text.into())));
            many.send(&mut message_for(pipe, text), &mut pipes).unwrap();
        }
        assert_eq!(recv(&mut many, &mut pipes), None);
        assert_eq!(
            (pipes.sent_to(A), pipes.sent_to(B)),
            (&["a", "aa"].map(String::from)[..], &["b", "bb"].map(String::from)[..])
        );
    }

    #[test]
    fn what_is_for_nobody_is_for_the_only_peer() {
        let (mut many, mut pipes) = (Many::default(), FakePipes::default());
        let send =
            |many: &mut Many, pipes: &mut FakePipes| many.send(&mut FakePipes::message("x"), pipes);
        assert_eq!(send(&mut many, &mut pipes), Err(Refusal::Busy));
        come(&mut many, &mut pipes, A);
        assert_eq!(send(&mut many, &mut pipes), Ok(()));
        come(&mut many, &mut pipes, B);
        assert_eq!(send(&mut many, &mut pipes), Err(Refusal::Header));
        many.pipe_ended(A, &mut pipes);
        assert_eq!(send(&mut many, &mut pipes), Ok(()));
        assert_eq!((pipes.sent_to(A).len(), pipes.sent_to(B).len()), (1, 1));
    }

    #[test]
    fn who_does_not_read_costs_only_himself() {
        let (mut many, mut pipes) = pair();
        pipes.set_room(A, 1);
        assert_eq!(many.send(&mut message_for(A, "fills"), &mut pipes), Ok(()));
        let mut kept = message_for(A, "no room");
        assert_eq!(many.send(&mut kept, &mut pipes), Err(Refusal::Busy));
        assert_eq!(kept.body.as_slice(), b"no room");
        assert!(many.readiness(&pipes).can_send);
        assert_eq!(many.send(&mut message_for(B, "room"), &mut pipes), Ok(()));
        pipes.set_room(B, 0);
        assert_eq!(many.send(&mut message_for(B, "none"), &mut pipes), Err(Refusal::Busy));
        assert!(!many.readiness(&pipes).can_send);
        pipes.set_room(A, 1);
        many.pipe_writable(A, &mut pipes);
        assert!(many.readiness(&pipes).can_send);
    }

    #[test]
    fn who_is_not_there_is_not_waited_for() {
        let (mut many, mut pipes) = pair();
        for stranger in [PipeId(99), PipeId(u32::MAX)] {
            let sent = many.send(&mut message_for(stranger, "x"), &mut pipes);
            assert_eq!(sent, Err(Refusal::NoPeer));
        }
        many.pipe_ended(A, &mut pipes);
        assert_eq!(many.send(&mut message_for(A, "x"), &mut pipes), Err(Refusal::NoPeer));
    }

    #[test]
    fn what_a_peer_has_left_is_received_and_then_nothing_is_left_of_it() {
        let (mut many, mut pipes) = pair();
        many.remove_pipe(B);
        arrive(&mut many, &mut pipes, A, "left");
        many.pipe_ended(A, &mut pipes);
        assert!(!many.is_alone());
        assert_eq!(recv(&mut many, &mut pipes), Some((A, "left".into())));
        many.remove_pipe(A);
        assert!(many.is_alone() && !many.readiness(&pipes).can_recv);
    }
}
