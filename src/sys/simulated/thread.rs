//! Threads of the library, which the scheduler runs.

use std::ffi::CStr;
use std::io;

use crate::sync::simulated::ending;
use crate::sync::simulated::thread::{Builder, JoinHandle};
use crate::sys::signals::with_signals_blocked;

/// A thread that has begun. Without [`Thread::join`] it goes its own way.
#[derive(Debug)]
pub struct Thread(JoinHandle<()>);

impl Thread {
    /// # Errors
    /// When no thread can be had.
    pub fn start(
        name: &'static CStr,
        stack_size: usize,
        work: impl FnOnce() + Send + 'static,
    ) -> io::Result<Thread> {
        let name = name.to_string_lossy().into_owned();
        let builder = Builder::new().name(name).stack_size(stack_size);
        with_signals_blocked(|| builder.spawn(work)).map(Thread)
    }

    /// Whether this is the one that calls.
    #[must_use]
    pub fn is_calling(&self) -> bool {
        self.0.is_calling()
    }

    /// Waits for its end.
    pub fn join(self) {
        // A panic ends the simulation before it ends the thread.
        let _ = self.0.join();
    }
}

pub const STACK_SIZE: usize = 1024 * 1024;

/// What a thread leaves behind.
#[derive(Clone, Copy, Debug)]
pub enum Belongings {
    Gathered,
    Duties,
    Roster,
}

/// Has `tidy` called when the calling thread ends. False when that cannot be had.
pub fn at_thread_end(of: Belongings, tidy: fn()) -> bool {
    ending::at_thread_end(of as usize, tidy)
}

const _: () = assert!(Belongings::Roster as usize + 1 == ending::PLACES);

pub fn wake_in_time() {}
