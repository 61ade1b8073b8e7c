//! Branches of one REQ: each has a request of its own, and gets the reply to that one or none.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::fault::{Faults, Pattern, run, steps};
use super::{Domain, Event, Mesh, NodeId};
use crate::protocols::{Nothing, option};

const REQ: i32 = 0x30;
const REP: i32 = 0x31;
const CLIENT: NodeId = 0;
const SERVICES: usize = 2;
/// The socket asks, too.
const ASKERS: usize = 4;
const RESEND: Duration = Duration::from_millis(100);

struct Contexts {
    /// The socket and its branches.
    askers: [Asker; ASKERS],
    /// What each service received last.
    pending: [String; SERVICES],
    /// Which request has which id, as its first copy says.
    ids: BTreeMap<u32, String>,
    serial: u32,
    copies: usize,
}

struct Asker {
    node: NodeId,
    /// The request whose reply the caller waits for.
    asked: Option<String>,
    /// Whether there was a reply when that was last looked at.
    could_recv: bool,
}

impl Asker {
    fn new(node: NodeId) -> Asker {
        Asker { node, asked: None, could_recv: false }
    }
}

impl Contexts {
    fn build(mesh: &mut Mesh) -> Contexts {
        mesh.open(REQ, Domain::Cooked);
        mesh.set_millis(CLIENT, option::REQ_RESEND_INTERVAL, RESEND.as_millis() as i32);
        for service in mesh.open_all(REP, SERVICES) {
            mesh.join(CLIENT, service);
        }
        let open = |at| if at == 0 { CLIENT } else { mesh.open_branch(CLIENT) };
        Contexts {
            askers: std::array::from_fn(open).map(Asker::new),
            pending: Default::default(),
            ids: BTreeMap::new(),
            serial: 0,
            copies: 0,
        }
    }

    fn ask(&mut self, mesh: &mut Mesh, at: usize) {
        self.serial += 1;
        let text = format!("{at}.{}", self.serial);
        let asker = &mut self.askers[at];
        assert_eq!(mesh.send(asker.node, &text), Ok(()));
        *asker = Asker { asked: Some(text), ..Asker::new(asker.node) };
    }

    fn receive(&mut self, mesh: &mut Mesh, at: usize) -> Result<(), Nothing> {
        let asker = &mut self.askers[at];
        let can_recv = mesh.readiness(asker.node).can_recv;
        let expected = match &asker.asked {
            Some(text) if can_recv => Ok(format!("re {text}")),
            Some(_) => Err(Nothing::Yet),
            None => Err(Nothing::WrongState),
        };
        let given = mesh.recv(asker.node);
        assert_eq!(given, expected, "another's reply, a late one, or none");
        if given.is_ok() {
            *asker = Asker::new(asker.node);
        }
        given.map(drop)
    }

    /// Closes a branch with what it has under way, and opens another in its place.
    fn replace(&mut self, mesh: &mut Mesh, at: usize) {
        mesh.close_branch(self.askers[at].node);
        self.askers[at] = Asker::new(mesh.open_branch(CLIENT));
    }

    /// All copies of a request have its id, and no other request has.
    fn heed_copy(&mut self, wire: &[u8]) {
        let (id, text) = wire.split_first_chunk().unwrap();
        let (id, text) = (u32::from_be_bytes(*id), std::str::from_utf8(text).unwrap());
        let is_open = self.askers.iter().any(|asker| asker.asked.as_deref() == Some(text));
        assert!(is_open, "{text} is sent, for which nobody waits");
        let known = self.ids.iter().find(|(known, other)| **known == id || *other == text);
        assert!(known.is_none_or(|(known, other)| *known == id && other == text));
        self.ids.insert(id, text.into());
        self.copies += 1;
    }

    fn serve_all(mesh: &mut Mesh) {
        for service in 1..=SERVICES {
            while let Ok(text) = mesh.recv(service) {
                assert_eq!(mesh.send(service, &format!("re {text}")), Ok(()));
            }
        }
    }
}

