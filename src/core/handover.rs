//! How threads that wait for the same thing wake each other, and which of them drives the I/O.
//!
//! One thread at a time leads: it sleeps in the kernel's poller, on everybody's behalf. The
//! others sleep on a number, the epoch, which every piece of news increments. Whoever brings
//! news rings; whoever stops leading while others sleep rings too, so that one of them leads
//! next. `models` below walks through every interleaving of that.
//!
//! Each side first says what it is about to do and then looks at what the other side said, with
//! a sequentially consistent fence in between: so one of the two sees the other.

use crate::sync::atomic::{AtomicBool, AtomicU32, Ordering, fence};

#[derive(Debug)]
pub struct Handover {
    epoch: AtomicU32,
    sleepers: AtomicU32,
    is_led: AtomicBool,
    /// The leader sleeps in the poller, or is about to.
    is_polling: AtomicBool,
}

/// Whom the ringing thread has to wake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ring {
    pub wake_sleepers: bool,
    pub wake_leader: bool,
}

impl Default for Handover {
    fn default() -> Handover {
        Handover {
            epoch: AtomicU32::new(0),
            sleepers: AtomicU32::new(0),
            is_led: AtomicBool::new(false),
            is_polling: AtomicBool::new(false),
        }
    }
}

impl Handover {
    /// To be read before looking whether what one wants is there.
    #[inline]
    pub fn epoch(&self) -> u32 {
        // Pairs with the release in `ring`: who sees the epoch sees the news.
        self.epoch.load(Ordering::Acquire)
    }

    /// The word that sleepers sleep on while it is the epoch that they read.
    pub fn word(&self) -> &AtomicU32 {
        &self.epoch
    }

    /// There is news.
    #[inline]
    pub fn ring(&self) -> Ring {
        // Pairs with the acquire in `epoch`.
        self.epoch.fetch_add(1, Ordering::Release);
        // Pairs with the fences in `begin_polling` and `begin_sleeping`.
        fence(Ordering::SeqCst);
        Ring {
            wake_sleepers: self.sleepers.load(Ordering::Relaxed) > 0,
            wake_leader: self.is_polling.load(Ordering::Relaxed),
        }
    }

    /// True when the caller leads from now on; it must [`Handover::resign`] later.
    pub fn try_lead(&self) -> bool {
        // Acquire: pairs with the release in `resign`, one leader after the other.
        !self.is_led.load(Ordering::Relaxed) && !self.is_led.swap(true, Ordering::Acquire)
    }

    pub fn is_led(&self) -> bool {
        self.is_led.load(Ordering::Relaxed)
    }

    /// The leader is about to sleep in the poller. False when there has been news since `seen`:
    /// then it must not.
    pub fn begin_polling(&self, seen: u32) -> bool {
        self.is_polling.store(true, Ordering::Relaxed);
        // Pairs with the fence in `ring`.
        fence(Ordering::SeqCst);
        let is_quiet = self.epoch() == seen;
        if !is_quiet {
            self.end_polling();
        }
        is_quiet
    }

    pub fn end_polling(&self) {
        self.is_polling.store(false, Ordering::Relaxed);
    }

    /// The leader leads no more. If this asks for waking, a sleeper will lead next.
    pub fn resign(&self) -> Option<Ring> {
        // Pairs with the acquire in `try_lead`.
        // Not a store: loom orders plain stores among other threads' swaps too freely.
        self.is_led.swap(false, Ordering::Release);
        // Pairs with the fence in `begin_sleeping`.
        fence(Ordering::SeqCst);
        (self.sleepers.load(Ordering::Relaxed) > 0).then(|| self.ring())
    }

    /// The caller is about to sleep until the epoch is not what it read before. It should try to
    /// lead once more behind this, because the leader may just have resigned.
    pub fn begin_sleeping(&self) {
        self.sleepers.fetch_add(1, Ordering::Relaxed);
        // Pairs with the fences in `ring` and `resign`.
        fence(Ordering::SeqCst);
    }

