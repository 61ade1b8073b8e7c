//! The specification as the sources cite it: every citation leads to a place of `doc/spec/`.
//!
//! ```text
//! citation = page place { ( "," | "and" | "or" | "to" | ", and" | ", or" ) place }
//! page     = the name of a page of doc/spec/ without its ending
//! place    = section | row | chapter
//! section  = the number of a heading                  protocols 4.4, transports 7.4 and 7.5
//! row      = the id in the first column of a table    core-quirks B-19, core-quirks B-1 to B-3
//! chapter  = the letter or promise of a heading       core-quirks D, reliability P2
//! ```
//!
//! In Rust, comments are read; elsewhere, everything is. A citation may go on behind the end of a
//! line. A page of the specification may call its own sections and rows by their numbers alone.
//! Elsewhere that is refused, because neither a reader nor this test could follow it, and so is a
//! page whose name has its ending. RFCs have sections of their own.

use std::collections::BTreeSet;

use super::source::{Source, texts};

const SPECIFICATION: &str = "doc/spec";
/// A citation of a page that is not there looks like any other words, so they are counted up.
const PAGES: &[&str] = &[
    "README",
    "abi",
    "core-quirks",
    "core",
    "interop",
    "protocols",
    "reliability",
    "transports",
    "upstream-1.2.5",
];
/// What pages are called by mistake.
const MISNAMED: &[&str] = &["protocol", "transport", "quirks", "quirk", "spec", "promise"];
/// Where citations stand, and fewer than how many of them would mean that they are not found.
const CITING: &[(&str, usize)] = &[("src", 40), ("c-tests", 700), ("fuzz", 0), ("doc", 150)];
const READ: &[&str] = &[".rs", ".c", ".h", ".inc", ".txt", ".md", ".cmake", ".py", ".sh", ".toml"];

/// A page of the specification, and what can be cited of it.
struct Page {
    name: String,
    places: BTreeSet<String>,
}

struct Word<'a> {
    line: usize,
    text: &'a str,
}

/// The places that follow the name of a page, each with its line, and where the words go on.
struct Citation<'a> {
    places: Vec<(usize, &'a str)>,
    end: usize,
}

/// What is found in one file.
#[derive(Default)]
struct Found {
    citations: usize,
    breaches: Vec<String>,
}

#[test]
fn every_citation_leads_somewhere() {
    let files = texts(SPECIFICATION, &[".md"]);
    let pages: Vec<Page> = files.iter().map(|(path, text)| Page::new(path, text)).collect();
    let names: Vec<&str> = pages.iter().map(|page| &*page.name).collect();
    assert_eq!(names, PAGES, "the pages of {SPECIFICATION}/");
    let mut breaches = Vec::new();
    for (folder, citations_min) in CITING {
        let files = texts(folder, READ);
        let found: Vec<Found> = files.iter().map(|(path, text)| look(path, text, &pages)).collect();
        let citations: usize = found.iter().map(|file| file.citations).sum();
        println!("{citations} places of the specification are cited in {folder}/");
        if citations < *citations_min {
            breaches.push(format!("{folder}/ cites only {citations} places"));
        }
        breaches.extend(found.into_iter().flat_map(|file| file.breaches));
    }
    breaches.extend(look("README.md", include_str!("../../README.md"), &pages).breaches);
    assert!(breaches.is_empty(), "\n{}\n", breaches.join("\n"));
}

fn look(path: &str, text: &str, pages: &[Page]) -> Found {
    let own = pages.iter().find(|page| format!("{SPECIFICATION}/{}.md", page.name) == path);
    let mut found = Found::default();
    if path.ends_with(".rs") {
        for comment in Source::new(path, text).comments {
            look_at_words(path, &words(*comment.lines.start(), &comment.text), pages, &mut found);
        }
    } else if let Some(own) = own {
        look_at_page(path, text, own, pages, &mut found);
    } else {
        look_at_words(path, &words(1, text), pages, &mut found);
    }
    found
}

