//! nanocat: the scalability protocols on the command line.
//!
//! The options, formats and exit codes of libnanomsg's tool of this name, and some more; the manual
//! is `doc/man/nanocat.1`. It uses the library as C does, through the functions that are exported.

#[path = "nanocat/mod.rs"]
mod nanocat;

use std::process::ExitCode;

fn main() -> ExitCode {
    nanocat::run(std::env::args_os().collect())
}
