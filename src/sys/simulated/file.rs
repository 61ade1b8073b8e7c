//! Files, of which there is one folder, and the names that keep others out.

use std::ffi::OsStr;
use std::io;
use std::os::fd::FromRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::calls::{OwnedFd, begin, kernel};
use super::object::Kind;
use crate::sync::simulated::thread;
use crate::sys::{Address, OsListener};

#[derive(Clone, Copy, Debug)]
pub struct File {
    pub inode: u64,
    pub is_socket: bool,
}

/// Tells a file from another that has taken its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileIdentity {
    inode: u64,
    pub is_socket: bool,
}

impl FileIdentity {
    /// Of the file itself.
    ///
    /// # Errors
    /// When there is none.
    pub fn of(path: &Path) -> io::Result<FileIdentity> {
        begin("lstat");
        let found = kernel(|state| state.files.get(path).copied().ok_or(libc::ENOENT));
        let File { inode, is_socket } = found.map_err(io::Error::from_raw_os_error)?;
        Ok(FileIdentity { inode, is_socket })
    }

    /// Nobody writes a log in a simulation.
    ///
    /// # Errors
    /// Never.
    pub fn of_open(_file: &std::fs::File) -> io::Result<FileIdentity> {
        Ok(FileIdentity { inode: 0, is_socket: false })
    }
}

/// Keeps a file where it is known.
#[derive(Debug)]
pub struct PinnedFile {
    _descriptor: OwnedFd,
    identity: FileIdentity,
}

impl PinnedFile {
    /// # Errors
    /// When there is none, or no descriptor for it.
    pub fn at(path: &Path) -> io::Result<PinnedFile> {
        let identity = FileIdentity::of(path)?;
        begin("open");
        let opened = kernel(|state| state.open_fresh(Kind::Event { count: 0 }));
        let descriptor = opened.map_err(io::Error::from_raw_os_error)?;
        // SAFETY: the kernel gave us this descriptor just now; nobody else owns it.
        let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
        Ok(PinnedFile { _descriptor: descriptor, identity })
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

/// Keeps out every other process that is about to bind the same file.
#[derive(Debug)]
pub struct NameLock {
    _socket: OsListener,
}

impl NameLock {
    #[must_use]
    pub fn acquire(_directory: &Path, name: &OsStr) -> Option<NameLock> {
        let address = Address::Name([b"spmsg bind ", name.as_bytes()].concat());
        for _ in 0..100 {
            let socket = OsListener::new(&address).ok()?;
            match socket.bind(&address) {
                Ok(()) => return Some(NameLock { _socket: socket }),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    thread::sleep(Duration::from_millis(1));
                }
                Err(_) => return None,
            }
        }
        None
    }
}

/// # Errors
/// When there is no such file.
pub fn set_file_mode(path: &Path, _mode: u32) -> io::Result<()> {
    FileIdentity::of(path).map(drop)
}

/// Nobody goes anywhere else.
#[must_use]
pub fn absolute(path: PathBuf) -> PathBuf {
    path
}

/// # Errors
/// When there is no such file.
pub fn unlink(path: &Path) -> io::Result<()> {
    begin("unlink");
    let removed = kernel(|state| state.files.remove(path).ok_or(libc::ENOENT));
    removed.map(drop).map_err(io::Error::from_raw_os_error)
}
