//! Files of Unix domain sockets where a descriptor cannot merely name one.

use std::ffi::CString;
#[cfg(not(target_os = "linux"))]
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use crate::sys::file::{FileIdentity, MODE_BITS};

/// A file as it was found. Nothing keeps another from getting its identity once it is gone, which
/// takes a file system that gives the same number to the next file, at the same moment.
#[derive(Debug)]
pub struct PinnedFile {
    identity: FileIdentity,
}

impl PinnedFile {
    /// Of the file itself; a symbolic link is not followed, and nothing is opened.
    pub fn at(path: &Path) -> io::Result<PinnedFile> {
        Ok(PinnedFile { identity: FileIdentity::of(path)? })
    }

    #[must_use]
    pub fn is_socket(&self) -> bool {
        self.identity.is_socket
    }

    /// Whether it is still what the name stands for.
    #[must_use]
    pub fn is_still_at(&self, path: &Path) -> bool {
        FileIdentity::of(path).is_ok_and(|identity| identity == self.identity)
    }
}

/// What keeps out every other process that is about to bind the same file, on Linux: elsewhere no
/// name is to be had that is no file, and locks of files are the application's. Who binds at the
/// same moment as another may find afterwards that the file is the other's.
#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
pub struct NameLock;

#[cfg(not(target_os = "linux"))]
impl NameLock {
    #[must_use]
    pub fn acquire(_directory: &Path, _name: &OsStr) -> Option<NameLock> {
        None
    }
}

/// Gives a socket's file, which is bound already, the permissions that the umask has denied it.
/// What a link points to that has taken its name is not touched.
pub fn set_file_mode(path: &Path, mode: u32) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if !metadata.file_type().is_socket() {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    if metadata.mode() & MODE_BITS == mode {
        return Ok(());
    }
    let name = CString::new(path.as_os_str().as_bytes())?;
    let (here, itself) = (libc::AT_FDCWD, libc::AT_SYMLINK_NOFOLLOW);
    // SAFETY: the name ends with a zero and lives as long as the call.
    let result = unsafe { libc::fchmodat(here, name.as_ptr(), mode as libc::mode_t, itself) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
