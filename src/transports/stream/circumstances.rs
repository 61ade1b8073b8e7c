//! What is known of an application when it sends. It decides when a message is written.

use crate::transports::pace::Workload;

/// Circumstances under which a message is accepted.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    pub before: Before,
    pub gathering: Gathering,
}

/// What the application did before it sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    Sent,
    /// It has received since it last sent.
    Received,
    /// The same, and more has arrived: it will be busy with that before it can wait.
    ReceivedSome(Workload),
}

/// Whether the application lets its messages wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gathering {
    /// Those of a stream.
    Allowed,
    /// Quick answers to many, too: who lost one would ask again.
    Answers,
    /// It wants every message written by itself.
    Never,
}
