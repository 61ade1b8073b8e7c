//! Sending and receiving: try, wait, try again, on the caller's thread.

use std::mem;
use std::time::Instant;

use super::berth::Berth;
use super::deferred;
use super::pipe::Aftermath;
use super::probing;
use super::sleep::{self, Miss, Step, Turn};
use super::socket::Socket;
use crate::error::Error;
use crate::message::{Body, Message};
use crate::protocols::Nothing;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sys::{self, probe};
use crate::trace::{Happening, Reason};
use crate::transports::Connection;

/// Whether a call may wait.
#[derive(Clone, Copy)]
pub enum Blocking<'a> {
    Wait,
    /// The same, and there is memory for a big message.
    WaitWith(&'a Berth),
    DontWait,
    /// For as long as the other socket is of any use, whose companion this one is.
    /// And for as long as nobody has told to stop.
    Beside(&'a Socket, &'a AtomicBool),
}

impl<'a> Blocking<'a> {
    fn berth(self) -> Option<&'a Berth> {
        if let Blocking::WaitWith(berth) = self { Some(berth) } else { None }
    }

    /// What keeps the call from waiting now.
    fn hindrance(self) -> Option<Error> {
        match self {
            Blocking::Wait | Blocking::WaitWith(_) => None,
            Blocking::DontWait => Some(Error::WouldBlock),
            // Who closes it wakes its companions afterwards: what is not seen here ends the wait.
            Blocking::Beside(other, stop) => {
                (!other.is_usable() || stop.load(Ordering::Relaxed)).then_some(Error::NotOpen)
            }
        }
    }
}

/// What a look has found.
pub enum Now {
    Done,
    /// It has to be waited for.
    Later(Miss),
}

impl Socket {
    /// # Errors
    /// `NotSupported` when the type never sends.
    #[inline]
    pub fn check_can_send(&self) -> Result<(), Error> {
        if self.socket_type().can_send { Ok(()) } else { Err(Error::NotSupported) }
    }

    /// # Errors
    /// `NotSupported` when the type never receives.
    #[inline]
    pub fn check_can_recv(&self) -> Result<(), Error> {
        if self.socket_type().can_recv { Ok(()) } else { Err(Error::NotSupported) }
    }

    /// Takes `message` and sends it, if that can be done at once.
    ///
    /// # Errors
    /// When it is not sent, and waiting would not help or is not wanted.
    #[allow(clippy::inline_always, reason = "it is most of what a send does")]
    #[inline(always)]
    pub fn send_now(&self, message: &mut Message, blocking: Blocking<'_>) -> Result<Now, Error> {
        self.look_after_stock();
        if message.body.is_lent() {
            self.use_loan(&mut message.body, blocking)?;
        }
        let seen = self.waiting.send.epoch();
        match self.try_send(message) {
            Ok(()) => Ok(Now::Done),
            Err(error) => self.send_later(seen, error, message, blocking),
        }
    }

    /// Makes a copy of a body that is lent, unless a connection can do without: here, where nobody
    /// waits for a lock meanwhile. Who waits for as long as it takes stays with it for a moment.
    #[cold]
    fn use_loan(&self, body: &mut Body, blocking: Blocking<'_>) -> Result<(), Error> {
        let use_of = |connection: &dyn Connection| {
            let is_of_use = connection.takes_loans() || !connection.can_send();
            (is_of_use, !is_of_use || connection.reads_loans())
        };
        let mut may_stay = body.len() >= STAYS_AMONG_MANY_FROM;
        let (is_of_use, is_read_here) = if self.socket_type().hands_on {
            let state = self.joint.as_ref().map_or(self, |joint| &joint.trunk).lock();
            // Among many only the machine knows whose turn it is: it may be one that is read here.
            let only = state.pipes.only_live();
            may_stay |= only.is_some();
            only.map_or((true, true), |pipe| use_of(&*pipe.connection))
        } else {
            (false, true)
        };
        if is_read_here && !sys::is_mapped(body.as_slice()) {
            return Err(Error::BadPointer);
        }
        if !is_of_use {
            return Ok(body.own()?);
        }
        if may_stay
            && matches!(blocking, Blocking::Wait)
            && self.options().send_deadline().is_none()
        {
            body.let_stay();
        }
        Ok(())
    }

    /// What is to be done about a message that could not be sent at once, and why it could not.
    #[inline(never)]
    fn send_later(
        &self,
        seen: u32,
        error: Error,
        message: &Message,
        blocking: Blocking<'_>,
    ) -> Result<Now, Error> {
        if error != Error::WouldBlock {
            return Err(self.refuse(error, message));
        }
        match blocking.hindrance() {
            None => Ok(Now::Later(Miss { seen, until: None })),
            Some(error) => {
                deferred::write_out();
                sleep::settle();
                Err(self.refuse(error, message))
            }
        }
    }

