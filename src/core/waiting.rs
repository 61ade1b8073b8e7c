//! What those share who wait for one socket: whom to wake, and what the leader sleeps in front of.

use std::sync::Arc;

use super::handover::{Handover, Ring};
use super::lookout::{Lookouts, watch};
use super::visitors::Visitors;
use crate::io::{Poller, Spin, Wake, Waker};
use crate::protocols::PipeId;
use crate::sync::{
    OnceLock,
    atomic::{AtomicBool, AtomicU32, Ordering},
};
use crate::sys::futex_wake_all;
use crate::transports::Connection;

/// What the waiters of one socket share.
#[derive(Debug, Default)]
pub struct Waiting {
    /// Its leader waits for all streams of the socket.
    pub recv: Bell<Arc<Poller>>,
    /// Its leader waits for those that are full.
    pub send: Bell<Waker>,
    streams: AtomicU32,
    /// How many threads sleep on branches, who would lead next.
    pub heirs: AtomicU32,
    pub spin: Spin,
    /// The last wait for streams had to sleep, so that the next one probably will, too.
    pub has_slept: AtomicBool,
    pub visitors: Visitors,
    pub lookouts: Lookouts,
}

/// Wakes those who wait to receive, or those who wait to send.
#[derive(Debug)]
pub struct Bell<W> {
    pub handover: Handover,
    /// Wakes the leader out of the kernel; made when the first one leads.
    pub leader: OnceLock<W>,
}

impl<W> Default for Bell<W> {
    fn default() -> Bell<W> {
        Bell { handover: Handover::default(), leader: OnceLock::new() }
    }
}

impl<W: Wake> Bell<W> {
    #[inline]
    pub fn epoch(&self) -> u32 {
        self.handover.epoch()
    }

    #[inline]
    pub fn ring(&self) {
        let ring = self.handover.ring();
        if ring.wake_leader || ring.wake_sleepers {
            self.act(ring);
        }
    }

    #[cold]
    fn act(&self, ring: Ring) {
        if ring.wake_sleepers {
            futex_wake_all(futex_word(&self.handover));
        }
        if ring.wake_leader
            && let Some(leader) = self.leader.get()
        {
            leader.wake();
        }
    }

    /// Whether a thread drives the streams.
    pub fn is_led(&self) -> bool {
        self.handover.is_led()
    }

    pub fn resign(&self) {
        if let Some(ring) = self.handover.resign() {
            self.act(ring);
        }
    }
}

impl Bell<Waker> {
    /// What wakes the leader, if a descriptor can be had for it. Only the leader asks.
    pub fn waker(&self) -> Option<&Waker> {
        if self.leader.get().is_none() {
            let _ = self.leader.set(Waker::new().ok()?);
        }
        self.leader.get()
    }
}

impl Waiting {
    /// Whether somebody has to wait for descriptors.
    #[inline]
    pub fn has_streams(&self) -> bool {
        self.streams.load(Ordering::Relaxed) > 0
    }

    /// Something may have become receivable.
    #[inline]
    pub fn ring_to_recv(&self) {
        self.recv.ring();
        // Behind the fence of the ring: who has not been counted yet looks at everything.
        if self.lookouts.is_any() {
            self.lookouts.tell();
        }
    }

    pub fn ring_all(&self) {
        self.ring_to_recv();
        self.send.ring();
    }

    /// There is a pipe more, behind the socket's lock. What has arrived on its stream is told
    /// apart.
    pub fn ring_for_pipe(&self, connection: &dyn Connection) {
        if connection.stream().is_none() {
            return self.ring_all();
        }
        if let Some(ring) = self.recv.handover.ring_for_leader() {
            self.recv.act(ring);
        }
        self.send.ring();
        // As in `ring_to_recv`.
        if self.lookouts.is_any() {
            self.lookouts.tell();
        }
    }

    /// Whether a thread waits in the kernel for messages to arrive.
    pub fn is_polled(&self) -> bool {
        self.recv.is_led() || self.lookouts.is_polled()
    }

    /// A connection has become a pipe. Under the socket's lock.
    pub fn add_stream(&self, id: PipeId, connection: &dyn Connection) {
        let Some(stream) = connection.stream() else { return };
        self.streams.fetch_add(1, Ordering::Relaxed);
        if let Some(poller) = self.recv.leader.get() {
            watch(poller, id.0.into(), stream);
        }
        self.lookouts.add_stream(id, stream);
    }

    /// The pipe will read nothing any more. Under the socket's lock.
    pub fn remove_stream(&self, connection: &dyn Connection) {
        let Some(stream) = connection.stream() else { return };
        self.streams.fetch_sub(1, Ordering::Relaxed);
        if let Some(poller) = self.recv.leader.get() {
            poller.remove(stream.descriptor());
        }
        self.lookouts.remove_stream(stream);
    }
}

fn futex_word(handover: &Handover) -> &AtomicU32 {
    handover.word()
}