    pub fn end_sleeping(&self) {
        self.sleepers.fetch_sub(1, Ordering::Relaxed);
    }

    #[cfg(all(test, not(loom)))]
    pub fn sleepers(&self) -> u32 {
        self.sleepers.load(Ordering::Relaxed)
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use loom::sync::{Arc, Condvar, Mutex};
    use loom::thread;

    /// A socket in miniature: messages appear in the kernel or are handed over by a peer.
    struct Model {
        handover: Handover,
        /// Messages ready to be taken.
        ready: Mutex<usize>,
        /// What futex and poller sleep on.
        kernel: Mutex<Kernel>,
        changed: Condvar,
    }

    #[derive(Default)]
    struct Kernel {
        /// Messages that only a leader can fetch.
        arrived: usize,
        is_signalled: bool,
    }

    impl Model {
        fn new() -> Arc<Model> {
            Arc::new(Model {
                handover: Handover::default(),
                ready: Mutex::new(0),
                kernel: Mutex::new(Kernel::default()),
                changed: Condvar::new(),
            })
        }

        fn act(&self, ring: Ring) {
            // Under the lock, as futex(2) and eventfd(2) wake.
            let mut kernel = self.kernel.lock().unwrap();
            kernel.is_signalled |= ring.wake_leader;
            if ring.wake_leader || ring.wake_sleepers {
                self.changed.notify_all();
            }
        }

        fn hand_over(&self) {
            *self.ready.lock().unwrap() += 1;
            self.act(self.handover.ring());
        }

        fn arrive(&self) {
            let mut kernel = self.kernel.lock().unwrap();
            kernel.arrived += 1;
            self.changed.notify_all();
        }

        fn recv(&self) {
            loop {
                let seen = self.handover.epoch();
                {
                    let mut ready = self.ready.lock().unwrap();
                    if *ready > 0 {
                        *ready -= 1;
                        return;
                    }
                }
                if self.handover.try_lead() {
                    self.lead(seen);
                    continue;
                }
                self.handover.begin_sleeping();
                if self.handover.try_lead() {
                    self.handover.end_sleeping();
                    self.lead(seen);
                    continue;
                }
                let kernel = self.kernel.lock().unwrap();
                if self.handover.epoch() == seen {
                    drop(self.changed.wait(kernel).unwrap());
                }
                self.handover.end_sleeping();
            }
        }

        fn lead(&self, seen: u32) {
            if self.handover.begin_polling(seen) {
                let mut kernel = self.kernel.lock().unwrap();
                while kernel.arrived == 0 && !kernel.is_signalled {
                    kernel = self.changed.wait(kernel).unwrap();
                }
                let fetched = std::mem::take(&mut kernel.arrived);
                kernel.is_signalled = false;
                drop(kernel);
                self.handover.end_polling();
                if fetched > 0 {
                    *self.ready.lock().unwrap() += fetched;
                    self.act(self.handover.ring());
                }
            }
            if let Some(ring) = self.handover.resign() {
                self.act(ring);
            }
        }
    }

    /// Loom fails the model when a receiver sleeps for ever.
    fn every_message_is_received(bring: [fn(&Model); 2]) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(move || {
            let model = Model::new();
            let receivers: Vec<_> = (0..2)
                .map(|_| {
                    let model = model.clone();
                    thread::spawn(move || model.recv())
                })
                .collect();
            bring.iter().for_each(|bring| bring(&model));
            for receiver in receivers {
                receiver.join().unwrap();
            }
        });
    }

    #[test]
    fn model_messages_from_the_kernel_reach_every_waiter() {
        every_message_is_received([Model::arrive, Model::arrive]);
    }

    #[test]
    fn model_messages_from_a_peer_reach_every_waiter() {
        every_message_is_received([Model::hand_over, Model::hand_over]);
    }

    #[test]
    fn model_messages_from_both_reach_every_waiter() {
        every_message_is_received([Model::hand_over, Model::arrive]);
    }
}
