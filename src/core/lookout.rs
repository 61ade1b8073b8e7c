//! From where one thread watches several sockets, for as long as it waits for the same ones again
//! and again: a poller with the streams of all, and notes of which of them have news.
//!
//! Who changes a socket that is watched says so here, under the socket's lock or behind the
//! change. Nothing is asked of the sockets: the thread does that.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use super::notes::Notes;
use super::visitors::Visitors;
use crate::io::{Poller, Spin, Wake};
use crate::memory::{self, Attempt, OutOfMemory};
use crate::protocols::PipeId;
use crate::sync::{
    Mutex, Rank,
    atomic::{AtomicBool, Ordering},
};
use crate::sys::{Epoll, Event, EventBuffer, Interest};
use crate::transports::Stream;

#[derive(Debug)]
pub struct Lookout {
    pub notes: Notes,
    pub spin: Spin,
    poller: Poller,
    /// Calls that wait here.
    visitors: Visitors,
    /// Somebody waits for them to leave.
    is_awaited: AtomicBool,
}

/// A member, and what of it can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    Stream { member: usize, pipe: PipeId },
    Room { member: usize },
}

impl Lookout {
    /// One for `count` members.
    ///
    /// # Errors
    /// When no descriptors can be had, or no memory.
    pub fn new(count: usize) -> io::Result<Arc<Lookout>> {
        let notes = Notes::new(count).map_err(|OutOfMemory| io::ErrorKind::OutOfMemory)?;
        let lookout = Lookout {
            notes,
            spin: Spin::default(),
            poller: Poller::new()?,
            visitors: Visitors::default(),
            is_awaited: AtomicBool::new(false),
        };
        Ok(memory::shared(lookout).map_err(|_| io::ErrorKind::OutOfMemory)?)
    }

    /// Watches the descriptor that shows whether a member can send.
    ///
    /// # Errors
    /// When the kernel cannot watch it.
    pub fn watch_room(&self, member: usize, descriptor: RawFd) -> io::Result<()> {
        self.poller.add(descriptor, Interest::READABLE, key(member, ROOM))
    }

    /// What the kernel has reported to one who has slept here.
    pub fn reported<'a>(&self, events: &'a EventBuffer) -> impl Iterator<Item = Sight> + use<'a> {
        self.poller.reported(events).map(sight)
    }

    /// What the kernel has to report now.
    ///
    /// # Errors
    /// When it will not have such a wait.
    pub fn glance<'a>(
        &self,
        events: &'a mut EventBuffer,
    ) -> io::Result<impl Iterator<Item = Sight> + use<'a>> {
        Ok(self.poller.wait(events, Some(Duration::ZERO))?.map(sight))
    }

    /// What to sleep on until then.
    pub fn set(&self) -> &Epoll {
        self.poller.set()
    }

    fn tell(&self, member: usize) {
        if self.notes.tell(member) {
            self.poller.wake();
        }
    }
}

/// Readable while somebody who sleeps here has something to see.
impl AsRawFd for Lookout {
    fn as_raw_fd(&self) -> RawFd {
        self.poller.as_raw_fd()
    }
}

/// A call that waits at a lookout. Closing a socket waits for it to end, but not for ever.
pub struct Stay(Arc<Lookout>);

impl Stay {
    pub fn new(lookout: &Arc<Lookout>) -> Stay {
        lookout.visitors.enter();
        Stay(Arc::clone(lookout))
    }
}

impl std::ops::Deref for Stay {
    type Target = Arc<Lookout>;

    fn deref(&self) -> &Arc<Lookout> {
        &self.0
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        self.0.visitors.leave(|| !self.0.is_awaited.load(Ordering::Relaxed));
    }
}

/// From where a socket is watched.
#[derive(Debug)]
pub struct Lookouts {
    is_any: AtomicBool,
    posts: Mutex<Option<Box<Posts>>>,
}

/// In memory of its own, because most sockets are watched from nowhere.
#[derive(Debug, Default)]
struct Posts(Vec<Post>);

#[derive(Clone, Debug)]
struct Post {
    lookout: Arc<Lookout>,
    /// The socket's number there.
    member: usize,
    /// Whether its streams are watched, too.
    has_streams: bool,
}

impl Posts {
    fn make() -> Result<Box<Posts>, OutOfMemory> {
        let attempt = Attempt::begin()?;
        let posts = Box::default();
        attempt.check()?;
        Ok(posts)
    }
}