    /// Takes `message` and sends it, unless that has to be waited for: for as long as the send
    /// timeout allows. Then the caller sleeps, and makes another step.
    ///
    /// # Errors
    /// When it is not sent; the message is not touched.
    pub fn send_step(
        &self,
        turn: &mut Turn,
        message: &mut Message,
        blocking: Blocking<'_>,
    ) -> Result<Step<()>, Error> {
        if let Some(risen) = turn.rise() {
            match risen.and_then(|risen| self.rise_to_send(risen)) {
                // There may be nobody to say so before.
                Err(Error::TimedOut) if !turn.is_over() => {}
                result => result.map_err(|error| self.refuse(error, message))?,
            }
        }
        loop {
            let miss = match turn.miss.take() {
                Some(miss) => miss,
                None => match self.send_now(message, blocking)? {
                    Now::Done => return Ok(Step::Done(())),
                    Now::Later(miss) => miss,
                },
            };
            if turn.is_over() {
                return Err(self.refuse(Error::TimedOut, message));
            }
            let deadline = turn.deadline(|| self.options().send_deadline());
            let step = self.lie_down_to_send(miss.seen, deadline, message.wire_len(), turn);
            if step.map_err(|error| self.refuse(error, message))? == Step::Sleep {
                return Ok(Step::Sleep);
            }
        }
    }

    /// The same, waiting in the call.
    ///
    /// # Errors
    /// When it is not sent; the message is not touched.
    pub fn send(&self, message: &mut Message, blocking: Blocking<'_>) -> Result<(), Error> {
        finish(|turn| self.send_step(turn, message, blocking))
    }

    /// The error with which a message is left to the caller.
    #[cold]
    fn refuse(&self, error: Error, message: &Message) -> Error {
        let size = message.body.len();
        let reason = Reason(error);
        probing::show(&probe::REFUSE, self.context.handle, size as i64, &reason);
        let details = format_args!("size={size} error={reason}");
        self.context.trace(Happening::SendRefused, details);
        error
    }

    /// Receives into `message`, if that can be done at once. `check` says whether the caller can
    /// take a body of that size; if not, the message is lost and not counted.
    ///
    /// # Errors
    /// When there is none, and waiting would not help or is not wanted; or that of `check`.
    #[inline]
    pub fn recv_now(
        &self,
        message: &mut Message,
        blocking: Blocking<'_>,
        check: impl Fn(usize) -> Result<(), Error>,
    ) -> Result<Now, Error> {
        self.look_after_stock();
        let seen = self.waiting.recv.epoch();
        match self.try_recv(message, &check) {
            Ok(()) => Ok(Now::Done),
            Err(missed) => self.look_further(seen, missed, message, blocking, &check),
        }
    }

    /// The same after a first look that has found nothing.
    #[inline(never)]
    fn look_further(
        &self,
        mut seen: u32,
        mut missed: Missed,
        message: &mut Message,
        blocking: Blocking<'_>,
        check: &impl Fn(usize) -> Result<(), Error>,
    ) -> Result<Now, Error> {
        let mut looks = 0..LOOKS_MAX;
        let error = loop {
            let until = match missed {
                Missed::Nothing { until } => until,
                Missed::Failed(error) => return Err(self.fail(error)),
            };
            match blocking.hindrance() {
                Some(error) => break error,
                None if looks.next().is_some()
                    && self.look_before_sleep(seen, blocking.berth()) => {}
                None => return Ok(Now::Later(Miss { seen, until })),
            }
            seen = self.waiting.recv.epoch();
            match self.try_recv(message, check) {
                Ok(()) => return Ok(Now::Done),
                Err(again) => missed = again,
            }
        };
        deferred::write_out();
        if error != Error::WouldBlock {
            return Err(self.fail(error));
        }
        // A caller who does not wait still gets what the kernel has for him.
        let has_news = self.pump_ready_streams(seen);
        let again = if has_news { self.try_recv(message, check) } else { NOTHING };
        again.map(|()| Now::Done).map_err(|missed| match missed {
            Missed::Nothing { .. } => Error::WouldBlock,
            Missed::Failed(error) => self.fail(error),
        })
    }

