//! PAIR and pipelines: what was accepted arrives, once, whole and in order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::api;
use super::habits::{self, PROMPTLY, draw, pause, persist, watch};
use super::payload::{self, Stamp};
use super::plan::{Places, Transport, Weather, messages_waiting};
use super::world::{actor, wait_until};
use crate::ffi::abi::nn::*;
use crate::ffi::abi::spmsg::{SPMSG_RCVBUF_MESSAGES, SPMSG_SNDBUF_MESSAGES};
use crate::ffi::abi::{pair::NN_PAIR, pipeline::*};
use crate::sync::simulated::random::Random;
use crate::sync::simulated::thread::{JoinHandle, sleep};
use crate::sync::simulated::{Plain, scheduler};
use crate::sys;
use crate::sys::simulated::Kernel;

#[derive(Clone, Debug)]
pub struct Delivery {
    kind: Kind,
    transport: Transport,
    weather: Weather,
    number: u32,
    /// The processes of those who send, and of those who receive.
    senders: Vec<usize>,
    receivers: Vec<usize>,
    binder: Side,
    /// Threads that use one socket.
    threads: usize,
    /// Messages from each thread.
    messages: u32,
    size_max: u64,
    buffer: i32,
    sends: Way,
    receives: Way,
    pause_max: u64,
    ending: Ending,
}

/// What a sender does when it has sent everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Closes,
    /// Its process exits, and nobody closes anything.
    Exits,
    /// Its process exits, and another thread has just begun to close.
    ExitsBesideClose,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Pair,
    Pipeline,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Sender,
    Receiver,
}

/// How a call waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Blocks,
    TimesOut,
    Tries,
    Polls,
    /// Waits for the descriptor.
    Watches,
}

impl Way {
    fn draw(random: &mut Random) -> Way {
        *random.pick(&[
            Way::Blocks,
            Way::Blocks,
            Way::TimesOut,
            Way::Tries,
            Way::Polls,
            Way::Watches,
        ])
    }
}

impl Delivery {
    pub fn draw(random: &mut Random, weather: Weather, places: &mut Places) -> Delivery {
        let kind = if random.below(2) == 0 { Kind::Pair } else { Kind::Pipeline };
        let transport = Transport::draw(random);
        let binder = if random.below(2) == 0 { Side::Sender } else { Side::Receiver };
        let own = Places::process(random);
        let mut some = |most: u64| -> Vec<usize> {
            let count = if kind == Kind::Pair { 1 } else { random.between(1, most) };
            let place = |random: &mut Random| match transport {
                Transport::Inproc => own,
                Transport::Ipc | Transport::Tcp | Transport::Ws => Places::process(random),
            };
            (0..count).map(|_| place(random)).collect()
        };
        let (senders, receivers) = match binder {
            Side::Sender => (some(1), some(3)),
            Side::Receiver => (some(3), some(1)),
        };
        let number = places.next();
        let can_exit = transport != Transport::Inproc;
        let ending = match can_exit && random.below(16) == 0 {
            false => Ending::Closes,
            true if number.is_multiple_of(2) => Ending::Exits,
            true => Ending::ExitsBesideClose,
        };
        let senders = match ending {
            Ending::Closes => senders,
            // Nobody else goes with it.
            Ending::Exits | Ending::ExitsBesideClose => {
                (0..senders.len()).map(|at| 100 * number as usize + at).collect()
            }
        };
        Delivery {
            kind,
            transport,
            weather,
            number,
            senders,
            receivers,
            binder,
            threads: random.between(1, 3) as usize,
            messages: random.between(1, 40) as u32,
            size_max: *random.pick(&[12, 100, 1000, 20_000]),
            buffer: *random.pick(&[1, 1000, 128 * 1024]),
            sends: Way::draw(random),
            receives: Way::draw(random),
            pause_max: *random.pick(&[0, 0, 1_000, 100_000, 5_000_000]),
            ending,
        }
    }

    /// Where strangers can come in.
    pub fn listens_at(&self) -> (Transport, u32) {
        (self.transport, self.number)
    }

    pub fn shrink(&mut self, is_about_threads: bool) {
        if is_about_threads {
            self.threads = 1;
        } else {
            self.messages = self.messages.div_ceil(2);
        }
    }

    fn expected(&self) -> usize {
        self.senders.len() * self.threads * self.messages as usize
    }
}

/// What all of them see.
#[derive(Default)]
struct Seen {
    accepted: usize,
    senders_done: usize,
    received: BTreeMap<Stamp, usize>,
}

struct Shared {
    delivery: Delivery,
    seen: Plain<Seen>,
}

