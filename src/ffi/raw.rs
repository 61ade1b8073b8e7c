//! The closed vocabulary for pointers from C: whatever a caller lends goes through here.
//!
//! The contract of every function is the one of C: a pointer is null, or what the manual of the
//! exported function says it is. Null is always recognised. Memory may lie at any address, so
//! single values are read and written without regard to alignment.

use super::abi::nn::nn_msghdr;
use crate::error::Error;
use crate::message::Chunk;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};
use std::slice;

/// `len` bytes. Null stands for no bytes, and for nothing else.
///
/// # Safety
/// As the module says.
#[inline]
pub unsafe fn bytes<'a>(pointer: *const c_void, len: usize) -> Result<&'a [u8], Error> {
    if pointer.is_null() {
        return if len == 0 { Ok(&[]) } else { Err(Error::BadPointer) };
    }
    // No object is larger, so the caller made a mistake, and a slice could not be larger.
    if len > isize::MAX as usize {
        return Err(Error::Invalid);
    }
    // SAFETY: not null, and the caller vouches for `len` bytes.
    Ok(unsafe { slice::from_raw_parts(pointer.cast(), len) })
}

/// The characters of a string without the zero byte at its end.
///
/// # Safety
/// As the module says.
pub unsafe fn text<'a>(pointer: *const c_char) -> Result<&'a [u8], Error> {
    if pointer.is_null() {
        return Err(Error::Invalid);
    }
    // SAFETY: not null, and the caller vouches for a zero byte at the end.
    Ok(unsafe { CStr::from_ptr(pointer) }.to_bytes())
}

/// `count` items that lie one behind the other.
///
/// # Safety
/// As the module says.
pub unsafe fn array<'a, T: Copy>(pointer: *const T, count: usize) -> Result<&'a [T], Error> {
    if count == 0 {
        return Ok(&[]);
    }
    if pointer.is_null() {
        return Err(Error::BadPointer);
    }
    // SAFETY: not null, and the caller vouches for `count` items.
    Ok(unsafe { slice::from_raw_parts(pointer, count) })
}

/// The same to be written to.
///
/// # Safety
/// As the module says; nobody else uses the items meanwhile.
pub unsafe fn array_mut<'a, T: Copy>(pointer: *mut T, count: usize) -> Result<&'a mut [T], Error> {
    if count == 0 {
        return Ok(&mut []);
    }
    if pointer.is_null() {
        return Err(Error::BadPointer);
    }
    // SAFETY: not null, and the caller vouches for `count` items that are his alone.
    Ok(unsafe { slice::from_raw_parts_mut(pointer, count) })
}

/// How many pieces a body has.
#[inline]
pub fn piece_count(message: &nn_msghdr) -> Result<usize, Error> {
    usize::try_from(message.msg_iovlen).map_err(|_| Error::TooLong)
}

/// A copy of a value.
///
/// # Safety
/// As the module says.
pub unsafe fn value<T: Copy>(pointer: *const T) -> Option<T> {
    // SAFETY: not null, and the caller vouches for a value.
    (!pointer.is_null()).then(|| unsafe { pointer.read_unaligned() })
}

/// A place that a result is written to.
#[derive(Clone, Copy)]
pub struct OutPlace<T>(NonNull<T>);

impl<T: Copy> OutPlace<T> {
    #[inline]
    pub fn new(pointer: *mut T) -> Result<OutPlace<T>, Error> {
        NonNull::new(pointer).map(OutPlace).ok_or(Error::BadPointer)
    }

    /// # Safety
    /// As the module says.
    #[inline]
    pub unsafe fn read(self) -> T {
        // SAFETY: forwarded from our own contract.
        unsafe { self.0.read_unaligned() }
    }

    /// # Safety
    /// As the module says.
    #[inline]
    pub unsafe fn write(self, value: T) {
        // SAFETY: forwarded from our own contract.
        unsafe { self.0.write_unaligned(value) }
    }
}

/// Copies as much of `content` as there is room for, and says how much that was. Null is an error
/// only when something would have to be copied.
///
/// # Safety
/// As the module says, for `room` bytes.
#[inline]
pub unsafe fn copy_out(content: &[u8], pointer: *mut c_void, room: usize) -> Result<usize, Error> {
    let count = content.len().min(room);
    if count == 0 {
        return Ok(0);
    }
    if pointer.is_null() {
        return Err(Error::BadPointer);
    }
    // SAFETY: the caller vouches for `room` bytes, which no memory of ours overlaps.
    unsafe { ptr::copy_nonoverlapping(content.as_ptr(), pointer.cast(), count) };
    Ok(count)
}

/// Memory of `nn_allocmsg` as long as it is the caller's: dropping this frees nothing.
pub type LentChunk = ManuallyDrop<Chunk>;

