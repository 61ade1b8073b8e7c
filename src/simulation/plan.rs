//! What one seed is about: the machine, the way threads are chosen, the programs.

use crate::sync::simulated::random::Random;
use crate::sync::simulated::scheduler::Strategy;
use crate::sys::simulated::{Faults, Machine};

use super::broadcasts::Broadcasts;
use super::chaos::Chaos;
use super::delivery::Delivery;
use super::requests::Requests;
use super::strangers::{Trap, Visitors};
use super::surveys::Surveys;

#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub strategy: Strategy,
    pub machine: Machine,
    pub stalls: u32,
    pub spawn_failures: u32,
    pub weather: Weather,
    pub programs: Vec<Program>,
}

/// Whether connections end by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// What is accepted arrives.
    Fair,
    /// Streams are reset, and what was on its way is lost.
    Foul,
}

#[derive(Clone, Debug)]
pub enum Program {
    Delivery(Delivery),
    Requests(Requests),
    Broadcasts(Broadcasts),
    Surveys(Surveys),
    Chaos(Chaos),
    Visitors(Visitors),
    Trap(Trap),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Inproc,
    Ipc,
    Tcp,
    Ws,
}

impl Transport {
    /// The address of that number: to bind, and to connect to.
    #[must_use]
    pub fn addresses(self, number: u32) -> [String; 2] {
        let both = |address: String| [address.clone(), address];
        match self {
            Transport::Inproc => both(format!("inproc://a{number}")),
            Transport::Ipc => both(format!("ipc:///sim/a{number}")),
            Transport::Tcp if number.is_multiple_of(3) => {
                [format!("tcp://*:{}", 5000 + number), format!("tcp://localhost:{}", 5000 + number)]
            }
            Transport::Tcp => both(format!("tcp://127.0.0.1:{}", 5000 + number)),
            Transport::Ws => both(format!("ws://127.0.0.1:{}/sim", 5000 + number)),
        }
    }

    pub fn draw(random: &mut Random) -> Transport {
        *random.pick(&[Transport::Inproc, Transport::Ipc, Transport::Tcp, Transport::Ws])
    }
}

impl Plan {
    #[must_use]
    pub fn new(seed: u64) -> Plan {
        let mut random = Random::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x51);
        let random = &mut random;
        let mean = *random.pick(&[1, 2, 5, 10, 30, 100, 400, 2000]);
        let strategy = match random.below(3) {
            0 => Strategy::Priorities { mean: *random.pick(&[20, 100, 1000, 5000]) },
            _ => Strategy::Random { mean },
        };
        let weather = if random.below(3) == 0 { Weather::Foul } else { Weather::Fair };
        let rate = *random.pick(&[0, 0, 1_000, 10_000, 60_000]);
        let machine = machine(random, weather, rate);
        let spawn_failures = if random.below(4) == 0 { rate * 3 } else { 0 };
        let stalls = *random.pick(&[0, 300, 3_000, 30_000]);
        let count = random.between(1, 2);
        let mut places = Places::default();
        let mut programs: Vec<_> =
            (0..count).map(|_| Program::draw(random, weather, &mut places)).collect();
        let visited: Vec<_> = programs.iter().flat_map(Program::listens_at).collect();
        if random.below(3) == 0 && !visited.is_empty() {
            programs.push(Program::Visitors(Visitors::draw(random, visited)));
        }
        Plan { seed, strategy, machine, stalls, spawn_failures, weather, programs }
    }
}

/// What is left out of a plan, so that what remains is easier to understand.
#[derive(Clone, Debug, Default)]
pub struct Shrinking {
    pub steps: Vec<usize>,
    /// Another order of things for the same plan; 0 for its own.
    pub schedule: u64,
}

impl Plan {
    /// How many ways there are to make a plan smaller.
    pub const STEPS: usize = 21;

    /// The same with less in it.
    #[must_use]
    pub fn shrunk(mut self, shrinking: &Shrinking) -> Plan {
        shrinking.steps.iter().for_each(|step| self.shrink(*step));
        if shrinking.schedule > 0 {
            self.seed ^= shrinking.schedule << 48;
        }
        self
    }

