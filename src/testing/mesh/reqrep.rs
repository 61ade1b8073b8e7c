//! REQ and REP (protocols 4 and 5): its own reply or none, and in the end always one.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::answer::Answerer;
use super::fault::{Faults, Pattern, run, steps};
use super::ring::Balance;
use super::{Event, Mesh, News, NodeId};
use crate::protocols::{Nothing, PipeId, Priorities, Priority, Readiness, option};

const REQ: i32 = 0x30;
const REP: i32 = 0x31;
const CLIENTS: usize = 3;
const SERVICES: usize = 2;
const RESEND: Duration = Duration::from_millis(100);

#[derive(Default)]
struct ReqRep {
    clients: [Requester; CLIENTS],
    services: [Answerer; SERVICES],
    /// What each service received last.
    pending: [String; SERVICES],
    serial: usize,
}

/// The machine of protocols 4.2 with the rules of 4.4 and 4.6.
#[derive(Default)]
struct Requester {
    balance: Balance,
    id: Option<u32>,
    state: State,
    /// The request whose reply the caller waits for.
    asked: String,
    /// Whether a request is lost with the service that has it.
    asks_once: bool,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Idle,
    Waiting(Vec<u8>),
    Sent {
        body: Vec<u8>,
        pipe: PipeId,
        at: Instant,
    },
    Answered(Vec<u8>),
    /// Who was asked has gone; it is looked now whether a reply came with the end.
    Leaving,
    Lost,
}

impl ReqRep {
    fn build(mesh: &mut Mesh, priorities: &[u8], asks_once: [bool; CLIENTS]) -> ReqRep {
        for client in mesh.open_all(REQ, CLIENTS) {
            mesh.set_millis(client, option::REQ_RESEND_INTERVAL, RESEND.as_millis() as i32);
            let resends = i32::from(!asks_once[client]).to_ne_bytes();
            mesh.try_option(client, option::REQ_RESEND_ON_LOSS, &resends).unwrap();
        }
        mesh.open_all(REP, SERVICES);
        let mut priorities = priorities.iter().copied().cycle();
        let mut next = || Priority(priorities.next().unwrap());
        for client in 0..CLIENTS {
            for service in CLIENTS..CLIENTS + SERVICES {
                let mut both = || Priorities { send: next(), recv: next() };
                let priorities = [both(), both()];
                mesh.join_with(client, service, priorities);
            }
        }
        let mut reqrep = ReqRep::default();
        for (client, asks_once) in reqrep.clients.iter_mut().zip(asks_once) {
            client.asks_once = asks_once;
        }
        reqrep
    }

    fn ask(&mut self, mesh: &mut Mesh, client: NodeId) {
        self.serial += 1;
        let text = format!("{client}.{}", self.serial);
        assert_eq!(mesh.send(client, &text), Ok(()));
        self.clients[client].asked = text;
    }

    fn receive(&mut self, mesh: &mut Mesh, client: NodeId) -> Result<(), Nothing> {
        let text = mesh.recv(client)?;
        let asked = std::mem::take(&mut self.clients[client].asked);
        assert_eq!(text, format!("re {asked}"), "somebody else's reply, or a second one");
        Ok(())
    }

    fn serve(mesh: &mut Mesh, service: NodeId) {
        while let Ok(text) = mesh.recv(service) {
            assert_eq!(mesh.send(service, &format!("re {text}")), Ok(()));
        }
    }
}

impl Pattern for ReqRep {
    fn send(&mut self, mesh: &mut Mesh, who: usize) {
        match who % (CLIENTS + SERVICES) {
            client if client < CLIENTS => self.ask(mesh, client),
            service => {
                // The machine alone knows whether anybody waits for this.
                let pending = &mut self.pending[service - CLIENTS];
                let _ = mesh.send(service, &format!("re {}", std::mem::take(pending)));
            }
        }
    }

    fn recv(&mut self, mesh: &mut Mesh, who: usize) {
        match who % (CLIENTS + SERVICES) {
            client if client < CLIENTS => drop(self.receive(mesh, client)),
            service => {
                let text = mesh.recv(service).unwrap_or_default();
                self.pending[service - CLIENTS] = text;
            }
        }
    }

