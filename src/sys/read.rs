//! What reading from a stream gives.

/// What one read gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    Bytes(usize),
    /// Nothing is there now.
    Nothing,
    /// The peer has ended the stream, or it broke.
    End,
}
