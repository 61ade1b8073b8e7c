//! Why the tool did not do what it was asked, and the exit code that tells it.
//!
//! Codes up to 3 are those of libnanomsg's tool.

use super::library::ErrorNumber;
use std::io::{self, Write};
use std::process::ExitCode;

#[derive(Debug)]
pub enum Failure {
    /// The command line is wrong; the text says how.
    Usage(String),
    /// What is to be sent cannot be read.
    Input { name: String, error: io::Error },
    /// The library cannot do something.
    Call { what: String, number: ErrorNumber },
    /// The socket cannot be bound or connected; the library says why.
    Attach { what: String, number: ErrorNumber, reason: String },
    /// What has arrived cannot be written.
    Output(io::Error),
    /// Nothing has arrived in time, and that was to be a failure.
    TimedOut,
    /// Not all that was sent has left in time.
    Undelivered,
}

impl Failure {
    pub fn call(what: impl Into<String>) -> impl FnOnce(ErrorNumber) -> Failure {
        move |number| Failure::Call { what: what.into(), number }
    }

    fn code(&self) -> u8 {
        match self {
            Failure::Usage(_) => 1,
            Failure::Input { .. } => 2,
            Failure::Call { .. } | Failure::Attach { .. } => 3,
            Failure::Output(_) => 4,
            Failure::TimedOut => 5,
            Failure::Undelivered => 6,
        }
    }

    /// A reader that has gone is told nothing: it knows.
    fn text(&self) -> Option<String> {
        match self {
            Failure::Usage(text) => Some(text.trim_end().to_owned()),
            Failure::Input { name, error } => Some(format!("nanocat: {name}: {error}")),
            Failure::Call { what, number } => Some(format!("nanocat: cannot {what}: {number}")),
            Failure::Attach { what, number, reason } if *reason == number.to_string() => {
                Some(format!("nanocat: cannot {what}: {number}"))
            }
            Failure::Attach { what, number, reason } => {
                Some(format!("nanocat: cannot {what}: {number}: {reason}"))
            }
            Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => None,
            Failure::Output(error) => Some(format!("nanocat: standard output: {error}")),
            Failure::TimedOut => Some("nanocat: nothing has arrived in time".to_owned()),
            Failure::Undelivered => {
                Some("nanocat: not everything was delivered in time".to_owned())
            }
        }
    }

    /// Tells whoever reads standard error. Where nobody can, the code has to do.
    pub fn tell(&self) -> ExitCode {
        if let Some(text) = self.text() {
            let _ = writeln!(io::stderr(), "{text}");
        }
        ExitCode::from(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_has_gone_is_told_nothing() {
        let gone = Failure::Output(io::ErrorKind::BrokenPipe.into());
        assert_eq!((gone.code(), gone.text()), (4, None));
        let full = Failure::Output(io::ErrorKind::StorageFull.into());
        assert!(full.text().is_some_and(|text| text.contains("standard output")));
    }
}
