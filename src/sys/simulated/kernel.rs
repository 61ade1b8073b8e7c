//! The state of the machine: descriptors, objects, what is bound where, and what is on its way.

use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::ops::DerefMut;
use std::os::fd::RawFd;
use std::path::PathBuf;

use super::faults::{Counts, Fault, Faults};
use super::file::File;
use super::memory::Memory;
use super::object::{Epoll, Id, Kind, Object};
use super::stream::{Place, Stream};
use crate::sync::simulated::Plain;
use crate::sync::simulated::scheduler::{self, Devices};

/// What a simulated machine is like.
#[derive(Clone, Debug)]
pub struct Machine {
    pub faults: Faults,
    /// How many descriptors a process may have.
    pub descriptors_max: usize,
    /// The most that lies between two ends of a stream, whatever they ask for.
    pub buffer_max: usize,
    /// The most that bytes need over a network, in nanoseconds.
    pub latency_max: u64,
    pub cpus: usize,
    /// Whether descriptors 0, 1 and 2 are free.
    pub has_closed_standard: bool,
    /// The longest that a name server takes, in nanoseconds.
    pub lookup_max: u64,
}

pub struct Kernel {
    state: Plain<State>,
    pub(super) memory: Memory,
}

pub struct State {
    pub machine: Machine,
    pub counts: Counts,
    pub objects: BTreeMap<Id, Object>,
    pub processes: BTreeMap<usize, Process>,
    pub files: BTreeMap<PathBuf, File>,
    /// Who listens or is bound where.
    pub bound: BTreeMap<Place, Vec<Id>>,
    /// Threads that wait for something to be ready.
    pub waiting: BTreeMap<usize, Vec<(Id, u32)>>,
    events: BTreeMap<(u64, u64), Event>,
    next: u64,
    pub next_port: u16,
}

#[derive(Debug, Default)]
pub struct Process {
    pub descriptors: BTreeMap<RawFd, Id>,
    pub opened: u64,
}

/// What happens by itself.
#[derive(Debug)]
pub enum Event {
    Arrive { to: Id, bytes: VecDeque<u8> },
    End { to: Id },
    Reset { to: Id, code: i32 },
    Answer { from: Id, place: Place },
    Refuse { from: Id, code: i32 },
}

impl Kernel {
    #[must_use]
    pub fn new(machine: Machine) -> Kernel {
        let state = State {
            machine,
            counts: Counts::default(),
            objects: BTreeMap::new(),
            processes: BTreeMap::new(),
            files: BTreeMap::new(),
            bound: BTreeMap::new(),
            waiting: BTreeMap::new(),
            events: BTreeMap::new(),
            next: 1,
            next_port: 40_000,
        };
        Kernel { state: Plain::new(state), memory: Memory::default() }
    }

    pub(super) fn lock(&self) -> impl DerefMut<Target = State> {
        self.state.lock()
    }

    /// What went wrong how often.
    #[must_use]
    pub fn counts(&self) -> Vec<(&'static str, u64)> {
        self.state.lock().counts.all().collect()
    }

    /// The descriptors that a process has open, in words.
    #[must_use]
    pub fn descriptors_of(&self, process: usize) -> Vec<String> {
        let state = self.state.lock();
        let all = state.processes.get(&process).into_iter().flat_map(|it| &it.descriptors);
        let words = |(fd, id): (&RawFd, &Id)| {
            let kind = state.objects.get(id).map(|object| match &object.kind {
                Kind::Event { count } => format!("event counter at {count}"),
                Kind::Epoll(epoll) => format!("poller of {}", epoll.watched.len()),
                Kind::Stream(stream) => format!("{stream:?}"),
            });
            format!("{fd}: {}", kind.unwrap_or_default())
        };
        all.map(words).collect()
    }

    /// Names of files that were left.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        self.state.lock().files.keys().cloned().collect()
    }

    /// From now on nothing goes wrong by chance.
    pub fn calm_down(&self) {
        self.state.lock().machine.faults = Faults::default();
    }

    /// The end of a process: its threads never run again, and its descriptors are closed.
    pub fn kill(&self) {
        let gone = scheduler::kill_others();
        let mut state = self.state.lock();
        for thread in gone {
            for (id, _) in state.waiting.remove(&thread).unwrap_or_default() {
                state.let_go(id);
            }
        }
        let all: Vec<_> = state.process().descriptors.keys().copied().collect();
        for descriptor in all {
            let _ = state.close(descriptor);
        }
    }
}

impl Devices for Kernel {
    fn next_event(&self) -> Option<u64> {
        self.state.lock().events.first_key_value().map(|((at, _), _)| *at)
    }

