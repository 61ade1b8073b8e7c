//! The command line.

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, Command, value_parser};
use std::ffi::OsString;
use std::time::Duration;

pub enum Parsed {
    Options(Options),
    /// What was asked for was help.
    Answer(String),
}

#[derive(Debug)]
pub struct Options {
    /// Only these, unless there are none.
    pub processes: Vec<i32>,
    /// Only that one.
    pub socket: Option<i32>,
    pub depth: Depth,
    pub shape: Shape,
    pub interval: Duration,
    /// How many pictures; without a number, until somebody ends it.
    pub count: Option<u64>,
}

/// How far down it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    Sockets,
    Endpoints,
    Peers,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Table,
    Json,
}

/// # Errors
/// What is wrong with it.
pub fn parse(words: Vec<OsString>) -> Result<Parsed, String> {
    let all = std::iter::once(OsString::from("spmsg-top")).chain(words);
    let matches = match command().try_get_matches_from(all) {
        Ok(matches) => matches,
        Err(error)
            if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) =>
        {
            return Ok(Parsed::Answer(error.to_string()));
        }
        Err(error) => {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            return Err(first.trim_start_matches("error: ").to_owned());
        }
    };
    let seconds: f64 = *matches.get_one("interval").unwrap_or(&1.0);
    let interval = Duration::try_from_secs_f64(seconds).ok();
    let interval = interval.filter(|interval| (SHORTEST..=LONGEST).contains(interval));
    let interval =
        interval.ok_or_else(|| format!("the interval is not from 0.1 to {LONGEST:?}"))?;
    let count = match matches.get_one("count") {
        Some(count) => Some(*count),
        None => matches.get_flag("once").then_some(1),
    };
    Ok(Parsed::Options(Options {
        processes: matches.get_many("process").unwrap_or_default().copied().collect(),
        socket: matches.get_one("socket").copied(),
        depth: match (matches.get_flag("peers"), matches.get_flag("endpoints")) {
            (true, _) => Depth::Peers,
            (false, true) => Depth::Endpoints,
            (false, false) => Depth::Sockets,
        },
        shape: if matches.get_flag("json") { Shape::Json } else { Shape::Table },
        interval,
        count,
    }))
}

fn command() -> Command {
    let flag = |name: &'static str, letter: char, help: &'static str| {
        Arg::new(name).long(name).short(letter).action(ArgAction::SetTrue).help(help)
    };
    Command::new("spmsg-top")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Shows the sockets of processes that were started with SPMSG_STATS=1")
        .arg(flag("endpoints", 'e', "Show the endpoints of each socket, too"))
        .arg(flag("peers", 'p', "Show the endpoints and the peers of each socket, too"))
        .arg(flag("json", 'j', "Print a line of JSON instead of a table"))
        .arg(flag("once", '1', "Print once, after an interval, and end"))
        .arg(
            Arg::new("count")
                .long("count")
                .short('n')
                .value_name("TIMES")
                .value_parser(value_parser!(u64).range(1..))
                .conflicts_with("once")
                .help("Print that often, and end"),
        )
        .arg(
            Arg::new("interval")
                .long("interval")
                .short('i')
                .value_name("SECONDS")
                .value_parser(value_parser!(f64))
                .help("Look that often; 1 unless set"),
        )
        .arg(
            Arg::new("process")
                .long("process")
                .value_name("PID")
                .action(ArgAction::Append)
                .value_parser(value_parser!(i32).range(1..))
                .help("Show that process only; may be given several times"),
        )
        .arg(
            Arg::new("socket")
                .long("socket")
                .short('s')
                .value_name("NUMBER")
                .value_parser(value_parser!(i32).range(0..))
                .help("Show sockets of that number only"),
        )
}

const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Options, String> {
        match parse(words.iter().map(OsString::from).collect())? {
            Parsed::Options(options) => Ok(options),
            Parsed::Answer(_) => Err("help".into()),
        }
    }

    #[test]
    fn without_a_word_it_shows_sockets_every_second_for_ever() {
        let options = parsed(&[]).unwrap();
        assert_eq!((options.depth, options.shape), (Depth::Sockets, Shape::Table));
        assert_eq!((options.interval, options.count), (Duration::from_secs(1), None));
        assert!(options.processes.is_empty() && options.socket.is_none());
    }

    #[test]
    fn each_word_is_understood() {
        let words = ["-pj", "-i", "0.5", "-n", "3", "--process", "7", "--process", "8", "-s", "0"];
        let options = parsed(&words).unwrap();
        assert_eq!((options.depth, options.shape), (Depth::Peers, Shape::Json));
        assert_eq!((options.interval, options.count), (Duration::from_millis(500), Some(3)));
        assert_eq!((options.processes, options.socket), (vec![7, 8], Some(0)));
        assert_eq!(parsed(&["--once"]).unwrap().count, Some(1));
        assert_eq!(parsed(&["-e"]).unwrap().depth, Depth::Endpoints);
    }

    #[test]
    fn nonsense_is_refused_in_one_line() {
        for words in [
            &["-i", "0"][..],
            &["-i", "x"],
            &["-i", "nan"],
            &["-n", "0"],
            &["word"],
            &["--process", "-1"],
            &["--once", "-n", "2"],
            &["--all"],
        ] {
            let complaint = parsed(words).unwrap_err();
            assert!(!complaint.is_empty() && !complaint.contains('\n'), "{words:?}: {complaint}");
        }
    }
}