pub fn start(delivery: Delivery) -> Vec<JoinHandle<()>> {
    let (senders, receivers) = (delivery.senders.clone(), delivery.receivers.clone());
    let shared = Arc::new(Shared { delivery, seen: Plain::default() });
    let send = senders.into_iter().enumerate().map(|(number, process)| {
        let shared = Arc::clone(&shared);
        actor(process, "sender", move || run_sender(&shared, number))
    });
    let send: Vec<_> = send.collect();
    let receive = receivers.into_iter().map(|process| {
        let shared = Arc::clone(&shared);
        actor(process, "receiver", move || run_receiver(&shared))
    });
    send.into_iter().chain(receive).collect()
}

impl Shared {
    fn open(&self, side: Side) -> i32 {
        let delivery = &self.delivery;
        let protocol = match (delivery.kind, side) {
            (Kind::Pair, _) => NN_PAIR,
            (Kind::Pipeline, Side::Sender) => NN_PUSH,
            (Kind::Pipeline, Side::Receiver) => NN_PULL,
        };
        let handle = persist(|| api::open(AF_SP, protocol));
        let options =
            [(NN_LINGER, 600_000), (NN_SNDBUF, delivery.buffer), (NN_RCVBUF, delivery.buffer)];
        let counted = [SPMSG_SNDBUF_MESSAGES, SPMSG_RCVBUF_MESSAGES];
        let counted = counted.map(|option| (option, messages_waiting(delivery.number)));
        for (option, value) in options.into_iter().chain(counted) {
            api::set(handle, NN_SOL_SOCKET, option, value).expect("the option is fine");
        }
        if delivery.sends == Way::TimesOut || delivery.receives == Way::TimesOut {
            for option in [NN_SNDTIMEO, NN_RCVTIMEO] {
                api::set(handle, NN_SOL_SOCKET, option, TIMEOUT).expect("the option is fine");
            }
        }
        let [to_bind, to_connect] = delivery.transport.addresses(delivery.number);
        if delivery.binder == side {
            persist(|| api::bind(handle, &to_bind));
        } else {
            persist(|| api::connect(handle, &to_connect));
        }
        handle
    }
}

fn run_sender(shared: &Arc<Shared>, number: usize) {
    let delivery = &shared.delivery;
    let handle = shared.open(Side::Sender);
    let process = scheduler::process();
    let threads: Vec<_> = (0..delivery.threads)
        .map(|thread| {
            let shared = Arc::clone(shared);
            let sender = (number * 16 + thread) as u32;
            actor(process, "sends", move || send_all(&shared, handle, sender))
        })
        .collect();
    for thread in threads {
        let _ = thread.join();
    }
    match delivery.ending {
        Ending::Closes => habits::close(handle, Duration::from_secs(700)),
        Ending::Exits | Ending::ExitsBesideClose => {
            if delivery.ending == Ending::ExitsBesideClose {
                actor(process, "closes", move || _ = api::close(handle));
            }
            sys::exit::ask();
            let devices = scheduler::devices().expect("this is a simulation");
            devices.as_any().downcast_ref::<Kernel>().expect("it has a kernel").kill();
            // Somebody has to tidy up behind it.
            if delivery.binder == Side::Sender {
                let _ = sys::unlink(format!("/sim/a{}", delivery.number).as_ref());
            }
        }
    }
    shared.seen.lock().senders_done += 1;
}

fn send_all(shared: &Shared, handle: i32, sender: u32) {
    let delivery = &shared.delivery;
    for number in 0..delivery.messages {
        let size = draw(0, delivery.size_max) as usize;
        let body = payload::body(Stamp { sender, number }, size);
        send_one(delivery.sends, handle, &body);
        shared.seen.lock().accepted += 1;
        pause(delivery.pause_max);
    }
}

fn send_one(way: Way, handle: i32, body: &[u8]) {
    let mut tries = 0;
    loop {
        let flags = match way {
            Way::Blocks | Way::TimesOut => 0,
            Way::Tries => NN_DONTWAIT,
            Way::Polls => {
                let _ = api::poll_one(handle, NN_POLLOUT as i16, 1000);
                NN_DONTWAIT
            }
            Way::Watches => {
                watch(handle, NN_SNDFD);
                NN_DONTWAIT
            }
        };
        match api::send(handle, body, flags) {
            Ok(count) if count as usize == body.len() => return,
            Ok(_) => scheduler::fail("a message was sent in part"),
            Err(libc::EAGAIN) => {
                tries += 1;
                if way == Way::Tries {
                    sleep(Duration::from_micros(300));
                }
            }
            Err(libc::EINTR) => {}
            // Those who try come back anyway.
            Err(libc::ETIMEDOUT | libc::ENOMEM) => {}
            Err(code) => scheduler::fail(&format!("sending fails: {code}")),
        }
        if tries > 400_000 {
            scheduler::fail("it cannot be sent");
        }
    }
}

