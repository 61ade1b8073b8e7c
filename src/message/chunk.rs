//! Memory behind a body: what `nn_allocmsg` gives out and `nn_freemsg` takes back.
//!
//! A chunk is a private header directly in front of the payload, so that a bare payload pointer is
//! enough to find everything. The payload is aligned as all memory of malloc(3) is; that of a big
//! chunk lies at offset 64 of a page, because copies to and from small offsets of a page are
//! many times slower on some processors.

use crate::memory::{self, Block, OutOfMemory};
use std::ffi::c_void;
use std::mem::{ManuallyDrop, MaybeUninit, offset_of};
use std::ptr::{self, NonNull};
#[cfg(not(tsan))]
use std::sync::atomic::fence;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Room;
use super::freed::{Freed, Known};
use super::peek::peek;

/// Exclusively owned bytes with room to grow, like a `Vec<u8>` that C can hold by its payload.
pub struct Chunk {
    payload: NonNull<u8>,
}

/// Where the memory of a chunk comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// From wherever it is had soonest.
    Any,
    /// From the system: where nobody writes to it, it takes no more than addresses.
    Fresh,
}

/// The bytes of a chunk that has several owners, who can only read them.
pub struct SharedChunk {
    payload: NonNull<u8>,
}

/// Bytes that lie with somebody who lends them for the time of a call.
pub struct Lent {
    start: NonNull<u8>,
    len: usize,
}

/// Whether who lends bytes stays a little longer where that spares a copy of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lender {
    #[default]
    Goes,
    Stays,
}

#[repr(C)]
struct Prefix {
    /// Where its memory begins.
    base: NonNull<u8>,
    capacity: usize,
    len: usize,
    /// One for a [`Chunk`], else the number of [`SharedChunk`]s.
    owners: AtomicUsize,
    /// How much memory that is.
    size: usize,
    /// So that nothing is left behind the last one.
    #[cfg(target_pointer_width = "32")]
    padding: u32,
    /// Tells our payloads from foreign pointers. Last, so that it sits just before the payload.
    magic: u64,
}

// SAFETY: a chunk owns its memory alone; nothing in it depends on a thread.
unsafe impl Send for Chunk {}
// SAFETY: a shared chunk can only be read.
unsafe impl Sync for Chunk {}
// SAFETY: the count of owners is atomic, and the last of them alone frees the memory.
unsafe impl Send for SharedChunk {}
// SAFETY: a shared chunk can only be read.
unsafe impl Sync for SharedChunk {}
// SAFETY: who lends bytes lends them to every thread.
unsafe impl Send for Lent {}
// SAFETY: lent bytes are only read.
unsafe impl Sync for Lent {}

impl Chunk {
    /// An empty chunk that can take `capacity` bytes.
    ///
    /// # Errors
    /// When that much memory cannot be had.
    pub fn with_capacity(capacity: usize) -> Result<Chunk, OutOfMemory> {
        Chunk::with_memory(capacity, Memory::Any)
    }

    /// # Errors
    /// When that much memory cannot be had.
    pub fn with_memory(capacity: usize, memory: Memory) -> Result<Chunk, OutOfMemory> {
        let is_big = capacity >= PLACED_FROM;
        let slack = if is_big { PAGE } else { 0 };
        let total = capacity.checked_add(size_of::<Prefix>() + slack).ok_or(OutOfMemory)?;
        if total > isize::MAX as usize {
            return Err(OutOfMemory);
        }
        let Block { start: base, size } = if is_big {
            match memory {
                Memory::Any => memory::stock().take(total)?,
                Memory::Fresh => memory::stock().take_fresh(total)?,
            }
        } else {
            memory::take_small(total)?
        };
        let offset = payload_offset(base.as_ptr() as usize, slack);
        // SAFETY: `offset` is at most size_of::<Prefix>() + slack, so payload and capacity fit.
        let payload = unsafe { base.add(offset) };
        if is_well_placed(payload) {
            FREED.note_used(payload.addr().get());
        }
        let chunk = Chunk { payload };
        let owners = AtomicUsize::new(1);
        let prefix = Prefix {
            base,
            capacity,
            len: 0,
            owners,
            size,
            #[cfg(target_pointer_width = "32")]
            padding: 0,
            magic: MAGIC,
        };
        // SAFETY: at least size_of::<Prefix>() bytes of ours lie before the payload, aligned.
        unsafe { chunk.prefix_ptr().write(prefix) };
        Ok(chunk)
    }

