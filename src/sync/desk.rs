//! Desks at a lock, for readers who come again and again: each belongs to one thread for good, who
//! notes there that he reads. That takes no locked instruction, and nobody else writes there.
//!
//! Who has a desk says that he reads and then looks whether the desks are closed; a writer closes
//! them and then looks who reads. The fence of the reader is the light one of `barrier.rs`: a
//! writer pays for both. Where there is none that costs less than a locked instruction, nobody gets
//! a desk.

use super::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use super::barrier;
#[cfg(not(any(portable, loom)))]
use super::futex::Futex;
#[cfg(all(portable, not(loom)))]
use super::lobby::Futex;
#[cfg(loom)]
use super::model::Futex;
use super::reader::Reader;

/// The desks of one lock.
#[derive(Debug, Default)]
pub struct Desks {
    /// A writer writes, or waits until nobody is at a desk.
    are_closed: AtomicBool,
    /// So many times somebody has come who had none.
    strangers: AtomicU8,
    desks: [Desk; DESKS],
}

#[derive(Debug, Default)]
struct Desk {
    /// The thread that has it, or nobody yet.
    whose: AtomicUsize,
    /// How many times he reads. Only he changes it.
    visits: Futex,
}

impl Desks {
    #[cfg(not(loom))]
    pub const fn new() -> Desks {
        let (are_closed, strangers) = (AtomicBool::new(false), AtomicU8::new(0));
        Desks { are_closed, strangers, desks: [const { Desk::new() }; DESKS] }
    }

    /// False when he has to go another way. Who is there already may: no writer is let in before
    /// those at desks have left.
    #[inline]
    pub fn enter(&self, reader: Reader) -> bool {
        let Some(desk) = self.of(reader) else { return false };
        let visits = desk.visits.load(Ordering::Relaxed);
        desk.visits.store(visits + 1, Ordering::Relaxed);
        // Pairs with the fence in `close`: either we see that they are closed, or the writer sees
        // that somebody is there.
        barrier::light();
        // Acquire: pairs with the release in `open`.
        if !self.are_closed.load(Ordering::Acquire) {
            return true;
        }
        self.leave_desk(desk, visits);
        false
    }

    /// False when he is not at a desk.
    #[inline]
    pub fn leave(&self, reader: Reader) -> bool {
        let Some(desk) = self.of(reader) else { return false };
        let visits = desk.visits.load(Ordering::Relaxed);
        let is_there = visits > 0;
        if is_there {
            self.leave_desk(desk, visits - 1);
        }
        is_there
    }

    #[inline]
    fn leave_desk(&self, desk: &Desk, visits: u32) {
        // Release: pairs with the acquire in `visits`.
        desk.visits.store(visits, Ordering::Release);
        // Pairs with the fence in `close`: either the writer sees that nobody is there, or we see
        // that he waits.
        barrier::light();
        if self.are_closed.load(Ordering::Relaxed) {
            desk.wake();
        }
    }

    #[inline]
    fn of(&self, reader: Reader) -> Option<&Desk> {
        let number = reader.number()?;
        self.desks.iter().find(|desk| desk.whose.load(Ordering::Relaxed) == number)
    }

    /// Somebody reads who came another way, and keeps writers out meanwhile. If he comes often, he
    /// has a desk the next time.
    #[inline]
    pub fn note_stranger(&self, reader: Reader) {
        // Some may get lost: it does not matter who counts.
        let before = self.strangers.load(Ordering::Relaxed);
        if before < OFTEN {
            self.strangers.store(before + 1, Ordering::Relaxed);
        } else if before == OFTEN {
            self.take_desk(reader);
        }
    }

    #[cold]
    fn take_desk(&self, reader: Reader) {
        let relaxed = Ordering::Relaxed;
        let take = |number| {
            let is_his =
                |desk: &Desk| desk.whose.compare_exchange(0, number, relaxed, relaxed).is_ok();
            // He has one if he has found it closed.
            self.of(reader).is_some() || self.desks.iter().any(is_his)
        };
        let has_one = barrier::is_light() && reader.number().is_some_and(take);
        // Where there is none to be had nobody has to ask again.
        let strangers = if has_one { 0 } else { OFTEN + 1 };
        self.strangers.store(strangers, relaxed);
    }

    /// From now on everybody goes another way, and those who were there have left. Returns how many
    /// desks are taken: if there are more when the lock is held, it has to be done again.
    pub fn close(&self) -> usize {
        let taken = self.begin_closing();
        if taken > 0 {
            self.desks.iter().for_each(Desk::wait);
        }
        taken
    }

