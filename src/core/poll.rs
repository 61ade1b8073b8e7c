//! Waiting for several sockets at once.
//!
//! What is known to be ready costs no system call. Else the waiting thread leads every socket that
//! it wants to receive from, as a caller in a receive does, and sleeps in one poll(2) on their
//! pollers: nothing is handed from thread to thread. Where somebody leads already, and where room
//! for sending is awaited, it waits for the descriptor that shows the readiness.

use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use super::deferred;
use super::pipe::Aftermath;
use super::readiness::Side;
use super::sleep::{self, Bed, Duty, Led, Risen, Step, Turn};
use super::socket::{Joint, Socket};
use crate::error::Error;
use crate::memory::{self, OutOfMemory};
use crate::protocols::Readiness;
use crate::sync::thread;
use crate::sys::{self, EventBuffer, PollEntry, Slept, WaitFor, cancellation};

/// A socket, and what is asked of it. The same one may be asked several times.
pub struct Question<'a> {
    pub socket: &'a Socket,
    pub wanted: Readiness,
}

/// A wait for several sockets.
#[derive(Default)]
pub struct Polling {
    has_looked: bool,
}

impl Polling {
    /// Says of each socket what it can do of what is asked for, unless nothing can be done and it
    /// is not yet the time to give up; `None` waits for ever. Then the caller sleeps, and makes
    /// another step with the same questions.
    ///
    /// # Errors
    /// `NotOpen` when one of them is closed meanwhile, `Interrupted`.
    pub fn step(
        &mut self,
        turn: &mut Turn,
        questions: &[Question<'_>],
        timeout: Option<Duration>,
    ) -> Result<Step<Vec<Readiness>>, Error> {
        match turn.rise() {
            Some(risen) => rise(risen?)?,
            None => deferred::write_out(),
        }
        // What lies beyond the clock's end is for ever.
        let deadline =
            turn.deadline(|| timeout.and_then(|timeout| sys::now().checked_add(timeout)));
        if !self.has_looked {
            questions.iter().filter_map(|one| one.socket.joint.as_deref()).for_each(Joint::read);
        }
        let epochs = questions.iter().map(|one| one.socket.waiting.recv.epoch());
        let seen = memory::collect(epochs)?;
        let answers = memory::collect_all(questions.iter().map(Question::answer))?;
        let is_any_ready = answers.iter().any(|answer| answer.readiness.is_any());
        let mut pairs = questions.iter().zip(&answers);
        let is_all_ready = pairs.all(|(question, answer)| answer.readiness == question.wanted);
        // Who polls for something that is always so, again and again, must find out about the rest,
        // too: what the kernel holds is looked for, unless nothing more can be found.
        let has_seen_all = self.has_looked && (is_any_ready || turn.is_over());
        if has_seen_all || (is_all_ready && !questions.is_empty()) {
            let found = memory::collect(answers.into_iter().map(|answer| answer.readiness))?;
            return Ok(Step::Done(found));
        }
        self.has_looked = true;
        for (question, answer) in questions.iter().zip(&answers) {
            if answer.until.is_some_and(|at| at <= sys::now()) {
                question.socket.pass_timeout();
            }
        }
        let until = answers.iter().filter_map(|answer| answer.until).chain(deadline).min();
        let until = if is_any_ready { Some(sys::now()) } else { until };
        Vigil::begin(questions, &seen)?.lie_down(turn, until);
        Ok(Step::Sleep)
    }
}

/// Waits until one of the sockets can do what is asked for, or until the timeout.
///
/// # Errors
/// `NotOpen` when one of them is closed meanwhile, `Interrupted`.
#[cfg(test)]
pub fn poll(
    questions: &[Question<'_>],
    timeout: Option<Duration>,
) -> Result<Vec<Readiness>, Error> {
    let mut polling = Polling::default();
    super::transfer::finish(|turn| polling.step(turn, questions, timeout))
}

/// What a socket says without a system call.
pub(super) struct Answer {
    pub readiness: Readiness,
    /// When its protocol has something to say even if nothing happens.
    pub until: Option<Instant>,
}

impl Question<'_> {
    pub(super) fn answer(&self) -> Result<Answer, Error> {
        self.socket.contain(|| self.look()).unwrap_or(Err(Error::NotOpen))
    }

    fn look(&self) -> Result<Answer, Error> {
        let mut state = self.socket.lock();
        if !self.socket.is_usable() {
            return Err(Error::NotOpen);
        }
        let mut aftermath = Aftermath::default();
        let (protocol, view) = state.parts(&self.socket.context, &mut aftermath);
        let readiness = protocol.readiness(&view) & self.wanted;
        Ok(Answer { readiness, until: protocol.next_timeout() })
    }
}

impl Readiness {
    pub(super) fn is_any(self) -> bool {
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
struct Vigil {
    /// Those of the sockets that are led come first, in the same order.
    entries: Vec<PollEntry>,
    /// The sockets whose streams this thread drives meanwhile.
    led: Vec<Led>,
    /// Something has happened since the look, or no descriptor can be had to sleep on.
    pause_max: Option<Duration>,
}

impl Vigil {
    /// Takes the lead where it can be had.
    fn begin(questions: &[Question<'_>], seen: &[u32]) -> Result<Vigil, OutOfMemory> {
        sleep::settle();
        let mut vigil = Vigil { entries: Vec::new(), led: Vec::new(), pause_max: None };
        let mut shown = Vec::new();
        // Before anything is begun: who leads must not fail.
        memory::reserve_exact(&mut vigil.entries, 2 * questions.len())?;
        memory::reserve_exact(&mut vigil.led, questions.len())?;
        memory::reserve_exact(&mut shown, 2 * questions.len())?;
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
                Ok(descriptor) => {
                    vigil.entries.push(PollEntry::new(descriptor, WaitFor::Readable));
                }
                Err(_) => vigil.pause_max = vigil.pause_max.or(Some(LOOK_AGAIN)),
            }
        }
        Ok(vigil)
    }

    /// False when somebody else leads.
    fn lead(&mut self, socket: &Socket, seen: u32) -> bool {
        // Who leads all branches of a trunk would have to be woken for each of them.
        if socket.joint.is_some() {
            return false;
        }
        let handover = &socket.waiting.recv.handover;
        if !handover.try_lead() {
            return self.led.iter().any(|Led(led)| std::ptr::eq(&**led, socket));
        }
        let Some(led) = socket.me.upgrade().map(Led) else { return false };
        let Ok(poller) = socket.poller() else { return false };
        if !handover.begin_polling(seen) {
            self.pause_max = Some(Duration::ZERO);
        }
        self.entries.push(PollEntry::new(poller.as_raw_fd(), WaitFor::Readable));
        self.led.push(led);
        true
    }

    fn lie_down(self, turn: &mut Turn, until: Option<Instant>) {
        let pause = self.pause_max.map(|pause| sys::now() + pause);
        let until = [until, pause].into_iter().flatten().min();
        let duty = Duty::Watch { led: self.led };
        turn.lie_down(duty, Bed::Descriptors { entries: self.entries, seen: 0 }, None, until);
    }
}

/// Gets up from a vigil.
fn rise(risen: Risen) -> Result<(), Error> {
    let Risen { duty, bed, slept } = risen;
    if slept == Slept::Interrupted {
        return Err(Error::Interrupted);
    }
    if let (Duty::Watch { led }, Bed::Descriptors { entries, .. }) = (&duty, &bed) {
        let mut events = EventBuffer::default();
        for (Led(socket), _) in led.iter().zip(entries).filter(|(_, entry)| entry.is_ready()) {
            if let Ok(poller) = socket.poller() {
                socket.pump_ready(poller, &mut events);
            }
        }
    }
    drop(duty);
    if slept == Slept::Failed {
        // It cannot be helped here; the caller looks again, and not too often.
        cancellation::held(|| thread::sleep(LOOK_AGAIN));
    }
    Ok(())
}

const LOOK_AGAIN: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;
    use crate::core::joined::{BOTH, By, EITHER, NOTHING, NOW, Opened, RECV, SEND, until};
    use crate::sys::interrupted;

