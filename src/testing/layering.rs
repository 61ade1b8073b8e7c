//! The architecture as a test: who may name whom, and where the dangerous words may stand.
//!
//! A lower layer never names a higher one. Where it must call up it owns a trait, and the upper
//! layer implements it; this test is what keeps it so.

use super::paths::{Path, paths};
use super::source::{Kind, Source, hold};

/// Each layer, and the layers that it may name besides itself.
pub const LAYERS: &[(&str, &[&str])] = &[
    (
        "ffi",
        &["core", "protocols", "transports", "io", "sys", "sync", "message", "memory", "error"],
    ),
    (
        "core",
        &["protocols", "transports", "io", "trace", "sys", "sync", "message", "memory", "error"],
    ),
    // Pure machines: they own no lock, so they have no use for sync.
    ("protocols", &["message", "memory", "error"]),
    ("transports", &["io", "trace", "sys", "sync", "message", "memory", "error"]),
    ("io", &["sys", "sync", "message", "memory", "error"]),
    ("trace", &["sys", "error"]),
    ("sys", &["sync", "message", "memory"]),
    ("sync", &[]),
    ("message", &["memory", "error"]),
    ("error", &["memory"]),
    ("memory", &[]),
    // A library of its own, which the others know by its table of C functions only.
    ("tls", &[]),
];

/// The map of the tree, programs that use the library, and the tests about all of it.
const ABOVE_THE_LAYERS: &[&str] = &["lib.rs", "bin/", "testing/", "simulation/", "fuzzing/"];

const HOMES_OF_LIBC: &[&str] =
    &["ffi/", "sys/", "message/peek.rs", "sync/barrier.rs", "sync/lobby.rs"];
// What stands for the C library leaves its numbers where that does.
const HOMES_OF_C_NAMES: &[&str] = &["ffi/", "sys/simulated/calls.rs"];
const HOMES_OF_LOCKS: &[&str] = &["sync/"];
/// What is loaded for encrypted addresses has its memory from us, but none of these.
const HOMES_OF_RESERVING: &[&str] = &["memory/", "tls/place.rs"];
const LOCKS_OF_STD: &[&str] = &["Mutex", "RwLock", "Condvar"];

#[test]
fn no_layer_names_a_higher_one() {
    hold(names_lower_layers_only);
}

#[test]
fn libc_stays_at_the_edges() {
    hold(keeps_libc_home);
}

#[test]
fn c_names_stay_in_ffi() {
    hold(keeps_c_names_home);
}

#[test]
fn locks_have_ranks() {
    hold(keeps_locks_home);
}

#[test]
fn memory_that_may_be_missing_is_had_in_one_way() {
    hold(keeps_reserving_home);
}

fn names_lower_layers_only(source: &Source) -> Vec<String> {
    if stands_in(source, ABOVE_THE_LAYERS) {
        return Vec::new();
    }
    let layer = source.path.split('/').next().unwrap_or_default().trim_end_matches(".rs");
    let Some((_, lower)) = LAYERS.iter().find(|(name, _)| *name == layer) else {
        return vec![source.breach(1, &format!("{layer} has no row in LAYERS"))];
    };
    let may_name = |name: &str| name == layer || name == "testing" || lower.contains(&name);
    let breach = |path: &Path| match &path.names[..] {
        [name] if !may_name(name) => {
            Some(source.breach(path.line, &format!("{layer} names {name}")))
        }
        _ => None,
    };
    paths(source).iter().filter_map(breach).collect()
}

fn keeps_libc_home(source: &Source) -> Vec<String> {
    words_outside(source, HOMES_OF_LIBC, |word, kind| kind == Kind::Code && word == "libc")
}

/// Who can do without memory must not take it from those who cannot.
fn keeps_reserving_home(source: &Source) -> Vec<String> {
    words_outside(source, HOMES_OF_RESERVING, |word, kind| {
        kind == Kind::Code && word.starts_with("try_reserve")
    })
}

