//! The one background thread: it waits for everything that no caller waits for.
//!
//! It accepts, connects, greets, keeps timers, notices ended streams, and writes what callers
//! left behind. It never decides anything: handlers do. Locks of the reactor are never held while
//! a handler runs.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::RawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::poller::{Poller, Wake};
use super::spin::Spin;
use super::timers::Timers;
use crate::memory::{self, Map, OutOfMemory};
use crate::sync::{
    Mutex, OnceCell, Rank, SegQueue,
    atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    thread,
};
use crate::sys::{
    self, Event, EventBuffer, Interest, Thread, Waited, exit, futex_wait, futex_wake_all, pause,
};

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

    /// The handler has asked to be called often and has had its first tick, a few microseconds ago.
    fn glance(&self) -> Tick {
        Tick::Again
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
pub struct LazyReactor {
    reactor: OnceCell<Arc<Reactor>>,
    at_exit: AtExit,
}

/// What is to be done, on the reactor's thread, when the process exits and waits for it.
pub type AtExit = fn();

pub struct Reactor {
    poller: Poller,
    at_exit: AtExit,
    /// Set when the thread has nothing left to do.
    is_over: AtomicU32,
    stopping: AtomicBool,
    next_key: AtomicU64,
    state: Mutex<State>,
    /// Handlers that ask to be called often from now on.
    lively: SegQueue<Arc<dyn Handler>>,
    /// Somebody waits for what comes next, so that it may pay to look for it before sleeping.
    is_expecting: AtomicBool,
    spin: Spin,
}

#[derive(Default)]
struct State {
    handlers: Map<Key, Arc<dyn Handler>>,
    timers: Timers,
    thread: Option<Thread>,
    /// When the last sleep of the thread ends at the latest, behind which it looks at the timers
    /// whether or not anybody wakes it. `None` for one without an end.
    awake_by: Option<Instant>,
}

impl State {
    /// Whether it is the reactor's thread that calls. What it asks for it sees before it waits, so
    /// that nobody has to wake it.
    fn is_own_thread(&self) -> bool {
        self.thread.as_ref().is_some_and(Thread::is_calling)
    }

    /// When the sleep that begins now is to end.
    ///
    /// Who has just been busy looks again after a short while, even without a timer: most of those
    /// that others set meanwhile, such as the limit of a greeting that they begin, are for later,
    /// and need no wake-up. One sleep without a disturbance, and the next is as long as may be.
    fn sleep(&mut self, now: Instant) -> Option<Instant> {
        let was_disturbed = self.awake_by.is_none_or(|awake_by| now < awake_by);
        let look = was_disturbed.then(|| now + LOOK_AGAIN);
        self.awake_by = [self.timers.next(), look].into_iter().flatten().min();
        self.awake_by
    }

    /// Sets a timer. True when the thread would wake too late for it.
    fn set_timer(&mut self, key: Key, deadline: Option<Instant>) -> bool {
        let is_next = self.timers.set(key, deadline);
        let is_awake_by = |deadline| self.awake_by.is_some_and(|awake_by| awake_by <= deadline);
        is_next && !deadline.is_some_and(is_awake_by) && !self.is_own_thread()
    }
}

/// Who has been told something after a wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Told {
    #[default]
    Nobody,
    One(u64),
    Several,
}

impl Told {
    fn with(self, key: u64) -> Told {
        if self == Told::Nobody { Told::One(key) } else { Told::Several }
    }
}

impl LazyReactor {
    #[must_use]
    pub fn new(at_exit: AtExit) -> LazyReactor {
        LazyReactor { reactor: OnceCell::new(), at_exit }
    }

    /// # Errors
    /// When the descriptors or the thread cannot be had.
    pub fn get(&self) -> io::Result<&Arc<Reactor>> {
        self.reactor.get_or_try_init(|| Reactor::start(self.at_exit))
    }

    /// The one that was started, for those who want nothing of one that was not.
    #[must_use]
    pub fn started(&self) -> Option<&Arc<Reactor>> {
        self.reactor.get()
    }

