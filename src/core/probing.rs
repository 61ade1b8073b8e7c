//! What probes show, put into words: those of traces, in memory that a tracer can read.

use std::ffi::CStr;
use std::fmt::{self, Display, Write};

use crate::sys::probe::Probe;

/// Shows what has happened to the socket with that number, if anybody looks.
#[inline]
pub fn show(probe: &Probe, socket: i32, number: i64, what: &dyn Display) {
    if probe.is_on() {
        show_words(probe, socket, number, what);
    }
}

#[cold]
#[inline(never)]
fn show_words(probe: &Probe, socket: i32, number: i64, what: &dyn Display) {
    let mut words = Words { bytes: [0; WORDS_MAX], len: 0 };
    // It fails when there is no more room, and then they are cut.
    let _ = write!(words, "{what}");
    probe.show(socket, number, words.as_c_str());
}

/// Words with a zero behind them.
struct Words {
    bytes: [u8; WORDS_MAX],
    len: usize,
}

impl Words {
    /// Probes say nothing but the reason, which needs no name then.
    fn as_c_str(&self) -> &CStr {
        let all = &self.bytes[..];
        let words = all.strip_prefix(b"error=").unwrap_or(all);
        CStr::from_bytes_until_nul(words).unwrap_or(c"")
    }
}

impl Write for Words {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // The last place is for the zero.
        let count = text.len().min(WORDS_MAX - 1 - self.len);
        self.bytes[self.len..][..count].copy_from_slice(&text.as_bytes()[..count]);
        self.len += count;
        if count == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

const WORDS_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    fn words(what: &str) -> String {
        let mut words = Words { bytes: [0; WORDS_MAX], len: 0 };
        let _ = write!(words, "{what}");
        words.as_c_str().to_str().unwrap().to_owned()
    }

    #[test]
    fn words_are_those_of_a_trace_without_the_key() {
        assert_eq!(
            words("error=WrongType found=pub wanted=pull"),
            "WrongType found=pub wanted=pull"
        );
        assert_eq!(words("Busy"), "Busy");
        assert_eq!(words(""), "");
    }

    #[test]
    fn words_that_are_too_many_are_cut_and_still_end() {
        for length in [WORDS_MAX - 2, WORDS_MAX - 1, WORDS_MAX, 10 * WORDS_MAX] {
            assert_eq!(words(&"w".repeat(length)).len(), length.min(WORDS_MAX - 1));
        }
    }

    #[test]
    fn nobody_looks_by_himself() {
        use crate::sys::probe::{ACCEPT, CONNECT, DROP, REFUSE, SLEEP, WAKE};
        for probe in [&ACCEPT, &CONNECT, &DROP, &REFUSE, &SLEEP, &WAKE] {
            assert!(!probe.is_on());
            probe.show(1, 2, c"nothing happens");
        }
    }
}
