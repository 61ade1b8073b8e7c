//! PUB and SUB, and BUS: what is not counted as dropped arrives, once and in order, where it was
//! asked for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::api;
use super::habits::{self, draw, pause};
use super::payload::{self, Stamp};
use super::plan::{Places, Transport, Weather, messages_waiting};
use super::world::{actor, wait_until};
use crate::ffi::abi::nn::*;
use crate::ffi::abi::spmsg::{
    SPMSG_RCVBUF_MESSAGES, SPMSG_SNDBUF_MESSAGES, SPMSG_STAT_MESSAGES_DROPPED,
};
use crate::ffi::abi::{bus::NN_BUS, pubsub::*};
use crate::sync::simulated::random::Random;
use crate::sync::simulated::thread::JoinHandle;
use crate::sync::simulated::{Plain, scheduler};

#[derive(Clone, Debug)]
pub struct Broadcasts {
    kind: Kind,
    weather: Weather,
    transport: Transport,
    number: u32,
    speaker: usize,
    listeners: Vec<usize>,
    messages: u32,
    size_max: u64,
    buffer: i32,
    pause_max: u64,
    binder: Binder,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Publication,
    Bus,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Binder {
    Speaker,
    /// The only one that listens.
    Listener,
}

impl Broadcasts {
    pub fn draw(random: &mut Random, weather: Weather, places: &mut Places) -> Broadcasts {
        let kind = if random.below(3) == 0 { Kind::Bus } else { Kind::Publication };
        let transport = Transport::draw(random);
        let own = Places::process(random);
        let count = random.between(1, 4);
        let near = |random: &mut Random| match transport {
            Transport::Inproc => own,
            Transport::Ipc | Transport::Tcp | Transport::Ws => Places::process(random),
        };
        let listeners: Vec<_> = (0..count).map(|_| near(random)).collect();
        let binder =
            if count == 1 && random.below(2) == 0 { Binder::Listener } else { Binder::Speaker };
        Broadcasts {
            kind,
            weather,
            transport,
            number: places.next(),
            speaker: own,
            listeners,
            messages: random.between(1, 120) as u32,
            size_max: *random.pick(&[12, 100, 2000]),
            buffer: *random.pick(&[1000, 128 * 1024]),
            pause_max: *random.pick(&[0, 1_000, 100_000, 1_000_000]),
            binder,
        }
    }

    /// Where strangers can come in.
    pub fn listens_at(&self) -> (Transport, u32) {
        (self.transport, self.number)
    }

    pub fn shrink(&mut self, is_about_threads: bool) {
        if is_about_threads {
            self.listeners.truncate(1);
        } else {
            self.messages = self.messages.div_ceil(2);
        }
    }

    /// The topics of that listener: the first letter of what it wants.
    fn topics(&self, listener: usize) -> Vec<u8> {
        match (self.kind, listener % 3) {
            (Kind::Bus, _) | (_, 0) => TOPICS.to_vec(),
            (_, 1) => vec![TOPICS[0]],
            _ => vec![TOPICS[1], TOPICS[2]],
        }
    }

    fn topic(number: u32) -> u8 {
        TOPICS[number as usize % TOPICS.len()]
    }

    fn expected(&self, listener: usize) -> usize {
        let topics = self.topics(listener);
        (0..self.messages).filter(|number| topics.contains(&Self::topic(*number))).count()
    }
}

#[derive(Default)]
struct Seen {
    /// How many each listener has.
    received: BTreeMap<usize, usize>,
    dropped: Option<u64>,
    are_done: usize,
}

struct Shared {
    plan: Broadcasts,
    seen: Plain<Seen>,
}

pub fn start(plan: Broadcasts) -> Vec<JoinHandle<()>> {
    let shared = Arc::new(Shared { plan, seen: Plain::default() });
    let speaker = Arc::clone(&shared);
    let mut all = vec![actor(shared.plan.speaker, "speaker", move || run_speaker(&speaker))];
    for (number, process) in shared.plan.listeners.iter().enumerate() {
        let shared = Arc::clone(&shared);
        all.push(actor(*process, "listener", move || run_listener(&shared, number)));
    }
    all
}

impl Shared {
    fn open(&self, protocol: i32) -> i32 {
        let plan = &self.plan;
        let protocol = if plan.kind == Kind::Bus { NN_BUS } else { protocol };
        let waiting = messages_waiting(plan.number);
        let options = [
            (NN_SNDBUF, plan.buffer),
            (NN_RCVBUF, plan.buffer),
            (SPMSG_SNDBUF_MESSAGES, waiting),
            (SPMSG_RCVBUF_MESSAGES, waiting),
        ];
        habits::open(AF_SP, protocol, &options)
    }

    fn attach(&self, handle: i32, is_binder: bool) {
        let [to_bind, to_connect] = self.plan.transport.addresses(self.plan.number);
        if is_binder {
            habits::bind(handle, &to_bind);
        } else {
            habits::connect(handle, &to_connect);
        }
    }

