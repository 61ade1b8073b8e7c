//! Raw REQ: requests go out in turn, whatever comes back is handed on. No ids, no resending.

use crate::message::Message;
use crate::protocols::backtrace::split_answer;
use crate::protocols::routing::{FairQueue, LoadBalancer};
use crate::protocols::{
    DISCARDS_MAX, Loss, Nothing, PipeId, Pipes, Priorities, Protocol, Readiness, Refusal, Rejected,
    SendPriority,
};

#[derive(Debug, Default)]
pub struct RawReq {
    services: LoadBalancer,
    replies: FairQueue,
}

impl Protocol for RawReq {
    fn add_pipe(&mut self, pipe: PipeId, priorities: Priorities) -> Result<(), Rejected> {
        self.services.add(pipe, priorities.send);
        self.replies.add(pipe, priorities.recv);
        Ok(())
    }

    fn pipe_readable(&mut self, pipe: PipeId, pipes: &mut dyn Pipes) {
        self.replies.note_readable(pipe, pipes);
    }

    fn pipe_writable(&mut self, pipe: PipeId, pipes: &mut dyn Pipes) {
        self.services.note_writable(pipe, pipes);
    }

    fn pipe_ended(&mut self, pipe: PipeId, pipes: &mut dyn Pipes) {
        self.services.remove(pipe);
        self.replies.note_readable(pipe, pipes);
    }

    fn remove_pipe(&mut self, pipe: PipeId) {
        self.replies.remove(pipe);
    }

    fn send(&mut self, message: &mut Message, pipes: &mut dyn Pipes) -> Result<(), Refusal> {
        self.services.send(message, pipes).map(|_| ())
    }

    fn recv(&mut self, message: &mut Message, pipes: &mut dyn Pipes) -> Result<(), Nothing> {
        for _ in 0..DISCARDS_MAX {
            let pipe = self.replies.recv(message, pipes).ok_or(Nothing::Yet)?;
            if split_answer(message).is_ok() {
                return Ok(());
            }
            pipes.count_lost(pipe, Loss::Malformed);
        }
        Err(Nothing::Again)
    }

    fn readiness(&self, _pipes: &dyn Pipes) -> Readiness {
        Readiness { can_send: self.services.is_writable(), can_recv: self.replies.is_readable() }
    }

    fn send_priority(&self) -> SendPriority {
        self.services.send_priority()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakePipes;

    const A: PipeId = PipeId(1);

    #[test]
    fn hands_on_what_comes_back_with_its_first_word_apart() {
        let (mut req, mut pipes) = (RawReq::default(), FakePipes::default());
        let mut message = FakePipes::with_header(b"\0\0\0\x05\x80\0\0\x01", "q");
        assert_eq!(req.send(&mut message, &mut pipes), Err(Refusal::Busy));
        pipes.connect(A);
        req.add_pipe(A, Priorities::default()).unwrap();
        req.pipe_writable(A, &mut pipes);
        req.send(&mut message, &mut pipes).unwrap();
        req.send(&mut FakePipes::message("bare"), &mut pipes).unwrap();
        assert_eq!(pipes.sent_bytes(A), [&b"\0\0\0\x05\x80\0\0\x01q"[..], b"bare"]);
        for bytes in [&b"abc"[..], b"\0\0\0\x05\x80\0\0\x01rep"] {
            pipes.arrive_bytes(A, bytes);
        }
        req.pipe_readable(A, &mut pipes);
        req.recv(&mut message, &mut pipes).unwrap();
        assert_eq!(message.header.as_slice(), b"\0\0\0\x05");
        assert_eq!(message.body.as_slice(), b"\x80\0\0\x01rep");
        assert_eq!(req.recv(&mut message, &mut pipes), Err(Nothing::Yet));
    }
}
