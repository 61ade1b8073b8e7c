//! Sixteen rings of ready pipes, one for each priority (protocols 2.4).
//!
//! The best ring that is not empty is served, in turn and beginning with the pipe that became
//! ready first. A worse one has its turn only while no better pipe is ready.

use crate::protocols::{PipeId, PipeMap};

/// 1 is the best, 16 the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Priority(pub u8);

impl Default for Priority {
    fn default() -> Priority {
        Priority(8)
    }
}

#[derive(Debug, Default)]
pub struct Rings {
    members: PipeMap<Member>,
    /// The best first. A ring stays when it is empty: it will be needed again.
    rings: Vec<Ring>,
}

#[derive(Debug)]
struct Member {
    priority: Priority,
    /// Where it stands in its ring, while it is ready.
    place: Option<Place>,
}

/// Members know their neighbours, so that one among thousands leaves its ring at once.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    before: Option<PipeId>,
    behind: Option<PipeId>,
}

#[derive(Debug)]
struct Ring {
    priority: Priority,
    /// Absent while no pipe of this priority is ready.
    ready: Option<Ready>,
}

/// Pipes in the order in which they became ready.
#[derive(Clone, Copy, Debug)]
struct Ready {
    first: PipeId,
    last: PipeId,
    /// Whose turn it is.
    cursor: PipeId,
}

impl Rings {
    /// A pipe that is not ready yet.
    pub fn add(&mut self, pipe: PipeId, priority: Priority) {
        self.members.insert(pipe, Member { priority, place: None });
        if let Err(at) = self.rings.binary_search_by_key(&priority, |ring| ring.priority) {
            self.rings.insert(at, Ring { priority, ready: None });
        }
    }

    pub fn remove(&mut self, pipe: PipeId) {
        self.retire(pipe);
        self.members.remove(pipe);
    }

    /// Appends a member to its ring, unless it is there.
    pub fn make_ready(&mut self, pipe: PipeId) {
        let Some(member) = self.members.get_mut(pipe) else { return };
        if member.place.is_some() {
            return;
        }
        let ring = ring(&mut self.rings, member.priority);
        let before = ring.ready.map(|ready| ready.last);
        member.place = Some(Place { before, behind: None });
        match &mut ring.ready {
            Some(ready) => ready.last = pipe,
            None => ring.ready = Some(Ready { first: pipe, last: pipe, cursor: pipe }),
        }
        if let Some(place) = before.and_then(|before| place(&mut self.members, before)) {
            place.behind = Some(pipe);
        }
    }

    /// Takes a member out of its ring, if it is there. The turn goes to the one behind, if it was
    /// the member's.
    pub fn retire(&mut self, pipe: PipeId) {
        let Some(member) = self.members.get_mut(pipe) else { return };
        let Some(Place { before, behind }) = member.place.take() else { return };
        let ring = ring(&mut self.rings, member.priority);
        let Some(ready) = &mut ring.ready else { return };
        match (before, behind) {
            // Most often it is the only one.
            (None, None) => return ring.ready = None,
            (None, Some(behind)) => ready.first = behind,
            (Some(before), None) => ready.last = before,
            (Some(_), Some(_)) => {}
        }
        if ready.cursor == pipe {
            ready.cursor = behind.unwrap_or(ready.first);
        }
        if let Some(place) = before.and_then(|before| place(&mut self.members, before)) {
            place.behind = behind;
        }
        if let Some(place) = behind.and_then(|behind| place(&mut self.members, behind)) {
            place.before = before;
        }
    }

    /// Whose turn it is.
    #[inline]
    pub fn current(&self) -> Option<PipeId> {
        self.rings.iter().find_map(|ring| ring.ready).map(|ready| ready.cursor)
    }

    /// The priority that is served.
    pub fn current_priority(&self) -> Option<Priority> {
        self.rings.iter().find(|ring| ring.ready.is_some()).map(|ring| ring.priority)
    }

    /// The current pipe had its turn and is still ready.
    #[inline]
    pub fn advance(&mut self) {
        if let Some(ready) = self.rings.iter_mut().find_map(|ring| ring.ready.as_mut())
            && ready.first != ready.last
        {
            let behind = place(&mut self.members, ready.cursor).and_then(|place| place.behind);
            ready.cursor = behind.unwrap_or(ready.first);
        }
    }
}

fn ring(rings: &mut [Ring], priority: Priority) -> &mut Ring {
    let at = rings.binary_search_by_key(&priority, |ring| ring.priority);
    &mut rings[at.expect("a member's ring is there since it was added")]
}

