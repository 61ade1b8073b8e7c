//! How closely sends follow each other, and when gathering their messages pays. Pure: the clock is
//! the caller's, and so is what is known of the thread.
//!
//! A thread that sends many messages back to back is streaming: writing each small one alone would
//! cost it a system call a message. One that sends a few, then does something else, may wait for an
//! answer, or end without a word: its messages must go at once.
//!
//! It is the thread that has a rhythm, over all its sockets and their connections: one of many sees
//! a message only once in a while, however close they come. Which connections gather is up to them:
//! one that has had no other message in the same run has nothing to gather it with.

use std::cell::Cell;
use std::time::Duration;

use crate::sys::{Switches, switches};

/// What is known of a sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// It may be about to wait for an answer.
    Unhurried,
    /// It sends back to back for some time: there is more to come.
    Streaming,
}

/// What a thread has received and not yet taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    Little,
    /// At least [`MUCH`] messages like the last one.
    Much,
}

/// A moment in nanoseconds, since some other one that stays the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub u64);

/// Follows the sends of one thread. What counts is how many there are without a pause, not how long
/// they take: writing may take long, and says nothing about what is to come.
#[derive(Debug)]
pub struct Rhythm {
    /// When the run began.
    began: Cell<Moment>,
    /// How many sends without a pause there were before this one.
    run: Cell<u32>,
    /// How many there were in the run before.
    previous: Cell<u32>,
    /// What the run has in common with the one before, in sends.
    credit: Cell<u32>,
    /// How many connections it has reached.
    connections: Cell<u32>,
    /// When the last send of it began, or ended: [`NEVER`] when there is no run.
    last: Cell<Moment>,
    /// Sends since then that were taken for a part of the stream without a look at the clock: it
    /// costs about as much as a send.
    unseen: Cell<u32>,
    /// How many of them there may be.
    unseen_max: Cell<u32>,
    is_streaming: Cell<bool>,
    /// How many sends there were in the run before, if what ended it was something received.
    window: Cell<u32>,
    /// How many there will be in this run, if it is like that one.
    expected: Cell<u32>,
    /// The send that goes on is a request through a branch of its socket, of which there are many.
    asks_as_one_of_many: Cell<bool>,
    /// Much has been received that the thread will be busy with.
    is_laden: Cell<bool>,
    /// How often the thread has left its processor, as far as it has been asked for.
    switches: Cell<Switches>,
    /// When that was.
    asked: Cell<Moment>,
    ask: fn() -> Switches,
}

/// Since when messages have been gathered.
#[derive(Clone, Copy, Debug)]
pub struct Since {
    moment: Moment,
    /// How many their sender had sent without a pause, to whomever.
    sends: u32,
}

/// The rhythm of the calling thread.
pub fn with_rhythm<T>(make: impl FnOnce(&Rhythm) -> T) -> T {
    RHYTHM.with(make)
}

// Without a destructor, so that it is there for as long as the thread is.
thread_local! {
    static RHYTHM: Rhythm = const { Rhythm::new(switches) };
}

impl Rhythm {
    /// One of a thread about whose switches `ask` can be asked.
    #[must_use]
    pub const fn new(ask: fn() -> Switches) -> Rhythm {
        Rhythm {
            began: Cell::new(NEVER),
            run: Cell::new(0),
            previous: Cell::new(0),
            credit: Cell::new(0),
            connections: Cell::new(0),
            last: Cell::new(NEVER),
            unseen: Cell::new(0),
            unseen_max: Cell::new(0),
            is_streaming: Cell::new(false),
            window: Cell::new(0),
            expected: Cell::new(0),
            asks_as_one_of_many: Cell::new(false),
            is_laden: Cell::new(false),
            switches: Cell::new(Switches { waits: 0, losses: 0 }),
            asked: Cell::new(NEVER),
            ask,
        }
    }

    /// One of a thread that keeps its processor.
    #[cfg(test)]
    pub const fn undisturbed() -> Rhythm {
        Rhythm::new(|| Switches { waits: 0, losses: 0 })
    }

    /// One of a thread that has been streaming for some time.
    #[cfg(test)]
    pub fn streaming(now: Moment) -> Rhythm {
        let rhythm = Rhythm::undisturbed();
        (0..=STREAM).for_each(|_| _ = rhythm.begin(now));
        rhythm
    }

