//! Devices (protocols 10 and 11): raw sockets back to back, in chains and in rings.

use std::time::Duration;

use proptest::prelude::*;

use super::fault::{Faults, Pattern, run, steps, steps_without_loss};
use super::{Domain, Event, Mesh, NodeId, Parts};
use crate::protocols::{Nothing, option};

const PAIR: i32 = 0x10;
const REQ: i32 = 0x30;
const REP: i32 = 0x31;
const SURVEYOR: i32 = 0x62;
const RESPONDENT: i32 = 0x63;
const BUS: i32 = 0x70;

/// Forwards between two raw sockets, or from one back to itself.
struct Device {
    sides: [NodeId; 2],
    /// What was received at a side and has not been sent at the other.
    held: [Option<Parts>; 2],
}

impl Device {
    fn open(mesh: &mut Mesh, numbers: [i32; 2]) -> Device {
        Device { sides: numbers.map(|number| mesh.open(number, Domain::Raw)), held: [None, None] }
    }

    /// Says whether anything moved.
    fn forward(&mut self, mesh: &mut Mesh) -> bool {
        let mut moved = false;
        for from in 0..2 {
            let held = &mut self.held[from];
            if held.is_none() {
                *held = mesh.recv_parts(self.sides[from]).ok();
                moved |= held.is_some();
            }
            let Some(parts) = held else { continue };
            if mesh.send_parts(self.sides[1 - from], parts).is_ok() {
                *held = None;
                moved = true;
            }
        }
        moved
    }
}

/// Lets devices work until nothing moves any more.
fn run_devices(mesh: &mut Mesh, devices: &mut [Device]) {
    for _ in 0..1000 {
        mesh.settle();
        // Every device has its turn, also when an earlier one moved something.
        let moved = devices.iter_mut().filter_map(|device| device.forward(mesh).then_some(()));
        if moved.count() == 0 {
            return;
        }
    }
    panic!("messages go round for ever");
}

/// A chain of devices from one cooked socket to another, the asking side first.
fn chain(mesh: &mut Mesh, asks: i32, answers: i32, len: usize) -> (NodeId, Vec<Device>, NodeId) {
    let (first, last) = (mesh.open(asks, Domain::Cooked), mesh.open(answers, Domain::Cooked));
    let mut devices = Vec::new();
    let mut end = first;
    for _ in 0..len {
        let device = Device::open(mesh, [answers, asks]);
        mesh.join(end, device.sides[0]);
        end = device.sides[1];
        devices.push(device);
    }
    mesh.join(end, last);
    (first, devices, last)
}

#[test]
fn a_request_passes_seven_devices_and_its_reply_finds_the_way_back() {
    for (asks, answers) in [(REQ, REP), (SURVEYOR, RESPONDENT)] {
        for len in 0..=9 {
            let mut mesh = Mesh::new(len as u64, Faults::PROMPT);
            let (first, mut devices, last) = chain(&mut mesh, asks, answers, len);
            mesh.settle();
            mesh.send(first, "question").unwrap();
            run_devices(&mut mesh, &mut devices);
            if len > 7 {
                assert_eq!(mesh.recv(last), Err(Nothing::Yet), "{len} devices");
                continue;
            }
            assert_eq!(mesh.recv(last), Ok("question".into()), "{len} devices");
            mesh.send(last, "answer").unwrap();
            run_devices(&mut mesh, &mut devices);
            assert_eq!(mesh.recv(first), Ok("answer".into()), "{len} devices");
        }
    }
}

#[test]
fn the_hop_limit_ends_what_goes_round_in_a_ring() {
    for (asks, answers) in [(REQ, REP), (SURVEYOR, RESPONDENT)] {
        for limit in [1, 2, 8, 100] {
            let mut mesh = Mesh::new(limit as u64, Faults::PROMPT);
            let client = mesh.open(asks, Domain::Cooked);
            let mut devices: Vec<_> =
                (0..3).map(|_| Device::open(&mut mesh, [answers, asks])).collect();
            mesh.join(client, devices[0].sides[0]);
            for at in 0..3 {
                mesh.join(devices[at].sides[1], devices[(at + 1) % 3].sides[0]);
            }
            mesh.nodes.iter_mut().for_each(|node| node.hop_limit = limit);
            mesh.settle();
            mesh.send(client, "round").unwrap();
            run_devices(&mut mesh, &mut devices);
            let passed = mesh.log.iter().filter(|entry| matches!(entry.event, Event::Gave(Ok(_))));
            assert_eq!(passed.count(), limit);
        }
    }
}