    /// Receives into `message`, unless that has to be waited for: for as long as the receive
    /// timeout allows. Then the caller sleeps, and makes another step.
    ///
    /// # Errors
    /// When there is none, or that of `check`.
    pub fn recv_step(
        &self,
        turn: &mut Turn,
        message: &mut Message,
        blocking: Blocking<'_>,
        check: impl Fn(usize) -> Result<(), Error>,
    ) -> Result<Step<()>, Error> {
        // It goes to somebody else when this call is done.
        let mut lead = None;
        let back = self.return_to_recv(turn).transpose().map_err(|error| self.fail(error))?;
        if back == Some(Step::Sleep) {
            return Ok(Step::Sleep);
        }
        let mut may_step_aside = back.is_none();
        if let Some(risen) = turn.rise() {
            match risen.and_then(|risen| self.rise_to_recv(risen, turn, blocking.berth())) {
                // The reactor says so, too, but there may be no reactor to be had.
                Err(Error::TimedOut) if !turn.is_over() => self.pass_timeout(),
                result => lead = result.map_err(|error| self.fail(error))?,
            }
        }
        loop {
            let miss = match turn.miss.take() {
                Some(miss) => miss,
                None => match self.recv_now(message, blocking, &check)? {
                    Now::Done => return Ok(Step::Done(())),
                    Now::Later(miss) => miss,
                },
            };
            if turn.is_over() {
                return Err(self.fail(Error::TimedOut));
            }
            let deadline = turn.deadline(|| self.options().recv_deadline());
            // Who leads goes on: else the next one would lead, give way, and so on.
            if mem::take(&mut may_step_aside) && lead.is_none() {
                let step = self.step_aside_to_recv(miss, turn);
                if step.map_err(|error| self.fail(error))? == Step::Sleep {
                    return Ok(Step::Sleep);
                }
            }
            let earliest = [deadline, miss.until].into_iter().flatten().min();
            let step = self.lie_down_to_recv(miss.seen, earliest, turn, lead.take());
            if step.map_err(|error| self.fail(error))? == Step::Sleep {
                return Ok(Step::Sleep);
            }
        }
    }

    /// The same, waiting in the call.
    ///
    /// # Errors
    /// When there is none, or that of `check`.
    pub fn recv(
        &self,
        message: &mut Message,
        blocking: Blocking<'_>,
        check: impl Fn(usize) -> Result<(), Error>,
    ) -> Result<(), Error> {
        finish(|turn| self.recv_step(turn, message, blocking, &check))
    }

    /// The error with which a receive ends.
    #[cold]
    fn fail(&self, error: Error) -> Error {
        self.context.trace(Happening::RecvFailed, format_args!("error={}", Reason(error)));
        error
    }

    #[allow(clippy::inline_always, reason = "it is most of what a send does")]
    #[inline(always)]
    fn try_send(&self, message: &mut Message) -> Result<(), Error> {
        let size = message.body.len() as u64;
        let mut aftermath = Aftermath::default();
        let (result, must_arm) = {
            let mut guard = self.lock();
            let state = &mut *guard;
            if !self.is_usable() {
                return Err(Error::NotOpen);
            }
            let (protocol, mut view) = state.parts(&self.context, &mut aftermath);
            let result = protocol.send(message, &mut view);
            if result.is_ok() {
                state.traffic.messages_sent += 1;
                state.traffic.bytes_sent += size;
                probe::sent::<_, { Socket::HANDLE }>(self, size);
            }
            self.show(state);
            (result, state.note_timeout())
        };
        self.shown.settle();
        let failure = aftermath.finish();
        mem::forget(aftermath);
        if must_arm {
            self.arm_timer();
        }
        if let Some(failure) = failure {
            return Err(self.take_back(failure, size));
        }
        Ok(result?)
    }

    /// A message was taken that is not sent after all, as with one that cannot be read.
    #[cold]
    fn take_back(&self, failure: Error, size: u64) -> Error {
        let mut state = self.lock();
        state.traffic.messages_sent -= 1;
        state.traffic.bytes_sent -= size;
        failure
    }

    /// Receives if there is something. If not, says until when waiting makes sense without news.
    #[allow(clippy::inline_always, reason = "it is most of what a receive does")]
    #[inline(always)]
    fn try_recv(
        &self,
        message: &mut Message,
        check: &impl Fn(usize) -> Result<(), Error>,
    ) -> Result<(), Missed> {
        loop {
            if let Some(result) = self.try_recv_once(message, check) {
                return result;
            }
        }
    }

