//! `doc/design.md` names what exists: what it puts between backticks is there.
//!
//! * A path leads to a file or folder of the project, or of `src/`.
//! * A name, or several joined by `::`, stands in the code; all of them in one file.
//! * Names that a path follows, as in "`name` (`path.rs`)" or "`name` in `path.rs`", stand in it.
//! * Of a C program the cases that it runs are such names.
//! * In the table of what speed must not cost, the names are those of tests, and each row has one.
//!
//! Blocks between fences are pictures, and what is neither a path nor a name is prose: both are
//! passed over. The other way round, the page names every folder of `src/` and every public trait,
//! and its table of the layers is the one that they are held to.

use std::collections::BTreeSet;
use std::path::Path;

use super::layering::LAYERS;
use super::source::{Kind, Source, sources, texts};
use super::tidy::test_files;

const PAGE: &str = "doc/design.md";
/// The heading of the table whose names are those of tests.
const RISKS: &str = "## What speed must not cost";
const RISKS_MIN: usize = 25;
/// What stands where the name of something new would.
const PLACEHOLDER: &str = "NAME";
/// Fewer would mean that they are not found.
const SPANS_MIN: usize = 500;
/// The titles of columns and the line below them.
const HEAD_OF_TABLE: usize = 2;
const PLACED_MIN: usize = 60;

/// What stands between two backticks, and what stands in front of it since the ones before.
struct Span<'a> {
    line: usize,
    before: &'a str,
    text: &'a str,
}

/// The names of the code of one file.
struct Names {
    path: String,
    all: BTreeSet<String>,
}

#[test]
fn the_page_names_what_exists() {
    let mut names: Vec<Names> = sources().iter().map(Names::of).collect();
    names.extend(programs());
    let page = include_str!("../../doc/design.md");
    let (spans, breaches) = (spans(page), check(page, &names, is_there));
    assert!(breaches.is_empty(), "\n{}\n", breaches.join("\n"));
    let placed = spans.iter().filter(|span| is_placing(span)).count();
    assert!(spans.len() > SPANS_MIN, "{} things are named", spans.len());
    assert!(placed > PLACED_MIN, "{placed} names are placed");
}

#[test]
fn each_risk_has_its_tests() {
    let mut tests: BTreeSet<String> = sources().iter().flat_map(tests_of).collect();
    tests.extend(programs().into_iter().flat_map(|program| program.all));
    let rows = rows_of_risks(include_str!("../../doc/design.md"));
    assert!(rows.len() > RISKS_MIN, "{} risks are named", rows.len());
    let breaches: Vec<String> = rows.iter().flat_map(|row| unguarded(row, &tests)).collect();
    assert!(breaches.is_empty(), "\n{}\n", breaches.join("\n"));
}

#[test]
fn the_page_names_every_folder_and_every_public_trait() {
    let sources = sources();
    let for_tests = test_files(&sources);
    let mut wanted = BTreeSet::new();
    for source in &sources {
        if let Some((folder, _)) = source.path.rsplit_once('/') {
            wanted.insert(format!("{folder}/"));
        }
        if !for_tests.contains(&source.path) {
            wanted.extend(public_traits(source));
        }
    }
    assert!(wanted.len() > 30, "{wanted:?}");
    let page = spans(include_str!("../../doc/design.md"));
    wanted.retain(|name| !page.iter().any(|span| span.text == name));
    assert!(wanted.is_empty(), "{PAGE} does not name {wanted:?}");
}

#[test]
fn the_page_shows_the_layers_as_they_are_held() {
    for (layer, lower) in LAYERS {
        let place = if is_there(&format!("{layer}/")) { "/" } else { ".rs" };
        let lower = if lower.is_empty() { "nothing".to_owned() } else { lower.join(", ") };
        let row = format!("| `{layer}{place}` | {lower} |");
        let has_row = include_str!("../../doc/design.md").contains(&row);
        assert!(has_row, "{PAGE} has no row {row}");
    }
}

fn rows_of_risks(page: &str) -> Vec<&str> {
    let section = page.split(RISKS).nth(1).unwrap_or_default();
    let section = section.split("\n## ").next().unwrap_or_default();
    section.lines().filter(|line| line.starts_with("| ")).skip(HEAD_OF_TABLE).collect()
}

