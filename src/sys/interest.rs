//! What is asked of a poller, and what it reports.

/// What to wait for. Errors and hang-ups are always reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    pub readable: bool,
    pub writable: bool,
    /// The peer has ended its direction of the stream.
    pub ended: bool,
    /// Report once, then keep silent until the interest is set again.
    pub once: bool,
}

/// One report of the kernel.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    pub key: u64,
    pub readable: bool,
    pub writable: bool,
    /// End of stream, error or hang-up.
    pub ended: bool,
}

impl Interest {
    pub const READABLE: Interest =
        Interest { readable: true, writable: false, ended: false, once: false };
    pub const ANYTHING: Interest =
        Interest { readable: true, writable: true, ended: false, once: false };
}
