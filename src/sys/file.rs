//! The files that Unix domain sockets leave in the file system.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

/// Tells a file from another that has taken its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileIdentity {
    device: u64,
    inode: u64,
    pub is_socket: bool,
}

impl FileIdentity {
    /// Of the file itself; a symbolic link is not followed.
    pub fn of(path: &Path) -> io::Result<FileIdentity> {
        let metadata = fs::symlink_metadata(path)?;
        Ok(FileIdentity {
            device: metadata.dev(),
            inode: metadata.ino(),
            is_socket: metadata.file_type().is_socket(),
        })
    }
}

pub fn unlink(path: &Path) -> io::Result<()> {
    fs::remove_file(path)
}
