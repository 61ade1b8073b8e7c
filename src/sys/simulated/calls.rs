//! The calls of the C library that the files above use, as far as they use them.

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::faults::Fault;
use super::kernel::{Kernel, State};
use super::object::Kind;
use super::stream::random;
use crate::sync::simulated::scheduler::{self, For, Woken};
use crate::sys::clock::Span;

/// A descriptor that is closed in the end.
#[derive(Debug)]
pub struct OwnedFd(RawFd);

impl AsRawFd for OwnedFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

impl FromRawFd for OwnedFd {
    unsafe fn from_raw_fd(descriptor: RawFd) -> OwnedFd {
        OwnedFd(descriptor)
    }
}

impl Drop for OwnedFd {
    fn drop(&mut self) {
        close(self.0);
    }
}

pub fn close(descriptor: RawFd) {
    if !scheduler::is_running() {
        return;
    }
    begin("close");
    scheduler::note("close", [descriptor.into(), 0]);
    if kernel(|state| state.close(descriptor)).is_err() {
        scheduler::fail("a descriptor is closed that is not open");
    }
}

/// Every call takes its time, and others may go on meanwhile.
#[track_caller]
pub fn begin(_name: &'static str) {
    let nanoseconds = kernel(|state| {
        let is_slow = state.fault(|faults| Fault("slow call", faults.slow));
        Ok(if is_slow { random(10_000, 4_000_000) } else { random(200, 1500) })
    });
    match nanoseconds {
        Ok(slow) if slow > 5000 => {
            let now = scheduler::now().unwrap_or_default();
            scheduler::block(For::Call, Some(now + slow));
        }
        Ok(fast) => scheduler::pass(fast),
        Err(_) => {}
    }
    scheduler::point();
}

/// Acts on the kernel of this simulation.
pub fn kernel<T>(act: impl FnOnce(&mut State) -> Result<T, i32>) -> Result<T, i32> {
    with_kernel(|kernel| act(&mut kernel.lock()))
}

pub fn with_kernel<T>(act: impl FnOnce(&Kernel) -> T) -> T {
    let devices = scheduler::devices().expect("the kernel is asked inside of a simulation");
    act(devices.as_any().downcast_ref().expect("the devices are a kernel"))
}

pub(super) trait Failure {
    const VALUE: Self;
}

impl Failure for libc::c_int {
    const VALUE: libc::c_int = -1;
}

impl Failure for libc::c_long {
    const VALUE: libc::c_long = -1;
}

/// As C wants it: -1, and the reason aside.
pub(super) fn answer<T: Failure>(result: Result<T, i32>) -> T {
    result.unwrap_or_else(|code| {
        scheduler::note("fails", [code.into(), 0]);
        // SAFETY: no pointer is passed.
        let place = unsafe { libc::__errno_location() };
        // SAFETY: the place belongs to this thread.
        unsafe { *place = code };
        T::VALUE
    })
}

/// # Safety
/// None is needed.
pub unsafe fn eventfd(_count: libc::c_uint, _flags: libc::c_int) -> libc::c_int {
    begin("eventfd");
    answer(kernel(|state| state.open_fresh(Kind::Event { count: 0 })))
}

/// # Safety
/// There are eight bytes to read.
pub unsafe fn write(descriptor: RawFd, bytes: *const u8, _len: usize) -> libc::c_long {
    begin("write");
    // SAFETY: forwarded from our own contract.
    let number = unsafe { bytes.cast::<u64>().read_unaligned() };
    answer(kernel(|state| {
        if state.fault(|faults| Fault("EINTR", faults.interrupted)) {
            return Err(libc::EINTR);
        }
        let id = state.id_of(descriptor)?;
        match state.objects.get_mut(&id).map(|object| &mut object.kind) {
            Some(Kind::Event { count }) => *count = count.saturating_add(number),
            _ => return Err(libc::EBADF),
        }
        state.call_the_ready();
        Ok(8)
    }))
}

/// # Safety
/// There is room for eight bytes.
pub unsafe fn read(descriptor: RawFd, bytes: *mut u8, _len: usize) -> libc::c_long {
    begin("read");
    let count = kernel(|state| {
        let id = state.id_of(descriptor)?;
        match state.objects.get_mut(&id).map(|object| &mut object.kind) {
            Some(Kind::Event { count }) if *count > 0 => Ok(std::mem::take(count)),
            Some(Kind::Event { .. }) => Err(libc::EAGAIN),
            _ => Err(libc::EBADF),
        }
    });
    answer(count.map(|count| {
        // SAFETY: forwarded from our own contract.
        unsafe { bytes.cast::<u64>().write_unaligned(count) };
        8
    }))
}

