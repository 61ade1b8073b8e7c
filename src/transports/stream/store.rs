//! Where messages lie between their arrival and their receipt. No I/O.
//!
//! Small messages stay as bytes until they are received, many from one read. The body of a big
//! one is read straight into the memory that it is delivered in. What a peer only announces gets
//! addresses, but no memory before it arrives.

use super::codec::{Front, Tag};
use crate::memory::{self, OutOfMemory};
use crate::message::{Chunk, Landed, Memory, Room};

/// What has arrived and nobody has received, but for the big message that is incomplete.
#[derive(Debug, Default)]
pub struct Store {
    /// What is to be received next.
    pub front: Front,
    pub bytes: Vec<u8>,
    /// How many of the bytes are consumed.
    pub start: usize,
    /// The size of the largest of the big messages that have arrived.
    largest: usize,
}

/// A big message of which a part has arrived.
#[derive(Debug)]
pub struct Partial {
    chunk: Chunk,
    /// How far the stream may be read straight into the chunk.
    size: usize,
    /// How large the chunk may have to be.
    capacity_max: usize,
    /// Whose content is up to so large has what is at hand.
    trusted: usize,
    /// It is not read into a caller's memory.
    stays: bool,
}

impl Store {
    /// The bytes that are not consumed.
    #[inline]
    #[must_use]
    pub fn rest(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// What the framing noted about the message at the front of the bytes.
    #[must_use]
    pub fn tag(&self) -> Tag {
        Tag(self.bytes.get(self.start).copied().unwrap_or_default())
    }

    /// How much waits to be received.
    #[must_use]
    pub fn waiting(&self) -> usize {
        let apart = match &self.front {
            Front::Apart { chunk, .. } => chunk.len(),
            Front::Landed { landed, .. } => landed.len(),
            Front::Incomplete | Front::Whole { .. } | Front::Broken(_) => 0,
        };
        apart + self.bytes.len() - self.start
    }

    /// Forgets what is consumed.
    pub fn compact(&mut self) {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
    }

    /// A big message that is complete.
    pub fn put_apart(&mut self, chunk: Chunk, tag: Tag) {
        self.largest = self.largest.max(chunk.len());
        self.front = Front::Apart { chunk, tag };
    }

    /// The same in the memory of a caller.
    pub fn put_in_place(&mut self, landed: Landed, tag: Tag) {
        self.largest = self.largest.max(landed.len());
        self.front = Front::Landed { landed, tag };
    }

    /// # Errors
    /// When memory for `bytes` cannot be had.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), OutOfMemory> {
        self.compact();
        memory::reserve(&mut self.bytes, bytes.len())?;
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Nothing is left of the bytes: only a small buffer is worth keeping.
    pub fn clear(&mut self) {
        self.start = 0;
        if self.bytes.capacity() > SMALL_BUFFER {
            self.bytes = Vec::new();
        } else {
            self.bytes.clear();
        }
    }
}

impl Partial {
    /// A message that begins with `arrived`, on the connection whose messages are in `store`.
    ///
    /// # Errors
    /// When memory for that cannot be had.
    pub fn begin(arrived: &[u8], size: usize, store: &Store) -> Result<Partial, OutOfMemory> {
        let trusted = store.largest;
        let capacity = |first: usize| size.min(first.max(arrived.len()));
        let get = |first| {
            let capacity = capacity(first);
            Chunk::with_memory(capacity, memory_for(capacity, trusted))
        };
        // Where the announcement asks for too much, what arrives may still find room.
        let first = FIRST_CAPACITY.max(trusted);
        let mut chunk = get(first).or_else(|OutOfMemory| get(LEAST_CAPACITY))?;
        chunk.extend(arrived);
        Ok(Partial { chunk, size, capacity_max: size, trusted, stays: false })
    }

    /// How large it will be, as far as that is known.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size.max(self.chunk.len())
    }

    /// How much of it may be read straight into its place.
    #[must_use]
    pub fn missing(&self) -> usize {
        self.size - self.chunk.len()
    }

    /// How many of the next bytes of the message can be read into their place.
    pub fn room(&mut self) -> usize {
        let missing = self.missing();
        if missing > 0 {
            // Without more room the bytes arrive elsewhere and are copied: still correct.
            let _ = self.make_room(0);
        }
        missing.min(self.chunk.spare().len())
    }

    /// Has `read` put the next bytes into their place, so many at most.
    pub fn fill<T>(&mut self, most: usize, read: impl FnOnce(&mut Room<'_>) -> T) -> T {
        self.chunk.fill(most, read)
    }

    /// How large it will be, if the rest may be read into a caller's memory.
    #[must_use]
    pub fn size_to_land(&self) -> Option<usize> {
        let is_known = self.capacity_max == self.size;
        (is_known && self.missing() > 0 && !self.stays).then_some(self.size)
    }

    /// From now on it is read into its own chunk, wherever it has been. Where it arrives slowly,
    /// what is there would be copied to and fro.
    pub fn stay(&mut self) {
        self.stays = true;
    }

    /// What has arrived.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        self.chunk.as_slice()
    }

