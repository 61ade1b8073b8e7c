//! Raw REP and RESPONDENT: the header of a request is the application's to keep and to give back.

use super::ReturnPath;
use crate::message::Message;
use crate::protocols::{
    Nothing, PipeId, Pipes, Priorities, Protocol, Readiness, Refusal, Rejected, Seed,
};

#[derive(Debug)]
pub struct RawReplier {
    path: ReturnPath,
}

impl RawReplier {
    #[must_use]
    pub fn new(seed: Seed) -> RawReplier {
        RawReplier { path: ReturnPath::new(seed) }
    }
}

impl Protocol for RawReplier {
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
        self.path.send(message, pipes);
        Ok(())
    }

    fn recv(&mut self, message: &mut Message, pipes: &mut dyn Pipes) -> Result<(), Nothing> {
        self.path.recv(message, pipes)
    }

    fn readiness(&self, _pipes: &dyn Pipes) -> Readiness {
        Readiness { can_send: true, can_recv: self.path.requests.is_readable() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakePipes;

    const SEED: Seed = Seed { serial: 0, random: 0x4000_0000 };
    const A: PipeId = PipeId(1);

    fn connected() -> (RawReplier, FakePipes) {
        let (mut rep, mut pipes) = (RawReplier::new(SEED), FakePipes::default());
        pipes.connect(A);
        rep.add_pipe(A, Priorities::default()).unwrap();
        (rep, pipes)
    }

    fn arrive(rep: &mut RawReplier, pipes: &mut FakePipes, bytes: &[u8]) {
        pipes.arrive_bytes(A, bytes);
        rep.pipe_readable(A, pipes);
    }

    /// protocols 11: what a device sees of a request that took a hop already.
    #[test]
    fn the_key_of_the_pipe_stands_in_front() {
        let (mut rep, mut pipes) = connected();
        let mut message = Message::default();
        arrive(&mut rep, &mut pipes, b"\x7f\xd0\xf3\x33\x80\0\0\x07q");
        rep.recv(&mut message, &mut pipes).unwrap();
        let expected = b"\x40\0\0\x01\x7f\xd0\xf3\x33\x80\0\0\x07";
        assert_eq!(message.header.as_slice(), expected);
        assert_eq!(message.body.as_slice(), b"q");
        rep.send(&mut message, &mut pipes).unwrap();
        assert_eq!(pipes.sent_bytes(A), [b"\x7f\xd0\xf3\x33\x80\0\0\x07q"]);
    }

    #[test]
    fn malformed_requests_vanish() {
        let (mut rep, mut pipes) = connected();
        let mut message = Message::default();
        for bytes in [&b""[..], b"\0\0\0\x01", b"\x80\0\0", b"\x80\0\0\x01"] {
            arrive(&mut rep, &mut pipes, bytes);
        }
        assert!(rep.readiness(&pipes).can_recv);
        rep.recv(&mut message, &mut pipes).unwrap();
        assert!(message.body.is_empty());
        assert_eq!(rep.recv(&mut message, &mut pipes), Err(Nothing::Yet));
        assert!(!rep.readiness(&pipes).can_recv);
    }

    #[test]
    fn a_flood_of_malformed_requests_does_not_hold_the_lock() {
        let (mut rep, mut pipes) = connected();
        (0..100).for_each(|_| arrive(&mut rep, &mut pipes, b"bad"));
        let mut message = Message::default();
        assert_eq!(rep.recv(&mut message, &mut pipes), Err(Nothing::Again));
        assert_eq!(rep.recv(&mut message, &mut pipes), Err(Nothing::Yet));
    }

    #[test]
    fn answers_to_nobody_are_dropped() {
        let (mut rep, mut pipes) = connected();
        for header in [&b""[..], b"\x40\0\0", b"\x40\0\0\x02", b"\x40\0\0\0\x80\0\0\0"] {
            rep.send(&mut FakePipes::with_header(header, "a"), &mut pipes).unwrap();
        }
        pipes.set_room(A, 0);
        rep.send(&mut FakePipes::with_header(b"\x40\0\0\x01", "a"), &mut pipes).unwrap();
        assert_eq!(pipes.dropped(), 5);
        assert!(rep.readiness(&pipes).can_send);
    }
}
