//! How a call that blocks sleeps: in a frame to which the thread may never return.
//!
//! Whoever calls the library drives the call: a step says that there is nothing yet, the caller
//! sleeps on what the step has found to sleep on, and makes another step. So the frames that are on
//! the stack during a sleep have nothing to drop, and may be unwound by force.
//!
//! A signal handler may jump out of a sleep, and leave even its frame behind. What a sleeping
//! thread owes to others is therefore on a list of the thread, from where it is settled when the
//! thread sleeps again, polls, closes a socket or ends.

use std::cell::RefCell;
use std::fmt::Display;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant;

use super::bed::Aside;
pub(super) use super::bed::Bed;
use super::lookout::Stay;
use super::probing;
use super::readiness::Side;
use super::socket::Socket;
use crate::error::Error;
use crate::memory;
use crate::sys::probe::{self, Probe};
use crate::sys::{self, Belongings, EventBuffer, Nap, Slept};
use crate::transports::{Connection, Stream};

/// A socket on which a call has slept. Closing waits for it to be given back, but not for ever.
pub struct Visit(Arc<Socket>);

impl Visit {
    pub fn new(socket: &Arc<Socket>) -> Visit {
        socket.waiting.visitors.enter();
        Visit(Arc::clone(socket))
    }
}

impl Deref for Visit {
    type Target = Arc<Socket>;

    fn deref(&self) -> &Arc<Socket> {
        &self.0
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.0.waiting.visitors.leave(|| self.0.is_usable());
    }
}

/// What a thread that sleeps owes to others. Dropping it settles it.
pub(super) enum Duty {
    /// It gives way, and no more.
    StandAside { socket: Visit },
    /// It is counted among those who sleep on the epoch.
    Follow { socket: Visit, side: Side },
    /// The same among those who would send, and it looks again soon by itself.
    Bide { socket: Visit, on: Arc<dyn Connection> },
    /// It drives all streams of the socket, or of its trunk, for as long as it has the lead.
    LeadRecv { socket: Visit, lead: Option<Lead> },
    /// It drives the streams that are full.
    LeadSend { socket: Visit, driven: Vec<Arc<dyn Connection>> },
    /// It waits for several sockets, and drives the streams of some.
    Watch { led: Vec<Led> },
    /// It waits at a lookout.
    LookOut { from: Stay },
}

/// The lead of all streams of a socket that is no branch. Dropping it resigns.
pub(super) struct Lead(Arc<Socket>);

impl Lead {
    /// `None` when somebody has it.
    pub(super) fn take(trunk: &Arc<Socket>) -> Option<Lead> {
        trunk.waiting.recv.handover.try_lead().then(|| Lead(Arc::clone(trunk)))
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.0.resign();
    }
}

/// A socket that is led by somebody who waits for several.
pub(super) struct Led(pub Arc<Socket>);

impl Duty {
    pub(super) fn follow(socket: Visit, side: Side) -> Duty {
        match side {
            Side::Recv => {
                socket.become_heir();
                socket.waiting.recv.handover.begin_sleeping();
            }
            Side::Send => socket.waiting.send.handover.begin_sleeping(),
        }
        Duty::Follow { socket, side }
    }

    /// Of one that has begun its patience there.
    pub(super) fn bide(socket: Visit, on: Arc<dyn Connection>) -> Duty {
        socket.waiting.send.handover.begin_sleeping();
        Duty::Bide { socket, on }
    }