    /// A chunk of `len` bytes whose content the caller of the library will write.
    ///
    /// # Errors
    /// When that much memory cannot be had.
    pub fn for_caller(len: usize) -> Result<Chunk, OutOfMemory> {
        let mut chunk = Chunk::with_capacity(len)?;
        chunk.prefix_mut().len = len;
        Ok(chunk)
    }

    /// # Errors
    /// When memory for the copy cannot be had.
    pub fn copy_from(bytes: &[u8]) -> Result<Chunk, OutOfMemory> {
        let mut chunk = Chunk::with_capacity(bytes.len())?;
        chunk.extend(bytes);
        Ok(chunk)
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.prefix().len
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[must_use]
    pub fn capacity(&self) -> usize {
        self.prefix().capacity
    }

    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: `len` bytes were written by us, or by the C caller whose bytes they are.
        unsafe { std::slice::from_raw_parts(self.payload.as_ptr(), self.len()) }
    }

    #[must_use]
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as above, and a chunk has one owner, who is borrowed.
        unsafe { std::slice::from_raw_parts_mut(self.payload.as_ptr(), self.len()) }
    }

    /// Appends `bytes`; the capacity must suffice.
    pub fn extend(&mut self, bytes: &[u8]) {
        let spare = self.spare();
        assert!(bytes.len() <= spare.len(), "a chunk is filled beyond its capacity");
        let room = spare.as_mut_ptr().cast();
        // SAFETY: checked above; a borrowed slice cannot overlap memory that we own alone.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), room, bytes.len()) };
        self.prefix_mut().len += bytes.len();
    }

    /// The room behind the content.
    pub fn spare(&mut self) -> &mut [MaybeUninit<u8>] {
        let (len, capacity) = (self.len(), self.capacity());
        let start = self.payload.as_ptr().wrapping_add(len).cast::<MaybeUninit<u8>>();
        // SAFETY: the payload has `capacity` bytes; uninitialised ones are typed as such.
        unsafe { std::slice::from_raw_parts_mut(start, capacity - len) }
    }

    /// Appends what `read` puts into the spare room, of which it gets at most so many bytes.
    pub fn fill<T>(&mut self, most: usize, read: impl FnOnce(&mut Room<'_>) -> T) -> T {
        let spare = self.spare();
        let most = most.min(spare.len());
        let mut room = Room::new(&mut spare[..most]);
        let result = read(&mut room);
        let count = room.len();
        self.prefix_mut().len += count;
        result
    }

    /// Takes `count` bytes of the spare room into the content.
    ///
    /// # Safety
    /// The first `count` bytes of [`Chunk::spare`] have been written.
    pub unsafe fn advance(&mut self, count: usize) {
        assert!(count <= self.capacity() - self.len(), "a chunk is filled beyond its capacity");
        self.prefix_mut().len += count;
    }

    /// Makes room for `capacity` bytes in all. The content may move.
    ///
    /// # Errors
    /// When that much memory cannot be had; the chunk is unchanged.
    pub fn reserve(&mut self, capacity: usize, memory: Memory) -> Result<(), OutOfMemory> {
        if capacity > self.capacity() {
            let mut grown = Chunk::with_memory(capacity, memory)?;
            grown.extend(self.as_slice());
            *self = grown;
        }
        Ok(())
    }

    /// Gives up the content behind `len` for good.
    pub fn truncate(&mut self, len: usize) {
        let prefix = self.prefix_mut();
        if len <= prefix.len {
            prefix.len = len;
            prefix.capacity = len;
        }
    }

    /// Gives up the first `count` bytes of the content; the rest moves to their place, because C
    /// knows a chunk by its first byte.
    pub fn remove_front(&mut self, count: usize) {
        let len = self.len();
        assert!(count <= len, "more is removed from a chunk than there is");
        let start = self.payload.as_ptr();
        let rest = start.wrapping_add(count);
        // SAFETY: both ranges lie inside the content, which is ours alone; they may overlap.
        unsafe { ptr::copy(rest, start, len - count) };
        self.prefix_mut().len = len - count;
    }

    /// From now on the bytes can have several owners.
    #[must_use]
    pub fn into_shared(self) -> SharedChunk {
        SharedChunk { payload: ManuallyDrop::new(self).payload }
    }

    /// Hands the payload to C. Only [`Chunk::from_raw`] can free it.
    #[must_use]
    pub fn into_raw(self) -> *mut c_void {
        let payload = self.payload;
        std::mem::forget(self);
        payload.as_ptr().cast()
    }

    /// Takes back what [`Chunk::into_raw`] gave. `None` when the pointer is seen not to be ours.
    ///
    /// # Safety
    /// `payload` came from [`Chunk::into_raw`] and nobody else will use it, or its chunk has been
    /// freed, or it is some pointer with 8 readable bytes in front of it.
    #[must_use]
    pub unsafe fn from_raw(payload: *mut c_void) -> Option<Chunk> {
        let payload = NonNull::new(payload.cast::<u8>())?;
        if !payload.as_ptr().addr().is_multiple_of(ALIGNMENT) {
            return None;
        }
        let magic = payload.as_ptr().cast::<u64>().wrapping_sub(1);
        let has_magic = if is_well_placed(payload) {
            // SAFETY: as below, but for what is known to be freed.
            unsafe { has_magic_where_big_ones_lie(payload, magic) }
        } else {
            // SAFETY: the caller vouches for the 8 bytes in front, or they were those of a chunk,
            // which are there for as long as its page is; alignment is checked above.
            unsafe { magic.read() == MAGIC }
        };
        // Lazily: a chunk that is dropped frees its memory.
        has_magic.then(|| Chunk { payload })
    }

    fn prefix_ptr(&self) -> *mut Prefix {
        // The prefix is a multiple of the alignment, so this stays aligned.
        self.payload.as_ptr().cast::<Prefix>().wrapping_sub(1)
    }

    fn prefix(&self) -> &Prefix {
        // SAFETY: every payload has a valid prefix in front of it, see with_capacity.
        unsafe { &*self.prefix_ptr() }
    }

    fn prefix_mut(&mut self) -> &mut Prefix {
        // SAFETY: as in `prefix`; we are borrowed exclusively.
        unsafe { &mut *self.prefix_ptr() }
    }
}

