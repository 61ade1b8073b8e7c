//! Handles, and the library's life: it exists while a socket does.

use std::sync::Arc;
use std::time::Duration;

use super::context::{Printer, Shared};
use super::drain;
use super::life::Change;
use super::linger::{self, Shown};
use super::pipe::Offshoot;
use super::sleep::{self, Visit};
use super::socket::Socket;
use crate::error::Error;
use crate::io::LazyReactor;
use crate::memory::{self, Attempt, OutOfMemory};
use crate::protocols::{Seed, SocketType, socket_type};
use crate::sync::{
    MappedRwLockReadGuard, Mutex, OnceLock, Rank, RwLock, RwLockReadGuard,
    atomic::{AtomicBool, AtomicU32, Ordering},
};
use crate::sys::{self, Inherited, PerProcess, Secret, exit};
use crate::trace::{self, Happening};
use crate::transports::with_rhythm;

/// A socket during one call. Closing waits until nobody has one any more.
pub struct InUse(MappedRwLockReadGuard<'static, Arc<Socket>>);

impl InUse {
    /// The same for a call that sleeps: it holds no lock.
    pub fn to_visit(&self) -> Visit {
        Visit::new(&self.0)
    }
}

/// A socket during one call that may sleep.
pub enum Held {
    InUse(InUse),
    Visit(Visit),
}

impl Held {
    /// Lets go of the lock before a sleep.
    #[must_use]
    pub fn for_sleep(self) -> Held {
        match self {
            Held::InUse(socket) => Held::Visit(socket.to_visit()),
            visit @ Held::Visit(_) => visit,
        }
    }
}

impl std::ops::Deref for Held {
    type Target = Socket;

    fn deref(&self) -> &Socket {
        match self {
            Held::InUse(socket) => socket,
            Held::Visit(socket) => socket,
        }
    }
}

/// Opens a socket. Returns its handle. `printer` is asked for once, until all sockets are closed
/// again.
///
/// # Errors
/// `Terminated`, `UnknownDomain`, `TooManySockets`, `Invalid` for the protocol, in this order.
pub fn open(
    domain: i32,
    protocol: i32,
    printer: impl FnOnce() -> Option<Printer>,
) -> Result<i32, Error> {
    open_type(domain, || socket_type(protocol), printer)
}

/// The same with a socket type that `find` may know.
pub(super) fn open_type(
    domain: i32,
    find: impl FnOnce() -> Option<&'static SocketType>,
    printer: impl FnOnce() -> Option<Printer>,
) -> Result<i32, Error> {
    // This thread may also be a child's, in the middle of what its parent was sending.
    with_rhythm(|rhythm| rhythm.interrupt());
    let attempt = Attempt::watch();
    let world = WORLD.get();
    let mut library = world.library.lock();
    if IS_TERMINATED.get().load(Ordering::Relaxed) {
        return Err(Error::Terminated);
    }
    if domain != COOKED && domain != RAW {
        return Err(Error::UnknownDomain);
    }
    if library.open >= SOCKETS_MIN && library.open >= sockets_max() {
        return Err(Error::TooManySockets);
    }
    let socket_type = find().ok_or(Error::Invalid)?;
    Attempt::begin()?;
    WAS_USED.get().store(true, Ordering::Relaxed);
    trace::begin();
    let handle = library.take_number()?;
    let fresh = || Shared { reactor: Arc::new(LazyReactor::new(flush_all)), printer: printer() };
    let shared = library.shared.get_or_insert_with(fresh).clone();
    let made = world.make_socket(handle, domain, socket_type, &shared);
    let made = made.and_then(|made| attempt.check().map(|()| made).map_err(Error::from));
    let (slot, socket) = match made {
        Ok(made) => made,
        Err(error) => {
            let unused_reactor = library.give_number_back(handle);
            drop(library);
            unused_reactor.inspect(|reactor| reactor.stop());
            return Err(error);
        }
    };
    let kind = if domain == RAW { "raw" } else { "cooked" };
    socket.context.trace(Happening::Opened, format_args!("type={} kind={kind}", socket_type.name));
    // Under the library's lock, so that termination finds every socket that was opened before.
    *slot.0.write() = Some(socket);
    Ok(handle)
}

/// Opens a branch of a socket. Returns its handle.
///
/// # Errors
/// `NotOpen`, `NotSupported`, `TooManySockets`, `OutOfMemory`.
pub fn open_branch(handle: i32) -> Result<i32, Error> {
    let world = WORLD.get();
    // Not in use but on a visit: the branch's place is to be locked beside it.
    let trunk = find(handle)?.to_visit();
    trunk.check_is_trunk()?;
    if trunk.context.domain != COOKED {
        return Err(Error::NotSupported);
    }
    let attempt = Attempt::begin()?;
    let number = world.library.lock().branches.take()?;
    let made = world.make_slot(number).and_then(|slot| {
        let branch = trunk.make_branch(number)?;
        Ok((slot, branch))
    });
    match made {
        Ok((slot, branch)) => *slot.0.write() = Some(branch),
        Err(error) => {
            world.library.lock().branches.give_back(number);
            return Err(error);
        }
    }
    // It may have been closed with its trunk meanwhile; so it is if memory for it was short.
    if let Err(error) = attempt.check() {
        let _ = close(number);
        return Err(error.into());
    }
    Ok(number)
}

/// Closes a socket when what was sent is written, and every other thread has left it.
///
/// # Errors
/// `NotOpen`, also when another thread is closing it.
pub fn close(handle: i32) -> Result<(), Error> {
    sleep::settle();
    let mut closing = Closing::begin(handle).ok_or(Error::NotOpen)?;
    drain::end(std::mem::take(&mut closing.connections));
    closing.finish();
    // Whatever was written just now was sent some time ago.
    with_rhythm(|rhythm| rhythm.interrupt());
    Ok(())
}

/// A socket between the two halves of its end.
struct Closing {
    handle: i32,
    connections: Vec<Shown>,
    branches: Vec<Closing>,
}

impl Closing {
    fn begin(handle: i32) -> Option<Closing> {
        let socket = WORLD.get().slot(handle)?.0.read().clone()?;
        let connections = socket.close()?;
        // Whoever waits on one of them learns of it before anything lingers.
        // One that is just being opened has its place when this socket has been left by everybody.
        let mut branches = socket.take_branches();
        branches.retain(|branch| branch.close() == Change::First);
        let branch = |branch: &Arc<dyn Offshoot>| Closing {
            handle: branch.handle(),
            connections: Vec::new(),
            branches: Vec::new(),
        };
        let branches = branches.iter().map(branch).collect();
        socket.leave_trunk();
        Some(Closing { handle, connections, branches })
    }

    fn finish(self) {
        drop(self.connections);
        let world = WORLD.get();
        // Waits for every call that is still on its way out.
        let socket = world.slot(self.handle).and_then(|slot| slot.0.write().take());
        if let Some(socket) = &socket {
            // And for those that are asleep, or were a moment ago.
            socket.waiting.visitors.await_leaving();
            socket.waiting.lookouts.await_leaving();
            socket.context.trace(Happening::Closed, format_args!(""));
        }
        drop(socket);
        self.branches.into_iter().for_each(Closing::finish);
        if self.handle >= BRANCHES_FROM {
            return world.library.lock().branches.give_back(self.handle);
        }
        let unused_reactor = world.library.lock().give_number_back(self.handle);
        if let Some(reactor) = unused_reactor {
            drain::stop_when_done(reactor);
        }
    }
}

/// The socket behind a handle.
///
/// # Errors
/// `NotOpen`.
#[allow(clippy::inline_always, reason = "each send and receive begins with it")]
#[inline(always)]
pub fn find(handle: i32) -> Result<InUse, Error> {
    let slot = WORLD.get().slot(handle).ok_or(Error::NotOpen)?;
    in_use(slot.0.read())
}

/// The same for a caller who has found a socket already, maybe this one: waiting here behind those
/// who wait for him to leave would be for ever.
///
/// # Errors
/// `NotOpen`.
pub fn find_beside(handle: i32) -> Result<InUse, Error> {
    let slot = WORLD.get().slot(handle).ok_or(Error::NotOpen)?;
    in_use(slot.0.read_recursive())
}

/// No socket has a handle as high as this; branches have higher ones.
pub fn handles_end() -> i32 {
    WORLD.get().handles_end()
}

#[inline]
fn in_use(slot: RwLockReadGuard<'static, Option<Arc<Socket>>>) -> Result<InUse, Error> {
    match RwLockReadGuard::try_map(slot, Option::as_ref) {
        Ok(socket) if socket.is_usable() => Ok(InUse(socket)),
        _ => Err(Error::NotOpen),
    }
}

/// Closes every socket, and lets none be opened until [`restart`]. Does nothing before the first
/// socket.
pub fn terminate() {
    if !WAS_USED.get().load(Ordering::Relaxed) {
        return;
    }
    sleep::settle();
    let world = WORLD.get();
    let _one_at_a_time = world.terminating.lock();
    {
        // Whoever opens a socket holds this lock: that one is found below.
        let _library = world.library.lock();
        IS_TERMINATED.get().store(true, Ordering::Relaxed);
    }
    // Side by side, so that all of them together take one linger.
    let mut all: Vec<_> = (0..world.handles_end()).filter_map(Closing::begin).collect();
    let connections: Vec<_> =
        all.iter_mut().flat_map(|closing| std::mem::take(&mut closing.connections)).collect();
    drain::end(connections);
    all.into_iter().for_each(Closing::finish);
    with_rhythm(|rhythm| rhythm.interrupt());
}

/// Undoes [`terminate`], when it has finished.
pub fn restart() {
    let _terminated = WORLD.get().terminating.lock();
    IS_TERMINATED.get().store(false, Ordering::Relaxed);
}

impl std::ops::Deref for InUse {
    type Target = Socket;

    fn deref(&self) -> &Socket {
        &self.0
    }
}

/// Everything there is in one process.
struct World {
    library: Mutex<Library>,
    sockets_made: AtomicU32,
    /// Of this process alone: a child does not go on with its parent's numbers.
    secret: Secret,
    terminating: Mutex<()>,
    /// Slots stay for good, so that finding one needs no lock beside its own. In memory of its own,
    /// because whoever calls first may have little room on his stack.
    segments: Box<[OnceLock<Segment>; SEGMENTS]>,
}

/// What all sockets share.
#[derive(Default)]
struct Library {
    /// Numbers that were given back, the last one on top.
    free: Vec<i32>,
    /// The lowest number that was never given out.
    fresh: i32,
    open: usize,
    branches: BranchNumbers,
    shared: Option<Shared>,
}

/// The numbers of branches, which stand behind those of sockets.
#[derive(Default)]
struct BranchNumbers {
    free: Vec<i32>,
    /// How many were ever given out.
    fresh: i32,
}

impl BranchNumbers {
    fn take(&mut self) -> Result<i32, Error> {
        if let Some(number) = self.free.pop() {
            return Ok(number);
        }
        if self.fresh >= BRANCHES_MAX {
            return Err(Error::TooManySockets);
        }
        // So that every number that comes back has its place.
        let given = self.fresh as usize + 1;
        memory::reserve(&mut self.free, given)?;
        self.fresh += 1;
        Ok(BRANCHES_FROM + self.fresh - 1)
    }

    fn give_back(&mut self, number: i32) {
        self.free.push(number);
    }
}

impl Library {
    /// Another socket is open, until [`Library::give_number_back`].
    fn take_number(&mut self) -> Result<i32, OutOfMemory> {
        // So that a number that comes back has its place.
        memory::reserve(&mut self.free, self.open + 1)?;
        self.open += 1;
        Ok(self.free.pop().unwrap_or_else(|| {
            self.fresh += 1;
            self.fresh - 1
        }))
    }

    /// With the last socket the numbering starts again, and the reactor is not needed any more.
    fn give_number_back(&mut self, handle: i32) -> Option<Arc<LazyReactor>> {
        self.free.push(handle);
        self.open -= 1;
        if self.open > 0 {
            return None;
        }
        self.free.clear();
        self.fresh = 0;
        self.shared.take().map(|shared| shared.reactor)
    }
}

/// Of a size that is known, so that a place in it is found at first sight.
type Segment = Box<[Slot; SEGMENT]>;

/// Where the socket of one handle is. Each has a cache line of its own: threads that use different
/// sockets do not slow each other down.
#[repr(align(64))]
struct Slot(RwLock<Option<Arc<Socket>>>);

impl Default for Slot {
    fn default() -> Slot {
        Slot(RwLock::new(Rank::Slot, None))
    }
}

impl Default for World {
    fn default() -> World {
        World {
            library: Mutex::new(Rank::Library, Library::default()),
            sockets_made: AtomicU32::new(0),
            secret: Secret::default(),
            terminating: Mutex::new(Rank::Termination, ()),
            segments: boxed((0..SEGMENTS).map(|_| OnceLock::new()).collect()),
        }
    }
}

impl World {
    fn seed(&self) -> Seed {
        let serial = self.sockets_made.fetch_add(1, Ordering::Relaxed);
        Seed { serial, random: self.secret.number(serial) as u32 }
    }

    /// The place of a handle that was given out at some time.
    #[inline]
    fn slot(&self, handle: i32) -> Option<&Slot> {
        let handle = usize::try_from(handle).ok()?;
        self.segments.get(handle / SEGMENT)?.get()?.get(handle % SEGMENT)
    }

    /// Makes a socket, and the place where it will be unless that is there.
    fn make_socket(
        &self,
        handle: i32,
        domain: i32,
        socket_type: &'static SocketType,
        shared: &Shared,
    ) -> Result<(&Slot, Arc<Socket>), Error> {
        let slot = self.make_slot(handle)?;
        let machine = if domain == RAW { socket_type.raw } else { socket_type.cooked };
        let socket = Socket::new(handle, domain, socket_type, machine(self.seed()), shared);
        Ok((slot, socket))
    }

    /// The place of a handle, which is made unless it is there.
    fn make_slot(&self, handle: i32) -> Result<&Slot, Error> {
        let segment = usize::try_from(handle).ok().and_then(|at| self.segments.get(at / SEGMENT));
        let segment = segment.ok_or(Error::TooManySockets)?;
        if segment.get().is_none() {
            let slots = memory::collect((0..SEGMENT).map(|_| Slot::default()))?;
            let _ = segment.set(boxed(slots));
        }
        self.slot(handle).ok_or(Error::TooManySockets)
    }

    /// No handle of a socket is as high as this.
    fn handles_end(&self) -> i32 {
        let sockets = &self.segments[..SOCKET_SEGMENTS];
        let made = sockets.iter().rposition(|segment| segment.get().is_some());
        made.map_or(0, |last| ((last + 1) * SEGMENT) as i32)
    }
}

/// So many, as many as there are.
fn boxed<T, const COUNT: usize>(items: Vec<T>) -> Box<[T; COUNT]> {
    let Ok(items) = items.into_boxed_slice().try_into() else {
        unreachable!("they were made by number");
    };
    items
}

/// The reference spends two descriptors on each socket, so that half the limit of descriptors
/// is what its users are used to; ours needs none, but a bound there must be. It is the kernel's to
/// tell each time, because the limit may be moved at any time.
fn sockets_max() -> usize {
    (sys::descriptor_limit() / 2).min(SOCKET_SEGMENTS * SEGMENT)
}

/// Runs on the reactor's thread when the process exits: what was accepted is delivered even if
/// nobody closes. What the thread that exits has locked is out of reach for good.
fn flush_all() {
    exit::promise(COLLECTING);
    let flushed = std::panic::catch_unwind(|| {
        let world = WORLD.get();
        let sockets = (0..world.handles_end()).filter_map(|handle| {
            // One that is just being opened or freed has nothing to write.
            world.slot(handle)?.0.try_read()?.clone()
        });
        let mut all: Vec<_> =
            sockets.flat_map(|socket| socket.connections_within_reach()).collect();
        // Last: what was not with its socket any more is shown by now, or ended.
        all.extend(linger::at_it());
        if let Some(last) = all.iter().map(|one| one.deadline).max() {
            exit::promise(last.saturating_duration_since(sys::now()) + COLLECTING);
        }
        linger::finish(&all);
    });
    // There is nobody left to tell.
    drop(flushed);
    exit::finish();
}

static WORLD: PerProcess<World> = PerProcess::new(World::default);
/// These two outlive a fork: the child of a process that terminated the library cannot use it.
static WAS_USED: Inherited<AtomicBool> = Inherited::new(AtomicBool::new(false));
static IS_TERMINATED: Inherited<AtomicBool> = Inherited::new(AtomicBool::new(false));
/// So many are open without asking the kernel what the limit is.
const SOCKETS_MIN: usize = 16;
const SEGMENTS: usize = 1024;
const SEGMENT: usize = 256;
/// The first of them are for sockets, the rest for branches.
const SOCKET_SEGMENTS: usize = 256;
const BRANCHES_FROM: i32 = (SOCKET_SEGMENTS * SEGMENT) as i32;
const BRANCHES_MAX: i32 = ((SEGMENTS - SOCKET_SEGMENTS) * SEGMENT) as i32;

/// Longer than it takes to find out what there is to write.
const COLLECTING: Duration = Duration::from_secs(1);

/// The two domains.
pub const COOKED: i32 = 1;
pub const RAW: i32 = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::fixtures::{Opened, PAIR};

    #[test]
    fn who_opens_closes_or_shuts_down_is_not_in_the_middle_of_a_stream_any_more() {
        let sends = || with_rhythm(|rhythm| rhythm.sends());
        let begin = || with_rhythm(|rhythm| rhythm.stream());
        begin();
        assert!(sends() > 1);
        let socket = Opened::cooked(PAIR);
        assert_eq!(sends(), 1);
        let endpoint = socket.bind("inproc://not in the middle of a stream");
        begin();
        socket.get().shutdown(endpoint).unwrap();
        assert_eq!(sends(), 1);
        begin();
        socket.close().unwrap();
        assert_eq!(sends(), 1);
    }

    #[test]
    fn what_is_wrong_with_the_arguments_is_said_in_order() {
        let open = |domain, protocol| open(domain, protocol, || None);
        assert_eq!(open(0, 0), Err(Error::UnknownDomain));
        assert_eq!(open(3, PAIR), Err(Error::UnknownDomain));
        assert_eq!(open(COOKED, 0), Err(Error::Invalid));
        assert_eq!(open(RAW, PAIR + 0x1_0000), Err(Error::Invalid));
    }

    #[test]
    fn numbers_that_were_never_given_out_name_nothing() {
        for handle in [-1, i32::MIN, (SEGMENT * SEGMENTS) as i32, i32::MAX] {
            assert_eq!(find(handle).err(), Some(Error::NotOpen));
            assert_eq!(find_beside(handle).err(), Some(Error::NotOpen));
            assert_eq!(close(handle), Err(Error::NotOpen));
        }
    }

    #[test]
    fn a_socket_is_found_while_it_is_open() {
        let socket = Opened::cooked(PAIR);
        let found = find(socket.0).unwrap();
        let again = find_beside(socket.0).unwrap();
        assert!(std::ptr::eq(&raw const *found, &raw const *again));
        assert!(found.is_usable());
    }

    #[test]
    fn closing_waits_for_calls_on_their_way_out() {
        let socket = Opened::cooked(PAIR);
        std::thread::scope(|scope| {
            let in_use = socket.get();
            let closing = scope.spawn(|| close(socket.0));
            // Whoever is inside sees that it closes, and the number stays taken until he leaves.
            while in_use.is_usable() {
                std::thread::yield_now();
            }
            assert!(!closing.is_finished());
            drop(in_use);
            assert_eq!(closing.join().unwrap(), Ok(()));
        });
        std::mem::forget(socket);
    }

    #[test]
    fn the_last_number_given_back_is_the_first_taken() {
        let mut library = Library::default();
        assert_eq!([(); 4].map(|()| library.take_number()), [0, 1, 2, 3].map(Ok));
        assert!(library.give_number_back(1).is_none());
        assert!(library.give_number_back(2).is_none());
        assert_eq!([(); 3].map(|()| library.take_number()), [2, 1, 4].map(Ok));
    }

    #[test]
    fn the_last_socket_takes_the_reactor_with_it() {
        let shared = Shared { reactor: Arc::default(), printer: None };
        let mut library = Library { shared: Some(shared), ..Library::default() };
        (0..2).for_each(|_| _ = library.take_number());
        assert!(library.give_number_back(0).is_none());
        assert!(library.give_number_back(1).is_some());
        assert!(library.shared.is_none());
        assert_eq!(library.take_number(), Ok(0));
    }

    #[test]
    fn a_number_that_was_taken_needs_no_memory_to_come_back() {
        let mut library = Library::default();
        assert_eq!(memory::without_memory(|| library.take_number()), Err(OutOfMemory));
        assert_eq!((library.open, library.fresh), (0, 0));
        (0..100).for_each(|number| assert_eq!(library.take_number(), Ok(number)));
        let attempt = Attempt::watch();
        memory::without_memory(|| {
            (0..99).for_each(|number| drop(library.give_number_back(number)));
        });
        assert_eq!(attempt.check(), Ok(()));
    }

    #[test]
    fn without_memory_no_socket_is_opened_and_nothing_is_left_of_it() {
        let before = Opened::cooked(PAIR);
        for _ in 0..1000 {
            let opened = memory::without_memory(|| open(COOKED, PAIR, || None));
            assert_eq!(opened, Err(Error::OutOfMemory));
        }
        assert_eq!(before.close(), Ok(()));
    }

    #[test]
    fn slots_are_made_by_the_segment_when_they_are_asked_for() {
        let (world, shared) = (World::default(), Shared { reactor: Arc::default(), printer: None });
        let pair = socket_type(PAIR).unwrap();
        let make = |handle| world.make_socket(handle, COOKED, pair, &shared).map(drop);
        assert_eq!(world.handles_end(), 0);
        assert_eq!(make(SEGMENT as i32 - 1), Ok(()));
        assert_eq!(world.handles_end(), SEGMENT as i32);
        assert!(world.slot(0).is_some() && world.slot(3 * SEGMENT as i32).is_none());
        assert_eq!(make(3 * SEGMENT as i32), Ok(()));
        assert_eq!(world.handles_end(), 4 * SEGMENT as i32);
        assert_eq!(make((SEGMENTS * SEGMENT) as i32), Err(Error::TooManySockets));
        let serials = [(); 3].map(|()| world.seed().serial);
        assert_eq!(serials, [2, 3, 4]);
    }
}
