//! SURVEYOR: one survey at a time, whose responses count until its deadline (protocols 8.2).
//!
//! So it is with branches: each has one at a time. From the first of them on responses are taken
//! from the pipes as they come, and kept for whoever has asked.

use std::collections::BTreeMap;
use std::time::Instant;

use super::question::Question;
use crate::error::Error;
use crate::message::{Header, Message};
use crate::protocols::backtrace::{header_of, next_id, split_answer};
use crate::protocols::routing::{Distributor, FairQueue};
use crate::protocols::{
    BranchId, Branches, DISCARDS_MAX, Loss, Nothing, PipeId, Pipes, Priorities, Protocol,
    Readiness, Refusal, Rejected, Seed,
};

#[derive(Debug)]
pub struct Surveyor {
    respondents: Distributor,
    responses: FairQueue,
    /// The id that was given last.
    last: u32,
    own: Question,
    /// Those of the branches, from the first one on.
    others: Option<Box<Others>>,
}

#[derive(Debug, Default)]
struct Others {
    questions: BTreeMap<BranchId, Question>,
    /// Whose survey has that id.
    askers: BTreeMap<u32, BranchId>,
}

impl Surveyor {
    #[must_use]
    pub fn new(seed: Seed) -> Surveyor {
        Surveyor {
            respondents: Distributor::default(),
            responses: FairQueue::default(),
            last: seed.random,
            own: Question::new(seed.random),
            others: None,
        }
    }

    /// Sends a survey, whoever asks, and returns its id.
    fn ask(&mut self, message: &mut Message, pipes: &mut dyn Pipes) -> Result<u32, Refusal> {
        if !message.header.is_empty() {
            return Err(Refusal::Header);
        }
        self.last = next_id(self.last);
        message.header = header_of(self.last);
        self.respondents.send(message, pipes);
        Ok(self.last)
    }

    /// Takes everything that has come, for whoever has asked for it.
    fn sort(&mut self, pipes: &mut dyn Pipes) {
        let Some(others) = &mut self.others else { return };
        let mut message = Message::default();
        while let Some(pipe) = self.responses.recv(&mut message, pipes) {
            let Ok(id) = split_answer(&mut message) else {
                pipes.count_lost(pipe, Loss::Malformed);
                continue;
            };
            let asker = others.askers.get(&id).copied();
            let question = match asker {
                Some(branch) => others.questions.get_mut(&branch),
                None if id == self.own.id => Some(&mut self.own),
                None => None,
            };
            let Some(question) = question.filter(|question| question.is_open()) else {
                pipes.count_lost(pipe, Loss::Stale);
                continue;
            };
            let is_first = !question.has_response();
            let kept = question.put(std::mem::take(&mut message), pipes);
            if let Err(why) = kept {
                pipes.count_dropped(1, why);
            } else if let Some(branch) = asker.filter(|_| is_first) {
                pipes.tell_branch(branch);
            }
        }
    }
}

impl Protocol for Surveyor {
    fn add_pipe(&mut self, pipe: PipeId, priorities: Priorities) -> Result<(), Rejected> {
        self.respondents.add(pipe);
        self.responses.add(pipe, priorities.recv);
        Ok(())
    }

    fn pipe_readable(&mut self, pipe: PipeId, pipes: &mut dyn Pipes) {
        self.responses.note_readable(pipe, pipes);
        self.sort(pipes);
    }

    fn pipe_writable(&mut self, pipe: PipeId, pipes: &mut dyn Pipes) {
        self.respondents.note_writable(pipe, pipes);
    }

    fn pipe_ended(&mut self, pipe: PipeId, pipes: &mut dyn Pipes) {
        self.respondents.remove(pipe, pipes);
        self.responses.note_readable(pipe, pipes);
        self.sort(pipes);
    }

    fn remove_pipe(&mut self, pipe: PipeId) {
        self.responses.remove(pipe);
    }

    fn send(&mut self, message: &mut Message, pipes: &mut dyn Pipes) -> Result<(), Refusal> {
        let id = self.ask(message, pipes)?;
        self.own.begin(id, pipes);
        Ok(())
    }

