//! The C ABI: borrows what C lends, calls core, converts the answer. Decides nothing.
//!
//! Every exported function enters the library through `enter`, so that no panic crosses into C
//! and every failure becomes an error number; only those that tell the error number, its text or
//! the version do not, which cannot fail. The doc comment of an exported function is its
//! manual text: `build.rs` copies it into the header.

#![allow(clippy::missing_safety_doc, reason = "the manual text of a C function is its contract")]

pub mod abi;
pub mod ancillary;
mod blocking;
pub mod device;
pub mod errno;
pub mod extension;
pub mod figures;
pub mod message;
pub mod options;
mod outgoing;
pub mod poll;
mod raw;
mod reason;
pub mod socket;
pub mod statistics;
pub mod symbols;
pub mod transfer;

use crate::core::{self, Socket};
use crate::error::Error;
use crate::sys::{self, cancellation};
use std::any::type_name;
use std::cell::Cell;
use std::ffi::c_int;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

/// What a function that fails returns to C, by its type.
trait Failure {
    const VALUE: Self;
}

impl Failure for c_int {
    const VALUE: c_int = -1;
}

impl Failure for u64 {
    const VALUE: u64 = u64::MAX;
}

impl Failure for () {
    const VALUE: () = ();
}

impl<T> Failure for *const T {
    const VALUE: *const T = ptr::null();
}

impl<T> Failure for *mut T {
    const VALUE: *mut T = ptr::null_mut();
}

/// The one door: an error becomes an error number and the value that stands for failure, and so
/// does a panic, after a line on stderr that says where it was caught. Nobody cancels the thread
/// meanwhile.
#[inline]
fn enter<T: Failure, F: FnOnce() -> Result<T, Error>>(call: F) -> T {
    cancellation::held(|| enter_lightly(call))
}

/// The same for what never enters the kernel, where alone a thread can be cancelled.
#[inline]
fn enter_lightly<T: Failure, F: FnOnce() -> Result<T, Error>>(call: F) -> T {
    attempt::<T, F, _>(|| Some(call())).unwrap_or(T::VALUE)
}

/// The same for a step of a call, which may have no result yet. `N` names the exported function.
#[inline]
fn attempt<T: Failure, N, F: FnOnce() -> Option<Result<T, Error>>>(step: F) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(step)) {
        Ok(Some(Ok(value))) => Some(value),
        Ok(Some(Err(error))) => Some(fail(error)),
        Ok(None) => None,
        Err(_) => {
            report(type_name::<N>());
            Some(fail(Error::NotOpen))
        }
    }
}

/// Enters with the handle of a socket, which is looked up before any other argument is. A panic
/// takes this socket, and no other, out of service.
#[inline]
fn enter_socket<T: Failure>(handle: c_int, call: impl FnOnce(&Socket) -> Result<T, Error>) -> T {
    enter(|| with_socket(handle, call))
}

#[inline]
fn with_socket<T>(
    handle: c_int,
    call: impl FnOnce(&Socket) -> Result<T, Error>,
) -> Result<T, Error> {
    let socket = core::find(handle)?;
    let guard = BreakOnPanic(&socket);
    let result = call(&socket);
    mem::forget(guard);
    result
}

/// Is forgotten unless a panic drops it.
struct BreakOnPanic<'a>(&'a Socket);

impl Drop for BreakOnPanic<'_> {
    fn drop(&mut self) {
        // A second panic while the first unwinds would abort the process.
        let _ = catch_unwind(AssertUnwindSafe(|| self.0.take_out_of_service()));
    }
}

#[cold]
#[inline(never)]
fn fail<T: Failure>(error: Error) -> T {
    LAST_FAILURE.set(Some(error));
    errno::set(errno::number(error));
    T::VALUE
}

/// Why the last call of this thread that failed did.
fn last_failure() -> Option<Error> {
    LAST_FAILURE.get()
}

thread_local! {
    static LAST_FAILURE: Cell<Option<Error>> = const { Cell::new(None) };
}

/// The panic itself was reported by the panic hook. Nobody may be listening on stderr.
#[cold]
fn report(call: &str) {
    let line = format!("spmsg: internal error in {}; this is a bug\n", exported_name(call));
    sys::complain(line.as_bytes());
}

/// The exported function in the type name of a closure that it passed to [`enter`], so that no
/// function has to say its own name.
fn exported_name(call: &str) -> &str {
    let start = ["::nn_", "::spmsg_"].iter().filter_map(|prefix| call.rfind(prefix)).max();
    let start = start.map_or(0, |at| at + "::".len());
    let name = &call[start..];
    &name[..name.find(':').unwrap_or(name.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nn_example(call: impl FnOnce() -> Result<c_int, Error>) -> c_int {
        enter(call)
    }

    #[test]
    fn a_result_passes_and_an_error_becomes_a_number() {
        assert_eq!(nn_example(|| Ok(7)), 7);
        assert_eq!(nn_example(|| Err(Error::NameTooLong)), -1);
        assert_eq!(errno::get(), libc::ENAMETOOLONG);
    }

    #[test]
    fn a_panic_becomes_a_bad_handle() {
        assert_eq!(enter(|| -> Result<u64, Error> { panic!("on purpose") }), u64::MAX);
        assert_eq!(errno::get(), libc::EBADF);
    }

    #[test]
    fn the_report_names_the_exported_function() {
        fn nn_sample() -> &'static str {
            fn name<F: FnOnce()>(_: F) -> &'static str {
                type_name::<F>()
            }
            name(|| ())
        }
        assert_eq!(exported_name(nn_sample()), "nn_sample");
        assert_eq!(exported_name("a::enter_socket<i32, a::b::nn_send::{{closure}}>"), "nn_send");
        let ours = "spmsg::a::enter_socket<i32, spmsg::b::spmsg_bind::{{closure}}>";
        assert_eq!(exported_name(ours), "spmsg_bind");
        assert_eq!(exported_name("something else"), "something else");
    }
}
