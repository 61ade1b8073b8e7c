//! Any row of calls: what `src/fuzzing/operations.rs` says.

#![no_main]

use spmsg::fuzzing::Belongings;
use std::ffi::{CStr, c_char};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let before = Belongings::now();
    let _ = spmsg::fuzzing::operations(bytes);
    before.check_unchanged();
});

/// Programs may ask for more memory than there is.
#[unsafe(no_mangle)]
extern "C" fn __asan_default_options() -> *const c_char {
    const OPTIONS: &CStr = c"allocator_may_return_null=1";
    OPTIONS.as_ptr()
}
