//! What has happened in a simulation, as a number that tells one course of events from any other,
//! and as lines if somebody wants to read them.

use std::collections::VecDeque;
use std::fmt;

#[derive(Debug)]
pub struct History {
    digest: u64,
    lines: VecDeque<Line>,
    /// How many of the last lines are kept.
    kept: usize,
}

#[derive(Clone, Debug)]
pub struct Line {
    pub nanoseconds: u64,
    pub thread: usize,
    pub what: &'static str,
    pub numbers: [i64; 2],
}

impl History {
    #[must_use]
    pub fn new(kept: usize) -> History {
        History { digest: 0xcbf2_9ce4_8422_2325, lines: VecDeque::new(), kept }
    }

    pub fn note(&mut self, line: Line) {
        self.mix(line.nanoseconds);
        self.mix(line.thread as u64);
        line.what.bytes().for_each(|byte| self.mix(u64::from(byte)));
        line.numbers.iter().for_each(|number| self.mix(*number as u64));
        if self.kept > 0 {
            if self.lines.len() == self.kept {
                self.lines.pop_front();
            }
            self.lines.push_back(line);
        }
    }

    fn mix(&mut self, number: u64) {
        self.digest = (self.digest ^ number).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
    }

    /// Two runs with the same digest went the same way.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.digest
    }

    pub fn take_lines(&mut self) -> Vec<Line> {
        std::mem::take(&mut self.lines).into()
    }
}

impl fmt::Display for Line {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanos) = (self.nanoseconds / 1_000_000_000, self.nanoseconds % 1_000_000_000);
        write!(to, "{seconds:4}.{nanos:09} t{:<3} {}", self.thread, self.what)?;
        write!(to, " {} {}", self.numbers[0], self.numbers[1])
    }
}
