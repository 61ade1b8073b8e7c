//! Calls that may sleep.
//!
//! The thread sleeps here, between the steps of a call, and nowhere else: in frames that have
//! nothing to drop, so that pthread_cancel(3) may unwind them. What the call has is given back by
//! one routine then; so it is when a signal handler jumps out of the sleep, on glibc.

use super::{BreakOnPanic, Failure, attempt, with_socket};
use crate::core::{Miss, Socket, Step, Turn};
use crate::error::Error;
use crate::sys::cancellation::{self, Cleanup};
use crate::sys::nap_with_cancellation;
use std::ffi::{c_int, c_void};
use std::mem::{self, ManuallyDrop, MaybeUninit};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A call that is made in steps.
pub(super) trait Job {
    type Value: Failure;

    /// # Errors
    /// Those of the call.
    fn step(&mut self, turn: &mut Turn) -> Result<Step<Self::Value>, Error>;
}

/// What a call has while it lasts.
struct Call<J> {
    // Dropped in this order: what the thread owes for its sleep comes first.
    turn: Turn,
    job: J,
}

/// What the beginning of a call comes to.
pub(super) enum Begun<J: Job> {
    Done(J::Value),
    /// The rest is done in steps. Where something was looked at already, it need not be looked at
    /// again.
    GoesOn(J, Option<Miss>),
}

/// Makes a call: begins it, and if that was not enough, makes steps and sleeps by turns. The thread
/// can be cancelled before it begins and while it sleeps.
///
/// # Safety
/// No frame between the caller of the library and this has anything to drop, `begin` included, and
/// what `begin` makes may be dropped between any two steps.
#[inline]
pub(super) unsafe fn block<J: Job, F: FnOnce() -> Result<Begun<J>, Error>>(begin: F) -> J::Value {
    // SAFETY: forwarded from our own contract, and this frame has nothing to drop yet.
    unsafe { cancellation::pass() };
    let mut rest = MaybeUninit::uninit();
    let begun = attempt::<_, F, _>(|| match begin() {
        Ok(Begun::Done(value)) => Some(Ok(value)),
        Ok(Begun::GoesOn(job, miss)) => {
            rest.write((job, miss));
            None
        }
        Err(error) => Some(Err(error)),
    });
    match begun {
        Some(value) => value,
        // SAFETY: the rest has been written, and this frame has nothing to drop; what else is asked
        // for is forwarded from our own contract.
        None => unsafe { go_on::<J, F>(&raw const rest) },
    }
}

/// # Safety
/// There is a job, which is nobody else's, and what [`block`] asks for.
#[inline(never)]
unsafe fn go_on<J: Job, F>(rest: *const MaybeUninit<(J, Option<Miss>)>) -> J::Value {
    // SAFETY: forwarded from our own contract.
    let (job, miss) = unsafe { rest.cast::<(J, Option<Miss>)>().read() };
    let mut call = ManuallyDrop::new(Call { turn: Turn::after(miss), job });
    let argument = (&raw mut call).cast();
    loop {
        if let Some(value) = advance::<J, F>(&mut call) {
            return value;
        }
        let Some((nap, until)) = call.turn.nap() else { continue };
        let cleanup = Cleanup { routine: give_up::<J>, argument };
        // SAFETY: forwarded from our own contract, and this frame has nothing to drop; the routine
        // is for this call, which stays where it is, and drops what the nap borrows only when
        // nobody comes back to it.
        let slept = unsafe { nap_with_cancellation(nap, until, cleanup) };
        call.turn.note(slept);
    }
}

/// Makes one step. `None` when the thread has to sleep before the next one; else the call is over
/// and has been dropped. `F` is a closure of the exported function.
#[inline]
fn advance<J: Job, F>(call: &mut ManuallyDrop<Call<J>>) -> Option<J::Value> {
    attempt::<_, F, _>(|| {
        let Call { turn, job } = &mut **call;
        let step = job.step(turn);
        if matches!(step, Ok(Step::Sleep)) {
            return None;
        }
        // SAFETY: this is the end of the call, and nobody looks at it again.
        unsafe { ManuallyDrop::drop(call) };
        match step {
            Ok(Step::Done(value)) => Some(Ok(value)),
            Ok(Step::Sleep) => None,
            Err(error) => Some(Err(error)),
        }
    })
}

/// Gives back what a call has whose thread never comes back to it.
///
/// # Safety
/// The argument is the call, between two steps.
unsafe fn give_up<J: Job>(call: *mut c_void) {
    // A panic has been reported by the panic hook, and cannot be allowed to go any further.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: forwarded from our own contract; nobody looks at the call again.
        unsafe { call.cast::<Call<J>>().drop_in_place() };
    }));
}

/// Makes a step with the socket behind a handle: in the first one it is looked up, before any other
/// argument is looked at. A panic takes this socket, and no other, out of service.
#[inline]
pub(super) fn on_socket<T>(
    handle: c_int,
    turn: &mut Turn,
    step: impl FnOnce(&Socket, &mut Turn) -> Result<T, Error>,
) -> Result<T, Error> {
    let Some(socket) = turn.visit() else {
        return with_socket(handle, |socket| step(socket, turn));
    };
    let guard = BreakOnPanic(&socket);
    let result = step(&socket, turn);
    mem::forget(guard);
    result
}
