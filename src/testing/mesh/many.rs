//! A PAIR that keeps every peer: what comes says from whom, and what goes to one goes to no other.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::fault::{Faults, Pattern, run, steps};
use super::{Event, Mesh, NodeId};
use crate::message::control::{Entry, peer};
use crate::message::{Body, Message};
use crate::protocols::{PipeId, Refusal, option};

const PAIR: i32 = 0x10;
const HUB: NodeId = 0;
const SPOKES: usize = 3;

#[derive(Default)]
struct Hub {
    living: BTreeSet<PipeId>,
    /// Whom the hub heard last.
    last_heard: Option<PipeId>,
    serial: usize,
    /// What each peer has sent was received up to here. One that comes again is another peer.
    last_from: BTreeMap<PipeId, usize>,
    /// The same of what the hub has sent to each socket.
    last_to: BTreeMap<NodeId, usize>,
}

impl Hub {
    fn build(mesh: &mut Mesh) -> Hub {
        mesh.open_all(PAIR, 1 + SPOKES);
        mesh.try_option(HUB, option::PAIR_MANY, &1_i32.to_ne_bytes()).unwrap();
        for spoke in 1..=SPOKES {
            mesh.join(HUB, spoke);
        }
        Hub::default()
    }

    fn hear(&mut self, mesh: &mut Mesh) -> bool {
        let Ok(message) = mesh.recv_message(HUB) else { return false };
        let pipe = peer::named(message.control()).map(PipeId::from_peer_number).unwrap();
        let (sender, serial) = parsed(&message);
        assert_eq!(sender, spoke_at(mesh, pipe), "says from whom it is");
        let last = self.last_from.entry(pipe).or_default();
        assert!(*last < serial, "out of order, or twice");
        (*last, self.last_heard) = (serial, Some(pipe));
        true
    }

    /// Says something to the one who was heard last, who may have gone.
    fn answer(&mut self, mesh: &mut Mesh) {
        let Some(pipe) = self.last_heard else { return };
        self.serial += 1;
        let text = format!("{}:{}", spoke_at(mesh, pipe), self.serial);
        let expected = match self.living.contains(&pipe) {
            false => Err(Refusal::NoPeer),
            true if mesh.is_writable(HUB, pipe) => Ok(()),
            true => Err(Refusal::Busy),
        };
        let number = pipe.peer_number().to_ne_bytes();
        let entry = Entry { level: peer::LEVEL, kind: peer::NUMBER, data: &number };
        let mut message = Message::from_body(Body::copy_from(text.as_bytes()).unwrap());
        message.ancillary = Some(entry.to_chunk().unwrap());
        assert_eq!(mesh.send_message(HUB, message), expected);
    }

    fn receive(&mut self, mesh: &mut Mesh, spoke: NodeId) -> bool {
        let Ok(message) = mesh.recv_message(spoke) else { return false };
        let (addressee, serial) = parsed(&message);
        assert_eq!(addressee, spoke, "what is for one goes to no other");
        let last = self.last_to.entry(spoke).or_default();
        assert!(*last < serial, "out of order, or twice");
        *last = serial;
        true
    }
}

fn parsed(message: &Message) -> (NodeId, usize) {
    let text = String::from_utf8(message.body.as_slice().to_vec()).unwrap();
    let (node, serial) = text.split_once(':').unwrap();
    (node.parse().unwrap(), serial.parse().unwrap())
}

/// Who is, or was, at the other end of a pipe of the hub.
fn spoke_at(mesh: &Mesh, pipe: PipeId) -> NodeId {
    let is_it = |link: &&super::Link| link.ends[0].node == HUB && link.ends[0].pipe == pipe;
    mesh.links.iter().find(is_it).unwrap().ends[1].node
}

impl Pattern for Hub {
    fn send(&mut self, mesh: &mut Mesh, who: usize) {
        match who % (SPOKES + 2) {
            spoke @ 1..=SPOKES => {
                self.serial += 1;
                let _ = mesh.send(spoke, &format!("{spoke}:{}", self.serial));
            }
            _ => self.answer(mesh),
        }
    }

    fn recv(&mut self, mesh: &mut Mesh, who: usize) {
        match who % (SPOKES + 2) {
            spoke @ 1..=SPOKES => drop(self.receive(mesh, spoke)),
            _ => drop(self.hear(mesh)),
        }
    }

    fn check(&mut self, mesh: &mut Mesh) {
        for entry in mesh.take_log().into_iter().filter(|entry| entry.node == HUB) {
            match entry.event {
                Event::Added(pipe, _) => assert!(self.living.insert(pipe)),
                Event::Ended(pipe, _) | Event::Removed(pipe) => drop(self.living.remove(&pipe)),
                _ => {}
            }
        }
    }
}

proptest! {
    #[test]
    fn everybody_is_told_apart(seed: u64, steps in steps(150)) {
        let mut mesh = Mesh::new(seed, Faults::SLOW);
        let mut hub = Hub::build(&mut mesh);
        run(&mut mesh, &mut hub, &steps);
        mesh.heal();
        while hub.hear(&mut mesh) {}
        for spoke in 1..=SPOKES {
            while hub.receive(&mut mesh, spoke) {}
        }
        prop_assert_eq!(mesh.unread(), 0);
    }
}
