//! Values that are made once, by one thread while others wait.

use std::convert::Infallible;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::scheduler::{self, For};

pub struct OnceCell<T> {
    value: std::sync::OnceLock<T>,
    is_busy: AtomicBool,
}

pub type OnceLock<T> = OnceCell<T>;

impl<T> OnceCell<T> {
    #[must_use]
    pub const fn new() -> OnceCell<T> {
        OnceCell { value: std::sync::OnceLock::new(), is_busy: AtomicBool::new(false) }
    }

    #[track_caller]
    pub fn get(&self) -> Option<&T> {
        scheduler::point();
        self.value.get()
    }

    /// # Errors
    /// The value, when there is one already.
    #[track_caller]
    pub fn set(&self, value: T) -> Result<(), T> {
        let mut value = Some(value);
        self.get_or_init(|| value.take().expect("it is asked for once"));
        value.map_or(Ok(()), Err)
    }

    #[track_caller]
    pub fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
        match self.get_or_try_init(|| Ok::<T, Infallible>(make())) {
            Ok(value) => value,
            Err(never) => match never {},
        }
    }

    /// # Errors
    /// That of who makes it.
    #[track_caller]
    pub fn get_or_try_init<E>(&self, make: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
        scheduler::point();
        let place = For::Address(std::ptr::from_ref(self).addr());
        while self.is_busy.load(Relaxed) && self.value.get().is_none() {
            scheduler::block(place, None);
        }
        if self.value.get().is_none() {
            self.is_busy.store(true, Relaxed);
            let made = make();
            self.is_busy.store(false, Relaxed);
            let result = made.map(|value| self.value.set(value));
            scheduler::wake_all(place);
            result?.map_err(drop).expect("nobody else was busy");
        }
        Ok(self.value.get().expect("it has just been set"))
    }
}

impl<T> Default for OnceCell<T> {
    fn default() -> OnceCell<T> {
        OnceCell::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for OnceCell<T> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(to)
    }
}
