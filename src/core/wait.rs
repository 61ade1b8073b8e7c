//! How a blocked caller waits: spins a little when that pays, then drives its own socket's I/O
//! if nobody else does, or sleeps until somebody rings.
//!
//! What is here lies down and gets up; the sleep in between is slept by whoever called.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::berth::Berth;
use super::deferred;
use super::lookout::watch;
use super::readiness::Side;
use super::sleep::{self, Bed, Duty, Lead, Miss, Risen, Step, Turn, Visit};
use super::socket::{Joint, Socket};
use crate::error::Error;
use crate::io::{Poller, Spin};
use crate::memory;
use crate::protocols::PipeId;
use crate::sync::atomic::Ordering;
use crate::sys::{self, Event, EventBuffer, PollEntry, Slept, WaitFor, pause};
use crate::transports::{Connection, Moment, RoomWanted, Stream, with_rhythm};

impl Socket {
    /// Looks for a moment for what may have become receivable since `seen`, if that has paid
    /// lately. True when there is news.
    pub(super) fn look_before_sleep(&self, seen: u32, berth: Option<&Berth>) -> bool {
        deferred::write_out();
        let bell = &self.waiting.recv;
        let trunk = self.trunk();
        if !trunk.waiting.has_streams() {
            return self.waiting.spin.try_spin(|| bell.epoch() != seen);
        }
        if !trunk.try_lead() {
            return false;
        }
        let has_news = self.look_at_streams(seen, berth);
        trunk.resign();
        has_news
    }

    /// Prepares to give way before a sleep, if that has paid lately. `Sleep` if it has.
    pub(super) fn step_aside_to_recv(
        &self,
        miss: Miss,
        turn: &mut Turn,
    ) -> Result<Step<()>, Error> {
        if !self.spin().gives_way() {
            return Ok(Step::Done(()));
        }
        sleep::settle();
        let socket = self.visit()?;
        let me = Arc::clone(&socket);
        turn.miss = Some(miss);
        let rings = !self.trunk().waiting.has_streams();
        let seen = rings.then_some(miss.seen);
        turn.step_aside(Duty::StandAside { socket }, seen, Some(me));
        Ok(Step::Sleep)
    }

    /// Goes on with giving way, if that is what the call does. It is done when it does no longer.
    pub(super) fn return_to_recv(&self, turn: &mut Turn) -> Option<Result<Step<()>, Error>> {
        let seen = turn.miss?.seen;
        let trunk = self.trunk();
        // Nobody leads while others have their turn: who follows would follow somebody who does
        // not run.
        let look = |events: &mut Option<EventBuffer>| {
            if trunk.waiting.has_streams() && trunk.waiting.recv.handover.try_lead() {
                let only = trunk.only_connection();
                self.pump_once(only.as_ref(), events, None);
                // Before others are rung for, who are to lead: that is no news.
                let has_news = self.waiting.recv.epoch() != seen;
                trunk.resign();
                return has_news;
            }
            self.waiting.recv.epoch() != seen
        };
        let step = turn.go_on_aside(self.spin(), look)?;
        Some(step.map(|step| {
            step.map(|has_news| {
                if has_news {
                    turn.miss = None;
                }
            })
        }))
    }

    /// What is known of the waits for what one receives.
    fn spin(&self) -> &Spin {
        let trunk = &self.trunk().waiting;
        if trunk.has_streams() { &trunk.spin } else { &self.waiting.spin }
    }

    fn look_at_streams(&self, seen: u32, berth: Option<&Berth>) -> bool {
        let trunk = self.trunk();
        let waiting = &trunk.waiting;
        let only = trunk.only_connection();
        let berth = berth.filter(|_| self.takes_berths());
        let mut events = None;
        let mut look = || {
            self.pump_once(only.as_ref(), &mut events, berth);
            self.waiting.recv.epoch() != seen
        };
        let has_news = waiting.spin.try_spin(&mut look)
            || (!waiting.has_slept.swap(true, Ordering::Relaxed) && look());
        if has_news {
            waiting.has_slept.store(false, Ordering::Relaxed);
        }
        has_news
    }

