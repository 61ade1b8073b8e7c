//! How threads that wait for the same thing wake each other, and which of them drives the I/O.
//!
//! One thread at a time leads: it sleeps in the kernel's poller, on everybody's behalf. The
//! others sleep on a number, the epoch, which every piece of news increments. Whoever brings
//! news rings; whoever stops leading while others sleep rings too, so that one of them leads
//! next. `models` below walks through every interleaving of that.
//!
//! Each side first says what it is about to do and then looks at what the other side said, with
//! a sequentially consistent fence in between: so one of the two sees the other.
//!
//! Branches of a socket have an epoch each, so that news wake whom they concern, and the streams in
//! common: who leads those of the trunk does it on behalf of all branches, and sleeps in the poller
//! for the epoch of his own. The others are [`Heirs`]: when the leader resigns, one of them is
//! woken to lead next. An heir that is awake takes the lead before it looks for what it wants, if
//! nobody has it, and resigns when it goes; so it does not matter why it woke.

use crate::memory::{self, OutOfMemory};
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

/// The threads that sleep on epochs of branches, named by their branch. Under a lock.
#[derive(Debug)]
pub struct Heirs<T>(Vec<T>);

impl<T> Default for Heirs<T> {
    fn default() -> Heirs<T> {
        Heirs(Vec::new())
    }
}

impl<T: Copy + PartialEq> Heirs<T> {
    /// Another thread is about to sleep there. It should try to lead once more behind this.
    ///
    /// # Errors
    /// When there is no memory to note it.
    pub fn add(&mut self, heir: T) -> Result<(), OutOfMemory> {
        memory::reserve(&mut self.0, 1)?;
        self.0.push(heir);
        Ok(())
    }

    /// One of them is awake. False when none was noted there.
    pub fn remove(&mut self, heir: T) -> bool {
        let at = self.0.iter().rposition(|one| *one == heir);
        at.map(|at| self.0.remove(at)).is_some()
    }

    /// Who is to lead next: who sleeps longest of those that `find` knows of. The branch of one may
    /// be gone already, whose thread is about to wake by that.
    pub fn next<U>(&self, find: impl FnMut(T) -> Option<U>) -> Option<U> {
        self.0.iter().copied().find_map(find)
    }
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

    /// The poller has been given more to wait for, behind the lock under which everybody looks
    /// whether there is anything to lead. Who leads sleeps on in front of it; without a leader
    /// somebody is to become one.
    #[inline]
    pub fn ring_for_leader(&self) -> Option<Ring> {
        // Pairs with the fence in `begin_sleeping`: either we see that nobody leads, or who is
        // about to sleep sees what has been given to the poller.
        fence(Ordering::SeqCst);
        (!self.is_led()).then(|| self.ring())
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
        /// Whether there is anything to lead; set under the lock of `ready`.
        has_stream: AtomicBool,
        kernel: Mutex<Kernel>,
        /// Where those sleep who do not lead, and who does: what arrives wakes the leader only.
        sleepers: Condvar,
        poller: Condvar,
    }

    #[derive(Default)]
    struct Kernel {
        /// Messages that only a leader can fetch.
        arrived: usize,
        is_signalled: bool,
        /// The time of who gives up is over.
        is_late: bool,
    }

    impl Model {
        fn new(has_stream: bool) -> Arc<Model> {
            Arc::new(Model {
                handover: Handover::default(),
                ready: Mutex::new(0),
                has_stream: AtomicBool::new(has_stream),
                kernel: Mutex::new(Kernel::default()),
                sleepers: Condvar::new(),
                poller: Condvar::new(),
            })
        }

        fn act(&self, ring: Ring) {
            // Under the lock, as futex(2) and eventfd(2) wake.
            let mut kernel = self.kernel.lock().unwrap();
            kernel.is_signalled |= ring.wake_leader;
            if ring.wake_leader {
                self.poller.notify_all();
            }
            if ring.wake_sleepers {
                self.sleepers.notify_all();
            }
        }

        fn hand_over(&self) {
            *self.ready.lock().unwrap() += 1;
            self.act(self.handover.ring());
        }

        fn arrive(&self) {
            let mut kernel = self.kernel.lock().unwrap();
            kernel.arrived += 1;
            self.poller.notify_all();
        }

