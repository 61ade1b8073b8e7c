//! What threads do at their end, as pthreads have it with their keys.

use std::cell::Cell;

use super::scheduler;

/// What is called, by its place.
type Tidy = [Option<fn()>; PLACES];

thread_local! {
    static TIDY: Cell<Tidy> = const { Cell::new([None; PLACES]) };
}

/// Has `tidy` called when the calling thread ends. Each place holds one. False when the kernel has
/// no memory for that, as the seed will have it.
pub fn at_thread_end(place: usize, tidy: fn()) -> bool {
    let can_be_had = scheduler::happens(REFUSED_ONCE_IN) == Some(false);
    if can_be_had {
        let mut all = TIDY.get();
        all[place] = Some(tidy);
        TIDY.set(all);
    }
    can_be_had
}

/// Calls all, and again those who ask for it meanwhile, but not for ever.
pub(super) fn end() {
    for place in (0..PLACES).cycle().take(PLACES * ROUNDS) {
        let mut all = TIDY.get();
        let tidy = all[place].take();
        TIDY.set(all);
        if let Some(tidy) = tidy {
            tidy();
        }
    }
}

pub const PLACES: usize = 3;
const ROUNDS: usize = 4;
const REFUSED_ONCE_IN: u64 = 8;
