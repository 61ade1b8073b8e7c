//! Control data: a row of entries, each a word and two numbers, data, and padding to a whole word.
//!
//! A block from C is only bytes to us: it may lie at any address and say anything. Lengths are
//! checked before they are believed, and an entry that is shorter than its own head ends the row.

use std::iter;

use super::{Chunk, OutOfMemory};

/// One thing that control data says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Whose entry it is: a protocol's or a transport's number.
    pub level: i32,
    pub kind: i32,
    pub data: &'a [u8],
}

impl Entry<'_> {
    /// A block with this entry alone.
    ///
    /// # Errors
    /// When memory for it cannot be had.
    pub fn to_chunk(self) -> Result<Chunk, OutOfMemory> {
        let len = HEAD + self.data.len().next_multiple_of(WORD);
        let mut chunk = Chunk::with_capacity(len)?;
        chunk.extend(&len.to_ne_bytes());
        chunk.extend(&self.level.to_ne_bytes());
        chunk.extend(&self.kind.to_ne_bytes());
        chunk.extend(self.data);
        chunk.extend(&[0; WORD][..len - HEAD - self.data.len()]);
        Ok(chunk)
    }
}

pub fn entries(block: &[u8]) -> impl Iterator<Item = Entry<'_>> {
    iter::successors(Some(0), |&offset| offset_behind(block, offset))
        .map_while(|offset| entry(block, offset))
}

fn entry(block: &[u8], offset: usize) -> Option<Entry<'_>> {
    let bytes = &block[offset..][..entry_len(block, offset)?];
    let (_, rest) = bytes.split_first_chunk::<WORD>()?;
    let (level, rest) = rest.split_first_chunk::<4>()?;
    let (kind, data) = rest.split_first_chunk::<4>()?;
    Some(Entry { level: i32::from_ne_bytes(*level), kind: i32::from_ne_bytes(*kind), data })
}

/// Where the next entry begins. An entry without a head of its own has none behind it: its length
/// would lead nowhere, or round in a circle.
#[must_use]
pub fn offset_behind(block: &[u8], offset: usize) -> Option<usize> {
    let len = entry_len(block, offset).filter(|len| *len >= HEAD)?;
    // Cannot wrap, because the padded entry lies inside the block.
    let next = offset + len.next_multiple_of(WORD);
    entry_len(block, next).map(|_| next)
}

/// What the entry at `offset` says its length is, if a head and that length with its padding lie
/// inside the block.
#[must_use]
pub fn entry_len(block: &[u8], offset: usize) -> Option<usize> {
    let rest = block.get(offset..).filter(|rest| rest.len() >= HEAD)?;
    let len = usize::from_ne_bytes(*rest.first_chunk()?);
    len.checked_next_multiple_of(WORD).filter(|padded| *padded <= rest.len()).map(|_| len)
}

/// Entries about peers, as C numbers them; `ffi/extension.rs` holds them to the header.
pub mod peer {
    pub const LEVEL: i32 = 0x5350_0000;
    pub const ADDRESS: i32 = 0x5350_0001;
    pub const CREDENTIALS: i32 = 0x5350_0002;
    pub const NUMBER: i32 = 0x5350_0003;
    pub const HEADERS: i32 = 0x5350_0004;
    pub const CERTIFICATE: i32 = 0x5350_0005;

    /// The number of the peer that control data names.
    #[must_use]
    pub fn named(control: &[u8]) -> Option<u32> {
        let names = |entry: &super::Entry<'_>| entry.level == LEVEL && entry.kind == NUMBER;
        let entry = super::entries(control).find(names)?;
        entry.data.first_chunk().copied().map(u32::from_ne_bytes)
    }
}

