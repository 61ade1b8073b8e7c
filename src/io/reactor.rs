//! The one background thread: it waits for everything that no caller waits for.
//!
//! It accepts, connects, greets, keeps timers, notices ended streams, and writes what callers
//! left behind. It never decides anything: handlers do. Locks of the reactor are never held while
//! a handler runs.

use std::collections::HashMap;
use std::io::{self, Write};
use std::os::fd::RawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_queue::SegQueue;
use once_cell::sync::OnceCell;

use super::poller::{Poller, Wake};
use super::timers::Timers;
use crate::sync::{Mutex, Rank};
use crate::sys::{self, Event, EventBuffer, Interest};

/// Whom the reactor calls, always on its own thread.
pub trait Handler: Send + Sync {
    /// The descriptor that was watched under the handler's key has something to tell.
    fn ready(&self, event: Event);

    /// The timer of the handler's key has passed.
    fn timeout(&self, now: Instant);

    /// A moment has passed since the handler asked to be called often.
    fn tick(&self) -> Tick {
        Tick::Done
    }

    /// A call of the handler has panicked: whatever it was about is in an unknown state.
    fn broken(&self);
}

/// Whether a handler still wants to be called often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tick {
    Again,
    Done,
}

/// What the reactor knows a handler by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub u64);

/// The reactor of one library state, started when it is first needed.
#[derive(Default)]
pub struct LazyReactor(OnceCell<Arc<Reactor>>);

pub struct Reactor {
    poller: Poller,
    stopping: AtomicBool,
    next_key: AtomicU64,
    state: Mutex<State>,
    /// Handlers that ask to be called often from now on.
    lively: SegQueue<Arc<dyn Handler>>,
}

#[derive(Default)]
struct State {
    handlers: HashMap<Key, Arc<dyn Handler>>,
    timers: Timers,
    thread: Option<JoinHandle<()>>,
}

impl LazyReactor {
    /// # Errors
    /// When the descriptors or the thread cannot be had.
    pub fn get(&self) -> io::Result<&Arc<Reactor>> {
        self.0.get_or_try_init(Reactor::start)
    }

    /// Ends the thread, if there is one, and waits for it.
    pub fn stop(&self) {
        if let Some(reactor) = self.0.get() {
            reactor.stop();
        }
    }
}

impl Reactor {
    fn start() -> io::Result<Arc<Reactor>> {
        let reactor = Arc::new(Reactor {
            poller: Poller::new()?,
            stopping: AtomicBool::new(false),
            next_key: AtomicU64::new(0),
            state: Mutex::new(Rank::Reactor, State::default()),
            lively: SegQueue::new(),
        });
        let builder = thread::Builder::new().name("spmsg".into());
        let runner = Arc::clone(&reactor);
        let thread = sys::with_signals_blocked(|| builder.spawn(move || runner.run()))?;
        reactor.state.lock().thread = Some(thread);
        Ok(reactor)
    }

    fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.poller.wake();
        let thread = self.state.lock().thread.take();
        if let Some(thread) = thread {
            // It can only fail by a panic, which has been reported already.
            let _ = thread.join();
        }
        // Handlers own the reactor, which owns them: somebody has to let go.
        let handlers = std::mem::take(&mut self.state.lock().handlers);
        drop(handlers);
        while self.lively.pop().is_some() {}
    }

    /// Makes a handler known. It stays until [`Reactor::forget`].
    pub fn add(&self, handler: impl FnOnce(Key) -> Arc<dyn Handler>) -> Key {
        let key = Key(self.next_key.fetch_add(1, Ordering::Relaxed));
        let handler = handler(key);
        self.state.lock().handlers.insert(key, handler);
        key
    }

    /// Nothing is called under `key` any more, except a call that is under way.
    pub fn forget(&self, key: Key) {
        let mut state = self.state.lock();
        state.timers.set(key, None);
        let handler = state.handlers.remove(&key);
        drop(state);
        // Outside the lock: it may be the last owner of much.
        drop(handler);
    }

    /// Starts watching a descriptor on behalf of `key`.
    ///
    /// # Errors
    /// Those of epoll_ctl(2).
    pub fn watch(&self, key: Key, descriptor: RawFd, interest: Interest) -> io::Result<()> {
        self.poller.add(descriptor, interest, key.0)
    }

    /// Watches for something else from now on.
    ///
    /// # Errors
    /// Those of epoll_ctl(2).
    pub fn rewatch(&self, key: Key, descriptor: RawFd, interest: Interest) -> io::Result<()> {
        self.poller.modify(descriptor, interest, key.0)
    }

    pub fn unwatch(&self, descriptor: RawFd) {
        self.poller.remove(descriptor);
    }

    /// Sets the one timer of `key`, or removes it.
    pub fn set_timer(&self, key: Key, deadline: Option<Instant>) {
        if self.state.lock().timers.set(key, deadline) {
            self.poller.wake();
        }
    }

    /// Has `handler.tick` called every [`TICK`] until it says that it is done.
    pub fn tick_often(&self, handler: Arc<dyn Handler>) {
        self.lively.push(handler);
        self.poller.wake();
    }

    fn run(&self) {
        let mut events = EventBuffer::default();
        let mut lively = Vec::new();
        while !self.stopping.load(Ordering::SeqCst) {
            self.wait(&mut events, !lively.is_empty());
            self.pass_timers(Instant::now());
            while let Some(handler) = self.lively.pop() {
                lively.push(handler);
            }
            lively.retain(|handler| guarded(&**handler, |it| it.tick()) == Some(Tick::Again));
        }
    }

    fn wait(&self, events: &mut EventBuffer, is_lively: bool) {
        let mut timeout = self.until_next_timer();
        if is_lively {
            let quiet = !self.poller.wait_briefly(TICK).unwrap_or(false);
            if quiet {
                return;
            }
            timeout = Some(Duration::ZERO);
        }
        let Ok(events) = self.poller.wait(events, timeout) else {
            // All signals are blocked here, so that it is the kernel that is in trouble.
            return thread::sleep(TROUBLE);
        };
        for event in events {
            let handler = self.state.lock().handlers.get(&Key(event.key)).cloned();
            if let Some(handler) = handler {
                guarded(&*handler, |it| it.ready(event));
            }
        }
    }

    fn until_next_timer(&self) -> Option<Duration> {
        let next = self.state.lock().timers.next()?;
        Some(next.saturating_duration_since(Instant::now()))
    }

    fn pass_timers(&self, now: Instant) {
        // Bounded: a handler that sets its timer to the past is called again in the next round.
        let passed: Vec<_> = {
            let mut state = self.state.lock();
            std::iter::from_fn(|| state.timers.pop_passed(now)).collect()
        };
        for key in passed {
            let handler = self.state.lock().handlers.get(&key).cloned();
            if let Some(handler) = handler {
                guarded(&*handler, |it| it.timeout(now));
            }
        }
    }
}

/// A handler's panic is a bug, but it must not take the thread down with it.
fn guarded<T>(handler: &dyn Handler, call: impl FnOnce(&dyn Handler) -> T) -> Option<T> {
    let result = catch_unwind(AssertUnwindSafe(|| call(handler)));
    if result.is_err() {
        // Not eprintln, which panics when stderr is closed.
        let _ = writeln!(io::stderr(), "spmsg: internal error in the background thread");
        // What it breaks further is out of service anyway.
        let _ = catch_unwind(AssertUnwindSafe(|| handler.broken()));
    }
    result.ok()
}

/// How often lively handlers are called: bytes that a caller left behind lie still for at most
/// about twice this long.
const TICK: Duration = Duration::from_micros(50);

/// Before asking again a kernel that could not answer.
const TROUBLE: Duration = Duration::from_millis(1);