    fn ask(
        questions: &[(&Opened, Readiness)],
        timeout: Option<Duration>,
    ) -> Result<Vec<Readiness>, Error> {
        let sockets: Vec<_> = questions.iter().map(|(opened, _)| opened.socket()).collect();
        let questions = sockets.iter().zip(questions);
        let questions: Vec<_> =
            questions.map(|(socket, (_, wanted))| Question { socket, wanted: *wanted }).collect();
        let answers = poll(&questions, timeout);
        // Nobody is left in the lead.
        assert!(sockets.iter().all(|socket| !socket.waiting.recv.is_led()));
        answers
    }

    #[test]
    fn says_of_each_what_it_can_do() {
        for by in BOTH {
            let [one, other] = Opened::pair(by);
            let lonely = Opened::new(crate::core::joined::PAIR);
            let all = [(&one, EITHER), (&other, EITHER), (&lonely, EITHER)];
            assert_eq!(ask(&all, NOW), Ok(vec![SEND, SEND, NOTHING]));
            one.send("x").unwrap();
            assert_eq!(ask(&[(&other, RECV)], None), Ok(vec![RECV]));
            assert_eq!(ask(&all, NOW), Ok(vec![SEND, EITHER, NOTHING]));
            other.recv().unwrap();
            assert_eq!(ask(&all, NOW), Ok(vec![SEND, SEND, NOTHING]));
        }
    }

