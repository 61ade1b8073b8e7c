//! An atomic ordering above `Relaxed` says what it pairs with.
//!
//! An ordering alone promises nothing: it takes two, in two places that a reader has to hold
//! together. So a comment on the ordering's line, or a few lines above it, names the other place
//! with the words "pairs with".

use std::collections::BTreeSet;

use super::source::{Source, sources};
use super::tidy::{lines_of_module, test_files};

const ORDERINGS: &[&str] = &["Acquire", "Release", "AcqRel", "SeqCst"];
const WORDS: &str = "pairs with";
/// How far above the ordering the comment may end.
const DISTANCE_MAX: usize = 4;

#[test]
fn orderings_say_what_they_pair_with() {
    let sources = sources();
    let tests = test_files(&sources);
    let product = sources.iter().filter(|source| !tests.contains(&source.path));
    let wrong: Vec<_> = product.flat_map(says_its_pairs).collect();
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

fn says_its_pairs(source: &Source) -> Vec<String> {
    let in_tests: BTreeSet<usize> =
        source.test_modules().into_iter().flat_map(|name| lines_of_module(source, name)).collect();
    let explained = |line: usize| {
        let mut near = source.comments.iter().filter(|comment| {
            *comment.lines.start() <= line && comment.lines.end() + DISTANCE_MAX >= line
        });
        near.any(|comment| comment.text.to_lowercase().contains(WORDS))
    };
    let mut is_import = false;
    let mut breaches = Vec::new();
    for (at, token) in source.tokens.iter().enumerate() {
        if source.is(at, "use") || source.is(at, ";") {
            is_import = source.is(at, "use");
        }
        let is_ordering = ORDERINGS.iter().any(|name| source.is(at, name)) && !is_import;
        if is_ordering && !in_tests.contains(&token.line) && !explained(token.line) {
            let what = format!("{} does not say what it pairs with", token.text);
            breaches.push(source.breach(token.line, &what));
        }
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaches(text: &str) -> Vec<String> {
        says_its_pairs(&Source::new("a/b.rs", text))
    }

    #[test]
    fn an_ordering_without_a_word_is_caught() {
        let bad = breaches("fn f() {\n    // It is set.\n    a.load(Ordering::Acquire);\n}");
        assert_eq!(bad, ["src/a/b.rs:3: Acquire does not say what it pairs with"]);
        assert_eq!(breaches("fn f() { a.swap(1, SeqCst) }").len(), 1);
        assert_eq!(
            breaches("fn f() { fence(Ordering::AcqRel); fence(Ordering::Release) }").len(),
            2
        );
    }

    #[test]
    fn an_explanation_that_is_far_away_or_below_is_none() {
        assert_eq!(breaches("// Pairs with f.\n\n\n\n\nfence(Ordering::SeqCst);").len(), 1);
        assert_eq!(breaches("fence(Ordering::SeqCst);\n// Pairs with f.").len(), 1);
    }

    #[test]
    fn an_ordering_with_its_pair_passes() {
        assert_eq!(
            breaches("// Release: pairs with\n// f.\na.store(1, Ordering::Release);"),
            [""; 0]
        );
        assert_eq!(
            breaches("// Pairs with f.\nif a\n    && b.load(Ordering::Acquire) {}"),
            [""; 0]
        );
        assert_eq!(breaches("fence(Ordering::SeqCst); // Pairs with f."), [""; 0]);
    }

    #[test]
    fn imports_tests_and_relaxed_need_none() {
        assert_eq!(breaches("use Ordering::{Acquire, Release};\nfn f() {}"), [""; 0]);
        assert_eq!(breaches("fn f() { a.load(Ordering::Relaxed) }"), [""; 0]);
        let test = "#[cfg(test)]\nmod tests {\n    fn f() { a.load(Ordering::SeqCst) }\n}";
        assert_eq!(breaches(test), [""; 0]);
    }
}
