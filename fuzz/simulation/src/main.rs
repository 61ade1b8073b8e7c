//! Runs seeds of the simulation: fresh ones for as long as is asked, or one again.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use spmsg::simulation::{Plan, Report, Shrinking, run};

const HELP: &str = "\
simulate [--seconds N] [--first SEED] [--seeds N] [--jobs N]
                        runs fresh seeds, one after the other, until one of them fails
simulate --seed SEED [--shrink STEPS] [--schedule N]
                        runs one again, and prints its history when it fails
simulate --seed SEED --lines N
                        the same, and prints the end of its history in any case
simulate --kept         runs those that once failed, of fuzz/simulation/seeds.txt";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|it| it == "--help") {
        println!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let number = |name: &str| {
        let at = arguments.iter().position(|it| it == name)?;
        let text = arguments.get(at + 1)?;
        Some(text.parse::<u64>().unwrap_or_else(|_| panic!("{name} {text} is no number")))
    };
    let text = |name: &str| {
        let at = arguments.iter().position(|it| it == name)?;
        arguments.get(at + 1).cloned()
    };
    if arguments.iter().any(|it| it == "--kept") {
        return run_kept();
    }
    if let Some(seed) = number("--seed") {
        let mut shrinking = Shrinking::default();
        shrinking.schedule = number("--schedule").unwrap_or(0);
        let steps = text("--shrink").unwrap_or_default();
        shrinking.steps = steps.split(',').filter_map(|step| step.parse().ok()).collect();
        return run_again(seed, &shrinking, number("--lines"));
    }
    let fresh = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |it| it.as_secs() * 100_000);
    let first = number("--first").unwrap_or(fresh);
    let limit = Limit {
        seconds: number("--seconds").unwrap_or(60),
        seeds: number("--seeds").unwrap_or(u64::MAX),
        jobs: number("--jobs").unwrap_or(1),
    };
    run_many(first, &limit)
}

struct Limit {
    seconds: u64,
    seeds: u64,
    jobs: u64,
}

#[derive(Default)]
struct Totals {
    seeds: u64,
    nanoseconds: u64,
    steps: u64,
    switches: u64,
    threads: u64,
    faults: BTreeMap<&'static str, u64>,
    failed: Vec<(u64, String)>,
}

impl Totals {
    fn add(&mut self, seed: u64, report: Report) {
        self.seeds += 1;
        self.nanoseconds += report.outcome.nanoseconds;
        self.steps += report.outcome.steps;
        self.switches += report.outcome.switches;
        self.threads += report.outcome.threads as u64;
        for (name, count) in report.faults {
            *self.faults.entry(name).or_default() += count;
        }
        if let Some(failure) = report.outcome.failure {
            self.failed.push((seed, failure));
        }
    }

    fn print(&self, took: Duration) {
        let hours = self.nanoseconds as f64 / 3.6e12;
        println!(
            "{} seeds in {} s: {hours:.2} simulated hours, {} threads, {} operations, {} switches",
            self.seeds,
            took.as_secs(),
            self.threads,
            self.steps,
            self.switches
        );
        for (name, count) in &self.faults {
            println!("{count:>10} {name}");
        }
    }
}