/// What is wrong with a row: its names that are no tests, or that there is none.
fn unguarded(row: &str, tests: &BTreeSet<String>) -> Vec<String> {
    let named: Vec<&str> = spans(row).iter().map(|span| span.text).collect();
    let names: Vec<&&str> = named.iter().filter(|name| !is_path(name)).collect();
    let strange = names.iter().filter(|name| !tests.contains(***name));
    let mut breaches: Vec<String> = strange.map(|name| format!("{name} is no test")).collect();
    if names.is_empty() {
        breaches.push(format!("nothing guards: {row}"));
    }
    breaches
}

/// The functions of a source that are tests, models included.
fn tests_of(source: &Source) -> Vec<String> {
    let is_test = |at: &usize| source.spells(*at, &["#", "[", "test", "]", "fn"]);
    let starts = (0..source.tokens.len()).filter(is_test);
    starts.map(|at| source.tokens[at + 5].text.clone()).collect()
}

/// The C programs, each with the cases that it runs.
fn programs() -> Vec<Names> {
    let files = texts("c-tests", &[".c"]).into_iter();
    let of = |(path, text): (String, String)| Names { path, all: cases(&text) };
    files.map(of).collect()
}

fn cases(text: &str) -> BTreeSet<String> {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let runs = text.split("RUN").skip(1).filter_map(|behind| {
        let arguments = behind.strip_prefix("_WITH(").or_else(|| behind.strip_prefix('('))?;
        let name = arguments.split(')').next()?.rsplit(',').next()?.trim();
        name.chars().all(is_of_name).then(|| name.to_owned())
    });
    runs.collect()
}

fn check(page: &str, names: &[Names], is_there: impl Fn(&str) -> bool) -> Vec<String> {
    let mut breaches = Vec::new();
    let spans = spans(page);
    for (at, span) in spans.iter().enumerate() {
        let mut breach = |what: &str| {
            breaches.push(format!("{PAGE}:{}: {} {what}", span.line, span.text));
        };
        if is_path(span.text) {
            if !span.text.contains(PLACEHOLDER) && !is_there(span.text) {
                breach("is not there");
            }
        } else if let Some(parts) = path_of_names(span.text) {
            let has_all = |file: &Names| parts.iter().all(|part| file.all.contains(*part));
            if !names.iter().any(has_all) {
                breach("stands in no source");
            }
            let place = spans.get(at + 1).filter(|next| is_placing(next));
            let file = place.and_then(|place| names.iter().find(|file| file.path == place.text));
            if file.is_some_and(|file| !has_all(file)) {
                breach("stands in another file");
            }
        }
    }
    breaches
}

/// Whether a span says where the one before it is.
fn is_placing(span: &Span<'_>) -> bool {
    let joint = span.before.split_whitespace().collect::<Vec<_>>().join(" ");
    let is_file = [".rs", ".c"].iter().any(|ending| span.text.ends_with(ending));
    is_file && (joint == "(" || joint == "in")
}

/// The spans of a page in their order, those of one paragraph or row after those of the other.
fn spans(page: &str) -> Vec<Span<'_>> {
    let (mut found, mut offset, mut is_fenced) = (Vec::new(), 0, false);
    let (mut since, mut opened) = (0, None);
    for (index, line) in page.split_inclusive('\n').enumerate() {
        is_fenced ^= line.starts_with("```");
        if !is_fenced && !line.starts_with("```") {
            for (at, _) in line.match_indices('`') {
                let at = offset + at;
                match opened.take() {
                    None => opened = Some(at),
                    Some(start) => {
                        let (before, text) = (&page[since..start], &page[start + 1..at]);
                        found.push(Span { line: index + 1, before, text });
                        since = at + 1;
                    }
                }
            }
        }
        offset += line.len();
    }
    assert!(opened.is_none(), "{PAGE} has a backtick without its partner");
    found
}

fn is_path(text: &str) -> bool {
    let is_plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c));
    is_plain && (text.contains('/') || text.ends_with(".rs"))
}

fn is_there(path: &str) -> bool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    ["", "src"].iter().any(|folder| {
        let place = root.join(folder).join(path);
        if path.ends_with('/') { place.is_dir() } else { place.exists() }
    })
}