    /// Is in the middle of a stream, whenever the next send may be.
    #[cfg(test)]
    pub fn stream(&self) {
        self.began.set(Moment(1));
        self.run.set(STREAM);
        self.last.set(Moment(u64::MAX));
    }

    /// Notes a send that begins `now`.
    #[inline]
    pub fn begin(&self, now: Moment) -> Pace {
        let (last, pause) = (self.last.get(), PAUSE * (self.unseen.get() + 1));
        let gap = last.until(now);
        if last != NEVER && gap < pause {
            let passed = gap.as_nanos() as u32 / (self.unseen.get() + 1);
            let is_long = self.sends() >= LONG || self.reaches_many();
            let most = if is_long { UNSEEN_MAX } else { 0 };
            self.unseen_max.set((UNSEEN_FOR / passed.max(1)).min(most));
            return self.note(self.sends(), now);
        }
        self.begin_behind_pause(last, gap, now)
    }

    #[inline(never)]
    fn begin_behind_pause(&self, last: Moment, gap: Duration, now: Moment) -> Pace {
        if last != NEVER && gap < PAUSE_IN_WINDOW && self.is_expected() {
            return self.note(self.sends(), now);
        }
        let is_known = self.is_streaming.get() || self.is_expected();
        let may_go_on = last != NEVER && gap < QUANTUM && is_known;
        if may_go_on && self.was_held_up(now) {
            return self.note(self.sends(), now);
        }
        if may_go_on && self.reaches_many() {
            return self.resume(now);
        }
        self.interrupt();
        self.begin_run(now)
    }

    /// Notes a send that begins `now`, of a sender who is known to have been busy since the last,
    /// and for whom so much more waits. With much before him, which he is quick to do, he streams.
    pub fn begin_busy(&self, now: Moment, load: Workload) -> Pace {
        let last = self.last.get();
        let gap = last.until(now);
        // Who answers does not ask.
        self.expected.set(0);
        if last != NEVER && gap < QUANTUM {
            self.is_laden.set(gap < PAUSE && (load == Workload::Much || self.is_laden.get()));
            let least = if self.is_laden.get() { Pace::Streaming } else { Pace::Unhurried };
            return self.note_as(self.sends(), now, least);
        }
        self.interrupt();
        self.begin_run(now)
    }

    /// Notes a send that begins `now`, of a sender who has received since the last, so that this
    /// may be an answer that somebody waits for. What he has sent may have been a window of
    /// questions, behind which the next one follows; while that is expected to go on, an answer to
    /// the first of them is no reason to stop.
    pub fn begin_after_receipt(&self, now: Moment) -> Pace {
        let last = self.last.get();
        let gap = last.until(now);
        if last != NEVER
            && self.is_expected()
            && (gap < PAUSE_IN_WINDOW || gap < QUANTUM && self.was_held_up(now))
        {
            return self.note(self.sends(), now);
        }
        if last != NEVER {
            self.window.set(self.sends());
        }
        self.interrupt();
        self.begin_run(now)
    }

    /// How many sends there are in the run, the last one included.
    #[must_use]
    pub fn sends(&self) -> u32 {
        self.run.get().saturating_add(self.unseen.get() + 1)
    }

    /// Whether the last one stands where the run before ended. Many runs are as long as the one
    /// before, so that nothing may follow for long.
    #[must_use]
    pub fn is_at_end(&self) -> bool {
        self.sends() == self.previous.get()
    }

    /// When the last send was, as far as is known without the time.
    #[must_use]
    pub fn last(&self) -> Moment {
        self.last.get()
    }

    /// Whether a send `then` belongs to this run.
    #[must_use]
    pub fn includes(&self, then: Moment) -> bool {
        then >= self.began.get() && then != NEVER
    }

