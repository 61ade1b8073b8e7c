//! Memory to be filled, which nobody need have written to before.

use std::mem::MaybeUninit;

/// Up to two places, of which the first is filled first.
pub struct Room<'a> {
    places: [&'a mut [MaybeUninit<u8>]; 2],
    filled: usize,
}

impl<'a> Room<'a> {
    #[must_use]
    pub fn new(first: &'a mut [MaybeUninit<u8>], second: &'a mut [MaybeUninit<u8>]) -> Room<'a> {
        Room { places: [first, second], filled: 0 }
    }

    #[must_use]
    pub fn none() -> Room<'a> {
        Room::new(&mut [], &mut [])
    }

    /// How much is filled by now.
    #[must_use]
    pub fn filled(&self) -> usize {
        self.filled
    }

    /// Fills it with as much of the bytes as there is room for, and says how much that is.
    pub fn fill(&mut self, bytes: &[u8]) -> usize {
        let mut rest = bytes;
        for place in &mut self.places {
            let count = rest.len().min(place.len());
            let (now, later) = std::mem::take(place).split_at_mut(count);
            let (bytes, more) = rest.split_at(count);
            for (cell, byte) in now.iter_mut().zip(bytes) {
                cell.write(*byte);
            }
            (*place, rest) = (later, more);
        }
        let count = bytes.len() - rest.len();
        self.filled += count;
        count
    }
}
