//! Any call at any time from several threads: nothing is judged but that every call returns in
//! time, and that nothing is left.

use std::sync::Arc;
use std::time::Duration;

use super::api;
use super::habits::{draw, pause};
use super::payload::{self, Stamp};
use super::plan::{PROCESSES, Places, Transport};
use super::world::actor;
use crate::ffi::abi::nn::*;
use crate::ffi::abi::{bus::*, pair::*, pipeline::*, pubsub::*, reqrep::*, survey::*};
use crate::sync::simulated::random::Random;
use crate::sync::simulated::thread::JoinHandle;
use crate::sync::simulated::{Plain, scheduler};
use crate::sys;

#[derive(Clone, Debug)]
pub struct Chaos {
    process: usize,
    threads: usize,
    steps: usize,
    addresses: Vec<(Transport, u32)>,
    protocols: Vec<i32>,
    ending: Ending,
    linger: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    CloseAll,
    Terminate,
}

impl Chaos {
    pub fn draw(random: &mut Random, places: &mut Places) -> Chaos {
        let count = random.between(1, 3);
        let addresses = (0..count).map(|_| (Transport::draw(random), places.next())).collect();
        // Few of them, so that they find each other.
        let family = random.pick(&FAMILIES);
        let protocols = if random.below(4) == 0 { FAMILIES.concat() } else { family.to_vec() };
        Chaos {
            process: PROCESS,
            threads: random.between(2, 4) as usize,
            steps: random.between(5, 60) as usize,
            addresses,
            protocols,
            ending: if random.below(3) == 0 { Ending::Terminate } else { Ending::CloseAll },
            linger: *random.pick(&[0, 50, 1000]),
        }
    }

    /// Where strangers can come in.
    pub fn listens_at(&self) -> Vec<(Transport, u32)> {
        self.addresses.clone()
    }

    pub fn shrink(&mut self, is_about_threads: bool) {
        if is_about_threads {
            self.threads = (self.threads - 1).max(1);
        } else {
            self.steps = self.steps.div_ceil(2);
        }
    }
}

/// Handles that are open, or were a moment ago.
type Handles = Arc<Plain<Vec<i32>>>;

pub fn start(chaos: Chaos) -> Vec<JoinHandle<()>> {
    let process = chaos.process;
    vec![actor(process, "chaos", move || {
        let handles = Handles::default();
        let chaos = Arc::new(chaos);
        let threads: Vec<_> = (0..chaos.threads)
            .map(|thread| {
                let (chaos, handles) = (Arc::clone(&chaos), Arc::clone(&handles));
                actor(process, "does anything", move || {
                    for _ in 0..chaos.steps {
                        act(&chaos, &handles, thread as u32);
                    }
                })
            })
            .collect();
        if chaos.ending == Ending::Terminate {
            pause(20_000_000);
            in_time("nn_term", Duration::from_millis(chaos.linger as u64) + SLACK, || {
                api::terminate();
            });
        }
        for thread in threads {
            let _ = thread.join();
        }
        if chaos.ending == Ending::Terminate {
            crate::ffi::socket::nn_init();
        }
        let all = std::mem::take(&mut *handles.lock());
        for handle in all {
            let _ = api::close(handle);
        }
    })]
}

fn act(chaos: &Chaos, handles: &Handles, thread: u32) {
    let handle = {
        let all = handles.lock();
        if all.is_empty() { -1 } else { all[draw(0, all.len() as u64 - 1) as usize] }
    };
    let (transport, number) = chaos.addresses[draw(0, chaos.addresses.len() as u64 - 1) as usize];
    let [to_bind, to_connect] = transport.addresses(number);
    let linger = Duration::from_millis(chaos.linger as u64);
    match draw(0, 24) {
        0..=2 => open(chaos, handles),
        3 => {
            handles.lock().retain(|other| *other != handle);
            in_time("nn_close", linger + SLACK, || {
                let _ = api::close(handle);
            });
        }
        4..=6 => in_time("nn_bind", SLACK, || {
            let _ = api::bind(handle, &to_bind);
        }),
        7..=10 => in_time("nn_connect", SLACK, || {
            let _ = api::connect(handle, &to_connect);
        }),
        11 => {
            let endpoint = draw(1, 4) as i32;
            in_time("nn_shutdown", linger + SLACK, || {
                let _ = api::shutdown(handle, endpoint);
            });
        }
        12..=15 => {
            let stamp = Stamp { sender: thread, number: 0 };
            let body = payload::body(stamp, draw(0, 3000) as usize);
            let flags = draw(0, 1) as i32 * NN_DONTWAIT;
            in_time("nn_send", SLACK, || {
                let _ = api::send(handle, &body, flags);
            });
        }
        16..=19 => {
            let flags = draw(0, 1) as i32 * NN_DONTWAIT;
            in_time("nn_recv", SLACK, || {
                let _ = api::recv(handle, flags);
            });
        }
        20 => in_time("nn_poll", SLACK, || {
            let _ = api::poll_one(handle, draw(1, 3) as i16, draw(0, 30) as i32);
        }),
        21 => set_anything(chaos, handle),
        22 => {
            let _ = api::get(handle, NN_SOL_SOCKET, draw(1, 17) as i32);
        }
        23 => {
            let _ = api::statistic(handle, NN_STAT_CURRENT_CONNECTIONS);
        }
        _ => pause(5_000_000),
    }
}

fn set_anything(chaos: &Chaos, handle: i32) {
    let _ = api::set(handle, NN_SOL_SOCKET, draw(1, 17) as i32, draw(0, 50) as i32);
    // What keeps calls short stays.
    for (option, value) in
        [(NN_SNDTIMEO, TIMEOUT), (NN_RCVTIMEO, TIMEOUT), (NN_LINGER, chaos.linger)]
    {
        let _ = api::set(handle, NN_SOL_SOCKET, option, value);
    }
}

fn open(chaos: &Chaos, handles: &Handles) {
    let protocol = chaos.protocols[draw(0, chaos.protocols.len() as u64 - 1) as usize];
    let Ok(handle) = api::open(AF_SP, protocol) else { return };
    let options = [
        (NN_SNDTIMEO, TIMEOUT),
        (NN_RCVTIMEO, TIMEOUT),
        (NN_LINGER, chaos.linger),
        (NN_SNDBUF, draw(1, 5000) as i32),
        (NN_RECONNECT_IVL, draw(1, 50) as i32),
    ];
    for (option, value) in options {
        let _ = api::set(handle, NN_SOL_SOCKET, option, value);
    }
    if protocol == NN_SUB {
        let _ = api::set_bytes(handle, NN_SUB, NN_SUB_SUBSCRIBE, b"");
    }
    handles.lock().push(handle);
}

fn in_time(call: &str, most: Duration, act: impl FnOnce()) {
    let began = sys::now();
    act();
    let took = sys::now() - began;
    if took > most {
        scheduler::fail(&format!("{call} takes {took:?}"));
    }
}

const FAMILIES: [&[i32]; 6] = [
    &[NN_PAIR],
    &[NN_PUSH, NN_PULL],
    &[NN_REQ, NN_REP],
    &[NN_PUB, NN_SUB],
    &[NN_SURVEYOR, NN_RESPONDENT],
    &[NN_BUS],
];
/// It would close the sockets of others.
const PROCESS: usize = PROCESSES + 1;
/// In milliseconds.
const TIMEOUT: i32 = 30;
/// What the calls of others and slow ones of the kernel may add.
const SLACK: Duration = Duration::from_millis(1500);
