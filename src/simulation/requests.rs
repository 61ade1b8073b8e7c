//! REQ and REP, through a device or not: each request gets its own reply, once.

use std::sync::Arc;
use std::time::Duration;

use super::api;
use super::habits::{self, PROMPTLY, draw, pause};
use super::payload::{self, Stamp};
use super::plan::{Places, Transport, Weather};
use super::world::{actor, wait_until};
use crate::ffi::abi::nn::*;
use crate::ffi::abi::reqrep::*;
use crate::ffi::abi::spmsg::SPMSG_REQ_RESEND_ON_LOSS;
use crate::sync::simulated::random::Random;
use crate::sync::simulated::thread::{JoinHandle, sleep};
use crate::sync::simulated::{Plain, scheduler};

#[derive(Clone, Debug)]
pub struct Requests {
    weather: Weather,
    /// Where servers are, or the device's front.
    front: (Transport, u32),
    /// Where servers connect to a device.
    back: Option<(Transport, u32)>,
    clients: Vec<usize>,
    servers: Vec<usize>,
    middle: usize,
    rounds: u32,
    size_max: u64,
    resend: i32,
    pause_max: u64,
    /// How many of a hundred requests are given up for another one.
    given_up: u64,
    /// What is lost is told, and the client asks again by itself.
    asks_once: bool,
    /// How many contexts each client and each server has, each in a thread of its own; without any,
    /// the socket itself is used.
    askers: usize,
    workers: usize,
}

impl Requests {
    pub fn draw(random: &mut Random, weather: Weather, places: &mut Places) -> Requests {
        let own = Places::process(random);
        let front = (Transport::draw(random), places.next());
        let has_device = random.below(2) == 0;
        let back = has_device.then(|| (Transport::draw(random), places.next()));
        let near = |transport: Transport, random: &mut Random| match transport {
            Transport::Inproc => own,
            Transport::Ipc | Transport::Tcp | Transport::Ws => Places::process(random),
        };
        let clients = (0..random.between(1, 3)).map(|_| near(front.0, random)).collect();
        let side = back.map_or(front.0, |(transport, _)| transport);
        let count = if has_device { random.between(1, 3) } else { 1 };
        let servers = (0..count).map(|_| near(side, random)).collect();
        Requests {
            weather,
            front,
            back,
            clients,
            servers,
            middle: own,
            rounds: random.between(1, 20) as u32,
            size_max: *random.pick(&[12, 1000, 20_000]),
            resend: *random.pick(&[50, 500, 60_000]),
            pause_max: *random.pick(&[0, 0, 10_000, 2_000_000]),
            given_up: *random.pick(&[0, 0, 10]),
            asks_once: random.below(2) == 0,
            askers: *random.pick(&[0, 0, 1, 3]),
            workers: *random.pick(&[0, 0, 1, 3]),
        }
    }

    /// Where strangers can come in.
    pub fn listens_at(&self) -> Vec<(Transport, u32)> {
        std::iter::once(self.front).chain(self.back).collect()
    }

    pub fn shrink(&mut self, is_about_threads: bool) {
        if is_about_threads {
            self.clients.truncate(1);
            self.servers.truncate(1);
            self.askers = self.askers.min(2);
            self.workers = self.workers.min(2);
        } else {
            self.rounds = self.rounds.div_ceil(2);
        }
    }

    /// What is lost has to be asked for again some time, but not before a server that takes its
    /// time can have answered: else copies fill all queues in front of the next request.
    fn resend(&self) -> i32 {
        let resend =
            if self.weather == Weather::Foul { self.resend.min(1000) } else { self.resend };
        resend.max((self.pause_max / 1000) as i32)
    }
}

#[derive(Default)]
struct Seen {
    clients_done: usize,
    answered: u32,
}

struct Shared {
    requests: Requests,
    seen: Plain<Seen>,
}

pub fn start(requests: Requests) -> Vec<JoinHandle<()>> {
    let shared = Arc::new(Shared { requests, seen: Plain::default() });
    let requests = &shared.requests;
    let mut all = Vec::new();
    for (number, process) in requests.clients.iter().enumerate() {
        let shared = Arc::clone(&shared);
        all.push(actor(*process, "client", move || run_client(&shared, number as u32)));
    }
    for process in &requests.servers {
        let shared = Arc::clone(&shared);
        all.push(actor(*process, "server", move || run_server(&shared)));
    }
    if requests.back.is_some() {
        let shared_too = Arc::clone(&shared);
        all.push(actor(requests.middle, "device", move || run_device(&shared_too)));
    }
    all
}

fn run_client(shared: &Arc<Shared>, client: u32) {
    let requests = &shared.requests;
    let handle = habits::open(AF_SP, NN_REQ, &[]);
    api::set(handle, NN_REQ, NN_REQ_RESEND_IVL, requests.resend()).expect("the option is fine");
    if requests.asks_once {
        api::set(handle, NN_REQ, SPMSG_REQ_RESEND_ON_LOSS, 0).expect("the option is fine");
    }
    habits::connect(handle, &requests.front.0.addresses(requests.front.1)[1]);
    let start = |asker: usize| {
        let shared = Arc::clone(shared);
        let context = habits::open_context(handle);
        actor(scheduler::process(), "asks", move || {
            ask_all(&shared, context, client * ASKERS_MAX + asker as u32);
            habits::close(context, PROMPTLY);
        })
    };
    let asking: Vec<_> = (0..requests.askers).map(start).collect();
    if asking.is_empty() {
        ask_all(shared, handle, client);
    }
    asking.into_iter().for_each(|asker| _ = asker.join());
    // There is nothing to wait for any more.
    match api::recv(handle, NN_DONTWAIT) {
        Err(EFSM | libc::EINTR | libc::ENOMEM) => {}
        other => scheduler::fail(&format!("a reply without a request: {other:?}")),
    }
    habits::close(handle, Duration::from_secs(700));
    shared.seen.lock().clients_done += 1;
}

