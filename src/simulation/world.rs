//! One run: the machine, its processes, and the judge who comes when all programs have ended.

use std::sync::{Arc, Once};
use std::time::Duration;

use super::plan::{PROCESSES, Plan, Program};
use super::{broadcasts, chaos, delivery, requests, strangers, surveys};
use crate::sync::simulated::scheduler::{self, Config, Outcome};
use crate::sync::simulated::thread::{Builder, JoinHandle, sleep};
use crate::sys::simulated::Kernel;

pub struct Report {
    pub outcome: Outcome,
    pub faults: Vec<(&'static str, u64)>,
}

/// Runs one seed. `lines` of its history are kept.
#[must_use]
pub fn run(plan: &Plan, lines: usize) -> Report {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(watch_panics);
    let kernel = Arc::new(Kernel::new(plan.machine.clone()));
    let config = Config {
        seed: plan.seed,
        strategy: plan.strategy,
        stalls: plan.stalls,
        spawn_failures: plan.spawn_failures,
        lines,
        steps_max: 500_000_000,
        time_max: 3_600_000_000_000,
    };
    let (inside, programs) = (Arc::clone(&kernel), plan.programs.clone());
    let outcome = scheduler::run(config, Arc::clone(&kernel) as _, move || {
        let all: Vec<_> = programs.into_iter().flat_map(start).collect();
        for actor in all {
            let _ = actor.join();
        }
        inside.calm_down();
        for process in (1..=PROCESSES + 1).chain([strangers::PROCESS]) {
            clean_up(&inside, process);
        }
    });
    let mut faults = kernel.counts();
    if outcome.spawn_failures > 0 {
        faults.push(("no thread", outcome.spawn_failures));
    }
    Report { outcome, faults }
}

/// A panic inside of a simulation is what it was looking for, whoever would catch it.
fn watch_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if scheduler::is_running() {
            let trace = std::backtrace::Backtrace::force_capture();
            scheduler::fail(&format!("panic: {info}\n{trace}"));
        }
        usual(info);
    }));
}

fn start(program: Program) -> Vec<JoinHandle<()>> {
    match program {
        Program::Delivery(it) => delivery::start(it),
        Program::Requests(it) => requests::start(it),
        Program::Broadcasts(it) => broadcasts::start(it),
        Program::Surveys(it) => surveys::start(it),
        Program::Chaos(it) => chaos::start(it),
        Program::Visitors(it) => strangers::visit(it),
        Program::Trap(it) => strangers::lure(it),
    }
}

/// A thread of a process that is not the library's.
pub fn actor(
    process: usize,
    name: &'static str,
    work: impl FnOnce() + Send + 'static,
) -> JoinHandle<()> {
    Builder::new().name(name.into()).process(process).spawn(work).expect("an actor is always there")
}

/// Nothing is left of the library when all sockets are closed.
fn clean_up(kernel: &Arc<Kernel>, process: usize) {
    let kernel = Arc::clone(kernel);
    let judge = actor(process, "judge", move || {
        // Who looks up names may still be at it.
        let until_idle = (0..1000).find(|_| {
            let is_idle = scheduler::threads_of(process).is_empty();
            if !is_idle {
                sleep(Duration::from_millis(10));
            }
            is_idle
        });
        if until_idle.is_none() {
            let left = scheduler::threads_of(process);
            scheduler::fail(&format!("threads are left: {left:?}"));
        }
        let left = kernel.descriptors_of(process);
        if !left.is_empty() {
            scheduler::fail(&format!("descriptors are left: {left:?}"));
        }
    });
    let _ = judge.join();
    if process == strangers::PROCESS && !kernel_files(process).is_empty() {
        scheduler::fail("files are left");
    }
}

fn kernel_files(_process: usize) -> Vec<std::path::PathBuf> {
    let devices = scheduler::devices().expect("this is a simulation");
    devices.as_any().downcast_ref::<Kernel>().map(Kernel::files).unwrap_or_default()
}

/// Waits until `is_so`, or so long that it never will be.
pub fn wait_until(patience: Duration, is_so: impl Fn() -> bool) -> bool {
    let began = crate::sys::now();
    while !is_so() {
        if crate::sys::now() - began > patience {
            return false;
        }
        sleep(Duration::from_millis(2));
    }
    true
}
