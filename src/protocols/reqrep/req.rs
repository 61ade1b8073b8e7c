//! REQ: one request at a time, sent again until its reply is there (protocols 4).

use std::time::{Duration, Instant};

use crate::error::Error;
use crate::message::Message;
use crate::protocols::backtrace::{header_of, next_id, split_answer};
use crate::protocols::routing::LoadBalancer;
use crate::protocols::{
    Nothing, PipeId, Pipes, Priorities, Protocol, Readiness, Refusal, Rejected, Seed, SendPriority,
    int, milliseconds, option,
};

#[derive(Debug)]
pub struct Req {
    services: LoadBalancer,
    /// Of the last request.
    id: u32,
    exchange: Exchange,
    /// Milliseconds; the timer does not run when it is not positive.
    resend_interval: i32,
    on_loss: OnLoss,
    /// Whose end will be told next, because he broke the rules.
    violator: Option<PipeId>,
    /// How often in a row who was asked broke the rules, instead of a reply.
    futile: u32,
}

/// How a peer has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Parting {
    Plain,
    Violation,
}

/// What becomes of a request when who was asked has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OnLoss {
    Fail = 0,
    Resend = 1,
}

#[derive(Debug, Default)]
enum Exchange {
    #[default]
    Idle,
    /// Nobody could take the request yet, or again.
    Unsent {
        request: Message,
        /// When there may be memory for it, if that was why.
        retry_at: Option<Instant>,
    },
    Asked {
        request: Message,
        of: PipeId,
        resend_at: Option<Instant>,
    },
    /// Who was asked broke the rules, and not for the first time: a reply that is too large will
    /// not be smaller the next time.
    Resting {
        request: Message,
        until: Instant,
    },
    Answered {
        reply: Message,
    },
    /// Who was asked has gone, and nobody else is to be asked. Said once.
    Lost,
}

impl Req {
    #[must_use]
    pub fn new(seed: Seed) -> Req {
        Req {
            services: LoadBalancer::default(),
            id: seed.random,
            exchange: Exchange::Idle,
            resend_interval: RESEND_INTERVAL,
            on_loss: OnLoss::Resend,
            violator: None,
            futile: 0,
        }
    }

    /// Sends the request to the next service that can take it, or keeps it until one can.
    fn ask(&mut self, mut request: Message, pipes: &mut dyn Pipes) {
        let sent = match request.share() {
            Ok(mut copy) => self.services.send(&mut copy, pipes),
            Err(_) => Err(Refusal::Busy),
        };
        self.exchange = match sent {
            Ok(of) => {
                let resend_at = self.interval().map(|interval| pipes.now() + interval);
                Exchange::Asked { request, of, resend_at }
            }
            // Nobody will say that he can take it who could all the time.
            Err(_) => {
                let retry = self.services.is_writable().then_some(RETRY_INTERVAL);
                Exchange::Unsent { request, retry_at: retry.map(|delay| pipes.now() + delay) }
            }
        };
    }

