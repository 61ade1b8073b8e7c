//! SURVEYOR: one survey at a time, whose responses count until its deadline (protocols 8.2).

use std::time::{Duration, Instant};

use crate::error::Error;
use crate::message::{Header, Message};
use crate::protocols::backtrace::{header_of, next_id, split_answer};
use crate::protocols::routing::{Distributor, FairQueue};
use crate::protocols::{
    DISCARDS_MAX, Nothing, PipeId, Pipes, Priorities, Protocol, Readiness, Refusal, Rejected, Seed,
    milliseconds, option,
};

#[derive(Debug)]
pub struct Surveyor {
    respondents: Distributor,
    responses: FairQueue,
    /// Of the last survey.
    id: u32,
    survey: Survey,
    /// Milliseconds; a survey has none when it is negative.
    deadline: i32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Survey {
    #[default]
    None,
    Open {
        until: Option<Instant>,
    },
    /// Its deadline has passed, and nobody has been told.
    Expired,
}

impl Surveyor {
    #[must_use]
    pub fn new(seed: Seed) -> Surveyor {
        Surveyor {
            respondents: Distributor::default(),
            responses: FairQueue::default(),
            id: seed.random,
            survey: Survey::None,
            deadline: DEADLINE,
        }
    }

    /// What was in time but is asked for too late is lost as well.
    fn expire(&mut self, pipes: &dyn Pipes) {
        if let Survey::Open { until: Some(until) } = self.survey
            && until <= pipes.now()
        {
            self.survey = Survey::Expired;
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
    }

    fn pipe_writable(&mut self, pipe: PipeId, pipes: &mut dyn Pipes) {
        self.respondents.note_writable(pipe, pipes);
    }

    fn pipe_ended(&mut self, pipe: PipeId, pipes: &mut dyn Pipes) {
        self.respondents.remove(pipe);
        self.responses.note_readable(pipe, pipes);
    }

    fn remove_pipe(&mut self, pipe: PipeId) {
        self.responses.remove(pipe);
    }

    fn send(&mut self, message: &mut Message, pipes: &mut dyn Pipes) -> Result<(), Refusal> {
        if !message.header.is_empty() {
            return Err(Refusal::Header);
        }
        self.id = next_id(self.id);
        message.header = header_of(self.id);
        self.respondents.send(message, None, pipes);
        let ms = u64::try_from(self.deadline).ok();
        // Whatever was asked before is given up.
        self.survey = Survey::Open { until: ms.map(|ms| pipes.now() + Duration::from_millis(ms)) };
        Ok(())
    }

    fn recv(&mut self, message: &mut Message, pipes: &mut dyn Pipes) -> Result<(), Nothing> {
        self.expire(pipes);
        match self.survey {
            Survey::None => return Err(Nothing::WrongState),
            Survey::Expired => {
                self.survey = Survey::None;
                return Err(Nothing::Expired);
            }
            Survey::Open { .. } => {}
        }
        for _ in 0..DISCARDS_MAX {
            self.responses.recv(message, pipes).ok_or(Nothing::Yet)?;
            if split_answer(message) == Ok(self.id) {
                message.header = Header::default();
                return Ok(());
            }
        }
        Err(Nothing::Again)
    }

    fn readiness(&self, _pipes: &dyn Pipes) -> Readiness {
        // Without a survey, receiving would tell so at once: that wakes who polls at its end.
        let is_open = matches!(self.survey, Survey::Open { .. });
        Readiness { can_send: true, can_recv: !is_open || self.responses.is_readable() }
    }

    fn next_timeout(&self) -> Option<Instant> {
        match self.survey {
            Survey::Open { until } => until,
            Survey::None | Survey::Expired => None,
        }
    }

    fn timeout(&mut self, pipes: &mut dyn Pipes) {
        self.expire(pipes);
    }

    fn set_option(&mut self, number: i32, value: Option<&[u8]>) -> Result<(), Error> {
        match number {
            option::SURVEYOR_DEADLINE => self.deadline = milliseconds(value)?,
            _ => return Err(Error::UnknownOption),
        }
        Ok(())
    }

    fn option(&self, number: i32) -> Result<i32, Error> {
        match number {
            option::SURVEYOR_DEADLINE => Ok(self.deadline),
            _ => Err(Error::UnknownOption),
        }
    }
}

const DEADLINE: i32 = 1000;

#[cfg(test)]
mod tests {
    use super::*;
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
}