    fn shrink(&mut self, step: usize) {
        let faults = &mut self.machine.faults;
        match step {
            0 if self.programs.len() > 1 => drop(self.programs.remove(0)),
            1 if self.programs.len() > 1 => drop(self.programs.pop()),
            2 => faults.short = 0,
            3 => faults.again = 0,
            4 => faults.interrupted = 0,
            5 => faults.shortage = 0,
            6 => faults.no_descriptor = 0,
            7 => faults.unreachable = 0,
            8 => faults.unacceptable = 0,
            9 => faults.unbindable = 0,
            10 => faults.unwatchable = 0,
            11 => faults.spurious = 0,
            12 => faults.slow = 0,
            13 => faults.reset = 0,
            14 => faults.stalled = 0,
            15 => faults.unknown_name = 0,
            16 => self.spawn_failures = 0,
            20 => self.stalls = 0,
            17 => self.machine.has_closed_standard = false,
            18 | 19 => self.programs.iter_mut().for_each(|program| program.shrink(step == 19)),
            _ => {}
        }
    }
}

impl Program {
    fn draw(random: &mut Random, weather: Weather, places: &mut Places) -> Program {
        match random.below(10) {
            0..=2 => Program::Delivery(Delivery::draw(random, weather, places)),
            3 | 4 => Program::Requests(Requests::draw(random, weather, places)),
            5 | 6 => Program::Broadcasts(Broadcasts::draw(random, weather, places)),
            7 => Program::Surveys(Surveys::draw(random, weather, places)),
            8 => Program::Chaos(Chaos::draw(random, places)),
            _ => Program::Trap(Trap::draw(random, places)),
        }
    }

    /// Where strangers can come in.
    fn listens_at(&self) -> Vec<(Transport, u32)> {
        let all = match self {
            Program::Delivery(it) => vec![it.listens_at()],
            Program::Requests(it) => it.listens_at(),
            Program::Broadcasts(it) => vec![it.listens_at()],
            Program::Surveys(it) => vec![it.listens_at()],
            Program::Chaos(it) => it.listens_at(),
            Program::Visitors(_) | Program::Trap(_) => Vec::new(),
        };
        all.into_iter().filter(|(transport, _)| *transport != Transport::Inproc).collect()
    }

    fn shrink(&mut self, is_about_threads: bool) {
        match self {
            Program::Delivery(it) => it.shrink(is_about_threads),
            Program::Requests(it) => it.shrink(is_about_threads),
            Program::Broadcasts(it) => it.shrink(is_about_threads),
            Program::Surveys(it) => it.shrink(is_about_threads),
            Program::Chaos(it) => it.shrink(is_about_threads),
            Program::Visitors(it) => it.shrink(),
            Program::Trap(it) => it.shrink(),
        }
    }
}

/// Addresses and processes that were given out.
#[derive(Debug, Default)]
pub struct Places {
    next: u32,
}

/// How many processes there are, beside the one that watches.
pub const PROCESSES: usize = 3;

impl Places {
    pub fn next(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    pub fn process(random: &mut Random) -> usize {
        1 + random.index(PROCESSES)
    }
}

/// How many messages may wait at the place of that number: of some as many as their bytes allow, of
/// others so few that they are full all the time.
pub fn messages_waiting(place: u32) -> i32 {
    if place.is_multiple_of(3) { 1 + (place / 3 % 4) as i32 } else { 0 }
}

/// Each kind of trouble comes at its own rate, some not at all.
fn machine(random: &mut Random, weather: Weather, rate: u32) -> Machine {
    let mut some = |rate: u32| if random.below(2) == 0 { 0 } else { rate };
    let faults = Faults {
        short: some(rate * 8),
        again: some(rate),
        interrupted: some(rate),
        shortage: some(rate / 2),
        no_descriptor: some(rate),
        unreachable: some(rate * 3),
        unacceptable: some(rate * 3),
        unbindable: some(rate),
        // A stream that cannot be watched is given up.
        unwatchable: if weather == Weather::Foul { some(rate) } else { 0 },
        spurious: some(rate),
        slow: some(rate / 10),
        reset: if weather == Weather::Foul { 150_000 } else { 0 },
        stalled: if weather == Weather::Foul { some(50_000) } else { 0 },
        unknown_name: some(rate * 3),
    };
    Machine {
        faults,
        descriptors_max: 1000,
        buffer_max: *random.pick(&[200, 1000, 5000, 60_000, 400_000]),
        latency_max: *random.pick(&[0, 10_000, 200_000, 5_000_000]),
        cpus: random.between(1, 2) as usize,
        has_closed_standard: random.below(20) == 0,
        lookup_max: *random.pick(&[0, 1_000_000, 500_000_000]),
    }
}
