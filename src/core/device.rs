//! Devices: what one raw socket receives, another one sends.
//!
//! A message moves from socket to socket as it is, header, body and control data; nothing is
//! copied. The second direction of a two-way device needs a thread of its own, beside the caller's.

use std::sync::Arc;

use super::registry::RAW;
use super::sleep::{Step, Turn, Visit};
use super::socket::Socket;
use super::transfer::{Blocking, finish};
use crate::error::Error;
use crate::message::Message;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sys::{self, Thread, cancellation};

/// Two sockets that fit together, or one whose messages go back to where they came from.
pub struct Device {
    there: Direction,
    way: Way,
    back: Back,
    /// Neither direction goes on when this is set.
    stop: Arc<AtomicBool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// From the first to the second.
    One,
    Both,
}

/// The second direction.
enum Back {
    NotStarted,
    Running(Thread),
}

impl Device {
    /// A device that sends what `socket` receives on the same socket.
    ///
    /// # Errors
    /// `Invalid` when it is not raw.
    pub fn looping(socket: Visit) -> Result<Device, Error> {
        if !is_raw(&socket) {
            return Err(Error::Invalid);
        }
        let same = Visit::new(&socket);
        Ok(Device::new(socket, same, Way::One))
    }

    /// # Errors
    /// `Invalid` when they are not raw, not of one family, or when one of them can receive what the
    /// other one cannot send.
    pub fn between(first: Visit, second: Visit) -> Result<Device, Error> {
        let (one, other) = (first.socket_type(), second.socket_type());
        // Socket types come in families of sixteen.
        let are_related = one.number >> 4 == other.number >> 4;
        let do_fit = one.can_recv == other.can_send && one.can_send == other.can_recv;
        if !(is_raw(&first) && is_raw(&second) && are_related && do_fit) {
            return Err(Error::Invalid);
        }
        Ok(match (one.can_recv, other.can_recv) {
            (true, true) => Device::new(first, second, Way::Both),
            (true, false) => Device::new(first, second, Way::One),
            (false, _) => Device::new(second, first, Way::One),
        })
    }

    fn new(first: Visit, second: Visit, way: Way) -> Device {
        // Each direction touches one socket at a time, and has to hear of the end of the other.
        first.add_companion(&second);
        second.add_companion(&first);
        let there = Direction::new(first, second, way);
        Device { there, way, back: Back::NotStarted, stop: Arc::default() }
    }

    /// Passes messages on until nothing is there any more, or until that is no longer possible.
    /// The caller sleeps before the next step.
    ///
    /// # Errors
    /// Why it is not possible.
    pub fn step(&mut self, turn: &mut Turn) -> Result<Step<()>, Error> {
        if let (Way::Both, Back::NotStarted) = (self.way, &self.back) {
            self.back = Back::Running(self.start_back()?);
        }
        let step = self.there.step(turn, &self.stop);
        if step.is_err() {
            // The other direction goes on for as long as it can.
            self.await_back();
        }
        step
    }

    fn await_back(&mut self) {
        if let Back::Running(thread) = std::mem::replace(&mut self.back, Back::NotStarted) {
            cancellation::held(|| thread.join());
        }
    }

    /// The two sockets, which may be one.
    pub fn sockets(&self) -> [&Socket; 2] {
        [&self.there.from, &self.there.to].map(|socket| &***socket)
    }

    fn start_back(&self) -> Result<Thread, Error> {
        let (first, second) = (Visit::new(&self.there.from), Visit::new(&self.there.to));
        let mut back = Direction::new(second, first, Way::Both);
        let stop = Arc::clone(&self.stop);
        let run = move || _ = finish(|turn| back.step(turn, &stop));
        Ok(Thread::start(c"spmsg-device", sys::STACK_SIZE, run)?)
    }

    #[cfg(test)]
    fn run(mut self) -> Error {
        finish(|turn| self.step(turn)).expect_err("a device does not end well")
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let (first, second) = (&self.there.from, &self.there.to);
        self.stop.store(true, Ordering::Relaxed);
        first.waiting.ring_all();
        second.waiting.ring_all();
        first.remove_companion(second);
        second.remove_companion(first);
        self.await_back();
    }
}

/// One direction of a device, and the message that is on its way.
struct Direction {
    from: Visit,
    to: Visit,
    way: Way,
    message: Message,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Receiving,
    Sending,
}

impl Direction {
    fn new(from: Visit, to: Visit, way: Way) -> Direction {
        Direction { from, to, way, message: Message::default(), stage: Stage::Receiving }
    }

    /// # Errors
    /// Why nothing more can be passed on.
    fn step(&mut self, turn: &mut Turn, stop: &AtomicBool) -> Result<Step<()>, Error> {
        loop {
            let step = match self.stage {
                Stage::Receiving => self.receive(turn, stop),
                Stage::Sending => self.send(turn, stop),
            };
            match step {
                Ok(Step::Done(())) => {}
                // Signals concern neither direction, and the message must not be lost to one.
                Err(Error::Interrupted) if self.way == Way::Both => {}
                result => return result,
            }
        }
    }

    fn receive(&mut self, turn: &mut Turn, stop: &AtomicBool) -> Result<Step<()>, Error> {
        self.from.check_can_recv()?;
        let blocking = Blocking::Beside(&self.to, stop);
        let step = self.from.recv_step(turn, &mut self.message, blocking, |_| Ok(()))?;
        if step == Step::Done(()) {
            self.stage = Stage::Sending;
            *turn = Turn::default();
        }
        Ok(step)
    }