    /// Asks again when who was asked has gone: at once, unless that has been of no use before.
    fn ask_again(&mut self, request: Message, how: Parting, pipes: &mut dyn Pipes) {
        match how {
            Parting::Plain => self.futile = 0,
            Parting::Violation => self.futile = self.futile.saturating_add(1),
        }
        let Some(doublings) = self.futile.checked_sub(2) else {
            return self.ask(request, pipes);
        };
        let rest = RETRY_INTERVAL.saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX));
        let rest = rest.min(self.interval().unwrap_or(REST_MAX));
        self.exchange = Exchange::Resting { request, until: pipes.now() + rest };
    }

    fn interval(&self) -> Option<Duration> {
        let ms = u64::try_from(self.resend_interval).ok().filter(|ms| *ms > 0)?;
        Some(Duration::from_millis(ms))
    }

    /// Takes everything that the pipe holds: the first reply to the request counts, whoever it
    /// comes from; all else is late, doubled, or no reply at all.
    fn look_for_reply(&mut self, pipe: PipeId, pipes: &mut dyn Pipes) {
        let mut message = Message::default();
        while pipes.recv(pipe, &mut message) {
            let is_reply = split_answer(&mut message) == Ok(self.id);
            let message = std::mem::take(&mut message);
            match self.exchange {
                Exchange::Unsent { .. } | Exchange::Asked { .. } | Exchange::Resting { .. }
                    if is_reply =>
                {
                    self.exchange = Exchange::Answered { reply: message };
                }
                _ => {}
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
        match std::mem::take(&mut self.exchange) {
            Exchange::Unsent { request, .. } => self.ask(request, pipes),
            other => self.exchange = other,
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
        match std::mem::take(&mut self.exchange) {
            Exchange::Asked { request, of, .. } if of == pipe => match self.on_loss {
                OnLoss::Resend => self.ask_again(request, how, pipes),
                OnLoss::Fail => self.exchange = Exchange::Lost,
            },
            other => self.exchange = other,
        }
    }

    fn remove_pipe(&mut self, _pipe: PipeId) {}

    fn send(&mut self, message: &mut Message, pipes: &mut dyn Pipes) -> Result<(), Refusal> {
        if !message.header.is_empty() {
            return Err(Refusal::Header);
        }
        self.id = next_id(self.id);
        message.header = header_of(self.id);
        // Whatever was asked before is given up.
        self.futile = 0;
        self.ask(std::mem::take(message), pipes);
        Ok(())
    }

    fn recv(&mut self, message: &mut Message, _pipes: &mut dyn Pipes) -> Result<(), Nothing> {
        match std::mem::take(&mut self.exchange) {
            Exchange::Answered { reply } => {
                *message = reply;
                message.header = crate::message::Header::default();
                Ok(())
            }
            Exchange::Idle => Err(Nothing::WrongState),
            Exchange::Lost => Err(Nothing::Lost),
            other => {
                self.exchange = other;
                Err(Nothing::Yet)
            }
        }
    }

    fn readiness(&self, _pipes: &dyn Pipes) -> Readiness {
        // That a request is lost is told by receiving: who polls is to learn of it.
        let can_recv = matches!(self.exchange, Exchange::Answered { .. } | Exchange::Lost);
        Readiness { can_send: true, can_recv }
    }

    fn next_timeout(&self) -> Option<Instant> {
        match self.exchange {
            Exchange::Asked { resend_at: at, .. } | Exchange::Unsent { retry_at: at, .. } => at,
            Exchange::Resting { until, .. } => Some(until),
            Exchange::Idle | Exchange::Answered { .. } | Exchange::Lost => None,
        }
    }

    fn timeout(&mut self, pipes: &mut dyn Pipes) {
        let now = pipes.now();
        match std::mem::take(&mut self.exchange) {
            Exchange::Asked { request, resend_at: Some(at), .. }
            | Exchange::Unsent { request, retry_at: Some(at) }
            | Exchange::Resting { request, until: at }
                if at <= now =>
            {
                self.ask(request, pipes);
            }
            other => self.exchange = other,
        }
    }

    fn set_option(&mut self, number: i32, value: Option<&[u8]>) -> Result<(), Error> {
        match number {
            option::REQ_RESEND_INTERVAL => self.resend_interval = milliseconds(value)?,
            option::REQ_RESEND_ON_LOSS => {
                self.on_loss = match int(value)? {
                    0 => OnLoss::Fail,
                    1 => OnLoss::Resend,
                    _ => return Err(Error::Invalid),
                }
            }
            _ => return Err(Error::UnknownOption),
        }
        Ok(())
    }

    fn option(&self, number: i32) -> Result<i32, Error> {
        match number {
            option::REQ_RESEND_INTERVAL => Ok(self.resend_interval),
            option::REQ_RESEND_ON_LOSS => Ok(self.on_loss as i32),
            _ => Err(Error::UnknownOption),
        }
    }

    fn send_priority(&self) -> SendPriority {
        self.services.send_priority()
    }
}

const RESEND_INTERVAL: i32 = 60_000;
/// Before a request that found no memory is tried again.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);
/// How long a request is not sent again at most, without an interval.
const REST_MAX: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
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
        let id = req.id;
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
        let id = req.id;
        for (id, text) in [(id ^ 1, "bad"), (id & 0x7fff_ffff, "bad"), (5, "bad"), (id, "a")] {
            reply(&mut req, &mut pipes, A, id, text);
        }
        for (id, text) in [(id, "second"), (id ^ 1, "bad")] {
            reply(&mut req, &mut pipes, B, id, text);
        }
        pipes.arrive_bytes(A, b"abc");
        req.pipe_readable(A, &mut pipes);
        assert_eq!(recv(&mut req, &mut pipes).unwrap(), "a");
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
        let id = req.id;
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
        assert!(matches!(req.exchange, Exchange::Resting { .. }));
        let id = req.id;
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
        let id = req.id;
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
        let id = req.id;
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
}