    /// Ends the thread, if there is one, and waits for it.
    pub fn stop(&self) {
        if let Some(reactor) = self.started() {
            reactor.stop();
        }
    }
}

#[cfg(test)]
impl Default for LazyReactor {
    fn default() -> LazyReactor {
        LazyReactor::new(|| ())
    }
}

impl Reactor {
    fn start(at_exit: AtExit) -> io::Result<Arc<Reactor>> {
        let reactor = Arc::new(Reactor {
            poller: Poller::new()?,
            at_exit,
            is_over: AtomicU32::new(0),
            stopping: AtomicBool::new(false),
            next_key: AtomicU64::new(0),
            state: Mutex::new(Rank::Reactor, State::default()),
            lively: SegQueue::new(),
            is_expecting: AtomicBool::new(false),
            spin: Spin::default(),
        });
        let runner = Arc::clone(&reactor);
        let thread = Thread::start(c"spmsg", sys::STACK_SIZE, move || runner.run())?;
        reactor.state.lock().thread = Some(thread);
        exit::answer_through(reactor.poller.waker().signalled_through());
        Ok(reactor)
    }

    fn stop(&self) {
        exit::withdraw(self.poller.waker().signalled_through());
        // Pairs with the load in `run_until_stopped`, which the wake-up follows.
        self.stopping.store(true, Ordering::SeqCst);
        self.poller.wake();
        let thread = self.state.lock().thread.take();
        if let Some(thread) = thread
            && self.is_over_soon()
        {
            thread.join();
        }
        // Handlers own the reactor, which owns them: somebody has to let go.
        let handlers = std::mem::take(&mut self.state.lock().handlers);
        // In the order in which they came, whatever seed the table has.
        drop(handlers.into_iter().collect::<BTreeMap<_, _>>());
        while self.lively.pop().is_some() {}
    }

    /// Makes a handler known, and sees to it that its timer can be set at any time. It stays until
    /// [`Reactor::forget`].
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn add(&self, handler: impl FnOnce(Key) -> Arc<dyn Handler>) -> Result<Key, OutOfMemory> {
        let key = Key(self.next_key.fetch_add(1, Ordering::Relaxed));
        let handler = handler(key);
        let mut guard = self.state.lock();
        let state = &mut *guard;
        memory::reserve(&mut state.handlers, 1)?;
        state.timers.reserve(state.handlers.len() + 1)?;
        state.handlers.insert(key, handler);
        Ok(key)
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
        let must_wake = self.state.lock().set_timer(key, deadline);
        if must_wake {
            self.poller.wake();
        }
    }

    /// Has `handler.tick` called every [`TICK`] until it says that it is done.
    pub fn tick_often(&self, handler: Arc<dyn Handler>) {
        self.lively.push(handler);
        let must_wake = !self.state.lock().is_own_thread();
        if must_wake {
            self.poller.wake();
        }
    }

    /// Somebody has waited for what the handler that calls has been told of, and will wait for what
    /// comes next: the thread looks for it for a moment before it sleeps, while that pays.
    pub fn expect_more(&self) {
        self.is_expecting.store(true, Ordering::Relaxed);
    }

    /// Whether the thread will look for that before it sleeps, behind others that run on its
    /// processor.
    pub fn will_give_way(&self) -> bool {
        self.spin.will_give_way()
    }

    #[cfg(test)]
    pub fn has_looked_in_vain(&self) -> bool {
        self.spin.penalty() > 0
    }

    /// Waits for the end of the thread. False when it cannot have heard of it: the application has
    /// closed our descriptors, as some do who become a daemon, and it sleeps for ever.
    fn is_over_soon(&self) -> bool {
        // Acquire: pairs with the release in `run`.
        while self.is_over.load(Ordering::Acquire) == 0 {
            let moment = sys::now() + LOOK_AT_DESCRIPTORS;
            let waited = futex_wait(&self.is_over, 0, Some(moment));
            if waited == Waited::TimedOut && !self.poller.waker().is_intact() {
                return false;
            }
        }
        true
    }

