//! Who looks after the big blocks that are kept for the next who needs some: the reactor, which
//! gives them back when they have rested.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::socket::Socket;
use crate::io::{Handler, Key, Reactor};
use crate::memory;
use crate::sys::{self, Event};

/// While it lives, blocks are kept.
struct Keeper {
    key: Key,
    reactor: Weak<Reactor>,
}

impl Socket {
    /// Has blocks kept from now on if one that somebody gave back would have been.
    #[inline]
    pub(super) fn look_after_stock(&self) {
        if memory::stock().wants_to_open() {
            self.open_stock();
        }
    }

    #[cold]
    fn open_stock(&self) {
        if !memory::stock().begin_opening() || self.life.is_closing() {
            return;
        }
        // Without a reactor or memory for it there is none to look, and nothing is kept.
        if let Ok(reactor) = self.context.reactor.get() {
            keep(reactor);
        }
    }
}

fn keep(reactor: &Arc<Reactor>) {
    let weak = Arc::downgrade(reactor);
    let added = reactor.add(|key| Arc::new(Keeper { key, reactor: weak }));
    if let Ok(key) = added {
        memory::stock().open();
        reactor.set_timer(key, Some(sys::now() + REST));
    }
}

impl Handler for Keeper {
    fn ready(&self, _event: Event) {}

    fn timeout(&self, now: Instant) {
        let Some(reactor) = self.reactor.upgrade() else { return };
        if memory::stock().look() {
            reactor.set_timer(self.key, Some(now + REST));
        } else {
            reactor.forget(self.key);
        }
    }

    fn broken(&self) {
        memory::stock().close();
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        memory::stock().close();
    }
}

/// Blocks of which none was used for so long are given back, all of them.
const REST: Duration = Duration::from_secs(1);