    /// What `ask` sends are requests of one branch of many. Only those are known to come in windows
    /// whose end the thread waits for.
    pub fn within_branch<T>(&self, ask: impl FnOnce() -> T) -> T {
        struct Until<'a>(&'a Cell<bool>);
        impl Drop for Until<'_> {
            fn drop(&mut self) {
                self.0.set(false);
            }
        }
        self.asks_as_one_of_many.set(true);
        let _until = Until(&self.asks_as_one_of_many);
        ask()
    }

    /// The last send was the first in this run on its connection.
    pub fn note_connection(&self) {
        self.connections.set(self.connections.get().saturating_add(1));
    }

    /// Whether another send is to come in this run, however long that takes.
    fn is_expected(&self) -> bool {
        self.is_in_window(self.sends())
    }

    fn is_in_window(&self, run: u32) -> bool {
        self.expected.get() >= WINDOW_MIN
            && (1..self.expected.get()).contains(&run)
            && self.asks_as_one_of_many.get()
    }

    /// Whether each of several connections sees a part of the run only.
    fn reaches_many(&self) -> bool {
        self.connections.get() > 1
    }

    /// Who streams to many and stops for a moment goes on with that, if it was a stream by itself:
    /// else a sender of short bursts would take part in it for ever. What has gathered before
    /// gathers further.
    fn resume(&self, now: Moment) -> Pace {
        let is_whole = self.run.get() >= STREAM;
        self.interrupt();
        if !is_whole {
            return self.begin_run(now);
        }
        self.credit.set(STREAM - AGAIN);
        self.note(0, now)
    }

    fn begin_run(&self, now: Moment) -> Pace {
        self.connections.set(0);
        self.expected.set(self.window.take());
        if self.expected.get() >= WINDOW_MIN {
            self.look_at_switches(now);
        }
        self.began.set(now.max(Moment(NEVER.0 + 1)));
        self.note(0, now)
    }

    fn note(&self, run: u32, now: Moment) -> Pace {
        let least = if self.is_in_window(run) { Pace::Streaming } else { Pace::Unhurried };
        self.note_as(run, now, least)
    }

    /// Notes a send that is a part of a stream for other reasons than the run, or is none.
    fn note_as(&self, run: u32, now: Moment, least: Pace) -> Pace {
        self.run.set(run);
        self.last.set(now.max(Moment(NEVER.0 + 1)));
        self.unseen.set(0);
        let is_streaming =
            run.saturating_add(self.credit.get()) >= STREAM || least == Pace::Streaming;
        if is_streaming && !self.is_streaming.get() {
            self.look_at_switches(now);
        }
        self.is_streaming.set(is_streaming);
        if is_streaming { Pace::Streaming } else { Pace::Unhurried }
    }

    /// Whether the thread has lost its processor since the last look, and that is all that has kept
    /// it from sending. Who has waited for something else has made a pause.
    fn was_held_up(&self, now: Moment) -> bool {
        let before = self.switches.get();
        self.look_at_switches(now);
        let after = self.switches.get();
        after.waits == before.waits && after.losses != before.losses
    }

    fn look_at_switches(&self, now: Moment) {
        self.switches.set((self.ask)());
        self.asked.set(now);
    }

    /// Notes a send that is known to follow closely on the last one, if it is a part of a stream as
    /// far as is known without the time. If not, the time has to be asked for.
    pub fn goes_on(&self) -> bool {
        let unseen = self.unseen.get() + 1;
        let goes_on = self.is_streaming.get() && unseen < self.unseen_max.get();
        if goes_on {
            self.unseen.set(unseen);
        }
        goes_on
    }

    /// Notes that a send, or a write that takes its time, has ended `now`. That time was no pause.
    pub fn end(&self, now: Moment) {
        if self.last.get() != NEVER {
            self.last.set(now.max(Moment(NEVER.0 + 1)));
            // No send is unseen any more.
            self.run.set(self.sends() - 1);
            self.unseen.set(0);
            // What the thread lost or waited for up to now says nothing about pauses to come.
            if self.is_streaming.get() && self.asked.get().until(now) >= ASKED_EVERY {
                self.look_at_switches(now);
            }
        }
    }

    /// The application does something else: what it sends next may be what somebody waits for.
    pub fn interrupt(&self) {
        if self.last.get() != NEVER {
            self.previous.set(self.sends());
        }
        self.run.set(0);
        self.unseen.set(0);
        self.unseen_max.set(0);
        self.credit.set(0);
        self.last.set(NEVER);
        self.is_streaming.set(false);
        self.is_laden.set(false);
    }

    /// Something is gathered from the last send on.
    #[must_use]
    pub fn since(&self) -> Since {
        Since { moment: self.last.get(), sends: self.sends() }
    }
}

