//! A lock for what mostly one thread uses: it takes no locked instruction, until somebody else
//! comes. (In the literature such locks are called biased, or asymmetric.)
//!
//! A thread that has taken the lock often enough in a row becomes its favourite, once and for good,
//! and the lock is open to it: it notes that it is inside, and then looks whether that is still so.
//! Everybody else takes the mutex, closes what is open, and then looks whether the favourite is
//! inside. The fence of the favourite is the light one of `barrier.rs`: who evicts pays for both.
//! From then on all take the mutex, until the favourite has come alone for long enough again.

use super::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use super::barrier;
#[cfg(not(any(portable, loom)))]
use super::futex::Futex;
#[cfg(all(portable, not(loom)))]
use super::lobby::Futex;
#[cfg(loom)]
use super::model::Futex;
use super::raw::{RawMutex, Spin};
use super::reader::Reader;

/// Excludes all others.
#[derive(Debug, Default)]
pub struct RawBiased {
    mutex: RawMutex,
    /// Who has come last. Since the lock was first open: whom it is open to.
    favourite: AtomicUsize,
    /// Whether the favourite may come without the mutex. Changed by who has that, but for the
    /// answer to [`AWAITED`].
    door: Futex,
    /// The favourite is inside without the mutex. Only he changes it.
    is_inside: AtomicBool,
    /// How often the favourite has still to take the mutex in a row, and how often others have
    /// taken it since he was alone for long. Changed by who has it.
    tally: AtomicU16,
    /// The lock has been open: the favourite will not be another one. Changed by who has the mutex.
    is_chosen: AtomicBool,
}

impl RawBiased {
    #[inline]
    pub fn lock(&self) {
        let me = Reader::me();
        if self.enter(me) {
            return;
        }
        if self.door.load(Ordering::Relaxed) == AWAITED {
            self.answer_before_waiting(me);
        }
        self.mutex.lock();
        if !self.is_closed() {
            self.evict();
        }
    }

    /// A signal's handler has interrupted the favourite when he had left and not answered yet: who
    /// waits for that has the mutex.
    #[cold]
    fn answer_before_waiting(&self, me: Reader) {
        if self.is_favourite(me) && !self.is_favourite_inside() {
            self.answer();
        }
    }

    /// May fail where nobody has it, when another one only tries, too.
    #[inline]
    pub fn try_lock(&self) -> bool {
        self.enter(Reader::me()) || self.mutex.try_lock() && (self.is_closed() || self.try_evict())
    }

    #[inline]
    fn is_closed(&self) -> bool {
        self.door.load(Ordering::Relaxed) == CLOSED
    }

    #[inline]
    fn is_favourite(&self, me: Reader) -> bool {
        me.number() == Some(self.favourite.load(Ordering::Relaxed))
    }

    /// The short way. False when it has to be the other one.
    #[inline]
    fn enter(&self, me: Reader) -> bool {
        // Acquire: pairs with the releases in `open_for_favourite` and in `try_evict`. Behind the
        // first one the favourite is the same for ever.
        if self.door.load(Ordering::Acquire) != OPEN || !self.is_favourite(me) {
            return false;
        }
        // Acquire: pairs with the release in `leave`, for who has inherited the number of a thread
        // that has ended.
        if self.is_inside.load(Ordering::Acquire) {
            // We are, and a signal's handler has interrupted us.
            return false;
        }
        self.is_inside.store(true, Ordering::Relaxed);
        // Pairs with the fences in `evict` and `try_evict`: either we see that the door is not open
        // any more, or who has closed it sees that we are inside.
        barrier::lightest();
        // Acquire: as above.
        if self.door.load(Ordering::Acquire) == OPEN {
            return true;
        }
        self.leave();
        false
    }

    #[inline]
    fn leave(&self) {
        // Release: pairs with the acquire in `is_favourite_inside`.
        self.is_inside.store(false, Ordering::Release);
        // Pairs with the fence in `evict`: either he sees that we have left, or we see that he
        // sleeps.
        barrier::lightest();
        if self.door.load(Ordering::Relaxed) != OPEN {
            self.answer();
        }
    }

    #[cold]
    fn answer(&self) {
        let relaxed = Ordering::Relaxed;
        if self.door.compare_exchange(AWAITED, CLOSED, relaxed, relaxed).is_ok() {
            self.door.wake_one();
        }
    }