    /// `None` when trying again at once may help.
    #[allow(clippy::inline_always, reason = "it is most of what a receive does")]
    #[inline(always)]
    fn try_recv_once(
        &self,
        message: &mut Message,
        check: &impl Fn(usize) -> Result<(), Error>,
    ) -> Option<Result<(), Missed>> {
        let mut aftermath = Aftermath::default();
        let (result, lighter) = {
            let mut guard = self.lock();
            let state = &mut *guard;
            if !self.is_usable() {
                return Some(Err(Missed::Failed(Error::NotOpen)));
            }
            let (protocol, mut view) = state.parts(&self.context, &mut aftermath);
            let received = protocol.recv(message, &mut view);
            let result = match received {
                Ok(()) => Some(check(message.body.len()).map_err(Missed::Failed)),
                Err(nothing) => Missed::from(nothing, protocol.next_timeout()).map(Err),
            };
            if matches!(result, Some(Ok(()))) {
                let size = message.body.len() as u64;
                state.traffic.messages_received += 1;
                state.traffic.bytes_received += size;
                probe::received::<_, { Socket::HANDLE }>(self, size);
            }
            state.remove_drained(&mut aftermath);
            (result, self.show(state))
        };
        self.settle_after_recv(lighter);
        let is_backlog_less = aftermath.is_backlog_less;
        aftermath.finish();
        mem::forget(aftermath);
        if is_backlog_less {
            self.retry_endpoints();
        }
        result
    }
}

/// Makes steps until the call is done, and sleeps in between.
pub(super) fn finish<T>(
    mut step: impl FnMut(&mut Turn) -> Result<Step<T>, Error>,
) -> Result<T, Error> {
    let mut turn = Turn::default();
    loop {
        match step(&mut turn)? {
            Step::Done(value) => return Ok(value),
            Step::Sleep => turn.sleep(),
        }
    }
}

/// For less, a sender who has several peers does not stay while one of them reads: the others may
/// have room for the next one.
const STAYS_AMONG_MANY_FROM: usize = 256 * 1024;
/// Where what arrives is never wanted, the caller's time runs out all the same.
const LOOKS_MAX: u32 = 16;
const NOTHING: Result<(), Missed> = Err(Missed::Nothing { until: None });

/// Why nothing was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missed {
    /// Nothing is there. Even if nothing comes, the protocol has something to say then.
    Nothing {
        until: Option<Instant>,
    },
    Failed(Error),
}

