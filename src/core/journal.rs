//! Lines about what happens, for a function of the application.
//!
//! Lines come into being on any thread, under any lock, in the middle of any call. The function is
//! called elsewhere: on a thread of its own, which holds no lock, so that it may call the library,
//! sleep, or never return, and keeps nobody waiting but who takes its place. In between there is
//! room for some hundred lines; those that find none are counted, and the function is told.
//!
//! A forked child has no such thread, and nobody listens there.

use std::cell::Cell;
use std::collections::VecDeque;
use std::ffi::CStr;
use std::process;
use std::sync::Arc;
use std::time::Duration;

use crate::error::{Error, SystemCode};
use crate::memory::{self, Attempt};
use crate::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use crate::sync::{Mutex, OnceCell, Rank};
use crate::sys::{self, PerProcess, Thread};
use crate::trace::{self, Heard};

pub use crate::trace::Level;

/// One line for a listener.
#[derive(Clone)]
pub struct Entry {
    pub level: Level,
    /// The number of the socket.
    pub socket: Option<i32>,
    pub endpoint: Option<i32>,
    /// With a zero behind it.
    text: [u8; TEXT_MAX],
}

impl Entry {
    fn new(level: Level, socket: Option<i32>, endpoint: Option<i32>, words: &[u8]) -> Entry {
        let mut text = [0; TEXT_MAX];
        let count = words.len().min(TEXT_MAX - 1);
        text[..count].copy_from_slice(&words[..count]);
        Entry { level, socket, endpoint, text }
    }

    /// The event, and what is known of it.
    #[must_use]
    pub fn text(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.text).unwrap_or_default()
    }
}

/// Who is told lines.
pub type Listener = Box<dyn FnMut(&Entry) + Send>;

/// From now on lines are told to `listener`, in the place of another one, or to nobody. When this
/// returns, the other one has been told what was there for it, and is not called any more.
///
/// # Errors
/// `WrongState` for a listener itself, `OutOfMemory`, or the reason why no thread can be had; then
/// nobody listens.
pub fn listen(listener: Option<Listener>) -> Result<(), Error> {
    // Who forks goes on in the child, and tells nobody there.
    if LISTENS_IN.get().is_some_and(|process| process == process::id()) {
        return Err(Error::WrongState);
    }
    let journal = JOURNAL.get();
    let mut ear = journal.ear.lock();
    if listener.is_none() {
        trace::end_listening();
    }
    match ear.take() {
        Some(before) => before.end(),
        None => journal.forget(),
    }
    let begun = listener.map(|listener| journal.begin(listener)).transpose();
    if begun.is_err() {
        trace::end_listening();
    }
    *ear = begun?;
    Ok(())
}

/// What one process has.
struct Journal {
    /// Held while one listener makes room for another.
    ear: Mutex<Option<Ear>>,
    /// Made for the first listener, and kept.
    mailbox: OnceCell<Arc<Mailbox>>,
}

/// The thread that tells a listener.
struct Ear {
    thread: Thread,
    mailbox: Arc<Mailbox>,
    is_over: Arc<AtomicBool>,
}

/// What has been said, and not been told yet.
struct Mailbox {
    entries: Mutex<VecDeque<Entry>>,
    /// How many have found no room.
    lost: AtomicU64,
    /// Moves with every line.
    epoch: AtomicU32,
    /// The thread sleeps, or is about to.
    is_asleep: AtomicBool,
}

impl Journal {
    fn new() -> Journal {
        Journal { ear: Mutex::new(Rank::Ear, None), mailbox: OnceCell::new() }
    }

    /// Lines that were on their way when the last listener went are none for the next one.
    fn forget(&self) {
        if let Some(mailbox) = self.mailbox.get() {
            mailbox.entries.lock().clear();
            mailbox.lost.store(0, Ordering::Relaxed);
        }
    }

    fn begin(&self, listener: Listener) -> Result<Ear, Error> {
        let attempt = Attempt::begin()?;
        let mailbox = Arc::clone(self.mailbox.get_or_try_init(Mailbox::new)?);
        attempt.check()?;
        let is_over = Arc::new(AtomicBool::new(false));
        let (own, until) = (Arc::clone(&mailbox), Arc::clone(&is_over));
        let tell = move || own.tell(listener, &until);
        let thread = Thread::start(c"spmsg-log", sys::STACK_SIZE, tell)
            .map_err(|error| Error::System(SystemCode(error.raw_os_error().unwrap_or(0))))?;
        trace::begin_listening(hear);
        Ok(Ear { thread, mailbox, is_over })
    }
}

impl Ear {
    /// Waits until the listener has been told the last line.
    fn end(self) {
        // Pairs with the load in `Mailbox::tell`, which the wake-up follows.
        self.is_over.store(true, Ordering::SeqCst);
        self.mailbox.wake();
        self.thread.join();
    }
}

impl Mailbox {
    fn new() -> Result<Arc<Mailbox>, Error> {
        let mut entries = VecDeque::new();
        memory::reserve(&mut entries, ENTRIES_MAX)?;
        Ok(Arc::new(Mailbox {
            entries: Mutex::new(Rank::Lines, entries),
            lost: AtomicU64::new(0),
            epoch: AtomicU32::new(0),
            is_asleep: AtomicBool::new(false),
        }))
    }

