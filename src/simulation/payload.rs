//! What is sent: bodies that say who sent them and when, and that cannot be mistaken.

/// A body's first bytes; the rest follows from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    pub sender: u32,
    pub number: u32,
}

pub const LEAST: usize = 12;

/// A body of that size, or a little more.
#[must_use]
pub fn body(stamp: Stamp, size: usize) -> Vec<u8> {
    let size = size.max(LEAST);
    let mut bytes = Vec::with_capacity(size);
    bytes.extend_from_slice(&stamp.sender.to_le_bytes());
    bytes.extend_from_slice(&stamp.number.to_le_bytes());
    bytes.extend_from_slice(&(size as u32).to_le_bytes());
    bytes.extend((LEAST..size).map(|at| filler(stamp, at)));
    bytes
}

/// Who sent it, if nothing of it has changed on the way.
#[must_use]
pub fn read(bytes: &[u8]) -> Option<Stamp> {
    let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let stamp = Stamp { sender: word(0)?, number: word(4)? };
    let is_whole = word(8)? as usize == bytes.len();
    let rest = bytes.iter().enumerate().skip(LEAST);
    let is_intact = rest.into_iter().all(|(at, byte)| *byte == filler(stamp, at));
    (is_whole && is_intact).then_some(stamp)
}

fn filler(stamp: Stamp, at: usize) -> u8 {
    (stamp.sender.wrapping_mul(31) ^ stamp.number.wrapping_mul(7) ^ at as u32) as u8
}
