//! Who sleeps until a number changes: each has hung up a bell of his own, so that a signal
//! interrupts him, and he can be cancelled.
//!
//! Whoever changes a number wakes behind that. Who is about to sleep looks at it under the lock
//! that waking takes: either the change is seen here, or the sleeper there.

use crate::memory::{self, OutOfMemory};
use crate::sync::{
    Mutex, Rank,
    atomic::{AtomicU32, Ordering},
};

/// All sleepers of a process, by the place of the number.
pub struct Sleepers<B> {
    buckets: [Bucket<B>; BUCKETS],
}

/// A few numbers share one.
type Bucket<B> = Mutex<Vec<Hung<B>>>;

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
        Sleepers { buckets: std::array::from_fn(|_| Mutex::new(Rank::Sleepers, Vec::new())) }
    }

    /// Has the bell rung when somebody wakes those who sleep on `word`, until [`Sleepers::strike`].
    /// False, and no bell, if that is not `expected`.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn hang(&self, word: &AtomicU32, expected: u32, bell: B) -> Result<bool, OutOfMemory> {
        let mut bells = self.bucket(word).lock();
        if word.load(Ordering::Relaxed) != expected {
            return Ok(false);
        }
        memory::reserve(&mut *bells, 1)?;
        bells.push(Hung { word: address(word), bell });
        Ok(true)
    }

    /// Takes a bell down.
    pub fn strike(&self, word: &AtomicU32, number: i32) {
        let mut bells = self.bucket(word).lock();
        let at = bells.iter().position(|hung| hung.bell.is(number));
        let hung = at.map(|at| bells.swap_remove(at));
        // Nobody knows when the next one comes.
        let room = if bells.is_empty() { std::mem::take(&mut *bells) } else { Vec::new() };
        drop(bells);
        drop((hung, room));
    }

    /// Wakes everybody who sleeps on `word`.
    pub fn wake_all(&self, word: &AtomicU32) {
        let bells = self.bucket(word).lock();
        bells.iter().filter(|hung| hung.word == address(word)).for_each(|hung| hung.bell.ring());
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
    use loom::sync::{Arc, Condvar};
    use loom::thread;

    struct Noise(i32, Arc<(loom::sync::Mutex<bool>, Condvar)>);

    impl Bell for Noise {
        fn ring(&self) {
            *self.1.0.lock().unwrap() = true;
            self.1.1.notify_all();
        }

        fn is(&self, number: i32) -> bool {
            self.0 == number
        }
    }

    type Shared = Arc<(Sleepers<Noise>, AtomicU32)>;

    fn sleep_by_a_bell(shared: &Shared, number: i32) {
        let (sleepers, word) = &**shared;
        let noise = Arc::new((loom::sync::Mutex::new(false), Condvar::new()));
        if sleepers.hang(word, 1, Noise(number, Arc::clone(&noise))).unwrap() {
            let mut is_rung = noise.0.lock().unwrap();
            while !*is_rung {
                is_rung = noise.1.wait(is_rung).unwrap();
            }
            drop(is_rung);
            sleepers.strike(word, number);
        }
        assert_eq!(word.load(Ordering::Relaxed), 2);
    }

    /// A wake-up that is lost leaves a sleeper behind, and the model does not end.
    fn all_wake_up(count: i32) {
        loom::model(move || {
            let shared = Arc::new((Sleepers::new(), AtomicU32::new(1)));
            let sleepers: Vec<_> = (0..count)
                .map(|number| {
                    let shared = Arc::clone(&shared);
                    thread::spawn(move || sleep_by_a_bell(&shared, number))
                })
                .collect();
            shared.1.store(2, Ordering::Relaxed);
            shared.0.wake_all(&shared.1);
            sleepers.into_iter().for_each(|sleeper| sleeper.join().unwrap());
        });
    }

    #[test]
    fn who_has_hung_up_a_bell_hears_it() {
        all_wake_up(1);
    }

    #[test]
    fn two_who_have_hung_up_bells_both_hear_theirs() {
        all_wake_up(2);
    }
}
