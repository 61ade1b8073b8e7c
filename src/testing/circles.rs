//! The files of a folder stand on one another: none of them needs, by whichever way, itself.
//!
//! Tests are no part of that: they may look at everything.

use std::collections::{BTreeMap, BTreeSet};

use super::paths::paths;
use super::source::{Source, sources};
use super::tidy::test_files;

/// Folders directly below `src/`.
const FOLDERS: &[&str] = &["core"];

/// Each file of a folder, and the others that it names.
type Needs = BTreeMap<String, BTreeSet<String>>;

#[test]
fn no_files_stand_in_a_circle() {
    let sources = sources();
    for folder in FOLDERS {
        let (needs, strays) = needs(&sources, folder);
        assert!(needs.len() > 1, "{folder} has files");
        assert!(strays.is_empty(), "\n{}\n", strays.join("\n"));
        let circle = circle(needs);
        assert!(circle.is_empty(), "{folder} goes in circles: {circle:#?}");
    }
}

/// What the files of `folder` need, and each name in it that is no file's.
fn needs(sources: &[Source], folder: &str) -> (Needs, Vec<String>) {
    let for_tests = test_files(sources);
    let files: BTreeMap<&str, &Source> = sources
        .iter()
        .filter(|source| !for_tests.contains(&source.path))
        .filter_map(|source| Some((file_in(&source.path, folder)?, source)))
        .collect();
    let (mut needs, mut strays) = (Needs::new(), Vec::new());
    for (file, source) in &files {
        let mut others = BTreeSet::new();
        let in_tests = tests_of(source);
        for path in paths(source).iter().filter(|path| !in_tests.contains(&path.at)) {
            match &path.names[..] {
                [first, second] if first == folder && files.contains_key(&**second) => {
                    others.insert(second.clone());
                }
                [first, second] if first == folder => {
                    let what = format!("{second} is no file of {folder}; name the file it is in");
                    strays.push(source.breach(path.line, &what));
                }
                _ => {}
            }
        }
        others.remove(*file);
        needs.insert((*file).to_owned(), others);
    }
    (needs, strays)
}

/// The name of a file that stands directly in the folder and is not the folder's own.
fn file_in<'a>(path: &'a str, folder: &str) -> Option<&'a str> {
    let file = path.strip_prefix(folder)?.strip_prefix('/')?.strip_suffix(".rs")?;
    (file != "mod" && !file.contains('/')).then_some(file)
}

/// Every token in a module that is compiled for tests or models only.
fn tests_of(source: &Source) -> BTreeSet<usize> {
    let modules = source.test_modules().into_iter();
    modules.flat_map(|name| name..=source.closing(name + 1)).collect()
}

/// What is left when every file has been taken away that needs nothing that is left, or that
/// nothing needs that is left.
fn circle(mut needs: Needs) -> Needs {
    loop {
        let before = needs.len();
        let left: BTreeSet<String> = needs.keys().cloned().collect();
        needs.retain(|_, others| others.iter().any(|other| left.contains(other)));
        let needed: BTreeSet<String> = needs.values().flatten().cloned().collect();
        needs.retain(|file, _| needed.contains(file));
        if needs.len() == before {
            return needs;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circle_of(files: &[(&str, &str)]) -> Vec<String> {
        let sources: Vec<_> = files.iter().map(|(path, text)| Source::new(path, text)).collect();
        circle(needs(&sources, "core").0).into_keys().collect()
    }

    #[test]
    fn a_circle_is_found_however_it_is_written() {
        for back in [
            "use super::a::A;",
            "use crate::core::a;",
            "use super::{c::C, a::{self, A}};",
            "fn f() { super::a::f() }",
            "mod inner { use super::super::a::A; }",
            "use crate::{core::{a::A}, io};",
        ] {
            let files = [("core/a.rs", "use super::b::B;"), ("core/b.rs", back), ("core/c.rs", "")];
            assert_eq!(circle_of(&files), ["a", "b"], "{back}");
        }
        let long = [
            ("core/a.rs", "use super::b;"),
            ("core/b.rs", "use super::c;"),
            ("core/c.rs", "use super::a;"),
            ("core/d.rs", "use super::{a, e};"),
            ("core/e.rs", "use std::io;"),
        ];
        assert_eq!(circle_of(&long), ["a", "b", "c"]);
    }

    #[test]
    fn a_ladder_is_no_circle() {
        let files = [
            ("core/a.rs", "use super::{b, c};\nmod number { use super::super::c; }"),
            ("core/b.rs", "use super::c; use crate::io::a;"),
            (
                "core/c.rs",
                "// super::a\n#[cfg(test)] mod tests { use super::*; use crate::core::a; }",
            ),
            ("core/mod.rs", "mod a; mod b; mod c; #[cfg(test)] mod fixtures; pub use a::A;"),
            ("core/fixtures.rs", "use super::a;"),
            ("io/a.rs", "use crate::core::a;"),
        ];
        assert_eq!(circle_of(&files), [""; 0]);
    }

    #[test]
    fn what_the_folder_passes_on_is_named_by_its_file() {
        let sources =
            [Source::new("core/a.rs", "use super::Socket;"), Source::new("core/b.rs", "")];
        let strays = needs(&sources, "core").1;
        assert_eq!(strays.len(), 1);
        assert!(strays[0].starts_with("src/core/a.rs:1: Socket"), "{}", strays[0]);
    }
}
