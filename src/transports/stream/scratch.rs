//! Buffers to read into, shared by all connections: one is needed only during a read.

use std::ops::{Deref, DerefMut};

use super::reader::READ_MAX as SIZE;
use crate::memory;
use crate::sync::{Mutex, Rank};
use crate::sys::PerProcess;

/// A buffer on loan.
pub struct Scratch(Vec<u8>);

/// Borrows a buffer; its content is whatever the last reader left.
#[must_use]
pub fn take() -> Scratch {
    let idle = IDLE.get().lock().pop();
    Scratch(idle.unwrap_or_else(fresh))
}

fn fresh() -> Vec<u8> {
    let mut buffer = Vec::new();
    // With little memory left, reading goes on in small steps.
    let is_there = memory::reserve_exact(&mut buffer, SIZE).is_ok();
    let size = if is_there { SIZE } else { SIZE_WITHOUT_MEMORY };
    buffer.resize(size, 0);
    buffer
}

impl Deref for Scratch {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let mut idle = IDLE.get().lock();
        let is_full_size = self.0.len() == SIZE;
        if is_full_size && idle.len() < IDLE_MAX && memory::reserve(&mut *idle, 1).is_ok() {
            idle.push(std::mem::take(&mut self.0));
        }
    }
}

const SIZE_WITHOUT_MEMORY: usize = 4 * 1024;
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
            buffer.fill(number as u8);
        }
        for (number, buffer) in all.iter().enumerate() {
            assert!(buffer.iter().all(|byte| *byte == number as u8));
        }
    }

    #[test]
    fn no_more_than_a_few_stay_and_none_that_is_small() {
        drop((0..2 * IDLE_MAX).map(|_| take()).collect::<Vec<_>>());
        drop(Scratch(vec![0; SIZE_WITHOUT_MEMORY]));
        // Others may have some on loan at this moment.
        let idle = IDLE.get().lock();
        assert!(idle.len() <= IDLE_MAX);
        assert!(idle.iter().all(|buffer| buffer.len() == SIZE));
    }
}
