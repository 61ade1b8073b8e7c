//! Devices: what one raw socket receives, another one sends.
//!
//! A message moves from socket to socket as it is, header, body and control data; nothing is
//! copied. The second direction of a two-way device needs a thread of its own, beside the caller's.

use super::registry::RAW;
use super::socket::Socket;
use super::transfer::Blocking;
use crate::error::Error;
use crate::message::Message;
use crate::sync::thread;
use crate::sys;

/// Two sockets that fit together, or one whose messages go back to where they came from.
pub struct Device<'a> {
    first: &'a Socket,
    second: &'a Socket,
    way: Way,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// From the first to the second.
    One,
    Both,
}

impl<'a> Device<'a> {
    /// A device that sends what `socket` receives on the same socket.
    ///
    /// # Errors
    /// `Invalid` when it is not raw.
    pub fn looping(socket: &'a Socket) -> Result<Device<'a>, Error> {
        if !is_raw(socket) {
            return Err(Error::Invalid);
        }
        Ok(Device::new(socket, socket, Way::One))
    }

    /// # Errors
    /// `Invalid` when they are not raw, not of one family, or when one of them can receive what the
    /// other one cannot send.
    pub fn between(first: &'a Socket, second: &'a Socket) -> Result<Device<'a>, Error> {
        let (one, other) = (first.socket_type(), second.socket_type());
        // Socket types come in families of sixteen.
        let are_related = one.number >> 4 == other.number >> 4;
        let do_fit = one.can_recv == other.can_send && one.can_send == other.can_recv;
        if !(is_raw(first) && is_raw(second) && are_related && do_fit) {
            return Err(Error::Invalid);
        }
        Ok(match (one.can_recv, other.can_recv) {
            (true, true) => Device::new(first, second, Way::Both),
            (true, false) => Device::new(first, second, Way::One),
            (false, _) => Device::new(second, first, Way::One),
        })
    }

    fn new(first: &'a Socket, second: &'a Socket, way: Way) -> Device<'a> {
        // Each direction touches one socket at a time, and has to hear of the end of the other.
        first.add_companion(second);
        second.add_companion(first);
        Device { first, second, way }
    }

    /// Passes messages on until that is no longer possible. Says why.
    pub fn run(&self) -> Error {
        match self.way {
            Way::One => self.forward(self.first, self.second),
            Way::Both => self.run_both_ways(),
        }
    }

    fn run_both_ways(&self) -> Error {
        thread::scope(|scope| {
            let back = || self.forward_undisturbed(self.second, self.first);
            let builder = thread::Builder::new().name("spmsg-device".into());
            let started = sys::with_signals_blocked(|| builder.spawn_scoped(scope, back));
            match started {
                Ok(_) => self.forward_undisturbed(self.first, self.second),
                Err(error) => error.into(),
            }
        })
    }

    /// Signals concern neither direction.
    fn forward_undisturbed(&self, from: &Socket, to: &Socket) -> Error {
        loop {
            match self.forward(from, to) {
                Error::Interrupted => {}
                error => return error,
            }
        }
    }

    fn forward(&self, from: &Socket, to: &Socket) -> Error {
        let mut message = Message::default();
        loop {
            if let Err(error) = self.step(from, to, &mut message) {
                return error;
            }
        }
    }

    fn step(&self, from: &Socket, to: &Socket, message: &mut Message) -> Result<(), Error> {
        from.check_can_recv()?;
        from.recv(message, Blocking::Beside(to), |_| Ok(()))?;
        to.check_can_send()?;
        loop {
            match to.send(message, Blocking::Beside(from)) {
                // The message must not be lost to a signal that concerns nobody here.
                Err(Error::Interrupted) if self.way == Way::Both => {}
                result => return result,
            }
        }
    }
}

impl Drop for Device<'_> {
    fn drop(&mut self) {
        self.first.remove_companion(self.second);
        self.second.remove_companion(self.first);
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

    fn raw(protocol: i32) -> Opened {
        Opened::new(RAW, protocol)
    }

    fn way(first: &Opened, second: &Opened) -> Result<Way, Error> {
        let (first, second) = (first.get(), second.get());
        Device::between(&first, &second).map(|device| device.way)
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
        assert!(Device::looping(&raw(PAIR).get()).is_ok());
        assert_eq!(Device::looping(&Opened::cooked(PAIR).get()).err(), Some(Error::Invalid));
    }

    #[test]
    fn sockets_forget_each_other_with_the_device() {
        let (first, second) = (raw(PAIR), raw(PAIR));
        let (first, second) = (first.get(), second.get());
        let known = || [&first, &second].map(|socket| Weak::weak_count(&socket.me));
        let before = known();
        let device = Device::between(&first, &second).unwrap();
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
                    Device::between(pair.0, pair.1).unwrap().run()
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
                Device::between(&front, &back).unwrap().run()
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
        assert_eq!(Device::looping(&socket).unwrap().run(), Error::TimedOut);
        assert_eq!(peer.recv(), Ok("there".into()));
    }
}
