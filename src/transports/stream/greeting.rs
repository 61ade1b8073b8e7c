//! The first moment of a connection: it lends its stream to a greeter, and makes a connection of
//! it when the greeter is content.
//!
//! A peer has a limited time for that. Nobody is told that he is connected to a socket that would
//! reject him now, such as a PAIR that has its peer: he would report messages as sent that nobody
//! will ever receive.

use std::io::IoSlice;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::attended::attended;
use super::byte_stream::{Awaits, ByteStream};
use super::connection::StreamConnection;
use super::greeter::{Claim, Decline, Greeter, Heard, Welcome};
use super::watch::Standing;
use crate::io::{Handler, Key, Reactor};
use crate::memory::{Attempt, OutOfMemory};
use crate::sync::{
    Mutex, Rank,
    atomic::{AtomicBool, Ordering},
};
use crate::sys::{self, Event, Interest, Read};
use crate::trace;
use crate::transports::{Connection, Fault, Host, Report, Stream};

pub struct Greeting {
    reactor: Arc<Reactor>,
    host: Arc<dyn Host>,
    key: Key,
    state: Mutex<Option<State>>,
    /// When it began, by the clock of milliseconds.
    began_ms: u32,
    /// Whether its phase is [`Phase::Held`], for who has a lock of the same rank.
    is_held: AtomicBool,
}

/// A fresh stream, and who greets on it.
pub struct Beginning {
    pub stream: Arc<dyn ByteStream>,
    pub standing: Standing,
    pub greeter: Box<dyn Greeter>,
}

struct State {
    /// Shared with who reads or writes at this moment, which nobody does under the lock.
    stream: Arc<dyn ByteStream>,
    greeter: Box<dyn Greeter>,
    /// What the kernel has not taken yet of what was said. Nothing is said in front of it.
    unsaid: Vec<u8>,
    /// Whether the kernel is asked to tell when it takes more.
    awaits_room: bool,
    phase: Phase,
    deadline: Instant,
    done: Done,
    /// Why it comes to nothing, once that is known. Until then it can only take too long.
    ending: Option<Ending>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Failed(Option<Fault>),
    Unwanted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The peer has not said everything yet.
    Hearing,
    /// It has, and waits for the socket to want it.
    Held,
    /// It was refused, and has to read the answer before the stream is closed.
    Leaving,
}

/// Called once, on the reactor's thread, unless the greeting is cancelled.
pub type Done = Box<dyn FnOnce(Outcome) + Send>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The connection is a pipe of the socket now.
    Attached,
    Failed,
}

/// What a greeting that is complete leads to.
enum Verdict {
    /// This is to be said in front of the first message.
    Accepted(Vec<u8>),
    Held,
    Failed,
}

impl Greeting {
    /// Greets the peer and waits for its greeting.
    pub fn start(
        start: Beginning,
        host: Arc<dyn Host>,
        reactor: &Arc<Reactor>,
        done: Done,
    ) -> Result<Arc<Greeting>, OutOfMemory> {
        let Beginning { stream, standing, mut greeter } = start;
        let descriptor = stream.descriptor();
        let unsaid = say(&*stream, greeter.open(welcome(&*host)));
        let interest = interest(&*stream, &unsaid);
        let deadline = sys::now() + greeter.limit() + stream.greeting_time();
        let (phase, ending) = (Phase::Hearing, None);
        let awaits_room = interest.writable;
        let state = State { stream, greeter, unsaid, awaits_room, phase, deadline, done, ending };
        let mut greeting = None;
        let key = reactor.add(|key| {
            let fresh = Greeting {
                reactor: Arc::clone(reactor),
                host,
                key,
                state: Mutex::new(Rank::Endpoint, Some(state)),
                began_ms: sys::now_ms(),
                is_held: AtomicBool::new(false),
            };
            Arc::clone(greeting.insert(Arc::new(fresh))) as _
        });
        let (Ok(key), Some(greeting)) = (key, greeting) else {
            if standing == Standing::Watched {
                reactor.unwatch(descriptor);
            }
            return Err(OutOfMemory);
        };
        reactor.set_timer(key, Some(deadline));
        if standing.watch(reactor, key, descriptor, interest).is_err() {
            // No memory in the kernel for it: the timer ends it at once.
            reactor.set_timer(key, Some(sys::now()));
        }
        Ok(greeting)
    }