    /// Reads what there is, for whoever leads.
    fn pump_once(
        &self,
        only: Option<&Arc<dyn Connection>>,
        events: &mut Option<EventBuffer>,
        berth: Option<&Berth>,
    ) {
        // Branches wait for the same streams.
        let trunk = self.trunk();
        if let Some(only) = only {
            pump(only, berth);
        } else if let Ok(poller) = trunk.poller() {
            trunk.pump_ready(poller, events.get_or_insert_default());
        }
    }

    /// Prepares to sleep until something may have become receivable since `seen`. It is done when
    /// that may be so already.
    pub(super) fn lie_down_to_recv(
        &self,
        seen: u32,
        until: Option<Instant>,
        turn: &mut Turn,
        lead: Option<Lead>,
    ) -> Result<Step<()>, Error> {
        sleep::settle();
        let visit = self.visit()?;
        let trunk = Arc::clone(self.joint.as_deref().map_or(&*visit, |joint| &joint.trunk));
        // Asked anew behind the fence of who begins to sleep: a stream that has come meanwhile has
        // not rung if somebody led who may be gone by now.
        let take_lead = || trunk.waiting.has_streams().then(|| Lead::take(&trunk)).flatten();
        if let Some(lead) = lead.or_else(take_lead) {
            return Ok(self.lie_down_leading(visit, lead, seen, until, turn));
        }
        let duty = Duty::follow(visit, Side::Recv);
        // The leader may have resigned before it could see that we are about to sleep.
        if let Some(lead) = take_lead() {
            drop(duty);
            return Ok(self.lie_down_leading(self.visit()?, lead, seen, until, turn));
        }
        turn.follow(duty, seen, until);
        Ok(Step::Sleep)
    }

    /// Prepares to sleep in front of the socket's streams.
    fn lie_down_leading(
        &self,
        visit: Visit,
        lead: Lead,
        seen: u32,
        until: Option<Instant>,
        turn: &mut Turn,
    ) -> Step<()> {
        let socket = Arc::clone(&visit);
        let duty = Duty::LeadRecv { socket: visit, lead: Some(lead) };
        if self.poller().is_err() {
            // With no descriptor to be had, the reactor reads and this thread just sleeps.
            drop(duty);
            self.read_in_background();
            turn.follow(Duty::follow(Visit::new(&socket), Side::Recv), seen, until);
            return Step::Sleep;
        }
        if !self.waiting.recv.handover.begin_polling(seen) {
            return Step::Done(());
        }
        turn.lie_down(duty, Bed::Poller { seen }, Some(socket), until);
        Step::Sleep
    }

    /// Gets up again, perhaps with the lead, which others of the same trunk would take.
    ///
    /// # Errors
    /// `TimedOut` at the end of the sleep, `Interrupted`.
    pub(super) fn rise_to_recv(
        &self,
        risen: Risen,
        turn: &mut Turn,
        berth: Option<&Berth>,
    ) -> Result<Option<Lead>, Error> {
        let Risen { mut duty, bed, slept } = risen;
        if let (Bed::Poller { seen }, Slept::Woken | Slept::TimedOut) = (&bed, slept) {
            if let Some(poller) = self.waiting.recv.leader.get() {
                self.trunk().pump_reported(poller.reported(turn.events()), berth);
            }
            // What was read at the last moment is still in time.
            if self.waiting.recv.epoch() != *seen {
                return Ok(self.keep_lead(&mut duty));
            }
        }
        let lead = self.keep_lead(&mut duty);
        drop(duty);
        // Anything else that the kernel says cannot be helped here; the caller looks again.
        match slept {
            Slept::Woken | Slept::Failed => Ok(lead),
            Slept::TimedOut => Err(Error::TimedOut),
            Slept::Interrupted => Err(Error::Interrupted),
        }
    }

