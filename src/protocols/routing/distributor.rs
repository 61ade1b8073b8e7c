//! Sends each message to every pipe that can take it now. The others miss it (protocols 2.5).

use crate::message::Message;
use crate::protocols::{Flow, Loss, PipeId, PipeMap, Pipes};

#[derive(Debug, Default)]
pub struct Distributor {
    /// Where each stands in the list of those that can take a message, if it does.
    members: PipeMap<Option<usize>>,
    /// In the order in which they became able to take one, with gaps where one has left.
    writable: Vec<Option<PipeId>>,
    gaps: usize,
}

impl Distributor {
    pub fn add(&mut self, pipe: PipeId) {
        self.members.insert(pipe, None);
    }

    pub fn remove(&mut self, pipe: PipeId) {
        if let Some(Some(at)) = self.members.remove(pipe) {
            self.writable[at] = None;
            self.gaps += 1;
            self.close_gaps();
        }
    }

    /// The pipe may be able to take a message.
    pub fn note_writable(&mut self, pipe: PipeId, pipes: &dyn Pipes) {
        if let Some(place @ None) = self.members.get_mut(pipe)
            && pipes.flow(pipe) == Flow::Ready
        {
            *place = Some(self.writable.len());
            self.writable.push(Some(pipe));
        }
    }

    /// Whether somebody whom a message for all but `except` is meant for cannot take it now.
    #[inline]
    pub fn is_held_up(&self, except: Option<PipeId>) -> bool {
        let busy = self.members.len() - (self.writable.len() - self.gaps);
        busy > 0 && busy > usize::from(self.is_busy(except))
    }

    fn is_busy(&self, pipe: Option<PipeId>) -> bool {
        pipe.is_some_and(|pipe| matches!(self.members.get(pipe), Some(None)))
    }

    /// Takes `message` and sends it to all that can take it, but for `except`.
    pub fn send(&mut self, message: &mut Message, except: Option<PipeId>, pipes: &mut dyn Pipes) {
        let mut message = std::mem::take(message);
        let except = except.filter(|pipe| self.members.contains(*pipe));
        let wanted = self.members.len() - usize::from(except.is_some());
        let is_meant = |place: &Option<PipeId>| place.is_some() && *place != except;
        let last = self.writable.iter().rposition(is_meant);
        let mut sent = 0;
        for at in 0..last.map_or(0, |last| last + 1) {
            let Some(pipe) = self.writable[at] else { continue };
            if Some(pipe) == except {
                continue;
            }
            // The last one needs no copy, and most often it is the only one.
            let result = match Some(at) == last {
                true => pipes.send(pipe, &mut message),
                false => match message.share() {
                    Ok(mut copy) => pipes.send(pipe, &mut copy),
                    // Without memory this one misses it.
                    Err(_) => continue,
                },
            };
            sent += usize::from(result.is_ok());
            let flow = result.unwrap_or_else(|_| pipes.flow(pipe));
            if flow == Flow::Busy {
                self.retire(pipe, at);
            }
        }
        self.close_gaps();
        if sent < wanted {
            pipes.count_dropped(wanted - sent, Loss::Busy);
        }
    }

    /// The pipe cannot take another one for now.
    fn retire(&mut self, pipe: PipeId, at: usize) {
        self.writable[at] = None;
        self.gaps += 1;
        if let Some(place) = self.members.get_mut(pipe) {
            *place = None;
        }
    }

    /// When there are so many that those who have left have paid for it.
    fn close_gaps(&mut self) {
        if self.gaps == 0 || self.gaps < self.writable.len() - self.gaps {
            return;
        }
        self.writable.retain(Option::is_some);
        self.gaps = 0;
        for (at, pipe) in self.writable.iter().enumerate() {
            if let Some(place) = pipe.and_then(|pipe| self.members.get_mut(pipe)) {
                *place = Some(at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakePipes, MANY, in_disorder};

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

    #[test]
    fn one_of_many_leaves_at_once() {
        let (mut distributor, mut pipes) = (Distributor::default(), FakePipes::default());
        for pipe in (0..MANY).map(PipeId) {
            pipes.connect(pipe);
            distributor.add(pipe);
            distributor.note_writable(pipe, &pipes);
        }
        for pipe in in_disorder().map(PipeId) {
            distributor.note_writable(pipe, &pipes);
            distributor.remove(pipe);
        }
        assert_eq!((distributor.members.len(), distributor.writable.len()), (0, 0));
    }

    #[test]
    fn the_order_stays_when_some_leave_and_others_are_busy() {
        let (mut distributor, mut pipes) = (Distributor::default(), FakePipes::default());
        for pipe in [4, 1, 3, 0, 2].map(PipeId) {
            pipes.connect(pipe);
            distributor.add(pipe);
            distributor.note_writable(pipe, &pipes);
        }
        pipes.set_room(PipeId(1), 1);
        pipes.set_room(PipeId(0), 1);
        send(&mut distributor, &mut pipes, "a");
        distributor.remove(PipeId(4));
        pipes.set_room(PipeId(1), 9);
        distributor.note_writable(PipeId(1), &pipes);
        let order = |distributor: &Distributor| -> Vec<u32> {
            distributor.writable.iter().flatten().map(|pipe| pipe.0).collect()
        };
        assert_eq!(order(&distributor), [3, 2, 1]);
        send(&mut distributor, &mut pipes, "b");
        distributor.remove(PipeId(2));
        assert_eq!(order(&distributor), [3, 1]);
        assert_eq!(pipes.sent_to(PipeId(1)), ["a", "b"]);
        assert_eq!(pipes.sent_to(PipeId(0)), ["a"]);
        assert_eq!(pipes.dropped(), 1);
    }
}
