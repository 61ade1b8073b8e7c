//! Threads of the library, and what it asks of others.
//!
//! Not the standard library's: that ends the process when there is no memory for what it keeps of
//! a thread. No signal reaches a thread that begins here; the application's are the
//! application's.

use std::ffi::{CStr, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use super::signals::with_signals_blocked;
use crate::sync::atomic::{AtomicUsize, Ordering};

/// A thread that has begun. Without [`Thread::join`] it goes its own way.
#[derive(Debug)]
pub struct Thread {
    handle: libc::pthread_t,
    is_joined: bool,
}

// SAFETY: the handle, which is a pointer in some C libraries, names the thread from anywhere.
unsafe impl Send for Thread {}
// SAFETY: as above; nothing about it changes but by who owns it.
unsafe impl Sync for Thread {}

type Work = Box<dyn FnOnce() + Send>;

impl Thread {
    /// Runs `work` in a thread of its own. What panics there has been reported, and ends nothing
    /// but the thread.
    ///
    /// # Errors
    /// When no thread can be had.
    pub fn start(
        name: &'static CStr,
        stack_size: usize,
        work: impl FnOnce() + Send + 'static,
    ) -> io::Result<Thread> {
        let work: Work = Box::new(work);
        let work = Box::into_raw(Box::new((name, work)));
        let mut handle = MaybeUninit::uninit();
        let result = with_attributes(stack_size, |attributes| {
            // SAFETY: handle and attributes are alive, and `run` takes what is passed to it.
            with_signals_blocked(|| unsafe {
                libc::pthread_create(handle.as_mut_ptr(), attributes, run, work.cast())
            })
        });
        if result != 0 {
            // SAFETY: it came from a box, and no thread has got it.
            drop(unsafe { Box::from_raw(work) });
            return Err(io::Error::from_raw_os_error(result));
        }
        // SAFETY: it was filled by the call that succeeded.
        let handle = unsafe { handle.assume_init() };
        Ok(Thread { handle, is_joined: false })
    }

    /// Whether this is the one that calls.
    #[must_use]
    pub fn is_calling(&self) -> bool {
        // SAFETY: no pointer is passed. A number stands for one thread until that is joined.
        unsafe { libc::pthread_self() == self.handle }
    }

    /// Waits for its end.
    pub fn join(mut self) {
        self.is_joined = true;
        // SAFETY: the thread was neither joined nor detached before. It can only fail for one who
        // waits for himself.
        unsafe { libc::pthread_join(self.handle, ptr::null_mut()) };
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        if !self.is_joined {
            // SAFETY: the thread was neither joined nor detached before.
            unsafe { libc::pthread_detach(self.handle) };
        }
    }
}

/// As much as threads of the standard library have.
pub const STACK_SIZE: usize = 2 * 1024 * 1024;

fn with_attributes(
    stack_size: usize,
    create: impl FnOnce(*const libc::pthread_attr_t) -> libc::c_int,
) -> libc::c_int {
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    // SAFETY: there is room for attributes.
    let mut result = unsafe { libc::pthread_attr_init(attributes.as_mut_ptr()) };
    if result != 0 {
        return result;
    }
    // SAFETY: they were initialised above.
    result = unsafe { libc::pthread_attr_setstacksize(attributes.as_mut_ptr(), stack_size) };
    if result == 0 {
        result = create(attributes.as_ptr());
    }
    // SAFETY: they were initialised above, and are not used any more.
    unsafe { libc::pthread_attr_destroy(attributes.as_mut_ptr()) };
    result
}

extern "C" fn run(argument: *mut c_void) -> *mut c_void {
    // SAFETY: `Thread::start` passes what came from such a box, once.
    let (name, work) = *unsafe { Box::from_raw(argument.cast::<(&'static CStr, Work)>()) };
    call_oneself(name);
    // The panic hook has reported it.
    let _ = catch_unwind(AssertUnwindSafe(work));
    ptr::null_mut()
}

/// A thread without a name works as well.
fn call_oneself(name: &CStr) {
    #[cfg(target_os = "linux")]
    // SAFETY: the name ends with a zero.
    unsafe {
        libc::prctl(libc::PR_SET_NAME, name.as_ptr());
    }
    #[cfg(target_vendor = "apple")]
    // SAFETY: the name ends with a zero.
    unsafe {
        libc::pthread_setname_np(name.as_ptr());
    }
    #[cfg(target_os = "freebsd")]
    // SAFETY: the name ends with a zero, and this thread is there.
    unsafe {
        libc::pthread_set_name_np(libc::pthread_self(), name.as_ptr());
    }
    #[cfg(not(any(target_os = "linux", target_os = "freebsd", target_vendor = "apple")))]
    let _ = name;
}

/// What a thread leaves behind, each kind with a function that takes it away.
#[derive(Clone, Copy, Debug)]
pub enum Belongings {
    Gathered,
    Duties,
    Roster,
    Trays,
}

/// Has `tidy` called when the calling thread ends. False when that cannot be had.
///
/// A thread-local value with a destructor would do it, too; but the C library ends the process
/// when it has no memory for noting that.
pub fn at_thread_end(of: Belongings, tidy: fn()) -> bool {
    let key = KEYS[of as usize].load(Ordering::Relaxed);
    // SAFETY: a key that is not NO_KEY was made when the library was loaded.
    key != NO_KEY && unsafe { libc::pthread_setspecific(key as _, tidy as *const c_void) == 0 }
}

extern "C" fn thread_ends(tidy: *mut c_void) {
    // SAFETY: `at_thread_end` alone sets it, to such a function.
    let tidy = unsafe { std::mem::transmute::<*mut c_void, fn()>(tidy) };
    // The panic hook has reported it.
    let _ = catch_unwind(tidy);
}

/// When the library is loaded there are few threads and there is memory.
pub(super) fn make_keys() {
    for place in &KEYS {
        let mut key = 0;
        // SAFETY: the key is alive, and the function stays where it is, because the library is
        // never unloaded.
        let result = unsafe { libc::pthread_key_create(&mut key, Some(thread_ends)) };
        place.store(if result == 0 { key as usize } else { NO_KEY }, Ordering::Relaxed);
    }
}

static KEYS: [AtomicUsize; 4] = [const { AtomicUsize::new(NO_KEY) }; 4];
/// Keys are small numbers, of a type that each system has its own of.
const NO_KEY: usize = usize::MAX;

/// Has the kernel end this thread's sleeps when they are over, and not up to 50 microseconds later
/// for the sake of its batteries.
pub fn wake_in_time() {
    // SAFETY: no pointer is passed. Without this the thread is merely late.
    #[cfg(target_os = "linux")]
    unsafe {
        libc::prctl(libc::PR_SET_TIMERSLACK, 1_usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;
    use std::sync::mpsc::channel;

    const NAME: &CStr = c"spmsg-test";

    #[test]
    fn the_slack_is_the_least_there_is() {
        let slack = std::thread::spawn(|| {
            wake_in_time();
            // SAFETY: no pointer is passed.
            unsafe { libc::prctl(libc::PR_GET_TIMERSLACK) }
        });
        assert_eq!(slack.join().unwrap(), 1);
    }

    #[test]
    fn a_thread_has_its_name_and_no_signals() {
        let (tell, told) = channel();
        let thread = Thread::start(NAME, STACK_SIZE, move || {
            let name = std::fs::read_to_string("/proc/thread-self/comm").unwrap();
            let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
            tell.send((name, status)).unwrap();
        });
        thread.unwrap().join();
        let (name, status) = told.recv().unwrap();
        assert_eq!(name.trim(), "spmsg-test");
        let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap();
        let blocked = u64::from_str_radix(blocked.trim(), 16).unwrap();
        assert_ne!(blocked & 1 << (libc::SIGTERM - 1), 0);
    }

    #[test]
    fn a_thread_is_itself_alone() {
        let (tell, told) = channel::<std::sync::Arc<Thread>>();
        let (answer, answered) = channel();
        let thread = Thread::start(NAME, STACK_SIZE, move || {
            answer.send(told.recv().unwrap().is_calling()).unwrap();
        });
        let thread = std::sync::Arc::new(thread.unwrap());
        assert!(!thread.is_calling());
        tell.send(std::sync::Arc::clone(&thread)).unwrap();
        assert!(answered.recv().unwrap());
    }

    #[test]
    fn what_panics_ends_nothing_else() {
        Thread::start(NAME, STACK_SIZE, || panic!("on purpose")).unwrap().join();
    }

    #[test]
    fn a_thread_that_cannot_be_had_leaves_nothing() {
        let kept = std::sync::Arc::new(());
        let given = std::sync::Arc::clone(&kept);
        // No stack is so small.
        assert!(Thread::start(NAME, 1, move || drop(given)).is_err());
        assert_eq!(std::sync::Arc::strong_count(&kept), 1);
    }

    #[test]
    fn the_end_of_a_thread_is_told_once_for_each() {
        static TOLD: AtomicU32 = AtomicU32::new(0);
        let tidy = || _ = TOLD.fetch_add(1, Ordering::SeqCst);
        let thread = Thread::start(NAME, STACK_SIZE, move || {
            for of in [Belongings::Gathered, Belongings::Duties, Belongings::Duties] {
                assert!(at_thread_end(of, tidy));
            }
        });
        thread.unwrap().join();
        assert_eq!(TOLD.load(Ordering::SeqCst), 2);
    }
}
