//! The sockets for which a thread waits again and again, and what it knows of each.
//!
//! Who polls the same sockets several times in a row is taken to go on with that: they are watched
//! from a [`Lookout`] from then on. A call then looks at those sockets of which something has been
//! noted there, sleeps in front of the streams of all, and reads from those that have something:
//! what it costs grows with them, and not with those that are silent.
//!
//! Each thread has one roster, which lasts until it polls others as often, or ends. Sockets hold
//! what they are watched from, the roster holds none of them.

use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::deferred;
use super::lookout::{Lookout, Sight, Stay};
use super::poll::Question;
use super::readiness::Side;
use super::registry::{self, InUse};
use super::sleep::{self, Bed, Duty, Risen, Step, Turn};
use super::socket::Socket;
use super::wait::pump;
use crate::error::Error;
use crate::memory;
use crate::protocols::Readiness;
use crate::sys::{self, Belongings, EventBuffer, Slept};
use crate::transports::Connection;

/// One entry of a list that is polled: a handle, and what is asked of its socket. Who asks for
/// nothing is not looked at any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub handle: i32,
    pub wanted: Readiness,
}

/// A wait for sockets that the thread has waited for before.
pub struct Routine {
    number: u64,
    lookout: Arc<Lookout>,
    has_looked: bool,
}

/// What there is to say about an entry, by its place.
pub type Report<'a> = &'a mut dyn FnMut(usize, Readiness);

impl Routine {
    /// One for `list`, if the thread has polled the same often enough.
    pub fn find(list: impl Iterator<Item = Entry> + Clone) -> Option<Routine> {
        with_roster(|roster| {
            if !roster.is_of(list.clone()) {
                if !roster.note(list.clone()) {
                    return None;
                }
                roster.forget();
                roster.begin(list).ok()?;
            }
            // A number whose socket is gone may be another's by now.
            let lookout = roster.lookout.upgrade();
            let Some(lookout) = lookout.filter(|lookout| roster.look(lookout).is_ok()) else {
                roster.give_up();
                return None;
            };
            Some(Routine { number: roster.number, lookout, has_looked: false })
        })
        .flatten()
    }

    /// Says of each socket what it can do of what is asked for, unless nothing can be done and it
    /// is not yet the time to give up; `None` waits for ever. Then the caller sleeps, and makes
    /// another step. It is done with the number of entries that are ready, and has reported all of
    /// them unless that is none.
    ///
    /// `None` when the call has to go on in the ordinary way.
    ///
    /// # Errors
    /// `NotOpen` when one of them is closed meanwhile, `Interrupted`.
    pub fn step(
        &mut self,
        turn: &mut Turn,
        timeout: Option<Duration>,
        report: Report<'_>,
    ) -> Result<Option<Step<usize>>, Error> {
        // Until the end of the step, whatever becomes of it.
        let _stay = Stay::new(&self.lookout);
        let spin = &self.lookout.spin;
        let glance = |events: &mut _| self.glance(self.only_stream().as_ref(), events);
        let back = turn.go_on_aside(spin, glance).transpose()?;
        match back {
            Some(Step::Sleep) => return Ok(Some(Step::Sleep)),
            Some(Step::Done(has_news)) => self.has_looked = has_news,
            None => match turn.rise() {
                Some(risen) => {
                    if self.rise(risen?, turn)? == Rise::Failed {
                        return Ok(None);
                    }
                }
                None => {
                    deferred::write_out();
                    sleep::settle();
                }
            },
        }
        // What lies beyond the clock's end is for ever.
        let deadline =
            turn.deadline(|| timeout.and_then(|timeout| sys::now().checked_add(timeout)));
        if !self.has_looked && back.is_none() && timeout != Some(Duration::ZERO) && self.is_idle() {
            let only = self.only_stream();
            self.has_looked = spin.try_spin(|| self.glance(only.as_ref(), turn.events_slot()));
            // With several it takes longer than to sleep.
            if !self.has_looked && only.is_some() && spin.gives_way() {
                turn.step_aside(Duty::LookOut { from: Stay::new(&self.lookout) }, None, None);
                return Ok(Some(Step::Sleep));
            }
        }
        if self.has_looked {
            let is_over = turn.is_over();
            match self.look(|roster| roster.result(is_over, &mut *report))? {
                None => return Ok(None),
                Some(None) => {}
                Some(Some(count)) => return Ok(Some(Step::Done(count))),
            }
        }
        // Before the look, so that nothing has to be looked at twice.
        self.lookout.notes.begin_polling();
        let duty = Duty::LookOut { from: Stay::new(&self.lookout) };
        let has_looked = std::mem::replace(&mut self.has_looked, true);
        let until = self.look(|roster| match roster.ready {
            0 => Ok(roster.pass_time(deadline)),
            // Who polls for something that is always so must find out about the rest, too: what
            // the kernel holds is looked for.
            _ if !has_looked && roster.complete < roster.asking => Ok(Some(sys::now())),
            _ => Err(roster.result(false, report)),
        })?;
        match until {
            None => Ok(None),
            Some(Err(count)) => Ok(count.map(Step::Done)),
            Some(Ok(until)) => {
                let bed = Bed::Lookout { from: Arc::clone(&self.lookout) };
                turn.lie_down(duty, bed, None, until);
                Ok(Some(Step::Sleep))
            }
        }
    }

