//! What a turn of writing has led to.

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Messages are accepted again that were refused before.
    pub became_ready: bool,
    /// The kernel is full: somebody has to wait for it.
    pub is_stuck: bool,
    pub is_broken: bool,
    /// The reactor is to look at the queue often from now on.
    pub must_tick: bool,
    /// Messages have been thrown away for newer ones.
    pub has_displaced: bool,
}

impl Written {
    /// Adds what a further turn led to.
    pub fn note(&mut self, turn: Written) {
        self.became_ready |= turn.became_ready;
        self.is_stuck = turn.is_stuck;
        self.is_broken |= turn.is_broken;
        self.must_tick |= turn.must_tick;
        self.has_displaced |= turn.has_displaced;
    }
}
