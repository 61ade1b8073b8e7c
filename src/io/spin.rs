//! Looking again and again before one sleeps, for as long as that pays.

use std::time::{Duration, Instant};

use crate::sync::{
    atomic::{AtomicU32, AtomicUsize, Ordering},
    spin_loop, yield_now,
};
use crate::sys::{self, Inherited};

/// Whether waiting starts with a little spinning: every failure doubles the number of waits that
/// do without, every success halves it.
#[derive(Debug, Default)]
pub struct Spin {
    skips: AtomicU32,
    penalty: AtomicU32,
}

impl Spin {
    /// Looks again and again for a short while, if that has paid lately.
    pub fn try_spin(&self, look: impl FnMut() -> bool) -> bool {
        self.is_due() && self.spin(look)
    }

    /// The same, and before each look lets those run who would like to on this processor.
    pub fn try_spin_giving_way(&self, mut look: impl FnMut() -> bool) -> bool {
        if !self.is_due() {
            return false;
        }
        let began = sys::now();
        let has_found = self.spin(|| {
            yield_now();
            look()
        });
        if Spin::is_long(sys::now().duration_since(began)) {
            // Who runs here does so for as long as he is let: a sleeper would be woken sooner.
            self.set_penalty(SKIPS_MAX);
        }
        has_found
    }

    /// Whether this wait starts with letting those run who would like to, before it is slept: where
    /// there is one processor, if that has paid lately. What takes turns in one thread after the
    /// other need not put itself to sleep and be woken each time. Who has hardly ever waited sleeps
    /// at once, because those who would like to run may keep the processor for long.
    pub fn gives_way(&self) -> bool {
        usable_cpus() < 2 && self.may_give_way()
    }

    /// Whether the next wait starts so, as far as one can tell.
    pub fn will_give_way(&self) -> bool {
        let is_due = self.skips.load(Ordering::Relaxed) == 0;
        usable_cpus() < 2 && is_due && self.penalty.load(Ordering::Relaxed) > 0
    }

    /// Looks in the way that is due, if any is, for one to whom no signal comes.
    pub fn look_before_sleep(&self, mut look: impl FnMut() -> bool) -> bool {
        self.try_spin_giving_way(&mut look) || self.gives_way() && self.give_way(look)
    }

    /// Lets those run who would like to before each of a few looks. Behind [`Spin::gives_way`], for
    /// one to whom no signal comes.
    pub fn give_way(&self, look: impl FnMut() -> bool) -> bool {
        self.take_turns(sys::now, look)
    }

    fn take_turns(&self, now: impl Fn() -> Instant, mut look: impl FnMut() -> bool) -> bool {
        let began = now();
        let mut took = Duration::ZERO;
        let has_found = (0..TURNS).any(|_| {
            if Spin::is_long(took) {
                return false;
            }
            yield_now();
            let has_found = look();
            took = now().duration_since(began);
            has_found
        });
        self.judge(has_found, took);
        has_found
    }

    fn may_give_way(&self) -> bool {
        if self.penalty.load(Ordering::Relaxed) == 0 {
            self.penalty.store(1, Ordering::Relaxed);
            self.skips.store(WAITS_BEFORE, Ordering::Relaxed);
            return false;
        }
        let skips = self.skips.load(Ordering::Relaxed);
        if skips > 0 {
            self.skips.store(skips - 1, Ordering::Relaxed);
        }
        skips == 0
    }

    /// Whether somebody has kept the processor meanwhile who runs for as long as he is let.
    #[must_use]
    pub fn is_long(took: Duration) -> bool {
        took > GIVEN_AWAY
    }

    /// Others have had their turns, for so long.
    pub fn judge(&self, has_found: bool, took: Duration) {
        let penalty = self.penalty.load(Ordering::Relaxed);
        if Spin::is_long(took) {
            self.set_penalty((penalty * 2 + 1).clamp(SKIPS_LONG, SKIPS_LONGEST));
        } else if has_found {
            self.penalty.store((penalty / 2).max(1), Ordering::Relaxed);
        } else {
            self.set_penalty((penalty * 2 + 1).min(SKIPS_MAX));
        }
    }

    /// Whether this wait starts with looking.
    fn is_due(&self) -> bool {
        if usable_cpus() < 2 {
            return false;
        }
        let skips = self.skips.load(Ordering::Relaxed);
        if skips > 0 {
            self.skips.store(skips - 1, Ordering::Relaxed);
        }
        skips == 0
    }

    fn spin(&self, mut look: impl FnMut() -> bool) -> bool {
        let began = sys::now();
        let penalty = self.penalty.load(Ordering::Relaxed);
        loop {
            if look() {
                self.penalty.store(penalty / 2, Ordering::Relaxed);
                return true;
            }
            if sys::now().duration_since(began) >= SPIN_MAX {
                break;
            }
            (0..PAUSES).for_each(|_| spin_loop());
        }
        self.set_penalty((penalty * 2 + 1).min(SKIPS_MAX));
        false
    }

    #[cfg(test)]
    pub fn penalty(&self) -> u32 {
        self.penalty.load(Ordering::Relaxed)
    }

