//! Any bytes to a socket that listens or has dialed: what `src/fuzzing/connections.rs` says.

#![no_main]

use spmsg::fuzzing::Belongings;

libfuzzer_sys::fuzz_target!(
    init: spmsg::fuzzing::keep_reactor(),
    |bytes: &[u8]| {
        let before = Belongings::now();
        let _ = spmsg::fuzzing::connections(bytes);
        before.check_unchanged();
    }
);
