//! When to light and to put out a light that says whether something is so.
//!
//! What it says changes under a lock. It is put out there, but lit by whoever has left the lock:
//! who is woken by the light comes straight for the lock, and would wait for it if it were held.
//! `models` below walks through the interleavings of that.
//!
//! Under the lock nothing is lit that is not so; and what is so is lit before a call returns that
//! has made it so, or found it so.

use crate::sync::atomic::{AtomicU32, Ordering};
use crate::sync::yield_now;

/// Counts what happens to the light, four steps a round: `DARK`, `DUE`, `LIGHTING`, `LIT`.
#[derive(Debug, Default)]
pub struct Beacon(AtomicU32);

/// What the one who has lit it does while it is lowered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lighter {
    Elsewhere,
    /// He was thrown off his processor by whom that has woken, or is on his way back.
    AtIt,
}

impl Beacon {
    /// It is so from now on. Under the lock, and only if it was not so.
    pub fn raise(&self) {
        let before = self.0.fetch_add(1, Ordering::Relaxed);
        debug_assert_eq!(before % ROUND, DARK, "it was so");
    }

    /// It is not so any more. Under the lock, and only if it was so. `put_out` says whether the
    /// light was on.
    pub fn lower(&self, mut put_out: impl FnMut() -> bool) -> Lighter {
        loop {
            // Acquire: pairs with the release in `settle`, where the light is on by then.
            let at = self.0.load(Ordering::Acquire);
            match at % ROUND {
                // Those who are about to light it find out that they need not.
                DUE => {
                    let next = at.wrapping_add(ROUND - DUE);
                    let (success, failure) = (Ordering::Relaxed, Ordering::Relaxed);
                    if self.0.compare_exchange(at, next, success, failure).is_ok() {
                        return Lighter::Elsewhere;
                    }
                }
                // Whoever does it was overtaken by somebody who did not wait for the light.
                LIGHTING if !put_out() => yield_now(),
                // Who has lit it does not have to say so, and cannot any more.
                LIGHTING => {
                    self.end_round(at);
                    return Lighter::AtIt;
                }
                LIT => {
                    put_out();
                    self.end_round(at);
                    return Lighter::Elsewhere;
                }
                _ => return Lighter::Elsewhere,
            }
        }
    }

    fn end_round(&self, at: u32) {
        // Not a store: loom orders plain stores among other threads' swaps too freely.
        self.0.swap(at.wrapping_add(ROUND - at % ROUND), Ordering::Relaxed);
    }

    /// Has the light lit, if that is due. Behind the lock, by everybody who has found it to be so.
    #[inline]
    pub fn settle(&self, light: impl FnOnce(), is_lit: impl Fn() -> bool) {
        if self.is_unsettled() {
            self.settle_now(light, is_lit);
        }
    }

    #[inline]
    fn is_unsettled(&self) -> bool {
        matches!(self.0.load(Ordering::Relaxed) % ROUND, DUE | LIGHTING)
    }

    #[cold]
    fn settle_now(&self, light: impl FnOnce(), is_lit: impl Fn() -> bool) {
        loop {
            // Not a load: loom has one read what is long over, again and again.
            let at = self.0.fetch_add(0, Ordering::Relaxed);
            match at % ROUND {
                DUE => {
                    if self.step(at) {
                        light();
                        self.step(at.wrapping_add(1));
                        return;
                    }
                }
                // Somebody else is about to light it, or has been thrown off his processor by
                // whom that woke, and this is he.
                LIGHTING if !is_lit() => yield_now(),
                _ => return,
            }
        }
    }

    /// False when something has happened since `at`.
    fn step(&self, at: u32) -> bool {
        // Release: pairs with the acquire in `lower`.
        let (success, failure) = (Ordering::Release, Ordering::Relaxed);
        self.0.compare_exchange(at, at.wrapping_add(1), success, failure).is_ok()
    }
}

