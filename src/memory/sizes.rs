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
    use super::*;

    #[test]
    fn a_size_is_as_large_as_asked_and_not_much_larger() {
        let (small, big) = ((64, 16 * 1024, 64), (16 * 1024, 16 << 20, 8 * 1024));
        for (min, max, extra) in [small, big] {
            let sizes = Sizes { min, max, extra };
            assert_eq!((sizes.size(0), sizes.size(sizes.count() - 1)), (min + extra, max + extra));
            let steps = (max / 1_000_000 + 1) * if cfg!(miri) { 997 } else { 3 };
            for size in (min..=max + extra).step_by(steps).chain([max, max + extra]) {
                let number = sizes.number(size).unwrap();
                let whole = sizes.size(number);
                assert!(whole >= size && whole <= size / 2 * 3 + 2 * extra, "{size}: {whole}");
                assert!(number == 0 || sizes.size(number - 1) < size, "{size}: {number}");
                assert_eq!(sizes.number(whole), Some(number));
            }
            for size in [0, 1, min - 1, max + extra + 1, usize::MAX] {
                assert_eq!(sizes.number(size), None);
            }
            // A power of two with what belongs to it has a size of its own.
            assert_eq!(
                sizes.number(max / 2 + extra).map(|number| sizes.size(number)),
                Some(max / 2 + extra)
            );
        }
    }
}
