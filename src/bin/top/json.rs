//! A picture as one line of JSON.

use super::arguments::Options;
use super::census::{Answer, Process};
use super::table::{earlier, is_shown, rate};
use std::fmt::Write;

/// An object with the interval and the processes, each with what it consists of.
pub fn document(options: &Options, now: &[Process], before: &[Process], seconds: f64) -> String {
    let processes: Vec<_> =
        now.iter().map(|process| object(options, process, before, seconds)).collect();
    format!("{{\"seconds\":{seconds:.3},\"processes\":[{}]}}\n", processes.join(","))
}

fn object(options: &Options, process: &Process, before: &[Process], seconds: f64) -> String {
    let (number, program) = (process.number, quoted(&process.program));
    let rows = match &process.answer {
        Answer::Figures(rows) => rows,
        Answer::Silence => return failed(number, &program, "silent"),
        Answer::TooMuch => return failed(number, &program, "too-much"),
        Answer::Nonsense => return failed(number, &program, "nonsense"),
    };
    let mut all = Vec::new();
    for (subject, row) in rows.iter().filter(|(subject, _)| is_shown(options, subject)) {
        let mut text = format!("{{\"socket\":{}", subject.socket);
        for (key, value) in [("endpoint", subject.endpoint), ("peer", subject.peer)] {
            if let Some(value) = value {
                let _ = write!(text, ",\"{key}\":{value}");
            }
        }
        for (key, value) in
            [("name", &row.name), ("type", &row.type_name), ("address", &row.address)]
        {
            let _ = write!(text, ",\"{key}\":{}", quoted(value));
        }
        let earlier = earlier(before, number, subject);
        let figures: Vec<_> =
            row.values.iter().map(|(key, value)| format!("{}:{value}", quoted(key))).collect();
        let rates: Vec<_> = row
            .values
            .keys()
            .filter(|key| key.contains("_total"))
            .filter_map(|key| Some((key, rate(row, earlier, key, seconds)?)))
            .map(|(key, rate)| format!("{}:{rate:.3}", quoted(key)))
            .collect();
        let _ = write!(text, ",\"figures\":{{{}}}", figures.join(","));
        let _ = write!(text, ",\"rates\":{{{}}}}}", rates.join(","));
        all.push(text);
    }
    let all = all.join(",");
    format!("{{\"pid\":{number},\"program\":{program},\"rows\":[{all}]}}")
}

fn failed(number: i32, program: &str, why: &str) -> String {
    format!("{{\"pid\":{number},\"program\":{program},\"error\":\"{why}\"}}")
}

fn quoted(words: &str) -> String {
    let mut text = String::from("\"");
    for letter in words.chars() {
        match letter {
            '"' | '\\' => text.extend(['\\', letter]),
            control if u32::from(control) < 0x20 => {
                let _ = write!(text, "\\u{:04x}", u32::from(control));
            }
            other => text.push(other),
        }
    }
    text + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted() {
        assert_eq!(quoted("a\"b\\c\n\x1b\u{e4}"), "\"a\\\"b\\\\c\\u000a\\u001b\u{e4}\"");
    }
}
