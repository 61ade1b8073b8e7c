//! REQ: one request at a time, sent again until its reply is there (protocols 4).

use std::time::Instant;

use super::crowd::Crowd;
use super::inquiry::{Inquiry, Parting, Settings};
use crate::error::Error;
use crate::message::Message;
use crate::protocols::backtrace::{Malformed, next_id, split_answer};
use crate::protocols::routing::LoadBalancer;
use crate::protocols::{
    BranchId, Branches, Loss, Nothing, PipeId, Pipes, Priorities, Protocol, Readiness, Refusal,
    Rejected, Seed, SendPriority,
};

#[derive(Debug)]
pub struct Req {
    services: LoadBalancer,
    /// The id that was given last.
    last: u32,
    own: Inquiry,
    /// Those of the branches, from the first one on.
    others: Option<Box<Crowd>>,
    /// Whose end will be told next, because he broke the rules.
    violator: Option<PipeId>,
}

impl Req {
    #[must_use]
    pub fn new(seed: Seed) -> Req {
        Req {
            services: LoadBalancer::default(),
            last: seed.random,
            own: Inquiry::new(seed.random, Settings::default()),
            others: None,
            violator: None,
        }
    }

    fn other(&self, branch: BranchId) -> Option<&Inquiry> {
        self.others.as_ref()?.get(branch)
    }

    /// Takes everything that the pipe holds: the first reply to the request counts, whoever it
    /// comes from; all else is late, doubled, or no reply at all.
    fn look_for_reply(&mut self, pipe: PipeId, pipes: &mut dyn Pipes) {
        let mut message = Message::default();
        while pipes.recv(pipe, &mut message) {
            let id = split_answer(&mut message);
            let message = std::mem::take(&mut message);
            let taken = match (id, &mut self.others) {
                (Ok(id), _) if id == self.own.id => self.own.take_reply(message),
                (Ok(id), Some(others)) => others.take_reply(id, message, pipes),
                (Ok(_), None) => Err(Loss::Stale),
                (Err(Malformed), _) => Err(Loss::Malformed),
            };
            if let Err(why) = taken {
                pipes.count_lost(pipe, why);
            }
        }
    }

    /// The id of the next request, whoever asks: one that no other has that is under way.
    fn next_id(&mut self) -> u32 {
        loop {
            self.last = next_id(self.last);
            let id = self.last;
            let is_taken = self.others.as_ref().is_some_and(|others| {
                others.knows(id) || (self.own.is_open() && self.own.id == id)
            });
            if !is_taken {
                return id;
            }
        }
    }
}

impl Protocol for Req {
    fn add_pipe(&mut self, pipe: PipeId, priorities: Priorities) -> Result<(), Rejected> {
        self.services.add(pipe, priorities.send);
        Ok(())
    }

    fn pipe_readable(&mut self, pipe: PipeId, pipes: &mut dyn Pipes) {
        self.look_for_reply(pipe, pipes);
    }

    fn pipe_writable(&mut self, pipe: PipeId, pipes: &mut dyn Pipes) {
        self.services.note_writable(pipe, pipes);
        self.own.service_came(&mut self.services, pipes);
        if let Some(others) = &mut self.others {
            others.service_came(&mut self.services, pipes);
        }
    }

    fn pipe_violated(&mut self, pipe: PipeId) {
        self.violator = Some(pipe);
    }

    fn pipe_ended(&mut self, pipe: PipeId, pipes: &mut dyn Pipes) {
        let is_violator = self.violator.take() == Some(pipe);
        let how = if is_violator { Parting::Violation } else { Parting::Plain };
        self.services.remove(pipe);
        self.look_for_reply(pipe, pipes);
        self.own.service_left(pipe, how, &mut self.services, pipes);
        if let Some(others) = &mut self.others {
            others.service_left(pipe, how, &mut self.services, pipes);
        }
    }

    fn remove_pipe(&mut self, _pipe: PipeId) {}

    fn send(&mut self, message: &mut Message, pipes: &mut dyn Pipes) -> Result<(), Refusal> {
        let id = self.next_id();
        self.own.begin(id, message, &mut self.services, pipes)
    }