    fn is_favourite_inside(&self) -> bool {
        // Acquire: pairs with the release in `leave`.
        self.is_inside.load(Ordering::Acquire)
    }

    /// Has the mutex, closes the door, and waits until the favourite has left.
    #[cold]
    fn evict(&self) {
        self.door.store(CLOSED, Ordering::Relaxed);
        // Pairs with the fence in `enter`.
        barrier::heavy();
        let mut spin = Spin::default();
        while self.is_favourite_inside() {
            if spin.once() {
                continue;
            }
            self.door.store(AWAITED, Ordering::Relaxed);
            // Pairs with the fence in `leave`.
            barrier::heavy();
            if self.is_favourite_inside() {
                self.door.wait(AWAITED);
            }
            self.door.store(CLOSED, Ordering::Relaxed);
        }
    }

    /// The same for who does not wait. If he would have to, he gives the mutex back.
    #[cold]
    fn try_evict(&self) -> bool {
        // Without a fence for who comes often while the favourite is inside.
        if !self.is_favourite_inside() {
            self.door.store(CLOSED, Ordering::Relaxed);
            // Pairs with the fence in `enter`.
            barrier::heavy();
            if !self.is_favourite_inside() {
                return true;
            }
            // Release: pairs with the acquire in `enter`.
            self.door.store(OPEN, Ordering::Release);
        }
        self.mutex.unlock();
        false
    }

    #[inline]
    pub fn unlock(&self) {
        let me = Reader::me();
        if !self.is_favourite(me) {
            self.note_other(me);
        } else if self.is_inside.load(Ordering::Relaxed) {
            return self.leave();
        } else {
            self.note_favourite();
        }
        self.mutex.unlock();
    }

    /// Noted when he leaves, and not when he comes: then the line is written to anyway, at which
    /// others look who wait.
    #[inline]
    fn note_other(&self, me: Reader) {
        let tally = self.tally.load(Ordering::Relaxed);
        if !self.is_chosen.load(Ordering::Relaxed) {
            self.favourite.store(me.number().unwrap_or(0), Ordering::Relaxed);
        }
        let others = (tally & OTHERS).min(FEW) + OTHER;
        let left = if others > FEW { VERY_OFTEN } else { OFTEN };
        let next = others | left;
        if next != tally {
            self.tally.store(next, Ordering::Relaxed);
        }
    }

    #[inline]
    fn note_favourite(&self) {
        let tally = self.tally.load(Ordering::Relaxed);
        if tally & LEFT > 1 {
            self.tally.store(tally - 1, Ordering::Relaxed);
        } else {
            self.open_for_favourite(tally);
        }
    }

    /// Opens the door to who has the mutex, unless somebody calls who would close it at once.
    #[inline(never)]
    fn open_for_favourite(&self, tally: u16) {
        let can_open = barrier::is_light() && !self.mutex.is_called_for();
        if !can_open {
            return self.tally.store(tally & !LEFT | VERY_OFTEN, Ordering::Relaxed);
        }
        let others = if tally & OTHERS > FEW { 0 } else { tally & OTHERS };
        self.tally.store(others | OFTEN, Ordering::Relaxed);
        self.is_chosen.store(true, Ordering::Relaxed);
        // Release: pairs with the acquire in `enter`.
        self.door.store(OPEN, Ordering::Release);
    }

    #[cfg(not(loom))]
    fn is_locked(&self) -> bool {
        self.is_favourite_inside() || !self.mutex.is_free()
    }
}

#[cfg(not(loom))]
mod api {
    use super::{AtomicBool, AtomicU16, AtomicUsize, CLOSED, Futex, RawBiased, RawMutex};

    // SAFETY: who has locked it is alone until it is unlocked.
    unsafe impl lock_api::RawMutex for RawBiased {
        const INIT: RawBiased = RawBiased {
            mutex: <RawMutex as lock_api::RawMutex>::INIT,
            favourite: AtomicUsize::new(0),
            door: Futex::new(CLOSED),
            is_inside: AtomicBool::new(false),
            tally: AtomicU16::new(0),
            is_chosen: AtomicBool::new(false),
        };

        type GuardMarker = lock_api::GuardNoSend;

        #[inline]
        fn lock(&self) {
            RawBiased::lock(self);
        }

        #[inline]
        fn try_lock(&self) -> bool {
            RawBiased::try_lock(self)
        }

        #[inline]
        unsafe fn unlock(&self) {
            RawBiased::unlock(self);
        }