        fn be_late(&self) {
            self.kernel.lock().unwrap().is_late = true;
            self.poller.notify_all();
        }

        /// Leads if nobody does, until its time is over, and takes nothing.
        fn give_up(&self) {
            let seen = self.handover.epoch();
            if self.try_lead() {
                self.lead(seen, |kernel| kernel.is_late);
            }
        }

        /// The stream becomes one of the socket.
        fn attach(&self) {
            {
                let _ready = self.ready.lock().unwrap();
                self.has_stream.store(true, Ordering::Relaxed);
            }
            if let Some(ring) = self.handover.ring_for_leader() {
                self.act(ring);
            }
        }

        fn try_lead(&self) -> bool {
            self.has_stream.load(Ordering::Relaxed) && self.handover.try_lead()
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
                if self.try_lead() {
                    self.lead(seen, |_| false);
                    continue;
                }
                self.handover.begin_sleeping();
                if self.try_lead() {
                    self.handover.end_sleeping();
                    self.lead(seen, |_| false);
                    continue;
                }
                let kernel = self.kernel.lock().unwrap();
                if self.handover.epoch() == seen {
                    drop(self.sleepers.wait(kernel).unwrap());
                }
                self.handover.end_sleeping();
            }
        }

        fn lead(&self, seen: u32, is_over: fn(&Kernel) -> bool) {
            if self.handover.begin_polling(seen) {
                let mut kernel = self.kernel.lock().unwrap();
                while kernel.arrived == 0 && !kernel.is_signalled && !is_over(&kernel) {
                    kernel = self.poller.wait(kernel).unwrap();
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
    fn every_message_is_received<const STEPS: usize>(bring: [fn(&Model); STEPS]) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(move || {
            let model = Model::new(STEPS == 2);
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

    /// Whoever leaves without a message has rung for none: only its leaving wakes the other.
    #[test]
    fn model_a_leader_that_gives_up_leaves_the_lead_to_another() {
        one_waits_beside_one_that_gives_up(true);
    }

    /// The stream does not ring when it comes while that one leads, who may be gone by then.
    #[test]
    fn model_a_stream_that_comes_as_a_leader_gives_up_has_another_one() {
        one_waits_beside_one_that_gives_up(false);
    }

    fn one_waits_beside_one_that_gives_up(has_stream: bool) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(move || {
            let model = Model::new(has_stream);
            let threads = [Model::give_up, Model::recv].map(|wait| {
                let model = model.clone();
                thread::spawn(move || wait(&model))
            });
            if !has_stream {
                model.attach();
            }
            model.be_late();
            model.arrive();
            for thread in threads {
                thread.join().unwrap();
            }
        });
    }

    #[test]
    fn model_messages_of_a_stream_that_comes_while_they_wait_reach_every_waiter() {
        every_message_is_received([Model::attach, Model::arrive, Model::arrive]);
    }

    /// A socket with two branches, each with one who waits for what is his own.
    struct Family {
        trunk: Handover,
        heirs: Mutex<Heirs<usize>>,
        heir_count: AtomicU32,
        branches: [Handover; 2],
        /// Of each branch.
        ready: Mutex<[Ready; 2]>,
        kernel: Mutex<Shared>,
        /// Where those sleep who do not lead, and who does.
        sleepers: [Condvar; 2],
        poller: Condvar,
    }

    #[derive(Default)]
    struct Ready {
        messages: usize,
        is_closed: bool,
    }

    #[derive(Default)]
    struct Shared {
        /// Messages that only a leader can fetch.
        arrived: [usize; 2],
        is_signalled: bool,
    }

    impl Family {
        fn new() -> Arc<Family> {
            Arc::new(Family {
                trunk: Handover::default(),
                heirs: Mutex::new(Heirs::default()),
                heir_count: AtomicU32::new(0),
                branches: [Handover::default(), Handover::default()],
                ready: Mutex::default(),
                kernel: Mutex::default(),
                sleepers: [Condvar::new(), Condvar::new()],
                poller: Condvar::new(),
            })
        }

        /// Rings at a branch.
        fn ring(&self, branch: usize) {
            let ring = self.branches[branch].ring();
            let mut kernel = self.kernel.lock().unwrap();
            if ring.wake_leader {
                kernel.is_signalled = true;
                self.poller.notify_all();
            }
            if ring.wake_sleepers {
                self.sleepers[branch].notify_all();
            }
        }

        fn arrive(&self, branch: usize) {
            self.kernel.lock().unwrap().arrived[branch] += 1;
            self.poller.notify_all();
        }

        fn hand_over(&self, branch: usize) {
            self.ready.lock().unwrap()[branch].messages += 1;
            self.ring(branch);
        }

        fn close(&self, branch: usize) {
            self.ready.lock().unwrap()[branch].is_closed = true;
            self.ring(branch);
        }

        fn resign(&self) {
            self.trunk.resign();
            if self.heir_count.load(Ordering::Relaxed) > 0 {
                let heir = self.heirs.lock().unwrap().next(Some);
                heir.into_iter().for_each(|heir| self.ring(heir));
            }
        }

        fn recv(&self, branch: usize) {
            let own = &self.branches[branch];
            let mut has_lead = false;
            loop {
                let seen = own.epoch();
                {
                    let ready = &mut self.ready.lock().unwrap()[branch];
                    if ready.messages > 0 || ready.is_closed {
                        ready.messages = 0;
                        break;
                    }
                }
                if !has_lead && !self.trunk.try_lead() {
                    self.begin_sleeping(branch);
                    has_lead = self.trunk.try_lead();
                    if !has_lead {
                        let mut kernel = self.kernel.lock().unwrap();
                        while own.epoch() == seen {
                            kernel = self.sleepers[branch].wait(kernel).unwrap();
                        }
                        drop(kernel);
                        has_lead = self.trunk.try_lead();
                    }
                    self.end_sleeping(branch);
                    continue;
                }
                has_lead = true;
                self.lead(branch, seen);
            }
            if has_lead {
                self.resign();
            }
        }

        fn begin_sleeping(&self, branch: usize) {
            self.heirs.lock().unwrap().add(branch).unwrap();
            self.heir_count.fetch_add(1, Ordering::Relaxed);
            self.branches[branch].begin_sleeping();
        }

        fn end_sleeping(&self, branch: usize) {
            self.branches[branch].end_sleeping();
            if self.heirs.lock().unwrap().remove(branch) {
                self.heir_count.fetch_sub(1, Ordering::Relaxed);
            }
            if self.trunk.try_lead() {
                self.resign();
            }
        }

        fn lead(&self, branch: usize, seen: u32) {
            let own = &self.branches[branch];
            if !own.begin_polling(seen) {
                return;
            }
            let mut kernel = self.kernel.lock().unwrap();
            while kernel.arrived == [0, 0] && !kernel.is_signalled {
                kernel = self.poller.wait(kernel).unwrap();
            }
            let fetched = std::mem::take(&mut kernel.arrived);
            kernel.is_signalled = false;
            drop(kernel);
            own.end_polling();
            for (whose, count) in fetched.into_iter().enumerate().filter(|(_, count)| *count > 0) {
                self.ready.lock().unwrap()[whose].messages += count;
                self.ring(whose);
            }
        }
    }

    /// Loom fails the model when one of them sleeps for ever.
    fn each_branch_hears_its_own(bring: [(fn(&Family, usize), usize); 2]) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(2);
        builder.check(move || {
            let family = Family::new();
            let waiting = [0, 1].map(|branch| {
                let family = family.clone();
                thread::spawn(move || family.recv(branch))
            });
            bring.iter().for_each(|(bring, branch)| bring(&family, *branch));
            for one in waiting {
                one.join().unwrap();
            }
        });
    }

    #[test]
    fn model_what_the_kernel_has_for_branches_reaches_each() {
        each_branch_hears_its_own([(Family::arrive, 0), (Family::arrive, 1)]);
    }

    #[test]
    fn model_what_comes_another_way_to_a_branch_reaches_it() {
        each_branch_hears_its_own([(Family::hand_over, 0), (Family::arrive, 1)]);
    }

    #[test]
    fn model_a_branch_that_is_closed_leaves_the_lead_to_another() {
        each_branch_hears_its_own([(Family::close, 0), (Family::arrive, 1)]);
    }
}