    #[test]
    fn waits_for_the_first_of_several() {
        let pairs = BOTH.map(Opened::pair);
        for sender in [0, 1, 0] {
            thread::scope(|scope| {
                let all = [(&pairs[0][0], RECV), (&pairs[1][0], RECV)];
                let poller = scope.spawn(move || ask(&all, None));
                until(|| pairs[0][0].socket().waiting.recv.is_led());
                pairs[sender][1].send("x").unwrap();
                let mut expected = [NOTHING; 2];
                expected[sender] = RECV;
                assert_eq!(poller.join().unwrap().as_deref(), Ok(&expected[..]));
                pairs[sender][0].recv().unwrap();
            });
        }
    }

    #[test]
    fn the_same_socket_may_be_asked_twice() {
        for by in BOTH {
            let [own, peer] = Opened::pair(by);
            let twice = [(&own, RECV), (&own, EITHER), (&own, RECV)];
            assert_eq!(ask(&twice, NOW), Ok(vec![NOTHING, SEND, NOTHING]));
            thread::scope(|scope| {
                let poller = scope.spawn(|| ask(&[(&own, RECV), (&own, RECV)], None));
                until(|| own.socket().waiting.recv.is_led());
                peer.send("x").unwrap();
                assert_eq!(poller.join().unwrap(), Ok(vec![RECV, RECV]));
            });
            assert_eq!(ask(&twice, None), Ok(vec![RECV, EITHER, RECV]));
        }
    }

    #[test]
    fn one_who_receives_in_another_thread_leads_and_the_poll_sees_what_is_left() {
        let [own, peer] = Opened::pair(By::Stream);
        thread::scope(|scope| {
            let receiver = scope.spawn(|| own.recv());
            until(|| own.socket().waiting.recv.is_led());
            let poller = scope.spawn(|| {
                let socket = own.socket();
                poll(&[Question { socket: &socket, wanted: RECV }], None)
            });
            until(|| own.socket().shown.is_watched());
            peer.send("one").unwrap();
            peer.send("two").unwrap();
            assert_eq!(receiver.join().unwrap().as_deref(), Ok("one"));
            assert_eq!(poller.join().unwrap(), Ok(vec![RECV]));
        });
        assert_eq!(own.recv().as_deref(), Ok("two"));
    }

    #[test]
    fn a_socket_that_is_closed_meanwhile_ends_the_poll() {
        for by in BOTH {
            let ([own, _peer], [other, _its_peer]) = (Opened::pair(by), Opened::pair(by));
            thread::scope(|scope| {
                let poller = scope.spawn(|| {
                    let sockets = [other.socket(), own.socket()];
                    let ask = |socket| Question { socket, wanted: RECV };
                    poll(&[ask(&sockets[0]), ask(&sockets[1])], None)
                });
                until(|| own.socket().waiting.recv.is_led());
                own.close();
                assert_eq!(poller.join().unwrap(), Err(Error::NotOpen));
            });
            assert!(!other.socket().waiting.recv.is_led());
        }
    }

    #[test]
    fn no_timeout_is_early() {
        for by in BOTH {
            let [own, _peer] = Opened::pair(by);
            let (began, timeout) = (Instant::now(), Duration::from_micros(1500));
            assert_eq!(ask(&[(&own, RECV)], Some(timeout)), Ok(vec![NOTHING]));
            assert!(began.elapsed() >= timeout);
        }
        assert_eq!(ask(&[], NOW), Ok(vec![]));
    }

    #[test]
    fn a_signal_interrupts() {
        for by in BOTH {
            let pair = Arc::new(Opened::pair(by));
            let polled = Arc::clone(&pair);
            let result = interrupted(move || ask(&[(&polled[0], RECV)], None));
            assert_eq!(result, Err(Error::Interrupted));
        }
    }
}
