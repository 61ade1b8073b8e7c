//! What one connection puts on its WebSocket: kinds, fragments, masks.

use super::close::Close;
use super::frame::{self, Kind, Role};
use super::label;
use super::mask::Mask;
use crate::message::Message;
use crate::sync::{Mutex, Rank};
use crate::sys::random_bytes;
use crate::transports::stream::{Encoder, Place, Prefix, Veil};

/// One connection's way of sending.
pub struct Sending {
    role: Role,
    /// What messages are unless they say otherwise.
    kind: Kind,
    /// What masks are made of. Nobody sends while another holds it: only a socket's owner does.
    keys: Mutex<Keys>,
}

/// Random bytes in stock, because asking the kernel for each mask costs as much as sending.
struct Keys {
    bytes: [u8; STOCK],
    left: usize,
}

impl Sending {
    #[must_use]
    pub fn new(role: Role, kind: Kind) -> Sending {
        Sending { role, kind, keys: Mutex::new(Rank::Keys, Keys { bytes: [0; STOCK], left: 0 }) }
    }

    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// The answer to a ping with that payload.
    #[must_use]
    pub fn pong(&self, payload: &[u8]) -> Vec<u8> {
        frame::pong(payload, self.mask())
    }

    #[must_use]
    pub fn farewell(&self, close: Close) -> Vec<u8> {
        frame::farewell(close, self.mask())
    }

    /// A fresh mask for each frame, which nobody can foresee (RFC 6455 section 5.3).
    fn mask(&self) -> Option<Mask> {
        (self.role == Role::Client).then(|| Mask(self.keys.lock().draw()))
    }
}

impl Encoder for Sending {
    fn is_plain(&self) -> bool {
        false
    }

    fn frame_max(&self) -> usize {
        FRAME_MAX
    }

    fn prefix(&self, message: &Message, size: usize, place: Place) -> Prefix {
        let kind = label::read(message).unwrap_or(self.kind);
        frame::head(kind, place, size, self.mask())
    }

    fn ping(&self) -> Option<Vec<u8>> {
        Some(frame::ping(self.mask()))
    }

    fn apply(&self, Veil(key): Veil, at: usize, bytes: &mut [u8]) {
        Mask(key).behind(at).apply(bytes);
    }

    fn copy(&self, Veil(key): Veil, at: usize, from: &[u8], to: &mut [u8]) {
        Mask(key).behind(at).copy(from, to);
    }
}

impl Keys {
    fn draw(&mut self) -> [u8; 4] {
        if self.left == 0 {
            (self.bytes, self.left) = (random_bytes(), STOCK);
        }
        self.left -= 4;
        [0, 1, 2, 3].map(|i| self.bytes[self.left + i])
    }
}

/// nng accepts no larger frame, whatever the size of the message.
const FRAME_MAX: usize = 1024 * 1024;
/// A multiple of the size of a mask.
const STOCK: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn only_a_client_masks_and_never_the_same_way() {
        assert_eq!(Sending::new(Role::Server, Kind::Text).mask(), None);
        let client = Sending::new(Role::Client, Kind::Text);
        let masks: HashSet<_> = (0..1000).map(|_| client.mask().unwrap().0).collect();
        // Two of a thousand are alike once in eight thousand runs, four pairs never.
        assert!(masks.len() > 996);
    }

    #[test]
    fn a_message_may_say_what_it_is() {
        let sending = Sending::new(Role::Server, Kind::Binary);
        let mut message = Message::default();
        let first = |message: &Message| sending.prefix(message, 0, Place::WHOLE).as_slice()[0];
        assert_eq!(first(&message), 0x82);
        message.ancillary = Some(label::write(Kind::Text).unwrap());
        assert_eq!(first(&message), 0x81);
    }
}