fn keeps_locks_home(source: &Source) -> Vec<String> {
    let strays = words_outside(source, HOMES_OF_LOCKS, |word, kind| {
        kind == Kind::Code && word == "parking_lot"
    });
    if stands_in(source, HOMES_OF_LOCKS) || stands_in(source, ABOVE_THE_LAYERS) {
        return strays;
    }
    // The standard library's, however its path is spelled.
    let is_lock = |at: usize| LOCKS_OF_STD.iter().any(|name| source.is(at, name));
    let starts = (0..source.tokens.len())
        .filter(|&at| source.is(at, "std") && source.spells(at + 1, &[":", ":", "sync", ":", ":"]));
    let named = starts.flat_map(|at| {
        let end = if source.is(at + 6, "{") { source.closing(at + 6) } else { at + 6 };
        (at + 6..=end).filter(|&at| is_lock(at))
    });
    let say = |at: usize| {
        let token = &source.tokens[at];
        source.breach(token.line, &format!("{} of std has no rank", token.text))
    };
    strays.into_iter().chain(named.map(say)).collect()
}

/// A C name in a string counts too: a layer that mentions one to the user knows who calls it.
fn keeps_c_names_home(source: &Source) -> Vec<String> {
    words_outside(source, HOMES_OF_C_NAMES, |word, kind| match kind {
        Kind::Code => word.starts_with("nn_") || word.starts_with("NN_") || word.contains("errno"),
        Kind::Quoted => word.contains("nn_") || word.contains("NN_"),
    })
}

fn words_outside(
    source: &Source,
    homes: &[&str],
    is_bound_to_them: impl Fn(&str, Kind) -> bool,
) -> Vec<String> {
    if stands_in(source, homes) || stands_in(source, ABOVE_THE_LAYERS) {
        return Vec::new();
    }
    let strays = source.tokens.iter().filter(|token| is_bound_to_them(&token.text, token.kind));
    let say = |word: &str| format!("`{word}` belongs in {}", homes.join(", "));
    strays.map(|token| source.breach(token.line, &say(&token.text))).collect()
}

