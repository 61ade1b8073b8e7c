//! inproc: messages handed from socket to socket inside the process, on the caller's thread.
//!
//! Everything is complete when the call that caused it returns: connecting, sending, closing.

mod names;
mod outcome;
mod patience;
mod queue;

use std::sync::Arc;
use std::time::Instant;

use self::names::{Binder, Connector};
use self::queue::Queue;
use super::{
    Adopter, AfterRecv, Bounds, Connection, Dialect, Host, Load, Maker, Next, Received, RoomWanted,
    Sent, Transport,
};
use crate::error::{Error, Refusal};
use crate::message::Message;
use crate::sync::{
    OnceLock,
    atomic::{AtomicBool, Ordering, fence},
};
use crate::sys::now_ms;

pub struct Inproc;

impl Transport for Inproc {
    fn scheme(&self) -> &'static str {
        "inproc"
    }

    fn bind(
        &self,
        address: &[u8],
        _dialect: Dialect,
        host: Arc<dyn Host>,
    ) -> Result<Arc<dyn Maker>, Error> {
        Ok(Binder::register(address, host)?)
    }

    fn connect(
        &self,
        address: &[u8],
        _dialect: Dialect,
        host: Arc<dyn Host>,
    ) -> Result<Arc<dyn Maker>, Error> {
        Ok(Connector::new(address, host))
    }
}

/// Two sockets of this process, joined.
struct Link {
    /// Number `i` carries what side `i` sends.
    queues: [Queue; 2],
    sides: [OnceLock<Box<dyn Adopter>>; 2],
}

/// One side of a link: the connection that its socket sees.
struct Side {
    link: Arc<Link>,
    index: usize,
    is_closed: AtomicBool,
}

impl Link {
    /// The two sides of a new link, of which so much may wait that each sends.
    fn sides(bounds: [Bounds; 2]) -> [Arc<Side>; 2] {
        let link = Arc::new(Link {
            queues: bounds.map(Queue::new),
            sides: [OnceLock::new(), OnceLock::new()],
        });
        [0, 1].map(|index| {
            Arc::new(Side { link: Arc::clone(&link), index, is_closed: AtomicBool::new(false) })
        })
    }

    /// Lets messages flow, now that both sockets have adopted their sides.
    fn open(&self) {
        self.queues.iter().for_each(Queue::open);
    }

    /// Tells both sockets that it is open. They may have something to write on other connections
    /// then, so that no lock may be held.
    fn show_open(&self) {
        for pipe in self.sides.iter().filter_map(OnceLock::get) {
            pipe.writable();
        }
    }
}

impl Side {
    fn outgoing(&self) -> &Queue {
        &self.link.queues[self.index]
    }

    fn incoming(&self) -> &Queue {
        &self.link.queues[1 - self.index]
    }

    /// The peer's socket did not want the link, which was never opened.
    fn withdraw(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
        if let Some(pipe) = self.link.sides[self.index].get() {
            pipe.withdrawn();
        }
    }

    /// Asked when the other side has been adopted.
    fn is_closed(&self) -> bool {
        // Pairs with the fence in `close`: either we see the mark, or who closes sees the other
        // side's pipe and tells it.
        fence(Ordering::SeqCst);
        self.is_closed.load(Ordering::Relaxed)
    }

    fn peer(&self) -> Option<&dyn Adopter> {
        self.link.sides[1 - self.index].get().map(AsRef::as_ref)
    }
}

impl Connection for Side {
    fn adopt(&self, adopter: Box<dyn Adopter>) {
        let _ = self.link.sides[self.index].set(adopter);
    }

    fn send(&self, message: &mut Message) -> Result<Sent, Refusal> {
        // What is only lent would have to be there for longer.
        message.body.own()?;
        let pushed = self.outgoing().push(message)?;
        Ok(Sent { can_send_more: pushed.can_push_more, then: pushed.then })
    }

    fn prepare(&self, message: &Message) -> Result<(), Refusal> {
        self.outgoing().prepare(message)
    }

    fn recv(&self, message: &mut Message) -> Received {
        let popped = self.incoming().pop(message);
        let then = if popped.tell_producer { AfterRecv::Resume } else { AfterRecv::Nothing };
        let next = if popped.has_more { Next::There } else { Next::Unknown };
        Received { has_message: popped.has_message, next, then }
    }

    fn is_readable(&self) -> bool {
        self.incoming().is_readable()
    }

    fn held(&self) -> usize {
        self.incoming().held()
    }

    fn load(&self) -> Load {
        let (messages_sent, bytes_sent) = self.outgoing().pushed();
        let ((messages_received, bytes_received), receiving) = self.incoming().popped(now_ms);
        Load {
            messages_sent,
            bytes_sent,
            messages_received,
            bytes_received,
            receiving,
            ..Load::default()
        }
    }

    fn can_send(&self) -> bool {
        self.outgoing().can_push()
    }

    fn take_displaced(&self) -> usize {
        self.outgoing().take_displaced()
    }

    fn deliver(&self) {
        if let Some(peer) = self.peer() {
            peer.readable();
        }
    }

    fn resume(&self) {
        if let Some(peer) = self.peer() {
            peer.writable();
        }
    }

    fn holds_several(&self, size: usize) -> bool {
        self.outgoing().holds_several(size as u64)
    }

    fn begin_patience(&self, room: RoomWanted) -> bool {
        self.outgoing().begin_patience(room)
    }

    fn end_patience(&self) {
        if self.outgoing().end_patience()
            && let Some(pipe) = self.link.sides[self.index].get()
        {
            pipe.writable();
        }
    }