impl Lent {
    /// # Safety
    /// The bytes stay where they are for as long as this is.
    #[must_use]
    pub unsafe fn new(bytes: &[u8]) -> Lent {
        Lent { start: NonNull::from(bytes).cast(), len: bytes.len() }
    }

    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: they were bytes when this was made, and stay.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl SharedChunk {
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: it was a chunk, and nobody has written to it since.
        unsafe { std::slice::from_raw_parts(self.payload.as_ptr(), self.prefix().len) }
    }

    /// The chunk again, when this is its only owner.
    ///
    /// # Errors
    /// When there are others; this one stays an owner.
    pub fn into_exclusive(self) -> Result<Chunk, SharedChunk> {
        // Acquire: pairs with the release in `drop`; what others read, they have read.
        if self.prefix().owners.load(Ordering::Acquire) > 1 {
            return Err(self);
        }
        Ok(Chunk { payload: ManuallyDrop::new(self).payload })
    }

    fn prefix(&self) -> &Prefix {
        // SAFETY: every payload has a valid prefix in front of it, see with_capacity.
        unsafe { &*self.payload.as_ptr().cast::<Prefix>().wrapping_sub(1) }
    }
}

impl Clone for SharedChunk {
    fn clone(&self) -> SharedChunk {
        self.prefix().owners.fetch_add(1, Ordering::Relaxed);
        SharedChunk { payload: self.payload }
    }
}

impl Drop for SharedChunk {
    fn drop(&mut self) {
        // Release: pairs with the fence of the last owner, and with the acquire of one who finds
        // itself alone.
        if self.prefix().owners.fetch_sub(1, Ordering::Release) == 1 {
            // Pairs with the release of those who were owners before. ThreadSanitizer, which sees
            // no fences, is shown the same by a load.
            #[cfg(not(tsan))]
            fence(Ordering::Acquire);
            #[cfg(tsan)]
            self.prefix().owners.load(Ordering::Acquire);
            drop(Chunk { payload: self.payload });
        }
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        self.free();
    }
}