    fn check(&mut self, mesh: &mut Mesh) {
        for entry in mesh.take_log() {
            match self.clients.get_mut(entry.node) {
                Some(client) => client.heed(entry.at, &entry.event),
                None => {
                    let service = &mut self.services[entry.node - CLIENTS];
                    service.heed(mesh, entry.node, &entry.event);
                }
            }
        }
        for (index, service) in self.services.iter().enumerate() {
            assert_eq!(mesh.readiness(CLIENTS + index), service.readiness());
        }
        for (node, client) in self.clients.iter_mut().enumerate() {
            client.be_on_time(mesh.now);
            assert_eq!(mesh.send_priority(node), client.balance.shown);
            let can_recv = matches!(client.state, State::Answered(_) | State::Lost);
            assert_eq!(mesh.readiness(node), Readiness { can_send: true, can_recv });
        }
    }
}

impl Requester {
    fn heed(&mut self, now: Instant, event: &Event) {
        // When a pipe ends it is looked through for a reply before the request goes elsewhere.
        let goes_on = matches!(
            event,
            Event::Sent { .. } | Event::Refused(_) | Event::Took { .. } | Event::Missed(_)
        );
        if !goes_on {
            self.end();
        }
        match event {
            Event::Asks((_, body)) => {
                self.id = self.id.map(|id| id.wrapping_add(1) | 0x8000_0000);
                self.hand_over(body.clone());
            }
            Event::Asked(asked) => assert_eq!(*asked, Ok(())),
            Event::Sent { wire, pipe, .. } => self.sent(now, *pipe, wire),
            Event::Took { wire, .. } => self.took(wire),
            Event::Gave(given) => match std::mem::take(&mut self.state) {
                State::Answered(body) => assert_eq!(*given, Ok((Vec::new(), body))),
                State::Idle => assert_eq!(*given, Err(Nothing::WrongState)),
                State::Lost => assert_eq!(*given, Err(Nothing::Lost)),
                other => {
                    assert_eq!(*given, Err(Nothing::Yet));
                    self.state = other;
                }
            },
            _ => {}
        }
        self.balance.heed(event);
        match (std::mem::take(&mut self.state), event) {
            (State::Waiting(body), Event::Writable(..)) => self.hand_over(body),
            (State::Sent { body, pipe, .. }, Event::Ended(ended, _)) if pipe == *ended => {
                if self.asks_once {
                    self.state = State::Leaving;
                } else {
                    self.hand_over(body);
                }
            }
            (State::Sent { body, at, .. }, Event::TimedOut) if at + RESEND <= now => {
                self.hand_over(body);
            }
            (other, _) => self.state = other,
        }
    }

    fn hand_over(&mut self, body: Vec<u8>) {
        self.state = State::Waiting(body);
        self.balance.begin();
    }

    fn sent(&mut self, now: Instant, pipe: PipeId, wire: &[u8]) {
        let State::Waiting(body) = std::mem::take(&mut self.state) else {
            panic!("sends without a request");
        };
        let id = u32::from_be_bytes(wire[..4].try_into().unwrap());
        assert!(id >= 0x8000_0000);
        assert_eq!(*self.id.get_or_insert(id), id, "an id is one more than the last");
        assert_eq!(wire[4..], body);
        self.state = State::Sent { body, pipe, at: now };
    }

    fn took(&mut self, wire: &[u8]) {
        let Some((id, body)) = wire.split_first_chunk() else { return };
        let is_open = matches!(self.state, State::Waiting(_) | State::Sent { .. } | State::Leaving);
        if is_open && Some(u32::from_be_bytes(*id)) == self.id {
            self.state = State::Answered(body.to_vec());
            self.balance.cancel();
        }
    }

    /// What the last event has led to is over.
    fn end(&mut self) {
        self.balance.end();
        if matches!(self.state, State::Leaving) {
            self.state = State::Lost;
        }
    }

    fn be_on_time(&mut self, now: Instant) {
        self.end();
        if let State::Sent { at, .. } = self.state {
            assert!(now < at + RESEND, "has to be sent again");
        }
    }
}

