//! Waiting for several sockets at once.
//!
//! What is known to be ready costs no system call. Else the waiting thread leads every socket that
//! it wants to receive from, as a caller in a receive does, and sleeps in one poll(2) on their
//! pollers: nothing is handed from thread to thread. Where somebody leads already, and where room
//! for sending is awaited, it waits for the descriptor that shows the readiness.

use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

use super::deferred;
use super::pipe::Aftermath;
use super::readiness::Side;
use super::socket::Socket;
use crate::error::Error;
use crate::protocols::Readiness;
use crate::sys::{self, EventBuffer, WaitFor};

/// A socket, and what is asked of it. The same one may be asked several times.
pub struct Question<'a> {
    pub socket: &'a Socket,
    pub wanted: Readiness,
}

/// Waits until one of the sockets can do what is asked for, or until the timeout; `None` waits for
/// ever. Says of each what it can do of that.
///
/// # Errors
/// `NotOpen` when one of them is closed meanwhile, `Interrupted`.
pub fn poll(
    questions: &[Question<'_>],
    timeout: Option<Duration>,
) -> Result<Vec<Readiness>, Error> {
    deferred::write_out();
    // What lies beyond the clock's end is for ever.
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let mut has_looked = false;
    loop {
        let seen: Vec<_> = questions.iter().map(|one| one.socket.waiting.recv.epoch()).collect();
        let answers = questions.iter().map(Question::answer).collect::<Result<Vec<_>, _>>()?;
        let is_any_ready = answers.iter().any(|answer| answer.readiness.is_any());
        let mut pairs = questions.iter().zip(&answers);
        let is_all_ready = pairs.all(|(question, answer)| answer.readiness == question.wanted);
        let is_over = deadline.is_some_and(|at| Instant::now() >= at);
        // Who polls for something that is always so, again and again, must find out about the rest,
        // too: what the kernel holds is looked for, unless nothing more can be found.
        if (has_looked && (is_any_ready || is_over)) || (is_all_ready && !questions.is_empty()) {
            return Ok(answers.into_iter().map(|answer| answer.readiness).collect());
        }
        has_looked = true;
        let until = answers.iter().filter_map(|answer| answer.until).chain(deadline).min();
        let left = until.map(|at| at.saturating_duration_since(Instant::now()));
        let left = if is_any_ready { Some(Duration::ZERO) } else { left };
        Vigil::begin(questions, &seen).wait(left)?;
        for (question, answer) in questions.iter().zip(&answers) {
            if answer.until.is_some_and(|at| at <= Instant::now()) {
                question.socket.pass_timeout();
            }
        }
    }
}

/// What a socket says without a system call.
struct Answer {
    readiness: Readiness,
    /// When its protocol has something to say even if nothing happens.
    until: Option<Instant>,
}

impl Question<'_> {
    fn answer(&self) -> Result<Answer, Error> {
        let mut state = self.socket.lock();
        if !self.socket.is_usable() {
            return Err(Error::NotOpen);
        }
        let mut aftermath = Aftermath::default();
        let (protocol, view) = state.parts(self.socket.options(), &mut aftermath);
        let readiness = protocol.readiness(&view) & self.wanted;
        Ok(Answer { readiness, until: protocol.next_timeout() })
    }
}

impl Readiness {
    fn is_any(self) -> bool {
        self.can_send || self.can_recv
    }
}

impl std::ops::BitAnd for Readiness {
    type Output = Readiness;

    fn bitand(self, other: Readiness) -> Readiness {
        Readiness {
            can_send: self.can_send && other.can_send,
            can_recv: self.can_recv && other.can_recv,
        }
    }
}

/// One sleep, in front of all the sockets.
struct Vigil<'a> {
    descriptors: Vec<RawFd>,
    /// The sockets whose streams this thread drives meanwhile, in the order of the descriptors that
    /// come first.
    led: Vec<&'a Socket>,
    /// Something has happened since the look, or no descriptor can be had to sleep on.
    pause_max: Option<Duration>,
}

impl<'a> Vigil<'a> {
    /// Takes the lead where it can be had.
    fn begin(questions: &[Question<'a>], seen: &[u32]) -> Vigil<'a> {
        let mut vigil = Vigil { descriptors: Vec::new(), led: Vec::new(), pause_max: None };
        let mut shown = Vec::new();
        for (question, seen) in questions.iter().zip(seen) {
            let socket = question.socket;
            if question.wanted.can_recv && !vigil.lead(socket, *seen) {
                shown.push(socket.readiness_descriptor(Side::Recv));
            }
            if question.wanted.can_send {
                shown.push(socket.readiness_descriptor(Side::Send));
            }
        }
        for descriptor in shown {
            match descriptor {
                Ok(descriptor) => vigil.descriptors.push(descriptor),
                Err(_) => vigil.pause_max = vigil.pause_max.or(Some(LOOK_AGAIN)),
            }
        }
        vigil
    }

    /// False when somebody else leads.
    fn lead(&mut self, socket: &'a Socket, seen: u32) -> bool {
        let handover = &socket.waiting.recv.handover;
        if !handover.try_lead() {
            return self.led.iter().any(|led| std::ptr::eq(*led, socket));
        }
        let Ok(poller) = socket.poller() else {
            socket.waiting.recv.resign();
            return false;
        };
        if !handover.begin_polling(seen) {
            self.pause_max = Some(Duration::ZERO);
        }
        self.descriptors.push(poller.as_raw_fd());
        self.led.push(socket);
        true
    }

    fn wait(mut self, timeout: Option<Duration>) -> Result<(), Error> {
        let timeout = match (self.pause_max, timeout) {
            (Some(pause), Some(timeout)) => Some(pause.min(timeout)),
            (pause, timeout) => pause.or(timeout),
        };
        let waits = self.descriptors.iter().map(|descriptor| (*descriptor, WaitFor::Readable));
        let result = sys::poll(waits, timeout);
        // Before reading: what this thread reads is no news that it must be woken for.
        self.led.iter().for_each(|socket| socket.waiting.recv.handover.end_polling());
        match result {
            Ok(ready) => {
                self.pump(&ready);
                Ok(())
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {
                Err(Error::Interrupted)
            }
            // Anything else cannot be helped here; the caller looks again, and not too often.
            Err(_) => {
                self.pump(&[]);
                std::thread::sleep(LOOK_AGAIN);
                Ok(())
            }
        }
    }

    fn pump(&mut self, ready: &[usize]) {
        let mut events = EventBuffer::default();
        for socket in ready.iter().filter_map(|place| self.led.get(*place)) {
            if let Ok(poller) = socket.poller() {
                socket.pump_ready(poller, &mut events);
            }
        }
    }
}

impl Drop for Vigil<'_> {
    fn drop(&mut self) {
        for socket in &self.led {
            socket.waiting.recv.handover.end_polling();
            socket.waiting.recv.resign();
        }
    }
}

const LOOK_AGAIN: Duration = Duration::from_millis(10);