/// The names of a path such as `Type::function`, unless it is none.
fn path_of_names(text: &str) -> Option<Vec<&str>> {
    let is_name = |name: &&str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let names: Vec<&str> = text.split("::").collect();
    names.iter().all(is_name).then_some(names)
}

fn public_traits(source: &Source) -> impl Iterator<Item = String> {
    let starts = (0..source.tokens.len()).filter(|&at| source.spells(at, &["pub", "trait"]));
    starts.map(|at| source.tokens[at + 2].text.clone())
}

impl Names {
    fn of(source: &Source) -> Names {
        let code = source.tokens.iter().filter(|token| token.kind == Kind::Code);
        Names { path: source.path.clone(), all: code.map(|token| token.text.clone()).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaches(page: &str) -> Vec<String> {
        let files = [
            ("core/a.rs", "pub struct Pipe; impl Pipe { fn send() {} }"),
            ("core/b.rs", "fn wait() { \"quoted\"; } // said"),
        ];
        let names = files.map(|(path, text)| Names::of(&Source::new(path, text)));
        let is_there =
            |path: &str| ["core/a.rs", "core/b.rs", "core/", "README.md"].contains(&path);
        check(page, &names, is_there)
    }

    #[test]
    fn what_exists_may_be_named() {
        for page in [
            "`core/a.rs` and `core/`",
            "`Pipe::send` (`core/a.rs`), `wait` in `core/b.rs`",
            "`Pipe` and `core/b.rs`",
            "`core/NAME.rs`, `#[forbid]`, `two words`",
            "text\n```\n`Gone` gone/x.rs\n```\n`wait`\n(`core/b.rs`)",
        ] {
            assert_eq!(breaches(page), [""; 0], "{page}");
        }
    }

    #[test]
    fn what_does_not_exist_is_caught() {
        for (page, expected) in [
            ("a\n`core/c.rs`", "doc/design.md:2: core/c.rs is not there"),
            ("`c.rs`", "doc/design.md:1: c.rs is not there"),
            ("`Gone`", "doc/design.md:1: Gone stands in no source"),
            ("`quoted`", "doc/design.md:1: quoted stands in no source"),
            ("`said`", "doc/design.md:1: said stands in no source"),
            ("`Pipe::wait`", "doc/design.md:1: Pipe::wait stands in no source"),
            ("`Pipe` (`core/b.rs`)", "doc/design.md:1: Pipe stands in another file"),
            ("```\n```\n`wait` in\n`core/a.rs`", "doc/design.md:3: wait stands in another file"),
        ] {
            assert_eq!(breaches(page), [expected], "{page}");
        }
    }

    #[test]
    fn cases_of_programs_are_found() {
        let text = "RUN(a_case);\n  RUN_WITH(with_service, another);\nstatic void forgotten(void)\n\
                    #define RUN(function) do { if (CASE(#function)) function(); } while (0)";
        let found = cases(text);
        assert!(["a_case", "another"].iter().all(|case| found.contains(*case)), "{found:?}");
        assert!(!found.contains("forgotten"));
    }

    #[test]
    fn a_risk_without_a_test_is_caught() {
        let source = Source::new("a.rs", "#[test] fn guard() {} fn helper() {}");
        let tests: BTreeSet<String> = tests_of(&source).into_iter().collect();
        let page = format!(
            "# A\n{RISKS}\n\n| risk | guard |\n| --- | --- |\n| a | `guard` (`a.rs`) |\n\
             | b | `helper` (`a.rs`) |\n| c | `a.rs` |\n\n## B\n| d | no row |\n"
        );
        let breaches: Vec<_> =
            rows_of_risks(&page).iter().flat_map(|row| unguarded(row, &tests)).collect();
        assert_eq!(breaches, ["helper is no test", "nothing guards: | c | `a.rs` |"]);
    }

    #[test]
    fn public_traits_are_found() {
        let text = "pub trait A: B {} trait C {} pub(super) trait D {} // pub trait E";
        let found: Vec<_> = public_traits(&Source::new("a.rs", text)).collect();
        assert_eq!(found, ["A"]);
    }
}
