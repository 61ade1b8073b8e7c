//! Name look-up off everybody's thread: a slow name server delays nobody else.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::thread;

use crate::sys;

/// Which addresses may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Ipv4Only,
    Any,
}

/// Looks `host` up in a thread of its own and tells `done`, on that thread, the first address.
///
/// # Errors
/// When no thread can be had; `done` is then never called.
pub fn resolve(
    host: String,
    port: u16,
    family: Family,
    done: impl FnOnce(Option<SocketAddr>) + Send + 'static,
) -> io::Result<()> {
    let look_up = move || {
        let found = (host.as_str(), port).to_socket_addrs().ok();
        let usable = |address: &SocketAddr| family == Family::Any || address.is_ipv4();
        done(found.and_then(|mut addresses| addresses.find(usable)));
    };
    let builder = thread::Builder::new().name("spmsg-resolver".into()).stack_size(STACK_SIZE);
    sys::with_signals_blocked(|| builder.spawn(look_up)).map(|_| ())
}

/// The C library's resolver keeps its buffers on the stack.
const STACK_SIZE: usize = 256 * 1024;
