//! The parts of the tool, and how they come together.

#[forbid(unsafe_code)]
mod arguments;
#[forbid(unsafe_code)]
mod census;
#[forbid(unsafe_code)]
mod figures;
#[forbid(unsafe_code)]
mod json;
#[allow(unsafe_code, reason = "what the standard library does not ask the system")]
mod system;
#[forbid(unsafe_code)]
mod table;

use self::arguments::{Options, Parsed, Shape};
use self::census::Process;
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::thread;
use std::time::Instant;

pub fn run(words: Vec<OsString>) -> ExitCode {
    let options = match arguments::parse(words) {
        Ok(Parsed::Options(options)) => options,
        Ok(Parsed::Answer(text)) => return ended(write!(io::stdout(), "{text}")),
        Err(complaint) => {
            let _ = writeln!(io::stderr(), "spmsg-top: {complaint}");
            return ExitCode::from(2);
        }
    };
    ended(watch(&options))
}

/// Who does not read any more has seen enough.
fn ended(result: io::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "spmsg-top: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Shows one picture after the other. The first one has no rates but after a while.
fn watch(options: &Options) -> io::Result<()> {
    let mut out = io::stdout();
    let is_screen = out.is_terminal() && options.count.is_none() && options.shape == Shape::Table;
    let mut before = census::ask_all(&options.processes)?;
    let mut began = Instant::now();
    if is_screen {
        show(&mut out, options, &before, &[], 0.0, is_screen)?;
    }
    let mut left = options.count;
    while left != Some(0) {
        thread::sleep(options.interval);
        let now = census::ask_all(&options.processes)?;
        let moment = Instant::now();
        let seconds = moment.duration_since(began).as_secs_f64();
        show(&mut out, options, &now, &before, seconds, is_screen)?;
        (before, began) = (now, moment);
        left = left.map(|left| left - 1);
    }
    Ok(())
}

fn show(
    out: &mut impl Write,
    options: &Options,
    now: &[Process],
    before: &[Process],
    seconds: f64,
    is_screen: bool,
) -> io::Result<()> {
    let mut text = match options.shape {
        Shape::Json => json::document(options, now, before, seconds),
        Shape::Table => table::picture(options, now, before, seconds),
    };
    if is_screen {
        // From the top, what was there before is gone; no more lines than there is room for.
        let (rows, columns) = system::screen();
        let fits = |line: &str| line.chars().take(columns).collect::<String>();
        let lines: Vec<_> = text.lines().take(rows.saturating_sub(1)).map(fits).collect();
        text = format!("\x1b[H\x1b[2J{}\n", lines.join("\n"));
    }
    out.write_all(text.as_bytes())?;
    out.flush()
}