const DARK: u32 = 0;
const DUE: u32 = 1;
const LIGHTING: u32 = 2;
const LIT: u32 = 3;
const ROUND: u32 = 4;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// A beacon, its light, and how often that was touched.
    #[derive(Default)]
    struct Tower {
        beacon: Beacon,
        is_lit: Cell<bool>,
        touches: Cell<u32>,
    }

    impl Tower {
        fn set(&self, is_lit: bool) -> bool {
            self.touches.set(self.touches.get() + 1);
            self.is_lit.replace(is_lit)
        }

        fn settle(&self) -> bool {
            self.beacon.settle(|| _ = self.set(true), || self.is_lit.get());
            self.is_lit.get()
        }

        fn lower(&self) -> bool {
            self.lower_beside(Lighter::Elsewhere)
        }

        fn lower_beside(&self, lighter: Lighter) -> bool {
            assert_eq!(self.beacon.lower(|| self.set(false)), lighter);
            self.is_lit.get()
        }
    }

    #[test]
    fn the_light_is_on_from_the_first_settling_until_it_is_lowered() {
        let tower = Tower::default();
        // More often than the numbers last.
        tower.beacon.0.store(u32::MAX - 7, Ordering::Relaxed);
        for round in 1..10 {
            assert!(!tower.settle());
            tower.beacon.raise();
            assert!(!tower.is_lit.get(), "the lock is held");
            assert!(tower.settle() && tower.settle());
            assert!(!tower.lower());
            assert_eq!(tower.touches.get(), 2 * round);
        }
    }

    #[test]
    fn what_is_over_before_anybody_lights_it_costs_nothing() {
        let tower = Tower::default();
        for _ in 0..5 {
            tower.beacon.raise();
            assert!(!tower.lower() && !tower.settle());
        }
        assert_eq!(tower.touches.get(), 0);
    }

    #[test]
    fn who_is_woken_by_the_light_puts_it_out_before_it_was_said_to_be_on() {
        let tower = Tower::default();
        for is_over in [true, false] {
            tower.beacon.raise();
            let light = || {
                tower.set(true);
                if is_over {
                    assert!(!tower.lower_beside(Lighter::AtIt));
                } else {
                    // There is more, and nothing to wait for.
                    tower.settle();
                }
            };
            tower.beacon.settle(light, || tower.is_lit.get());
            assert_eq!(tower.is_lit.get(), !is_over);
        }
        assert!(!tower.lower());
    }

    #[test]
    fn a_light_that_somebody_else_has_put_out_can_be_lowered() {
        let tower = Tower::default();
        tower.beacon.raise();
        assert!(tower.settle());
        tower.is_lit.set(false);
        assert!(!tower.lower());
        tower.beacon.raise();
        assert!(tower.settle());
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use loom::sync::{Arc, Mutex};
    use loom::thread;

    /// A socket in miniature: messages by their senders, and a light while there are any.
    #[derive(Default)]
    struct Model {
        queue: Mutex<Vec<usize>>,
        beacon: Beacon,
        light: Mutex<u32>,
    }

    impl Model {
        fn is_lit(&self) -> bool {
            *self.light.lock().unwrap() > 0
        }

        fn settle(&self) {
            self.beacon.settle(|| *self.light.lock().unwrap() += 1, || self.is_lit());
        }

        fn send(&self, sender: usize) {
            {
                let mut queue = self.queue.lock().unwrap();
                queue.push(sender);
                if queue.len() == 1 {
                    self.beacon.raise();
                }
            }
            self.settle();
            let queue = self.queue.lock().unwrap();
            if queue.contains(&sender) {
                assert!(self.is_lit(), "what was sent is shown");
            }
            self.check(&queue);
        }

        fn recv(&self) -> bool {
            let is_there = {
                let mut queue = self.queue.lock().unwrap();
                let is_there = queue.pop().is_some();
                if is_there && queue.is_empty() {
                    self.beacon.lower(|| std::mem::take(&mut *self.light.lock().unwrap()) > 0);
                }
                self.check(&queue);
                is_there
            };
            self.settle();
            is_there
        }

        /// Under the lock of the queue.
        fn check(&self, queue: &[usize]) {
            assert!(!queue.is_empty() || !self.is_lit(), "nothing is there");
        }
    }

    fn explore(run: impl Fn(&Arc<Model>) + Sync + Send + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(move || {
            let model = Arc::new(Model::default());
            run(&model);
            let queue = model.queue.lock().unwrap();
            assert_eq!(model.is_lit(), !queue.is_empty());
        });
    }

    fn spawn(model: &Arc<Model>, work: impl FnOnce(&Model) + 'static) -> thread::JoinHandle<()> {
        let model = Arc::clone(model);
        thread::spawn(move || work(&model))
    }

    #[test]
    fn model_what_two_send_is_shown_while_it_is_there() {
        explore(|model| {
            let first = spawn(model, |model| model.send(1));
            let second = spawn(model, |model| {
                model.send(2);
                model.recv();
            });
            first.join().unwrap();
            second.join().unwrap();
            assert!(model.recv());
        });
    }

    #[test]
    fn model_one_receives_what_another_is_about_to_show() {
        explore(|model| {
            let sender = spawn(model, |model| {
                model.send(1);
                model.send(2);
            });
            model.recv();
            model.recv();
            sender.join().unwrap();
        });
    }
}