    /// The lead of one who is awake and has, or inherits, it: where branches wait for the same
    /// streams, what has woken him need not be for him, and to hand the lead over is to wake one of
    /// them. He keeps it until he has what he wants.
    fn keep_lead(&self, duty: &mut Duty) -> Option<Lead> {
        let trunk = self.trunk();
        if self.joint.is_none() && !trunk.has_heirs() {
            return None;
        }
        match (duty, self.joint.as_deref()) {
            (Duty::LeadRecv { lead, .. }, _) => lead.take(),
            (Duty::Follow { .. }, Some(Joint { trunk, .. })) if trunk.waiting.has_streams() => {
                Lead::take(trunk)
            }
            _ => None,
        }
    }

    /// Gives up the lead of the streams, which somebody else takes who sleeps.
    pub(super) fn resign(&self) {
        self.waiting.recv.resign();
        // Behind the fence in there, which pairs with that of one who begins to sleep.
        if self.has_heirs() && self.waiting.has_streams() {
            self.wake_heir();
        }
    }

    fn has_heirs(&self) -> bool {
        self.waiting.heirs.load(Ordering::Relaxed) > 0
    }

    /// Reads from every stream that has something now.
    pub(super) fn pump_ready(&self, poller: &Poller, events: &mut EventBuffer) {
        // A failure here shows again in the next wait.
        if let Ok(reported) = poller.wait(events, Some(Duration::ZERO)) {
            self.pump_reported(reported, None);
        }
    }

    fn pump_reported(&self, reported: impl Iterator<Item = Event>, berth: Option<&Berth>) {
        for event in reported {
            self.pump_pipe(PipeId(event.key as u32), berth);
        }
    }

    /// Reads from one stream.
    pub(super) fn pump_pipe(&self, id: PipeId, berth: Option<&Berth>) {
        let (connection, is_only) = {
            let state = self.lock();
            let connection = state.pipes.get(id).map(|pipe| Arc::clone(&pipe.connection));
            (connection, state.pipes.only_live().is_some_and(|only| only.id == id))
        };
        if let Some(connection) = connection {
            pump(&connection, berth.filter(|_| is_only && self.takes_berths()));
        }
    }

    /// Whether a message may be read into the memory of the caller who waits for it: he gets the
    /// next one, and does not leave without it because his time is over.
    fn takes_berths(&self) -> bool {
        let has_time = || self.options().recv_deadline().is_none();
        self.joint.is_none() && self.socket_type().hands_out && has_time()
    }

    /// Reads what the kernel has without waiting. True when there is news since `seen`.
    pub(super) fn pump_ready_streams(&self, seen: u32) -> bool {
        let trunk = self.trunk();
        if trunk.waiting.has_streams() && trunk.try_lead() {
            if let Some(only) = trunk.only_connection() {
                pump(&only, None);
            } else if let Ok(poller) = trunk.poller() {
                trunk.pump_ready(poller, &mut EventBuffer::default());
            }
            trunk.resign();
        }
        self.waiting.recv.epoch() != seen
    }

    /// Takes the lead, unless another thread has it.
    fn try_lead(&self) -> bool {
        let handover = &self.waiting.recv.handover;
        handover.try_lead() || {
            sleep::settle();
            handover.try_lead()
        }
    }

    pub(super) fn only_connection(&self) -> Option<Arc<dyn Connection>> {
        self.lock().pipes.only_live().map(|pipe| Arc::clone(&pipe.connection))
    }

    /// The poller of all streams, made when somebody first waits for them. Only the leader asks.
    pub(super) fn poller(&self) -> io::Result<&Arc<Poller>> {
        let slot = &self.waiting.recv.leader;
        if let Some(poller) = slot.get() {
            return Ok(poller);
        }
        if let Some(Joint { trunk, .. }) = self.joint.as_deref() {
            let _ = slot.set(Arc::clone(trunk.poller()?));
            return slot.get().ok_or_else(|| io::ErrorKind::Other.into());
        }
        let poller = memory::shared(Poller::new()?).map_err(|_| io::ErrorKind::OutOfMemory)?;
        // Under the lock, so that no stream is added or removed unseen.
        let state = self.lock();
        for pipe in state.pipes.iter().filter(|pipe| !pipe.is_ended) {
            if let Some(stream) = pipe.stream() {
                watch(&poller, pipe.id.0.into(), stream);
            }
        }
        let _ = slot.set(poller);
        slot.get().ok_or_else(|| io::ErrorKind::Other.into())
    }

