//! The locks under those of `lock.rs`: each is a few numbers, and nothing beside them.
//!
//! parking_lot keeps one table for the whole process of who waits for what. A child forked while
//! others waited inherits it, with places in it that lead to the stacks of threads which do not
//! exist there, and its own threads would walk through them. It notes something for the end of each
//! thread that waits, too, for which the C library needs memory, or ends the process.

use super::atomic::{AtomicU32, Ordering};
use super::barrier;
use super::desk::Desks;
#[cfg(not(any(portable, loom)))]
use super::futex::Futex;
#[cfg(all(portable, not(loom)))]
use super::lobby::Futex;
#[cfg(loom)]
use super::model::Futex;
use super::reader::Reader;

/// Excludes all others.
///
/// Unlocking is a store, and a look at whether somebody calls: the one instruction less is half of
/// what a lock costs that nobody contends for. Who is about to sleep pays for that, by a heavy
/// fence ([`barrier`]).
///
/// Who wakes somebody takes the call back that has made him do so, and who was woken makes it again
/// for the others: while he is on his way, which may be long where there are more threads than
/// processors, nobody wakes him a second time.
#[derive(Debug, Default)]
pub struct RawMutex {
    state: AtomicU32,
    /// Whether somebody wants to be woken. It is what they sleep on.
    call: Futex,
}

/// Lets readers in together, and a writer alone.
///
/// A writer who waits keeps new readers out, and so gets in when the last one leaves. Those who
/// may be reading already pass him: he would wait for them, and they for him.
///
/// Threads that read often have desks, and are not counted with the others: see [`Desks`].
#[derive(Debug, Default)]
pub struct RawRwLock {
    desks: Desks,
    /// How many read, and what the flags say.
    state: Futex,
    /// One writer at a time waits for readers.
    writers: RawMutex,
}

impl RawMutex {
    #[inline]
    pub fn try_lock(&self) -> bool {
        // Acquire: pairs with the release in `unlock`.
        self.state.compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    #[inline]
    pub fn lock(&self) {
        if !self.try_lock() {
            self.lock_slowly();
        }
    }

    #[cold]
    fn lock_slowly(&self) {
        let mut was_asleep = false;
        loop {
            let mut spin = Spin::default();
            while spin.once() {
                if self.look(was_asleep) {
                    return;
                }
            }
            self.set_call(CALLED);
            // Pairs with the fence in `unlock`: either we see that it is free, or who frees it sees
            // the call.
            barrier::heavy();
            if self.look(false) {
                return;
            }
            // Not for longer than the call stands: who takes it back wakes somebody.
            self.call.wait(CALLED);
            was_asleep = true;
            if self.look(was_asleep) {
                return;
            }
        }
    }

    /// A store would do. But loom then lets a thread read what was there before its own: stores of
    /// several threads have no order there that all of them agree on, and exchanges have.
    fn set_call(&self, call: u32) {
        self.call.swap(call, Ordering::Relaxed);
    }

    /// Takes it if it is free. Who was asleep calls for the others who are.
    fn look(&self, was_asleep: bool) -> bool {
        let is_ours = self.is_free() && self.try_lock();
        if is_ours && was_asleep {
            self.set_call(CALLED);
        }
        is_ours
    }

    #[inline]
    pub(super) fn is_free(&self) -> bool {
        self.state.load(Ordering::Relaxed) == FREE
    }

    #[inline]
    pub fn unlock(&self) {
        // Release: pairs with the acquire in `try_lock`.
        self.state.store(FREE, Ordering::Release);
        // Pairs with the fence in `lock_slowly`.
        barrier::light();
        if self.is_called_for() {
            self.wake();
        }
    }

    /// Whether somebody sleeps, or is about to, and nobody was woken since.
    #[inline]
    pub(super) fn is_called_for(&self) -> bool {
        self.call.load(Ordering::Relaxed) == CALLED
    }

    #[cold]
    fn wake(&self) {
        self.set_call(QUIET);
        self.call.wake_one();
    }
}

impl RawRwLock {
    /// One look, for the usual case: no flag is set, so nobody writes or wants to.
    #[inline]
    fn try_read_quickly(&self) -> bool {
        let state = self.state.load(Ordering::Relaxed);
        // Acquire: pairs with the release in `unlock_write`.
        let (success, failure) = (Ordering::Acquire, Ordering::Relaxed);
        state < READERS
            && self.state.compare_exchange_weak(state, state + 1, success, failure).is_ok()
    }