fn priorities() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(vec![1_u8, 8, 8, 16]), 1..9)
}

proptest! {
    #[test]
    fn each_request_gets_its_own_reply_or_none_and_in_the_end_one_or_is_lost(
        seed: u64, priorities in priorities(), asks_once: [bool; CLIENTS], steps in steps(150),
    ) {
        let mut mesh = Mesh::new(seed, Faults::SLOW);
        let mut reqrep = ReqRep::build(&mut mesh, &priorities, asks_once);
        run(&mut mesh, &mut reqrep, &steps);
        mesh.heal();
        reqrep.check(&mut mesh);
        let unread = (0..CLIENTS).map(|client| mesh.unread_by(client)).sum::<usize>();
        prop_assert_eq!(unread, 0, "a reply that comes with the end of its pipe is one");
        let mut is_answered = [false; CLIENTS];
        for _ in 0..40 {
            for service in CLIENTS..CLIENTS + SERVICES {
                ReqRep::serve(&mut mesh, service);
            }
            mesh.advance(RESEND / 2);
            reqrep.check(&mut mesh);
            for (client, is_answered) in is_answered.iter_mut().enumerate() {
                let given = reqrep.receive(&mut mesh, client);
                *is_answered |= given != Err(Nothing::Yet);
            }
            reqrep.check(&mut mesh);
        }
        prop_assert_eq!(is_answered, [true; CLIENTS]);
    }
}

/// protocols 4.3 and 4.4: whatever a foolish service says, the first good reply counts.
#[test]
fn only_the_first_reply_with_the_right_id_counts() {
    let mut mesh = Mesh::new(3, Faults::PROMPT);
    let client = mesh.open(REQ, super::Domain::Cooked);
    let service = mesh.open(REP, super::Domain::Cooked);
    let route = mesh.join(client, service);
    mesh.settle();
    mesh.send(client, "q").unwrap();
    let id = mesh.log.iter().find_map(|entry| match &entry.event {
        Event::Sent { wire, .. } => Some(wire[..4].to_vec()),
        _ => None,
    });
    let id = id.unwrap();
    let mut plain = id.clone();
    plain[0] &= 0x7f;
    let says = |rest: &[u8]| [&id, rest].concat();
    let bad = [
        b"".to_vec(),
        id[..3].to_vec(),
        [&plain, &b"bit 31 is clear"[..]].concat(),
        [&[0; 4], &says(b"behind a hop")[..]].concat(),
        [&[0xff; 4], &b"another id"[..]].concat(),
    ];
    for wire in &bad {
        mesh.inject(route, service, wire);
        mesh.settle();
        assert!(!mesh.readiness(client).can_recv, "{wire:?}");
        assert_eq!(mesh.recv(client), Err(Nothing::Yet), "{wire:?}");
    }
    mesh.inject(route, service, &says(b"first"));
    mesh.inject(route, service, &says(b"second"));
    bad.iter().for_each(|wire| mesh.inject(route, service, wire));
    mesh.settle();
    assert_eq!(mesh.recv(client), Ok("first".into()));
    assert_eq!(mesh.recv(client), Err(Nothing::WrongState));
    // The request itself, which nobody has read.
    assert_eq!(mesh.unread(), 1);
}

/// protocols 4.2: of several requests made without a peer only the last one is sent, as soon
/// as there is one; the reply that is there survives its pipe.
#[test]
fn waits_for_a_peer_and_keeps_its_reply() {
    let mut mesh = Mesh::new(4, Faults::PROMPT);
    let client = mesh.open(REQ, super::Domain::Cooked);
    let service = mesh.open(REP, super::Domain::Cooked);
    ["a", "b", "c"].into_iter().for_each(|text| mesh.send(client, text).unwrap());
    let route = mesh.join(client, service);
    mesh.settle();
    assert_eq!(mesh.recv(service), Ok("c".into()));
    mesh.send(service, "re c").unwrap();
    mesh.settle();
    mesh.cut(route);
    mesh.settle();
    assert!(mesh.news.values().all(|(_, _, news)| *news != News::Ended));
    assert_eq!(mesh.recv(client), Ok("re c".into()));
}

