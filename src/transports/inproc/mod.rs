//! inproc: messages handed from socket to socket inside the process, on the caller's thread.
//!
//! Everything is complete when the call that caused it returns: connecting, sending, closing.

mod names;
mod queue;

use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use self::names::{Binder, Connector};
use self::queue::Queue;
use super::{
    Adopter, AfterRecv, AfterSend, Connection, Dialect, Host, Maker, Pace, Received, Sent,
    Transport,
};
use crate::error::{Error, Refusal};
use crate::message::Message;

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
    /// The two sides of a new link; each can hold so many bytes for its socket.
    fn sides(recv_buffers: [usize; 2]) -> [Arc<Side>; 2] {
        let link = Arc::new(Link {
            // What one side sends waits in the other's buffer.
            queues: [Queue::new(recv_buffers[1]), Queue::new(recv_buffers[0])],
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

    fn send(&self, message: &mut Message, _pace: Pace) -> Result<Sent, Refusal> {
        let pushed = self.outgoing().push(message)?;
        let then = if pushed.tell_consumer { AfterSend::Deliver } else { AfterSend::Nothing };
        Ok(Sent { can_send_more: pushed.can_push_more, then })
    }

    fn recv(&self, message: &mut Message) -> Received {
        let popped = self.incoming().pop(message);
        let then = if popped.tell_producer { AfterRecv::Resume } else { AfterRecv::Nothing };
        Received { has_message: popped.has_message, then }
    }

    fn is_readable(&self) -> bool {
        self.incoming().is_readable()
    }

    fn can_send(&self) -> bool {
        self.outgoing().can_push()
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
