//! Receives from all pipes in turn, the better priorities first.

use super::priorities::{Priority, Rings};
use crate::message::{Header, Message};
use crate::protocols::{InTurn, Loss, PipeId, Pipes};

#[derive(Debug, Default)]
pub struct FairQueue {
    readable: Rings,
}

impl FairQueue {
    pub fn add(&mut self, pipe: PipeId, priority: Priority) {
        self.readable.add(pipe, priority);
    }

    pub fn remove(&mut self, pipe: PipeId) {
        self.readable.remove(pipe);
    }

    /// The pipe may hold a message.
    pub fn note_readable(&mut self, pipe: PipeId, pipes: &dyn Pipes) {
        if pipes.is_readable(pipe) {
            self.readable.make_ready(pipe);
        }
    }

    #[inline]
    pub fn is_readable(&self) -> bool {
        self.readable.current().is_some()
    }

    /// Puts the next message into `message`, as it stands on a wire or in header and body. Says
    /// where it came from.
    pub fn recv(&mut self, message: &mut Message, pipes: &mut dyn Pipes) -> Option<PipeId> {
        if !message.header.is_empty() {
            message.header = Header::default();
        }
        message.ancillary = None;
        loop {
            let pipe = self.readable.current()?;
            let InTurn { has_message, has_next } = pipes.recv_in_turn(pipe, message);
            if has_next {
                self.readable.advance();
            } else {
                self.readable.retire(pipe);
            }
            if has_message {
                return Some(pipe);
            }
        }
    }

    /// The same for types without a header: all that the peer sent is the body.
    pub fn recv_whole(&mut self, message: &mut Message, pipes: &mut dyn Pipes) -> Option<PipeId> {
        loop {
            let pipe = self.recv(message, pipes)?;
            if message.join().is_ok() {
                return Some(pipe);
            }
            // Without memory for it, it is lost as on a wire.
            pipes.count_dropped_of(pipe, Loss::NoMemory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakePipes;

    fn received(queue: &mut FairQueue, pipes: &mut FakePipes) -> Vec<String> {
        let mut message = Message::default();
        let mut all = Vec::new();
        while queue.recv(&mut message, pipes).is_some() {
            all.push(String::from_utf8_lossy(message.body.as_slice()).into_owned());
        }
        all
    }

    /// core 7.2: pipes with priorities 8, 8, 3 that hold four messages each.
    #[test]
    fn takes_one_from_each_in_turn_and_from_the_best_first() {
        let (mut queue, mut pipes) = (FairQueue::default(), FakePipes::default());
        for (number, (name, priority)) in [("A", 8), ("B", 8), ("C", 3)].into_iter().enumerate() {
            let pipe = PipeId(number as u32);
            pipes.connect(pipe);
            queue.add(pipe, Priority(priority));
            (0..4).for_each(|i| pipes.arrive(pipe, &format!("{name}{i}")));
            queue.note_readable(pipe, &pipes);
        }
        let expected = ["C0", "C1", "C2", "C3", "A0", "B0", "A1", "B1", "A2", "B2", "A3", "B3"];
        assert_eq!(received(&mut queue, &mut pipes), expected);
        assert!(!queue.is_readable());
    }

    #[test]
    fn news_of_a_message_that_was_taken_meanwhile_is_none() {
        let (mut queue, mut pipes) = (FairQueue::default(), FakePipes::default());
        pipes.connect(PipeId(1));
        queue.add(PipeId(1), Priority::default());
        queue.note_readable(PipeId(1), &pipes);
        assert!(!queue.is_readable());
        pipes.arrive(PipeId(1), "a");
        queue.note_readable(PipeId(1), &pipes);
        queue.note_readable(PipeId(1), &pipes);
        assert_eq!(received(&mut queue, &mut pipes), ["a"]);
        queue.remove(PipeId(1));
        assert!(!queue.is_readable());
    }
}
