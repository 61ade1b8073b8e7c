//! Buffers to read into, and to encrypt into, shared by all connections: one is needed only during
//! a read or a write.
//!
//! A big one begins 64 bytes into a page, as the payload of a big chunk does: copies to small
//! offsets of a page are many times slower on some processors.
//!
//! Nobody waits for the lock: whoever holds it may have been interrupted by a signal handler that
//! calls exit(3) and never goes on, and what is left to be written then needs a buffer. Who finds
//! it held makes do with fresh memory, or gives his own back.

use std::ops::{Deref, DerefMut, Range};

use super::reader::READ_MAX as SIZE;
use crate::memory;
use crate::sync::{Mutex, MutexGuard, Rank, spin_loop};
use crate::sys::PerProcess;

/// A buffer on loan.
pub struct Scratch {
    memory: Vec<u8>,
    place: Range<usize>,
}

/// Borrows a buffer; its content is whatever the last reader left.
#[must_use]
pub fn take() -> Scratch {
    let idle = idle().and_then(|mut idle| idle.pop());
    Scratch::of(idle.unwrap_or_else(fresh))
}

fn fresh() -> Vec<u8> {
    let mut memory = Vec::new();
    // With little memory left, reading goes on in small steps.
    let is_there = memory::reserve_exact(&mut memory, SIZE + PAGE).is_ok();
    memory.resize(if is_there { SIZE + PAGE } else { SIZE_WITHOUT_MEMORY }, 0);
    memory
}

impl Scratch {
    fn of(memory: Vec<u8>) -> Scratch {
        let place = if memory.len() < SIZE + PAGE {
            0..memory.len()
        } else {
            let start = (PAGE + PAGE_OFFSET - memory.as_ptr().addr() % PAGE) % PAGE;
            start..start + SIZE
        };
        Scratch { memory, place }
    }
}

impl Deref for Scratch {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.memory[self.place.clone()]
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.place.clone()]
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let Some(mut idle) = idle() else { return };
        let is_full_size = self.len() == SIZE;
        if is_full_size && idle.len() < IDLE_MAX && memory::reserve(&mut *idle, 1).is_ok() {
            idle.push(std::mem::take(&mut self.memory));
        }
    }
}

/// Those that nobody uses, unless they are locked for longer than somebody needs who is there.
fn idle() -> Option<MutexGuard<'static, Vec<Vec<u8>>>> {
    (0..LOOKS).find_map(|_| {
        IDLE.get().try_lock().or_else(|| {
            spin_loop();
            None
        })
    })
}

const LOOKS: u32 = 64;
const SIZE_WITHOUT_MEMORY: usize = 4 * 1024;
const PAGE: usize = 4096;
const PAGE_OFFSET: usize = 64;
static IDLE: PerProcess<Mutex<Vec<Vec<u8>>>> =
    PerProcess::new(|| Mutex::new(Rank::Scratch, Vec::new()));
/// Readers at the same moment that find a buffer ready.
const IDLE_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_a_readers_alone_while_he_has_it() {
        let mut all: Vec<Scratch> = (0..2 * IDLE_MAX).map(|_| take()).collect();
        for (number, buffer) in all.iter_mut().enumerate() {
            assert_eq!(buffer.len(), SIZE);
            assert_eq!(buffer.as_ptr().addr() % PAGE, PAGE_OFFSET);
            buffer.fill(number as u8);
        }
        for (number, buffer) in all.iter().enumerate() {
            assert!(buffer.iter().all(|byte| *byte == number as u8));
        }
    }

    /// As when the thread that holds it never goes on.
    #[test]
    fn nobody_waits_for_the_lock() {
        let held = IDLE.get().lock();
        let other = std::thread::spawn(|| {
            let mut buffer = take();
            buffer.fill(7);
            buffer.len()
        });
        assert_eq!(other.join().unwrap(), SIZE);
        drop(held);
    }

    #[test]
    fn no_more_than_a_few_stay_and_none_that_is_small() {
        drop((0..2 * IDLE_MAX).map(|_| take()).collect::<Vec<_>>());
        drop(Scratch::of(vec![0; SIZE_WITHOUT_MEMORY]));
        // Others may have some on loan at this moment.
        let idle = IDLE.get().lock();
        assert!(idle.len() <= IDLE_MAX);
        assert!(idle.iter().all(|memory| memory.len() == SIZE + PAGE));
    }
}
