//! The process as a whole: its children and its end.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Once, OnceLock};

/// State that a forked child does not share with its parent: the child has none of the parent's
/// threads, and any lock may have been held by one of them. Each process starts with its own.
pub struct PerProcess<T> {
    states: [OnceLock<T>; GENERATIONS],
    fresh: fn() -> T,
}

impl<T> PerProcess<T> {
    #[must_use]
    pub const fn new(fresh: fn() -> T) -> PerProcess<T> {
        PerProcess { states: [const { OnceLock::new() }; GENERATIONS], fresh }
    }

    #[inline]
    pub fn get(&self) -> &T {
        self.states[generation()].get_or_init(self.fresh)
    }
}

/// How many forks lie between this process and the one that used the library first.
#[inline]
pub fn generation() -> usize {
    GENERATION.load(Ordering::Relaxed)
}

/// Has children notice that they are children.
pub fn watch_forks() {
    WATCH_FORKS.call_once(|| {
        // SAFETY: the function stays where it is, because the library is never unloaded.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
}

extern "C" fn in_child() {
    // Only this thread exists here. The last generation is shared by those behind it.
    let next = generation() + 1;
    GENERATION.store(next.min(GENERATIONS - 1), Ordering::Relaxed);
}

/// Has `flush` called when the process exits normally, behind everything that the application
/// itself does then.
pub fn flush_at_exit(flush: fn()) {
    let _ = FLUSH.set(flush);
}

extern "C" fn at_exit() {
    if let Some(flush) = FLUSH.get() {
        flush();
    }
}

// Not atexit(3): handlers run last in, first out, so that ours would come before those which the
// application registered early, and which may still send. The dynamic linker calls this last.
// SAFETY: the section holds pointers to functions without arguments, and this is one.
#[unsafe(link_section = ".fini_array")]
#[used]
static AT_EXIT: extern "C" fn() = at_exit;

static GENERATION: AtomicUsize = AtomicUsize::new(0);
static WATCH_FORKS: Once = Once::new();
static FLUSH: OnceLock<fn()> = OnceLock::new();
/// Forks in a row, each with sockets of its own, that are kept apart.
const GENERATIONS: usize = 16;
