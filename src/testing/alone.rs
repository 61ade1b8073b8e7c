//! A test for which other threads of the same process are in the way gets a process of its own.

use std::process::Command;

const MARK: &str = "SPMSG_TEST_ALONE";

/// Runs the test of this name, as the harness calls it, in a process of its own if it is not in one
/// already. True there, where it is to do its work.
///
/// # Panics
/// When it fails there.
#[must_use]
pub fn is_alone(name: &str) -> bool {
    if cfg!(miri) || std::env::var_os(MARK).is_some_and(|mark| mark == name) {
        return true;
    }
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(MARK, name)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{said}\n{}", String::from_utf8_lossy(&child.stderr));
    // A name that no test has fails nothing.
    assert!(said.contains("1 passed"), "no test is called {name}: {said}");
    false
}