/// The message that `payload` points to.
///
/// # Safety
/// As the module says.
#[inline]
pub unsafe fn chunk(payload: *mut c_void) -> Result<LentChunk, Error> {
    // What lies so low is a small number that was taken for a pointer, and cannot be looked at.
    if payload.addr() < LOWEST_ADDRESS {
        return Err(Error::BadPointer);
    }
    // SAFETY: forwarded from our own contract.
    let chunk = unsafe { Chunk::from_raw(payload) };
    chunk.map(ManuallyDrop::new).ok_or(Error::BadPointer)
}

/// The message that the pointer at `place` points to: what accompanies the size `NN_MSG`.
///
/// # Safety
/// As the module says.
#[inline]
pub unsafe fn chunk_at(place: *const c_void) -> Result<LentChunk, Error> {
    // SAFETY: forwarded from our own contract.
    let payload = unsafe { value(place.cast::<*mut c_void>()) }.ok_or(Error::BadPointer)?;
    // SAFETY: forwarded from our own contract.
    unsafe { chunk(payload) }
}

/// The count that C gets to see of a body.
#[inline]
pub fn count(len: usize) -> Result<c_int, Error> {
    c_int::try_from(len).map_err(|_| Error::TooLong)
}

/// The same for a body that a caller claims to have: what exceeds all memory of a process cannot
/// be copied, what merely exceeds the count cannot be counted.
#[inline]
pub fn claimed_count(len: usize) -> Result<c_int, Error> {
    if len > ADDRESSABLE_MAX { Err(Error::OutOfMemory) } else { count(len) }
}

/// No system maps the first page.
const LOWEST_ADDRESS: usize = 4096;
/// The part of the address space that can belong to a program: with 64 bits less than half, with 32
/// all but its end, where the kernel keeps a page for itself.
#[cfg(target_pointer_width = "64")]
const ADDRESSABLE_MAX: usize = 1 << 47;
#[cfg(target_pointer_width = "32")]
const ADDRESSABLE_MAX: usize = usize::MAX - LOWEST_ADDRESS;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_is_an_empty_slice_only_without_a_length() {
        // SAFETY: null is recognised.
        unsafe {
            assert_eq!(bytes(ptr::null(), 0), Ok(&[][..]));
            assert_eq!(bytes(ptr::null(), 1), Err(Error::BadPointer));
            assert_eq!(bytes(b"x".as_ptr().cast(), usize::MAX), Err(Error::Invalid));
            assert_eq!(text(ptr::null()), Err(Error::Invalid));
            assert_eq!(array::<u64>(ptr::null(), 1), Err(Error::BadPointer));
            assert_eq!(array::<u64>(ptr::null(), 0), Ok(&[][..]));
        }
    }

    #[test]
    fn copies_what_fits() {
        let mut room = [0_u8; 4];
        // SAFETY: the room is as large as said.
        unsafe {
            assert_eq!(copy_out(b"abcdef", room.as_mut_ptr().cast(), 3), Ok(3));
            assert_eq!(copy_out(b"", ptr::null_mut(), 9), Ok(0));
            assert_eq!(copy_out(b"abc", ptr::null_mut(), 0), Ok(0));
            assert_eq!(copy_out(b"abc", ptr::null_mut(), 9), Err(Error::BadPointer));
        }
        assert_eq!(room, *b"abc\0");
    }

    #[test]
    fn small_numbers_are_no_messages() {
        for number in [0, 1, 16, 64, 4080] {
            // SAFETY: such pointers are recognised before they are followed.
            let found = unsafe { chunk(ptr::without_provenance_mut(number)) };
            assert_eq!(found.err(), Some(Error::BadPointer));
        }
    }

    #[test]
    fn a_lent_chunk_stays_with_its_owner() {
        let payload = Chunk::copy_from(b"mine").unwrap().into_raw();
        // SAFETY: the payload is alive, and freed once at the end.
        unsafe {
            assert_eq!(chunk_at((&raw const payload).cast()).unwrap().as_slice(), b"mine");
            assert_eq!(chunk(payload).unwrap().as_slice(), b"mine");
            drop(ManuallyDrop::into_inner(chunk(payload).unwrap()));
        }
    }

    #[test]
    fn claims_beyond_all_memory_differ_from_claims_beyond_a_count() {
        assert_eq!(claimed_count(0x7fff_ffff), Ok(i32::MAX));
        assert_eq!(claimed_count(0x8000_0000), Err(Error::TooLong));
        assert_eq!(claimed_count(ADDRESSABLE_MAX), Err(Error::TooLong));
        assert_eq!(claimed_count(ADDRESSABLE_MAX + 1), Err(Error::OutOfMemory));
        assert_eq!(claimed_count(usize::MAX - 1), Err(Error::OutOfMemory));
    }
}
