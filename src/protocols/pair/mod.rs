//! PAIR: both directions, no header. Raw and cooked are alike.

mod many;
mod one;

use self::many::Many;
use self::one::One;
use super::{
    Nothing, PipeId, Pipes, Priorities, Protocol, Readiness, Refusal, Rejected, SocketType,
    WhenBusy, flag, option,
};
use crate::error::Error;
use crate::message::Message;

pub static PAIR: SocketType = SocketType {
    number: 0x10,
    name: "pair",
    peer: &PAIR,
    can_send: true,
    can_recv: true,
    when_busy: WhenBusy::Waits,
    hands_on: true,
    answers_for_sure: false,
    hands_out: true,
    accepts_nameless_peers: true,
    cooked: |_| Box::new(Pair::One(One::default())),
    raw: |_| Box::new(Pair::One(One::default())),
};

enum Pair {
    One(One),
    Many(Box<Many>),
}

impl Pair {
    fn is_alone(&self) -> bool {
        match self {
            Pair::One(one) => one.is_alone(),
            Pair::Many(many) => many.is_alone(),
        }
    }

    fn machine(&self) -> &dyn Protocol {
        match self {
            Pair::One(one) => one,
            Pair::Many(many) => &**many,
        }
    }

    fn machine_mut(&mut self) -> &mut dyn Protocol {
        match self {
            Pair::One(one) => one,
            Pair::Many(many) => &mut **many,
        }
    }
}

impl Protocol for Pair {
    fn wants_pipe(&self) -> bool {
        self.machine().wants_pipe()
    }

    fn follows_pipes(&self) -> bool {
        self.machine().follows_pipes()
    }

    fn add_pipe(&mut self, pipe: PipeId, priorities: Priorities) -> Result<(), Rejected> {
        self.machine_mut().add_pipe(pipe, priorities)
    }

    fn pipe_readable(&mut self, pipe: PipeId, pipes: &mut dyn Pipes) {
        self.machine_mut().pipe_readable(pipe, pipes);
    }

    fn pipe_writable(&mut self, pipe: PipeId, pipes: &mut dyn Pipes) {
        self.machine_mut().pipe_writable(pipe, pipes);
    }

    fn pipe_ended(&mut self, pipe: PipeId, pipes: &mut dyn Pipes) {
        self.machine_mut().pipe_ended(pipe, pipes);
    }

    fn remove_pipe(&mut self, pipe: PipeId) {
        self.machine_mut().remove_pipe(pipe);
    }

    // What is done for each message is done by the machine itself.

    fn send(&mut self, message: &mut Message, pipes: &mut dyn Pipes) -> Result<(), Refusal> {
        match self {
            Pair::One(one) => one.send(message, pipes),
            Pair::Many(many) => many.send(message, pipes),
        }
    }

    fn recv(&mut self, message: &mut Message, pipes: &mut dyn Pipes) -> Result<(), Nothing> {
        match self {
            Pair::One(one) => one.recv(message, pipes),
            Pair::Many(many) => many.recv(message, pipes),
        }
    }

    fn readiness(&self, pipes: &dyn Pipes) -> Readiness {
        match self {
            Pair::One(one) => one.readiness(pipes),
            Pair::Many(many) => many.readiness(pipes),
        }
    }

    /// How many peers it takes is said before there is one.
    fn set_option(&mut self, option: i32, value: Option<&[u8]>) -> Result<(), Error> {
        if option != option::PAIR_MANY {
            return Err(Error::UnknownOption);
        }
        let takes_many = flag(value)?;
        if takes_many == matches!(self, Pair::Many(_)) {
            return Ok(());
        }
        if !self.is_alone() {
            return Err(Error::WrongState);
        }
        *self = if takes_many { Pair::Many(Box::default()) } else { Pair::One(One::default()) };
        Ok(())
    }

    fn option(&self, option: i32) -> Result<i32, Error> {
        match option {
            option::PAIR_MANY => Ok(matches!(self, Pair::Many(_)).into()),
            _ => Err(Error::UnknownOption),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakePipes;

    #[test]
    fn how_many_peers_are_taken_is_said_before_the_first_comes() {
        let mut pair = Pair::One(One::default());
        let set = |pair: &mut Pair, value: i32| {
            pair.set_option(option::PAIR_MANY, Some(&value.to_ne_bytes()))
        };
        let add = |pair: &mut Pair, number| pair.add_pipe(PipeId(number), Priorities::default());
        for value in [-1, 2] {
            assert_eq!(set(&mut pair, value), Err(Error::Invalid));
        }
        add(&mut pair, 0).unwrap();
        assert_eq!((add(&mut pair, 1), set(&mut pair, 1)), (Err(Rejected), Err(Error::WrongState)));
        pair.pipe_ended(PipeId(0), &mut FakePipes::default());
        assert_eq!(set(&mut pair, 1), Err(Error::WrongState));
        pair.remove_pipe(PipeId(0));
        assert_eq!((set(&mut pair, 1), pair.option(option::PAIR_MANY)), (Ok(()), Ok(1)));
        assert_eq!((add(&mut pair, 2), add(&mut pair, 3)), (Ok(()), Ok(())));
        assert_eq!((set(&mut pair, 1), set(&mut pair, 0)), (Ok(()), Err(Error::WrongState)));
        (2..4).for_each(|number| pair.remove_pipe(PipeId(number)));
        assert_eq!((set(&mut pair, 0), pair.option(option::PAIR_MANY)), (Ok(()), Ok(0)));
        assert_eq!(pair.option(1), Err(Error::UnknownOption));
    }
}