    /// Gives it up without a word to anybody. True when it was still going on.
    pub fn cancel(&self) -> bool {
        let state = self.take();
        state.iter().for_each(|state| state.stream.discard_input());
        state.is_some()
    }

    /// Ends it before its time is over: somebody else has its place. Only the reactor's thread does
    /// that.
    pub fn give_up(&self) {
        self.fail();
    }

    /// The socket may want the connection now.
    pub fn retry(&self) {
        let is_held = self.state.lock().as_ref().is_some_and(|state| state.phase == Phase::Held);
        if is_held {
            // The rest happens on the reactor's thread.
            self.set_timer(sys::now());
        }
    }

    /// How long it has taken so far, to the millisecond.
    pub fn age(&self) -> Duration {
        Duration::from_millis(sys::now_ms().wrapping_sub(self.began_ms).into())
    }

    /// Whether the peer has said everything, and waits for the socket to want it.
    pub fn is_held(&self) -> bool {
        self.is_held.load(Ordering::Relaxed)
    }

    /// Takes the state out; from then on nothing more happens.
    fn take(&self) -> Option<State> {
        let state = self.take_watched()?;
        self.reactor.unwatch(state.stream.descriptor());
        Some(state)
    }

    /// The same for who goes on with the stream at once, on the reactor's thread, which is not told
    /// of it meanwhile.
    fn take_watched(&self) -> Option<State> {
        let state = self.state.lock().take()?;
        self.reactor.forget(self.key);
        Some(state)
    }

    fn set_timer(&self, when: Instant) {
        self.reactor.set_timer(self.key, Some(when));
    }

    fn read(&self) -> Heard {
        let (stream, is_leaving, wanted) = {
            let mut state = self.state.lock();
            let Some(state) = state.as_mut() else { return Heard::More };
            let is_leaving = state.phase == Phase::Leaving;
            let wanted = if is_leaving { READ_MAX } else { state.greeter.wanted().min(READ_MAX) };
            if wanted == 0 {
                // Who waits, and says more than he may meanwhile, is not waited with.
                state.ending.get_or_insert(Ending::Failed(None));
                return Heard::Refused(Vec::new());
            }
            (Arc::clone(&state.stream), is_leaving, wanted)
        };
        let mut buffer = [0; READ_MAX];
        let read = stream.read(None, &mut buffer[..wanted]);
        let mut state = self.state.lock();
        // Another thread may have given it up meanwhile.
        let Some(State { greeter, ending, .. }) = state.as_mut() else { return Heard::More };
        match read {
            Read::Nothing => Heard::More,
            Read::End => {
                ending.get_or_insert(Ending::Failed(stream.fault()));
                Heard::Refused(Vec::new())
            }
            Read::Bytes(_) if is_leaving => Heard::More,
            Read::Bytes(count) => {
                let heard = greeter.absorb(&buffer[..count]);
                if matches!(heard, Heard::Refused(_)) {
                    let fault = fault(&greeter.claim(), &*self.host);
                    ending.get_or_insert(Ending::Failed(Some(fault)));
                }
                heard
            }
        }
    }

    /// Reads on while there are bytes of which the kernel tells nobody.
    fn read_held(&self) -> Heard {
        loop {
            let heard = self.read();
            let stream = self.state.lock().as_ref().map(|state| Arc::clone(&state.stream));
            if heard != Heard::More || !stream.is_some_and(|stream| stream.holds()) {
                return heard;
            }
        }
    }

    /// What to do with a peer that has said everything.
    fn judge(&self) -> Verdict {
        let welcome = welcome(&*self.host);
        let mut state = self.state.lock();
        let Some(state) = state.as_mut() else { return Verdict::Held };
        let greeter = &mut state.greeter;
        if welcome == Welcome::Wanted || greeter.is_committed() {
            return Verdict::Accepted(greeter.accept());
        }
        match greeter.decline() {
            Decline::AtLimit(_) => {
                state.phase = Phase::Held;
                self.is_held.store(true, Ordering::Relaxed);
                Verdict::Held
            }
            Decline::AtOnce => {
                state.ending = Some(Ending::Unwanted);
                Verdict::Failed
            }
        }
    }

