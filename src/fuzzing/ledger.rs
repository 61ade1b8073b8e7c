//! What was sent in a run, so that what is received can be known for it.

use crate::ffi::abi::nn::{PROTO_SP, SP_HDR};
use crate::message::control;

#[derive(Default)]
pub struct Ledger(Vec<Entry>);

struct Entry {
    /// The header that a program gave, and the body. Where the one ends, peers may see otherwise.
    bytes: Vec<u8>,
    is_taken: bool,
}

/// Whether a message that arrived may have arrived before.
#[derive(Clone, Copy, PartialEq)]
pub enum Arrival {
    Once,
    Often,
}

impl Ledger {
    /// A body of that size that nobody else has, where there is room for a difference.
    pub fn body(&self, size: usize) -> Vec<u8> {
        let number = (self.0.len() as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        number.to_be_bytes().into_iter().cycle().take(size).collect()
    }

    pub fn sent(&mut self, control: &[u8], body: &[u8]) {
        let bytes = [header(control), body].concat();
        self.0.push(Entry { bytes, is_taken: false });
    }

    /// Fails when nobody sent a message that ends like this one of `len` bytes, of which the
    /// beginning is known.
    pub fn received(&mut self, len: usize, beginning: &[u8], arrival: Arrival) {
        let is_it = |entry: &Entry| {
            let start = entry.bytes.len().checked_sub(len);
            start.is_some_and(|start| entry.bytes[start..].starts_with(beginning))
        };
        let found: Vec<usize> = (0..self.0.len()).filter(|at| is_it(&self.0[*at])).collect();
        assert!(!found.is_empty(), "nobody sent these {len} bytes: {beginning:x?}");
        // What is too short, or cut off, may be any of several.
        if let [only] = found[..]
            && arrival == Arrival::Once
        {
            assert!(!self.0[only].is_taken, "a message arrived twice: {beginning:x?}");
            self.0[only].is_taken = true;
        }
    }
}

/// The first entry that is a header, if it holds what it says (protocols 2.2).
fn header(control: &[u8]) -> &[u8] {
    let mut entries = control::entries(control);
    let found = entries.find(|entry| entry.level == PROTO_SP && entry.kind == SP_HDR);
    let data = found.and_then(|entry| entry.data.split_first_chunk::<{ control::WORD }>());
    data.and_then(|(len, rest)| rest.get(..usize::from_ne_bytes(*len))).unwrap_or_default()
}
