//! What every transport over streams has to show, whatever it calls its addresses and however it
//! greets: the tests of each transport are a list of these.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::ipc::IPC;
use super::tcp::Tcp;
use super::ws::Ws;
use super::{Fault, Report, Transport, TypeTag};
use crate::error::Error;
use crate::sys::{Address, OsListener};
use crate::testing::{FakeSocket, Pipe, Traits};

/// Whom the tests are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    Tcp,
    IpcFile,
    IpcName,
    Ws,
}

/// An address that is this test's alone.
struct Place {
    address: Vec<u8>,
    /// Bound, so that nobody else gets the port; whoever listens there may bind it, too.
    _reserved: Option<OsListener>,
    file: Option<PathBuf>,
}

/// Somebody who speaks no language of ours.
trait Stranger: Read + Write {
    fn end(&self);
}

/// Where a stranger listens.
enum Strangers {
    Internet(TcpListener),
    Local(UnixListener),
}

impl Subject {
    fn transport(self) -> &'static dyn Transport {
        match self {
            Subject::Tcp => &Tcp,
            Subject::IpcFile | Subject::IpcName => &IPC,
            Subject::Ws => &Ws,
        }
    }

    fn place(self) -> Place {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("spmsg suite {} {number}", std::process::id());
        let (mut reserved, mut file) = (None, None);
        let address = match self {
            Subject::Tcp | Subject::Ws => {
                let any = Address::Internet(SocketAddr::from(([127, 0, 0, 1], 0)));
                let port = reserved.insert(OsListener::new(&any).unwrap());
                port.bind(&any).unwrap();
                port.own_address().unwrap().to_string()
            }
            Subject::IpcFile => {
                let path = file.insert(std::env::temp_dir().join(name));
                path.to_str().unwrap().to_owned()
            }
            Subject::IpcName => format!("@{name}"),
        };
        Place { address: address.into_bytes(), _reserved: reserved, file }
    }

    /// Whether a greeting that comes to nothing is counted.
    fn counts_failed_greetings(self) -> bool {
        self != Subject::Ws
    }

    fn dial(self, place: &Place) -> Box<dyn Stranger> {
        let address = place.text();
        match self {
            Subject::Tcp | Subject::Ws => calm_tcp(TcpStream::connect(address).unwrap()),
            Subject::IpcFile => calm_local(UnixStream::connect(address).unwrap()),
            Subject::IpcName => calm_local(UnixStream::connect_addr(&place.name()).unwrap()),
        }
    }

    fn listen(self, place: &Place) -> Strangers {
        match self {
            Subject::Tcp | Subject::Ws => {
                Strangers::Internet(TcpListener::bind(place.text()).unwrap())
            }
            Subject::IpcFile => Strangers::Local(UnixListener::bind(place.text()).unwrap()),
            Subject::IpcName => Strangers::Local(UnixListener::bind_addr(&place.name()).unwrap()),
        }
    }
}

impl Place {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.address).unwrap()
    }

    /// What is behind the `@`.
    fn name(&self) -> std::os::unix::net::SocketAddr {
        std::os::unix::net::SocketAddr::from_abstract_name(&self.address[1..]).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // It is gone already unless a test has failed, or a stranger has made it.
        self.file.iter().for_each(|file| drop(std::fs::remove_file(file)));
    }
}

impl Strangers {
    fn accept(&self) -> Box<dyn Stranger> {
        match self {
            Strangers::Internet(listener) => calm_tcp(listener.accept().unwrap().0),
            Strangers::Local(listener) => calm_local(listener.accept().unwrap().0),
        }
    }
}

impl Stranger for TcpStream {
    fn end(&self) {
        self.shutdown(Shutdown::Write).unwrap();
    }
}

impl Stranger for UnixStream {
    fn end(&self) {
        self.shutdown(Shutdown::Write).unwrap();
    }
}

fn calm_tcp(stream: TcpStream) -> Box<dyn Stranger> {
    stream.set_read_timeout(Some(HANG)).unwrap();
    Box::new(stream)
}

fn calm_local(stream: UnixStream) -> Box<dyn Stranger> {
    stream.set_read_timeout(Some(HANG)).unwrap();
    Box::new(stream)
}

