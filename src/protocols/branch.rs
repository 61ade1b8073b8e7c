//! Branches: further handles on one socket, each with an exchange of its own.
//!
//! The socket's machine has the exchanges of all its branches, because one pipe brings what is for
//! any of them. The machine of a branch has nothing but its number.

use std::time::Instant;

use crate::error::Error;
use crate::message::Message;
use crate::protocols::{
    Nothing, PipeId, Pipes, Priorities, Protocol, Readiness, Refusal, Rejected,
};

/// A branch of one socket. Numbers are not used again while the socket lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BranchId(pub u32);

/// What a machine does for the branches of its socket. What happens to one without its being asked,
/// it tells with [`Pipes::tell_branch`].
pub trait Branches {
    /// Another one, whose options are what the socket's are now.
    fn add(&mut self, branch: BranchId);

    /// Gives up what the branch has under way, and nothing else.
    fn remove(&mut self, branch: BranchId);

    /// # Errors
    /// Those of [`Protocol::send`].
    fn send_on(
        &mut self,
        _branch: BranchId,
        _message: &mut Message,
        _pipes: &mut dyn Pipes,
    ) -> Result<(), Refusal> {
        Err(Refusal::Busy)
    }

    /// # Errors
    /// Those of [`Protocol::recv`].
    fn recv_on(
        &mut self,
        branch: BranchId,
        message: &mut Message,
        pipes: &mut dyn Pipes,
    ) -> Result<(), Nothing>;

    /// What the branch can do now. It is told when that has changed.
    fn readiness_of(&mut self, branch: BranchId) -> Readiness;

    fn next_timeout_of(&self, _branch: BranchId) -> Option<Instant> {
        None
    }

    fn timeout_of(&mut self, _branch: BranchId, _pipes: &mut dyn Pipes) {}

    /// # Errors
    /// Those of [`Protocol::set_option`].
    fn set_option_of(
        &mut self,
        _branch: BranchId,
        _option: i32,
        _value: Option<&[u8]>,
    ) -> Result<(), Error> {
        Err(Error::UnknownOption)
    }

    /// # Errors
    /// Those of [`Protocol::option`].
    fn option_of(&self, _branch: BranchId, _option: i32) -> Result<i32, Error> {
        Err(Error::UnknownOption)
    }
}

/// The machine of a branch, which asks that of the socket.
#[derive(Debug)]
pub struct Branch {
    id: BranchId,
    /// What the other one has last said of the branch's time.
    next_timeout: Option<Instant>,
}

impl Branch {
    #[must_use]
    pub fn new(id: BranchId) -> Branch {
        Branch { id, next_timeout: None }
    }

    /// Asks the socket's machine, if it can still be asked.
    fn ask<T>(
        &mut self,
        pipes: &mut dyn Pipes,
        mut question: impl FnMut(&mut dyn Branches, BranchId, &mut dyn Pipes) -> T,
    ) -> Option<T> {
        let mut answer = None;
        pipes.on_trunk(&mut |branches, pipes| {
            answer = Some(question(branches, self.id, pipes));
            self.next_timeout = branches.next_timeout_of(self.id);
        });
        answer
    }
}

impl Protocol for Branch {
    fn add_pipe(&mut self, _pipe: PipeId, _priorities: Priorities) -> Result<(), Rejected> {
        Err(Rejected)
    }

    fn follows_pipes(&self) -> bool {
        false
    }

    fn pipe_ended(&mut self, _pipe: PipeId, _pipes: &mut dyn Pipes) {}

    fn remove_pipe(&mut self, _pipe: PipeId) {}

    fn send(&mut self, message: &mut Message, pipes: &mut dyn Pipes) -> Result<(), Refusal> {
        self.ask(pipes, |branches, id, pipes| branches.send_on(id, message, pipes))
            .unwrap_or(Err(Refusal::Busy))
    }

    fn recv(&mut self, message: &mut Message, pipes: &mut dyn Pipes) -> Result<(), Nothing> {
        self.ask(pipes, |branches, id, pipes| branches.recv_on(id, message, pipes))
            .unwrap_or(Err(Nothing::Yet))
    }

    fn readiness(&self, pipes: &dyn Pipes) -> Readiness {
        pipes.trunk_says(self.id)
    }

    fn trunk_changed(&mut self, pipes: &mut dyn Pipes) {
        self.ask(pipes, |_, _, _| ());
    }

    fn next_timeout(&self) -> Option<Instant> {
        self.next_timeout
    }

    fn timeout(&mut self, pipes: &mut dyn Pipes) {
        self.ask(pipes, |branches, id, pipes| branches.timeout_of(id, pipes));
    }
}