    /// Prepares to sleep until a message of that size may have become sendable since `seen`. It is
    /// done when that may be so already.
    pub(super) fn lie_down_to_send(
        &self,
        seen: u32,
        until: Option<Instant>,
        size: usize,
        turn: &mut Turn,
    ) -> Result<Step<()>, Error> {
        deferred::write_out();
        sleep::settle();
        let bell = &self.waiting.send;
        let unwritten = self.unwritten();
        if unwritten.is_empty() {
            if self.waiting.spin.try_spin(|| bell.epoch() != seen) {
                // There is room for one message. A moment later there is room for many, and they
                // can be sent without stepping on the receiver's toes for each.
                if self.only_connection().is_none_or(|on| on.holds_several(size)) {
                    pause(ROOM_TO_GROW);
                }
                return Ok(Step::Done(()));
            }
            let visit = self.visit()?;
            // Others wait for a descriptor to show any room.
            let may_bide = self.shown.descriptor(Side::Send).is_none();
            let room = if Spin::can_pay() { RoomWanted::Half } else { RoomWanted::All };
            let only = self.only_connection().filter(|on| may_bide && on.begin_patience(room));
            if let Some(on) = only {
                let (socket, soon) = (Arc::clone(&visit), sys::now() + PATIENCE);
                let until = until.map_or(soon, |until| until.min(soon));
                let bed = Bed::Epoch { side: Side::Send, seen };
                turn.lie_down(Duty::bide(visit, on), bed, Some(socket), Some(until));
                return Ok(Step::Sleep);
            }
        } else if bell.handover.try_lead() {
            return Ok(self.lie_down_driving(self.visit()?, unwritten, seen, until, turn));
        }
        let duty = Duty::follow(self.visit()?, Side::Send);
        if !unwritten.is_empty() && bell.handover.try_lead() {
            drop(duty);
            return Ok(self.lie_down_driving(self.visit()?, unwritten, seen, until, turn));
        }
        turn.follow(duty, seen, until);
        Ok(Step::Sleep)
    }

    /// Prepares to sleep until one of the streams takes more.
    fn lie_down_driving(
        &self,
        visit: Visit,
        unwritten: Vec<Arc<dyn Connection>>,
        seen: u32,
        until: Option<Instant>,
        turn: &mut Turn,
    ) -> Step<()> {
        let bell = &self.waiting.send;
        let waker = bell.waker();
        let socket = Arc::clone(&visit);
        // Without a descriptor to be woken by, look again from time to time.
        let slice = waker.is_none().then(|| sys::now() + LOOK_AGAIN);
        let streams = || unwritten.iter().filter_map(|connection| connection.stream());
        let waits = streams()
            .map(|stream| PollEntry::new(stream.descriptor(), WaitFor::Writable))
            .chain(waker.map(|waker| PollEntry::new(waker.as_raw_fd(), WaitFor::Readable)));
        let entries = waits.collect();
        if bell.handover.begin_polling(seen) {
            streams().for_each(Stream::begin_driving);
            let duty = Duty::LeadSend { socket: visit, driven: unwritten };
            let bed = Bed::Descriptors { entries, seen };
            let until = [until, slice].into_iter().flatten().min();
            turn.lie_down(duty, bed, Some(socket), until);
            return Step::Sleep;
        }
        bell.resign();
        Step::Done(())
    }

