//! How many messages a connection gets of each run of its sender, and whether another one is about
//! to follow. Pure.
//!
//! Runs that are too short for a stream are often of one length: a window of messages goes out, and
//! then something is awaited. Between the first and the last of such a run the kernel, which has
//! each of them at once, need not make a packet of each, and wake the peer for it.

use std::time::Duration;

use crate::transports::pace::Moment;

/// What comes behind a message, as far as that is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Follows {
    /// Nothing, perhaps.
    #[default]
    Unknown,
    /// Another one, in a moment.
    More,
}

#[derive(Debug, Default)]
pub struct Runs {
    /// Messages of this run.
    this: u32,
    /// How many the one before had.
    last: u32,
    /// How many this one will have, if it is like the two before, which were alike.
    expected: u32,
    /// It has been taken up again behind a pause.
    is_resumed: bool,
    waiting: Option<Waiting>,
}

/// Messages that wait for each other.
#[derive(Debug)]
struct Waiting {
    since: Moment,
    /// Which one is the first, by its place in the run.
    from: u32,
}

impl Runs {
    /// Behind the first message of the first run that has more.
    pub fn begun() -> Box<Runs> {
        Box::new(Runs { this: 1, ..Runs::default() })
    }

    /// Notes a message behind a pause, with which a run begins. Who has lost his processor for a
    /// moment takes up what he was about, which nobody can tell at the next message.
    pub fn begin(&mut self) {
        self.waiting = None;
        if self.is_under_way() && !self.is_resumed {
            self.is_resumed = true;
            self.this += 1;
            return;
        }
        self.is_resumed = false;
        self.expected = if self.this == self.last { self.this } else { 0 };
        self.last = std::mem::replace(&mut self.this, 1);
    }

    /// Notes another one, sent `now`, and tells whether it may wait for the next. When those before
    /// it have waited for long, or are many, it may not.
    pub fn go_on(&mut self, now: Moment) -> Follows {
        self.this = self.this.saturating_add(1);
        if !self.is_under_way() {
            return Follows::Unknown;
        }
        let waiting = self.waiting.get_or_insert(Waiting { since: now, from: self.this });
        let (age, count) = (waiting.since.until(now), self.this - waiting.from);
        if age < WAITS_FOR && count < WAIT_MAX {
            return Follows::More;
        }
        self.waiting = None;
        Follows::Unknown
    }

    /// As it is behind two runs that were long.
    #[cfg(test)]
    pub fn long() -> Box<Runs> {
        Box::new(Runs { this: LONG, last: LONG, ..Runs::default() })
    }

    /// Whether there is more to come.
    fn is_under_way(&self) -> bool {
        self.expected >= LEAST && self.this < self.expected
    }
}

/// Runs of fewer save less than it costs to see to it that nothing waits for long.
const LEAST: u32 = 8;
#[cfg(test)]
const LONG: u32 = 1000;
/// How long messages wait for each other in the kernel.
const WAITS_FOR: Duration = Duration::from_micros(100);
/// And how many, behind which the peer had better begin.
const WAIT_MAX: u32 = 32;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// How many messages of a run of so many, one each so many microseconds, wait for another.
    fn waiting(runs: &mut Runs, count: u32, step: u64) -> usize {
        runs.begin();
        let go_on = |at| runs.go_on(Moment(1_000_000 + u64::from(at) * step * 1000));
        (1..count).map(go_on).filter(|follows| *follows == Follows::More).count()
    }

    fn all_waiting<const N: usize>(runs: &mut Runs, counts: [u32; N]) -> [usize; N] {
        counts.map(|count| waiting(runs, count, 1))
    }

    #[test]
    fn behind_two_runs_of_one_length_all_but_the_first_and_the_last_wait() {
        let runs = &mut Runs::default();
        assert_eq!(all_waiting(runs, [20, 20, 20, 20]), [0, 0, 18, 18]);
    }

    #[test]
    fn a_short_run_waits_for_nothing() {
        let runs = &mut Runs::default();
        assert_eq!(all_waiting(runs, [7; 4]), [0; 4]);
        assert_eq!(all_waiting(runs, [1; 4]), [0; 4]);
    }

    #[test]
    fn runs_of_many_lengths_wait_for_nothing() {
        let runs = &mut Runs::default();
        assert_eq!(all_waiting(runs, [20, 30, 20, 30, 10, 40]), [0; 6]);
    }

    #[test]
    fn a_run_that_is_interrupted_once_is_one() {
        let runs = &mut Runs::default();
        // The first behind the pause does not wait, nor does the last.
        assert_eq!(all_waiting(runs, [20, 20, 12, 8, 20]), [0, 0, 11, 6, 18]);
    }

    #[test]
    fn when_runs_become_shorter_that_is_known_behind_two_of_them() {
        let runs = &mut Runs::default();
        assert_eq!(all_waiting(runs, [20, 20, 12, 12, 12, 12, 12]), [0, 0, 11, 6, 0, 0, 10]);
    }

    #[test]
    fn nothing_waits_behind_many_or_for_long() {
        let runs = &mut Runs::default();
        // Each 33rd of those that might goes at once, and all that wait before it.
        assert_eq!(all_waiting(runs, [100, 100, 100]), [0, 0, 98 - 2]);
        let runs = &mut Runs::default();
        let waits = [(); 3].map(|()| waiting(runs, 32, 10));
        assert_eq!(waits, [0, 0, 30 - 2]);
    }
}