impl Chunk {
    /// Apart from what drops a message: most have no chunk, and drop what little they are in line.
    #[inline(never)]
    fn free(&mut self) {
        let payload = self.payload;
        let prefix = self.prefix_mut();
        let (magic, base, size) = (&raw mut prefix.magic, prefix.base, prefix.size);
        let is_big = size >= PLACED_FROM + size_of::<Prefix>() + PAGE;
        if is_big {
            FREED.note_freed(payload.addr().get());
        }
        // The magic goes first, so that a second free is recognised while the memory is unused;
        // volatile, because the compiler sees that nobody may read it any more.
        // SAFETY: the prefix is valid until the memory is given back.
        unsafe { magic.write_volatile(0) };
        if is_big {
            // SAFETY: such a size comes from the stock, and we own it.
            unsafe { memory::stock().give_back(Block { start: base, size }) };
        } else {
            // SAFETY: other sizes are had there, and we own it.
            unsafe { memory::give_back_small(Block { start: base, size }) };
        }
    }
}

impl std::fmt::Debug for Lent {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Lent({} bytes)", self.len)
    }
}

impl std::fmt::Debug for SharedChunk {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "SharedChunk({} bytes)", self.as_slice().len())
    }
}

impl std::fmt::Debug for Chunk {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Chunk({} bytes)", self.len())
    }
}

/// Where the payload starts behind `base`: right behind the prefix, or at the good offset of a
/// page when `slack` bytes may be spent on that.
fn payload_offset(base: usize, slack: usize) -> usize {
    let nearest = base + size_of::<Prefix>();
    if slack == 0 {
        return size_of::<Prefix>();
    }
    size_of::<Prefix>() + (GOOD_PAGE_OFFSET + PAGE - nearest % PAGE) % PAGE
}

/// Whether the payload of a big chunk could lie there. Hardly one in hundred others does.
fn is_well_placed(payload: NonNull<u8>) -> bool {
    payload.addr().get() % PAGE == GOOD_PAGE_OFFSET
}

/// Whether a chunk lies there. Small ones are not remembered when freed: their memory stays.
///
/// # Safety
/// As for [`Chunk::from_raw`], but for the memory of freed ones, which may be gone.
#[cold]
unsafe fn has_magic_where_big_ones_lie(payload: NonNull<u8>, magic: *const u64) -> bool {
    match FREED.look_up(payload.addr().get()) {
        Known::Freed => false,
        // SAFETY: the caller vouches for those that are not freed.
        Known::InUse => unsafe { magic.read() == MAGIC },
        // SAFETY: as above, and it is not read where there is no memory.
        Known::Perhaps => unsafe { peek(magic).is_some_and(|word| word == MAGIC) },
    }
}

/// Big chunks that have been freed.
static FREED: Freed = Freed::new();

const MAGIC: u64 = 0x5350_6d73_6743_6875;
/// What malloc(3) aligns to, where it has the least reason to.
const ALIGNMENT: usize = 2 * size_of::<usize>();
const PAGE: usize = 4096;
const GOOD_PAGE_OFFSET: usize = 64;
/// From this size on a page of slack is worth the better place.
const PLACED_FROM: usize = 16 * 1024;

// What keeps the strictest alignment that malloc(3) has given, too.
const _: () = assert!(size_of::<Prefix>().is_multiple_of(16));
const _: () = assert!(offset_of!(Prefix, magic) + size_of::<u64>() == size_of::<Prefix>());

