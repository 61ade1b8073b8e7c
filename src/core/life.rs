//! Where a socket is in its life.

use crate::sync::atomic::{AtomicU8, Ordering};

/// The life of one socket, as one number that can be looked at without a lock.
///
/// It enters [`Stage::Closing`] under the socket's lock, so that who holds the lock and finds it
/// open knows that nothing has been given up yet. It becomes [`Stage::Broken`] at any moment, but
/// only out of [`Stage::Open`]: what is closing goes on closing.
#[derive(Debug, Default)]
pub struct Life(AtomicU8);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    Open,
    /// A bug was found while it was used; it is of no use any more, except for being closed.
    Broken,
    Closing,
}

/// What a change of the life has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    First,
    /// Somebody else was faster.
    Late,
}

impl Life {
    /// Whether calls may use the socket.
    #[inline]
    pub fn is_open(&self) -> bool {
        self.0.load(Ordering::Relaxed) == Stage::Open as u8
    }

    pub fn is_closing(&self) -> bool {
        self.0.load(Ordering::Relaxed) == Stage::Closing as u8
    }

    /// Under the socket's lock, which orders this with what is done under it.
    pub fn begin_closing(&self) -> Change {
        match self.0.swap(Stage::Closing as u8, Ordering::Relaxed) {
            before if before == Stage::Closing as u8 => Change::Late,
            _ => Change::First,
        }
    }

    pub fn break_down(&self) -> Change {
        let (from, to) = (Stage::Open as u8, Stage::Broken as u8);
        match self.0.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => Change::First,
            Err(_) => Change::Late,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_breaks_or_closes_once() {
        let life = Life::default();
        assert!(life.is_open() && !life.is_closing());
        assert_eq!(life.break_down(), Change::First);
        assert!(!life.is_open() && !life.is_closing());
        assert_eq!(life.break_down(), Change::Late);
        assert_eq!(life.begin_closing(), Change::First);
        assert!(!life.is_open() && life.is_closing());
        assert_eq!(life.begin_closing(), Change::Late);
    }

    #[test]
    fn what_is_closing_does_not_break() {
        let life = Life::default();
        assert_eq!(life.begin_closing(), Change::First);
        assert_eq!(life.break_down(), Change::Late);
        assert!(life.is_closing());
    }
}