    fn run(&self) {
        self.run_until_stopped();
        // Release: pairs with the acquire in `is_over_soon`.
        self.is_over.store(1, Ordering::Release);
        futex_wake_all(&self.is_over);
    }

    fn run_until_stopped(&self) {
        sys::wake_in_time();
        let mut events = EventBuffer::default();
        let mut lively = Vec::new();
        let mut told = Told::default();
        // Pairs with the store in `stop`.
        while !self.stopping.load(Ordering::SeqCst) {
            self.wait(&mut events, &lively, &mut told);
            self.pass_timers(sys::now());
            let fresh = self.tick(&mut lively);
            if fresh > 0 {
                pause(GLANCE_AFTER);
                glance(&mut lively, fresh);
            }
        }
    }

    /// Calls all that want to be called often. Returns how many of those that stay, the last ones,
    /// are new among them.
    fn tick(&self, lively: &mut Vec<Arc<dyn Handler>>) -> usize {
        let known = lively.len();
        // Those for whom there is no memory have their turn when others need none any more.
        while memory::reserve(lively, 1).is_ok()
            && let Some(handler) = self.lively.pop()
        {
            lively.push(handler);
        }
        let (mut at, mut fresh) = (0, 0);
        lively.retain(|handler| {
            let stays = guarded(&**handler, |it| it.tick()) == Some(Tick::Again);
            fresh += usize::from(stays && at >= known);
            at += 1;
            stays
        });
        fresh
    }

    fn wait(&self, events: &mut EventBuffer, lively: &[Arc<dyn Handler>], told: &mut Told) {
        let mut timeout = self.time_to_sleep();
        // Of those that came during the last ticks nobody has woken us.
        if !lively.is_empty() || !self.lively.is_empty() {
            let tick = TICK.max(TICK_SHARE * lively.len() as u32);
            let quiet = !self.poller.wait_briefly(tick).unwrap_or(false);
            if quiet {
                return;
            }
            timeout = Some(Duration::ZERO);
        }
        if self.await_events(events, timeout).is_err() {
            // All signals are blocked here, so that it is the kernel that is in trouble.
            return thread::sleep(TROUBLE);
        }
        let events = self.poller.reported(events);
        // First, because what the thread that exits has locked may keep a handler for ever.
        if exit::is_asked() {
            (self.at_exit)();
        }
        let mut now_told = Told::default();
        for event in events {
            now_told = now_told.with(event.key);
            self.tell(event);
        }
        let is_calm = lively.is_empty() && self.lively.is_empty();
        if let (Told::One(key), true) = (now_told, is_calm && now_told == *told) {
            self.tell_again(key);
        }
        *told = now_told;
    }

    fn tell(&self, event: Event) {
        let handler = self.state.lock().handlers.get(&Key(event.key)).cloned();
        if let Some(handler) = handler {
            guarded(&*handler, |it| it.ready(event));
        }
    }

    /// Has the handler that has been told something twice in a row, and expects more, look for it
    /// by itself behind those who bring it: while that pays, and not for so long that the others
    /// would wait for their turn.
    fn tell_again(&self, key: u64) {
        let event = Event { key, readable: true, writable: false, ended: false };
        let mut began = None;
        for _ in 0..TOLD_AGAIN_MAX {
            let may_look = self.is_expecting.load(Ordering::Relaxed) && !self.poller.is_woken();
            if !may_look || !self.spin.gives_way() {
                return;
            }
            let now = sys::now();
            if Spin::is_long(now.duration_since(*began.get_or_insert(now))) {
                return;
            }
            self.is_expecting.store(false, Ordering::Relaxed);
            self.spin.give_way(|| {
                self.tell(event);
                self.is_expecting.load(Ordering::Relaxed)
            });
        }
    }

    /// Waits until there is something in `events`, or for so long.
    fn await_events(&self, events: &mut EventBuffer, timeout: Option<Duration>) -> io::Result<()> {
        let is_expecting = self.is_expecting.swap(false, Ordering::Relaxed);
        // Whom the last events have woken waits for this processor, or for one where another
        // process looks in the same way.
        if is_expecting
            && timeout != Some(Duration::ZERO)
            && self.spin.look_before_sleep(|| self.poller.look(events))
        {
            return Ok(());
        }
        self.poller.set().wait(events, timeout)
    }

