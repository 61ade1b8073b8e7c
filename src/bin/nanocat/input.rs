//! What is to be sent: nothing, one message, or a message a line.

use super::failure::Failure;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;

/// Where it comes from, as the command line says.
#[derive(Debug, PartialEq)]
pub enum Origin {
    Words(OsString),
    File { name: OsString, cut: Cut },
}

/// How many messages a file is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cut {
    Whole,
    Lines,
}

pub enum Input {
    Nothing,
    Once(Vec<u8>),
    Lines(Lines),
}

pub struct Lines {
    name: String,
    reader: Box<dyn BufRead>,
    /// How many bytes there are, where that is known.
    pub size: Option<u64>,
}

impl Input {
    pub fn open(origin: Option<&Origin>) -> Result<Input, Failure> {
        match origin {
            None => Ok(Input::Nothing),
            Some(Origin::Words(words)) => Ok(Input::Once(words.clone().into_vec())),
            Some(Origin::File { name, cut: Cut::Lines }) => {
                let file = open(name).map_err(failure(name))?;
                let facts = file.metadata().map_err(failure(name))?;
                let size = facts.is_file().then_some(facts.len());
                let name = name.to_string_lossy().into_owned();
                Ok(Input::Lines(Lines { name, reader: Box::new(BufReader::new(file)), size }))
            }
            Some(Origin::File { name, cut: Cut::Whole }) => {
                let mut whole = Vec::new();
                let mut file = open(name).map_err(failure(name))?;
                file.read_to_end(&mut whole).map_err(failure(name))?;
                Ok(Input::Once(whole))
            }
        }
    }
}

impl Lines {
    /// The next line without what ends it, and how many bytes of the input it took. The last one
    /// need not be ended.
    pub fn next(&mut self) -> Result<Option<(Vec<u8>, usize)>, Failure> {
        let mut line = Vec::new();
        let read = self.reader.read_until(b'\n', &mut line);
        let count = read.map_err(|error| Failure::Input { name: self.name.clone(), error })?;
        if count == 0 {
            return Ok(None);
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        Ok(Some((line, count)))
    }
}

fn open(name: &OsStr) -> io::Result<File> {
    if name == "-" {
        return Ok(File::from(io::stdin().as_fd().try_clone_to_owned()?));
    }
    File::open(name)
}

fn failure(name: &OsStr) -> impl FnOnce(io::Error) -> Failure {
    move |error| Failure::Input { name: name.to_string_lossy().into_owned(), error }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn lines(text: &'static [u8]) -> Vec<(Vec<u8>, usize)> {
        let reader = Box::new(Cursor::new(text));
        let mut lines = Lines { name: String::new(), reader, size: None };
        std::iter::from_fn(|| lines.next().expect("memory can be read")).collect()
    }

    #[test]
    fn each_line_is_one_whatever_it_holds() {
        let line = |text: &[u8], took| (text.to_vec(), took);
        assert_eq!(lines(b""), []);
        assert_eq!(lines(b"\n"), [line(b"", 1)]);
        assert_eq!(lines(b"a\n\nb\r\n"), [line(b"a", 2), line(b"", 1), line(b"b\r", 3)]);
        assert_eq!(lines(b"a\n\xff\0"), [line(b"a", 2), line(b"\xff\0", 2)]);
    }

    #[test]
    fn what_is_no_file_fails() {
        for name in ["/nonexistent", "/"] {
            let origin = Origin::File { name: name.into(), cut: Cut::Whole };
            assert!(matches!(Input::open(Some(&origin)), Err(Failure::Input { .. })), "{name}");
        }
    }
}
