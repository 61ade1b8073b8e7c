//! What one bind or connect made: the transport's host in its socket.

use std::fmt::{self, Display};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};

use super::context::{Context, Printer, Subject};
use super::events::{EventKind, SocketEvent};
use super::figures::{Figure, Tally};
use super::probing;
use crate::error::{Error, Part};
use crate::io::Reactor;
use crate::memory::{OutOfMemory, Wiped};
use crate::protocols::{Priorities, SOCKET_TYPES, SocketType, socket_type};
use crate::sync::{
    Mutex, Rank,
    atomic::{AtomicU64, Ordering},
};
use crate::sys::{self, probe};
use crate::trace::{self, Happening, Plain, Reason};
use crate::transports::{
    Connection, Fault, Guard, Host, IfNameless, Rejected, Report, Settings, TRANSPORTS, Text,
    TlsFault, Transport, TypeTag,
};

/// The socket's side of one endpoint.
pub struct Endpoint {
    pub id: i32,
    pub context: Arc<Context>,
    owner: Weak<dyn Owner>,
    /// Of all pipes that it will make, as the options were when it was made.
    pub priorities: Priorities,
    scheme: &'static str,
    /// Behind the scheme, as it was asked for.
    address: Vec<u8>,
    standing: Mutex<Standing>,
    /// What has happened to it and to connections that have gone.
    pub tally: Tally,
    /// How many connections it has made.
    made: AtomicU64,
    /// What was last printed of connections that were there.
    printed: Mutex<Option<Fault>>,
}

/// How an endpoint fares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Standing {
    #[default]
    Well,
    /// The last attempt has failed.
    Failing(Fault),
    /// Nothing that is still reported counts.
    Closed,
}

/// What an endpoint needs of its socket.
pub trait Owner: Send + Sync {
    /// Takes in a connection that the endpoint with that number has made.
    ///
    /// # Errors
    /// When the socket does not want it.
    fn attach(&self, endpoint: i32, connection: Arc<dyn Connection>) -> Result<(), Rejected>;

    /// Whether [`Owner::attach`] would succeed now.
    fn wants_pipe(&self) -> bool;

    /// Whether so much of peers that have gone is to be received yet that others wait outside.
    fn is_behind(&self) -> bool;

    /// Whether a thread waits in the kernel for messages to arrive.
    fn is_waiting(&self) -> bool;

    /// A bug was found in what the endpoint did.
    fn broken(&self);
}

/// Splits `address` into its transport and what the transport makes of the rest.
///
/// # Errors
/// `NameTooLong`, `Malformed`, `UnknownTransport`, in this order.
pub fn transport_of(address: &[u8]) -> Result<(&'static dyn Transport, &[u8]), Error> {
    if address.len() >= ADDRESS_MAX {
        return Err(Error::NameTooLong);
    }
    // Only the first colon counts.
    let wrong = Error::Malformed(Part::Scheme);
    let colon = address.iter().position(|byte| *byte == b':').ok_or(wrong)?;
    let (scheme, rest) = address.split_at(colon);
    let rest = rest.strip_prefix(b"://").ok_or(wrong)?;
    let is_it = |transport: &&&dyn Transport| transport.scheme().as_bytes() == scheme;
    let transport = TRANSPORTS.iter().find(is_it).ok_or(Error::UnknownTransport)?;
    Ok((*transport, rest))
}

impl Endpoint {
    pub fn new(
        id: i32,
        context: Arc<Context>,
        owner: Weak<dyn Owner>,
        scheme: &'static str,
        address: &[u8],
    ) -> Endpoint {
        let priorities = context.options.priorities();
        Endpoint {
            id,
            context,
            owner,
            priorities,
            scheme,
            address: address.to_vec(),
            standing: Mutex::new(Rank::Failure, Standing::default()),
            tally: Tally::default(),
            made: AtomicU64::new(0),
            printed: Mutex::new(Rank::Failure, None),
        }
    }

    /// Where it is, with the scheme; `known` is what the kernel decided about it.
    pub fn address(&self, known: Option<&[u8]>) -> Vec<u8> {
        self.locate(known.unwrap_or(&self.address))
    }

    /// An address of this endpoint's transport as users write it.
    fn locate(&self, address: &[u8]) -> Vec<u8> {
        [self.scheme.as_bytes(), b"://", address].concat()
    }

