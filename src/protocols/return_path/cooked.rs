//! REP and RESPONDENT: the answer goes to whoever asked last.

use super::ReturnPath;
use crate::message::{Header, Message};
use crate::protocols::{
    Nothing, PipeId, Pipes, Priorities, Protocol, Readiness, Refusal, Rejected, Seed,
};

#[derive(Debug)]
pub struct Replier {
    path: ReturnPath,
    /// The way back to whoever waits for an answer.
    pending: Option<Header>,
}

impl Replier {
    #[must_use]
    pub fn new(seed: Seed) -> Replier {
        Replier { path: ReturnPath::new(seed), pending: None }
    }
}

impl Protocol for Replier {
    fn add_pipe(&mut self, pipe: PipeId, priorities: Priorities) -> Result<(), Rejected> {
        self.path.add_pipe(pipe, priorities.recv);
        Ok(())
    }

    fn pipe_readable(&mut self, pipe: PipeId, pipes: &mut dyn Pipes) {
        self.path.requests.note_readable(pipe, pipes);
    }

    fn pipe_ended(&mut self, pipe: PipeId, pipes: &mut dyn Pipes) {
        self.path.requests.note_readable(pipe, pipes);
    }

    fn remove_pipe(&mut self, pipe: PipeId) {
        self.path.requests.remove(pipe);
    }

    fn send(&mut self, message: &mut Message, pipes: &mut dyn Pipes) -> Result<(), Refusal> {
        if self.pending.is_none() {
            return Err(Refusal::WrongState);
        }
        if !message.header.is_empty() {
            return Err(Refusal::Header);
        }
        message.header = self.pending.take().unwrap_or_default();
        self.path.send(message, pipes);
        Ok(())
    }

    fn recv(&mut self, message: &mut Message, pipes: &mut dyn Pipes) -> Result<(), Nothing> {
        // Also when there is no other request: who asks for the next one has given this one up.
        self.pending = None;
        self.path.recv(message, pipes)?;
        self.pending = Some(std::mem::take(&mut message.header));
        Ok(())
    }

    fn readiness(&self, _pipes: &dyn Pipes) -> Readiness {
        Readiness { can_send: self.pending.is_some(), can_recv: self.path.requests.is_readable() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakePipes;

    const SEED: Seed = Seed { serial: 0, random: 77 };
    const A: PipeId = PipeId(1);
    const B: PipeId = PipeId(2);

    fn connected() -> (Replier, FakePipes) {
        let (mut rep, mut pipes) = (Replier::new(SEED), FakePipes::default());
        for pipe in [A, B] {
            pipes.connect(pipe);
            rep.add_pipe(pipe, Priorities::default()).unwrap();
        }
        (rep, pipes)
    }

    fn arrive(rep: &mut Replier, pipes: &mut FakePipes, from: PipeId, bytes: &[u8]) {
        pipes.arrive_bytes(from, bytes);
        rep.pipe_readable(from, pipes);
    }

    fn recv(rep: &mut Replier, pipes: &mut FakePipes) -> Result<String, Nothing> {
        let mut message = Message::default();
        rep.recv(&mut message, pipes)?;
        assert!(message.header.is_empty());
        Ok(String::from_utf8_lossy(message.body.as_slice()).into_owned())
    }

    fn send(rep: &mut Replier, pipes: &mut FakePipes, text: &str) -> Result<(), Refusal> {
        rep.send(&mut FakePipes::message(text), pipes)
    }

    #[test]
    fn answers_who_asked_with_his_words_in_front() {
        let (mut rep, mut pipes) = connected();
        assert_eq!(send(&mut rep, &mut pipes, "x"), Err(Refusal::WrongState));
        arrive(&mut rep, &mut pipes, B, b"\0\0\0\x05\x80\0\0\x01q");
        assert_eq!(recv(&mut rep, &mut pipes).unwrap(), "q");
        assert!(rep.readiness(&pipes).can_send);
        send(&mut rep, &mut pipes, "a").unwrap();
        assert_eq!(pipes.sent_bytes(B), [b"\0\0\0\x05\x80\0\0\x01a"]);
        assert_eq!(send(&mut rep, &mut pipes, "again"), Err(Refusal::WrongState));
    }

    #[test]
    fn asking_for_another_request_gives_the_last_one_up() {
        let (mut rep, mut pipes) = connected();
        arrive(&mut rep, &mut pipes, A, b"\x80\0\0\x01q");
        recv(&mut rep, &mut pipes).unwrap();
        assert_eq!(recv(&mut rep, &mut pipes), Err(Nothing::Yet));
        assert_eq!(send(&mut rep, &mut pipes, "a"), Err(Refusal::WrongState));
        arrive(&mut rep, &mut pipes, A, b"\x80\0\0\x02q");
        arrive(&mut rep, &mut pipes, B, b"\x80\0\0\x03r");
        assert_eq!(recv(&mut rep, &mut pipes).unwrap(), "q");
        assert_eq!(recv(&mut rep, &mut pipes).unwrap(), "r");
        send(&mut rep, &mut pipes, "a").unwrap();
        assert!(pipes.sent_bytes(A).is_empty());
        assert_eq!(pipes.sent_bytes(B), [b"\x80\0\0\x03a"]);
    }

    #[test]
    fn an_answer_to_who_has_left_is_dropped() {
        let (mut rep, mut pipes) = connected();
        arrive(&mut rep, &mut pipes, A, b"\x80\0\0\x01q");
        recv(&mut rep, &mut pipes).unwrap();
        pipes.disconnect(A);
        rep.pipe_ended(A, &mut pipes);
        rep.remove_pipe(A);
        assert_eq!(send(&mut rep, &mut pipes, "a"), Ok(()));
        assert_eq!(pipes.dropped(), 1);
    }

    #[test]
    fn a_header_of_the_caller_is_refused() {
        let (mut rep, mut pipes) = connected();
        arrive(&mut rep, &mut pipes, A, b"\x80\0\0\x01q");
        recv(&mut rep, &mut pipes).unwrap();
        let mut message = FakePipes::with_header(b"\x80\0\0\x01", "a");
        assert_eq!(rep.send(&mut message, &mut pipes), Err(Refusal::Header));
        assert_eq!(message.body.as_slice(), b"a");
        assert_eq!(send(&mut rep, &mut pipes, "a"), Ok(()));
    }

    #[test]
    fn what_a_peer_asked_before_it_left_can_be_received() {
        let (mut rep, mut pipes) = connected();
        pipes.arrive_bytes(A, b"\x80\0\0\x01q");
        rep.pipe_ended(A, &mut pipes);
        assert_eq!(recv(&mut rep, &mut pipes).unwrap(), "q");
    }
}
