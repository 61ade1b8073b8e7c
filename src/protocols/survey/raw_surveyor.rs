//! Raw SURVEYOR: surveys go to everybody, whatever comes back is handed on. No ids, no deadline.

use crate::message::Message;
use crate::protocols::backtrace::split_answer;
use crate::protocols::routing::{Distributor, FairQueue};
use crate::protocols::{
    DISCARDS_MAX, Loss, Nothing, PipeId, Pipes, Priorities, Protocol, Readiness, Refusal, Rejected,
};

#[derive(Debug, Default)]
pub struct RawSurveyor {
    respondents: Distributor,
    responses: FairQueue,
}

impl Protocol for RawSurveyor {
    fn add_pipe(&mut self, pipe: PipeId, priorities: Priorities) -> Result<(), Rejected> {
        self.respondents.add(pipe);
        self.responses.add(pipe, priorities.recv);
        Ok(())
    }

    fn pipe_readable(&mut self, pipe: PipeId, pipes: &mut dyn Pipes) {
        self.responses.note_readable(pipe, pipes);
    }

    fn pipe_writable(&mut self, pipe: PipeId, pipes: &mut dyn Pipes) {
        self.respondents.note_writable(pipe, pipes);
    }

    fn pipe_ended(&mut self, pipe: PipeId, pipes: &mut dyn Pipes) {
        self.respondents.remove(pipe, pipes);
        self.responses.note_readable(pipe, pipes);
    }

    fn remove_pipe(&mut self, pipe: PipeId) {
        self.responses.remove(pipe);
    }

    fn send(&mut self, message: &mut Message, pipes: &mut dyn Pipes) -> Result<(), Refusal> {
        self.respondents.send(message, pipes);
        Ok(())
    }

    fn recv(&mut self, message: &mut Message, pipes: &mut dyn Pipes) -> Result<(), Nothing> {
        for _ in 0..DISCARDS_MAX {
            let pipe = self.responses.recv(message, pipes).ok_or(Nothing::Yet)?;
            if split_answer(message).is_ok() {
                return Ok(());
            }
            pipes.count_lost(pipe, Loss::Malformed);
        }
        Err(Nothing::Again)
    }

    fn account(&mut self, pipes: &mut dyn Pipes) {
        self.respondents.account(pipes);
    }

    fn readiness(&self, _pipes: &dyn Pipes) -> Readiness {
        Readiness { can_send: true, can_recv: self.responses.is_readable() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakePipes;

    const PIPES: [PipeId; 2] = [PipeId(1), PipeId(2)];

    #[test]
    fn surveys_everybody_and_hands_on_what_comes_back() {
        let (mut surveyor, mut pipes) = (RawSurveyor::default(), FakePipes::default());
        surveyor.send(&mut FakePipes::message("nobody hears"), &mut pipes).unwrap();
        for pipe in PIPES {
            pipes.connect(pipe);
            surveyor.add_pipe(pipe, Priorities::default()).unwrap();
            surveyor.pipe_writable(pipe, &mut pipes);
        }
        let mut message = FakePipes::with_header(b"\x80\0\0\x07", "q");
        surveyor.send(&mut message, &mut pipes).unwrap();
        for pipe in PIPES {
            assert_eq!(pipes.sent_bytes(pipe), [b"\x80\0\0\x07q"]);
            pipes.arrive_bytes(pipe, b"abc");
            pipes.arrive_bytes(pipe, b"\x80\0\0\x07a");
            surveyor.pipe_readable(pipe, &mut pipes);
        }
        for _ in PIPES {
            surveyor.recv(&mut message, &mut pipes).unwrap();
            assert_eq!(message.header.as_slice(), b"\x80\0\0\x07");
            assert_eq!(message.body.as_slice(), b"a");
        }
        assert_eq!(surveyor.recv(&mut message, &mut pipes), Err(Nothing::Yet));
    }
}