    fn recv(&mut self, message: &mut Message, pipes: &mut dyn Pipes) -> Result<(), Nothing> {
        self.own.check(pipes)?;
        if self.others.is_some() {
            self.sort(pipes);
            return self.own.take(message);
        }
        for _ in 0..DISCARDS_MAX {
            let pipe = self.responses.recv(message, pipes).ok_or(Nothing::Yet)?;
            match split_answer(message) {
                Ok(id) if id == self.own.id => {
                    message.header = Header::default();
                    return Ok(());
                }
                other => pipes.count_lost(pipe, other.map_or(Loss::Malformed, |_| Loss::Stale)),
            }
        }
        Err(Nothing::Again)
    }

    fn account(&mut self, pipes: &mut dyn Pipes) {
        self.respondents.account(pipes);
    }

    fn readiness(&self, _pipes: &dyn Pipes) -> Readiness {
        // Without a survey, receiving would tell so at once: that wakes who polls at its end.
        let has_response = self.own.has_response() || self.responses.is_readable();
        Readiness { can_send: true, can_recv: !self.own.is_open() || has_response }
    }

    fn next_timeout(&self) -> Option<Instant> {
        self.own.next_timeout()
    }

    fn timeout(&mut self, pipes: &mut dyn Pipes) {
        self.own.expire(pipes);
    }

    fn set_option(&mut self, number: i32, value: Option<&[u8]>) -> Result<(), Error> {
        self.own.set_option(number, value)
    }

    fn option(&self, number: i32) -> Result<i32, Error> {
        self.own.option(number)
    }

    fn branches(&mut self) -> Option<&mut dyn Branches> {
        Some(self)
    }
}

impl Branches for Surveyor {
    fn add(&mut self, branch: BranchId) {
        let question = self.own.sibling();
        self.others.get_or_insert_default().questions.insert(branch, question);
    }

    fn remove(&mut self, branch: BranchId) {
        if let Some(others) = &mut self.others
            && let Some(question) = others.questions.remove(&branch)
        {
            others.askers.remove(&question.id);
        }
    }

    fn send_on(
        &mut self,
        branch: BranchId,
        message: &mut Message,
        pipes: &mut dyn Pipes,
    ) -> Result<(), Refusal> {
        let id = self.ask(message, pipes)?;
        let others = self.others.as_mut().ok_or(Refusal::WrongState)?;
        let question = others.questions.get_mut(&branch).ok_or(Refusal::WrongState)?;
        others.askers.remove(&question.id);
        others.askers.insert(id, branch);
        question.begin(id, pipes);
        Ok(())
    }

    fn recv_on(
        &mut self,
        branch: BranchId,
        message: &mut Message,
        pipes: &mut dyn Pipes,
    ) -> Result<(), Nothing> {
        self.sort(pipes);
        let others = self.others.as_mut().ok_or(Nothing::WrongState)?;
        let question = others.questions.get_mut(&branch).ok_or(Nothing::WrongState)?;
        question.check(pipes)?;
        question.take(message)
    }

    fn readiness_of(&mut self, branch: BranchId) -> Readiness {
        let question = self.others.as_ref().and_then(|others| others.questions.get(&branch));
        let can_recv =
            question.is_none_or(|question| !question.is_open() || question.has_response());
        Readiness { can_send: true, can_recv }
    }

    fn next_timeout_of(&self, branch: BranchId) -> Option<Instant> {
        self.others.as_ref()?.questions.get(&branch)?.next_timeout()
    }

    fn timeout_of(&mut self, branch: BranchId, pipes: &mut dyn Pipes) {
        let others = self.others.as_mut();
        if let Some(question) = others.and_then(|others| others.questions.get_mut(&branch)) {
            question.expire(pipes);
        }
    }

    fn set_option_of(
        &mut self,
        branch: BranchId,
        number: i32,
        value: Option<&[u8]>,
    ) -> Result<(), Error> {
        let others = self.others.as_mut().ok_or(Error::NotOpen)?;
        others.questions.get_mut(&branch).ok_or(Error::NotOpen)?.set_option(number, value)
    }

