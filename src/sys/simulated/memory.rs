//! What is global in a process, for each process of a simulation.

use std::any::Any;
use std::collections::BTreeMap;
use std::ffi::OsString;

use super::calls::with_kernel;
use crate::sync::simulated::{Plain, atomic, scheduler};

/// Lives as long as the machine.
#[derive(Default)]
pub struct Memory(Plain<BTreeMap<(usize, usize), Box<dyn Any + Send + Sync>>>);

impl Memory {
    /// What `owner` has in this process.
    fn of<T: Send + Sync + 'static>(&self, owner: usize, fresh: impl FnOnce() -> T) -> *const T {
        let key = (owner, scheduler::process());
        let known = |all: &BTreeMap<_, Box<dyn Any + Send + Sync>>| {
            all.get(&key)
                .map(|it| std::ptr::from_ref(it.downcast_ref::<T>().expect("one type an owner")))
        };
        if let Some(place) = known(&self.0.lock()) {
            return place;
        }
        let value = Box::new(fresh());
        let mut all = self.0.lock();
        // Nobody else has run meanwhile, unless making it was a place to give way.
        all.entry(key).or_insert(value);
        known(&all).expect("it was put there")
    }
}

/// State that each process starts with.
pub struct PerProcess<T: Send + Sync + 'static> {
    fresh: fn() -> T,
}

impl<T: Send + Sync> PerProcess<T> {
    #[must_use]
    pub const fn new(fresh: fn() -> T) -> PerProcess<T> {
        PerProcess { fresh }
    }

    pub fn get(&self) -> &T {
        let place = with_kernel(|kernel| kernel.memory.of(address(self), self.fresh));
        // SAFETY: it lies in a box that lives as long as the machine, and with it all threads.
        unsafe { &*place }
    }
}

/// State that would outlive a fork: here no process has a parent.
pub struct Inherited<T> {
    template: T,
}

/// What a process finds that has no parent.
pub trait Twin {
    #[must_use]
    fn twin(&self) -> Self;
}

impl<T: Twin + Send + Sync + 'static> Inherited<T> {
    pub fn get(&self) -> &T {
        let fresh = || self.template.twin();
        let place = with_kernel(|kernel| kernel.memory.of(address(self), fresh));
        // SAFETY: as above.
        unsafe { &*place }
    }
}

impl<T> Inherited<T> {
    #[must_use]
    pub const fn new(template: T) -> Inherited<T> {
        Inherited { template }
    }
}

fn address<T>(owner: &T) -> usize {
    std::ptr::from_ref(owner).addr()
}

impl Twin for atomic::AtomicBool {
    fn twin(&self) -> atomic::AtomicBool {
        self.twin()
    }
}

impl Twin for atomic::AtomicU64 {
    fn twin(&self) -> atomic::AtomicU64 {
        self.twin()
    }
}

impl Twin for atomic::AtomicUsize {
    fn twin(&self) -> atomic::AtomicUsize {
        self.twin()
    }
}

/// Which process of all this is.
pub fn generation() -> usize {
    scheduler::process() + 1
}

/// Nothing: what a simulation does depends on its seed alone.
pub fn environment(_name: &str) -> Option<OsString> {
    None
}
