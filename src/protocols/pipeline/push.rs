//! PUSH: each message goes to one peer. What a peer may send is never looked at.

use crate::message::Message;
use crate::protocols::routing::LoadBalancer;
use crate::protocols::{
    PipeId, Pipes, Priorities, Protocol, Readiness, Refusal, Rejected, SendPriority,
};

#[derive(Debug, Default)]
pub struct Push {
    pullers: LoadBalancer,
}

impl Protocol for Push {
    fn add_pipe(&mut self, pipe: PipeId, priorities: Priorities) -> Result<(), Rejected> {
        self.pullers.add(pipe, priorities.send);
        Ok(())
    }

    fn pipe_writable(&mut self, pipe: PipeId, pipes: &mut dyn Pipes) {
        self.pullers.note_writable(pipe, pipes);
    }

    fn pipe_ended(&mut self, pipe: PipeId, _pipes: &mut dyn Pipes) {
        self.pullers.remove(pipe);
    }

    fn remove_pipe(&mut self, _pipe: PipeId) {}

    fn send(&mut self, message: &mut Message, pipes: &mut dyn Pipes) -> Result<(), Refusal> {
        self.pullers.send(message, pipes).map(|_| ())
    }

    fn readiness(&self, _pipes: &dyn Pipes) -> Readiness {
        Readiness { can_send: self.pullers.is_writable(), can_recv: false }
    }

    fn send_priority(&self) -> SendPriority {
        self.pullers.send_priority()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakePipes;

    #[test]
    fn waits_for_a_peer_with_room() {
        let (mut push, mut pipes) = (Push::default(), FakePipes::default());
        let mut message = FakePipes::message("a");
        assert_eq!(push.send(&mut message, &mut pipes), Err(Refusal::Busy));
        pipes.connect(PipeId(1));
        push.add_pipe(PipeId(1), Priorities::default()).unwrap();
        assert!(!push.readiness(&pipes).can_send);
        push.pipe_writable(PipeId(1), &mut pipes);
        assert!(push.readiness(&pipes).can_send);
        pipes.set_room(PipeId(1), 1);
        push.send(&mut message, &mut pipes).unwrap();
        assert!(!push.readiness(&pipes).can_send);
        let mut message = FakePipes::message("b");
        assert_eq!(push.send(&mut message, &mut pipes), Err(Refusal::Busy));
        assert_eq!(message.body.as_slice(), b"b");
        assert_eq!(pipes.sent_to(PipeId(1)), ["a"]);
    }
}
