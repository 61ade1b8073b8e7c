//! One survey and what becomes of it: open until its deadline, with the responses that are in time
//! (protocols 8.2).

use std::time::{Duration, Instant};

use crate::error::Error;
use crate::message::{Header, Message};
use crate::protocols::routing::Inbox;
use crate::protocols::{Loss, Nothing, Pipes, milliseconds, option};

#[derive(Debug)]
pub struct Question {
    /// Of the last survey.
    pub id: u32,
    state: State,
    /// Milliseconds; a survey has none when it is negative.
    deadline: i32,
    /// Where several surveys are open at once, the responses to this one.
    responses: Inbox,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    None,
    Open {
        until: Option<Instant>,
    },
    /// Its deadline has passed, and nobody has been told.
    Expired,
}

impl Question {
    pub fn new(id: u32) -> Question {
        Question { id, state: State::None, deadline: DEADLINE, responses: Inbox::default() }
    }

    /// Another one with the same options, before its first survey.
    pub fn sibling(&self) -> Question {
        Question { deadline: self.deadline, ..Question::new(0) }
    }

    /// A survey was sent. Whatever was asked before is given up.
    pub fn begin(&mut self, id: u32, pipes: &dyn Pipes) {
        let ms = u64::try_from(self.deadline).ok();
        self.id = id;
        self.state = State::Open { until: ms.map(|ms| pipes.now() + Duration::from_millis(ms)) };
        self.responses.clear();
    }

    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. })
    }

    /// What was in time but is asked for too late is lost as well.
    pub fn expire(&mut self, pipes: &dyn Pipes) {
        if let State::Open { until: Some(until) } = self.state
            && until <= pipes.now()
        {
            self.state = State::Expired;
            self.responses.clear();
        }
    }

    /// Whether it is right to receive now.
    pub fn check(&mut self, pipes: &dyn Pipes) -> Result<(), Nothing> {
        self.expire(pipes);
        match self.state {
            State::None => Err(Nothing::WrongState),
            State::Expired => {
                self.state = State::None;
                Err(Nothing::Expired)
            }
            State::Open { .. } => Ok(()),
        }
    }

    /// Keeps a response.
    pub fn put(&mut self, response: Message, pipes: &dyn Pipes) -> Result<(), Loss> {
        self.responses.put(response, pipes.recv_limit())
    }

    /// Gives one that was kept.
    pub fn take(&mut self, message: &mut Message) -> Result<(), Nothing> {
        *message = self.responses.take().ok_or(Nothing::Yet)?;
        message.header = Header::default();
        Ok(())
    }

    pub fn has_response(&self) -> bool {
        !self.responses.is_empty()
    }

    pub fn next_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Open { until } => until,
            State::None | State::Expired => None,
        }
    }

    pub fn set_option(&mut self, number: i32, value: Option<&[u8]>) -> Result<(), Error> {
        match number {
            option::SURVEYOR_DEADLINE => self.deadline = milliseconds(value)?,
            _ => return Err(Error::UnknownOption),
        }
        Ok(())
    }

    pub fn option(&self, number: i32) -> Result<i32, Error> {
        match number {
            option::SURVEYOR_DEADLINE => Ok(self.deadline),
            _ => Err(Error::UnknownOption),
        }
    }
}

const DEADLINE: i32 = 1000;