    fn recv(&mut self, message: &mut Message, _pipes: &mut dyn Pipes) -> Result<(), Nothing> {
        self.own.recv(message)
    }

    fn readiness(&self, _pipes: &dyn Pipes) -> Readiness {
        Readiness { can_send: true, can_recv: self.own.has_news() }
    }

    fn next_timeout(&self) -> Option<Instant> {
        self.own.next_timeout()
    }

    fn timeout(&mut self, pipes: &mut dyn Pipes) {
        self.own.timeout(&mut self.services, pipes);
    }

    fn set_option(&mut self, number: i32, value: Option<&[u8]>) -> Result<(), Error> {
        self.own.settings.set_option(number, value)
    }

    fn option(&self, number: i32) -> Result<i32, Error> {
        self.own.settings.option(number)
    }

    fn send_priority(&self) -> SendPriority {
        self.services.send_priority()
    }

    fn branches(&mut self) -> Option<&mut dyn Branches> {
        Some(self)
    }
}

impl Branches for Req {
    fn add(&mut self, branch: BranchId) {
        self.others.get_or_insert_default().add(branch, self.own.settings);
    }

    fn remove(&mut self, branch: BranchId) {
        if let Some(others) = &mut self.others {
            others.remove(branch);
        }
    }

    fn send_on(
        &mut self,
        branch: BranchId,
        message: &mut Message,
        pipes: &mut dyn Pipes,
    ) -> Result<(), Refusal> {
        let id = self.next_id();
        let others = self.others.as_mut().ok_or(Refusal::WrongState)?;
        others.begin(branch, id, message, &mut self.services, pipes)
    }

    fn recv_on(
        &mut self,
        branch: BranchId,
        message: &mut Message,
        _pipes: &mut dyn Pipes,
    ) -> Result<(), Nothing> {
        self.others.as_mut().ok_or(Nothing::WrongState)?.recv(branch, message)
    }

    fn readiness_of(&mut self, branch: BranchId) -> Readiness {
        let can_recv = self.other(branch).is_some_and(Inquiry::has_news);
        Readiness { can_send: true, can_recv }
    }

    fn next_timeout_of(&self, branch: BranchId) -> Option<Instant> {
        self.other(branch)?.next_timeout()
    }

    fn timeout_of(&mut self, branch: BranchId, pipes: &mut dyn Pipes) {
        if let Some(others) = &mut self.others {
            others.timeout(branch, &mut self.services, pipes);
        }
    }

    fn set_option_of(
        &mut self,
        branch: BranchId,
        number: i32,
        value: Option<&[u8]>,
    ) -> Result<(), Error> {
        let settings = self.others.as_mut().and_then(|others| others.settings_mut(branch));
        settings.ok_or(Error::NotOpen)?.set_option(number, value)
    }

