//! Polling several sockets at once.

use super::abi::nn::{NN_POLLIN, NN_POLLOUT, nn_pollfd};
use super::blocking::{Begun, Job, block};
use super::raw;
use crate::core::{self, Entry, Held, Polling, Question, Routine, Step, Turn};
use crate::error::Error;
use crate::memory;
use crate::protocols::Readiness;
use std::ffi::{c_int, c_short};
use std::time::Duration;

/// Waits until one of the sockets can do what is asked for, at most timeout milliseconds, or
/// without limit when the timeout is negative.
///
/// Returns how many of the sockets can do something, after storing what in revents, or 0 when the
/// time is over, or -1 with errno EBADF, also when a socket is closed meanwhile, EINVAL for a
/// negative nfds, EFAULT when fds is NULL, ENOPROTOOPT when a socket can never do what is asked
/// for, EINTR when a signal arrived, ENOMEM. Without a socket to report revents is left alone.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn nn_poll(fds: *mut nn_pollfd, nfds: c_int, timeout: c_int) -> c_int {
    // SAFETY: this frame has nothing to drop.
    unsafe {
        block(|| {
            Ok(Begun::GoesOn(
                Poll { fds, nfds, timeout, has_begun: false, routine: None, ordinary: None },
                None,
            ))
        })
    }
}

struct Poll {
    fds: *mut nn_pollfd,
    nfds: c_int,
    timeout: c_int,
    has_begun: bool,
    /// If the thread polls the same again and again.
    routine: Option<Routine>,
    ordinary: Option<Ordinary>,
}

struct Ordinary {
    /// Those of the entries that ask for something.
    sockets: Vec<Option<Held>>,
    polling: Polling,
}

impl Job for Poll {
    type Value = c_int;

    fn step(&mut self, turn: &mut Turn) -> Result<Step<c_int>, Error> {
        let count = usize::try_from(self.nfds).map_err(|_| Error::Invalid)?;
        let timeout = u64::try_from(self.timeout).ok().map(Duration::from_millis);
        if !self.has_begun {
            self.has_begun = true;
            // SAFETY: forwarded from the contract of the exported function.
            let entries = unsafe { raw::array(self.fds.cast_const(), count) }?;
            let entry = |entry: &nn_pollfd| Entry { handle: entry.fd, wanted: wanted(entry) };
            self.routine = Routine::find(entries.iter().map(entry));
        }
        if let Some(routine) = &mut self.routine {
            // SAFETY: forwarded from the contract of the exported function.
            let entries = unsafe { raw::array_mut(self.fds, count) }?;
            let mut report = |place: usize, readiness| {
                entries[place].revents = events_of(readiness);
            };
            if let Some(step) = routine.step(turn, timeout, &mut report)? {
                return counted(step);
            }
            self.routine = None;
        }
        // SAFETY: forwarded from the contract of the exported function.
        let entries = unsafe { raw::array(self.fds.cast_const(), count) }?;
        let ordinary = match &mut self.ordinary {
            Some(ordinary) => ordinary,
            None => self.ordinary.insert(Ordinary::begin(entries)?),
        };
        let Step::Done(found) = ordinary.step(turn, entries, timeout)? else {
            return Ok(Step::Sleep);
        };
        let ready = found.iter().filter(|events| **events != 0).count();
        if ready > 0 {
            // SAFETY: forwarded from the contract of the exported function; the entries are not
            // used any more.
            let entries = unsafe { raw::array_mut(self.fds, count) }?;
            entries.iter_mut().zip(found).for_each(|(entry, found)| entry.revents = found);
        }
        counted(Step::Done(ready))
    }
}

fn counted(step: Step<usize>) -> Result<Step<c_int>, Error> {
    match step {
        Step::Done(ready) => raw::count(ready).map(Step::Done),
        Step::Sleep => Ok(Step::Sleep),
    }
}

impl Ordinary {
    fn begin(entries: &[nn_pollfd]) -> Result<Ordinary, Error> {
        let sockets = memory::collect_all(entries.iter().map(find))?;
        Ok(Ordinary { sockets, polling: Polling::default() })
    }

    /// What each entry can do.
    fn step(
        &mut self,
        turn: &mut Turn,
        entries: &[nn_pollfd],
        timeout: Option<Duration>,
    ) -> Result<Step<Vec<c_short>>, Error> {
        let questions = entries.iter().zip(&self.sockets).filter_map(question);
        let questions = memory::collect(questions)?;
        let answers = match self.polling.step(turn, &questions, timeout)? {
            Step::Done(answers) => answers,
            Step::Sleep => {
                for socket in &mut self.sockets {
                    *socket = socket.take().map(Held::for_sleep);
                }
                return Ok(Step::Sleep);
            }
        };
        let mut answers = answers.into_iter();
        let sockets = self.sockets.iter();
        let found = memory::collect(
            sockets.map(|socket| socket.as_ref().and_then(|_| answers.next()).map_or(0, events_of)),
        )?;
        Ok(Step::Done(found))
    }
}

fn wanted(entry: &nn_pollfd) -> Readiness {
    let has = |event| c_int::from(entry.events) & event != 0;
    Readiness { can_send: has(NN_POLLOUT), can_recv: has(NN_POLLIN) }
}

/// The socket of an entry. One that asks for nothing is not looked at any further.
fn find(entry: &nn_pollfd) -> Result<Option<Held>, Error> {
    let Readiness { can_send, can_recv } = wanted(entry);
    if !can_send && !can_recv {
        return Ok(None);
    }
    let socket = core::find_beside(entry.fd)?;
    if can_recv {
        has_direction(socket.check_can_recv())?;
    }
    if can_send {
        has_direction(socket.check_can_send())?;
    }
    Ok(Some(Held::InUse(socket)))
}

/// A state that forbids the operation now may change while we wait; a missing direction cannot.
fn has_direction(can: Result<(), Error>) -> Result<(), Error> {
    if can == Err(Error::NotSupported) { Err(Error::UnknownOption) } else { Ok(()) }
}

fn question<'a>((entry, socket): (&nn_pollfd, &'a Option<Held>)) -> Option<Question<'a>> {
    socket.as_ref().map(|socket| Question { socket, wanted: wanted(entry) })
}

fn events_of(readiness: Readiness) -> c_short {
    let event = |is_it, event| if is_it { event } else { 0 };
    (event(readiness.can_recv, NN_POLLIN) | event(readiness.can_send, NN_POLLOUT)) as c_short
}
