//! Sends each message to every pipe that can take it now. The others miss it (protocols 2.5).

use crate::message::Message;
use crate::protocols::{Flow, Loss, PipeId, PipeMap, Pipes, Refusal};

#[derive(Debug, Default)]
pub struct Distributor {
    members: PipeMap<Standing>,
    /// In the order in which they became able to take one, with gaps where one has left.
    writable: Vec<Option<PipeId>>,
    gaps: usize,
    /// How many messages have been for everybody so far.
    count: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// At that place in the list of those that can take a message.
    Ready(usize),
    /// It has missed what came behind so many, so that nobody has to count for each message whom it
    /// has not reached.
    Busy { since: u64 },
}

impl Distributor {
    pub fn add(&mut self, pipe: PipeId) {
        self.members.insert(pipe, Standing::Busy { since: self.count });
    }

    pub fn remove(&mut self, pipe: PipeId, pipes: &mut dyn Pipes) {
        match self.members.remove(pipe) {
            Some(Standing::Ready(at)) => {
                self.writable[at] = None;
                self.gaps += 1;
                self.close_gaps();
            }
            Some(Standing::Busy { since }) if since < self.count => {
                pipes.count_missed(pipe, self.count - since);
            }
            Some(Standing::Busy { .. }) | None => {}
        }
    }

    /// The pipe may be able to take a message.
    pub fn note_writable(&mut self, pipe: PipeId, pipes: &mut dyn Pipes) {
        if let Some(standing) = self.members.get_mut(pipe)
            && let Standing::Busy { since } = *standing
            && pipes.flow(pipe) == Flow::Ready
        {
            *standing = Standing::Ready(self.writable.len());
            self.writable.push(Some(pipe));
            if since < self.count {
                pipes.count_missed(pipe, self.count - since);
            }
        }
    }

    /// Counts what those have missed who are busy now.
    pub fn account(&mut self, pipes: &mut dyn Pipes) {
        for (pipe, standing) in self.members.iter_mut() {
            if let Standing::Busy { since } = standing
                && *since < self.count
            {
                pipes.count_missed(pipe, self.count - *since);
                *since = self.count;
            }
        }
    }

    /// Whether somebody whom a message for all but `except` is meant for cannot take it now.
    #[inline]
    pub fn is_held_up(&self, except: Option<PipeId>) -> bool {
        let busy = self.members.len() - (self.writable.len() - self.gaps);
        busy > 0 && busy > usize::from(self.is_busy(except))
    }

    fn is_busy(&self, pipe: Option<PipeId>) -> bool {
        pipe.is_some_and(|pipe| matches!(self.members.get(pipe), Some(Standing::Busy { .. })))
    }

    /// Takes `message` and sends it to all that can take it, but for `except`. Where nobody is to
    /// miss it, that is to all or to none.
    ///
    /// # Errors
    /// When somebody would miss it who is not to; the message is not touched.
    pub fn offer(
        &mut self,
        message: &mut Message,
        except: Option<PipeId>,
        pipes: &mut dyn Pipes,
    ) -> Result<(), Refusal> {
        let is_held_up = self.is_held_up(except);
        // Of one the send itself says whether he gets it.
        if (is_held_up || self.members.len() > 1) && pipes.drops_nothing() {
            if is_held_up {
                return Err(Refusal::Busy);
            }
            // Those that were found full have left gaps.
            self.prepare(message, except, pipes).inspect_err(|_| self.close_gaps())?;
        }
        self.distribute(message, except, pipes)
    }

    /// Takes `message` and sends it to all that can take it.
    pub fn send(&mut self, message: &mut Message, pipes: &mut dyn Pipes) {
        let _ = self.distribute(message, None, pipes);
    }

    /// Has memory ready for all copies, so that not some are sent and others not.
    #[cold]
    fn prepare(
        &mut self,
        message: &mut Message,
        except: Option<PipeId>,
        pipes: &mut dyn Pipes,
    ) -> Result<(), Refusal> {
        // From the first one on copies share what is large.
        drop(message.share()?);
        for at in 0..self.writable.len() {
            let Some(pipe) = self.writable[at].filter(|pipe| Some(*pipe) != except) else {
                continue;
            };
            let prepared = pipes.prepare(pipe, self.writable.len(), message);
            if prepared.is_err() && pipes.flow(pipe) == Flow::Busy {
                self.retire(pipe, at, self.count);
            }
            prepared?;
        }
        Ok(())
    }

