//! A picture in lines of text.

use super::arguments::{Depth, Options};
use super::census::{Answer, Process};
use super::figures::{Row, Subject};
use std::fmt::Write;

/// A line for each socket, and below it what it consists of.
pub fn picture(options: &Options, now: &[Process], before: &[Process], seconds: f64) -> String {
    let mut text = String::new();
    let (mut sockets, mut lines) = (0, String::new());
    for process in now {
        let number = process.number;
        let program = plain(&process.program, PROGRAM_WIDTH);
        let Answer::Figures(rows) = &process.answer else {
            let why = match process.answer {
                Answer::Silence => "does not answer",
                Answer::TooMuch => "says too much",
                Answer::Nonsense | Answer::Figures(_) => "does not answer as spmsg does",
            };
            let _ = writeln!(lines, "{number:>7} {program:<PROGRAM_WIDTH$} {why}");
            continue;
        };
        for (subject, row) in rows.iter().filter(|(subject, _)| is_shown(options, subject)) {
            let who = match (subject.endpoint, subject.peer) {
                (None, _) => {
                    sockets += 1;
                    let socket = match row.name.as_str() {
                        name if name.is_empty() || *name == subject.socket.to_string() => {
                            subject.socket.to_string()
                        }
                        name => format!("{}({})", subject.socket, plain(name, 10)),
                    };
                    let type_name = plain(&row.type_name, 10);
                    format!("{number:>7} {program:<PROGRAM_WIDTH$} {socket:<12} {type_name:<10}")
                }
                (Some(endpoint), None) => format!("{:10}{endpoint} {}", "", shown(&row.address)),
                (Some(_), Some(peer)) => format!("{:12}peer {peer} {}", "", shown(&row.address)),
            };
            let earlier = earlier(before, number, subject);
            let _ = writeln!(lines, "{who:<WHO_WIDTH$}{}", figures(row, earlier, seconds));
        }
    }
    let processes = now.len();
    let _ = writeln!(text, "spmsg-top: {processes} processes, {sockets} sockets");
    let _ = writeln!(
        text,
        "{:>7} {:<PROGRAM_WIDTH$} {:<12} {:<10}{:>6}{:>9}{:>9}{:>9}{:>9}{:>7}{:>7}{:>8}",
        "PID",
        "PROGRAM",
        "SOCKET",
        "TYPE",
        "PEERS",
        "SENT/s",
        "RECV/s",
        "OUT B/s",
        "IN B/s",
        "SENDQ",
        "RECVQ",
        "DROPPED",
    );
    if now.is_empty() {
        lines.push_str("There is no process of yours that was started with SPMSG_STATS=1.\n");
    }
    text + &lines
}

pub fn is_shown(options: &Options, subject: &Subject) -> bool {
    let depth = match (subject.endpoint, subject.peer) {
        (None, _) => Depth::Sockets,
        (Some(_), None) => Depth::Endpoints,
        (Some(_), Some(_)) => Depth::Peers,
    };
    depth <= options.depth && options.socket.is_none_or(|socket| socket == subject.socket)
}

/// What was said of it the last time.
pub fn earlier<'a>(before: &'a [Process], number: i32, subject: &Subject) -> Option<&'a Row> {
    let process = before.iter().find(|process| process.number == number)?;
    match &process.answer {
        Answer::Figures(rows) => rows.get(subject),
        Answer::Silence | Answer::Nonsense | Answer::TooMuch => None,
    }
}

/// How much more it has become in a second. Who was not there before, or has begun anew, has no
/// rate yet.
pub fn rate(now: &Row, before: Option<&Row>, name: &str, seconds: f64) -> Option<f64> {
    let more = now.sum(name) - before?.sum(name);
    (more >= 0.0 && seconds > 0.0).then(|| more / seconds)
}

fn figures(row: &Row, before: Option<&Row>, seconds: f64) -> String {
    let rate = |name| rate(row, before, name, seconds).map_or_else(|| "-".to_owned(), short);
    let count = |name| short(row.sum(name));
    let peers =
        if row.values.contains_key("connections") { count("connections") } else { "".into() };
    format!(
        "{peers:>6}{:>9}{:>9}{:>9}{:>9}{:>7}{:>7}{:>8}",
        rate("messages_sent_total"),
        rate("messages_received_total"),
        rate("sent_bytes_total"),
        rate("received_bytes_total"),
        count("send_queue_messages"),
        count("receive_queue_messages"),
        count("messages_dropped_total"),
    )
}

/// Three or four digits, and how many thousands they stand for.
fn short(value: f64) -> String {
    let mut value = value;
    for unit in ["", "k", "M", "G", "T"] {
        if value < 999.5 {
            let digits = usize::from(value < 99.95 && !unit.is_empty());
            return format!("{value:.digits$}{unit}");
        }
        value /= 1000.0;
    }
    format!("{value:.0}P")
}

/// An address in what room there is for it, and a blank behind it.
fn shown(address: &str) -> String {
    plain(address, WHO_WIDTH - 18)
}

/// Somebody else's words, without what a terminal would do for them; too many are cut.
fn plain(words: &str, width: usize) -> String {
    let letter = |letter: char| if letter.is_control() { '?' } else { letter };
    words.chars().map(letter).take(width).collect()
}

const PROGRAM_WIDTH: usize = 15;
const WHO_WIDTH: usize = 47;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let all = [0.0, 1.0, 999.4, 999.6, 12_345.0, 123_456.0, 9_999_999.0, 1e20];
        assert_eq!(all.map(short), ["0", "1", "999", "1.0k", "12.3k", "123k", "10.0M", "100000P"]);
    }

    #[test]
    fn rates_need_a_time_before_and_no_new_beginning() {
        let row = |value| Row { values: [("x".to_owned(), value)].into(), ..Row::default() };
        let (low, high) = (row(10.0), row(30.0));
        assert_eq!(rate(&high, Some(&low), "x", 2.0), Some(10.0));
        assert_eq!(rate(&low, Some(&high), "x", 2.0), None);
        assert_eq!(rate(&low, None, "x", 2.0), None);
        assert_eq!(rate(&high, Some(&low), "x", 0.0), None);
    }

    #[test]
    fn nobody_moves_the_cursor_by_his_name() {
        assert_eq!(plain("a\x1b[2J\nb", 20), "a?[2J?b");
        assert_eq!(plain("abcdef", 3), "abc");
    }
}
