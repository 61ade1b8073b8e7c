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
        self.of(generation())
    }

    #[inline]
    fn of(&self, generation: usize) -> &T {
        self.states[generation].get_or_init(self.fresh)
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
    // Only this thread exists here.
    GENERATION.store(child_of(generation()), Ordering::Relaxed);
}

/// The last generation is shared by those behind it.
fn child_of(generation: usize) -> usize {
    (generation + 1).min(GENERATIONS - 1)
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

// A fork of the test process would hold the descriptors of all other tests for a moment, which
// then do not end when they should: real ones are made by programs of their own, in C.
#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;

    #[test]
    fn each_generation_has_a_state_of_its_own_which_stays() {
        static COUNT: PerProcess<AtomicU32> = PerProcess::new(|| AtomicU32::new(5));
        COUNT.of(0).store(9, Ordering::Relaxed);
        for generation in 1..GENERATIONS {
            assert_eq!(COUNT.of(generation).fetch_add(1, Ordering::Relaxed), 5);
        }
        assert_eq!(COUNT.of(0).load(Ordering::Relaxed), 9);
        assert_eq!(COUNT.of(1).load(Ordering::Relaxed), 6);
        assert!(std::ptr::eq(COUNT.get(), COUNT.of(generation())));
    }

    #[test]
    fn a_state_that_nobody_asks_for_is_not_made() {
        static NEVER: PerProcess<u8> = PerProcess::new(|| panic!("nobody has asked"));
        assert!(std::panic::catch_unwind(|| NEVER.of(1)).is_err());
        assert!(NEVER.states[2].get().is_none());
    }

    #[test]
    fn generations_beyond_the_last_share_one() {
        let all = (0..40).scan(0, |generation, _| {
            *generation = child_of(*generation);
            Some(*generation)
        });
        let expected = (1..=40).map(|generation: usize| generation.min(GENERATIONS - 1));
        assert_eq!(all.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    }
}