    fn option_of(&self, branch: BranchId, number: i32) -> Result<i32, Error> {
        let settings = self.others.as_ref().and_then(|others| others.settings(branch));
        settings.ok_or(Error::NotOpen)?.option(number)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::protocols::option;
    use crate::testing::FakePipes;

    const SEED: Seed = Seed { serial: 0, random: 0x616b_457c };
    const A: PipeId = PipeId(1);
    const B: PipeId = PipeId(2);
    const MINUTE: Duration = Duration::from_secs(60);

    fn connect(req: &mut Req, pipes: &mut FakePipes, pipe: PipeId) {
        pipes.connect(pipe);
        req.add_pipe(pipe, Priorities::default()).unwrap();
        req.pipe_writable(pipe, pipes);
    }

    fn connected() -> (Req, FakePipes) {
        let (mut req, mut pipes) = (Req::new(SEED), FakePipes::default());
        connect(&mut req, &mut pipes, A);
        connect(&mut req, &mut pipes, B);
        (req, pipes)
    }

    fn send(req: &mut Req, pipes: &mut FakePipes, text: &str) {
        req.send(&mut FakePipes::message(text), pipes).unwrap();
    }

    fn reply(req: &mut Req, pipes: &mut FakePipes, from: PipeId, id: u32, text: &str) {
        pipes.arrive_bytes(from, &[&id.to_be_bytes(), text.as_bytes()].concat());
        req.pipe_readable(from, pipes);
    }

    fn recv(req: &mut Req, pipes: &mut FakePipes) -> Result<String, Nothing> {
        let mut message = Message::default();
        req.recv(&mut message, pipes)?;
        assert!(message.header.is_empty());
        Ok(String::from_utf8_lossy(message.body.as_slice()).into_owned())
    }

    /// protocols 14: the id counter of the sample.
    #[test]
    fn ids_count_up_with_bit_31_set() {
        let (mut req, mut pipes) = connected();
        send(&mut req, &mut pipes, "hello");
        send(&mut req, &mut pipes, "next");
        assert_eq!(pipes.sent_bytes(A), [b"\xe1\x6b\x45\x7dhello"]);
        assert_eq!(pipes.sent_bytes(B), [b"\xe1\x6b\x45\x7enext"]);
    }

    #[test]
    fn the_reply_is_given_once() {
        let (mut req, mut pipes) = connected();
        assert_eq!(recv(&mut req, &mut pipes), Err(Nothing::WrongState));
        send(&mut req, &mut pipes, "q");
        assert_eq!(recv(&mut req, &mut pipes), Err(Nothing::Yet));
        assert!(!req.readiness(&pipes).can_recv);
        let id = req.own.id;
        reply(&mut req, &mut pipes, B, id, "a");
        assert!(req.readiness(&pipes).can_recv);
        assert_eq!(req.next_timeout(), None);
        assert_eq!(recv(&mut req, &mut pipes).unwrap(), "a");
        assert_eq!(recv(&mut req, &mut pipes), Err(Nothing::WrongState));
        reply(&mut req, &mut pipes, B, id, "late");
        assert_eq!(recv(&mut req, &mut pipes), Err(Nothing::WrongState));
    }

    /// protocols 4.4.
    #[test]
    fn the_first_reply_is_kept_whatever_follows() {
        let (mut req, mut pipes) = connected();
        send(&mut req, &mut pipes, "q");
        let id = req.own.id;
        for (id, text) in [(id ^ 1, "bad"), (id & 0x7fff_ffff, "bad"), (5, "bad"), (id, "a")] {
            reply(&mut req, &mut pipes, A, id, text);
        }
        for (id, text) in [(id, "second"), (id ^ 1, "bad")] {
            reply(&mut req, &mut pipes, B, id, text);
        }
        pipes.arrive_bytes(A, b"abc");
        req.pipe_readable(A, &mut pipes);
        assert_eq!(recv(&mut req, &mut pipes).unwrap(), "a");
        let stale = [A, A, A, B, B].map(|pipe| (pipe, Loss::Stale));
        assert_eq!(pipes.take_lost(), [&stale[..], &[(A, Loss::Malformed)]].concat());
    }

    #[test]
    fn only_the_last_request_without_a_peer_is_sent() {
        let (mut req, mut pipes) = (Req::new(SEED), FakePipes::default());
        ["a", "b", "c"].into_iter().for_each(|text| send(&mut req, &mut pipes, text));
        assert_eq!(req.next_timeout(), None);
        connect(&mut req, &mut pipes, A);
        assert_eq!(pipes.sent_bytes(A), [b"\xe1\x6b\x45\x7fc"]);
        assert_eq!(req.next_timeout(), Some(pipes.now() + MINUTE));
    }

    #[test]
    fn asks_again_after_the_interval_and_the_next_one() {
        let (mut req, mut pipes) = connected();
        send(&mut req, &mut pipes, "q");
        req.timeout(&mut pipes);
        assert!(pipes.sent_bytes(B).is_empty());
        for _ in 0..3 {
            pipes.pass(MINUTE);
            req.timeout(&mut pipes);
        }
        assert_eq!(pipes.sent_bytes(A).len(), 2);
        assert_eq!(pipes.sent_bytes(B), [b"\xe1\x6b\x45\x7dq"; 2]);
        // A late reply to the first copy counts.
        let id = req.own.id;
        reply(&mut req, &mut pipes, A, id, "a");
        assert_eq!(recv(&mut req, &mut pipes).unwrap(), "a");
    }

    #[test]
    fn asks_somebody_else_when_the_asked_one_leaves() {
        let (mut req, mut pipes) = connected();
        send(&mut req, &mut pipes, "q");
        pipes.disconnect(A);
        req.pipe_ended(A, &mut pipes);
        req.remove_pipe(A);
        assert_eq!(pipes.sent_bytes(B), [b"\xe1\x6b\x45\x7dq"]);
        pipes.disconnect(B);
        req.pipe_ended(B, &mut pipes);
        assert_eq!(req.next_timeout(), None);
        connect(&mut req, &mut pipes, PipeId(3));
        assert_eq!(pipes.sent_bytes(PipeId(3)), [b"\xe1\x6b\x45\x7dq"]);
    }

    #[test]
    fn a_reply_that_came_before_the_end_counts() {
        let (mut req, mut pipes) = connected();
        send(&mut req, &mut pipes, "q");
        pipes.arrive_bytes(A, b"\xe1\x6b\x45\x7da");
        pipes.disconnect(A);
        req.pipe_ended(A, &mut pipes);
        assert!(pipes.sent_bytes(B).is_empty());
        assert_eq!(recv(&mut req, &mut pipes).unwrap(), "a");
    }

    /// The asked one says what it may not, and comes back with another number.
    fn violate(req: &mut Req, pipes: &mut FakePipes, pipe: u32) {
        pipes.disconnect(PipeId(pipe));
        req.pipe_violated(PipeId(pipe));
        req.pipe_ended(PipeId(pipe), pipes);
        req.remove_pipe(PipeId(pipe));
        connect(req, pipes, PipeId(pipe + 1));
    }

    /// protocols 4.2
    #[test]
    fn who_breaks_the_rules_whenever_he_is_asked_is_asked_less_and_less_often() {
        for (interval, most) in [(60_000, 60_000), (1000, 1000), (0, 60_000)] {
            let (mut req, mut pipes) = (Req::new(SEED), FakePipes::default());
            let value = i32::to_ne_bytes(interval);
            req.set_option(option::REQ_RESEND_INTERVAL, Some(&value)).unwrap();
            connect(&mut req, &mut pipes, PipeId(0));
            send(&mut req, &mut pipes, "q");
            violate(&mut req, &mut pipes, 0);
            assert_eq!(pipes.sent_bytes(PipeId(1)).len(), 1, "the first time is no habit");
            let mut rest = 100;
            for pipe in 1..20 {
                violate(&mut req, &mut pipes, pipe);
                let again = PipeId(pipe + 1);
                let until = pipes.now() + Duration::from_millis(rest.min(most));
                assert_eq!(req.next_timeout(), Some(until));
                // Who comes meanwhile is not asked, either.
                req.pipe_writable(again, &mut pipes);
                req.timeout(&mut pipes);
                assert!(pipes.sent_bytes(again).is_empty());
                pipes.pass(until - pipes.now());
                req.timeout(&mut pipes);
                assert_eq!(pipes.sent_bytes(again).len(), 1);
                rest *= 2;
            }
            // Another request is another matter, and so is an end without a violation.
            send(&mut req, &mut pipes, "r");
            violate(&mut req, &mut pipes, 20);
            assert_eq!(pipes.sent_bytes(PipeId(21)).len(), 1);
            pipes.disconnect(PipeId(21));
            connect(&mut req, &mut pipes, PipeId(22));
            req.pipe_ended(PipeId(21), &mut pipes);
            assert_eq!(pipes.sent_bytes(PipeId(22)).len(), 1);
        }
    }

    #[test]
    fn a_reply_counts_while_the_request_rests() {
        let (mut req, mut pipes) = (Req::new(SEED), FakePipes::default());
        connect(&mut req, &mut pipes, PipeId(0));
        send(&mut req, &mut pipes, "q");
        (0..2).for_each(|pipe| violate(&mut req, &mut pipes, pipe));
        assert!(req.own.is_resting());
        let id = req.own.id;
        reply(&mut req, &mut pipes, PipeId(2), id, "a");
        assert_eq!(recv(&mut req, &mut pipes).unwrap(), "a");
        assert_eq!(req.next_timeout(), None);
    }

    fn asks_once(req: &mut Req) {
        req.set_option(option::REQ_RESEND_ON_LOSS, Some(&i32::to_ne_bytes(0))).unwrap();
    }

    /// protocols 4.6
    #[test]
    fn a_request_that_is_asked_once_is_lost_with_who_was_asked() {
        let (mut req, mut pipes) = connected();
        asks_once(&mut req);
        send(&mut req, &mut pipes, "q");
        pipes.disconnect(B);
        req.pipe_ended(B, &mut pipes);
        assert_eq!(recv(&mut req, &mut pipes), Err(Nothing::Yet), "he was not asked");
        connect(&mut req, &mut pipes, PipeId(3));
        pipes.disconnect(A);
        req.pipe_ended(A, &mut pipes);
        req.remove_pipe(A);
        assert!(pipes.sent_bytes(PipeId(3)).is_empty());
        assert_eq!(req.next_timeout(), None);
        assert!(req.readiness(&pipes).can_recv, "who polls learns of it");
        // A reply to the first copy by somebody else comes too late.
        let id = req.own.id;
        reply(&mut req, &mut pipes, PipeId(3), id, "late");
        assert_eq!(recv(&mut req, &mut pipes), Err(Nothing::Lost));
        assert!(!req.readiness(&pipes).can_recv);
        assert_eq!(recv(&mut req, &mut pipes), Err(Nothing::WrongState), "it is said once");
        // The next request is another matter, though nobody has asked what became of the first.
        send(&mut req, &mut pipes, "r");
        assert_eq!(pipes.sent_bytes(PipeId(3)), [b"\xe1\x6b\x45\x7er"]);
        pipes.disconnect(PipeId(3));
        req.pipe_ended(PipeId(3), &mut pipes);
        send(&mut req, &mut pipes, "s");
        connect(&mut req, &mut pipes, PipeId(4));
        assert_eq!(pipes.sent_bytes(PipeId(4)), [b"\xe1\x6b\x45\x7fs"], "nobody had it");
    }

    /// protocols 4.6
    #[test]
    fn who_breaks_the_rules_is_not_asked_again_for_what_is_asked_once() {
        let (mut req, mut pipes) = (Req::new(SEED), FakePipes::default());
        asks_once(&mut req);
        connect(&mut req, &mut pipes, PipeId(0));
        send(&mut req, &mut pipes, "q");
        violate(&mut req, &mut pipes, 0);
        assert!(pipes.sent_bytes(PipeId(1)).is_empty());
        assert_eq!(recv(&mut req, &mut pipes), Err(Nothing::Lost));
    }

    /// protocols 4.6
    #[test]
    fn what_is_asked_once_is_answered_by_a_reply_that_came_before_the_end() {
        let (mut req, mut pipes) = connected();
        asks_once(&mut req);
        send(&mut req, &mut pipes, "q");
        pipes.arrive_bytes(A, b"\xe1\x6b\x45\x7da");
        pipes.disconnect(A);
        req.pipe_ended(A, &mut pipes);
        assert_eq!(recv(&mut req, &mut pipes).unwrap(), "a");
        assert_eq!(recv(&mut req, &mut pipes), Err(Nothing::WrongState));
    }

    /// protocols 4.6: the interval is another matter.
    #[test]
    fn what_is_asked_once_is_still_sent_again_after_the_interval() {
        let (mut req, mut pipes) = connected();
        asks_once(&mut req);
        send(&mut req, &mut pipes, "q");
        pipes.pass(MINUTE);
        req.timeout(&mut pipes);
        assert_eq!(pipes.sent_bytes(B).len(), 1);
        pipes.disconnect(A);
        req.pipe_ended(A, &mut pipes);
        assert_eq!(recv(&mut req, &mut pipes), Err(Nothing::Yet), "the last one counts");
        pipes.disconnect(B);
        req.pipe_ended(B, &mut pipes);
        assert_eq!(recv(&mut req, &mut pipes), Err(Nothing::Lost));
    }

    #[test]
    fn whether_to_ask_again_is_0_or_1() {
        let mut req = Req::new(SEED);
        assert_eq!(req.option(option::REQ_RESEND_ON_LOSS), Ok(1));
        for value in [0, 1] {
            let bytes = i32::to_ne_bytes(value);
            req.set_option(option::REQ_RESEND_ON_LOSS, Some(&bytes)).unwrap();
            assert_eq!(req.option(option::REQ_RESEND_ON_LOSS), Ok(value));
        }
        for value in [-1, 2, i32::MAX] {
            let bytes = i32::to_ne_bytes(value);
            let set = req.set_option(option::REQ_RESEND_ON_LOSS, Some(&bytes));
            assert_eq!(set, Err(Error::Invalid));
        }
        assert_eq!(req.set_option(option::REQ_RESEND_ON_LOSS, None), Err(Error::Invalid));
        assert_eq!(req.option(option::REQ_RESEND_ON_LOSS), Ok(1));
    }

    /// protocols 4.4, last row.
    #[test]
    fn a_reply_counts_while_the_request_waits_to_be_sent_again() {
        let (mut req, mut pipes) = (Req::new(SEED), FakePipes::default());
        connect(&mut req, &mut pipes, A);
        pipes.set_room(A, 1);
        send(&mut req, &mut pipes, "q");
        pipes.pass(MINUTE);
        req.timeout(&mut pipes);
        assert_eq!(req.next_timeout(), None);
        let id = req.own.id;
        reply(&mut req, &mut pipes, A, id, "a");
        assert_eq!(recv(&mut req, &mut pipes).unwrap(), "a");
        pipes.set_room(A, 1);
        req.pipe_writable(A, &mut pipes);
        assert_eq!(pipes.sent_bytes(A).len(), 1);
    }

    #[test]
    fn without_a_positive_interval_there_is_no_timer() {
        let (mut req, mut pipes) = connected();
        for interval in [0, -1, i32::MIN] {
            let value = i32::to_ne_bytes(interval);
            req.set_option(option::REQ_RESEND_INTERVAL, Some(&value)).unwrap();
            assert_eq!(req.option(option::REQ_RESEND_INTERVAL), Ok(interval));
            send(&mut req, &mut pipes, "q");
            assert_eq!(req.next_timeout(), None);
        }
        assert_eq!(req.set_option(1, Some(&[0; 8])), Err(Error::Invalid));
        assert_eq!(req.set_option(1, None), Err(Error::Invalid));
        assert_eq!(req.set_option(2, Some(&[0; 4])), Err(Error::UnknownOption));
    }

    #[test]
    fn a_header_of_the_caller_is_refused() {
        let (mut req, mut pipes) = connected();
        let mut message = FakePipes::with_header(b"abcd", "q");
        assert_eq!(req.send(&mut message, &mut pipes), Err(Refusal::Header));
        assert_eq!(message.body.as_slice(), b"q");
        assert_eq!(recv(&mut req, &mut pipes), Err(Nothing::WrongState));
    }

    const ONE: BranchId = BranchId(1);
    const TWO: BranchId = BranchId(2);

    fn branched() -> (Req, FakePipes) {
        let (mut req, pipes) = connected();
        [ONE, TWO].into_iter().for_each(|branch| req.add(branch));
        (req, pipes)
    }

    fn send_on(req: &mut Req, pipes: &mut FakePipes, branch: BranchId, text: &str) {
        req.send_on(branch, &mut FakePipes::message(text), pipes).unwrap();
    }

    fn recv_on(req: &mut Req, pipes: &mut FakePipes, branch: BranchId) -> Result<String, Nothing> {
        let mut message = Message::default();
        req.recv_on(branch, &mut message, pipes)?;
        assert!(message.header.is_empty());
        Ok(String::from_utf8_lossy(message.body.as_slice()).into_owned())
    }

    #[test]
    fn ids_are_one_row_and_each_reply_reaches_who_has_its_id() {
        let (mut req, mut pipes) = branched();
        send_on(&mut req, &mut pipes, ONE, "1");
        send(&mut req, &mut pipes, "own");
        send_on(&mut req, &mut pipes, TWO, "2");
        assert_eq!(pipes.sent_bytes(A), [&b"\xe1\x6b\x45\x7d1"[..], b"\xe1\x6b\x45\x7f2"]);
        assert_eq!(pipes.sent_bytes(B), [b"\xe1\x6b\x45\x7eown"]);
        reply(&mut req, &mut pipes, B, 0xe16b_457f, "re 2");
        assert_eq!(pipes.take_told(), [TWO]);
        assert!(req.readiness_of(TWO).can_recv && !req.readiness_of(ONE).can_recv);
        assert!(!req.readiness(&pipes).can_recv);
        reply(&mut req, &mut pipes, B, 0xe16b_457f, "doubled");
        reply(&mut req, &mut pipes, A, 0xe16b_457e, "re own");
        reply(&mut req, &mut pipes, A, 0xe16b_457d, "re 1");
        assert_eq!(pipes.take_told(), [ONE]);
        assert_eq!(recv_on(&mut req, &mut pipes, TWO).unwrap(), "re 2");
        assert_eq!(recv_on(&mut req, &mut pipes, ONE).unwrap(), "re 1");
        assert_eq!(recv(&mut req, &mut pipes).unwrap(), "re own");
        assert_eq!(recv_on(&mut req, &mut pipes, ONE), Err(Nothing::WrongState));
    }

    #[test]
    fn a_late_reply_reaches_no_branch() {
        let (mut req, mut pipes) = branched();
        send_on(&mut req, &mut pipes, ONE, "old");
        send_on(&mut req, &mut pipes, ONE, "new");
        send_on(&mut req, &mut pipes, TWO, "closed");
        req.remove(TWO);
        for id in [0xe16b_457d, 0xe16b_457f, 0xe16b_457d] {
            reply(&mut req, &mut pipes, A, id, "late");
        }
        assert!(pipes.take_told().is_empty());
        assert_eq!(recv_on(&mut req, &mut pipes, ONE), Err(Nothing::Yet));
        assert_eq!(recv_on(&mut req, &mut pipes, TWO), Err(Nothing::WrongState));
        reply(&mut req, &mut pipes, A, 0xe16b_457e, "in time");
        assert_eq!(recv_on(&mut req, &mut pipes, ONE).unwrap(), "in time");
    }

    #[test]
    fn requests_of_branches_wait_in_turn_and_go_on_when_a_service_leaves() {
        let (mut req, mut pipes) = (Req::new(SEED), FakePipes::default());
        [ONE, TWO].into_iter().for_each(|branch| req.add(branch));
        send_on(&mut req, &mut pipes, TWO, "2");
        send_on(&mut req, &mut pipes, ONE, "1");
        assert_eq!(req.next_timeout_of(ONE), None);
        pipes.connect(A);
        pipes.set_room(A, 1);
        req.add_pipe(A, Priorities::default()).unwrap();
        req.pipe_writable(A, &mut pipes);
        assert_eq!(pipes.sent_to(A), ["2"], "who waits longest is first");
        assert_eq!(pipes.take_told(), [TWO], "its time has changed");
        assert_eq!(req.next_timeout_of(TWO), Some(pipes.now() + MINUTE));
        pipes.set_room(A, 1);
        req.pipe_writable(A, &mut pipes);
        assert_eq!(pipes.sent_to(A), ["2", "1"]);
        connect(&mut req, &mut pipes, B);
        pipes.take_told();
        pipes.disconnect(A);
        req.pipe_ended(A, &mut pipes);
        assert_eq!(pipes.sent_to(B), ["1", "2"]);
        assert_eq!(pipes.take_told(), [ONE, TWO]);
        pipes.pass(MINUTE);
        req.timeout_of(TWO, &mut pipes);
        assert_eq!(pipes.sent_to(B), ["1", "2", "2"], "each by its own clock");
    }
}