    fn send(&mut self, turn: &mut Turn, stop: &AtomicBool) -> Result<Step<()>, Error> {
        self.to.check_can_send()?;
        let blocking = Blocking::Beside(&self.from, stop);
        let step = self.to.send_step(turn, &mut self.message, blocking)?;
        if step == Step::Done(()) {
            self.stage = Stage::Receiving;
            *turn = Turn::default();
        }
        Ok(step)
    }
}

fn is_raw(socket: &Socket) -> bool {
    socket.context.domain == RAW
}

#[cfg(test)]
mod tests {
    use std::sync::Weak;

    use super::*;
    use crate::core::fixtures::{Opened, PAIR, PUB, PULL, PUSH, REP, REQ, SUB, fresh_name};
    use crate::core::options::option::RECV_TIMEOUT;
    use std::thread;

    fn raw(protocol: i32) -> Opened {
        Opened::new(RAW, protocol)
    }

    fn way(first: &Opened, second: &Opened) -> Result<Way, Error> {
        let (first, second) = (first.get(), second.get());
        Device::between(first.to_visit(), second.to_visit()).map(|device| device.way)
    }

    #[test]
    fn only_raw_sockets_that_fit_make_a_device() {
        assert_eq!(way(&raw(REP), &raw(REQ)), Ok(Way::Both));
        assert_eq!(way(&raw(PAIR), &raw(PAIR)), Ok(Way::Both));
        assert_eq!(way(&raw(PULL), &raw(PUSH)), Ok(Way::One));
        assert_eq!(way(&raw(PUB), &raw(SUB)), Ok(Way::One));
        assert_eq!(way(&raw(REP), &Opened::cooked(REQ)), Err(Error::Invalid));
        assert_eq!(way(&raw(PULL), &raw(PULL)), Err(Error::Invalid));
        assert_eq!(way(&raw(PULL), &raw(PUB)), Err(Error::Invalid));
        assert!(Device::looping(raw(PAIR).get().to_visit()).is_ok());
        let cooked = Opened::cooked(PAIR).get().to_visit();
        assert_eq!(Device::looping(cooked).err(), Some(Error::Invalid));
    }

    #[test]
    fn sockets_forget_each_other_with_the_device() {
        let (first, second) = (raw(PAIR), raw(PAIR));
        let (first, second) = (first.get(), second.get());
        let known = || [&first, &second].map(|socket| Weak::weak_count(&socket.me));
        let before = known();
        let device = Device::between(first.to_visit(), second.to_visit()).unwrap();
        assert_eq!(known(), before.map(|count| count + 1));
        drop(device);
        assert_eq!(known(), before);
    }

    /// In whichever order they are given, messages go from the one that receives.
    #[test]
    fn messages_pass_until_a_socket_is_closed() {
        for swap in [false, true] {
            let (pull, push, names) = (raw(PULL), raw(PUSH), [fresh_name(), fresh_name()]);
            let (source, sink) = (Opened::cooked(PUSH), Opened::cooked(PULL));
            pull.bind(&names[0]);
            push.bind(&names[1]);
            source.connect(&names[0]);
            sink.connect(&names[1]);
            thread::scope(|scope| {
                let running = scope.spawn(|| {
                    let (pull, push) = (pull.get(), push.get());
                    let pair = if swap { (&push, &pull) } else { (&pull, &push) };
                    Device::between(pair.0.to_visit(), pair.1.to_visit()).unwrap().run()
                });
                source.send("one").unwrap();
                source.send("two").unwrap();
                assert_eq!([sink.recv(), sink.recv()], [Ok("one".into()), Ok("two".into())]);
                // The device waits to receive; it is the other socket whose end it hears of.
                push.get().take_out_of_service();
                assert_eq!(running.join().unwrap(), Error::NotOpen);
            });
        }
    }

    #[test]
    fn questions_go_there_and_answers_come_back() {
        let (front, back, names) = (raw(REP), raw(REQ), [fresh_name(), fresh_name()]);
        let (req, rep) = (Opened::cooked(REQ), Opened::cooked(REP));
        front.bind(&names[0]);
        back.bind(&names[1]);
        req.connect(&names[0]);
        rep.connect(&names[1]);
        thread::scope(|scope| {
            let running = scope.spawn(|| {
                let (front, back) = (front.get(), back.get());
                Device::between(front.to_visit(), back.to_visit()).unwrap().run()
            });
            for text in ["one", "two"] {
                req.send(text).unwrap();
                assert_eq!(rep.recv(), Ok(text.into()));
                rep.send("answer").unwrap();
                assert_eq!(req.recv(), Ok("answer".into()));
            }
            front.get().take_out_of_service();
            assert_eq!(running.join().unwrap(), Error::NotOpen);
        });
    }

    #[test]
    fn a_loop_gives_back_and_a_timeout_ends_it() {
        let (looping, peer, name) = (raw(PAIR), Opened::cooked(PAIR), fresh_name());
        looping.bind(&name);
        peer.connect(&name);
        peer.send("there").unwrap();
        looping.set_int(&RECV_TIMEOUT, 0).unwrap();
        let socket = looping.get();
        assert_eq!(Device::looping(socket.to_visit()).unwrap().run(), Error::TimedOut);
        assert_eq!(peer.recv(), Ok("there".into()));
    }
}
