//! Buffers to read into, shared by all connections: one is needed only during a read.

use std::ops::{Deref, DerefMut};

use parking_lot::Mutex;

/// Most bytes that one read takes.
pub const SIZE: usize = 256 * 1024;

/// A buffer on loan.
pub struct Scratch(Vec<u8>);

/// Borrows a buffer; its content is whatever the last reader left.
#[must_use]
pub fn take() -> Scratch {
    let idle = IDLE.lock().pop();
    Scratch(idle.unwrap_or_else(|| vec![0; SIZE]))
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
        let mut idle = IDLE.lock();
        if idle.len() < IDLE_MAX {
            idle.push(std::mem::take(&mut self.0));
        }
    }
}

static IDLE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());
/// Readers at the same moment that find a buffer ready.
const IDLE_MAX: usize = 4;