    /// Keeps a line, unless there is no room for it. Nobody waits here: not even a signal handler
    /// that has interrupted somebody in the middle of this.
    fn put(&self, entry: Entry) {
        let is_kept = self.entries.try_lock_for(PATIENCE).is_some_and(|mut entries| {
            let has_room = entries.len() < ENTRIES_MAX;
            if has_room {
                entries.push_back(entry);
            }
            has_room
        });
        if !is_kept {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        self.wake();
    }

    fn wake(&self) {
        // Pairs with the store in `tell`, and the look of futex(2) at the epoch behind it: who is
        // about to sleep sees the epoch move, or is seen.
        self.epoch.fetch_add(1, Ordering::SeqCst);
        if self.is_asleep.load(Ordering::SeqCst) {
            sys::futex_wake_all(&self.epoch);
        }
    }

    /// The work of the thread.
    fn tell(&self, mut listener: Listener, is_over: &AtomicBool) {
        LISTENS_IN.set(Some(process::id()));
        loop {
            // Pairs with `Ear::end`, which moves the epoch behind the word, and with `wake`.
            let seen = self.epoch.load(Ordering::SeqCst);
            let is_last = is_over.load(Ordering::SeqCst);
            // All that were there, and how many were not. Who listens may cause more lines than he
            // is told.
            for _ in 0..=ENTRIES_MAX {
                let Some(entry) = self.take() else { break };
                listener(&entry);
            }
            if is_last {
                return;
            }
            // Pairs with the load in `wake`.
            self.is_asleep.store(true, Ordering::SeqCst);
            sys::futex_wait(&self.epoch, seen, None);
            self.is_asleep.store(false, Ordering::SeqCst);
        }
    }

    fn take(&self) -> Option<Entry> {
        let entry = self.entries.lock().pop_front();
        entry.or_else(|| match self.lost.swap(0, Ordering::Relaxed) {
            0 => None,
            lost => {
                let words = format!("lines-lost count={lost}");
                Some(Entry::new(Level::Warning, None, None, words.as_bytes()))
            }
        })
    }
}

/// Called with any lock, on any thread.
fn hear(line: &Heard<'_>) {
    match JOURNAL.get().mailbox.get() {
        Some(mailbox) => {
            mailbox.put(Entry::new(line.level, Some(line.socket), line.endpoint, line.text));
        }
        // A child's parent listens.
        None => {
            trace::end_listening();
            // Somebody in the child may have begun to since: he had a mailbox before he said so.
            if JOURNAL.get().mailbox.get().is_some() {
                trace::begin_listening(hear);
            }
        }
    }
}

static JOURNAL: PerProcess<Journal> = PerProcess::new(Journal::new);

thread_local! {
    /// The process in which this thread tells a listener.
    static LISTENS_IN: Cell<Option<u32>> = const { Cell::new(None) };
}

/// So many lines wait at most.
const ENTRIES_MAX: usize = 256;
/// The longest text, with its zero.
const TEXT_MAX: usize = 512;
/// How long somebody has the lock, and more.
const PATIENCE: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn entry(number: i32) -> Entry {
        Entry::new(Level::Info, Some(number), None, b"opened")
    }

    /// What a mailbox tells, until it is over.
    fn told(mailbox: &Mailbox) -> Vec<String> {
        let (say, said) = mpsc::channel();
        let listener = move |entry: &Entry| {
            let text = entry.text().to_str().unwrap();
            say.send(format!("{:?} {text}", entry.socket)).unwrap();
        };
        mailbox.tell(Box::new(listener), &AtomicBool::new(true));
        LISTENS_IN.set(None);
        said.into_iter().collect()
    }

    #[test]
    fn lines_come_in_their_order_and_those_without_room_are_counted() {
        let mailbox = Mailbox::new().unwrap_or_else(|_| panic!("there is memory"));
        for number in 0..ENTRIES_MAX as i32 + 3 {
            mailbox.put(entry(number));
        }
        let said = told(&mailbox);
        let (last, lines) = said.split_last().unwrap();
        assert_eq!(lines.len(), ENTRIES_MAX);
        for (number, line) in lines.iter().enumerate() {
            assert_eq!(*line, format!("Some({number}) opened"));
        }
        assert_eq!(last, "None lines-lost count=3");
        assert!(told(&mailbox).is_empty());
    }

    #[test]
    fn who_finds_the_mailbox_locked_loses_a_line_and_goes_on() {
        let mailbox = Mailbox::new().unwrap_or_else(|_| panic!("there is memory"));
        let held = mailbox.entries.lock();
        std::thread::scope(|scope| {
            scope.spawn(|| mailbox.put(entry(1)));
        });
        drop(held);
        assert_eq!(told(&mailbox), ["None lines-lost count=1"]);
    }

    #[test]
    fn a_long_text_is_cut() {
        let text = [b'x'; 2 * TEXT_MAX];
        let entry = Entry::new(Level::Debug, None, None, &text);
        assert_eq!(entry.text().to_bytes().len(), TEXT_MAX - 1);
    }
}
