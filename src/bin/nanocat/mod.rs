//! The parts of the tool, and how they come together.

#[forbid(unsafe_code)]
mod arguments;
#[forbid(unsafe_code)]
mod exchange;
#[forbid(unsafe_code)]
mod failure;
#[forbid(unsafe_code)]
mod format;
#[forbid(unsafe_code)]
mod input;
#[allow(unsafe_code, reason = "calls of C, as a program would make them")]
mod library;
#[forbid(unsafe_code)]
mod meter;
#[forbid(unsafe_code)]
mod moment;
#[forbid(unsafe_code)]
mod rules;
#[forbid(unsafe_code)]
mod session;
#[allow(unsafe_code, reason = "signals")]
mod signals;
#[forbid(unsafe_code)]
mod spelling;

use self::arguments::{Options, Parsed};
use self::failure::Failure;
use self::input::Input;
use self::session::Session;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

pub fn run(words: Vec<OsString>) -> ExitCode {
    let options = match arguments::parse(words) {
        Ok(Parsed::Options(options)) => *options,
        Ok(Parsed::Answer(text)) => {
            let written = write!(io::stdout(), "{text}").map_err(Failure::Output);
            return written.map_or_else(|failure| failure.tell(), |()| ExitCode::SUCCESS);
        }
        Err(failure) => return failure.tell(),
    };
    match converse(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.tell(),
    }
}

/// What is to be sent is looked for first: who mistypes the name of a file has disturbed nobody.
fn converse(options: &Options) -> Result<(), Failure> {
    let input = Input::open(options.input.as_ref())?;
    let signals = signals::block();
    let session = Session::open(options, &input)?;
    session.end_on(signals);
    let done = exchange::run(options, input, &session);
    session.leave_when_interrupted();
    session.close(done)
}
