//! PUB: each message goes to every subscriber that can take it; the filter is theirs.

use crate::message::Message;
use crate::protocols::routing::Distributor;
use crate::protocols::{PipeId, Pipes, Priorities, Protocol, Readiness, Refusal, Rejected};

#[derive(Debug, Default)]
pub struct Publisher {
    subscribers: Distributor,
}

impl Protocol for Publisher {
    fn add_pipe(&mut self, pipe: PipeId, _priorities: Priorities) -> Result<(), Rejected> {
        self.subscribers.add(pipe);
        Ok(())
    }

    /// A subscriber has nothing to say, and yet it must not be able to stop its own messages.
    fn pipe_readable(&mut self, pipe: PipeId, pipes: &mut dyn Pipes) {
        while pipes.recv(pipe, &mut Message::default()) {}
    }

    fn pipe_writable(&mut self, pipe: PipeId, pipes: &mut dyn Pipes) {
        self.subscribers.note_writable(pipe, pipes);
    }

    fn pipe_ended(&mut self, pipe: PipeId, pipes: &mut dyn Pipes) {
        self.subscribers.remove(pipe, pipes);
    }

    fn remove_pipe(&mut self, _pipe: PipeId) {}

    fn send(&mut self, message: &mut Message, pipes: &mut dyn Pipes) -> Result<(), Refusal> {
        self.subscribers.offer(message, None, pipes)
    }

    fn account(&mut self, pipes: &mut dyn Pipes) {
        self.subscribers.account(pipes);
    }

    fn readiness(&self, pipes: &dyn Pipes) -> Readiness {
        let must_wait = self.subscribers.is_held_up(None) && pipes.drops_nothing();
        Readiness { can_send: !must_wait, can_recv: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakePipes;

    #[test]
    fn a_subscriber_that_talks_is_not_listened_to() {
        let (mut publisher, mut pipes) = (Publisher::default(), FakePipes::default());
        publisher.send(&mut FakePipes::message("nobody hears"), &mut pipes).unwrap();
        pipes.connect(PipeId(1));
        publisher.add_pipe(PipeId(1), Priorities::default()).unwrap();
        publisher.pipe_writable(PipeId(1), &mut pipes);
        (0..3).for_each(|_| pipes.arrive(PipeId(1), "talk"));
        publisher.pipe_readable(PipeId(1), &mut pipes);
        assert!(!pipes.is_readable(PipeId(1)));
        publisher.send(&mut FakePipes::message("a"), &mut pipes).unwrap();
        assert_eq!(pipes.sent_to(PipeId(1)), ["a"]);
    }

    #[test]
    fn nothing_is_dropped_where_it_waits_for_everybody() {
        let (mut publisher, mut pipes) = (Publisher::default(), FakePipes::default());
        pipes.drops_nothing = true;
        assert!(publisher.readiness(&pipes).can_send, "nobody is there");
        for pipe in [1, 2].map(PipeId) {
            pipes.connect(pipe);
            publisher.add_pipe(pipe, Priorities::default()).unwrap();
            assert!(!publisher.readiness(&pipes).can_send, "it is not open yet");
            publisher.pipe_writable(pipe, &mut pipes);
        }
        pipes.set_room(PipeId(2), 1);
        let send = |publisher: &mut Publisher, pipes: &mut FakePipes, text| {
            publisher.send(&mut FakePipes::message(text), pipes)
        };
        assert_eq!(send(&mut publisher, &mut pipes, "a"), Ok(()));
        assert!(!publisher.readiness(&pipes).can_send);
        assert_eq!(send(&mut publisher, &mut pipes, "b"), Err(Refusal::Busy));
        pipes.set_room(PipeId(2), 1);
        publisher.pipe_writable(PipeId(2), &mut pipes);
        assert_eq!(send(&mut publisher, &mut pipes, "b"), Ok(()));
        assert_eq!(send(&mut publisher, &mut pipes, "c"), Err(Refusal::Busy));
        publisher.pipe_ended(PipeId(2), &mut pipes);
        assert_eq!(send(&mut publisher, &mut pipes, "c"), Ok(()));
        assert_eq!(pipes.sent_to(PipeId(1)), ["a", "b", "c"]);
        assert_eq!(pipes.sent_to(PipeId(2)), ["a", "b"]);
        assert_eq!(pipes.dropped(), 0);
        pipes.set_room(PipeId(1), 1);
        assert_eq!(send(&mut publisher, &mut pipes, "d"), Ok(()));
        pipes.drops_nothing = false;
        assert!(publisher.readiness(&pipes).can_send);
        assert_eq!(send(&mut publisher, &mut pipes, "e"), Ok(()));
        assert_eq!(pipes.dropped(), 1);
    }
}