/// Entries begin at multiples of this, and sizes inside them take as much.
pub const WORD: usize = size_of::<usize>();
/// Length, level, kind.
pub const HEAD: usize = WORD + 2 * size_of::<i32>();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for len in 0..20 {
            let data: Vec<u8> = (1..=len).collect();
            let chunk = Entry { level: -4, kind: 7, data: &data }.to_chunk().unwrap();
            assert_eq!(chunk.len() % WORD, 0);
            let found: Vec<_> = entries(chunk.as_slice()).collect();
            assert_eq!(found.len(), 1);
            assert_eq!((found[0].level, found[0].kind), (-4, 7));
            assert_eq!(found[0].data[..data.len()], data);
            assert!(found[0].data[data.len()..].iter().all(|byte| *byte == 0));
        }
    }

    #[test]
    fn walks_any_bytes_to_an_end() {
        let mut state = 1_u32;
        for size in 0..if cfg!(miri) { 100 } else { 2000 } {
            let block: Vec<u8> = (0..size % 97)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    // Mostly small numbers, so that lengths are often plausible.
                    if state >> 30 == 0 { (state >> 24) as u8 & 0x3f } else { 0 }
                })
                .collect();
            assert!(entries(&block).count() <= block.len() / HEAD);
        }
    }

    /// What the rule says (see [`entry_len`] and [`offset_behind`]), in numbers that cannot wrap:
    /// where entries begin, and how long they say they are.
    fn walked(block: &[u8]) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        let mut offset = 0;
        while let Some(len) = block.get(offset..offset + HEAD).map(|head| &head[..WORD]) {
            let len = usize::from_ne_bytes(len.try_into().unwrap()) as u128;
            let padded = len.next_multiple_of(WORD as u128);
            if padded > (block.len() - offset) as u128 {
                break;
            }
            found.push((offset, len as usize));
            if len < HEAD as u128 {
                break;
            }
            offset += padded as usize;
        }
        found
    }

    fn check(block: &[u8]) {
        let expected = walked(block);
        let first = entry_len(block, 0).map(|_| 0);
        let offsets: Vec<usize> =
            iter::successors(first, |&offset| offset_behind(block, offset)).collect();
        let starts: Vec<usize> = expected.iter().map(|(offset, _)| *offset).collect();
        assert_eq!(offsets, starts, "{block:?}");
        // One that is shorter than its head is found, and says nothing.
        let whole = expected.iter().filter(|(_, len)| *len >= HEAD);
        let data: Vec<&[u8]> =
            whole.map(|(offset, len)| &block[offset + HEAD..offset + len]).collect();
        assert_eq!(entries(block).map(|entry| entry.data).collect::<Vec<_>>(), data, "{block:?}");
    }

    /// Blocks of every size up to a few entries, with every length that matters at every place.
    #[test]
    #[cfg_attr(miri, ignore = "too much to interpret")]
    fn every_small_block_is_walked_by_the_rule() {
        let far = [1 << 31, 1 << (usize::BITS / 2), isize::MAX as usize]
            .into_iter()
            .flat_map(|far| far - 1..far + 2);
        let lengths: Vec<usize> = (0..70).chain(far).chain(usize::MAX - 40..=usize::MAX).collect();
        for size in 0..=4 * HEAD {
            for &first in &lengths {
                let mut block = vec![0; size];
                put(&mut block, 0, first);
                check(&block);
                let behind = first.checked_next_multiple_of(WORD).filter(|at| *at < size);
                let Some(behind) = behind.filter(|at| *at >= HEAD) else { continue };
                for &second in &lengths {
                    put(&mut block, behind, second);
                    check(&block);
                }
            }
        }
    }

    fn put(block: &mut [u8], at: usize, number: usize) {
        block[at..].iter_mut().zip(number.to_ne_bytes()).for_each(|(place, byte)| *place = byte);
    }

    /// No offset that a caller may think of makes the walk look outside.
    #[test]
    fn offsets_outside_find_nothing() {
        let block = Entry { level: 1, kind: 1, data: b"data" }.to_chunk().unwrap();
        for offset in (block.len() - HEAD + 1..block.len() + 40).chain(usize::MAX - 40..=usize::MAX)
        {
            assert_eq!(entry_len(block.as_slice(), offset), None, "{offset:#x}");
            assert_eq!(offset_behind(block.as_slice(), offset), None, "{offset:#x}");
        }
    }
}
