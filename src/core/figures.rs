//! What can be told of a socket, its endpoints and its peers, and what of that has to be counted
//! for it alone.

use std::collections::BTreeMap;

use crate::protocols::{Loss, PipeId};
use crate::sync::{
    Mutex, MutexGuard, OnceLock, Rank,
    atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering},
};
use crate::transports::{Fault, Load, ReadBy, Report};

/// The figures, in the order in which C numbers them; `ffi/figures.rs` holds them to the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    MessagesSent,
    MessagesReceived,
    BytesSent,
    BytesReceived,
    Connections,
    Connected,
    Reconnected,
    ConnectErrors,
    AcceptErrors,
    Violations,
    DroppedNoRoom,
    DroppedNoMemory,
    DroppedAstray,
    DroppedUnsubscribed,
    DroppedHops,
    DroppedMalformed,
    DroppedStale,
    DroppedTooLarge,
    RefusedType,
    RefusedViolation,
    RefusedTimeout,
    RefusedLeft,
    RefusedDenied,
    RefusedUnwanted,
    RefusedStranger,
    SendQueueMessages,
    SendQueueBytes,
    SendQueueMessagesMost,
    SendQueueBytesMost,
    SendQueueOldestMs,
    ReceiveQueueMessages,
    ReceiveQueueBytes,
    ReceiveQueueMessagesMost,
    ReceiveQueueBytesMost,
    ReceiveQueueOldestMs,
    ReadBy,
}

/// What becomes of the figures of several in one of them all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Union {
    Sum,
    Largest,
    /// It is of each alone.
    None,
}

/// Every figure of one of them.
pub type Figures = [u64; Figure::COUNT];

impl Figure {
    pub const COUNT: usize = Figure::ReadBy as usize + 1;

    pub const ALL: [Figure; Figure::COUNT] = [
        Figure::MessagesSent,
        Figure::MessagesReceived,
        Figure::BytesSent,
        Figure::BytesReceived,
        Figure::Connections,
        Figure::Connected,
        Figure::Reconnected,
        Figure::ConnectErrors,
        Figure::AcceptErrors,
        Figure::Violations,
        Figure::DroppedNoRoom,
        Figure::DroppedNoMemory,
        Figure::DroppedAstray,
        Figure::DroppedUnsubscribed,
        Figure::DroppedHops,
        Figure::DroppedMalformed,
        Figure::DroppedStale,
        Figure::DroppedTooLarge,
        Figure::RefusedType,
        Figure::RefusedViolation,
        Figure::RefusedTimeout,
        Figure::RefusedLeft,
        Figure::RefusedDenied,
        Figure::RefusedUnwanted,
        Figure::RefusedStranger,
        Figure::SendQueueMessages,
        Figure::SendQueueBytes,
        Figure::SendQueueMessagesMost,
        Figure::SendQueueBytesMost,
        Figure::SendQueueOldestMs,
        Figure::ReceiveQueueMessages,
        Figure::ReceiveQueueBytes,
        Figure::ReceiveQueueMessagesMost,
        Figure::ReceiveQueueBytesMost,
        Figure::ReceiveQueueOldestMs,
        Figure::ReadBy,
    ];

    /// What a report adds one to.
    #[must_use]
    pub fn of_report(report: Report) -> Option<Figure> {
        match report {
            Report::ConnectFailed(_) => Some(Figure::ConnectErrors),
            Report::AcceptFailed(_) => Some(Figure::AcceptErrors),
            Report::Rejected { .. } => Some(Figure::RefusedUnwanted),
            Report::TurnedAway { .. } => Some(Figure::RefusedStranger),
            Report::HandshakeFailed { fault, .. } => Some(match fault {
                Some(Fault::WrongType { .. }) => Figure::RefusedType,
                Some(Fault::TimedOut) => Figure::RefusedTimeout,
                Some(Fault::Denied(_)) => Figure::RefusedDenied,
                None | Some(Fault::System(_)) => Figure::RefusedLeft,
                Some(
                    Fault::Violation
                    | Fault::TooLarge { .. }
                    | Fault::TooLargeForPeer
                    | Fault::NoAddress
                    | Fault::Silent
                    | Fault::Stranger { .. }
                    | Fault::Tls(_),
                ) => Figure::RefusedViolation,
            }),
            Report::Connecting
            | Report::Established
            | Report::ConnectAbandoned
            | Report::Accepted
            | Report::Broken
            | Report::Dropped => None,
        }
    }