    /// The same, to be made readable where the wire shows it otherwise.
    #[must_use]
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        self.chunk.as_mut_slice()
    }

    #[must_use]
    pub fn into_chunk(self) -> Chunk {
        self.chunk
    }

    /// So much of it may be read straight into its place from now on.
    pub fn expect(&mut self, missing: usize, capacity_max: usize) {
        self.size = self.chunk.len() + missing;
        self.capacity_max = capacity_max;
    }

    /// # Errors
    /// When memory for `bytes` cannot be had.
    pub fn extend(&mut self, bytes: &[u8]) -> Result<(), OutOfMemory> {
        self.make_room(bytes.len())?;
        self.chunk.extend(bytes);
        Ok(())
    }

    /// Makes the chunk some times as large when it is full, so that a peer pays for addresses with
    /// data, too.
    fn make_room(&mut self, more: usize) -> Result<(), OutOfMemory> {
        let (len, capacity) = (self.chunk.len(), self.chunk.capacity());
        if len + more.max(1) > capacity && capacity < self.capacity_max {
            let wanted = self.capacity_max.min((capacity * GROWTH).max(len + more));
            self.chunk.reserve(wanted, memory_for(wanted, self.trusted))?;
        }
        Ok(())
    }
}

/// What is at hand takes memory already: a peer who only announces would hold it for nothing. So
/// it is for those who have sent messages of that size before.
fn memory_for(capacity: usize, trusted: usize) -> Memory {
    if capacity <= trusted.saturating_mul(2) { Memory::Any } else { Memory::Fresh }
}

/// From this size on a body is read into its own chunk.
pub const BIG: usize = 16 * 1024;
/// What a peer gets on the strength of an announcement, in addresses, or as much as it has sent at
/// once before.
pub const FIRST_CAPACITY: usize = 4 * 1024 * 1024;
/// The same where there is not so much.
const LEAST_CAPACITY: usize = 256 * 1024;
/// How many times larger a chunk becomes that is full: the fewer the steps, the less is copied.
const GROWTH: usize = 4;
/// A buffer that may stay with an idle connection.
const SMALL_BUFFER: usize = 4 * 1024;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_is_consumed_makes_room_for_what_arrives() {
        let mut store = Store::default();
        store.append(b"abcdef").unwrap();
        store.start = 4;
        assert_eq!((store.rest(), store.waiting()), (&b"ef"[..], 2));
        store.append(b"gh").unwrap();
        assert_eq!((store.rest(), store.start), (&b"efgh"[..], 0));
    }

    #[test]
    fn only_a_small_buffer_stays() {
        let mut store = Store::default();
        store.append(&[1; 1000]).unwrap();
        store.clear();
        assert!(store.bytes.capacity() >= 1000);
        store.append(&[1; 10_000]).unwrap();
        store.clear();
        assert_eq!(store.bytes.capacity(), 0);
    }

    #[test]
    #[cfg_attr(miri, ignore = "too much to interpret")]
    fn memory_grows_with_what_arrives() {
        let mut partial = Partial::begin(b"begun", 10 * FIRST_CAPACITY, &Store::default()).unwrap();
        let mut capacity = 0;
        while partial.missing() > 0 {
            let room = partial.room();
            let chunk = &partial.chunk;
            assert!(
                chunk.capacity() <= FIRST_CAPACITY.max(GROWTH * chunk.len()),
                "{}",
                chunk.len()
            );
            capacity = chunk.capacity();
            let arrived = vec![7; room.min(1_000_000)];
            partial.extend(&arrived).unwrap();
        }
        assert_eq!(
            (partial.as_slice().len(), capacity),
            (10 * FIRST_CAPACITY, 10 * FIRST_CAPACITY)
        );
        partial.expect(3, usize::MAX);
        assert_eq!(partial.missing(), 3);
    }

    #[test]
    fn room_for_as_much_as_before_is_there_at_once() {
        let mut store = Store::default();
        store.put_apart(Chunk::for_caller(FIRST_CAPACITY + BIG).unwrap(), Tag::default());
        let capacity = |size| Partial::begin(b"", size, &store).unwrap().chunk.capacity();
        assert_eq!(capacity(FIRST_CAPACITY + BIG), FIRST_CAPACITY + BIG);
        assert_eq!(capacity(FIRST_CAPACITY + BIG + 1), FIRST_CAPACITY + BIG);
    }

    #[test]
    fn memory_at_hand_is_for_those_who_have_sent_as_much_before() {
        let mut store = Store::default();
        let partial = |store: &Store| Partial::begin(b"", FIRST_CAPACITY, store).unwrap().trusted;
        assert_eq!(memory_for(BIG, partial(&store)), Memory::Fresh);
        store.put_apart(Chunk::for_caller(2 * BIG).unwrap(), Tag::default());
        store.put_apart(Chunk::for_caller(BIG).unwrap(), Tag::default());
        assert_eq!(memory_for(4 * BIG, partial(&store)), Memory::Any);
        assert_eq!(memory_for(4 * BIG + 1, partial(&store)), Memory::Fresh);
    }
}