/// What a stranger is told up to the end.
fn read_to_end(stranger: &mut dyn Stranger) -> Vec<u8> {
    let mut told = Vec::new();
    if let Err(error) = stranger.read_to_end(&mut told) {
        // Who leaves does not always read what he was told.
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
    told
}

fn listening(subject: Subject, traits: Traits) -> (FakeSocket, Place) {
    let (socket, place) = (FakeSocket::new(traits), subject.place());
    assert_eq!(socket.bind(subject.transport(), &place.address).unwrap(), place.address);
    (socket, place)
}

fn dialing(subject: Subject, traits: Traits, place: &Place) -> FakeSocket {
    let socket = FakeSocket::new(traits);
    socket.connect(subject.transport(), &place.address);
    socket
}

/// One says it, the other hears it, in both directions.
fn exchange(one: &Pipe, other: &Pipe) {
    for (from, to, body) in [(one, other, &b"there"[..]), (other, one, b"and back")] {
        from.send(body);
        assert_eq!(to.recv().as_deref(), Some(body));
    }
}

fn failures(socket: &FakeSocket) -> Vec<Option<Fault>> {
    let of_greeting = |report: &Report| match report {
        Report::HandshakeFailed { fault, .. } => Some(*fault),
        _ => None,
    };
    socket.reports().iter().filter_map(of_greeting).collect()
}

fn await_failure(socket: &FakeSocket, fault: Option<Fault>) {
    socket.await_report(
        |report| matches!(report, Report::HandshakeFailed { fault: other, .. } if *other == fault),
    );
}

pub fn exchanges_messages_of_all_sizes_both_ways(subject: Subject) {
    let (listener, place) = listening(subject, Traits::pair());
    let dialer = dialing(subject, Traits::pair(), &place);
    let (accepted, connected) = (listener.pipe(0), dialer.pipe(0));
    for size in [0, 1, 64 * 1024, 1024 * 1024] {
        let body: Vec<u8> = (0..size).map(|at: usize| (at ^ (at >> 8)) as u8).collect();
        for (from, to) in [(&accepted, &connected), (&connected, &accepted)] {
            from.send(&body);
            // Not assert_eq: nobody wants to read a megabyte.
            assert!(to.recv().as_deref() == Some(&body[..]), "{size} bytes");
        }
    }
    assert_eq!(listener.reports(), [Report::Accepted]);
    assert_eq!(dialer.reports(), [Report::Connecting, Report::Established]);
}

pub fn a_busy_address_is_refused_and_stays_whose_it_is(subject: Subject) {
    let (listener, place) = listening(subject, Traits::pair());
    let late = FakeSocket::new(Traits::pair());
    let refused = late.bind(subject.transport(), &place.address);
    assert_eq!(refused, Err(Error::AddressInUse));
    let dialer = dialing(subject, Traits::pair(), &place);
    dialer.pipe(0).send(b"for the first");
    assert_eq!(listener.pipe(0).recv().as_deref(), Some(&b"for the first"[..]));
    assert_eq!(late.pipes(), 0);
}

pub fn an_address_is_free_right_after_the_close(subject: Subject) {
    let (mut listener, place) = listening(subject, Traits::pair());
    let dialer = dialing(subject, Traits::pair(), &place);
    for turn in 0..4 {
        exchange(&listener.pipe(0), &dialer.pipe(turn));
        listener.close();
        listener = FakeSocket::new(Traits::pair());
        assert_eq!(listener.bind(subject.transport(), &place.address).as_ref(), Ok(&place.address));
    }
}

pub fn a_dialer_that_comes_first_waits_for_a_listener(subject: Subject) {
    let place = subject.place();
    let dialer = dialing(subject, Traits::pair(), &place);
    dialer.await_report(|report| matches!(report, Report::ConnectFailed(Fault::System(_))));
    let listener = FakeSocket::new(Traits::pair());
    listener.bind(subject.transport(), &place.address).unwrap();
    exchange(&listener.pipe(0), &dialer.pipe(0));
    assert_eq!(dialer.count(Report::Established), 1);
}

pub fn a_lost_peer_is_connected_to_again(subject: Subject) {
    let (listener, place) = listening(subject, Traits::pair());
    let dialer = dialing(subject, Traits::pair(), &place);
    for turn in 0..3 {
        exchange(&listener.pipe(turn), &dialer.pipe(turn));
        listener.pipe(turn).connection.close(Instant::now() + HANG);
        dialer.pipe(turn).await_end();
    }
    exchange(&listener.pipe(3), &dialer.pipe(3));
    let (ours, theirs) = (listener.reports(), dialer.reports());
    assert_eq!(ours[1..3], [Report::Dropped, Report::Accepted]);
    let one_turn = [Report::Connecting, Report::Established, Report::Broken];
    assert_eq!(theirs[..6], [one_turn, one_turn].concat());
}

/// Each side counts what happens to it, and tells why it came to nothing.
pub fn a_peer_of_the_wrong_type_is_refused_on_both_sides(subject: Subject) {
    let (listener, place) = listening(subject, Traits::new(REP, REQ));
    let dialer = dialing(subject, Traits::new(PUSH, PULL), &place);
    // It tries again, in vain.
    dialer.await_reports(3, Report::Connecting);
    let broken = subject.counts_failed_greetings().then_some(Report::Broken);
    let first = [&[Report::Connecting, Report::Established], broken.as_slice()].concat();
    let reports = dialer.reports();
    assert_eq!(reports[..first.len()], first);
    assert!(matches!(reports[first.len()], Report::HandshakeFailed { .. }), "{reports:?}");
    let fault = |found: TypeTag, wanted: TypeTag| {
        Some(Fault::WrongType { found: Some(found.number), wanted: wanted.number })
    };
    assert_eq!(failures(&dialer)[..2], [fault(REP, PULL); 2]);
    dialer.close();
    listener.await_such_reports(|reports| {
        let count = |wanted| reports.iter().filter(|report| **report == wanted).count();
        let broken = if subject.counts_failed_greetings() { count(Report::Accepted) } else { 0 };
        let failed = |report: &&Report| matches!(report, Report::HandshakeFailed { .. });
        count(Report::Accepted) == reports.iter().filter(failed).count()
            && count(Report::Broken) == broken
    });
    // The last one may have been given up by the dialer when it was closed.
    assert_eq!(failures(&listener)[..2], [fault(PUSH, REQ); 2]);
    assert_eq!((listener.pipes(), dialer.pipes()), (0, 0));
}

pub fn who_is_not_wanted_now_is_taken_in_later_and_knows_nothing_before(subject: Subject) {
    let (listener, place) = listening(subject, Traits::pair().wanting(0));
    let dialer = dialing(subject, Traits::pair(), &place);
    match subject {
        Subject::Ws => {
            // Asked when the stream was there, and when the request was complete: it is held.
            listener.await_questions(2);
            listener.settle();
            assert_eq!(listener.reports(), [Report::Accepted]);
        }
        Subject::Tcp | Subject::IpcFile | Subject::IpcName => {
            listener.await_report(|report| matches!(report, Report::Rejected { .. }));
            // It comes back.
            dialer.await_reports(2, Report::Connecting);
        }
    }
    assert_eq!((listener.pipes(), dialer.pipes()), (0, 0));
    listener.want(1);
    exchange(&listener.pipe(0), &dialer.pipe(0));
    assert_eq!((listener.pipes(), dialer.pipes()), (1, 1));
    if subject == Subject::Ws {
        assert_eq!(dialer.reports(), [Report::Connecting, Report::Established]);
    }
}

pub fn a_dialer_whose_socket_wants_nobody_waits_with_its_attempt(subject: Subject) {
    let (listener, place) = listening(subject, Traits::pair());
    let dialer = dialing(subject, Traits::pair().wanting(0), &place);
    dialer.await_questions(2);
    assert_eq!((dialer.reports(), listener.reports()), (vec![], vec![]));
    dialer.want(1);
    exchange(&listener.pipe(0), &dialer.pipe(0));
}

/// Both ways: whoever listens does not wait for ever, nor does who dials.
pub fn a_silent_peer_is_dropped_at_the_limit(subject: Subject) {
    let (listener, place) = listening(subject, Traits::pair());
    let mut silent = subject.dial(&place);
    let there = subject.place();
    let strangers = subject.listen(&there);
    let dialer = dialing(subject, Traits::pair(), &there);
    let mut deaf = strangers.accept();
    for (socket, stranger) in [(&listener, &mut silent), (&dialer, &mut deaf)] {
        await_failure(socket, Some(Fault::TimedOut));
        read_to_end(&mut **stranger);
        assert_eq!((socket.pipes(), failures(socket)[0]), (0, Some(Fault::TimedOut)));
        socket.await_reports(1, Report::Broken);
    }
}

pub fn garbage_is_refused_and_hurts_nobody_else(subject: Subject) {
    let (listener, place) = listening(subject, Traits::pair());
    let dialer = dialing(subject, Traits::pair(), &place);
    let (accepted, connected) = (listener.pipe(0), dialer.pipe(0));
    let mut stranger = subject.dial(&place);
    stranger.write_all(b"\xffgarbage and more of it\r\n\r\n").unwrap();
    // Who reads an answer has to end the stream before it is given up in peace.
    let told = read_to_end(&mut *stranger);
    assert_eq!(told.starts_with(b"HTTP/1.1 400"), subject == Subject::Ws);
    drop(stranger);
    await_failure(&listener, VIOLATION);
    exchange(&accepted, &connected);
    assert_eq!(listener.pipes(), 1);
}

pub fn half_a_greeting_is_none(subject: Subject) {
    let (listener, place) = listening(subject, Traits::pair());
    let mut stranger = subject.dial(&place);
    let half: &[u8] = if subject == Subject::Ws { b"GET / HT" } else { b"\0SP\0\0" };
    stranger.write_all(half).unwrap();
    stranger.end();
    read_to_end(&mut *stranger);
    await_failure(&listener, None);
    assert_eq!(failures(&listener), [None]);
    assert_eq!(listener.count(Report::Broken), subject.counts_failed_greetings().into());
    assert_eq!(listener.pipes(), 0);
}

pub fn a_close_during_the_greeting_drops_it_once(subject: Subject) {
    let (listener, place) = listening(subject, Traits::pair());
    let mut silent = subject.dial(&place);
    listener.await_reports(1, Report::Accepted);
    let there = subject.place();
    let strangers = subject.listen(&there);
    let dialer = dialing(subject, Traits::pair(), &there);
    let mut deaf = strangers.accept();
    dialer.await_reports(1, Report::Established);
    for (socket, stranger) in [(&listener, &mut silent), (&dialer, &mut deaf)] {
        socket.close();
        // Nothing comes after it, not even from the reactor, and closing again changes nothing.
        read_to_end(&mut **stranger);
        socket.settle();
        socket.close();
        assert_eq!(socket.count(Report::Dropped), 1);
        assert!(!socket.reports().contains(&Report::Broken));
        assert_eq!(failures(socket), []);
    }
}

pub fn a_close_between_attempts_reports_nothing(subject: Subject) {
    let place = subject.place();
    let dialer = dialing(subject, Traits::pair(), &place);
    dialer.await_report(|report| matches!(report, Report::ConnectFailed(Fault::System(_))));
    dialer.close();
    dialer.settle();
    let attempts = dialer.count(Report::Connecting);
    let failed = |report: &&Report| matches!(report, Report::ConnectFailed(_));
    let failed = dialer.reports().iter().filter(failed).count();
    // The reactor may have been at it.
    assert_eq!(attempts, failed + dialer.count(Report::ConnectAbandoned));
    // Nobody is connected to a listener that comes too late.
    let listener = FakeSocket::new(Traits::pair());
    listener.bind(subject.transport(), &place.address).unwrap();
    dialer.settle();
    assert_eq!(dialer.count(Report::Connecting), attempts);
}

pub fn a_message_beyond_the_limit_ends_its_own_connection_only(subject: Subject) {
    let (listener, place) = listening(subject, Traits::pair().taking(100));
    let big = dialing(subject, Traits::pair(), &place);
    big.pipe(0).send(&[1; 100]);
    let of_big = listener.pipe(0);
    assert_eq!(of_big.recv().as_deref(), Some(&[1; 100][..]));
    let small = dialing(subject, Traits::pair(), &place);
    let of_small = listener.pipe(1);
    big.pipe(0).send(b"before");
    big.pipe(0).send(&[2; 101]);
    assert_eq!(of_big.recv().as_deref(), Some(&b"before"[..]));
    assert_eq!(of_big.recv(), None);
    of_big.await_end();
    big.pipe(0).await_end();
    let fault = Fault::TooLarge { size: 101, limit: Some(100) };
    assert_eq!(of_big.stream().fault(), Some(fault));
    // Who has sent it learns why where the wire has words for that.
    let complaint = (subject == Subject::Ws).then_some(Fault::TooLargeForPeer);
    assert_eq!(big.pipe(0).stream().fault(), complaint);
    exchange(&of_small, &small.pipe(0));
    // It may come back.
    exchange(&listener.pipe(2), &big.pipe(1));
}

/// Although the peer has sent what nobody has read, which would reset a TCP.
pub fn a_close_delivers_what_the_kernel_has(subject: Subject) {
    let (listener, place) = listening(subject, Traits::pair());
    let dialer = dialing(subject, Traits::pair(), &place);
    let (accepted, connected) = (listener.pipe(0), dialer.pipe(0));
    (0..10).for_each(|_| accepted.send(&[0; 1000]));
    (0..100_u8).for_each(|number| connected.send(&[number; 300]));
    // The reactor may be at it, and be done with it later.
    let began = Instant::now();
    while connected.stream().has_unwritten() {
        assert!(began.elapsed() < HANG);
        connected.stream().write_out();
        std::thread::yield_now();
    }
    dialer.close();
    for number in 0..100 {
        assert_eq!(accepted.recv().as_deref(), Some(&[number; 300][..]));
    }
    assert_eq!(accepted.recv(), None);
    assert_eq!((dialer.count(Report::Dropped), dialer.count(Report::Broken)), (1, 0));
    listener.await_reports(1, Report::Broken);
}

const REQ: TypeTag = TypeTag { number: 0x30, name: "req" };
const REP: TypeTag = TypeTag { number: 0x31, name: "rep" };
const PUSH: TypeTag = TypeTag { number: 0x50, name: "push" };
const PULL: TypeTag = TypeTag { number: 0x51, name: "pull" };
const VIOLATION: Option<Fault> = Some(Fault::Violation);
/// A test that waits so long has come to nothing.
const HANG: Duration = Duration::from_secs(60);