    /// Whether looking is of use at all.
    pub fn can_pay() -> bool {
        usable_cpus() >= 2
    }

    /// So many waits do without looking from now on.
    fn set_penalty(&self, penalty: u32) {
        self.penalty.store(penalty, Ordering::Relaxed);
        self.skips.store(penalty, Ordering::Relaxed);
    }
}

/// On one processor the one that is waited for could not run meanwhile.
fn usable_cpus() -> usize {
    match USABLE_CPUS.get().load(Ordering::Relaxed) {
        0 => {
            let found = sys::usable_cpus();
            USABLE_CPUS.get().store(found, Ordering::Relaxed);
            found
        }
        known => known,
    }
}

/// What [`usable_cpus`] has found; 0 while nobody has asked. Any thread may find out: in a forked
/// child there is none of those that were about to.
static USABLE_CPUS: Inherited<AtomicUsize> = Inherited::new(AtomicUsize::new(0));
/// About what sleeping and being woken on another processor costs.
const SPIN_MAX: Duration = Duration::from_micros(50);
/// What is so long in coming has been away from the processor.
const GIVEN_AWAY: Duration = Duration::from_millis(1);
const SKIPS_MAX: u32 = 255;
/// Where somebody computes beside us, a turn costs milliseconds.
const SKIPS_LONG: u32 = 0xfff;
const SKIPS_LONGEST: u32 = 0xffff;
/// A socket has to wait so often before it gives way.
const WAITS_BEFORE: u32 = 63;
/// How often others have their turns before it is slept.
const TURNS: u32 = 2;
/// Pauses between two looks.
const PAUSES: u32 = 8;

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn spinning_that_does_not_pay_becomes_rare_and_comes_back_when_it_does() {
        let spin = Spin::default();
        if usable_cpus() < 2 {
            assert!(!spin.try_spin(|| panic!("it would keep the other one from running")));
            return;
        }
        let looks = |finds: bool| {
            let mut count = 0_u32;
            let found = spin.try_spin(|| {
                count += 1;
                finds
            });
            assert_eq!(found, finds && count > 0);
            count
        };
        for skips in [1, 3, 7, 15, 31, 63, 127, 255, 255] {
            assert!(looks(false) > 0);
            (0..skips).for_each(|_| assert_eq!(looks(true), 0));
        }
        // A success halves the penalty of the next failure.
        assert_eq!(looks(true), 1);
        assert!(looks(false) > 0);
        assert_eq!(spin.skips.load(Ordering::Relaxed), 255);
        spin.skips.store(0, Ordering::Relaxed);
        (0..8).for_each(|_| assert_eq!(looks(true), 1));
        assert!(looks(false) > 0);
        assert_eq!(spin.skips.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn who_waits_often_gives_way_before_he_sleeps_for_as_long_as_that_pays() {
        let spin = Spin::default();
        let waits_until_due = || (0_u32..).take_while(|_| !spin.may_give_way()).count();
        let at_once = Duration::from_micros(2);
        assert_eq!(waits_until_due(), 64);
        for _ in 0..100 {
            spin.judge(true, at_once);
            assert!(spin.may_give_way());
        }
        for skips in [3, 7, 15, 31, 63, 127, 255, 255] {
            spin.judge(false, at_once);
            assert_eq!(waits_until_due(), skips);
        }
        // Somebody else computes.
        for skips in [0xfff, 0x1fff, 0x3fff, 0x7fff, 0xffff, 0xffff] {
            spin.judge(true, 2 * GIVEN_AWAY);
            assert_eq!(waits_until_due(), skips);
        }
    }

    #[test]
    fn others_have_a_few_turns_and_none_behind_a_long_one() {
        let (spin, began) = (Spin::default(), sys::now());
        let looks = |finds_at: u32, turn: Duration| {
            let count = Cell::new(0);
            let now = || began + turn * count.get();
            let has_found = spin.take_turns(now, || {
                count.set(count.get() + 1);
                count.get() == finds_at
            });
            (has_found, count.get(), spin.penalty())
        };
        let short = GIVEN_AWAY / (TURNS + 1);
        assert_eq!(looks(1, short), (true, 1, 1));
        assert_eq!(looks(TURNS, short), (true, TURNS, 1));
        assert_eq!(looks(0, short), (false, TURNS, 3));
        assert_eq!(looks(2, 2 * GIVEN_AWAY), (false, 1, SKIPS_LONG));
        assert_eq!(looks(1, 2 * GIVEN_AWAY), (true, 1, 2 * SKIPS_LONG + 1));
    }

    #[test]
    fn where_others_take_the_processor_for_long_looking_becomes_rare_at_once() {
        let spin = Spin::default();
        if !Spin::can_pay() {
            return;
        }
        let look_late = || {
            std::thread::sleep(2 * GIVEN_AWAY);
            true
        };
        assert!(spin.try_spin_giving_way(look_late));
        for _ in 0..SKIPS_MAX {
            assert!(!spin.try_spin_giving_way(|| panic!("not now")));
        }
        assert!(spin.try_spin_giving_way(|| true));
    }
}
