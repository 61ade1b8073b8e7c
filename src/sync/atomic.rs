//! Atomics for ThreadSanitizer, which sees operations on memory and no fences.
//!
//! What a fence orders would all be reported. So a fence is an operation here on a word that all
//! of them share: whoever comes later sees what was done before an earlier one. That is more than
//! a fence promises, where nothing is read that was written between the two; a race that is
//! prevented by nothing else is then missed. The models, which know fences, walk through those.

pub use std::sync::atomic::*;

pub fn fence(_order: Ordering) {
    static SHARED: AtomicU8 = AtomicU8::new(0);
    // Pairs with itself, in the order in which threads come by.
    SHARED.fetch_add(1, Ordering::SeqCst);
}
