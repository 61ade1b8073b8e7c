//! Any frames, in pieces: the first byte says of which size, and on which side.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = spmsg::fuzzing::ws_frames(bytes);
});
