//! Ending connections: what was accepted is delivered first, as far as the linger allows.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::endpoint::Endpoint;
use crate::sync::{Mutex, Rank};
use crate::sys::{self, PerProcess, WaitFor};
use crate::trace::{self, Happening};
use crate::transports::{Connection, Host, Stream};

/// A connection that may take until its deadline to end.
#[derive(Clone)]
pub struct Lingering {
    /// The one that has made it.
    pub endpoint: Arc<Endpoint>,
    pub connection: Arc<dyn Connection>,
    pub deadline: Instant,
    pub manner: Manner,
}

/// Who waits until it is written out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// The one who closes.
    InCall,
    /// A thread of the library.
    InBackground,
}

/// One that no socket has any more, or soon will not. The end of the process finds it until this is
/// dropped: by then it is ended.
pub struct Shown {
    lingering: Lingering,
    /// Its place on the list, if there is a stream to be written to.
    number: Option<u64>,
}

/// Shows all of them. Whoever takes connections out of a socket does this first: else the process
/// could exit in between and find them nowhere.
pub fn show(all: Vec<Lingering>) -> Vec<Shown> {
    let mut list = LINGERING.get().lock();
    let show = |lingering: Lingering| Shown { number: list.add(&lingering), lingering };
    all.into_iter().map(show).collect()
}

/// Ends all of them, side by side.
pub fn end(all: &[Shown]) {
    let late = if trace::is_on() { trace_late(all) } else { Vec::new() };
    streams(seen(all)).for_each(|(stream, _)| stream.write_out());
    if all.iter().any(|one| one.has_unwritten()) {
        write_out(streams(seen(all)), None, |stream| stream.write_out());
    }
    for one in late {
        let left = if one.has_unwritten() { "some" } else { "nothing" };
        one.trace(Happening::Lingered, format_args!("left={left}"));
    }
    all.iter().for_each(|one| one.connection.close(one.deadline));
}

/// Ends those of them that can be ended in that time. Returns the others.
pub fn end_for(all: Vec<Shown>, time: Duration) -> Vec<Shown> {
    write_out(streams(seen(&all)), Some(sys::now() + time), |stream| stream.write_out());
    let now = sys::now();
    let is_left = |one: &Shown| one.has_unwritten() && one.deadline > now;
    let (left, ended): (Vec<_>, Vec<_>) = all.into_iter().partition(is_left);
    for one in ended {
        if one.has_unwritten() {
            one.trace(Happening::Lingered, format_args!("left=some"));
        }
        one.connection.close(one.deadline);
    }
    left
}

/// The same at the end of the process, when nobody is told of anything any more.
pub fn finish(all: &[Lingering]) {
    write_out(streams(all), None, |stream| stream.drain());
    streams(all).for_each(|(stream, deadline)| stream.finish(deadline));
}

/// Those that are shown at this moment, for who exits meanwhile.
pub fn at_it() -> Vec<Lingering> {
    let list = LINGERING.get().try_lock_for(PATIENCE);
    let mut all: Vec<_> = list.iter().flat_map(|list| list.shown.values().cloned()).collect();
    drop(list);
    all.retain(Lingering::is_within_reach);
    all
}

/// All that are shown.
#[derive(Default)]
struct List {
    shown: BTreeMap<u64, Lingering>,
    next: u64,
}

impl List {
    fn add(&mut self, one: &Lingering) -> Option<u64> {
        one.connection.stream()?;
        let number = self.next;
        self.next += 1;
        self.shown.insert(number, one.clone());
        Some(number)
    }
}

impl Deref for Shown {
    type Target = Lingering;

    fn deref(&self) -> &Lingering {
        &self.lingering
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        let Some(number) = self.number else { return };
        let ended = LINGERING.get().lock().shown.remove(&number);
        // The last owner closes, and that not under the lock.
        drop(ended);
    }
}

/// How long a lock may be held by somebody who runs.
pub const PATIENCE: Duration = Duration::from_millis(20);

static LINGERING: PerProcess<Mutex<List>> =
    PerProcess::new(|| Mutex::new(Rank::Lingering, List::default()));

impl Lingering {
    /// Whether nobody has locked it who will never run again.
    pub fn is_within_reach(&self) -> bool {
        self.connection.stream().is_some_and(|stream| stream.is_within_reach(PATIENCE))
    }

    fn has_unwritten(&self) -> bool {
        self.connection.stream().is_some_and(Stream::has_unwritten)
    }

    fn trace(&self, event: Happening, details: fmt::Arguments<'_>) {
        let peer = self.connection.stream().and_then(Stream::peer_address);
        self.endpoint.trace(event, peer, details);
    }
}

/// Traces those that cannot be written out at once.
#[cold]
fn trace_late(all: &[Shown]) -> Vec<&Lingering> {
    streams(seen(all)).for_each(|(stream, _)| stream.write_out());
    let late: Vec<_> = seen(all).filter(|one| one.has_unwritten()).collect();
    late.iter().for_each(|one| one.trace(Happening::Lingering, format_args!("")));
    late
}

