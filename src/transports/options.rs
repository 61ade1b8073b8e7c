//! Options as data: what a level offers, and what values its options may have. Each transport has
//! a table of its own; whoever keeps the values need not know what they are for.

use std::ops::RangeInclusive;

use super::guard::Networks;
use super::{ipc, tcp, tls, ws};
use crate::error::Error;

/// All options of one level.
#[derive(Debug)]
pub struct Table {
    pub level: i32,
    pub len: Len,
    pub rows: &'static [Row],
}

/// One option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub level: i32,
    pub number: i32,
    /// In words.
    pub name: &'static str,
    pub default: i32,
    pub range: RangeInclusive<i32>,
    pub unit: Unit,
}

/// An option that is a text. It is set by few.
#[derive(Debug)]
pub struct Text {
    pub level: i32,
    pub number: i32,
    pub len_max: usize,
    pub secrecy: Secrecy,
    /// Whether it can be understood, which tells what is wrong with it.
    pub check: fn(&[u8]) -> Result<(), Error>,
}

/// Where peers may be that connect to what is bound, on tcp and ws: a list of networks.
pub static NETWORKS: Text = Text {
    level: 0,
    number: 0x5350_000a,
    len_max: 4096,
    secrecy: Secrecy::Public,
    check: |text| Networks::parse(text).map(|_| ()),
};

/// All options that are texts.
pub static TEXTS: [&Text; 7] = [
    &NETWORKS,
    &ws::option::HEADERS,
    &tls::option::CERTIFICATE,
    &tls::option::KEY,
    &tls::option::TRUST,
    &tls::option::NAME,
    &tls::option::REVOKED,
];

/// How long a value must be, which is looked at before the option is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Len {
    /// That of an integer.
    Exact,
    /// At least that; what is beyond an integer is ignored.
    Least,
}

/// What the value of an option counts, or is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Bytes,
    Messages,
    Milliseconds,
    Seconds,
    Priority,
    Hops,
    Peers,
    /// 0 or 1.
    Flag,
    /// One of a few.
    Choice,
    /// Bits as in chmod(1).
    Permissions,
    /// The value is the address at which it stands, on the one system where it means something.
    Address,
}

/// Whether a text can be read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrecy {
    Public,
    Secret,
}

/// The options of every transport that has some.
pub static TABLES: [&Table; 4] =
    [&ipc::option::TABLE, &tcp::option::TABLE, &ws::option::TABLE, &tls::option::TABLE];

/// How many there are.
const COUNT: usize = count();

/// The values of all of them at one moment, in the order of their tables.
#[derive(Clone, Copy, Debug)]
pub struct Values([i32; COUNT]);

impl Values {
    /// The values in the order of their tables. Where there are too few, the rest is zero.
    pub fn gather(values: impl Iterator<Item = i32>) -> Values {
        let mut gathered = [0; COUNT];
        gathered.iter_mut().zip(values).for_each(|(place, value)| *place = value);
        Values(gathered)
    }

    #[must_use]
    pub fn get(&self, option: &Row) -> i32 {
        let at = ROWS.iter().position(|row| row.is(option.level, option.number));
        at.map_or(option.default, |at| self.0[at])
    }
}

impl Default for Values {
    fn default() -> Values {
        Values::gather(ROWS.iter().map(|row| row.default))
    }
}

impl Row {
    #[must_use]
    pub const fn is(&self, level: i32, number: i32) -> bool {
        self.level == level && self.number == number
    }
}

impl Text {
    /// Where it stands among all that there are.
    #[must_use]
    pub fn place(level: i32, number: i32) -> Option<usize> {
        TEXTS.iter().position(|text| text.level == level && text.number == number)
    }
}

impl Len {
    /// The integer in front of `value`, if that has the right length.
    #[must_use]
    pub fn integer(self, value: &[u8]) -> Option<i32> {
        match self {
            Len::Exact => value.try_into().ok().map(i32::from_ne_bytes),
            Len::Least => value.first_chunk().copied().map(i32::from_ne_bytes),
        }
    }
}

/// The options of all transports, one table after the other.
pub static ROWS: [&Row; COUNT] = gather();

const fn gather() -> [&'static Row; COUNT] {
    let (mut rows, mut count, mut table) = ([&TABLES[0].rows[0]; COUNT], 0, 0);
    while count < COUNT {
        let mut at = 0;
        while at < TABLES[table].rows.len() {
            rows[count] = &TABLES[table].rows[at];
            (count, at) = (count + 1, at + 1);
        }
        table += 1;
    }
    rows
}

const fn count() -> usize {
    let (mut count, mut at) = (0, 0);
    while at < TABLES.len() {
        count += TABLES[at].rows.len();
        at += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_option_stands_in_one_place_under_its_level() {
        for table in TABLES {
            assert!(table.rows.iter().all(|row| row.level == table.level), "{table:?}");
        }
        for row in ROWS {
            let same = ROWS.iter().filter(|other| other.is(row.level, row.number)).count();
            let named_so = ROWS.iter().filter(|other| other.name == row.name).count();
            assert_eq!((same, named_so), (1, 1), "{row:?}");
            assert!(row.range.contains(&row.default), "{row:?}");
        }
    }

    #[test]
    fn values_are_found_by_their_rows() {
        let values = Values::gather(100..);
        for (at, row) in ROWS.into_iter().enumerate() {
            assert_eq!(values.get(row), 100 + at as i32, "{row:?}");
            assert_eq!(Values::default().get(row), row.default, "{row:?}");
        }
    }

    #[test]
    fn a_length_is_exact_or_enough() {
        let value = [1, 0, 0, 0, 9];
        assert_eq!([3, 4, 5].map(|len| Len::Exact.integer(&value[..len])), [None, ONE, None]);
        assert_eq!([3, 4, 5].map(|len| Len::Least.integer(&value[..len])), [None, ONE, ONE]);
    }

    const ONE: Option<i32> = Some(1_i32.to_le());
}