    /// Fails only where nobody is to miss it, and nobody has got it.
    fn distribute(
        &mut self,
        message: &mut Message,
        except: Option<PipeId>,
        pipes: &mut dyn Pipes,
    ) -> Result<(), Refusal> {
        let except = except.filter(|pipe| self.members.contains(*pipe));
        let wanted = self.members.len() - usize::from(except.is_some());
        let is_meant = |place: &Option<PipeId>| place.is_some() && *place != except;
        let last = self.writable.iter().rposition(is_meant);
        let (mut sent, mut starved) = (0, 0);
        for at in 0..last.map_or(0, |last| last + 1) {
            let Some(pipe) = self.writable[at].filter(|pipe| Some(*pipe) != except) else {
                continue;
            };
            // The last one needs no copy, and most often it is the only one.
            let result = match Some(at) == last {
                true => pipes.send(pipe, message),
                false => match message.share() {
                    Ok(mut copy) => pipes.send(pipe, &mut copy),
                    Err(error) => Err(error.into()),
                },
            };
            match result {
                Ok(Flow::Ready) => sent += 1,
                Ok(Flow::Busy) => {
                    sent += 1;
                    self.retire(pipe, at, self.count + 1);
                }
                Err(why) => starved += self.note_refused((pipe, at), why, sent == 0, pipes)?,
            }
        }
        *message = Message::default();
        self.count += 1;
        if let Some(Standing::Busy { since }) = except.and_then(|it| self.members.get_mut(it)) {
            *since += 1;
        }
        self.close_gaps();
        if sent + starved < wanted {
            pipes.count_dropped(wanted - sent - starved, Loss::Busy);
        }
        Ok(())
    }

    /// A message was not sent to one of them: the first, or after others have got it. Says how many
    /// miss it for want of memory.
    #[cold]
    fn note_refused(
        &mut self,
        (pipe, at): (PipeId, usize),
        why: Refusal,
        is_first: bool,
        pipes: &mut dyn Pipes,
    ) -> Result<usize, Refusal> {
        let is_starved = matches!(why, Refusal::NoMemory | Refusal::BusyForMemory);
        let is_given_back = is_starved && is_first && pipes.drops_nothing();
        if pipes.flow(pipe) == Flow::Busy {
            // It is counted as missed here, not by what comes later, or nobody misses it.
            let is_counted = is_starved && !is_given_back;
            self.retire(pipe, at, self.count + u64::from(is_counted));
        }
        if is_given_back {
            self.close_gaps();
            return Err(why);
        }
        if is_starved {
            pipes.count_dropped_of(pipe, Loss::NoMemory);
        }
        Ok(usize::from(is_starved))
    }