    #[inline]
    pub fn try_read(&self) -> bool {
        self.desks.enter(Reader::me())
            || self.try_read_quickly()
            || self.try_read_unless(WRITTEN | WANTED)
    }

    #[inline]
    pub fn try_read_recursive(&self) -> bool {
        self.desks.enter(Reader::me()) || self.try_read_quickly() || self.try_read_unless(WRITTEN)
    }

    #[allow(clippy::inline_always, reason = "each send and receive begins with it")]
    #[inline(always)]
    pub fn read(&self) {
        let me = Reader::me();
        if !self.desks.enter(me) {
            self.read_as_stranger(me);
        }
    }

    #[inline(never)]
    fn read_as_stranger(&self, me: Reader) {
        if !self.try_read_quickly() {
            self.read_slowly(WRITTEN | WANTED);
        }
        self.desks.note_stranger(me);
    }

    /// For who may be reading already.
    #[inline]
    pub fn read_recursive(&self) {
        if !self.desks.enter(Reader::me()) && !self.try_read_quickly() {
            self.read_slowly(WRITTEN);
        }
    }

    #[cold]
    fn try_read_unless(&self, barred: u32) -> bool {
        loop {
            let state = self.state.load(Ordering::Relaxed);
            if state & barred != 0 {
                return false;
            }
            assert!(state & READERS < READERS, "more readers than threads and calls");
            // Acquire: pairs with the release in `unlock_write`.
            let (success, failure) = (Ordering::Acquire, Ordering::Relaxed);
            if self.state.compare_exchange_weak(state, state + 1, success, failure).is_ok() {
                return true;
            }
        }
    }

    #[cold]
    fn read_slowly(&self, barred: u32) {
        let mut spin = Spin::default();
        while !self.try_read_unless(barred) {
            let state = self.state.load(Ordering::Relaxed);
            let is_announced = state & ASLEEP != 0;
            if state & barred == 0 || !is_announced && spin.once() {
                continue;
            }
            if is_announced || self.announce_reader(state) {
                self.state.wait(state | ASLEEP);
                spin = Spin::default();
            }
        }
    }

    /// Tells the writer that readers sleep. False if something has changed meanwhile.
    fn announce_reader(&self, state: u32) -> bool {
        let relaxed = Ordering::Relaxed;
        self.state.compare_exchange(state, state | ASLEEP, relaxed, relaxed).is_ok()
    }

    /// Whichever way somebody has come: there is no difference between two reads of one thread.
    #[inline]
    pub fn unlock_read(&self) {
        if self.desks.leave(Reader::me()) {
            return;
        }
        // Release: pairs with the acquire of the writers in `try_write` and in `write_slowly`.
        let before = self.state.fetch_sub(1, Ordering::Release);
        if before & !ASLEEP == WANTED | 1 {
            self.wake();
        }
    }

    pub fn try_write(&self) -> bool {
        if !self.writers.try_lock() {
            return false;
        }
        if let Some(taken) = self.desks.try_close() {
            if self.try_write_at_once() {
                if self.desks.taken() == taken {
                    return true;
                }
                self.let_readers_in();
            }
            self.desks.open();
        }
        self.writers.unlock();
        false
    }

    pub fn write(&self) {
        self.writers.lock();
        loop {
            // Before the lock is held: who may be reading already passes us meanwhile.
            let taken = self.desks.close();
            if !self.try_write_at_once() {
                self.write_slowly();
            }
            if self.desks.taken() == taken {
                return;
            }
            // Somebody has been given a desk who does not know that they are closed.
            self.let_readers_in();
        }
    }

