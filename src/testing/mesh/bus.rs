//! BUS (protocols 9): to all direct neighbours, and never back.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::fault::{Faults, Pattern, run, steps};
use super::ring::{Broadcast, Fairness};
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
    broadcast: Broadcast,
    fairness: Fairness,
    dropped: usize,
    heard: BTreeSet<usize>,
}

impl Bus {
    /// A ring of four, so that everybody has a node that is no neighbour.
    fn build(mesh: &mut Mesh) -> Bus {
        mesh.open_all(BUS, NODES);
        for node in 0..NODES {
            mesh.join(node, (node + 1) % NODES);
        }
        Bus::default()
    }
}

impl Pattern for Bus {
    fn send(&mut self, mesh: &mut Mesh, who: usize) {
        self.serial += 1;
        let node = who % NODES;
        assert_eq!(mesh.send(node, &format!("{node}:{}", self.serial)), Ok(()));
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
            self.stations[entry.node].heed(&entry.event);
        }
    }
}

impl Station {
    fn heed(&mut self, event: &Event) {
        self.fairness.heed(event);
        match event {
            Event::Asks((_, body)) => {
                self.dropped = 0;
                self.broadcast.begin(body.clone(), None);
            }
            Event::Dropped(count) => self.dropped += count,
            Event::Asked(asked) => {
                assert_eq!(*asked, Ok(()));
                self.broadcast.end(self.dropped);
            }
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
        self.broadcast.heed(event);
    }
}

proptest! {
    #[test]
    fn direct_neighbours_with_room_get_it_once(seed: u64, steps in steps(150)) {
        let mut mesh = Mesh::new(seed, Faults::SLOW);
        let mut bus = Bus::build(&mut mesh);
        run(&mut mesh, &mut bus, &steps);
        mesh.heal();
        for node in 0..NODES {
            while mesh.recv(node).is_ok() {}
        }
        prop_assert_eq!(mesh.unread(), 0);
        bus.check(&mut mesh);
    }
}
