//! Who sleeps until a number changes: those who wait by parking_lot, and those who have hung up a
//! bell of their own, because a signal is to interrupt them.
//!
//! Whoever changes a number wakes behind that. Who is about to sleep looks at it under the lock
//! that waking takes: either the change is seen here, or the sleeper there.

use std::time::Instant;

use crate::memory::{self, OutOfMemory};
use crate::sync::{
    Condvar, Mutex, Rank,
    atomic::{AtomicU32, Ordering},
};

/// All sleepers of a process, by the place of the number.
pub struct Sleepers<B> {
    buckets: [Bucket<B>; BUCKETS],
}

/// A few numbers share one.
struct Bucket<B> {
    bells: Mutex<Vec<Hung<B>>>,
    woken: Condvar,
}

struct Hung<B> {
    word: usize,
    bell: B,
}

/// What makes a noise where one sleeper can hear it.
pub trait Bell {
    fn ring(&self);

    /// Whether it is the one that its owner means.
    fn is(&self, number: i32) -> bool;
}

impl<B: Bell> Sleepers<B> {
    pub fn new() -> Sleepers<B> {
        Sleepers {
            buckets: std::array::from_fn(|_| Bucket {
                bells: Mutex::new(Rank::Sleepers, Vec::new()),
                woken: Condvar::new(),
            }),
        }
    }

    /// Sleeps while `word` is `expected`, or for no reason less long. False when the time was over.
    pub fn park(&self, word: &AtomicU32, expected: u32, deadline: Option<Instant>) -> bool {
        let bucket = self.bucket(word);
        let bells = bucket.bells.lock();
        if word.load(Ordering::Relaxed) != expected {
            return true;
        }
        let (bells, is_woken) = bucket.woken.wait_until(bells, deadline);
        drop(bells);
        is_woken
    }

    /// Has the bell rung when somebody wakes those who sleep on `word`, until [`Sleepers::strike`].
    /// False, and no bell, if that is not `expected`.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn hang(&self, word: &AtomicU32, expected: u32, bell: B) -> Result<bool, OutOfMemory> {
        let mut bells = self.bucket(word).bells.lock();
        if word.load(Ordering::Relaxed) != expected {
            return Ok(false);
        }
        memory::reserve(&mut *bells, 1)?;
        bells.push(Hung { word: address(word), bell });
        Ok(true)
    }

    /// Takes a bell down.
    pub fn strike(&self, word: &AtomicU32, number: i32) {
        let mut bells = self.bucket(word).bells.lock();
        let at = bells.iter().position(|hung| hung.bell.is(number));
        let hung = at.map(|at| bells.swap_remove(at));
        drop(bells);
        drop(hung);
    }

    /// Wakes everybody who sleeps on `word`.
    pub fn wake_all(&self, word: &AtomicU32) {
        let bucket = self.bucket(word);
        let bells = bucket.bells.lock();
        bells.iter().filter(|hung| hung.word == address(word)).for_each(|hung| hung.bell.ring());
        drop(bells);
        bucket.woken.notify_all();
    }

    fn bucket(&self, word: &AtomicU32) -> &Bucket<B> {
        // Numbers of different sockets lie in different lines of the cache.
        let place = address(word) / 64;
        &self.buckets[(place ^ place >> 8) % BUCKETS]
    }
}

fn address(word: &AtomicU32) -> usize {
    std::ptr::from_ref(word).addr()
}

/// One is the hardest case, and a model's.
const BUCKETS: usize = if cfg!(loom) { 1 } else { 64 };

#[cfg(all(test, loom))]
mod model {
    use super::*;
    use loom::sync::Arc;
    use loom::thread;

    struct Noise(i32, Arc<(Mutex<bool>, Condvar)>);

    impl Bell for Noise {
        fn ring(&self) {
            *self.1.0.lock() = true;
            self.1.1.notify_all();
        }

        fn is(&self, number: i32) -> bool {
            self.0 == number
        }
    }

    type Shared = Arc<(Sleepers<Noise>, AtomicU32)>;

    fn sleep_by_a_bell(shared: &Shared) {
        let (sleepers, word) = &**shared;
        let noise = Arc::new((Mutex::new(Rank::Events, false), Condvar::new()));
        if sleepers.hang(word, 1, Noise(7, Arc::clone(&noise))).unwrap() {
            let mut is_rung = noise.0.lock();
            while !*is_rung {
                is_rung = noise.1.wait_until(is_rung, None).0;
            }
            drop(is_rung);
            sleepers.strike(word, 7);
        }
        assert_eq!(word.load(Ordering::Relaxed), 2);
    }

    fn park(shared: &Shared) {
        let (sleepers, word) = &**shared;
        while word.load(Ordering::Relaxed) == 1 {
            sleepers.park(word, 1, None);
        }
    }

    /// A wake-up that is lost leaves a sleeper behind, and the model does not end.
    fn all_wake_up<const N: usize>(sleep: [fn(&Shared); N]) {
        loom::model(move || {
            let shared = Arc::new((Sleepers::new(), AtomicU32::new(1)));
            let sleepers = sleep.map(|sleep| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || sleep(&shared))
            });
            shared.1.store(2, Ordering::Relaxed);
            shared.0.wake_all(&shared.1);
            sleepers.into_iter().for_each(|sleeper| sleeper.join().unwrap());
        });
    }

    #[test]
    fn who_has_hung_up_a_bell_hears_it() {
        all_wake_up([sleep_by_a_bell]);
    }

    #[test]
    fn who_is_parked_is_woken_beside_who_has_a_bell() {
        all_wake_up([park, sleep_by_a_bell]);
    }
}
