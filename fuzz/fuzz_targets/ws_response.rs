//! Any head of HTTP, as a dialer reads it.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = spmsg::fuzzing::ws_response(bytes);
});
