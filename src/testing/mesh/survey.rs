//! SURVEYOR and RESPONDENT (protocols 8): responses of the current survey, and none too late.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::answer::Answerer;
use super::fault::{Faults, Pattern, run, steps};
use super::ring::{Broadcast, Fairness};
use super::{Event, Mesh};
use crate::protocols::{Nothing, Readiness, option};

const SURVEYOR: i32 = 0x62;
const RESPONDENT: i32 = 0x63;
const SURVEYORS: usize = 2;
const RESPONDENTS: usize = 3;
const DEADLINE: Duration = Duration::from_millis(200);

#[derive(Default)]
struct Surveys {
    surveyors: [Surveyor; SURVEYORS],
    respondents: [Answerer; RESPONDENTS],
    serial: usize,
}

/// The machine of protocols 8.2.
#[derive(Default)]
struct Surveyor {
    broadcast: Broadcast,
    fairness: Fairness,
    dropped: usize,
    id: Option<u32>,
    state: State,
    /// What the caller asked last.
    asked: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum State {
    #[default]
    Idle,
    Open(Instant),
    Expired,
}

impl Surveys {
    fn build(mesh: &mut Mesh) -> Surveys {
        for surveyor in mesh.open_all(SURVEYOR, SURVEYORS) {
            mesh.set_millis(surveyor, option::SURVEYOR_DEADLINE, DEADLINE.as_millis() as i32);
        }
        mesh.open_all(RESPONDENT, RESPONDENTS);
        for surveyor in 0..SURVEYORS {
            for respondent in SURVEYORS..SURVEYORS + RESPONDENTS {
                mesh.join(surveyor, respondent);
            }
        }
        Surveys::default()
    }

    fn respond(mesh: &mut Mesh, respondent: usize) -> bool {
        let Ok(text) = mesh.recv(respondent) else { return false };
        assert_eq!(mesh.send(respondent, &format!("re {text} {respondent}")), Ok(()));
        true
    }
}

impl Pattern for Surveys {
    fn send(&mut self, mesh: &mut Mesh, who: usize) {
        match who % 6 {
            // A survey every now and then, or nothing would be answered in time.
            surveyor if surveyor < SURVEYORS => {
                self.serial += 1;
                let text = format!("{surveyor}.{}", self.serial);
                assert_eq!(mesh.send(surveyor, &text), Ok(()));
                self.surveyors[surveyor].asked = text;
            }
            5 => drop(mesh.send(SURVEYORS + who % RESPONDENTS, "re nothing in particular")),
            respondent => drop(Surveys::respond(mesh, respondent)),
        }
    }

    fn recv(&mut self, mesh: &mut Mesh, who: usize) {
        match who % (SURVEYORS + RESPONDENTS) {
            surveyor if surveyor < SURVEYORS => {
                let Ok(text) = mesh.recv(surveyor) else { return };
                let asked = text.split(' ').nth(1).unwrap();
                assert_eq!(asked, self.surveyors[surveyor].asked, "a response to something else");
            }
            respondent => drop(Surveys::respond(mesh, respondent)),
        }
    }

    fn check(&mut self, mesh: &mut Mesh) {
        for entry in mesh.take_log() {
            match self.surveyors.get_mut(entry.node) {
                Some(surveyor) => surveyor.heed(entry.at, &entry.event),
                None => {
                    let respondent = &mut self.respondents[entry.node - SURVEYORS];
                    respondent.heed(mesh, entry.node, &entry.event);
                }
            }
        }
        for (node, surveyor) in self.surveyors.iter().enumerate() {
            // Who polls is woken when there is no survey (any more).
            let (is_open, is_empty) = match surveyor.state {
                State::Open(until) => (mesh.now < until, surveyor.fairness.is_empty()),
                State::Idle | State::Expired => (true, false),
            };
            assert!(is_open, "the survey is over");
            assert_eq!(mesh.readiness(node), Readiness { can_send: true, can_recv: !is_empty });
        }
    }
}

impl Surveyor {
    fn heed(&mut self, now: Instant, event: &Event) {
        self.fairness.heed(event);
        match event {
            Event::Asks((_, body)) => {
                self.dropped = 0;
                self.id = self.id.map(|id| id.wrapping_add(1) | 0x8000_0000);
                self.broadcast.begin(body.clone(), None);
                self.state = State::Open(now + DEADLINE);
            }
            Event::Dropped(count) => self.dropped += count,
            Event::Asked(asked) => {
                assert_eq!(*asked, Ok(()));
                self.broadcast.end(self.dropped);
            }
            Event::Sent { pipe, wire, has_room } => {
                let (id, body) = wire.split_first_chunk().unwrap();
                let id = u32::from_be_bytes(*id);
                assert!(id >= 0x8000_0000);
                assert_eq!(*self.id.get_or_insert(id), id, "an id is one more than the last");
                let (pipe, wire, has_room) = (*pipe, body.to_vec(), *has_room);
                return self.broadcast.heed(&Event::Sent { pipe, wire, has_room });
            }
            Event::TimedOut => {
                if matches!(self.state, State::Open(until) if until <= now) {
                    self.state = State::Expired;
                }
            }
            Event::Gave(given) => self.gave(given.as_ref().map(|(_, body)| &body[..])),
            _ => {}
        }
        self.broadcast.heed(event);
    }