    fn option_of(&self, branch: BranchId, number: i32) -> Result<i32, Error> {
        let others = self.others.as_ref().ok_or(Error::NotOpen)?;
        others.questions.get(&branch).ok_or(Error::NotOpen)?.option(number)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::protocols::option;
    use crate::testing::FakePipes;

    const SEED: Seed = Seed { serial: 0, random: 0x843c_7540 };
    const A: PipeId = PipeId(1);
    const B: PipeId = PipeId(2);
    const SECOND: Duration = Duration::from_secs(1);

    fn connected() -> (Surveyor, FakePipes) {
        let (mut surveyor, mut pipes) = (Surveyor::new(SEED), FakePipes::default());
        for pipe in [A, B] {
            pipes.connect(pipe);
            surveyor.add_pipe(pipe, Priorities::default()).unwrap();
            surveyor.pipe_writable(pipe, &mut pipes);
        }
        (surveyor, pipes)
    }

    fn send(surveyor: &mut Surveyor, pipes: &mut FakePipes, text: &str) {
        surveyor.send(&mut FakePipes::message(text), pipes).unwrap();
    }

    fn respond(surveyor: &mut Surveyor, pipes: &mut FakePipes, from: PipeId, bytes: &[u8]) {
        pipes.arrive_bytes(from, bytes);
        surveyor.pipe_readable(from, pipes);
    }

    fn recv(surveyor: &mut Surveyor, pipes: &mut FakePipes) -> Result<String, Nothing> {
        let mut message = Message::default();
        surveyor.recv(&mut message, pipes)?;
        assert!(message.header.is_empty());
        Ok(String::from_utf8_lossy(message.body.as_slice()).into_owned())
    }

    /// protocols 14.
    #[test]
    fn gathers_the_responses_of_everybody() {
        let (mut surveyor, mut pipes) = connected();
        assert_eq!(recv(&mut surveyor, &mut pipes), Err(Nothing::WrongState));
        send(&mut surveyor, &mut pipes, "q");
        for (pipe, text) in [(A, "a"), (B, "b"), (A, "more of a")] {
            assert_eq!(pipes.sent_bytes(pipe), [b"\x84\x3c\x75\x41q"]);
            let bytes = [b"\x84\x3c\x75\x41", text.as_bytes()].concat();
            respond(&mut surveyor, &mut pipes, pipe, &bytes);
        }
        for text in ["a", "b", "more of a"] {
            assert_eq!(recv(&mut surveyor, &mut pipes).unwrap(), text);
        }
        assert_eq!(recv(&mut surveyor, &mut pipes), Err(Nothing::Yet));
    }

    #[test]
    fn only_responses_to_the_open_survey_count() {
        let (mut surveyor, mut pipes) = connected();
        send(&mut surveyor, &mut pipes, "old");
        send(&mut surveyor, &mut pipes, "new");
        for bytes in [
            &b"\x84\x3c\x75\x41stale"[..],
            b"\x04\x3c\x75\x42bit 31",
            b"\0\0\0\x01\x84\x3c\x75\x42hop",
            b"abc",
            b"\x84\x3c\x75\x42good",
        ] {
            respond(&mut surveyor, &mut pipes, A, bytes);
        }
        assert_eq!(recv(&mut surveyor, &mut pipes).unwrap(), "good");
        let lost = [Loss::Stale, Loss::Stale, Loss::Stale, Loss::Malformed];
        assert_eq!(pipes.take_lost(), lost.map(|why| (A, why)));
        assert_eq!(recv(&mut surveyor, &mut pipes), Err(Nothing::Yet));
    }

    #[test]
    fn the_deadline_is_told_once() {
        let (mut surveyor, mut pipes) = connected();
        send(&mut surveyor, &mut pipes, "q");
        assert!(!surveyor.readiness(&pipes).can_recv);
        assert_eq!(surveyor.next_timeout(), Some(pipes.now() + SECOND));
        respond(&mut surveyor, &mut pipes, A, b"\x84\x3c\x75\x41in time, read too late");
        pipes.pass(SECOND);
        surveyor.timeout(&mut pipes);
        assert!(surveyor.readiness(&pipes).can_recv);
        assert_eq!(surveyor.next_timeout(), None);
        assert_eq!(recv(&mut surveyor, &mut pipes), Err(Nothing::Expired));
        assert_eq!(recv(&mut surveyor, &mut pipes), Err(Nothing::WrongState));
        assert!(surveyor.readiness(&pipes).can_recv);
    }

    #[test]
    fn a_late_timer_changes_nothing() {
        let (mut surveyor, mut pipes) = connected();
        send(&mut surveyor, &mut pipes, "q");
        respond(&mut surveyor, &mut pipes, A, b"\x84\x3c\x75\x41a");
        pipes.pass(SECOND);
        assert_eq!(recv(&mut surveyor, &mut pipes), Err(Nothing::Expired));
    }

    #[test]
    fn the_next_survey_has_the_new_deadline() {
        let (mut surveyor, mut pipes) = connected();
        let set = |surveyor: &mut Surveyor, ms: i32| {
            surveyor.set_option(option::SURVEYOR_DEADLINE, Some(&ms.to_ne_bytes())).unwrap();
        };
        send(&mut surveyor, &mut pipes, "q");
        set(&mut surveyor, 0);
        assert_eq!(surveyor.next_timeout(), Some(pipes.now() + SECOND));
        send(&mut surveyor, &mut pipes, "q");
        assert_eq!(recv(&mut surveyor, &mut pipes), Err(Nothing::Expired));
        set(&mut surveyor, -5);
        assert_eq!(surveyor.option(option::SURVEYOR_DEADLINE), Ok(-5));
        send(&mut surveyor, &mut pipes, "q");
        assert_eq!(surveyor.next_timeout(), None);
        pipes.pass(SECOND * 100_000);
        assert_eq!(recv(&mut surveyor, &mut pipes), Err(Nothing::Yet));
    }

    #[test]
    fn a_header_of_the_caller_is_refused() {
        let (mut surveyor, mut pipes) = connected();
        let mut message = FakePipes::with_header(b"abcd", "q");
        assert_eq!(surveyor.send(&mut message, &mut pipes), Err(Refusal::Header));
        assert_eq!(recv(&mut surveyor, &mut pipes), Err(Nothing::WrongState));
    }

    #[test]
    fn each_branch_has_its_own_survey_and_deadline() {
        let (mut surveyor, mut pipes) = connected();
        let (one, two) = (BranchId(1), BranchId(2));
        surveyor.set_option(option::SURVEYOR_DEADLINE, Some(&500_i32.to_ne_bytes())).unwrap();
        [one, two].into_iter().for_each(|branch| surveyor.add(branch));
        let deadline = 2000_i32.to_ne_bytes();
        surveyor.set_option_of(two, option::SURVEYOR_DEADLINE, Some(&deadline)).unwrap();
        surveyor.send_on(one, &mut FakePipes::message("1"), &mut pipes).unwrap();
        send(&mut surveyor, &mut pipes, "own");
        surveyor.send_on(two, &mut FakePipes::message("2"), &mut pipes).unwrap();
        for bytes in [
            &b"\x84\x3c\x75\x43to 2"[..],
            b"\x84\x3c\x75\x41to 1",
            b"\x84\x3c\x75\x43to 2",
            b"\x84\x3c\x75\x42to own",
            b"\x84\x3c\x75\x44nobody",
        ] {
            respond(&mut surveyor, &mut pipes, A, bytes);
        }
        assert_eq!(pipes.take_told(), [two, one]);
        let recv_on = |surveyor: &mut Surveyor, pipes: &mut FakePipes, branch| {
            let mut message = Message::default();
            surveyor.recv_on(branch, &mut message, pipes)?;
            assert!(message.header.is_empty());
            Ok(String::from_utf8_lossy(message.body.as_slice()).into_owned())
        };
        assert_eq!(recv(&mut surveyor, &mut pipes).unwrap(), "to own");
        assert_eq!(recv_on(&mut surveyor, &mut pipes, one).unwrap(), "to 1");
        assert_eq!(recv_on(&mut surveyor, &mut pipes, one), Err(Nothing::Yet));
        assert_eq!(surveyor.next_timeout_of(one), Some(pipes.now() + SECOND / 2));
        pipes.pass(SECOND);
        surveyor.timeout_of(one, &mut pipes);
        assert!(surveyor.readiness_of(one).can_recv, "the end is to be told");
        assert_eq!(recv_on(&mut surveyor, &mut pipes, one), Err(Nothing::Expired));
        assert_eq!(recv_on(&mut surveyor, &mut pipes, one), Err(Nothing::WrongState));
        assert_eq!(recv_on(&mut surveyor, &mut pipes, two).unwrap(), "to 2");
        assert_eq!(recv_on(&mut surveyor, &mut pipes, two).unwrap(), "to 2");
        assert_eq!(recv_on(&mut surveyor, &mut pipes, two), Err(Nothing::Yet));
    }
}
