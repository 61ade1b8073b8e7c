//! Who runs. Threads are real, but only the one that holds the turn goes on; all others are parked.
//! At every operation on something shared it may have to give the turn to another one, by the
//! seed's choice. Time passes a little with each operation, and by leaps when nobody can run.

use std::cell::{Cell, RefCell};
use std::panic::Location;
use std::sync::Arc;

use ::parking_lot::{Condvar, Mutex};

use super::ending;
use super::history::{History, Line};
use super::random::Random;
use super::turn::{Entry, Seat, Simulation, State, Status};

pub use super::turn::{Config, Devices, For, Outcome, Strategy, Woken};

struct Current {
    simulation: Arc<Simulation>,
    number: usize,
    process: usize,
    seat: Arc<Seat>,
}

thread_local! {
    static CURRENT: RefCell<Option<Current>> = const { RefCell::new(None) };
    /// Operations until the next choice; 0 outside of simulations.
    static LEFT: Cell<u32> = const { Cell::new(0) };
    static DRAWN: Cell<u32> = const { Cell::new(0) };
    static MASKED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `root` in a simulation, and everything that it starts.
pub fn run(
    config: Config,
    devices: Arc<dyn Devices>,
    root: impl FnOnce() + Send + 'static,
) -> Outcome {
    let simulation = Arc::new(Simulation {
        state: Mutex::new(State {
            random: Random::new(config.seed),
            now: 1_000_000_000,
            threads: Vec::new(),
            running: 0,
            steps: 0,
            switches: 0,
            history: History::new(config.lines),
            failure: None,
            is_over: false,
            spawn_failures: 0,
            lowest: u64::MAX / 2,
        }),
        config,
        over: Condvar::new(),
        devices,
    });
    let (number, seat) = simulation.state.lock().enlist("root".into(), 0);
    let thread = start(&simulation, number, 0, seat, false, None, root).expect("a thread");
    simulation.hand_over(number);
    let mut state = simulation.state.lock();
    while !state.is_over {
        let patience = std::time::Duration::from_secs(60);
        let before = (state.steps, state.switches);
        let late = simulation.over.wait_for(&mut state, patience).timed_out();
        if late && before == (state.steps, state.switches) && !state.is_over {
            let running = state.running;
            let name = state.threads[running].name.clone();
            state.failure =
                Some(format!("thread {running} ({name}) is stuck outside of the simulation"));
            break;
        }
    }
    let outcome = state.outcome();
    let is_fine = outcome.failure.is_none();
    drop(state);
    if is_fine {
        let _ = thread.join();
    }
    outcome
}

impl Current {
    /// Accounts for what was done since the last choice.
    fn flush(&self, state: &mut State) {
        let done = DRAWN.get().saturating_sub(LEFT.get());
        DRAWN.set(LEFT.get());
        state.steps += u64::from(done);
        state.now += u64::from(done) * STEP;
        if state.steps > self.simulation.config.steps_max {
            let all = state.describe();
            self.simulation.end(state, Some(format!("it goes on and on:\n{all}")));
        }
    }

    /// Somebody may go on, this thread or another; it must not be blocked if it is not to end here.
    fn switch(&self) {
        let mut state = self.simulation.state.lock();
        self.flush(&mut state);
        if state.is_over {
            drop(state);
            for_ever();
        }
        drop(state);
        let Some(next) = self.simulation.next() else {
            let mut state = self.simulation.state.lock();
            self.simulation.end(&mut state, None);
            if state.threads[self.number].status == Status::Finished {
                return;
            }
            drop(state);
            for_ever();
        };
        let mut state = self.simulation.state.lock();
        let left = state.draw(self.simulation.config.strategy);
        if next == self.number {
            state.now += 100;
            drop(state);
        } else {
            state.now += 500 + state.random.below(2500);
            let (now, from) = (state.now, self.number);
            let line = Line {
                nanoseconds: now,
                thread: from,
                what: "-> thread",
                numbers: [next as i64, 0],
            };
            state.history.note(line);
            let is_finished = state.threads[self.number].status == Status::Finished;
            drop(state);
            self.simulation.hand_over(next);
            if is_finished {
                return;
            }
            self.seat.wait();
        }
        LEFT.set(left);
        DRAWN.set(left);
    }
}

/// The end of a thread in a simulation that has failed: it never returns, nor lets go of anything.
fn for_ever() -> ! {
    loop {
        std::thread::park();
    }
}

fn with<T>(act: impl FnOnce(&Current) -> T) -> Option<T> {
    CURRENT.with(|current| current.try_borrow().ok()?.as_ref().map(act))
}

/// Whether this thread is part of a simulation.
#[must_use]
pub fn is_running() -> bool {
    with(|_| ()).is_some()
}

/// An operation on something shared is about to happen.
#[inline]
#[track_caller]
pub fn point() {
    match LEFT.get() {
        0 => {}
        1 => give_way(Location::caller()),
        left => LEFT.set(left - 1),
    }
}

fn give_way(at: &'static Location<'static>) {
    with(|current| {
        LEFT.set(0);
        {
            let mut state = current.simulation.state.lock();
            state.threads[current.number].at = Some(at);
            if let Strategy::Priorities { .. } = current.simulation.config.strategy {
                let number = current.number;
                state.demote(number);
            }
            let stalls = current.simulation.config.stalls;
            if state.random.chance(stalls) {
                let most = *state.random.pick(&[20_000, 1_000_000, STALL_MAX]);
                let until = Some(state.now + state.random.between(1_000, most));
                let status = Status::Blocked { on: For::Processor, until };
                state.threads[current.number].status = status;
            }
        }
        current.switch();
    });
}

/// Somebody else may make progress while this thread does not.
#[track_caller]
pub fn spin() {
    pass(40);
    let at = Location::caller();
    let gives_way = with(|current| {
        let mut state = current.simulation.state.lock();
        state.random.below(8) == 0
    });
    if gives_way == Some(true) { give_way(at) } else { point() }
}

/// Whether the seed has it that something happens that happens once in so many times; `None`
/// outside of simulations.
pub(super) fn happens(times: u64) -> Option<bool> {
    with(|current| current.simulation.state.lock().random.below(times) == 0)
}

/// Lets time pass.
pub fn pass(nanoseconds: u64) {
    with(|current| {
        let mut state = current.simulation.state.lock();
        current.flush(&mut state);
        state.now += nanoseconds;
    });
}

/// This moment, in nanoseconds.
#[must_use]
pub fn now() -> Option<u64> {
    with(|current| {
        let mut state = current.simulation.state.lock();
        current.flush(&mut state);
        state.now
    })
}

/// Sleeps until called, or until that moment.
#[track_caller]
pub fn block(on: For, until: Option<u64>) -> Woken {
    let at = Location::caller();
    with(|current| {
        {
            let mut state = current.simulation.state.lock();
            let entry = &mut state.threads[current.number];
            entry.at = Some(at);
            entry.status = Status::Blocked { on, until };
        }
        current.switch();
        current.simulation.state.lock().threads[current.number].woken
    })
    .unwrap_or_else(|| panic!("it would block for ever"))
}

/// Wakes those who wait for that.
pub fn wake_all(on: For) {
    with(|current| {
        let mut state = current.simulation.state.lock();
        for number in 0..state.threads.len() {
            if state.threads[number].waits_for(on) {
                state.wake(number, Woken::Called);
            }
        }
    });
    hurry();
}

/// Wakes one that waits to be called.
pub fn call(number: usize) {
    with(|current| {
        let mut state = current.simulation.state.lock();
        if matches!(state.threads[number].status, Status::Blocked { on: For::Call, .. }) {
            state.wake(number, Woken::Called);
        }
    });
    hurry();
}

/// Somebody of higher priority may be able to run now.
fn hurry() {
    let is_by_priority =
        with(|current| matches!(current.simulation.config.strategy, Strategy::Priorities { .. }));
    if is_by_priority == Some(true) && LEFT.get() > 1 {
        with(|current| {
            let state = current.simulation.state.lock();
            let own = state.threads[current.number].priority;
            let is_behind = state
                .threads
                .iter()
                .any(|entry| entry.status == Status::Runnable && entry.priority > own);
            if is_behind {
                // What is left of it does not count as done.
                let cut = LEFT.get() - 2;
                LEFT.set(2);
                DRAWN.set(DRAWN.get() - cut);
            }
        });
    }
}

/// The number of this thread.
#[must_use]
pub fn number() -> usize {
    with(|current| current.number).unwrap_or_default()
}

/// The process that this thread belongs to.
#[must_use]
pub fn process() -> usize {
    with(|current| current.process).unwrap_or_default()
}

/// What happens outside of all threads.
#[must_use]
pub fn devices() -> Option<Arc<dyn Devices>> {
    with(|current| Arc::clone(&current.simulation.devices))
}

/// Draws from the seed.
pub fn draw<T>(draw: impl FnOnce(&mut Random) -> T) -> Option<T> {
    with(|current| draw(&mut current.simulation.state.lock().random))
}

/// Notes what happens.
pub fn note(what: &'static str, numbers: [i64; 2]) {
    with(|current| {
        let mut state = current.simulation.state.lock();
        current.flush(&mut state);
        let (nanoseconds, thread) = (state.now, current.number);
        state.history.note(Line { nanoseconds, thread, what, numbers });
    });
}

/// No other thread of this process ever runs again. Says which.
pub fn kill_others() -> Vec<usize> {
    let killed = with(|current| {
        let mut state = current.simulation.state.lock();
        let is_meant = |(number, entry): &(usize, &mut Entry)| {
            entry.process == current.process
                && *number != current.number
                && entry.status != Status::Finished
        };
        let all = state.threads.iter_mut().enumerate().filter(is_meant);
        all.map(|(number, entry)| {
            entry.status = Status::Finished;
            number
        })
        .collect()
    });
    killed.unwrap_or_default()
}

/// The simulation has found something: it ends here. Does nothing outside of one.
pub fn fail(why: &str) {
    let is_inside = with(|current| {
        let mut state = current.simulation.state.lock();
        let all = state.describe();
        let number = current.number;
        let name = state.threads[number].name.clone();
        current.simulation.end(&mut state, Some(format!("{why}\nin t{number} ({name})\n{all}")));
    });
    if is_inside.is_some() {
        for_ever();
    }
}

/// Whether signals are kept away from this thread, and what changes that.
#[must_use]
pub fn is_masked() -> bool {
    MASKED.get()
}

pub fn set_masked(is_masked: bool) {
    MASKED.set(is_masked);
}

/// How many threads of that process have not ended.
#[must_use]
pub fn threads_of(process: usize) -> Vec<String> {
    let all = with(|current| {
        let state = current.simulation.state.lock();
        let alive = state.threads.iter().enumerate().filter(|(number, entry)| {
            entry.process == process
                && entry.status != Status::Finished
                && *number != current.number
        });
        alive.map(|(number, entry)| format!("t{number} {}", entry.name)).collect()
    });
    all.unwrap_or_default()
}

/// A new thread of this process or another one; `None` when there cannot be one now.
pub(super) fn enlist(name: String, process: Option<usize>, may_fail: MayFail) -> Option<Ticket> {
    with(|current| {
        let mut state = current.simulation.state.lock();
        let failures = current.simulation.config.spawn_failures;
        if may_fail == MayFail::Yes && state.random.chance(failures) {
            state.spawn_failures += 1;
            return None;
        }
        let process = process.unwrap_or(current.process);
        let (number, seat) = state.enlist(name, process);
        let simulation = Arc::clone(&current.simulation);
        Some(Ticket { simulation, number, process, seat, is_masked: MASKED.get() })
    })
    .expect("threads are started inside of a simulation")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MayFail {
    Yes,
    No,
}

/// A place for a thread that is about to be started.
pub(super) struct Ticket {
    simulation: Arc<Simulation>,
    pub(super) number: usize,
    process: usize,
    seat: Arc<Seat>,
    is_masked: bool,
}

impl Ticket {
    /// What the real thread does: it waits for its first turn, and passes the last one on.
    pub(super) fn take<T>(self, work: impl FnOnce() -> T) -> T {
        enter(&self.simulation, self.number, self.process, self.seat, self.is_masked);
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let value = work();
            ending::end();
            value
        }));
        leave();
        match result {
            Ok(value) => value,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

fn start(
    simulation: &Arc<Simulation>,
    number: usize,
    process: usize,
    seat: Arc<Seat>,
    is_masked: bool,
    stack_size: Option<usize>,
    work: impl FnOnce() + Send + 'static,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    let ticket = Ticket { simulation: Arc::clone(simulation), number, process, seat, is_masked };
    let builder = std::thread::Builder::new().stack_size(stack_size.unwrap_or(1 << 20));
    builder.spawn(move || ticket.take(work))
}

fn enter(
    simulation: &Arc<Simulation>,
    number: usize,
    process: usize,
    seat: Arc<Seat>,
    is_masked: bool,
) {
    *seat.thread.lock() = Some(std::thread::current());
    let current =
        Current { simulation: Arc::clone(simulation), number, process, seat: Arc::clone(&seat) };
    CURRENT.with(|place| *place.borrow_mut() = Some(current));
    MASKED.set(is_masked);
    seat.wait();
    let left = {
        let mut state = simulation.state.lock();
        let strategy = simulation.config.strategy;
        state.draw(strategy)
    };
    LEFT.set(left);
    DRAWN.set(left);
}

fn leave() {
    LEFT.set(0);
    with(|current| {
        let mut state = current.simulation.state.lock();
        DRAWN.set(0);
        state.threads[current.number].status = Status::Finished;
        let on = For::Thread(current.number);
        for number in 0..state.threads.len() {
            if state.threads[number].waits_for(on) {
                state.wake(number, Woken::Called);
            }
        }
        drop(state);
        current.switch();
    });
    CURRENT.with(|place| place.borrow_mut().take());
}

/// Waits for the end of a thread.
pub(super) fn join(number: usize) {
    let is_finished = || {
        with(|current| current.simulation.state.lock().threads[number].status == Status::Finished)
    };
    point();
    while is_finished() == Some(false) {
        block(For::Thread(number), None);
    }
}

/// What one operation takes, in nanoseconds.
const STEP: u64 = 15;
/// How long others may have the processor, in nanoseconds.
const STALL_MAX: u64 = 20_000_000;