/// protocols 4.4: nobody could take the request again, and then the first copy is answered.
#[test]
fn takes_the_reply_to_a_first_copy_while_nobody_can_take_the_second() {
    let mut mesh = Mesh::new(7, Faults::PROMPT);
    let client = mesh.open(REQ, super::Domain::Cooked);
    let service = mesh.open(REP, super::Domain::Cooked);
    mesh.set_millis(client, option::REQ_RESEND_INTERVAL, RESEND.as_millis() as i32);
    let route = mesh.join(client, service);
    mesh.set_limit(route, client, 0);
    mesh.settle();
    mesh.send(client, "q").unwrap();
    mesh.advance(2 * RESEND);
    let copies = mesh.log.iter().filter(|entry| matches!(entry.event, Event::Sent { .. }));
    assert_eq!(copies.count(), 1);
    assert_eq!(mesh.recv(service), Ok("q".into()));
    mesh.send(service, "re q").unwrap();
    mesh.settle();
    assert_eq!(mesh.recv(client), Ok("re q".into()));
    mesh.set_limit(route, client, 1);
    mesh.settle();
    assert_eq!(mesh.recv(service), Err(Nothing::Yet), "what is answered is not sent again");
}

/// A pipe that has room, but no memory, says no second time that it has room. The request must not
/// wait for that word.
#[test]
fn a_request_that_found_no_memory_is_sent_when_there_is_some() {
    let mut mesh = Mesh::new(8, Faults::PROMPT);
    let client = mesh.open(REQ, super::Domain::Cooked);
    let service = mesh.open(REP, super::Domain::Cooked);
    mesh.set_millis(client, option::REQ_RESEND_INTERVAL, RESEND.as_millis() as i32);
    mesh.join(client, service);
    mesh.settle();
    mesh.is_starved = true;
    mesh.send(client, "q").unwrap();
    mesh.settle();
    mesh.is_starved = false;
    mesh.advance(10 * RESEND);
    assert_eq!(mesh.recv(service), Ok("q".into()));
}

/// protocols 10: of k words and a limit of k the request is taken, of k + 1 it is not.
#[test]
fn the_hop_limit_counts_the_words_with_the_id() {
    for limit in [1, 2, 8, 255] {
        let mut mesh = Mesh::new(5, Faults::PROMPT);
        let client = mesh.open(REQ, super::Domain::Cooked);
        let service = mesh.open(REP, super::Domain::Cooked);
        mesh.nodes[service].hop_limit = limit;
        let route = mesh.join(client, service);
        mesh.settle();
        let request = |words: usize| [&vec![0; 4 * (words - 1)][..], &[0x80, 0, 0, 1]].concat();
        mesh.inject(route, client, &request(limit + 1));
        mesh.settle();
        assert_eq!(mesh.recv(service), Err(Nothing::Yet));
        mesh.inject(route, client, &request(limit));
        mesh.settle();
        assert_eq!(mesh.recv(service), Ok(String::new()));
        mesh.take_log();
        mesh.send(service, "re").unwrap();
        let sent = mesh.take_log().into_iter().find_map(|entry| match entry.event {
            Event::Sent { wire, .. } => Some(wire),
            _ => None,
        });
        assert_eq!(sent, Some([&request(limit)[..], b"re"].concat()));
    }
}

/// protocols 5.2: what is no request is dropped, and its pipe stays.
#[test]
fn malformed_requests_are_dropped() {
    let mut mesh = Mesh::new(6, Faults::PROMPT);
    let client = mesh.open(REQ, super::Domain::Cooked);
    let service = mesh.open(REP, super::Domain::Cooked);
    let route = mesh.join(client, service);
    mesh.settle();
    let bad: [&[u8]; 6] =
        [b"", b"\x80", b"\x80\0\0", b"\0\0\0\x01", b"\0\0\0\x01\x80\0\0", &[0; 64]];
    for wire in bad {
        mesh.inject(route, client, wire);
        mesh.settle();
        assert_eq!(mesh.recv(service), Err(Nothing::Yet), "{wire:?}");
    }
    mesh.send(client, "good").unwrap();
    mesh.settle();
    assert_eq!(mesh.recv(service), Ok("good".into()));
}