/// protocols 4.5, 5.4 and 8.3: who asks sees the first word of what comes back, who answers sees
/// his key and all words. What the peer called header does not matter, nor whether it came apart.
#[test]
fn raw_sockets_show_the_headers_that_they_read() {
    const WORDS: [u8; 8] = [0, 0, 0, 9, 0x80, 0, 0, 7];
    for (asks, answers) in [(REQ, REP), (SURVEYOR, RESPONDENT)] {
        for seed in 0..8 {
            let mut mesh = Mesh::new(seed, Faults::PROMPT);
            let (client, service) = (mesh.open(asks, Domain::Raw), mesh.open(answers, Domain::Raw));
            mesh.join(client, service);
            mesh.settle();
            let wire = [&WORDS[..], b"text"].concat();
            for split in 0..=wire.len() {
                let (header, body) = wire.split_at(split);
                mesh.nodes[service].hop_limit = 1;
                mesh.send_parts(client, &(header.to_vec(), body.to_vec())).unwrap();
                mesh.settle();
                assert_eq!(mesh.recv_parts(service), Err(Nothing::Yet));
                mesh.nodes[service].hop_limit = 2;
                mesh.send_parts(client, &(header.to_vec(), body.to_vec())).unwrap();
                mesh.settle();
                let (shown, body) = mesh.recv_parts(service).unwrap();
                assert_eq!((&shown[4..], &body[..]), (&WORDS[..], &b"text"[..]));
                let key = &shown[..4];
                assert_eq!(key[0] & 0x80, 0);

                let (header, body) = wire.split_at(split);
                mesh.send_parts(service, &([key, header].concat(), body.to_vec())).unwrap();
                mesh.settle();
                let expected = (WORDS[..4].to_vec(), wire[4..].to_vec());
                assert_eq!(mesh.recv_parts(client), Ok(expected));
            }
            // What leads nowhere, and what is too short, is taken and dropped.
            for header in [&b""[..], &[0; 3], &[0x7f; 4], &[0xff; 8]] {
                mesh.send_parts(service, &(header.to_vec(), b"lost".to_vec())).unwrap();
            }
            mesh.settle();
            assert_eq!(mesh.recv_parts(client), Err(Nothing::Yet));
        }
    }
}

#[test]
fn a_bus_device_passes_to_the_other_side_only() {
    let mut mesh = Mesh::new(1, Faults::PROMPT);
    let device = Device::open(&mut mesh, [BUS, BUS]);
    let peers = mesh.open_all(BUS, 4);
    for (index, peer) in peers.iter().enumerate() {
        mesh.join(*peer, device.sides[index % 2]);
    }
    mesh.settle();
    mesh.send(peers[0], "hello").unwrap();
    run_devices(&mut mesh, &mut [device]);
    assert_eq!(mesh.recv(peers[1]), Ok("hello".into()));
    assert_eq!(mesh.recv(peers[3]), Ok("hello".into()));
    for peer in peers {
        assert_eq!(mesh.recv(peer), Err(Nothing::Yet));
    }
}

#[test]
fn a_bus_that_loops_back_leaves_out_who_said_it() {
    let mut mesh = Mesh::new(1, Faults::PROMPT);
    let hub = mesh.open(BUS, Domain::Raw);
    let peers = mesh.open_all(BUS, 3);
    for peer in &peers {
        mesh.join(hub, *peer);
    }
    mesh.settle();
    mesh.send(peers[1], "hello").unwrap();
    mesh.settle();
    let parts = mesh.recv_parts(hub).unwrap();
    assert_eq!(parts.0.len(), 8);
    mesh.send_parts(hub, &parts).unwrap();
    mesh.settle();
    assert_eq!(mesh.recv(peers[0]), Ok("hello".into()));
    assert_eq!(mesh.recv(peers[1]), Err(Nothing::Yet));
    assert_eq!(mesh.recv(peers[2]), Ok("hello".into()));
}

#[test]
fn a_device_spreads_a_survey_and_gathers_the_responses() {
    let mut mesh = Mesh::new(2, Faults::PROMPT);
    let surveyors = mesh.open_all(SURVEYOR, 2);
    let device = Device::open(&mut mesh, [RESPONDENT, SURVEYOR]);
    let respondents = mesh.open_all(RESPONDENT, 3);
    for surveyor in &surveyors {
        mesh.join(*surveyor, device.sides[0]);
    }
    for respondent in &respondents {
        mesh.join(device.sides[1], *respondent);
    }
    mesh.nodes.iter_mut().for_each(|node| node.hop_limit = 2);
    mesh.settle();
    let mut devices = [device];
    for surveyor in surveyors {
        mesh.send(surveyor, "who").unwrap();
        run_devices(&mut mesh, &mut devices);
        for respondent in &respondents {
            assert_eq!(mesh.recv(*respondent), Ok("who".into()));
            mesh.send(*respondent, &respondent.to_string()).unwrap();
        }
        run_devices(&mut mesh, &mut devices);
        let given: Vec<_> = respondents.iter().map(|_| mesh.recv(surveyor).unwrap()).collect();
        let expected: Vec<_> = respondents.iter().map(ToString::to_string).collect();
        assert_eq!(given, expected);
        assert_eq!(mesh.recv(surveyor), Err(Nothing::Yet));
    }
}