    #[must_use]
    pub fn of_loss(loss: Loss) -> Figure {
        match loss {
            Loss::Busy => Figure::DroppedNoRoom,
            Loss::NoMemory => Figure::DroppedNoMemory,
            Loss::Astray => Figure::DroppedAstray,
            Loss::Unsubscribed => Figure::DroppedUnsubscribed,
            Loss::Hops => Figure::DroppedHops,
            Loss::Malformed => Figure::DroppedMalformed,
            Loss::Stale => Figure::DroppedStale,
        }
    }

    /// How those of peers become that of their endpoint, and of their socket.
    #[must_use]
    pub fn union(self) -> Union {
        match self {
            Figure::SendQueueMessagesMost
            | Figure::SendQueueBytesMost
            | Figure::SendQueueOldestMs
            | Figure::ReceiveQueueMessagesMost
            | Figure::ReceiveQueueBytesMost
            | Figure::ReceiveQueueOldestMs => Union::Largest,
            Figure::ReadBy => Union::None,
            _ => Union::Sum,
        }
    }

    /// Whether a socket counts it beside its endpoints, which may be gone.
    #[must_use]
    pub fn is_counted_by_sockets(self) -> bool {
        let place = self as usize;
        let causes = Figure::DroppedNoRoom as usize..=Figure::RefusedStranger as usize;
        self == Figure::Reconnected || causes.contains(&place)
    }
}

/// What a connection tells, as figures.
pub fn of_load(load: &Load) -> impl Iterator<Item = (Figure, u64)> + use<> {
    let Bequest { sums, largest } = Bequest::of(load);
    let (sending, receiving) = (load.sending, load.receiving);
    let of_now = [
        (Figure::SendQueueMessages, sending.messages as u64),
        (Figure::SendQueueBytes, sending.bytes as u64),
        (Figure::SendQueueOldestMs, sending.oldest_ms.into()),
        (Figure::ReceiveQueueMessages, receiving.messages as u64),
        (Figure::ReceiveQueueBytes, receiving.bytes as u64),
        (Figure::ReceiveQueueOldestMs, receiving.oldest_ms.into()),
        (
            Figure::ReadBy,
            match load.reader {
                ReadBy::Callers => 1,
                ReadBy::Reactor => 2,
                ReadBy::Everybody => 3,
            },
        ),
    ];
    sums.into_iter().chain(largest).chain(of_now)
}

/// What stays of a connection that has gone, and with it what waited there.
#[derive(Clone, Copy)]
pub struct Bequest {
    pub sums: [(Figure, u64); 4],
    pub largest: [(Figure, u64); 4],
}

impl Bequest {
    pub fn of(load: &Load) -> Bequest {
        let (sending, receiving) = (load.sending, load.receiving);
        Bequest {
            sums: [
                (Figure::MessagesSent, load.messages_sent),
                (Figure::BytesSent, load.bytes_sent),
                (Figure::MessagesReceived, load.messages_received),
                (Figure::BytesReceived, load.bytes_received),
            ],
            largest: [
                (Figure::SendQueueMessagesMost, sending.messages_most as u64),
                (Figure::SendQueueBytesMost, sending.bytes_most as u64),
                (Figure::ReceiveQueueMessagesMost, receiving.messages_most as u64),
                (Figure::ReceiveQueueBytesMost, receiving.bytes_most as u64),
            ],
        }
    }
}

/// Adds the figures of one to those of all.
pub fn unite(all: &mut Figures, one: impl IntoIterator<Item = (Figure, u64)>) {
    for (figure, count) in one {
        let place = &mut all[figure as usize];
        match figure.union() {
            Union::Sum => *place += count,
            Union::Largest => *place = count.max(*place),
            Union::None => {}
        }
    }
}

/// Figures that only grow, kept from the first time on that one of them does: most sockets and
/// endpoints have nothing to count.
#[derive(Debug, Default)]
pub struct Tally(OnceLock<Box<[AtomicU64; Figure::COUNT]>>);

impl Tally {
    #[cold]
    pub fn add(&self, figure: Figure, count: u64) {
        self.counter(figure).fetch_add(count, Ordering::Relaxed);
    }

    /// The same for who is the only one to count this at that time.
    #[inline]
    pub fn add_alone(&self, figure: Figure, count: u64) {
        let counter = self.counter(figure);
        counter.store(counter.load(Ordering::Relaxed) + count, Ordering::Relaxed);
    }

