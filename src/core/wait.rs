//! How a blocked caller waits: spins a little when that pays, then drives its own socket's I/O
//! if nobody else does, or sleeps until somebody rings.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::deferred;
use super::socket::Socket;
use super::spin::pause;
use super::waiting::watch;
use crate::error::Error;
use crate::io::Poller;
use crate::protocols::PipeId;
use crate::sync::atomic::Ordering;
use crate::sys::{self, Event, EventBuffer, WaitFor};
use crate::transports::{Connection, Stream};

impl Socket {
    /// Returns when something may have become receivable since `seen`.
    pub(super) fn wait_to_recv(&self, seen: u32, deadline: Option<Instant>) -> Result<(), Error> {
        deferred::write_out();
        let bell = &self.waiting.recv;
        let has_streams = self.waiting.has_streams();
        if has_streams && bell.handover.try_lead() {
            return self.lead(seen, deadline);
        }
        if !has_streams && self.waiting.spin.try_spin(|| bell.epoch() != seen) {
            return Ok(());
        }
        bell.handover.begin_sleeping();
        // The leader may have resigned before it could see that we are about to sleep.
        if has_streams && bell.handover.try_lead() {
            bell.handover.end_sleeping();
            return self.lead(seen, deadline);
        }
        let result = bell.sleep(seen, deadline);
        bell.handover.end_sleeping();
        result
    }

    /// Drives the socket's streams until there is news.
    fn lead(&self, seen: u32, deadline: Option<Instant>) -> Result<(), Error> {
        let bell = &self.waiting.recv;
        let result = match self.poller() {
            Ok(poller) => self.drive(poller, seen, deadline),
            Err(_) => self.sleep_without_descriptors(seen, deadline),
        };
        bell.resign();
        result
    }

