//! PUB and SUB (protocols 6): everything to everybody, and each keeps what it wants.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::fault::{Faults, Pattern, run, steps};
use super::full::{Dropped, Speaker, dropped};
use super::ring::Fairness;
use super::{Event, Mesh};
use crate::protocols::{Nothing, option};

const PUB: i32 = 0x20;
const SUB: i32 = 0x21;
const PUBLISHERS: usize = 2;
const SUBSCRIBERS: usize = 3;
const TOPICS: [&str; 6] = ["", "a", "ab", "abc", "b", "ba"];

#[derive(Default)]
struct PubSub {
    publishers: [Speaker; PUBLISHERS],
    subscribers: [Subscriber; SUBSCRIBERS],
    serial: usize,
}

#[derive(Default)]
struct Subscriber {
    fairness: Fairness,
    topics: BTreeMap<&'static str, usize>,
    heard: BTreeSet<usize>,
}

impl PubSub {
    fn build(mesh: &mut Mesh, dropped: Dropped) -> PubSub {
        mesh.open_all(PUB, PUBLISHERS);
        mesh.choose(0..PUBLISHERS, dropped);
        mesh.open_all(SUB, SUBSCRIBERS);
        for publisher in 0..PUBLISHERS {
            for subscriber in PUBLISHERS..PUBLISHERS + SUBSCRIBERS {
                mesh.join(publisher, subscriber);
            }
        }
        PubSub::default()
    }

    fn subscribe(&mut self, mesh: &mut Mesh, who: usize, choice: usize) {
        let subscriber = &mut self.subscribers[who];
        let topic = TOPICS[choice / 2 % TOPICS.len()];
        let count = subscriber.topics.entry(topic).or_default();
        let adds = choice.is_multiple_of(2);
        let option = if adds { option::SUB_SUBSCRIBE } else { option::SUB_UNSUBSCRIBE };
        let set = mesh.try_option(PUBLISHERS + who, option, topic.as_bytes());
        assert_eq!(set.is_ok(), adds || *count > 0, "{topic:?}");
        *count = if adds { *count + 1 } else { count.saturating_sub(1) };
    }
}

impl Pattern for PubSub {
    fn send(&mut self, mesh: &mut Mesh, who: usize) {
        if who.is_multiple_of(7) {
            return self.subscribe(mesh, who / 7 % SUBSCRIBERS, who / 21);
        }
        let (publisher, topic) = (who % PUBLISHERS, TOPICS[who / 2 % TOPICS.len()]);
        if who.is_multiple_of(13) {
            return mesh.choose_again(publisher);
        }
        self.serial += 1;
        // Whether it is right to refuse it, the model says.
        let _ = mesh.send(publisher, &format!("{topic}:{publisher}:{}", self.serial));
    }

    fn recv(&mut self, mesh: &mut Mesh, who: usize) {
        let who = who % SUBSCRIBERS;
        let Ok(text) = mesh.recv(PUBLISHERS + who) else { return };
        let serial = text.rsplit(':').next().unwrap().parse().unwrap();
        assert!(self.subscribers[who].heard.insert(serial), "heard twice");
    }

    fn check(&mut self, mesh: &mut Mesh) {
        for entry in mesh.take_log() {
            match self.publishers.get_mut(entry.node) {
                Some(publisher) => publisher.heed(&entry, mesh),
                None => self.subscribers[entry.node - PUBLISHERS].heed(&entry.event),
            }
        }
        for (node, publisher) in self.publishers.iter().enumerate() {
            publisher.check_readiness(mesh, node);
        }
    }
}

impl Subscriber {
    fn wants(&self, body: &[u8]) -> bool {
        let topics = self.topics.iter().filter(|(_, count)| **count > 0);
        topics.into_iter().any(|(topic, _)| body.starts_with(topic.as_bytes()))
    }

    fn heed(&mut self, event: &Event) {
        self.fairness.heed(event);
        match event {
            Event::Gave(given) => {
                let wanted = |(_, wire): &&(_, Vec<u8>)| self.wants(wire);
                let all: Vec<_> = self.fairness.taken.iter().filter(wanted).collect();
                match given {
                    Ok((_, body)) => {
                        assert_eq!(all.len(), 1, "takes no more than it gives");
                        assert_eq!(self.fairness.taken.last().unwrap().1, *body);
                        assert!(self.wants(body));
                    }
                    Err(nothing) => {
                        assert_eq!(*nothing, Nothing::Yet);
                        assert!(all.is_empty() && self.fairness.is_empty());
                    }
                }
            }
            Event::Sent { .. } => panic!("a SUB has nothing to say"),
            _ => {}
        }
    }
}

proptest! {
    #[test]
    fn everybody_with_room_gets_everything_and_keeps_what_it_wants(
        seed: u64, steps in steps(150), dropped in dropped(),
    ) {
        let mut mesh = Mesh::new(seed, Faults::SLOW);
        let mut pubsub = PubSub::build(&mut mesh, dropped);
        run(&mut mesh, &mut pubsub, &steps);
        // Publishing goes on to those who have drained.
        mesh.heal();
        for who in 0..SUBSCRIBERS {
            while mesh.recv(PUBLISHERS + who).is_ok() {}
        }
        prop_assert_eq!(mesh.unread(), 0);
        mesh.settle();
        pubsub.check(&mut mesh);
        prop_assert_eq!(mesh.send(0, "last"), Ok(()));
        let sent = mesh.log.iter().filter(|entry| matches!(entry.event, Event::Sent { .. }));
        prop_assert_eq!(sent.count(), SUBSCRIBERS);
        pubsub.check(&mut mesh);
    }
}

/// protocols 6.1: what a foolish SUB says is read and dropped.
#[test]
fn a_publisher_does_not_listen() {
    let mut mesh = Mesh::new(1, Faults::PROMPT);
    let publisher = mesh.open(PUB, super::Domain::Cooked);
    let subscriber = mesh.open(SUB, super::Domain::Cooked);
    let route = mesh.join(publisher, subscriber);
    mesh.settle();
    mesh.inject(route, subscriber, b"nonsense");
    mesh.settle();
    assert!(!mesh.readiness(publisher).can_recv);
    assert_eq!(mesh.unread(), 0, "what nobody reads would stop the stream");
    assert_eq!(mesh.send(publisher, "still here"), Ok(()));
    mesh.cut(route);
    mesh.settle();
    assert!(mesh.mend(route), "a new peer is welcome");
}
