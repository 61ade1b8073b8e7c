//! The command line: the options of libnanomsg's tool, and ours.
//!
//! clap reads it; what it does not know, such as which options go together, is in `rules.rs`.

use super::failure::Failure;
use super::format::{FORMATS, Format};
use super::input::{Cut, Origin};
use super::library::{TlsText, Verify};
use super::rules::{Concern, KINDS, Kind, check, only};
use super::spelling;
use clap::builder::ValueParser;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use std::ffi::{OsStr, OsString};
use std::time::Duration;

pub enum Parsed {
    Options(Box<Options>),
    /// What was asked for was help.
    Answer(String),
}

#[derive(Debug)]
pub struct Options {
    pub kind: Kind,
    pub bind: Vec<OsString>,
    pub connect: Vec<OsString>,
    pub send_timeout: Option<Patience>,
    pub recv_timeout: Option<Patience>,
    pub socket_name: Option<OsString>,
    pub topics: Vec<OsString>,
    pub tls: Tls,
    pub format: Format,
    pub input: Option<Origin>,
    pub interval: Option<Duration>,
    pub delay: Duration,
    pub report: Report,
    pub on_timeout: OnTimeout,
}

/// For addresses of `tls+tcp` and `wss`.
#[derive(Debug)]
pub struct Tls {
    pub texts: Vec<(TlsText, OsString)>,
    pub verify: Verify,
}

/// How long to wait.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Patience {
    For(Duration),
    Forever,
}

/// What is told on standard error, besides failures.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    pub stats: bool,
    pub progress: bool,
}

/// What it means that nothing has arrived in time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum OnTimeout {
    End,
    Fail,
}

pub fn parse(words: Vec<OsString>) -> Result<Parsed, Failure> {
    let program = words.first().cloned().unwrap_or_else(|| "nanocat".into());
    let command = command();
    let with_value = |arg: &&Arg| arg.get_action().takes_values();
    let takes_value = |letter: u8| {
        let mut args = command.get_arguments().filter(with_value);
        args.any(|arg| arg.get_short() == Some(char::from(letter)))
    };
    let long_takes_value = |name: &str| {
        let named = |arg: &&Arg| arg.get_long().is_some_and(|long| long.starts_with(name));
        let mut args: Vec<_> = command.get_arguments().filter(named).collect();
        args.sort_by_key(|arg| arg.get_long() != Some(name));
        args.first().is_some_and(|arg| arg.get_action().takes_values())
    };
    let rest = spelling::normalise(words.into_iter().skip(1), takes_value, long_takes_value);
    let all = std::iter::once(OsString::from("nanocat")).chain(rest);
    match command.clone().try_get_matches_from(all) {
        Ok(matches) => {
            let options = options(&program, &matches).map_err(usage)?;
            Ok(Parsed::Options(Box::new(options)))
        }
        Err(error) if is_answer(error.kind()) => Ok(Parsed::Answer(error.to_string())),
        Err(error) => Err(Failure::Usage(error.to_string())),
    }
}

fn is_answer(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::DisplayHelp | ErrorKind::DisplayVersion)
}

fn usage(text: String) -> Failure {
    Failure::Usage(format!("nanocat: {text}\nnanocat --help lists all options."))
}

fn command() -> Command {
    Command::new("nanocat")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Sends and receives messages of the scalability protocols.")
        .override_usage(
            "nanocat --TYPE {--bind ADDR | --connect ADDR}... [OPTIONS]\n       \
             nn_TYPE {--bind ADDR | --connect ADDR}... [OPTIONS]",
        )
        .infer_long_args(true)
        .args_override_self(true)
        .disable_version_flag(true)
        .next_help_heading("General")
        .arg(flag("verbose", "Undoes --silent").short('v').action(ArgAction::Count))
        .arg(flag("silent", "Shows no progress").short('q').action(ArgAction::Count))
        .arg(Arg::new("version").short('V').action(ArgAction::Version).help("Tells the version"))
        .arg(flag("stats", "Tells at the end, on standard error, what has happened"))
        .arg(flag("fail-on-timeout", "Ends with 5 instead of 0 when nothing arrives in time"))
        .next_help_heading("Types of sockets")
        .args(KINDS.map(|(name, ..)| {
            flag(name, format!("A socket of type NN_{}", name.to_uppercase()))
                .action(ArgAction::Count)
        }))
        .next_help_heading("Sockets")
        .args(socket_arguments())
        .next_help_heading("Certificates, for tls+tcp and wss")
        .args(certificate_arguments())
        .next_help_heading("What arrives")
        .arg(value("format", "FORMAT", "How messages are shown, one of those below, json or no"))
        .args(FORMATS.iter().filter_map(format_argument))
        .next_help_heading("What is sent")
        .args(input_arguments())
}