/// Another descriptor for the same, not below that.
///
/// # Safety
/// None is needed.
pub unsafe fn fcntl(descriptor: RawFd, _command: libc::c_int, least: libc::c_int) -> libc::c_int {
    begin("fcntl");
    answer(kernel(|state| {
        let id = state.id_of(descriptor)?;
        state.open(id, least)
    }))
}

/// # Safety
/// There is room for one answer.
pub unsafe fn fstat(descriptor: RawFd, place: *mut libc::stat) -> libc::c_int {
    begin("fstat");
    let number = kernel(|state| {
        let id = state.id_of(descriptor)?;
        let is_event =
            matches!(state.objects.get(&id).map(|it| &it.kind), Some(Kind::Event { .. }));
        // All event counters are one file.
        Ok(if is_event { 1 } else { id })
    });
    answer(number.map(|number| {
        // SAFETY: forwarded from our own contract.
        let place = unsafe { &mut *place };
        (place.st_dev, place.st_ino) = (1, number);
        0
    }))
}

/// # Safety
/// The word and the timeout live during the call.
pub unsafe fn futex(
    word: *mut u32,
    operation: libc::c_int,
    value: u32,
    timeout: *const Span,
) -> libc::c_long {
    begin("futex");
    let place = For::Address(word.addr());
    if operation & libc::FUTEX_WAKE != 0 {
        scheduler::wake_all(place);
        return 0;
    }
    // SAFETY: forwarded from our own contract; all accesses to it are atomic.
    let word = unsafe { std::sync::atomic::AtomicU32::from_ptr(word) };
    let now = scheduler::now().unwrap_or_default();
    // SAFETY: forwarded from our own contract.
    let until = unsafe { timeout.as_ref() }.map(|limit| {
        let span = (limit.seconds as u64)
            .saturating_mul(1_000_000_000)
            .saturating_add(limit.nanoseconds as u64);
        now.saturating_add(span)
    });
    let early = kernel(|state| {
        let is_spurious = state.fault(|faults| Fault("woken for nothing", faults.spurious));
        let can_be_signalled = !scheduler::is_masked();
        let is_signalled =
            can_be_signalled && state.fault(|faults| Fault("EINTR", faults.interrupted));
        let at = now + random(0, 2_000_000);
        Ok((is_spurious || is_signalled).then_some((at, is_signalled)))
    });
    if word.load(std::sync::atomic::Ordering::Relaxed) != value {
        return answer::<libc::c_int>(Err(libc::EAGAIN)).into();
    }
    let early = early.unwrap_or_default();
    let until = until.filter(|until| *until < u64::MAX / 2);
    let earliest = until.into_iter().chain(early.map(|(at, _)| at)).min();
    let woken = scheduler::block(place, earliest);
    let result = match (woken, early) {
        (Woken::Called, _) => Ok(0),
        (Woken::TimedOut, Some((at, is_signalled))) if Some(at) == earliest => {
            if is_signalled {
                Err(libc::EINTR)
            } else {
                Ok(0)
            }
        }
        (Woken::TimedOut, _) => Err(libc::ETIMEDOUT),
    };
    answer::<libc::c_int>(result).into()
}

/// # Safety
/// There is room for one limit.
pub unsafe fn getrlimit(_what: libc::__rlimit_resource_t, place: *mut libc::rlimit) -> libc::c_int {
    let most = kernel(|state| Ok(state.machine.descriptors_max)).unwrap_or_default() as u64;
    // SAFETY: forwarded from our own contract.
    unsafe { *place = libc::rlimit { rlim_cur: most, rlim_max: most } };
    0
}

/// Threads lose their processor whenever a call is slow, and whoever asks may have or not.
///
/// # Safety
/// There is room for one usage.
pub unsafe fn getrusage(_who: libc::c_int, place: *mut libc::rusage) -> libc::c_int {
    begin("getrusage");
    // SAFETY: forwarded from our own contract.
    unsafe { (*place).ru_nivcsw = random(0, 1) as libc::c_long };
    0
}

/// # Safety
/// None is needed.
pub unsafe fn fchmod(descriptor: RawFd, _mode: libc::mode_t) -> libc::c_int {
    begin("fchmod");
    answer(kernel(|state| state.id_of(descriptor).map(|_| 0)))
}