    fn drive(&self, poller: &Poller, seen: u32, deadline: Option<Instant>) -> Result<(), Error> {
        let waiting = &self.waiting;
        let mut events = EventBuffer::default();
        let only = self.only_connection();
        let mut look = || {
            match &only {
                Some(only) => pump(&**only),
                None => self.pump_ready(poller, &mut events),
            }
            waiting.recv.epoch() != seen
        };
        if waiting.spin.try_spin(&mut look) {
            waiting.has_slept.store(false, Ordering::Relaxed);
            return Ok(());
        }
        if !waiting.has_slept.swap(true, Ordering::Relaxed) && look() {
            waiting.has_slept.store(false, Ordering::Relaxed);
            return Ok(());
        }
        let timeout = deadline.map(|at| at.saturating_duration_since(sys::now()));
        if !waiting.recv.handover.begin_polling(seen) {
            return Ok(());
        }
        let result = poller.wait(&mut events, timeout);
        // Before reading: what this thread reads is no news that it must be woken for.
        waiting.recv.handover.end_polling();
        match result {
            Ok(reported) => self.pump_reported(reported),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                return Err(Error::Interrupted);
            }
            // Anything else cannot be helped here; the caller looks again.
            Err(_) => return Ok(()),
        }
        let is_late = deadline.is_some_and(|deadline| sys::now() >= deadline);
        // What was read at the last moment is still in time.
        if is_late && waiting.recv.epoch() == seen { Err(Error::TimedOut) } else { Ok(()) }
    }

    /// Reads from every stream that has something now.
    pub(super) fn pump_ready(&self, poller: &Poller, events: &mut EventBuffer) {
        // A failure here shows again in the next wait.
        if let Ok(reported) = poller.wait(events, Some(Duration::ZERO)) {
            self.pump_reported(reported);
        }
    }

    fn pump_reported(&self, reported: impl Iterator<Item = Event>) {
        for event in reported {
            let id = PipeId(event.key as u32);
            let connection = self.lock().pipes.get(id).map(|pipe| Arc::clone(&pipe.connection));
            if let Some(connection) = connection {
                pump(&*connection);
            }
        }
    }

    /// Reads what the kernel has without waiting. True when there is news since `seen`.
    pub(super) fn pump_ready_streams(&self, seen: u32) -> bool {
        let bell = &self.waiting.recv;
        if self.waiting.has_streams() && bell.handover.try_lead() {
            if let Some(only) = self.only_connection() {
                pump(&*only);
            } else if let Ok(poller) = self.poller() {
                self.pump_ready(poller, &mut EventBuffer::default());
            }
            bell.resign();
        }
        bell.epoch() != seen
    }

    fn only_connection(&self) -> Option<Arc<dyn Connection>> {
        let state = self.lock();
        let mut streams = state.pipes.iter().filter(|pipe| !pipe.is_ended);
        match (streams.next(), streams.next()) {
            (Some(only), None) => Some(Arc::clone(&only.connection)),
            _ => None,
        }
    }

    /// The poller of all streams, made when somebody first waits for them. Only the leader asks.
    pub(super) fn poller(&self) -> io::Result<&Poller> {
        let slot = &self.waiting.recv.leader;
        if let Some(poller) = slot.get() {
            return Ok(poller);
        }
        let poller = Poller::new()?;
        // Under the lock, so that no stream is added or removed unseen.
        let state = self.lock();
        for pipe in state.pipes.iter().filter(|pipe| !pipe.is_ended) {
            if let Some(stream) = pipe.stream() {
                watch(&poller, pipe.id, stream);
            }
        }
        let _ = slot.set(poller);
        slot.get().ok_or_else(|| io::ErrorKind::Other.into())
    }

    /// With no descriptor to be had, the reactor reads and this thread just sleeps.
    fn sleep_without_descriptors(&self, seen: u32, deadline: Option<Instant>) -> Result<(), Error> {
        self.read_in_background();
        let bell = &self.waiting.recv;
        bell.handover.begin_sleeping();
        let result = bell.sleep(seen, deadline);
        bell.handover.end_sleeping();
        result
    }

    /// Returns when something may have become sendable since `seen`.
    pub(super) fn wait_to_send(&self, seen: u32, deadline: Option<Instant>) -> Result<(), Error> {
        deferred::write_out();
        let bell = &self.waiting.send;
        let unwritten = self.unwritten();
        if unwritten.is_empty() {
            if self.waiting.spin.try_spin(|| bell.epoch() != seen) {
                // There is room for one message. A moment later there is room for many, and they
                // can be sent without stepping on the receiver's toes for each.
                pause(ROOM_TO_GROW);
                return Ok(());
            }
        } else if bell.handover.try_lead() {
            let result = self.drive_out(&unwritten, seen, deadline);
            bell.resign();
            return result;
        }
        bell.handover.begin_sleeping();
        if !unwritten.is_empty() && bell.handover.try_lead() {
            bell.handover.end_sleeping();
            let result = self.drive_out(&unwritten, seen, deadline);
            bell.resign();
            return result;
        }
        let result = bell.sleep(seen, deadline);
        bell.handover.end_sleeping();
        result
    }

    /// Waits until one of the streams takes more, and writes.
    fn drive_out(
        &self,
        unwritten: &[Arc<dyn Connection>],
        seen: u32,
        deadline: Option<Instant>,
    ) -> Result<(), Error> {
        let bell = &self.waiting.send;
        let waker = bell.waker();
        let left = deadline.map(|at| at.saturating_duration_since(sys::now()));
        // Without a descriptor to be woken by, look again from time to time.
        let timeout = match (waker, left) {
            (None, left) => Some(left.unwrap_or(LOOK_AGAIN).min(LOOK_AGAIN)),
            (Some(_), left) => left,
        };
        if !bell.handover.begin_polling(seen) {
            return Ok(());
        }
        let streams = || unwritten.iter().filter_map(|connection| connection.stream());
        streams().for_each(Stream::begin_driving);
        let waits = streams()
            .map(|stream| (stream.descriptor(), WaitFor::Writable))
            .chain(waker.map(|waker| (waker.as_raw_fd(), WaitFor::Readable)));
        let result = sys::poll(waits, timeout);
        bell.handover.end_polling();
        if let Some(waker) = waker {
            waker.notice();
        }
        streams().for_each(Stream::end_driving);
        streams().for_each(Stream::write_out);
        match result {
            // What found room at the last moment is still in time.
            Ok(ready) if ready.is_empty() && left.is_some() && left == timeout => {
                if bell.epoch() == seen { Err(Error::TimedOut) } else { Ok(()) }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(Error::Interrupted),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    fn unwritten(&self) -> Vec<Arc<dyn Connection>> {
        let state = self.lock();
        let connections = state.pipes.iter().map(|pipe| &pipe.connection);
        let has_unwritten = |connection: &&Arc<dyn Connection>| {
            connection.stream().is_some_and(Stream::has_unwritten)
        };
        connections.filter(has_unwritten).cloned().collect()
    }
}

fn pump(connection: &dyn Connection) {
    if let Some(stream) = connection.stream() {
        stream.pump();
    }
}

const LOOK_AGAIN: Duration = Duration::from_millis(10);

const ROOM_TO_GROW: Duration = Duration::from_micros(3);
#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;
    use crate::core::joined::{By, Opened, PULL, PUSH, until};
    use crate::core::transfer::Blocking;
    use crate::core::waiting::Bell;
    use crate::io::Wake;
    use crate::sys::interrupted;

    const BOTH: [By; 2] = [By::Stream, By::Inproc];

    fn wait_to_recv(socket: &Opened, deadline: Option<Instant>) -> Result<(), Error> {
        let socket = socket.socket();
        socket.wait_to_recv(socket.waiting.recv.epoch(), deadline)
    }

    fn wait_to_send(socket: &Opened, deadline: Option<Instant>) -> Result<(), Error> {
        let socket = socket.socket();
        socket.wait_to_send(socket.waiting.send.epoch(), deadline)
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
            assert_eq!(socket.wait_to_recv(to_recv, None), Ok(()));
            assert_eq!(socket.wait_to_send(to_send, None), Ok(()));
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
