//! How long to wait before connecting again. Pure.

use std::time::Duration;

/// The first retry comes at once, then the delays grow: m, 3m, 7m, 15m, ... up to the maximum.
/// A success starts again at m, not at once: else a peer that accepts and then refuses would be
/// tried in a tight loop.
#[derive(Clone, Debug)]
pub struct Backoff {
    interval: Duration,
    maximum: Duration,
    multiple: u32,
}

impl Backoff {
    /// A `maximum` of zero means the interval itself.
    #[must_use]
    pub fn new(interval: Duration, maximum: Duration) -> Backoff {
        let interval = interval.max(INTERVAL_MIN);
        let maximum = if maximum.is_zero() { interval } else { maximum.max(INTERVAL_MIN) };
        Backoff { interval, maximum, multiple: 1 }
    }

    /// The delay before the next attempt.
    pub fn next_delay(&mut self) -> Duration {
        let delay = self.interval.saturating_mul(self.multiple - 1);
        if delay > self.maximum {
            return self.maximum;
        }
        self.multiple = self.multiple.saturating_mul(2);
        delay
    }

    /// A peer was there and spoke our language.
    pub fn succeeded(&mut self) {
        self.multiple = 2;
    }
}

/// An interval of zero would busy the machine with attempts.
const INTERVAL_MIN: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn delays(interval: u64, maximum: u64) -> Vec<u128> {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new(ms(interval), ms(maximum));
        (0..6).map(|_| backoff.next_delay().as_millis()).collect()
    }

    #[test]
    fn follows_the_table_of_the_reference() {
        assert_eq!(delays(100, 0), [0, 100, 100, 100, 100, 100]);
        assert_eq!(delays(100, 1000), [0, 100, 300, 700, 1000, 1000]);
        assert_eq!(delays(100, 700), [0, 100, 300, 700, 700, 700]);
        assert_eq!(delays(1000, 100), [0, 100, 100, 100, 100, 100]);
        assert_eq!(delays(0, 0), [0, 1, 1, 1, 1, 1]);
    }

    #[test]
    fn after_a_success_the_interval_is_kept() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(1000));
        for _ in 0..5 {
            backoff.next_delay();
        }
        backoff.succeeded();
        assert_eq!(backoff.next_delay().as_millis(), 100);
        assert_eq!(backoff.next_delay().as_millis(), 300);
    }
}