fn place(members: &mut PipeMap<Member>, pipe: PipeId) -> Option<&mut Place> {
    members.get_mut(pipe)?.place.as_mut()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{MANY, in_disorder};
    use proptest::prelude::*;

    fn rings(priorities: &[u8]) -> Rings {
        let mut rings = Rings::default();
        for (number, priority) in priorities.iter().enumerate() {
            rings.add(PipeId(number as u32), Priority(*priority));
        }
        rings
    }

    fn turns(rings: &mut Rings, count: usize) -> Vec<u32> {
        let turn = |rings: &mut Rings| {
            let pipe = rings.current().unwrap();
            rings.advance();
            pipe.0
        };
        (0..count).map(|_| turn(rings)).collect()
    }

    #[test]
    fn serves_in_the_order_of_becoming_ready() {
        let mut rings = rings(&[8, 8, 8]);
        assert_eq!(rings.current(), None);
        for pipe in [1, 0, 2] {
            rings.make_ready(PipeId(pipe));
            rings.make_ready(PipeId(pipe));
        }
        assert_eq!(turns(&mut rings, 7), [1, 0, 2, 1, 0, 2, 1]);
        rings.retire(PipeId(0));
        rings.make_ready(PipeId(0));
        assert_eq!(turns(&mut rings, 4), [2, 0, 1, 2]);
    }

    #[test]
    fn a_better_pipe_takes_over_and_a_worse_one_waits() {
        let mut rings = rings(&[9, 5, 5]);
        rings.make_ready(PipeId(0));
        assert_eq!(turns(&mut rings, 2), [0, 0]);
        rings.make_ready(PipeId(1));
        rings.make_ready(PipeId(2));
        assert_eq!(turns(&mut rings, 3), [1, 2, 1]);
        assert_eq!(rings.current_priority(), Some(Priority(5)));
        rings.retire(PipeId(1));
        rings.remove(PipeId(2));
        assert_eq!(turns(&mut rings, 2), [0, 0]);
        rings.remove(PipeId(0));
        assert_eq!((rings.current(), rings.current_priority()), (None, None));
    }

    #[test]
    fn one_of_many_leaves_at_once() {
        let mut rings = Rings::default();
        for pipe in (0..MANY).map(PipeId) {
            rings.add(pipe, Priority::default());
            rings.make_ready(pipe);
        }
        for pipe in in_disorder().map(PipeId) {
            // It becomes ready once more, behind all others, and goes.
            rings.retire(pipe);
            rings.make_ready(pipe);
            rings.advance();
            rings.remove(pipe);
        }
        assert_eq!((rings.current(), rings.members.len()), (None, 0));
    }

    /// The table of protocols 2.4 with lists that are searched.
    #[derive(Default)]
    struct Oracle {
        levels: Vec<(Vec<u32>, usize)>,
    }

    impl Oracle {
        fn ready(&mut self, pipe: u32, level: usize) {
            if !self.levels[level].0.contains(&pipe) {
                self.levels[level].0.push(pipe);
            }
        }

        fn retire(&mut self, pipe: u32, level: usize) {
            let (pipes, cursor) = &mut self.levels[level];
            let Some(at) = pipes.iter().position(|other| *other == pipe) else { return };
            let next = pipes.get((*cursor + usize::from(at == *cursor)) % pipes.len()).copied();
            pipes.remove(at);
            *cursor = pipes.iter().position(|other| Some(*other) == next).unwrap_or(0);
        }

        fn turn(&mut self) -> Option<u32> {
            let (pipes, cursor) = self.levels.iter_mut().find(|(pipes, _)| !pipes.is_empty())?;
            let pipe = pipes[*cursor];
            *cursor = (*cursor + 1) % pipes.len();
            Some(pipe)
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_table(
            operations in proptest::collection::vec((0..3, 0..8_u32), 0..200),
        ) {
            let level = |pipe: u32| (pipe % 3) as usize;
            let mut rings = rings(&[1, 2, 3, 1, 2, 3, 1, 2]);
            let mut oracle = Oracle { levels: vec![(Vec::new(), 0); 3] };
            for (operation, pipe) in operations {
                match operation {
                    0 => {
                        rings.make_ready(PipeId(pipe));
                        oracle.ready(pipe, level(pipe));
                    }
                    1 => {
                        rings.retire(PipeId(pipe));
                        oracle.retire(pipe, level(pipe));
                    }
                    _ => {
                        let current = rings.current();
                        rings.advance();
                        prop_assert_eq!(current.map(|pipe| pipe.0), oracle.turn());
                    }
                }
            }
        }
    }
}
