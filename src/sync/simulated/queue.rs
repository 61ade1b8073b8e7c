//! A queue of many to many.

use super::scheduler;

pub struct SegQueue<T>(crossbeam_queue::SegQueue<T>);

impl<T> SegQueue<T> {
    #[must_use]
    pub const fn new() -> SegQueue<T> {
        SegQueue(crossbeam_queue::SegQueue::new())
    }

    #[track_caller]
    pub fn push(&self, value: T) {
        scheduler::point();
        self.0.push(value);
    }

    #[track_caller]
    pub fn is_empty(&self) -> bool {
        scheduler::point();
        self.0.is_empty()
    }

    #[track_caller]
    pub fn pop(&self) -> Option<T> {
        scheduler::point();
        self.0.pop()
    }
}

impl<T> Default for SegQueue<T> {
    fn default() -> SegQueue<T> {
        SegQueue::new()
    }
}
