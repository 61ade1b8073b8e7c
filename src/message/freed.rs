//! Where big chunks lay that were freed: their memory may have gone back to the kernel, so that a
//! second free must be recognised without a look at it. Pure.
//!
//! Addresses share a fixed number of slots. What one has displaced is forgotten, but that something
//! was forgotten there is not.

use std::sync::atomic::{AtomicUsize, Ordering};

pub struct Freed {
    /// An address of which the lowest bit is free to say that another was forgotten; 0 for none.
    slots: [AtomicUsize; SLOTS],
}

/// What is known of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// A chunk lay there, and none does now.
    Freed,
    /// Nothing was freed there, unless something else is there since.
    InUse,
    /// Too much was freed to remember.
    Perhaps,
}

impl Freed {
    pub const fn new() -> Freed {
        Freed { slots: [const { AtomicUsize::new(NONE) }; SLOTS] }
    }

    // Cold, all of them: what is inlined for big chunks is paid for by small ones.

    /// To be called before the memory is given back, for somebody else may have it at once. The
    /// allocator, which hands it from one to the other, orders what both note here.
    #[cold]
    pub fn note_freed(&self, address: usize) {
        let slot = self.slot(address);
        let before = slot.swap(address, Ordering::Relaxed);
        let is_other = before != NONE && before != address;
        if is_other {
            slot.fetch_or(FORGOTTEN, Ordering::Relaxed);
        }
    }

    /// A chunk lies there now.
    #[cold]
    pub fn note_used(&self, address: usize) {
        let slot = self.slot(address);
        let known = slot.load(Ordering::Relaxed);
        if known & !FORGOTTEN == address {
            // If that fails, another one has taken the slot.
            let left = known & FORGOTTEN;
            let _ = slot.compare_exchange(known, left, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    #[cold]
    pub fn look_up(&self, address: usize) -> Known {
        let known = self.slot(address).load(Ordering::Relaxed);
        match known & FORGOTTEN {
            _ if known & !FORGOTTEN == address => Known::Freed,
            FORGOTTEN => Known::Perhaps,
            _ => Known::InUse,
        }
    }

    fn slot(&self, address: usize) -> &AtomicUsize {
        let page = (address / PAGE) as u64;
        &self.slots[(page.wrapping_mul(SPREAD) >> (u64::BITS - SLOTS.ilog2())) as usize]
    }
}

const NONE: usize = 0;
const FORGOTTEN: usize = 1;
const SLOTS: usize = 1024;
const PAGE: usize = 4096;
/// An odd number whose bits have no pattern, so that neighbours get slots far apart.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_freed_until_it_is_used_again() {
        let freed = Freed::new();
        assert_eq!(freed.look_up(7 * PAGE), Known::InUse);
        for _ in 0..3 {
            freed.note_freed(7 * PAGE);
            freed.note_freed(7 * PAGE);
            assert_eq!(freed.look_up(7 * PAGE), Known::Freed);
            assert_eq!(freed.look_up(8 * PAGE), Known::InUse);
            freed.note_used(8 * PAGE);
            assert_eq!(freed.look_up(7 * PAGE), Known::Freed);
            freed.note_used(7 * PAGE);
            assert_eq!(freed.look_up(7 * PAGE), Known::InUse);
        }
    }

    #[test]
    fn what_is_forgotten_is_not_taken_for_in_use() {
        let freed = Freed::new();
        let all = || (1..=2 * SLOTS).map(|page| page * PAGE);
        all().for_each(|address| freed.note_freed(address));
        let count = |known| all().filter(|address| freed.look_up(*address) == known).count();
        assert_eq!(count(Known::InUse), 0);
        let remembered = count(Known::Freed);
        assert!((SLOTS / 2..=SLOTS).contains(&remembered), "{remembered} are remembered");
        // Those who lie there again may have been forgotten, which is said as well.
        all().for_each(|address| freed.note_used(address));
        assert_eq!(count(Known::Freed), 0);
        assert!(count(Known::Perhaps) > SLOTS / 2);
    }

    /// Most programs have a few big messages again and again.
    #[test]
    fn a_few_neighbours_do_not_displace_each_other() {
        let freed = Freed::new();
        let all = || (0..16).map(|number| 0x7f00_0000 + number * 257 * PAGE);
        all().for_each(|address| freed.note_freed(address));
        assert!(all().all(|address| freed.look_up(address) == Known::Freed));
    }
}
