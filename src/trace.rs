//! Tells what happens to sockets, connections and messages, for whoever has `SPMSG_TRACE` or
//! `SPMSG_LOG` set, or listens: one line each. doc/trace.md says what the lines look like, and what
//! each event means.
//!
//! When it is off, a look at it is one load and one branch, and stands only where something goes
//! wrong or changes, never on the way of a message that is sent or received.
//!
//! Lines may be written under locks, so that they come in the order in which things happened. There
//! is no lock here that a fork could leave behind. What a file cannot take at once is lost; for
//! standard error the program waits.

use std::ffi::{OsStr, OsString};
use std::fmt::{self, Display, Write};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use crate::error::{Error, SystemCode};
use crate::sys::{self, Log, PerProcess};

/// How much somebody should care.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// It does not work, and will not by itself.
    Error,
    /// Something went wrong, and is tried again, or is lost.
    Warning,
    /// Sockets, endpoints and peers come and go.
    Info,
    /// What else happens on the way.
    Debug,
}

impl Level {
    const ALL: [Level; 4] = [Level::Error, Level::Warning, Level::Info, Level::Debug];

    fn word(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Info => "info",
            Level::Debug => "debug",
        }
    }
}

/// What something has happened to, with its name.
pub trait Subject: Display {
    fn socket(&self) -> i32;

    /// The endpoint, if it is one of the socket's.
    fn endpoint(&self) -> Option<i32>;
}

/// A line on its way to a listener.
pub struct Heard<'a> {
    pub level: Level,
    pub socket: i32,
    pub endpoint: Option<i32>,
    /// The event and what is known of it, without zeroes.
    pub text: &'a [u8],
}

