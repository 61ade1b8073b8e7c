//! Where certificates, keys and lists come from: PEM itself, a file of it, or a directory of files.

use std::collections::BTreeSet;
use std::fs::{self, File, Metadata};
use std::hint::black_box;
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::complaint::{Setting, Trouble};
use super::table;

/// What stands in one place.
pub struct Pem {
    pub bytes: Zeroizing<Vec<u8>>,
    /// For words: which of the files of a directory that is, with a colon.
    pub name: String,
}

/// The PEM itself, or what stands in the file of that path.
pub fn one(place: &[u8], setting: Setting) -> Result<Zeroizing<Vec<u8>>, Trouble> {
    let bytes = if is_pem(place) {
        let mut bytes = Zeroizing::new(Vec::new());
        bytes.try_reserve_exact(place.len()).map_err(|_| no_memory(setting))?;
        bytes.extend_from_slice(place);
        bytes
    } else {
        content(path(place, setting)?, setting, SIZE_MAX)?
    };
    expect_memory(bytes.len(), setting)?;
    Ok(bytes)
}

/// The same, and what stands in the files of a directory, not in those below: each once, by
/// whatever names it is there. Those whose names begin with a dot are nobody's.
pub fn all(place: &[u8], setting: Setting) -> Result<Vec<Pem>, Trouble> {
    let alone = |bytes| vec![Pem { bytes, name: String::new() }];
    if is_pem(place) || !path(place, setting)?.is_dir() {
        return one(place, setting).map(alone);
    }
    let mut left = TOTAL_MAX;
    let files = files(path(place, setting)?).map_err(|error| setting.unreadable("", &error))?;
    let read = |(file, name): (PathBuf, String)| {
        let bytes = content(&file, setting, left.min(SIZE_MAX));
        let bytes = bytes.map_err(|trouble| trouble.of(setting, &name))?;
        left -= bytes.len() as u64;
        Ok(Pem { bytes, name })
    };
    let all: Vec<Pem> = files.into_iter().map(read).collect::<Result<_, Trouble>>()?;
    expect_memory(all.iter().map(|pem| pem.bytes.len()).sum(), setting)?;
    Ok(all)
}

/// Whether the file of that path may be read: what has an end, or is a pipe, whose writer may come
/// later. A terminal would wait for ever, and of zeros there are always more.
fn check(path: &Path, setting: Setting) -> Result<(), Trouble> {
    let about = fs::metadata(path).map_err(|error| setting.unreadable("", &error))?;
    check_kind(&about, setting)
}

/// Whether it may be read by who reads to the end, wherever that is. /dev/null says that there is
/// none.
#[cfg(not(target_os = "macos"))]
pub fn check_authorities(path: &Path, setting: Setting) -> Result<(), Trouble> {
    let about = fs::metadata(path).map_err(|error| setting.unreadable("", &error))?;
    let null = fs::metadata("/dev/null").ok();
    let is_null =
        about.file_type().is_char_device() && null.is_some_and(|null| null.rdev() == about.rdev());
    if is_null {
        return Ok(());
    }
    if about.file_type().is_fifo() {
        let words = "the environment names a pipe, which need not end";
        return Err(setting.trouble(table::FLAW_OTHER, words));
    }
    check_kind(&about, setting)
}

fn check_kind(about: &Metadata, setting: Setting) -> Result<(), Trouble> {
    let kind = about.file_type();
    // Reading says of a directory what it is.
    if kind.is_file() || kind.is_fifo() || kind.is_dir() {
        return Ok(());
    }
    Err(setting.trouble(table::FLAW_NO_FILE, "neither a file nor a pipe"))
}

/// Whoever decodes and parses so many bytes of PEM asks for memory as if there always were some,
/// and ends the process when there is none. So it has to be there before.
fn expect_memory(size: usize, setting: Setting) -> Result<(), Trouble> {
    let times = if setting == Setting::REVOKED { TIMES_OF_LISTS } else { TIMES };
    let mut room = Vec::<u8>::new();
    let is_there = room.try_reserve_exact(size.saturating_mul(times)).is_ok();
    // So that the compiler does not find out that nobody needs it.
    black_box(room.as_ptr());
    if is_there { Ok(()) } else { Err(no_memory(setting)) }
}

fn no_memory(setting: Setting) -> Trouble {
    setting.unreadable("", &io::Error::from_raw_os_error(ENOMEM))
}

/// In the order of their names.
fn files(directory: &Path) -> io::Result<Vec<(PathBuf, String)>> {
    let entries = fs::read_dir(directory)?.collect::<io::Result<Vec<_>>>()?;
    let mut names: Vec<_> = entries.iter().map(fs::DirEntry::file_name).collect();
    names.sort_unstable();
    let mut seen = BTreeSet::new();
    let mut files = Vec::new();
    for name in names.into_iter().filter(|name| !name.as_encoded_bytes().starts_with(b".")) {
        let file = directory.join(&name);
        let about = match fs::metadata(&file) {
            Ok(about) => about,
            // A link that leads nowhere, or somebody has removed it just now.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if about.is_file() && seen.insert((about.dev(), about.ino())) {
            files.push((file, format!("{}: ", name.to_string_lossy())));
        }
    }
    Ok(files)
}

fn is_pem(place: &[u8]) -> bool {
    place.windows(PEM.len()).any(|bytes| bytes == PEM)
}

fn path(place: &[u8], setting: Setting) -> Result<&Path, Trouble> {
    let path =
        std::str::from_utf8(place).map_err(|_| setting.trouble(table::FLAW_DAMAGED, "no path"))?;
    Ok(Path::new(path))
}

fn content(path: &Path, setting: Setting, size_max: u64) -> Result<Zeroizing<Vec<u8>>, Trouble> {
    check(path, setting)?;
    // As much at once as there may be: what grows would leave a copy behind.
    let mut bytes = Zeroizing::new(Vec::new());
    let file = File::open(path).map_err(|error| setting.unreadable("", &error))?;
    let about = file.metadata().map_err(|error| setting.unreadable("", &error))?;
    check_kind(&about, setting)?;
    let size = if about.is_file() { about.len().min(size_max) as usize } else { 0 };
    bytes.try_reserve_exact(size + 1).map_err(|_| no_memory(setting))?;
    match file.take(size_max + 1).read_to_end(&mut bytes) {
        // A part of it might lack what matters, such as the later of two lists.
        Ok(size) if size as u64 > size_max => {
            let words = "larger than 4 MiB, or with others than 16";
            Err(setting.trouble(table::FLAW_TOO_LARGE, words))
        }
        Ok(_) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::OutOfMemory => Err(no_memory(setting)),
        Err(error) => Err(setting.unreadable("", &error)),
    }
}

/// More than all authorities of the world take.
const SIZE_MAX: u64 = 4 * 1024 * 1024;
/// The files of a directory together.
const TOTAL_MAX: u64 = 16 * 1024 * 1024;
const PEM: &[u8] = b"-----BEGIN ";
/// How many times as much memory as PEM is what is made of that, with what is needed meanwhile. Of
/// a list that is a table of all that is in it, twice while it grows.
const TIMES: usize = 4;
const TIMES_OF_LISTS: usize = 16;
/// Everywhere.
const ENOMEM: i32 = 12;
