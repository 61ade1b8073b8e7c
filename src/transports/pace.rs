//! How closely sends follow each other, and when gathering their messages pays. Pure: the clock is
//! the caller's.
//!
//! A thread that sends many messages back to back is streaming: writing each small one alone would
//! cost it a system call a message. One that sends a few, then does something else, may wait for an
//! answer, or end without a word: its messages must go at once.
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

/// Follows the sends of one sender. What counts is how many there are without a pause, not how long
/// they take: writing may take long, and says nothing about what is to come.
///
/// All of it are hints, hence relaxed: senders in several threads may mix them up, and then send
/// back to back all the more.
#[derive(Debug, Default)]
pub struct Pacer {
    /// How many sends without a pause there were before this one.
    run: AtomicU32,
    /// What the run has in common with the one before, in sends.
    credit: AtomicU32,
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
        let gap = Moment(last).until(now);
        if last != NEVER && gap < pause {
            return self.note(self.run_so_far(), now);
        }
        // Who has lost his processor in the middle of a stream goes on with it: one that was a
        // stream by itself, or else a sender of short bursts would take part in it for ever.
        let is_resumed = last != NEVER && gap < QUANTUM && self.run.load(Relaxed) >= STREAM;
        self.credit.store(if is_resumed { STREAM - AGAIN } else { 0 }, Relaxed);
        self.note(0, now)
    }

    /// Notes a send that begins `now`, of a sender who is known to have been busy since the last.
    pub fn begin_busy(&self, now: Moment) -> Pace {
        let gap = Moment(self.last.load(Relaxed)).until(now);
        self.note(if gap < QUANTUM { self.run_so_far() } else { 0 }, now)
    }

    /// The send that has just begun came to nothing.
    pub fn take_back(&self) {
        self.run.store(self.run.load(Relaxed).saturating_sub(1), Relaxed);
    }

    fn run_so_far(&self) -> u32 {
        self.run.load(Relaxed).saturating_add(self.unseen.load(Relaxed) + 1)
    }

    fn note(&self, run: u32, now: Moment) -> Pace {
        self.run.store(run, Relaxed);
        self.last.store(now.0.max(NEVER + 1), Relaxed);
        self.unseen.store(0, Relaxed);
        let is_streaming = run.saturating_add(self.credit.load(Relaxed)) >= STREAM;
        self.is_streaming.store(is_streaming, Relaxed);
        if is_streaming { Pace::Streaming } else { Pace::Unhurried }
    }

    /// Notes a send that is known to follow closely on the last one, if it is a part of a stream as
    /// far as is known without the time. If not, the time has to be asked for.
    pub fn goes_on(&self) -> bool {
        let unseen = self.unseen.load(Relaxed) + 1;
        let goes_on = self.is_streaming.load(Relaxed) && unseen < UNSEEN_MAX;
        if goes_on {
            self.unseen.store(unseen, Relaxed);
        }
        goes_on
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
        self.run.store(0, Relaxed);
        self.credit.store(0, Relaxed);
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
/// Behind so many sends a run is a stream: from now on a message may be late by what was gained.
/// Of a shorter run, everything is with the kernel when the last send returns: but for one that
/// follows within [`QUANTUM`] on a run that was a stream.
pub const STREAM: u32 = 64;
/// Behind so many it is one again.
const AGAIN: u32 = 8;
/// How long others may have the processor.
const QUANTUM: Duration = Duration::from_millis(5);
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

    /// How many of so many sends with so much time between them are not yet a stream.
    fn lone(count: u64, step: u64) -> usize {
        let pacer = Pacer::default();
        (0..count).take_while(|i| pacer.begin(at(i * step)) == Pace::Unhurried).count()
    }

    #[test]
    fn only_a_long_run_without_pauses_is_a_stream() {
        assert_eq!(lone(200, 0), 64);
        assert_eq!(lone(200, 7), 64);
        assert_eq!(lone(200, 8), 200);
    }

    #[test]
    fn a_pause_starts_again() {
        let pacer = Pacer::default();
        let burst = |start: u64, count: u64| {
            (0..count).take_while(|i| pacer.begin(at(start + i)) == Pace::Unhurried).count()
        };
        assert_eq!((burst(0, 100), burst(10_000, 100)), (64, 64));
        assert_eq!((burst(20_000, 40), burst(20_100, 40), burst(20_200, 64)), (40, 40, 64));
    }

    #[test]
    fn a_stream_that_was_held_up_is_one_again_soon_but_no_short_burst_is() {
        let pacer = Pacer::default();
        let burst = |start: u64, count: u64| {
            let is_lone = |i: &u64| pacer.begin(at(start + i)) == Pace::Unhurried;
            (0..count).filter(is_lone).count()
        };
        assert_eq!(burst(0, 100), 64);
        assert_eq!(burst(5_000, 100), 8);
        assert_eq!(burst(10_000, 20), 8);
        assert_eq!(burst(10_100, 20), 20);
        assert_eq!((burst(20_000, 100), burst(25_100, 100)), (64, 64));
    }

    #[test]
    fn the_time_that_a_send_takes_is_no_pause() {
        let pacer = Pacer::default();
        for i in 0..100 {
            assert_eq!(pacer.begin(at(i * 1000)) == Pace::Streaming, i >= 64);
            pacer.end(at(i * 1000 + 995));
        }
        pacer.end(at(100_000));
        assert_eq!(pacer.begin(at(100_008)), Pace::Unhurried);
    }

    #[test]
    fn some_sends_pass_without_a_look_at_the_clock() {
        let pacer = Pacer::default();
        assert!(!pacer.goes_on(), "nothing is known of a stream yet");
        (0..=64).for_each(|i| assert_eq!(pacer.begin(at(i)) == Pace::Streaming, i >= 64));
        let unseen = (0..100).take_while(|_| pacer.goes_on()).count();
        assert_eq!(unseen, 15);
        // Each of them may have taken as long as one that is looked at.
        assert_eq!(pacer.begin(at(64 + 16 * 8 - 1)), Pace::Streaming);
    }

    #[test]
    fn something_else_in_between_ends_a_stream() {
        let pacer = Pacer::default();
        (0..100).for_each(|i| assert_eq!(pacer.begin(at(i)) == Pace::Streaming, i >= 64));
        pacer.interrupt();
        assert!(!pacer.goes_on());
        // What ends after that was no send of this run.
        pacer.end(at(101));
        assert_eq!(pacer.begin(at(102)), Pace::Unhurried);
    }

    #[test]
    fn who_is_known_to_be_busy_may_take_his_time() {
        let pacer = Pacer::default();
        pacer.begin(at(0));
        (1..100).for_each(|i| {
            assert_eq!(pacer.begin_busy(at(i * 1000)) == Pace::Streaming, i >= 64, "{i}");
        });
        (0..100).for_each(|i| {
            assert_eq!(pacer.begin_busy(at(200_000 + i * 5000)), Pace::Unhurried, "{i}");
        });
    }

    #[test]
    fn sends_that_come_to_nothing_are_none() {
        let pacer = Pacer::default();
        for i in 0..1000 {
            assert_eq!(pacer.begin(at(i)), Pace::Unhurried);
            pacer.take_back();
        }
    }
}
