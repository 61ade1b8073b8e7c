//! How closely sends follow each other, and when gathering their messages pays. Pure: the clock is
//! the caller's.
//!
//! A thread that sends back to back for a while is streaming: writing each small message alone
//! would cost it a system call a message. One that sends, then does something else, waits for an
//! answer: its message must go at once.
//!
//! A connection follows the sends that it sees. One of many, such as a publisher's to sixty peers,
//! sees a message only once in a while, however close they come: there the socket follows them,
//! and tells the connection.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// What is known of a sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// It may be about to wait for an answer.
    Unhurried,
    /// It sends back to back for some time: there is more to come.
    Streaming,
}

/// A moment in nanoseconds, since some other one that stays the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub u64);

/// Follows the sends of one sender.
///
/// All of it are hints, hence relaxed: senders in several threads may mix them up, and then send
/// back to back all the more.
#[derive(Debug, Default)]
pub struct Pacer {
    /// When the run of sends without a pause began.
    began: AtomicU64,
    /// When the last send of it began, or ended: [`NEVER`] when there is no run.
    last: AtomicU64,
    /// Sends since then that were taken for a part of the stream without a look at the clock: it
    /// costs about as much as a send.
    unseen: AtomicU32,
    is_streaming: AtomicBool,
}

impl Pacer {
    /// Notes a send that begins `now`.
    pub fn begin(&self, now: Moment) -> Pace {
        let (last, pause) = (self.last.load(Relaxed), PAUSE * (self.unseen.load(Relaxed) + 1));
        let goes_on = last != NEVER && Moment(last).until(now) < pause;
        if !goes_on {
            self.began.store(now.0, Relaxed);
        }
        self.last.store(now.0.max(NEVER + 1), Relaxed);
        self.unseen.store(0, Relaxed);
        let is_streaming = Moment(self.began.load(Relaxed)).until(now) >= STREAM;
        self.is_streaming.store(is_streaming, Relaxed);
        if is_streaming { Pace::Streaming } else { Pace::Unhurried }
    }

    /// Notes a send that is known to follow closely on the last one. True when it is a part of a
    /// stream, as far as is known without the time.
    pub fn goes_on(&self) -> bool {
        let unseen = self.unseen.load(Relaxed) + 1;
        self.unseen.store(unseen, Relaxed);
        self.is_streaming.load(Relaxed) && unseen < UNSEEN_MAX
    }

    /// Notes that a send, or a write that takes its time, has ended `now`. That time was no pause.
    pub fn end(&self, now: Moment) {
        if self.last.load(Relaxed) != NEVER {
            self.last.store(now.0.max(NEVER + 1), Relaxed);
        }
    }

    /// The application does something else: what it sends next may be what somebody waits for.
    #[inline]
    pub fn interrupt(&self) {
        self.last.store(NEVER, Relaxed);
        self.is_streaming.store(false, Relaxed);
    }
}

impl Moment {
    fn until(self, later: Moment) -> Duration {
        Duration::from_nanos(later.0.saturating_sub(self.0))
    }
}

/// A gap between two sends that ends a run.
const PAUSE: Duration = Duration::from_micros(8);
/// A run of this length is a stream: from now on a message may be late by what was gained.
const STREAM: Duration = Duration::from_micros(50);
/// Sends between two looks at the clock.
const UNSEEN_MAX: u32 = 16;
/// No moment.
const NEVER: u64 = 0;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn at(micros: u64) -> Moment {
        Moment(1_000_000 + micros * 1000)
    }

    /// Sends that begin at these times, and what the last one is taken for.
    fn after(times: &[u64]) -> Pace {
        let pacer = Pacer::default();
        times.iter().map(|micros| pacer.begin(at(*micros))).last().unwrap()
    }

    #[test]
    fn only_a_run_without_pauses_is_a_stream() {
        let every = |step: usize| (0..100).step_by(step).collect::<Vec<_>>();
        assert_eq!(after(&[0]), Pace::Unhurried);
        assert_eq!(after(&every(5)), Pace::Streaming);
        assert_eq!(after(&every(8)), Pace::Unhurried);
        assert_eq!(after(&[&every(5)[..], &[103]].concat()), Pace::Unhurried);
        assert_eq!(after(&every(5)[..10]), Pace::Unhurried);
        assert_eq!(after(&every(5)[..11]), Pace::Streaming);
    }

    #[test]
    fn the_time_that_a_send_takes_is_no_pause() {
        let pacer = Pacer::default();
        for start in (0..2000).step_by(1000) {
            pacer.begin(at(start));
            pacer.end(at(start + 995));
        }
        assert_eq!(pacer.begin(at(2000)), Pace::Streaming);
        pacer.end(at(2500));
        assert_eq!(pacer.begin(at(2508)), Pace::Unhurried);
    }

    #[test]
    fn some_sends_pass_without_a_look_at_the_clock() {
        let pacer = Pacer::default();
        assert!(!pacer.goes_on(), "nothing is known of a stream yet");
        (0..20).for_each(|i| assert!(pacer.begin(at(i * 5)) == Pace::Streaming || i < 10));
        let unseen = (0..100).take_while(|_| pacer.goes_on()).count();
        assert_eq!(unseen, 15);
        // Each of them may have taken as long as one that is looked at.
        assert_eq!(pacer.begin(at(95 + 16 * 8)), Pace::Streaming);
    }

    #[test]
    fn something_else_in_between_ends_a_stream() {
        let pacer = Pacer::default();
        assert!((0..20).any(|i| pacer.begin(at(i * 5)) == Pace::Streaming));
        pacer.interrupt();
        assert!(!pacer.goes_on());
        // What ends after that was no send of this run.
        pacer.end(at(97));
        assert_eq!(pacer.begin(at(98)), Pace::Unhurried);
    }
}