    fn only_stream(&self) -> Option<Arc<dyn Connection>> {
        with_roster(|roster| roster.only_stream(self.number)).flatten()
    }

    /// Whether nothing is ready, and nothing wrong.
    fn is_idle(&self) -> bool {
        matches!(self.look(|roster| roster.ready), Ok(Some(0)))
    }

    /// Reads what has arrived without waiting. True when something is ready, or wrong.
    fn glance(&self, only: Option<&Arc<dyn Connection>>, events: &mut Option<EventBuffer>) -> bool {
        match only {
            Some(only) => pump(only, None),
            None => {
                let sights = self.lookout.glance(events.get_or_insert_default());
                _ = sights.map(|sights| self.read(sights));
            }
        }
        !self.is_idle()
    }

    /// Gets up, and reads what has arrived.
    fn rise(&self, risen: Risen, turn: &mut Turn) -> Result<Rise, Error> {
        match risen.slept {
            // What was read at the last moment is still in time.
            Slept::Woken | Slept::TimedOut => {}
            Slept::Interrupted => return Err(Error::Interrupted),
            Slept::Failed => return Ok(Rise::Failed),
        }
        self.read(self.lookout.reported(turn.events()));
        Ok(Rise::Done)
    }

    fn read(&self, sights: impl Iterator<Item = Sight>) {
        for sight in sights {
            match sight {
                Sight::Room { member } => self.lookout.notes.note(member),
                Sight::Stream { member, pipe } => {
                    let socket = with_roster(|roster| roster.socket(self.number, member));
                    if let Some(socket) = socket.flatten() {
                        socket.pump_pipe(pipe, None);
                    }
                }
            }
        }
    }