/// A closed list of events, their words and their levels.
macro_rules! events {
    ($($(#[$meaning:meta])+ $name:ident = $word:literal: $level:ident,)+) => {
        /// What has happened. Programs look for the words: none of them changes its meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Happening {
            $($(#[$meaning])+ $name,)+
        }

        impl Happening {
            #[cfg(test)]
            const ALL: &[Happening] = &[$(Happening::$name),+];

            fn word(self) -> &'static str {
                match self {
                    $(Happening::$name => $word,)+
                }
            }

            fn level(self) -> Level {
                match self {
                    $(Happening::$name => Level::$level,)+
                }
            }
        }
    };
}

events! {
    /// A socket was opened.
    Opened = "opened": Info,
    /// It takes no more calls, and its connections end.
    Closing = "closing": Debug,
    /// Nothing of it is left.
    Closed = "closed": Info,
    /// A bug was found in what it did, and it is of no use any more.
    OutOfService = "out-of-service": Error,

    /// An endpoint listens.
    Bound = "bound": Info,
    /// There is none, because the call failed.
    NotBound = "not-bound": Error,
    /// An endpoint connects from now on, again and again.
    Dialing = "dialing": Info,
    /// There is none, because the call failed.
    NotDialing = "not-dialing": Error,
    /// An endpoint has a stream that somebody else has connected.
    Adopted = "adopted": Info,
    /// There is none, because a call that was given a descriptor failed.
    NotAdopted = "not-adopted": Error,
    /// An endpoint was removed.
    ShutDown = "shut-down": Info,

    /// An attempt to connect begins.
    Connecting = "connecting": Debug,
    /// The name is being looked up for it.
    Resolving = "resolving": Debug,
    /// It has that address.
    Resolved = "resolved": Debug,
    /// Nobody has that name.
    Unresolved = "unresolved": Warning,
    /// The attempt led to a stream, or to an inproc link.
    Established = "established": Debug,
    /// It did not.
    ConnectFailed = "connect-failed": Warning,
    /// It was given up because the endpoint goes.
    ConnectAbandoned = "connect-abandoned": Debug,
    /// The socket wants no connection now, and none is tried.
    Unwanted = "unwanted": Debug,
    /// The next attempt is made when some time has passed.
    Waiting = "waiting": Debug,
    /// The peer has asked not to be connected to again.
    Retired = "retired": Info,
    /// A listener has a stream, or an inproc link.
    Accepted = "accepted": Debug,
    /// It cannot have one.
    AcceptFailed = "accept-failed": Error,

    /// The peer is none for this socket, or does not speak as it should.
    HandshakeFailed = "handshake-failed": Warning,
    /// Why nothing can be encrypted, in the words of who does it.
    Encryption = "encryption": Warning,
    /// It does, but has to wait until the socket wants it.
    Held = "held": Debug,
    /// The socket does not want it.
    Rejected = "rejected": Warning,
    /// A connection has become a pipe.
    Attached = "attached": Info,
    /// It is one no longer.
    Detached = "detached": Info,
    /// The peer went or misbehaved.
    ConnectionBroken = "connection-broken": Info,
    /// We ended the connection.
    ConnectionDropped = "connection-dropped": Debug,
    /// Not everything is written, and there is time left for it.
    Lingering = "lingering": Debug,
    /// That time is over, or everything is written.
    Lingered = "lingered": Debug,

    /// A message was not sent; the caller has it.
    SendRefused = "send-refused": Debug,
    /// A receive failed, for another reason than that nothing was there.
    RecvFailed = "recv-failed": Debug,
    /// Messages were accepted, and then had nowhere to go.
    MessageDropped = "message-dropped": Warning,

    /// From now on callers read for themselves.
    CallersRead = "callers-read": Debug,
    /// From now on the background thread does.
    ReactorReads = "reactor-reads": Debug,
    /// The background thread looks often for what senders have gathered, or whether it is time to
    /// give a big buffer back.
    ReactorLooks = "reactor-looks": Debug,
    /// It does so no more.
    ReactorRests = "reactor-rests": Debug,
    /// The kernel says when it takes more, and the background thread writes then.
    KernelFull = "kernel-full": Debug,
}

/// Whether anybody wants to know.
#[inline]
pub fn is_on() -> bool {
    WANTED_BY.load(Ordering::Relaxed) != 0
}

/// Looks at the environment, the first time that it is called. The children of this process do as
/// it does.
pub fn begin() {
    // Whoever is forked off in the middle of this does without, and waits for nobody.
    if HAS_BEGUN.swap(true, Ordering::Relaxed) {
        return;
    }
    let trace = Trace::wanted(sys::environment(TRACE_VARIABLE));
    let log = Trace::of_levels(sys::environment(LOG_VARIABLE));
    for (trace, cell) in [(trace, &TRACE), (log, &LOG)] {
        if trace.is_some_and(|trace| cell.set(trace).is_ok()) {
            WANTED_BY.fetch_or(FILES, Ordering::Relaxed);
        }
    }
}

/// From now on `hear` is told every line: on any thread, under any lock.
pub fn begin_listening(hear: fn(&Heard<'_>)) {
    // Everybody brings the same.
    let _ = LISTENER.get().set(hear);
    // Pairs with `end_listening`: who ends this sees what was there before.
    WANTED_BY.fetch_or(LISTENS, Ordering::SeqCst);
}

/// A last call may still be under way when this returns.
pub fn end_listening() {
    // Pairs with `begin_listening`.
    WANTED_BY.fetch_and(!LISTENS, Ordering::SeqCst);
}

/// Tells that `event` has happened to `subject`. `details` are words, most of them `key=value`.
#[cold]
#[inline(never)]
pub fn tell(event: Happening, subject: &dyn Subject, details: fmt::Arguments<'_>) {
    let level = event.level();
    for trace in [TRACE.get(), LOG.get()].into_iter().flatten() {
        trace.tell(level, event, subject, details);
    }
    if WANTED_BY.load(Ordering::Relaxed) & LISTENS != 0
        && let Some(hear) = LISTENER.get().get()
    {
        let line = Line::new(format_args!(""), event, subject, details);
        let text = line.as_bytes().trim_ascii();
        hear(&Heard { level, socket: subject.socket(), endpoint: subject.endpoint(), text });
    }
}

struct Trace {
    place: Log,
    /// In nanoseconds of the clock.
    began: u64,
    /// How much is told; without one everything, and the lines show none.
    up_to: Option<Level>,
}

impl Trace {
    /// What the value of the variable asks for; nothing where that cannot be had.
    fn wanted(value: Option<OsString>) -> Option<Trace> {
        let place = match Place::of(value.as_deref()?) {
            Place::Nowhere => return None,
            Place::StandardError => Log::StandardError,
            Place::File(path) => Log::append(path).ok()?,
        };
        Some(Trace { place, began: sys::nanoseconds(), up_to: None })
    }

    /// The same of a variable that names a level, and maybe a file behind a colon.
    fn of_levels(value: Option<OsString>) -> Option<Trace> {
        let value = value?;
        let bytes = value.as_encoded_bytes();
        let length = bytes.iter().position(|byte| *byte == b':').unwrap_or(bytes.len());
        let is_it = |level: &Level| level.word().as_bytes() == &bytes[..length];
        let up_to = Some(Level::ALL.into_iter().find(is_it)?);
        let place = match bytes.get(length + 1..) {
            None => Log::StandardError,
            Some(path) => Log::append(Path::new(OsStr::from_bytes(path))).ok()?,
        };
        Some(Trace { place, began: sys::nanoseconds(), up_to })
    }

    fn tell(
        &self,
        level: Level,
        event: Happening,
        subject: &dyn Subject,
        details: fmt::Arguments<'_>,
    ) {
        let micros = sys::nanoseconds().saturating_sub(self.began) / 1000;
        let (process, seconds, micros) = (process::id(), micros / 1_000_000, micros % 1_000_000);
        let line = match self.up_to {
            Some(up_to) if level > up_to => return,
            Some(_) => {
                let word = level.word();
                let front = format_args!("spmsg {process} {seconds}.{micros:06} {word} ");
                Line::new(front, event, subject, details)
            }
            None => {
                let front = format_args!("spmsg {process} {seconds}.{micros:06} ");
                Line::new(front, event, subject, details)
            }
        };
        self.place.write(line.as_bytes());
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Place<'a> {
    Nowhere,
    StandardError,
    File(&'a Path),
}

impl Place<'_> {
    /// A name without a directory is none: whoever means one writes `./name`.
    fn of(value: &OsStr) -> Place<'_> {
        match value.as_encoded_bytes() {
            b"1" => Place::StandardError,
            bytes if bytes.contains(&b'/') => Place::File(Path::new(value)),
            _ => Place::Nowhere,
        }
    }
}

/// One line, which is cut when it gets too long.
struct Line {
    bytes: [u8; LINE_MAX],
    len: usize,
}

impl Line {
    fn new(
        front: fmt::Arguments<'_>,
        event: Happening,
        subject: &dyn Subject,
        details: fmt::Arguments<'_>,
    ) -> Line {
        let mut line = Line { bytes: [0; LINE_MAX], len: 0 };
        let event = event.word();
        // It fails when the line is full, and then it is cut.
        let _ = write!(line, "{front}{event} {subject} {details}");
        // Details may be empty, or end with one that is.
        line.len = line.bytes[..line.len].trim_ascii_end().len();
        line.bytes[line.len] = b'\n';
        line.len += 1;
        line
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // The last place is for the end of the line.
        let count = text.len().min(LINE_MAX - 1 - self.len);
        self.bytes[self.len..][..count].copy_from_slice(&text.as_bytes()[..count]);
        self.len += count;
        if count == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

/// Somebody else's bytes as one word: what could end it is escaped.
pub struct Plain<'a>(pub &'a [u8]);

impl Display for Plain<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            match byte {
                b' ' => to.write_str("\\x20")?,
                other => write!(to, "{}", other.escape_ascii())?,
            }
        }
        Ok(())
    }
}

/// An error as one value: a word of ours, or the system's text in quotes.
pub struct Reason(pub Error);

impl Display for Reason {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Error::System(SystemCode(code)) => {
                write!(to, "\"{}\"", io::Error::from_raw_os_error(code))
            }
            Error::Malformed(part) => write!(to, "Invalid part={part:?}"),
            Error::Unusable { setting, flaw, .. } => {
                write!(to, "Unusable setting={setting} flaw={flaw}")
            }
            ours => write!(to, "{ours:?}"),
        }
    }
}

