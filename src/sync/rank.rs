//! The order in which locks are taken, which debug builds check.

/// What a lock guards. A thread takes only locks that stand below all that it holds: two threads
/// that do can never wait for each other.
///
/// Those that are held while the kernel is asked about a stream say so. Under any other nobody
/// reads, writes, connects, accepts or closes one, and nobody sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(loom, allow(dead_code, reason = "models have no locks but their own"))]
pub enum Rank {
    /// Who is told lines about what happens. Held while one makes room for another, whose last call
    /// may be one of any function.
    Ear,
    /// The end of the library, one thread at a time. Held while everything lingers.
    Termination,
    /// How many sockets there are, and what they share.
    Library,
    /// The place of a handle's socket: shared, for as long as a call is inside the library.
    Slot,
    /// Connections that are left to a thread that ends them, before it has seen them.
    Draining,
    /// The file of an ipc address, while it is bound. Held while it is probed.
    Binding,
    /// What a listener accepts from. Held while it does.
    Accepting,
    /// The side of a connection that reads. Held while it does.
    Reading,
    /// The side of a connection that writes. Held while it does.
    Writing,
    /// The machine that encrypts a connection. Held while the kernel takes or gives what it does.
    Ciphering,
    /// What a listener, a dialer or a greeting has come to; never two at once.
    Endpoint,
    /// With what the streams of an endpoint are covered.
    Ciphers,
    /// The names of inproc.
    Names,
    /// What a branch of a socket has for itself; never two branches' at once.
    Branch,
    /// One socket's protocol, pipes and endpoints; never two sockets' at once.
    Socket,
    /// Connections that linger, of which no socket knows any more.
    Lingering,
    /// From where else a socket is watched.
    Lookouts,
    /// What the reactor watches a connection for.
    Watch,
    /// Messages that a connection has read.
    Inbound,
    /// Messages that a connection has not written.
    Outbound,
    /// Since when a peer is silent.
    Silence,
    /// Random bytes that a connection has in stock.
    Keys,
    /// The end of an inproc queue at which messages are taken.
    Front,
    /// The end at which they are put in.
    Back,
    /// Buffers to read into.
    Scratch,
    /// Handlers and timers.
    Reactor,
    /// Names that are to be looked up.
    Resolving,
    /// Why an endpoint's last attempt failed.
    Failure,
    /// Who wants to hear of the end of a socket.
    Companions,
    /// How a socket is called, and the options that few have set.
    Seldom,
    /// What has happened to a socket's connections.
    Events,
    /// Lines about what happens, on their way.
    Lines,
    /// What a poller watches, where the kernel's own list does not do. Held while that is changed.
    #[cfg_attr(not(portable), allow(dead_code, reason = "Linux's does"))]
    Watched,
    /// Who sleeps on a number, where the kernel does not know.
    #[cfg_attr(not(portable), allow(dead_code, reason = "Linux does"))]
    Sleepers,
}

/// The kernel is about to be asked about a stream, or to put the thread to sleep. A debug build
/// panics under a lock that is not to be held meanwhile.
#[inline]
pub fn before_io() {
    #[cfg(all(debug_assertions, not(loom)))]
    held::check_io();
}

/// A lock's rank, where it is checked; else nothing.
#[cfg(not(loom))]
#[derive(Clone, Copy)]
pub struct Checked(#[cfg(debug_assertions)] Rank);

#[cfg(not(loom))]
impl Checked {
    #[inline]
    pub const fn new(rank: Rank) -> Checked {
        #[cfg(not(debug_assertions))]
        let _ = rank;
        Checked(
            #[cfg(debug_assertions)]
            rank,
        )
    }

    /// The lock is about to be taken, or just has been.
    #[inline]
    pub fn take(self) -> Held {
        #[cfg(debug_assertions)]
        held::check(self.0, |highest| highest < self.0);
        Held::new(self)
    }

    /// The same where the thread may hold another lock of this rank, or even this one.
    #[inline]
    pub fn take_again(self) -> Held {
        #[cfg(debug_assertions)]
        held::check(self.0, |highest| highest <= self.0);
        Held::new(self)
    }
}

/// That this thread holds a lock of some rank, for as long as it lives.
#[cfg(not(loom))]
pub struct Held {
    #[cfg(debug_assertions)]
    rank: Rank,
    /// Guards stay on their thread.
    _thread: std::marker::PhantomData<*const ()>,
}

#[cfg(not(loom))]
impl Held {
    #[inline]
    fn new(checked: Checked) -> Held {
        #[cfg(debug_assertions)]
        held::note(checked.0, |count| count + 1);
        #[cfg(not(debug_assertions))]
        let _ = checked;
        Held {
            #[cfg(debug_assertions)]
            rank: checked.0,
            _thread: std::marker::PhantomData,
        }
    }
}

#[cfg(all(debug_assertions, not(loom)))]
impl Drop for Held {
    fn drop(&mut self) {
        held::note(self.rank, |count| count - 1);
    }
}

/// What each thread holds. Nothing here allocates, or needs to be dropped at a thread's end.
#[cfg(all(debug_assertions, not(loom)))]
mod held {
    use std::cell::Cell;

    use super::Rank;

    const RANKS: usize = Rank::Sleepers as usize + 1;

    thread_local! {
        static HELD: [Cell<(Option<Rank>, usize)>; RANKS] =
            const { [const { Cell::new((None, 0)) }; RANKS] };
    }

    pub fn note(rank: Rank, change: impl FnOnce(usize) -> usize) {
        HELD.with(|held| {
            let cell = &held[rank as usize];
            cell.set((Some(rank), change(cell.get().1)));
        });
    }

    fn highest(is_meant: impl Fn(Rank) -> bool) -> Option<Rank> {
        HELD.with(|held| {
            let held = held.iter().rev().filter(|cell| cell.get().1 > 0);
            held.filter_map(|cell| cell.get().0).find(|rank| is_meant(*rank))
        })
    }

    pub fn check(rank: Rank, is_fine_under: impl Fn(Rank) -> bool) {
        if let Some(highest) = highest(|held| !is_fine_under(held)) {
            panic!("{rank:?} is locked under {highest:?}");
        }
    }

    pub fn check_io() {
        // What is dropped while a thread unwinds must not panic.
        if std::thread::panicking() {
            return;
        }
        if let Some(rank) = highest(|rank| !rank.allows_io()) {
            panic!("the kernel is asked about a stream under {rank:?}");
        }
    }
}

#[cfg(all(debug_assertions, not(loom)))]
impl Rank {
    fn allows_io(self) -> bool {
        match self {
            Rank::Ear
            | Rank::Termination
            | Rank::Slot
            | Rank::Binding
            | Rank::Accepting
            | Rank::Reading
            | Rank::Writing
            | Rank::Ciphering => true,
            Rank::Library
            | Rank::Draining
            | Rank::Endpoint
            | Rank::Ciphers
            | Rank::Names
            | Rank::Branch
            | Rank::Socket
            | Rank::Lingering
            | Rank::Lookouts
            | Rank::Watch
            | Rank::Inbound
            | Rank::Outbound
            | Rank::Silence
            | Rank::Keys
            | Rank::Front
            | Rank::Back
            | Rank::Scratch
            | Rank::Reactor
            | Rank::Resolving
            | Rank::Failure
            | Rank::Companions
            | Rank::Seldom
            | Rank::Events
            | Rank::Lines
            | Rank::Watched
            | Rank::Sleepers => false,
        }
    }
}