#[cfg(test)]
impl Lent {
    pub fn of(bytes: &'static [u8]) -> Lent {
        // SAFETY: they stay for ever.
        unsafe { Lent::new(bytes) }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::testing::is_alone;

    #[test]
    fn payloads_are_aligned_and_big_ones_well_placed() {
        for size in [0, 1, 100, 5000, 16_384, 1 << 20] {
            let chunk = Chunk::for_caller(size).unwrap();
            let address = chunk.payload.as_ptr().addr();
            assert_eq!(address % ALIGNMENT, 0);
            assert!(size < PLACED_FROM || address % PAGE == GOOD_PAGE_OFFSET);
            assert_eq!(chunk.len(), size);
        }
    }

    #[test]
    fn grows_and_keeps_its_content() {
        let mut chunk = Chunk::copy_from(b"abc").unwrap();
        chunk.reserve(100_000, Memory::Any).unwrap();
        chunk.extend(b"def");
        assert_eq!(chunk.as_slice(), b"abcdef");
        chunk.truncate(2);
        assert_eq!(chunk.as_slice(), b"ab");
        assert_eq!(chunk.capacity(), 2);
    }

    #[test]
    fn shared_bytes_live_as_long_as_an_owner() {
        let shared = Chunk::copy_from(b"abc").unwrap().into_shared();
        let other = shared.clone();
        let shared = shared.into_exclusive().unwrap_err();
        assert_eq!((shared.as_slice(), other.as_slice()), (&b"abc"[..], &b"abc"[..]));
        let reader = std::thread::spawn(move || assert_eq!(other.as_slice(), b"abc"));
        reader.join().unwrap();
        let mut chunk = shared.into_exclusive().unwrap_or_else(|_| panic!("nobody else has it"));
        chunk.remove_front(1);
        assert_eq!(chunk.as_slice(), b"bc");
        chunk.remove_front(2);
        assert!(chunk.is_empty());
    }

    #[test]
    fn sizes_that_cannot_be_had_are_an_error() {
        assert_eq!(Chunk::with_capacity(usize::MAX).err(), Some(OutOfMemory));
        assert_eq!(Chunk::with_capacity(usize::MAX - 31).err(), Some(OutOfMemory));
        assert_eq!(Chunk::with_capacity(isize::MAX as usize).err(), Some(OutOfMemory));
    }

    /// Every size around those at which something else begins, up to the largest.
    fn sizes() -> Vec<usize> {
        let edges = [0, 8, 48, PLACED_FROM, PAGE, isize::MAX as usize, usize::MAX];
        let around =
            |edge: usize| (0..100).flat_map(move |d| [edge.wrapping_add(d), edge.wrapping_sub(d)]);
        edges.into_iter().flat_map(around).collect()
    }

    #[test]
    #[cfg_attr(miri, ignore = "too much to interpret")]
    fn no_size_wraps_round() {
        for size in sizes() {
            match Chunk::with_capacity(size) {
                Ok(mut chunk) => {
                    assert!(size < 1 << 20, "{size:#x} bytes are more than there are");
                    assert_eq!(
                        (chunk.len(), chunk.capacity(), chunk.spare().len()),
                        (0, size, size)
                    );
                    chunk.spare().fill(MaybeUninit::new(7));
                    // SAFETY: all of it has just been written.
                    unsafe { chunk.advance(size) };
                    assert!(chunk.as_slice().iter().all(|byte| *byte == 7));
                }
                Err(OutOfMemory) => assert!(size > 1 << 20, "{size:#x} bytes are not many"),
            }
        }
    }

    #[test]
    fn growth_beyond_memory_changes_nothing() {
        let mut chunk = Chunk::copy_from(b"abc").unwrap();
        for size in sizes().into_iter().filter(|size| *size > 1 << 20) {
            assert_eq!(chunk.reserve(size, Memory::Any), Err(OutOfMemory));
            assert_eq!((chunk.as_slice(), chunk.capacity()), (&b"abc"[..], 3));
        }
    }

    /// Every way of making and cutting a small chunk, against the same on a vector.
    #[test]
    fn cuts_as_a_vector_does() {
        const MOST: usize = if cfg!(miri) { 4 } else { 12 };
        let bytes: Vec<u8> = (1..).take(MOST).collect();
        for len in 0..=MOST {
            for (keep, remove) in
                (0..=MOST + 2).flat_map(|keep| (0..=len.min(keep)).map(move |r| (keep, r)))
            {
                for capacity in 0..=MOST + 2 {
                    let mut chunk = Chunk::copy_from(&bytes[..len]).unwrap();
                    let mut vector = bytes[..len].to_vec();
                    chunk.truncate(keep);
                    vector.truncate(keep);
                    chunk.remove_front(remove);
                    vector.drain(..remove);
                    assert_eq!(chunk.as_slice(), vector);
                    // What was given up at the end is given up for good.
                    assert_eq!(chunk.capacity(), if keep <= len { keep } else { len });
                    chunk.reserve(capacity, Memory::Fresh).unwrap();
                    assert!(chunk.capacity() >= capacity.max(vector.len()));
                    let room = chunk.capacity() - chunk.len();
                    chunk.extend(&vec![9; room]);
                    vector.resize(vector.len() + room, 9);
                    assert_eq!(chunk.as_slice(), vector);
                }
            }
        }
    }

    #[test]
    fn more_than_fits_is_a_bug() {
        let beyond = |cut: fn(&mut Chunk)| {
            let mut chunk = Chunk::copy_from(b"abc").unwrap();
            let call = std::panic::AssertUnwindSafe(|| cut(&mut chunk));
            std::panic::catch_unwind(call).is_err() && chunk.as_slice() == b"abc"
        };
        assert!(beyond(|chunk| chunk.extend(b"d")));
        assert!(beyond(|chunk| chunk.remove_front(4)));
        assert!(beyond(|chunk| chunk.remove_front(usize::MAX)));
        // SAFETY: the counts are refused.
        assert!(beyond(|chunk| unsafe { chunk.advance(1) }));
        // SAFETY: as above.
        assert!(beyond(|chunk| unsafe { chunk.advance(usize::MAX) }));
    }

    #[test]
    fn recognises_its_own_pointers() {
        let raw = Chunk::copy_from(b"abc").unwrap().into_raw();
        // SAFETY: it came from into_raw just now.
        let chunk = unsafe { Chunk::from_raw(raw) }.unwrap();
        assert_eq!(chunk.as_slice(), b"abc");
        let mut foreign = [0_u128; 4];
        let second = foreign.as_mut_ptr().wrapping_add(1);
        assert!(second.addr().is_multiple_of(ALIGNMENT));
        // SAFETY: there are 16 readable bytes in front.
        assert!(unsafe { Chunk::from_raw(second.cast()) }.is_none());
        // SAFETY: null is recognised before anything is read.
        assert!(unsafe { Chunk::from_raw(ptr::null_mut()) }.is_none());
    }

    /// The memory of some of these goes back to the kernel. Alone: what another thread had in the
    /// place of one that was freed would be freed with the second call.
    #[test]
    fn what_was_freed_is_recognised_whatever_its_size() {
        if !is_alone("message::chunk::tests::what_was_freed_is_recognised_whatever_its_size") {
            return;
        }
        for size in [PLACED_FROM, 128 * 1024, 1 << 20, 5 << 20] {
            let kept = Chunk::for_caller(size).unwrap();
            let raw = Chunk::for_caller(size).unwrap().into_raw();
            for _ in 0..3 {
                // SAFETY: it came from into_raw, or has been freed since.
                drop(unsafe { Chunk::from_raw(raw) });
            }
            // SAFETY: it has been freed.
            assert!(unsafe { Chunk::from_raw(raw) }.is_none());
            let raw = kept.into_raw();
            // SAFETY: it came from into_raw just now.
            let mut chunk = unsafe { Chunk::from_raw(raw) }.unwrap();
            // However little is left of it.
            chunk.truncate(1);
            drop(chunk);
            // SAFETY: it has been freed.
            assert!(unsafe { Chunk::from_raw(raw) }.is_none());
        }
    }

    #[test]
    fn who_gets_memory_of_a_freed_chunk_is_no_freed_chunk() {
        for step in 0..2000 {
            let size = [PLACED_FROM, 1 << 18, 20_000][step % 3];
            let raw = Chunk::for_caller(size).unwrap().into_raw();
            // SAFETY: it came from into_raw just now.
            assert_eq!(unsafe { Chunk::from_raw(raw) }.unwrap().len(), size);
        }
    }

    /// More than can be remembered, and nobody looks at memory that is not there.
    #[test]
    #[cfg_attr(miri, ignore = "asks the kernel")]
    fn any_number_of_freed_chunks_is_recognised() {
        if !is_alone("message::chunk::tests::any_number_of_freed_chunks_is_recognised") {
            return;
        }
        let fresh = |_| Chunk::for_caller(1 << 18).unwrap().into_raw();
        let all: Vec<_> = (0..3000).map(fresh).collect();
        // SAFETY: they came from into_raw, and each is freed once.
        all.iter().for_each(|raw| drop(unsafe { Chunk::from_raw(*raw) }.unwrap()));
        for raw in all {
            // SAFETY: it has been freed; where something else lies by now, that is no chunk.
            assert!(unsafe { Chunk::from_raw(raw) }.is_none());
        }
    }
}
