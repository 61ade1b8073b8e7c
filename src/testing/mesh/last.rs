//! SUB with SUB_LAST: one who receives, and a branch, have the newest message of each topic, and
//! nobody is held back by either.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::fault::{Faults, Pattern, run, steps};
use super::full::Dropped;
use super::ring::Fairness;
use super::{Domain, Entry, Event, Mesh, NodeId};
use crate::error::Error;
use crate::protocols::{Nothing, option};

const PUB: i32 = 0x20;
const SUB: i32 = 0x21;
const PUBLISHERS: usize = 2;
const SUBSCRIBER: NodeId = PUBLISHERS;
const TOPICS: [&str; 5] = ["", "a", "ab", "abc", "b"];

struct Newest {
    /// The socket, and perhaps a branch of it.
    receivers: Vec<Receiver>,
    fairness: Fairness,
    serial: usize,
    /// What the socket has dropped, and what it should have.
    dropped: [usize; 2],
}

struct Receiver {
    node: NodeId,
    topics: BTreeMap<&'static str, usize>,
    keeps_last: bool,
    /// What waits, in its order, with the topic to which it belongs.
    waiting: Vec<(&'static str, Vec<u8>)>,
    /// Whether there was something when that was last looked at.
    could_recv: bool,
}

impl Receiver {
    fn new(node: NodeId) -> Receiver {
        let (topics, waiting) = (BTreeMap::new(), Vec::new());
        Receiver { node, topics, keeps_last: false, waiting, could_recv: false }
    }

    fn longest(&self, body: &[u8]) -> Option<&'static str> {
        let is_topic = |(topic, count): &(&&'static str, &usize)| {
            **count > 0 && body.starts_with(topic.as_bytes())
        };
        self.topics.iter().filter(is_topic).map(|(topic, _)| *topic).max_by_key(|it| it.len())
    }

    /// Something has come. Says how many messages it takes the place of.
    fn keep(&mut self, body: &[u8]) -> usize {
        let Some(topic) = self.longest(body) else { return 0 };
        let before = self.waiting.len();
        if self.keeps_last {
            self.waiting.retain(|(other, _)| *other != topic);
        }
        let outdated = before - self.waiting.len();
        self.waiting.push((topic, body.to_vec()));
        outdated
    }

    fn set(&self, mesh: &mut Mesh, number: i32, value: &[u8]) -> Result<(), Error> {
        let Some((trunk, branch)) = mesh.nodes[self.node].trunk else {
            return mesh.try_option(self.node, number, value);
        };
        mesh.ask_trunk(trunk, |branches, _| branches.set_option_of(branch, number, Some(value)))
    }

    fn subscribe(&mut self, mesh: &mut Mesh, topic: &'static str) {
        self.set(mesh, option::SUB_SUBSCRIBE, topic.as_bytes()).unwrap();
        *self.topics.entry(topic).or_default() += 1;
    }

    fn unsubscribe(&mut self, mesh: &mut Mesh, topic: &'static str) {
        let left = self.topics.get(topic).copied().unwrap_or(0).checked_sub(1);
        let set = self.set(mesh, option::SUB_UNSUBSCRIBE, topic.as_bytes());
        assert_eq!(set.is_ok(), left.is_some());
        self.topics.insert(topic, left.unwrap_or(0));
        if left == Some(0) && self.keeps_last {
            self.waiting.retain(|(other, _)| *other != topic);
        }
    }

    fn keep_last(&mut self, mesh: &mut Mesh, keeps_last: bool) {
        self.set(mesh, option::SUB_LAST, &i32::from(keeps_last).to_ne_bytes()).unwrap();
        if keeps_last && !std::mem::replace(&mut self.keeps_last, keeps_last) {
            // What waits is sorted as if it came now.
            for (_, body) in std::mem::take(&mut self.waiting) {
                self.keep(&body);
            }
        }
        self.keeps_last = keeps_last;
    }

    fn heed_gave(&mut self, given: &Result<(Vec<u8>, Vec<u8>), Nothing>) {
        match given {
            Ok((_, body)) => {
                assert!(!self.waiting.is_empty(), "gives what should not be there");
                assert_eq!(self.waiting.remove(0).1, *body, "another, or out of order");
            }
            Err(nothing) => {
                assert_eq!(*nothing, Nothing::Yet);
                assert_eq!(self.waiting, []);
            }
        }
    }
}