/// # Safety
/// There is room for one set of credentials.
pub unsafe fn getsockopt(
    descriptor: RawFd,
    _level: libc::c_int,
    _option: libc::c_int,
    place: *mut libc::c_void,
    _len: *mut libc::socklen_t,
) -> libc::c_int {
    begin("getsockopt");
    answer(kernel(|state| {
        let (_, stream) = state.stream(descriptor)?;
        let found = libc::ucred { pid: stream.process as libc::pid_t, uid: 0, gid: 0 };
        // SAFETY: forwarded from our own contract.
        unsafe { place.cast::<libc::ucred>().write_unaligned(found) };
        Ok(0)
    }))
}

/// How much was written that has not arrived.
///
/// # Safety
/// There is room for one number.
pub unsafe fn ioctl(
    descriptor: RawFd,
    _request: libc::c_ulong,
    place: *mut libc::c_int,
) -> libc::c_int {
    begin("ioctl");
    answer(kernel(|state| {
        let (_, stream) = state.stream(descriptor)?;
        let (is_local, peer) = (stream.is_local, stream.peer.unwrap_or_default());
        let count = state
            .stream_of(peer)
            .map_or(0, |other| other.in_flight() + if is_local { other.unread() } else { 0 });
        // SAFETY: forwarded from our own contract.
        unsafe { *place = count as libc::c_int };
        Ok(0)
    }))
}

/// # Safety
/// There is room for so many bytes.
pub unsafe fn getrandom(bytes: *mut u8, len: usize) -> libc::c_long {
    let number = scheduler::draw(|random| random.next()).unwrap_or_default();
    let count = len.min(8);
    let number = number.to_ne_bytes();
    // SAFETY: forwarded from our own contract.
    unsafe { std::ptr::copy_nonoverlapping(number.as_ptr(), bytes, count) };
    count as libc::c_long
}

/// # Safety
/// There is room for one time.
pub unsafe fn clock_gettime(_clock: libc::clockid_t, place: *mut libc::timespec) -> libc::c_int {
    scheduler::pass(25);
    let now = scheduler::now().unwrap_or_default();
    let now = libc::timespec {
        tv_sec: (now / 1_000_000_000) as libc::time_t,
        tv_nsec: (now % 1_000_000_000) as libc::c_long,
    };
    // SAFETY: forwarded from our own contract.
    unsafe { *place = now };
    0
}

/// This moment, counted from one that all simulations share.
pub fn now() -> Instant {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    scheduler::pass(25);
    let now = scheduler::now().unwrap_or_default();
    *ORIGIN.get_or_init(Instant::now) + Duration::from_nanos(now)
}

/// # Errors
/// Never.
pub fn usable_cpus() -> io::Result<NonZeroUsize> {
    let cpus = kernel(|state| Ok(state.machine.cpus)).unwrap_or(1);
    Ok(NonZeroUsize::new(cpus).unwrap_or(NonZeroUsize::MIN))
}

/// Whether a thread has all signals blocked is all that matters: of the set, one tells.
///
/// # Safety
/// The sets are null or live during the call.
pub unsafe fn pthread_sigmask(
    _how: libc::c_int,
    set: *const libc::sigset_t,
    before: *mut libc::sigset_t,
) -> libc::c_int {
    if !before.is_null() {
        if scheduler::is_masked() {
            // SAFETY: forwarded from our own contract.
            unsafe { libc::sigfillset(before) };
        } else {
            // SAFETY: forwarded from our own contract.
            unsafe { libc::sigemptyset(before) };
        }
    }
    if !set.is_null() {
        // SAFETY: forwarded from our own contract.
        scheduler::set_masked(unsafe { libc::sigismember(set, libc::SIGUSR1) } == 1);
    }
    0
}

/// A signal may have come at any moment.
///
/// # Safety
/// There is room for a set.
pub unsafe fn sigpending(place: *mut libc::sigset_t) -> libc::c_int {
    begin("sigpending");
    // SAFETY: forwarded from our own contract.
    unsafe { libc::sigemptyset(place) };
    let strikes = |state: &mut State| state.fault(|faults| Fault("EINTR", faults.interrupted));
    if kernel(|state| Ok(strikes(state))) == Ok(true) {
        // SAFETY: the set was filled by the call above.
        unsafe { libc::sigaddset(place, libc::SIGUSR1) };
    }
    0
}

/// All of them are handled.
///
/// # Safety
/// There is room for one action.
pub unsafe fn sigaction(
    _signal: libc::c_int,
    _action: *const libc::sigaction,
    place: *mut libc::sigaction,
) -> libc::c_int {
    // SAFETY: a zeroed action is one without flags.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = libc::SIG_IGN + 1;
    // SAFETY: forwarded from our own contract.
    unsafe { place.write(action) };
    0
}