    /// The address of a peer, with the scheme. Where the kernel gives it none, it is that of the
    /// place at which both have met.
    pub fn peer_address(&self, peer: Option<SocketAddr>) -> Vec<u8> {
        match peer {
            Some(peer) => self.locate(peer.to_string().as_bytes()),
            None => self.locate(&self.address),
        }
    }

    /// How many connections it has made, with those that came to nothing in their greeting.
    pub fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    /// Counts what has happened here for the socket, too.
    pub fn count(&self, figure: Figure) {
        self.tally.add(figure, 1);
        self.context.statistics.add(figure, 1);
    }

    fn count_report(&self, report: Report) {
        self.context.statistics.count(report);
        if let Some(figure) = Figure::of_report(report) {
            self.count(figure);
        }
        if let Report::Established | Report::Accepted = report {
            let before = self.made.fetch_add(1, Ordering::Relaxed);
            // Who listens has many peers, and does not know who has been there before.
            if before > 0 && report == Report::Established {
                self.count(Figure::Reconnected);
            }
        }
    }

    /// Nothing that is still reported counts as an error of this endpoint.
    pub fn close(&self) {
        self.stand(Standing::Closed);
    }

    fn stand(&self, now: Standing) {
        let before = {
            let mut standing = self.standing.lock();
            if *standing == Standing::Closed {
                return;
            }
            std::mem::replace(&mut *standing, now)
        };
        let change = now.errors() - before.errors();
        self.context.statistics.endpoint_error(change);
        if let (Standing::Failing(fault), Some(printer)) = (now, self.context.printer)
            && now != before
        {
            self.print(fault, printer);
        }
    }

    /// Prints what was wrong with a connection that was there, if anybody wants to know: once, and
    /// not whenever it comes again and goes for the same reason. Who merely leaves has done nothing
    /// wrong.
    pub fn complain(&self, fault: Fault) {
        let Some(printer) = self.context.printer else { return };
        if matches!(fault, Fault::System(_)) {
            return;
        }
        if self.printed.lock().replace(fault) != Some(fault) {
            self.print(fault, printer);
        }
    }

    /// What the socket itself does not see. Connections that are there are its own business.
    fn record(&self, report: Report) {
        let (kind, fault, peer) = match report {
            Report::ConnectFailed(fault) => (EventKind::ConnectFailed, Some(fault), None),
            Report::AcceptFailed(why) => (EventKind::AcceptFailed, Some(Fault::System(why)), None),
            Report::HandshakeFailed { peer, fault } => (EventKind::HandshakeFailed, fault, peer),
            Report::Rejected { peer } => (EventKind::Rejected, None, peer),
            Report::TurnedAway { peer, fault } => (EventKind::Rejected, Some(fault), peer),
            Report::Connecting
            | Report::Established
            | Report::ConnectAbandoned
            | Report::Accepted
            | Report::Broken
            | Report::Dropped => return,
        };
        self.context.events.record(|| {
            let is_known = kind != EventKind::AcceptFailed;
            let peer = if is_known { self.peer_address(peer) } else { Vec::new() };
            let (endpoint, certificate) = (self.id, Vec::new());
            SocketEvent { kind, endpoint, pipe: None, fault, peer, certificate, missed: 0 }
        });
    }

    /// What it reports, as traces tell it.
    fn told(report: Report) -> (Happening, Option<SocketAddr>, Option<Fault>) {
        match report {
            Report::Connecting => (Happening::Connecting, None, None),
            Report::Established => (Happening::Established, None, None),
            Report::ConnectFailed(fault) => (Happening::ConnectFailed, None, Some(fault)),
            Report::ConnectAbandoned => (Happening::ConnectAbandoned, None, None),
            Report::Accepted => (Happening::Accepted, None, None),
            Report::AcceptFailed(why) => (Happening::AcceptFailed, None, Some(Fault::System(why))),
            Report::Broken => (Happening::ConnectionBroken, None, None),
            Report::Dropped => (Happening::ConnectionDropped, None, None),
            Report::HandshakeFailed { peer, fault } => (Happening::HandshakeFailed, peer, fault),
            Report::Rejected { peer } => (Happening::Rejected, peer, None),
            Report::TurnedAway { peer, fault } => (Happening::Rejected, peer, Some(fault)),
        }
    }

