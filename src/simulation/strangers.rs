//! Peers that misbehave: they connect to what our programs listen at, or listen where ours connect,
//! and do what nobody should.

use std::io::IoSlice;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use super::api;
use super::habits::{self, draw, pause};
use super::plan::{Places, Transport};
use super::world::actor;
use crate::ffi::abi::nn::*;
use crate::ffi::abi::{pair::*, pipeline::*, pubsub::*, reqrep::*};
use crate::sync::simulated::random::Random;
use crate::sync::simulated::thread::{JoinHandle, sleep};
use crate::sync::simulated::{Plain, scheduler};
use crate::sys::{self, Accepted, Address, OsListener, OsStream, Read, WaitFor};

/// Visits the listeners of others.
#[derive(Clone, Debug)]
pub struct Visitors {
    pub places: Vec<(Transport, u32)>,
    count: u32,
    pause_max: u64,
}

/// Has our sockets connect to a listener that is none of ours.
#[derive(Clone, Debug)]
pub struct Trap {
    place: (Transport, u32),
    process: usize,
    protocol: i32,
    sockets: usize,
    visits: u32,
}

impl Visitors {
    pub fn draw(random: &mut Random, places: Vec<(Transport, u32)>) -> Visitors {
        Visitors {
            places,
            count: random.between(1, 12) as u32,
            pause_max: *random.pick(&[0, 1_000_000, 100_000_000]),
        }
    }

    pub fn shrink(&mut self) {
        self.count = self.count.div_ceil(2);
    }
}

impl Trap {
    pub fn draw(random: &mut Random, places: &mut Places) -> Trap {
        let transport = *random.pick(&[Transport::Ipc, Transport::Tcp, Transport::Ws]);
        Trap {
            place: (transport, places.next()),
            process: Places::process(random),
            protocol: *random.pick(&[NN_PAIR, NN_REQ, NN_REP, NN_SUB, NN_PUB, NN_PUSH, NN_PULL]),
            sockets: random.between(1, 3) as usize,
            visits: random.between(1, 10) as u32,
        }
    }

    pub fn shrink(&mut self) {
        self.visits = self.visits.div_ceil(2);
    }
}

pub fn visit(visitors: Visitors) -> Vec<JoinHandle<()>> {
    vec![actor(PROCESS, "stranger", move || {
        for _ in 0..visitors.count {
            pause(visitors.pause_max);
            let at = draw(0, visitors.places.len() as u64 - 1) as usize;
            let (transport, number) = visitors.places[at];
            if let Some(stream) = connect(transport, number) {
                misbehave(&stream, transport);
            }
        }
    })]
}

pub fn lure(trap: Trap) -> Vec<JoinHandle<()>> {
    let is_over = Arc::new(Plain::new(false));
    let (shared, plan) = (Arc::clone(&is_over), trap.clone());
    let listener = actor(PROCESS, "trap", move || listen(&plan, &shared));
    let process = trap.process;
    let prey = actor(process, "prey", move || {
        let options = [(NN_LINGER, 100), (NN_SNDTIMEO, 50), (NN_RCVTIMEO, 50)];
        let handles: Vec<_> =
            (0..trap.sockets).map(|_| habits::open(AF_SP, trap.protocol, &options)).collect();
        let [_, address] = trap.place.0.addresses(trap.place.1);
        for handle in &handles {
            habits::connect(*handle, &address);
        }
        for _ in 0..20 {
            for handle in &handles {
                let _ = api::send(*handle, b"anybody there?", 0);
                let _ = api::recv(*handle, 0);
            }
        }
        for handle in handles {
            habits::close(handle, habits::PROMPTLY);
        }
        *is_over.lock() = true;
    });
    vec![listener, prey]
}

fn address(transport: Transport, number: u32) -> Option<Address> {
    match transport {
        Transport::Inproc => None,
        Transport::Ipc => Some(Address::File(format!("/sim/a{number}").into())),
        Transport::Tcp | Transport::Ws => {
            Some(Address::Internet(([127, 0, 0, 1], 5000 + number as u16).into()))
        }
    }
}

fn connect(transport: Transport, number: u32) -> Option<OsStream> {
    let address = address(transport, number)?;
    let mut stream = OsStream::new(&address).ok()?;
    if !stream.connect(&address).ok()? {
        wait(&stream, WaitFor::Writable, Duration::from_secs(5));
        stream.connected().ok()?;
    }
    Some(stream)
}

