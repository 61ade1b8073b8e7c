//! PAIR (protocols 3): one peer at a time, and what a former one said is not lost.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::fault::{Faults, Pattern, run, steps};
use super::{Domain, Event, Mesh};
use crate::protocols::{Nothing, PipeId, Refusal, option};

const PAIR: i32 = 0x10;
const NODES: usize = 4;

#[derive(Default)]
struct Pairs {
    nodes: [Node; NODES],
    serial: usize,
}

#[derive(Default)]
struct Node {
    peer: Option<PipeId>,
    /// Former peers whose last messages have not been received.
    leaving: Vec<PipeId>,
    last_pipe: Option<PipeId>,
    last_from: BTreeMap<usize, usize>,
    body: Vec<u8>,
    sent: bool,
    refused: bool,
}

impl Pairs {
    /// Everybody would like to be everybody's peer.
    fn build(mesh: &mut Mesh) -> Pairs {
        mesh.open_all(PAIR, NODES);
        for a in 0..NODES {
            for b in a + 1..NODES {
                mesh.join(a, b);
            }
        }
        Pairs::default()
    }
}

impl Pattern for Pairs {
    fn send(&mut self, mesh: &mut Mesh, who: usize) {
        self.serial += 1;
        let node = who % NODES;
        let peer = self.nodes[node].peer;
        let is_ready = peer.is_some_and(|peer| mesh.is_writable(node, peer));
        let sent = mesh.send(node, &format!("{node}:{}", self.serial));
        assert_eq!(sent.is_ok(), is_ready, "sends when its peer can take it");
    }

    fn recv(&mut self, mesh: &mut Mesh, who: usize) {
        let node = who % NODES;
        let Ok(text) = mesh.recv(node) else { return };
        let (sender, serial) = text.split_once(':').unwrap();
        let (sender, serial): (usize, usize) = (sender.parse().unwrap(), serial.parse().unwrap());
        let last = self.nodes[node].last_from.entry(sender).or_default();
        assert!(*last < serial, "out of order, or twice");
        *last = serial;
    }

    fn check(&mut self, mesh: &mut Mesh) {
        for entry in mesh.take_log() {
            self.nodes[entry.node].heed(&entry.event);
        }
        for (node, model) in self.nodes.iter().enumerate() {
            let wants = mesh.nodes[node].machine.as_ref().unwrap().wants_pipe();
            if model.leaving.is_empty() {
                assert_eq!(wants, model.peer.is_none(), "wants a peer when it has none");
            }
        }
    }
}

impl Node {
    fn heed(&mut self, event: &Event) {
        match event {
            Event::Added(pipe, _) => {
                assert_eq!(self.peer.replace(*pipe), None, "a second peer");
            }
            Event::Ended(pipe, _) => {
                if self.peer == Some(*pipe) {
                    self.peer = None;
                }
                self.leaving.push(*pipe);
            }
            Event::Removed(pipe) => self.leaving.retain(|other| other != pipe),
            Event::Asks((_, body)) => {
                (self.body, self.sent, self.refused) = (body.clone(), false, false);
            }
            Event::Sent { pipe, wire, .. } => {
                assert_eq!((Some(*pipe), wire), (self.peer, &self.body));
                assert!(!std::mem::replace(&mut self.sent, true));
            }
            Event::Asked(asked) => {
                let expected = if self.sent { Ok(()) } else { Err(Refusal::Busy) };
                assert_eq!(*asked, expected);
            }
            Event::Took { pipe, .. } => {
                assert!(self.last_pipe <= Some(*pipe), "a former peer's messages come first");
                self.last_pipe = Some(*pipe);
            }
            Event::Gave(Err(nothing)) => assert_eq!(*nothing, Nothing::Yet),
            _ => {}
        }
    }
}

/// Peers that left one after the other are heard in this order, before the one that lives.
#[test]
fn former_peers_are_heard_in_their_order() {
    let mut mesh = Mesh::new(1, Faults::PROMPT);
    let nodes = mesh.open_all(PAIR, 4);
    for peer in &nodes[1..] {
        let route = mesh.join(nodes[0], *peer);
        mesh.settle();
        mesh.send(*peer, &peer.to_string()).unwrap();
        mesh.settle();
        if peer != nodes.last().unwrap() {
            mesh.cut(route);
            mesh.settle();
        }
    }
    for peer in &nodes[1..] {
        assert_eq!(mesh.recv(nodes[0]), Ok(peer.to_string()));
    }
}

/// protocols 2.2: where there is no header, what the caller gives as one goes in front.
#[test]
fn a_header_that_means_nothing_is_a_part_of_the_body() {
    for (sender, receiver) in [(PAIR, PAIR), (0x50, 0x51), (0x20, 0x21)] {
        for seed in 0..8 {
            let mut mesh = Mesh::new(seed, Faults::PROMPT);
            let (from, to) = (mesh.open(sender, Domain::Raw), mesh.open(receiver, Domain::Raw));
            if receiver == 0x21 {
                mesh.try_option(to, option::SUB_SUBSCRIBE, b"he").unwrap();
            }
            mesh.join(from, to);
            mesh.settle();
            mesh.send_parts(from, &(b"head".to_vec(), b"body".to_vec())).unwrap();
            mesh.settle();
            assert_eq!(mesh.recv_parts(to), Ok((Vec::new(), b"headbody".to_vec())));
        }
    }
}

proptest! {
    #[test]
    fn one_peer_at_a_time_and_all_that_arrived(seed: u64, steps in steps(150)) {
        let mut mesh = Mesh::new(seed, Faults::SLOW);
        let mut pairs = Pairs::build(&mut mesh);
        run(&mut mesh, &mut pairs, &steps);
        mesh.heal();
        for node in 0..NODES {
            while mesh.recv(node).is_ok() {}
        }
        prop_assert_eq!(mesh.unread(), 0);
        pairs.check(&mut mesh);
    }
}
