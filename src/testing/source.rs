//! Rust sources as the rules on the tree see them.
//!
//! The reader understands just enough Rust to tell code from comments and strings, so that a rule
//! about names is neither fooled by prose nor blind to code.

use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;

/// One file of `src/`, taken apart.
pub struct Source {
    /// Relative to `src/`, with forward slashes.
    pub path: String,
    pub text: String,
    pub tokens: Vec<Token>,
    pub comments: Vec<Comment>,
}

/// A word, a single character of punctuation, or the inside of a string.
pub struct Token {
    pub line: usize,
    pub text: String,
    pub kind: Kind,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    Code,
    Quoted,
}

pub struct Comment {
    pub lines: RangeInclusive<usize>,
    pub text: String,
}

/// Every Rust file below `src/`, in the order of their paths.
pub fn sources() -> Vec<Source> {
    let found = texts("src", &[".rs"]);
    assert!(found.len() > 3, "only {} sources", found.len());
    let relative = |path: &str| path.trim_start_matches("src/").to_owned();
    found.iter().map(|(path, text)| Source::new(&relative(path), text)).collect()
}

/// The files below a folder of the project whose names have one of these endings: path and text,
/// in the order of their paths.
pub fn texts(folder: &str, endings: &[&str]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    collect(folder, endings, &mut found);
    found.sort();
    found
}

fn collect(folder: &str, endings: &[&str], found: &mut Vec<(String, String)>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for entry in fs::read_dir(root.join(folder)).expect("the folder can be listed") {
        let entry = entry.expect("the folder can be listed");
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{folder}/{name}");
        if entry.path().is_dir() {
            if !BUILT.contains(&&*name) {
                collect(&path, endings, found);
            }
        } else if endings.iter().any(|ending| name.ends_with(ending)) {
            let text = fs::read_to_string(entry.path()).expect("a source is readable text");
            found.push((path, text));
        }
    }
}

/// Folders that builds make and nobody keeps.
const BUILT: &[&str] = &["target", "corpus", "artifacts", "coverage"];

/// Fails with one line for each breach of `rule` in the tree.
pub fn hold(rule: impl Fn(&Source) -> Vec<String>) {
    let breaches: Vec<String> = sources().iter().flat_map(rule).collect();
    assert!(breaches.is_empty(), "\n{}\n", breaches.join("\n"));
}

impl Source {
    pub fn new(path: &str, text: &str) -> Source {
        let mut lexer = Lexer {
            rest: text.chars().collect::<Vec<_>>(),
            at: 0,
            line: 1,
            tokens: Vec::new(),
            comments: Vec::new(),
        };
        while lexer.step() {}
        let (tokens, comments) = (lexer.tokens, lexer.comments);
        Source { path: path.to_owned(), text: text.to_owned(), tokens, comments }
    }

    pub fn breach(&self, line: usize, what: &str) -> String {
        format!("src/{}:{line}: {what}", self.path)
    }

    /// Is the code token at `at` exactly this?
    pub fn is(&self, at: usize, text: &str) -> bool {
        self.tokens.get(at).is_some_and(|token| token.kind == Kind::Code && token.text == text)
    }

    /// Do the code tokens from `at` on spell this out?
    pub fn spells(&self, at: usize, texts: &[&str]) -> bool {
        texts.iter().enumerate().all(|(offset, text)| self.is(at + offset, text))
    }

    /// Where the bracket opened at `open` closes, or the last token of an unbalanced file.
    pub fn closing(&self, open: usize) -> usize {
        let mut depth = 0;
        for at in open..self.tokens.len() {
            if ["{", "(", "["].iter().any(|bracket| self.is(at, bracket)) {
                depth += 1;
            } else if ["}", ")", "]"].iter().any(|bracket| self.is(at, bracket)) {
                depth -= 1;
            }
            if depth == 0 {
                return at;
            }
        }
        self.tokens.len() - 1
    }

    /// Where the attribute that starts at `at` ends, when one does.
    fn attribute(&self, at: usize) -> Option<usize> {
        self.spells(at, &["#", "["]).then(|| self.closing(at + 1))
    }

    /// The modules compiled only for tests and models: each as the place of its name.
    pub fn test_modules(&self) -> Vec<usize> {
        let starts = (0..self.tokens.len()).filter(|&at| self.is_test_attribute(at));
        starts.filter_map(|at| self.module_after_attributes(at)).collect()
    }

    fn is_test_attribute(&self, at: usize) -> bool {
        let Some(end) = self.attribute(at) else { return false };
        let for_tests = |word: usize| {
            (self.is(word, "test") || self.is(word, "loom"))
                && !self.spells(word.saturating_sub(2), &["not", "("])
        };
        self.is(at + 2, "cfg") && (at..end).any(for_tests)
    }

    fn module_after_attributes(&self, mut at: usize) -> Option<usize> {
        while let Some(end) = self.attribute(at) {
            at = end + 1;
        }
        if self.is(at, "pub") {
            at += 1;
            if self.is(at, "(") {
                at = self.closing(at) + 1;
            }
        }
        self.is(at, "mod").then_some(at + 1)
    }
}

/// Reads a file from front to back, one token or comment at a step.
struct Lexer {
    rest: Vec<char>,
    at: usize,
    line: usize,
    tokens: Vec<Token>,
    comments: Vec<Comment>,
}