/// Who wants to know, a bit for each.
static WANTED_BY: AtomicU8 = AtomicU8::new(0);
const FILES: u8 = 1;
const LISTENS: u8 = 2;
static HAS_BEGUN: AtomicBool = AtomicBool::new(false);
static TRACE: OnceLock<Trace> = OnceLock::new();
static LOG: OnceLock<Trace> = OnceLock::new();
/// A child may be forked while its parent sets it, and then begin to listen itself.
static LISTENER: PerProcess<OnceLock<fn(&Heard<'_>)>> = PerProcess::new(OnceLock::new);
const TRACE_VARIABLE: &str = "SPMSG_TRACE";
const LOG_VARIABLE: &str = "SPMSG_LOG";
/// The longest line. A pipe takes that much in one piece.
const LINE_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    impl Subject for &str {
        fn socket(&self) -> i32 {
            3
        }

        fn endpoint(&self) -> Option<i32> {
            None
        }
    }

    fn line(subject: &str, details: fmt::Arguments<'_>) -> String {
        let front = format_args!("spmsg 17 0.000000 ");
        let line = Line::new(front, Happening::SendRefused, &subject, details);
        String::from_utf8(line.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn a_line_has_its_process_its_time_and_its_event_in_front() {
        let expected = "spmsg 17 0.000000 send-refused socket=3 error=WouldBlock\n";
        let reason = Reason(Error::WouldBlock);
        let details = format_args!("error={reason}");
        assert_eq!(line("socket=3", details), expected);
        assert_eq!(line("socket=3", format_args!("")), "spmsg 17 0.000000 send-refused socket=3\n");
    }

    #[test]
    fn a_line_that_is_too_long_is_cut_and_still_ends() {
        for length in [LINE_MAX - 32, LINE_MAX - 31, LINE_MAX - 30, 10 * LINE_MAX] {
            let line = line(&"s".repeat(length), format_args!("details"));
            assert!(line.len() <= LINE_MAX && line.ends_with('\n'), "{length}");
            assert_eq!(line.matches('\n').count(), 1);
        }
    }

    #[test]
    fn foreign_bytes_stay_one_word() {
        let plain = |bytes: &[u8]| Plain(bytes).to_string();
        assert_eq!(plain(b"/run/a=b(c)"), "/run/a=b(c)");
        assert_eq!(plain(b"a b\n\"\xff\\"), "a\\x20b\\n\\\"\\xff\\\\");
    }

    #[test]
    fn reasons_are_our_words_or_the_systems_text() {
        assert_eq!(Reason(Error::AddressInUse).to_string(), "AddressInUse");
        let refused = Reason(Error::System(SystemCode(111)));
        assert_eq!(refused.to_string(), "\"Connection refused (os error 111)\"");
    }

    #[test]
    fn the_variable_names_a_place_or_none() {
        let place = |value: &'static str| Place::of(OsStr::new(value));
        assert_eq!(place("1"), Place::StandardError);
        assert_eq!(place("./log"), Place::File(Path::new("./log")));
        assert_eq!(place("/a/log"), Place::File(Path::new("/a/log")));
        for off in ["", "0", "no", "2", "log"] {
            assert_eq!(place(off), Place::Nowhere, "{off}");
        }
    }

    #[test]
    fn what_is_not_wanted_or_cannot_be_written_is_off() {
        for value in [None, Some(""), Some("0"), Some("/"), Some("/nowhere/at/all")] {
            assert!(Trace::wanted(value.map(OsString::from)).is_none(), "{value:?}");
        }
        assert!(Trace::wanted(Some("1".into())).is_some());
        assert!(Trace::wanted(Some("/dev/null".into())).is_some());
    }

    #[test]
    fn a_level_may_be_followed_by_a_file() {
        let wanted = |value: &str| Trace::of_levels(Some(value.into())).map(|trace| trace.up_to);
        for level in Level::ALL {
            assert_eq!(wanted(level.word()), Some(Some(level)));
            assert_eq!(wanted(&format!("{}:/dev/null", level.word())), Some(Some(level)));
        }
        for off in ["", "0", "1", "Error", "err", "errors", "debug:", "debug:/", "debug:/no/log"] {
            assert_eq!(wanted(off), None, "{off}");
        }
        assert!(Trace::of_levels(None).is_none());
    }

    #[test]
    fn words_are_all_different_and_plain() {
        let mut words: Vec<_> = Happening::ALL.iter().map(|event| event.word()).collect();
        let is_plain = |word: &&str| word.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'-'));
        assert!(words.iter().all(is_plain));
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Happening::ALL.len());
    }

    #[test]
    fn the_manual_explains_every_event() {
        let manual = include_str!("../doc/trace.md");
        for event in Happening::ALL {
            let row = format!("| `{}` | {} |", event.word(), event.level().word());
            assert!(manual.contains(&row), "{row}");
        }
    }
}