impl Newest {
    fn build(mesh: &mut Mesh, has_branch: bool) -> Newest {
        mesh.open_all(PUB, PUBLISHERS);
        mesh.choose(0..PUBLISHERS, Dropped::Nothing);
        mesh.open(SUB, Domain::Cooked);
        let mut receivers = vec![Receiver::new(SUBSCRIBER)];
        // Until there is a reason to take what comes, it waits in the pipes.
        if has_branch {
            receivers.push(Receiver::new(mesh.open_branch(SUBSCRIBER)));
        } else {
            receivers[0].keep_last(mesh, true);
        }
        for publisher in 0..PUBLISHERS {
            mesh.join(publisher, SUBSCRIBER);
        }
        Newest { receivers, fairness: Fairness::default(), serial: 0, dropped: [0; 2] }
    }

    fn publish(&mut self, mesh: &mut Mesh, publisher: NodeId, topic: &str) -> String {
        self.serial += 1;
        let text = format!("{topic}:{publisher}:{}", self.serial);
        // It waits when there is no room.
        let _ = mesh.send(publisher, &text);
        text
    }

    fn heed(&mut self, Entry { node, event, .. }: &Entry) {
        if *node == SUBSCRIBER {
            self.fairness.heed(event);
        }
        match event {
            Event::Took { wire, .. } if *node == SUBSCRIBER => {
                let outdated = self.receivers.iter_mut().map(|receiver| receiver.keep(wire));
                self.dropped[1] += outdated.sum::<usize>();
            }
            Event::Dropped(count) if *node == SUBSCRIBER => self.dropped[0] += count,
            Event::Gave(given) => {
                let receiver = self.receivers.iter_mut().find(|receiver| receiver.node == *node);
                receiver.unwrap().heed_gave(given);
            }
            _ => {}
        }
    }
}

impl Pattern for Newest {
    fn send(&mut self, mesh: &mut Mesh, who: usize) {
        let (kind, choice) = (who % 8, who / 8);
        let (topic, rest) = (TOPICS[choice % TOPICS.len()], choice / TOPICS.len());
        let at = rest % self.receivers.len();
        let receiver = &mut self.receivers[at];
        match kind {
            0 => receiver.subscribe(mesh, topic),
            1 => receiver.unsubscribe(mesh, topic),
            2 => receiver.keep_last(mesh, rest % 3 > 0),
            _ => drop(self.publish(mesh, rest % PUBLISHERS, topic)),
        }
    }

    fn recv(&mut self, mesh: &mut Mesh, who: usize) {
        let node = self.receivers[who % self.receivers.len()].node;
        let _ = mesh.recv(node);
    }

    fn check(&mut self, mesh: &mut Mesh) {
        let log = mesh.take_log();
        log.iter().for_each(|entry| self.heed(entry));
        assert_eq!(self.dropped[0], self.dropped[1], "counts what is outdated");
        assert!(self.fairness.is_empty(), "leaves in a pipe what it has been told of");
        for receiver in &mut self.receivers {
            let can_recv = mesh.readiness(receiver.node).can_recv;
            assert_eq!(can_recv, !receiver.waiting.is_empty());
            let is_news_of_it = |it: &Entry| it.node == receiver.node && it.event == Event::Told;
            let is_told = log.iter().any(is_news_of_it);
            let is_news = can_recv && !receiver.could_recv;
            let is_branch = receiver.node != SUBSCRIBER;
            assert!(!is_news || !is_branch || is_told, "who waits for it is not told");
            receiver.could_recv = can_recv;
        }
    }
}

proptest! {
    #[test]
    fn the_newest_of_each_topic_waits_and_nobody_is_held_back(
        seed: u64, has_branch: bool, steps in steps(200),
    ) {
        let mut mesh = Mesh::new(seed, Faults::SLOW);
        let mut newest = Newest::build(&mut mesh, has_branch);
        run(&mut mesh, &mut newest, &steps);
        mesh.heal();
        newest.check(&mut mesh);
        prop_assert_eq!(mesh.unread(), 0, "everything is taken, though nobody receives");
        for receiver in &mut newest.receivers {
            receiver.keep_last(&mut mesh, true);
            TOPICS.iter().for_each(|topic| receiver.subscribe(&mut mesh, topic));
        }
        let mut texts = Vec::new();
        for topic in TOPICS.iter().cycle().take(3 * TOPICS.len()) {
            mesh.settle();
            prop_assert!(mesh.readiness(0).can_send, "somebody holds the publisher back");
            texts.push(newest.publish(&mut mesh, 0, topic));
        }
        mesh.settle();
        newest.check(&mut mesh);
        for at in 0..newest.receivers.len() {
            let node = newest.receivers[at].node;
            let all: Vec<_> = std::iter::from_fn(|| mesh.recv(node).ok()).collect();
            prop_assert_eq!(&all[..], &texts[2 * TOPICS.len()..]);
        }
        newest.check(&mut mesh);
    }
}
