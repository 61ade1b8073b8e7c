//! What each type of socket does with its input, and when.
//!
//! The rhythm is that of libnanomsg's tool: an interval counts from the moment before a message is
//! sent; until it has passed, what arrives is shown, but after a time-out only time passes.

use super::arguments::{OnTimeout, Options, Patience};
use super::failure::Failure;
use super::input::{Input, Lines};
use super::rules::Kind;
use super::session::Session;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub fn run(options: &Options, input: Input, session: &Session) -> Result<(), Failure> {
    thread::sleep(options.delay);
    let role = Role { options, session };
    match (options.kind, input) {
        (Kind::Push | Kind::Pub, Input::Once(body)) => role.send_only(&body),
        (Kind::Push | Kind::Pub, Input::Lines(lines)) => role.send_lines(lines),
        (Kind::Pair | Kind::Bus, Input::Once(body)) => role.talk(&body),
        (Kind::Pair | Kind::Bus, Input::Lines(lines)) => role.talk_lines(lines),
        (Kind::Req | Kind::Surveyor, Input::Once(body)) => role.ask(&body),
        (Kind::Req | Kind::Surveyor, Input::Lines(lines)) => role.ask_lines(lines),
        (Kind::Rep | Kind::Respondent, Input::Once(body)) => role.answer(&body),
        (Kind::Rep | Kind::Respondent, Input::Lines(lines)) => role.answer_lines(lines),
        (_, Input::Nothing) | (Kind::Pull | Kind::Sub, _) => role.receive_only(),
    }
}

struct Role<'a> {
    options: &'a Options,
    session: &'a Session,
}

/// How a wait for a message has ended.
#[derive(Clone, Copy, PartialEq)]
enum Arrival {
    Shown,
    /// Nothing came in time, or there is nothing that could come.
    Missing,
}

impl Role<'_> {
    fn send_only(&self, body: &[u8]) -> Result<(), Failure> {
        loop {
            let begin = Instant::now();
            self.session.send(body)?;
            let Some(interval) = self.options.interval else { return Ok(()) };
            sleep_until(begin + interval);
        }
    }

    fn send_lines(&self, mut lines: Lines) -> Result<(), Failure> {
        while let Some((line, took)) = lines.next()? {
            let begin = Instant::now();
            self.session.send(&line)?;
            self.session.meter().has_consumed(took);
            if let Some(interval) = self.options.interval {
                sleep_until(begin + interval);
            }
        }
        Ok(())
    }

    fn receive_only(&self) -> Result<(), Failure> {
        while self.receive()? == Arrival::Shown {}
        self.end_of_silence()
    }

    fn talk(&self, body: &[u8]) -> Result<(), Failure> {
        loop {
            let begin = Instant::now();
            self.session.send(body)?;
            let Some(interval) = self.options.interval else { return self.receive_only() };
            self.collect(begin + interval)?;
        }
    }

    /// What arrives is shown while the next line is not there yet.
    fn talk_lines(&self, lines: Lines) -> Result<(), Failure> {
        let is_done = Arc::new(AtomicBool::new(false));
        let receiver = {
            let (session, is_done) = (self.session.clone(), is_done.clone());
            thread::spawn(move || receive_beside(&session, &is_done))
        };
        self.send_lines(lines)?;
        // Pairs with the loads in `receive_beside`.
        is_done.store(true, Ordering::SeqCst);
        receiver.join().expect("the receiver does not panic")?;
        self.end_of_silence()
    }

    fn ask(&self, body: &[u8]) -> Result<(), Failure> {
        loop {
            let begin = Instant::now();
            self.session.send(body)?;
            let Some(interval) = self.options.interval else {
                return match self.hear()? {
                    Arrival::Shown => Ok(()),
                    Arrival::Missing => self.time_out(),
                };
            };
            self.collect(begin + interval)?;
        }
    }

    fn ask_lines(&self, mut lines: Lines) -> Result<(), Failure> {
        let mut all = Arrival::Shown;
        while let Some((line, took)) = lines.next()? {
            let begin = Instant::now();
            self.session.send(&line)?;
            if let Some(interval) = self.options.interval {
                self.collect(begin + interval)?;
            } else if self.hear()? == Arrival::Missing {
                all = Arrival::Missing;
            }
            self.session.meter().has_consumed(took);
        }
        match all {
            Arrival::Shown => Ok(()),
            Arrival::Missing => self.time_out(),
        }
    }

    /// The reply to a request, or all that answer a survey.
    fn hear(&self) -> Result<Arrival, Failure> {
        let first = self.receive()?;
        if self.options.kind == Kind::Surveyor && first == Arrival::Shown {
            while self.receive()? == Arrival::Shown {}
        }
        Ok(first)
    }

    fn answer(&self, body: &[u8]) -> Result<(), Failure> {
        loop {
            self.receive_request()?;
            self.session.send(body)?;
        }
    }

    fn answer_lines(&self, mut lines: Lines) -> Result<(), Failure> {
        while let Some((line, took)) = lines.next()? {
            self.receive_request()?;
            self.session.send(&line)?;
            self.session.meter().has_consumed(took);
        }
        Ok(())
    }

    /// That nobody asks in time is a failure of the call, as it always was.
    fn receive_request(&self) -> Result<(), Failure> {
        let received = self.session.receive()?.map_err(Failure::call("receive"));
        received.and_then(|()| self.session.flush())
    }

    /// Shows what arrives until then.
    fn collect(&self, until: Instant) -> Result<(), Failure> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left < MILLISECOND {
                sleep_until(until);
                return Ok(());
            }
            let patience = match self.options.recv_timeout {
                Some(Patience::For(limit)) => limit.min(left),
                Some(Patience::Forever) | None => left,
            };
            self.session.set_recv_timeout(Patience::For(patience))?;
            if self.receive()? == Arrival::Missing {
                sleep_until(until);
                return Ok(());
            }
        }
    }

    fn receive(&self) -> Result<Arrival, Failure> {
        match self.session.receive()? {
            Ok(()) => Ok(Arrival::Shown),
            Err(number) if number.is_timeout() || number.is_wrong_state() => Ok(Arrival::Missing),
            Err(number) => Err(Failure::call("receive")(number)),
        }
    }

    /// Who receives until nothing more comes has waited in vain when nothing came at all.
    fn end_of_silence(&self) -> Result<(), Failure> {
        if self.session.meter().has_received_any() { Ok(()) } else { self.time_out() }
    }

    fn time_out(&self) -> Result<(), Failure> {
        match self.options.on_timeout {
            OnTimeout::End => Ok(()),
            OnTimeout::Fail => Err(Failure::TimedOut),
        }
    }
}

/// Receives until there is nothing more to be sent, and then until a time-out.
fn receive_beside(session: &Session, is_done: &AtomicBool) -> Result<(), Failure> {
    loop {
        // Pairs with the store in `talk_lines`. Asked before the wait, which is then a whole one.
        let is_last = is_done.load(Ordering::SeqCst);
        match session.receive()? {
            Err(number) if number.is_timeout() && is_last => return Ok(()),
            Err(number) if !number.is_timeout() => return Err(Failure::call("receive")(number)),
            Ok(()) | Err(_) => {}
        }
    }
}

fn sleep_until(moment: Instant) {
    thread::sleep(moment.saturating_duration_since(Instant::now()));
}

const MILLISECOND: Duration = Duration::from_millis(1);