        #[inline]
        fn is_locked(&self) -> bool {
            RawBiased::is_locked(self)
        }
    }
}

/// Whoever comes takes the mutex.
const CLOSED: u32 = 0;
/// The favourite need not.
const OPEN: u32 = 1;
/// Who has the mutex sleeps until the favourite has left.
const AWAITED: u32 = 2;

/// The bits that count others, up to one more than [`FEW`], and the first of them.
const OTHERS: u16 = 3 << 14;
const OTHER: u16 = 1 << 14;
/// The bits that count the favourite down.
const LEFT: u16 = OTHER - 1;

/// Others have come so seldom that it does not matter how soon one comes again. The favourite is
/// another one when he comes for the first time.
const FEW: u16 = 2 * OTHER;
/// How often the favourite has to come in a row, and how often where others do, too. To close the
/// door takes a few microseconds, a thousand times what is won each time.
const OFTEN: u16 = if cfg!(loom) { 1 } else { 1 << 10 };
const VERY_OFTEN: u16 = if cfg!(loom) { 1 } else { LEFT };

const _: () = assert!(FEW + OTHER <= OTHERS && OFTEN <= LEFT);

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::Arc;
    use std::thread;
    use std::time::Duration;

    use super::*;

    type Mutex<T> = lock_api::Mutex<RawBiased, T>;

    /// Whether there are favourites here.
    fn can_be_open() -> bool {
        barrier::is_light() && Reader::me().number().is_some()
    }

    fn come(lock: &RawBiased, times: u16) {
        for _ in 0..times {
            lock.lock();
            lock.unlock();
        }
    }

    /// One that is open to the calling thread, where that can be.
    fn open() -> Arc<RawBiased> {
        let lock = Arc::new(RawBiased::default());
        come(&lock, OFTEN + 1);
        assert_eq!(lock.door.load(Ordering::SeqCst) == OPEN, can_be_open());
        lock
    }

    fn is_closed(lock: &RawBiased) -> bool {
        lock.door.load(Ordering::SeqCst) == CLOSED
    }

    fn elsewhere<T: Send>(call: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| scope.spawn(call).join().unwrap())
    }

    #[test]
    fn who_comes_often_enough_in_a_row_has_it_open() {
        let lock = RawBiased::default();
        come(&lock, OFTEN);
        assert!(is_closed(&lock));
        come(&lock, 1);
        assert_eq!(is_closed(&lock), !can_be_open());
        lock.lock();
        assert_eq!(lock.is_inside.load(Ordering::SeqCst), can_be_open());
        assert!(lock.is_locked() && !lock.try_lock(), "also to who has it");
        lock.unlock();
        assert!(!lock.is_locked() && lock.try_lock());
        lock.unlock();
    }

    #[test]
    fn another_one_closes_it_until_the_favourite_was_alone_for_as_long_again() {
        let lock = open();
        for _ in 0..FEW / OTHER - 1 {
            elsewhere(|| come(&lock, 1));
            assert!(is_closed(&lock));
            come(&lock, OFTEN - 1);
            assert!(is_closed(&lock));
            come(&lock, 1);
            assert_eq!(is_closed(&lock), !can_be_open());
        }
    }

    #[test]
    fn who_shares_it_has_to_be_alone_for_longer() {
        let lock = open();
        for _ in 0..10 {
            elsewhere(|| come(&lock, 1));
            come(&lock, 1);
        }
        come(&lock, VERY_OFTEN - 2);
        assert!(is_closed(&lock));
        for times in [1, OFTEN] {
            come(&lock, times);
            assert_eq!(is_closed(&lock), !can_be_open());
            // That was long enough for the others to be forgotten.
            elsewhere(|| come(&lock, 1));
        }
    }

    #[test]
    fn nobody_becomes_the_favourite_of_one_that_has_been_open() {
        let lock = open();
        elsewhere(|| come(&lock, VERY_OFTEN + 1));
        assert!(is_closed(&lock));
        assert_eq!(lock.is_favourite(Reader::me()), can_be_open());
    }

    #[test]
    fn who_only_tries_leaves_it_open_while_the_favourite_is_inside() {
        let lock = open();
        lock.lock();
        assert!(!elsewhere(|| lock.try_lock()));
        assert_eq!(is_closed(&lock), !can_be_open());
        lock.unlock();
        let other = elsewhere(|| {
            let is_his = lock.try_lock();
            lock.unlock();
            is_his
        });
        assert!(other && is_closed(&lock));
    }

    #[test]
    fn who_closes_it_sleeps_until_the_favourite_has_left() {
        let lock = open();
        lock.lock();
        let other = {
            let lock = Arc::clone(&lock);
            thread::spawn(move || come(&lock, 1))
        };
        thread::sleep(Duration::from_millis(20));
        assert!(!other.is_finished());
        lock.unlock();
        other.join().unwrap();
        assert!(!lock.is_locked());
    }

    #[test]
    fn it_is_not_opened_in_front_of_one_who_waits() {
        let lock = Arc::new(RawBiased::default());
        come(&lock, OFTEN);
        lock.lock();
        let other = {
            let lock = Arc::clone(&lock);
            thread::spawn(move || come(&lock, 1))
        };
        while !lock.mutex.is_called_for() {
            thread::sleep(Duration::from_millis(1));
        }
        lock.unlock();
        other.join().unwrap();
        assert!(!lock.is_chosen.load(Ordering::SeqCst));
    }

    #[test]
    fn nothing_that_is_added_is_lost_whoever_comes() {
        const ROUNDS: u32 = if cfg!(miri) { 50 } else { 30_000 };
        let sum = Mutex::new(0);
        let add = |times| (0..times).for_each(|_| *sum.lock() += 1);
        let look_in = |pause| {
            for _ in 0..ROUNDS / 300 {
                add(1);
                thread::sleep(pause);
                drop(sum.try_lock());
            }
        };
        thread::scope(|scope| {
            scope.spawn(|| add(10 * ROUNDS));
            for pause in [1, 3, 100].map(Duration::from_micros) {
                scope.spawn(move || look_in(pause));
            }
        });
        add(ROUNDS);
        assert_eq!(sum.into_inner(), 11 * ROUNDS + 3 * (ROUNDS / 300));
    }
}

