//! getaddrinfo(3): the addresses of a host's name; if_nametoindex(3): interfaces.

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ptr;

use socket2::{SockAddr, SockAddrStorage};

use crate::sync::before_io;

/// Which addresses are asked for. A name server that answers slowly to one kind of question delays
/// only those who ask it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameFamily {
    Ipv4Only,
    Any,
}

/// The stream addresses of a host, in the order in which they are to be tried. Takes as long as the
/// name servers do.
///
/// # Errors
/// When it has none, or nobody knows.
pub fn look_up(host: &str, port: u16, family: NameFamily) -> io::Result<Vec<SocketAddr>> {
    before_io();
    let host = CString::new(host)?;
    let hints = libc::addrinfo {
        ai_flags: 0,
        ai_family: match family {
            NameFamily::Ipv4Only => libc::AF_INET,
            NameFamily::Any => libc::AF_UNSPEC,
        },
        ai_socktype: libc::SOCK_STREAM,
        ai_protocol: 0,
        ai_addrlen: 0,
        ai_addr: ptr::null_mut(),
        ai_canonname: ptr::null_mut(),
        ai_next: ptr::null_mut(),
    };
    let mut first = ptr::null_mut();
    // SAFETY: the name ends with a zero and lives as long as the call, as do the other two.
    let code =
        unsafe { libc::getaddrinfo(host.as_ptr(), ptr::null(), &raw const hints, &raw mut first) };
    if code != 0 {
        return Err(io::ErrorKind::NotFound.into());
    }
    let list = List { first };
    let addresses = list.iter().filter_map(socket_address);
    let mut addresses: Vec<_> = addresses.map(|address| with_port(address, port)).collect();
    if family == NameFamily::Any && is_this_machine(host.as_bytes()) {
        complete(&mut addresses, port);
    }
    Ok(addresses)
}

/// RFC 6761, section 6.3: this name means the loopback addresses, whatever a file of hosts says.
fn is_this_machine(host: &[u8]) -> bool {
    host.strip_suffix(b".").unwrap_or(host).eq_ignore_ascii_case(b"localhost")
}

/// Behind what has been found comes what the other family has.
fn complete(addresses: &mut Vec<SocketAddr>, port: u16) {
    let both: [SocketAddr; 2] =
        [(Ipv6Addr::LOCALHOST, port).into(), (Ipv4Addr::LOCALHOST, port).into()];
    for loopback in both {
        if !addresses.iter().any(|address| address.is_ipv4() == loopback.is_ipv4()) {
            addresses.push(loopback);
        }
    }
}

/// The number of an interface that is known by its name, or by that number.
#[must_use]
pub fn interface_number(name: &str) -> Option<u32> {
    let text = CString::new(name).ok()?;
    // SAFETY: the name ends with a zero and lives as long as the call.
    match unsafe { libc::if_nametoindex(text.as_ptr()) } {
        0 if name.bytes().all(|byte| byte.is_ascii_digit()) => {
            name.parse().ok().filter(|number| *number > 0)
        }
        0 => None,
        number => Some(number),
    }
}

fn with_port(mut address: SocketAddr, port: u16) -> SocketAddr {
    address.set_port(port);
    address
}

/// What getaddrinfo has allocated.
struct List {
    first: *mut libc::addrinfo,
}

impl List {
    fn iter(&self) -> impl Iterator<Item = &libc::addrinfo> {
        // SAFETY: null, or an entry that lives as long as the list.
        let entry = |place: *mut libc::addrinfo| unsafe { place.as_ref() };
        std::iter::successors(entry(self.first), move |it| entry(it.ai_next))
    }
}

impl Drop for List {
    fn drop(&mut self) {
        if !self.first.is_null() {
            // SAFETY: it comes from getaddrinfo, and nothing borrows from it any more.
            unsafe { libc::freeaddrinfo(self.first) };
        }
    }
}

fn socket_address(entry: &libc::addrinfo) -> Option<SocketAddr> {
    let mut storage = MaybeUninit::<SockAddrStorage>::zeroed();
    let len = entry.ai_addrlen as usize;
    if entry.ai_addr.is_null() || len > size_of::<SockAddrStorage>() {
        return None;
    }
    // SAFETY: the entry has that many bytes at that place, and the storage has room for them.
    unsafe {
        ptr::copy_nonoverlapping(entry.ai_addr.cast::<u8>(), storage.as_mut_ptr().cast(), len);
    }
    // SAFETY: zeroes are a storage, and so are the bytes of an address.
    let storage = unsafe { storage.assume_init() };
    // SAFETY: the address is one of its family, of that length.
    let address = unsafe { SockAddr::new(storage, entry.ai_addrlen) };
    address.as_socket()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(host: &str, family: NameFamily) -> Vec<String> {
        let addresses = look_up(host, 7, family).unwrap_or_default();
        addresses.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn finds_addresses_of_the_family_that_is_asked_for() {
        assert_eq!(found("127.0.0.1", NameFamily::Ipv4Only), ["127.0.0.1:7"]);
        assert_eq!(found("127.0.0.1", NameFamily::Any), ["127.0.0.1:7"]);
        assert_eq!(found("::1", NameFamily::Any), ["[::1]:7"]);
        assert_eq!(found("::1", NameFamily::Ipv4Only), [""; 0]);
    }

    #[test]
    fn a_name_of_this_machine_is_found() {
        let addresses = look_up("localhost", 7, NameFamily::Ipv4Only).unwrap();
        assert!(!addresses.is_empty());
        assert!(addresses.iter().all(|it| it.is_ipv4() && it.ip().is_loopback()));
    }

    #[test]
    fn this_machine_has_the_loopback_address_of_each_family_once() {
        let all = found("localhost", NameFamily::Any);
        for loopback in ["127.0.0.1:7", "[::1]:7"] {
            assert_eq!(all.iter().filter(|it| *it == loopback).count(), 1, "{all:?}");
        }
        assert!(is_this_machine(b"localhost") && is_this_machine(b"LocalHost."));
        let mut addresses = vec![SocketAddr::from(([127, 0, 0, 2], 7))];
        complete(&mut addresses, 7);
        let texts: Vec<_> = addresses.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["127.0.0.2:7", "[::1]:7"]);
        assert!(!is_this_machine(b"localhost.example") && !is_this_machine(b""));
    }

    #[test]
    fn interfaces_have_names_and_numbers() {
        let name = if cfg!(target_os = "linux") { "lo" } else { "lo0" };
        let number = interface_number(name).unwrap();
        assert_eq!(interface_number(&number.to_string()), Some(number));
        for nothing in ["", "nosuch", "0", "-1", "1x", "4294967296", "lo\0"] {
            assert_eq!(interface_number(nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn what_is_no_name_is_not_found() {
        assert!(look_up("no\0name", 7, NameFamily::Any).is_err());
        assert!(look_up("no name", 7, NameFamily::Any).is_err());
    }
}