    /// What has neither arrived nor was counted as dropped.
    fn missing(&self) -> Option<u64> {
        let seen = self.seen.lock();
        let plan = &self.plan;
        let missing = |listener: usize| {
            let got = seen.received.get(&listener).copied().unwrap_or_default();
            plan.expected(listener) - got.min(plan.expected(listener))
        };
        let missing: usize = (0..plan.listeners.len()).map(missing).sum();
        Some((missing as u64).saturating_sub(seen.dropped?))
    }
}

fn run_speaker(shared: &Shared) {
    let plan = &shared.plan;
    let handle = shared.open(NN_PUB);
    shared.attach(handle, plan.binder == Binder::Speaker);
    let count = plan.listeners.len() as u64;
    let is_heard = || api::statistic(handle, NN_STAT_CURRENT_CONNECTIONS) >= count;
    let patience = if plan.weather == Weather::Fair { 300 } else { 20 };
    if !wait_until(Duration::from_secs(patience), is_heard) && plan.weather == Weather::Fair {
        scheduler::fail("listeners do not connect");
    }
    for number in 0..plan.messages {
        let stamp = Stamp { sender: 0, number };
        let mut body = vec![Broadcasts::topic(number)];
        body.extend(payload::body(stamp, draw(0, plan.size_max) as usize));
        loop {
            match api::send(handle, &body, 0) {
                Ok(_) => break,
                Err(libc::EINTR | libc::ENOMEM) => {}
                Err(code) => scheduler::fail(&format!("publishing fails: {code}")),
            }
        }
        pause(plan.pause_max);
    }
    let dropped = api::statistic(handle, SPMSG_STAT_MESSAGES_DROPPED);
    if api::statistic(handle, NN_STAT_MESSAGES_SENT) != plan.messages.into() {
        scheduler::fail("messages sent are not counted");
    }
    habits::close(handle, Duration::from_secs(700));
    shared.seen.lock().dropped = Some(dropped);
}

fn run_listener(shared: &Arc<Shared>, listener: usize) {
    let plan = &shared.plan;
    let handle = shared.open(NN_SUB);
    if plan.kind == Kind::Publication {
        for topic in plan.topics(listener) {
            habits::persist(|| api::set_bytes(handle, NN_SUB, NN_SUB_SUBSCRIBE, &[topic]));
        }
    }
    shared.attach(handle, plan.binder == Binder::Listener);
    let inside = Arc::clone(shared);
    let hearing = actor(scheduler::process(), "hears", move || hear(&inside, handle, listener));
    let patience = if plan.weather == Weather::Fair { 700 } else { 60 };
    let is_complete = || shared.missing() == Some(0);
    if !wait_until(Duration::from_secs(patience), is_complete) && plan.weather == Weather::Fair {
        let (missing, seen) = (shared.missing(), shared.seen.lock());
        let text = format!(
            "broadcasts are lost and not counted: {missing:?} missing; {:?} received, {:?} dropped",
            seen.received, seen.dropped
        );
        drop(seen);
        scheduler::fail(&text);
    }
    shared.seen.lock().are_done += 1;
    let all_done = || shared.seen.lock().are_done == plan.listeners.len();
    wait_until(Duration::from_secs(700), all_done);
    let received = || api::statistic(handle, NN_STAT_MESSAGES_RECEIVED);
    let seen = || shared.seen.lock().received.get(&listener).copied().unwrap_or_default() as u64;
    // One may have been counted a moment ago that the program has not looked at yet.
    if !wait_until(Duration::from_secs(1), || received() == seen()) {
        let (received, seen) = (received(), seen());
        scheduler::fail(&format!("{seen} messages were received, {received} are counted"));
    }
    habits::close(handle, Duration::from_secs(700));
    let _ = hearing.join();
}

fn hear(shared: &Shared, handle: i32, listener: usize) {
    let topics = shared.plan.topics(listener);
    let mut next = 0;
    loop {
        match api::recv(handle, 0) {
            Ok(body) => {
                let Some((topic, rest)) = body.split_first() else {
                    return scheduler::fail("a broadcast is empty");
                };
                let Some(Stamp { number, .. }) = payload::read(rest) else {
                    return scheduler::fail("a broadcast has changed on the way");
                };
                if !topics.contains(topic) || *topic != Broadcasts::topic(number) {
                    scheduler::fail("a broadcast that nobody wants is received");
                }
                if number < next {
                    scheduler::fail(&format!("broadcast {number} comes late or twice"));
                }
                next = number + 1;
                *shared.seen.lock().received.entry(listener).or_default() += 1;
            }
            Err(libc::EBADF) => return,
            Err(libc::EINTR | libc::ENOMEM) => {}
            Err(code) => scheduler::fail(&format!("receiving a broadcast fails: {code}")),
        }
    }
}

const TOPICS: [u8; 3] = *b"abc";
