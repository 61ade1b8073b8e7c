//! The process as a whole: its environment, and its children.

#[cfg(not(simulated))]
use std::ffi::CStr;
use std::ffi::OsString;

use crate::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// State that a forked child does not share with its parent: the child has none of the parent's
/// threads, and any lock may have been held by one of them. Each process starts with its own.
///
/// Nothing waits here, so that a fork at any moment leaves nothing half done behind. What a parent
/// had stays in its child's memory, because somebody may still refer to it.
pub struct PerProcess<T: Send + Sync + 'static> {
    state: AtomicPtr<Owned<T>>,
    fresh: fn() -> T,
}

struct Owned<T> {
    generation: usize,
    value: T,
    /// What the parent had. Nobody reads it: memory that nothing points to would look lost.
    _parents: *mut Owned<T>,
}

impl<T: Send + Sync> PerProcess<T> {
    #[must_use]
    pub const fn new(fresh: fn() -> T) -> PerProcess<T> {
        PerProcess { state: AtomicPtr::new(std::ptr::null_mut()), fresh }
    }

    #[inline]
    pub fn get(&self) -> &T {
        self.of(generation())
    }

    #[inline]
    fn of(&self, generation: usize) -> &T {
        // Acquire: pairs with the release in `make`, who sees the pointer sees what it points to.
        let state = self.state.load(Ordering::Acquire);
        // SAFETY: it is null, or came from a box that is never freed.
        match unsafe { state.as_ref() } {
            Some(owned) if owned.generation == generation => &owned.value,
            _ => self.make(state, generation),
        }
    }

    #[cold]
    fn make(&self, outdated: *mut Owned<T>, generation: usize) -> &T {
        let value = (self.fresh)();
        let fresh = Box::into_raw(Box::new(Owned { generation, value, _parents: outdated }));
        // Release: pairs with the acquire in `of`.
        let result =
            self.state.compare_exchange(outdated, fresh, Ordering::Release, Ordering::Relaxed);
        if result.is_err() {
            // Another thread was faster.
            // SAFETY: the box was made above, and nobody else has seen it.
            drop(unsafe { Box::from_raw(fresh) });
            return self.of(generation);
        }
        // SAFETY: it came from a box, which nobody frees from now on.
        &unsafe { &*fresh }.value
    }
}

/// State that a forked child finds as its parent left it. It must bear a fork at any moment.
pub struct Inherited<T> {
    value: T,
}

impl<T> Inherited<T> {
    #[must_use]
    pub const fn new(value: T) -> Inherited<T> {
        Inherited { value }
    }

    #[inline]
    pub fn get(&self) -> &T {
        &self.value
    }
}

/// How many forks lie between this process and the one that loaded the library.
#[inline]
pub fn generation() -> usize {
    GENERATION.load(Ordering::Relaxed)
}

/// What the environment has under that name: nothing in a process that may do more than the user
/// who has set it.
pub fn environment(name: &str) -> Option<OsString> {
    if is_privileged() { None } else { std::env::var_os(name) }
}

/// Whether this process may do more than the user who has started it.
pub fn is_privileged() -> bool {
    #[cfg(target_os = "linux")]
    // SAFETY: no pointer is passed.
    let is_privileged = unsafe { libc::getauxval(libc::AT_SECURE) } != 0;
    #[cfg(not(target_os = "linux"))]
    // SAFETY: no pointer is passed.
    let is_privileged = unsafe { libc::issetugid() } != 0;
    is_privileged
}

extern "C" fn in_child() {
    #[cfg(portable)]
    // SAFETY: only this thread exists here, which was forked just now.
    unsafe {
        crate::sync::begin_child();
    }
    GENERATION.fetch_add(1, Ordering::Relaxed);
    crate::memory::stock().begin_child();
    super::exit::forget_parent();
}

