//! BUS (protocols 9): to all direct neighbours, and never back.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::fault::{Faults, Pattern, run, steps};
use super::full::{Dropped, Speaker, dropped};
use super::ring::Fairness;
use super::{Event, Mesh};
use crate::protocols::Nothing;

const BUS: i32 = 0x70;
const NODES: usize = 4;

#[derive(Default)]
struct Bus {
    stations: [Station; NODES],
    serial: usize,
}

#[derive(Default)]
struct Station {
    speaker: Speaker,
    fairness: Fairness,
    heard: BTreeSet<usize>,
}

impl Bus {
    /// A ring of four, so that everybody has a node that is no neighbour.
    fn build(mesh: &mut Mesh, dropped: Dropped) -> Bus {
        mesh.open_all(BUS, NODES);
        mesh.choose(0..NODES, dropped);
        for node in 0..NODES {
            mesh.join(node, (node + 1) % NODES);
        }
        Bus::default()
    }
}

impl Pattern for Bus {
    fn send(&mut self, mesh: &mut Mesh, who: usize) {
        let node = who % NODES;
        if who.is_multiple_of(13) {
            return mesh.choose_again(node);
        }
        self.serial += 1;
        // Whether it is right to refuse it, the model says.
        let _ = mesh.send(node, &format!("{node}:{}", self.serial));
    }

    fn recv(&mut self, mesh: &mut Mesh, who: usize) {
        let node = who % NODES;
        let Ok(text) = mesh.recv(node) else { return };
        let (sender, serial) = text.split_once(':').unwrap();
        let (sender, serial): (usize, usize) = (sender.parse().unwrap(), serial.parse().unwrap());
        assert_eq!((sender + node) % 2, 1, "came from {sender}, which is no neighbour of {node}");
        assert!(self.stations[node].heard.insert(serial), "heard twice");
    }

    fn check(&mut self, mesh: &mut Mesh) {
        for entry in mesh.take_log() {
            self.stations[entry.node].speaker.heed(&entry, mesh);
            self.stations[entry.node].heed(&entry.event);
        }
        for (node, station) in self.stations.iter().enumerate() {
            station.speaker.check_readiness(mesh, node);
        }
    }
}

impl Station {
    fn heed(&mut self, event: &Event) {
        self.fairness.heed(event);
        match event {
            Event::Gave(Ok((_, body))) => {
                let [(_, wire)] = &self.fairness.taken[..] else { panic!("takes one, gives one") };
                assert_eq!(wire, body);
            }
            Event::Gave(Err(nothing)) => {
                assert_eq!(*nothing, Nothing::Yet);
                assert!(self.fairness.is_empty());
            }
            _ => {}
        }
    }
}

proptest! {
    #[test]
    fn direct_neighbours_with_room_get_it_once(
        seed: u64, steps in steps(150), dropped in dropped(),
    ) {
        let mut mesh = Mesh::new(seed, Faults::SLOW);
        let mut bus = Bus::build(&mut mesh, dropped);
        run(&mut mesh, &mut bus, &steps);
        mesh.heal();
        for node in 0..NODES {
            while mesh.recv(node).is_ok() {}
        }
        prop_assert_eq!(mesh.unread(), 0);
        mesh.settle();
        bus.check(&mut mesh);
        // Who had to wait for room has it, and all hear the newest.
        for node in 0..NODES {
            let last = format!("{node}:{}", bus.serial + 1 + node);
            prop_assert_eq!(mesh.send(node, &last), Ok(()));
        }
        mesh.settle();
        for node in 0..NODES {
            let heard = std::iter::from_fn(|| mesh.recv(node).ok()).count();
            prop_assert_eq!(heard, 2);
        }
        bus.check(&mut mesh);
    }
}
