//! What reading and receiving lead to.

use std::time::Duration;

use crate::transports::pace::Workload;

/// What a read led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    Nothing,
    /// Bytes came, but no complete message.
    Bytes,
    Readable,
    /// The same, and it is the last.
    Last,
    Ended,
}

/// What has arrived, and a frame that is to be written because of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Arrival {
    pub news: News,
    pub answer: Option<Vec<u8>>,
}

/// What receiving gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    pub has_message: bool,
    /// More has arrived, at least in part: the application will be busy with that.
    pub more: Option<Workload>,
    /// The kernel is to be asked for more, or the connection to be ended.
    pub must_resume: bool,
}

/// Whether reading passes from the reactor to the callers with this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// It is as it was.
    None,
    /// From now on callers read; the reactor is to look again after this time.
    ToCallers { look_after: Duration },
}

/// What the reactor finds when it looks whether callers still read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handback {
    /// They do; look again after this time.
    NotYet(Duration),
    /// They do not: the reactor reads now.
    Done,
}
