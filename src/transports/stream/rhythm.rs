//! When gathering messages pays. Pure: the clock is the caller's.
//!
//! A thread that sends back to back for a while is streaming: writing each small message alone
//! would cost it a system call a message. One that sends, then does something else, waits for an
//! answer: its message must go at once.

use std::time::{Duration, Instant};

#[derive(Debug, Default)]
pub struct Rhythm {
    /// When the last send ended, and when the run of sends without a pause began.
    run: Option<Run>,
    /// Sends since the last one, which were taken for a part of the stream without a look at the
    /// clock: it costs about as much as a send.
    unseen: u32,
    is_streaming: bool,
}

#[derive(Clone, Copy, Debug)]
struct Run {
    began: Instant,
    last: Instant,
}

impl Rhythm {
    /// Notes a send that begins `now`. True when the run has lasted long enough to be a stream.
    pub fn is_streaming(&mut self, now: Instant) -> bool {
        let began = match self.run {
            Some(run) if now.saturating_duration_since(run.last) < PAUSE * (self.unseen + 1) => {
                run.began
            }
            _ => now,
        };
        self.run = Some(Run { began, last: now });
        self.unseen = 0;
        self.is_streaming = now.saturating_duration_since(began) >= STREAM;
        self.is_streaming
    }

    /// True when a send that follows closely on the last one is a part of a stream, as far as is
    /// known without the time.
    pub fn goes_on(&mut self) -> bool {
        self.unseen += 1;
        self.is_streaming && self.unseen < UNSEEN_MAX
    }

    /// Notes that a write, which takes its time, has ended `now`.
    pub fn wrote(&mut self, now: Instant) {
        if let Some(run) = &mut self.run {
            run.last = now;
        }
    }

    /// The application did something else in between: it is no stream.
    pub fn interrupt(&mut self) {
        self.run = None;
        self.is_streaming = false;
    }
}

/// A gap between two sends that ends a run.
pub const PAUSE: Duration = Duration::from_micros(8);
/// A run of this length is a stream: from now on a message may be late by what was gained.
pub const STREAM: Duration = Duration::from_micros(50);
/// Sends between two looks at the clock.
const UNSEEN_MAX: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: Instant, micros: u64) -> Instant {
        start + Duration::from_micros(micros)
    }

    #[test]
    fn back_to_back_sends_become_a_stream() {
        let (mut rhythm, start) = (Rhythm::default(), Instant::now());
        let first = (0..100).find(|i| rhythm.is_streaming(at(start, i * 5)));
        assert_eq!(first, Some(10));
    }

    #[test]
    fn a_pause_or_an_interruption_starts_again() {
        let (mut rhythm, start) = (Rhythm::default(), Instant::now());
        (0..20).for_each(|i| assert_eq!(rhythm.is_streaming(at(start, i * 5)), i >= 10));
        assert!(!rhythm.is_streaming(at(start, 200)));
        (0..20).for_each(|i| assert_eq!(rhythm.is_streaming(at(start, 300 + i * 5)), i >= 10));
        rhythm.interrupt();
        assert!(!rhythm.is_streaming(at(start, 400)));
    }

    #[test]
    fn the_time_of_writing_is_no_pause() {
        let (mut rhythm, start) = (Rhythm::default(), Instant::now());
        for i in 0..10 {
            assert_eq!(rhythm.is_streaming(at(start, i * 20)), i >= 3);
            rhythm.wrote(at(start, i * 20 + 15));
        }
    }
}
