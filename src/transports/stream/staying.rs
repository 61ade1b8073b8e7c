//! Who lends a big message stays with it where the peer reads: what the kernel has no room for yet
//! is written a moment later from where it lies, and not copied.
//!
//! That moment is not longer than a few copies would take, or than the reactor takes to be woken
//! for the rest and to write it. A peer who does not read at all costs less, and his sender leaves
//! behind a copy, as if there were no such moment.

use std::time::Duration;

use super::connection::StreamConnection;
use crate::sys;

impl StreamConnection {
    /// Writes whatever the kernel gets room for, while a message of that size would be copied. No
    /// lock is held meanwhile but that of the slot.
    pub(super) fn write_for_a_moment(&self, size: usize) {
        if self.writer.is_empty() {
            self.writer.end_driving();
            return;
        }
        let time = TIME_FOR_MEGABYTE.mul_f32(size as f32 / MEGABYTE).max(TIME_MIN);
        let until = sys::now() + time;
        while !self.writer.is_empty() {
            let left = until.saturating_duration_since(sys::now()).min(STANDSTILL_MAX);
            if left.is_zero() || !self.stream.await_room(left) {
                break;
            }
            self.write_all();
        }
        self.writer.end_driving();
    }
}

const MEGABYTE: f32 = 1_048_576.0;
/// To copy as much takes half of that, about.
const TIME_FOR_MEGABYTE: Duration = Duration::from_micros(250);
/// What is left to the reactor wakes it, which takes about as long on another processor, and on the
/// same one two changes of threads.
const TIME_MIN: Duration = Duration::from_micros(100);
/// A peer who does not read for so long is busy otherwise.
const STANDSTILL_MAX: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Body, Lent, Message};
    use crate::testing::{FakeSocket, Traits};
    use crate::transports::stream::fixtures::{FakeStream, Peer};
    use crate::transports::stream::reader::short::Short;
    use crate::transports::stream::watch::Standing;
    use crate::transports::stream::{Codec, Encoder, PREFIX_MAX, Place, Prefix};
    use crate::transports::{AfterSend, Connection};
    use std::sync::Arc;

    /// Nothing in front of a message.
    struct Bare;

    impl Encoder for Bare {
        fn prefix(&self, _message: &Message, _size: usize, _place: Place) -> Prefix {
            Prefix::new([0; PREFIX_MAX], 0)
        }
    }

    /// More than the kernel takes at once.
    const SIZE: usize = 8 * 1024 * 1024;
    static MUCH: [u8; SIZE] = [b'x'; SIZE];

    /// What a connection is lent, which the reactor attends to, by somebody who stays or does not.
    fn lend(stays: bool, beside: impl Fn(&Peer) + Sync) -> (usize, Peer, FakeSocket) {
        let (socket, (stream, peer)) = (FakeSocket::new(Traits::pair()), FakeStream::pair());
        let codec = Codec { encoder: Arc::new(Bare), decoder: Box::new(Short::default()) };
        let (host, reactor) = (socket.host(), socket.reactor());
        let settings = Traits::pair().settings;
        let connection =
            StreamConnection::new(Arc::clone(&stream) as _, codec, host, reactor, &settings);
        socket.host().attach(Arc::clone(&connection) as _).unwrap();
        connection.start(Standing::Fresh).unwrap();
        let mut body = Body::lent(Lent::of(&MUCH));
        if stays {
            body.let_stay();
        }
        std::thread::scope(|scope| {
            scope.spawn(|| beside(&peer));
            let sent = connection.send(&mut Message::from_body(body)).unwrap();
            assert_eq!(sent.then, AfterSend::DeliverLent);
            assert_eq!(connection.deliver_lent(), Ok(()));
            assert!(!connection.writer.uses(&MUCH), "it is the sender's again");
        });
        (stream.deeds().awaited, peer, socket)
    }

    #[test]
    fn what_a_peer_reads_meanwhile_arrives_as_it_was_lent() {
        let read = |peer: &Peer| assert!(peer.read(SIZE) == MUCH);
        // Who reads may come too late for him who stays, on a busy machine.
        let has_stayed = (0..20).any(|_| {
            let (awaited, peer, _socket) = lend(true, read);
            assert!(peer.hears_nothing());
            awaited > 1
        });
        assert!(has_stayed);
    }

    #[test]
    fn what_nobody_reads_is_left_behind_and_arrives_when_somebody_does() {
        for stays in [true, false] {
            let (awaited, peer, _socket) = lend(stays, |_| ());
            // In vain, and so no second time.
            assert!(awaited <= usize::from(stays));
            assert!(peer.read(SIZE) == MUCH);
            assert!(peer.hears_nothing());
        }
    }
}
