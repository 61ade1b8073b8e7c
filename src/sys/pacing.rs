//! Streams inside the machine are not paced.
//!
//! A congestion control that paces (BBR) has the kernel send by a timer, no faster than it has
//! found the way to be. Inside the machine there is none: what is measured is how fast the peer has
//! read so far, and the timer is what both wait for. A stream of big messages takes twice as long.
//! So these streams get the control that every kernel has and everybody may choose.

#[cfg(target_os = "linux")]
use super::Inherited;
use super::kernel;
#[cfg(target_os = "linux")]
use crate::sync::atomic::{AtomicUsize, Ordering};
use std::net::SocketAddr;

/// Whether it is an address that every machine has for itself.
pub fn is_in_machine(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// What is sent on `socket` is sent as soon as there is room for it, and so it is on those that
/// `socket` accepts. Best effort: paced, it arrives as well.
#[cfg(target_os = "linux")]
pub fn end(socket: &kernel::Socket) {
    if is_default_paced(socket) {
        let _ = socket.set_tcp_congestion(UNPACED);
    }
}

/// Elsewhere nobody paces.
#[cfg(not(target_os = "linux"))]
pub fn end(_socket: &kernel::Socket) {}

#[cfg(target_os = "linux")]
fn is_default_paced(socket: &kernel::Socket) -> bool {
    match DEFAULT.get().load(Ordering::Relaxed) {
        UNKNOWN => {
            let found = socket.tcp_congestion().is_ok_and(|name| is_paced(&name));
            DEFAULT.get().store(if found { PACED } else { OTHER }, Ordering::Relaxed);
            found
        }
        known => known == PACED,
    }
}

/// Whether the control of that name paces: BBR, of any version.
#[cfg(target_os = "linux")]
fn is_paced(name: &[u8]) -> bool {
    name.starts_with(b"bbr")
}

#[cfg(target_os = "linux")]
const UNPACED: &[u8] = b"reno";
/// What the first socket had that was asked. Whoever asks finds the same, as long as nobody changes
/// the system; and then streams are slower, or no faster, than they could be.
#[cfg(target_os = "linux")]
static DEFAULT: Inherited<AtomicUsize> = Inherited::new(AtomicUsize::new(UNKNOWN));
#[cfg(target_os = "linux")]
const UNKNOWN: usize = 0;
#[cfg(target_os = "linux")]
const PACED: usize = 1;
#[cfg(target_os = "linux")]
const OTHER: usize = 2;

#[cfg(all(test, target_os = "linux", not(simulated)))]
mod tests {
    use super::*;
    use crate::sys::{Accepted, Address, OsListener, OsStream, WaitFor, poll};
    use socket2::{Domain, SockRef, Socket, Type};
    use std::os::fd::{AsRawFd, BorrowedFd};

    fn control(socket: &Socket) -> Vec<u8> {
        socket.tcp_congestion().unwrap()
    }

    /// The system may let only some have another one.
    fn can_be_ended() -> bool {
        let any = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        any.set_tcp_congestion(UNPACED).is_ok()
    }

    #[test]
    fn what_paces_is_replaced_and_nothing_else() {
        let all = [&b"bbr"[..], b"bbr3\0\0", b"cubic\0", b"reno\0", b"dctcp", b""];
        assert_eq!(all.map(is_paced), [true, true, false, false, false, false]);
        let (before, after) = (
            Socket::new(Domain::IPV4, Type::STREAM, None).unwrap(),
            Socket::new(Domain::IPV4, Type::STREAM, None).unwrap(),
        );
        if !can_be_ended() {
            return;
        }
        end(&after);
        let (before, after) = (control(&before), control(&after));
        assert!(!is_paced(&after));
        assert!(is_paced(&before) || before == after);
    }

    #[test]
    fn who_is_in_the_machine_is_known_by_his_address() {
        let is_inside = |text: &str| is_in_machine(text.parse().unwrap());
        assert!(
            ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"]
                .into_iter()
                .all(is_inside)
        );
        assert!(
            !["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "[::ffff:10.0.0.1]:1", "[fe80::1]:1"]
                .into_iter()
                .any(is_inside)
        );
    }

    #[test]
    fn both_ends_of_a_stream_inside_the_machine_are_as_the_address_says() {
        let is_stream_paced = |stream: &OsStream| {
            // SAFETY: the descriptor is open for as long as its stream is there.
            let descriptor = unsafe { BorrowedFd::borrow_raw(stream.as_raw_fd()) };
            is_paced(&SockRef::from(&descriptor).tcp_congestion().unwrap())
        };
        if !can_be_ended() {
            return;
        }
        for at in ["127.0.0.1:0", "0.0.0.0:0"] {
            let listener = OsListener::listening(&Address::Internet(at.parse().unwrap()), 1);
            let listener = listener.unwrap();
            let port = listener.own_address().unwrap().port();
            let address = Address::Internet(([127, 0, 0, 1], port).into());
            let mut own = OsStream::new(&address).unwrap();
            own.connect(&address).unwrap();
            let entry = (listener.as_raw_fd(), WaitFor::Readable);
            poll(std::iter::once(entry), None).unwrap();
            let Ok(Accepted::Connection(peer)) = listener.accept() else { panic!("nobody") };
            assert!(!is_stream_paced(&own) && !is_stream_paced(&peer), "{at}");
        }
    }
}