    /// The pipe cannot take another one for now, of those that come behind so many.
    fn retire(&mut self, pipe: PipeId, at: usize, since: u64) {
        self.writable[at] = None;
        self.gaps += 1;
        if let Some(standing) = self.members.get_mut(pipe) {
            *standing = Standing::Busy { since };
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
            if let Some(standing) = pipe.and_then(|pipe| self.members.get_mut(pipe)) {
                *standing = Standing::Ready(at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakePipes, MANY, Memory, in_disorder};

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
        distributor.send(&mut FakePipes::message(text), pipes);
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
        distributor.note_writable(B, &mut pipes);
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
            distributor.offer(&mut FakePipes::message("a"), Some(except), &mut pipes).unwrap();
        }
        assert_eq!(pipes.sent_to(A), ["a"]);
        assert_eq!(pipes.sent_to(B), ["a", "a"]);
        assert_eq!(pipes.sent_to(C), ["a"]);
        distributor.remove(B, &mut pipes);
        distributor.note_writable(B, &mut pipes);
        send(&mut distributor, &mut pipes, "b");
        assert_eq!(pipes.sent_to(B), ["a", "a"]);
        assert_eq!(pipes.dropped(), 0);
    }

    fn offer(distributor: &mut Distributor, pipes: &mut FakePipes) -> Result<(), Refusal> {
        let mut message = FakePipes::message("a");
        let offered = distributor.offer(&mut message, None, pipes);
        assert_eq!(offered.is_err(), !message.body.is_empty(), "it stays with the caller, or goes");
        offered
    }

    #[test]
    fn where_nobody_is_to_miss_it_nobody_gets_what_one_has_no_memory_for() {
        for starved in [A, B, C] {
            let mut pipes = FakePipes::default();
            let mut distributor = distributor(&mut pipes);
            pipes.drops_nothing = true;
            pipes.set_memory(starved, Memory::None);
            assert_eq!(offer(&mut distributor, &mut pipes), Err(Refusal::NoMemory));
            assert!([A, B, C].iter().all(|pipe| pipes.sent_to(*pipe).is_empty()));
            pipes.set_memory(starved, Memory::NoneUntilWritten);
            assert_eq!(offer(&mut distributor, &mut pipes), Err(Refusal::BusyForMemory));
            assert_eq!(offer(&mut distributor, &mut pipes), Err(Refusal::Busy), "it waits now");
            pipes.set_memory(starved, Memory::Enough);
            distributor.note_writable(starved, &mut pipes);
            assert_eq!(offer(&mut distributor, &mut pipes), Ok(()));
            assert!([A, B, C].iter().all(|pipe| pipes.sent_to(*pipe) == ["a"]));
            assert_eq!(pipes.dropped(), 0);
        }
    }

    #[test]
    fn the_only_one_is_asked_by_the_message_itself() {
        let (mut distributor, mut pipes) = (Distributor::default(), FakePipes::default());
        pipes.connect(A);
        distributor.add(A);
        distributor.note_writable(A, &mut pipes);
        pipes.drops_nothing = true;
        for (memory, why) in
            [(Memory::None, Refusal::NoMemory), (Memory::NoneUntilWritten, Refusal::BusyForMemory)]
        {
            pipes.set_memory(A, memory);
            assert_eq!(offer(&mut distributor, &mut pipes), Err(why));
        }
        pipes.set_memory(A, Memory::Enough);
        distributor.note_writable(A, &mut pipes);
        assert_eq!(offer(&mut distributor, &mut pipes), Ok(()));
        assert_eq!((pipes.sent_to(A).len(), pipes.dropped()), (1, 0));
    }

    #[test]
    fn who_misses_it_for_want_of_memory_is_counted_as_such() {
        let mut pipes = FakePipes::default();
        let mut distributor = distributor(&mut pipes);
        pipes.set_memory(A, Memory::None);
        pipes.set_memory(B, Memory::NoneUntilWritten);
        assert_eq!(offer(&mut distributor, &mut pipes), Ok(()));
        assert_eq!(pipes.sent_to(C), ["a"]);
        assert_eq!(pipes.take_dropped_of(), [(A, Loss::NoMemory), (B, Loss::NoMemory)]);
        assert_eq!(pipes.dropped(), 2);
        // What was ready has been taken meanwhile: too late for all or none.
        pipes.drops_nothing = true;
        distributor.note_writable(B, &mut pipes);
        pipes.set_memory(A, Memory::Enough);
        pipes.set_memory(B, Memory::NoneLater);
        distributor.note_writable(B, &mut pipes);
        assert_eq!(offer(&mut distributor, &mut pipes), Ok(()));
        assert_eq!(pipes.take_dropped_of(), [(B, Loss::NoMemory)]);
        assert_eq!((pipes.sent_to(A).len(), pipes.sent_to(C).len()), (1, 2));
    }

    #[test]
    fn what_each_has_missed_is_known() {
        let mut pipes = FakePipes::default();
        let mut distributor = distributor(&mut pipes);
        pipes.set_room(A, 1);
        pipes.set_room(B, 2);
        (0..5).for_each(|_| send(&mut distributor, &mut pipes, "x"));
        assert_eq!(pipes.take_missed(), [], "nobody has asked");
        distributor.account(&mut pipes);
        distributor.account(&mut pipes);
        assert_eq!(pipes.take_missed(), [(A, 4), (B, 3)]);
        // One that is not for it is not missed.
        distributor.offer(&mut FakePipes::message("x"), Some(A), &mut pipes).unwrap();
        send(&mut distributor, &mut pipes, "x");
        pipes.set_room(A, 9);
        distributor.note_writable(A, &mut pipes);
        distributor.remove(B, &mut pipes);
        assert_eq!(pipes.take_missed(), [(A, 1), (B, 2)]);
        send(&mut distributor, &mut pipes, "x");
        distributor.remove(A, &mut pipes);
        distributor.account(&mut pipes);
        assert_eq!(pipes.take_missed(), []);
        assert_eq!(pipes.dropped(), 10, "all together");
    }

    #[test]
    fn one_of_many_leaves_at_once() {
        let (mut distributor, mut pipes) = (Distributor::default(), FakePipes::default());
        for pipe in (0..MANY).map(PipeId) {
            pipes.connect(pipe);
            distributor.add(pipe);
            distributor.note_writable(pipe, &mut pipes);
        }
        for pipe in in_disorder().map(PipeId) {
            distributor.note_writable(pipe, &mut pipes);
            distributor.remove(pipe, &mut pipes);
        }
        assert_eq!((distributor.members.len(), distributor.writable.len()), (0, 0));
    }

    #[test]
    fn the_order_stays_when_some_leave_and_others_are_busy() {
        let (mut distributor, mut pipes) = (Distributor::default(), FakePipes::default());
        for pipe in [4, 1, 3, 0, 2].map(PipeId) {
            pipes.connect(pipe);
            distributor.add(pipe);
            distributor.note_writable(pipe, &mut pipes);
        }
        pipes.set_room(PipeId(1), 1);
        pipes.set_room(PipeId(0), 1);
        send(&mut distributor, &mut pipes, "a");
        distributor.remove(PipeId(4), &mut pipes);
        pipes.set_room(PipeId(1), 9);
        distributor.note_writable(PipeId(1), &mut pipes);
        let order = |distributor: &Distributor| -> Vec<u32> {
            distributor.writable.iter().flatten().map(|pipe| pipe.0).collect()
        };
        assert_eq!(order(&distributor), [3, 2, 1]);
        send(&mut distributor, &mut pipes, "b");
        distributor.remove(PipeId(2), &mut pipes);
        assert_eq!(order(&distributor), [3, 1]);
        assert_eq!(pipes.sent_to(PipeId(1)), ["a", "b"]);
        assert_eq!(pipes.sent_to(PipeId(0)), ["a"]);
        assert_eq!(pipes.dropped(), 1);
    }
}