    fn complete(&self) {
        match self.judge() {
            Verdict::Accepted(words) => self.attach(words),
            Verdict::Failed => self.fail(),
            // Since we asked it may have changed its mind, and told us before we were ready.
            Verdict::Held if self.host.is_wanting() => self.set_timer(sys::now()),
            Verdict::Held => {
                let state = self.state.lock();
                let peer = state.as_ref().and_then(|state| state.stream.peer_address());
                self.host.trace(trace::Happening::Held, peer, format_args!(""));
            }
        }
    }

    /// Who hears that he is accepted is a pipe of the socket by then.
    fn attach(&self, words: Vec<u8>) {
        let attempt = Attempt::begin();
        let Some(state) = self.take_watched() else { return };
        let State { stream, mut greeter, unsaid, done, .. } = state;
        let connection = StreamConnection::new(
            attended(stream, greeter.wishes()),
            greeter.codec(),
            Arc::clone(&self.host),
            Arc::clone(&self.reactor),
            &self.host.settings(),
        );
        let words = [&unsaid[..], &words[..]].concat();
        let beginning = connection.begin(words, greeter.take_rest());
        // Watching starts first: a socket that adopts the connection may rely on it.
        let is_wanted = connection.start(Standing::Watched).is_ok()
            && attempt.and_then(Attempt::check).is_ok()
            && self.host.attach(Arc::clone(&connection) as Arc<dyn Connection>).is_ok();
        if is_wanted {
            done(Outcome::Attached);
            connection.go_on(&beginning);
        } else {
            let answer = match greeter.decline() {
                Decline::AtLimit(answer) => answer,
                Decline::AtOnce => Vec::new(),
            };
            let peer = connection.peer_address();
            connection.reject(&[unsaid, answer].concat());
            self.host.report(Report::Rejected { peer });
            done(Outcome::Failed);
        }
    }

    /// Sends an answer, and waits a little until the peer has read it: a stream that is closed
    /// with unread input is reset, and the answer is lost.
    fn refuse(&self, answer: &[u8]) {
        if let Some(state) = self.state.lock().as_mut() {
            state.phase = Phase::Leaving;
            self.is_held.store(false, Ordering::Relaxed);
            self.set_timer(sys::now() + LEAVING);
        }
        self.say_on(answer);
    }

    /// Says what is left, and `more` behind it, as far as the kernel takes it, which tells when it
    /// takes the rest. Only the reactor's thread says anything once the greeting has begun.
    fn say_on(&self, more: &[u8]) {
        let (stream, words) = {
            let mut state = self.state.lock();
            let Some(state) = state.as_mut() else { return };
            let words = [&state.unsaid[..], more].concat();
            state.unsaid.clear();
            (Arc::clone(&state.stream), words)
        };
        let unsaid = say(&*stream, words);
        let (is_waiting, interest) = (!unsaid.is_empty(), interest(&*stream, &unsaid));
        let (is_leaving, is_watched) = {
            let mut state = self.state.lock();
            // Another thread may have given it up meanwhile.
            let Some(state) = state.as_mut() else { return };
            state.unsaid = unsaid;
            let awaited_room = std::mem::replace(&mut state.awaits_room, interest.writable);
            (state.phase == Phase::Leaving, awaited_room == interest.writable)
        };
        if is_leaving && !is_waiting {
            stream.end();
        }
        if is_watched {
            return;
        }
        if self.reactor.rewatch(self.key, stream.descriptor(), interest).is_err() {
            // As at the start.
            self.set_timer(sys::now());
        }
    }

    fn fail(&self) {
        let Some(state) = self.take() else { return };
        state.stream.discard_input();
        let report = state.greeter.failure();
        let peer = state.stream.peer_address();
        if trace::is_on()
            && let Some(words) = state.stream.complaint()
        {
            let words = trace::Plain(words.as_bytes());
            self.host.trace(trace::Happening::Encryption, peer, format_args!("words={words}"));
        }
        drop(state.stream);
        report.into_iter().for_each(|report| self.host.report(report));
        self.host.report(match state.ending {
            Some(Ending::Unwanted) => Report::Rejected { peer },
            Some(Ending::Failed(fault)) => Report::HandshakeFailed { peer, fault },
            None => Report::HandshakeFailed { peer, fault: Some(Fault::TimedOut) },
        });
        (state.done)(Outcome::Failed);
    }

