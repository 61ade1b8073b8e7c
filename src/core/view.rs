//! The pipes of a socket, and what it is to know beside them, as its protocol sees them.

use std::sync::Weak;
use std::time::Instant;

use super::context::Context;
use super::pipe::{Aftermath, Kin, PipeTable};
use super::probing;
use crate::message::{Control, Limit, Message};
use crate::protocols::{BranchId, Branches, Flow, InTurn, Loss, PipeId, Pipes, Readiness, Refusal};
use crate::sys::{self, probe};
use crate::trace::{self, Happening};
use crate::transports::{AfterRecv, AfterSend, Next, Received};

/// The pipes during one operation of the protocol.
pub struct View<'a> {
    pub table: &'a mut PipeTable,
    pub aftermath: &'a mut Aftermath,
    pub context: &'a Context,
    /// Messages that were accepted and then had nowhere to go.
    pub dropped: &'a mut u64,
}

impl Pipes for View<'_> {
    fn send(&mut self, id: PipeId, message: &mut Message) -> Result<Flow, Refusal> {
        let pipe = self.table.live(id).ok_or(Refusal::Busy)?;
        self.aftermath.reserve()?;
        let sent = pipe.connection.send(message)?;
        match sent.then {
            AfterSend::Nothing => {}
            AfterSend::Displaced => self.count_displaced_of(pipe.id),
            then => self.aftermath.note_sent(&pipe.connection, then),
        }
        Ok(if sent.can_send_more { Flow::Ready } else { Flow::Busy })
    }

    fn prepare(&mut self, id: PipeId, others: usize, message: &Message) -> Result<(), Refusal> {
        let pipe = self.table.live(id).ok_or(Refusal::Busy)?;
        self.aftermath.reserve_all(others + 1)?;
        pipe.connection.prepare(message)
    }

    fn recv(&mut self, pipe: PipeId, message: &mut Message) -> bool {
        self.take(pipe, message).has_message
    }

    fn recv_in_turn(&mut self, pipe: PipeId, message: &mut Message) -> InTurn {
        let Received { has_message, next, .. } = self.take(pipe, message);
        let has_next = match next {
            Next::There => true,
            Next::Missing => false,
            Next::Unknown => self.is_readable(pipe),
        };
        InTurn { has_message, has_next }
    }

    fn flow(&self, pipe: PipeId) -> Flow {
        match self.table.live(pipe) {
            Some(pipe) if pipe.connection.can_send() => Flow::Ready,
            _ => Flow::Busy,
        }
    }

    fn is_readable(&self, pipe: PipeId) -> bool {
        self.table.get(pipe).is_some_and(|pipe| pipe.connection.is_readable())
    }

    fn now(&self) -> Instant {
        sys::now()
    }

    fn hop_limit(&self) -> usize {
        self.context.options.hop_limit()
    }

    fn recv_limit(&self) -> Limit {
        self.context.options.recv_limit()
    }

    fn drops_nothing(&self) -> bool {
        self.context.options.drops_nothing()
    }

    fn count_lost(&mut self, pipe: PipeId, why: Loss) {
        self.lose(pipe, why);
        self.context.statistics.count_loss(why, 1);
    }

    fn count_dropped(&mut self, count: usize, why: Loss) {
        *self.dropped += count as u64;
        self.context.statistics.count_loss(why, count as u64);
        let why_in_words = format_args!("{why:?}");
        probing::show(&probe::DROP, self.context.handle, count as i64, &why_in_words);
        if trace::is_on() {
            let details = format_args!("count={count} error={why:?}");
            self.context.trace(Happening::MessageDropped, details);
        }
    }

    fn count_dropped_of(&mut self, pipe: PipeId, why: Loss) {
        self.lose(pipe, why);
        self.count_dropped(1, why);
    }

    fn count_missed(&mut self, pipe: PipeId, count: u64) {
        if self.table.get(pipe).is_some() {
            self.context.statistics.lose(pipe, Loss::Busy, count);
        }
    }

    fn tell_branch(&mut self, branch: BranchId) {
        if let Some(Kin::Branches(branches)) = self.table.kin.as_deref()
            && let Some(branch) = branches.all.get(&branch).and_then(Weak::upgrade)
        {
            self.aftermath.note_news(branch);
        }
    }

    fn on_trunk(&mut self, ask: &mut dyn FnMut(&mut dyn Branches, &mut dyn Pipes)) {
        if let Some(Kin::Trunk(trunk)) = self.table.kin.as_deref() {
            trunk.enter(self.aftermath, ask);
        }
    }

    fn trunk_says(&self, branch: BranchId) -> Readiness {
        let mut readiness = Readiness::default();
        if let Some(Kin::Trunk(trunk)) = self.table.kin.as_deref() {
            // Nothing is sent or received, so that nothing is owed.
            let mut aftermath = Aftermath::default();
            trunk.enter(&mut aftermath, &mut |branches, _| {
                readiness = branches.readiness_of(branch);
            });
        }
        readiness
    }
}

impl View<'_> {
    #[inline(never)]
    fn count_displaced_of(&mut self, id: PipeId) {
        let count = self.table.get(id).map_or(0, |pipe| pipe.connection.take_displaced());
        (0..count).for_each(|_| self.count_dropped_of(id, Loss::Busy));
    }

    /// What the socket is to know when a pipe has been received from whose peer is gone.
    #[inline(never)]
    fn note_taken_of_ended(&mut self, id: PipeId, message: &Message, has_message: bool) {
        let Some(pipe) = self.table.get(id) else { return };
        self.aftermath.is_backlog_less = true;
        if !pipe.connection.is_readable() {
            self.aftermath.note_drained(id);
        }
        if has_message {
            self.table.backlog.take(id, message.wire_len());
        }
    }

    /// Who is gone has no figures any more, and would never have them taken away again.
    fn lose(&self, pipe: PipeId, why: Loss) {
        if self.table.get(pipe).is_some() {
            self.context.statistics.lose(pipe, why, 1);
        }
    }

    #[allow(clippy::inline_always, reason = "it is most of what either receive does")]
    #[inline(always)]
    fn take(&mut self, id: PipeId, message: &mut Message) -> Received {
        let Some(pipe) = self.table.get(id) else { return GONE };
        if message.control == Control::Wanted && self.context.options.tells_peers() {
            return self.take_and_describe(id, message);
        }
        let received = pipe.connection.recv(message);
        self.aftermath.note_received(&pipe.connection, received.then);
        if pipe.is_ended {
            self.note_taken_of_ended(pipe.id, message, received.has_message);
        }
        received
    }

    /// The same, and the message says whom it comes from.
    #[inline(never)]
    fn take_and_describe(&mut self, id: PipeId, message: &mut Message) -> Received {
        let Some(pipe) = self.table.get(id) else { return GONE };
        message.ancillary = None;
        let received = pipe.connection.recv(message);
        if received.has_message {
            pipe.describe_peer(message);
        }
        self.aftermath.note_received(&pipe.connection, received.then);
        if pipe.is_ended {
            self.note_taken_of_ended(id, message, received.has_message);
        }
        received
    }
}

/// What is received on a pipe that is not there.
const GONE: Received =
    Received { has_message: false, next: Next::Missing, then: AfterRecv::Nothing };
