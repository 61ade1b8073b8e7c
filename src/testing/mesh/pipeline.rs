//! PUSH and PULL (protocols 7): every message to one peer, in turn, the better ones first.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::fault::{Faults, Pattern, Step, run, steps, steps_without_loss};
use super::ring::{Balance, Fairness};
use super::{Event, Mesh, NodeId};
use crate::protocols::{Nothing, Priorities, Priority, Refusal};

const PUSH: i32 = 0x50;
const PULL: i32 = 0x51;
const PUSHERS: usize = 2;
const PULLERS: usize = 3;

#[derive(Default)]
struct Pipeline {
    pushers: [Pusher; PUSHERS],
    pullers: [Fairness; PULLERS],
    serial: usize,
    accepted: BTreeSet<String>,
    delivered: BTreeSet<String>,
}

#[derive(Default)]
struct Pusher {
    balance: Balance,
    body: Vec<u8>,
}

impl Pipeline {
    /// The pushers are the first nodes, the pullers the next; everybody is joined to everybody.
    fn build(mesh: &mut Mesh, priorities: &[u8]) -> Pipeline {
        mesh.open_all(PUSH, PUSHERS);
        mesh.open_all(PULL, PULLERS);
        let mut priorities = priorities.iter().copied().cycle();
        let mut next = || Priority(priorities.next().unwrap());
        for pusher in 0..PUSHERS {
            for puller in PUSHERS..PUSHERS + PULLERS {
                let mut both = || Priorities { send: next(), recv: next() };
                let priorities = [both(), both()];
                mesh.join_with(pusher, puller, priorities);
            }
        }
        Pipeline::default()
    }

    fn receive(&mut self, mesh: &mut Mesh, puller: NodeId) -> bool {
        let Ok(text) = mesh.recv(puller) else { return false };
        assert!(self.accepted.contains(&text), "{text} was not sent");
        assert!(self.delivered.insert(text), "delivered twice");
        true
    }

    fn drain(&mut self, mesh: &mut Mesh) {
        mesh.heal();
        self.check(mesh);
        while (PUSHERS..PUSHERS + PULLERS).any(|puller| self.receive(mesh, puller)) {
            mesh.settle();
            self.check(mesh);
        }
        assert_eq!(mesh.unread(), 0, "what has arrived can be received");
    }
}

impl Pattern for Pipeline {
    fn send(&mut self, mesh: &mut Mesh, who: usize) {
        self.serial += 1;
        let text = self.serial.to_string();
        if mesh.send(who % PUSHERS, &text).is_ok() {
            self.accepted.insert(text);
        }
    }

    fn recv(&mut self, mesh: &mut Mesh, who: usize) {
        self.receive(mesh, PUSHERS + who % PULLERS);
    }

    fn check(&mut self, mesh: &mut Mesh) {
        for entry in mesh.take_log() {
            match self.pushers.get_mut(entry.node) {
                Some(pusher) => pusher.heed(&entry.event),
                None => heed_puller(&mut self.pullers[entry.node - PUSHERS], &entry.event),
            }
        }
        for (node, pusher) in self.pushers.iter().enumerate() {
            assert_eq!(mesh.send_priority(node), pusher.balance.shown);
            assert_eq!(mesh.readiness(node).can_send, pusher.balance.ring.current().is_some());
        }
        for (index, fairness) in self.pullers.iter().enumerate() {
            assert_eq!(mesh.readiness(PUSHERS + index).can_recv, !fairness.is_empty());
        }
    }
}

impl Pusher {
    fn heed(&mut self, event: &Event) {
        match event {
            Event::Asks((_, body)) => {
                self.body = body.clone();
                self.balance.begin();
            }
            Event::Asked(Ok(())) => assert!(!self.balance.is_pending(), "accepted, but not sent"),
            Event::Asked(Err(refusal)) => {
                assert_eq!(*refusal, Refusal::Busy);
                assert!(self.balance.is_pending(), "sent, but not accepted");
                self.balance.end();
            }
            Event::Sent { wire, .. } => assert_eq!(*wire, self.body),
            Event::Took { .. } => panic!("a PUSH reads nothing"),
            _ => {}
        }
        self.balance.heed(event);
    }
}

fn heed_puller(fairness: &mut Fairness, event: &Event) {
    fairness.heed(event);
    match event {
        Event::Gave(Ok((_, body))) => {
            let [(_, wire)] = &fairness.taken[..] else { panic!("takes one to give one") };
            assert_eq!(wire, body);
        }
        Event::Gave(Err(nothing)) => {
            assert_eq!(*nothing, Nothing::Yet);
            assert!(fairness.taken.is_empty() && fairness.is_empty());
        }
        Event::Sent { .. } => panic!("a PULL has nothing to say"),
        _ => {}
    }
}

fn priorities() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(vec![1_u8, 5, 8, 8, 8, 16]), 1..9)
}

fn go(seed: u64, faults: Faults, priorities: &[u8], steps: &[Step]) -> Pipeline {
    let mut mesh = Mesh::new(seed, faults);
    let mut pipeline = Pipeline::build(&mut mesh, priorities);
    run(&mut mesh, &mut pipeline, steps);
    pipeline.drain(&mut mesh);
    pipeline
}

proptest! {
    #[test]
    fn each_message_goes_to_one_peer_in_turn_and_arrives_once_at_most(
        seed: u64, priorities in priorities(), steps in steps(120),
    ) {
        go(seed, Faults::SLOW, &priorities, &steps);
    }

    #[test]
    fn without_loss_of_pipes_nothing_is_lost(
        seed: u64, priorities in priorities(), steps in steps_without_loss(120),
    ) {
        let pipeline = go(seed, Faults::SLOW, &priorities, &steps);
        prop_assert_eq!(pipeline.accepted, pipeline.delivered);
    }
}