impl Default for Lookouts {
    fn default() -> Lookouts {
        Lookouts { is_any: AtomicBool::new(false), posts: Mutex::new(Rank::Lookouts, None) }
    }
}

impl Lookouts {
    #[inline]
    pub fn is_any(&self) -> bool {
        self.is_any.load(Ordering::Relaxed)
    }

    /// Has the socket watched as `member`. Under the socket's lock, where its streams are added
    /// and removed, too. False when it is watched from there already.
    ///
    /// # Errors
    /// When there is no memory for that.
    pub fn add<'a>(
        &self,
        lookout: &Arc<Lookout>,
        member: usize,
        streams: Option<impl Iterator<Item = (PipeId, &'a dyn Stream)>>,
    ) -> Result<bool, OutOfMemory> {
        let mut posts = self.posts.lock();
        let Posts(posts) = match &mut *posts {
            Some(posts) => &mut **posts,
            none => none.insert(Posts::make()?),
        };
        if posts.iter().any(|post| Arc::ptr_eq(&post.lookout, lookout)) {
            return Ok(false);
        }
        memory::reserve(posts, 1)?;
        let post = Post { lookout: Arc::clone(lookout), member, has_streams: streams.is_some() };
        for (pipe, stream) in streams.into_iter().flatten() {
            watch(&lookout.poller, key(member, pipe.0), stream);
        }
        posts.push(post);
        self.is_any.store(true, Ordering::Relaxed);
        Ok(true)
    }

    /// The socket is not watched from there any more.
    pub fn remove(&self, lookout: &Lookout) {
        let mut posts = self.posts.lock();
        let Some(Posts(posts)) = posts.as_deref_mut() else { return };
        posts.retain(|post| !std::ptr::eq(&*post.lookout, lookout));
        self.is_any.store(!posts.is_empty(), Ordering::Relaxed);
    }

    fn for_each(&self, tell: impl FnMut(&Post)) {
        self.posts.lock().iter().flat_map(|posts| &posts.0).for_each(tell);
    }

    /// The socket has news.
    #[cold]
    pub fn tell(&self) {
        self.for_each(|post| post.lookout.tell(post.member));
    }

    /// A call has changed the socket. Who sleeps because he wants to receive or send hears of that
    /// by other ways if it is for him.
    #[cold]
    pub fn note(&self) {
        self.for_each(|post| post.lookout.notes.note(post.member));
    }

    /// Whether somebody sleeps in front of the streams.
    pub fn is_polled(&self) -> bool {
        let is_polled = |post: &Post| post.has_streams && post.lookout.notes.is_polling();
        self.is_any() && self.posts.lock().iter().flat_map(|posts| &posts.0).any(is_polled)
    }

    pub fn add_stream(&self, id: PipeId, stream: &dyn Stream) {
        if self.is_any() {
            self.for_each(|post| {
                if post.has_streams {
                    watch(&post.lookout.poller, key(post.member, id.0), stream);
                }
            });
        }
    }

    pub fn remove_stream(&self, stream: &dyn Stream) {
        if self.is_any() {
            self.for_each(|post| {
                if post.has_streams {
                    post.lookout.poller.remove(stream.descriptor());
                }
            });
        }
    }

    /// Waits until no call is left that may use the socket, which is closing, or not for ever.
    pub fn await_leaving(&self) {
        if !self.is_any() {
            return;
        }
        // Not under the lock: who leaves may have to take it.
        let posts = {
            let mut posts = self.posts.lock();
            self.is_any.store(false, Ordering::Relaxed);
            posts.take()
        };
        for Post { lookout, .. } in posts.iter().flat_map(|posts| &posts.0) {
            lookout.is_awaited.store(true, Ordering::Relaxed);
            lookout.visitors.await_leaving();
        }
    }
}

/// Adds a stream to a poller, or has the reactor read from it where that cannot be.
pub fn watch(poller: &Poller, key: u64, stream: &dyn Stream) {
    if poller.add(stream.descriptor(), Interest::READABLE, key).is_err() {
        stream.read_in_background();
    }
}

fn key(member: usize, what: u32) -> u64 {
    (member as u64) << u32::BITS | u64::from(what)
}

fn sight(event: Event) -> Sight {
    let member = (event.key >> u32::BITS) as usize;
    match event.key as u32 {
        ROOM => Sight::Room { member },
        pipe => Sight::Stream { member, pipe: PipeId(pipe) },
    }
}

/// No pipe's number.
const ROOM: u32 = u32::MAX;
