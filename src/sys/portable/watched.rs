//! What one poller watches. The kernel keeps such a list as well, but not what we asked for: who is
//! not told of an end alone has to know what a report of something else is to mean.

use std::io;
use std::os::fd::{BorrowedFd, RawFd};

use polling::{PollMode, Poller};

use super::conversation::has_ended;
use crate::memory::{self, Map, OutOfMemory};
use crate::sync::{Mutex, Rank};
use crate::sys::{Event, Interest};

/// Descriptors, each with what is asked of it. What the kernel is asked and what stands here change
/// together, under the lock.
#[derive(Debug)]
pub struct Watched(Mutex<Map<RawFd, Entry>>);

#[derive(Clone, Copy, Debug)]
struct Entry {
    key: u64,
    /// `None` from the report of what was to be reported once.
    interest: Option<Interest>,
}

impl Watched {
    pub fn new() -> Watched {
        Watched(Mutex::new(Rank::Watched, Map::default()))
    }

    pub fn add(
        &self,
        poller: &Poller,
        descriptor: RawFd,
        interest: Interest,
        key: u64,
    ) -> io::Result<()> {
        let mut entries = self.0.lock();
        if entries.contains_key(&descriptor) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let (token, mode) = question(descriptor, interest)?;
        memory::reserve(&mut *entries, 1).map_err(|OutOfMemory| io::ErrorKind::OutOfMemory)?;
        // SAFETY: the descriptor is open, or the kernel says that it is not; whoever has it watched
        // ends that before it is closed.
        unsafe { poller.add_with_mode(descriptor, token, mode) }?;
        entries.insert(descriptor, Entry { key, interest: Some(interest) });
        Ok(())
    }

    pub fn modify(
        &self,
        poller: &Poller,
        descriptor: RawFd,
        interest: Interest,
        key: u64,
    ) -> io::Result<()> {
        let mut entries = self.0.lock();
        let entry = entries.get_mut(&descriptor).ok_or(io::ErrorKind::NotFound)?;
        ask(poller, descriptor, interest)?;
        *entry = Entry { key, interest: Some(interest) };
        Ok(())
    }

    pub fn remove(&self, poller: &Poller, descriptor: RawFd) -> io::Result<()> {
        let mut entries = self.0.lock();
        entries.remove(&descriptor).ok_or(io::ErrorKind::NotFound)?;
        poller.delete(borrowed(descriptor)?)
    }

    pub fn key_of(&self, descriptor: RawFd) -> Option<u64> {
        self.0.lock().get(&descriptor).map(|entry| entry.key)
    }

    /// What a report of the kernel means to who has asked. Nothing, if it is about something that
    /// nobody wants to know, or no longer.
    pub fn translate(&self, poller: &Poller, found: &polling::Event) -> Option<Event> {
        let descriptor = RawFd::try_from(found.key).ok()?;
        let mut entries = self.0.lock();
        let entry = entries.get_mut(&descriptor)?;
        // A kernel that keeps room apart from input tells each once.
        let asked = entry.interest?;
        // Each kind of kernel tells an end to who waits for room, too, whether anybody does or not.
        let is_told = found.writable && !asked.writable;
        let event = Event {
            key: entry.key,
            readable: found.readable && asked.readable,
            writable: found.writable && asked.writable,
            ended: is_told || (asked.ended || asked.writable) && has_ended(descriptor),
        };
        if !event.readable && !event.writable && !event.ended {
            return None;
        }
        if asked.once {
            entry.interest = None;
            if asks_for_ends_alone(asked) {
                // The kernel would report again. Where this fails, what it reports is not told.
                let _ = ask(poller, descriptor, Interest { once: true, ..Interest::default() });
            }
        }
        Some(event)
    }
}

fn ask(poller: &Poller, descriptor: RawFd, interest: Interest) -> io::Result<()> {
    let (token, mode) = question(descriptor, interest)?;
    poller.modify_with_mode(borrowed(descriptor)?, token, mode)
}

/// How the kernel is asked: under the descriptor's own number, because a key may be larger than it
/// takes.
fn question(descriptor: RawFd, interest: Interest) -> io::Result<(polling::Event, PollMode)> {
    let key = usize::try_from(descriptor).map_err(|_| bad_descriptor())?;
    if asks_for_ends_alone(interest) {
        // An end is reported as something to read. What there is to read already is reported once,
        // and again only with more: as often as the peer writes, until its kernel is full.
        return Ok((polling::Event::new(key, true, interest.writable), PollMode::Edge));
    }
    let mode = if interest.once { PollMode::Oneshot } else { PollMode::Level };
    Ok((polling::Event::new(key, interest.readable, interest.writable), mode))
}

fn asks_for_ends_alone(interest: Interest) -> bool {
    interest.ended && !interest.readable
}

fn borrowed<'a>(descriptor: RawFd) -> io::Result<BorrowedFd<'a>> {
    if descriptor < 0 {
        return Err(bad_descriptor());
    }
    // SAFETY: it is borrowed for one question to the kernel, by who has it or has had it.
    Ok(unsafe { BorrowedFd::borrow_raw(descriptor) })
}

fn bad_descriptor() -> io::Error {
    io::Error::from_raw_os_error(libc::EBADF)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;
    use crate::sys::OsStream;

    /// Key, readable, writable, ended.
    fn told(event: Option<Event>) -> Option<(u64, bool, bool, bool)> {
        event.map(|event| (event.key, event.readable, event.writable, event.ended))
    }

    #[test]
    fn of_reports_that_come_one_by_one_the_first_is_told_until_it_is_asked_again() {
        let (poller, watched) = (Poller::new().unwrap(), Watched::new());
        let (own, _peer) = OsStream::pair();
        let descriptor = own.as_raw_fd();
        let number = usize::try_from(descriptor).unwrap();
        let once = Interest { once: true, ..Interest::ANYTHING };
        watched.add(&poller, descriptor, once, 7).unwrap();
        let (input, room) = (polling::Event::readable(number), polling::Event::writable(number));
        for (first, second) in [(&input, &room), (&room, &input)] {
            let event = Some((7, first.readable, first.writable, false));
            assert_eq!(told(watched.translate(&poller, first)), event);
            assert_eq!(told(watched.translate(&poller, second)), None);
            watched.modify(&poller, descriptor, once, 7).unwrap();
        }
        watched.remove(&poller, descriptor).unwrap();
        assert_eq!(told(watched.translate(&poller, &input)), None);
    }

    #[test]
    fn room_that_nobody_has_asked_for_is_an_end() {
        let (poller, watched) = (Poller::new().unwrap(), Watched::new());
        let (own, _peer) = OsStream::pair();
        let number = usize::try_from(own.as_raw_fd()).unwrap();
        watched.add(&poller, own.as_raw_fd(), Interest::READABLE, 7).unwrap();
        let event = watched.translate(&poller, &polling::Event::all(number));
        assert_eq!(told(event), Some((7, true, false, true)));
    }
}
