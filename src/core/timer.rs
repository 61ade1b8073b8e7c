//! How the reactor knows a socket whose protocol has deadlines.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use crate::io::{Handler, Key, LazyReactor, Reactor};

/// The one timer of a socket, which the reactor hears of when the protocol first has a deadline.
#[derive(Debug, Default)]
pub struct Timer(OnceLock<Key>);

impl Timer {
    /// Has `handler` called at that time; it is made when the timer is first set.
    pub fn set(&self, reactor: &Reactor, at: Instant, handler: impl FnOnce() -> Arc<dyn Handler>) {
        let key = *self.0.get_or_init(|| reactor.add(|_| handler()));
        reactor.set_timer(key, Some(at));
    }

    /// The handler is not called any more.
    pub fn forget(&self, reactor: &LazyReactor) {
        if let (Some(key), Ok(reactor)) = (self.0.get(), reactor.get()) {
            reactor.forget(*key);
        }
    }
}