#[cfg(all(test, loom))]
mod models {
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    /// Loom fails the model when two touch it at once, or when one of them sleeps for ever.
    struct Guarded {
        lock: RawBiased,
        value: UnsafeCell<u32>,
    }

    // SAFETY: nobody looks at the value itself, and loom watches who touches it.
    unsafe impl Sync for Guarded {}

    impl Guarded {
        fn touch(&self) {
            self.value.with_mut(|_| ());
        }
    }

    fn lock(guarded: &Guarded) {
        guarded.lock.lock();
        guarded.touch();
        guarded.lock.unlock();
    }

    fn lock_twice(guarded: &Guarded) {
        lock(guarded);
        lock(guarded);
    }

    fn try_lock(guarded: &Guarded) {
        if guarded.lock.try_lock() {
            guarded.touch();
            guarded.lock.unlock();
        }
    }

    fn try_lock_twice(guarded: &Guarded) {
        try_lock(guarded);
        try_lock(guarded);
    }

    /// The first part is done by the favourite, to whom it is open.
    fn beside<const N: usize>(favourite: fn(&Guarded), others: [fn(&Guarded); N]) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(move || {
            let guarded =
                Arc::new(Guarded { lock: RawBiased::default(), value: UnsafeCell::new(0) });
            lock_twice(&guarded);
            assert_eq!(guarded.lock.door.load(Ordering::Relaxed), OPEN);
            let threads = others.map(|part| {
                let guarded = guarded.clone();
                thread::spawn(move || part(&guarded))
            });
            favourite(&guarded);
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            lock(&guarded);
        });
    }

    #[test]
    fn model_who_closes_a_biased_lock_is_alone_in_it() {
        beside(lock, [lock]);
        beside(lock_twice, [lock]);
        beside(lock, [lock_twice]);
        beside(lock_twice, [lock, lock]);
    }

    #[test]
    fn model_a_biased_lock_opens_again_beside_others() {
        beside(
            |guarded| {
                lock_twice(guarded);
                lock(guarded);
            },
            [lock],
        );
    }

    #[test]
    fn model_several_come_to_a_biased_lock_beside_its_favourite() {
        beside(lock, [lock, lock]);
        beside(lock_twice, [lock, try_lock]);
    }

    #[test]
    fn model_who_only_tries_a_biased_lock_keeps_nobody_out() {
        beside(lock, [try_lock]);
        beside(lock_twice, [try_lock_twice]);
        beside(try_lock_twice, [lock_twice]);
        beside(try_lock, [try_lock, lock]);
    }
}
