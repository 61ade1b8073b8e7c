//! Which of many sockets have news for the one thread that waits for all of them.
//!
//! Each side first says what it is about to do and then looks at what the other side said, with
//! a sequentially consistent fence in between, as in `handover.rs`. `models` below walks through
//! every interleaving.

use crate::memory::{self, OutOfMemory};
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};

#[derive(Debug)]
pub struct Notes {
    /// A bit for each member that is to be looked at.
    news: Box<[AtomicU64]>,
    /// The thread sleeps in the poller, or is about to.
    is_polling: AtomicBool,
}

impl Notes {
    /// Those of `count` members, all of whom are to be looked at.
    ///
    /// # Errors
    /// When there is no memory for that.
    pub fn new(count: usize) -> Result<Notes, OutOfMemory> {
        let words = (0..count.div_ceil(BITS)).map(|word| {
            let left = count - word * BITS;
            AtomicU64::new(if left < BITS { (1 << left) - 1 } else { u64::MAX })
        });
        let news = memory::collect(words)?.into_boxed_slice();
        Ok(Notes { news, is_polling: AtomicBool::new(false) })
    }

    /// Something about a member has changed, of which the thread will find out when it looks next.
    pub fn note(&self, member: usize) {
        // Release: pairs with the acquire in `take`. Who finds the note sees what it is about.
        self.news[member / BITS].fetch_or(1 << (member % BITS), Ordering::Release);
    }

    /// A member has news. True when the thread has to be woken.
    pub fn tell(&self, member: usize) -> bool {
        self.note(member);
        // Pairs with the fence in `begin_polling`.
        fence(Ordering::SeqCst);
        self.is_polling()
    }

    /// The thread is about to sleep in the poller. It must look at all that was told before; what
    /// is told from now on wakes it.
    pub fn begin_polling(&self) {
        self.is_polling.store(true, Ordering::Relaxed);
        // Pairs with the fence in `tell`, and with that in `Handover::ring` for those who look
        // there whether anybody is to be told.
        fence(Ordering::SeqCst);
    }

    pub fn end_polling(&self) {
        self.is_polling.store(false, Ordering::Relaxed);
    }

    pub fn is_polling(&self) -> bool {
        self.is_polling.load(Ordering::Relaxed)
    }

    /// A member that is to be looked at, which is forgotten with this. Only the thread asks.
    pub fn take(&self) -> Option<usize> {
        self.news.iter().enumerate().find_map(|(word, news)| {
            let found = news.load(Ordering::Relaxed);
            if found == 0 {
                return None;
            }
            let bit = found.trailing_zeros();
            // Acquire: pairs with the release in `note`.
            news.fetch_and(!(1 << bit), Ordering::Acquire);
            Some(word * BITS + bit as usize)
        })
    }
}

const BITS: usize = u64::BITS as usize;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn taken(notes: &Notes) -> Vec<usize> {
        std::iter::from_fn(|| notes.take()).collect()
    }

    #[test]
    fn everybody_is_looked_at_once_and_then_those_with_news() {
        for count in [0, 1, 2, 63, 64, 65, 100, 128, 200] {
            let notes = Notes::new(count).unwrap();
            assert_eq!(taken(&notes), (0..count).collect::<Vec<_>>());
            assert_eq!(taken(&notes), []);
            for member in (0..count).step_by(7) {
                notes.note(member);
                notes.note(member);
                assert!(!notes.tell(member), "nobody sleeps");
            }
            assert_eq!(taken(&notes), (0..count).step_by(7).collect::<Vec<_>>());
        }
    }

    #[test]
    fn only_one_who_sleeps_is_woken_and_not_for_what_he_need_not_know() {
        let notes = Notes::new(1).unwrap();
        notes.begin_polling();
        assert!(notes.tell(0));
        assert!(notes.tell(0), "the first one may be about to");
        notes.end_polling();
        assert!(!notes.tell(0));
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use loom::sync::{Arc, Condvar, Mutex};
    use loom::thread;

    /// Two members in miniature, and what the kernel keeps of a wake-up.
    struct Model {
        notes: Notes,
        news: [AtomicBool; 2],
        is_signalled: Mutex<bool>,
        signalled: Condvar,
    }

    impl Model {
        fn bring(&self, member: usize) {
            // Not a store: loom orders plain stores among other threads' swaps too freely.
            self.news[member].swap(true, Ordering::Relaxed);
            if self.notes.tell(member) {
                *self.is_signalled.lock().unwrap() = true;
                self.signalled.notify_all();
            }
        }

        /// What a look at those with news finds.
        fn look(&self) -> usize {
            let found = std::iter::from_fn(|| self.notes.take());
            found.filter(|member| self.news[*member].swap(false, Ordering::Relaxed)).count()
        }

        fn sleep(&self) {
            let mut is_signalled = self.is_signalled.lock().unwrap();
            while !*is_signalled {
                is_signalled = self.signalled.wait(is_signalled).unwrap();
            }
            *is_signalled = false;
        }

        fn poll(&self) -> usize {
            loop {
                self.notes.begin_polling();
                let found = self.look();
                if found == 0 {
                    self.sleep();
                }
                self.notes.end_polling();
                if found > 0 {
                    return found;
                }
            }
        }
    }

    /// Loom fails the model when the thread sleeps for ever.
    #[test]
    fn model_all_news_are_found() {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(|| {
            let model = Arc::new(Model {
                notes: Notes::new(2).unwrap(),
                news: [AtomicBool::new(false), AtomicBool::new(false)],
                is_signalled: Mutex::new(false),
                signalled: Condvar::new(),
            });
            let bringers = [0, 1].map(|member| {
                let model = model.clone();
                thread::spawn(move || model.bring(member))
            });
            let mut found = 0;
            while found < 2 {
                // Operations that others note meanwhile bring nothing, and hide nothing.
                model.notes.note(0);
                found += model.poll();
            }
            bringers.into_iter().for_each(|bringer| bringer.join().unwrap());
        });
    }
}