    /// What its thread sleeps for.
    fn purpose(&self) -> &'static str {
        match self {
            Duty::StandAside { .. }
            | Duty::Follow { side: Side::Recv, .. }
            | Duty::LeadRecv { .. } => "recv",
            Duty::Follow { side: Side::Send, .. } | Duty::Bide { .. } | Duty::LeadSend { .. } => {
                "send"
            }
            Duty::Watch { .. } | Duty::LookOut { .. } => "poll",
        }
    }

    /// The number of the socket, if it is for one.
    fn handle(&self) -> Option<i32> {
        match self {
            Duty::StandAside { socket }
            | Duty::Follow { socket, .. }
            | Duty::Bide { socket, .. }
            | Duty::LeadRecv { socket, .. }
            | Duty::LeadSend { socket, .. } => Some(socket.context.handle),
            Duty::Watch { .. } | Duty::LookOut { .. } => None,
        }
    }

    /// The thread is awake: what it does from now on, nobody needs to wake it for.
    pub(super) fn stop_polling(&self) {
        match self {
            Duty::StandAside { .. } | Duty::Follow { .. } | Duty::Bide { .. } => {}
            Duty::LeadRecv { socket, .. } => socket.waiting.recv.handover.end_polling(),
            Duty::LeadSend { socket, .. } => socket.waiting.send.handover.end_polling(),
            Duty::Watch { led } => led.iter().for_each(Led::stop_polling),
            Duty::LookOut { from } => from.notes.end_polling(),
        }
    }
}

impl Led {
    fn stop_polling(&self) {
        self.0.waiting.recv.handover.end_polling();
    }
}

impl Drop for Led {
    fn drop(&mut self) {
        self.stop_polling();
        self.0.resign();
    }
}

impl Drop for Duty {
    fn drop(&mut self) {
        self.stop_polling();
        match self {
            Duty::Follow { socket, side: Side::Recv } => {
                socket.waiting.recv.handover.end_sleeping();
                socket.end_being_heir();
            }
            Duty::Follow { socket, side: Side::Send } => {
                socket.waiting.send.handover.end_sleeping();
            }
            Duty::Bide { socket, on } => {
                socket.waiting.send.handover.end_sleeping();
                on.end_patience();
            }
            Duty::LeadSend { socket, driven } => {
                let streams = || driven.iter().filter_map(|connection| connection.stream());
                streams().for_each(Stream::end_driving);
                streams().for_each(Stream::write_out);
                socket.waiting.send.resign();
            }
            // The lead, and each of those that are led, resigns by itself, and a stay ends.
            Duty::StandAside { .. }
            | Duty::LeadRecv { .. }
            | Duty::Watch { .. }
            | Duty::LookOut { .. } => {}
        }
    }
}

/// A look that has found nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Miss {
    /// The epoch before the look.
    pub(super) seen: u32,
    /// Even if nothing comes, the protocol has something to say then.
    pub(super) until: Option<Instant>,
}

/// The sleeps of one call.
#[derive(Default)]
pub struct Turn {
    /// Until when the call waits. The first sleep asks.
    deadline: Option<Option<Instant>>,
    /// What a look has found that was made before the first step.
    pub(super) miss: Option<Miss>,
    asleep: Option<Asleep>,
    /// Made when it is first used.
    events: Option<EventBuffer>,
}

/// A sleep that has been prepared, or slept.
struct Asleep {
    place: Place,
    bed: Bed,
    /// The socket, or one of them, which has to be there for as long as it is slept on.
    socket: Option<Arc<Socket>>,
    until: Option<Instant>,
    slept: Slept,
}

/// Where a duty is.
enum Place {
    Listed(Listing),
    /// The list cannot be had: the thread ends, or this interrupts somebody who uses it.
    Here(Duty),
}

/// Whether a call is done, or has to sleep before it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the caller sleeps"]
pub enum Step<T> {
    Done(T),
    Sleep,
}

impl<T> Step<T> {
    /// The same with another value.
    #[inline]
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Step<U> {
        match self {
            Step::Done(value) => Step::Done(change(value)),
            Step::Sleep => Step::Sleep,
        }
    }
}

/// What a thread finds when it gets up.
pub(super) struct Risen {
    pub duty: Duty,
    pub bed: Bed,
    pub slept: Slept,
}

impl Turn {
    /// Those of a call that may have looked already.
    #[inline]
    pub fn after(miss: Option<Miss>) -> Turn {
        Turn { miss, ..Turn::default() }
    }

    /// Prepares a sleep as one of those who do not lead, whose duty is counted already.
    pub(super) fn follow(&mut self, duty: Duty, seen: u32, until: Option<Instant>) {
        if let Duty::Follow { socket, side } = &duty {
            let (socket, bed) = (Arc::clone(socket), Bed::Epoch { side: *side, seen });
            self.lie_down(duty, bed, Some(socket), until);
        }
    }

