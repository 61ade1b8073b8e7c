//! An endpoint's socket as a transport sees it: it takes connections in while it wants some, and
//! notes what it hears. Whoever waits for something is woken by it; time only bounds a hang.

use std::fmt::Debug;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::error::{Error, Refusal};
use crate::io::{Handler, LazyReactor, Reactor};
use crate::message::{Body, Message};
use crate::protocols::SOCKET_TYPES;
use crate::sys::Event;
use crate::transports::{
    Adopter, AfterRecv, AfterSend, Connection, Dialect, Guard, Host, IfNameless, Maker, Parting,
    ROWS, Rejected, Report, Row, Settings, Stream, Transport, TypeTag, Values, WhenFull,
};

/// Something that other threads change and a test waits for.
#[derive(Debug, Default)]
pub struct Watched<T> {
    state: Mutex<T>,
    changed: Condvar,
}

impl<T> Watched<T> {
    pub fn new(state: T) -> Watched<T> {
        Watched { state: Mutex::new(state), changed: Condvar::new() }
    }

    pub fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        result
    }

    /// Waits until `find` finds something.
    pub fn await_some<R>(&self, what: &str, find: impl FnMut(&mut T) -> Option<R>) -> R {
        self.find(find).unwrap_or_else(|_| panic!("nothing came of waiting for {what}"))
    }

    /// Waits until the state is such.
    pub fn wait_until(&self, what: &str, mut is_so: impl FnMut(&T) -> bool)
    where
        T: Debug,
    {
        if let Err(state) = self.find(|state| is_so(state).then_some(())) {
            panic!("nothing came of waiting for {what}: {:?}", *state);
        }
    }

    fn find<R>(&self, mut find: impl FnMut(&mut T) -> Option<R>) -> Result<R, MutexGuard<'_, T>> {
        let deadline = Instant::now() + HANG;
        let mut state = self.lock();
        loop {
            if let Some(found) = find(&mut state) {
                return Ok(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(state);
            }
            let wait = self.changed.wait_timeout(state, left);
            state = wait.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, T> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a socket is, before it is one.
#[derive(Clone, Copy)]
pub struct Traits {
    pub own_type: TypeTag,
    pub peer_type: TypeTag,
    pub settings: Settings,
    pub size_max: Option<u64>,
    /// How many connections it wants at the same time.
    pub wants: usize,
}

/// A socket with one endpoint at most. It is closed with the test.
pub struct FakeSocket {
    pub host: Arc<FakeHost>,
}

pub struct FakeHost {
    me: Weak<FakeHost>,
    traits: Traits,
    reactor: LazyReactor,
    maker: OnceLock<Arc<dyn Maker>>,
    members: Watched<Members>,
    reports: Watched<Vec<Report>>,
    breakdowns: Watched<usize>,
    /// How often somebody asked whether a connection is wanted.
    questions: Watched<usize>,
    is_behind: Watched<bool>,
    is_awaited: Watched<bool>,
    guard: Watched<Guard>,
}

struct Members {
    wants: usize,
    live: usize,
    /// Everyone that was ever taken in.
    pipes: Vec<Arc<Pipe>>,
    /// Done once, when somebody has asked whether a connection is wanted and before he knows.
    when_asked: Option<Box<dyn FnOnce() + Send>>,
    /// Done once, when a connection is taken in and before it knows whom to tell.
    when_taken_in: Option<Box<dyn FnOnce() + Send>>,
}

/// A connection that the socket has taken in.
pub struct Pipe {
    pub connection: Arc<dyn Connection>,
    pub news: Arc<Watched<News>>,
}

/// How often a connection has told what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct News {
    pub readable: usize,
    pub writable: usize,
    pub withdrawn: usize,
    pub ended: usize,
    pub displaced: usize,
    /// What the connection is told when it asks.
    pub is_awaited: bool,
}

struct Listening {
    host: Weak<FakeHost>,
    connection: Weak<dyn Connection>,
    news: Arc<Watched<News>>,
}

impl Traits {
    pub fn new(own_type: TypeTag, peer_type: TypeTag) -> Traits {
        let settings = Settings {
            send_buffer: 128 * 1024,
            send_budget: 128 * 1024,
            recv_buffer: 128 * 1024,
            send_messages: 0,
            recv_messages: 0,
            when_full: WhenFull::Refuse,
            send_buffer_grown: None,
            recv_buffer_grown: None,
            reconnect_interval: Duration::from_millis(5),
            reconnect_interval_max: Duration::ZERO,
            ipv4_only: true,
            values: Values::default(),
        };
        Traits { own_type, peer_type, settings, size_max: None, wants: usize::MAX }
    }

    /// Of a socket whose peers are of its own type.
    pub fn pair() -> Traits {
        Traits::new(PAIR, PAIR)
    }

    #[must_use]
    pub fn wanting(self, wants: usize) -> Traits {
        Traits { wants, ..self }
    }

    /// With these values of transports' options, and no others.
    #[must_use]
    pub fn with(mut self, values: &[(&Row, i32)]) -> Traits {
        let value = |row: &Row| {
            let own = values.iter().find(|(other, _)| *other == row);
            own.map_or(row.default, |(_, value)| *value)
        };
        self.settings.values = Values::gather(ROWS.into_iter().map(value));
        self
    }

    #[must_use]
    pub fn taking(self, size_max: u64) -> Traits {
        Traits { size_max: Some(size_max), ..self }
    }
}

impl FakeSocket {
    pub fn new(traits: Traits) -> FakeSocket {
        let members = Members {
            wants: traits.wants,
            live: 0,
            pipes: Vec::new(),
            when_asked: None,
            when_taken_in: None,
        };
        let host = Arc::new_cyclic(|me| FakeHost {
            me: me.clone(),
            traits,
            reactor: LazyReactor::default(),
            maker: OnceLock::new(),
            members: Watched::new(members),
            reports: Watched::default(),
            breakdowns: Watched::default(),
            questions: Watched::default(),
            is_behind: Watched::default(),
            is_awaited: Watched::default(),
            guard: Watched::default(),
        });
        FakeSocket { host }
    }

    pub fn host(&self) -> Arc<dyn Host> {
        Arc::clone(&self.host) as Arc<dyn Host>
    }

    pub fn reactor(&self) -> Arc<Reactor> {
        self.host.reactor().unwrap()
    }

    /// Listens, and says where.
    pub fn bind(&self, transport: &dyn Transport, address: &[u8]) -> Result<Vec<u8>, Error> {
        let maker = transport.bind(address, Dialect::Extended, self.host())?;
        let address = maker.address().unwrap_or(address).to_vec();
        self.start(maker);
        Ok(address)
    }

    pub fn connect(&self, transport: &dyn Transport, address: &[u8]) {
        self.start(transport.connect(address, Dialect::Extended, self.host()).unwrap());
    }

    /// `maker` is its endpoint from now on.
    pub fn start(&self, maker: Arc<dyn Maker>) {
        assert!(self.host.maker.set(Arc::clone(&maker)).is_ok(), "it has one endpoint");
        maker.start();
    }

    /// Closes the endpoint and what it has made, as a shutdown does.
    pub fn close(&self) {
        if let Some(maker) = self.host.maker.get() {
            maker.close();
        }
        self.host.close_connections(Instant::now() + HANG);
    }

    /// Waits until every attempt to connect has come to some end.
    pub fn await_ends_of_attempts(&self) {
        let weight = |report: &Report| match report {
            Report::Connecting => 1,
            Report::Established | Report::ConnectFailed(_) | Report::ConnectAbandoned => -1,
            Report::Accepted
            | Report::AcceptFailed(_)
            | Report::Broken
            | Report::Dropped
            | Report::HandshakeFailed { .. }
            | Report::Rejected { .. }
            | Report::TurnedAway { .. } => 0,
        };
        self.await_such_reports(|reports| reports.iter().map(weight).sum::<i32>() == 0);
    }

    /// How many connections it wants from now on, of which the endpoint is told.
    pub fn want(&self, wants: usize) {
        self.host.want(wants);
        self.host.maker.get().unwrap().retry();
    }

    /// Who is let in by listeners that are made from now on.
    pub fn let_in(&self, guard: Guard) {
        self.host.guard.change(|own| *own = guard);
    }

    /// Somebody waits for messages from now on.
    pub fn begin_waiting(&self) {
        self.host.is_awaited.change(|is_awaited| *is_awaited = true);
    }

    /// Is behind with what others have left from now on; a test says when it is no longer.
    pub fn fall_behind(&self) {
        self.host.is_behind.change(|is_behind| *is_behind = true);
    }

    /// Is so no longer, of which the endpoint is told.
    pub fn catch_up(&self) {
        self.host.is_behind.change(|is_behind| *is_behind = false);
        self.host.maker.get().unwrap().retry();
    }

    /// Has something done when somebody has asked whether a connection is wanted, and before he
    /// knows.
    pub fn when_asked(&self, when_asked: impl FnOnce() + Send + 'static) {
        self.host.members.change(|members| members.when_asked = Some(Box::new(when_asked)));
    }

    /// Has something done when the next connection is taken in, before that knows whom to tell.
    pub fn when_taken_in(&self, call: impl FnOnce() + Send + 'static) {
        self.host.members.change(|members| members.when_taken_in = Some(Box::new(call)));
    }

    /// The connection that was taken in as the `number`th.
    pub fn pipe(&self, number: usize) -> Arc<Pipe> {
        let members = &self.host.members;
        members.await_some("a connection", |members| members.pipes.get(number).cloned())
    }

    pub fn pipes(&self) -> usize {
        self.host.members.change(|members| members.pipes.len())
    }

    pub fn reports(&self) -> Vec<Report> {
        self.host.reports.change(|reports| reports.clone())
    }

    pub fn count(&self, wanted: Report) -> usize {
        self.reports().iter().filter(|report| **report == wanted).count()
    }

    /// Waits until such a report has come.
    pub fn await_report(&self, is_it: impl Fn(&Report) -> bool) {
        self.await_such_reports(|reports| reports.iter().any(&is_it));
    }

    /// Waits until the report has come so often.
    pub fn await_reports(&self, count: usize, wanted: Report) {
        self.await_such_reports(|all| all.iter().filter(|it| **it == wanted).count() >= count);
    }

    /// Waits until all reports together are such.
    pub fn await_such_reports(&self, are_so: impl Fn(&[Report]) -> bool) {
        self.host.reports.wait_until("reports", |reports| are_so(reports));
    }

    /// Waits until somebody has asked so often whether a connection is wanted.
    /// How often somebody has asked whether a connection is wanted.
    pub fn questions(&self) -> usize {
        self.host.questions.change(|count| *count)
    }

    pub fn await_questions(&self, count: usize) {
        self.host.questions.wait_until("a question", |questions| *questions >= count);
    }

    pub fn await_breakdown(&self) {
        self.host.breakdowns.wait_until("a breakdown", |breakdowns| *breakdowns > 0);
    }

    /// Returns when the reactor is through with everything that it knew of.
    pub fn settle(&self) {
        let (reactor, told) = (self.reactor(), Arc::new(Watched::new(false)));
        let errand = Arc::new(Errand(Arc::clone(&told)));
        let key = reactor.add(|_| errand as Arc<dyn Handler>).unwrap();
        // Two rounds: the events of the first one may have been collected before.
        for _ in 0..2 {
            told.change(|is_told| *is_told = false);
            reactor.set_timer(key, Some(Instant::now()));
            told.wait_until("the reactor", |is_told| *is_told);
        }
        reactor.forget(key);
    }
}

impl Drop for FakeSocket {
    fn drop(&mut self) {
        if let Some(maker) = self.host.maker.get() {
            maker.close();
        }
        self.host.want(0);
        self.host.reactor.stop();
        let pipes = self.host.members.change(|members| std::mem::take(&mut members.pipes));
        pipes.iter().for_each(|pipe| pipe.connection.close(Instant::now()));
    }
}

/// Tells that it was its turn.
struct Errand(Arc<Watched<bool>>);

impl Handler for Errand {
    fn ready(&self, _event: Event) {}

    fn timeout(&self, _now: Instant) {
        self.0.change(|is_told| *is_told = true);
    }

    fn broken(&self) {}
}

impl FakeHost {
    /// How many connections are wanted from now on; nobody is told.
    pub fn want(&self, wants: usize) {
        self.members.change(|members| members.wants = wants);
    }

    /// Closes whatever was taken in.
    pub fn close_connections(&self, deadline: Instant) {
        let pipes = self.members.change(|members| members.pipes.clone());
        pipes.iter().for_each(|pipe| pipe.connection.close(deadline));
    }
}

impl Host for FakeHost {
    fn reactor(&self) -> io::Result<Arc<Reactor>> {
        self.reactor.get().map(Arc::clone)
    }

    fn settings(&self) -> Settings {
        self.traits.settings
    }

    fn guard(&self) -> Guard {
        self.guard.change(|guard| guard.clone())
    }

    fn size_max(&self) -> Option<u64> {
        self.traits.size_max
    }

    fn own_type(&self) -> TypeTag {
        self.traits.own_type
    }

    fn peer_type(&self) -> TypeTag {
        self.traits.peer_type
    }

    fn if_nameless(&self) -> IfNameless {
        IfNameless::Refuse
    }

    fn type_number(&self, name: &str) -> Option<u16> {
        SOCKET_TYPES.iter().find(|known| known.name == name).map(|known| known.number)
    }

    fn fitting_number(&self, name: &str) -> Option<u16> {
        SOCKET_TYPES.iter().find(|known| known.name == name).map(|known| known.peer.number)
    }

    fn attach(&self, connection: Arc<dyn Connection>) -> Result<(), Rejected> {
        let (pipe, call) = self.members.change(|members| {
            if members.live >= members.wants {
                return Err(Rejected);
            }
            members.live += 1;
            let pipe = Arc::new(Pipe { connection, news: Arc::default() });
            members.pipes.push(Arc::clone(&pipe));
            Ok((pipe, members.when_taken_in.take()))
        })?;
        call.into_iter().for_each(|call| call());
        pipe.connection.adopt(Box::new(Listening {
            host: self.me.clone(),
            connection: Arc::downgrade(&pipe.connection),
            news: Arc::clone(&pipe.news),
        }));
        Ok(())
    }

    fn is_wanting(&self) -> bool {
        self.questions.change(|questions| *questions += 1);
        let (is_wanting, when_asked) = self
            .members
            .change(|members| (members.live < members.wants, members.when_asked.take()));
        when_asked.into_iter().for_each(|call| call());
        is_wanting
    }

    fn is_behind(&self) -> bool {
        self.is_behind.change(|is_behind| *is_behind)
    }

    fn is_awaited(&self) -> bool {
        self.is_awaited.change(|is_awaited| *is_awaited)
    }

    fn report(&self, event: Report) {
        self.reports.change(|reports| reports.push(event));
    }

    fn broken(&self) {
        self.breakdowns.change(|breakdowns| *breakdowns += 1);
    }
}

impl Adopter for Listening {
    fn readable(&self) {
        self.news.change(|news| news.readable += 1);
    }

    fn writable(&self) {
        self.news.change(|news| news.writable += 1);
    }

    fn withdrawn(&self) {
        if let Some(host) = self.host.upgrade() {
            host.members.change(|members| members.live -= 1);
        }
        self.news.change(|news| news.withdrawn += 1);
    }

    fn displaced(&self, count: usize) {
        self.news.change(|news| news.displaced += count);
    }

    fn is_awaited(&self) -> bool {
        self.news.change(|news| news.is_awaited)
    }

    /// The endpoint hears of it at once: nobody waits for what has arrived to be received.
    fn ended(&self) {
        let Some(host) = self.host.upgrade() else { return };
        host.members.change(|members| members.live -= 1);
        self.news.change(|news| news.ended += 1);
        let connection = self.connection.upgrade();
        let stream = connection.as_ref().and_then(|connection| connection.stream());
        let parting = stream.map_or(Parting::Passing, |stream| stream.parting());
        if let Some(maker) = host.maker.get() {
            maker.connection_lost(parting);
        }
    }
}

impl Pipe {
    pub fn try_send(&self, body: &[u8]) -> Result<(), Refusal> {
        let mut message = Message::from_body(Body::copy_from(body).unwrap());
        let sent = self.connection.send(&mut message)?;
        match sent.then {
            AfterSend::Nothing => {}
            AfterSend::Displaced => {
                self.news.change(|news| news.displaced += self.connection.take_displaced());
            }
            AfterSend::Deliver | AfterSend::DeliverAhead | AfterSend::DeliverAll => {
                self.connection.deliver();
            }
            AfterSend::DeliverLent => self.connection.deliver_lent().unwrap(),
            AfterSend::WriteLater => self.stream().write_later(),
        }
        Ok(())
    }

    /// Sends, and waits for room while there is none.
    pub fn send(&self, body: &[u8]) {
        loop {
            let before = self.news.change(|news| news.writable);
            match self.try_send(body) {
                Ok(()) => return,
                Err(why) => assert_eq!(why, Refusal::Busy),
            }
            if !self.connection.can_send() {
                self.news.wait_until("room", |news| news.writable != before);
            }
        }
    }

    pub fn try_recv(&self) -> Option<Vec<u8>> {
        let mut message = Message::default();
        let received = self.connection.recv(&mut message);
        if received.then == AfterRecv::Resume {
            self.connection.resume();
        }
        received.has_message.then(|| message.body.as_slice().to_vec())
    }

    /// Waits for a message; none comes behind the end.
    pub fn recv(&self) -> Option<Vec<u8>> {
        loop {
            let before = self.news.change(|news| *news);
            let received = self.try_recv();
            if received.is_some() || before.ended > 0 {
                return received;
            }
            let is_new = |news: &News| news.readable != before.readable || news.ended > 0;
            self.news.wait_until("a message", is_new);
        }
    }

    pub fn await_end(&self) {
        self.news.wait_until("the end", |news| news.ended > 0);
    }

    pub fn stream(&self) -> &dyn Stream {
        self.connection.stream().expect("it has one")
    }
}

pub const PAIR: TypeTag = TypeTag { number: 0x10, name: "pair" };
/// A test that waits so long has come to nothing.
const HANG: Duration = Duration::from_secs(60);