fn ask_all(shared: &Shared, handle: i32, sender: u32) {
    let requests = &shared.requests;
    for number in 0..requests.rounds {
        while !ask(requests, handle, Stamp { sender, number }) {}
        shared.seen.lock().answered += 1;
        pause(requests.pause_max);
    }
}

/// False when it has to be asked again.
fn ask(requests: &Requests, handle: i32, stamp: Stamp) -> bool {
    if draw(0, 99) < requests.given_up {
        let other = Stamp { number: stamp.number | GIVEN_UP, ..stamp };
        if !send(handle, &payload::body(other, 40)) {
            return false;
        }
        pause(requests.pause_max);
    }
    let body = payload::body(stamp, draw(0, requests.size_max) as usize);
    if !send(handle, &body) {
        return false;
    }
    loop {
        match api::recv(handle, 0) {
            Ok(reply) if reply == answer(&body) => return true,
            Ok(reply) => {
                let found = payload::read(&reply[1.min(reply.len())..]);
                scheduler::fail(&format!("{stamp:?} is answered with {found:?}"));
            }
            Err(libc::EINTR | libc::ENOMEM) => {}
            Err(libc::ECONNRESET) if requests.asks_once => return false,
            Err(code) => scheduler::fail(&format!("receiving a reply fails: {code}")),
        }
    }
}

fn send(handle: i32, body: &[u8]) -> bool {
    match api::send(handle, body, 0) {
        Ok(_) => true,
        Err(libc::EINTR | libc::ENOMEM) => false,
        Err(code) => {
            scheduler::fail(&format!("sending a request or reply fails: {code}"));
            false
        }
    }
}

fn answer(request: &[u8]) -> Vec<u8> {
    let mut reply = vec![b'r'];
    reply.extend_from_slice(request);
    reply
}

fn run_server(shared: &Arc<Shared>) {
    let requests = &shared.requests;
    let handle = habits::open(AF_SP, NN_REP, &[]);
    match requests.back {
        None => habits::bind(handle, &requests.front.0.addresses(requests.front.1)[0]),
        Some((transport, number)) => habits::connect(handle, &transport.addresses(number)[1]),
    };
    let pause_max = requests.pause_max;
    let workers: Vec<_> = (0..requests.workers).map(|_| habits::open_context(handle)).collect();
    let start = |handle| actor(scheduler::process(), "serves", move || serve(handle, pause_max));
    let own = workers.is_empty().then_some(handle);
    let serving: Vec<_> = workers.into_iter().chain(own).map(start).collect();
    shared.wait_for_clients();
    // It is the end of its contexts, too.
    habits::close(handle, Duration::from_secs(700));
    let began = crate::sys::now();
    serving.into_iter().for_each(|worker| _ = worker.join());
    if crate::sys::now() - began > PROMPTLY + Duration::from_nanos(pause_max) {
        scheduler::fail("a worker goes on without its socket");
    }
}

fn serve(handle: i32, pause_max: u64) {
    loop {
        match api::recv(handle, 0) {
            // Somebody may have sent what is no request of ours.
            Ok(body) => {
                pause(pause_max);
                // Its loss is what resending is for.
                let _ = api::send(handle, &answer(&body), 0);
            }
            Err(libc::EBADF) => return,
            Err(libc::EINTR | libc::ENOMEM) => {}
            Err(code) => scheduler::fail(&format!("receiving a request fails: {code}")),
        }
    }
}

fn run_device(shared: &Arc<Shared>) {
    let requests = &shared.requests;
    let Some((transport, number)) = requests.back else { return };
    let front = habits::open(AF_SP_RAW, NN_REP, &[]);
    let back = habits::open(AF_SP_RAW, NN_REQ, &[]);
    habits::bind(front, &requests.front.0.addresses(requests.front.1)[0]);
    habits::bind(back, &transport.addresses(number)[0]);
    let running = actor(scheduler::process(), "passes on", move || {
        // Without a thread for the way back it comes to nothing.
        loop {
            match api::run_device(front, back) {
                libc::EBADF => return,
                libc::EAGAIN => sleep(Duration::from_millis(1)),
                libc::EINTR | libc::ENOMEM => {}
                code => scheduler::fail(&format!("a device ends: {code}")),
            }
        }
    });
    shared.wait_for_clients();
    habits::close(front, Duration::from_secs(700));
    let began = crate::sys::now();
    let _ = running.join();
    if crate::sys::now() - began > PROMPTLY {
        scheduler::fail("a device goes on without one of its sockets");
    }
    habits::close(back, Duration::from_secs(700));
}

impl Shared {
    /// As long as there are answers they have to wait: over streams with room for a hundred bytes
    /// all of them may well take longer than the first.
    fn wait_for_clients(&self) {
        let patience = match self.requests.weather {
            Weather::Fair => 400,
            Weather::Foul => 3000,
        };
        let progress = || {
            let seen = self.seen.lock();
            (seen.clients_done, seen.answered)
        };
        let mut last = progress();
        while last.0 < self.requests.clients.len() {
            if !wait_until(Duration::from_secs(patience), || progress() != last) {
                scheduler::fail(&format!("requests are not answered: {} were", last.1));
            }
            last = progress();
        }
    }
}

const GIVEN_UP: u32 = 1 << 30;
const ASKERS_MAX: u32 = 8;