impl Missed {
    /// `None` when trying again at once may help.
    fn from(nothing: Nothing, until: Option<Instant>) -> Option<Missed> {
        match nothing {
            Nothing::Yet => Some(Missed::Nothing { until }),
            Nothing::Again => None,
            Nothing::WrongState => Some(Missed::Failed(Error::WrongState)),
            Nothing::Expired => Some(Missed::Failed(Error::TimedOut)),
            Nothing::Lost => Some(Missed::Failed(Error::PeerLost)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::fixtures::{
        FakeConnection, Opened, PUB, PULL, PUSH, REP, REQ, SUB, fresh_name, message, pairs, text,
    };
    use crate::core::options::option::{DROP, DROP_NOTHING, RECV_TIMEOUT, SEND_TIMEOUT};
    use crate::core::statistics::number::*;
    use crate::memory::without_memory;
    use crate::protocols::option::SUB_SUBSCRIBE;

    #[test]
    fn a_message_that_is_not_sent_is_still_there() {
        let socket = Opened::cooked(PUSH);
        let mut kept = message("keep me");
        assert_eq!(socket.get().send(&mut kept, Blocking::DontWait), Err(Error::WouldBlock));
        socket.set_int(&SEND_TIMEOUT, 0).unwrap();
        assert_eq!(socket.get().send(&mut kept, Blocking::Wait), Err(Error::TimedOut));
        assert_eq!(text(&kept), "keep me");
        assert_eq!(socket.statistic(MESSAGES_SENT), 0);
    }

    #[test]
    fn who_does_not_wait_or_waits_no_longer_gets_nothing() {
        let [one, _other] = pairs();
        assert_eq!(one.try_recv(), Err(Error::WouldBlock));
        one.set_int(&RECV_TIMEOUT, 0).unwrap();
        assert_eq!(one.recv(), Err(Error::TimedOut));
    }

    #[test]
    #[cfg_attr(miri, ignore = "opens sockets of the system")]
    fn where_nothing_is_dropped_nobody_gets_what_one_has_no_memory_for() {
        for address in [fresh_name(), "tcp://127.0.0.1:0".into(), "ws://127.0.0.1:0".into()] {
            let publisher = Opened::cooked(PUB);
            publisher.set_int(&DROP, DROP_NOTHING).unwrap();
            let address = publisher.address(publisher.bind(&address));
            let subscribers = [Opened::cooked(SUB), Opened::cooked(SUB)];
            for (subscriber, count) in subscribers.iter().zip(1..) {
                subscriber.get().set_option(SUB, SUB_SUBSCRIBE, Some(b"")).unwrap();
                subscriber.connect(&address);
                while publisher.statistic(CONNECTIONS) < count {
                    std::thread::yield_now();
                }
                if count == 1 {
                    // From now on it has memory for small ones.
                    publisher.send("a").unwrap();
                    assert_eq!(subscriber.recv(), Ok("a".into()));
                }
            }
            let (mut message, socket) = (message("x"), publisher.get());
            let mut sent = Err(Error::WouldBlock);
            while sent == Err(Error::WouldBlock) {
                sent = without_memory(|| socket.send(&mut message, Blocking::DontWait));
            }
            assert_eq!(sent, Err(Error::OutOfMemory), "{address}");
            publisher.send("b").unwrap();
            for subscriber in &subscribers {
                assert_eq!(subscriber.recv(), Ok("b".into()), "{address}");
            }
            assert_eq!(publisher.statistic(MESSAGES_SENT), 2);
        }
    }

    #[test]
    fn directions_that_a_type_lacks_are_not_supported() {
        let (push, pull) = (Opened::cooked(PUSH), Opened::cooked(PULL));
        assert_eq!(push.get().check_can_recv(), Err(Error::NotSupported));
        assert_eq!(pull.get().check_can_send(), Err(Error::NotSupported));
        assert_eq!(push.get().check_can_send(), Ok(()));
        assert_eq!(pull.get().check_can_recv(), Ok(()));
    }

    #[test]
    fn what_is_out_of_turn_fails_at_once() {
        let (req, rep) = (Opened::cooked(REQ), Opened::cooked(REP));
        assert_eq!(req.recv(), Err(Error::WrongState));
        assert_eq!(rep.send("nobody asked"), Err(Error::WrongState));
    }

    #[test]
    fn messages_and_bytes_are_counted_on_both_sides() {
        let [one, other] = pairs();
        for text in ["", "four", "eleven long"] {
            one.send(text).unwrap();
            assert_eq!(other.recv(), Ok(text.into()));
        }
        let counts = |socket: &Opened| {
            [MESSAGES_SENT, BYTES_SENT, MESSAGES_RECEIVED, BYTES_RECEIVED]
                .map(|id| socket.statistic(id))
        };
        assert_eq!(counts(&one), [3, 15, 0, 0]);
        assert_eq!(counts(&other), [0, 0, 3, 15]);
    }

    #[test]
    fn a_body_that_the_caller_cannot_take_is_lost_and_not_counted() {
        let [one, other] = pairs();
        one.send("too long for him").unwrap();
        one.send("short").unwrap();
        let check = |size| if size > 5 { Err(Error::TooLong) } else { Ok(()) };
        let recv = || {
            let mut message = Message::default();
            other.get().recv(&mut message, Blocking::DontWait, check).map(|()| text(&message))
        };
        assert_eq!(recv(), Err(Error::TooLong));
        assert_eq!(recv(), Ok("short".into()));
        assert_eq!(other.statistic(MESSAGES_RECEIVED), 1);
    }

    /// The machine lets others have the lock from time to time; the caller does not notice.
    #[test]
    fn one_call_passes_over_any_number_of_messages_that_nobody_wants() {
        let sub = Opened::cooked(SUB);
        sub.get().set_option(SUB, SUB_SUBSCRIBE, Some(b"yes")).unwrap();
        let connection = FakeConnection::with_room(0);
        let endpoint = sub.bind(&fresh_name());
        sub.attach(endpoint, &connection).unwrap();
        (0..1000).for_each(|_| connection.arrive("no"));
        connection.arrive("yes");
        assert_eq!(sub.try_recv(), Ok("yes".into()));
        assert_eq!(sub.try_recv(), Err(Error::WouldBlock));
    }

    #[test]
    fn who_waits_beside_a_socket_does_not_outlast_it() {
        let [one, other] = pairs();
        let mut message = Message::default();
        let beside = other.get();
        beside.take_out_of_service();
        let received = one.get().recv(
            &mut message,
            Blocking::Beside(&beside, &AtomicBool::new(false)),
            |_| Ok(()),
        );
        assert_eq!(received, Err(Error::NotOpen));
    }

    #[test]
    fn who_waits_gets_what_another_thread_sends() {
        let [one, other] = pairs();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| other.recv());
            one.send("at last").unwrap();
            assert_eq!(waiting.join().unwrap(), Ok("at last".into()));
        });
    }
}
