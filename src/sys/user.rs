//! Whose process this is.

/// The user with whose rights it acts.
#[must_use]
pub fn user() -> u32 {
    // SAFETY: no pointer is passed.
    unsafe { libc::geteuid() }
}
