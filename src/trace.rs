//! Tells what happens to sockets, connections and messages, for whoever has `SPMSG_TRACE` set:
//! one line each. doc/trace.md says what the lines look like, and what each event means.
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
use std::path::Path;
use std::process;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, SystemCode};
use crate::sys::{self, Log};

/// A closed list of events and their words.
macro_rules! events {
    ($($(#[$meaning:meta])+ $name:ident = $word:literal,)+) => {
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
        }
    };
}

events! {
    /// A socket was opened.
    Opened = "opened",
    /// It takes no more calls, and its connections end.
    Closing = "closing",
    /// Nothing of it is left.
    Closed = "closed",
    /// A bug was found in what it did, and it is of no use any more.
    OutOfService = "out-of-service",

    /// An endpoint listens.
    Bound = "bound",
    /// There is none, because the call failed.
    NotBound = "not-bound",
    /// An endpoint connects from now on, again and again.
    Dialing = "dialing",
    /// There is none, because the call failed.
    NotDialing = "not-dialing",
    /// An endpoint has a stream that somebody else has connected.
    Adopted = "adopted",
    /// There is none, because a call that was given a descriptor failed.
    NotAdopted = "not-adopted",
    /// An endpoint was removed.
    ShutDown = "shut-down",

    /// An attempt to connect begins.
    Connecting = "connecting",
    /// The name is being looked up for it.
    Resolving = "resolving",
    /// It has that address.
    Resolved = "resolved",
    /// Nobody has that name.
    Unresolved = "unresolved",
    /// The attempt led to a stream, or to an inproc link.
    Established = "established",
    /// It did not.
    ConnectFailed = "connect-failed",
    /// It was given up because the endpoint goes.
    ConnectAbandoned = "connect-abandoned",
    /// The socket wants no connection now, and none is tried.
    Unwanted = "unwanted",
    /// The next attempt is made when some time has passed.
    Waiting = "waiting",
    /// The peer has asked not to be connected to again.
    Retired = "retired",
    /// A listener has a stream, or an inproc link.
    Accepted = "accepted",
    /// It cannot have one.
    AcceptFailed = "accept-failed",

    /// The peer is none for this socket, or does not speak as it should.
    HandshakeFailed = "handshake-failed",
    /// It does, but has to wait until the socket wants it.
    Held = "held",
    /// The socket does not want it.
    Rejected = "rejected",
    /// A connection has become a pipe.
    Attached = "attached",
    /// It is one no longer.
    Detached = "detached",
    /// The peer went or misbehaved.
    ConnectionBroken = "connection-broken",
    /// We ended the connection.
    ConnectionDropped = "connection-dropped",
    /// Not everything is written, and there is time left for it.
    Lingering = "lingering",
    /// That time is over, or everything is written.
    Lingered = "lingered",

    /// A message was not sent; the caller has it.
    SendRefused = "send-refused",
    /// A receive failed, for another reason than that nothing was there.
    RecvFailed = "recv-failed",
    /// Messages were accepted, and then had nowhere to go.
    MessageDropped = "message-dropped",

    /// From now on callers read for themselves.
    CallersRead = "callers-read",
    /// From now on the background thread does.
    ReactorReads = "reactor-reads",
    /// The background thread looks often for what senders have gathered.
    ReactorLooks = "reactor-looks",
    /// It does so no more.
    ReactorRests = "reactor-rests",
    /// The kernel says when it takes more, and the background thread writes then.
    KernelFull = "kernel-full",
}

/// Whether anybody wants to know.
#[inline]
pub fn is_on() -> bool {
    IS_ON.load(Ordering::Relaxed)
}

/// Looks at the environment, the first time that it is called. The children of this process do as
/// it does.
pub fn begin() {
    // Whoever is forked off in the middle of this does without, and waits for nobody.
    if HAS_BEGUN.swap(true, Ordering::Relaxed) {
        return;
    }
    if let Some(trace) = Trace::wanted(sys::environment(VARIABLE)) {
        IS_ON.store(TRACE.set(trace).is_ok(), Ordering::Relaxed);
    }
}

/// Tells that `event` has happened to `subject`. Both `subject` and `details` are words, most of
/// them `key=value`.
#[cold]
#[inline(never)]
pub fn tell(event: Happening, subject: &dyn Display, details: fmt::Arguments<'_>) {
    if let Some(trace) = TRACE.get() {
        let micros = sys::nanoseconds().saturating_sub(trace.began) / 1000;
        trace.log.write(Line::new(process::id(), micros, event, subject, details).as_bytes());
    }
}

struct Trace {
    log: Log,
    /// In nanoseconds of the clock.
    began: u64,
}

impl Trace {
    /// What the value of the variable asks for; nothing where that cannot be had.
    fn wanted(value: Option<OsString>) -> Option<Trace> {
        let log = match Place::of(value.as_deref()?) {
            Place::Nowhere => return None,
            Place::StandardError => Log::StandardError,
            Place::File(path) => Log::append(path).ok()?,
        };
        Some(Trace { log, began: sys::nanoseconds() })
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
        process: u32,
        micros: u64,
        event: Happening,
        subject: &dyn Display,
        details: fmt::Arguments<'_>,
    ) -> Line {
        let mut line = Line { bytes: [0; LINE_MAX], len: 0 };
        let (seconds, micros, event) = (micros / 1_000_000, micros % 1_000_000, event.word());
        // It fails when the line is full, and then it is cut.
        let _ = write!(line, "spmsg {process} {seconds}.{micros:06} {event} {subject}");
        let _ = write!(line, " {details}");
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
            ours => write!(to, "{ours:?}"),
        }
    }
}

static IS_ON: AtomicBool = AtomicBool::new(false);
static HAS_BEGUN: AtomicBool = AtomicBool::new(false);
static TRACE: OnceLock<Trace> = OnceLock::new();
const VARIABLE: &str = "SPMSG_TRACE";
/// The longest line. A pipe takes that much in one piece.
const LINE_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn line(micros: u64, subject: &str, details: fmt::Arguments<'_>) -> String {
        let line = Line::new(17, micros, Happening::SendRefused, &subject, details);
        String::from_utf8(line.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn a_line_has_its_process_its_time_and_its_event_in_front() {
        let expected = "spmsg 17 12.000345 send-refused socket=3 error=WouldBlock\n";
        let reason = Reason(Error::WouldBlock);
        let details = format_args!("error={reason}");
        assert_eq!(line(12_000_345, "socket=3", details), expected);
        assert_eq!(
            line(0, "socket=3", format_args!("")),
            "spmsg 17 0.000000 send-refused socket=3\n"
        );
    }

    #[test]
    fn a_line_that_is_too_long_is_cut_and_still_ends() {
        for length in [LINE_MAX - 32, LINE_MAX - 31, LINE_MAX - 30, 10 * LINE_MAX] {
            let line = line(0, &"s".repeat(length), format_args!("details"));
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
            let row = format!("| `{}` |", event.word());
            assert!(manual.contains(&row), "{}", event.word());
        }
    }
}