    fn time_to_sleep(&self) -> Option<Duration> {
        let now = sys::now();
        let awake_by = self.state.lock().sleep(now)?;
        Some(awake_by.saturating_duration_since(now))
    }

    fn pass_timers(&self, now: Instant) {
        // Bounded: a handler that sets its timer to the past is called again in the next round.
        let most = self.state.lock().timers.len();
        for _ in 0..most {
            let handler = {
                let mut state = self.state.lock();
                let Some(key) = state.timers.pop_passed(now) else { return };
                state.handlers.get(&key).cloned()
            };
            if let Some(handler) = handler {
                guarded(&*handler, |it| it.timeout(now));
            }
        }
    }
}

/// Calls the last ones again, which are so many.
fn glance(lively: &mut Vec<Arc<dyn Handler>>, fresh: usize) {
    let mut known = lively.len() - fresh;
    lively.retain(|handler| {
        if known > 0 {
            known -= 1;
            return true;
        }
        guarded(&**handler, |it| it.glance()) == Some(Tick::Again)
    });
}

/// A handler's panic is a bug, but it must not take the thread down with it.
fn guarded<T>(handler: &dyn Handler, call: impl FnOnce(&dyn Handler) -> T) -> Option<T> {
    let result = catch_unwind(AssertUnwindSafe(|| call(handler)));
    if result.is_err() {
        // Not eprintln, which panics when stderr is closed.
        sys::complain(b"spmsg: internal error in the background thread\n");
        // What it breaks further is out of service anyway.
        let _ = catch_unwind(AssertUnwindSafe(|| handler.broken()));
    }
    result.ok()
}

/// How often lively handlers are called: bytes that a caller left behind lie still for at most
/// about twice this long.
const TICK: Duration = Duration::from_micros(50);

/// With very many of them there is time for others: a look at one takes a small part of this.
const TICK_SHARE: Duration = Duration::from_micros(1);

/// When those are called again who have asked for ticks a moment ago. A sender who streams has gone
/// on by then; what one who does not has left behind need not wait for a whole tick.
const GLANCE_AFTER: Duration = Duration::from_micros(8);

