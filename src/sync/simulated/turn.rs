//! The turn: who has it, who waits for what, and who gets it next. Time passes by leaps when nobody
//! can run.

use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Thread;

use ::parking_lot::{Condvar, Mutex};

use super::history::{History, Line};
use super::random::Random;

/// How the next thread is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Any of those that can run, after about so many operations.
    Random { mean: u32 },
    /// The one of highest priority; priorities change after about so many operations.
    Priorities { mean: u32 },
}

#[derive(Clone, Debug)]
pub struct Config {
    pub seed: u64,
    pub strategy: Strategy,
    /// How often a thread that gives way loses its processor for long, in a million.
    pub stalls: u32,
    /// How often starting a thread fails, in a million.
    pub spawn_failures: u32,
    /// How many of the last lines of the history are kept.
    pub lines: usize,
    /// More operations than this are a loop that does not end.
    pub steps_max: u64,
    /// Nobody waits that long, in nanoseconds.
    pub time_max: u64,
}

/// What happens outside of all threads: bytes arrive, names are found.
pub trait Devices: Send + Sync {
    /// When something happens by itself, if nothing else happens before.
    fn next_event(&self) -> Option<u64>;

    /// Lets everything happen that is due.
    fn pass(&self, now: u64);

    fn as_any(&self) -> &dyn std::any::Any;
}

/// How a simulation has ended.
#[derive(Debug)]
pub struct Outcome {
    pub failure: Option<String>,
    pub steps: u64,
    pub switches: u64,
    pub nanoseconds: u64,
    pub digest: u64,
    pub lines: Vec<Line>,
    pub spawn_failures: u64,
    pub threads: usize,
}

/// Why a blocked thread goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    Called,
    TimedOut,
}

/// What a thread waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For {
    Address(usize),
    Thread(usize),
    /// Whoever it is calls it by its number.
    Call,
    /// Its processor is busy with something else.
    Processor,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Runnable,
    Blocked { on: For, until: Option<u64> },
    Finished,
}

pub struct Entry {
    pub name: String,
    pub process: usize,
    pub status: Status,
    pub woken: Woken,
    pub priority: u64,
    pub seat: Arc<Seat>,
    pub at: Option<&'static Location<'static>>,
}

/// Where a thread waits for its turn.
pub struct Seat {
    pub has_turn: AtomicBool,
    pub thread: Mutex<Option<Thread>>,
}

pub struct State {
    pub random: Random,
    pub now: u64,
    pub threads: Vec<Entry>,
    pub running: usize,
    pub steps: u64,
    pub switches: u64,
    pub history: History,
    pub failure: Option<String>,
    pub is_over: bool,
    pub spawn_failures: u64,
    pub lowest: u64,
}

pub struct Simulation {
    pub config: Config,
    pub state: Mutex<State>,
    pub over: Condvar,
    pub devices: Arc<dyn Devices>,
}

impl Entry {
    pub fn waits_for(&self, what: For) -> bool {
        matches!(self.status, Status::Blocked { on, .. } if on == what)
    }
}

impl State {
    pub fn outcome(&mut self) -> Outcome {
        Outcome {
            failure: self.failure.take(),
            steps: self.steps,
            switches: self.switches,
            nanoseconds: self.now - 1_000_000_000,
            digest: self.history.digest(),
            lines: self.history.take_lines(),
            spawn_failures: self.spawn_failures,
            threads: self.threads.len(),
        }
    }

    pub fn enlist(&mut self, name: String, process: usize) -> (usize, Arc<Seat>) {
        let seat = Arc::new(Seat { has_turn: AtomicBool::new(false), thread: Mutex::new(None) });
        let priority = u64::MAX / 2 + self.random.below(1 << 32);
        let entry = Entry {
            name,
            process,
            status: Status::Runnable,
            woken: Woken::Called,
            priority,
            seat: Arc::clone(&seat),
            at: None,
        };
        self.threads.push(entry);
        (self.threads.len() - 1, seat)
    }

    pub fn wake(&mut self, number: usize, woken: Woken) {
        let entry = &mut self.threads[number];
        entry.status = Status::Runnable;
        entry.woken = woken;
    }

    /// Those whose time has come can run.
    pub fn expire(&mut self) {
        for number in 0..self.threads.len() {
            if let Status::Blocked { until: Some(until), .. } = self.threads[number].status
                && until <= self.now
            {
                self.wake(number, Woken::TimedOut);
            }
        }
    }

