//! Atomics whose every operation is a place where another thread may go on.

use std::fmt;
use std::sync::atomic as real;

pub use std::sync::atomic::Ordering;

use super::scheduler::point;

/// Operations are in one order of all, whatever they ask for: this says nothing about weaker
/// machines, which the models do.
#[track_caller]
pub fn fence(ordering: Ordering) {
    point();
    real::fence(ordering);
}

macro_rules! common {
    ($name:ident, $value:ty) => {
        #[repr(transparent)]
        #[derive(Default)]
        pub struct $name(real::$name);

        impl fmt::Debug for $name {
            fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(to)
            }
        }

        impl $name {
            #[must_use]
            pub const fn new(value: $value) -> $name {
                $name(real::$name::new(value))
            }

            #[track_caller]
            pub fn load(&self, ordering: Ordering) -> $value {
                point();
                self.0.load(ordering)
            }

            #[track_caller]
            pub fn store(&self, value: $value, ordering: Ordering) {
                point();
                self.0.store(value, ordering);
            }

            #[track_caller]
            pub fn swap(&self, value: $value, ordering: Ordering) -> $value {
                point();
                self.0.swap(value, ordering)
            }

            #[track_caller]
            pub fn compare_exchange(
                &self,
                from: $value,
                to: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                point();
                self.0.compare_exchange(from, to, success, failure)
            }

            #[track_caller]
            pub fn fetch_update(
                &self,
                set: Ordering,
                fetch: Ordering,
                change: impl FnMut($value) -> Option<$value>,
            ) -> Result<$value, $value> {
                point();
                self.0.fetch_update(set, fetch, change)
            }

            pub fn as_ptr(&self) -> *mut $value {
                self.0.as_ptr()
            }

            pub fn get_mut(&mut self) -> &mut $value {
                self.0.get_mut()
            }

            /// One in the same state, for another process.
            #[must_use]
            pub fn twin(&self) -> $name {
                $name::new(self.0.load(Ordering::Relaxed))
            }
        }
    };
}

macro_rules! number {
    ($name:ident, $value:ty) => {
        common!($name, $value);

        impl $name {
            #[track_caller]
            pub fn fetch_add(&self, value: $value, ordering: Ordering) -> $value {
                point();
                self.0.fetch_add(value, ordering)
            }

            #[track_caller]
            pub fn fetch_sub(&self, value: $value, ordering: Ordering) -> $value {
                point();
                self.0.fetch_sub(value, ordering)
            }

            #[track_caller]
            pub fn fetch_max(&self, value: $value, ordering: Ordering) -> $value {
                point();
                self.0.fetch_max(value, ordering)
            }

            #[track_caller]
            pub fn fetch_or(&self, value: $value, ordering: Ordering) -> $value {
                point();
                self.0.fetch_or(value, ordering)
            }

            #[track_caller]
            pub fn fetch_and(&self, value: $value, ordering: Ordering) -> $value {
                point();
                self.0.fetch_and(value, ordering)
            }
        }
    };
}

common!(AtomicBool, bool);
number!(AtomicU8, u8);
number!(AtomicU32, u32);
number!(AtomicU64, u64);
number!(AtomicUsize, usize);
number!(AtomicI32, i32);
number!(AtomicI64, i64);
number!(AtomicIsize, isize);