impl Pattern for Contexts {
    fn send(&mut self, mesh: &mut Mesh, who: usize) {
        match who % (ASKERS + SERVICES + 1) {
            at if at < ASKERS => self.ask(mesh, at),
            ASKERS => self.replace(mesh, 1 + who / 7 % (ASKERS - 1)),
            at => {
                // The machine alone knows whether anybody waits for this.
                let service = at - ASKERS;
                let text = std::mem::take(&mut self.pending[service - 1]);
                let _ = mesh.send(service, &format!("re {text}"));
            }
        }
    }

    fn recv(&mut self, mesh: &mut Mesh, who: usize) {
        match who % (ASKERS + SERVICES) {
            at if at < ASKERS => drop(self.receive(mesh, at)),
            at => {
                let service = at - ASKERS + 1;
                self.pending[service - 1] = mesh.recv(service).unwrap_or_default();
            }
        }
    }

    fn check(&mut self, mesh: &mut Mesh) {
        let mut told = Vec::new();
        for entry in mesh.take_log() {
            match entry.event {
                Event::Sent { wire, .. } if entry.node == CLIENT => self.heed_copy(&wire),
                Event::Told => told.push(entry.node),
                _ => {}
            }
        }
        for asker in &mut self.askers {
            let can_recv = mesh.readiness(asker.node).can_recv;
            let is_news = can_recv && !asker.could_recv;
            let is_told = asker.node == CLIENT || told.contains(&asker.node);
            assert!(!is_news || is_told, "who waits for the reply is not told");
            assert!(!can_recv || asker.asked.is_some(), "a reply for one who asks nothing");
            asker.could_recv = can_recv;
        }
    }
}

proptest! {
    #[test]
    fn a_reply_reaches_who_asked_and_in_the_end_everybody_has_one(
        seed: u64, steps in steps(200),
    ) {
        let mut mesh = Mesh::new(seed, Faults::SLOW);
        let mut contexts = Contexts::build(&mut mesh);
        run(&mut mesh, &mut contexts, &steps);
        mesh.heal();
        contexts.check(&mut mesh);
        for at in 0..ASKERS {
            if contexts.askers[at].asked.is_none() {
                contexts.ask(&mut mesh, at);
            }
        }
        contexts.check(&mut mesh);
        let mut is_answered = [false; ASKERS];
        for _ in 0..40 {
            Contexts::serve_all(&mut mesh);
            mesh.advance(RESEND / 2);
            contexts.check(&mut mesh);
            for (at, is_answered) in is_answered.iter_mut().enumerate() {
                *is_answered |= contexts.receive(&mut mesh, at).is_ok();
            }
        }
        prop_assert_eq!(is_answered, [true; ASKERS]);
        prop_assert_eq!(mesh.unread_by(CLIENT), 0, "late replies are taken from their pipes");
    }
}

/// protocols 4.4: each request is sent again when its own time has come.
#[test]
fn each_asks_again_on_its_own() {
    let mut mesh = Mesh::new(1, Faults::PROMPT);
    let mut contexts = Contexts::build(&mut mesh);
    (0..SERVICES).for_each(|route| mesh.set_limit(route, CLIENT, 2 * ASKERS));
    mesh.settle();
    for at in 0..ASKERS {
        contexts.ask(&mut mesh, at);
        mesh.advance(RESEND / 5);
    }
    for copies in ASKERS..2 * ASKERS {
        contexts.check(&mut mesh);
        assert_eq!(contexts.copies, copies);
        mesh.advance(RESEND / 5);
    }
}

/// The timer of a request begins when a service takes it, and not when it was asked.
#[test]
fn who_asked_before_the_first_peer_asks_again() {
    let mut mesh = Mesh::new(2, Faults::PROMPT);
    let client = mesh.open(REQ, Domain::Cooked);
    let service = mesh.open(REP, Domain::Cooked);
    mesh.set_millis(client, option::REQ_RESEND_INTERVAL, RESEND.as_millis() as i32);
    let branches = [mesh.open_branch(client), mesh.open_branch(client)];
    branches.iter().for_each(|branch| mesh.send(*branch, "q").unwrap());
    mesh.join(client, service);
    mesh.settle();
    for _ in 0..3 {
        branches.iter().for_each(|_| assert_eq!(mesh.recv(service), Ok("q".into())));
        assert_eq!(mesh.recv(service), Err(Nothing::Yet));
        mesh.advance(RESEND);
    }
}
