//! How long to wait before connecting again. Pure.

use std::time::Duration;

/// The first retry comes at once, then the delays grow: m, 3m, 7m, 15m, ... up to the maximum.
/// A success starts again at m, not at once: else a peer that accepts and then refuses would be
/// tried in a tight loop.
///
/// Connections that come to nothing because the peer breaks the rules are no successes: after each
/// in a row the delay is twice as long.
#[derive(Clone, Debug)]
pub struct Backoff {
    interval: Duration,
    maximum: Duration,
    multiple: u32,
    /// Where the delays end that double.
    futile_max: Duration,
    /// The next of them, if the last connection came to nothing.
    futile: Option<Duration>,
    /// How many did in a row.
    futile_count: u32,
}

impl Backoff {
    /// A `maximum` of zero means the interval itself.
    #[must_use]
    pub fn new(interval: Duration, maximum: Duration) -> Backoff {
        let interval = interval.max(INTERVAL_MIN);
        let futile_max =
            if maximum.is_zero() { interval.max(FUTILE_MAX) } else { interval.max(maximum) };
        let maximum = if maximum.is_zero() { interval } else { maximum.max(INTERVAL_MIN) };
        Backoff { interval, maximum, multiple: 1, futile_max, futile: None, futile_count: 0 }
    }

    /// The delay before the next attempt.
    pub fn next_delay(&mut self) -> Duration {
        if let Some(delay) = self.futile.take() {
            return delay;
        }
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

    /// The connection with it is over, and brought something.
    pub fn was_of_use(&mut self) {
        self.futile_count = 0;
    }

    /// The connection with it is over, because it broke the rules before it brought anything.
    pub fn was_futile(&mut self) {
        let factor = 1_u32.checked_shl(self.futile_count).unwrap_or(u32::MAX);
        self.futile = Some(self.interval.saturating_mul(factor).min(self.futile_max));
        self.futile_count = self.futile_count.saturating_add(1);
    }
}

/// An interval of zero would busy the machine with attempts.
const INTERVAL_MIN: Duration = Duration::from_millis(1);
/// How long a peer is left alone at most that breaks the rules whenever it is connected, unless
/// the application says how long.
const FUTILE_MAX: Duration = Duration::from_secs(2);

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

    #[test]
    fn who_is_of_no_use_is_tried_less_and_less_often() {
        let ms = Duration::from_millis;
        let delays = |maximum, count: usize| -> Vec<u128> {
            let mut backoff = Backoff::new(ms(100), ms(maximum));
            let delay = |_| {
                backoff.succeeded();
                backoff.was_futile();
                backoff.next_delay().as_millis()
            };
            (0..count).map(delay).collect()
        };
        let growing = [100, 200, 400, 800, 1600, 2000, 2000, 2000];
        assert_eq!((&delays(0, 8)[..], delays(0, 99)[98]), (&growing[..], 2000));
        assert_eq!(delays(500, 5), [100, 200, 400, 500, 500]);
        assert_eq!(delays(50, 3), [100, 100, 100]);
    }

    #[test]
    fn who_was_of_use_is_tried_as_ever() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::ZERO);
        for _ in 0..4 {
            backoff.was_futile();
        }
        assert_eq!(backoff.next_delay().as_millis(), 800);
        // It could not be reached at first.
        assert_eq!([(); 2].map(|()| backoff.next_delay().as_millis()), [0, 100]);
        backoff.was_futile();
        assert_eq!(backoff.next_delay().as_millis(), 1600);
        backoff.succeeded();
        backoff.was_of_use();
        assert_eq!(backoff.next_delay().as_millis(), 100);
        backoff.was_futile();
        assert_eq!(backoff.next_delay().as_millis(), 100);
    }
}
