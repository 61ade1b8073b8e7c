//! Sixteen rings of ready pipes, one for each priority (protocols 2.4).
//!
//! The best ring that is not empty is served, in turn and beginning with the pipe that became
//! ready first. A worse one has its turn only while no better pipe is ready.

use crate::protocols::PipeId;

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
    /// In the order of their numbers, which is the order in which they were added.
    members: Vec<Member>,
    /// The best first. A ring stays when it is empty: it will be needed again.
    rings: Vec<Ring>,
}

#[derive(Debug)]
struct Member {
    pipe: PipeId,
    priority: Priority,
    is_ready: bool,
}

#[derive(Debug)]
struct Ring {
    priority: Priority,
    pipes: Vec<PipeId>,
    /// Whose turn it is. Inside `pipes` unless that is empty.
    cursor: usize,
}

impl Rings {
    /// A pipe that is not ready yet.
    pub fn add(&mut self, pipe: PipeId, priority: Priority) {
        let at = self.members.partition_point(|member| member.pipe < pipe);
        self.members.insert(at, Member { pipe, priority, is_ready: false });
        if let Err(at) = self.rings.binary_search_by_key(&priority, |ring| ring.priority) {
            self.rings.insert(at, Ring { priority, pipes: Vec::new(), cursor: 0 });
        }
    }

    pub fn remove(&mut self, pipe: PipeId) {
        self.retire(pipe);
        if let Ok(at) = self.position(pipe) {
            self.members.remove(at);
        }
    }

    /// Appends a member to its ring, unless it is there.
    pub fn make_ready(&mut self, pipe: PipeId) {
        let Ok(at) = self.position(pipe) else { return };
        let member = &mut self.members[at];
        if !std::mem::replace(&mut member.is_ready, true) {
            let priority = member.priority;
            self.ring(priority).pipes.push(pipe);
        }
    }

    /// Takes a member out of its ring, if it is there.
    pub fn retire(&mut self, pipe: PipeId) {
        let Ok(at) = self.position(pipe) else { return };
        let member = &mut self.members[at];
        if std::mem::take(&mut member.is_ready) {
            let priority = member.priority;
            self.ring(priority).remove(pipe);
        }
    }

    /// Whose turn it is.
    #[inline]
    pub fn current(&self) -> Option<PipeId> {
        let ring = self.rings.iter().find(|ring| !ring.pipes.is_empty())?;
        Some(ring.pipes[ring.cursor])
    }

    /// The priority that is served.
    pub fn current_priority(&self) -> Option<Priority> {
        let ring = self.rings.iter().find(|ring| !ring.pipes.is_empty())?;
        Some(ring.priority)
    }

    /// The current pipe had its turn and is still ready.
    #[inline]
    pub fn advance(&mut self) {
        if let Some(ring) = self.rings.iter_mut().find(|ring| !ring.pipes.is_empty()) {
            ring.cursor = (ring.cursor + 1) % ring.pipes.len();
        }
    }

    fn position(&self, pipe: PipeId) -> Result<usize, usize> {
        match &self.members[..] {
            [only] if only.pipe == pipe => Ok(0),
            all => all.binary_search_by_key(&pipe, |member| member.pipe),
        }
    }

    fn ring(&mut self, priority: Priority) -> &mut Ring {
        let at = self.rings.binary_search_by_key(&priority, |ring| ring.priority);
        &mut self.rings[at.expect("a member's ring is there since it was added")]
    }
}

impl Ring {
    /// The turn goes to the one behind, if it was the removed one's.
    fn remove(&mut self, pipe: PipeId) {
        let Some(at) = self.pipes.iter().position(|other| *other == pipe) else { return };
        self.pipes.remove(at);
        if at < self.cursor {
            self.cursor -= 1;
        }
        if self.cursor >= self.pipes.len() {
            self.cursor = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