fn look_at_words(path: &str, words: &[Word<'_>], pages: &[Page], found: &mut Found) {
    let mut at = 0;
    while at < words.len() {
        if let Some((page, citation)) = citation_at(words, at, pages) {
            found.check(path, page, &citation);
            at = citation.end;
            continue;
        }
        if let Some(why) = what_is_stray(words, at, pages) {
            let Word { line, text } = words[at];
            found.breaches.push(format!("{path}:{line}: {text}: {why}"));
        }
        at += 1;
    }
}

/// A page of the specification may name its own places without its name.
fn look_at_page(path: &str, text: &str, own: &Page, pages: &[Page], found: &mut Found) {
    let words = words(1, text);
    let own_at = |at: usize| {
        let is_named = is_section(&words, at) && !is_of_an_rfc(&words, at);
        let section = is_named.then(|| places_at(&words, at + 1)).flatten();
        let row = || row(&words[at]).map(|row| (words[at].line, row));
        section.or_else(|| Some(Citation { places: vec![row()?], end: at + 1 }))
    };
    let mut at = 0;
    while at < words.len() {
        let other = citation_at(&words, at, pages);
        if let Some((page, citation)) = other.or_else(|| Some((own, own_at(at)?))) {
            found.check(path, page, &citation);
            at = citation.end;
        } else {
            at += 1;
        }
    }
}

fn what_is_stray(words: &[Word<'_>], at: usize, pages: &[Page]) -> Option<&'static str> {
    let text = bare(words[at].text);
    let is_followed_by_a_place = words.get(at + 1).is_some_and(|next| place(next.text).is_some());
    if row(&words[at]).is_some() {
        return Some("of which page?");
    }
    if is_followed_by_a_place && MISNAMED.contains(&opened(words[at].text)) {
        return Some("no page has that name");
    }
    if is_section(words, at) && is_followed_by_a_place && !is_of_an_rfc(words, at) {
        return Some("of which page?");
    }
    let page = text.strip_suffix(".md").filter(|name| pages.iter().any(|page| page.name == *name));
    page.filter(|_| is_followed_by_a_place).map(|_| "pages are cited without their ending")
}

fn is_section(words: &[Word<'_>], at: usize) -> bool {
    matches!(bare(words[at].text), "section" | "sections" | "Section" | "Sections")
}

fn is_of_an_rfc(words: &[Word<'_>], at: usize) -> bool {
    at >= 2 && bare(words[at - 2].text) == "RFC"
}

fn citation_at<'a, 'p>(
    words: &[Word<'a>],
    at: usize,
    pages: &'p [Page],
) -> Option<(&'p Page, Citation<'a>)> {
    let name = opened(words[at].text);
    let page = pages.iter().find(|page| page.is_called(name))?;
    let citation = places_at(words, at + 1)?;
    // Prose may go on with a capital letter; of most pages none is a place.
    let is_letter = citation.places[0].1.chars().all(|c| c.is_ascii_uppercase());
    (!is_letter || page.has_chapters()).then_some((page, citation))
}

/// The list of places that begins at `at`.
fn places_at<'a>(words: &[Word<'a>], at: usize) -> Option<Citation<'a>> {
    let place_at = |at: usize| {
        let word = words.get(at)?;
        place(word.text).map(|(place, rest)| ((word.line, place), rest))
    };
    let joins =
        |at: usize, joints: &[&str]| words.get(at).is_some_and(|word| joints.contains(&word.text));
    let (first, mut rest) = place_at(at)?;
    let (mut places, mut end) = (vec![first], at + 1);
    loop {
        let next = match rest {
            "," if joins(end, &["and", "or"]) => end + 1,
            "," => end,
            "" if joins(end, &["and", "or", "to"]) => end + 1,
            _ => break,
        };
        let Some((place, behind)) = place_at(next) else { break };
        places.push(place);
        (rest, end) = (behind, next + 1);
    }
    Some(Citation { places, end })
}

/// The place at the front of a word, and what stands behind it.
fn place(word: &str) -> Option<(&str, &str)> {
    let belongs = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    let end = word.find(|c| !belongs(c)).unwrap_or(word.len());
    let place = word[..end].trim_end_matches('.');
    is_place(place).then(|| (place, &word[place.len()..]))
}

fn is_place(text: &str) -> bool {
    let behind = text.strip_prefix(|c: char| c.is_ascii_uppercase());
    match behind {
        Some("") => true,
        Some(number) => is_row(text) || is_number(number.strip_prefix('.').unwrap_or(number)),
        None => is_number(text),
    }
}

fn is_number(text: &str) -> bool {
    text.split('.').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A letter and a number, maybe with another letter, as in core-quirks B-28a.
fn is_row(text: &str) -> bool {
    let Some((letter, number)) = text.split_once('-') else { return false };
    let number = number.strip_suffix(|c: char| c.is_ascii_lowercase()).unwrap_or(number);
    let is_letter = letter.len() == 1 && letter.bytes().all(|byte| (b'A'..=b'D').contains(&byte));
    is_letter && is_number(number) && !number.contains('.')
}

/// A row or a promise, which nothing else is called like.
fn row<'a>(word: &Word<'a>) -> Option<&'a str> {
    let is_promise = |place: &str| place.strip_prefix('P').is_some_and(is_number);
    place(opened(word.text))
        .map(|(place, _)| place)
        .filter(|place| is_row(place) || is_promise(place))
}

/// A word without what opens in front of it, such as a bracket or a quotation.
fn opened(word: &str) -> &str {
    word.trim_start_matches(|c: char| !c.is_alphanumeric())
}

/// A word without what punctuation puts around it.
fn bare(word: &str) -> &str {
    word.trim_matches(|c: char| !c.is_alphanumeric())
}

/// The words of a text that begins in that line, without the marks of comments.
fn words<'a>(first_line: usize, text: &'a str) -> Vec<Word<'a>> {
    let is_mark = |word: &&str| word.chars().all(|c| "/*#!".contains(c));
    let lines = text.lines().enumerate();
    let of_line = |(index, line): (usize, &'a str)| {
        let words = line.split_whitespace().skip_while(is_mark);
        words.map(move |text| Word { line: first_line + index, text })
    };
    lines.flat_map(of_line).collect()
}