    /// The same, if nobody is there. Else they stay open.
    pub fn try_close(&self) -> Option<usize> {
        let taken = self.begin_closing();
        let is_anybody_there = self.desks.iter().any(|desk| desk.visits() > 0);
        if is_anybody_there {
            self.open();
        }
        (!is_anybody_there).then_some(taken)
    }

    /// Where no desk is taken there is no fence, and nobody must be waited for: who is given one
    /// now may not see that they are closed.
    fn begin_closing(&self) -> usize {
        self.are_closed.store(true, Ordering::Relaxed);
        let taken = self.taken();
        if taken > 0 {
            // Pairs with the fences in `enter` and `leave_desk`.
            barrier::heavy();
        }
        taken
    }

    /// How many desks are taken. Under the lock that is no less for a moment.
    pub fn taken(&self) -> usize {
        let whose = |desk: &Desk| desk.whose.load(Ordering::Relaxed);
        self.desks.iter().filter(|desk| whose(desk) != 0).count()
    }

    /// The writer has done what he wanted. Whoever comes now has not come before.
    pub fn open(&self) {
        self.strangers.store(0, Ordering::Relaxed);
        // Release: pairs with the acquire in `enter`.
        self.are_closed.store(false, Ordering::Release);
    }
}

impl Desk {
    #[cfg(not(loom))]
    const fn new() -> Desk {
        Desk { whose: AtomicUsize::new(0), visits: Futex::new(0) }
    }

    fn visits(&self) -> u32 {
        // Acquire: pairs with the release in `leave_desk`.
        self.visits.load(Ordering::Acquire)
    }

    fn wait(&self) {
        loop {
            let visits = self.visits();
            if visits == 0 {
                return;
            }
            self.visits.wait(visits);
        }
    }

    #[cold]
    fn wake(&self) {
        self.visits.wake_all();
    }
}

/// Two threads often have a socket in common, one that sends and one that receives.
const DESKS: usize = 2;
/// Who makes a socket and connects it comes less often, and needs no desk.
const OFTEN: u8 = if cfg!(loom) { 0 } else { 32 };

#[cfg(all(test, not(loom)))]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn who_comes_often_gets_a_desk_where_that_is_worth_it() {
        let (desks, me) = (Desks::new(), Reader::me());
        (0..OFTEN).for_each(|_| desks.note_stranger(me));
        assert!(!desks.enter(me) && !desks.leave(me));
        desks.note_stranger(me);
        let has_one = barrier::is_light() && me.number().is_some();
        assert_eq!((desks.enter(me), desks.taken()), (has_one, usize::from(has_one)));
        assert_eq!(
            (desks.enter(me), desks.leave(me), desks.leave(me)),
            (has_one, has_one, has_one)
        );
        assert!(!desks.leave(me));
    }

    #[test]
    fn a_thread_without_a_desk_is_not_at_one_and_all_are_given_away_once() {
        let desks = Desks::new();
        let come = || (0..=OFTEN).for_each(|_| desks.note_stranger(Reader::me()));
        come();
        thread::scope(|scope| {
            for _ in 0..DESKS {
                // All at once, so that each is somebody else.
                scope.spawn(|| {
                    come();
                    let can_be_had = barrier::is_light() && Reader::me().number().is_some();
                    while desks.taken() < DESKS && can_be_had {
                        come();
                        thread::yield_now();
                    }
                });
            }
        });
        assert!(desks.taken() <= DESKS);
    }

    #[test]
    fn closed_desks_send_everybody_another_way_until_they_are_open() {
        let (desks, me) = (Desks::new(), Reader::me());
        desks.desks[0].whose.store(me.number().unwrap_or(1), Ordering::Relaxed);
        let has_one = me.number().is_some();
        assert_eq!(desks.enter(me), has_one);
        assert_eq!(desks.try_close(), (!has_one).then_some(1));
        assert_eq!(desks.leave(me), has_one);
        assert_eq!((desks.try_close(), desks.enter(me)), (Some(1), false));
        desks.open();
        assert_eq!(desks.enter(me), has_one);
        thread::scope(|scope| {
            let closing = scope.spawn(|| desks.close());
            while !desks.are_closed.load(Ordering::SeqCst) {
                thread::yield_now();
            }
            assert!(!desks.enter(me), "also who is there goes another way");
            assert_eq!(desks.leave(me), has_one);
            assert_eq!(closing.join().unwrap(), 1);
        });
        assert!(!desks.enter(me));
    }
}
