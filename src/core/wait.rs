//! How a blocked caller waits: spins a little when that pays, then drives its own socket's I/O
//! if nobody else does, or sleeps until somebody rings.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::deferred;
use super::handover::{Handover, Ring};
use super::socket::Socket;
use crate::error::Error;
use crate::io::{Poller, Wake, Waker};
use crate::protocols::PipeId;
use crate::sys::{self, Event, EventBuffer, Interest, WaitFor, Waited, futex_wait, futex_wake_all};
use crate::transports::{Connection, Stream};

/// What the waiters of one socket share.
#[derive(Debug, Default)]
pub struct Waiting {
    /// Its leader waits for all streams of the socket.
    pub recv: Bell<Poller>,
    /// Its leader waits for those that are full.
    pub send: Bell<Waker>,
    streams: AtomicUsize,
    spin: Spin,
    /// The last wait for streams had to sleep, so that the next one probably will, too.
    has_slept: AtomicBool,
}

/// Wakes those who wait to receive, or those who wait to send.
#[derive(Debug)]
pub struct Bell<W> {
    pub(super) handover: Handover,
    /// Wakes the leader out of the kernel; made when the first one leads.
    leader: OnceLock<W>,
}

/// Whether waiting starts with a little spinning: every failure doubles the number of waits that
/// do without, every success halves it.
#[derive(Debug, Default)]
struct Spin {
    skips: AtomicU32,
    penalty: AtomicU32,
}

impl<W> Default for Bell<W> {
    fn default() -> Bell<W> {
        Bell { handover: Handover::default(), leader: OnceLock::new() }
    }
}

impl<W: Wake> Bell<W> {
    #[inline]
    pub fn epoch(&self) -> u32 {
        self.handover.epoch()
    }

    #[inline]
    pub fn ring(&self) {
        let ring = self.handover.ring();
        if ring.wake_leader || ring.wake_sleepers {
            self.act(ring);
        }
    }

    #[cold]
    fn act(&self, ring: Ring) {
        if ring.wake_sleepers {
            futex_wake_all(futex_word(&self.handover));
        }
        if ring.wake_leader
            && let Some(leader) = self.leader.get()
        {
            leader.wake();
        }
    }

    /// Whether a thread drives the streams.
    pub fn is_led(&self) -> bool {
        self.handover.is_led()
    }

    pub(super) fn resign(&self) {
        if let Some(ring) = self.handover.resign() {
            self.act(ring);
        }
    }

    fn sleep(&self, seen: u32, deadline: Option<Instant>) -> Result<(), Error> {
        match futex_wait(futex_word(&self.handover), seen, deadline) {
            Waited::Woken => Ok(()),
            Waited::TimedOut => Err(Error::TimedOut),
            Waited::Interrupted => Err(Error::Interrupted),
        }
    }
}

impl Bell<Waker> {
    /// What wakes the leader, if a descriptor can be had for it. Only the leader asks.
    fn waker(&self) -> Option<&Waker> {
        if self.leader.get().is_none() {
            let _ = self.leader.set(Waker::new().ok()?);
        }
        self.leader.get()
    }
}

impl Waiting {
    pub fn ring_all(&self) {
        self.recv.ring();
        self.send.ring();
    }

    /// A connection has become a pipe. Under the socket's lock.
    pub fn add_stream(&self, id: PipeId, connection: &dyn Connection) {
        let Some(stream) = connection.stream() else { return };
        self.streams.fetch_add(1, Ordering::Relaxed);
        if let Some(poller) = self.recv.leader.get() {
            watch(poller, id, stream);
        }
    }

    /// The pipe will read nothing any more. Under the socket's lock.
    pub fn remove_stream(&self, connection: &dyn Connection) {
        let Some(stream) = connection.stream() else { return };
        self.streams.fetch_sub(1, Ordering::Relaxed);
        if let Some(poller) = self.recv.leader.get() {
            poller.remove(stream.descriptor());
        }
    }
}

impl Socket {
    /// Returns when something may have become receivable since `seen`.
    pub(super) fn wait_to_recv(&self, seen: u32, deadline: Option<Instant>) -> Result<(), Error> {
        deferred::write_out();
        let bell = &self.waiting.recv;
        let has_streams = self.waiting.streams.load(Ordering::Relaxed) > 0;
        if has_streams && bell.handover.try_lead() {
            return self.lead(seen, deadline);
        }
        if !has_streams && self.waiting.spin.try_spin(|| bell.epoch() != seen) {
            return Ok(());
        }
        bell.handover.begin_sleeping();
        // The leader may have resigned before it could see that we are about to sleep.
        if has_streams && bell.handover.try_lead() {
            bell.handover.end_sleeping();
            return self.lead(seen, deadline);
        }
        let result = bell.sleep(seen, deadline);
        bell.handover.end_sleeping();
        result
    }