    /// Gets up again.
    ///
    /// # Errors
    /// `TimedOut` at the end of the sleep, `Interrupted`.
    pub(super) fn rise_to_send(&self, risen: Risen) -> Result<(), Error> {
        let Risen { duty, bed, slept } = risen;
        if let (Duty::LeadSend { .. }, Some(waker)) = (&duty, self.waiting.send.leader.get()) {
            waker.notice();
        }
        let looks_again = matches!(duty, Duty::Bide { .. });
        // Writes, before anybody looks whether there is room.
        drop(duty);
        with_rhythm(|rhythm| rhythm.end(Moment(sys::nanoseconds())));
        match slept {
            Slept::Woken | Slept::Failed => Ok(()),
            // What found room at the last moment is still in time.
            Slept::TimedOut if Some(self.waiting.send.epoch()) != bed.seen() => Ok(()),
            // It may be his deadline, too: whoever looks again asks for that.
            Slept::TimedOut if looks_again => Ok(()),
            Slept::TimedOut => Err(Error::TimedOut),
            Slept::Interrupted => Err(Error::Interrupted),
        }
    }

    /// What a blocked sender may write for himself. Among many, looking for it would cost more than
    /// that saves; what is left behind has somebody who writes it in any case.
    fn unwritten(&self) -> Vec<Arc<dyn Connection>> {
        let state = self.lock();
        if state.pipes.len() > DRIVEN_MAX {
            return Vec::new();
        }
        let connections = state.pipes.iter().map(|pipe| &pipe.connection);
        let has_unwritten = |connection: &&Arc<dyn Connection>| {
            connection.stream().is_some_and(Stream::has_unwritten)
        };
        connections.filter(has_unwritten).cloned().collect()
    }

    /// For a call that is about to sleep.
    ///
    /// # Errors
    /// `NotOpen` when the socket is gone.
    pub(super) fn visit(&self) -> Result<Visit, Error> {
        self.me.upgrade().as_ref().map(Visit::new).ok_or(Error::NotOpen)
    }
}

pub(super) fn pump(connection: &Arc<dyn Connection>, berth: Option<&Berth>) {
    match (berth, connection.stream()) {
        (Some(berth), _) => berth.pump(connection),
        (None, Some(stream)) => stream.pump(None),
        (None, None) => {}
    }
}