fn socket_arguments() -> Vec<Arg> {
    vec![
        list("bind", "ADDR", "Listens there, such as at tcp://*:5000"),
        list("connect", "ADDR", "Connects to there"),
        list("bind-ipc", "PATH", "The same as --bind ipc://PATH").short('X'),
        list("connect-ipc", "PATH", "The same as --connect ipc://PATH").short('x'),
        list("bind-local", "PORT", "The same as --bind tcp://127.0.0.1:PORT").short('L'),
        list("connect-local", "PORT", "The same as --connect tcp://127.0.0.1:PORT").short('l'),
        seconds("recv-timeout", "How long a message is waited for; for ever unless given"),
        seconds("send-timeout", "How long sending may take, and delivery at the end"),
        value("socket-name", "NAME", "What the socket is called where the library tells of it"),
        list("subscribe", "PREFIX", "Messages that begin so; all of them unless given"),
    ]
}

/// None of them begins as an option of libnanomsg's tool does that is clear by its first letter.
fn certificate_arguments() -> Vec<Arg> {
    vec![
        value("cert", "FILE", "The certificate that is shown, in PEM; who listens needs one"),
        value("key", "FILE", "Its private key, where that is not in the same file"),
        value("cacert", "FILE", "The authorities that are trusted; those of the system otherwise"),
        value("cert-name", "NAME", "For whom the peer's certificate is, if not for the address"),
        flag("cert-required", "Listens for nobody without a certificate that is trusted"),
        flag("cert-unchecked", "Connects to whoever is there: encrypted, but for whom?"),
    ]
}

