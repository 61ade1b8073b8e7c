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
    write_out(all, |stream| stream.write_out());
    all.iter().for_each(|one| one.connection.close(one.deadline));
}

/// The same at the end of the process, when nobody is told of anything any more.
pub fn finish(all: &[Lingering]) {
    write_out(all, |stream| stream.drain());
    streams(all).for_each(|(stream, deadline)| stream.finish(deadline));
}

/// Writes until nothing is left to write, or until each one's deadline.
fn write_out(all: &[Lingering], write: impl Fn(&dyn Stream)) {
    loop {
        streams(all).for_each(|(stream, _)| write(stream));
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    use super::*;
    use crate::core::fixtures::FakeConnection;

    fn closed(connection: &FakeConnection) -> usize {
        connection.closed.load(Ordering::Relaxed)
    }

    fn lingering(connection: &Arc<FakeConnection>, deadline: Instant) -> Lingering {
        Lingering { connection: Arc::clone(connection) as Arc<dyn Connection>, deadline }
    }

    #[test]
    fn all_that_was_accepted_is_written_first() {
        let far = Instant::now() + Duration::from_secs(3600);
        let all = [3, 0, 200].map(FakeConnection::over_stream);
        let in_memory = FakeConnection::with_room(0);
        let mut ends: Vec<_> = all.iter().map(|one| lingering(one, far)).collect();
        ends.push(lingering(&in_memory, far));
        end(&ends);
        assert_eq!([0, 1, 2].map(|at| (all[at].unwritten(), closed(&all[at]))), [(0, 1); 3]);
        assert_eq!(closed(&in_memory), 1);
    }

    #[test]
    fn beyond_its_deadline_nothing_is_waited_for() {
        let (now, far) = (Instant::now(), Instant::now() + Duration::from_secs(3600));
        let (late, in_time) = (FakeConnection::over_stream(9), FakeConnection::over_stream(2));
        end(&[lingering(&late, now), lingering(&in_time, far)]);
        assert_eq!((in_time.unwritten(), closed(&in_time)), (0, 1));
        // It had its share of the others' rounds, and no more.
        assert_eq!((late.unwritten(), closed(&late)), (7, 1));
    }

    #[test]
    fn nothing_to_end_is_no_trouble() {
        end(&[]);
    }
}
