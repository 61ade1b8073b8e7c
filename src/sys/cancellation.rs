//! pthread_cancel(3), which ends a thread by force: its stack is unwound from wherever it is, which
//! no Rust function with something to drop survives.
//!
//! It happens in those functions of the C library that are cancellation points. Calls that seldom
//! happen hold it off from their beginning to their end. Those that send and receive do not, for
//! the sake of their speed; what they may come to, in this folder, enters the kernel without the C
//! library's wrapper or holds it off itself. It is let through in one place: in the sleep of a call
//! that blocks. All that is to be put right then is done by the one routine that is registered.

use super::cleanup::{self, ASYNCHRONOUS, Buffer, DEFERRED, DISABLED, ENABLED};
use std::ffi::{c_int, c_void};
use std::mem::{ManuallyDrop, MaybeUninit};
use std::ops::{Deref, DerefMut};

/// Makes a call during which nobody cancels the thread.
#[inline]
pub fn held<T>(call: impl FnOnce() -> T) -> T {
    let _held = HeldOff { before: set_state(DISABLED) };
    call()
}

/// What the calling thread had allowed before, and is allowed again when this is dropped.
struct HeldOff {
    before: c_int,
}

impl Drop for HeldOff {
    #[inline]
    fn drop(&mut self) {
        set_state(self.before);
    }
}

/// Something whose drop enters the kernel, which is not to be the end of the thread.
#[derive(Debug)]
pub(super) struct Owned<T>(ManuallyDrop<T>);

impl<T> Owned<T> {
    pub fn new(inner: T) -> Owned<T> {
        Owned(ManuallyDrop::new(inner))
    }
}

impl<T> Deref for Owned<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Owned<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: nobody looks at it again.
        held(|| unsafe { ManuallyDrop::drop(&mut self.0) });
    }
}

/// Ends the thread here if it has been cancelled, and may be.
///
/// # Safety
/// No frame between the caller of the library and this has anything to drop.
#[inline]
pub unsafe fn pass() {
    // SAFETY: the frames that this may unwind have nothing to drop.
    unsafe { pthread_testcancel() };
}

/// What is done when the thread never comes back from a sleep, before its frames go.
#[derive(Clone, Copy)]
pub struct Cleanup {
    pub routine: unsafe fn(*mut c_void),
    pub argument: *mut c_void,
}

/// Whether a call is a cancellation point by itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Point {
    Is,
    /// It is made one.
    IsNot,
    /// Nor is it made one: a handler may jump out of it, and that is all.
    IsNever,
}

/// Makes a call during which the thread can be cancelled, if its owner allows that.
///
/// # Safety
/// `call` waits in the kernel, and does nothing that somebody else would have to put right if it
/// never came back. No frame between the caller of the library and this has anything to drop.
/// `cleanup` may be done meanwhile.
#[inline(never)]
pub(super) unsafe fn let_through<T: Copy>(
    point: Point,
    cleanup: Cleanup,
    call: impl Fn() -> T,
) -> T {
    if !cleanup::IS_KNOWN {
        return held(call);
    }
    let mut buffer = MaybeUninit::<Buffer>::zeroed();
    let mut leaving = Leaving { cleanup, kind: None };
    let argument = (&raw mut leaving).cast();
    // SAFETY: buffer and argument stay where they are until the buffer is popped, or until this
    // frame is left.
    unsafe { cleanup::push(buffer.as_mut_ptr(), leave, argument) };
    if point == Point::IsNot {
        leaving.kind = Some(DEFERRED);
        // SAFETY: the frames that this may unwind have nothing to drop.
        leaving.kind = Some(unsafe { set_kind(ASYNCHRONOUS) });
    }
    let result = call();
    if let Some(kind) = leaving.kind {
        // SAFETY: the frames that this may unwind have nothing to drop.
        unsafe { set_kind(kind) };
    }
    // SAFETY: it was pushed above.
    unsafe { cleanup::pop(buffer.as_mut_ptr()) };
    result
}

/// For a thread that has left a sleep without a word.
pub fn forget_sleep() {
    // SAFETY: what is deferred happens elsewhere.
    unsafe { set_kind(DEFERRED) };
}

/// What there is to do for one who leaves.
struct Leaving {
    cleanup: Cleanup,
    /// How he could be cancelled before, if that has been changed.
    kind: Option<c_int>,
}

/// # Safety
/// The argument is a `Leaving`, whose cleanup is to be done.
unsafe extern "C" fn leave(argument: *mut c_void) {
    // SAFETY: forwarded from our own contract.
    let leaving = unsafe { &*argument.cast::<Leaving>() };
    if let Some(kind) = leaving.kind {
        // SAFETY: one who is being cancelled is not cancelled again, and one who jumps away has not
        // been.
        unsafe { set_kind(kind) };
    }
    let Cleanup { routine, argument } = leaving.cleanup;
    // SAFETY: forwarded from our own contract.
    unsafe { routine(argument) };
}

/// Returns what was set before.
#[inline]
fn set_state(state: c_int) -> c_int {
    let mut before = ENABLED;
    // SAFETY: the number lives during the call. Setting the state of a thread whose kind is
    // deferred cancels nothing, and where it is not the caller has broken the rules already.
    unsafe { pthread_setcancelstate(state, &mut before) };
    before
}

/// Returns what was set before.
///
/// # Safety
/// The frames that this may unwind have nothing to drop.
unsafe fn set_kind(kind: c_int) -> c_int {
    let mut before = DEFERRED;
    // SAFETY: the number lives during the call; the rest is forwarded from our own contract.
    unsafe { pthread_setcanceltype(kind, &mut before) };
    before
}

// What may not return but unwind.
unsafe extern "C-unwind" {
    fn pthread_setcanceltype(kind: c_int, before: *mut c_int) -> c_int;
    fn pthread_testcancel();
}

unsafe extern "C" {
    fn pthread_setcancelstate(state: c_int, before: *mut c_int) -> c_int;
}