    /// What a held peer is told when nobody has wanted it in time.
    fn last_word(&self, now: Instant) -> Option<Vec<u8>> {
        let mut state = self.state.lock();
        let state = state.as_mut().filter(|state| state.phase == Phase::Held)?;
        match state.greeter.decline() {
            Decline::AtLimit(answer) if now >= state.deadline => {
                state.ending = Some(Ending::Unwanted);
                Some(answer)
            }
            Decline::AtLimit(_) | Decline::AtOnce => None,
        }
    }

    fn phase_and_deadline(&self) -> Option<(Phase, Instant)> {
        self.state.lock().as_ref().map(|state| (state.phase, state.deadline))
    }
}

impl Handler for Greeting {
    fn ready(&self, event: Event) {
        if event.writable {
            self.say_on(&[]);
        }
        match self.read_held() {
            // What was to be said may have waited for what the peer has said.
            Heard::More => self.say_on(&[]),
            Heard::Complete => self.complete(),
            Heard::Refused(answer) if answer.is_empty() => self.fail(),
            Heard::Refused(answer) => self.refuse(&answer),
        }
    }

    fn broken(&self) {
        self.host.broken();
    }

    fn timeout(&self, now: Instant) {
        match self.phase_and_deadline() {
            None => {}
            Some((Phase::Hearing | Phase::Leaving, _)) => self.fail(),
            Some((Phase::Held, deadline)) => match self.last_word(now) {
                Some(answer) => self.refuse(&answer),
                None => {
                    self.set_timer(deadline);
                    self.complete();
                }
            },
        }
    }
}

fn welcome(host: &dyn Host) -> Welcome {
    if host.is_wanting() { Welcome::Wanted } else { Welcome::Unwanted }
}

/// What is wrong with who was refused.
fn fault(claim: &Claim, host: &dyn Host) -> Fault {
    let wanted = host.peer_type().number;
    match claim {
        Claim::Nothing => Fault::Violation,
        Claim::TypeNumber(number) => Fault::WrongType { found: Some(*number), wanted },
        Claim::TypeName(name) => Fault::WrongType { found: host.type_number(name), wanted },
        Claim::Seeks(name) => Fault::WrongType { found: host.fitting_number(name), wanted },
        Claim::Status(status) => Fault::Denied(*status),
    }
}

/// What is left of the words. A fresh connection takes a few bytes, and mostly all of them; else it
/// is broken, and reading tells: also where the kernel itself does not know that yet, and the peer
/// would go on waiting.
fn say(stream: &dyn ByteStream, mut words: Vec<u8>) -> Vec<u8> {
    if !words.is_empty() || stream.awaits() == Awaits::Room {
        match stream.write(&[IoSlice::new(&words)]) {
            Ok(count) => drop(words.drain(..count)),
            Err(_) => {
                stream.break_off();
                words.clear();
            }
        }
    }
    words
}

/// What a greeting with that much to say is to be told of.
fn interest(stream: &dyn ByteStream, unsaid: &[u8]) -> Interest {
    let writable = match stream.awaits() {
        Awaits::Nothing => !unsaid.is_empty(),
        Awaits::Peer => false,
        Awaits::Room => true,
    };
    Interest { readable: true, writable, ..Interest::default() }
}

