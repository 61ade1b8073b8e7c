//! One socket: a protocol, its pipes and its endpoints under one short lock.
//!
//! What a socket does stands in files of its own: `naming.rs` binds and connects, `attachment.rs`
//! takes connections in, `transfer.rs` sends and receives, `wait.rs` waits, `deadline.rs` keeps
//! time, `display.rs` shows the readiness, `configuration.rs` sets options, `closing.rs` ends it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::context::{Context, Shared};
use super::events::Events;
use super::life::{Change, Life};
use super::options::Options;
use super::pipe::Kin;
use super::readiness::Shown;
use super::state::State;
use super::timer::Timer;
use super::waiting::Waiting;
use crate::error::Error;
use crate::protocols::{Branch, BranchId, Protocol, SocketType};
use crate::sync::{BiasedGuard, BiasedMutex, Mutex, Rank, atomic::AtomicBool};
use crate::sys;
use crate::trace::Happening;

pub struct Socket {
    pub(super) me: Weak<Socket>,
    /// Where probes have it shown without looking for it.
    handle: i32,
    pub(super) context: Arc<Context>,
    state: BiasedMutex<State>,
    pub(super) life: Life,
    pub(super) waiting: Waiting,
    pub(super) shown: Shown,
    pub(super) timer: Timer,
    /// The protocol wants to hear what its pipes can do.
    pub(super) follows_pipes: AtomicBool,
    /// Nobody waits for the descriptors of pipes: the reactor reads.
    pub(super) reads_in_background: AtomicBool,
    /// Of a branch.
    pub(super) joint: Option<Box<Joint>>,
    /// Sockets on which somebody waits who wants to hear of the end of this one.
    companions: Mutex<Option<Box<Companions>>>,
}

/// Where a branch begins.
pub(super) struct Joint {
    pub trunk: Arc<Socket>,
    pub id: BranchId,
}

/// In memory of its own, because only the sockets of devices have some.
#[derive(Default)]
struct Companions(Vec<Weak<Socket>>);

impl Socket {
    /// The place of the number.
    pub(super) const HANDLE: usize = std::mem::offset_of!(Socket, handle);

    pub(super) fn new(
        handle: i32,
        domain: i32,
        socket_type: &'static SocketType,
        protocol: Box<dyn Protocol>,
        shared: &Shared,
    ) -> Arc<Socket> {
        let context = Context::new(handle, domain, socket_type, shared);
        Socket::of(context, Rank::Socket, State::new(protocol), None)
    }

    /// One without pipes of its own.
    pub(super) fn new_branch(
        handle: i32,
        joint: Joint,
        machine: Branch,
        kin: Box<Kin>,
        shared: &Shared,
    ) -> Arc<Socket> {
        let trunk = &joint.trunk.context;
        let context = Context::new(handle, trunk.domain, trunk.socket_type, shared);
        let mut state = State::new(Box::new(machine));
        state.pipes.kin = Some(kin);
        Socket::of(context, Rank::Branch, state, Some(Box::new(joint)))
    }

    fn of(context: Context, rank: Rank, state: State, joint: Option<Box<Joint>>) -> Arc<Socket> {
        let follows_pipes = AtomicBool::new(state.protocol.follows_pipes());
        Arc::new_cyclic(|me| Socket {
            me: me.clone(),
            handle: context.handle,
            context: Arc::new(context),
            state: BiasedMutex::biased(rank, state),
            life: Life::default(),
            waiting: Waiting::default(),
            shown: Shown::default(),
            timer: Timer::default(),
            follows_pipes,
            reads_in_background: AtomicBool::new(false),
            joint,
            companions: Mutex::new(Rank::Companions, None),
        })
    }

    #[inline]
    pub(super) fn try_lock_for(&self, patience: Duration) -> Option<BiasedGuard<'_, State>> {
        self.state.try_lock_for(patience)
    }

    #[inline]
    pub(super) fn lock(&self) -> BiasedGuard<'_, State> {
        self.state.lock()
    }

    /// # Errors
    /// `NotSupported` on a branch, which has no endpoints.
    pub fn check_is_trunk(&self) -> Result<(), Error> {
        if self.joint.is_none() { Ok(()) } else { Err(Error::NotSupported) }
    }

    /// Whose pipes it has: its own, or those of another one.
    #[inline]
    pub(super) fn trunk(&self) -> &Socket {
        self.joint.as_deref().map_or(self, |joint| &joint.trunk)
    }

    #[inline]
    pub(super) fn is_usable(&self) -> bool {
        self.life.is_open()
    }

    #[inline]
    pub(super) fn options(&self) -> &Options {
        &self.context.options
    }

    #[inline]
    pub(super) fn socket_type(&self) -> &'static SocketType {
        self.context.socket_type
    }

    /// What becomes of its connections.
    pub fn events(&self) -> &Events {
        &self.context.events
    }

    /// # Errors
    /// `Invalid` when there is no such statistic.
    pub fn statistic(&self, id: i32) -> Result<u64, Error> {
        let (traffic, best) = {
            let state = self.lock();
            (state.traffic, state.protocol.send_priority())
        };
        let traffic = self.traffic_of_all(traffic);
        self.context.statistics.value(id, &traffic, best)
    }

    /// A bug was found while the socket was used: whoever uses it from now on is told that it is
    /// not open. It can be closed.
    pub fn take_out_of_service(&self) {
        // Whoever found the bug has left the lock by now.
        let machine = self.lock().retire_protocol();
        drop(machine);
        if self.life.break_down() == Change::First {
            self.context.trace(Happening::OutOfService, format_args!(""));
            self.shown.show_closed();
            self.events().show_closed();
            self.wake_everybody();
            self.take_kin_out_of_service();
        }
    }

    /// Makes a call that may come from anybody, such as another socket's sender, or whoever polls
    /// many sockets. Should it panic, this socket is the one that is out of service from then on,
    /// and `None` is returned.
    pub(super) fn contain<T>(&self, call: impl FnOnce() -> T) -> Option<T> {
        let result = catch_unwind(AssertUnwindSafe(call));
        if result.is_err() {
            self.report_bug();
            self.take_out_of_service();
        }
        result.ok()
    }

    #[cold]
    fn report_bug(&self) {
        let name = self.context.name();
        let line = format!("spmsg: internal error in socket {}\n", name.escape_ascii());
        // The panic itself was reported by the panic hook.
        sys::complain(line.as_bytes());
    }

    /// From now on who waits on `other` hears of the end of this socket.
    pub(super) fn add_companion(&self, other: &Socket) {
        self.companions.lock().get_or_insert_default().0.push(other.me.clone());
    }

    pub(super) fn remove_companion(&self, other: &Socket) {
        let mut companions = self.companions.lock();
        let Some(Companions(companions)) = companions.as_deref_mut() else { return };
        let is_it = |companion: &Weak<Socket>| companion.ptr_eq(&other.me);
        if let Some(at) = companions.iter().position(is_it) {
            companions.swap_remove(at);
        }
    }

    /// The socket is of no use any more, and everybody who waits should find out.
    pub(super) fn wake_everybody(&self) {
        self.waiting.ring_all();
        let companions: Vec<_> = {
            let companions = self.companions.lock();
            companions.iter().flat_map(|all| &all.0).filter_map(Weak::upgrade).collect()
        };
        companions.iter().for_each(|companion| companion.waiting.ring_all());
    }
}
