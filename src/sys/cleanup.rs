//! What the macros pthread_cleanup_push and pthread_cleanup_pop of `<pthread.h>` stand for, and the
//! numbers beside them: each C library has its own.

use std::ffi::{c_int, c_void};

pub type Routine = unsafe extern "C" fn(*mut c_void);

#[cfg(target_os = "linux")]
mod system {
    use super::{Routine, c_int, c_void};

    pub const ENABLED: c_int = 0;
    pub const DISABLED: c_int = 1;
    pub const DEFERRED: c_int = 0;
    pub const ASYNCHRONOUS: c_int = 1;

    /// Room for what glibc (32 bytes) and musl (24 bytes) keep of a routine.
    #[repr(C, align(8))]
    pub struct Buffer([usize; 4]);

    unsafe extern "C" {
        fn _pthread_cleanup_push(buffer: *mut Buffer, routine: Routine, argument: *mut c_void);
        fn _pthread_cleanup_pop(buffer: *mut Buffer, execute: c_int);
    }

    pub unsafe fn push(buffer: *mut Buffer, routine: Routine, argument: *mut c_void) {
        // SAFETY: forwarded from our own contract.
        unsafe { _pthread_cleanup_push(buffer, routine, argument) };
    }

    pub unsafe fn pop(buffer: *mut Buffer) {
        // SAFETY: forwarded from our own contract.
        unsafe { _pthread_cleanup_pop(buffer, 0) };
    }
}

#[cfg(target_os = "freebsd")]
mod system {
    use super::{Routine, c_int, c_void};

    pub const ENABLED: c_int = 0;
    pub const DISABLED: c_int = 1;
    pub const DEFERRED: c_int = 0;
    pub const ASYNCHRONOUS: c_int = 2;

    /// A `struct _pthread_cleanup_info`.
    #[repr(C, align(8))]
    pub struct Buffer([usize; 8]);

    unsafe extern "C" {
        fn __pthread_cleanup_push_imp(routine: Routine, argument: *mut c_void, info: *mut Buffer);
        fn __pthread_cleanup_pop_imp(execute: c_int);
    }

    pub unsafe fn push(buffer: *mut Buffer, routine: Routine, argument: *mut c_void) {
        // SAFETY: forwarded from our own contract.
        unsafe { __pthread_cleanup_push_imp(routine, argument, buffer) };
    }

    pub unsafe fn pop(_buffer: *mut Buffer) {
        // SAFETY: forwarded from our own contract.
        unsafe { __pthread_cleanup_pop_imp(0) };
    }
}

#[cfg(target_vendor = "apple")]
mod system {
    use super::{Routine, c_int, c_void};
    use std::ffi::c_long;

    pub const ENABLED: c_int = 1;
    pub const DISABLED: c_int = 0;
    pub const DEFERRED: c_int = 2;
    pub const ASYNCHRONOUS: c_int = 0;

    /// A `struct __darwin_pthread_handler_rec`: one of a list that begins in the thread.
    #[repr(C)]
    pub struct Buffer {
        routine: Option<Routine>,
        argument: *mut c_void,
        next: *mut Buffer,
    }

    /// The beginning of a `struct _opaque_pthread_t`.
    #[repr(C)]
    struct Beginning {
        signature: c_long,
        routines: *mut Buffer,
    }

    fn beginning() -> *mut Beginning {
        // SAFETY: no pointer is passed. What comes back is one, to where the thread is described.
        let this = unsafe { libc::pthread_self() };
        this as *mut Beginning
    }

    pub unsafe fn push(buffer: *mut Buffer, routine: Routine, argument: *mut c_void) {
        let this = beginning();
        // SAFETY: the thread's description lives, and nobody else changes its list.
        let next = unsafe { (*this).routines };
        // SAFETY: forwarded from our own contract.
        unsafe { buffer.write(Buffer { routine: Some(routine), argument, next }) };
        // SAFETY: as above.
        unsafe { (*this).routines = buffer };
    }

    pub unsafe fn pop(buffer: *mut Buffer) {
        // SAFETY: forwarded from our own contract: it was written by `push`.
        let next = unsafe { (*buffer).next };
        // SAFETY: the thread's description lives, and nobody else changes its list.
        unsafe { (*beginning()).routines = next };
    }
}

/// Whether a thread can be cancelled in a sleep. Where nobody has looked how routines are
/// registered, it is not.
pub const IS_KNOWN: bool =
    cfg!(any(target_os = "linux", target_os = "freebsd", target_vendor = "apple"));

#[cfg(not(any(target_os = "linux", target_os = "freebsd", target_vendor = "apple")))]
mod system {
    use super::{Routine, c_int, c_void};

    pub const ENABLED: c_int = 0;
    pub const DISABLED: c_int = 1;
    pub const DEFERRED: c_int = 0;
    pub const ASYNCHRONOUS: c_int = 1;

    pub struct Buffer;

    pub unsafe fn push(_buffer: *mut Buffer, _routine: Routine, _argument: *mut c_void) {}

    pub unsafe fn pop(_buffer: *mut Buffer) {}
}

pub use system::{ASYNCHRONOUS, Buffer, DEFERRED, DISABLED, ENABLED};

/// Registers a routine, which is done when the thread is cancelled.
///
/// # Safety
/// The buffer, which nobody has written to, and the argument stay where they are until [`pop`], or
/// until the frame is left.
pub unsafe fn push(buffer: *mut Buffer, routine: Routine, argument: *mut c_void) {
    // SAFETY: forwarded from our own contract.
    unsafe { system::push(buffer, routine, argument) };
}

/// Takes the routine off again, which is not done.
///
/// # Safety
/// It is the last one that was pushed.
pub unsafe fn pop(buffer: *mut Buffer) {
    // SAFETY: forwarded from our own contract.
    unsafe { system::pop(buffer) };
}
