//! spmsg-top: the sockets of processes that run, as `ss` and `top` show those of the system.
//!
//! It shows those of the same user that were started with SPMSG_STATS=1; the manual is
//! `doc/man/spmsg-top.1`. Of the library it uses nothing: it reads what processes say.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

#[path = "top/mod.rs"]
mod top;

use std::process::ExitCode;

fn main() -> ExitCode {
    top::run(std::env::args_os().skip(1).collect())
}
