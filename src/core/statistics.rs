//! Counters of one socket. Messages and bytes are counted under the socket's lock, the rest here.

use super::figures::{Bequest, Figure, Figures, Losses, Lost, Tally};
use crate::error::Error;
use crate::protocols::{Loss, PipeId, SendPriority};
use crate::sync::{
    OnceLock,
    atomic::{AtomicI64, Ordering},
};
use crate::transports::Report;

/// What endpoints have seen, kept from the first time on that there is something to count: a socket
/// without endpoints has no use for it.
#[derive(Debug, Default)]
pub struct Statistics(OnceLock<Box<Counters>>);

/// Levels go up and down, the others only up.
#[derive(Debug, Default)]
struct Counters {
    established: AtomicI64,
    accepted: AtomicI64,
    dropped: AtomicI64,
    broken: AtomicI64,
    connect_errors: AtomicI64,
    accept_errors: AtomicI64,
    in_progress: AtomicI64,
    endpoint_errors: AtomicI64,
    violations: AtomicI64,
    turned_away: AtomicI64,
    tally: Tally,
    losses: Losses,
}

/// What a socket counts under its lock.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traffic {
    pub messages_sent: u64,
    pub messages_received: u64,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    pub connections: u64,
    /// Sent, as far as the caller knows, but nobody could take it.
    pub messages_dropped: u64,
}

impl Traffic {
    pub fn add(&mut self, other: &Traffic) {
        self.messages_sent += other.messages_sent;
        self.messages_received += other.messages_received;
        self.bytes_sent += other.bytes_sent;
        self.bytes_received += other.bytes_received;
        self.messages_dropped += other.messages_dropped;
    }
}

impl Statistics {
    pub fn count(&self, report: Report) {
        let add = |counter: &AtomicI64, change| {
            counter.fetch_add(change, Ordering::Relaxed);
        };
        let counters = self.counters();
        match report {
            Report::Connecting => add(&counters.in_progress, 1),
            Report::Established => {
                add(&counters.in_progress, -1);
                add(&counters.established, 1);
            }
            Report::ConnectFailed(_) => {
                add(&counters.in_progress, -1);
                add(&counters.connect_errors, 1);
            }
            Report::ConnectAbandoned => add(&counters.in_progress, -1),
            Report::Accepted => add(&counters.accepted, 1),
            Report::AcceptFailed(_) => add(&counters.accept_errors, 1),
            Report::Broken => add(&counters.broken, 1),
            Report::Dropped => add(&counters.dropped, 1),
            Report::TurnedAway { .. } => add(&counters.turned_away, 1),
            Report::HandshakeFailed { .. } | Report::Rejected { .. } => {}
        }
    }

    /// The number of endpoints whose last attempt failed has changed.
    pub fn endpoint_error(&self, change: i64) {
        self.counters().endpoint_errors.fetch_add(change, Ordering::Relaxed);
    }

    /// A connection ended because its peer broke the rules, or sent more than it may.
    pub fn note_violation(&self) {
        self.counters().violations.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts what the reference does not.
    pub fn add(&self, figure: Figure, count: u64) {
        self.counters().tally.add(figure, count);
    }

    /// Counts messages that are lost. Under the socket's lock, and nobody else counts them.
    pub fn count_loss(&self, why: Loss, count: u64) {
        self.counters().tally.add_alone(Figure::of_loss(why), count);
    }

    /// Counts them on account of that peer. Under the socket's lock.
    pub fn lose(&self, pipe: PipeId, why: Loss, count: u64) {
        self.counters().losses.add(pipe, why, count);
    }

    /// What the peer has lost so far. Under the socket's lock.
    pub fn lost(&self, pipe: PipeId) -> Lost {
        let lost = self.0.get().map(|counters| counters.losses.of(pipe));
        lost.unwrap_or_default()
    }

    /// The peer goes: whoever remembers it has what it has lost. Under the socket's lock.
    pub fn leave(&self, pipe: PipeId, Bequest { largest, .. }: &Bequest) -> Option<Lost> {
        let counters = self.counters();
        counters.tally.rise_to(largest);
        counters.losses.take(pipe)
    }

    /// What of that was ever counted.
    #[must_use]
    pub fn tally(&self) -> Figures {
        self.0.get().map_or([0; Figure::COUNT], |counters| counters.tally.figures())
    }

    /// One statistic by its number, with what the socket's lock guards.
    ///
    /// # Errors
    /// `Invalid` when there is no such statistic.
    pub fn value(&self, id: i32, traffic: &Traffic, best: SendPriority) -> Result<u64, Error> {
        // A level may be read between two reports that arrive in the wrong order.
        let level = |counter: fn(&Counters) -> &AtomicI64| {
            let count = self.0.get().map(|counters| counter(counters).load(Ordering::Relaxed));
            count.unwrap_or_default().max(0) as u64
        };
        Ok(match id {
            number::ESTABLISHED => level(|counters| &counters.established),
            number::ACCEPTED => level(|counters| &counters.accepted),
            number::DROPPED => level(|counters| &counters.dropped),
            number::BROKEN => level(|counters| &counters.broken),
            number::CONNECT_ERRORS => level(|counters| &counters.connect_errors),
            // A bind that fails is the caller's to count: it is told.
            number::BIND_ERRORS => 0,
            number::ACCEPT_ERRORS => level(|counters| &counters.accept_errors),
            number::CONNECTIONS => traffic.connections,
            number::IN_PROGRESS => level(|counters| &counters.in_progress),
            number::ENDPOINT_ERRORS => level(|counters| &counters.endpoint_errors),
            number::MESSAGES_SENT => traffic.messages_sent,
            number::MESSAGES_RECEIVED => traffic.messages_received,
            number::BYTES_SENT => traffic.bytes_sent,
            number::BYTES_RECEIVED => traffic.bytes_received,
            number::MESSAGES_DROPPED => traffic.messages_dropped,
            number::VIOLATIONS => level(|counters| &counters.violations),
            number::TURNED_AWAY => level(|counters| &counters.turned_away),
            number::SEND_PRIORITY => match best {
                SendPriority::Unknown => 0,
                SendPriority::Some(priority) => priority.0.into(),
                // As C reads the -1 of the reference.
                SendPriority::Gone => u64::MAX,
            },
            _ => return Err(Error::Invalid),
        })
    }

    fn counters(&self) -> &Counters {
        self.0.get_or_init(Box::default)
    }
}

/// Statistics as C numbers them; `ffi/statistics.rs` holds them to the headers.
pub mod number {
    pub const ESTABLISHED: i32 = 101;
    pub const ACCEPTED: i32 = 102;
    pub const DROPPED: i32 = 103;
    pub const BROKEN: i32 = 104;
    pub const CONNECT_ERRORS: i32 = 105;
    pub const BIND_ERRORS: i32 = 106;
    pub const ACCEPT_ERRORS: i32 = 107;
    pub const CONNECTIONS: i32 = 201;
    pub const IN_PROGRESS: i32 = 202;
    pub const ENDPOINT_ERRORS: i32 = 203;
    pub const MESSAGES_SENT: i32 = 301;
    pub const MESSAGES_RECEIVED: i32 = 302;
    pub const BYTES_SENT: i32 = 303;
    pub const BYTES_RECEIVED: i32 = 304;
    pub const SEND_PRIORITY: i32 = 401;
    pub const MESSAGES_DROPPED: i32 = 0x5350_0004;
    pub const VIOLATIONS: i32 = 0x5350_0005;
    pub const TURNED_AWAY: i32 = 0x5350_000d;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocols::Priority;
    use crate::transports::Fault;

