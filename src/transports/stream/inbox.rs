//! What has arrived on a connection and nobody has received.

use super::codec::{Decoder, Front, Violation};
use super::ration::Ration;
use super::readership::Readership;
use super::store::{Partial, Store};
use super::tally::ReceiveTally;
use crate::message::{Body, Control, Message};
use crate::transports::pace::{MUCH, Workload};

pub(super) struct Inbox {
    pub(super) decoder: Box<dyn Decoder>,
    pub(super) store: Store,
    /// Bytes that may wait here although a message can be received.
    pub(super) ahead: u32,
    pub(super) readership: Readership,
    pub(super) tally: ReceiveTally,
    /// Where messages are counted.
    pub(super) ration: Option<Box<Ration>>,
}

impl Inbox {
    pub(super) fn take(
        &mut self,
        size_max: impl FnOnce() -> Option<u64>,
        message: &mut Message,
    ) -> bool {
        let tag = match std::mem::take(&mut self.store.front) {
            Front::Incomplete => return false,
            Front::Broken(violation) => return self.break_off(violation),
            Front::Apart { chunk, tag } => {
                message.body = Body::from_chunk(chunk);
                tag
            }
            Front::Landed { landed, tag } => {
                message.body = if landed.is_here() {
                    landed.into_body()
                } else {
                    let Ok(chunk) = landed.to_chunk() else {
                        return self.break_off(Violation::beyond_memory(landed.len()));
                    };
                    Body::from_chunk(chunk)
                };
                tag
            }
            Front::Whole { prefix, size } => {
                let (tag, rest) = (self.store.tag(), self.store.rest());
                // Without memory for the message the connection cannot go on.
                if message.body.fill(&rest[prefix..prefix + size]).is_err() {
                    return self.break_off(Violation::beyond_memory(size));
                }
                self.store.start += prefix + size;
                tag
            }
        };
        if self.store.start == self.store.bytes.len() {
            self.store.clear();
        } else {
            self.store.front = self.decoder.front(&self.store, size_max());
        }
        if message.control == Control::Wanted {
            match self.decoder.label(tag) {
                Ok(None) => {}
                Ok(label) => message.ancillary = label,
                Err(_) => return self.break_off(Violation::beyond_memory(0)),
            }
        }
        true
    }

    /// Nothing can be received any more.
    #[cold]
    pub(super) fn break_off(&mut self, violation: Violation) -> bool {
        self.store.front = Front::Broken(violation);
        false
    }

    #[inline(never)]
    pub(super) fn begin(&mut self, size_max: Option<u64>) -> Option<Partial> {
        self.absorb(None, &mut [], size_max)
    }

    #[allow(clippy::inline_always, reason = "it is most of what a small message takes to arrive")]
    #[inline(always)]
    pub(super) fn absorb(
        &mut self,
        partial: Option<Partial>,
        bytes: &mut [u8],
        size_max: Option<u64>,
    ) -> Option<Partial> {
        if self.is_broken() {
            return None;
        }
        match self.decoder.absorb(&mut self.store, partial, bytes, size_max) {
            Ok(partial) => partial,
            Err(_) => {
                self.break_off(Violation::beyond_memory(0));
                None
            }
        }
    }

    /// The big message that the bytes end with, if it is to be received next: what is missing of
    /// it can be read straight into its place.
    pub(super) fn begun(&mut self, size_max: impl Fn() -> Option<u64>) -> Option<Partial> {
        let is_begun = matches!(self.store.front, Front::Incomplete) && self.store.waiting() > 0;
        if is_begun { self.begin(size_max()) } else { None }
    }

    pub(super) fn is_readable(&self) -> bool {
        matches!(self.store.front, Front::Whole { .. } | Front::Apart { .. } | Front::Landed { .. })
    }

    pub(super) fn is_broken(&self) -> bool {
        matches!(self.store.front, Front::Broken(_))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.store.bytes.is_empty() && matches!(self.store.front, Front::Incomplete)
    }

    /// How much has arrived that nobody has received, if the next ones are of that size.
    pub(super) fn workload(&self, size: usize) -> Option<Workload> {
        if self.is_empty() {
            return None;
        }
        let is_much = self.is_readable() && self.store.waiting() / MUCH > size;
        Some(if is_much { Workload::Much } else { Workload::Little })
    }

    /// Whether nothing more should be read before something is received.
    pub(super) fn is_full(&self) -> bool {
        self.is_readable()
            && self.store.waiting() >= self.ahead as usize
            && self.ration.as_ref().is_none_or(|ration| ration.is_full(self.tally.messages()))
    }

    /// Whether the kernel has not been asked for what the reactor could read now.
    pub(super) fn must_ask(&self) -> bool {
        self.readership.is_unasked() && !self.is_full()
    }

    /// How much the reactor reads at a time, if it reads now.
    pub(super) fn size_ahead(&self, read_size: usize) -> Option<usize> {
        if self.is_full() {
            return None;
        }
        match self.readership {
            Readership::Callers { .. } => None,
            // One message is enough: of which more arrives is completed.
            Readership::Reactor { .. } if self.ahead == 0 => Some(AHEAD),
            Readership::Reactor { .. } | Readership::Everybody { .. } => Some(read_size),
        }
    }
}

/// How much the reactor reads where one message is enough.
const AHEAD: usize = 2 * 1024;