fn run_receiver(shared: &Arc<Shared>) {
    let delivery = &shared.delivery;
    let handle = shared.open(Side::Receiver);
    let process = scheduler::process();
    let threads: Vec<_> = (0..delivery.threads)
        .map(|_| {
            let shared = Arc::clone(shared);
            actor(process, "receives", move || receive_all(&shared, handle))
        })
        .collect();
    let is_complete = || shared.seen.lock().received.len() == delivery.expected();
    let are_done = || shared.seen.lock().senders_done == delivery.senders.len();
    match delivery.weather {
        Weather::Fair => {
            if !wait_until(Duration::from_secs(300), is_complete) {
                shared.complain("messages are lost or stuck");
            }
        }
        Weather::Foul => {
            if !wait_until(Duration::from_secs(1500), || is_complete() || are_done()) {
                shared.complain("messages are stuck");
            }
            // What is on its way still arrives.
            wait_until(Duration::from_secs(10), is_complete);
        }
    }
    let began = sys::now();
    let _ = api::close(handle);
    for thread in threads {
        let _ = thread.join();
    }
    if sys::now() - began > PROMPTLY && delivery.receives != Way::Watches {
        scheduler::fail("closing a socket that only receives takes long");
    }
}

impl Shared {
    fn complain(&self, what: &str) {
        let seen = self.seen.lock();
        let (expected, accepted) = (self.delivery.expected(), seen.accepted);
        let missing: Vec<_> = self.missing(&seen).collect();
        let text = format!(
            "{what}: {} received, {accepted} accepted, {expected} expected; missing {missing:?}",
            seen.received.len()
        );
        drop(seen);
        scheduler::fail(&text);
    }

    fn missing(&self, seen: &Seen) -> impl Iterator<Item = (u32, u32)> {
        let senders = (0..self.delivery.senders.len() * 16).map(|sender| sender as u32);
        let threads = self.delivery.threads as u32;
        let all = senders
            .filter(move |sender| sender % 16 < threads)
            .flat_map(|sender| (0..self.delivery.messages).map(move |number| (sender, number)));
        all.filter(|(sender, number)| {
            !seen.received.contains_key(&Stamp { sender: *sender, number: *number })
        })
        .take(20)
        .collect::<Vec<_>>()
        .into_iter()
    }
}

fn receive_all(shared: &Shared, handle: i32) {
    let way = shared.delivery.receives;
    let mut last: BTreeMap<u32, u32> = BTreeMap::new();
    let mut vain = 0;
    loop {
        let flags = match way {
            Way::Blocks | Way::TimesOut => 0,
            Way::Tries => NN_DONTWAIT,
            Way::Polls => match api::poll_one(handle, NN_POLLIN as i16, -1) {
                Err(libc::EBADF) => return,
                _ => NN_DONTWAIT,
            },
            Way::Watches => {
                watch(handle, NN_RCVFD);
                NN_DONTWAIT
            }
        };
        match api::recv(handle, flags) {
            Ok(body) => {
                vain = 0;
                let Some(stamp) = payload::read(&body) else {
                    return scheduler::fail("a message has changed on the way");
                };
                if last.insert(stamp.sender, stamp.number).is_some_and(|last| last >= stamp.number)
                {
                    scheduler::fail(&format!("out of order: {stamp:?} behind {last:?}"));
                }
                let known = *shared
                    .seen
                    .lock()
                    .received
                    .entry(stamp)
                    .and_modify(|it| *it += 1)
                    .or_insert(1);
                if known > 1 {
                    scheduler::fail(&format!("received twice: {stamp:?}"));
                }
                pause(shared.delivery.pause_max);
            }
            Err(libc::EBADF) => return,
            Err(libc::EAGAIN) if way == Way::Tries => sleep(Duration::from_micros(300)),
            Err(libc::EAGAIN) => {
                vain += 1;
                // Other threads may have been faster, but not all the time.
                if vain > 20_000 {
                    scheduler::fail("the socket seems readable and is not");
                }
            }
            Err(libc::EINTR | libc::ENOMEM) => {}
            Err(libc::ETIMEDOUT)
                if shared.delivery.receives == Way::TimesOut
                    || shared.delivery.sends == Way::TimesOut => {}
            Err(code) => scheduler::fail(&format!("receiving fails: {code}")),
        }
    }
}

/// In milliseconds.
const TIMEOUT: i32 = 20;