    /// Shows whoever looks by a probe that an attempt to connect is over, or that a peer has come.
    fn show(&self, report: Report) {
        let (probe, fault) = match report {
            Report::Established => (&probe::CONNECT, None),
            Report::ConnectFailed(fault) => (&probe::CONNECT, Some(fault)),
            Report::Accepted => (&probe::ACCEPT, None),
            Report::AcceptFailed(error) => (&probe::ACCEPT, Some(Fault::System(error))),
            Report::TurnedAway { fault, .. } => (&probe::ACCEPT, Some(fault)),
            Report::Connecting
            | Report::ConnectAbandoned
            | Report::Broken
            | Report::Dropped
            | Report::HandshakeFailed { .. }
            | Report::Rejected { .. } => return,
        };
        probing::show(probe, self.context.handle, self.id.into(), &Cause(fault));
    }

    fn print(&self, fault: Fault, Printer { describe }: Printer) {
        let name = self.context.name();
        let (name, address) = (name.escape_ascii(), self.address.escape_ascii());
        let line = format!("nanomsg: socket.{name}[{address}]: Error: {}\n", describe(fault));
        sys::complain(line.as_bytes());
    }
}

/// An endpoint as traces call it, and a peer of it that the kernel knows.
struct Place<'a>(&'a Endpoint, Option<SocketAddr>);

impl trace::Subject for Place<'_> {
    fn socket(&self) -> i32 {
        self.0.context.handle
    }

    fn endpoint(&self) -> Option<i32> {
        Some(self.0.id)
    }
}

impl Display for Place<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place(endpoint, peer) = self;
        let (scheme, address) = (endpoint.scheme, Plain(&endpoint.address));
        let subject = Subject(&endpoint.context);
        write!(to, "{subject} endpoint={}({scheme}://{address})", endpoint.id)?;
        match peer {
            Some(peer) => write!(to, " peer={scheme}://{peer}"),
            None => Ok(()),
        }
    }
}

/// What went wrong with a connection, as traces say it; nothing if nothing did.
pub struct Cause(pub Option<Fault>);

impl Display for Cause {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => Ok(()),
            Some(Fault::System(error)) => write!(to, "error={}", Reason(error)),
            Some(Fault::WrongType { found, wanted }) => {
                let name = |number: u16| socket_type(number.into()).map_or("?", |it| it.name);
                let found = found.map_or("?", name);
                write!(to, "error=WrongType found={found} wanted={}", name(wanted))
            }
            Some(Fault::TooLarge { size, limit: Some(limit) }) => {
                write!(to, "error=TooLarge size={size} limit={limit}")
            }
            Some(Fault::TooLarge { size, limit: None }) => write!(to, "error=TooLarge size={size}"),
            Some(Fault::Denied(status)) => write!(to, "error=Denied status={status}"),
            Some(Fault::Stranger { users: Some((found, wanted)) }) => {
                write!(to, "error=Stranger user={found} wanted={wanted}")
            }
            Some(Fault::Stranger { users: None }) => write!(to, "error=Stranger"),
            Some(Fault::Tls(TlsFault(number))) => write!(to, "error=Tls number={number}"),
            Some(
                other @ (Fault::Violation
                | Fault::TimedOut
                | Fault::Silent
                | Fault::TooLargeForPeer
                | Fault::NoAddress),
            ) => write!(to, "error={other:?}"),
        }
    }
}

impl Standing {
    /// How many endpoints in error this one is, as statistics count them.
    fn errors(self) -> i64 {
        match self {
            Standing::Failing(_) => 1,
            Standing::Well | Standing::Closed => 0,
        }
    }
}

impl Host for Endpoint {
    fn reactor(&self) -> io::Result<Arc<Reactor>> {
        self.context.reactor.get().map(Arc::clone)
    }

    fn settings(&self) -> Settings {
        let mut settings = self.context.options.settings();
        if self.context.socket_type.when_busy.drops() {
            // The kernel charges small writes with many times their size, so that its share of the
            // buffer may hold next to nothing. Who waits for room just waits a little earlier; who
            // drops would lose a burst that fits.
            settings.send_budget = settings.send_buffer.saturating_mul(2);
        }
        settings
    }

    fn wants_headers(&self) -> bool {
        self.context.options.tells_headers()
    }