/// Raw pairs between two cooked ones.
struct PairChain {
    ends: [NodeId; 2],
    devices: Vec<Device>,
    serial: usize,
    accepted: [Vec<String>; 2],
    received: [Vec<String>; 2],
}

impl Pattern for PairChain {
    fn send(&mut self, mesh: &mut Mesh, who: usize) {
        self.serial += 1;
        let text = self.serial.to_string();
        if mesh.send(self.ends[who % 2], &text).is_ok() {
            self.accepted[who % 2].push(text);
        }
    }

    fn recv(&mut self, mesh: &mut Mesh, who: usize) {
        let text = mesh.recv(self.ends[who % 2]);
        self.received[1 - who % 2].extend(text);
    }

    fn check(&mut self, mesh: &mut Mesh) {
        mesh.take_log();
        for device in &mut self.devices {
            device.forward(mesh);
        }
    }
}

/// Clients and services with devices between them.
struct ReqChain {
    client: NodeId,
    devices: Vec<Device>,
    service: NodeId,
    serial: usize,
    asked: String,
}

impl Pattern for ReqChain {
    fn send(&mut self, mesh: &mut Mesh, _who: usize) {
        self.serial += 1;
        self.asked = self.serial.to_string();
        mesh.send(self.client, &self.asked).unwrap();
    }

    fn recv(&mut self, mesh: &mut Mesh, who: usize) {
        if who.is_multiple_of(2) {
            let Ok(text) = mesh.recv(self.client) else { return };
            let asked = std::mem::take(&mut self.asked);
            assert_eq!(text, format!("re {asked}"), "another request's reply, or a second one");
        } else if let Ok(text) = mesh.recv(self.service) {
            mesh.send(self.service, &format!("re {text}")).unwrap();
        }
    }

    fn check(&mut self, mesh: &mut Mesh) {
        mesh.take_log();
        for device in &mut self.devices {
            device.forward(mesh);
        }
    }
}

proptest! {
    #[test]
    fn a_chain_of_pairs_loses_nothing(
        seed: u64, len in 1..4_usize, steps in steps_without_loss(150),
    ) {
        let mut mesh = Mesh::new(seed, Faults::SLOW);
        let mut ends = mesh.open_all(PAIR, 1);
        let mut devices = Vec::new();
        for _ in 0..len {
            let device = Device::open(&mut mesh, [PAIR, PAIR]);
            mesh.join(*ends.last().unwrap(), device.sides[0]);
            ends.push(device.sides[1]);
            devices.push(device);
        }
        let last = mesh.open(PAIR, Domain::Cooked);
        mesh.join(*ends.last().unwrap(), last);
        let mut chain = PairChain {
            ends: [ends[0], last],
            devices,
            serial: 0,
            accepted: Default::default(),
            received: Default::default(),
        };
        run(&mut mesh, &mut chain, &steps);
        mesh.heal();
        for _ in 0..200 {
            chain.recv(&mut mesh, 0);
            chain.recv(&mut mesh, 1);
            chain.check(&mut mesh);
            mesh.settle();
        }
        prop_assert_eq!(chain.received, chain.accepted);
    }

    #[test]
    fn through_devices_a_request_gets_its_own_reply(
        seed: u64, len in 1..4_usize, steps in steps(150),
    ) {
        let mut mesh = Mesh::new(seed, Faults::SLOW);
        let (client, devices, service) = chain(&mut mesh, REQ, REP, len);
        mesh.set_millis(client, option::REQ_RESEND_INTERVAL, 300);
        let mut chain = ReqChain { client, devices, service, serial: 0, asked: String::new() };
        run(&mut mesh, &mut chain, &steps);
        mesh.heal();
        let waits = !chain.asked.is_empty();
        for _ in 0..200 {
            chain.recv(&mut mesh, 0);
            chain.recv(&mut mesh, 1);
            chain.check(&mut mesh);
            mesh.advance(Duration::from_millis(20));
        }
        prop_assert!(!waits || chain.asked.is_empty(), "answered when the network is well again");
    }
}
