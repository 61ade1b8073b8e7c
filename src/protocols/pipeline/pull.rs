//! PULL: messages of all peers in turn.

use crate::message::Message;
use crate::protocols::routing::FairQueue;
use crate::protocols::{Nothing, PipeId, Pipes, Priorities, Protocol, Readiness, Rejected};

#[derive(Debug, Default)]
pub struct Pull {
    pushers: FairQueue,
}

impl Protocol for Pull {
    fn add_pipe(&mut self, pipe: PipeId, priorities: Priorities) -> Result<(), Rejected> {
        self.pushers.add(pipe, priorities.recv);
        Ok(())
    }

    fn pipe_readable(&mut self, pipe: PipeId, pipes: &mut dyn Pipes) {
        self.pushers.note_readable(pipe, pipes);
    }

    fn pipe_ended(&mut self, pipe: PipeId, pipes: &mut dyn Pipes) {
        self.pushers.note_readable(pipe, pipes);
    }

    fn remove_pipe(&mut self, pipe: PipeId) {
        self.pushers.remove(pipe);
    }

    fn recv(&mut self, message: &mut Message, pipes: &mut dyn Pipes) -> Result<(), Nothing> {
        self.pushers.recv_whole(message, pipes).map(|_| ()).ok_or(Nothing::Yet)
    }

    fn readiness(&self, _pipes: &dyn Pipes) -> Readiness {
        Readiness { can_send: false, can_recv: self.pushers.is_readable() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakePipes;

    #[test]
    fn a_header_of_the_sender_is_part_of_the_body() {
        let (mut pull, mut pipes) = (Pull::default(), FakePipes::default());
        pipes.connect(PipeId(1));
        pull.add_pipe(PipeId(1), Priorities::default()).unwrap();
        pipes.arrive_message(PipeId(1), FakePipes::with_header(b"head", "body"));
        pull.pipe_readable(PipeId(1), &mut pipes);
        let mut message = Message::default();
        pull.recv(&mut message, &mut pipes).unwrap();
        assert_eq!(message.body.as_slice(), b"headbody");
        assert!(message.header.is_empty());
        assert_eq!(pull.recv(&mut message, &mut pipes), Err(Nothing::Yet));
    }
}