    /// A peer goes, and its endpoint remembers what it has done. Under the socket's lock.
    pub fn inherit(&self, Bequest { sums, largest }: &Bequest) {
        for (figure, count) in sums.iter().filter(|(_, count)| *count > 0) {
            // Nobody else counts these.
            self.add_alone(*figure, *count);
        }
        self.rise_to(largest);
    }

    /// Remembers what is more than there was before. Under the socket's lock.
    pub fn rise_to(&self, largest: &[(Figure, u64)]) {
        for (figure, count) in largest.iter().filter(|(_, count)| *count > 0) {
            let counter = self.counter(*figure);
            if *count > counter.load(Ordering::Relaxed) {
                counter.store(*count, Ordering::Relaxed);
            }
        }
    }

    #[must_use]
    pub fn figures(&self) -> Figures {
        let read = |counters: &[AtomicU64; Figure::COUNT]| {
            counters.each_ref().map(|counter| counter.load(Ordering::Relaxed))
        };
        self.0.get().map_or([0; Figure::COUNT], |counters| read(counters))
    }

    fn counter(&self, figure: Figure) -> &AtomicU64 {
        let fresh = || Box::new([const { AtomicU64::new(0) }; Figure::COUNT]);
        &self.0.get_or_init(fresh)[figure as usize]
    }
}

/// What peers have cost, by the cause. Most cost nothing, and have no place here. All that is asked
/// of it is asked under the socket's lock.
#[derive(Debug, Default)]
pub struct Losses(OnceLock<Box<Ledger>>);

#[derive(Debug)]
struct Ledger {
    all: Mutex<BTreeMap<PipeId, Lost>>,
    run: Run,
}

/// What one peer has lost in a row for one reason, which is put down when that is over: most often
/// all that is lost is of one kind, such as what a subscriber has no topic for.
#[derive(Debug, Default)]
struct Run {
    pipe: AtomicU32,
    loss: AtomicUsize,
    count: AtomicU64,
}

/// What one of them has.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lost([u64; Loss::COUNT]);

impl Losses {
    pub fn add(&self, pipe: PipeId, loss: Loss, count: u64) {
        let ledger = self.0.get_or_init(Box::default);
        if !ledger.run.is_of(pipe, loss) {
            drop(ledger.settled());
            ledger.run.begin(pipe, loss);
        }
        ledger.run.add(count);
    }

    pub fn of(&self, pipe: PipeId) -> Lost {
        let of = |ledger: &Ledger| ledger.settled().get(&pipe).copied();
        self.0.get().and_then(|ledger| of(ledger)).unwrap_or_default()
    }

    pub fn take(&self, pipe: PipeId) -> Option<Lost> {
        self.0.get().and_then(|ledger| ledger.settled().remove(&pipe))
    }
}

impl Default for Ledger {
    fn default() -> Ledger {
        Ledger { all: Mutex::new(Rank::Failure, BTreeMap::new()), run: Run::default() }
    }
}

impl Ledger {
    /// With what has been lost in a row.
    #[cold]
    fn settled(&self) -> MutexGuard<'_, BTreeMap<PipeId, Lost>> {
        let (pipe, loss, count) = self.run.take();
        let mut all = self.all.lock();
        if count > 0 {
            all.entry(pipe).or_default().0[loss] += count;
        }
        all
    }
}

impl Run {
    fn is_of(&self, pipe: PipeId, loss: Loss) -> bool {
        self.pipe.load(Ordering::Relaxed) == pipe.0
            && self.loss.load(Ordering::Relaxed) == loss as usize
    }

    fn begin(&self, pipe: PipeId, loss: Loss) {
        self.pipe.store(pipe.0, Ordering::Relaxed);
        self.loss.store(loss as usize, Ordering::Relaxed);
    }

    fn add(&self, more: u64) {
        self.count.store(self.count.load(Ordering::Relaxed) + more, Ordering::Relaxed);
    }

    /// Ends it. Says whose it was, of what, and how many.
    fn take(&self) -> (PipeId, usize, u64) {
        let count = self.count.load(Ordering::Relaxed);
        self.count.store(0, Ordering::Relaxed);
        (PipeId(self.pipe.load(Ordering::Relaxed)), self.loss.load(Ordering::Relaxed), count)
    }
}

