//! Greeting on tcp and ipc: both sides send their eight bytes at once. Pure.
//!
//! Only a socket that would reject the connection now, such as a PAIR that has its peer, waits: a
//! peer that is greeted takes itself for connected, and would report messages as sent that nobody
//! will ever receive.

use std::time::Duration;

use super::frame::Framing;
use super::handshake;
use crate::transports::stream::{Claim, Codec, Decline, Greeter, Heard, Welcome, Wire};
use crate::transports::{Host, Report};

struct SpGreeter {
    framing: Framing,
    own_type: u16,
    peer_type: u16,
    received: [u8; handshake::LEN],
    count: usize,
    has_greeted: bool,
    claim: Claim,
}

impl Wire for Framing {
    fn greeter(&self, host: &dyn Host) -> Box<dyn Greeter> {
        Box::new(SpGreeter {
            framing: *self,
            own_type: host.own_type().number,
            peer_type: host.peer_type().number,
            received: [0; handshake::LEN],
            count: 0,
            has_greeted: false,
            claim: Claim::Nothing,
        })
    }
}

impl SpGreeter {
    fn greet(&mut self) -> Vec<u8> {
        self.has_greeted = true;
        handshake::encode(self.own_type).to_vec()
    }
}

impl Greeter for SpGreeter {
    fn limit(&self) -> Duration {
        LIMIT
    }

    fn open(&mut self, welcome: Welcome) -> Vec<u8> {
        match welcome {
            Welcome::Wanted => self.greet(),
            Welcome::Unwanted => Vec::new(),
        }
    }

    fn wanted(&self) -> usize {
        handshake::LEN - self.count
    }

    fn absorb(&mut self, bytes: &[u8]) -> Heard {
        self.received[self.count..][..bytes.len()].copy_from_slice(bytes);
        self.count += bytes.len();
        if self.count < handshake::LEN {
            return Heard::More;
        }
        match handshake::check(self.received, self.peer_type) {
            Ok(()) => Heard::Complete,
            Err(claim) => {
                self.claim = claim;
                Heard::Refused(Vec::new())
            }
        }
    }

    fn claim(&self) -> Claim {
        self.claim.clone()
    }

    fn is_committed(&self) -> bool {
        self.has_greeted
    }

    fn accept(&mut self) -> Vec<u8> {
        if self.has_greeted { Vec::new() } else { self.greet() }
    }

    fn decline(&mut self) -> Decline {
        Decline::AtOnce
    }

    fn take_rest(&mut self) -> Vec<u8> {
        Vec::new()
    }

    fn codec(&self) -> Codec {
        self.framing.codec()
    }

    fn failure(&self) -> Option<Report> {
        Some(Report::Broken)
    }
}

/// transports 3.1, both directions together.
const LIMIT: Duration = Duration::from_millis(1000);

#[cfg(test)]
mod tests {
    use super::*;

    fn greeter() -> SpGreeter {
        SpGreeter {
            framing: Framing::Tcp,
            own_type: 0x30,
            peer_type: 0x31,
            received: [0; handshake::LEN],
            count: 0,
            has_greeted: false,
            claim: Claim::Nothing,
        }
    }

    #[test]
    fn greets_once_and_at_once_when_it_is_wanted() {
        let mut greeter = greeter();
        assert_eq!(greeter.open(Welcome::Wanted), handshake::encode(0x30));
        assert!(greeter.is_committed());
        assert_eq!(greeter.accept(), b"");
    }

    #[test]
    fn greets_late_when_it_was_not_wanted() {
        let mut greeter = greeter();
        assert_eq!(greeter.open(Welcome::Unwanted), b"");
        assert!(!greeter.is_committed());
        assert_eq!(greeter.accept(), handshake::encode(0x30));
        assert!(greeter.is_committed());
    }

    #[test]
    fn hears_the_same_however_it_is_cut() {
        for (peer, expected) in [(0x31, Heard::Complete), (0x30, Heard::Refused(Vec::new()))] {
            for cut in 1..handshake::LEN {
                let (mut greeter, bytes) = (greeter(), handshake::encode(peer));
                assert_eq!(greeter.absorb(&bytes[..cut]), Heard::More);
                assert_eq!(greeter.wanted(), handshake::LEN - cut);
                assert_eq!(greeter.absorb(&bytes[cut..]), expected);
                let is_refused = expected != Heard::Complete;
                let claim = if is_refused { Claim::TypeNumber(peer) } else { Claim::Nothing };
                assert_eq!(greeter.claim(), claim);
            }
        }
    }
}