fn run_many(first: u64, limit: &Limit) -> ExitCode {
    println!("the first seed is {first}");
    let (began, totals) = (Instant::now(), Mutex::new(Totals::default()));
    let (next, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    let work = || {
        while began.elapsed() < Duration::from_secs(limit.seconds)
            && !is_over.load(Ordering::Relaxed)
        {
            let count = next.fetch_add(1, Ordering::Relaxed);
            if count >= limit.seeds {
                break;
            }
            let seed = first + count;
            let mut report = run(&Plan::new(seed), 0);
            if count % REPEATED == 0 && report.outcome.failure.is_none() {
                report.outcome.failure = differs(seed, &report);
            }
            is_over.fetch_or(report.outcome.failure.is_some(), Ordering::Relaxed);
            totals.lock().unwrap().add(seed, report);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..limit.jobs {
            scope.spawn(work);
        }
    });
    let totals = totals.into_inner().unwrap();
    totals.print(began.elapsed());
    let Some((seed, failure)) = totals.failed.first() else { return ExitCode::SUCCESS };
    println!("seed {seed} fails: {failure}");
    let shrinking = shrink(*seed, failure, Duration::from_secs(60));
    print_failure(*seed, &shrinking, 400);
    ExitCode::FAILURE
}

/// What is wrong when the same seed goes another way now.
fn differs(seed: u64, report: &Report) -> Option<String> {
    let again = run(&Plan::new(seed), 0);
    let (first, second) = (report.outcome.digest, again.outcome.digest);
    (first != second).then(|| format!("it goes another way when it runs again: {first:x} {second:x}"))
}

/// Looks for less that fails in the same way.
fn shrink(seed: u64, failure: &str, patience: Duration) -> Shrinking {
    let (began, mut best) = (Instant::now(), Shrinking::default());
    let wanted = kind(failure);
    for step in (0..Plan::STEPS).chain(0..Plan::STEPS) {
        let mut shrinking = best.clone();
        shrinking.steps.push(step);
        let plan = Plan::new(seed).shrunk(&shrinking);
        if format!("{plan:?}") == format!("{:?}", Plan::new(seed).shrunk(&best)) {
            continue;
        }
        for schedule in 0..30 {
            if began.elapsed() > patience {
                return best;
            }
            shrinking.schedule = schedule;
            let report = run(&Plan::new(seed).shrunk(&shrinking), 0);
            if report.outcome.failure.is_some_and(|failure| kind(&failure) == wanted) {
                best = shrinking;
                break;
            }
        }
    }
    best
}

/// What a failure is about, without the numbers in it.
fn kind(failure: &str) -> String {
    let line = failure.lines().next().unwrap_or_default();
    line.split(':').next().unwrap_or_default().to_owned()
}

fn print_failure(seed: u64, shrinking: &Shrinking, lines: usize) {
    let plan = Plan::new(seed).shrunk(shrinking);
    let report = run(&plan, lines);
    println!("{plan:#?}");
    println!("the end of its history:");
    for line in &report.outcome.lines {
        println!("{line}");
    }
    println!("{}", report.outcome.failure.as_deref().unwrap_or("it does not fail"));
    let steps: Vec<_> = shrinking.steps.iter().map(ToString::to_string).collect();
    let mut again = format!("--seed {seed}");
    if !steps.is_empty() {
        again += &format!(" --shrink {} --schedule {}", steps.join(","), shrinking.schedule);
    }
    println!("again: make simulate ARGS=\"{again}\"");
}

fn run_again(seed: u64, shrinking: &Shrinking, lines: Option<u64>) -> ExitCode {
    let plan = Plan::new(seed).shrunk(shrinking);
    let report = run(&plan, 0);
    let outcome = &report.outcome;
    println!(
        "seed {seed}: {:.6} simulated seconds, {} switches, history {:016x}",
        outcome.nanoseconds as f64 / 1e9,
        outcome.switches,
        outcome.digest
    );
    let is_fine = outcome.failure.is_none();
    if !is_fine || lines.is_some() {
        print_failure(seed, shrinking, lines.unwrap_or(400) as usize);
    }
    if is_fine { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Each line of the file is a seed, then maybe how to shrink it, and behind a # what it found.
fn run_kept() -> ExitCode {
    let kept = include_str!("../seeds.txt");
    let mut failed = 0;
    for line in kept.lines() {
        let words: Vec<_> = line.split('#').next().unwrap_or_default().split_whitespace().collect();
        let [seed, rest @ ..] = &words[..] else { continue };
        let seed = seed.parse().expect("a line begins with a seed");
        let mut shrinking = Shrinking::default();
        if let [steps, schedule] = rest {
            shrinking.steps = steps.split(',').filter_map(|step| step.parse().ok()).collect();
            shrinking.schedule = schedule.parse().expect("then comes a schedule");
        }
        let report = run(&Plan::new(seed).shrunk(&shrinking), 0);
        let result = report.outcome.failure.as_deref().unwrap_or("fine");
        println!("seed {seed}: {result}");
        let _ = std::io::stdout().flush();
        failed += usize::from(report.outcome.failure.is_some());
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One in so many seeds runs twice, to see that it goes the same way.
const REPEATED: u64 = 16;
