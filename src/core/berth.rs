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
        let was_used = self.landing.is_used();
        stream.pump(Some(&self.landing));
        if self.landing.is_used() && !was_used {
            let _ = self.used_by.set(Arc::clone(connection));
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