/// Writes until nothing is left to write, or until each one's deadline, or until that moment.
fn write_out<'a>(
    all: impl Iterator<Item = (&'a dyn Stream, Instant)>,
    until: Option<Instant>,
    write: impl Fn(&dyn Stream),
) {
    let mut left: Vec<_> = all.collect();
    left.iter().for_each(|(stream, _)| write(*stream));
    loop {
        let now = sys::now();
        left.retain(|(stream, deadline)| *deadline > now && stream.has_unwritten());
        let Some(next) = left.iter().map(|(_, deadline)| *deadline).min() else { return };
        let next = until.map_or(next, |until| until.min(next));
        if next <= now {
            return;
        }
        let waits = left.iter().map(|(stream, _)| (stream.descriptor(), WaitFor::Writable));
        left.iter().for_each(|(stream, _)| stream.begin_driving());
        let ready = sys::poll(waits, Some(next - now));
        left.iter().for_each(|(stream, _)| stream.end_driving());
        match ready {
            // Of thousands, only those are written that take more.
            Ok(ready) => ready.iter().for_each(|at| write(left[*at].0)),
            // An interruption makes us look again, which is what a signal should lead to.
            Err(_) => left.iter().for_each(|(stream, _)| write(*stream)),
        }
    }
}

fn streams<'a>(
    all: impl IntoIterator<Item = &'a Lingering>,
) -> impl Iterator<Item = (&'a dyn Stream, Instant)> {
    all.into_iter().filter_map(|one| Some((one.connection.stream()?, one.deadline)))
}

fn seen(all: &[Shown]) -> impl Iterator<Item = &Lingering> {
    all.iter().map(|one| &one.lingering)
}

#[cfg(test)]
mod tests {
    use std::sync::Weak;
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    use super::*;
    use crate::core::attachment::Whose;
    use crate::core::context::{Context, Shared};
    use crate::core::drain;
    use crate::core::endpoint::Owner;
    use crate::core::fixtures::{FakeConnection, Opened, PAIR, PUSH, fresh_name};
    use crate::core::socket::Socket;
    use crate::protocols::socket_type;

    fn closed(connection: &FakeConnection) -> usize {
        connection.closed.load(Ordering::Relaxed)
    }

    fn lingering(connection: &Arc<FakeConnection>, deadline: Instant) -> Lingering {
        let shared = Shared { reactor: Arc::default(), printer: None };
        let context = Arc::new(Context::new(0, 1, socket_type(PAIR).unwrap(), &shared));
        let owner = Weak::<Socket>::new() as Weak<dyn Owner>;
        Lingering {
            endpoint: Arc::new(Endpoint::new(1, context, owner, "ipc", b"name")),
            connection: Arc::clone(connection) as Arc<dyn Connection>,
            deadline,
            manner: Manner::InCall,
        }
    }

    #[test]
    fn all_that_was_accepted_is_written_first() {
        let far = Instant::now() + Duration::from_secs(3600);
        let all = [3, 0, 200].map(FakeConnection::over_stream);
        let in_memory = FakeConnection::with_room(0);
        let mut ends: Vec<_> = all.iter().map(|one| lingering(one, far)).collect();
        ends.push(lingering(&in_memory, far));
        end(&show(ends));
        assert_eq!([0, 1, 2].map(|at| (all[at].unwritten(), closed(&all[at]))), [(0, 1); 3]);
        assert_eq!(closed(&in_memory), 1);
    }

    #[test]
    fn beyond_its_deadline_nothing_is_waited_for() {
        let (now, far) = (Instant::now(), Instant::now() + Duration::from_secs(3600));
        let (late, in_time) = (FakeConnection::over_stream(9), FakeConnection::over_stream(2));
        end(&show(vec![lingering(&late, now), lingering(&in_time, far)]));
        assert_eq!((in_time.unwritten(), closed(&in_time)), (0, 1));
        // It had its share of the others' rounds, and no more.
        assert_eq!((late.unwritten(), closed(&late)), (7, 1));
    }

    #[test]
    fn nothing_to_end_is_no_trouble() {
        end(&[]);
    }

    fn is_at_it(connection: &Arc<FakeConnection>) -> bool {
        let wanted = Arc::clone(connection) as Arc<dyn Connection>;
        at_it().iter().any(|one| Arc::ptr_eq(&one.connection, &wanted))
    }

    #[test]
    fn who_exits_finds_a_connection_from_when_its_socket_lets_go_of_it_until_it_is_ended() {
        for is_shutdown in [false, true] {
            let socket = Opened::cooked(PUSH);
            let endpoint = socket.bind(&fresh_name());
            let connections = [FakeConnection::over_stream(3), FakeConnection::with_room(1)];
            connections.iter().for_each(|one| socket.attach(endpoint, one).unwrap());
            assert_eq!(connections.each_ref().map(is_at_it), [false, false]);
            let shown = if is_shutdown {
                socket.get().detach(Whose::Endpoint(endpoint))
            } else {
                socket.get().close().unwrap()
            };
            // What has no stream needs nobody who writes.
            assert_eq!(connections.each_ref().map(is_at_it), [true, false]);
            assert_eq!(shown.len(), 2);
            end(&shown);
            drop(shown);
            assert_eq!(connections.each_ref().map(is_at_it), [false, false]);
            assert_eq!(connections.each_ref().map(|one| closed(one)), [1, 1]);
        }
    }

    #[test]
    fn who_exits_finds_what_lingers_in_the_background_all_the_time() {
        let connection = FakeConnection::over_stream(usize::MAX);
        let deadline = Instant::now() + Duration::from_millis(100);
        let one = Lingering { manner: Manner::InBackground, ..lingering(&connection, deadline) };
        drain::end(show(vec![one]));
        loop {
            let found = is_at_it(&connection);
            // It is ended first, and then nobody needs to find it.
            if closed(&connection) > 0 {
                break;
            }
            assert!(found, "it is nowhere");
        }
        while is_at_it(&connection) {
            std::thread::yield_now();
        }
    }
}
