//! Memory that is filled from the front: the spare part of a chunk, or what a caller has for a
//! message while he is in his call.

use std::cell::Cell;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};

use super::{Body, Chunk, Lent, OutOfMemory};

/// Bytes to be filled, of which the first are.
pub struct Room<'a> {
    start: NonNull<u8>,
    capacity: usize,
    len: usize,
    memory: PhantomData<&'a mut [u8]>,
}

/// Where a caller wants a big message to be, for as long as one step of his call takes.
pub struct Landing {
    start: NonNull<u8>,
    capacity: usize,
    is_used: Cell<bool>,
}

/// A message that is complete, in the memory of a caller who has not received it yet.
#[derive(Debug)]
pub struct Landed {
    bytes: Lent,
    /// In whose call.
    thread: usize,
}

impl<'a> Room<'a> {
    pub(super) fn new(memory: &'a mut [MaybeUninit<u8>]) -> Room<'a> {
        let capacity = memory.len();
        Room { start: NonNull::from(memory).cast(), capacity, len: 0, memory: PhantomData }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How much is still to be filled.
    #[must_use]
    pub fn missing(&self) -> usize {
        self.capacity - self.len
    }

    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: `len` bytes have been written, and nobody else writes to them.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    /// What is still to be filled.
    pub fn spare(&mut self) -> &mut [MaybeUninit<u8>] {
        let start = self.start.as_ptr().wrapping_add(self.len).cast::<MaybeUninit<u8>>();
        // SAFETY: the memory has `capacity` bytes, which are ours alone.
        unsafe { std::slice::from_raw_parts_mut(start, self.capacity - self.len) }
    }

    /// So much of what was to be filled is.
    ///
    /// # Safety
    /// The first `count` bytes of [`Room::spare`] have been written.
    pub unsafe fn advance(&mut self, count: usize) {
        assert!(count <= self.missing(), "a room is filled beyond its end");
        self.len += count;
    }

    /// Appends `bytes`; there must be room for them.
    pub fn extend(&mut self, bytes: &[u8]) {
        let spare = self.spare();
        assert!(bytes.len() <= spare.len(), "a room is filled beyond its end");
        let start = spare.as_mut_ptr().cast();
        // SAFETY: checked above; a borrowed slice cannot overlap memory that is ours alone.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), start, bytes.len()) };
        self.len += bytes.len();
    }

    /// What has been filled is a message for the caller whose memory it is.
    #[must_use]
    pub fn land(self) -> Landed {
        // SAFETY: only a landing gives out a room to keep, and who made it vouches for the bytes.
        Landed { bytes: unsafe { Lent::new(self.as_slice()) }, thread: this_thread() }
    }
}

impl Landing {
    /// # Safety
    /// The bytes are there and nobody else's until this is dropped, and until what has landed
    /// there has been received by the calling thread, or is [`Landed::to_chunk`].
    #[must_use]
    pub unsafe fn new(start: NonNull<u8>, capacity: usize) -> Landing {
        Landing { start, capacity, is_used: Cell::new(false) }
    }

    /// Room for a message of `size` bytes. That can be had once.
    #[must_use]
    pub fn room(&self, size: usize) -> Option<Room<'_>> {
        if size > self.capacity || self.is_used.replace(true) {
            return None;
        }
        Some(Room { start: self.start, capacity: size, len: 0, memory: PhantomData })
    }

    #[must_use]
    pub fn is_used(&self) -> bool {
        self.is_used.get()
    }
}

impl Landed {
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.as_slice().len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it is in a call of this thread.
    #[must_use]
    pub fn is_here(&self) -> bool {
        self.thread == this_thread()
    }

    /// The body for that call.
    #[must_use]
    pub fn into_body(self) -> Body {
        Body::lent(self.bytes)
    }

    /// A copy for everybody else.
    ///
    /// # Errors
    /// When memory for it cannot be had.
    pub fn to_chunk(&self) -> Result<Chunk, OutOfMemory> {
        Chunk::copy_from(self.bytes.as_slice())
    }
}

#[cfg(test)]
impl Landing {
    /// For tests that receive or reclaim what lands, while the memory is there.
    pub fn of(memory: &mut [u8]) -> Landing {
        // SAFETY: as said.
        unsafe { Landing::new(NonNull::from(&mut *memory).cast(), memory.len()) }
    }
}

/// A number that no other thread has while this one lives.
fn this_thread() -> usize {
    thread_local! {
        static MARK: u8 = const { 0 };
    }
    MARK.with(|mark| ptr::from_ref(mark).addr())
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_has_landed_is_the_callers_own_and_a_copy_for_everybody_else() {
        let mut memory = [0_u8; 6];
        // SAFETY: the memory stays, and is not touched meanwhile.
        let landing = unsafe { Landing::new(NonNull::from(&mut memory).cast(), 6) };
        assert!(landing.room(7).is_none() && !landing.is_used());
        let mut room = landing.room(5).unwrap();
        assert!(landing.is_used() && landing.room(5).is_none(), "there is one");
        room.extend(b"ab");
        room.extend(b"cde");
        assert_eq!((room.len(), room.missing()), (5, 0));
        let landed = room.land();
        assert!(landed.is_here() && landed.len() == 5);
        assert!(std::thread::scope(|scope| scope.spawn(|| !landed.is_here()).join().unwrap()));
        assert_eq!(landed.to_chunk().unwrap().as_slice(), b"abcde");
        let body = landed.into_body();
        assert!(body.is_lent() && body.as_slice() == b"abcde");
        drop(body);
        assert_eq!(memory, *b"abcde\0");
    }

    #[test]
    #[should_panic(expected = "filled beyond its end")]
    fn a_room_has_an_end() {
        Chunk::with_capacity(3).unwrap().fill(3, |room| room.extend(b"abcd"));
    }
}
