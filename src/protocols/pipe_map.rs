//! What is known of each pipe, in the order of the pipes' numbers.
//!
//! Peers may come and go by the thousand, so that finding, adding and removing one takes no longer
//! the more there are, or next to no longer: a removed entry leaves a gap, and gaps are closed when
//! they are as many as what is left. One pipe, which most sockets have, is found at first sight.

use super::PipeId;

#[derive(Debug)]
pub struct PipeMap<T> {
    /// Sorted, with gaps, of which there are fewer than entries, or none.
    slots: Vec<(PipeId, Option<T>)>,
    gaps: usize,
}

impl<T> Default for PipeMap<T> {
    fn default() -> PipeMap<T> {
        PipeMap { slots: Vec::new(), gaps: 0 }
    }
}

impl<T> PipeMap<T> {
    /// Adds what is known of a pipe, which most often has the highest number.
    pub fn insert(&mut self, pipe: PipeId, value: T) {
        if self.slots.last().is_none_or(|(last, _)| *last < pipe) {
            return self.slots.push((pipe, Some(value)));
        }
        match self.slots.binary_search_by_key(&pipe, |(id, _)| *id) {
            Ok(at) => {
                let before = self.slots[at].1.replace(value);
                self.gaps -= usize::from(before.is_none());
            }
            Err(at) => self.slots.insert(at, (pipe, Some(value))),
        }
    }

    pub fn remove(&mut self, pipe: PipeId) -> Option<T> {
        let at = position(&self.slots, pipe)?;
        let removed = self.slots[at].1.take()?;
        self.gaps += 1;
        if self.gaps >= self.len() {
            self.close_gaps();
        }
        Some(removed)
    }

    #[must_use]
    #[inline]
    pub fn get(&self, pipe: PipeId) -> Option<&T> {
        match &self.slots[..] {
            [(only, value)] if *only == pipe => value.as_ref(),
            _ => self.search(pipe),
        }
    }

    /// Apart, so that who finds the only one at once has nothing to keep meanwhile.
    #[inline(never)]
    fn search(&self, pipe: PipeId) -> Option<&T> {
        let at = self.slots.binary_search_by_key(&pipe, |(id, _)| *id).ok()?;
        self.slots[at].1.as_ref()
    }

    #[inline]
    pub fn get_mut(&mut self, pipe: PipeId) -> Option<&mut T> {
        match &mut self.slots[..] {
            [(only, value)] => value.as_mut().filter(|_| *only == pipe),
            all => all[position(all, pipe)?].1.as_mut(),
        }
    }

    #[must_use]
    pub fn contains(&self, pipe: PipeId) -> bool {
        self.get(pipe).is_some()
    }

    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        self.slots.len() - self.gaps
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().filter_map(|(_, value)| value.as_ref())
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = (PipeId, &mut T)> {
        self.slots.iter_mut().filter_map(|(pipe, value)| Some((*pipe, value.as_mut()?)))
    }

    /// So seldom that each removal has paid for it.
    #[cold]
    fn close_gaps(&mut self) {
        self.slots.retain(|(_, value)| value.is_some());
        self.gaps = 0;
        if self.slots.capacity() / ROOM_MAX > self.slots.len() {
            self.slots.shrink_to(self.slots.len() * 2);
        }
    }
}

#[inline(never)]
fn position<T>(slots: &[(PipeId, T)], pipe: PipeId) -> Option<usize> {
    slots.binary_search_by_key(&pipe, |(id, _)| *id).ok()
}

/// How many times what is needed may stay reserved.
const ROOM_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::testing::{MANY, in_disorder};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_a_tree(operations in proptest::collection::vec((0..3, 0..12_u32), 0..300)) {
            let (mut map, mut tree) = (PipeMap::default(), BTreeMap::new());
            for (step, (operation, number)) in operations.into_iter().enumerate() {
                let (pipe, value) = (PipeId(number), step as u32);
                match operation {
                    0 => {
                        map.insert(pipe, value);
                        tree.insert(number, value);
                    }
                    1 => prop_assert_eq!(map.remove(pipe), tree.remove(&number)),
                    _ => prop_assert_eq!(map.get_mut(pipe), tree.get_mut(&number)),
                }
                prop_assert_eq!(map.get(pipe), tree.get(&number));
                prop_assert_eq!(map.len(), tree.len());
                prop_assert!(map.iter().eq(tree.values()));
                prop_assert!(map.gaps < map.len() || map.slots.is_empty());
            }
        }
    }

    #[test]
    fn what_many_have_left_behind_is_given_back() {
        let mut map = PipeMap::default();
        (0..MANY).for_each(|number| map.insert(PipeId(number), number));
        for number in in_disorder() {
            assert_eq!(map.remove(PipeId(number)), Some(number));
        }
        assert!(map.slots.is_empty() && map.slots.capacity() < 100);
    }

    /// One that stays while a million come and go, as in any server.
    #[test]
    fn who_stays_is_found_among_gaps() {
        let mut map = PipeMap::default();
        map.insert(PipeId(0), 7);
        for number in 1..if cfg!(miri) { 2000 } else { 1_000_000 } {
            map.insert(PipeId(number), 8);
            assert_eq!(map.remove(PipeId(number)), Some(8));
            assert_eq!(map.slots.len(), 1);
        }
        assert_eq!(map.get(PipeId(0)), Some(&7));
    }
}
