//! Deadlines in order of time, at most one for each key. Pure: the clock is the caller's.

use std::time::Instant;

use super::Key;
use crate::memory::{self, Map, OutOfMemory};

/// A heap that knows where each key is in it.
#[derive(Debug, Default)]
pub struct Timers {
    /// No deadline is earlier than that of its parent, which stands at half its place.
    heap: Vec<(Instant, Key)>,
    places: Map<Key, usize>,
}

impl Timers {
    /// Has memory for so many keys, whatever comes.
    ///
    /// # Errors
    /// When it cannot be had.
    pub fn reserve(&mut self, keys: usize) -> Result<(), OutOfMemory> {
        let more = keys.saturating_sub(self.heap.len());
        memory::reserve(&mut self.heap, more)?;
        memory::reserve(&mut self.places, more)
    }

    /// Sets or takes away the deadline of `key`. True when the next deadline is earlier now.
    pub fn set(&mut self, key: Key, deadline: Option<Instant>) -> bool {
        if let Some(place) = self.places.remove(&key) {
            self.heap.swap_remove(place);
            self.settle(place);
        }
        let Some(deadline) = deadline else { return false };
        let place = self.heap.len();
        self.heap.push((deadline, key));
        self.places.insert(key, place);
        self.rise(place);
        self.heap.first() == Some(&(deadline, key))
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.heap.first().map(|(deadline, _)| *deadline)
    }

    /// The key of the earliest deadline that is not after `now`. Its deadline is gone.
    pub fn pop_passed(&mut self, now: Instant) -> Option<Key> {
        let (deadline, key) = *self.heap.first()?;
        if deadline > now {
            return None;
        }
        self.set(key, None);
        Some(key)
    }

    /// Something else stands at `place` than before, if anything does.
    fn settle(&mut self, place: usize) {
        if place < self.heap.len() {
            let place = self.rise(place);
            self.sink(place);
        }
    }

    fn rise(&mut self, mut place: usize) -> usize {
        while place > 0 && self.heap[place] < self.heap[(place - 1) / 2] {
            self.heap.swap(place, (place - 1) / 2);
            self.note(place);
            place = (place - 1) / 2;
        }
        self.note(place);
        place
    }

    fn sink(&mut self, mut place: usize) {
        loop {
            let children = 2 * place + 1..(2 * place + 3).min(self.heap.len());
            let Some(least) = children.min_by_key(|child| self.heap[*child]) else { break };
            if self.heap[place] < self.heap[least] {
                break;
            }
            self.heap.swap(place, least);
            self.note(place);
            place = least;
        }
        self.note(place);
    }

    fn note(&mut self, place: usize) {
        if let Some(known) = self.places.get_mut(&self.heap[place].1) {
            *known = place;
        }
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

    #[test]
    fn any_order_of_changes_leaves_them_in_order() {
        let (mut timers, now) = (Timers::default(), Instant::now());
        let mut model = std::collections::BTreeMap::new();
        let mut random = 1_u64;
        for _ in 0..5000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (key, after) = (Key(random >> 33 & 31), now + Duration::from_millis(random >> 50));
            let deadline = (random >> 40 & 3 != 0).then_some(after);
            match deadline {
                Some(deadline) => model.insert(key, deadline),
                None => model.remove(&key),
            };
            timers.set(key, deadline);
            assert_eq!(timers.next(), model.values().min().copied());
            assert_eq!(timers.len(), model.len());
            assert!(timers.places.iter().all(|(key, place)| timers.heap[*place].1 == *key));
        }
        let end = now + Duration::from_secs(3600);
        let mut last = now;
        while let Some(key) = timers.pop_passed(end) {
            let deadline = model.remove(&key).unwrap();
            assert!(deadline >= last);
            last = deadline;
        }
        assert!(model.is_empty());
    }

    #[test]
    fn what_was_reserved_needs_no_memory() {
        let (mut timers, now) = (Timers::default(), Instant::now());
        timers.reserve(100).unwrap();
        let attempt = memory::Attempt::watch();
        memory::without_memory(|| {
            (0..100).for_each(|number| _ = timers.set(Key(number), Some(now)));
        });
        assert_eq!(attempt.check(), Ok(()));
        assert_eq!(memory::without_memory(|| timers.reserve(1000)), Err(OutOfMemory));
    }
}
