//! The part of the style that a machine can judge: sizes, first lines, leftovers, reasons.
//!
//! It counts roughly, with braces and lines; whoever has to fight it should first ask whether the
//! code would not read better split.

use std::collections::BTreeSet;

use super::source::{Source, hold, sources};

const COLUMNS_MAX: usize = 100;
const FILE_LINES_MAX: usize = 500;

// Put together from halves, so that a search for them finds only what was left behind.
const LEFTOVER_NOTES: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")];

#[test]
fn lines_end_by_column_100() {
    hold(has_short_lines);
}

#[test]
fn files_are_about_one_thing() {
    let sources = sources();
    let tests = test_files(&sources);
    hold(|source| if tests.contains(&source.path) { Vec::new() } else { is_short(source) });
}

#[test]
fn files_say_what_they_are() {
    hold(opens_with_its_purpose);
}

#[test]
fn nothing_is_left_for_later() {
    hold(has_no_leftovers);
}

fn has_short_lines(source: &Source) -> Vec<String> {
    let lines = source.text.lines().map(|line| line.chars().count()).enumerate();
    let long = lines.filter(|&(_, columns)| columns > COLUMNS_MAX);
    long.map(|(index, columns)| source.breach(index + 1, &format!("{columns} columns"))).collect()
}

fn is_short(source: &Source) -> Vec<String> {
    let in_tests: BTreeSet<usize> =
        source.test_modules().into_iter().flat_map(|name| lines_of_module(source, name)).collect();
    let lines = source.text.lines().count() - in_tests.len();
    if lines <= FILE_LINES_MAX {
        return Vec::new();
    }
    vec![source.breach(1, &format!("{lines} lines without tests"))]
}

pub fn lines_of_module(source: &Source, name: usize) -> Vec<usize> {
    if !source.is(name + 1, "{") {
        return Vec::new();
    }
    let end = source.closing(name + 1);
    (source.tokens[name].line..=source.tokens[end].line).collect()
}

/// Files that their parents declare for tests only.
pub fn test_files(sources: &[Source]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for source in sources {
        let folder = match source.path.rsplit_once('/') {
            Some((folder, "mod.rs")) => format!("{folder}/"),
            Some(_) => format!("{}/", source.path.trim_end_matches(".rs")),
            None => String::new(),
        };
        for name in source.test_modules().into_iter().filter(|name| source.is(name + 1, ";")) {
            let module = format!("{folder}{}", source.tokens[name].text);
            let is_below = |path: &str| {
                path == format!("{module}.rs") || path.starts_with(&format!("{module}/"))
            };
            found.extend(sources.iter().map(|other| other.path.clone()).filter(|p| is_below(p)));
        }
    }
    found
}

fn opens_with_its_purpose(source: &Source) -> Vec<String> {
    if source.text.starts_with("//! ") {
        return Vec::new();
    }
    vec![source.breach(1, "does not open with `//!`")]
}

fn has_no_leftovers(source: &Source) -> Vec<String> {
    let mut breaches = Vec::new();
    for comment in &source.comments {
        for note in LEFTOVER_NOTES.iter().filter(|note| comment.text.contains(**note)) {
            breaches.push(source.breach(*comment.lines.start(), note));
        }
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(text: &str) -> Source {
        Source::new("a/b.rs", text)
    }

    #[test]
    fn a_long_line_is_caught() {
        let text = format!("\n{}\n{}\n", "é".repeat(COLUMNS_MAX), "x".repeat(COLUMNS_MAX + 1));
        assert_eq!(has_short_lines(&sample(&text)), ["src/a/b.rs:3: 101 columns"]);
    }

    #[test]
    fn a_long_file_is_caught() {
        let code = "const A: u8 = 1;\n".repeat(FILE_LINES_MAX);
        let tests = format!("#[cfg(test)]\nmod tests {{\n{code}}}\n");
        assert_eq!(is_short(&sample(&code)), [""; 0]);
        assert_eq!(is_short(&sample(&tests)), [""; 0]);
        let bad = is_short(&sample(&format!("{code}{tests}")));
        assert_eq!(bad, ["src/a/b.rs:1: 501 lines without tests"]);
    }

    #[test]
    fn a_test_file_is_known_by_its_parent() {
        let parents = [
            Source::new("lib.rs", "#[cfg(test)] mod testing; mod io;"),
            Source::new("io/mod.rs", "#[cfg(all(test, loom))] mod model; mod stream;"),
            Source::new("io/stream.rs", "#[cfg(test)] mod tests;"),
            Source::new("io/model.rs", ""),
            Source::new("io/stream/tests.rs", ""),
            Source::new("testing/mod.rs", "mod tidy;"),
            Source::new("testing/tidy.rs", ""),
        ];
        let found: Vec<String> = test_files(&parents).into_iter().collect();
        let expected = ["io/model.rs", "io/stream/tests.rs", "testing/mod.rs", "testing/tidy.rs"];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_file_without_a_purpose_is_caught() {
        assert_eq!(opens_with_its_purpose(&sample("\n//! Late.\n")).len(), 1);
        assert_eq!(opens_with_its_purpose(&sample("// Not a purpose.\n")).len(), 1);
        assert_eq!(opens_with_its_purpose(&sample("//! What it is.\n")), [""; 0]);
    }

    #[test]
    fn leftovers_are_caught() {
        for note in LEFTOVER_NOTES {
            assert_eq!(has_no_leftovers(&sample(&format!("fn f() {{}} // {note}"))).len(), 1);
            assert_eq!(has_no_leftovers(&sample(&format!("/* {note}: later */"))).len(), 1);
        }
    }
}
