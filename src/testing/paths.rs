//! Where the paths of a source lead, whichever way they are written.

use super::source::Source;

/// A path, or the front of one: at most two names, from the root of the crate.
pub struct Path {
    /// The token with the last of the names.
    pub at: usize,
    pub line: usize,
    pub names: Vec<String>,
}

/// Every path that leads to something at the root of the crate, or directly in one of its modules.
/// What is named with two names is there with the first alone, too.
pub fn paths(source: &Source) -> Vec<Path> {
    let mut found = Vec::new();
    let mut module = module_of(&source.path);
    // For each open brace, whether it opened a module.
    let mut braces = Vec::new();
    for at in 0..source.tokens.len() {
        if source.is(at, "{") {
            let named = at >= 2 && source.is(at - 2, "mod");
            module.extend(named.then(|| source.tokens[at - 1].text.clone()));
            braces.push(named);
        } else if source.is(at, "}") && braces.pop() == Some(true) {
            module.pop();
        }
        let inside_a_path = at >= 1 && source.is(at - 1, ":");
        if !inside_a_path && source.spells(at + 1, &[":", ":"]) {
            if source.is(at, "crate") {
                follow(source, at + 3, Vec::new(), &mut found);
            } else if source.is(at, "super") || source.is(at, "self") {
                follow(source, at, module.clone(), &mut found);
            }
        }
    }
    found
}

/// Follows a path, or a tree of them, from `base` until it is out of sight.
fn follow(source: &Source, at: usize, base: Vec<String>, found: &mut Vec<Path>) {
    let Some(token) = source.tokens.get(at) else { return };
    match token.text.as_str() {
        "super" if base.is_empty() => {}
        "super" if !source.is(at + 1, ":") => {}
        "super" => follow(source, at + 3, base[..base.len() - 1].to_vec(), found),
        "self" if source.is(at + 1, ":") => follow(source, at + 3, base, found),
        "{" => {
            let (end, mut item) = (source.closing(at), at + 1);
            while item < end {
                follow(source, item, base.clone(), found);
                item = after_item(source, item, end);
            }
        }
        name if base.len() < NAMES_MAX => {
            let names = [&base[..], &[name.to_owned()]].concat();
            found.push(Path { at, line: token.line, names: names.clone() });
            if names.len() < NAMES_MAX && source.spells(at + 1, &[":", ":"]) {
                follow(source, at + 3, names, found);
            }
        }
        _ => {}
    }
}

/// The start of what follows the next comma of a group that closes at `end`.
fn after_item(source: &Source, mut at: usize, end: usize) -> usize {
    while at < end && !source.is(at, ",") {
        at = if source.is(at, "{") { source.closing(at) } else { at } + 1;
    }
    at + 1
}

/// `io/stream.rs` and `io/stream/mod.rs` are both the module `io::stream`.
fn module_of(path: &str) -> Vec<String> {
    let path = path.trim_end_matches(".rs");
    let path = path.strip_suffix("/mod").unwrap_or(path);
    path.split('/').map(str::to_owned).collect()
}

const NAMES_MAX: usize = 2;
