//! The sizes that blocks have which are kept for the next one who needs such a block: the fewer
//! there are, the more often one fits.

/// Powers of two, and what lies in the middle between them.
pub struct Sizes {
    /// Smaller ones are cheap to have. Both are powers of two.
    pub min: usize,
    pub max: usize,
    /// What those have in addition whose content is as large as such a size.
    pub extra: usize,
}

impl Sizes {
    /// How many there are from the smallest to the largest.
    pub const fn count(&self) -> usize {
        ((self.max / self.min).ilog2() * 2 + 1) as usize
    }

    /// The number of the smallest of them that is at least so large.
    #[inline]
    pub fn number(&self, size: usize) -> Option<usize> {
        if !(self.min..=self.max + self.extra).contains(&size) {
            return None;
        }
        let size = (size - 1).saturating_sub(self.extra).max(self.min - 1);
        let (octave, half) = (size.ilog2(), size >> (size.ilog2() - 1) & 1);
        Some(((octave + 1 - self.min.ilog2()) * 2) as usize + half - 1)
    }

    /// The size with that number.
    #[inline]
    pub const fn size(&self, number: usize) -> usize {
        let quarters = if number.is_multiple_of(2) { 4 } else { 3 };
        (self.min << number.div_ceil(2)) / 4 * quarters + self.extra
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use crate::memory::{stock, trays};

    #[test]
    fn a_size_is_as_large_as_asked_and_not_much_larger() {
        for sizes in [trays::SIZES, stock::SIZES] {
            let last = sizes.count() - 1;
            let whole = |number| sizes.size(number);
            assert_eq!((whole(0), whole(last)), (sizes.min + sizes.extra, sizes.max + sizes.extra));
            for number in 0..=last {
                assert_eq!(sizes.number(whole(number)), Some(number));
                assert_eq!(sizes.number(whole(number) + 1), (number < last).then_some(number + 1));
                // A power of two, or the middle, with what belongs to it has a size of its own.
                let content = whole(number) - sizes.extra;
                assert!(content.is_power_of_two() || (content / 3).is_power_of_two());
                let least = if number == 0 { sizes.min } else { whole(number - 1) + 1 };
                assert!(least <= whole(number) && whole(number) <= least / 2 * 3 + sizes.extra);
            }
            for size in [0, 1, sizes.min - 1, sizes.max + sizes.extra + 1, usize::MAX] {
                assert_eq!(sizes.number(size), None);
            }
            assert_eq!(sizes.number(sizes.min), Some(0));
        }
    }
}
