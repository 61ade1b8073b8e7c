//! Ending connections: what was accepted is delivered first, as far as the linger allows.

use std::sync::Arc;
use std::time::Instant;

use crate::sys::{self, WaitFor};
use crate::transports::{Connection, Stream};

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
        streams(all).for_each(|(stream, _)| stream.write_out());
        let now = Instant::now();
        let has_more =
            |(stream, deadline): &(&dyn Stream, Instant)| *deadline > now && stream.has_unwritten();
        let unwritten: Vec<_> = streams(all).filter(has_more).collect();
        let Some(next_deadline) = unwritten.iter().map(|(_, deadline)| *deadline).min() else {
            return;
        };
        let waits = unwritten.iter().map(|(stream, _)| (stream.descriptor(), WaitFor::Writable));
        unwritten.iter().for_each(|(stream, _)| stream.begin_driving());
        // An interruption makes us look again, which is what a signal should lead to.
        let _ = sys::poll(waits, Some(next_deadline - now));
        unwritten.iter().for_each(|(stream, _)| stream.end_driving());
    }
}

fn streams(all: &[Lingering]) -> impl Iterator<Item = (&dyn Stream, Instant)> {
    all.iter().filter_map(|one| Some((one.connection.stream()?, one.deadline)))
}
