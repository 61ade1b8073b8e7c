//! Ending connections: what was accepted is delivered first, as far as the linger allows.

use std::sync::Arc;
use std::time::Instant;

use crate::sys::{self, WaitFor};
use crate::transports::Connection;

/// A connection that may take until its deadline to end.
pub struct Lingering {
    pub connection: Arc<dyn Connection>,
    pub deadline: Instant,
}

/// Ends all of them, side by side.
pub fn end(all: &[Lingering]) {
    write_out(all);
    all.iter().for_each(|one| one.connection.close(one.deadline));
}

/// Writes until nothing is left to write, or until each one's deadline.
fn write_out(all: &[Lingering]) {
    loop {
        all.iter().for_each(|one| one.connection.write_out());
        let now = Instant::now();
        let has_more = |one: &&Lingering| one.deadline > now && one.connection.has_unwritten();
        let unwritten: Vec<_> = all.iter().filter(has_more).collect();
        let Some(next_deadline) = unwritten.iter().map(|one| one.deadline).min() else { return };
        let descriptors = unwritten.iter().filter_map(|one| one.connection.descriptor());
        let waits = descriptors.map(|descriptor| (descriptor, WaitFor::Writable));
        unwritten.iter().for_each(|one| one.connection.set_driven(true));
        // An interruption makes us look again, which is what a signal should lead to.
        let _ = sys::poll(waits, Some(next_deadline - now));
        unwritten.iter().for_each(|one| one.connection.set_driven(false));
    }
}
