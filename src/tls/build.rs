//! Tells the linker what the shared library is, as build.rs of libspmsg does for its own.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // What is said here of a shared library holds for those that have this package inside, too.
    if env::var_os("CARGO_FEATURE_LOADED").is_none() {
        return;
    }
    let system = env::var("CARGO_CFG_TARGET_OS").expect("cargo sets it");
    let argument = if system == "macos" {
        "-install_name,@rpath/libspmsg-tls.0.dylib"
    } else {
        // What it is installed as, so that it is the same library wherever it is asked for.
        "-soname,libspmsg-tls.so.0"
    };
    println!("cargo::rustc-cdylib-link-arg=-Wl,{argument}");
}
