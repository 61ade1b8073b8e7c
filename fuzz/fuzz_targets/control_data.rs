//! Any block of control data.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = spmsg::fuzzing::control_data(bytes);
});