fn format_argument((name, format): &(&'static str, Format)) -> Option<Arg> {
    let (short, help) = match format {
        Format::Nothing | Format::Json => return None,
        Format::Raw => (None, "Their bytes, with nothing in between"),
        Format::Ascii => (Some('A'), "A line each, with dots for what is not printable"),
        Format::Quoted => (Some('Q'), "A line each, as a string of C"),
        Format::Msgpack => (None, "As bin of MessagePack, with their length in front"),
        Format::Hex => (None, "A line each, as a string of hexadecimal escapes"),
    };
    let arg = flag(name, help);
    Some(match short {
        Some(letter) => arg.short(letter),
        None => arg,
    })
}

fn input_arguments() -> Vec<Arg> {
    vec![
        list("data", "DATA", "The message, or the answer to each").short('D'),
        list("file", "PATH", "The same from a file, or from standard input with -").short('F'),
        flag("lines", "A message for each line of the file, which is standard input unless given"),
        seconds("interval", "Sends again and again, so far apart").short('i'),
        seconds("delay", "Waits before anything else is done").short('d'),
    ]
}

fn flag(name: &'static str, help: impl Into<String>) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help.into())
}

fn value(name: &'static str, shown: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name(shown)
        .help(help)
        .allow_hyphen_values(true)
        .value_parser(value_parser!(OsString))
}

fn list(name: &'static str, shown: &'static str, help: &'static str) -> Arg {
    value(name, shown, help).action(ArgAction::Append)
}

fn seconds(name: &'static str, help: &'static str) -> Arg {
    value(name, "SEC", help).value_parser(ValueParser::new(number))
}

fn number(text: &str) -> Result<f64, String> {
    let number = text.trim_start().parse::<f64>();
    number.map_err(|_| "a number of seconds is needed".to_owned())
}

fn options(program: &OsStr, matches: &ArgMatches) -> Result<Options, String> {
    let kind = kind(program, matches)?;
    let options = Options {
        kind,
        bind: addresses(matches, ["bind", "bind-ipc", "bind-local"]),
        connect: addresses(matches, ["connect", "connect-ipc", "connect-local"]),
        send_timeout: number_of(matches, "send-timeout").map(patience),
        recv_timeout: number_of(matches, "recv-timeout").map(patience),
        socket_name: matches.get_one::<OsString>("socket-name").cloned(),
        topics: all_of(matches, "subscribe"),
        tls: tls(matches)?,
        format: format(matches)?,
        input: origin(matches)?,
        interval: number_of(matches, "interval").filter(|&seconds| seconds >= 0.0).map(span),
        delay: number_of(matches, "delay").map(span).unwrap_or_default(),
        report: Report {
            stats: matches.get_flag("stats"),
            progress: matches.get_count("silent") <= matches.get_count("verbose"),
        },
        on_timeout: match matches.get_flag("fail-on-timeout") {
            true => OnTimeout::Fail,
            false => OnTimeout::End,
        },
    };
    if options.bind.is_empty() && options.connect.is_empty() {
        return Err("an address is missing: --bind or --connect".to_owned());
    }
    check_all(kind, matches)?;
    if kind.needs_input() && options.input.is_none() {
        return Err(format!("--{} needs something to send: --data or --file", kind.name()));
    }
    Ok(options)
}

fn tls(matches: &ArgMatches) -> Result<Tls, String> {
    let verify = match (matches.get_flag("cert-required"), matches.get_flag("cert-unchecked")) {
        (false, false) => Verify::AsUsual,
        (true, false) => Verify::Everybody,
        (false, true) => Verify::Nobody,
        (true, true) => {
            return Err("--cert-required and --cert-unchecked exclude each other".to_owned());
        }
    };
    let names = [
        ("cert", TlsText::Certificate),
        ("key", TlsText::Key),
        ("cacert", TlsText::Trust),
        ("cert-name", TlsText::Name),
    ];
    let given = |(name, what)| {
        let value = matches.get_one::<OsString>(name)?;
        Some((what, value.clone()))
    };
    Ok(Tls { texts: names.into_iter().filter_map(given).collect(), verify })
}

fn kind(program: &OsStr, matches: &ArgMatches) -> Result<Kind, String> {
    let by_name = spelling::kind_of(program).and_then(Kind::named);
    let by_options = KINDS.iter().flat_map(|(name, kind, _)| {
        std::iter::repeat_n(*kind, usize::from(matches.get_count(name)))
    });
    only(&by_name.into_iter().chain(by_options).collect::<Vec<_>>())
}

fn check_all(kind: Kind, matches: &ArgMatches) -> Result<(), String> {
    let sending = ["data", "file", "lines", "interval", "send-timeout"];
    let receiving = ["recv-timeout", "format", "fail-on-timeout"];
    let formats = FORMATS.iter().filter(|entry| format_argument(entry).is_some());
    let receiving = receiving.into_iter().chain(formats.map(|(name, _)| *name));
    let mut all: Vec<_> = sending.into_iter().map(|name| (name, Concern::Sending)).collect();
    all.extend(receiving.map(|name| (name, Concern::Receiving)));
    all.push(("subscribe", Concern::Topics));
    let mut given = all.into_iter().filter(|(name, _)| is_given(matches, name));
    given.try_for_each(|(name, concern)| check(kind, name, concern))
}

fn is_given(matches: &ArgMatches, name: &str) -> bool {
    matches.value_source(name) == Some(ValueSource::CommandLine)
}

fn all_of(matches: &ArgMatches, name: &str) -> Vec<OsString> {
    matches.get_many::<OsString>(name).map(|all| all.cloned().collect()).unwrap_or_default()
}

fn number_of(matches: &ArgMatches, name: &str) -> Option<f64> {
    matches.get_one::<f64>(name).copied()
}

/// In the order of the command line, which is that of the endpoints' numbers.
fn addresses(matches: &ArgMatches, names: [&str; 3]) -> Vec<OsString> {
    let mut found = Vec::new();
    for (name, front) in names.into_iter().zip(["", "ipc://", "tcp://127.0.0.1:"]) {
        let places = matches.indices_of(name).into_iter().flatten();
        for (place, rest) in places.zip(all_of(matches, name)) {
            let mut address = OsString::from(front);
            address.push(rest);
            found.push((place, address));
        }
    }
    found.sort();
    found.into_iter().map(|(_, address)| address).collect()
}

/// The last word on it counts.
fn format(matches: &ArgMatches) -> Result<Format, String> {
    let named = |wanted: &OsStr| {
        let found = FORMATS.iter().find(|(name, _)| wanted == *name);
        found.map(|(_, format)| *format).ok_or_else(|| {
            let names = FORMATS.map(|(name, _)| name).join(", ");
            format!("--format takes {names}, not {}", wanted.display())
        })
    };
    let place = |name: &str| {
        let given = is_given(matches, name);
        given.then(|| matches.indices_of(name).and_then(Iterator::last)).flatten()
    };
    let mut last = (None, Format::Nothing);
    if let Some(name) = matches.get_one::<OsString>("format") {
        last = (place("format"), named(name)?);
    }
    for entry in FORMATS.iter().filter(|entry| format_argument(entry).is_some()) {
        let found = place(entry.0);
        if found > last.0 {
            last = (found, entry.1);
        }
    }
    Ok(last.1)
}

fn origin(matches: &ArgMatches) -> Result<Option<Origin>, String> {
    let (data, files) = (all_of(matches, "data"), all_of(matches, "file"));
    let cut = if matches.get_flag("lines") { Cut::Lines } else { Cut::Whole };
    match (&data[..], &files[..], cut) {
        ([], [], Cut::Whole) => Ok(None),
        ([], [], Cut::Lines) => Ok(Some(Origin::File { name: "-".into(), cut })),
        ([], [name], _) => Ok(Some(Origin::File { name: name.clone(), cut })),
        ([data], [], Cut::Whole) => Ok(Some(Origin::Words(data.clone()))),
        ([_], [], Cut::Lines) => Err("--lines are read from a file, not from --data".to_owned()),
        _ => Err("one --data or one --file is enough".to_owned()),
    }
}

fn patience(seconds: f64) -> Patience {
    if seconds < 0.0 { Patience::Forever } else { Patience::For(span(seconds)) }
}

/// What is no number, or less than nothing, is no time; what is endless lasts for years.
fn span(seconds: f64) -> Duration {
    let known = if seconds > 0.0 { seconds } else { 0.0 };
    Duration::from_secs_f64(known.min(YEARS))
}

const YEARS: f64 = 1e9;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &[&str]) -> Result<Options, String> {
        match parse(line.iter().map(OsString::from).collect()) {
            Ok(Parsed::Options(options)) => Ok(*options),
            Ok(Parsed::Answer(text)) => Err(text),
            Err(Failure::Usage(text)) => Err(text),
            Err(other) => panic!("{other:?}"),
        }
    }

    fn accepted(line: &str) -> Options {
        read(&line.split(' ').collect::<Vec<_>>()).unwrap_or_else(|text| panic!("{line}: {text}"))
    }

    fn refused(line: &str) -> String {
        let words: Vec<_> = line.split(' ').collect();
        read(&words).map(|_| ()).expect_err(line)
    }

    #[test]
    fn clap_finds_nothing_wrong_with_the_options() {
        command().debug_assert();
    }

    #[test]
    fn names_may_be_shortened_as_long_as_they_are_clear() {
        let options = accepted("nanocat --pai --bind-i /a --recv .5 --as");
        assert_eq!((options.kind, options.format), (Kind::Pair, Format::Ascii));
        assert_eq!(options.bind, ["ipc:///a"]);
        assert_eq!(options.recv_timeout, Some(Patience::For(Duration::from_millis(500))));
        for unclear in ["--pu", "--p", "--re", "--bin x", "--h", "--he", "--s", "--su"] {
            refused(&format!("nanocat --bus -L1 {unclear}"));
        }
        for clear in ["--v", "--si", "--de 0", "--in 0 -Dx", "--so x", "--ra", "--qu", "--form hex"]
        {
            accepted(&format!("nanocat --bus -L1 {clear}"));
        }
    }

    #[test]
    fn the_name_of_the_program_chooses_the_type() {
        assert_eq!(accepted("/bin/nn_sub -L1").kind, Kind::Sub);
        refused("nn_sub -L1 --sub");
        refused("nn_foo -L1");
        refused("nanocat -L1");
        refused("nanocat --sub --sub -L1");
    }

    #[test]
    fn the_last_format_counts() {
        for (words, format) in [
            ("", Format::Nothing),
            (" -A -Q", Format::Quoted),
            (" -QA", Format::Ascii),
            (" --format hex -A", Format::Ascii),
            (" -A --format=hex", Format::Hex),
            (" --format hex --format json", Format::Json),
            (" -A -Q -A", Format::Ascii),
            (" -A --format no", Format::Nothing),
        ] {
            assert_eq!(accepted(&format!("nn_pull -L1{words}")).format, format, "{words}");
        }
        refused("nn_pull -L1 --format asc");
    }

    #[test]
    fn addresses_keep_their_order() {
        let options = accepted("nn_pair -x/a -l1 --bind a -X b --connect c -L 2 --bind d");
        assert_eq!(options.bind, ["a", "ipc://b", "tcp://127.0.0.1:2", "d"]);
        assert_eq!(options.connect, ["ipc:///a", "tcp://127.0.0.1:1", "c"]);
        assert_eq!(accepted("nn_pair -X=/a").bind, ["ipc://=/a"]);
    }

    #[test]
    fn certificates_are_told_by_their_files() {
        let tls = accepted("nn_pair -L1").tls;
        assert_eq!((tls.texts, tls.verify), (vec![], Verify::AsUsual));
        let tls = accepted("nn_pair -L1 --key k --cert=c --cacert ca --cert-name n --cert-r").tls;
        let texts = [
            (TlsText::Certificate, "c".into()),
            (TlsText::Key, "k".into()),
            (TlsText::Trust, "ca".into()),
            (TlsText::Name, "n".into()),
        ];
        assert_eq!((&tls.texts[..], tls.verify), (&texts[..], Verify::Everybody));
        assert_eq!(accepted("nn_pair -L1 --cert-unchecked").tls.verify, Verify::Nobody);
        refused("nn_pair -L1 --cert-unchecked --cert-required");
        refused("nn_pair -L1 --cert");
    }

    #[test]
    fn what_is_sent_is_given_once() {
        let words = |text: &str| Some(Origin::Words(text.into()));
        assert_eq!(accepted("nn_pair -L1 -D --bind").input, words("--bind"));
        assert_eq!(accepted("nn_pair -L1 -D=x").input, words("=x"));
        assert_eq!(accepted("nn_pair -L1 --data=").input, words(""));
        let file = |name: &str, cut| Some(Origin::File { name: name.into(), cut });
        assert_eq!(accepted("nn_push -L1 -F-").input, file("-", Cut::Whole));
        assert_eq!(accepted("nn_push -L1 --lines").input, file("-", Cut::Lines));
        assert_eq!(accepted("nn_push -L1 -Fa --lines").input, file("a", Cut::Lines));
        for wrong in ["-Da -Db", "-Da -Fb", "-Fa -Fb", "-Da --lines"] {
            refused(&format!("nn_pair -L1 {wrong}"));
        }
        for kind in ["push", "pub", "req", "surveyor"] {
            refused(&format!("nn_{kind} -L1"));
        }
    }

    #[test]
    fn options_need_a_type_that_knows_them() {
        for option in ["-Dx", "-Fx", "--lines", "-i1", "--send-timeout 1"] {
            refused(&format!("nn_sub -L1 {option}"));
        }
        for option in ["-A", "--raw", "--format json", "--recv-timeout 1", "--fail-on-timeout"] {
            refused(&format!("nn_push -L1 -Dx {option}"));
        }
        refused("nn_pull -L1 --subscribe x");
        accepted("nn_pull -L1 --delay 1");
    }

    #[test]
    fn seconds_are_numbers_of_any_kind() {
        let interval = |text: &str| accepted(&format!("nn_bus -L1 -Dx -i {text}")).interval;
        assert_eq!(interval("1e-1"), Some(Duration::from_millis(100)));
        assert_eq!(interval("0"), Some(Duration::ZERO));
        assert_eq!(interval("-1"), None);
        assert_eq!(interval("nan"), None);
        assert!(interval("inf") > Some(Duration::from_secs(1 << 29)));
        let options = accepted("nn_bus -L1 --recv-timeout -1 --send-timeout 1 --send-timeout 2");
        assert_eq!(options.recv_timeout, Some(Patience::Forever));
        assert_eq!(options.send_timeout, Some(Patience::For(Duration::from_secs(2))));
        assert!(read(&["nn_bus", "-L1", "--delay", " 1"]).is_ok());
        for wrong in ["", "x", "1x", "1 "] {
            assert!(read(&["nn_bus", "-L1", "--delay", wrong]).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn lone_dashes_mean_nothing_and_other_words_are_wrong() {
        accepted("nn_bus - -L1 --");
        for wrong in ["x", "-- x", "-Z", "--zzz", "--raw=3", "--bind", "-D"] {
            refused(&format!("nn_bus -L1 {wrong}"));
        }
    }

    #[test]
    fn help_is_an_answer_unless_something_was_wrong_before() {
        let answer = |line: &[&str]| match parse(line.iter().map(OsString::from).collect()) {
            Ok(Parsed::Answer(text)) => Some(text),
            _ => None,
        };
        for line in [&["nanocat", "--help"][..], &["nn_x", "-h"], &["nanocat", "--help", "--zzz"]] {
            let text = answer(line).unwrap_or_else(|| panic!("{line:?}"));
            assert!(KINDS.iter().all(|(name, ..)| text.contains(&format!("--{name}"))), "{text}");
        }
        assert_eq!(answer(&["nanocat", "--zzz", "--help"]), None);
        assert!(answer(&["nanocat", "-V"]).is_some_and(|text| text.contains("0.")));
    }
}