fn stands_in(source: &Source, places: &[&str]) -> bool {
    places.iter().any(|place| {
        if place.ends_with('/') { source.path.starts_with(place) } else { source.path == *place }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layering(path: &str, text: &str) -> Vec<String> {
        names_lower_layers_only(&Source::new(path, text))
    }

    #[test]
    fn a_higher_layer_is_caught_by_its_path() {
        let bad = layering("io/reactor.rs", "use std::fs;\nuse crate::transports::Host;");
        assert_eq!(bad, ["src/io/reactor.rs:2: io names transports"]);
        assert_eq!(layering("transports/tcp.rs", "fn f() { crate::core::g() }").len(), 1);
        assert_eq!(layering("sys/mod.rs", "use crate::io::Reactor;").len(), 1);
        assert_eq!(layering("protocols/pair.rs", "use crate::io::Stream;").len(), 1);
        assert_eq!(layering("message/mod.rs", "type A = crate::io::Stream;").len(), 1);
        assert_eq!(layering("error.rs", "use crate::message::Message;").len(), 1);
        assert_eq!(layering("trace.rs", "use crate::sync::Mutex;").len(), 1);
    }

    #[test]
    fn a_higher_layer_is_caught_in_a_group() {
        let text = "use crate::{sys::{self, Fd}, io::Stream, core::{Socket, x::{Y, Z}}, error::E};";
        assert_eq!(layering("io/stream.rs", text), ["src/io/stream.rs:1: io names core"]);
    }

    #[test]
    fn a_higher_layer_is_caught_through_super() {
        assert_eq!(layering("io/mod.rs", "use super::core::Socket;").len(), 1);
        assert_eq!(layering("io/stream.rs", "use super::super::core::Socket;").len(), 1);
        assert_eq!(layering("io/stream.rs", "use super::{super::core::Socket, Timers};").len(), 1);
        assert_eq!(layering("io/mod.rs", "mod a { use super::super::core::Socket; }").len(), 1);
    }

    #[test]
    fn the_whole_crate_root_is_caught() {
        assert_eq!(layering("io/mod.rs", "use super::*;").len(), 1);
        assert_eq!(layering("io/stream.rs", "use crate::*;").len(), 1);
        assert_eq!(layering("io/stream.rs", "use crate::{self as all};").len(), 1);
    }

    #[test]
    fn a_folder_without_a_layer_is_caught() {
        assert_eq!(layering("util/mod.rs", ""), ["src/util/mod.rs:1: util has no row in LAYERS"]);
    }

    #[test]
    fn what_is_allowed_passes() {
        let text = "//! Says crate::core::Socket.\nuse crate::{io::Stream, message::Message};
            use super::address; use self::super::sp; mod tests { use super::*; }
            pub(super) fn f() { \"crate::core\"; super::sp::frame(); crate::testing::mesh() }";
        assert_eq!(layering("transports/stream/mod.rs", text), [""; 0]);
        assert_eq!(layering("lib.rs", "mod core; pub use crate::core::x;"), [""; 0]);
    }

    #[test]
    fn stray_libc_is_caught() {
        let bad = keeps_libc_home(&Source::new("core/wait.rs", "// libc\nuse libc::c_int;"));
        assert_eq!(bad.len(), 1);
        assert!(bad[0].starts_with("src/core/wait.rs:2: `libc`"), "{}", bad[0]);
        assert_eq!(keeps_libc_home(&Source::new("message/mod.rs", "libc::free(p)")).len(), 1);
        assert_eq!(keeps_libc_home(&Source::new("message/peek.rs", "libc::free(p)")), [""; 0]);
    }

    #[test]
    fn locks_without_a_rank_are_caught() {
        let text = "// parking_lot\nuse parking_lot::Mutex;\nuse crate::sync::Mutex;";
        let bad = keeps_locks_home(&Source::new("core/wait.rs", text));
        assert_eq!(bad, ["src/core/wait.rs:2: `parking_lot` belongs in sync/"]);
        let text = "use std::sync::{Arc, RwLock};\nfn f(_: std::sync::Mutex<u8>) {}";
        let bad = keeps_locks_home(&Source::new("io/reactor.rs", text));
        let expected = ["1: RwLock", "2: Mutex"];
        assert_eq!(bad, expected.map(|it| format!("src/io/reactor.rs:{it} of std has no rank")));
        assert_eq!(keeps_locks_home(&Source::new("sync/lock.rs", text)), [""; 0]);
        let text = "use std::sync::{Arc, OnceLock};\nuse loom::sync::Mutex;";
        assert_eq!(keeps_locks_home(&Source::new("io/reactor.rs", text)), [""; 0]);
    }

    #[test]
    fn strays_that_reserve_are_caught() {
        let text = "// try_reserve\nfn f() { v.try_reserve(1); v.try_reserve_exact(1); }";
        let bad = keeps_reserving_home(&Source::new("core/wait.rs", text));
        assert_eq!(bad.len(), 2);
        assert!(bad[0].starts_with("src/core/wait.rs:2: `try_reserve`"), "{}", bad[0]);
        assert_eq!(keeps_reserving_home(&Source::new("memory/mod.rs", text)), [""; 0]);
    }

    #[test]
    fn stray_c_names_are_caught() {
        let text = "// nn_send sets errno\nfn f() { nn_send(NN_MSG, errno(), \"nn_recv: no\") }";
        let bad = keeps_c_names_home(&Source::new("core/transfer.rs", text));
        assert_eq!(bad.len(), 4);
        assert!(bad[0].starts_with("src/core/transfer.rs:2: `nn_send`"), "{}", bad[0]);
        assert_eq!(keeps_c_names_home(&Source::new("ffi/transfer.rs", text)), [""; 0]);
    }
}
