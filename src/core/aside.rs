//! Giving way to those who would like to run on the same processor, before a call sleeps. Where
//! there is one, who takes turns with another need not be put to sleep and woken for each.
//!
//! It is a kind of sleep, at whose end the caller looks what the others have brought.

use std::sync::Arc;

use super::bed::{Aside, Bed};
use super::sleep::{Duty, Step, Turn};
use super::socket::Socket;
use crate::error::Error;
use crate::io::Spin;
use crate::sys::{self, EventBuffer, Slept};

impl Turn {
    /// Prepares to give way. With `seen`, all that may come rings the bell of `socket`.
    pub(super) fn step_aside(
        &mut self,
        duty: Duty,
        seen: Option<u32>,
        socket: Option<Arc<Socket>>,
    ) {
        let more = if seen.is_some() { 0 } else { MORE };
        let bed = Bed::Aside(Aside { since: sys::now(), more, seen });
        self.lie_down(duty, bed, socket, None);
    }

    /// Goes on with giving way, if that is what the call does. It is done when it does no longer,
    /// and tells whether `look` has found news.
    ///
    /// # Errors
    /// `Interrupted`.
    pub(super) fn go_on_aside(
        &mut self,
        spin: &Spin,
        look: impl FnOnce(&mut Option<EventBuffer>) -> bool,
    ) -> Option<Result<Step<bool>, Error>> {
        let (aside, slept, events) = self.aside()?;
        let since = aside.since;
        // As in a sleep: what has come counts for more than that a handler has run.
        let has_news = look(events);
        let took = sys::now().duration_since(since);
        let is_interrupted = slept == Slept::Interrupted && !has_news;
        if !has_news && !is_interrupted && aside.more > 0 && !Spin::is_long(took) {
            aside.more -= 1;
            return Some(Ok(Step::Sleep));
        }
        spin.judge(has_news, took);
        let risen = self.rise()?;
        Some(if is_interrupted {
            risen.and(Err(Error::Interrupted))
        } else {
            risen.map(|_| Step::Done(has_news))
        })
    }
}

/// How often one gives way again who has to look by a system call.
const MORE: u32 = 1;
