//! One end of a conversation between two machines in a test.

use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};

use super::config::Config;
use super::room::Room;
use super::session::Session;
use super::table::*;

/// A session, and what it has encrypted of what its user says.
pub struct End {
    pub session: Session,
    pub outbox: Vec<u8>,
}

impl End {
    pub fn new(config: &Config, name: &[u8]) -> End {
        End { session: Session::new(config, name).unwrap(), outbox: Vec::new() }
    }

    pub fn feed(&mut self, ciphertext: &[u8]) {
        let mut bytes = vec![0; self.session.held()];
        bytes.extend_from_slice(ciphertext);
        self.session.feed(&mut bytes, &mut Room::none());
    }

    pub fn put(&mut self, plaintext: &[u8]) -> usize {
        while self.session.state() & HAS_CIPHERTEXT != 0 {
            let mut room = [0; 100];
            let count = self.session.emit(&mut room);
            self.outbox.extend_from_slice(&room[..count]);
        }
        let records = plaintext.len().div_ceil(RECORD);
        let mut room = vec![0; plaintext.len() + records * AROUND];
        let count = self.session.put(plaintext, &mut room);
        self.outbox.extend_from_slice(&room[..count]);
        count
    }

    pub fn emit(&mut self, room: &mut [u8]) -> usize {
        if self.outbox.is_empty() {
            return self.session.emit(room);
        }
        let count = self.outbox.len().min(room.len());
        room[..count].copy_from_slice(&self.outbox[..count]);
        self.outbox.drain(..count);
        count
    }

    pub fn take(&mut self, room: &mut [u8]) -> usize {
        let mut cells = vec![MaybeUninit::uninit(); room.len()];
        let (first, second) = cells.split_at_mut(room.len() / 3);
        let mut places = Room::new(first, second);
        self.session.take(&mut places);
        let count = places.filled();
        room[..count].copy_from_slice(&written(&cells[..count]));
        count
    }
}

/// What cells hold that have been written to.
#[allow(unsafe_code, reason = "room need not have been written to")]
pub fn written(cells: &[MaybeUninit<u8>]) -> Vec<u8> {
    // SAFETY: the tests ask only for cells that have been filled.
    cells.iter().map(|cell| unsafe { cell.assume_init() }).collect()
}

impl Deref for End {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl DerefMut for End {
    fn deref_mut(&mut self) -> &mut Session {
        &mut self.session
    }
}