impl Lexer {
    fn step(&mut self) -> bool {
        match (self.peek(0), self.peek(1)) {
            (None, _) => return false,
            (Some('/'), Some('/')) => self.line_comment(),
            (Some('/'), Some('*')) => self.block_comment(),
            (Some('"'), _) => self.string(),
            (Some('\''), _) => self.character_or_lifetime(),
            (Some(first), _) if is_word(first) => self.word(),
            (Some(first), _) if first.is_whitespace() => {
                self.bump();
            }
            (Some(first), _) => {
                self.bump();
                self.push(self.line, first.to_string(), Kind::Code);
            }
        }
        true
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.rest.get(self.at + ahead).copied()
    }

    fn bump(&mut self) -> Option<char> {
        let next = self.peek(0)?;
        self.at += 1;
        self.line += usize::from(next == '\n');
        Some(next)
    }

    fn push(&mut self, line: usize, text: String, kind: Kind) {
        self.tokens.push(Token { line, text, kind });
    }

    /// Comments on lines that follow one another are one comment, as a reader sees them.
    fn line_comment(&mut self) {
        let mut text = String::new();
        while self.peek(0).is_some_and(|next| next != '\n') {
            text.extend(self.bump());
        }
        match self.comments.last_mut() {
            Some(last) if last.lines.end() + 1 == self.line => {
                last.lines = *last.lines.start()..=self.line;
                last.text.push('\n');
                last.text.push_str(&text);
            }
            _ => self.comments.push(Comment { lines: self.line..=self.line, text }),
        }
    }

    fn block_comment(&mut self) {
        let (start, mut depth, mut text) = (self.line, 0, String::new());
        while let Some(next) = self.bump() {
            text.push(next);
            match (next, self.peek(0)) {
                ('/', Some('*')) => depth += 1,
                ('*', Some('/')) => depth -= 1,
                _ => continue,
            }
            text.extend(self.bump());
            if depth == 0 {
                break;
            }
        }
        self.comments.push(Comment { lines: start..=self.line, text });
    }

    fn string(&mut self) {
        let (line, mut text) = (self.line, String::new());
        self.bump();
        while let Some(next) = self.bump() {
            match next {
                '"' => break,
                '\\' => text.extend(self.bump()),
                _ => text.push(next),
            }
        }
        self.push(line, text, Kind::Quoted);
    }

    fn raw_string(&mut self) {
        let (line, mut text) = (self.line, String::new());
        let mut end = vec!['"'];
        while self.bump() == Some('#') {
            end.push('#');
        }
        while self.at < self.rest.len() && !self.rest[self.at..].starts_with(&end) {
            text.extend(self.bump());
        }
        self.at = self.rest.len().min(self.at + end.len());
        self.push(line, text, Kind::Quoted);
    }

    /// Neither carries a name that a rule asks for, so both are passed over.
    fn character_or_lifetime(&mut self) {
        self.bump();
        if self.peek(0) == Some('\\') {
            self.bump();
            self.bump();
            while self.bump().is_some_and(|next| next != '\'') {}
        } else if self.peek(1) == Some('\'') {
            self.bump();
            self.bump();
        } else {
            while self.peek(0).is_some_and(is_word) {
                self.bump();
            }
        }
    }

    fn word(&mut self) {
        let mut text = String::new();
        while self.peek(0).is_some_and(is_word) {
            text.extend(self.bump());
        }
        let after_hashes = self.rest[self.at..].iter().find(|&&next| next != '#');
        match (text.as_str(), self.peek(0)) {
            ("b" | "c", Some('"')) => self.string(),
            ("r" | "br" | "cr", Some('"' | '#')) if after_hashes == Some(&'"') => self.raw_string(),
            _ => self.push(self.line, text, Kind::Code),
        }
    }
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> Vec<String> {
        let tokens = Source::new("x.rs", text).tokens.into_iter();
        tokens.filter(|token| token.kind == Kind::Code).map(|token| token.text).collect()
    }

    #[test]
    fn comments_are_not_code() {
        assert_eq!(code("a // b\n/* c /* d */ e */ f"), ["a", "f"]);
    }

    #[test]
    fn strings_are_not_code() {
        assert_eq!(code(r###"a "b\"" b"c" r"d" r#"e"f"# br##"g"# h"## i"###), ["a", "i"]);
    }

    #[test]
    fn characters_and_lifetimes_do_not_open_strings() {
        assert_eq!(code(r"a '\'' '\u{7f}' '{' b'x' &'static str"), ["a", "b", "&", "str"]);
        assert_eq!(code(r#"'"' a '\\' b"#), ["a", "b"]);
    }

    #[test]
    fn raw_identifiers_are_words() {
        assert_eq!(code("r#type"), ["r", "#", "type"]);
    }

    #[test]
    fn tokens_know_their_line() {
        let source = Source::new("x.rs", "a\n\"b\nc\" /* d\n */ e");
        let lines: Vec<usize> = source.tokens.iter().map(|token| token.line).collect();
        assert_eq!(lines, [1, 2, 4]);
    }

    #[test]
    fn adjoining_line_comments_are_one() {
        let source = Source::new("x.rs", "// a\n// b\n\n// c");
        let texts: Vec<&str> = source.comments.iter().map(|comment| &*comment.text).collect();
        assert_eq!(texts, ["// a\n// b", "// c"]);
        assert_eq!(source.comments[0].lines, 1..=2);
    }

    #[test]
    fn test_modules_are_told_from_the_others() {
        let text = "mod a; #[cfg(test)] mod b; #[cfg(all(loom, test))] #[x] pub(crate) mod c {}
            #[cfg(not(test))] mod d; #[cfg(unix)] mod e;";
        let source = Source::new("x.rs", text);
        let names = source.test_modules().into_iter().map(|at| source.tokens[at].text.clone());
        assert_eq!(names.collect::<Vec<_>>(), ["b", "c"]);
    }
}
