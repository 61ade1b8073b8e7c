//! SURVEYOR and RESPONDENT: answers to the survey that is open, each once, and an end in time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::api;
use super::habits::{self, draw, pause};
use super::payload::{self, Stamp};
use super::plan::{Places, Transport, Weather};
use super::world::{actor, wait_until};
use crate::ffi::abi::nn::*;
use crate::ffi::abi::spmsg::SPMSG_STAT_MESSAGES_DROPPED;
use crate::ffi::abi::survey::*;
use crate::sync::simulated::random::Random;
use crate::sync::simulated::thread::JoinHandle;
use crate::sync::simulated::{Plain, scheduler};
use crate::sys;

#[derive(Clone, Debug)]
pub struct Surveys {
    weather: Weather,
    transport: Transport,
    number: u32,
    surveyor: usize,
    respondents: Vec<usize>,
    rounds: u32,
    size_max: u64,
    /// In milliseconds.
    deadline: i32,
    pause_max: u64,
}

impl Surveys {
    pub fn draw(random: &mut Random, weather: Weather, places: &mut Places) -> Surveys {
        let transport = Transport::draw(random);
        let own = Places::process(random);
        let near = |random: &mut Random| match transport {
            Transport::Inproc => own,
            Transport::Ipc | Transport::Tcp | Transport::Ws => Places::process(random),
        };
        Surveys {
            weather,
            transport,
            number: places.next(),
            surveyor: own,
            respondents: (0..random.between(1, 4)).map(|_| near(random)).collect(),
            rounds: random.between(1, 8) as u32,
            size_max: *random.pick(&[12, 1000]),
            deadline: *random.pick(&[1, 20, 5000]),
            pause_max: *random.pick(&[0, 10_000, 3_000_000]),
        }
    }

    /// Where strangers can come in.
    pub fn listens_at(&self) -> (Transport, u32) {
        (self.transport, self.number)
    }

    pub fn shrink(&mut self, is_about_threads: bool) {
        if is_about_threads {
            self.respondents.truncate(1);
        } else {
            self.rounds = self.rounds.div_ceil(2);
        }
    }
}

struct Shared {
    plan: Surveys,
    is_over: Plain<bool>,
}

pub fn start(plan: Surveys) -> Vec<JoinHandle<()>> {
    let shared = Arc::new(Shared { plan, is_over: Plain::new(false) });
    let inside = Arc::clone(&shared);
    let mut all = vec![actor(shared.plan.surveyor, "surveyor", move || run_surveyor(&inside))];
    for (number, process) in shared.plan.respondents.iter().enumerate() {
        let shared = Arc::clone(&shared);
        all.push(actor(*process, "respondent", move || run_respondent(&shared, number as u32)));
    }
    all
}

fn run_surveyor(shared: &Shared) {
    let plan = &shared.plan;
    let handle = habits::open(AF_SP, NN_SURVEYOR, &[]);
    let set = api::set(handle, NN_SURVEYOR, NN_SURVEYOR_DEADLINE, plan.deadline);
    set.expect("the option is fine");
    habits::bind(handle, &plan.transport.addresses(plan.number)[0]);
    let count = plan.respondents.len();
    let is_complete = || api::statistic(handle, NN_STAT_CURRENT_CONNECTIONS) >= count as u64;
    let patience = if plan.weather == Weather::Fair { 300 } else { 10 };
    if !wait_until(Duration::from_secs(patience), is_complete) && plan.weather == Weather::Fair {
        scheduler::fail("respondents do not connect");
    }
    for number in 0..plan.rounds {
        let body = payload::body(Stamp { sender: 0, number }, draw(0, plan.size_max) as usize);
        match api::send(handle, &body, 0) {
            Ok(_) => {}
            Err(libc::EINTR | libc::ENOMEM) => continue,
            Err(code) => scheduler::fail(&format!("a survey cannot be sent: {code}")),
        }
        let answered = count_answers(plan, handle, number);
        let all_can = plan.weather == Weather::Fair && plan.deadline >= 5000;
        // A connection is counted a moment before it takes its first message.
        let dropped = api::statistic(handle, SPMSG_STAT_MESSAGES_DROPPED) as usize;
        if all_can && answered + dropped < count {
            scheduler::fail(&format!("a survey has {answered} answers, not {count}"));
        }
        if plan.deadline >= 5000 {
            pause(plan.pause_max);
        }
    }
    habits::close(handle, Duration::from_secs(700));
    *shared.is_over.lock() = true;
}

fn count_answers(plan: &Surveys, handle: i32, number: u32) -> usize {
    // Not earlier than it was sent, which is a moment ago.
    let began = sys::now();
    let mut from = BTreeSet::new();
    loop {
        match api::recv(handle, 0) {
            Ok(answer) => {
                let Some(stamp) = payload::read(&answer) else {
                    scheduler::fail("an answer has changed on the way");
                    return 0;
                };
                if stamp.number != number {
                    scheduler::fail(&format!("{stamp:?} answers survey {number}"));
                }
                if !from.insert(stamp.sender) {
                    scheduler::fail(&format!("{stamp:?} answers twice"));
                }
            }
            Err(libc::ETIMEDOUT) => break,
            Err(EFSM) if began.elapsed_now() >= Duration::from_millis(plan.deadline as u64) => {
                break;
            }
            Err(libc::EINTR | libc::ENOMEM) => {}
            Err(code) => scheduler::fail(&format!("receiving an answer fails: {code}")),
        }
    }
    let took = sys::now() - began;
    let deadline = Duration::from_millis(plan.deadline as u64);
    if took + EARLY < deadline && plan.deadline > 100 {
        scheduler::fail(&format!("a survey of {deadline:?} ends after {took:?}"));
    }
    if took > deadline + LATE {
        scheduler::fail(&format!("a survey of {deadline:?} goes on for {took:?}"));
    }
    from.len()
}

trait Elapsed {
    fn elapsed_now(self) -> Duration;
}

impl Elapsed for std::time::Instant {
    fn elapsed_now(self) -> Duration {
        sys::now() - self
    }
}

fn run_respondent(shared: &Arc<Shared>, number: u32) {
    let plan = &shared.plan;
    let handle = habits::open(AF_SP, NN_RESPONDENT, &[]);
    habits::connect(handle, &plan.transport.addresses(plan.number)[1]);
    let pause_max = plan.pause_max;
    let answering = actor(scheduler::process(), "answers", move || {
        loop {
            match api::recv(handle, 0) {
                Ok(body) => {
                    let Some(stamp) = payload::read(&body) else {
                        return scheduler::fail("a survey has changed on the way");
                    };
                    pause(pause_max);
                    let stamp = Stamp { sender: number, ..stamp };
                    let _ = api::send(handle, &payload::body(stamp, 0), 0);
                }
                Err(libc::EBADF) => return,
                Err(libc::EINTR | libc::ENOMEM) => {}
                Err(code) => scheduler::fail(&format!("receiving a survey fails: {code}")),
            }
        }
    });
    if !wait_until(Duration::from_secs(3000), || *shared.is_over.lock()) {
        scheduler::fail("surveys do not end");
    }
    habits::close(handle, Duration::from_secs(700));
    let _ = answering.join();
}

/// Between sending a survey and looking at the clock; slow calls lie in between.
const EARLY: Duration = Duration::from_millis(100);
/// The promise is 50 milliseconds; every call on the way may be slow.
const LATE: Duration = Duration::from_millis(400);
