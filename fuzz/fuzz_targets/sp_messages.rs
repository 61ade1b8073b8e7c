//! Any messages of tcp and ipc, in pieces: the first byte says of which size, and which.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = spmsg::fuzzing::sp_messages(bytes);
});