    pub fn next_deadline(&self) -> Option<u64> {
        let until = |entry: &Entry| match entry.status {
            Status::Blocked { until, .. } => until,
            Status::Runnable | Status::Finished => None,
        };
        self.threads.iter().filter_map(until).min()
    }

    pub fn choose(&mut self, strategy: Strategy) -> Option<usize> {
        let can_run = |entry: &(usize, &Entry)| entry.1.status == Status::Runnable;
        match strategy {
            Strategy::Random { .. } => {
                let count = self.threads.iter().enumerate().filter(can_run).count();
                if count == 0 {
                    return None;
                }
                let at = self.random.index(count);
                self.threads.iter().enumerate().filter(can_run).nth(at).map(|(number, _)| number)
            }
            Strategy::Priorities { .. } => {
                let all = self.threads.iter().enumerate().filter(can_run);
                all.max_by_key(|(_, entry)| entry.priority).map(|(number, _)| number)
            }
        }
    }

    pub fn is_everybody_done(&self) -> bool {
        self.threads.iter().all(|entry| entry.status == Status::Finished)
    }

    pub fn demote(&mut self, number: usize) {
        self.lowest -= 1;
        self.threads[number].priority = self.lowest;
    }

    pub fn draw(&mut self, strategy: Strategy) -> u32 {
        let (Strategy::Random { mean } | Strategy::Priorities { mean }) = strategy;
        self.random.between(1, u64::from(mean) * 2) as u32
    }

    pub fn describe(&self) -> String {
        let line = |(number, entry): (usize, &Entry)| match entry.status {
            Status::Finished => None,
            status => {
                let place = entry.at.map(|at| format!("{}:{}", at.file(), at.line()));
                let (name, process) = (&entry.name, entry.process);
                let status = match status {
                    Status::Blocked { on: For::Address(_), until } => {
                        format!("a word or lock until {until:?}")
                    }
                    Status::Blocked { on, until } => format!("{on:?} until {until:?}"),
                    other => format!("{other:?}"),
                };
                Some(format!(
                    "  t{number} {name} of process {process}: {status} at {}",
                    place.unwrap_or_default()
                ))
            }
        };
        let all: Vec<_> = self.threads.iter().enumerate().filter_map(line).collect();
        all.join("\n")
    }
}

impl Simulation {
    /// Gives the turn to `number`.
    pub fn hand_over(&self, number: usize) {
        let seat = {
            let mut state = self.state.lock();
            state.running = number;
            state.switches += 1;
            Arc::clone(&state.threads[number].seat)
        };
        // Pairs with the acquire in `wait`: one thread after the other.
        seat.has_turn.store(true, Ordering::Release);
        if let Some(thread) = &*seat.thread.lock() {
            thread.unpark();
        }
    }

    /// The next one to run, after time has passed as far as is needed. `None` at the end.
    pub fn next(&self) -> Option<usize> {
        loop {
            let now = {
                let state = self.state.lock();
                state.now
            };
            if self.devices.next_event().is_some_and(|at| at <= now) {
                self.devices.pass(now);
            }
            let mut state = self.state.lock();
            state.expire();
            if let Some(number) = state.choose(self.config.strategy) {
                return Some(number);
            }
            if state.is_everybody_done() {
                return None;
            }
            let deadline = state.next_deadline();
            drop(state);
            let event = self.devices.next_event();
            let mut state = self.state.lock();
            match deadline.into_iter().chain(event).min() {
                Some(at) if at <= self.config.time_max => state.now = state.now.max(at),
                Some(_) => {
                    let all = state.describe();
                    self.end(&mut state, Some(format!("it takes too long:\n{all}")));
                    return None;
                }
                None => {
                    let all = state.describe();
                    self.end(&mut state, Some(format!("nobody can run any more:\n{all}")));
                    return None;
                }
            }
        }
    }

    pub fn end(&self, state: &mut State, failure: Option<String>) {
        if state.failure.is_none() {
            state.failure = failure;
        }
        state.is_over = true;
        self.over.notify_all();
    }
}

impl Seat {
    pub fn wait(&self) {
        // Pairs with the release in `hand_over`.
        while !self.has_turn.swap(false, Ordering::Acquire) {
            std::thread::park();
        }
    }
}