    fn gave(&mut self, given: Result<&[u8], &Nothing>) {
        let mut taken = std::mem::take(&mut self.fairness.taken);
        match self.state {
            State::Idle => assert_eq!(given, Err(&Nothing::WrongState)),
            State::Expired => {
                assert_eq!(given, Err(&Nothing::Expired));
                self.state = State::Idle;
            }
            State::Open(_) => {
                let id = self.id.map(u32::to_be_bytes);
                let of_this = |wire: &[u8]| wire.first_chunk() == id.as_ref() && id.is_some();
                match given {
                    Ok(body) => {
                        let (_, wire) = taken.pop().unwrap();
                        assert!(of_this(&wire));
                        assert_eq!(&wire[4..], body);
                    }
                    Err(nothing) => {
                        assert_eq!(*nothing, Nothing::Yet);
                        assert!(self.fairness.is_empty());
                    }
                }
                assert!(!taken.iter().any(|(_, wire)| of_this(wire)), "drops a response");
            }
        }
    }
}

proptest! {
    #[test]
    fn responses_are_those_of_the_current_survey_and_in_time(seed: u64, steps in steps(200)) {
        let mut mesh = Mesh::new(seed, Faults::SLOW);
        let mut surveys = Surveys::build(&mut mesh);
        run(&mut mesh, &mut surveys, &steps);
        // When everything works, everybody is asked and heard, once old answers are out of the way.
        mesh.heal();
        let mut responses = 0;
        for _ in 0..4 {
            mesh.send(0, "last").unwrap();
            surveys.surveyors[0].asked = "last".into();
            mesh.settle();
            for respondent in SURVEYORS..SURVEYORS + RESPONDENTS {
                while Surveys::respond(&mut mesh, respondent) {}
            }
            mesh.settle();
            responses = 0;
            while mesh.recv(0).is_ok() {
                responses += 1;
            }
            surveys.check(&mut mesh);
        }
        prop_assert_eq!(responses, RESPONDENTS);
    }
}

/// protocols 8.2: told once, and what was in time but not read is lost.
#[test]
fn the_end_of_a_survey_is_told_once() {
    let mut mesh = Mesh::new(1, Faults::PROMPT);
    let surveyor = mesh.open(SURVEYOR, super::Domain::Cooked);
    let respondent = mesh.open(RESPONDENT, super::Domain::Cooked);
    mesh.set_millis(surveyor, option::SURVEYOR_DEADLINE, 200);
    mesh.join(surveyor, respondent);
    mesh.settle();
    assert_eq!(mesh.recv(surveyor), Err(Nothing::WrongState));
    for _ in 0..2 {
        mesh.send(surveyor, "q").unwrap();
        mesh.settle();
        assert!(Surveys::respond(&mut mesh, respondent));
        mesh.advance(DEADLINE - Duration::from_millis(1));
        assert!(mesh.readiness(surveyor).can_recv);
        mesh.advance(Duration::from_millis(1));
        assert!(mesh.readiness(surveyor).can_recv, "wakes who polls");
        assert_eq!(mesh.recv(surveyor), Err(Nothing::Expired));
        assert_eq!(mesh.recv(surveyor), Err(Nothing::WrongState));
        assert!(mesh.readiness(surveyor).can_recv);
    }
    mesh.send(surveyor, "q").unwrap();
    mesh.settle();
    assert!(Surveys::respond(&mut mesh, respondent));
    mesh.settle();
    assert_eq!(mesh.recv(surveyor), Ok("re q 1".into()));
    assert_eq!(mesh.recv(surveyor), Err(Nothing::Yet));
    // A negative deadline is none.
    mesh.set_millis(surveyor, option::SURVEYOR_DEADLINE, -1);
    mesh.send(surveyor, "q").unwrap();
    mesh.advance(Duration::from_secs(1_000_000));
    assert_eq!(mesh.recv(surveyor), Err(Nothing::Yet));
    assert!(Surveys::respond(&mut mesh, respondent));
    mesh.settle();
    assert_eq!(mesh.recv(surveyor), Ok("re q 1".into()));
    // One of nothing is over at once.
    mesh.set_millis(surveyor, option::SURVEYOR_DEADLINE, 0);
    mesh.send(surveyor, "q").unwrap();
    mesh.settle();
    assert_eq!(mesh.recv(surveyor), Err(Nothing::Expired));
}