    /// Drives the socket's streams until there is news.
    fn lead(&self, seen: u32, deadline: Option<Instant>) -> Result<(), Error> {
        let bell = &self.waiting.recv;
        let result = match self.poller() {
            Ok(poller) => self.drive(poller, seen, deadline),
            Err(_) => self.sleep_without_descriptors(seen, deadline),
        };
        bell.resign();
        result
    }

    fn drive(&self, poller: &Poller, seen: u32, deadline: Option<Instant>) -> Result<(), Error> {
        let waiting = &self.waiting;
        let mut events = EventBuffer::default();
        let only = self.only_connection();
        let mut look = || {
            match &only {
                Some(only) => pump(&**only),
                None => self.pump_ready(poller, &mut events),
            }
            waiting.recv.epoch() != seen
        };
        if waiting.spin.try_spin(&mut look) {
            waiting.has_slept.store(false, Ordering::Relaxed);
            return Ok(());
        }
        if !waiting.has_slept.swap(true, Ordering::Relaxed) && look() {
            waiting.has_slept.store(false, Ordering::Relaxed);
            return Ok(());
        }
        let timeout = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        if !waiting.recv.handover.begin_polling(seen) {
            return Ok(());
        }
        let result = poller.wait(&mut events, timeout);
        // Before reading: what this thread reads is no news that it must be woken for.
        waiting.recv.handover.end_polling();
        match result {
            Ok(reported) => self.pump_reported(reported),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                return Err(Error::Interrupted);
            }
            // Anything else cannot be helped here; the caller looks again.
            Err(_) => return Ok(()),
        }
        let is_late = deadline.is_some_and(|deadline| Instant::now() >= deadline);
        // What was read at the last moment is still in time.
        if is_late && waiting.recv.epoch() == seen { Err(Error::TimedOut) } else { Ok(()) }
    }

    /// Reads from every stream that has something now.
    pub(super) fn pump_ready(&self, poller: &Poller, events: &mut EventBuffer) {
        // A failure here shows again in the next wait.
        if let Ok(reported) = poller.wait(events, Some(Duration::ZERO)) {
            self.pump_reported(reported);
        }
    }

    fn pump_reported(&self, reported: impl Iterator<Item = Event>) {
        for event in reported {
            let id = PipeId(event.key as u32);
            let connection = self.lock().pipes.get(id).map(|pipe| Arc::clone(&pipe.connection));
            if let Some(connection) = connection {
                pump(&*connection);
            }
        }
    }

    /// Reads what the kernel has without waiting. True when there is news since `seen`.
    pub(super) fn pump_ready_streams(&self, seen: u32) -> bool {
        let bell = &self.waiting.recv;
        if self.waiting.streams.load(Ordering::Relaxed) > 0 && bell.handover.try_lead() {
            if let Some(only) = self.only_connection() {
                pump(&*only);
            } else if let Ok(poller) = self.poller() {
                self.pump_ready(poller, &mut EventBuffer::default());
            }
            bell.resign();
        }
        bell.epoch() != seen
    }

    fn only_connection(&self) -> Option<Arc<dyn Connection>> {
        let state = self.lock();
        let mut streams = state.pipes.iter().filter(|pipe| !pipe.is_ended);
        match (streams.next(), streams.next()) {
            (Some(only), None) => Some(Arc::clone(&only.connection)),
            _ => None,
        }
    }

    /// The poller of all streams, made when somebody first waits for them. Only the leader asks.
    pub(super) fn poller(&self) -> io::Result<&Poller> {
        let slot = &self.waiting.recv.leader;
        if let Some(poller) = slot.get() {
            return Ok(poller);
        }
        let poller = Poller::new()?;
        // Under the lock, so that no stream is added or removed unseen.
        let state = self.lock();
        for pipe in state.pipes.iter().filter(|pipe| !pipe.is_ended) {
            if let Some(stream) = pipe.stream() {
                watch(&poller, pipe.id, stream);
            }
        }
        let _ = slot.set(poller);
        slot.get().ok_or_else(|| io::ErrorKind::Other.into())
    }

    /// With no descriptor to be had, the reactor reads and this thread just sleeps.
    fn sleep_without_descriptors(&self, seen: u32, deadline: Option<Instant>) -> Result<(), Error> {
        self.read_in_background();
        let bell = &self.waiting.recv;
        bell.handover.begin_sleeping();
        let result = bell.sleep(seen, deadline);
        bell.handover.end_sleeping();
        result
    }

    /// Returns when something may have become sendable since `seen`.
    pub(super) fn wait_to_send(&self, seen: u32, deadline: Option<Instant>) -> Result<(), Error> {
        deferred::write_out();
        let bell = &self.waiting.send;
        let unwritten = self.unwritten();
        if unwritten.is_empty() {
            if self.waiting.spin.try_spin(|| bell.epoch() != seen) {
                // There is room for one message. A moment later there is room for many, and they
                // can be sent without stepping on the receiver's toes for each.
                pause(ROOM_TO_GROW);
                return Ok(());
            }
        } else if bell.handover.try_lead() {
            let result = self.drive_out(&unwritten, seen, deadline);
            bell.resign();
            return result;
        }
        bell.handover.begin_sleeping();
        if !unwritten.is_empty() && bell.handover.try_lead() {
            bell.handover.end_sleeping();
            let result = self.drive_out(&unwritten, seen, deadline);
            bell.resign();
            return result;
        }
        let result = bell.sleep(seen, deadline);
        bell.handover.end_sleeping();
        result
    }

    /// Waits until one of the streams takes more, and writes.
    fn drive_out(
        &self,
        unwritten: &[Arc<dyn Connection>],
        seen: u32,
        deadline: Option<Instant>,
    ) -> Result<(), Error> {
        let bell = &self.waiting.send;
        let waker = bell.waker();
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        // Without a descriptor to be woken by, look again from time to time.
        let timeout = match (waker, left) {
            (None, left) => Some(left.unwrap_or(LOOK_AGAIN).min(LOOK_AGAIN)),
            (Some(_), left) => left,
        };
        if !bell.handover.begin_polling(seen) {
            return Ok(());
        }
        let streams = || unwritten.iter().filter_map(|connection| connection.stream());
        streams().for_each(Stream::begin_driving);
        let waits = streams()
            .map(|stream| (stream.descriptor(), WaitFor::Writable))
            .chain(waker.map(|waker| (waker.as_raw_fd(), WaitFor::Readable)));
        let result = sys::poll(waits, timeout);
        bell.handover.end_polling();
        if let Some(waker) = waker {
            waker.notice();
        }
        streams().for_each(Stream::end_driving);
        streams().for_each(Stream::write_out);
        match result {
            // What found room at the last moment is still in time.
            Ok(ready) if ready.is_empty() && left.is_some() && left == timeout => {
                if bell.epoch() == seen { Err(Error::TimedOut) } else { Ok(()) }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(Error::Interrupted),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    fn unwritten(&self) -> Vec<Arc<dyn Connection>> {
        let state = self.lock();
        let connections = state.pipes.iter().map(|pipe| &pipe.connection);
        let has_unwritten = |connection: &&Arc<dyn Connection>| {
            connection.stream().is_some_and(Stream::has_unwritten)
        };
        connections.filter(has_unwritten).cloned().collect()
    }
}

impl Spin {
    /// Looks again and again for a short while, if that has paid lately.
    fn try_spin(&self, mut look: impl FnMut() -> bool) -> bool {
        if usable_cpus() < 2 {
            return false;
        }
        let skips = self.skips.load(Ordering::Relaxed);
        if skips > 0 {
            self.skips.store(skips - 1, Ordering::Relaxed);
            return false;
        }
        let began = Instant::now();
        let penalty = self.penalty.load(Ordering::Relaxed);
        loop {
            if look() {
                self.penalty.store(penalty / 2, Ordering::Relaxed);
                return true;
            }
            if began.elapsed() >= SPIN_MAX {
                break;
            }
            (0..PAUSES).for_each(|_| std::hint::spin_loop());
        }
        let penalty = (penalty * 2 + 1).min(SKIPS_MAX);
        self.penalty.store(penalty, Ordering::Relaxed);
        self.skips.store(penalty, Ordering::Relaxed);
        false
    }
}

/// On one processor the one that is waited for could not run meanwhile.
fn usable_cpus() -> usize {
    match USABLE_CPUS.load(Ordering::Relaxed) {
        0 => {
            let found = sys::usable_cpus();
            USABLE_CPUS.store(found, Ordering::Relaxed);
            found
        }
        known => known,
    }
}

/// Busy for a moment that is too short to sleep.
fn pause(duration: Duration) {
    let began = Instant::now();
    while began.elapsed() < duration {
        (0..PAUSES).for_each(|_| std::hint::spin_loop());
    }
}

fn watch(poller: &Poller, id: PipeId, stream: &dyn Stream) {
    if poller.add(stream.descriptor(), Interest::READABLE, id.0.into()).is_err() {
        stream.read_in_background();
    }
}

fn pump(connection: &dyn Connection) {
    if let Some(stream) = connection.stream() {
        stream.pump();
    }
}

fn futex_word(handover: &Handover) -> &AtomicU32 {
    handover.word()
}

const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// What [`usable_cpus`] has found; 0 while nobody has asked. Any thread may find out: in a forked
/// child there is none of those that were about to.
static USABLE_CPUS: AtomicUsize = AtomicUsize::new(0);
/// About what sleeping and being woken on another processor costs.
const SPIN_MAX: Duration = Duration::from_micros(50);
const ROOM_TO_GROW: Duration = Duration::from_micros(3);
const SKIPS_MAX: u32 = 255;
/// Pauses between two looks.
const PAUSES: u32 = 8;