    /// Prepares a sleep, until `until`.
    pub(super) fn lie_down(
        &mut self,
        duty: Duty,
        bed: Bed,
        socket: Option<Arc<Socket>>,
        until: Option<Instant>,
    ) {
        if !matches!(bed, Bed::Aside(_)) {
            show(&probe::SLEEP, &duty, until, &duty.purpose());
        }
        let place = list(duty);
        self.asleep = Some(Asleep { place, bed, socket, until, slept: Slept::Woken });
    }

    /// The socket on which the call has slept.
    #[inline]
    pub fn visit(&self) -> Option<Visit> {
        self.asleep.as_ref()?.socket.as_ref().map(Visit::new)
    }

    pub(super) fn events(&mut self) -> &mut EventBuffer {
        self.events_slot().get_or_insert_default()
    }

    pub(super) fn events_slot(&mut self) -> &mut Option<EventBuffer> {
        &mut self.events
    }

    /// Until when the call waits, which `find` says once.
    pub(super) fn deadline(&mut self, find: impl FnOnce() -> Option<Instant>) -> Option<Instant> {
        *self.deadline.get_or_insert_with(find)
    }

    /// Whether the call waits no longer.
    pub(super) fn is_over(&self) -> bool {
        self.deadline.flatten().is_some_and(|at| sys::now() >= at)
    }

    /// What to sleep on, and until when: to be slept before the next step.
    pub fn nap(&mut self) -> Option<(Nap<'_>, Option<Instant>)> {
        let asleep = self.asleep.as_mut()?;
        let until = asleep.until;
        let waiting = asleep.socket.as_ref().map(|socket| &socket.waiting);
        let nap = match &mut asleep.bed {
            Bed::Epoch { side: Side::Recv, seen, .. } => {
                Nap::Word(waiting?.recv.handover.word(), *seen)
            }
            Bed::Epoch { side: Side::Send, seen, .. } => {
                Nap::Word(waiting?.send.handover.word(), *seen)
            }
            Bed::Poller { .. } => {
                let events = self.events.get_or_insert_default();
                Nap::Events(waiting?.recv.leader.get()?.set(), events)
            }
            Bed::Descriptors { entries, .. } => Nap::Ready(entries),
            Bed::Lookout { from } => {
                let events = self.events.get_or_insert_default();
                Nap::Events(from.set(), events)
            }
            Bed::Aside(aside) => {
                let word = waiting.map(|waiting| waiting.recv.handover.word());
                Nap::GiveWay(word.zip(aside.seen))
            }
        };
        Some((nap, until))
    }

    /// What one is about who gives way, how that has gone, and what he may look with.
    pub(super) fn aside(&mut self) -> Option<(&mut Aside, Slept, &mut Option<EventBuffer>)> {
        match &mut self.asleep {
            Some(Asleep { bed: Bed::Aside(aside), slept, .. }) => {
                Some((aside, *slept, &mut self.events))
            }
            _ => None,
        }
    }

    /// How the sleep has ended.
    pub fn note(&mut self, slept: Slept) {
        if let Some(asleep) = &mut self.asleep {
            asleep.slept = slept;
        }
    }

    /// Sleeps where nothing but the thread's own end unwinds it.
    pub fn sleep(&mut self) {
        if let Some((nap, until)) = self.nap() {
            let slept = sys::nap(nap, until);
            self.note(slept);
        }
    }

    /// Gets up, if the call has slept since its last step.
    ///
    /// # Errors
    /// `Interrupted` when a signal handler has used the library in the same thread meanwhile, which
    /// has settled everything.
    pub(super) fn rise(&mut self) -> Option<Result<Risen, Error>> {
        let Asleep { place, bed, slept, until, .. } = self.asleep.take()?;
        let duty = match place {
            Place::Listed(listing) => listing.take_off(),
            Place::Here(duty) => Some(duty),
        };
        // Before anything is read: what this thread reads is no news that it must be woken for.
        duty.iter().for_each(Duty::stop_polling);
        if let (Some(duty), false) = (&duty, matches!(bed, Bed::Aside(_))) {
            show(&probe::WAKE, duty, until, &format_args!("{slept:?}"));
        }
        Some(duty.map(|duty| Risen { duty, bed, slept }).ok_or(Error::Interrupted))
    }
}