    fn guard(&self) -> Guard {
        self.context.options.guard()
    }

    fn text(&self, option: &Text) -> Result<Wiped, OutOfMemory> {
        self.context.options.text(option)
    }

    fn size_max(&self) -> Option<u64> {
        self.context.options.recv_size_max()
    }

    fn own_type(&self) -> TypeTag {
        tag(self.context.socket_type)
    }

    fn peer_type(&self) -> TypeTag {
        tag(self.context.socket_type.peer)
    }

    fn if_nameless(&self) -> IfNameless {
        let is_accepted = self.context.socket_type.accepts_nameless_peers;
        if is_accepted { IfNameless::Accept } else { IfNameless::Refuse }
    }

    fn answers_for_sure(&self) -> bool {
        self.context.socket_type.answers_for_sure
    }

    fn type_number(&self, name: &str) -> Option<u16> {
        named(name).map(|known| known.number)
    }

    fn fitting_number(&self, name: &str) -> Option<u16> {
        named(name).map(|known| known.peer.number)
    }

    fn attach(&self, connection: Arc<dyn Connection>) -> Result<(), Rejected> {
        self.owner.upgrade().ok_or(Rejected)?.attach(self.id, connection)
    }

    fn is_wanting(&self) -> bool {
        self.owner.upgrade().is_some_and(|owner| owner.wants_pipe())
    }

    fn is_behind(&self) -> bool {
        self.owner.upgrade().is_some_and(|owner| owner.is_behind())
    }

    fn is_awaited(&self) -> bool {
        self.owner.upgrade().is_some_and(|owner| owner.is_waiting())
    }

    fn broken(&self) {
        if let Some(owner) = self.owner.upgrade() {
            owner.broken();
        }
    }

    fn trace(&self, event: Happening, peer: Option<SocketAddr>, details: fmt::Arguments<'_>) {
        if trace::is_on() {
            trace::tell(event, &Place(self, peer), details);
        }
    }

    fn report(&self, report: Report) {
        if trace::is_on() {
            let (event, peer, fault) = Endpoint::told(report);
            self.trace(event, peer, format_args!("{}", Cause(fault)));
        }
        self.show(report);
        self.count_report(report);
        match report {
            Report::ConnectFailed(fault) => self.stand(Standing::Failing(fault)),
            Report::AcceptFailed(error) => self.stand(Standing::Failing(Fault::System(error))),
            Report::Established | Report::Accepted => self.stand(Standing::Well),
            Report::HandshakeFailed { fault: Some(fault), .. }
            | Report::TurnedAway { fault, .. } => {
                self.complain(fault);
            }
            Report::Connecting
            | Report::ConnectAbandoned
            | Report::Broken
            | Report::Dropped
            | Report::HandshakeFailed { fault: None, .. }
            | Report::Rejected { .. } => {}
        }
        self.record(report);
    }
}

fn named(name: &str) -> Option<&'static SocketType> {
    SOCKET_TYPES.into_iter().find(|known| known.name == name)
}

fn tag(socket_type: &SocketType) -> TypeTag {
    TypeTag { number: socket_type.number, name: socket_type.name }
}