/// Greetings are short.
const READ_MAX: usize = 4096;
/// How long a refused peer has for reading why.
const LEAVING: Duration = Duration::from_millis(1000);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeSocket, Traits, Watched};
    use crate::transports::stream::fixtures::{FakeStream, HELLO, PEER, Peer, Script};

    /// A greeting that goes on, and all who have to do with it.
    struct Setup {
        greeting: Arc<Greeting>,
        stream: Arc<FakeStream>,
        peer: Peer,
        outcomes: Arc<Watched<Vec<Outcome>>>,
        socket: FakeSocket,
    }

    fn begin(script: Script, traits: Traits) -> Setup {
        begin_on(FakeStream::pair(), script, FakeSocket::new(traits))
    }

    fn begin_on(
        (stream, peer): (Arc<FakeStream>, Peer),
        script: Script,
        socket: FakeSocket,
    ) -> Setup {
        let outcomes = Arc::new(Watched::new(Vec::new()));
        let told = Arc::clone(&outcomes);
        let beginning = Beginning {
            stream: Arc::clone(&stream) as _,
            standing: Standing::Fresh,
            greeter: script.greeter(),
        };
        let done = Box::new(move |outcome| told.change(|all| all.push(outcome)));
        let greeting = Greeting::start(beginning, socket.host(), &socket.reactor(), done).unwrap();
        Setup { greeting, stream, peer, outcomes, socket }
    }

    impl Setup {
        /// Returns when it has come to something, which it does once.
        fn outcome(&self) -> Outcome {
            self.outcomes.wait_until("the outcome", |all| !all.is_empty());
            self.socket.settle();
            assert!(!self.greeting.cancel(), "it is over");
            self.outcomes.change(|all| {
                assert_eq!(all.len(), 1);
                all[0]
            })
        }

        fn fails_with(&self, fault: Option<Fault>) {
            assert_eq!(self.outcome(), Outcome::Failed);
            let failed = Report::HandshakeFailed { peer: Some(PEER), fault };
            assert_eq!(self.socket.reports(), [Report::Broken, failed]);
            assert_eq!(self.socket.pipes(), 0);
        }

        fn is_rejected(&self) {
            assert_eq!(self.outcome(), Outcome::Failed);
            let rejected = Report::Rejected { peer: Some(PEER) };
            assert_eq!(self.socket.reports(), [Report::Broken, rejected]);
            assert_eq!(self.socket.pipes(), 0);
        }
    }

    #[test]
    fn a_peer_that_greets_well_becomes_a_pipe_wherever_its_words_are_cut() {
        for cut in 1..HELLO.len() + 1 {
            let setup = begin(Script::default(), Traits::pair());
            assert_eq!(setup.peer.read(2), b"hi");
            let words = [HELLO, b"\x01m"].concat();
            setup.peer.write(&words[..cut]);
            setup.socket.settle();
            setup.peer.write(&words[cut..]);
            let pipe = setup.socket.pipe(0);
            assert_eq!(pipe.recv().as_deref(), Some(&b"m"[..]));
            assert_eq!(setup.peer.read(2), b"ok");
            assert_eq!(setup.outcome(), Outcome::Attached);
            assert_eq!(setup.socket.reports(), []);
        }
    }

    #[test]
    fn who_says_something_else_is_given_up_at_once_or_after_an_answer() {
        for refusal in [&b""[..], b"no"] {
            let setup = begin(Script { refusal, ..Script::default() }, Traits::pair());
            setup.peer.write(b"hullo");
            assert_eq!(setup.peer.read(2 + refusal.len()), [b"hi", refusal].concat());
            if !refusal.is_empty() {
                // Whatever else it says does not matter.
                setup.peer.write(HELLO);
                setup.socket.settle();
                assert_eq!(setup.socket.reports(), []);
                setup.peer.0.end();
            }
            setup.fails_with(Some(Fault::Violation));
        }
    }

    #[test]
    fn who_reads_his_answer_and_stays_is_left_after_a_while() {
        let setup = begin(Script { refusal: b"no", ..Script::default() }, Traits::pair());
        setup.peer.write(b"hullo");
        setup.fails_with(Some(Fault::Violation));
    }

    #[test]
    fn a_peer_has_a_limited_time() {
        let setup = begin(Script { limit: SHORT, ..Script::default() }, Traits::pair());
        setup.peer.write(b"hel");
        setup.fails_with(Some(Fault::TimedOut));
        assert!(setup.stream.deeds().discarded > 0);
    }

    #[test]
    fn a_peer_that_leaves_early_has_no_fault_but_what_the_kernel_says() {
        let setup = begin(Script::default(), Traits::pair());
        setup.peer.write(b"hel");
        setup.peer.0.end();
        setup.fails_with(None);
        let setup = begin(Script::default(), Traits::pair());
        setup.stream.mood.change(|mood| mood.failure = Some(1));
        setup.peer.0.end();
        let code = std::io::Error::from_raw_os_error(1);
        setup.fails_with(Some(Fault::System(code.into())));
    }

    #[test]
    fn who_is_not_wanted_now_is_turned_away_and_told_nothing() {
        let setup = begin(Script::default(), Traits::pair().wanting(0));
        setup.peer.write(HELLO);
        setup.is_rejected();
        drop(setup.stream);
        assert_eq!(setup.peer.read(2), b"hi");
    }

    #[test]
    fn who_takes_himself_for_connected_is_offered_to_the_socket_all_the_same() {
        let script = Script { is_committed: true, ..Script::default() };
        let setup = begin(script.clone(), Traits::pair().wanting(0));
        setup.peer.write(HELLO);
        setup.is_rejected();
        assert_eq!(setup.peer.read_to_end(), b"hi");
        let setup = begin(script, Traits::pair().wanting(0));
        setup.socket.when_asked({
            let host = Arc::clone(&setup.socket.host);
            move || host.want(1)
        });
        setup.peer.write(HELLO);
        assert_eq!(setup.outcome(), Outcome::Attached);
    }

    #[test]
    fn a_socket_that_changes_its_mind_at_the_last_moment_rejects() {
        let script = Script { decline: Decline::AtLimit(b"later".to_vec()), ..Script::default() };
        let setup = begin(script, Traits::pair());
        // Asked, it says yes; then somebody else is faster.
        setup.socket.when_asked({
            let host = Arc::clone(&setup.socket.host);
            move || host.want(0)
        });
        setup.peer.write(HELLO);
        setup.is_rejected();
        assert_eq!(setup.peer.read_to_end(), b"hilater");
    }

    fn patient(limit: Duration) -> Script {
        Script { limit, decline: Decline::AtLimit(b"later".to_vec()), ..Script::default() }
    }

    #[test]
    fn who_is_held_is_taken_in_when_the_socket_wants_him() {
        let setup = begin(patient(LONG), Traits::pair().wanting(0));
        setup.greeting.retry();
        setup.peer.write(HELLO);
        setup.socket.await_questions(3);
        setup.socket.settle();
        assert_eq!(setup.greeting.phase_and_deadline().unwrap().0, Phase::Held);
        // Not yet.
        setup.greeting.retry();
        setup.socket.settle();
        assert_eq!(setup.peer.read(2), b"hi");
        assert!(setup.peer.hears_nothing());
        setup.socket.host.want(1);
        setup.greeting.retry();
        assert_eq!(setup.outcome(), Outcome::Attached);
        assert_eq!(setup.peer.read(2), b"ok");
    }

    #[test]
    fn who_is_held_to_the_limit_hears_a_last_word() {
        let (stream, peer) = FakeStream::pair();
        // It has said everything before its time begins.
        peer.write(HELLO);
        let socket = FakeSocket::new(Traits::pair().wanting(0));
        let setup = begin_on((stream, peer), patient(10 * SHORT), socket);
        assert_eq!(setup.peer.read_to_end(), b"hilater");
        setup.peer.0.end();
        setup.is_rejected();
    }

    #[test]
    fn a_socket_that_is_free_again_before_it_could_tell_is_asked_again() {
        let setup = begin(patient(LONG), Traits::pair().wanting(0));
        setup.socket.when_asked({
            let host = Arc::clone(&setup.socket.host);
            move || host.want(1)
        });
        setup.peer.write(HELLO);
        assert_eq!(setup.outcome(), Outcome::Attached);
    }

    #[test]
    fn who_is_held_and_leaves_is_given_up() {
        let setup = begin(patient(LONG), Traits::pair().wanting(0));
        setup.peer.write(HELLO);
        setup.peer.0.end();
        setup.fails_with(None);
    }

    #[test]
    fn a_cancelled_greeting_says_nothing_more_to_anybody() {
        let setup = begin(Script::default(), Traits::pair());
        assert!(setup.greeting.cancel());
        assert!(!setup.greeting.cancel());
        setup.peer.write(HELLO);
        setup.socket.settle();
        // Whatever was under way.
        setup.greeting.ready(Event { key: 0, readable: true, writable: false, ended: false });
        setup.greeting.timeout(Instant::now() + LONG);
        setup.greeting.complete();
        setup.greeting.retry();
        setup.greeting.refuse(b"no");
        setup.greeting.fail();
        assert_eq!((setup.socket.reports(), setup.socket.pipes()), (vec![], 0));
        setup.outcomes.change(|all| assert_eq!(*all, []));
        drop((setup.greeting, setup.stream));
        assert_eq!(setup.peer.read_to_end(), b"hi");
    }

    #[test]
    fn what_the_kernel_cannot_watch_is_given_up_at_once() {
        let (stream, peer) = FakeStream::pair();
        stream.mood.change(|mood| mood.descriptor = Some(-1));
        let setup = begin_on((stream, peer), Script::default(), FakeSocket::new(Traits::pair()));
        setup.fails_with(Some(Fault::TimedOut));
    }

    #[test]
    fn a_bug_is_the_sockets_business() {
        let setup = begin(Script::default(), Traits::pair());
        setup.greeting.broken();
        setup.socket.await_breakdown();
    }

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(60);
}
