//! What may go wrong, how often it does, and how often it did.

use std::collections::BTreeMap;

use crate::sync::simulated::scheduler;

/// How often each kind of trouble comes, in a million occasions.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// A read or a write transfers less than it could.
    pub short: u32,
    /// A read or a write says EAGAIN without need.
    pub again: u32,
    /// EINTR, where a signal can arrive.
    pub interrupted: u32,
    /// ENOMEM, ENOBUFS.
    pub shortage: u32,
    /// EMFILE, ENFILE.
    pub no_descriptor: u32,
    /// Connecting fails, with any of its error numbers.
    pub unreachable: u32,
    /// Accepting fails, with any of its error numbers.
    pub unacceptable: u32,
    /// Binding or listening fails.
    pub unbindable: u32,
    /// epoll_ctl(2) fails.
    pub unwatchable: u32,
    /// Something is reported that is not so, or somebody is woken for nothing.
    pub spurious: u32,
    /// A call takes up to some milliseconds.
    pub slow: u32,
    /// A connection is reset somewhere in the middle of it.
    pub reset: u32,
    /// A connection stands still for a while somewhere in the middle of it.
    pub stalled: u32,
    /// A name is not found.
    pub unknown_name: u32,
}

/// A kind of trouble, and how often it comes.
#[derive(Clone, Copy, Debug)]
pub struct Fault(pub &'static str, pub u32);

#[derive(Debug, Default)]
pub struct Counts(BTreeMap<&'static str, u64>);

impl Counts {
    /// Whether it happens now.
    pub fn strikes(&mut self, Fault(name, rate): Fault) -> bool {
        if rate == 0 || scheduler::draw(|random| random.chance(rate)) != Some(true) {
            return false;
        }
        self.note(name);
        true
    }

    pub fn note(&mut self, name: &'static str) {
        *self.0.entry(name).or_default() += 1;
        scheduler::note(name, [0, 0]);
    }

    pub fn all(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().map(|(name, count)| (*name, *count))
    }
}

/// One of these, by chance.
pub fn one_of(codes: &[i32]) -> i32 {
    scheduler::draw(|random| *random.pick(codes)).unwrap_or(codes[0])
}
