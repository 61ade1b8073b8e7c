//! Lingering behind the back of who closes: for callers that must not be held up.
//!
//! A thread writes what their sockets have left, side by side, and ends their connections when that
//! is done or their time is over. It is there while it has something to do, and so is the reactor
//! that the connections have, even if the last socket was closed meanwhile. The end of the process
//! finds the connections on the list of those that are shown, and waits for all of them together.

use std::sync::Arc;
use std::time::Duration;

use super::linger::{self, Manner, Shown};
use crate::io::LazyReactor;
use crate::sync::{Mutex, Rank};
use crate::sys::{self, PerProcess, Thread};

/// Ends all of them, in the manner that each has.
pub fn end(all: Vec<Shown>) {
    if all.is_empty() {
        return;
    }
    let is_awaited = |one: &Shown| one.manner == Manner::InCall;
    let (awaited, others): (Vec<_>, Vec<_>) = all.into_iter().partition(is_awaited);
    // Those first that are not waited for: this writes what can be written at once.
    leave(linger::end_for(others, Duration::ZERO));
    linger::end(&awaited);
}

fn leave(left: Vec<Shown>) {
    if left.is_empty() {
        return;
    }
    let must_start = {
        let mut drains = DRAINS.get().lock();
        drains.fresh.extend(left);
        !std::mem::replace(&mut drains.is_running, true)
    };
    if must_start && start().is_err() {
        // Without a thread nobody can be spared.
        run();
    }
}

/// Stops a reactor when no connection that lingers in the background may have it any more.
pub fn stop_when_done(reactor: Arc<LazyReactor>) {
    {
        let mut drains = DRAINS.get().lock();
        if drains.is_running {
            drains.reactors.push(reactor);
            return;
        }
    }
    reactor.stop();
}

struct Drains {
    /// What the thread has not seen yet.
    fresh: Vec<Shown>,
    reactors: Vec<Arc<LazyReactor>>,
    is_running: bool,
}

static DRAINS: PerProcess<Mutex<Drains>> = PerProcess::new(|| {
    let drains = Drains { fresh: Vec::new(), reactors: Vec::new(), is_running: false };
    Mutex::new(Rank::Draining, drains)
});

fn start() -> std::io::Result<()> {
    Thread::start(c"spmsg-linger", sys::STACK_SIZE, run).map(drop)
}

fn run() {
    let mut all = Vec::new();
    loop {
        let reactors = {
            let mut drains = DRAINS.get().lock();
            all.append(&mut drains.fresh);
            if all.is_empty() {
                drains.is_running = false;
                std::mem::take(&mut drains.reactors)
            } else {
                Vec::new()
            }
        };
        if all.is_empty() {
            reactors.iter().for_each(|reactor| reactor.stop());
            return;
        }
        all = linger::end_for(all, LOOK);
    }
}

/// How often the thread looks for others that were left meanwhile.
const LOOK: Duration = Duration::from_millis(10);