/// Whether somebody looks for uses of memory that was freed: what is kept to be used again, they
/// would take for memory in use.
#[cfg(not(simulated))]
fn is_watched() -> bool {
    if cfg!(miri) {
        return true;
    }
    let name = c"__asan_init".as_ptr();
    // SAFETY: a name with an end; what it stands for is not used.
    let has_sanitizer = !unsafe { libc::dlsym(libc::RTLD_DEFAULT, name) }.is_null();
    // SAFETY: likewise.
    let preloaded = unsafe { libc::getenv(c"LD_PRELOAD".as_ptr()) };
    let has_checker = || {
        // SAFETY: it has an end, and nobody changes the environment while a library is loaded.
        let names = unsafe { CStr::from_ptr(preloaded) }.to_bytes();
        names.windows(MEMCHECK.len()).any(|name| name == MEMCHECK)
    };
    has_sanitizer || !preloaded.is_null() && has_checker()
}

/// What valgrind preloads to watch memory.
#[cfg(not(simulated))]
const MEMCHECK: &[u8] = b"vgpreload_memcheck";

extern "C" fn at_load() {
    // SAFETY: the function stays where it is, because the library is never unloaded.
    unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    super::exit::watch_quick_exits();
    super::thread::make_keys();
    // What runs in a simulation or a model has no threads of its own. On Apple's systems the memory
    // of a thread is gone before its end is told.
    #[cfg(not(simulated))]
    if !cfg!(any(loom, miri, fuzzing, target_vendor = "apple")) && !is_watched() {
        crate::memory::keep_trays(|tidy| super::at_thread_end(super::Belongings::Trays, tidy));
    }
    #[cfg(all(target_os = "linux", not(any(portable, loom, simulated, tsan, miri))))]
    crate::sync::agree();
}

// When the library is loaded: later there may be threads, and a fork in the middle of it.
// SAFETY: the section holds pointers to functions, whose arguments this one leaves alone.
#[cfg_attr(all(not(miri), not(target_vendor = "apple")), unsafe(link_section = ".init_array"))]
#[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__mod_init_func"))]
#[used]
static AT_LOAD: extern "C" fn() = at_load;

static GENERATION: AtomicUsize = AtomicUsize::new(0);

// A fork of the test process would hold the descriptors of all other tests for a moment, which
// then do not end when they should: real ones are made by programs of their own, in C.
#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;
    use std::sync::{Barrier, OnceLock};

    #[test]
    fn what_the_environment_has_not_is_nothing() {
        assert_eq!(environment("SPMSG_TEST_OF_NO_VARIABLE"), None);
        assert_eq!(environment("PATH"), std::env::var_os("PATH"));
    }

    #[test]
    fn each_generation_has_a_state_of_its_own_which_stays() {
        static COUNT: PerProcess<AtomicU32> = PerProcess::new(|| AtomicU32::new(5));
        let first = COUNT.of(0);
        first.store(9, Ordering::Relaxed);
        for generation in 1..100 {
            assert_eq!(COUNT.of(generation).fetch_add(1, Ordering::Relaxed), 5);
            assert_eq!(COUNT.of(generation).load(Ordering::Relaxed), 6);
        }
        assert_eq!(first.load(Ordering::Relaxed), 9);
    }

    #[test]
    fn a_state_that_nobody_asks_for_is_not_made() {
        static NEVER: PerProcess<u8> = PerProcess::new(|| panic!("nobody has asked"));
        assert!(std::panic::catch_unwind(|| NEVER.of(1)).is_err());
        assert!(NEVER.state.load(Ordering::Relaxed).is_null());
    }

    #[test]
    fn a_child_sets_what_its_parent_was_about_to_set() {
        static CELL: PerProcess<OnceLock<u8>> = PerProcess::new(OnceLock::new);
        let set = || {
            // A thread that the child does not have would never come to its end there.
            assert_eq!(CELL.of(1).set(7), Ok(()));
            5
        };
        assert_eq!(*CELL.of(0).get_or_init(set), 5);
        assert_eq!(CELL.of(1).get(), Some(&7));
    }

    #[test]
    fn threads_that_ask_at_once_get_the_same() {
        for _ in 0..100 {
            let cell: &PerProcess<AtomicU32> =
                Box::leak(Box::new(PerProcess::new(|| AtomicU32::new(0))));
            let barrier = Barrier::new(4);
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        barrier.wait();
                        cell.of(3).fetch_add(1, Ordering::Relaxed)
                    });
                }
            });
            assert_eq!(cell.of(3).load(Ordering::Relaxed), 4);
        }
    }
}
