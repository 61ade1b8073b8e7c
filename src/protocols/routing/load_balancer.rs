//! Sends each message to one pipe: to those that can take it in turn, the better priorities first.

use super::priorities::{Priority, Rings};
use crate::message::Message;
use crate::protocols::{Flow, PipeId, Pipes, Refusal, SendPriority};

#[derive(Debug, Default)]
pub struct LoadBalancer {
    writable: Rings,
    /// As statistics show it: it changes with the pipes, not with each message.
    shown: SendPriority,
}

impl LoadBalancer {
    pub fn add(&mut self, pipe: PipeId, priority: Priority) {
        self.writable.add(pipe, priority);
    }

    pub fn remove(&mut self, pipe: PipeId) {
        self.writable.remove(pipe);
        self.show();
    }

    /// The pipe may be able to take a message.
    pub fn note_writable(&mut self, pipe: PipeId, pipes: &dyn Pipes) {
        if pipes.flow(pipe) == Flow::Ready {
            self.writable.make_ready(pipe);
            self.show();
        }
    }

    pub fn is_writable(&self) -> bool {
        self.writable.current().is_some()
    }

    pub fn send_priority(&self) -> SendPriority {
        self.shown
    }

    /// Sends `message` to the pipe whose turn it is, and says which that was.
    ///
    /// # Errors
    /// When no pipe can take it; the message is not touched.
    pub fn send(
        &mut self,
        message: &mut Message,
        pipes: &mut dyn Pipes,
    ) -> Result<PipeId, Refusal> {
        loop {
            let pipe = self.writable.current().ok_or(Refusal::Busy)?;
            let sent = pipes.send(pipe, message);
            match sent {
                Ok(Flow::Ready) => self.writable.advance(),
                Ok(Flow::Busy) => self.writable.retire(pipe),
                // It can take messages, and has no memory for this one.
                Err(refusal) if pipes.flow(pipe) == Flow::Ready => return Err(refusal),
                Err(_) => self.writable.retire(pipe),
            }
            if sent.is_ok() {
                return Ok(pipe);
            }
        }
    }

    fn show(&mut self) {
        self.shown = match self.writable.current_priority() {
            Some(priority) => SendPriority::Some(priority),
            None => SendPriority::Gone,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakePipes;

    const A: PipeId = PipeId(1);
    const B: PipeId = PipeId(2);
    const C: PipeId = PipeId(3);

    fn balancer(pipes: &mut FakePipes, members: &[(PipeId, u8)]) -> LoadBalancer {
        let mut balancer = LoadBalancer::default();
        for (pipe, priority) in members {
            pipes.connect(*pipe);
            balancer.add(*pipe, Priority(*priority));
            balancer.note_writable(*pipe, pipes);
        }
        balancer
    }

    fn send(balancer: &mut LoadBalancer, pipes: &mut FakePipes, text: &str) -> Option<PipeId> {
        balancer.send(&mut FakePipes::message(text), pipes).ok()
    }

    #[test]
    fn goes_round() {
        let mut pipes = FakePipes::default();
        let mut balancer = balancer(&mut pipes, &[(A, 8), (B, 8), (C, 8)]);
        (0..7).for_each(|i| assert!(send(&mut balancer, &mut pipes, &i.to_string()).is_some()));
        assert_eq!(pipes.sent_to(A), ["0", "3", "6"]);
        assert_eq!(pipes.sent_to(B), ["1", "4"]);
        assert_eq!(pipes.sent_to(C), ["2", "5"]);
    }

    /// protocols 2.4: priorities 5, 5, 9, each peer with room for five messages.
    #[test]
    fn spills_over_to_a_worse_priority() {
        let mut pipes = FakePipes::default();
        let mut balancer = balancer(&mut pipes, &[(A, 5), (B, 5), (C, 9)]);
        [A, B, C].into_iter().for_each(|pipe| pipes.set_room(pipe, 5));
        let to: Vec<_> = (0..16).map(|_| send(&mut balancer, &mut pipes, "x")).collect();
        assert_eq!(to[..4], [Some(A), Some(B), Some(A), Some(B)]);
        assert_eq!(to[9..16], [Some(B), Some(C), Some(C), Some(C), Some(C), Some(C), None]);
        pipes.set_room(B, 1);
        balancer.note_writable(B, &pipes);
        assert_eq!(send(&mut balancer, &mut pipes, "x"), Some(B));
        assert_eq!(send(&mut balancer, &mut pipes, "x"), None);
    }

    #[test]
    fn passes_over_a_pipe_that_broke_unseen() {
        let mut pipes = FakePipes::default();
        let mut balancer = balancer(&mut pipes, &[(A, 8), (B, 8)]);
        pipes.set_room(A, 0);
        assert_eq!(send(&mut balancer, &mut pipes, "x"), Some(B));
        balancer.remove(B);
        assert_eq!(send(&mut balancer, &mut pipes, "x"), None);
    }

    #[test]
    fn shows_the_priority_that_is_served() {
        let mut pipes = FakePipes::default();
        let mut balancer = LoadBalancer::default();
        assert_eq!(balancer.send_priority(), SendPriority::Unknown);
        pipes.connect(A);
        balancer.add(A, Priority(4));
        balancer.note_writable(A, &pipes);
        pipes.set_room(A, 1);
        send(&mut balancer, &mut pipes, "x").unwrap();
        assert_eq!(balancer.send_priority(), SendPriority::Some(Priority(4)));
        balancer.remove(A);
        assert_eq!(balancer.send_priority(), SendPriority::Gone);
    }
}