    /// Looks at all that is noted. `None` when a signal handler has polled others meanwhile.
    fn look<T>(&self, then: impl FnOnce(&mut Roster) -> T) -> Result<Option<T>, Error> {
        let look = |roster: &mut Roster| {
            if roster.number != self.number {
                return Ok(None);
            }
            if let Err(error) = roster.look(&self.lookout) {
                roster.give_up();
                return Err(error);
            }
            Ok(Some(then(roster)))
        };
        with_roster(look).unwrap_or(Ok(None))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rise {
    Done,
    /// The kernel will not have such a wait.
    Failed,
}

struct Roster {
    generation: usize,
    /// Somebody takes what is left away when the thread ends.
    is_kept: bool,
    /// What was polled last that is not this, and how often in a row.
    last: u64,
    repeats: u32,
    /// Changes with each lookout.
    number: u64,
    lookout: ManuallyDrop<Weak<Lookout>>,
    members: ManuallyDrop<Vec<Member>>,
    /// How many of them ask for something.
    asking: usize,
    /// How many of them can do something, how many all that they are asked for, and how many have
    /// something to say when time passes.
    ready: usize,
    complete: usize,
    timed: usize,
}

struct Member {
    entry: Entry,
    socket: Weak<Socket>,
    readiness: Readiness,
    until: Option<Instant>,
}

impl Member {
    /// Whether it can do something, and everything, and has something to say when time passes.
    fn counts(&self) -> [bool; 3] {
        let is_complete = self.readiness == self.entry.wanted;
        [self.readiness.is_any(), is_complete && self.readiness.is_any(), self.until.is_some()]
    }
}

impl Roster {
    fn clear_counts(&mut self) {
        (self.asking, self.ready, self.complete, self.timed) = (0, 0, 0, 0);
    }

    fn is_of(&self, mut list: impl Iterator<Item = Entry>) -> bool {
        let is_same = self.members.iter().all(|member| list.next() == Some(member.entry));
        is_same && !self.members.is_empty() && list.next().is_none()
    }

    /// Counts how often the list was polled. True when it is to have the lookout.
    fn note(&mut self, list: impl Iterator<Item = Entry>) -> bool {
        let mark = list.fold(FIRST_MARK, |mark, Entry { handle, wanted }| {
            let wanted = u64::from(wanted.can_send) << 1 | u64::from(wanted.can_recv);
            (mark ^ (u64::from(handle.cast_unsigned()) << 2 | wanted)).wrapping_mul(MARK_FACTOR)
        });
        self.repeats = if self.last == mark { self.repeats.saturating_add(1) } else { 0 };
        self.last = mark;
        self.repeats == REPEATS
    }

    /// Has every socket of the list watched.
    ///
    /// # Errors
    /// When that cannot be: then the ordinary way is gone.
    fn begin(&mut self, list: impl Iterator<Item = Entry> + Clone) -> Result<(), Error> {
        self.is_kept = self.is_kept || sys::at_thread_end(Belongings::Roster, leave);
        if !self.is_kept {
            return Err(Error::OutOfMemory);
        }
        let count = list.clone().count();
        memory::reserve_exact(&mut *self.members, count)?;
        let lookout = Lookout::new(count).map_err(|_| Error::TooManySockets)?;
        self.number += 1;
        *self.lookout = Arc::downgrade(&lookout);
        for entry in list {
            let begun = self.add(&lookout, entry);
            if begun.is_err() {
                self.forget();
                return begun;
            }
        }
        Ok(())
    }

    fn add(&mut self, lookout: &Arc<Lookout>, entry: Entry) -> Result<(), Error> {
        let member = self.members.len();
        let (readiness, until) = (Readiness::default(), None);
        if !entry.wanted.is_any() {
            self.members.push(Member { entry, socket: Weak::new(), readiness, until });
            return Ok(());
        }
        let socket = registry::find_beside(entry.handle)?;
        check(&socket, entry.wanted)?;
        // A branch has no streams that could be watched.
        socket.check_is_trunk()?;
        let me = socket.me.clone();
        self.members.push(Member { entry, socket: me, readiness, until });
        self.asking += 1;
        // Who is listed twice would be noted once.
        if !socket.watch_from(lookout, member, entry.wanted)? {
            return Err(Error::Invalid);
        }
        if entry.wanted.can_send {
            let descriptor = socket.readiness_descriptor(Side::Send)?;
            lookout.watch_room(member, descriptor).map_err(|_| Error::TooManySockets)?;
        }
        Ok(())
    }

    /// A socket is gone. The same list may become a habit anew, with another in its place.
    fn give_up(&mut self) {
        self.forget();
        self.repeats = 0;
    }

    fn forget(&mut self) {
        let members = std::mem::take(&mut *self.members);
        let lookout = std::mem::take(&mut *self.lookout).upgrade();
        self.number += 1;
        self.clear_counts();
        if let Some(lookout) = lookout {
            let sockets = members.iter().filter_map(|member| member.socket.upgrade());
            sockets.for_each(|socket| socket.waiting.lookouts.remove(&lookout));
        }
    }

    /// The one stream from which anything can come. The kernel need not be asked which it is.
    fn only_stream(&self, number: u64) -> Option<Arc<dyn Connection>> {
        if self.number != number || self.asking != 1 {
            return None;
        }
        let member = self.members.iter().find(|member| member.entry.wanted.can_recv)?;
        member.socket.upgrade()?.only_connection()
    }

    fn socket(&self, number: u64, member: usize) -> Option<Arc<Socket>> {
        if self.number != number {
            return None;
        }
        self.members.get(member)?.socket.upgrade()
    }

    /// Looks at the members of which something is noted.
    fn look(&mut self, lookout: &Lookout) -> Result<(), Error> {
        while let Some(place) = lookout.notes.take() {
            let Some(member) = self.members.get_mut(place) else { continue };
            if !member.entry.wanted.is_any() {
                continue;
            }
            let socket = member.socket.upgrade().ok_or(Error::NotOpen)?;
            let question = Question { socket: &socket, wanted: member.entry.wanted };
            let answer = question.answer()?;
            let before = member.counts();
            (member.readiness, member.until) = (answer.readiness, answer.until);
            let counts = [&mut self.ready, &mut self.complete, &mut self.timed];
            for ((count, was), is) in counts.into_iter().zip(before).zip(member.counts()) {
                *count = *count + usize::from(is) - usize::from(was);
            }
        }
        Ok(())
    }

    /// How many entries are ready, of which all are reported then, if that is the end of the call.
    fn result(&self, is_over: bool, report: Report<'_>) -> Option<usize> {
        if self.ready > 0 {
            let all = self.members.iter().enumerate();
            all.for_each(|(place, member)| report(place, member.readiness));
        }
        (self.ready > 0 || is_over).then_some(self.ready)
    }

    /// Tells those whose time has come. Until when nothing happens by itself.
    fn pass_time(&self, deadline: Option<Instant>) -> Option<Instant> {
        if self.timed == 0 {
            return deadline;
        }
        let timed = self.members.iter().filter_map(|member| Some((member, member.until?)));
        for (member, at) in timed.clone() {
            if at <= sys::now()
                && let Some(socket) = member.socket.upgrade()
            {
                socket.pass_timeout();
            }
        }
        timed.map(|(_, at)| at).chain(deadline).min()
    }
}

impl Socket {
    /// From now on the socket notes at the lookout what happens. False when it does that already.
    fn watch_from(
        &self,
        lookout: &Arc<Lookout>,
        member: usize,
        wanted: Readiness,
    ) -> Result<bool, Error> {
        self.shown.begin_watching();
        let state = self.lock();
        let live = state.pipes.iter().filter(|pipe| !pipe.is_ended);
        let streams = live.filter_map(|pipe| Some((pipe.id, pipe.stream()?)));
        let streams = wanted.can_recv.then_some(streams);
        Ok(self.waiting.lookouts.add(lookout, member, streams)?)
    }
}

fn check(socket: &InUse, wanted: Readiness) -> Result<(), Error> {
    if wanted.can_recv {
        socket.check_can_recv()?;
    }
    if wanted.can_send {
        socket.check_can_send()?;
    }
    Ok(())
}

/// The thread ends.
fn leave() {
    let _ = with_roster(Roster::forget);
}

// Without a destructor, for the reason that `sys::at_thread_end` has.
thread_local! {
    static ROSTER: RefCell<Roster> = const {
        RefCell::new(Roster {
            generation: 0,
            is_kept: false,
            last: 0,
            repeats: 0,
            number: 0,
            lookout: ManuallyDrop::new(Weak::new()),
            members: ManuallyDrop::new(Vec::new()),
            asking: 0,
            ready: 0,
            complete: 0,
            timed: 0,
        })
    };
}

/// `None` in a signal handler that interrupts somebody who uses the roster.
fn with_roster<T>(change: impl FnOnce(&mut Roster) -> T) -> Option<T> {
    let in_roster = |roster: &RefCell<Roster>| {
        let mut roster = roster.try_borrow_mut().ok()?;
        if roster.generation != sys::generation() {
            // In a forked child there are none of its parent's sockets.
            std::mem::forget(std::mem::take(&mut *roster.members));
            std::mem::forget(std::mem::take(&mut *roster.lookout));
            roster.clear_counts();
            roster.generation = sys::generation();
            roster.number += 1;
            roster.repeats = 0;
        }
        Some(change(&mut roster))
    };
    ROSTER.try_with(in_roster).ok().flatten()
}

/// How often the same is polled in a row before it is taken for a habit: to have everybody watched
/// costs about as much as polling them once or twice.
const REPEATS: u32 = 3;
// What FNV-1a begins and goes on with.
const FIRST_MARK: u64 = 0xcbf2_9ce4_8422_2325;
const MARK_FACTOR: u64 = 0x0100_0000_01b3;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;
    use crate::core::joined::{
        BOTH, By, EITHER, NOTHING, NOW, Opened, PAIR, PULL, PUSH, RECV, SEND, until,
    };
    use crate::core::transfer::{Blocking, finish};

    fn list(sockets: &[(&Opened, Readiness)]) -> Vec<Entry> {
        let entry = |(socket, wanted): &(&Opened, Readiness)| Entry {
            handle: socket.handle(),
            wanted: *wanted,
        };
        sockets.iter().map(entry).collect()
    }

    fn find(list: &[Entry]) -> Option<Routine> {
        Routine::find(list.iter().copied())
    }

    /// Polls as often as it takes to have a habit of it.
    fn get_used_to(list: &[Entry]) {
        assert!((0..=REPEATS).any(|_| find(list).is_some()));
    }

    /// The thread has polled the list before, and no other since.
    fn ask(list: &[Entry], timeout: Option<Duration>) -> Result<Vec<Readiness>, Error> {
        let mut routine = find(list).expect("the thread is used to it");
        let mut answers = vec![NOTHING; list.len()];
        let mut report = |place: usize, readiness| answers[place] = readiness;
        let step = |turn: &mut Turn| {
            routine.step(turn, timeout, &mut report).map(|step| step.expect("nobody interferes"))
        };
        let count = finish(step)?;
        let notes = &routine.lookout.notes;
        assert!(!notes.is_polling());
        assert_eq!(answers.iter().filter(|answer| answer.is_any()).count(), count);
        Ok(answers)
    }

    #[test]
    fn says_of_each_what_it_can_do() {
        for by in BOTH {
            let [one, other] = Opened::pair(by);
            let lonely = Opened::new(PAIR);
            let all = list(&[(&one, EITHER), (&lonely, RECV), (&other, RECV), (&lonely, NOTHING)]);
            // Who is listed twice, and asked twice, has no routine.
            let twice = list(&[(&one, RECV), (&one, EITHER)]);
            assert!((0..10).all(|_| find(&twice).is_none()));
            get_used_to(&all);
            assert_eq!(ask(&all, NOW), Ok(vec![SEND, NOTHING, NOTHING, NOTHING]));
            one.send("x").unwrap();
            assert_eq!(ask(&all, None), Ok(vec![SEND, NOTHING, RECV, NOTHING]));
            assert_eq!(ask(&all, None), Ok(vec![SEND, NOTHING, RECV, NOTHING]));
            other.recv().unwrap();
            other.send("y").unwrap();
            assert_eq!(ask(&all, NOW), Ok(vec![EITHER, NOTHING, NOTHING, NOTHING]));
            one.recv().unwrap();
            assert_eq!(ask(&all, NOW), Ok(vec![SEND, NOTHING, NOTHING, NOTHING]));
            // That one thing can be done hides no other.
            let alone = list(&[(&one, EITHER)]);
            get_used_to(&alone);
            assert_eq!(ask(&alone, None), Ok(vec![SEND]));
            other.send("z").unwrap();
            assert_eq!(ask(&alone, None), Ok(vec![EITHER]));
            one.recv().unwrap();
            get_used_to(&all);
            other.close();
            assert!(find(&all).is_none());
            assert!(!one.socket().waiting.lookouts.is_any(), "it is forgotten");
        }
    }

    #[test]
    fn waits_for_the_first_of_several_and_finds_what_others_leave() {
        let pairs = BOTH.map(Opened::pair);
        let all = list(&[(&pairs[0][0], RECV), (&pairs[1][0], RECV)]);
        thread::scope(|scope| {
            let poller = scope.spawn(|| {
                get_used_to(&all);
                [0, 1, 0, 1].map(|_| {
                    let answers = ask(&all, None).unwrap();
                    let ready = answers.iter().position(|answer| answer.can_recv).unwrap();
                    pairs[ready][0].recv().unwrap();
                    ready
                })
            });
            for sender in [0, 1, 1, 0] {
                until(|| pairs[0][0].socket().waiting.is_polled());
                pairs[sender][1].send("x").unwrap();
                until(|| pairs[sender][0].socket().lock().traffic.messages_received > 0);
                pairs[sender][0].socket().lock().traffic.messages_received = 0;
            }
            assert_eq!(poller.join().unwrap(), [0, 1, 1, 0]);
        });
        // Its thread has ended.
        assert!(pairs.iter().all(|[own, _]| !own.socket().waiting.lookouts.is_any()));
    }

    #[test]
    fn streams_that_come_and_go_are_followed() {
        let (own, first) = (Opened::new(PULL), Opened::new(PUSH));
        own.join(&first, By::Stream);
        let all = list(&[(&own, RECV)]);
        get_used_to(&all);
        for by in [By::Stream, By::Inproc] {
            let another = Opened::new(PUSH);
            own.join(&another, by);
            for sender in [&first, &another] {
                assert_eq!(ask(&all, NOW), Ok(vec![NOTHING]));
                sender.send("x").unwrap();
                assert_eq!(ask(&all, None), Ok(vec![RECV]));
                own.recv().unwrap();
            }
            another.close();
            until(|| own.socket().lock().traffic.connections == 1);
        }
        assert_eq!(ask(&all, NOW), Ok(vec![NOTHING]));
    }

    #[test]
    fn a_socket_that_is_closed_meanwhile_ends_the_poll_and_its_number_is_anothers() {
        for by in BOTH {
            let ([own, _peer], [other, _its_peer]) = (Opened::pair(by), Opened::pair(by));
            let all = list(&[(&other, RECV), (&own, RECV)]);
            thread::scope(|scope| {
                let poller = scope.spawn(|| {
                    get_used_to(&all);
                    ask(&all, None)
                });
                until(|| own.socket().waiting.is_polled());
                own.close();
                assert_eq!(poller.join().unwrap(), Err(Error::NotOpen));
            });
            let one = Opened::new(PULL);
            let alone = list(&[(&one, RECV)]);
            get_used_to(&alone);
            one.close();
            let heir = Opened::new(PULL);
            // It mostly gets the same number.
            get_used_to(&list(&[(&heir, RECV)]));
        }
    }

    #[test]
    fn another_list_takes_its_place_when_it_has_become_a_habit() {
        let ([one, _], [other, _]) = (Opened::pair(By::Stream), Opened::pair(By::Stream));
        let (first, second) = (list(&[(&one, RECV)]), list(&[(&one, RECV), (&other, RECV)]));
        get_used_to(&first);
        for _ in 0..5 {
            assert!(find(&second).is_none());
            assert!(find(&list(&[(&other, SEND)])).is_none());
            assert!(find(&first).is_some());
        }
        get_used_to(&second);
        assert!(find(&first).is_none());
    }

    #[test]
    fn no_timeout_is_early() {
        for by in BOTH {
            let [own, _peer] = Opened::pair(by);
            let all = list(&[(&own, RECV)]);
            get_used_to(&all);
            let (began, timeout) = (Instant::now(), Duration::from_micros(1500));
            assert_eq!(ask(&all, Some(timeout)), Ok(vec![NOTHING]));
            assert!(began.elapsed() >= timeout);
        }
    }

    /// Senders come from everywhere, and another thread takes some of what they bring.
    #[test]
    fn nothing_is_overlooked() {
        const EACH: usize = 2000;
        let pairs: Vec<_> = BOTH.iter().cycle().take(6).map(|by| Opened::pair(*by)).collect();
        let wanted: Vec<_> = pairs.iter().map(|[own, _]| (own, RECV)).collect();
        let all = list(&wanted);
        let received = AtomicUsize::new(0);
        let take = |own: &Opened| {
            let taken = own.recv_if(Blocking::DontWait).is_ok();
            received.fetch_add(usize::from(taken), Ordering::Relaxed);
            taken
        };
        thread::scope(|scope| {
            for [_, peer] in &pairs {
                scope.spawn(|| (0..EACH).for_each(|_| peer.send("x").unwrap()));
            }
            scope.spawn(|| {
                while received.load(Ordering::Relaxed) < EACH * pairs.len() / 2 {
                    take(&pairs[0][0]);
                    take(&pairs[1][0]);
                    thread::yield_now();
                }
            });
            get_used_to(&all);
            while received.load(Ordering::Relaxed) < EACH * pairs.len() {
                // The other thread may have taken the very last one.
                let answers = ask(&all, Some(Duration::from_millis(200))).unwrap();
                let ready = answers.iter().zip(&pairs).filter(|(answer, _)| answer.can_recv);
                ready.for_each(|(_, [own, _])| _ = take(own));
            }
        });
    }
}
