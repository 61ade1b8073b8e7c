//! Name look-up off everybody's thread: a slow name server delays nobody else.

use std::io;
use std::net::SocketAddr;
use std::thread;

use crate::sys::{self, NameFamily};

/// Looks `host` up in a thread of its own and tells `done`, on that thread, the first address.
///
/// # Errors
/// When no thread can be had; `done` is then never called.
pub fn resolve(
    host: String,
    port: u16,
    family: NameFamily,
    done: impl FnOnce(Option<SocketAddr>) + Send + 'static,
) -> io::Result<()> {
    let look_up = move || {
        let found = sys::look_up(&host, port, family).ok();
        done(found.and_then(|addresses| addresses.first().copied()));
    };
    let builder = thread::Builder::new().name("spmsg-resolver".into()).stack_size(STACK_SIZE);
    sys::with_signals_blocked(|| builder.spawn(look_up)).map(|_| ())
}

/// The C library's resolver keeps its buffers on the stack.
const STACK_SIZE: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    fn resolved(host: &str, family: NameFamily) -> Option<SocketAddr> {
        let (tell, told) = mpsc::channel();
        let caller = thread::current().id();
        resolve(host.into(), 7, family, move |found| {
            assert_ne!(thread::current().id(), caller);
            tell.send(found).unwrap();
        })
        .unwrap();
        let found = told.recv().unwrap();
        // Told once, and then the thread lets go of everything.
        assert!(told.recv().is_err());
        found
    }

    #[test]
    fn finds_addresses_of_the_family_that_may_be_used() {
        let found = |host, family| resolved(host, family).map(|address| address.to_string());
        assert_eq!(found("127.0.0.1", NameFamily::Ipv4Only).as_deref(), Some("127.0.0.1:7"));
        assert_eq!(found("127.0.0.1", NameFamily::Any).as_deref(), Some("127.0.0.1:7"));
        assert_eq!(found("::1", NameFamily::Any).as_deref(), Some("[::1]:7"));
        assert_eq!(found("::1", NameFamily::Ipv4Only), None);
    }

    #[test]
    fn a_name_of_this_machine_is_found() {
        assert!(resolved("localhost", NameFamily::Any).unwrap().ip().is_loopback());
    }

    #[test]
    fn what_is_no_name_is_told_as_not_found() {
        assert_eq!(resolved("no\0name", NameFamily::Any), None);
    }
}