/// How often the only one that has been told something looks for more in a row.
const TOLD_AGAIN_MAX: u32 = 8;
/// How long a thread sleeps that has just been busy.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How long the thread may take to stop before it is asked why.
const LOOK_AT_DESCRIPTORS: Duration = Duration::from_millis(100);
/// Before asking again a kernel that could not answer.
const TROUBLE: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use std::io::IoSlice;
    use std::os::fd::AsRawFd;
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;
    use crate::sys::{OsStream, Read};

    #[derive(Debug, PartialEq, Eq)]
    enum Call {
        Ready { readable: bool, ended: bool },
        Timeout { is_early: bool },
        Tick,
        Glance,
        Broken,
    }

    /// Says what it is called for, under a number of its own.
    struct Teller {
        number: u32,
        tell: Sender<(u32, Call)>,
        deadline: Mutex<Option<Instant>>,
        /// What to do during a call.
        during: Box<dyn Fn(&Call) + Send + Sync>,
        ticks: AtomicU64,
    }

    impl Teller {
        fn note(&self, call: Call) {
            (self.during)(&call);
            // Who has heard enough listens no more.
            let _ = self.tell.send((self.number, call));
        }
    }

    impl Handler for Teller {
        fn ready(&self, event: Event) {
            self.note(Call::Ready { readable: event.readable, ended: event.ended });
        }

        fn timeout(&self, now: Instant) {
            let deadline = self.deadline.lock().expect("nobody has set a timer");
            self.note(Call::Timeout { is_early: now < deadline || Instant::now() < deadline });
        }

        fn tick(&self) -> Tick {
            self.note(Call::Tick);
            match self.ticks.fetch_sub(1, Ordering::Relaxed) {
                1 => Tick::Done,
                _ => Tick::Again,
            }
        }

        fn glance(&self) -> Tick {
            self.note(Call::Glance);
            if self.ticks.load(Ordering::Relaxed) == 0 { Tick::Done } else { Tick::Again }
        }

        fn broken(&self) {
            let _ = self.tell.send((self.number, Call::Broken));
        }
    }

    /// A reactor, and what its handlers tell.
    struct Setup {
        reactor: Arc<Reactor>,
        tell: Sender<(u32, Call)>,
        told: Receiver<(u32, Call)>,
    }

    impl Setup {
        fn new() -> Setup {
            Setup::with(Reactor::start(|| ()).unwrap())
        }

        fn with(reactor: Arc<Reactor>) -> Setup {
            let (tell, told) = channel();
            Setup { reactor, tell, told }
        }

        fn teller(
            &self,
            number: u32,
            during: impl Fn(&Call) + Send + Sync + 'static,
        ) -> Arc<Teller> {
            let deadline = Mutex::new(Rank::Endpoint, None);
            let (tell, during, ticks) = (self.tell.clone(), Box::new(during), AtomicU64::new(3));
            Arc::new(Teller { number, tell, deadline, during, ticks })
        }

        fn add(&self, teller: &Arc<Teller>) -> Key {
            self.reactor.add(|_| Arc::clone(teller) as Arc<dyn Handler>).unwrap()
        }

        fn add_quiet(&self, number: u32) -> (Arc<Teller>, Key) {
            let teller = self.teller(number, |_| ());
            let key = self.add(&teller);
            (teller, key)
        }

        fn set_timer(&self, (teller, key): &(Arc<Teller>, Key), after: Duration) {
            let deadline = Instant::now() + after;
            *teller.deadline.lock() = Some(deadline);
            self.reactor.set_timer(*key, Some(deadline));
        }

        fn next(&self) -> (u32, Call) {
            self.told.recv().unwrap()
        }

        /// Returns when everything is over that the reactor was told before.
        fn settle(&self) {
            let last = self.add_quiet(u32::MAX);
            self.set_timer(&last, Duration::ZERO);
            assert_eq!(self.next(), (u32::MAX, ON_TIME));
            self.reactor.forget(last.1);
        }
    }

    impl Drop for Setup {
        fn drop(&mut self) {
            self.reactor.stop();
        }
    }

    const ON_TIME: Call = Call::Timeout { is_early: false };
    const INPUT: Call = Call::Ready { readable: true, ended: false };

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    fn write(stream: &OsStream) {
        stream.write(&[IoSlice::new(b"x")]).unwrap();
    }

    #[test]
    fn a_handler_hears_of_its_own_descriptor_only() {
        let setup = Setup::new();
        let pairs = [OsStream::pair(), OsStream::pair()];
        let once = Interest { once: true, ended: true, ..Interest::READABLE };
        let mut keys = Vec::new();
        for (number, (own, _)) in pairs.iter().enumerate() {
            let (_, key) = setup.add_quiet(number as u32);
            setup.reactor.watch(key, own.as_raw_fd(), once).unwrap();
            keys.push(key);
        }
        write(&pairs[1].1);
        assert_eq!(setup.next(), (1, INPUT));
        write(&pairs[0].1);
        assert_eq!(setup.next(), (0, INPUT));
        pairs[0].1.end();
        setup.settle();
        setup.reactor.rewatch(keys[0], pairs[0].0.as_raw_fd(), once).unwrap();
        assert_eq!(setup.next(), (0, Call::Ready { readable: true, ended: true }));
        setup.reactor.unwatch(pairs[1].0.as_raw_fd());
        assert!(setup.reactor.rewatch(keys[1], pairs[1].0.as_raw_fd(), once).is_err());
    }

    #[test]
    fn timers_pass_in_their_order_and_never_early() {
        let setup = Setup::new();
        let all = [30, 10, 20].map(|delay| (delay, setup.add_quiet(delay)));
        for (delay, handler) in &all {
            setup.set_timer(handler, ms((*delay).into()));
        }
        for number in [10, 20, 30] {
            assert_eq!(setup.next(), (number, ON_TIME));
        }
    }

    #[test]
    fn an_earlier_timer_wakes_a_reactor_that_waits_for_a_later_one() {
        let setup = Setup::new();
        let (late, soon) = (setup.add_quiet(1), setup.add_quiet(2));
        setup.set_timer(&late, Duration::from_secs(3600));
        setup.settle();
        setup.set_timer(&soon, ms(1));
        assert_eq!(setup.next(), (2, ON_TIME));
        // A timer that is moved passes once.
        setup.set_timer(&late, ms(2));
        setup.set_timer(&late, ms(1));
        assert_eq!(setup.next(), (1, ON_TIME));
        setup.reactor.set_timer(soon.1, Some(Instant::now() + ms(1)));
        setup.reactor.set_timer(soon.1, None);
        setup.settle();
        setup.set_timer(&late, ms(3));
        assert_eq!(setup.next(), (1, ON_TIME));
    }

    #[test]
    fn what_a_handler_asks_for_needs_no_wake_up() {
        let setup = Setup::new();
        // So that the thread is known.
        setup.settle();
        let (reactor, asker) = (Arc::clone(&setup.reactor), Arc::new(OnceCell::new()));
        let (own, peer) = OsStream::pair();
        let own_asker: Arc<OnceCell<(Arc<Teller>, Key)>> = Arc::clone(&asker);
        let is_woken = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&is_woken);
        let teller = setup.teller(1, move |call| {
            let (teller, key) = own_asker.wait();
            if let Call::Ready { .. } = call {
                let now = Instant::now();
                *teller.deadline.lock() = Some(now);
                reactor.set_timer(*key, Some(now));
                reactor.tick_often(Arc::clone(teller) as _);
            }
            let ticks = teller.ticks.load(Ordering::Relaxed);
            if call == &Call::Tick && ticks == 1 {
                // The last one asks for another.
                reactor.tick_often(Arc::clone(teller) as _);
            }
            teller.ticks.store(ticks.max(1), Ordering::Relaxed);
            let is_pending = reactor.poller.wait_briefly(Duration::ZERO).unwrap();
            seen.fetch_or(is_pending, Ordering::Relaxed);
        });
        let key = setup.add(&teller);
        assert!(asker.set((teller, key)).is_ok());
        let once = Interest { once: true, ..Interest::READABLE };
        setup.reactor.watch(key, own.as_raw_fd(), once).unwrap();
        write(&peer);
        use Call::{Glance, Tick};
        for call in [INPUT, ON_TIME, Tick, Glance, Tick, Tick, Tick] {
            assert_eq!(setup.next(), (1, call));
        }
        assert!(!is_woken.load(Ordering::Relaxed));
        setup.reactor.forget(key);
    }

    #[test]
    fn who_has_been_busy_looks_once_more_and_then_sleeps_for_as_long_as_may_be() {
        let (mut state, now) = (State::default(), Instant::now());
        let look = now + LOOK_AGAIN;
        assert_eq!(state.sleep(now), Some(look));
        // Disturbed on the way.
        assert_eq!(state.sleep(look - ms(1)), Some(look - ms(1) + LOOK_AGAIN));
        assert_eq!(state.sleep(look + LOOK_AGAIN), None);
        assert_eq!(state.sleep(look + LOOK_AGAIN), Some(look + 2 * LOOK_AGAIN));
        // A timer ends a sleep earlier, and is no disturbance.
        state.timers.reserve(1).unwrap();
        state.timers.set(Key(1), Some(now + ms(1)));
        assert_eq!(state.sleep(now), Some(now + ms(1)));
        state.timers.set(Key(1), Some(now + ms(3_600_000)));
        assert_eq!(state.sleep(now + ms(1)), Some(now + ms(3_600_000)));
    }

    #[test]
    fn only_a_timer_wakes_whose_time_comes_before_the_end_of_the_sleep() {
        let (mut state, now) = (State::default(), Instant::now());
        state.timers.reserve(3).unwrap();
        // Of a sleep without an end.
        assert!(state.set_timer(Key(1), Some(now + ms(9))));
        assert!(!state.set_timer(Key(1), None));
        let look = state.sleep(now).unwrap();
        assert!(!state.set_timer(Key(1), Some(look)));
        assert!(!state.set_timer(Key(1), Some(look + ms(9))));
        assert!(state.set_timer(Key(2), Some(look - ms(1))));
        assert!(!state.set_timer(Key(3), Some(look - ms(1))));
    }

    #[test]
    fn ticks_come_until_they_are_not_wanted_and_disturb_nobody() {
        let setup = Setup::new();
        let (own, peer) = OsStream::pair();
        let (_, key) = setup.add_quiet(1);
        let once = Interest { once: true, ..Interest::READABLE };
        setup.reactor.watch(key, own.as_raw_fd(), once).unwrap();
        let ticker = setup.teller(2, |_| ());
        ticker.ticks.store(1000, Ordering::Relaxed);
        setup.reactor.tick_often(Arc::clone(&ticker) as Arc<dyn Handler>);
        assert_eq!(setup.next(), (2, Call::Tick));
        assert_eq!(setup.next(), (2, Call::Glance));
        write(&peer);
        let mut ticks = 1;
        let mut events = 0;
        while ticks < 1000 {
            match setup.next() {
                (1, INPUT) => events += 1,
                other => {
                    assert_eq!(other, (2, Call::Tick));
                    ticks += 1;
                }
            }
        }
        assert_eq!(events, 1);
        setup.settle();
        assert_eq!(Arc::strong_count(&ticker), 1);
    }

    #[test]
    fn only_who_has_come_since_the_last_tick_is_glanced_at() {
        let setup = Setup::new();
        let [old, new, brief, early] = [1, 2, 3, 4].map(|number| setup.teller(number, |_| ()));
        old.ticks.store(u64::MAX, Ordering::Relaxed);
        brief.ticks.store(1, Ordering::Relaxed);
        setup.reactor.tick_often(Arc::clone(&old) as Arc<dyn Handler>);
        assert_eq!([setup.next(), setup.next()], [(1, Call::Tick), (1, Call::Glance)]);
        for teller in [&new, &brief, &early] {
            setup.reactor.tick_often(Arc::clone(teller) as Arc<dyn Handler>);
        }
        let told: Vec<_> = std::iter::repeat_with(|| setup.next())
            .filter(|(number, _)| *number != 1)
            .take(9)
            .collect();
        let count = |wanted: (u32, Call)| told.iter().filter(|call| **call == wanted).count();
        for (number, ticks, glances) in [(2, 3, 1), (3, 1, 0), (4, 3, 1)] {
            let counts = (count((number, Call::Tick)), count((number, Call::Glance)));
            assert_eq!(counts, (ticks, glances), "{number}");
        }
    }

    #[test]
    fn before_it_sleeps_the_thread_looks_for_what_a_handler_expects() {
        let setup = Setup::new();
        let (own, peer) = OsStream::pair();
        let own = Arc::new(own);
        let reactor = Arc::clone(&setup.reactor);
        let expects = Arc::new(AtomicBool::new(false));
        let teller = setup.teller(1, {
            let (own, expects) = (Arc::clone(&own), Arc::clone(&expects));
            move |_| {
                own.read(None, &mut [0; 8]);
                if expects.load(Ordering::Relaxed) {
                    reactor.expect_more();
                }
            }
        });
        let key = setup.add(&teller);
        setup.reactor.watch(key, own.as_raw_fd(), Interest::READABLE).unwrap();
        let tell = || {
            write(&peer);
            assert_eq!(setup.next(), (1, INPUT));
        };
        tell();
        setup.settle();
        assert!(!setup.reactor.has_looked_in_vain());
        expects.store(true, Ordering::Relaxed);
        tell();
        // Nothing follows, so that it has looked in vain.
        while Spin::can_pay() && !setup.reactor.has_looked_in_vain() {
            std::thread::yield_now();
        }
        setup.reactor.unwatch(own.as_raw_fd());
    }

    #[test]
    fn a_handler_may_be_forgotten_during_its_call() {
        let setup = Setup::new();
        let (entered, has_entered) = channel();
        let (leave, may_leave) = channel::<()>();
        let may_leave = Mutex::new(Rank::Endpoint, may_leave);
        let (own, peer) = OsStream::pair();
        let teller = setup.teller(1, move |_| {
            entered.send(()).unwrap();
            may_leave.lock().recv().unwrap();
        });
        let key = setup.add(&teller);
        let weak = Arc::downgrade(&teller);
        setup.reactor.watch(key, own.as_raw_fd(), Interest::READABLE).unwrap();
        write(&peer);
        has_entered.recv().unwrap();
        // Does not wait for it.
        setup.reactor.forget(key);
        drop(teller);
        assert!(weak.upgrade().is_some());
        leave.send(()).unwrap();
        assert_eq!(setup.next(), (1, INPUT));
        // Its descriptor is still readable, and nobody is called for it.
        setup.settle();
        assert!(weak.upgrade().is_none());
        setup.reactor.unwatch(own.as_raw_fd());
        assert_eq!(own.read(None, &mut [0; 8]), Read::Bytes(1));
    }

    #[test]
    fn a_handler_may_forget_itself_and_set_its_timer_to_the_past() {
        let setup = Setup::new();
        let (reactor, key) = (Arc::clone(&setup.reactor), Arc::new(OnceCell::new()));
        let left = AtomicU64::new(3);
        let own_key = Arc::clone(&key);
        let teller = setup.teller(1, move |_| {
            let own = *own_key.wait();
            match left.fetch_sub(1, Ordering::Relaxed) {
                1 => reactor.forget(own),
                _ => reactor.set_timer(own, Some(Instant::now())),
            }
        });
        *teller.deadline.lock() = Some(Instant::now());
        let weak = Arc::downgrade(&teller);
        key.set(setup.add(&teller)).unwrap();
        drop(teller);
        setup.reactor.set_timer(*key.wait(), Some(Instant::now()));
        for _ in 0..3 {
            assert_eq!(setup.next(), (1, ON_TIME));
        }
        setup.settle();
        assert!(weak.upgrade().is_none());
    }

    #[test]
    fn who_panics_is_told_and_the_others_go_on() {
        let setup = Setup::new();
        let clumsy = setup.teller(1, |_| panic!("as it should"));
        let clumsy = (Arc::clone(&clumsy), setup.add(&clumsy));
        let steady = setup.add_quiet(2);
        setup.set_timer(&clumsy, Duration::ZERO);
        assert_eq!(setup.next(), (1, Call::Broken));
        setup.set_timer(&steady, Duration::ZERO);
        assert_eq!(setup.next(), (2, ON_TIME));
        // A tick that panics is the last.
        setup.reactor.tick_often(Arc::clone(&clumsy.0) as Arc<dyn Handler>);
        assert_eq!(setup.next(), (1, Call::Broken));
        setup.settle();
    }

    #[test]
    fn stopping_ends_the_thread_and_lets_go_of_everybody() {
        let lazy = LazyReactor::default();
        // Nothing was started, so that nothing is to be stopped.
        lazy.stop();
        let reactor = Arc::clone(lazy.get().unwrap());
        assert!(Arc::ptr_eq(&reactor, lazy.get().unwrap()));
        let setup = Setup::with(reactor);
        let (added, _) = setup.add_quiet(1);
        let lively = setup.teller(2, |_| ());
        lively.ticks.store(u64::MAX, Ordering::Relaxed);
        setup.reactor.tick_often(Arc::clone(&lively) as Arc<dyn Handler>);
        assert_eq!(setup.next(), (2, Call::Tick));
        lazy.stop();
        assert_eq!((Arc::strong_count(&added), Arc::strong_count(&lively)), (1, 1));
        // Only the cell and the test know it: its thread does not.
        assert_eq!(Arc::strong_count(&setup.reactor), 2);
    }
}