    /// For the one writer whose turn it is.
    fn try_write_at_once(&self) -> bool {
        // Acquire: pairs with the release in `unlock_read`. What a writer has done is seen through
        // the mutex.
        self.state.compare_exchange(0, WRITTEN, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    #[cold]
    fn write_slowly(&self) {
        let mut spin = Spin::default();
        self.state.fetch_or(WANTED, Ordering::Relaxed);
        loop {
            let state = self.state.load(Ordering::Relaxed);
            if state & READERS == 0 {
                let written = WRITTEN | state & ASLEEP;
                // Acquire: pairs with the release in `unlock_read`.
                let (success, failure) = (Ordering::Acquire, Ordering::Relaxed);
                if self.state.compare_exchange_weak(state, written, success, failure).is_ok() {
                    return;
                }
            } else if !spin.once() {
                self.state.wait(state);
                spin = Spin::default();
            }
        }
    }

    pub fn unlock_write(&self) {
        self.desks.open();
        self.let_readers_in();
        self.writers.unlock();
    }

    fn let_readers_in(&self) {
        // Release: pairs with the acquire of the readers in `try_read_quickly` and in
        // `try_read_unless`. They come before the next writer.
        if self.state.swap(0, Ordering::Release) & ASLEEP != 0 {
            self.wake();
        }
    }

    /// Readers and the writer sleep on the same number, because those who write are few.
    #[cold]
    fn wake(&self) {
        self.state.wake_all();
    }
}

#[cfg(not(loom))]
mod api {
    use super::{AtomicU32, Desks, FREE, Futex, QUIET, RawMutex, RawRwLock};

    // SAFETY: who has locked it is alone until it is unlocked.
    unsafe impl lock_api::RawMutex for RawMutex {
        const INIT: RawMutex = RawMutex { state: AtomicU32::new(FREE), call: Futex::new(QUIET) };

        type GuardMarker = lock_api::GuardNoSend;

        #[inline]
        fn lock(&self) {
            RawMutex::lock(self);
        }

        #[inline]
        fn try_lock(&self) -> bool {
            RawMutex::try_lock(self)
        }

        #[inline]
        unsafe fn unlock(&self) {
            RawMutex::unlock(self);
        }

        #[inline]
        fn is_locked(&self) -> bool {
            !self.is_free()
        }
    }

    // SAFETY: a writer is alone until it has unlocked, and readers are without one.
    unsafe impl lock_api::RawRwLock for RawRwLock {
        const INIT: RawRwLock = RawRwLock {
            desks: Desks::new(),
            state: Futex::new(0),
            writers: <RawMutex as lock_api::RawMutex>::INIT,
        };

        type GuardMarker = lock_api::GuardNoSend;

        #[inline]
        fn lock_shared(&self) {
            self.read();
        }

        #[inline]
        fn try_lock_shared(&self) -> bool {
            self.try_read()
        }

        #[inline]
        unsafe fn unlock_shared(&self) {
            self.unlock_read();
        }

        fn lock_exclusive(&self) {
            self.write();
        }

        fn try_lock_exclusive(&self) -> bool {
            self.try_write()
        }

        unsafe fn unlock_exclusive(&self) {
            self.unlock_write();
        }
    }

    // SAFETY: a reader that passes waiting writers is one.
    unsafe impl lock_api::RawRwLockRecursive for RawRwLock {
        #[inline]
        fn lock_shared_recursive(&self) {
            self.read_recursive();
        }

        fn try_lock_shared_recursive(&self) -> bool {
            self.try_read_recursive()
        }
    }
}

/// Being busy for less than it takes to sleep and be woken.
#[derive(Default)]
pub(super) struct Spin {
    rounds: u32,
}

impl Spin {
    /// False when it has been long enough.
    pub(super) fn once(&mut self) -> bool {
        if self.rounds == ROUNDS_MAX {
            return false;
        }
        self.rounds += 1;
        if self.rounds <= ROUNDS_BUSY {
            (0..1 << self.rounds).for_each(|_| super::spin_loop());
        } else {
            // Where there is one processor, this is the round that helps.
            super::thread::yield_now();
        }
        true
    }
}

/// Locks are held for some hundred instructions.
const ROUNDS_BUSY: u32 = 3;
/// A model has time.
const ROUNDS_MAX: u32 = if cfg!(loom) { 0 } else { 10 };

/// A mutex that nobody has.
const FREE: u32 = 0;
const HELD: u32 = 1;

/// Nobody need be woken, or one is on his way who will call for the others.
const QUIET: u32 = 0;
const CALLED: u32 = 1;

/// Somebody writes.
const WRITTEN: u32 = 1 << 31;
/// A writer waits until nobody reads.
const WANTED: u32 = 1 << 30;
/// Readers may sleep until nobody writes, or wants to. Never set alone.
const ASLEEP: u32 = 1 << 29;
/// The bits that count readers.
const READERS: u32 = ASLEEP - 1;

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize};
    use std::thread;
    use std::time::Duration;

    use lock_api::RwLock;

    use super::*;

    type Mutex<T> = lock_api::Mutex<RawMutex, T>;

    /// A thread that does `call` is seen to be kept from it, and then to come to it.
    fn waits<T>(call: impl FnOnce() + Send + 'static, then: impl FnOnce() -> T) -> T {
        let is_done = Arc::new(AtomicBool::new(false));
        let done = is_done.clone();
        let thread = thread::spawn(move || {
            call();
            done.store(true, Ordering::SeqCst);
        });
        thread::sleep(Duration::from_millis(20));
        assert!(!is_done.load(Ordering::SeqCst));
        let result = then();
        thread.join().unwrap();
        result
    }