/// Addresses are shorter than this, scheme included.
const ADDRESS_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::core::context::Shared;
    use crate::core::fixtures::{FakeConnection, PAIR, PUB};
    use crate::core::options::option::{SEND_BUFFER, SEND_PRIORITY};
    use crate::core::statistics::{Traffic, number};
    use crate::protocols::{SendPriority, socket_type};
    use crate::transports::Row;

    /// A socket that takes one connection, and notes that it was told of a bug.
    #[derive(Default)]
    struct Taker {
        attached: AtomicUsize,
        breakdowns: AtomicUsize,
    }

    impl Owner for Taker {
        fn attach(&self, endpoint: i32, _: Arc<dyn Connection>) -> Result<(), Rejected> {
            assert_eq!(endpoint, 7);
            let before = self.attached.fetch_add(1, Ordering::Relaxed);
            if before == 0 { Ok(()) } else { Err(Rejected) }
        }

        fn wants_pipe(&self) -> bool {
            self.attached.load(Ordering::Relaxed) == 0
        }

        fn is_behind(&self) -> bool {
            self.attached.load(Ordering::Relaxed) > 1
        }

        fn is_waiting(&self) -> bool {
            self.is_behind()
        }

        fn broken(&self) {
            self.breakdowns.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn endpoint(protocol: i32) -> (Endpoint, Arc<Taker>) {
        let owner = Arc::new(Taker::default());
        let shared = Shared { reactor: Arc::default(), printer: None };
        let context = Context::new(3, 1, socket_type(protocol).unwrap(), &shared);
        let weak = Arc::downgrade(&owner);
        (Endpoint::new(7, Arc::new(context), weak, "tcp", b"192.0.2.1:80"), owner)
    }

    fn set(endpoint: &Endpoint, option: &Row, value: i32) {
        let value = value.to_ne_bytes();
        endpoint.context.options.set(option.level, option.number, Some(&value)).unwrap();
    }

    fn errors(endpoint: &Endpoint) -> u64 {
        let (traffic, best) = (Traffic::default(), SendPriority::Unknown);
        endpoint.context.statistics.value(number::ENDPOINT_ERRORS, &traffic, best).unwrap()
    }

    fn parsed(address: &str) -> Result<(&str, &str), Error> {
        let (transport, rest) = transport_of(address.as_bytes())?;
        Ok((transport.scheme(), std::str::from_utf8(rest).unwrap()))
    }

    #[test]
    fn splits_at_the_first_colon() {
        assert_eq!(parsed("inproc://"), Ok(("inproc", "")));
        assert_eq!(parsed("tcp://*:5555"), Ok(("tcp", "*:5555")));
        assert_eq!(parsed("ipc:///tmp/a:b"), Ok(("ipc", "/tmp/a:b")));
        for address in ["", "tcp", "tcp:", "tcp:/", "ipc:x", "a:b://c"] {
            let wrong = Error::Malformed(Part::Scheme);
            assert_eq!(parsed(address), Err(wrong), "{address}");
        }
        for address in ["TCP://*:1", "://x", "foo://x", " tcp://*:1"] {
            assert_eq!(parsed(address), Err(Error::UnknownTransport), "{address}");
        }
        assert!(parsed(&format!("inproc://{}", "a".repeat(118))).is_ok());
        assert_eq!(parsed(&"a".repeat(128)), Err(Error::NameTooLong));
    }

    #[test]
    fn what_the_transport_says_reaches_the_socket_while_there_is_one() {
        let (endpoint, owner) = endpoint(PAIR);
        assert!(endpoint.is_wanting());
        assert_eq!(endpoint.attach(FakeConnection::with_room(0)), Ok(()));
        assert!(!endpoint.is_wanting());
        assert!(!endpoint.is_behind() && !endpoint.is_awaited());
        assert_eq!(endpoint.attach(FakeConnection::with_room(0)), Err(Rejected));
        assert!(endpoint.is_behind() && endpoint.is_awaited());
        Host::broken(&endpoint);
        assert_eq!(owner.breakdowns.load(Ordering::Relaxed), 1);
        drop(owner);
        assert!(!endpoint.is_wanting() && !endpoint.is_behind() && !endpoint.is_awaited());
        assert_eq!(endpoint.attach(FakeConnection::with_room(0)), Err(Rejected));
        Host::broken(&endpoint);
    }

    #[test]
    fn an_error_lasts_until_the_next_success_or_the_end() {
        let (endpoint, _owner) = endpoint(PAIR);
        let failure = Report::ConnectFailed(Fault::System(Error::AddressInUse));
        for report in [failure, failure, Report::AcceptFailed(Error::Invalid)] {
            endpoint.report(report);
            assert_eq!(errors(&endpoint), 1);
        }
        for report in [Report::Broken, Report::Dropped] {
            endpoint.report(report);
            assert_eq!(errors(&endpoint), 1);
        }
        endpoint.report(Report::Established);
        assert_eq!(errors(&endpoint), 0);
        endpoint.report(failure);
        endpoint.close();
        assert_eq!(errors(&endpoint), 0);
        endpoint.report(failure);
        assert_eq!(errors(&endpoint), 0, "it is closed");
    }

    #[test]
    fn attempts_become_events_and_what_the_socket_sees_itself_does_not() {
        let (endpoint, _owner) = endpoint(PAIR);
        let events = &endpoint.context.events;
        events.descriptor().unwrap();
        let stranger = Some(SocketAddr::from(([192, 0, 2, 9], 4711)));
        endpoint.report(Report::Connecting);
        endpoint.report(Report::Established);
        endpoint.report(Report::ConnectFailed(Fault::NoAddress));
        endpoint.report(Report::AcceptFailed(Error::Invalid));
        endpoint.report(Report::Rejected { peer: stranger });
        let event = |kind, fault, peer: &str| {
            let (peer, certificate) = (peer.into(), Vec::new());
            Ok(SocketEvent { kind, endpoint: 7, pipe: None, fault, peer, certificate, missed: 0 })
        };
        let fault = Some(Fault::System(Error::Invalid));
        let own = "tcp://192.0.2.1:80";
        let nowhere = Some(Fault::NoAddress);
        assert_eq!(events.next(), event(EventKind::ConnectFailed, nowhere, own));
        assert_eq!(events.next(), event(EventKind::AcceptFailed, fault, ""));
        assert_eq!(events.next(), event(EventKind::Rejected, None, "tcp://192.0.2.9:4711"));
        assert_eq!(events.next(), Err(Error::WouldBlock));
    }

    #[test]
    fn traces_call_it_by_its_socket_number_and_address() {
        let (endpoint, _owner) = endpoint(PAIR);
        let stranger = SocketAddr::from(([192, 0, 2, 9], 4711));
        let plain = "socket=3 endpoint=7(tcp://192.0.2.1:80)";
        assert_eq!(Place(&endpoint, None).to_string(), plain);
        endpoint.context.options.set_name(b"my (name)").unwrap();
        let named = "socket=3(my\\x20(name)) endpoint=7(tcp://192.0.2.1:80)";
        let with_peer = format!("{named} peer=tcp://192.0.2.9:4711");
        assert_eq!(Place(&endpoint, Some(stranger)).to_string(), with_peer);
    }

    #[test]
    fn traces_tell_what_it_reports_with_peer_and_cause() {
        let peer = Some(SocketAddr::from(([192, 0, 2, 9], 4711)));
        let fault = Some(Fault::TimedOut);
        let failed = Endpoint::told(Report::HandshakeFailed { peer, fault });
        assert_eq!(failed, (Happening::HandshakeFailed, peer, fault));
        let why = Error::AddressInUse;
        let (event, peer, fault) = Endpoint::told(Report::ConnectFailed(Fault::System(why)));
        assert_eq!((event, peer), (Happening::ConnectFailed, None));
        assert_eq!(Cause(fault).to_string(), "error=AddressInUse");
        assert_eq!(Cause(Some(Fault::Violation)).to_string(), "error=Violation");
        assert_eq!(Cause(None).to_string(), "");
        for (fault, told) in [
            (Fault::NoAddress, "error=NoAddress"),
            (Fault::Denied(404), "error=Denied status=404"),
            (Fault::TooLarge { size: 7, limit: Some(5) }, "error=TooLarge size=7 limit=5"),
            (Fault::TooLarge { size: 7, limit: None }, "error=TooLarge size=7"),
            (
                Fault::WrongType { found: Some(0x50), wanted: 0x20 },
                "error=WrongType found=push wanted=pub",
            ),
            (Fault::WrongType { found: None, wanted: 0x20 }, "error=WrongType found=? wanted=pub"),
        ] {
            assert_eq!(Cause(Some(fault)).to_string(), told);
        }
    }

    #[test]
    fn priorities_are_those_of_its_beginning_and_buffers_those_of_now() {
        let (endpoint, _owner) = endpoint(PAIR);
        set(&endpoint, &SEND_PRIORITY, 3);
        set(&endpoint, &SEND_BUFFER, 1000);
        assert_eq!(endpoint.priorities.send.0, 8);
        let settings = endpoint.settings();
        assert_eq!((settings.send_buffer, settings.send_budget), (1000, 1000));
    }

    #[test]
    fn who_drops_what_finds_no_room_has_twice_the_budget() {
        let (endpoint, _owner) = endpoint(PUB);
        set(&endpoint, &SEND_BUFFER, i32::MAX);
        let settings = endpoint.settings();
        assert_eq!(settings.send_budget, settings.send_buffer * 2);
        assert_eq!((endpoint.own_type().name, endpoint.peer_type().name), ("pub", "sub"));
        assert_eq!(endpoint.if_nameless(), IfNameless::Refuse);
    }
}
