//! Deadlines in order of time, at most one for each key. Pure: the clock is the caller's.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use super::Key;

#[derive(Debug, Default)]
pub struct Timers {
    in_order: BTreeSet<(Instant, Key)>,
    by_key: HashMap<Key, Instant>,
}

impl Timers {
    /// Replaces the deadline of `key`. Says whether it is now the earliest of all.
    pub fn set(&mut self, key: Key, deadline: Option<Instant>) -> bool {
        if let Some(old) = self.by_key.remove(&key) {
            self.in_order.remove(&(old, key));
        }
        let Some(deadline) = deadline else { return false };
        self.by_key.insert(key, deadline);
        self.in_order.insert((deadline, key));
        self.in_order.first() == Some(&(deadline, key))
    }

    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.in_order.first().map(|(deadline, _)| *deadline)
    }

    /// Takes one key whose deadline has passed.
    pub fn pop_passed(&mut self, now: Instant) -> Option<Key> {
        let (deadline, key) = *self.in_order.first()?;
        if deadline > now {
            return None;
        }
        self.set(key, None);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn gives_passed_deadlines_in_order_and_once() {
        let (mut timers, now) = (Timers::default(), Instant::now());
        let after = |ms| now + Duration::from_millis(ms);
        assert!(timers.set(Key(1), Some(after(20))));
        assert!(timers.set(Key(2), Some(after(10))));
        assert!(!timers.set(Key(3), Some(after(30))));
        assert_eq!(timers.next(), Some(after(10)));
        assert_eq!(timers.pop_passed(after(25)), Some(Key(2)));
        assert_eq!(timers.pop_passed(after(25)), Some(Key(1)));
        assert_eq!(timers.pop_passed(after(25)), None);
    }

    #[test]
    fn a_new_deadline_replaces_the_old_one() {
        let (mut timers, now) = (Timers::default(), Instant::now());
        timers.set(Key(1), Some(now));
        timers.set(Key(1), Some(now + Duration::from_secs(1)));
        assert_eq!(timers.pop_passed(now), None);
        timers.set(Key(1), None);
        assert_eq!(timers.next(), None);
    }
}