fn listen(trap: &Trap, is_over: &Plain<bool>) {
    let Some(place) = address(trap.place.0, trap.place.1) else { return };
    let listener = loop {
        match OsListener::listening(&place, 10) {
            Ok(listener) => break listener,
            Err(_) => {
                // One that is bound and cannot listen has left it.
                if let Address::File(path) = &place {
                    let _ = sys::unlink(path);
                }
                if *is_over.lock() {
                    return;
                }
                sleep(Duration::from_millis(3));
            }
        }
    };
    let mut visits = 0;
    while visits < trap.visits && !*is_over.lock() {
        match listener.accept() {
            Ok(Accepted::Connection(stream)) => {
                visits += 1;
                misbehave(&stream, trap.place.0);
            }
            Ok(_) | Err(_) => {
                let it = std::iter::once((listener.as_raw_fd(), WaitFor::Readable));
                let _ = sys::poll(it, Some(Duration::from_millis(20)));
                sleep(Duration::from_micros(100));
            }
        }
    }
    drop(listener);
    if let Address::File(path) = &place {
        let _ = sys::unlink(path);
    }
}

/// Nothing that somebody who judges could take for a message.
fn misbehave(stream: &OsStream, transport: Transport) {
    match draw(0, 7) {
        // It leaves without a word.
        0 => {}
        // It stays, and says nothing.
        1 => sleep(Duration::from_nanos(draw(0, 3_000_000_000))),
        // Part of what is right.
        2 => {
            let greeting = greeting(transport, draw(0, 0x80) as u8);
            let part = draw(0, greeting.len() as u64) as usize;
            say(stream, &greeting[..part], 0);
            pause(100_000_000);
        }
        // Anything.
        3 => say(stream, &noise(draw(1, 300) as usize), 0),
        // A type that fits nobody, and then anything.
        4 => {
            let mut bytes = greeting(transport, 0x7f);
            bytes.extend(noise(draw(0, 100) as usize));
            say(stream, &bytes, 0);
            read_some(stream);
        }
        // Slowly, byte by byte.
        5 => say(stream, &greeting(transport, 0x7f), 200_000_000),
        6 => {
            say(stream, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n\r\n", 0);
            read_some(stream);
            stream.end();
            pause(50_000_000);
        }
        // What it wrote is not read, and so it is reset.
        _ => {
            stream.end();
            sleep(Duration::from_nanos(draw(0, 30_000_000)));
        }
    }
}

fn greeting(transport: Transport, number: u8) -> Vec<u8> {
    match transport {
        Transport::Ws => b"GET /sim HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: \
            Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: \
            dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: nobody.sp\r\n\r\n"
            .to_vec(),
        Transport::Inproc | Transport::Ipc | Transport::Tcp => {
            vec![0, b'S', b'P', 0, 0, number | 0x0f, 0, 0]
        }
    }
}

fn noise(len: usize) -> Vec<u8> {
    (0..len).map(|_| draw(0, 255) as u8).collect()
}

fn say(stream: &OsStream, mut bytes: &[u8], pause_max: u64) {
    let mut patience = 50;
    while !bytes.is_empty() && patience > 0 {
        let part = if pause_max > 0 { &bytes[..1] } else { bytes };
        match stream.write(&[IoSlice::new(part)]) {
            Ok(0) => {
                wait(stream, WaitFor::Writable, Duration::from_millis(50));
                patience -= 1;
            }
            Ok(count) => bytes = &bytes[count..],
            Err(_) => return,
        }
        pause(pause_max);
    }
}

fn read_some(stream: &OsStream) {
    let mut buffer = [0; 256];
    for _ in 0..draw(0, 4) {
        match stream.read(None, &mut buffer) {
            Read::End => return,
            Read::Bytes(_) => {}
            Read::Nothing => wait(stream, WaitFor::Readable, Duration::from_millis(100)),
        }
    }
}

fn wait(stream: &OsStream, what: WaitFor, limit: Duration) {
    let _ = sys::poll(std::iter::once((stream.as_raw_fd(), what)), Some(limit));
    scheduler::point();
}

/// The process of those who are not ours.
pub const PROCESS: usize = 9;
