//! How bad the network is, and what a test does to it.

use std::time::Duration;

use proptest::prelude::*;

use super::random::Random;
use super::{Mesh, NodeId};

/// Bounds of what may go wrong without anybody's doing.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    /// How long a message may be on its way.
    pub delay_max: Duration,
    /// How late a machine may hear of its pipes.
    pub lateness_max: Duration,
    /// How many messages fit one direction of a link at most.
    pub room_max: usize,
}

impl Faults {
    /// Everything is known in the order in which it happens, and as soon as time passes at all.
    pub const PROMPT: Faults =
        Faults { delay_max: Duration::ZERO, lateness_max: Duration::ZERO, room_max: 4 };

    pub const SLOW: Faults = Faults {
        delay_max: Duration::from_millis(30),
        lateness_max: Duration::from_millis(10),
        room_max: 3,
    };

    pub fn delay(&self, random: &mut Random) -> Duration {
        up_to(self.delay_max, random)
    }

    pub fn lateness(&self, random: &mut Random) -> Duration {
        up_to(self.lateness_max, random)
    }

    /// After this time all that was on its way has arrived and is known.
    pub fn longest(&self) -> Duration {
        2 * (self.delay_max + self.lateness_max)
    }
}

fn up_to(max: Duration, random: &mut Random) -> Duration {
    let millis = max.as_millis() as usize;
    Duration::from_millis(random.below(millis + 1) as u64)
}

/// One step of a test. Numbers choose among what there is, by remainder.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    Send(usize),
    Recv(usize),
    Wait(u64),
    Cut(usize),
    Mend(usize),
    /// One direction of a route takes so many messages at a time.
    Limit(usize, usize),
}

/// What only the test of a pattern can do.
pub trait Pattern {
    fn send(&mut self, mesh: &mut Mesh, who: usize);
    fn recv(&mut self, mesh: &mut Mesh, who: usize);
    /// Looks at what happened in the last step.
    fn check(&mut self, mesh: &mut Mesh);
}

pub fn steps(len: usize) -> impl Strategy<Value = Vec<Step>> {
    let number = || 0..1000_usize;
    let step = prop_oneof![
        8 => number().prop_map(Step::Send),
        8 => number().prop_map(Step::Recv),
        5 => (0..60_u64).prop_map(Step::Wait),
        1 => number().prop_map(Step::Cut),
        2 => number().prop_map(Step::Mend),
        2 => (number(), 0..4_usize).prop_map(|(route, limit)| Step::Limit(route, limit)),
    ];
    prop::collection::vec(step, 0..len)
}

/// The steps of a test where no pipe is lost.
pub fn steps_without_loss(len: usize) -> impl Strategy<Value = Vec<Step>> {
    let keep = |step: &Step| !matches!(step, Step::Cut(_));
    steps(len).prop_map(move |steps| steps.into_iter().filter(keep).collect())
}

pub fn run(mesh: &mut Mesh, pattern: &mut impl Pattern, steps: &[Step]) {
    pattern.check(mesh);
    for step in steps {
        match *step {
            Step::Send(who) => pattern.send(mesh, who),
            Step::Recv(who) => pattern.recv(mesh, who),
            Step::Wait(millis) => mesh.advance(Duration::from_millis(millis)),
            Step::Cut(route) => mesh.cut(route % mesh.routes.len()),
            Step::Mend(route) => {
                mesh.mend(route % mesh.routes.len());
            }
            Step::Limit(route, limit) => {
                let (route, side) = (route % mesh.routes.len(), route / mesh.routes.len() % 2);
                let from: NodeId = mesh.routes[route].nodes[side];
                mesh.set_limit(route, from, limit);
            }
        }
        pattern.check(mesh);
    }
}
