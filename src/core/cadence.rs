//! How closely the sends of a socket with several pipes follow each other.
//!
//! A publisher to sixty peers may send back to back, and yet each connection sees a message only
//! once in a while: by itself it would write every one at once. A socket with one pipe leaves the
//! matter to its connection, which needs to look at the clock less often.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::transports::{PAUSE, STREAM, Tempo};

/// Moments in nanoseconds since [`START`]. Senders in several threads may mix them up: they then
/// send back to back all the more.
#[derive(Debug, Default)]
pub struct Cadence {
    /// When the run of sends without a pause began.
    began: AtomicU64,
    /// When the last send returned.
    returned: AtomicU64,
}

impl Cadence {
    /// Notes that a send begins now.
    pub fn begin(&self) -> Tempo {
        let now = moment();
        let pause = now.saturating_sub(self.returned.load(Ordering::Relaxed));
        if pause >= nanoseconds(PAUSE) {
            self.began.store(now, Ordering::Relaxed);
        }
        let run = now.saturating_sub(self.began.load(Ordering::Relaxed));
        if run >= nanoseconds(STREAM) { Tempo::Streaming } else { Tempo::Unknown }
    }

    /// Notes that a send returns now, with all that it took.
    pub fn end(&self) {
        self.returned.store(moment(), Ordering::Relaxed);
    }

    /// The application does something else: what it sends next may be what somebody waits for.
    #[inline]
    pub fn interrupt(&self) {
        self.returned.store(0, Ordering::Relaxed);
    }
}

fn moment() -> u64 {
    nanoseconds(START.elapsed())
}

fn nanoseconds(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

#[cfg(test)]
mod tests {
    use super::*;

    fn busy(duration: Duration) {
        let began = Instant::now();
        while began.elapsed() < duration {}
    }

    #[test]
    fn long_sends_back_to_back_are_a_stream_until_something_else_happens() {
        let cadence = Cadence::default();
        busy(PAUSE);
        assert_eq!(cadence.begin(), Tempo::Unknown);
        // The time that a send takes is no pause, however long. On a busy machine the gap behind it
        // may be one, so that several tries are granted.
        let streams = (0..1000).any(|_| {
            busy(STREAM);
            cadence.end();
            cadence.begin() == Tempo::Streaming
        });
        assert!(streams);
        cadence.interrupt();
        assert_eq!(cadence.begin(), Tempo::Unknown);
    }
}