    const WHY: Error = Error::Invalid;

    /// What these say afterwards: established, accepted, dropped, broken, errors of connecting and
    /// of accepting, in progress.
    fn counted(reports: &[Report]) -> [u64; 7] {
        let statistics = Statistics::default();
        reports.iter().for_each(|report| statistics.count(*report));
        [
            number::ESTABLISHED,
            number::ACCEPTED,
            number::DROPPED,
            number::BROKEN,
            number::CONNECT_ERRORS,
            number::ACCEPT_ERRORS,
            number::IN_PROGRESS,
        ]
        .map(|id| statistics.value(id, &Traffic::default(), SendPriority::Unknown).unwrap())
    }

    #[test]
    fn an_attempt_is_in_progress_until_its_end() {
        use Report::*;
        assert_eq!(counted(&[Connecting, Connecting]), [0, 0, 0, 0, 0, 0, 2]);
        assert_eq!(counted(&[Connecting, Established]), [1, 0, 0, 0, 0, 0, 0]);
        for why in [Fault::System(WHY), Fault::NoAddress] {
            assert_eq!(counted(&[Connecting, ConnectFailed(why)]), [0, 0, 0, 0, 1, 0, 0]);
        }
        assert_eq!(counted(&[Connecting, ConnectAbandoned]), [0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn what_only_grows() {
        use Report::*;
        assert_eq!(counted(&[Accepted, Accepted]), [0, 2, 0, 0, 0, 0, 0]);
        assert_eq!(counted(&[AcceptFailed(WHY)]), [0, 0, 0, 0, 0, 1, 0]);
        assert_eq!(counted(&[Dropped, Broken, Broken]), [0, 0, 1, 2, 0, 0, 0]);
        let (peer, fault) = (None, None);
        assert_eq!(counted(&[HandshakeFailed { peer, fault }, Rejected { peer }]), [0; 7]);
    }

    #[test]
    fn a_level_is_never_seen_below_zero() {
        assert_eq!(counted(&[Report::Established])[6], 0);
    }

    #[test]
    fn what_others_count_is_passed_on() {
        let (statistics, traffic) =
            (Statistics::default(), Traffic { bytes_sent: 7, ..Traffic::default() });
        let value = |id, best| statistics.value(id, &traffic, best);
        assert_eq!(value(number::BYTES_SENT, SendPriority::Unknown), Ok(7));
        statistics.note_violation();
        assert_eq!(value(number::VIOLATIONS, SendPriority::Unknown), Ok(1));
        statistics.endpoint_error(2);
        statistics.endpoint_error(-1);
        assert_eq!(value(number::ENDPOINT_ERRORS, SendPriority::Unknown), Ok(1));
        let best = [SendPriority::Unknown, SendPriority::Some(Priority(3)), SendPriority::Gone];
        let told = best.map(|best| value(number::SEND_PRIORITY, best));
        assert_eq!(told, [Ok(0), Ok(3), Ok(u64::MAX)]);
        assert_eq!(value(0, SendPriority::Unknown), Err(Error::Invalid));
    }
}