const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// How long a sender sleeps until there is room for many messages, before one is enough.
const PATIENCE: Duration = Duration::from_micros(100);
const ROOM_TO_GROW: Duration = Duration::from_micros(3);
/// So many streams are looked through, and waited for, at most.
const DRIVEN_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;
    use crate::core::joined::{By, Opened, PULL, PUSH, until};
    use crate::core::transfer::{Blocking, finish};
    use crate::core::waiting::Bell;
    use crate::io::Wake;
    use crate::sys::interrupted;

    const BOTH: [By; 2] = [By::Stream, By::Inproc];

    fn wait_to_recv(socket: &Opened, deadline: Option<Instant>) -> Result<(), Error> {
        let socket = socket.socket();
        recv_since(&socket, socket.waiting.recv.epoch(), deadline)
    }

    fn wait_to_send(socket: &Opened, deadline: Option<Instant>) -> Result<(), Error> {
        let socket = socket.socket();
        send_since(&socket, socket.waiting.send.epoch(), deadline)
    }

    fn recv_since(socket: &Socket, seen: u32, deadline: Option<Instant>) -> Result<(), Error> {
        finish(|turn| match turn.rise() {
            Some(risen) => socket.rise_to_recv(risen?, turn, None).map(|_| Step::Done(())),
            None => socket.lie_down_to_recv(seen, deadline, turn, None),
        })
    }

    fn send_since(socket: &Socket, seen: u32, deadline: Option<Instant>) -> Result<(), Error> {
        finish(|turn| match turn.rise() {
            Some(risen) => socket.rise_to_send(risen?).map(Step::Done),
            None => socket.lie_down_to_send(seen, deadline, 1, turn),
        })
    }

    /// Sends until nothing more fits. Returns how often. A peer that reads ahead makes room for a
    /// little more, some time.
    fn fill(socket: &Opened) -> usize {
        let text = "x".repeat(10_000);
        let mut count = 0;
        loop {
            match socket.send_if(&text, Blocking::DontWait) {
                Ok(()) => count += 1,
                Err(error) => {
                    assert_eq!(error, Error::WouldBlock);
                    return count;
                }
            }
        }
    }

    /// Nobody waits any more, and nobody seems to.
    fn assert_calm<W: Wake>(bell: &Bell<W>) {
        assert!(!bell.is_led());
        assert_eq!(bell.handover.sleepers(), 0);
    }

    #[test]
    fn one_leads_and_the_next_one_sleeps_until_it_is_his_turn() {
        let [own, peer] = Opened::pair(By::Stream);
        let (tell, told) = mpsc::channel();
        thread::scope(|scope| {
            for _ in 0..2 {
                let (own, tell) = (&own, tell.clone());
                scope.spawn(move || tell.send(own.recv().unwrap()).unwrap());
            }
            let socket = own.socket();
            let handover = &socket.waiting.recv.handover;
            until(|| handover.is_led() && handover.sleepers() == 1);
            peer.send("one").unwrap();
            assert_eq!(told.recv().unwrap(), "one");
            until(|| handover.is_led() && handover.sleepers() == 0);
            peer.send("two").unwrap();
            assert_eq!(told.recv().unwrap(), "two");
        });
        assert_calm(&own.socket().waiting.recv);
    }

    #[test]
    fn without_a_stream_nobody_leads_and_one_message_serves_one() {
        let [own, peer] = Opened::pair(By::Inproc);
        let (tell, told) = mpsc::channel();
        thread::scope(|scope| {
            for _ in 0..2 {
                let (own, tell) = (&own, tell.clone());
                scope.spawn(move || tell.send(own.recv().unwrap()).unwrap());
            }
            let socket = own.socket();
            until(|| socket.waiting.recv.handover.sleepers() == 2);
            assert!(!socket.waiting.recv.is_led());
            peer.send("one").unwrap();
            assert_eq!(told.recv().unwrap(), "one");
            until(|| socket.waiting.recv.handover.sleepers() == 1);
            peer.send("two").unwrap();
            assert_eq!(told.recv().unwrap(), "two");
        });
        assert_calm(&own.socket().waiting.recv);
    }

    #[test]
    fn who_drives_streams_hears_of_what_comes_another_way() {
        let (own, near, far) = (Opened::new(PULL), Opened::new(PUSH), Opened::new(PUSH));
        own.join(&far, By::Stream);
        own.join(&near, By::Inproc);
        thread::scope(|scope| {
            for (from, text) in [(&near, "near"), (&far, "far"), (&near, "again")] {
                let receiver = scope.spawn(|| own.recv());
                until(|| own.socket().waiting.recv.is_led());
                from.send(text).unwrap();
                assert_eq!(receiver.join().unwrap().as_deref(), Ok(text));
            }
        });
        assert_calm(&own.socket().waiting.recv);
    }

    #[test]
    fn streams_that_come_and_go_are_followed() {
        let (own, first) = (Opened::new(PULL), Opened::new(PUSH));
        own.join(&first, By::Stream);
        thread::scope(|scope| {
            // Its poller knows the first stream only.
            let receiver = scope.spawn(|| own.recv());
            until(|| own.socket().waiting.recv.is_led());
            let second = Opened::new(PUSH);
            own.join(&second, By::Stream);
            second.send("second").unwrap();
            assert_eq!(receiver.join().unwrap().as_deref(), Ok("second"));
            let receiver = scope.spawn(|| own.recv());
            until(|| own.socket().waiting.recv.is_led());
            second.close();
            until(|| own.socket().lock().traffic.connections == 1);
            first.send("first").unwrap();
            assert_eq!(receiver.join().unwrap().as_deref(), Ok("first"));
        });
    }

    #[test]
    fn news_since_the_look_end_a_wait_before_it_begins() {
        for by in BOTH {
            let [own, _peer] = Opened::pair(by);
            let socket = own.socket();
            let (to_recv, to_send) = (socket.waiting.recv.epoch(), socket.waiting.send.epoch());
            socket.waiting.ring_all();
            assert_eq!(recv_since(&socket, to_recv, None), Ok(()));
            assert_eq!(send_since(&socket, to_send, None), Ok(()));
        }
    }

    #[test]
    fn no_deadline_is_early_and_one_that_has_passed_is_over() {
        for by in BOTH {
            let [own, _peer] = Opened::pair(by);
            fill(&own);
            for wait in [wait_to_recv, wait_to_send] {
                let deadline = Instant::now() + Duration::from_micros(1500);
                // Room in the kernel is news, too, for which there may be none to make use of it.
                until(|| wait(&own, Some(deadline)) == Err(Error::TimedOut));
                assert!(Instant::now() >= deadline);
                until(|| wait(&own, Some(deadline)) == Err(Error::TimedOut));
            }
            assert_calm(&own.socket().waiting.recv);
            assert_calm(&own.socket().waiting.send);
        }
    }

    #[test]
    fn a_signal_interrupts_whoever_waits_however_he_does() {
        for by in BOTH {
            let pair = Arc::new(Opened::pair(by));
            fill(&pair[0]);
            for wait in [wait_to_recv, wait_to_send] {
                let waiting = Arc::clone(&pair);
                let result = interrupted(move || {
                    loop {
                        match wait(&waiting[0], None) {
                            Ok(()) => {}
                            Err(error) => return error,
                        }
                    }
                });
                assert_eq!(result, Error::Interrupted);
            }
            assert_calm(&pair[0].socket().waiting.recv);
            assert_calm(&pair[0].socket().waiting.send);
        }
    }

    #[test]
    fn a_sender_goes_on_where_little_room_comes_and_no_more() {
        let [own, peer] = Opened::pair(By::Inproc);
        for round in 0..20 {
            fill(&own);
            thread::scope(|scope| {
                let sender = scope.spawn(|| own.send("more"));
                if round % 2 == 0 {
                    until(|| own.socket().waiting.send.handover.sleepers() == 1);
                }
                peer.recv().unwrap();
                assert_eq!(sender.join().unwrap(), Ok(()));
            });
            while peer.recv_if(Blocking::DontWait).is_ok() {}
        }
        assert_calm(&own.socket().waiting.send);
    }

    #[test]
    fn closing_wakes_everybody() {
        for by in BOTH {
            let [own, _peer] = Opened::pair(by);
            fill(&own);
            thread::scope(|scope| {
                let receivers = [(); 2].map(|()| scope.spawn(|| own.recv()));
                let send = || std::iter::repeat_with(|| own.send("more")).find_map(Result::err);
                let senders = [(); 2].map(|()| scope.spawn(send));
                {
                    let socket = own.socket();
                    let count = |is_led: bool, sleepers: u32| u32::from(is_led) + sleepers;
                    let (recv, send) = (&socket.waiting.recv, &socket.waiting.send);
                    until(|| count(recv.is_led(), recv.handover.sleepers()) == 2);
                    until(|| count(send.is_led(), send.handover.sleepers()) == 2);
                }
                let linger = 0_i32.to_ne_bytes();
                own.socket().set_option(0, 1, Some(&linger)).unwrap();
                own.close();
                for receiver in receivers {
                    assert_eq!(receiver.join().unwrap(), Err(Error::NotOpen));
                }
                for sender in senders {
                    assert_eq!(sender.join().unwrap(), Some(Error::NotOpen));
                }
            });
        }
    }

    #[test]
    fn senders_that_wait_for_room_all_find_it() {
        for by in BOTH {
            let [own, peer] = Opened::pair(by);
            let filled = fill(&own);
            let text = "x".repeat(10_000);
            thread::scope(|scope| {
                for _ in 0..2 {
                    // More than twice what fits, so that they have to wait, and one for the other.
                    scope.spawn(|| (0..filled).for_each(|_| own.send(&text).unwrap()));
                }
                until(|| own.socket().waiting.send.handover.sleepers() > 0);
                for _ in 0..filled * 3 {
                    assert_eq!(peer.recv().unwrap().len(), 10_000);
                }
            });
            assert_calm(&own.socket().waiting.send);
        }
    }
}
