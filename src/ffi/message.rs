//! Message memory that C holds by its payload: allocate, resize, free.

use super::enter_lightly;
use super::raw;
use crate::error::Error;
use crate::message::Chunk;
use libc::size_t;
use std::ffi::{c_int, c_void};
use std::mem::ManuallyDrop;
use std::ptr;

/// Allocates a message of that size, to be filled and sent with the size NN_MSG.
///
/// The type must be 0. The bytes are not initialised; a message of size 0 is a message, too.
///
/// Returns NULL with errno ENOMEM without memory, EINVAL for another type.
#[unsafe(no_mangle)]
pub extern "C" fn nn_allocmsg(size: size_t, r#type: c_int) -> *mut c_void {
    enter_lightly(|| {
        if size > SIZE_MAX {
            return Err(Error::OutOfMemory);
        }
        if r#type != 0 {
            return Err(Error::Invalid);
        }
        Ok(Chunk::for_caller(size)?.into_raw())
    })
}

/// Changes the size of a message, which moves when it grows. What it held is kept as far as it
/// fits.
///
/// A msg of NULL makes a new message. Returns NULL with errno ENOMEM without memory, EFAULT when
/// msg is found not to be a message; the message is then as before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nn_reallocmsg(msg: *mut c_void, size: size_t) -> *mut c_void {
    enter_lightly(|| {
        if msg.is_null() {
            return Ok(Chunk::for_caller(size)?.into_raw());
        }
        // SAFETY: forwarded from our own contract.
        let mut old = unsafe { raw::chunk(msg) }?;
        if size <= old.len() {
            old.truncate(size);
            return Ok(msg);
        }
        // Growing in place would be allowed but for programs that expect another address.
        let grown = Chunk::for_caller(size)?.into_raw();
        // SAFETY: the new payload is larger than the old content and does not overlap it.
        unsafe { ptr::copy_nonoverlapping(old.as_slice().as_ptr(), grown.cast(), old.len()) };
        drop(ManuallyDrop::into_inner(old));
        Ok(grown)
    })
}

/// Frees a message that was allocated, or received with the size NN_MSG.
///
/// Returns 0, also for NULL, or -1 with errno EFAULT when msg is found not to be a message.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nn_freemsg(msg: *mut c_void) -> c_int {
    enter_lightly(|| {
        if !msg.is_null() {
            // SAFETY: forwarded from our own contract.
            let chunk = unsafe { raw::chunk(msg) }?;
            drop(ManuallyDrop::into_inner(chunk));
        }
        Ok(0)
    })
}

/// Sizes above are beyond memory before anything else is found wrong with a call: callers know
/// this order from a library that puts 32 bytes in front of a message.
const SIZE_MAX: size_t = size_t::MAX - 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ffi::errno;

    #[test]
    fn the_size_is_looked_at_before_the_type() {
        assert!(nn_allocmsg(usize::MAX - 31, 5).is_null());
        assert_eq!(errno::get(), libc::ENOMEM);
        assert!(nn_allocmsg(usize::MAX - 32, 5).is_null());
        assert_eq!(errno::get(), libc::EINVAL);
    }

    #[test]
    fn shrinks_in_place_and_grows_elsewhere() {
        let message = nn_allocmsg(4, 0);
        // SAFETY: the message is alive, and has the sizes that are used.
        unsafe {
            message.cast::<[u8; 4]>().write(*b"abcd");
            assert_eq!(nn_reallocmsg(message, 2), message);
            let grown = nn_reallocmsg(message, 3);
            assert_ne!(grown, message);
            assert_eq!(grown.cast::<[u8; 2]>().read(), *b"ab");
            assert!(nn_reallocmsg(grown, usize::MAX).is_null());
            assert_eq!(grown.cast::<[u8; 2]>().read(), *b"ab");
            assert_eq!(nn_freemsg(grown), 0);
        }
    }

    #[test]
    fn what_is_no_message_is_left_alone() {
        let mut foreign = [0_u128; 4];
        let second = foreign.as_mut_ptr().wrapping_add(1).cast();
        // SAFETY: null and small numbers are recognised, and the rest has bytes in front.
        unsafe {
            assert_eq!(nn_freemsg(ptr::null_mut()), 0);
            assert_eq!(nn_freemsg(ptr::without_provenance_mut(16)), -1);
            assert_eq!(nn_freemsg(second), -1);
            assert!(nn_reallocmsg(second, 3).is_null());
            assert_eq!(errno::get(), libc::EFAULT);
            let made = nn_reallocmsg(ptr::null_mut(), 9);
            assert!(!made.is_null());
            assert_eq!(nn_freemsg(made), 0);
        }
    }
}