/// Shows by a probe that a thread sleeps or wakes, and what is left of its time in nanoseconds.
#[inline]
fn show(probe: &Probe, duty: &Duty, until: Option<Instant>, word: &dyn Display) {
    if probe.is_on() {
        let left = until.map(|until| until.saturating_duration_since(sys::now()));
        let left = left.map_or(-1, |left| i64::try_from(left.as_nanos()).unwrap_or(i64::MAX));
        probing::show(probe, duty.handle().unwrap_or(-1), left, word);
    }
}

/// Settles what the calling thread owes for sleeps that it has never come back from, or that it has
/// interrupted itself.
pub fn settle() {
    // Most often there is nothing: then the list keeps its memory.
    let take = |sleeps: &mut Sleeps| {
        let is_empty = sleeps.duties.is_empty();
        if is_empty { Vec::new() } else { std::mem::take(&mut *sleeps.duties) }
    };
    let all = with_list(take).unwrap_or_default();
    if !all.is_empty() {
        sys::cancellation::forget_sleep();
        // Not while the list is borrowed: others' code runs here.
        drop(all);
    }
}

/// Names a duty on the list. Dropping it settles that.
struct Listing(u64);

impl Listing {
    /// The duty, unless it has been settled already.
    fn take_off(self) -> Option<Duty> {
        ManuallyDrop::new(self).find()
    }

    fn find(&self) -> Option<Duty> {
        let take = |sleeps: &mut Sleeps| {
            let at = sleeps.duties.iter().rposition(|(number, _)| *number == self.0)?;
            Some(sleeps.duties.remove(at).1)
        };
        with_list(take).flatten()
    }
}

impl Drop for Listing {
    fn drop(&mut self) {
        drop(self.find());
    }
}

/// The sleeps of one thread, the innermost last.
struct Sleeps {
    generation: usize,
    /// The highest number that was given.
    last: u64,
    duties: ManuallyDrop<Vec<(u64, Duty)>>,
    /// Somebody settles what is left when the thread ends.
    is_kept: bool,
}

// Without a destructor, for the reason that `sys::at_thread_end` has.
thread_local! {
    static SLEEPS: RefCell<Sleeps> = const {
        RefCell::new(Sleeps {
            generation: 0,
            last: 0,
            duties: ManuallyDrop::new(Vec::new()),
            is_kept: false,
        })
    };
}

fn leave() {
    drop(with_list(|sleeps| std::mem::take(&mut *sleeps.duties)));
}

fn list(duty: Duty) -> Place {
    let mut duty = Some(duty);
    let listing = with_list(|sleeps| {
        sleeps.is_kept = sleeps.is_kept || sys::at_thread_end(Belongings::Duties, leave);
        if !sleeps.is_kept {
            return None;
        }
        memory::reserve(&mut *sleeps.duties, 1).ok()?;
        sleeps.last += 1;
        sleeps.duties.push((sleeps.last, duty.take()?));
        Some(Listing(sleeps.last))
    });
    match duty {
        Some(duty) => Place::Here(duty),
        None => Place::Listed(listing.flatten().unwrap_or(Listing(0))),
    }
}

fn with_list<T>(change: impl FnOnce(&mut Sleeps) -> T) -> Option<T> {
    let in_list = |sleeps: &RefCell<Sleeps>| {
        let mut sleeps = sleeps.try_borrow_mut().ok()?;
        if sleeps.generation != sys::generation() {
            // A forked child owes nothing: the sockets are its parent's.
            if !sleeps.duties.is_empty() {
                std::mem::forget(std::mem::take(&mut *sleeps.duties));
            }
            sleeps.generation = sys::generation();
        }
        Some(change(&mut sleeps))
    };
    SLEEPS.try_with(in_list).ok().flatten()
}