    fn close(&self, _deadline: Instant) {
        if self.is_closed.swap(true, Ordering::Relaxed) {
            return;
        }
        // Pairs with the fence in `is_closed`.
        fence(Ordering::SeqCst);
        self.outgoing().close();
        self.incoming().close();
        self.incoming().clear();
        if let Some(peer) = self.peer() {
            peer.ended();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Chunk;
    use crate::testing::{FakeSocket, Pipe, Traits};
    use crate::transports::AfterSend;
    use std::sync::atomic::AtomicU32;

    /// Two sockets that are joined; what is sent to them waits in so many bytes.
    struct Setup {
        pipes: [Arc<Pipe>; 2],
        _sockets: [FakeSocket; 2],
    }

    fn joined(recv_buffers: [usize; 2]) -> Setup {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("link {}", NEXT.fetch_add(1, Ordering::Relaxed)).into_bytes();
        let sockets = recv_buffers.map(|recv_buffer| {
            let mut traits = Traits::pair();
            traits.settings.recv_buffer = recv_buffer;
            FakeSocket::new(traits)
        });
        sockets[0].bind(&Inproc, &name).unwrap();
        sockets[1].connect(&Inproc, &name);
        Setup { pipes: [sockets[0].pipe(0), sockets[1].pipe(0)], _sockets: sockets }
    }

    fn accepted(pipe: &Pipe, size: usize) -> usize {
        (0..).take_while(|_| pipe.try_send(&vec![7; size]).is_ok()).count()
    }

    #[test]
    fn messages_of_all_sizes_are_there_when_the_send_returns() {
        let Setup { pipes: [one, other], .. } = &joined([1 << 20; 2]);
        for (from, to) in [(one, other), (other, one)] {
            for size in [0, 1, 64 * 1024, 1024 * 1024] {
                let body: Vec<u8> = (0..size).map(|at: usize| (at ^ (at >> 8)) as u8).collect();
                from.try_send(&body).unwrap();
                assert!(to.connection.is_readable());
                assert!(to.try_recv().as_deref() == Some(&body[..]), "{size} bytes");
                assert!(!to.connection.is_readable());
            }
        }
    }

    #[test]
    fn what_one_sends_waits_in_the_buffer_of_the_other() {
        let Setup { pipes: [big, small], .. } = &joined([10_000, 100]);
        assert_eq!(accepted(big, 10), 10);
        assert_eq!(accepted(small, 10), 1000);
        assert!(!big.connection.can_send() && !small.connection.can_send());
    }

    #[test]
    fn a_reader_is_told_of_the_first_message_and_a_blocked_writer_of_room() {
        let Setup { pipes: [from, to], .. } = &joined([100; 2]);
        let before = (from.news.change(|news| *news), to.news.change(|news| *news));
        let count = accepted(from, 10);
        assert_eq!(to.news.change(|news| news.readable), before.1.readable + 1);
        assert_eq!(from.news.change(|news| news.writable), before.0.writable);
        assert!(to.try_recv().is_some());
        assert_eq!(from.news.change(|news| news.writable), before.0.writable + 1);
        assert!(from.connection.can_send());
        assert_eq!((1..).map_while(|_| to.try_recv()).count(), count - 1);
        // Nobody waited for that room.
        assert_eq!(from.news.change(|news| news.writable), before.0.writable + 1);
        from.try_send(b"first").unwrap();
        assert_eq!(to.news.change(|news| news.readable), before.1.readable + 2);
    }

    #[test]
    fn what_was_sent_before_the_close_can_be_received_and_nothing_else() {
        let Setup { pipes: [closing, peer], .. } = &joined([1000; 2]);
        closing.try_send(b"last").unwrap();
        peer.try_send(b"never read").unwrap();
        closing.connection.close(Instant::now());
        closing.connection.close(Instant::now());
        let ends = [closing, peer].map(|pipe| pipe.news.change(|news| news.ended));
        assert_eq!(ends, [0, 1]);
        assert_eq!((closing.try_recv(), closing.try_send(b"x")), (None, Err(Refusal::Busy)));
        assert_eq!(peer.try_send(b"x"), Err(Refusal::Busy));
        assert_eq!((peer.try_recv().as_deref(), peer.try_recv()), (Some(&b"last"[..]), None));
        assert!(!peer.connection.can_send() && !peer.connection.is_readable());
    }

    #[test]
    fn a_link_that_is_not_open_takes_nothing() {
        let [one, other] = Link::sides([1000.into(); 2]);
        assert!(!one.can_send() && !other.can_send());
        assert_eq!(one.send(&mut Message::default()), Err(Refusal::Busy));
        // With nobody at the ends there is nobody to tell.
        one.link.show_open();
        one.deliver();
        one.resume();
        one.close(Instant::now());
        other.withdraw();
        assert!(one.is_closed() && other.is_closed());
    }

    #[test]
    fn control_data_stay_with_who_sends_them() {
        let Setup { pipes: [from, to], .. } = &joined([1000; 2]);
        let ancillary = Some(Chunk::copy_from(b"control").unwrap());
        let mut message = Message { ancillary, ..Message::default() };
        let sent = from.connection.send(&mut message).unwrap();
        assert_eq!(sent, Sent { can_send_more: true, then: AfterSend::Deliver });
        assert!(message.ancillary.is_some());
        let received = to.connection.recv(&mut message);
        assert!(received.has_message && message.ancillary.is_none());
        assert!(to.connection.stream().is_none());
    }
}