    fn pass(&self, now: u64) {
        let mut state = self.state.lock();
        while let Some(entry) = state.events.first_entry()
            && entry.key().0 <= now
        {
            let event = entry.remove();
            state.happen(event, now);
        }
        state.call_the_ready();
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl State {
    /// Has something happen so many nanoseconds from `now`.
    pub fn schedule(&mut self, at: u64, event: Event) {
        self.next += 1;
        self.events.insert((at, self.next), event);
    }

    /// What is on its way there is lost.
    pub fn cancel(&mut self, to_whom: Id) {
        self.events.retain(|_, event| {
            !matches!(event, Event::Arrive { to, .. } | Event::End { to } if *to == to_whom)
        });
    }

    pub fn fault(&mut self, choose: impl FnOnce(&Faults) -> Fault) -> bool {
        let fault = choose(&self.machine.faults);
        self.counts.strikes(fault)
    }

    pub fn make(&mut self, kind: Kind) -> Id {
        self.next += 1;
        self.objects.insert(self.next, Object { kind, owners: 0 });
        self.next
    }

    pub fn process(&mut self) -> &mut Process {
        self.processes.entry(scheduler::process()).or_default()
    }

    /// A new descriptor for it, not below that.
    pub fn open(&mut self, id: Id, least: RawFd) -> Result<RawFd, i32> {
        let (most, is_free) = (self.machine.descriptors_max, self.machine.has_closed_standard);
        let first = if is_free { 0 } else { 3 };
        let process = self.process();
        let mut numbers = least.max(first)..;
        let number = numbers.find(|number| !process.descriptors.contains_key(number));
        let number = number.filter(|number| (*number as usize) < most).ok_or(libc::EMFILE)?;
        process.descriptors.insert(number, id);
        process.opened += 1;
        if let Some(object) = self.objects.get_mut(&id) {
            object.owners += 1;
        }
        Ok(number)
    }

    /// The same for what has just been made, which goes if there is no descriptor for it.
    pub fn open_fresh(&mut self, kind: Kind) -> Result<RawFd, i32> {
        if self.fault(|faults| Fault("EMFILE or ENFILE", faults.no_descriptor)) {
            return Err(super::faults::one_of(&[libc::EMFILE, libc::ENFILE]));
        }
        let id = self.make(kind);
        self.open(id, 0).inspect_err(|_| {
            self.objects.remove(&id);
        })
    }

    pub fn id_of(&mut self, descriptor: RawFd) -> Result<Id, i32> {
        self.process().descriptors.get(&descriptor).copied().ok_or(libc::EBADF)
    }

    pub fn stream(&mut self, descriptor: RawFd) -> Result<(Id, &mut Stream), i32> {
        let id = self.id_of(descriptor)?;
        match self.objects.get_mut(&id).map(|object| &mut object.kind) {
            Some(Kind::Stream(stream)) => Ok((id, stream)),
            _ => Err(libc::ENOTSOCK),
        }
    }

    pub fn stream_of(&mut self, id: Id) -> Option<&mut Stream> {
        match self.objects.get_mut(&id).map(|object| &mut object.kind) {
            Some(Kind::Stream(stream)) => Some(stream),
            _ => None,
        }
    }

    pub fn epoll(&mut self, descriptor: RawFd) -> Result<(Id, &mut Epoll), i32> {
        let id = self.id_of(descriptor)?;
        match self.objects.get_mut(&id).map(|object| &mut object.kind) {
            Some(Kind::Epoll(epoll)) => Ok((id, epoll)),
            _ => Err(libc::EINVAL),
        }
    }

    pub fn close(&mut self, descriptor: RawFd) -> Result<(), i32> {
        let id = self.process().descriptors.remove(&descriptor).ok_or(libc::EBADF)?;
        self.let_go(id);
        self.call_the_ready();
        Ok(())
    }

    /// Who waits for it keeps it, even if somebody closes its descriptor meanwhile.
    pub fn hold(&mut self, id: Id) {
        if let Some(object) = self.objects.get_mut(&id) {
            object.owners += 1;
        }
    }

    pub fn let_go(&mut self, id: Id) {
        let Some(object) = self.objects.get_mut(&id) else { return };
        object.owners -= 1;
        if object.owners == 0 {
            self.release(id);
        }
    }

    /// The last descriptor is gone.
    pub fn release(&mut self, id: Id) {
        let Some(object) = self.objects.remove(&id) else { return };
        for other in self.objects.values_mut() {
            if let Kind::Epoll(epoll) = &mut other.kind {
                epoll.watched.retain(|(_, watched), _| *watched != id);
            }
        }
        if let Kind::Stream(stream) = object.kind {
            self.bound.values_mut().for_each(|all| all.retain(|one| *one != id));
            self.bound.retain(|_, all| !all.is_empty());
            self.stream_closed(id, *stream);
        }
    }
}
