//! The memory that a caller has for a message, and what has been read into it.

use std::cell::OnceCell;
use std::sync::Arc;

use crate::message::Landing;
use crate::transports::Connection;

/// Memory for a big message, for the time of one step of a call. Where one has landed there that
/// the call has not received, dropping this moves it elsewhere.
pub struct Berth {
    landing: Landing,
    /// Whose message was read into it.
    used_by: OnceCell<Arc<dyn Connection>>,
}

impl Berth {
    #[must_use]
    pub fn new(landing: Landing) -> Berth {
        Berth { landing, used_by: OnceCell::new() }
    }

    /// Reads from the stream of `connection`.
    pub(super) fn pump(&self, connection: &Arc<dyn Connection>) {
        let Some(stream) = connection.stream() else { return };
        let _noted = Noted { berth: self, connection };
        stream.pump(Some(&self.landing));
    }
}

/// However a read has ended, also by a panic, it is known where a message has landed.
struct Noted<'a> {
    berth: &'a Berth,
    connection: &'a Arc<dyn Connection>,
}

impl Drop for Noted<'_> {
    fn drop(&mut self) {
        if self.berth.landing.is_used() {
            self.berth.used_by.get_or_init(|| Arc::clone(self.connection));
        }
    }
}

impl Drop for Berth {
    fn drop(&mut self) {
        if let Some(stream) = self.used_by.get().and_then(|connection| connection.stream()) {
            stream.reclaim();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::core::fixtures::FakeConnection;

    /// Reads with each of them in turn, into the same memory.
    fn read(connections: &[Arc<FakeConnection>]) {
        let mut memory = [0u8; 8];
        let berth = Berth::new(Landing::of(&mut memory));
        for connection in connections {
            let connection = Arc::clone(connection) as Arc<dyn Connection>;
            let _ = catch_unwind(AssertUnwindSafe(|| berth.pump(&connection)));
        }
    }

    #[test]
    fn only_who_read_into_it_is_asked_back() {
        let nothing = FakeConnection::read_by(|_| ());
        let big = FakeConnection::read_by(|landing| drop(landing.unwrap().room(5)));
        let late = FakeConnection::read_by(|landing| assert!(landing.unwrap().room(1).is_none()));
        read(&[Arc::clone(&nothing), Arc::clone(&big), Arc::clone(&late)]);
        assert_eq!([nothing.reclaimed(), big.reclaimed(), late.reclaimed()], [0, 1, 0]);
    }

    #[test]
    fn what_landed_before_a_panic_is_asked_back() {
        let connection = FakeConnection::read_by(|landing| {
            let _room = landing.unwrap().room(5);
            panic!("on purpose");
        });
        read(&[Arc::clone(&connection)]);
        assert_eq!(connection.reclaimed(), 1);
    }
}