impl Lost {
    pub fn figures(self) -> impl Iterator<Item = (Figure, u64)> {
        Loss::ALL.into_iter().map(Figure::of_loss).zip(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::transports::Backup;

    fn get(tally: &Tally, figure: Figure) -> u64 {
        tally.figures()[figure as usize]
    }

    #[test]
    fn each_stands_in_its_place() {
        for (place, figure) in Figure::ALL.into_iter().enumerate() {
            assert_eq!(figure as usize, place);
        }
    }

    #[test]
    fn what_is_never_counted_takes_no_memory() {
        let tally = Tally::default();
        assert_eq!(get(&tally, Figure::DroppedStale), 0);
        let waiting = Backup { bytes: 7, ..Backup::default() };
        tally.inherit(&Bequest::of(&Load { sending: waiting, ..Load::default() }));
        assert_eq!(tally.figures(), [0; Figure::COUNT]);
        assert!(tally.0.get().is_none());
        tally.add(Figure::DroppedStale, 2);
        tally.add(Figure::DroppedStale, 1);
        assert_eq!((get(&tally, Figure::DroppedStale), get(&tally, Figure::DroppedHops)), (3, 0));
    }

    #[test]
    fn an_endpoint_remembers_what_peers_did_and_not_what_waited() {
        let tally = Tally::default();
        for (count, most) in [(2, 9), (3, 5)] {
            let sending = Backup { bytes: 1, bytes_most: most, ..Backup::default() };
            let load = Load { messages_sent: count, sending, ..Load::default() };
            tally.inherit(&Bequest::of(&load));
        }
        assert_eq!(get(&tally, Figure::MessagesSent), 5);
        assert_eq!(get(&tally, Figure::SendQueueBytesMost), 9);
        assert_eq!(get(&tally, Figure::SendQueueBytes), 0);
    }

    #[test]
    fn losses_are_told_by_their_causes() {
        let losses = Losses::default();
        let [one, other] = [1, 2].map(PipeId);
        [Loss::Hops, Loss::Busy, Loss::Hops].into_iter().for_each(|loss| losses.add(one, loss, 1));
        let told = |losses: &Losses, pipe| {
            losses.of(pipe).figures().filter(|(_, count)| *count > 0).collect::<Vec<_>>()
        };
        let expected = [(Figure::DroppedNoRoom, 1), (Figure::DroppedHops, 2)];
        assert_eq!(told(&losses, one), expected);
        assert_eq!(told(&losses, other), []);
        assert!(losses.take(one).is_some() && losses.take(other).is_none());
        assert_eq!(told(&losses, one), []);
        // Whoever loses in between, nothing is lost of what was lost in a row.
        let rows = [(one, Loss::Busy), (one, Loss::Busy), (other, Loss::Busy), (one, Loss::Hops)];
        rows.into_iter().for_each(|(pipe, loss)| losses.add(pipe, loss, 5));
        assert_eq!(told(&losses, one), [(Figure::DroppedNoRoom, 10), (Figure::DroppedHops, 5)]);
        losses.add(one, Loss::Hops, 1);
        let taken = losses.take(one).unwrap().figures().map(|(_, count)| count).sum::<u64>();
        assert_eq!((taken, told(&losses, one)), (16, vec![]));
        assert_eq!(told(&losses, other), [(Figure::DroppedNoRoom, 5)]);
        for (place, loss) in Loss::ALL.into_iter().enumerate() {
            assert_eq!(loss as usize, place);
        }
    }

    #[test]
    fn a_refusal_is_counted_by_its_reason() {
        let failed = |fault| Figure::of_report(Report::HandshakeFailed { peer: None, fault });
        for (fault, figure) in [
            (None, Figure::RefusedLeft),
            (Some(Fault::System(Error::Invalid)), Figure::RefusedLeft),
            (Some(Fault::Violation), Figure::RefusedViolation),
            (Some(Fault::TimedOut), Figure::RefusedTimeout),
            (Some(Fault::Denied(404)), Figure::RefusedDenied),
            (Some(Fault::WrongType { found: None, wanted: 16 }), Figure::RefusedType),
        ] {
            assert_eq!(failed(fault), Some(figure));
        }
        let rejected = Report::Rejected { peer: None };
        assert_eq!(Figure::of_report(rejected), Some(Figure::RefusedUnwanted));
        let turned_away = Report::TurnedAway { peer: None, fault: Fault::Stranger { users: None } };
        assert_eq!(Figure::of_report(turned_away), Some(Figure::RefusedStranger));
        assert_eq!(Figure::of_report(Report::Established), None);
    }
}