impl Since {
    /// Whether so many messages have waited for long enough at the last send of their sender: one
    /// who has many connections brings little together on each, and one who takes his time saves
    /// little by it. But when he stops, a part only of all that he has sent is to wait for somebody
    /// to notice.
    #[must_use]
    pub fn is_ripe(&self, messages: usize, rhythm: &Rhythm) -> bool {
        let age = self.moment.until(rhythm.last());
        let sends = rhythm.sends().saturating_sub(self.sends);
        if !rhythm.reaches_many() && sends >= self.sends.max(STREAM) / SHARE {
            return true;
        }
        age >= GATHERED_FOR && (messages >= WORTH_A_CALL || age >= GATHERED_FOR + GAIN * sends)
    }
}

impl Default for Since {
    fn default() -> Since {
        Since { moment: NEVER, sends: 0 }
    }
}

impl Moment {
    /// How much later that is.
    #[must_use]
    pub fn until(self, later: Moment) -> Duration {
        Duration::from_nanos(later.0.saturating_sub(self.0))
    }
}

/// A gap between two sends that ends a run.
const PAUSE: Duration = Duration::from_micros(8);
/// The same where more is expected: the first answers may have taken the processor or a lock.
const PAUSE_IN_WINDOW: Duration = Duration::from_micros(50);
/// Behind so many sends a run is a stream: from now on a message may be late by what was gained.
/// Of a shorter run, everything is with the kernel when the last send returns: but for one to many
/// connections that follows within [`QUANTUM`] on a run that was a stream.
pub const STREAM: u32 = 64;
/// Who sends so many without a pause and then receives does that again: the next run is a stream
/// from its second send on until it is as long.
const WINDOW_MIN: u32 = 16;
/// So many answers in a row are a stream, too, while what they answer lies there.
pub const MUCH: usize = 8;
/// Behind so many it is one again.
const AGAIN: u32 = 8;
/// On one connection no more of a run waits than one send of so many.
const SHARE: u32 = 4;
/// How long others may have the processor.
const QUANTUM: Duration = Duration::from_millis(5);
/// Behind so many sends to one connection the clock is not looked at for each. If the thread has
/// paused since, and nobody has had a processor to write what it had left, that is seen too late.
const LONG: u32 = 1000;
/// Sends between two looks at the clock.
const UNSEEN_MAX: u32 = 16;
/// And about how many nanoseconds at most.
const UNSEEN_FOR: u32 = 16_000;
/// How long messages wait for each other while their sender streams,
const GATHERED_FOR: Duration = Duration::from_micros(100);
/// or longer, until so many have come together;
const WORTH_A_CALL: usize = 64;
/// but not for longer than it would have taken him to write each, about.
const GAIN: Duration = Duration::from_micros(1);
/// How long what is known of a thread's switches is new enough.
const ASKED_EVERY: Duration = Duration::from_micros(50);
/// No moment.
pub const NEVER: Moment = Moment(0);

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn at(micros: u64) -> Moment {
        Moment(1_000_000 + micros * 1000)
    }

    /// How many of so many sends with so much time between them are not yet a stream.
    fn lone(count: u64, step: u64) -> usize {
        let rhythm = Rhythm::undisturbed();
        (0..count).take_while(|i| rhythm.begin(at(i * step)) == Pace::Unhurried).count()
    }

    #[test]
    fn only_a_long_run_without_pauses_is_a_stream() {
        assert_eq!(lone(200, 0), 64);
        assert_eq!(lone(200, 7), 64);
        assert_eq!(lone(200, 8), 200);
    }

    #[test]
    fn a_pause_starts_again() {
        let rhythm = Rhythm::undisturbed();
        let burst = |start: u64, count: u64| {
            (0..count).take_while(|i| rhythm.begin(at(start + i)) == Pace::Unhurried).count()
        };
        assert_eq!((burst(0, 100), burst(10_000, 100)), (64, 64));
        assert_eq!((burst(20_000, 40), burst(20_100, 40), burst(20_200, 64)), (40, 40, 64));
    }

    /// How many of so many sends, one a microsecond from `start` on, are not a part of a stream.
    fn unhurried(rhythm: &Rhythm, start: u64, count: u64) -> usize {
        (0..count).filter(|i| rhythm.begin(at(start + i)) == Pace::Unhurried).count()
    }

    #[test]
    fn behind_a_stream_to_one_a_short_burst_is_as_short_as_any() {
        let rhythm = Rhythm::undisturbed();
        assert_eq!(unhurried(&rhythm, 0, 100), 64);
        assert_eq!(unhurried(&rhythm, 200, 60), 60);
        assert_eq!(unhurried(&rhythm, 400, 100), 64);
        assert_eq!(unhurried(&rhythm, 5_000, 100), 64);
    }

    #[test]
    fn a_stream_goes_on_whose_thread_has_only_lost_its_processor() {
        thread_local! {
            static SWITCHES: Cell<Switches> = const { Cell::new(Switches { waits: 9, losses: 9 }) };
        }
        let lose = |waits, losses| {
            let before = SWITCHES.get();
            SWITCHES.set(Switches { waits: before.waits + waits, losses: before.losses + losses });
        };
        let rhythm = Rhythm::new(|| SWITCHES.get());
        assert_eq!(unhurried(&rhythm, 0, 100), 64);
        lose(0, 1);
        assert_eq!(unhurried(&rhythm, 1_000, 100), 0);
        assert_eq!(rhythm.sends(), 200);
        // Nothing new has happened.
        assert_eq!(unhurried(&rhythm, 2_000, 100), 64);
        lose(0, 2);
        assert_eq!(unhurried(&rhythm, 7_200, 100), 64, "it was away for too long");
        lose(1, 1);
        assert_eq!(unhurried(&rhythm, 8_000, 100), 64, "it has waited for something else");
        // What happens in a write says nothing about what comes behind.
        lose(5, 5);
        rhythm.end(at(8_200));
        assert_eq!(unhurried(&rhythm, 8_205, 100), 0);
        rhythm.end(at(8_500));
        lose(0, 1);
        assert_eq!(unhurried(&rhythm, 9_000, 100), 0);
        // Short bursts do not become a stream by it.
        assert_eq!(unhurried(&rhythm, 20_000, 50), 50);
        lose(0, 1);
        assert_eq!(unhurried(&rhythm, 20_100, 50), 50);
    }

    #[test]
    fn a_stream_to_many_is_one_again_soon_but_no_short_burst_is() {
        let rhythm = Rhythm::undisturbed();
        assert_eq!(unhurried(&rhythm, 0, 60), 60);
        rhythm.note_connection();
        rhythm.note_connection();
        assert_eq!(unhurried(&rhythm, 60, 40), 4);
        assert_eq!(unhurried(&rhythm, 5_000, 100), 8);
        assert_eq!(unhurried(&rhythm, 10_000, 20), 8);
        assert_eq!(unhurried(&rhythm, 10_100, 20), 20);
        // The next run has to find its connections again.
        assert_eq!(unhurried(&rhythm, 20_000, 100), 64);
        assert_eq!(unhurried(&rhythm, 20_500, 100), 64);
    }

    #[test]
    fn the_time_that_a_send_takes_is_no_pause() {
        let rhythm = Rhythm::undisturbed();
        for i in 0..100 {
            assert_eq!(rhythm.begin(at(i * 1000)) == Pace::Streaming, i >= 64);
            rhythm.end(at(i * 1000 + 995));
        }
        rhythm.end(at(100_000));
        assert_eq!(rhythm.begin(at(100_008)), Pace::Unhurried);
    }

    #[test]
    fn some_sends_pass_without_a_look_at_the_clock() {
        let rhythm = Rhythm::undisturbed();
        assert!(!rhythm.goes_on(), "nothing is known of a stream yet");
        (0..=64).for_each(|i| assert_eq!(rhythm.begin(at(i)) == Pace::Streaming, i >= 64));
        assert!(!rhythm.goes_on(), "it is a stream, but not a long one");
        rhythm.run.set(LONG);
        assert_eq!(rhythm.begin(at(64)), Pace::Streaming);
        let unseen = (0..100).take_while(|_| rhythm.goes_on()).count();
        assert_eq!(unseen, 15);
        // Each of them may have taken as long as one that is looked at.
        assert_eq!(rhythm.begin(at(64 + 16 * 8 - 1)), Pace::Streaming);
    }

    #[test]
    fn behind_a_write_a_pause_is_seen_at_once() {
        let rhythm = Rhythm::streaming(at(0));
        rhythm.run.set(LONG);
        assert!((0..10).all(|_| rhythm.begin(at(1)) == Pace::Streaming && rhythm.goes_on()));
        rhythm.end(at(20));
        assert_eq!(rhythm.sends(), LONG + 21);
        assert_eq!(rhythm.begin(at(28)), Pace::Unhurried);
        // So it is known how long the run was.
        let end = u64::from(LONG) + 21;
        assert!((2..end).all(|i| rhythm.begin(at(28 + i)) == Pace::Unhurried || i > 64));
        assert!(rhythm.begin(at(28 + end)) == Pace::Streaming && rhythm.is_at_end());
    }

    #[test]
    fn something_else_in_between_ends_a_stream() {
        let rhythm = Rhythm::undisturbed();
        (0..100).for_each(|i| assert_eq!(rhythm.begin(at(i)) == Pace::Streaming, i >= 64));
        rhythm.interrupt();
        assert!(!rhythm.goes_on());
        // What ends after that was no send of this run.
        rhythm.end(at(101));
        assert_eq!(rhythm.begin(at(102)), Pace::Unhurried);
    }

    #[test]
    fn who_is_known_to_be_busy_may_take_his_time() {
        let rhythm = Rhythm::undisturbed();
        rhythm.begin(at(0));
        (1..100).for_each(|i| {
            assert_eq!(
                rhythm.begin_busy(at(i * 1000), Workload::Little) == Pace::Streaming,
                i >= 64,
                "{i}"
            );
        });
        (0..100).for_each(|i| {
            assert_eq!(
                rhythm.begin_busy(at(200_000 + i * 5000), Workload::Little),
                Pace::Unhurried,
                "{i}"
            );
        });
    }

    /// How many of so many sends behind something received, one a microsecond from `start` on, are
    /// not a part of a stream.
    fn unhurried_window(rhythm: &Rhythm, start: u64, count: u64) -> usize {
        let first = usize::from(rhythm.begin_after_receipt(at(start)) == Pace::Unhurried);
        first + unhurried(rhythm, start + 1, count - 1)
    }

    #[test]
    fn a_window_of_questions_is_a_stream_from_the_second_time_on_and_no_longer_than_the_first() {
        let rhythm = Rhythm::undisturbed();
        rhythm.asks_as_one_of_many.set(true);
        assert_eq!(unhurried(&rhythm, 0, 16), 16);
        for start in [1, 2, 300].map(|start| start * 10_000) {
            assert_eq!(unhurried_window(&rhythm, start, 16), 1);
            assert!(rhythm.is_at_end());
        }
        assert_eq!(unhurried_window(&rhythm, 4_000_000, 30), 15, "it was expected to end");
        // A shorter one is a window, too, but not every few sends are.
        assert_eq!(unhurried_window(&rhythm, 4_010_000, 15), 1);
        assert_eq!(unhurried_window(&rhythm, 4_020_000, 40), 40);
        assert_eq!(unhurried_window(&rhythm, 4_030_000, 39), 1);
        // Who does not receive stops a run for a reason that is not known.
        assert_eq!(unhurried(&rhythm, 4_040_000, 40), 40);
        assert_eq!(unhurried_window(&rhythm, 4_050_000, 2), 1);
    }

    #[test]
    fn only_what_goes_through_branches_comes_in_windows() {
        let rhythm = Rhythm::undisturbed();
        let asks = |at_| rhythm.within_branch(|| rhythm.begin(at(at_))) == Pace::Streaming;
        for start in [0, 10_000, 20_000] {
            assert_eq!(unhurried_window(&rhythm, start, 40), 40);
        }
        assert_eq!(unhurried_window(&rhythm, 30_000, 2), 2);
        assert!(asks(30_002), "within a window that others have begun");
        assert_eq!(rhythm.begin(at(30_003)), Pace::Unhurried);
    }

    #[test]
    fn the_first_answers_do_not_end_a_window_and_single_ones_are_none() {
        let rhythm = Rhythm::undisturbed();
        rhythm.asks_as_one_of_many.set(true);
        assert_eq!(unhurried(&rhythm, 0, 64), 64);
        for start in [10_000, 20_000] {
            assert_eq!(unhurried_window(&rhythm, start, 20), 1);
            assert_eq!(rhythm.begin_after_receipt(at(start + 21)), Pace::Streaming);
            assert_eq!(rhythm.sends(), 21);
            assert_eq!(unhurried(&rhythm, start + 22, 43), 0);
        }
        // Who takes his time between them keeps nobody waiting for the next.
        assert_eq!(unhurried_window(&rhythm, 25_000, 10), 1);
        assert_eq!(rhythm.begin(at(25_060)), Pace::Unhurried);
        assert_eq!(unhurried(&rhythm, 25_061, 63), 63);
        // The next one is the first of a window, as far as is known, and then they are single.
        rhythm.begin_after_receipt(at(30_000));
        for i in 1..100 {
            assert_eq!(rhythm.begin_after_receipt(at(30_000 + i * 50)), Pace::Unhurried, "{i}");
        }
    }

    #[test]
    fn who_has_much_to_answer_streams_until_it_is_done() {
        let rhythm = Rhythm::undisturbed();
        let answer = |at_: u64, load| rhythm.begin_busy(at(at_), load) == Pace::Streaming;
        assert_eq!(rhythm.begin_after_receipt(at(0)), Pace::Unhurried);
        assert!(!answer(1, Workload::Little), "there are few");
        assert!(answer(2, Workload::Much) && answer(3, Workload::Much));
        assert!(
            answer(4, Workload::Little) && answer(11, Workload::Little),
            "the last ones of many"
        );
        assert!(!answer(19, Workload::Little), "who takes his time keeps nobody waiting for it");
        assert!(!answer(30, Workload::Much) && answer(31, Workload::Much));
        assert_eq!(rhythm.begin_after_receipt(at(32)), Pace::Unhurried);
        assert!(!answer(33, Workload::Little));
    }

    #[test]
    fn what_is_gathered_waits_while_that_pays() {
        // Of a sender with so many nanoseconds between his sends, of which one in so many is to
        // this connection.
        let gathered = |before: u32, step: u64, connections: u64| {
            let rhythm = Rhythm::streaming(at(0));
            rhythm.run.set(before);
            (0..connections).for_each(|_| rhythm.note_connection());
            let since = rhythm.since();
            let is_waiting = |count: &usize| {
                for i in 1..=connections {
                    let sends = (*count as u64 - 1) * connections + i;
                    if !rhythm.goes_on() {
                        rhythm.begin(Moment(at(0).0 + sends * step));
                    }
                }
                !since.is_ripe(*count, &rhythm)
            };
            1 + (1..10_000).take_while(is_waiting).count()
        };
        // Some sends pass before the time is known.
        for (before, step, connections, least, most) in [
            (10_000, 7_000, 1, 15, 20),
            (100, 7_000, 8, 2, 4),
            (10_000, 1_000, 1, 100, 117),
            (10_000, 200, 1, 500, 517),
            (100, 200, 20, 64, 64),
            (100, 500, 200, 64, 64),
            // A short run to one does not wait for so long.
            (63, 200, 1, 16, 16),
            (1_000, 200, 1, 250, 250),
        ] {
            let count = gathered(before, step, connections);
            assert!((least..=most).contains(&count), "{count} {before} {step} {connections}");
        }
    }

    #[test]
    fn a_run_includes_what_was_sent_since_it_began() {
        let rhythm = Rhythm::undisturbed();
        assert!(!rhythm.includes(NEVER) && !rhythm.includes(rhythm.last()));
        rhythm.begin(at(0));
        let first = rhythm.last();
        rhythm.begin(at(1));
        assert!(rhythm.includes(first) && rhythm.includes(rhythm.last()));
        assert!(!rhythm.includes(NEVER));
        rhythm.begin(at(100));
        assert!(!rhythm.includes(first) && rhythm.includes(rhythm.last()));
    }

    #[test]
    fn a_run_is_expected_to_be_as_long_as_the_one_before() {
        let rhythm = Rhythm::undisturbed();
        let ends = |start: u64, count: u64| -> Vec<u64> {
            let is_end = |i: &u64| {
                if *i == 1 || !rhythm.goes_on() {
                    rhythm.begin(at(start + i));
                }
                rhythm.is_at_end()
            };
            (1..=count).filter(is_end).collect()
        };
        assert_eq!(ends(0, 100), []);
        assert_eq!(ends(10_000, 100), [100]);
        assert_eq!(ends(20_000, 150), [100]);
        assert_eq!(ends(30_000, 70), []);
        rhythm.interrupt();
        rhythm.interrupt();
        assert_eq!(ends(30_070, 150), [70]);
    }
}