    fn wait_for(flags: impl Fn() -> bool) {
        while !flags() {
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn a_mutex_has_one_holder() {
        let mutex = RawMutex::default();
        assert!(mutex.try_lock());
        assert!(!mutex.try_lock());
        mutex.unlock();
        assert!(mutex.try_lock());
    }

    #[test]
    fn nothing_that_is_added_under_a_mutex_is_lost() {
        const ROUNDS: usize = 20_000;
        let sum = Mutex::new(0);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..ROUNDS).for_each(|_| *sum.lock() += 1));
            }
        });
        assert_eq!(sum.into_inner(), 8 * ROUNDS);
    }

    #[test]
    fn who_sleeps_on_a_mutex_is_woken_one_after_the_other() {
        let mutex = Arc::new(RawMutex::default());
        mutex.lock();
        let came = Arc::new(AtomicUsize::new(0));
        let sleepers: Vec<_> = (0..5)
            .map(|_| {
                let (mutex, came) = (mutex.clone(), came.clone());
                thread::spawn(move || {
                    mutex.lock();
                    came.fetch_add(1, Ordering::SeqCst);
                    mutex.unlock();
                })
            })
            .collect();
        wait_for(|| mutex.call.load(Ordering::SeqCst) == CALLED);
        assert_eq!(came.load(Ordering::SeqCst), 0);
        mutex.unlock();
        sleepers.into_iter().for_each(|sleeper| sleeper.join().unwrap());
        assert_eq!((came.load(Ordering::SeqCst), mutex.try_lock()), (5, true));
    }

    #[test]
    fn who_locks_again_and_again_lets_others_in() {
        let (mutex, is_over) = (RawMutex::default(), AtomicBool::new(false));
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !is_over.load(Ordering::SeqCst) {
                        mutex.lock();
                        mutex.unlock();
                    }
                });
            }
            for _ in 0..20 {
                mutex.lock();
                mutex.unlock();
            }
            is_over.store(true, Ordering::SeqCst);
        });
    }

    #[test]
    fn readers_share_and_a_writer_does_not() {
        let lock = RawRwLock::default();
        assert!(lock.try_read() && lock.try_read() && lock.try_read_recursive());
        assert!(!lock.try_write());
        (0..3).for_each(|_| lock.unlock_read());
        assert!(lock.try_write());
        assert!(!lock.try_write() && !lock.try_read() && !lock.try_read_recursive());
        lock.unlock_write();
        assert!(lock.try_read());
    }

    #[test]
    fn a_writer_waits_for_readers_and_readers_for_a_writer() {
        let lock = Arc::new(RawRwLock::default());
        lock.read();
        let other = lock.clone();
        waits(move || other.write(), || lock.unlock_read());
        for read in [RawRwLock::read, RawRwLock::read_recursive] {
            let other = lock.clone();
            waits(
                move || {
                    read(&other);
                    other.unlock_read();
                },
                || lock.unlock_write(),
            );
            lock.write();
        }
        lock.unlock_write();
        assert!(lock.try_write());
    }

    #[test]
    fn a_waiting_writer_bars_new_readers_and_not_those_who_read_already() {
        let lock = Arc::new(RawRwLock::default());
        lock.read();
        let other = lock.clone();
        let writer = thread::spawn(move || {
            other.write();
            other.unlock_write();
        });
        wait_for(|| lock.state.load(Ordering::SeqCst) & WANTED != 0);
        assert!(!lock.try_read());
        assert!(lock.try_read_recursive());
        lock.read_recursive();
        let other = lock.clone();
        let reader = move || {
            other.read();
            other.unlock_read();
        };
        waits(reader, || (0..3).for_each(|_| lock.unlock_read()));
        writer.join().unwrap();
        assert!(lock.try_write());
    }

    #[test]
    fn a_writer_gets_in_beside_readers_who_never_pause() {
        let (lock, is_over) = (RawRwLock::default(), AtomicBool::new(false));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while !is_over.load(Ordering::SeqCst) {
                        lock.read();
                        lock.read_recursive();
                        lock.unlock_read();
                        lock.unlock_read();
                    }
                });
            }
            for _ in 0..20 {
                lock.write();
                lock.unlock_write();
            }
            is_over.store(true, Ordering::SeqCst);
        });
    }

    #[test]
    fn readers_see_all_that_a_writer_did_or_nothing() {
        const ROUNDS: usize = 2000;
        let lock = RwLock::<RawRwLock, (usize, usize)>::new((0, 0));
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..ROUNDS {
                        let mut both = lock.write();
                        both.0 += 1;
                        both.1 += 1;
                    }
                });
                scope.spawn(|| {
                    for round in 0..ROUNDS {
                        let both = if round % 2 == 0 { lock.read() } else { lock.read_recursive() };
                        assert_eq!(both.0, both.1);
                    }
                });
            }
        });
        assert_eq!(lock.into_inner(), (3 * ROUNDS, 3 * ROUNDS));
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;
    use loom::thread;

    /// Loom fails the model when two touch it who may not, or when one of them sleeps for ever.
    struct Guarded<L> {
        lock: L,
        value: UnsafeCell<u32>,
    }

    // SAFETY: nobody looks at the value itself, and loom watches who touches it.
    unsafe impl<L: Sync> Sync for Guarded<L> {}

    impl<L> Guarded<L> {
        fn look(&self) {
            self.value.with(|_| ());
        }

        fn touch(&self) {
            self.value.with_mut(|_| ());
        }
    }

    fn together<L: Default + Send + Sync + 'static, const N: usize>(parts: [fn(&Guarded<L>); N]) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(move || {
            let guarded = Arc::new(Guarded { lock: L::default(), value: UnsafeCell::new(0) });
            let (last, others) = parts.split_last().unwrap();
            let threads: Vec<_> = others
                .iter()
                .map(|&part| {
                    let guarded = guarded.clone();
                    thread::spawn(move || part(&guarded))
                })
                .collect();
            last(&guarded);
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
    }

    fn lock(guarded: &Guarded<RawMutex>) {
        guarded.lock.lock();
        guarded.touch();
        guarded.lock.unlock();
    }

    fn lock_twice(guarded: &Guarded<RawMutex>) {
        lock(guarded);
        lock(guarded);
    }

    fn try_lock(guarded: &Guarded<RawMutex>) {
        if guarded.lock.try_lock() {
            guarded.touch();
            guarded.lock.unlock();
        }
    }

    #[test]
    fn model_a_mutex_lets_everybody_in_alone() {
        together([lock, lock, lock]);
    }

    #[test]
    fn model_a_mutex_is_lost_to_nobody_where_some_come_again() {
        together([lock_twice, lock_twice]);
        together([lock_twice, try_lock, lock]);
    }

    fn read(guarded: &Guarded<RawRwLock>) {
        guarded.lock.read();
        guarded.look();
        guarded.lock.unlock_read();
    }

    fn read_twice(guarded: &Guarded<RawRwLock>) {
        guarded.lock.read();
        // A writer may have come meanwhile.
        guarded.lock.read_recursive();
        guarded.look();
        guarded.lock.unlock_read();
        guarded.look();
        guarded.lock.unlock_read();
    }

    /// The second time it is at a desk.
    fn read_again(guarded: &Guarded<RawRwLock>) {
        read(guarded);
        read(guarded);
    }

    fn write_again(guarded: &Guarded<RawRwLock>) {
        write(guarded);
        write(guarded);
    }

    fn try_read(guarded: &Guarded<RawRwLock>) {
        if guarded.lock.try_read() {
            guarded.look();
            guarded.lock.unlock_read();
        }
    }

    fn write(guarded: &Guarded<RawRwLock>) {
        guarded.lock.write();
        guarded.touch();
        guarded.lock.unlock_write();
    }

    fn try_write(guarded: &Guarded<RawRwLock>) {
        if guarded.lock.try_write() {
            guarded.touch();
            guarded.lock.unlock_write();
        }
    }

    #[test]
    fn model_a_writer_is_alone_and_readers_are_woken() {
        together([read, write]);
        together([read, read, write]);
    }

    #[test]
    fn model_writers_are_alone_beside_each_other() {
        together([write, write]);
        together([write, read, write]);
    }

    #[test]
    fn model_who_reads_again_passes_the_writer() {
        together([read_twice, write]);
        together([read_twice, read, write]);
    }

    #[test]
    fn model_who_reads_at_a_desk_and_who_writes_are_not_in_at_once() {
        together([read_again, write_again]);
        together([read_again, write, try_write]);
        together([read_again, read, write]);
    }

    #[test]
    fn model_who_only_tries_disturbs_nobody() {
        together([try_read, write, read]);
        together([try_write, write, read]);
    }
}
