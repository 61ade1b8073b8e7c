//! Encrypted streams: what `src/fuzzing/tls_streams.rs` says.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = spmsg::fuzzing::tls_streams(bytes);
});
