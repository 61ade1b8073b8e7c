//! Sends each message to every pipe that can take it now. The others miss it (protocols 2.5).

use crate::message::Message;
use crate::protocols::{Flow, Loss, PipeId, Pipes};

#[derive(Debug, Default)]
pub struct Distributor {
    members: Vec<PipeId>,
    /// In the order in which they became able to take one.
    writable: Vec<PipeId>,
}

impl Distributor {
    pub fn add(&mut self, pipe: PipeId) {
        self.members.push(pipe);
    }

    pub fn remove(&mut self, pipe: PipeId) {
        self.members.retain(|member| *member != pipe);
        self.writable.retain(|member| *member != pipe);
    }

    /// The pipe may be able to take a message.
    pub fn note_writable(&mut self, pipe: PipeId, pipes: &dyn Pipes) {
        let is_new = self.members.contains(&pipe) && !self.writable.contains(&pipe);
        if is_new && pipes.flow(pipe) == Flow::Ready {
            self.writable.push(pipe);
        }
    }

    /// Takes `message` and sends it to all that can take it, but for `except`.
    pub fn send(&mut self, message: &mut Message, except: Option<PipeId>, pipes: &mut dyn Pipes) {
        let mut message = std::mem::take(message);
        let is_excepted = |pipe: &PipeId| except == Some(*pipe);
        let wanted = self.members.iter().filter(|pipe| !is_excepted(pipe)).count();
        let last = self.writable.iter().rposition(|pipe| !is_excepted(pipe));
        let (mut sent, mut at) = (0, 0);
        self.writable.retain(|pipe| {
            let is_last = Some(at) == last;
            at += 1;
            if is_excepted(pipe) {
                return true;
            }
            // The last one needs no copy, and most often it is the only one.
            let result = match is_last {
                true => pipes.send(*pipe, &mut message),
                false => match message.share() {
                    Ok(mut copy) => pipes.send(*pipe, &mut copy),
                    // Without memory this one misses it.
                    Err(_) => return true,
                },
            };
            sent += usize::from(result.is_ok());
            match result {
                Ok(flow) => flow == Flow::Ready,
                Err(_) => pipes.flow(*pipe) == Flow::Ready,
            }
        });
        if sent < wanted {
            pipes.count_dropped(wanted - sent, Loss::Busy);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakePipes;

    const A: PipeId = PipeId(1);
    const B: PipeId = PipeId(2);
    const C: PipeId = PipeId(3);

    fn distributor(pipes: &mut FakePipes) -> Distributor {
        let mut distributor = Distributor::default();
        for pipe in [A, B, C] {
            pipes.connect(pipe);
            distributor.add(pipe);
            distributor.note_writable(pipe, pipes);
        }
        distributor
    }

    fn send(distributor: &mut Distributor, pipes: &mut FakePipes, text: &str) {
        distributor.send(&mut FakePipes::message(text), None, pipes);
    }

    #[test]
    fn everybody_gets_it() {
        let mut pipes = FakePipes::default();
        let mut distributor = distributor(&mut pipes);
        let big = "x".repeat(5000);
        send(&mut distributor, &mut pipes, "a");
        send(&mut distributor, &mut pipes, &big);
        for pipe in [A, B, C] {
            assert_eq!(pipes.sent_to(pipe), ["a", &big]);
        }
        assert_eq!(pipes.dropped(), 0);
    }

    #[test]
    fn who_is_busy_misses_it() {
        let mut pipes = FakePipes::default();
        let mut distributor = distributor(&mut pipes);
        pipes.set_room(B, 1);
        ["a", "b", "c"].into_iter().for_each(|text| send(&mut distributor, &mut pipes, text));
        pipes.set_room(B, 1);
        distributor.note_writable(B, &pipes);
        send(&mut distributor, &mut pipes, "d");
        assert_eq!(pipes.sent_to(A), ["a", "b", "c", "d"]);
        assert_eq!(pipes.sent_to(B), ["a", "d"]);
        assert_eq!(pipes.dropped(), 2);
    }

    #[test]
    fn the_excepted_pipe_is_left_out() {
        let mut pipes = FakePipes::default();
        let mut distributor = distributor(&mut pipes);
        for except in [A, C] {
            distributor.send(&mut FakePipes::message("a"), Some(except), &mut pipes);
        }
        assert_eq!(pipes.sent_to(A), ["a"]);
        assert_eq!(pipes.sent_to(B), ["a", "a"]);
        assert_eq!(pipes.sent_to(C), ["a"]);
        distributor.remove(B);
        distributor.note_writable(B, &pipes);
        send(&mut distributor, &mut pipes, "b");
        assert_eq!(pipes.sent_to(B), ["a", "a"]);
        assert_eq!(pipes.dropped(), 0);
    }
}