impl Page {
    fn new(path: &str, text: &str) -> Page {
        let file = path.rsplit('/').next().unwrap_or(path);
        let places = text.lines().filter_map(place_of_line).map(str::to_owned).collect();
        Page { name: file.trim_end_matches(".md").to_owned(), places }
    }

    /// At the beginning of a sentence, too.
    fn is_called(&self, name: &str) -> bool {
        name.get(1..) == self.name.get(1..)
            && name.get(..1).is_some_and(|first| self.name.starts_with(&first.to_lowercase()))
    }

    fn has_chapters(&self) -> bool {
        self.places.iter().any(|place| place.len() == 1 && place.as_str() >= "A")
    }
}

/// What a heading or the row of a table is cited by.
fn place_of_line(line: &str) -> Option<&str> {
    let first = line.split_whitespace().nth(1)?;
    match line.split_whitespace().next()? {
        "|" => Some(first).filter(|first| is_row(first)),
        marks if marks.bytes().all(|byte| byte == b'#') => place(first).map(|(place, _)| place),
        _ => None,
    }
}

impl Found {
    fn check(&mut self, path: &str, page: &Page, citation: &Citation<'_>) {
        for (line, place) in &citation.places {
            self.citations += 1;
            if !page.places.contains(*place) {
                self.breaches.push(format!("{path}:{line}: {} has no {place}", page.name));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages() -> Vec<Page> {
        let made_up = "# Made up\n## 1. One\n### 1.2 Two\n## P1. A promise\n## D. Of letters\n\
            | id | what |\n| --- | --- |\n| B-1 | row |\n| B-28a | row |\ntext 9\n";
        vec![Page::new("doc/spec/made-up.md", made_up), Page::new("doc/spec/plain.md", "## 3. A\n")]
    }

    fn found(path: &str, text: &str) -> (usize, Vec<String>) {
        let Found { citations, breaches } = look(path, text, &pages());
        (citations, breaches)
    }

    fn fine(citations: usize) -> (usize, Vec<String>) {
        (citations, Vec::new())
    }

    #[test]
    fn a_page_is_cited_by_its_headings_and_rows() {
        let places: Vec<String> = pages()[0].places.iter().cloned().collect();
        assert_eq!(places, ["1", "1.2", "B-1", "B-28a", "D", "P1"]);
    }

    #[test]
    fn what_is_there_may_be_cited() {
        let text = "/* made-up 1.2, made-up P1: (made-up B-28a). `plain 3`; made-up D */";
        assert_eq!(found("a.c", text), fine(5));
        assert_eq!(found("a.c", "Made-up 1 and 1.2; made-up B-1 to B-28a, and D."), fine(5));
        assert_eq!(found("a.txt", "test\tcase\treason [made-up 1, 1.2, or P1]\n"), fine(3));
    }

    #[test]
    fn a_citation_goes_on_behind_the_end_of_a_line() {
        assert_eq!(found("a.rs", "// A reason (made-up\n// 1 and\n// 1.2).\nfn f() {}\n"), fine(2));
        assert_eq!(found("a.c", "/* A reason: made-up\n * 1.2 */"), fine(1));
    }

    #[test]
    fn what_is_not_there_is_caught() {
        let bad = |text: &str| found("a.c", text).1;
        assert_eq!(bad("\n/* made-up 1.3 */"), ["a.c:2: made-up has no 1.3"]);
        assert_eq!(bad("made-up 1, 2 and 1.2"), ["a.c:1: made-up has no 2"]);
        assert_eq!(bad("made-up B-1\nand B-2"), ["a.c:2: made-up has no B-2"]);
        assert_eq!(bad("made-up B-28b"), ["a.c:1: made-up has no B-28b"]);
        assert_eq!(bad("made-up P2"), ["a.c:1: made-up has no P2"]);
        assert_eq!(bad("made-up E"), ["a.c:1: made-up has no E"]);
    }

    #[test]
    fn what_only_looks_like_a_citation_is_none() {
        for text in [
            "plain A word",
            "not-made-up 9",
            "made-up/9",
            "made-up: 9",
            "made-up 9th",
            "MADE-UP * 9",
        ] {
            assert_eq!(found("a.c", text), fine(0), "{text}");
        }
        assert_eq!(found("a.rs", "fn f() { g(\"made-up 9\"); }"), fine(0));
    }

    #[test]
    fn a_citation_without_its_page_is_caught() {
        let bad = |text: &str| found("a.c", text).1;
        assert_eq!(bad("see B-1."), ["a.c:1: B-1.: of which page?"]);
        assert_eq!(bad("P1"), ["a.c:1: P1: of which page?"]);
        assert_eq!(bad("section 1.2"), ["a.c:1: section: of which page?"]);
        assert_eq!(bad("protocol 1.2"), ["a.c:1: protocol: no page has that name"]);
        let with_ending = "a.c:1: made-up.md: pages are cited without their ending";
        assert_eq!(bad("made-up.md 1.2"), [with_ending]);
        assert_eq!(bad("RFC 6455 section 5.2 of made-up.md"), [""; 0]);
    }

    #[test]
    fn a_page_names_its_own_places_without_its_name() {
        let path = "doc/spec/made-up.md";
        assert_eq!(found(path, "see section 1.2, sections 1 and 1.2, B-1 and plain 3"), fine(5));
        assert_eq!(found(path, "RFC 6455 section 9"), fine(0));
        assert_eq!(found(path, "section 9, B-9").1.len(), 2);
    }
}
