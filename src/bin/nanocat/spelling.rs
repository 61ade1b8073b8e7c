//! What libnanomsg's tool reads otherwise than clap, said in words that clap reads the same way.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Words behind the name of the program. `-` and `--` alone mean nothing, and what a letter's value
/// begins with may be `=`. `takes_value` and `long_takes_value` know the options.
pub fn normalise(
    words: impl IntoIterator<Item = OsString>,
    takes_value: impl Fn(u8) -> bool,
    long_takes_value: impl Fn(&str) -> bool,
) -> Vec<OsString> {
    let mut normal = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let bytes = word.as_bytes();
        if bytes == b"-" || bytes == b"--" {
            continue;
        }
        let wants_value = match bytes {
            [b'-', b'-', name @ ..] => {
                !name.contains(&b'=') && str::from_utf8(name).is_ok_and(&long_takes_value)
            }
            [b'-', letters @ ..] => match letters.iter().position(|&letter| takes_value(letter)) {
                Some(at) if letters.get(at + 1) == Some(&b'=') => {
                    let (letters, value) = bytes.split_at(at + 2);
                    normal.push(OsStr::from_bytes(letters).to_owned());
                    normal.push(OsString::from_vec(value.to_vec()));
                    continue;
                }
                Some(at) => at + 1 == letters.len(),
                None => false,
            },
            _ => false,
        };
        normal.push(word);
        // A value is no option, whatever it looks like.
        if wants_value {
            normal.extend(words.next());
        }
    }
    normal
}

/// The type of socket that a program of this name is for: `nn_push` for `push`.
pub fn kind_of(program: &OsStr) -> Option<&str> {
    let name = program.as_bytes().rsplit(|&byte| byte == b'/').next()?;
    str::from_utf8(name.strip_prefix(b"nn_")?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(words: &[&str]) -> Vec<OsString> {
        let words = words.iter().map(OsString::from);
        normalise(words, |letter| letter == b'D', |name| name == "data")
    }

    #[test]
    fn dashes_alone_mean_nothing_unless_they_are_values() {
        assert_eq!(normal(&["-", "--raw", "--"]), ["--raw"]);
        assert_eq!(normal(&["-D", "-", "--data", "--", "-AD", "-"]).len(), 6);
        assert_eq!(normal(&["--data=", "-"]), ["--data="]);
    }

    #[test]
    fn a_value_may_begin_as_it_likes() {
        assert_eq!(normal(&["-D=x", "-AD=", "-Dx="]), ["-D", "=x", "-AD", "=", "-Dx="]);
        assert_eq!(normal(&["-D", "-D=x"]), ["-D", "-D=x"]);
    }

    #[test]
    fn a_link_names_the_type() {
        assert_eq!(kind_of(OsStr::new("/usr/bin/nn_push")), Some("push"));
        assert_eq!(kind_of(OsStr::new("nn_pull.sh")), Some("pull.sh"));
        assert_eq!(kind_of(OsStr::new("/nn_push/nanocat")), None);
    }
}
